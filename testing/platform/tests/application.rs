//! What a native application can say to the agent beyond the calls of the vendor's API, and what that changes.

use std::cell::RefCell;
use std::rc::Rc;

use quecota_core::agent::{Agent, CallError, Event, EventValue, Failure, Resume};
use quecota_core::limits::RESTARTS;
use quecota_core::platform::{Applied, Range};
use quecota_core::wire::message::{ComponentKind, Downlink, Plan, PlanNotify, Plans, Records};
use test_platform::harness::{Harness, Serve, plan};
use test_platform::mock_platform::{Asked, MockPlatform};

/// The MCU's flash, as the application fills it. Survives what the module does not.
type Flash = Rc<RefCell<Vec<u8>>>;

/// What an application does with a piece once it has read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum After {
    /// Next piece, or update.
    GoOn,
    /// Nothing.
    Stop,
}

fn state(harness: &Harness) -> u8 {
    harness.agent.ota_progress().state
}

fn failure(harness: &Harness) -> Option<Failure> {
    harness.agent.ota_progress().failure
}

/// Start and end of a 10703, and the end of the file.
fn piece(event: &Event) -> (u32, u32, u32) {
    let EventValue::Text(text) = event.value else { panic!("10703 without text") };
    let numbers: Vec<u32> = text.as_str().split(',').skip(1).map(|field| field.parse().unwrap()).collect();
    let [total, start, length] = numbers[..] else { panic!("{}", text.as_str()) };
    (start, start + length, total)
}

/// Confirms, writes each piece to `flash` where 10703 says, up to `until`, and marks each `step` bytes and each end.
fn marking(harness: &mut Harness, flash: &Flash, step: u32, until: u32, after: After) {
    let flash = flash.clone();
    harness.application(move |agent: &mut Agent<'static>, world: &mut MockPlatform, event| {
        match event.code {
            10700 => agent.ota_action(world, 1).expect("confirm inside the plan event"),
            10703 if event.value != EventValue::None => {
                let mut flash = flash.borrow_mut();
                let (mut at, end, total) = piece(event);
                assert!(at as usize <= flash.len(), "a piece from {at} behind what the MCU has");
                flash.truncate(at as usize);
                let mut buffer = [0; 500];
                while at < end.min(until) {
                    let room = (end.min(until) - at).min(500) as usize;
                    let count = agent.ota_read(world, at, &mut buffer[..room]).expect("a read of the piece");
                    flash.extend(&buffer[..count]);
                    at += count as u32;
                    if at == end || at == until || at.is_multiple_of(step) {
                        agent.ota_checkpoint(world, at).expect("a mark");
                        assert_eq!(agent.ota_get_checkpoint(), at);
                    }
                }
                if after == After::GoOn && at == end {
                    agent.ota_action(world, if end == total { 3 } else { 2 }).expect("next piece, or update");
                }
            }
            _ => {}
        }
    });
}

mod marks {
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
            assert_eq!(
                harness.agent.ota_checkpoint(&mut harness.world, wrong),
                Err(CallError::Range),
                "{wrong}"
            );
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
}

fn module_plan() -> Plan<'static> {
    Plan { component: "app", source: "FWV1", target: "FWV2", kind: ComponentKind::Module, ..plan() }
}

/// Confirms and does nothing more.
fn confirming(harness: &mut Harness) {
    harness.application(|agent, world, event| {
        if event.code == 10700 {
            agent.ota_action(world, 1).unwrap();
        }
    });
}

/// Confirms, reads, goes on; as the seeds' example.
fn upgrading(harness: &mut Harness) {
    let read = Flash::default();
    harness.application(move |agent, world, event| match event.code {
        10700 => agent.ota_action(world, 1).unwrap(),
        10703 if event.value != EventValue::None => {
            let (start, end, total) = piece(event);
            read.borrow_mut().resize((end - start) as usize, 0);
            agent.ota_read(world, start, &mut read.borrow_mut()).expect("a read");
            agent.ota_action(world, if end == total { 3 } else { 2 }).expect("next piece, or update");
        }
        _ => {}
    });
}

/// A device that rests in this state; the events up to there are taken.
fn resting_in(wanted: u8, plan: Plan<'static>) -> Harness {
    let mut harness = Harness::new(64 * 1024);
    match wanted {
        1 => {}
        9 => upgrading(&mut harness),
        _ => confirming(&mut harness),
    }
    let fault = match wanted {
        4 => Serve::Silence,
        5 => Serve::Stall(20_000),
        6 => Serve::Status(404),
        _ => Serve::Well,
    };
    harness.serve.push_back(fault);
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
    harness.connect();
    harness.offer(plan);
    if wanted > 2 {
        harness.give_url(plan);
    }
    assert_eq!(state(&harness), wanted);
    harness.take_codes();
    harness
}

