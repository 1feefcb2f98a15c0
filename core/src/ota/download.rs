//! The download of one image: its files, the piece that is staged, the digests, the checkpoints, and the ranges that are
//! fetched. Knows nothing of states and of the transport; storage comes in as an argument, and so does the image.

use super::failure::Failure;
use super::machine::Following;
use super::package::{Package, Unusable};
use super::staging::{Staged, Staging, StagingError};
use crate::clock::Deadline;
use crate::digest::{Announced, Digests, Verdict};
use crate::image::{Image, Piece};
use crate::platform::{Area, Encoding, FetchHead, FetchUrl, Range, StagedFile, Storage, StorageError};
use crate::wire::message::{ComponentKind, Content};
use crate::{journal, limits};

/// Bytes of the staged piece that are hashed in one go.
const HASHED: u32 = 128;
/// Bytes that one step of a proof reads.
const PROOF_STEP: u32 = 4096;

/// A place of the image from which it can go on: all bytes before it are on flash and in the digests.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoint {
    offset: u32,
    digests: Digests,
}

impl Checkpoint {
    fn start_of(image: &Image) -> Self {
        Checkpoint { offset: 0, digests: Digests::of(&image.announced) }
    }
}

/// A fetch that was asked for.
#[derive(Debug, Clone, Copy)]
struct Fetch {
    /// What was asked for; once the head is there, what of it the answer brings. Of no bytes: there is no fetch.
    range: Range,
    /// Bytes that came.
    received: u32,
    /// The head came.
    is_answered: bool,
    /// When the transport is asked again: it was busy.
    retry_at: Option<Deadline>,
}

impl Fetch {
    const NONE: Fetch =
        Fetch { range: Range { start: 0, length: 0 }, received: 0, is_answered: false, retry_at: None };
}

/// Whether what is staged was read back since the device started, or since its storage last failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// It was.
    Done,
    /// It is to be, when the piece is taken up.
    Due,
    /// It is being read: of a package, the file that begins here. How far says the length of the digests.
    Running(u32),
}

/// What a step of the proof found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Proven {
    /// Nothing is wrong, and there is more to read.
    More,
    /// All bytes are those that were staged.
    All,
    /// In this stretch of the image are others, or they cannot be read. The download begins again at its first byte.
    Damaged(Piece),
}

/// Why a checkpoint of the application, or a read, is not possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// No piece is staged.
    NoPiece,
    /// Outside the piece, as 10703 named it.
    Range,
    /// Storage failed.
    Storage,
}

/// The download of one device. In this order small members are near its start, which takes less code.
#[derive(Debug)]
#[repr(C)]
pub struct Download {
    /// The piece that is staged or being staged.
    piece: Piece,
    /// Bytes of the image that were staged at best, whatever was lost since.
    high_water: u32,
    fetch: Fetch,
    proof: Proof,
    /// Else nothing is known of the piece, so it is resumed first.
    is_staging: bool,
    /// How much of the piece is in the image area.
    staging: Staging,
    /// Of the present file from its first byte to the last one staged; of a file that is proven, to the last one read.
    digests: Digests,
    /// Where the image goes on after a reboot or a storage error.
    checkpoint: Checkpoint,
    /// From where on the application takes the present piece: its start, or the application's checkpoint within it.
    base: Checkpoint,
    /// The application has all bytes before it in its own flash. At 0: it gave no checkpoint.
    application: Checkpoint,
    package: Package,
}

impl Download {
    /// Of nothing.
    pub const fn new() -> Self {
        let digests = Digests::NONE;
        let start = Checkpoint { offset: 0, digests };
        Download {
            package: Package::new(),
            piece: Piece { start: 0, length: 0 },
            staging: Staging::new(),
            is_staging: false,
            digests,
            proof: Proof::Done,
            checkpoint: start,
            base: start,
            application: start,
            high_water: 0,
            fetch: Fetch::NONE,
        }
    }

