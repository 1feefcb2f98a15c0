//! Connections that take over one of the same device that still stands. Once in a while a device does so that lost its
//! link; again and again two devices do that have one key.

use std::time::Duration;

use crate::clock::Millis;

/// Time in which they are counted.
pub const WINDOW: Millis = Millis::minutes(10);
/// From so many within [`WINDOW`] on they are named, and slowed down.
pub const MANY: i64 = 5;
/// How long such a connection waits for its CONNACK. Devices wait longer than that.
pub const PAUSE: Duration = Duration::from_secs(5);

/// How often connections of one device were taken over, and since when that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Takeovers {
    /// How often.
    pub times: i64,
    /// Since when; none: never.
    pub since: Option<Millis>,
}

impl Takeovers {
    /// One more at `now`.
    #[must_use]
    pub fn and_one_more(self, now: Millis) -> Self {
        if self.is_counted(now) {
            Self { times: self.times + 1, ..self }
        } else {
            Self { times: 1, since: Some(now) }
        }
    }

    /// Whether there are so many that two devices may have one key.
    #[must_use]
    pub fn are_many(self, now: Millis) -> bool {
        self.is_counted(now) && self.times >= MANY
    }

    /// Whether the log gets a line: not for each, or the two would fill it.
    #[must_use]
    pub fn are_worth_a_line(self) -> bool {
        self.times >= MANY && self.times % MANY == 0 && (self.times / MANY).count_ones() == 1
    }

    fn is_counted(self, now: Millis) -> bool {
        // A clock that was put back begins anew.
        self.since.is_some_and(|since| since <= now && now < since + WINDOW)
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
        assert!(!takeovers.are_many(begin + WINDOW));
        assert!(!takeovers.are_many(begin - Millis::hours(1)));
        assert_eq!(takeovers.and_one_more(begin + WINDOW).times, 1);
    }
}
