//! The center of a measurement: its process, its API, and what it uses.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::process::{Background, Outcome, fail, output, root};

pub const PRODUCT: &str = "p1bench";
pub const SECRET: &str = "MTIzNDU2Nzg5MGFi";
const TOKEN: &str = "token-of-the-bench";
/// Clock ticks of /proc a second (sysconf(_SC_CLK_TCK) of every Linux that Rust runs on).
const TICKS: f64 = 100.0;
/// Bytes of the firmware of a plan.
pub const IMAGE: usize = 10_240;
/// How long the center may take to start, and to answer a request.
const START: Duration = Duration::from_secs(120);
const ANSWER: Duration = Duration::from_secs(120);

pub fn program() -> PathBuf {
    root().join("target").join(profile()).join("quecota-center")
}

/// The profile that is measured, unless it is the one of a release.
static PROFILE: OnceLock<&str> = OnceLock::new();

pub fn profile() -> &'static str {
    PROFILE.get().copied().unwrap_or("release")
}

/// Measures a program with names and lines from here on.
pub fn with_symbols() {
    PROFILE.get_or_init(|| "symbols");
}

/// What a process has used, or used between two moments.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Seconds of a processor.
    pub cpu: f64,
    /// Bytes that went to the disk.
    pub written: f64,
    /// Context switches of its threads.
    pub switches: f64,
}

impl std::ops::Sub for Used {
    type Output = Used;

    fn sub(self, before: Used) -> Used {
        Used {
            cpu: self.cpu - before.cpu,
            written: self.written - before.written,
            switches: self.switches - before.switches,
        }
    }
}

/// What process `id` has used so far.
pub fn used(id: u32) -> Outcome<Used> {
    let process = PathBuf::from(format!("/proc/{id}"));
    let read = |file: PathBuf| {
        std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))
    };
    let (stat, io) = (read(process.join("stat"))?, read(process.join("io"))?);
    let number = |line: &str| line.split_whitespace().last().and_then(|word| word.parse::<f64>().ok());
    let written = io.lines().find(|line| line.starts_with("write_bytes:")).and_then(number);
    let mut switches = 0.0;
    let threads = std::fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    // A thread may end while it is looked at.
    for status in threads.filter_map(|thread| read(thread.path().join("status")).ok()) {
        let lines = status.lines().filter(|line| line.contains("voluntary_ctxt_switches:"));
        switches += lines.filter_map(number).sum::<f64>();
    }
    Ok(Used { cpu: ticks(&stat, 11) + ticks(&stat, 12), written: written.unwrap_or_default(), switches })
}

/// Seconds of a processor that our children have used, those that ended and were waited for.
pub fn children() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    ticks(&stat, 13) + ticks(&stat, 14)
}

