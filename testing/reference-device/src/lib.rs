//! A device in the field, written from QUECTHING.md alone: raw sockets, its own MQTT packets, frames, TTLV, credentials and
//! cipher. It shares no code with the library, so that an error made twice in the same way cannot hide.
//!
//! It blocks, and every wait has a deadline. A test leads a [`FieldDevice`] step by step, or gives a [`Player`] a [`Script`]
//! that says what the device does at each offer: upgrade, refuse, fail, lie, die, reboot, and how it says so.

pub mod credential;
pub mod download;
pub mod frame;
pub mod mqtt;
mod player;
pub mod script;
pub mod ttlv;

pub use player::{Left, Line, Player, Story, Until};
pub use script::{Conduct, Delivery, Ending, Phase, Script, Sdk};

use std::net::SocketAddr;
use std::time::Duration;

use frame::Frame;
use mqtt::{Mqtt, Qos, Trouble};
use ttlv::{Value, list, number, text};

/// How long the device waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Commands of QUECTHING.md 4.5.
#[allow(missing_docs)] // their names are those of the table
pub mod command {
    pub const STATUS_ASK: u16 = 0x0031;
    pub const STATUS_ANSWER: u16 = 0x0032;
    pub const STATUS_REPORT: u16 = 0x0034;
    pub const INFO_ASK: u16 = 0x0041;
    pub const INFO_ANSWER: u16 = 0x0042;
    pub const INFO_REPORT: u16 = 0x0044;
    pub const PROVISION: u16 = 0x00B4;
    pub const PLAN_NOTIFY: u16 = 0x0111;
    pub const FIRMWARE_INFO: u16 = 0x0113;
    pub const STATUS_EVENT: u16 = 0x0114;
    pub const PLAN_REQUEST: u16 = 0x0115;
}

/// Whether the device asks for an encrypted session (FLAG of QUECTHING.md 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEncryption {
    /// FLAG 0.
    Off,
    /// FLAG 1.
    On,
}

/// What a device keeps in its flash.
#[derive(Debug, Clone)]
pub struct Flash {
    /// PK.
    pub product_key: String,
    /// PS.
    pub product_secret: String,
    /// DK.
    pub device_key: String,
    /// None until the first bootstrap.
    pub device_secret: Option<String>,
    /// Version of the module's firmware.
    pub module_version: String,
    /// MCU components with their versions.
    pub components: Vec<(String, String)>,
}

/// A plan for one component, as 0x0111 brought it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Id 4.
    pub component: String,
    /// Id 5, or empty.
    pub source: String,
    /// Id 6.
    pub target: String,
    /// Id 7: 0 module, 1 MCU.
    pub kind: i64,
    /// Id 8, %.
    pub battery: i64,
    /// Id 9, bytes.
    pub space: i64,
    /// Id 10, dBm.
    pub signal: i64,
}

/// What 0x0113 says of a file, or of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firmware {
    /// Id 4.
    pub component: String,
    /// Id 6.
    pub target: String,
    /// Id 7: 0 module, 1 MCU.
    pub kind: i64,
    /// Id 1; empty when there are several files.
    pub url: String,
    /// Id 2, bytes; of several files their sum.
    pub size: u64,
    /// Id 3; empty when there are several files.
    pub md5: String,
    /// Id 15.
    pub crc: u32,
    /// Id 16.
    pub sha256: Option<String>,
    /// Id 20: the files of a package of several.
    pub files: Vec<File>,
}

/// One of several files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Id 30.
    pub index: i64,
    /// Id 1.
    pub url: String,
    /// Id 2, bytes.
    pub size: u64,
    /// Id 3.
    pub md5: String,
}

/// One device and, while it is online, its connection.
pub struct FieldDevice {
    /// What it keeps.
    pub flash: Flash,
    /// The center's MQTT address.
    pub server: SocketAddr,
    /// Which SDK it says that it runs (info id 11).
    pub sdk: Sdk,
    /// Whether it wants an encrypted session.
    pub encryption: SessionEncryption,
    /// A vendor device sends none.
    pub user_name: Option<String>,
    /// Seconds.
    pub keep_alive: u16,
    /// What it measures.
    pub status: Status,
    session_key: Option<String>,
    packet: u16,
    random: u64,
    link: Option<Mqtt>,
}

/// What the device measures.
#[derive(Debug, Clone, Copy)]
pub struct Status {
    /// %.
    pub battery: i64,
    /// dBm.
    pub rsrp: i64,
    /// Bytes; an MCU's firmware comes in pieces of so many.
    pub free_space: i64,
}

