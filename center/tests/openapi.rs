//! The description of the API: docs/openapi.json is what the program says (`RENEW_DOCS=1` writes it), and it leaves no route out.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use quecota_center::access::Access;
use quecota_center::api::{Api, Route};
use quecota_center::clock::Clock;
use quecota_center::engine::{Engine, Firmware, FirmwareUrls};
use quecota_center::packages::object_store::Objects;
use quecota_center::store::Store;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

const TOKEN: &str = "0123456789abcdef";

struct NoUrls;

impl FirmwareUrls for NoUrls {
    fn firmware_url(&self, _: &Firmware<'_>) -> String {
        String::new()
    }
}

async fn center() -> (Router, Vec<Route>, TempDir) {
    let folder = TempDir::new().unwrap();
    let store = Store::in_memory().await.unwrap();
    let engine = Engine::new(store.clone(), Clock::system(), Arc::new(NoUrls));
    let access = Access::new(store, Clock::system(), "here", Some(TOKEN));
    let objects = Objects::in_folder(folder.path(), Duration::ZERO).unwrap();
    let (router, routes) = Api::new(engine, objects, access).routed();
    (router, routes, folder)
}

async fn ask(router: &Router, request: Request<Body>) -> (u16, axum::http::HeaderMap, Vec<u8>) {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (head, body) = answer.into_parts();
    (head.status.as_u16(), head.headers, to_bytes(body, 1 << 24).await.unwrap().to_vec())
}

fn get(path: &str) -> Request<Body> {
    Request::builder().uri(path).body(Body::empty()).unwrap()
}

fn with(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    request = request.header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
    request = request.header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn the_committed_description_is_what_the_program_says() {
    let (router, _, _folder) = center().await;
    let (status, _, served) = ask(&router, get("/api/v1/openapi.json")).await;
    assert_eq!(status, 200);
    let served: Value = serde_json::from_slice(&served).unwrap();
    let text = format!("{served:#}\n");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    if std::env::var_os("RENEW_DOCS").is_some() {
        std::fs::write(&page, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&page).unwrap_or_default();
    let differs = committed.lines().zip(text.lines()).find(|(ours, theirs)| ours != theirs);
    assert!(committed == text, "docs/openapi.json: RENEW_DOCS=1 renews it; first difference: {differs:?}");
}

#[tokio::test]
async fn every_route_is_described_with_all_that_it_takes_and_answers() {
    let (router, routes, _folder) = center().await;
    let document: Value = serde_json::from_slice(&ask(&router, get("/api/v1/openapi.json")).await.2).unwrap();
    let mut ids = BTreeSet::new();
    for route in &routes {
        let path = route.full_path();
        let operation = &document["paths"][&path][route.method.as_str().to_lowercase()];
        assert!(operation.is_object(), "{} {path} is not described", route.method);
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id.to_owned()), "two operations are {id}");
        let parameters = operation["parameters"].as_array().unwrap();
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let described = parameters.iter().any(|known| {
                known["name"] == name && known["in"] == "path" && known["schema"]["type"].is_string()
            });
            assert!(described, "{id}: {{{name}}} is not described: {parameters:?}");
        }
        let answers = operation["responses"].as_object().unwrap();
        let is_success = |status: &&String| status.starts_with('2');
        let good: Vec<_> = answers.keys().filter(is_success).collect();
        assert!(!good.is_empty(), "{id} has no answer");
        for (status, answer) in answers.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
            let media = answer["content"].as_object().map(|content| content.keys().collect::<Vec<_>>());
            let is_problem = media.as_ref().is_some_and(|media| media == &["application/problem+json"]);
            assert!(is_problem, "{id} {status}: {answer}");
        }
        if route.requires.role().is_some() {
            assert!(answers.contains_key("401") && answers.contains_key("403"), "{id}");
        }
    }
    let described: usize =
        document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(described, routes.len());
}

/// Lists inside of things, and what keeps each short.
const SHORT_LISTS: &[(&str, &str)] = &[
    ("actions", "the four actions of an end user"),
    ("addresses", "of the devices that took over a connection, the last ones"),
    ("bad_lines", "the first of them; `bad` counts all"),
    ("components", "those of a product or a plan, which the version list of a frame holds"),
    ("conditions", "the conditions that a device may wait for"),
    ("devices", "of an end user's token, 1000"),
    ("downgrades", "one for each component of a plan"),
    ("events", "the events that there are"),
    ("files", "of a package, 5"),
    ("log", "beside an upgrade its last lines, beside a message the attempts to send it"),
    ("not_done", "of one request, 10,000 devices"),
    ("outcomes", "the reasons that a device may have"),
    ("plans", "the active ones of a device; of a package the newest 100"),
    ("products", "that an account or a token reaches to, as given in one request"),
    ("refused", "the reasons why a plan cannot be activated, one for each component and rule"),
    ("superseded_by", "one for each component of a plan"),
    ("supersedes", "one for each component and active plan"),
    ("warnings", "as many as there are kinds of them"),
];

