//! HTTP/1.1 for firmware downloads (QUECTHING.md 4.7): the request that is sent, and a response parser without I/O.
//! The host and, through `quecota_http_*`, ports that have sockets and no HTTP client read servers with it.
//!
//! The parser takes bytes as they come and gives parts back. It reads header names in any case, bodies by
//! Content-Length, chunked, or until the peer closes, and never more than one response at a time. Of a line it keeps
//! what it needs, so a header of no interest may be of any length.

use super::credential::base64;
use super::{decimal, parts};
use crate::limits;
use crate::text::Text;

/// Bytes of all header lines together, at most; those of interim responses count.
pub const HEAD: usize = 64 * 1024;
/// Bytes that are kept of a line. The longest that are needed: a Content-Range with three numbers.
const LINE: usize = 128;
/// Bytes of user and password in a URL, at most.
const CREDENTIALS: usize = 96;

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
    /// More than [`CREDENTIALS`].
    #[error("user and password in the URL are longer than 96 bytes")]
    Credentials,
    /// A range of no bytes, or behind 4 GB.
    #[error("a range has at least one byte and ends below 4 GB")]
    Range,
    /// A redirect without a Location, or to something else than an HTTP URL.
    #[error("the redirect is to nothing that can be fetched")]
    Redirect,
    /// A redirect from `https` to `http`.
    #[error("the redirect leaves https and is not followed")]
    LeavesTls,
    /// One redirect too many.
    #[error("too many redirects")]
    Redirects,
    /// The output buffer is too small.
    #[error("the request does not fit the buffer")]
    NoRoom,
    /// Not `HTTP/1.x nnn`.
    #[error("the status line is not that of HTTP/1.1")]
    StatusLine,
    /// Headers longer than [`HEAD`], or a URL longer than is held.
    #[error("the head, or a URL, is too long")]
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
    /// `user:password` as it stands in the URL, percent-encoded; empty: none.
    pub credentials: &'a str,
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

/// A URL without what opens the firmware to a reader of the log: `user:password@`, query and fragment are left out.
/// Also of what is no URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redacted<'a>(&'a str);

/// The parts of `url` that may be logged.
pub fn redacted(url: &str) -> Redacted<'_> {
    Redacted(url)
}

impl core::fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let UrlReference { scheme, authority, path, .. } = UrlReference::split(self.0);
        if Url::parse(self.0).is_ok() {
            let host = cut_last(authority, b'@').map_or(authority, |(_, host)| host);
            return write!(f, "{scheme}//{}{path}", host.trim_start_matches('/'));
        }
        let shown = parts(self.0, b'#').next().and_then(|url| parts(url, b'?').next()).unwrap_or("");
        f.write_str(cut_last(shown, b'@').map_or(shown, |(_, behind)| behind))
    }
}

/// A URL or a relative reference to one in its components (RFC 3986, 3), each with its delimiters, without fragment.
#[derive(Debug, Clone, Copy)]
struct UrlReference<'a> {
    /// `http:` or nothing.
    scheme: &'a str,
    /// `//host:port` or nothing.
    authority: &'a str,
    path: &'a str,
    /// `?query` or nothing.
    query: &'a str,
}

impl<'a> UrlReference<'a> {
    fn split(text: &'a str) -> Self {
        let text = parts(text, b'#').next().unwrap_or("");
        let colon = text.bytes().position(|byte| matches!(byte, b':' | b'/' | b'?'));
        let colon = colon.filter(|at| text.as_bytes().get(*at) == Some(&b':'));
        let (scheme, rest) = split(text, colon.map_or(0, |at| at.saturating_add(1)));
        let end = match rest.strip_prefix("//") {
            Some(behind) => {
                let length =
                    behind.bytes().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(behind.len());
                length.saturating_add(2)
            }
            None => 0,
        };
        let (authority, rest) = split(rest, end);
        let (path, query) = split(rest, rest.bytes().position(|byte| byte == b'?').unwrap_or(rest.len()));
        UrlReference { scheme, authority, path, query }
    }
}

