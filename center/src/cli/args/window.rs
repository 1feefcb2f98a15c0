//! Daily windows: `22:00-04:00`.

use serde_json::{Value, json};

use crate::cli::client::ClientError;
use crate::rules::window::TimeOfDay;

/// `HH:MM-HH:MM` of the command line, or `none`.
pub(in crate::cli) fn window(given: &str) -> Result<Value, ClientError> {
    if given == "none" {
        return Ok(Value::Null);
    }
    let time = |text: &str| text.trim().parse::<TimeOfDay>().ok();
    let ends = given.split_once('-').and_then(|(from, until)| Some((time(from)?, time(until)?)));
    let (from, until) = ends.ok_or_else(|| {
        let rule = "from when until when, each 00:00 to 23:59 with two digits, as in 22:00-04:00";
        ClientError::Argument(format!("push period {given:?}: {rule}"))
    })?;
    Ok(json!({ "from": from, "until": until }))
}
