//! Who may connect, as an operator decides it: devices that are forbidden or deleted, a product's secret that is replaced, and
//! two devices with one key.

mod conversation;
mod support;

use std::time::{Duration, Instant};

use conversation::Center as Inside;
use quecota_center::clock::Millis;
use quecota_center::engine::{TakenOver, TookOver};
use quecota_center::rules::takeover;
use reference_device::mqtt::Trouble;
use reference_device::{FieldDevice, SessionEncryption, command};
use support::{Center, eventually};
use tempfile::TempDir;

const PK: &str = "p1abcd";
const PS: &str = "MTIzNDU2Nzg5MGFi";
const DK: &str = "860000000000001";
/// Long enough to see that nothing comes.
const MOMENT: Duration = Duration::from_millis(500);

fn center() -> (TempDir, Center) {
    let folder = TempDir::new().unwrap();
    let center = Center::start(folder.path());
    center.says(&["product", "create", "--key", PK, "--name", "Lamps", "--secret", PS]);
    center.says(&["component", "add", PK, "MCU", "--type", "mcu"]);
    (folder, center)
}

fn device(center: &Center, key: &str) -> FieldDevice {
    let mut device = FieldDevice::new(center.mqtt, PK, PS, key);
    device.set_version("MCU", "1");
    device
}

fn is_online(center: &Center, key: &str) -> bool {
    center.json(&["device", "show", PK, key])["online"] == true
}

fn metrics(center: &Center) -> String {
    let token = std::fs::read_to_string(center.data.join("token")).unwrap();
    let request = ureq::get(format!("http://{}/metrics", center.http));
    let mut answer = request.header("Authorization", format!("Bearer {}", token.trim())).call().unwrap();
    answer.body_mut().read_to_string().unwrap()
}