/// Writes where `reference`, a Location, leads to from `base` (RFC 3986, 5.2).
pub fn resolve<const N: usize>(base: &str, reference: &str) -> Result<Text<N>, HttpError> {
    let (base, to) = (UrlReference::split(base), UrlReference::split(reference));
    let mut url = Text::<N>::new();
    let mut push =
        |parts: &[&str]| parts.iter().try_for_each(|part| url.push(part)).map_err(|_| HttpError::TooLong);
    let is_absolute = !to.scheme.is_empty() || !to.authority.is_empty();
    push(&[
        if to.scheme.is_empty() { base.scheme } else { to.scheme },
        if is_absolute { to.authority } else { base.authority },
    ])?;
    if !is_absolute && to.path.is_empty() {
        push(&[base.path, if to.query.is_empty() { base.query } else { to.query }])?;
        return Ok(url);
    }
    let root = url.len();
    if !is_absolute && !to.path.starts_with("/") {
        let folder = cut_last(base.path, b'/').map_or("", |(folder, _)| folder);
        push_segments(&mut url, root, folder)?;
        push_relative_segments(&mut url, root, to.path)?;
    } else {
        push_segments(&mut url, root, to.path)?;
    }
    url.push(to.query).map_err(|_| HttpError::TooLong)?;
    Ok(url)
}

/// Appends a path that is empty or begins with `/`; see [`push_relative_segments`].
fn push_segments<const N: usize>(url: &mut Text<N>, root: usize, path: &str) -> Result<(), HttpError> {
    match path.strip_prefix("/") {
        Some(relative) => push_relative_segments(url, root, relative),
        None => Ok(()),
    }
}

/// Appends the segments of a path; `.` and `..` are carried out, never above `root`, where the path begins.
fn push_relative_segments<const N: usize>(
    url: &mut Text<N>,
    root: usize,
    path: &str,
) -> Result<(), HttpError> {
    let mut segments = parts(path, b'/').peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    let path = url.get(root..).unwrap_or("");
                    let parent = path.bytes().rposition(|byte| byte == b'/').unwrap_or(0);
                    url.truncate(root.saturating_add(parent));
                }
                if is_last {
                    url.push("/").map_err(|_| HttpError::TooLong)?;
                }
            }
            _ => url.push("/").and_then(|()| url.push(segment)).map_err(|_| HttpError::TooLong)?,
        }
    }
    Ok(())
}

impl<'a> Url<'a> {
    /// Takes a URL apart.
    pub fn parse(url: &'a str) -> Result<Url<'a>, HttpError> {
        let UrlReference { scheme, authority, path, query } = UrlReference::split(url);
        let scheme = if scheme.eq_ignore_ascii_case("https:") {
            Scheme::Tls
        } else if scheme.eq_ignore_ascii_case("http:") {
            Scheme::Plain
        } else {
            return Err(HttpError::Scheme);
        };
        if url.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
            return Err(HttpError::Character);
        }
        let authority = authority.strip_prefix("//").ok_or(HttpError::Scheme)?;
        let (credentials, authority) = cut_last(authority, b'@').unwrap_or(("", authority));
        // Path and query stand behind one another in the URL.
        let path = parts(url, b'#')
            .next()
            .and_then(|url| url.get(url.len().saturating_sub(path.len()).saturating_sub(query.len())..));
        let path = path.unwrap_or("");
        let (host, port) = match authority.strip_prefix("[") {
            Some(inner) => cut(inner, b']').ok_or(HttpError::Host)?,
            None => match authority.bytes().position(|byte| byte == b':') {
                Some(colon) => split(authority, colon),
                None => (authority, ""),
            },
        };
        if host.is_empty() {
            return Err(HttpError::Host);
        }
        let port = match (port, port.strip_prefix(":")) {
            ("" | ":", _) => match scheme {
                Scheme::Plain => 80,
                Scheme::Tls => 443,
            },
            (_, Some(digits)) => super::port(digits).ok_or(HttpError::Port)?,
            (_, None) => return Err(HttpError::Host),
        };
        Ok(Url { scheme, credentials, host, port, path })
    }

