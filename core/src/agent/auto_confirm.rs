//! Auto-confirm: a plan with a handling type (id 27) other than 0 is confirmed without the application's action.

use super::Agent;
use crate::clock::Deadline;
use crate::ota::{Input, State};
use crate::platform::{Level, Platform};
use crate::wire::message::{ComponentKind, PlanNotify, Plans};

/// An application that takes no events has this long before the plan is confirmed all the same. Milliseconds.
const TAKE_WAIT: u32 = 10_000;

/// Whether the present plan is confirmed without the application.
pub(super) struct AutoConfirm {
    is_set: bool,
    /// Once the application took its 10700, or then.
    until: Option<Deadline>,
}

impl AutoConfirm {
    pub(super) const fn new() -> Self {
        AutoConfirm { is_set: false, until: None }
    }

    pub(super) fn is_set(&self) -> bool {
        self.is_set
    }

    pub(super) fn set(&mut self, is_set: bool) {
        self.is_set = is_set;
    }

    /// 10700 is emitted.
    pub(super) fn start(&mut self, now: u32) {
        self.until = self.is_set.then(|| Deadline::after(now, TAKE_WAIT));
    }

    /// Milliseconds until the plan is confirmed at the latest.
    pub(super) fn left(&self, now: u32) -> Option<u32> {
        self.until.map(|at| at.left(now))
    }
}

/// 2.10.6 confirms a single plan for the module whose handling type is not 0 (QUECTHING.md 3.4).
pub(super) fn is_auto_confirmed(notify: &PlanNotify<'_>) -> bool {
    matches!(notify.plans, Plans::Single(plan) if plan.kind == ComponentKind::Module)
        && notify.handling.is_some_and(|handling| handling != 0)
}

impl Agent<'_> {
    /// Confirms such a plan once the application has taken its 10700 and has not refused inside it, or takes none.
    pub(super) fn auto_confirm(&mut self, platform: &mut dyn Platform, now: u32) {
        let Some(until) = self.auto_confirm.until else { return };
        let is_taken = self.events.is_empty() && self.inbox.next_plan().is_none();
        let is_offered = self.machine.state() == State::PlanReceived;
        if is_offered && !is_taken && !until.due(now) {
            return;
        }
        self.auto_confirm.until = None;
        if is_offered {
            platform.log(Level::Info, "the plan's handling type confirms it without the application");
            self.input(platform, Input::Confirm);
        }
    }
}
