//! The store's contract, over both databases: every test here runs on SQLite and on PostgreSQL.

use std::sync::atomic::{AtomicU32, Ordering};

use quecota_center::clock::Millis;
use quecota_center::rules::consent::{Answer, Appointment, AutoConfirm};
use quecota_center::rules::plan::{List, PlanComponent, PlanSettings, PlanState};
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

contract! {
    a_product_is_found_by_its_key
    a_product_key_that_begins_another_is_refused
    a_component_is_unique_in_its_product
    a_component_that_is_used_stays_as_it_is
    a_product_is_renamed
    a_device_entered_twice_keeps_its_secret
    a_newer_connection_is_not_ended_by_the_older_one
    what_a_device_reported_comes_back
    devices_come_in_pages
    online_devices_are_found_by_their_push_slot
    sessions_of_an_earlier_run_are_found
    a_package_comes_back_with_its_files
    a_package_in_use_is_not_deleted
    a_package_that_a_device_still_works_with_is_not_deleted
    a_plan_comes_back_with_every_field
    a_plan_name_is_unique
    an_edited_plan_comes_back_as_it_was_edited
    a_plans_load_is_counted
    lists_hold_many_devices
    lists_are_copied
    overlapping_active_plans_are_found
    an_upgrade_comes_back_with_its_components
    a_device_is_in_a_plan_once
    a_plans_devices_are_found_by_their_state_and_a_second_chance_uncounts_a_failure
    leases_and_due_offers_are_found
    a_verification_is_found_by_its_package_and_its_deadline
    terminating_ends_only_what_was_not_confirmed
    a_plan_that_is_over_ends_what_waits_for_another_attempt
    a_plan_is_held_by_many_and_locked_by_one
    no_lease_ends_before_the_grace
    a_repeated_line_is_counted_in_one_row
    a_users_word_comes_back_and_the_last_one_counts
    a_device_is_looked_at_when_its_user_said
    a_cancelled_upgrade_comes_back
    an_uncommitted_transaction_leaves_nothing
    a_value_that_is_refused_is_told_apart_from_trouble_of_the_moment
    a_plan_that_cannot_be_used_does_not_hide_the_others
    a_restart_finds_everything
    writers_of_one_device_wait_for_each_other
    secrets_are_opened_by_their_key_alone
    what_stood_in_the_clear_is_sealed
    a_new_key_takes_over_from_the_one_before
    a_search_finds_what_it_says_page_by_page
    many_devices_are_entered_at_once
    a_plans_devices_are_listed_by_state_and_reason
    old_lines_are_forgotten_a_few_at_a_time
}

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

async fn a_users_word_comes_back_and_the_last_one_counts(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, _, plan) = scene(&mut writer).await;
    assert_eq!(device.auto_confirm, AutoConfirm::Off);
    assert_eq!(writer.find_answer(plan.id, device.id).await.unwrap(), None);
    let window = Appointment { from: NOW + Millis::hours(1), until: NOW + Millis::hours(2) };
    for answer in [Answer::Appointed(window), Answer::Confirmed, Answer::Appointed(window)] {
        writer.set_answer(plan.id, device.id, answer, NOW).await.unwrap();
        let said = writer.find_answer(plan.id, device.id).await.unwrap();
        assert_eq!(said, Some(UserConsent { answer, at: NOW }));
    }
    assert_eq!(writer.next_opening(device.id, NOW).await.unwrap(), Some(window.from));
    assert_eq!(writer.next_opening(device.id, window.from).await.unwrap(), None);
    writer.forget_answer(plan.id, device.id).await.unwrap();
    assert_eq!(writer.find_answer(plan.id, device.id).await.unwrap(), None);
    writer.set_auto_confirm(device.id, AutoConfirm::On).await.unwrap();
    assert_eq!(writer.device_by_id(device.id).await.unwrap().auto_confirm, AutoConfirm::On);
}

async fn a_device_is_looked_at_when_its_user_said(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, ..) = scene(&mut writer).await;
    writer.set_recheck_at(device.id, Some(NOW)).await.unwrap();
    assert_eq!(writer.rechecks_due(NOW, 9).await.unwrap(), [], "it is offline");
    writer.set_online(device.id, "center/1", NOW).await.unwrap();
    assert_eq!(writer.rechecks_due(NOW - Millis(1), 9).await.unwrap(), []);
    assert_eq!(writer.rechecks_due(NOW, 9).await.unwrap(), [device.id]);
    writer.set_recheck_at(device.id, None).await.unwrap();
    assert_eq!(writer.rechecks_due(NOW, 9).await.unwrap(), []);
}

async fn a_cancelled_upgrade_comes_back(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let mut upgrade = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    assert_eq!(writer.upgrade(upgrade.id).await.unwrap().cancelled, None);
    upgrade.cancelled = Some(NOW);
    writer.save_upgrade(&upgrade).await.unwrap();
    assert_eq!(writer.upgrade(upgrade.id).await.unwrap(), upgrade);
    for line in 0..3 {
        let value = serde_json::json!({ "line": line });
        let upgrade = Some(upgrade.id);
        let entry = NewLogEntry { device: device.id, upgrade, component: None, kind: "user", value };
        writer.log(entry, NOW).await.unwrap();
    }
    let log = writer.upgrade_log_after(upgrade.id, 0, 2).await.unwrap();
    assert_eq!(log.len(), 2);
    let rest = writer.upgrade_log_after(upgrade.id, log[1].id, 2).await.unwrap();
    assert_eq!(rest.iter().map(|entry| &entry.value["line"]).collect::<Vec<_>>(), [2]);
}

async fn a_product_is_found_by_its_key(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let made = product(&mut writer, "p1abcd").await.unwrap();
    writer.commit().await.unwrap();
    let mut reader = bench.store.read().await.unwrap();
    assert_eq!(reader.product(&pk("p1abcd")).await.unwrap(), made);
    assert_eq!(reader.products().await.unwrap(), [made]);
    let error = reader.product(&pk("other")).await.unwrap_err();
    assert_eq!(error.to_string(), "product \"other\" does not exist");
}

async fn a_product_key_that_begins_another_is_refused(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    for key in ["p1abcd", "A", "a9", "zz"] {
        product(&mut writer, key).await.unwrap();
    }
    for key in ["p1", "p1abcd", "p1abcdef", "AB", "a", "z", "zzz"] {
        let error = product(&mut writer, key).await.unwrap_err();
        assert!(matches!(&error, StoreError::Conflict { id, .. } if id == key), "{key}: {error}");
    }
    for key in ["p1abcc", "p2", "b", "zy", "P1abcdef"] {
        product(&mut writer, key).await.unwrap();
    }
}

