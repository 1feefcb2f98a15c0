//! A whole agent in a world that the input scripts: packets, HTTP answers, the application's calls, storage that
//! fails, power that goes, time.
//!
//! What must hold, whatever comes: no panic; no rule of flash broken; the agent comes to rest; event texts are in
//! their form; a read returns what the server sent for that offset; and an image is handed over only if one was
//! announced with its size and digests.

use std::collections::VecDeque;

use quecota_core::agent::{Agent, Event, EventValue, FetchEnd, FetchHead, Flow, Link, Mode};
use quecota_core::digest::{Announced, Digests, Verdict};
use quecota_core::limits;
use quecota_core::platform::{Applied, Area, Geometry, Range, SendId, StagedFile, Takes};
use quecota_core::wire::credential::SessionCipher;
use quecota_core::wire::event::{PieceEvent, PlanEvent, StartEvent};
use quecota_core::wire::frame::{self, Command, PacketId};
use quecota_core::wire::hex;
use quecota_core::wire::message::FirmwareInfo;
use quecota_core::wire::ttlv::Writer;
use test_platform::flash::{Cut, How, SimFlash, Torn, Unsynced};
use test_platform::harness::{file, md5_of};
use test_platform::mock_platform::{Asked, MockPlatform, Refuses};

use crate::script::Script;

const PRODUCT_KEY: &str = "p1abcd";
const PRODUCT_SECRET: &str = "MTIzNDU2Nzg5MGFi";
const DEVICE_SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const SESSION_KEY: &[u8; 16] = b"0123456789abcdef";
/// An MCU's, and the module's own.
const COMPONENTS: [&str; 2] = ["MCU", "FWV1"];
const VERSIONS: [&str; 4] = ["1", "2", "3", ""];
const URLS: [&str; 2] = ["http://files.example.com/a", "http://files.example.com/b"];
/// The longer one takes two pieces, the first of them with a mark inside.
const FILES: [usize; 2] = [30_000, 5_000];
const IMAGE_AREA: u32 = 24 * 1024;
const JOURNAL_AREA: u32 = 16 * 1024;
/// Orders of one input at most, so that no input is slow.
const ORDERS: usize = 300;

/// Two bytes choose the hardware; then come orders, one byte each with what they need.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let mut outside = Outside::new(script.byte(), script.byte());
    let mut left = ORDERS;
    loop {
        let mut buffer = vec![0; limits::RECEIVE_BUFFER_MIN];
        let mut device = Device::start(&mut buffer, &mut outside);
        loop {
            device.outside.check_flash();
            left = left.saturating_sub(1);
            match script.next().filter(|_| left > 0) {
                None => return,
                Some(order) if device.obey(order, &mut script) == Power::Cut => break,
                Some(_) => {}
            }
        }
        outside.reboot();
    }
}

/// What becomes of the device after an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Power {
    On,
    Cut,
}

/// What the server sent last for an offset.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    Nothing,
    Byte(u8),
    /// The agent stopped in the middle of it.
    Unknown,
}

/// Everything that a reboot leaves as it is.
struct Outside {
    world: MockPlatform,
    files: [Vec<u8>; 2],
    sent: Vec<Sent>,
    /// Sizes and digests, as 0x0113 had them.
    announced: Vec<(u32, Announced)>,
    /// Bytes of the input may have announced anything else.
    announced_more: bool,
    packet: PacketId,
}

impl Outside {
    fn new(shape: u8, storage: u8) -> Self {
        let program = [1, 4, 8, 256][usize::from(shape & 3)];
        let erased = if shape & 4 == 0 { 0xFF } else { 0x00 };
        let erase = if shape & 8 == 0 { 1024 } else { 4096 };
        let area = |size| Geometry { size, erase, program, erased };
        let mut flash = SimFlash::new(area(IMAGE_AREA), area(JOURNAL_AREA));
        flash.set_unsynced(match storage & 3 {
            0 => Unsynced::Lost,
            1 => Unsynced::Scattered(storage.into()),
            _ => Unsynced::Kept,
        });
        let mut world = MockPlatform::with_flash(flash);
        world.takes = if storage & 4 == 0 { Takes::Packages } else { Takes::OneFile };
        Outside {
            world,
            files: FILES.map(file),
            sent: vec![Sent::Nothing; 2 * FILES[0]],
            announced: Vec::new(),
            announced_more: false,
            packet: PacketId::FIRST,
        }
    }

