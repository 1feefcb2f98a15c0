//! Random secrets, their digests, and the bearer tokens made of them.

use std::fmt;

use axum::http::{HeaderMap, header};
use base64ct::{Base64UrlUnpadded, Encoding};
use sha2::{Digest, Sha256};

use super::{Access, AccessError, Caller, EndUser, NOTED, Principal, ProductScope, Role, Sort};
use crate::clock::Millis;
use crate::rules::TokenName;
use crate::store::{AccessToken, Grant, NewToken};

/// The text of a new token. It is shown once and kept nowhere.
pub struct NewSecret(String);

impl NewSecret {
    /// The token itself, for whoever made it.
    #[must_use]
    pub fn shown_once(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewSecret(..)")
    }
}

/// 32 random bytes in hexadecimal digits.
pub(super) fn random() -> String {
    hex::encode(rand::random::<[u8; 32]>())
}

/// What the store keeps of a secret. A plain SHA-256 will do: nobody can try 2^256 of them.
pub(super) fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// Compares all bytes, so that the time taken tells nothing about how many are right.
pub(super) fn same(ours: &[u8], theirs: &[u8]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

/// The bearer token of a request, if it has the header.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, AccessError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let value = value.to_str().map_err(|_| AccessError::WrongToken)?;
    match value.split_once(' ') {
        Some((scheme, shown)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(shown.trim())),
        _ => Err(AccessError::NoCredentials),
    }
}

impl Access {
    /// Makes a token; the store keeps its digest alone.
    ///
    /// # Errors
    /// The name is taken, it would expire at once, or the store's errors.
    pub async fn create_token(
        &self,
        name: &TokenName,
        grant: &Grant,
        made_by: &str,
        expires: Option<Millis>,
    ) -> Result<(NewSecret, AccessToken), AccessError> {
        let prefix = if matches!(grant, Grant::EndUser(_)) { "qcu_" } else { "qct_" };
        let secret = format!("{prefix}{}", Base64UrlUnpadded::encode_string(&rand::random::<[u8; 32]>()));
        let digest = digest(&secret);
        let new = NewToken { digest: &digest, name, grant, made_by, expires };
        let mut writer = self.0.store.write().await?;
        let token = writer.create_token(&new, self.now()).await?;
        writer.commit().await?;
        Ok((NewSecret(secret), token))
    }

    /// Whose token this is.
    pub(super) async fn bearer(&self, shown: &str) -> Result<Caller, AccessError> {
        let digest = Sha256::digest(shown.as_bytes());
        if self.0.file_token.as_ref().is_some_and(|token| same(token, &digest)) {
            return Ok(Caller::Staff(Principal {
                name: "token file".to_owned(),
                sort: Sort::TokenFile,
                role: Role::Administrator,
                products: ProductScope::All,
            }));
        }
        let now = self.now();
        let mut store = self.0.store.read().await?;
        let found = store.token_of(&hex::encode(digest)).await?;
        store.done();
        let token = found.filter(|token| token.expires.is_none_or(|expires| now < expires));
        let Some(token) = token else { return Err(AccessError::WrongToken) };
        if token.used.is_none_or(|used| now > used + NOTED) {
            self.note_use(token.id, now);
        }
        Ok(match token.grant {
            Grant::Role { role, products } => {
                Caller::Staff(Principal { name: token.name.to_string(), sort: Sort::Token, role, products })
            }
            Grant::EndUser(devices) => {
                Caller::EndUser(EndUser { token: token.id, name: token.name.to_string(), devices })
            }
        })
    }

    /// Nobody waits for it, and a use that is not noted is noted by the next one.
    fn note_use(&self, id: i64, now: Millis) {
        let store = self.0.store.clone();
        tokio::spawn(async move {
            if let Ok(mut writer) = store.write().await
                && writer.use_token(id, now).await.is_ok()
            {
                let _ = writer.commit().await;
            }
        });
    }
}