    /// Writes the request for bytes `start .. start + length`, as devices send it. `length` must not be 0.
    pub fn request(&self, start: u32, length: u32, out: &mut [u8]) -> Result<usize, HttpError> {
        let root = if self.path.starts_with("/") { "" } else { "/" };
        let (open, close) = if self.host.bytes().any(|byte| byte == b':') { ("[", "]") } else { ("", "") };
        let last = start.saturating_add(length).saturating_sub(1);
        let mut request = Request { out, written: 0 };
        request.texts(&["GET ", root, self.path, " HTTP/1.1\r\nHost: ", open, self.host, close, ":"])?;
        request.number(u32::from(self.port))?;
        request.texts(&[
            "\r\nUser-Agent: quecota/",
            env!("CARGO_PKG_VERSION"),
            "\r\nAccept-Encoding: identity\r\n",
        ])?;
        if !self.credentials.is_empty() {
            request.texts(&["Authorization: Basic ", &self.basic()?, "\r\n"])?;
        }
        request.texts(&["Accept-Ranges: bytes\r\nRange: bytes="])?;
        request.number(start)?;
        request.texts(&["-"])?;
        request.number(last)?;
        request.texts(&["\r\n\r\n"])?;
        Ok(request.written)
    }

    /// Base64 of `user:password` (RFC 7617).
    fn basic(&self) -> Result<Text<{ CREDENTIALS.div_ceil(3) * 4 }>, HttpError> {
        let mut plain = [0; CREDENTIALS];
        let mut length = 0usize;
        let colon = if self.credentials.bytes().any(|byte| byte == b':') { "" } else { ":" };
        let mut bytes = self.credentials.bytes().chain(colon.bytes());
        while let Some(byte) = bytes.next() {
            let mut after = bytes.clone();
            let digit = |byte: Option<u8>| byte.and_then(super::hex::value);
            let byte = match (byte, digit(after.next()), digit(after.next())) {
                (b'%', Some(high), Some(low)) => {
                    bytes = after;
                    high << 4 | low
                }
                _ => byte,
            };
            *plain.get_mut(length).ok_or(HttpError::Credentials)? = byte;
            length = length.saturating_add(1);
        }
        Ok(base64::encode(plain.get(..length).unwrap_or_default()))
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
    /// Content-Length. Numbers that exceed 32 bits read as the largest: an image is smaller, so they are never right.
    pub length: Option<u32>,
    /// Content-Range.
    pub range: Option<ContentRange>,
    /// Seconds of Retry-After; a date there is not read, since devices have no clock.
    pub retry_after: Option<u32>,
    /// Content-Encoding.
    pub encoding: Encoding,
    /// Whether another request may follow on this connection.
    pub connection: Connection,
}

/// Which bytes of the file the body has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The first.
    pub first: u32,
    /// The last, not before the first.
    pub last: u32,
    /// Bytes of the whole file, when the server tells.
    pub total: Option<u32>,
}

impl Encoding {
    /// What a Content-Encoding says.
    pub fn of(value: &str) -> Self {
        let value = value.trim_ascii();
        if value.is_empty() || value.eq_ignore_ascii_case("identity") {
            Encoding::Identity
        } else {
            Encoding::Other
        }
    }
}

impl ContentRange {
    /// Bytes.
    pub fn length(&self) -> u32 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// The bytes of the file.
    #[default]
    Identity,
    /// Something that would have to be decoded first, such as gzip.
    Other,
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
    Sized(u32),
    UntilClose,
    ChunkSize,
    Chunk(u32),
    ChunkEnd,
    Trailers,
    Done,
}

/// Where the bytes of the present line go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Into the line.
    Kept,
    /// Nowhere: the line is full.
    Cut,
    /// Behind the location: it is one.
    Location,
    /// Nowhere: it is a location that is too long.
    LongLocation,
}

