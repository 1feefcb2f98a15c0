//! The journal: what survives a reboot or a power cut at any moment. Format v1, `docs/journal.md`.
//!
//! Two slots, each a header and records that are appended until the slot is full; then the other slot is erased, gets a
//! copy of what is current, and counts only when its header and a first record behind the copy are complete. A record
//! is valid or it is not there, so a cut leaves the old value or the new one.
//!
//! A write that was cut off may read well today and badly tomorrow, and may have touched flash that still reads as
//! erased. So a record counts once a valid record follows it (a seal, usually), a run never appends to what an earlier
//! run wrote (its first save goes to the other slot), and a run that saves nothing writes nothing.

mod record;
mod value;

pub use value::{Configuration, Places, Progress, ProgressRef, QueueFull, Report, Reports, Saved};

use crate::digest::Crc32;
use crate::platform::{Area, Geometry, GeometryError, Storage, StorageError, ceil_to};
use record::{Extent, Layout, PAYLOAD_MAX, Reader, Record, RecordWriter, Scan, Slot, all, scan};

/// First bytes of a slot header.
const MAGIC: [u8; 4] = *b"qjnl";
/// Format version that is written and read.
const VERSION: u8 = 1;
/// Magic, version, granule, reserved, slot size, sequence, base, CRC-32.
const HEADER: usize = 24;

const _: () = assert!(Configuration::ENCODED_MAX <= PAYLOAD_MAX as usize);
const _: () = assert!(2 + Progress::MARK_MAX + Progress::TASK_MAX <= PAYLOAD_MAX as usize);
const _: () = assert!(Reports::ENCODED_MAX <= PAYLOAD_MAX as usize);

/// Why the journal cannot be used, or did not save.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The platform's journal area cannot be used.
    #[error("journal area: {0}")]
    Geometry(#[from] GeometryError),
    /// A slot could not hold everything.
    #[error("journal area of {size} bytes; at least {minimum} are needed with its units")]
    TooSmall {
        /// Bytes of the area.
        size: u32,
        /// Bytes that it needs at least.
        minimum: u32,
    },
    /// Read back, the flash holds something else than was written, in both slots.
    #[error("the journal reads back other bytes than were written")]
    ReadBack,
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What [`Journal::open`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// The values of the last run.
    Restored,
    /// The values of the last run, but at least one record is valid and still makes no sense to this version; that
    /// value starts empty. Worth a log line.
    PartlyRestored,
    /// Erased flash: a first start.
    Blank,
    /// Something is there, and nothing of it is valid: starts empty. Worth a log line.
    Damaged,
    /// Written in a format that this version does not know, or with other units: starts empty, and the first save
    /// replaces it. Worth a log line.
    Foreign {
        /// The format's version.
        version: u8,
    },
}

/// Whether a save had to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The value was there already; nothing was written.
    Unchanged,
    /// The value is on flash, synced and read back.
    Written,
}

/// Record kinds. Neither 0x00 nor 0xFF, so that no kind looks like erased flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// Proves that what is before it was written to its end; empty.
    Seal = 1,
    Configuration = 2,
    /// A whole progress.
    Task = 3,
    /// The moving part of a progress, for the task whose CRC it carries.
    Mark = 4,
    Reports = 5,
}

impl Kind {
    fn of(value: u8) -> Option<Self> {
        Some(match value {
            1 => Kind::Seal,
            2 => Kind::Configuration,
            3 => Kind::Task,
            4 => Kind::Mark,
            5 => Kind::Reports,
            _ => return None,
        })
    }
}

/// Where a stored progress is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stored {
    /// What stays; empty: no upgrade.
    task: Extent,
    /// What moves, from the newest record.
    mark: Extent,
    /// CRC of the task's record.
    crc: u32,
}

/// Where the newest values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Positions {
    configuration: Option<Extent>,
    progress: Option<Stored>,
    reports: Option<Extent>,
}

