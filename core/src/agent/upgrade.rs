//! Carries out what the state machine says: events, reports, fetches, storage.

use super::keep::Mark;
use super::unasked::is_unasked;
use super::{Agent, CallError, Dialect, EventValue, FetchEnd, FetchHead, Flow};
use crate::clock::Deadline;
use crate::limits;
use crate::ota::digest::{Announced, Verdict};
use crate::ota::journal::Report;
use crate::ota::package::Unusable;
use crate::ota::staging::Staged;
use crate::ota::{Demands, Effect, Failure, Fetch, Image, Input, Machine, Row, State, Timer, Told};
use crate::platform::{Applied, Area, Level, Platform, Range, Takes};
use crate::text::Text;
use crate::wire::event::{PieceEvent, PlanEvent, StartEvent};
use crate::wire::message::{ComponentKind, Content, FirmwareInfo, Plan, PlanNotify, Plans};

/// `QIOT_ATEVENT_TYPE_OTA`.
const OTA: u8 = 7;
const TASK_NOTIFY: u16 = 10700;
const START: u16 = 10701;
const DOWNLOADING: u16 = 10702;
const DOWNLOADED: u16 = 10703;
const UPDATING: u16 = 10704;
const UPDATE_OK: u16 = 10705;
const UPDATE_FAIL: u16 = 10706;
const ANSWER: u16 = 10707;

/// The transport was busy; ask it again after this long. Milliseconds.
const FETCH_AGAIN: u32 = 500;

