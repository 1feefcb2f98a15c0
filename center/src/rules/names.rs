//! The names of the field as types: a value that exists obeys its rule. A clone is the same text.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strsim::damerau_levenshtein;

/// A name that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?}: {rule}")]
pub struct NameError {
    /// What was named.
    pub what: &'static str,
    /// The value as given; empty for secrets, which are never printed.
    pub value: String,
    /// What would be right.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The value, if it obeys the rule.
            pub fn new(value: impl Into<String>) -> Result<Self, NameError> {
                let value = value.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&value) {
                    Ok(Self(value.into()))
                } else {
                    Err(NameError { what: $what, value, rule: $rule })
                }
            }
        }
        name!(@text $name, $rule, $pattern);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
    (secret $(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $pattern:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The value, if it obeys the rule.
            pub fn new(value: impl Into<String>) -> Result<Self, NameError> {
                let value = value.into();
                let valid: fn(&str) -> bool = $valid;
                if valid(&value) {
                    Ok(Self(value))
                } else {
                    Err(NameError { what: $what, value: String::new(), rule: $rule })
                }
            }
        }
        name!(@text $name, $rule, $pattern);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
    (@text $name:ident, $rule:literal, $pattern:literal) => {
        impl schemars::JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "description": $rule, "pattern": $pattern })
            }
        }

        impl $name {
            /// The value as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(value: &str) -> Result<Self, NameError> {
                Self::new(value)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(value: String) -> Result<Self, NameError> {
                Self::new(value)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

fn characters(value: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&value.chars().count()) && !value.chars().any(char::is_control)
}

fn key(value: &str) -> bool {
    (1..=32).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}

/// Characters that end a field in the texts of the device protocol (QUECTHING.md 2, 4.2 and 4.5).
const FIELD_ENDS: &[char] = &[';', '"'];

name!(
    /// Product key (PK). Part of the client id and of topics (QUECTHING.md 4.1).
    ProductKey, "product key", "1 to 32 of the letters and digits and - _ . :",
    "^[A-Za-z0-9_.:-]{1,32}$", key
);
name!(
    /// Device key (DK): IMEI, MAC or the application's own.
    DeviceKey, "device key", "1 to 32 of the letters and digits and - _ . :",
    "^[A-Za-z0-9_.:-]{1,32}$", key
);
name!(
    /// Component identifier; stands before a `:` in MCU lists, so it holds none.
    ComponentNo, "component", "1 to 32 bytes, without : ; \" , and control characters",
    "^[^\\u0000-\\u001f\\u007f-\\u009f:;\",]{1,32}$",
    |value| characters(value, 1, 32) && value.len() <= 32
        && !value.contains(FIELD_ENDS) && !value.contains([':', ','])
);
name!(
    /// Version of a component, as devices report it.
    Version, "version", "1 to 64 bytes, without ; \" and control characters",
    "^[^\\u0000-\\u001f\\u007f-\\u009f;\"]{1,64}$",
    |value| characters(value, 1, 64) && value.len() <= 64 && !value.contains(FIELD_ENDS)
);
name!(
    /// Name of a product, a version package or an upgrade plan.
    Title, "name", "1 to 100 characters, no control characters",
    "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,100}$", |value| characters(value, 1, 100)
);
name!(
    /// Remark on a version package; may be empty.
    Remark, "remark", "at most 200 characters",
    "^[\\s\\S]{0,200}$",
    |value| value.chars().count() <= 200
);
name!(
    /// Name of an uploaded file: decides nothing but its format.
    FileName, "file name",
    "1 to 200 characters without / and \\, ending in .bin .zip .rar .pack .mini_1 .mini_2 .py .tar .tar.gz .s19 .bin_1 or .bin_2",
    "^[^\\u0000-\\u001f\\u007f-\\u009f/\\\\]{1,200}$",
    |value| characters(value, 1, 200) && !value.contains(['/', '\\'])
        && FILE_FORMATS.iter().any(|end| value.len() > end.len() && value.to_ascii_lowercase().ends_with(end))
);
name!(
    /// Name of an account: what a person signs in with.
    AccountName, "account", "1 to 64 of the small letters and digits and - _ . @ +",
    "^[a-z0-9_.@+-]{1,64}$",
    |value| (1..=64).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.@+".contains(&byte))
);
name!(
    /// Name of an API token: what it is for.
    TokenName, "token name", "1 to 64 of the letters and digits and - _ . @ + :",
    "^[A-Za-z0-9_.@+:-]{1,64}$",
    |value| (1..=64).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+:".contains(&byte))
);
name!(secret
    /// Product secret (PS). Its first 16 bytes are a cipher key (QUECTHING.md 4.2).
    ProductSecret, "product secret", "16 to 32 printable ASCII characters without blank and ;",
    "^[!-:<-~]{16,32}$",
    |value| (16..=32).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b';')
);
name!(secret
    /// Device secret (DS), made by the center.
    DeviceSecret, "device secret", "1 to 32 letters and digits",
    "^[A-Za-z0-9]{1,32}$",
    |value| (1..=32).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
);

