//! Every statement that the center sends has its index, on both databases: statements are recorded while a scenario calls every
//! list, count and tick over a hundred thousand devices, and each is asked for its plan. One that reads the whole of a table
//! that grows with the fleet fails the test.

mod conversation;
#[path = "../../xtask/src/fleet_rows.rs"]
mod fleet_rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use conversation::*;
use fleet_rows::{Database, Stage};
use quecota_center::access::Access;
use quecota_center::api::{Api, Route};
use quecota_center::clock::{Clock, Jump, Millis};
use quecota_center::packages::object_store::Objects;
use quecota_center::rules::plan::{Halt, Mode, Supersede};
use quecota_center::rules::*;
use quecota_center::seal::Keyring;
use quecota_center::store::*;
use quecota_center::web::Console;
use quecota_core::wire::message::OtaStatus;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row};
use tower::ServiceExt;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

const DEVICES: u64 = 100_000;
const TOKEN: &str = "0123456789abcdef";

/// Tables that do not grow with the fleet: an operator fills them by hand. Every other one does.
const SMALL: &[&str] = &[
    "products",
    "components",
    "packages",
    "package_files",
    "package_files_naming",
    "plans",
    "plan_components",
    "plan_supersedes",
    "plan_marks",
    "plan_changes",
    "plan_endings",
    "device_counts",
    // A row for each reason of a plan, and folded again and again.
    "upgrade_counts",
    "product_secrets",
    "new_devices",
    "conditional_changes",
    "centers",
    "accounts",
    "api_tokens",
    "sessions",
    "url_keys",
    "webhooks",
    "_sqlx_migrations",
    // A row for each table.
    "sqlite_sequence",
];

/// Statements that may read a whole table, and why.
const ALLOWED: &[(&str, &str)] = &[
    ("FROM audit_log ORDER BY id DESC LIMIT 1", "one step from the end of the table's own index"),
    ("DELETE FROM plan_starts WHERE at > $1", "once when the clock was put back"),
    ("UPDATE component_upgrades SET lease_until = lease_until - $1", "once when the clock was put back"),
    ("UPDATE upgrades SET next_offer_at = next_offer_at - $1", "once when the clock was put back"),
];

/// The statements that sqlx says it has sent, each with the step that sent it first.
#[derive(Default)]
struct Recorder {
    step: &'static str,
    statements: BTreeMap<String, &'static str>,
}

/// There is one for the process: SQLite's statements are told by threads of the driver.
fn recorder() -> &'static Mutex<Recorder> {
    static RECORDER: OnceLock<Mutex<Recorder>> = OnceLock::new();
    RECORDER.get_or_init(|| {
        tracing_subscriber::registry().with(Listener).init();
        Mutex::default()
    })
}

/// Only one scenario is recorded at a time.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

struct Listener;

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() != "sqlx::query" {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        let text = if said.statement.is_empty() { said.summary } else { said.statement };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut recorder = recorder().lock().unwrap_or_else(PoisonError::into_inner);
        let step = recorder.step;
        recorder.statements.entry(text).or_insert(step);
    }
}

/// A statement is told whole where its summary leaves something out.
#[derive(Default)]
struct Said {
    summary: String,
    statement: String,
}

impl Visit for Said {
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => self.summary = value.into(),
            "db.statement" => self.statement = value.into(),
            _ => {}
        }
    }
}

fn step(name: &'static str) {
    recorder().lock().unwrap_or_else(PoisonError::into_inner).step = name;
}

