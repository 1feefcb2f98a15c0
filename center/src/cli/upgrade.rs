//! Upgrades of devices and their log in words.

use std::fmt::Write;

use serde_json::Value;

use super::log::{Lines, log, part};
use super::table::{Table, cell, items, state};

/// Upgrades with their components and logs.
pub(super) fn upgrades(upgrades: &Value, lines: Lines) -> String {
    let mut text = String::new();
    for upgrade in items(upgrades) {
        let [id, plan] = ["id", "plan"].map(|field| cell(&upgrade[field]));
        let words = state(&upgrade["state"]);
        // Writing to a string cannot fail.
        let _ = match upgrade["plan"] {
            Value::Null => writeln!(text, "upgrade {id}, a firmware verification: {words}"),
            _ => writeln!(text, "upgrade {id} of plan {plan}: {words}"),
        };
        let mut components =
            Table::new(&["COMPONENT", "SOURCE", "TARGET", "STATE", "FETCHED", "FAILURES", "REASON"]);
        for component in items(&upgrade["components"]) {
            let [name, source, target] =
                ["component", "source", "target"].map(|field| cell(&component[field]));
            let [failures, reason] = ["failures", "reason"].map(|field| cell(&component[field]));
            let fetched = fetched(&component["fetched"], &upgrade["sizes"][&name]);
            components.row([name, source, target, state(&component["state"]), fetched, failures, reason]);
        }
        text.push_str(&components.text());
        text.push_str(&log(&upgrade["log"], &upgrade["sizes"], lines));
        if upgrade["log_before"].is_string() {
            text.push_str("lines before these: quecota-center device log\n");
        }
        text.push('\n');
    }
    if text.is_empty() { "no upgrades\n".to_owned() } else { text }
}

/// Bytes that the device has, in per cent where the whole is known.
fn fetched(fetched: &Value, size: &Value) -> String {
    match fetched.as_u64() {
        Some(0) | None => "-".to_owned(),
        Some(bytes) => part(bytes, size),
    }
}
