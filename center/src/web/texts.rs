//! Every text of the pages in both languages: English is its name, Chinese stands beside it.

use std::collections::HashMap;
use std::sync::LazyLock;

mod access;
mod devices;
mod fleet;
pub mod forms;
mod general;
mod packages;
mod plans;
mod states;

const TABLES: &[&[(&str, &str)]] = &[
    general::TEXTS,
    states::TEXTS,
    fleet::TEXTS,
    devices::TEXTS,
    packages::TEXTS,
    plans::TEXTS,
    access::TEXTS,
];

/// What a page says of the action that has led to it, by its name in the address.
pub const SAID: &[(&str, &str)] = &[
    ("saved", "Saved."),
    ("added", "Added."),
    ("deleted", "Deleted."),
    ("begun", "Started."),
    ("confirmed", "Confirmed: the device upgrades as soon as all else agrees."),
    ("cancelled", "Cancelled."),
    ("retried", "It is tried again: at once if the device is online, else when it connects."),
    ("appointed", "Appointed."),
    ("activated", "Activated: devices hear of the plan from now on."),
    ("suspended", "Suspended: no further device is offered the plan."),
    ("resumed", "Resumed."),
    ("terminated", "Terminated."),
    ("skipped", "Left out."),
    ("forbidden", "Forbidden: its connection is closed."),
    ("allowed", "Allowed again."),
];

static CHINESE: LazyLock<HashMap<&'static str, &'static str>> =
    LazyLock::new(|| TABLES.iter().copied().flatten().copied().collect());

/// The Chinese for an English text.
pub fn chinese(english: &'static str) -> &'static str {
    if english.is_empty() {
        return english;
    }
    let found = CHINESE.get(english).copied();
    debug_assert!(found.is_some(), "no Chinese for {english:?}: add it to the texts");
    found.unwrap_or(english)
}

#[cfg(test)]
mod complete;
#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The string literals of the sources, where the pages and the rules have their texts.
    fn literals(folder: &Path, found: &mut Vec<(bool, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if !path.ends_with("texts") {
                    literals(&path, found);
                }
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            let source = source.split("#[cfg(test)]").next().unwrap().replace("'\"'", "' '");
            let source = source.as_str();
            let mut before = "";
            let mut rest = source;
            while let Some(start) = rest.find('"') {
                before = if start == 0 { before } else { &rest[..start] };
                let body = &rest[start + 1..];
                let mut end = 0;
                while !body[end..].starts_with('"') {
                    end += if body[end..].starts_with('\\') {
                        2
                    } else {
                        body[end..].chars().next().unwrap().len_utf8()
                    };
                }
                let is_asked = before.trim_end().ends_with(".t(") || before.trim_end().ends_with(".f(");
                found.push((is_asked, body[..end].replace("\\u{2026}", "\u{2026}").replace("\\\"", "\"")));
                rest = &body[end + 1..];
            }
        }
    }

    #[test]
    fn every_text_is_in_both_languages_and_none_is_idle() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = Vec::new();
        literals(&source.join("web"), &mut found);
        literals(&source.join("rules"), &mut found);
        let texts: Vec<(&str, &str)> = TABLES.iter().copied().flatten().copied().collect();
        let known: BTreeSet<&str> = texts.iter().map(|(english, _)| *english).collect();
        assert_eq!(known.len(), texts.len(), "an English text stands twice");
        let missing: Vec<_> =
            found.iter().filter(|(asked, text)| *asked && !known.contains(text.as_str())).collect();
        assert!(missing.is_empty(), "not in the table: {missing:#?}");
        let on_pages: BTreeSet<&str> = found.iter().map(|(_, text)| text.as_str()).collect();
        let idle: Vec<_> = known.iter().filter(|english| !on_pages.contains(*english)).collect();
        assert!(idle.is_empty(), "on no page: {idle:#?}");
        for (english, chinese) in texts {
            assert!(!chinese.trim().is_empty(), "{english}");
            for value in ["{0}", "{1}", "{2}"] {
                assert_eq!(english.contains(value), chinese.contains(value), "{english}: {value}");
            }
        }
        for (_, said) in SAID {
            assert!(known.contains(said), "{said}");
        }
    }
}
