//! What a request brings, read before its handler runs: names in the path, the query, a JSON body.
//! A part that cannot be read is refused with the API's own error.

use std::convert::Infallible;

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::error::ApiError;
use super::openapi::operation::{Describer, Input};
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

fn no_nul(field: &str) -> ApiError {
    ApiError::invalid("invalid", field, "", "a text has no NUL character (U+0000) in it")
}

/// JSON that is none of what belongs there.
fn wrong_body(error: serde_json::Error) -> ApiError {
    let rule = format!("the body is not the JSON that belongs here: {error}");
    ApiError::invalid("body", "body", "", rule)
}

/// Reads an object: a list of its values without their names is none, although it could be read.
fn read_object<T: DeserializeOwned>(body: Value) -> Result<T, ApiError> {
    let fields = Map::deserialize(body).map_err(wrong_body)?;
    T::deserialize(Value::Object(fields)).map_err(wrong_body)
}

/// The same, of a field that may be left out.
pub(super) fn object<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<T>, D::Error> {
    let fields = Option::<Map<String, Value>>::deserialize(value)?;
    fields.map(|fields| T::deserialize(Value::Object(fields))).transpose().map_err(D::Error::custom)
}

/// No text of a body has a NUL in it: a database may not hold it. A number is whole however it is written: 3.0 is 3.
pub(super) fn check_values(body: &mut Value) -> Result<(), ApiError> {
    match body {
        Value::String(text) if text.contains('\0') => Err(no_nul("body")),
        Value::Array(items) => items.iter_mut().try_for_each(check_values),
        Value::Object(fields) => fields.iter_mut().try_for_each(|(name, value)| {
            if name.contains('\0') { Err(no_nul("body")) } else { check_values(value) }
        }),
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|_| number.is_f64()).and_then(whole) {
                *body = Value::from(whole);
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The number if it is whole, and so small that no digit of it is lost.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// The query of a request, `?name=value&...`.
pub(super) struct Asked<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        if parts.uri.query().is_some_and(|query| query.contains("%00")) {
            return Err(no_nul("query"));
        }
        let Query(asked) = Query::from_request_parts(parts, state).await?;
        Ok(Self(asked))
    }
}

/// The query of a list that is answered whole: it has no part of it.
pub(super) struct AskedWhole<T>(pub(super) T);

/// What asks for a part.
const OF_PARTS: [&str; 2] = ["after", "limit"];

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for AskedWhole<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await?;
        if let Some((name, value)) = pairs.iter().find(|(name, _)| OF_PARTS.contains(&name.as_str())) {
            let rule = "the file has every row: leave it out";
            return Err(ApiError::invalid("unknown_field", name, value, rule));
        }
        let Asked(asked) = Asked::from_request_parts(parts, state).await?;
        Ok(Self(asked))
    }
}

impl<T: JsonSchema> Input for AskedWhole<T> {
    fn describe(describer: &mut Describer) {
        describer.query::<T>();
        describer.without(&OF_PARTS);
    }
}

/// The body of a request, as JSON.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Json(mut body) = Json::<Value>::from_request(request, state).await?;
        check_values(&mut body)?;
        Ok(Self(read_object(body)?))
    }
}

/// The body of a request as JSON; an empty one means the same as `{}`.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = axum::body::Bytes::from_request(request, state).await?;
        let mut body: Value = serde_json::from_slice(if body.is_empty() { b"{}" } else { &body })?;
        check_values(&mut body)?;
        Ok(Self(read_object(body)?))
    }
}

/// Where a stream of events that broke off goes on.
pub(super) struct LastEventId(pub(super) HeaderMap);

/// In which languages texts are wanted.
pub(super) struct AcceptLanguage(pub(super) HeaderMap);

impl<S: Send + Sync> FromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.clone()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AcceptLanguage {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.headers.clone()))
    }
}

/// A CSV file, whole.
pub(super) struct CsvText(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for CsvText {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = axum::body::Bytes::from_request(request, state).await?;
        let text = String::from_utf8(bytes.into());
        text.map(Self).map_err(|error| {
            let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
            ApiError::invalid("text", "file", &shown, "a CSV file is UTF-8 text")
        })
    }
}

impl Input for CsvText {
    fn describe(describer: &mut Describer) {
        csv_body(describer);
    }
}

/// A CSV file, read while it comes in.
pub(super) struct CsvStream(pub(super) axum::body::Body);

impl<S: Send + Sync> FromRequest<S> for CsvStream {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self(request.into_body()))
    }
}

impl Input for CsvStream {
    fn describe(describer: &mut Describer) {
        csv_body(describer);
    }
}

fn csv_body(describer: &mut Describer) {
    let description = "Device keys, one a line, in the first column; what stands behind them does not count.";
    let row = "[0-9A-Za-z_.:-]{1,32}(,[^\\r\\n\\u0000]*)?";
    let pattern = format!("^{row}(\\r?\\n({row})?)*$");
    describer.body(
        "text/csv",
        true,
        json!({ "type": "string", "description": description, "pattern": pattern }),
    );
}

/// The form of a version package; it is read while it comes in.
pub(super) struct Upload(pub(super) Request);

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self(request))
    }
}

impl<A: JsonSchema> Input for Named<A> {
    fn describe(describer: &mut Describer) {
        describer.path::<A>();
    }
}

impl<T: JsonSchema> Input for Asked<T> {
    fn describe(describer: &mut Describer) {
        describer.query::<T>();
    }
}

impl<T: JsonSchema> Input for Body<T> {
    fn describe(describer: &mut Describer) {
        describer.json_body::<T>(true);
    }
}

impl<T: JsonSchema> Input for OptionalBody<T> {
    fn describe(describer: &mut Describer) {
        describer.json_body::<T>(false);
    }
}

impl Input for LastEventId {
    fn describe(describer: &mut Describer) {
        let description = "The `id` of the last event that was seen, after a broken connection.";
        describer.header("Last-Event-ID", description, json!({ "type": "string" }));
    }
}

impl Input for AcceptLanguage {
    fn describe(describer: &mut Describer) {
        let description = "Languages of the texts, the dearest first (RFC 9110).";
        describer.header("Accept-Language", description, json!({ "type": "string" }));
    }
}
