//! Time as a value. Rules and queries get it as an argument; only the edges of the process ask for it.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in time or a span: milliseconds, counted from the Unix epoch when it is a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// A span of whole seconds.
    pub const fn seconds(count: i64) -> Self {
        Millis(count * 1_000)
    }

    /// A span of whole minutes.
    pub const fn minutes(count: i64) -> Self {
        Millis(count * 60_000)
    }

    /// A span of whole hours.
    pub const fn hours(count: i64) -> Self {
        Millis(count * 3_600_000)
    }
}

impl Add for Millis {
    type Output = Millis;

    fn add(self, span: Millis) -> Millis {
        Millis(self.0.saturating_add(span.0))
    }
}

impl Sub for Millis {
    type Output = Millis;

    fn sub(self, earlier: Millis) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<Duration> for Millis {
    fn from(span: Duration) -> Self {
        Millis(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => at.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// Where the time comes from: the system, or a test.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The system's wall clock.
    pub fn system() -> Self {
        Clock(Source::System)
    }

    /// A clock that stands at `now` until it is moved; clones share it.
    pub fn manual(now: Millis) -> Self {
        Clock(Source::Manual(Arc::new(AtomicI64::new(now.0))))
    }

    /// The time now.
    pub fn now(&self) -> Millis {
        match &self.0 {
            // A wall clock before 1970 is a device without a clock; zero is the honest answer.
            Source::System => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().into(),
            Source::Manual(now) => Millis(now.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock forward by `span`; the system's clock moves by itself.
    pub fn advance(&self, span: Millis) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(span.0, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_for_all_its_clones() {
        let clock = Clock::manual(Millis(5));
        let other = clock.clone();
        clock.advance(Millis::seconds(2));
        assert_eq!(other.now(), Millis(2_005));
    }

    #[test]
    fn a_point_in_time_prints_as_a_date() {
        assert_eq!(Millis(1_700_000_000_000).to_string(), "2023-11-14T22:13:20Z");
    }
}
