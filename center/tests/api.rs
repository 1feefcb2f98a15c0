//! The REST API of the real center: the whole walk to an active plan, and what it says to bad input.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use quecota_center::clock::Millis;
use quecota_center::config::DataFolder;
use quecota_center::rules::{DeviceKey, DeviceSecret, ProductKey};
use quecota_center::store::Store;
use serde_json::{Value, json};
use support::Center;
use tempfile::TempDir;
use ureq::unversioned::multipart::{Form, Part};

struct Api {
    center: Center,
    agent: ureq::Agent,
    bearer: String,
    _folder: TempDir,
}

impl Api {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let center = Center::start(&folder.path().join("center"));
        let token = DataFolder::existing(&center.data).known_token().unwrap();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Self { center, agent, bearer: format!("Bearer {token}"), _folder: folder }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/api/v1/{path}", self.center.http)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        read(self.agent.get(self.url(path)).header("Authorization", &self.bearer).call())
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        read(self.agent.post(self.url(path)).header("Authorization", &self.bearer).send_json(body))
    }

    fn upload(&self, component: &str, target: &str) -> (u16, Value) {
        let form = Form::new()
            .text("component", component)
            .text("name", "a package")
            .text("target", target)
            .part("file", Part::bytes(b"firmware").file_name("fw.bin"));
        read(
            self.agent
                .post(self.url("products/p1abcd/packages"))
                .header("Authorization", &self.bearer)
                .send(form),
        )
    }

    /// A product with one component and one package for it.
    fn prepare(&self) {
        assert_eq!(self.post("products", &json!({ "key": "p1abcd", "name": "Pump" })).0, 201);
        assert_eq!(self.post("products/p1abcd/components", &json!({ "id": "STM32", "type": "mcu" })).0, 201);
        assert_eq!(self.upload("STM32", "2_0_0").0, 201);
    }
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let mut answer = answer.unwrap();
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
}

fn plan(name: &str, package: i64) -> Value {
    json!({
        "name": name, "product": "p1abcd", "time_zone": "Europe/Berlin",
        "components": [{ "component": "STM32", "package": package }],
    })
}

#[test]
fn the_walk_from_a_product_to_an_active_plan() {
    let api = Api::new();
    let (status, product) = api.post("products", &json!({ "key": "p1abcd", "name": "Pump" }));
    assert_eq!(status, 201, "{product}");
    assert_eq!(product["secret"].as_str().unwrap().len(), 16, "a secret is made");

    let (status, component) =
        api.post("products/p1abcd/components", &json!({ "id": "STM32", "type": "mcu" }));
    assert_eq!(status, 201, "{component}");
    let (status, package) = api.upload("STM32", "2_0_0");
    assert_eq!(status, 201, "{package}");
    assert_eq!(api.get("packages/1"), (200, package));

    let (status, created) = api.post("products/p1abcd/plans", &plan("Autumn", 1));
    assert_eq!((status, &created["state"]), (201, &json!("saved")), "{created}");
    let (status, active) = api.post("plans/1/activate", &json!({}));
    assert_eq!((status, &active["state"]), (200, &json!("activated")), "{active}");
    let (status, shown) = api.get("plans/1");
    assert_eq!(status, 200);
    assert_eq!(shown["components"], json!([{ "component": "STM32", "package": 1 }]));
    assert_eq!(shown["devices"]["upgraded"], 0);

    let (_, shown) = api.get("products/p1abcd");
    assert!(shown["secret"].is_null(), "a secret is shown once");
    assert_eq!(shown["components"][0], component);
    let (status, devices) = api.get("products/p1abcd/devices");
    assert_eq!((status, devices), (200, json!({ "items": [], "next": null })));
    for (list, count) in [
        ("products", 1),
        ("packages", 1),
        ("products/p1abcd/packages", 1),
        ("plans", 1),
        ("products/p1abcd/plans", 1),
        ("products/p1abcd/components", 1),
    ] {
        assert_eq!(api.get(list).1["items"].as_array().unwrap().len(), count, "{list}");
    }
    assert!(!api.get("products").1.to_string().contains("secret"), "a list shows no secrets");
}

