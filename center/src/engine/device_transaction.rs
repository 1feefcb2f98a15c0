//! Everything that happens to one device at one moment, in one transaction: the facts are loaded, the rules decide, what
//! changed is saved, and the effects are carried out.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::plan_locks::{PlanLock, PlanLocks};
use super::working_set::WorkingSet;
use super::{Downlink, Engine, EngineError, Result, SessionId, TookOver};
use crate::clock::Millis;
use crate::metrics::Count;
use crate::rules::ComponentNo;
use crate::rules::limits::halt_reason;
use crate::rules::plan::{PlanEvent, PlanState};
use crate::rules::readings::StatusAsk;
use crate::rules::trigger::Trigger;
use crate::rules::upgrade::{Effect, Input, StatusQuery};
use crate::store::{
    Device, DeviceId, NewLogEntry, Plan, PlanId, ReportedVersion, StoreError, Upgrade, UpgradeId,
};

/// A locked device, with the messages that it gets after the commit.
pub(super) struct DeviceTransaction<'e> {
    pub(super) engine: &'e Engine,
    pub(super) store: WorkingSet,
    pub(super) now: Millis,
    pub(super) device: Device,
    pub(super) versions: Vec<ReportedVersion>,
    pub(super) messages: Vec<Downlink>,
    /// Plans that would be offered to the device if their limits had room.
    pub(super) full: Vec<PlanId>,
    /// Whether the device has reported another version than before.
    pub(super) has_new_versions: bool,
    /// Whether something became due for the device, which its center must learn of.
    is_due: bool,
    /// Whether an offer became due while it was offline.
    is_overdue: bool,
    locks: PlanLocks,
    /// A lock that came too late: the transaction begins again with it.
    late: Option<(PlanId, PlanLock)>,
}

/// What is done about a device that another transaction has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfLocked {
    /// Its turn is waited for.
    Wait,
    /// [`EngineError::Busy`]: what is due stays due.
    Pass,
}

/// Does the work with a locked device in one transaction, and commits it; gives what the work returns, and the messages for
/// the device. The work is done anew if the database ends the transaction for the sake of another one, or if it meets a plan
/// too late to lock it.
macro_rules! with_device {
    ($engine:expr, $device:expr, |$transaction:ident| $work:expr) => {
        with_device!($engine, $device, $crate::engine::device_transaction::IfLocked::Wait, |$transaction| {
            $work
        })
    };
    ($engine:expr, $device:expr, $if_locked:expr, |$transaction:ident| $work:expr) => {{
        let mut attempts = $crate::engine::transaction::Attempts::default();
        let mut locks = $crate::engine::plan_locks::PlanLocks::default();
        loop {
            let outcome = match $engine.transaction($device, $if_locked, locks.clone()).await {
                Ok(mut transaction) => {
                    let $transaction = &mut transaction;
                    let done: $crate::engine::Result<_> = async { $work }.await;
                    transaction.conclude(done, &mut locks).await
                }
                Err(error) => Err(error),
            };
            match outcome {
                Err(error) if $engine.may_retry(&mut attempts, &error).await => {}
                outcome => break outcome,
            }
        }
    }};
}
pub(super) use with_device;

impl Engine {
    pub(super) async fn transaction(
        &self,
        id: DeviceId,
        if_locked: IfLocked,
        locks: PlanLocks,
    ) -> Result<DeviceTransaction<'_>> {
        let mut store = self.working_set(&[id], if_locked == IfLocked::Pass, &locks).await?;
        let found = store.device(id)?.ok_or_else(|| match if_locked {
            IfLocked::Wait => StoreError::missing("device", id.0).into(),
            IfLocked::Pass => EngineError::Busy(id),
        })?;
        Ok(DeviceTransaction::over(self, store, found, locks))
    }
}

/// What is left of a device's part in a transaction.
pub(super) struct Ended {
    pub(super) store: WorkingSet,
    pub(super) messages: Vec<Downlink>,
    pub(super) full: Vec<PlanId>,
    pub(super) is_due: bool,
    /// Whether an offer became due while it was offline.
    pub(super) is_overdue: bool,
    /// The center that is to learn of it.
    pub(super) wakes: Option<String>,
}

impl<'e> DeviceTransaction<'e> {
    pub(super) fn over(
        engine: &'e Engine,
        store: WorkingSet,
        (device, versions): (Device, Vec<ReportedVersion>),
        locks: PlanLocks,
    ) -> Self {
        DeviceTransaction {
            engine,
            store,
            now: engine.clock.now(),
            device,
            versions,
            messages: Vec::new(),
            full: Vec::new(),
            has_new_versions: false,
            is_due: false,
            is_overdue: false,
            locks,
            late: None,
        }
    }

