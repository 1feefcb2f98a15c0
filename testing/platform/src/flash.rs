//! NOR flash in memory, with power cuts: before, in the middle of, and after any storage operation.
//!
//! Stricter than most parts on purpose: a program unit is written once between two erases, also when a cut left it
//! reading as erased, and a block whose erase was cut off must be erased again before it is written. What breaks a rule
//! is refused and noted as a [`Violation`].

use quecota_core::platform::{Area, Geometry, Storage, StorageError};

/// A rule of flash that the code under test broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// Outside the area.
    Outside {
        /// Where.
        area: Area,
        /// First byte.
        offset: u32,
        /// Bytes.
        length: u32,
    },
    /// Not on the multiples of the program or erase size.
    Unaligned {
        /// Where.
        area: Area,
        /// First byte.
        offset: u32,
        /// Bytes.
        length: u32,
    },
    /// The unit that holds this byte was written, or touched by a write or erase that was cut off.
    WrittenTwice {
        /// Where.
        area: Area,
        /// First byte of the unit.
        offset: u32,
    },
}

/// What a cut in the middle of a write or an erase leaves behind the bytes that are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Torn {
    /// The rest reads as before; the unit that was under way must still not be written again.
    Unseen,
    /// The unit (or block) that was under way has bits that read differently each time.
    Unstable,
    /// The whole operation was under way at once, as inside a page program: each of its bytes is done, not done, or
    /// unstable, by the seed.
    Scattered(u64),
    /// The whole operation seems done, and one bit at or behind the given byte is unstable: cut at the very last moment.
    Marginal,
}

/// When exactly power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The operation does not begin.
    Before,
    /// So many bytes of the write or erase are done. A sync is either not begun or done: here, not begun.
    During {
        /// Bytes that are done.
        bytes: u32,
        /// What is behind them.
        torn: Torn,
    },
    /// The operation is done, and its caller does not learn it.
    After,
}

/// What becomes of operations that no sync followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsynced {
    /// They happened: raw flash.
    Kept,
    /// None happened: a write-back cache.
    Lost,
    /// Some happened, by the seed: a cache that reorders.
    Scattered(u64),
}

/// One power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Number of the operation, counted from 0 over writes, erases and syncs of both areas.
    pub operation: u64,
    /// When.
    pub how: How,
}

/// What changes while power is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rot {
    /// Where.
    pub area: Area,
    /// The byte, or one of the erase block.
    pub offset: u32,
    /// The bits of the byte that flip; `None`: the whole erase block reads as erased.
    pub bits: Option<u8>,
}

/// What was done so far. Reads are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Writes, erases and syncs.
    pub operations: u64,
    /// Calls of write.
    pub writes: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Blocks erased.
    pub blocks_erased: u64,
    /// Calls of sync.
    pub syncs: u64,
}

/// A mutating operation, for traces and for [`SimFlash::operation_log`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Write of these bytes.
    Write(Area, u32, Vec<u8>),
    /// Erase.
    Erase(Area, u32, u32),
    /// Sync.
    Sync(Area),
}

#[derive(Debug, Clone)]
struct Cells {
    bytes: Vec<u8>,
    /// Bits that read at random.
    unstable: Vec<u8>,
    /// There may be such bits.
    unsteady: bool,
    /// Per program unit: not to be written before an erase.
    touched: Vec<bool>,
}

#[derive(Debug, Clone)]
struct Region {
    area: Area,
    geometry: Geometry,
    cells: Cells,
    /// As of the last sync, and what came since; kept only where unsynced operations may get lost.
    synced: Option<Cells>,
    pending: Vec<Operation>,
}

impl Cells {
    fn new(geometry: &Geometry) -> Self {
        let size = geometry.size as usize;
        Cells {
            bytes: vec![geometry.erased; size],
            unstable: vec![0; size],
            unsteady: false,
            touched: vec![false; size / geometry.program as usize],
        }
    }

