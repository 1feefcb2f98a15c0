//! Who a device is: the MQTT password and the session cipher (QUECTHING.md 4.2), for both ends of the link.
//!
//! The device makes a password with [`bootstrap`] or [`login`]. The platform takes it apart with [`Password::parse`]
//! and checks it with [`Bootstrap::open`] or [`Login::verify`].

mod aes;
pub(super) mod base64;
mod cipher;
mod hash;

pub use cipher::{CipherError, SessionCipher};

use crate::{
    limits,
    text::{Text, TooLong},
};

/// Shortest product secret: its first 16 bytes are a key.
pub const PRODUCT_SECRET_MIN: usize = 16;

/// Bytes of the base64 of a SHA-256.
const SIGNATURE: usize = 44;
/// Longest sealed text: device key, nonce, signature and two semicolons, padded to whole blocks.
const SEALED: usize = 96;
const _: () = assert!(limits::DEVICE_KEY + 1 + Nonce::LEN + 1 + SIGNATURE < SEALED);
/// Bytes of its base64.
const SEALED_TEXT: usize = SEALED / 3 * 4;

/// Whether the frames after the login are encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Session {
    /// As they are.
    #[default]
    Plain,
    /// By [`SessionCipher`].
    Encrypted,
}

impl Session {
    fn flag(self) -> &'static str {
        match self {
            Session::Plain => "0000",
            Session::Encrypted => "0001",
        }
    }
}

/// 16 random letters and digits, new for every password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce([u8; Nonce::LEN]);

impl Nonce {
    /// Letters and digits in a nonce.
    pub const LEN: usize = 16;

    /// Makes one of random bytes.
    pub fn of(random: [u8; Nonce::LEN]) -> Nonce {
        Nonce(random.map(|byte| match byte % 62 {
            digit @ 0..10 => b'0'.wrapping_add(digit),
            letter @ 10..36 => b'A'.wrapping_add(letter.wrapping_sub(10)),
            letter => b'a'.wrapping_add(letter.wrapping_sub(36)),
        }))
    }

    /// `None` for what is not 16 letters and digits.
    pub fn parse(text: &str) -> Option<Nonce> {
        let letters = <[u8; Nonce::LEN]>::try_from(text.as_bytes()).ok()?;
        letters.iter().all(u8::is_ascii_alphanumeric).then_some(Nonce(letters))
    }

    /// Its letters and digits.
    pub fn as_str(&self) -> &str {
        // All ASCII.
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Why no password can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// Its first 16 bytes are a key.
    #[error("the product secret has {length} bytes; at least 16 are right")]
    ProductSecret {
        /// Bytes that it has.
        length: usize,
    },
    /// Longer than [`limits`] allows.
    #[error("product key or device key: {0}")]
    TooLong(#[from] TooLong),
}

/// Password of a device that has no secret yet. At most 32 bytes of product key and device key.
pub fn bootstrap(
    product_key: &str,
    product_secret: &str,
    device_key: &str,
    nonce: Nonce,
    session: Session,
) -> Result<Text<{ limits::PASSWORD }>, CredentialError> {
    let mut password = Text::new();
    write_bootstrap(product_key, product_secret, device_key, nonce, session, &mut password)?;
    Ok(password)
}

/// The same, to `password`, which is empty.
pub fn write_bootstrap(
    product_key: &str,
    product_secret: &str,
    device_key: &str,
    nonce: Nonce,
    session: Session,
    password: &mut Text<{ limits::PASSWORD }>,
) -> Result<(), CredentialError> {
    for (part, max) in [(product_key, limits::PRODUCT_KEY), (device_key, limits::DEVICE_KEY)] {
        if part.len() > max {
            return Err(TooLong::of(part.len(), max).into());
        }
    }
    let cipher =
        sealing(product_secret).ok_or(CredentialError::ProductSecret { length: product_secret.len() })?;
    let mut inner = Text::<SEALED>::new();
    let signature = sign(device_key, product_secret, nonce.as_str());
    inner.push_all(&[device_key, ";", nonce.as_str(), ";", &signature])?;
    let mut sealed = [0; SEALED];
    super::copy(&mut sealed, inner.as_bytes());
    let room = CredentialError::TooLong(TooLong::of(inner.len(), SEALED));
    let length = cipher.encrypt(&mut sealed, inner.len()).map_err(|_| room)?;
    let sealed = sealed.get(..length).ok_or(room)?;
    let sealed = base64::encode::<SEALED_TEXT>(sealed);
    Ok(password.push_all(&["0;", session.flag(), ";", product_key, ";", &sealed])?)
}

/// Password of a device that has its secret.
pub fn login(
    product_secret: &str,
    device_secret: &str,
    nonce: Nonce,
    session: Session,
) -> Result<Text<{ limits::PASSWORD }>, CredentialError> {
    let mut password = Text::new();
    write_login(product_secret, device_secret, nonce, session, &mut password)?;
    Ok(password)
}

/// The same, to `password`, which is empty.
pub fn write_login(
    product_secret: &str,
    device_secret: &str,
    nonce: Nonce,
    session: Session,
    password: &mut Text<{ limits::PASSWORD }>,
) -> Result<(), CredentialError> {
    let signature = sign(device_secret, product_secret, nonce.as_str());
    Ok(password.push_all(&["1;", session.flag(), ";", nonce.as_str(), ";", &signature])?)
}

/// A password taken apart; nothing in it is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password<'a> {
    /// Of a device without a secret.
    Bootstrap(Bootstrap<'a>),
    /// Of a device with one.
    Login(Login<'a>),
}

/// What a device without a secret says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootstrap<'a> {
    /// Whether it wants its frames encrypted.
    pub session: Session,
    /// Its product.
    pub product_key: &'a str,
    /// Base64 of what only the product's secret opens.
    pub sealed: &'a str,
}

/// What a device with a secret says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Login<'a> {
    /// Whether it wants its frames encrypted.
    pub session: Session,
    /// Its nonce, as it came.
    pub random: &'a str,
    /// Base64 of its signature.
    pub signature: &'a str,
}

/// Why a text is no password of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Not four parts.
    #[error("{count} parts between semicolons; four are right: kind;flag;...;...")]
    Parts {
        /// How many there are.
        count: usize,
    },
    /// Not the kind of a device that we know.
    #[error("its first part is neither 0 (bootstrap) nor 1 (login)")]
    Kind,
    /// Not a session flag.
    #[error("its second part is neither 0000 (plain) nor 0001 (encrypted session)")]
    Flag,
    /// Product key, nonce, sealed part or signature.
    #[error("part {number} is empty")]
    Empty {
        /// 3 or 4.
        number: usize,
    },
}