#[test]
fn without_the_token_nothing_is_answered_but_how_to_show_it() {
    let api = Api::new();
    for (header, words) in [
        (None, "Authorization: Bearer TOKEN"),
        (Some("Bearer wrong"), "the token is wrong"),
        (Some("Basic YTpi"), "Authorization: Bearer TOKEN"),
        (Some(&api.bearer["Bearer ".len()..]), "Authorization: Bearer TOKEN"),
    ] {
        for path in ["products", "plans/1/activate", "nowhere"] {
            let request = api.agent.get(api.url(path));
            let request =
                if let Some(header) = header { request.header("Authorization", header) } else { request };
            let mut answer = request.call().unwrap();
            assert_eq!(answer.status(), 401, "{header:?} {path}");
            assert_eq!(answer.headers()["www-authenticate"], "Bearer");
            let body: Value = answer.body_mut().read_json().unwrap();
            assert!(body["detail"].as_str().unwrap().contains(words), "{body}");
        }
    }
    let mut health = api.agent.get(format!("http://{}/health", api.center.http)).call().unwrap();
    assert_eq!(health.status(), 200);
    assert_eq!(health.body_mut().read_json::<Value>().unwrap()["status"], "ok");
}

#[test]
fn a_plan_that_cannot_be_is_refused_with_the_reason() {
    let api = Api::new();
    api.prepare();
    for (change, value, status, words) in [
        ("components", json!([{ "component": "STM32", "package": 9 }]), 422, "there is no version package 9"),
        ("components", json!([{ "component": "GD32", "package": 1 }]), 422, "GD32"),
        (
            "components",
            json!([{ "component": "STM32", "package": 1 }, { "component": "STM32", "package": 1 }]),
            422,
            "each component once",
        ),
        ("product", json!("p9"), 422, "the plan is created in product p1abcd"),
        ("name", json!(""), 422, "1 to 100 characters"),
        ("time_zone", json!("Mars/Olympus"), 422, "Mars/Olympus"),
        ("strategy", json!({ "retries": 11 }), 422, "0 to 10"),
        ("strategy", json!({ "retry": 3 }), 422, "strategy.retry"),
        ("colour", json!("red"), 422, "colour"),
        ("mode", json!("loud"), 422, "silent"),
        ("components", json!([{ "component": "a:b", "package": 1 }]), 422, "\"a:b\""),
    ] {
        let mut body = plan("Autumn", 1);
        body[change] = value;
        let (answered, body) = api.post("products/p1abcd/plans", &body);
        assert_eq!(answered, status, "{change}: {body}");
        assert!(body["detail"].as_str().unwrap().contains(words), "{change}: {body}");
    }
    assert_eq!(api.get("plans").1["items"], json!([]));

    assert_eq!(api.post("products/p1abcd/plans", &plan("Autumn", 1)).0, 201);
    let (status, body) = api.post("products/p1abcd/plans", &plan("Autumn", 1));
    assert_eq!((status, &body["code"]), (409, &json!("conflict")), "{body}");
}

