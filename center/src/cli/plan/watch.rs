//! `plan watch`: a plan's figures as they change.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::time::Duration;

use serde_json::Value;

use crate::cli::client::{Client, ClientError, segment};
use crate::cli::table::{cell, items, state};

/// The states in the order of their bars: as the figures name them, and as a device's state.
const STATES: [(&str, &str); 5] = [
    ("upgraded", "upgraded"),
    ("upgrading", "upgrading"),
    ("not_upgraded", "not_upgraded"),
    ("not_required", "no_update_required"),
    ("failed", "upgrade_failed"),
];
/// How often in a row a center is asked again that does not answer, a second apart.
const PATIENCE: u32 = 60;
/// Characters of a full bar.
const BAR: usize = 40;
/// Before a stream that ended is asked for anew.
const PAUSE: Duration = Duration::from_secs(1);
/// Conditions that nothing in this plan changes any more.
const FINAL: [&str; 6] =
    ["finished", "retries_used", "at_target", "blacklisted", "not_whitelisted", "superseded"];

/// How the view is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    /// Drawn anew at each change.
    Screen,
    /// A line for each change.
    Lines,
    /// The API's JSON, an object a line.
    Json,
}

/// Shows the plan until it is over or every one of its devices is done.
pub(super) fn watch(client: &Client, id: &str) -> Result<(), ClientError> {
    let view = match (client.json, io::stdout().is_terminal()) {
        (true, _) => View::Json,
        (false, true) => View::Screen,
        (false, false) => View::Lines,
    };
    let plan = client.get(&format!("plans/{}", segment(id)))?;
    let name = cell(&plan["name"]);
    let mut drawn = 0;
    let mut last = String::new();
    let mut refused = 0;
    let mut newest: Option<Value> = None;
    loop {
        // A stream is asked for anew now and then: one whose center is gone must not be waited for for ever.
        let stream = match client.events(&format!("plans/{}/events", segment(id)), &last) {
            Ok(Some(stream)) => stream,
            Ok(None) => return Ok(()),
            // It was there before: it restarts, perhaps.
            Err(ClientError::Unreachable { .. }) if newest.is_some() && refused < PATIENCE => {
                refused += 1;
                std::thread::sleep(PAUSE);
                continue;
            }
            Err(error) => return Err(error),
        };
        refused = 0;
        // Who was offline may have come back with nothing to do, which changes no figure.
        if let Some(told) = &newest
            && all_done(client, id, told)?
        {
            return Ok(());
        }
        let mut event = String::new();
        for line in BufReader::new(stream).lines() {
            let Ok(line) = line else { break };
            match line.split_once(':').map(|(field, value)| (field, value.trim_start())) {
                Some(("event", kind)) => event = kind.to_owned(),
                Some(("id", id)) => last = id.to_owned(),
                Some(("data", data)) => {
                    let told: Value = serde_json::from_str(data)
                        .map_err(|error| ClientError::Argument(format!("the center's event: {error}")))?;
                    let is_over = event == "end";
                    let is_done = is_over || all_done(client, id, &told)?;
                    show(view, &name, &told, &mut drawn)?;
                    if is_done {
                        return Ok(());
                    }
                    newest = Some(told);
                }
                _ => {}
            }
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether nothing will change any more although the plan is not over: no device waits or is at work.
fn all_done(client: &Client, id: &str, told: &Value) -> Result<bool, ClientError> {
    let count = |state: &str| told["devices"][state].as_u64().unwrap_or_default();
    if count("upgrading") > 0 || STATES.iter().all(|(field, _)| count(field) == 0) {
        return Ok(false);
    }
    let blocked = match client.get(&format!("plans/{}/blocked", segment(id))) {
        // The stream ends too, and is taken up again.
        Err(ClientError::Unreachable { .. }) => return Ok(false),
        blocked => blocked?,
    };
    let is_final =
        |condition: &Value| condition["condition"].as_str().is_some_and(|word| FINAL.contains(&word));
    Ok(items(&blocked["conditions"]).iter().all(is_final))
}

fn show(view: View, name: &str, told: &Value, drawn: &mut usize) -> Result<(), ClientError> {
    let text = match view {
        View::Json => format!("{told}\n"),
        View::Lines => line(name, told),
        View::Screen => {
            let up = if *drawn > 0 { format!("\u{1b}[{drawn}A\u{1b}[J") } else { String::new() };
            let bars = bars(name, told);
            *drawn = bars.lines().count();
            up + &bars
        }
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(ClientError::Output)
}

fn line(name: &str, told: &Value) -> String {
    let figures: Vec<String> = STATES
        .iter()
        .filter(|(field, _)| told["devices"][*field].as_u64().is_some_and(|count| count > 0))
        .map(|(field, word)| format!("{} {}", state(&Value::from(*word)), cell(&told["devices"][*field])))
        .collect();
    let figures = if figures.is_empty() { "no device yet".to_owned() } else { figures.join(", ") };
    format!("{name}: {}: {figures}{}\n", state(&told["state"]), halted(told))
}

fn halted(told: &Value) -> String {
    if told["halted"].is_null() { String::new() } else { format!(" (halted: {})", cell(&told["halted"])) }
}

/// A bar for each state, as long as its part of all devices that the plan reached.
fn bars(name: &str, told: &Value) -> String {
    let counts = STATES.map(|(field, _)| told["devices"][field].as_u64().unwrap_or_default());
    let all = counts.iter().sum::<u64>().max(1);
    let mut text = format!("{name}: {}{}\n", state(&told["state"]), halted(told));
    for ((_, word), count) in STATES.iter().zip(counts) {
        let length = count.saturating_mul(BAR as u64).div_ceil(all);
        let bar: String = (0..BAR as u64).map(|at| if at < length { '#' } else { '.' }).collect();
        text.push_str(&format!("  {:<18} {bar} {count}\n", state(&Value::from(*word))));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_part() {
        let told = json!({
            "state": "upgrading", "halted": null,
            "devices": { "upgraded": 30, "upgrading": 10, "not_upgraded": 0, "not_required": 0, "failed": 5 },
        });
        let text = bars("Autumn", &told);
        assert_eq!(text.lines().next(), Some("Autumn: Upgrading"));
        let bar = |number: usize| text.lines().nth(number).unwrap().matches('#').count();
        assert_eq!((bar(1), bar(2), bar(3), bar(5)), (27, 9, 0, 5));
        let said = line("Autumn", &told);
        assert_eq!(said, "Autumn: Upgrading: Upgraded 30, Upgrading 10, Upgrade Failed 5\n");
    }
}
