//! Points in time: `2026-03-01T02:00Z`.

use serde_json::{Value, json};

use crate::cli::client::ClientError;
use crate::rules::window::Zone;

/// A point in time of the command line, as the API's milliseconds.
pub(in crate::cli) fn moment(name: &str, given: &str, time_zone: Option<&str>) -> Result<Value, ClientError> {
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