    /// Ends the device's part; after an error nothing is left of the transaction but a lock that came too late.
    pub(super) fn end(mut self, done: Result<()>, locks: &mut PlanLocks) -> Result<Ended> {
        if let Some((plan, lock)) = self.late {
            locks.add(plan, lock);
        }
        done?;
        let holder = self.device.center.clone().filter(|_| self.is_due);
        let wakes = holder.filter(|center| **center != *self.engine.owner);
        self.store.save_device(self.device);
        *locks = self.locks;
        Ok(Ended {
            store: self.store,
            messages: self.messages,
            full: self.full,
            is_due: self.is_due,
            is_overdue: self.is_overdue,
            wakes,
        })
    }
}

impl DeviceTransaction<'_> {
    /// Commits what is done, and adds the messages for the device; after an error nothing is left of it but a lock that
    /// came too late.
    pub(super) async fn conclude<T>(
        self,
        done: Result<T>,
        locks: &mut PlanLocks,
    ) -> Result<(T, Vec<Downlink>)> {
        let (engine, device) = (self.engine, self.device.id);
        let (done, outcome) = match done {
            Ok(done) => (Some(done), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let mut ended = self.end(outcome, locks)?;
        if let Some(center) = &ended.wakes {
            ended.store.beside().wake(center).await?;
        }
        ended.store.commit().await?;
        if ended.is_due {
            engine.wake.due();
        }
        for plan in ended.full {
            engine.waiting.add(plan, device);
        }
        // Without it there was an error above.
        let done = done.ok_or(EngineError::Interrupted)?;
        Ok((done, ended.messages))
    }

    /// A new connection has the device.
    pub(super) async fn come_online(
        &mut self,
        session: SessionId,
        peer: Option<String>,
        took_over: TookOver,
    ) -> Result<()> {
        let before = &self.device;
        if before.forbidden.is_some() {
            return Err(EngineError::Forbidden);
        }
        // The one that was closed here for this one may have said already that it is gone.
        let took_over = before.session.is_some() || took_over == TookOver::Yes;
        if let (Some(center), Some(older)) = (&before.center, &before.session)
            && *center != *self.engine.owner
        {
            self.store.beside().take_over(center, self.device.id, older).await?;
        }
        let device = &mut self.device;
        device.session = Some(session.to_string());
        device.center = Some(self.engine.owner.to_string());
        if let Some(since) = device.online_since {
            device.past_connections.add(since, device.offline_since.unwrap_or(self.now));
        }
        (device.online_since, device.offline_since) = (Some(self.now), None);
        device.last_seen = Some(self.now);
        // What it reported before is not of this connection.
        (device.versions_at, device.asked_status, device.last_uplink) = (None, None, None);
        device.peer_before = std::mem::replace(&mut device.peer, peer);
        if took_over {
            device.takeovers = device.takeovers.and_one_more(self.now);
        }
        for reading in [&mut device.battery, &mut device.rsrp].into_iter().flatten() {
            reading.at = None;
        }
        if took_over {
            self.takes_over().await?;
        }
        let open = self.store.open_upgrades(self.device.id);
        self.is_overdue = open.iter().any(|upgrade| upgrade.next_offer.is_some_and(|at| at <= self.now));
        self.follow_presence().await
    }

    /// The connection has ended; a newer one may have the device.
    pub(super) async fn go_offline(&mut self, session: &SessionId) -> Result<()> {
        let device = &mut self.device;
        if device.session.as_deref() != Some(&*session.to_string()) {
            return Ok(());
        }
        (device.session, device.center) = (None, None);
        device.offline_since = Some(self.now);
        self.follow_presence().await
    }

    /// The plan as it stays until the end of the transaction, apart from what this one does to it.
    pub(super) async fn lock_plan(&mut self, id: PlanId, lock: PlanLock) -> Result<Arc<Plan>> {
        if !self.engine.is_shared() || self.locks.cover(id, lock) {
            return self.store.plan(self.device.id, id).await;
        }
        if !self.locks.allow(id) {
            return Err(self.late_lock(id, lock));
        }
        let plan = self.store.lock_plan(id, lock).await?;
        self.locks.add(id, lock);
        Ok(plan)
    }

    /// Something is due for the device from the commit on.
    pub(super) fn becomes_due(&mut self) {
        self.is_due = true;
    }

    /// The plan is about to be changed.
    fn check_exclusive(&mut self, id: PlanId) -> Result<()> {
        if !self.engine.is_shared() || self.locks.cover(id, PlanLock::Exclusive) {
            return Ok(());
        }
        Err(self.late_lock(id, PlanLock::Exclusive))
    }

    fn late_lock(&mut self, id: PlanId, lock: PlanLock) -> EngineError {
        self.late = Some((id, lock));
        EngineError::LateLock(id)
    }

    pub(super) async fn log(
        &mut self,
        upgrade: Option<&Upgrade>,
        component: Option<&ComponentNo>,
        kind: &'static str,
        value: impl Serialize,
    ) -> Result<()> {
        self.log_about(upgrade.map(|upgrade| upgrade.id), component, kind, value).await
    }

    pub(super) async fn log_about(
        &mut self,
        upgrade: Option<UpgradeId>,
        component: Option<&ComponentNo>,
        kind: &'static str,
        value: impl Serialize,
    ) -> Result<()> {
        let value = serde_json::to_string(&value).map_err(|error| StoreError::Unusable(error.to_string()))?;
        let entry =
            NewLogEntry { device: self.device.id, upgrade, component: component.cloned(), kind, value };
        self.store.log(entry, self.now).await
    }

    /// The upgrade's plan, locked against a change of its state.
    pub(super) async fn lock_plan_of(&mut self, upgrade: &Upgrade) -> Result<Option<Arc<Plan>>> {
        let Some(id) = upgrade.plan else { return Ok(None) };
        let plan = self.store.plan(self.device.id, id).await?;
        let starts = upgrade.confirmed.is_none()
            && (plan.state == PlanState::Activated || plan.suspended_from == Some(PlanState::Activated));
        let strategy = &plan.settings.strategy;
        let is_counted = starts || strategy.has_limits() || strategy.halt.is_some();
        let lock = if is_counted { PlanLock::Exclusive } else { PlanLock::Shared };
        Ok(Some(self.lock_plan(id, lock).await?))
    }

    /// Applies `input` to an open upgrade, with its plan locked.
    pub(super) async fn apply_locked(&mut self, upgrade: &mut Upgrade, input: Input) -> Result<()> {
        let mut plan = self.lock_plan_of(upgrade).await?;
        // Terminating or ending the plan may have ended the upgrade before the lock.
        *upgrade = self.store.upgrade(upgrade.id).await?;
        self.apply(upgrade, plan.as_mut(), input).await
    }

    /// Applies `input`: the rules decide, the upgrade is saved if it changed, and the effects are carried out.
    pub(super) async fn apply(
        &mut self,
        upgrade: &mut Upgrade,
        mut plan: Option<&mut Arc<Plan>>,
        input: Input,
    ) -> Result<()> {
        let (before, state) = (upgrade.clone(), upgrade.state);
        let facts = plan.as_deref().map(|plan| plan.facts());
        let effects = upgrade.apply(input, facts, &self.device.facts(&self.versions), self.now);
        if upgrade.is_new() {
            *upgrade = self.store.create_upgrade(upgrade.clone()).await?;
        } else if *upgrade != before {
            self.store.save_upgrade(before, upgrade);
        }
        self.announce_upgrade(state, upgrade);
        for effect in effects {
            self.carry_out(upgrade, plan.as_deref_mut(), effect).await?;
        }
        Ok(())
    }

    async fn carry_out(
        &mut self,
        upgrade: &Upgrade,
        plan: Option<&mut Arc<Plan>>,
        effect: Effect,
    ) -> Result<()> {
        match effect {
            Effect::Log { component, kind, value } => {
                self.log(Some(upgrade), component.as_ref(), kind, value).await?;
            }
            Effect::SendOffer { positions, why } => {
                self.send_offer(upgrade, plan.as_deref().map(Arc::as_ref), &positions, why).await?;
            }
            Effect::SendFirmware { position } => self.send_firmware(upgrade, position).await?,
            Effect::AskVersions => self.ask_versions(),
            Effect::Plan(event) => {
                if let Some(plan) = plan {
                    self.check_exclusive(plan.id)?;
                    let changed = Arc::make_mut(plan);
                    self.engine.apply_plan_event(self.store.direct().await?, changed, event).await?;
                    self.store.changed_plan(plan);
                }
            }
            Effect::CountFailure { class } => self.store.count(Count::Failure(class)),
            Effect::CountEnd { state, class } => self.store.count(Count::Ended { state, class, devices: 1 }),
            Effect::CountFinished => {
                if let Some(plan) = plan {
                    self.check_exclusive(plan.id)?;
                    let counts = self.store.beside().count_finished(plan.id, upgrade.state).await?;
                    self.halt_above(counts, upgrade, plan).await?;
                }
            }
            Effect::CountReverted => {
                if let Some(plan) = plan {
                    self.check_exclusive(plan.id)?;
                    let counts = self.store.beside().count_reverted(plan.id).await?;
                    self.halt_above(counts, upgrade, plan).await?;
                }
            }
            Effect::UncountFailed => {
                if let Some(plan) = upgrade.plan {
                    self.check_exclusive(plan)?;
                    self.store.beside().uncount_failed(plan).await?;
                }
            }
        }
        Ok(())
    }

    /// Halts a locked plan above its share of failures, with so many finished and failed devices.
    async fn halt_above(
        &mut self,
        (finished, failed): (u32, u32),
        upgrade: &Upgrade,
        plan: &mut Arc<Plan>,
    ) -> Result<()> {
        let halt = plan.settings.strategy.halt.filter(|_| plan.state.offers());
        let Some(why) = halt.and_then(|halt| halt_reason(halt, finished, failed)) else { return Ok(()) };
        let halted = Arc::make_mut(plan);
        halted.halted = Some(why.clone());
        self.engine.apply_plan_event(self.store.direct().await?, halted, PlanEvent::Halt).await?;
        self.store.changed_plan(plan);
        let text = format!("the plan is {} by itself: {why}", plan.state);
        self.log(Some(upgrade), None, "decision", json!({ "text": text })).await
    }

    /// Applies the device's reported versions to every open upgrade. `proof`: the upgrade, with the position of its
    /// component, whose status 11 they came with; another plan's upgrade of the same component claimed nothing.
    pub(super) async fn apply_versions(&mut self, proof: Option<(UpgradeId, usize)>) -> Result<()> {
        for mut upgrade in self.store.open_upgrades(self.device.id) {
            let proof = proof.filter(|(id, _)| *id == upgrade.id).map(|(_, position)| position);
            if upgrade.reacts_to_versions(&self.device.facts(&self.versions), proof) {
                self.apply_locked(&mut upgrade, Input::Versions { proof }).await?;
            }
        }
        if self.has_new_versions {
            self.has_new_versions = false;
            self.check_success().await?;
        }
        Ok(())
    }

    /// Firmware that did not last: a plan that is not over takes back its success. Only the last upgrade of a component
    /// has anything to say about its version.
    async fn check_success(&mut self) -> Result<()> {
        let facts = self.device.facts(&self.versions);
        let is_reverted = |upgrade: &Upgrade| upgrade.plan.is_some() && !upgrade.reverted(&facts).is_empty();
        // Those of plans that are not over are known.
        if !self.store.known_upgrades(self.device.id).any(is_reverted) {
            return Ok(());
        }
        let upgrades = self.store.device_upgrades(self.device.id).await?;
        for (number, upgrade) in upgrades.iter().enumerate() {
            let reverted = upgrade.reverted(&self.device.facts(&self.versions));
            let later = upgrades.get(number + 1..).unwrap_or_default();
            let is_last = |position: &usize| {
                let component = upgrade.components.get(*position).map(|component| &component.component);
                !later
                    .iter()
                    .flat_map(|other| &other.components)
                    .any(|other| Some(&other.component) == component)
            };
            let Some(id) = upgrade.plan.filter(|_| !reverted.is_empty() && reverted.iter().all(is_last))
            else {
                continue;
            };
            if self.store.plan(self.device.id, id).await?.state.is_over() {
                continue;
            }
            let mut upgrade = upgrade.clone();
            self.apply_locked(&mut upgrade, Input::Reversion).await?;
        }
        Ok(())
    }

    /// Leases follow the connection.
    pub(super) async fn follow_presence(&mut self) -> Result<()> {
        for mut upgrade in self.store.open_upgrades(self.device.id) {
            if let Some(plan) = upgrade.plan {
                // Terminating or ending the plan may have ended the upgrade before the lock.
                self.lock_plan(plan, PlanLock::Shared).await?;
                upgrade = self.store.upgrade(upgrade.id).await?;
                if upgrade.ended.is_some() {
                    continue;
                }
            }
            self.apply(&mut upgrade, None, Input::PresenceChange).await?;
        }
        Ok(())
    }

    /// Ends the leases that have run out.
    pub(super) async fn end_leases(&mut self) -> Result<()> {
        for mut upgrade in self.store.open_upgrades(self.device.id) {
            if upgrade.has_lease_over(self.now) {
                self.apply_locked(&mut upgrade, Input::LeaseCheck).await?;
            }
        }
        Ok(())
    }

    /// Postpones the offers that are due and were not made; an upgrade whose plan is over ends.
    pub(super) async fn postpone_due_offers(&mut self) -> Result<()> {
        for mut upgrade in self.store.open_upgrades(self.device.id) {
            if upgrade.next_offer.is_none_or(|at| at > self.now) {
                continue;
            }
            let mut plan = self.lock_plan_of(&upgrade).await?;
            upgrade = self.store.upgrade(upgrade.id).await?;
            let blocked = match plan.clone().filter(|plan| !plan.state.is_over()) {
                Some(plan) => self.evaluate(&plan, Trigger::Retry).await?.verdict.err(),
                None => None,
            };
            let status = match self.device.asked_status {
                Some(StatusAsk::Waiting(_)) => StatusQuery::Pending,
                _ => StatusQuery::None,
            };
            self.apply(&mut upgrade, plan.as_mut(), Input::OfferPostponed { blocked, status }).await?;
        }
        Ok(())
    }
}
