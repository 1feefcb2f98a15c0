//! The log of devices and upgrades in words.

use std::fmt::Write;

use clap::Args;
use serde_json::Value;

use super::table::{Table, cell, items, time};

/// How much of a log is shown.
#[derive(Debug, Clone, Copy, Args)]
pub struct Lines {
    /// Every line of the log; without it, one line for a download, whatever number of pieces and reports it has
    #[arg(long)]
    full: bool,
}

impl Lines {
    /// The lines that say something new.
    pub(super) const MERGED: Lines = Lines { full: false };
}

/// Names of values that are points in time.
const TIMES: [&str; 4] = ["next", "since", "opens", "closes"];

/// The lines of a log; `sizes` are the bytes of each component's package, where they are known.
pub(super) fn log(log: &Value, sizes: &Value, lines: Lines) -> String {
    let mut table = Table::new(&["TIME", "COMPONENT", "WHAT", "DETAIL"]);
    let mut rest = items(log);
    while let Some(line) = rest.first() {
        let run = if lines.full { 1 } else { progress(rest) };
        let (merged, behind) = rest.split_at(run.max(1));
        rest = behind;
        let [component, what] = ["component", "kind"].map(|field| cell(&line[field]));
        if run > 1 {
            let first = merged.iter().filter_map(|line| line["at"].as_i64()).min();
            let text = downloaded(merged, &sizes[component.as_str()]);
            table.row([time(&first.into()), component, "progress".to_owned(), text]);
            continue;
        }
        let mut detail =
            if what.ends_with("status") { status(&line["value"]) } else { detail(&line["value"]) };
        if let Some(times @ 2..) = line["times"].as_u64() {
            // Writing to a string cannot fail.
            let _ = write!(detail, "  ({times} times until {})", time(&line["last_at"]));
        }
        table.row([time(&line["at"]), component, what, detail]);
    }
    table.text()
}

/// How many lines from the first on are the download of one component: its pieces and heartbeats.
fn progress(lines: &[Value]) -> usize {
    let is_progress = |line: &&Value| {
        line["kind"] == "status"
            && matches!(line["value"]["status"].as_i64(), Some(4 | 5 | 8))
            && line["value"]["reason"].is_null()
            && lines.first().is_some_and(|first| first["component"] == line["component"])
    };
    lines.iter().take_while(is_progress).count()
}

/// The lines of a download as one.
fn downloaded(lines: &[Value], size: &Value) -> String {
    let of = |status: i64| lines.iter().filter(move |line| line["value"]["status"] == status);
    let pieces: u64 = of(8).filter_map(|line| line["times"].as_u64()).sum();
    let bytes = of(8).filter_map(|line| line["value"]["bytes"].as_u64()).max().unwrap_or(0);
    let mut text = match pieces {
        0 => "downloading".to_owned(),
        1 => "1 piece downloaded".to_owned(),
        pieces => format!("{pieces} pieces downloaded"),
    };
    if bytes > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, ", {}", part(bytes, size));
    }
    let last = lines.iter().filter_map(|line| line["last_at"].as_i64()).max();
    let _ = write!(text, ", until {}", time(&last.into()));
    text
}

/// Bytes, and how much of the whole they are where that is known.
pub(super) fn part(bytes: u64, size: &Value) -> String {
    match size.as_u64() {
        Some(size @ 1..) => {
            let percent = bytes.min(size).saturating_mul(100).checked_div(size).unwrap_or(0);
            format!("{bytes} of {size} bytes ({percent} %)")
        }
        _ => format!("{bytes} bytes"),
    }
}

