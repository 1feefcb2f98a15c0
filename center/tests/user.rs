//! Manual mode from end to end: the end user's API and command line, and a device of the field that upgrades on his word.

mod support;

use std::time::Duration;

use reference_device::{FieldDevice, SessionEncryption, command, download};
use serde_json::{Value, json};
use support::{Center, Events};
use tempfile::TempDir;

const PK: &str = "p1abcd";
const PS: &str = "MTIzNDU2Nzg5MGFi";
const DK: &str = "860000000000001";
const IMAGE: usize = 4096;
const MOMENT: Duration = Duration::from_millis(300);

struct Bench {
    center: Center,
    agent: ureq::Agent,
    bearer: String,
    _folder: TempDir,
}

impl Bench {
    /// A center with one active plan in manual mode, and one device that has reported its version.
    fn new() -> (Bench, FieldDevice) {
        let folder = TempDir::new().unwrap();
        let center = Center::start(&folder.path().join("center"));
        center.says(&["product", "create", "--key", PK, "--name", "Lamps", "--secret", PS]);
        center.says(&["component", "add", PK, "MCU", "--type", "mcu"]);
        let file = folder.path().join("mcu.bin");
        std::fs::write(&file, vec![7; IMAGE]).unwrap();
        let add = ["package", "add", "--product", PK, "--component", "MCU", "--name", "two", "--target", "2"];
        center.says(&[&add[..], &[file.to_str().unwrap()]].concat());
        let plan = ["plan", "create", "--name", "Autumn", "--product", PK, "--component", "MCU=1"];
        let manual =
            ["--mode", "manual", "--text", "en=Brighter", "--text", "zh=更亮", "--text", "pt-BR=Claro"];
        let more = ["--retries", "0", "--time-zone", "UTC", "--end", "3000-01-01T00:00Z"];
        center.says(&[&plan[..], &manual[..], &more[..]].concat());
        center.says(&["plan", "activate", "1"]);
        let token = std::fs::read_to_string(center.data.join("token")).unwrap();
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(support::TIMEOUT))
            .build()
            .into();
        let bench = Bench { center, agent, bearer: format!("Bearer {}", token.trim()), _folder: folder };
        let mut device = FieldDevice::new(bench.center.mqtt, PK, PS, DK);
        device.encryption = SessionEncryption::On;
        device.set_version("MCU", "1");
        device.come_online().unwrap();
        device.report_after_connect().unwrap();
        support::eventually("its version", || {
            let shown = bench.center.json(&["device", "show", PK, DK]);
            (shown["mcu_versions"]["MCU"] == "1").then_some(())
        });
        (bench, device)
    }

    fn url(&self, rest: &str) -> String {
        format!("http://{}/api/v1/products/{PK}/devices/{DK}/{rest}", self.center.http)
    }

    fn get(&self, rest: &str, accept: &str) -> (u16, Value) {
        let request = self.agent.get(self.url(rest)).header("Authorization", &self.bearer);
        let mut answer = request.header("Accept-Language", accept).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
    }

    fn post(&self, rest: &str, body: &Value) -> (u16, Value) {
        let request = self.agent.post(self.url(rest)).header("Authorization", &self.bearer);
        let mut answer = request.send_json(body).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
    }

    fn put(&self, rest: &str, body: &Value) -> (u16, Value) {
        let request = self.agent.put(self.url(rest)).header("Authorization", &self.bearer);
        let mut answer = request.send_json(body).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
    }
}

fn message(answer: &(u16, Value)) -> &str {
    answer.1["detail"].as_str().unwrap_or_else(|| panic!("{answer:?}"))
}

