//! `account`, `token` and `audit`: who may use the center, and who did what.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{Client, ClientError, query, segment};
use super::table::{Table, cell, items, sheet, time};
use super::{Answer, Request};
use crate::rules::audit::{AuditLine, Verifier};

/// What an account or token may do.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Role {
    /// Reads
    Viewer,
    /// Changes products, packages, plans and devices
    Operator,
    /// Accounts, tokens and all else
    Administrator,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Operator => "operator",
            Role::Administrator => "administrator",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Account {
    /// Make an account; prints its one-time password, which is never shown again
    Create {
        /// What they sign in with
        name: String,
        /// What they may do
        #[arg(long, value_enum, default_value = "viewer")]
        role: Role,
        /// A product that they may work with; may be given several times. Without it, every product
        #[arg(long = "product", value_name = "PK")]
        products: Vec<String>,
    },
    /// Change what an account may do
    Edit {
        /// Its name
        name: String,
        /// What they may do
        #[arg(long, value_enum)]
        role: Option<Role>,
        /// A product that they may work with; may be given several times; `all` for every product
        #[arg(long = "product", value_name = "PK")]
        products: Vec<String>,
    },
    /// List the accounts
    List,
    /// Give an account another one-time password; ends its sessions
    ResetPassword {
        /// Its name
        name: String,
    },
    /// Delete an account with its sessions and tokens
    Delete {
        /// Its name
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Make a token of a program (--role) or of an end user (--device); prints its secret, which is never shown again
    Create {
        /// What it is for
        name: String,
        /// What the program may do
        #[arg(long, value_enum, required_unless_present = "devices", conflicts_with = "devices")]
        role: Option<Role>,
        /// A product that the program may work with; may be given several times. Without it, all that you may
        #[arg(long = "product", value_name = "PK", conflicts_with = "devices")]
        products: Vec<String>,
        /// A device of the end user, as PK/DK; may be given several times
        #[arg(long = "device", value_name = "PK/DK")]
        devices: Vec<String>,
        /// Days until it expires; never if not given
        #[arg(long)]
        days: Option<i64>,
    },
    /// List the tokens
    List,
    /// Revoke a token
    Revoke {
        /// Its number
        id: i64,
    },
}

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List what was changed, by whom and from where, the newest first
    List {
        /// How many lines
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=1000))]
        last: u16,
    },
    /// Print the whole log, one JSON object a line, oldest first
    Export,
    /// Check that no line was changed, put in or taken out
    Verify {
        /// A file that `audit export` wrote, instead of the center's log
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Digest that an earlier check printed: it must be in the log still
        #[arg(long, value_name = "DIGEST")]
        holds: Option<String>,
    },
}

fn list_of(products: &[String]) -> Value {
    if products.is_empty() { Value::Null } else { json!(products) }
}

impl Request for Account {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        let one = |name: &str| format!("accounts/{}", segment(name));
        match self {
            Self::Create { name, role, products } => {
                let body = json!({ "name": name, "role": role.word(), "products": list_of(products) });
                let json = client.post("accounts", &body)?;
                Ok(Answer::new(once(&json), json))
            }
            Self::Edit { name, role, products } => {
                let mut body = json!({});
                if let Some(role) = role {
                    body["role"] = json!(role.word());
                }
                if !products.is_empty() {
                    body["products"] =
                        if products.iter().any(|key| key == "all") { Value::Null } else { json!(products) };
                }
                let json = client.patch(&one(name), &body)?;
                let text = sheet(&[
                    ("account", cell(&json["name"])),
                    ("role", cell(&json["role"])),
                    ("products", reach(&json["products"])),
                ]);
                Ok(Answer::new(text, json))
            }
            Self::List => {
                let json = client.list("accounts")?;
                let mut table = Table::new(&["ACCOUNT", "ROLE", "PRODUCTS", "CREATED", "SIGNED IN"]);
                for account in items(&json) {
                    table.row([
                        cell(&account["name"]),
                        cell(&account["role"]),
                        reach(&account["products"]),
                        time(&account["created"]),
                        time(&account["signed_in"]),
                    ]);
                }
                Ok(Answer::new(table.text(), json))
            }
            Self::ResetPassword { name } => {
                let json = client.post(&format!("{}/password", one(name)), &json!({}))?;
                Ok(Answer::new(once(&json), json))
            }
            Self::Delete { name } => {
                let json = client.delete(&one(name))?;
                Ok(Answer::new("deleted\n".to_owned(), json))
            }
        }
    }
}

fn once(account: &Value) -> String {
    sheet(&[
        ("account", cell(&account["name"])),
        ("role", cell(&account["role"])),
        ("one-time password", cell(&account["one_time_password"])),
    ])
}

