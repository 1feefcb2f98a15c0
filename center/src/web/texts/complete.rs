//! Every rule that a request can break, and every thing and field that an error names, is in both languages.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::forms::{self, MESSAGES, RULES, THINGS};
use crate::web::explain;

/// The rooms whose errors people see. What only the start of the center says is not among them.
const ROOMS: [&str; 8] =
    ["access", "api", "engine", "packages/format.rs", "rules", "store", "web", "webhooks"];

/// Calls that make an error, and which of their arguments is a thing; the last one is its rule.
const CALLS: [(&str, Option<usize>); 5] = [
    ("::invalid(", Some(1)),
    ("conflict(", Some(0)),
    ("Refusal::new(", Some(1)),
    ("refuse(", None),
    ("missing(", Some(0)),
];
/// What stands before a rule, or a thing, that has a name of its own.
const RULE_BEGINS: [&str; 5] = ["let rule = ", "let reason = ", "rule: ", "reason: ", "_RULE: &str = "];
const THING_BEGINS: [&str; 1] = ["what: "];

#[derive(Default)]
struct Found {
    rules: BTreeSet<String>,
    things: BTreeSet<String>,
}

/// The text of a literal, or of a `format!`, at the beginning of the source: its values are `{}`.
fn text(source: &str) -> Option<String> {
    let source = source.trim_start();
    let inner = source.strip_prefix("format!(").unwrap_or(source).trim_start().strip_prefix('"')?;
    let (mut text, mut letters) = (String::new(), inner.chars());
    loop {
        match letters.next()? {
            '"' => return Some(text),
            '\\' => text.extend(letters.next()),
            '{' if letters.as_str().starts_with('{') => text.extend(letters.next()),
            '{' => {
                text.push_str("{}");
                letters.by_ref().find(|letter| *letter == '}')?;
            }
            '}' => text.extend(letters.next()),
            letter => text.push(letter),
        }
    }
}

/// The arguments of a call, from behind its bracket on.
fn arguments(source: &str) -> Vec<&str> {
    let (mut depth, mut begin, mut is_text, mut is_escaped) = (0, 0, false, false);
    let mut found = Vec::new();
    for (at, letter) in source.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' if is_text => is_escaped = true,
            '"' => is_text = !is_text,
            _ if is_text => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                found.push(source[begin..at].trim());
                break;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(source[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|argument| !argument.is_empty());
    found
}

fn behind<'s>(source: &'s str, marker: &'static str) -> impl Iterator<Item = &'s str> {
    source.match_indices(marker).map(move |(at, marker)| &source[at + marker.len()..])
}

impl Found {
    fn look_into(&mut self, path: &Path) {
        if path.is_dir() {
            let below = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
            below.filter(|path| !path.ends_with("texts")).for_each(|path| self.look_into(&path));
            return;
        }
        let source = fs::read_to_string(path).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        // A literal may go on in the next line.
        let lines = source.split("\\\n").enumerate();
        let source: String = lines.map(|(at, part)| if at == 0 { part } else { part.trim_start() }).collect();
        for (call, thing) in CALLS {
            for arguments in behind(&source, call).map(arguments) {
                self.things.extend(thing.and_then(|at| text(arguments.get(at)?)));
                if call != "missing(" && arguments.len() > thing.map_or(0, |at| at + 1) {
                    self.rules.extend(arguments.last().and_then(|rule| text(rule)));
                }
            }
        }
        for marker in RULE_BEGINS {
            self.rules.extend(behind(&source, marker).filter_map(text));
        }
        for marker in THING_BEGINS {
            self.things.extend(behind(&source, marker).filter_map(text));
        }
    }
}

#[test]
fn every_rule_and_thing_of_an_error_is_in_both_languages() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Found::default();
    ROOMS.iter().for_each(|room| found.look_into(&source.join(room)));
    assert!(found.rules.len() > 70 && found.things.len() > 40, "the sources are read wrongly");
    // What may stand behind a rule, as a remark of somebody, has a form of its own.
    let has_rule = |rule: &&String| {
        let bare = rule.strip_suffix("{}").unwrap_or(rule);
        [RULES, MESSAGES, explain::REASONS]
            .iter()
            .any(|forms| forms::chinese(forms, rule).or_else(|| forms::chinese(forms, bare)).is_some())
    };
    let missing: Vec<_> = found.rules.iter().filter(|rule| !has_rule(rule)).collect();
    assert!(missing.is_empty(), "rules without Chinese: {missing:#?}");
    let has_thing = |thing: &&String| forms::chinese(THINGS, thing).is_some();
    let missing: Vec<_> = found.things.iter().filter(|thing| !has_thing(thing)).collect();
    assert!(missing.is_empty(), "things without Chinese: {missing:#?}");
}
