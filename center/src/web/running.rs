//! What the center runs with, as it was told at its start: for the page of settings.

use std::time::Duration;

/// What the center was told at its start, without anything secret.
#[derive(Debug, Clone, Default)]
pub struct Running {
    /// Where devices download.
    pub public_url: String,
    /// Its ports, each as `scheme://address`.
    pub ports: Vec<String>,
    /// The certificate's file, if it has one.
    pub certificate: Option<String>,
    /// Proxies whose word about addresses counts.
    pub trusted_proxies: Vec<String>,
    /// Balancers that speak the PROXY protocol.
    pub balancers: Vec<String>,
    /// The database; see [`without_secrets`].
    pub database: String,
    /// Where the packages' files are.
    pub packages: String,
    /// The data folder.
    pub data: String,
    /// Its name among several centers.
    pub center: String,
    /// Whether a token was given at the start, or is in the data folder.
    pub has_token: bool,
    /// Free room that the disk must have, in MB.
    pub min_free: u64,
    /// Connections of HTTP that one address may have.
    pub connections_per_address: u16,
    /// Days that logs are kept; 0: for ever.
    pub keep_log: u16,
    /// How long devices are sent away at a stop.
    pub drain: Duration,
}

/// A URL without user, password and options: `postgres://ota:secret@db:5432/ota?sslmode=require` is `postgres://db:5432/ota`.
#[must_use]
pub fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) =
        rest.split_once('/').map_or((rest, None), |(before, after)| (before, Some(after)));
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn a_database_is_shown_without_what_opens_it() {
        for (given, shown) in [
            ("postgres://ota:s3cret@db.example:5432/ota?sslmode=require", "postgres://db.example:5432/ota"),
            ("postgres://ota:p@ss@db/ota", "postgres://db/ota"),
            ("postgres:///ota?host=/run&password=s3cret", "postgres:///ota"),
            ("sqlite:///var/lib/quecota/center.db", "sqlite:///var/lib/quecota/center.db"),
        ] {
            assert_eq!(without_secrets(given), shown);
        }
    }
}
