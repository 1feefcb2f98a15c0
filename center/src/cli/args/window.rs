//! Daily windows: `22:00-04:00`.

use serde_json::{Value, json};

use crate::cli::client::ClientError;

/// `HH:MM-HH:MM` of the command line.
pub(in crate::cli) fn window(given: &str) -> Result<Value, ClientError> {
    if given == "none" {
        return Ok(Value::Null);
    }
    let (from, until) = given.split_once('-').ok_or_else(|| {
        ClientError::Argument(format!("push period {given:?}: say from when until when, as in 22:00-04:00"))
    })?;
    Ok(json!({ "from": from, "until": until }))
}
