//! Time windows of a plan in its own time zone: push period, planned time, 10-minute marks.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use jiff::civil;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::names::NameError;
use crate::clock::Millis;

/// An IANA time zone, of the data in this program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    /// Its clock; UTC's if this program does not know the zone, and nothing is offered by it then.
    clock: TimeZone,
    is_known: bool,
}

impl schemars::JsonSchema for Zone {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Zone".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "description": "IANA time zone.", "examples": ["Europe/Berlin", "UTC"],
        })
    }
}

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Zone { name: "UTC".to_owned(), clock: TimeZone::UTC, is_known: true }
    }

    /// A zone that was entered before, by another version of this program perhaps: it may be unknown to this one.
    pub fn stored(name: &str) -> Self {
        let known = Some(name).filter(|name| !NO_ZONES.iter().any(|none| none.eq_ignore_ascii_case(name)));
        let zone = known.and_then(|name| ZONES.get(name).ok());
        let zone = zone.filter(|zone| zone.iana_name().is_some());
        match zone.as_ref().and_then(TimeZone::iana_name).map(str::to_owned) {
            Some(name) => Zone { name, clock: zone.unwrap_or(TimeZone::UTC), is_known: true },
            None => Zone { name: name.to_owned(), clock: TimeZone::UTC, is_known: false },
        }
    }

    /// Whether this program knows the zone's clock.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Names that stand beside the zones in a host's data and mean something else on each of them.
const NO_ZONES: [&str; 3] = ["localtime", "posixrules", "Factory"];

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Zone {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        Some(Zone::stored(name)).filter(Zone::is_known).ok_or_else(|| NameError {
            what: "time zone",
            value: name.to_owned(),
            rule: "an IANA name, such as Europe/Berlin or UTC",
        })
    }
}

impl TryFrom<String> for Zone {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.name().to_owned()
    }
}

/// A time of day in minutes: 0..=1439, written `02:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

impl schemars::JsonSchema for TimeOfDay {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeOfDay".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "description": "Hours and minutes, 00:00 to 23:59.",
            "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$",
        })
    }
}

impl TimeOfDay {
    /// Minutes since midnight, if there are so many.
    pub fn from_minutes(minutes: i64) -> Option<Self> {
        u16::try_from(minutes).ok().filter(|minutes| *minutes < 24 * 60).map(TimeOfDay)
    }

    /// Minutes since midnight.
    pub fn minutes(self) -> i64 {
        i64::from(self.0)
    }

    fn civil(self) -> civil::Time {
        // Both parts are in range by construction: at most 23 and 59.
        let part = |value: u16| i8::try_from(value).unwrap_or_default();
        civil::Time::new(part(self.0 / 60), part(self.0 % 60), 0, 0).unwrap_or_default()
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for TimeOfDay {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let minutes = text.split_once(':').and_then(|(hour, minute)| {
            let digits = |part: &str| (part.len() == 2).then(|| part.parse::<u16>().ok()).flatten();
            let (hour, minute) = (digits(hour)?, digits(minute)?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        });
        minutes.map(TimeOfDay).ok_or(NameError {
            what: "time of day",
            value: text.to_owned(),
            rule: "hours and minutes, 00:00 to 23:59",
        })
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> String {
        time.to_string()
    }
}

/// A daily window, from (inclusive) until (exclusive); it crosses midnight when `until` is the earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(extend("additionalProperties" = false))]
pub struct PushPeriod {
    /// It opens.
    pub from: TimeOfDay,
    /// It closes.
    pub until: TimeOfDay,
}

impl fmt::Display for PushPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.until)
    }
}

impl PushPeriod {
    /// Whether the wall clock of `zone` shows a time inside the window.
    pub fn contains(&self, now: Millis, zone: &Zone) -> bool {
        let time = zone.wall_clock(now).time();
        let (from, until) = (self.from.civil(), self.until.civil());
        if from <= until { from <= time && time < until } else { from <= time || time < until }
    }

    /// When the window opens next after `now`: the next instant at which [`PushPeriod::contains`] becomes true. Where
    /// the clocks skip the opening time that is the end of the gap; where they show it twice it is both times. A day on
    /// which they skip the whole window has none.
    pub fn opens(&self, now: Millis, zone: &Zone) -> Millis {
        let opens = |at: &Millis| {
            *at > now && self.contains(*at, zone) && !self.contains(Millis(at.0.saturating_sub(1)), zone)
        };
        let today = zone.wall_clock(now).date();
        let days = std::iter::successors(Some(today), |day| day.tomorrow().ok()).take(DAYS_AHEAD);
        let by_the_clock = days.flat_map(|day| zone.all(day.to_datetime(self.from.civil())));
        let by_a_change =
            zone.changes(now).take_while(|at| *at < now + Millis::hours(24 * DAYS_AHEAD as i64));
        by_the_clock.chain(by_a_change).filter(opens).min().unwrap_or(now)
    }
}

/// Days in which a window opens at least once: today, tomorrow, and two on which the clocks may skip it.
const DAYS_AHEAD: usize = 4;

