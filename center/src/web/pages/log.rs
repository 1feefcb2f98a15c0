//! The log of a device or an upgrade, for people.

use maud::{Markup, html};
use serde_json::Value;

use crate::store::LogEntry;
use crate::web::explain::reason;
use crate::web::view::View;

/// What kinds of lines are called.
fn kind_word(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "bootstrap" => "Registered",
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
    html! {
        @if let Some(word) = fields.get("status").and_then(Value::as_i64).and_then(status_word) { (view.t(word)) ": " }
        @if let Some((_, text)) = sentence { (reason(view, text)) " " }
        @for (name, value) in rest { span.value { (name) " " b { (plain(value)) } } " " }
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