/// What the application asked for, for 10707.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Refuse,
    Confirm,
}

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
        platform.log(Level::Warn, failure.text());
        self.machine.failure = Some(failure);
        self.input(platform, input);
    }

    /// The effects of a row, in order; perhaps an input that follows at once.
    fn transition(&mut self, platform: &mut dyn Platform, row: &Row, input: Input) -> Option<Input> {
        let mut next = None;
        for effect in row.effects {
            match effect {
                Effect::Report(state) => self.report(platform, *state),
                Effect::Tell(told) => self.tell_step(platform, *told, input),
                Effect::Fetch => next = self.fetch(platform, input),
                Effect::CancelFetch => {
                    self.fetch_again = None;
                    platform.fetch_cancel();
                }
                Effect::Advance => self.advance(platform),
                Effect::Discard => {
                    let room = self.room(platform);
                    if self.machine.package.count() > 0 {
                        // The files before this one are verified.
                        self.restart_at(self.start_of_piece(), room);
                    } else {
                        self.restart_image(room);
                    }
                }
                Effect::AskPlan => self.uplink.plan_request = true,
                Effect::Apply => next = self.apply(platform),
                Effect::Save => self.save(platform),
                Effect::Forget => self.forget(platform),
                Effect::Arm(Timer::Retry) => {
                    let random = self.random(platform);
                    self.machine.spread_retry(random, platform.millis());
                }
                Effect::Arm(_) | Effect::Extend(_) | Effect::CountFailure => {} // the machine's own
            }
        }
        next
    }

    fn report(&mut self, platform: &mut dyn Platform, state: State) {
        let failed = matches!(state, State::Refused | State::DownloadError | State::UpdateError);
        let report = Report {
            state: state.number(),
            kind: self.machine.image.kind.number(),
            wants_sha256: state == State::Confirmed && self.wants_sha256,
            reason: self.machine.failure.filter(|_| failed).map_or(0, |failure| failure as u16),
            offset: self.received(),
            size: self.machine.image.size,
            component: self.machine.image.component,
        };
        if self.reports.push(report).is_some() {
            platform.log(Level::Error, "a status report is lost: too many wait for the platform");
        }
        self.keep_reports(platform, state);
    }

    pub(super) fn tell_step(&mut self, platform: &mut dyn Platform, told: Told, input: Input) {
        let is_mcu = self.machine.image.kind == ComponentKind::Mcu;
        let (code, value) = match told {
            // Told from the packet by `tell_plans`, as room comes.
            Told::Plans => return,
            Told::Recovered => (TASK_NOTIFY, EventValue::Text(self.recovered_text())),
            Told::Start if self.machine.announced => (DOWNLOADING, EventValue::None),
            Told::Start => {
                self.machine.announced = true;
                (START, if is_mcu { EventValue::Text(self.start_text()) } else { EventValue::None })
            }
            Told::Downloading => (DOWNLOADING, EventValue::None),
            Told::Downloaded if is_mcu => (DOWNLOADED, EventValue::Text(self.piece_text())),
            Told::Downloaded => (DOWNLOADED, EventValue::None),
            Told::Updating => (UPDATING, EventValue::None),
            Told::Success => (UPDATE_OK, EventValue::None),
            Told::Failure => (UPDATE_FAIL, EventValue::None),
            Told::Answer => {
                let answer = if input == Input::Confirm { Answer::Confirm } else { Answer::Refuse };
                let Some(value) = self.answer_value(answer) else { return };
                (ANSWER, value)
            }
        };
        self.tell(platform, OTA, code, &value);
    }

    /// 10707 is told for lists only, each dialect in its own form (QUECTHING.md 2). 2.9 says 0 for both answers, and
    /// applications read 0 as "confirmed".
    fn answer_value(&self, answer: Answer) -> Option<EventValue> {
        match (self.dialect, self.machine.listed) {
            (_, 0) => None,
            (Dialect::V2_9, _) => Some(EventValue::Number(0)),
            (Dialect::V2_10, 1) => None,
            (Dialect::V2_10, _) => {
                let text = if answer == Answer::Confirm { "1" } else { "0" };
                Some(EventValue::Text(Text::of(text).unwrap_or_default()))
            }
        }
    }

    fn start_text(&self) -> Text<{ limits::EVENT_TEXT }> {
        let Image { component, size, announced, .. } = &self.machine.image;
        StartEvent {
            component,
            size: *size,
            md5: announced.md5.unwrap_or_default(),
            crc: announced.crc32.unwrap_or_default(),
            sha256: announced.sha256,
        }
        .text()
        .unwrap_or_default()
    }

    fn recovered_text(&self) -> Text<{ limits::EVENT_TEXT }> {
        let Machine { image: Image { component, target, .. }, source, demands, .. } = &self.machine;
        let Demands { battery, signal, space } = *demands;
        PlanEvent { component, source, target, battery, signal, space }.text().unwrap_or_default()
    }

    fn piece_text(&self) -> Text<{ limits::EVENT_TEXT }> {
        let (image, piece, start) = (&self.machine.image, self.machine.piece, self.base.offset);
        PieceEvent {
            component: &image.component,
            total: image.size,
            start,
            length: piece.start.saturating_add(piece.length).saturating_sub(start),
        }
        .text()
        .unwrap_or_default()
    }
}