/// Why a password is not the device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The secret that it is checked with cannot be one.
    #[error("the product secret has {length} bytes; at least 16 are right")]
    ProductSecret {
        /// Bytes that it has.
        length: usize,
    },
    /// Another product secret, or broken.
    #[error("the sealed part does not open with the product secret")]
    Sealed,
    /// Another secret: proven.
    #[error("the signature does not match the secrets")]
    Signature,
}

impl<'a> Password<'a> {
    /// Takes a password apart.
    pub fn parse(text: &'a str) -> Result<Password<'a>, PasswordError> {
        let mut parts = super::parts(text, b';');
        let mut next = || parts.next();
        let (Some(kind), Some(flag), Some(third), Some(fourth), None) =
            (next(), next(), next(), next(), next())
        else {
            return Err(PasswordError::Parts { count: super::parts(text, b';').count() });
        };
        let session = match flag {
            "0000" => Session::Plain,
            "0001" => Session::Encrypted,
            _ => return Err(PasswordError::Flag),
        };
        if third.is_empty() || fourth.is_empty() {
            return Err(PasswordError::Empty { number: if third.is_empty() { 3 } else { 4 } });
        }
        match kind {
            "0" => Ok(Password::Bootstrap(Bootstrap { session, product_key: third, sealed: fourth })),
            "1" => Ok(Password::Login(Login { session, random: third, signature: fourth })),
            _ => Err(PasswordError::Kind),
        }
    }

    /// Whether the device wants its frames encrypted.
    pub fn session(&self) -> Session {
        match self {
            Password::Bootstrap(bootstrap) => bootstrap.session,
            Password::Login(login) => login.session,
        }
    }
}

impl Bootstrap<'_> {
    /// The device key, once the product's secret has proven it. That secret is all that a new device can prove.
    pub fn open(&self, product_secret: &str) -> Result<Text<{ limits::DEVICE_KEY }>, VerifyError> {
        let cipher =
            sealing(product_secret).ok_or(VerifyError::ProductSecret { length: product_secret.len() })?;
        let mut sealed = [0; SEALED];
        let sealed = base64::decode(self.sealed, &mut sealed).ok_or(VerifyError::Sealed)?;
        let inner = cipher.decrypt(sealed).map_err(|_| VerifyError::Sealed)?;
        let inner = core::str::from_utf8(inner).map_err(|_| VerifyError::Sealed)?;
        let mut parts = super::parts(inner, b';');
        let mut next = || parts.next();
        let (Some(device_key), Some(random), Some(signature), None) = (next(), next(), next(), next()) else {
            return Err(VerifyError::Sealed);
        };
        if device_key.is_empty() {
            return Err(VerifyError::Sealed);
        }
        check(signature, &sign(device_key, product_secret, random))?;
        Text::of(device_key).map_err(|_| VerifyError::Sealed)
    }
}

impl Login<'_> {
    /// Whether the device has both secrets.
    pub fn verify(&self, product_secret: &str, device_secret: &str) -> Result<(), VerifyError> {
        check(self.signature, &sign(device_secret, product_secret, self.random))
    }
}

