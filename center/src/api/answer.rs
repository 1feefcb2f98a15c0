//! What handlers answer with, so that the type says what the answer is.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::openapi::operation::{Describer, Output};

/// Something new, as it is now.
pub(super) struct Created<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl<T: JsonSchema> Output for Created<T> {
    fn describe(describer: &mut Describer) {
        let schema = describer.answer_schema::<T>().to_value();
        describer.answer(StatusCode::CREATED, "Made", Some(("application/json", schema)));
    }
}

/// The name or number of what is no more.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Deleted{T}")]
pub(super) struct Deleted<T> {
    pub(super) deleted: T,
}

/// Rows of a table (RFC 4180).
pub(super) struct Csv(pub(super) Response);
/// Server-sent events.
pub(super) struct EventStream(pub(super) Response);
/// A file of a version package, or a part of it.
pub(super) struct FileBytes(pub(super) Response);
/// A text that is no JSON.
pub(super) struct Metrics(pub(super) String);

/// Media type of the figures.
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl IntoResponse for Csv {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Output for Csv {
    fn describe(describer: &mut Describer) {
        describer.answer(StatusCode::OK, "The rows", Some(("text/csv", json!({ "type": "string" }))));
    }
}

impl IntoResponse for EventStream {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Output for EventStream {
    fn describe(describer: &mut Describer) {
        let stream = Some(("text/event-stream", json!({ "type": "string" })));
        describer.answer(
            StatusCode::OK,
            "A stream of events (HTML Living Standard, 9.2), until its end",
            stream,
        );
        describer.answer(StatusCode::NO_CONTENT, "Nothing is left to tell: do not connect again", None);
    }
}

impl IntoResponse for FileBytes {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Output for FileBytes {
    fn describe(describer: &mut Describer) {
        let content = || Some(("application/octet-stream", json!({ "type": "string", "format": "binary" })));
        describer.answer(StatusCode::OK, "The file", content());
        describer.answer(
            StatusCode::PARTIAL_CONTENT,
            "The part of it that the header Range asks for",
            content(),
        );
        describer.problem(StatusCode::RANGE_NOT_SATISFIABLE);
    }
}

impl IntoResponse for Metrics {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, METRICS)], self.0).into_response()
    }
}

impl Output for Metrics {
    fn describe(describer: &mut Describer) {
        let text = ("application/openmetrics-text", json!({ "type": "string" }));
        describer.answer(StatusCode::OK, "The figures, as OpenMetrics text", Some(text));
    }
}

/// The description of the API.
pub(super) struct Description(pub(super) bytes::Bytes);

impl IntoResponse for Description {
    fn into_response(self) -> Response {
        let mut head = HeaderMap::new();
        head.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        (head, self.0).into_response()
    }
}

impl Output for Description {
    fn describe(describer: &mut Describer) {
        let schema = ("application/json", json!({ "type": "object" }));
        describer.answer(StatusCode::OK, "The description, OpenAPI 3.1", Some(schema));
    }
}
