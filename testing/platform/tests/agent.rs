//! The whole agent, seen from outside: what the application is told and what the platform and the server get.

use std::cell::RefCell;
use std::rc::Rc;

use quecota_core::agent::{
    Agent, CallError, Dialect, Event, EventValue, Failure, FetchEnd, Flow, Link, Mode, WorkState,
};
use quecota_core::ota::timer;
use quecota_core::platform::{Applied, Area, Qos, Range};
use quecota_core::wire::credential::Password;
use quecota_core::wire::frame::PacketId;
use quecota_core::wire::message::{
    ComponentKind, Content, Downlink, FirmwareInfo, Ids, Notice, Plan, PlanNotify, Plans, Provision, Records,
    StatusEvent,
};
use test_platform::bench::{Bench, DEVICE_SECRET, PRODUCT_SECRET, SERVER, Serve, md5_of, plan};
use test_platform::world::{Asked, Refuses, World};

/// Numbers behind the component of a 10703.
fn piece(event: &Event) -> (u32, u32, u32) {
    let EventValue::Text(text) = event.value else { panic!("10703 without text") };
    let numbers: Vec<u32> = text.as_str().split(',').skip(1).map(|field| field.parse().unwrap()).collect();
    let [total, start, length] = numbers[..] else { panic!("{}", text.as_str()) };
    (total, start, length)
}

fn read_piece(agent: &mut Agent<'static>, world: &mut World, event: &Event, flash: &mut Vec<u8>) -> bool {
    let (total, start, length) = piece(event);
    flash.truncate(start as usize);
    let mut buffer = [0; 1024];
    while (flash.len() as u32) < start + length {
        let count = agent.ota_read(world, flash.len() as u32, &mut buffer).expect("a read of the piece");
        flash.extend(&buffer[..count]);
    }
    start + length >= total
}

/// An application that upgrades its MCU as the seeds' example does: it confirms inside the plan event, reads the
/// piece inside the piece event, and goes on to the next piece or to the update.
fn upgrade(bench: &mut Bench) -> Rc<RefCell<Vec<u8>>> {
    let flash = Rc::new(RefCell::new(Vec::new()));
    let written = flash.clone();
    bench.application(move |agent, world, event| match event.code {
        10700 => agent.ota_action(world, 1).expect("confirm inside the plan event"),
        10703 if event.value != EventValue::None => {
            let last = read_piece(agent, world, event, &mut written.borrow_mut());
            agent.ota_action(world, if last { 3 } else { 2 }).expect("next piece, or update");
        }
        _ => {}
    });
    flash
}

/// One that confirms and then does nothing.
fn confirm(bench: &mut Bench) {
    bench.application(|agent, world, event| {
        if event.code == 10700 {
            agent.ota_action(world, 1).unwrap();
        }
    });
}

fn module_plan() -> Plan<'static> {
    Plan { component: "app", source: "FWV1", target: "FWV2", kind: ComponentKind::Module, ..plan() }
}

fn state(bench: &Bench) -> u8 {
    bench.agent.ota_progress().state
}

fn failure(bench: &Bench) -> Option<Failure> {
    bench.agent.ota_progress().failure
}

mod upgrades {
    use super::*;

    #[test]
    fn an_upgrade_in_pieces_goes_from_plan_to_success() {
        let mut bench = Bench::new(20 * 1024);
        let flash = upgrade(&mut bench);
        bench.agent.set_mcu_version(&mut bench.world, "MCU", "1").unwrap();
        bench.connect();
        assert_eq!(bench.agent.work_state(), WorkState::Subscribed);
        bench.agent.ota_request(&mut bench.world, 0).unwrap();
        bench.run();
        bench.offer(plan());
        bench.give_url(plan());
        assert_eq!(*flash.borrow(), bench.file);
        bench.agent.set_mcu_version(&mut bench.world, "MCU", "2").unwrap();
        bench.run();

        let md5: String = md5_of(&bench.file).iter().map(|byte| format!("{byte:02x}")).collect();
        let start = format!("\"MCU\",50000,\"{md5}\",{}", crc32fast::hash(&bench.file));
        let expected = [
            (10700, "\"MCU\",\"1\",\"2\",30,-113,698000"),
            (10701, &start),
            (10702, ""),
            (10703, "\"MCU\",50000,0,20480"),
            (10702, ""),
            (10702, ""),
            (10703, "\"MCU\",50000,20480,20480"),
            (10702, ""),
            (10702, ""),
            (10703, "\"MCU\",50000,40960,9040"),
            (10704, ""),
            (10705, ""),
        ];
        let expected: Vec<_> = expected.iter().map(|(code, text)| (*code, text.to_string())).collect();
        assert_eq!(bench.take_ota(), expected);
        assert_eq!(bench.statuses(), [1, 2, 4, 5, 8, 4, 5, 8, 4, 5, 8, 9, 11]);
        let ranges = [(0, 20_480), (20_480, 20_480), (40_960, 9_040)];
        assert_eq!(bench.ranges, ranges.map(|(start, length)| Range { start, length }));
        assert!(bench.world.flash.violations().is_empty());
        assert_eq!(state(&bench), 0);

        // What the platform got first: info, status, the request, each with its QoS (QUECTHING.md 4.1).
        assert_eq!(bench.commands()[..3], [0x0044, 0x0034, 0x0115]);
        let qos: Vec<_> = bench.packets.iter().map(|packet| packet.qos).collect();
        assert_eq!(qos[..3], [Qos::AtLeastOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]);
        assert!(qos[3..].iter().all(|qos| *qos == Qos::ExactlyOnce));
        let last = bench.packets.last().unwrap();
        let event = StatusEvent::parse(&last.payload).unwrap();
        assert_eq!((event.versions.module, event.versions.mcu), ("FWV1", "MCU:2"));
    }

    #[test]
    fn sha256_is_asked_for_and_told() {
        use sha2::Digest;
        let mut bench = Bench::new(64 * 1024);
        upgrade(&mut bench);
        bench.connect();
        assert_eq!(bench.agent.ota_request(&mut bench.world, 2), Err(CallError::Value));
        bench.agent.ota_request(&mut bench.world, 1).unwrap();
        bench.offer(plan());
        let two =
            bench.packets.iter().find(|packet| packet.status.as_ref().is_some_and(|(state, _)| *state == 2));
        assert!(StatusEvent::parse(&two.unwrap().payload).unwrap().signature.is_some());
        let sha256: [u8; 32] = sha2::Sha256::digest(&bench.file).into();
        let content = Content::File {
            url: test_platform::bench::URL,
            size: 50_000,
            md5: md5_of(&bench.file),
            crc: crc32fast::hash(&bench.file),
            sha256: Some(sha256),
        };
        let Plan { component, source, target, kind, .. } = plan();
        bench.send(&Downlink::FirmwareInfo(FirmwareInfo { component, source, target, kind, content }));
        let start = bench.take_ota().into_iter().find(|(code, _)| *code == 10701).unwrap().1;
        assert!(start.ends_with(&format!(",\"{}\"", hex::encode(sha256))), "{start}");
        assert_eq!(state(&bench), 9);
    }

