//! The API over a plan under way: changes on condition, and lists that grow while they are read.

mod conversation;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use conversation::*;
use quecota_center::access::Access;
use quecota_center::api::Api;
use quecota_center::packages::object_store::Objects;
use quecota_center::store::NewLogEntry;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

const TOKEN: &str = "0123456789abcdef";

/// The API of a center whose devices the test plays.
struct Asked {
    center: Center,
    router: Router,
    _folder: TempDir,
}

impl Asked {
    async fn new() -> Self {
        let (center, folder) = (Center::new().await, TempDir::new().unwrap());
        let access = Access::new(center.engine.store().clone(), center.clock.clone(), "here", Some(TOKEN));
        let objects = Objects::in_folder(folder.path(), Duration::ZERO).unwrap();
        let router = Api::new(center.engine.clone(), objects, access).router();
        Self { center, router, _folder: folder }
    }

    /// Status, tag and answer.
    async fn ask(&self, method: &str, path: &str, header: Option<(&str, &str)>) -> (u16, String, Value) {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        request = request.header(header::AUTHORIZATION, format!("Bearer {TOKEN}"));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let tag = answer.headers().get(header::ETAG).map(|tag| tag.to_str().unwrap().to_owned());
        let status = answer.status().as_u16();
        let text = to_bytes(answer.into_body(), 1 << 24).await.unwrap();
        (status, tag.unwrap_or_default(), serde_json::from_slice(&text).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, _, answer) = self.ask("GET", path, None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// All pages of a list, one after the other.
    async fn pages(&self, path: &str, limit: usize) -> Vec<Value> {
        let (mut items, mut after) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}?limit={limit}&after={}", after.replace(' ', "%20"))).await;
            let found = page["items"].as_array().unwrap();
            assert!(found.len() <= limit, "{page}");
            items.extend(found.iter().cloned());
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => return items,
            }
        }
    }
}

#[tokio::test]
async fn a_plan_is_changed_on_condition_while_its_devices_go_on() {
    let asked = Asked::new().await;
    let center = &asked.center;
    let plan = center.plan(&["STM32"], |_| {}).await;
    let at = format!("/plans/{}", plan.0);
    let (_, before, shown) = asked.ask("GET", &at, None).await;
    assert_eq!(shown["devices"]["upgraded"], 0, "{shown}");
    let mut device = center.connected().await;
    device.report("FW1", "STM32:1").await;
    assert_offers(&device.request("STM32:1").await, &["STM32"]);
    device.succeeds().await;

    // What is shown has changed, and so has the tag; what was edited has not.
    let (status, now, shown) = asked.ask("GET", &at, Some(("if-none-match", &before))).await;
    assert_eq!((status, &shown["devices"]["upgraded"]), (200, &json!(1)), "{shown}");
    assert_ne!(before, now);
    assert_eq!(asked.ask("GET", &at, Some(("if-none-match", &now))).await.0, 304);
    let suspend = format!("{at}/suspend");
    let (status, _, told) = asked.ask("POST", &suspend, Some(("if-match", &before))).await;
    assert_eq!((status, &told["state"]), (200, &json!("suspended")), "{told}");

    let resume = format!("{at}/resume");
    for seen in [&before, &now] {
        let (status, _, told) = asked.ask("POST", &resume, Some(("if-match", seen))).await;
        assert_eq!((status, &told["code"]), (412, &json!("changed")), "its state was edited: {told}");
    }
    for wrong in ["\"\"", "\".\"", "W/", "x", &before.replace('"', "")] {
        assert_eq!(asked.ask("POST", &resume, Some(("if-match", wrong))).await.0, 412, "{wrong}");
    }
    let (_, tag, _) = asked.ask("GET", &at, None).await;
    assert_eq!(asked.ask("POST", &resume, Some(("if-match", &tag))).await.0, 200);
}

