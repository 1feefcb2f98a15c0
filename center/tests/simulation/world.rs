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

mod compare;
mod device;
mod operator;

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
        self.engine.end_earlier_sessions().await.map_err(|error| format!("after the start: {error}"))?;
        let now = self.now();
        self.model.restart(now);
        for gadget in &mut self.gadgets {
            gadget.session = None;
        }
        self.compare().await
    }

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
}
