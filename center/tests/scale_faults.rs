//! What may fail in a cluster fails: centers are killed at random moments, the database stops, the network to it is cut.
//! Afterwards nothing that was acknowledged is lost, no device was upgraded twice, limits held, and each device agrees with
//! its record.

mod balancer;
mod cluster;
mod own_postgres;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use balancer::Balancer;
use cluster::{Cluster, Stops, key, most_in_flight, runs};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reference_device::{DeviceRunner, TraceEvent, Until};
use support::eventually;

/// Devices play while `trouble` does its worst with their cluster; then everything is compared. `trouble` returns the
/// number of the last version.
fn under(
    mut cluster: Cluster,
    devices: usize,
    trouble: impl FnOnce(&mut Cluster) -> usize,
) -> Vec<DeviceRunner> {
    let script = cluster::script(devices);
    let mut runners: Vec<_> = (0..devices).map(|number| cluster.device(number, &script)).collect();
    let stop = AtomicBool::new(false);
    let last = std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        for runner in &mut runners {
            let stop = &stop;
            scope.spawn(move || {
                let deadline = Instant::now() + Duration::from_secs(3000);
                runner.run(&Until { deadline, stop, upgrades: None })
            });
        }
        eventually("every device is online", || (cluster.online() == devices).then_some(()));
        let last = trouble(&mut cluster);
        eventually("every device is online in the end", || (cluster.online() == devices).then_some(()));
        last
    });
    for (number, runner) in runners.iter().enumerate() {
        for version in 2..=last {
            let runs = runs(runner, &version.to_string());
            assert_eq!(runs, 1, "device {number}, version {version}: {:#?}", runner.trace);
        }
        assert_eq!(runner.device.mcu_list(), format!("MCU:{last}"));
        // Its record says the same, and the statuses that it has acknowledgements for, also one that came when its upgrade
        // had ended: a center that is killed may hear of the new version first.
        let record = cluster.server.ask(&format!(
            "SELECT version FROM device_versions JOIN devices ON id = device_id WHERE dk = '{}'",
            key(number)
        ));
        assert_eq!(record, last.to_string(), "device {number}");
        let confirmed = runner.trace.iter().filter(|event| matches!(event, TraceEvent::Status(2, _))).count();
        let statuses = cluster.server.ask(&format!(
            "SELECT times, kind, at, value FROM upgrade_log JOIN devices ON devices.id = device_id \
             WHERE dk = '{}' AND kind LIKE '%status' ORDER BY upgrade_log.id",
            key(number)
        ));
        let is_confirmation = |line: &&str| line.contains("\"status\":2");
        let times =
            |line: &str| line.split('|').next().and_then(|times| times.parse::<usize>().ok()).unwrap_or(0);
        let logged: usize = statuses.lines().filter(is_confirmation).map(times).sum();
        assert!(
            logged >= confirmed,
            "device {number}: {logged} of {confirmed} confirmations in\n{statuses}\n{:#?}",
            runner.trace
        );
    }
    runners
}

/// An active plan to version `number` with places for a third of the devices.
fn plan_to(cluster: &Cluster, number: usize, devices: usize) -> String {
    let limit = (devices / 3).to_string();
    let id = *cluster.centers.keys().next().unwrap();
    cluster.plan(id, &number.to_string(), &["--max-in-flight", &limit, "--retries", "10"])
}