    fn write(&mut self, geometry: &Geometry, offset: u32, data: &[u8]) {
        let (at, unit) = (offset as usize, geometry.program as usize);
        // Programming moves bits away from the erased value, never back.
        let cells = self.bytes[at..at + data.len()].iter_mut().zip(data);
        if geometry.erased == 0 {
            cells.for_each(|(cell, byte)| *cell |= byte);
        } else {
            cells.for_each(|(cell, byte)| *cell &= byte);
        }
        self.touched[at / unit..(at + data.len()).div_ceil(unit)].fill(true);
    }

    fn erase(&mut self, geometry: &Geometry, offset: u32, length: u32) {
        let (from, to) = (offset as usize, (offset + length) as usize);
        self.bytes[from..to].fill(geometry.erased);
        self.unstable[from..to].fill(0);
        let unit = geometry.program as usize;
        self.touched[from / unit..to / unit].fill(false);
    }

    fn tear_write(&mut self, geometry: &Geometry, offset: u32, data: &[u8], done: u32, torn: Torn) {
        self.unsteady = true;
        let unit = geometry.program as usize;
        let done = (done as usize).min(data.len());
        match torn {
            Torn::Scattered(seed) => {
                let mut random = Random::new(seed);
                for (i, &byte) in data.iter().enumerate() {
                    let at = offset as usize + i;
                    self.touched[at / unit] = true;
                    match random.next() % 3 {
                        0 => self.bytes[at] = byte,
                        1 => self.unstable[at] |= (byte ^ geometry.erased) & random.next() as u8,
                        _ => {}
                    }
                }
            }
            Torn::Marginal => {
                self.write(geometry, offset, data);
                let programmed = |at: &usize| data[*at] != geometry.erased;
                if let Some(at) = (done..data.len()).chain(0..done).find(programmed) {
                    self.unstable[offset as usize + at] |= lowest_bit(data[at] ^ geometry.erased);
                }
            }
            Torn::Unseen | Torn::Unstable => {
                self.write(geometry, offset, &data[..done]);
                let at = offset as usize + done;
                if done < data.len() {
                    self.touched[at / unit] = true;
                }
                if torn == Torn::Unstable {
                    let end = (done / unit + 1) * unit;
                    for (i, byte) in data.iter().enumerate().take(end).skip(done) {
                        self.unstable[offset as usize + i] |= byte ^ geometry.erased;
                    }
                }
            }
        }
    }

    fn tear_erase(&mut self, geometry: &Geometry, offset: u32, length: u32, done: u32, torn: Torn) {
        let done = done.min(length);
        self.unsteady = true;
        let before = self.clone();
        self.erase(geometry, offset, length);
        let unit = geometry.program as usize;
        if torn == Torn::Marginal {
            let (from, to) = (offset as usize, (offset + length) as usize);
            let programmed = |at: &usize| before.bytes[*at] != geometry.erased;
            if let Some(at) = (from + done as usize..to).chain(from..to).find(programmed) {
                self.unstable[at] |= lowest_bit(before.bytes[at] ^ geometry.erased);
                self.touched[at / unit] = true;
            }
            return;
        }
        let mut random = match torn {
            Torn::Scattered(seed) => Random::new(seed),
            _ => Random::new(0),
        };
        let block_end = (offset + done) / geometry.erase * geometry.erase + geometry.erase;
        for at in offset as usize..(offset + length) as usize {
            // Blocks are erased one after the other; of the one under way nothing is sure.
            let in_block = at as u32 >= block_end - geometry.erase && (at as u32) < block_end;
            let kept = match torn {
                Torn::Scattered(_) => at as u32 >= block_end || (in_block && random.next().is_multiple_of(2)),
                _ => at as u32 >= offset + done,
            };
            if kept {
                self.bytes[at] = before.bytes[at];
                self.unstable[at] = before.unstable[at];
                self.touched[at / unit] = before.touched[at / unit];
            }
            if in_block && done < length {
                self.touched[at / unit] = true;
                if torn != Torn::Unseen {
                    self.unstable[at] |= before.bytes[at] ^ geometry.erased;
                }
            }
        }
    }

