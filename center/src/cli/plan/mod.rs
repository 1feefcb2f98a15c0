//! `plan`.

mod apply;
mod devices;
mod fields;
mod view;
mod watch;

use clap::Subcommand;
use serde_json::{Value, json};

use self::apply::Apply;
use self::devices::{Devices, ordered};
use self::fields::{Fields, choice, selected};
use super::client::{Client, ClientError, query, segment};
use super::table::{Table, cell, items, state, time};
use super::{Answer, Request};

#[derive(Debug, Subcommand)]
pub enum Plan {
    /// Create a plan; prints its id. Nothing reaches a device before it is activated
    Create {
        /// Name, unique
        #[arg(long)]
        name: String,
        /// Product key
        #[arg(long, value_name = "PK")]
        product: String,
        /// A component and the package it gets; repeat it for more, in the order of the upgrade
        #[arg(long = "component", required = true, value_name = "ID=PACKAGE_ID", value_parser = choice)]
        components: Vec<(String, i64)>,
        /// Time zone that the plan's times are in, as IANA name
        #[arg(long, default_value = "UTC", value_name = "ZONE")]
        time_zone: String,
        /// The optional fields
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Change fields of a saved plan; a field that is not given stays as it is
    Edit {
        /// Its id
        id: String,
        /// Name, unique
        #[arg(long)]
        name: Option<String>,
        /// A component and the package it gets; those given replace all that were there
        #[arg(long = "component", value_name = "ID=PACKAGE_ID", value_parser = choice)]
        components: Vec<(String, i64)>,
        /// Time zone that the plan's times are in, as IANA name
        #[arg(long, value_name = "ZONE")]
        time_zone: Option<String>,
        /// The optional fields
        #[command(flatten)]
        fields: Box<Fields>,
    },
    /// Save a copy of a plan, in whatever state that is, with its lists; prints the copy's id
    Clone {
        /// Id of the plan
        id: String,
        /// Name of the copy, unique
        #[arg(long)]
        name: String,
    },
    /// Delete a saved plan
    Delete {
        /// Its id
        id: String,
    },
    /// Say what activating a plan now would do: its devices by outcome and reason. Nothing is changed
    DryRun {
        /// Its id
        id: String,
    },
    /// Activate a plan: from now on it is offered to devices
    Activate {
        /// Its id
        id: String,
        /// Take the place of active plans with the same components
        #[arg(long)]
        supersede: bool,
    },
    /// Offer a plan to nobody new; devices that have confirmed finish
    Suspend {
        /// Its id
        id: String,
    },
    /// Go on with a suspended plan
    Resume {
        /// Its id
        id: String,
    },
    /// Try failed devices of an active plan again: at once, or when they connect
    Retry {
        /// Its id
        id: String,
        /// Which devices
        #[command(flatten)]
        devices: Devices,
    },
    /// Leave devices out of an active plan: failed ones, or such that have not confirmed
    Skip {
        /// Its id
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
        /// Its id
        id: String,
    },
    /// List the plans
    List,
    /// Create or edit a plan as a YAML file says it, and say what differs
    Apply(Apply),
    /// Show a plan's figures as they change, until it is over or all of its devices are done
    Watch {
        /// Its id
        id: String,
    },
    /// List the devices that a plan was offered to
    Devices {
        /// Its id
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
    /// Show one device of a plan: its components with the full log
    Device {
        /// Its id
        id: String,
        /// Device key
        #[arg(value_name = "DK")]
        device: String,
    },
    /// Count a plan's devices by state and reason
    Reasons {
        /// Its id
        id: String,
    },
    /// Show a plan with its figures, and what holds its devices back
    Show {
        /// Its id
        id: String,
    },
}

impl Request for Plan {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        let step = |id: &str, step: &str, body: Value| {
            let json = client.post(&format!("plans/{}/{step}", segment(id)), &body)?;
            Ok(Answer { text: format!("{}\n", cell(&json["state"])), json })
        };
        match self {
            Self::Create { name, product, components, time_zone, fields } => {
                let mut body = fields.json(Some(time_zone))?;
                body.insert("name".into(), json!(name));
                body.insert("components".into(), selected(components));
                body.insert("time_zone".into(), json!(time_zone));
                let json =
                    client.post(&format!("products/{}/plans", segment(product)), &Value::Object(body))?;
                Ok(Answer { text: format!("{}\n", cell(&json["id"])), json })
            }
            Self::Edit { id, name, components, time_zone, fields } => {
                let mut body = fields.json(time_zone.as_deref())?;
                for (field, given) in [("name", name), ("time_zone", time_zone)] {
                    if let Some(given) = given {
                        body.insert(field.into(), json!(given));
                    }
                }
                if !components.is_empty() {
                    body.insert("components".into(), selected(components));
                }
                let json = client.patch(&format!("plans/{}", segment(id)), &Value::Object(body))?;
                Ok(Answer { text: view::shown(&json), json })
            }
            Self::Clone { id, name } => {
                let json = client.post(&format!("plans/{}/clone", segment(id)), &json!({ "name": name }))?;
                Ok(Answer { text: format!("{}\n", cell(&json["id"])), json })
            }
            Self::Retry { id, devices } => {
                let json = devices.send(client, &format!("plans/{}/retry", segment(id)), &json!({}))?;
                Ok(ordered(json, "are tried again"))
            }
            Self::Skip { id, devices, because } => {
                let path = format!("plans/{}/skip", segment(id));
                let json = devices.send(client, &path, &json!({ "reason": because }))?;
                Ok(ordered(json, "are left out"))
            }
            Self::Delete { id } => {
                let json = client.delete(&format!("plans/{}", segment(id)))?;
                Ok(Answer { text: "deleted\n".to_owned(), json })
            }
            Self::Activate { id, supersede } => {
                let body = if *supersede { json!({ "supersede": "agreed" }) } else { json!({}) };
                let mut answer = step(id, "activate", body)?;
                for warning in items(&answer.json["warnings"]) {
                    answer.text.push_str(&format!("warning: {}\n", cell(warning)));
                }
                Ok(answer)
            }
            Self::DryRun { id } => {
                let json = client.get(&format!("plans/{}/dry-run", segment(id)))?;
                Ok(Answer { text: view::forecast(&json), json })
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
                Ok(Answer { text: table.text(), json })
            }
            Self::Apply(apply) => apply.run(client),
            Self::Watch { id } => {
                watch::watch(client, id)?;
                Ok(Answer::printed())
            }
            Self::Devices { id, state, reason, csv } => {
                let query = query(&[("state", state.clone()), ("reason", reason.clone())]);
                if *csv {
                    client.print(&format!("plans/{}/devices.csv{query}", segment(id)))?;
                    return Ok(Answer::printed());
                }
                let json = client.list(&format!("plans/{}/devices{query}", segment(id)))?;
                Ok(Answer { text: view::devices(&json), json })
            }
            Self::Device { id, device } => {
                let json = client.get(&format!("plans/{}/devices/{}", segment(id), segment(device)))?;
                Ok(Answer { text: super::upgrade::upgrades(&json!([json])), json })
            }
            Self::Reasons { id } => {
                let json = client.list(&format!("plans/{}/reasons", segment(id)))?;
                let mut table = Table::new(&["STATE", "REASON", "DEVICES"]);
                for line in items(&json) {
                    table.row([state(&line["state"]), cell(&line["reason"]), cell(&line["devices"])]);
                }
                Ok(Answer { text: table.text(), json })
            }
            Self::Show { id } => {
                let mut json = client.get(&format!("plans/{}", segment(id)))?;
                json["blocked"] = client.get(&format!("plans/{}/blocked", segment(id)))?;
                Ok(Answer { text: view::shown(&json), json })
            }
        }
    }
}
