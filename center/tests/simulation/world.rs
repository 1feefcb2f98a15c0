//! One run of the simulation: the real engine over a SQLite file, devices that do what chance says, a clock that jumps, a
//! process that is killed at any write; beside it the reference model, compared after every step.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use quecota_center::clock::{Clock, Millis};
use quecota_center::devices::codec;
use quecota_center::engine::{Downlink, Engine, EngineError, Firmware, FirmwareUrls, SessionId};
use quecota_center::rules::plan::{
    Halt, OutsidePeriod, PlanComponent, PlanSettings, PlanState, Push, Strategy, Supersede,
};
use quecota_center::rules::progress::{ComponentState, UpgradeState};
use quecota_center::rules::window::{PushPeriod, TimeOfDay};
use quecota_center::rules::*;
use quecota_center::seal::Keyring;
use quecota_center::store::{DeviceId, Digests, NewPackage, PackageFile, PackageKind, PlanId, Store};
use quecota_core::wire::frame::{Command, Frame, PacketId};
use quecota_core::wire::message::{self, OtaStatus, PlanRequest, StatusEvent, Versions};
use quecota_core::wire::ttlv::Writer as Ttlv;
use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::{AnyPool, AssertSqlSafe, Row};

use crate::model::{self, End, HOUR, Life, MINUTE, Model, Reply, SECOND, State, Time, Trigger, Upgrade};

/// 2026-03-01 10:03:20 UTC.
const NOON: Time = 1_772_359_400_000;
const COMPONENTS: [&str; 2] = ["A", "B"];

/// A bug, planted so that the simulation has to find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    Nothing,
    /// A component that downloads has no lease.
    ForgottenLease,
    /// Devices get their acknowledgement before the commit.
    AcknowledgeFirst,
    /// Failures are not counted.
    EndlessRetries,
    /// The same packet again counts again.
    RepetitionCounts,
    /// A restart forgets who is in flight.
    LimitsForgotten,
}

impl Mutant {
    /// The bug, as SQL that works against the engine.
    fn triggers(self) -> &'static [&'static str] {
        match self {
            Mutant::Nothing | Mutant::AcknowledgeFirst => &[],
            Mutant::ForgottenLease => &[
                "CREATE TRIGGER planted AFTER UPDATE ON component_upgrades WHEN NEW.state = 'downloading' AND \
                 NEW.lease_until IS NOT NULL BEGIN UPDATE component_upgrades SET lease_until = NULL \
                 WHERE upgrade_id = NEW.upgrade_id AND position = NEW.position; END",
            ],
            Mutant::EndlessRetries => {
                &["CREATE TRIGGER planted AFTER UPDATE ON component_upgrades WHEN NEW.failures > 1 \
                 BEGIN UPDATE component_upgrades SET failures = 1 \
                 WHERE upgrade_id = NEW.upgrade_id AND position = NEW.position; END"]
            }
            Mutant::RepetitionCounts => {
                &["CREATE TRIGGER planted AFTER UPDATE ON devices WHEN NEW.last_uplink IS NOT NULL \
                 BEGIN UPDATE devices SET last_uplink = NULL WHERE id = NEW.id; END"]
            }
            Mutant::LimitsForgotten => {
                &["CREATE TRIGGER planted AFTER UPDATE ON devices WHEN NEW.online = 0 AND OLD.online = 1 \
                 BEGIN UPDATE upgrades SET outstanding = 0; END"]
            }
        }
    }
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Figures {
    pub steps: u64,
    pub packets: u64,
    pub offers: u64,
    pub crashes: u64,
    pub ticks: u64,
    pub ends: u64,
}

impl Figures {
    pub fn add(&mut self, other: Figures) {
        self.steps += other.steps;
        self.packets += other.packets;
        self.offers += other.offers;
        self.crashes += other.crashes;
        self.ticks += other.ticks;
        self.ends += other.ends;
    }
}

/// splitmix64: the same numbers for the same seed, for ever.
pub struct Chance(pub u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, count: usize) -> usize {
        (self.next() % count.max(1) as u64) as usize
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn sometimes<T>(&mut self, count: usize, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.one_in(count).then(|| value(self))
    }
}

struct Urls;

impl FirmwareUrls for Urls {
    fn firmware_url(&self, firmware: &Firmware<'_>) -> String {
        format!("http://center.example:8080/f/{}/{}", firmware.upgrade.0, firmware.file_index)
    }
}

/// A packet that a device has to send.
#[derive(Debug, Clone)]
enum Packet {
    Report { command: Command, versions: [String; 2] },
    Request { versions: [String; 2] },
    Status { component: usize, status: u32, versions: Option<[String; 2]> },
}

/// A device as it is, whatever the center thinks.
struct Gadget {
    id: DeviceId,
    session: Option<SessionId>,
    packet: PacketId,
    versions: [String; 2],
    /// Not sent yet, or sent and not acknowledged.
    waiting: VecDeque<Packet>,
    /// Component and target of the plan that it heard of last, and the status that it said last.
    plan: Option<(usize, String, u32)>,
    /// Statuses that it got an acknowledgement for.
    acknowledged: i64,
    /// Statuses that the center counted, as the model says.
    counted: i64,
}

