//! The transitions of an upgrade, one method for each thing that happens.

use serde_json::{Value, json};

use super::effect::Effect;
use super::input::{Offered, PlanFacts, StatusQuery, StatusReport};
use super::{ComponentUpgrade, Phase, Upgrade};
use crate::clock::Millis;
use crate::rules::applicability::ComponentFacts;
use crate::rules::block_reason::BlockReason;
use crate::rules::component_fsm::{
    After, ComponentInput, Failure, NextComponent, Patience, Progress, Step, after_failed_download,
    after_failure, counts, next_component, step,
};
use crate::rules::device::{DeviceFacts, Knowledge};
use crate::rules::plan::{ENDED, PlanEvent, PlanState, Push, TERMINATED, next_state};
use crate::rules::progress::{ComponentState, Ended, Presence, UpgradeState, lease, roll_up};
use crate::rules::trigger::Trigger;
use crate::rules::upgrade::VERIFICATION_TIME;
use crate::rules::upgrade::{CANCELLED, UserAction};
use crate::rules::{ComponentKind, ComponentNo};

/// What shows that a component is done, for the log.
const TARGET_REPORTED: &str = "target version reported";
/// A device may report the target while pieces of its image are still missing.
const NOT_UPDATED: &str = "the device never said that the firmware is whole and that it updates (status 9)";
/// Time until an offer is tried again that the limits of its plan blocked without naming a time.
const LIMIT_RECHECK: Millis = Millis::seconds(10);
/// Time that a device has to answer a question before its offer is tried again.
const ANSWER_TIME: Millis = Millis::seconds(30);

/// One change of an upgrade.
pub(super) struct Transition<'a> {
    pub(super) upgrade: &'a mut Upgrade,
    pub(super) plan: Option<PlanFacts<'a>>,
    pub(super) device: &'a DeviceFacts<'a>,
    pub(super) now: Millis,
    pub(super) effects: Vec<Effect>,
}

