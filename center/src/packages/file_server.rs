//! Downloads in the clear from a folder: the kernel sends the files (sendfile), so no byte of them comes through this process.
//!
//! Nothing in the world of tokio and hyper sends a file by the kernel: hyper takes bytes. So this is an HTTP/1.1 server for one
//! kind of request, the GET of a signed URL that is answered by bytes of a file. Whatever else comes, errors to be told
//! included, goes to hyper together with the bytes that were read, and the connection stays there.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{IF_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use bytes::{Buf, BytesMut};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use rustix::io::{Errno, ReadWriteFlags};
use rustix::net::SendFlags;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::download::{Downloads, Found, Reply, Way, reply};
use super::signature::Token;
use crate::store::{Topic, Watch};

/// What the requests answered here begin with.
const START: &[u8] = b"GET /f/";
/// Bytes of a request's head, usually at most.
const HEAD: usize = 1024;
/// Headers of a request, at most.
const HEADERS: usize = 32;
/// Bytes that one call sends at most: other connections have their turn then.
const STEP: u64 = 512 * 1024;
/// What another center did to an upgrade is seen after so long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A request that may be answered here.
#[derive(Debug)]
struct Request {
    /// `/f/TOKEN/SIGNATURE/NAME`.
    path: String,
    /// Those that say which bytes are wanted.
    headers: HeaderMap,
    /// Bytes of its head.
    length: usize,
}

#[derive(Debug)]
enum Head {
    Whole(Request),
    /// More is to come.
    Part,
    /// It is hyper's.
    Other,
}

/// The file of the last URL that was asked for on a connection: a device asks for one range after the other.
struct Known {
    path: String,
    token: Token,
    found: Found,
    file: Arc<File>,
    /// Changes of the upgrade since `at`; none: nobody was told of them yet.
    watch: Option<(Watch, Option<Watch>)>,
    at: Instant,
}

impl Known {
    /// Whether the upgrade is for certain as it was.
    fn is_current(&self) -> bool {
        let has_changed = |(device, plan): &(Watch, Option<Watch>)| {
            device.has_changed() || plan.as_ref().is_some_and(Watch::has_changed)
        };
        self.at.elapsed() < LOOK_AGAIN && self.watch.as_ref().is_some_and(|watch| !has_changed(watch))
    }
}

impl Downloads {
    /// Answers what can be answered here. Gives back the bytes of a request that hyper is to answer; none: the connection has
    /// ended. A head, and so the silence before it, may take `limit`.
    ///
    /// # Errors
    /// The socket's, or the file's after its head was sent: the connection then ends short of Content-Length.
    pub async fn answer_files(
        &self,
        stream: &mut TcpStream,
        limit: Duration,
        head_max: usize,
        stop: &CancellationToken,
    ) -> io::Result<Option<BytesMut>> {
        let (mut input, mut known) = (BytesMut::new(), None);
        loop {
            let deadline = Instant::now() + limit;
            let request = loop {
                match parse(&input, head_max) {
                    Head::Whole(request) => break request,
                    Head::Other => return Ok(Some(input)),
                    Head::Part => {}
                }
                input.reserve(HEAD);
                let count = tokio::select! {
                    biased;
                    () = stop.cancelled(), if input.is_empty() => return Ok(None),
                    read = timeout_at(deadline, stream.read_buf(&mut input)) => match read {
                        Ok(read) => read?,
                        Err(_) => return Ok(None),
                    },
                };
                if count == 0 {
                    return Ok(None);
                }
            };
            let Some((status, headers, range)) = self.prepare(&request, &mut known).await else {
                return Ok(Some(input));
            };
            let Some(known) = &known else { return Ok(Some(input)) };
            input.advance(request.length);
            self.metrics.download(status.as_u16());
            let mut progress = self.progress(&known.found, range.start);
            send_head(stream, &head(status, &headers), range.is_empty()).await?;
            send_file(stream, &known.file, range, |bytes| progress.count(bytes)).await?;
        }
    }

