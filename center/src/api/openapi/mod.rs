//! The API's description, OpenAPI 3.1: made of the table of routes and the types of the handlers, so that it says what the
//! program does; and a page to try it with.

pub(super) mod operation;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use self::operation::{Described, Describer};
use super::answer::Description;
use super::error::ApiError;
use super::idempotency::KEY_MAX;
use super::problem::{MEDIA_TYPE, Problem};
use super::routes::{Requires, Route};
use super::{Api, audited};

/// What stands at the head of the document.
const ABOUT: &str = "The REST API of quecota-center. Whoever asks shows a token (`Authorization: Bearer`) or the cookie of a \
session; what changes something in a session also shows its `X-CSRF-Token`. Lists come in pages: `next` of one page is `after` of \
the next. Times are milliseconds since 1970 (UTC). What is refused is answered with a problem (RFC 9457).";

/// The document for these routes.
pub(super) fn document(routes: &[Route]) -> Value {
    let mut describer = Describer::new();
    let problem = describer.answer_schema::<Problem>().to_value();
    let mut paths = Map::new();
    for route in routes {
        (route.describe)(&mut describer);
        let described = describer.take();
        let path = paths.entry(route.full_path()).or_insert_with(|| json!({}));
        let is_conditional = audited::is_conditional(routes, route);
        let is_tagged = route.method == Method::GET && audited::conditional(routes).contains(route.path);
        let described = with_conditions(route, described, is_conditional, is_tagged);
        path[route.method.as_str().to_ascii_lowercase()] = operation(route, described, &problem);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "quecota-center",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "This center" }],
        "security": [{ "token": [] }, { "session": [] }],
        "paths": paths,
        "components": {
            "schemas": describer.definitions(),
            "securitySchemes": {
                "token": {
                    "type": "http", "scheme": "bearer",
                    "description": "A token that `POST /api/v1/tokens` made, or the one in the data folder's file `token`.",
                },
                "session": {
                    "type": "apiKey", "in": "cookie", "name": crate::access::SESSION_COOKIE,
                    "description": "The cookie that `POST /api/v1/session` sets.",
                },
            },
        },
    })
}

/// Adds what the guard does for a route: tags, conditions and keys.
fn with_conditions(
    route: &Route,
    mut described: Described,
    is_conditional: bool,
    is_tagged: bool,
) -> Described {
    let mut header = |name: &str, description: &str, schema: Value| {
        described.parameters.push(json!({
            "name": name, "in": "header", "required": false, "description": description, "schema": schema,
        }));
    };
    let tag = json!({ "type": "string", "examples": ["\"5d41402abc4b2a76b9719d911017c592\""] });
    let is_change = !route.method.is_safe() && route.requires.role().is_some();
    if is_change && is_conditional {
        header("If-Match", "Change it only if this is still its ETag.", tag.clone());
        described.problems.insert(412);
    }
    if is_change && route.method == Method::POST {
        let schema = json!({ "type": "string", "pattern": format!("^[!-~]{{1,{KEY_MAX}}}$") });
        let description = "Sent again with the same key within 24 h, the request has no further effect and gets the same \
                           answer; with another body it is refused. Of a file, its length counts alone.";
        header("Idempotency-Key", description, schema);
        described.problems.extend([400, 409, 413, 422]);
    }
    if is_tagged {
        header("If-None-Match", "Answer with 304 alone if this is still its ETag.", tag.clone());
        described.answers.insert(304, json!({ "description": "It has this ETag still" }));
        if let Some(answer) = described.answers.get_mut(&200) {
            answer["headers"] =
                json!({ "ETag": { "description": "Changes with the thing.", "schema": tag } });
        }
    }
    described
}

fn operation(route: &Route, described: Described, problem: &Value) -> Value {
    let Described { segments, parameters, body, answers, mut problems } = described;
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut given: Vec<Value> = names
        .zip(segments)
        .map(|(name, schema)| json!({ "name": name, "in": "path", "required": true, "schema": schema }))
        .collect();
    given.extend(parameters);
    let requires = match route.requires {
        Requires::Nothing(why) => format!("Needs no token: {why}."),
        requires => format!("Requires {requires}."),
    };
    problems.extend([500, 503]);
    match route.requires {
        Requires::Nothing(_) if route.method == Method::GET => {}
        Requires::Nothing(_) => problems.extend([401, 403, 422, 429]),
        _ => problems.extend([401, 403]),
    }
    if !route.method.is_safe() {
        problems.extend([404, 409, 507]);
    }
    let mut responses = Map::new();
    for (status, answer) in answers {
        responses.insert(status.to_string(), answer);
    }
    for status in problems {
        let title = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        responses.insert(
            status.to_string(),
            json!({ "description": title, "content": { MEDIA_TYPE: { "schema": problem } } }),
        );
    }
    let mut operation = json!({
        "operationId": route.id(),
        "summary": route.summary,
        "description": requires,
        "tags": [route.tag()],
        "parameters": given,
        "responses": responses,
    });
    if let Some(body) = body {
        operation["requestBody"] = body;
    }
    if let Some(role) = route.requires.role() {
        operation["x-required-role"] = json!(role);
        operation["x-reach"] = json!(route.requires.reach());
    }
    if matches!(route.requires, Requires::Nothing(_)) {
        operation["security"] = json!([]);
    }
    operation
}

/// `GET /openapi.json`.
pub(super) async fn describe(State(api): State<Api>) -> Result<Description, ApiError> {
    // It is there before the first request is.
    Ok(Description(api.description.get().cloned().unwrap_or_default()))
}

/// The page to try the API with, its script and its style: nothing from outside, and nothing inline.
pub(super) fn page<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let file = |media: &'static str, text: &'static str| get(move || async move { served(media, text) });
    Router::new()
        .route("/api/docs", file("text/html; charset=utf-8", include_str!("page/index.html")))
        .route("/api/docs/page.js", file("text/javascript; charset=utf-8", include_str!("page/page.js")))
        .route("/api/docs/page.css", file("text/css; charset=utf-8", include_str!("page/page.css")))
}

fn served(media: &'static str, text: &'static str) -> Response {
    // The image is the icon of the console: who comes from there may still be loading it.
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                  form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
    let head = [
        (header::CONTENT_TYPE, media),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (head, text).into_response()
}
