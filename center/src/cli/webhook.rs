//! `webhook`: who is told by HTTP what happens to plans and devices.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, ClientError, query};
use super::table::{Table, cell, items, sheet, time};
use super::{Answer, Request};

#[derive(Debug, Subcommand)]
pub enum Webhook {
    /// Make a webhook; prints the secret that its messages are signed with, which is never shown again
    Create {
        /// What it is for
        name: String,
        /// Where messages are posted
        #[arg(long)]
        url: String,
        /// What it is told, as plan.halted; may be given several times. Without it, everything
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// Of which product. Without it, every one
        #[arg(long, value_name = "PK")]
        product: Option<String>,
    },
    /// List the webhooks
    List,
    /// Show a webhook
    Show {
        /// Its number
        id: i64,
    },
    /// Change a webhook, or switch it on or off
    Edit {
        /// Its number
        id: i64,
        /// What it is for
        #[arg(long)]
        name: Option<String>,
        /// Where messages are posted
        #[arg(long)]
        url: Option<String>,
        /// What it is told; may be given several times; `all` for everything
        #[arg(long = "event", value_name = "EVENT")]
        events: Vec<String>,
        /// Of which product; `all` for every one
        #[arg(long, value_name = "PK")]
        product: Option<String>,
        /// Send nothing, and note no new messages
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Send again
        #[arg(long)]
        enable: bool,
    },
    /// Give a webhook another secret; the one of before signs beside it for a day
    RenewSecret {
        /// Its number
        id: i64,
    },
    /// Send a message to try a webhook
    Test {
        /// Its number
        id: i64,
    },
    /// List the messages to a webhook, the newest first
    Deliveries {
        /// Its number
        id: i64,
        /// Only those in this state
        #[arg(long, value_enum)]
        state: Option<State>,
        /// How many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        last: u16,
    },
    /// Show a message with what became of each attempt
    Delivery {
        /// Number of the webhook
        id: i64,
        /// Number of the message
        delivery: i64,
    },
    /// Send a message again, or all that failed
    Replay {
        /// Number of the webhook
        id: i64,
        /// Number of the message
        #[arg(required_unless_present = "failed", conflicts_with = "failed")]
        delivery: Option<i64>,
        /// Every message that failed
        #[arg(long)]
        failed: bool,
    },
    /// Delete a webhook with its messages
    Delete {
        /// Its number
        id: i64,
    },
}

/// How far a message is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum State {
    /// It is tried now or later
    Waiting,
    /// The receiver has taken it
    Delivered,
    /// Nobody tries any more
    Failed,
}