    #[test]
    fn a_refusal_is_reported_and_ends_the_plan() {
        let mut bench = Bench::new(64 * 1024);
        bench.application(|agent, world, event| {
            if event.code == 10700 {
                agent.ota_action(world, 0).unwrap();
                assert_eq!(agent.ota_action(world, 1), Err(CallError::State));
            }
        });
        bench.connect();
        bench.offer(plan());
        assert_eq!(bench.statuses(), [1, 3]);
        assert_eq!(bench.take_codes(), [10700]);
        bench.give_url(plan());
        assert!(bench.ranges.is_empty());
        bench.offer(plan());
        assert_eq!(bench.statuses(), [1, 3, 1, 3]);
    }

    #[test]
    fn actions_are_taken_only_in_their_states() {
        let mut bench = Bench::new(32 * 1024);
        confirm(&mut bench);
        let actions = |bench: &mut Bench| -> Vec<bool> {
            (0..5).map(|action| bench.agent.ota_action(&mut bench.world, action).is_ok()).collect()
        };
        assert_eq!(actions(&mut bench), [false; 5]);
        bench.start_upgrade(plan());
        assert_eq!(state(&bench), 8);
        let mut buffer = [0; 100];
        assert_eq!(bench.agent.ota_read(&mut bench.world, 32 * 1024, &mut buffer), Err(CallError::Range));
        // One byte less than the whole piece, from its last byte but 49.
        assert_eq!(bench.agent.ota_read(&mut bench.world, 32 * 1024 - 50, &mut buffer), Ok(50));
        assert_eq!(buffer[..50], bench.file[32 * 1024 - 50..32 * 1024]);
        assert_eq!(bench.agent.ota_action(&mut bench.world, 3), Err(CallError::State), "more is to come");
        assert_eq!(bench.agent.ota_action(&mut bench.world, 2), Ok(()));
        bench.run();
        assert_eq!(bench.agent.ota_read(&mut bench.world, 0, &mut buffer), Err(CallError::Range));
        assert_eq!(
            bench.agent.ota_action(&mut bench.world, 2),
            Err(CallError::State),
            "it is the last piece"
        );
        assert_eq!(bench.agent.ota_action(&mut bench.world, 3), Ok(()));
        assert_eq!(bench.agent.ota_action(&mut bench.world, 3), Ok(()), "again in 9");
        assert_eq!(bench.agent.ota_read(&mut bench.world, 32 * 1024, &mut buffer), Err(CallError::State));
    }

    #[test]
    fn a_list_is_answered_once_and_its_components_come_one_after_the_other() {
        for (dialect, answer) in [(Dialect::V2_9, "#0"), (Dialect::V2_10, "1")] {
            let mut bench = Bench::new(64 * 1024);
            upgrade(&mut bench);
            bench.agent.set_dialect(dialect);
            bench.connect();
            let plans = ["A", "B", "C"].map(|component| Plan { component, ..plan() });
            let notify = PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) };
            bench.send(&Downlink::PlanNotify(notify));
            let ota = bench.take_ota();
            let codes: Vec<i32> = ota.iter().map(|(code, _)| *code).collect();
            assert_eq!(codes, [10700, 10700, 10700, 10707]);
            assert!(ota[0].1.starts_with("\"A\"") && ota[2].1.starts_with("\"C\""));
            assert_eq!(ota[3].1, answer);
            assert_eq!(bench.packets.last().unwrap().status, Some((2, "C".into())));
            for plan in plans {
                bench.give_url(plan);
                bench.agent.set_mcu_version(&mut bench.world, plan.component, "2").unwrap();
                bench.run();
                assert_eq!(bench.take_codes(), [10701, 10702, 10703, 10704, 10705]);
                assert_eq!(bench.packets.last().unwrap().status, Some((11, plan.component.into())));
            }
            bench.give_url(plans[0]);
            assert_eq!(bench.take_codes(), [0i32; 0], "no more than was confirmed");
        }
    }

    #[test]
    fn a_long_list_is_told_whole_though_the_outbox_is_small() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        let names: Vec<String> =
            (0..20).map(|index| format!("component-{index:02}-{}", "x".repeat(8))).collect();
        let target = "t".repeat(40);
        let plans: Vec<Plan<'_>> =
            names.iter().map(|name| Plan { component: name, target: &target, ..plan() }).collect();
        bench.send(&Downlink::PlanNotify(PlanNotify {
            handling: None,
            plans: Plans::List(Records::of(&plans)),
        }));
        let told: Vec<String> = bench.take_ota().into_iter().map(|(_, text)| text).collect();
        assert_eq!(told.len(), 20);
        assert!(told.iter().zip(&names).all(|(text, name)| text.starts_with(&format!("\"{name}\""))));
    }

    #[test]
    fn the_old_version_says_nothing_the_target_success_and_a_third_failure() {
        for (version, state_after, code) in [("1", 9, None), ("2", 0, Some(10705)), ("3", 0, Some(10706))] {
            let mut bench = Bench::new(64 * 1024);
            upgrade(&mut bench);
            bench.start_upgrade(plan());
            bench.take_codes();
            bench.agent.set_mcu_version(&mut bench.world, "OTHER", version).unwrap();
            bench.agent.set_mcu_version(&mut bench.world, "MCU", version).unwrap();
            bench.run();
            assert_eq!(state(&bench), state_after, "version {version}");
            assert_eq!(bench.take_codes().first().copied(), code);
        }
    }

    #[test]
    fn the_target_version_in_mid_download_is_success_and_nothing_stray_follows() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.push_back(Serve::Stall(9_000));
        bench.start_upgrade(plan());
        bench.agent.set_mcu_version(&mut bench.world, "MCU", "2").unwrap();
        bench.pass(60_000);
        assert_eq!(bench.statuses(), [1, 2, 4, 5, 11]);
        assert_eq!(bench.take_codes().last(), Some(&10705));
    }

    #[test]
    fn an_upgrade_runs_across_the_wrap_of_the_clock() {
        let mut bench = Bench::new(32 * 1024);
        bench.world.now = u32::MAX - 20_000;
        upgrade(&mut bench);
        bench.serve.push_back(Serve::Stall(9_000));
        bench.start_upgrade(plan());
        bench.pass(30_000);
        assert_eq!(state(&bench), 6);
        bench.offer(plan());
        bench.give_url(plan());
        assert_eq!(state(&bench), 9);
        bench.pass(20 * 60_000 - 1);
        assert_eq!(state(&bench), 9);
        bench.pass(1);
        assert_eq!(state(&bench), 0);
    }

    #[test]
    fn an_application_that_never_takes_an_event_does_not_stop_the_device() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        for _ in 0..200 {
            for link in [Link::Connected, Link::Subscribed, Link::Lost] {
                bench.agent.on_link(&mut bench.world, link);
            }
            bench.world.now += 40 * 60_000;
            bench.agent.poll(&mut bench.world);
        }
        assert!(bench.logged("an event is lost"));
        bench.run();
        assert_eq!(bench.agent.work_state(), WorkState::Subscribed);
    }

    #[test]
    fn an_application_that_takes_events_late_loses_none() {
        let mut bench = Bench::new(4096);
        bench.file = test_platform::bench::file(4096);
        bench.agent.set_mode(&mut bench.world, Mode::Request).unwrap();
        bench.run();
        bench.take_session();
        let plans = ["A", "B", "C", "D", "E", "F", "G", "H"].map(|component| Plan {
            component,
            target: "long-long-long-long-long-long-long-long-version",
            ..plan()
        });
        let mut buffer = [0; 2048];
        let notify =
            Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) });
        let length = notify.emit_frame(PacketId::new(900).unwrap(), &mut buffer).unwrap();
        assert!(bench.agent.on_message(&mut bench.world, "q/1/d/x/ota", &buffer[..length]));
        for _ in 0..100 {
            let wait = bench.agent.poll(&mut bench.world);
            bench.world.now += wait.0.min(1000);
        }
        for _ in 0..20 {
            bench.agent.on_link(&mut bench.world, Link::Lost);
        }
        bench.run();
        let told: Vec<_> = bench.take_ota().into_iter().map(|(_, text)| text.as_bytes()[1]).collect();
        assert_eq!(told, b"ABCDEFGH");
    }
}

