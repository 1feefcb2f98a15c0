//! The real `quecota-center` as a process of the test, and a private PostgreSQL cluster beside it. Both end with their value.
#![allow(dead_code)] // Each test file uses its own part.

pub mod postgres;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// For a start, a stop, or a command.
const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "token-of-the-tests";

/// A data folder and, while it runs, the center that works on it.
pub struct Center {
    folder: TempDir,
    database: Option<String>,
    running: Option<Running>,
    log: Arc<Mutex<Vec<String>>>,
}

struct Running {
    child: Child,
    mqtt: SocketAddr,
    http: String,
}

impl Center {
    /// A center of its own, with SQLite.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// A center of its own; `database` is a URL.
    pub fn start_with(database: Option<String>) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut center = Self { folder, database, running: None, log: Arc::default() };
        center.resume();
        center
    }

    /// Starts the center again on the same data.
    pub fn resume(&mut self) {
        self.kill();
        let mut command = Command::new(env!("CARGO_BIN_EXE_quecota-center"));
        command
            .args(["serve", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--data"])
            .arg(self.folder.path())
            .env("QUECOTA_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(database) = &self.database {
            command.args(["--database", database]);
        }
        let mut child = command.spawn().expect("the center starts");
        let errors = child.stderr.take().expect("stderr");
        let log = Arc::clone(&self.log);
        std::thread::spawn(move || {
            for line in BufReader::new(errors).lines().map_while(Result::ok) {
                log.lock().expect("the log").push(line);
            }
        });
        let lines = lines_of(child.stdout.take().expect("stdout"));
        self.running =
            Some(Running { child, mqtt: SocketAddr::from(([127, 0, 0, 1], 0)), http: String::new() });
        let mqtt = self.announced(&lines, "mqtt: mqtt://");
        let http = self.announced(&lines, "http: ");
        let running = self.running.as_mut().expect("it runs");
        running.mqtt = mqtt.parse().expect("an address");
        running.http = http;
    }

    fn announced(&self, lines: &Receiver<String>, start: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(start) {
                        return rest.trim().to_owned();
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {start:?} within {PATIENCE:?}: {}", self.log()),
                Err(RecvTimeoutError::Disconnected) => {
                    std::thread::sleep(Duration::from_millis(200));
                    panic!("the center ended before {start:?}: {}", self.log())
                }
            }
        }
    }

    /// Where devices connect.
    pub fn mqtt(&self) -> SocketAddr {
        self.running.as_ref().expect("the center runs").mqtt
    }

    /// Where its HTTP answers, `http://127.0.0.1:PORT`.
    pub fn http(&self) -> &str {
        &self.running.as_ref().expect("the center runs").http
    }

    /// Its data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("the log").join("\n")
    }

    /// Waits for a line of the log that holds all of `words`.
    pub fn expect_log(&self, words: &[&str]) {
        let found = wait_for(|| {
            let log = self.log.lock().expect("the log");
            log.iter().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
        });
        assert!(found.is_some(), "no line with {words:?} in:\n{}", self.log());
    }

    /// Runs a command of the command line; its standard output, or what it complained about.
    pub fn run(&self, arguments: &[&str]) -> Result<String, String> {
        let child = Command::new(env!("CARGO_BIN_EXE_quecota-center"))
            .args(arguments)
            .args(["--server", self.http(), "--token", TOKEN])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command starts");
        let output = finish(child, PATIENCE);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
        if output.0 { Ok(text(output.1)) } else { Err(text(output.2)) }
    }

    /// As [`Center::run`], which must succeed.
    pub fn must(&self, arguments: &[&str]) -> String {
        self.run(arguments).unwrap_or_else(|error| panic!("{arguments:?}: {error}\n{}", self.log()))
    }

    /// As [`Center::must`], with `--json`.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let text = self.must(&[arguments, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{arguments:?}: {error} in {text}"))
    }

    /// A product with a secret.
    pub fn create_product(&self, key: &str, secret: &str) {
        self.must(&["product", "create", "--key", key, "--name", key, "--secret", secret]);
    }

    /// SIGTERM, and the end within a deadline. Says whether it was a clean end.
    pub fn stop(&mut self) -> bool {
        let Some(mut running) = self.running.take() else { return false };
        let id = running.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().expect("kill");
        assert!(sent.success(), "no signal to {id}");
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let Some(status) = running.child.try_wait().expect("wait") {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = running.child.kill();
        let _ = running.child.wait();
        panic!("the center did not end within {PATIENCE:?} of SIGTERM: {}", self.log())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}

impl Drop for Center {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Polls `probe` until it has a value, at most a minute.
pub fn wait_for<T>(mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn lines_of(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                // Nobody listens any more; the stream is still drained.
            }
        }
    });
    receiver
}

/// Waits for a child; success, standard output and standard error.
fn finish(mut child: Child, patience: Duration) -> (bool, Vec<u8>, Vec<u8>) {
    let gather = |stream: Option<Box<dyn std::io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let output = gather(child.stdout.take().map(|stream| Box::new(stream) as _));
    let errors = gather(child.stderr.take().map(|stream| Box::new(stream) as _));
    let end = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait().expect("wait") {
            break Some(status);
        }
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let success = status.is_some_and(|status| status.success());
    (success, output.join().expect("stdout"), errors.join().expect("stderr"))
}

/// A file of the test in the center's folder.
pub fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file");
    path
}
