//! What the journal keeps, and how it is written as bytes: numbers little-endian, a text as its length in 16 bits and
//! its bytes. `docs/journal.md` lists every field. A later version may add fields at the end of a value; who reads
//! ignores what follows the fields it knows.

use super::record::Reader;
use crate::digest::{Announced, Digests, SAVED_MAX};
use crate::image::{Image, Piece, PlanRequirements};
use crate::limits;
use crate::platform::StorageError;
use crate::text::Text;
use crate::wire::message::ComponentKind;

/// Where encoded bytes go, in order.
pub(super) type Put<'p> = &'p mut dyn FnMut(&[u8]);

/// Everything that survives a reboot. The journal itself keeps only positions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// Who the device is and how it connects.
    pub configuration: Configuration,
    /// The upgrade under way.
    pub progress: Option<Progress>,
    /// Status reports that the platform does not have yet.
    pub reports: Reports,
}

/// Where it is to go; so that nothing of it is on the stack first.
#[derive(Debug)]
pub struct Places<'s> {
    /// Who the device is and how it connects.
    pub configuration: &'s mut Configuration,
    /// The upgrade under way.
    pub progress: &'s mut Option<Progress>,
    /// Status reports that the platform does not have yet.
    pub reports: &'s mut Reports,
}

impl<'s> From<&'s mut Saved> for Places<'s> {
    fn from(saved: &'s mut Saved) -> Self {
        let Saved { configuration, progress, reports } = saved;
        Places { configuration, progress, reports }
    }
}

/// Settings that QUECTHING.md 1.2 and 3.5 call persisted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Product key.
    pub product_key: Text<{ limits::PRODUCT_KEY }>,
    /// Product secret.
    pub product_secret: Text<{ limits::PRODUCT_SECRET }>,
    /// The application's own device key; empty: the hardware id.
    pub device_key: Text<{ limits::DEVICE_KEY }>,
    /// Device secret; empty: bootstrap will fetch one.
    pub device_secret: Text<{ limits::DEVICE_SECRET }>,
    /// The hardware id for which the device secret was given: flash that was copied to another device must not bring
    /// its identity along.
    pub hardware_id: Text<{ limits::DEVICE_KEY }>,
    /// Server set by the application.
    pub server: Text<{ limits::SERVER_URL }>,
    /// Server given by the platform (0x00B4 id 1), once it has worked; wins over `server`.
    pub platform_server: Text<{ limits::SERVER_URL }>,
    /// MCU components and versions, `a:1;b:2`.
    pub mcu_list: Text<{ limits::MCU_LIST }>,
    /// Keep-alive in seconds; 0: the default.
    pub lifetime: u16,
    /// Payload encryption is wanted.
    pub session_encryption: bool,
    /// Number of the event dialect that the application set; 0: the default.
    pub dialect: u8,
}

/// How far an upgrade is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<I = Image, S = Text<{ limits::VERSION }>, D = Digests> {
    /// Of which image: bytes are kept across a reboot, a new plan or a new URL only while all of it stays the same.
    pub image: I,
    /// Version before, as the plan has it; may be empty.
    pub source: S,
    /// What the plan demands; the application may scan at it again after a reboot.
    pub requirements: PlanRequirements,
    /// The application asked for SHA-256 (mode 1 of the request).
    pub wants_sha256: bool,
    /// The platform asks nobody about this plan (id 27).
    pub auto_confirm: bool,
    /// State as in data point 13 (QUECTHING.md 3.1).
    pub state: u8,
    /// Attempts without new bytes, or whatever else the machine counts against a boot loop.
    pub attempts: u8,
    /// The piece in the image area.
    pub piece: Piece,
    /// Bytes of the image up to which everything is staged and synced, counted from the image's start.
    pub offset: u32,
    /// Digests of the image up to their own length, which is `offset` while downloading.
    pub digests: D,
    /// Digests up to the application's own mark, which is their length; `None`: it gave none.
    pub own: Option<D>,
    /// Restarts since the upgrade got further.
    pub restarts: u8,
    /// Bytes of the image that were staged at best, whatever was lost since.
    pub high_water: u32,
    /// The plan came as a list (id 28) of this many; 0: as a single plan.
    pub listed: u8,
    /// Components of the confirmed list whose URLs are to come after this one's. With some, `state` may be 0: the one
    /// before has ended.
    pub remaining: u8,
}

