//! Secrets at rest: sealed with a key that does not stand in the database.
//!
//! The protocol needs product and device secrets in the clear, so they cannot be hashed. A database that is stolen without
//! its key must not give them away, so each is stored as XChaCha20-Poly1305 under a key of the configuration, bound to the
//! row that it belongs to: a sealed secret moved to another device does not open there.

use std::fmt;
use std::sync::Arc;

use base64ct::{Base64Unpadded, Encoding};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key as CipherKey, KeyInit, XChaCha20Poly1305, XNonce};
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Bytes of a key.
const KEY: usize = 32;
/// Bytes of a nonce: enough that random ones never meet.
const NONCE: usize = 24;

/// Why a secret cannot be sealed or opened, or keys cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The text holds no keys.
    #[error(
        "key {number} of the seal keys is not one: a key has 64 hexadecimal digits; the first one seals, \
         further ones (by comma or line) only open what they sealed before"
    )]
    Key {
        /// Which one, from 1. The text itself is never shown.
        number: usize,
    },
    /// None of the keys sealed this.
    #[error(
        "secrets in the database are sealed with key {needed}, and the keys given are {given}; give the key that belongs \
         to this database (file seal.key of its data folder or backup, or QUECOTA_SEAL_KEY)"
    )]
    UnknownKey {
        /// Id of the key that sealed it.
        needed: String,
        /// Ids of the keys that we have.
        given: String,
    },
    /// The key is right and the text does not open: it was changed, or belongs to another row.
    #[error("the sealed secret of {place} does not open: the row was changed outside the center")]
    Broken {
        /// Whose it is.
        place: String,
    },
}

/// Whose secret it is; a sealed secret opens here only.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// A product, by its key.
    Product(&'a str),
    /// A device, by its product's key and its own.
    Device(&'a str, &'a str),
    /// A key of download URLs.
    UrlKey,
    /// A webhook, by its number.
    Webhook(i64),
    /// A sign-in that has begun: kept by the browser.
    SignIn,
}

impl Place<'_> {
    /// What the seal is bound to. Keys hold no NUL, so no two places are written alike.
    fn bound(self) -> Vec<u8> {
        match self {
            Place::Product(pk) => ["product", pk].join("\0"),
            Place::Device(pk, dk) => ["device", pk, dk].join("\0"),
            Place::UrlKey => "url key".to_owned(),
            Place::Webhook(id) => ["webhook", &id.to_string()].join("\0"),
            Place::SignIn => "sign in".to_owned(),
        }
        .into_bytes()
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Product(pk) => write!(f, "product {pk}"),
            Place::Device(pk, dk) => write!(f, "device {dk} of product {pk}"),
            Place::UrlKey => f.write_str("the download URLs"),
            Place::Webhook(id) => write!(f, "webhook {id}"),
            Place::SignIn => f.write_str("a sign-in"),
        }
    }
}

/// A secret as the database has it. It tells nothing, so it may be printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sealed {
    /// Id of the key; empty: not sealed yet, as an older version stored it.
    pub(crate) key: String,
    /// Base64 of nonce and ciphertext.
    pub(crate) text: String,
}

#[derive(Clone)]
struct Key {
    id: String,
    bytes: [u8; KEY],
}

impl Key {
    fn new(bytes: [u8; KEY]) -> Self {
        let digest = Sha256::new().chain_update(b"quecota seal key").chain_update(bytes).finalize();
        let id = hex::encode(digest.get(..4).unwrap_or_default());
        Self { id, bytes }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&CipherKey::from(self.bytes))
    }
}

/// The keys of a center. The first one seals; all of them open. Cheap to clone.
#[derive(Clone)]
pub struct Keyring {
    seals: Key,
    /// Keys of before, until nothing is sealed with them any more.
    former: Arc<[Key]>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Keyring").field(&self.ids()).finish()
    }
}

impl Keyring {
    /// One new key.
    #[must_use]
    pub fn made() -> Self {
        Self { seals: Key::new(rand::random()), former: Arc::default() }
    }

    /// Keys of 64 hexadecimal digits, separated by commas or white space.
    ///
    /// # Errors
    /// [`SealError::Key`], which never shows the text.
    pub fn parse(text: &str) -> Result<Self, SealError> {
        let words = text.split([',', ' ', '\t', '\r', '\n']).filter(|word| !word.is_empty());
        let mut keys = Vec::new();
        for (number, word) in (1..).zip(words) {
            let mut bytes = [0; KEY];
            hex::decode_to_slice(word, &mut bytes).map_err(|_| SealError::Key { number })?;
            keys.push(Key::new(bytes));
        }
        let mut keys = keys.into_iter();
        let seals = keys.next().ok_or(SealError::Key { number: 1 })?;
        Ok(Self { seals, former: keys.collect() })
    }

