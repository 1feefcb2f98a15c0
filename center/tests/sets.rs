//! What many devices say at one moment: one transaction, few statements, and the failure of a device is its own.

mod conversation;

use std::sync::Arc;

use conversation::*;
use futures_util::future::join_all;
use quecota_center::devices::codec;
use quecota_center::engine::{Engine, Packet};
use quecota_center::rules::plan::Push;
use quecota_center::rules::progress::{ComponentState, Presence};
use quecota_center::rules::*;
use quecota_center::seal::Keyring;
use quecota_center::store::*;
use quecota_core::wire::frame::{Command, Frame};
use quecota_core::wire::message::{OtaStatus, Versions};
use quecota_core::wire::ttlv::Writer as Ttlv;
use sqlx::{AnyConnection, Connection, Executor};

use OtaStatus::*;

/// Statements that `work` takes.
async fn statements<T>(center: &Center, work: impl Future<Output = T>) -> (T, u64) {
    let before = center.engine.store().statements();
    let done = work.await;
    (done, center.engine.store().statements() - before)
}

fn status_packet(device: &mut TestDevice<'_>, status: OtaStatus) -> Packet {
    let payload = status_payload("STM32", status, None, Versions::default());
    device.packet = device.packet.next();
    codec::decode(&Frame { packet: device.packet, command: Command::STATUS_EVENT, payload: &payload })
        .unwrap()
}

/// Devices at work: each has said that it downloads.
async fn downloading<'c>(center: &'c Center, count: usize) -> Vec<TestDevice<'c>> {
    let mut devices = Vec::new();
    for number in 0..count {
        let mut device = center.test_device(&format!("d{number}")).await;
        assert_offers(&device.request("STM32:1").await, &["STM32"]);
        firmware(&device.status(Confirmed).await);
        device.quiet(&[DownloadStart, Downloading]).await;
        devices.push(device);
    }
    devices
}

#[tokio::test]
async fn a_message_by_itself_takes_few_statements() {
    let center = Center::new().await;
    center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
    let mut devices = downloading(&center, 2).await;
    let device = &mut devices[0];
    // Read; the device, the component, the line of the log.
    for (status, most) in [(Downloading, 4), (Downloaded, 4), (Updating, 4), (Downloading, 4)] {
        let (_, took) = statements(&center, device.status(status)).await;
        assert!(took <= most, "{status:?} took {took} statements");
    }
    // The upgrade as well.
    let (_, took) = statements(&center, device.status(UpdateError)).await;
    assert!(took <= 5, "status 12 took {took} statements");
    // Nothing is new for a device at its target: read, and the packet that it sent last.
    let mut idle = center.test_device("idle").await;
    idle.report("FW1", "OTHER:2").await;
    for plan in 0..5 {
        let id = center.saved(&format!("plan {plan}"), &["SENSOR"], |plan| plan.push = Push::OnRequest).await;
        center.engine.activate(id, plan::Supersede::Agreed).await.unwrap();
    }
    idle.request("OTHER:2").await;
    let (_, took) = statements(&center, idle.request("OTHER:2")).await;
    assert!(took <= 4, "a request under six plans took {took} statements");
    let (_, took) = statements(&center, idle.report("FW1", "OTHER:2")).await;
    assert!(took <= 1, "a report of what is known took {took} statements");
}

#[tokio::test]
async fn what_a_device_measures_and_runs_takes_few_statements() {
    let center = Center::new().await;
    center.plan(&["SENSOR"], |plan| plan.push = Push::OnRequest).await;
    let mut device = center.connected().await;
    device.report("FW1", "STM32:1").await;
    for battery in [80u8, 79] {
        let mut out = [0; 64];
        let length = Ttlv::new(&mut out).number(1, battery).number(5, -90i64).finish().unwrap();
        let (_, took) = statements(&center, device.send(Command::STATUS_REPORT, &out[..length])).await;
        assert!(took <= 2, "battery {battery} took {took} statements");
    }
    for (module, mcu) in [("FW2", "STM32:1"), ("FW3", "STM32:1"), ("FW3", "STM32:2"), ("FW3", "OTHER:2")] {
        let (_, took) = statements(&center, device.report(module, mcu)).await;
        assert!(took <= 4, "versions {module} and {mcu} took {took} statements");
    }
}

#[tokio::test]
async fn a_request_with_nothing_new_takes_two_statements() {
    let center = Center::new().await;
    let mut device = center.connected().await;
    device.request("STM32:1").await;
    let (_, took) = statements(&center, device.request("STM32:1")).await;
    assert!(took <= 2, "{took} statements");
}

