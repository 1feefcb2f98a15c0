//! PostgreSQL, centers, and what stands before them: every part a process or thread of its own.
#![allow(dead_code)] // each test file uses its own part

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reference_device::{DeviceRunner, TraceEvent};
use tempfile::TempDir;

use crate::balancer::Balancer;
use crate::own_postgres::Postgres;
use crate::support::Center;

pub const PK: &str = "p1scale";
pub const PS: &str = "MTIzNDU2Nzg5MGFi";
pub const SIZE: usize = 18_000;
pub const TOKEN: &str = "token-of-every-center";

/// What a real balancer before the centers is: where clients connect, and where each center is to listen and can be asked
/// by way of it (MQTT, HTTP, its own).
#[derive(Debug, Clone)]
pub struct Front {
    pub mqtt: SocketAddr,
    pub http: SocketAddr,
    pub centers: BTreeMap<&'static str, [SocketAddr; 3]>,
}

/// PostgreSQL, two centers, and what stands before them.
pub struct Cluster {
    // The centers end before their database.
    pub centers: BTreeMap<&'static str, Center>,
    pub server: Postgres,
    pub mqtt: Balancer,
    pub http: Balancer,
    pub folder: TempDir,
    seal: String,
    /// What a center reaches the database by, where it is not the database itself.
    databases: BTreeMap<&'static str, String>,
    packages: String,
    /// haproxy before the centers, instead of the two balancers.
    front: Option<Front>,
    environment: Vec<(&'static str, String)>,
    /// Further arguments of the centers.
    pub arguments: Vec<&'static str>,
}

impl Cluster {
    /// Centers `a` and `b` with a product, over a folder for the packages.
    pub fn start() -> Cluster {
        let mut cluster = Cluster::idle();
        for id in ["a", "b"] {
            cluster.start_center(id);
        }
        cluster.product();
        cluster
    }

    /// Without centers yet.
    pub fn idle() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let seal = "5".repeat(64);
        let (mqtt, http) = (Balancer::start(), Balancer::start());
        let server = Postgres::start();
        let packages = folder.path().join("packages").display().to_string();
        let (centers, databases, environment) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Cluster {
            centers,
            server,
            mqtt,
            http,
            folder,
            seal,
            databases,
            packages,
            front: None,
            environment,
            arguments: Vec::new(),
        }
    }

    /// The center `id` reaches the database at this address from its next start on.
    pub fn by_way_of(&mut self, id: &'static str, database: SocketAddr) {
        self.databases.insert(id, format!("postgres://postgres@{database}/postgres"));
    }

    /// A real balancer stands before the centers from their next start on.
    pub fn behind(&mut self, front: Front) {
        self.front = Some(front);
    }

