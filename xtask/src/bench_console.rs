//! `cargo xtask bench console`: how soon a page of the console is there, with a plan of a million devices behind it.

use crate::fleet_rows::{self, Database, Stage};
use crate::process::{Background, Folder, Outcome, cargo, fail, output, root, run as run_command};
use crate::{bench_center, machine, setup};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PRODUCT: &str = "p1bench";
const PASSWORD: &str = "correct horse battery staple";
/// How often a page is fetched once its counts are remembered.
const TIMES: usize = 20;
/// A page of the large fleet is there by then.
const BOUND: Duration = Duration::from_millis(300);
/// The first page of a center without such a fleet.
const FIRST_PAGE: Duration = Duration::from_millis(100);
const PAGE_MAX: usize = 150 * 1024;

/// Pages of the large fleet.
const PAGES: &[(&str, &str)] = &[
    ("Upgrade Monitoring, the whole plan", "/plans/1"),
    ("the same, what failed", "/plans/1?state=upgrade_failed"),
    ("the same, from the middle on", "/plans/1?after=450000"),
    ("Fleet", "/"),
    ("Upgrade Plans", "/plans"),
    ("Devices", "/devices?product=p1bench"),
    ("Device Details", "/products/p1bench/devices/860000000500000"),
];

/// Builds the center as it is shipped, fills its database, and times its pages.
pub fn run() -> Outcome {
    setup::packages(&[setup::BENCH])?;
    run_command(&mut cargo(&["build", "--locked", "--release", "--package", "quecota-center"]))?;
    println!("{}\nload before (1, 5, 15 minutes): {}", machine::processors(), machine::load());
    let folder = Folder::new("bench-console")?;
    let data = folder.path().join("center");
    let (center, password) = Center::start(&data)?;
    let password = password.ok_or("the first start announced no password")?;
    center.run(&["product", "create", "--key", PRODUCT, "--name", "Smart Aromatherapy Diffuser"])?;
    center.run(&["component", "add", PRODUCT, "STM32", "--type", "mcu"])?;
    center.run(&["component", "add", PRODUCT, "EC200U", "--type", "module"])?;
    let image = folder.path().join("stm32.bin");
    std::fs::write(&image, [7; 5_000]).map_err(|error| format!("{}: {error}", image.display()))?;
    let package = [
        "package",
        "add",
        "--product",
        PRODUCT,
        "--component",
        "STM32",
        "--name",
        "two",
        "--target",
        "2_0_0",
    ];
    center.run(&[&package[..], &[&image.display().to_string()]].concat())?;
    center.run(&["plan", "create", "--name", "Million", "--product", PRODUCT, "--component", "STM32=1"])?;
    center.run(&["plan", "activate", "Million"])?;
    let cookie = center.sign_in(&password)?;
    let small = center.times("/", &cookie)?;
    center.server.stop("TERM");

    println!("a million devices are written into {}", data.display());
    let began = Instant::now();
    fill(&data.join("center.db"))?;
    println!("  {:.0} s\n", began.elapsed().as_secs_f64());
    let (center, _) = Center::start(&data)?;
    println!(
        "{:<38} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "page, ms", "first", "median", "slowest", "target", "bytes"
    );
    let mut wrong = Vec::new();
    small.print("Fleet of an empty center", FIRST_PAGE, &mut wrong);
    for (name, path) in PAGES {
        center.times(path, &cookie)?.print(name, BOUND, &mut wrong);
    }
    center.server.stop("TERM");
    println!(
        "\na plan for 1 000 000 devices, 900 000 of which it was offered to; SQLite, release build, loopback; first: nothing is \
         remembered of it yet\nload after: {}",
        machine::load()
    );
    if wrong.is_empty() { Ok(()) } else { fail(wrong.join("; ")) }
}

/// A plan with a million devices of one product: a tenth was not offered it yet.
fn fill(database: &Path) -> Outcome {
    let rows = fleet_rows::devices(Database::Sqlite, PRODUCT, "STM32", 1_000_000)
        + &fleet_rows::upgrades(1, "STM32", 1, Stage::Mixed, 900_000);
    bench_center::fill(database, &rows)
}

/// How long a page took, each time.
struct Times {
    first: Duration,
    later: Vec<Duration>,
    bytes: usize,
}