mod downloads {
    use super::*;

    /// A server fault at the second of three pieces: 6, then the plan again, and on from there without 10700.
    fn recovers_from(fault: Serve, reason: Failure, at: u32) {
        let mut bench = Bench::new(20 * 1024);
        let flash = upgrade(&mut bench);
        bench.serve.extend([Serve::Well, fault]);
        bench.start_upgrade(plan());
        bench.pass(20_000);
        assert_eq!(bench.statuses().last(), Some(&6), "{fault:?}");
        assert_eq!((state(&bench), failure(&bench)), (6, Some(reason)));
        assert!(bench.logged(reason.text()));
        assert_eq!(bench.commands().last(), Some(&0x0115), "asks for the plan by itself");
        bench.take_codes();
        bench.ranges.clear();

        bench.offer(plan());
        assert_eq!(bench.statuses().last(), Some(&2), "confirmed before, so confirmed now");
        bench.give_url(plan());
        assert_eq!(bench.ranges[0].start, at, "{fault:?}: goes on where it was");
        assert_eq!(bench.take_codes(), [10702, 10702, 10703, 10702, 10702, 10703, 10704]);
        assert_eq!(*flash.borrow(), bench.file);
        assert!(bench.world.flash.violations().is_empty());
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
        let mut bench = Bench::new(64 * 1024);
        let flash = upgrade(&mut bench);
        bench.serve.extend([Serve::AtMost(7_001), Serve::AtMost(1), Serve::AtMost(20_000)]);
        bench.start_upgrade(plan());
        let starts: Vec<u32> = bench.ranges.iter().map(|range| range.start).collect();
        assert_eq!(starts, [0, 7_001, 7_002, 27_002]);
        assert_eq!(bench.statuses(), [1, 2, 4, 5, 8, 9], "one download, and no failure");
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn a_shorter_range_that_breaks_off_or_has_no_byte_is_an_error() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.extend([Serve::AtMost(7_001), Serve::Failure]);
        bench.start_upgrade(plan());
        assert_eq!((state(&bench), failure(&bench)), (6, Some(Failure::NoAnswer)));
        recovers_from(Serve::AtMost(0), Failure::WrongRange, 20_480);
    }