/// What a status says, by its number on the wire.
fn status(value: &Value) -> String {
    let number = value["status"].as_i64();
    let words = match number {
        Some(0) => "no plan",
        Some(1) => "plan received",
        Some(2) => "upgrade confirmed",
        Some(3) => "refused",
        Some(4) => "ready to download",
        Some(5) => "downloading",
        Some(6) => "download failed",
        Some(8) => "downloaded",
        Some(9) => "upgrading",
        Some(11) => "upgrade succeeded",
        Some(12) => "upgrade failed",
        _ => return detail(value),
    };
    let mut text = format!("{words} ({})", cell(&value["status"]));
    if let Some(bytes) = value["bytes"].as_u64() {
        // Writing to a string cannot fail.
        let _ = write!(text, ", {bytes} bytes");
    }
    for name in ["reason", "reason_text", "component"] {
        if !value[name].is_null() {
            let _ = write!(text, ", {} {}", name.replace('_', " "), cell(&value[name]));
        }
    }
    text
}

/// The values of a line: `name value` where they have names.
fn detail(value: &Value) -> String {
    match value {
        Value::Object(values) => {
            let told = |(name, value): (&String, &Value)| match value {
                Value::Number(_) if TIMES.contains(&name.as_str()) => format!("{name} {}", time(value)),
                Value::Null if name == "next" => "no further attempt".to_owned(),
                Value::String(word) if name == "state" => format!("{name} {}", word.replace('_', " ")),
                value => format!("{} {}", name.replace('_', " "), detail(value)),
            };
            values.iter().map(told).collect::<Vec<_>>().join(", ")
        }
        Value::Array(values) => {
            let parts: Vec<String> = values.iter().map(detail).collect();
            format!("({})", parts.join("; "))
        }
        other => cell(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(at: i64, kind: &str, value: &Value) -> Value {
        json!({ "at": at, "last_at": at, "times": 1, "component": "MCU", "kind": kind, "value": value })
    }

    /// An upgrade of an MCU in 16 pieces, with a failure in the middle.
    fn upgrade() -> Vec<Value> {
        let begin = 1_795_806_366_734;
        let mut lines = vec![line(begin, "status", &json!({ "status": 2, "text": "SUBMITOTA" }))];
        for piece in 0..16 {
            for status in [4, 5, 8] {
                let mut value = json!({ "status": status, "text": "" });
                if status == 8 {
                    value["bytes"] = json!((piece + 1) * 1000);
                }
                lines.push(line(begin + 1000 * i64::from(piece), "status", &value));
            }
            if piece == 7 {
                let value = json!({ "reason": "status 6", "next": begin });
                lines.push(line(begin, "failure", &value));
            }
        }
        lines.push(line(begin, "success", &json!({ "state": "upgrade_succeeded" })));
        lines
    }

    #[test]
    fn the_log_of_an_upgrade_in_16_pieces_is_five_lines_in_words() {
        let (lines, sizes) = (json!(upgrade()), json!({ "MCU": 16_000 }));
        let text = log(&lines, &sizes, Lines::MERGED);
        let told: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(told.len(), 5, "{text}");
        assert!(told[0].ends_with("status    upgrade confirmed (2)"), "{text}");
        let end = "progress  8 pieces downloaded, 8000 of 16000 bytes (50 %), until 2026-11-27T19:06:13.734Z";
        assert!(told[1].ends_with(end), "{text}");
        assert!(told[2].contains("next 2026-11-27T19:06:06.734Z"), "{text}");
        assert!(told[3].contains("8 pieces downloaded, 16000 of 16000 bytes (100 %)"), "{text}");
        assert!(told[4].contains("state upgrade succeeded"), "{text}");
        assert!(!text.contains("SUBMITOTA") && !text.contains("1795806366734"), "{text}");
    }

    #[test]
    fn the_full_log_has_every_line_and_newest_first_is_merged_alike() {
        let lines = upgrade();
        let full = log(&json!(lines), &Value::Null, Lines { full: true });
        assert_eq!(full.lines().count(), 1 + lines.len());
        assert!(full.contains("downloaded (8), 3000 bytes"), "{full}");
        let reversed: Vec<Value> = lines.into_iter().rev().collect();
        let text = log(&json!(reversed), &Value::Null, Lines::MERGED);
        assert_eq!(text.lines().count(), 6, "{text}");
        assert!(text.contains("8 pieces downloaded, 8000 bytes, until 2026-11-27T19:06:13.734Z"), "{text}");
    }
}