async fn a_component_is_unique_in_its_product(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let made = writer.create_component(&pk("p1abcd"), &no("STM32"), ComponentKind::Mcu, NOW).await.unwrap();
    assert_eq!(writer.components(&pk("p1abcd")).await.unwrap(), [made]);
    let missing = writer.create_component(&pk("nobody"), &no("STM32"), ComponentKind::Mcu, NOW).await;
    assert!(matches!(missing, Err(StoreError::NotFound { what: "product", .. })));
    let again = writer.create_component(&pk("p1abcd"), &no("STM32"), ComponentKind::Module, NOW).await;
    assert!(matches!(again, Err(StoreError::Conflict { what: "component", .. })));
}

async fn a_component_that_is_used_stays_as_it_is(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, plan) = scene(&mut writer).await;
    let key = pk("p1abcd");
    for used in ["version package \"spring\" is for it", "upgrade plan \"plan\" is for it"] {
        let error = writer.delete_component(&key, &no("STM32")).await.unwrap_err().to_string();
        assert!(error.contains(used), "{error}");
        let error = writer.edit_component(&key, &no("STM32"), ComponentKind::Module).await.unwrap_err();
        assert!(error.to_string().contains(used), "{error}");
        if used.starts_with("version") {
            let mut over = plan.clone();
            over.state = PlanState::Ended;
            writer.save_plan_state(&over).await.unwrap();
            writer.delete_package(package.id).await.unwrap();
            writer.save_plan_state(&plan).await.unwrap();
        }
    }
    writer.delete_plan(plan.id).await.unwrap();
    let edited = writer.edit_component(&key, &no("STM32"), ComponentKind::Module).await.unwrap();
    assert_eq!(edited.kind, ComponentKind::Module);
    writer.delete_component(&key, &no("STM32")).await.unwrap();
    assert!(writer.components(&key).await.unwrap().is_empty());
}

async fn a_product_is_renamed(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let before = product(&mut writer, "p1abcd").await.unwrap();
    let name = title("gauges");
    let edited = writer.edit_product(&before.key, &name, Admission::KnownOnly).await.unwrap();
    assert_eq!(edited, Product { name, admission: Admission::KnownOnly, ..before });
}

async fn a_device_entered_twice_keeps_its_secret(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let first = device(&mut writer, "d1").await;
    let other = DeviceSecret::new("other").unwrap();
    let second = writer.enter_device(&pk("p1abcd"), &dk("d1"), &other, NOW).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(writer.device_secret(&second).unwrap().as_str(), "secretd1");
    assert_eq!(writer.find_device_by_client_id("qdp1abcdd1").await.unwrap(), Some(first));
    assert_eq!(writer.find_device_by_client_id("qdp1abcdd2").await.unwrap(), None);
}

async fn a_newer_connection_is_not_ended_by_the_older_one(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let id = device(&mut writer, "d1").await.id;
    writer.set_online(id, "center/1", NOW).await.unwrap();
    writer.set_online(id, "center/2", NOW).await.unwrap();
    writer.set_offline(id, "center/1", NOW).await.unwrap();
    assert_eq!(writer.device_by_id(id).await.unwrap().presence(), Presence::Online);
    writer.set_offline(id, "center/2", NOW + Millis(5)).await.unwrap();
    let device = writer.device_by_id(id).await.unwrap();
    assert_eq!((device.presence(), device.offline_since), (Presence::Offline, Some(NOW + Millis(5))));
}

async fn what_a_device_reported_comes_back(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let mut device = device(&mut writer, "d1").await;
    device.last_seen = Some(NOW);
    device.model = Some("EC200U".into());
    device.module_version = Some("FW1".into());
    device.versions_at = Some(NOW);
    device.sdk_version = Some("2.9.0".into());
    device.battery = Some(Reading { value: 17, at: Some(NOW) });
    device.voltage = Some("3.7".into());
    device.signal = Some(-67);
    device.rsrp = Some(Reading { value: -113, at: Some(NOW) });
    device.free_space = Some(65_536);
    device.asked_status = Some(StatusAsk::Waiting(Trigger::Mark));
    device.last_uplink = Some("7:abc".into());
    writer.save_device(&device).await.unwrap();
    let versions = |list: &[(&str, &str)]| -> Vec<ReportedVersion> {
        list.iter()
            .map(|(component, version)| ReportedVersion {
                component: no(component),
                version: (*version).into(),
            })
            .collect()
    };
    writer.set_device_versions(device.id, &versions(&[("B", "1"), ("STM32", "1_0_0")])).await.unwrap();
    writer.set_device_versions(device.id, &versions(&[("STM32", "2_0_0")])).await.unwrap();
    assert_eq!(writer.device_versions(device.id).await.unwrap(), versions(&[("STM32", "2_0_0")]));
    assert_eq!(writer.device_by_id(device.id).await.unwrap(), device);
    writer.set_online(device.id, "center/1", NOW).await.unwrap();
    let device = writer.device_by_id(device.id).await.unwrap();
    assert_eq!(
        device.battery,
        Some(Reading { value: 17, at: None }),
        "a value of an earlier connection is old"
    );
    assert_eq!((device.versions_at, device.last_uplink), (None, None));
}

async fn devices_come_in_pages(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    for index in 0..5 {
        device(&mut writer, &format!("d{index}")).await;
    }
    let mut seen = Vec::new();
    let mut after = Some(0);
    while let Some(from) = after {
        let page = writer.devices(&pk("p1abcd"), from, 2).await.unwrap();
        seen.extend(page.rows.into_iter().map(|device| device.key.to_string()));
        after = page.next;
    }
    assert_eq!(seen, ["d0", "d1", "d2", "d3", "d4"]);
}

async fn online_devices_are_found_by_their_push_slot(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    for index in 0..4 {
        let device = device(&mut writer, &format!("d{index}")).await;
        if index > 0 {
            writer.set_online(device.id, "center/1", NOW).await.unwrap();
        }
    }
    assert_eq!(writer.count_devices(&pk("p1abcd"), Presence::Online).await.unwrap(), 3);
    let all = writer.online_in_slots(&pk("p1abcd"), 0, 10_000, 100).await.unwrap();
    assert_eq!(all.len(), 3);
    let border = all[1].1;
    let low = writer.online_in_slots(&pk("p1abcd"), 0, border, 100).await.unwrap();
    let high = writer.online_in_slots(&pk("p1abcd"), border, 10_000, 100).await.unwrap();
    assert_eq!((low.len(), high.len()), (1, 2));
}

