//! Log lines on stderr, with the time.

use std::io::Write;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::log::{LevelFilter, Metadata, Record};
use quecota_core::platform::Level;

use super::settings::Settings;
use super::signal::without_broken_pipe;

/// Prints lines up to a level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Log {
    most: Level,
}

impl Log {
    /// Prints lines of `most` and everything more important.
    pub fn new(most: Level) -> Self {
        Log { most }
    }

    /// One line: `2026-11-22T01:17:09.042Z warn quecota: ...`.
    pub fn line(self, level: Level, line: &str) {
        if level > self.most {
            return;
        }
        let name = match level {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let text = format!("{} {name} quecota: {line}\n", timestamp(now));
        // One write, so that lines of several threads do not mix. A line that nobody reads is lost.
        let _ = without_broken_pipe(|| std::io::stderr().write_all(text.as_bytes()));
    }
}

/// A line about a call for which there is no device whose platform could log it: on stderr, if `QUECOTA_LOG` has
/// warnings.
pub fn without_device(line: &str) {
    let most = Settings::from_environment().map_or(Level::Warn, |settings| settings.log);
    Log::new(most).line(Level::Warn, line);
}

/// Lets the lines of the network crates (rumqttc, rustls) come to `log`, up to its level. Their trace lines never
/// do: they quote whole URLs. Where the program has a logger of the `log` crate already, that one keeps them.
pub(super) fn take_crate_lines(log: Log) {
    static LOGGER: OnceLock<CrateLines> = OnceLock::new();
    if ::log::set_logger(LOGGER.get_or_init(|| CrateLines(log))).is_ok() {
        ::log::set_max_level(match log.most {
            Level::Error => LevelFilter::Error,
            Level::Warn => LevelFilter::Warn,
            Level::Info => LevelFilter::Info,
            Level::Debug => LevelFilter::Debug,
        });
    }
}

struct CrateLines(Log);

impl ::log::Log for CrateLines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        level(metadata.level()).is_some_and(|level| level <= self.0.most)
    }

    fn log(&self, record: &Record<'_>) {
        if let Some(level) = level(record.level()) {
            self.0.line(level, &format!("{}: {}", record.target(), record.args()));
        }
    }

    fn flush(&self) {}
}

fn level(level: ::log::Level) -> Option<Level> {
    match level {
        ::log::Level::Error => Some(Level::Error),
        ::log::Level::Warn => Some(Level::Warn),
        ::log::Level::Info => Some(Level::Info),
        ::log::Level::Debug => Some(Level::Debug),
        ::log::Level::Trace => None,
    }
}

/// RFC 3339 in UTC with milliseconds, of the time since 1970.
fn timestamp(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    let (mut days, time) = (seconds / 86_400, seconds % 86_400);
    let mut year = 1970;
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if days < length {
            break;
        }
        days -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (day, hour, minute, second) = (days + 1, time / 3600, time / 60 % 60, time % 60);
    let millis = since_1970.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_crates_come_up_to_the_level_and_trace_never_does() {
        let enabled = |most, level| {
            let metadata = Metadata::builder().level(level).target("rustls").build();
            ::log::Log::enabled(&CrateLines(Log::new(most)), &metadata)
        };
        assert!(enabled(Level::Warn, ::log::Level::Warn));
        assert!(!enabled(Level::Warn, ::log::Level::Info));
        assert!(enabled(Level::Debug, ::log::Level::Debug));
        assert!(!enabled(Level::Debug, ::log::Level::Trace));
    }

    #[test]
    fn timestamps_agree_with_known_instants() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_798_761_599_042, "2026-12-31T23:59:59.042Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(timestamp(Duration::from_millis(millis)), text);
        }
    }
}
