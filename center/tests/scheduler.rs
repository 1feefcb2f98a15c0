//! Time passes: one bad row never stops the rest, and what a tick has to say goes out over the device link.

mod conversation;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use conversation::*;
use quecota_center::clock::Millis;
use quecota_center::engine::{Downlink, Engine, SessionId};
use quecota_center::rules::plan::{PlanState, Push, Supersede};
use quecota_center::rules::*;
use quecota_center::scheduler::{Delivery, DeviceLink, Scheduler};
use quecota_center::seal::Keyring;
use quecota_center::store::*;
use quecota_core::wire::frame::Command;
use quecota_core::wire::message::OtaStatus::*;
use quecota_core::wire::message::Versions;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// A center over a file, so that a test can damage rows behind its back.
struct Bench {
    center: Center,
    url: String,
    _folder: TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}", folder.path().join("center.db").display());
        let store = Store::connect(&url, Keyring::made()).await.unwrap();
        Bench { center: Center::over(store).await, url, _folder: folder }
    }

    async fn damage(&self, sql: String) {
        let mut side = AnyConnection::connect(&self.url).await.unwrap();
        side.execute(AssertSqlSafe(sql)).await.unwrap();
        side.close().await.unwrap();
    }

    /// Makes the device's row one that no version of the center has written.
    async fn damage_device(&self, device: DeviceId) {
        self.damage(format!("UPDATE devices SET auto_confirm = 'perhaps' WHERE id = {}", device.0)).await;
    }

    fn figures(&self) -> String {
        self.center.engine.metrics().text(0).unwrap()
    }
}

fn devices_of(messages: &[(DeviceId, Downlink)]) -> Vec<DeviceId> {
    messages.iter().map(|(device, _)| *device).collect()
}

#[tokio::test]
async fn nothing_is_due_before_the_end_of_a_quiet_unless_something_is_written() {
    let bench = Bench::new().await;
    let center = &bench.center;
    let store = center.engine.store();
    let quiet = center.engine.tick().await.unwrap().quiet.expect("nothing is there");
    assert!(quiet.until > center.clock.now());
    let plan = center.plan(&["STM32"], |_| ()).await;
    tokio::time::timeout(Duration::from_secs(10), store.until_commit(quiet.commits))
        .await
        .expect("a plan was made");

    let mut device = center.test_device("d1").await;
    assert_offers(&device.report("FW1", "STM32:1").await, &["STM32"]);
    // The offer has ten minutes.
    let end = center.clock.now() + Millis::minutes(10);
    center.clock.advance(Millis::minutes(10) - Millis::seconds(7));
    center.engine.tick().await.unwrap();
    let before = store.statements();
    let quiet = center.engine.tick().await.unwrap().quiet.expect("nothing is due yet");
    assert_eq!(store.statements() - before, 1, "what is due is one question");
    assert_eq!(quiet.until, end);
    center.clock.advance(Millis::seconds(7));
    assert_eq!(center.engine.tick().await.unwrap().quiet, None, "it has ended the lease, and looks again");
    let upgrade = store.read().await.unwrap().find_upgrade(plan, device.device).await.unwrap().unwrap();
    assert_eq!(upgrade.components[0].lease_until, None);
    assert_ne!(store.commits(), quiet.commits);
}

#[tokio::test]
async fn a_plan_that_is_pushed_is_not_quiet_beyond_the_next_mark() {
    let bench = Bench::new().await;
    let center = &bench.center;
    center.plan(&["STM32"], |plan| plan.push = Push::Actively).await;
    center.engine.tick().await.unwrap();
    let zone: quecota_center::rules::window::Zone = "UTC".to_owned().try_into().unwrap();
    let mark = zone.next_mark(center.clock.now());
    center.clock.advance(mark - center.clock.now() - Millis::seconds(5));
    let quiet = center.engine.tick().await.unwrap().quiet.expect("there is no device");
    assert_eq!(quiet.until, mark);
}

