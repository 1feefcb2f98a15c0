//! The state machine of one component of an upgrade: what a status, a version or silence does
//! (DEVELOPER-CENTER.md "Conversation with one device", QUECTHING.md 3.1).

pub use quecota_core::wire::message::OtaStatus;
use quecota_core::wire::message::SDK_PREFIX;

use super::plan::PlanState;
use super::progress::ComponentState;
use crate::clock::Millis;

/// What happens to a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComponentInput {
    /// The device reports a status.
    Status(OtaStatus),
    /// The device reports a version of the component.
    Version(Seen, Evidence),
    /// Its lease ran out.
    Silence,
}

/// A reported version beside the upgrade's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// The target.
    Target,
    /// What it had when it was offered.
    Source,
    /// A third one.
    Other,
}

/// In which context a version was reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// After a connect or with a request.
    Report,
    /// As the proof of a status 11: the version must be the target now.
    Proof,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The component is in this state now; its lease begins anew.
    Move(ComponentState),
    /// The device has confirmed: it gets the firmware's URL.
    SendFirmware,
    /// The device has refused: the plan is offered again after the delay.
    Refuse,
    /// Status 11: only the reported version proves it. The device is asked for a version that it did not report.
    Prove,
    /// The target version is reported: the component is done, in this state, and the next one follows.
    Done(ComponentState),
    /// The attempt failed.
    Fail(Failure),
    /// The device has taken a new offer in the middle of an attempt.
    Restart(ComponentState),
    /// The offer was not answered: this does not count, and it is made again later.
    Unanswered,
    /// The device did not come back for its next attempt.
    GiveUp,
    /// The device is alive: the lease begins anew.
    Heartbeat,
    /// The input does not fit the state: it is logged only.
    Stray,
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Status 6.
    #[error("the device reports a failed download (status 6)")]
    Download,
    /// Status 12.
    #[error("the device reports a failed upgrade (status 12)")]
    Device,
    /// Status 12 of a device that has begun anew before it applied the firmware: how an MCU's loss of power shows
    /// (QUECTHING.md 4.11).
    #[error("the device reports a failed upgrade (status 12) after it began anew")]
    Interrupted,
    /// A lease ran out.
    #[error("no word from the device in time while it was {0}")]
    Silence(ComponentState),
    /// The device begins anew with another version than the target, from this state on.
    #[error("the device began anew while it was {0}")]
    Restarted(ComponentState),
    /// Another version than the target after the upgrade.
    #[error("the device reports another version than the target after the upgrade")]
    WrongVersion,
}

impl Failure {
    /// One word for it, without its values: for figures.
    pub const fn class(self) -> &'static str {
        match self {
            Failure::Download => "download",
            Failure::Device => "device",
            Failure::Interrupted => "interrupted",
            Failure::Silence(_) => "silence",
            Failure::Restarted(_) => "restarted",
            Failure::WrongVersion => "wrong_version",
        }
    }

    /// State of the component after it.
    pub fn state(self) -> ComponentState {
        match self {
            Failure::Download => ComponentState::DownloadFailed,
            _ => ComponentState::Failed,
        }
    }
}

/// What `input` does to a component that is in `state`.
pub fn step(state: ComponentState, input: ComponentInput) -> Step {
    use ComponentState::*;
    match input {
        // The reported version decides; a status after it changes nothing.
        _ if state.is_done() => match input {
            ComponentInput::Status(OtaStatus::UpdateSuccess) | ComponentInput::Version(Seen::Target, _) => {
                Step::Heartbeat
            }
            _ => Step::Stray,
        },
        ComponentInput::Status(status) => on_status(state, status),
        ComponentInput::Version(Seen::Target, _) if state.has_started() => Step::Done(Succeeded),
        ComponentInput::Version(Seen::Target, _) => Step::Done(NotRequired),
        ComponentInput::Version(_, Evidence::Proof) => Step::Fail(Failure::WrongVersion),
        // An MCU that starts reports its old version first: only a third one is wrong.
        ComponentInput::Version(Seen::Other, Evidence::Report) if state == Upgrading => {
            Step::Fail(Failure::WrongVersion)
        }
        ComponentInput::Version(..) => Step::Stray,
        ComponentInput::Silence => match state {
            PlanNotReceived | PlanReceived => Step::Unanswered,
            state if state.is_in_flight() => Step::Fail(Failure::Silence(state)),
            DownloadFailed | Failed => Step::GiveUp,
            _ => Step::Stray,
        },
    }
}

