//! Several centers on one PostgreSQL: who does what is due, who holds which device, and what becomes of a center that falls
//! silent.

mod conversation;
mod planting;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use conversation::*;
use quecota_center::access::{Access, AccessError};
use quecota_center::clock::{Clock, Millis};
use quecota_center::engine::centers::Beat;
use quecota_center::engine::{Downlink, Engine, EngineError, SessionId};
use quecota_center::rules::plan::Supersede;
use quecota_center::rules::*;
use quecota_center::scheduler::{Delivery, DeviceLink, Scheduler};
use quecota_center::seal::Keyring;
use quecota_center::store::*;
use quecota_core::wire::message::OtaStatus;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row};
use tokio::sync::Barrier;
use tokio_util::sync::CancellationToken;

/// A schema of the tests' PostgreSQL, for several centers.
struct Bench {
    url: String,
    schema: String,
    keys: Keyring,
}

impl Bench {
    async fn new() -> Bench {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("QUECOTA_TEST_POSTGRES").expect(
            "QUECOTA_TEST_POSTGRES is not set: run `cargo xtask test`, which starts a PostgreSQL for the tests, \
             or set it to the URL of an empty PostgreSQL database (postgres://user@host:port/database)",
        );
        let schema = format!("centers_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&server).await.unwrap();
        connection.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).await.unwrap();
        connection.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
        let mark = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{mark}options[search_path]={schema}");
        Bench { url, schema, keys: Keyring::made() }
    }

    async fn store(&self) -> Store {
        Store::connect(&self.url, self.keys.clone()).await.unwrap()
    }

    /// The id of a center of this bench: notifications are of the whole server.
    fn id(&self, name: &str) -> String {
        format!("{}-{name}", self.schema)
    }

    /// The first center, with the product, and not started yet.
    async fn center(&self, name: &str) -> Center {
        let center = Center::over(self.store().await).await;
        Center { engine: center.engine.owned_by(&self.id(name)), clock: center.clock }
    }

    /// Another center beside `first`, with connections of its own to the database.
    async fn beside(&self, first: &Center, name: &str) -> Center {
        let engine = Engine::new(self.store().await, first.clock.clone(), Arc::new(Urls));
        Center { engine: engine.owned_by(&self.id(name)), clock: first.clock.clone() }
    }

    async fn sql(&self, statement: String) {
        let mut side = AnyConnection::connect(&self.url).await.unwrap();
        side.execute(AssertSqlSafe(statement)).await.unwrap();
    }

    async fn number(&self, question: &str) -> i64 {
        let mut side = AnyConnection::connect(&self.url).await.unwrap();
        let question = AssertSqlSafe(format!("SELECT COUNT(*) AS number FROM {question}"));
        sqlx::query(question).fetch_one(&mut side).await.unwrap().get("number")
    }

    /// The center said its last word so long ago.
    async fn silence(&self, name: &str, span: Millis) {
        let id = self.id(name);
        self.sql(format!("UPDATE centers SET beat_at = beat_at - {} WHERE id = '{id}'", span.0)).await;
    }
}

/// The center that holds the device.
async fn holder(center: &Center, device: DeviceId) -> Option<String> {
    center.engine.store().read().await.unwrap().device_by_id(device).await.unwrap().center
}

/// A link that keeps what it is given.
#[derive(Default)]
struct Link {
    sent: Mutex<Vec<DeviceId>>,
    closed: Mutex<Vec<(DeviceId, SessionId)>>,
}

impl DeviceLink for Link {
    fn send(&self, device: DeviceId, _: &Downlink) -> Delivery {
        self.sent.lock().unwrap().push(device);
        Delivery::Queued
    }

    fn close(&self, device: DeviceId, session: &SessionId) {
        self.closed.lock().unwrap().push((device, session.clone()));
    }

    fn close_all(&self) {}
}