fn asked_to_apply(harness: &mut Harness) -> bool {
    let asked = harness.world.asked.contains(&Asked::Apply(50_000));
    harness.run();
    asked
}

mod cancelling {
    use super::*;

    #[test]
    fn an_upgrade_is_cancelled_in_every_state() {
        for wanted in [1, 2, 4, 5, 6, 8, 9] {
            let mut harness = resting_in(wanted, plan());
            harness.agent.cancel(&mut harness.world).expect("a cancel");
            harness.run();
            assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::Cancelled)), "in {wanted}");
            let (code, status) = if wanted == 1 { (None, 3) } else { (Some(&10706), 12) };
            assert_eq!(harness.take_codes().last(), code, "in {wanted}");
            assert_eq!(harness.statuses().last(), Some(&status), "in {wanted}");
            assert_eq!(harness.agent.cancel(&mut harness.world), Err(CallError::State));
            let fetches = harness.ranges.len();
            harness.pass(60 * 60_000);
            assert_eq!((state(&harness), harness.ranges.len()), (0, fetches), "nothing goes on");
            // And the same plan begins anew.
            confirming(&mut harness);
            harness.offer(plan());
            harness.give_url(plan());
            assert_eq!(state(&harness), 8, "after a cancel in {wanted}");
            assert_eq!(harness.ranges.last().map(|range| range.start), Some(0));
        }
    }

    #[test]
    fn a_cancel_survives_a_reboot_and_so_does_its_report() {
        let mut harness = resting_in(5, plan());
        harness.reachable = false;
        harness.lose_link();
        harness.agent.cancel(&mut harness.world).unwrap();
        let mut harness = harness.reboot();
        harness.connect();
        assert_eq!((state(&harness), harness.statuses()), (0, vec![12]));
        assert_eq!(harness.take_codes(), [0i32; 0]);
    }

    #[test]
    fn a_cancelled_list_ends_with_all_its_components() {
        let mut harness = Harness::new(64 * 1024);
        confirming(&mut harness);
        harness.connect();
        let plans = ["A", "B"].map(|component| Plan { component, ..plan() });
        let notify = PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) };
        harness.application(|agent, world, event| {
            if event.code == 10700 {
                let _ = agent.ota_action(world, 1);
            }
        });
        harness.send(&Downlink::PlanNotify(notify));
        harness.give_url(plans[0]);
        assert_eq!(state(&harness), 8);
        harness.agent.cancel(&mut harness.world).unwrap();
        harness.run();
        harness.take_codes();
        harness.give_url(plans[1]);
        assert_eq!((state(&harness), harness.take_codes()), (0, vec![]), "the second does not begin");
    }

    #[test]
    fn module_firmware_that_was_handed_over_is_not_cancelled() {
        let mut harness = resting_in_module();
        harness.pass(5_000);
        assert_eq!(harness.agent.cancel(&mut harness.world), Err(CallError::State));
        assert_eq!(harness.agent.hold_apply(), Err(CallError::State));
        let mut harness = harness.reboot();
        assert_eq!(harness.agent.cancel(&mut harness.world), Err(CallError::State), "nor after a reboot");
        assert_eq!(state(&harness), 9);
    }

    /// In 9, verified and not handed over.
    fn resting_in_module() -> Harness {
        let mut harness = Harness::new(64 * 1024);
        confirming(&mut harness);
        harness.start_upgrade(module_plan());
        assert_eq!(state(&harness), 9);
        harness
    }

    #[test]
    fn module_firmware_that_waits_for_its_hand_over_is_cancelled() {
        let mut harness = resting_in_module();
        harness.pass(4_000);
        harness.agent.cancel(&mut harness.world).unwrap();
        harness.world.now += 60_000;
        assert!(!asked_to_apply(&mut harness));
        assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::Cancelled)));
    }
}

mod holding {
    use super::*;

    fn held() -> Harness {
        let mut harness = Harness::new(64 * 1024);
        harness.application(|agent, world, event| match event.code {
            10700 => agent.ota_action(world, 1).unwrap(),
            10704 => agent.hold_apply().unwrap(),
            _ => {}
        });
        harness.start_upgrade(module_plan());
        harness.world.now += 5_000;
        harness.agent.poll(&mut harness.world);
        assert!(!asked_to_apply(&mut harness));
        harness
    }