    fn check_flash(&self) {
        assert_eq!(self.world.flash.violations(), [], "a rule of flash is broken");
    }

    fn reboot(&mut self) {
        self.world.flash.power_off();
        self.world.flash.reboot();
        self.world.asked.clear();
        self.world.lines.clear();
    }

    /// Whether an image with these bytes was ever announced.
    fn knows(&self, bytes: &[u8]) -> bool {
        self.announced_more
            || self.announced.iter().any(|(size, announced)| {
                let mut digests = Digests::of(announced);
                digests.update(bytes);
                *size as usize == bytes.len() && announced.judge(&digests.finish()) != Verdict::Mismatch
            })
    }

    /// The first bytes that the server sent, when all of them are certain.
    fn sent_to(&self, end: u32) -> Option<Vec<u8>> {
        let certain = |sent: &Sent| if let Sent::Byte(byte) = sent { Some(*byte) } else { None };
        self.sent.get(..end as usize)?.iter().map(certain).collect()
    }
}

/// One life.
struct Device<'o, 'b> {
    agent: Agent<'b>,
    outside: &'o mut Outside,
    /// The file, the range and how much of it is sent.
    fetch: Option<(usize, Range, u32)>,
    sends: VecDeque<SendId>,
    /// The platform has given a session key on this connection.
    encrypted: bool,
}

impl<'o, 'b> Device<'o, 'b> {
    fn start(buffer: &'b mut [u8], outside: &'o mut Outside) -> Self {
        let mut agent = Agent::new(buffer);
        let world = &mut outside.world;
        agent.start(world);
        // On flash that holds settings already, or that fails, these may be refused.
        let _ = agent.set_product(world, PRODUCT_KEY, PRODUCT_SECRET);
        let _ = agent.set_server(world, "mqtt://iot.example.com:1883");
        Device { agent, outside, fetch: None, sends: VecDeque::new(), encrypted: false }
    }

    fn obey(&mut self, order: u8, script: &mut Script<'_>) -> Power {
        match order % 33 {
            0 => _ = self.agent.poll(&mut self.outside.world),
            1 => self.rest(),
            2 => self.pass(u32::from(script.byte()) * 100),
            3 => self.pass(u32::from(script.word()) * 1000),
            4 => {
                let jump = u32::from_be_bytes([script.byte(), script.byte(), 0, 0]);
                self.outside.world.now = self.outside.world.now.wrapping_add(jump);
            }
            5 => self.link(Link::Lost),
            6 => self.link(Link::Refused(script.byte() % 7)),
            7 => self.link(
                [Link::Connected, Link::Subscribed, Link::SubscribeRefused][usize::from(script.byte() % 3)],
            ),
            8 => {
                let id = self.sends.pop_front().unwrap_or(SendId(script.byte().into()));
                let delivered = script.byte() & 3 != 0;
                self.agent.on_sent(&mut self.outside.world, id, delivered);
            }
            9 => self.plan(script.byte(), script.byte()),
            10 => self.firmware(script.byte(), script.byte()),
            11 => self.provision(script.byte()),
            12 => {
                let command = COMMANDS[usize::from(script.byte()) % COMMANDS.len()];
                let payload = script.bytes();
                self.outside.announced_more |=
                    command == Command::FIRMWARE_INFO && FirmwareInfo::parse(payload).is_ok();
                self.send(command, payload);
            }
            13 => {
                self.outside.announced_more = true;
                self.deliver(script.bytes());
            }
            14 => self.head(script.byte()),
            15 => self.body(script.word(), Bytes::AsTheFileHasThem),
            16 => self.body(script.word(), Bytes::Corrupt),
            17 => self.end(FetchEnd::Complete),
            18 => self.end(FetchEnd::Failed),
            19 => self.serve(script.byte()),
            20 => _ = self.agent.ota_action(&mut self.outside.world, script.byte() % 5),
            21 => self.read(script.word(), script.byte()),
            22 => {
                let (component, version) = named(script.byte());
                let _ = self.agent.set_mcu_version(&mut self.outside.world, component, version);
            }
            23 => self.configure(script.byte()),
            24 => {
                // Storage fails from an operation to come, until order 25 mends it.
                let operation = self.outside.world.flash.counters().operations + u64::from(script.byte());
                let how = if script.byte() & 1 == 0 { How::Before } else { How::After };
                self.outside.world.flash.cut_at(Cut { operation, how });
            }
            25 => self.outside.world.flash.reboot(),
            26 => {
                self.cut(script.byte(), script.byte());
                return Power::Cut;
            }
            27 => {
                let events = script.byte() % 8;
                for _ in 0..events {
                    if let Some(event) = self.agent.next_event() {
                        self.take(&event);
                    }
                }
            }
            28 => {
                // Bit rot, while power is off.
                let (offset, bytes) = (u32::from(script.word()), script.bytes());
                let room = JOURNAL_AREA.saturating_sub(offset) as usize;
                self.outside.world.flash.overwrite(Area::Journal, offset, &bytes[..bytes.len().min(room)]);
                return Power::Cut;
            }
            29 => self.change(script.byte()),
            30 => {
                self.plan(script.byte(), 0);
                self.rest();
            }
            32 => {
                let offset = u32::from(script.word());
                if self.agent.ota_checkpoint(&mut self.outside.world, offset).is_ok() {
                    assert_eq!(self.agent.ota_get_checkpoint(), offset, "a mark that was taken is in force");
                }
            }
            _ => {
                // The application does what it should.
                let _ = self.agent.set_mode(&mut self.outside.world, Mode::Request);
                self.rest();
            }
        }
        Power::On
    }

