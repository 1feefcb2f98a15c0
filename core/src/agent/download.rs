//! The URL packet (0x0113), the fetch and the reads of the application.

use super::transition::{log_failure, room};
use super::{Agent, CallError, FetchEnd, FetchHead, Flow};
use crate::clock::Deadline;
use crate::digest::Verdict;
use crate::image::Piece;
use crate::ota::download::{Proven, ReadError};
use crate::ota::package::Unusable;
use crate::ota::staging::Staged;
use crate::ota::{Failure, Following, Input, State, Timer};
use crate::platform::{Area, Level, Platform, Takes};
use crate::text::Text;
use crate::wire::message::{ComponentKind, FirmwareInfo};

/// A busy transport is asked again after this long. Milliseconds.
const FETCH_AGAIN: u32 = 500;

/// The URL.
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
        let mut info = FirmwareInfo::default();
        if let Err(error) = info.parse_in_place(self.inbox.payload()) {
            let is_waited_for = self.machine.state() == State::Confirmed;
            let failure = if error.is_url_too_long() { Failure::UrlTooLong } else { Failure::BadInfo };
            return is_waited_for.then_some(Err(failure));
        }
        let FirmwareInfo { component, target, kind, content, .. } = &info;
        let is_planned = self.machine.image().is(*kind, component, target);
        if self.machine.listed() == 0 && !is_planned {
            // Of another plan than the one that was confirmed.
            platform.log(Level::Warn, "firmware information for another component or version was dropped");
            return None;
        }
        // Of a list a file that cannot be used is this component's failure, not that of the one before.
        let is_other = self.machine.name_image(*kind, component, target);
        Some(match self.download.set_content(content, *kind) {
            Ok((size, announced)) if self.machine.set_file(size, &announced) || is_other => {
                self.begin_image(platform)
            }
            Ok(_) => Ok(()),
            Err(unusable) => {
                self.machine.clear_image();
                Err(if unusable == Unusable::Urls { Failure::UrlTooLong } else { Failure::BadInfo })
            }
        })
    }

    /// Another image than before is downloaded from now on.
    fn begin_image(&mut self, platform: &mut dyn Platform) -> Result<(), Failure> {
        let image = self.machine.image();
        let area = room(platform);
        let room = match image.kind {
            ComponentKind::Module => platform.module_space().map_or(area, |free| free.min(area)),
            ComponentKind::Mcu => area,
        };
        let needed = self.download.footprint(image, platform.geometry(Area::Image).erase);
        if self.download.files() > 1 && platform.takes() == Takes::OneFile {
            return Err(Failure::NoPackages);
        }
        if room == 0 || (image.kind == ComponentKind::Module && needed > room) {
            return Err(Failure::NoRoom);
        }
        self.download.begin(image, room);
        self.boot_loop.reset();
        Ok(())
    }
}

