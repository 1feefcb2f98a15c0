//! Two centers behind a balancer, over one PostgreSQL and one store of packages: devices end to end while centers are
//! killed and restarted.

mod balancer;
mod own_postgres;
mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use balancer::Balancer;
use own_postgres::Postgres;
use reference_device::{DeviceRunner, TraceEvent, Until};
use support::{Center, eventually};
use tempfile::TempDir;

const PK: &str = "p1scale";
const PS: &str = "MTIzNDU2Nzg5MGFi";
const SIZE: usize = 18_000;
const TOKEN: &str = "token-of-every-center";

/// PostgreSQL, two centers, and what stands before them.
struct Cluster {
    // The centers end before their database.
    centers: BTreeMap<&'static str, Center>,
    server: Postgres,
    mqtt: Balancer,
    http: Balancer,
    folder: TempDir,
    seal: String,
}

impl Cluster {
    fn start() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let seal = "5".repeat(64);
        let (mqtt, http) = (Balancer::start(), Balancer::start());
        let server = Postgres::start();
        let mut cluster = Cluster { server, centers: BTreeMap::new(), mqtt, http, folder, seal };
        for id in ["a", "b"] {
            cluster.start_center(id);
        }
        let a = &cluster.centers["a"];
        a.says(&["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS]);
        a.says(&["component", "add", PK, "MCU", "--type", "mcu"]);
        cluster
    }

    fn start_center(&mut self, id: &'static str) {
        let (data, packages) = (self.folder.path().join(id), self.folder.path().join("packages"));
        let public = format!("http://{}", self.http.address());
        let (url, seal) = (self.server.url(), self.seal.clone());
        let center = Center::start_with(&data, |command| {
            command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--database", &url]);
            command.args(["--center-id", id, "--public-url", &public, "--packages"]).arg(packages);
            command.args(["--log", "warn"]).env("QUECOTA_SEAL_KEY", seal).env("QUECOTA_TOKEN", TOKEN);
        });
        std::fs::write(data.join("token"), TOKEN).unwrap();
        self.centers.insert(id, center);
        self.balance();
    }

    fn balance(&self) {
        let addresses = |of: fn(&Center) -> SocketAddr| self.centers.values().map(of).collect::<Vec<_>>();
        self.mqtt.serve(&addresses(|center| center.mqtt));
        self.http.serve(&addresses(|center| center.http));
    }

    /// As a power cut would.
    fn kill(&mut self, id: &str) {
        self.centers.remove(id).unwrap().process.kill();
        self.balance();
    }

    /// By SIGTERM; it must end well.
    fn stop(&mut self, id: &str) {
        let mut center = self.centers.remove(id).unwrap();
        self.balance();
        let pid = center.process.child().id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(center.process.finish().success());
    }

    /// A package with this target, and an active plan with it, by way of center `id`.
    fn plan(&self, id: &str, target: &str, options: &[&str]) -> String {
        let center = &self.centers[id];
        let package = self.package(id, target);
        let choice = format!("MCU={package}");
        let name = format!("to {target}");
        let words = ["plan", "create", "--name", &name, "--product", PK, "--component", &choice];
        let plan = center.id(&[&words[..], options].concat());
        center.says(&["plan", "activate", &plan, "--supersede"]);
        plan
    }

    fn package(&self, id: &str, target: &str) -> String {
        let image: Vec<u8> = (0..SIZE).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
        let file = self.folder.path().join("image.bin");
        std::fs::write(&file, [target.as_bytes(), &image].concat()).unwrap();
        let file = file.display().to_string();
        let name = format!("version {target}");
        let words =
            ["package", "add", "--product", PK, "--component", "MCU", "--name", &name, "--target", target];
        self.centers[id].id(&[&words[..], &[&file]].concat())
    }

    fn count(&self, question: &str) -> usize {
        self.server.ask(&format!("SELECT COUNT(*) FROM {question}")).parse().unwrap()
    }

    fn upgraded(&self, plan: &str) -> usize {
        self.count(&format!("upgrades WHERE plan_id = {plan} AND state = 'upgraded'"))
    }

    fn held_by(&self, id: &str) -> usize {
        self.count(&format!("devices WHERE center = '{id}'"))
    }
}

fn key(number: usize) -> String {
    format!("8600000000{number:05}")
}

/// How often a device has begun to run this version.
fn runs(runner: &DeviceRunner, version: &str) -> usize {
    let runs = |event: &&TraceEvent| matches!(event, TraceEvent::Runs(_, runs) if runs == version);
    runner.trace.iter().filter(runs).count()
}

/// Looks ten times a second for the most upgrades in flight in any plan, until it is told to stop.
fn most_in_flight(url: &str, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<i64> {
    use sqlx::{Connection, Row};
    let url = url.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            sqlx::any::install_default_drivers();
            let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
            let mut most = 0;
            while !stop.load(Ordering::Relaxed) {
                let query = "SELECT COALESCE(MAX(devices), 0) AS devices FROM \
                             (SELECT COUNT(*) AS devices FROM upgrades WHERE outstanding = 1 GROUP BY plan_id) AS plans";
                let row = sqlx::query(query).fetch_one(&mut connection).await.unwrap();
                most = most.max(row.get::<i64, _>("devices"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            most
        })
    })
}

/// Ends the devices with the test, be it by a panic.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn a_fleet_survives_its_centers(devices: usize) {
    let in_flight = devices / 3;
    let limit = in_flight.to_string();
    let options = ["--max-in-flight", &limit, "--retries", "9"];
    let mut cluster = Cluster::start();
    let script = "component MCU 1\nask every 1000 ms\noffer upgrade slow 9000";
    let mut runners: Vec<DeviceRunner> = (0..devices)
        .map(|number| {
            DeviceRunner::new(cluster.mqtt.address(), PK, PS, &key(number), script.parse().unwrap())
        })
        .collect();
    let stop = AtomicBool::new(false);
    let watched = Arc::new(AtomicBool::new(false));
    let watch = most_in_flight(&cluster.server.url(), watched.clone());
    let figures = std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        let _watched = Stops(&watched);
        for runner in &mut runners {
            let stop = &stop;
            scope.spawn(move || {
                let deadline = Instant::now() + Duration::from_secs(600);
                runner.run(&Until { deadline, stop, upgrades: None })
            });
        }
        eventually("every device is online", || {
            let held = (cluster.held_by("a"), cluster.held_by("b"));
            (held.0 + held.1 == devices && held.0 > 0 && held.1 > 0).then_some(())
        });
        let held = (cluster.held_by("a"), cluster.held_by("b"));