/// One response, read as its bytes come. `N` bytes are held of a Location.
#[derive(Debug)]
pub struct Response<const N: usize = { limits::FIRMWARE_URL }> {
    reading: Reading,
    line: Text<LINE>,
    goes: Line,
    head_bytes: usize,
    head: Head,
    chunked: bool,
    location: Text<N>,
    location_fits: bool,
}

impl<const N: usize> Default for Response<N> {
    fn default() -> Self {
        Self::new()
    }
}

const NO_HEAD: Head = Head {
    status: 0,
    length: None,
    range: None,
    retry_after: None,
    encoding: Encoding::Identity,
    connection: Connection::KeepAlive,
};

impl<const N: usize> Response<N> {
    /// Before the first byte.
    pub const fn new() -> Self {
        Response {
            reading: Reading::Status,
            line: Text::new(),
            goes: Line::Kept,
            head_bytes: 0,
            head: NO_HEAD,
            chunked: false,
            location: Text::new(),
            location_fits: true,
        }
    }

    /// As before the first byte of another response. In place: a new one would be on the stack.
    pub fn reset(&mut self) {
        self.head_bytes = 0;
        self.goes = Line::Kept;
        self.line.clear();
        self.next_head();
    }

    fn next_head(&mut self) {
        self.reading = Reading::Status;
        self.head = NO_HEAD;
        self.chunked = false;
        self.location.clear();
        self.location_fits = true;
    }

    /// `Location` of a redirect; empty if there was none.
    pub fn location(&self) -> Result<&str, HttpError> {
        if self.location_fits { Ok(self.location.trim_ascii()) } else { Err(HttpError::TooLong) }
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
                    let left = left.saturating_sub(take as u32);
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

    /// Collects of one line what is needed, without its end; whether it is whole.
    fn gather(&mut self, input: &[u8]) -> Result<(usize, bool), HttpError> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(input.len(), |end| end.saturating_add(1));
        self.head_bytes = self.head_bytes.saturating_add(taken);
        if self.head_bytes > HEAD {
            return Err(HttpError::TooLong);
        }
        for byte in input.get(..end.unwrap_or(taken)).unwrap_or_default() {
            self.goes = match self.goes {
                Line::Kept => self.keep(*byte),
                Line::Location if push_to_url(&mut self.location, *byte).is_err() => Line::LongLocation,
                other => other,
            };
        }
        Ok((taken, end.is_some()))
    }

    fn keep(&mut self, byte: u8) -> Line {
        let is_location = self.reading == Reading::Headers
            && byte == b':'
            && self.line.trim_ascii().eq_ignore_ascii_case("location");
        if is_location {
            self.location.clear();
            self.location_fits = true;
            return Line::Location;
        }
        // Header text is ASCII where it matters; anything else must only not be lost silently.
        let character = if byte.is_ascii() { char::from(byte) } else { '?' };
        match self.line.push(character.encode_utf8(&mut [0; 4])) {
            Ok(()) => Line::Kept,
            Err(_) => Line::Cut,
        }
    }