/// The fetch.
impl Agent<'_> {
    /// Gets what is missing of the piece.
    pub(super) fn fetch(&mut self, platform: &mut dyn Platform, input: Input) -> Option<Input> {
        if self.download.is_to_resume()
            && let Err(failure) = self.resume(platform)
        {
            self.download.drop_staging();
            log_failure(platform, Level::Warn, failure);
            self.machine.set_failure(failure);
            return Some(input_of(failure));
        }
        if self.download.is_proving() {
            return None; // `prove` comes back
        }
        let Some(length) = self.download.begin_fetch(self.machine.image()) else {
            return Some(self.judge_piece(platform));
        };
        self.machine.start_fetch(length);
        match input {
            // The next file of a package, and the rest of a range, follow from the end of the fetch before: the transport
            // is still telling of that.
            Input::PieceStaged | Input::RangeEnded => {
                self.download.retry_fetch(Some(Deadline::after(platform.millis(), 0)))
            }
            _ => self.request_fetch(platform),
        }
        None
    }

    fn resume(&mut self, platform: &mut dyn Platform) -> Result<(), Failure> {
        let erase = platform.geometry(Area::Image).erase;
        let room = room(platform);
        self.download.resume(platform, self.machine.image(), erase, room)?;
        if self.persistence.is_open() {
            // Flash is about to hold other bytes: an older checkpoint in the journal would vouch for them after a reboot.
            self.try_save(platform).map_err(|_| Failure::Storage)?;
        }
        Ok(())
    }

    /// What was staged before a restart is read back, a little with each poll, before anything is fetched or offered.
    #[inline(never)] // its buffer is off the stack before the rest of a step
    pub(super) fn prove(&mut self, platform: &mut dyn Platform, now: u32) {
        if !self.download.is_proving() || self.machine.state() != State::DownloadStart {
            return;
        }
        let erase = platform.geometry(Area::Image).erase;
        match self.download.prove(platform, self.machine.image(), erase) {
            // The server was not asked yet.
            Proven::More => self.machine.restart(Timer::Head, now),
            Proven::All => {
                self.machine.restart(Timer::Head, now);
                if let Some(input) = self.fetch(platform, Input::FirmwareInfo) {
                    self.input(platform, input);
                }
            }
            Proven::Damaged(Piece { start, length }) => {
                if cfg!(feature = "log") {
                    let mut line = Text::<80>::new();
                    // It fits.
                    let _ = line.push("damage in the staged bytes from ");
                    let _ = line.push_number(start.into());
                    let _ = line.push(" to ");
                    let _ = line.push_number(start.saturating_add(length).into());
                    platform.log(Level::Error, line.as_str());
                }
                self.fail(platform, Failure::Damaged, Input::FetchFailed);
            }
        }
    }

    /// Asks the transport; when it is busy, again later.
    fn request_fetch(&mut self, platform: &mut dyn Platform) {
        let Some((url, range)) = self.download.request(self.machine.image()) else { return };
        let is_busy = platform.fetch(url, range).is_err();
        self.download.retry_fetch(is_busy.then(|| Deadline::after(platform.millis(), FETCH_AGAIN)));
    }

    /// The transport was busy before; `Timer::Head` bounds how often it is asked, and `Timer::Stall` for the rest of a range.
    pub(super) fn retry_fetch(&mut self, platform: &mut dyn Platform, now: u32) {
        if !self.download.retry_at().is_some_and(|at| at.due(now)) {
            return;
        }
        self.download.retry_fetch(None);
        if self.downloads() {
            self.request_fetch(platform);
        }
    }

    /// Status line and headers of a fetch came.
    pub fn on_fetch_begin(&mut self, platform: &mut dyn Platform, head: FetchHead) -> Flow {
        if !self.downloads() || !self.is_requested() || self.download.is_answered() {
            return Flow::Stop;
        }
        match self.download.accept_head(self.machine.image(), &head) {
            Ok(()) => {
                // No transition for the rest of a range: it is downloading already.
                self.input(platform, Input::Head);
                Flow::Continue
            }
            Err(failure) => {
                if matches!(head.status, 429 | 503) {
                    self.machine.retry_after(head.retry_after.unwrap_or(0));
                }
                self.fail(platform, failure, Input::FetchFailed);
                Flow::Stop
            }
        }
    }

    /// The next bytes of the body; written to storage before this returns.
    pub fn on_fetch_data(&mut self, platform: &mut dyn Platform, data: &[u8]) -> Flow {
        if self.machine.state() != State::Downloading || !self.download.is_answered() {
            return Flow::Stop;
        }
        match self.take_data(platform, data) {
            Ok(()) => Flow::Continue,
            Err(failure) => {
                self.fail(platform, failure, input_of(failure));
                Flow::Stop
            }
        }
    }

    fn take_data(&mut self, platform: &mut dyn Platform, data: &[u8]) -> Result<(), Failure> {
        let received = self.download.count(self.machine.image(), data.len())?;
        self.machine.progress(received, platform.millis());
        // What flash holds behind the checkpoint is not certain after an error.
        self.stage(platform, data).inspect_err(|_| self.download.drop_staging())
    }

    fn stage(&mut self, platform: &mut dyn Platform, data: &[u8]) -> Result<(), Failure> {
        let mut rest = data;
        while !rest.is_empty() {
            let staged = self.download.stage(platform, self.machine.image(), rest)?;
            let (Staged::Checkpoint(taken) | Staged::Complete(taken)) = staged else { break };
            rest = rest.get(taken..).unwrap_or_default();
            if self.download.is_new_high() {
                self.boot_loop.reset();
            }
            if matches!(staged, Staged::Checkpoint(_)) {
                self.save(platform);
            }
        }
        Ok(())
    }

    /// The fetch is over; also when it never began.
    pub fn on_fetch_end(&mut self, platform: &mut dyn Platform, end: FetchEnd) {
        // However the connection closed: what counts is whether all bytes are here.
        let _ = end;
        if !self.downloads() || !self.is_requested() {
            return;
        }
        if self.download.is_complete() {
            self.download.end_fetch();
            let input = self.judge_piece(platform);
            self.input(platform, input);
        } else if self.download.is_range_complete() {
            self.input(platform, Input::RangeEnded);
        } else {
            let failure = if self.download.is_answered() { Failure::Short } else { Failure::NoAnswer };
            self.fail(platform, failure, Input::FetchFailed);
        }
    }

    fn downloads(&self) -> bool {
        matches!(self.machine.state(), State::DownloadStart | State::Downloading)
    }

    /// Whether the transport took the fetch and tells of it.
    fn is_requested(&self) -> bool {
        self.download.is_fetching() && self.download.retry_at().is_none()
    }

    /// The piece is staged. With the last one of a file its digests can be judged, and only then.
    fn judge_piece(&mut self, platform: &mut dyn Platform) -> Input {
        let image = self.machine.image();
        let verdict = self.download.judge(image);
        if verdict == Some(Verdict::Mismatch) {
            log_failure(platform, Level::Error, Failure::WrongDigest);
            self.machine.set_failure(Failure::WrongDigest);
            return Input::ImageCorrupt;
        }
        if verdict == Some(Verdict::MatchExceptCrc32) {
            platform
                .log(Level::Warn, "MD5 matches and the announced CRC does not; its polynomial is a guess");
        }
        match self.download.following(image) {
            Following::Nothing => Input::ImageStaged,
            Following::Pieces => Input::PieceStaged,
        }
    }
}

/// What a download that failed is to the machine: where storage is full, another try cannot help.
fn input_of(failure: Failure) -> Input {
    if failure == Failure::NoRoom { Input::NoRoom } else { Input::FetchFailed }
}

/// The reads.
impl Agent<'_> {
    /// Reads the staged piece; `offset` counts from the start of the whole file. Returns the bytes read, at least 1.
    pub fn ota_read(
        &mut self,
        platform: &mut dyn Platform,
        offset: u32,
        out: &mut [u8],
    ) -> Result<usize, CallError> {
        if self.machine.state() != State::Downloaded || self.machine.kind() != ComponentKind::Mcu {
            return Err(CallError::State);
        }
        if offset >= self.download.offered_piece().start {
            self.machine.restart(Timer::Read, platform.millis());
        }
        Ok(self.download.read(platform, offset, out)?)
    }
}

impl From<ReadError> for CallError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NoPiece => CallError::State,
            ReadError::Range => CallError::Range,
            ReadError::Storage => CallError::Storage,
        }
    }
}