/// File endings of version packages (the seeds' table).
pub const FILE_FORMATS: [&str; 12] = [
    ".bin", ".zip", ".rar", ".pack", ".mini_1", ".mini_2", ".py", ".tar", ".tar.gz", ".s19", ".bin_1",
    ".bin_2",
];

/// What nobody sees in a name that a person enters, and where: blanks at its ends, and characters without a shape. A device
/// reports its name without it, and so is never what was meant.
pub fn unseen(name: &str) -> Option<String> {
    let is_unseen = |c: char| {
        (c.is_whitespace() && c != ' ')
            || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}')
    };
    if let Some((at, c)) = (1..).zip(name.chars()).find(|(_, c)| is_unseen(*c)) {
        return Some(format!("its character {at} is U+{:04X}, which nobody sees: take it out", u32::from(c)));
    }
    if name.starts_with(' ') || name.ends_with(' ') {
        let end = if name.starts_with(' ') { "begins" } else { "ends" };
        return Some(format!("it {end} with a blank (U+0020): take it out"));
    }
    None
}

/// What a version may not have although names may: devices cut their lists of versions there.
pub fn version_break(version: &str) -> Option<char> {
    version.chars().find(|c| [',', ':', ';', '"'].contains(c))
}

/// MQTT client id of a device: `qd`, product key, device key (QUECTHING.md 4.1).
pub fn client_id(product: &ProductKey, device: &DeviceKey) -> String {
    format!("qd{product}{device}")
}

/// The name that a slip of the finger or two makes of `given`; one letter of three may be wrong.
pub fn nearest<'a>(given: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = (given.chars().count() / 3).clamp(1, 3);
    let lower = given.to_lowercase();
    let far = |name: &&str| damerau_levenshtein(&lower, &name.to_lowercase());
    names.filter(|name| far(name) <= most).min_by_key(far)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_name_says_value_and_rule() {
        let error = ComponentNo::new("MCU:1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "component \"MCU:1\": 1 to 32 bytes, without : ; \" , and control characters"
        );
        assert!(ProductKey::new("p1/abcd").is_err());
        assert!(Version::new("").is_err());
        assert!(Version::new("v".repeat(64)).is_ok());
        assert!(Version::new("v".repeat(65)).is_err());
    }

    #[test]
    fn a_character_that_nobody_sees_is_named() {
        for (name, words) in [
            ("2_0_0 ", "ends with a blank"),
            (" STM32", "begins with a blank"),
            (" ", "begins with a blank"),
            ("2_0\u{a0}0", "character 4 is U+00A0"),
            ("2\u{200b}", "character 2 is U+200B"),
            ("\u{202e}2", "character 1 is U+202E"),
        ] {
            let said = unseen(name).unwrap_or_default();
            assert!(said.contains(words), "{name:?}: {said}");
        }
        assert_eq!(unseen("FW 1.0"), None);
        assert_eq!(unseen("\u{79cb}\u{5929}"), None);
    }

    #[test]
    fn a_secret_is_never_printed() {
        let error = ProductSecret::new("short").unwrap_err();
        assert!(!error.to_string().contains("short"));
        let secret = ProductSecret::new("MTIzNDU2Nzg5MGFi").unwrap();
        assert_eq!(format!("{secret:?}"), "ProductSecret(..)");
    }

    #[test]
    fn file_formats_are_those_of_the_table() {
        assert!(FileName::new("image.BIN").is_ok());
        assert!(FileName::new("a.tar.gz").is_ok());
        assert!(FileName::new("a.exe").is_err());
        assert!(FileName::new(".bin").is_err());
        assert!(FileName::new("../a.bin").is_err());
    }

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_none() {
        let names = ["p1demo", "p2demo", "pump"];
        assert_eq!(nearest("p1dem", names.into_iter()), Some("p1demo"));
        assert_eq!(nearest("P2DEMO", names.into_iter()), Some("p2demo"));
        assert_eq!(nearest("valve", names.into_iter()), None);
        assert_eq!(nearest("p", names.into_iter()), None);
    }

    /// What the description of the API allows is taken; of letters beyond ASCII there may be fewer, for bytes are counted.
    #[test]
    fn what_a_pattern_allows_is_a_name() {
        use proptest::strategy::{Strategy, ValueTree};
        fn check<T: schemars::JsonSchema + FromStr<Err = NameError>>() {
            let schema = T::json_schema(&mut schemars::SchemaGenerator::default());
            let pattern = schema.get("pattern").and_then(|pattern| pattern.as_str()).unwrap();
            let inner = pattern.trim_start_matches('^').trim_end_matches('$');
            let texts = proptest::string::string_regex(inner).unwrap();
            let mut runner = proptest::test_runner::TestRunner::deterministic();
            for _ in 0..500 {
                let text = texts.new_tree(&mut runner).unwrap().current();
                assert!(text.parse::<T>().is_ok() || !text.is_ascii(), "{text:?} fits {pattern}");
            }
        }
        check::<ProductKey>();
        check::<DeviceKey>();
        check::<ComponentNo>();
        check::<Version>();
        check::<Title>();
        check::<Remark>();
        check::<AccountName>();
        check::<TokenName>();
        check::<ProductSecret>();
        check::<DeviceSecret>();
    }
}
