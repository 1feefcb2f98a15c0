//! The state machine of QUECTHING.md 3 as data: what each input does in each state, and who may give it.

use super::timer::Timer;
use crate::wire::message::ComponentKind;

/// The states, with the value of data point 13 (QUECTHING.md 3.1). Unlike the vendor's, which forgets the plan after 6,
/// ours stays in [`State::DownloadError`] and asks for the plan again.
pub use crate::wire::message::OtaStatus as State;

/// Whether the state is reported and left at once for [`State::NoPlan`].
pub const fn is_passing(state: State) -> bool {
    matches!(state, State::Refused | State::UpdateSuccess | State::UpdateError)
}

/// Who gives an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// Developer Center, by a packet.
    Platform,
    /// The application, by a call.
    Application,
    /// The server of the firmware URL.
    Server,
    /// A timer.
    Clock,
    /// Firmware below the agent: storage, apply, what a reboot found.
    Device,
}

/// Inputs, after [`super::Machine`] has checked what they carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// 0x0111, well formed.
    Plan,
    /// 0x0111 for the component and target whose download was interrupted.
    SamePlan,
    /// Action 0.
    Refuse,
    /// Action 1.
    Confirm,
    /// 0x0113, usable, of a component that was confirmed.
    FirmwareInfo,
    /// 0x0113 of a component that was confirmed, but not usable: fields missing, or a module image without room.
    BadFirmwareInfo,
    /// HTTP head with what was asked for, or with a part of it from the right start.
    Head,
    /// The body of such a part ended where its head said.
    RangeEnded,
    /// Connect failure, another status or range, early close, too many bytes; storage that fails.
    FetchFailed,
    /// Storage has no room for what is missing: another try cannot help.
    NoRoom,
    /// The piece is staged and read back, and is not the last; of a package, a file whose digest matches.
    PieceStaged,
    /// The last piece is staged and the digests of the whole image match.
    ImageStaged,
    /// The last piece is staged, and the digests do not match.
    ImageCorrupt,
    /// Action 2 with more to come.
    NextPiece,
    /// Action 3 with nothing more to come.
    Update,
    /// `SetMcuVersion` of the component with the target version.
    TargetVersion,
    /// `SetMcuVersion` of the component with a version that is neither the target nor the one before.
    OtherVersion,
    /// The platform's apply refused the image.
    ApplyRefused,
    /// After a reboot the module runs the target version.
    ModuleIsTarget,
    /// A module image was applied, and the module runs something else.
    ModuleIsOther,
    /// The application gives the upgrade up.
    Cancel,
    /// The application needs longer for the piece, or its MCU for the update.
    MoreTime,
    /// The delay before apply is over, and the application holds the module firmware back.
    ApplyHeld,
    /// It holds it back no longer.
    ApplyAllowed,
    /// The device restarted too often without getting further.
    RestartedTooOften,
    /// A deadline came.
    Expired(Timer),
}

/// Component kinds that a row is about (QUECTHING.md 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Module and MCU.
    Any,
    /// One of them.
    Only(ComponentKind),
}

const MODULE: Of = Of::Only(ComponentKind::Module);
const MCU: Of = Of::Only(ComponentKind::Mcu);

/// Events of QUECTHING.md 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtaEvent {
    /// 10700, one for each plan.
    Plans,
    /// 10700 for the upgrade that a reboot interrupted.
    Recovered,
    /// 10701 for the first piece; 10702 for later ones and repeats.
    Start,
    /// 10702.
    Downloading,
    /// 10703.
    Downloaded,
    /// 10704.
    Updating,
    /// 10705.
    Success,
    /// 10706.
    Failure,
    /// 10707, where the dialect has it.
    Answer,
}

/// What the agent does for a transition, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// 0x0114 with this state.
    Report(State),
    /// An event to the application.
    EmitEvent(OtaEvent),
    /// Get what is missing of the piece.
    Fetch,
    /// Give the fetch up.
    CancelFetch,
    /// The piece after the present one becomes the present one; its room is erased.
    NextPiece,
    /// Erase the staged image: it is void.
    EraseStaging,
    /// Start this timer. Every timer of the state before is off.
    Arm(Timer),
    /// Put the end of this timer off.
    Extend(Timer),
    /// Count a failed download; one too many ends the upgrade (QUECTHING.md 3.2).
    CountFailure,
    /// 0x0115.
    AskPlan,
    /// Hand the image over to the platform's apply.
    Apply,
    /// Write state and progress to the journal.
    Save,
    /// Staging area and journal forget the upgrade.
    ClearUpgrade,
}

