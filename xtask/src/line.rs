//! A slow line between a device and the center's files, that counts what it carries.

use crate::process::Outcome;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Bytes that go at a time.
const CHUNK: usize = 1024;
/// Between two of them: some 700 KB a second.
const PAUSE: Duration = Duration::from_micros(1_400);
/// Where the line waits until the device has taken everything, so that no read of it goes across.
const BORDER: usize = 16 * 1024;

/// A relay on loopback.
pub struct Line {
    address: SocketAddr,
    center: Arc<OnceLock<SocketAddr>>,
    count: Arc<Mutex<Count>>,
}

#[derive(Default)]
struct Count {
    /// Bytes of bodies.
    carried: u64,
    /// How often each byte of the file went.
    times: Vec<u8>,
    /// The device's end of the transfer under way, and how far that is in the file.
    under_way: Option<(TcpStream, usize)>,
    /// The device is frozen: nothing goes any more.
    held: bool,
}

impl Count {
    fn add(&mut self, at: usize, bytes: usize) {
        self.carried += bytes as u64;
        if self.times.len() < at + bytes {
            self.times.resize(at + bytes, 0);
        }
        self.times.iter_mut().skip(at).take(bytes).for_each(|times| *times = times.saturating_add(1));
    }

    fn take_back(&mut self, end: usize, bytes: usize) {
        self.carried = self.carried.saturating_sub(bytes as u64);
        let first = end.saturating_sub(bytes);
        self.times.iter_mut().take(end).skip(first).for_each(|times| *times = times.saturating_sub(1));
    }
}

impl Line {
    /// Listens; it carries once [`Line::lead_to`] has said where to.
    pub fn start() -> Outcome<Line> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("a relay: {error}"))?;
        let address = listener.local_addr().map_err(|error| format!("a relay: {error}"))?;
        let (center, count) = (Arc::new(OnceLock::new()), Arc::new(Mutex::new(Count::default())));
        let (to, counts) = (center.clone(), count.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (to, counts) = (to.clone(), counts.clone());
                // A transfer that breaks is the device's to begin again.
                std::thread::spawn(move || to.get().and_then(|center| relay(client, *center, &counts).ok()));
            }
        });
        Ok(Line { address, center, count })
    }

    /// Where devices find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it leads.
    pub fn lead_to(&self, center: SocketAddr) {
        // Once: a line has one center.
        let _ = self.center.set(center);
    }

    fn count(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of bodies that the device has read.
    pub fn carried(&self) -> u64 {
        self.count().carried
    }

    /// Those of them that it had read before.
    pub fn twice(&self) -> u64 {
        self.count().times.iter().map(|times| u64::from(times.saturating_sub(1))).sum()
    }

    /// The end of the furthest transfer.
    pub fn furthest(&self) -> u64 {
        self.count().times.len() as u64
    }

    /// The device is frozen: what stands in the kernel's buffers it has not read, so that does not count.
    pub fn settle(&self) {
        let mut count = self.count();
        count.held = true;
        if let Some((client, end)) = &count.under_way {
            let (unread, end) = (waiting(client), *end);
            count.take_back(end, unread);
        }
    }

    /// The device is gone. The next one may come.
    pub fn hang_up(&self) {
        let mut count = self.count();
        if let Some((client, _)) = count.under_way.take() {
            // It may have been closed from the other end.
            let _ = client.shutdown(Shutdown::Both);
        }
        count.held = false;
    }
}

/// One connection: requests to the center, and answers back, slowly.
fn relay(client: TcpStream, center: SocketAddr, count: &Mutex<Count>) -> std::io::Result<()> {
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
        to_server.write_all(request.as_bytes())?;
        let answer = head(&mut answers)?;
        to_client.write_all(answer.as_bytes())?;
        let mut at = number_after(&request, "range: bytes=").unwrap_or(0);
        let mut left = number_after(&answer, "content-length: ").unwrap_or(0);
        lock().under_way = Some((to_client.try_clone()?, at));
        let mut buffer = [0; CHUNK];
        while left > 0 {
            let room = CHUNK.min(left).min(BORDER - at % BORDER);
            answers.read_exact(&mut buffer[..room])?;
            {
                let mut count = lock();
                if count.held || count.under_way.is_none() {
                    return Ok(());
                }
                to_client.write_all(&buffer[..room])?;
                count.add(at, room);
                (at, left) = (at + room, left - room);
                count.under_way = Some((to_client.try_clone()?, at));
            }
            std::thread::sleep(PAUSE);
            while at.is_multiple_of(BORDER) && waiting(&to_client) > 0 {
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// Up to the empty line.
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

/// Bytes that were sent to the device and not read by it, in the buffers of both ends (Linux: /proc/net/tcp).
fn waiting(client: &TcpStream) -> usize {
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