    #[test]
    fn the_rest_of_a_range_that_nobody_sends_ends_in_time() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.extend([Serve::AtMost(7_001), Serve::Silence]);
        bench.start_upgrade(plan());
        assert_eq!(state(&bench), 5);
        bench.pass(16_000);
        assert_eq!((state(&bench), failure(&bench)), (6, Some(Failure::Stalled)));
    }

    #[test]
    fn a_200_without_a_length_is_right_if_exactly_the_file_comes() {
        let mut bench = Bench::new(64 * 1024);
        let flash = upgrade(&mut bench);
        bench.serve.push_back(Serve::WholeUnmeasured);
        bench.start_upgrade(plan());
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));

        let mut in_pieces = Bench::new(20 * 1024);
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
            let mut bench = Bench::new(64 * 1024);
            let flash = upgrade(&mut bench);
            bench.agent.set_mcu_version(&mut bench.world, "MCU", "1").unwrap();
            bench.connect();
            bench.offer(plan());
            bench.give_this_url(plan(), &url_of(length));
            assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file), "{length}");
            assert!(bench.urls.iter().all(|url| *url == url_of(length)), "{length}");
        }
    }

    #[test]
    fn a_url_that_is_too_long_fails_with_that_reason() {
        // One that a larger buffer takes, and one that comes in a message that this buffer does not take.
        for (room, length) in [(4096, 2049), (2048, 2049)] {
            let mut bench = Bench::with_receive_buffer(World::new(64 * 1024), room);
            confirm(&mut bench);
            bench.connect();
            bench.offer(plan());
            bench.give_this_url(plan(), &url_of(length));
            bench.pass(31_000);
            assert_eq!((state(&bench), failure(&bench)), (0, Some(Failure::UrlTooLong)), "{room}");
            assert!(bench.logged(Failure::UrlTooLong.text()));
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
        let mut bench = Bench::new(64 * 1024);
        let flash = upgrade(&mut bench);
        bench.serve.push_back(Serve::Whole);
        bench.start_upgrade(plan());
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn a_200_that_is_longer_than_the_first_piece_is_an_error() {
        let mut bench = Bench::new(20 * 1024);
        confirm(&mut bench);
        bench.serve.push_back(Serve::Whole);
        bench.start_upgrade(plan());
        assert_eq!((state(&bench), failure(&bench)), (6, Some(Failure::WrongRange)));
    }

    #[test]
    fn wrong_bytes_are_never_offered_as_a_whole_image_and_start_over() {
        let mut bench = Bench::new(20 * 1024);
        let flash = upgrade(&mut bench);
        bench.serve.push_back(Serve::Corrupt);
        bench.start_upgrade(plan());
        assert_eq!((state(&bench), failure(&bench)), (6, Some(Failure::WrongDigest)));
        let codes = bench.take_codes();
        assert_eq!(codes.iter().filter(|code| **code == 10703).count(), 2, "not the last piece");
        bench.ranges.clear();
        bench.offer(plan());
        bench.give_url(plan());
        assert_eq!(bench.ranges[0].start, 0);
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn another_file_for_the_same_version_starts_over_with_10701() {
        let mut bench = Bench::new(64 * 1024);
        let flash = upgrade(&mut bench);
        bench.serve.push_back(Serve::Short(40_000));
        bench.start_upgrade(plan());
        bench.take_codes();
        bench.ranges.clear();
        bench.file[49_999] ^= 1;
        bench.offer(plan());
        bench.give_url(plan());
        assert_eq!(bench.ranges[0].start, 0);
        assert_eq!(bench.take_codes(), [10701, 10702, 10703, 10704]);
        assert_eq!(*flash.borrow(), bench.file);
    }

    #[test]
    fn a_plan_for_another_version_replaces_a_failed_download() {
        let mut bench = Bench::new(64 * 1024);
        upgrade(&mut bench);
        bench.serve.push_back(Serve::Short(40_000));
        bench.start_upgrade(plan());
        bench.take_codes();
        let other = Plan { target: "3", ..plan() };
        bench.offer(other);
        bench.give_url(other);
        assert_eq!(bench.take_codes(), [10700, 10701, 10702, 10703, 10704]);
        assert_eq!(bench.ranges.last().unwrap().start, 0);
    }

    #[test]
    fn the_sixth_failure_in_a_row_without_progress_ends_the_upgrade() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.extend([Serve::Status(500); 6]);
        bench.start_upgrade(plan());
        for _ in 0..5 {
            assert_eq!(state(&bench), 6);
            bench.pass(3_000);
            bench.offer(plan());
            bench.give_url(plan());
        }
        assert_eq!(state(&bench), 0);
        let statuses = bench.statuses();
        assert_eq!(statuses.iter().filter(|state| **state == 6).count(), 5);
        assert_eq!(statuses.last(), Some(&12));
        assert_eq!(bench.take_codes().last(), Some(&10706));
    }

    #[test]
    fn failures_with_progress_never_end_the_upgrade() {
        let mut bench = Bench::new(64 * 1024);
        let flash = upgrade(&mut bench);
        bench.serve.extend([Serve::Short(4_000); 12]);
        bench.start_upgrade(plan());
        while state(&bench) == 6 {
            bench.pass(3_000);
            bench.offer(plan());
            bench.give_url(plan());
        }
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
        assert_eq!(bench.ranges.iter().map(|range| range.start).max(), Some(48_000));
    }

    #[test]
    fn a_plan_that_never_comes_back_ends_after_a_day() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.push_back(Serve::Status(410));
        bench.start_upgrade(plan());
        bench.pass(24 * 60 * 60_000 - 1000);
        assert_eq!(state(&bench), 6);
        bench.pass(1000);
        assert_eq!((state(&bench), failure(&bench)), (0, Some(Failure::PlanGone)));
        assert_eq!(bench.take_codes().last(), Some(&10706));
    }

    #[test]
    fn a_busy_transport_is_asked_again() {
        let mut bench = Bench::new(64 * 1024);
        upgrade(&mut bench);
        bench.world.refuses = vec![Refuses::Fetch];
        bench.start_upgrade(plan());
        assert_eq!(state(&bench), 4);
        bench.pass(2_000);
        bench.world.refuses.clear();
        bench.pass(1_000);
        assert_eq!(state(&bench), 9);
    }

    #[test]
    fn failing_flash_is_a_download_error_with_its_reason() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.connect();
        bench.offer(plan());
        bench.world.flash.power_off();
        bench.give_url(plan());
        assert_eq!((state(&bench), failure(&bench)), (6, Some(Failure::Storage)));
        assert!(bench.logged("the staging area failed"));
        assert!(bench.logged("the journal did not take"));
    }

    #[test]
    fn a_full_disk_ends_the_upgrade_at_once() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.world.full_at = Some(20_000);
        bench.start_upgrade(plan());
        assert_eq!((state(&bench), failure(&bench)), (0, Some(Failure::NoRoom)));
        assert_eq!((bench.statuses(), bench.ranges.len()), (vec![1, 2, 4, 5, 12], 1));
        bench.pass(10 * 60_000);
        assert_eq!(bench.ranges.len(), 1);
        assert!(bench.logged(Failure::NoRoom.text()));
    }

    #[test]
    fn an_image_that_is_forgotten_is_discarded_and_one_that_waits_for_its_retry_is_kept() {
        let mut bench = Bench::new(64 * 1024);
        upgrade(&mut bench);
        bench.connect();
        let at_start = bench.world.discards;
        bench.serve.push_back(Serve::Short(20_000));
        bench.start_upgrade(plan());
        let with_the_plan = bench.world.discards;
        assert!(with_the_plan <= at_start + 1);
        bench.offer(plan());
        bench.give_url(plan());
        assert_eq!((state(&bench), bench.world.discards), (9, with_the_plan));
        bench.agent.set_mcu_version(&mut bench.world, "MCU", "2").unwrap();
        bench.run();
        assert_eq!((state(&bench), bench.world.discards), (0, with_the_plan + 1));
    }

    #[test]
    fn a_piece_that_the_area_cannot_hold_any_more_begins_again_with_what_it_holds() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.push_back(Serve::Short(20_000));
        bench.start_upgrade(plan());
        assert_eq!(state(&bench), 6);
        bench.world.image_size = Some(16 * 1024);
        let mut bench = bench.reboot();
        let flash = upgrade(&mut bench);
        bench.start_upgrade(plan());
        assert_eq!(bench.ranges[0], Range { start: 0, length: 16 * 1024 });
        assert_eq!(*flash.borrow(), bench.file);
        assert_eq!((state(&bench), failure(&bench)), (9, None));
    }

    #[test]
    fn module_firmware_that_cannot_be_taken_over_for_lack_of_room_fails_before_its_first_byte() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.world.free_space = Some(48 * 1024);
        bench.world.module_space = Some(24 * 1024);
        bench.start_upgrade(module_plan());
        assert_eq!((state(&bench), failure(&bench)), (0, Some(Failure::NoRoom)));
        assert_eq!(bench.ranges.len(), 0);
    }

    #[test]
    fn free_space_of_the_platform_limits_the_piece() {
        let mut bench = Bench::new(64 * 1024);
        bench.world.free_space = Some(10_000);
        let flash = upgrade(&mut bench);
        bench.start_upgrade(plan());
        assert_eq!(bench.ranges.len(), 5);
        assert_eq!(*flash.borrow(), bench.file);
        assert_eq!(state(&bench), 9);
    }
}

mod timers {
    use super::*;

