use super::*;

#[test]
fn no_url_within_30_s_is_the_end() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.connect();
    harness.offer(plan());
    harness.pass(29_999);
    assert_eq!(state(&harness), 2);
    harness.pass(1);
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NoUrl)));
    assert_eq!(harness.statuses(), [1, 2, 12]);
    assert_eq!(harness.take_codes(), [10700, 10706]);
}

#[test]
fn the_url_is_not_late_while_the_platform_cannot_know_of_the_answer() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    harness.offer(plan());
    harness.reachable = false;
    harness.lose_link();
    harness.agent.ota_action(&mut harness.world, 1).unwrap();
    harness.pass(10 * 60_000);
    assert_eq!(state(&harness), 2);
    harness.reachable = true;
    harness.pass(30 * 60_000);
    assert_eq!(harness.statuses()[..2], [1, 2]);
    assert_eq!(state(&harness), 0, "online again, and no URL for 30 s");
}

#[test]
fn a_server_that_trickles_is_given_up_in_time_and_the_download_goes_on() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.push_back(Serve::Stall(1_000));
    harness.start_upgrade(plan());
    let begin = harness.world.now;
    for byte in harness.file.clone()[1_000..].chunks(1) {
        harness.pass(4_000);
        if harness.agent.on_fetch_data(&mut harness.world, byte) == Flow::Stop {
            break;
        }
    }
    let (took, most) = (harness.world.now - begin, timer::overall(50_000));
    assert!((most..most + 8_000).contains(&took), "{took} ms");
    assert_eq!((state(&harness), failure(&harness)), (6, Some(Failure::TooSlow)));
    let received = harness.agent.ota_progress().received;
    harness.offer_again(plan());
    harness.give_url(plan());
    assert_eq!((state(&harness), harness.ranges.last().unwrap().start), (8, received));
}

#[test]
fn a_link_of_64_bytes_per_second_finishes() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.push_back(Serve::Stall(1_000));
    harness.start_upgrade(plan());
    for chunk in harness.file.clone()[1_000..].chunks(256) {
        harness.pass(4_000);
        assert_eq!(harness.agent.on_fetch_data(&mut harness.world, chunk), Flow::Continue);
    }
    harness.agent.on_fetch_end(&mut harness.world, FetchEnd::Complete);
    harness.run();
    assert_eq!(state(&harness), 8);
    assert_eq!((timer::overall(0), timer::overall(u32::MAX)), (timer::OVERALL, timer::GIVE_UP));
}

/// Milliseconds until the device asks for the plan.
fn until_asked(harness: &mut Harness) -> u32 {
    let begin = harness.world.now;
    harness.packets.clear();
    while !harness.commands().contains(&0x0115) {
        harness.pass(100);
    }
    harness.world.now - begin
}

/// Each wait is its base, and at most a quarter or 2 s more.
fn assert_waits(waits: &[u32], seconds: &[u32]) {
    for (wait, base) in waits.iter().zip(seconds.iter().map(|seconds| seconds * 1_000)) {
        let most = base + (base / 4).max(2_000) + 100;
        assert!((base..=most).contains(wait), "{wait} ms in {waits:?}");
    }
    assert_eq!(waits.len(), seconds.len());
}

#[test]
fn a_plan_that_does_not_come_back_is_asked_for_more_and_more_seldom_and_by_each_device_at_its_own_time() {
    let waits = |seed| {
        let mut harness = Harness::new(64 * 1024);
        harness.world.random = seed;
        confirm(&mut harness);
        harness.serve.push_back(Serve::Status(410));
        harness.start_upgrade(plan());
        core::array::from_fn::<u32, 11, _>(|_| until_asked(&mut harness))
    };
    assert_waits(&waits(1), &[2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
    assert_ne!(waits(1), waits(2));
    assert_eq!(waits(1), waits(1), "the chance is the platform's");
}

#[test]
fn the_wait_after_a_failed_download_doubles_until_bytes_come() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    let fails = Serve::Status(503);
    harness.serve.extend([Serve::Short(1_000), fails, fails, Serve::Short(1_000), fails]);
    harness.start_upgrade(plan());
    let waits = core::array::from_fn::<u32, 5, _>(|_| {
        assert_eq!(state(&harness), 6);
        let wait = until_asked(&mut harness);
        harness.offer(plan());
        harness.give_url(plan());
        wait
    });
    assert_waits(&waits, &[2, 4, 8, 2, 4]);
    assert_eq!(state(&harness), 8);
}

#[test]
fn heartbeats_come_every_5_s_while_bytes_come() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.push_back(Serve::Stall(1_000));
    harness.start_upgrade(plan());
    harness.take_codes();
    for chunk in harness.file.clone()[1_000..].chunks(1_000).take(20) {
        harness.pass(1_000);
        let _ = harness.agent.on_fetch_data(&mut harness.world, chunk);
    }
    assert_eq!(state(&harness), 5);
    assert_eq!(harness.take_codes(), [10702; 4]);
    assert_eq!(harness.statuses(), [1, 2, 4, 5, 5, 5, 5, 5]);
    harness.pass(4_999);
    assert_eq!(state(&harness), 5);
    harness.pass(1);
    assert_eq!((state(&harness), failure(&harness)), (6, Some(Failure::Stalled)));
}

#[test]
fn each_read_gives_60_s_more() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.start_upgrade(plan());
    for _ in 0..3 {
        harness.pass(59_999);
        harness.agent.ota_read(&mut harness.world, 0, &mut [0; 16]).unwrap();
    }
    harness.pass(59_999);
    assert_eq!(state(&harness), 8);
    harness.pass(1);
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NotRead)));
    assert_eq!(harness.statuses().last(), Some(&12));
}

#[test]
fn an_mcu_has_20_minutes_for_its_new_version() {
    let mut harness = Harness::new(64 * 1024);
    upgrade(&mut harness);
    harness.start_upgrade(plan());
    harness.pass(20 * 60_000 - 1);
    assert_eq!(state(&harness), 9);
    harness.pass(1);
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NoVersion)));
    assert_eq!(harness.take_codes().last(), Some(&10706));
}
