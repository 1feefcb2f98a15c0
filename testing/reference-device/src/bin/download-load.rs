//! Load for a center's downloads: clients that fetch one range after the other of one URL, each over its own connection.
//!
//! With `--server` it plays a device that is offered an upgrade of the component MCU, and loads the URL that it is given;
//! without, it loads `--url`, for a peer of the same file. Prints one line of numbers: megabytes, seconds, CPU seconds of the
//! processes `--pid` (with their children), and megabytes per CPU second. A megabyte is 10^6 bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use reference_device::cpu::seconds_of;
use reference_device::{FieldDevice, download};

#[derive(Parser)]
struct Options {
    /// The center's MQTT address.
    #[arg(long, value_name = "HOST:PORT", requires = "product_key", requires = "product_secret")]
    server: Option<String>,
    #[arg(long, value_name = "PK")]
    product_key: Option<String>,
    #[arg(long, value_name = "PS")]
    product_secret: Option<String>,
    /// Number of the device.
    #[arg(long, default_value_t = 0)]
    first: u32,
    #[arg(long, conflicts_with = "server", required_unless_present = "server")]
    url: Option<String>,
    /// Bytes of the file at `--url`.
    #[arg(long, default_value_t = 0, required_unless_present = "server")]
    size: u64,
    /// Bytes of a range.
    #[arg(long, default_value_t = 65_536)]
    range: u64,
    #[arg(long, default_value_t = 10)]
    clients: u32,
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    seconds: u64,
    /// A process whose CPU time is counted; several may be given.
    #[arg(long)]
    pid: Vec<u32>,
}

/// A server that sends nothing for so long has stopped.
const SILENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    // Online to the end: its upgrade goes on as long.
    let (device, url, size) = match (&options.server, &options.url) {
        (Some(server), _) => {
            let (device, url, size) = offered(options, server)?;
            (Some(device), url, size)
        }
        (None, Some(url)) => (None, url.clone(), options.size),
        (None, None) => return Err("say --server or --url".to_owned()),
    };
    let (host, port, path) = download::split(&url)?;
    let address = (host.as_str(), port).to_socket_addrs().map_err(|error| format!("{host}: {error}"))?;
    let address = address.into_iter().next().ok_or(format!("{host}: no address"))?;
    let range = options.range.clamp(1, size.max(1));
    let before = seconds_of(&options.pid)?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(options.seconds);
    let clients: Vec<_> = (0..options.clients)
        .map(|number| {
            let (host, path) = (host.clone(), path.clone());
            // Not all at the same place of the file.
            let first = u64::from(number) * range % size.saturating_sub(range).max(1);
            thread::spawn(move || fetch(address, &host, &path, first, range, size, end))
        })
        .collect();
    let mut bytes = 0;
    for client in clients {
        bytes += client.join().map_err(|_| "a client panicked")??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = seconds_of(&options.pid)? - before;
    drop(device);
    let megabytes = bytes as f64 / 1e6;
    println!("{megabytes:.0} {seconds:.2} {cpu:.2} {:.0}", megabytes / cpu.max(0.01));
    Ok(())
}

/// A device that has confirmed an upgrade, the URL that it is given, and the bytes behind it.
fn offered(options: &Options, server: &str) -> Result<(FieldDevice, String, u64), String> {
    let server = server.strip_prefix("mqtt://").unwrap_or(server);
    let mut found = server.to_socket_addrs().map_err(|error| format!("{server}: {error}; say HOST:PORT"))?;
    let server = found.next().ok_or(format!("{server}: no address"))?;
    let (key, secret) = (&options.product_key, &options.product_secret);
    let (Some(key), Some(secret)) = (key, secret) else { return Err("say --product-key".to_owned()) };
    let mut device = FieldDevice::new(server, key, secret, &format!("86{:013}", options.first));
    device.flash.components = vec![("MCU".to_owned(), "1".to_owned())];
    device.keep_alive = 600;
    let mut confirm = || {
        device.come_online()?;
        device.request_plan()?;
        let plans = device.expect_plans()?;
        device.report_state(2, plans.first().map_or(0, |plan| plan.kind), "MCU")?;
        device.expect_firmware()
    };
    let firmware = confirm().map_err(|trouble| trouble.to_string())?;
    Ok((device, firmware.url, firmware.size))
}

/// Ranges over one connection until `end`; gives the bytes that came.
fn fetch(
    address: SocketAddr,
    host: &str,
    path: &str,
    mut first: u64,
    range: u64,
    size: u64,
    end: Instant,
) -> Result<u64, String> {
    let words = |error: std::io::Error| format!("{address}: {error}");
    let mut stream = TcpStream::connect(address).map_err(words)?;
    stream.set_read_timeout(Some(SILENCE)).map_err(words)?;
    stream.set_nodelay(true).map_err(words)?;
    let mut buffer = vec![0; 256 * 1024];
    let mut all = 0;
    while Instant::now() < end {
        if first + range > size {
            first = 0;
        }
        let last = first + range - 1;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={first}-{last}\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(words)?;
        let (mut had, mut body) = (0, None);
        while body != Some(range) {
            let space = buffer.get_mut(had..).unwrap_or_default();
            let count = stream.read(space).map_err(words)?;
            if count == 0 {
                return Err(format!("{address}: closed in the middle of a range"));
            }
            match &mut body {
                Some(body) => *body += count as u64,
                None => {
                    had += count;
                    let head = buffer.get(..had).unwrap_or_default();
                    let Some(at) = head.windows(4).position(|end| end == b"\r\n\r\n") else { continue };
                    if !head.starts_with(b"HTTP/1.1 206 ") {
                        let head = String::from_utf8_lossy(head.get(..at).unwrap_or_default());
                        return Err(format!("{address} answered {head:?}"));
                    }
                    body = Some((had - at - 4) as u64);
                    had = 0;
                }
            }
        }
        all += range;
        first += range;
    }
    Ok(all)
}