/// The same as it is saved: what is large stays where it is.
pub type ProgressRef<'p> = Progress<&'p Image, &'p Text<{ limits::VERSION }>, &'p Digests>;

/// One status report (0x0114) that was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// State as in data point 13.
    pub state: u8,
    /// Component type on the wire (id 7).
    pub kind: u8,
    /// Id 19 goes with it: "sha256" is wanted.
    pub wants_sha256: bool,
    /// Why, for a platform that knows the extension; 0: no reason.
    pub reason: u16,
    /// Bytes of the image that were there, for a platform that knows the extension.
    pub offset: u32,
    /// Bytes of the image in all; 0: not known.
    pub size: u32,
    /// Component identifier (id 4).
    pub component: Text<{ limits::COMPONENT }>,
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue of unsent status reports is full")]
pub struct QueueFull;

/// Unsent status reports, oldest first; at most [`limits::STATUS_QUEUE`].
#[derive(Debug, Clone, Default)]
pub struct Reports {
    waiting: [Report; limits::STATUS_QUEUE],
    count: usize,
}

impl Reports {
    /// An empty queue.
    pub const fn new() -> Self {
        Reports { waiting: [Report::NONE; limits::STATUS_QUEUE], count: 0 }
    }

    /// The waiting reports, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Report> {
        self.waiting.iter().take(self.count)
    }

    /// The oldest.
    pub fn first(&self) -> Option<&Report> {
        self.iter().next()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends one.
    pub fn push(&mut self, report: Report) -> Result<(), QueueFull> {
        let place = self.waiting.get_mut(self.count).ok_or(QueueFull)?;
        *place = report;
        self.count += 1;
        Ok(())
    }

    /// Takes the oldest out, once the platform has it.
    pub fn pop(&mut self) -> Option<Report> {
        self.remove(0)
    }

    /// Takes out the one at `at`, counted from the oldest.
    #[inline(never)]
    pub fn remove(&mut self, at: usize) -> Option<Report> {
        let mut rest = self.waiting.get_mut(at..self.count)?;
        let gone = *rest.first()?;
        // Not `rotate_left`: it would bring `memmove` along.
        while let [place, behind @ ..] = rest {
            if let Some(next) = behind.first() {
                *place = *next;
            }
            rest = behind;
        }
        self.count -= 1;
        Some(gone)
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.count = 0;
    }
}

impl PartialEq for Reports {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}
impl Eq for Reports {}

impl Report {
    /// Of nothing.
    pub const NONE: Report = Report {
        state: 0,
        kind: 0,
        wants_sha256: false,
        reason: 0,
        offset: 0,
        size: 0,
        component: Text::new(),
    };
}

/// Longest form of a text of `N` bytes.
const fn text(capacity: usize) -> usize {
    2 + capacity
}

#[inline(never)]
fn put_text(put: Put<'_>, text: &str) {
    put(&(text.len() as u16).to_le_bytes());
    put(text.as_bytes());
}

impl Configuration {
    /// Nothing is set.
    pub const fn new() -> Self {
        Configuration {
            product_key: Text::new(),
            product_secret: Text::new(),
            device_key: Text::new(),
            device_secret: Text::new(),
            hardware_id: Text::new(),
            server: Text::new(),
            platform_server: Text::new(),
            mcu_list: Text::new(),
            lifetime: 0,
            session_encryption: false,
            dialect: 0,
        }
    }

    /// Forgets everything, in place: a new one would be on the stack first.
    pub(super) fn clear(&mut self) {
        *self = const { Self::new() };
    }

    pub(super) const ENCODED_MAX: usize = text(limits::PRODUCT_KEY)
        + text(limits::PRODUCT_SECRET)
        + 2 * text(limits::DEVICE_KEY)
        + text(limits::DEVICE_SECRET)
        + 2 * text(limits::SERVER_URL)
        + text(limits::MCU_LIST)
        + 2
        + 1
        + 1;

    pub(super) fn encode(&self, put: Put<'_>) {
        put_text(put, &self.product_key);
        put_text(put, &self.product_secret);
        put_text(put, &self.device_key);
        put_text(put, &self.device_secret);
        put_text(put, &self.hardware_id);
        put_text(put, &self.server);
        put_text(put, &self.platform_server);
        put_text(put, &self.mcu_list);
        put(&self.lifetime.to_le_bytes());
        put(&[u8::from(self.session_encryption), self.dialect]);
    }

