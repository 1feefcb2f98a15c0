//! `Idempotency-Key`: a request that makes something can be sent again when its answer was lost. The same key of the same
//! caller gets the answer of the first time, for a day; a refusal is not kept, for it had no effect. Of a request that broke off
//! before its end, with its center or by itself, nobody knows whether it had one: whoever sends it again is told so.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64ct::{Base64, Encoding};
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use sha2::{Digest, Sha256};

use super::Api;
use super::error::ApiError;
use super::routes::BodyLimit;
use crate::clock::Millis;

/// Name of the header.
pub(super) const HEADER: &str = "idempotency-key";
/// Longest key.
pub(super) const KEY_MAX: usize = 255;
/// Longest answer that is kept.
const ANSWER_MAX: usize = 1024 * 1024;

/// A request that may come again.
pub(super) struct Once {
    api: Api,
    digest: String,
    /// Seals the answer, which may hold a secret: the database knows no more of it than the digest.
    seal: ChaCha20Poly1305,
    is_over: bool,
}

/// What is to be done with a request.
pub(super) enum Begun {
    /// It has no key, or is new.
    New(Request, Option<Box<Once>>),
    /// It was answered before.
    Known(Response),
}

/// Looks whether the request was sent before.
pub(super) async fn begin(
    api: &Api,
    caller: &str,
    limit: BodyLimit,
    request: Request,
) -> Result<Begun, ApiError> {
    let Some(key) = request.headers().get(HEADER) else { return Ok(Begun::New(request, None)) };
    let key = key.to_str().unwrap_or_default().to_owned();
    if !(1..=KEY_MAX).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let rule = format!("1 to {KEY_MAX} visible ASCII characters, another one for each request");
        return Err(
            ApiError::invalid("invalid", "Idempotency-Key", &key, rule).with_status(StatusCode::BAD_REQUEST)
        );
    }
    let (request, fingerprint) = fingerprint(request, limit).await?;
    let digest = hex::encode(hashed(&["request", caller, &key]));
    let sealed_at = |at: Millis| {
        let secret = hashed(&["answer", caller, &key, &at.0.to_string()]);
        ChaCha20Poly1305::new(&Key::from(secret))
    };
    let now = api.engine.clock().now();
    let Some((known, is_under_way)) = api.engine.begin_request(&digest, &fingerprint, now).await? else {
        let once = Once { api: api.clone(), digest, seal: sealed_at(now), is_over: false };
        return Ok(Begun::New(request, Some(Box::new(once))));
    };
    if known.fingerprint != fingerprint {
        let rule = "this key was sent with another request: a new request needs a new key";
        return Err(ApiError::invalid("key_reused", "Idempotency-Key", &key, rule));
    }
    let Some((status, answer)) = known.answer else {
        let begun = format!("a request with this Idempotency-Key began at {}", known.created);
        return Err(if is_under_way {
            let message = format!("{begun}, and has no answer yet");
            ApiError::new(StatusCode::CONFLICT, "in_progress", message)
                .next("wait a moment, then send it again")
        } else {
            let message = format!("{begun}, and broke off before its end: it may have been done or not");
            let next = "GET what it was about and see whether it was done; if not, send it with a new Idempotency-Key";
            ApiError::new(StatusCode::CONFLICT, "cut_off", message).next(next)
        });
    };
    let opened = Base64::decode_vec(&answer).ok();
    let opened =
        opened.and_then(|answer| sealed_at(known.created).decrypt(&Nonce::default(), answer.as_slice()).ok());
    let status = u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok());
    match (status, opened) {
        (Some(status), Some(body)) => {
            let head = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            let mut response = (status, head, body).into_response();
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            Ok(Begun::Known(response))
        }
        _ => {
            let message = "the kept answer of this Idempotency-Key cannot be read";
            Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message))
        }
    }
}

impl Once {
    /// Keeps the answer if the request had an effect.
    pub(super) async fn end(mut self, response: Response) -> Result<Response, ApiError> {
        let (parts, body) = response.into_parts();
        let body = match to_bytes(body, ANSWER_MAX).await {
            Ok(body) => body,
            Err(error) => return Err(ApiError::internal(&error)),
        };
        // Each key seals one answer, so its nonce is not used twice.
        let sealed = self.seal.encrypt(&Nonce::default(), body.as_ref());
        let sealed = sealed.ok().filter(|_| parts.status.is_success());
        let answer = sealed.map(|sealed| Base64::encode_string(&sealed));
        let answer = answer.as_deref().map(|answer| (i64::from(parts.status.as_u16()), answer));
        self.api.engine.end_request(&self.digest, answer).await?;
        self.is_over = true;
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

impl Drop for Once {
    /// Whoever sends a request again whose handler panicked, or whose answer cannot be kept, is not told for ever that it is
    /// under way.
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let (engine, digest) = (self.api.engine.clone(), std::mem::take(&mut self.digest));
        tokio::spawn(async move {
            if let Err(error) = engine.break_off_request(&digest).await {
                tracing::warn!(%error, "a request broke off; its Idempotency-Key says that it is under way until the next start");
            }
        });
    }
}

/// Digest of method, address and body. Of a body that is read while it comes in, its length stands for it.
async fn fingerprint(request: Request, limit: BodyLimit) -> Result<(Request, String), ApiError> {
    let (parts, body) = request.into_parts();
    let (body, content) = match limit {
        BodyLimit::Bytes(most) => {
            let content = to_bytes(body, most).await.map_err(|_| {
                let message = format!("the body has more than {most} bytes, or broke off");
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "body", message)
            })?;
            (Body::from(content.clone()), content)
        }
        BodyLimit::ByHandler => {
            let length = parts.headers.get(header::CONTENT_LENGTH);
            (body, length.map(|length| Bytes::copy_from_slice(length.as_bytes())).unwrap_or_default())
        }
    };
    let mut hash = Sha256::new();
    for part in [parts.method.as_str().as_bytes(), parts.uri.to_string().as_bytes(), &content] {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    Ok((Request::from_parts(parts, body), hex::encode(hash.finalize())))
}

fn hashed(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
