//! Where the upgrade of one device stands: checks what inputs carry, looks the transition up in [`super::table`],
//! keeps the timers. It does nothing itself; the agent carries the effects of the row out.

use core::ffi::CStr;

use super::digest::Announced;
use super::package::Package;
use super::table::{self, Effect, Input, Row, State};
use super::timer::{self, Timer, Timers};
use crate::clock::{Deadline, backoff};
use crate::limits;
use crate::platform::{FetchHead, Range};
use crate::text::Text;
use crate::wire::message::ComponentKind;

/// What is upgraded to what. The offer names it; size and digests come with the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Component number.
    pub component: Text<{ limits::COMPONENT }>,
    /// Kind of the component.
    pub kind: ComponentKind,
    /// Target version.
    pub target: Text<{ limits::VERSION }>,
    /// Bytes; 0 before the URL came.
    pub size: u32,
    /// Digests of the whole file.
    pub announced: Announced,
}

impl Image {
    /// Whether both are the same version of the same component, whatever their bytes.
    pub fn is_of(&self, other: &Image) -> bool {
        self.kind == other.kind && self.component == other.component && self.target == other.target
    }
}

/// The limits that a plan names; for the application, which checks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demands {
    /// Per cent.
    pub battery: u32,
    /// dBm.
    pub signal: i32,
    /// Bytes.
    pub space: u32,
}

/// A stretch of the file that is staged as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Piece {
    /// Offset of its first byte in the file.
    pub start: u32,
    /// Bytes.
    pub length: u32,
}

/// Why a download or an upgrade failed. The numbers stay as they are: they are in journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Failure {
    /// 30 s without a URL.
    NoUrl = 1,
    /// A URL packet with fields missing or unusable.
    BadInfo = 2,
    /// An image (module) or a piece (MCU) without room.
    NoRoom = 3,
    /// Connect failure, or no head in time.
    NoAnswer = 4,
    /// The HTTP status is neither 200 nor 206.
    HttpStatus = 5,
    /// Another range or length than asked for.
    WrongRange = 6,
    /// The body ended early.
    Short = 7,
    /// The body goes on behind its end.
    Long = 8,
    /// No byte for too long.
    Stalled = 9,
    /// The staging area failed, or reads back other bytes than were written.
    Storage = 10,
    /// The digests of the whole image are not those announced.
    WrongDigest = 11,
    /// The plan did not come back after a failed download.
    PlanGone = 12,
    /// 60 s without a read.
    NotRead = 13,
    /// No new version in time.
    NoVersion = 14,
    /// A version that is neither the old nor the new one.
    OtherVersion = 15,
    /// Apply refused the module image.
    ApplyRefused = 16,
    /// The application gave the upgrade up.
    Cancelled = 17,
    /// The application held the module image back for too long.
    HeldTooLong = 18,
    /// The device restarted again and again without getting further.
    Restarts = 19,
    /// A module package of several files, and the port's apply takes one.
    NoPackages = 20,
    /// The body came, but too slowly ([`timer::overall`]).
    TooSlow = 21,
}