    #[test]
    fn module_firmware_is_held_back_until_it_is_allowed() {
        let mut harness = held();
        harness.pass(40 * 60_000);
        assert_eq!((state(&harness), harness.statuses().last()), (9, Some(&9)));
        harness.world.applied = Applied::Within(2 * 60 * 60_000);
        harness.agent.allow_apply(&mut harness.world);
        assert!(asked_to_apply(&mut harness));
        harness.pass(60 * 60_000);
        assert_eq!(state(&harness), 9, "the hold's deadline is off");
        harness.world.module_version = "FWV2".into();
        let mut harness = harness.reboot();
        harness.connect();
        assert_eq!(harness.statuses(), [11]);
    }

    #[test]
    fn a_hold_that_lasts_too_long_ends_the_upgrade_and_nothing_is_applied() {
        let mut harness = held();
        harness.pass(45 * 60_000 - 1);
        assert_eq!(state(&harness), 9);
        harness.pass(1);
        assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::HeldTooLong)));
        harness.agent.allow_apply(&mut harness.world);
        assert!(!asked_to_apply(&mut harness));
        assert_eq!(harness.statuses().last(), Some(&12));
    }

    #[test]
    fn a_hold_that_ends_before_the_delay_changes_nothing_and_a_refused_image_is_told() {
        let mut harness = Harness::new(64 * 1024);
        confirming(&mut harness);
        harness.agent.hold_apply().expect("also without an upgrade");
        harness.start_upgrade(module_plan());
        harness.pass(3_000);
        harness.agent.allow_apply(&mut harness.world);
        assert!(!asked_to_apply(&mut harness));
        harness.world.now += 2_000;
        harness.agent.poll(&mut harness.world);
        assert!(asked_to_apply(&mut harness));

        let mut harness = held();
        harness.world.applied = Applied::Refused;
        harness.agent.allow_apply(&mut harness.world);
        harness.run();
        assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::ApplyRefused)));
    }

    #[test]
    fn a_reboot_while_held_keeps_the_verified_image() {
        let mut harness = held().reboot();
        confirming(&mut harness);
        harness.connect();
        harness.give_url(module_plan());
        assert!(harness.ranges.is_empty());
        harness.world.now += 5_000;
        harness.agent.poll(&mut harness.world);
        assert!(asked_to_apply(&mut harness), "a hold is for one run of the device");
    }
}

mod slow {
    use super::*;

    const MINUTE: u32 = 60_000;

    #[test]
    fn a_slow_mcu_has_the_time_that_it_asks_for_to_read() {
        let mut harness = resting_in(8, plan());
        harness.agent.need_time(&mut harness.world, 10 * MINUTE).unwrap();
        harness.pass(5 * MINUTE);
        // A read gives 60 s, and takes nothing away.
        harness.agent.ota_read(&mut harness.world, 0, &mut [0; 16]).unwrap();
        harness.pass(5 * MINUTE - 1);
        assert_eq!(state(&harness), 8);
        harness.pass(1);
        assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NotRead)));
    }

    #[test]
    fn what_is_asked_for_is_bounded_for_each_piece() {
        let mut harness = resting_in(8, plan());
        for _ in 0..5 {
            harness.agent.need_time(&mut harness.world, 10 * MINUTE).unwrap();
            harness.pass(10 * MINUTE - 1);
        }
        assert_eq!(harness.agent.need_time(&mut harness.world, 1), Err(CallError::Range));
        assert!(harness.logged("more time than it can have"));
        harness.pass(1);
        assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NotRead)));

        let mut harness = Harness::new(20 * 1024);
        confirming(&mut harness);
        harness.start_upgrade(plan());
        harness.agent.need_time(&mut harness.world, 50 * MINUTE).unwrap();
        harness.agent.ota_action(&mut harness.world, 2).unwrap();
        harness.run();
        harness.agent.need_time(&mut harness.world, 50 * MINUTE).expect("another piece");
    }

    #[test]
    fn a_slow_update_has_two_hours_in_all() {
        let mut harness = resting_in(9, plan());
        assert_eq!(harness.agent.need_time(&mut harness.world, 100 * MINUTE + 1), Err(CallError::Range));
        harness.agent.need_time(&mut harness.world, 5 * MINUTE).expect("less than is left");
        harness.pass(20 * MINUTE - 1);
        assert_eq!(state(&harness), 9, "what was left stays");
        harness.agent.need_time(&mut harness.world, 95 * MINUTE).unwrap();
        harness.pass(95 * MINUTE - 1);
        assert_eq!(state(&harness), 9);
        assert_eq!(harness.agent.need_time(&mut harness.world, MINUTE), Err(CallError::Range));
        harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
        harness.run();
        assert_eq!((state(&harness), harness.take_codes()), (0, vec![10705]));
    }

    #[test]
    fn nobody_needs_time_where_nobody_waits() {
        for wanted in [1, 2, 4, 5, 6] {
            let mut harness = resting_in(wanted, plan());
            assert_eq!(harness.agent.need_time(&mut harness.world, 1), Err(CallError::State), "in {wanted}");
        }
        let mut harness = Harness::new(64 * 1024);
        confirming(&mut harness);
        harness.start_upgrade(module_plan());
        assert_eq!(harness.agent.need_time(&mut harness.world, 1), Err(CallError::State), "a module");
    }
}