/// The plan and its answer.
impl Agent<'_> {
    /// 0x0111. A malformed one moves nothing (the vendor's moves to 1 with an empty component).
    #[inline(never)]
    pub(super) fn on_plan(&mut self, platform: &mut dyn Platform) {
        let Ok(notify) = PlanNotify::parse(self.inbox.payload()) else {
            return platform.log(Level::Warn, "a malformed upgrade plan was dropped; nothing changes");
        };
        let listed = match notify.plans {
            Plans::Single(_) => 0,
            Plans::List(plans) => plans.len() as u8,
        };
        // The last one is what is reported, as the vendor's does.
        let interrupted = notify.iter().find(|plan| self.machine.is_interrupted(&image_of(plan)));
        let Some(plan) = interrupted.or(notify.iter().last()) else { return };
        let unasked = is_unasked(&notify);
        let demands = Demands { battery: plan.battery, signal: plan.signal, space: plan.space };
        let image = image_of(&plan);
        let before = self.machine.image;
        match self.machine.offer(&image, plan.source, demands, listed) {
            None => {
                self.passed_over |= self.machine.listed == 0 && !before.is_of(&image);
                platform.log(Level::Info, "an upgrade is under way; the platform's plan waits");
            }
            Some(input) => {
                if input == Input::Plan {
                    self.next_plan = Some(0);
                    self.recovered = false;
                    self.unasked = unasked;
                    self.tell_unasked(platform.millis());
                    if before.is_of(&image) {
                        // What is staged is still of use, if size and digests stay the same.
                        self.machine.image = before;
                        self.rewind(platform);
                    } else {
                        self.forget(platform);
                    }
                }
                self.input(platform, input);
            }
        }
    }

    /// 10700 for the plans of the first message that are not told yet, as many as the outbox takes.
    pub(super) fn tell_plans(&mut self) {
        let Some(first) = self.next_plan else { return };
        let Ok(notify) = PlanNotify::parse(self.inbox.payload()) else { return };
        for (index, plan) in notify.iter().enumerate().skip(first) {
            let text = plan_text(&plan);
            if self.outbox.push(OTA, TASK_NOTIFY, &EventValue::Text(text)).is_err() {
                self.next_plan = Some(index);
                return;
            }
        }
        self.next_plan = None;
        self.inbox.pop();
    }

    /// 0 refuse, 1 confirm, 2 next piece, 3 the MCU is updating (QUECTHING.md 3.3).
    pub fn ota_action(&mut self, platform: &mut dyn Platform, action: u8) -> Result<(), CallError> {
        if action > 3 {
            return Err(CallError::Value);
        }
        if let Some(input) = self.machine.action(action)? {
            if input == Input::Update {
                self.no_restarts();
            }
            self.input(platform, input);
        }
        Ok(())
    }
}

fn image_of(plan: &Plan<'_>) -> Image {
    // Their lengths were checked when the plan was read.
    Image {
        component: Text::of(plan.component).unwrap_or_default(),
        kind: plan.kind,
        target: Text::of(plan.target).unwrap_or_default(),
        size: 0,
        announced: Announced::default(),
    }
}

fn plan_text(plan: &Plan<'_>) -> Text<{ limits::EVENT_TEXT }> {
    PlanEvent {
        component: plan.component,
        source: plan.source,
        target: plan.target,
        battery: plan.battery,
        signal: plan.signal,
        space: plan.space,
    }
    .text()
    .unwrap_or_default() // every field is within its limit, and EVENT_TEXT is made for that
}

