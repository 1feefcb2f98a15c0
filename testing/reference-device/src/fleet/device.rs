//! One device of a fleet: it connects, reports, takes offers as its chances say, and comes back when a connection is lost.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Fleet;
use super::counts::Progress;
use super::http::Source;
use super::link::Link;
use super::random::Random;
use crate::frame::Frame;
use crate::mqtt::{Qos, Trouble};
use crate::script::{Ask, Conduct, Ending, Phase};
use crate::ttlv::{self, number, text};
use crate::{
    FieldDevice, Firmware, Plan, Script, Sdk, SessionEncryption, command, download, firmware_of, plans_of,
};

/// How long the vendor's SDK waits for the URL (QUECTHING.md 3.2).
const URL_WAIT: Duration = Duration::from_secs(30);
/// How long 0x00B4 may take.
const PROVISION: Duration = Duration::from_secs(20);
/// Longest pause before another try to connect.
const PAUSE_MAX: u64 = 30_000;

/// What ends an offer or a connection before its time.
enum Interrupt {
    /// The offer is over; the device is idle.
    Over,
    Reboot,
    Gone,
    Trouble(Trouble),
}

impl From<Trouble> for Interrupt {
    fn from(trouble: Trouble) -> Self {
        Interrupt::Trouble(trouble)
    }
}

/// The component that an upgrade is about.
#[derive(Clone)]
struct Subject {
    component: String,
    kind: i64,
    target: String,
}

/// A device.
pub struct Device {
    /// What it keeps, and how it speaks.
    pub device: FieldDevice,
    /// How far it is.
    pub progress: Progress,
    /// Offers that it has had.
    pub offers: u32,
    /// The last trouble, in words.
    pub trouble: Option<String>,
    fleet: Arc<Fleet>,
    /// The address that it connects from; none: the system chooses.
    from: Option<IpAddr>,
    ask: Ask,
    random: Random,
    link: Option<Link>,
    /// Tries to connect that failed in a row.
    failed: u32,
    /// What the center wants to hear beyond QuecThing (id 8000).
    capabilities: i64,
    last_notify: Option<u16>,
    /// A status that waits for the next connect: the vendor keeps the last one only.
    cached: Option<(i64, Subject)>,
}

impl Device {
    /// Device number `number` of the fleet.
    pub fn new(fleet: &Arc<Fleet>, number: u64) -> Device {
        let mut random = Random::of(fleet.seed, number);
        let script: Script = fleet.mix.device(&mut random);
        let key = fleet.key(number);
        let mut device = FieldDevice::new(fleet.server, &fleet.product_key, &fleet.product_secret, &key);
        device.sdk = script.sdk;
        device.encryption = script.encryption;
        device.flash.module_version = script.module;
        device.flash.components = script.components;
        device.status.battery = script.battery;
        device.status.rsrp = script.rsrp;
        device.status.free_space = script.space;
        device.keep_alive = fleet.keep_alive;
        Device {
            device,
            progress: Progress::Waiting,
            offers: 0,
            trouble: None,
            fleet: Arc::clone(fleet),
            from: fleet.address(number),
            ask: script.ask,
            random,
            link: None,
            failed: 0,
            capabilities: 0,
            last_notify: None,
            cached: None,
        }
    }

    fn step(&mut self, to: Progress) {
        self.fleet.counts.step(self.progress, to);
        self.progress = to;
    }

    /// Lives until it is gone; whoever wants it to stop drops this.
    pub async fn live(&mut self) {
        loop {
            let Err(interrupt) = self.connection().await;
            match interrupt {
                Interrupt::Over => {}
                Interrupt::Gone => return self.step(Progress::Gone),
                Interrupt::Reboot => self.hang_up(),
                Interrupt::Trouble(trouble) => {
                    self.lose(&trouble);
                    self.pause().await;
                }
            }
        }
    }

    /// Ends the connection by its own will.
    pub fn hang_up(&mut self) {
        if self.link.take().is_some() {
            self.fleet.counts.online.fetch_sub(1, Relaxed);
        }
    }

    fn lose(&mut self, trouble: &Trouble) {
        self.trouble = Some(trouble.to_string());
        if self.link.is_some() {
            self.fleet.counts.lost.fetch_add(1, Relaxed);
            self.hang_up();
        }
    }

