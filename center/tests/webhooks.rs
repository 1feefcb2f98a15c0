//! Webhooks as a receiver sees them: signed, tried again, replayed, over the death of a center, and from two centers.

mod balancer;
mod cluster;
mod own_postgres;
mod support;
mod webhook_receiver;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cluster::Cluster;
use reference_device::{DeviceRunner, Until};
use support::{Center, TIMEOUT, eventually};
use webhook_receiver::{Reaction, Receiver};

const PK: &str = "p1hook";
const PS: &str = "MTIzNDU2Nzg5MGFi";

fn center(folder: &std::path::Path, networks: &[&str]) -> Center {
    Center::start_with(folder, |command| {
        command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]);
        networks.iter().for_each(|network| {
            command.args(["--webhook-network", network]);
        });
    })
}

fn states(center: &Center, webhook: &str) -> Vec<(String, i64)> {
    let listed = center.json(&["webhook", "deliveries", webhook]);
    let state = |item: &serde_json::Value| {
        (item["state"].as_str().unwrap().to_owned(), item["attempts"].as_i64().unwrap())
    };
    listed["items"].as_array().unwrap().iter().map(state).collect()
}

#[test]
fn a_message_is_tried_again_until_it_is_taken_though_the_center_dies_in_between() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(Duration::ZERO);
    receiver.react(&[Reaction::Status(500), Reaction::Close]);
    let first = center(folder.path(), &["127.0.0.1"]);
    let made = first.json(&["webhook", "create", "chat", "--url", &receiver.url()]);
    let secret = made["secret"].as_str().unwrap();
    let listed = first.json(&["webhook", "list"]).to_string();
    assert!(listed.contains("chat") && !listed.contains("whsec_"), "a secret is shown once: {listed}");
    first.says(&["webhook", "test", "1"]);
    eventually("the first attempt", || (!receiver.messages().is_empty()).then_some(()));
    first.process.kill();

    let second = center(folder.path(), &["127.0.0.1"]);
    // A killed attempt is taken for lost after a minute.
    let deadline = Instant::now() + 3 * TIMEOUT;
    while states(&second, "1") != [("delivered".to_owned(), 3)] {
        assert!(Instant::now() < deadline, "{:?}", states(&second, "1"));
        std::thread::sleep(Duration::from_millis(50));
    }
    let messages = receiver.messages();
    assert_eq!(messages.len(), 3);
    for message in &messages {
        message.verify(secret);
        assert_eq!((message.id(), message.path.as_str()), (messages[0].id(), "/hook"));
        assert_eq!(message.body, messages[0].body, "every attempt brings the same");
    }
    assert_eq!(messages[0].json()["type"], "webhook.test");

    // Again, as another delivery of the same message, with either secret.
    let renewed = second.json(&["webhook", "renew-secret", "1"]);
    second.says(&["webhook", "replay", "1", "1"]);
    eventually("the replay", || (receiver.messages().len() == 4).then_some(()));
    let replayed = &receiver.messages()[3];
    assert_eq!((replayed.id(), &replayed.body), (messages[0].id(), &messages[0].body));
    replayed.verify(secret);
    replayed.verify(renewed["secret"].as_str().unwrap());
    let line = second.json(&["webhook", "delivery", "1", "1"]);
    assert_eq!(line["log"].as_array().unwrap().last().unwrap()["status"], 200, "{line}");
    let audit = second.says(&["audit", "list"]);
    assert!(audit.contains("POST /webhooks/{webhook}/secret"), "{audit}");
    assert!(!second.says(&["audit", "export"]).contains("whsec_"), "no secret in the audit log");

    // A redirect is not followed, and 410 switches it off.
    receiver.react(&[Reaction::Status(307), Reaction::Status(410)]);
    second.says(&["webhook", "test", "1"]);
    let stopped = || second.json(&["webhook", "show", "1"])["stopped"].as_str().map(str::to_owned);
    assert!(eventually("410 switches it off", stopped).contains("410"));
    let refused = second.run(&["webhook", "test", "1"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("switched off"));
    assert_eq!(second.json(&["webhook", "show", "1"])["enabled"], false);
    second.says(&["webhook", "edit", "1", "--enable"]);
    second.says(&["webhook", "replay", "1", "--failed"]);
    eventually("the failed one again", || (states(&second, "1")[0].0 == "delivered").then_some(()));
    second.says(&["webhook", "delete", "1"]);
    assert_eq!(second.json(&["webhook", "list"])["items"], serde_json::json!([]));
}

