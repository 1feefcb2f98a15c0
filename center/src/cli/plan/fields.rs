//! The options of `plan create` and `plan edit`, as the API's fields.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::cli::args::device_keys::list;
use crate::cli::args::moment::moment;
use crate::cli::args::window::window;
use crate::cli::client::ClientError;

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
    #[arg(long, value_name = "HOW", value_parser = ["silent", "manual"])]
    mode: Option<String>,
    /// actively, or on_request: only a device's own request is answered
    #[arg(long, value_name = "HOW", value_parser = ["actively", "on_request"])]
    push: Option<String>,
    /// When it is offered to the devices that are online as it begins: mark (from the next 10-minute mark on), or at_once
    #[arg(long, value_name = "WHEN", value_parser = ["mark", "at_once"])]
    first_push: Option<String>,
    /// A request outside the push period: silent, or answer
    #[arg(long, value_name = "HOW", value_parser = ["silent", "answer"])]
    outside_period: Option<String>,
    /// Packages that have not passed their firmware verification: optional (take them), or required (do not activate)
    #[arg(long, value_name = "HOW", value_parser = ["optional", "required"])]
    verification: Option<String>,
    /// Upgrade text in a language, as in en="Bug fixes"; repeat it. Manual mode needs zh and en. In `plan edit` other
    /// languages stay as they are, and en=none takes one away
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
    pub(super) fn json(&self, time_zone: Option<&str>) -> Result<Map<String, Value>, ClientError> {
        let mut body = Map::new();
        for (name, keys, file) in [
            ("whitelist", &self.whitelist, &self.whitelist_file),
            ("blacklist", &self.blacklist, &self.blacklist_file),
        ] {
            if let Some(list) = list(name, keys, file.as_ref())? {
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
            ("first_push", &self.first_push),
            ("outside_period", &self.outside_period),
            ("verification", &self.verification),
        ] {
            if let Some(given) = given {
                body.insert(name.into(), json!(given));
            }
        }
        if !self.texts.is_empty() {
            let texts: Map<String, Value> =
                self.texts.iter().map(|(language, text)| (language.clone(), given(text))).collect();
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

/// A text, or null for `none`.
fn given(text: &str) -> Value {
    if text == "none" { Value::Null } else { json!(text) }
}

/// The zone of a plan's times; `has` says which fields the plan has.
pub(super) fn zone(given: Option<&str>, has: impl Fn(&str) -> bool) -> Result<&str, ClientError> {
    match given {
        Some(zone) => Ok(zone),
        None if ["push_period", "start", "end"].into_iter().any(has) => Err(ClientError::Argument(
            "time zone: say by which zone's clock push period, start and end are, as in --time-zone Europe/Berlin \
             (time_zone in a file), or UTC"
                .into(),
        )),
        None => Ok("UTC"),
    }
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
pub(super) fn text(argument: &str) -> Result<(String, String), String> {
    argument
        .split_once('=')
        .filter(|(language, _)| !language.is_empty())
        .map(|(language, text)| (language.to_owned(), text.to_owned()))
        .ok_or_else(|| "say in which language: LANGUAGE=TEXT, as in en=\"Bug fixes\"".to_owned())
}

/// `ID=PACKAGE` of the command line.
pub(super) fn choice(argument: &str) -> Result<(String, String), String> {
    argument
        .split_once('=')
        .filter(|(component, package)| !component.is_empty() && !package.is_empty())
        .map(|(component, package)| (component.to_owned(), package.to_owned()))
        .ok_or_else(|| "say which package the component gets: ID=PACKAGE, as in STM32=1".to_owned())
}
