//! A plan's form as fields, and back.

use maud::{Markup, html};
use serde_json::{Map, Value, json};

use super::device::moment;
use crate::api::error::ApiError;
use crate::rules::DeviceKey;
use crate::rules::device_list::{KeyColumn, LIST_MAX};
use crate::rules::plan::{List, PlanSettings, Strategy};
use crate::rules::window::{TimeOfDay, Zone};
use crate::store::{PlanId, Reader, StoreError};
use crate::web::form::Fields;
use crate::web::view::View;

/// Rows for texts in further languages.
pub const OTHER_TEXTS: usize = 3;
/// Bad lines of a list that are named.
const BAD_LINES: usize = 10;

/// Zones to choose from; every other IANA name may be typed.
pub const ZONES: &[&str] = &[
    "UTC",
    "Asia/Shanghai",
    "Asia/Hong_Kong",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Asia/Seoul",
    "Asia/Kolkata",
    "Asia/Dubai",
    "Asia/Jakarta",
    "Asia/Bangkok",
    "Australia/Sydney",
    "Europe/London",
    "Europe/Berlin",
    "Europe/Paris",
    "Europe/Madrid",
    "Europe/Rome",
    "Europe/Warsaw",
    "Europe/Istanbul",
    "Europe/Moscow",
    "Africa/Cairo",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "America/New_York",
    "America/Chicago",
    "America/Denver",
    "America/Los_Angeles",
    "America/Mexico_City",
    "America/Bogota",
    "America/Sao_Paulo",
    "America/Argentina/Buenos_Aires",
];

/// A plan's lists as texts, a key a line.
#[derive(Debug, Default)]
pub struct Lists {
    white: String,
    black: String,
}

impl Lists {
    /// Those of a plan.
    pub async fn of(store: &mut Reader, plan: PlanId) -> Result<Self, StoreError> {
        let mut lists = Self::default();
        for (list, text) in [(List::White, &mut lists.white), (List::Black, &mut lists.black)] {
            let mut after = String::new();
            loop {
                let keys = store.listed(plan, list, &after, 1_000).await?;
                let Some(last) = keys.last() else { break };
                after = last.to_string();
                for key in &keys {
                    text.push_str(key.as_str());
                    text.push('\n');
                }
            }
        }
        Ok(lists)
    }
}

/// The form of a plan that nobody has filled in.
pub fn fresh(view: &View) -> Fields {
    let strategy = Strategy::default();
    let mut fields = Fields::default();
    fields.set("time_zone", view.zone.name());
    fields.set("retries", strategy.retries.to_string());
    fields.set("refusal_delay", strategy.refusal_delay.to_string());
    for (name, value) in
        [("mode", "silent"), ("push", "actively"), ("first_push", "mark"), ("outside_period", "silent")]
    {
        fields.set(name, value);
    }
    fields
}

/// The form of a plan.
pub fn filled(settings: &PlanSettings, lists: &Lists) -> Fields {
    let mut fields = Fields::default();
    let strategy = &settings.strategy;
    let zone = &settings.time_zone;
    let clock =
        |at: Option<crate::clock::Millis>| at.map(|at| zone.clock(at, "%Y-%m-%dT%H:%M")).unwrap_or_default();
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let values = [
        ("name", settings.name.to_string()),
        ("whitelist", lists.white.clone()),
        ("blacklist", lists.black.clone()),
        ("time_zone", zone.name().to_owned()),
        ("period_from", text(settings.push_period.map(|period| period.from))),
        ("period_until", text(settings.push_period.map(|period| period.until))),
        ("start", clock(settings.start)),
        ("end", clock(settings.end)),
        ("mode", settings.mode.to_string()),
        ("push", settings.push.to_string()),
        ("first_push", settings.first_push.to_string()),
        ("outside_period", settings.outside_period.to_string()),
        ("verification", settings.verification.to_string()),
        ("retries", strategy.retries.to_string()),
        ("refusal_delay", strategy.refusal_delay.to_string()),
        ("min_rsrp", text(strategy.min_rsrp)),
        ("min_battery", text(strategy.min_battery)),
        ("first_devices", text(strategy.first_devices)),
        ("halt_percent", text(strategy.halt.map(|halt| halt.percent))),
        ("halt_after", text(strategy.halt.map(|halt| halt.after))),
        ("max_in_flight", text(strategy.max_in_flight)),
        ("max_per_minute", text(strategy.max_per_minute)),
    ];
    for (name, value) in values {
        fields.set(name, value);
    }
    for (index, selected) in settings.components.iter().enumerate() {
        fields.set(&format!("package.{}", selected.component), selected.package.to_string());
        fields.set(&format!("order.{}", selected.component), (index + 1).to_string());
    }
    let mut others = 0;
    for (tag, text) in &settings.texts {
        match tag.as_str() {
            "zh" | "en" => fields.set(&format!("text_{tag}"), text.as_str()),
            _ => {
                fields.set(&format!("text_tag_{others}"), tag.as_str());
                fields.set(&format!("text_other_{others}"), text.as_str());
                others += 1;
            }
        }
    }
    fields
}

