//! One device's turn: everything that happens to it at one moment, in one transaction.

use serde_json::{Value, json};

use super::evaluation::reported;
use super::plans::{ENDED, TERMINATED};
use super::transaction::Transaction;
use super::{Downlink, Engine, Result};
use crate::clock::Millis;
use crate::metrics::Count;
use crate::rules::component_fsm::{
    After, Evidence, Failure, Input, NextComponent, Progress, Seen, Step, after_failure, counts,
    next_component, step,
};
use crate::rules::eligibility::{BlockReason, StatusAsk, Trigger};
use crate::rules::limits::halts;
use crate::rules::manual::CANCELLED;
use crate::rules::plan::{PlanEvent, PlanState, Push};
use crate::rules::progress::{ComponentState, Ended, Presence, UpgradeState, lease, roll_up};
use crate::rules::{ComponentKind, ComponentNo};
use crate::store::{
    ComponentUpgrade, Device, DeviceId, NewLogEntry, Plan, PlanId, ReportedVersion, Upgrade, UpgradeId,
};

/// A device, locked, with what it says and hears in this moment.
pub(super) struct DeviceTransaction<'e> {
    pub(super) engine: &'e Engine,
    pub(super) store: Transaction,
    pub(super) now: Millis,
    pub(super) device: Device,
    pub(super) versions: Vec<ReportedVersion>,
    pub(super) messages: Vec<Downlink>,
    /// Plans that would be offered to the device if their limits had room.
    pub(super) full: Vec<PlanId>,
}

impl Engine {
    pub(super) async fn transaction(&self, id: DeviceId) -> Result<DeviceTransaction<'_>> {
        let mut store = self.begin().await?;
        let device = store.lock_device(id).await?;
        let versions = store.device_versions(id).await?;
        Ok(DeviceTransaction {
            engine: self,
            store,
            now: self.clock.now(),
            device,
            versions,
            messages: Vec::new(),
            full: Vec::new(),
        })
    }
}

/// Time until a plan without room is looked at again for a device that waits for its retry.
const ROOM_TIME: Millis = Millis::seconds(10);
/// Time that a device has to answer a question for its status before an offer is looked at again.
const ANSWER_TIME: Millis = Millis::seconds(30);

/// What a device did to a component, beyond the plain status.
pub(super) struct ComponentInput {
    pub(super) input: Input,
    pub(super) wants_sha256: bool,
    /// Why, as a quecota device says it.
    pub(super) reason: Option<String>,
}

impl ComponentInput {
    pub(super) fn of(input: Input) -> Self {
        ComponentInput { input, wants_sha256: false, reason: None }
    }

    /// What the center knows of a failure or a refusal, and what the device says of it.
    fn told(&self, what: &str) -> String {
        match &self.reason {
            Some(reason) => format!("{what}: {reason}"),
            None => what.to_owned(),
        }
    }
}

