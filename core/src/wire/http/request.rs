//! The request for a range of a file.

use super::{HttpError, Url};
use crate::text::Text;
use crate::wire::credential::base64;
use crate::wire::hex;

/// Bytes of user and password in a URL, at most.
const CREDENTIALS: usize = 96;

impl Url<'_> {
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
            let digit = |byte: Option<u8>| byte.and_then(hex::value);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

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
    fn a_request_asks_for_exactly_the_range() {
        let mut out = [0; 256];
        let written = Url::parse("http://a.b?k=1").unwrap().request(100, 50, &mut out).unwrap();
        let wanted = "GET /?k=1 HTTP/1.1\r\nHost: a.b:80\r\nUser-Agent: quecota/VERSION\r\nAccept-Encoding: identity\r\n\
             Accept-Ranges: bytes\r\nRange: bytes=100-149\r\n\r\n";
        let wanted = wanted.replace("VERSION", env!("CARGO_PKG_VERSION"));
        assert_eq!(core::str::from_utf8(&out[..written]).unwrap(), wanted);
        assert_eq!(Url::parse("http://a.b/").unwrap().request(0, 1, &mut [0; 20]), Err(HttpError::NoRoom));
    }
}
