//! `why`.

use std::fmt::Write;

use clap::Args;
use serde_json::Value;

use super::client::{Client, ClientError, segment};
use super::table::{cell, items, time};
use super::{Answer, Request};

#[derive(Debug, Args)]
pub struct Whose {
    /// Product key
    #[arg(value_name = "PK")]
    product: String,
    /// Device key
    #[arg(value_name = "DK")]
    device: String,
}

impl Request for Whose {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        let path = format!("products/{}/devices/{}/why", segment(&self.product), segment(&self.device));
        let json = client.get(&path)?;
        Ok(Answer::new(told(&json), json))
    }
}

fn told(why: &Value) -> String {
    let mut text = String::new();
    if !why["forbidden"].is_null() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "forbidden to connect since {}", time(&why["forbidden"]));
    }
    let verification = &why["verification"];
    if !verification.is_null() {
        let [id, package, state] = ["id", "package", "state"].map(|field| cell(&verification[field]));
        let until = time(&verification["deadline"]);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "firmware verification {id} of package {package}: {state}, until {until} at the latest"
        );
    }
    for plan in items(&why["plans"]) {
        let [id, name, state, reason] = ["plan", "name", "state", "text"].map(|field| cell(&plan[field]));
        let changes = cell(&plan["changes_with"]);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "plan {id} ({name}, {state}): {reason}");
        if let Some(last) = plan["last_attempt"].as_str() {
            let _ = writeln!(text, "  last attempt: {last}");
        }
        let _ = match &plan["may_change"] {
            Value::Null => writeln!(text, "  changes with: {changes}"),
            at => writeln!(text, "  changes with: {changes}; {}", time(at)),
        };
    }
    if text.is_empty() {
        text.push_str("no active plan of the product\n");
    }
    let taken_over = &why["taken_over"];
    if !taken_over.is_null() {
        let (times, since) = (cell(&taken_over["times"]), time(&taken_over["since"]));
        let addresses: Vec<String> = items(&taken_over["addresses"]).iter().map(cell).collect();
        let addresses = addresses.join(" and ");
        let _ = writeln!(
            text,
            "taken over {times} times since {since}, from {addresses}: do two devices have this key?"
        );
    }
    if let Some(reason) = why["not_understood"].as_str() {
        let _ = writeln!(text, "not understood of its reports: {reason}");
    }
    text
}
