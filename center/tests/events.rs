//! Streams of server-sent events of the real center.

mod support;

use serde_json::json;
use support::{Center, Events};

/// A center with one saved plan.
fn start(folder: &std::path::Path) -> Center {
    let center = Center::start(&folder.join("center"));
    center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
    center.says(&["component", "add", "p1abcd", "STM32", "--type", "mcu"]);
    let file = folder.join("fw.bin");
    std::fs::write(&file, b"firmware").unwrap();
    let add = ["package", "add", "--product", "p1abcd", "--component", "STM32", "--name", "two"];
    center.says(&[&add[..], &["--target", "2", file.to_str().unwrap()]].concat());
    center.says(&["plan", "create", "--name", "Autumn", "--product", "p1abcd", "--component", "STM32=1"]);
    center
}

#[test]
fn a_plans_figures_are_told_as_they_change_until_the_plan_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let center = start(folder.path());
    let mut events = Events::of(&center, "plans/1/events");
    let first = events.next().unwrap();
    assert_eq!((first.kind.as_str(), &first.data["state"]), ("figures", &json!("saved")));
    let figures = json!({ "not_required": 0, "not_upgraded": 0, "upgrading": 0, "upgraded": 0, "failed": 0 });
    assert_eq!(first.data["devices"], figures);
    assert_eq!(first.data["success_rate"], json!(null));

    for (step, state) in [("activate", "activated"), ("suspend", "suspended"), ("resume", "activated")] {
        center.says(&["plan", step, "1"]);
        let event = events.next().unwrap();
        assert_eq!((event.kind.as_str(), &event.data["state"]), ("figures", &json!(state)));
    }
    center.says(&["plan", "terminate", "1"]);
    let end = events.next().unwrap();
    assert_eq!((end.kind.as_str(), &end.data["state"]), ("end", &json!("terminated")));
    assert_eq!(events.next(), None);

    assert_eq!(Events::open(&center, "plans/1/events", Some(&end.id)).0, 204, "nothing is left to tell");
    let (_, resumed) = Events::open(&center, "plans/1/events", Some(&first.id));
    assert_eq!(resumed.unwrap().next(), Some(end), "what was missed");
    assert_eq!(Events::open(&center, "plans/9/events", None).0, 404);
}

#[test]
fn an_open_stream_does_not_hold_up_the_end_of_the_center() {
    let folder = tempfile::tempdir().unwrap();
    let mut center = start(folder.path());
    let mut events = Events::of(&center, "plans/1/events");
    events.next().unwrap();
    let pid = center.process.child().id().to_string();
    let begun = std::time::Instant::now();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(center.process.finish().success());
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(events.next(), None);
}
