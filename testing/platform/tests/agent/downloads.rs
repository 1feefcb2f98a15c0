use super::*;

/// A server fault at the second of three pieces: 6, then the plan again, and on from there without 10700.
fn recovers_from(fault: Serve, reason: Failure, at: u32) {
    let mut harness = Harness::new(20 * 1024);
    let flash = upgrade(&mut harness);
    harness.serve.extend([Serve::Well, fault]);
    harness.start_upgrade(plan());
    harness.pass(20_000);
    assert_eq!(harness.statuses().last(), Some(&6), "{fault:?}");
    assert_eq!((state(&harness), failure(&harness)), (6, Some(reason)));
    assert!(harness.logged(reason.text()));
    assert_eq!(harness.commands().last(), Some(&0x0115), "asks for the plan by itself");
    harness.take_codes();
    harness.ranges.clear();

    harness.offer(plan());
    assert_eq!(harness.statuses().last(), Some(&2), "confirmed before, so confirmed now");
    harness.give_url(plan());
    assert_eq!(harness.ranges[0].start, at, "{fault:?}: goes on where it was");
    assert_eq!(harness.take_codes(), [10702, 10702, 10703, 10702, 10702, 10703, 10704]);
    assert_eq!(*flash.borrow(), harness.file);
    assert!(harness.world.flash.violations().is_empty());
}

#[test]
fn a_404_is_a_download_error_and_resumed() {
    recovers_from(Serve::Status(404), Failure::HttpStatus, 20_480);
}

#[test]
fn a_server_that_ignores_the_range_is_an_error_never_wrong_bytes() {
    recovers_from(Serve::Whole, Failure::WrongRange, 20_480);
}

#[test]
fn a_compressed_body_is_an_error_at_the_head() {
    recovers_from(Serve::Compressed, Failure::Encoded, 20_480);
}

#[test]
fn of_a_shorter_range_from_the_right_start_the_rest_is_asked_for_as_one_download() {
    let mut harness = Harness::new(64 * 1024);
    let flash = upgrade(&mut harness);
    harness.serve.extend([Serve::AtMost(7_001), Serve::AtMost(1), Serve::AtMost(20_000)]);
    harness.start_upgrade(plan());
    let starts: Vec<u32> = harness.ranges.iter().map(|range| range.start).collect();
    assert_eq!(starts, [0, 7_001, 7_002, 27_002]);
    assert_eq!(harness.statuses(), [1, 2, 4, 5, 8, 9], "one download, and no failure");
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn a_shorter_range_that_breaks_off_or_has_no_byte_is_an_error() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.extend([Serve::AtMost(7_001), Serve::Failure]);
    harness.start_upgrade(plan());
    assert_eq!((state(&harness), failure(&harness)), (6, Some(Failure::NoAnswer)));
    recovers_from(Serve::AtMost(0), Failure::WrongRange, 20_480);
}

#[test]
fn the_rest_of_a_range_that_nobody_sends_ends_in_time() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.extend([Serve::AtMost(7_001), Serve::Silence]);
    harness.start_upgrade(plan());
    assert_eq!(state(&harness), 5);
    harness.pass(16_000);
    assert_eq!((state(&harness), failure(&harness)), (6, Some(Failure::Stalled)));
}

#[test]
fn a_200_without_a_length_is_right_if_exactly_the_file_comes() {
    let mut harness = Harness::new(64 * 1024);
    let flash = upgrade(&mut harness);
    harness.serve.push_back(Serve::WholeUnmeasured);
    harness.start_upgrade(plan());
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));

    let mut in_pieces = Harness::new(20 * 1024);
    confirm(&mut in_pieces);
    in_pieces.serve.push_back(Serve::WholeUnmeasured);
    in_pieces.start_upgrade(plan());
    assert_eq!((state(&in_pieces), failure(&in_pieces)), (6, Some(Failure::WrongRange)));
}

fn url_of(length: usize) -> String {
    let start = format!("{SERVER}fw.bin?X-Amz-Security-Token=");
    format!("{start}{}", "t".repeat(length - start.len()))
}

