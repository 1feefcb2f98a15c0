//! Gives the state machine its inputs, and carries the effects of each transition out.

use super::Agent;
use crate::journal::Report;
use crate::ota::{Effect, Failure, Input, Row, State, Timer};
use crate::platform::{Area, Level, Platform};

impl Agent<'_> {
    /// Gives the machine an input and carries the transition out. Whether there was one.
    pub(super) fn input(&mut self, platform: &mut dyn Platform, input: Input) -> bool {
        let mut next = Some(input);
        let mut taken = false;
        while let Some(input) = next.take() {
            let Some(row) = self.machine.take(input, platform.millis()) else { break };
            taken = true;
            next = self.transition(platform, row, input);
        }
        taken
    }

    /// The same with the reason for a failure.
    pub(super) fn fail(&mut self, platform: &mut dyn Platform, failure: Failure, input: Input) {
        log_failure(platform, Level::Warn, failure);
        self.machine.set_failure(failure);
        self.input(platform, input);
    }

    /// Carries out the effects of a row, in order. Gives an input that follows at once.
    fn transition(&mut self, platform: &mut dyn Platform, row: &Row, input: Input) -> Option<Input> {
        let mut next = None;
        for effect in row.effects {
            match effect {
                Effect::Report(state) => self.report(platform, *state),
                Effect::EmitEvent(event) => self.emit_event(platform, *event, input),
                Effect::Fetch => next = self.fetch(platform, input),
                Effect::CancelFetch => {
                    self.download.end_fetch();
                    platform.fetch_cancel();
                }
                Effect::NextPiece => {
                    let room = room(platform);
                    self.download.next_piece(self.machine.image(), room);
                }
                Effect::EraseStaging => {
                    let room = room(platform);
                    self.download.erase(self.machine.image(), room);
                    if self.download.offered_piece().start == 0 {
                        // An application that appends what it reads starts over with the 10701.
                        self.machine.announce_again();
                    }
                }
                Effect::AskPlan => self.uplink.plan_request = true,
                Effect::Apply => next = self.apply(platform),
                Effect::Save => self.save(platform),
                Effect::ClearUpgrade => self.clear_upgrade(platform),
                Effect::Arm(Timer::Retry) => {
                    let random = random(platform);
                    self.machine.spread_retry(random, platform.millis());
                }
                Effect::Arm(_) | Effect::Extend(_) | Effect::CountFailure => {} // done by the machine
            }
        }
        next
    }

    fn report(&mut self, platform: &mut dyn Platform, state: State) {
        let failed = matches!(state, State::Refused | State::DownloadError | State::UpdateError);
        let image = self.machine.image();
        let report = Report {
            state: state.number(),
            kind: image.kind.number(),
            wants_sha256: state == State::Confirmed && self.uplink.wants_sha256,
            reason: self.machine.failure().filter(|_| failed).map_or(0, |failure| failure as u16),
            offset: self.download.received(),
            size: image.size,
            component: image.component,
        };
        if self.reports.push(report).is_some() {
            platform.log(Level::Error, "a status report is lost: too many wait for the platform");
        }
        self.keep_reports(platform, state);
    }
}

/// A failure in words. Without the feature `log` they are not in the image.
pub(super) fn log_failure(platform: &mut dyn Platform, level: Level, failure: Failure) {
    if cfg!(feature = "log") {
        platform.log(level, failure.text());
    }
}

/// Bytes that can be staged at a time.
pub(super) fn room(platform: &mut dyn Platform) -> u32 {
    let area = platform.geometry(Area::Image).size;
    platform.free_space().map_or(area, |free| free.min(area))
}

/// For jitter.
pub(super) fn random(platform: &mut dyn Platform) -> u32 {
    let mut bytes = [0; 4];
    platform.random(&mut bytes);
    u32::from_be_bytes(bytes)
}
