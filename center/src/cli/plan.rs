//! `plan`.

use clap::Subcommand;
use serde_json::{Value, json};

use super::client::{Client, ClientError, segment};
use super::table::{Table, cell, items, sheet, time};
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
    },
    /// Activate a plan: from now on it is offered to devices
    Activate {
        /// Its id
        id: String,
        /// Take the place of active plans with the same components
        #[arg(long)]
        supersede: bool,
    },
    /// List the plans
    List,
    /// Show a plan with its figures
    Show {
        /// Its id
        id: String,
    },
}

impl Request for Plan {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        match self {
            Self::Create { name, product, components, time_zone } => {
                let components: Vec<Value> = components
                    .iter()
                    .map(|(component, package)| json!({ "component": component, "package": package }))
                    .collect();
                let body = json!({
                    "name": name, "product": product, "components": components, "time_zone": time_zone,
                });
                let json = client.post("plans", &body)?;
                Ok(Answer { text: format!("{}\n", cell(&json["id"])), json })
            }
            Self::Activate { id, supersede } => {
                let body = if *supersede { json!({ "supersede": "agreed" }) } else { json!({}) };
                let json = client.post(&format!("plans/{}/activate", segment(id)), &body)?;
                Ok(Answer { text: format!("{}\n", cell(&json["state"])), json })
            }
            Self::List => {
                let json = client.list("plans")?;
                let mut table = Table::new(&["ID", "NAME", "PRODUCT", "STATE", "CREATED"]);
                for plan in items(&json) {
                    let cells = ["id", "name", "product", "state"].map(|field| cell(&plan[field]));
                    table.row(cells.into_iter().chain([time(&plan["created"])]));
                }
                Ok(Answer { text: table.text(), json })
            }
            Self::Show { id } => {
                let mut json = client.get(&format!("plans/{}", segment(id)))?;
                json["held"] = client.get(&format!("plans/{}/held", segment(id)))?;
                Ok(Answer { text: shown(&json), json })
            }
        }
    }
}

fn shown(plan: &Value) -> String {
    let fields = ["id", "name", "product", "state", "time_zone"];
    let mut lines = fields.map(|field| (field, cell(&plan[field]))).to_vec();
    lines.extend(["created", "activated"].map(|field| (field, time(&plan[field]))));
    let mut text = sheet(&lines);
    let mut components = Table::new(&["COMPONENT", "PACKAGE"]);
    for component in items(&plan["components"]) {
        components.row(["component", "package"].map(|field| cell(&component[field])));
    }
    text.push('\n');
    text.push_str(&components.text());
    if let Some(counts) = plan["devices"].as_object() {
        let mut figures = Table::new(&["DEVICES", "COUNT"]);
        for (state, count) in counts {
            figures.row([state.clone(), cell(count)]);
        }
        text.push('\n');
        text.push_str(&figures.text());
    }
    text.push_str(&held(&plan["held"]));
    text
}

/// Devices by the condition that holds them back.
fn held(held: &Value) -> String {
    let conditions = items(&held["conditions"]);
    if conditions.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["HELD BY", "DEVICES", "FOR EXAMPLE", "WHY"]);
    for condition in conditions {
        table.row(["condition", "devices", "example", "text"].map(|field| cell(&condition[field])));
    }
    let mut text = format!("\n{}", table.text());
    if held["examined"] != held["devices"] {
        let [examined, devices] = ["examined", "devices"].map(|field| cell(&held[field]));
        text.push_str(&format!("estimated from {examined} of {devices} devices\n"));
    }
    text
}

/// `ID=PACKAGE_ID` of the command line.
fn choice(argument: &str) -> Result<(String, i64), String> {
    argument
        .split_once('=')
        .and_then(|(component, package)| Some((component.to_owned(), package.parse().ok()?)))
        .filter(|(component, _)| !component.is_empty())
        .ok_or_else(|| "say which package the component gets: ID=PACKAGE_ID, as in STM32=1".to_owned())
}
