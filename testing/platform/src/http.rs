//! A firmware server on loopback with switches for everything that servers do wrong.
//!
//! Good by default: title-case headers, ranges, exact Content-Length (QUECTHING.md 4.7), keep-alive.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How the server answers. The default is right.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerBehavior {
    /// What becomes of the Range header.
    pub ranges: Ranges,
    /// Status instead of 200 or 206, with an empty body.
    pub status: Option<u16>,
    /// Answers 302 with this Location.
    pub redirect: Option<String>,
    /// What of the body is sent.
    pub body: BodyBehavior,
    /// How the body's end is told.
    pub length: Length,
    /// How header names are written.
    pub case: Case,
    /// Sends the body in portions of so many bytes, each after this pause.
    pub pace: Option<(usize, Duration)>,
}

/// What becomes of the Range header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ranges {
    /// 206 with the bytes asked for.
    #[default]
    Honoured,
    /// 200 with the whole file.
    Ignored,
    /// 206 with bytes that begin so many later, and a Content-Range that says so.
    Shifted(usize),
}

/// What of the body is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BodyBehavior {
    /// All of it.
    #[default]
    Whole,
    /// So many bytes, then the connection is closed.
    CloseAfter(usize),
    /// So many bytes, then nothing more on an open connection.
    StallAfter(usize),
    /// So many bytes less, with a head that fits them.
    ShortBy(usize),
    /// So many zeros more, with a head that fits them.
    LongBy(usize),
    /// Whole, but the byte at this place of the answer is inverted.
    CorruptAt(usize),
}

/// How the body's end is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Length {
    /// Content-Length.
    #[default]
    Announced,
    /// Transfer-Encoding: chunked.
    Chunked,
    /// Not at all: the connection is closed.
    Closed,
}

/// How header names are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Case {
    /// `Content-Length`
    #[default]
    Title,
    /// `content-length`
    Lower,
}

/// One request that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Path with query.
    pub path: String,
    /// Value of the Range header.
    pub range: Option<String>,
}

#[derive(Default)]
struct State {
    files: HashMap<String, Arc<[u8]>>,
    behavior: ServerBehavior,
    seen: Vec<Seen>,
    body_bytes: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    came: Condvar,
    stop: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// A running server; ends when dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// How long a thread waits on a socket before it looks whether the server has ended.
const LOOK: Duration = Duration::from_millis(50);

impl Server {
    /// Starts on a free port of 127.0.0.1.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let acceptor = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Server { address, shared, acceptor: Some(acceptor) })
    }

    /// Serves `content` at `path`, which begins with '/'.
    pub fn put(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.shared.state().files.insert(path.to_owned(), content.into().into());
    }

    /// From now on answers like this.
    pub fn behave(&self, behavior: ServerBehavior) {
        self.shared.state().behavior = behavior;
    }

    /// `http://127.0.0.1:port` and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.state().seen.clone()
    }

    /// Body bytes handed to the network so far, over all answers.
    pub fn body_bytes(&self) -> u64 {
        self.shared.state().body_bytes
    }

    /// Waits until `count` requests have come; `false` if `limit` passes first.
    pub fn wait_for(&self, count: usize, limit: Duration) -> bool {
        let state = self.shared.state();
        let waited = self.shared.came.wait_timeout_while(state, limit, |state| state.seen.len() < count);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        // Wakes the acceptor; if it cannot be reached it has ended already.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            // A panic there has been printed and concerns no one who ends the server.
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopped() {
            return;
        }
        let shared = Arc::clone(shared);
        if let Ok(stream) = stream {
            // A client that goes away in mid-answer is what these tests are about.
            std::thread::spawn(move || drop(serve(&stream, &shared)));
        }
    }
}

/// Answers requests until the client or an answer closes the connection.
fn serve(stream: &TcpStream, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LOOK))?;
    let mut lines = BufReader::new(stream);
    loop {
        let Some(request) = read_head(&mut lines, shared)? else { return Ok(()) };
        let (behavior, content) = {
            let mut state = shared.state();
            state.seen.push(request.clone());
            shared.came.notify_all();
            (state.behavior.clone(), state.files.get(&request.path).cloned())
        };
        if !answer(stream, shared, &request, &behavior, content.as_deref())? {
            return Ok(());
        }
    }
}

/// `None`: the connection or the server has ended.
fn read_head(lines: &mut BufReader<&TcpStream>, shared: &Shared) -> io::Result<Option<Seen>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match lines.read_until(b'\n', &mut head) {
            Ok(0) => return Ok(None),
            Ok(_) if head.len() > 16 * 1024 => return Err(io::ErrorKind::InvalidData.into()),
            Ok(_) => {}
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                if shared.stopped() {
                    return Ok(None);
                }
            }
            Err(e) => return Err(e),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let range = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("range").then(|| value.trim().to_owned())
    });
    Ok(Some(Seen { path, range }))
}

