//! What a request brings, read before its handler runs: names in the path, the query, a JSON body.
//! A part that cannot be read is refused with the API's own error.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use crate::rules::upgrade::UserAction;
use crate::rules::{AccountName, ComponentNo, DeliveryId, DeviceKey, ProductKey, WebhookId};
use crate::store::{PackageId, PlanId, UpgradeId};

/// A name or number that stands in a path.
pub(super) trait Segment: Sized {
    /// Reads it; a number that is none is a thing that is not there.
    fn read(given: String) -> Result<Self, ApiError>;
}

impl Segment for ProductKey {
    fn read(given: String) -> Result<Self, ApiError> {
        Ok(Self::new(given)?)
    }
}

impl Segment for DeviceKey {
    fn read(given: String) -> Result<Self, ApiError> {
        Ok(Self::new(given)?)
    }
}

impl Segment for ComponentNo {
    fn read(given: String) -> Result<Self, ApiError> {
        Ok(Self::new(given)?)
    }
}

impl Segment for AccountName {
    fn read(given: String) -> Result<Self, ApiError> {
        Ok(Self::new(given)?)
    }
}

/// The number of a token.
impl Segment for i64 {
    fn read(given: String) -> Result<Self, ApiError> {
        number("token", &given)
    }
}

impl Segment for PlanId {
    fn read(given: String) -> Result<Self, ApiError> {
        number("upgrade plan", &given).map(Self)
    }
}

impl Segment for PackageId {
    fn read(given: String) -> Result<Self, ApiError> {
        number("version package", &given).map(Self)
    }
}

impl Segment for WebhookId {
    fn read(given: String) -> Result<Self, ApiError> {
        number("webhook", &given).map(Self)
    }
}

impl Segment for DeliveryId {
    fn read(given: String) -> Result<Self, ApiError> {
        number("webhook delivery", &given).map(Self)
    }
}

/// A firmware verification has the number of its upgrade.
impl Segment for UpgradeId {
    fn read(given: String) -> Result<Self, ApiError> {
        number("firmware verification", &given).map(Self)
    }
}

/// The number of a file in its package, from 0.
impl Segment for usize {
    fn read(given: String) -> Result<Self, ApiError> {
        given.parse().map_err(|_| ApiError::missing("file", &given))
    }
}

/// What the end user does.
impl Segment for UserAction {
    fn read(given: String) -> Result<Self, ApiError> {
        given.parse().map_err(|_| ApiError::missing("action", &given))
    }
}

fn number(thing: &'static str, given: &str) -> Result<i64, ApiError> {
    given.parse().map_err(|_| ApiError::missing(thing, given))
}

/// The names of a request's path, from left to right.
pub(super) struct Named<T>(pub(super) T);

impl<S: Send + Sync, A: Segment> FromRequestParts<S> for Named<A> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path(a) = Path::<String>::from_request_parts(parts, state).await?;
        Ok(Self(A::read(a)?))
    }
}

impl<S: Send + Sync, A: Segment, B: Segment> FromRequestParts<S> for Named<(A, B)> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((a, b)) = Path::<(String, String)>::from_request_parts(parts, state).await?;
        Ok(Self((A::read(a)?, B::read(b)?)))
    }
}

impl<S: Send + Sync, A: Segment, B: Segment, C: Segment> FromRequestParts<S> for Named<(A, B, C)> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Path((a, b, c)) = Path::<(String, String, String)>::from_request_parts(parts, state).await?;
        Ok(Self((A::read(a)?, B::read(b)?, C::read(c)?)))
    }
}

/// The query of a request, `?name=value&...`.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(asked) = Query::from_request_parts(parts, state).await?;
        Ok(Self(asked))
    }
}

/// The body of a request, as JSON.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Json(body) = Json::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// The body of a request as JSON; an empty one means the same as `{}`.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = axum::body::Bytes::from_request(request, state).await?;
        Ok(Self(serde_json::from_slice(if body.is_empty() { b"{}" } else { &body })?))
    }
}
