//! A response, read as its bytes come and given back in parts.
//!
//! Header names are read in any case, bodies by Content-Length, chunked, or until the peer closes, and never more than
//! one response at a time. Of a line the parser keeps what it needs, so a header of no interest may be of any length.

use super::head::{content_range, status};
use super::{Connection, ContentRange, Encoding, Head, HttpError, WrongHeader, cut};
use crate::limits;
use crate::text::Text;
use crate::wire::{decimal, hex, parts};

/// Bytes of all header lines together, at most; those of interim responses count.
pub const HEAD: usize = 64 * 1024;
/// Bytes that are kept of a line. The longest that are needed: a Content-Range with three numbers.
const LINE: usize = 128;

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
            line: const { Text::new() },
            goes: Line::Kept,
            head_bytes: 0,
            head: NO_HEAD,
            chunked: false,
            location: const { Text::new() },
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
                    if self.line_read()? {
                        return Ok((used, Part::Head(self.head)));
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

    /// Acts on the line that is whole; whether it was the last one of the head.
    #[inline(never)] // its line is off the stack before the body is handed on
    fn line_read(&mut self) -> Result<bool, HttpError> {
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
        Ok(false)
    }

    fn head_read(&mut self) -> Result<bool, HttpError> {
        if (100..200).contains(&self.head.status) {
            // An interim response, such as 103 Early Hints: the real one follows.
            self.next_head();
            return Ok(false);
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
            return Err(HttpError::Header(WrongHeader::ContentRange));
        }
        Ok(true)
    }

    fn header(&mut self, line: &str, goes: Line) -> Result<(), HttpError> {
        let Some((name, value)) = cut(line, b':') else {
            // A name that is longer than a line is kept of none that is read; a fold belongs to the line before.
            let is_of_no_interest = goes == Line::Cut || line.starts_with([' ', '\t']);
            return if is_of_no_interest { Ok(()) } else { Err(HttpError::Header(WrongHeader::NoHeader)) };
        };
        let (name, value) = (name.trim_ascii(), value.trim_ascii());
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let is_whole = goes == Line::Kept;
        if is("content-length") {
            let length =
                decimal(value).filter(|_| is_whole).ok_or(HttpError::Header(WrongHeader::ContentLength))?;
            if self.head.length.is_some_and(|before| before != length) {
                return Err(HttpError::Header(WrongHeader::ContentLength));
            }
            self.head.length = Some(length);
        } else if is("content-range") {
            let range = content_range(value).filter(|_| is_whole);
            self.head.range = range.ok_or(HttpError::Header(WrongHeader::ContentRange))?;
        } else if is("transfer-encoding") {
            if !value.eq_ignore_ascii_case("chunked") {
                return Err(HttpError::Header(WrongHeader::TransferEncoding));
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
    url.push("%").and_then(|()| url.push(&hex::text(&[byte])))
}

/// Hex digits alone, of a number below 2^32.
fn hexadecimal(digits: &str) -> Option<u32> {
    let digit =
        |number: u32, digit: u8| Some(number.checked_mul(16)?.saturating_add(hex::value(digit)?.into()));
    digits.bytes().try_fold(0, digit).filter(|_| !digits.is_empty())
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
        assert_eq!(
            wrong("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n"),
            HttpError::Header(WrongHeader::ContentLength)
        );
        let two = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n";
        assert_eq!(wrong(two), HttpError::Header(WrongHeader::ContentLength));
        assert_eq!(
            wrong("HTTP/1.1 206 OK\r\nContent-Range: bytes 9-3/10\r\n"),
            HttpError::Header(WrongHeader::ContentRange)
        );
        assert_eq!(
            wrong("HTTP/1.1 206 OK\r\nContent-Range: bytes 0-10/10\r\n"),
            HttpError::Header(WrongHeader::ContentRange)
        );
        assert_eq!(
            wrong("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n"),
            HttpError::Header(WrongHeader::TransferEncoding)
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
        assert_eq!(
            wrong(&hidden),
            HttpError::Header(WrongHeader::ContentLength),
            "of which the 5 was cut off"
        );
        assert_eq!(
            wrong("HTTP/1.1 206 P\r\nContent-Length: 4\r\nContent-Range: bytes 0-4/9\r\n\r\n"),
            HttpError::Header(WrongHeader::ContentRange)
        );
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_always_move_on(wire: Vec<u8>, step in 1usize..64) {
            let _ = read(&wire, step);
        }
    }
}
