//! `cargo xtask bench center`: what a center does in a second, over real MQTT, beside the load that asks for it.
//!
//! Each row is measured in this run; docs/figures.md is written by it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Background, Outcome, cargo, fail, output, root, run as run_command};

const PRODUCT: &str = "p1bench";
const SECRET: &str = "MTIzNDU2Nzg5MGFi";
const DEVICES: u32 = 200;
const SECONDS: u64 = 10;
/// Devices of the storm of connects.
const STORM: u32 = 2_000;
/// Clock ticks of /proc a second (sysconf(_SC_CLK_TCK) of every Linux that Rust runs on).
const TICKS: f64 = 100.0;
/// Bytes of the firmware.
const IMAGE: usize = 10_240;

/// A row of the table.
struct Row {
    name: String,
    figure: String,
    /// Milliseconds of the center's CPU for each, and bytes that it wrote for each.
    cpu: Option<f64>,
    written: Option<f64>,
    latency: String,
    target: &'static str,
}

/// Measures every row, prints them, and writes the page.
pub fn run() -> Outcome {
    run_command(&mut cargo(&["build", "--locked", "--release", "--package", "quecota-center"]))?;
    run_command(&mut cargo(&[
        "build",
        "--locked",
        "--release",
        "--package",
        "reference-device",
        "--bin",
        "fleet-load",
    ]))?;
    let folder = root().join("target/bench-center");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut rows = vec![size_of_program()?];
    rows.extend(messages(&folder)?);
    rows.extend(storm(&folder)?);
    let mut page = heading()?;
    for row in &rows {
        row.write(&mut page);
    }
    print!("{page}");
    let file = root().join("docs/figures.md");
    std::fs::write(&file, page).map_err(|error| format!("{}: {error}", file.display()))
}

