//! Records inside a slot: how one is written, checked and read.
//!
//! `kind, !kind, length (2), payload, CRC-32 (4)`, padded with the erased value to the granule. The CRC begins with the
//! slot's sequence and the record's position, so nothing that an earlier life of the slot left can pass for a record.

use crate::digest::Crc32;
use crate::platform::{Area, Geometry, Storage, StorageError, ceil_to, floor_to};
use crate::text::Text;

/// Longest payload that is written or believed; bounds the work of a scan over arbitrary bytes.
pub(super) const PAYLOAD_MAX: u32 = 2048;
/// `kind, !kind, length`.
const HEAD: u32 = 4;
/// CRC-32.
const TRAILER: u32 = 4;
/// Smallest step at which a record may start.
const GRANULE_MIN: u32 = 16;
/// Bytes that are read in one go.
const READ: usize = 64;

/// The units of a journal, derived from the area's geometry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes of a slot.
    pub slot: u32,
    /// Records and the slot header start at multiples of this.
    pub granule: u32,
    /// What an erased byte reads as.
    pub erased: u8,
}

impl Layout {
    /// For a geometry that was checked.
    pub fn of(geometry: &Geometry) -> Self {
        Layout {
            slot: floor_to(geometry.size / 2, geometry.erase),
            granule: geometry.program.max(GRANULE_MIN),
            erased: geometry.erased,
        }
    }

    /// Bytes that a record with this payload takes.
    pub fn footprint(&self, payload: u32) -> u32 {
        ceil_to(payload.saturating_add(HEAD + TRAILER), self.granule)
    }
}

/// One life of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// Where it starts in the area.
    pub start: u32,
    /// Its number; the newest slot has the highest.
    pub sequence: u32,
}

impl Slot {
    /// What the CRC of a record at `position` begins with.
    pub fn seed(&self, position: u32) -> Crc32 {
        let mut crc = Crc32::new();
        crc.update(&self.sequence.to_le_bytes());
        crc.update(&position.to_le_bytes());
        crc
    }
}

/// Bytes in the area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Extent {
    pub at: u32,
    pub length: u32,
}

impl Extent {
    /// The first `length` bytes, and what follows them.
    pub fn split(self, length: u32) -> (Extent, Extent) {
        let length = length.min(self.length);
        let first = Extent { at: self.at, length };
        let rest = Extent { at: self.at.saturating_add(length), length: self.length - length };
        (first, rest)
    }
}

/// A record whose CRC holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Record {
    pub kind: u8,
    pub payload: Extent,
    /// Position in the slot behind it.
    pub end: u32,
    pub crc: u32,
}

/// What stands at a position of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scan {
    Record(Record),
    /// The granule holds something else.
    Garbage,
    /// The granule reads as erased.
    Erased,
}

/// Looks at one position, a multiple of the granule.
pub(super) fn scan(
    storage: &mut dyn Storage,
    layout: &Layout,
    slot: &Slot,
    position: u32,
) -> Result<Scan, StorageError> {
    let at = slot.start.saturating_add(position);
    let room = layout.slot.saturating_sub(position);
    let mut head = [0; HEAD as usize];
    storage.read(Area::Journal, at, &mut head)?;
    let [kind, complement, low, high] = head;
    let length = u32::from(u16::from_le_bytes([low, high]));
    let footprint = layout.footprint(length);
    if kind != !complement || length > PAYLOAD_MAX || footprint > room {
        let granule = Extent { at, length: layout.granule };
        let erased = all(storage, granule, &mut |chunk| chunk.iter().all(|byte| *byte == layout.erased))?;
        return Ok(if erased { Scan::Erased } else { Scan::Garbage });
    }
    let end = position.saturating_add(footprint);
    let payload = Extent { at: at.saturating_add(HEAD), length };
    let mut crc = slot.seed(position);
    crc.update(&head);
    all(storage, payload, &mut |chunk| {
        crc.update(chunk);
        true
    })?;
    let mut trailer = [0; TRAILER as usize];
    storage.read(Area::Journal, payload.at.saturating_add(length), &mut trailer)?;
    Ok(if u32::from_le_bytes(trailer) == crc.finish() {
        Scan::Record(Record { kind, payload, end, crc: crc.finish() })
    } else {
        Scan::Garbage
    })
}

/// Whether `holds` says yes to every chunk of the extent, in order; stops at the first no.
pub(super) fn all(
    storage: &mut dyn Storage,
    extent: Extent,
    holds: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<bool, StorageError> {
    let mut buffer = [0; READ];
    let mut rest = extent;
    while rest.length > 0 {
        let (piece, behind) = rest.split(READ as u32);
        let Some(chunk) = buffer.get_mut(..piece.length as usize) else { break };
        storage.read(Area::Journal, piece.at, chunk)?;
        if !holds(chunk) {
            return Ok(false);
        }
        rest = behind;
    }
    Ok(true)
}

/// Writes one record or a header, lowest address first.
pub(super) struct RecordWriter<'s> {
    storage: &'s mut dyn Storage,
    granule: u32,
    erased: u8,
    at: u32,
    crc: Crc32,
    filled: usize,
    buffer: [u8; Geometry::PROGRAM_MAX],
    outcome: Result<(), StorageError>,
}

