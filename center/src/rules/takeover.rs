//! Connections that take over one of the same device that still stands. Once in a while a device does so that lost its
//! link; again and again two devices do that have one key.
//!
//! They are counted in windows of ten minutes, one after the other. What a window showed holds through the next one, so
//! that two devices which go on are named all the time, not anew after each window's fifth takeover.

use std::time::Duration;

use crate::clock::Millis;

/// Time in which they are counted.
pub const WINDOW: Millis = Millis::minutes(10);
/// Two windows: nothing from before counts.
pub const NAMED_FOR: Millis = Millis::minutes(20);
/// From so many within one [`WINDOW`] on they are named, and slowed down, until a window has ended with fewer.
pub const MANY: i64 = 5;
/// How long such a connection waits for its CONNACK. Devices wait longer than that.
pub const PAUSE: Duration = Duration::from_secs(5);

/// How often connections of one device were taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Takeovers {
    /// How often in the last window that had any.
    pub times: i64,
    /// When that window began; none: there was no takeover ever.
    pub since: Option<Millis>,
    /// How often in the window right before it.
    pub before: i64,
}

/// Where a time lies, seen from the window that is counted.
enum At {
    /// In it.
    Window,
    /// In the one right after it, at this begin.
    Next(Millis),
    /// Anywhere else. A clock that was put back begins anew.
    Elsewhere,
}

impl Takeovers {
    /// One more at `now`.
    #[must_use]
    pub fn and_one_more(self, now: Millis) -> Self {
        match self.at(now) {
            At::Window => Self { times: self.times + 1, ..self },
            At::Next(since) => Self { times: 1, since: Some(since), before: self.times },
            At::Elsewhere => Self { times: 1, since: Some(now), before: 0 },
        }
    }

    /// Whether there are so many that two devices may have one key.
    #[must_use]
    pub fn are_many(self, now: Millis) -> bool {
        match self.at(now) {
            At::Window => self.times >= MANY || self.before >= MANY,
            At::Next(_) => self.times >= MANY,
            At::Elsewhere => false,
        }
    }

    /// How often in both windows, and since when that is counted.
    #[must_use]
    pub fn sum(self) -> (i64, Option<Millis>) {
        let since = self.since.map(|since| if self.before > 0 { since - WINDOW } else { since });
        (self.times + self.before, since)
    }

    /// Whether the log gets a line: not for each, or the two would fill it.
    #[must_use]
    pub fn are_worth_a_line(self) -> bool {
        self.times >= MANY && self.times % MANY == 0 && (self.times / MANY).count_ones() == 1
    }

    fn at(self, now: Millis) -> At {
        let Some(since) = self.since.filter(|since| *since <= now) else { return At::Elsewhere };
        let next = since + WINDOW;
        if now < next {
            At::Window
        } else if now < next + WINDOW {
            At::Next(next)
        } else {
            At::Elsewhere
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_takeovers_within_ten_minutes_are_named_and_few_or_old_ones_are_not() {
        let begin = Millis(1_700_000_000_000);
        let mut takeovers = Takeovers::default();
        let mut named = Vec::new();
        for second in 0..100 {
            let now = begin + Millis::seconds(second);
            takeovers = takeovers.and_one_more(now);
            assert_eq!(takeovers.are_many(now), second >= 4, "{takeovers:?}");
            if takeovers.are_worth_a_line() {
                named.push(takeovers.times);
            }
        }
        assert_eq!(named, [5, 10, 20, 40, 80]);
        assert!(!takeovers.are_many(begin + WINDOW + WINDOW));
        assert!(!takeovers.are_many(begin - Millis::hours(1)));
        assert_eq!(takeovers.and_one_more(begin + WINDOW + WINDOW).sum(), (1, Some(begin + WINDOW + WINDOW)));
    }

    #[test]
    fn two_devices_that_go_on_are_named_all_the_time_and_no_longer_when_it_is_over() {
        let begin = Millis(1_700_000_000_000);
        let mut takeovers = Takeovers::default();
        // One each seven seconds for an hour: some begin a window, and before the next one a page is looked at.
        for second in 0..3_600 {
            let now = begin + Millis::seconds(second);
            if second % 7 == 0 {
                takeovers = takeovers.and_one_more(now);
            }
            assert_eq!(takeovers.are_many(now), second >= 28, "{second} s: {takeovers:?}");
        }
        // The number is of two windows at most: 86 in each.
        let (times, since) = takeovers.sum();
        assert!((160..=172).contains(&times), "{takeovers:?}");
        assert_eq!(since, Some(begin + Millis::minutes(40)));
        let over = begin + Millis::hours(1);
        assert!(takeovers.are_many(over + WINDOW - Millis(1)));
        assert!(!takeovers.are_many(over + WINDOW));
        // A device that loses its link now and then is none of two.
        let mut takeovers = Takeovers::default();
        for number in 0..60 {
            let now = begin + Millis::minutes(3 * number);
            takeovers = takeovers.and_one_more(now);
            assert!(!takeovers.are_many(now), "{takeovers:?}");
        }
    }
}
