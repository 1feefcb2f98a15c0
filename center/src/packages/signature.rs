//! The URLs that devices download from: `PUBLIC/f/TOKEN/SIGNATURE/FILE NAME`.
//!
//! The token says which device upgrade and file are meant, the signature (HMAC-SHA256 under the center's own
//! key) that this center gave the URL away. How long it is good for is asked at each download.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::url::{Firmware, FirmwareUrls};
use crate::store::{PackageId, UpgradeId};

/// Most bytes that the vendor's SDK takes for the host of a URL (QUECTHING.md 4.7: fewer than 64).
pub const HOST_MAX: usize = 63;
/// Most bytes of a public URL: leaves room for the token in the 1024 bytes that devices keep.
pub const PUBLIC_URL_MAX: usize = 512;
/// Bytes of a file name that go into the URL. It is there for people who read logs; nothing depends on it.
const NAME_SHOWN: usize = 64;

/// The address under which devices reach this center's downloads: scheme, host and, if need be, port and path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

/// An address that devices could not use, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("public URL {value:?}: {rule}")]
pub struct PublicUrlError {
    /// The address.
    pub value: String,
    /// What would be right.
    pub rule: String,
}

impl PublicUrl {
    /// Checks an address against what devices can parse (QUECTHING.md 4.7).
    pub fn parse(value: &str) -> Result<Self, PublicUrlError> {
        let refuse = |rule: String| Err(PublicUrlError { value: value.to_owned(), rule });
        let (rest, secure) = match (value.strip_prefix("http://"), value.strip_prefix("https://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => return refuse("it must begin with http:// or https://".into()),
        };
        if !value.bytes().all(|c| c.is_ascii_graphic()) || value.contains(['"', '\\', '<', '>']) {
            return refuse("it may hold only the characters of a URL".into());
        }
        if value.len() > PUBLIC_URL_MAX {
            return refuse(format!("it has {} bytes, devices need at most {PUBLIC_URL_MAX}", value.len()));
        }
        if value.contains(['?', '#']) {
            return refuse("it is a prefix: no query and no fragment".into());
        }
        // Devices look for `s://` anywhere in the URL to choose TLS.
        if !secure && value.contains("s://") {
            return refuse("devices take a URL with `s://` in it for https".into());
        }
        let (authority, path) =
            rest.split_once('/').map_or((rest, ""), |(authority, path)| (authority, path));
        if authority.contains(['@', '[', ']']) {
            return refuse(
                "devices know a host name or an IPv4 address here, no user and no brackets".into(),
            );
        }
        let (host, port) =
            authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)));
        if host.is_empty() || host.len() > HOST_MAX {
            return refuse(format!(
                "devices take a host of 1 to {HOST_MAX} bytes, this one has {}",
                host.len()
            ));
        }
        if !host.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_')) {
            return refuse(format!("{host:?} is no host name"));
        }
        if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
            return refuse(format!(
                "the port {:?} is not a number from 1 to 65535",
                port.unwrap_or_default()
            ));
        }
        if !authority.contains(['.', ':']) {
            return refuse(format!("devices refuse the host {host:?}: it needs a '.' in it, or a port"));
        }
        let path = path.trim_end_matches('/');
        let end = value.len() - rest.len() + authority.len();
        let origin = value.get(..end).unwrap_or_default();
        Ok(Self(if path.is_empty() { origin.to_owned() } else { format!("{origin}/{path}") }))
    }

    /// Whether the vendor's SDK takes this host for downloads: it wants 4 bytes or more with a '.' among them (QUECTHING.md
    /// 3 and 4.7).
    #[must_use]
    pub fn suits_vendor_devices(&self) -> bool {
        let authority = self.0.split("://").nth(1).unwrap_or_default();
        authority.split(['/', ':']).next().is_some_and(|host| host.len() >= 4 && host.contains('.'))
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key under which URLs are signed.
#[derive(Clone)]
pub struct UrlKey(Hmac<Sha256>);

impl UrlKey {
    /// A key from its bytes.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        // HMAC pads a short key with zeros to a block; done here, no length is left that could be refused.
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(to, from)| *to = from);
        Self(Hmac::new(&block.into()))
    }

    fn mac(&self, token: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(b"quecota firmware url 1\0");
        mac.update(token.as_bytes());
        mac
    }

    /// Signs a token.
    #[must_use]
    pub fn sign(&self, token: &str) -> String {
        Base64UrlUnpadded::encode_string(&self.mac(token).finalize().into_bytes())
    }

    /// Whether this key signed the token; takes the same time wherever a signature is wrong.
    #[must_use]
    pub fn verifies(&self, token: &str, signature: &str) -> bool {
        let mut bytes = [0; 64];
        Base64UrlUnpadded::decode(signature, &mut bytes)
            .is_ok_and(|signature| self.mac(token).verify_slice(signature).is_ok())
    }
}

/// The keys of a database: the first one signs, all of them are taken.
#[derive(Debug, Clone)]
pub struct UrlKeys(Arc<[UrlKey]>);

impl UrlKeys {
    /// The keys from their bytes; none: nothing verifies.
    #[must_use]
    pub fn new(keys: &[[u8; 32]]) -> Self {
        Self(keys.iter().copied().map(UrlKey::new).collect())
    }

    /// The key that signs.
    #[must_use]
    pub fn signing(&self) -> Option<&UrlKey> {
        self.0.first()
    }

    /// Whether one of the keys signed the token.
    #[must_use]
    pub fn verify(&self, token: &str, signature: &str) -> bool {
        self.0.iter().any(|key| key.verifies(token, signature))
    }
}