// What the device reports.
impl Transition<'_> {
    pub(super) fn status(&mut self, report: StatusReport) {
        let StatusReport { position, status, wants_sha256, reason } = report;
        self.component(position, ComponentInput::Status(status), wants_sha256, reason.as_deref());
    }

    /// Every component whose reported version decides something, in order.
    pub(super) fn versions(&mut self, proof: Option<usize>) {
        for position in 0..self.upgrade.components.len() {
            let Some((input, value)) = self.upgrade.version_step(position, self.device, proof) else {
                continue;
            };
            self.log_component(position, "version", value);
            self.component(position, input, false, None);
        }
    }

    /// Carries out the step of the component table; `said` is the device's own reason.
    fn component(&mut self, position: usize, input: ComponentInput, wants_sha256: bool, said: Option<&str>) {
        if self.upgrade.ended.is_some() {
            return;
        }
        let Some(component) = self.upgrade.components.get(position) else { return };
        match step(component.state, input) {
            Step::Stray => {}
            Step::Heartbeat => {
                if component.lease_until.is_some() {
                    self.renew(position);
                }
            }
            Step::Move(ComponentState::PlanReceived) => self.receive_plan(position),
            Step::Move(state) => {
                self.confirm();
                self.set(position, state);
                self.renew(position);
                self.clear_wait();
            }
            // The device is back at the beginning, and its user has cancelled.
            Step::SendFirmware if self.upgrade.cancelled.is_some() => self.end_cancelled(),
            Step::SendFirmware => {
                self.confirm();
                self.set_open(ComponentState::Confirmed);
                for component in self.open_components() {
                    component.wants_sha256 = wants_sha256;
                    component.reason = None;
                }
                self.clear_wait();
                self.send_firmware();
            }
            Step::Refuse if self.upgrade.plan.is_none() => {
                self.end_verification("the device refused (status 3)");
            }
            Step::Refuse => {
                self.set_open(ComponentState::Refused);
                // A refusal in the middle counts as not started: the end of the plan leaves the device Not Upgraded.
                self.begin_anew();
                let delay = self.plan.map_or(0, |plan| plan.settings.strategy.refusal_delay);
                self.upgrade.next_offer = Some(self.now + Millis::minutes(i64::from(delay)));
                self.upgrade.reason = Some(with_reason("the device refused", said));
            }
            Step::Prove => self.prove(position),
            // A lost report of an earlier attempt: the version is there because of this upgrade.
            Step::Done(ComponentState::NotRequired) if self.was_attempted(position) => {
                self.done(position, ComponentState::Succeeded, TARGET_REPORTED);
            }
            Step::Done(state) => self.done(position, state, TARGET_REPORTED),
            Step::Fail(Failure::Device) if self.was_interrupted(position) => {
                self.fail(position, Failure::Interrupted, said);
            }
            Step::Fail(failure) => self.fail(position, failure, said),
            // SDK 2.9 may confirm and take the offer in one moment, in either order.
            Step::Restart(ComponentState::Confirmed) if !self.has_reconnected(position) => {
                self.receive_plan(position);
            }
            Step::Restart(state) => {
                self.fail(position, Failure::Restarted(state), said);
                if self.upgrade.ended.is_none() {
                    self.receive_plan(position);
                }
            }
            Step::Unanswered if self.upgrade.confirmed.is_some() => {
                self.fail(position, Failure::Silence(ComponentState::PlanNotReceived), said);
            }
            Step::Unanswered => {
                self.set_open(ComponentState::PlanNotReceived);
                self.decide("the offer was not answered");
                // A plan is offered again at its next mark or at a request; a verification has an hour only.
                let retry = self.upgrade.deadline.map(|_| self.now);
                self.upgrade.next_offer = self.upgrade.next_offer.or(retry);
            }
            Step::GiveUp => self.give_up(position),
        }
        let upgrade = &self.upgrade;
        if upgrade.cancelled.is_some() && upgrade.ended.is_none() && !upgrade.is_outstanding() {
            self.end_cancelled();
        }
    }

    fn receive_plan(&mut self, position: usize) {
        self.set_open(ComponentState::PlanReceived);
        self.begin_anew();
        self.renew(self.upgrade.current().unwrap_or(position));
        self.clear_wait();
    }

    /// Whether the device has connected anew since the component came to its state.
    fn has_reconnected(&self, position: usize) -> bool {
        self.upgrade
            .components
            .get(position)
            .is_some_and(|component| self.device.online_since.is_some_and(|since| since > component.updated))
    }

    /// The first confirmation of the upgrade starts the plan.
    fn confirm(&mut self) {
        if self.upgrade.confirmed.is_some() {
            return;
        }
        self.upgrade.confirmed = Some(self.now);
        let Some(plan) = self.plan else { return };
        // A plan that is over has no such event: the device finishes all the same.
        let Ok(next) = next_state(plan.state, PlanEvent::DeviceStarts, plan.suspended_from) else { return };
        // A suspended plan resumes as what it was.
        if plan.suspended_from.unwrap_or(plan.state) == PlanState::Upgrading {
            return;
        }
        self.effects.push(Effect::Plan(PlanEvent::DeviceStarts));
        if next != plan.state {
            self.decide(&format!("the plan is {next}: this device is the first to confirm"));
        }
    }

    /// Status 11: the reported version decides; the device is asked for it if it is not the target yet.
    fn prove(&mut self, position: usize) {
        let Some(component) = self.upgrade.components.get(position) else { return };
        let reported = component.reported_by(self.device);
        if reported == Some(component.target.as_str()) {
            return self.done(position, ComponentState::Succeeded, "status 11 with the target version");
        }
        self.upgrade.confirmed.get_or_insert(self.now);
        self.set(position, ComponentState::Upgrading);
        self.renew(position);
        if self.plan.is_some_and(|plan| plan.state.is_over()) {
            self.clear_wait();
        }
        if let Some(component) = self.upgrade.components.get_mut(position) {
            component.proving = true;
        }
        self.effects.push(Effect::AskVersions);
    }

    /// The component has its target version.
    fn done(&mut self, position: usize, state: ComponentState, evidence: &str) {
        let was_current = self.upgrade.current() == Some(position);
        let now = self.now;
        let Some(component) = self.upgrade.components.get_mut(position) else { return };
        let has_updated = component.state == ComponentState::Upgrading || !component.state.is_in_flight();
        component.state = state;
        component.reason = None;
        component.proving = false;
        component.lease_until = None;
        component.updated = now;
        let mut value = json!({ "state": state, "version": component.target, "evidence": evidence });
        if !has_updated {
            value["warning"] = json!(NOT_UPDATED);
        }
        self.log_component(position, "success", value);
        match self.upgrade.current() {
            None => {
                self.upgrade.ended = Some(self.now);
                self.count_end("none");
                self.clear_wait();
            }
            Some(next) if was_current && self.upgrade.confirmed.is_some() => self.start_component(next),
            // The offer stands for the rest.
            Some(next) if was_current => self.renew(next),
            Some(_) => {}
        }
    }

    /// Whether the device has connected anew since it was last at work on the component, before it applied the firmware.
    fn was_interrupted(&self, position: usize) -> bool {
        let Some(component) = self.upgrade.components.get(position) else { return false };
        component.state.is_in_flight()
            && component.state != ComponentState::Upgrading
            && self.has_reconnected(position)
    }

    /// Whether the device has worked on the component in an earlier attempt.
    fn was_attempted(&self, position: usize) -> bool {
        self.upgrade
            .components
            .get(position)
            .is_some_and(|component| component.failures > 0 || component.fetched > 0)
    }

    /// The next component, after one is done.
    fn start_component(&mut self, next: usize) {
        if self.upgrade.cancelled.is_some() {
            return self.end_cancelled();
        }
        self.clear_wait();
        let confirmed =
            self.upgrade.components.get(next).is_some_and(|next| next.state == ComponentState::Confirmed);
        if confirmed && next_component(self.device.sdk_version) == NextComponent::Firmware {
            return self.send_firmware();
        }
        self.set_open(ComponentState::PlanNotReceived);
        self.renew(next);
        self.send_offer("next component");
    }

    /// The firmware did not last: the device has gone back to the version of before by itself.
    pub(super) fn revert(&mut self) {
        for position in self.upgrade.reverted(self.device) {
            let Some(component) = self.upgrade.components.get_mut(position) else { continue };
            let version = component.reported_by(self.device).unwrap_or_default();
            let reason = format!("reported {version} after success");
            component.state = ComponentState::Failed;
            component.reason = Some(reason.clone());
            component.failures += 1;
            component.updated = self.now;
            let failures = component.failures;
            self.upgrade.reason = Some(reason.clone());
            self.effects.push(Effect::CountFailure { class: "reverted" });
            let value =
                json!({ "reason": reason, "counted": true, "failures": failures, "next": Value::Null });
            self.log_component(position, "failure", value);
        }
        if self.plan.is_some_and(|plan| plan.settings.strategy.halt.is_some()) {
            self.effects.push(Effect::CountReverted);
        }
    }

    /// A failed attempt: another one later, or the end.
    fn fail(&mut self, position: usize, failure: Failure, said: Option<&str>) {
        let cancelled = self.upgrade.cancelled.is_some();
        let Some(component) = self.upgrade.components.get_mut(position) else { return };
        let progress =
            if component.fetched > component.fetched_before { Progress::Made } else { Progress::None };
        let patience = Patience::of(self.device.sdk_version);
        let counted = counts(failure, progress, patience);
        component.fetched_before = component.fetched;
        component.failures += u32::from(counted);
        let failures = component.failures;
        let reason = with_reason(&failure.to_string(), said);
        component.reason = Some(reason.clone());
        // The others wait for the next attempt of this one.
        self.set_open(ComponentState::PlanNotReceived);
        self.set(position, failure.state());
        self.upgrade.confirmed.get_or_insert(self.now);
        self.upgrade.reason = Some(if cancelled { CANCELLED.to_owned() } else { reason.clone() });
        // A firmware verification has one attempt.
        let retries = self.plan.map_or(0, |plan| plan.settings.strategy.retries);
        let plan = self.plan.map_or(PlanState::Upgrading, |plan| plan.state);
        let mut after = if cancelled { After::End } else { after_failure(failures, retries, plan, self.now) };
        if failure == Failure::Download && patience == Patience::Device {
            after = after_failed_download(after, self.now);
        }
        self.effects.push(Effect::CountFailure { class: failure.class() });
        let value = json!({
            "reason": reason, "counted": counted, "failures": failures, "retries": retries,
            "next": match after { After::Retry(at) => json!(at), After::End => Value::Null },
        });
        self.log_component(position, "failure", value);
        match after {
            After::Retry(at) => {
                self.upgrade.next_offer = Some(at);
                self.wait_for_return(position, failure.state(), at);
            }
            After::End => {
                self.upgrade.next_offer = None;
                self.upgrade.ended = Some(self.now);
                self.count_end(if cancelled { "cancelled" } else { failure.class() });
            }
        }
    }

    /// A device that does not come back for another attempt has a day from `since` on.
    fn wait_for_return(&mut self, position: usize, state: ComponentState, since: Millis) {
        let span = lease(state, ComponentKind::Mcu, Presence::Offline);
        if let Some(component) = self.upgrade.components.get_mut(position) {
            component.lease_until = span.map(|span| since + span);
        }
    }
}