#[test]
fn a_device_upgrades_on_its_users_word_and_its_stream_tells_every_step() {
    let (bench, mut device) = Bench::new();
    device.request_plan().unwrap();
    device.expect_no_frame(command::PLAN_NOTIFY, MOMENT).unwrap();

    let path = format!("products/{PK}/devices/{DK}/upgrade-plan/events");
    let mut events = Events::of(&bench.center, &path);
    let first = events.next().unwrap();
    assert_eq!((first.kind.as_str(), &first.data["upgrade"]), ("progress", &Value::Null));
    assert_eq!(
        (&first.data["condition"], &first.data["state"]),
        (&json!("awaiting_user"), &json!("not_upgraded"))
    );
    assert_eq!(first.data["text"], "waits for the user's confirmation");

    let (status, confirmed) = bench.post("upgrade-plan/confirm", &json!({}));
    assert_eq!((status, &confirmed["said"]["action"]), (200, &json!("confirm")), "{confirmed}");
    let plan = device.expect_plans().unwrap().remove(0);
    assert_eq!((plan.component.as_str(), plan.target.as_str()), ("MCU", "2"));
    let offered = events.until("the offer", |event| event.data["component_state"] == "plan_not_received");
    assert_eq!((offered.kind.as_str(), &offered.data["bytes"]), ("progress", &json!(IMAGE)));
    assert_eq!(device.upgrade_mcu(&plan, 1024).unwrap(), vec![7; IMAGE]);

    let mut seen = vec![offered];
    while let Some(event) = events.next() {
        seen.push(event);
    }
    let end = seen.last().unwrap().clone();
    assert_eq!((end.kind.as_str(), &end.data["state"]), ("end", &json!("upgraded")), "{end:?}");
    assert_eq!((&end.data["fetched"], &end.data["bytes"]), (&json!(IMAGE), &json!(IMAGE)));
    let steps: Vec<_> =
        seen.iter().filter(|event| event.kind == "step").map(|event| event.data["kind"].clone()).collect();
    assert_eq!(steps.first(), Some(&json!("status")), "{steps:?}");
    assert_eq!(steps.last(), Some(&json!("success")), "{steps:?}");
    assert!(
        seen.windows(2)
            .all(|pair| { pair[0].id.parse::<i64>().unwrap() <= pair[1].id.parse::<i64>().unwrap() })
    );

    // A connection that broke in the middle misses nothing.
    let middle = seen.iter().find(|event| event.data["kind"] == "firmware").unwrap();
    let (_, resumed) = Events::open(&bench.center, &format!("{path}?plan=1"), Some(&middle.id));
    let mut resumed = resumed.unwrap();
    let mut again = Vec::new();
    while let Some(event) = resumed.next() {
        again.push(event);
    }
    let rest = |events: &[support::Event]| {
        let steps = events.iter().filter(|event| event.kind == "step");
        steps.map(|event| event.id.parse::<i64>().unwrap()).collect::<Vec<_>>()
    };
    let middle = middle.id.parse::<i64>().unwrap();
    let missed: Vec<_> = rest(&seen).into_iter().filter(|id| *id > middle).collect();
    assert_eq!(rest(&again), missed);
    assert_eq!(again.last(), Some(&end));
    assert_eq!(Events::open(&bench.center, &path, Some(&end.id)).0, 204, "nothing is left to tell");
}

#[test]
fn an_end_users_request_that_is_sent_again_with_its_key_has_no_further_effect() {
    let (bench, mut device) = Bench::new();
    // Two users of the device, whose applications have named their tokens alike.
    let token = || {
        let body = json!({ "name": "phone", "devices": [format!("{PK}/{DK}")] });
        let request = bench.agent.post(format!("http://{}/api/v1/tokens", bench.center.http));
        let mut answer = request.header("Authorization", &bench.bearer).send_json(body).unwrap();
        let made: Value = answer.body_mut().read_json().unwrap();
        format!("Bearer {}", made["secret"].as_str().unwrap_or_else(|| panic!("{made}")))
    };
    let (one, other) = (token(), token());
    let post = |bearer: &str, action: &str, key: &str| {
        let request = bench.agent.post(bench.url(&format!("upgrade-plan/{action}")));
        let request = request.header("Authorization", bearer).header("Idempotency-Key", key);
        let mut answer = request.send_json(json!({})).unwrap();
        let is_replayed = answer.headers().contains_key("idempotency-replayed");
        let told: Value = answer.body_mut().read_json().unwrap();
        (answer.status().as_u16(), told, is_replayed)
    };
    let (status, confirmed, is_replayed) = post(&one, "confirm", "a");
    assert_eq!((status, is_replayed), (200, false), "{confirmed}");
    assert_eq!(device.expect_plans().unwrap().len(), 1);
    // What follows changes what a second confirmation would be answered.
    device.report_state(1, 1, "MCU").unwrap();
    support::eventually("its status", || {
        let shown = bench.get("upgrade-plan", "en").1;
        (shown["plans"][0]["progress"]["component_state"] == "plan_received").then_some(())
    });
    assert_eq!(post(&one, "confirm", "a"), (200, confirmed.clone(), true));
    let (status, told, _) = post(&one, "cancel", "a");
    assert_eq!((status, &told["code"]), (422, &json!("key_reused")), "{told}");
    let (_, told, is_replayed) = post(&other, "confirm", "a");
    assert!(!is_replayed, "another user's key: {told}");
}

