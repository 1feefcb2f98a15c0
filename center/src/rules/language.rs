//! Which of a plan's texts a person reads: the lookup of RFC 4647 3.4 over the texts that there are.

use std::collections::BTreeMap;

use super::names::NameError;

/// Languages that a person reads, best first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted(Vec<String>);

/// Languages that are looked at, of those that a request names.
const WANTED_MAX: usize = 20;

fn is_tag(text: &str) -> bool {
    text == "*"
        || text.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

impl Wanted {
    /// One language, said outright.
    pub fn only(tag: &str) -> Result<Self, NameError> {
        if is_tag(tag) {
            return Ok(Wanted(vec![tag.to_ascii_lowercase()]));
        }
        let rule = "a language tag, such as en, zh or pt-BR";
        Err(NameError { what: "language", value: tag.to_owned(), rule })
    }

    /// The header `Accept-Language`. What cannot be read in it is left out, as HTTP has it.
    pub fn accepted(header: &str) -> Self {
        let mut ranges: Vec<(f32, &str)> = header
            .split(',')
            .filter_map(|range| {
                let (tag, parameter) = range.split_once(';').unwrap_or((range, ""));
                let weight = match parameter.trim().strip_prefix("q=") {
                    Some(weight) => weight.parse().ok()?,
                    None => 1.0,
                };
                let tag = tag.trim();
                (is_tag(tag) && weight > 0.0).then_some((weight, tag))
            })
            .take(WANTED_MAX)
            .collect();
        // Equal weights stay in the order in which they were named.
        ranges.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        Wanted(ranges.into_iter().map(|(_, tag)| tag.to_ascii_lowercase()).collect())
    }

    /// The text to show, with its language: for each wanted language the text in it, else in a more general one
    /// (`zh-Hans-CN`, `zh-Hans`, `zh`), else in another variety of it (`pt-BR` for `pt`); else in English, in Chinese, or
    /// whatever there is.
    pub fn choose<'t>(&self, texts: &'t BTreeMap<String, String>) -> Option<(&'t str, &'t str)> {
        let texts = || {
            let whole = texts.iter().filter(|(_, text)| !text.trim().is_empty());
            whole.map(|(tag, text)| (tag.as_str(), text.as_str()))
        };
        let exact = |wanted: &str| texts().find(|(tag, _)| tag.eq_ignore_ascii_case(wanted));
        let looked_up = self.0.iter().filter(|wanted| *wanted != "*").find_map(|wanted| {
            let general =
                std::iter::successors(Some(wanted.as_str()), |tag| more_general(tag)).find_map(exact);
            let primary = wanted.split('-').next().unwrap_or(wanted);
            let kin = |tag: &str| tag.split('-').next().is_some_and(|tag| tag.eq_ignore_ascii_case(primary));
            general.or_else(|| texts().find(|(tag, _)| kin(tag)))
        });
        looked_up.or_else(|| exact("en")).or_else(|| exact("zh")).or_else(|| texts().next())
    }
}

/// The tag without its last part.
fn more_general(tag: &str) -> Option<&str> {
    tag.rfind('-').and_then(|end| tag.get(..end))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(languages: &[&str]) -> BTreeMap<String, String> {
        languages.iter().map(|tag| ((*tag).to_owned(), format!("text in {tag}"))).collect()
    }

    #[test]
    fn the_best_text_is_chosen_and_english_where_there_is_none() {
        let all = texts(&["en", "zh", "zh-Hant", "pt-BR", "de"]);
        for (header, language) in [
            ("de", "de"),
            ("de-AT", "de"),
            ("DE-at;q=0.9, fr", "de"),
            ("fr, de;q=0.1", "de"),
            ("zh-Hant-TW", "zh-Hant"),
            ("zh-Hans-CN", "zh"),
            ("pt", "pt-BR"),
            ("pt-PT", "pt-BR"),
            ("en;q=0.2, zh;q=0.8", "zh"),
            ("de;q=0, zh", "zh"),
            ("fr", "en"),
            ("*", "en"),
            ("", "en"),
            ("d\u{fc}, ;;, q=1, zh", "zh"),
        ] {
            let chosen = Wanted::accepted(header).choose(&all).map(|(language, _)| language);
            assert_eq!(chosen, Some(language), "{header}");
        }
        let few = texts(&["zh", "ja"]);
        assert_eq!(Wanted::accepted("fr").choose(&few), Some(("zh", "text in zh")));
        assert_eq!(Wanted::accepted("fr").choose(&texts(&["ja"])), Some(("ja", "text in ja")));
        assert_eq!(Wanted::accepted("fr").choose(&texts(&[])), None);
    }

    #[test]
    fn a_language_that_is_said_outright_must_be_one() {
        assert_eq!(Wanted::only("pt-BR").unwrap().choose(&texts(&["en", "pt-br"])).unwrap().0, "pt-br");
        for wrong in ["", "english language", "de_DE", "-"] {
            assert!(Wanted::only(wrong).unwrap_err().to_string().contains("such as en"), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_there_is_a_text(header in "\\PC{0,60}") {
            let all = texts(&["en", "zh"]);
            prop_assert!(Wanted::accepted(&header).choose(&all).is_some());
        }
    }
}
