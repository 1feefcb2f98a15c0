//! The bearer token in front of everything under `/api`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::error::ApiError;

/// The token that callers must show.
#[derive(Clone)]
pub struct Token(Arc<[u8; 32]>);

impl Token {
    /// Keeps the digest of a token; the token itself is not needed again.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(Arc::new(Sha256::digest(token.as_bytes()).into()))
    }

    /// Whether `shown` is the token. Digests are compared, all of their bytes, so that the time taken tells
    /// nothing about how much of a guess was right.
    fn is(&self, shown: &str) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        self.0.iter().zip(shown).fold(0, |difference, (ours, theirs)| difference | (ours ^ theirs)) == 0
    }
}

/// Middleware: lets a request pass that shows the token.
pub async fn require(State(token): State<Token>, request: Request, next: Next) -> Result<Response, ApiError> {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let message = match shown.map(|value| value.split_once(' ').unwrap_or((value, ""))) {
        Some((scheme, shown)) if scheme.eq_ignore_ascii_case("bearer") && token.is(shown.trim()) => {
            return Ok(next.run(request).await);
        }
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("bearer") => {
            "the token is wrong: show the one in the file `token` of the center's data folder, or in QUECOTA_TOKEN"
        }
        _ => {
            "no token: send the header `Authorization: Bearer TOKEN`; the token is in the file `token` of the \
             center's data folder, or in QUECOTA_TOKEN"
        }
    };
    Err(ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_the_token() {
        let token = Token::new("0123456789abcdef");
        assert!(token.is("0123456789abcdef"));
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF"] {
            assert!(!token.is(wrong), "{wrong}");
        }
    }
}