// What time does.
impl Transition<'_> {
    pub(super) fn check_lease(&mut self) {
        let now = self.now;
        let over = self.upgrade.components.iter().position(|component| component.is_lease_over(now));
        if let Some(position) = over {
            self.component(position, ComponentInput::Silence, false, None);
        }
    }

    /// Leases of work in flight are longer while the device is offline. A device is offline when it applies its firmware:
    /// that lease stays.
    pub(super) fn follow_presence(&mut self) {
        for position in 0..self.upgrade.components.len() {
            let Some(component) = self.upgrade.components.get(position) else { continue };
            let applies = component.state == ComponentState::Upgrading;
            if component.state.is_in_flight() && !applies && component.lease_until.is_some() {
                self.renew(position);
            }
        }
    }

    /// The device did not come back for another attempt. One that is online, or whose plan is suspended, waits on.
    fn give_up(&mut self, position: usize) {
        let offers = self.plan.is_some_and(|plan| plan.state.offers());
        if self.device.presence == Presence::Online || !offers {
            return self.renew(position);
        }
        self.end_failed("the device did not come back for another attempt in 24 h", "given_up");
    }

    pub(super) fn end_late_verification(&mut self) {
        let was = match self.upgrade.components.first().map(|component| component.state) {
            Some(ComponentState::PlanNotReceived) if !self.upgrade.is_outstanding() => {
                "was not offered: offline, or busy with a plan".to_owned()
            }
            Some(state) => format!("was at {state}"),
            None => "had no component".to_owned(),
        };
        let minutes = VERIFICATION_TIME.0 / 60_000;
        self.end_verification(&format!("not finished within {minutes} minutes; the device {was}"));
    }
}

