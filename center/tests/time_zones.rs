//! Push periods where the clocks change: a simulated clock goes through the days minute by minute, a device leaves every
//! offer unanswered, and the offers must come at exactly the marks of the hand-written windows; in between `why` names
//! the next opening.

mod conversation;

use conversation::{Center, NOON, offered, pk};
use quecota_center::clock::Millis;
use quecota_center::rules::DeviceKey;
use quecota_center::rules::window::PushPeriod;

/// A plan's zone and period, the time that is looked at, and when the period is open in it; times in UTC, `until` excluded.
struct Days {
    zone: &'static str,
    period: (&'static str, &'static str),
    from: &'static str,
    until: &'static str,
    open: &'static [(&'static str, &'static str)],
    /// The opening after the last one, which `why` names to the end.
    next: &'static str,
    /// Minutes after a full ten at which the zone's marks are, seen in UTC.
    mark: i64,
}

fn at(text: &str) -> Millis {
    Millis(format!("{text}:00Z").parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

/// Every 10-minute mark of the zone in the windows.
fn marks(days: &Days) -> Vec<Millis> {
    let mut marks = Vec::new();
    for (from, until) in days.open {
        let (mut mark, until) = (at(from), at(until));
        while mark < until {
            if (mark.0 / 60_000).rem_euclid(10) == days.mark {
                marks.push(mark);
            }
            mark = mark + Millis::minutes(1);
        }
    }
    marks
}

async fn check(days: Days) {
    let center = Center::new().await;
    center.clock.advance(at(days.from) - NOON);
    let (from, until) = days.period;
    let period = PushPeriod { from: from.parse().unwrap(), until: until.parse().unwrap() };
    center
        .plan(&["STM32"], |plan| {
            plan.time_zone = days.zone.parse().unwrap();
            plan.push_period = Some(period);
        })
        .await;
    let mut test_device = center.connected().await;
    assert_eq!(test_device.report("FW1", "STM32:1").await, [], "{}: the period is open too early", days.zone);
    let key = DeviceKey::new("d1").unwrap();
    let (mut came, mut named) = (Vec::new(), 0);
    while center.clock.now() < at(days.until) {
        let now = center.clock.now();
        for (_, message) in center.tick().await {
            assert_eq!(offered(&[message]).len(), 1);
            came.push(now);
        }
        let minute = now.0 / 60_000;
        if minute % 5 != 0 {
            center.clock.advance(Millis::minutes(1));
            continue;
        }
        let standing = &center.engine.why(&pk(), &key).await.unwrap().1[0].status;
        let open = days.open.iter().any(|(from, until)| at(from) <= now && now < at(until));
        let openings = days.open.iter().map(|(from, _)| at(from));
        let next = openings.filter(|opening| *opening > now).min().unwrap_or(at(days.next));
        match standing.condition() {
            "outside_push_period" => {
                assert!(!open, "{} {now}: it is open", days.zone);
                assert_eq!(standing.may_change(), Some(next), "{} at {now}", days.zone);
                let told = standing.told(&days.zone.parse().unwrap(), now);
                assert!(told.contains(days.zone), "{told}");
                named += 1;
            }
            // The last offer of a window may still be answered when it closes; at its end nothing else is said.
            "under_way" => {}
            "due" => assert!(open, "{} {now}: it is closed", days.zone),
            other => panic!("{} {now}: {other}", days.zone),
        }
        center.clock.advance(Millis::minutes(1));
    }
    let told = |times: &[Millis]| times.iter().map(Millis::to_string).collect::<Vec<_>>();
    assert_eq!(told(&came), told(&marks(&days)), "{} {}-{}", days.zone, from, until);
    assert!(named > 0, "why was never asked outside the period");
    println!("{} {from}-{until}: {} offers, {named} times why named the next opening", days.zone, came.len());
}

#[tokio::test]
async fn berlin_skips_an_hour_inside_the_period() {
    check(Days {
        zone: "Europe/Berlin",
        period: ("01:30", "03:30"),
        from: "2026-03-28T20:00",
        until: "2026-03-30T02:00",
        // 01:30 winter time to 03:30 summer time is one hour; the day after has two.
        open: &[("2026-03-29T00:30", "2026-03-29T01:30"), ("2026-03-29T23:30", "2026-03-30T01:30")],
        next: "2026-03-30T23:30",
        mark: 0,
    })
    .await;
}

#[tokio::test]
async fn berlin_skips_a_whole_period_and_why_names_the_day_after() {
    check(Days {
        zone: "Europe/Berlin",
        period: ("02:10", "02:50"),
        from: "2026-03-28T02:00",
        until: "2026-03-30T02:00",
        open: &[("2026-03-30T00:10", "2026-03-30T00:50")],
        next: "2026-03-31T00:10",
        mark: 0,
    })
    .await;
}

#[tokio::test]
async fn berlin_shows_a_period_twice_when_the_clocks_go_back() {
    check(Days {
        zone: "Europe/Berlin",
        period: ("02:20", "02:45"),
        from: "2026-10-24T22:00",
        until: "2026-10-26T02:00",
        open: &[
            ("2026-10-25T00:20", "2026-10-25T00:45"),
            ("2026-10-25T01:20", "2026-10-25T01:45"),
            ("2026-10-26T01:20", "2026-10-26T01:45"),
        ],
        next: "2026-10-27T01:20",
        mark: 0,
    })
    .await;
}

#[tokio::test]
async fn sao_paulo_had_no_midnight_when_its_summer_began() {
    check(Days {
        zone: "America/Sao_Paulo",
        period: ("23:30", "01:30"),
        from: "2018-11-03T12:00",
        until: "2018-11-05T06:00",
        // 23:30 at -3, then at once 01:00 at -2, until 01:30; the night after is a whole one.
        open: &[("2018-11-04T02:30", "2018-11-04T03:30"), ("2018-11-05T01:30", "2018-11-05T03:30")],
        next: "2018-11-06T01:30",
        mark: 0,
    })
    .await;
}

#[tokio::test]
async fn sao_paulo_had_its_late_evening_twice_when_its_summer_ended() {
    check(Days {
        zone: "America/Sao_Paulo",
        period: ("23:30", "00:30"),
        from: "2018-02-17T12:00",
        until: "2018-02-18T06:00",
        // At midnight the clocks went back to 23:00: closed for half an hour, and open again.
        open: &[("2018-02-18T01:30", "2018-02-18T02:00"), ("2018-02-18T02:30", "2018-02-18T03:30")],
        next: "2018-02-19T02:30",
        mark: 0,
    })
    .await;
}

#[tokio::test]
async fn sao_paulo_changes_its_clocks_no_more() {
    check(Days {
        zone: "America/Sao_Paulo",
        period: ("22:00", "04:00"),
        from: "2026-10-31T12:00",
        until: "2026-11-02T08:00",
        open: &[("2026-11-01T01:00", "2026-11-01T07:00"), ("2026-11-02T01:00", "2026-11-02T07:00")],
        next: "2026-11-03T01:00",
        mark: 0,
    })
    .await;
}

#[tokio::test]
async fn kathmandu_is_off_by_a_quarter_of_an_hour() {
    check(Days {
        zone: "Asia/Kathmandu",
        period: ("23:55", "02:00"),
        from: "2026-03-01T06:00",
        until: "2026-03-02T22:00",
        open: &[("2026-03-01T18:10", "2026-03-01T20:15"), ("2026-03-02T18:10", "2026-03-02T20:15")],
        next: "2026-03-03T18:10",
        // 00:00 in Kathmandu is 18:15 UTC.
        mark: 5,
    })
    .await;
}