impl Request for Webhook {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        match self {
            Self::Create { name, url, events, product } => {
                let mut body = json!({ "name": name, "url": url, "product": product });
                if !events.is_empty() {
                    body["events"] = json!(events);
                }
                let json = client.post("webhooks", &body)?;
                Ok(Answer::new(secret(&json), json))
            }
            Self::List => {
                let json = client.list("webhooks")?;
                let mut table = Table::new(&["NUMBER", "NAME", "URL", "TOLD", "PRODUCT", "ON"]);
                for webhook in items(&json) {
                    table.row([
                        cell(&webhook["id"]),
                        cell(&webhook["name"]),
                        cell(&webhook["url"]),
                        told(&webhook["events"]),
                        or_all(&webhook["product"]),
                        cell(&webhook["enabled"]),
                    ]);
                }
                Ok(Answer::new(table.text(), json))
            }
            Self::Show { id } => {
                let json = client.get(&format!("webhooks/{id}"))?;
                Ok(Answer::new(shown(&json), json))
            }
            Self::Edit { id, name, url, events, product, disable, enable } => {
                let mut body = json!({});
                if let Some(name) = name {
                    body["name"] = json!(name);
                }
                if let Some(url) = url {
                    body["url"] = json!(url);
                }
                if !events.is_empty() {
                    let all = events.iter().any(|event| event == "all");
                    body["events"] = if all { Value::Null } else { json!(events) };
                }
                if let Some(product) = product {
                    body["product"] = if product == "all" { Value::Null } else { json!(product) };
                }
                if *disable || *enable {
                    body["enabled"] = json!(enable);
                }
                let json = client.patch(&format!("webhooks/{id}"), &body)?;
                Ok(Answer::new(shown(&json), json))
            }
            Self::RenewSecret { id } => {
                let json = client.post(&format!("webhooks/{id}/secret"), &json!({}))?;
                Ok(Answer::new(secret(&json), json))
            }
            Self::Test { id } => {
                let json = client.post(&format!("webhooks/{id}/test"), &json!({}))?;
                Ok(Answer::new(sent(id, &json), json))
            }
            Self::Deliveries { id, state, last } => {
                let state = state.map(|state| match state {
                    State::Waiting => "waiting".to_owned(),
                    State::Delivered => "delivered".to_owned(),
                    State::Failed => "failed".to_owned(),
                });
                let fields = [("state", state), ("limit", Some(last.to_string()))];
                let json = client.get(&format!("webhooks/{id}/deliveries{}", query(&fields)))?;
                let mut table = Table::new(&["NUMBER", "TIME", "EVENT", "STATE", "ATTEMPTS", "LAST", "NEXT"]);
                for delivery in items(&json) {
                    table.row([
                        cell(&delivery["id"]),
                        time(&delivery["created"]),
                        cell(&delivery["event"]),
                        cell(&delivery["state"]),
                        cell(&delivery["attempts"]),
                        items(&delivery["log"]).last().map_or_else(|| "-".to_owned(), outcome),
                        time(&delivery["next_attempt"]),
                    ]);
                }
                Ok(Answer::new(table.text(), json))
            }
            Self::Delivery { id, delivery } => {
                let json = client.get(&format!("webhooks/{id}/deliveries/{delivery}"))?;
                let mut text = sheet(&[
                    ("message", cell(&json["message"])),
                    ("event", cell(&json["event"])),
                    ("state", cell(&json["state"])),
                    ("next attempt", time(&json["next_attempt"])),
                    ("body", cell(&json["body"])),
                ]);
                let mut table = Table::new(&["ATTEMPT", "TOOK", "OUTCOME"]);
                for attempt in items(&json["log"]) {
                    let took = format!("{} ms", cell(&attempt["milliseconds"]));
                    table.row([time(&attempt["at"]), took, outcome(attempt)]);
                }
                text += &table.text();
                Ok(Answer::new(text, json))
            }
            Self::Replay { id, delivery: Some(delivery), .. } => {
                let json = client.post(&format!("webhooks/{id}/deliveries/{delivery}/replay"), &json!({}))?;
                Ok(Answer::new(sent(id, &json), json))
            }
            Self::Replay { id, delivery: None, .. } => {
                let json = client.post(&format!("webhooks/{id}/replay"), &json!({}))?;
                Ok(Answer::new(format!("sent again: {}\n", cell(&json["replayed"])), json))
            }
            Self::Delete { id } => {
                let json = client.delete(&format!("webhooks/{id}"))?;
                Ok(Answer::new("deleted\n".to_owned(), json))
            }
        }
    }
}

fn secret(webhook: &Value) -> String {
    sheet(&[("number", cell(&webhook["id"])), ("secret", cell(&webhook["secret"]))])
}

fn sent(webhook: &i64, delivery: &Value) -> String {
    let number = cell(&delivery["id"]);
    format!("message {number}; `webhook delivery {webhook} {number}` shows what becomes of it\n")
}

fn or_all(value: &Value) -> String {
    if value.is_null() { "all".to_owned() } else { cell(value) }
}

fn told(events: &Value) -> String {
    let words: Vec<String> = items(events).iter().map(cell).collect();
    if events.is_null() { "all".to_owned() } else { words.join(",") }
}

/// What became of an attempt.
fn outcome(attempt: &Value) -> String {
    cell(if attempt["status"].is_null() { &attempt["error"] } else { &attempt["status"] })
}

fn shown(webhook: &Value) -> String {
    sheet(&[
        ("number", cell(&webhook["id"])),
        ("name", cell(&webhook["name"])),
        ("url", cell(&webhook["url"])),
        ("told", told(&webhook["events"])),
        ("product", or_all(&webhook["product"])),
        ("on", cell(&webhook["enabled"])),
        ("stopped", cell(&webhook["stopped"])),
        ("made by", cell(&webhook["made_by"])),
        ("created", time(&webhook["created"])),
    ])
}
