//! Lists of device keys: typed, or from a CSV file.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cli::client::ClientError;
use crate::rules::device_list::device_keys;

/// The keys that were typed and those of the file; none: neither was given. A list without any key is refused, and so is
/// the name of a file among the keys. `option` is the option of the typed keys, without its dashes.
pub(in crate::cli) fn keys(
    option: &str,
    typed: &[String],
    file: Option<&PathBuf>,
) -> Result<Option<Vec<String>>, ClientError> {
    if typed.is_empty() && file.is_none() {
        return Ok(None);
    }
    if let Some(name) = typed.iter().find(|key| Path::new(key).is_file()) {
        let message = format!("--{option} {name:?} is a file: --{option}-file {name}?");
        return Err(ClientError::Argument(message));
    }
    let mut keys = typed.to_vec();
    if let Some(file) = file {
        let path = file.display().to_string();
        let wrong = |cause: String| ClientError::File { path: path.clone(), cause };
        let bytes = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
        let text = utf8(&bytes).map_err(wrong)?;
        let found = device_keys(text).map_err(|fault| wrong(fault.to_string()))?;
        if found.is_empty() {
            let rule = match option {
                "whitelist" => "; without a whitelist the plan is for every device: leave the option out",
                "blacklist" => "; without a blacklist no device is left out: leave the option out",
                _ => "",
            };
            return Err(wrong(format!("no device key in it{rule}")));
        }
        keys.extend(found.into_iter().map(String::from));
    }
    Ok(Some(keys))
}

/// A file as text; a spreadsheet may have saved it in another encoding.
fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8: save it as \"CSV UTF-8\", or convert it with iconv")
    })
}

/// A whitelist or blacklist as the API takes it: its keys, or null for `none`.
pub(in crate::cli) fn list(
    option: &str,
    typed: &[String],
    file: Option<&PathBuf>,
) -> Result<Option<Value>, ClientError> {
    if !typed.iter().any(|key| key == "none") {
        return Ok(keys(option, typed, file)?.map(|keys| json!(keys)));
    }
    if typed.len() > 1 || file.is_some() {
        let message =
            format!("--{option}: `none` empties the list and stands alone; leave it out to name devices");
        return Err(ClientError::Argument(message));
    }
    Ok(Some(Value::Null))
}
