//! `device`.

use std::fmt::Write;

use clap::Subcommand;
use serde_json::Value;

use super::client::{Client, ClientError, segment};
use super::table::{Table, cell, items, sheet, state, time};
use super::{Answer, Request};

#[derive(Debug, Subcommand)]
pub enum Device {
    /// List the devices of a product
    List {
        /// Product key
        #[arg(long, value_name = "PK")]
        product: String,
    },
    /// Show a device with its versions
    Show {
        /// Product key
        #[arg(value_name = "PK")]
        product: String,
        /// Device key
        #[arg(value_name = "DK")]
        device: String,
    },
    /// Show the upgrades of a device with their log
    Upgrades {
        /// Product key
        #[arg(value_name = "PK")]
        product: String,
        /// Device key
        #[arg(value_name = "DK")]
        device: String,
    },
}

impl Request for Device {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        match self {
            Self::List { product } => {
                let json = client.list(&format!("products/{}/devices", segment(product)))?;
                let mut table = Table::new(&["DEVICE", "ONLINE", "LAST SEEN", "MODULE", "MCU"]);
                for device in items(&json) {
                    let [key, online, module] =
                        ["key", "online", "module_version"].map(|field| cell(&device[field]));
                    table.row([
                        key,
                        online,
                        time(&device["last_seen"]),
                        module,
                        versions(&device["mcu_versions"]),
                    ]);
                }
                Ok(Answer { text: table.text(), json })
            }
            Self::Show { product, device } => {
                let json =
                    client.get(&format!("products/{}/devices/{}", segment(product), segment(device)))?;
                Ok(Answer { text: shown(&json), json })
            }
            Self::Upgrades { product, device } => {
                let path = format!("products/{}/devices/{}/upgrades", segment(product), segment(device));
                let json = client.list(&path)?;
                Ok(Answer { text: upgrades(&json), json })
            }
        }
    }
}

fn versions(versions: &Value) -> String {
    let versions: Vec<String> = versions
        .as_object()
        .map(|versions| {
            versions.iter().map(|(component, version)| format!("{component} {}", cell(version))).collect()
        })
        .unwrap_or_default();
    if versions.is_empty() { "-".to_owned() } else { versions.join(", ") }
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

fn shown(device: &Value) -> String {
    let fields = ["key", "product", "online", "model", "module_version", "sdk_version"];
    let mut lines = fields.map(|field| (field, cell(&device[field]))).to_vec();
    lines.extend(["battery", "rsrp"].map(|field| (field, cell(&device[field]["value"]))));
    lines.extend(["created", "last_seen"].map(|field| (field, time(&device[field]))));
    let mut text = sheet(&lines);
    let mut table = Table::new(&["COMPONENT", "VERSION"]);
    if let Some(versions) = device["mcu_versions"].as_object() {
        for (component, version) in versions {
            table.row([component.clone(), cell(version)]);
        }
    }
    text.push('\n');
    text.push_str(&table.text());
    text
}

/// The lines of an upgrade's log.
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

fn upgrades(upgrades: &Value) -> String {
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