fn on_status(state: ComponentState, status: OtaStatus) -> Step {
    use ComponentState::*;
    let next = match status {
        OtaStatus::NoPlan => return Step::Stray,
        OtaStatus::PlanReceived if state.is_in_flight() => {
            return Step::Restart(state);
        }
        OtaStatus::PlanReceived => PlanReceived,
        // Answered every time: a device that confirms again has lost the answer.
        OtaStatus::Confirmed => return Step::SendFirmware,
        OtaStatus::Refused if state == Refused => return Step::Heartbeat,
        OtaStatus::Refused => return Step::Refuse,
        OtaStatus::DownloadStart => ReadyToDownload,
        OtaStatus::Downloading => Downloading,
        OtaStatus::Downloaded => Downloaded,
        OtaStatus::DownloadError if state == DownloadFailed => return Step::Heartbeat,
        OtaStatus::DownloadError => return Step::Fail(Failure::Download),
        OtaStatus::Updating => Upgrading,
        OtaStatus::UpdateSuccess => return Step::Prove,
        OtaStatus::UpdateError if state == Failed => return Step::Heartbeat,
        OtaStatus::UpdateError => return Step::Fail(Failure::Device),
    };
    if next == state { Step::Heartbeat } else { Step::Move(next) }
}

/// Whether the device fetched more bytes than at its failure before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It did.
    Made,
    /// It did not, or it is not known.
    None,
}

/// Who decides how often a download that failed is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// The device: it asks for its plan by itself, after pauses that grow, and says 12 when it has had enough.
    Device,
    /// The plan, by its retries.
    Plan,
}

impl Patience {
    /// Of a device with this SDK version.
    pub fn of(sdk_version: Option<&str>) -> Self {
        if sdk_version.is_some_and(is_quecota) { Patience::Device } else { Patience::Plan }
    }
}

/// Longer than a device with patience of its own ever waits before it asks again: Retry-After, an hour at most, and a
/// quarter more by chance.
const DEVICE_PAUSE: Millis = Millis::minutes(80);

/// Whether a failure uses up one of the plan's attempts.
pub fn counts(failure: Failure, progress: Progress, patience: Patience) -> bool {
    match failure {
        // An outage of the server must not end the upgrades of a fleet.
        Failure::Download if patience == Patience::Device => false,
        // The image was complete: bytes say nothing any more.
        Failure::Restarted(ComponentState::Upgrading) => true,
        Failure::Download | Failure::Interrupted | Failure::Restarted(_) => progress == Progress::None,
        _ => true,
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It is offered again, at this time at the earliest.
    Retry(Millis),
    /// It has failed for good.
    End,
}

/// What follows when a device with patience of its own has failed to download: it is left alone until it asks.
pub fn after_failed_download(after: After, now: Millis) -> After {
    match after {
        After::Retry(_) => After::Retry(now + DEVICE_PAUSE),
        After::End => After::End,
    }
}

/// What follows, with `failures` counted attempts behind: attempts = 1 + retries, none after the plan is over.
pub fn after_failure(failures: u32, retries: u8, plan: PlanState, now: Millis) -> After {
    if failures > u32::from(retries) || plan.is_over() {
        return After::End;
    }
    // The pauses grow, for a server or a link in trouble: 10 s, 1 min, 6 min, then 10 min.
    let pause = match failures {
        0 | 1 => Millis::seconds(10),
        2 => Millis::minutes(1),
        3 => Millis::minutes(6),
        _ => Millis::minutes(10),
    };
    After::Retry(now + pause)
}

/// Whether a device with this SDK version runs quecota.
pub fn is_quecota(sdk_version: &str) -> bool {
    sdk_version.starts_with(SDK_PREFIX)
}

/// How a device is told of the next component of a list that it has confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextComponent {
    /// Its URL at once.
    Firmware,
    /// An offer of what is left.
    Offer,
}