// Offers.
impl Transition<'_> {
    pub(super) fn offer(&mut self, components: Vec<(ComponentFacts, Offered)>, trigger: Trigger) {
        let before = std::mem::take(&mut self.upgrade.components);
        for (position, (facts, offered)) in components.into_iter().enumerate() {
            let component = ComponentUpgrade::new(facts, offered, before.get(position), self.now);
            self.upgrade.components.push(component);
        }
        self.begin_anew();
        self.clear_wait();
        if let Some(current) = self.upgrade.current() {
            self.renew(current);
        }
        self.send_offer(trigger.as_str());
    }

    pub(super) fn offer_verification(&mut self) {
        if let Some(component) = self.upgrade.components.first_mut() {
            component.source = component.reported_by(self.device).map(str::to_owned);
        }
        self.upgrade.next_offer = None;
        self.renew(0);
        self.send_offer("firmware verification");
    }

    /// A device that applied its firmware and asks with another version than the target has failed; so has one that asks
    /// when its plan is not offered again. Before that, its answer to another offer decides what becomes of the attempt.
    pub(super) fn request(&mut self, blocked: Option<&BlockReason>) {
        let attempt = self.upgrade.current().and_then(|current| {
            let component = self.upgrade.components.get(current)?;
            let reported = component.reported_by(self.device);
            let returned = component.state == ComponentState::Upgrading
                && self.device.versions == Knowledge::Fresh
                && reported.is_some_and(|reported| reported != component.target.as_str());
            let ends = component.state.is_in_flight() && (returned || blocked.is_some());
            ends.then_some((current, component.state))
        });
        match attempt {
            Some((current, state)) => {
                let why = blocked.map(ToString::to_string);
                self.fail(current, Failure::Restarted(state), why.as_deref());
            }
            None => self.offer_again(),
        }
    }

    /// The answer of the device decides what becomes of an attempt in flight.
    pub(super) fn offer_again(&mut self) {
        if let Some(current) = self.upgrade.current()
            && self.upgrade.components.get(current).is_some_and(|current| !current.state.is_in_flight())
        {
            self.renew(current);
        }
        self.send_offer("again");
    }

    pub(super) fn withdraw(&mut self) {
        if self.upgrade.is_outstanding() {
            self.clear_leases();
        }
    }

    /// When the offer is tried again; an upgrade whose plan is over ends.
    pub(super) fn postpone_offer(&mut self, blocked: Option<BlockReason>, status: StatusQuery) {
        let Some(plan) = self.plan else {
            // A verification waits for the device's versions, or for the end of a plan's upgrade.
            self.upgrade.next_offer = Some(self.now + ANSWER_TIME);
            return;
        };
        if plan.state.is_over() {
            return self.end_with_plan(plan.state);
        }
        let confirmed = self.upgrade.confirmed.is_some();
        self.upgrade.next_offer = match blocked {
            Some(reason) if reason.is_final() && confirmed => {
                return self.end_failed(&reason.to_string(), "given_up");
            }
            // The user's consent, or the opening of the appointed window, brings the next evaluation.
            Some(reason) if reason.is_for_user() => None,
            Some(reason) if reason.is_limit() => {
                Some(reason.may_change().unwrap_or(self.now + LIMIT_RECHECK))
            }
            // The answer about battery and signal is on its way; the offer follows it.
            _ if status == StatusQuery::Pending => Some(self.now + ANSWER_TIME),
            // The marks offer it as to any other device.
            _ if plan.settings.push == Push::OnRequest || !confirmed => None,
            _ => Some(plan.settings.time_zone.next_mark(self.now)),
        };
    }

    /// The plan is over before the device's next attempt.
    fn end_with_plan(&mut self, plan: PlanState) {
        if plan == PlanState::Terminated {
            self.set_open(ComponentState::Failed);
            return self.end_failed(TERMINATED, "plan_over");
        }
        self.end_failed(ENDED, "plan_over");
    }

    fn send_offer(&mut self, why: &'static str) {
        let open = self.upgrade.components.iter().enumerate().filter(|(_, part)| !part.state.is_done());
        let positions: Vec<usize> = open.map(|(position, _)| position).collect();
        if !positions.is_empty() {
            self.effects.push(Effect::SendOffer { positions, why });
        }
    }

    fn send_firmware(&mut self) {
        let Some(position) = self.upgrade.current() else { return };
        self.renew(position);
        self.effects.push(Effect::SendFirmware { position });
    }
}

