//! A private PostgreSQL cluster of one test, on a free port of the loopback.

use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running cluster; it is stopped and removed with this value.
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// A new cluster. Needs PostgreSQL's server programs; as root it runs them as user `postgres`, who alone may.
    pub fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("quecota-postgres-").tempdir().expect("a folder");
        if is_root() {
            let user = id_of("-u", "postgres");
            let group = id_of("-g", "postgres");
            chown(folder.path(), Some(user), Some(group)).expect("the folder belongs to postgres");
        }
        let mut cluster = Self { folder, programs, port: 0 };
        let data = cluster.data();
        cluster.must("initdb", &["-D", &data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"]);
        // The port may be taken between our look and its start: then another one.
        for _ in 0..5 {
            cluster.port = free_port();
            if cluster.up() {
                return cluster;
            }
        }
        panic!("no PostgreSQL came up in {data}")
    }

    /// The URL of its database `postgres`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Starts it, after [`Postgres::stop`] on the same port.
    pub fn up(&self) -> bool {
        let options = format!(
            "-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories={} -c fsync=off -c shared_buffers=16MB",
            self.port,
            self.folder.path().display()
        );
        let log = self.folder.path().join("log").display().to_string();
        self.call("pg_ctl", &["-D", &self.data(), "-l", &log, "-o", &options, "-w", "-t", "30", "start"])
            .status
            .success()
    }

    /// Ends it as a power cut would.
    pub fn stop(&self) {
        self.call("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "-t", "30", "stop"]);
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    fn must(&self, program: &str, arguments: &[&str]) {
        let output = self.call(program, arguments);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn call(&self, program: &str, arguments: &[&str]) -> Output {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(&program);
            command
        } else {
            Command::new(&program)
        };
        // pg_ctl leaves its output open in the server: files, not pipes, or the wait would never end.
        let text = tempfile::tempfile().expect("a file");
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(text.try_clone().expect("a file"));
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let end = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = child.try_wait().expect("wait") {
                break status;
            }
            if Instant::now() >= end {
                let _ = child.kill();
                break child.wait().expect("wait");
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let mut stderr = Vec::new();
        use std::io::{Read, Seek};
        let mut text = text;
        let _ = text.rewind();
        let _ = text.read_to_end(&mut stderr);
        Output { status, stdout: Vec::new(), stderr }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The folder of the newest installed server.
fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    found.sort_by_key(|folder| version(folder));
    found
        .pop()
        .expect("PostgreSQL's server programs under /usr/lib/postgresql (Debian: apt-get install postgresql)")
}

fn version(folder: &Path) -> u32 {
    folder.iter().rev().nth(1).and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}

fn is_root() -> bool {
    id_of("-u", "") == 0
}

/// `id -u` or `id -g` of a user; without a name of this process.
fn id_of(kind: &str, user: &str) -> u32 {
    let mut command = Command::new("id");
    command.arg(kind);
    if !user.is_empty() {
        command.arg(user);
    }
    let output = command.output().expect("id");
    assert!(output.status.success(), "there is no user {user}");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port()
}