/// A center over a hundred thousand devices, and a connection of our own to its database.
struct Scene {
    center: Center,
    database: Database,
    side: AnyConnection,
    /// The plan that most of the devices have.
    mixed: PlanId,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn sqlite() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("center.db").display());
        Self::over(Database::Sqlite, url, folder).await
    }

    async fn postgres() -> Scene {
        let server = std::env::var("QUECOTA_TEST_POSTGRES").expect(
            "QUECOTA_TEST_POSTGRES is not set: run `cargo xtask test`, which starts a PostgreSQL for the tests, \
             or set it to the URL of an empty PostgreSQL database (postgres://user@host:port/database)",
        );
        let schema = format!("query_plans_{}", std::process::id());
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&server).await.unwrap();
        connection.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).await.unwrap();
        connection.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
        connection.close().await.unwrap();
        let mark = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{mark}options[search_path]={schema}");
        Self::over(Database::Postgres, url, tempfile::tempdir().unwrap()).await
    }

    async fn over(database: Database, url: String, folder: tempfile::TempDir) -> Scene {
        let center = Center::over(Store::connect(&url, Keyring::made()).await.unwrap()).await;
        let mixed = center.plan(&["STM32"], |_| ()).await;
        let package = center.engine.store().read().await.unwrap().plan(mixed).await.unwrap();
        let package = package.settings.components[0].package;
        let mut side = AnyConnection::connect(&url).await.unwrap();
        let (plan, package) = (u64::try_from(mixed.0).unwrap(), u64::try_from(package).unwrap());
        let rows = fleet_rows::devices(database, pk().as_str(), "STM32", DEVICES)
            + &fleet_rows::upgrades(plan, "STM32", package, Stage::Mixed, DEVICES * 9 / 10);
        let analyze = if database == Database::Postgres { "ANALYZE;" } else { "" };
        side.execute(AssertSqlSafe(format!("BEGIN; {rows} COMMIT; {analyze}"))).await.unwrap();
        Scene { center, database, side, mixed, folder }
    }

    /// Statements that read the whole of a table, with the step that sent them, what they read, and their plans.
    async fn scans(&mut self) -> Vec<String> {
        let statements =
            std::mem::take(&mut recorder().lock().unwrap_or_else(PoisonError::into_inner).statements);
        let asked = match self.database {
            Database::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
            Database::Postgres => {
                "SELECT CAST(tablename AS TEXT) AS name FROM pg_tables WHERE schemaname = current_schema()"
            }
        };
        let tables = self.side.fetch_all(asked).await.unwrap();
        let grows: BTreeSet<String> = tables.iter().map(|row| row.get::<String, _>("name")).collect();
        let grows: BTreeSet<String> = grows.into_iter().filter(|name| !SMALL.contains(&&**name)).collect();
        if self.database == Database::Postgres {
            // What is asked is whether there is an index that bounds the statement, not what is cheaper for so many rows: a
            // bitmap is made of such indexes alone, where a plain scan may walk any index from its beginning to its end.
            let only_indexes = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
                                SET enable_indexscan = off; SET enable_indexonlyscan = off; \
                                SET enable_hashjoin = off; SET enable_mergejoin = off";
            self.side.execute(only_indexes).await.unwrap();
        }
        let mut scans = Vec::new();
        let (mut explained, mut used) = (0, BTreeSet::new());
        for (statement, step) in statements {
            let first = statement.split(' ').next().unwrap_or_default();
            if !["SELECT", "UPDATE", "DELETE", "INSERT", "WITH"].contains(&first) {
                continue;
            }
            explained += 1;
            let plan = self.plan_of(&statement).await;
            let read: Vec<String> = match self.database {
                Database::Sqlite => scanned_by_sqlite(&plan),
                Database::Postgres => scanned_by_postgres(&plan),
            };
            let read: BTreeSet<String> = read
                .iter()
                .map(|name| table_of(&statement, name))
                .filter(|name| grows.contains(name))
                .collect();
            if read.is_empty() {
                continue;
            }
            if let Some((allowed, _)) = ALLOWED.iter().find(|(part, _)| statement.contains(part)) {
                used.insert(*allowed);
                continue;
            }
            scans.push(format!("{step}: reads all of {read:?}\n  {statement}\n  {}\n", plan.join("\n  ")));
        }
        println!(
            "{:?}: {explained} statements, {} read a whole table, {} may",
            self.database,
            scans.len(),
            used.len()
        );
        assert!(explained > 150, "only {explained} statements were recorded");
        scans
    }

    async fn plan_of(&mut self, statement: &str) -> Vec<String> {
        let failed = |error: sqlx::Error| -> ! { panic!("{error}: {statement}") };
        match self.database {
            Database::Sqlite => {
                let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
                let rows = sqlx::query(explain)
                    .fetch_all(&mut self.side)
                    .await
                    .unwrap_or_else(|error| failed(error));
                rows.iter().map(|row| row.get("detail")).collect()
            }
            Database::Postgres => {
                let prepare = AssertSqlSafe(format!("PREPARE asked AS {statement}"));
                self.side.execute(prepare).await.unwrap_or_else(|error| failed(error));
                let count = "SELECT COALESCE(array_length(parameter_types, 1), 0) AS count FROM pg_prepared_statements \
                             WHERE name = 'asked'";
                let count: i32 = self.side.fetch_one(count).await.unwrap().get("count");
                let binds = vec!["NULL"; usize::try_from(count).unwrap()].join(", ");
                let binds = if binds.is_empty() { binds } else { format!("({binds})") };
                let explain = AssertSqlSafe(format!("EXPLAIN (COSTS OFF) EXECUTE asked{binds}"));
                let rows = self.side.fetch_all(explain).await.unwrap_or_else(|error| failed(error));
                self.side.execute("DEALLOCATE asked").await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }
}

/// What SQLite reads from its beginning to its end: names as the statement has them.
fn scanned_by_sqlite(plan: &[String]) -> Vec<String> {
    let steps = plan.iter().filter_map(|step| step.strip_prefix("SCAN "));
    steps.filter_map(|step| step.split(' ').next().map(str::to_owned)).collect()
}

/// The same of PostgreSQL: tables that it walks through, and indexes without a condition that bounds the walk.
fn scanned_by_postgres(plan: &[String]) -> Vec<String> {
    let mut scanned = Vec::new();
    for (at, line) in plan.iter().enumerate() {
        let node = line.trim_start().trim_start_matches("->").trim_start();
        let Some((kind, rest)) = node.split_once(" on ") else { continue };
        let table = rest.split(' ').next().unwrap_or_default().to_owned();
        let bounded = || {
            let below = plan.iter().skip(at + 1).take_while(|line| !line.trim_start().starts_with("->"));
            below.into_iter().any(|line| line.trim_start().starts_with("Index Cond:"))
        };
        let walks = match kind {
            "Seq Scan" => true,
            _ if kind.starts_with("Index Scan") || kind.starts_with("Index Only Scan") => !bounded(),
            _ => false,
        };
        if walks {
            scanned.push(table);
        }
    }
    scanned
}

/// The table that `name` stands for in a statement.
fn table_of(statement: &str, name: &str) -> String {
    let words: Vec<&str> = statement
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .filter(|word| !word.is_empty())
        .collect();
    let alias = words.windows(3).find(|three| three[1].eq_ignore_ascii_case("AS") && three[2] == name);
    alias.map_or(name, |three| three[0]).to_owned()
}

/// The API and the console of the center, in process.
struct Front {
    router: Router,
    routes: Vec<Route>,
    cookie: String,
}

impl Front {
    async fn new(scene: &Scene) -> Front {
        let engine = scene.center.engine.clone();
        let access = Access::new(engine.store().clone(), Clock::system(), "here", Some(TOKEN));
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let first = access.first_administrator().await.unwrap().unwrap();
        let password = "correct horse battery staple";
        let session = access.change_password("admin", &first, password, address).await.unwrap();
        let cookie = session.cookie(false);
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        let objects = Objects::in_folder(scene.folder.path(), Duration::ZERO).unwrap();
        let api = Api::new(engine, objects, access);
        let console = Console::new(api.clone());
        let (router, routes) = api.routed();
        Front { router: router.merge(console.router()), routes, cookie }
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        who: (header::HeaderName, String),
        body: &str,
    ) -> (u16, String) {
        let mut request = Request::builder().method(method).uri(path).header(who.0, who.1);
        if !body.is_empty() {
            let kind = if body.starts_with('{') { "application/json" } else { "text/csv" };
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        // A stream of events has no end.
        let is_stream =
            answer.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        // Two pages of an export say what all of them do.
        let is_export = answer
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/csv"));
        if is_export {
            let _ = to_bytes(answer.into_body(), 400_000).await;
            return (status, String::new());
        }
        let reading = to_bytes(answer.into_body(), 1 << 28);
        if is_stream {
            let _ = tokio::time::timeout(Duration::from_millis(300), reading).await;
            return (status, String::new());
        }
        (status, String::from_utf8_lossy(&reading.await.unwrap()).into_owned())
    }

    async fn api(&self, method: &str, path: &str, body: &str) -> String {
        let (status, said) = self.try_api(method, path, body).await;
        assert!(status < 400, "{method} {path}: {status} {said}");
        said
    }

    async fn try_api(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/{path}") };
        self.ask(method, &path, (header::AUTHORIZATION, format!("Bearer {TOKEN}")), body).await
    }

    async fn page(&self, path: &str) {
        let (status, said) = self.ask("GET", path, (header::COOKIE, self.cookie.clone()), "").await;
        assert!(status < 400, "GET {path}: {status} {said}");
    }
}

/// What stands for the names in a path.
fn example(scene: &Scene, name: &str) -> String {
    match name {
        "pk" => pk().to_string(),
        "dk" => "d1".into(),
        "plan" => scene.mixed.0.to_string(),
        "package" | "verification_package" | "webhook" => "1".into(),
        "file" => "0".into(),
        "component" => "STM32".into(),
        "account" => "admin".into(),
        "token" => "1".into(),
        "delivery" => "1".into(),
        "verification" => "V".into(),
        "action" => "confirm".into(),
        other => panic!("no example of {{{other}}} in a path: say one here"),
    }
}

/// A value that a query may have.
fn value(name: &str) -> &'static str {
    match name {
        "after" => "50",
        "limit" => "10",
        "newest" | "online" => "true",
        "state" => "upgrade_failed",
        "reason" => "battery%2012%20%25%20%3C%2030%20%25",
        "battery_min" | "battery_max" => "40",
        "rsrp_min" | "rsrp_max" => "-80",
        "seen_after" | "seen_before" => "2026-03-01T00:00:00Z",
        "component" => "STM32",
        "version" => "1_0_1",
        "key" => "86",
        "language" => "en",
        "name" => "plan",
        "plan" => "1",
        other => panic!("no example of the query {other}: say one here"),
    }
}

/// Every GET of the API, each of its queries by itself and in pairs.
async fn every_get(scene: &Scene, front: &Front) {
    let description: serde_json::Value = Api::description(&front.routes);
    for route in front.routes.iter().filter(|route| route.method == "GET") {
        let mut path = route.full_path();
        while let Some((from, until)) = path.find('{').zip(path.find('}')) {
            let name = path[from + 1..until].to_owned();
            path.replace_range(from..=until, &example(scene, &name));
        }
        let parameters = &description["paths"][route.full_path()]["get"]["parameters"];
        let queries: Vec<String> = parameters
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "query")
            .map(|parameter| parameter["name"].as_str().unwrap().to_owned())
            .collect();
        let mut asked = vec![String::new()];
        for (at, one) in queries.iter().enumerate() {
            asked.push(format!("?{one}={}", value(one)));
            for other in &queries[at + 1..] {
                asked.push(format!("?{one}={}&{other}={}", value(one), value(other)));
            }
        }
        for query in asked {
            let (status, said) = front.try_api("GET", &format!("{path}{query}"), "").await;
            // What there is none of, and queries that exclude each other; nothing here ticks by itself, so it is not ready.
            assert!(status < 500 || path == "/ready", "GET {path}{query}: {status} {said}");
        }
    }
}