async fn sessions_of_an_earlier_run_are_found(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    for (key, session) in [("d1", "center/1"), ("d2", "center2/1")] {
        let id = device(&mut writer, key).await.id;
        writer.set_online(id, session, NOW).await.unwrap();
    }
    let found = writer.sessions_left("center", 10).await.unwrap();
    let sessions: Vec<_> = found.iter().map(|(_, session)| session.as_str()).collect();
    // One file is one center's; a PostgreSQL database may have several.
    let own = if bench.url.starts_with("sqlite") { &["center/1", "center2/1"][..] } else { &["center/1"] };
    assert_eq!(sessions, own);
}

async fn a_package_comes_back_with_its_files(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, _) = scene(&mut writer).await;
    assert_eq!(writer.package(package.id).await.unwrap(), package);
    let package_id = package.id;
    let page = writer.packages(Some(&pk("p1abcd")), 0, 10).await.unwrap();
    assert_eq!((page.rows, page.next), (vec![package], None));
    assert!(writer.packages(Some(&pk("nobody")), 0, 10).await.unwrap().rows.is_empty());
    let [plan] = writer.plans_with_package(package_id).await.unwrap().try_into().unwrap();
    assert_eq!((plan.name, plan.state), (title("plan"), PlanState::Saved));
    assert!(writer.is_object_used("object1").await.unwrap());
    assert!(!writer.is_object_used("object2").await.unwrap());
    let mut stray = self::package("3");
    stray.component = no("other");
    let error = writer.create_package(stray, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { what: "component", .. }), "{error}");
}

async fn a_package_in_use_is_not_deleted(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, mut plan) = scene(&mut writer).await;
    let error = writer.delete_package(package.id).await.unwrap_err();
    assert!(error.to_string().contains("upgrade plan \"plan\" uses it"), "{error}");
    plan.state = PlanState::Ended;
    writer.save_plan_state(&plan).await.unwrap();
    assert_eq!(writer.delete_package(package.id).await.unwrap(), package);
    assert_eq!(writer.find_package(package.id).await.unwrap(), None);
}

async fn a_package_that_a_device_still_works_with_is_not_deleted(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, mut plan) = scene(&mut writer).await;
    let mut working = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    working.state = UpgradeState::Upgrading;
    writer.save_upgrade(&working).await.unwrap();
    plan.state = PlanState::Terminated;
    writer.save_plan_state(&plan).await.unwrap();
    let error = writer.delete_package(package.id).await.unwrap_err();
    assert!(error.to_string().contains("a device still works with it in upgrade plan \"plan\""), "{error}");
    working.ended = Some(NOW);
    writer.save_upgrade(&working).await.unwrap();
    writer.delete_package(package.id).await.unwrap();
    assert_eq!(writer.hold_package(package.id).await.unwrap(), None);
}

async fn a_verification_is_found_by_its_package_and_its_deadline(bench: &Bench) {
    use quecota_center::rules::plan::Verified;
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    assert_eq!(writer.last_verification(package.id).await.unwrap(), None, "a plan's upgrade is none");
    let mut made = upgrade(&plan, device.id, package.id);
    (made.plan, made.deadline) = (None, Some(NOW + Millis::minutes(60)));
    let mut first = writer.create_upgrade(made.clone()).await.unwrap();
    let second = writer.create_upgrade(made).await.unwrap();
    assert_eq!(writer.verifications(package.id, 0, 10).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(
        writer.verifications(package.id, first.id.0, 10).await.unwrap(),
        std::slice::from_ref(&second)
    );
    assert_eq!(writer.last_verification(package.id).await.unwrap(), Some(second));
    assert_eq!(writer.running_verification(package.id).await.unwrap(), Some(first.id));
    assert_eq!(writer.verified(package.id).await.unwrap(), Verified::Never);
    first.state = UpgradeState::Upgraded;
    first.ended = Some(NOW);
    writer.save_upgrade(&first).await.unwrap();
    assert_eq!(writer.verified(package.id).await.unwrap(), Verified::Passed);
    assert!(writer.deadlines_over(NOW + Millis::minutes(59), 10).await.unwrap().is_empty());
    assert_eq!(writer.deadlines_over(NOW + Millis::minutes(60), 10).await.unwrap(), [device.id]);
    writer.extend_leases(NOW + Millis::minutes(65)).await.unwrap();
    assert!(writer.deadlines_over(NOW + Millis::minutes(64), 10).await.unwrap().is_empty());
    assert_eq!(
        writer.upgrade(first.id).await.unwrap().deadline,
        Some(NOW + Millis::minutes(60)),
        "it is over"
    );
}

async fn a_plan_comes_back_with_every_field(bench: &Bench) {
    use quecota_center::rules::plan::*;
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, plain) = scene(&mut writer).await;
    assert_eq!(plain.settings, settings("plan", package.id));
    assert_eq!(plain.state, PlanState::Saved);
    let mut full = settings("full", package.id);
    full.push_period = Some(quecota_center::rules::window::PushPeriod {
        from: "22:30".parse().unwrap(),
        until: "04:00".parse().unwrap(),
    });
    full.start = Some(NOW);
    full.end = Some(NOW + Millis::hours(9));
    full.mode = Mode::Manual;
    full.push = Push::OnRequest;
    full.outside_period = OutsidePeriod::Answer;
    full.verification = Verification::Required;
    full.strategy = Strategy {
        retries: 10,
        refusal_delay: 1440,
        min_rsrp: Some(-113),
        min_battery: Some(100),
        first_devices: Some(9),
        halt: Some(Halt { percent: 30, after: 10 }),
        max_in_flight: Some(u32::MAX),
        max_per_minute: Some(1),
    };
    full.texts = [("zh", "新"), ("en", "new \"firmware\"")].map(|(k, v)| (k.into(), v.into())).into();
    let mut made = writer.create_plan(&full, NOW).await.unwrap();
    assert_eq!(made.settings, full);
    made.state = PlanState::Suspended;
    made.suspended_from = Some(PlanState::Upgrading);
    made.activated = Some(NOW);
    made.over = Some(NOW);
    writer.save_plan_state(&made).await.unwrap();
    assert_eq!(writer.plan(made.id).await.unwrap(), made);
    assert_eq!(writer.plans(None, 0, 10).await.unwrap().rows, [plain.clone(), made.clone()]);
    assert_eq!(usable(writer.running_plans().await.unwrap()), [made]);
    writer.delete_plan(plain.id).await.unwrap();
    assert!(matches!(writer.plan(plain.id).await, Err(StoreError::NotFound { what: "upgrade plan", .. })));
}

