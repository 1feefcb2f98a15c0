//! Cost against the size of the fleet: databases of ten thousand, a hundred thousand and a million devices, written as rows.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::center::{Center, IMAGE, PRODUCT, median};
use super::downloads::nginx;
use super::load::{Talk, talk};
use super::{Bench, Measured, Sized, Target};
use crate::fleet_rows::{self, Database, Stage};
use crate::machine;
use crate::process::{Outcome, fail};

const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];
const QUICK: [u64; 2] = [1_000, 10_000];
/// Devices whose upgrade is open when its plan is terminated.
const OPEN: u64 = 200_000;
/// How often a quick answer is asked for.
const TIMES: usize = 9;
const MS: &str = " ms";

/// Writes rows into the database of a center that is stopped.
pub fn fill(database: &Path, statements: &str) -> Outcome {
    let mut command = Command::new("timeout");
    command.args(["600", "sqlite3", "-bail"]).arg(database).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("sqlite3: {error}"))?;
    let text = fleet_rows::at_once(statements);
    let sent = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(text.as_bytes()));
    sent.map_err(|error| format!("sqlite3: {error}"))?;
    match child.wait() {
        // What it leaves to be written must not be waited for by the first commits of a center.
        Ok(status) if status.success() => std::fs::File::open(database)
            .and_then(|file| file.sync_all())
            .map_err(|error| format!("{}: {error}", database.display())),
        Ok(status) => fail(format!("sqlite3 ended with {status}")),
        Err(error) => fail(format!("sqlite3: {error}")),
    }
}

pub fn measure(bench: &mut Bench) -> Outcome {
    let sizes: &[u64] = if bench.quick { &QUICK } else { &SIZES };
    for devices in sizes {
        // Only the largest fleet has targets of its own.
        let mut at = AtSize { bench, devices: *devices, is_largest: sizes.last() == Some(devices) };
        if let Err(why) = at.measure() {
            bench.row(format!("{devices} devices"), Target::None, || Err(why));
        }
    }
    Ok(())
}

struct AtSize<'b> {
    bench: &'b mut Bench,
    devices: u64,
    is_largest: bool,
}

