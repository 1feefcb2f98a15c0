//! A center of this version beside one of the last release, on one database: migrations since then only add, the statements of
//! that release go on working, and what each writes the other can use.

mod conversation;

use std::sync::Arc;

use conversation::*;
use quecota_center::clock::{Clock, Millis};
use quecota_center::engine::Engine;
use quecota_center::rules::progress::Presence;
use quecota_center::rules::{DeviceKey, DeviceSecret};
use quecota_center::seal::Keyring;
use quecota_center::store::Store;
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{Migration, Migrator};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, Row};

/// The last migration of the last release.
const RELEASED: i64 = 30;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The statements of a migration, without its comments.
fn statements(migration: &Migration) -> Vec<String> {
    let sql = migration.sql.as_str();
    let code: Vec<&str> = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).collect();
    let (mut all, mut one) = (Vec::new(), String::new());
    let mut in_body = false;
    for word in code.join("\n").split_inclusive(';') {
        one += word;
        // Bodies of functions and triggers have semicolons of their own.
        in_body = one.matches("$$").count() % 2 == 1
            || (one.to_uppercase().contains("CREATE TRIGGER")
                && !one.to_uppercase().contains("EXECUTE FUNCTION")
                && !one.to_uppercase().trim_end().ends_with("END;"));
        if !in_body {
            all.push(one.split_whitespace().collect::<Vec<_>>().join(" "));
            one.clear();
        }
    }
    assert!(!in_body && one.trim().is_empty(), "migration {}: {one:?} has no end", migration.version);
    all
}

/// Whether a center that does not know of it goes on working.
fn only_adds(statement: &str) -> bool {
    let upper = statement.to_uppercase();
    // An index that is gone makes a center slower, not wrong.
    let adds = ["CREATE TABLE ", "CREATE INDEX ", "DROP INDEX ", "CREATE FUNCTION ", "INSERT INTO "];
    let new_table_only = adds.iter().any(|begin| upper.starts_with(begin));
    let column = upper.contains(" ADD COLUMN ") && (!upper.contains("NOT NULL") || upper.contains("DEFAULT"));
    // It writes a column or a table of its own.
    let own = ["PLANS_VERSION ", "UPGRADE_COUNTS_", "DEVICE_COUNTS_"];
    let counts = own.iter().any(|name| upper.starts_with(&format!("CREATE TRIGGER {name}")));
    new_table_only || counts || (upper.starts_with("ALTER TABLE ") && column)
}

#[test]
fn migrations_since_the_last_release_only_add() {
    let numbers = |migrator: &Migrator| migrator.iter().map(|one| one.version).collect::<Vec<_>>();
    assert_eq!(numbers(&SQLITE), numbers(&POSTGRES), "both databases have the same steps");
    let (mut added, mut created) = (0, Vec::new());
    for migration in SQLITE.iter().chain(POSTGRES.iter()).filter(|one| one.version > RELEASED) {
        for statement in statements(migration) {
            if let Some(rest) = statement.strip_prefix("CREATE TABLE ") {
                created.push(rest.split([' ', '(']).next().unwrap_or_default().to_owned());
            }
            // What is new with this release is unknown to the last one, whatever stands on it.
            let is_of_new_table = created.iter().any(|table| {
                statement.contains(&format!(" ON {table} ")) || statement.contains(&format!(" {table} "))
            });
            assert!(
                only_adds(&statement) || is_of_new_table,
                "migration {} ({}): a center of the last release may not go on after {statement:?}",
                migration.version,
                migration.description
            );
            added += 1;
        }
    }
    println!("{added} statements since migration {RELEASED}, each of which adds");
    assert!(!only_adds("ALTER TABLE devices DROP COLUMN session;"));
    assert!(!only_adds("ALTER TABLE devices ADD COLUMN more TEXT NOT NULL;"));
    assert!(!only_adds("ALTER TABLE devices RENAME COLUMN look_at TO recheck_at;"));
}

/// A database as the last release made it.
struct Bench {
    url: String,
    old: AnyPool,
    _folder: tempfile::TempDir,
}

