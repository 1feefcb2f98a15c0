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
use std::time::{Duration, Instant, SystemTime};

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

/// A plan that is activated at one center is to reach the devices of another one within this time: a figure, no bound.
const SOON: Duration = Duration::from_secs(2);

/// What the log of a center says that did not come to the end of its stop.
const CUT_OFF: &str = "stopped with work still running";

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

/// When each of these devices was offered `version` first, and when it asked by itself before that; not before `begun`.
fn offers<'a>(of: &[&'a str], version: &str, begun: Instant) -> Vec<(&'a str, Instant, Option<Instant>)> {
    let heard = HEARD.lock().unwrap();
    of.iter()
        .map(|device| {
            let mut its = heard.iter().filter(|(key, at, _)| key == device && *at >= begun);
            let offer = its.clone().find(|(.., offer)| offer.as_deref() == Some(version));
            let offered = offer.unwrap_or_else(|| panic!("{device} was not offered {version}")).1;
            let asked = its.find(|(_, at, offer)| offer.is_none() && *at < offered).map(|(_, at, _)| *at);
            (*device, offered, asked)
        })
        .collect()
}

/// How a plan with a limit, activated at `begun` at one center, reached the devices of another one, in words.
fn reach(offers: &[(&str, Instant, Option<Instant>)], begun: Instant) -> String {
    let (soon, later): (Vec<_>, Vec<_>) = offers.iter().partition(|(_, offered, _)| *offered - begun <= SOON);
    let answered =
        later.iter().filter(|(_, offered, asked)| asked.is_some_and(|asked| *offered - asked <= SOON));
    let answered = answered.count();
    format!(
        "{} were offered it within {SOON:?}, {answered} when they asked, and {} at a place that another one left",
        soon.len(),
        later.len() - answered
    )
}

/// A device with this number never asks for a plan: what it is offered, it is offered by a center on its own.
fn is_quiet(number: usize) -> bool {
    number.is_multiple_of(2)
}

/// Waits until the next 10-minute mark is far enough away for a fleet to be offered something before it.
fn far_from_a_mark(devices: usize) {
    let span = 30 + u64::try_from(devices).unwrap() / 4;
    while seconds_to_mark() < span {
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn seconds_to_mark() -> u64 {
    const BETWEEN: u64 = 10 * 60;
    BETWEEN - SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() % BETWEEN
}

/// When the plan was activated, by the database's clock.
fn activation(cluster: &Cluster, plan: &str) -> Instant {
    let ago = cluster.server.ask(&format!(
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint - activated_at FROM plans WHERE id = {plan}"
    ));
    Instant::now() - Duration::from_millis(ago.parse().unwrap())
}

/// What `cluster::key` made of it.
fn number_of(key: &str) -> usize {
    key.strip_prefix("8600000000").unwrap().parse().unwrap()
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
    let options = ["--max-in-flight", &limit, "--retries", "9", "--first-push", "at_once"];
    let asking = cluster::script(devices);
    let quiet = asking.lines().filter(|line| !line.starts_with("ask")).collect::<Vec<_>>().join("\n");
    let script = |number| if is_quiet(number) { &quiet } else { &asking };
    let mut runners: Vec<DeviceRunner> =
        (0..devices).map(|number| cluster.device(number, script(number)).observed_by(hear)).collect();
    let listed = folder.path().join("whitelist");
    let stop = AtomicBool::new(false);
    let watched = Arc::new(AtomicBool::new(false));
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

        eventually(devices, "the end of the verification", || {
            (cluster.count("upgrades WHERE plan_id IS NULL AND state = 'upgraded'") == 1).then_some(())
        });

        // A plan without limits, activated at one center for the devices of the other one, with its first push at once: those
        // that never ask have it long before the next mark.
        let at_b = cluster.server.ask("SELECT dk FROM devices WHERE center = 'b'");
        let at_b: Vec<&str> = at_b.lines().collect();
        std::fs::write(&listed, at_b.join("\n")).unwrap();
        let whitelist = ["--whitelist-file", listed.to_str().unwrap()];
        far_from_a_mark(devices);
        let plan = cluster.plan(
            "a",
            "1p",
            &[&["--first-push", "at_once", "--retries", "9"], &whitelist[..]].concat(),
        );
        let activated = activation(&cluster, &plan);
        let mark = Instant::now() + Duration::from_secs(seconds_to_mark());
        eventually(devices, "all of b's devices", || (cluster.upgraded(&plan) == at_b.len()).then_some(()));
        let offers_of_b = offers(&at_b, "1p", activated);
        let soon = offers_of_b.iter().filter(|(_, offered, _)| *offered - activated <= SOON).count();
        let last = offers_of_b.iter().map(|(_, offered, _)| *offered - activated).max().unwrap();
        let unasked: Vec<_> = offers_of_b.iter().filter(|(device, ..)| is_quiet(number_of(device))).collect();
        assert!(!unasked.is_empty());
        for (device, offered, asked) in &unasked {
            assert!(
                asked.is_none() && *offered < mark,
                "{device}: {:?} after the activation",
                *offered - activated
            );
        }
        let pushed = format!(
            "of b's {} devices {soon} were offered a plan without a limit within {SOON:?} of its activation at a, and the last one \
             after {last:?}; the {} that never ask were so before the mark",
            at_b.len(),
            unasked.len()
        );

        // From here on every plan has its limit.
        let watch = most_in_flight(&cluster.server.url(), watched.clone());
        let plan = cluster.plan("a", "2", &options);
        let activated = activation(&cluster, &plan);
        eventually(devices, "a third of the fleet", || {
            (cluster.upgraded(&plan) >= devices / 3).then_some(())
        });
        cluster.kill("a");
        let killed = Instant::now();
        eventually(devices, "the whole fleet", || (cluster.upgraded(&plan) == devices).then_some(()));
        let recovered = killed.elapsed();
        let reach = reach(&offers(&at_b, "2", activated), activated);
        eventually(devices, "nobody is held by the dead center", || {
            (cluster.held_by("a") == 0).then_some(())
        });

        cluster.start_center("a");
        let plan = cluster.plan("b", "3", &options);
        eventually(devices, "a quarter of the fleet", || {
            (cluster.upgraded(&plan) >= devices / 4).then_some(())
        });
        for id in ["b", "a"] {
            let before = cluster.logged(id, CUT_OFF);
            cluster.stop(id);
            // On a machine with far too much to do a stop ends by its deadline, says so, and leaves the rest to the next start.
            let left = cluster.held_by(id);
            assert!(left == 0 || cluster.logged(id, CUT_OFF) > before, "{id} leaves {left} devices online");
            if left > 0 {
                println!("{id} was cut off in its stop, with {left} devices online");
            }
            cluster.start_center(id);
        }
        eventually(devices, "the whole fleet again", || (cluster.upgraded(&plan) == devices).then_some(()));
        (held, reached, pushed, reach, recovered, cluster.count("upgrade_log"), watch)
    });
    watched.store(true, Ordering::Relaxed);
    let (held, reached, pushed, reach, recovered, lines, watch) = figures;
    let most = watch.join().unwrap();
    println!(
        "{devices} devices, {} at a and {} at b: an order at a reached b's device in {reached:?}; {pushed}; with at \
         most {in_flight} in flight {reach}; a was killed at a third, \
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
