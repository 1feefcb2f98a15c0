//! A device's hardware when power may go at any moment, with a switch for each bug that the power cuts must find.

use std::collections::VecDeque;

use quecota_core::platform::{
    Applied, Area, Connect, FetchUrl, Geometry, Level, Qos, Range, Refused, SendId, StagedFile, Storage,
    StorageError, System, Takes, Transport,
};

use crate::flash::SimFlash;
use crate::harness::DEVICE_KEY;
use crate::mock_platform::Asked;

/// A bug that is planted between the agent and its flash, so that the agent behaves as one that has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// The journal is believed without a look at its CRCs: after each cut they are made right, whatever they cover.
    NoCrc,
    /// The journal has one slot: the old one is gone (kept in RAM only) before the new one is written.
    OneSlot,
    /// Progress is recorded before the data that it tells of has reached flash: the image is never synced.
    ProgressBeforeData,
    /// The application marks what it has before its MCU has written it. Mutant in the application, not here.
    MarkBeforeData,
    /// The last record counts without a seal behind it: at each start it gets one, whether it is whole or only reads so.
    NoSeal,
    /// Success is told before the digest was checked: what is announced is what comes, so that no check can fail.
    /// Mutant in the platform, not here; [`crate::scenario::Upgrade::Corrupt`] shows it.
    UncheckedDigest,
    /// What was staged before a restart is believed: when the agent reads it back it finds what was written, and only
    /// the application and the module get what flash holds. [`crate::flash::Rot`] shows it.
    TrustedOffset,
}

/// What the agent runs on, for one life. Without power it does nothing.
#[derive(Debug)]
pub struct Hardware {
    /// Survives; take it out at the end of the life.
    pub flash: SimFlash,
    /// The clock, milliseconds.
    pub now: u32,
    /// What was asked for and not looked at yet, oldest first.
    pub asked: VecDeque<Asked>,
    /// The parts of the image area that the bootloader was told to start; it does at the next start, however that comes.
    pub applied: Option<Vec<Range>>,
    /// The agent said that its journal did not take a report.
    pub is_report_unkept: bool,
    /// The agent said that it dropped a report: too many wait.
    pub is_report_dropped: bool,
    /// The application reads, not the agent for itself.
    pub is_read_by_application: bool,
    module_version: &'static str,
    planted: Option<Mutant>,
    /// Of [`Mutant::OneSlot`]: the slot that is gone, as RAM still has it.
    remembered: Option<(u32, Vec<u8>)>,
    random: u64,
}

impl Hardware {
    /// Power comes back.
    pub fn power_on(mut flash: SimFlash, module_version: &'static str, planted: Option<Mutant>) -> Self {
        flash.reboot();
        match planted {
            Some(Mutant::NoCrc) => believe_everything(&mut flash),
            Some(Mutant::NoSeal) => believe_the_last(&mut flash),
            _ => {}
        }
        Hardware {
            flash,
            now: 5,
            asked: VecDeque::new(),
            applied: None,
            is_report_unkept: false,
            is_report_dropped: false,
            is_read_by_application: false,
            module_version,
            planted,
            remembered: None,
            random: 7,
        }
    }

    fn ask(&mut self, asked: Asked) -> Result<(), Refused> {
        if self.flash.is_off() {
            return Err(Refused);
        }
        self.asked.push_back(asked);
        Ok(())
    }

    /// The slot that is gone, where `from .. to` of the journal is inside it.
    fn recall(&self, from: u32, to: u32) -> Option<&[u8]> {
        let (start, bytes) = self.remembered.as_ref()?;
        bytes.get(from.checked_sub(*start)? as usize..to.checked_sub(*start)? as usize)
    }
}

/// Makes every CRC of the journal right (format: docs/journal.md).
pub fn believe_everything(flash: &mut SimFlash) {
    let Geometry { size, erase, program, .. } = flash.geometry(Area::Journal);
    let (slot, granule) = (size / 2 / erase * erase, program.max(16));
    for start in [0, slot] {
        let bytes = flash.bytes(Area::Journal)[start as usize..(start + slot) as usize].to_vec();
        if bytes[..4] != *b"qjnl" {
            continue;
        }
        let mut right = |at: u32, crc: u32| {
            if bytes[at as usize..at as usize + 4] != crc.to_le_bytes() {
                flash.overwrite(Area::Journal, start + at, &crc.to_le_bytes());
            }
        };
        right(20, crc32fast::hash(&bytes[..20]));
        let mut at = 24u32.next_multiple_of(granule);
        while at < slot {
            let head = &bytes[at as usize..at as usize + 4];
            let length = u32::from(u16::from_le_bytes([head[2], head[3]]));
            let end = at + (length + 8).next_multiple_of(granule);
            if head[0] == !head[1] && length <= 2048 && end <= slot {
                let mut crc = crc32fast::Hasher::new();
                crc.update(&bytes[12..16]);
                crc.update(&at.to_le_bytes());
                crc.update(&bytes[at as usize..(at + 4 + length) as usize]);
                right(at + 4 + length, crc.finalize());
                at = end;
            } else {
                at += granule;
            }
        }
    }
}

