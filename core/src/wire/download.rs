//! One firmware download over HTTP/1.1 without I/O: the request, the answer as its bytes come, and redirects within a
//! bound.

use super::http::{Connection, Head, HttpError, Part, Response, Scheme, Url, resolve};
use crate::limits;
use crate::text::Text;

/// Redirects that are followed for one request.
pub const REDIRECTS: u8 = 3;

/// What came next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// It needs more bytes.
    More,
    /// The head of the answer that counts.
    Head(Head),
    /// Bytes of its body.
    Body(&'a [u8]),
    /// The answer is complete; what becomes of the connection.
    End(Connection),
    /// Close this connection, and send the request to where [`Download::url`] says now.
    Redirected,
}

/// A request for a range of a URL, and its answer. `N` bytes are held of the URL, and as many of a Location.
#[derive(Debug)]
pub struct Download<const N: usize = { limits::FIRMWARE_URL }> {
    url: Text<N>,
    start: u32,
    length: u32,
    redirects: u8,
    connection: Connection,
    response: Response<N>,
}

impl<const N: usize> Download<N> {
    /// Of bytes `start .. start + length`; `length` must not be 0.
    pub fn new(url: &str, start: u32, length: u32) -> Result<Self, HttpError> {
        let mut download = Self::of_nothing();
        download.begin(url, start, length)?;
        Ok(download)
    }

    /// For [`Self::begin`].
    #[inline(always)] // so it is made where the caller wants it
    pub fn of_nothing() -> Self {
        Download {
            url: const { Text::new() },
            start: 0,
            length: 0,
            redirects: 0,
            connection: Connection::KeepAlive,
            response: Response::new(),
        }
    }

    /// What a new download is about; see [`Self::new`].
    pub fn begin(&mut self, url: &str, start: u32, length: u32) -> Result<(), HttpError> {
        Url::parse(url)?;
        if length == 0 || start.checked_add(length).is_none() {
            return Err(HttpError::Range);
        }
        (self.start, self.length) = (start, length);
        self.url.set(url).map_err(|_| HttpError::TooLong)
    }

