//! How many files and connections this process may have open, and who gets how many: devices leave some for HTTP, for what is
//! sent and for the database, so that a center full of devices still answers.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Connections of devices at a time, those before CONNECT included.
pub const DEVICES: usize = 100_000;
/// Connections of HTTP at a time.
pub const HTTP: usize = 20_000;
/// Database, listeners, log, webhooks, uploads, and what the runtime opens.
const RESERVE: usize = 1_000;
/// What a full center has open: a file beside each connection of HTTP, which may be a download.
const NEEDED: usize = DEVICES + FILES_OF_HTTP as usize * HTTP + RESERVE;
/// Files of a connection of HTTP.
pub const FILES_OF_HTTP: u32 = 2;
/// Of a lower limit a quarter is not for devices, or so many files.
const NOT_DEVICES: usize = 1_500;
/// The reserve is no less, however low the limit is.
const LEAST: usize = 64;

/// How many connections there may be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Of devices.
    pub devices: usize,
    /// Of HTTP.
    pub http: usize,
    /// Files of both: each connection of a device is one, each of HTTP is [`FILES_OF_HTTP`].
    pub files: usize,
}

impl Shares {
    /// Under a limit of open files.
    #[must_use]
    pub fn under(limit: usize) -> Self {
        let files = limit.saturating_sub(RESERVE.min(limit / 8).max(LEAST)).clamp(8, NEEDED);
        if limit >= NEEDED {
            return Self { devices: DEVICES, http: HTTP, files };
        }
        // HTTP alone could not take all, either.
        let devices = (limit - NOT_DEVICES.min(limit / 4)).clamp(1, DEVICES);
        Self { devices, http: (limit / 4).clamp(1, HTTP), files }
    }
}

/// What is wrong with a limit, in words for whoever starts the center; none: it is enough for all that may connect.
#[must_use]
pub fn shortage(limit: usize) -> Option<String> {
    if limit >= NEEDED {
        return None;
    }
    let Shares { devices, .. } = Shares::under(limit);
    Some(format!(
        "open files: the limit of this process is {limit}, so it takes up to {devices} devices at a time, and fewer while many \
         download; {NEEDED} is enough for {DEVICES} and {HTTP} connections of HTTP. For more start it after `ulimit -n {NEEDED}` \
         (as root, or with a hard limit that allows it), with LimitNOFILE={NEEDED} in its unit of systemd, or with `docker run \
         --ulimit nofile={NEEDED}`"
    ))
}

/// Takes as many files and connections as the system allows; many systems begin with 1024.
#[must_use]
pub fn raise() -> Shares {
    let before = getrlimit(Resource::Nofile);
    if before.current != before.maximum {
        match setrlimit(Resource::Nofile, Rlimit { current: before.maximum, maximum: before.maximum }) {
            Ok(()) => tracing::info!(
                before = ?before.current,
                now = ?before.maximum,
                "open files and connections: limit raised"
            ),
            Err(error) => {
                tracing::warn!(limit = ?before.current, %error, "open files and connections: the limit stays");
            }
        }
    }
    Shares::under(limit())
}

/// Says in the log what is short. Not before a start has come so far that it goes on: a refused one has one line, its reason.
pub fn warn() {
    if let Some(shortage) = shortage(limit()) {
        tracing::warn!("{shortage}");
    }
}

/// The limit as it is now.
#[must_use]
pub fn limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

/// How many files and connections this process has open; none: the system does not say.
#[must_use]
pub fn open() -> Option<u64> {
    // Linux since 6.2 has the number as the folder's size; before that the names are counted, one of which is the folder's.
    let folder = "/proc/self/fd";
    match std::fs::metadata(folder).ok()?.len() {
        0 => u64::try_from(std::fs::read_dir(folder).ok()?.count()).ok()?.checked_sub(1),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_leave_files_for_everybody_else_under_any_limit() {
        let full = Shares::under(NEEDED);
        assert_eq!((full.devices, full.http, full.files), (DEVICES, HTTP, DEVICES + 2 * HTTP));
        assert_eq!(Shares::under(usize::MAX).devices, DEVICES);
        for limit in (400..NEEDED).step_by(97) {
            let Shares { devices, http, files } = Shares::under(limit);
            assert!(files + LEAST <= limit, "{limit}: {files}");
            assert!(devices + 20 <= files, "{limit}: devices leave {} of {files}", files - devices);
            assert!(2 * http + limit / 4 <= files, "{limit}: HTTP leaves too few of {files}");
        }
        assert_eq!(Shares::under(400), Shares { devices: 300, http: 100, files: 336 });
        assert_eq!(Shares::under(20_000), Shares { devices: 18_500, http: 5_000, files: 19_000 });
    }

    #[test]
    fn a_limit_that_is_too_low_is_named_with_what_would_be_right_and_how() {
        assert_eq!(shortage(NEEDED), None);
        let told = shortage(1024).unwrap();
        for word in ["is 1024", "768 devices", "`ulimit -n 141000`", "LimitNOFILE=141000"] {
            assert!(told.contains(word), "{word}: {told}");
        }
    }

    #[test]
    fn what_is_open_is_counted() {
        let before = open().unwrap();
        let files: Vec<_> = (0..50).map(|_| std::fs::File::open("/dev/null").unwrap()).collect();
        // Other tests of this process open and close files, too.
        assert!(open().unwrap() >= before.saturating_sub(20) + 50 - 20, "{before} before {}", files.len());
    }
}