    /// As the journal has it.
    pub fn restore(&mut self, progress: &journal::Progress) {
        self.proof = Proof::Due;
        self.piece = progress.piece;
        self.checkpoint = Checkpoint { offset: progress.offset, digests: progress.digests };
        self.application = progress.own.map_or(Checkpoint::start_of(&progress.image), |digests| Checkpoint {
            offset: digests.length(),
            digests,
        });
        self.base = self.application;
        self.high_water = progress.high_water;
    }

    /// Forgets everything; the image has no announced digests any more.
    pub fn clear(&mut self, image: &Image) {
        self.is_staging = false;
        self.proof = Proof::Done;
        self.high_water = 0;
        self.piece = Piece::default();
        self.package.clear();
        self.application = Checkpoint::start_of(image);
        self.checkpoint = self.application;
        self.base = self.application;
    }

    /// The piece that is staged or being staged.
    pub fn piece(&self) -> Piece {
        self.piece
    }

    /// Bytes of the image up to which all is staged and synced, and the digests up to there.
    pub fn checkpoint(&self) -> (u32, &Digests) {
        (self.checkpoint.offset, &self.checkpoint.digests)
    }

    /// Digests up to the application's checkpoint; `None`: it gave none.
    pub fn application_digests(&self) -> Option<&Digests> {
        (self.application.offset > 0).then_some(&self.application.digests)
    }

    /// The application's checkpoint; 0: none.
    pub fn application_checkpoint(&self) -> u32 {
        self.application.offset
    }

    /// Bytes of the image that were staged at best.
    pub fn high_water(&self) -> u32 {
        self.high_water
    }

    /// Bytes of the image that are staged or were taken.
    pub fn received(&self) -> u32 {
        match self.staging() {
            Some(staging) => self.piece.start.saturating_add(staging.received()),
            None => self.checkpoint.offset,
        }
    }

    /// What 10703 names: from where on the application takes the piece, and how much.
    pub fn offered_piece(&self) -> Piece {
        let start = self.base.offset;
        Piece { start, length: self.end_of_piece().saturating_sub(start) }
    }

    /// Whether pieces follow the present one.
    pub fn following(&self, image: &Image) -> Following {
        if self.end_of_piece() >= image.size { Following::Nothing } else { Following::Pieces }
    }

    fn staging(&self) -> Option<&Staging> {
        self.is_staging.then_some(&self.staging)
    }

    fn end_of_piece(&self) -> u32 {
        self.piece.start.saturating_add(self.piece.length)
    }

    /// The file that the present piece belongs to, as a stretch of the image. Of a package each file is a piece; else the
    /// image is one file.
    fn file(&self, image: &Image) -> Piece {
        self.package.file_at(self.piece.start).unwrap_or(Piece { start: 0, length: image.size })
    }
}

impl Default for Download {
    fn default() -> Self {
        Self::new()
    }
}

/// What is downloaded.
impl Download {
    /// Takes the files of a URL packet: bytes in all, and the digests of the whole.
    pub fn set_content(
        &mut self,
        content: &Content<'_>,
        kind: ComponentKind,
    ) -> Result<(u32, Announced), Unusable> {
        match content {
            Content::File { url, size, md5, crc, sha256 } => {
                let announced = Announced { md5: Some(*md5), crc32: Some(*crc), sha256: *sha256 };
                self.package.set_url(url).map(|()| (*size, announced))
            }
            Content::Files(_) if kind == ComponentKind::Mcu || !cfg!(feature = "lists") => {
                Err(Unusable::Files)
            }
            Content::Files(files) => {
                self.package.set_files(files).map(|size| (size, self.package.identity()))
            }
        }
    }

    /// How many files the package has; 0: the image is one file.
    pub fn files(&self) -> usize {
        self.package.count()
    }

