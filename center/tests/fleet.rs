//! Fifty devices, end to end over MQTT and HTTP: what becomes of each of them when its plan is suspended, terminated, or
//! ends in the middle; and a plan whose firmware fails on three devices of ten stops by itself.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Scope;
use std::time::{Duration, Instant};

use reference_device::{DeviceRunner, TraceEvent, Until};
use serde_json::Value as Json;
use support::{Center, eventually};
use tempfile::TempDir;

const PK: &str = "p1fleet";
const PS: &str = "MTIzNDU2Nzg5MGFi";
/// Bytes of the firmware: at 3000 bytes a second a device is busy for twenty seconds.
const SIZE: usize = 60_000;

/// Groups of ten devices, by the tens of their number.
const DONE: &str = "offer upgrade";
const SLOW: &str = "offer upgrade slow 3000";
const IGNORES: &str = "offer ignore";
const REFUSES: &str = "offer refuse";
const LATE: &str = "ask every 500 ms";

struct Fleet {
    center: Center,
    plan: String,
    _folder: TempDir,
}

/// What the plan made of a device: its state, its component's state, and the reason.
type Seen = (String, String, String);

impl Fleet {
    /// A center with one product and an active plan.
    fn new(options: &[&str]) -> Fleet {
        let folder = tempfile::tempdir().unwrap();
        let center = Center::start(&folder.path().join("center"));
        center.says(&["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS]);
        center.says(&["component", "add", PK, "MCU", "--type", "mcu"]);
        let image: Vec<u8> = (0..SIZE).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
        let file = folder.path().join("two.bin");
        std::fs::write(&file, image).unwrap();
        let file = file.display().to_string();
        let words =
            ["package", "add", "--product", PK, "--component", "MCU", "--name", "two", "--target", "2"];
        let choice = format!("MCU={}", center.id(&[&words[..], &[&file]].concat()));
        let words = ["plan", "create", "--name", "to two", "--product", PK, "--component", &choice];
        let plan = center.id(&[&words[..], options].concat());
        center.says(&["plan", "activate", &plan]);
        Fleet { center, plan, _folder: folder }
    }

    fn runner(&self, number: usize, script: &str) -> DeviceRunner {
        let script = format!("component MCU 1\n{script}").parse().unwrap();
        DeviceRunner::new(self.center.mqtt, PK, PS, &key(number), script)
    }

    /// Every device that the plan knows of.
    fn seen(&self) -> BTreeMap<String, Seen> {
        let shown = self.center.json(&["plan", "devices", &self.plan]);
        assert_eq!(shown["next"], Json::Null, "more than one page");
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let items = shown["items"].as_array().unwrap().iter();
        let seen = items.map(|item| {
            let component = text(&item["components"][0]["state"]);
            (text(&item["device_key"]), (text(&item["state"]), component, text(&item["reason"])))
        });
        seen.collect()
    }

    /// Waits until `group` is where it should be.
    fn await_group(&self, group: std::ops::Range<usize>, state: &str, component: &str) {
        eventually(&format!("devices {group:?} {state}, {component}"), || {
            let seen = self.seen();
            let is_there =
                |number| seen.get(&key(number)).is_some_and(|(is, part, _)| is == state && part == component);
            group.clone().all(is_there).then_some(())
        });
    }

    fn plan(&self) -> Json {
        self.center.json(&["plan", "show", &self.plan])
    }

    /// Devices of `group`, in detail.
    #[track_caller]
    fn assert_group(&self, group: std::ops::Range<usize>, state: &str, component: &str, reason: &str) {
        let seen = self.seen();
        for number in group {
            let expected = (state.to_owned(), component.to_owned(), reason.to_owned());
            assert_eq!(seen.get(&key(number)), Some(&expected), "device {number}");
        }
    }

    #[track_caller]
    fn assert_why(&self, number: usize, words: &str) {
        let said = self.center.says(&["why", PK, &key(number)]);
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

fn key(number: usize) -> String {
    format!("8600000000{number:05}")
}

fn play<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    runners: &'env mut [DeviceRunner],
    stop: &'env AtomicBool,
) {
    for runner in runners {
        scope.spawn(move || {
            let deadline = Instant::now() + Duration::from_secs(150);
            runner.run(&Until { deadline, stop, upgrades: None })
        });
    }
}

/// Ends the devices with the test, be it by a panic.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn offers(runner: &DeviceRunner) -> usize {
    runner.trace.iter().filter(|line| matches!(line, TraceEvent::Offered(_))).count()
}

/// Devices 0..10 are done, 10..20 at work, 20..30 offered, 30..40 have refused; then `act`, and 40..50 come.
fn in_the_middle(fleet: &Fleet, act: impl FnOnce(), check: impl FnOnce()) -> Vec<DeviceRunner> {
    let stop = AtomicBool::new(false);
    let group = |first: usize, script: &str| -> Vec<DeviceRunner> {
        (first..first + 10).map(|number| fleet.runner(number, script)).collect()
    };
    let mut early = group(0, DONE);
    early.extend(group(20, IGNORES));
    early.extend(group(30, REFUSES));
    let (mut slow, mut late) = (group(10, SLOW), group(40, LATE));
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        play(scope, &mut early, &stop);
        fleet.await_group(0..10, "upgraded", "upgrade_succeeded");
        fleet.await_group(20..30, "not_upgraded", "plan_not_received");
        fleet.await_group(30..40, "not_upgraded", "refused");
        play(scope, &mut slow, &stop);
        fleet.await_group(10..20, "upgrading", "downloading");
        act();
        play(scope, &mut late, &stop);
        eventually("the late ones are online", || {
            // Before its first connect there is no such device.
            let online = |number| {
                let shown = fleet.center.run(&["device", "show", PK, &key(number), "--json"]).stdout;
                serde_json::from_slice::<Json>(&shown).is_ok_and(|shown| shown["online"] == true)
            };
            (40..50).all(online).then_some(())
        });
        check();
    });
    early.into_iter().chain(slow).chain(late).collect()
}