async fn an_edited_plan_comes_back_as_it_was_edited(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, plan) = scene(&mut writer).await;
    let mut changed = settings("another", package.id);
    changed.start = Some(Millis(7));
    changed.strategy.max_in_flight = Some(3);
    changed.components.clear();
    let edited = writer.edit_plan(plan.id, &changed).await.unwrap();
    assert_eq!((&edited.settings, edited.id, edited.state), (&changed, plan.id, PlanState::Saved));
    let keys = [dk("d1"), dk("d2")];
    writer.list_devices(plan.id, List::White, &keys).await.unwrap();
    writer.clear_list(plan.id, List::White).await.unwrap();
    assert_eq!(writer.count_listed(plan.id, List::White).await.unwrap(), 0);
    writer.create_plan(&settings("taken", package.id), Millis(1)).await.unwrap();
    let error = writer.edit_plan(plan.id, &settings("taken", package.id)).await.unwrap_err();
    assert!(error.to_string().contains("there is a plan with this name already"), "{error}");
}

async fn a_plans_load_is_counted(bench: &Bench) {
    use quecota_center::rules::limits::Load;
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, mut plan) = scene(&mut writer).await;
    assert_eq!(writer.load(&plan, NOW).await.unwrap(), Load::default(), "no limit, no count");
    let strategy = &mut plan.settings.strategy;
    (strategy.first_devices, strategy.max_in_flight, strategy.max_per_minute) = (Some(2), Some(9), Some(2));
    let mut offered = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    offered.state = UpgradeState::NotUpgraded;
    offered.components[0].state = ComponentState::PlanNotReceived;
    offered.components[0].lease_until = Some(NOW);
    writer.save_upgrade(&offered).await.unwrap();
    writer.count_start(plan.id, device.id, NOW).await.unwrap();
    let load = writer.load(&plan, NOW).await.unwrap();
    assert_eq!(load, Load { in_flight: 1, engaged: 1, ..Load::default() });
    writer.count_start(plan.id, device.id, NOW + Millis(5)).await.unwrap();
    let load = writer.load(&plan, NOW + Millis(59_999)).await.unwrap();
    assert_eq!(load.full_until, Some(NOW + Millis::minutes(1)));
    assert_eq!(writer.load(&plan, NOW + Millis::minutes(1)).await.unwrap().full_until, None);

    writer.end_unconfirmed(plan.id, UpgradeState::Failed, "terminated", NOW).await.unwrap();
    let load = writer.load(&plan, NOW + Millis::minutes(2)).await.unwrap();
    assert_eq!(load, Load { finished: 1, ..Load::default() });
    assert_eq!(writer.count_finished(plan.id, UpgradeState::Upgraded).await.unwrap(), (1, 0));
    assert_eq!(writer.count_finished(plan.id, UpgradeState::Failed).await.unwrap(), (2, 1));
    writer.forget_finished(plan.id).await.unwrap();
    assert_eq!(writer.count_finished(plan.id, UpgradeState::Failed).await.unwrap(), (1, 1));
}

async fn a_plan_name_is_unique(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, _) = scene(&mut writer).await;
    let error = writer.create_plan(&settings("plan", package.id), NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { what: "upgrade plan", .. }), "{error}");
}

async fn lists_are_copied(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, plan) = scene(&mut writer).await;
    let copy = writer.create_plan(&settings("copy", package.id), NOW).await.unwrap();
    writer.list_devices(plan.id, List::White, &[dk("d1"), dk("d2")]).await.unwrap();
    writer.list_devices(plan.id, List::Black, &[dk("d2")]).await.unwrap();
    writer.copy_lists(plan.id, copy.id).await.unwrap();
    assert_eq!(writer.listed(copy.id, List::White, "", 10).await.unwrap(), [dk("d1"), dk("d2")]);
    assert_eq!(writer.listed(copy.id, List::Black, "", 10).await.unwrap(), [dk("d2")]);
}

async fn lists_hold_many_devices(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, _, plan) = scene(&mut writer).await;
    let keys: Vec<DeviceKey> = (0..2_500).map(|index| dk(&format!("d{index:05}"))).collect();
    assert!(!writer.has_list(plan.id, List::White).await.unwrap());
    writer.list_devices(plan.id, List::White, &keys).await.unwrap();
    writer.list_devices(plan.id, List::White, &keys[..10]).await.unwrap();
    assert_eq!(writer.count_listed(plan.id, List::White).await.unwrap(), 2_500);
    assert!(writer.has_list(plan.id, List::White).await.unwrap());
    assert!(!writer.has_list(plan.id, List::Black).await.unwrap());
    assert!(writer.is_listed(plan.id, List::White, &keys[7]).await.unwrap());
    assert!(!writer.is_listed(plan.id, List::Black, &keys[7]).await.unwrap());
    let page = writer.listed(plan.id, List::White, keys[4].as_str(), 2).await.unwrap();
    assert_eq!(page, &keys[5..7]);
}

async fn overlapping_active_plans_are_found(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, mut older) = scene(&mut writer).await;
    let newer = writer.create_plan(&settings("newer", package.id), NOW).await.unwrap();
    assert!(writer.overlaps(newer.id).await.unwrap().is_empty());
    older.state = PlanState::Activated;
    older.activated = Some(NOW);
    writer.save_plan_state(&older).await.unwrap();
    let overlaps = writer.overlaps(newer.id).await.unwrap();
    assert_eq!(overlaps.len(), 1);
    assert_eq!((overlaps[0].plan, overlaps[0].component.as_str()), (older.id.0, "STM32"));
    writer.supersede(older.id, &no("STM32"), newer.id).await.unwrap();
    assert_eq!(writer.superseded_by(older.id).await.unwrap(), [(no("STM32"), newer.id)]);
    assert_eq!(usable(writer.offered_plans(&pk("p1abcd")).await.unwrap()), [older]);
}

