//! HTTP/1.1 for firmware downloads (QUECTHING.md 4.7): the request that is sent, and a response parser without I/O
//! for ports that have sockets and no HTTP client.
//!
//! The parser takes bytes as they come and gives parts back. It reads header names in any case, bodies by
//! Content-Length, chunked, or until the peer closes, and never more than one response at a time.

use super::parts;

use crate::text::Text;

/// Longest status, header or chunk-size line that is read: a `Location` with the longest URL.
pub const LINE: usize = 1024 + 32;
/// Bytes of all header lines together, at most.
pub const HEAD: usize = 16 * 1024;

/// Why a URL or a response cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// Neither `http://` nor `https://`.
    #[error("a firmware URL begins with http:// or https://")]
    Scheme,
    /// No host, or one longer than the buffer.
    #[error("the URL has no host")]
    Host,
    /// A port that is not 1..=65535.
    #[error("the URL's port is not a number from 1 to 65535")]
    Port,
    /// A byte that cannot stand in a request line.
    #[error("the URL holds a blank or control character")]
    Character,
    /// A range of no bytes.
    #[error("a range has at least one byte")]
    Range,
    /// One redirect too many, to plain HTTP from TLS, or to no URL.
    #[error("the redirect is not followed: too many, away from TLS, or to no URL")]
    Redirect,
    /// The output buffer is too small.
    #[error("the request does not fit the buffer")]
    NoRoom,
    /// Not `HTTP/1.x nnn`.
    #[error("the status line is not that of HTTP/1.1")]
    StatusLine,
    /// A line longer than [`LINE`], or headers longer than [`HEAD`].
    #[error("a header line or the whole head is too long")]
    TooLong,
    /// A header that is read has a value that cannot be right; its name.
    #[error("the header {0} has a value that cannot be right")]
    Header(&'static str),
    /// A chunk size that is no hexadecimal number, or a chunk without its end.
    #[error("the chunked body is malformed")]
    Chunk,
    /// The peer closed before the response was complete.
    #[error("the peer closed before the response was complete")]
    Closed,
}

/// A firmware URL in its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Url<'a> {
    /// Whether TLS is asked for.
    pub scheme: Scheme,
    /// Name or address, without the brackets of IPv6.
    pub host: &'a str,
    /// 80 or 443 unless given.
    pub port: u16,
    /// Path with query, beginning with `/`; empty means `/`.
    pub path: &'a str,
}

/// Plain or TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http://`
    Plain,
    /// `https://`
    Tls,
}

impl<'a> Url<'a> {
    /// Takes a URL apart.
    pub fn parse(url: &'a str) -> Result<Url<'a>, HttpError> {
        let (scheme, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (Scheme::Tls, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (Scheme::Plain, rest)
        } else {
            return Err(HttpError::Scheme);
        };
        if rest.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(HttpError::Character);
        }
        let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).ok_or(HttpError::Host)?;
        let path = parts(path, b'#').next().unwrap_or("");
        let (host, port) = match authority.strip_prefix("[") {
            Some(inner) => cut(inner, b']').ok_or(HttpError::Host)?,
            None => match authority.bytes().position(|byte| byte == b':') {
                Some(colon) => authority.split_at_checked(colon).ok_or(HttpError::Host)?,
                None => (authority, ""),
            },
        };
        if host.is_empty() {
            return Err(HttpError::Host);
        }
        let port = match port.strip_prefix(":") {
            Some(digits) => digits.parse().ok().filter(|port| *port != 0).ok_or(HttpError::Port)?,
            None if port.is_empty() => match scheme {
                Scheme::Plain => 80,
                Scheme::Tls => 443,
            },
            None => return Err(HttpError::Host),
        };
        Ok(Url { scheme, host, port, path })
    }

