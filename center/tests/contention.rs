//! Many devices and operators at once over PostgreSQL, whose rows are locked one by one: nobody waits in a circle, and no
//! device pays for another one's transaction.

mod conversation;
mod own_postgres;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use conversation::*;
use own_postgres::Postgres;
use quecota_center::devices::codec;
use quecota_center::engine::{Chosen, Engine, EngineError, Order, UserCommand};
use quecota_center::rules::plan::{Halt, Mode, Supersede};
use quecota_center::rules::progress::UpgradeState;
use quecota_center::rules::*;
use quecota_center::seal::Keyring;
use quecota_center::store::{DeviceId, Store};
use quecota_core::wire::frame::{Command, Frame, PacketId};
use quecota_core::wire::message::{OtaStatus, PlanRequest, Versions};
use quecota_core::wire::ttlv::Writer as Ttlv;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::Barrier;

/// A PostgreSQL that looks for deadlocks at once, and a center over it.
async fn center() -> (Postgres, Center) {
    let server = Postgres::start();
    server.ask("ALTER DATABASE postgres SET deadlock_timeout = '50ms'");
    let store = Store::connect(&server.url(), Keyring::made()).await.unwrap();
    (server, Center::over(store).await)
}

/// Deadlocks that the server has seen. The sessions of the center end first: they report their figures then.
async fn deadlocks(server: &Postgres, center: Center) -> u64 {
    center.engine.store().close().await;
    let sessions =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = 'postgres' AND pid <> pg_backend_pid()";
    while server.ask(sessions) != "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    server.ask("SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'").parse().unwrap()
}

/// A device that many tasks may speak for.
struct Speaker {
    engine: Engine,
    device: DeviceId,
    packet: PacketId,
}

type Heard = Result<Vec<quecota_center::engine::Downlink>, EngineError>;

impl Speaker {
    async fn send(&mut self, command: Command, payload: &[u8]) -> Heard {
        let packet = codec::decode(&Frame { packet: self.packet, command, payload }).unwrap();
        self.packet = self.packet.next();
        self.engine.received(self.device, packet).await
    }

    async fn report(&mut self, mcu: &str) -> Heard {
        let mut out = [0; 512];
        let length = Ttlv::new(&mut out).text(2, "FW1").text(3, mcu).text(11, "2.9.0").finish().unwrap();
        self.send(Command::INFO_REPORT, &out[..length]).await
    }

    async fn request(&mut self, mcu: &str) -> Heard {
        let mut out = [0; 512];
        let length = PlanRequest { versions: Versions { module: "FW1", mcu } }.emit(&mut out).unwrap();
        self.send(Command::PLAN_REQUEST, &out[..length]).await
    }

    async fn status(&mut self, component: &str, status: OtaStatus, versions: Versions<'_>) -> Heard {
        self.send(Command::STATUS_EVENT, &status_payload(component, status, None, versions)).await
    }
}

async fn speakers(center: &Center, count: usize) -> Vec<Speaker> {
    let mut speakers = Vec::new();
    for number in 0..count {
        let device = center.device(&format!("d{number}")).await.id;
        center.engine.online(device).await.unwrap();
        speakers.push(Speaker { engine: center.engine.clone(), device, packet: PacketId::FIRST });
    }
    speakers
}