pub struct World {
    chance: Chance,
    planted: Mutant,
    clock: Clock,
    store: Store,
    engine: Engine,
    /// Works on the same file, beside the engine.
    side: AnyPool,
    model: Model,
    gadgets: Vec<Gadget>,
    plans: Vec<PlanId>,
    pub trace: Vec<String>,
    pub figures: Figures,
}

type Checked<T = ()> = Result<T, String>;

fn pk() -> ProductKey {
    ProductKey::new("p1abcd").unwrap()
}

/// A center that has its tables, a product and two components: runs begin with a copy of it.
pub async fn template(file: &Path, keys: &Keyring) {
    let store = Store::sqlite(file, keys.clone()).await.unwrap();
    let mut writer = store.write().await.unwrap();
    let secret = ProductSecret::new("MTIzNDU2Nzg5MGFi").unwrap();
    let now = Millis(NOON);
    writer
        .create_product(&pk(), &secret, &Title::new("meters").unwrap(), Admission::Anyone, now)
        .await
        .unwrap();
    for component in COMPONENTS {
        let no = ComponentNo::new(component).unwrap();
        writer.create_component(&pk(), &no, ComponentKind::Mcu, now).await.unwrap();
    }
    writer.commit().await.unwrap();
    store.close().await;
    let side = side(file).await;
    // A counter of writes: at zero the next one fails, and with it everything of its transaction.
    run(&side, "CREATE TABLE sim_crash (left INTEGER NOT NULL)").await;
    run(&side, "INSERT INTO sim_crash VALUES (-1)").await;
    for table in ["devices", "upgrades", "component_upgrades", "upgrade_log", "plans", "plan_starts"] {
        for event in ["UPDATE", "INSERT"] {
            let trigger = format!(
                "CREATE TRIGGER sim_{table}_{event} BEFORE {event} ON {table} \
                 WHEN (SELECT left FROM sim_crash) >= 0 BEGIN \
                 SELECT RAISE(ABORT, 'killed') WHERE (SELECT left FROM sim_crash) = 0; \
                 UPDATE sim_crash SET left = left - 1; END"
            );
            run(&side, &trigger).await;
        }
    }
    run(&side, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    side.close().await;
}

async fn side(file: &Path) -> AnyPool {
    let url = format!("sqlite://{}?mode=rw", file.display());
    AnyPoolOptions::new().max_connections(1).connect(&url).await.unwrap()
}

async fn run(side: &AnyPool, sql: &str) {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(side).await.unwrap();
}

impl World {
    pub async fn new(file: &Path, keys: &Keyring, seed: u64, planted: Mutant) -> World {
        let clock = Clock::manual(Millis(NOON));
        let store = Store::sqlite(file, keys.clone()).await.unwrap();
        let side = side(file).await;
        for trigger in planted.triggers() {
            run(&side, trigger).await;
        }
        let engine = Engine::new(store.clone(), clock.clone(), Arc::new(Urls));
        let mut chance = Chance(seed);
        let mut gadgets = Vec::new();
        let mut writer = store.write().await.unwrap();
        for number in 0..3 + chance.below(4) {
            let key = DeviceKey::new(format!("d{number}")).unwrap();
            let secret = DeviceSecret::new("0123456789abcdef").unwrap();
            let device = writer.enter_device(&pk(), &key, &secret, Millis(NOON)).await.unwrap();
            gadgets.push(Gadget {
                id: device.id,
                session: None,
                packet: PacketId::FIRST,
                versions: ["1".into(), "1".into()],
                waiting: VecDeque::new(),
                plan: None,
                acknowledged: 0,
                counted: 0,
            });
        }
        writer.commit().await.unwrap();
        let devices = gadgets.iter().map(|_| model::Device::default()).collect();
        let model = Model { plans: Vec::new(), devices };
        World {
            chance,
            planted,
            clock,
            store,
            engine,
            side,
            model,
            gadgets,
            plans: Vec::new(),
            trace: Vec::new(),
            figures: Figures::default(),
        }
    }

    fn now(&self) -> Time {
        self.clock.now().0
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        let at = (self.now() - NOON) / SECOND;
        self.trace.push(format!("{at:>7} s  {}", what()));
    }

    /// The whole run; an error is a disagreement.
    pub async fn run(&mut self, steps: usize) -> Checked {
        for _ in 0..1 + self.chance.below(2) {
            self.create_plan().await;
            self.operate().await?;
        }
        for _ in 0..steps {
            self.figures.steps += 1;
            self.step().await?;
        }
        self.everybody_falls_silent().await?;
        self.compare_logs().await?;
        self.compare_figures().await?;
        self.figures.ends = self
            .model
            .devices
            .iter()
            .flat_map(|device| &device.upgrades)
            .filter(|upgrade| upgrade.end.is_some())
            .count() as u64;
        self.store.close().await;
        self.side.close().await;
        Ok(())
    }

    async fn step(&mut self) -> Checked {
        let device = self.chance.below(self.gadgets.len());
        match self.chance.below(100) {
            0..70 => {
                // A device says several things in a row, or there would be few upgrades.
                for _ in 0..1 + self.chance.below(6) {
                    self.live(device).await?;
                }
                Ok(())
            }
            70..88 => self.pass_time().await,
            88..92 => self.operate().await,
            92..95 => {
                if self.plans.len() < 4 {
                    self.create_plan().await;
                }
                self.operate().await
            }
            95..98 => self.disconnect(device).await,
            _ => self.crash("between two calls").await,
        }
    }

    // The process

    /// Perhaps the process is killed during the next call: at this write of it, or (0) before its answer is used.
    async fn arm(&mut self) -> Option<usize> {
        let writes = self.chance.sometimes(40, |chance| chance.below(14))?;
        if writes > 0 {
            let sql = format!("UPDATE sim_crash SET left = {}", writes - 1);
            run(&self.side, &sql).await;
        }
        Some(writes)
    }

    async fn disarm(&mut self) {
        run(&self.side, "UPDATE sim_crash SET left = -1").await;
    }

    /// The process is gone and starts again: what was not committed never was.
    async fn crash(&mut self, when: &str) -> Checked {
        self.figures.crashes += 1;
        self.note(|| format!("killed {when}, started again"));
        self.disarm().await;
        self.engine = Engine::new(self.store.clone(), self.clock.clone(), Arc::new(Urls));
        self.engine.start().await.map_err(|error| format!("start: {error}"))?;
        let now = self.now();
        self.model.restart(now);
        for gadget in &mut self.gadgets {
            gadget.session = None;
        }
        self.compare().await
    }

    // Devices

    async fn live(&mut self, device: usize) -> Checked {
        if self.gadgets[device].session.is_none() {
            return self.connect(device).await;
        }
        if !self.gadgets[device].waiting.is_empty() {
            return self.send(device).await;
        }
        self.think(device);
        // Some things are said at once, others later, and then in any order.
        if self.chance.one_in(8) { Ok(()) } else { self.send(device).await }
    }

    async fn connect(&mut self, device: usize) -> Checked {
        let armed = self.arm().await;
        let now = self.now();
        let connected = self.engine.online(self.gadgets[device].id).await;
        self.note(|| format!("d{device} connects"));
        match (connected, armed) {
            (Ok(connected), None) => {
                self.model.online(device, now);
                if !connected.messages.is_empty() {
                    return Err(format!("d{device} hears {:?} before it said a word", connected.messages));
                }
                self.gadgets[device].session = Some(connected.session);
                let versions = self.gadgets[device].versions.clone();
                let report = Packet::Report { command: Command::INFO_REPORT, versions };
                self.gadgets[device].waiting.push_front(report);
                self.compare().await
            }
            (Ok(_), Some(_)) => {
                self.model.online(device, now);
                self.crash("after a connect").await
            }
            (Err(_), Some(_)) => self.crash("during a connect").await,
            (Err(error), None) => Err(format!("connect: {error}")),
        }
    }

    async fn disconnect(&mut self, device: usize) -> Checked {
        let Some(session) = self.gadgets[device].session.take() else { return Ok(()) };
        let now = self.now();
        self.note(|| format!("d{device} is offline"));
        self.engine.offline(self.gadgets[device].id, &session).await.map_err(|error| error.to_string())?;
        self.model.offline(device, now);
        // A vendor device keeps the last status only; ours keeps all.
        if self.chance.one_in(2)
            && let Some(last) = self.gadgets[device].waiting.pop_back()
        {
            self.gadgets[device].waiting = VecDeque::from([last]);
        }
        self.compare().await
    }

    /// What the device has to say next.
    fn think(&mut self, device: usize) {
        let chance = &mut self.chance;
        let gadget = &mut self.gadgets[device];
        let statuses = [1, 2, 3, 4, 5, 6, 8, 9, 11, 12];
        let mut versions = None;
        let (component, status) = match &mut gadget.plan {
            _ if chance.one_in(12) => {
                gadget.waiting.push_back(Packet::Request { versions: gadget.versions.clone() });
                return;
            }
            _ if chance.one_in(25) => (chance.below(2), chance.of(&statuses)),
            Some((component, target, said)) => {
                let next = match *said {
                    0 => 1,
                    1 => chance.of(&[2, 2, 2, 2, 2, 2, 3]),
                    2 => 4,
                    4 => chance.of(&[5, 5, 5, 6]),
                    5 => chance.of(&[5, 8, 8, 8, 6]),
                    8 => chance.of(&[9, 9, 9, 4, 12]),
                    9 => chance.of(&[11, 11, 11, 11, 12]),
                    _ => 0,
                };
                *said = next;
                if next == 11 || (next == 9 && chance.one_in(8)) {
                    // Now and then it lies, or a third version runs.
                    let version = if chance.one_in(8) { "odd".to_owned() } else { target.clone() };
                    gadget.versions[*component] = version;
                }
                (*component, next)
            }
            None => (0, 0),
        };
        if status == 0 {
            gadget.plan = None;
            let what = match chance.below(3) {
                0 => Packet::Request { versions: gadget.versions.clone() },
                _ => Packet::Report { command: Command::INFO_REPORT, versions: gadget.versions.clone() },
            };
            gadget.waiting.push_back(what);
            return;
        }
        if status == 11 || status == 12 {
            versions = chance.sometimes(2, |_| gadget.versions.clone());
        }
        if matches!(status, 3 | 6 | 11 | 12) {
            gadget.plan = None;
        }
        gadget.waiting.push_back(Packet::Status { component, status, versions });
    }

    /// Sends what waits: mostly the first, now and then a later one; perhaps more than once.
    async fn send(&mut self, device: usize) -> Checked {
        let count = self.gadgets[device].waiting.len();
        let place = if self.chance.one_in(6) { self.chance.below(count) } else { 0 };
        let Some(packet) = self.gadgets[device].waiting.remove(place) else { return Ok(()) };
        let (command, payload) = bytes(&packet);
        let frame = Frame { packet: self.gadgets[device].packet, command, payload: &payload };
        let decoded = codec::decode(&frame).expect("the engine's");
        self.gadgets[device].packet = self.gadgets[device].packet.next();
        let is_status = matches!(packet, Packet::Status { .. });
        self.note(|| format!("d{device} sends {packet:?}"));
        self.figures.packets += 1;
        let armed = self.arm().await;
        if self.planted == Mutant::AcknowledgeFirst {
            self.gadgets[device].acknowledged += i64::from(is_status);
        }
        match (self.engine.received(self.gadgets[device].id, decoded.clone()).await, armed) {
            (Ok(messages), armed) => {
                self.take(device, &packet, &messages)?;
                self.gadgets[device].counted += i64::from(is_status);
                if armed.is_some() {
                    // Committed, and the acknowledgement never sent: the device says it again.
                    self.again(device, packet);
                    return self.crash("before an answer").await;
                }
                if self.planted != Mutant::AcknowledgeFirst {
                    self.gadgets[device].acknowledged += i64::from(is_status);
                }
                self.hear(device, &messages);
            }
            (Err(_), Some(_)) => {
                if self.planted != Mutant::AcknowledgeFirst {
                    self.again(device, packet);
                }
                return self.crash("during a packet").await;
            }
            (Err(error), None) => return Err(format!("d{device}: {error}")),
        }
        while self.chance.one_in(7) {
            self.note(|| format!("d{device} repeats it"));
            match self.engine.received(self.gadgets[device].id, decoded.clone()).await {
                Ok(messages) if messages.is_empty() || !is_counted_once(command) => {}
                other => return Err(format!("a repetition of {packet:?} was answered by {other:?}")),
            }
        }
        self.compare().await
    }

    fn again(&mut self, device: usize, packet: Packet) {
        // A report is made anew after each connect.
        if !matches!(packet, Packet::Report { .. }) {
            self.gadgets[device].waiting.push_front(packet);
        }
    }

    /// The model takes the packet too, and says whether what the engine answers is right.
    fn take(&mut self, device: usize, packet: &Packet, messages: &[Downlink]) -> Checked {
        let now = self.now();
        let trigger = match packet {
            Packet::Report { versions, .. } => {
                self.model.versions(device, versions, now).then_some(Trigger::Online)
            }
            Packet::Request { versions } => {
                self.model.request(device, versions, now);
                Some(Trigger::Request)
            }
            Packet::Status { component, status, versions } => {
                let reply = self.model.status(device, *component, *status, versions.as_ref(), now);
                return match (reply, messages) {
                    (Reply::Nothing, []) => Ok(()),
                    (Reply::Question, [Downlink::AskVersions]) => Ok(()),
                    (Reply::Firmware { plan }, [Downlink::Firmware(info)]) => {
                        let settings = &self.model.plans[plan].settings;
                        let right = (COMPONENTS[settings.component], settings.target.as_str());
                        let sent = (info.component.as_str(), info.target.as_str());
                        if sent == right { Ok(()) } else { Err(format!("{info:?}")) }
                    }
                    (reply, messages) => Err(format!("{reply:?} was due, {messages:?} came")),
                };
            }
        };
        match (trigger, messages) {
            (None, []) => Ok(()),
            (Some(trigger), []) => match self.model.due(device, trigger, now) {
                None => Ok(()),
                Some(plan) => Err(format!("d{device} was due plan {plan} and heard nothing")),
            },
            (Some(trigger), [message]) => self.take_offer(device, message, trigger),
            (_, messages) => Err(format!("d{device} hears {messages:?}")),
        }
    }

    fn take_offer(&mut self, device: usize, message: &Downlink, trigger: Trigger) -> Checked {
        let plan = self.plan_of(message)?;
        self.figures.offers += 1;
        self.note(|| format!("d{device} is offered plan {plan}"));
        let now = self.now();
        self.model.offered(device, plan, trigger, now).map_err(|why| format!("d{device} was {why}"))
    }

    /// Every plan has a target of its own, so an offer names it.
    fn plan_of(&self, message: &Downlink) -> Checked<usize> {
        let Downlink::Offer(components) = message else { return Err(format!("{message:?} is no offer")) };
        let [offered] = components.as_slice() else { return Err(format!("{components:?}")) };
        let target = offered.target.as_str();
        let found = self.model.plans.iter().position(|known| known.settings.target == target);
        found.ok_or_else(|| format!("nobody made {offered:?}"))
    }

    /// What the center sends reaches the device, or is lost.
    fn hear(&mut self, device: usize, messages: &[Downlink]) {
        for message in messages {
            if self.chance.one_in(10) {
                continue;
            }
            let gadget = &mut self.gadgets[device];
            match message {
                Downlink::Offer(components) => {
                    let idle = gadget.plan.as_ref().is_none_or(|(.., said)| *said <= 1);
                    if let Some(offered) = components.first().filter(|_| idle) {
                        let component = usize::from(offered.component.as_str() == COMPONENTS[1]);
                        gadget.plan = Some((component, offered.target.to_string(), 0));
                    }
                }
                Downlink::AskVersions => {
                    let versions = gadget.versions.clone();
                    gadget.waiting.push_back(Packet::Report { command: Command::INFO_ANSWER, versions });
                }
                _ => {}
            }
        }
    }

    // Time

    async fn pass_time(&mut self) -> Checked {
        let span = self.chance.of(&[
            SECOND,
            10 * SECOND,
            20 * SECOND,
            61 * SECOND,
            2 * MINUTE,
            5 * MINUTE,
            10 * MINUTE,
            10 * MINUTE,
            31 * MINUTE,
            2 * HOUR,
            9 * HOUR,
            25 * HOUR,
        ]);
        self.clock.advance(Millis(span));
        self.tick().await
    }

    async fn tick(&mut self) -> Checked {
        self.figures.ticks += 1;
        self.note(|| "tick".to_owned());
        let armed = self.arm().await;
        let now = self.now();
        match (self.engine.tick().await, armed) {
            (Ok(ticked), None) => {
                if ticked.failed > 0 {
                    return Err(format!("a tick left out {} devices or plans", ticked.failed));
                }
                let messages = ticked.messages;
                self.model.time(now);
                self.take_tick(&messages)?;
                for (id, message) in &messages {
                    let device = self.number(*id);
                    self.hear(device, std::slice::from_ref(message));
                }
                self.compare().await
            }
            // Some of its transactions count, others do not: the store says which, and the next tick does the rest.
            (_, Some(_)) => {
                self.adopt().await?;
                self.crash("during a tick").await
            }
            (Err(error), None) => Err(format!("tick: {error}")),
        }
    }

    fn number(&self, id: DeviceId) -> usize {
        self.gadgets.iter().position(|gadget| gadget.id == id).expect("a device of this run")
    }

    fn take_tick(&mut self, messages: &[(DeviceId, Downlink)]) -> Checked {
        let now = self.now();
        for (id, message) in messages {
            let device = self.number(*id);
            if *message == Downlink::AskVersions && !self.model.devices[device].fresh {
                continue;
            }
            if self.model.due(device, Trigger::Tick, now) != self.plan_of(message).ok() {
                self.end_what_is_held_for_good();
            }
            self.take_offer(device, message, Trigger::Tick)?;
        }
        self.end_what_is_held_for_good();
        Ok(())
    }

    /// Upgrades whose pause is over and whose plan cannot be offered to the device any more.
    fn end_what_is_held_for_good(&mut self) {
        let now = self.now();
        for device in 0..self.model.devices.len() {
            for index in 0..self.model.devices[device].upgrades.len() {
                if self.model.end_for_good((device, index), now) {
                    self.note(|| format!("d{device}: its plan cannot be offered any more"));
                }
            }
        }
    }

    /// Everybody is silent for some days: whatever was in flight has ended.
    async fn everybody_falls_silent(&mut self) -> Checked {
        self.note(|| "everybody falls silent".to_owned());
        for device in 0..self.gadgets.len() {
            if self.chance.one_in(2) {
                self.disconnect(device).await?;
            }
            self.gadgets[device].plan = None;
            self.gadgets[device].waiting.clear();
        }
        for index in 0..self.plans.len() {
            if self.model.plans[index].life.offers() {
                self.engine.suspend(self.plans[index]).await.map_err(|error| error.to_string())?;
                self.model.suspend(index);
            }
        }
        for _ in 0..3 {
            self.clock.advance(Millis(26 * HOUR));
            self.tick().await?;
        }
        let in_flight = |upgrade: &&Upgrade| upgrade.end.is_none() && upgrade.state.in_flight();
        match self.model.devices.iter().flat_map(|device| &device.upgrades).find(in_flight) {
            None => Ok(()),
            Some(upgrade) => Err(format!("for ever {upgrade:?}")),
        }
    }

    // The operator

    async fn create_plan(&mut self) {
        let number = self.plans.len();
        let count = self.gadgets.len();
        let now = self.now();
        let chance = &mut self.chance;
        let component = chance.below(2);
        let mut some = |one_in: usize| -> BTreeSet<usize> {
            let all = chance.sometimes(one_in, |chance| (0..count).filter(|_| chance.one_in(2)).collect());
            all.unwrap_or_default()
        };
        let (white, black) = (some(4), some(4));
        let settings = model::Settings {
            component,
            target: format!("v{number}"),
            source: chance.sometimes(5, |chance| chance.of(&["1", "v0"]).to_owned()),
            on_request: chance.one_in(3),
            answers_outside: chance.one_in(3),
            period: chance.sometimes(3, |chance| {
                chance.of(&[(9 * 60, 17 * 60), (22 * 60, 4 * 60), (15 * 60, 17 * 60 + 30), (0, 16 * 60)])
            }),
            start: chance.sometimes(6, |_| now + 20 * MINUTE),
            end: chance.sometimes(4, |chance| now + chance.of(&[30 * MINUTE, 3 * HOUR, 30 * HOUR])),
            white,
            black,
            retries: chance.of(&[0, 1, 1, 2]),
            refusal_delay: chance.of(&[10 * MINUTE, 120 * MINUTE]),
            first: chance.sometimes(5, |chance| 1 + chance.below(2)),
            halt: chance.sometimes(4, |chance| chance.of(&[(0, 1), (30, 2), (60, 2)])),
            in_flight: chance.sometimes(4, |chance| 1 + chance.below(2)),
            per_minute: chance.sometimes(5, |chance| 1 + chance.below(2)),
        };
        let no = ComponentNo::new(COMPONENTS[component]).unwrap();
        let version = |text: &str| Version::new(text).unwrap();
        let package = NewPackage {
            product: pk(),
            component: no.clone(),
            name: Title::new("spring").unwrap(),
            kind: match &settings.source {
                None => PackageKind::Full,
                Some(source) => PackageKind::Delta { source: version(source) },
            },
            target: version(&settings.target),
            remark: Remark::new("").unwrap(),
            files: vec![PackageFile {
                name: FileName::new("0.bin").unwrap(),
                size: 1_000_000,
                digests: Digests { md5: [7; 16], crc32: 1, sha256: [9; 32] },
                object: "object".into(),
            }],
        };
        let mut writer = self.store.write().await.unwrap();
        let package = writer.create_package(package, Millis(now)).await.unwrap().id.0;
        writer.commit().await.unwrap();
        let time = |minutes: i64| TimeOfDay::from_minutes(minutes).unwrap();
        let title = Title::new(format!("plan {number}")).unwrap();
        let zone = "Asia/Kathmandu".parse().unwrap();
        let selected = vec![PlanComponent { component: no, package }];
        let mut entered = PlanSettings::new(title, pk(), zone, selected);
        entered.push = if settings.on_request { Push::OnRequest } else { Push::Actively };
        if settings.answers_outside {
            entered.outside_period = OutsidePeriod::Answer;
        }
        entered.push_period =
            settings.period.map(|(from, until)| PushPeriod { from: time(from), until: time(until) });
        entered.start = settings.start.map(Millis);
        entered.end = settings.end.map(Millis);
        entered.strategy = Strategy {
            retries: settings.retries as u8,
            refusal_delay: (settings.refusal_delay / MINUTE) as u16,
            first_devices: settings.first.map(|count| count as u32),
            halt: settings.halt.map(|(percent, after)| Halt { percent: percent as u8, after: after as u32 }),
            max_in_flight: settings.in_flight.map(|count| count as u32),
            max_per_minute: settings.per_minute.map(|count| count as u32),
            ..Strategy::default()
        };
        let keys = |devices: &BTreeSet<usize>| -> Vec<DeviceKey> {
            devices.iter().map(|device| DeviceKey::new(format!("d{device}")).unwrap()).collect()
        };
        let (white, black) = (keys(&settings.white), keys(&settings.black));
        let plan = self.engine.create_plan(&entered, &white, &black).await.unwrap();
        self.note(|| format!("plan {number} is saved: {settings:?}"));
        self.plans.push(plan.id);
        self.model.plans.push(model::Plan {
            settings,
            life: Life::Saved,
            resumes_to: Life::Activated,
            activated: 0,
            superseded_by: Vec::new(),
            finished: 0,
            failed: 0,
            starts: Vec::new(),
            unreached: 0,
        });
    }

    /// Something that the operator may do, or may not: both must be as the life of a plan says.
    async fn operate(&mut self) -> Checked {
        let index = self.chance.below(self.plans.len());
        let (id, life, now) = (self.plans[index], self.model.plans[index].life, self.now());
        let armed = self.arm().await;
        let wish = match life {
            Life::Saved => 0,
            Life::Suspended => self.chance.of(&[2, 2, 2, 3]),
            _ => self.chance.of(&[0, 1, 1, 2, 3]),
        };
        let (what, done, allowed) = match wish {
            0 => {
                let past = self.model.plans[index].settings.end.is_some_and(|end| end <= now);
                let done = self.engine.activate(id, Supersede::Agreed).await;
                ("activate", done, life == Life::Saved && !past)
            }
            1 => ("suspend", self.engine.suspend(id).await, life.offers()),
            2 => ("resume", self.engine.resume(id).await, life == Life::Suspended),
            _ => {
                let runs = life.offers() || life == Life::Suspended;
                ("terminate", self.engine.terminate(id).await, runs)
            }
        };
        self.note(|| format!("{what} plan {index}: {}", if done.is_ok() { "done" } else { "refused" }));
        let killed = armed.is_some() && matches!(&done, Err(EngineError::Store(_)));
        if done.is_ok() != allowed && !killed {
            return Err(format!("{what} plan {index}, which is {life:?}: {done:?}"));
        }
        if done.is_ok() {
            match wish {
                0 => self.model.activate(index, now),
                1 => self.model.suspend(index),
                2 => self.model.resume(index),
                _ => self.model.terminate(index),
            }
        }
        match armed {
            Some(_) => self.crash("while the operator was at it").await,
            None => self.compare().await,
        }
    }

    // Comparing

    /// Every plan and every upgrade is as the model says.
    async fn compare(&mut self) -> Checked {
        for (index, row) in self.stored_plans().await.iter().enumerate() {
            let (is, expected) = (life(&row.get::<String, _>("state")), self.model.plans[index].life);
            if is != expected {
                return Err(format!("plan {index} is {is:?}, the model says {expected:?}"));
            }
        }
        for (device, mut stored) in self.stored_upgrades().await.into_iter().enumerate() {
            let expected = &self.model.devices[device].upgrades;
            if stored.len() != expected.len() {
                let count = stored.len();
                return Err(format!("d{device} has {count} upgrades, the model {}", expected.len()));
            }
            for (is, expected) in stored.iter_mut().zip(expected) {
                // An offer that is held back is put off, never brought forward; the model follows.
                if expected.end.is_none() && is.waits.is_some() && is.waits < expected.waits {
                    return Err(format!(
                        "d{device}: next offer at {:?}, the model says {expected:?}",
                        is.waits
                    ));
                }
                let same = Upgrade { waits: is.waits, ..expected.clone() };
                if *is != same {
                    return Err(format!("d{device} is {is:?}, the model says {expected:?}"));
                }
            }
            self.model.devices[device].upgrades = stored;
        }
        Ok(())
    }

    async fn stored_plans(&self) -> Vec<AnyRow> {
        let sql = "SELECT state, suspended_from, halt_finished, halt_failed FROM plans ORDER BY id";
        sqlx::query(sql).fetch_all(&self.side).await.unwrap()
    }

    /// By device, in the order of their first offer.
    async fn stored_upgrades(&self) -> Vec<Vec<Upgrade>> {
        let sql = "SELECT device_id, plan_id, upgrades.state AS device_state, confirmed_at, next_offer_at, ended_at, \
             part.state AS state, failures, lease_until, proving, source \
             FROM upgrades JOIN component_upgrades AS part ON part.upgrade_id = upgrades.id ORDER BY upgrades.id";
        let mut upgrades = vec![Vec::new(); self.gadgets.len()];
        for row in sqlx::query(sql).fetch_all(&self.side).await.unwrap() {
            let time = |column| row.get::<Option<i64>, _>(column);
            let plan = PlanId(row.get("plan_id"));
            let upgrade = Upgrade {
                plan: self.plans.iter().position(|known| *known == plan).expect("a plan of this run"),
                state: state(&row.get::<String, _>("state")),
                confirmed: time("confirmed_at").is_some(),
                failures: row.get::<i64, _>("failures") as u32,
                source: row.get("source"),
                lease: time("lease_until"),
                waits: time("next_offer_at"),
                proving: row.get::<i64, _>("proving") != 0,
                end: time("ended_at").map(|_| end(&row.get::<String, _>("device_state"))),
            };
            upgrades[self.number(DeviceId(row.get("device_id")))].push(upgrade);
        }
        upgrades
    }

    /// After a tick that was killed: the store says how far it came. What was final stays so.
    async fn adopt(&mut self) -> Checked {
        for (index, row) in self.stored_plans().await.iter().enumerate() {
            let starts = "SELECT at FROM plan_starts WHERE plan_id = $1";
            let starts = sqlx::query(starts).bind(self.plans[index].0).fetch_all(&self.side).await.unwrap();
            let known = &mut self.model.plans[index];
            let now = life(&row.get::<String, _>("state"));
            if known.life.is_over() && known.life != now {
                return Err(format!("plan {index} was {:?} and is {now:?}", known.life));
            }
            known.life = now;
            let resumes = row.get::<Option<String>, _>("suspended_from");
            known.resumes_to = resumes.map_or(known.resumes_to, |state| life(&state));
            known.finished = row.get::<i64, _>("halt_finished") as u64;
            known.failed = row.get::<i64, _>("halt_failed") as u64;
            if known.settings.per_minute.is_some() {
                known.starts = starts.iter().map(|row| row.get::<i64, _>(0)).collect();
            }
        }
        for (device, stored) in self.stored_upgrades().await.into_iter().enumerate() {
            let before = std::mem::replace(&mut self.model.devices[device].upgrades, stored);
            let after = &self.model.devices[device].upgrades;
            if after.len() < before.len() {
                return Err(format!("d{device} lost an upgrade in a tick that was killed"));
            }
            for (before, after) in before.iter().zip(after) {
                let reopened = before.end.is_some() && before.end != after.end;
                if after.failures < before.failures || reopened {
                    return Err(format!("d{device}: {before:?} became {after:?} in a tick that was killed"));
                }
            }
        }
        Ok(())
    }

    /// Nothing that was acknowledged is lost, and nothing counts twice.
    async fn compare_logs(&mut self) -> Checked {
        for device in 0..self.gadgets.len() {
            let mut reader = self.store.read().await.map_err(|error| error.to_string())?;
            let log = reader
                .device_log(self.gadgets[device].id, 10_000)
                .await
                .map_err(|error| error.to_string())?;
            let statuses = log.iter().filter(|entry| entry.kind.ends_with("status")).map(|entry| entry.times);
            let (logged, gadget) = (statuses.sum::<i64>(), &self.gadgets[device]);
            if logged < gadget.acknowledged {
                return Err(format!(
                    "d{device}: {} statuses acknowledged, {logged} there",
                    gadget.acknowledged
                ));
            }
            if logged != gadget.counted {
                return Err(format!("d{device}: {} statuses counted, {logged} there", gadget.counted));
            }
        }
        Ok(())
    }

    async fn compare_figures(&mut self) -> Checked {
        for index in 0..self.plans.len() {
            let mut reader = self.store.read().await.map_err(|error| error.to_string())?;
            let figures = reader.plan_figures(self.plans[index]).await.map_err(|error| error.to_string())?;
            let all = self.model.devices.iter().flat_map(|device| &device.upgrades);
            let ends: Vec<_> =
                all.filter(|upgrade| upgrade.plan == index).map(|upgrade| upgrade.end).collect();
            let count = |end| ends.iter().filter(|is| **is == Some(end)).count() as u64;
            let failed = count(End::Failed) + self.model.plans[index].unreached;
            if (figures.upgraded, figures.failed) != (count(End::Upgraded), failed) {
                return Err(format!("plan {index}: {figures:?}, the model says {ends:?}"));
            }
        }
        Ok(())
    }
}

fn is_counted_once(command: Command) -> bool {
    matches!(command, Command::STATUS_EVENT | Command::PLAN_REQUEST)
}

fn bytes(packet: &Packet) -> (Command, Vec<u8>) {
    let mut out = vec![0; 512];
    let list = |versions: &[String; 2]| format!("A:{};B:{}", versions[0], versions[1]);
    let (command, length) = match packet {
        Packet::Report { command, versions } => {
            let mut ttlv = Ttlv::new(&mut out);
            ttlv.text(2, "FW1").text(3, &list(versions)).text(11, "2.9.0");
            (*command, ttlv.finish().unwrap())
        }
        Packet::Request { versions } => {
            let mcu = list(versions);
            let request = PlanRequest { versions: Versions { module: "FW1", mcu: &mcu } };
            (Command::PLAN_REQUEST, request.emit(&mut out).unwrap())
        }
        Packet::Status { component, status, versions } => {
            let mcu = versions.as_ref().map(list);
            let versions = mcu.as_ref().map(|mcu| Versions { module: "FW1", mcu }).unwrap_or_default();
            let status =
                OtaStatus::ALL.into_iter().find(|known| u32::from(known.number()) == *status).unwrap();
            let (kind, component) = (message::ComponentKind::Mcu, COMPONENTS[*component]);
            let event = StatusEvent {
                status,
                kind,
                component,
                signature: None,
                versions,
                extension: Default::default(),
            };
            (Command::STATUS_EVENT, event.emit(&mut out).unwrap())
        }
    };
    out.truncate(length);
    (command, out)
}

fn life(state: &str) -> Life {
    match state.parse().unwrap() {
        PlanState::Saved => Life::Saved,
        PlanState::Activated => Life::Activated,
        PlanState::Upgrading => Life::Upgrading,
        PlanState::Suspended => Life::Suspended,
        PlanState::Terminated => Life::Terminated,
        PlanState::Ended => Life::Ended,
    }
}

fn end(state: &str) -> End {
    match state.parse().unwrap() {
        UpgradeState::NotRequired => End::NotRequired,
        UpgradeState::NotUpgraded => End::NotUpgraded,
        UpgradeState::Upgraded => End::Upgraded,
        // An upgrade that is over and still Upgrading is a disagreement of its own.
        UpgradeState::Upgrading | UpgradeState::Failed => End::Failed,
    }
}

fn state(state: &str) -> State {
    use ComponentState as Is;
    match state.parse().unwrap() {
        Is::PlanNotReceived => State::NotReceived,
        Is::PlanReceived => State::Received,
        Is::Confirmed => State::Confirmed,
        Is::Refused => State::Refused,
        Is::ReadyToDownload => State::Ready,
        Is::Downloading => State::Downloading,
        Is::Downloaded => State::Downloaded,
        Is::DownloadFailed => State::DownloadFailed,
        Is::Upgrading => State::Upgrading,
        Is::Succeeded => State::Succeeded,
        Is::Failed => State::Failed,
        Is::NotRequired => State::NotRequired,
    }
}