    /// Writes the request for bytes `start .. start + length`, as devices send it. `length` must not be 0.
    pub fn request(&self, start: u32, length: u32, out: &mut [u8]) -> Result<usize, HttpError> {
        let root = if self.path.starts_with("/") { "" } else { "/" };
        let (open, close) = if self.host.bytes().any(|byte| byte == b':') { ("[", "]") } else { ("", "") };
        let last = start.saturating_add(length).saturating_sub(1);
        let mut request = Request { out, written: 0 };
        request.texts(&["GET ", root, self.path, " HTTP/1.1\r\nHost: ", open, self.host, close, ":"])?;
        request.number(u32::from(self.port))?;
        request.texts(&["\r\nAccept-Ranges: bytes\r\nRange: bytes="])?;
        request.number(start)?;
        request.texts(&["-"])?;
        request.number(last)?;
        request.texts(&["\r\n\r\n"])?;
        Ok(request.written)
    }
}

/// A request as far as it is written.
struct Request<'a> {
    out: &'a mut [u8],
    written: usize,
}

impl Request<'_> {
    fn texts(&mut self, texts: &[&str]) -> Result<(), HttpError> {
        for text in texts {
            let end = self.written.saturating_add(text.len());
            let room = self.out.get_mut(self.written..end).ok_or(HttpError::NoRoom)?;
            room.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
            self.written = end;
        }
        Ok(())
    }

    fn number(&mut self, number: u32) -> Result<(), HttpError> {
        let mut digits = Text::<10>::new();
        digits.push_number(i64::from(number)).map_err(|_| HttpError::NoRoom)?;
        self.texts(&[&digits])
    }
}

/// What a head says that a download needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// 100..=599
    pub status: u16,
    /// Content-Length.
    pub length: Option<u64>,
    /// First byte of Content-Range.
    pub first: Option<u64>,
    /// Total of Content-Range.
    pub total: Option<u64>,
    /// Whether another request may follow on this connection.
    pub connection: Connection,
}

/// What becomes of the connection after the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connection {
    /// It stays open.
    #[default]
    KeepAlive,
    /// The peer closes it.
    Close,
}

/// What the parser found next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// It needs more bytes.
    More,
    /// The head is complete. For a redirect, [`Response::location`] holds where to.
    Head(Head),
    /// Bytes of the body.
    Body(&'a [u8]),
    /// The response is complete.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Status,
    Headers,
    Sized(u64),
    UntilClose,
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailers,
    Done,
}

/// One response, read as its bytes come.
#[derive(Debug)]
pub struct Response {
    reading: Reading,
    line: Text<LINE>,
    head_bytes: usize,
    head: Head,
    chunked: bool,
    location: Text<1024>,
}

impl Default for Response {
    fn default() -> Self {
        Self::new()
    }
}

impl Response {
    /// Before the first byte.
    pub const fn new() -> Self {
        Response {
            reading: Reading::Status,
            line: Text::new(),
            head_bytes: 0,
            head: Head {
                status: 0,
                length: None,
                first: None,
                total: None,
                connection: Connection::KeepAlive,
            },
            chunked: false,
            location: Text::new(),
        }
    }