#[tokio::test]
async fn a_request_under_five_plans_takes_as_few_statements_as_under_one_and_leaves_one_line() {
    let center = Center::new().await;
    let mut device = center.connected().await;
    let mut took = Vec::new();
    for plans in [1, 4] {
        for plan in 0..plans {
            let name = format!("{plan} of {plans}");
            let id = center.saved(&name, &["SENSOR"], |plan| plan.push = Push::OnRequest).await;
            center.engine.activate(id, plan::Supersede::Agreed).await.unwrap();
        }
        device.request("STM32:1").await;
        took.push(statements(&center, device.request("STM32:1")).await.1);
    }
    assert_eq!(took[0], took[1]);
    // Read; the line again, and the packet.
    assert!(took[1] <= 3, "{took:?}");
    let log = center.engine.store().read().await.unwrap().device_log(device.device, 10).await.unwrap();
    let held: Vec<_> = log.iter().filter(|entry| entry.kind == "held").collect();
    let plans: Vec<_> =
        held.iter().map(|entry| entry.value["plans"].as_array().map_or(1, Vec::len)).collect();
    assert_eq!((plans, held[0].times, held[1].times), (vec![1, 5], 2, 2), "{held:?}");
    assert!(held[1].value["reason"].is_string(), "one reason for all of them: {held:?}");
}

#[tokio::test]
async fn webhooks_are_told_of_a_set_by_one_statement() {
    let mut each = Vec::new();
    for count in [6, 24] {
        let center = Center::new().await;
        center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
        let (name, secret) = (TokenName::new("ops").unwrap(), webhook::WebhookSecret::of(&[7; 32]));
        let url = "https://ops.example/hook";
        let hook =
            NewWebhook { name: &name, url, events: None, product: None, secret: &secret, made_by: "admin" };
        let mut writer = center.engine.store().write().await.unwrap();
        let hook = writer.create_webhook(&hook, 10, NOON).await.unwrap();
        writer.commit().await.unwrap();
        let mut devices = Vec::new();
        for number in 0..count {
            let mut device = center.test_device(&format!("d{number}")).await;
            assert_offers(&device.request("STM32:1").await, &["STM32"]);
            devices.push(device);
        }
        let packets: Vec<_> =
            devices.iter_mut().map(|device| (device.device, status_packet(device, Confirmed))).collect();
        let said = packets.iter().map(|(device, packet)| center.engine.received(*device, packet.clone()));
        let (answers, took) = statements(&center, join_all(said)).await;
        assert!(answers.iter().all(|answer| answer.as_ref().unwrap().len() == 1));
        each.push(took);
        let mut reader = center.engine.store().read().await.unwrap();
        let told = reader.deliveries(hook.id, None, i64::MAX, 100).await.unwrap().rows;
        let started = told.iter().filter(|told| told.event == webhook::WebhookEvent::UpgradeStarted);
        assert_eq!(started.count(), count, "{told:?}");
    }
    assert!(each[1] <= each[0] + 1, "{each:?}");
}

#[tokio::test]
async fn what_fifty_devices_say_at_once_takes_as_few_statements_as_what_two_say() {
    let center = Center::new().await;
    center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
    let mut devices = downloading(&center, 50).await;
    let packets: Vec<_> =
        devices.iter_mut().map(|device| (device.device, status_packet(device, Downloaded))).collect();
    let said = packets.iter().map(|(device, packet)| center.engine.received(*device, packet.clone()));
    let (answers, took) = statements(&center, join_all(said)).await;
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap().is_empty()));
    // The first may be a set of its own.
    assert!(took <= 8, "{took} statements");
    let mut reader = center.engine.store().read().await.unwrap();
    for device in &devices {
        let upgrades = reader.open_upgrades(device.device).await.unwrap();
        assert_eq!(upgrades[0].components[0].state, ComponentState::Downloaded);
        let log = reader.device_log(device.device, 1).await.unwrap();
        assert_eq!((log[0].kind.as_str(), &log[0].value["status"]), ("status", &8.into()));
    }
}

/// A center over a file, and another connection to that file.
async fn over_a_file(folder: &std::path::Path) -> (Center, AnyConnection) {
    let url = format!("sqlite://{}", folder.join("center.db").display());
    let center = Center::over(Store::connect(&url, Keyring::made()).await.unwrap()).await;
    (center, AnyConnection::connect(&url).await.unwrap())
}