/// SDK 2.9 takes a URL while it is idle, and so does quecota; 2.10 takes it only after a confirmation
/// (QUECTHING.md 3.3), and an unknown one gets what all of them take.
pub fn next_component(sdk_version: Option<&str>) -> NextComponent {
    match sdk_version {
        Some(version) if version.starts_with("2.9.") || is_quecota(version) => NextComponent::Firmware,
        _ => NextComponent::Offer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_path_is_the_one_of_the_table() {
        use ComponentState::*;
        let path = [
            (PlanNotReceived, OtaStatus::PlanReceived, Step::Move(PlanReceived)),
            (PlanReceived, OtaStatus::Confirmed, Step::SendFirmware),
            (Confirmed, OtaStatus::DownloadStart, Step::Move(ReadyToDownload)),
            (ReadyToDownload, OtaStatus::Downloading, Step::Move(Downloading)),
            (Downloading, OtaStatus::Downloading, Step::Heartbeat),
            (Downloading, OtaStatus::Downloaded, Step::Move(Downloaded)),
            (Downloaded, OtaStatus::DownloadStart, Step::Move(ReadyToDownload)),
            (Downloaded, OtaStatus::Updating, Step::Move(Upgrading)),
            (Upgrading, OtaStatus::UpdateSuccess, Step::Prove),
        ];
        for (state, status, expected) in path {
            assert_eq!(step(state, ComponentInput::Status(status)), expected, "{state} {status:?}");
        }
    }

    #[test]
    fn nothing_moves_a_component_that_is_done() {
        for state in [ComponentState::Succeeded, ComponentState::NotRequired] {
            for status in OtaStatus::ALL {
                let step = step(state, ComponentInput::Status(status));
                assert!(matches!(step, Step::Stray | Step::Heartbeat), "{state} {status:?}: {step:?}");
            }
            assert_eq!(step(state, ComponentInput::Silence), Step::Stray);
        }
    }

    #[test]
    fn every_state_in_flight_ends_by_silence() {
        for state in ComponentState::ALL.iter().copied().filter(|state| state.is_in_flight()) {
            assert_eq!(step(state, ComponentInput::Silence), Step::Fail(Failure::Silence(state)));
        }
    }

    #[test]
    fn the_old_version_while_upgrading_is_nothing_a_third_one_is_a_failure() {
        let on = |seen, evidence| step(ComponentState::Upgrading, ComponentInput::Version(seen, evidence));
        assert_eq!(on(Seen::Source, Evidence::Report), Step::Stray);
        assert_eq!(on(Seen::Other, Evidence::Report), Step::Fail(Failure::WrongVersion));
        assert_eq!(on(Seen::Source, Evidence::Proof), Step::Fail(Failure::WrongVersion));
        assert_eq!(on(Seen::Target, Evidence::Report), Step::Done(ComponentState::Succeeded));
    }

    #[test]
    fn a_version_that_was_there_before_needs_no_update() {
        let step =
            step(ComponentState::PlanNotReceived, ComponentInput::Version(Seen::Target, Evidence::Report));
        assert_eq!(step, Step::Done(ComponentState::NotRequired));
    }

    #[test]
    fn attempts_are_one_more_than_retries() {
        let after = |failures| after_failure(failures, 2, PlanState::Upgrading, Millis(0));
        assert_eq!(after(1), After::Retry(Millis::seconds(10)));
        assert_eq!(after(2), After::Retry(Millis::minutes(1)));
        assert_eq!(after(3), After::End);
        assert_eq!(after_failure(1, 2, PlanState::Ended, Millis(0)), After::End);
        assert_eq!(after_failure(1, 0, PlanState::Upgrading, Millis(0)), After::End);
    }

    #[test]
    fn a_failed_download_with_more_bytes_than_before_does_not_count() {
        assert!(!counts(Failure::Download, Progress::Made, Patience::Plan));
        assert!(counts(Failure::Download, Progress::None, Patience::Plan));
        assert!(counts(Failure::Device, Progress::Made, Patience::Plan));
        assert!(!counts(Failure::Interrupted, Progress::Made, Patience::Plan));
        assert!(counts(Failure::Interrupted, Progress::None, Patience::Plan));
        assert!(!counts(Failure::Restarted(ComponentState::Downloading), Progress::Made, Patience::Plan));
        assert!(counts(Failure::Restarted(ComponentState::Downloading), Progress::None, Patience::Plan));
        assert!(counts(Failure::Restarted(ComponentState::Upgrading), Progress::Made, Patience::Plan));
    }
    #[test]
    fn a_failed_download_of_a_device_that_tries_again_by_itself_does_not_count_and_it_is_left_alone() {
        let patience = Patience::of(Some("quecota/0.1"));
        assert_eq!([Patience::of(Some("2.9.0")), Patience::of(None)], [Patience::Plan; 2]);
        assert!(!counts(Failure::Download, Progress::None, patience));
        assert!(counts(Failure::Device, Progress::None, patience));
        let next = after_failed_download(After::Retry(Millis::seconds(10)), Millis(0));
        assert_eq!(next, After::Retry(Millis::minutes(80)));
        assert_eq!(after_failed_download(After::End, Millis(0)), After::End);
    }
}