    /// Polls, delivers and answers until nothing more happens at this moment. Fetches are the script's.
    fn rest(&mut self) {
        for _ in 0..5_000 {
            let wait = self.agent.poll(&mut self.outside.world);
            let mut moved = false;
            while let Some(event) = self.agent.next_event() {
                moved = true;
                self.take(&event);
            }
            while let Some(asked) = self.outside.world.asked.pop_front() {
                moved = true;
                self.answer(asked);
            }
            if !moved && wait.0 > 0 {
                return;
            }
        }
        panic!("the agent does not come to rest");
    }

    fn pass(&mut self, milliseconds: u32) {
        self.rest();
        let mut left = milliseconds;
        // Heartbeats and retries: a few steps of them are enough.
        for _ in 0..50 {
            let step = self.agent.poll(&mut self.outside.world).0.clamp(1, left.max(1));
            self.outside.world.now = self.outside.world.now.wrapping_add(step);
            left = left.saturating_sub(step);
            self.rest();
            if left == 0 {
                return;
            }
        }
    }

    fn answer(&mut self, asked: Asked) {
        match asked {
            Asked::Connect { .. } => {
                self.encrypted = false;
                self.agent.on_link(&mut self.outside.world, Link::Connected);
            }
            Asked::Subscribe(_) => {
                self.agent.on_link(&mut self.outside.world, Link::Subscribed);
                self.provision(0);
            }
            Asked::Publish { id, .. } => {
                if self.sends.len() < 4 {
                    self.agent.on_sent(&mut self.outside.world, id, true);
                } else {
                    self.sends.push_back(id);
                }
            }
            Asked::Fetch { url, range } => {
                let file = usize::from(url != URLS[0]);
                assert!(range.length > 0, "a fetch of nothing");
                self.fetch = Some((file, range, 0));
            }
            Asked::FetchCancel => self.fetch = None,
            Asked::Disconnect => self.encrypted = false,
            Asked::Apply(size) => {
                let image = self.outside.world.flash.bytes(Area::Image).get(..size as usize);
                let image = image.expect("an image within the area").to_vec();
                assert!(self.outside.knows(&image), "an image that nobody announced goes to the bootloader");
            }
            Asked::ApplyFiles(files) => {
                for StagedFile { offset, size, md5, .. } in files {
                    let bytes = self.outside.world.flash.bytes(Area::Image);
                    let end = offset.checked_add(size).expect("a file within the area");
                    let bytes = bytes.get(offset as usize..end as usize).expect("a file within the area");
                    assert_eq!(md5_of(bytes), md5, "a file that is not what was announced");
                    assert!(self.outside.knows(bytes), "a file that nobody announced");
                }
            }
        }
    }

