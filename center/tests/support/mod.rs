//! A center as its users run it: the real binary, its command line, its ports.
#![allow(dead_code, unused_imports)] // each test file uses its own part

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

#[path = "../../../testing/free_port.rs"]
mod free_port;
pub use free_port::free_port;

/// How long anything may take before a test gives up.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A child process that never outlives its test, not even a killed one.
pub struct Process(Child);

impl Process {
    pub fn start(program: impl AsRef<Path>, configure: impl FnOnce(&mut Command)) -> Process {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program.as_ref()).stdin(Stdio::null());
        configure(&mut command);
        Process(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.as_ref().display())))
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// SIGKILL, as a power cut would be.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits for its end, at most [`TIMEOUT`].
    pub fn finish(&mut self) -> std::process::ExitStatus {
        eventually("the end of a process", || self.0.try_wait().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running center.
pub struct Center {
    pub process: Process,
    pub mqtt: SocketAddr,
    pub http: SocketAddr,
    pub data: PathBuf,
}

impl Center {
    /// On free ports.
    pub fn start(data: &Path) -> Center {
        Self::start_with(data, |command| {
            command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]);
        })
    }

    /// With further arguments; they name the addresses.
    pub fn start_with(data: &Path, configure: impl FnOnce(&mut Command)) -> Center {
        let mut process = Process::start(env!("CARGO_BIN_EXE_quecota-center"), |command| {
            command.arg("serve").arg("--data").arg(data).stdout(Stdio::piped());
            configure(command);
        });
        let mut lines = BufReader::new(process.child().stdout.take().unwrap()).lines();
        let mut announced = |name: &str, scheme: &str| -> SocketAddr {
            // Between the plain ports stand those with TLS.
            let line = loop {
                let line = lines.next().expect("the center ended before it was ready").unwrap();
                if !line.starts_with("mqtts:") && !line.starts_with("https:") {
                    break line;
                }
            };
            let address = line.strip_prefix(name).and_then(|rest| rest.trim().strip_prefix(scheme));
            address.unwrap_or_else(|| panic!("`{line}` instead of `{name} {scheme}...`")).parse().unwrap()
        };
        let mqtt = announced("mqtt:", "mqtt://");
        let http = announced("http:", "http://");
        // Whatever else it prints must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Center { process, mqtt, http, data: data.to_owned() }
    }

    /// Runs `quecota-center WORDS` against this center.
    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quecota-center"));
        command
            .args(words)
            .env("QUECOTA_SERVER", format!("http://{}", self.http))
            .arg("--data")
            .arg(&self.data);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// The same, which must succeed; what it printed.
    pub fn says(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The same as JSON.
    pub fn json(&self, words: &[&str]) -> serde_json::Value {
        let mut words = words.to_vec();
        words.push("--json");
        let said = self.says(&words);
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{words:?}: {error} in {said}"))
    }

    /// The id that a `... add` or `... create` command prints last.
    pub fn id(&self, words: &[&str]) -> String {
        self.says(words).split_whitespace().last().expect("an id").to_owned()
    }
}

/// A stream of server-sent events, read as a browser reads it.
pub struct Events {
    lines: std::io::Lines<BufReader<Box<dyn Read>>>,
}

/// One event of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub kind: String,
    pub id: String,
    pub data: serde_json::Value,
}

impl Events {
    /// Opens the stream at `path` under `/api/v1`, after the event `last`; the status, and the stream if it is one.
    pub fn open(center: &Center, path: &str, last: Option<&str>) -> (u16, Option<Events>) {
        let token = std::fs::read_to_string(center.data.join("token")).unwrap();
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .build()
            .into();
        let request = agent
            .get(format!("http://{}/api/v1/{path}", center.http))
            .header("Authorization", format!("Bearer {}", token.trim()));
        let request = match last {
            Some(last) => request.header("Last-Event-ID", last),
            None => request,
        };
        let answer = request.call().unwrap();
        let status = answer.status().as_u16();
        if status != 200 {
            return (status, None);
        }
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let reader: Box<dyn Read> = Box::new(answer.into_body().into_reader());
        (status, Some(Events { lines: BufReader::new(reader).lines() }))
    }

    /// The same, which must succeed.
    pub fn of(center: &Center, path: &str) -> Events {
        let (status, events) = Self::open(center, path, None);
        events.unwrap_or_else(|| panic!("{path}: {status}"))
    }

    /// The next event; none: the stream has ended.
    pub fn next(&mut self) -> Option<Event> {
        let mut event = Event { kind: String::new(), id: String::new(), data: serde_json::Value::Null };
        for line in self.lines.by_ref() {
            let line = line.unwrap();
            match line.split_once(':').map(|(field, value)| (field, value.trim_start())) {
                Some(("event", value)) => event.kind = value.to_owned(),
                Some(("id", value)) => event.id = value.to_owned(),
                Some(("data", value)) => event.data = serde_json::from_str(value).unwrap(),
                // A comment, or how soon to connect again.
                Some(_) => {}
                None if event.kind.is_empty() => {}
                None => return Some(event),
            }
        }
        None
    }

    /// The first event from here on that is wanted.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().unwrap_or_else(|| panic!("the stream ended before {what}"));
            if wanted(&event) {
                return event;
            }
        }
    }
}
