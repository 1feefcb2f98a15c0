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

/// The keys, in the order of the file. A heading ("device key", "IMEI") may stand above them; empty lines are left out.
/// Semicolons, tabs or commas end a column, whichever the file has first in this order; quotation marks may stand around it.
pub fn device_keys(text: &str) -> Result<Vec<DeviceKey>, ListFault> {
    let mut keys = Vec::new();
    let mut column = KeyColumn::default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (number, line) in (1..).zip(text.lines()) {
        let Some(key) = column.key(line) else { continue };
        if keys.len() == LIST_MAX {
            return Err(ListFault::TooLong);
        }
        keys.push(key.map_err(|fault| ListFault::Key { line: number, fault })?);
    }
    Ok(keys)
}

/// The first column of a file, line after line.
#[derive(Debug, Default)]
pub struct KeyColumn {
    /// What ends a column, from the first line that is not empty.
    separator: Option<char>,
    has_heading: bool,
}

impl KeyColumn {
    /// The key in the next line; none: the line is empty, or the heading.
    pub fn key(&mut self, line: &str) -> Option<Result<DeviceKey, NameError>> {
        if line.trim().is_empty() {
            return None;
        }
        let is_first = self.separator.is_none();
        let separator = *self
            .separator
            .get_or_insert_with(|| [';', '\t'].into_iter().find(|end| line.contains(*end)).unwrap_or(','));
        let mut cells = line.split(separator).map(|cell| cell.trim().trim_matches('"').trim());
        let cell = cells.next().unwrap_or_default();
        if is_first && is_heading(cell) {
            self.has_heading = true;
            return None;
        }
        let refused = |rule| Some(Err(NameError { what: "device key", value: cell.to_owned(), rule }));
        if is_shortened(cell) {
            return refused(SHORTENED);
        }
        let cells: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
        if !self.has_heading && !cells.is_empty() && cells.iter().all(|other| is_like(cell, other)) {
            return refused(ONE_A_LINE);
        }
        Some(DeviceKey::new(cell))
    }
}

const SHORTENED: &str =
    "a spreadsheet has shortened this number: format its column as text and enter the keys again";
const ONE_A_LINE: &str = "several device keys in one line: put each in a line of its own; if the other columns are something \
                          else, put a heading such as \"device key;batch\" above";

/// A number as a spreadsheet shortens it: `8.6E14`, `8,60000000000001E+14`.
fn is_shortened(cell: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let Some((number, exponent)) = cell.split_once(['E', 'e']) else { return false };
    let (power, is_signed) = exponent.strip_prefix('+').map_or((exponent, false), |power| (power, true));
    match number.split_once(['.', ',']) {
        Some((whole, part)) => digits(whole) && digits(part) && digits(power),
        // Without a sign it may be a MAC address.
        None => is_signed && digits(number) && digits(power),
    }
}

/// Whether another column of the line looks like a key too: as long as the key, and both with a digit.
fn is_like(key: &str, other: &str) -> bool {
    let has_digit = |text: &str| text.bytes().any(|byte| byte.is_ascii_digit());
    key.len() == other.len() && has_digit(key) && has_digit(other) && DeviceKey::new(other).is_ok()
}

const HEADINGS: [&str; 14] = [
    "device key",
    "device_key",
    "devicekey",
    "device",
    "dk",
    "key",
    "imei",
    "mac",
    "mac address",
    "serial",
    "serial number",
    "sn",
    "id",
    "device id",
];

fn is_heading(cell: &str) -> bool {
    HEADINGS.contains(&cell.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, ListFault> {
        Ok(device_keys(text)?.into_iter().map(String::from).collect())
    }

    #[test]
    fn the_first_column_of_every_row_is_a_key() {
        let keys = read("\u{feff}Device Key,remark\r\n8600,\"a, b\"\r\n\n \"8601\" ,x\n8602").unwrap();
        assert_eq!(read("8600\tx\n").unwrap(), ["8600"]);
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
    fn what_a_spreadsheet_made_of_a_list_is_refused_by_its_line() {
        for (text, line, words) in [
            ("8,60000000000001E+14;a\n", 1, "shortened"),
            ("8600\n8.6E14\n", 2, "shortened"),
            ("86E+13\n", 1, "shortened"),
            ("k1,k2,k3\n", 1, "several device keys in one line"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("line {line}: ")) && error.contains(words), "{text}: {error}");
        }
        assert_eq!(read("IMEI\n860000000000001\n").unwrap(), ["860000000000001"], "a heading is no device");
        assert_eq!(read("\nMAC;batch\n12E345678901;202601000000\n").unwrap(), ["12E345678901"]);
        assert_eq!(read("8600;a, b\n8601,x;c\n").unwrap_err().to_string().split(':').next(), Some("line 2"));
    }

    #[test]
    fn a_million_keys_are_a_list_and_one_more_is_not() {
        let mut text = "d\n".repeat(LIST_MAX);
        assert_eq!(device_keys(&text).unwrap().len(), LIST_MAX);
        text.push_str("d\n");
        assert_eq!(device_keys(&text), Err(ListFault::TooLong));
    }
}
