//! Upgrades of devices and their log in words.

use std::fmt::Write;

use serde_json::Value;

use super::table::{Table, cell, items, state, time};

/// Upgrades with their components and logs.
pub(super) fn upgrades(upgrades: &Value) -> String {
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
        text.push_str(&log(&upgrade["log"]));
        text.push('\n');
    }
    if text.is_empty() { "no upgrades\n".to_owned() } else { text }
}

/// The values of a line of the log: `name value` where they have names.
fn detail(value: &Value) -> String {
    match value {
        Value::Object(values) => {
            let parts: Vec<String> =
                values.iter().map(|(name, value)| format!("{name} {}", detail(value))).collect();
            parts.join(", ")
        }
        Value::Array(values) => {
            let parts: Vec<String> = values.iter().map(detail).collect();
            format!("({})", parts.join("; "))
        }
        other => cell(other),
    }
}

/// The lines of a log.
pub(super) fn log(log: &Value) -> String {
    let mut table = Table::new(&["TIME", "COMPONENT", "WHAT", "DETAIL"]);
    for line in items(log) {
        let [component, what] = ["component", "kind"].map(|field| cell(&line[field]));
        let mut detail = detail(&line["value"]);
        if let Some(times @ 2..) = line["times"].as_u64() {
            // Writing to a string cannot fail.
            let _ = write!(detail, "  ({times} times until {})", time(&line["last_at"]));
        }
        table.row([time(&line["at"]), component, what, detail]);
    }
    table.text()
}

/// Bytes that the device has, in per cent where the whole is known.
fn fetched(fetched: &Value, size: &Value) -> String {
    match (fetched.as_u64(), size.as_u64()) {
        (Some(0) | None, _) => "-".to_owned(),
        (Some(bytes), Some(size @ 1..)) => {
            let percent = bytes.min(size).saturating_mul(100).checked_div(size).unwrap_or(0);
            format!("{bytes} of {size} ({percent} %)")
        }
        (Some(bytes), _) => bytes.to_string(),
    }
}