    fn take(&mut self, event: &Event) {
        let EventValue::Text(text) = event.value else { return };
        match (event.event, event.code) {
            // Texts of plans may hold quotes of the platform.
            (7, 10700) => _ = PlanEvent::parse(&text),
            (7, 10701) => _ = StartEvent::parse(&text),
            (7, 10703) => {
                if let Ok(piece) = PieceEvent::parse(&text)
                    && piece.start + piece.length == piece.total
                    && let Some(image) = self.outside.sent_to(piece.total)
                {
                    assert!(self.outside.knows(&image), "the last piece of an image that nobody announced");
                }
            }
            _ => {}
        }
    }

    fn link(&mut self, link: Link) {
        self.encrypted &= link != Link::Lost;
        self.agent.on_link(&mut self.outside.world, link);
    }

    /// A frame, encrypted when the session is.
    fn send(&mut self, command: Command, payload: &[u8]) {
        let mut buffer = vec![0; 2 * payload.len() + 64];
        buffer[frame::HEADER..frame::HEADER + payload.len()].copy_from_slice(payload);
        let packet = self.outside.packet;
        self.outside.packet = packet.next();
        let mut length = frame::seal(&mut buffer, packet, command, payload.len()).expect("room");
        if self.encrypted {
            length = SessionCipher::new(SESSION_KEY).encrypt(&mut buffer, length).expect("room");
        }
        self.deliver(&buffer[..length]);
    }

    fn deliver(&mut self, message: &[u8]) {
        if !self.agent.on_message(&mut self.outside.world, "q/1/d/x/ota", message) {
            self.rest();
            // Still no room, with an application that takes its events: a plan may wait for more of them.
            let _ = self.agent.on_message(&mut self.outside.world, "q/1/d/x/ota", message);
        }
    }

    fn provision(&mut self, choice: u8) {
        let mut payload = [0; 256];
        let mut writer = Writer::new(&mut payload);
        if choice & 1 == 0 {
            writer.bytes(5, DEVICE_SECRET);
        }
        let gives_key = choice & 2 == 0 && self.agent.session_encryption();
        if gives_key {
            writer.bytes(6, SESSION_KEY);
        }
        if choice & 4 != 0 {
            writer.open(1).text(2, "iot2.example.com").number(4, 1884u16).close();
        }
        if choice & 8 != 0 {
            writer.bool(9, choice & 16 != 0);
        }
        let length = writer.finish().expect("room");
        self.send(Command::PROVISION, &payload[..length]);
        self.encrypted |= gives_key;
    }

    fn plan(&mut self, choice: u8, listed: u8) {
        let mut payload = [0; 1024];
        let mut writer = Writer::new(&mut payload);
        if listed == 0 {
            plan(&mut writer, choice);
        } else {
            writer.open(28);
            for number in 0..listed % 23 {
                writer.open(0);
                plan(&mut writer, choice.wrapping_add(number));
                writer.close();
            }
            writer.close();
        }
        if choice & 32 != 0 {
            writer.number(27, choice >> 6);
        }
        let Ok(length) = writer.finish() else { return };
        self.send(Command::PLAN_NOTIFY, &payload[..length]);
    }

