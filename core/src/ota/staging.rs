//! The staged image: a byte stream of any chunking goes into the image area under the rules of flash.
//!
//! Offsets count from the start of the area, which holds one piece of the image at a time. A block is erased just
//! before its first byte is written; writes are whole program units (the rest of a chunk waits in a carry buffer);
//! what was written is read back, compared, and only then hashed, so the digests speak of bytes that are on flash.
//!
//! After a reboot nobody knows which bytes behind the last synced one were touched: a power cut may leave a unit that
//! reads as erased and must still not be written again. So writing starts again only on a block that is erased first,
//! and a *checkpoint* (the place up to which progress is worth recording) is always the start of such a block:
//! every [`Staging::checkpoint_interval`] bytes, which is [`PROGRESS_INTERVAL`] or the erase size, whichever is more.

use crate::digest::Digests;
use crate::limits::PROGRESS_INTERVAL;
use crate::platform::{Area, Geometry, GeometryError, Storage, StorageError, ceil_to, floor_to};

/// Bytes that are read back in one go.
const READ_BACK: usize = 64;

/// Why bytes were not staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StagingError {
    /// The platform's image area cannot be used.
    #[error("image area: {0}")]
    Geometry(#[from] GeometryError),
    /// More bytes than the piece has.
    #[error("byte {offset} is beyond the piece of {length} bytes")]
    Beyond {
        /// Where the first byte too many would go.
        offset: u32,
        /// The piece's length.
        length: u32,
    },
    /// A piece that the area cannot hold.
    #[error("a piece of {length} bytes does not fit the image area of {size}")]
    PieceTooLong {
        /// The piece's length.
        length: u32,
        /// Bytes of the area.
        size: u32,
    },
    /// Read back, the flash holds something else than was written.
    #[error("flash at {offset} reads back other bytes than were written")]
    ReadBack {
        /// Where the difference is, within 256 bytes.
        offset: u32,
    },
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What became of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Staged {
    /// All of it is taken.
    All,
    /// This many bytes are taken, and a checkpoint is reached: sync, record the progress, then give the rest.
    Checkpoint(usize),
    /// This many bytes are taken, and the piece is complete, padded and synced. Record it.
    Complete(usize),
}

/// One piece on its way into the image area. In this order its small members are near its start.
#[derive(Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Staging {
    flash: Flash,
    /// Bytes of the piece.
    length: u32,
    /// Bytes in `carry`.
    carried: usize,
    /// What does not fill a program unit yet.
    carry: [u8; Geometry::PROGRAM_MAX],
}

/// The part of the image area that a piece is written to.
#[derive(Debug, PartialEq, Eq)]
struct Flash {
    geometry: Geometry,
    /// Where in the area the piece begins: a block boundary.
    base: u32,
    /// Bytes on flash, read back and hashed: a program boundary, or the piece's end.
    written: u32,
    /// Where the next erase starts: a block boundary.
    erased_to: u32,
}

impl Staging {
    /// A piece of `length` bytes, from its first byte.
    pub fn begin(storage: &mut dyn Storage, length: u32) -> Result<Self, StagingError> {
        Self::resume(storage, length, 0)
    }

    /// The same piece after a reboot, when `offset` bytes were recorded as synced.
    ///
    /// Takes up at `offset` if the piece is complete there or a block starts there; else at the start of the block
    /// that holds it, because the block's later bytes may have been touched. [`Staging::received`] says where;
    /// digests saved for another offset are void.
    pub fn resume(storage: &mut dyn Storage, length: u32, offset: u32) -> Result<Self, StagingError> {
        Self::resume_at(storage, 0, length, offset)
    }

    /// The same for a piece that begins at `base` of the area, a multiple of the erase size.
    pub fn resume_at(
        storage: &mut dyn Storage,
        base: u32,
        length: u32,
        offset: u32,
    ) -> Result<Self, StagingError> {
        let mut staging = Self::new();
        staging.take_up(storage, base, length, offset).map(|()| staging)
    }

