//! Answers for people: aligned columns, one thing per line.

use jiff::Timestamp;
use serde_json::Value;

/// Rows under a header, aligned when printed.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The table as text, each line ended.
    pub(super) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max()
            })
            .map(Option::unwrap_or_default)
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

/// Names and values below one another.
pub(super) fn sheet(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len() + 1).max().unwrap_or_default();
    lines.iter().map(|(name, value)| format!("{:width$}  {value}\n", format!("{name}:"))).collect()
}

/// A value of the API in one cell: no control character of a device's text reaches the terminal.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        Value::String(text) => text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        other => other.to_string(),
    }
}

/// A point in time of the API, as a date and time in UTC.
pub(super) fn time(value: &Value) -> String {
    let at = value.as_i64().and_then(|at| Timestamp::from_millisecond(at).ok());
    at.map_or_else(|| cell(value), |at| format!("{at:.3}"))
}

/// A state of the API in the words of the console: `upgrade_failed` is "Upgrade Failed".
pub(super) fn state(value: &Value) -> String {
    if value.as_str() == Some("not_required") {
        return "No Update Required".to_owned();
    }
    let words = cell(value);
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    };
    words.split('_').map(capital).collect::<Vec<_>>().join(" ")
}

/// An array of the API, or the items of one of its lists.
pub(super) fn items(value: &Value) -> &[Value] {
    value.get("items").unwrap_or(value).as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&["KEY", "NAME"]);
        table.row([cell(&json!("p1abcd")), cell(&json!("Pumpe für Öl"))]);
        table.row([cell(&json!("p")), cell(&json!("a\u{1b}[2J"))]);
        assert_eq!(table.text(), "KEY     NAME\np1abcd  Pumpe für Öl\np       a\u{fffd}[2J\n");
    }

    #[test]
    fn times_are_equally_long() {
        assert_eq!(time(&json!(1_700_000_000_000_i64)), "2023-11-14T22:13:20.000Z");
        assert_eq!(time(&json!(1_700_000_000_120_i64)), "2023-11-14T22:13:20.120Z");
        assert_eq!(time(&json!(null)), "-");
    }

    #[test]
    fn states_read_as_in_the_console() {
        assert_eq!(state(&json!("upgrade_failed")), "Upgrade Failed");
        assert_eq!(state(&json!("not_required")), "No Update Required");
        assert_eq!(state(&json!(null)), "-");
    }

    #[test]
    fn a_sheet_aligns_its_values() {
        assert_eq!(sheet(&[("key", "p".into()), ("secret", "s".into())]), "key:     p\nsecret:  s\n");
    }
}
