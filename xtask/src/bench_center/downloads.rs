//! Firmware by ranges, beside nginx from Debian in the same run: what a second of the server's processor brings.

use std::path::Path;
use std::time::Duration;

use super::center::{Center, Used, children, used};
use super::load::{at, download, offered};
use super::{Bench, Measured, Target};
use crate::free_port::free_port;
use crate::process::{Background, Outcome, fail};

/// Bytes of the firmware: larger than a range of a megabyte.
const FIRMWARE: usize = 16 << 20;
/// Clients and bytes of their ranges, each with the share of nginx that is to be reached.
const KINDS: [(u64, u64, &str, f64); 2] =
    [(10, 64 << 10, "64 KB ranges, 10 clients", 0.8), (100, 1 << 20, "1 MB ranges, 100 clients", 0.8)];

/// nginx as a peer: one process, files by sendfile, connections that stay open.
pub fn nginx(folder: &Path, file: &Path) -> Outcome<(Background, String)> {
    let port = free_port();
    let (folder, root) = (folder.display(), file.parent().unwrap_or(file).display());
    let config = format!(
        "daemon off; master_process off; user root; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy; fastcgi_temp_path {folder}/nginx-fastcgi; uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    server {{ listen 127.0.0.1:{port}; location / {{ root {root}; }} }}
}}
"
    );
    let path = Path::new(&folder.to_string()).join("nginx.conf");
    std::fs::write(&path, config).map_err(|error| format!("{}: {error}", path.display()))?;
    let server = Background::start(Path::new("/usr/sbin/nginx"), "KILL", |command| {
        command.arg("-c").arg(&path).args(["-e", "stderr"]);
    })?;
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Ok((server, format!("http://127.0.0.1:{port}/{name}")));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    fail("nginx did not listen within 5 s")
}

/// Megabytes for a second of the server's processor, and how the row is shown.
fn fetched(
    server: impl Fn() -> Outcome<Used>,
    words: &[String],
    (clients, range): (u64, u64),
    span: Duration,
) -> Outcome<Measured> {
    let (before, load) = (server()?, children());
    let (megabytes, seconds) = download(words, clients, range, span)?;
    let (used, load) = (server()? - before, children() - load);
    if used.cpu <= 0.0 {
        return fail("the server's time is too short to be seen");
    }
    let each = megabytes / used.cpu;
    let mut measured =
        Measured::new(each, format!("{each:.0} MB for a CPU second, {:.0} MB a second", megabytes / seconds));
    measured.shares = Some((used.cpu / seconds, load / seconds));
    Ok(measured)
}

pub fn measure(bench: &mut Bench) -> Outcome {
    let folder = bench.folder.clone();
    let center = Center::start(&folder.join("downloads"))?;
    let choices = center.product(&folder, &["MCU"], "2", FIRMWARE)?;
    center.active("all", &choices[0], &[])?;
    let file = folder.join(format!("image-{FIRMWARE}.bin"));
    let (peer, url) = nginx(&folder, &file)?;
    let span = bench.span() / 2 + Duration::from_secs(1);
    for (number, (clients, range, words, share)) in KINDS.into_iter().enumerate() {
        let from = at(&url, FIRMWARE);
        let peer = bench.row(format!("nginx: {words}"), Target::None, || {
            fetched(|| used(peer.id()), &from, (clients, range), span)
        });
        let from = offered(&center, 1_000 * (number as u64 + 1));
        let name = format!("firmware: {words}");
        let ours = bench.row(name, Target::None, || fetched(|| center.used(), &from, (clients, range), span));
        if let (Some(peer), Some(ours)) = (peer, ours) {
            let reached = ours.value / peer.value;
            let target = Target::AtLeast(share, " of nginx");
            bench.row(format!("  of nginx, {words}"), target, || {
                Ok(Measured::new(reached, format!("{reached:.2}")))
            });
        }
    }
    peer.kill()?;
    center.stop();
    Ok(())
}
