//! One download through the whole agent, from memory to memory flash. `testing/board-bench` runs it on bare metal, too.

extern crate alloc;

use alloc::{format, string::String, vec, vec::Vec};

use quecota_core::agent::{Agent, FetchEnd, FetchHead, Flow, Link, Mode};
use quecota_core::digest::{Announced, Digests, Sums};
use quecota_core::limits;
use quecota_core::platform::{
    Applied, Area, Connect, FetchUrl, Geometry, Level, Qos, Range, Refused, SendId, Storage, StorageError,
    System, Transport,
};
use quecota_core::wire::frame::{self, Command, PacketId};
use quecota_core::wire::ttlv::Writer;

/// What a socket gives at a time.
const CHUNK: usize = 4096;
/// Flash of a module: 4 KB blocks, 256-byte pages.
const ERASE: u32 = 4096;
const PROGRAM: u32 = 256;
const JOURNAL: u32 = 64 * 1024;
const URL: &str = "http://files.example.com/firmware.bin";

/// A file whose every byte depends on its place.
pub fn file(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// The digests of `file`, in the chunks in which it comes.
pub fn sums(file: &[u8], sha256: bool) -> Sums {
    let wanted = Announced { md5: Some([0; 16]), crc32: Some(0), sha256: sha256.then_some([0; 32]) };
    let mut digests = Digests::of(&wanted);
    for chunk in file.chunks(CHUNK) {
        digests.update(chunk);
    }
    digests.finish()
}

/// From the plan to the last verified byte; what was done to the image and to the journal.
pub fn pipeline(file: &[u8], md5: &str, crc: &str, sha256: Option<&str>) -> Result<[Flash; 2], String> {
    let mut platform = Platform::with_room_for(file.len() as u32);
    let mut buffer = vec![0; limits::RECEIVE_BUFFER_MIN];
    let mut agent = Agent::new(&mut buffer);
    let refused = |error| format!("the agent refuses: {error}");
    agent.start(&mut platform);
    agent.set_product(&mut platform, "p1bench", "MTIzNDU2Nzg5MGFi").map_err(refused)?;
    agent.set_server(&mut platform, "mqtt://iot.example.com:1883").map_err(refused)?;
    agent.set_mcu_version(&mut platform, "MCU", "1").map_err(refused)?;
    agent.set_mode(&mut platform, Mode::Request).map_err(refused)?;
    platform.serve(&mut agent);
    let zeros = "0".repeat(32);
    platform.send(&mut agent, Command::PROVISION, |writer| _ = writer.text(5, &zeros));
    platform.send(&mut agent, Command::PLAN_NOTIFY, |writer| {
        writer.text(4, "MCU").text(5, "1").text(6, "2").number(7, 1u8);
    });
    agent.ota_action(&mut platform, 1).map_err(refused)?;
    platform.serve(&mut agent);
    platform.send(&mut agent, Command::FIRMWARE_INFO, |writer| {
        writer
            .text(1, URL)
            .number(2, file.len() as u32)
            .text(3, md5)
            .text(4, "MCU")
            .text(5, "1")
            .text(6, "2");
        writer.number(7, 1u8).text(15, crc);
        if let Some(sha256) = sha256 {
            writer.text(16, sha256);
        }
    });
    let range = platform.fetch.take().ok_or("the agent fetches nothing")?;
    let total = file.len() as u32;
    let head = FetchHead {
        status: 206,
        first: range.start,
        length: Some(range.length),
        total: Some(total),
        ..FetchHead::default()
    };
    let mut flow = agent.on_fetch_begin(&mut platform, head);
    let body = &file[range.start as usize..(range.start + range.length) as usize];
    for chunk in body.chunks(CHUNK) {
        if flow == Flow::Continue {
            flow = agent.on_fetch_data(&mut platform, chunk);
        }
    }
    agent.on_fetch_end(&mut platform, FetchEnd::Complete);
    platform.serve(&mut agent);
    let progress = agent.ota_progress();
    let mut first = [0; 16];
    let read = agent.ota_read(&mut platform, 0, &mut first).map_err(refused)?;
    if progress.received != total || file.get(..read) != first.get(..read) {
        return Err(format!("{} of {total} bytes are staged", progress.received));
    }
    Ok([platform.image, platform.journal])
}

/// One area of memory flash, and what was done to it.
pub struct Flash {
    bytes: Vec<u8>,
    /// Blocks erased.
    pub erases: u64,
    /// Calls of `write`.
    pub writes: u64,
    /// Bytes written.
    pub written: u64,
}

impl Flash {
    fn new(size: u32) -> Flash {
        Flash { bytes: vec![0; size as usize], erases: 0, writes: 0, written: 0 }
    }

    fn range(&mut self, offset: u32, length: usize) -> Result<&mut [u8], StorageError> {
        let start = offset as usize;
        self.bytes.get_mut(start..start + length).ok_or(StorageError::Range)
    }
}

/// A module that is online at once.
pub struct Platform {
    image: Flash,
    journal: Flash,
    now: u32,
    packet: PacketId,
    asks: Vec<Ask>,
    fetch: Option<Range>,
}

/// What is answered in [`Platform::serve`].
enum Ask {
    Connect,
    Subscribe,
    Publish(SendId),
}

impl Platform {
    /// Online at once, with an image area for so many bytes.
    pub fn with_room_for(bytes: u32) -> Platform {
        Platform {
            image: Flash::new(bytes.next_multiple_of(ERASE)),
            journal: Flash::new(JOURNAL),
            now: 1000,
            packet: PacketId::FIRST,
            asks: Vec::new(),
            fetch: None,
        }
    }

    fn area(&mut self, area: Area) -> &mut Flash {
        match area {
            Area::Image => &mut self.image,
            Area::Journal => &mut self.journal,
        }
    }

    fn send(&mut self, agent: &mut Agent<'_>, command: Command, write: impl Fn(&mut Writer<'_>)) {
        let mut buffer = [0; 1024];
        let mut writer = Writer::new(&mut buffer[frame::HEADER..]);
        write(&mut writer);
        let length = writer.finish().unwrap_or(0);
        let length = frame::seal(&mut buffer, self.packet, command, length).unwrap_or(0);
        self.packet = self.packet.next();
        agent.on_message(self, "q/1/d/x/ota", &buffer[..length]);
        self.serve(agent);
    }

    /// Until nothing more happens.
    fn serve(&mut self, agent: &mut Agent<'_>) {
        loop {
            let wait = agent.poll(self);
            let events = core::iter::from_fn(|| agent.next_event()).count();
            let asks = core::mem::take(&mut self.asks);
            if asks.is_empty() && events == 0 && wait.0 > 0 {
                return;
            }
            for ask in asks {
                match ask {
                    Ask::Connect => agent.on_link(self, Link::Connected),
                    Ask::Subscribe => agent.on_link(self, Link::Subscribed),
                    Ask::Publish(id) => agent.on_sent(self, id, true),
                }
            }
        }
    }
}