impl FieldDevice {
    /// A device as it leaves the factory.
    pub fn new(server: SocketAddr, product_key: &str, product_secret: &str, device_key: &str) -> Self {
        Self {
            flash: Flash {
                product_key: product_key.into(),
                product_secret: product_secret.into(),
                device_key: device_key.into(),
                device_secret: None,
                module_version: "EC200UCNAAR03A11M08".into(),
                components: Vec::new(),
            },
            server,
            sdk: Sdk::V2_9_0,
            encryption: SessionEncryption::Off,
            user_name: None,
            keep_alive: 120,
            status: Status { battery: 87, rsrp: -90, free_space: 698_000 },
            session_key: None,
            packet: 0,
            random: device_key.bytes().fold(1, |seed: u64, byte| seed.wrapping_mul(31) + u64::from(byte)),
            link: None,
        }
    }

    /// `qd` PK DK.
    pub fn client_id(&self) -> String {
        format!("qd{}{}", self.flash.product_key, self.flash.device_key)
    }

    /// 16 characters; not secret here, only different each time.
    fn random_text(&mut self) -> String {
        const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        (0..16)
            .map(|_| {
                self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                LETTERS[(self.random >> 33) as usize % LETTERS.len()] as char
            })
            .collect()
    }

    /// The password of the next CONNECT: bootstrap without a stored secret, else login.
    pub fn password(&mut self) -> String {
        let random = self.random_text();
        let flash = &self.flash;
        match &flash.device_secret {
            None => credential::bootstrap(
                self.encryption,
                &flash.product_key,
                &flash.product_secret,
                &flash.device_key,
                &random,
            ),
            Some(secret) => credential::login(self.encryption, secret, &flash.product_secret, &random),
        }
    }

    /// TCP and CONNECT; the CONNACK code as an error when it is not 0.
    pub fn connect(&mut self) -> Result<(), Trouble> {
        let password = self.password();
        self.connect_with(&password)
    }

    /// As [`FieldDevice::connect`], with this password.
    pub fn connect_with(&mut self, password: &str) -> Result<(), Trouble> {
        self.link = None;
        self.session_key = None;
        let mut link = Mqtt::open(self.server)?;
        let connect =
            mqtt::connect(4, &self.client_id(), self.user_name.as_deref(), password, self.keep_alive);
        link.send(&connect)?;
        link.expect_connack()?;
        self.link = Some(link);
        Ok(())
    }

    /// SUBSCRIBE of the one filter.
    pub fn subscribe(&mut self) -> Result<(), Trouble> {
        let filter = format!("q/1/d/{}/+", self.client_id());
        self.link()?.subscribe(&filter, Qos::One)
    }

    /// CONNECT, SUBSCRIBE, and what 0x00B4 brings: the device is online after it.
    pub fn come_online(&mut self) -> Result<(), Trouble> {
        let bootstrap = self.flash.device_secret.is_none();
        self.connect()?;
        self.subscribe()?;
        if bootstrap || self.encryption == SessionEncryption::On {
            self.take_provision()?;
        }
        Ok(())
    }

    /// Waits for 0x00B4 and stores what it brings.
    pub fn take_provision(&mut self) -> Result<Vec<(u16, Value)>, Trouble> {
        let frame = self.expect_frame(command::PROVISION)?;
        let items = ttlv::parse(&frame.payload).map_err(Trouble::Malformed)?;
        if let Some(secret) = ttlv::text_of(&items, 5) {
            self.flash.device_secret = Some(secret);
        }
        if let Some(key) = ttlv::text_of(&items, 6) {
            self.session_key = Some(key);
        }
        Ok(items)
    }

    /// The key that 0x00B4 gave on this connection.
    pub fn session_key(&self) -> Option<&str> {
        self.session_key.as_deref()
    }

    /// The vendor's goodbye: the socket closes, no DISCONNECT.
    pub fn goodbye(&mut self) {
        self.link = None;
    }

    /// The connection, for tests that go below the device's own behaviour.
    pub fn link(&mut self) -> Result<&mut Mqtt, Trouble> {
        self.link.as_mut().ok_or(Trouble::Closed)
    }

    /// The next packet id of a frame: 1..=0xFFFE.
    pub fn next_packet(&mut self) -> u16 {
        self.packet = if self.packet >= 0xFFFE { 1 } else { self.packet + 1 };
        self.packet
    }

