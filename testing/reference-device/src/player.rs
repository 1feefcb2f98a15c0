//! A device that lives by its script: it connects, reports, takes offers as the script says, and comes back after trouble.

use std::fmt;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::mqtt::{Qos, Trouble, packet, publish};
use crate::script::{Ask, Conduct, Delivery, Ending, Phase, Script, Sdk};
use crate::{FieldDevice, Firmware, Plan, command, download, firmware_of, plans_of};

/// How long the vendor's SDK waits for the URL (QUECTHING.md 3.2).
const URL_WAIT: Duration = Duration::from_secs(30);
/// How often a waiting device looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// Until when a device plays.
pub struct Until<'s> {
    /// At the latest.
    pub deadline: Instant,
    /// Or when somebody sets this.
    pub stop: &'s AtomicBool,
    /// Or after so many upgrades of it that went well.
    pub upgrades: Option<usize>,
}

/// Why a device does not play any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The deadline, or somebody's stop.
    Stopped,
    /// Its upgrades are done.
    Done,
    /// Its script says so.
    Died,
}

/// What happened, as the device saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// It is online and has reported.
    Online,
    /// It asked for a plan.
    Asked,
    /// It was offered these components.
    Offered(Vec<Plan>),
    /// It reported a status of a component.
    Status(i64, String),
    /// It got what it needs for the download of a component.
    Url(String),
    /// It has all bytes of a component, and they match their MD5.
    Image(String, u64),
    /// It runs another version of a component now.
    Runs(String, String),
    /// It starts anew.
    Reboot,
    /// It has gone for good.
    Gone,
    /// Something went wrong.
    Trouble(String),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Online => f.write_str("online"),
            Line::Asked => f.write_str("asked for a plan"),
            Line::Offered(plans) => {
                f.write_str("offered")?;
                plans
                    .iter()
                    .try_for_each(|plan| write!(f, " {} {} -> {}", plan.component, plan.source, plan.target))
            }
            Line::Status(status, component) => write!(f, "status {status} of {component}"),
            Line::Url(component) => write!(f, "the URL of {component} has come"),
            Line::Image(component, bytes) => write!(f, "{bytes} bytes of {component}, as announced"),
            Line::Runs(component, version) => write!(f, "{component} runs {version}"),
            Line::Reboot => f.write_str("reboot"),
            Line::Gone => f.write_str("gone"),
            Line::Trouble(what) => f.write_str(what),
        }
    }
}

/// Everything that happened, in order.
pub type Story = Vec<Line>;

/// A device and its script.
pub struct Player {
    /// The device.
    pub device: FieldDevice,
    /// What happened so far.
    pub story: Story,
    script: Script,
    /// Offers taken so far.
    offers: usize,
    /// Upgrades that went well.
    upgrades: usize,
    /// Statuses, with kind and component, that wait for the next connect: the vendor keeps the last one only.
    cached: Option<(i64, i64, String)>,
    /// Statuses that the script holds back.
    held: Vec<(i64, i64, String)>,
    /// Packet ids of plans that came, for SDKs that drop a repetition.
    last_notify: Option<u16>,
    /// A download that is begun and never read.
    hanging: Option<TcpStream>,
    online: bool,
    asked_at: Instant,
    pinged_at: Instant,
    tell: fn(&str, &Line),
}

/// Why an upgrade does not go on.
enum Turn {
    /// It is over for the device; it is idle.
    Over,
    /// The device reboots.
    Reboot,
    /// The device is gone.
    Gone,
    /// It is to stop.
    Stop,
    Trouble(Trouble),
}

impl From<Trouble> for Turn {
    fn from(trouble: Trouble) -> Self {
        Turn::Trouble(trouble)
    }
}

impl Player {
    /// A device as it leaves the factory, with a script.
    pub fn new(
        server: SocketAddr,
        product_key: &str,
        product_secret: &str,
        device_key: &str,
        script: Script,
    ) -> Self {
        let mut device = FieldDevice::new(server, product_key, product_secret, device_key);
        device.sdk = script.sdk;
        device.encryption = script.encryption;
        device.flash.module_version = script.module.clone();
        device.flash.components = script.components.clone();
        device.status.battery = script.battery;
        device.status.rsrp = script.rsrp;
        device.status.free_space = script.space;
        let now = Instant::now();
        Player {
            device,
            story: Story::new(),
            script,
            offers: 0,
            upgrades: 0,
            cached: None,
            held: Vec::new(),
            last_notify: None,
            hanging: None,
            online: false,
            asked_at: now,
            pinged_at: now,
            tell: |_, _| (),
        }
    }

