//! Plans that vanish or change while the device is off.

use super::*;

#[test]
fn a_plan_that_vanished_while_offline_ends_with_its_reason() {
    let mut harness = resting_in(5, plan()).reboot();
    confirming(&mut harness);
    harness.connect();
    assert_eq!(state(&harness), 2);
    harness.pass(30_000);
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NoUrl)));
    assert_eq!((harness.take_codes(), harness.statuses()), (vec![10700, 10706], vec![2, 12]));
}

#[test]
fn a_plan_that_changed_while_offline_takes_the_place_of_the_old_one() {
    let changed = Plan { target: "3", ..plan() };
    // Before the application answered.
    let mut harness = resting_in(5, plan()).reboot();
    harness.connect();
    upgrading(&mut harness);
    harness.offer(changed);
    harness.give_url(changed);
    assert_eq!((state(&harness), harness.ranges[0].start), (9, 0));

    // And after: the old one ends for want of a URL, and the new one is asked for.
    let mut harness = resting_in(5, plan()).reboot();
    upgrading(&mut harness);
    harness.connect();
    harness.offer(changed);
    assert_eq!(state(&harness), 2);
    assert!(!harness.commands().contains(&0x0115));
    harness.pass(30_000);
    assert_eq!(state(&harness), 0);
    assert_eq!(harness.commands().last(), Some(&0x0115));
    harness.offer(changed);
    harness.give_url(changed);
    assert_eq!(state(&harness), 9);
}

#[test]
fn a_url_that_expired_is_asked_for_again_and_the_download_goes_on() {
    for status in [401, 403, 404, 410] {
        let mut harness = Harness::new(64 * 1024);
        upgrading(&mut harness);
        harness.serve.extend([Serve::Short(30_000), Serve::Status(status)]);
        harness.start_upgrade(plan());
        for _ in 0..2 {
            assert_eq!((state(&harness), harness.agent.ota_progress().received), (6, 30_000));
            harness.packets.clear();
            harness.take_codes();
            harness.pass(if harness.ranges.len() < 2 { 4_000 } else { 6_000 });
            assert_eq!(harness.commands(), [0x0115]);
            harness.offer(plan());
            assert_eq!((state(&harness), harness.take_codes()), (2, vec![]), "no second 10700");
            harness.give_url(plan());
        }
        assert_eq!(harness.ranges.last(), Some(&Range { start: 30_000, length: 20_000 }), "{status}");
        assert_eq!(state(&harness), 9);
    }
}

#[test]
fn a_url_that_expired_comes_back_with_another_file_and_begins_at_its_first_byte() {
    let mut harness = Harness::new(64 * 1024);
    upgrading(&mut harness);
    harness.serve.extend([Serve::Short(30_000), Serve::Status(410)]);
    harness.start_upgrade(plan());
    harness.offer_again(plan());
    harness.give_url(plan());
    assert_eq!((state(&harness), failure(&harness)), (6, Some(Failure::HttpStatus)));
    harness.file[0] ^= 1;
    harness.pass(2_000);
    harness.offer_again(plan());
    harness.give_url(plan());
    assert_eq!(harness.ranges.last(), Some(&Range { start: 0, length: 50_000 }));
    assert_eq!(state(&harness), 9);
}

#[test]
fn one_missing_byte_is_all_that_is_fetched() {
    // The connection broke.
    let mut harness = Harness::new(64 * 1024);
    upgrading(&mut harness);
    harness.serve.push_back(Serve::Short(49_999));
    harness.start_upgrade(plan());
    harness.offer_again(plan());
    harness.give_url(plan());
    assert_eq!(harness.ranges.last(), Some(&Range { start: 49_999, length: 1 }));
    assert_eq!(state(&harness), 9);

    // Power went: what was recorded is an interval's end, and one byte follows it.
    for stopped in [Serve::Stall(32_768), Serve::Short(32_768)] {
        let mut harness = Harness::new(64 * 1024);
        harness.file = test_platform::harness::file(32_769);
        confirming(&mut harness);
        harness.serve.push_back(stopped);
        harness.start_upgrade(plan());
        let mut harness = harness.reboot();
        upgrading(&mut harness);
        harness.connect();
        if state(&harness) == 6 {
            harness.offer(plan());
        }
        harness.give_url(plan());
        assert_eq!(harness.ranges, [Range { start: 32_768, length: 1 }], "{stopped:?}");
        assert_eq!(state(&harness), 9);
    }
}

#[test]
fn a_device_that_is_powered_for_a_minute_at_a_time_finishes() {
    // 500 bytes a second: 16 KB take 33 of the 60 s, and every third life has no network.
    const LIFE: u32 = 60_000;
    let mut harness = Harness::new(256 * 1024);
    harness.file = test_platform::harness::file(200_000);
    confirming(&mut harness);
    harness.serve.push_back(Serve::Stall(0));
    harness.start_upgrade(plan());
    let mut lives = 1;
    let mut fetched = 0;
    while state(&harness) != 9 {
        assert!(lives < 60, "{lives} lives, {} bytes", harness.agent.ota_progress().received);
        harness = harness.reboot();
        lives += 1;
        upgrading(&mut harness);
        harness.reachable = lives % 3 != 0;
        harness.serve.push_back(Serve::Stall(0));
        harness.connect();
        harness.pass(5_000);
        if state(&harness) != 2 || !harness.reachable {
            harness.pass(LIFE - 5_000);
            continue;
        }
        harness.give_url(plan());
        for _ in 0..(LIFE - 5_000) / 1_000 {
            if state(&harness) != 5 {
                break;
            }
            let at = harness.agent.ota_progress().received as usize;
            let end = (at + 500).min(harness.file.len());
            let chunk = harness.file[at..end].to_vec();
            let _ = harness.agent.on_fetch_data(&mut harness.world, &chunk);
            fetched += chunk.len();
            if end == harness.file.len() {
                harness.agent.on_fetch_end(&mut harness.world, quecota_core::agent::FetchEnd::Complete);
            }
            harness.pass(1_000);
        }
    }
    assert!(fetched < 200_000 + lives * 16_384, "{fetched} bytes in {lives} lives");
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    harness.connect();
    assert_eq!(harness.statuses().last(), Some(&11));
}
