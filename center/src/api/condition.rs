//! `ETag` and `If-Match`: a change is made only to the thing that the caller has seen.
//!
//! A tag has two parts. The first is of what people edit, and `If-Match` asks for it alone: a plan under way can be changed
//! although its figures move on. Both together are of all that is shown, which is what `If-None-Match` asks for.

use std::fmt;

use axum::body::Body;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use super::Api;
use super::audited::look_into;
use super::error::ApiError;
use crate::rules::plan::PlanState;
use crate::store::Writer;

/// Held from the look at a thing to the end of its change: by one task of one center.
pub(super) struct Condition {
    _own: OwnedMutexGuard<()>,
    _all: Option<Writer>,
}

/// By route, what a thing shows that changes by itself, or with other things.
pub const FIGURES: &[(&str, &[&str])] = &[
    ("/accounts/{account}", &["signed_in"]),
    ("/packages/{package}", &["last_verification", "plans", "verified", "warnings"]),
    ("/plans/{plan}", &["counting", "devices", "population", "success_rate", "superseded_by"]),
    (
        "/products/{pk}/devices/{dk}",
        &[
            "battery",
            "center",
            "firmware_version",
            "free_space",
            "last_seen",
            "mcu_versions",
            "model",
            "module_suffix",
            "module_version",
            "offline_since",
            "online",
            "online_since",
            "peer",
            "rsrp",
            "sdk_version",
            "session",
            "signal",
            "versions_at",
            "voltage",
        ],
    ),
    ("/tokens/{token}", &["used"]),
    ("/webhooks/{webhook}/deliveries/{delivery}", &["attempts", "ended", "log", "next_attempt"]),
];

/// The tag of a thing as `GET` shows it.
struct Tag {
    /// Of what people edit.
    edited: String,
    /// Of the rest.
    figures: String,
}

impl Tag {
    /// Of what the route `route` shows; none: it is a list, which has none.
    fn of(route: &str, mut thing: Value) -> Option<Self> {
        let fields = thing.as_object_mut()?;
        if fields.contains_key("items") && fields.contains_key("next") {
            return None;
        }
        let names = FIGURES.iter().find(|(of, _)| *of == route).map_or(&[][..], |(_, names)| names);
        let mut figures: Map<_, _> = names.iter().filter_map(|name| fields.remove_entry(*name)).collect();
        // The first offer of a plan changes its state, and nobody has edited it.
        if route == "/plans/{plan}"
            && let Some(state) = fields.get_mut("state")
            && *state == PlanState::Upgrading.as_str()
        {
            figures.insert("state".to_owned(), state.take());
            *state = PlanState::Activated.as_str().into();
        }
        let digest = |text: String| hex::encode(&Sha256::digest(text)[..12]);
        let figures =
            if figures.is_empty() { String::new() } else { digest(Value::from(figures).to_string()) };
        Some(Self { edited: digest(thing.to_string()), figures })
    }

    /// Whether a tag from before is of the same edited state.
    fn is_same_edited(&self, before: &str) -> bool {
        let inner = before.strip_prefix('"').and_then(|inner| inner.strip_suffix('"'));
        inner.and_then(|inner| inner.split('.').next()) == Some(&self.edited)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.figures.as_str() {
            "" => write!(f, "\"{}\"", self.edited),
            figures => write!(f, "\"{}.{figures}\"", self.edited),
        }
    }
}

/// Adds its tag to the answer that shows a thing; of a thing that the caller has already, the tag is all.
pub(super) async fn tagged(
    route: &str,
    request: &HeaderMap,
    response: Response,
) -> Result<Response, ApiError> {
    if response.status() != StatusCode::OK {
        return Ok(response);
    }
    let (mut response, shown) = look_into(response).await?;
    let Some(tag) = shown.and_then(|shown| Tag::of(route, shown)) else { return Ok(response) };
    let tag = tag.to_string();
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
    thing: Option<(&str, String)>,
    extensions: &Extensions,
) -> Result<Option<Condition>, ApiError> {
    if !request.contains_key(header::IF_MATCH) {
        return Ok(None);
    }
    let own = std::sync::Arc::clone(&api.conditional).lock_owned().await;
    let held = Condition { _own: own, _all: api.engine.store().lock_conditional_changes().await? };
    let now = match thing {
        Some((route, path)) => {
            api.things.now(&path, extensions).await.and_then(|thing| Tag::of(route, thing))
        }
        None => None,
    };
    let fits = |wanted: &str| now.as_ref().is_some_and(|now| wanted == "*" || now.is_same_edited(wanted));
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