/// Waits until every device is upgraded, long as that may take after a trouble.
fn all_upgraded(cluster: &Cluster, plan: &str, devices: usize) {
    for _ in 0..4 {
        let end = Instant::now() + Duration::from_secs(50);
        while Instant::now() < end {
            if cluster.upgraded(plan) == devices {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    panic!("{} of {devices} upgraded", cluster.upgraded(plan));
}

fn killed(times: usize, devices: usize) {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let cluster = Cluster::start();
    let watched = Arc::new(AtomicBool::new(false));
    let watch = most_in_flight(&cluster.server.url(), watched.clone());
    let begun = Instant::now();
    let mut last = 1;
    under(cluster, devices, |cluster| {
        let mut kills = 0;
        while kills < times {
            last += 1;
            let plan = plan_to(cluster, last, devices);
            while kills < times && cluster.upgraded(&plan) < devices {
                std::thread::sleep(Duration::from_millis(random.random_range(0..1500)));
                let id = if random.random_bool(0.5) { "a" } else { "b" };
                cluster.kill(id);
                // Sometimes long enough for the others to notice.
                std::thread::sleep(Duration::from_millis(random.random_range(0..500)));
                cluster.start_center(id);
                kills += 1;
            }
            all_upgraded(cluster, &plan, devices);
        }
        last
    });
    watched.store(true, Ordering::Relaxed);
    let most = watch.join().unwrap();
    println!(
        "{times} kills of a center in {} plans on {devices} devices, in {:?}: every device upgraded once by each, at most \
         {most} of {} in flight",
        last - 1,
        begun.elapsed(),
        devices / 3
    );
    assert!(most <= i64::try_from(devices / 3).unwrap(), "{most} in flight");
}

#[test]
fn centers_are_killed_twenty_times_and_no_device_is_lost_or_upgraded_twice() {
    killed(20, 24);
}

#[test]
#[ignore = "long: 200 kills, 200 devices"]
fn centers_are_killed_two_hundred_times() {
    killed(200, 200);
}

fn database_stops(span: Duration, devices: usize) {
    let cluster = Cluster::start();
    let (mut held, mut lost) = (0, 0);
    under(cluster, devices, |cluster| {
        let plan = plan_to(cluster, 2, devices);
        eventually("a third of the fleet", || (cluster.upgraded(&plan) >= devices / 3).then_some(()));
        cluster.server.stop();
        for id in ["a", "b"] {
            let (status, body) = cluster.ready(id);
            assert_eq!(status, 503, "{id}: {body}");
        }
        std::thread::sleep(span);
        assert!(cluster.server.resume(), "PostgreSQL is there again");
        held = cluster.online();
        all_upgraded(cluster, &plan, devices);
        lost = ["a", "b"].iter().map(|id| cluster.logged(id, "silent for")).sum();
        2
    });
    println!(
        "the database stopped for {span:?}: {held} of {devices} devices were still connected, all are upgraded"
    );
    assert_eq!(lost, 0, "no center takes the other one for dead because the database was away");
}

#[test]
fn the_database_stops_for_some_seconds_and_every_device_is_upgraded_once() {
    database_stops(Duration::from_secs(3), 24);
}

#[test]
#[ignore = "long: 30 s without a database, 200 devices"]
fn the_database_stops_for_thirty_seconds() {
    database_stops(Duration::from_secs(30), 200);
}

#[test]
fn a_center_that_is_cut_off_from_the_database_loses_its_devices_to_the_other_one() {
    const DEVICES: usize = 24;
    let mut cluster = Cluster::idle();
    let network = Balancer::start();
    network.serve(&[cluster.server.address()]);
    cluster.by_way_of("a", network.address());
    for id in ["a", "b"] {
        cluster.start_center(id);
    }
    cluster.product();
    under(cluster, DEVICES, |cluster| {
        let plan = plan_to(cluster, 2, DEVICES);
        eventually("a third of the fleet", || (cluster.upgraded(&plan) >= DEVICES / 3).then_some(()));
        assert!(cluster.held_by("a") > 0);
        network.cut(true);
        let begun = Instant::now();
        eventually("b ends the connections of a", || (cluster.held_by("a") == 0).then_some(()));
        println!("cut off from the database, a lost its connections after {:?}", begun.elapsed());
        assert_eq!(cluster.logged("b", "silent for"), 1);
        network.cut(false);
        eventually("a learns of it", || (cluster.logged("a", "silent for too long") == 1).then_some(()));
        all_upgraded(cluster, &plan, DEVICES);
        2
    });
}