    /// Bytes of the image area that the image takes as a whole.
    pub fn footprint(&self, image: &Image, erase: u32) -> u32 {
        match self.package.count() {
            0 => image.size,
            _ => self.package.room(erase),
        }
    }

    /// The files of the package as they are staged.
    pub fn staged_files<'o>(
        &self,
        erase: u32,
        out: &'o mut [StagedFile; limits::PACKAGE_FILES],
    ) -> &'o [StagedFile] {
        self.package.staged(erase, out)
    }

    /// Another image than before, of which `room` bytes can be staged at a time.
    pub fn begin(&mut self, image: &Image, room: u32) {
        self.restart(image, room);
        self.proof = Proof::Done;
        self.high_water = 0;
    }

    /// The image begins again at its first byte, for the application as well.
    fn restart(&mut self, image: &Image, room: u32) {
        self.application = Checkpoint::start_of(image);
        self.base = self.application;
        self.begin_at_base(image, room);
    }

    /// What is staged is void: of a package the present file begins again, else the whole image.
    pub fn erase(&mut self, image: &Image, room: u32) {
        match self.package.count() {
            0 => self.restart(image, room),
            // The files before this one are verified.
            _ => self.begin_file(self.piece.start, image, room),
        }
    }

    /// The piece after the present one becomes the present one.
    pub fn next_piece(&mut self, image: &Image, room: u32) {
        let offset = self.end_of_piece();
        if self.package.count() > 0 {
            return self.begin_file(offset, image, room);
        }
        self.base = Checkpoint { offset, digests: self.digests };
        self.begin_at_base(image, room);
    }

    /// The application goes on at its checkpoint, or starts anew without one, so pieces behind it come again. What is
    /// staged of the piece around it is kept.
    pub fn rewind(&mut self, image: &Image, room: u32) {
        if image.kind == ComponentKind::Module {
            // The platform takes all of its bytes at the end: what is staged counts, file by file.
            self.base = Checkpoint { offset: self.piece.start, ..Checkpoint::start_of(image) };
            return;
        }
        let (piece, taken) = (self.piece, self.application.offset);
        let end = self.end_of_piece();
        let is_taken_whole = taken >= end && end < image.size;
        let staged_to = self.checkpoint.offset.max(piece.start);
        self.base = self.application;
        if taken < piece.start || taken > staged_to || is_taken_whole {
            self.begin_at_base(image, if room > 0 { room } else { piece.length });
        }
    }

    /// The piece begins at `start`, with nothing of its file before it: digests of a package are those of each file.
    fn begin_file(&mut self, start: u32, image: &Image, room: u32) {
        self.base = Checkpoint { offset: start, ..Checkpoint::start_of(image) };
        self.begin_at_base(image, room);
    }

    /// A piece of at most `room` bytes begins at the base. Of a package it is the file that begins there.
    #[inline(never)]
    fn begin_at_base(&mut self, image: &Image, room: u32) {
        let start = self.base.offset;
        self.is_staging = false;
        self.checkpoint = self.base;
        self.piece = match self.package.file_at(start) {
            Some(file) => file,
            None => Piece { start, length: image.size.saturating_sub(start).min(room) },
        };
    }
}

/// What is fetched and staged.
impl Download {
    /// Whether the piece must be taken up at the checkpoint before it is fetched.
    pub fn is_to_resume(&self) -> bool {
        !self.is_staging
    }

