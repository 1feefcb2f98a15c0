//! The state of one device's upgrade: checks what inputs carry, looks the transition up in [`super::table`], and keeps
//! the timers. It does nothing itself: the agent carries out the effects of the row.

use super::failure::Failure;
use super::table::{self, Effect, Input, Row, State};
use super::timer::{self, Timer, Timers};
use crate::clock::{Deadline, backoff};
use crate::digest::Announced;
use crate::image::{Image, PlanRequirements};
use crate::text::Text;
use crate::wire::message::{ComponentKind, Plan};
use crate::{journal, limits};

/// A call that the state does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the OTA state does not allow this")]
pub struct InvalidState;

/// What a plan offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// What is upgraded, and to what. Size and digests are unknown until the URL came.
    pub image: Image,
    /// The version before, as the plan has it; may be empty.
    pub source: Text<{ limits::VERSION }>,
    /// The limits that the application checks.
    pub requirements: PlanRequirements,
}

impl Offer {
    /// Of nothing.
    const NONE: Offer = Offer {
        image: Image::NONE,
        source: Text::new(),
        requirements: PlanRequirements { battery: 0, signal: 0, space: 0 },
    };
}

/// Whether pieces of the image follow the staged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Following {
    /// At least one.
    Pieces,
    /// None: the staged piece is the last.
    Nothing,
}

/// The components of one plan message.
#[derive(Debug, Clone, Copy)]
struct List {
    /// The plan came as a list (id 28) of this many; 0: as a single plan.
    listed: u8,
    /// Components of a confirmed list whose URLs are still to come.
    awaited: u8,
    /// How many a confirmation of the present plan is for.
    offered: u8,
}

/// What counts against a download that fails again and again.
#[derive(Debug, Clone, Copy)]
struct Retries {
    /// Failures in a row without a byte more.
    failures: u8,
    /// Those of them that [`Failure::is_of_device`].
    of_device: u8,
    /// Seconds that the server wants to be left alone after the failure.
    retry_after: u32,
    /// The plan was asked for so often since the last failure, and did not come.
    asks: u8,
    /// Bytes of the image that had come at the best failure.
    best: u32,
    /// Bytes of the image that came so far.
    received: u32,
}

impl Retries {
    const NONE: Retries =
        Retries { failures: 0, of_device: 0, retry_after: 0, asks: 0, best: 0, received: 0 };
}

/// Time that the application asks for with [`Input::MoreTime`]. Milliseconds.
#[derive(Debug, Clone, Copy)]
struct MoreTime {
    /// With the last call.
    asked: u32,
    /// In this state in all.
    granted: u32,
}

/// One device's upgrade. More failures in a row than `FAILURES`, or of the device than `DEVICE_FAILURES`, end it; a model
/// that walks every state has fewer.
#[derive(Debug, Clone, Copy)]
#[repr(C)] // small members are near its start, which takes less code
pub struct Machine<
    const FAILURES: u8 = { timer::DOWNLOAD_FAILURES },
    const DEVICE_FAILURES: u8 = { timer::DEVICE_FAILURES },
> {
    state: State,
    /// 10701 was emitted for this image.
    is_announced: bool,
    /// The state came from the journal.
    is_recovered: bool,
    list: List,
    /// Why the last thing that failed did.
    failure: Option<Failure>,
    retries: Retries,
    more_time: MoreTime,
    /// Bytes that the fetch under way asked for.
    fetch_length: u32,
    timers: Timers,
    /// What is upgraded; of the last plan of a list before the URLs come.
    offer: Offer,
}

impl<const FAILURES: u8, const DEVICE_FAILURES: u8> Default for Machine<FAILURES, DEVICE_FAILURES> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const FAILURES: u8, const DEVICE_FAILURES: u8> Machine<FAILURES, DEVICE_FAILURES> {
    /// No plan.
    pub const fn new() -> Self {
        Machine {
            state: State::NoPlan,
            offer: Offer::NONE,
            list: List { listed: 0, awaited: 0, offered: 0 },
            retries: Retries::NONE,
            more_time: MoreTime { asked: 0, granted: 0 },
            fetch_length: 0,
            failure: None,
            is_announced: false,
            is_recovered: false,
            timers: Timers::new(),
        }
    }

    /// What the plan offers.
    pub fn offer(&self) -> &Offer {
        &self.offer
    }

    /// What is upgraded; before the URLs of a list came, its last component.
    pub fn image(&self) -> &Image {
        &self.offer.image
    }