/// A field of /proc/ID/stat in seconds, counted from the state on: it stands behind the name in brackets, which may hold
/// spaces.
fn ticks(stat: &str, at: usize) -> f64 {
    let fields = stat.rsplit(')').next().unwrap_or_default();
    fields.split_whitespace().nth(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default() / TICKS
}

/// A center as its load sees it.
#[derive(Debug, Clone)]
pub struct Served {
    /// Where it listens for devices.
    pub mqtt: String,
    /// Its process.
    pub id: u32,
}

/// A center that runs.
pub struct Center {
    server: Background,
    data: PathBuf,
    pub http: String,
    pub served: Served,
    /// From its start to the answer that it is ready.
    pub started: Duration,
}

impl Center {
    pub fn start(data: &Path) -> Outcome<Center> {
        Self::start_with(data, |_| ())
    }

    /// The same with further arguments.
    pub fn start_with(data: &Path, configure: impl FnOnce(&mut Command)) -> Outcome<Center> {
        let begun = Instant::now();
        let server = Background::start(&program(), "KILL", |command| {
            command
                .args(["serve", "--log", "error", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--data"])
                .arg(data)
                .env("QUECOTA_TOKEN", TOKEN);
            configure(command);
        })?;
        let mqtt = server.announced("mqtt:", START)?;
        let http = server.announced("http:", START)?;
        let served = Served { mqtt, id: server.id() };
        let mut center = Center { server, data: data.to_path_buf(), http, served, started: Duration::ZERO };
        loop {
            if center.ask("GET", "/ready", "").is_ok() {
                center.started = begun.elapsed();
                return Ok(center);
            }
            if begun.elapsed() > START {
                return fail(format!("the center is not ready after {START:?}"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn stop(self) {
        self.server.stop("TERM");
    }

    pub fn kill(self) -> Outcome {
        self.server.kill()
    }

    pub fn used(&self) -> Outcome<Used> {
        used(self.server.id())
    }

    /// Kilobytes of memory in use.
    pub fn memory(&self) -> Outcome<f64> {
        let file = format!("/proc/{}/status", self.server.id());
        let status = std::fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or(format!("{file} has no VmRSS"))
    }

    /// Runs a command of `quecota-center` against it.
    pub fn run(&self, words: &[&str]) -> Outcome<String> {
        let mut command = Command::new("timeout");
        command.arg("120").arg(program()).args(words).arg("--data").arg(&self.data);
        output(command.env("QUECOTA_SERVER", &self.http).env("QUECOTA_TOKEN", TOKEN))
    }

    /// The same; the last word that it printed.
    pub fn made(&self, words: &[&str]) -> Outcome<String> {
        let said = self.run(words)?;
        said.split_whitespace()
            .last()
            .map(str::to_owned)
            .ok_or(format!("`{}` printed no id", words.join(" ")))
    }

    /// A product with some MCU components, each with a package that brings version `target` by an image of `size` bytes. The
    /// words with which plans choose them.
    pub fn product(
        &self,
        folder: &Path,
        components: &[&str],
        target: &str,
        size: usize,
    ) -> Outcome<Vec<String>> {
        self.run(&["product", "create", "--key", PRODUCT, "--name", "Bench", "--secret", SECRET])?;
        let image = folder.join(format!("image-{size}.bin"));
        let bytes: Vec<u8> = (0..size).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
        std::fs::write(&image, bytes).map_err(|error| format!("{}: {error}", image.display()))?;
        let image = image.display().to_string();
        let mut choices = Vec::new();
        for component in components {
            self.run(&["component", "add", PRODUCT, component, "--type", "mcu"])?;
            let words = ["package", "add", "--product", PRODUCT, "--component", component];
            let id = self.made(&[&words[..], &["--name", "new", "--target", target, &image]].concat())?;
            choices.push(format!("{component}={id}"));
        }
        Ok(choices)
    }

    /// A saved plan; its number.
    pub fn plan(&self, name: &str, choice: &str, more: &[&str]) -> Outcome<String> {
        let words = ["plan", "create", "--name", name, "--product", PRODUCT, "--component", choice];
        self.made(&[&words[..], more].concat())
    }

    /// An active plan; its number.
    pub fn active(&self, name: &str, choice: &str, more: &[&str]) -> Outcome<String> {
        let plan = self.plan(name, choice, more)?;
        self.run(&["plan", "activate", &plan, "--supersede"])?;
        Ok(plan)
    }

    /// Asks the API (`path` without a slash at its beginning) or a page of the process; the body of an answer of 2xx.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Outcome<Vec<u8>> {
        let failed = |error: std::io::Error| format!("{method} {path}: {error}");
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/{path}") };
        let address = self.http.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWER)).map_err(failed)?;
        let kind = match body.as_bytes() {
            [] => "",
            [b'{', ..] => "Content-Type: application/json\r\n",
            _ => "Content-Type: text/csv\r\n",
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\
             {kind}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.write_all(body.as_bytes()))
            .map_err(failed)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(failed)?;
        let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").ok_or(format!("{path}: no answer"))?;
        let head = String::from_utf8_lossy(&bytes[..at]).into_owned();
        if !head.starts_with("HTTP/1.1 2") {
            let why = String::from_utf8_lossy(&bytes[at + 4..]).into_owned();
            return fail(format!("{method} {path}: {} {why}", head.lines().next().unwrap_or_default()));
        }
        Ok(bytes.split_off(at + 4))
    }

    /// How long a request took, in milliseconds: the median of `times`.
    pub fn median(&self, times: usize, method: &str, path: &str) -> Outcome<f64> {
        let mut took = Vec::new();
        for _ in 0..times.max(1) {
            let begun = Instant::now();
            self.ask(method, path, "")?;
            took.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        Ok(median(took))
    }
}

/// The middle one.
pub fn median(mut took: Vec<f64>) -> f64 {
    took.sort_by(f64::total_cmp);
    took.get(took.len() / 2).copied().unwrap_or(f64::NAN)
}