    #[test]
    fn no_url_within_30_s_is_the_end() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.connect();
        bench.offer(plan());
        bench.pass(29_999);
        assert_eq!(state(&bench), 2);
        bench.pass(1);
        assert_eq!((state(&bench), failure(&bench)), (0, Some(Failure::NoUrl)));
        assert_eq!(bench.statuses(), [1, 2, 12]);
        assert_eq!(bench.take_codes(), [10700, 10706]);
    }

    #[test]
    fn the_url_is_not_late_while_the_platform_cannot_know_of_the_answer() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        bench.offer(plan());
        bench.reachable = false;
        bench.lose_link();
        bench.agent.ota_action(&mut bench.world, 1).unwrap();
        bench.pass(10 * 60_000);
        assert_eq!(state(&bench), 2);
        bench.reachable = true;
        bench.pass(30 * 60_000);
        assert_eq!(bench.statuses()[..2], [1, 2]);
        assert_eq!(state(&bench), 0, "online again, and no URL for 30 s");
    }

    #[test]
    fn a_server_that_trickles_is_given_up_in_time_and_the_download_goes_on() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.push_back(Serve::Stall(1_000));
        bench.start_upgrade(plan());
        let begin = bench.world.now;
        for byte in bench.file.clone()[1_000..].chunks(1) {
            bench.pass(4_000);
            if bench.agent.on_fetch_data(&mut bench.world, byte) == Flow::Stop {
                break;
            }
        }
        let (took, most) = (bench.world.now - begin, timer::overall(50_000));
        assert!((most..most + 8_000).contains(&took), "{took} ms");
        assert_eq!((state(&bench), failure(&bench)), (6, Some(Failure::TooSlow)));
        let received = bench.agent.ota_progress().received;
        bench.offer(plan());
        bench.give_url(plan());
        assert_eq!((state(&bench), bench.ranges.last().unwrap().start), (8, received));
    }

    #[test]
    fn a_link_of_64_bytes_per_second_finishes() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.push_back(Serve::Stall(1_000));
        bench.start_upgrade(plan());
        for chunk in bench.file.clone()[1_000..].chunks(256) {
            bench.pass(4_000);
            assert_eq!(bench.agent.on_fetch_data(&mut bench.world, chunk), Flow::Continue);
        }
        bench.agent.on_fetch_end(&mut bench.world, FetchEnd::Complete);
        bench.run();
        assert_eq!(state(&bench), 8);
        assert_eq!((timer::overall(0), timer::overall(u32::MAX)), (timer::OVERALL, timer::GIVE_UP));
    }

    /// Milliseconds until the device asks for the plan.
    fn until_asked(bench: &mut Bench) -> u32 {
        let begin = bench.world.now;
        bench.packets.clear();
        while !bench.commands().contains(&0x0115) {
            bench.pass(100);
        }
        bench.world.now - begin
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
            let mut bench = Bench::new(64 * 1024);
            bench.world.random = seed;
            confirm(&mut bench);
            bench.serve.push_back(Serve::Status(410));
            bench.start_upgrade(plan());
            core::array::from_fn::<u32, 11, _>(|_| until_asked(&mut bench))
        };
        assert_waits(&waits(1), &[2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]);
        assert_ne!(waits(1), waits(2));
        assert_eq!(waits(1), waits(1), "the chance is the platform's");
    }

    #[test]
    fn the_wait_after_a_failed_download_doubles_until_bytes_come() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        let fails = Serve::Status(503);
        bench.serve.extend([Serve::Short(1_000), fails, fails, Serve::Short(1_000), fails]);
        bench.start_upgrade(plan());
        let waits = core::array::from_fn::<u32, 5, _>(|_| {
            assert_eq!(state(&bench), 6);
            let wait = until_asked(&mut bench);
            bench.offer(plan());
            bench.give_url(plan());
            wait
        });
        assert_waits(&waits, &[2, 4, 8, 2, 4]);
        assert_eq!(state(&bench), 8);
    }

    #[test]
    fn heartbeats_come_every_5_s_while_bytes_come() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.push_back(Serve::Stall(1_000));
        bench.start_upgrade(plan());
        bench.take_codes();
        for chunk in bench.file.clone()[1_000..].chunks(1_000).take(20) {
            bench.pass(1_000);
            let _ = bench.agent.on_fetch_data(&mut bench.world, chunk);
        }
        assert_eq!(state(&bench), 5);
        assert_eq!(bench.take_codes(), [10702; 4]);
        assert_eq!(bench.statuses(), [1, 2, 4, 5, 5, 5, 5, 5]);
        bench.pass(4_999);
        assert_eq!(state(&bench), 5);
        bench.pass(1);
        assert_eq!((state(&bench), failure(&bench)), (6, Some(Failure::Stalled)));
    }

    #[test]
    fn each_read_gives_60_s_more() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.start_upgrade(plan());
        for _ in 0..3 {
            bench.pass(59_999);
            bench.agent.ota_read(&mut bench.world, 0, &mut [0; 16]).unwrap();
        }
        bench.pass(59_999);
        assert_eq!(state(&bench), 8);
        bench.pass(1);
        assert_eq!((state(&bench), failure(&bench)), (0, Some(Failure::NotRead)));
        assert_eq!(bench.statuses().last(), Some(&12));
    }

    #[test]
    fn an_mcu_has_20_minutes_for_its_new_version() {
        let mut bench = Bench::new(64 * 1024);
        upgrade(&mut bench);
        bench.start_upgrade(plan());
        bench.pass(20 * 60_000 - 1);
        assert_eq!(state(&bench), 9);
        bench.pass(1);
        assert_eq!((state(&bench), failure(&bench)), (0, Some(Failure::NoVersion)));
        assert_eq!(bench.take_codes().last(), Some(&10706));
    }
}

mod modules {
    use super::*;

    #[test]
    fn a_module_image_is_verified_applied_after_5_s_and_judged_after_the_reboot() {
        for (version, code, status) in [("FWV2", 10705, 11), ("FWV1", 10706, 12)] {
            let mut bench = Bench::new(64 * 1024);
            confirm(&mut bench);
            bench.start_upgrade(module_plan());
            assert_eq!(bench.take_codes(), [10700, 10701, 10702, 10703, 10704]);
            assert_eq!(bench.statuses(), [1, 2, 4, 5, 8, 9]);
            assert_eq!(bench.world.flash.bytes(Area::Image)[..50_000], bench.file);
            bench.pass(4_999);
            assert!(!bench.world.asked.contains(&Asked::Apply(50_000)));
            bench.world.now += 1;
            bench.agent.poll(&mut bench.world);
            assert!(bench.world.asked.contains(&Asked::Apply(50_000)));

            bench.world.module_version = version.into();
            let mut bench = bench.reboot();
            bench.run();
            assert_eq!(state(&bench), 9);
            bench.connect();
            assert_eq!(bench.take_codes(), [code]);
            assert_eq!(bench.statuses(), [status]);
            assert_eq!(state(&bench), 0);
        }
    }

    #[test]
    fn a_module_is_judged_60_s_after_a_start_without_a_link() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.start_upgrade(module_plan());
        bench.pass(5_000);
        bench.world.module_version = "FWV".into();
        let mut bench = bench.reboot();
        bench.pass(59_000);
        assert_eq!(state(&bench), 9);
        bench.agent.set_app_version(Some("2")).unwrap();
        bench.pass(1_001);
        assert_eq!(bench.take_codes(), [10705], "the application's suffix counts");
        let mut bench = bench.reboot();
        bench.connect();
        assert_eq!(bench.statuses(), [11], "the report waited through another reboot");
    }

    #[test]
    fn a_module_image_that_does_not_fit_fails_before_the_first_byte() {
        let mut bench = Bench::new(20 * 1024);
        confirm(&mut bench);
        bench.start_upgrade(module_plan());
        assert_eq!((state(&bench), failure(&bench)), (0, Some(Failure::NoRoom)));
        assert!(bench.ranges.is_empty());
        assert_eq!(bench.statuses(), [1, 2, 12]);
        assert_eq!(bench.take_codes(), [10700, 10706]);
    }

    #[test]
    fn an_image_that_apply_refuses_or_never_boots_is_a_failure() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.world.applied = Applied::Refused;
        bench.start_upgrade(module_plan());
        bench.pass(5_000);
        assert_eq!((state(&bench), failure(&bench)), (0, Some(Failure::ApplyRefused)));

        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.start_upgrade(module_plan());
        bench.pass(5_000 + 59_999);
        assert_eq!(state(&bench), 9);
        bench.pass(1);
        assert_eq!((state(&bench), failure(&bench)), (0, Some(Failure::NoVersion)));
    }

    #[test]
    fn power_lost_before_apply_does_not_lose_the_verified_image() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.start_upgrade(module_plan());
        bench.pass(2_000);
        let mut bench = bench.reboot();
        confirm(&mut bench);
        bench.connect();
        assert_eq!(bench.take_codes(), [10700]);
        bench.give_url(module_plan());
        assert!(bench.ranges.is_empty(), "nothing is fetched again");
        bench.world.now += 5_000;
        bench.agent.poll(&mut bench.world);
        assert!(bench.world.asked.contains(&Asked::Apply(50_000)));
    }
}