    /// Of no piece.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Staging {
            flash: Flash { geometry: Geometry::NONE, base: 0, written: 0, erased_to: 0 },
            length: 0,
            carried: 0,
            carry: [0; Geometry::PROGRAM_MAX],
        }
    }

    /// As [`Staging::resume_at`], in the place of whatever piece was there.
    pub fn take_up(
        &mut self,
        storage: &mut dyn Storage,
        base: u32,
        length: u32,
        offset: u32,
    ) -> Result<(), StagingError> {
        let geometry = storage.geometry(Area::Image);
        geometry.check()?;
        if length > geometry.size.saturating_sub(base) {
            return Err(StagingError::PieceTooLong { length, size: geometry.size });
        }
        let written = if offset >= length { length } else { floor_to(offset, geometry.erase) };
        self.flash = Flash { geometry, base, written, erased_to: ceil_to(written, geometry.erase) };
        self.length = length;
        self.carried = 0;
        Ok(())
    }

    /// Bytes of the piece that were taken; the next byte to fetch.
    pub fn received(&self) -> u32 {
        self.flash.written.saturating_add(self.carried as u32)
    }

    /// Bytes of the piece that are on flash.
    pub fn written(&self) -> u32 {
        self.flash.written
    }

    /// Bytes of the piece.
    pub fn length(&self) -> u32 {
        self.length
    }

    /// Whether the whole piece is on flash.
    pub fn is_complete(&self) -> bool {
        self.flash.written == self.length
    }

    /// Bytes between two checkpoints, and the most that is fetched again after a power cut.
    pub fn checkpoint_interval(&self) -> u32 {
        self.flash.geometry.erase.max(PROGRESS_INTERVAL)
    }

    /// Takes bytes of `data` up to the next checkpoint or the piece's end, and feeds `digests` with those that reach flash.
    ///
    /// After an error the piece is not usable further; begin or resume it again.
    pub fn write(
        &mut self,
        storage: &mut dyn Storage,
        data: &[u8],
        digests: &mut Digests,
    ) -> Result<Staged, StagingError> {
        let received = self.received();
        if self.is_complete() && !data.is_empty() {
            return Err(StagingError::Beyond { offset: received, length: self.length });
        }
        let interval = self.checkpoint_interval();
        let checkpoint = floor_to(received, interval).saturating_add(interval).min(self.length);
        let taken = data.len().min(checkpoint.saturating_sub(received) as usize);
        let data = data.get(..taken).unwrap_or(data);

        let unit = self.flash.geometry.program as usize;
        let missing = if self.carried == 0 { 0 } else { unit.saturating_sub(self.carried) };
        let (head, data) = data.split_at_checked(missing).unwrap_or((data, &[]));
        self.carry(head);
        if self.carried == unit {
            self.flush(storage, digests)?;
        }
        let whole = data.len() & !unit.wrapping_sub(1);
        let (whole, rest) = data.split_at_checked(whole).unwrap_or((data, &[]));
        self.flash.program(storage, whole, whole.len(), digests)?;
        self.carry(rest);

        let received = self.received();
        if received == self.length {
            self.flush(storage, digests)?;
            self.sync(storage)?;
            Ok(Staged::Complete(taken))
        } else if received == checkpoint {
            Ok(Staged::Checkpoint(taken))
        } else {
            Ok(Staged::All)
        }
    }

    /// Makes sure that what is written stays after a power cut. Before progress is recorded.
    pub fn sync(&self, storage: &mut dyn Storage) -> Result<(), StagingError> {
        Ok(storage.sync(Area::Image)?)
    }

    /// Reads from `offset` of the piece what is on flash; returns how many bytes that were, 0 at and behind the end.
    pub fn read(
        &self,
        storage: &mut dyn Storage,
        offset: u32,
        out: &mut [u8],
    ) -> Result<usize, StagingError> {
        let there = self.flash.written.saturating_sub(offset) as usize;
        let wanted = out.len().min(there);
        let Some(out) = out.get_mut(..wanted) else { return Ok(0) };
        if !out.is_empty() {
            storage.read(Area::Image, self.flash.base.saturating_add(offset), out)?;
        }
        Ok(wanted)
    }

    fn carry(&mut self, data: &[u8]) {
        for (place, byte) in self.carry.iter_mut().skip(self.carried).zip(data) {
            *place = *byte;
            self.carried += 1;
        }
    }

    /// Writes the carry buffer, padded with the erased value to a whole unit.
    fn flush(&mut self, storage: &mut dyn Storage, digests: &mut Digests) -> Result<(), StagingError> {
        let carried = core::mem::take(&mut self.carried);
        let padded = ceil_to(carried as u32, self.flash.geometry.program) as usize;
        let Some(unit) = self.carry.get_mut(..padded) else { return Ok(()) };
        for place in unit.iter_mut().skip(carried) {
            *place = self.flash.geometry.erased;
        }
        self.flash.program(storage, unit, carried, digests)
    }
}

impl Flash {
    /// Writes whole units, of which the first `counted` bytes belong to the piece.
    fn program(
        &mut self,
        storage: &mut dyn Storage,
        units: &[u8],
        counted: usize,
        digests: &mut Digests,
    ) -> Result<(), StagingError> {
        if units.is_empty() {
            return Ok(());
        }
        let start = self.written;
        let end = ceil_to(start.saturating_add(units.len() as u32), self.geometry.erase);
        if end > self.erased_to {
            storage.erase(Area::Image, self.base.saturating_add(self.erased_to), end - self.erased_to)?;
            self.erased_to = end;
        }
        let at = self.base.saturating_add(start);
        storage.write(Area::Image, at, units)?;
        compare(storage, at, units)?;
        digests.update(units.get(..counted).unwrap_or(units));
        self.written = start.saturating_add(counted as u32);
        Ok(())
    }
}

fn compare(storage: &mut dyn Storage, offset: u32, expected: &[u8]) -> Result<(), StagingError> {
    let mut offset = offset;
    let mut buffer = [0; READ_BACK];
    for chunk in expected.chunks(READ_BACK) {
        let Some(back) = buffer.get_mut(..chunk.len()) else { break };
        storage.read(Area::Image, offset, back)?;
        if back != chunk {
            return Err(StagingError::ReadBack { offset });
        }
        offset = offset.saturating_add(chunk.len() as u32);
    }
    Ok(())
}