impl Bench {
    async fn sqlite() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("center.db").display());
        Self::released(url, "?mode=rwc", &SQLITE, folder).await
    }

    async fn postgres(name: &str) -> Bench {
        let server = std::env::var("QUECOTA_TEST_POSTGRES")
            .expect("QUECOTA_TEST_POSTGRES is not set: `cargo xtask test` starts a PostgreSQL for the tests");
        let schema = format!("rolling_{name}_{}", std::process::id());
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&server).await.unwrap();
        connection.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).await.unwrap();
        connection.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
        connection.close().await.unwrap();
        let mark = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{mark}options[search_path]={schema}");
        Self::released(url, "", &POSTGRES, tempfile::tempdir().unwrap()).await
    }

    async fn released(url: String, more: &str, all: &Migrator, folder: tempfile::TempDir) -> Bench {
        sqlx::any::install_default_drivers();
        let old = AnyPoolOptions::new().max_connections(1).connect(&format!("{url}{more}")).await.unwrap();
        let migrations = all.iter().filter(|one| one.version <= RELEASED).cloned().collect();
        Migrator::with_migrations(migrations).run(&old).await.unwrap();
        Bench { url, old, _folder: folder }
    }

    /// A statement of the last release.
    async fn says(&self, statement: String) {
        sqlx::query(AssertSqlSafe(statement.clone()))
            .execute(&self.old)
            .await
            .unwrap_or_else(|error| panic!("the last release says {statement}: {error}"));
    }

    async fn number(&self, query: String) -> i64 {
        sqlx::query(AssertSqlSafe(query)).fetch_one(&self.old).await.unwrap().get(0)
    }

    /// A device connects to the center of the last release and reports, by that release's own statements.
    async fn device(&self, key: &str, session: &str) -> i64 {
        self.says(format!(
            "INSERT INTO devices (pk, dk, client_id, secret, push_slot, created_at, seal) \
             VALUES ('p1abcd', '{key}', 'qdp1abcd{key}', 'secret', 7, {now}, '') \
             ON CONFLICT (pk, dk) DO UPDATE SET client_id = excluded.client_id",
            now = NOON.0
        ))
        .await;
        let id = self.number(format!("SELECT id FROM devices WHERE dk = '{key}'")).await;
        self.says(format!(
            "UPDATE devices SET session = '{session}', online = 1, online_since = {now}, offline_since = NULL, \
             last_seen = {now}, versions_at = NULL, battery_at = NULL, rsrp_at = NULL, asked_status = NULL, \
             last_uplink = NULL WHERE id = {id}",
            now = NOON.0
        ))
        .await;
        self.says(format!(
            "UPDATE devices SET last_seen = {now}, model = 'm', module_version = 'FW1', versions_at = {now}, \
             sdk_version = '2.9.0', battery = 80, battery_at = {now}, voltage = '3.7', signal = -70, rsrp = -90, \
             rsrp_at = {now}, free_space = 1000, asked_status = NULL, last_uplink = 'x' WHERE id = {id}",
            now = NOON.0
        ))
        .await;
        self.says(format!(
            "INSERT INTO device_versions (device_id, component, version) VALUES ({id}, 'STM32', '1')"
        ))
        .await;
        self.says(format!(
            "INSERT INTO upgrade_log (device_id, upgrade_id, component, kind, value, at, last_at, times) \
             VALUES ({id}, NULL, NULL, 'bootstrap', 'null', {now}, {now}, 1)",
            now = NOON.0
        ))
        .await;
        id
    }

    async fn product(&self) {
        self.says(format!(
            "INSERT INTO products (pk, secret, name, admission, created_at, seal) \
             VALUES ('p1abcd', 'MTIzNDU2Nzg5MGFi', 'meters', 'anyone', {}, '')",
            NOON.0
        ))
        .await;
        for (component, kind) in [("STM32", "mcu"), ("app", "module")] {
            self.says(format!(
                "INSERT INTO components (pk, no, kind, created_at) VALUES ('p1abcd', '{component}', '{kind}', {})",
                NOON.0
            ))
            .await;
        }
    }
}