#[test]
fn a_url_as_long_as_the_receive_buffer_takes_is_used_whole() {
    for length in [1024, 1025, 1300, 1900] {
        let mut harness = Harness::new(64 * 1024);
        let flash = upgrade(&mut harness);
        harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
        harness.connect();
        harness.offer(plan());
        harness.give_this_url(plan(), &url_of(length));
        assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file), "{length}");
        assert!(harness.urls.iter().all(|url| *url == url_of(length)), "{length}");
    }
}

#[test]
fn a_url_that_is_too_long_fails_with_that_reason() {
    // One that a larger buffer takes, and one that comes in a message that this buffer does not take.
    for (room, length) in [(4096, 2049), (2048, 2049)] {
        let mut harness = Harness::with_receive_buffer(MockPlatform::new(64 * 1024), room);
        confirm(&mut harness);
        harness.connect();
        harness.offer(plan());
        harness.give_this_url(plan(), &url_of(length));
        harness.pass(31_000);
        assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::UrlTooLong)), "{room}");
        assert!(harness.logged(Failure::UrlTooLong.text()));
    }
}

#[test]
fn another_range_than_asked_for_is_an_error() {
    recovers_from(Serve::ElsewhereBy(1), Failure::WrongRange, 20_480);
}

#[test]
fn a_short_body_is_continued_at_the_missing_byte() {
    recovers_from(Serve::Short(5_001), Failure::Short, 20_480 + 5_001);
}

#[test]
fn a_long_body_is_an_error() {
    recovers_from(Serve::Long(1), Failure::Long, 20_480 + 14 * 1_400);
}

#[test]
fn a_stalled_body_is_an_error_after_the_time() {
    recovers_from(Serve::Stall(3_000), Failure::Stalled, 20_480 + 3_000);
}

#[test]
fn a_server_that_is_silent_or_not_there_is_an_error() {
    recovers_from(Serve::Silence, Failure::NoAnswer, 20_480);
    recovers_from(Serve::Failure, Failure::NoAnswer, 20_480);
}

