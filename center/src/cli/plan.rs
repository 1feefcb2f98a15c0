//! `plan`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::apply::Apply;
use super::client::{Client, ClientError, query, segment};
use super::table::{Table, cell, items, sheet, state, time};
use super::{Answer, Request};
use crate::rules::device_list::device_keys;
use crate::rules::window::Zone;

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

/// Some devices of a plan: by their keys, or all that are in a state for a reason.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct Devices {
    /// These devices; repeat it, or separate the keys by commas
    #[arg(long = "device", value_name = "DK", value_delimiter = ',', conflicts_with_all = ["state", "reason"])]
    devices: Vec<String>,
    /// The devices of this CSV file: their keys in its first column
    #[arg(long = "device-file", value_name = "FILE", conflicts_with_all = ["state", "reason"])]
    file: Option<PathBuf>,
    /// All devices of the plan in this state; with --reason alone, upgrade_failed
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only devices whose reason has this text in it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Device keys that are sent in one request.
const KEYS: usize = 1_000;

impl Devices {
    /// Gives the order part by part, and puts the answers together.
    fn order(&self, client: &Client, path: &str, more: &Value) -> Result<Value, ClientError> {
        let (mut done, mut not_done) = (0, Vec::new());
        let mut send = |body: Value| {
            let mut body = body;
            if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
                body.extend(more.clone());
            }
            let mut answer = client.post(path, &body)?;
            done += answer["done"].as_u64().unwrap_or_default();
            if let Value::Array(left) = answer["not_done"].take() {
                not_done.extend(left);
            }
            Ok(answer["next"].take())
        };
        if let Some(Value::Array(keys)) = listed(&self.devices, self.file.as_ref())? {
            for keys in keys.chunks(KEYS) {
                send(json!({ "devices": keys }))?;
            }
        } else {
            let mut after = Value::Null;
            loop {
                let filter = json!({ "state": self.state, "reason": self.reason, "after": after });
                after = send(json!({ "filter": filter }))?;
                if after.is_null() {
                    break;
                }
            }
        }
        if done == 0 && !not_done.is_empty() {
            let shown = not_done
                .iter()
                .take(3)
                .map(|left| format!("device {}: {}", cell(&left["device"]), cell(&left["reason"])));
            let rest = not_done.len().saturating_sub(3);
            let rest = if rest > 0 { format!("; and {rest} more") } else { String::new() };
            return Err(ClientError::Refused {
                message: format!("nothing was done: {}{rest}", shown.collect::<Vec<_>>().join("; ")),
            });
        }
        Ok(json!({ "done": done, "not_done": not_done }))
    }
}

fn ordered(json: Value, what: &str) -> Answer {
    let mut text = format!("{} devices {what}\n", cell(&json["done"]));
    let left = items(&json["not_done"]);
    if !left.is_empty() {
        let mut table = Table::new(&["NOT DONE", "WHY"]);
        for left in left {
            table.row(["device", "reason"].map(|field| cell(&left[field])));
        }
        text.push_str(&format!("\n{}", table.text()));
    }
    Answer { json, text }
}

/// The fields of a plan that may be left out; `none` takes one away again.
#[derive(Debug, Args)]
pub struct Fields {
    /// Only these devices; repeat it, or separate the keys by commas
    #[arg(long, value_name = "DK", value_delimiter = ',')]
    whitelist: Vec<String>,
    /// Only the devices of this CSV file: their keys in its first column
    #[arg(long, value_name = "FILE")]
    whitelist_file: Option<PathBuf>,
    /// Not these devices, even if they are on the whitelist
    #[arg(long, value_name = "DK", value_delimiter = ',')]
    blacklist: Vec<String>,
    /// Not the devices of this CSV file
    #[arg(long, value_name = "FILE")]
    blacklist_file: Option<PathBuf>,
    /// Offer only in this daily window; it may cross midnight
    #[arg(long, value_name = "HH:MM-HH:MM")]
    push_period: Option<String>,
    /// Planned start: 2026-03-01T02:00 in the plan's zone (with --time-zone), or with an offset or Z
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Planned end
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// silent, or manual: nothing is offered before the end user confirms
    #[arg(long)]
    mode: Option<String>,
    /// actively, or on_request: only a device's own request is answered
    #[arg(long)]
    push: Option<String>,
    /// A request outside the push period: silent, or answer
    #[arg(long, value_name = "HOW")]
    outside_period: Option<String>,
    /// Packages that have not passed their firmware verification: optional (take them), or required (do not activate)
    #[arg(long, value_name = "HOW")]
    verification: Option<String>,
    /// Upgrade text; manual mode needs zh and en
    #[arg(long = "text", value_name = "LANGUAGE=TEXT", value_parser = text)]
    texts: Vec<(String, String)>,
    /// Further attempts after a failed one, 0 to 10
    #[arg(long, value_name = "COUNT", value_parser = whole)]
    retries: Option<Value>,
    /// Minutes until a refused plan is offered again, 10 to 1440
    #[arg(long, value_name = "MINUTES", value_parser = whole)]
    refusal_delay: Option<Value>,
    /// Lowest RSRP, dBm
    #[arg(long, value_name = "DBM", value_parser = whole, allow_hyphen_values = true)]
    min_rsrp: Option<Value>,
    /// Lowest battery, %
    #[arg(long, value_name = "PERCENT", value_parser = whole)]
    min_battery: Option<Value>,
    /// First so many devices, then the rest
    #[arg(long, value_name = "COUNT", value_parser = whole)]
    first_devices: Option<Value>,
    /// Suspend by itself when more than PERCENT % of at least COUNT finished devices failed
    #[arg(long, value_name = "PERCENT/COUNT", value_parser = halt)]
    halt: Option<Value>,
    /// Devices that may upgrade at the same time
    #[arg(long, value_name = "COUNT", value_parser = whole)]
    max_in_flight: Option<Value>,
    /// Devices that may start in a minute
    #[arg(long, value_name = "COUNT", value_parser = whole)]
    max_per_minute: Option<Value>,
}

