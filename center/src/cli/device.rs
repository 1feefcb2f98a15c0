//! `device`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::Value;

use super::args::device_keys;
use super::client::{Client, ClientError, query, segment};
use super::log::{self, log};
use super::table::{Table, cell, items, sheet, time};
use super::upgrade::upgrades;
use super::user::User;
use super::{Answer, Request};

#[derive(Debug, Subcommand)]
pub enum Device {
    /// List or search the devices of a product
    List {
        /// Product key
        #[arg(long, value_name = "PK")]
        product: String,
        /// What is looked for
        #[command(flatten)]
        filter: Box<Filter>,
    },
    /// Write the devices of a product, or those that are looked for, as CSV
    Export {
        /// Product key
        #[arg(long, value_name = "PK")]
        product: String,
        /// What is looked for
        #[command(flatten)]
        filter: Box<Filter>,
    },
    /// Enter devices before they connect, from a CSV file (UTF-8): a device a line, its key in the first column
    Import {
        /// Product key
        #[arg(long, value_name = "PK")]
        product: String,
        /// The file; - is standard input
        #[arg(value_name = "FILE.csv")]
        file: PathBuf,
    },
    /// Show all that was said about a device, newest first
    Log {
        /// Product key
        #[arg(value_name = "PK")]
        product: String,
        /// Device key
        #[arg(value_name = "DK")]
        device: String,
        /// Lines to show
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
        lines: u16,
        #[command(flatten)]
        shown: log::Lines,
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
        #[command(flatten)]
        lines: log::Lines,
    },
    /// Forbid devices to connect, and close their connections; what was said about them stays
    Forbid(Which),
    /// Allow devices to connect again
    Allow(Which),
    /// Delete devices that are not connected, with their upgrades and logs: a wrong import, or one that is gone
    Delete(Which),
    /// What the end user does
    #[command(flatten)]
    User(User),
}

/// Which devices are meant.
#[derive(Debug, Args)]
pub struct Which {
    /// Product key
    #[arg(value_name = "PK")]
    product: String,
    /// Device keys
    #[arg(value_name = "DK", required_unless_present = "device_file")]
    device: Vec<String>,
    /// A CSV file with their keys in the first column
    #[arg(long, value_name = "FILE.csv")]
    device_file: Option<PathBuf>,
}

impl Which {
    /// Does `request` for the path of each of them, and says how many that were. Those that the center refuses are named, and
    /// the others done all the same.
    fn each(
        &self,
        done: &str,
        request: impl Fn(&str) -> Result<Value, ClientError>,
    ) -> Result<Answer, ClientError> {
        let keys = device_keys::keys("device", &self.device, self.device_file.as_ref())?.unwrap_or_default();
        let mut answers = Vec::with_capacity(keys.len());
        let mut refused = Vec::new();
        for key in &keys {
            let path = format!("products/{}/devices/{}", segment(&self.product), segment(key));
            match request(&path) {
                Ok(answer) => answers.push(answer),
                Err(ClientError::Refused(refusal)) if keys.len() > 1 => refused.push(refusal.message),
                Err(error) => return Err(error),
            }
        }
        let count = match answers.len() {
            1 => format!("1 device {done}"),
            devices => format!("{devices} devices {done}"),
        };
        if refused.is_empty() {
            return Ok(Answer::new(count + "\n", Value::Array(answers)));
        }
        let more = refused.len().saturating_sub(REFUSED_SHOWN);
        refused.truncate(REFUSED_SHOWN);
        let more = if more == 0 { String::new() } else { format!("; and {more} more") };
        Err(ClientError::Argument(format!("{count}, and these not: {}{more}", refused.join("; "))))
    }
}

/// Devices that are named when the center refuses to do something for them.
const REFUSED_SHOWN: usize = 10;

/// Which devices are looked for.
#[derive(Debug, Args)]
pub struct Filter {
    /// What the device key begins with
    #[arg(long, value_name = "PREFIX")]
    key: Option<String>,
    /// A component that the device has
    #[arg(long, value_name = "ID")]
    component: Option<String>,
    /// Version of that component; without --component, of the module
    #[arg(long)]
    version: Option<String>,
    /// Online devices only
    #[arg(long, conflicts_with = "offline")]
    online: bool,
    /// Offline devices only
    #[arg(long)]
    offline: bool,
    /// Battery in percent, as in 0..20, 80.. or ..20
    #[arg(long, value_name = "MIN..MAX", value_parser = range)]
    battery: Option<Range>,
    /// Signal (RSRP) in dBm, as in -140..-110
    #[arg(long, value_name = "MIN..MAX", value_parser = range, allow_hyphen_values = true)]
    rsrp: Option<Range>,
    /// Heard of at this time or later: 2026-03-01T02:00Z
    #[arg(long, value_name = "TIME", value_parser = time_of)]
    seen_after: Option<Timestamp>,
    /// Heard of before this time, and not since: 2026-03-01T02:00Z
    #[arg(long, value_name = "TIME", value_parser = time_of)]
    seen_before: Option<Timestamp>,
}

/// A point in time of the command line.
fn time_of(argument: &str) -> Result<Timestamp, String> {
    argument.parse().map_err(|_| "a date and time with Z or an offset, as in 2026-03-01T02:00Z".to_owned())
}

/// Lowest and highest value.
type Range = (Option<i64>, Option<i64>);