    /// The head of the answer and the bytes of the known file that follow it; none: hyper is to answer.
    async fn prepare(
        &self,
        request: &Request,
        known: &mut Option<Known>,
    ) -> Option<(StatusCode, HeaderMap, Range<u64>)> {
        match known {
            Some(known) if known.path == request.path => {
                if !known.is_current() {
                    // Before the look, so that nothing happens between the two.
                    let device = self.store.watch(Topic::Device(known.found.device));
                    let plan = known.found.plan.map(|plan| self.store.watch(Topic::Plan(plan)));
                    known.watch = Some((device, plan));
                    known.at = Instant::now();
                    known.found = self.find(known.token).await.ok()??;
                }
            }
            _ => *known = Some(self.look_up(&request.path).await?),
        }
        let found = &known.as_ref()?.found;
        if found.way == Way::Store {
            return None;
        }
        match reply(found.content, &Method::GET, &request.headers) {
            Reply { status, headers, bytes: Ok(range) } => Some((status, headers, range)),
            Reply { .. } => None,
        }
    }

    async fn look_up(&self, path: &str) -> Option<Known> {
        let mut parts = path.strip_prefix("/f/")?.splitn(3, '/');
        let (token, signature) = (parts.next()?, parts.next()?);
        if parts.next()?.is_empty() || !self.keys.verify(token, signature) {
            return None;
        }
        let token = token.parse().ok()?;
        let found = self.find(token).await.ok()??;
        let file = self.objects.file_of(&found.content.sha256)?;
        let size = found.content.size;
        // A file that is not as it should be is told of by who answers then.
        let opened = tokio::task::spawn_blocking(move || {
            let file = File::open(file).ok()?;
            (file.metadata().ok()?.len() >= size).then_some(file)
        });
        let file = opened.await.ok()??;
        let path = path.to_owned();
        Some(Known { path, token, found, file: Arc::new(file), watch: None, at: Instant::now() })
    }
}

/// Reads a head as hyper would.
fn parse(input: &[u8], head_max: usize) -> Head {
    if !input.iter().zip(START).all(|(byte, start)| byte == start) {
        return Head::Other;
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(input) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if input.len() < head_max => return Head::Part,
        _ => return Head::Other,
    };
    let (Some(1), Some(path)) = (request.version, request.path) else { return Head::Other };
    if path.contains(['%', '?', '#']) {
        return Head::Other;
    }
    let mut wanted = HeaderMap::new();
    for header in request.headers.iter() {
        let Ok(name) = HeaderName::try_from(header.name) else { return Head::Other };
        match name.as_str() {
            "content-length" | "transfer-encoding" | "expect" | "upgrade" => return Head::Other,
            "connection" if !header.value.eq_ignore_ascii_case(b"keep-alive") => return Head::Other,
            _ => {}
        }
        if name == RANGE || name == IF_RANGE {
            let Ok(value) = HeaderValue::from_bytes(header.value) else { return Head::Other };
            wanted.append(name, value);
        }
    }
    Head::Whole(Request { path: path.to_owned(), headers: wanted, length })
}