/// Sends one answer. `false`: the connection is to be closed.
fn answer(
    mut stream: &TcpStream,
    shared: &Shared,
    request: &Seen,
    behavior: &ServerBehavior,
    content: Option<&[u8]>,
) -> io::Result<bool> {
    if let Some(location) = &behavior.redirect {
        let head =
            head(302, &[("Location", location.clone()), ("Content-Length", "0".into())], behavior.case);
        stream.write_all(head.as_bytes())?;
        return Ok(true);
    }
    let (status, first, wanted, total) = match (behavior.status, content) {
        (Some(status), _) => (status, None, &[][..], 0),
        (None, None) => (404, None, &[][..], 0),
        (None, Some(content)) => {
            let range = request.range.as_deref().filter(|_| behavior.ranges != Ranges::Ignored);
            match range {
                None => (200, None, content, content.len()),
                Some(range) => {
                    let shift = if let Ranges::Shifted(by) = behavior.ranges { by } else { 0 };
                    match inside(range, content.len()) {
                        None => (416, None, &[][..], content.len()),
                        Some((start, end)) => {
                            let (start, end) =
                                ((start + shift).min(content.len()), (end + shift).min(content.len()));
                            (206, Some(start), content.get(start..end).unwrap_or_default(), content.len())
                        }
                    }
                }
            }
        }
    };
    let mut body = wanted.to_vec();
    let (mut sent, mut then_close, mut then_stall) = (body.len(), false, false);
    match behavior.body {
        BodyBehavior::Whole => {}
        BodyBehavior::CloseAfter(bytes) => (sent, then_close) = (bytes.min(body.len()), true),
        BodyBehavior::StallAfter(bytes) => (sent, then_stall) = (bytes.min(body.len()), true),
        BodyBehavior::ShortBy(bytes) => {
            body.truncate(body.len().saturating_sub(bytes));
            sent = body.len();
        }
        BodyBehavior::LongBy(bytes) => {
            body.resize(body.len() + bytes, 0);
            sent = body.len();
        }
        BodyBehavior::CorruptAt(place) => {
            if let Some(byte) = body.get_mut(place) {
                *byte = !*byte;
            }
        }
    }

    let mut headers = vec![("Content-Type", "application/octet-stream".to_owned())];
    if let Some(first) = first {
        let last = (first + body.len()).saturating_sub(1);
        headers.push(("Content-Range", format!("bytes {first}-{last}/{total}")));
    }
    match behavior.length {
        Length::Announced => headers.push(("Content-Length", body.len().to_string())),
        Length::Chunked => headers.push(("Transfer-Encoding", "chunked".to_owned())),
        Length::Closed => headers.push(("Connection", "close".to_owned())),
    }
    stream.write_all(head(status, &headers, behavior.case).as_bytes())?;

    let portion = behavior.pace.map_or(16 * 1024, |(bytes, _)| bytes.max(1));
    for part in body.get(..sent).unwrap_or_default().chunks(portion) {
        if let Some((_, pause)) = behavior.pace {
            std::thread::sleep(pause);
        }
        if shared.stopped() {
            return Ok(false);
        }
        match behavior.length {
            Length::Chunked => {
                let mut chunk = format!("{:x}\r\n", part.len()).into_bytes();
                chunk.extend_from_slice(part);
                chunk.extend_from_slice(b"\r\n");
                stream.write_all(&chunk)?;
            }
            Length::Announced | Length::Closed => stream.write_all(part)?,
        }
        shared.state().body_bytes += part.len() as u64;
    }
    if then_stall {
        return stall(stream, shared);
    }
    if then_close {
        return Ok(false);
    }
    if behavior.length == Length::Chunked {
        stream.write_all(b"0\r\n\r\n")?;
    }
    Ok(behavior.length != Length::Closed)
}

/// Says nothing until the client or the server ends.
fn stall(mut stream: &TcpStream, shared: &Shared) -> io::Result<bool> {
    let mut byte = [0];
    while !shared.stopped() {
        match stream.read(&mut byte) {
            Ok(0) => return Ok(false),
            Err(e) if !matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(e);
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(false)
}

/// `bytes=a-b` within `total` bytes, as `a .. b + 1`.
fn inside(range: &str, total: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first: usize = first.parse().ok()?;
    let last: usize = if last.is_empty() { total.checked_sub(1)? } else { last.parse().ok()? };
    (first < total && first <= last).then(|| (first, last.saturating_add(1).min(total)))
}

fn head(status: u16, headers: &[(&str, String)], case: Case) -> String {
    let reason = match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        _ => "Other",
    };
    let mut head = format!("HTTP/1.1 {status} {reason}\r\n");
    for (name, value) in headers {
        let name = if case == Case::Lower { name.to_lowercase() } else { (*name).to_owned() };
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    head
}