    /// Packages are kept there, with this in the environment of the centers.
    pub fn packages_at(&mut self, place: &str, environment: &[(&'static str, String)]) {
        self.packages = place.to_owned();
        self.environment = environment.to_vec();
    }

    /// The product with its component.
    pub fn product(&self) {
        let center = self.centers.values().next().unwrap();
        center.says(&["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS]);
        center.says(&["component", "add", PK, "MCU", "--type", "mcu"]);
    }

    /// A device that connects by way of the balancer.
    pub fn device(&self, number: usize, script: &str) -> DeviceRunner {
        let mqtt = self.front.as_ref().map_or(self.mqtt.address(), |front| front.mqtt);
        DeviceRunner::new(mqtt, PK, PS, &key(number), script.parse().unwrap())
    }

    pub fn start_center(&mut self, id: &'static str) {
        let data = self.folder.path().join(id);
        let public = self.front.as_ref().map_or(self.http.address(), |front| front.http);
        let public = format!("http://{public}");
        let own = self.front.as_ref().map(|front| front.centers[id]);
        let any = || SocketAddr::from(([127, 0, 0, 1], 0));
        let (mqtt, http) = own.map_or((any(), any()), |[mqtt, http, _]| (mqtt, http));
        let (mqtt, http) = (mqtt.to_string(), http.to_string());
        let url = self.databases.get(id).cloned().unwrap_or_else(|| self.server.url());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log(id)).unwrap();
        let mut center = Center::start_with(&data, |command| {
            command.args(["--http", &http, "--mqtt", &mqtt, "--database", &url]);
            if own.is_some() {
                command.args(["--proxy-from", "127.0.0.1"]);
            }
            command.args(["--center-id", id, "--public-url", &public, "--packages", &self.packages]);
            command.args(["--drain", "1"]).args(&self.arguments).stderr(log);
            command.env("QUECOTA_SEAL_KEY", &self.seal).env("QUECOTA_TOKEN", TOKEN);
            command.envs(self.environment.iter().cloned());
        });
        std::fs::write(data.join("token"), TOKEN).unwrap();
        if let Some([_, _, asked]) = own {
            center.http = asked;
        }
        self.centers.insert(id, center);
        self.balance();
    }

    /// What the center `id` has logged in all of its lives.
    pub fn log(&self, id: &str) -> std::path::PathBuf {
        self.folder.path().join(format!("{id}.log"))
    }

    fn balance(&self) {
        let addresses = |of: fn(&Center) -> SocketAddr| self.centers.values().map(of).collect::<Vec<_>>();
        self.mqtt.serve(&addresses(|center| center.mqtt));
        self.http.serve(&addresses(|center| center.http));
    }

    /// As a power cut would.
    pub fn kill(&mut self, id: &str) {
        self.centers.remove(id).unwrap().process.kill();
        self.balance();
    }

    /// By SIGTERM; it must end well.
    pub fn stop(&mut self, id: &str) {
        let mut center = self.centers.remove(id).unwrap();
        self.balance();
        let pid = center.process.child().id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(center.process.finish().success());
    }

    /// A package with this target, and an active plan with it, by way of center `id`.
    pub fn plan(&self, id: &str, target: &str, options: &[&str]) -> String {
        let center = &self.centers[id];
        let package = self.package(id, target);
        let choice = format!("MCU={package}");
        let name = format!("to {target}");
        let words = ["plan", "create", "--name", &name, "--product", PK, "--component", &choice];
        let plan = center.id(&[&words[..], options].concat());
        center.says(&["plan", "activate", &plan, "--supersede"]);
        plan
    }

    pub fn package(&self, id: &str, target: &str) -> String {
        let image: Vec<u8> = (0..SIZE).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
        let file = self.folder.path().join("image.bin");
        std::fs::write(&file, [target.as_bytes(), &image].concat()).unwrap();
        let file = file.display().to_string();
        let name = format!("version {target}");
        let words =
            ["package", "add", "--product", PK, "--component", "MCU", "--name", &name, "--target", target];
        self.centers[id].id(&[&words[..], &[&file]].concat())
    }

    pub fn count(&self, question: &str) -> usize {
        self.server.ask(&format!("SELECT COUNT(*) FROM {question}")).parse().unwrap()
    }

    pub fn upgraded(&self, plan: &str) -> usize {
        self.count(&format!("upgrades WHERE plan_id = {plan} AND state = 'upgraded'"))
    }

    /// Devices that are online anywhere.
    pub fn online(&self) -> usize {
        self.count("devices WHERE online = 1")
    }

    /// How often these words stand in the log of center `id`.
    pub fn logged(&self, id: &str, words: &str) -> usize {
        std::fs::read_to_string(self.log(id)).unwrap().matches(words).count()
    }

    /// Whether center `id` says that it is ready: status and body.
    pub fn ready(&self, id: &str) -> (u16, String) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(crate::support::TIMEOUT))
            .build()
            .into();
        let mut answer = agent.get(format!("http://{}/ready", self.centers[id].http)).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    }

    pub fn held_by(&self, id: &str) -> usize {
        self.count(&format!("devices WHERE center = '{id}'"))
    }
}

/// What a device of so many does: all of them together ask for a plan some fifty times a second, which a debug build on a busy
/// machine can answer.
pub fn script(devices: usize) -> String {
    let pause = 1_000.max(devices * 20);
    format!("component MCU 1\nask every {pause} ms\noffer upgrade slow 9000")
}

pub fn key(number: usize) -> String {
    format!("8600000000{number:05}")
}

/// How often a device has begun to run this version.
pub fn runs(runner: &DeviceRunner, version: &str) -> usize {
    let runs = |event: &&TraceEvent| matches!(event, TraceEvent::Runs(_, runs) if runs == version);
    runner.trace.iter().filter(runs).count()
}

/// Looks ten times a second for the most upgrades in flight in any plan, until it is told to stop.
pub fn most_in_flight(url: &str, stop: Arc<AtomicBool>) -> std::thread::JoinHandle<i64> {
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
                // The database may be gone before the test says so.
                let Ok(row) = sqlx::query(query).fetch_one(&mut connection).await else { break };
                most = most.max(row.get::<i64, _>("devices"));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            most
        })
    })
}

/// Ends the devices with the test, be it by a panic.
pub struct Stops<'a>(pub &'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
