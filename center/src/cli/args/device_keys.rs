//! Lists of device keys: typed, or from a CSV file.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::client::ClientError;
use crate::rules::device_list::device_keys;

/// The keys that were typed and those of the file, as the API takes them; none: no list was given.
pub(in crate::cli) fn listed(typed: &[String], file: Option<&PathBuf>) -> Result<Option<Value>, ClientError> {
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
