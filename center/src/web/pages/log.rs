//! The log of a device or an upgrade, for people.

use maud::{Markup, html};
use serde_json::Value;

use crate::clock::Millis;
use crate::rules::trigger::Trigger;
use crate::rules::upgrade::UserAction;
use crate::store::LogEntry;
use crate::web::explain::reason;
use crate::web::parts::component_word;
use crate::web::view::{View, bytes};

/// What kinds of lines are called.
fn kind_word(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "bootstrap" => "Registered",
        "bootstrap_again" => "Registered again",
        "forbidden" => "Forbidden",
        "allowed" => "Allowed again",
        "taken over" => "Taken over",
        "offer" => "Offer",
        "status" => "Status",
        "decision" => "Decision",
        "firmware" => "Firmware sent",
        "held" => "Held back",
        "user" => "End user",
        "failure" => "Failure",
        "success" => "Success",
        "error" => "Error",
        "refusal" => "Refusal",
        "version" | "versions" => "Version",
        "stray" => "Out of turn",
        "malformed" => "Malformed",
        "ended" => "End",
        _ => return None,
    })
}

/// Lines as a time line, in their order.
pub fn lines(view: &View, log: &[LogEntry]) -> Markup {
    if log.is_empty() {
        return html! { p.muted { (view.t("Nothing was said yet.")) } };
    }
    html! {
        div.logged role="region" tabindex="0" aria-label=(view.t("Log")) { ol.log {
            @for line in log {
                li class={ "of-" (line.kind) } {
                    (view.second(line.at))
                    span.kind { @match kind_word(&line.kind) { Some(word) => (view.t(word)), None => (line.kind) } }
                    span.words {
                        @if let Some(component) = &line.component { b { (component) } " " }
                        (words(view, &line.value))
                        @if line.times > 1 {
                            " " span.muted { (view.f("{0} times, last {1}", &[&line.times, &view.away(line.last_at)])) }
                        }
                    }
                }
            }
        } }
    }
}

/// Values that stand before the others of a line.
const FIRST: [&str; 3] = ["state", "action", "version"];

/// What a status says, in the words of the component's states.
fn status_word(status: i64) -> Option<&'static str> {
    Some(match status {
        1 => "Plan Received",
        2 => "Upgrade Confirmed",
        3 => "Refused",
        4 => "Ready to Download",
        5 => "Downloading",
        6 => "Download Failed",
        8 => "Downloaded",
        9 => "Upgrading",
        11 => "Upgrade Succeeded",
        12 => "Upgrade Failed",
        _ => return None,
    })
}

/// A line's values: its sentence first, then the rest by name.
fn words(view: &View, value: &Value) -> Markup {
    let Some(fields) = value.as_object() else { return html! { @if !value.is_null() { (plain(value)) } } };
    let sentence = ["text", "reason"].into_iter().find_map(|name| Some((name, fields.get(name)?.as_str()?)));
    let rest = fields
        .iter()
        .filter(|(name, value)| sentence.is_none_or(|(said, _)| said != name.as_str()) && !value.is_null());
    let mut rest: Vec<_> = rest.collect();
    // What it came to before what it follows from.
    rest.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    html! {
        @if let Some(word) = fields.get("status").and_then(Value::as_i64).and_then(status_word) { (view.t(word)) ": " }
        @if let Some((_, text)) = sentence { (reason(view, text)) " " }
        @for (name, value) in rest { (named(view, name, value)) " " }
    }
}

