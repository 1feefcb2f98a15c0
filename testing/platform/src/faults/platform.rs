//! Faults in what the agent asks of its platform.

use quecota_core::platform::{
    Applied, Area, Connect, FetchUrl, Geometry, Level, Qos, Range, Refused, SendId, StagedFile, Storage,
    StorageError, System, Takes, Transport,
};

use super::random::Random;
use super::text::{Fault, Faults, Struck};

/// Writes that find no room after [`Fault::Full`] struck.
const FULL_FOR: u32 = 8;
/// The most that the clock jumps, in ms.
const JUMP: u64 = 10 * 60_000;

/// A platform with faults.
#[derive(Debug)]
pub struct Faulty<P> {
    /// The platform beneath.
    pub inner: P,
    faults: Faults,
    random: Random,
    full: u32,
    /// What the clock is off by; set at its first reading.
    clock: Option<u32>,
    struck: Struck,
}

impl<P> Faulty<P> {
    /// `inner` with `faults`.
    pub fn new(inner: P, faults: Faults) -> Self {
        let random = Random::new(faults.seed);
        Faulty { inner, faults, random, full: 0, clock: None, struck: |_| {} }
    }

    /// Each fault that strikes is told to `struck` as well.
    pub fn telling(mut self, struck: Struck) -> Self {
        self.struck = struck;
        self
    }

    /// The platform beneath.
    pub fn into_inner(self) -> P {
        self.inner
    }

    fn happens(&mut self, fault: Fault) -> bool {
        let happens = self.random.happens(self.faults.chance(fault));
        if happens {
            (self.struck)(fault);
        }
        happens
    }

    fn may_start(&mut self) -> Result<(), Refused> {
        if self.happens(Fault::Refuse) { Err(Refused) } else { Ok(()) }
    }

    fn may_write(&mut self, area: Area) -> Result<(), StorageError> {
        if self.happens(Fault::WriteFail) {
            return Err(StorageError::Failed);
        }
        if area == Area::Image && self.happens(Fault::Full) {
            self.full = FULL_FOR;
        }
        if area == Area::Image && self.full > 0 {
            self.full -= 1;
            return Err(StorageError::Full);
        }
        Ok(())
    }
}

impl<P: Transport> Transport for Faulty<P> {
    fn connect(&mut self, to: &Connect<'_>) -> Result<(), Refused> {
        self.may_start()?;
        self.inner.connect(to)
    }

    fn disconnect(&mut self) {
        self.inner.disconnect();
    }

    fn subscribe(&mut self, filter: &str) -> Result<(), Refused> {
        self.may_start()?;
        self.inner.subscribe(filter)
    }

    fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos, id: SendId) -> Result<(), Refused> {
        self.may_start()?;
        self.inner.publish(topic, payload, qos, id)
    }

    fn fetch(&mut self, url: FetchUrl<'_>, range: Range) -> Result<(), Refused> {
        self.may_start()?;
        self.inner.fetch(url, range)
    }

    fn fetch_cancel(&mut self) {
        self.inner.fetch_cancel();
    }
}

impl<P: Storage> Storage for Faulty<P> {
    fn geometry(&self, area: Area) -> Geometry {
        self.inner.geometry(area)
    }

    fn read(&mut self, area: Area, offset: u32, buffer: &mut [u8]) -> Result<(), StorageError> {
        self.inner.read(area, offset, buffer)
    }

    fn write(&mut self, area: Area, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        self.may_write(area)?;
        self.inner.write(area, offset, data)
    }

    fn erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), StorageError> {
        self.may_write(area)?;
        self.inner.erase(area, offset, length)
    }

    fn sync(&mut self, area: Area) -> Result<(), StorageError> {
        self.may_write(area)?;
        self.inner.sync(area)
    }

    fn discard(&mut self, area: Area) {
        self.inner.discard(area);
    }
}

impl<P: System> System for Faulty<P> {
    fn millis(&mut self) -> u32 {
        let now = self.inner.millis();
        let start = self.faults.clock_start;
        let mut off = self.clock.unwrap_or_else(|| start.map_or(0, |start| start.wrapping_sub(now)));
        if self.happens(Fault::ClockJump) {
            let jump = self.random.below(2 * JUMP) as u32;
            off = off.wrapping_add(jump).wrapping_sub(JUMP as u32);
        }
        self.clock = Some(off);
        now.wrapping_add(off)
    }

    fn random(&mut self, out: &mut [u8]) {
        self.inner.random(out);
    }

    fn log(&mut self, level: Level, line: &str) {
        self.inner.log(level, line);
    }

    fn battery(&mut self) -> Option<u8> {
        self.inner.battery()
    }

    fn voltage(&mut self) -> Option<u16> {
        self.inner.voltage()
    }

    fn signal(&mut self) -> Option<i16> {
        self.inner.signal()
    }

    fn rsrp(&mut self) -> Option<i16> {
        self.inner.rsrp()
    }

    fn position_kinds(&mut self) -> &str {
        self.inner.position_kinds()
    }

    fn position(&mut self, kind: &str, out: &mut [u8]) -> usize {
        self.inner.position(kind, out)
    }

    fn free_space(&mut self) -> Option<u32> {
        self.inner.free_space()
    }

    fn module_space(&mut self) -> Option<u32> {
        self.inner.module_space()
    }

    fn device_key(&mut self) -> &str {
        self.inner.device_key()
    }

    fn module_model(&mut self) -> &str {
        self.inner.module_model()
    }

    fn module_version(&mut self) -> &str {
        self.inner.module_version()
    }

    fn apply(&mut self, size: u32) -> Applied {
        self.inner.apply(size)
    }

    fn takes(&mut self) -> Takes {
        self.inner.takes()
    }

    fn apply_files(&mut self, files: &[StagedFile]) -> Applied {
        self.inner.apply_files(files)
    }
}