impl DeviceTransaction<'_> {
    /// Commits, and gives what the device is to hear.
    pub(super) async fn finish(mut self) -> Result<Vec<Downlink>> {
        self.store.save_device(&self.device).await?;
        self.store.commit().await?;
        Ok(self.messages)
    }

    /// What the device reports as the component's version.
    pub(super) fn reported(&self, component: &ComponentNo, kind: ComponentKind) -> Option<&str> {
        reported(&self.device, &self.versions, component, kind)
    }

    pub(super) async fn log(
        &mut self,
        upgrade: Option<&Upgrade>,
        component: Option<&ComponentNo>,
        kind: &'static str,
        value: Value,
    ) -> Result<()> {
        let entry = NewLogEntry {
            device: self.device.id,
            upgrade: upgrade.map(|upgrade| upgrade.id),
            component: component.cloned(),
            kind,
            value,
        };
        Ok(self.store.log(entry, self.now).await?)
    }

    /// The upgrade's plan, kept from changing its state meanwhile. A plan that is about to start is locked for that.
    pub(super) async fn plan_of(&mut self, upgrade: &Upgrade) -> Result<Option<Plan>> {
        let Some(id) = upgrade.plan else { return Ok(None) };
        let plan = self.store.plan(id).await?;
        let starts = upgrade.confirmed.is_none()
            && (plan.state == PlanState::Activated || plan.suspended_from == Some(PlanState::Activated));
        let strategy = &plan.settings.strategy;
        // Who counts devices must be the only one to change their number.
        let counts = strategy.has_limits() || strategy.halt.is_some();
        let plan =
            if starts || counts { self.store.lock_plan(id).await? } else { self.store.hold_plan(id).await? };
        Ok(Some(plan))
    }

    /// Takes what happens to component number `index` of `upgrade`, to its end in the store.
    pub(super) async fn apply(
        &mut self,
        upgrade: &mut Upgrade,
        index: usize,
        word: ComponentInput,
    ) -> Result<()> {
        let mut plan = self.plan_of(upgrade).await?;
        // Terminating or ending the plan may have ended the upgrade between the first look and the lock.
        *upgrade = self.store.upgrade(upgrade.id).await?;
        if upgrade.ended.is_some() {
            return Ok(());
        }
        let Some(component) = upgrade.components.get(index) else { return Ok(()) };
        let taken = step(component.state, word.input);
        match taken {
            Step::Stray => {}
            Step::Heartbeat => {
                if component.lease_until.is_some() {
                    self.renew(upgrade, index);
                }
            }
            Step::Move(ComponentState::PlanReceived) => {
                self.all_open(upgrade, ComponentState::PlanReceived);
                self.begin_anew(upgrade);
                self.renew(upgrade, upgrade.current().unwrap_or(index));
                self.active(upgrade);
            }
            Step::Move(state) => {
                self.confirm(upgrade, plan.as_mut()).await?;
                self.set(upgrade, index, state);
                self.renew(upgrade, index);
                self.active(upgrade);
            }
            // It is back at the beginning, and its user does not want it to go on.
            Step::SendFirmware if upgrade.cancelled.is_some() => self.end_cancelled(upgrade).await?,
            Step::SendFirmware => {
                self.confirm(upgrade, plan.as_mut()).await?;
                self.all_open(upgrade, ComponentState::Confirmed);
                for component in upgrade.components.iter_mut().filter(|component| !component.state.is_done())
                {
                    component.wants_sha256 = word.wants_sha256;
                    component.reason = None;
                }
                self.active(upgrade);
                self.send_firmware(upgrade).await?;
            }
            Step::Refuse if upgrade.plan.is_none() => {
                self.end_verification(upgrade, "the device refused (status 3)").await?;
            }
            Step::Refuse => {
                self.all_open(upgrade, ComponentState::Refused);
                // Who refuses in the middle has not started: the end of the plan leaves it Not Upgraded.
                self.begin_anew(upgrade);
                let delay = plan.as_ref().map_or(0, |plan| plan.settings.strategy.refusal_delay);
                upgrade.next_offer = Some(self.now + Millis::minutes(i64::from(delay)));
                upgrade.reason = Some(word.told("the device refused"));
            }
            Step::Prove => self.prove(upgrade, index, plan.as_ref()).await?,
            Step::Done(state) => self.done(upgrade, index, state).await?,
            Step::Fail(failure) => self.fail(upgrade, index, failure, &word, plan.as_ref()).await?,
            Step::Unanswered if upgrade.confirmed.is_some() => {
                let failure = Failure::Silence(ComponentState::PlanNotReceived);
                self.fail(upgrade, index, failure, &word, plan.as_ref()).await?;
            }
            Step::Unanswered => {
                self.all_open(upgrade, ComponentState::PlanNotReceived);
                self.log(Some(upgrade), None, "decision", json!({ "text": "the offer was not answered" }))
                    .await?;
                // A plan comes back with its next mark or the device's request; a verification has its hour only.
                upgrade.next_offer = upgrade.next_offer.or(upgrade.deadline.map(|_| self.now));
            }
            Step::GiveUp => self.give_up(upgrade, index, plan.as_ref()).await?,
        }
        if upgrade.cancelled.is_some() && upgrade.ended.is_none() && !upgrade.is_outstanding() {
            self.end_cancelled(upgrade).await?;
        }
        self.save(upgrade).await?;
        match plan {
            Some(mut plan) if upgrade.ended.is_some() => self.count_end(upgrade, &mut plan).await,
            _ => Ok(()),
        }
    }

    /// The device has come to its end in the plan, which the caller has locked: the plan may have to stop by itself.
    async fn count_end(&mut self, upgrade: &Upgrade, plan: &mut Plan) -> Result<()> {
        let Some(halt) = plan.settings.strategy.halt else { return Ok(()) };
        // What users do not want says nothing about the firmware.
        if upgrade.cancelled.is_some() && upgrade.state == UpgradeState::Failed {
            return Ok(());
        }
        if !matches!(upgrade.state, UpgradeState::Upgraded | UpgradeState::Failed) {
            return Ok(());
        }
        let (finished, failed) = self.store.count_finished(plan.id, upgrade.state).await?;
        if !plan.state.offers() || !halts(halt, finished, failed) {
            return Ok(());
        }
        let why = format!("{failed} of {finished} finished devices failed, more than {} %", halt.percent);
        plan.halted = Some(why.clone());
        self.engine.apply_plan_event(&mut self.store, plan, PlanEvent::Halt).await?;
        let text = format!("the plan is {} by itself: {why}", plan.state);
        self.log(Some(upgrade), None, "decision", json!({ "text": text })).await
    }

    /// A new attempt: what was confirmed before does not count for it, unless a part of the plan is done.
    pub(super) fn begin_anew(&self, upgrade: &mut Upgrade) {
        if !upgrade.components.iter().any(|component| component.state == ComponentState::Succeeded) {
            upgrade.confirmed = None;
        }
    }

    /// The plan is over, and the device had not confirmed.
    async fn end_with_plan(&mut self, upgrade: &mut Upgrade, plan: PlanState) -> Result<()> {
        if plan == PlanState::Terminated {
            self.all_open(upgrade, ComponentState::Failed);
            return self.end_failed(upgrade, TERMINATED, "plan_over").await;
        }
        self.end_failed(upgrade, ENDED, "plan_over").await
    }

    /// The upgrade is on its way again: it waits for nothing.
    pub(super) fn active(&mut self, upgrade: &mut Upgrade) {
        upgrade.next_offer = None;
        upgrade.reason = None;
    }

    pub(super) fn set(&self, upgrade: &mut Upgrade, index: usize, state: ComponentState) {
        for (position, component) in upgrade.components.iter_mut().enumerate() {
            if position == index {
                component.state = state;
                component.proving = false;
                component.updated = self.now;
                if state.is_in_flight() {
                    component.reason = None;
                }
            } else {
                // One at a time: only the component at work has a lease.
                component.lease_until = None;
            }
        }
    }

    /// Every component that is not done gets this state, without a lease.
    pub(super) fn all_open(&self, upgrade: &mut Upgrade, state: ComponentState) {
        for component in upgrade.components.iter_mut().filter(|component| !component.state.is_done()) {
            component.state = state;
            component.proving = false;
            component.lease_until = None;
            component.updated = self.now;
        }
    }

    /// The lease of a component begins anew.
    pub(super) fn renew(&self, upgrade: &mut Upgrade, index: usize) {
        let presence = self.device.presence();
        if let Some(component) = upgrade.components.get_mut(index) {
            component.lease_until =
                lease(component.state, component.kind, presence).map(|span| self.now + span);
        }
    }

    /// Stores the upgrade with the roll-up of its components.
    pub(super) async fn save(&mut self, upgrade: &mut Upgrade) -> Result<()> {
        let ended = if upgrade.ended.is_some() { Ended::Yes } else { Ended::No };
        upgrade.state = roll_up(upgrade.components.iter().map(|component| component.state), ended);
        Ok(self.store.save_upgrade(upgrade).await?)
    }

    async fn confirm(&mut self, upgrade: &mut Upgrade, plan: Option<&mut Plan>) -> Result<()> {
        if upgrade.confirmed.is_some() {
            return Ok(());
        }
        upgrade.confirmed = Some(self.now);
        if let Some(plan) = plan.filter(|plan| !plan.state.is_over()) {
            let state = plan.state;
            self.engine.apply_plan_event(&mut self.store, plan, PlanEvent::DeviceStarts).await?;
            if plan.state != state {
                let text = format!("the plan is {}: this device is the first to confirm", plan.state);
                self.log(Some(upgrade), None, "decision", json!({ "text": text })).await?;
            }
        }
        Ok(())
    }

    /// Status 11: the version that the device reports decides.
    async fn prove(&mut self, upgrade: &mut Upgrade, index: usize, plan: Option<&Plan>) -> Result<()> {
        let Some(component) = upgrade.components.get(index) else { return Ok(()) };
        let reported = self.reported(&component.component, component.kind);
        if reported == Some(component.target.as_str()) {
            return self.done(upgrade, index, ComponentState::Succeeded).await;
        }
        self.confirm(upgrade, None).await?;
        self.set(upgrade, index, ComponentState::Upgrading);
        self.renew(upgrade, index);
        if plan.is_some_and(|plan| plan.state.is_over()) {
            self.active(upgrade);
        }
        if let Some(component) = upgrade.components.get_mut(index) {
            component.proving = true;
        }
        self.ask_versions();
        Ok(())
    }

    /// The target version is there.
    async fn done(&mut self, upgrade: &mut Upgrade, index: usize, state: ComponentState) -> Result<()> {
        let transaction = upgrade.current() == Some(index);
        let Some(component) = upgrade.components.get_mut(index) else { return Ok(()) };
        component.state = state;
        component.reason = None;
        component.proving = false;
        component.lease_until = None;
        component.updated = self.now;
        let (name, target) = (component.component.clone(), component.target.clone());
        let value = json!({ "state": state, "version": target });
        self.log(Some(upgrade), Some(&name), "success", value).await?;
        if upgrade.current().is_none() {
            upgrade.ended = Some(self.now);
            self.count_ended(upgrade, "none");
            self.active(upgrade);
            return Ok(());
        }
        match upgrade.current() {
            Some(_) if transaction && upgrade.confirmed.is_some() => self.go_on(upgrade).await,
            // The offer stands for the rest.
            Some(next) if transaction => {
                self.renew(upgrade, next);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The next component's turn, after one is done.
    async fn go_on(&mut self, upgrade: &mut Upgrade) -> Result<()> {
        let Some(next) = upgrade.current() else { return Ok(()) };
        if upgrade.cancelled.is_some() {
            return self.end_cancelled(upgrade).await;
        }
        self.active(upgrade);
        let confirmed =
            upgrade.components.get(next).is_some_and(|next| next.state == ComponentState::Confirmed);
        let told = next_component(self.device.sdk_version.as_deref());
        if confirmed && told == NextComponent::Firmware {
            return self.send_firmware(upgrade).await;
        }
        self.all_open(upgrade, ComponentState::PlanNotReceived);
        self.renew(upgrade, next);
        self.send_offer(upgrade, "next component").await
    }

    /// An attempt failed: another one later, or the end.
    async fn fail(
        &mut self,
        upgrade: &mut Upgrade,
        index: usize,
        failure: Failure,
        word: &ComponentInput,
        plan: Option<&Plan>,
    ) -> Result<()> {
        let Some(component) = upgrade.components.get_mut(index) else { return Ok(()) };
        let progress =
            if component.fetched > component.fetched_before { Progress::Made } else { Progress::None };
        let counted = counts(failure, progress);
        component.fetched_before = component.fetched;
        component.failures += u32::from(counted);
        let reason = word.told(&failure.to_string());
        component.reason = Some(reason.clone());
        let (name, failures) = (component.component.clone(), component.failures);
        // The others wait until this one has another try.
        self.all_open(upgrade, ComponentState::PlanNotReceived);
        self.set(upgrade, index, failure.state());
        upgrade.confirmed = upgrade.confirmed.or(Some(self.now));
        upgrade.reason = Some(reason.clone());
        // A firmware verification has one attempt.
        let retries = plan.map_or(0, |plan| plan.settings.strategy.retries);
        let state = plan.map_or(PlanState::Upgrading, |plan| plan.state);
        let after = match upgrade.cancelled {
            Some(_) => After::End,
            None => after_failure(failures, retries, state, self.now),
        };
        if upgrade.cancelled.is_some() {
            upgrade.reason = Some(CANCELLED.to_owned());
        }
        self.store.count(Count::Failure(failure.class()));
        let value = json!({
            "reason": reason, "counted": counted, "failures": failures, "retries": retries,
            "next": match after { After::Retry(at) => json!(at), After::End => Value::Null },
        });
        self.log(Some(upgrade), Some(&name), "failure", value).await?;
        match after {
            After::Retry(at) => {
                upgrade.next_offer = Some(at);
                let span = lease(failure.state(), ComponentKind::Mcu, Presence::Offline);
                if let Some(component) = upgrade.components.get_mut(index) {
                    component.lease_until = span.map(|span| at + span);
                }
            }
            After::End => {
                upgrade.next_offer = None;
                upgrade.ended = Some(self.now);
                let class = if upgrade.cancelled.is_some() { "cancelled" } else { failure.class() };
                self.count_ended(upgrade, class);
            }
        }
        Ok(())
    }

    /// The device did not come back for its retry in time. One that is there, or whose plan is suspended, waits on.
    async fn give_up(&mut self, upgrade: &mut Upgrade, index: usize, plan: Option<&Plan>) -> Result<()> {
        let offers = plan.is_some_and(|plan| plan.state.offers());
        if self.device.presence() == Presence::Online || !offers {
            self.renew(upgrade, index);
            return Ok(());
        }
        self.end_failed(upgrade, "the device did not come back for another attempt in 24 h", "given_up").await
    }

    /// Counts the end of an upgrade, whose components are as they stay.
    fn count_ended(&mut self, upgrade: &Upgrade, class: &'static str) {
        let state = roll_up(upgrade.components.iter().map(|component| component.state), Ended::Yes);
        self.store.count(Count::Ended { state, class, devices: 1 });
    }

    /// The upgrade has failed for good; `class` is the reason in one word, for figures.
    pub(super) async fn end_failed(
        &mut self,
        upgrade: &mut Upgrade,
        reason: &str,
        class: &'static str,
    ) -> Result<()> {
        for component in &mut upgrade.components {
            component.lease_until = None;
        }
        upgrade.reason = Some(reason.to_owned());
        upgrade.next_offer = None;
        upgrade.ended = Some(self.now);
        self.count_ended(upgrade, class);
        self.log(Some(upgrade), None, "decision", json!({ "text": reason })).await
    }

    /// The device's versions have come: they decide about every open upgrade. `proof` is the upgrade, with the place of its
    /// component, whose status 11 they came with: another plan's upgrade of the same component claimed nothing.
    pub(super) async fn take_reported_versions(&mut self, proof: Option<(UpgradeId, usize)>) -> Result<()> {
        for mut upgrade in self.store.open_upgrades(self.device.id).await? {
            for index in 0..upgrade.components.len() {
                let Some(component) = upgrade.components.get(index) else { continue };
                if component.state.is_done() {
                    continue;
                }
                let Some(reported) = self.reported(&component.component, component.kind) else { continue };
                let seen = if reported == component.target.as_str() {
                    Seen::Target
                } else if component.source.as_deref() == Some(reported) {
                    Seen::Source
                } else {
                    Seen::Other
                };
                let proves = component.proving || proof == Some((upgrade.id, index));
                let evidence = if proves { Evidence::Proof } else { Evidence::Report };
                if step(component.state, Input::Version(seen, evidence)) != Step::Stray {
                    let value = json!({ "version": reported, "target": component.target });
                    let name = component.component.clone();
                    self.log(Some(&upgrade), Some(&name), "version", value).await?;
                    let word = ComponentInput::of(Input::Version(seen, evidence));
                    self.apply(&mut upgrade, index, word).await?;
                }
            }
        }
        Ok(())
    }

    /// Leases follow the connection: what is in flight has longer while the device is away.
    pub(super) async fn follow_presence(&mut self) -> Result<()> {
        for mut upgrade in self.store.open_upgrades(self.device.id).await? {
            let mut changed = false;
            for index in 0..upgrade.components.len() {
                let Some(component) = upgrade.components.get(index) else { continue };
                let applies = component.state == ComponentState::Upgrading;
                if component.state.is_in_flight() && !applies && component.lease_until.is_some() {
                    self.renew(&mut upgrade, index);
                    changed = true;
                }
            }
            if changed {
                self.store.save_upgrade(&upgrade).await?;
            }
        }
        Ok(())
    }

    /// Leases that have run out.
    pub(super) async fn end_leases(&mut self) -> Result<()> {
        for mut upgrade in self.store.open_upgrades(self.device.id).await? {
            let over =
                |component: &ComponentUpgrade| component.lease_until.is_some_and(|until| until <= self.now);
            if let Some(index) = upgrade.components.iter().position(over) {
                self.apply(&mut upgrade, index, ComponentInput::of(Input::Silence)).await?;
            }
        }
        Ok(())
    }

    /// Offers whose time has come but that are held back: later, or never.
    pub(super) async fn put_off_due_offers(&mut self) -> Result<()> {
        for mut upgrade in self.store.open_upgrades(self.device.id).await? {
            if upgrade.next_offer.is_none_or(|at| at > self.now) {
                continue;
            }
            let Some(id) = upgrade.plan else {
                // A verification waits for the device's versions, or for the end of a plan's upgrade.
                upgrade.next_offer = Some(self.now + ANSWER_TIME);
                self.save(&mut upgrade).await?;
                continue;
            };
            let plan = self.store.plan(id).await?;
            if plan.state.is_over() {
                self.end_with_plan(&mut upgrade, plan.state).await?;
                self.save(&mut upgrade).await?;
                continue;
            }
            let (push, zone) = (plan.settings.push, plan.settings.time_zone.clone());
            if let Err(blocked) = self.evaluate(plan, Trigger::Retry).await?.verdict {
                let for_good =
                    matches!(blocked, BlockReason::Superseded { .. } | BlockReason::SourceDiffers { .. });
                if for_good && upgrade.confirmed.is_some() {
                    let mut plan = self.store.lock_plan(id).await?;
                    self.end_failed(&mut upgrade, &blocked.to_string(), "given_up").await?;
                    self.save(&mut upgrade).await?;
                    self.count_end(&upgrade, &mut plan).await?;
                    continue;
                }
                if blocked.is_for_user() {
                    // His word, or the window that he appointed, brings the next look.
                    upgrade.next_offer = None;
                    self.save(&mut upgrade).await?;
                    continue;
                }
                if blocked.is_limit() {
                    upgrade.next_offer = Some(blocked.may_change().unwrap_or(self.now + ROOM_TIME));
                    self.save(&mut upgrade).await?;
                    continue;
                }
            }
            upgrade.next_offer = match push {
                // The answer about battery and signal is on its way; the offer follows it.
                _ if matches!(self.device.asked_status, Some(StatusAsk::Waiting(_))) => {
                    Some(self.now + ANSWER_TIME)
                }
                // The marks look at it like at any other device; its delay is over.
                Push::Actively if upgrade.confirmed.is_none() => None,
                Push::Actively => Some(zone.next_mark(self.now)),
                Push::OnRequest => None,
            };
            self.save(&mut upgrade).await?;
        }
        Ok(())
    }
}
