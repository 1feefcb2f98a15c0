//! What a host's platform is told by environment variables.

use std::ffi::OsString;
use std::path::PathBuf;

use quecota_core::limits;
use quecota_core::platform::Level;

/// Erase unit of the image file; its size is rounded up to it.
pub(super) const ERASE_UNIT: u32 = 4096;
/// Image area when `QUECOTA_STAGING` says nothing.
const DEFAULT_STAGING: u32 = 64 * 1024 * 1024;
/// Largest image area: offsets are 32 bit and the size is a multiple of the erase unit.
const MAX_STAGING: u32 = 0x8000_0000;

/// Settings of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// `QUECOTA_DIR`: folder of image, journal and lock.
    pub folder: PathBuf,
    /// `QUECOTA_DEVICE_KEY`: hardware id, 1..=16 letters and digits. `None`: made once and kept in the folder.
    pub device_key: Option<String>,
    /// `QUECOTA_STAGING`: bytes of the image area, a multiple of [`ERASE_UNIT`].
    pub staging: u32,
    /// `QUECOTA_USER_NAME`: MQTT user name where the application gave none.
    pub user_name: String,
    /// `QUECOTA_CA_FILE`: PEM file of certificates trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// `QUECOTA_MODULE_VERSION`: version of the module firmware.
    pub module_version: String,
    /// `QUECOTA_BATTERY`: per cent.
    pub battery: Option<u8>,
    /// `QUECOTA_SIGNAL`: RSSI in dBm.
    pub signal: Option<i16>,
    /// `QUECOTA_LOG`: least important level that is still printed.
    pub log: Level,
}

/// What goes wrong: `QUECOTA_FAULTS`, such as `drop-link=2%,corrupt=0.001%,seed=7`. `None`: nothing.
#[cfg(any(feature = "faults", test))]
pub(super) fn faults(
    lookup: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<test_platform::faults::Faults>, FaultsSettingError> {
    let Some(text) = lookup("QUECOTA_FAULTS").filter(|text| !text.is_empty()) else { return Ok(None) };
    // What is not UTF-8 is no name of a fault, and the message shows it.
    text.to_string_lossy().parse().map(Some).map_err(FaultsSettingError)
}

/// `QUECOTA_FAULTS` names no faults.
#[cfg(any(feature = "faults", test))]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("QUECOTA_FAULTS: {0}")]
pub(super) struct FaultsSettingError(test_platform::faults::FaultsError);

/// A variable holds what it must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value:?}: {rule}")]
pub(super) struct SettingError {
    name: &'static str,
    value: String,
    rule: &'static str,
}

impl Settings {
    /// Reads the process's environment.
    pub fn from_environment() -> Result<Self, SettingError> {
        Self::read(|name| std::env::var_os(name))
    }

    /// Reads variables by `lookup`. An empty one counts as unset.
    pub fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, SettingError> {
        let path = |name: &'static str| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let text = |name: &'static str| match lookup(name).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) => value.into_string().map(Some).map_err(|raw| SettingError {
                name,
                value: raw.to_string_lossy().into_owned(),
                rule: "must be UTF-8",
            }),
        };
        let checked = |name: &'static str, rule: &'static str, good: &dyn Fn(&str) -> bool| match text(name)?
        {
            Some(value) if !good(&value) => Err(SettingError { name, value, rule }),
            value => Ok(value),
        };

        let device_key = checked("QUECOTA_DEVICE_KEY", "must be 1 to 16 letters and digits", &is_device_key)?;
        let staging = checked("QUECOTA_STAGING", STAGING_RULE, &|v| staging_bytes(v).is_some())?;
        let user_name =
            checked("QUECOTA_USER_NAME", "must be at most 64 bytes", &|v| v.len() <= limits::USER_NAME)?;
        let module_version =
            checked("QUECOTA_MODULE_VERSION", "must be at most 64 bytes", &|v| v.len() <= limits::VERSION)?;
        let battery = checked("QUECOTA_BATTERY", "must be a per cent, 0 to 100", &|v| percent(v).is_some())?;
        let signal =
            checked("QUECOTA_SIGNAL", "must be a number of dBm, such as -71", &|v| v.parse::<i16>().is_ok())?;
        let log = checked("QUECOTA_LOG", "must be error, warn, info or debug", &|v| log_level(v).is_some())?;

        Ok(Settings {
            folder: path("QUECOTA_DIR").unwrap_or_else(|| PathBuf::from("quecota-device")),
            device_key,
            staging: staging.as_deref().and_then(staging_bytes).unwrap_or(DEFAULT_STAGING),
            user_name: user_name.unwrap_or_default(),
            ca_file: path("QUECOTA_CA_FILE"),
            module_version: module_version.unwrap_or_else(|| "quecota-host".to_owned()),
            battery: battery.as_deref().and_then(percent),
            signal: signal.and_then(|v| v.parse().ok()),
            log: log.as_deref().and_then(log_level).unwrap_or(Level::Warn),
        })
    }
}

