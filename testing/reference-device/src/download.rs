//! The vendor's download (QUECTHING.md 4.7): one GET per piece, and a response parser that knows one spelling only.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use sha2::Sha256;

/// The vendor gives up on a stalled transfer after 10 s.
const STALL: Duration = Duration::from_secs(10);

/// `url` as the device takes it apart: host, port and path.
pub fn split(url: &str) -> Result<(String, u16, String), String> {
    if url.contains("s://") {
        return Err(format!("{url}: TLS, which this device has not"));
    }
    let rest = url.strip_prefix("http://").ok_or(format!("{url}: neither http:// nor https://"))?;
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| format!("{url}: port {port}"))?),
        None => (authority, 80),
    };
    if host.len() >= 64 || !host.contains('.') {
        return Err(format!("{url}: the host must be shorter than 64 and hold a '.'"));
    }
    Ok((host.into(), port, path.into()))
}

/// Bytes `from..=until` of `url`.
pub fn fetch(url: &str, from: u64, until: u64) -> Result<Vec<u8>, String> {
    fetch_at(url, from, until, None)
}

/// The same, read not faster than `pace` bytes a second.
pub fn fetch_at(url: &str, from: u64, until: u64, pace: Option<u32>) -> Result<Vec<u8>, String> {
    let (head, body) = answer_at(url, from, until, pace)?;
    let wanted = until - from + 1;
    let status = head.get(9..12).unwrap_or_default();
    if status != "206" {
        return Err(format!("status {status:?} for a range of {url}"));
    }
    if body.len() as u64 != wanted {
        return Err(format!("{} bytes came, {wanted} were asked for", body.len()));
    }
    Ok(body)
}

/// Head and body of the answer to the vendor's GET, whatever its status is.
pub fn answer(url: &str, from: u64, until: u64) -> Result<(String, Vec<u8>), String> {
    answer_at(url, from, until, None)
}

/// The request, written; nothing is read yet.
pub fn ask(url: &str, from: u64, until: u64) -> Result<TcpStream, String> {
    let (host, port, path) = split(url)?;
    let address = (host.as_str(), port)
        .to_socket_addrs()
        .map_err(|error| format!("{host}: {error}"))?
        .next()
        .ok_or(format!("{host}: no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))
        .map_err(|error| format!("{address}: {error}"))?;
    stream.set_read_timeout(Some(STALL)).expect("a read timeout");
    stream.set_write_timeout(Some(STALL)).expect("a write timeout");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost:{host}:{port}\r\nAccept-Ranges: bytes\r\nRange: bytes={from}-{until}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(|error| format!("{url}: {error}"))?;
    Ok(stream)
}

fn answer_at(url: &str, from: u64, until: u64, pace: Option<u32>) -> Result<(String, Vec<u8>), String> {
    let mut stream = ask(url, from, until)?;
    // A slow reader takes ten sips a second.
    let sip =
        pace.map_or(16 * 1024, |pace| usize::try_from(pace / 10).unwrap_or(usize::MAX).clamp(1, 16 * 1024));
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let mut body_at = None;
    let mut step = [0; 16 * 1024];
    loop {
        if body_at.is_none() {
            body_at = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        }
        if let Some(at) = body_at {
            let head = String::from_utf8(bytes[..at].to_vec()).map_err(|_| "a head that is no text")?;
            if !head.starts_with("HTTP/1.1 ") {
                return Err(format!("a status line that the device does not know: {head:?}"));
            }
            // Exact case and one blank: without it the vendor waits for the close, which it takes for an error.
            let length = head
                .split_once("Content-Length: ")
                .and_then(|(_, rest)| rest.split("\r\n").next())
                .ok_or(format!("no \"Content-Length: \" in {head:?}"))?;
            let length: usize = length.parse().map_err(|_| format!("Content-Length {length:?}"))?;
            if bytes.len() >= at + length {
                return Ok((head, bytes[at..at + length].to_vec()));
            }
        }
        if begun.elapsed() > Duration::from_secs(60) {
            return Err(format!("{url}: no whole answer within 60 s"));
        }
        if pace.is_some() {
            std::thread::sleep(Duration::from_millis(100));
        }
        match stream.read(&mut step[..sip]) {
            Ok(0) => return Err(format!("{url}: closed after {} bytes", bytes.len())),
            Ok(count) => bytes.extend(&step[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(format!("{url}: {error} after {} bytes", bytes.len())),
        }
    }
}

/// 32 lower-case hex digits.
pub fn md5(bytes: &[u8]) -> String {
    hex::encode(Md5::digest(bytes))
}

/// 64 lower-case hex digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
