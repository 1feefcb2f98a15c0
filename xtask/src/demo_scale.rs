//! `cargo xtask demo --scale`: two centers behind haproxy over one PostgreSQL, and devices that are upgraded while one of the
//! centers is killed and the other one is restarted.

use crate::demo::{random_image, step};
use crate::free_port::free_port;
use crate::postgres::Cluster;
use crate::process::{Background, Folder, Heard, Outcome, cargo, fail, output, root, run as run_command};
use crate::setup;
use std::io::{IsTerminal, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const DEVICES: usize = 40;
const IN_FLIGHT: usize = 12;
const PRODUCT: &str = "p1scale";
const SECRET: &str = "ZGVtby1zZWNyZXQtMDAx";
const TOKEN: &str = "token-of-both-centers";
/// By then everything is over, or something is wrong.
const DEADLINE: Duration = Duration::from_secs(110);
/// A device downloads at this speed, so that there is something to see.
const SCRIPT: &str = "component STM32 1_0_0\nask every 1000 ms\noffer upgrade slow 400000\n";

/// Devices that one mark of the picture stands for.
const MARK: usize = 2;
const WIDTH: usize = DEVICES / MARK;

/// What has happened to the centers.
enum Act {
    Quiet,
    /// Center b was killed then.
    Killed(Instant),
    /// It is there again.
    Back,
    /// Center a sends its devices away, and ends.
    Leaving(JoinHandle<()>),
    Over,
}

/// What both centers have in common.
struct Common {
    program: PathBuf,
    folder: PathBuf,
    database: String,
    seal_key: String,
    http: u16,
}

/// Builds, starts everything, and tells what happens.
pub fn run() -> Outcome {
    setup::packages(&[setup::DEMO, setup::SCALE])?;
    step("build the center and the devices");
    run_command(&mut cargo(&[
        "build",
        "--locked",
        "--package",
        "quecota-center",
        "--package",
        "reference-device",
    ]))?;

    let start = Instant::now();
    let folder = Folder::new("demo-scale")?;
    step("start PostgreSQL, two centers and haproxy before them");
    let database = Cluster::start()?;
    let [http, mqtt, http_a, mqtt_a, http_b, mqtt_b] = std::array::from_fn(|_| free_port());
    let common = Common {
        program: root().join("target/debug/quecota-center"),
        folder: folder.path().to_owned(),
        database: database.url().to_owned(),
        seal_key: "5c".repeat(32),
        http,
    };
    let mut a = Some(common.start("a", http_a, mqtt_a)?);
    let mut b = Some(common.start("b", http_b, mqtt_b)?);
    let config = folder.path().join("haproxy.cfg");
    write(&config, &haproxy(mqtt, http, [(mqtt_a, http_a), (mqtt_b, http_b)]))?;
    let balancer = Background::start(Path::new("/usr/sbin/haproxy"), "KILL", |command| {
        command.args(["-db", "-q", "-f"]).arg(&config);
    })?;
    println!("  center a  mqtt 127.0.0.1:{mqtt_a}  http 127.0.0.1:{http_a}");
    println!("  center b  mqtt 127.0.0.1:{mqtt_b}  http 127.0.0.1:{http_b}");
    println!("  haproxy   mqtt 127.0.0.1:{mqtt}  http 127.0.0.1:{http}");
    common.await_balancer()?;

    step(&format!("{DEVICES} devices connect, by way of haproxy"));
    common.say(&["product", "create", "--key", PRODUCT, "--name", "Fleet", "--secret", SECRET])?;
    common.say(&["component", "add", PRODUCT, "STM32", "--type", "mcu"])?;
    let script = folder.path().join("script");
    write(&script, SCRIPT)?;
    let devices = Background::start(&root().join("target/debug/reference-device"), "KILL", |command| {
        command.args(["--server", &format!("127.0.0.1:{mqtt}"), "--product-key", PRODUCT]);
        command
            .args(["--product-secret", SECRET, "--devices", &DEVICES.to_string(), "--script"])
            .arg(&script);
    })?;
    let held = || (connections(http_a), connections(http_b));
    wait_until(start, "every device is connected", || {
        drain(&devices);
        let (at_a, at_b) = held();
        at_a.unwrap_or(0) + at_b.unwrap_or(0) == DEVICES
    })?;
    let (at_a, at_b) = held();
    println!("  {} at center a, {} at center b", at_a.unwrap_or(0), at_b.unwrap_or(0));

    step(&format!("a plan for all of them, {IN_FLIGHT} at a time"));
    let image = folder.path().join("stm32-2_0_0.bin");
    random_image(&image)?;
    let image = image.display().to_string();
    let add = [
        "package",
        "add",
        "--product",
        PRODUCT,
        "--component",
        "STM32",
        "--name",
        "fleet-2",
        "--target",
        "2_0_0",
    ];
    common.say(&[&add[..], &[&image]].concat())?;
    let limit = IN_FLIGHT.to_string();
    let create = ["plan", "create", "--name", "Autumn", "--product", PRODUCT, "--component", "STM32=fleet-2"];
    common.say(&[&create[..], &["--max-in-flight", &limit, "--retries", "9"]].concat())?;
    common.say(&["plan", "activate", "Autumn"])?;

    println!("\n  one # for {MARK} connected devices");
    let mut act = Act::Quiet;
    let mut runs = 0;
    let mut painted = String::new();
    while runs < DEVICES || !matches!(act, Act::Over) {
        if start.elapsed() > DEADLINE {
            return fail(format!("{runs} of {DEVICES} devices are upgraded after {DEADLINE:?}"));
        }
        runs += drain(&devices);
        let (at_a, at_b) = held();
        let picture = picture(runs, at_a, at_b);
        if picture != painted {
            paint(&picture);
            painted = picture;
        }
        act = match act {
            Act::Quiet if runs >= DEVICES / 4 => {
                if let Some(center) = b.take() {
                    center.kill()?;
                }
                tell(31, "center b is killed (SIGKILL): its devices connect to a, and go on");
                Act::Killed(Instant::now())
            }
            Act::Killed(at) if at.elapsed() > Duration::from_secs(4) => {
                b = Some(common.start("b", http_b, mqtt_b)?);
                tell(32, "center b is back: it gets the devices that connect from now on");
                Act::Back
            }
            Act::Back if runs >= DEVICES / 2 => {
                let leaving = a.take();
                tell(33, "center a is stopped (SIGTERM): it sends its devices to b, one after the other");
                Act::Leaving(std::thread::spawn(move || drop(leaving)))
            }
            Act::Leaving(leaving) if leaving.is_finished() => {
                a = Some(common.start("a", http_a, mqtt_a)?);
                tell(32, "center a is back");
                Act::Over
            }
            act => act,
        };
        std::thread::sleep(Duration::from_millis(200));
    }
    println!();

    step("what became of it");
    // The last report may still be on its way.
    wait_until(start, "the plan's figures", || {
        common.ask(&["plan", "show", "Autumn"]).is_ok_and(|said| said.lines().any(is_whole_fleet))
    })?;
    common.say(&["plan", "reasons", "Autumn"])?;
    runs += drain(&devices);
    if runs != DEVICES {
        return fail(format!("{runs} upgrades of {DEVICES} devices: some were upgraded twice"));
    }
    tell(
        32,
        &format!(
            "{DEVICES} devices upgraded, each once; {:.1} s after the build",
            start.elapsed().as_secs_f64()
        ),
    );
    devices.kill()?;
    balancer.kill()?;
    drop((a, b));
    Ok(())
}

impl Common {
    fn start(&self, id: &str, http: u16, mqtt: u16) -> Outcome<Background> {
        let server = Background::start(&self.program, "KILL", |command| {
            command.args(["serve", "--log", "error", "--center-id", id, "--database", &self.database]);
            command.args(["--http", &format!("127.0.0.1:{http}"), "--mqtt", &format!("127.0.0.1:{mqtt}")]);
            command.args(["--proxy-from", "127.0.0.1", "--drain", "3"]);
            command.args(["--public-url", &format!("http://127.0.0.1:{}", self.http)]);
            command
                .arg("--packages")
                .arg(self.folder.join("packages"))
                .arg("--data")
                .arg(self.folder.join(id));
            command.env("QUECOTA_SEAL_KEY", &self.seal_key).env("QUECOTA_TOKEN", TOKEN);
        })?;
        server.announced("http:", Duration::from_secs(30))?;
        Ok(server)
    }

    /// Until haproxy has found a center that is ready.
    fn await_balancer(&self) -> Outcome {
        wait_until(Instant::now(), "haproxy has a center", || get(self.http, "/ready", false).is_some())
    }

    fn ask(&self, words: &[&str]) -> Outcome<String> {
        let mut command = Command::new(&self.program);
        let server = format!("http://127.0.0.1:{}", self.http);
        output(command.args(words).env("QUECOTA_SERVER", server).env("QUECOTA_TOKEN", TOKEN))
    }

    fn say(&self, words: &[&str]) -> Outcome {
        println!("  $ quecota-center {}", words.join(" "));
        for line in self.ask(words)?.lines() {
            println!("    {line}");
        }
        Ok(())
    }
}

/// The line of a plan's figures when every device is upgraded.
fn is_whole_fleet(line: &str) -> bool {
    line.split_whitespace().eq(["Upgraded", &DEVICES.to_string()])
}

fn haproxy(mqtt: u16, http: u16, centers: [(u16, u16); 2]) -> String {
    let mut text =
        "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 20m\n    timeout server 20m\n\
                    \x20   timeout check 2s\n    option redispatch\n    retries 3\n"
            .to_owned();
    for (name, port, balance) in [("mqtt", mqtt, "leastconn"), ("http", http, "roundrobin")] {
        text += &format!(
            "listen {name}\n    bind 127.0.0.1:{port}\n    balance {balance}\n    option httpchk GET /ready\n"
        );
        for (number, (mqtt, http)) in centers.iter().enumerate() {
            let to = if name == "mqtt" { mqtt } else { http };
            text += &format!(
                "    server s{number} 127.0.0.1:{to} send-proxy-v2 check inter 500 fall 1 rise 1 port {http} check-send-proxy\n"
            );
        }
    }
    text
}

/// The body of an answer of 200, of a center itself (then with the balancer's header) or by way of haproxy.
fn get(port: u16, path: &str, as_balancer: bool) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let header = if as_balancer { "PROXY UNKNOWN\r\n" } else { "" };
    let request = format!(
        "{header}GET {path} HTTP/1.1\r\nHost: center\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// Devices connected to the center; none: it does not answer.
fn connections(http: u16) -> Option<usize> {
    let figures = get(http, "/metrics", true)?;
    figures.lines().find_map(|line| line.strip_prefix("quecota_connections ")?.trim().parse().ok())
}

/// Takes in what the devices said, and counts those that run the new version now.
fn drain(devices: &Background) -> usize {
    let mut runs = 0;
    while let Heard::Line(line) = devices.heard(Duration::ZERO) {
        runs += usize::from(line.ends_with("STM32 runs 2_0_0"));
    }
    runs
}

fn wait_until(start: Instant, what: &str, mut is_so: impl FnMut() -> bool) -> Outcome {
    while !is_so() {
        if start.elapsed() > DEADLINE {
            return fail(format!("{what}: not within {DEADLINE:?}"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn colour(code: u8, text: &str) -> String {
    if std::io::stdout().is_terminal() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

/// Where the devices are and how many are done, in one line.
fn picture(runs: usize, at_a: Option<usize>, at_b: Option<usize>) -> String {
    let center = |name: &str, code: u8, held: Option<usize>| match held {
        Some(held) => {
            let marks = held.div_ceil(MARK);
            format!("{name} {}{}", colour(code, &"#".repeat(marks)), " ".repeat(WIDTH.saturating_sub(marks)))
        }
        None => format!("{name} {}{}", colour(31, "gone"), " ".repeat(WIDTH - 4)),
    };
    format!("  {:>2}/{DEVICES} upgraded  {}  {}", runs, center("a", 36, at_a), center("b", 35, at_b))
}

/// A terminal shows the line in the place of the one before.
fn paint(picture: &str) {
    if std::io::stdout().is_terminal() {
        print!("\r{picture}");
        // A terminal that is gone ends the demo by its next line.
        let _ = std::io::stdout().flush();
    } else {
        println!("{picture}");
    }
}

fn tell(code: u8, what: &str) {
    let end = if std::io::stdout().is_terminal() { "\n" } else { "" };
    println!("{end}  {}", colour(code, what));
}

fn write(path: &Path, text: &str) -> Outcome {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}