    fn firmware(&mut self, choice: u8, lie: u8) {
        let file = usize::from(choice >> 3 & 1);
        let bytes = &self.outside.files[file];
        let size = (bytes.len() as u32).wrapping_add(u32::from(lie & 7));
        let everything = Announced { md5: Some([0; 16]), crc32: Some(0), sha256: Some([0; 32]) };
        let mut digests = Digests::of(&everything);
        digests.update(bytes);
        let sums = digests.finish();
        let mut md5 = sums.md5.unwrap_or_default();
        md5[0] ^= lie >> 3 & 1;
        let crc32 = sums.crc32.unwrap_or_default() ^ u32::from(lie >> 4 & 1);
        let mut sha256 = sums.sha256.filter(|_| choice & 16 != 0);
        if let Some(sha256) = &mut sha256 {
            sha256[0] ^= lie >> 5 & 1;
        }
        let mut payload = [0; 1024];
        let mut writer = Writer::new(&mut payload);
        let (component, target) = named(choice);
        writer.text(1, URLS[file]).number(2, size).text(3, &hex::text(&md5)).text(4, component);
        writer
            .text(6, target)
            .number(7, u8::from(choice & 1 == 0))
            .text(15, &hex::text(&crc32.to_be_bytes()));
        if let Some(sha256) = &sha256 {
            writer.text(16, &hex::text(sha256));
        }
        let length = writer.finish().expect("room");
        let announcement = (size, Announced { md5: Some(md5), crc32: Some(crc32), sha256 });
        if !self.outside.announced.contains(&announcement) {
            self.outside.announced.push(announcement);
        }
        self.send(Command::FIRMWARE_INFO, &payload[..length]);
    }

    fn head(&mut self, choice: u8) {
        let (file, range, _) = self.fetch.unwrap_or((0, Range { start: 0, length: 1 }, 0));
        let total = self.outside.files[file].len() as u32;
        let mut head = FetchHead {
            status: 206,
            first: range.start,
            length: Some(range.length),
            total: Some(total),
            ..FetchHead::default()
        };
        match choice % 8 {
            0..=2 => {}
            3 => {
                head =
                    FetchHead { status: 200, length: Some(total), total: Some(total), ..FetchHead::default() }
            }
            4 => head.status = [401, 403, 404, 410, 416, 500, 301, 999][usize::from(choice >> 3) % 8],
            5 => head.first = head.first.wrapping_add(u32::from(choice)),
            6 => head.length = Some(u32::from(choice)).filter(|length| *length > 40),
            _ => head.total = Some(u32::from(choice)).filter(|total| *total > 40),
        }
        if self.agent.on_fetch_begin(&mut self.outside.world, head) == Flow::Stop {
            self.fetch = None;
        }
    }

    fn body(&mut self, length: u16, kind: Bytes) {
        let Some((file, range, done)) = self.fetch else {
            // Of a fetch that was cancelled: ignored.
            let _ = self.agent.on_fetch_data(&mut self.outside.world, &[0; 7]);
            return;
        };
        let at = range.start.saturating_add(done) as usize;
        let mut chunk: Vec<u8> =
            self.outside.files[file].iter().skip(at).take(length.into()).copied().collect();
        if kind == Bytes::Corrupt
            && let Some(first) = chunk.first_mut()
        {
            *first ^= 1;
        }
        if chunk.is_empty() {
            return;
        }
        let flow = self.agent.on_fetch_data(&mut self.outside.world, &chunk);
        for (place, byte) in self.outside.sent.iter_mut().skip(at).zip(&chunk) {
            *place = if flow == Flow::Continue { Sent::Byte(*byte) } else { Sent::Unknown };
        }
        self.fetch = (flow == Flow::Continue).then_some((file, range, done + chunk.len() as u32));
    }

    fn end(&mut self, end: FetchEnd) {
        self.fetch = None;
        self.agent.on_fetch_end(&mut self.outside.world, end);
    }

    /// The server answers as it should, in chunks, to the end or up to a place where it stalls.
    fn serve(&mut self, choice: u8) {
        self.rest();
        self.head(0);
        let chunk = [1460, 4096, 333, 60_000][usize::from(choice & 3)];
        let chunks = if choice & 4 == 0 { usize::MAX } else { usize::from(choice >> 3) };
        for _ in 0..chunks {
            let Some((_, range, done)) = self.fetch.filter(|(_, range, done)| *done < range.length) else {
                break;
            };
            self.body(chunk.min((range.length - done).min(u16::MAX.into()) as u16), Bytes::AsTheFileHasThem);
        }
        if choice & 4 == 0 && self.fetch.is_some() {
            self.end(FetchEnd::Complete);
        }
        self.rest();
    }