        // An order given to one center reaches a device that the other one holds, without its asking.
        let verified = cluster.package("a", "1v");
        let far = cluster.server.ask("SELECT dk FROM devices WHERE center = 'b' ORDER BY dk LIMIT 1");
        let begun = Instant::now();
        cluster.centers["a"].says(&["package", "verify", &verified, "--device", &far]);
        eventually("the offer of a verification", || {
            let answered = "component_upgrades JOIN upgrades ON upgrades.id = upgrade_id \
                            WHERE plan_id IS NULL AND component_upgrades.state <> 'plan_not_received'";
            (cluster.count(answered) == 1).then_some(())
        });
        let reached = begun.elapsed();
        assert!(reached < Duration::from_secs(2), "{reached:?}");

        let plan = cluster.plan("a", "2", &options);
        eventually("a third of the fleet", || (cluster.upgraded(&plan) >= devices / 3).then_some(()));
        cluster.kill("a");
        let killed = Instant::now();
        eventually("the whole fleet", || (cluster.upgraded(&plan) == devices).then_some(()));
        let recovered = killed.elapsed();
        eventually("nobody is held by the dead center", || (cluster.held_by("a") == 0).then_some(()));

        cluster.start_center("a");
        let plan = cluster.plan("b", "3", &options);
        eventually("a quarter of the fleet", || (cluster.upgraded(&plan) >= devices / 4).then_some(()));
        for id in ["b", "a"] {
            cluster.stop(id);
            assert_eq!(cluster.held_by(id), 0, "{id} leaves nobody online");
            cluster.start_center(id);
        }
        eventually("the whole fleet again", || (cluster.upgraded(&plan) == devices).then_some(()));
        (held, reached, recovered, cluster.count("upgrade_log"))
    });
    watched.store(true, Ordering::Relaxed);
    let most = watch.join().unwrap();
    let (held, reached, recovered, lines) = figures;
    println!(
        "{devices} devices, {} at a and {} at b: an order at a reached b's device in {reached:?}; a was killed at a third, \
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
