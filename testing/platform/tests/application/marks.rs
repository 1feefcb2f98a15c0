//! Marks of what the MCU has (`quecota_ota_checkpoint`).

use super::*;

const NEVER: u32 = u32::MAX;

/// A device with 20 KB of staging loses power after so many bytes of the second piece.
fn lost_in_the_second_piece(bytes: u32, flash: &Flash) -> Harness {
    let mut harness = Harness::new(20 * 1024);
    marking(&mut harness, flash, NEVER, NEVER, After::GoOn);
    harness.serve.extend([Serve::Well, Serve::Stall(bytes)]);
    harness.start_upgrade(plan());
    assert_eq!(state(&harness), 5);
    harness.reboot()
}

#[test]
fn the_download_goes_on_at_the_mark_though_staging_holds_only_pieces() {
    let flash = Flash::default();
    let mut harness = lost_in_the_second_piece(17_000, &flash);
    assert_eq!(harness.agent.ota_get_checkpoint(), 20_480);
    marking(&mut harness, &flash, NEVER, NEVER, After::GoOn);
    harness.connect();
    harness.give_url(plan());
    // 16 KB of the second piece were recorded as staged.
    assert_eq!(harness.ranges[0], Range { start: 20_480 + 16_384, length: 4_096 });
    assert_eq!(harness.ranges[1].start, 40_960);
    let pieces: Vec<_> = harness.take_ota().into_iter().filter(|(code, _)| *code == 10703).collect();
    assert_eq!(pieces[0].1, "\"MCU\",50000,20480,20480");
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn a_mark_in_mid_piece_is_where_the_next_piece_event_begins_and_nothing_is_fetched_again() {
    let flash = Flash::default();
    let mut harness = Harness::new(20 * 1024);
    marking(&mut harness, &flash, 1_000, 30_500, After::GoOn);
    harness.start_upgrade(plan());
    assert_eq!((state(&harness), flash.borrow().len()), (8, 30_500));
    let mut harness = harness.reboot();
    assert_eq!(harness.agent.ota_get_checkpoint(), 30_500);
    marking(&mut harness, &flash, NEVER, NEVER, After::GoOn);
    harness.connect();
    harness.give_url(plan());
    assert_eq!(harness.ranges, [Range { start: 40_960, length: 9_040 }]);
    let pieces: Vec<_> = harness.take_ota().into_iter().filter(|(code, _)| *code == 10703).collect();
    assert_eq!(pieces[0].1, format!("\"MCU\",50000,30500,{}", 40_960 - 30_500));
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn a_whole_image_that_is_marked_is_offered_with_its_mark_as_start() {
    let flash = Flash::default();
    let mut harness = Harness::new(64 * 1024);
    marking(&mut harness, &flash, 4_000, NEVER, After::Stop);
    harness.start_upgrade(plan());
    let mut harness = harness.reboot();
    marking(&mut harness, &flash, NEVER, NEVER, After::GoOn);
    harness.connect();
    harness.give_url(plan());
    assert!(harness.ranges.is_empty(), "nothing is fetched again");
    let last = harness.take_ota().into_iter().find(|(code, _)| *code == 10703).unwrap();
    assert_eq!(last.1, "\"MCU\",50000,50000,0", "nothing is left to read");
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn a_last_piece_with_one_byte_missing_fetches_one_byte() {
    let flash = Flash::default();
    let mut harness = Harness::new(20 * 1024);
    harness.file = test_platform::harness::file(20_481);
    marking(&mut harness, &flash, NEVER, NEVER, After::GoOn);
    harness.serve.extend([Serve::Well, Serve::Silence]);
    harness.start_upgrade(plan());
    assert_eq!(state(&harness), 4);
    let mut harness = harness.reboot();
    marking(&mut harness, &flash, NEVER, NEVER, After::GoOn);
    harness.connect();
    harness.give_url(plan());
    assert_eq!(harness.ranges, [Range { start: 20_480, length: 1 }]);
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn an_older_mark_costs_the_pieces_behind_it_and_no_more() {
    let flash = Flash::default();
    let mut harness = Harness::new(20 * 1024);
    // Marks once, at the end of the first piece, and takes the second without a mark.
    let taken = flash.clone();
    harness.application(move |agent, world, event| match event.code {
        10700 => agent.ota_action(world, 1).unwrap(),
        10703 => {
            let (start, end, total) = super::piece(event);
            let mut buffer = vec![0; (end - start) as usize];
            assert_eq!(agent.ota_read(world, start, &mut buffer), Ok(buffer.len()));
            taken.borrow_mut().extend(buffer);
            if start == 0 {
                agent.ota_action(world, 2).unwrap();
                agent.ota_checkpoint(world, end).expect("the end of the piece before");
            } else if end < total {
                agent.ota_action(world, 2).unwrap();
            }
        }
        _ => {}
    });
    harness.serve.extend([Serve::Well, Serve::Well, Serve::Stall(100)]);
    harness.start_upgrade(plan());
    let mut harness = harness.reboot();
    marking(&mut harness, &flash, NEVER, NEVER, After::GoOn);
    harness.connect();
    harness.give_url(plan());
    assert_eq!(harness.ranges[0], Range { start: 20_480, length: 20_480 });
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn a_mark_of_another_image_is_void() {
    let flash = Flash::default();
    let mut harness = lost_in_the_second_piece(17_000, &flash);
    harness.file[49_999] ^= 1;
    marking(&mut harness, &flash, NEVER, NEVER, After::GoOn);
    harness.connect();
    harness.give_url(plan());
    assert_eq!(harness.ranges[0].start, 0);
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));

    let mut harness = lost_in_the_second_piece(17_000, &flash);
    harness.connect();
    harness.offer(Plan { target: "3", ..plan() });
    assert_eq!(harness.agent.ota_get_checkpoint(), 0, "another version");
}

#[test]
fn a_mark_of_wrong_bytes_is_void_once_the_digests_say_so() {
    let flash = Flash::default();
    let mut harness = Harness::new(20 * 1024);
    marking(&mut harness, &flash, NEVER, NEVER, After::GoOn);
    harness.serve.push_back(Serve::Corrupt);
    harness.start_upgrade(plan());
    assert_eq!((state(&harness), harness.agent.ota_get_checkpoint()), (6, 0));
    let mut harness = harness.reboot();
    marking(&mut harness, &flash, NEVER, NEVER, After::GoOn);
    harness.connect();
    harness.offer(plan());
    harness.give_url(plan());
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn a_mark_outside_what_was_offered_is_refused_and_the_old_one_stays() {
    let flash = Flash::default();
    let mut harness = Harness::new(20 * 1024);
    assert_eq!(harness.agent.ota_checkpoint(&mut harness.world, 0), Err(CallError::State));
    marking(&mut harness, &flash, NEVER, 30_000, After::GoOn);
    harness.start_upgrade(plan());
    assert_eq!((state(&harness), harness.agent.ota_get_checkpoint()), (8, 30_000));
    for wrong in [1, 20_479, 40_961, 50_000, u32::MAX] {
        assert_eq!(harness.agent.ota_checkpoint(&mut harness.world, wrong), Err(CallError::Range), "{wrong}");
    }
    assert_eq!(harness.agent.ota_get_checkpoint(), 30_000);
    harness.agent.ota_checkpoint(&mut harness.world, 20_480).expect("back to the start of the piece");
    harness.agent.ota_checkpoint(&mut harness.world, 40_960).expect("its end");
    let mut harness = harness.reboot();
    assert_eq!(
        harness.agent.ota_checkpoint(&mut harness.world, 20_480),
        Err(CallError::Range),
        "before the download"
    );
    harness.agent.ota_checkpoint(&mut harness.world, 0).expect("taken back");
    let flash = Flash::default();
    marking(&mut harness, &flash, NEVER, NEVER, After::GoOn);
    harness.connect();
    harness.give_url(plan());
    assert_eq!(harness.ranges[0].start, 0);
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn a_module_has_no_mark() {
    let mut harness = Harness::new(64 * 1024);
    harness.application(|agent, world, event| match event.code {
        10700 => agent.ota_action(world, 1).unwrap(),
        10704 => assert_eq!(agent.ota_checkpoint(world, 100), Err(CallError::State)),
        _ => {}
    });
    harness.start_upgrade(Plan {
        component: "app",
        source: "FWV1",
        target: "FWV2",
        kind: ComponentKind::Module,
        ..plan()
    });
    assert_eq!(state(&harness), 9);
}

#[test]
fn a_mark_that_the_journal_does_not_take_is_no_mark() {
    let flash = Flash::default();
    let mut harness = Harness::new(20 * 1024);
    marking(&mut harness, &flash, NEVER, 10_000, After::Stop);
    harness.start_upgrade(plan());
    harness.world.flash.power_off();
    assert_eq!(harness.agent.ota_checkpoint(&mut harness.world, 5_000), Err(CallError::Storage));
    let harness = harness.reboot();
    assert_eq!((harness.agent.ota_get_checkpoint(), failure(&harness)), (10_000, None));
}
