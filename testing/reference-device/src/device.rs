//! One device: its flash, its connection, and the frames on it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::frame::Frame;
use crate::mqtt::{self, Mqtt, Qos, Trouble};
use crate::ttlv::{self, Value};
use crate::{Firmware, Plan, Sdk, SessionEncryption, command, credential, download, firmware_of, plans_of};

/// How long the device waits for what must come.
pub const TIMEOUT: Duration = Duration::from_secs(10);

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
    pub(crate) session_key: Option<String>,
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
        let mut link = Mqtt::open(self.server)?;
        let connect = self.connect_packet(password);
        link.send(&connect)?;
        link.expect_connack()?;
        self.link = Some(link);
        Ok(())
    }

    /// CONNECT of a new session.
    pub fn connect_packet(&mut self, password: &str) -> Vec<u8> {
        self.session_key = None;
        mqtt::connect(4, &self.client_id(), self.user_name.as_deref(), password, self.keep_alive)
    }

    /// What it subscribes to.
    pub fn filter(&self) -> String {
        format!("q/1/d/{}/+", self.client_id())
    }

    /// Whether 0x00B4 comes before the device is online.
    pub fn awaits_provision(&self) -> bool {
        self.flash.device_secret.is_none() || self.encryption == SessionEncryption::On
    }

    /// SUBSCRIBE of the one filter.
    pub fn subscribe(&mut self) -> Result<(), Trouble> {
        let filter = self.filter();
        self.link()?.subscribe(&filter, Qos::One)
    }

    /// CONNECT, SUBSCRIBE, and what 0x00B4 brings: the device is online after it.
    pub fn come_online(&mut self) -> Result<(), Trouble> {
        let awaits = self.awaits_provision();
        self.connect()?;
        self.subscribe()?;
        if awaits {
            self.take_provision()?;
        }
        Ok(())
    }

    /// Waits for 0x00B4 and stores what it brings.
    pub fn take_provision(&mut self) -> Result<Vec<(u16, Value)>, Trouble> {
        let frame = self.expect_frame(command::PROVISION)?;
        self.store_provision(&frame)
    }

    /// Stores what a 0x00B4 brings.
    pub fn store_provision(&mut self, frame: &Frame) -> Result<Vec<(u16, Value)>, Trouble> {
        let items = ttlv::parse(&frame.payload).map_err(Trouble::Malformed)?;
        if let Some(secret) = ttlv::text_of(&items, 5) {
            self.flash.device_secret = Some(secret);
        }
        if let Some(secret) = ttlv::text_of(&items, 8) {
            // Another product secret makes the device come again, as a new one.
            self.flash.product_secret = secret;
            self.flash.device_secret = None;
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

    /// Where a message of this leaf goes.
    pub fn topic(&self, leaf: &str) -> String {
        format!("q/2/d/{}/{leaf}", self.client_id())
    }

    /// Publishes on `q/2/d/<clientId>/<leaf>`, with the whole exchange of its QoS.
    pub fn publish(&mut self, leaf: &str, qos: Qos, payload: &[u8]) -> Result<(), Trouble> {
        let topic = self.topic(leaf);
        self.link()?.publish(&topic, qos, payload)
    }

    /// The next message from the center within `wait`, acknowledged and deciphered.
    ///
    /// A frame is taken as it is when it begins with the magic; the center must encrypt all but 0x00B4 once there is a key,
    /// which is checked here.
    pub fn next_frame(&mut self, wait: Duration) -> Result<Frame, Trouble> {
        let (topic, payload) = self.link()?.next_message(wait)?;
        self.open(&topic, &payload)
    }

    /// The frame in a message from the center.
    pub fn open(&self, topic: &str, payload: &[u8]) -> Result<Frame, Trouble> {
        let down = format!("q/1/d/{}/", self.client_id());
        if !topic.starts_with(&down) {
            return Err(Trouble::Malformed(format!("a message came on {topic}")));
        }
        let Some(key) = &self.session_key else {
            return Frame::parse(payload).map_err(Trouble::Malformed);
        };
        if let Ok(frame) = Frame::parse(payload) {
            if frame.command == command::PROVISION {
                return Ok(frame);
            }
            return Err(Trouble::Malformed(format!(
                "command {:#06x} came in the clear though the session has a key",
                frame.command
            )));
        }
        let plain = credential::decrypt(key, payload).map_err(Trouble::Malformed)?;
        Frame::parse(&plain).map_err(Trouble::Malformed)
    }

    /// The next frame with `command`; what comes before it is dropped, questions for status and info are answered.
    pub fn expect_frame(&mut self, wanted: u16) -> Result<Frame, Trouble> {
        let end = std::time::Instant::now() + TIMEOUT;
        loop {
            let left = end
                .checked_duration_since(std::time::Instant::now())
                .ok_or_else(|| Trouble::Timeout(format!("no command {wanted:#06x} within {TIMEOUT:?}")))?;
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