#[test]
fn a_download_that_the_user_cancels_stops_and_fails_by_his_wish() {
    let (bench, mut device) = Bench::new();
    assert_eq!(bench.put("auto-confirm", &json!({ "auto_confirm": "on" })).0, 200);
    let plan = device.expect_plans().unwrap().remove(0);
    let mut events =
        Events::of(&bench.center, &format!("products/{PK}/devices/{DK}/upgrade-plan/events?plan=1"));
    for state in [1, 2] {
        device.report_state(state, plan.kind, "MCU").unwrap();
    }
    let firmware = device.expect_firmware().unwrap();
    for state in [4, 5] {
        device.report_state(state, plan.kind, "MCU").unwrap();
    }
    download::fetch(&firmware.url, 0, 1023).unwrap();
    events.until("its bytes", |event| event.data["fetched"] == 1024);
    let (status, cancelled) = bench.post("upgrade-plan/cancel", &json!({ "plan": 1 }));
    assert_eq!((status, &cancelled["progress"]["reason"]), (200, &json!("cancelled by user")), "{cancelled}");
    assert_eq!(cancelled["progress"]["state"], "upgrading", "nothing can tell the device to stop");
    assert!(download::fetch(&firmware.url, 1024, 2047).is_err(), "it gets no more bytes");
    device.report_state(6, plan.kind, "MCU").unwrap();
    let end = events.until("the end", |event| event.kind == "end");
    assert_eq!(
        (&end.data["state"], &end.data["reason"]),
        (&json!("upgrade_failed"), &json!("cancelled by user"))
    );
    assert_eq!(events.next(), None);

    // He changes his mind.
    assert_eq!(bench.center.says(&["device", "auto-confirm", PK, DK, "off"]), "off\n");
    let said = bench.center.says(&["device", "retry", PK, DK]);
    assert!(said.starts_with("plan 1 (Autumn): Not Upgraded; "), "{said}");
    let plan = device.expect_plans().unwrap().remove(0);
    assert_eq!(device.upgrade_mcu(&plan, 1024).unwrap().len(), IMAGE);
    support::eventually("upgraded", || {
        let plans = bench.get("upgrade-plan", "en").1;
        (plans["plans"][0]["progress"]["state"] == "upgraded").then_some(())
    });
}

#[test]
fn the_text_is_in_the_users_language() {
    let (bench, _device) = Bench::new();
    for (query, accept, language, text) in [
        ("", "", "en", "Brighter"),
        ("", "zh-CN, en;q=0.5", "zh", "更亮"),
        ("", "fr", "en", "Brighter"),
        ("?language=pt", "zh", "pt-BR", "Claro"),
    ] {
        let (status, seen) = bench.get(&format!("upgrade-plan{query}"), accept);
        assert_eq!(status, 200, "{seen}");
        assert_eq!(
            seen["plans"][0]["text"],
            json!({ "language": language, "text": text }),
            "{query} {accept}"
        );
    }
    let wrong = bench.get("upgrade-plan?language=de_DE", "en");
    assert_eq!(wrong.0, 422);
    assert!(message(&wrong).contains("de_DE") && message(&wrong).contains("such as en"), "{wrong:?}");
}