    /// Acts on the line that is whole; the head, when it was its last one.
    fn line_read(&mut self) -> Result<Option<Head>, HttpError> {
        let line = core::mem::take(&mut self.line);
        let goes = core::mem::replace(&mut self.goes, Line::Kept);
        let line = line.strip_suffix("\r").unwrap_or(&line);
        match self.reading {
            Reading::Headers if goes == Line::Location => {}
            Reading::Headers if goes == Line::LongLocation => self.location_fits = false,
            Reading::Status => {
                (self.head.status, self.head.connection) = status(line)?;
                self.reading = Reading::Headers;
            }
            Reading::Headers if line.is_empty() => return self.head_read(),
            Reading::Headers => self.header(line, goes)?,
            Reading::ChunkSize => {
                let digits = parts(line, b';').next().unwrap_or("").trim_ascii();
                let size = hexadecimal(digits).ok_or(HttpError::Chunk)?;
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
            // An interim response, such as 103 Early Hints: the real one follows.
            self.next_head();
            return Ok(None);
        }
        let Head { status, length, range, .. } = self.head;
        self.reading = match (status, self.chunked, length) {
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
        let differs = |range: ContentRange| self.head.length.is_some_and(|length| length != range.length());
        if status == 206 && range.is_some_and(differs) {
            return Err(HttpError::Header("Content-Range"));
        }
        Ok(Some(self.head))
    }

    fn header(&mut self, line: &str, goes: Line) -> Result<(), HttpError> {
        let Some((name, value)) = cut(line, b':') else {
            // A name that is longer than a line is kept of none that is read; a fold belongs to the line before.
            let is_of_no_interest = goes == Line::Cut || line.starts_with([' ', '\t']);
            return if is_of_no_interest { Ok(()) } else { Err(HttpError::Header("without a colon")) };
        };
        let (name, value) = (name.trim_ascii(), value.trim_ascii());
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let is_whole = goes == Line::Kept;
        if is("content-length") {
            let length = decimal(value).filter(|_| is_whole).ok_or(HttpError::Header("Content-Length"))?;
            if self.head.length.is_some_and(|before| before != length) {
                return Err(HttpError::Header("Content-Length"));
            }
            self.head.length = Some(length);
        } else if is("content-range") {
            let range = content_range(value).filter(|_| is_whole);
            self.head.range = range.ok_or(HttpError::Header("Content-Range"))?;
        } else if is("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(HttpError::Header("Transfer-Encoding"));
            }
            self.chunked = true;
        } else if is("content-encoding") {
            if Encoding::of(value) == Encoding::Other {
                self.head.encoding = Encoding::Other;
            }
        } else if is("retry-after") {
            // More seconds than a number holds are as good as the most.
            self.head.retry_after = decimal(value);
        } else if is("connection") {
            for option in parts(value, b',') {
                if option.trim_ascii().eq_ignore_ascii_case("close") {
                    self.head.connection = Connection::Close;
                } else if option.trim_ascii().eq_ignore_ascii_case("keep-alive") {
                    self.head.connection = Connection::KeepAlive;
                }
            }
        }
        Ok(())
    }
}

/// A byte of a Location. What is not ASCII is percent-encoded, as it should have been.
fn push_to_url<const N: usize>(url: &mut Text<N>, byte: u8) -> Result<(), crate::text::TooLong> {
    if url.is_empty() && matches!(byte, b' ' | b'\t') {
        return Ok(());
    }
    if byte.is_ascii() {
        return url.push(char::from(byte).encode_utf8(&mut [0; 4]));
    }
    url.push("%").and_then(|()| url.push(&super::hex::text(&[byte])))
}

/// Status and what becomes of the connection by default.
fn status(line: &str) -> Result<(u16, Connection), HttpError> {
    let rest = line.strip_prefix("HTTP/1.").ok_or(HttpError::StatusLine)?;
    let mut words = parts(rest, b' ');
    let connection = match words.next() {
        Some("0") => Connection::Close,
        Some("1") => Connection::KeepAlive,
        _ => return Err(HttpError::StatusLine),
    };
    match words.next().filter(|code| code.len() == 3).and_then(decimal) {
        Some(code @ 100..=599) => Ok((code as u16, connection)),
        _ => Err(HttpError::StatusLine),
    }
}

/// `text` before and from `at` on.
fn split(text: &str, at: usize) -> (&str, &str) {
    text.split_at_checked(at).unwrap_or((text, ""))
}

/// What stands before and behind the first `separator`. By bytes: the search of `str` links code that can panic.
fn cut(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == separator)?;
    let (before, behind) = text.split_at_checked(at)?;
    Some((before, behind.get(1..)?))
}

/// What stands before and behind the last `separator`.
fn cut_last(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().rposition(|byte| byte == separator)?;
    let (before, behind) = text.split_at_checked(at)?;
    Some((before, behind.get(1..)?))
}