/// The schema, or what it refers to.
fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// Names of the fields that are lists, at any depth.
fn lists_in(document: &Value, schema: &Value, found: &mut BTreeSet<String>) {
    let schema = resolved(document, schema);
    let is_list = |schema: &Value| {
        let schema = resolved(document, schema);
        let either = schema["anyOf"].as_array().map_or(&[][..], Vec::as_slice);
        either.iter().chain([schema]).any(|schema| {
            let kind = &resolved(document, schema)["type"];
            kind == "array" || kind.as_array().is_some_and(|kinds| kinds.contains(&"array".into()))
        })
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if is_list(field) {
            found.insert(name.clone());
        }
        lists_in(document, field, found);
    }
    let parts = ["anyOf", "oneOf", "allOf"].iter().filter_map(|word| schema[*word].as_array()).flatten();
    let below = ["items", "additionalProperties"].iter().map(|word| &schema[*word]);
    parts.chain(below).filter(|part| part.is_object()).for_each(|part| lists_in(document, part, found));
}

#[tokio::test]
async fn no_list_is_without_a_limit() {
    let (router, _, _folder) = center().await;
    let document: Value = serde_json::from_slice(&ask(&router, get("/api/v1/openapi.json")).await.2).unwrap();
    let (mut pages, mut inner) = (0, BTreeSet::new());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let schema = resolved(&document, &answer["content"]["application/json"]["schema"]);
                if !status.starts_with('2') || schema.is_null() {
                    continue;
                }
                assert_ne!(schema["type"], "array", "{method} {path} answers with a bare list");
                let mut lists = BTreeSet::new();
                lists_in(&document, schema, &mut lists);
                if lists.remove("items") {
                    pages += 1;
                    assert!(schema["properties"]["next"].is_object(), "{method} {path} has no `next`");
                    let parameters = operation["parameters"].as_array().unwrap();
                    for name in ["after", "limit"] {
                        let takes =
                            parameters.iter().any(|known| known["name"] == name && known["in"] == "query");
                        assert!(takes, "{method} {path} does not take {name}");
                    }
                    let limit = parameters.iter().find(|known| known["name"] == "limit").unwrap();
                    assert_eq!(limit["schema"]["maximum"], 1000, "{method} {path}");
                }
                inner.extend(lists);
            }
        }
    }
    assert!(pages >= 18, "{pages}");
    let known: BTreeSet<_> = SHORT_LISTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(inner, known, "each list inside of a thing has a reason to be short, and each reason a list");
}

#[tokio::test]
async fn what_a_tag_leaves_out_is_there_to_be_left_out() {
    let (router, _, _folder) = center().await;
    let document: Value = serde_json::from_slice(&ask(&router, get("/api/v1/openapi.json")).await.2).unwrap();
    for (path, names) in quecota_center::api::FIGURES {
        let shown = &document["paths"][format!("/api/v1{path}")]["get"]["responses"]["200"];
        assert!(shown["headers"]["ETag"].is_object(), "{path} has no tag");
        let schema = resolved(&document, &shown["content"]["application/json"]["schema"]);
        let unknown: Vec<_> = names.iter().filter(|name| schema["properties"][**name].is_null()).collect();
        assert!(unknown.is_empty(), "{path} shows no {unknown:?}");
    }
}