#[test]
fn what_is_refused_names_the_value_and_the_rule() {
    let (bench, _device) = Bench::new();
    let now = bench.get("upgrade-plan", "").1["now"].as_i64().unwrap();
    let hour = 3_600_000;
    for (word, body, status, words) in [
        ("appoint", json!({ "from": now, "until": now + hour / 2 }), 422, "leaves 2"),
        (
            "appoint",
            json!({ "from": now, "until": 40_000_000_000_000i64 }),
            422,
            "planned time ends at 3000-01-01",
        ),
        ("appoint", json!({ "from": now }), 422, "until: an appointment names its window"),
        ("confirm", json!({ "plan": 9 }), 404, "upgrade plan 9"),
        ("confirm", json!({ "plann": 1 }), 422, "unknown field `plann`"),
        ("retry", json!({}), 409, "only a failed upgrade is retried"),
    ] {
        let answer = bench.post(&format!("upgrade-plan/{word}"), &body);
        assert_eq!(answer.0, status, "{word} {body}: {answer:?}");
        assert!(message(&answer).contains(words), "{word} {body}: {answer:?}");
    }
    let late = bench.post("upgrade-plan/appoint", &json!({ "from": now, "until": 40_000_000_000_000i64 }));
    assert_eq!(late.1["field"], "until");
    let wrong = bench.put("auto-confirm", &json!({ "auto_confirm": "maybe" }));
    assert_eq!(wrong.0, 422);
    assert!(message(&wrong).contains("auto-confirm \"maybe\": one of: on off"), "{wrong:?}");
    assert_eq!(bench.get("auto-confirm", "").1, json!({ "auto_confirm": "off" }));
    assert_eq!(bench.get("upgrade-plan", "").1["plans"][0]["said"], Value::Null, "nothing was kept");
    let missing =
        Events::open(&bench.center, &format!("products/{PK}/devices/8699/upgrade-plan/events"), None);
    assert_eq!(missing.0, 404);
}

#[test]
fn the_command_line_does_all_that_the_end_user_can() {
    let (bench, _device) = Bench::new();
    let said = bench.center.says(&["device", "plan", PK, DK, "--language", "zh"]);
    for line in [
        "plan 1 (Autumn): Not Upgraded; waits for the user's confirmation",
        "  zh: 更亮",
        "  possible: confirm, appoint, cancel",
        "MCU        1        2       4096",
    ] {
        assert!(said.lines().any(|said| said == line), "{line:?} is not in\n{said}");
    }
    let appoint = ["device", "appoint", PK, DK, "--from", "2999-03-01T02:00", "--until", "2999-03-01T04:00"];
    let said = bench.center.says(&[&appoint[..], &["--time-zone", "Europe/Berlin"]].concat());
    assert!(said.contains("appointed for 2999-03-01 01:00 UTC, in "), "{said}");
    let said = bench.center.says(&["device", "plan", PK, DK]);
    assert!(said.contains("appointed: 2999-03-01T01:00:00.000Z until 2999-03-01T03:00:00.000Z"), "{said}");
    let why = bench.center.json(&["why", PK, DK]);
    assert_eq!(why["plans"][0]["condition"], "appointed", "{why}");

    let output = bench.center.run(&[&appoint[..], &["--plan", "1"]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && error.contains("add Z or an offset"), "{error}");
    assert_eq!(bench.center.says(&["device", "auto-confirm", PK, DK]), "off\n");
    let said = bench.center.says(&["device", "cancel", PK, DK, "--plan", "1"]);
    assert!(
        said.starts_with("plan 1 (Autumn): Upgrade Failed; ") && said.contains("(cancelled by user)"),
        "{said}"
    );
    let output = bench.center.run(&["device", "confirm", PK, DK]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("at its end in upgrade plan 1: upgrade_failed (cancelled by user)"), "{error}");
    assert_eq!(bench.center.json(&["device", "plan", PK, DK])["plans"][0]["actions"], json!(["retry"]));
}
