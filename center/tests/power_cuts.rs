//! The power of a center on SQLite goes again and again, over a disk that keeps what was synced and nothing else
//! (`forgetful_disk/shim.c`). What a device has an acknowledgement for is there afterwards, and no device is upgraded twice.

mod balancer;
mod planting;
mod small_disk;
mod support;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use balancer::Balancer;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reference_device::{DeviceRunner, TraceEvent, Until};
use small_disk::SmallDisk;
use sqlx::{AnyConnection, Connection, Row};
use support::{Center, eventually};
use tempfile::TempDir;

const PK: &str = "p1power";
const PS: &str = "MTIzNDU2Nzg5MGFi";
const SCRIPT: &str = "component MCU 1\nask every 500 ms\noffer upgrade slow 20000";
const SIZE: usize = 6_000;

/// Statuses that devices have an acknowledgement for.
static ACKNOWLEDGED: AtomicI64 = AtomicI64::new(0);
/// Held by the test whose devices they are.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is below the center's files.
enum Layer {
    /// A disk that keeps what was synced.
    Forgets,
    /// A disk of 24 MB.
    Small,
}

struct Bench {
    folder: TempDir,
    shim: Option<PathBuf>,
    disk: Option<SmallDisk>,
    center: Option<Center>,
    mqtt: Balancer,
    http: Balancer,
}

impl Bench {
    fn new(layer: Layer) -> Bench {
        let folder = TempDir::new().unwrap();
        let (mut shim, mut disk) = (None, None);
        match layer {
            Layer::Forgets => {
                let made = folder.path().join("shim.so");
                let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forgetful_disk/shim.c");
                let mut compile = Command::new("cc");
                compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&made);
                assert!(compile.arg(source).arg("-ldl").status().unwrap().success(), "{compile:?}");
                shim = Some(made);
            }
            Layer::Small => disk = SmallDisk::mount(&folder.path().join("center"), "24m"),
        }
        let (mqtt, http) = (Balancer::start(), Balancer::start());
        Bench { folder, shim, disk, center: None, mqtt, http }
    }

    fn is_mounted(&self) -> bool {
        self.disk.is_some()
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("center")
    }

    fn center(&self) -> &Center {
        self.center.as_ref().unwrap()
    }

    /// Starts the center; devices reach it after [`Bench::serve`].
    fn start(&mut self) {
        let public = format!("http://{}", self.http.address());
        let log = self.folder.path().join("center.log");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        self.center = Some(Center::start_with(&self.data(), |command| {
            command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--public-url", &public]);
            if let Some(shim) = &self.shim {
                command.env("LD_PRELOAD", shim);
            }
            if self.is_mounted() {
                // Smaller than what is kept free for upgrades.
                command.args(["--upload-reserve", "0"]);
            }
            command.stderr(log);
        }));
    }

    fn serve(&self) {
        self.mqtt.serve(&[self.center().mqtt]);
        self.http.serve(&[self.center().http]);
    }

    /// The process is gone, and so is what it wrote and did not sync.
    fn cut(&mut self) {
        self.center.take().unwrap().process.kill();
        for side in [&self.mqtt, &self.http] {
            side.serve(&[]);
        }
        for name in ["center.db", "center.db-wal"] {
            let disk = self.data().join(format!("{name}.disk"));
            if disk.exists() {
                std::fs::rename(disk, self.data().join(name)).unwrap();
            }
        }
        // It is never synced, and made anew.
        let _ = std::fs::remove_file(self.data().join("center.db-shm"));
    }

    /// A number that the file of the database answers with, while no center runs.
    fn ask(&self, question: &'static str) -> i64 {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}", self.data().join("center.db").display());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = AnyConnection::connect(&url).await.unwrap();
            let row = sqlx::query(question).fetch_one(&mut connection).await;
            let row =
                row.unwrap_or_else(|error| panic!("what was acknowledged is lost, with its table: {error}"));
            let number = row.get::<i64, _>(0);
            connection.close().await.unwrap();
            number
        })
    }

    /// An active plan to version `number`.
    fn plan(&self, number: usize) -> String {
        let image: Vec<u8> = (0..SIZE).map(|at| (at.wrapping_mul(at) >> 7) as u8 ^ number as u8).collect();
        let file = self.folder.path().join("image.bin");
        std::fs::write(&file, image).unwrap();
        let (file, target) = (file.display().to_string(), number.to_string());
        let name = format!("version {target}");
        let words = ["package", "add", "--product", PK, "--component", "MCU", "--name", &name];
        let package = self.center().id(&[&words[..], &["--target", &target, &file]].concat());
        let (name, choice) = (format!("to {target}"), format!("MCU={package}"));
        let words = ["plan", "create", "--name", &name, "--product", PK, "--component", &choice];
        let plan = self.center().id(&[&words[..], &["--retries", "10"]].concat());
        self.center().says(&["plan", "activate", &plan, "--supersede"]);
        plan
    }

    fn upgraded(&self, plan: &str) -> usize {
        let shown = self.center().json(&["plan", "show", plan]);
        usize::try_from(shown["devices"]["upgraded"].as_u64().unwrap()).unwrap()
    }
}