    fn read(&mut self, offset: u16, length: u8) {
        let mut out = vec![0; usize::from(length) * 16];
        let outside = &mut *self.outside;
        let Ok(count) = self.agent.ota_read(&mut outside.world, offset.into(), &mut out) else { return };
        assert!((1..=out.len()).contains(&count), "{count} bytes read");
        for (place, (byte, sent)) in
            out[..count].iter().zip(outside.sent.iter().skip(offset.into())).enumerate()
        {
            let right = match sent {
                Sent::Byte(sent) => byte == sent,
                Sent::Unknown => true,
                Sent::Nothing => false,
            };
            assert!(right, "byte {} reads as another than the server sent", usize::from(offset) + place);
        }
    }

    fn configure(&mut self, choice: u8) {
        let world = &mut self.outside.world;
        // Whether a call is allowed now is the agent's to say.
        match choice % 12 {
            0 => _ = self.agent.set_mode(world, Mode::Request),
            1 => _ = self.agent.set_mode(world, Mode::Idle),
            2..=4 => _ = self.agent.ota_request(u32::from(choice >> 4) % 3),
            5 => _ = self.agent.set_product(world, "p1abce", PRODUCT_SECRET),
            6 => _ = self.agent.set_device(world, "other", ""),
            7 => _ = self.agent.set_server(world, "iot3.example.com"),
            8 => _ = self.agent.set_session_encryption(choice & 16 == 0),
            9 => _ = self.agent.set_lifetime(choice.into()),
            10 => _ = self.agent.set_app_version(Some(VERSIONS[usize::from(choice >> 6)])),
            _ => {
                let _ = (self.agent.ota_progress(), self.agent.work_state(), self.agent.mcu_list());
                let _ = (self.agent.device(), self.agent.server(), self.agent.software_version());
            }
        }
    }

    fn change(&mut self, choice: u8) {
        let world = &mut self.outside.world;
        match choice % 6 {
            0 => world.free_space = None,
            1 => world.free_space = Some(u32::from(choice) * 100),
            2 => world.applied = Applied::Refused,
            3 => world.applied = Applied::Within(u32::from(choice) * 1000),
            4 => world.module_version = VERSIONS[usize::from(choice >> 6)].into(),
            _ => {
                let refuses = [Refuses::Connect, Refuses::Publish, Refuses::Fetch];
                let chosen = |at: &usize| choice >> (4 + *at) & 1 == 1;
                world.refuses = (0..refuses.len()).filter(chosen).map(|at| refuses[at]).collect();
            }
        }
    }

    /// Power goes now, or within the next steps.
    fn cut(&mut self, operations: u8, choice: u8) {
        let flash = &mut self.outside.world.flash;
        let operation = flash.counters().operations + u64::from(operations);
        let torn = match choice & 3 {
            0 => Torn::Unseen,
            1 => Torn::Unstable,
            2 => Torn::Scattered(choice.into()),
            _ => Torn::Marginal,
        };
        let how = match choice >> 2 & 3 {
            0 => How::Before,
            1 => How::After,
            _ => How::During { bytes: choice.into(), torn },
        };
        flash.cut_at(Cut { operation, how });
        self.serve(0);
    }
}

/// What a body holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    AsTheFileHasThem,
    Corrupt,
}

/// Commands that a device serves, and one that it does not.
const COMMANDS: [Command; 10] = [
    Command::PLAN_NOTIFY,
    Command::FIRMWARE_INFO,
    Command::PROVISION,
    Command::NOTICE_DOWN,
    Command::STATUS_ASK,
    Command::INFO_ASK,
    Command::DATA_ASK,
    Command::DATA_WRITE,
    Command::PASS_DOWN,
    Command::PLAN_REQUEST,
];

/// A component and one of its versions.
fn named(choice: u8) -> (&'static str, &'static str) {
    (COMPONENTS[usize::from(choice & 1)], VERSIONS[usize::from(choice >> 1 & 3)])
}

fn plan(writer: &mut Writer<'_>, choice: u8) {
    let (component, target) = named(choice);
    writer.text(4, component).text(5, VERSIONS[0]).text(6, target);
    writer.number(7, u8::from(choice & 1 == 0)).number(8, 20u8).number(9, 4096u32).number(10, -113i32);
}