async fn within_ten_seconds(what: &str, mut is_there: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is_there() {
        assert!(Instant::now() < end, "{what}: not within 10 s");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_start_touches_only_its_own_connections() {
    let bench = Bench::new().await;
    let a = bench.center("a").await;
    let b = bench.beside(&a, "b").await;
    a.engine.start().await.unwrap();
    b.engine.start().await.unwrap();
    a.plan(&["STM32"], |_| ()).await;
    let mut first = a.test_device("d1").await;
    assert_offers(&first.report("FW1", "STM32:1").await, &["STM32"]);
    let second = b.test_device("d2").await;
    let lease = "component_upgrades WHERE lease_until IS NOT NULL AND lease_until > ";
    let until = NOON + Millis::minutes(11);
    assert_eq!(bench.number(&format!("{lease}{}", until.0)).await, 0);

    a.clock.advance(Millis::minutes(9));
    bench.silence("b", Millis::seconds(11)).await;
    let again = bench.beside(&a, "b").await;
    again.engine.start().await.unwrap();
    again.engine.end_earlier_sessions().await.unwrap();
    assert_eq!(holder(&a, first.device).await, Some(bench.id("a")));
    assert_eq!(holder(&a, second.device).await, None);
    assert_eq!(
        bench.number(&format!("{lease}{}", until.0)).await,
        0,
        "a lease of the other center was extended"
    );
}

#[tokio::test]
async fn a_center_that_falls_silent_loses_its_connections_and_learns_of_it() {
    let bench = Bench::new().await;
    let a = bench.center("a").await;
    let b = bench.beside(&a, "b").await;
    a.engine.start().await.unwrap();
    b.engine.start().await.unwrap();
    a.plan(&["STM32"], |_| ()).await;
    let mut busy = a.test_device("d1").await;
    assert_offers(&busy.report("FW1", "STM32:1").await, &["STM32"]);
    let idle = a.test_device("d2").await;
    let own = b.test_device("d3").await;
    b.engine.end_silent_centers().await.unwrap();
    assert_eq!(holder(&b, busy.device).await, Some(bench.id("a")), "it is alive");

    bench.silence("a", Millis::seconds(11)).await;
    let others = bench.beside(&a, "c").await;
    let (one, other) = tokio::join!(b.engine.end_silent_centers(), others.engine.end_silent_centers());
    one.and(other).unwrap();
    for device in [busy.device, idle.device] {
        assert_eq!(holder(&b, device).await, None);
    }
    assert_eq!(holder(&b, own.device).await, Some(bench.id("b")));
    assert_eq!(a.engine.beat().await.unwrap(), Beat::Lost);
    assert_eq!(a.engine.beat().await.unwrap(), Beat::Counted, "it has begun anew");
    // The device comes back at the other center, and its upgrade goes on there.
    let mut back = b.test_device("d1").await;
    assert_offers(&back.report("FW1", "STM32:1").await, &["STM32"]);
    firmware(&back.status(OtaStatus::Confirmed).await);
}

#[tokio::test]
async fn what_is_due_is_done_by_the_center_that_holds_the_device() {
    let bench = Bench::new().await;
    let a = bench.center("a").await;
    let b = bench.beside(&a, "b").await;
    let package = a.package("STM32", "2", 1).await;
    let mut device = b.test_device("d1").await;
    assert_eq!(device.report("FW1", "STM32:1").await, []);
    a.engine.verify(package, &DeviceKey::new("d1").unwrap()).await.unwrap();
    assert_eq!(a.tick().await, [], "the device is not connected here");
    let messages = b.tick().await;
    assert!(
        matches!(messages.as_slice(), [(id, Downlink::Offer(_))] if *id == device.device),
        "{messages:?}"
    );
}

#[tokio::test]
async fn a_notification_brings_an_offer_long_before_the_next_tick() {
    let bench = Bench::new().await;
    let a = bench.center("a").await;
    let b = bench.beside(&a, "b").await;
    let (link, shutdown) = (Arc::new(Link::default()), CancellationToken::new());
    let scheduler = Scheduler::new(b.engine.clone(), link.clone(), None);
    b.engine.start().await.unwrap();
    let running = tokio::spawn(scheduler.ticking_every(Duration::from_secs(3600)).run(shutdown.clone()));
    let heard = || b.engine.metrics().text(0).unwrap();
    let package = a.package("STM32", "2", 1).await;
    let mut device = b.test_device("d1").await;
    assert_eq!(device.report("FW1", "STM32:1").await, []);
    // The first ticks, of the start and of the listener, are over once nothing more comes of them.
    within_ten_seconds("two ticks", || heard().contains("quecota_tick_seconds_count 2")).await;
    a.engine.verify(package, &DeviceKey::new("d1").unwrap()).await.unwrap();
    within_ten_seconds("the offer", || *link.sent.lock().unwrap() == [device.device]).await;
    assert!(heard().contains("quecota_wakeups_total 1"), "{}", heard());

    // The device connects to the other center: its connection here is to be closed.
    let session = device.session.clone().unwrap();
    a.engine.online(device.device).await.unwrap();
    within_ten_seconds("the close", || *link.closed.lock().unwrap() == [(device.device, session.clone())])
        .await;
    assert_eq!(b.engine.taken_over().await.unwrap(), [], "once");
    shutdown.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_device_in_another_transaction_is_passed_over_and_stays_due() {
    let bench = Bench::new().await;
    let a = bench.center("a").await;
    a.plan(&["STM32"], |_| ()).await;
    let mut device = a.test_device("d1").await;
    assert_offers(&device.report("FW1", "STM32:1").await, &["STM32"]);
    device.disconnect().await;
    a.clock.advance(Millis::hours(100));
    let store = bench.store().await;
    let mut other = store.write().await.unwrap();
    other.lock_device(device.device).await.unwrap();
    let b = bench.beside(&a, "b").await;
    let ticked =
        tokio::time::timeout(Duration::from_secs(10), b.engine.tick()).await.expect("it waits for nobody");
    assert_eq!(ticked.unwrap().failed, 0);
    let leases = "component_upgrades WHERE lease_until IS NOT NULL";
    assert_eq!(bench.number(leases).await, 1);
    drop(other);
    b.tick().await;
    assert_eq!(bench.number(leases).await, 0, "a lease of a device that nobody holds is everybody's affair");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn limits_hold_across_centers() {
    const DEVICES: usize = 24;
    let bench = Bench::new().await;
    let a = bench.center("a").await;
    let b = bench.beside(&a, "b").await;
    let plan = a.plan(&["STM32"], |plan| plan.strategy.max_in_flight = Some(5)).await;
    let mut devices = Vec::new();
    for number in 0..DEVICES {
        let center = [&a, &b][number % 2];
        devices.push(center.test_device(&format!("d{number}")).await);
    }
    let asked =
        futures_util::future::join_all(devices.iter_mut().map(|device| device.request("STM32:1"))).await;
    let offered = asked.iter().filter(|messages| !messages.is_empty()).count();
    assert_eq!(offered, 5);
    assert_eq!(bench.number(&format!("upgrades WHERE plan_id = {} AND outstanding = 1", plan.0)).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_activations_at_one_moment_see_each_other() {
    let bench = Bench::new().await;
    let a = bench.center("a").await;
    let b = bench.beside(&a, "b").await;
    for round in 0..8 {
        let one = a.saved(&format!("one {round}"), &["STM32"], |_| ()).await;
        let other = a.saved(&format!("other {round}"), &["STM32"], |_| ()).await;
        let barrier = Arc::new(Barrier::new(2));
        let activate = |engine: Engine, plan: PlanId| {
            let barrier = barrier.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                engine.activate(plan, Supersede::Refuse).await.map(drop)
            })
        };
        let (first, second) = (activate(a.engine.clone(), one), activate(b.engine.clone(), other));
        let outcomes = [first.await.unwrap(), second.await.unwrap()];
        let refused = outcomes.iter().filter(|done| matches!(done, Err(EngineError::Activation(_)))).count();
        let done = outcomes.iter().filter(|done| done.is_ok()).count();
        assert_eq!((done, refused), (1, 1), "round {round}: {outcomes:?}");
        for plan in [one, other] {
            if a.plan_state(plan).await.offers() {
                a.engine.terminate(plan).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn centers_that_start_at_once_migrate_once_and_share_one_url_key() {
    let bench = Bench::new().await;
    let stores = futures_util::future::join_all((0..4).map(|_| bench.store())).await;
    let keys = futures_util::future::join_all(stores.iter().map(|store| store.url_keys(None, NOON))).await;
    let keys: Vec<_> = keys.into_iter().map(Result::unwrap).collect();
    assert!(keys.iter().all(|each| *each == keys[0] && each.len() == 1), "{} keys", keys[0].len());
    // Keys of data folders of before come in behind it, once each.
    for _ in 0..2 {
        let all = stores[1].url_keys(Some([7; 32]), NOON).await.unwrap();
        assert_eq!(all, [keys[0][0], [7; 32]]);
    }
    let shown = bench.number("url_keys WHERE secret LIKE '%0707%'").await;
    assert_eq!(shown, 0, "they are sealed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn centers_that_seal_anew_at_once_do_not_wait_in_a_circle() {
    let bench = Bench::new().await;
    let store = bench.store().await;
    let center = Center::over(store.clone()).await;
    let keys = (0..2_000).map(|number| {
        let secret = DeviceSecret::new("0123456789abcdef").unwrap();
        (DeviceKey::new(format!("d{number}")).unwrap(), secret)
    });
    let mut writer = center.engine.store().write().await.unwrap();
    writer.import_devices(&pk(), &keys.collect::<Vec<_>>(), NOON).await.unwrap();
    writer.commit().await.unwrap();
    let renewed = bench.keys.renewed();
    let one = Store::connect(&bench.url, renewed.clone()).await.unwrap();
    let other = Store::connect(&bench.url, renewed.clone()).await.unwrap();
    let (first, second) = tokio::join!(
        tokio::spawn(async move { one.seal_all().await }),
        tokio::spawn(async move { other.seal_all().await })
    );
    let (first, second) = (first.unwrap().unwrap(), second.unwrap().unwrap());
    assert_eq!(first.former + second.former, 2_001);
    assert_eq!(bench.number(&format!("devices WHERE seal <> '{}'", renewed.current())).await, 0);
}

#[tokio::test]
async fn connections_of_a_center_that_nobody_knows_end_after_an_hour() {
    let bench = Bench::new().await;
    let a = bench.center("a").await;
    a.engine.start().await.unwrap();
    let device = a.device("d1").await.id;
    // As a version before this one has written it.
    bench.sql("UPDATE devices SET session = 'center/1', online = 1".to_owned()).await;
    a.engine.note_unknown_centers().await.unwrap();
    bench.sql("UPDATE centers SET beat_at = beat_at - 3500000 WHERE id = 'center'".to_owned()).await;
    a.engine.end_silent_centers().await.unwrap();
    assert_eq!(
        holder(&a, device).await.as_deref(),
        Some("center"),
        "it may be a version without a sign of life"
    );
    bench.sql("UPDATE centers SET beat_at = beat_at - 200000 WHERE id = 'center'".to_owned()).await;
    a.engine.end_silent_centers().await.unwrap();
    assert_eq!(holder(&a, device).await, None);
    assert_eq!(bench.number("centers").await, 1);
}

#[tokio::test]
async fn a_center_id_is_one_living_process_s() {
    let bench = Bench::new().await;
    let a = bench.center("a").await;
    a.engine.start().await.unwrap();
    let engine = a.engine.clone();
    let beats = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if engine.beat().await.unwrap() == Beat::Replaced {
                return;
            }
        }
    });
    let twin = bench.beside(&a, "a").await;
    let error = twin.engine.start().await.unwrap_err();
    assert!(matches!(&error, EngineError::CenterIdInUse(id) if *id == bench.id("a")), "{error}");
    // Where the living one was not heard in time, it learns that it has been replaced.
    bench.sql(format!("UPDATE centers SET run = 'another' WHERE id = '{}'", bench.id("a"))).await;
    tokio::time::timeout(Duration::from_secs(10), beats).await.expect("it learns of it").unwrap();
}

#[tokio::test]
async fn wrong_passwords_at_several_centers_at_the_same_time_are_counted_together() {
    let bench = Bench::new().await;
    let (clock, mut centers) = (Clock::manual(Millis(1_700_000_000_000)), Vec::new());
    for name in ["a", "b"] {
        centers.push(Access::new(bench.store().await, clock.clone(), name, None));
    }
    let password = centers[0].first_administrator().await.unwrap().unwrap();
    let (thief, owner): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
    let tries: Vec<_> = (0..12)
        .map(|number| {
            let center = centers[number % 2].clone();
            tokio::spawn(async move { center.sign_in("admin", "a wrong one", thief).await.unwrap_err() })
        })
        .collect();
    let mut wrong = 0;
    for refused in tries {
        match refused.await.unwrap() {
            AccessError::WrongPassword => wrong += 1,
            AccessError::TooManyTries { .. } => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(wrong, 5, "the free tries of an account at an address");
    for center in &centers {
        let refused = center.sign_in("admin", &password, thief).await.unwrap_err();
        assert!(matches!(refused, AccessError::TooManyTries { .. }), "{refused}");
        center.sign_in("admin", &password, owner).await.unwrap();
    }
}

#[test]
fn a_forgotten_notification_and_a_lost_lease_are_caught() {
    planting::is_caught(
        "forgotten-notification",
        "a_notification_brings_an_offer_long_before_the_next_tick",
        &["the offer"],
    );
    planting::is_caught(
        "lost-lease",
        "a_center_that_falls_silent_loses_its_connections_and_learns_of_it",
        &["left: Some("],
    );
}
