//! Time as a value. Rules and queries get it as an argument; only the edges of the process ask for it.

use std::fmt;
use std::ops::{Add, Sub};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A point in time or a span: milliseconds, counted from the Unix epoch when it is a point.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
#[schemars(inline)]
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

    /// Moves a manual clock by `span`, back if that is negative; the system's clock moves by itself.
    pub fn advance(&self, span: Millis) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(span.0, Ordering::SeqCst);
        }
    }
}

/// A step of the wall clock by so much back counts; a clock that is kept by a server of time moves by less.
const BACK: Millis = Millis::seconds(5);
/// Time from one look to the next that counts as a gap: looks are a second apart.
const GAP: Millis = Millis::seconds(60);

/// What happened to time between two looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jump {
    /// The process stood still, or the wall clock was put forward, by so much: devices could not be heard meanwhile.
    Forward(Millis),
    /// The wall clock was put back by so much: what was to happen is later than it should be.
    Back(Millis),
}

/// Compares the wall clock with one that is never put.
#[derive(Debug, Default)]
pub struct ClockWatch {
    last: Option<(Millis, Instant)>,
}

impl ClockWatch {
    /// A look, about once a second: `wall` by the wall clock, `steady` by the other one.
    pub fn look(&mut self, wall: Millis, steady: Instant) -> Option<Jump> {
        let (last_wall, last_steady) = self.last.replace((wall, steady))?;
        let moved = wall - last_wall;
        let passed = Millis::from(steady.saturating_duration_since(last_steady));
        if moved + BACK < passed {
            Some(Jump::Back(passed - moved))
        } else if moved >= GAP {
            Some(Jump::Forward(moved))
        } else {
            None
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
    fn a_step_of_the_clock_and_a_gap_are_told_from_the_passing_of_time() {
        let mut watch = ClockWatch::default();
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let wall = Millis::hours(1_000);
        assert_eq!(watch.look(wall, begin), None);
        assert_eq!(watch.look(wall + Millis(1_003), begin + second), None);
        assert_eq!(
            watch.look(wall + Millis(-1_000), begin + 2 * second),
            None,
            "a server of time puts it right"
        );
        let forward = wall + Millis::minutes(15);
        let jump = watch.look(forward, begin + 3 * second);
        assert_eq!(jump, Some(Jump::Forward(Millis::minutes(15) + Millis::seconds(1))), "put forward");
        let stood = watch.look(forward + Millis::minutes(11), begin + Duration::from_secs(11 * 60));
        assert!(matches!(stood, Some(Jump::Forward(_))), "the process stood still");
        let back = watch.look(wall - Millis::hours(24), begin + Duration::from_secs(11 * 60 + 1));
        assert_eq!(back, Some(Jump::Back(Millis::hours(24) + Millis::minutes(26) + Millis::seconds(1))));
    }

    #[test]
    fn a_point_in_time_prints_as_a_date() {
        assert_eq!(Millis(1_700_000_000_000).to_string(), "2023-11-14T22:13:20Z");
    }
}