#[test]
fn a_200_from_the_first_byte_with_the_whole_file_is_right() {
    let mut harness = Harness::new(64 * 1024);
    let flash = upgrade(&mut harness);
    harness.serve.push_back(Serve::Whole);
    harness.start_upgrade(plan());
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn a_200_that_is_longer_than_the_first_piece_is_an_error() {
    let mut harness = Harness::new(20 * 1024);
    confirm(&mut harness);
    harness.serve.push_back(Serve::Whole);
    harness.start_upgrade(plan());
    assert_eq!((state(&harness), failure(&harness)), (6, Some(Failure::WrongRange)));
}

#[test]
fn wrong_bytes_are_never_offered_as_a_whole_image_and_start_over() {
    let mut harness = Harness::new(20 * 1024);
    let flash = upgrade(&mut harness);
    harness.serve.push_back(Serve::Corrupt);
    harness.start_upgrade(plan());
    assert_eq!((state(&harness), failure(&harness)), (6, Some(Failure::WrongDigest)));
    let codes = harness.take_codes();
    assert_eq!(codes.iter().filter(|code| **code == 10703).count(), 2, "not the last piece");
    harness.ranges.clear();
    harness.offer_again(plan());
    harness.give_url(plan());
    assert_eq!(harness.ranges[0].start, 0);
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn another_file_for_the_same_version_starts_over_with_10701() {
    let mut harness = Harness::new(64 * 1024);
    let flash = upgrade(&mut harness);
    harness.serve.push_back(Serve::Short(40_000));
    harness.start_upgrade(plan());
    harness.take_codes();
    harness.ranges.clear();
    harness.file[49_999] ^= 1;
    harness.offer_again(plan());
    harness.give_url(plan());
    assert_eq!(harness.ranges[0].start, 0);
    assert_eq!(harness.take_codes(), [10701, 10702, 10703, 10704]);
    assert_eq!(*flash.borrow(), harness.file);
}

#[test]
fn a_plan_for_another_version_replaces_a_failed_download() {
    let mut harness = Harness::new(64 * 1024);
    upgrade(&mut harness);
    harness.serve.push_back(Serve::Short(40_000));
    harness.start_upgrade(plan());
    harness.take_codes();
    let other = Plan { target: "3", ..plan() };
    harness.offer(other);
    harness.give_url(other);
    assert_eq!(harness.take_codes(), [10700, 10701, 10702, 10703, 10704]);
    assert_eq!(harness.ranges.last().unwrap().start, 0);
}

/// Answers every request with `serve`, and each request for the plan with plan and URL, as long as the upgrade lasts: when
/// each GET came, milliseconds from the first.
fn tries(serve: Serve) -> (Harness, Vec<u32>) {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.extend([serve; 40]);
    harness.start_upgrade(plan());
    let (first, mut tries) = (harness.world.now, vec![0]);
    while state(&harness) != 0 {
        let asked = plan_requests(&harness);
        while state(&harness) == 6 && plan_requests(&harness) == asked {
            harness.pass(1_000);
        }
        assert_eq!(harness.ranges.len(), tries.len(), "nothing is fetched in a pause");
        if state(&harness) == 6 {
            harness.offer(plan());
            harness.give_url(plan());
        }
        // One that does not answer at all is a failure only after a while.
        if harness.ranges.len() > tries.len() {
            tries.push(harness.world.now - first);
        }
        harness.pass(20_000);
    }
    (harness, tries)
}

fn plan_requests(harness: &Harness) -> usize {
    harness.commands().iter().filter(|command| **command == 0x0115).count()
}

#[test]
fn only_the_fifteenth_failure_in_a_row_without_progress_ends_the_upgrade_and_an_hour_never_does() {
    for serve in [Serve::Status(500), Serve::Failure, Serve::Silence] {
        let (mut harness, tries) = tries(serve);
        assert_eq!(tries.len(), 15, "{serve:?}");
        assert!(tries[14] > 67 * 60_000, "{serve:?}: {tries:?}");
        let statuses = harness.statuses();
        assert_eq!(statuses.iter().filter(|state| **state == 6).count(), 14);
        assert_eq!(statuses.last(), Some(&12));
        assert_eq!(harness.take_codes().last(), Some(&10706));
    }
}

#[test]
fn wrong_digests_and_failing_storage_end_the_upgrade_at_the_sixth() {
    let (harness, tries) = tries(Serve::Corrupt);
    assert_eq!((tries.len(), failure(&harness)), (6, Some(Failure::WrongDigest)));
    assert!(tries[5] < 10 * 60_000, "{tries:?}");
}

#[test]
fn a_plan_that_is_pushed_in_the_pause_waits_for_its_end() {
    let mut harness = Harness::new(64 * 1024);
    let flash = upgrade(&mut harness);
    harness.serve.push_back(Serve::RetryAfter(503, 120));
    harness.start_upgrade(plan());
    for _ in 0..11 {
        harness.pass(10_000);
        harness.offer(plan());
        harness.give_url(plan());
        assert_eq!((state(&harness), harness.ranges.len()), (6, 1));
    }
    assert!(harness.logged("the platform's plan waits"));
    assert_eq!(plan_requests(&harness), 0);
    harness.pass(40_000);
    assert!(plan_requests(&harness) > 0);
    harness.offer(plan());
    harness.give_url(plan());
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn retry_after_of_429_and_503_is_waited_for_up_to_an_hour() {
    /// From the failure to the request for the plan. Seconds.
    fn pause(serve: Serve) -> u32 {
        let mut harness = Harness::new(64 * 1024);
        confirm(&mut harness);
        harness.serve.push_back(serve);
        harness.start_upgrade(plan());
        let first = harness.world.now;
        while plan_requests(&harness) == 0 {
            harness.pass(1_000);
        }
        (harness.world.now - first) / 1_000
    }
    for status in [429, 503] {
        assert!((120..=151).contains(&pause(Serve::RetryAfter(status, 120))));
        assert!((3_600..=4_501).contains(&pause(Serve::RetryAfter(status, u32::MAX))));
        assert!((2..=5).contains(&pause(Serve::RetryAfter(status, 0))));
    }
    assert!((2..=5).contains(&pause(Serve::RetryAfter(500, 120))), "only these two statuses have it");
}

#[test]
fn failures_with_progress_never_end_the_upgrade() {
    let mut harness = Harness::new(64 * 1024);
    let flash = upgrade(&mut harness);
    harness.serve.extend([Serve::Short(4_000); 12]);
    harness.start_upgrade(plan());
    while state(&harness) == 6 {
        harness.pass(3_000);
        harness.offer(plan());
        harness.give_url(plan());
    }
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
    assert_eq!(harness.ranges.iter().map(|range| range.start).max(), Some(48_000));
}

#[test]
fn a_plan_that_never_comes_back_ends_after_a_day() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.push_back(Serve::Status(410));
    harness.start_upgrade(plan());
    harness.pass(24 * 60 * 60_000 - 1000);
    assert_eq!(state(&harness), 6);
    harness.pass(1000);
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::PlanGone)));
    assert_eq!(harness.take_codes().last(), Some(&10706));
}

