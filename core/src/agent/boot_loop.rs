//! The guard against boot loops: an upgrade that makes the device restart again and again ends as a failure.
//!
//! A start is counted in the journal before the application hears of the upgrade, so one that crashes in its first event
//! is counted too; a count that a power cut tears is the old or the new one. A byte or a step more than ever before
//! sets the count back. So does a start that says nothing about the upgrade: nobody answered yet, or the link never
//! came, so a device that is powered for a minute at a time loses nothing by minutes without a network.

use super::Agent;
use crate::clock::Deadline;
use crate::limits;
use crate::ota::{Failure, Input, OtaEvent, State};
use crate::platform::Platform;
use crate::wire::message::ComponentKind;

/// After this long, a start that could do nothing for the upgrade was none of its doing. Milliseconds.
const UNRELATED_AFTER: u32 = 30_000;

/// Starts of the device without progress in the upgrade.
pub(super) struct BootLoop {
    /// Since the upgrade got further.
    restarts: u8,
    /// What this start counts for.
    start: Start,
}

/// What a start means for the upgrade that it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    /// To be counted at the first poll.
    Uncounted,
    /// Counted; looked at again then.
    Counted(Deadline),
    /// Not counted: it could do nothing yet.
    TakenBack,
    /// Decided, or no upgrade was open.
    Decided,
}

impl BootLoop {
    pub(super) const fn new() -> Self {
        BootLoop { restarts: 0, start: Start::Decided }
    }

    /// An upgrade that was started so often is found in the journal.
    pub(super) fn restore(&mut self, restarts: u8) {
        *self = BootLoop { restarts, start: Start::Uncounted };
    }

    /// The upgrade got further, or is another.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    /// For the journal.
    pub(super) fn restarts(&self) -> u8 {
        self.restarts
    }

    /// Milliseconds until this start is looked at again.
    pub(super) fn left(&self, now: u32) -> Option<u32> {
        match self.start {
            Start::Counted(at) => Some(at.left(now)),
            _ => None,
        }
    }

    fn set(&mut self, start: Start, restarts: u8) {
        *self = BootLoop { restarts, start };
    }
}

impl Agent<'_> {
    /// Counts this start, takes it back, or counts it again.
    pub(super) fn count_start(&mut self, platform: &mut dyn Platform, now: u32) {
        if self.machine.state() == State::NoPlan {
            return;
        }
        let BootLoop { restarts, start } = self.boot_loop;
        match start {
            Start::Uncounted => {
                let again = Deadline::after(now, UNRELATED_AFTER);
                self.boot_loop.set(Start::Counted(again), restarts.saturating_add(1));
                self.check_restarts(platform);
            }
            Start::Counted(at) if at.due(now) => {
                if self.can_do_nothing() {
                    self.boot_loop.set(Start::TakenBack, restarts.saturating_sub(1));
                    self.save(platform);
                } else {
                    self.boot_loop.set(Start::Decided, restarts);
                }
            }
            Start::TakenBack if !self.can_do_nothing() => {
                self.boot_loop.set(Start::Decided, restarts.saturating_add(1));
                self.save(platform);
            }
            _ => {}
        }
    }

    fn check_restarts(&mut self, platform: &mut dyn Platform) {
        if self.boot_loop.restarts > limits::RESTARTS {
            return match self.machine.awaits_verdict() {
                // The module runs the one or the other version; waiting longer does not change that.
                true => self.judge_module(platform),
                false => self.fail(platform, Failure::Restarts, Input::RestartedTooOften),
            };
        }
        self.save(platform);
        if self.machine.state() == State::Updating && self.machine.kind() == ComponentKind::Mcu {
            // Its MCU may have been cut off in the middle of the update.
            self.emit_event(platform, OtaEvent::Updating, Input::Update);
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
