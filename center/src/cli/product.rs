//! `product` and `component`.

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::args::moment::moment;
use super::client::{Client, ClientError, segment};
use super::table::{Table, cell, items, sheet, time};
use super::{Answer, Request};

#[derive(Debug, Subcommand)]
pub enum Product {
    /// Create a product; prints its key and its secret, which is never shown again
    Create {
        /// Product key (PK)
        #[arg(long, value_name = "PK")]
        key: String,
        /// Name, for people
        #[arg(long)]
        name: String,
        /// Product secret (PS), 16 characters or more; made if not given
        #[arg(long, value_name = "PS")]
        secret: Option<String>,
        /// Which devices it takes at their first connect
        #[arg(long, value_enum)]
        admission: Option<Admission>,
    },
    /// Change a product's name, or which devices it takes
    Edit {
        /// Product key
        #[arg(value_name = "PK")]
        key: String,
        /// Name, for people
        #[arg(long)]
        name: Option<String>,
        /// Which devices it takes at their first connect
        #[arg(long, value_enum)]
        admission: Option<Admission>,
    },
    /// Replace a product's secret that became known; prints the new one, which is never shown again
    #[command(
        after_help = "Devices that have a secret of their own are not locked out: they are given the new one over their connection, and \
                  connect again with it. New devices have to bring it."
    )]
    RotateSecret {
        /// Product key
        #[arg(value_name = "PK")]
        key: String,
        /// Product secret (PS), 16 characters or more; made if not given
        #[arg(long, value_name = "PS")]
        secret: Option<String>,
        /// Until when new devices may still come with the secret of before; not at all if not given: 2026-03-01T02:00Z
        #[arg(long, value_name = "TIME")]
        accept_old_until: Option<String>,
    },
    /// List the products
    List,
    /// Show a product with its components
    Show {
        /// Product key
        #[arg(value_name = "PK")]
        key: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Component {
    /// Add a component to a product
    Add {
        /// Product key
        #[arg(value_name = "PK")]
        product: String,
        /// Identifier, as the device reports it
        id: String,
        /// What it is
        #[arg(long = "type", value_enum)]
        kind: Kind,
    },
    /// Change the type of a component that no package or plan is for
    Edit {
        /// Product key
        #[arg(value_name = "PK")]
        product: String,
        /// Identifier
        id: String,
        /// What it is
        #[arg(long = "type", value_enum)]
        kind: Kind,
    },
    /// Delete a component that no package or plan is for
    Delete {
        /// Product key
        #[arg(value_name = "PK")]
        product: String,
        /// Identifier
        id: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Admission {
    /// Every device that proves the product secret
    Anyone,
    /// Only devices that were entered before, by `device import`
    KnownOnly,
}

impl Admission {
    fn word(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::KnownOnly => "known_only",
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Kind {
    /// Firmware of an MCU behind the module (SOTA)
    Mcu,
    /// Firmware of the module itself (FOTA)
    Module,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Mcu => "mcu",
            Kind::Module => "module",
        }
    }
}

impl Request for Product {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        match self {
            Self::Create { key, name, secret, admission } => {
                let mut body = json!({ "key": key, "name": name });
                if let Some(secret) = secret {
                    body["secret"] = json!(secret);
                }
                if let Some(admission) = admission {
                    body["admission"] = json!(admission.word());
                }
                let json = client.post("products", &body)?;
                let text = sheet(&[("key", cell(&json["key"])), ("secret", cell(&json["secret"]))]);
                Ok(Answer::new(text, json))
            }
            Self::Edit { key, name, admission } => {
                let mut body = json!({});
                if let Some(name) = name {
                    body["name"] = json!(name);
                }
                if let Some(admission) = admission {
                    body["admission"] = json!(admission.word());
                }
                let json = client.patch(&format!("products/{}", segment(key)), &body)?;
                Ok(Answer::new(shown(&json), json))
            }
            Self::RotateSecret { key, secret, accept_old_until } => {
                let mut body = json!({});
                if let Some(secret) = secret {
                    body["secret"] = json!(secret);
                }
                if let Some(until) = accept_old_until {
                    body["bootstrap_until"] = moment("--accept-old-until", until, None)?;
                }
                let json = client.post(&format!("products/{}/secret", segment(key)), &body)?;
                let text = sheet(&[("key", cell(&json["key"])), ("secret", cell(&json["secret"]))]);
                Ok(Answer::new(text, json))
            }
            Self::List => {
                let json = client.list("products")?;
                let mut table = Table::new(&["KEY", "NAME", "CREATED"]);
                for product in items(&json) {
                    table.row([cell(&product["key"]), cell(&product["name"]), time(&product["created"])]);
                }
                Ok(Answer::new(table.text(), json))
            }
            Self::Show { key } => {
                let json = client.get(&format!("products/{}", segment(key)))?;
                Ok(Answer::new(shown(&json), json))
            }
        }
    }
}

impl Request for Component {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        let one =
            |product: &str, id: &str| format!("products/{}/components/{}", segment(product), segment(id));
        let json = match self {
            Self::Add { product, id, kind } => {
                let path = format!("products/{}/components", segment(product));
                client.post(&path, &json!({ "id": id, "type": kind.word() }))?
            }
            Self::Edit { product, id, kind } => {
                client.patch(&one(product, id), &json!({ "type": kind.word() }))?
            }
            Self::Delete { product, id } => {
                let json = client.delete(&one(product, id))?;
                return Ok(Answer::new("deleted\n".to_owned(), json));
            }
        };
        let text = format!("{} ({})\n", cell(&json["id"]), cell(&json["type"]));
        Ok(Answer::new(text, json))
    }
}

fn shown(product: &Value) -> String {
    let mut text = sheet(&[
        ("key", cell(&product["key"])),
        ("name", cell(&product["name"])),
        ("admission", cell(&product["admission"])),
        ("created", time(&product["created"])),
    ]);
    let mut table = Table::new(&["COMPONENT", "TYPE"]);
    for component in items(&product["components"]) {
        table.row(["id", "type"].map(|field| cell(&component[field])));
    }
    text.push('\n');
    text.push_str(&table.text());
    text
}