const PAGES: &[&str] = &[
    "/",
    "/live",
    "/accounts",
    "/audit",
    "/settings",
    "/webhooks",
    "/webhooks/1",
    "/products",
    "/products/p1abcd",
    "/devices?product=p1abcd",
    "/devices?product=p1abcd&component=STM32&version=1_0_1",
    "/products/p1abcd/devices/d1",
    "/packages",
    "/packages/1",
    "/plans",
    "/plans/new?product=p1abcd",
    "/plans/1",
    "/plans/1?state=upgrade_failed",
    "/plans/1?after=50",
    "/plans/1/live",
    "/plans/1/devices.csv",
    "/plans/1/devices/d1",
    "/verifications",
];

/// Devices of every kind, over a plan's whole life.
async fn devices_live(center: &Center) {
    step("devices");
    let mut devices = Vec::new();
    for number in 1..=8 {
        devices.push(center.test_device(&format!("d{number}")).await);
    }
    for device in &mut devices {
        device.report("FW1", "STM32:1;SENSOR:1").await;
        device.report("FW2", "STM32:1;SENSOR:1").await;
        device.request("STM32:1;SENSOR:1").await;
        device.request("STM32:1;SENSOR:1").await;
    }
    for status in
        [OtaStatus::PlanReceived, OtaStatus::Confirmed, OtaStatus::DownloadStart, OtaStatus::Downloading]
    {
        for device in &mut devices[..6] {
            device.status(status).await;
        }
    }
    devices[0].status_of("STM32", OtaStatus::UpdateSuccess, versions("STM32:2")).await;
    devices[1].status_of("STM32", OtaStatus::UpdateError, versions("STM32:1")).await;
    devices[2].status(OtaStatus::DownloadError).await;
    devices[6].status(OtaStatus::Refused).await;
    devices[3].disconnect().await;
    step("ticks");
    center.minutes(40).await;
    devices[3].connect().await;
    for device in &mut devices {
        device.request("STM32:1;SENSOR:1").await;
    }
    center.minutes(40).await;
    step("the center");
    let engine = &center.engine;
    engine.jumped(Jump::Forward(Millis::minutes(30))).await.unwrap();
    engine.jumped(Jump::Back(Millis::minutes(30))).await.unwrap();
    engine.beat().await.unwrap();
    engine.taken_over().await.unwrap();
    engine.end_silent_centers().await.unwrap();
    engine.note_unknown_centers().await.unwrap();
    engine.write_business().await.unwrap();
    engine.tend_database_log().await.unwrap();
    while engine.prune_log(NOON + Millis::minutes(20)).await.unwrap() > 0 {}
    step("devices that go");
    for device in &mut devices {
        device.disconnect().await;
    }
    center.minutes(2).await;
}