impl<'s> RecordWriter<'s> {
    /// At `at` of the area; the CRC goes on from `crc`.
    #[inline(always)] // its buffer is made where it is used
    pub fn new(storage: &'s mut dyn Storage, layout: &Layout, at: u32, crc: Crc32) -> Self {
        RecordWriter {
            storage,
            granule: layout.granule,
            erased: layout.erased,
            at,
            crc,
            filled: 0,
            buffer: [0; Geometry::PROGRAM_MAX],
            outcome: Ok(()),
        }
    }

    /// Begins a record with a payload of `length` bytes.
    pub fn begin(&mut self, kind: u8, length: u32) {
        let [low, high] = (length as u16).to_le_bytes();
        self.put(&[kind, !kind, low, high]);
    }

    /// The next bytes. Errors wait for [`RecordWriter::finish`].
    pub fn put(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
        self.collect(bytes);
    }

    /// The next bytes of the payload, from elsewhere in the area.
    pub fn copy(&mut self, from: Extent) {
        let mut buffer = [0; READ];
        let mut rest = from;
        while rest.length > 0 && self.outcome.is_ok() {
            let (piece, behind) = rest.split(READ as u32);
            let Some(chunk) = buffer.get_mut(..piece.length as usize) else { break };
            self.outcome = self.storage.read(Area::Journal, piece.at, chunk);
            self.put(chunk);
            rest = behind;
        }
    }

    /// The CRC and the padding; synced. Returns the record's CRC.
    pub fn finish(&mut self) -> Result<u32, StorageError> {
        let crc = self.crc.finish();
        self.collect(&crc.to_le_bytes());
        let padded = ceil_to(self.filled as u32, self.granule) as usize;
        let erased = self.erased;
        for place in self.buffer.iter_mut().take(padded).skip(self.filled) {
            *place = erased;
        }
        self.filled = padded;
        self.flush();
        self.outcome?;
        self.storage.sync(Area::Journal)?;
        Ok(crc)
    }

    fn collect(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(place) = self.buffer.get_mut(self.filled) {
                *place = *byte;
            }
            self.filled += 1;
            if self.filled >= self.buffer.len() {
                self.flush();
            }
        }
    }

    fn flush(&mut self) {
        let filled = core::mem::take(&mut self.filled);
        let Some(chunk) = self.buffer.get(..filled).filter(|chunk| !chunk.is_empty()) else { return };
        if self.outcome.is_ok() {
            self.outcome = self.storage.write(Area::Journal, self.at, chunk);
            self.at = self.at.saturating_add(filled as u32);
        }
    }
}

/// Reads the fields of a value out of a checked record, one after the other. A field that is not there, or cannot be,
/// leaves its place as it was.
pub(super) struct Reader<'s> {
    storage: &'s mut dyn Storage,
    rest: Extent,
    /// Every field so far was there and made sense.
    is_sound: bool,
    /// Why a field is missing, when it is not the record's fault.
    failed: Result<(), StorageError>,
}

impl<'s> Reader<'s> {
    pub fn new(storage: &'s mut dyn Storage, extent: Extent) -> Self {
        Reader { storage, rest: extent, is_sound: true, failed: Ok(()) }
    }

    /// Whether every field so far was there and made sense.
    pub fn is_sound(&self) -> Result<bool, StorageError> {
        self.failed.map(|()| self.is_sound)
    }

    /// The next bytes; all of `out`, or nothing.
    #[inline(never)]
    pub fn fill(&mut self, out: &mut [u8]) {
        let (here, rest) = self.rest.split(out.len() as u32);
        if !self.is_sound || here.length as usize != out.len() {
            self.is_sound = false;
            return;
        }
        if !out.is_empty() {
            self.failed = self.storage.read(Area::Journal, here.at, out);
        }
        self.is_sound = self.failed.is_ok();
        self.rest = rest;
    }

    /// A field that makes sense only if `is_right`.
    pub fn check(&mut self, is_right: bool) {
        self.is_sound &= is_right;
    }

    pub fn u8(&mut self, to: &mut u8) {
        self.fill(core::slice::from_mut(to));
    }

    pub fn flag(&mut self, to: &mut bool) {
        let mut byte = u8::from(*to);
        self.u8(&mut byte);
        *to = byte != 0;
    }

    pub fn u16(&mut self, to: &mut u16) {
        let mut bytes = to.to_le_bytes();
        self.fill(&mut bytes);
        *to = u16::from_le_bytes(bytes);
    }

    pub fn u32(&mut self, to: &mut u32) {
        let mut bytes = to.to_le_bytes();
        self.fill(&mut bytes);
        *to = u32::from_le_bytes(bytes);
    }

    pub fn text<const N: usize>(&mut self, to: &mut Text<N>) {
        let (length, place) = to.parts_mut();
        *length = self.text_in(place);
    }

    /// A text at the start of `place`; its length, 0 if it is none. Once in the image, not once for each size.
    #[inline(never)]
    fn text_in(&mut self, place: &mut [u8]) -> usize {
        let mut length = 0;
        self.u16(&mut length);
        let place = place.get_mut(..length.into()).unwrap_or_default();
        self.fill(place);
        self.check(place.len() == usize::from(length) && core::str::from_utf8(place).is_ok());
        if self.is_sound { length.into() } else { 0 }
    }
}