    /// The pause before another try to connect, as the vendor makes it (QUECTHING.md 4.1).
    async fn pause(&mut self) {
        let jitter = self.random.below(2_000);
        let pause = (u64::from(self.failed.max(1)) * 1_000).min(PAUSE_MAX) + jitter;
        sleep(Duration::from_millis(pause.saturating_sub(500))).await;
    }

    /// Connects, by as many tries as it takes. Says how long the last one took.
    pub async fn connect(&mut self) -> Duration {
        loop {
            let begun = Instant::now();
            match self.try_connect().await {
                Ok(()) => return begun.elapsed(),
                Err(trouble) => {
                    self.lose_try(&trouble);
                    self.pause().await;
                }
            }
        }
    }

    fn lose_try(&mut self, trouble: &Trouble) {
        self.trouble = Some(trouble.to_string());
        self.failed += 1;
        self.fleet.counts.refused.fetch_add(1, Relaxed);
        if self.failed == 2 {
            self.fleet.counts.refused_twice.fetch_add(1, Relaxed);
        }
        // A CONNACK of 2..5 costs a vendor device its secret (QUECTHING.md 4.2).
        if matches!(trouble, Trouble::Refused(2..=5)) {
            self.device.flash.device_secret = None;
        }
    }

    /// CONNECT, SUBSCRIBE, and what 0x00B4 brings: the device is online after it.
    async fn try_connect(&mut self) -> Result<(), Trouble> {
        self.hang_up();
        let awaits = self.device.awaits_provision();
        let password = self.device.password();
        let connect = self.device.connect_packet(&password);
        let mut link = Link::open(self.device.server, self.from, &connect, &self.device.filter()).await?;
        if awaits {
            let end = Instant::now() + PROVISION;
            loop {
                let message = link.message(end).await?;
                let (topic, payload) = message.ok_or(Trouble::Timeout("no 0x00B4".into()))?;
                let frame = self.device.open(&topic, &payload)?;
                if frame.command == command::PROVISION {
                    self.device.store_provision(&frame)?;
                    break;
                }
            }
        }
        self.link = Some(link);
        (self.failed, self.capabilities, self.last_notify) = (0, 0, None);
        self.fleet.counts.online.fetch_add(1, Relaxed);
        self.fleet.counts.connects.fetch_add(1, Relaxed);
        Ok(())
    }

    fn link(&mut self) -> Result<&mut Link, Trouble> {
        self.link.as_mut().ok_or(Trouble::Closed)
    }

