//! Devices that do what devices in the field do, all at once, against the real center: how each of them ends.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reference_device::{DeviceRunner, ExitReason, Script, TraceEvent, Until};
use serde_json::Value as Json;
use support::Center;

const PS: &str = "MTIzNDU2Nzg5MGFi";

/// What a device does, and where that leads: state of the device, state of its component, part of the reason.
type Row = (&'static str, &'static str, &'static str, &'static str);

/// One MCU component; two retries. A device that asks has its next attempt at once.
const MCU: &[Row] = &[
    ("", "upgraded", "upgrade_succeeded", ""),
    ("sdk 2.10.6", "upgraded", "upgrade_succeeded", ""),
    ("encrypted\nsha256\nspace 16384", "upgraded", "upgrade_succeeded", ""),
    ("sdk 2.10.6\nencrypted\noffer upgrade twice", "upgraded", "upgrade_succeeded", ""),
    ("space 16384\noffer upgrade twice", "upgraded", "upgrade_succeeded", ""),
    ("space 16384\noffer upgrade late", "upgraded", "upgrade_succeeded", ""),
    ("space 16384\noffer upgrade reordered", "upgraded", "upgrade_succeeded", ""),
    ("offer upgrade slow 40000 stranger SENSOR", "upgraded", "upgrade_succeeded", ""),
    ("offer mute", "upgraded", "upgrade_succeeded", ""),
    ("offer early at downloading", "upgraded", "upgrade_succeeded", ""),
    ("sdk 2.10.6\noffer early at confirmed", "upgraded", "upgrade_succeeded", ""),
    ("offer reboot at upgrading", "upgraded", "upgrade_succeeded", ""),
    ("ask every 300 ms\noffer reboot at received\noffer upgrade", "upgraded", "upgrade_succeeded", ""),
    ("ask every 300 ms\noffer reboot at downloading\noffer upgrade", "upgraded", "upgrade_succeeded", ""),
    (
        "ask every 300 ms\noffer ignore\noffer fail 6 at downloading\noffer upgrade",
        "upgraded",
        "upgrade_succeeded",
        "",
    ),
    ("ask every 300 ms\noffer lie 3\noffer upgrade", "upgraded", "upgrade_succeeded", ""),
    ("offer refuse", "not_upgraded", "refused", "refused"),
    ("sdk 2.10.6\noffer refuse twice", "not_upgraded", "refused", "refused"),
    ("offer ignore", "not_upgraded", "plan_not_received", ""),
    ("ask every 300 ms\noffer fail 12 at upgrading", "upgrade_failed", "upgrade_failed", "status 12"),
    ("ask every 300 ms\nsdk 2.10.6\noffer wrong 3", "upgrade_failed", "upgrade_failed", ""),
    ("ask every 300 ms\noffer lie 3", "upgrade_failed", "upgrade_failed", "another version"),
    ("ask every 300 ms\noffer fail 6 at starting", "upgrade_failed", "download_failed", "status 6"),
    ("ask every 300 ms\noffer reboot at confirmed", "upgrade_failed", "download_failed", "status 6"),
    // Nobody asks: the center itself comes back after its pause.
    ("offer fail 12 at downloaded\noffer upgrade", "upgraded", "upgrade_succeeded", ""),
    ("offer die at received", "not_upgraded", "plan_received", ""),
    ("offer die at confirmed", "upgrading", "upgrade_confirmed", ""),
    ("offer die at starting", "upgrading", "ready_to_download", ""),
    ("offer die at downloading", "upgrading", "downloading", ""),
    ("offer die at downloaded", "upgrading", "downloaded", ""),
    ("offer die at upgrading", "upgrading", "upgrading", ""),
    ("offer leave at downloading", "upgrading", "downloading", ""),
    ("offer hang at downloading", "upgrading", "downloading", ""),
    ("sdk 2.10.6\noffer hang at downloaded", "upgrading", "downloaded", ""),
];

/// The module and two MCU components in one plan.
const LIST: &[Row] = &[
    ("component A 1\ncomponent B 1", "upgraded", "upgrade_succeeded", ""),
    ("sdk 2.10.6\ncomponent A 1\ncomponent B 1", "upgraded", "upgrade_succeeded", ""),
    ("component A 1\ncomponent B 2", "upgraded", "no_update_required", ""),
    ("component A 1\ncomponent B 1\noffer refuse", "not_upgraded", "refused", ""),
];

/// A product with a package of version 2 for each component, and an active plan for all of them.
fn product(center: &Center, pk: &str, components: &[(&str, &str)]) {
    center.says(&["product", "create", "--key", pk, "--name", pk, "--secret", PS]);
    let file = center.data.join("image.bin");
    let image: Vec<u8> = (0..60_000u32).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
    std::fs::write(&file, image).unwrap();
    let file = file.display().to_string();
    let mut plan = vec!["plan".to_owned(), "create".into(), "--name".into(), format!("plan of {pk}")];
    plan.extend(["--product".into(), pk.into()]);
    for (component, kind) in components {
        center.says(&["component", "add", pk, component, "--type", kind]);
        let target = if *kind == "mcu" { "2" } else { "EC200U_2" };
        let words = ["package", "add", "--product", pk, "--component", component, "--name", "two"];
        let package = center.id(&[&words[..], &["--target", target, &file]].concat());
        plan.extend(["--component".into(), format!("{component}={package}")]);
    }
    let words: Vec<&str> = plan.iter().map(String::as_str).collect();
    let plan = center.id(&words);
    center.says(&["plan", "activate", &plan]);
}

