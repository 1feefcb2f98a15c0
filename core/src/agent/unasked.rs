//! Plans whose platform asks nobody (id 27): confirmed without the application's action.

use super::Agent;
use crate::clock::Deadline;
use crate::ota::{Input, State};
use crate::platform::{Level, Platform};
use crate::wire::message::{ComponentKind, PlanNotify, Plans};

/// An application that takes no events has this long before it counts as told. Milliseconds.
const TOLD: u32 = 10_000;

/// Whether the application is asked. 2.10.6 confirms a single plan for the module whose handle type is not 0 by itself
/// (QUECTHING.md 3.4).
pub(super) fn is_unasked(notify: &PlanNotify<'_>) -> bool {
    matches!(notify.plans, Plans::Single(plan) if plan.kind == ComponentKind::Module)
        && notify.handling.is_some_and(|handling| handling != 0)
}

impl Agent<'_> {
    /// The application is being told of such a plan.
    pub(super) fn tell_unasked(&mut self, now: u32) {
        self.unasked_until = self.unasked.then(|| Deadline::after(now, TOLD));
    }

    /// Confirms such a plan once the application has taken its 10700 and has not refused inside it, or takes none.
    pub(super) fn confirm_unasked(&mut self, platform: &mut dyn Platform, now: u32) {
        let Some(until) = self.unasked_until else { return };
        if self.machine.state() != State::PlanReceived {
            self.unasked_until = None;
        } else if (self.outbox.is_empty() && self.next_plan.is_none()) || until.due(now) {
            self.unasked_until = None;
            platform.log(Level::Info, "the platform asks nobody about this plan: it is confirmed");
            self.input(platform, Input::Confirm);
        }
    }
}