fn heading() -> Outcome<String> {
    let said = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let processors = said("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = thread::available_parallelism().map_or(0, usize::from);
    let load = said("/proc/loadavg");
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let rustc = output(Command::new("rustc").arg("--version"))?;
    Ok(format!(
        "# Figures of a center\n\n\
         Written by `cargo xtask bench center`; nothing here is typed. One center of the release build over SQLite with every\n\
         commit on the disk, and its load beside it on the same processors.\n\n\
         - machine: {}, {count} processors shared with the load, {}\n\
         - load of the machine before the run (1, 5, 15 minutes): {}\n\
         - {DEVICES} devices at once say the same again as soon as it is acknowledged, for {SECONDS} seconds; the storm has {STORM} devices\n\n\
         | | measured | CPU of the center, ms each | written, bytes each | latency | to reach |\n\
         | --- | --- | --- | --- | --- | --- |\n",
        model.map_or("processor unknown", |(_, model)| model),
        rustc.trim(),
        load.join(", "),
    ))
}

impl Row {
    fn new(name: impl Into<String>, figure: String, target: &'static str) -> Row {
        Row { name: name.into(), figure, cpu: None, written: None, latency: String::new(), target }
    }

    fn write(&self, page: &mut String) {
        let number = |value: Option<f64>, digits: usize| {
            value.map_or(String::new(), |value| format!("{value:.digits$}"))
        };
        let Row { name, figure, latency, target, .. } = self;
        let (cpu, written) = (number(self.cpu, 3), number(self.written, 0));
        // A String takes everything.
        let _ = writeln!(page, "| {name} | {figure} | {cpu} | {written} | {latency} | {target} |");
    }
}

fn program() -> PathBuf {
    root().join("target/release/quecota-center")
}

fn size_of_program() -> Outcome<Row> {
    let file = program();
    let bytes = std::fs::metadata(&file).map_err(|error| format!("{}: {error}", file.display()))?.len();
    let figure = format!("{:.1} MB", bytes as f64 / 1e6);
    Ok(Row::new("program as built for a release", figure, "20 MB"))
}

/// A center of the release build.
struct Center {
    server: Background,
    data: PathBuf,
    http: String,
    mqtt: String,
    /// From its start to the line that says that it serves.
    started: Duration,
}

/// What a process has used so far.
#[derive(Clone, Copy)]
struct Used {
    cpu: f64,
    written: f64,
}

impl Center {
    fn start(data: &Path) -> Outcome<Center> {
        let begun = Instant::now();
        let server = Background::start(&program(), "TERM", |command| {
            command
                .args(["serve", "--log", "error", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--data"])
                .arg(data);
        })?;
        let deadline = Duration::from_secs(120);
        let mqtt = server.announced("mqtt:", deadline)?;
        let http = server.announced("http:", deadline)?;
        Ok(Center { server, data: data.to_path_buf(), http, mqtt, started: begun.elapsed() })
    }

    fn run(&self, words: &[&str]) -> Outcome<String> {
        let mut command = Command::new(program());
        output(command.args(words).env("QUECOTA_SERVER", &self.http).arg("--data").arg(&self.data))
    }

    fn id(&self, words: &[&str]) -> Outcome<String> {
        let said = self.run(words)?;
        said.split_whitespace()
            .last()
            .map(str::to_owned)
            .ok_or(format!("`{}` printed no id", words.join(" ")))
    }

    /// A product with two components and a package for each.
    fn product(&self, folder: &Path) -> Outcome<[String; 2]> {
        self.run(&["product", "create", "--key", PRODUCT, "--name", "Bench", "--secret", SECRET])?;
        let image = folder.join("image.bin");
        let bytes: Vec<u8> = (0..IMAGE).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
        std::fs::write(&image, bytes).map_err(|error| format!("{}: {error}", image.display()))?;
        let image = image.display().to_string();
        let mut choices = Vec::new();
        for component in ["MCU", "OTHER"] {
            self.run(&["component", "add", PRODUCT, component, "--type", "mcu"])?;
            let words = ["package", "add", "--product", PRODUCT, "--component", component];
            let id = self.id(&[&words[..], &["--name", "two", "--target", "2", &image]].concat())?;
            choices.push(format!("{component}={id}"));
        }
        choices.try_into().or_else(|_| fail("two components have two packages"))
    }

    fn plan(&self, name: &str, choice: &str) -> Outcome {
        let words = ["plan", "create", "--name", name, "--product", PRODUCT, "--component", choice];
        let plan = self.id(&words)?;
        self.run(&["plan", "activate", &plan, "--supersede"]).map(drop)
    }

    fn used(&self) -> Outcome<Used> {
        let process = PathBuf::from(format!("/proc/{}", self.server.id()));
        let read = |name: &str| {
            let file = process.join(name);
            std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
        };
        let (stat, io) = (read("stat")?, read("io")?);
        // Behind the name in brackets, which may hold spaces: state is field 3, user and system time are 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")?.trim().parse().ok());
        Ok(Used { cpu: (ticks(11) + ticks(12)) / TICKS, written: written.unwrap_or_default() })
    }

    /// Kilobytes of memory in use.
    fn memory(&self) -> Outcome<f64> {
        let file = format!("/proc/{}/status", self.server.id());
        let status = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or(format!("{file} has no VmRSS"))
    }

    fn load(&self, message: &str, devices: u32, first: u32) -> Command {
        let mut command = Command::new(root().join("target/release/fleet-load"));
        command.args(["--server", &self.mqtt, "--product-key", PRODUCT, "--product-secret", SECRET]);
        command.args(["--devices", &devices.to_string(), "--first", &first.to_string()]);
        command.args(["--seconds", &SECONDS.to_string(), "--message", message]);
        command
    }

    /// What the devices say for some seconds.
    fn talk(&self, name: String, message: &str, first: u32, target: &'static str) -> Outcome<Row> {
        let before = self.used()?;
        let said = output(&mut self.load(message, DEVICES, first))?;
        let after = self.used()?;
        let numbers: Vec<f64> = said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        let [count, seconds, half, most, last] = numbers[..] else {
            return fail(format!("fleet-load printed {said:?}, which are not five numbers"));
        };
        Ok(Row {
            name,
            figure: format!("{:.0} a second", count / seconds),
            cpu: Some((after.cpu - before.cpu) * 1e3 / count),
            written: Some((after.written - before.written) / count),
            latency: format!(
                "{:.1} / {:.1} / {:.1} ms (50 %, 99 %, last)",
                half / 1e3,
                most / 1e3,
                last / 1e3
            ),
            target,
        })
    }
}

fn messages(folder: &Path) -> Outcome<Vec<Row>> {
    let data = folder.join("messages");
    let center = Center::start(&data)?;
    let [mcu, other] = center.product(folder)?;
    let mut rows = Vec::new();
    rows.push(center.talk("battery reports".into(), "report", 0, "5000 a second")?);
    rows.push(center.talk("requests with nothing new, no plan".into(), "request", 0, "3300 a second")?);
    // Nothing of these plans is for the devices: they have no such component.
    for plans in 1..=10 {
        center.plan(&format!("other {plans}"), &other)?;
        if [1, 5, 10].contains(&plans) {
            let name = format!("requests with nothing new, {plans} active plans");
            rows.push(center.talk(
                name,
                "request",
                0,
                if plans == 1 { "3300 a second" } else { "as with one" },
            )?);
        }
    }
    center.plan("all", &mcu)?;
    rows.push(center.talk(
        "status reports (heartbeats of a download)".into(),
        "status",
        10_000,
        "3300 a second",
    )?);
    center.server.stop("TERM");
    Ok(rows)
}

/// Many devices connect at once; then the center is killed and starts again.
fn storm(folder: &Path) -> Outcome<Vec<Row>> {
    let data = folder.join("storm");
    let center = Center::start(&data)?;
    center.product(folder)?;
    let empty = center.memory()?;
    let said = output(&mut center.load("connect", STORM, 0))?;
    let new = connected(&said, format!("{STORM} devices connect, all new"))?;
    let again = connected(
        &output(&mut center.load("connect", STORM, 0))?,
        format!("{STORM} devices drop and connect again"),
    )?;
    let after = center.memory()?;
    center.server.kill()?;
    let center = Center::start(&data)?;
    let started = Row::new("start after a kill", format!("{:.2} s", center.started.as_secs_f64()), "2 s");
    let memory = format!("{:.0} KB before, {:.0} KB after", empty, after);
    center.server.stop("TERM");
    Ok(vec![new, again, Row::new("memory around both storms", memory, ""), started])
}

fn connected(said: &str, name: String) -> Outcome<Row> {
    let numbers: Vec<f64> = said.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    let [count, seconds, half, most, last] = numbers[..] else {
        return fail(format!("fleet-load printed {said:?}, which are not five numbers"));
    };
    let mut row = Row::new(name, format!("{seconds:.1} s, {:.0} a second", count / seconds), "900 a second");
    row.latency = format!("{:.1} / {:.1} / {:.1} ms (50 %, 99 %, last)", half / 1e3, most / 1e3, last / 1e3);
    Ok(row)
}