/// The cipher of a bootstrap: key is the product secret's begin, but the vector comes from all of it.
fn sealing(product_secret: &str) -> Option<SessionCipher> {
    let key = product_secret.as_bytes().first_chunk()?;
    Some(SessionCipher::with_vector_of(key, product_secret.as_bytes()))
}

/// Base64 of SHA-256 of `own;product_secret;random`.
fn sign(own: &str, product_secret: &str, random: &str) -> Text<SIGNATURE> {
    base64::encode(&hash::sha256(&[own, ";", product_secret, ";", random].map(str::as_bytes)))
}

/// Compares in a time that does not depend on where they differ.
fn check(given: &str, right: &str) -> Result<(), VerifyError> {
    let pairs = given.as_bytes().iter().zip(right.as_bytes());
    let difference = pairs.fold(0, |sum, (given, right)| sum | (given ^ right));
    if given.len() == right.len() && difference == 0 { Ok(()) } else { Err(VerifyError::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    const PK: &str = "p1abcd";
    const PS: &str = "MTIzNDU2Nzg5MGFi";
    const DK: &str = "860000000000001";
    const DS: &str = "0123456789abcdef0123456789abcdef";

    fn nonce() -> Nonce {
        Nonce::parse("A1b2C3d4E5f6G7h8").unwrap()
    }

    fn opened(password: &str, product_secret: &str) -> Result<Text<32>, VerifyError> {
        let Password::Bootstrap(bootstrap) = Password::parse(password).unwrap() else { unreachable!() };
        bootstrap.open(product_secret)
    }

    #[test]
    fn the_longest_bootstrap_fits_and_opens() {
        let (key, secret) = ("k".repeat(32), "s".repeat(32));
        let password = bootstrap(&key, &secret, &"d".repeat(32), nonce(), Session::Encrypted).unwrap();
        assert_eq!(opened(&password, &secret).unwrap().as_str(), "d".repeat(32));
        let error = bootstrap(PK, PS, &"d".repeat(33), nonce(), Session::Plain).unwrap_err();
        assert_eq!(error.to_string(), "product key or device key: text of 33 bytes; at most 32 fit");
    }

    #[test]
    fn another_products_secret_does_not_open() {
        let password = bootstrap(PK, PS, DK, nonce(), Session::Plain).unwrap();
        assert_eq!(opened(&password, PS).unwrap().as_str(), DK);
        assert_eq!(opened(&password, "MTIzNDU2Nzg5MGFj"), Err(VerifyError::Sealed));
        // The same key, another vector and signature.
        assert!(opened(&password, "MTIzNDU2Nzg5MGFib").is_err());
        assert_eq!(opened(&password, "short"), Err(VerifyError::ProductSecret { length: 5 }));
    }

    #[test]
    fn a_login_with_a_wrong_secret_is_proven_wrong() {
        let password = login(PS, DS, nonce(), Session::Encrypted).unwrap();
        let Password::Login(login) = Password::parse(&password).unwrap() else { unreachable!() };
        assert_eq!(login.session, Session::Encrypted);
        assert_eq!(login.verify(PS, DS), Ok(()));
        assert_eq!(login.verify(PS, "0123"), Err(VerifyError::Signature));
        let cut = Login { signature: login.signature.get(..43).unwrap(), ..login };
        assert_eq!(cut.verify(PS, DS), Err(VerifyError::Signature));
    }

    #[test]
    fn what_is_no_password_is_refused_by_its_part() {
        for (text, error) in [
            ("", PasswordError::Parts { count: 1 }),
            ("1;0000;a", PasswordError::Parts { count: 3 }),
            ("1;0000;a;b;c", PasswordError::Parts { count: 5 }),
            ("2;0000;a;b", PasswordError::Kind),
            ("1;0002;a;b", PasswordError::Flag),
            ("1;0000;;b", PasswordError::Empty { number: 3 }),
            ("0;0000;a;", PasswordError::Empty { number: 4 }),
        ] {
            assert_eq!(Password::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn a_sealed_part_that_is_not_one_does_not_open() {
        for sealed in ["!", "AAAA", "mU/x+XxOzNBV3x0t/V17Kw==", &"A".repeat(400)] {
            let bootstrap = Bootstrap { session: Session::Plain, product_key: PK, sealed };
            assert_eq!(bootstrap.open(PS), Err(VerifyError::Sealed), "{sealed}");
        }
    }

    #[test]
    fn a_nonce_is_16_letters_and_digits() {
        for byte in 0..=255 {
            let nonce = Nonce::of([byte; 16]);
            assert_eq!(Nonce::parse(nonce.as_str()), Some(nonce));
        }
        assert_eq!(Nonce::parse("A1b2C3d4E5f6G7h"), None);
        assert_eq!(Nonce::parse("A1b2C3d4E5f6G7h;"), None);
    }
}