    /// The keys as [`Keyring::parse`] reads them: for the key file alone.
    #[must_use]
    pub fn text(&self) -> String {
        self.keys().map(|key| format!("{}\n", hex::encode(key.bytes))).collect()
    }

    /// The same keys behind a new one, which seals from now on.
    #[must_use]
    pub fn renewed(&self) -> Self {
        Self { seals: Key::new(rand::random()), former: self.keys().cloned().collect() }
    }

    /// Without the keys of before.
    #[must_use]
    pub fn without_former(&self) -> Self {
        Self { seals: self.seals.clone(), former: Arc::default() }
    }

    /// Id of the key that seals.
    #[must_use]
    pub fn current(&self) -> &str {
        &self.seals.id
    }

    /// Whether one of the keys has this id.
    pub(crate) fn knows(&self, id: &str) -> bool {
        self.keys().any(|key| key.id == id)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.seals).chain(self.former.iter())
    }

    pub(crate) fn ids(&self) -> String {
        self.keys().map(|key| key.id.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Seals `secret` for its place.
    ///
    /// # Errors
    /// [`SealError::Broken`]: the cipher refused, which it does only for texts of many gigabytes.
    pub(crate) fn seal(&self, place: Place<'_>, secret: &str) -> Result<Sealed, SealError> {
        let nonce: [u8; NONCE] = rand::random();
        let payload = Payload { msg: secret.as_bytes(), aad: &place.bound() };
        let sealed = self.seals.cipher().encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| SealError::Broken { place: place.to_string() })?;
        let text = Base64Unpadded::encode_string(&[&nonce[..], &sealed].concat());
        Ok(Sealed { key: self.seals.id.clone(), text })
    }

    /// The secret, for who has the key and asks at the right place.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<String, SealError> {
        if sealed.key.is_empty() {
            return Ok(sealed.text.clone());
        }
        let key = self.keys().find(|key| key.id == sealed.key).ok_or_else(|| self.unknown(&sealed.key))?;
        let broken = || SealError::Broken { place: place.to_string() };
        let bytes = Base64Unpadded::decode_vec(&sealed.text).map_err(|_| broken())?;
        let (nonce, text) = bytes.split_first_chunk::<NONCE>().ok_or_else(broken)?;
        let payload = Payload { msg: text, aad: &place.bound() };
        let secret = key.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| broken())?;
        String::from_utf8(secret).map_err(|_| broken())
    }

    pub(crate) fn unknown(&self, needed: &str) -> SealError {
        SealError::UnknownKey { needed: needed.to_owned(), given: self.ids() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place::Device("p1", "860");

    #[test]
    fn a_secret_opens_at_its_own_place_with_its_own_key_alone() {
        let keys = Keyring::made();
        let sealed = keys.seal(PLACE, "0123456789abcdef").unwrap();
        assert_eq!(keys.open(PLACE, &sealed).unwrap(), "0123456789abcdef");
        assert!(!sealed.text.contains("0123456789abcdef"));
        for place in [Place::Device("p1", "861"), Place::Device("p18", "60"), Place::Product("p1")] {
            assert!(matches!(keys.open(place, &sealed), Err(SealError::Broken { .. })), "{place}");
        }
        let error = Keyring::made().open(PLACE, &sealed).unwrap_err();
        assert!(error.to_string().contains(keys.current()), "{error}");
        let mut other = sealed.clone();
        other.text.replace_range(40..41, if sealed.text[40..].starts_with('A') { "B" } else { "A" });
        assert!(matches!(keys.open(PLACE, &other), Err(SealError::Broken { .. })));
    }

    #[test]
    fn two_seals_of_one_secret_are_not_alike() {
        let keys = Keyring::made();
        assert_ne!(keys.seal(PLACE, "secret").unwrap().text, keys.seal(PLACE, "secret").unwrap().text);
    }

    #[test]
    fn a_renewed_keyring_opens_what_was_sealed_before() {
        let old = Keyring::made();
        let sealed = old.seal(PLACE, "secret").unwrap();
        let new = old.renewed();
        assert_ne!(new.current(), old.current());
        assert_eq!(new.open(PLACE, &sealed).unwrap(), "secret");
        assert!(new.without_former().open(PLACE, &sealed).is_err());
        let read = Keyring::parse(&new.text()).unwrap();
        assert_eq!((read.current(), read.ids()), (new.current(), new.ids()));
    }

    #[test]
    fn a_text_that_is_no_key_is_refused_and_not_shown() {
        for (text, number) in [("", 1), ("12", 1), (&*format!("{},cafe", "0".repeat(64)), 2)] {
            let error = Keyring::parse(text).unwrap_err();
            assert_eq!(error, SealError::Key { number });
            assert!(!error.to_string().contains("cafe"));
        }
        assert!(!format!("{:?}", Keyring::parse(&"7".repeat(64)).unwrap()).contains("77777777"));
    }
}