#[test]
fn a_plan_and_a_device_are_told_about_to_those_who_want_to_know() {
    let folder = tempfile::tempdir().unwrap();
    let (all, some, other) =
        (Receiver::start(Duration::ZERO), Receiver::start(Duration::ZERO), Receiver::start(Duration::ZERO));
    let center = center(folder.path(), &["127.0.0.0/8"]);
    center.says(&["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS]);
    center.says(&["product", "create", "--key", "p2other", "--name", "Other"]);
    center.says(&["component", "add", PK, "MCU", "--type", "mcu"]);
    center.says(&["webhook", "create", "all", "--url", &all.url()]);
    let words = ["webhook", "create", "some", "--url", &some.url(), "--product", PK];
    center
        .says(&[&words[..], &["--event", "plan.suspended", "--event", "device.upgrade_succeeded"]].concat());
    center.says(&["webhook", "create", "other", "--url", &other.url(), "--product", "p2other"]);
    let file = folder.path().join("image.bin");
    std::fs::write(&file, vec![7; 4_000]).unwrap();
    let words = ["package", "add", "--product", PK, "--component", "MCU", "--name", "two", "--target", "2"];
    let package = center.id(&[&words[..], &[file.to_str().unwrap()]].concat());
    let choice = format!("MCU={package}");
    let plan = center.id(&["plan", "create", "--name", "Autumn", "--product", PK, "--component", &choice]);
    center.says(&["plan", "activate", &plan]);
    let script = "component MCU 1\nask every 1000 ms\noffer upgrade";
    let mut device = DeviceRunner::new(center.mqtt, PK, PS, "860000000000001", script.parse().unwrap());
    let stop = AtomicBool::new(false);
    let deadline = Instant::now() + TIMEOUT;
    device.run(&Until { deadline, stop: &stop, upgrades: Some(1) });
    for words in [["plan", "suspend"], ["plan", "resume"], ["plan", "terminate"]] {
        center.says(&[words[0], words[1], &plan]);
    }
    let expected = [
        "device.created",
        "device.upgrade_started",
        "device.upgrade_succeeded",
        "plan.activated",
        "plan.resumed",
        "plan.suspended",
        "plan.terminated",
    ];
    let told = |receiver: &Receiver| {
        let mut types: Vec<String> = receiver
            .messages()
            .iter()
            .map(|message| message.json()["type"].as_str().unwrap().to_owned())
            .collect();
        types.sort();
        types
    };
    eventually("everything", || (told(&all) == expected).then_some(()));
    eventually("some", || (told(&some) == ["device.upgrade_succeeded", "plan.suspended"]).then_some(()));
    assert!(other.messages().is_empty());
    let succeeded = &all.of("device.upgrade_succeeded")[0].json()["data"];
    assert_eq!((&succeeded["device"], &succeeded["state"]), (&"860000000000001".into(), &"upgraded".into()));
    assert_eq!(succeeded["components"][0]["target"], "2");
    assert_eq!(all.of("plan.suspended")[0].json()["data"]["name"], "Autumn");
}

#[test]
fn nothing_is_sent_into_a_network_that_was_not_named() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::start(Duration::ZERO);
    let first = center(folder.path(), &[]);
    let refused = first.run(&["webhook", "create", "inside", "--url", &receiver.url()]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("--webhook-network"), "{said}");
    drop(first);

    let second = center(folder.path(), &["127.0.0.1"]);
    second.says(&["webhook", "create", "inside", "--url", &receiver.url()]);
    drop(second);
    // The network is named no more: what was made then is refused at each attempt.
    let third = center(folder.path(), &[]);
    third.says(&["webhook", "test", "1"]);
    let line = eventually("an attempt", || {
        let shown = third.json(&["webhook", "delivery", "1", "1"]);
        shown["log"][0]["error"].as_str().map(str::to_owned)
    });
    assert!(line.contains("--webhook-network"), "{line}");
    assert!(receiver.messages().is_empty());
}

#[test]
fn two_centers_share_the_messages_and_lose_none_when_one_dies() {
    const MESSAGES: usize = 150;
    let mut cluster = Cluster::idle();
    cluster.arguments = vec!["--webhook-network", "127.0.0.1"];
    for id in ["a", "b"] {
        cluster.start_center(id);
    }
    let receiver = Receiver::start(Duration::from_millis(100));
    let url = receiver.url();
    cluster.centers["a"].says(&["webhook", "create", "chat", "--url", &url]);
    // As many as a busy minute brings, at once.
    cluster.server.ask(&format!(
        "INSERT INTO webhook_deliveries (webhook_id, message, event, body, state, attempts, due_at, created_at, log) \
         SELECT 1, 'msg_' || n, 'webhook.test', '{{\"type\": \"webhook.test\"}}', 'waiting', 0, 0, 0, '[]' \
         FROM generate_series(1, {MESSAGES}) AS n"
    ));
    eventually("a third", || (receiver.messages().len() > MESSAGES / 3).then_some(()));
    let sent = |id: &str| {
        let mut answer = ureq::get(format!("http://{}/metrics", cluster.centers[id].http))
            .header("Authorization", format!("Bearer {}", cluster::TOKEN))
            .call()
            .unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("quecota_webhook_attempts_total{outcome=\"delivered\"}"));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap())
    };
    let shared = eventually("both send", || Some((sent("a"), sent("b"))).filter(|(a, b)| *a > 0 && *b > 0));
    cluster.kill("a");
    // What the dead center had taken is taken again after a minute.
    let deadline = Instant::now() + 3 * TIMEOUT;
    while cluster.count("webhook_deliveries WHERE state = 'delivered'") < MESSAGES {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(100));
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for message in receiver.messages() {
        *times.entry(message.id().to_owned()).or_default() += 1;
    }
    let twice = times.values().filter(|times| **times > 1).count();
    println!(
        "{MESSAGES} messages: {} by a and {} by b before a was killed; each arrived, {twice} of them twice",
        shared.0, shared.1
    );
    assert_eq!(times.len(), MESSAGES);
    assert!(twice <= 8, "only what was under way when it died comes again");
}