/// What a record is to hold.
#[derive(Clone, Copy)]
enum Content<'v> {
    Configuration(&'v Configuration),
    Progress(Option<&'v ProgressRef<'v>>),
    Reports(&'v Reports),
    /// The moving part, for the task with this CRC.
    Mark(u32, &'v ProgressRef<'v>),
    /// Bytes that are on flash already.
    Copy(Kind, Extent),
    /// A task made of a mark and of what stays.
    Joined(Stored),
    Seal,
}

/// Of which values a reboot might not find what this run believes to be saved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doubt {
    Nothing,
    Of(Kind),
    Everything,
}

/// An open journal: positions only, no values.
#[derive(Debug, Clone)]
pub struct Journal {
    layout: Layout,
    /// The slot in use; `None` before the first save.
    slot: Option<Slot>,
    /// Sequence for the next slot.
    next_sequence: u32,
    positions: Positions,
    /// Where the next record goes; `None`: the slot in use must not be written further.
    tail: Option<u32>,
    /// What is to be written even if it did not change.
    doubt: Doubt,
}

impl Journal {
    /// Finds the newest values and reads them into `saved`. Writes nothing. Any content of the area is taken.
    pub fn open<'s>(
        storage: &mut dyn Storage,
        saved: impl Into<Places<'s>>,
    ) -> Result<(Journal, Opening), JournalError> {
        let geometry = storage.geometry(Area::Journal);
        geometry.check()?;
        let minimum = Self::minimum_size(&geometry);
        if geometry.size < minimum {
            return Err(JournalError::TooSmall { size: geometry.size, minimum });
        }
        let mut journal = Journal {
            layout: Layout::of(&geometry),
            slot: None,
            next_sequence: 1,
            positions: Positions::default(),
            tail: None,
            doubt: Doubt::Nothing,
        };
        let opening = journal.find(storage)?;
        let understood = journal.load(storage, saved.into())?;
        Ok(match opening {
            Opening::Restored if !understood => (journal, Opening::PartlyRestored),
            opening => (journal, opening),
        })
    }

    /// Bytes that the journal area needs with these units.
    pub fn minimum_size(geometry: &Geometry) -> u32 {
        let layout = Layout::of(geometry);
        let largest =
            [Configuration::ENCODED_MAX, 2 + Progress::MARK_MAX + Progress::TASK_MAX, Reports::ENCODED_MAX];
        let copy: u32 = largest.iter().map(|payload| layout.footprint(*payload as u32)).sum();
        ceil_to(header_size(&layout) + copy + 2 * layout.footprint(0), geometry.erase).saturating_mul(2)
    }

    /// Saves how far the upgrade is; `None`: there is none. Whatever it says is there must have been synced before.
    pub fn save_progress(
        &mut self,
        storage: &mut dyn Storage,
        progress: Option<ProgressRef<'_>>,
    ) -> Result<Outcome, JournalError> {
        self.save(storage, Content::Progress(progress.as_ref()))
    }

    /// Saves the configuration.
    pub fn save_configuration(
        &mut self,
        storage: &mut dyn Storage,
        configuration: &Configuration,
    ) -> Result<Outcome, JournalError> {
        self.save(storage, Content::Configuration(configuration))
    }

    /// Saves the unsent status reports. Before the progress that they tell of: a report sent twice is harmless.
    pub fn save_reports(
        &mut self,
        storage: &mut dyn Storage,
        reports: &Reports,
    ) -> Result<Outcome, JournalError> {
        self.save(storage, Content::Reports(reports))
    }

    fn save(&mut self, storage: &mut dyn Storage, value: Content<'_>) -> Result<Outcome, JournalError> {
        let doubted = match self.doubt {
            Doubt::Nothing => false,
            Doubt::Of(kind) => kind == value.kind(),
            Doubt::Everything => true,
        };
        if !doubted && self.holds(storage, &value)? {
            return Ok(Outcome::Unchanged);
        }
        // Until it is done, neither the old nor the new is certain.
        let tail = self.tail.take();
        self.doubt = Doubt::Everything;
        if !self.append(storage, tail, value)? {
            self.switch(storage, value)?;
        }
        self.doubt = Doubt::Nothing;
        Ok(Outcome::Written)
    }

    /// Appends to the slot in use. `false`: it cannot be written further, has no room, or its flash is bad.
    fn append(
        &mut self,
        storage: &mut dyn Storage,
        tail: Option<u32>,
        value: Content<'_>,
    ) -> Result<bool, JournalError> {
        let (Some(slot), Some(tail)) = (self.slot, tail) else { return Ok(false) };
        let content = match (value, self.positions.progress) {
            (Content::Progress(Some(progress)), Some(Stored { task, crc, .. }))
                if same(storage, task, &mut |put| progress.encode_task(put))? =>
            {
                Content::Mark(crc, progress)
            }
            _ => value,
        };
        let layout = self.layout;
        let needed = layout.footprint(content.length()).saturating_add(layout.footprint(0));
        if needed > layout.slot.saturating_sub(tail) {
            return Ok(false);
        }
        let Some(record) = write_record(storage, &layout, &slot, tail, &content)? else { return Ok(false) };
        let Some(seal) = write_record(storage, &layout, &slot, record.end, &Content::Seal)? else {
            return Ok(false);
        };
        accept(storage, &mut self.positions, &record)?;
        self.tail = Some(seal.end);
        Ok(true)
    }

    /// Erases the other slot and moves what is current there, with `value` in its place.
    fn switch(&mut self, storage: &mut dyn Storage, value: Content<'_>) -> Result<(), JournalError> {
        let layout = self.layout;
        let start = match self.slot {
            Some(Slot { start: 0, .. }) => layout.slot,
            _ => 0,
        };
        let slot = Slot { start, sequence: self.next_sequence };
        self.next_sequence = self.next_sequence.wrapping_add(1);
        storage.erase(Area::Journal, start, layout.slot)?;

        let mut positions = Positions::default();
        let base = header_size(&layout);
        let mut end = base;
        for content in self.positions.with(value).iter().flatten() {
            let record =
                write_record(storage, &layout, &slot, end, content)?.ok_or(JournalError::ReadBack)?;
            end = record.end;
            accept(storage, &mut positions, &record)?;
        }
        write_header(storage, &layout, &slot, end)?;
        // The first seal makes the slot count, the second keeps the first one's own last bits from mattering.
        for _ in 0..2 {
            let seal =
                write_record(storage, &layout, &slot, end, &Content::Seal)?.ok_or(JournalError::ReadBack)?;
            end = seal.end;
        }
        self.slot = Some(slot);
        self.positions = positions;
        self.tail = Some(end);
        Ok(())
    }

    /// Whether `value` is what the newest record holds.
    fn holds(&self, storage: &mut dyn Storage, value: &Content<'_>) -> Result<bool, StorageError> {
        let Positions { configuration, progress, reports } = self.positions;
        match (value, progress) {
            (Content::Progress(Some(value)), Some(Stored { task, mark, .. })) => {
                Ok(same(storage, mark, &mut |put| value.encode_mark(put))?
                    && same(storage, task, &mut |put| value.encode_task(put))?)
            }
            (Content::Progress(value), stored) => {
                Ok(value.is_none() && stored.is_none_or(|stored| stored.task.length == 0))
            }
            (Content::Reports(value), _) if reports.is_none() => Ok(value.is_empty()),
            _ => match if value.kind() == Kind::Reports { reports } else { configuration } {
                Some(extent) => same(storage, extent, &mut |put| value.encode(put)),
                None => Ok(false),
            },
        }
    }

    /// Finds the slot in use and the newest records in it.
    ///
    /// That is the newest sealed slot. Without a sealed one, the older slot: it was in use when the newer one was
    /// begun, so its header is complete, and only its seal does not read well.
    fn find(&mut self, storage: &mut dyn Storage) -> Result<Opening, StorageError> {
        let layout = self.layout;
        let first = read_header(storage, &layout, 0)?;
        let second = read_header(storage, &layout, layout.slot)?;
        let newest_first = if newer(&second, &first) { [&second, &first] } else { [&first, &second] };
        let newest = newest_first.iter().find_map(|header| header.sequence());
        self.next_sequence = newest.unwrap_or(0).wrapping_add(1);

        let mut opening = Opening::Blank;
        for header in newest_first {
            match (header, opening) {
                (Header::Valid { slot, base }, _) if self.take(storage, *slot, *base)? => {
                    return Ok(Opening::Restored);
                }
                (Header::Foreign { version, .. }, Opening::Blank | Opening::Damaged) => {
                    opening = Opening::Foreign { version: *version };
                }
                (Header::Garbage, Opening::Blank) => opening = Opening::Damaged,
                _ => {}
            }
        }
        Ok(if self.slot.is_some() { Opening::Restored } else { opening })
    }

    /// Takes `slot` as the one in use; whether it is sealed: a valid record stands at or behind `base`.
    fn take(&mut self, storage: &mut dyn Storage, slot: Slot, base: u32) -> Result<bool, StorageError> {
        let layout = self.layout;
        let mut positions = Positions::default();
        // The newest two records behind the copy.
        let (mut before, mut last) = (None, None);
        let mut position = header_size(&layout);
        while position < layout.slot {
            match scan(storage, &layout, &slot, position)? {
                Scan::Record(record) if position < base => {
                    accept(storage, &mut positions, &record)?;
                    position = record.end;
                }
                Scan::Record(record) => {
                    before = last.replace(record);
                    if let Some(proven) = &before {
                        accept(storage, &mut positions, proven)?;
                    }
                    position = record.end;
                }
                // Nothing was ever written behind this.
                Scan::Erased if position >= base => break,
                Scan::Erased | Scan::Garbage => position = position.saturating_add(layout.granule),
            }
        }
        self.doubt = match before.and_then(|record| Kind::of(record.kind)) {
            None => Doubt::Everything,
            Some(Kind::Seal) => Doubt::Nothing,
            Some(Kind::Mark) => Doubt::Of(Kind::Task),
            Some(kind) => Doubt::Of(kind),
        };
        self.slot = Some(slot);
        self.positions = positions;
        self.tail = None;
        Ok(last.is_some())
    }

    /// Reads the values at the positions found. `false`: one made no sense and starts empty.
    fn load(&self, storage: &mut dyn Storage, saved: Places<'_>) -> Result<bool, StorageError> {
        let mut understood = true;
        saved.configuration.clear();
        *saved.progress = None;
        saved.reports.clear();
        if let Some(extent) = self.positions.configuration {
            let mut reader = Reader::new(storage, extent);
            saved.configuration.decode(&mut reader);
            if !reader.is_sound()? {
                saved.configuration.clear();
                understood = false;
            }
        }
        if let Some(stored) = self.positions.progress.filter(|stored| stored.task.length > 0) {
            let progress = saved.progress.get_or_insert(const { Progress::NONE });
            let is_sound = progress.decode_task(&mut Reader::new(storage, stored.task))?
                && progress.decode_mark(&mut Reader::new(storage, stored.mark))?;
            if !is_sound {
                *saved.progress = None;
                understood = false;
            }
        }
        if let Some(extent) = self.positions.reports
            && !saved.reports.decode(&mut Reader::new(storage, extent))?
        {
            saved.reports.clear();
            understood = false;
        }
        Ok(understood)
    }
}

