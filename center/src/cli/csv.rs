//! An answer as CSV.

use serde_json::Value;

/// The answer as CSV: the items of a list, or the one thing; a column for each field that is no list or object.
pub(super) fn text(answer: &Value) -> String {
    let rows: Vec<&Value> = match answer.get("items") {
        Some(Value::Array(rows)) => rows.iter().collect(),
        _ => vec![answer],
    };
    let is_plain = |value: &Value| !value.is_array() && !value.is_object();
    let mut columns: Vec<&str> = Vec::new();
    for row in &rows {
        for (name, value) in row.as_object().into_iter().flatten() {
            if is_plain(value) && !columns.contains(&name.as_str()) {
                columns.push(name);
            }
        }
    }
    let line = |cells: Vec<String>| cells.join(",") + "\r\n";
    let mut text = line(columns.iter().map(|name| quoted(name)).collect());
    for row in rows {
        let cell = |name: &&str| match &row[*name] {
            Value::Null => String::new(),
            Value::String(text) => quoted(text),
            other if is_plain(other) => other.to_string(),
            _ => String::new(),
        };
        text += &line(columns.iter().map(cell).collect());
    }
    text
}

/// A cell that a spreadsheet reads as text and never as a formula.
fn quoted(text: &str) -> String {
    let text =
        if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn csv_has_a_column_for_each_plain_field() {
        let list = json!({ "items": [{ "a": 1, "b": "x,\"y\"", "c": [1] }, { "a": null, "d": "=1+1" }] });
        assert_eq!(text(&list), "a,b,d\r\n1,\"x,\"\"y\"\"\",\r\n,,'=1+1\r\n");
    }
}