/// Whether the form limits how the plan spreads.
pub fn is_staged(fields: &Fields) -> bool {
    ["first_devices", "halt_percent", "halt_after", "max_in_flight", "max_per_minute"]
        .iter()
        .any(|name| fields.given(name).is_some())
}

/// A whole number; what is none stays a text, which is refused with its name.
fn whole(fields: &Fields, name: &str) -> Value {
    match fields.given(name) {
        Some(text) => text.parse::<i64>().map_or_else(|_| json!(text), |number| json!(number)),
        None => Value::Null,
    }
}

/// The plan that the form describes, as the API takes it; lists and product aside.
pub fn given(fields: &Fields) -> Result<Value, ApiError> {
    let zone: Zone = fields.get("time_zone").parse()?;
    let time = |name: &str| -> Result<Value, ApiError> {
        Ok(match fields.given(name) {
            Some(_) => json!(moment(fields, name, &zone)?),
            None => Value::Null,
        })
    };
    let mut strategy = Map::new();
    for name in [
        "retries",
        "refusal_delay",
        "min_rsrp",
        "min_battery",
        "first_devices",
        "max_in_flight",
        "max_per_minute",
    ] {
        let value = whole(fields, name);
        if !value.is_null() {
            strategy.insert(name.to_owned(), value);
        }
    }
    let (percent, after) = (whole(fields, "halt_percent"), whole(fields, "halt_after"));
    if percent.is_null() != after.is_null() {
        let rule = "give both, the share of failures and after how many finished devices it counts, or none";
        return Err(ApiError::invalid("missing", "strategy.halt", "", rule));
    }
    if !percent.is_null() {
        strategy.insert("halt".to_owned(), json!({ "percent": percent, "after": after }));
    }
    let period = match (fields.given("period_from"), fields.given("period_until")) {
        (Some(from), Some(until)) => json!({ "from": from, "until": until }),
        (None, None) => Value::Null,
        _ => {
            let rule = "a push period has both its ends; leave both empty for all day";
            return Err(ApiError::invalid("missing", "push_period", "", rule));
        }
    };
    let mut texts = Map::new();
    for tag in ["zh", "en"] {
        if let Some(text) = fields.given(&format!("text_{tag}")) {
            texts.insert(tag.to_owned(), json!(text));
        }
    }
    for number in 0..OTHER_TEXTS {
        let (tag, text) =
            (fields.get(&format!("text_tag_{number}")), fields.get(&format!("text_other_{number}")));
        match (tag.is_empty(), text.is_empty()) {
            (true, true) => {}
            (false, false) => drop(texts.insert(tag.to_owned(), json!(text))),
            _ => {
                return Err(ApiError::invalid(
                    "missing",
                    "texts",
                    tag,
                    "a text needs its language tag, such as pt-BR, and a tag its text",
                ));
            }
        }
    }
    let mut value = json!({
        "name": fields.get("name"),
        "time_zone": zone,
        "mode": fields.given("mode").unwrap_or("silent"),
        "push": fields.given("push").unwrap_or("actively"),
        "first_push": fields.given("first_push").unwrap_or("mark"),
        "outside_period": fields.given("outside_period").unwrap_or("silent"),
        "verification": fields.given("verification").unwrap_or("optional"),
        "strategy": strategy,
        "texts": texts,
        "components": components(fields)?,
    });
    for (name, given) in [("start", time("start")?), ("end", time("end")?), ("push_period", period)] {
        if !given.is_null() {
            value[name] = given;
        }
    }
    Ok(value)
}