    fn apply(&mut self, geometry: &Geometry, operation: &Operation) {
        match operation {
            Operation::Write(_, offset, data) => self.write(geometry, *offset, data),
            Operation::Erase(_, offset, length) => self.erase(geometry, *offset, *length),
            Operation::Sync(_) => {}
        }
    }
}

fn lowest_bit(byte: u8) -> u8 {
    byte & byte.wrapping_neg()
}

/// splitmix64: the same bits for the same seed, for ever.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Two areas of flash. Survives [`SimFlash::reboot`]; everything else of a device does not.
#[derive(Debug, Clone)]
pub struct SimFlash {
    image: Region,
    journal: Region,
    cut: Option<Cut>,
    unsynced: Unsynced,
    off: bool,
    noise: Random,
    counters: Counters,
    violations: Vec<Violation>,
    log: Option<Vec<Operation>>,
    /// Area and place of what rotted and was not erased since, with the bytes before.
    rotten: Option<(Area, u32, Vec<u8>)>,
}

impl SimFlash {
    /// Erased flash of these two shapes. Panics on a shape that flash cannot have.
    pub fn new(image: Geometry, journal: Geometry) -> Self {
        let region = |area, geometry: Geometry| {
            geometry.check().expect("a shape that flash can have");
            Region { area, geometry, cells: Cells::new(&geometry), synced: None, pending: Vec::new() }
        };
        SimFlash {
            image: region(Area::Image, image),
            journal: region(Area::Journal, journal),
            cut: None,
            unsynced: Unsynced::Kept,
            off: false,
            noise: Random::new(1),
            counters: Counters::default(),
            violations: Vec::new(),
            log: None,
            rotten: None,
        }
    }

    /// Cuts power at an operation to come; every call fails from there to [`SimFlash::reboot`].
    pub fn cut_at(&mut self, cut: Cut) {
        self.cut = Some(cut);
    }

    /// What a cut makes of operations without a sync. [`Unsynced::Kept`] unless told.
    pub fn set_unsynced(&mut self, unsynced: Unsynced) {
        self.unsynced = unsynced;
        for region in [&mut self.image, &mut self.journal] {
            region.pending.clear();
            region.synced = (unsynced != Unsynced::Kept).then(|| region.cells.clone());
        }
    }

    /// Seeds what unstable bits read as.
    pub fn set_noise(&mut self, seed: u64) {
        self.noise = Random::new(seed);
    }

    /// Whether power is off.
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Power comes back. A cut that did not happen yet is forgotten.
    pub fn reboot(&mut self) {
        self.off = false;
        self.cut = None;
    }

    /// Cuts power between two operations.
    pub fn power_off(&mut self) {
        if !self.off {
            self.off = true;
            self.lose_unsynced();
        }
    }

    /// Leaves what a cut in the middle of `operation` leaves: for flash that went off before that operation, so that
    /// many ways to tear it need one run up to there.
    pub fn tear(&mut self, operation: &Operation, bytes: u32, torn: Torn) {
        let (Operation::Write(area, ..) | Operation::Erase(area, ..) | Operation::Sync(area)) = operation;
        let region = self.region(*area);
        let geometry = region.geometry;
        match operation {
            Operation::Write(_, offset, data) => {
                region.cells.tear_write(&geometry, *offset, data, bytes, torn);
            }
            Operation::Erase(_, offset, length) => {
                region.cells.tear_erase(&geometry, *offset, *length, bytes, torn);
            }
            Operation::Sync(_) => {}
        }
        if region.synced.is_some() {
            region.synced = Some(region.cells.clone());
        }
    }