mod reboots {
    use super::*;

    #[test]
    fn a_reboot_in_mid_download_goes_on_from_the_last_mark() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.push_back(Serve::Stall(40_000));
        bench.start_upgrade(plan());
        assert_eq!(state(&bench), 5);
        let mut bench = bench.reboot();
        let flash = upgrade(&mut bench);
        bench.connect();
        assert_eq!(bench.take_ota()[0], (10700, "\"MCU\",\"1\",\"2\",30,-113,698000".into()));
        assert_eq!(bench.statuses(), [2], "no 6 for a loss that is resumed");
        bench.give_url(plan());
        assert_eq!(bench.ranges, [Range { start: 32_768, length: 50_000 - 32_768 }]);
        assert_eq!(bench.take_codes(), [10701, 10702, 10703, 10704]);
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
        assert!(bench.world.flash.violations().is_empty());
    }

    #[test]
    fn the_platform_s_plan_after_a_reboot_does_not_cost_the_staged_bytes() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.push_back(Serve::Stall(40_000));
        bench.start_upgrade(plan());
        let mut bench = bench.reboot();
        bench.connect();
        let flash = upgrade(&mut bench);
        bench.offer(plan());
        bench.give_url(plan());
        assert_eq!(bench.ranges[0].start, 32_768);
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn a_reboot_between_pieces_starts_the_image_over() {
        let mut bench = Bench::new(20 * 1024);
        upgrade(&mut bench);
        bench.serve.extend([Serve::Well, Serve::Stall(1_000)]);
        bench.start_upgrade(plan());
        let mut bench = bench.reboot();
        let flash = upgrade(&mut bench);
        bench.connect();
        bench.give_url(plan());
        assert_eq!(bench.ranges[0], Range { start: 0, length: 20_480 });
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn other_bytes_after_a_reboot_start_the_image_over() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.push_back(Serve::Stall(40_000));
        bench.start_upgrade(plan());
        let mut bench = bench.reboot();
        let flash = upgrade(&mut bench);
        bench.file[0] ^= 1;
        bench.connect();
        bench.give_url(plan());
        assert_eq!(bench.ranges[0].start, 0);
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn an_mcu_that_reboots_the_module_ends_its_upgrade_after_the_start() {
        for (version, codes) in [("1", &[10704][..]), ("2", &[10705]), ("3", &[10706])] {
            let mut bench = Bench::new(64 * 1024);
            upgrade(&mut bench);
            bench.start_upgrade(plan());
            let mut bench = bench.reboot();
            bench.agent.set_mcu_version(&mut bench.world, "MCU", version).unwrap();
            bench.run();
            assert_eq!(bench.take_codes(), codes, "version {version}");
        }
    }

    #[test]
    fn a_failed_download_asks_for_its_plan_after_a_reboot() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.serve.push_back(Serve::Short(40_000));
        bench.start_upgrade(plan());
        let mut bench = bench.reboot();
        let flash = upgrade(&mut bench);
        bench.connect();
        assert_eq!(state(&bench), 6);
        assert!(bench.commands().contains(&0x0115));
        bench.offer(plan());
        bench.give_url(plan());
        assert_eq!(bench.ranges[0].start, 32_768);
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
    }

    #[test]
    fn a_plan_nobody_answered_is_gone_after_a_reboot() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        bench.offer(plan());
        let mut bench = bench.reboot();
        bench.connect();
        assert_eq!((state(&bench), bench.take_codes()), (0, vec![]));
    }

    #[test]
    fn configuration_survives() {
        let mut bench = Bench::new(64 * 1024);
        bench.agent.set_mcu_version(&mut bench.world, "MCU", "1").unwrap();
        bench.agent.set_mcu_version(&mut bench.world, "B", "7").unwrap();
        bench.connect();
        let bench = bench.reboot();
        assert_eq!(bench.agent.mcu_list(), "MCU:1;B:7");
        assert_eq!(bench.agent.device(), ("860000000000001", DEVICE_SECRET));
        assert_eq!(bench.agent.server(), "mqtt://iot.example.com:1883");
    }
}

mod packets {
    use super::*;