    /// A frame as it goes into a PUBLISH: encrypted once the session has a key.
    pub fn seal(&mut self, command: u16, payload: &[u8]) -> Vec<u8> {
        let packet = self.next_packet();
        let bytes = Frame { packet, command, payload: payload.to_vec() }.emit();
        match &self.session_key {
            Some(key) => credential::encrypt(key, &bytes),
            None => bytes,
        }
    }

    /// Publishes on `q/2/d/<clientId>/<leaf>`, with the whole exchange of its QoS.
    pub fn publish(&mut self, leaf: &str, qos: Qos, payload: &[u8]) -> Result<(), Trouble> {
        let topic = format!("q/2/d/{}/{leaf}", self.client_id());
        self.link()?.publish(&topic, qos, payload)
    }

    /// The next message from the center within `wait`, acknowledged and deciphered.
    ///
    /// A frame is taken as it is when it begins with the magic; the center must encrypt all but 0x00B4 once there is a key,
    /// which is checked here.
    pub fn next_frame(&mut self, wait: Duration) -> Result<Frame, Trouble> {
        let down = format!("q/1/d/{}/", self.client_id());
        let (topic, payload) = self.link()?.next_message(wait)?;
        if !topic.starts_with(&down) {
            return Err(Trouble::Malformed(format!("a message came on {topic}")));
        }
        let Some(key) = &self.session_key else {
            return Frame::parse(&payload).map_err(Trouble::Malformed);
        };
        if let Ok(frame) = Frame::parse(&payload) {
            if frame.command == command::PROVISION {
                return Ok(frame);
            }
            return Err(Trouble::Malformed(format!(
                "command {:#06x} came in the clear though the session has a key",
                frame.command
            )));
        }
        let plain = credential::decrypt(key, &payload).map_err(Trouble::Malformed)?;
        Frame::parse(&plain).map_err(Trouble::Malformed)
    }