    /// Where to connect to.
    pub fn url(&self) -> Result<Url<'_>, HttpError> {
        Url::parse(&self.url)
    }

    /// The same as it is written; see [`super::http::redacted`] before it is logged.
    pub fn url_text(&self) -> &str {
        &self.url
    }

    /// Writes the request; gives its length.
    pub fn request(&self, out: &mut [u8]) -> Result<usize, HttpError> {
        self.url()?.request(self.start, self.length, out)
    }

    /// Reads on: how many bytes of `input` are used up, and what they were. Call again with the rest, also when it is
    /// empty, until it is none of [`Step::Head`] and [`Step::Body`]. After an error the download is of no use.
    pub fn read<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Step<'a>), HttpError> {
        let (used, part) = self.response.read(input)?;
        let step = match part {
            Part::More => Step::More,
            Part::Body(body) => Step::Body(body),
            Part::End => Step::End(self.connection),
            Part::Head(head) if matches!(head.status, 301 | 302 | 303 | 307 | 308) => {
                self.redirect()?;
                Step::Redirected
            }
            Part::Head(head) => {
                self.connection = head.connection;
                Step::Head(head)
            }
        };
        Ok((used, step))
    }

    /// The peer closed: right only at the end of a body without a length.
    pub fn closed(&mut self) -> Result<(), HttpError> {
        self.response.closed()
    }

    fn redirect(&mut self) -> Result<(), HttpError> {
        let to = self.response.location()?;
        if to.is_empty() {
            return Err(HttpError::Redirect);
        }
        let before = self.url()?.scheme;
        resolve(&mut self.url, to)?;
        let target = self.url().map_err(|_| HttpError::Redirect)?;
        // What was asked for under TLS is not fetched without.
        if before == Scheme::Tls && target.scheme == Scheme::Plain {
            return Err(HttpError::LeavesTls);
        }
        if self.redirects >= REDIRECTS {
            return Err(HttpError::Redirects);
        }
        self.redirects = self.redirects.saturating_add(1);
        self.response.reset();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::String;
    use std::vec::Vec;

    /// Feeds one answer in pieces of `step` bytes: the body, and how it ended.
    fn feed(download: &mut Download, wire: &str, step: usize) -> Result<(Vec<u8>, bool, bool), HttpError> {
        let mut body = Vec::new();
        for piece in wire.as_bytes().chunks(step) {
            let mut rest = piece;
            loop {
                let (used, step) = download.read(rest)?;
                rest = rest.get(used..).unwrap();
                match step {
                    Step::More => break,
                    Step::Head(head) => assert_eq!(head.status, 206),
                    Step::Body(bytes) => body.extend_from_slice(bytes),
                    Step::End(connection) => return Ok((body, true, connection == Connection::KeepAlive)),
                    Step::Redirected => return Ok((body, false, false)),
                }
            }
        }
        Ok((body, false, false))
    }

    fn redirect(to: &str) -> String {
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 4\r\n\r\nmove")
    }

    fn request(download: &Download) -> String {
        let mut out = [0; 256];
        let length = download.request(&mut out).unwrap();
        String::from_utf8(out.get(..length).unwrap().into()).unwrap()
    }

    #[test]
    fn a_redirect_is_followed_to_another_host_and_path_with_the_same_range() {
        for step in [1, 7, 1000] {
            let mut download = <Download>::new("http://a.example/x", 10, 5).unwrap();
            feed(&mut download, &redirect("https://b.example:8443/y?k"), step).unwrap();
            let url = download.url().unwrap();
            assert_eq!((url.scheme, url.host, url.port), (Scheme::Tls, "b.example", 8443));
            assert!(request(&download).starts_with("GET /y?k HTTP/1.1\r\nHost: b.example:8443\r\n"));
            assert!(request(&download).ends_with("Range: bytes=10-14\r\n\r\n"));
            feed(&mut download, &redirect("/z"), step).unwrap();
            assert!(request(&download).starts_with("GET /z HTTP/1.1\r\nHost: b.example:8443\r\n"));
            feed(&mut download, &redirect("//[::1]/v6"), step).unwrap();
            assert!(request(&download).starts_with("GET /v6 HTTP/1.1\r\nHost: [::1]:443\r\n"));
            let answer = "HTTP/1.1 206 P\r\ncontent-length: 5\r\ncontent-range: bytes 10-14/20\r\n\r\nhello";
            assert_eq!(feed(&mut download, answer, step), Ok((b"hello".to_vec(), true, true)));
        }
    }

    #[test]
    fn redirects_have_a_bound_and_never_leave_tls() {
        let mut download = <Download>::new("http://a.example/x", 0, 5).unwrap();
        for _ in 0..REDIRECTS {
            assert!(feed(&mut download, &redirect("/again"), 1000).is_ok());
        }
        assert_eq!(feed(&mut download, &redirect("/again"), 1000), Err(HttpError::Redirects));
        for (to, refused) in [
            ("http://a.example/x", HttpError::LeavesTls),
            ("", HttpError::Redirect),
            ("ftp://a.example/", HttpError::Redirect),
            ("https:///", HttpError::Redirect),
        ] {
            let mut download = <Download>::new("https://a.example/x", 0, 5).unwrap();
            assert_eq!(feed(&mut download, &redirect(to), 1000), Err(refused), "{to}");
        }
    }

    #[test]
    fn a_connection_that_the_server_closes_is_not_kept() {
        let mut download = <Download>::new("http://a.example/x", 0, 2).unwrap();
        let answer =
            "HTTP/1.1 206 P\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        assert_eq!(feed(&mut download, answer, 3), Ok((b"ok".to_vec(), true, false)));
        for (start, length) in [(0, 0), (u32::MAX, 2)] {
            assert_eq!(<Download>::new("http://a.example/x", start, length).err(), Some(HttpError::Range));
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(wire: String, to: String, step in 1usize..64) {
            let mut download = <Download>::new("http://a.example/x", 0, 5).unwrap();
            let _ = download.read(redirect(&to).as_bytes());
            let mut download = <Download>::new("http://a.example/x", 0, 5).unwrap();
            for piece in wire.as_bytes().chunks(step) {
                if download.read(piece).is_err() {
                    break;
                }
            }
        }
    }
}