    #[test]
    fn reports_wait_offline_in_order_and_none_is_lost() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.start_upgrade(plan());
        bench.reachable = false;
        bench.lose_link();
        let mut image = vec![0; 50_000];
        bench.agent.ota_read(&mut bench.world, 0, &mut image).unwrap();
        bench.agent.ota_action(&mut bench.world, 3).unwrap();
        bench.agent.set_mcu_version(&mut bench.world, "MCU", "2").unwrap();
        bench.pass(30_000);
        assert_eq!(bench.statuses(), [1, 2, 4, 5, 8]);
        bench.reachable = true;
        bench.pass(30 * 60_000);
        assert_eq!(bench.statuses(), [1, 2, 4, 5, 8, 9, 11]);
    }

    #[test]
    fn a_report_that_was_not_confirmed_is_sent_again_after_the_reconnect() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        bench.acknowledges = false;
        bench.offer(plan());
        assert_eq!(bench.statuses(), [1]);
        bench.acknowledges = true;
        bench.lose_link();
        bench.pass(5_000);
        assert_eq!(bench.statuses(), [1, 1]);
    }

    #[test]
    fn a_publish_that_the_transport_refuses_or_forgets_is_repeated() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        bench.world.refuses = vec![Refuses::Publish];
        bench.offer(plan());
        bench.pass(3_000);
        assert!(bench.statuses().is_empty());
        bench.world.refuses.clear();
        bench.acknowledges = false;
        bench.pass(1_000);
        assert_eq!(bench.statuses(), [1]);
        bench.pass(30_000);
        bench.acknowledges = true;
        bench.pass(1_000);
        assert_eq!(bench.statuses(), [1, 1]);
    }

    #[test]
    fn one_packet_is_under_way_at_a_time() {
        let mut bench = Bench::new(64 * 1024);
        bench.acknowledges = false;
        bench.connect();
        bench.pass(10_000);
        assert_eq!(bench.commands(), [0x0044]);
    }

    #[test]
    fn what_is_asked_for_is_answered_with_the_request_s_packet_id() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        bench.packets.clear();
        bench.send_as(PacketId::new(77).unwrap(), &Downlink::StatusAsk(Ids::of(&[1, 5, 99, 4])));
        bench.send_as(PacketId::new(78).unwrap(), &Downlink::InfoAsk(Ids::of(&[2, 4, 11])));
        let [status, info] = &bench.packets[..] else { panic!("{:?}", bench.packets) };
        assert_eq!((status.id, status.command, status.qos), (77, 0x0032, Qos::AtMostOnce));
        let values = quecota_core::wire::message::StatusValues::parse(&status.payload).unwrap();
        assert_eq!((values.battery, values.rsrp, values.signal), (Some(80), Some(-95), None));
        assert_eq!(values.flash_free, Some(64 * 1024));
        assert_eq!((info.id, info.command), (78, 0x0042));
        let values = quecota_core::wire::message::InfoValues::parse(&info.payload).unwrap();
        assert_eq!((values.module_version, values.cell, values.mcu_list), ("FWV1", None, None));
        assert!(values.sdk_version.starts_with("quecota/"));
    }

    #[test]
    fn many_questions_at_once_are_all_answered() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        bench.packets.clear();
        bench.acknowledges = false;
        for id in 1..6 {
            let mut buffer = [0; 64];
            let length =
                Downlink::StatusAsk(Ids::of(&[1])).emit_frame(PacketId::new(500 + id).unwrap(), &mut buffer);
            assert!(bench.agent.on_message(&mut bench.world, "q/1/d/x/sys", &buffer[..length.unwrap()]));
        }
        bench.run();
        assert_eq!(bench.packets.len(), 1);
        bench.acknowledges = true;
        bench.pass(60_000);
        let mut ids: Vec<u16> = bench.packets.iter().map(|packet| packet.id).collect();
        ids.dedup();
        assert_eq!(ids[1..], [502, 503, 504, 505]);
    }

    #[test]
    fn malformed_packets_move_nothing() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.connect();
        bench.take_session();
        bench.packets.clear();
        let mut buffer = [0; 64];
        let mut frame = |command: u16, payload: &[u8]| {
            let packet = PacketId::new(command + 1).unwrap();
            let frame = quecota_core::wire::frame::Frame {
                packet,
                command: quecota_core::wire::frame::Command(command),
                payload,
            };
            let length = frame.emit(&mut buffer).unwrap();
            buffer[..length].to_vec()
        };
        let half_plan = frame(0x0111, b"\x00\x23\x00\x09MCU");
        let no_target = frame(0x0111, b"\x00\x23\x00\x03MCU");
        let unknown = frame(0x0999, b"");
        for raw in [&half_plan[..], &no_target, &unknown, b"", b"\xAA\xAA", b"hello, this is no frame at all"]
        {
            bench.send_raw(raw);
        }
        assert_eq!((state(&bench), bench.packets.len(), bench.events.len()), (0, 0, 0));
        assert!(bench.logged("a malformed upgrade plan was dropped"));
        bench.offer(plan());
        assert_eq!(bench.statuses(), [1, 2]);
        bench.send_raw(&half_plan);
        assert_eq!(state(&bench), 2);
        bench.send_raw(&frame(0x0113, b"\x00\x23\x00\x03MCU"));
        assert_eq!((state(&bench), failure(&bench)), (0, Some(Failure::BadInfo)));
    }

    #[test]
    fn a_packet_that_comes_twice_counts_once() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        let packet = PacketId::new(40).unwrap();
        let notify = Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::Single(plan()) });
        for _ in 0..3 {
            bench.send_as(packet, &notify);
        }
        assert_eq!(bench.take_codes(), [10700]);
        bench.send_as(packet.next(), &notify);
        assert_eq!(bench.take_codes(), [10700], "a new packet is a new plan");
        bench.lose_link();
        bench.pass(5_000);
        bench.send_as(packet, &notify);
        assert_eq!(bench.take_codes(), [10700], "each connection counts anew");
    }

    #[test]
    fn firmware_information_of_another_plan_is_dropped() {
        let mut bench = Bench::new(64 * 1024);
        confirm(&mut bench);
        bench.connect();
        bench.give_url(plan());
        bench.offer(plan());
        bench.give_url(Plan { component: "X", ..plan() });
        bench.give_url(Plan { target: "9", ..plan() });
        assert_eq!((state(&bench), bench.ranges.len()), (2, 0));
        bench.give_url(plan());
        assert_eq!(state(&bench), 8);
        bench.offer(Plan { component: "X", ..plan() });
        assert_eq!(state(&bench), 8, "a plan in mid-upgrade waits");
    }

    #[test]
    fn messages_that_do_not_fit_are_refused_or_dropped_with_a_word() {
        let mut bench = Bench::new(64 * 1024);
        assert!(bench.agent.on_message(&mut bench.world, "t", &[0; 1500]));
        assert!(!bench.agent.on_message(&mut bench.world, "t", &[0; 1500]));
        assert!(bench.agent.on_message(&mut bench.world, "t", &[0; 4000]));
        assert!(bench.logged("longer than the receive buffer"));
        bench.run();
        assert!(bench.agent.on_message(&mut bench.world, "t", &[0; 1500]));
    }
}

mod sessions {
    use super::*;

