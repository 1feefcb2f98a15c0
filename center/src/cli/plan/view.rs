//! A plan, its devices and its dry run in words.

use serde_json::Value;

use crate::cli::table::{Table, cell, items, sheet, state, time};

pub(super) fn shown(plan: &Value) -> String {
    let mut lines = ["id", "name", "product"].map(|field| (field, cell(&plan[field]))).to_vec();
    lines.push(("state", state(&plan["state"])));
    if !plan["halted"].is_null() {
        lines.push(("halted", cell(&plan["halted"])));
    }
    lines.extend(["time_zone", "mode", "push"].map(|field| (field, cell(&plan[field]))));
    if plan["first_push"] == "at_once" {
        lines.push(("first push", "at once".to_owned()));
    }
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
    lines.push(("devices", who(plan)));
    if plan["listed"]["blacklist"].as_i64().is_some_and(|devices| devices > 0) {
        lines.push(("except", format!("{} devices of the blacklist", cell(&plan["listed"]["blacklist"]))));
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
        if plan["counting"] == true {
            text.push_str("devices that were never offered it are still being counted\n");
        }
    }
    text.push_str(&blocked(&plan["blocked"]));
    text
}

/// What keeps the plan from being activated as it is.
pub(super) fn warnings(plan: &Value) -> Vec<String> {
    items(&plan["warnings"]).iter().map(|warning| format!("warning: {}", cell(warning))).collect()
}

/// Who the plan is for, and how many they are.
pub(super) fn who(plan: &Value) -> String {
    let devices = cell(&plan["population"]["devices"]);
    match plan["population"]["of"].as_str() {
        Some("whitelist") => format!("{devices} devices of the whitelist"),
        _ => format!("every device of product {}, {devices} now", cell(&plan["product"])),
    }
}

/// The devices of a plan, a line each.
pub(super) fn devices(devices: &Value) -> String {
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

/// What activating the plan would do.
pub(super) fn forecast(run: &Value) -> String {
    let mut text = String::new();
    for (field, words) in
        [("refused", "not activated"), ("supersedes", "takes the place of"), ("downgrades", "warning")]
    {
        for line in items(&run[field]) {
            text.push_str(&format!("{words}: {}\n", cell(line)));
        }
    }
    let devices = cell(&run["devices"]);
    text.push_str(&match run["population"].as_str() {
        Some("whitelist") => format!("for {devices} devices of the whitelist\n"),
        _ => format!("for every device of the product, {devices} now\n"),
    });
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_that_halted_by_itself_says_why() {
        let why = "4 of 5 finished devices failed, more than 20 %";
        let text = shown(&json!({ "id": 1, "state": "suspended", "halted": why }));
        assert!(text.contains("Suspended") && text.contains(why), "{text}");
        assert!(!shown(&json!({ "id": 1, "state": "suspended", "halted": null })).contains("halted"));
    }
}
