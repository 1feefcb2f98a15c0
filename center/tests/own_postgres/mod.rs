//! A PostgreSQL cluster of one test alone, so that the test may stop it.
#![allow(dead_code)] // each test file uses its own part

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::free_port;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A cluster on a free port of the loopback; it ends with this value, and with the test's process.
pub struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// A new cluster that answers. As root it runs as user `postgres`: its server refuses to be root.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("quecota-postgres-").tempdir().unwrap();
        if is_root() {
            must(Command::new("chown").arg("postgres:postgres").arg(folder.path()));
        }
        let mut cluster = Self { folder, programs: programs(), port: 0, server: None };
        let mut command = cluster.command("initdb");
        command.args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--pgdata"]);
        must(command.arg(cluster.data()).stdout(Stdio::null()));
        // Another process may take the port between our look and the server's: then another one.
        for _ in 0..5 {
            cluster.port = free_port();
            if cluster.resume() {
                return cluster;
            }
        }
        panic!("PostgreSQL did not answer in {}", cluster.data().display())
    }

    /// The URL of its database.
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// What the server answers to one statement: rows as lines, without headings.
    pub fn ask(&self, statement: &str) -> String {
        let mut command = self.command("psql");
        command.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--dbname", &self.url()]);
        let output = command.args(["--command", statement]).output().unwrap();
        assert!(output.status.success(), "{statement}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Starts the server on the same data and port; says whether it answers.
    pub fn resume(&mut self) -> bool {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).args(["-p", &self.port.to_string()]);
        for setting in
            ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "shared_buffers=16MB"]
        {
            command.args(["-c", setting]);
        }
        self.server = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let end = Instant::now() + TIMEOUT;
        while Instant::now() < end {
            if self.server.as_mut().is_some_and(|server| server.try_wait().unwrap().is_some()) {
                return false;
            }
            let mut ready = self.command("pg_isready");
            ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]);
            if ready.status().unwrap().success() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }

    /// Ends the server as a power cut would (SIGQUIT is its immediate shutdown).
    pub fn stop(&mut self) {
        let Some(mut server) = self.server.take() else { return };
        must(Command::new("kill").args(["-QUIT", &server.id().to_string()]));
        let end = Instant::now() + TIMEOUT;
        while server.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                let _ = server.kill();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// One of PostgreSQL's programs; its server dies with the test.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        if is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
        }
        command.args(["--pdeathsig", "QUIT", "--"]).arg(self.programs.join(program));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The folder of the newest server that is installed.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |entry: &std::fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let newest = versions.max_by_key(version).map(|entry| entry.path().join("bin"));
    newest
        .filter(|folder| folder.join("initdb").exists())
        .expect("a PostgreSQL server under /usr/lib/postgresql (Debian: apt-get install postgresql)")
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

fn must(command: &mut Command) {
    let status: ExitStatus = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