impl Failure {
    /// All of them, by number.
    pub const ALL: &'static [Failure] = &[
        Failure::NoUrl,
        Failure::BadInfo,
        Failure::NoRoom,
        Failure::NoAnswer,
        Failure::HttpStatus,
        Failure::WrongRange,
        Failure::Short,
        Failure::Long,
        Failure::Stalled,
        Failure::Storage,
        Failure::WrongDigest,
        Failure::PlanGone,
        Failure::NotRead,
        Failure::NoVersion,
        Failure::OtherVersion,
        Failure::ApplyRefused,
        Failure::Cancelled,
        Failure::HeldTooLong,
        Failure::Restarts,
        Failure::NoPackages,
        Failure::TooSlow,
    ];

    /// The failure with this number, from a journal; `None` for 0 and for one of a later version.
    pub fn of(number: u16) -> Option<Failure> {
        Failure::ALL.iter().copied().find(|failure| *failure as u16 == number)
    }

    /// The reason in words.
    pub fn text(self) -> &'static str {
        self.c_text().to_str().unwrap_or("") // ASCII, all of them
    }

    /// The reason in words, for C.
    pub const fn c_text(self) -> &'static CStr {
        match self {
            Failure::NoUrl => c"the platform sent no firmware URL in time",
            Failure::BadInfo => c"the platform's firmware information is incomplete or not usable",
            Failure::NoRoom => c"the staging area has no room for the image",
            Failure::NoAnswer => c"the firmware server does not answer",
            Failure::HttpStatus => c"the firmware server answered another status than 200 or 206",
            Failure::WrongRange => c"the firmware server sent another range than was asked for",
            Failure::Short => c"the firmware body ended early",
            Failure::Long => c"the firmware body is longer than was asked for",
            Failure::Stalled => c"the download stalled",
            Failure::Storage => c"the staging area failed",
            Failure::WrongDigest => c"the digests of the image are not the announced ones",
            Failure::PlanGone => c"the plan did not come back after a failed download",
            Failure::NotRead => c"the application did not read the staged piece in time",
            Failure::NoVersion => c"the new version was not reported in time",
            Failure::OtherVersion => c"another version than the target was reported",
            Failure::ApplyRefused => c"the platform's apply refused the image",
            Failure::Cancelled => c"the application cancelled the upgrade",
            Failure::HeldTooLong => c"the application held the module firmware back for too long",
            Failure::Restarts => c"the device restarted again and again without getting further",
            Failure::NoPackages => c"the package has several files, and the platform's apply takes one",
            Failure::TooSlow => c"the download took too long",
        }
    }
}

/// A call that the state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the OTA state does not allow this")]
pub struct NotNow;

/// A fetch under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// What was asked for.
    pub range: Range,
    /// Bytes that came.
    pub got: u32,
}