#[test]
fn an_activation_is_refused_with_every_reason() {
    let api = Api::new();
    api.prepare();
    assert_eq!(api.post("plans/7/activate", &json!({})).0, 404);
    assert_eq!(api.post("plans/seven/activate", &json!({})).0, 404);

    let mut body = plan("Late", 1);
    body["end"] = json!(1);
    assert_eq!(api.post("products/p1abcd/plans", &body).0, 422, "an end that has passed never comes");
    body["end"] = Value::Null;
    body["verification"] = json!("required");
    body["mode"] = json!("manual");
    assert_eq!(api.post("products/p1abcd/plans", &body).0, 201);
    let (status, body) = api.post("plans/1/activate", &json!({}));
    assert_eq!((status, &body["code"]), (409, &json!("not_activated")), "{body}");
    assert_eq!(body["reasons"].as_array().unwrap().len(), 3, "{body}");

    assert_eq!(api.post("products/p1abcd/plans", &plan("One", 1)).0, 201);
    assert_eq!(api.post("plans/2/activate", &json!({})).0, 200);
    let (status, body) = api.post("plans/2/activate", &json!({}));
    assert_eq!(status, 409, "a plan is activated once: {body}");
    assert_eq!(api.post("products/p1abcd/plans", &plan("Two", 1)).0, 201);
    let (status, body) = api.post("plans/3/activate", &json!({}));
    assert_eq!(status, 409);
    assert!(body["detail"].as_str().unwrap().contains("supersedes"), "{body}");
    let (status, body) = api.post("plans/3/activate", &json!({ "supersede": "agreed" }));
    assert_eq!(status, 200, "{body}");
    assert_eq!(api.get("plans/2").1["superseded_by"], json!([{ "component": "STM32", "plan": 3 }]));
}

