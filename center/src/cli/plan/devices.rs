//! `plan retry` and `plan skip`: some devices of a plan, by their keys or by state and reason.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::Answer;
use crate::cli::args::device_keys::keys;
use crate::cli::client::{Client, ClientError};
use crate::cli::table::{Table, cell, items};

/// Some devices of a plan: by their keys, or all that are in a state for a reason.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Devices {
    /// These devices; repeat it, or separate the keys by commas
    #[arg(long = "device", value_name = "DK", value_delimiter = ',', conflicts_with_all = ["state", "reason"])]
    devices: Vec<String>,
    /// The devices of this CSV file: their keys in its first column
    #[arg(long = "device-file", value_name = "FILE", conflicts_with_all = ["state", "reason"])]
    file: Option<PathBuf>,
    /// All devices of the plan in this state; with --reason alone, upgrade_failed
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only devices whose reason has this text in it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Device keys that are sent in one request.
const KEYS: usize = 1_000;

impl Devices {
    /// Sends the request in parts of 1000 keys, and puts the answers together.
    pub(super) fn send(&self, client: &Client, path: &str, more: &Value) -> Result<Value, ClientError> {
        let (mut done, mut not_done) = (0, Vec::new());
        let mut send = |body: Value| {
            let mut body = body;
            if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
                body.extend(more.clone());
            }
            let mut answer = client.post(path, &body)?;
            done += answer["done"].as_u64().unwrap_or_default();
            if let Value::Array(left) = answer["not_done"].take() {
                not_done.extend(left);
            }
            Ok(answer["next"].take())
        };
        if let Some(keys) = keys("device", &self.devices, self.file.as_ref())? {
            for keys in keys.chunks(KEYS) {
                send(json!({ "devices": keys }))?;
            }
        } else {
            let mut after = Value::Null;
            loop {
                let filter = json!({ "state": self.state, "reason": self.reason, "after": after });
                after = send(json!({ "filter": filter }))?;
                if after.is_null() {
                    break;
                }
            }
        }
        if done == 0 && !not_done.is_empty() {
            let shown = not_done
                .iter()
                .take(3)
                .map(|left| format!("device {}: {}", cell(&left["device"]), cell(&left["reason"])));
            let rest = not_done.len().saturating_sub(3);
            let rest = if rest > 0 { format!("; and {rest} more") } else { String::new() };
            let shown = shown.collect::<Vec<_>>().join("; ");
            return Err(ClientError::Argument(format!("nothing was done: {shown}{rest}")));
        }
        Ok(json!({ "done": done, "not_done": not_done }))
    }
}

/// How many devices it was done for, and why not for the others.
pub(super) fn ordered(json: Value, what: &str) -> Answer {
    let mut text = format!("{} devices {what}\n", cell(&json["done"]));
    let left = items(&json["not_done"]);
    if !left.is_empty() {
        let mut table = Table::new(&["NOT DONE", "WHY"]);
        for left in left {
            table.row(["device", "reason"].map(|field| cell(&left[field])));
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    Answer::new(text, json)
}