    /// `Location` of a redirect; empty if there was none or it was too long.
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Reads on: how many bytes of `input` are used up, and what they were. Call again with the rest, also when it
    /// is empty, until [`Part::More`] or [`Part::End`]. After an error the response is of no use any more.
    pub fn read<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Part<'a>), HttpError> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or(&[]);
            match self.reading {
                Reading::Done => return Ok((used, Part::End)),
                Reading::UntilClose if rest.is_empty() => return Ok((used, Part::More)),
                Reading::UntilClose => return Ok((input.len(), Part::Body(rest))),
                Reading::Sized(0) => self.reading = Reading::Done,
                Reading::Chunk(0) => self.reading = Reading::ChunkEnd,
                Reading::Sized(left) | Reading::Chunk(left) => {
                    if rest.is_empty() {
                        return Ok((used, Part::More));
                    }
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    let body = rest.get(..take).unwrap_or(&[]);
                    let left = left.saturating_sub(take as u64);
                    self.reading = match self.reading {
                        Reading::Chunk(_) => Reading::Chunk(left),
                        _ => Reading::Sized(left),
                    };
                    return Ok((used.saturating_add(take), Part::Body(body)));
                }
                Reading::Status
                | Reading::Headers
                | Reading::ChunkSize
                | Reading::ChunkEnd
                | Reading::Trailers => {
                    let (taken, whole) = self.gather(rest)?;
                    used = used.saturating_add(taken);
                    if !whole {
                        return Ok((used, Part::More));
                    }
                    if let Some(head) = self.line_read()? {
                        return Ok((used, Part::Head(head)));
                    }
                }
            }
        }
    }

    /// The peer closed: the end of a body without a length, an error for everything else.
    pub fn closed(&mut self) -> Result<(), HttpError> {
        match self.reading {
            Reading::Done | Reading::UntilClose | Reading::Sized(0) => {
                self.reading = Reading::Done;
                Ok(())
            }
            _ => Err(HttpError::Closed),
        }
    }

    /// Collects one line without its end; whether it is whole.
    fn gather(&mut self, input: &[u8]) -> Result<(usize, bool), HttpError> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(input.len(), |end| end.saturating_add(1));
        self.head_bytes = self.head_bytes.saturating_add(taken);
        if self.head_bytes > HEAD {
            return Err(HttpError::TooLong);
        }
        let part = input.get(..end.unwrap_or(taken)).unwrap_or(&[]);
        for byte in part {
            // Header text is ASCII where it matters; anything else must only not be lost silently.
            let character = if byte.is_ascii() { char::from(*byte) } else { '?' };
            self.line.push(character.encode_utf8(&mut [0; 4])).map_err(|_| HttpError::TooLong)?;
        }
        Ok((taken, end.is_some()))
    }

    /// Acts on the line that is whole; the head, when it was its last one.
    fn line_read(&mut self) -> Result<Option<Head>, HttpError> {
        let line = core::mem::take(&mut self.line);
        let line = line.strip_suffix("\r").unwrap_or(&line);
        match self.reading {
            Reading::Status => {
                self.head.status = status(line)?;
                self.reading = Reading::Headers;
            }
            Reading::Headers if line.is_empty() => return self.head_read(),
            Reading::Headers => self.header(line)?,
            Reading::ChunkSize => {
                let digits = parts(line, b';').next().unwrap_or("").trim();
                let size = u64::from_str_radix(digits, 16).map_err(|_| HttpError::Chunk)?;
                // Chunk sizes are no part of the head that HEAD bounds.
                self.head_bytes = 0;
                self.reading = if size == 0 { Reading::Trailers } else { Reading::Chunk(size) };
            }
            Reading::ChunkEnd if line.is_empty() => self.reading = Reading::ChunkSize,
            Reading::ChunkEnd => return Err(HttpError::Chunk),
            Reading::Trailers if line.is_empty() => self.reading = Reading::Done,
            _ => {}
        }
        Ok(None)
    }

    fn head_read(&mut self) -> Result<Option<Head>, HttpError> {
        if (100..200).contains(&self.head.status) {
            // An interim answer: the real one follows.
            *self = Self::new();
            return Ok(None);
        }
        self.reading = match (self.head.status, self.chunked, self.head.length) {
            (204 | 304, _, _) => Reading::Done,
            (_, true, _) => {
                self.head.length = None;
                Reading::ChunkSize
            }
            (_, false, Some(length)) => Reading::Sized(length),
            (_, false, None) => {
                self.head.connection = Connection::Close;
                Reading::UntilClose
            }
        };
        Ok(Some(self.head))
    }

    fn header(&mut self, line: &str) -> Result<(), HttpError> {
        let Some((name, value)) = cut(line, b':') else {
            return Err(HttpError::Header("without a colon"));
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            let length = number(value).ok_or(HttpError::Header("Content-Length"))?;
            if self.head.length.is_some_and(|before| before != length) {
                return Err(HttpError::Header("Content-Length"));
            }
            self.head.length = Some(length);
        } else if name.eq_ignore_ascii_case("content-range") {
            let (first, total) = content_range(value).ok_or(HttpError::Header("Content-Range"))?;
            (self.head.first, self.head.total) = (first, total);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(HttpError::Header("Transfer-Encoding"));
            }
            self.chunked = true;
        } else if name.eq_ignore_ascii_case("connection") {
            if value.eq_ignore_ascii_case("close") {
                self.head.connection = Connection::Close;
            }
        } else if name.eq_ignore_ascii_case("location") && self.location.set(value).is_err() {
            self.location.clear();
        }
        Ok(())
    }
}