    /// The kind of the component.
    pub fn kind(&self) -> ComponentKind {
        self.offer.image.kind
    }

    /// Why the last thing that failed did, until the next plan is answered or a success.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Notes why the input that follows is a failure.
    pub fn set_failure(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// How many plans came in one list (id 28); 0: a single plan.
    pub fn listed(&self) -> u8 {
        if cfg!(feature = "lists") { self.list.listed } else { 0 }
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
        let mut row = table::find(self.state, self.offer.image.kind, input)?;
        if row.effects.contains(&Effect::CountFailure) && self.is_one_too_many() {
            row = &table::EXHAUSTED;
        }
        if row.to != self.state {
            if self.state == State::DownloadError {
                self.retries.retry_after = 0;
            }
            self.timers.clear();
            self.more_time.granted = 0;
            self.retries.asks = 0;
            self.is_recovered = false;
        }
        for effect in row.effects {
            match effect {
                Effect::Arm(Timer::Retry) => {
                    let is_again = input == Input::Expired(Timer::Retry);
                    self.retries.asks = self.retries.asks.saturating_add(u8::from(is_again));
                    self.arm(Timer::Retry, now);
                }
                // A request for the rest may have to connect again.
                Effect::Arm(Timer::Stall) if input == Input::RangeEnded => {
                    self.timers.arm(Timer::Stall, Deadline::after(now, timer::WAIT_HEAD));
                }
                Effect::Arm(timer) => self.arm(*timer, now),
                Effect::Extend(timer) if cfg!(feature = "controls") => {
                    self.put_off(*timer, Deadline::after(now, self.more_time.asked))
                }
                Effect::CancelFetch => self.fetch_length = 0,
                _ => {}
            }
        }
        self.count_awaited(input, row.to);
        self.state = if table::is_passing(row.to) { State::NoPlan } else { row.to };
        // Not with the plan itself: the application may not have taken the 10706 before it, and asks why then.
        if row.to == State::UpdateSuccess || matches!(input, Input::Confirm | Input::Refuse) {
            self.failure = None;
        }
        Some(row)
    }

    /// URLs that a confirmation still awaits. A component that ends before its URL came has used its turn as well.
    fn count_awaited(&mut self, input: Input, to: State) {
        if !cfg!(feature = "lists") {
            return; // after its URL nothing of a plan is awaited
        }
        match (self.state, input, to) {
            (_, Input::Confirm, _) => self.list.awaited = self.list.offered,
            // One answer for all.
            (State::PlanReceived, Input::Refuse | Input::Cancel, _) => self.list.offered = 0,
            // Offered again after a reboot; those behind it were confirmed before that.
            (State::PlanReceived, _, State::UpdateSuccess | State::UpdateError) => {
                self.list.awaited = self.remaining()
            }
            (_, Input::FirmwareInfo | Input::BadFirmwareInfo, _) => {
                self.list.awaited = self.list.awaited.saturating_sub(1);
            }
            (State::Confirmed, ..) if table::is_passing(to) => {
                self.list.awaited = self.list.awaited.saturating_sub(1)
            }
            _ => {}
        }
    }

    /// Components of the list that come after the present one, or after the one that ended last.
    pub fn remaining(&self) -> u8 {
        match self.state {
            _ if !cfg!(feature = "lists") => 0,
            State::PlanReceived => self.list.offered.saturating_sub(1),
            State::Confirmed => self.list.awaited.saturating_sub(1),
            _ => self.list.awaited,
        }
    }

    /// Failures without a byte more than at any failure before count up; progress starts the count again.
    fn is_one_too_many(&mut self) -> bool {
        let is_of_device = self.failure.is_some_and(Failure::is_of_device);
        let Retries { failures, of_device, best, received, .. } = &mut self.retries;
        if *received > *best {
            *best = *received;
            *failures = 0;
            *of_device = 0;
        }
        *failures = failures.saturating_add(1);
        *of_device = of_device.saturating_add(u8::from(is_of_device));
        *failures > FAILURES || *of_device > DEVICE_FAILURES
    }

    fn arm(&mut self, timer: Timer, now: u32) {
        let wait = match timer {
            // Started by `wait_for_module`, which knows how long.
            Timer::ModuleUpdate => return,
            // `spread_retry` adds the jitter.
            Timer::Retry => self.retry_wait(0),
            Timer::Overall => timer::overall(self.fetch_length),
            _ => timer.wait(),
        };
        self.timers.arm(timer, Deadline::after(now, wait));
    }

    /// How long to wait for the next try; progress sets the failures back.
    fn retry_wait(&self, random: u32) -> u32 {
        let doublings =
            u32::from(self.retries.failures.saturating_sub(1)).saturating_add(self.retries.asks.into());
        let wait = backoff(timer::RETRY_FIRST, doublings, timer::RETRY_MOST, random);
        if !self.pauses() {
            return wait;
        }
        let asked_for = self.retries.retry_after.min(timer::RETRY_AFTER_MOST).saturating_mul(1000);
        wait.max(backoff(asked_for, 0, asked_for, random))
    }

    /// The server wants to be left alone for so many seconds after the failure that follows.
    pub fn retry_after(&mut self, seconds: u32) {
        self.retries.retry_after = seconds;
    }

    /// Whether the pause after a failed download is not over. After a reboot nobody knows how long it was.
    fn pauses(&self) -> bool {
        self.state == State::DownloadError && self.retries.asks == 0 && !self.is_recovered
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

    /// Restarts a running timer: the URL timer while offline, the read timer at each read, the stall timer at each byte.
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
        let most = match (self.state, self.offer.image.kind) {
            (State::Downloaded, ComponentKind::Mcu) => timer::READ_MORE,
            (State::Updating, ComponentKind::Mcu) => timer::MCU_UPDATE_MORE,
            _ => return Err(None),
        };
        let left = most.saturating_sub(self.more_time.granted);
        if wait > left {
            return Err(Some(left));
        }
        self.more_time.granted = self.more_time.granted.saturating_add(wait);
        self.more_time.asked = wait;
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

    /// Takes over what an earlier run was offered; [`Machine::recover`] follows, unless that is over.
    pub fn restore(&mut self, progress: &journal::Progress) {
        self.offer.image = progress.image;
        self.offer.source = progress.source;
        self.offer.requirements = progress.requirements;
    }

    /// After a reboot: a state that was in the journal, with its timers; of a list (0: none) that had `remaining`
    /// components to come after this one.
    pub fn recover(&mut self, state: State, listed: u8, remaining: u8, now: u32) {
        self.state = state;
        self.list.listed = listed;
        self.list.offered = remaining.saturating_add(1);
        self.list.awaited = if state == State::PlanReceived { 0 } else { remaining };
        self.is_recovered = true;
        self.timers.clear();
        match (state, self.offer.image.kind) {
            (State::Updating, ComponentKind::Mcu) => self.arm(Timer::McuUpdate, now),
            (State::Updating, ComponentKind::Module) => self.arm(Timer::Verdict, now),
            (State::DownloadError, _) => {
                self.arm(Timer::Retry, now);
                self.arm(Timer::GiveUp, now);
            }
            _ => {}
        }
    }

    /// Takes a well-formed plan, or the last one of a list of `listed`: which input it is. `None`: another upgrade is
    /// under way, or it is the plan of a download that failed, and comes before the pause is over. A changed plan takes the place
    /// of what was there; of an image that stays the same, so do size and digests.
    pub fn take_offer(&mut self, plan: &Plan<'_>, listed: u8) -> Option<Input> {
        let offered = listed.max(1);
        if self.is_interrupted(plan) {
            if self.pauses() {
                return None; // it is asked for again
            }
            self.list = List { listed, awaited: offered, offered };
            return Some(Input::SamePlan);
        }
        if !matches!(self.state, State::NoPlan | State::PlanReceived | State::DownloadError) {
            return None;
        }
        if self.name_image(plan.kind, plan.component, plan.target) {
            self.clear_image();
        }
        let Offer { source, requirements, .. } = &mut self.offer;
        if source.set(plan.source).is_err() {
            // One that is too long for us is none that we report, so nothing is compared with it.
            source.clear();
        }
        *requirements = PlanRequirements { battery: plan.battery, signal: plan.signal, space: plan.space };
        self.list = List { listed, awaited: 0, offered };
        self.retries = Retries::NONE;
        self.is_announced = false;
        Some(Input::Plan)
    }

    /// The image is this version of this component. Whether it was another before.
    pub fn name_image(&mut self, kind: ComponentKind, component: &str, target: &str) -> bool {
        let image = &mut self.offer.image;
        let is_other = !image.is(kind, component, target);
        if is_other {
            image.kind = kind;
            // Their lengths were checked when the message was read.
            let _ = image.component.set(component);
            let _ = image.target.set(target);
            self.is_announced = false;
        }
        is_other
    }

    /// The file of the image, as the URL packet names it. Whether it was another before.
    pub fn set_file(&mut self, size: u32, announced: &Announced) -> bool {
        let image = &mut self.offer.image;
        let is_other = image.size != size || image.announced != *announced;
        if is_other {
            image.size = size;
            image.announced = *announced;
            self.is_announced = false;
        }
        is_other
    }

    /// The upgrade is over: size and digests are unknown again.
    pub fn clear_image(&mut self) {
        self.offer.image.size = 0;
        self.offer.image.announced = Announced::default();
    }

    /// Whether 10701 was emitted for this image before; from now on it was.
    pub fn announce(&mut self) -> bool {
        core::mem::replace(&mut self.is_announced, true)
    }

    /// The image begins again: so does what the application hears of it.
    pub fn announce_again(&mut self) {
        self.is_announced = false;
    }

    /// Awaits no URL of a confirmed list any more. Whether one was awaited.
    pub fn drop_awaited(&mut self) -> bool {
        core::mem::take(&mut self.list.awaited) > 0
    }

    /// A fetch of this many bytes was asked for.
    pub fn start_fetch(&mut self, length: u32) {
        self.fetch_length = length;
    }

    /// Bytes came: `received` of the image in all. Restarts the stall timer.
    pub fn progress(&mut self, received: u32, now: u32) {
        self.retries.received = received;
        self.restart(Timer::Stall, now);
    }

    /// Whether the download of this component and version failed and waits for its plan.
    pub fn is_interrupted(&self, plan: &Plan<'_>) -> bool {
        self.state == State::DownloadError && self.offer.image.is(plan.kind, plan.component, plan.target)
    }

    /// Whether a module image was handed over before the reboot, and nobody has looked at the version since.
    pub fn awaits_verdict(&self) -> bool {
        self.state == State::Updating && self.offer.image.kind == ComponentKind::Module && self.is_recovered
    }

    /// Whether a reboot interrupted the upgrade, which is offered again since.
    pub fn is_offered_again(&self) -> bool {
        self.state == State::PlanReceived && self.is_recovered
    }

    /// The same of a module's, before its image was handed over.
    pub fn is_module_offered_again(&self) -> bool {
        self.is_offered_again() && self.offer.image.kind == ComponentKind::Module
    }

    /// Whether the present state takes this input.
    pub fn takes(&self, input: Input) -> bool {
        table::find(self.state, self.offer.image.kind, input).is_some()
    }

    /// Failures in a row without a new byte.
    pub fn failures(&self) -> u8 {
        self.retries.failures
    }

    /// Whether a URL packet is wanted now: confirmed, or of a later component of a confirmed list.
    pub fn awaits_url(&self) -> bool {
        self.state == State::Confirmed || (self.state == State::NoPlan && self.remaining() > 0)
    }

    /// The application's answer or word (QUECTHING.md 1.2 `Ql_iotCmdOtaAction`): which input it is; `None`: right,
    /// and nothing to do.
    pub fn action(&self, action: u8, following: Following) -> Result<Option<Input>, InvalidState> {
        match (action, self.state) {
            (0, State::PlanReceived) => Ok(Some(Input::Refuse)),
            (1, State::PlanReceived) => Ok(Some(Input::Confirm)),
            (1, State::Confirmed) => Ok(None),
            (2, State::Downloaded) if following == Following::Pieces => Ok(Some(Input::NextPiece)),
            (3, State::Downloaded) if following == Following::Nothing => Ok(Some(Input::Update)),
            (3, State::Updating) => Ok(None),
            _ => Err(InvalidState),
        }
    }

    /// The component reports a version: which input it is. `before` is what it reported last.
    pub fn version(&self, component: &str, version: &str, before: Option<&str>) -> Option<Input> {
        if self.offer.image.kind != ComponentKind::Mcu || self.offer.image.component.as_str() != component {
            return None;
        }
        // A plan that is only offered is the platform's to take back.
        if self.state == State::PlanReceived && !self.is_offered_again() {
            return None;
        }
        if version == self.offer.image.target.as_str() {
            return Some(Input::TargetVersion);
        }
        let unchanged =
            before.unwrap_or(self.offer.source.as_str()) == version || self.offer.source.as_str() == version;
        (!unchanged && !version.is_empty()).then_some(Input::OtherVersion)
    }
}