impl AtSize<'_> {
    /// A row in milliseconds; it goes into the table of sizes as well.
    fn took(&mut self, name: &'static str, most: Option<f64>, measure: impl FnOnce() -> Outcome<f64>) {
        let target = most.map_or(Target::None, |most| Target::AtMost(most, MS));
        let devices = self.devices;
        let label = format!("{name}, {devices} devices");
        let measured = self.bench.row(label, target, || Ok(Measured::milliseconds(measure()?)));
        let Some(Measured { value, .. }) = measured else { return };
        match self.bench.sized.iter_mut().find(|sized| sized.name == name) {
            Some(sized) => sized.points.push((devices, value)),
            None => self.bench.sized.push(Sized { name, points: vec![(devices, value)] }),
        }
    }

    /// The target, where it is one of the largest fleet.
    fn at_most(&self, most: f64) -> Option<f64> {
        self.is_largest.then_some(most)
    }

    fn measure(&mut self) -> Outcome {
        let folder = self.bench.folder.clone();
        let data = folder.join(format!("fleet-{}", self.devices));
        let center = Center::start(&data)?;
        let choices = center.product(&folder, &["MCU"], "2_0_0", IMAGE)?;
        let choice = &choices[0];
        let package: u64 =
            choice.trim_start_matches("MCU=").parse().map_err(|_| format!("{choice} is no package"))?;
        // Rows are written for plans that were activated; each takes the place of the one before.
        let mut plans = Vec::new();
        for name in ["mixed", "at work", "due"] {
            plans.push(number(&center.active(name, choice, &[])?)?);
        }
        let [mixed, at_work, due] = plans[..] else { return fail("three plans were made") };
        center.stop();
        let open = OPEN.min(self.devices / 5);
        let database = data.join("center.db");
        let begun = Instant::now();
        let rows = fleet_rows::devices(Database::Sqlite, PRODUCT, "MCU", self.devices)
            + &fleet_rows::upgrades(mixed, "MCU", package, Stage::Mixed, self.devices * 9 / 10)
            + &fleet_rows::upgrades(at_work, "MCU", package, Stage::AtWork, open);
        fill(&database, &rows)?;
        println!("  {} devices were written in {:.0} s", self.devices, begun.elapsed().as_secs_f64());
        let center = Center::start(&data)?;
        self.took("start", None, || Ok(center.started.as_secs_f64() * 1e3));
        self.watched(&center, &folder, mixed)?;
        self.looks(&center, mixed);
        self.exports(&center);
        self.plans(&center, choice, mixed, at_work, open);
        center.stop();

        // A million offers are due, to devices that are all offline.
        fill(&database, &fleet_rows::upgrades(due, "MCU", package, Stage::Due, self.devices))?;
        let center = Center::start(&data)?;
        let name = format!("idle with {} due offers of offline devices", self.devices);
        self.bench.row(name, Target::AtMost(1.0, " %"), || {
            std::thread::sleep(Duration::from_secs(3));
            let span = Duration::from_secs(10);
            let before = center.used()?;
            std::thread::sleep(span);
            let share = (center.used()? - before).cpu / span.as_secs_f64() * 100.0;
            let hand_over = machine::hand_over().map_err(|error| format!("a pair of sockets: {error}"))?;
            Ok(Measured::new(
                share,
                format!("{share:.1} % of a processor; a hand-over takes {hand_over:.0} µs"),
            ))
        });
        center.stop();
        // A million devices are a gigabyte.
        std::fs::remove_dir_all(&data).map_err(|error| format!("{}: {error}", data.display()))
    }

    /// What is asked for twice a second, beside a small file of nginx that is asked for as often: of a process that has just
    /// slept, most of the time is what it takes to wake up.
    fn watched(&mut self, center: &Center, folder: &Path, mixed: u64) -> Outcome {
        let file = folder.join("small");
        std::fs::write(&file, "small").map_err(|error| format!("{}: {error}", file.display()))?;
        let (nginx, url) = nginx(folder, &file)?;
        self.took("nginx: a small file, watched", None, || twice_a_second(|| fetch(&url)));
        let path = format!("plans/{mixed}");
        let show = || center.ask("GET", &path, "").map(|_| ());
        self.took("plan show, watched", Some(5.0), || twice_a_second(show));
        self.took("plan show, again at once", None, || center.median(TIMES, "GET", &path));
        nginx.kill()
    }

    /// What only looks.
    fn looks(&mut self, center: &Center, mixed: u64) {
        let middle = format!("86{:013}", self.devices / 2);
        let device = format!("products/{PRODUCT}/devices");
        let half = self.devices / 2;
        for (name, path, most) in [
            ("plan reasons", format!("plans/{mixed}/reasons"), 100.0),
            ("devices by battery and online", format!("{device}?battery_max=100&online=true"), 100.0),
            (
                "devices by battery and version",
                format!("{device}?battery_max=3&component=MCU&version=9"),
                100.0,
            ),
            ("devices by battery", format!("{device}?battery_max=3&battery_min=3"), 5.0),
            ("devices by signal", format!("{device}?rsrp_max=-119"), 5.0),
            ("devices by version", format!("{device}?component=MCU&version=1_0_1"), 5.0),
            ("devices from the middle", format!("{device}?after={half}"), 5.0),
            ("plan devices that failed", format!("plans/{mixed}/devices?state=upgrade_failed"), 5.0),
            ("device show", format!("{device}/{middle}"), 5.0),
            ("why", format!("{device}/{middle}/why"), 5.0),
            ("metrics", "/metrics".to_owned(), 5.0),
        ] {
            let most = self.at_most(most);
            self.took(name, most, || center.median(TIMES, "GET", &path));
        }
    }

    fn exports(&mut self, center: &Center) {
        let (devices, most) = (self.devices, self.at_most(5_000.0));
        self.took("export as CSV", most, || {
            let begun = Instant::now();
            let csv = center.ask("GET", &format!("products/{PRODUCT}/devices.csv"), "")?;
            let took = begun.elapsed().as_secs_f64() * 1e3;
            let rows = csv.iter().filter(|byte| **byte == b'\n').count();
            if (rows as u64) < devices {
                return fail(format!("the export has {rows} rows, not {devices}"));
            }
            Ok(took)
        });
    }

    /// What an operator does to plans.
    fn plans(&mut self, center: &Center, choice: &str, mixed: u64, at_work: u64, open: u64) {
        let timed = |method: &str, path: String, body: &str| {
            let begun = Instant::now();
            center.ask(method, &path, body)?;
            Ok(begun.elapsed().as_secs_f64() * 1e3)
        };
        let mut resumed = Vec::new();
        self.took("suspend", Some(5.0), || {
            let mut suspended = Vec::new();
            for _ in 0..TIMES {
                suspended.push(timed("POST", format!("plans/{mixed}/suspend"), "")?);
                resumed.push(timed("POST", format!("plans/{mixed}/resume"), "")?);
            }
            Ok(median(suspended))
        });
        self.took("resume", None, || Ok(median(resumed)));
        let mut fresh = None;
        self.took("activation of the whole product", Some(300.0), || {
            let plan = fresh.insert(center.plan("fresh", choice, &[])?);
            timed("POST", format!("plans/{plan}/activate"), "{\"supersede\": \"agreed\"}")
        });
        if let Some(plan) = fresh {
            self.took("terminate a plan that reached nobody", Some(500.0), || {
                timed("POST", format!("plans/{plan}/terminate"), "")
            });
        }
        self.lists(center, choice);
        self.terminate(center, at_work, open);
    }

    fn lists(&mut self, center: &Center, choice: &str) {
        let devices = self.devices;
        let mut keys = String::new();
        for number in 1..=devices {
            // A String takes everything.
            let _ = writeln!(keys, "86{number:013}");
        }
        // As it was measured before: 2.0 and 1.5 s.
        let (put, clone) = (self.at_most(2_200.0), self.at_most(1_650.0));
        let mut listed = None;
        self.took("whitelist of all: put", put, || {
            let plan = listed.insert(center.plan("listed", choice, &[])?);
            let begun = Instant::now();
            center.ask("PUT", &format!("plans/{plan}/whitelist"), &keys)?;
            Ok(begun.elapsed().as_secs_f64() * 1e3)
        });
        if let Some(plan) = listed {
            self.took("whitelist of all: clone", clone, || {
                let begun = Instant::now();
                center.ask("POST", &format!("plans/{plan}/clone"), "{\"name\": \"listed again\"}")?;
                Ok(begun.elapsed().as_secs_f64() * 1e3)
            });
        }
    }

    /// Terminates a plan with many upgrades open, while devices go on to report: the slowest of them waited for its longest
    /// write.
    fn terminate(&mut self, center: &Center, plan: u64, open: u64) {
        let span = Duration::from_secs(6);
        let served = center.served.clone();
        let mut slowest = None;
        let mut most = None;
        std::thread::scope(|scope| {
            let reports = scope.spawn(move || {
                let reports =
                    Talk { message: "battery", devices: 4, first: 5_000_000, span, rate: Some(200) };
                talk(&served, &reports)
            });
            std::thread::sleep(Duration::from_secs(2));
            self.took("terminate a plan, a fifth of the fleet open", None, || {
                let begun = Instant::now();
                center.ask("POST", &format!("plans/{plan}/terminate"), "")?;
                let took = begun.elapsed().as_secs_f64() * 1e3;
                most = Some(took);
                Ok(took)
            });
            slowest = reports.join().ok();
        });
        if let (true, Some(took)) = (self.is_largest, most) {
            let name = format!("terminate a plan with {open} open");
            self.bench.row(name, Target::AtMost(1_000.0, MS), || Ok(Measured::milliseconds(took)));
        }
        self.bench.row("  the slowest report meanwhile", Target::AtMost(100.0, MS), || {
            let (measured, _) = slowest.ok_or("the load's thread panicked")??;
            let last = measured
                .latency
                .trim_end_matches(" ms")
                .rsplit(" / ")
                .next()
                .and_then(|last| last.parse().ok());
            Ok(Measured::milliseconds(last.ok_or(format!("no latency in {:?}", measured.latency))?))
        });
    }
}

/// The median of some tries with a pause after each, in milliseconds.
fn twice_a_second(ask: impl Fn() -> Outcome) -> Outcome<f64> {
    let mut took = Vec::new();
    for _ in 0..TIMES {
        std::thread::sleep(Duration::from_millis(500));
        let begun = Instant::now();
        ask()?;
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(took))
}

/// Asks for a file over a connection of its own.
fn fetch(url: &str) -> Outcome {
    let bare = url.trim_start_matches("http://");
    let (address, name) = bare.split_once('/').ok_or(format!("{url} names no file"))?;
    let failed = |error: std::io::Error| format!("{url}: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
    let request = format!("GET /{name} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(failed)?;
    if answer.starts_with(b"HTTP/1.1 200") { Ok(()) } else { fail(format!("{url}: no file")) }
}

fn number(plan: &str) -> Outcome<u64> {
    plan.parse().map_err(|_| format!("{plan} is no plan's number"))
}