impl Times {
    fn print(&self, name: &str, bound: Duration, wrong: &mut Vec<String>) {
        let median = self.later.get(self.later.len() / 2).copied().unwrap_or_default();
        let slowest = self.later.last().copied().unwrap_or_default();
        let ms = |time: Duration| format!("{:.1}", time.as_secs_f64() * 1_000.0);
        println!(
            "{name:<38} {:>9} {:>9} {:>9} {:>9} {:>9}",
            ms(self.first),
            ms(median),
            ms(slowest),
            bound.as_millis(),
            self.bytes
        );
        for (which, time) in [("first", self.first), ("median", median)] {
            if time > bound {
                wrong.push(format!("{name}, {which}: {} ms; the bound is {} ms", ms(time), ms(bound)));
            }
        }
        if self.bytes > PAGE_MAX {
            wrong.push(format!("{name}: {} bytes; the bound is {PAGE_MAX}", self.bytes));
        }
    }
}

struct Center {
    server: Background,
    data: std::path::PathBuf,
    http: String,
}

impl Center {
    /// Starts it; with the first account's password at its first start.
    fn start(data: &Path) -> Outcome<(Center, Option<String>)> {
        let is_first = !data.exists();
        let server = Background::start(&program(), "TERM", |command| {
            command
                .args(["serve", "--log", "warn", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--data"])
                .arg(data);
        })?;
        let deadline = Duration::from_secs(120);
        let http = server.announced("http:", deadline)?;
        let password = match is_first {
            true => {
                let said = server.announced("sign in:", deadline)?;
                said.split_whitespace().last().map(str::to_owned)
            }
            false => None,
        };
        Ok((Center { server, data: data.to_path_buf(), http }, password))
    }

    fn run(&self, words: &[&str]) -> Outcome<String> {
        output(
            Command::new(program())
                .args(words)
                .env("QUECOTA_SERVER", &self.http)
                .arg("--data")
                .arg(&self.data),
        )
    }

    fn address(&self) -> &str {
        self.http.trim_start_matches("http://").trim_end_matches('/')
    }

    /// Sends a request, and reads the whole answer: its head, and how many bytes its body has.
    fn answer(&self, method: &str, path: &str, cookie: &str, form: &str) -> Outcome<(String, usize)> {
        let failed = |error| format!("{method} {path}: {error}");
        let address = self.address();
        let mut stream = TcpStream::connect(address).map_err(failed)?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nCookie: {cookie}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).map_err(failed)?;
        let text = String::from_utf8_lossy(&bytes);
        let (head, body) =
            text.split_once("\r\n\r\n").ok_or(format!("{method} {path}: no answer of HTTP"))?;
        Ok((head.to_owned(), body.len()))
    }

    /// Signs in as the first account, which chooses a password of its own; the session's cookie.
    fn sign_in(&self, password: &str) -> Outcome<String> {
        let (head, _) =
            self.answer("POST", "/sign-in", "", &format!("name=admin&password={password}&then=%2F"))?;
        let cookie = session(&head)?;
        let page = self.page("/password", &cookie)?;
        let csrf = page.split_once("name=\"csrf\" value=\"").and_then(|(_, rest)| rest.split_once('"'));
        let (csrf, _) = csrf.ok_or("the page of the password has no token")?;
        let chosen = PASSWORD.replace(' ', "+");
        let form = format!("csrf={csrf}&then=%2F&current={password}&new={chosen}&again={chosen}");
        let (head, _) = self.answer("POST", "/password", &cookie, &form)?;
        session(&head)
    }

    fn page(&self, path: &str, cookie: &str) -> Outcome<String> {
        let address = self.address();
        let mut stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        );
        let mut text = String::new();
        stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.read_to_string(&mut text))
            .map_err(|error| format!("GET {path}: {error}"))?;
        Ok(text)
    }

    fn times(&self, path: &str, cookie: &str) -> Outcome<Times> {
        let mut times = Vec::with_capacity(TIMES);
        let mut size = 0;
        for _ in 0..=TIMES {
            let began = Instant::now();
            let (head, bytes) = self.answer("GET", path, cookie, "")?;
            times.push(began.elapsed());
            size = bytes;
            if !head.starts_with("HTTP/1.1 200") {
                return fail(format!("GET {path}: {}", head.lines().next().unwrap_or_default()));
            }
        }
        let first = times.remove(0);
        times.sort_unstable();
        Ok(Times { first, later: times, bytes: size })
    }
}

fn program() -> std::path::PathBuf {
    root().join("target/release/quecota-center")
}

/// The session's cookie in the head of an answer.
fn session(head: &str) -> Outcome<String> {
    let cookies = head.lines().filter_map(|line| line.split_once(": "));
    let mut cookies =
        cookies.filter(|(name, value)| name.eq_ignore_ascii_case("set-cookie") && value.contains("session="));
    let cookie = cookies.next().and_then(|(_, value)| value.split(';').next());
    cookie.map(str::to_owned).ok_or(format!("no session: {}", head.lines().next().unwrap_or_default()))
}