/// Notes a valid record as the newest of its kind.
fn accept(storage: &mut dyn Storage, positions: &mut Positions, record: &Record) -> Result<(), StorageError> {
    match Kind::of(record.kind) {
        Some(Kind::Configuration) => positions.configuration = Some(record.payload),
        Some(Kind::Reports) => positions.reports = Some(record.payload),
        Some(Kind::Task) => {
            let (mut length, mut reader) = (0, Reader::new(storage, record.payload));
            reader.u16(&mut length);
            reader.is_sound()?;
            let (_, rest) = record.payload.split(2);
            let (mark, task) = rest.split(length.into());
            positions.progress = Some(Stored { task, mark, crc: record.crc });
        }
        Some(Kind::Mark) => {
            let (mut crc, mut reader) = (0, Reader::new(storage, record.payload));
            reader.u32(&mut crc);
            let has_crc = reader.is_sound()?;
            if let Some(stored) = positions.progress.as_mut().filter(|stored| has_crc && stored.crc == crc) {
                stored.mark = record.payload.split(4).1;
            }
        }
        Some(Kind::Seal) | None => {}
    }
    Ok(())
}

/// Writes a record and reads it back; `None` when the flash holds something else.
fn write_record(
    storage: &mut dyn Storage,
    layout: &Layout,
    slot: &Slot,
    position: u32,
    content: &Content<'_>,
) -> Result<Option<Record>, StorageError> {
    let length = content.length();
    let at = slot.start.saturating_add(position);
    let mut writer = RecordWriter::new(storage, layout, at, slot.seed(position));
    writer.begin(content.kind() as u8, length);
    content.encode(&mut |bytes| writer.put(bytes));
    content.copied().into_iter().for_each(|extent| writer.copy(extent));
    let crc = writer.finish()?;
    Ok(match scan(storage, layout, slot, position)? {
        Scan::Record(record) if record.crc == crc => Some(record),
        _ => None,
    })
}