/// The head as it goes out: names in title case, which devices compare to the letter (QUECTHING.md 4.7).
fn head(status: StatusCode, headers: &HeaderMap) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for (name, value) in headers {
        let mut begins = true;
        for byte in name.as_str().bytes() {
            head.push(if begins { byte.to_ascii_uppercase() } else { byte });
            begins = byte == b'-';
        }
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    // A clock outside the years of HTTP has no date.
    if let Ok(date) = DateTimePrinter::new().timestamp_to_rfc9110_string(&Timestamp::now()) {
        head.extend_from_slice(format!("Date: {date}\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Sends a head, which waits in the socket for the bytes behind it unless `is_all`.
async fn send_head(stream: &TcpStream, mut head: &[u8], is_all: bool) -> io::Result<()> {
    let flags = if is_all { SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL | SendFlags::MORE };
    while !head.is_empty() {
        let sent = stream
            .async_io(Interest::WRITABLE, || rustix::net::send(stream, head, flags).map_err(Into::into))
            .await?;
        head.advance(sent);
    }
    Ok(())
}

/// Sends the bytes of `range`, and tells how many after each step.
async fn send_file(
    stream: &TcpStream,
    file: &Arc<File>,
    range: Range<u64>,
    mut sent: impl FnMut(u64),
) -> io::Result<()> {
    let mut at = range.start;
    while at < range.end {
        let step = (range.end - at).min(STEP);
        read_ahead(file, at..at + step).await?;
        let mut next = at;
        let count = usize::try_from(step).unwrap_or(usize::MAX);
        let send = || rustix::fs::sendfile(stream, file, Some(&mut next), count).map_err(io::Error::from);
        let bytes = stream.async_io(Interest::WRITABLE, send).await? as u64;
        if bytes == 0 {
            debug!(at, "a file has become shorter while it was sent");
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        sent(bytes);
        at += bytes;
        tokio::task::coop::consume_budget().await;
    }
    Ok(())
}

/// Sees to it that the bytes are in memory, so that sending them does not wait for the disk on a thread of the runtime.
async fn read_ahead(file: &Arc<File>, range: Range<u64>) -> io::Result<()> {
    let mut byte = [0];
    let last = range.end - 1;
    match rustix::io::preadv2(file, &mut [IoSliceMut::new(&mut byte)], last, ReadWriteFlags::NOWAIT) {
        Err(Errno::AGAIN) => {}
        // A file system that does not know the question answers the next one all the same.
        _ => return Ok(()),
    }
    let file = Arc::clone(file);
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or_default()];
        file.read_at(&mut bytes, range.start)
    });
    read.await.map_err(io::Error::other)?.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(request: &str) -> Option<Request> {
        match parse(request.as_bytes(), 1024) {
            Head::Whole(request) => Some(request),
            _ => None,
        }
    }

    #[test]
    fn the_vendors_request_is_answered_here_and_what_is_unusual_is_not() {
        let vendor = "GET /f/1-2-0/sig/fw.bin HTTP/1.1\r\nHost:10.0.0.1:80\r\nAccept-Ranges: bytes\r\n\
                      Range: bytes=0-99\r\n\r\n";
        let request = whole(vendor).unwrap();
        assert_eq!((request.path.as_str(), request.length), ("/f/1-2-0/sig/fw.bin", vendor.len()));
        assert_eq!(request.headers[RANGE], "bytes=0-99");
        assert!(whole("GET /f/a/b/c HTTP/1.1\r\nConnection: keep-alive\r\n\r\n").is_some());
        for other in [
            "GET /f/a/b/c HTTP/1.0\r\n\r\n",
            "HEAD /f/a/b/c HTTP/1.1\r\n\r\n",
            "GET /f/a/b/c?x HTTP/1.1\r\n\r\n",
            "GET /f/a%2fb/c/d HTTP/1.1\r\n\r\n",
            "GET /f/a/b/c HTTP/1.1\r\nConnection: close\r\n\r\n",
            "GET /f/a/b/c HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
            "GET /f/a/b/c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET /f/a/b/c HTTP/1.1\r\nExpect: 100-continue\r\n\r\n",
            "GET /f/a/b/c HTTP/1.1\r\nno colon\r\n\r\n",
            "GET /g",
            "\x16\x03\x01",
        ] {
            assert!(matches!(parse(other.as_bytes(), 1024), Head::Other), "{other:?}");
        }
    }

    #[test]
    fn a_head_is_waited_for_up_to_its_limit() {
        for part in ["", "GET", "GET /f/a/b/c HTTP/1.1\r\nHost: x\r\n"] {
            assert!(matches!(parse(part.as_bytes(), 1024), Head::Part), "{part:?}");
        }
        let long = format!("GET /f/a/b/c HTTP/1.1\r\nx: {}", "y".repeat(1024));
        assert!(matches!(parse(long.as_bytes(), 1024), Head::Other));
    }

    #[test]
    fn header_names_go_out_in_title_case() {
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("content-length"),
            HeaderValue::from_static("10"),
        )]);
        let head = String::from_utf8(head(StatusCode::PARTIAL_CONTENT, &headers)).unwrap();
        assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nDate: "), "{head}");
        assert!(head.ends_with(" GMT\r\n\r\n"), "{head}");
    }
}
