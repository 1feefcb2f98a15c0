//! Runs a device by its script: it connects, reports, takes offers as the script says, and reconnects after an error.

mod reports;
mod upgrade;

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::mqtt::{Trouble, packet};
use crate::script::{Ask, Delivery, Script, Sdk};
use crate::{FieldDevice, Trace, TraceEvent, command, firmware_of, plans_of};

/// How long the vendor's SDK waits for the URL (QUECTHING.md 3.2).
const URL_WAIT: Duration = Duration::from_secs(30);
/// How often a waiting device checks whether it is to stop.
const POLL: Duration = Duration::from_millis(50);

/// Until when a device runs.
pub struct Until<'s> {
    /// At the latest.
    pub deadline: Instant,
    /// Or when somebody sets this.
    pub stop: &'s AtomicBool,
    /// Or after so many upgrades of it that went well.
    pub upgrades: Option<usize>,
}

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// The deadline, or somebody's stop.
    Stopped,
    /// The wanted number of upgrades went well.
    Done,
    /// The script ends the device.
    Died,
}

/// A device, its script and its trace.
pub struct DeviceRunner {
    /// The device.
    pub device: FieldDevice,
    /// What happened so far.
    pub trace: Trace,
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
    observer: fn(&str, &TraceEvent),
}

/// What ends an upgrade or a connection before its time.
enum Interrupt {
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

impl From<Trouble> for Interrupt {
    fn from(trouble: Trouble) -> Self {
        Interrupt::Trouble(trouble)
    }
}

impl DeviceRunner {
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
        DeviceRunner {
            device,
            trace: Trace::new(),
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
            observer: |_, _| (),
        }
    }

    /// Calls `observer` with the device's key for each event as it happens.
    pub fn observed_by(mut self, observer: fn(&str, &TraceEvent)) -> Self {
        self.observer = observer;
        self
    }

    /// Statuses that it reported, in order.
    pub fn statuses(&self) -> Vec<i64> {
        let statuses = self.trace.iter().map(|event| match event {
            TraceEvent::Status(status, _) => Some(*status),
            _ => None,
        });
        statuses.flatten().collect()
    }

    /// Runs the script. Called again after [`ExitReason::Stopped`], it goes on.
    pub fn run(&mut self, until: &Until<'_>) -> ExitReason {
        let mut pause = POLL;
        loop {
            if let Some(reason) = self.exit_reason(until) {
                return reason;
            }
            match self.live(until) {
                Interrupt::Over | Interrupt::Stop => {}
                Interrupt::Gone => {
                    self.record(TraceEvent::Gone);
                    return ExitReason::Died;
                }
                Interrupt::Reboot => {
                    self.record(TraceEvent::Reboot);
                    self.device.goodbye();
                    self.online = false;
                }
                Interrupt::Trouble(trouble) => {
                    self.record(TraceEvent::Trouble(trouble.to_string()));
                    self.device.goodbye();
                    // A CONNACK of 2..5 costs a vendor device its secret (QUECTHING.md 4.2).
                    if matches!(trouble, Trouble::Refused(2..=5)) {
                        self.device.flash.device_secret = None;
                    }
                    if std::mem::take(&mut self.online) {
                        pause = POLL;
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    fn exit_reason(&self, until: &Until<'_>) -> Option<ExitReason> {
        if until.upgrades.is_some_and(|wanted| self.upgrades >= wanted) {
            return Some(ExitReason::Done);
        }
        let stopped = until.stop.load(Ordering::Relaxed) || Instant::now() >= until.deadline;
        stopped.then_some(ExitReason::Stopped)
    }

    fn record(&mut self, event: TraceEvent) {
        (self.observer)(&self.device.flash.device_key, &event);
        self.trace.push(event);
    }

    /// One connection, until something ends it.
    fn live(&mut self, until: &Until<'_>) -> Interrupt {
        match self.connection(until) {
            Ok(never) => match never {},
            Err(turn) => turn,
        }
    }

    fn connection(&mut self, until: &Until<'_>) -> Result<std::convert::Infallible, Interrupt> {
        if !self.online {
            self.come_online()?;
            if self.script.ask != Ask::Never {
                self.ask()?;
            }
        }
        loop {
            if self.exit_reason(until).is_some() {
                return Err(Interrupt::Stop);
            }
            match self.device.next_frame(POLL) {
                Ok(frame) if self.device.answer(&frame)? => {}
                Ok(frame) => match self.take(frame.command, frame.packet, &frame.payload, until) {
                    Ok(()) | Err(Interrupt::Over) => {}
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
        self.record(TraceEvent::Asked);
        self.device.request_plan()
    }

    /// Connects, reports, and sends the status that waits for it: 2.9 before its versions, 2.10 after them.
    fn come_online(&mut self) -> Result<(), Trouble> {
        self.device.come_online()?;
        self.pinged_at = Instant::now();
        self.last_notify = None;
        let cached = self.cached.take();
        let (before, after) = match self.script.sdk {
            Sdk::V2_9_0 | Sdk::Quecota => (cached, None),
            Sdk::V2_10_6 => (None, cached),
        };
        self.online = true;
        if let Some((status, kind, component)) = before {
            self.send_status(status, kind, &component, Delivery::Once)?;
        }
        self.device.report_after_connect()?;
        self.record(TraceEvent::Online);
        if let Some((status, kind, component)) = after {
            self.send_status(status, kind, &component, Delivery::Once)?;
        }
        Ok(())
    }

    /// A packet, while the device is idle.
    fn take(&mut self, what: u16, packet: u16, payload: &[u8], until: &Until<'_>) -> Result<(), Interrupt> {
        match what {
            command::PLAN_NOTIFY => {
                if self.script.sdk == Sdk::V2_10_6 && self.last_notify.replace(packet) == Some(packet) {
                    return Ok(());
                }
                match plans_of(payload) {
                    Ok(plans) if !plans.is_empty() => self.offered(&plans, until),
                    // 2.9 takes what it cannot read for a plan without a name (QUECTHING.md 3.3).
                    _ if self.script.sdk == Sdk::V2_9_0 => Ok(self.send_status(1, 1, "", Delivery::Once)?),
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

    fn reconnect(&mut self, until: &Until<'_>) -> Result<(), Interrupt> {
        loop {
            self.device.goodbye();
            self.online = false;
            match self.come_online() {
                Ok(()) => return Ok(()),
                Err(Trouble::Refused(code)) => return Err(Trouble::Refused(code).into()),
                Err(_) if self.exit_reason(until).is_some() => return Err(Interrupt::Stop),
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }
}

/// The component that an upgrade is about.
#[derive(Clone, Copy)]
struct Subject<'a> {
    component: &'a str,
    kind: i64,
    target: &'a str,
}