async fn an_upgrade_comes_back_with_its_components(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let mut made = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    assert_eq!(writer.upgrade(made.id).await.unwrap(), made);
    made.state = UpgradeState::Failed;
    made.reason = Some("the plan was terminated".into());
    made.confirmed = Some(NOW);
    made.next_offer = Some(NOW);
    made.components[0].state = ComponentState::DownloadFailed;
    made.components[0].failures = 3;
    made.components[0].wants_sha256 = true;
    made.components[0].proving = true;
    made.components[0].lease_until = None;
    made.components[0].reason = Some("status 6".into());
    writer.save_upgrade(&made).await.unwrap();
    writer.raise_fetched(made.id, &no("STM32"), 70_000).await.unwrap();
    writer.raise_fetched(made.id, &no("STM32"), 60_000).await.unwrap();
    made.components[0].fetched = 70_000;
    assert_eq!(writer.find_upgrade(plan.id, device.id).await.unwrap(), Some(made.clone()));
    assert_eq!(writer.open_upgrades(device.id).await.unwrap(), [made.clone()]);
    assert_eq!(writer.plan_upgrades(plan.id, 0, 10).await.unwrap(), [made.clone()]);
    assert_eq!(writer.plan_figures(plan.id).await.unwrap().failed, 1);
    made.ended = Some(NOW);
    writer.save_upgrade(&made).await.unwrap();
    assert!(writer.open_upgrades(device.id).await.unwrap().is_empty());
    assert_eq!(writer.device_upgrades(device.id).await.unwrap(), [made]);
}

async fn a_plans_devices_are_found_by_their_state_and_a_second_chance_uncounts_a_failure(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (first, package, plan) = scene(&mut writer).await;
    let second = device(&mut writer, "d2").await;
    let mut failed = writer.create_upgrade(upgrade(&plan, first.id, package.id)).await.unwrap();
    writer.create_upgrade(upgrade(&plan, second.id, package.id)).await.unwrap();
    failed.state = UpgradeState::Failed;
    writer.save_upgrade(&failed).await.unwrap();
    let found = writer.plan_upgrades_in(plan.id, UpgradeState::Failed, 0, 10).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&failed));
    assert!(
        writer.plan_upgrades_in(plan.id, UpgradeState::Failed, failed.id.0, 10).await.unwrap().is_empty()
    );
    assert_eq!(writer.count_finished(plan.id, UpgradeState::Failed).await.unwrap(), (1, 1));
    for _ in 0..2 {
        writer.uncount_failed(plan.id).await.unwrap();
    }
    assert_eq!(writer.count_finished(plan.id, UpgradeState::Upgraded).await.unwrap(), (1, 0));
}

async fn a_device_is_in_a_plan_once(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    assert!(writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.is_err());
}

async fn leases_and_due_offers_are_found(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let mut made = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    let lease = made.components[0].lease_until.unwrap();
    assert!(writer.leases_over(lease - Millis(1), 10).await.unwrap().is_empty());
    assert_eq!(writer.leases_over(lease, 10).await.unwrap(), [device.id]);
    made.next_offer = Some(NOW);
    writer.save_upgrade(&made).await.unwrap();
    assert!(writer.offers_due(NOW, 10).await.unwrap().is_empty(), "the device is offline");
    writer.set_online(device.id, "center/1", NOW).await.unwrap();
    assert!(writer.offers_due(NOW - Millis(1), 10).await.unwrap().is_empty());
    assert_eq!(writer.offers_due(NOW, 10).await.unwrap(), [device.id]);
}

async fn terminating_ends_only_what_was_not_confirmed(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (first, package, plan) = scene(&mut writer).await;
    let second = device(&mut writer, "d2").await;
    let waiting = writer.create_upgrade(upgrade(&plan, first.id, package.id)).await.unwrap();
    let mut running = writer.create_upgrade(upgrade(&plan, second.id, package.id)).await.unwrap();
    running.confirmed = Some(NOW);
    running.state = UpgradeState::Upgrading;
    writer.save_upgrade(&running).await.unwrap();
    writer.end_unconfirmed(plan.id, UpgradeState::Failed, "terminated", NOW).await.unwrap();
    let ended = writer.upgrade(waiting.id).await.unwrap();
    assert_eq!((ended.state, ended.ended), (UpgradeState::Failed, Some(NOW)));
    assert_eq!(ended.components[0].lease_until, None);
    assert_eq!(writer.upgrade(running.id).await.unwrap(), running);
    for key in ["d3", "d4", "d5"] {
        device(&mut writer, key).await;
    }
    writer.list_devices(plan.id, List::Black, &[dk("d4")]).await.unwrap();
    writer.count_unreached(plan.id).await.unwrap();
    assert_eq!(writer.plan_unreached(plan.id).await.unwrap(), 2, "who has no row, without the blacklist");
    assert_eq!(writer.plan_figures(plan.id).await.unwrap().failed, 3);
    let white: Vec<DeviceKey> = ["d1", "d3", "d4", "stranger"].map(dk).into();
    writer.list_devices(plan.id, List::White, &white).await.unwrap();
    writer.count_unreached(plan.id).await.unwrap();
    assert_eq!(writer.plan_unreached(plan.id).await.unwrap(), 1, "the whitelist leaves d5 out");
}

async fn a_plan_that_is_over_ends_what_waits_for_another_attempt(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (first, package, plan) = scene(&mut writer).await;
    let second = device(&mut writer, "d2").await;
    let mut ids = Vec::new();
    for (device, state) in [(first, ComponentState::DownloadFailed), (second, ComponentState::Downloading)] {
        let mut made = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
        made.state = UpgradeState::Upgrading;
        made.confirmed = Some(NOW);
        made.next_offer = Some(NOW);
        made.components[0].state = state;
        writer.save_upgrade(&made).await.unwrap();
        ids.push(made.id);
    }
    writer.end_waiting(plan.id, "over", NOW).await.unwrap();
    let ended = writer.upgrade(ids[0]).await.unwrap();
    assert_eq!((ended.state, ended.ended, ended.next_offer), (UpgradeState::Failed, Some(NOW), None));
    assert_eq!((ended.reason.as_deref(), ended.components[0].lease_until), (Some("over"), None));
    assert_eq!(writer.upgrade(ids[1]).await.unwrap().ended, None);
}