    /// Does what `operation` would have done, for flash that went off before it: raw flash only, not over a cache.
    pub fn complete(&mut self, operation: &Operation) {
        self.carry_out(operation);
    }

    /// What was done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Which rules were broken so far.
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Notes every operation from now on.
    pub fn start_log(&mut self) {
        self.log = Some(Vec::new());
    }

    /// The operations since [`SimFlash::start_log`].
    pub fn operation_log(&self) -> &[Operation] {
        self.log.as_deref().unwrap_or_default()
    }

    /// An area's bytes as they are, unstable bits as they would be without noise.
    pub fn bytes(&self, area: Area) -> &[u8] {
        match area {
            Area::Image => &self.image.cells.bytes,
            Area::Journal => &self.journal.cells.bytes,
        }
    }

    /// Puts arbitrary bytes into an area, as bit rot or another program would.
    pub fn overwrite(&mut self, area: Area, offset: u32, bytes: &[u8]) {
        let region = self.region(area);
        let (geometry, cells) = (region.geometry, &mut region.cells);
        for (at, byte) in (offset as usize..).zip(bytes) {
            cells.bytes[at] = *byte;
            cells.unstable[at] = 0;
            cells.touched[at / geometry.program as usize] = true;
        }
        if region.synced.is_some() {
            region.synced = Some(region.cells.clone());
        }
    }

    /// Bytes change while power is off.
    pub fn rot(&mut self, Rot { area, offset, bits }: Rot) {
        let Geometry { erase, erased, .. } = self.geometry(area);
        let (from, length) = if bits.is_some() { (offset, 1) } else { (offset / erase * erase, erase) };
        let before = self.bytes(area)[from as usize..][..length as usize].to_vec();
        let after: Vec<u8> = match bits {
            Some(bits) => before.iter().map(|byte| byte ^ bits).collect(),
            None => vec![erased; before.len()],
        };
        self.overwrite(area, from, &after);
        self.rotten = Some((area, from, before));
    }

    /// Puts what rotted back into what was read at `offset`.
    pub fn unrot(&self, area: Area, offset: u32, read: &mut [u8]) {
        let Some((_, from, before)) = self.rotten.as_ref().filter(|(of, ..)| *of == area) else { return };
        for (at, byte) in (offset..).zip(read) {
            let there = at.checked_sub(*from).and_then(|at| before.get(at as usize));
            *byte = there.copied().unwrap_or(*byte);
        }
    }

    fn region(&mut self, area: Area) -> &mut Region {
        match area {
            Area::Image => &mut self.image,
            Area::Journal => &mut self.journal,
        }
    }

    fn lose_unsynced(&mut self) {
        let mut random = match self.unsynced {
            Unsynced::Kept => return,
            Unsynced::Lost => None,
            Unsynced::Scattered(seed) => Some(Random::new(seed)),
        };
        for region in [&mut self.image, &mut self.journal] {
            let Some(mut cells) = region.synced.clone() else { continue };
            for operation in region.pending.drain(..) {
                if random.as_mut().is_some_and(|random| random.next().is_multiple_of(2)) {
                    cells.apply(&region.geometry, &operation);
                }
            }
            region.synced = Some(cells.clone());
            region.cells = cells;
        }
    }

    fn violation(&mut self, violation: Violation) -> Result<(), StorageError> {
        self.violations.push(violation);
        Err(StorageError::Range)
    }

    /// Carries an operation out, unless power goes.
    fn perform(&mut self, operation: Operation) -> Result<(), StorageError> {
        let number = self.counters.operations;
        self.counters.operations += 1;
        let cut = self.cut.filter(|cut| cut.operation == number).map(|cut| cut.how);
        match cut {
            None | Some(How::After) => self.carry_out(&operation),
            Some(How::Before | How::During { .. }) => {}
        }
        if let Some(log) = &mut self.log {
            log.push(operation.clone());
        }
        let Some(how) = cut else { return Ok(()) };
        self.off = true;
        self.lose_unsynced();
        if let How::During { bytes, torn } = how {
            self.tear(&operation, bytes, torn);
        }
        Err(StorageError::Failed)
    }