/// One device's upgrade.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    state: State,
    /// What is upgraded; of the last plan of a list before the URLs come.
    pub image: Image,
    /// The version before, as the plan has it.
    pub source: Text<{ limits::VERSION }>,
    /// What the plan demands.
    pub demands: Demands,
    /// Where the file is, or the files are.
    pub package: Package,
    /// The piece that is staged or being staged.
    pub piece: Piece,
    /// The fetch under way.
    pub fetch: Option<Fetch>,
    /// Bytes of the image that came so far; the agent tells it with each chunk.
    pub received: u32,
    /// Why the last thing that failed did.
    pub failure: Option<Failure>,
    /// 10701 was told for this image.
    pub announced: bool,
    /// The plan came as a list (id 28) of this many; 0: as a single plan.
    pub listed: u8,
    /// Components of a confirmed list whose URLs are still to come.
    pub awaited: u8,
    /// How many a confirmation of the present plan is for.
    asked: u8,
    /// What the application asks for with [`Input::MoreTime`], and has got in this state in all. Milliseconds.
    more: u32,
    given: u32,
    timers: Timers,
    failures: u8,
    /// The plan was asked for so often since the last failure, and did not come.
    asks: u8,
    best: u32,
    /// The state came from the journal.
    rebooted: bool,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// No plan.
    pub const fn new() -> Self {
        Machine {
            state: State::NoPlan,
            image: Image {
                component: Text::new(),
                kind: ComponentKind::Module,
                target: Text::new(),
                size: 0,
                announced: Announced { md5: None, crc32: None, sha256: None },
            },
            source: Text::new(),
            demands: Demands { battery: 0, signal: 0, space: 0 },
            package: Package::new(),
            piece: Piece { start: 0, length: 0 },
            fetch: None,
            received: 0,
            failure: None,
            announced: false,
            listed: 0,
            awaited: 0,
            asked: 0,
            more: 0,
            given: 0,
            timers: Timers::new(),
            failures: 0,
            asks: 0,
            best: 0,
            rebooted: false,
        }
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Milliseconds until the next deadline.
    pub fn left(&self, now: u32) -> Option<u32> {
        self.timers.left(now)
    }

    /// Takes the input if the state does: moves, sets the timers, and gives the row whose effects are to be
    /// carried out.
    pub fn take(&mut self, input: Input, now: u32) -> Option<&'static Row> {
        let mut row = table::find(self.state, self.image.kind, input)?;
        if row.effects.contains(&Effect::CountFailure) && self.is_one_too_many() {
            row = &table::EXHAUSTED;
        }
        if row.to != self.state {
            self.timers.clear();
            self.given = 0;
            self.asks = 0;
            self.rebooted = false;
        }
        for effect in row.effects {
            match effect {
                Effect::Arm(Timer::Retry) => {
                    let is_again = input == Input::Expired(Timer::Retry);
                    self.asks = self.asks.saturating_add(u8::from(is_again));
                    self.arm(Timer::Retry, now);
                }
                Effect::Arm(timer) => self.arm(*timer, now),
                Effect::Extend(timer) => self.put_off(*timer, Deadline::after(now, self.more)),
                Effect::CancelFetch => self.fetch = None,
                _ => {}
            }
        }
        self.count_awaited(input, row.to);
        self.state = if table::is_passing(row.to) { State::NoPlan } else { row.to };
        if row.to == State::UpdateSuccess {
            self.failure = None;
        }
        Some(row)
    }

    /// URLs that a confirmation still awaits. A component that ends before its URL came has used its turn as well.
    fn count_awaited(&mut self, input: Input, to: State) {
        match (self.state, input, to) {
            (_, Input::Confirm, _) => self.awaited = self.asked,
            // One answer for all.
            (State::PlanReceived, Input::Refuse | Input::Cancel, _) => self.asked = 0,
            // Offered again after a reboot; those behind it were confirmed before that.
            (State::PlanReceived, _, State::UpdateSuccess | State::UpdateError) => {
                self.awaited = self.behind()
            }
            (_, Input::FirmwareInfo | Input::BadFirmwareInfo, _) => {
                self.awaited = self.awaited.saturating_sub(1);
            }
            (State::Confirmed, ..) if table::is_passing(to) => self.awaited = self.awaited.saturating_sub(1),
            _ => {}
        }
    }

    /// Components of the list that come after the present one, or after the one that ended last.
    pub fn behind(&self) -> u8 {
        match self.state {
            State::PlanReceived => self.asked.saturating_sub(1),
            State::Confirmed => self.awaited.saturating_sub(1),
            _ => self.awaited,
        }
    }

    /// Failures without a byte more than at any failure before count up; progress starts the count again.
    fn is_one_too_many(&mut self) -> bool {
        let received = self.received;
        if received > self.best {
            self.best = received;
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.failures > timer::DOWNLOAD_FAILURES
    }

    fn arm(&mut self, timer: Timer, now: u32) {
        let wait = match timer {
            Timer::Url => timer::WAIT_URL,
            Timer::Head => timer::WAIT_HEAD,
            Timer::Heartbeat => timer::HEARTBEAT,
            Timer::Stall => timer::STALL_SINCE_REQUEST,
            Timer::Read => timer::MCU_READ,
            Timer::ApplyDelay => timer::APPLY_DELAY,
            // Started by `wait_for_module`, which knows how long.
            Timer::ModuleUpdate => return,
            Timer::McuUpdate => timer::MCU_UPDATE,
            // `spread_retry` adds the jitter.
            Timer::Retry => self.retry_wait(0),
            Timer::GiveUp => timer::GIVE_UP,
            Timer::Verdict => timer::MODULE_VERDICT,
            Timer::Hold => timer::APPLY_HOLD,
            Timer::Overall => timer::overall(self.fetch.map_or(0, |fetch| fetch.range.length)),
        };
        self.timers.arm(timer, Deadline::after(now, wait));
    }

    /// How long to wait for the next try; progress sets the failures back.
    fn retry_wait(&self, random: u32) -> u32 {
        let doublings = u32::from(self.failures.saturating_sub(1)).saturating_add(self.asks.into());
        backoff(timer::RETRY_FIRST, doublings, timer::RETRY_MOST, random)
    }

    /// Gives the retry that was just armed its jitter.
    pub fn spread_retry(&mut self, random: u32, now: u32) {
        if self.timers.get(Timer::Retry).is_some() {
            self.timers.arm(Timer::Retry, Deadline::after(now, self.retry_wait(random)));
        }
    }

    /// The timer that is due, once.
    pub fn take_due(&mut self, now: u32) -> Option<Timer> {
        self.timers.take_due(now)
    }

    /// Starts a running timer again: the URL one while offline, the read one at each read, the stall one at each
    /// byte.
    pub fn restart(&mut self, timer: Timer, now: u32) {
        match (timer, self.timers.get(timer)) {
            (Timer::Stall, _) => self.put_off(timer, Deadline::after(now, timer::STALL_SINCE_BYTE)),
            // Not before what the application asked for.
            (Timer::Read, _) => self.put_off(timer, Deadline::after(now, timer::MCU_READ)),
            (_, Some(_)) => self.arm(timer, now),
            (_, None) => {}
        }
    }

    /// A running timer does not end before `at`.
    fn put_off(&mut self, timer: Timer, at: Deadline) {
        if let Some(running) = self.timers.get(timer) {
            self.timers.arm(timer, running.or_later(at));
        }
    }

    /// The application needs `wait` milliseconds more: which input it is. `Err(Some(left))`: more than the `left` that
    /// it can still have in this state; `Err(None)`: nothing waits for it.
    pub fn more_time(&mut self, wait: u32) -> Result<Input, Option<u32>> {
        let most = match (self.state, self.image.kind) {
            (State::Downloaded, ComponentKind::Mcu) => timer::READ_MORE,
            (State::Updating, ComponentKind::Mcu) => timer::MCU_UPDATE_MORE,
            _ => return Err(None),
        };
        let left = most.saturating_sub(self.given);
        if wait > left {
            return Err(Some(left));
        }
        self.given = self.given.saturating_add(wait);
        self.more = wait;
        Ok(Input::MoreTime)
    }

    /// Whether the application holds a module image back that is due for apply.
    pub fn is_held(&self) -> bool {
        self.timers.get(Timer::Hold).is_some()
    }

    /// The platform applies the module image and is to reboot within `wait` milliseconds.
    pub fn wait_for_module(&mut self, wait: u32, now: u32) {
        self.timers.stop(Timer::Hold);
        self.timers.arm(Timer::ModuleUpdate, Deadline::after(now, wait));
    }

    /// After a reboot: a state that was in the journal, with its timers; of a list (0: none) that had `behind`
    /// components to come after this one.
    pub fn recover(&mut self, state: State, listed: u8, behind: u8, now: u32) {
        self.state = state;
        self.listed = listed;
        self.asked = behind.saturating_add(1);
        self.awaited = if state == State::PlanReceived { 0 } else { behind };
        self.rebooted = true;
        self.timers.clear();
        match (state, self.image.kind) {
            (State::Updating, ComponentKind::Mcu) => self.arm(Timer::McuUpdate, now),
            (State::Updating, ComponentKind::Module) => self.arm(Timer::Verdict, now),
            (State::DownloadError, _) => {
                self.arm(Timer::Retry, now);
                self.arm(Timer::GiveUp, now);
            }
            _ => {}
        }
    }

    /// A well-formed plan (or the last one of a list) for this component and target: which input it is. A changed
    /// plan takes the place of what was there.
    pub fn offer(&mut self, offer: &Image, source: &str, demands: Demands, listed: u8) -> Option<Input> {
        if self.is_interrupted(offer) {
            self.listed = listed;
            self.asked = listed.max(1);
            self.awaited = self.asked;
            return Some(Input::SamePlan);
        }
        if !matches!(self.state, State::NoPlan | State::PlanReceived | State::DownloadError) {
            return None;
        }
        self.image = *offer;
        // A source version that is too long for us is none that we report, so nothing is compared with it.
        let _ = self.source.set(source);
        self.demands = demands;
        self.listed = listed;
        self.asked = listed.max(1);
        self.awaited = 0;
        self.announced = false;
        self.failures = 0;
        self.best = 0;
        self.received = 0;
        self.failure = None;
        Some(Input::Plan)
    }

    /// Whether the download of this component and version failed and waits for its plan.
    pub fn is_interrupted(&self, offer: &Image) -> bool {
        self.state == State::DownloadError && self.image.is_of(offer)
    }

    /// Whether a module image was handed over before the reboot, and nobody has looked at the version since.
    pub fn awaits_verdict(&self) -> bool {
        self.state == State::Updating && self.image.kind == ComponentKind::Module && self.rebooted
    }

    /// Whether a reboot interrupted the upgrade, which is offered again since.
    pub fn is_offered_again(&self) -> bool {
        self.state == State::PlanReceived && self.rebooted
    }

    /// The same of a module's, before its image was handed over.
    pub fn is_module_offered_again(&self) -> bool {
        self.is_offered_again() && self.image.kind == ComponentKind::Module
    }

    /// Whether the present state takes this input.
    pub fn takes(&self, input: Input) -> bool {
        table::find(self.state, self.image.kind, input).is_some()
    }

    /// Failures in a row without a new byte.
    pub fn failures(&self) -> u8 {
        self.failures
    }

    /// Whether a URL packet is wanted now: confirmed, or of a later component of a confirmed list.
    pub fn awaits_url(&self) -> bool {
        self.state == State::Confirmed || (self.state == State::NoPlan && self.awaited > 0)
    }

    /// The application's answer or word (QUECTHING.md 1.2 `Ql_iotCmdOtaAction`): which input it is; `None`: right,
    /// and nothing to do.
    pub fn action(&self, action: u8) -> Result<Option<Input>, NotNow> {
        match (action, self.state) {
            (0, State::PlanReceived) => Ok(Some(Input::Refuse)),
            (1, State::PlanReceived) => Ok(Some(Input::Confirm)),
            (1, State::Confirmed) => Ok(None),
            (2, State::Downloaded) if !self.is_last_piece() => Ok(Some(Input::NextPiece)),
            (3, State::Downloaded) if self.is_last_piece() => Ok(Some(Input::Update)),
            (3, State::Updating) => Ok(None),
            _ => Err(NotNow),
        }
    }

    /// The component reports a version: which input it is. `before` is what it reported last.
    pub fn version(&self, component: &str, version: &str, before: Option<&str>) -> Option<Input> {
        if self.image.kind != ComponentKind::Mcu || self.image.component.as_str() != component {
            return None;
        }
        // A plan that is only offered is the platform's to take back.
        if self.state == State::PlanReceived && !self.is_offered_again() {
            return None;
        }
        if version == self.image.target.as_str() {
            return Some(Input::TargetVersion);
        }
        let unchanged = before.unwrap_or(self.source.as_str()) == version || self.source.as_str() == version;
        (!unchanged && !version.is_empty()).then_some(Input::OtherVersion)
    }

    /// Whether nothing comes after the present piece.
    pub fn is_last_piece(&self) -> bool {
        self.piece.start.saturating_add(self.piece.length) >= self.image.size
    }

    /// The file that the present piece belongs to, as a stretch of the image, and what was announced of it. Of a
    /// package each file is a piece; else the image is one file.
    pub fn file(&self) -> (Piece, Announced) {
        let whole = (Piece { start: 0, length: self.image.size }, self.image.announced);
        self.package.file_at(self.piece.start).unwrap_or(whole)
    }

    /// The first piece of an image, or the one after the present piece, when `room` bytes can be staged.
    pub fn piece_at(&self, start: u32, room: u32) -> Piece {
        if let Some((file, _)) = self.package.file_at(start) {
            return file;
        }
        Piece { start, length: self.image.size.saturating_sub(start).min(room) }
    }

    /// Checks a head against what was asked for (DESIGN: a range answered otherwise is an error, never wrong bytes).
    pub fn check_head(&self, head: &FetchHead) -> Result<(), Failure> {
        let Some(Fetch { range, .. }) = self.fetch else { return Err(Failure::NoAnswer) };
        let whole = head.total.is_none_or(|total| total == self.file().0.length);
        match head.status {
            206 if head.first == range.start
                && head.length.is_none_or(|length| length == range.length)
                && whole =>
            {
                Ok(())
            }
            200 if range.start == 0 && head.first == 0 && head.length == Some(range.length) && whole => {
                Ok(())
            }
            200 | 206 => Err(Failure::WrongRange),
            _ => Err(Failure::HttpStatus),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    #[test]
    fn every_failure_has_a_number_and_words_of_its_own_that_fit_the_wire() {
        let source = include_str!("machine.rs");
        let declared = source.split("pub enum Failure {").nth(1).unwrap().split("\n}").next().unwrap();
        assert_eq!(declared.matches(" = ").count(), Failure::ALL.len(), "one is not in ALL");
        for (at, failure) in Failure::ALL.iter().enumerate() {
            assert_eq!(Failure::of(*failure as u16), Some(*failure));
            assert!((1..=limits::REASON_TEXT).contains(&failure.text().len()), "{failure:?}");
            let others = Failure::ALL.iter().take(at);
            assert!(others.clone().all(|other| other.text() != failure.text()), "{failure:?}");
        }
        assert_eq!((Failure::of(0), Failure::of(u16::MAX)), (None, None));
    }
}