    /// Also tells each line, with the device's key, as it happens.
    pub fn telling(mut self, tell: fn(&str, &Line)) -> Self {
        self.tell = tell;
        self
    }

    /// Statuses that it reported, in order.
    pub fn statuses(&self) -> Vec<i64> {
        let statuses = self.story.iter().map(|line| match line {
            Line::Status(status, _) => Some(*status),
            _ => None,
        });
        statuses.flatten().collect()
    }

    /// Lives by the script. Called again after [`Left::Stopped`], it goes on.
    pub fn play(&mut self, until: &Until<'_>) -> Left {
        let mut pause = LOOK;
        loop {
            if let Some(left) = self.left(until) {
                return left;
            }
            match self.live(until) {
                Turn::Over | Turn::Stop => {}
                Turn::Gone => {
                    self.line(Line::Gone);
                    return Left::Died;
                }
                Turn::Reboot => {
                    self.line(Line::Reboot);
                    self.device.goodbye();
                    self.online = false;
                }
                Turn::Trouble(trouble) => {
                    self.line(Line::Trouble(trouble.to_string()));
                    self.device.goodbye();
                    // A CONNACK of 2..5 costs a vendor device its secret (QUECTHING.md 4.2).
                    if matches!(trouble, Trouble::Refused(2..=5)) {
                        self.device.flash.device_secret = None;
                    }
                    if std::mem::take(&mut self.online) {
                        pause = LOOK;
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    fn left(&self, until: &Until<'_>) -> Option<Left> {
        if until.upgrades.is_some_and(|wanted| self.upgrades >= wanted) {
            return Some(Left::Done);
        }
        let stopped = until.stop.load(Ordering::Relaxed) || Instant::now() >= until.deadline;
        stopped.then_some(Left::Stopped)
    }

    fn line(&mut self, line: Line) {
        (self.tell)(&self.device.flash.device_key, &line);
        self.story.push(line);
    }

    /// One connection, until something ends it.
    fn live(&mut self, until: &Until<'_>) -> Turn {
        match self.try_live(until) {
            Ok(never) => match never {},
            Err(turn) => turn,
        }
    }

    fn try_live(&mut self, until: &Until<'_>) -> Result<std::convert::Infallible, Turn> {
        if !self.online {
            self.come_online()?;
            if self.script.ask != Ask::Never {
                self.ask()?;
            }
        }
        loop {
            if self.left(until).is_some() {
                return Err(Turn::Stop);
            }
            match self.device.next_frame(LOOK) {
                Ok(frame) if self.device.answer(&frame)? => {}
                Ok(frame) => match self.take(frame.command, frame.packet, &frame.payload, until) {
                    Ok(()) | Err(Turn::Over) => {}
                    Err(other) => return Err(other),
                },
                Err(Trouble::Timeout(_)) => self.idle()?,
                Err(other) => return Err(other.into()),
            }
        }
    }

    fn idle(&mut self) -> Result<(), Trouble> {
        if let Ask::Every(time) = self.script.ask
            && self.asked_at.elapsed() >= time
        {
            self.ask()?;
        }
        self.keep_alive()
    }

    fn keep_alive(&mut self) -> Result<(), Trouble> {
        let time = Duration::from_secs(u64::from(self.device.keep_alive) / 2);
        if self.pinged_at.elapsed() >= time {
            self.pinged_at = Instant::now();
            self.device.link()?.send(&packet(0xC0, &[]))?;
        }
        Ok(())
    }

    fn ask(&mut self) -> Result<(), Trouble> {
        self.asked_at = Instant::now();
        self.line(Line::Asked);
        self.device.request_plan()
    }

    /// Connects, reports, and sends the status that waits for it: 2.9 before its versions, 2.10 after them.
    fn come_online(&mut self) -> Result<(), Trouble> {
        self.device.come_online()?;
        self.pinged_at = Instant::now();
        self.last_notify = None;
        let cached = self.cached.take();
        let (before, after) = match self.script.sdk {
            Sdk::V2_9_0 => (cached, None),
            Sdk::V2_10_6 => (None, cached),
        };
        self.online = true;
        if let Some((status, kind, component)) = before {
            self.say(status, kind, &component, Delivery::Once)?;
        }
        self.device.report_after_connect()?;
        self.line(Line::Online);
        if let Some((status, kind, component)) = after {
            self.say(status, kind, &component, Delivery::Once)?;
        }
        Ok(())
    }

    /// A packet, while the device is idle.
    fn take(&mut self, what: u16, packet: u16, payload: &[u8], until: &Until<'_>) -> Result<(), Turn> {
        match what {
            command::PLAN_NOTIFY => {
                if self.script.sdk == Sdk::V2_10_6 && self.last_notify.replace(packet) == Some(packet) {
                    return Ok(());
                }
                match plans_of(payload) {
                    Ok(plans) if !plans.is_empty() => self.offered(&plans, until),
                    // 2.9 takes what it cannot read for a plan without a name (QUECTHING.md 3.3).
                    _ if self.script.sdk == Sdk::V2_9_0 => Ok(self.say(1, 1, "", Delivery::Once)?),
                    _ => Ok(()),
                }
            }
            command::FIRMWARE_INFO if self.script.sdk == Sdk::V2_9_0 => {
                let firmware = firmware_of(payload).map_err(Trouble::Malformed)?;
                let conduct = self.script.conduct(self.offers.saturating_sub(1));
                self.upgrade(&firmware, &conduct, until)
            }
            _ => Ok(()),
        }
    }

    /// An offer: the last component of a list is the one that the answers name (QUECTHING.md 3.3).
    fn offered(&mut self, plans: &[Plan], until: &Until<'_>) -> Result<(), Turn> {
        let conduct = self.script.conduct(self.offers);
        self.offers += 1;
        self.line(Line::Offered(plans.to_vec()));
        let Some(Plan { component, kind, target, .. }) = plans.last() else { return Ok(()) };
        if conduct.ending == Ending::Ignore {
            return Ok(());
        }
        let about = About { component, kind: *kind, target };
        self.enter(Phase::Received, about, &conduct, until)?;
        if conduct.ending == Ending::Refuse {
            return Ok(self.say(3, *kind, component, conduct.delivery)?);
        }
        self.enter(Phase::Confirmed, about, &conduct, until)?;
        let firmware = self.await_url(until)?;
        let Some(firmware) = firmware else {
            return self.end(12, about, &conduct);
        };
        if let Some(stranger) = &conduct.stranger {
            self.say(5, 1, &stranger.clone(), conduct.delivery)?;
        }
        self.upgrade(&firmware, &conduct, until)
    }

    fn await_url(&mut self, until: &Until<'_>) -> Result<Option<Firmware>, Turn> {
        let end = Instant::now() + URL_WAIT;
        while Instant::now() < end {
            if self.left(until).is_some() {
                return Err(Turn::Stop);
            }
            match self.device.next_frame(LOOK) {
                Ok(frame) if self.device.answer(&frame)? => {}
                // Another plan is not looked at in this state.
                Ok(frame) if frame.command != command::FIRMWARE_INFO => {}
                Ok(frame) => {
                    return Ok(firmware_of(&frame.payload).ok());
                }
                Err(Trouble::Timeout(_)) => {}
                Err(_) => self.reconnect(until)?,
            }
        }
        Ok(None)
    }

    /// Download, and what follows it.
    fn upgrade(&mut self, firmware: &Firmware, conduct: &Conduct, until: &Until<'_>) -> Result<(), Turn> {
        let Firmware { component, target, kind, .. } = firmware;
        let about = About { component, kind: *kind, target };
        self.line(Line::Url(component.clone()));
        if !firmware.files.is_empty() {
            self.enter(Phase::Starting, about, conduct, until)?;
            self.enter(Phase::Downloading, about, conduct, until)?;
            for file in &firmware.files {
                let bytes = download::fetch_at(&file.url, 0, file.size.saturating_sub(1), conduct.pace);
                if bytes.map(|bytes| download::md5(&bytes)) != Ok(file.md5.clone()) {
                    return self.end(6, about, conduct);
                }
            }
            self.enter(Phase::Downloaded, about, conduct, until)?;
            self.line(Line::Image(component.clone(), firmware.size));
            return self.apply(about, conduct, until);
        }
        let piece = match kind {
            0 => firmware.size,
            _ => u64::try_from(self.device.status.free_space).unwrap_or(0).max(1),
        };
        let mut image = Vec::new();
        while (image.len() as u64) < firmware.size {
            let from = image.len() as u64;
            let last = firmware.size.min(from.saturating_add(piece)) - 1;
            self.enter(Phase::Starting, about, conduct, until)?;
            if conduct.ending == Ending::Hang(Phase::Downloading) {
                self.hanging = download::ask(&firmware.url, from, last).ok();
            }
            self.enter(Phase::Downloading, about, conduct, until)?;
            match download::fetch_at(&firmware.url, from, last, conduct.pace) {
                Ok(bytes) => image.extend(bytes),
                Err(why) => {
                    self.line(Line::Trouble(why));
                    return self.end(6, about, conduct);
                }
            }
            self.enter(Phase::Downloaded, about, conduct, until)?;
        }
        if download::md5(&image) != firmware.md5 {
            self.line(Line::Trouble(format!("the image of {component} has another MD5 than announced")));
            return self.end(if *kind == 0 { 6 } else { 12 }, about, conduct);
        }
        self.line(Line::Image(component.clone(), firmware.size));
        self.apply(about, conduct, until)
    }

    fn apply(&mut self, about: About<'_>, conduct: &Conduct, until: &Until<'_>) -> Result<(), Turn> {
        self.enter(Phase::Upgrading, about, conduct, until)?;
        let (version, status) = match &conduct.ending {
            Ending::Lie(version) => (version.as_str(), Some(11)),
            Ending::Wrong(version) => (version.as_str(), Some(12)),
            Ending::Mute => (about.target, None),
            _ => (about.target, Some(11)),
        };
        self.forget_what_came(until)?;
        self.runs(about, version);
        if about.kind == 0 {
            // A module starts with its new firmware.
            self.line(Line::Reboot);
            self.device.goodbye();
            self.online = false;
            self.cached = None;
            self.reconnect(until)?;
        }
        match status {
            Some(status) => {
                self.upgrades += usize::from(status == 11 && version == about.target);
                self.end(status, about, conduct)
            }
            None => {
                self.upgrades += 1;
                self.device.report_with(Qos::One)?;
                self.flush()?;
                Ok(())
            }
        }
    }

    fn runs(&mut self, about: About<'_>, version: &str) {
        match about.kind {
            0 => self.device.flash.module_version = version.into(),
            _ => self.device.set_version(about.component, version),
        }
        self.line(Line::Runs(about.component.into(), version.into()));
    }

    /// What came while the device was busy is not looked at; questions are answered.
    fn forget_what_came(&mut self, until: &Until<'_>) -> Result<(), Turn> {
        loop {
            match self.device.next_frame(Duration::from_millis(1)) {
                Ok(frame) => {
                    self.device.answer(&frame)?;
                }
                Err(Trouble::Timeout(_)) => return Ok(()),
                Err(_) => self.reconnect(until)?,
            }
        }
    }

    /// Reports the phase, and does what the script says of it.
    fn enter(
        &mut self,
        phase: Phase,
        about: About<'_>,
        conduct: &Conduct,
        until: &Until<'_>,
    ) -> Result<(), Turn> {
        let About { component, kind, target } = about;
        let holds = phase >= Phase::Starting;
        match conduct.delivery {
            Delivery::Late | Delivery::Reordered if holds => {
                self.held.push((phase.status(), kind, component.into()));
            }
            delivery => self.say_through(phase.status(), about, delivery, until)?,
        }
        match &conduct.ending {
            Ending::Fail { status, at } if *at == phase => {
                self.end(*status, about, conduct)?;
                Err(Turn::Over)
            }
            Ending::Die(at) if *at == phase => Err(Turn::Gone),
            Ending::Leave(at) if *at == phase => {
                self.device.goodbye();
                Err(Turn::Gone)
            }
            Ending::Hang(at) if *at == phase => self.hang(until),
            Ending::Reboot(at) if *at == phase => {
                self.recover(phase, about);
                Err(Turn::Reboot)
            }
            Ending::Early(at) if *at == phase => {
                self.forget_what_came(until)?;
                self.runs(about, target);
                self.upgrades += 1;
                self.device.report_with(Qos::One)?;
                self.end(11, about, conduct)?;
                if self.script.sdk == Sdk::V2_9_0 {
                    // The download that it broke off is reported after all (QUECTHING.md 3.6 #8).
                    self.say(6, kind, component, Delivery::Once)?;
                }
                Err(Turn::Over)
            }
            _ => Ok(()),
        }
    }

    /// What is left of an upgrade after a reboot (QUECTHING.md 3.5).
    fn recover(&mut self, phase: Phase, about: About<'_>) {
        self.held.clear();
        let status = match (phase, about.kind) {
            (Phase::Received, _) => return,
            // The MCU goes on by itself.
            (Phase::Upgrading, 1) => {
                self.runs(about, about.target);
                self.upgrades += 1;
                11
            }
            (Phase::Upgrading, _) => 12,
            _ => 6,
        };
        self.cached = Some((status, about.kind, about.component.into()));
    }

    /// Online, and silent.
    fn hang(&mut self, until: &Until<'_>) -> Result<(), Turn> {
        loop {
            if self.left(until).is_some() {
                return Err(Turn::Stop);
            }
            match self.device.next_frame(LOOK) {
                Ok(frame) => {
                    self.device.answer(&frame)?;
                }
                Err(Trouble::Timeout(_)) => self.keep_alive()?,
                Err(_) => self.reconnect(until)?,
            }
        }
    }

    /// A last status, with what was held back before or after it.
    fn end(&mut self, status: i64, about: About<'_>, conduct: &Conduct) -> Result<(), Turn> {
        if conduct.delivery == Delivery::Reordered {
            self.held.reverse();
            self.flush()?;
        }
        self.say(status, about.kind, about.component, conduct.delivery)?;
        self.flush()?;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        for (status, kind, component) in std::mem::take(&mut self.held) {
            self.say(status, kind, &component, Delivery::Once)?;
        }
        Ok(())
    }

    /// Reports a status, on a new connection if the old one broke: of those that were lost the last one goes.
    fn say_through(
        &mut self,
        status: i64,
        about: About<'_>,
        delivery: Delivery,
        until: &Until<'_>,
    ) -> Result<(), Turn> {
        if self.say(status, about.kind, about.component, delivery).is_err() {
            self.reconnect(until)?;
        }
        Ok(())
    }

    fn reconnect(&mut self, until: &Until<'_>) -> Result<(), Turn> {
        loop {
            self.device.goodbye();
            self.online = false;
            match self.come_online() {
                Ok(()) => return Ok(()),
                Err(Trouble::Refused(code)) => return Err(Trouble::Refused(code).into()),
                Err(_) if self.left(until).is_some() => return Err(Turn::Stop),
                Err(_) => std::thread::sleep(LOOK),
            }
        }
    }

    fn say(&mut self, status: i64, kind: i64, component: &str, delivery: Delivery) -> Result<(), Trouble> {
        let wants = status == 2 && self.script.wants_sha256;
        let payload = self.device.status_event(status, kind, component, wants);
        let bytes = self.device.seal(command::STATUS_EVENT, &payload);
        let sent = match delivery {
            Delivery::Twice => self.publish_again_and_again(&bytes),
            _ => self.device.publish("ota", Qos::Two, &bytes),
        };
        match sent {
            Ok(()) => {
                self.line(Line::Status(status, component.into()));
                Ok(())
            }
            Err(trouble) => {
                self.cached = Some((status, kind, component.into()));
                Err(trouble)
            }
        }
    }

    /// The vendor's resend, at its worst: before PUBREC, and between it and PUBREL; none says DUP.
    fn publish_again_and_again(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let topic = format!("q/2/d/{}/ota", self.device.client_id());
        let link = self.device.link()?;
        let id = link.take_id();
        let message = publish(&topic, Qos::Two, id, bytes);
        link.send(&[&message[..], &message].concat())?;
        link.expect_id(0x50, id)?;
        link.send(&message)?;
        link.expect_id(0x50, id)?;
        link.send(&packet(0x62, &id.to_be_bytes()))?;
        link.expect_id(0x70, id)
    }
}

/// The component that an upgrade is about.
#[derive(Clone, Copy)]
struct About<'a> {
    component: &'a str,
    kind: i64,
    target: &'a str,
}
