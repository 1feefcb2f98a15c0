//! Three hundred devices of the simulator, over MQTT and HTTP, with every kind of ending and lost connections among them: in
//! the end the center's record of each agrees with what the device knows of itself.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reference_device::Sdk;
use reference_device::fleet::{Counts, Device, Fleet, Progress};
use support::{Center, eventually};
use tokio::sync::watch;

const PK: &str = "p1fleet";
const PS: &str = "MTIzNDU2Nzg5MGFi";
const DEVICES: u64 = 300;
/// Bytes of the firmware.
const IMAGE: usize = 10_240;
const MIX: &str = "
sdk 2.9.0 50%, 2.10.6 25%, quecota 25%
component MCU 1 90%, 2 10%
battery 20..100
rsrp -115..-70
space 4096..698000
encrypted 20%
ask once
drop 1%
offer upgrade 84%, refuse 4%, fail 12 at upgrading 4%, lie 7 4%, wrong 7 2%, mute 2%
";

/// What the center must say of a device that came so far: the state of its upgrade; none: it has none.
fn expected(progress: Progress) -> Option<&'static str> {
    match progress {
        Progress::Waiting => None,
        Progress::Upgraded => Some("upgraded"),
        Progress::Failed => Some("upgrade_failed"),
        Progress::Refused => Some("not_upgraded"),
        other => panic!("no device ends {other}"),
    }
}

/// What the API says.
fn ask(center: &Center, path: &str) -> serde_json::Value {
    let token = std::fs::read_to_string(center.data.join("token")).unwrap();
    let request = ureq::get(format!("http://{}/api/v1/{path}", center.http));
    let request = request.header("Authorization", format!("Bearer {}", token.trim()));
    request.call().unwrap().body_mut().read_json().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_devices_end_as_they_and_the_center_both_know() {
    let folder = tempfile::tempdir().unwrap();
    let center = Center::start(&folder.path().join("center"));
    center.says(&["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS]);
    center.says(&["component", "add", PK, "MCU", "--type", "mcu"]);
    let image: Vec<u8> = (0..IMAGE).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
    let file = folder.path().join("two.bin");
    std::fs::write(&file, image).unwrap();
    let file = file.display().to_string();
    let words = ["package", "add", "--product", PK, "--component", "MCU", "--name", "two", "--target", "2"];
    let choice = format!("MCU={}", center.id(&[&words[..], &[&file]].concat()));
    let words = ["plan", "create", "--name", "to two", "--product", PK, "--component", &choice];
    let plan = center.id(&[&words[..], &["--retries", "0"]].concat());
    center.says(&["plan", "activate", &plan]);

    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let fleet = Arc::new(Fleet {
        server: center.mqtt,
        product_key: PK.into(),
        product_secret: PS.into(),
        first: 0,
        devices: DEVICES,
        mix: MIX.parse().unwrap(),
        seed,
        keep_alive: 600,
        addresses: 0,
        counts: Counts::of(DEVICES),
    });
    let is_at_two = |number| Device::new(&fleet, number).device.mcu_list() == "MCU:2";
    let at_two = (0..DEVICES).filter(|number| is_at_two(*number)).count() as u64;
    let (stop, stopped) = watch::channel(false);
    let living = tokio::spawn({
        let fleet = Arc::clone(&fleet);
        async move { fleet.live(stopped, Duration::from_secs(600)).await }
    });
    eventually("every device is done", || {
        let counts = &fleet.counts;
        let done = counts.ended() + counts.at(Progress::Waiting);
        (done == DEVICES && counts.at(Progress::Waiting) == at_two).then_some(())
    });
    stop.send(true).unwrap();
    let records = living.await.unwrap();
    print!("{}", fleet.counts);
    for sdk in [Sdk::V2_9_0, Sdk::V2_10_6, Sdk::Quecota] {
        assert!(records.iter().any(|record| record.sdk == sdk), "{sdk}");
    }
    assert!(records.iter().any(|record| record.encrypted));

    let shown = ask(&center, &format!("plans/{plan}/devices?limit=1000"));
    let states: BTreeMap<&str, &str> = shown["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["device_key"].as_str().unwrap(), item["state"].as_str().unwrap()))
        .collect();
    let devices = ask(&center, &format!("products/{PK}/devices?limit=1000"));
    let versions: BTreeMap<&str, &str> = devices["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| {
            let version = device["mcu_versions"]["MCU"].as_str().unwrap_or_default();
            (device["key"].as_str().unwrap(), version)
        })
        .collect();
    for record in &records {
        let seen = states.get(&*record.key).copied().filter(|state| *state != "no_update_required");
        assert_eq!(seen, expected(record.progress), "{record:#?}");
        let version = record.components.trim_start_matches("MCU:");
        assert_eq!(versions.get(&*record.key), Some(&version), "{record:#?}");
    }
}