impl fmt::Debug for UrlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UrlKey")
    }
}

/// What a URL stands for, written `12-3-0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The device upgrade: the URL is good as long as it is not over.
    pub upgrade: UpgradeId,
    /// The version package, and so the component of the upgrade.
    pub package: PackageId,
    /// Number of the file in the package, from 0.
    pub file_index: usize,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.upgrade.0, self.package.0, self.file_index)
    }
}

/// A text that no center wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoToken;

impl FromStr for Token {
    type Err = NoToken;

    fn from_str(text: &str) -> Result<Self, NoToken> {
        let mut numbers = text.split('-');
        let mut next = || numbers.next().ok_or(NoToken);
        let upgrade = UpgradeId(next()?.parse().map_err(|_| NoToken)?);
        let package = PackageId(next()?.parse().map_err(|_| NoToken)?);
        let file_index = next()?.parse().map_err(|_| NoToken)?;
        if numbers.next().is_some() { Err(NoToken) } else { Ok(Self { upgrade, package, file_index }) }
    }
}

/// Makes the URLs that devices are given.
#[derive(Debug, Clone)]
pub struct Signer {
    public: PublicUrl,
    key: UrlKey,
}

impl Signer {
    /// A signer for URLs under `public`.
    #[must_use]
    pub fn new(public: PublicUrl, key: UrlKey) -> Self {
        Self { public, key }
    }

    /// The URL of a token, ending in a readable form of the file's name.
    #[must_use]
    pub fn url(&self, token: Token, file_name: &str) -> String {
        let token = token.to_string();
        format!("{}/f/{token}/{}/{}", self.public, self.key.sign(&token), readable(file_name))
    }
}

impl FirmwareUrls for Signer {
    fn firmware_url(&self, firmware: &Firmware<'_>) -> String {
        let token =
            Token { upgrade: firmware.upgrade, package: firmware.package, file_index: firmware.file_index };
        self.url(token, firmware.file.name.as_str())
    }
}

/// The end of a file name with only characters that every URL parser leaves alone.
fn readable(name: &str) -> String {
    let plain: Vec<char> = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' })
        .collect();
    plain.iter().skip(plain.len().saturating_sub(NAME_SHOWN)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_devices_can_parse_are_taken() {
        for (value, kept) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("https://ota.example.com", "https://ota.example.com"),
            ("https://ota.example.com/a/b/", "https://ota.example.com/a/b"),
            ("http://center:80", "http://center:80"),
        ] {
            assert_eq!(PublicUrl::parse(value).unwrap().to_string(), kept);
        }
        assert!(PublicUrl::parse("http://10.0.0.1").unwrap().suits_vendor_devices());
        for url in ["http://center:80/a.b", "http://localhost:8080", "http://ab:80", "http://a.b:80"] {
            assert!(!PublicUrl::parse(url).unwrap().suits_vendor_devices(), "{url}");
        }
    }

    #[test]
    fn addresses_that_devices_misread_are_refused_with_the_reason() {
        let long = format!("http://{}.example", "a".repeat(56));
        for (value, reason) in [
            ("ftp://a.b", "http://"),
            ("127.0.0.1:8080", "http://"),
            ("http://localhost", "'.'"),
            (long.as_str(), "64"),
            ("http://a.b/s://c", "s://"),
            ("http://u@a.b", "user"),
            ("http://[::1]:80", "brackets"),
            ("http://a.b:0", "port"),
            ("http://a.b:70000", "port"),
            ("http://a.b?x=1", "query"),
            ("http://", "host"),
            ("http://a b.c", "characters"),
        ] {
            let error = PublicUrl::parse(value).unwrap_err();
            assert!(error.to_string().contains(reason), "{error}");
            assert!(error.to_string().contains(value), "{error}");
        }
        assert!(PublicUrl::parse(&format!("http://{}.de", "a".repeat(60))).is_ok(), "63 bytes are fine");
    }

    #[test]
    fn a_token_reads_as_it_was_written() {
        let token = Token { upgrade: UpgradeId(12), package: PackageId(3), file_index: 0 };
        assert_eq!(token.to_string(), "12-3-0");
        assert_eq!("12-3-0".parse(), Ok(token));
        for wrong in ["", "12", "12-3", "12-3-0-1", "a-b-c", "12--3-0", "12-3--1"] {
            assert_eq!(wrong.parse::<Token>(), Err(NoToken), "{wrong}");
        }
    }

    #[test]
    fn a_signature_belongs_to_its_token_and_key() {
        let key = UrlKey::new([7; 32]);
        let signature = key.sign("12-0");
        assert!(key.verifies("12-0", &signature));
        assert!(!key.verifies("12-1", &signature));
        assert!(!UrlKey::new([8; 32]).verifies("12-0", &signature));
        for wrong in ["", "AAAA", "?", &signature[1..], &format!("{signature}A"), &"A".repeat(200)] {
            assert!(!key.verifies("12-0", wrong), "{wrong}");
        }
    }

    #[test]
    fn urls_hold_no_character_that_a_device_could_trip_over() {
        let signer = Signer::new(PublicUrl::parse("http://127.0.0.1:1").unwrap(), UrlKey::new([7; 32]));
        let token = Token { upgrade: UpgradeId(i64::MAX), package: PackageId(i64::MAX), file_index: 4 };
        let url = signer.url(token, &format!("{} s://é fw.tar.gz", "x".repeat(100)));
        assert!(url.ends_with("x_s_____fw.tar.gz"), "{url}");
        assert!(url.len() < 256 && url.bytes().all(|c| c.is_ascii_graphic()));
        assert_eq!(url.matches("://").count(), 1);
    }
}
