//! `plan apply`: a plan as a file says it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fields::{halt, zone};
use super::packages::selected;
use super::view::who;
use crate::cli::args::device_keys::list;
use crate::cli::args::moment::moment;
use crate::cli::args::window::window;
use crate::cli::client::{Client, ClientError, segment};
use crate::cli::table::{cell, items};
use crate::cli::{Answer, Request};

#[derive(Debug, Args)]
pub struct Apply {
    /// The plan as YAML
    #[arg(value_name = "PLAN.yaml")]
    file: PathBuf,
    /// Activate it too
    #[arg(long)]
    activate: bool,
    /// Take the place of active plans with the same components
    #[arg(long, requires = "activate")]
    supersede: bool,
    /// Only say what would change
    #[arg(long)]
    check: bool,
}

impl Request for Apply {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        let wanted = read(client, &self.file)?;
        let name = wanted["name"].as_str().unwrap_or_default().to_owned();
        let plans = client.list("plans")?;
        let known = items(&plans).iter().find(|plan| plan["name"] == name.as_str());
        let (mut text, mut notes) = (String::new(), Vec::new());
        let mut plan = match known {
            None => {
                text.push_str(&format!("plan {name:?} is new\n"));
                if self.check {
                    Value::Null
                } else {
                    let product = wanted["product"].as_str().unwrap_or_default();
                    client.post(&format!("products/{}/plans", segment(product)), &wanted)?
                }
            }
            Some(known) => {
                let path = format!("plans/{}", cell(&known["id"]));
                let current = client.get(&path)?;
                let changes = difference(client, &path, &current, &wanted)?;
                for (field, (before, after)) in &changes {
                    text.push_str(&format!("{field}: {before} -> {after}\n"));
                }
                if changes.is_empty() {
                    text.push_str(&format!("plan {name:?} is as the file says\n"));
                    current
                } else if current["state"] != "saved" {
                    let fields: Vec<&str> = changes.iter().map(|(field, _)| field.as_str()).collect();
                    return Err(ClientError::Argument(format!(
                        "plan {name:?} is {} and cannot change any more; the file differs in {}; give the plan another name",
                        cell(&current["state"]),
                        fields.join(", ")
                    )));
                } else if self.check {
                    current
                } else {
                    client.patch(&path, &patch(&current, &wanted))?
                }
            }
        };
        if self.activate && !self.check && plan["state"] == "saved" {
            let body = if self.supersede { json!({ "supersede": "agreed" }) } else { json!({}) };
            plan = client.post(&format!("plans/{}/activate", cell(&plan["id"])), &body)?;
        }
        if !plan.is_null() {
            text.push_str(&format!("plan {}: {}\n", cell(&plan["id"]), cell(&plan["state"])));
            notes.push(format!("for {}", who(&plan)));
        }
        let mut answer = Answer::new(text, if plan.is_null() { wanted } else { plan });
        answer.notes = notes;
        Ok(answer)
    }
}

/// The change that makes the plan as wanted: a language that the file has no more is taken away.
fn patch(current: &Value, wanted: &Value) -> Value {
    let mut patch = wanted.clone();
    if wanted["texts"].is_object() {
        for language in current["texts"].as_object().into_iter().flatten().map(|(language, _)| language) {
            if wanted["texts"][language].is_null() {
                patch["texts"][language] = Value::Null;
            }
        }
    }
    patch
}

/// Texts of the file that look like numbers: a device key keeps its zeros.
#[derive(Deserialize)]
struct Keys {
    name: Option<String>,
    #[serde(default)]
    whitelist: Option<Vec<String>>,
    #[serde(default)]
    blacklist: Option<Vec<String>>,
}