/// Some of the states, in a bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u16);

impl States {
    const fn of(states: &[State]) -> States {
        let (mut bits, mut rest) = (0, states);
        while let [state, behind @ ..] = rest {
            bits |= 1 << state.number();
            rest = behind;
        }
        States(bits)
    }

    /// Whether this is one of them.
    pub const fn contains(self, state: State) -> bool {
        self.0 >> state.number() & 1 != 0
    }

    /// They, by number.
    pub fn iter(self) -> impl Iterator<Item = State> {
        State::ALL.into_iter().filter(move |state| self.contains(*state))
    }
}

/// One row of QUECTHING.md 3.3.
#[derive(Debug)]
pub struct Row {
    /// States in which the input is taken.
    pub from: States,
    /// What comes in.
    pub input: Input,
    /// Who gives it.
    pub actor: Actor,
    /// Component kinds it is about.
    pub of: Of,
    /// The state after.
    pub to: State,
    /// What is done.
    pub effects: &'static [Effect],
}

use Actor::*;
use Effect::*;
use Input::*;
use State::*;

const fn row(
    from: &[State],
    input: Input,
    actor: Actor,
    of: Of,
    to: State,
    effects: &'static [Effect],
) -> Row {
    Row { from: States::of(from), input, actor, of, to, effects }
}

const SUCCEED: &[Effect] = &[CancelFetch, Report(UpdateSuccess), EmitEvent(OtaEvent::Success), ClearUpgrade];
const FAIL: &[Effect] = &[CancelFetch, Report(UpdateError), EmitEvent(OtaEvent::Failure), ClearUpgrade];
/// Status 6 is left out when one failure too many makes it 12: [`CountFailure`] comes first and may divert.
const GIVE_BACK: &[Effect] =
    &[CancelFetch, CountFailure, Report(DownloadError), Save, Arm(Timer::Retry), Arm(Timer::GiveUp)];
const GIVE_BACK_VOID: &[Effect] = &[
    CancelFetch,
    CountFailure,
    EraseStaging,
    Report(DownloadError),
    Save,
    Arm(Timer::Retry),
    Arm(Timer::GiveUp),
];