async fn a_plan_is_held_by_many_and_locked_by_one(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, _, plan) = scene(&mut writer).await;
    writer.commit().await.unwrap();
    let mut writer = bench.store.write().await.unwrap();
    assert_eq!(writer.hold_plan(plan.id).await.unwrap(), plan);
    assert_eq!(writer.lock_plan(plan.id).await.unwrap(), plan);
    let missing = writer.hold_plan(PlanId(99)).await;
    assert!(matches!(missing, Err(StoreError::NotFound { what: "upgrade plan", .. })));
}

async fn no_lease_ends_before_the_grace(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let made = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    let lease = made.components[0].lease_until.unwrap();
    writer.extend_leases(lease - Millis(1)).await.unwrap();
    assert_eq!(writer.upgrade(made.id).await.unwrap().components[0].lease_until, Some(lease));
    writer.extend_leases(lease + Millis(1)).await.unwrap();
    assert_eq!(writer.upgrade(made.id).await.unwrap().components[0].lease_until, Some(lease + Millis(1)));
}

async fn a_repeated_line_is_counted_in_one_row(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let made = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    let line = |status: i64| NewLogEntry {
        device: device.id,
        upgrade: Some(made.id),
        component: Some(no("STM32")),
        kind: "status",
        value: serde_json::json!({ "status": status }),
    };
    for (second, status) in [(0, 5), (5, 5), (10, 5), (15, 8)] {
        writer.log(line(status), NOW + Millis::seconds(second)).await.unwrap();
    }
    let stray = NewLogEntry { upgrade: None, component: None, kind: "stray", ..line(3) };
    writer.log(stray, NOW).await.unwrap();
    let log = writer.upgrade_log(made.id).await.unwrap();
    let seen: Vec<_> = log.iter().map(|entry| (entry.times, entry.at, entry.last_at)).collect();
    let later = |second| NOW + Millis::seconds(second);
    assert_eq!(seen, [(3, NOW, later(10)), (1, later(15), later(15))]);
    assert_eq!(log[0].value["status"], 5);
    assert_eq!(writer.device_log(device.id, 10).await.unwrap().len(), 3);
    assert_eq!(writer.device_log(device.id, 1).await.unwrap()[0].kind, "stray");
}

async fn an_uncommitted_transaction_leaves_nothing(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    drop(writer);
    assert_eq!(bench.store.read().await.unwrap().products().await.unwrap(), []);
}

async fn a_restart_finds_everything(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, ..) = scene(&mut writer).await;
    writer.commit().await.unwrap();
    bench.store.close().await;
    let again = Store::connect(&bench.url, bench.keys.clone()).await.unwrap();
    assert_eq!(again.read().await.unwrap().device(&pk("p1abcd"), &dk("d1")).await.unwrap(), device);
    assert!(
        bench.store.read().await.is_err_and(|error| error.is_temporary()),
        "a closed store is trouble of the moment"
    );
    again.close().await;
}

async fn writers_of_one_device_wait_for_each_other(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let id = device(&mut writer, "d1").await.id;
    writer.commit().await.unwrap();
    let add = |store: Store| async move {
        let mut writer = store.write().await.unwrap();
        let mut device = writer.lock_device(id).await.unwrap();
        tokio::task::yield_now().await;
        device.signal = Some(device.signal.unwrap_or(0) + 1);
        writer.save_device(&device).await.unwrap();
        writer.commit().await.unwrap();
    };
    let tasks: Vec<_> = (0..6).map(|_| tokio::spawn(add(bench.store.clone()))).collect();
    for task in tasks {
        task.await.unwrap();
    }
    let device = bench.store.read().await.unwrap().device_by_id(id).await.unwrap();
    assert_eq!(device.signal, Some(6));
}

/// A product and 1 200 devices, which is more than one batch.
async fn sealed_scene(bench: &Bench) -> Product {
    let mut writer = bench.store.write().await.unwrap();
    let product = product(&mut writer, "p1abcd").await.unwrap();
    for number in 0..1_200 {
        device(&mut writer, &format!("d{number}")).await;
    }
    writer.commit().await.unwrap();
    product
}

/// Whether both kinds of secrets open with these keys.
async fn open_with(bench: &Bench, keys: Keyring) -> Result<(String, String)> {
    let store = Store::connect(&bench.url, keys).await?;
    let mut reader = store.read().await?;
    let product = reader.product(&pk("p1abcd")).await?;
    let device = reader.device(&pk("p1abcd"), &dk("d1199")).await?;
    let secrets = (reader.product_secret(&product)?, reader.device_secret(&device)?);
    drop(reader);
    store.close().await;
    Ok((secrets.0.as_str().to_owned(), secrets.1.as_str().to_owned()))
}

async fn secrets_are_opened_by_their_key_alone(bench: &Bench) {
    let product = sealed_scene(bench).await;
    let opened = open_with(bench, bench.keys.clone()).await.unwrap();
    assert_eq!(opened, ("MTIzNDU2Nzg5MGFi".to_owned(), "secretd1199".to_owned()));
    assert!(!format!("{product:?}").contains("MTIzNDU2Nzg5MGFi"));
    let other = Keyring::made();
    let error = open_with(bench, other.clone()).await.unwrap_err().to_string();
    assert!(error.contains(bench.keys.current()) && error.contains(other.current()), "{error}");

    // A secret that was moved to another device does not open there.
    let mut connection = AnyConnection::connect(&bench.url).await.unwrap();
    let moved = "UPDATE devices SET secret = (SELECT secret FROM devices WHERE dk = 'd1') WHERE dk = 'd1199'";
    connection.execute(moved).await.unwrap();
    connection.close().await.unwrap();
    let error = open_with(bench, bench.keys.clone()).await.unwrap_err().to_string();
    assert!(error.contains("device d1199 of product p1abcd"), "{error}");
}

async fn what_stood_in_the_clear_is_sealed(bench: &Bench) {
    sealed_scene(bench).await;
    assert_eq!(bench.store.seal_all().await.unwrap(), Resealed::default(), "nothing to do");
    let mut connection = AnyConnection::connect(&bench.url).await.unwrap();
    connection.execute("UPDATE devices SET secret = 'plain' || dk, seal = ''").await.unwrap();
    connection.execute("UPDATE products SET secret = 'MTIzNDU2Nzg5MGFi', seal = ''").await.unwrap();
    connection.close().await.unwrap();
    let opened = open_with(bench, bench.keys.clone()).await.unwrap();
    assert_eq!(opened.1, "plaind1199", "a database of before can be read");
    assert_eq!(bench.store.seal_all().await.unwrap(), Resealed { plain: 1_201, former: 0 });
    assert_eq!(open_with(bench, bench.keys.clone()).await.unwrap(), opened);
    assert!(open_with(bench, Keyring::made()).await.is_err());
}