impl Positions {
    /// All values for a new slot: `value`, and those that are on flash already.
    fn with<'v>(&self, value: Content<'v>) -> [Option<Content<'v>>; 3] {
        let copy = |kind, extent: Option<Extent>| extent.map(|extent| Content::Copy(kind, extent));
        let current = [
            copy(Kind::Configuration, self.configuration),
            self.progress.map(Content::Joined),
            copy(Kind::Reports, self.reports),
        ];
        let mut kinds = [Kind::Configuration, Kind::Task, Kind::Reports].into_iter();
        current.map(|current| if kinds.next() == Some(value.kind()) { Some(value) } else { current })
    }
}

impl Content<'_> {
    fn kind(&self) -> Kind {
        match self {
            Content::Configuration(_) => Kind::Configuration,
            Content::Progress(_) | Content::Joined(_) => Kind::Task,
            Content::Reports(_) => Kind::Reports,
            Content::Mark(..) => Kind::Mark,
            Content::Copy(kind, _) => *kind,
            Content::Seal => Kind::Seal,
        }
    }

    /// The bytes that are not on flash already.
    fn encode(&self, put: value::Put<'_>) {
        match self {
            Content::Configuration(value) => value.encode(put),
            Content::Reports(value) => value.encode(put),
            Content::Progress(None) => put(&[0, 0]),
            Content::Progress(Some(value)) => {
                put(&(length_of(&mut |put| value.encode_mark(put)) as u16).to_le_bytes());
                value.encode_mark(put);
                value.encode_task(put);
            }
            Content::Mark(crc, progress) => {
                put(&crc.to_le_bytes());
                progress.encode_mark(put);
            }
            Content::Joined(stored) => put(&(stored.mark.length as u16).to_le_bytes()),
            Content::Copy(..) | Content::Seal => {}
        }
    }

    /// The bytes behind those that are on flash already.
    fn copied(&self) -> [Extent; 2] {
        match self {
            Content::Copy(_, extent) => [*extent, Extent::default()],
            Content::Joined(Stored { task, mark, .. }) => [*mark, *task],
            _ => [Extent::default(); 2],
        }
    }

    fn length(&self) -> u32 {
        let [first, second] = self.copied();
        let encoded = length_of(&mut |put| self.encode(put));
        encoded.saturating_add(first.length).saturating_add(second.length)
    }
}