/// Every transition. An input without a row for the state changes nothing; for an application's call it is refused.
#[rustfmt::skip]
pub static TABLE: &[Row] = &[
    // The plan (3.3: packet 0x0111 in 0 and 1). A new one also replaces a download that waits for its retry.
    row(&[NoPlan, PlanReceived, DownloadError], Plan, Platform, Of::Any, PlanReceived, &[Report(PlanReceived), EmitEvent(OtaEvent::Plans), Save]),
    row(&[DownloadError], SamePlan, Platform, Of::Any, Confirmed, &[Report(PlanReceived), Report(Confirmed), Save, Arm(Timer::Url)]),

    // The answer.
    row(&[PlanReceived], Refuse, Application, Of::Any, Refused, &[Report(Refused), EmitEvent(OtaEvent::Answer), ClearUpgrade]),
    row(&[PlanReceived], Confirm, Application, Of::Any, Confirmed, &[Report(Confirmed), EmitEvent(OtaEvent::Answer), Save, Arm(Timer::Url)]),
    row(&[Confirmed], Expired(Timer::Url), Clock, Of::Any, UpdateError, FAIL),

    // The URL. In 0 for the later components of a list that was confirmed as a whole.
    row(&[Confirmed, NoPlan], FirmwareInfo, Platform, Of::Any, DownloadStart, &[Report(DownloadStart), EmitEvent(OtaEvent::Start), Save, Arm(Timer::Head), Fetch]),
    row(&[Confirmed, NoPlan], BadFirmwareInfo, Platform, Of::Any, UpdateError, FAIL),

    // The download.
    row(&[DownloadStart], Head, Server, Of::Any, Downloading, &[Report(Downloading), EmitEvent(OtaEvent::Downloading), Arm(Timer::Heartbeat), Arm(Timer::Stall), Arm(Timer::Overall)]),
    // The rest of a shorter range is asked for. One download: no event, and Overall goes on.
    row(&[Downloading], RangeEnded, Server, Of::Any, Downloading, &[Arm(Timer::Stall), Fetch]),
    row(&[Downloading], Expired(Timer::Heartbeat), Clock, Of::Any, Downloading, &[Report(Downloading), EmitEvent(OtaEvent::Downloading), Arm(Timer::Heartbeat)]),
    row(&[DownloadStart], Expired(Timer::Head), Clock, Of::Any, DownloadError, GIVE_BACK),
    row(&[Downloading], Expired(Timer::Stall), Clock, Of::Any, DownloadError, GIVE_BACK),
    row(&[Downloading], Expired(Timer::Overall), Clock, Of::Any, DownloadError, GIVE_BACK),
    row(&[DownloadStart, Downloading], FetchFailed, Server, Of::Any, DownloadError, GIVE_BACK),
    row(&[DownloadStart, Downloading], NoRoom, Device, Of::Any, UpdateError, FAIL),
    row(&[DownloadStart, Downloading], ImageCorrupt, Device, Of::Any, DownloadError, GIVE_BACK_VOID),
    row(&[DownloadError], Expired(Timer::Retry), Clock, Of::Any, DownloadError, &[AskPlan, Arm(Timer::Retry)]),
    row(&[DownloadError], Expired(Timer::GiveUp), Clock, Of::Any, UpdateError, FAIL),

    // Staged. From 4 as well: after a reboot nothing may be missing of the piece.
    row(&[DownloadStart, Downloading], PieceStaged, Device, MCU, Downloaded, &[Report(Downloaded), EmitEvent(OtaEvent::Downloaded), Save, Arm(Timer::Read)]),
    // The next file of a package. Nobody is asked between the files.
    row(&[DownloadStart, Downloading], PieceStaged, Device, MODULE, DownloadStart, &[Effect::NextPiece, Report(DownloadStart), EmitEvent(OtaEvent::Start), Save, Arm(Timer::Head), Fetch]),
    row(&[DownloadStart, Downloading], ImageStaged, Device, MCU, Downloaded, &[Report(Downloaded), EmitEvent(OtaEvent::Downloaded), Save, Arm(Timer::Read)]),
    row(&[DownloadStart, Downloading], ImageStaged, Device, MODULE, Updating, &[Report(Downloaded), EmitEvent(OtaEvent::Downloaded), Report(Updating), EmitEvent(OtaEvent::Updating), Save, Arm(Timer::ApplyDelay)]),
    row(&[Downloaded], Input::NextPiece, Application, MCU, DownloadStart, &[Effect::NextPiece, Report(DownloadStart), EmitEvent(OtaEvent::Start), Save, Arm(Timer::Head), Fetch]),
    row(&[Downloaded], Expired(Timer::Read), Clock, MCU, UpdateError, FAIL),

    // Applied.
    row(&[Downloaded], Update, Application, MCU, Updating, &[Report(Updating), EmitEvent(OtaEvent::Updating), Save, Arm(Timer::McuUpdate)]),
    row(&[Updating], Expired(Timer::McuUpdate), Clock, MCU, UpdateError, FAIL),
    row(&[Updating], Expired(Timer::ApplyDelay), Clock, MODULE, Updating, &[Apply]),
    row(&[Updating], ApplyRefused, Device, MODULE, UpdateError, FAIL),
    row(&[Updating], Expired(Timer::ModuleUpdate), Clock, MODULE, UpdateError, FAIL),
    // From 1 as well: a module that a reboot found at the target needs no image any more (3.5).
    row(&[PlanReceived, Updating], ModuleIsTarget, Device, MODULE, UpdateSuccess, SUCCEED),
    row(&[Updating], ModuleIsOther, Device, MODULE, UpdateError, FAIL),

    // The MCU's version decides (3.4). The version it had before is no input: an MCU reports that at each boot. From 1
    // after a reboot, when the upgrade that it ended waits for an answer.
    row(&[PlanReceived, Confirmed, DownloadStart, Downloading, DownloadError, Downloaded, Updating], TargetVersion, Application, MCU, UpdateSuccess, SUCCEED),
    row(&[Confirmed, DownloadStart, Downloading, DownloadError, Downloaded, Updating], OtherVersion, Application, MCU, UpdateError, FAIL),

    // What a native application may say besides: that it gives up, needs longer, or must not restart now.
    #[cfg(feature = "controls")]
    row(&[PlanReceived], Cancel, Application, Of::Any, Refused, &[Report(Refused), EmitEvent(OtaEvent::Answer), ClearUpgrade]),
    #[cfg(feature = "controls")]
    row(&[Confirmed, DownloadStart, Downloading, DownloadError, Downloaded, Updating], Cancel, Application, Of::Any, UpdateError, FAIL),
    #[cfg(feature = "controls")]
    row(&[Downloaded], MoreTime, Application, MCU, Downloaded, &[Extend(Timer::Read)]),
    #[cfg(feature = "controls")]
    row(&[Updating], MoreTime, Application, MCU, Updating, &[Extend(Timer::McuUpdate)]),
    #[cfg(feature = "controls")]
    row(&[Updating], ApplyHeld, Application, MODULE, Updating, &[Arm(Timer::Hold)]),
    #[cfg(feature = "controls")]
    row(&[Updating], ApplyAllowed, Application, MODULE, Updating, &[Apply]),
    #[cfg(feature = "controls")]
    row(&[Updating], Expired(Timer::Hold), Clock, MODULE, UpdateError, FAIL),

    // Boot loops end (ours; the vendor's has no count).
    row(&[PlanReceived, DownloadError, Updating], RestartedTooOften, Device, Of::Any, UpdateError, FAIL),
];