/// `devices` confirm at the same moment in a plan of this kind: each gets its URL, within seconds.
async fn confirm_at_once(devices: usize, suspended: bool) {
    let (server, center) = center().await;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut ready = Vec::new();
    for mut speaker in speakers(&center, devices).await {
        assert_offers(&speaker.report("STM32:1").await.unwrap(), &["STM32"]);
        ready.push(speaker);
    }
    if suspended {
        center.engine.suspend(plan).await.unwrap();
    }
    let barrier = Arc::new(Barrier::new(devices + 1));
    let tasks: Vec<_> = ready
        .into_iter()
        .map(|mut speaker| {
            let barrier = barrier.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                speaker.status("STM32", OtaStatus::Confirmed, Versions::default()).await
            })
        })
        .collect();
    barrier.wait().await;
    let begun = Instant::now();
    let mut refused = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(messages) => drop(firmware(&messages)),
            Err(error) => refused.push(error.to_string()),
        }
    }
    let elapsed = begun.elapsed();
    let seen = deadlocks(&server, center).await;
    println!("{devices} devices confirmed in {elapsed:?}: {} errors, {seen} deadlocks", refused.len());
    assert_eq!((refused, seen), (Vec::new(), 0));
    assert!(elapsed < Duration::from_secs(20), "{elapsed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_devices_confirm_at_once() {
    confirm_at_once(200, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn devices_confirm_at_once_in_a_suspended_plan() {
    confirm_at_once(50, true).await;
}

/// What a device does that reboots, repeats itself and jumps between states.
async fn misbehave(mut speaker: Speaker, seed: u64, until: Instant) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut refused = Vec::new();
    while Instant::now() < until {
        let component = if random.random_bool(0.5) { "STM32" } else { "SENSOR" };
        let mcu = if random.random_bool(0.1) { "STM32:2;SENSOR:1" } else { "STM32:1;SENSOR:1" };
        let heard = match random.random_range(0..10) {
            0 => speaker.engine.online(speaker.device).await.map(|connected| connected.messages),
            1 => speaker.report(mcu).await,
            2 | 3 => speaker.request(mcu).await,
            _ => {
                let status = OtaStatus::ALL[random.random_range(0..OtaStatus::ALL.len())];
                let status = if random.random_bool(0.4) { OtaStatus::Confirmed } else { status };
                speaker.status(component, status, Versions { module: "FW1", mcu }).await
            }
        };
        if let Err(error) = heard {
            refused.push(error.to_string());
        }
    }
    refused
}

/// What several operators, end users and the scheduler do meanwhile. Refusals of the rules are no errors here.
async fn operate(
    engine: Engine,
    plans: Vec<PlanId>,
    devices: usize,
    seed: u64,
    until: Instant,
) -> Vec<String> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut refused = Vec::new();
    while Instant::now() < until {
        let plan = plans[random.random_range(0..plans.len())];
        let key = DeviceKey::new(format!("d{}", random.random_range(0..devices))).unwrap();
        let done = match random.random_range(0..12) {
            0 => engine.suspend(plan).await.map(drop),
            1 | 2 => engine.resume(plan).await.map(drop),
            3 => engine.order(plan, Chosen::Keys(vec![key]), &Order::Retry).await.map(drop),
            4 => {
                let order = Order::Skip { reason: "out of use".into() };
                engine.order(plan, Chosen::Keys(vec![key]), &order).await.map(drop)
            }
            5 => engine.apply_user_command(&pk(), &key, Some(plan), UserCommand::Confirm).await.map(drop),
            6 => engine.apply_user_command(&pk(), &key, Some(plan), UserCommand::Cancel).await.map(drop),
            7 => engine.apply_user_command(&pk(), &key, Some(plan), UserCommand::Retry).await.map(drop),
            8 => {
                let state = UpgradeState::Failed;
                let chosen = Chosen::Filter { state, reason: None, after: 0 };
                engine.order(plan, chosen, &Order::Retry).await.map(drop)
            }
            9 if random.random_bool(0.1) => engine.terminate(plan).await.map(drop),
            10 => engine.activate(plan, Supersede::Agreed).await.map(drop),
            _ => engine.tick().await.map(drop),
        };
        if let Err(error) = done
            && error.is_temporary()
        {
            refused.push(error.to_string());
        }
    }
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_mix_of_devices_operators_and_time_waits_in_a_circle() {
    const DEVICES: usize = 12;
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let (server, center) = center().await;
    let mut plans = Vec::new();
    for number in 0..8 {
        let components: &[&str] = [&["STM32"][..], &["SENSOR"], &["SENSOR", "STM32"]][number % 3];
        let plan = center
            .saved(&format!("plan {number}"), components, |plan| {
                plan.strategy.retries = 10;
                plan.strategy.refusal_delay = 10;
                if number % 4 == 1 {
                    plan.strategy.max_in_flight = Some(3);
                    plan.strategy.max_per_minute = Some(100);
                }
                if number % 4 == 2 {
                    plan.strategy.halt = Some(Halt { percent: 50, after: 4 });
                }
                if number % 4 == 3 {
                    plan.mode = Mode::Manual;
                    plan.texts.insert("zh".into(), "text".into());
                    plan.texts.insert("en".into(), "text".into());
                }
            })
            .await;
        plans.push(plan);
    }
    for plan in &plans[..5] {
        center.engine.activate(*plan, Supersede::Agreed).await.unwrap();
    }
    let until = Instant::now() + Duration::from_secs(10);
    let mut tasks = Vec::new();
    for (number, speaker) in (1u64..).zip(speakers(&center, DEVICES).await) {
        // Two connections speak for the same device.
        let twin = Speaker { engine: speaker.engine.clone(), device: speaker.device, packet: speaker.packet };
        tasks.push(tokio::spawn(misbehave(speaker, seed.wrapping_add(number), until)));
        tasks.push(tokio::spawn(misbehave(twin, seed.wrapping_sub(number), until)));
    }
    for number in 100..106 {
        let engine = center.engine.clone();
        tasks.push(tokio::spawn(operate(engine, plans.clone(), DEVICES, seed.wrapping_add(number), until)));
    }
    let mut refused = Vec::new();
    for task in tasks {
        refused.extend(task.await.unwrap());
    }
    let upgrades: usize = server.ask("SELECT COUNT(*) FROM upgrades").parse().unwrap();
    let lines = server.ask("SELECT COUNT(*) FROM upgrade_log");
    let seen = deadlocks(&server, center).await;
    println!("{upgrades} upgrades, {lines} log lines, {} errors, {seen} deadlocks", refused.len());
    assert!(upgrades > DEVICES, "too little happened: {upgrades} upgrades");
    assert_eq!((refused, seen), (Vec::new(), 0), "seed {seed}");
}