/// Minutes between two pushes of a plan (DEVELOPER-CENTER.md "push actively").
pub const MARK_MINUTES: i64 = 10;

impl Zone {
    fn wall_clock(&self, now: Millis) -> civil::DateTime {
        self.clock.to_datetime(timestamp(now))
    }

    /// The instant at which the zone's wall clock shows `wall`: where it skips that time, after the gap; where it shows
    /// it twice, the first time. None: out of range.
    pub fn at(&self, wall: civil::DateTime) -> Option<Millis> {
        let zoned = self.clock.to_ambiguous_zoned(wall).compatible().ok()?;
        Some(Millis(zoned.timestamp().as_millisecond()))
    }

    /// Every instant at which the zone's wall clock shows `wall`, and, where it never does, those beside the gap.
    fn all(&self, wall: civil::DateTime) -> impl Iterator<Item = Millis> {
        let ambiguous = self.clock.to_ambiguous_zoned(wall);
        let instants = [ambiguous.clone().earlier(), ambiguous.later()];
        instants.into_iter().flatten().map(|zoned| Millis(zoned.timestamp().as_millisecond()))
    }

    /// The instants after `now` at which the zone's clocks are changed.
    fn changes(&self, now: Millis) -> impl Iterator<Item = Millis> {
        self.clock.following(timestamp(now)).map(|change| Millis(change.timestamp().as_millisecond()))
    }

    /// What the zone's wall clock shows at `at`, in a format of `strftime`.
    pub fn clock(&self, at: Millis, format: &str) -> String {
        self.wall_clock(at).strftime(format).to_string()
    }

    /// A point in time as a person in the zone says it: `02:00 Asia/Shanghai, in 3 h 12 min`; with its date when it is
    /// not within a day of `now`.
    pub fn told(&self, at: Millis, now: Millis) -> String {
        let wall = self.wall_clock(at);
        let near = (at - now).0.abs() < Millis::hours(24).0;
        let clock = wall.strftime(if near { "%H:%M" } else { "%Y-%m-%d %H:%M" });
        if at > now { format!("{clock} {self}, in {}", span(at - now)) } else { format!("{clock} {self}") }
    }

    /// The last 10-minute mark of the zone's wall clock at or before `now`.
    pub fn last_mark(&self, now: Millis) -> Millis {
        let offset = i64::from(self.clock.to_offset(timestamp(now)).seconds()) * 1_000;
        let span = Millis::minutes(MARK_MINUTES).0;
        Millis(now.0 - (now.0 + offset).rem_euclid(span))
    }

    /// The next 10-minute mark of the zone's wall clock after `now`.
    pub fn next_mark(&self, now: Millis) -> Millis {
        self.last_mark(now) + Millis::minutes(MARK_MINUTES)
    }
}

/// A span in words, rounded up: after it, the time has come.
fn span(span: Millis) -> String {
    let minutes = (span.0.max(0) + 59_999) / 60_000;
    let (days, hours, rest) = (minutes / (24 * 60), minutes / 60 % 24, minutes % 60);
    match (days, hours) {
        (0, 0) => format!("{rest} min"),
        (0, hours) => format!("{hours} h {rest} min"),
        (days, hours) => format!("{days} d {hours} h"),
    }
}