/// What a command says when it is refused.
fn refused(center: &Center, words: &[&str]) -> String {
    let output = center.run(words);
    assert!(!output.status.success(), "{words:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_forbidden_device_is_disconnected_and_refused_until_it_is_allowed() {
    let (_folder, center) = center();
    let mut device = device(&center, DK);
    device.come_online().unwrap();
    center.says(&["device", "forbid", PK, DK]);
    eventually("its connection is closed", || (!is_online(&center, DK)).then_some(()));
    assert_eq!(device.connect(), Err(Trouble::Refused(5)), "by its own secret");
    device.flash.device_secret = None;
    assert_eq!(device.connect(), Err(Trouble::Refused(5)), "nor as a new device");
    let why = center.says(&["why", PK, DK]);
    assert!(why.starts_with("forbidden to connect since 20"), "{why}");
    let log = center.says(&["device", "log", PK, DK]);
    assert!(log.contains("forbidden"), "{log}");

    center.says(&["device", "allow", PK, DK]);
    device.come_online().unwrap();
    eventually("it is online", || is_online(&center, DK).then_some(()));
    assert!(!center.says(&["why", PK, DK]).contains("forbidden"));
}

#[test]
fn a_deleted_device_is_gone_with_its_upgrades_and_comes_back_as_a_new_one() {
    let (folder, center) = center();
    let file = folder.path().join("mcu.bin");
    std::fs::write(&file, [7; 5_000]).unwrap();
    let file = file.display().to_string();
    let words = ["package", "add", "--product", PK, "--component", "MCU", "--name", "two", "--target", "2"];
    let choice = format!("MCU={}", center.id(&[&words[..], &[&file]].concat()));
    let plan = center.id(&["plan", "create", "--name", "to two", "--product", PK, "--component", &choice]);
    center.says(&["plan", "activate", &plan]);
    let mut device = device(&center, DK);
    device.come_online().unwrap();
    device.report_after_connect().unwrap();
    let offered = device.expect_plans().unwrap();
    device.upgrade_mcu(&offered[0], 5_000).unwrap();
    let before = device.flash.device_secret.clone();

    let said = refused(&center, &["device", "delete", PK, DK]);
    assert!(said.contains("it is connected") && said.contains("forbid it first"), "{said}");
    device.goodbye();
    eventually("it is offline", || (!is_online(&center, DK)).then_some(()));
    assert_eq!(center.json(&["plan", "show", &plan])["devices"]["upgraded"], 1);
    assert_eq!(center.says(&["device", "delete", PK, DK]), "1 device deleted\n");
    let said = refused(&center, &["device", "show", PK, DK]);
    assert!(said.contains("there is no device"), "{said}");
    assert_eq!(center.json(&["plan", "show", &plan])["devices"]["upgraded"], 0, "it counts no more");
    device.flash.device_secret = None;
    device.come_online().unwrap();
    assert_ne!(device.flash.device_secret, before);

    // A wrong import, taken back by the same file; what is not there is named, and the rest done.
    let list = folder.path().join("list.csv");
    std::fs::write(&list, "key\nd1\nd2\nd3\n").unwrap();
    let list = list.display().to_string();
    center.says(&["device", "import", "--product", PK, &list]);
    center.says(&["device", "delete", PK, "d2"]);
    let said = refused(&center, &["device", "delete", PK, "--device-file", &list]);
    assert!(said.contains("2 devices deleted, and these not: there is no device d2"), "{said}");
    let known = center.json(&["device", "list", "--product", PK]);
    assert_eq!(known["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_replaced_product_secret_locks_out_strangers_and_no_device() {
    let (_folder, center) = center();
    let mut plain = device(&center, DK);
    let mut encrypted = device(&center, "860000000000002");
    encrypted.encryption = SessionEncryption::On;
    for device in [&mut plain, &mut encrypted] {
        device.come_online().unwrap();
        device.goodbye();
    }
    let said = center.says(&["product", "rotate-secret", PK]);
    let secret = said.split_whitespace().last().unwrap().to_owned();
    assert!(secret.len() >= 16 && secret != PS, "{said}");

    let mut stranger = device(&center, "860000000000666");
    assert_eq!(stranger.connect(), Err(Trouble::Refused(4)), "with the secret that became known");
    stranger.flash.product_secret = secret.clone();
    stranger.come_online().unwrap();

    for device in [&mut plain, &mut encrypted] {
        let own = device.flash.device_secret.clone();
        device.come_online().unwrap();
        device.take_provision().unwrap();
        assert_eq!(device.flash.product_secret, secret);
        device.come_online().unwrap();
        assert_eq!(device.flash.device_secret, own, "bootstrapped by the new one");
        device.goodbye();
        device.come_online().unwrap();
        device.expect_no_frame(command::PROVISION, MOMENT).unwrap();
    }

    // A device that does not keep it is not sent away again and again.
    plain.flash.product_secret = PS.to_owned();
    plain.come_online().unwrap();
    plain.expect_no_frame(command::PROVISION, MOMENT).unwrap();

    // Devices in their boxes may be given time.
    let words = ["product", "rotate-secret", PK, "--secret", "YWJjZGVmZ2hpamts"];
    center.says(&[&words[..], &["--accept-old-until", "2100-01-01T00:00Z"]].concat());
    let mut boxed = FieldDevice::new(center.mqtt, PK, &secret, "860000000000003");
    boxed.come_online().unwrap();
    boxed.take_provision().unwrap();
    assert_eq!(boxed.flash.product_secret, "YWJjZGVmZ2hpamts");
    boxed.come_online().unwrap();
    let said = refused(&center, &words);
    assert!(said.contains("its secret is this one already"), "{said}");
}

#[test]
fn two_devices_with_one_key_are_named_and_slowed_down() {
    let (_folder, center) = center();
    let mut one = device(&center, DK);
    one.come_online().unwrap();
    let mut other = device(&center, DK);
    other.flash = one.flash.clone();
    for round in 0..takeover::MANY {
        let device = if round % 2 == 0 { &mut other } else { &mut one };
        device.come_online().unwrap();
        eventually("the takeover is counted", || {
            metrics(&center).contains(&format!("quecota_takeovers_total {}", round + 1)).then_some(())
        });
    }
    let begun = Instant::now();
    one.come_online().unwrap();
    assert!(begun.elapsed() >= takeover::PAUSE, "{:?}", begun.elapsed());
    let why = center.says(&["why", PK, DK]);
    assert!(
        why.contains("taken over 6 times since") && why.contains("from 127.0.0.1: do two devices"),
        "{why}"
    );
    let log = center.says(&["device", "log", PK, DK]);
    assert!(log.contains("taken over") && log.contains("127.0.0.1"), "{log}");
}

#[tokio::test]
async fn the_addresses_of_both_are_named() {
    let center = Inside::new().await;
    let device = center.device("d1").await.id;
    for round in 0..takeover::MANY + 1 {
        let peer = if round % 2 == 0 { "192.0.2.1" } else { "2001:db8::2" };
        center.engine.online_from(device, Some(peer.parse().unwrap()), TookOver::No).await.unwrap();
        center.clock.advance(Millis::seconds(1));
    }
    let log = center.engine.store().read().await.unwrap().device_log(device, 10).await.unwrap();
    let line = log.iter().find(|line| line.kind == "taken over").unwrap();
    assert_eq!(line.value["times"], 5);
    assert_eq!(line.value["addresses"], serde_json::json!(["192.0.2.1", "2001:db8::2"]));
}

#[tokio::test]
async fn two_devices_that_go_on_for_half_an_hour_are_named_all_the_time() {
    let center = Inside::new().await;
    let device = center.device("d1").await.id;
    let mut many = None;
    for round in 0..200 {
        center.engine.online_from(device, None, TookOver::No).await.unwrap();
        // The first one has taken over nothing.
        for _ in 0..2 {
            let now = center.clock.now();
            let mut store = center.engine.store().read().await.unwrap();
            let named = store.devices_taken_over(now - takeover::NAMED_FOR, 5).await.unwrap();
            let taken = named.iter().find_map(|device| TakenOver::of(device, now));
            assert_eq!(taken.is_some(), round >= takeover::MANY, "round {round}, {now}: {taken:?}");
            many = taken.map(|taken| taken.times);
            drop(store);
            center.clock.advance(Millis::seconds(5));
        }
    }
    assert!(many.is_some_and(|times| (60..=120).contains(&times)), "of at most two windows: {many:?}");
    let device = center.engine.store().read().await.unwrap().device_by_id(device).await.unwrap();
    assert!(device.past_connections.iter().count() > 3, "{device:?}");
}