impl Fields {
    /// The fields that were given, as the API takes them.
    fn json(&self, time_zone: Option<&str>) -> Result<Map<String, Value>, ClientError> {
        let mut body = Map::new();
        for (name, keys, file) in [
            ("whitelist", &self.whitelist, &self.whitelist_file),
            ("blacklist", &self.blacklist, &self.blacklist_file),
        ] {
            if let Some(list) = listed(keys, file.as_ref())? {
                body.insert(name.into(), list);
            }
        }
        if let Some(period) = &self.push_period {
            body.insert("push_period".into(), window(period)?);
        }
        for (name, given) in [("start", &self.start), ("end", &self.end)] {
            if let Some(given) = given {
                body.insert(name.into(), moment(name, given, time_zone)?);
            }
        }
        for (name, given) in [
            ("mode", &self.mode),
            ("push", &self.push),
            ("outside_period", &self.outside_period),
            ("verification", &self.verification),
        ] {
            if let Some(given) = given {
                body.insert(name.into(), json!(given));
            }
        }
        if !self.texts.is_empty() {
            let texts: Map<String, Value> =
                self.texts.iter().map(|(language, text)| (language.clone(), json!(text))).collect();
            body.insert("texts".into(), Value::Object(texts));
        }
        let strategy: Map<String, Value> = [
            ("retries", &self.retries),
            ("refusal_delay", &self.refusal_delay),
            ("min_rsrp", &self.min_rsrp),
            ("min_battery", &self.min_battery),
            ("first_devices", &self.first_devices),
            ("halt", &self.halt),
            ("max_in_flight", &self.max_in_flight),
            ("max_per_minute", &self.max_per_minute),
        ]
        .into_iter()
        .filter_map(|(name, given)| Some((name.to_owned(), given.clone()?)))
        .collect();
        if !strategy.is_empty() {
            body.insert("strategy".into(), Value::Object(strategy));
        }
        Ok(body)
    }
}

fn selected(components: &[(String, i64)]) -> Value {
    components
        .iter()
        .map(|(component, package)| json!({ "component": component, "package": package }))
        .collect()
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
                Ok(Answer { text: shown(&json), json })
            }
            Self::Clone { id, name } => {
                let json = client.post(&format!("plans/{}/clone", segment(id)), &json!({ "name": name }))?;
                Ok(Answer { text: format!("{}\n", cell(&json["id"])), json })
            }
            Self::Retry { id, devices } => {
                let json = devices.order(client, &format!("plans/{}/retry", segment(id)), &json!({}))?;
                Ok(ordered(json, "are tried again"))
            }
            Self::Skip { id, devices, because } => {
                let path = format!("plans/{}/skip", segment(id));
                let json = devices.order(client, &path, &json!({ "reason": because }))?;
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
                Ok(Answer { text: forecast(&json), json })
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
                super::watch::watch(client, id)?;
                Ok(Answer::printed())
            }
            Self::Devices { id, state, reason, csv } => {
                let query = query(&[("state", state.clone()), ("reason", reason.clone())]);
                if *csv {
                    client.print(&format!("plans/{}/devices.csv{query}", segment(id)))?;
                    return Ok(Answer::printed());
                }
                let json = client.list(&format!("plans/{}/devices{query}", segment(id)))?;
                Ok(Answer { text: devices(&json), json })
            }
            Self::Device { id, device } => {
                let json = client.get(&format!("plans/{}/devices/{}", segment(id), segment(device)))?;
                Ok(Answer { text: super::device::upgrades(&json!([json])), json })
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
                Ok(Answer { text: shown(&json), json })
            }
        }
    }
}

