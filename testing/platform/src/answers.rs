//! Answers of firmware servers that are out there, and what a download makes of each: one table for every way in which
//! the library reads HTTP.

use quecota_core::platform::{Encoding, FetchEnd, FetchHead};

/// First byte that is asked for.
pub const START: u32 = 10;
/// Bytes that are asked for.
pub const LENGTH: u32 = 5;

/// What stands for the server's `host:port` in a table's text.
const AUTHORITY: &str = "{server}";
/// The path that is asked for.
const PATH: &str = "/a/b/file.bin?k=1";

/// One answer on one connection.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// The server keeps the connection open.
    Open(&'static str),
    /// It closes it after the last byte.
    Closed(&'static str),
    /// Open; behind the status line a header of so many bytes that is of no interest.
    LongHeader(usize, &'static str),
    /// Open; 302 to a path of so many bytes.
    LongLocation(usize),
}

impl Answer {
    /// Its bytes, of the server at `authority`.
    pub fn bytes(&self, authority: &str) -> Vec<u8> {
        let text = match self {
            Answer::Open(text) | Answer::Closed(text) => (*text).to_owned(),
            Answer::LongHeader(length, text) => {
                let (status, rest) = text.split_once("\r\n").expect("a status line");
                format!("{status}\r\nContent-Security-Policy: {}\r\n{rest}", "x".repeat(*length))
            }
            Answer::LongLocation(length) => {
                format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", long_path(*length))
            }
        };
        text.replace(AUTHORITY, authority).into_bytes()
    }

    /// Whether the server closes the connection behind it.
    pub fn closes(&self) -> bool {
        matches!(self, Answer::Closed(_))
    }
}

fn long_path(length: usize) -> String {
    format!("/{}", "p".repeat(length - 1))
}

/// A URL of this shape, the answers to its requests, and what comes of them.
#[derive(Debug)]
pub struct Case {
    /// What is special.
    pub name: &'static str,
    /// The URL up to its path.
    origin: &'static str,
    /// One for each request.
    pub answers: &'static [Answer],
    /// What the requests ask for, after the first.
    targets: &'static [&'static str],
    head: Option<FetchHead>,
    body: &'static str,
    end: FetchEnd,
}

/// What came of a case.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The target of each request, and its Authorization if there is one.
    pub targets: Vec<String>,
    /// The head that the agent got.
    pub head: Option<FetchHead>,
    /// The bytes that it got.
    pub body: Vec<u8>,
    /// And how it ended.
    pub end: FetchEnd,
}

impl Case {
    /// The URL to fetch from the server at `authority`.
    pub fn url(&self, authority: &str) -> String {
        format!("{}{PATH}", self.origin.replace(AUTHORITY, authority))
    }

    /// What is right.
    pub fn outcome(&self) -> Outcome {
        let first = if self.origin.contains('@') { "/a/b/file.bin?k=1 Basic dTpwOnc=" } else { PATH };
        let mut targets = vec![first.to_owned()];
        for answer in self.answers {
            if let Answer::LongLocation(length) = answer {
                targets.push(long_path(*length));
            }
        }
        targets.extend(self.targets.iter().map(|target| (*target).to_owned()));
        Outcome { targets, head: self.head, body: self.body.as_bytes().to_vec(), end: self.end }
    }
}

/// Target and Authorization of a request.
///
/// # Panics
/// When it is not a request for the range, or lets the server compress the body.
pub fn target(request: &str) -> String {
    let mut lines = request.lines();
    let line = lines.next().expect("a request line");
    let target = line.strip_prefix("GET ").and_then(|line| line.strip_suffix(" HTTP/1.1")).expect("a GET");
    let header = |name: &str| request.lines().find_map(|line| line.strip_prefix(name));
    assert_eq!(header("Range: "), Some("bytes=10-14"));
    assert_eq!(header("Accept-Encoding: "), Some("identity"));
    match header("Authorization: ") {
        Some(authorization) => format!("{target} {authorization}"),
        None => target.to_owned(),
    }
}

const NONE: FetchHead = FetchHead {
    status: 0,
    first: 0,
    length: None,
    total: None,
    retry_after: None,
    encoding: Encoding::Identity,
};
/// The range that was asked for, of 20 bytes.
const RANGE: FetchHead =
    FetchHead { status: 206, first: START, length: Some(LENGTH), total: Some(20), ..NONE };
const GOOD: &str =
    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-14/20\r\nContent-Length: 5\r\n\r\nhello";
const PLAIN: &str = "http://{server}";