#[test]
fn a_suspended_plan_goes_on_for_those_who_confirmed_and_takes_the_others_after_its_resume() {
    let fleet = Fleet::new(&[]);
    let runners = in_the_middle(
        &fleet,
        || {
            fleet.center.says(&["plan", "suspend", &fleet.plan]);
        },
        || {
            fleet.await_group(10..20, "upgraded", "upgrade_succeeded");
            assert_eq!(fleet.plan()["state"], "suspended");
            fleet.assert_group(20..30, "not_upgraded", "plan_not_received", "");
            fleet.assert_group(30..40, "not_upgraded", "refused", "the device refused");
            let seen = fleet.seen();
            assert!((40..50).all(|number| !seen.contains_key(&key(number))), "nobody new is offered it");
            fleet.assert_why(40, "uspended");
            fleet.center.says(&["plan", "resume", &fleet.plan]);
            assert_eq!(fleet.plan()["state"], "upgrading");
            fleet.await_group(40..50, "upgraded", "upgrade_succeeded");
        },
    );
    let devices = &fleet.plan()["devices"];
    assert_eq!((&devices["upgraded"], &devices["failed"]), (&30.into(), &0.into()), "{devices}");
    assert!(runners.iter().all(|runner| offers(runner) == 1));
}

#[test]
fn a_terminated_plan_fails_those_who_had_not_confirmed_and_lets_the_others_finish() {
    let fleet = Fleet::new(&[]);
    let runners = in_the_middle(
        &fleet,
        || {
            fleet.center.says(&["plan", "terminate", &fleet.plan]);
        },
        || {
            fleet.assert_group(20..30, "upgrade_failed", "plan_not_received", "the plan was terminated");
            fleet.assert_group(30..40, "upgrade_failed", "refused", "the plan was terminated");
            fleet.await_group(10..20, "upgraded", "upgrade_succeeded");
        },
    );
    fleet.assert_group(0..10, "upgraded", "upgrade_succeeded", "");
    let plan = fleet.plan();
    assert_eq!(plan["state"], "terminated");
    let devices = &plan["devices"];
    assert_eq!((&devices["upgraded"], &devices["failed"]), (&20.into(), &20.into()), "{devices}");
    let late = runners.iter().filter(|runner| runner.device.flash.device_key >= key(40));
    assert_eq!(late.map(offers).sum::<usize>(), 0, "they came after its end");
}

#[test]
fn a_plan_whose_end_comes_leaves_alone_who_has_not_started_and_lets_the_others_finish() {
    let end = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(18);
    let fleet = Fleet::new(&["--time-zone", "UTC", "--end", &end.to_string()]);
    let runners = in_the_middle(
        &fleet,
        || {
            assert!(jiff::Timestamp::now() < end, "all of them were there before the end");
            eventually("the plan has ended", || (fleet.plan()["state"] == "ended").then_some(()));
            assert!(jiff::Timestamp::now() >= end);
        },
        || {
            fleet.assert_group(20..30, "not_upgraded", "plan_not_received", "the plan has ended");
            fleet.assert_group(30..40, "not_upgraded", "refused", "the plan has ended");
            fleet.await_group(10..20, "upgraded", "upgrade_succeeded");
        },
    );
    fleet.assert_group(0..10, "upgraded", "upgrade_succeeded", "");
    let devices = &fleet.plan()["devices"];
    let counts = ["upgraded", "failed", "not_upgraded", "upgrading"].map(|state| devices[state].as_u64());
    assert_eq!(counts, [Some(20), Some(0), Some(20), Some(0)], "{devices}");
    let late = runners.iter().filter(|runner| runner.device.flash.device_key >= key(40));
    assert_eq!(late.map(offers).sum::<usize>(), 0, "they came after its end");
}

