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

/// The vendor's GET of bytes `from..=until`.
pub fn request(host: &str, port: u16, path: &str, from: u64, until: u64) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost:{host}:{port}\r\nAccept-Ranges: bytes\r\nRange: bytes={from}-{until}\r\n\r\n"
    )
}

/// Head of an answer.
#[derive(Debug, Clone)]
pub struct Head {
    /// All of it, to the empty line.
    pub text: String,
    /// Bytes of the body.
    pub length: usize,
}

/// The head at the beginning of `bytes`, once it is whole and the vendor can read it.
pub fn head_of(bytes: &[u8]) -> Result<Option<Head>, String> {
    let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let text = String::from_utf8(bytes[..at + 4].to_vec()).map_err(|_| "a head that is no text")?;
    if !text.starts_with("HTTP/1.1 ") {
        return Err(format!("a status line that the device does not know: {text:?}"));
    }
    // Exact case and one blank: without it the vendor waits for the close, which it takes for an error.
    let length = text
        .split_once("Content-Length: ")
        .and_then(|(_, rest)| rest.split("\r\n").next())
        .ok_or(format!("no \"Content-Length: \" in {text:?}"))?;
    let length = length.parse().map_err(|_| format!("Content-Length {length:?}"))?;
    Ok(Some(Head { text, length }))
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
    let request = request(&host, port, &path, from, until);
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
    let mut head = None;
    let mut step = [0; 16 * 1024];
    loop {
        if head.is_none() {
            head = head_of(&bytes)?;
        }
        if let Some(Head { text, length }) = &head {
            let (from, until) = (text.len(), text.len() + length);
            if bytes.len() >= until {
                return Ok((text.clone(), bytes[from..until].to_vec()));
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