    /// Takes the piece up at the checkpoint; at its base when that does not fit what is staged, and with at most `room`
    /// bytes when the area has become smaller than the piece. What was staged before a restart is to be proven then
    /// ([`Download::prove`]).
    pub fn resume(
        &mut self,
        storage: &mut dyn Storage,
        image: &Image,
        erase: u32,
        room: u32,
    ) -> Result<(), StagingError> {
        if image.kind == ComponentKind::Mcu && self.piece.length > storage.geometry(Area::Image).size {
            self.begin_at_base(image, room);
        }
        let piece = self.piece;
        if piece.length == 0 {
            return Err(StorageError::Full.into());
        }
        let within = self.checkpoint.offset.saturating_sub(piece.start);
        let file = self.file(image);
        let base = self.package.place(piece.start, erase);
        self.staging.take_up(storage, base, piece.length, within)?;
        let hashed = file.start.saturating_add(self.checkpoint.digests.length());
        if hashed != self.checkpoint.offset || self.staging.received() != within {
            self.begin_at_base(image, piece.length);
            self.staging.take_up(storage, base, self.piece.length, 0)?;
        }
        self.is_staging = true;
        if self.proof != Proof::Due {
            self.digests = self.checkpoint.digests;
            return Ok(());
        }
        self.proof = Proof::Running(0);
        if self.package.count() == 0 {
            self.digests = self.base.digests;
        } else {
            self.digests = Digests::of(&image.announced);
        }
        Ok(())
    }

    /// What flash holds behind the checkpoint is not certain, and before it as little: the piece is to be resumed.
    pub fn drop_staging(&mut self) {
        self.is_staging = false;
        self.proof = Proof::Due;
    }

    /// Whether what is staged is being read back: nothing is fetched or offered meanwhile.
    pub fn is_proving(&self) -> bool {
        matches!(self.proof, Proof::Running(_))
    }

    /// Reads some of what was staged before the restart, from the base on, and compares at the checkpoint: the digests of
    /// what flash holds are those in the journal, or the piece begins again. The verified files of a package come first.
    pub fn prove(&mut self, storage: &mut dyn Storage, image: &Image, erase: u32) -> Proven {
        let Proof::Running(start) = self.proof else { return Proven::All };
        // Without a list the image is one file, and of that the present piece is in the image area.
        let is_present = self.file(image).start == start;
        let file = self.package.file_at(start);
        let piece = file.unwrap_or(self.piece);
        let end = if is_present { self.checkpoint.offset } else { piece.start.saturating_add(piece.length) };
        let place = self.package.place(start, erase);
        let mut buffer = [0; HASHED as usize];
        for _ in 0..PROOF_STEP / HASHED {
            let at = start.saturating_add(self.digests.length());
            let wanted = end.saturating_sub(at).min(HASHED) as usize;
            let Some(read) = buffer.get_mut(..wanted).filter(|read| !read.is_empty()) else {
                return self.conclude(image, file.filter(|_| !is_present));
            };
            let offset = place.saturating_add(at.saturating_sub(piece.start));
            if storage.read(Area::Image, offset, read).is_err() {
                return self.begin_again(image, file.filter(|_| !is_present));
            }
            self.digests.update(read);
        }
        Proven::More
    }

    /// The digests of `verified`, a file before the present one, or of what is staged of the present piece.
    fn conclude(&mut self, image: &Image, verified: Option<Piece>) -> Proven {
        let is_whole = match verified {
            None => self.digests == self.checkpoint.digests,
            Some(file) => {
                let announced = self.package.announced_at(file.start).unwrap_or_default();
                announced.judge(&self.digests.finish()) == Verdict::Match
            }
        };
        match verified {
            _ if !is_whole => self.begin_again(image, verified),
            None => {
                self.proof = Proof::Done;
                Proven::All
            }
            Some(file) => {
                self.digests = Digests::of(&image.announced);
                self.proof = Proof::Running(file.start.saturating_add(file.length));
                Proven::More
            }
        }
    }

    /// `verified`, else the present piece, is damaged: what is before it is whole.
    fn begin_again(&mut self, image: &Image, verified: Option<Piece>) -> Proven {
        self.proof = Proof::Done;
        let start = self.base.offset;
        let damaged =
            verified.unwrap_or(Piece { start, length: self.checkpoint.offset.saturating_sub(start) });
        match verified {
            Some(file) => self.begin_file(file.start, image, self.piece.length),
            None => self.begin_at_base(image, self.piece.length),
        }
        Proven::Damaged(damaged)
    }

