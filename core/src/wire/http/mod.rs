//! HTTP/1.1 for firmware downloads (QUECTHING.md 4.7), without I/O: [`url`] takes URLs apart and resolves redirects,
//! [`request`] writes what is sent, [`response`] reads what comes and [`head`] says what its headers mean.
//! The host and, through `quecota_http_*`, ports that have sockets and no HTTP client read servers with it.

mod head;
mod request;
mod response;
mod url;

pub use head::{Connection, ContentRange, Encoding, Head};
pub use response::{HEAD, Part, Response};
pub use url::{Redacted, Scheme, Url, redacted, resolve};

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
    /// More than 96 bytes.
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
    /// A header that is read has a value that cannot be right.
    #[error("the header {0} has a value that cannot be right")]
    Header(WrongHeader),
    /// A chunk size that is no hexadecimal number, or a chunk without its end.
    #[error("the chunked body is malformed")]
    Chunk,
    /// The peer closed before the response was complete.
    #[error("the peer closed before the response was complete")]
    Closed,
}

/// Which header is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WrongHeader {
    /// A line that is none.
    #[error("without a colon")]
    NoHeader,
    /// No number, or another than before.
    #[error("Content-Length")]
    ContentLength,
    /// Not `bytes first-last/total`, or another length than the body's.
    #[error("Content-Range")]
    ContentRange,
    /// Something else than `chunked`.
    #[error("Transfer-Encoding")]
    TransferEncoding,
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
