//! `ETag` and `If-Match`: a change is made only to the thing that the caller has seen.

use axum::body::Body;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use super::Api;
use super::audited::look_into;
use super::error::ApiError;
use crate::store::Writer;

/// Held from the look at a thing to the end of its change: by one task of one center.
pub(super) struct Condition {
    _own: OwnedMutexGuard<()>,
    _all: Option<Writer>,
}

/// The tag of a thing as `GET` shows it; none: it is a list, which has none.
fn tag(thing: &Value) -> Option<String> {
    let is_list = thing.get("items").is_some() && thing.get("next").is_some();
    (!is_list).then(|| format!("\"{}\"", hex::encode(&Sha256::digest(thing.to_string())[..16])))
}

/// Adds its tag to the answer that shows a thing; of a thing that the caller has already, the tag is all.
pub(super) async fn tagged(request: &HeaderMap, response: Response) -> Result<Response, ApiError> {
    if response.status() != StatusCode::OK {
        return Ok(response);
    }
    let (mut response, shown) = look_into(response).await?;
    let Some(tag) = shown.as_ref().and_then(tag) else { return Ok(response) };
    let known = values(request, &header::IF_NONE_MATCH).any(|known| {
        let known = known.strip_prefix("W/").unwrap_or(known);
        known == tag || known == "*"
    });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().remove(header::CONTENT_TYPE);
        *response.body_mut() = Body::empty();
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response.into_response())
}

/// Lets a request pass whose `If-Match` names the thing as it is now; none: it has no such header.
pub(super) async fn check(
    api: &Api,
    request: &HeaderMap,
    thing: Option<&str>,
    extensions: &Extensions,
) -> Result<Option<Condition>, ApiError> {
    if !request.contains_key(header::IF_MATCH) {
        return Ok(None);
    }
    let own = std::sync::Arc::clone(&api.conditional).lock_owned().await;
    let held = Condition { _own: own, _all: api.engine.store().lock_conditional_changes().await? };
    let now = match thing {
        Some(thing) => api.things.now(thing, extensions).await,
        None => None,
    };
    let now = now.as_ref().and_then(tag);
    let fits = |wanted: &str| now.as_deref().is_some_and(|now| wanted == "*" || wanted == now);
    if values(request, &header::IF_MATCH).any(fits) {
        return Ok(Some(held));
    }
    let wanted = values(request, &header::IF_MATCH).collect::<Vec<_>>().join(", ");
    let rule = match &now {
        Some(now) => format!("it was changed meanwhile, its ETag is {now}"),
        None => "there is nothing here that has an ETag".to_owned(),
    };
    Err(ApiError::invalid("changed", "If-Match", &wanted, rule).with_status(StatusCode::PRECONDITION_FAILED))
}

fn values<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}