    /// Begins to fetch what is missing of the piece; its length. `None`: nothing is.
    pub fn begin_fetch(&mut self, image: &Image) -> Option<u32> {
        let staged = self.staging().map_or(0, Staging::received);
        let file = self.file(image);
        let range = Range {
            start: self.piece.start.saturating_sub(file.start).saturating_add(staged),
            length: self.piece.length.saturating_sub(staged),
        };
        if range.length == 0 {
            return None;
        }
        self.fetch = Fetch { range, ..Fetch::NONE };
        Some(range.length)
    }

    /// URL and range of the fetch.
    pub fn request(&self, image: &Image) -> Option<(FetchUrl<'_>, Range)> {
        let url = self.package.url(self.file(image).start).filter(|_| self.is_fetching())?;
        Some((url, self.fetch.range))
    }

    /// The transport is asked for the fetch at `at`; `None`: it took it.
    pub fn retry_fetch(&mut self, at: Option<Deadline>) {
        self.fetch.retry_at = at.filter(|_| self.is_fetching());
    }

    /// When the transport is asked again.
    pub fn retry_at(&self) -> Option<Deadline> {
        self.fetch.retry_at
    }

    /// Whether a fetch was asked for, also when the transport was busy.
    pub fn is_fetching(&self) -> bool {
        self.fetch.range.length > 0
    }

    /// The fetch is over or given up.
    pub fn end_fetch(&mut self) {
        self.fetch = Fetch::NONE;
    }

    /// Whether the head of the fetch came.
    pub fn is_answered(&self) -> bool {
        self.fetch.is_answered
    }

    /// Whether all came that the head said, which may be less than was asked for.
    pub fn is_range_complete(&self) -> bool {
        self.fetch.is_answered && self.fetch.received == self.fetch.range.length
    }

    /// Takes a head that fits what was asked for: a range answered otherwise is an error, never wrong bytes. A 206 may
    /// bring fewer bytes than asked for, from the right start; a 200 brings the whole file, or nothing of it is taken.
    pub fn accept_head(&mut self, image: &Image, head: &FetchHead) -> Result<(), Failure> {
        let file = self.file(image).length;
        if !self.is_fetching() {
            return Err(Failure::NoAnswer);
        }
        let fetch = &mut self.fetch;
        if !matches!(head.status, 200 | 206) {
            return Err(Failure::HttpStatus);
        }
        if head.encoding != Encoding::Identity {
            return Err(Failure::Encoded);
        }
        let range = fetch.range;
        let length = head.length.unwrap_or(range.length);
        let is_right = match head.status {
            206 => head.first == range.start && (1..=range.length).contains(&length),
            _ => range == Range { start: 0, length: file } && head.first == 0 && length == file,
        };
        if !is_right || head.total.is_some_and(|total| total != file) {
            return Err(Failure::WrongRange);
        }
        fetch.range.length = length;
        fetch.is_answered = true;
        Ok(())
    }

    /// Counts bytes of the body that came: how far the image has come in all.
    pub fn count(&mut self, image: &Image, length: usize) -> Result<u32, Failure> {
        let file = self.file(image);
        let fetch = &mut self.fetch;
        if length > fetch.range.length.saturating_sub(fetch.received) as usize {
            return Err(Failure::Long);
        }
        fetch.received = fetch.received.saturating_add(length as u32);
        Ok(file.start.saturating_add(fetch.range.start).saturating_add(fetch.received))
    }