async fn a_new_key_takes_over_from_the_one_before(bench: &Bench) {
    sealed_scene(bench).await;
    let renewed = bench.keys.renewed();
    let opened = open_with(bench, renewed.clone()).await.unwrap();
    let store = Store::connect(&bench.url, renewed.clone()).await.unwrap();
    assert_eq!(store.seal_all().await.unwrap(), Resealed { plain: 0, former: 1_201 });
    store.close().await;
    assert_eq!(open_with(bench, renewed.without_former()).await.unwrap(), opened);
    assert!(open_with(bench, bench.keys.clone()).await.is_err(), "the key of before opens nothing any more");
}

#[tokio::test]
async fn no_secret_stands_in_the_file_of_the_database() {
    let bench = Bench::sqlite().await;
    sealed_scene(&bench).await;
    let file = bench.url.strip_prefix("sqlite://").unwrap().to_owned();
    let shows = |secret: &str| {
        ["", "-wal"].iter().any(|end| {
            let bytes = std::fs::read(format!("{file}{end}")).unwrap_or_default();
            bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
        })
    };
    assert!(shows("qdp1abcdd7"), "what is no secret is found");
    assert!(!shows("secretd7") && !shows("MTIzNDU2Nzg5MGFi"));

    // A database of an older version: in the clear, until the next start.
    let mut connection = AnyConnection::connect(&bench.url).await.unwrap();
    connection.execute("UPDATE devices SET secret = 'plain' || dk, seal = ''").await.unwrap();
    connection.close().await.unwrap();
    assert!(shows("plaind7"));
    bench.store.seal_all().await.unwrap();
    assert!(!shows("plaind7"), "nor in what the file keeps of overwritten rows");
}

async fn a_search_finds_what_it_says_page_by_page(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    for number in 0..20_i64 {
        let mut device = device(&mut writer, &format!("d{number:02}")).await;
        if number % 2 == 0 {
            writer.set_online(device.id, &format!("center/{number}"), NOW).await.unwrap();
        }
        device.battery = Some(Reading { value: number % 10, at: None });
        device.rsrp = Some(Reading { value: -100 - number, at: None });
        device.last_seen = (number > 0).then(|| NOW + Millis(number));
        device.module_version = Some(format!("M{}", number % 3));
        writer.save_device(&device).await.unwrap();
        let version = ReportedVersion { component: no("STM32"), version: format!("{}_0", number % 4) };
        writer.set_device_versions(device.id, &[version]).await.unwrap();
    }
    writer.commit().await.unwrap();
    let found = async |filter: DeviceFilter| {
        let mut reader = bench.store.read().await.unwrap();
        let mut keys: Vec<String> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = reader.search_devices(&pk("p1abcd"), &filter, after.as_deref(), 3).await.unwrap();
            keys.extend(page.rows.iter().map(|device| device.key.to_string()));
            after = page.next;
            if after.is_none() {
                return keys;
            }
        }
    };
    let span = |from, until| Span { from, until };
    let all = DeviceFilter::default();
    assert_eq!(found(all.clone()).await.len(), 20);
    let key = DeviceFilter { key: Some("d1".into()), ..all.clone() };
    assert_eq!(found(key.clone()).await, (10..20).map(|n| format!("d{n}")).collect::<Vec<_>>());
    assert_eq!(found(DeviceFilter { key: Some("x".into()), ..all.clone() }).await, [""; 0]);
    let version = Some("1_0".to_owned());
    let mcu = DeviceFilter { component: Some(no("STM32")), version: version.clone(), ..all.clone() };
    assert_eq!(found(mcu.clone()).await, ["d01", "d05", "d09", "d13", "d17"]);
    assert_eq!(found(DeviceFilter { key: Some("d1".into()), ..mcu }).await, ["d13", "d17"]);
    assert_eq!(found(DeviceFilter { version, ..all.clone() }).await, [""; 0], "of the module");
    let module = DeviceFilter { version: Some("M2".into()), ..all.clone() };
    assert_eq!(found(module).await, ["d02", "d05", "d08", "d11", "d14", "d17"]);
    let low = DeviceFilter { battery: span(Some(1), Some(2)), ..all.clone() };
    assert_eq!(found(low.clone()).await, ["d01", "d11", "d02", "d12"], "the emptiest first");
    let weak = DeviceFilter { rsrp: span(None, Some(-117)), ..all.clone() };
    assert_eq!(found(weak).await, ["d19", "d18", "d17"]);
    let early = DeviceFilter { seen: span(None, Some(NOW.0 + 4)), ..all.clone() };
    assert_eq!(found(early).await, ["d01", "d02", "d03", "d04"], "who was never seen is in no range");
    let mut online = found(DeviceFilter { presence: Some(Presence::Online), ..all.clone() }).await;
    online.sort();
    assert_eq!(online, (0..20).step_by(2).map(|n| format!("d{n:02}")).collect::<Vec<_>>());
    let both = DeviceFilter { presence: Some(Presence::Offline), ..low };
    assert_eq!(found(both).await, ["d01", "d11"]);
    let none = DeviceFilter { component: Some(no("OTHER")), ..all };
    assert_eq!(found(none).await, [""; 0]);
    let mut reader = bench.store.read().await.unwrap();
    let page = reader.search_devices(&pk("p1abcd"), &key, None, 2).await.unwrap();
    let versions = reader.versions_of(&page.rows).await.unwrap();
    assert_eq!((versions.len(), versions[&page.rows[1].id][0].version.as_str()), (2, "3_0"));
}

async fn many_devices_are_entered_at_once(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    product(&mut writer, "p1abcd").await.unwrap();
    let known = device(&mut writer, "d7").await;
    let secret = DeviceSecret::new("fresh").unwrap();
    let devices: Vec<_> = (0..1_000).map(|n| (dk(&format!("d{}", n % 999)), secret.clone())).collect();
    assert_eq!(writer.import_devices(&pk("p1abcd"), &devices, NOW).await.unwrap(), 998);
    assert_eq!(writer.device(&pk("p1abcd"), &dk("d7")).await.unwrap(), known, "it keeps its secret");
    let entered = writer.device(&pk("p1abcd"), &dk("d998")).await.unwrap();
    assert_eq!(writer.device_secret(&entered).unwrap(), secret);
    let alone = writer.enter_device(&pk("p1abcd"), &dk("d998"), &secret, NOW).await.unwrap();
    assert_eq!((alone.push_slot, &alone.client_id), (entered.push_slot, &entered.client_id));
}