#[test]
fn a_busy_transport_is_asked_again() {
    let mut harness = Harness::new(64 * 1024);
    upgrade(&mut harness);
    harness.world.refuses = vec![Refuses::Fetch];
    harness.start_upgrade(plan());
    assert_eq!(state(&harness), 4);
    harness.pass(2_000);
    harness.world.refuses.clear();
    harness.pass(1_000);
    assert_eq!(state(&harness), 9);
}

#[test]
fn failing_flash_is_a_download_error_with_its_reason() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.connect();
    harness.offer(plan());
    harness.world.flash.power_off();
    harness.give_url(plan());
    assert_eq!((state(&harness), failure(&harness)), (6, Some(Failure::Storage)));
    assert!(harness.logged("the staging area failed"));
    assert!(harness.logged("the journal did not take"));
}

#[test]
fn a_full_disk_ends_the_upgrade_at_once() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.world.full_at = Some(20_000);
    harness.start_upgrade(plan());
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NoRoom)));
    assert_eq!((harness.statuses(), harness.ranges.len()), (vec![1, 2, 4, 5, 12], 1));
    harness.pass(10 * 60_000);
    assert_eq!(harness.ranges.len(), 1);
    assert!(harness.logged(Failure::NoRoom.text()));
}

#[test]
fn an_image_that_is_forgotten_is_discarded_and_one_that_waits_for_its_retry_is_kept() {
    let mut harness = Harness::new(64 * 1024);
    upgrade(&mut harness);
    harness.connect();
    let at_start = harness.world.discards;
    harness.serve.push_back(Serve::Short(20_000));
    harness.start_upgrade(plan());
    let with_the_plan = harness.world.discards;
    assert!(with_the_plan <= at_start + 1);
    harness.offer_again(plan());
    harness.give_url(plan());
    assert_eq!((state(&harness), harness.world.discards), (9, with_the_plan));
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    harness.run();
    assert_eq!((state(&harness), harness.world.discards), (0, with_the_plan + 1));
}

#[test]
fn a_piece_that_the_area_cannot_hold_any_more_begins_again_with_what_it_holds() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.push_back(Serve::Short(20_000));
    harness.start_upgrade(plan());
    assert_eq!(state(&harness), 6);
    harness.world.image_size = Some(16 * 1024);
    let mut harness = harness.reboot();
    let flash = upgrade(&mut harness);
    harness.start_upgrade(plan());
    assert_eq!(harness.ranges[0], Range { start: 0, length: 16 * 1024 });
    assert_eq!(*flash.borrow(), harness.file);
    assert_eq!((state(&harness), failure(&harness)), (9, None));
}

#[test]
fn module_firmware_that_cannot_be_taken_over_for_lack_of_room_fails_before_its_first_byte() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.world.free_space = Some(48 * 1024);
    harness.world.module_space = Some(24 * 1024);
    harness.start_upgrade(module_plan());
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NoRoom)));
    assert_eq!(harness.ranges.len(), 0);
}

#[test]
fn free_space_of_the_platform_limits_the_piece() {
    let mut harness = Harness::new(64 * 1024);
    harness.world.free_space = Some(10_000);
    let flash = upgrade(&mut harness);
    harness.start_upgrade(plan());
    assert_eq!(harness.ranges.len(), 5);
    assert_eq!(*flash.borrow(), harness.file);
    assert_eq!(state(&harness), 9);
}