fn upgrade(center: &Center, pk: &str, dk: &str) -> Option<Json> {
    let output = center.run(&["device", "upgrades", pk, dk, "--json"]);
    // Before its first connect there is no such device.
    let shown: Json = serde_json::from_slice(&output.stdout).ok()?;
    shown["items"].as_array()?.first().cloned()
}

/// Whether the upgrade is where the row says; its last component is the one that the row means.
fn is_at(upgrade: &Json, row: &Row) -> bool {
    let (_, device, component, reason) = row;
    let last = upgrade["components"].as_array().and_then(|components| components.last()).cloned();
    let reasons = format!("{} {}", upgrade["reason"], last.clone().unwrap_or_default()["reason"]);
    upgrade["state"] == *device
        && last.is_some_and(|last| last["state"] == *component)
        && reasons.contains(reason)
}

#[test]
fn every_kind_of_device_ends_where_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let center = Center::start(folder.path());
    product(&center, "p1abcd", &[("MCU", "mcu")]);
    product(&center, "p2abcd", &[("app", "module"), ("A", "mcu"), ("B", "mcu")]);

    let stop = AtomicBool::new(false);
    let deadline = Instant::now() + Duration::from_secs(120);
    let rows = MCU.iter().map(|row| ("p1abcd", format!("component MCU 1\n{}", row.0), row));
    let rows = rows.chain(LIST.iter().map(|row| ("p2abcd", row.0.to_owned(), row)));
    let mut runners = Vec::new();
    for (number, (pk, text, row)) in rows.enumerate() {
        let script: Script = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let dk = format!("8600000000{number:05}");
        runners.push((pk, row, DeviceRunner::new(center.mqtt, pk, PS, &dk, script)));
    }
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let mut watched = Vec::new();
        for (pk, row, runner) in &mut runners {
            let dk = runner.device.flash.device_key.clone();
            watched.push((*pk, dk, *row));
            let until = Until { deadline, stop: &stop, upgrades: None };
            scope.spawn(move || runner.run(&until));
        }
        // One that never gets there must not keep the others from being told.
        let end = Instant::now() + Duration::from_secs(60);
        let mut wrong = Vec::new();
        for (pk, dk, row) in watched {
            loop {
                let shown = upgrade(&center, pk, &dk);
                if shown.as_ref().is_some_and(|upgrade| is_at(upgrade, row)) {
                    break;
                }
                if Instant::now() > end {
                    wrong.push(format!("{dk} {row:?}: {:#}", shown.unwrap_or_default()));
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        stop.store(true, Ordering::Relaxed);
        wrong
    });
    let stories = |key: &str| {
        let runner = runners.iter().find(|(.., runner)| key.contains(&runner.device.flash.device_key));
        runner.map(|(.., runner)| runner.trace.iter().map(TraceEvent::to_string).collect::<Vec<_>>())
    };
    for wrong in &wrong {
        eprintln!("{wrong}\n{:#?}", stories(wrong));
    }
    assert_eq!(wrong.len(), 0, "of {} devices", runners.len());
    println!("{} devices ended as their rows say", runners.len());
}

#[test]
fn a_device_that_is_done_stops_and_one_that_dies_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let center = Center::start(folder.path());
    product(&center, "p1abcd", &[("MCU", "mcu")]);
    let stop = AtomicBool::new(false);
    let until = Until { deadline: Instant::now() + Duration::from_secs(60), stop: &stop, upgrades: Some(1) };
    let play = |dk: &str, text: &str| {
        let script = text.parse().unwrap();
        let mut runner = DeviceRunner::new(center.mqtt, "p1abcd", PS, dk, script);
        (runner.run(&until), runner)
    };
    let (left, runner) = play("860000000000001", "component MCU 1");
    assert_eq!((left, runner.statuses()), (ExitReason::Done, vec![1, 2, 4, 5, 8, 9, 11]));
    let (left, runner) = play("860000000000002", "component MCU 1\noffer die at downloaded");
    assert_eq!((left, runner.statuses()), (ExitReason::Died, vec![1, 2, 4, 5, 8]));
    let (left, runner) = play("860000000000003", "component MCU 1\nspace 30000\noffer early at downloaded");
    assert_eq!(
        (left, runner.statuses()),
        (ExitReason::Done, vec![1, 2, 4, 5, 8, 11, 6]),
        "2.9 reports the lost download"
    );
    assert_eq!(runner.device.mcu_list(), "MCU:2");
}