    fn carry_out(&mut self, operation: &Operation) {
        match operation {
            Operation::Write(_, _, data) => {
                self.counters.writes += 1;
                self.counters.bytes_written += data.len() as u64;
            }
            Operation::Erase(area, _, length) => {
                let block = self.region(*area).geometry.erase;
                self.rotten = self.rotten.take().filter(|(of, ..)| of != area);
                self.counters.blocks_erased += u64::from(length / block);
            }
            Operation::Sync(_) => self.counters.syncs += 1,
        }
        let (Operation::Write(area, ..) | Operation::Erase(area, ..) | Operation::Sync(area)) = operation;
        let region = self.region(*area);
        region.cells.apply(&region.geometry, operation);
        if region.synced.is_some() {
            match operation {
                Operation::Sync(_) => {
                    region.synced = Some(region.cells.clone());
                    region.pending.clear();
                }
                _ => region.pending.push(operation.clone()),
            }
        }
    }
}

impl Storage for SimFlash {
    fn geometry(&self, area: Area) -> Geometry {
        match area {
            Area::Image => self.image.geometry,
            Area::Journal => self.journal.geometry,
        }
    }

    fn read(&mut self, area: Area, offset: u32, buffer: &mut [u8]) -> Result<(), StorageError> {
        if self.off {
            return Err(StorageError::Failed);
        }
        let length = buffer.len() as u32;
        let size = self.region(area).geometry.size;
        if u64::from(offset) + u64::from(length) > u64::from(size) {
            return self.violation(Violation::Outside { area, offset, length });
        }
        let Self { image, journal, noise, .. } = self;
        let cells = if area == Area::Image { &image.cells } else { &journal.cells };
        let at = offset as usize..offset as usize + buffer.len();
        buffer.copy_from_slice(&cells.bytes[at.clone()]);
        if !cells.unsteady {
            return Ok(());
        }
        for (byte, unstable) in buffer.iter_mut().zip(&cells.unstable[at]).filter(|(_, bits)| **bits != 0) {
            *byte ^= unstable & noise.next() as u8;
        }
        Ok(())
    }

    fn write(&mut self, area: Area, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        if self.off {
            return Err(StorageError::Failed);
        }
        let length = data.len() as u32;
        let Region { area, geometry, .. } = *self.region(area);
        if u64::from(offset) + u64::from(length) > u64::from(geometry.size) {
            return self.violation(Violation::Outside { area, offset, length });
        }
        if !offset.is_multiple_of(geometry.program) || !length.is_multiple_of(geometry.program) {
            return self.violation(Violation::Unaligned { area, offset, length });
        }
        let units = offset / geometry.program..(offset + length) / geometry.program;
        let touched = &self.region(area).cells.touched;
        if let Some(unit) = units.into_iter().find(|unit| touched[*unit as usize]) {
            return self.violation(Violation::WrittenTwice { area, offset: unit * geometry.program });
        }
        self.perform(Operation::Write(area, offset, data.to_vec()))
    }

    fn erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), StorageError> {
        if self.off {
            return Err(StorageError::Failed);
        }
        let geometry = self.geometry(area);
        if u64::from(offset) + u64::from(length) > u64::from(geometry.size) {
            return self.violation(Violation::Outside { area, offset, length });
        }
        if !offset.is_multiple_of(geometry.erase) || !length.is_multiple_of(geometry.erase) {
            return self.violation(Violation::Unaligned { area, offset, length });
        }
        self.perform(Operation::Erase(area, offset, length))
    }

    fn sync(&mut self, area: Area) -> Result<(), StorageError> {
        if self.off {
            return Err(StorageError::Failed);
        }
        self.perform(Operation::Sync(area))
    }
}
