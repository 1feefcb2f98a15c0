//! A device on a harness: the real agent in a [`MockPlatform`], a platform that answers as QUECTHING.md 4 says, a firmware
//! server with faults, and an application that is a closure. Everything happens in one thread and by a given clock.

use std::collections::VecDeque;

use quecota_core::agent::{Agent, Encoding, Event, EventValue, FetchEnd, FetchHead, Flow, Link, Mode};
use quecota_core::limits;
use quecota_core::platform::{Qos, Range, StagedFile};
use quecota_core::wire::credential::SessionCipher;
use quecota_core::wire::frame::{Frame, PacketId};
use quecota_core::wire::message::{
    Capabilities, ComponentKind, Content, Downlink, FirmwareInfo, Plan, PlanNotify, Plans, Provision,
    SDK_PREFIX, Uplink,
};
use quecota_core::wire::topic::{self, Topic};

use crate::flash::SimFlash;
use crate::mock_platform::{Asked, MockPlatform};

/// Product key of the harness.
pub const PRODUCT_KEY: &str = "p1abcd";
/// Product secret of the harness.
pub const PRODUCT_SECRET: &str = "MTIzNDU2Nzg5MGFi";
/// Device key: the world's hardware id.
pub const DEVICE_KEY: &str = "860000000000001";
/// The secret that the platform hands out.
pub const DEVICE_SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The session key that the platform hands out.
pub const SESSION_KEY: [u8; 16] = *b"0123456789abcdef";
/// Who has the firmware, and where it is.
pub const SERVER: &str = "http://files.example.com:8000/";
/// See [`SERVER`].
pub const URL: &str = "http://files.example.com:8000/firmware.bin";

/// A packet that reached the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Where it was published.
    pub topic: String,
    /// How.
    pub qos: Qos,
    /// Its packet id.
    pub id: u16,
    /// Its command.
    pub command: u16,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Data points 13 and 4 of a status event.
    pub status: Option<(u8, String)>,
}

/// How the firmware server answers one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serve {
    /// 206 with what was asked for.
    Well,
    /// Another status, and no body.
    Status(u16),
    /// The same with Retry-After, seconds.
    RetryAfter(u16, u32),
    /// 200 with the whole file, whatever was asked for.
    Whole,
    /// The same, without a word of its length.
    WholeUnmeasured,
    /// 206 with at most so many of the bytes asked for, from the right start.
    AtMost(u32),
    /// 206 with a body that is compressed.
    Compressed,
    /// 206 with another first byte in Content-Range.
    ElsewhereBy(u32),
    /// The body ends after so many bytes.
    Short(u32),
    /// So many bytes too many, without a Content-Length.
    Long(u32),
    /// The head and so many bytes, then nothing more, and no end either.
    Stall(u32),
    /// Nothing at all.
    Silence,
    /// The connection fails.
    Failure,
    /// One wrong byte.
    Corrupt,
}

type Application = Box<dyn FnMut(&mut Agent<'static>, &mut MockPlatform, &Event)>;

/// The device and all around it.
pub struct Harness {
    /// The agent under test.
    pub agent: Agent<'static>,
    /// Its platform.
    pub world: MockPlatform,
    /// Events that the application got: event, code, text.
    pub events: Vec<(u32, i32, String)>,
    /// Packets that the platform got.
    pub packets: Vec<Packet>,
    /// Ranges that the server was asked for.
    pub ranges: Vec<Range>,
    /// And the URLs.
    pub urls: Vec<String>,
    /// The file on the server.
    pub file: Vec<u8>,
    /// Further files by their URL, of module packages.
    pub files: Vec<(String, Vec<u8>)>,
    /// The module packages that were taken over.
    pub applied: Vec<Vec<StagedFile>>,
    /// Faults of the requests to come; after them [`Serve::Well`].
    pub serve: VecDeque<Serve>,
    /// Bytes per chunk of a body.
    pub chunk: usize,
    /// What the broker says to the CONNECTs to come; after them CONNACK 0.
    pub connack: VecDeque<Link>,
    /// Whether there is a broker at all.
    pub reachable: bool,
    /// Whether the broker acknowledges what is published.
    pub acknowledges: bool,
    /// Whether the platform gives a session key.
    pub gives_key: bool,
    /// Whether the platform gives a device secret at bootstrap.
    pub gives_secret: bool,
    /// What the platform says it wants to hear once it knows the device as one of ours; a vendor's says nothing.
    pub announces: Option<Capabilities>,
    /// The passwords of the CONNECTs.
    pub passwords: Vec<String>,
    application: Application,
    cipher: Option<SessionCipher>,
    next_packet: PacketId,
}

/// What the device gets as a new version, in most tests.
pub fn plan() -> Plan<'static> {
    Plan {
        component: "MCU",
        source: "1",
        target: "2",
        kind: ComponentKind::Mcu,
        battery: 30,
        space: 698_000,
        signal: -113,
    }
}