#[inline(never)] // once in the image
fn length_of(encode: &mut dyn FnMut(value::Put<'_>)) -> u32 {
    let mut length = 0u32;
    encode(&mut |bytes| length = length.saturating_add(bytes.len() as u32));
    length
}

/// Whether flash holds exactly what `encode` gives.
fn same(
    storage: &mut dyn Storage,
    extent: Extent,
    encode: &mut dyn FnMut(value::Put<'_>),
) -> Result<bool, StorageError> {
    let mut rest = extent;
    let mut outcome = Ok(true);
    encode(&mut |bytes| {
        let (here, behind) = rest.split(bytes.len() as u32);
        rest = behind;
        if outcome == Ok(true) {
            let mut expected = bytes;
            outcome = if (here.length as usize) < bytes.len() {
                Ok(false)
            } else {
                all(storage, here, &mut |chunk| {
                    let (begin, end) = expected.split_at_checked(chunk.len()).unwrap_or((expected, &[]));
                    expected = end;
                    begin == chunk
                })
            };
        }
    });
    Ok(outcome? && rest.length == 0)
}

/// What stands at the start of a slot.
enum Header {
    Valid {
        slot: Slot,
        /// Position behind the copy, where the seal is.
        base: u32,
    },
    /// Of another format version, or made for other units.
    Foreign {
        version: u8,
        sequence: u32,
    },
    Garbage,
    Erased,
}

impl Header {
    fn sequence(&self) -> Option<u32> {
        match self {
            Header::Valid { slot, .. } => Some(slot.sequence),
            Header::Foreign { sequence, .. } => Some(*sequence),
            Header::Garbage | Header::Erased => None,
        }
    }
}

/// Whether `one` was written after `other`; counts round the 32-bit wrap.
fn newer(one: &Header, other: &Header) -> bool {
    match (one.sequence(), other.sequence()) {
        (Some(one), Some(other)) => one.wrapping_sub(other).cast_signed() > 0,
        (one, _) => one.is_some(),
    }
}

fn header_size(layout: &Layout) -> u32 {
    ceil_to(HEADER as u32, layout.granule)
}

/// The header but for its CRC-32; these bytes keep their places in every version.
fn header(layout: &Layout, slot: &Slot, base: u32) -> [[u8; 4]; HEADER / 4 - 1] {
    [
        MAGIC,
        [VERSION, layout.granule.trailing_zeros() as u8, 0, 0],
        layout.slot.to_le_bytes(),
        slot.sequence.to_le_bytes(),
        base.to_le_bytes(),
    ]
}

#[inline(never)] // its buffer is off the stack before a record is written
fn write_header(
    storage: &mut dyn Storage,
    layout: &Layout,
    slot: &Slot,
    base: u32,
) -> Result<(), JournalError> {
    let mut writer = RecordWriter::new(storage, layout, slot.start, Crc32::new());
    writer.put(header(layout, slot, base).as_flattened());
    writer.finish()?;
    match read_header(storage, layout, slot.start)? {
        Header::Valid { slot: written, base: end } if written == *slot && end == base => Ok(()),
        _ => Err(JournalError::ReadBack),
    }
}

fn read_header(storage: &mut dyn Storage, layout: &Layout, start: u32) -> Result<Header, StorageError> {
    let mut words = [[0; 4]; HEADER / 4];
    storage.read(Area::Journal, start, words.as_flattened_mut())?;
    if words.as_flattened().iter().all(|byte| *byte == layout.erased) {
        return Ok(Header::Erased);
    }
    let [before @ .., crc] = &words;
    let [magic, [version, ..], _, sequence, base] = *before;
    let mut computed = Crc32::new();
    computed.update(before.as_flattened());
    if computed.finish().to_le_bytes() != *crc || magic != MAGIC {
        return Ok(Header::Garbage);
    }
    let [sequence, base] = [sequence, base].map(u32::from_le_bytes);
    let slot = Slot { start, sequence };
    let known = *before == header(layout, &slot, base);
    let sound = base >= header_size(layout) && base < layout.slot && ceil_to(base, layout.granule) == base;
    Ok(if known && sound { Header::Valid { slot, base } } else { Header::Foreign { version, sequence } })
}
