//! What the headers of a response mean.

use super::{HttpError, cut};
use crate::wire::{decimal, parts};

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

impl ContentRange {
    /// Bytes.
    pub fn length(&self) -> u32 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// `bytes first-last/total`, where the total may be `*` and the range, in an answer 416, too.
pub(super) fn content_range(value: &str) -> Option<Option<ContentRange>> {
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

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// The bytes of the file.
    #[default]
    Identity,
    /// Something that would have to be decoded first, such as gzip.
    Other,
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

/// What becomes of the connection after the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connection {
    /// It stays open.
    #[default]
    KeepAlive,
    /// The peer closes it.
    Close,
}

/// Status and what becomes of the connection by default.
pub(super) fn status(line: &str) -> Result<(u16, Connection), HttpError> {
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
