//! Why something was refused, in the language of the page.

use maud::{Markup, html};

use super::texts::forms::{self, MESSAGES, RULES, THINGS};
use super::view::{Lang, View};
use crate::api::error::ApiError;

/// The sentence of an error.
pub fn told(view: &View, error: &ApiError) -> String {
    let text = match view.lang {
        Lang::En => error.message().to_owned(),
        Lang::Zh => chinese(error).unwrap_or_else(|| error.message().to_owned()),
    };
    // Bad lines of a list stand below one another.
    text.replace("; line ", ";\nline ").replace("；第", "；\n第")
}

/// Every reason, where there are several.
pub fn reasons(view: &View, error: &ApiError) -> Vec<String> {
    let reasons = error.reasons().iter();
    match view.lang {
        Lang::En => reasons.cloned().collect(),
        Lang::Zh => reasons.map(|reason| sentence(view, reason)).collect(),
    }
}

/// A reason that is a sentence, or a value with its rule: `device key "a b": 1 to 32 of ...`.
pub fn sentence(view: &View, text: &str) -> String {
    let found = (view.lang == Lang::Zh).then(|| chinese_sentence(text)).flatten();
    found.unwrap_or_else(|| text.to_owned())
}

/// What stands on a page above what was refused.
pub fn block(view: &View, error: &ApiError) -> Markup {
    let reasons = reasons(view, error);
    html! {
        div.wrong role="alert" {
            @if reasons.is_empty() { p { (told(view, error)) } }
            @else { ul { @for reason in &reasons { li { (reason) } } } }
        }
    }
}

/// A rule in Chinese, for what names no error.
pub fn rule(view: &View, rule: &str) -> String {
    let found = (view.lang == Lang::Zh).then(|| forms::chinese(RULES, rule)).flatten();
    found.unwrap_or_else(|| rule.to_owned())
}

fn chinese(error: &ApiError) -> Option<String> {
    let thing = |thing: &str| forms::chinese(THINGS, thing).unwrap_or_else(|| thing.to_owned());
    match (error.code(), error.field(), error.rule(), error.value()) {
        ("not_found", Some(field), _, value) => {
            Some(format!("没有{}“{}”", thing(field), value.unwrap_or_default()))
        }
        (_, Some(field), Some(rule), value) => {
            let rule = lines(rule).or_else(|| forms::chinese(RULES, rule)).unwrap_or_else(|| rule.to_owned());
            Some(match value {
                Some(value) => format!("{}“{value}”：{rule}", thing(field)),
                None => format!("{}：{rule}", thing(field)),
            })
        }
        _ => forms::chinese(MESSAGES, error.message()),
    }
}

fn chinese_sentence(text: &str) -> Option<String> {
    forms::chinese(MESSAGES, text).or_else(|| named(text))
}

fn named(text: &str) -> Option<String> {
    let (named, rule) = text.split_once("\": ")?;
    let (thing, value) = named.split_once(" \"")?;
    let (thing, rule) = (forms::chinese(THINGS, thing)?, forms::chinese(RULES, rule)?);
    Some(format!("{thing}“{value}”：{rule}"))
}

/// The bad lines of a list: `line 2: device key "a b": ...; line 5: ...; and 3 more`.
fn lines(rule: &str) -> Option<String> {
    rule.starts_with("line ").then_some(())?;
    let lines = rule.split("; ").map(|line| {
        let found = line.strip_prefix("line ").and_then(|line| line.split_once(": "));
        match found {
            Some((number, fault)) => {
                format!("第 {number} 行：{}", named(fault).unwrap_or_else(|| fault.to_owned()))
            }
            None => forms::chinese(&[("and {} more", "另有 {} 行")], line).unwrap_or_else(|| line.to_owned()),
        }
    });
    Some(lines.collect::<Vec<_>>().join("；"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;
    use crate::engine::EngineError;
    use crate::rules::names::NameError;
    use crate::rules::plan::{ActivationFault, PlanEvent, PlanState, next_state};
    use crate::rules::window::Zone;
    use crate::rules::{ComponentNo, DeviceKey, ProductKey, Title, Version};

    fn is_chinese(error: impl Into<ApiError>) -> String {
        let error = error.into();
        let text = chinese(&error).unwrap_or_default();
        let letters = text.chars().filter(|letter| ('\u{4e00}'..='\u{9fff}').contains(letter)).count();
        assert!(letters >= 4, "{}: {text}", error.message());
        text
    }

    fn refused<T: std::fmt::Debug>(made: Result<T, NameError>) -> NameError {
        made.unwrap_err()
    }

    #[test]
    fn what_a_person_types_wrong_is_told_in_chinese() {
        assert_eq!(
            is_chinese(refused(DeviceKey::new("not a key"))),
            "设备标识“not a key”：1 至 32 个字母、数字或 - _ . :"
        );
        is_chinese(refused(ProductKey::new("")));
        is_chinese(refused(ComponentNo::new(":")));
        is_chinese(refused(Version::new(";")));
        is_chinese(refused(Title::new("")));
        is_chinese(refused("noon".parse::<crate::rules::window::TimeOfDay>()));
        is_chinese(refused("Europe/Atlantis".parse::<Zone>()));
        is_chinese(ApiError::missing("version package", "7"));
        let lines = "line 2: device key \"a b\": 1 to 32 of the letters and digits and - _ . :; and 3 more";
        assert_eq!(
            is_chinese(ApiError::invalid("invalid", "whitelist", "", lines)),
            "白名单：第 2 行：设备标识“a b”：1 至 32 个字母、数字或 - _ . :；另有 3 行"
        );
    }

    #[test]
    fn what_a_plan_does_not_do_is_told_in_chinese() {
        let no_step = next_state(PlanState::Ended, PlanEvent::Resume, None).unwrap_err();
        is_chinese(EngineError::Transition(no_step));
        for fault in [
            ActivationFault::NoComponent,
            ActivationFault::EndPassed { end: Millis(0) },
            ActivationFault::TextMissing { language: "zh" },
        ] {
            let text = fault.to_string();
            assert!(chinese_sentence(&text).is_some(), "{text}");
        }
    }
}