fn reach(products: &Value) -> String {
    let keys: Vec<String> = items(products).iter().map(cell).collect();
    if products.is_null() { "all".to_owned() } else { keys.join(",") }
}

impl Request for Token {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        match self {
            Self::Create { name, role, products, devices, days } => {
                let mut body = json!({ "name": name });
                match role {
                    Some(role) => {
                        body["role"] = json!(role.word());
                        body["products"] = list_of(products);
                    }
                    None => body["devices"] = json!(devices),
                }
                if let Some(days) = days {
                    body["days"] = json!(days);
                }
                let json = client.post("tokens", &body)?;
                let text = sheet(&[("number", cell(&json["id"])), ("token", cell(&json["secret"]))]);
                Ok(Answer::new(text, json))
            }
            Self::List => {
                let json = client.list("tokens")?;
                let mut table =
                    Table::new(&["NUMBER", "NAME", "ROLE", "FOR", "MADE BY", "EXPIRES", "LAST USE"]);
                for token in items(&json) {
                    let is_end_users = token["role"].is_null();
                    table.row([
                        cell(&token["id"]),
                        cell(&token["name"]),
                        if is_end_users { "end user".to_owned() } else { cell(&token["role"]) },
                        reach(&token[if is_end_users { "devices" } else { "products" }]),
                        cell(&token["made_by"]),
                        time(&token["expires"]),
                        time(&token["used"]),
                    ]);
                }
                Ok(Answer::new(table.text(), json))
            }
            Self::Revoke { id } => {
                let json = client.delete(&format!("tokens/{id}"))?;
                Ok(Answer::new("revoked\n".to_owned(), json))
            }
        }
    }
}

impl Request for Audit {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        match self {
            Self::List { last } => {
                let fields = [("newest", Some("true".to_owned())), ("limit", Some(last.to_string()))];
                let json = client.get(&format!("audit{}", query(&fields)))?;
                let mut table = Table::new(&["LINE", "TIME", "WHO", "FROM", "ACTION", "TARGET", "OUTCOME"]);
                for line in items(&json) {
                    let [who, from, action, target, outcome] =
                        ["actor", "address", "action", "target", "outcome"].map(|field| cell(&line[field]));
                    table.row([cell(&line["id"]), time(&line["at"]), who, from, action, target, outcome]);
                }
                Ok(Answer::new(table.text(), json))
            }
            Self::Export => {
                let mut out = io::stdout().lock();
                let written = each_line(client, |line| {
                    let text = serde_json::to_string(&line).map_err(io::Error::from);
                    text.and_then(|text| writeln!(out, "{text}")).map_err(ClientError::Output)
                });
                match written {
                    // Whoever read the output has seen enough.
                    Err(ClientError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
                    written => written?,
                }
                Ok(Answer::printed())
            }
            Self::Verify { file, holds } => {
                let mut verifier = Verifier::default();
                let mut found = holds.is_none();
                let mut take = |line: AuditLine| {
                    verifier
                        .take(&line)
                        .map_err(|broken| ClientError::Argument(format!("audit log: {broken}")))?;
                    found |= Some(&line.digest) == holds.as_ref();
                    Ok(())
                };
                match file {
                    Some(file) => each_line_of(file, &mut take)?,
                    None => each_line(client, &mut take)?,
                }
                if !found {
                    let digest = holds.as_deref().unwrap_or_default();
                    let message =
                        format!("audit log: no line has the digest {digest:?}: its end was taken away");
                    return Err(ClientError::Argument(message));
                }
                let json = json!({ "lines": verifier.lines, "digest": verifier.digest });
                let text = format!(
                    "{} lines, each holds; digest of the last: {}\nkeep it: `audit verify --holds DIGEST` shows later \
                     that nothing before it is gone\n",
                    verifier.lines, verifier.digest
                );
                Ok(Answer::new(text, json))
            }
        }
    }
}

fn each_line(
    client: &Client,
    mut take: impl FnMut(AuditLine) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let mut after = "0".to_owned();
    loop {
        let page = client.get(&format!("audit?limit=1000&after={after}"))?;
        for line in items(&page) {
            let line = serde_json::from_value(line.clone());
            take(line.map_err(|error| ClientError::Argument(format!("audit log: {error}")))?)?;
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return Ok(()),
        }
    }
}

fn each_line_of(
    file: &Path,
    mut take: impl FnMut(AuditLine) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    let wrong = |cause: String| ClientError::File { path: file.display().to_string(), cause };
    let lines = BufReader::new(File::open(file).map_err(|error| wrong(error.to_string()))?).lines();
    for (number, line) in (1..).zip(lines) {
        let line = line.map_err(|error| wrong(error.to_string()))?;
        let line = serde_json::from_str(&line);
        take(line.map_err(|error| wrong(format!("line {number} is no line of an audit log: {error}")))?)?;
    }
    Ok(())
}