#[test]
fn bad_requests_are_named_never_guessed() {
    let api = Api::new();
    api.prepare();
    for (path, body, status, words) in [
        ("products", json!({ "key": "p/1", "name": "x" }), 422, "\"p/1\""),
        ("products", json!({ "key": "p2", "name": "x", "secret": "short" }), 422, "16 to 32"),
        ("products", json!({ "key": "p2", "name": "x", "colour": "red" }), 422, "colour"),
        ("products", json!({ "key": "p2" }), 422, "name"),
        ("products", json!({ "key": "p1abcd", "name": "x" }), 409, "already"),
        ("products", json!({ "key": "p1", "name": "x" }), 409, "begin alike"),
        ("products/p9/components", json!({ "id": "STM32", "type": "mcu" }), 404, "p9"),
        ("products/p1abcd/components", json!({ "id": "a:b", "type": "mcu" }), 422, "\"a:b\""),
        ("products/p1abcd/components", json!({ "id": "MCU", "type": "cpu" }), 422, "one of: module mcu"),
        ("products/p1abcd/components", json!({ "id": "STM32", "type": "mcu" }), 409, "already"),
        ("products/p1abcd/packages", json!({}), 400, "multipart/form-data"),
        ("products/p9/packages", json!({}), 404, "p9"),
        ("products/p9/plans", json!({}), 404, "p9"),
        ("packages", json!({}), 405, "POST"),
        ("products/p1abcd/devices/8600/upgrade-plan/erase", json!({}), 404, "erase"),
        ("nowhere", json!({}), 404, "/nowhere"),
        ("health", json!({}), 404, "/health"),
        ("products/p1abcd", json!({}), 405, "POST"),
    ] {
        let (answered, answer) = api.post(path, &body);
        assert_eq!(answered, status, "{path} {body}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(words), "{path} {body}: {answer}");
    }
    for (path, status, words) in [
        ("products/p9", 404, "p9"),
        ("products/p9/devices", 404, "p9"),
        ("products/p1abcd/devices/8600", 404, "8600"),
        ("products/p1abcd/devices/8600/upgrades", 404, "8600"),
        ("packages/9", 404, "9"),
        ("packages?product=p9", 400, "product"),
        ("products/p9/packages", 404, "p9"),
        ("products/p9/plans", 404, "p9"),
        ("products/p9/components", 404, "p9"),
        ("products/p1abcd/devices/8600/why", 404, "8600"),
        ("plans/9/blocked", 404, "9"),
        ("plans?limit=0", 422, "1 to 1000"),
        ("plans?limit=1001", 422, "1 to 1000"),
        ("plans?after=-1", 422, "next"),
    ] {
        let (answered, answer) = api.get(path);
        assert_eq!(answered, status, "{path}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(words), "{path}: {answer}");
    }
    let request = api.agent.post(api.url("products")).header("Authorization", &api.bearer);
    let (status, answer) = read(request.header("Content-Type", "application/json").send("{\"key\":"));
    assert_eq!(status, 400, "{answer}");
}

#[test]
fn lists_come_in_pages() {
    let api = Api::new();
    api.prepare();
    for target in ["3", "4", "5", "6"] {
        assert_eq!(api.upload("STM32", target).0, 201);
    }
    for key in ["q1", "q2"] {
        assert_eq!(api.post("products", &json!({ "key": key, "name": "x" })).0, 201);
    }
    for (list, id, all) in [
        ("packages", "target", json!(["2_0_0", "3", "4", "5", "6"])),
        ("products", "key", json!(["p1abcd", "q1", "q2"])),
    ] {
        let (mut found, mut after) = (Vec::new(), String::new());
        loop {
            let (status, page) = api.get(&format!("{list}?limit=2{after}"));
            assert_eq!(status, 200);
            let items = page["items"].as_array().unwrap();
            assert!(!items.is_empty() && items.len() <= 2, "{page}");
            found.extend(items.iter().map(|item| item[id].clone()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(Value::Array(found), all);
    }
}

#[test]
fn a_client_that_sends_much_to_no_avail_still_hears_why() {
    let api = Api::new();
    let mut socket = TcpStream::connect(api.center.http).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // No token, and 8 MB that nobody wants: a closed connection would cost the client the answer.
    let length = 8 * 1024 * 1024;
    let head = format!(
        "POST /api/v1/products/p1/packages HTTP/1.1\r\nHost: center\r\nContent-Length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).unwrap();
    socket.write_all(&vec![0; length]).unwrap();
    let mut answer = [0; 32];
    socket.read_exact(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 401 "), "{}", String::from_utf8_lossy(&answer));
}

/// Devices as their first connect would leave them.
fn enter(center: &Center, keys: &[&str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let seal_keys = DataFolder::existing(&center.data).seal_keys().unwrap().unwrap();
        let store = Store::sqlite(&center.data.join("center.db"), seal_keys).await.unwrap();
        let mut writer = store.write().await.unwrap();
        let product = ProductKey::new("p1abcd").unwrap();
        let secret = DeviceSecret::new("0123456789abcdef").unwrap();
        for key in keys {
            let key = DeviceKey::new(*key).unwrap();
            writer.enter_device(&product, &key, &secret, Millis(1)).await.unwrap();
        }
        writer.commit().await.unwrap();
        store.close().await;
    });
}

#[test]
fn why_names_the_condition_with_its_values() {
    let api = Api::new();
    api.prepare();
    enter(&api.center, &["8600", "8601"]);
    assert_eq!(api.get("products/p1abcd/devices/8600/why").1["plans"], json!([]));
    let mut late = plan("Late", 1);
    late["start"] = json!(32_503_680_000_000i64);
    assert_eq!(api.post("products/p1abcd/plans", &late).0, 201);
    assert_eq!(
        api.get("products/p1abcd/devices/8600/why").1["plans"],
        json!([]),
        "a saved plan holds nobody"
    );
    assert_eq!(api.post("plans/1/activate", &json!({})).0, 200);
    let (status, why) = api.get("products/p1abcd/devices/8600/why");
    assert_eq!((status, &why["online"]), (200, &json!(false)), "{why}");
    let reason = &why["plans"][0];
    assert_eq!(reason["condition"], "before_start");
    assert_eq!(reason["values"], json!({ "start": 32_503_680_000_000i64 }));
    assert_eq!(reason["may_change"], json!(32_503_680_000_000i64));
    let text = reason["text"].as_str().unwrap();
    assert!(text.starts_with("planned time begins at 3000-01-01 01:00 Europe/Berlin, in "), "{text}");

    let (status, blocked) = api.get("plans/1/blocked");
    assert_eq!((status, &blocked["devices"], &blocked["examined"]), (200, &json!(2), &json!(2)), "{blocked}");
    assert_eq!(blocked["conditions"][0]["condition"], "before_start");
    assert_eq!(blocked["conditions"][0]["devices"], 2);

    let said = api.center.says(&["why", "p1abcd", "8600"]);
    assert!(said.starts_with("plan 1 (Late, activated): planned time begins at 3000-01-01"), "{said}");
    assert_eq!(api.center.json(&["why", "p1abcd", "8600"])["plans"][0]["condition"], "before_start");
    let said = api.center.says(&["plan", "show", "1"]);
    assert!(said.contains("BLOCKED BY") && said.contains("before_start  2"), "{said}");
}

impl Api {
    fn patch(&self, path: &str, body: &Value) -> (u16, Value) {
        read(self.agent.patch(self.url(path)).header("Authorization", &self.bearer).send_json(body))
    }

    fn delete(&self, path: &str) -> (u16, Value) {
        read(self.agent.delete(self.url(path)).header("Authorization", &self.bearer).call())
    }

    fn put(&self, path: &str, body: &str) -> (u16, Value) {
        let request = self.agent.put(self.url(path)).header("Authorization", &self.bearer);
        read(request.header("Content-Type", "text/csv").send(body))
    }
}

#[test]
fn a_saved_plan_is_edited_field_by_field_and_an_active_one_is_frozen() {
    let api = Api::new();
    api.prepare();
    let mut body = plan("Autumn", 1);
    body["whitelist"] = json!(["8600", "8601"]);
    body["strategy"] = json!({ "retries": 5, "min_battery": 30 });
    body["end"] = json!(32_503_680_000_000i64);
    assert_eq!(api.post("products/p1abcd/plans", &body).0, 201);

    let changes = json!({
        "name": "Winter", "end": null, "push_period": { "from": "22:00", "until": "04:00" },
        "outside_period": "answer", "push": "on_request",
        "strategy": { "min_battery": null, "min_rsrp": -110, "max_per_minute": 60 },
        "whitelist": ["8602"], "blacklist": ["8601", "8601"],
    });
    let (status, edited) = api.patch("plans/1", &changes);
    assert_eq!((status, &edited["name"], &edited["end"]), (200, &json!("Winter"), &Value::Null), "{edited}");
    let strategy = &edited["strategy"];
    assert_eq!((&strategy["retries"], &strategy["min_battery"]), (&json!(5), &Value::Null), "{edited}");
    assert_eq!((&strategy["min_rsrp"], &strategy["max_per_minute"]), (&json!(-110), &json!(60)));
    assert_eq!(edited["listed"], json!({ "whitelist": 1, "blacklist": 1 }));
    assert_eq!(api.get("plans/1").1, edited);
    assert_eq!(api.get("plans/1/whitelist").1, json!({ "items": ["8602"], "next": null }));

    for (change, value, status, field, rule) in [
        ("product", json!("p2"), 422, "product", "cannot be changed"),
        ("strategy", json!({ "retries": 300 }), 422, "strategy.retries", "u8"),
        ("strategy", json!({ "refusal_delay": 9 }), 422, "delay after a refusal", "10 to 1440 minutes"),
        ("strategy", json!({ "halt": { "percent": 100, "after": 3 } }), 422, "failure rate", "0 to 99 %"),
        ("push_period", json!({ "from": "25:00", "until": "04:00" }), 422, "push_period", "00:00 to 23:59"),
        ("push_period", json!({ "from": "04:00", "until": "04:00" }), 422, "push period", "different"),
        ("whitelist", json!(["86 00"]), 422, "whitelist", "86 00"),
        ("push", json!("loudly"), 422, "push", "actively"),
        ("name", Value::Null, 422, "name", "null"),
        (
            "components",
            json!([{ "component": "STM32", "package": 9 }]),
            422,
            "components",
            "version package 9",
        ),
        ("colour", json!("red"), 422, "colour", "no such field"),
    ] {
        let (answered, body) = api.patch("plans/1", &json!({ change: value }));
        assert_eq!(answered, status, "{change}: {body}");
        let message = body["detail"].as_str().unwrap();
        assert!(message.contains(field) && message.contains(rule), "{change}: {message}");
    }
    assert_eq!(api.get("plans/1").1, edited, "what is refused changes nothing");

    assert_eq!(api.post("plans/1/suspend", &json!({})).0, 409, "a saved plan is not suspended");
    assert_eq!(api.post("plans/1/activate", &json!({})).0, 200);
    for refused in [
        api.patch("plans/1", &json!({ "name": "Spring" })),
        api.put("plans/1/whitelist", "8600"),
        api.delete("plans/1"),
    ] {
        assert_eq!(refused.0, 409, "{}", refused.1);
        assert!(refused.1["detail"].as_str().unwrap().contains("it is activated; only a saved"));
    }
    for (step, state) in [("suspend", "suspended"), ("resume", "activated"), ("terminate", "terminated")] {
        let (status, body) = api.post(&format!("plans/1/{step}"), &json!({}));
        assert_eq!((status, &body["state"]), (200, &json!(state)), "{body}");
    }
    assert_eq!(api.post("plans/1/resume", &json!({})).0, 409, "terminated is for good");

    assert_eq!(api.post("products/p1abcd/plans", &plan("Spare", 1)).0, 201);
    assert_eq!(api.delete("plans/2"), (200, json!({ "deleted": 2 })));
    assert_eq!((api.get("plans/2").0, api.delete("plans/2").0), (404, 404));
}

#[test]
fn a_list_comes_from_a_csv_file_and_goes_in_pages() {
    let api = Api::new();
    api.prepare();
    assert_eq!(api.post("products/p1abcd/plans", &plan("Autumn", 1)).0, 201);
    let rows: String = (0..100_000).map(|number| format!("{number:06},x\r\n")).collect();
    let (status, body) = api.put("plans/1/whitelist", &format!("Device Key,Remark\r\n{rows}"));
    assert_eq!((status, body), (200, json!({ "devices": 100_000 })));
    let (_, page) = api.get("plans/1/whitelist?limit=1000&after=098999");
    assert_eq!((page["items"].as_array().unwrap().len(), &page["next"]), (1000, &Value::Null));
    let (_, page) = api.get("plans/1/whitelist?limit=2");
    assert_eq!(page, json!({ "items": ["000000", "000001"], "next": "000001" }));

    let (status, body) = api.put("plans/1/blacklist", "8600\n86/01\n");
    assert_eq!(status, 422);
    assert!(body["detail"].as_str().unwrap().contains("line 2: device key \"86/01\""), "{body}");
    assert_eq!(api.put("plans/1/whitelist", "8600\n").1, json!({ "devices": 1 }), "replaced");
    for empty in ["", "dk\n", "\n\n"] {
        let (status, body) = api.put("plans/1/whitelist", empty);
        assert_eq!((status, &body["code"]), (422, &json!("empty_list")), "{body}");
    }
    assert_eq!(api.patch("plans/1", &json!({ "whitelist": [] })).0, 422);
    assert_eq!(api.get("plans/1").1["listed"]["whitelist"], 1, "what is refused changes nothing");
    assert_eq!(api.delete("plans/1/whitelist"), (200, json!({ "devices": 0 })));
    assert_eq!(api.put("plans/1/whitelist", "8600\n").0, 200);
    assert_eq!(api.patch("plans/1", &json!({ "whitelist": null })).1["listed"]["whitelist"], 0);
    assert_eq!(api.put("plans/9/whitelist", "8600\n").0, 404);
}
