//! The store's contract, over both databases: every test here runs on SQLite and on PostgreSQL.

use std::sync::atomic::{AtomicU32, Ordering};

use quecota_center::clock::Millis;
use quecota_center::rules::consent::{Answer, Appointment, AutoConfirm};
use quecota_center::rules::plan::{List, PlanComponent, PlanEvent, PlanSettings, PlanState};
use quecota_center::rules::progress::{ComponentState, Presence, UpgradeState};
use quecota_center::rules::readings::StatusAsk;
use quecota_center::rules::trigger::Trigger;
use quecota_center::rules::*;
use quecota_center::seal::Keyring;
use quecota_center::store::*;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

/// A store of its own for one test, and what keeps it alive.
struct Bench {
    store: Store,
    url: String,
    keys: Keyring,
    _folder: Option<tempfile::TempDir>,
}

impl Bench {
    async fn sqlite() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("center.db").display());
        Self::open(url, Some(folder)).await
    }

    async fn postgres() -> Bench {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("QUECOTA_TEST_POSTGRES").expect(
            "QUECOTA_TEST_POSTGRES is not set: run `cargo xtask test`, which starts a PostgreSQL for the tests, \
             or set it to the URL of an empty PostgreSQL database (postgres://user@host:port/database)",
        );
        let schema = format!("contract_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&server).await.unwrap();
        connection.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))).await.unwrap();
        connection.execute(AssertSqlSafe(format!("CREATE SCHEMA {schema}"))).await.unwrap();
        connection.close().await.unwrap();
        let mark = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{mark}options[search_path]={schema}");
        Self::open(url, None).await
    }

    async fn open(url: String, folder: Option<tempfile::TempDir>) -> Bench {
        let keys = Keyring::made();
        let store = Store::connect(&url, keys.clone()).await.unwrap();
        Bench { store, url, keys, _folder: folder }
    }

    async fn end(self) {
        self.store.close().await;
        if let Some((server, schema)) = self.url.split_once("options[search_path]=") {
            let mut connection = AnyConnection::connect(server.trim_end_matches(['?', '&'])).await.unwrap();
            connection.execute(AssertSqlSafe(format!("DROP SCHEMA {schema} CASCADE"))).await.unwrap();
        }
    }
}

macro_rules! contract {
    ($($name:ident)+) => {
        mod on_sqlite {
            $(#[tokio::test] async fn $name() {
                let bench = super::Bench::sqlite().await;
                super::$name(&bench).await;
                bench.end().await;
            })+
        }
        mod on_postgres {
            $(#[tokio::test] async fn $name() {
                let bench = super::Bench::postgres().await;
                super::$name(&bench).await;
                bench.end().await;
            })+
        }
    };
}

mod audit;
mod devices;
mod log;
mod packages;
mod plans;
mod products;
mod secrets;
mod transactions;
mod upgrades;

const NOW: Millis = Millis(1_700_000_000_000);

fn pk(text: &str) -> ProductKey {
    ProductKey::new(text).unwrap()
}

fn dk(text: &str) -> DeviceKey {
    DeviceKey::new(text).unwrap()
}

fn no(text: &str) -> ComponentNo {
    ComponentNo::new(text).unwrap()
}

fn title(text: &str) -> Title {
    Title::new(text).unwrap()
}

async fn product(writer: &mut Writer, key: &str) -> Result<Product> {
    let secret = ProductSecret::new("MTIzNDU2Nzg5MGFi").unwrap();
    writer.create_product(&pk(key), &secret, &title("meters"), Admission::Anyone, NOW).await
}

async fn device(writer: &mut Writer, key: &str) -> Device {
    let secret = DeviceSecret::new(format!("secret{key}")).unwrap();
    writer.enter_device(&pk("p1abcd"), &dk(key), &secret, NOW).await.unwrap()
}

fn package(target: &str) -> NewPackage {
    NewPackage {
        product: pk("p1abcd"),
        component: no("STM32"),
        name: title("spring"),
        kind: PackageKind::Delta { source: Version::new("1_0_0").unwrap() },
        target: Version::new(target).unwrap(),
        remark: Remark::new("fixes \"it\"\nall").unwrap(),
        files: (0..2)
            .map(|index| PackageFile {
                name: FileName::new(format!("image{index}.bin")).unwrap(),
                size: 100 * 1024 * 1024 + index,
                digests: Digests { md5: [7; 16], crc32: u32::MAX, sha256: [9; 32] },
                object: format!("object{index}"),
            })
            .collect(),
    }
}

/// A product `p1abcd` with component `STM32`, device `d1`, a package, and a plan with it.
async fn scene(writer: &mut Writer) -> (Device, Package, Plan) {
    product(writer, "p1abcd").await.unwrap();
    writer.create_component(&pk("p1abcd"), &no("STM32"), ComponentKind::Mcu, NOW).await.unwrap();
    let device = device(writer, "d1").await;
    let package = writer.create_package(package("2_0_0"), NOW).await.unwrap();
    let plan = writer.create_plan(&settings("plan", package.id), NOW).await.unwrap();
    (device, package, plan)
}

fn settings(name: &str, package: PackageId) -> PlanSettings {
    PlanSettings::new(
        title(name),
        pk("p1abcd"),
        "Europe/Berlin".parse().unwrap(),
        vec![PlanComponent { component: no("STM32"), package: package.0 }],
    )
}

fn upgrade(plan: &Plan, device: DeviceId, package: PackageId) -> Upgrade {
    Upgrade {
        id: UpgradeId(0),
        plan: Some(plan.id),
        device,
        state: UpgradeState::NotUpgraded,
        reason: None,
        created: NOW,
        confirmed: None,
        next_offer: None,
        cancelled: None,
        ended: None,
        deadline: None,
        components: vec![ComponentUpgrade {
            component: no("STM32"),
            kind: ComponentKind::Mcu,
            package,
            source: Some("1_0_0".into()),
            target: Version::new("2_0_0").unwrap(),
            state: ComponentState::PlanNotReceived,
            reason: None,
            failures: 0,
            fetched: 0,
            fetched_before: 0,
            wants_sha256: false,
            proving: false,
            lease_until: Some(NOW + Millis::minutes(10)),
            updated: NOW,
        }],
    }
}