#[tokio::test]
async fn the_page_to_try_it_needs_nothing_from_outside_and_has_nothing_inline() {
    let (router, _, _folder) = center().await;
    let (status, head, page) = ask(&router, get("/api/docs")).await;
    assert_eq!(status, 200);
    let policy = head[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    // A browser that comes from the console asks for its icon here, sometimes, and logs an error where it may not.
    assert!(policy.contains("img-src 'self'"), "{policy}");
    let page = String::from_utf8(page).unwrap();
    assert!(!page.contains("http") && !page.contains("style=") && !page.contains("onclick"), "{page}");
    for part in page.split('"').filter(|part| part.starts_with('/')) {
        assert_eq!(ask(&router, get(part)).await.0, 200, "{part}");
    }
    let script = include_str!("../src/api/openapi/page/page.js");
    assert!(!script.contains("http") && !script.contains("innerHTML") && !script.contains("eval("));
}

#[tokio::test]
async fn a_change_on_condition_is_made_to_what_was_seen_alone() {
    let (router, _, _folder) = center().await;
    let new = r#"{"key": "p1", "name": "one"}"#;
    assert_eq!(ask(&router, with("POST", "/api/v1/products", &[], new)).await.0, 201);
    let at = "/api/v1/products/p1";
    let (_, head, _) = ask(&router, with("GET", at, &[], "")).await;
    let tag = head[header::ETAG].to_str().unwrap().to_owned();
    let (status, head, body) = ask(&router, with("GET", at, &[("if-none-match", &tag)], "")).await;
    assert_eq!((status, head[header::ETAG].to_str().unwrap(), body.len()), (304, tag.as_str(), 0));
    let two = r#"{"name": "two"}"#;
    assert_eq!(ask(&router, with("PATCH", at, &[("if-match", &tag)], two)).await.0, 200);
    let (status, _, body) =
        ask(&router, with("PATCH", at, &[("if-match", &tag)], r#"{"name": "three"}"#)).await;
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &problem["code"]), (412, &"changed".into()), "{problem}");
    let (_, head, body) = ask(&router, with("GET", at, &[], "")).await;
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["name"], "two");
    assert!(problem["rule"].as_str().unwrap().contains(head[header::ETAG].to_str().unwrap()), "{problem}");
    assert_eq!(ask(&router, with("PATCH", at, &[("if-match", "*")], r#"{"name": "four"}"#)).await.0, 200);
    // Of two who have seen the same, one comes first.
    let (_, head, _) = ask(&router, with("GET", at, &[], "")).await;
    let tag = head[header::ETAG].to_str().unwrap();
    let change = |name: &str| with("PATCH", at, &[("if-match", tag)], &format!(r#"{{"name": "{name}"}}"#));
    let (one, other) = tokio::join!(ask(&router, change("left")), ask(&router, change("right")));
    assert_eq!(BTreeSet::from([one.0, other.0]), BTreeSet::from([200, 412]));
}

#[tokio::test]
async fn a_request_that_is_sent_again_with_its_key_has_no_further_effect() {
    let (router, _, _folder) = center().await;
    let key = [("idempotency-key", "7f2e")];
    let new = r#"{"name": "ci", "role": "viewer"}"#;
    let (status, _, first) = ask(&router, with("POST", "/api/v1/tokens", &key, new)).await;
    assert_eq!(status, 201);
    let (status, head, again) = ask(&router, with("POST", "/api/v1/tokens", &key, new)).await;
    assert_eq!((status, &again, &head["idempotency-replayed"]), (201, &first, &"true".parse().unwrap()));
    let other = r#"{"name": "cd", "role": "viewer"}"#;
    let (status, _, refused) = ask(&router, with("POST", "/api/v1/tokens", &key, other)).await;
    let refused: Value = serde_json::from_slice(&refused).unwrap();
    assert_eq!((status, &refused["code"]), (422, &"key_reused".into()), "{refused}");
    let (_, _, listed) = ask(&router, with("GET", "/api/v1/tokens", &[], "")).await;
    assert_eq!(serde_json::from_slice::<Value>(&listed).unwrap()["items"].as_array().unwrap().len(), 1);
    // A refusal has no effect, and so is not kept.
    let key = [("idempotency-key", "9a")];
    let wrong = r#"{"name": "x", "role": "king"}"#;
    for _ in 0..2 {
        assert_eq!(ask(&router, with("POST", "/api/v1/tokens", &key, wrong)).await.0, 422);
    }
    assert_eq!(ask(&router, with("POST", "/api/v1/tokens", &key, other)).await.0, 201);
}

#[tokio::test]
async fn a_name_that_there_is_not_brings_the_nearest_one_in_reach() {
    let (router, _, _folder) = center().await;
    for key in ["p1demo", "p2demo"] {
        let new = format!(r#"{{"key": "{key}", "name": "{key}"}}"#);
        assert_eq!(ask(&router, with("POST", "/api/v1/products", &[], &new)).await.0, 201);
    }
    let (status, head, body) = ask(&router, with("GET", "/api/v1/products/p1dem", &[], "")).await;
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &head[header::CONTENT_TYPE]), (404, &"application/problem+json".parse().unwrap()));
    assert_eq!(problem["type"], "urn:quecota:problem:not_found");
    assert_eq!(
        (&problem["field"], &problem["value"], &problem["next"]),
        (&"product".into(), &"p1dem".into(), &"did you mean p1demo?".into()),
        "{problem}"
    );
}