async fn a_plans_devices_are_listed_by_state_and_reason(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (first, package, plan) = scene(&mut writer).await;
    for number in 0..9 {
        let device =
            if number == 0 { first.clone() } else { device(&mut writer, &format!("e{number}")).await };
        let mut upgrade = upgrade(&plan, device.id, package.id);
        if number % 3 > 0 {
            upgrade.state = UpgradeState::Failed;
            upgrade.reason = Some(if number % 3 == 1 { "status 12" } else { "no answer" }.into());
        }
        writer.create_upgrade(upgrade).await.unwrap();
    }
    writer.commit().await.unwrap();
    let mut reader = bench.store.read().await.unwrap();
    let mut listed = async |state: Option<UpgradeState>, reason: Option<&str>| {
        let filter = UpgradeFilter { state, reason: reason.map(str::to_owned) };
        let (mut keys, mut after) = (Vec::new(), 0);
        loop {
            let page = reader.plan_device_page(plan.id, &filter, after, 2).await.unwrap();
            assert!(page.rows.iter().all(|device| device.upgrade.components.len() == 1));
            keys.extend(page.rows.iter().map(|device| device.key.to_string()));
            match page.next {
                Some(next) => after = next,
                None => return keys,
            }
        }
    };
    assert_eq!(listed(None, None).await.len(), 9);
    assert_eq!(listed(Some(UpgradeState::NotUpgraded), None).await, ["d1", "e3", "e6"]);
    assert_eq!(listed(None, Some("status 12")).await, ["e1", "e4", "e7"]);
    assert_eq!(listed(Some(UpgradeState::Failed), Some("no answer")).await, ["e2", "e5", "e8"]);
    assert_eq!(listed(Some(UpgradeState::Upgraded), Some("no answer")).await, [""; 0]);
    let reasons = reader.plan_reasons(plan.id).await.unwrap();
    let reasons: Vec<_> =
        reasons.iter().map(|line| (line.state, line.reason.as_deref(), line.devices)).collect();
    assert_eq!(reasons.len(), 3);
    assert!(reasons.contains(&(UpgradeState::Failed, Some("status 12"), 3)), "{reasons:?}");
}

async fn old_lines_are_forgotten_a_few_at_a_time(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let open = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    for number in 0..7 {
        let entry = NewLogEntry {
            device: device.id,
            upgrade: (number == 0).then_some(open.id),
            component: None,
            kind: "status",
            value: serde_json::json!(number),
        };
        writer.log(entry, NOW + Millis(number)).await.unwrap();
    }
    let until = NOW + Millis(5);
    assert_eq!(writer.prune_log(until, 3).await.unwrap(), 3);
    assert_eq!(writer.prune_log(until, 3).await.unwrap(), 1);
    assert_eq!(writer.prune_log(until, 3).await.unwrap(), 0);
    let left = writer.device_log(device.id, 10).await.unwrap();
    let left: Vec<_> = left.iter().map(|line| line.value.clone()).collect();
    assert_eq!(left, [0, 5, 6], "an upgrade that is not at its end keeps its lines");
    assert_eq!(writer.count_in_flight().await.unwrap(), 1);
}

#[tokio::test]
async fn a_line_is_forgotten_by_its_age_once_its_upgrade_has_ended() {
    let bench = Bench::sqlite().await;
    let mut writer = bench.store.write().await.unwrap();
    let (device, package, plan) = scene(&mut writer).await;
    let mut open = writer.create_upgrade(upgrade(&plan, device.id, package.id)).await.unwrap();
    let entry = NewLogEntry {
        device: device.id,
        upgrade: Some(open.id),
        component: None,
        kind: "status",
        value: serde_json::json!(5),
    };
    writer.log(entry, NOW).await.unwrap();
    assert_eq!(writer.prune_log(NOW + Millis(1), 10).await.unwrap(), 0, "it is not at its end");
    open.ended = Some(NOW);
    writer.save_upgrade(&open).await.unwrap();
    assert_eq!(writer.prune_log(NOW, 10).await.unwrap(), 0, "not before its time");
    assert_eq!(writer.prune_log(NOW + Millis(1), 10).await.unwrap(), 1);
    drop(writer);
    bench.end().await;
}

fn usable(plans: Vec<(PlanId, Result<Plan>)>) -> Vec<Plan> {
    plans.into_iter().map(|(_, plan)| plan.unwrap()).collect()
}

async fn a_value_that_is_refused_is_told_apart_from_trouble_of_the_moment(bench: &Bench) {
    // No such device: a foreign key.
    let (device, kind) = (DeviceId(4_711), "error");
    let entry = NewLogEntry { device, upgrade: None, component: None, kind, value: serde_json::json!({}) };
    let mut writer = bench.store.write().await.unwrap();
    let error = writer.log(entry, NOW).await.unwrap_err();
    assert!(matches!(error, StoreError::Refused(_)) && !error.is_temporary(), "{error}");
    drop(writer);
    bench.store.close().await;
    let error = bench.store.read().await.map(drop).unwrap_err();
    assert!(error.is_temporary(), "{error}");
}

async fn a_plan_that_cannot_be_used_does_not_hide_the_others(bench: &Bench) {
    let mut writer = bench.store.write().await.unwrap();
    let (_, package, _) = scene(&mut writer).await;
    let mut ids = Vec::new();
    for name in ["first", "second"] {
        let mut plan = writer.create_plan(&settings(name, package.id), NOW).await.unwrap();
        plan.state = PlanState::Activated;
        plan.activated = Some(NOW);
        writer.save_plan_state(&plan).await.unwrap();
        ids.push(plan.id);
    }
    writer.commit().await.unwrap();
    let mut side = AnyConnection::connect(&bench.url).await.unwrap();
    let zone = "UPDATE plans SET time_zone = 'Mars/Phobos' WHERE name = 'first'";
    side.execute(AssertSqlSafe(zone.to_owned())).await.unwrap();
    side.close().await.unwrap();
    let mut reader = bench.store.read().await.unwrap();
    let mut plans = reader.running_plans().await.unwrap();
    plans.sort_by_key(|(id, _)| *id);
    assert!(matches!(plans.as_slice(), [(_, Err(StoreError::Unusable(_))), (_, Ok(_))]), "{plans:?}");
    assert_eq!(plans.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
}