/// What is wrong with a file, without the excerpt of it.
fn first_line(error: &serde_saphyr::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// The file as the API takes a plan.
fn read(client: &Client, file: &Path) -> Result<Value, ClientError> {
    let path = file.display().to_string();
    let wrong = |cause: String| ClientError::File { path: path.clone(), cause };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    let given: Map<String, Value> =
        serde_saphyr::from_str(&text).map_err(|error| wrong(first_line(&error)))?;
    let zone = given.get("time_zone").and_then(Value::as_str);
    let zone = self::zone(zone, |field| given.get(field).is_some_and(|value| !value.is_null()))?;
    let keys: Keys = serde_saphyr::from_str(&text).map_err(|error| wrong(first_line(&error)))?;
    let mut plan = Map::new();
    plan.insert("time_zone".into(), json!(zone));
    for (field, value) in &given {
        let word = value.as_str();
        let (field, value) = match (field.as_str(), word) {
            ("start" | "end", Some(at)) => (field.as_str(), moment(field, at, Some(zone))?),
            ("push_period", Some(period)) => ("push_period", window(period)?),
            ("whitelist_file" | "blacklist_file", Some(list)) => {
                let list = file.parent().unwrap_or(Path::new("")).join(list);
                let field = field.trim_end_matches("_file");
                (field, self::list(field, &[], Some(&list))?.unwrap_or_default())
            }
            ("name", _) if value.is_number() => ("name", json!(keys.name)),
            ("whitelist", _) if value.is_array() => ("whitelist", json!(keys.whitelist)),
            ("blacklist", _) if value.is_array() => ("blacklist", json!(keys.blacklist)),
            ("strategy", _) => ("strategy", strategy(value).map_err(&wrong)?),
            ("components", _) => {
                let product = given.get("product").and_then(Value::as_str).unwrap_or_default();
                ("components", components(client, product, value)?)
            }
            _ => (field.as_str(), value.clone()),
        };
        plan.insert(field.to_owned(), value);
    }
    for field in ["name", "product", "components"] {
        if !plan.contains_key(field) {
            return Err(wrong(format!("the field {field} is missing")));
        }
    }
    Ok(Value::Object(plan))
}

/// `halt: 20/10` is short for its two fields.
fn strategy(given: &Value) -> Result<Value, String> {
    let mut strategy = given.clone();
    if let Some(text) = given["halt"].as_str() {
        strategy["halt"] = halt(text).map_err(|rule| format!("strategy.halt {text:?}: {rule}"))?;
    }
    Ok(strategy)
}

/// `STM32: 7` by the package's number, `STM32: diffuser-2` by its name; or the API's list.
fn components(client: &Client, product: &str, given: &Value) -> Result<Value, ClientError> {
    let Some(chosen) = given.as_object() else { return Ok(given.clone()) };
    let chosen: Vec<_> =
        chosen.iter().map(|(component, package)| (component.clone(), cell(package))).collect();
    selected(client, product, &chosen)
}

/// Fields in which the plan is not as wanted: what it has, and what it is to have.
type Difference = Vec<(String, (String, String))>;

fn difference(
    client: &Client,
    path: &str,
    current: &Value,
    wanted: &Value,
) -> Result<Difference, ClientError> {
    let mut changes = Vec::new();
    for (field, after) in wanted.as_object().into_iter().flatten() {
        match field.as_str() {
            "whitelist" | "blacklist" => {
                let sorted = |list: &Value| {
                    let mut keys: Vec<String> = items(list).iter().map(cell).collect();
                    keys.sort();
                    keys.dedup();
                    keys
                };
                let (before, after) = (sorted(&client.list(&format!("{path}/{field}"))?), sorted(after));
                if before != after {
                    let count = |keys: &[String]| format!("{} devices", keys.len());
                    changes.push((field.clone(), (count(&before), count(&after))));
                }
            }
            "strategy" => {
                for (name, after) in after.as_object().into_iter().flatten() {
                    let before = &current[field][name];
                    if before != after {
                        changes.push((format!("{field}.{name}"), (before.to_string(), after.to_string())));
                    }
                }
            }
            _ if current[field] != *after => {
                changes.push((field.clone(), (current[field].to_string(), after.to_string())));
            }
            _ => {}
        }
    }
    Ok(changes)
}