// What end users and operators do.
impl Transition<'_> {
    pub(super) fn cancel(&mut self) {
        let is_at_work = self.upgrade.phase() == Phase::AtWork;
        self.upgrade.cancelled = Some(self.now);
        self.log_user(UserAction::Cancel);
        if is_at_work {
            // Nothing tells a device to stop: it gets no more bytes, and what it reports next decides.
            self.upgrade.reason = Some(CANCELLED.to_owned());
        } else {
            self.end_cancelled();
        }
    }

    pub(super) fn user_retry(&mut self) {
        self.log_user(UserAction::Retry);
        self.reopen();
    }

    pub(super) fn operator_retry(&mut self) {
        const REASON: &str = "the operator tries it again";
        self.uncount();
        self.reopen();
        // A device of which a part is done is upgrading: it has a day to come back, as after any failure.
        if self.upgrade.confirmed.is_some()
            && let Some(current) = self.upgrade.current()
        {
            if let Some(component) = self.upgrade.components.get_mut(current) {
                component.state = ComponentState::Failed;
            }
            self.wait_for_return(current, ComponentState::Failed, self.now);
        }
        self.upgrade.next_offer = Some(self.now);
        self.upgrade.reason = Some(REASON.to_owned());
        self.decide(REASON);
    }

    pub(super) fn skip(&mut self, why: &str) {
        self.uncount();
        self.clear_leases();
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let reason = format!("left out by the operator{why}");
        self.upgrade.next_offer = None;
        if self.upgrade.ended.is_none() {
            self.effects.push(Effect::CountEnd { state: UpgradeState::NotUpgraded, class: "left_out" });
        }
        self.upgrade.ended = Some(self.now);
        self.upgrade.reason = Some(reason.clone());
        self.decide(&reason);
    }

    /// A failure that is tried again or left out does not count for the plan's halt any more.
    fn uncount(&mut self) {
        if self.upgrade.phase() == Phase::Ended(UpgradeState::Failed) && self.upgrade.cancelled.is_none() {
            self.effects.push(Effect::UncountFailed);
        }
    }

    /// A failed upgrade gets as many attempts as a new one, and is offered like one that was not answered.
    fn reopen(&mut self) {
        self.set_open(ComponentState::PlanNotReceived);
        for component in self.open_components() {
            component.failures = 0;
            component.reason = None;
        }
        self.begin_anew();
        self.upgrade.cancelled = None;
        self.upgrade.ended = None;
        self.clear_wait();
    }
}