    /// Publishes, with the whole exchange of its QoS.
    pub async fn publish(&mut self, leaf: &str, qos: Qos, bytes: &[u8]) -> Result<(), Trouble> {
        let topic = self.device.topic(leaf);
        self.link()?.publish(&topic, qos, bytes).await?;
        self.fleet.counts.messages.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Status and info, as an SDK sends them by itself after each connect; a status that waited goes before them (2.9) or
    /// after them (2.10).
    pub async fn report(&mut self) -> Result<(), Trouble> {
        let cached = self.cached.take();
        let is_late = self.device.sdk == Sdk::V2_10_6;
        if let (Some((status, about)), false) = (&cached, is_late) {
            self.send_status(*status, about, None).await?;
        }
        let status = self.device.status_report(&[1, 2, 3, 4]);
        self.publish("sys", Qos::One, &status).await?;
        let info = self.device.info_report();
        self.publish("sys", Qos::One, &info).await?;
        if let (Some((status, about)), true) = (&cached, is_late) {
            self.send_status(*status, about, None).await?;
        }
        Ok(())
    }

    /// Sends 0x0115.
    pub async fn request(&mut self) -> Result<(), Trouble> {
        let bytes = self.device.plan_request();
        self.publish("ota", Qos::Two, &bytes).await
    }

    /// One connection, until something ends it.
    async fn connection(&mut self) -> Result<Infallible, Interrupt> {
        if self.link.is_none() {
            self.connect().await;
            self.report().await?;
            if self.ask != Ask::Never {
                self.request().await?;
            }
        }
        let mut asked = Instant::now();
        loop {
            let alive = Duration::from_secs(u64::from(self.device.keep_alive).max(2) / 2);
            let until = match self.ask {
                Ask::Every(time) => (asked + time).min(Instant::now() + alive),
                _ => Instant::now() + alive,
            };
            match self.frame(until).await? {
                Some(frame) => match self.take(&frame).await {
                    Ok(()) | Err(Interrupt::Over) => {}
                    Err(other) => return Err(other),
                },
                None => match self.ask {
                    Ask::Every(time) if asked.elapsed() >= time => {
                        asked = Instant::now();
                        self.request().await?;
                    }
                    _ => self.link()?.ping().await?,
                },
            }
        }
    }

    /// The next frame that is no question; questions are answered.
    pub async fn frame(&mut self, until: Instant) -> Result<Option<Frame>, Trouble> {
        loop {
            let Some((topic, payload)) = self.link()?.message(until).await? else { return Ok(None) };
            let frame = self.device.open(&topic, &payload)?;
            if frame.command == command::PROVISION {
                let items = self.device.store_provision(&frame)?;
                if let Some(wanted) = ttlv::integer_of(&items, 8000) {
                    self.capabilities = wanted;
                }
                continue;
            }
            match self.device.answer_to(&frame) {
                Some(answer) => self.publish("sys", Qos::Zero, &answer).await?,
                None => return Ok(Some(frame)),
            }
        }
    }

    /// PINGREQ.
    pub async fn ping(&mut self) -> Result<(), Trouble> {
        self.link()?.ping().await
    }

    async fn take(&mut self, frame: &Frame) -> Result<(), Interrupt> {
        match frame.command {
            command::PLAN_NOTIFY => {
                if self.device.sdk == Sdk::V2_10_6
                    && self.last_notify.replace(frame.packet) == Some(frame.packet)
                {
                    return Ok(());
                }
                let plans = plans_of(&frame.payload).map_err(Trouble::Malformed)?;
                self.offered(&plans).await
            }
            command::FIRMWARE_INFO if self.device.sdk != Sdk::V2_10_6 => {
                let firmware = firmware_of(&frame.payload).map_err(Trouble::Malformed)?;
                self.upgrade(&firmware, &Conduct::of(Ending::Upgrade)).await
            }
            _ => Ok(()),
        }
    }

    /// An offer: the last component of a list is the one that the answers name (QUECTHING.md 3.3).
    async fn offered(&mut self, plans: &[Plan]) -> Result<(), Interrupt> {
        self.fleet.counts.offered();
        self.offers += 1;
        let conduct = self.fleet.mix.conduct(&mut self.random);
        let Some(Plan { component, kind, target, .. }) = plans.last() else { return Ok(()) };
        let about = Subject { component: component.clone(), kind: *kind, target: target.clone() };
        if conduct.ending == Ending::Ignore {
            self.step(Progress::Silent);
            return Ok(());
        }
        self.enter(Phase::Received, &about, &conduct, None).await?;
        if conduct.ending == Ending::Refuse {
            return self.end(3, &about, Progress::Refused).await;
        }
        self.enter(Phase::Confirmed, &about, &conduct, None).await?;
        match self.await_url().await? {
            Some(firmware) => self.upgrade(&firmware, &conduct).await,
            None => self.end(12, &about, Progress::Failed).await,
        }
    }

    async fn await_url(&mut self) -> Result<Option<Firmware>, Interrupt> {
        let end = Instant::now() + URL_WAIT;
        loop {
            match self.frame(end).await {
                // Another plan is not looked at in this state.
                Ok(Some(frame)) if frame.command != command::FIRMWARE_INFO => {}
                Ok(Some(frame)) => return Ok(firmware_of(&frame.payload).ok()),
                Ok(None) => return Ok(None),
                Err(trouble) => self.reconnect(&trouble).await?,
            }
        }
    }

    /// A connection that broke in the middle of an upgrade is made anew, and the upgrade goes on.
    async fn reconnect(&mut self, trouble: &Trouble) -> Result<(), Interrupt> {
        self.lose(trouble);
        self.pause().await;
        loop {
            self.connect().await;
            match self.report().await {
                Ok(()) => return Ok(()),
                Err(trouble) => self.lose(&trouble),
            }
            self.pause().await;
        }
    }

    /// Download, and what follows it.
    async fn upgrade(&mut self, firmware: &Firmware, conduct: &Conduct) -> Result<(), Interrupt> {
        let Firmware { component, target, kind, .. } = firmware;
        let about = Subject { component: component.clone(), kind: *kind, target: target.clone() };
        let files: Vec<(&str, u64, &str)> = if firmware.files.is_empty() {
            vec![(&firmware.url, firmware.size, &firmware.md5)]
        } else {
            firmware.files.iter().map(|file| (&*file.url, file.size, &*file.md5)).collect()
        };
        for (url, size, md5) in files {
            let image = match self.image(url, size, &about, conduct).await? {
                Ok(image) => image,
                Err(why) => {
                    self.trouble = Some(why);
                    return self.end(6, &about, Progress::Failed).await;
                }
            };
            if download::md5(&image) != md5 {
                self.trouble = Some(format!("the image of {component} has another MD5 than announced"));
                let status = if *kind == 0 { 6 } else { 12 };
                return self.end(status, &about, Progress::Failed).await;
            }
        }
        self.apply(&about, conduct).await
    }

    /// The image, piece by piece; or why it did not come.
    async fn image(
        &mut self,
        url: &str,
        size: u64,
        about: &Subject,
        conduct: &Conduct,
    ) -> Result<Result<Vec<u8>, String>, Interrupt> {
        let piece = match about.kind {
            0 => size,
            _ => u64::try_from(self.device.status.free_space).unwrap_or(0),
        };
        let mut source = match Source::new(url) {
            Ok(source) => source,
            Err(why) => return Ok(Err(why)),
        };
        let mut image = Vec::new();
        while (image.len() as u64) < size {
            let from = image.len() as u64;
            let last = size.min(from.saturating_add(piece.max(1))) - 1;
            let progress = Some((from, size));
            self.enter(Phase::Starting, about, conduct, progress).await?;
            self.enter(Phase::Downloading, about, conduct, progress).await?;
            match source.range(from, last, conduct.pace).await {
                Ok(bytes) => image.extend(bytes),
                Err(why) => return Ok(Err(why)),
            }
            source.close();
            self.fleet.counts.downloaded.fetch_add(last - from + 1, Relaxed);
            self.enter(Phase::Downloaded, about, conduct, Some((last + 1, size))).await?;
        }
        Ok(Ok(image))
    }

    async fn apply(&mut self, about: &Subject, conduct: &Conduct) -> Result<(), Interrupt> {
        self.enter(Phase::Upgrading, about, conduct, None).await?;
        // What came while it was busy is not looked at. A connection that is broken is found so by the next message.
        while let Ok(Some(_)) = self.frame(Instant::now()).await {}
        let (version, end) = match &conduct.ending {
            Ending::Lie(version) => (version.as_str(), Some((11, Progress::Failed))),
            Ending::Wrong(version) => (version.as_str(), Some((12, Progress::Failed))),
            Ending::Mute => (about.target.as_str(), None),
            _ => (about.target.as_str(), Some((11, Progress::Upgraded))),
        };
        self.runs(about, version);
        if about.kind == 0 {
            // A module starts with its new firmware.
            self.hang_up();
            loop {
                self.connect().await;
                match self.report().await {
                    Ok(()) => break,
                    Err(trouble) => self.lose(&trouble),
                }
                self.pause().await;
            }
        }
        match end {
            Some((status, progress)) => self.end(status, about, progress).await,
            None => {
                self.step(Progress::Upgraded);
                let info = self.device.info_report();
                Ok(self.publish("sys", Qos::One, &info).await?)
            }
        }
    }

    fn runs(&mut self, about: &Subject, version: &str) {
        match about.kind {
            0 => self.device.flash.module_version = version.into(),
            _ => self.device.set_version(&about.component, version),
        }
    }

    /// A last status. What is lost on the way goes after the next connect.
    async fn end(&mut self, status: i64, about: &Subject, progress: Progress) -> Result<(), Interrupt> {
        if let Err(trouble) = self.send_status(status, about, None).await {
            self.cached = Some((status, about.clone()));
            self.reconnect(&trouble).await?;
        }
        self.step(progress);
        Ok(())
    }

    /// Reports the phase, and does what the conduct says of it.
    async fn enter(
        &mut self,
        phase: Phase,
        about: &Subject,
        conduct: &Conduct,
        progress: Option<(u64, u64)>,
    ) -> Result<(), Interrupt> {
        self.step(match phase {
            Phase::Received => Progress::Offered,
            Phase::Confirmed => Progress::Confirmed,
            Phase::Starting | Phase::Downloading => Progress::Downloading,
            Phase::Downloaded | Phase::Upgrading => Progress::Upgrading,
        });
        if self.fleet.mix.drops(&mut self.random) && self.link.is_some() {
            self.fleet.counts.dropped.fetch_add(1, Relaxed);
            self.hang_up();
        }
        let sent = match self.link {
            Some(_) => self.send_status(phase.status(), about, progress).await,
            None => Err(Trouble::Closed),
        };
        if let Err(trouble) = sent {
            // Of the statuses that are lost the last one goes after the next connect.
            self.cached = Some((phase.status(), about.clone()));
            self.reconnect(&trouble).await?;
        }
        match &conduct.ending {
            Ending::Fail { status, at } if *at == phase => {
                self.end(*status, about, Progress::Failed).await?;
                Err(Interrupt::Over)
            }
            // The socket stays open and silent for as long as the fleet lives.
            Ending::Die(at) if *at == phase => {
                self.step(Progress::Gone);
                std::future::pending().await
            }
            Ending::Leave(at) if *at == phase => {
                self.hang_up();
                Err(Interrupt::Gone)
            }
            Ending::Hang(at) if *at == phase => self.hang().await,
            Ending::Reboot(at) if *at == phase => {
                self.recover(phase, about);
                Err(Interrupt::Reboot)
            }
            Ending::Early(at) if *at == phase => {
                self.runs(about, &about.target.clone());
                self.end(11, about, Progress::Upgraded).await?;
                Err(Interrupt::Over)
            }
            _ => Ok(()),
        }
    }

    /// What is left of an upgrade after a reboot (QUECTHING.md 3.5).
    fn recover(&mut self, phase: Phase, about: &Subject) {
        let (status, progress) = match (phase, about.kind) {
            (Phase::Received, _) => return,
            // The MCU goes on by itself.
            (Phase::Upgrading, 1) => {
                self.runs(about, &about.target.clone());
                (11, Progress::Upgraded)
            }
            (Phase::Upgrading, _) => (12, Progress::Failed),
            _ => (6, Progress::Failed),
        };
        self.step(progress);
        self.cached = Some((status, about.clone()));
    }

    /// Online, and silent.
    async fn hang(&mut self) -> Result<(), Interrupt> {
        self.step(Progress::Silent);
        loop {
            let alive = Duration::from_secs(u64::from(self.device.keep_alive).max(2) / 2);
            match self.frame(Instant::now() + alive).await {
                Ok(Some(_)) => {}
                Ok(None) => self.ping().await?,
                Err(trouble) => self.reconnect(&trouble).await?,
            }
        }
    }

    /// Sends 0x0114, with what the center wants to hear beyond QuecThing.
    async fn send_status(
        &mut self,
        status: i64,
        about: &Subject,
        progress: Option<(u64, u64)>,
    ) -> Result<(), Trouble> {
        let mut payload = self.device.status_event(status, about.kind, &about.component, false);
        if self.capabilities & 1 != 0 && matches!(status, 3 | 6 | 12) {
            let why = self.trouble.as_deref().unwrap_or("as its chances said");
            payload.extend(ttlv::emit(&[(8001, number(1)), (8002, text(why))]));
        }
        if self.capabilities & 2 != 0
            && matches!(status, 5 | 8)
            && let Some((received, size)) = progress
        {
            let number = |value: u64| number(i64::try_from(value).unwrap_or(i64::MAX));
            payload.extend(ttlv::emit(&[(8003, number(received)), (8004, number(size))]));
        }
        let bytes = self.device.seal(command::STATUS_EVENT, &payload);
        self.publish("ota", Qos::Two, &bytes).await
    }

    /// Sends a status of a component.
    pub async fn say(&mut self, status: i64, component: &str, kind: i64) -> Result<(), Trouble> {
        let about = Subject { component: component.into(), kind, target: String::new() };
        self.send_status(status, &about, None).await
    }

    /// Whether its session is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.device.encryption == SessionEncryption::On
    }
}