/// 1..=16 letters and digits (QUECTHING.md 1.2).
pub(super) fn is_device_key(text: &str) -> bool {
    (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

const STAGING_RULE: &str = "must be a number of bytes, 1 to 2147483648";

fn staging_bytes(text: &str) -> Option<u32> {
    let bytes: u32 = text.parse().ok()?;
    (1..=MAX_STAGING).contains(&bytes).then(|| bytes.next_multiple_of(ERASE_UNIT))
}

fn percent(text: &str) -> Option<u8> {
    text.parse().ok().filter(|percent| *percent <= 100)
}

fn log_level(text: &str) -> Option<Level> {
    match text {
        "error" => Some(Level::Error),
        "warn" => Some(Level::Warn),
        "info" => Some(Level::Info),
        "debug" => Some(Level::Debug),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingError> {
        Settings::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| OsString::from(v)))
    }

    #[test]
    fn an_empty_environment_gives_the_documented_defaults() {
        let settings = read(&[("QUECOTA_USER_NAME", "")]).unwrap();
        assert_eq!(settings.folder, PathBuf::from("quecota-device"));
        assert_eq!(settings.staging, 64 * 1024 * 1024);
        assert_eq!(settings.module_version, "quecota-host");
        assert_eq!((settings.battery, settings.signal, settings.device_key), (None, None, None));
        assert_eq!(settings.log, Level::Warn);
    }

    /// Variable, range and default of each row of docs/host.md.
    fn rows() -> Vec<[String; 3]> {
        let page = include_str!("../../docs/host.md");
        let rows = page.lines().filter(|line| line.starts_with("| `QUECOTA_"));
        rows.map(|row| {
            let cells: Vec<&str> = row.split('|').map(|cell| cell.trim()).collect();
            let [_, name, _, range, default, _] = cells.as_slice() else { panic!("{row}") };
            [name.trim_matches('`').to_owned(), (*range).to_owned(), (*default).to_owned()]
        })
        .collect()
    }

    #[test]
    fn the_page_has_each_variable() {
        let names = std::cell::RefCell::new(Vec::new());
        Settings::read(|name| {
            names.borrow_mut().push(name.to_owned());
            None
        })
        .unwrap();
        // The drop-in API reads these (src/ql_iot/environment.rs).
        names.borrow_mut().extend(["QUECOTA_DEFAULT_SERVER".to_owned(), "QUECOTA_DIALECT".to_owned()]);
        let mut documented: Vec<String> = rows().into_iter().map(|[name, ..]| name).collect();
        documented.sort();
        names.borrow_mut().sort();
        assert_eq!(documented, *names.borrow());
    }

    #[test]
    fn the_page_has_each_range() {
        let mut checked = 0;
        for [name, range, _] in rows() {
            let takes = |value: &str| read(&[(&name, value)]).is_ok();
            let words: Vec<&str> = range.split_whitespace().collect();
            match words.as_slice() {
                [low, "to", high] => {
                    let (low, high): (i64, i64) = (low.parse().unwrap(), high.parse().unwrap());
                    let at = |value: i64| takes(&value.to_string());
                    assert!(at(low) && at(high) && !at(low - 1) && !at(high + 1), "{name}: {range}");
                }
                ["1", "to", most, "letters", "and", "digits"] => {
                    let most = most.parse().unwrap();
                    assert!(takes(&"a".repeat(most)) && !takes(&"a".repeat(most + 1)), "{name}: {range}");
                }
                ["at", "most", most, "bytes"] => {
                    let most = most.parse().unwrap();
                    assert!(takes(&"a".repeat(most)) && !takes(&"a".repeat(most + 1)), "{name}: {range}");
                }
                _ if name == "QUECOTA_LOG" => {
                    let levels = range.split(", ").map(|level| level.trim_matches('`'));
                    assert_eq!(levels.filter(|level| takes(level)).count(), 4);
                }
                // Any path is right; the drop-in API's have tests of their own.
                _ => continue,
            }
            checked += 1;
        }
        assert_eq!(checked, 7);
    }

    #[test]
    fn the_page_has_each_default() {
        let settings = read(&[]).unwrap();
        let level = format!("{:?}", settings.log).to_lowercase();
        for [name, _, default] in rows() {
            let is = match name.as_str() {
                "QUECOTA_DIR" => settings.folder.display().to_string(),
                "QUECOTA_STAGING" => settings.staging.to_string(),
                "QUECOTA_MODULE_VERSION" => settings.module_version.clone(),
                "QUECOTA_LOG" => level.clone(),
                "QUECOTA_BATTERY" if settings.battery.is_none() => "not known".to_owned(),
                "QUECOTA_SIGNAL" if settings.signal.is_none() => "not known".to_owned(),
                "QUECOTA_USER_NAME" if settings.user_name.is_empty() => "none".to_owned(),
                "QUECOTA_CA_FILE" if settings.ca_file.is_none() => "none".to_owned(),
                "QUECOTA_DEVICE_KEY" if settings.device_key.is_none() => "made at random once".to_owned(),
                "QUECOTA_DEFAULT_SERVER" | "QUECOTA_DIALECT" => continue,
                other => panic!("{other} has another default"),
            };
            assert!(default.replace('`', "").starts_with(&is), "{name}: {default} is {is}");
        }
    }

    #[test]
    fn staging_is_rounded_up_to_whole_erase_units() {
        assert_eq!(read(&[("QUECOTA_STAGING", "65536")]).unwrap().staging, 65536);
        assert_eq!(read(&[("QUECOTA_STAGING", "65537")]).unwrap().staging, 69632);
        assert_eq!(read(&[("QUECOTA_STAGING", "2147483648")]).unwrap().staging, 0x8000_0000);
    }

    #[test]
    fn faults_are_off_unless_told_and_a_wrong_text_is_named() {
        let read = |text: &str| faults(|name| (name == "QUECOTA_FAULTS").then(|| text.into()));
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("drop-link=2%,seed=7"), Ok(Some("seed=7,drop-link=2%".parse().unwrap())));
        let message = read("drop-link=2").unwrap_err().to_string();
        assert!(message.starts_with("QUECOTA_FAULTS: drop-link=\"2\": must be a per cent"), "{message}");
    }

    #[test]
    fn a_bad_value_is_refused_with_its_name_value_and_rule() {
        for (name, value) in [
            ("QUECOTA_STAGING", "0"),
            ("QUECOTA_STAGING", "64M"),
            ("QUECOTA_STAGING", "2147483649"),
            ("QUECOTA_BATTERY", "101"),
            ("QUECOTA_SIGNAL", "strong"),
            ("QUECOTA_LOG", "loud"),
            ("QUECOTA_DEVICE_KEY", "860000000000001-"),
            ("QUECOTA_DEVICE_KEY", "86000000000000123"),
        ] {
            let message = read(&[(name, value)]).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{name}={value:?}: must be ")), "{message}");
        }
    }
}