/// Hex digits alone, of a number below 2^32.
fn hexadecimal(digits: &str) -> Option<u32> {
    let digit = |number: u32, digit: u8| {
        Some(number.checked_mul(16)?.saturating_add(super::hex::value(digit)?.into()))
    };
    digits.bytes().try_fold(0, digit).filter(|_| !digits.is_empty())
}

/// `bytes first-last/total`, where the total may be `*` and the range, in an answer 416, too.
fn content_range(value: &str) -> Option<Option<ContentRange>> {
    let (unit, rest) = cut(value, b' ')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (range, total) = cut(rest.trim_ascii(), b'/')?;
    let total = if total == "*" { None } else { Some(decimal(total)?) };
    if range == "*" {
        return Some(None);
    }
    let (first, last) = cut(range, b'-')?;
    let (first, last) = (decimal(first)?, decimal(last)?);
    let is_right = first <= last && total.is_none_or(|total| last < total);
    is_right.then_some(Some(ContentRange { first, last, total }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    /// Reads `wire` in pieces of `step` bytes; head, body, and whether it ended.
    fn read(wire: &[u8], step: usize) -> Result<(Option<Head>, Vec<u8>, bool), HttpError> {
        let mut response = <Response>::new();
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
                (head.status, head.length, head.range),
                (206, Some(5), Some(ContentRange { first: 10, last: 14, total: Some(100) }))
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
        let mut response = <Response>::new();
        let wire = b"HTTP/1.0 200 OK\n\nabc";
        let (used, part) = response.read(wire).unwrap();
        assert!(matches!(part, Part::Head(Head { connection: Connection::Close, length: None, .. })));
        assert_eq!(response.read(&wire[used..]).unwrap(), (3, Part::Body(b"abc")));
        assert_eq!(response.closed(), Ok(()));
        assert_eq!(response.read(b""), Ok((0, Part::End)));
    }

    #[test]
    fn closing_in_mid_body_is_an_error() {
        let mut response = <Response>::new();
        response.read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").unwrap();
        response.read(b"abc").unwrap();
        assert_eq!(response.closed(), Err(HttpError::Closed));
        assert_eq!(<Response>::new().closed(), Err(HttpError::Closed));
    }

    #[test]
    fn interim_answers_are_passed_over() {
        let (head, _, ended) =
            read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 7).unwrap();
        assert_eq!((head.unwrap().status, ended), (404, true));
    }

    #[test]
    fn a_redirect_says_where_to() {
        let mut response = <Response>::new();
        let wire = b"HTTP/1.1 302 Found\r\nLocation: https://b.example/x?y\r\nContent-Length: 0\r\n\r\n";
        assert!(matches!(response.read(wire).unwrap().1, Part::Head(Head { status: 302, .. })));
        assert_eq!(response.location(), Ok("https://b.example/x?y"));
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
        let endless: String = core::iter::repeat_n('a', HEAD + 1).collect();
        assert_eq!(wrong(&endless), HttpError::TooLong);
        let interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(HEAD / 40 + 1);
        assert_eq!(wrong(&interim), HttpError::TooLong);
        let hidden = std::format!("HTTP/1.1 200 OK\r\nContent-Length:{}15\r\n", " ".repeat(LINE - 16));
        assert_eq!(wrong(&hidden), HttpError::Header("Content-Length"), "of which the 5 was cut off");
        assert_eq!(
            wrong("HTTP/1.1 206 P\r\nContent-Length: 4\r\nContent-Range: bytes 0-4/9\r\n\r\n"),
            HttpError::Header("Content-Range")
        );
    }

    #[test]
    fn urls_come_apart_as_devices_read_them() {
        let url = Url::parse("http://ota.example.org:8080/f/1?k=2#part").unwrap();
        assert_eq!((url.host, url.port, url.path), ("ota.example.org", 8080, "/f/1?k=2"));
        assert_eq!(Url::parse("https://a.b").unwrap().port, 443);
        assert_eq!(Url::parse("https://[::1]:99/x").unwrap().host, "::1");
        let url = Url::parse("HTTPS://user:pass@word@[::1]:/").unwrap();
        assert_eq!(
            (url.scheme, url.credentials, url.host, url.port),
            (Scheme::Tls, "user:pass@word", "::1", 443)
        );
        assert_eq!(Url::parse("ftp://a.b/"), Err(HttpError::Scheme));
        assert_eq!(Url::parse("http:a.b/"), Err(HttpError::Scheme));
        assert_eq!(Url::parse("http://[::1]1/"), Err(HttpError::Host));
        assert_eq!(Url::parse("http:///x"), Err(HttpError::Host));
        assert_eq!(Url::parse("http://a.b:0/"), Err(HttpError::Port));
        assert_eq!(Url::parse("http://a.b:66000/"), Err(HttpError::Port));
        assert_eq!(Url::parse("http://a.b/x y"), Err(HttpError::Character));
    }

    #[test]
    fn user_and_password_of_a_url_are_sent_as_basic_authorization() {
        let request = |url: &str| {
            let mut out = [0; 512];
            let written = Url::parse(url).unwrap().request(0, 1, &mut out)?;
            Ok(String::from_utf8(out[..written].to_vec()).unwrap())
        };
        let sent = request("http://user:p%40ss%2@a.b/x").unwrap();
        assert!(sent.starts_with("GET /x HTTP/1.1\r\nHost: a.b:80\r\n"), "{sent}");
        assert!(sent.contains("\r\nAuthorization: Basic dXNlcjpwQHNzJTI=\r\n"), "{sent}");
        assert!(request("http://user@a.b/x").unwrap().contains("Basic dXNlcjo=\r\n"));
        let long = "u".repeat(CREDENTIALS);
        assert_eq!(request(&std::format!("http://{long}@a.b/x")), Err(HttpError::Credentials));
    }

    #[test]
    fn a_url_is_logged_without_its_secrets() {
        for (url, shown) in [
            ("http://user:secret@host:8080/f/1.bin?token=secret#secret", "http://host:8080/f/1.bin"),
            ("HTTPS://host/f?secret", "HTTPS://host/f"),
            ("http://host/@scope/f", "http://host/@scope/f"),
            ("http://user:sec/ret@host/f?secret", "host/f"),
            ("ftp://user:secret@host/f", "host/f"),
            ("user:secret@host/f?secret", "host/f"),
            ("ftp://host/f", "ftp://host/f"),
            ("//user:secret@host", "host"),
            ("?secret", ""),
        ] {
            assert_eq!(std::format!("{}", redacted(url)), shown);
        }
    }

    #[test]
    fn references_are_resolved_as_rfc_3986_has_it() {
        let base = "http://a/b/c/d;p?q";
        for (reference, wanted) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("g?y/./x", "http://a/b/c/g?y/./x"),
            ("g#s/../x", "http://a/b/c/g"),
            ("#s", "http://a/b/c/d;p?q"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("https://h/x/../y?z", "https://h/y?z"),
        ] {
            assert_eq!(resolve::<64>(base, reference).as_deref(), Ok(wanted), "{reference:?}");
        }
        assert_eq!(resolve::<64>("http://u:p@a?q", "x").as_deref(), Ok("http://u:p@a/x"));
        assert_eq!(resolve::<16>(base, "/0123456789"), Err(HttpError::TooLong));
    }

    #[test]
    fn a_request_asks_for_exactly_the_range() {
        let mut out = [0; 256];
        let written = Url::parse("http://a.b?k=1").unwrap().request(100, 50, &mut out).unwrap();
        let wanted = "GET /?k=1 HTTP/1.1\r\nHost: a.b:80\r\nUser-Agent: quecota/VERSION\r\nAccept-Encoding: identity\r\n\
             Accept-Ranges: bytes\r\nRange: bytes=100-149\r\n\r\n";
        let wanted = wanted.replace("VERSION", env!("CARGO_PKG_VERSION"));
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