/// The URL and the download.
impl Agent<'_> {
    /// 0x0113.
    pub(super) fn on_firmware_info(&mut self, platform: &mut dyn Platform) {
        if !self.machine.awaits_url() {
            return platform.log(Level::Info, "firmware information that nobody waits for was dropped");
        }
        match self.take_firmware_info(platform) {
            Some(Ok(())) => {
                self.input(platform, Input::FirmwareInfo);
            }
            Some(Err(failure)) => self.fail(platform, failure, Input::BadFirmwareInfo),
            None => {}
        }
    }

    /// Whether what the packet names is the image now; `None`: it is dropped.
    #[inline(never)] // three kilobytes that are off the stack before the download begins
    fn take_firmware_info(&mut self, platform: &mut dyn Platform) -> Option<Result<(), Failure>> {
        let Ok(info) = FirmwareInfo::parse(self.inbox.payload()) else {
            let is_waited_for = self.machine.state() == State::Confirmed;
            return is_waited_for.then_some(Err(Failure::BadInfo));
        };
        let named = (info.component, info.target, info.kind);
        let plan = &self.machine.image;
        if self.machine.listed == 0 && named != (plan.component.as_str(), plan.target.as_str(), plan.kind) {
            // Of another plan than the one that was confirmed.
            platform.log(Level::Warn, "firmware information for another component or version was dropped");
            return None;
        }
        let image = Image {
            component: Text::of(info.component).unwrap_or_default(),
            kind: info.kind,
            target: Text::of(info.target).unwrap_or_default(),
            size: 0,
            announced: Announced::default(),
        };
        let package = &mut self.machine.package;
        let read = match &info.content {
            Content::File { url, size, md5, crc, sha256 } => {
                let announced = Announced { md5: Some(*md5), crc32: Some(*crc), sha256: *sha256 };
                package.set_url(url).map(|()| (*size, announced))
            }
            Content::Files(_) if image.kind == ComponentKind::Mcu => Err(Unusable),
            Content::Files(files) => package.set_files(files).map(|size| (size, package.identity())),
        };
        Some(match read {
            Ok((size, announced)) => self.take_image(platform, Image { size, announced, ..image }),
            Err(Unusable) => {
                // Of a list it is this component that fails, not the one before.
                self.machine.image = image;
                Err(Failure::BadInfo)
            }
        })
    }

    /// The image is what is downloaded from now on: on from what is staged when that is of the same image, else anew.
    fn take_image(&mut self, platform: &mut dyn Platform, image: Image) -> Result<(), Failure> {
        if self.machine.image == image {
            return Ok(());
        }
        self.machine.image = image;
        let room = self.room(platform);
        let needed = match self.machine.package.count() {
            0 => u64::from(image.size),
            _ => self.machine.package.room(platform.geometry(Area::Image).erase),
        };
        if self.machine.package.count() > 1 && platform.takes() == Takes::OneFile {
            return Err(Failure::NoPackages);
        }
        if room == 0 || (image.kind == ComponentKind::Module && needed > u64::from(room)) {
            return Err(Failure::NoRoom);
        }
        self.machine.announced = false;
        self.restart_image(room);
        self.no_restarts();
        self.furthest = 0;
        Ok(())
    }

    /// Bytes that can be staged at a time.
    pub(super) fn room(&self, platform: &mut dyn Platform) -> u32 {
        let area = platform.geometry(Area::Image).size;
        platform.free_space().map_or(area, |free| free.min(area))
    }

    /// Gets what is missing of the piece.
    fn fetch(&mut self, platform: &mut dyn Platform, input: Input) -> Option<Input> {
        let staging = match self.staging {
            Some(staging) => staging,
            None => match self.resume_piece(platform) {
                // Flash is about to hold other bytes: an older mark in the journal would vouch for them after a reboot.
                Ok(staging) if self.journal.is_none() || self.try_save(platform).is_ok() => staging,
                _ => {
                    self.staging = None;
                    platform.log(Level::Warn, Failure::Storage.text());
                    self.machine.failure = Some(Failure::Storage);
                    return Some(Input::FetchFailed);
                }
            },
        };
        // Perhaps another than before: resuming may begin the image again.
        let piece = self.machine.piece;
        let (file, _) = self.machine.file();
        let range = Range {
            start: piece.start.saturating_sub(file.start).saturating_add(staging.received()),
            length: piece.length.saturating_sub(staging.received()),
        };
        if range.length == 0 {
            return Some(self.judge_piece(platform));
        }
        self.machine.fetch = Some(Fetch { range, got: 0 });
        // The next file of a package follows from the end of the one before: the transport is still telling of that.
        let wait = if input == Input::PieceStaged { 0 } else { FETCH_AGAIN };
        let busy = wait == 0 || platform.fetch(self.machine.package.url(file.start), range).is_err();
        self.fetch_again = busy.then(|| Deadline::after(platform.millis(), wait));
        None
    }

    /// The transport was busy before; `Timer::Head` bounds how often it is asked.
    pub(super) fn try_fetch_again(&mut self, platform: &mut dyn Platform, now: u32) {
        if !self.fetch_again.is_some_and(|at| at.due(now)) {
            return;
        }
        self.fetch_again = None;
        if let (State::DownloadStart, Some(fetch)) = (self.machine.state(), self.machine.fetch)
            && platform.fetch(self.machine.package.url(self.machine.file().0.start), fetch.range).is_err()
        {
            self.fetch_again = Some(Deadline::after(now, FETCH_AGAIN));
        }
    }

    /// Status line and headers of a fetch came.
    pub fn on_fetch_begin(&mut self, platform: &mut dyn Platform, head: FetchHead) -> Flow {
        if self.machine.state() != State::DownloadStart || self.machine.fetch.is_none() {
            return Flow::Stop;
        }
        match self.machine.check_head(&head) {
            Ok(()) => {
                self.input(platform, Input::Head);
                Flow::Continue
            }
            Err(failure) => {
                self.fail(platform, failure, Input::FetchFailed);
                Flow::Stop
            }
        }
    }

    /// The next bytes of the body; written to storage before this returns.
    pub fn on_fetch_data(&mut self, platform: &mut dyn Platform, data: &[u8]) -> Flow {
        let (State::Downloading, Some(mut fetch)) = (self.machine.state(), self.machine.fetch) else {
            return Flow::Stop;
        };
        let failure = if data.len() > fetch.range.length.saturating_sub(fetch.got) as usize {
            Failure::Long
        } else {
            self.machine.restart(Timer::Stall, platform.millis());
            fetch.got = fetch.got.saturating_add(data.len() as u32);
            self.machine.fetch = Some(fetch);
            let (file, _) = self.machine.file();
            self.machine.received = file.start.saturating_add(fetch.range.start).saturating_add(fetch.got);
            match self.stage(platform, data) {
                Ok(()) => return Flow::Continue,
                Err(failure) => {
                    // What flash holds behind the mark is not certain.
                    self.staging = None;
                    failure
                }
            }
        };
        self.fail(platform, failure, Input::FetchFailed);
        Flow::Stop
    }

    fn stage(&mut self, platform: &mut dyn Platform, data: &[u8]) -> Result<(), Failure> {
        let mut rest = data;
        while !rest.is_empty() {
            let staging = self.staging.as_mut().ok_or(Failure::Storage)?;
            match staging.write(platform, rest, &mut self.digests) {
                Ok(Staged::All) => return Ok(()),
                Ok(Staged::Mark(taken)) => {
                    staging.sync(platform).map_err(|_| Failure::Storage)?;
                    rest = rest.get(taken..).unwrap_or_default();
                    self.reach_mark();
                    self.save(platform);
                }
                Ok(Staged::Complete(taken)) => {
                    rest = rest.get(taken..).unwrap_or_default();
                    self.reach_mark();
                }
                Err(_) => return Err(Failure::Storage),
            }
        }
        Ok(())
    }

    fn reach_mark(&mut self) {
        let (file, _) = self.machine.file();
        let offset = file.start.saturating_add(self.digests.length());
        self.mark = Mark { offset, digests: self.digests };
        if self.mark.offset > self.furthest {
            self.furthest = self.mark.offset;
            self.no_restarts();
        }
    }

    /// The fetch is over; also when it never began.
    pub fn on_fetch_end(&mut self, platform: &mut dyn Platform, end: FetchEnd) {
        if self.machine.fetch.is_none() || self.fetch_again.is_some() {
            return;
        }
        match (self.machine.state(), end) {
            // All bytes are here, however the connection closed.
            (State::Downloading, _) if self.staging.is_some_and(|staging| staging.is_complete()) => {
                self.machine.fetch = None;
                let input = self.judge_piece(platform);
                self.input(platform, input);
            }
            (State::Downloading, _) => self.fail(platform, Failure::Short, Input::FetchFailed),
            (State::DownloadStart, _) => self.fail(platform, Failure::NoAnswer, Input::FetchFailed),
            _ => {}
        }
    }

    /// The piece is staged. With the last one the whole image can be judged, and only then.
    fn judge_piece(&mut self, platform: &mut dyn Platform) -> Input {
        let good = if self.machine.is_last_piece() { Input::ImageStaged } else { Input::PieceStaged };
        let (file, announced) = self.machine.file();
        if good == Input::PieceStaged && file.length == self.machine.image.size {
            return good;
        }
        match announced.judge(&self.digests.finish()) {
            Verdict::Match | Verdict::NothingAnnounced => good,
            Verdict::MatchExceptCrc32 => {
                platform.log(
                    Level::Warn,
                    "MD5 matches and the announced CRC does not; its polynomial is a guess",
                );
                good
            }
            Verdict::Mismatch => {
                platform.log(Level::Error, Failure::WrongDigest.text());
                self.machine.failure = Some(Failure::WrongDigest);
                Input::ImageCorrupt
            }
        }
    }

    fn advance(&mut self, platform: &mut dyn Platform) {
        let next = self.machine.piece.start.saturating_add(self.machine.piece.length);
        let room = self.room(platform);
        let digests = match self.machine.package.count() {
            0 => self.digests,
            // Each file has its own.
            _ => Mark::start_of(&self.machine.image).digests,
        };
        self.restart_at(Mark { offset: next, digests }, room);
    }

    /// Bytes of the file that are staged or were taken.
    pub(super) fn received(&self) -> u32 {
        match self.staging {
            Some(staging) => self.machine.piece.start.saturating_add(staging.received()),
            None => self.mark.offset,
        }
    }
}

