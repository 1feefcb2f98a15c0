//! Devices that restart again and again.

use super::*;

/// Restarts until the upgrade ends, and how often that was. Each life: connected, and whatever `lives` does.
fn restarts_until_the_end(mut harness: Harness, lives: impl Fn(&mut Harness)) -> (u32, Harness) {
    for restarts in 1..200 {
        harness = harness.reboot();
        lives(&mut harness);
        if state(&harness) == 0 {
            return (restarts, harness);
        }
    }
    panic!("no end in {}", state(&harness));
}

#[test]
fn an_application_that_crashes_in_its_first_event_ends_the_upgrade() {
    let harness = resting_in(5, plan());
    let (restarts, mut harness) = restarts_until_the_end(harness, |harness| harness.run());
    assert_eq!(restarts, u32::from(RESTARTS) + 1);
    assert_eq!((harness.take_codes(), failure(&harness)), (vec![10706], Some(Failure::Restarts)));
    harness.connect();
    assert_eq!(harness.statuses(), [12]);
}

#[test]
fn one_that_crashes_whenever_it_reads_ends_the_upgrade() {
    let harness = resting_in(8, plan());
    let (restarts, harness) = restarts_until_the_end(harness, |harness| {
        confirming(harness);
        harness.connect();
        if state(harness) == 2 {
            harness.give_url(plan());
        }
        harness.pass(40_000);
    });
    assert_eq!((restarts, failure(&harness)), (u32::from(RESTARTS) + 1, Some(Failure::Restarts)));
}

#[test]
fn an_mcu_that_restarts_the_module_in_mid_update_again_and_again_ends_the_upgrade() {
    let harness = resting_in(9, plan());
    let (restarts, mut harness) = restarts_until_the_end(harness, |harness| harness.pass(15 * 60_000));
    assert_eq!(restarts, u32::from(RESTARTS) + 1);
    assert_eq!(harness.take_codes(), [10706]);
}

#[test]
fn a_download_in_pieces_that_never_gets_further_ends_and_one_that_does_goes_on() {
    let mut harness = Harness::new(20 * 1024);
    upgrading(&mut harness);
    harness.serve.extend([Serve::Well, Serve::Stall(17_000)]);
    harness.start_upgrade(plan());
    // From the first byte each time, without a mark, and never further than before.
    let (restarts, _) = restarts_until_the_end(harness, |harness| {
        upgrading(harness);
        harness.serve.extend([Serve::Well, Serve::Stall(15_000)]);
        harness.connect();
        if state(harness) == 2 {
            harness.give_url(plan());
        }
    });
    assert_eq!(restarts, u32::from(RESTARTS) + 1);

    // An interval more each time, and the count begins again.
    let mut harness = Harness::new(1024 * 1024);
    harness.file = test_platform::harness::file(40 * 16 * 1024);
    confirming(&mut harness);
    harness.serve.push_back(Serve::Stall(100));
    harness.start_upgrade(plan());
    for life in 1..40 {
        harness = harness.reboot();
        confirming(&mut harness);
        harness.serve.push_back(Serve::Stall(16_400));
        harness.connect();
        harness.give_url(plan());
        assert_eq!(state(&harness), 5, "life {life}");
    }
}

#[test]
fn lives_without_a_network_or_an_answer_do_not_count() {
    let mut harness = resting_in(5, plan());
    for _ in 0..3 * u32::from(RESTARTS) {
        harness = harness.reboot();
        harness.reachable = false;
        confirming(&mut harness);
        harness.connect();
        harness.pass(60_000);
        assert_eq!(state(&harness), 2);
    }
    for _ in 0..3 * u32::from(RESTARTS) {
        harness = harness.reboot();
        harness.connect();
        harness.pass(60_000);
        assert_eq!(state(&harness), 1, "nobody answers");
    }
    let mut harness = harness.reboot();
    upgrading(&mut harness);
    harness.connect();
    harness.give_url(plan());
    assert_eq!(state(&harness), 9);
}

#[test]
fn a_module_that_restarts_before_it_is_judged_is_judged_in_the_end() {
    for (version, code) in [("FWV2", 10705), ("FWV1", 10706)] {
        let mut harness = Harness::new(64 * 1024);
        confirming(&mut harness);
        harness.start_upgrade(module_plan());
        harness.pass(5_000);
        harness.world.module_version = version.into();
        let (restarts, mut harness) = restarts_until_the_end(harness, |harness| harness.pass(10_000));
        assert_eq!((restarts, harness.take_codes()), (u32::from(RESTARTS) + 1, vec![code]));
    }
}