    /// The next frame with `command`; what comes before it is dropped, questions for status and info are answered.
    pub fn expect_frame(&mut self, wanted: u16) -> Result<Frame, Trouble> {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let left = end
                .checked_duration_since(std::time::Instant::now())
                .ok_or_else(|| Trouble::Timeout(format!("no command {wanted:#06x} within {PATIENCE:?}")))?;
            let frame = match self.next_frame(left) {
                Err(Trouble::Timeout(_)) => continue,
                other => other?,
            };
            if frame.command == wanted {
                return Ok(frame);
            }
            self.answer(&frame)?;
        }
    }

    /// Answers a question for status or versions; says whether it was one.
    pub fn answer(&mut self, question: &Frame) -> Result<bool, Trouble> {
        let value = |id: u16| match question.command {
            command::STATUS_ASK => self.status_value(id),
            _ => self.info_value(id),
        };
        let answer = match question.command {
            command::STATUS_ASK => command::STATUS_ANSWER,
            command::INFO_ASK => command::INFO_ANSWER,
            _ => return Ok(false),
        };
        let wanted = question.payload.chunks_exact(2).map(|id| u16::from_be_bytes([id[0], id[1]]));
        let items: Vec<_> = wanted.filter_map(|id| value(id).map(|value| (id, value))).collect();
        let frame = Frame { packet: question.packet, command: answer, payload: ttlv::emit(&items) };
        let bytes = match &self.session_key {
            Some(key) => credential::encrypt(key, &frame.emit()),
            None => frame.emit(),
        };
        self.publish("sys", Qos::Zero, &bytes)?;
        Ok(true)
    }

    /// Nothing but questions comes within `wait`.
    pub fn expect_no_frame(&mut self, unwanted: u16, wait: Duration) -> Result<(), Trouble> {
        let end = std::time::Instant::now() + wait;
        while let Some(left) = end.checked_duration_since(std::time::Instant::now()) {
            match self.next_frame(left) {
                Ok(frame) if frame.command == unwanted => {
                    return Err(Trouble::Malformed(format!("command {unwanted:#06x} came")));
                }
                Ok(_) | Err(Trouble::Timeout(_)) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    fn status_value(&self, id: u16) -> Option<Value> {
        match id {
            1 => Some(number(self.status.battery)),
            2 => Some(Value::Number { negative: false, decimals: 1, magnitude: 37 }),
            3 => Some(number(-71)),
            4 => Some(number(self.status.free_space)),
            5 => Some(number(self.status.rsrp)),
            _ => None,
        }
    }

    fn info_value(&self, id: u16) -> Option<Value> {
        let value = match id {
            1 => "EC200U",
            2 => &self.flash.module_version,
            3 => &self.mcu_list(),
            5 => "89860000000000000000",
            11 => self.sdk.version(),
            12 => "LBS",
            13 => "1.3.0",
            14 => "3.0.0",
            _ => return None,
        };
        Some(text(value))
    }

    /// `a:1;b:2`, as the device reports it.
    pub fn mcu_list(&self) -> String {
        let entries: Vec<_> =
            self.flash.components.iter().map(|(name, version)| format!("{name}:{version}")).collect();
        entries.join(";")
    }

    /// The reports that an SDK sends by itself after each connect: status 1..4 and info.
    pub fn report_after_connect(&mut self) -> Result<(), Trouble> {
        let status: Vec<_> =
            [1, 2, 3, 4].into_iter().filter_map(|id| Some((id, self.status_value(id)?))).collect();
        let bytes = self.seal(command::STATUS_REPORT, &ttlv::emit(&status));
        self.publish("sys", Qos::One, &bytes)?;
        self.report_with(Qos::One)
    }

    /// The info report alone.
    pub fn report_with(&mut self, qos: Qos) -> Result<(), Trouble> {
        let info: Vec<_> = [1, 2, 3, 5, 11, 12, 13, 14]
            .into_iter()
            .filter_map(|id| Some((id, self.info_value(id)?)))
            .collect();
        let bytes = self.seal(command::INFO_REPORT, &ttlv::emit(&info));
        self.publish("sys", qos, &bytes)
    }

    /// 0x0115.
    pub fn request_plan(&mut self) -> Result<(), Trouble> {
        let mut items = vec![(25, text(&self.flash.module_version))];
        if !self.flash.components.is_empty() {
            items.push((26, text(&self.mcu_list())));
        }
        let bytes = self.seal(command::PLAN_REQUEST, &ttlv::emit(&items));
        self.publish("ota", Qos::Two, &bytes)
    }

    /// The payload of 0x0114 for `state`.
    pub fn status_event(&self, state: i64, kind: i64, component: &str, wants_sha256: bool) -> Vec<u8> {
        let name = match state {
            1 => "REVICEPLAN",
            2 => "SUBMITOTA",
            3 => "REFUSEDOTA",
            4 => "DOWNLOADSTART",
            5 => "DOWNLOADING",
            6 => "DOWNLOADERROR",
            8 => "DOWNLOADSUCCESS",
            9 => "UPDATING",
            11 => "UPDATESUCCESS",
            12 => "UPDATEERROR",
            _ => "NOPLAN",
        };
        let mut items = vec![(13, number(state)), (14, text(name)), (7, number(kind)), (4, text(component))];
        if wants_sha256 {
            items.push((19, text("sha256")));
        }
        if state == 11 || state == 12 {
            items.push((25, text(&self.flash.module_version)));
            items.push((26, text(&self.mcu_list())));
        }
        ttlv::emit(&items)
    }

    /// Sends 0x0114.
    pub fn report_state(&mut self, state: i64, kind: i64, component: &str) -> Result<(), Trouble> {
        let payload = self.status_event(state, kind, component, false);
        let bytes = self.seal(command::STATUS_EVENT, &payload);
        self.publish("ota", Qos::Two, &bytes)
    }

    /// Confirms the plan and asks for a SHA-256 with it.
    pub fn confirm_with_sha256(&mut self, kind: i64, component: &str) -> Result<(), Trouble> {
        let payload = self.status_event(2, kind, component, true);
        let bytes = self.seal(command::STATUS_EVENT, &payload);
        self.publish("ota", Qos::Two, &bytes)
    }

    /// The plans of the next 0x0111, one per component.
    pub fn expect_plans(&mut self) -> Result<Vec<Plan>, Trouble> {
        let frame = self.expect_frame(command::PLAN_NOTIFY)?;
        plans_of(&frame.payload).map_err(Trouble::Malformed)
    }

    /// The next 0x0113.
    pub fn expect_firmware(&mut self) -> Result<Firmware, Trouble> {
        let frame = self.expect_frame(command::FIRMWARE_INFO)?;
        firmware_of(&frame.payload).map_err(Trouble::Malformed)
    }

    /// The vendor's SOTA upgrade after a plan was offered: statuses 1 and 2, the URL, pieces of `piece` bytes by HTTP ranges,
    /// statuses 4, 5 and 8 for each, 9, the new version, 11. Returns the bytes that the MCU got.
    pub fn upgrade_mcu(&mut self, plan: &Plan, piece: u64) -> Result<Vec<u8>, Trouble> {
        let component = plan.component.clone();
        self.report_state(1, plan.kind, &component)?;
        self.report_state(2, plan.kind, &component)?;
        let firmware = self.expect_firmware()?;
        if (firmware.component.as_str(), firmware.target.as_str()) != (&component, &plan.target) {
            return Err(Trouble::Malformed(format!("0x0113 says {firmware:?}, the plan was {plan:?}")));
        }
        let mut image = Vec::new();
        while (image.len() as u64) < firmware.size {
            let from = image.len() as u64;
            let until = firmware.size.min(from + piece);
            self.report_state(4, plan.kind, &component)?;
            self.report_state(5, plan.kind, &component)?;
            image.extend(download::fetch(&firmware.url, from, until - 1).map_err(Trouble::Malformed)?);
            self.report_state(8, plan.kind, &component)?;
        }
        if download::md5(&image) != firmware.md5 {
            self.report_state(12, plan.kind, &component)?;
            return Err(Trouble::Malformed("the image has another MD5 than announced".into()));
        }
        self.report_state(9, plan.kind, &component)?;
        self.set_version(&component, &plan.target);
        self.report_state(11, plan.kind, &component)?;
        Ok(image)
    }

    /// Stores the version that an MCU says it runs.
    pub fn set_version(&mut self, component: &str, version: &str) {
        self.flash.components.retain(|(name, _)| name != component);
        self.flash.components.push((component.into(), version.into()));
    }
}

/// The plans of a 0x0111: one, or those of its list.
pub fn plans_of(payload: &[u8]) -> Result<Vec<Plan>, String> {
    let items = ttlv::parse(payload)?;
    match list(&items, 28) {
        None => Ok(vec![plan_of(&items)?]),
        Some(entries) => entries
            .iter()
            .map(|(_, entry)| match entry {
                Value::List(items) => plan_of(items),
                other => Err(format!("a plan list holds {other:?}")),
            })
            .collect(),
    }
}

fn plan_of(items: &[(u16, Value)]) -> Result<Plan, String> {
    let text = |id| ttlv::text_of(items, id).ok_or(format!("a plan without id {id}"));
    let number = |id| ttlv::integer_of(items, id);
    Ok(Plan {
        component: text(4)?,
        source: ttlv::text_of(items, 5).unwrap_or_default(),
        target: text(6)?,
        kind: number(7).ok_or("a plan without id 7")?,
        battery: number(8).unwrap_or(0),
        space: number(9).unwrap_or(0),
        signal: number(10).unwrap_or(0),
    })
}

/// What a 0x0113 says.
pub fn firmware_of(payload: &[u8]) -> Result<Firmware, String> {
    let items = ttlv::parse(payload)?;
    let text = |id| ttlv::text_of(&items, id).ok_or(format!("firmware info without id {id}"));
    let kind = ttlv::integer_of(&items, 7).ok_or("firmware info without id 7")?;
    let (component, target) = (text(4)?, text(6)?);
    if let Some(entries) = list(&items, 20) {
        let files = entries.iter().map(|(_, entry)| file_of(entry)).collect::<Result<Vec<_>, _>>()?;
        let size = files.iter().map(|file| file.size).sum();
        let (url, md5) = (String::new(), String::new());
        return Ok(Firmware { component, target, kind, url, size, md5, crc: 0, sha256: None, files });
    }
    Ok(Firmware {
        component,
        target,
        kind,
        url: text(1)?,
        size: size_of(&items)?,
        md5: text(3)?,
        crc: u32::from_str_radix(&text(15)?, 16).map_err(|error| format!("id 15: {error}"))?,
        sha256: ttlv::text_of(&items, 16),
        files: Vec::new(),
    })
}

fn size_of(items: &[(u16, Value)]) -> Result<u64, String> {
    let size = ttlv::integer_of(items, 2).and_then(|size| u64::try_from(size).ok());
    Ok(size.ok_or("firmware info without id 2")?)
}

fn file_of(entry: &Value) -> Result<File, String> {
    let Value::List(items) = entry else { return Err(format!("a file list holds {entry:?}")) };
    let text = |id| ttlv::text_of(items, id).ok_or(format!("a file without id {id}"));
    Ok(File {
        index: ttlv::integer_of(items, 30).ok_or("a file without id 30")?,
        url: text(1)?,
        size: size_of(items)?,
        md5: text(3)?,
    })
}