/// Answers that bring something: head and body reach the agent, and the end is right.
const fn taken(name: &'static str, answers: &'static [Answer], head: FetchHead, body: &'static str) -> Case {
    Case { name, origin: PLAIN, answers, targets: &[], head: Some(head), body, end: FetchEnd::Complete }
}

/// A redirect by this answer, and the good answer at `targets`.
const fn moved(name: &'static str, answers: &'static [Answer], targets: &'static [&'static str]) -> Case {
    Case { targets, ..taken(name, answers, RANGE, "hello") }
}

/// Answers of which nothing reaches the agent.
const fn refused(name: &'static str, answers: &'static [Answer]) -> Case {
    Case { name, origin: PLAIN, answers, targets: &[], head: None, body: "", end: FetchEnd::Failed }
}

use Answer::{Closed, LongHeader, LongLocation, Open};

/// The table.
#[rustfmt::skip]
pub static CASES: &[Case] = &[
    taken("a range", &[Open(GOOD)], RANGE, "hello"),
    taken("header names in lower case, bare LF", &[Open("HTTP/1.1 206 P\ncontent-range: bytes 10-14/20\ncontent-length: 5\n\nhello")], RANGE, "hello"),
    taken("no reason phrase, blanks around values", &[Open("HTTP/1.1 206\r\nContent-Range :\t bytes 10-14/20 \r\nContent-Length:5\r\n\r\nhello")], RANGE, "hello"),
    taken("chunked, with extension and trailer", &[Open("HTTP/1.1 206 P\r\nContent-Range: bytes 10-14/20\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n")], RANGE, "hello"),
    taken("until close", &[Closed("HTTP/1.1 206 P\r\nContent-Range: bytes 10-14/20\r\n\r\nhello")], RANGE, "hello"),
    taken("HTTP/1.0", &[Closed("HTTP/1.0 206 P\r\nContent-Range: bytes 10-14/20\r\nContent-Length: 5\r\n\r\nhello")], RANGE, "hello"),
    taken("unknown total", &[Open("HTTP/1.1 206 P\r\nContent-Range: bytes 10-14/*\r\nContent-Length: 5\r\n\r\nhello")], FetchHead { total: None, ..RANGE }, "hello"),
    taken("a shorter range", &[Open("HTTP/1.1 206 P\r\nContent-Range: bytes 10-12/20\r\nContent-Length: 3\r\n\r\nhel")], FetchHead { length: Some(3), ..RANGE }, "hel"),
    taken("a shorter range, chunked", &[Open("HTTP/1.1 206 P\r\nContent-Range: bytes 10-12/20\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n\r\n")], FetchHead { length: Some(3), ..RANGE }, "hel"),
    taken("the whole file, chunked", &[Open("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")], FetchHead { status: 200, ..NONE }, "hello"),
    taken("the whole file until close", &[Closed("HTTP/1.1 200 OK\r\n\r\nhello")], FetchHead { status: 200, ..NONE }, "hello"),
    taken("100 before it", &[Open("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 206 P\r\nContent-Range: bytes 10-14/20\r\nContent-Length: 5\r\n\r\nhello")], RANGE, "hello"),
    taken("102 and 103 with headers before it", &[Open("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nContent-Length: 9\r\n\r\nHTTP/1.1 206 P\r\nContent-Range: bytes 10-14/20\r\nContent-Length: 5\r\n\r\nhello")], RANGE, "hello"),
    taken("a header of 3.6 KB", &[LongHeader(3600, GOOD)], RANGE, "hello"),
    taken("a header of 40 KB", &[LongHeader(40_000, GOOD)], RANGE, "hello"),
    taken("a reason phrase of 200 bytes", &[Open("HTTP/1.1 206 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nContent-Range: bytes 10-14/20\r\nContent-Length: 5\r\n\r\nhello")], RANGE, "hello"),
    taken("gzip is told at the head", &[Open("HTTP/1.1 206 P\r\nContent-Encoding: gzip\r\nContent-Range: bytes 10-14/20\r\nContent-Length: 5\r\n\r\nhello")], FetchHead { encoding: Encoding::Other, ..RANGE }, "hello"),
    taken("identity is no encoding", &[Open("HTTP/1.1 206 P\r\nContent-Encoding: Identity\r\nContent-Range: bytes 10-14/20\r\nContent-Length: 5\r\n\r\nhello")], RANGE, "hello"),
    taken("503 with Retry-After", &[Open("HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nContent-Length: 4\r\n\r\nbusy")], FetchHead { status: 503, length: Some(4), total: Some(4), retry_after: Some(120), ..NONE }, "busy"),
    taken("429 with more seconds than a number holds", &[Open("HTTP/1.1 429 Slow\r\nRetry-After: 99999999999\r\nContent-Length: 0\r\n\r\n")], FetchHead { status: 429, length: Some(0), total: Some(0), retry_after: Some(u32::MAX), ..NONE }, ""),
    taken("503 with a date", &[Open("HTTP/1.1 503 Busy\r\nRetry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n")], FetchHead { status: 503, length: Some(0), total: Some(0), ..NONE }, ""),
    taken("416", &[Open("HTTP/1.1 416 R\r\nContent-Range: bytes */9\r\nContent-Length: 0\r\n\r\n")], FetchHead { status: 416, length: Some(0), total: Some(0), ..NONE }, ""),

    Case { origin: "HTTP://{server}", ..taken("a scheme in capitals", &[Open(GOOD)], RANGE, "hello") },
    Case { origin: "http://u:p%3Aw@{server}", ..taken("user and password", &[Open(GOOD)], RANGE, "hello") },

    moved("a relative redirect", &[Open("HTTP/1.1 302 Found\r\nLocation: other.bin\r\nContent-Length: 4\r\n\r\nmove"), Open(GOOD)], &["/a/b/other.bin"]),
    moved("a redirect to a query", &[Open("HTTP/1.1 301 Moved\r\nLocation: ?token=1\r\nContent-Length: 0\r\n\r\n"), Open(GOOD)], &["/a/b/file.bin?token=1"]),
    moved("a redirect to a folder above", &[Open("HTTP/1.1 303 Other\r\nLocation: ../v2/x.bin\r\nContent-Length: 0\r\n\r\n"), Open(GOOD)], &["/a/v2/x.bin"]),
    moved("a redirect to a path", &[Open("HTTP/1.1 307 T\r\nLocation: /x?y#z\r\nContent-Length: 0\r\n\r\n"), Open(GOOD)], &["/x?y"]),
    moved("a redirect to a host", &[Open("HTTP/1.1 308 P\r\nLocation: //{server}/x\r\n\r\n"), Open(GOOD)], &["/x"]),
    moved("a redirect to a URL in capitals", &[Closed("HTTP/1.1 302 Found\r\nLOCATION:HTTP://{server}/x\r\n\r\n"), Open(GOOD)], &["/x"]),
    moved("a redirect that is not ASCII", &[Open("HTTP/1.1 302 Found\r\nLocation: /é\r\nContent-Length: 0\r\n\r\n"), Open(GOOD)], &["/%c3%a9"]),
    moved("a redirect of 1900 bytes", &[LongLocation(1900), Open(GOOD)], &[]),
    moved("three redirects", &[Open("HTTP/1.1 302 F\r\nLocation: x\r\n\r\n"), Open("HTTP/1.1 302 F\r\nLocation: y\r\n\r\n"), Open("HTTP/1.1 302 F\r\nLocation: z\r\n\r\n"), Open(GOOD)], &["/a/b/x", "/a/b/y", "/a/b/z"]),

    refused("a redirect without Location", &[Open("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")]),
    refused("a redirect to another scheme", &[Open("HTTP/1.1 302 Found\r\nLocation: ftp://{server}/x\r\n\r\n")]),
    refused("no HTTP", &[Closed("SSH-2.0-x\r\n")]),
    refused("HTTP/2", &[Closed("HTTP/2 200\r\n\r\n")]),
    refused("closed in the head", &[Closed("HTTP/1.1 206 P\r\nContent-Range: bytes 10-14/20\r\n")]),
    refused("two lengths", &[Open("HTTP/1.1 206 P\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")]),
    refused("a range that contradicts the length", &[Open("HTTP/1.1 206 P\r\nContent-Range: bytes 10-14/20\r\nContent-Length: 6\r\n\r\nhello!")]),
    refused("a range behind the file", &[Open("HTTP/1.1 206 P\r\nContent-Range: bytes 10-20/20\r\n\r\nhello")]),
    refused("a compressed transfer", &[Open("HTTP/1.1 206 P\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")]),
    Case { end: FetchEnd::Failed, ..taken("a body that ends early", &[Closed("HTTP/1.1 206 P\r\nContent-Range: bytes 10-14/20\r\nContent-Length: 5\r\n\r\nhel")], RANGE, "hel") },
    Case { end: FetchEnd::Failed, ..taken("chunks that end early", &[Closed("HTTP/1.1 206 P\r\nContent-Range: bytes 10-14/20\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")], RANGE, "hello") },
];
