//! What a host's environment variables say to the drop-in API. The platform has its own (`src/host/settings.rs`).

use std::ffi::OsString;

use quecota_core::limits;

use crate::native::quecota_dialect_values;

/// Variables of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `QUECOTA_DEFAULT_SERVER`: the platform's address of applications that set none. `None`: the build's.
    pub server: Option<String>,
    /// `QUECOTA_DIALECT`: whose events the application expects, whatever header it was compiled with. `None`: as it says.
    pub dialect: Option<i32>,
}

/// A variable holds what it must not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}={value:?}: {rule}")]
pub struct EnvironmentError {
    name: &'static str,
    value: String,
    rule: &'static str,
}

impl Environment {
    /// Reads variables by `lookup`. An empty one counts as unset.
    pub fn read(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, EnvironmentError> {
        let text = |name: &str| {
            let value = lookup(name).filter(|value| !value.is_empty())?;
            // What is not UTF-8 fits no rule, and the message shows it.
            Some(value.to_string_lossy().into_owned())
        };
        let server = text("QUECOTA_DEFAULT_SERVER");
        if let Some(value) = server.clone().filter(|value| !is_server(value)) {
            let rule = "must be mqtt://host:port or mqtts://host:port below 64 characters";
            return Err(EnvironmentError { name: "QUECOTA_DEFAULT_SERVER", value, rule });
        }
        let dialect = match text("QUECOTA_DIALECT") {
            None => None,
            Some(value) => match value.as_str() {
                "2.9" => Some(quecota_dialect_values::QUECOTA_DIALECT_2_9 as i32),
                "2.10" => Some(quecota_dialect_values::QUECOTA_DIALECT_2_10 as i32),
                _ => {
                    let rule = "must be 2.9 or 2.10";
                    return Err(EnvironmentError { name: "QUECOTA_DIALECT", value, rule });
                }
            },
        };
        Ok(Environment { server, dialect })
    }
}

fn is_server(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("mqtts://").or(url.strip_prefix("mqtt://")) else { return false };
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "1883"));
    let has_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    // Room for a port that is not said.
    !host.is_empty() && !host.contains('/') && has_port && url.len() < limits::SERVER_URL - ":8883".len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Environment, EnvironmentError> {
        Environment::read(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, v)| OsString::from(v)))
    }

    #[test]
    fn nothing_is_set_by_default() {
        let nothing = Environment { server: None, dialect: None };
        assert_eq!(read(&[]), Ok(nothing.clone()));
        assert_eq!(read(&[("QUECOTA_DEFAULT_SERVER", ""), ("QUECOTA_DIALECT", "")]), Ok(nothing));
    }

    #[test]
    fn the_page_of_the_linux_platform_has_each_variable() {
        let page = include_str!("../../docs/host.md");
        let read = Environment::read(|name| {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
            None
        });
        assert!(read.is_ok());
    }

    #[test]
    fn server_and_dialect_are_read() {
        let pairs = [("QUECOTA_DEFAULT_SERVER", "mqtts://ota.example"), ("QUECOTA_DIALECT", "2.10")];
        let environment = read(&pairs).unwrap();
        assert_eq!(
            (environment.server.as_deref(), environment.dialect),
            (Some("mqtts://ota.example"), Some(0))
        );
        assert_eq!(read(&[("QUECOTA_DIALECT", "2.9")]).unwrap().dialect, Some(1));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_name_value_and_rule() {
        let long = format!("mqtt://{}:1883", "h".repeat(60));
        for (name, value) in [
            ("QUECOTA_DEFAULT_SERVER", "ota.example"),
            ("QUECOTA_DEFAULT_SERVER", "http://ota.example"),
            ("QUECOTA_DEFAULT_SERVER", "mqtt://ota.example:0"),
            ("QUECOTA_DEFAULT_SERVER", "mqtt://:1883"),
            ("QUECOTA_DEFAULT_SERVER", &long),
            ("QUECOTA_DIALECT", "2"),
        ] {
            let message = read(&[(name, value)]).unwrap_err().to_string();
            assert!(message.starts_with(&format!("{name}={value:?}: must be ")), "{message}");
        }
    }
}
