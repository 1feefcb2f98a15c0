//! A private PostgreSQL cluster for the tests.

use crate::free_port::free_port;
use crate::process::{Background, Folder, Outcome, fail, run};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A cluster on loopback; stopped and removed when this is dropped.
pub struct Cluster {
    server: Option<Background>,
    url: String,
    _folder: Folder,
}

impl Cluster {
    /// Starts an empty one on a free port.
    pub fn start() -> Outcome<Cluster> {
        let folder = Folder::new("postgres")?;
        let data = folder.path().join("data");
        let sockets = folder.path().display().to_string();
        let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
        // PostgreSQL refuses to run as root.
        let user: &[&str] =
            if root { &["--reuid=postgres", "--regid=postgres", "--init-groups"] } else { &[] };
        if root {
            run(Command::new("chown").arg("postgres").arg(folder.path()))?;
        }
        let bin = programs()?;
        let mut initdb = Command::new("setpriv");
        initdb.args(user).args(["--reset-env", "--"]).arg(bin.join("initdb"));
        initdb
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "--pgdata"])
            .arg(&data);
        run(initdb.stdout(Stdio::null()).current_dir(folder.path()))?;

        let port = free_port();
        let listen = "listen_addresses=127.0.0.1";
        let server = Background::start_as(user, &bin.join("postgres"), "QUIT", |command| {
            command.arg("-D").arg(&data).args(["-p", &port.to_string(), "-k", &sockets, "-c", listen]);
            command.args(["-c", "max_connections=200", "-c", "log_min_messages=panic"]);
            command.current_dir(folder.path()).stderr(Stdio::null());
        })?;
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                let url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
                return Ok(Cluster { server: Some(server), url, _folder: folder });
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        fail("PostgreSQL did not listen within 10 s")
    }

    /// `postgres://...`
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop("INT");
        }
    }
}

fn programs() -> Outcome<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest =
        versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
    newest.ok_or("no PostgreSQL server below /usr/lib/postgresql".to_owned())
}
