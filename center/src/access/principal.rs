//! Who asks, once that is known.

use std::collections::BTreeSet;
use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::{ABSOLUTE, AccessError, DeviceName, ProductScope, Role};
use crate::rules::{DeviceKey, ProductKey};
use crate::store::Account;

/// Name of the cookie.
/// Name of the cookie of a session.
pub const COOKIE: &str = "quecota_session";

/// What a principal showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// A person with an account.
    Account,
    /// A program with an API token.
    Token,
    /// Whoever has the token of the data folder.
    TokenFile,
}

/// Somebody who may use the API and the pages, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Name of the account or token.
    pub name: String,
    /// Which of both.
    pub sort: Sort,
    /// What they may do.
    pub role: Role,
    /// With which products.
    pub products: ProductScope,
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sort {
            Sort::Account => write!(f, "account {}", self.name),
            Sort::Token => write!(f, "token {}", self.name),
            Sort::TokenFile => f.write_str("the token file"),
        }
    }
}

impl Principal {
    /// Whether they may do what needs this role.
    ///
    /// # Errors
    /// [`AccessError::Role`].
    pub fn require(&self, role: Role) -> Result<(), AccessError> {
        if self.role >= role {
            return Ok(());
        }
        Err(AccessError::Role { who: self.to_string(), has: self.role, needs: role })
    }

    /// Whether the product is in their reach.
    ///
    /// # Errors
    /// [`AccessError::Scope`].
    pub fn require_product(&self, product: &ProductKey) -> Result<(), AccessError> {
        if self.products.allows(product) {
            return Ok(());
        }
        Err(AccessError::Scope { who: self.to_string(), what: format!("product {product}") })
    }

    /// Whether every product is in their reach: what belongs to no product needs it.
    ///
    /// # Errors
    /// [`AccessError::Scope`].
    pub fn require_all_products(&self) -> Result<(), AccessError> {
        if self.products.is_all() {
            return Ok(());
        }
        Err(AccessError::Scope {
            who: self.to_string(),
            what: "what belongs to no product of theirs".to_owned(),
        })
    }
}

/// An end user: the owner of some devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndUser {
    /// Number of the token.
    pub token: i64,
    /// Name of the token.
    pub name: String,
    /// Their devices.
    pub devices: BTreeSet<DeviceName>,
}

impl EndUser {
    /// Whether the device is theirs.
    #[must_use]
    pub fn owns(&self, product: &ProductKey, device: &DeviceKey) -> bool {
        self.devices.contains(&DeviceName { product: product.clone(), device: device.clone() })
    }
}

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Of those who run the center.
    Staff(Principal),
    /// An end user of devices.
    EndUser(EndUser),
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::Staff(principal) => principal.fmt(f),
            // Tokens of several end users may have one name.
            Caller::EndUser(user) => write!(f, "end user {}, {}", user.token, user.name),
        }
    }
}

/// A browser that signed in.
#[derive(Clone)]
pub struct Session {
    /// Who.
    pub principal: Principal,
    /// Every changing request must bring it back.
    pub csrf: String,
    /// Nothing else goes before the password is changed.
    pub must_change_password: bool,
    secret: String,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("principal", &self.principal).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn of(account: &Account, secret: String) -> Self {
        let digest = Sha256::new().chain_update(b"quecota csrf\0").chain_update(secret.as_bytes()).finalize();
        Self {
            principal: Principal {
                name: account.name.to_string(),
                sort: Sort::Account,
                role: account.role,
                products: account.products.clone(),
            },
            csrf: hex::encode(digest),
            must_change_password: account.must_change,
            secret,
        }
    }

    /// The value of the cookie: for [`super::Access::sign_out`].
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// `Set-Cookie` that begins the session in the browser. `secure`: it signed in over TLS, so the cookie never goes out
    /// in the clear.
    #[must_use]
    pub fn cookie(&self, secure: bool) -> HeaderValue {
        set_cookie(&self.secret, ABSOLUTE.0 / 1000, secure)
    }

    /// `Set-Cookie` that takes the cookie away.
    #[must_use]
    pub fn no_cookie(secure: bool) -> HeaderValue {
        set_cookie("", 0, secure)
    }

    /// Whether `shown` is the session's CSRF token.
    ///
    /// # Errors
    /// [`AccessError::Csrf`].
    pub fn check_csrf(&self, shown: &str) -> Result<(), AccessError> {
        // Digests are compared, all of their bytes, so that the time taken tells nothing about how much was right.
        let (ours, shown) = (Sha256::digest(&self.csrf), Sha256::digest(shown));
        if super::token::same(&ours, &shown) { Ok(()) } else { Err(AccessError::Csrf) }
    }
}

fn set_cookie(value: &str, seconds: i64, secure: bool) -> HeaderValue {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    // Hexadecimal digits and our own words.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// The value of our cookie among those of a request.
pub(super) fn cookie_of(headers: &HeaderMap) -> Option<&str> {
    cookie_named(headers, COOKIE)
}

/// The value of a cookie that has one.
pub(super) fn cookie_named<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, value)| *name == wanted && !value.is_empty()).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=b; xquecota_session=no"));
        assert_eq!(cookie_of(&headers), None);
        headers.append(header::COOKIE, HeaderValue::from_static("c=d;quecota_session=yes"));
        assert_eq!(cookie_of(&headers), Some("yes"));
    }
}
