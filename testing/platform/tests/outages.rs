//! What an outage costs, by the simulator's clock, and the tables of docs/outages.md, which are made of it: `RENEW_DOCS=1`
//! writes them into the page.

use quecota_core::agent::WorkState;
use test_platform::harness::{Harness, Serve, plan};
use test_platform::mock_platform::MockPlatform;

#[allow(dead_code)] // each test file uses its own part
mod page;

const PAGE: &str = "docs/outages.md";
/// Seconds.
const OUTAGES: [u32; 12] = [1, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 2 * 3_600, 6 * 3_600, 86_400];
/// Devices that have the same outage, each with a chance of its own.
const DEVICES: u64 = 20;
/// What the tables say of the vendor's SDK: the platform offers a silent plan again this often (QUECTHING.md 4.10),
const PUSH: u32 = 600;
/// so many failed downloads end an upgrade (3.2),
const VENDOR_FAILURES: u32 = 6;
/// and a link is tried again after 1 s, 2 s, ... for so many failures, and then after half an hour (4.1).
const VENDOR_LINK_FAILURES: u32 = 6;
const VENDOR_LINK_REST: u32 = 1_800;

/// What does not answer, from the middle of a download on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Away {
    /// The firmware server refuses connections.
    Server,
    /// It answers 503 with Retry-After of so many seconds.
    Busy(u32),
    /// The broker refuses connections. No upgrade is under way: a download would go on.
    Broker,
    /// Both: the network is gone.
    Network,
}

/// What it came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    /// It goes on so many milliseconds after the outage's end.
    GoesOn(u32),
    /// The upgrade has ended.
    Lost,
}

/// Requests or connections that failed in the outage, and what it came to.
fn outage(away: Away, seconds: u32, seed: u64) -> (usize, Outcome) {
    let mut world = MockPlatform::new(64 * 1024);
    world.random = seed;
    let mut harness = Harness::on(world);
    harness.application(|agent, world, event| {
        if event.code == 10700 {
            agent.ota_action(world, 1).unwrap();
        }
    });
    let (server, broker) = (away != Away::Broker, matches!(away, Away::Broker | Away::Network));
    if server {
        harness.serve.push_back(Serve::Short(25_000));
        harness.start_upgrade(plan());
    } else {
        harness.connect();
    }
    let (begin, connects) = (harness.world.now, harness.passwords.len());
    harness.reachable = !broker;
    if broker {
        harness.lose_link();
    }
    let step = if seconds < 600 { 100 } else { 1_000 };
    let mut tries = 0;
    loop {
        let passed = harness.world.now.wrapping_sub(begin);
        let is_away = passed < seconds * 1_000;
        harness.reachable = !(broker && is_away);
        harness.serve.clear();
        if server && is_away {
            harness.serve.push_back(match away {
                Away::Busy(seconds) => Serve::RetryAfter(503, seconds),
                _ => Serve::Failure,
            });
            tries = harness.ranges.len();
        }
        if !server && is_away {
            tries = harness.passwords.len() - connects;
        }
        // The platform offers the plan whenever it is asked for.
        if harness.commands().contains(&0x0115) {
            harness.packets.clear();
            harness.offer(plan());
            harness.give_url(plan());
        }
        let state = harness.agent.ota_progress().state;
        let is_back = if server { state == 8 } else { harness.agent.work_state() == WorkState::Subscribed };
        if is_back && !is_away {
            return (tries, Outcome::GoesOn(harness.world.now.wrapping_sub(begin) - seconds * 1_000));
        }
        if server && state == 0 {
            return (tries, Outcome::Lost);
        }
        assert!(passed < 2 * 86_400_000, "{away:?} {seconds} {seed}: neither goes on nor ends");
        harness.pass(step);
    }
}

/// The worst that any of the devices met.
fn worst(away: Away, seconds: u32) -> (usize, Outcome) {
    let all: Vec<_> = (1..=DEVICES).map(|seed| outage(away, seconds, seed)).collect();
    (all.iter().map(|one| one.0).max().unwrap(), all.iter().map(|one| one.1).max().unwrap())
}

/// In words, rounded up to a second, and above ten minutes to a minute.
fn duration(seconds: u32) -> String {
    let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 if rest > 0 => format!("{minutes} min {rest} s"),
        60..3_600 if rest == 0 => format!("{minutes} min"),
        60..3_600 => duration((minutes + 1) * 60),
        _ if minutes == 0 => format!("{hours} h"),
        _ => format!("{hours} h {minutes} min"),
    }
}

fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::GoesOn(late) => duration(late.div_ceil(1_000)),
        Outcome::Lost => "the upgrade is lost".into(),
    }
}

/// By its rules: after a failure it waits for the platform's next offer, and begins at the first byte.
fn vendor_server(seconds: u32) -> String {
    let failures = 1 + seconds / PUSH;
    if failures >= VENDOR_FAILURES { outcome(Outcome::Lost) } else { duration(PUSH) }
}

/// The delay that runs when the outage ends.
fn vendor_link(seconds: u32) -> u32 {
    let mut until = 0;
    (1..=VENDOR_LINK_FAILURES)
        .find(|failures| {
            until += failures;
            until >= seconds
        })
        .unwrap_or(VENDOR_LINK_REST)
}

fn table(away: Away, tried: &str, vendor: impl Fn(u32) -> String) -> String {
    let mut table =
        format!("| outage | {tried} | late by at most | the vendor's SDK |\n| --- | --- | --- | --- |\n");
    for seconds in OUTAGES {
        let (tries, late) = worst(away, seconds);
        table += &format!("| {} | {tries} | {} | {} |\n", duration(seconds), outcome(late), vendor(seconds));
    }
    table
}

#[test]
fn the_tables_of_the_page_are_what_the_simulator_measures() {
    page::check_table(PAGE, "server", &table(Away::Server, "requests", vendor_server));
    page::check_table(PAGE, "busy", &table(Away::Busy(120), "requests", vendor_server));
    page::check_table(
        PAGE,
        "broker",
        &table(Away::Broker, "connections", |seconds| duration(vendor_link(seconds))),
    );
    page::check_table(
        PAGE,
        "network",
        &table(Away::Network, "requests", |seconds| duration(vendor_link(seconds) + PUSH)),
    );
}

#[test]
fn no_outage_of_an_hour_ends_an_upgrade() {
    for away in [Away::Server, Away::Busy(120), Away::Busy(3_600), Away::Network] {
        for seconds in [3_500, 3_600, 4_000] {
            assert!(worst(away, seconds).1 < Outcome::Lost, "{away:?} {seconds}");
        }
    }
}