/// In place of a row with [`Effect::CountFailure`] when the failures are one too many: 12 without a 6 before it.
pub static EXHAUSTED: Row =
    row(&[DownloadStart, Downloading], FetchFailed, Server, Of::Any, UpdateError, FAIL);

/// The transition for `input` in `state`.
pub fn find(state: State, kind: ComponentKind, input: Input) -> Option<&'static Row> {
    TABLE.iter().find(|row| {
        row.input == input && (row.of == Of::Any || row.of == Of::Only(kind)) && row.from.contains(state)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    const KINDS: [ComponentKind; 2] = [ComponentKind::Module, ComponentKind::Mcu];

    fn rows(state: State, kind: ComponentKind) -> impl Iterator<Item = &'static Row> {
        TABLE
            .iter()
            .filter(move |row| row.from.contains(state) && (row.of == Of::Any || row.of == Of::Only(kind)))
    }

    #[test]
    fn an_input_has_one_meaning_in_a_state() {
        for kind in KINDS {
            for state in State::ALL {
                let inputs: Vec<Input> = rows(state, kind).map(|row| row.input).collect();
                for (at, input) in inputs.iter().enumerate() {
                    assert!(!inputs[..at].contains(input), "{input:?} twice in {state:?} of {kind:?}");
                }
            }
        }
    }

    #[test]
    fn every_state_with_a_plan_is_left_by_the_clock_or_waits_for_the_application() {
        for kind in KINDS {
            for state in State::ALL.into_iter().filter(|state| *state != State::NoPlan && !is_passing(*state))
            {
                let out = rows(state, kind).filter(|row| row.to != state);
                let waits_for_answer = state == State::PlanReceived;
                // A module image is verified in the same step that completes it, so its 8 is never rested in.
                let unused = state == State::Downloaded && kind == ComponentKind::Module;
                let ends = out.filter(|row| matches!(row.input, Input::Expired(_))).count();
                assert!(ends > 0 || waits_for_answer || unused, "{state:?} of {kind:?}");
            }
        }
    }

    #[test]
    fn timers_expire_only_where_they_are_armed() {
        for kind in KINDS {
            for row in TABLE.iter().filter(|row| row.of == Of::Any || row.of == Of::Only(kind)) {
                let Input::Expired(timer) = row.input else { continue };
                // Armed by the apply itself, which knows how long.
                let by_apply = timer == Timer::ModuleUpdate;
                let armed = |state: &State| {
                    TABLE.iter().any(|from| from.to == *state && from.effects.contains(&Arm(timer)))
                };
                assert!(by_apply || row.from.iter().all(|state| armed(&state)), "{timer:?}");
            }
        }
    }

    #[test]
    fn each_state_is_reported_once_when_it_is_entered() {
        for row in TABLE.iter().filter(|row| !row.from.contains(row.to)) {
            let reports = row.effects.iter().filter(|effect| **effect == Report(row.to)).count();
            assert_eq!(reports, 1, "{:?} by {:?}", row.to, row.input);
        }
    }

    #[test]
    fn what_ends_is_told_and_forgotten() {
        for row in TABLE.iter().filter(|row| is_passing(row.to)) {
            assert_eq!(row.effects.last(), Some(&ClearUpgrade), "{:?}", row.input);
            assert!(row.effects.iter().any(|effect| matches!(effect, EmitEvent(_))));
        }
    }
}
