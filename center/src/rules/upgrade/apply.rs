//! What happens to an upgrade and what follows: one pure function from (upgrade, input, plan, device, now) to the changed
//! upgrade and a list of effects. The engine loads the facts, saves the upgrade and carries out the effects in order.

use serde_json::{Value, json};

use super::effect::Effect;
use super::input::{Input, PlanFacts};
use super::transition::Transition;
use super::{ComponentUpgrade, Phase, Upgrade};
use crate::clock::Millis;
use crate::rules::component_fsm::{ComponentInput, Evidence, Seen, Step, step};
use crate::rules::device::DeviceFacts;
use crate::rules::progress::{ComponentState, UpgradeState};

impl Upgrade {
    /// Changes the upgrade by what happens to it and returns what follows. `plan` is none for a firmware verification.
    /// An upgrade that has ended changes by [`Input::UserRetry`], [`Input::OperatorRetry`], [`Input::Skip`] and
    /// [`Input::Reversion`] only.
    pub fn apply(
        &mut self,
        input: Input,
        plan: Option<PlanFacts<'_>>,
        device: &DeviceFacts<'_>,
        now: Millis,
    ) -> Vec<Effect> {
        let was_open = self.ended.is_none();
        let skips = matches!(input, Input::Skip(_));
        if input == Input::Reversion && self.reverted(device).is_empty() {
            return Vec::new();
        }
        let reopens = matches!(input, Input::UserRetry | Input::OperatorRetry | Input::Reversion);
        if !was_open && !skips && !reopens {
            return Vec::new();
        }
        let mut transition = Transition { upgrade: self, plan, device, now, effects: Vec::new() };
        match input {
            Input::Status(report) => transition.status(report),
            Input::Versions { proof } => transition.versions(proof),
            Input::Reversion => transition.revert(),
            Input::LeaseCheck => transition.check_lease(),
            Input::PresenceChange => transition.follow_presence(),
            Input::DeadlinePassed => transition.end_late_verification(),
            Input::Offer { components, trigger } => transition.offer(components, trigger),
            Input::OfferVerification => transition.offer_verification(),
            Input::Request { .. } if transition.upgrade.cancelled.is_some() => transition.end_cancelled(),
            Input::Request { blocked } => transition.request(blocked.as_ref()),
            Input::OfferAgain => transition.offer_again(),
            Input::Withdraw => transition.withdraw(),
            Input::OfferPostponed { blocked, status } => transition.postpone_offer(blocked, status),
            Input::VerificationBlocked(reason) => transition.end_verification(&reason.to_string()),
            Input::Cancel => transition.cancel(),
            Input::UserRetry => transition.user_retry(),
            Input::OperatorRetry => transition.operator_retry(),
            Input::Skip(reason) => transition.skip(&reason),
        }
        let mut effects = transition.effects;
        if skips {
            // The components keep what they had come to.
            self.state = UpgradeState::NotUpgraded;
        } else {
            self.roll_up();
        }
        if was_open && self.counts_for_halt(plan) {
            effects.push(Effect::CountFinished);
        }
        effects
    }

    /// Whether the device has finished in a plan that counts failures. A cancelled upgrade says nothing about the firmware.
    fn counts_for_halt(&self, plan: Option<PlanFacts<'_>>) -> bool {
        let counted = match self.phase() {
            Phase::Ended(UpgradeState::Upgraded) => true,
            Phase::Ended(UpgradeState::Failed) => self.cancelled.is_none(),
            _ => false,
        };
        counted && plan.is_some_and(|plan| !plan.state.is_over() && plan.settings.strategy.halt.is_some())
    }

    /// Whether [`Input::Versions`] would do anything: most reports do not, and need no lock on the plan.
    pub fn reacts_to_versions(&self, device: &DeviceFacts<'_>, proof: Option<usize>) -> bool {
        (0..self.components.len()).any(|position| self.version_step(position, device, proof).is_some())
    }

    /// Positions of the components that this upgrade brought to their target, and that the device reports with the version
    /// of before.
    pub fn reverted(&self, device: &DeviceFacts<'_>) -> Vec<usize> {
        if self.phase() != Phase::Ended(UpgradeState::Upgraded) {
            return Vec::new();
        }
        let is_reverted = |component: &&ComponentUpgrade| {
            let reported = component.reported_by(device);
            component.state == ComponentState::Succeeded
                && reported.is_some()
                && reported == component.source.as_deref()
                && reported != Some(component.target.as_str())
        };
        let components = self.components.iter().enumerate();
        components.filter(|(_, component)| is_reverted(component)).map(|(position, _)| position).collect()
    }

    /// What the version that the device reports does to a component; none: nothing.
    pub(super) fn version_step(
        &self,
        position: usize,
        device: &DeviceFacts<'_>,
        proof: Option<usize>,
    ) -> Option<(ComponentInput, Value)> {
        let component = self.components.get(position).filter(|component| !component.state.is_done())?;
        let reported = component.reported_by(device)?;
        let seen = if reported == component.target.as_str() {
            Seen::Target
        } else if component.source.as_deref() == Some(reported) {
            Seen::Source
        } else {
            Seen::Other
        };
        let proves = component.proving || proof == Some(position);
        let evidence = if proves { Evidence::Proof } else { Evidence::Report };
        let input = ComponentInput::Version(seen, evidence);
        let value = json!({ "version": reported, "target": component.target });
        (step(component.state, input) != Step::Stray).then_some((input, value))
    }
}