/// Taking the image over.
impl Agent<'_> {
    /// Reads the staged piece; `offset` counts from the start of the whole file. Returns the bytes read, at least 1.
    pub fn read(
        &mut self,
        platform: &mut dyn Platform,
        offset: u32,
        out: &mut [u8],
    ) -> Result<usize, CallError> {
        if self.machine.state() != State::Downloaded || self.machine.image.kind != ComponentKind::Mcu {
            return Err(CallError::State);
        }
        let staging = self.staging.ok_or(CallError::State)?;
        // Inside what 10703 named, which begins at the application's mark.
        offset.checked_sub(self.base.offset).ok_or(CallError::Range)?;
        let within = offset.checked_sub(self.machine.piece.start).ok_or(CallError::Range)?;
        self.machine.restart(Timer::Read, platform.millis());
        match staging.read(platform, within, out) {
            Ok(0) => Err(CallError::Range),
            Ok(count) => Ok(count),
            Err(_) => Err(CallError::Storage),
        }
    }

    /// 5 s after the module image was verified.
    fn apply(&mut self, platform: &mut dyn Platform) -> Option<Input> {
        self.keep_waiting_reports(platform);
        let package = &self.machine.package;
        let applied = match package.count() {
            0 | 1 => platform.apply(self.machine.image.size),
            _ => {
                let erase = platform.geometry(Area::Image).erase;
                platform.apply_files(package.staged(erase, &mut Default::default()))
            }
        };
        match applied {
            Applied::Within(wait) => {
                // Not before: a module that was never handed the image would be judged by its old version.
                self.applied = true;
                self.no_restarts();
                self.save(platform);
                self.machine.wait_for_module(wait, platform.millis());
                None
            }
            Applied::Refused => {
                self.machine.failure = Some(Failure::ApplyRefused);
                Some(Input::ApplyRefused)
            }
        }
    }

    /// After a reboot with a module image applied: at the first subscribe, or 60 s after the start (DECISIONS). One
    /// that was interrupted before is done too, should the module have come to the target some other way.
    pub(super) fn judge_module(&mut self, platform: &mut dyn Platform) {
        let is_target = self.software.as_str() == self.machine.image.target.as_str();
        if is_target && (self.machine.awaits_verdict() || self.machine.is_module_offered_again()) {
            self.input(platform, Input::ModuleIsTarget);
        } else if self.machine.awaits_verdict() {
            self.fail(platform, Failure::OtherVersion, Input::ModuleIsOther);
        }
    }

    /// The version that an MCU reports ends its upgrade.
    pub(super) fn version_decides(&mut self, platform: &mut dyn Platform, input: Input) {
        if input == Input::OtherVersion && self.machine.takes(input) {
            return self.fail(platform, Failure::OtherVersion, input);
        }
        self.input(platform, input);
    }
}