#[tokio::test]
async fn a_device_is_forbidden_on_condition_though_it_has_connected_since() {
    let asked = Asked::new().await;
    asked.center.device("d1").await;
    let at = "/products/p1abcd/devices/d1";
    let (_, before, _) = asked.ask("GET", at, None).await;
    let mut device = asked.center.connected().await;
    device.report("FW1", "STM32:1").await;
    let (_, now, _) = asked.ask("GET", at, None).await;
    assert_ne!(before, now);
    assert_eq!(asked.ask("POST", &format!("{at}/forbid"), Some(("if-match", &before))).await.0, 200);
    assert_eq!(asked.ask("POST", &format!("{at}/allow"), Some(("if-match", &before))).await.0, 412);
}

#[tokio::test]
async fn a_long_log_stands_beside_its_upgrade_in_part_and_goes_on_in_the_devices_log() {
    let asked = Asked::new().await;
    let center = &asked.center;
    let plan = center.plan(&["STM32"], |_| {}).await;
    let mut device = center.connected().await;
    device.report("FW1", "STM32:1").await;
    assert_offers(&device.request("STM32:1").await, &["STM32"]);
    let upgrade = center.upgrade(plan).await;
    let mut store = center.engine.store().write().await.unwrap();
    for number in 0..1_100 {
        let value = json!({ "number": number }).to_string();
        let entry = NewLogEntry {
            device: device.device,
            upgrade: Some(upgrade.id),
            component: None,
            kind: "status",
            value,
        };
        store.log(entry, NOON).await.unwrap();
    }
    store.commit().await.unwrap();

    let listed = asked.get("/products/p1abcd/devices/d1/upgrades").await;
    let shown = asked.get(&format!("/plans/{}/devices/d1", plan.0)).await;
    for (upgrade, lines) in [(&listed["items"][0], 100), (&shown, 1_000)] {
        let log = upgrade["log"].as_array().unwrap();
        let numbers = [0, lines - 1].map(|at| log[at]["value"]["number"].as_u64().unwrap());
        assert_eq!((log.len(), numbers), (lines, [1_100 - lines as u64, 1_099]));
        let before = upgrade["log_before"].as_str().unwrap();
        let rest = asked.get(&format!("/products/p1abcd/devices/d1/log?after={before}&limit=1")).await;
        assert_eq!(rest["items"][0]["value"]["number"], 1_099 - lines as u64, "{rest}");
    }
    let short = asked.get("/products/p1abcd/devices/d1/upgrades?after=99").await;
    assert_eq!(short, json!({ "items": [], "next": null }));
}

#[tokio::test]
async fn the_reasons_of_a_plan_come_in_pages_the_most_frequent_first() {
    let asked = Asked::new().await;
    let center = &asked.center;
    let plan = center.plan(&["STM32"], |_| {}).await;
    for number in 0..7 {
        let mut device = center.test_device(&format!("d{number}")).await;
        if number < 5 {
            device.report("FW1", "STM32:1").await;
            assert_offers(&device.request("STM32:1").await, &["STM32"]);
        }
        match number {
            0 | 1 => device.succeeds().await,
            2 => device.quiet(&[quecota_core::wire::message::OtaStatus::PlanReceived]).await,
            _ => {}
        }
    }
    center.engine.terminate(plan).await.unwrap();
    let path = format!("/plans/{}/reasons", plan.0);
    let whole = asked.get(&path).await;
    let whole = whole["items"].as_array().unwrap();
    let counts: Vec<i64> = whole.iter().map(|count| count["devices"].as_i64().unwrap()).collect();
    assert!(counts.is_sorted_by(|a, b| a >= b) && counts.iter().sum::<i64>() == 7, "{whole:#?}");
    assert!(counts.len() >= 3, "{whole:#?}");
    for limit in 1..=counts.len() {
        assert_eq!(&asked.pages(&path, limit).await, whole, "pages of {limit}");
    }
    for wrong in ["x", "1", "1%20upgraded", "1%20king%20x"] {
        let (status, _, told) = asked.ask("GET", &format!("{path}?after={wrong}"), None).await;
        assert_eq!((status, &told["field"]), (422, &json!("after")), "{wrong}: {told}");
    }
}