fn versions(mcu: &str) -> quecota_core::wire::message::Versions<'_> {
    quecota_core::wire::message::Versions { module: "FW1", mcu }
}

async fn everything(scene: &mut Scene) {
    let center = &scene.center;
    let engine = &center.engine;
    step("the start");
    engine.start().await.unwrap();
    let front = Front::new(scene).await;
    step("webhooks");
    let hook = r#"{"name": "hook", "url": "https://example.com/x"}"#;
    front.api("POST", "webhooks", hook).await;
    step("plans");
    let limited = center
        .saved("limited", &["SENSOR"], |plan| {
            plan.strategy.max_in_flight = Some(5);
            plan.strategy.max_per_minute = Some(100);
            plan.strategy.first_devices = Some(3);
            plan.strategy.min_battery = Some(10);
            plan.strategy.min_rsrp = Some(-110);
            plan.strategy.halt = Some(Halt { percent: 90, after: 50 });
        })
        .await;
    engine.activate(limited, Supersede::Agreed).await.unwrap();
    let manual = center
        .saved("manual", &["app"], |plan| {
            plan.mode = Mode::Manual;
            for language in ["zh", "en"] {
                plan.texts.insert(language.parse().unwrap(), Title::new("news").unwrap().to_string());
            }
        })
        .await;
    engine.activate(manual, Supersede::Agreed).await.unwrap();
    let package = center.package("SENSOR", "9", 1).await;
    devices_live(center).await;
    step("verification");
    center.device("v1").await;
    let verified = engine.verify(package, &DeviceKey::new("v1").unwrap()).await.unwrap();
    center.minutes(2).await;
    step("lists of the API");
    every_get(scene, &front).await;
    front.api("GET", &format!("verifications/{}", verified.id.0), "").await;
    step("pages");
    for page in PAGES {
        front.page(page).await;
    }
    front.page(&format!("/verifications/{}", verified.id.0)).await;
    step("what operators do");
    let plan = scene.mixed.0;
    for (path, body) in [
        ("suspend", ""),
        ("resume", ""),
        ("retry", r#"{"filter": {"state": "upgrade_failed"}}"#),
        ("retry", r#"{"devices": ["d2"]}"#),
        ("skip", r#"{"devices": ["d3"]}"#),
    ] {
        front.try_api("POST", &format!("plans/{plan}/{path}"), body).await;
    }
    let copy = engine.clone_plan(PlanId(plan), Title::new("copy").unwrap()).await.unwrap().id;
    for list in ["whitelist", "blacklist"] {
        front.api("PUT", &format!("plans/{}/{list}", copy.0), "860000000000001\n860000000000002\n").await;
        front.api("GET", &format!("plans/{}/{list}?after=86", copy.0), "").await;
    }
    front.api("GET", &format!("plans/{}/dry-run", copy.0), "").await;
    engine.activate(copy, Supersede::Agreed).await.unwrap();
    center.minutes(12).await;
    front.api("GET", &format!("plans/{}/blocked", copy.0), "").await;
    engine.terminate(copy).await.unwrap();
    engine.terminate(PlanId(plan)).await.unwrap();
    center.minutes(12).await;
    front.api("GET", &format!("plans/{plan}"), "").await;
    front.api("GET", &format!("plans/{plan}/reasons"), "").await;
    step("devices by operators");
    front.api("POST", "products/p1abcd/devices/d4/forbid", "").await;
    front.api("POST", "products/p1abcd/devices/d4/allow", "").await;
    front.api("DELETE", "products/p1abcd/devices/d5", "").await;
    front.api("POST", "products/p1abcd/secret", "{}").await;
    engine.leave().await.unwrap();
}

async fn no_statement_reads_a_whole_table(mut scene: Scene) {
    recorder().lock().unwrap_or_else(PoisonError::into_inner).statements.clear();
    everything(&mut scene).await;
    let scans = scene.scans().await;
    assert!(scans.is_empty(), "{}", scans.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_has_its_index_on_sqlite() {
    let _turn = TURN.lock().await;
    no_statement_reads_a_whole_table(Scene::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_has_its_index_on_postgres() {
    let _turn = TURN.lock().await;
    no_statement_reads_a_whole_table(Scene::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_gone_is_noticed() {
    let _turn = TURN.lock().await;
    let mut scene = Scene::sqlite().await;
    scene.side.execute("DROP INDEX upgrade_log_age").await.unwrap();
    recorder().lock().unwrap_or_else(PoisonError::into_inner).statements.clear();
    everything(&mut scene).await;
    let scans = scene.scans().await;
    assert!(scans.iter().any(|scan| scan.contains("DELETE FROM upgrade_log")), "{scans:#?}");
}
