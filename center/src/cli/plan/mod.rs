//! `plan`.

mod apply;
mod devices;
mod fields;
mod packages;
mod view;
mod watch;

use clap::Subcommand;
use serde_json::{Value, json};

use self::apply::Apply;
use self::devices::{Devices, ordered};
use self::fields::{Fields, choice, zone};
use self::packages::selected;
use super::client::{Client, ClientError, query, segment};
use super::log::Lines;
use super::table::{Table, cell, items, state, time};
use super::{Answer, Request};

#[derive(Debug, Subcommand)]
pub enum Plan {
    /// Create a plan; prints its number. Nothing reaches a device before it is activated
    Create {
        /// Name, unique
        #[arg(long)]
        name: String,
        /// Product key
        #[arg(long, value_name = "PK")]
        product: String,
        /// A component and the package it gets, by number or name, as in STM32=7; repeat it for more, in the order of the
        /// upgrade
        #[arg(long = "component", required = true, value_name = "ID=PACKAGE", value_parser = choice)]
        components: Vec<(String, String)>,
        /// Time zone of the push period, start and end, as in Europe/Berlin; needed with any of them, else UTC
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
        /// The optional fields
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Change fields of a saved plan; a field that is not given stays as it is
    Edit {
        /// Its number or name
        id: String,
        /// Name, unique
        #[arg(long)]
        name: Option<String>,
        /// A component and the package it gets; those given replace all that were there
        #[arg(long = "component", value_name = "ID=PACKAGE", value_parser = choice)]
        components: Vec<(String, String)>,
        /// Time zone of the push period, start and end, as in Europe/Berlin
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
        /// The optional fields
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Save a copy of a plan, in whatever state that is, with its lists; prints the copy's number
    Clone {
        /// Number or name of the plan
        id: String,
        /// Name of the copy, unique
        #[arg(long)]
        name: String,
    },
    /// Delete a saved plan
    Delete {
        /// Its number or name
        id: String,
    },
    /// Say what activating a plan now would do: its devices by outcome and reason. Nothing is changed
    DryRun {
        /// Its number or name
        id: String,
    },
    /// Activate a plan: from now on it is offered to devices
    Activate {
        /// Its number or name
        id: String,
        /// Take the place of active plans with the same components
        #[arg(long)]
        supersede: bool,
    },
    /// Offer a plan to nobody new; devices that have confirmed finish
    Suspend {
        /// Its number or name
        id: String,
    },
    /// Go on with a suspended plan
    Resume {
        /// Its number or name
        id: String,
    },
    /// Try failed devices of an active plan again: at once, or when they connect
    Retry {
        /// Its number or name
        id: String,
        /// Which devices
        #[command(flatten)]
        devices: Devices,
    },
    /// Leave devices out of an active plan: failed ones, or such that have not confirmed
    Skip {
        /// Its number or name
        id: String,
        /// Which devices
        #[command(flatten)]
        devices: Devices,
        /// Why; the device's log keeps it
        #[arg(long, value_name = "TEXT", default_value = "")]
        because: String,
    },
    /// Stop a plan for good: devices that have not confirmed fail
    Terminate {
        /// Its number or name
        id: String,
    },
    /// List the plans
    List,
    /// Create or edit a plan as a YAML file says it, and say what differs
    Apply(Apply),
    /// Show a plan's figures as they change, until it is over or all of its devices are done
    Watch {
        /// Its number or name
        id: String,
    },
    /// List the devices that a plan was offered to
    Devices {
        /// Its number or name
        id: String,
        /// Only in this state: not_required, not_upgraded, upgrading, upgraded or upgrade_failed
        #[arg(long)]
        state: Option<String>,
        /// Only for this reason, word for word
        #[arg(long)]
        reason: Option<String>,
        /// Write them as CSV, a row for each component
        #[arg(long)]
        csv: bool,
    },
    /// Show one device of a plan: its components with the log
    Device {
        /// Its number or name
        id: String,
        /// Device key
        #[arg(value_name = "DK")]
        device: String,
        #[command(flatten)]
        lines: Lines,
    },
    /// Count a plan's devices by state and reason
    Reasons {
        /// Its number or name
        id: String,
    },
    /// Show a plan with its figures, and what holds its devices back
    Show {
        /// Its number or name
        id: String,
    },
}

impl Request for Plan {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        let step = |id: &str, step: &str, body: Value| {
            let json = client.post(&format!("plans/{}/{step}", client.plan(id)?), &body)?;
            Ok(Answer::new(format!("{}\n", cell(&json["state"])), json))
        };
        match self {
            Self::Create { name, product, components, time_zone, fields } => {
                let mut body = fields.json(time_zone.as_deref())?;
                let zone = zone(time_zone.as_deref(), |field| body.contains_key(field))?.to_owned();
                body.insert("name".into(), json!(name));
                body.insert("components".into(), selected(client, product, components)?);
                body.insert("time_zone".into(), json!(zone));
                let json =
                    client.post(&format!("products/{}/plans", segment(product)), &Value::Object(body))?;
                let mut answer = Answer::new(format!("{}\n", cell(&json["id"])), json);
                answer.notes = vec![format!("for {}", view::who(&answer.json))];
                answer.notes.extend(view::warnings(&answer.json));
                Ok(answer)
            }
            Self::Edit { id, name, components, time_zone, fields } => {
                let mut body = fields.json(time_zone.as_deref())?;
                for (field, given) in [("name", name), ("time_zone", time_zone)] {
                    if let Some(given) = given {
                        body.insert(field.into(), json!(given));
                    }
                }
                if !components.is_empty() {
                    let plan = client.get(&format!("plans/{}", client.plan(id)?))?;
                    let product = plan["product"].as_str().unwrap_or_default();
                    body.insert("components".into(), selected(client, product, components)?);
                }
                let path = format!("plans/{}", client.plan(id)?);
                let json = client.patch(&path, &Value::Object(body))?;
                let mut answer = Answer::new(view::shown(&json), json);
                answer.notes = view::warnings(&answer.json);
                Ok(answer)
            }
            Self::Clone { id, name } => {
                let json =
                    client.post(&format!("plans/{}/clone", client.plan(id)?), &json!({ "name": name }))?;
                Ok(Answer::new(format!("{}\n", cell(&json["id"])), json))
            }
            Self::Retry { id, devices } => {
                let json = devices.send(client, &format!("plans/{}/retry", client.plan(id)?), &json!({}))?;
                Ok(ordered(json, "are tried again"))
            }
            Self::Skip { id, devices, because } => {
                let path = format!("plans/{}/skip", client.plan(id)?);
                let json = devices.send(client, &path, &json!({ "reason": because }))?;
                Ok(ordered(json, "are left out"))
            }
            Self::Delete { id } => {
                let json = client.delete(&format!("plans/{}", client.plan(id)?))?;
                Ok(Answer::new("deleted\n".to_owned(), json))
            }
            Self::Activate { id, supersede } => {
                let body = if *supersede { json!({ "supersede": "agreed" }) } else { json!({}) };
                let mut answer = step(id, "activate", body)?;
                answer.notes.push(format!("for {}", view::who(&answer.json)));
                for warning in items(&answer.json["warnings"]) {
                    answer.text.push_str(&format!("warning: {}\n", cell(warning)));
                }
                Ok(answer)
            }
            Self::DryRun { id } => {
                let json = client.get(&format!("plans/{}/dry-run", client.plan(id)?))?;
                Ok(Answer::new(view::forecast(&json), json))
            }
            Self::Suspend { id } => step(id, "suspend", json!({})),
            Self::Resume { id } => step(id, "resume", json!({})),
            Self::Terminate { id } => step(id, "terminate", json!({})),
            Self::List => {
                let json = client.list("plans")?;
                let mut table = Table::new(&["ID", "NAME", "PRODUCT", "STATE", "CREATED"]);
                for plan in items(&json) {
                    let cells = ["id", "name", "product"].map(|field| cell(&plan[field]));
                    table.row(cells.into_iter().chain([state(&plan["state"]), time(&plan["created"])]));
                }
                Ok(Answer::new(table.text(), json))
            }
            Self::Apply(apply) => apply.run(client),
            Self::Watch { id } => {
                watch::watch(client, &client.plan(id)?)?;
                Ok(Answer::printed())
            }
            Self::Devices { id, state, reason, csv } => {
                let query = query(&[("state", state.clone()), ("reason", reason.clone())]);
                if *csv {
                    client.print(&format!("plans/{}/devices.csv{query}", client.plan(id)?))?;
                    return Ok(Answer::printed());
                }
                let json = client.list(&format!("plans/{}/devices{query}", client.plan(id)?))?;
                Ok(Answer::new(view::devices(&json), json))
            }
            Self::Device { id, device, lines } => {
                let json = client.get(&format!("plans/{}/devices/{}", client.plan(id)?, segment(device)))?;
                Ok(Answer::new(super::upgrade::upgrades(&json!([json]), *lines), json))
            }
            Self::Reasons { id } => {
                let json = client.list(&format!("plans/{}/reasons", client.plan(id)?))?;
                let mut table = Table::new(&["STATE", "REASON", "DEVICES"]);
                for line in items(&json) {
                    table.row([state(&line["state"]), cell(&line["reason"]), cell(&line["devices"])]);
                }
                Ok(Answer::new(table.text(), json))
            }
            Self::Show { id } => {
                let mut json = client.get(&format!("plans/{}", client.plan(id)?))?;
                json["blocked"] = client.get(&format!("plans/{}/blocked", client.plan(id)?))?;
                Ok(Answer::new(view::shown(&json), json))
            }
        }
    }
}
