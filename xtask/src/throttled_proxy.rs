//! A TCP proxy between a device and the center's files: it limits the rate, counts the bytes that the device read, and plays a
//! server that asks for patience.

use crate::process::Outcome;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// Bytes forwarded at a time.
const CHUNK: usize = 1024;
/// Pause between two chunks: some 700 KB a second.
const PAUSE: Duration = Duration::from_micros(1_400);
/// At each multiple of this offset the proxy waits until the device has read everything, so that no read of the device
/// crosses it: the device checkpoints there.
const BOUNDARY: usize = 16 * 1024;

/// A proxy on loopback.
pub struct ThrottledProxy {
    address: SocketAddr,
    upstream: Arc<OnceLock<SocketAddr>>,
    count: Arc<Mutex<Count>>,
}

#[derive(Default)]
struct Count {
    /// Bytes of bodies.
    forwarded: u64,
    /// How often each byte of the file was forwarded.
    times: Vec<u8>,
    /// The transfer under way: its socket to the device, and its offset in the file.
    transfer: Option<(TcpStream, usize)>,
    /// The device is stopped: nothing is forwarded.
    paused: bool,
    /// For so long from the first of them on, requests are answered 503 with Retry-After.
    away: Option<Duration>,
    /// When the first was answered so.
    away_since: Option<Instant>,
    /// Requests that were.
    refused: u32,
}

impl Count {
    fn add(&mut self, at: usize, bytes: usize) {
        self.forwarded += bytes as u64;
        if self.times.len() < at + bytes {
            self.times.resize(at + bytes, 0);
        }
        self.times.iter_mut().skip(at).take(bytes).for_each(|times| *times = times.saturating_add(1));
    }

    /// Whether a request that comes now is refused: for how many seconds.
    fn refuse(&mut self) -> Option<u64> {
        let wait = self.away?;
        let since = *self.away_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= wait {
            return None;
        }
        self.refused += 1;
        Some(wait.as_secs())
    }

    fn subtract(&mut self, end: usize, bytes: usize) {
        self.forwarded = self.forwarded.saturating_sub(bytes as u64);
        let first = end.saturating_sub(bytes);
        self.times.iter_mut().take(end).skip(first).for_each(|times| *times = times.saturating_sub(1));
    }
}

impl ThrottledProxy {
    /// Listens; it carries once [`ThrottledProxy::set_upstream`] has given the center's address.
    pub fn start() -> Outcome<ThrottledProxy> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("the proxy: {error}"))?;
        let address = listener.local_addr().map_err(|error| format!("the proxy: {error}"))?;
        let (upstream, count) = (Arc::new(OnceLock::new()), Arc::new(Mutex::new(Count::default())));
        let (to, counts) = (upstream.clone(), count.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (to, counts) = (to.clone(), counts.clone());
                // A transfer that breaks is the device's to begin again.
                std::thread::spawn(move || {
                    to.get().and_then(|upstream| forward(client, *upstream, &counts).ok())
                });
            }
        });
        Ok(ThrottledProxy { address, upstream, count })
    }

    /// The address that devices connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the center's address, once.
    pub fn set_upstream(&self, center: SocketAddr) {
        // A second call changes nothing: a proxy has one center.
        let _ = self.upstream.set(center);
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of bodies that the device has read.
    pub fn forwarded(&self) -> u64 {
        self.count().forwarded
    }

    /// Bytes of bodies that the device has read more than once, each counted once per repetition.
    pub fn repeated(&self) -> u64 {
        self.count().times.iter().map(|times| u64::from(times.saturating_sub(1))).sum()
    }

    /// The highest offset that was forwarded.
    pub fn high_water(&self) -> u64 {
        self.count().times.len() as u64
    }

    /// Counts bytes anew.
    pub fn forget(&self) {
        let mut count = self.count();
        (count.forwarded, count.times) = (0, Vec::new());
    }

    /// For so long from the next request on, each is answered 503 with Retry-After; the transfer under way breaks off.
    pub fn be_away(&self, wait: Duration) {
        {
            let mut count = self.count();
            (count.away, count.away_since, count.refused) = (Some(wait), None, 0);
        }
        self.disconnect();
    }

    /// How long ago the first request was answered so.
    pub fn away_for(&self) -> Option<Duration> {
        self.count().away_since.map(|since| since.elapsed())
    }

    /// Requests that were answered so.
    pub fn refused(&self) -> u32 {
        self.count().refused
    }

    /// Takes what is still in the kernel's buffers off the count; call it while the device is stopped (SIGSTOP).
    pub fn discount_unread(&self) {
        let mut count = self.count();
        count.paused = true;
        if let Some((client, end)) = &count.transfer {
            let (bytes, end) = (unread(client), *end);
            count.subtract(end, bytes);
        }
    }

    /// Closes the transfer of a device that was killed.
    pub fn disconnect(&self) {
        let mut count = self.count();
        if let Some((client, _)) = count.transfer.take() {
            // It may have been closed from the other end.
            let _ = client.shutdown(Shutdown::Both);
        }
        count.paused = false;
    }
}