#[tokio::test]
async fn a_lease_ends_behind_a_device_that_cannot_be_used() {
    let bench = Bench::new().await;
    let center = &bench.center;
    let plan = center.plan(&["STM32"], |_| ()).await;
    let mut devices = [center.test_device("d1").await, center.test_device("d2").await];
    for device in &mut devices {
        assert_offers(&device.report("FW1", "STM32:1").await, &["STM32"]);
    }
    bench.damage_device(devices[0].device).await;
    center.clock.advance(Millis::minutes(11));

    assert_eq!(center.engine.tick().await.unwrap().failed, 1);
    let mut store = center.engine.store().read().await.unwrap();
    let upgrade = store.find_upgrade(plan, devices[1].device).await.unwrap().unwrap();
    let log = store.upgrade_log(upgrade.id, 1_000).await.unwrap().rows;
    let ended = |line: &LogEntry| line.value["text"] == "the offer was not answered";
    assert!(log.iter().any(ended), "the other device's lease has not ended: {log:#?}");
    let log = store.device_log(devices[0].device, 10).await.unwrap();
    assert!(log.iter().any(|line| line.kind == "error" && line.value.to_string().contains("auto_confirm")));
    drop(store);
    assert!(bench.figures().contains(r#"quecota_set_aside_total{what="device"} 1"#), "{}", bench.figures());

    assert_eq!(center.engine.tick().await.unwrap().failed, 0, "it is set aside");
    center.clock.advance(Millis::minutes(11));
    assert_eq!(center.engine.tick().await.unwrap().failed, 1, "it is tried again");
}

#[tokio::test]
async fn more_bad_devices_than_a_tick_takes_do_not_hide_a_good_one() {
    let bench = Bench::new().await;
    let center = &bench.center;
    let package = center.package("STM32", "2", 1).await;
    for number in 0..501 {
        let key = DeviceKey::new(format!("k{number:03}")).unwrap();
        center.device(key.as_str()).await;
        center.engine.verify(package, &key).await.unwrap();
    }
    bench.damage("UPDATE devices SET auto_confirm = 'perhaps' WHERE dk < 'k500'".to_owned()).await;
    center.clock.advance(Millis::minutes(61));
    // The good one may be among the first 500.
    assert!(center.engine.tick().await.unwrap().failed >= 499);
    center.engine.tick().await.unwrap();
    let last = center.device("k500").await.id;
    let mut store = center.engine.store().read().await.unwrap();
    let upgrades = store.device_upgrades(last).await.unwrap();
    assert!(upgrades[0].ended.is_some(), "{upgrades:#?}");
}

#[tokio::test]
async fn a_plan_ends_and_is_pushed_behind_a_plan_that_cannot_be_used() {
    let bench = Bench::new().await;
    let center = &bench.center;
    let bad = center.saved("bad", &["app"], |plan| plan.push = Push::Actively).await;
    let end = NOON + Millis::minutes(30);
    let good = center
        .saved("good", &["STM32"], |plan| {
            plan.push = Push::Actively;
            plan.end = Some(end);
        })
        .await;
    for plan in [bad, good] {
        center.engine.activate(plan, Supersede::Refuse).await.unwrap();
    }
    bench.damage(format!("UPDATE plans SET mode = 'perhaps' WHERE id = {}", bad.0)).await;
    let mut device = center.test_device("d1").await;
    assert_offers(&device.report("FW1", "STM32:1").await, &["STM32"]);
    let mut other = center.test_device("d2").await;
    other.report("FW1", "").await;
    other.report("FW1", "STM32:1").await;
    center.clock.advance(Millis::minutes(10));
    let ticked = center.engine.tick().await.unwrap();
    assert!(devices_of(&ticked.messages).contains(&other.device), "{:?}", ticked.messages);
    assert!(bench.figures().contains(r#"quecota_set_aside_total{what="plan"}"#), "{}", bench.figures());
    center.clock.advance(Millis::minutes(21));
    center.engine.tick().await.unwrap();
    assert_eq!(center.plan_state(good).await, PlanState::Ended);
}

#[tokio::test]
async fn a_push_goes_on_behind_a_device_that_cannot_be_used() {
    let bench = Bench::new().await;
    let center = &bench.center;
    let mut devices = Vec::new();
    for number in 0..4 {
        let mut device = center.test_device(&format!("d{number}")).await;
        assert_eq!(device.report("FW1", "STM32:1").await, []);
        devices.push(device);
    }
    center.plan(&["STM32"], |plan| plan.push = Push::Actively).await;
    bench.damage_device(devices[1].device).await;
    center.clock.advance(Millis::minutes(10));
    let ticked = center.engine.tick().await.unwrap();
    let mut offered = devices_of(&ticked.messages);
    offered.sort();
    assert_eq!(offered, [devices[0].device, devices[2].device, devices[3].device]);
    assert_eq!(ticked.failed, 1);
}

#[tokio::test]
async fn a_start_clears_the_connection_of_a_device_that_cannot_be_used() {
    let bench = Bench::new().await;
    let device = bench.center.connected().await;
    let device = device.device;
    bench.damage_device(device).await;
    let (store, clock) = (bench.center.engine.store().clone(), bench.center.clock.clone());
    let again = Engine::new(store.clone(), clock, Arc::new(Urls));
    again.start().await.unwrap();
    again.end_earlier_sessions().await.unwrap();
    let mut store = store.read().await.unwrap();
    assert_eq!(
        store.count_devices(&pk(), quecota_center::rules::progress::Presence::Online).await.unwrap(),
        0
    );
}

#[tokio::test]
async fn a_message_that_cannot_be_handled_is_for_good_and_in_the_devices_log() {
    let bench = Bench::new().await;
    let center = &bench.center;
    center.plan(&["STM32"], |_| ()).await;
    let mut device = center.connected().await;
    assert_offers(&device.report("FW1", "STM32:1").await, &["STM32"]);
    bench.damage("UPDATE component_upgrades SET state = 'somewhere'".to_owned()).await;
    let status = status_payload("STM32", Confirmed, None, Versions::default());
    let error = device.try_send(Command::STATUS_EVENT, &status).await.unwrap_err();
    assert!(!error.is_temporary(), "{error}");
    let mut store = center.engine.store().read().await.unwrap();
    let log = store.device_log(device.device, 10).await.unwrap();
    assert!(log.iter().any(|line| line.kind == "error" && line.value.to_string().contains("column state")));
    assert!(bench.figures().contains("quecota_messages_failed_total 1"));
}

/// A link that keeps what it is given.
#[derive(Default)]
struct Sent(Mutex<Vec<DeviceId>>);

impl DeviceLink for Sent {
    fn send(&self, device: DeviceId, _: &Downlink) -> Delivery {
        self.0.lock().unwrap().push(device);
        Delivery::Queued
    }

    fn close(&self, _: DeviceId, _: &SessionId) {}

    fn close_all(&self) {}
}

#[tokio::test]
async fn what_a_tick_has_to_say_goes_out_over_the_link_until_the_shutdown() {
    let center = Center::new().await;
    let package = center.package("STM32", "2", 1).await;
    let mut device = center.connected().await;
    assert_eq!(device.report("FW1", "STM32:1").await, []);
    center.engine.verify(package, &DeviceKey::new("d1").unwrap()).await.unwrap();
    let (link, shutdown) = (Arc::new(Sent::default()), CancellationToken::new());
    let scheduler = Scheduler::new(center.engine.clone(), link.clone(), None);
    let running = tokio::spawn(scheduler.run(shutdown.clone()));
    let sent = || link.0.lock().unwrap().clone();
    tokio::time::timeout(Duration::from_secs(10), async {
        while sent().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a message within 10 s");
    assert_eq!(sent(), [device.device]);
    shutdown.cancel();
    running.await.unwrap();
}