    pub(super) fn decode(&mut self, from: &mut Reader<'_>) {
        from.text(&mut self.product_key);
        from.text(&mut self.product_secret);
        from.text(&mut self.device_key);
        from.text(&mut self.device_secret);
        from.text(&mut self.hardware_id);
        from.text(&mut self.server);
        from.text(&mut self.platform_server);
        from.text(&mut self.mcu_list);
        from.u16(&mut self.lifetime);
        from.flag(&mut self.session_encryption);
        from.u8(&mut self.dialect);
    }
}

const ANNOUNCED_MD5: u8 = 1;
const ANNOUNCED_CRC32: u8 = 2;
const ANNOUNCED_SHA256: u8 = 4;

impl ProgressRef<'_> {
    pub(super) fn encode_task(&self, put: Put<'_>) {
        let Image { component, kind, target, size, announced: Announced { md5, crc32, sha256 } } = self.image;
        put_text(put, component);
        put_text(put, target);
        put(&[kind.number()]);
        put(&size.to_le_bytes());
        let flags = [
            (md5.is_some(), ANNOUNCED_MD5),
            (crc32.is_some(), ANNOUNCED_CRC32),
            (sha256.is_some(), ANNOUNCED_SHA256),
        ];
        let flags = flags.iter().filter(|(is_there, _)| *is_there).fold(0, |flags, (_, flag)| flags | flag);
        put(&[u8::from(self.wants_sha256), flags]);
        if let Some(md5) = md5 {
            put(md5);
        }
        if let Some(crc32) = crc32 {
            put(&crc32.to_le_bytes());
        }
        if let Some(sha256) = sha256 {
            put(sha256);
        }
        put_text(put, self.source);
        let PlanRequirements { battery, signal, space } = self.requirements;
        for number in [battery, signal.cast_unsigned(), space] {
            put(&number.to_le_bytes());
        }
        put(&[u8::from(self.auto_confirm)]);
    }

    pub(super) fn encode_mark(&self, put: Put<'_>) {
        put(&[self.state, self.attempts]);
        for number in [self.piece.start, self.piece.length, self.offset] {
            put(&number.to_le_bytes());
        }
        put_digests(put, Some(self.digests));
        put_digests(put, self.own);
        put(&[self.restarts]);
        put(&self.high_water.to_le_bytes());
        put(&[self.listed, self.remaining]);
    }
}

impl Progress {
    /// Longest form of what stays the same during an upgrade.
    pub(super) const TASK_MAX: usize =
        text(limits::COMPONENT) + 2 * text(limits::VERSION) + 1 + 4 + 1 + 1 + 16 + 4 + 32 + 12 + 1;
    /// Longest form of what moves.
    pub(super) const MARK_MAX: usize = 1 + 1 + 4 + 4 + 4 + 2 * (1 + SAVED_MAX) + 1 + 4 + 1 + 1;

    /// For [`Journal::save_progress`](super::Journal::save_progress).
    pub fn borrowed(&self) -> ProgressRef<'_> {
        Progress {
            image: &self.image,
            source: &self.source,
            requirements: self.requirements,
            wants_sha256: self.wants_sha256,
            auto_confirm: self.auto_confirm,
            state: self.state,
            attempts: self.attempts,
            piece: self.piece,
            offset: self.offset,
            digests: &self.digests,
            own: self.own.as_ref(),
            restarts: self.restarts,
            high_water: self.high_water,
            listed: self.listed,
            remaining: self.remaining,
        }
    }

    /// Reads what stays the same. Whether all of it makes sense, and so for the next.
    pub(super) fn decode_task(&mut self, from: &mut Reader<'_>) -> Result<bool, StorageError> {
        let Image { component, kind, target, size, announced } = &mut self.image;
        let (mut number, mut flags) = (0, 0);
        from.text(component);
        from.text(target);
        from.u8(&mut number);
        from.check(ComponentKind::from_number(number.into()).map(|read| *kind = read).is_some());
        from.u32(size);
        from.flag(&mut self.wants_sha256);
        from.u8(&mut flags);
        if flags & ANNOUNCED_MD5 != 0 {
            from.fill(announced.md5.get_or_insert_default());
        }
        if flags & ANNOUNCED_CRC32 != 0 {
            from.u32(announced.crc32.get_or_insert_default());
        }
        if flags & ANNOUNCED_SHA256 != 0 {
            from.fill(announced.sha256.get_or_insert_default());
        }
        from.text(&mut self.source);
        from.u32(&mut self.requirements.battery);
        let mut signal = 0;
        from.u32(&mut signal);
        self.requirements.signal = signal.cast_signed();
        from.u32(&mut self.requirements.space);
        let is_sound = from.is_sound()?;
        // An earlier version did not write it.
        from.flag(&mut self.auto_confirm);
        from.is_sound().map(|_| is_sound)
    }

    /// Reads what moves, after what stays the same.
    pub(super) fn decode_mark(&mut self, from: &mut Reader<'_>) -> Result<bool, StorageError> {
        from.u8(&mut self.state);
        from.u8(&mut self.attempts);
        from.u32(&mut self.piece.start);
        from.u32(&mut self.piece.length);
        from.u32(&mut self.offset);
        let announced = &self.image.announced;
        let is_right = load_digests(from, &mut self.digests) && self.digests.computes(announced);
        from.check(is_right);
        let is_sound = from.is_sound()?;
        // Of no length: the application gave no mark. What follows may be missing, as this format first had it.
        let own = self.own.get_or_insert(Digests::NONE);
        let is_given = load_digests(from, own) && own.computes(announced) && own.length() <= self.image.size;
        if !is_given {
            self.own = None;
        }
        self.high_water = self.offset;
        from.u8(&mut self.restarts);
        from.u32(&mut self.high_water);
        from.u8(&mut self.listed);
        from.u8(&mut self.remaining);
        from.is_sound().map(|_| is_sound)
    }
}

