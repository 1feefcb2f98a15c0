//! Device keys from a CSV file: one device a row, its key in the first column.

use super::DeviceKey;
use super::names::NameError;

/// Keys that a list holds at most.
pub const LIST_MAX: usize = 1_000_000;

/// Why a file is no list of devices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListFault {
    /// A row begins with something else than a device key.
    #[error("line {line}: {fault}")]
    Key {
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: NameError,
    },
    /// Too many rows.
    #[error("the list has more than {LIST_MAX} device keys; split the plan")]
    TooLong,
}

/// The keys, in the order of the file. A heading ("device key", "dk") may stand above them; empty lines are left out.
/// Commas, semicolons and tabs end a column, and quotation marks may stand around it.
pub fn device_keys(text: &str) -> Result<Vec<DeviceKey>, ListFault> {
    let mut keys = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1..).zip(text.lines()) {
        let Some(key) = device_key(number, line) else { continue };
        if keys.len() == LIST_MAX {
            return Err(ListFault::TooLong);
        }
        keys.push(key.map_err(|fault| ListFault::Key { line: number, fault })?);
    }
    Ok(keys)
}

/// The key in line `number`, counted from 1; none: the line is empty, or the heading.
pub fn device_key(number: usize, line: &str) -> Option<Result<DeviceKey, NameError>> {
    let column = line.split([',', ';', '\t']).next().unwrap_or_default();
    let cell = column.trim().trim_matches('"').trim();
    if line.trim().is_empty() || (number == 1 && is_heading(cell)) {
        return None;
    }
    Some(DeviceKey::new(cell))
}

fn is_heading(cell: &str) -> bool {
    ["device key", "device_key", "devicekey", "dk"].contains(&cell.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, ListFault> {
        Ok(device_keys(text)?.into_iter().map(String::from).collect())
    }

    #[test]
    fn the_first_column_of_every_row_is_a_key() {
        let keys = read("\u{feff}Device Key,remark\r\n8600,\"a, b\"\r\n\n \"8601\" ;x\n8602\tx").unwrap();
        assert_eq!(keys, ["8600", "8601", "8602"]);
        assert_eq!(read("").unwrap(), [""; 0]);
        assert_eq!(read("8600\ndk\n").unwrap(), ["8600", "dk"], "a heading stands in the first line alone");
    }

    #[test]
    fn a_wrong_key_is_named_with_its_line() {
        let error = read("8600\n86 01\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 2: device key \"86 01\": 1 to 32 of the letters and digits and - _ . :"
        );
        assert!(read("8600\n,x\n").is_err(), "a row without a key");
    }

    #[test]
    fn a_million_keys_are_a_list_and_one_more_is_not() {
        let mut text = "d\n".repeat(LIST_MAX);
        assert_eq!(device_keys(&text).unwrap().len(), LIST_MAX);
        text.push_str("d\n");
        assert_eq!(device_keys(&text), Err(ListFault::TooLong));
    }
}