/// A file whose every byte depends on its place.
pub fn file(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

impl Harness {
    /// A device with an image area of `image` bytes and an application that does nothing.
    pub fn new(image: u32) -> Self {
        Self::on(MockPlatform::new(image))
    }

    /// The same on a given platform; started and configured, not connected.
    pub fn on(world: MockPlatform) -> Self {
        Self::with_receive_buffer(world, limits::RECEIVE_BUFFER_MIN)
    }

    /// The same with a receive buffer of `room` bytes.
    pub fn with_receive_buffer(mut world: MockPlatform, room: usize) -> Self {
        let buffer = Box::leak(vec![0; room].into_boxed_slice());
        let mut agent = Agent::new(buffer);
        agent.start(&mut world);
        agent.set_product(&mut world, PRODUCT_KEY, PRODUCT_SECRET).unwrap();
        agent.set_server(&mut world, "mqtt://iot.example.com:1883").unwrap();
        Harness {
            agent,
            world,
            events: Vec::new(),
            packets: Vec::new(),
            ranges: Vec::new(),
            urls: Vec::new(),
            file: file(50_000),
            files: Vec::new(),
            applied: Vec::new(),
            serve: VecDeque::new(),
            chunk: 1400,
            connack: VecDeque::new(),
            reachable: true,
            acknowledges: true,
            gives_key: true,
            gives_secret: true,
            announces: None,
            passwords: Vec::new(),
            application: Box::new(|_, _, _| {}),
            cipher: None,
            next_packet: PacketId::FIRST,
        }
    }

    /// Power off and on again: flash stays, everything else is new. The clock starts elsewhere.
    pub fn reboot(self) -> Self {
        let mut flash: SimFlash = self.world.flash;
        flash.power_off();
        flash.reboot();
        let mut world = MockPlatform::with_flash(flash);
        world.now = 5;
        world.module_version = self.world.module_version;
        world.free_space = self.world.free_space;
        world.image_size = self.world.image_size;
        Harness { file: self.file, files: self.files, ..Harness::on(world) }
    }

    /// What the application does with each event.
    pub fn application(
        &mut self,
        application: impl FnMut(&mut Agent<'static>, &mut MockPlatform, &Event) + 'static,
    ) {
        self.application = Box::new(application);
    }

    /// Connects, and runs until nothing more happens.
    pub fn connect(&mut self) {
        self.agent.set_mode(&mut self.world, Mode::Request).unwrap();
        self.run();
    }

    /// Polls, delivers, answers, until nothing more happens at this moment.
    pub fn run(&mut self) {
        for _ in 0..100_000 {
            let wait = self.agent.poll(&mut self.world);
            let mut moved = false;
            while let Some(event) = self.agent.next_event() {
                moved = true;
                let text = match event.value {
                    EventValue::None | EventValue::Ended(_) => String::new(),
                    EventValue::Text(text) => text.as_str().into(),
                    EventValue::Number(number) => format!("#{number}"),
                    EventValue::Received => "received".into(),
                };
                self.events.push((event.event, event.code, text));
                (self.application)(&mut self.agent, &mut self.world, &event);
            }
            while let Some(asked) = self.world.asked.pop_front() {
                moved = true;
                self.answer(asked);
            }
            if !moved && wait.0 > 0 {
                return;
            }
        }
        panic!("the harness does not come to rest");
    }

    /// Lets time pass in steps of at most what the agent waits for, and runs at each.
    pub fn pass(&mut self, milliseconds: u32) {
        self.run();
        let end = self.world.now.wrapping_add(milliseconds);
        loop {
            let left = end.wrapping_sub(self.world.now);
            if left == 0 {
                return;
            }
            let wait = self.agent.poll(&mut self.world).0.max(1);
            self.world.now = self.world.now.wrapping_add(left.min(wait));
            self.run();
        }
    }

    /// A message of the platform. Runs.
    pub fn send(&mut self, message: &Downlink<'_>) {
        let packet = self.next_packet;
        self.next_packet = packet.next();
        self.send_as(packet, message);
    }

    /// The same, handled by the run that is under way.
    fn send_later(&mut self, message: &Downlink<'_>) {
        let mut buffer = [0; 4096];
        let mut length = message.emit_frame(self.next_packet, &mut buffer).unwrap();
        self.next_packet = self.next_packet.next();
        if let Some(cipher) = &self.cipher {
            length = cipher.encrypt(&mut buffer, length).unwrap();
        }
        assert!(self.agent.on_message(&mut self.world, "q/1/d/x/sys", &buffer[..length]));
    }

    /// The same with a given packet id.
    pub fn send_as(&mut self, packet: PacketId, message: &Downlink<'_>) {
        let mut buffer = [0; 4096];
        let mut length = message.emit_frame(packet, &mut buffer).unwrap();
        if let Some(cipher) = &self.cipher {
            length = cipher.encrypt(&mut buffer, length).unwrap();
        }
        self.send_raw(&buffer[..length]);
    }

    /// Bytes as they are.
    pub fn send_raw(&mut self, payload: &[u8]) {
        let client_id = topic::client_id(PRODUCT_KEY, DEVICE_KEY).unwrap();
        let topic = topic::downlink(&client_id, topic::Leaf::Ota).unwrap();
        assert!(self.agent.on_message(&mut self.world, &topic, payload), "no room for a message");
        self.run();
    }

    /// 0x0111 with one plan.
    pub fn offer(&mut self, plan: Plan<'_>) {
        self.send(&Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::Single(plan) }));
    }

    /// The same after the pause that follows a first failed download.
    pub fn offer_again(&mut self, plan: Plan<'_>) {
        self.pass(4_000);
        self.offer(plan);
    }

    /// 0x0113 for the harness's file. Runs.
    pub fn give_url(&mut self, plan: Plan<'_>) {
        self.give_this_url(plan, URL);
    }

    /// The same with a URL of one's own.
    pub fn give_this_url(&mut self, plan: Plan<'_>, url: &str) {
        self.receive_url(plan, url);
        self.run();
    }

    /// The same, handled by the next poll.
    pub fn receive_url(&mut self, plan: Plan<'_>, url: &str) {
        let (md5, crc) = (md5_of(&self.file), crc32fast::hash(&self.file));
        let content = Content::File { url, size: self.file.len() as u32, md5, crc, sha256: None };
        self.send_later(&Downlink::FirmwareInfo(FirmwareInfo {
            component: plan.component,
            source: plan.source,
            target: plan.target,
            kind: plan.kind,
            content,
        }));
    }

    /// Goes through bootstrap, plan and URL, up to where the application has to do something.
    pub fn start_upgrade(&mut self, plan: Plan<'_>) {
        if plan.kind == ComponentKind::Mcu {
            self.agent.set_mcu_version(&mut self.world, plan.component, plan.source).unwrap();
        }
        self.connect();
        self.offer(plan);
        self.give_url(plan);
    }

    /// The connection breaks.
    pub fn lose_link(&mut self) {
        self.agent.on_link(&mut self.world, Link::Lost);
        self.run();
    }

    /// The statuses that the platform got, in order.
    pub fn statuses(&self) -> Vec<u8> {
        self.packets.iter().filter_map(|packet| packet.status.as_ref()).map(|(status, _)| *status).collect()
    }

    /// The commands that the platform got, in order.
    pub fn commands(&self) -> Vec<u16> {
        self.packets.iter().map(|packet| packet.command).collect()
    }

    /// Takes the codes of the OTA events.
    pub fn take_codes(&mut self) -> Vec<i32> {
        self.take_ota().into_iter().map(|(code, _)| code).collect()
    }

    /// Takes the events that are not OTA: event and code.
    pub fn take_session(&mut self) -> Vec<(u32, i32)> {
        let (session, ota): (Vec<_>, Vec<_>) = self.events.drain(..).partition(|(event, _, _)| *event != 7);
        self.events = ota;
        session.into_iter().map(|(event, code, _)| (event, code)).collect()
    }

    /// Takes the OTA events: code and text.
    pub fn take_ota(&mut self) -> Vec<(i32, String)> {
        let (ota, rest) = self.events.drain(..).partition(|(event, _, _)| *event == 7);
        self.events = rest;
        let ota: Vec<(u32, i32, String)> = ota;
        ota.into_iter().map(|(_, code, text)| (code, text)).collect()
    }

    /// Whether a log line contains this.
    pub fn logged(&self, part: &str) -> bool {
        self.world.lines.iter().any(|(_, line)| line.contains(part))
    }

    fn answer(&mut self, asked: Asked) {
        match asked {
            Asked::Connect { password, client_id, .. } => {
                assert_eq!(client_id, format!("qd{PRODUCT_KEY}{DEVICE_KEY}"));
                self.passwords.push(password);
                self.cipher = None;
                let link = if self.reachable {
                    self.connack.pop_front().unwrap_or(Link::Connected)
                } else {
                    Link::Lost
                };
                self.agent.on_link(&mut self.world, link);
            }
            Asked::Subscribe(filter) => {
                assert_eq!(filter, format!("q/1/d/qd{PRODUCT_KEY}{DEVICE_KEY}/+"));
                self.agent.on_link(&mut self.world, Link::Subscribed);
                self.provision();
            }
            Asked::Publish { topic, payload, qos, id } => {
                self.take_packet(&topic, payload, qos);
                if self.acknowledges {
                    self.agent.on_sent(&mut self.world, id, true);
                }
            }
            Asked::Fetch { url, range } => {
                self.ranges.push(range);
                let found = self.files.iter().find(|(known, _)| *known == url).map(|(_, file)| file.clone());
                let file = found.unwrap_or_else(|| {
                    assert!(url.starts_with(SERVER), "{url} is on another server");
                    self.file.clone()
                });
                self.urls.push(url);
                self.serve_range(&file, range);
            }
            Asked::Disconnect => self.cipher = None,
            Asked::FetchCancel | Asked::Apply(_) => {}
            Asked::ApplyFiles(files) => self.applied.push(files),
        }
    }

    /// 0x00B4 after SUBACK (QUECTHING.md 4.2).
    fn provision(&mut self) {
        let password = self.passwords.last().expect("a CONNECT came before").clone();
        let bootstrap = password.starts_with("0;");
        let wants_key = password.split(';').nth(1) == Some("0001");
        let device_secret = if bootstrap && self.gives_secret { DEVICE_SECRET } else { "" };
        let session_key = (wants_key && self.gives_key).then_some(SESSION_KEY);
        if device_secret.is_empty() && session_key.is_none() {
            return;
        }
        let provision = Provision { device_secret, session_key, ..Provision::default() };
        let mut buffer = [0; 256];
        let length = Downlink::Provision(provision).emit_frame(self.next_packet, &mut buffer).unwrap();
        self.next_packet = self.next_packet.next();
        assert!(self.agent.on_message(&mut self.world, "q/1/d/x/sys", &buffer[..length]));
        self.cipher = session_key.map(|key| SessionCipher::new(&key));
    }

    fn take_packet(&mut self, topic: &str, mut payload: Vec<u8>, qos: Qos) {
        let plain = match &self.cipher {
            Some(cipher) => cipher.decrypt(&mut payload).expect("an encrypted frame"),
            None => &mut payload[..],
        };
        let frame = Frame::parse(plain).expect("a frame");
        let message = Uplink::parse(&frame).expect("a message");
        let leaf = Topic::parse(topic).expect("a topic").leaf;
        assert_eq!(leaf, Some(message.leaf()));
        let status = match &message {
            Uplink::StatusEvent(event) => Some((event.status.number(), event.component.into())),
            _ => None,
        };
        let is_ours = matches!(message, Uplink::InfoReport(info) if info.sdk_version.starts_with(SDK_PREFIX));
        self.packets.push(Packet {
            topic: topic.into(),
            qos,
            id: frame.packet.get(),
            command: frame.command.0,
            payload: frame.payload.into(),
            status,
        });
        if let (true, Some(capabilities)) = (is_ours, self.announces) {
            self.send_later(&Downlink::Provision(Provision {
                capabilities: Some(capabilities),
                ..Provision::default()
            }));
        }
    }

    fn serve_range(&mut self, file: &[u8], range: Range) {
        let serve = self.serve.pop_front().unwrap_or(Serve::Well);
        let total = file.len() as u32;
        let (from, to) = (range.start as usize, (range.start + range.length) as usize);
        let mut body = file[from..to].to_vec();
        let mut head = FetchHead {
            status: 206,
            first: range.start,
            length: Some(range.length),
            total: Some(total),
            ..FetchHead::default()
        };
        let mut end = Some(FetchEnd::Complete);
        match serve {
            Serve::Well => {}
            Serve::Status(status) => {
                head = FetchHead { status, length: Some(0), ..FetchHead::default() };
                body.clear();
            }
            Serve::RetryAfter(status, seconds) => {
                let retry_after = Some(seconds);
                head = FetchHead { status, length: Some(0), retry_after, ..FetchHead::default() };
                body.clear();
            }
            Serve::Whole => {
                head = FetchHead {
                    status: 200,
                    length: Some(total),
                    total: Some(total),
                    ..FetchHead::default()
                };
                body = file.to_vec();
            }
            Serve::WholeUnmeasured => {
                head = FetchHead { status: 200, ..FetchHead::default() };
                body = file.to_vec();
            }
            Serve::AtMost(bytes) => {
                body.truncate(bytes as usize);
                head.length = Some(body.len() as u32);
            }
            Serve::Compressed => head.encoding = Encoding::Other,
            Serve::ElsewhereBy(bytes) => head.first += bytes,
            Serve::Short(bytes) => {
                body.truncate(bytes as usize);
                end = Some(FetchEnd::Failed);
            }
            Serve::Long(bytes) => {
                head.length = None;
                body.extend(std::iter::repeat_n(0x5A, bytes as usize));
            }
            Serve::Stall(bytes) => {
                body.truncate(bytes as usize);
                end = None;
            }
            Serve::Silence => return,
            Serve::Failure => return self.agent.on_fetch_end(&mut self.world, FetchEnd::Failed),
            Serve::Corrupt => body[0] ^= 1,
        }
        if self.agent.on_fetch_begin(&mut self.world, head) == Flow::Stop {
            return;
        }
        for chunk in body.chunks(self.chunk) {
            if self.agent.on_fetch_data(&mut self.world, chunk) == Flow::Stop {
                return;
            }
        }
        if let Some(end) = end {
            self.agent.on_fetch_end(&mut self.world, end);
        }
    }
}

/// MD5 of `data`.
pub fn md5_of(data: &[u8]) -> [u8; 16] {
    use md5::Digest;
    md5::Md5::digest(data).into()
}