// Ends.
impl Transition<'_> {
    /// The device has nothing more to do for an upgrade that its user cancelled.
    pub(super) fn end_cancelled(&mut self) {
        let now = self.now;
        for component in self.open_components() {
            if !component.state.has_failed() {
                component.state = ComponentState::Failed;
                component.reason = Some(CANCELLED.to_owned());
                component.updated = now;
            }
            component.proving = false;
        }
        self.end_failed(CANCELLED, "cancelled");
    }

    pub(super) fn end_verification(&mut self, reason: &str) {
        self.set(0, ComponentState::Failed);
        if let Some(component) = self.upgrade.components.first_mut() {
            component.reason = Some(reason.to_owned());
        }
        self.end_failed(reason, "verification");
    }

    /// The upgrade has failed for good; `class` is the reason in one word, for metrics.
    fn end_failed(&mut self, reason: &str, class: &'static str) {
        self.clear_leases();
        self.upgrade.reason = Some(reason.to_owned());
        self.upgrade.next_offer = None;
        self.upgrade.ended = Some(self.now);
        self.count_end(class);
        self.decide(reason);
    }

    fn count_end(&mut self, class: &'static str) {
        let states = self.upgrade.components.iter().map(|component| component.state);
        let state = roll_up(states, Ended::Yes);
        self.effects.push(Effect::CountEnd { state, class });
    }
}

// Parts of a transition.
impl Transition<'_> {
    /// Components that are not done.
    fn open_components(&mut self) -> impl Iterator<Item = &mut ComponentUpgrade> {
        self.upgrade.components.iter_mut().filter(|component| !component.state.is_done())
    }

    /// A new attempt: an earlier confirmation does not count for it, unless a component has succeeded.
    fn begin_anew(&mut self) {
        if !self.upgrade.components.iter().any(|part| part.state == ComponentState::Succeeded) {
            self.upgrade.confirmed = None;
        }
    }

    /// The upgrade waits for nothing.
    fn clear_wait(&mut self) {
        self.upgrade.next_offer = None;
        self.upgrade.reason = None;
    }

    /// Sets the state of one component. Components go one at a time: the others lose their lease.
    fn set(&mut self, position: usize, state: ComponentState) {
        for (other, component) in self.upgrade.components.iter_mut().enumerate() {
            if other == position {
                component.state = state;
                component.proving = false;
                component.updated = self.now;
                if state.is_in_flight() {
                    component.reason = None;
                }
            } else {
                component.lease_until = None;
            }
        }
    }

    /// Sets the state of every component that is not done, without a lease.
    fn set_open(&mut self, state: ComponentState) {
        let now = self.now;
        for component in self.open_components() {
            component.state = state;
            component.proving = false;
            component.lease_until = None;
            component.updated = now;
        }
    }

    /// The lease of a component begins anew.
    fn renew(&mut self, position: usize) {
        if let Some(component) = self.upgrade.components.get_mut(position) {
            let span = lease(component.state, component.kind, self.device.presence);
            component.lease_until = span.map(|span| self.now + span);
        }
    }

    fn clear_leases(&mut self) {
        for component in &mut self.upgrade.components {
            component.lease_until = None;
        }
    }

    fn log(&mut self, component: Option<ComponentNo>, kind: &'static str, value: Value) {
        self.effects.push(Effect::Log { component, kind, value });
    }

    fn log_component(&mut self, position: usize, kind: &'static str, value: Value) {
        let name = self.upgrade.components.get(position).map(|component| component.component.clone());
        self.log(name, kind, value);
    }

    fn decide(&mut self, text: &str) {
        self.log(None, "decision", json!({ "text": text }));
    }

    fn log_user(&mut self, action: UserAction) {
        self.log(None, "user", json!({ "plan": self.upgrade.plan, "action": action }));
    }
}

/// What the center knows of a failure or a refusal, and what the device says of it.
fn with_reason(what: &str, said: Option<&str>) -> String {
    said.map_or_else(|| what.to_owned(), |said| format!("{what}: {said}"))
}