/// Puts a seal behind the last record of each slot that reads well.
fn believe_the_last(flash: &mut SimFlash) {
    let Geometry { size, erase, program, erased } = flash.geometry(Area::Journal);
    let (slot, granule) = (size / 2 / erase * erase, program.max(16));
    for start in [0, slot] {
        let bytes = flash.bytes(Area::Journal)[start as usize..(start + slot) as usize].to_vec();
        if bytes[..4] != *b"qjnl" {
            continue;
        }
        let crc_of = |at: u32, part: &[u8]| {
            let mut crc = crc32fast::Hasher::new();
            crc.update(&bytes[12..16]);
            crc.update(&at.to_le_bytes());
            crc.update(part);
            crc.finalize().to_le_bytes()
        };
        let mut at = 24u32.next_multiple_of(granule);
        let mut last = None;
        while at < slot {
            let head = &bytes[at as usize..at as usize + 4];
            let length = u32::from(u16::from_le_bytes([head[2], head[3]]));
            let end = at + (length + 8).next_multiple_of(granule);
            let (from, to) = (at as usize, (at + 4 + length) as usize);
            let is_record = head[0] == !head[1] && length <= 2048 && end <= slot;
            if is_record && bytes[to..to + 4] == crc_of(at, &bytes[from..to]) {
                last = Some((head[0], end));
                at = end;
            } else {
                at += granule;
            }
        }
        if let Some((kind, end)) = last
            && kind != 1
            && end + granule <= slot
        {
            let mut seal = vec![erased; granule as usize];
            seal[..4].copy_from_slice(&[1, !1, 0, 0]);
            let crc = crc_of(end, &seal[..4]);
            seal[4..8].copy_from_slice(&crc);
            flash.overwrite(Area::Journal, start + end, &seal);
        }
    }
}

impl Transport for Hardware {
    fn connect(&mut self, to: &Connect<'_>) -> Result<(), Refused> {
        self.ask(Asked::Connect {
            url: to.url.into(),
            client_id: to.client_id.into(),
            user_name: to.user_name.into(),
            password: to.password.into(),
            keep_alive: to.keep_alive,
        })
    }

    fn disconnect(&mut self) {
        // Without power there is nothing to close.
        let _ = self.ask(Asked::Disconnect);
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), Refused> {
        self.ask(Asked::Subscribe(filter.into()))
    }

    fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos, id: SendId) -> Result<(), Refused> {
        self.ask(Asked::Publish { topic: topic.into(), payload: payload.into(), qos, id })
    }

    fn fetch(&mut self, url: FetchUrl<'_>, range: Range) -> Result<(), Refused> {
        self.ask(Asked::Fetch { url: url.as_str().into(), range })
    }

    fn fetch_cancel(&mut self) {}
}

impl Storage for Hardware {
    fn geometry(&self, area: Area) -> Geometry {
        self.flash.geometry(area)
    }

    fn read(&mut self, area: Area, offset: u32, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.flash.read(area, offset, buffer)?;
        if self.planted == Some(Mutant::TrustedOffset) && !self.is_read_by_application {
            self.flash.unrot(area, offset, buffer);
        }
        if area == Area::Journal
            && let Some(remembered) = self.recall(offset, offset + buffer.len() as u32)
        {
            buffer.copy_from_slice(remembered);
        }
        Ok(())
    }

    fn write(&mut self, area: Area, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        self.flash.write(area, offset, data)
    }

    fn erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), StorageError> {
        if self.planted == Some(Mutant::OneSlot) && area == Area::Journal {
            let other = if offset == 0 { length } else { 0 };
            let there = self.flash.bytes(area)[other as usize..(other + length) as usize].to_vec();
            self.flash.erase(area, other, length)?;
            self.remembered = Some((other, there));
        }
        self.flash.erase(area, offset, length)
    }

    fn sync(&mut self, area: Area) -> Result<(), StorageError> {
        if self.planted == Some(Mutant::ProgressBeforeData) && area == Area::Image {
            return Ok(());
        }
        self.flash.sync(area)
    }
}

impl System for Hardware {
    fn millis(&mut self) -> u32 {
        self.now
    }

    fn random(&mut self, out: &mut [u8]) {
        for byte in out {
            self.random =
                self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.random >> 56) as u8;
        }
    }

    fn log(&mut self, _: Level, line: &str) {
        self.is_report_unkept |= line.contains("did not take the status reports");
        self.is_report_dropped |= line.contains("a status report is lost");
    }

    fn battery(&mut self) -> Option<u8> {
        Some(80)
    }

    fn signal(&mut self) -> Option<i16> {
        Some(-71)
    }

    fn device_key(&mut self) -> &str {
        DEVICE_KEY
    }

    fn module_model(&mut self) -> &str {
        "EC200U"
    }

    fn module_version(&mut self) -> &str {
        self.module_version
    }

    fn apply(&mut self, size: u32) -> Applied {
        // Without power nobody waits for the answer.
        if self.ask(Asked::Apply(size)).is_ok() {
            self.applied = Some(vec![Range { start: 0, length: size }]);
        }
        Applied::Within(60_000)
    }

    fn takes(&mut self) -> Takes {
        Takes::Packages
    }

    fn apply_files(&mut self, files: &[StagedFile]) -> Applied {
        if self.ask(Asked::ApplyFiles(files.to_vec())).is_ok() {
            let part = |file: &StagedFile| Range { start: file.offset, length: file.size };
            self.applied = Some(files.iter().map(part).collect());
        }
        Applied::Within(60_000)
    }
}
