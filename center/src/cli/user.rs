//! `device plan`, `confirm`, `appoint`, `cancel`, `retry` and `auto-confirm`: what an end user does in manual mode.

use std::fmt::Write;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::args::moment::moment;
use super::client::{Client, ClientError, segment};
use super::table::{Table, cell, items, state, time};
use super::{Answer, Request};

/// A device, and the plan that is meant.
#[derive(Debug, Args)]
pub struct Whose {
    /// Product key
    #[arg(value_name = "PK")]
    product: String,
    /// Device key
    #[arg(value_name = "DK")]
    device: String,
    /// Number or name of the plan; without it, the one plan that takes this
    #[arg(long, value_name = "PLAN")]
    plan: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum User {
    /// Show the plans that concern a device, as its end user sees them
    Plan {
        /// Product key
        #[arg(value_name = "PK")]
        product: String,
        /// Device key
        #[arg(value_name = "DK")]
        device: String,
        /// Language of the upgrade text, as in en or zh; English where there is none in it
        #[arg(long, value_name = "TAG")]
        language: Option<String>,
    },
    /// Confirm a plan in manual mode: the device upgrades as soon as it may
    Confirm {
        /// The device
        #[command(flatten)]
        whose: Whose,
    },
    /// Appoint a window of at least an hour in which the device is to upgrade
    Appoint {
        /// The device
        #[command(flatten)]
        whose: Whose,
        /// It opens: 2026-03-01T02:00Z, with an offset, or in the zone of --time-zone
        #[arg(long, value_name = "TIME")]
        from: String,
        /// It closes
        #[arg(long, value_name = "TIME")]
        until: String,
        /// Time zone of the two, as IANA name
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
    },
    /// Do not upgrade the device: it fails with the reason "cancelled by user"
    Cancel {
        /// The device
        #[command(flatten)]
        whose: Whose,
    },
    /// Try again on a device that has failed
    Retry {
        /// The device
        #[command(flatten)]
        whose: Whose,
    },
    /// Show or change whether plans in manual mode count as confirmed for a device
    AutoConfirm {
        /// Product key
        #[arg(value_name = "PK")]
        product: String,
        /// Device key
        #[arg(value_name = "DK")]
        device: String,
        /// on or off
        #[arg(value_name = "HOW")]
        how: Option<String>,
    },
}

fn path(product: &str, device: &str, rest: &str) -> String {
    format!("products/{}/devices/{}/{rest}", segment(product), segment(device))
}

fn say(
    client: &Client,
    whose: &Whose,
    word: &str,
    mut body: Map<String, Value>,
) -> Result<Answer, ClientError> {
    if let Some(plan) = &whose.plan {
        let number = client.plan(plan)?.parse::<i64>();
        let number = number.map_err(|_| ClientError::Argument(format!("there is no upgrade plan {plan}")))?;
        body.insert("plan".into(), json!(number));
    }
    let path = path(&whose.product, &whose.device, &format!("upgrade-plan/{word}"));
    let json = client.post(&path, &Value::Object(body))?;
    Ok(Answer::new(headline(&json), json))
}

impl Request for User {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        match self {
            Self::Plan { product, device, language } => {
                let query =
                    language.as_ref().map_or_else(String::new, |tag| format!("?language={}", segment(tag)));
                let json = client.get(&path(product, device, &format!("upgrade-plan{query}")))?;
                Ok(Answer::new(shown(&json), json))
            }
            Self::Confirm { whose } => say(client, whose, "confirm", Map::new()),
            Self::Appoint { whose, from, until, time_zone } => {
                let mut body = Map::new();
                for (name, given) in [("from", from), ("until", until)] {
                    body.insert(name.into(), moment(name, given, time_zone.as_deref())?);
                }
                say(client, whose, "appoint", body)
            }
            Self::Cancel { whose } => say(client, whose, "cancel", Map::new()),
            Self::Retry { whose } => say(client, whose, "retry", Map::new()),
            Self::AutoConfirm { product, device, how } => {
                let path = path(product, device, "auto-confirm");
                let json = match how {
                    Some(how) => client.put(&path, &json!({ "auto_confirm": how }))?,
                    None => client.get(&path)?,
                };
                Ok(Answer::new(format!("{}\n", cell(&json["auto_confirm"])), json))
            }
        }
    }
}

/// The plan and where the device stands in it, in one line.
fn headline(plan: &Value) -> String {
    let [id, name] = ["plan", "name"].map(|field| cell(&plan[field]));
    let progress = &plan["progress"];
    let mut line = format!("plan {id} ({name}): {}; {}", state(&progress["state"]), cell(&progress["text"]));
    if !progress["reason"].is_null() {
        // Writing to a string cannot fail.
        let _ = write!(line, " ({})", cell(&progress["reason"]));
    }
    line.push('\n');
    line
}

fn shown(device: &Value) -> String {
    let mut text = String::new();
    for plan in items(&device["plans"]) {
        text.push_str(&headline(plan));
        if !plan["text"].is_null() {
            let [language, words] = ["language", "text"].map(|field| cell(&plan["text"][field]));
            // Writing to a string cannot fail, here and below.
            let _ = writeln!(text, "  {language}: {words}");
        }
        let _ = match plan.pointer("/said/window") {
            Some(window) => {
                writeln!(text, "  appointed: {} until {}", time(&window["from"]), time(&window["until"]))
            }
            None if plan["said"].is_null() => Ok(()),
            None => writeln!(text, "  confirmed: {}", time(&plan["said"]["at"])),
        };
        let actions: Vec<String> = items(&plan["actions"]).iter().map(cell).collect();
        if !actions.is_empty() {
            let _ = writeln!(text, "  possible: {}", actions.join(", "));
        }
        let mut table = Table::new(&["COMPONENT", "VERSION", "TARGET", "BYTES"]);
        for component in items(&plan["components"]) {
            table.row(["component", "version", "target", "bytes"].map(|field| cell(&component[field])));
        }
        text.push_str(&table.text());
        text.push('\n');
    }
    if text.is_empty() { "no upgrade plan concerns the device\n".to_owned() } else { text }
}