    /// Brings bytes of the body to flash, up to the next checkpoint, which is synced, or to the end of the piece.
    pub fn stage(
        &mut self,
        storage: &mut dyn Storage,
        image: &Image,
        data: &[u8],
    ) -> Result<Staged, Failure> {
        if !self.is_staging {
            return Err(Failure::Storage);
        }
        let staging = &mut self.staging;
        let staged = staging.write(storage, data, &mut self.digests)?;
        match staged {
            Staged::All => return Ok(staged),
            Staged::Checkpoint(_) => staging.sync(storage)?,
            Staged::Complete(_) => {} // synced
        }
        let file = self.file(image);
        let offset = file.start.saturating_add(self.digests.length());
        self.checkpoint = Checkpoint { offset, digests: self.digests };
        Ok(staged)
    }

    /// Whether the checkpoint is farther than any before; the next time only one that is farther still.
    pub fn is_new_high(&mut self) -> bool {
        let is_new = self.checkpoint.offset > self.high_water;
        self.high_water = self.high_water.max(self.checkpoint.offset);
        is_new
    }

    /// Whether all of the piece is on flash.
    pub fn is_complete(&self) -> bool {
        self.staging().is_some_and(Staging::is_complete)
    }

    /// The verdict over the staged bytes; `None`: it cannot be given before the last piece of the file.
    pub fn judge(&self, image: &Image) -> Option<Verdict> {
        if self.following(image) == Following::Pieces && self.file(image).length == image.size {
            return None;
        }
        let announced = self.package.announced_at(self.piece.start).unwrap_or(image.announced);
        Some(announced.judge(&self.digests.finish()))
    }
}

/// What the application takes.
impl Download {
    /// Reads the staged piece; `offset` counts from the start of the image. Bytes read, at least 1.
    pub fn read(&self, storage: &mut dyn Storage, offset: u32, out: &mut [u8]) -> Result<usize, ReadError> {
        let staging = self.staging().ok_or(ReadError::NoPiece)?;
        let within = self.within(offset)?;
        match staging.read(storage, within, out) {
            Ok(0) => Err(ReadError::Range),
            Ok(count) => Ok(count),
            Err(_) => Err(ReadError::Storage),
        }
    }

    /// Where `offset` is in the piece; it is inside what 10703 named, which begins at the application's checkpoint.
    fn within(&self, offset: u32) -> Result<u32, ReadError> {
        offset.checked_sub(self.base.offset).ok_or(ReadError::Range)?;
        offset.checked_sub(self.piece.start).ok_or(ReadError::Range)
    }

    /// Takes the application's checkpoint back.
    pub fn clear_application_checkpoint(&mut self, image: &Image) {
        self.application = Checkpoint::start_of(image);
    }

    /// Moves the application's checkpoint to `offset`. Where the piece before ended in any state; within the piece only
    /// while it `is_staged` as a whole.
    pub fn set_application_checkpoint(
        &mut self,
        storage: &mut dyn Storage,
        offset: u32,
        is_staged: bool,
    ) -> Result<(), ReadError> {
        if offset == self.base.offset {
            self.application = self.base;
            return Ok(());
        }
        let staging = self.staging().filter(|_| is_staged).ok_or(ReadError::Range)?;
        let start = self.piece.start;
        if offset < self.base.offset || offset > start.saturating_add(staging.written()) {
            return Err(ReadError::Range);
        }
        // What was hashed for the checkpoint before is not hashed again.
        let is_ahead = (self.base.offset..=offset).contains(&self.application.offset);
        let Checkpoint { offset: mut at, mut digests } = if is_ahead { self.application } else { self.base };
        let mut buffer = [0; HASHED as usize];
        while at < offset {
            let wanted = offset.saturating_sub(at).min(HASHED) as usize;
            let Some(room) = buffer.get_mut(..wanted) else { break };
            let within = at.saturating_sub(start);
            let count = staging.read(storage, within, room).map_err(|_| ReadError::Storage)?;
            let read = room.get(..count).filter(|read| !read.is_empty()).ok_or(ReadError::Storage)?;
            digests.update(read);
            at = digests.length();
        }
        self.application = Checkpoint { offset, digests };
        Ok(())
    }
}
