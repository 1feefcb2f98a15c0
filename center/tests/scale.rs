//! Two centers behind haproxy, over one PostgreSQL and one S3 store: devices end to end while centers are killed and
//! restarted.

mod balancer;
mod cluster;
mod haproxy;
mod own_postgres;
mod s3_server;
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cluster::{Cluster, Front, Stops, most_in_flight, runs};
use haproxy::Haproxy;
use reference_device::{DeviceRunner, TraceEvent, Until};
use s3_server::S3;
use support::TIMEOUT;

/// Asks again and again, for the longer the more devices there are.
fn eventually<T>(devices: usize, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let span = TIMEOUT * u32::try_from(1 + devices / 30).unwrap();
    let deadline = Instant::now() + span;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {span:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// When each device asked for a plan, and when it was offered which version.
static HEARD: Mutex<Vec<(String, Instant, Option<String>)>> = Mutex::new(Vec::new());

fn hear(device: &str, event: &TraceEvent) {
    let offered = match event {
        TraceEvent::Asked => None,
        TraceEvent::Offered(plans) => plans.first().map(|plan| plan.target.clone()),
        _ => return,
    };
    HEARD.lock().unwrap().push((device.to_owned(), Instant::now(), offered));
}

/// How soon a plan to `version`, activated at `begun` at one center, reached these devices of another one, in words.
fn reach(of: &[&str], version: &str, begun: Instant) -> String {
    const SOON: Duration = Duration::from_secs(2);
    let heard = HEARD.lock().unwrap();
    let (mut soon, mut unasked, mut full) = (Vec::new(), Vec::new(), 0);
    for device in of {
        let mut its = heard.iter().filter(|(key, at, _)| key == device && *at >= begun);
        let (_, offered, _) = its.clone().find(|(.., offer)| offer.as_deref() == Some(version)).unwrap();
        let asked = its.find(|(.., offer)| offer.is_none()).map_or(*offered, |(_, at, _)| *at).min(*offered);
        if *offered - begun <= SOON {
            soon.push(*offered - asked);
        } else if *offered - asked <= SOON {
            unasked.push(*offered - asked);
        } else {
            full += 1;
        }
    }
    format!(
        "a plan activated at a was offered to {} of b's {} devices within {SOON:?}; {} asked later (the longest wait for an \
         answer was {:?}), and {full} had to wait for a place of the plan",
        soon.len(),
        of.len(),
        unasked.len(),
        soon.iter().chain(&unasked).max().copied().unwrap_or_default()
    )
}

fn a_fleet_survives_its_centers(devices: usize) {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start();
    let haproxy = Haproxy::start(folder.path(), &["a", "b"]);
    let mut cluster = Cluster::idle();
    cluster.packages_at(&s3.place("fleet"), &s3.environment());
    cluster.behind(Front {
        mqtt: haproxy.mqtt,
        http: haproxy.http,
        centers: haproxy
            .centers
            .iter()
            .map(|center| (center.id, [center.mqtt, center.http, center.own]))
            .collect(),
    });
    for id in ["a", "b"] {
        cluster.start_center(id);
    }
    cluster.product();
    haproxy.await_all();
    let in_flight = devices / 3;
    let limit = in_flight.to_string();
    let options = ["--max-in-flight", &limit, "--retries", "9"];
    let script = cluster::script(devices);
    let mut runners: Vec<DeviceRunner> =
        (0..devices).map(|number| cluster.device(number, &script).observed_by(hear)).collect();
    let stop = AtomicBool::new(false);
    let watched = Arc::new(AtomicBool::new(false));
    let watch = most_in_flight(&cluster.server.url(), watched.clone());
    let figures = std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        let _watched = Stops(&watched);
        for runner in &mut runners {
            let stop = &stop;
            scope.spawn(move || {
                let deadline = Instant::now() + Duration::from_secs(3000);
                runner.run(&Until { deadline, stop, upgrades: None })
            });
        }
        eventually(devices, "every device is online", || {
            let held = (cluster.held_by("a"), cluster.held_by("b"));
            (held.0 + held.1 == devices && held.0 > 0 && held.1 > 0).then_some(())
        });
        let held = (cluster.held_by("a"), cluster.held_by("b"));

        // An order given to one center reaches a device that the other one holds, without its asking.
        let verified = cluster.package("a", "1v");
        let far = cluster.server.ask("SELECT dk FROM devices WHERE center = 'b' ORDER BY dk LIMIT 1");
        let begun = Instant::now();
        cluster.centers["a"].says(&["package", "verify", &verified, "--device", &far]);
        eventually(devices, "the offer of a verification", || {
            let answered = "component_upgrades JOIN upgrades ON upgrades.id = upgrade_id \
                            WHERE plan_id IS NULL AND component_upgrades.state <> 'plan_not_received'";
            (cluster.count(answered) == 1).then_some(())
        });
        let reached = begun.elapsed();

        let at_b = cluster.server.ask("SELECT dk FROM devices WHERE center = 'b'");
        let plan = cluster.plan("a", "2", &options);
        let ago = cluster.server.ask(&format!(
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint - activated_at FROM plans WHERE id = {plan}"
        ));
        let activated = Instant::now() - Duration::from_millis(ago.parse().unwrap());
        eventually(devices, "a third of the fleet", || {
            (cluster.upgraded(&plan) >= devices / 3).then_some(())
        });
        cluster.kill("a");
        let killed = Instant::now();
        eventually(devices, "the whole fleet", || (cluster.upgraded(&plan) == devices).then_some(()));
        let recovered = killed.elapsed();
        let reach = reach(&at_b.lines().collect::<Vec<_>>(), "2", activated);
        eventually(devices, "nobody is held by the dead center", || {
            (cluster.held_by("a") == 0).then_some(())
        });

        cluster.start_center("a");
        let plan = cluster.plan("b", "3", &options);
        eventually(devices, "a quarter of the fleet", || {
            (cluster.upgraded(&plan) >= devices / 4).then_some(())
        });
        for id in ["b", "a"] {
            cluster.stop(id);
            assert_eq!(cluster.held_by(id), 0, "{id} leaves nobody online");
            cluster.start_center(id);
        }
        eventually(devices, "the whole fleet again", || (cluster.upgraded(&plan) == devices).then_some(()));
        (held, reached, reach, recovered, cluster.count("upgrade_log"))
    });
    watched.store(true, Ordering::Relaxed);
    let most = watch.join().unwrap();
    let (held, reached, reach, recovered, lines) = figures;
    println!(
        "{devices} devices, {} at a and {} at b: an order at a reached b's device in {reached:?}; {reach}; a was killed at a third, \
         and all were upgraded {recovered:?} later; at most {most} of {in_flight} in flight; {lines} log lines",
        held.0, held.1
    );
    assert!(most <= i64::try_from(in_flight).unwrap(), "{most} in flight");
    for runner in &runners {
        let device = &runner.device.flash.device_key;
        assert_eq!((runs(runner, "2"), runs(runner, "3")), (1, 1), "{device}: {:#?}", runner.trace);
    }
}

#[test]
fn a_fleet_of_sixty_survives_a_killed_center_and_a_rolling_restart() {
    a_fleet_survives_its_centers(60);
}

#[test]
#[ignore = "long: 500 devices"]
fn a_fleet_of_five_hundred_survives_a_killed_center_and_a_rolling_restart() {
    a_fleet_survives_its_centers(500);
}
