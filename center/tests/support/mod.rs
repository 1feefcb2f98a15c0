//! A center as its users run it: the real binary, its command line, its ports.
#![allow(dead_code)] // each test file uses its own part

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
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

    /// Waits for its end, at most [`PATIENCE`].
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
            let line = lines.next().expect("the center ended before it was ready").unwrap();
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
