//! Firmware URLs: their parts, what of them may be logged, and where a redirect leads.

use super::{HttpError, cut, cut_last, split};
use crate::text::Text;
use crate::wire::parts;

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

/// Makes of `url` where `reference`, a Location, leads to from it (RFC 3986, 5.2). After an error it is of no use.
pub fn resolve<const N: usize>(url: &mut Text<N>, reference: &str) -> Result<(), HttpError> {
    let (base, to) = (UrlReference::split(url), UrlReference::split(reference));
    let path = base.scheme.len().saturating_add(base.authority.len());
    let query = path.saturating_add(base.path.len());
    let folder = cut_last(base.path, b'/').map_or(path, |(folder, _)| path.saturating_add(folder.len()));
    // What stays of the base, and what is between it and the reference.
    let (kept, between) = match to {
        UrlReference { scheme: "", authority: "", path: "", query: "" } => {
            (query.saturating_add(base.query.len()), "")
        }
        UrlReference { scheme: "", authority: "", path: "", .. } => (query, ""),
        UrlReference { scheme: "", authority: "", path: to, .. } if to.starts_with('/') => (path, ""),
        UrlReference { scheme: "", authority: "", .. } => (folder, "/"),
        UrlReference { scheme: "", .. } => (base.scheme.len(), ""),
        _ => (0, ""),
    };
    let root = path.min(kept).saturating_add(to.scheme.len()).saturating_add(to.authority.len());
    url.truncate(kept);
    let mut push = |part| url.push(part).map_err(|_| HttpError::TooLong);
    [to.scheme, to.authority, between, to.path].into_iter().try_for_each(&mut push)?;
    if !to.path.is_empty() {
        remove_dot_segments(url, root)?;
    }
    url.push(to.query).map_err(|_| HttpError::TooLong)
}

/// Carries `.` and `..` out in the path that begins at `root` of the URL and goes to its end, never above `root`.
fn remove_dot_segments<const N: usize>(url: &mut Text<N>, root: usize) -> Result<(), HttpError> {
    let mut at = root;
    while let Some(segment) = url.get(at..).and_then(|path| parts(path.strip_prefix('/')?, b'/').next()) {
        let end = at.saturating_add(1).saturating_add(segment.len());
        let from = match segment {
            "." => at,
            ".." => {
                let before = url.get(root..at).unwrap_or("");
                root.saturating_add(before.bytes().rposition(|byte| byte == b'/').unwrap_or(0))
            }
            _ => {
                at = end;
                continue;
            }
        };
        if end == url.len() {
            url.truncate(from);
            return url.push("/").map_err(|_| HttpError::TooLong);
        }
        url.remove(from, end);
        at = from;
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
            (_, Some(digits)) => crate::wire::port(digits).ok_or(HttpError::Port)?,
            (_, None) => return Err(HttpError::Host),
        };
        Ok(Url { scheme, credentials, host, port, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn resolved(base: &str, reference: &str) -> Result<std::string::String, HttpError> {
        let mut url = Text::<64>::of(base).unwrap();
        resolve(&mut url, reference).map(|()| url.as_str().into())
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
            assert_eq!(resolved(base, reference), Ok(wanted.into()), "{reference:?}");
        }
        assert_eq!(resolved("http://u:p@a?q", "x"), Ok("http://u:p@a/x".into()));
        assert_eq!(resolved("http://a/b/../c/./d", "../g"), Ok("http://a/g".into()));
        assert_eq!(resolved(base, &"/0123456789".repeat(6)), Err(HttpError::TooLong));
    }
}