/// Components with a package, in their order.
fn components(fields: &Fields) -> Result<Vec<Value>, ApiError> {
    let mut chosen = Vec::new();
    for (name, value) in fields.pairs() {
        let Some(component) = name.strip_prefix("package.").filter(|_| !value.is_empty()) else { continue };
        let package: i64 = value.parse().map_err(|_| ApiError::missing("version package", value))?;
        let order: u32 = fields.get(&format!("order.{component}")).parse().unwrap_or(u32::MAX);
        chosen.push((order, json!({ "component": component, "package": package })));
    }
    // Of equal numbers the first row comes first.
    chosen.sort_by_key(|(order, _)| *order);
    Ok(chosen.into_iter().map(|(_, component)| component).collect())
}

/// Both lists, with every bad line named, up to a few.
pub fn lists(fields: &Fields) -> Result<(Vec<DeviceKey>, Vec<DeviceKey>), ApiError> {
    Ok((list(fields, "whitelist")?, list(fields, "blacklist")?))
}

/// The form with what its files hold put into the lists, where it can be seen and changed: without scripts they come as files.
pub fn with_files(fields: &Fields) -> Fields {
    let mut joined = fields.clone();
    for name in ["whitelist", "blacklist"] {
        let file_name = format!("{name}_file");
        let file = fields.raw(&file_name);
        let file = file.strip_prefix('\u{feff}').unwrap_or(file);
        if file.trim().is_empty() {
            continue;
        }
        let typed = fields.raw(name).trim_end();
        let text = if typed.is_empty() { file.to_owned() } else { format!("{typed}\n{file}") };
        joined.set(name, text);
        joined = joined.without(&file_name);
    }
    joined
}

fn list(fields: &Fields, name: &str) -> Result<Vec<DeviceKey>, ApiError> {
    let (mut keys, mut bad, mut more) = (Vec::new(), Vec::new(), 0_usize);
    let mut column = KeyColumn::default();
    let text = fields.raw(name);
    for (number, line) in (1..).zip(text.strip_prefix('\u{feff}').unwrap_or(text).lines()) {
        match column.key(line) {
            None => {}
            Some(Ok(key)) => keys.push(key),
            Some(Err(_)) if bad.len() >= BAD_LINES => more += 1,
            Some(Err(fault)) => bad.push(format!("line {number}: {fault}")),
        }
    }
    if keys.len() > LIST_MAX {
        let rule = format!("a list has at most {LIST_MAX} device keys; split the plan");
        return Err(ApiError::invalid("too_long", name, "", rule));
    }
    if !bad.is_empty() {
        if more > 0 {
            bad.push(format!("and {more} more"));
        }
        return Err(ApiError::invalid("invalid", name, "", bad.join("; ")));
    }
    Ok(keys)
}

/// A picture of the day with the push period in it.
pub fn day(view: &View, from: &str, until: &str) -> Markup {
    let minutes = |text: &str| text.parse::<TimeOfDay>().ok().map(|time| time.minutes());
    let parts = match (minutes(from), minutes(until)) {
        (Some(from), Some(until)) if from < until => vec![(from, until)],
        (Some(from), Some(until)) if from > until => vec![(0, until), (from, 24 * 60)],
        _ => vec![(0, 24 * 60)],
    };
    let label = match (minutes(from), minutes(until)) {
        (Some(_), Some(_)) => view.f("Offered from {0} until {1}", &[&from, &until]),
        _ => view.t("Offered all day").to_owned(),
    };
    html! {
        svg.day viewBox="0 0 1440 70" role="img" aria-label=(label) data-day {
            rect.fill-rest x="0" y="0" width="1440" height="34" rx="6" {}
            @for (from, until) in &parts { rect.fill-accent.open x=(from) y="0" width=(until - from) height="34" {} }
            @for hour in (0..=24).step_by(6) {
                @let anchor = match hour { 0 => "start", 24 => "end", _ => "middle" };
                text x=(hour * 60) y="62" text-anchor=(anchor) { (format!("{hour:02}:00")) }
            }
        }
    }
}