mod boot_loops {
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
}

mod after_a_reboot {
    use super::*;

    #[test]
    fn an_mcu_application_is_told_again_that_the_update_runs() {
        let mut harness = resting_in(9, plan()).reboot();
        harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
        harness.run();
        assert_eq!((state(&harness), harness.take_codes()), (9, vec![10704]));
        harness.connect();
        harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
        harness.run();
        assert_eq!((harness.take_codes(), harness.statuses()), (vec![10705], vec![11]));
    }

    #[test]
    fn an_upgrade_goes_on_without_a_question_where_the_application_wants_none() {
        for wanted in [2, 4, 5, 8] {
            let mut harness = resting_in(wanted, plan()).reboot();
            harness.agent.set_resume(Resume::AtOnce);
            upgrading(&mut harness);
            harness.connect();
            assert_eq!((state(&harness), harness.statuses()), (2, vec![2]), "from {wanted}");
            harness.give_url(plan());
            assert_eq!((state(&harness), harness.take_codes()[0]), (9, 10701), "from {wanted}");
        }
        let mut harness = resting_in(1, plan()).reboot();
        harness.agent.set_resume(Resume::AtOnce);
        harness.connect();
        assert_eq!(state(&harness), 0, "nobody had confirmed it");
    }

    #[test]
    fn one_whose_mcu_is_done_already_is_told_of_the_success_alone() {
        let mut harness = resting_in(9, plan()).reboot();
        harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
        harness.run();
        assert_eq!(harness.take_codes(), [10705]);
    }

    #[test]
    fn an_mcu_that_reports_the_target_while_the_plan_waits_for_its_answer_is_done() {
        for wanted in [2, 4, 5, 8] {
            // Twice: nobody answered the first time.
            let mut harness = resting_in(wanted, plan()).reboot();
            harness.run();
            let mut harness = harness.reboot();
            harness.run();
            assert_eq!((state(&harness), harness.take_codes()), (1, vec![10700]), "from {wanted}");
            harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
            harness.connect();
            assert_eq!(
                (state(&harness), harness.take_codes(), harness.statuses()),
                (0, vec![10705], vec![11])
            );
            assert!(harness.ranges.is_empty());
        }
        let mut harness = resting_in(1, plan());
        harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
        harness.run();
        assert_eq!(state(&harness), 1, "a plan that is only offered is the platform's to take back");
    }
}

mod worlds_that_change {
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
}

mod reports {
    use super::*;

    #[test]
    fn what_happened_offline_is_reported_in_order_after_a_reboot() {
        let mut harness = resting_in(8, plan());
        harness.reachable = false;
        harness.lose_link();
        harness.agent.ota_read(&mut harness.world, 0, &mut [0; 16]).unwrap();
        harness.agent.ota_action(&mut harness.world, 3).unwrap();
        let mut harness = harness.reboot();
        harness.reachable = false;
        harness.connect();
        harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
        harness.run();
        let mut harness = harness.reboot();
        harness.connect();
        assert_eq!(harness.statuses(), [9, 11]);
        let mut harness = harness.reboot();
        harness.connect();
        assert_eq!(harness.statuses(), [0u8; 0], "each once");
    }

    #[test]
    fn an_upgrade_that_ends_offline_in_many_pieces_loses_no_step() {
        // Forty pieces: more reports than the queue holds, of which the later ones say what the earlier ones did.
        let mut harness = Harness::new(4096);
        harness.file = test_platform::harness::file(40 * 4096);
        upgrading(&mut harness);
        harness.connect();
        harness.offer(plan());
        assert_eq!(harness.statuses(), [1, 2]);
        harness.acknowledges = false;
        harness.give_url(plan());
        assert_eq!(state(&harness), 9);
        harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
        let mut harness = harness.reboot();
        harness.connect();
        let statuses = harness.statuses();
        assert!(statuses.len() <= 16, "{statuses:?}");
        assert_eq!(statuses[statuses.len() - 5..], [4, 5, 8, 9, 11]);
        assert!(!harness.logged("a status report is lost"));
    }
}