#[test]
fn a_plan_whose_firmware_fails_on_three_of_ten_stops_after_its_first_ten() {
    let fleet = Fleet::new(&["--first-devices", "10", "--halt", "20/10", "--retries", "0"]);
    let script = |number: usize| match number % 10 {
        0 | 4 | 8 => "ask every 500 ms\noffer fail 12 at upgrading slow 12000",
        _ => "ask every 500 ms\noffer upgrade slow 12000",
    };
    let mut first: Vec<DeviceRunner> = (0..10).map(|number| fleet.runner(number, script(number))).collect();
    let mut rest: Vec<DeviceRunner> = (10..50).map(|number| fleet.runner(number, script(number))).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        play(scope, &mut first, &stop);
        eventually("ten devices at work", || (fleet.seen().len() == 10).then_some(()));
        play(scope, &mut rest, &stop);
        eventually("the plan stops by itself", || (fleet.plan()["state"] == "suspended").then_some(()));
        eventually("the last of the rest is online", || {
            let shown = fleet.center.run(&["why", PK, &key(49)]);
            shown.status.success().then_some(())
        });
        // Each of them asks twice a second; nobody is told of the plan.
        std::thread::sleep(Duration::from_secs(3));
    });
    let plan = fleet.plan();
    let devices = &plan["devices"];
    assert_eq!((&devices["upgraded"], &devices["failed"]), (&7.into(), &3.into()), "{devices}");
    assert_eq!(plan["halted"], "3 of 10 finished devices failed, more than 20 %");
    assert_eq!(rest.iter().map(offers).sum::<usize>(), 0, "the others never heard of it");
    fleet.assert_why(49, "3 of 10 finished devices failed, more than 20 %");
    for (number, runner) in first.iter().enumerate() {
        let runs = if number % 4 == 0 { "MCU:1" } else { "MCU:2" };
        assert_eq!(runner.device.mcu_list(), runs, "device {number}");
    }
}

/// `plan watch` of a plan, in a thread: what it printed.
fn watching<'scope>(
    scope: &'scope Scope<'scope, '_>,
    fleet: &'scope Fleet,
) -> std::thread::ScopedJoinHandle<'scope, Vec<String>> {
    scope.spawn(|| fleet.center.says(&["plan", "watch", &fleet.plan]).lines().map(str::to_owned).collect())
}

#[test]
fn a_watch_follows_the_plan_and_ends_with_its_last_device() {
    let fleet = Fleet::new(&["--retries", "0"]);
    let mut runners: Vec<DeviceRunner> = (0..3)
        .map(|number| {
            let fails = "offer fail 12 at upgrading slow 12000";
            fleet.runner(number, if number == 2 { fails } else { "offer upgrade slow 12000" })
        })
        .collect();
    let stop = AtomicBool::new(false);
    let said = std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        let watch = watching(scope, &fleet);
        play(scope, &mut runners, &stop);
        eventually("the end of the watch", || watch.is_finished().then_some(()));
        watch.join().unwrap()
    });
    assert!(said.iter().any(|line| line.contains("Upgrading: ") && line.contains("Upgrading ")), "{said:#?}");
    let last = "to two: Upgrading: Upgraded 2, Upgrade Failed 1";
    assert_eq!(said.last().map(String::as_str), Some(last), "{said:#?}");
    assert!(said.windows(2).all(|pair| pair[0] != pair[1]), "a line for each change: {said:#?}");
}

#[test]
fn a_watch_goes_on_after_a_restart_of_the_center() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("center");
    let (mqtt, http) = (support::free_port(), support::free_port());
    let start = || {
        Center::start_with(&data, |command| {
            command.args(["--http", &format!("127.0.0.1:{http}"), "--mqtt", &format!("127.0.0.1:{mqtt}")]);
        })
    };
    let center = start();
    center.says(&["product", "create", "--key", PK, "--name", "Fleet"]);
    center.says(&["component", "add", PK, "MCU", "--type", "mcu"]);
    let image = folder.path().join("two.bin");
    std::fs::write(&image, b"firmware").unwrap();
    let add = ["package", "add", "--product", PK, "--component", "MCU", "--name", "two", "--target", "2"];
    center.says(&[&add[..], &[image.to_str().unwrap()]].concat());
    center.says(&["plan", "create", "--name", "to two", "--product", PK, "--component", "MCU=1"]);
    center.says(&["plan", "activate", "1"]);

    let printed = folder.path().join("printed");
    let mut watch = support::Process::start(env!("CARGO_BIN_EXE_quecota-center"), |command| {
        command.args(["plan", "watch", "1", "--server", &format!("http://127.0.0.1:{http}"), "--data"]);
        command.arg(&data).stdout(std::fs::File::create(&printed).unwrap());
    });
    let said = || std::fs::read_to_string(&printed).unwrap();
    eventually("its first line", || (said() == "to two: Activated: no device yet\n").then_some(()));
    center.process.kill();
    // Longer than its first try takes.
    std::thread::sleep(Duration::from_millis(1_500));
    assert!(watch.child().try_wait().unwrap().is_none(), "it waits for the center");
    let center = start();
    center.says(&["plan", "suspend", "1"]);
    eventually("a change after the restart", || said().contains("Suspended").then_some(()));
    center.says(&["plan", "terminate", "1"]);
    assert!(watch.finish().success());
    assert_eq!(said().lines().last(), Some("to two: Terminated: no device yet"), "{}", said());
}