fn status(line: &str) -> Result<u16, HttpError> {
    let rest = line.strip_prefix("HTTP/1.").ok_or(HttpError::StatusLine)?;
    let mut words = parts(rest, b' ');
    let version = words.next().filter(|minor| matches!(*minor, "0" | "1"));
    let code = words.next().filter(|code| code.len() == 3).and_then(number);
    match (version, code) {
        (Some(_), Some(code @ 100..=599)) => u16::try_from(code).map_err(|_| HttpError::StatusLine),
        _ => Err(HttpError::StatusLine),
    }
}

/// What stands before and behind the first `separator`. By bytes: the search of `str` links code that can panic.
fn cut(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == separator)?;
    let (before, behind) = text.split_at_checked(at)?;
    Some((before, behind.get(1..)?))
}

/// Digits alone: `parse` would take a sign.
fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// `bytes first-last/total`, where the total may be `*` and the range, in an answer 416, too.
fn content_range(value: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (unit, rest) = cut(value, b' ')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (range, total) = cut(rest.trim(), b'/')?;
    let total = if total == "*" { None } else { Some(number(total)?) };
    if range == "*" {
        return Some((None, total));
    }
    let (first, last) = cut(range, b'-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last && total.is_none_or(|total| last < total)).then_some((Some(first), total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    /// Reads `wire` in pieces of `step` bytes; head, body, and whether it ended.
    fn read(wire: &[u8], step: usize) -> Result<(Option<Head>, Vec<u8>, bool), HttpError> {
        let mut response = Response::new();
        let (mut head, mut body) = (None, Vec::new());
        for piece in wire.chunks(step) {
            let mut rest = piece;
            loop {
                let (used, part) = response.read(rest)?;
                rest = &rest[used..];
                match part {
                    Part::More => break,
                    Part::End => return Ok((head, body, true)),
                    Part::Head(found) => head = Some(found),
                    Part::Body(bytes) => body.extend_from_slice(bytes),
                }
            }
        }
        Ok((head, body, false))
    }

    #[test]
    fn a_range_answer_is_read_whatever_the_case_of_its_headers_and_the_cut_of_its_bytes() {
        let wire = b"HTTP/1.1 206 Partial Content\r\ncontent-LENGTH: 5\r\nCoNtEnT-rAnGe: bytes 10-14/100\r\n\r\nhello";
        for step in 1..wire.len() {
            let (head, body, ended) = read(wire, step).unwrap();
            let head = head.unwrap();
            assert_eq!(
                (head.status, head.length, head.first, head.total),
                (206, Some(5), Some(10), Some(100))
            );
            assert_eq!((body.as_slice(), ended), (b"hello".as_slice(), true), "step {step}");
        }
    }

    #[test]
    fn chunks_with_extensions_and_trailers_make_one_body() {
        let wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n\
            4;x=y\r\nwiki\r\n05\r\npedia\r\n0\r\nTrailer: t\r\n\r\n";
        for step in 1..wire.len() {
            let (head, body, ended) = read(wire, step).unwrap();
            assert_eq!(head.unwrap().length, None);
            assert_eq!((body.as_slice(), ended), (b"wikipedia".as_slice(), true), "step {step}");
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let mut response = Response::new();
        let wire = b"HTTP/1.0 200 OK\n\nabc";
        let (used, part) = response.read(wire).unwrap();
        assert!(matches!(part, Part::Head(Head { connection: Connection::Close, length: None, .. })));
        assert_eq!(response.read(&wire[used..]).unwrap(), (3, Part::Body(b"abc")));
        assert_eq!(response.closed(), Ok(()));
        assert_eq!(response.read(b""), Ok((0, Part::End)));
    }

    #[test]
    fn closing_in_mid_body_is_an_error() {
        let mut response = Response::new();
        response.read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").unwrap();
        response.read(b"abc").unwrap();
        assert_eq!(response.closed(), Err(HttpError::Closed));
        assert_eq!(Response::new().closed(), Err(HttpError::Closed));
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let (head, _, ended) =
            read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 7).unwrap();
        assert_eq!((head.unwrap().status, ended), (404, true));
    }

    #[test]
    fn a_redirect_says_where_to() {
        let mut response = Response::new();
        let wire = b"HTTP/1.1 302 Found\r\nLocation: https://b.example/x?y\r\nContent-Length: 0\r\n\r\n";
        assert!(matches!(response.read(wire).unwrap().1, Part::Head(Head { status: 302, .. })));
        assert_eq!(response.location(), "https://b.example/x?y");
    }

    #[test]
    fn nonsense_is_named() {
        let wrong = |wire: &str| read(wire.as_bytes(), 1000).unwrap_err();
        assert_eq!(wrong("SSH-2.0\r\n"), HttpError::StatusLine);
        assert_eq!(wrong("HTTP/2 200\r\n"), HttpError::StatusLine);
        assert_eq!(wrong("HTTP/1.1 2000 OK\r\n"), HttpError::StatusLine);
        assert_eq!(wrong("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n"), HttpError::Header("Content-Length"));
        let two = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n";
        assert_eq!(wrong(two), HttpError::Header("Content-Length"));
        assert_eq!(
            wrong("HTTP/1.1 206 OK\r\nContent-Range: bytes 9-3/10\r\n"),
            HttpError::Header("Content-Range")
        );
        assert_eq!(
            wrong("HTTP/1.1 206 OK\r\nContent-Range: bytes 0-10/10\r\n"),
            HttpError::Header("Content-Range")
        );
        assert_eq!(
            wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n"),
            HttpError::Header("Transfer-Encoding")
        );
        assert_eq!(wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), HttpError::Chunk);
        assert_eq!(
            wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n"),
            HttpError::Chunk
        );
        let endless: String = core::iter::repeat_n('a', LINE + 1).collect();
        assert_eq!(wrong(&endless), HttpError::TooLong);
    }

    #[test]
    fn urls_come_apart_as_devices_read_them() {
        let url = Url::parse("http://ota.example.org:8080/f/1?k=2#part").unwrap();
        assert_eq!((url.host, url.port, url.path), ("ota.example.org", 8080, "/f/1?k=2"));
        assert_eq!(Url::parse("https://a.b").unwrap().port, 443);
        assert_eq!(Url::parse("https://[::1]:99/x").unwrap().host, "::1");
        assert_eq!(Url::parse("ftp://a.b/"), Err(HttpError::Scheme));
        assert_eq!(Url::parse("http:///x"), Err(HttpError::Host));
        assert_eq!(Url::parse("http://a.b:0/"), Err(HttpError::Port));
        assert_eq!(Url::parse("http://a.b:66000/"), Err(HttpError::Port));
        assert_eq!(Url::parse("http://a.b/x y"), Err(HttpError::Character));
    }

    #[test]
    fn a_request_asks_for_exactly_the_range() {
        let mut out = [0; 256];
        let written = Url::parse("http://a.b?k=1").unwrap().request(100, 50, &mut out).unwrap();
        let wanted =
            "GET /?k=1 HTTP/1.1\r\nHost: a.b:80\r\nAccept-Ranges: bytes\r\nRange: bytes=100-149\r\n\r\n";
        assert_eq!(core::str::from_utf8(&out[..written]).unwrap(), wanted);
        assert_eq!(Url::parse("http://a.b/").unwrap().request(0, 1, &mut [0; 20]), Err(HttpError::NoRoom));
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_always_move_on(wire: Vec<u8>, step in 1usize..64) {
            let _ = read(&wire, step);
        }
    }
}