/// Serves one connection: requests at once, responses at the limited rate.
fn forward(client: TcpStream, center: SocketAddr, count: &Mutex<Count>) -> std::io::Result<()> {
    let lock = || count.lock().unwrap_or_else(PoisonError::into_inner);
    client.set_nodelay(true)?;
    let mut requests = BufReader::new(client.try_clone()?);
    let mut to_client = client;
    let server = TcpStream::connect(center)?;
    let mut answers = BufReader::new(server.try_clone()?);
    let mut to_server = server;
    loop {
        let request = head(&mut requests)?;
        if request.is_empty() {
            return Ok(());
        }
        if let Some(seconds) = lock().refuse() {
            let head = format!("HTTP/1.1 503 Service Unavailable\r\nRetry-After: {seconds}\r\n");
            return to_client
                .write_all(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
        }
        to_server.write_all(request.as_bytes())?;
        let answer = head(&mut answers)?;
        to_client.write_all(answer.as_bytes())?;
        let mut at = number_after(&request, "range: bytes=").unwrap_or(0);
        let mut left = number_after(&answer, "content-length: ").unwrap_or(0);
        lock().transfer = Some((to_client.try_clone()?, at));
        let mut buffer = [0; CHUNK];
        while left > 0 {
            let room = CHUNK.min(left).min(BOUNDARY - at % BOUNDARY);
            answers.read_exact(&mut buffer[..room])?;
            {
                let mut count = lock();
                if count.paused || count.transfer.is_none() {
                    return Ok(());
                }
                to_client.write_all(&buffer[..room])?;
                count.add(at, room);
                (at, left) = (at + room, left - room);
                count.transfer = Some((to_client.try_clone()?, at));
            }
            std::thread::sleep(PAUSE);
            while at.is_multiple_of(BOUNDARY) && unread(&to_client) > 0 {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Reads a head, up to and with its empty line.
fn head(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && from.read_line(&mut head)? > 0 {}
    Ok(head)
}

fn number_after(head: &str, name: &str) -> Option<usize> {
    let head = head.to_ascii_lowercase();
    let (_, value) = head.split_once(name)?;
    value.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
}

/// Bytes sent to the device that it has not read: what is in the buffers of both ends (Linux: /proc/net/tcp).
fn unread(client: &TcpStream) -> usize {
    let (Ok(ours), Ok(theirs)) = (client.local_addr(), client.peer_addr()) else { return 0 };
    let Ok(table) = std::fs::read_to_string("/proc/net/tcp") else { return 0 };
    let port = |address: &str| u16::from_str_radix(address.split(':').nth(1)?, 16).ok();
    let mut bytes = 0;
    for line in table.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, _, queues, ..] = words[..] else { continue };
        let Some((sending, receiving)) = queues.split_once(':') else { continue };
        let ends = (port(local), port(remote));
        let queue = if ends == (Some(ours.port()), Some(theirs.port())) {
            sending
        } else if ends == (Some(theirs.port()), Some(ours.port())) {
            receiving
        } else {
            continue;
        };
        bytes += usize::from_str_radix(queue, 16).unwrap_or(0);
    }
    bytes
}