impl Progress {
    /// Of no image.
    pub const NONE: Progress = Progress {
        image: Image::NONE,
        source: Text::new(),
        requirements: PlanRequirements { battery: 0, signal: 0, space: 0 },
        wants_sha256: false,
        auto_confirm: false,
        state: 0,
        attempts: 0,
        piece: Piece { start: 0, length: 0 },
        offset: 0,
        digests: Digests::NONE,
        own: None,
        restarts: 0,
        high_water: 0,
        listed: 0,
        remaining: 0,
    };
}

impl Default for Progress {
    fn default() -> Self {
        Self::NONE
    }
}

/// A state behind its length, which is 0 where there is none.
#[inline(never)]
fn put_digests(put: Put<'_>, digests: Option<&Digests>) {
    put(&[digests.map_or(0, |digests| digests.saved_length() as u8)]);
    if let Some(digests) = digests {
        digests.save(put);
    }
}

/// Reads a state behind its length. Whether it is one.
#[inline(never)]
fn load_digests(from: &mut Reader<'_>, to: &mut Digests) -> bool {
    let mut used = 0;
    from.u8(&mut used);
    let mut saved = [0; SAVED_MAX];
    let Some(saved) = saved.get_mut(..used.into()) else { return false };
    from.fill(saved);
    to.load(saved)
}

const REPORT_WANTS_SHA256: u8 = 1;

impl Reports {
    pub(super) const ENCODED_MAX: usize =
        1 + limits::STATUS_QUEUE * (1 + 1 + 1 + 2 + 4 + text(limits::COMPONENT) + 4);

    pub(super) fn encode(&self, put: Put<'_>) {
        put(&[self.count as u8]);
        for report in self.iter() {
            let flags = if report.wants_sha256 { REPORT_WANTS_SHA256 } else { 0 };
            put(&[report.state, report.kind, flags]);
            put(&report.reason.to_le_bytes());
            put(&report.offset.to_le_bytes());
            put_text(put, &report.component);
        }
        // Behind the list, where an earlier version ends.
        for report in self.iter() {
            put(&report.size.to_le_bytes());
        }
    }

    pub(super) fn decode(&mut self, from: &mut Reader<'_>) -> Result<bool, StorageError> {
        let (mut count, mut flags) = (0, 0);
        from.u8(&mut count);
        self.count = count.into();
        from.check(self.count <= self.waiting.len());
        let reports = self.waiting.iter_mut().take(self.count);
        for report in reports {
            *report = Report::default();
            from.u8(&mut report.state);
            from.u8(&mut report.kind);
            from.u8(&mut flags);
            report.wants_sha256 = flags & REPORT_WANTS_SHA256 != 0;
            from.u16(&mut report.reason);
            from.u32(&mut report.offset);
            from.text(&mut report.component);
        }
        let is_sound = from.is_sound()?;
        for report in self.waiting.iter_mut().take(self.count) {
            // An earlier version did not tell.
            from.u32(&mut report.size);
        }
        from.is_sound().map(|_| is_sound)
    }
}