/// Devices play while `trouble` does its worst with their center; then each has run every version once. `trouble` returns the
/// number of the last version.
fn under(bench: &mut Bench, devices: usize, trouble: impl FnOnce(&mut Bench) -> usize) {
    bench.start();
    bench.center().says(&["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS]);
    bench.center().says(&["component", "add", PK, "MCU", "--type", "mcu"]);
    bench.serve();
    let observer = |_: &str, event: &TraceEvent| {
        if matches!(event, TraceEvent::Status(..)) {
            ACKNOWLEDGED.fetch_add(1, Ordering::Relaxed);
        }
    };
    let device = |number: usize| {
        let key = format!("86000000000{number:04}");
        let runner = DeviceRunner::new(bench.mqtt.address(), PK, PS, &key, SCRIPT.parse().unwrap());
        runner.observed_by(observer)
    };
    let mut runners: Vec<DeviceRunner> = (0..devices).map(device).collect();
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
        trouble(bench)
    });
    for (number, runner) in runners.iter().enumerate() {
        for version in 2..=last {
            let version = version.to_string();
            let is_run = |event: &&TraceEvent| matches!(event, TraceEvent::Runs(_, runs) if *runs == version);
            let runs = runner.trace.iter().filter(is_run).count();
            assert_eq!(runs, 1, "device {number}, version {version}: {:#?}", runner.trace);
        }
    }
}

/// Statuses in the log.
const KEPT: &str = "SELECT COALESCE(SUM(times), 0) FROM upgrade_log WHERE kind LIKE '%status'";

fn the_power_goes(times: usize, devices: usize) {
    let _alone = alone();
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let begun = Instant::now();
    let (mut acknowledged_before, mut kept_before) = (ACKNOWLEDGED.load(Ordering::Relaxed), 0);
    let mut plans = 0;
    under(&mut Bench::new(Layer::Forgets), devices, |bench| {
        let (mut last, mut cuts) = (1, 0);
        while cuts < times {
            last += 1;
            let plan = bench.plan(last);
            while cuts < times && bench.upgraded(&plan) < devices {
                std::thread::sleep(Duration::from_millis(random.random_range(0..1_200)));
                bench.cut();
                let kept = bench.ask(KEPT);
                bench.start();
                // The devices have taken in by now what was on its way to them when the power went.
                let acknowledged = ACKNOWLEDGED.load(Ordering::Relaxed);
                let (new, written) = (acknowledged - acknowledged_before, kept - kept_before);
                assert!(
                    written >= new,
                    "{written} of {new} acknowledged statuses are there after cut {cuts}"
                );
                (acknowledged_before, kept_before) = (acknowledged, kept);
                bench.serve();
                cuts += 1;
            }
            eventually("every device is upgraded", || (bench.upgraded(&plan) == devices).then_some(()));
        }
        plans = last - 1;
        last
    });
    println!(
        "{times} power cuts of a center on SQLite in {plans} plans on {devices} devices, in {:?}: {kept_before} statuses kept, \
         none that was acknowledged lost",
        begun.elapsed(),
    );
    assert!(kept_before > i64::try_from(devices).unwrap());
}

fn the_disk_is_full(times: usize, devices: usize) {
    let _alone = alone();
    let mut bench = Bench::new(Layer::Small);
    if !bench.is_mounted() {
        println!("SKIPPED: this user may not mount a small disk");
        return;
    }
    let mut random = StdRng::seed_from_u64(rand::random());
    let before = ACKNOWLEDGED.load(Ordering::Relaxed);
    let (mut plans, mut refused) = (0, 0);
    under(&mut bench, devices, |bench| {
        let (mut last, mut full) = (1, 0);
        while full < times {
            last += 1;
            let plan = bench.plan(last);
            while full < times && bench.upgraded(&plan) < devices {
                std::thread::sleep(Duration::from_millis(random.random_range(0..600)));
                let fill = bench.data().join("fill");
                let mut zeros = std::fs::File::create(&fill).unwrap();
                while zeros.write_all(&[0; 4096]).is_ok() {}
                std::thread::sleep(Duration::from_millis(random.random_range(200..1_500)));
                // Room that SQLite had already may take some writes; the disk itself takes none.
                refused += usize::from(zeros.write_all(&[0; 4096]).is_err());
                drop(zeros);
                std::fs::remove_file(&fill).unwrap();
                full += 1;
            }
            eventually("every device is upgraded", || (bench.upgraded(&plan) == devices).then_some(()));
        }
        plans = last - 1;
        last
    });
    bench.center.take().unwrap().process.kill();
    let (kept, acknowledged) = (bench.ask(KEPT), ACKNOWLEDGED.load(Ordering::Relaxed) - before);
    println!(
        "the disk was full {times} times in {plans} plans on {devices} devices: {acknowledged} statuses acknowledged, {kept} kept"
    );
    assert_eq!(refused, times);
    assert!(kept >= acknowledged, "{kept} of {acknowledged} acknowledged statuses are there");
}

/// Ends the devices with the test, be it by a panic.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn what_was_acknowledged_is_there_after_each_of_twenty_power_cuts() {
    the_power_goes(20, 8);
}

#[test]
#[ignore = "long: 200 power cuts, 40 devices"]
fn what_was_acknowledged_is_there_after_each_of_two_hundred_power_cuts() {
    the_power_goes(200, 40);
}

#[test]
fn a_full_disk_costs_nothing_that_was_acknowledged() {
    the_disk_is_full(3, 6);
}

#[test]
#[ignore = "long: 50 times a full disk, 40 devices"]
fn a_disk_that_is_full_fifty_times_costs_nothing_that_was_acknowledged() {
    the_disk_is_full(50, 40);
}

#[test]
fn commits_that_are_not_synced_and_acknowledgements_before_the_commit_are_caught() {
    let test = "what_was_acknowledged_is_there_after_each_of_twenty_power_cuts";
    planting::is_caught(
        "synchronous-off",
        test,
        &["what was acknowledged is lost", "acknowledged statuses are there"],
    );
    for bug in ["acknowledge-first", "acknowledge-set-first"] {
        planting::is_caught(bug, test, &["what was acknowledged is lost", "acknowledged statuses are there"]);
    }
}
