//! "Did you mean": the name that is nearest to one that there is not.

use serde_json::Value;
use strsim::damerau_levenshtein;

use super::client::{Client, ClientError};
use super::table::items;

/// Adds the nearest name to a refusal because of a name that there is not.
pub(super) fn nearest(client: &Client, refused: ClientError) -> ClientError {
    let ClientError::Refused { message, code, field: Some(field), value: Some(value) } = &refused else {
        return refused;
    };
    if code != "not_found" {
        return refused;
    }
    let (list, name, command) = match field.as_str() {
        "product" => ("products", "key", "product list"),
        "upgrade plan" => ("plans", "name", "plan list"),
        "account" => ("accounts", "name", "account list"),
        _ => return refused,
    };
    // Whoever may not see the list gets no hint.
    let Ok(known) = client.get(&format!("{list}?limit=1000")) else { return refused };
    let names = items(&known).iter().filter_map(|item| item[name].as_str());
    let hint = match closest(value, names) {
        Some(name) => format!("did you mean {name}?"),
        None => format!("`{command}` shows what there is"),
    };
    ClientError::Argument(format!("{message}; {hint}"))
}

/// The name that a slip of the finger or two makes of `given`; one letter of three may be wrong.
fn closest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (given.chars().count() / 3).clamp(1, 3);
    let lower = given.to_lowercase();
    let far = |name: &&str| damerau_levenshtein(&lower, &name.to_lowercase());
    names.filter(|name| far(name) <= most).min_by_key(far)
}

/// The answer as CSV: the items of a list, or the one thing; a column for each field that is no list or object.
pub(super) fn csv(answer: &Value) -> String {
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
    fn the_nearest_name_is_found_and_a_far_one_is_none() {
        let names = ["p1demo", "p2demo", "pump"];
        assert_eq!(closest("p1dem", names.into_iter()), Some("p1demo"));
        assert_eq!(closest("P2DEMO", names.into_iter()), Some("p2demo"));
        assert_eq!(closest("valve", names.into_iter()), None);
        assert_eq!(closest("p", names.into_iter()), None);
    }

    #[test]
    fn csv_has_a_column_for_each_plain_field() {
        let list = json!({ "items": [{ "a": 1, "b": "x,\"y\"", "c": [1] }, { "a": null, "d": "=1+1" }] });
        assert_eq!(csv(&list), "a,b,d\r\n1,\"x,\"\"y\"\"\",\r\n,,'=1+1\r\n");
    }
}