async fn side_by_side(bench: Bench) {
    bench.product().await;
    let first = bench.device("d1", "old/1").await;

    // The first center of this version starts: the tables get what is new.
    let store = Store::connect(&bench.url, Keyring::made()).await.unwrap();
    store.check_migrations().await.unwrap();
    let clock = Clock::manual(NOON);
    let engine = Engine::new(store, clock.clone(), Arc::new(Urls)).owned_by("new");
    let center = Center { engine, clock };
    let mut reader = center.engine.store().read().await.unwrap();
    let device = reader.device(&pk(), &DeviceKey::new("d1").unwrap()).await.unwrap();
    assert_eq!((device.presence(), device.center.as_deref()), (Presence::Online, Some("old")));
    assert_eq!((device.forbidden, device.takeovers.times), (None, 0));
    assert_eq!(reader.product_secret(&reader_product(&center).await).unwrap().as_str(), "MTIzNDU2Nzg5MGFi");
    drop(reader);

    // The old one goes on beside it.
    bench.device("d2", "old/2").await;
    let plan = center.plan(&["STM32"], |_| {}).await;
    bench
        .says(format!(
            "INSERT INTO upgrades (plan_id, device_id, state, reason, created_at, confirmed_at, next_offer_at, ended_at, \
             outstanding, deadline_at, verifies, cancelled_at) \
             VALUES ({}, {first}, 'not_upgraded', NULL, {now}, NULL, NULL, NULL, 1, NULL, NULL, NULL)",
            plan.0,
            now = NOON.0
        ))
        .await;
    let upgrade = bench.number(format!("SELECT id FROM upgrades WHERE device_id = {first}")).await;
    bench
        .says(format!(
            "INSERT INTO component_upgrades (upgrade_id, position, component, kind, package_id, source, target, \
             state, reason, failures, fetched, fetched_before, wants_sha256, lease_until, updated_at, proving) \
             SELECT {upgrade}, 0, 'STM32', 'mcu', package_id, '1', '2', 'plan_not_received', NULL, 0, 0, 0, 0, {until}, {now}, 0 \
             FROM plan_components WHERE plan_id = {}",
            plan.0,
            until = NOON.0 + 600_000,
            now = NOON.0
        ))
        .await;
    assert_eq!(center.tick().await.len(), 0, "its devices are its own affair");

    // Its device comes to the new center, in the middle of the upgrade, and ends it there.
    let mut moved = TestDevice {
        center: &center,
        device: quecota_center::store::DeviceId(first),
        packet: quecota_core::wire::frame::PacketId::FIRST,
        session: None,
    };
    moved.connect().await;
    let closed = bench.number("SELECT COUNT(*) FROM taken_over WHERE center = 'old'".to_owned()).await;
    // A file has one center: what an earlier one held is over.
    let old_center_lives = center.engine.is_shared();
    assert_eq!(closed, i64::from(old_center_lives), "the old center is to close its connection");
    let _ = moved.report("FW1", "STM32:1").await;
    moved.succeeds().await;
    let ended = bench
        .number(format!("SELECT COUNT(*) FROM upgrades WHERE id = {upgrade} AND state = 'upgraded'"))
        .await;
    assert_eq!(ended, 1);

    // What the new one made, the old one reads and writes.
    let mut writer = center.engine.store().write().await.unwrap();
    let secret = DeviceSecret::new("0123456789abcdef").unwrap();
    writer.enter_device(&pk(), &DeviceKey::new("d3").unwrap(), &secret, NOON + Millis(1)).await.unwrap();
    writer.commit().await.unwrap();
    let id = bench.device("d3", "old/3").await;
    bench.says(format!("UPDATE devices SET session = NULL, online = 0, offline_since = 9 WHERE id = {id} AND session = 'old/3'")).await;
    center.tick().await;
    bench.old.close().await;
    center.engine.store().close().await;
}

async fn reader_product(center: &Center) -> quecota_center::store::Product {
    center.engine.store().read().await.unwrap().product(&pk()).await.unwrap()
}

#[tokio::test]
async fn a_center_of_the_last_release_works_on_beside_this_one_on_postgresql() {
    side_by_side(Bench::postgres("beside").await).await;
}

/// PostgreSQL refuses a statement that was prepared before its table got a column.
#[tokio::test]
async fn a_device_does_not_notice_that_a_newer_center_adds_columns() {
    let bench = Bench::postgres("grows").await;
    let center = Center::over(Store::connect(&bench.url, Keyring::made()).await.unwrap()).await;
    let plan = center.plan(&["STM32"], |_| {}).await;
    // What it needs is prepared once by the first device.
    let mut first = center.connected().await;
    assert_offers(&first.report("FW1", "STM32:1").await, &["STM32"]);
    first.succeeds().await;
    let mut second = center.test_device("d2").await;
    assert_offers(&second.report("FW1", "STM32:1").await, &["STM32"]);
    for table in ["products", "devices", "plans", "packages", "upgrades", "component_upgrades"] {
        bench.says(format!("ALTER TABLE {table} ADD COLUMN of_the_next_release BIGINT")).await;
    }
    second.succeeds().await;
    let ended = format!("SELECT COUNT(*) FROM upgrades WHERE plan_id = {} AND state = 'upgraded'", plan.0);
    assert_eq!(bench.number(ended).await, 2);
    bench.old.close().await;
    center.engine.store().close().await;
}

#[tokio::test]
async fn a_file_of_the_last_release_is_taken_over() {
    side_by_side(Bench::sqlite().await).await;
}