    #[test]
    fn a_bootstrap_stores_the_secret_and_the_next_start_logs_in() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        assert_eq!(bench.take_session(), [(1, 10200), (2, 10200), (3, 10200)]);
        let Password::Bootstrap(bootstrap) = Password::parse(&bench.passwords[0]).unwrap() else { panic!() };
        assert_eq!(bootstrap.open(PRODUCT_SECRET).unwrap().as_str(), "860000000000001");
        let mut bench = bench.reboot();
        bench.connect();
        assert_eq!(bench.take_session(), [(2, 10200), (3, 10200)]);
        let Password::Login(login) = Password::parse(&bench.passwords[0]).unwrap() else { panic!() };
        assert_eq!(login.verify(PRODUCT_SECRET, DEVICE_SECRET), Ok(()));
    }

    #[test]
    fn encrypted_sessions_upgrade_too_and_take_nothing_in_the_clear() {
        let mut bench = Bench::new(20 * 1024);
        let flash = upgrade(&mut bench);
        bench.agent.set_session_encryption(true).unwrap();
        bench.start_upgrade(plan());
        assert_eq!((state(&bench), &*flash.borrow()), (9, &bench.file));
        let mut buffer = [0; 256];
        let notify = Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::Single(plan()) });
        let length = notify.emit_frame(PacketId::new(999).unwrap(), &mut buffer).unwrap();
        bench.agent.set_mcu_version(&mut bench.world, "MCU", "2").unwrap();
        bench.run();
        bench.send_raw(&buffer[..length]);
        assert_eq!(state(&bench), 0);
        assert!(bench.logged("not encrypted as agreed"));
    }

    #[test]
    fn nothing_leaves_in_the_clear_that_was_to_be_encrypted() {
        let mut bench = Bench::new(64 * 1024);
        bench.agent.set_session_encryption(true).unwrap();
        bench.gives_key = false;
        bench.connect();
        bench.pass(59_999);
        assert!(bench.packets.is_empty());
        bench.gives_key = true;
        bench.pass(10_000);
        assert_eq!(bench.commands(), [0x0044, 0x0034], "without a key it connects again");
    }

    #[test]
    fn a_secret_that_never_comes_is_not_waited_for_for_ever() {
        let mut bench = Bench::new(64 * 1024);
        bench.gives_secret = false;
        bench.connect();
        assert_eq!(bench.agent.work_state(), WorkState::Authenticating);
        assert_eq!(bench.agent.ota_request(&mut bench.world, 0), Err(CallError::Offline));
        bench.pass(60_000);
        assert_eq!(bench.take_session(), [(1, 10500)]);
        assert_eq!(bench.agent.work_state(), WorkState::AuthenticateFailed);
        bench.gives_secret = true;
        bench.pass(3_000);
        assert_eq!(bench.agent.work_state(), WorkState::Subscribed);
    }

    #[test]
    fn only_a_wrong_signature_costs_the_secret_and_bootstrap_follows_by_itself() {
        for (code, event, stays) in
            [(1, 10471, true), (2, 10430, true), (3, 10474, true), (4, 10430, false), (5, 10430, true)]
        {
            let mut bench = Bench::new(64 * 1024);
            bench.connect();
            let mut bench = bench.reboot();
            bench.connack.push_back(Link::Refused(code));
            bench.connect();
            assert_eq!(bench.take_session(), [(2, event)], "CONNACK {code}");
            assert_eq!(bench.agent.work_state(), WorkState::ConnectFailed);
            assert_eq!(bench.agent.device().1 == DEVICE_SECRET, stays);
            bench.pass(13 * 60_000);
            assert_eq!(bench.agent.work_state(), WorkState::Subscribed);
            assert_eq!(bench.passwords[1].starts_with('1'), stays);
        }
    }

    #[test]
    fn retries_back_off_by_doubling_and_a_platform_that_returns_is_found_within_minutes() {
        let mut bench = Bench::new(64 * 1024);
        bench.reachable = false;
        bench.connect();
        bench.pass(70_000);
        let after_a_minute = bench.passwords.len();
        assert!((5..=7).contains(&after_a_minute), "{after_a_minute} tries in the first minute");
        bench.pass(4 * 60 * 60_000);
        let after_hours = bench.passwords.len() - after_a_minute;
        assert!((18..=30).contains(&after_hours), "{after_hours} more tries in four hours");
        bench.reachable = true;
        bench.pass(13 * 60_000);
        assert_eq!(bench.agent.work_state(), WorkState::Subscribed);
    }

    #[test]
    fn a_broker_that_closes_after_each_suback_is_tried_more_and_more_seldom() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        let end = bench.world.now + 60 * 60_000;
        while bench.world.now < end {
            if bench.agent.work_state() == WorkState::Subscribed {
                bench.lose_link();
            }
            bench.pass(100);
        }
        let connects = bench.passwords.len();
        assert!((10..=16).contains(&connects), "{connects} connections in an hour");
    }

    #[test]
    fn two_devices_with_one_key_come_to_rest() {
        let mut devices = [Bench::new(64 * 1024), Bench::new(64 * 1024)];
        devices[1].world.random = 8;
        for minute in 0..180 {
            for _ in 0..600 {
                for which in [0, 1] {
                    let before = devices[which].passwords.len();
                    if minute == 0 && before == 0 {
                        devices[which].connect();
                    }
                    devices[which].pass(100);
                    if devices[which].passwords.len() > before {
                        devices[1 - which].lose_link();
                    }
                }
            }
        }
        let connects = devices.each_ref().map(|device| device.passwords.len());
        assert!(connects.iter().sum::<usize>() < 120, "{connects:?} connections in three hours");
    }

    #[test]
    fn the_retry_delay_begins_anew_once_a_link_has_lasted_a_minute() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        for _ in 0..5 {
            bench.lose_link();
            bench.pass(60_000);
            assert!(bench.agent.work_state() == WorkState::Subscribed, "at most 16 s and a quarter");
        }
        bench.pass(60_000);
        bench.lose_link();
        let before = bench.passwords.len();
        bench.pass(3_000);
        assert_eq!(bench.passwords.len(), before + 1);
    }

    #[test]
    fn a_link_that_breaks_is_told_and_made_again() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        bench.take_session();
        bench.lose_link();
        assert_eq!(bench.take_session(), [(2, 10474)]);
        assert_eq!(bench.agent.ota_request(&mut bench.world, 0), Err(CallError::Offline));
        bench.pass(3_000);
        assert_eq!(bench.take_session(), [(2, 10200), (3, 10200)]);
    }

    #[test]
    fn idle_leaves_and_stays_away() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        bench.take_session();
        assert_eq!(bench.agent.set_product(&mut bench.world, "p", "s"), Err(CallError::NotIdle));
        bench.agent.set_mode(&mut bench.world, Mode::Idle).unwrap();
        bench.pass(60 * 60_000);
        assert_eq!(bench.take_session(), [(6, 10200)]);
        assert_eq!((bench.agent.work_state(), bench.passwords.len()), (WorkState::Disconnected, 1));
        bench.connect();
        assert_eq!(bench.take_session(), [(2, 10200), (3, 10200)]);
    }

    #[test]
    fn the_same_product_set_again_keeps_the_secret_and_another_does_not() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        let mut bench = bench.reboot();
        assert_eq!(bench.agent.device().1, DEVICE_SECRET);
        bench.agent.set_product(&mut bench.world, "p2", "another-product-secret").unwrap();
        assert_eq!(bench.agent.device().1, "");
        assert_eq!(bench.agent.set_product(&mut bench.world, "", "x"), Err(CallError::Value));
        assert_eq!(bench.agent.set_product(&mut bench.world, &"x".repeat(33), "x"), Err(CallError::Value));
    }

    #[test]
    fn notices_of_the_platform_are_told_and_bad_ones_end_the_connection() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        bench.take_session();
        let notice = |code| Downlink::Notice(Notice { code, packet: None, product_key: "", device_key: "" });
        bench.send(&notice(10428));
        assert_eq!(bench.take_session(), [(8, 10428)]);
        assert_eq!(bench.agent.work_state(), WorkState::Subscribed);
        bench.send(&notice(10423));
        assert_eq!(bench.take_session(), [(1, 10423)]);
        assert_eq!(bench.agent.work_state(), WorkState::AuthenticateFailed);
    }

    #[test]
    fn another_secret_or_server_makes_the_device_come_again() {
        let mut bench = Bench::new(64 * 1024);
        bench.connect();
        bench.take_session();
        let dns = quecota_core::wire::message::Dns { domain: "new.example.com", ip: "", port: Some(1884) };
        let provision = Provision { dns: Some(dns), new_device_secret: "fresh", ..Provision::default() };
        bench.send(&Downlink::Provision(provision));
        assert_eq!(bench.take_session(), [(2, 10475)]);
        bench.pass(3_000);
        assert_eq!(bench.take_session(), [(2, 10200), (3, 10200)]);
        assert_eq!(bench.agent.server(), "mqtt://new.example.com:1884");
        let bench = bench.reboot();
        assert_eq!((bench.agent.server(), bench.agent.device().1), ("mqtt://new.example.com:1884", "fresh"));
    }

    #[test]
    fn incomplete_configuration_does_not_connect() {
        let mut world = World::new(64 * 1024);
        let mut agent = Agent::new(Box::leak(vec![0; 2048].into_boxed_slice()));
        agent.start(&mut world);
        assert_eq!(agent.set_mode(&mut world, Mode::Request), Err(CallError::Incomplete));
        assert_eq!(agent.mode(), Mode::Idle);
    }
}

#[test]
fn the_agent_is_small() {
    let size = size_of::<Agent<'_>>();
    assert!(size <= 8 * 1024, "{size} bytes");
    println!("size_of::<Agent>() = {size}");
}