fn timestamp(now: Millis) -> Timestamp {
    // Outside the years -9999..=9999 the nearest one serves: no plan lives there.
    Timestamp::from_millisecond(now.0).unwrap_or_else(|_| {
        if now.0 < 0 { Timestamp::MIN } else { Timestamp::MAX - SignedDuration::from_hours(48) }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Millis {
        Millis(text.parse::<Timestamp>().unwrap().as_millisecond())
    }

    fn zone(name: &str) -> Zone {
        name.parse().unwrap()
    }

    fn period(from: &str, until: &str) -> PushPeriod {
        PushPeriod { from: from.parse().unwrap(), until: until.parse().unwrap() }
    }

    #[test]
    fn marks_are_those_of_the_zones_wall_clock() {
        let now = at("2026-03-01T10:03:20Z");
        assert_eq!(zone("Europe/Berlin").next_mark(now), at("2026-03-01T10:10:00Z"));
        assert_eq!(zone("Asia/Kathmandu").last_mark(now), at("2026-03-01T09:55:00Z"));
        assert_eq!(zone("Asia/Kathmandu").next_mark(now), at("2026-03-01T10:05:00Z"));
    }

    #[test]
    fn a_time_is_told_by_the_zones_clock_with_the_span_until_then() {
        let (now, shanghai) = (at("2026-03-01T14:48:30Z"), zone("Asia/Shanghai"));
        assert_eq!(shanghai.told(at("2026-03-01T18:00:00Z"), now), "02:00 Asia/Shanghai, in 3 h 12 min");
        assert_eq!(shanghai.told(now + Millis(1), now), "22:48 Asia/Shanghai, in 1 min");
        assert_eq!(
            shanghai.told(at("2026-03-04T18:00:00Z"), now),
            "2026-03-05 02:00 Asia/Shanghai, in 3 d 3 h"
        );
        assert_eq!(shanghai.told(at("2026-02-01T00:00:00Z"), now), "2026-02-01 08:00 Asia/Shanghai");
    }

    #[test]
    fn a_push_period_may_cross_midnight() {
        let (night, zone) = (period("22:00", "04:00"), zone("Asia/Shanghai"));
        assert!(night.contains(at("2026-03-01T14:00:00Z"), &zone));
        assert!(night.contains(at("2026-03-01T19:59:59Z"), &zone));
        assert!(!night.contains(at("2026-03-01T20:00:00Z"), &zone));
        assert_eq!(night.opens(at("2026-03-01T20:00:00Z"), &zone), at("2026-03-02T14:00:00Z"));
    }

    #[test]
    fn an_opening_that_the_clocks_skip_is_the_end_of_the_gap() {
        // Berlin goes from 02:00 to 03:00 on 2026-03-29, São Paulo went from 00:00 to 01:00 on 2018-11-04.
        let opens = period("02:30", "06:00").opens(at("2026-03-29T00:00:00Z"), &zone("Europe/Berlin"));
        assert_eq!(opens, at("2026-03-29T01:00:00Z"));
        let opens = period("00:30", "03:00").opens(at("2018-11-04T02:00:00Z"), &zone("America/Sao_Paulo"));
        assert_eq!(opens, at("2018-11-04T03:00:00Z"));
    }

    #[test]
    fn an_opening_that_the_clocks_show_twice_opens_twice() {
        // Berlin goes from 03:00 back to 02:00 on 2026-10-25.
        let (early, zone) = (period("02:30", "02:45"), zone("Europe/Berlin"));
        let first = early.opens(at("2026-10-25T00:00:00Z"), &zone);
        assert_eq!(first, at("2026-10-25T00:30:00Z"));
        assert_eq!(early.opens(first, &zone), at("2026-10-25T01:30:00Z"));
        // Open until the clocks leave it, and again once they are back.
        let late = period("02:30", "06:00");
        assert_eq!(late.opens(first, &zone), at("2026-10-25T01:30:00Z"));
    }

    #[test]
    fn a_zone_off_the_hour_opens_by_its_own_clock() {
        let opens = period("02:00", "04:00").opens(at("2026-03-01T12:00:00Z"), &zone("Asia/Kathmandu"));
        assert_eq!(opens, at("2026-03-01T20:15:00Z"));
    }

    #[test]
    fn a_wrong_zone_or_time_is_named() {
        let error = "Mars/Olympus".parse::<Zone>().unwrap_err();
        assert!(error.to_string().contains("Mars/Olympus"));
        assert!("24:00".parse::<TimeOfDay>().is_err());
        assert!("2:00".parse::<TimeOfDay>().is_err());
        assert_eq!(zone("UTC"), Zone::utc());
        for name in ["localtime", "posixrules", "Factory", "Etc/Unknown", ""] {
            assert!(name.parse::<Zone>().is_err(), "{name}");
        }
    }

    #[test]
    fn zones_come_with_the_program_and_an_unknown_one_keeps_its_name() {
        // Links of before, which many hosts leave out.
        assert!(zone("US/Eastern").is_known() && zone("Asia/Calcutta").is_known());
        let unknown = Zone::stored("Mars/Olympus");
        assert_eq!((unknown.name(), unknown.is_known()), ("Mars/Olympus", false));
        let now = at("2026-03-01T10:03:20Z");
        assert_eq!(unknown.next_mark(now), Zone::utc().next_mark(now));
    }

    proptest! {
        #[test]
        fn a_next_mark_is_later_and_within_ten_minutes(now in 0i64..4_000_000_000_000) {
            for name in ["America/Sao_Paulo", "Asia/Kathmandu", "Europe/Berlin", "Australia/Lord_Howe"] {
                let next = zone(name).next_mark(Millis(now));
                prop_assert!(next > Millis(now) && next <= Millis(now) + Millis::minutes(10));
                prop_assert_eq!(zone(name).last_mark(next), next);
            }
        }

        /// Against a look at every minute, in the months in which the clocks change.
        #[test]
        fn a_period_opens_at_the_first_minute_that_it_contains(
            month in 0usize..4, minute in 0i64..30 * 1440, from in 0i64..1440, long in 1i64..1439,
        ) {
            let month = at(["2018-10-20T00:00:00Z", "2026-03-15T00:00:00Z", "2026-10-10T00:00:00Z", "2026-06-01T00:00:00Z"][month]);
            let now = month + Millis::minutes(minute);
            let until = TimeOfDay::from_minutes((from + long) % 1440).unwrap();
            let period = PushPeriod { from: TimeOfDay::from_minutes(from).unwrap(), until };
            for name in ["America/Sao_Paulo", "Asia/Kathmandu", "Europe/Berlin", "Australia/Lord_Howe"] {
                let zone = zone(name);
                let mut before = period.contains(now, &zone);
                let seen = (1..=4 * 1440).map(|minute| now + Millis::minutes(minute)).find(|at| {
                    let was = std::mem::replace(&mut before, period.contains(*at, &zone));
                    !was && before
                });
                prop_assert_eq!(Some(period.opens(now, &zone)), seen, "{} {}", name, period);
            }
        }
    }
}