/// `MIN..MAX` of the command line.
fn range(argument: &str) -> Result<Range, String> {
    let end = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    argument
        .split_once("..")
        .and_then(|(from, until)| Some((end(from)?, end(until)?)))
        .ok_or_else(|| "MIN..MAX, as in 0..20; an end may be left out".to_owned())
}

impl Filter {
    /// As the API's query, with its question mark; empty: everything.
    fn query(&self) -> String {
        let mut fields: Vec<(&str, Option<String>)> = vec![
            ("key", self.key.clone()),
            ("component", self.component.clone()),
            ("version", self.version.clone()),
        ];
        if self.online || self.offline {
            fields.push(("online", Some(self.online.to_string())));
        }
        let number = |value: Option<i64>| value.map(|value| value.to_string());
        let time = |value: Option<Timestamp>| number(value.map(|at| at.as_millisecond()));
        let (battery, rsrp) = (self.battery.unwrap_or_default(), self.rsrp.unwrap_or_default());
        fields.extend([
            ("battery_min", number(battery.0)),
            ("battery_max", number(battery.1)),
            ("rsrp_min", number(rsrp.0)),
            ("rsrp_max", number(rsrp.1)),
            ("seen_after", time(self.seen_after)),
            ("seen_before", time(self.seen_before)),
        ]);
        query(&fields)
    }
}

impl Request for Device {
    fn run(&self, client: &Client) -> Result<Answer, ClientError> {
        match self {
            Self::List { product, filter } => {
                let path = format!("products/{}/devices{}", segment(product), filter.query());
                let json = client.list(&path)?;
                let mut table =
                    Table::new(&["DEVICE", "ONLINE", "LAST SEEN", "MODULE", "MCU", "BATTERY", "RSRP"]);
                for device in items(&json) {
                    let [key, online, module] =
                        ["key", "online", "module_version"].map(|field| cell(&device[field]));
                    table.row([
                        key,
                        online,
                        time(&device["last_seen"]),
                        module,
                        versions(&device["mcu_versions"]),
                        cell(&device["battery"]["value"]),
                        cell(&device["rsrp"]["value"]),
                    ]);
                }
                Ok(Answer::new(table.text(), json))
            }
            Self::Export { product, filter } => {
                client.print(&format!("products/{}/devices.csv{}", segment(product), filter.query()))?;
                Ok(Answer::printed())
            }
            Self::Import { product, file } => {
                let json = client.send_file(&format!("products/{}/devices", segment(product)), file)?;
                if json["lines"] == 0 {
                    return Err(nothing_imported(&json));
                }
                Ok(Answer::new(imported(&json), json))
            }
            Self::Log { product, device, lines, shown } => {
                let (product, device) = (segment(product), segment(device));
                let json = client.get(&format!("products/{product}/devices/{device}/log?limit={lines}"))?;
                Ok(Answer::new(log(&json, &Value::Null, *shown), json))
            }
            Self::Show { product, device } => {
                let json =
                    client.get(&format!("products/{}/devices/{}", segment(product), segment(device)))?;
                Ok(Answer::new(shown(&json), json))
            }
            Self::Upgrades { product, device, lines } => {
                let path = format!("products/{}/devices/{}/upgrades", segment(product), segment(device));
                let json = client.list(&path)?;
                Ok(Answer::new(upgrades(&json, *lines), json))
            }
            Self::Forbid(which) => {
                which.each("forbidden", |path| client.post(&format!("{path}/forbid"), &Value::Null))
            }
            Self::Allow(which) => {
                which.each("allowed", |path| client.post(&format!("{path}/allow"), &Value::Null))
            }
            Self::Delete(which) => which.each("deleted", |path| client.delete(path)),
            Self::User(user) => user.run(client),
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

fn shown(device: &Value) -> String {
    let fields = ["key", "product", "online", "model", "module_version", "firmware_version", "sdk_version"];
    let mut lines = fields.map(|field| (field, cell(&device[field]))).to_vec();
    lines.extend(["battery", "rsrp"].map(|field| (field, cell(&device[field]["value"]))));
    let figures = ["voltage", "signal", "free_space"];
    lines.extend(figures.map(|field| (field, cell(&device[field]))));
    lines.extend(
        ["created", "last_seen", "online_since", "offline_since", "forbidden"]
            .map(|field| (field, time(&device[field]))),
    );
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

/// A file without any usable line.
fn nothing_imported(report: &Value) -> ClientError {
    let [line, value, reason] = ["line", "value", "reason"].map(|field| cell(&report["bad_lines"][0][field]));
    let bad = cell(&report["bad"]);
    ClientError::Argument(format!(
        "no device was entered: none of {bad} lines has a usable key; line {line} {value:?}: {reason}"
    ))
}

/// What became of a file of devices.
fn imported(report: &Value) -> String {
    let [added, known, bad] = ["added", "known", "bad"].map(|field| cell(&report[field]));
    let mut text = format!("{added} devices entered, {known} known before, {bad} lines left out\n");
    let mut table = Table::new(&["LINE", "VALUE", "REASON"]);
    let lines = items(&report["bad_lines"]);
    for line in lines {
        table.row(["line", "value", "reason"].map(|field| cell(&line[field])));
    }
    if !lines.is_empty() {
        text.push_str(&table.text());
    }
    text
}