impl Transport for Platform {
    fn connect(&mut self, _: &Connect<'_>) -> Result<(), Refused> {
        self.asks.push(Ask::Connect);
        Ok(())
    }

    fn disconnect(&mut self) {}

    fn subscribe(&mut self, _: &str) -> Result<(), Refused> {
        self.asks.push(Ask::Subscribe);
        Ok(())
    }

    fn publish(&mut self, _: &str, _: &[u8], _: Qos, id: SendId) -> Result<(), Refused> {
        self.asks.push(Ask::Publish(id));
        Ok(())
    }

    fn fetch(&mut self, _: FetchUrl<'_>, range: Range) -> Result<(), Refused> {
        self.fetch = Some(range);
        Ok(())
    }

    fn fetch_cancel(&mut self) {}
}

impl Storage for Platform {
    fn geometry(&self, area: Area) -> Geometry {
        let flash = match area {
            Area::Image => &self.image,
            Area::Journal => &self.journal,
        };
        Geometry { size: flash.bytes.len() as u32, erase: ERASE, program: PROGRAM, erased: 0xFF }
    }

    fn read(&mut self, area: Area, offset: u32, buffer: &mut [u8]) -> Result<(), StorageError> {
        buffer.copy_from_slice(self.area(area).range(offset, buffer.len())?);
        Ok(())
    }

    fn write(&mut self, area: Area, offset: u32, data: &[u8]) -> Result<(), StorageError> {
        let flash = self.area(area);
        flash.range(offset, data.len())?.copy_from_slice(data);
        flash.writes += 1;
        flash.written += data.len() as u64;
        Ok(())
    }

    fn erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), StorageError> {
        let flash = self.area(area);
        // Memory takes any byte at any time: filling it would count as the agent's work.
        flash.range(offset, length as usize)?;
        flash.erases += u64::from(length / ERASE);
        Ok(())
    }

    fn sync(&mut self, _: Area) -> Result<(), StorageError> {
        Ok(())
    }
}

impl System for Platform {
    fn millis(&mut self) -> u32 {
        self.now
    }

    fn random(&mut self, out: &mut [u8]) {
        out.fill(7);
    }

    // What goes wrong shows in what is staged.
    fn log(&mut self, _: Level, _: &str) {}

    fn battery(&mut self) -> Option<u8> {
        None
    }

    fn signal(&mut self) -> Option<i16> {
        None
    }

    fn device_key(&mut self) -> &str {
        "860000000000001"
    }

    fn module_model(&mut self) -> &str {
        "bench"
    }

    fn module_version(&mut self) -> &str {
        "1"
    }

    fn apply(&mut self, _: u32) -> Applied {
        Applied::Refused
    }
}