#[tokio::test]
async fn a_device_whose_row_the_database_refuses_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (center, mut side) = over_a_file(folder.path()).await;
    center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
    let mut devices = downloading(&center, 5).await;
    let bad = devices[2].device;
    side.execute(sqlx::AssertSqlSafe(format!(
        "CREATE TRIGGER refuses BEFORE UPDATE ON devices WHEN NEW.id = {} \
         BEGIN SELECT RAISE(ABORT, 'this one is refused'); END",
        bad.0
    )))
    .await
    .unwrap();
    let packets: Vec<_> =
        devices.iter_mut().map(|device| (device.device, status_packet(device, Downloaded))).collect();
    let said = packets.iter().map(|(device, packet)| center.engine.received(*device, packet.clone()));
    let answers = join_all(said).await;
    for ((device, _), answer) in packets.iter().zip(answers) {
        match answer {
            Err(error) => assert!(*device == bad && !error.is_temporary(), "{device:?}: {error}"),
            Ok(_) => assert_ne!(*device, bad),
        }
        let open = center.engine.store().read().await.unwrap().open_upgrades(*device).await.unwrap();
        let expected = if *device == bad { ComponentState::Downloading } else { ComponentState::Downloaded };
        assert_eq!(open[0].components[0].state, expected, "{device:?}");
    }
}

#[tokio::test]
async fn nothing_is_answered_whose_commit_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (center, mut side) = over_a_file(folder.path()).await;
    center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
    let mut devices = downloading(&center, 3).await;
    // Every statement is taken, and the commit is not: the reference is looked at only then.
    for statement in [
        "CREATE TABLE named (id INTEGER PRIMARY KEY)",
        "CREATE TABLE refers (id INTEGER REFERENCES named (id) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TRIGGER fails AFTER UPDATE ON component_upgrades WHEN NEW.state = 'downloaded' \
         BEGIN INSERT INTO refers VALUES (1); END",
    ] {
        side.execute(statement).await.unwrap();
    }
    let packets: Vec<_> =
        devices.iter_mut().map(|device| (device.device, status_packet(device, Downloaded))).collect();
    let said = || packets.iter().map(|(device, packet)| center.engine.received(*device, packet.clone()));
    for answer in join_all(said()).await {
        assert!(answer.unwrap_err().is_temporary(), "it is not acknowledged, and the device says it again");
    }
    let states = async || {
        let mut states = Vec::new();
        for (device, _) in &packets {
            let open = center.engine.store().read().await.unwrap().open_upgrades(*device).await.unwrap();
            states.push(open[0].components[0].state);
        }
        states
    };
    assert_eq!(states().await, [ComponentState::Downloading; 3]);
    side.execute("DROP TRIGGER fails").await.unwrap();
    for answer in join_all(said()).await {
        assert_eq!(answer.unwrap(), []);
    }
    assert_eq!(states().await, [ComponentState::Downloaded; 3]);
}

#[tokio::test]
async fn a_plan_that_is_suspended_is_offered_to_nobody_from_then_on() {
    let center = Center::new().await;
    let plan = center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
    let (mut first, mut second) = (center.test_device("d1").await, center.test_device("d2").await);
    assert_offers(&first.request("STM32:1").await, &["STM32"]);
    center.engine.suspend(plan).await.unwrap();
    assert_eq!(second.request("STM32:1").await, []);
    center.engine.resume(plan).await.unwrap();
    assert_offers(&second.request("STM32:1").await, &["STM32"]);
}

#[tokio::test]
async fn a_start_touches_no_row_of_a_connection_and_they_end_in_sets() {
    const DEVICES: usize = 300;
    let start = async |count: usize| {
        let center = Center::new().await;
        center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
        // Some of them are in the middle of an upgrade.
        let ids: Vec<_> = downloading(&center, count / 10).await.iter().map(|device| device.device).collect();
        for number in ids.len()..count {
            center.test_device(&format!("d{number}")).await;
        }
        let again = Center {
            engine: Engine::new(center.engine.store().clone(), center.clock.clone(), Arc::new(Urls)),
            clock: center.clock.clone(),
        };
        let ((), took) = statements(&again, async { again.engine.start().await.unwrap() }).await;
        (again, took)
    };
    let (empty, few) = start(0).await;
    let (center, took) = start(DEVICES).await;
    assert_eq!(took, few, "statements of a start with {DEVICES} connections left behind");
    assert_eq!(online(&center).await, 300, "their rows are as they were");
    let ((), none) = statements(&empty, async { empty.engine.end_earlier_sessions().await.unwrap() }).await;

    // Who comes back meanwhile is no second device with the same key, and is not sent away.
    let back = center.test_device("d1").await;
    let row = center.engine.store().read().await.unwrap().device_by_id(back.device).await.unwrap();
    assert_eq!(row.takeovers.times, 0);
    let ((), took) = statements(&center, async { center.engine.end_earlier_sessions().await.unwrap() }).await;
    assert!(took <= none + 30, "{took} statements for {DEVICES} connections");
    assert_eq!(online(&center).await, 1);
}

async fn online(center: &Center) -> i64 {
    let mut store = center.engine.store().read().await.unwrap();
    store.count_devices(&pk(), Presence::Online).await.unwrap()
}