/// The devices of a plan, a line each.
fn devices(devices: &Value) -> String {
    let mut table = Table::new(&["DEVICE", "STATE", "COMPONENTS", "OFFERED", "ENDED", "REASON"]);
    for device in items(devices) {
        let components: Vec<String> = items(&device["components"])
            .iter()
            .map(|part| format!("{} {}", cell(&part["component"]), state(&part["state"])))
            .collect();
        table.row([
            cell(&device["device_key"]),
            state(&device["state"]),
            components.join(", "),
            time(&device["created"]),
            time(&device["ended"]),
            cell(&device["reason"]),
        ]);
    }
    table.text()
}

fn shown(plan: &Value) -> String {
    let mut lines = ["id", "name", "product"].map(|field| (field, cell(&plan[field]))).to_vec();
    lines.push(("state", state(&plan["state"])));
    if !plan["halted"].is_null() {
        lines.push(("halted", cell(&plan["halted"])));
    }
    lines.extend(["time_zone", "mode", "push"].map(|field| (field, cell(&plan[field]))));
    lines.push(("verified", cell(&plan["verification"])));
    lines.extend(["start", "end", "created", "activated", "over"].map(|field| (field, time(&plan[field]))));
    if let Some(from) = plan.pointer("/push_period/from") {
        lines.push(("period", format!("{}-{}", cell(from), cell(&plan["push_period"]["until"]))));
        lines.push(("outside", cell(&plan["outside_period"])));
    }
    let strategy = &plan["strategy"];
    for (name, field) in [
        ("retries", "retries"),
        ("refusal", "refusal_delay"),
        ("min RSRP", "min_rsrp"),
        ("battery", "min_battery"),
        ("first", "first_devices"),
        ("in flight", "max_in_flight"),
        ("a minute", "max_per_minute"),
    ] {
        if !strategy[field].is_null() {
            lines.push((name, cell(&strategy[field])));
        }
    }
    if let Some(halt) = strategy["halt"].as_object() {
        let [percent, after] =
            ["percent", "after"].map(|field| halt.get(field).map_or_else(String::new, cell));
        lines.push((
            "halts",
            format!("when more than {percent} % of {after} or more finished devices failed"),
        ));
    }
    for list in ["whitelist", "blacklist"] {
        if plan["listed"][list].as_i64().is_some_and(|devices| devices > 0) {
            lines.push((list, format!("{} devices", cell(&plan["listed"][list]))));
        }
    }
    if let Some(texts) = plan["texts"].as_object() {
        for (language, text) in texts {
            lines.push(("text", format!("{language}: {}", cell(text))));
        }
    }
    let mut text = sheet(&lines);
    let mut components = Table::new(&["COMPONENT", "PACKAGE"]);
    for component in items(&plan["components"]) {
        components.row(["component", "package"].map(|field| cell(&component[field])));
    }
    text.push('\n');
    text.push_str(&components.text());
    if let Some(counts) = plan["devices"].as_object() {
        let mut figures = Table::new(&["DEVICES", "COUNT"]);
        for (name, count) in counts {
            figures.row([state(&Value::from(name.as_str())), cell(count)]);
        }
        text.push('\n');
        text.push_str(&figures.text());
    }
    text.push_str(&blocked(&plan["blocked"]));
    text
}

/// What activating the plan would do.
fn forecast(run: &Value) -> String {
    let mut text = String::new();
    for (field, words) in
        [("refused", "not activated"), ("supersedes", "takes the place of"), ("downgrades", "warning")]
    {
        for line in items(&run[field]) {
            text.push_str(&format!("{words}: {}\n", cell(line)));
        }
    }
    let mut table = Table::new(&["OUTCOME", "DEVICES", "CONDITION", "FOR EXAMPLE", "WHY"]);
    for forecast in items(&run["outcomes"]) {
        let rest = ["devices", "condition", "example", "text"].map(|field| cell(&forecast[field]));
        table.row([state(&forecast["outcome"])].into_iter().chain(rest));
    }
    text.push_str(&table.text());
    if run["examined"] != run["devices"] {
        let [examined, devices] = ["examined", "devices"].map(|field| cell(&run[field]));
        text.push_str(&format!("estimated from {examined} of {devices} devices\n"));
    }
    text
}

