//! The response parser and the download around it, for ports that have sockets only.

use quecota_core::wire::download::{Download, REDIRECTS, Step};
use quecota_core::wire::http::{Head, HttpError, Part, Response, Scheme, Url, redacted};

/// What was read of a response.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    head: Option<Head>,
    body: Vec<u8>,
    end: Result<End, HttpError>,
    location: String,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The response is complete, and so many bytes came behind it.
    Complete(usize),
    /// The peer closed, and the response is complete by that.
    Closed,
    /// The peer closed too early.
    Early,
}

/// The first byte says how many bytes come at a time. However they come, the same is read.
pub fn run(input: &[u8]) {
    let Some((step, wire)) = input.split_first() else { return };
    let whole = read(wire, wire.len().max(1));
    let parts = read(wire, usize::from(*step).max(1));
    assert_eq!(whole, parts, "in steps of {step}");
    let downloaded = download(wire, wire.len().max(1));
    assert_eq!(downloaded, download(wire, usize::from(*step).max(1)), "a download in steps of {step}");
    // What 204 and 304 say of a length is not about their body: they have none (RFC 9112, 6.3).
    if let Some(Head { length: Some(length), status, .. }) = whole.head
        && !matches!(status, 204 | 304)
        && whole.end.is_ok()
        && whole.end != Ok(End::Early)
    {
        assert_eq!(whole.body.len(), length as usize, "a body as long as its length says");
    }
    if let Ok(url) = Url::parse(&whole.location) {
        let mut request = vec![0; whole.location.len() + 512];
        match url.request(0, 1, &mut request) {
            Ok(_) | Err(HttpError::Credentials) => {}
            Err(error) => panic!("no request to {:?}: {error}", whole.location),
        }
        let shown = redacted(&whole.location).to_string();
        assert!(!shown.contains('?') && !shown.contains('#'), "the query is shown");
    }
}

/// The answers to a download and to the requests that redirects make it send: heads, bytes, and how it ended.
fn download(wire: &[u8], step: usize) -> (usize, Vec<u8>, Result<bool, HttpError>) {
    let mut download = <Download>::new("https://a.example/x", 10, 5).expect("a URL");
    let (mut heads, mut body, mut redirects) = (0, Vec::new(), 0);
    for mut chunk in wire.chunks(step) {
        loop {
            let (used, next) = match download.read(chunk) {
                Ok(read) => read,
                Err(error) => return (heads, body, Err(error)),
            };
            chunk = &chunk[used..];
            match next {
                Step::More => break,
                Step::Head(_) => heads += 1,
                Step::Body(bytes) => body.extend_from_slice(bytes),
                Step::End(_) => return (heads, body, Ok(true)),
                Step::Redirected => {
                    redirects += 1;
                    assert!(redirects <= REDIRECTS, "more redirects than are followed");
                    let url = download.url().expect("where it goes on is a URL");
                    assert_eq!(url.scheme, Scheme::Tls, "never to where it can be read");
                    let mut request = [0; 2560];
                    let length = match download.request(&mut request) {
                        Ok(length) => length,
                        Err(error) => return (heads, body, Err(error)),
                    };
                    assert!(request[..length].ends_with(b"Range: bytes=10-14\r\n\r\n"), "another range");
                }
            }
            assert!(heads <= 1, "one head counts");
        }
    }
    (heads, body, download.closed().map(|()| false))
}

fn read(wire: &[u8], step: usize) -> Reading {
    let mut response = <Response>::new();
    let mut reading = Reading { head: None, body: Vec::new(), end: Ok(End::Early), location: String::new() };
    let mut consumed = 0;
    'chunks: for mut chunk in wire.chunks(step) {
        // Each call uses bytes up or says what it has; a few say something without a byte.
        for _ in 0..2 * step + 8 {
            let (used, part) = match response.read(chunk) {
                Ok(found) => found,
                Err(error) => {
                    reading.end = Err(error);
                    break 'chunks;
                }
            };
            chunk = &chunk[used..];
            consumed += used;
            match part {
                Part::More => {
                    assert!(chunk.is_empty(), "it wants more and left bytes");
                    continue 'chunks;
                }
                Part::Head(head) => assert_eq!(reading.head.replace(head), None, "one head"),
                Part::Body(body) => reading.body.extend_from_slice(body),
                Part::End => {
                    reading.end = Ok(End::Complete(wire.len() - consumed));
                    break 'chunks;
                }
            }
        }
        panic!("the parser does not move on");
    }
    if reading.end == Ok(End::Early) {
        match response.closed() {
            Ok(()) => reading.end = Ok(End::Closed),
            Err(error) => assert_eq!(error, HttpError::Closed),
        }
    }
    response.location().unwrap_or_default().clone_into(&mut reading.location);
    reading
}
