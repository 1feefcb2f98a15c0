//! The guard against boot loops: an upgrade that makes the device restart again and again ends as a failure.
//!
//! A start is counted in the journal before the application hears of the upgrade, so one that crashes in its first event
//! is counted too; a count that a power cut tears is the old or the new one. A byte or a step more than ever before
//! sets the count back. So does a start that says nothing about the upgrade: nobody answered yet, or the link never
//! came, so a device that is powered for a minute at a time loses nothing by minutes without a network.

use super::Agent;
use crate::clock::Deadline;
use crate::limits;
use crate::ota::{Failure, Input, State, Told};
use crate::platform::Platform;
use crate::wire::message::ComponentKind;

/// After this long, a start that could do nothing for the upgrade was none of its doing. Milliseconds.
const UNRELATED_AFTER: u32 = 30_000;

/// What a start means for the upgrade that it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Restart {
    /// To be counted at the first poll.
    Uncounted,
    /// Counted; looked at again then.
    Counted(Deadline),
    /// Not counted: it could do nothing yet.
    TakenBack,
    /// Nothing is open.
    Weighed,
}

impl Restart {
    /// Milliseconds until it is looked at again.
    pub(super) fn left(self, now: u32) -> Option<u32> {
        match self {
            Restart::Counted(at) => Some(at.left(now)),
            _ => None,
        }
    }
}

impl Agent<'_> {
    /// The upgrade got further, or is another.
    pub(super) fn no_restarts(&mut self) {
        self.restarts = 0;
        self.restart = Restart::Weighed;
    }

    /// Counts this start, takes it back, or counts it again.
    pub(super) fn weigh_restart(&mut self, platform: &mut dyn Platform, now: u32) {
        if self.machine.state() == State::NoPlan {
            return;
        }
        match self.restart {
            Restart::Uncounted => {
                self.restart = Restart::Counted(Deadline::after(now, UNRELATED_AFTER));
                self.count_restart(platform);
            }
            Restart::Counted(at) if at.due(now) => {
                self.restart = Restart::Weighed;
                if self.can_do_nothing() {
                    self.restart = Restart::TakenBack;
                    self.restarts = self.restarts.saturating_sub(1);
                    self.save(platform);
                }
            }
            Restart::TakenBack if !self.can_do_nothing() => {
                self.restart = Restart::Weighed;
                self.restarts = self.restarts.saturating_add(1);
                self.save(platform);
            }
            _ => {}
        }
    }

    fn count_restart(&mut self, platform: &mut dyn Platform) {
        self.restarts = self.restarts.saturating_add(1);
        if self.restarts > limits::RESTARTS {
            return match self.machine.awaits_verdict() {
                // The module runs the one or the other version; waiting longer does not change that.
                true => self.judge_module(platform),
                false => self.fail(platform, Failure::Restarts, Input::RestartedTooOften),
            };
        }
        self.save(platform);
        if self.machine.state() == State::Updating && self.machine.image.kind == ComponentKind::Mcu {
            // Its MCU may have been cut off in the middle of the update.
            self.tell_step(platform, Told::Updating, Input::Update);
        }
    }

    /// Whether the upgrade waits for somebody else than this device.
    fn can_do_nothing(&self) -> bool {
        match self.machine.state() {
            State::PlanReceived => true,
            State::Updating => false,
            _ => !self.session.is_online(),
        }
    }
}