/// Devices by the condition that blocks them.
fn blocked(blocked: &Value) -> String {
    let conditions = items(&blocked["conditions"]);
    if conditions.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&["BLOCKED BY", "DEVICES", "FOR EXAMPLE", "WHY"]);
    for condition in conditions {
        table.row(["condition", "devices", "example", "text"].map(|field| cell(&condition[field])));
    }
    let mut text = format!("\n{}", table.text());
    if blocked["examined"] != blocked["devices"] {
        let [examined, devices] = ["examined", "devices"].map(|field| cell(&blocked[field]));
        text.push_str(&format!("estimated from {examined} of {devices} devices\n"));
    }
    text
}

/// The keys that were typed and those of the file; none: no list was given.
pub(super) fn listed(typed: &[String], file: Option<&PathBuf>) -> Result<Option<Value>, ClientError> {
    if typed.is_empty() && file.is_none() {
        return Ok(None);
    }
    let mut keys: Vec<Value> = typed.iter().filter(|key| *key != "none").map(|key| json!(key)).collect();
    if let Some(file) = file {
        let path = file.display().to_string();
        let wrong = |cause: String| ClientError::File { path: path.clone(), cause };
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        keys.extend(
            device_keys(&text).map_err(|fault| wrong(fault.to_string()))?.iter().map(|key| json!(key)),
        );
    }
    Ok(Some(Value::Array(keys)))
}

/// `HH:MM-HH:MM` of the command line.
pub(super) fn window(given: &str) -> Result<Value, ClientError> {
    if given == "none" {
        return Ok(Value::Null);
    }
    let (from, until) = given.split_once('-').ok_or_else(|| {
        ClientError::Argument(format!("push period {given:?}: say from when until when, as in 22:00-04:00"))
    })?;
    Ok(json!({ "from": from, "until": until }))
}

/// A point in time of the command line, as the API's milliseconds.
pub(super) fn moment(name: &str, given: &str, time_zone: Option<&str>) -> Result<Value, ClientError> {
    if given == "none" {
        return Ok(Value::Null);
    }
    if let Ok(at) = given.parse::<jiff::Timestamp>() {
        return Ok(json!(at.as_millisecond()));
    }
    let wrong = |rule: String| ClientError::Argument(format!("{name} {given:?}: {rule}"));
    let wall = given.parse::<jiff::civil::DateTime>().map_err(|_| {
        wrong(
            "a date and time, as in 2026-03-01T02:00, with Z or an offset where it is not the plan's zone"
                .into(),
        )
    })?;
    let zone = time_zone.ok_or_else(|| {
        wrong("add Z or an offset, or say with --time-zone which zone's clock it is by".into())
    })?;
    let zone: Zone = zone.parse().map_err(|error| ClientError::Argument(format!("{error}")))?;
    let at = zone.at(wall).ok_or_else(|| wrong("no time that can be planned".into()))?;
    Ok(json!(at))
}

/// A whole number, or `none`.
fn whole(argument: &str) -> Result<Value, String> {
    match argument {
        "none" => Ok(Value::Null),
        number => number.parse::<i64>().map(Value::from).map_err(|_| "a whole number, or none".to_owned()),
    }
}

/// `PERCENT/COUNT`, or `none`.
pub(super) fn halt(argument: &str) -> Result<Value, String> {
    if argument == "none" {
        return Ok(Value::Null);
    }
    argument
        .split_once('/')
        .and_then(|(percent, after)| Some((percent.parse::<i64>().ok()?, after.parse::<i64>().ok()?)))
        .map(|(percent, after)| json!({ "percent": percent, "after": after }))
        .ok_or_else(|| {
            "PERCENT/COUNT, as in 20/10: more than 20 % of at least 10 devices; or none".to_owned()
        })
}

/// `LANGUAGE=TEXT` of the command line.
fn text(argument: &str) -> Result<(String, String), String> {
    argument
        .split_once('=')
        .filter(|(language, _)| !language.is_empty())
        .map(|(language, text)| (language.to_owned(), text.to_owned()))
        .ok_or_else(|| "say in which language: LANGUAGE=TEXT, as in en=\"Bug fixes\"".to_owned())
}

/// `ID=PACKAGE_ID` of the command line.
fn choice(argument: &str) -> Result<(String, i64), String> {
    argument
        .split_once('=')
        .and_then(|(component, package)| Some((component.to_owned(), package.parse().ok()?)))
        .filter(|(component, _)| !component.is_empty())
        .ok_or_else(|| "say which package the component gets: ID=PACKAGE_ID, as in STM32=1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_that_halted_by_itself_says_why() {
        let why = "4 of 5 finished devices failed, more than 20 %";
        let text = shown(&json!({ "id": 1, "state": "suspended", "halted": why }));
        assert!(text.contains("Suspended") && text.contains(why), "{text}");
        assert!(!shown(&json!({ "id": 1, "state": "suspended", "halted": null })).contains("halted"));
    }
}