/// One value with its name, as people read it.
fn named(view: &View, name: &str, value: &Value) -> Markup {
    let text = |name: &str| value[name].as_str().unwrap_or_default();
    match (name, value.as_i64()) {
        ("components", _) => {
            html! { @for part in value.as_array().into_iter().flatten() { (offered(part)) " " } }
        }
        ("files", _) => html! { @for file in value.as_array().into_iter().flatten() { (sent(file)) " " } },
        ("plans", _) => html! { @for plan in value.as_array().into_iter().flatten() {
            @if plan.is_object() { (words(view, plan)) } @else { (named(view, "plan", plan)) } " "
        } },
        ("held", _) => {
            html! { @for group in value.as_array().into_iter().flatten() { (words(view, group)) " " } }
        }
        ("plan", Some(plan)) => html! { a href={ "/plans/" (plan) } { (view.t("Plan")) " " (plan) } },
        ("package", Some(package)) => {
            html! { a href={ "/packages/" (package) } { (view.f("version package {0}", &[&package])) } }
        }
        ("bytes", Some(count)) => html! { span.value { b { (bytes(u64::try_from(count).unwrap_or(0))) } } },
        ("next" | "since", Some(at)) => {
            let word = if name == "next" { view.t("next attempt") } else { view.t("since") };
            html! { span.value { (word) " " b { (view.second(Millis(at))) } } }
        }
        ("window", _) => match (value["from"].as_i64(), value["until"].as_i64()) {
            (Some(from), Some(until)) => {
                html! { b { (view.time(Millis(from))) " \u{2013} " (view.time(Millis(until))) } }
            }
            _ => html! { b { (text("from")) " \u{2013} " (text("until")) } },
        },
        ("action", _) => {
            let action = value.as_str().unwrap_or_default();
            html! { b { (action_word(action).map_or(action, |word| view.t(word))) } }
        }
        // What counts is the rule.
        ("counted", _) if value == &Value::Bool(true) => html! {},
        ("counted", _) => html! { span.value { (view.t("not counted as an attempt")) } },
        _ => {
            let word = match name {
                "why" => view.t("because of"),
                "failures" => view.t("failed attempts"),
                "retries" => view.t("retries allowed"),
                "version" => view.t("version"),
                "target" => view.t("target version"),
                "evidence" => view.t("as shown by"),
                "state" => "",
                other => other,
            };
            let shown = match value.as_str() {
                Some(state) if name == "state" => {
                    state.parse().map_or(state.to_owned(), |state| view.t(component_word(state)).to_owned())
                }
                Some(text) if name == "why" => view.t(trigger_word(text)).to_owned(),
                Some(text) => reason(view, text),
                None => plain(value),
            };
            html! { span.value { (word) " " b { (shown) } } }
        }
    }
}

/// What an end user did, or an operator for them.
fn action_word(action: &str) -> Option<&'static str> {
    Some(match action.parse().ok()? {
        UserAction::Confirm => "Confirm the upgrade",
        UserAction::Appoint => "Appoint a time",
        UserAction::Cancel => "Cancel the upgrade",
        UserAction::Retry => "Try again",
    })
}

/// What led to an offer.
fn trigger_word(why: &str) -> &'static str {
    match (why.parse(), why) {
        (Ok(Trigger::Request), _) => "the device asked",
        (Ok(Trigger::Online), _) => "the device came online",
        (Ok(Trigger::Mark), _) => "a 10-minute mark",
        (Ok(Trigger::Retry), _) => "its pause is over",
        (Ok(Trigger::Consent), _) => "the end user agreed",
        (Err(_), "next component") => "the component before it is done",
        (Err(_), "again") => "the device came back",
        (Err(_), _) => "Firmware Verification",
    }
}

/// A component of an offer.
fn offered(part: &Value) -> Markup {
    let text = |name: &str| part[name].as_str().unwrap_or_default();
    html! { b { (text("component")) } " " span.mono { (text("source")) " \u{2192} " (text("target")) } }
}

/// A file that was sent.
fn sent(file: &Value) -> Markup {
    let text = |name: &str| file[name].as_str().unwrap_or_default();
    html! {
        b { (text("name")) } " " (bytes(file["size"].as_u64().unwrap_or(0))) " "
        span.value { "MD5 " span.mono { (text("md5")) } }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            fields.map(|(name, value)| format!("{name} {}", plain(value))).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rules::window::Zone;
    use crate::web::view::Lang;

    #[test]
    fn what_holds_plans_back_names_each_plan_after_its_reason() {
        let (lang, zone, path) = (Lang::En, Zone::utc(), "/".to_owned());
        let view = View { lang, zone, now: Millis(0), path, signed: None, has_single_sign_on: false };
        let groups = json!({ "held": [{ "plans": [1, 3], "reason": "is offline" }, { "plan": 2, "reason": "is busy" }] });
        let text = words(&view, &groups).into_string();
        let places =
            ["is offline", "/plans/1\"", "/plans/3\"", "is busy", "/plans/2\""].map(|part| text.find(part));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{text}");
    }
}
