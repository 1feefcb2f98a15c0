//! Rows of docs/compatibility.md that the agent's other tests do not show, and the page itself: a test that it names
//! must be there.

mod page;

use std::cell::RefCell;
use std::rc::Rc;

use quecota_core::agent::{Agent, CallError, Event, EventValue, Failure, Mode};
use quecota_core::platform::{Applied, Range};
use quecota_core::wire::message::{
    ComponentKind, Content, Downlink, FirmwareInfo, PackageFile, Plan, PlanNotify, Plans, Records,
    StatusEvent,
};
use test_platform::bench::{Bench, Serve, URL, md5_of, plan};
use test_platform::world::{Asked, World};

/// What the application does with an OTA event.
type Script = fn(&mut Agent<'static>, &mut World, &Event);

fn confirming(agent: &mut Agent<'static>, world: &mut World, event: &Event) {
    if event.code == 10700 {
        agent.ota_action(world, 1).unwrap();
    }
}

/// Confirms, and goes through the pieces without a look at them.
fn upgrading(agent: &mut Agent<'static>, world: &mut World, event: &Event) {
    confirming(agent, world, event);
    if event.code == 10703 && agent.ota_action(world, 2).is_err() {
        let _ = agent.ota_action(world, 3); // a module's 10703 asks for nothing
    }
}

/// As [`upgrading`], for a list: one answer is for all of it.
fn upgrading_or_confirmed(agent: &mut Agent<'static>, world: &mut World, event: &Event) {
    if event.code == 10700 {
        let _ = agent.ota_action(world, 1);
    } else {
        upgrading(agent, world, event);
    }
}

/// 0x0113 of an MCU in the form that only modules have (id 20).
fn several_files(component: &'static str) -> Downlink<'static> {
    const FILE: PackageFile<'static> = PackageFile { index: 0, url: URL, size: 10, md5: [1; 16] };
    let Plan { source, target, kind, .. } = plan();
    let content = Content::Files(Records::of(&[FILE]));
    Downlink::FirmwareInfo(FirmwareInfo { component, source, target, kind, content })
}

fn bench(image: u32, script: Script) -> Bench {
    let mut bench = Bench::new(image);
    bench.application(script);
    bench
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

/// A device that rests in this state of an MCU upgrade. `None`: no state of an upgrade.
fn resting_in(wanted: u8) -> Option<Bench> {
    let mut bench = bench(64 * 1024, if wanted == 9 { upgrading } else { confirming });
    bench.agent.set_mcu_version(&mut bench.world, "MCU", "1").unwrap();
    match wanted {
        1 => bench.application(|_, _, _| {}),
        4 => bench.serve.push_back(Serve::Silence),
        5 => bench.serve.push_back(Serve::Stall(9_000)),
        6 => bench.serve.push_back(Serve::Short(9_000)),
        2 | 8 | 9 => {}
        _ => return None,
    }
    bench.connect();
    bench.offer(plan());
    if wanted > 2 {
        bench.give_url(plan());
    }
    assert_eq!(state(&bench), wanted);
    Some(bench)
}

mod transitions {
    use super::*;

    #[test]
    fn confirming_twice_is_right_and_said_once() {
        let mut bench = resting_in(2).unwrap();
        assert_eq!(bench.agent.ota_action(&mut bench.world, 1), Ok(()));
        bench.run();
        assert_eq!(bench.statuses(), [1, 2]);
        bench.pass(29_999);
        assert_eq!(state(&bench), 2);
        bench.pass(1);
        assert_eq!(state(&bench), 0, "nor does it give the platform more time");
    }

    #[test]
    fn an_action_in_any_state_but_its_own_is_refused_and_changes_nothing() {
        for resting in [1, 2, 4, 5, 6, 8, 9] {
            let right: &[u8] = match resting {
                1 => &[0, 1],
                2 => &[1],
                8 | 9 => &[3],
                _ => &[],
            };
            for action in (0..=4).filter(|action| !right.contains(action)) {
                let mut bench = resting_in(resting).unwrap();
                let before = bench.statuses();
                let refused = bench.agent.ota_action(&mut bench.world, action);
                assert!(
                    matches!(refused, Err(CallError::State | CallError::Value)),
                    "action {action} in {resting}"
                );
                bench.run();
                assert_eq!((state(&bench), bench.statuses()), (resting, before), "action {action}");
            }
        }
    }

    #[test]
    fn a_plan_in_mid_upgrade_changes_nothing() {
        for resting in [2, 4, 5, 8, 9] {
            let mut bench = resting_in(resting).unwrap();
            bench.take_codes();
            let before = bench.statuses();
            bench.offer(plan());
            bench.offer(Plan { component: "OTHER", target: "7", ..plan() });
            assert_eq!((state(&bench), bench.statuses()), (resting, before));
            assert_eq!(bench.take_codes(), [0i32; 0], "in {resting}");
        }
    }

    /// QUECTHING.md 3.6 #1: there the second packet takes the confirmation back, and the URL is ignored.
    #[test]
    fn a_plan_sent_again_after_the_confirmation_does_not_stop_the_upgrade() {
        let mut bench = resting_in(2).unwrap();
        bench.offer(plan());
        bench.give_url(plan());
        assert_eq!(state(&bench), 8);
        assert_eq!(bench.take_codes(), [10700, 10701, 10702, 10703]);
    }

    #[test]
    fn firmware_information_counts_only_between_confirmation_and_download() {
        for resting in [1, 4, 5, 6, 8, 9] {
            let mut bench = resting_in(resting).unwrap();
            let (fetches, before) = (bench.ranges.len(), bench.statuses());
            bench.give_url(plan());
            assert_eq!((state(&bench), bench.statuses()), (resting, before));
            assert_eq!(bench.ranges.len(), fetches, "in {resting}");
        }
    }

    #[test]
    fn a_url_that_comes_after_its_upgrade_ended_starts_nothing() {
        for end in 0..3 {
            let mut bench = resting_in(2).unwrap();
            match end {
                0 => bench.pass(30_000), // no URL in time
                1 => bench.agent.set_mcu_version(&mut bench.world, "MCU", "2").unwrap(),
                _ => bench.send(&several_files("MCU")),
            }
            bench.run();
            assert_eq!(state(&bench), 0);
            bench.give_url(plan());
            assert_eq!((state(&bench), bench.ranges.len()), (0, 0), "end {end}");
        }
    }

    #[test]
    fn a_component_of_a_list_that_fails_is_reported_by_its_own_name_and_the_next_one_goes_on() {
        let mut bench = bench(64 * 1024, upgrading_or_confirmed);
        bench.connect();
        let plans = ["A", "B", "C"].map(|component| Plan { component, ..plan() });
        let notify = PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) };
        bench.send(&Downlink::PlanNotify(notify));
        bench.give_url(plans[0]);
        bench.agent.set_mcu_version(&mut bench.world, "A", "2").unwrap();
        bench.run();
        bench.send(&several_files("B"));
        assert_eq!(bench.packets.last().unwrap().status, Some((12, "B".into())));
        bench.give_url(plans[2]);
        bench.agent.set_mcu_version(&mut bench.world, "C", "2").unwrap();
        bench.run();
        assert_eq!(bench.packets.last().unwrap().status, Some((11, "C".into())));
    }

    #[test]
    fn a_version_decides_the_upgrade_in_every_state_from_confirmed_to_updating() {
        for resting in [2, 4, 5, 6, 8, 9] {
            for (version, code, status) in [("2", 10705, 11), ("3", 10706, 12)] {
                let mut bench = resting_in(resting).unwrap();
                bench.agent.set_mcu_version(&mut bench.world, "MCU", version).unwrap();
                bench.run();
                assert_eq!(state(&bench), 0, "{version} in {resting}");
                assert_eq!(bench.take_codes().last(), Some(&code));
                let last = bench.packets.last().unwrap();
                let event = StatusEvent::parse(&last.payload).unwrap();
                assert_eq!((event.status.number(), event.versions.module), (status, "FWV1"));
                assert_eq!(event.versions.mcu, format!("MCU:{version}"));
                let (told, said) = (bench.events.len(), bench.packets.len());
                bench.pass(30 * 60_000);
                let reported = bench.statuses();
                assert_eq!((bench.events.len(), reported.last()), (told, Some(&status)), "nothing follows");
                assert_eq!(bench.packets.len(), said);
            }
        }
    }

    #[test]
    fn the_version_it_had_before_is_no_word_about_the_upgrade_in_any_state() {
        for resting in [1, 2, 4, 5, 6, 8, 9] {
            let mut bench = resting_in(resting).unwrap();
            let before = bench.statuses();
            bench.agent.set_mcu_version(&mut bench.world, "MCU", "1").unwrap();
            bench.agent.set_mcu_version(&mut bench.world, "OTHER", "2").unwrap();
            bench.run();
            assert_eq!((state(&bench), bench.statuses()), (resting, before));
        }
    }

    #[test]
    fn a_module_image_with_wrong_bytes_is_given_back_and_never_applied() {
        let mut bench = bench(64 * 1024, confirming);
        bench.serve.push_back(Serve::Corrupt);
        bench.start_upgrade(module_plan());
        assert_eq!((state(&bench), failure(&bench)), (6, Some(Failure::WrongDigest)));
        assert_eq!(bench.take_codes(), [10700, 10701, 10702], "no 10703");
        bench.world.now += 6_000;
        bench.agent.poll(&mut bench.world);
        assert!(!bench.world.asked.contains(&Asked::Apply(50_000)));
        bench.offer(module_plan());
        bench.give_url(module_plan());
        assert_eq!(state(&bench), 9);
        assert_eq!(bench.ranges.last(), Some(&Range { start: 0, length: 50_000 }));
    }

    #[test]
    fn a_sha256_that_does_not_match_fails_though_the_md5_does() {
        let mut bench = bench(64 * 1024, upgrading);
        bench.connect();
        bench.offer(plan());
        let content = Content::File {
            url: URL,
            size: 50_000,
            md5: md5_of(&bench.file),
            crc: crc32fast::hash(&bench.file),
            sha256: Some([7; 32]),
        };
        let Plan { component, source, target, kind, .. } = plan();
        bench.send(&Downlink::FirmwareInfo(FirmwareInfo { component, source, target, kind, content }));
        assert_eq!((state(&bench), failure(&bench)), (6, Some(Failure::WrongDigest)));
        assert_eq!(bench.take_codes(), [10700, 10701, 10702]);
    }

    /// The polynomial of the announced CRC is a guess, so it does not stand against a digest that matches.
    #[test]
    fn a_crc_that_does_not_match_is_a_log_line_beside_an_md5_that_does() {
        let mut bench = bench(64 * 1024, upgrading);
        bench.connect();
        bench.offer(plan());
        let content =
            Content::File { url: URL, size: 50_000, md5: md5_of(&bench.file), crc: 1, sha256: None };
        let Plan { component, source, target, kind, .. } = plan();
        bench.send(&Downlink::FirmwareInfo(FirmwareInfo { component, source, target, kind, content }));
        assert_eq!(state(&bench), 9);
        assert!(bench.logged("polynomial is a guess"));
    }

    #[test]
    fn after_an_end_the_next_plan_begins_with_nothing_of_the_last() {
        for version in ["2", "3"] {
            let mut bench = resting_in(9).unwrap();
            bench.agent.set_mcu_version(&mut bench.world, "MCU", version).unwrap();
            bench.run();
            let progress = bench.agent.ota_progress();
            assert_eq!((progress.state, progress.received, progress.size), (0, 0, 0));
            bench.take_codes();
            bench.ranges.clear();
            let next = Plan { source: version, target: "4", ..plan() };
            bench.offer(next);
            bench.give_url(next);
            assert_eq!(bench.take_codes(), [10700, 10701, 10702, 10703, 10704]);
            assert_eq!(bench.ranges, [Range { start: 0, length: 50_000 }]);
        }
    }

    #[test]
    fn failures_of_one_plan_do_not_count_for_the_next() {
        let mut bench = bench(64 * 1024, confirming);
        bench.connect();
        for target in ["2", "3"] {
            let plan = Plan { target, ..plan() };
            bench.serve.extend([Serve::Status(500); 5]);
            for _ in 0..5 {
                bench.offer(plan);
                bench.give_url(plan);
                assert_eq!(state(&bench), 6, "version {target}");
            }
        }
    }

    #[test]
    fn a_refused_list_is_refused_as_a_whole() {
        let mut bench = bench(64 * 1024, |agent, world, event| {
            if event.code == 10700 {
                let _ = agent.ota_action(world, 0);
            }
        });
        bench.connect();
        let plans = ["A", "B"].map(|component| Plan { component, ..plan() });
        bench.send(&Downlink::PlanNotify(PlanNotify {
            handling: None,
            plans: Plans::List(Records::of(&plans)),
        }));
        assert_eq!(bench.statuses(), [1, 3]);
        let told = bench.take_ota();
        assert_eq!(told.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [10700, 10700, 10707]);
        assert_eq!(told[2].1, "#0", "2.9 says 0 for both answers");
        bench.give_url(plans[0]);
        assert!(bench.ranges.is_empty());
    }

    #[test]
    fn a_download_tells_how_far_it_is_and_so_does_its_end() {
        let bench = resting_in(5).unwrap();
        let progress = bench.agent.ota_progress();
        assert_eq!((progress.received, progress.size, progress.failure), (9_000, 50_000, None));
        let bench = resting_in(6).unwrap();
        let progress = bench.agent.ota_progress();
        assert_eq!((progress.received, progress.failure), (9_000, Some(Failure::Short)));
        let bench = resting_in(8).unwrap();
        assert_eq!(bench.agent.ota_progress().received, 50_000);
    }

    #[test]
    fn a_download_goes_on_while_the_link_to_the_platform_is_lost() {
        let mut bench = resting_in(5).unwrap();
        bench.reachable = false;
        bench.lose_link();
        for chunk in bench.file.clone()[9_000..].chunks(1_000) {
            bench.pass(500);
            let _ = bench.agent.on_fetch_data(&mut bench.world, chunk);
        }
        bench.agent.on_fetch_end(&mut bench.world, quecota_core::agent::FetchEnd::Complete);
        bench.run();
        assert_eq!(state(&bench), 8);
        assert_eq!(bench.take_codes().last(), Some(&10703));
    }
}

mod reboots {
    use super::*;

    fn quiet_after(bench: Bench) {
        let mut bench = bench.reboot();
        bench.run();
        assert_eq!((state(&bench), bench.take_codes()), (0, vec![]));
        bench.connect();
        bench.pass(30 * 60_000);
        assert_eq!((bench.take_codes(), bench.statuses()), (vec![], vec![]));
    }

    #[test]
    fn a_start_without_an_upgrade_says_nothing() {
        let mut bench = bench(64 * 1024, confirming);
        bench.connect();
        quiet_after(bench);
    }

    #[test]
    fn an_end_that_was_told_and_reported_is_not_told_again_after_a_reboot() {
        for version in ["2", "3"] {
            let mut bench = resting_in(9).unwrap();
            bench.agent.set_mcu_version(&mut bench.world, "MCU", version).unwrap();
            bench.run();
            quiet_after(bench);
        }
        let mut bench = resting_in(1).unwrap();
        bench.agent.ota_action(&mut bench.world, 0).unwrap();
        bench.run();
        quiet_after(bench);
    }

    #[test]
    fn an_upgrade_that_a_reboot_interrupted_is_offered_again_from_every_state() {
        for resting in [2, 4, 5, 8] {
            let mut bench = resting_in(resting).unwrap().reboot();
            bench.application(upgrading);
            bench.connect();
            assert_eq!(bench.statuses(), [2], "from {resting}: no 6, no 12");
            bench.give_url(plan());
            let codes: &[i32] = match resting {
                8 => &[10700, 10701, 10703, 10704], // nothing is missing, so nothing is fetched
                _ => &[10700, 10701, 10702, 10703, 10704],
            };
            assert_eq!(bench.take_codes(), codes, "from {resting}");
            assert_eq!(state(&bench), 9);
        }
    }

    #[test]
    fn an_mcu_gets_its_20_minutes_again_after_a_reboot() {
        let mut bench = resting_in(9).unwrap();
        bench.pass(19 * 60_000);
        let mut bench = bench.reboot();
        bench.pass(20 * 60_000 - 1);
        assert_eq!(state(&bench), 9);
        bench.pass(1);
        assert_eq!((state(&bench), bench.take_codes()), (0, vec![10704, 10706]));
    }

    #[test]
    fn a_module_that_came_to_the_target_by_itself_is_done() {
        for wait in [Serve::Silence, Serve::Stall(9_000), Serve::Well] {
            let mut bench = bench(64 * 1024, confirming);
            bench.serve.push_back(wait);
            bench.start_upgrade(module_plan());
            bench.world.module_version = "FWV2".into();
            let mut bench = bench.reboot();
            bench.application(confirming);
            bench.connect();
            assert_eq!(bench.take_codes(), [10705], "{wait:?}");
            assert_eq!((bench.statuses(), state(&bench)), (vec![11], 0));
        }
    }

    /// The application's part of the version is set after the start, and an event needs someone to take it.
    #[test]
    fn what_a_reboot_found_is_told_once_there_is_someone_to_hear_it() {
        let mut bench = bench(64 * 1024, confirming);
        bench.start_upgrade(module_plan());
        bench.pass(5_000);
        bench.world.module_version = "FW".into();
        let mut bench = bench.reboot();
        assert!(bench.agent.next_event().is_none(), "not inside the start");
        bench.agent.set_app_version(Some("V2")).unwrap();
        let heard = Rc::new(RefCell::new(Vec::new()));
        let notes = heard.clone();
        bench.application(move |_, _, event| notes.borrow_mut().push(event.code));
        bench.connect();
        assert!(heard.borrow().ends_with(&[10705]), "{:?}", heard.borrow());
    }

    #[test]
    fn an_apply_that_refuses_is_told_with_its_reason_and_not_tried_after_a_reboot() {
        let mut bench = bench(64 * 1024, confirming);
        bench.world.applied = Applied::Refused;
        bench.start_upgrade(module_plan());
        bench.pass(5_000);
        assert_eq!(bench.take_codes().last(), Some(&10706));
        assert_eq!(failure(&bench), Some(Failure::ApplyRefused));
        quiet_after(bench);
    }
}

mod oddities {
    use super::*;

    #[test]
    fn a_plan_request_of_an_unknown_mode_is_refused_and_leaves_no_trace() {
        let mut bench = bench(64 * 1024, confirming);
        bench.connect();
        bench.packets.clear();
        for mode in [2, 3, u32::MAX] {
            assert_eq!(bench.agent.ota_request(&mut bench.world, mode), Err(CallError::Value));
        }
        bench.run();
        assert!(bench.packets.is_empty(), "nothing is sent");
        assert!(bench.logged("the mode must be 0 or 1"));
        bench.offer(plan());
        let confirmation = StatusEvent::parse(&bench.packets.last().unwrap().payload).unwrap();
        assert_eq!(confirmation.signature, None, "nothing is stored");
    }

    #[test]
    fn the_same_mode_again_is_right_and_does_nothing() {
        let mut bench = bench(64 * 1024, confirming);
        assert_eq!(bench.agent.set_mode(&mut bench.world, Mode::Idle), Ok(()));
        bench.connect();
        bench.take_session();
        assert_eq!(bench.agent.set_mode(&mut bench.world, Mode::Request), Ok(()));
        bench.run();
        assert_eq!((bench.passwords.len(), bench.take_session()), (1, vec![]));
    }

    #[test]
    fn a_lifetime_of_20_s_or_less_is_21_on_the_wire() {
        for (lifetime, sent) in [(1, 21), (20, 21), (21, 21), (22, 22)] {
            let mut bench = bench(64 * 1024, confirming);
            bench.agent.set_lifetime(lifetime).unwrap();
            bench.agent.set_mode(&mut bench.world, Mode::Request).unwrap();
            bench.agent.poll(&mut bench.world);
            let connects: Vec<u16> = bench
                .world
                .asked
                .iter()
                .filter_map(|asked| match asked {
                    Asked::Connect { keep_alive, .. } => Some(*keep_alive),
                    _ => None,
                })
                .collect();
            assert_eq!(connects, [sent]);
        }
    }

    /// 0x0111 with id 27.
    fn offer_handled(bench: &mut Bench, handling: u32, plan: Plan<'_>) {
        let plans = Plans::Single(plan);
        bench.send(&Downlink::PlanNotify(PlanNotify { handling: Some(handling), plans }));
    }

    #[test]
    fn a_module_plan_that_asks_nobody_is_told_and_confirmed_by_itself() {
        let mut bench = bench(64 * 1024, |_, _, _| {});
        bench.connect();
        offer_handled(&mut bench, 1, module_plan());
        assert_eq!((state(&bench), bench.take_codes()), (2, vec![10700]));
        assert_eq!(bench.statuses(), [1, 2]);
        bench.give_url(module_plan());
        assert_eq!(bench.statuses().last(), Some(&9));
    }

    #[test]
    fn an_application_that_answers_a_plan_that_asks_nobody_is_still_right() {
        let mut bench = bench(64 * 1024, confirming);
        bench.connect();
        offer_handled(&mut bench, 1, module_plan());
        assert_eq!(bench.statuses(), [1, 2], "once");
        let mut bench = self::bench(64 * 1024, |agent, world, event| {
            if event.code == 10700 {
                agent.ota_action(world, 0).expect("a refusal inside the event counts");
            }
        });
        bench.connect();
        offer_handled(&mut bench, 1, module_plan());
        bench.pass(60_000);
        assert_eq!(bench.statuses(), [1, 3]);
    }

    #[test]
    fn every_other_plan_waits_for_the_application_whatever_id_27_says() {
        let mcu = test_platform::bench::plan();
        let list = [module_plan(), mcu];
        let listed =
            |count| PlanNotify { handling: Some(1), plans: Plans::List(Records::of(&list[..count])) };
        let single = |handling, plan| PlanNotify { handling, plans: Plans::Single(plan) };
        for notify in [
            single(Some(0), module_plan()),
            single(None, module_plan()),
            single(Some(1), mcu),
            listed(1),
            listed(2),
        ] {
            let mut bench = bench(64 * 1024, |_, _, _| {});
            bench.connect();
            bench.send(&Downlink::PlanNotify(notify));
            bench.pass(60_000);
            assert_eq!(state(&bench), 1, "{notify:?}");
        }
    }

    #[test]
    fn a_plan_that_asks_nobody_goes_on_after_a_reboot_and_without_anyone_who_listens() {
        let mut bench = bench(64 * 1024, |_, _, _| {});
        bench.serve.push_back(Serve::Stall(20_000));
        bench.connect();
        offer_handled(&mut bench, 1, module_plan());
        bench.give_url(module_plan());
        let mut bench = bench.reboot();
        bench.connect();
        assert_eq!((state(&bench), bench.take_codes()), (2, vec![10700]));
        bench.give_url(module_plan());
        assert_eq!(bench.ranges[0].start, 16_384);
        // Nobody takes an event.
        let mut bench = self::bench(64 * 1024, |_, _, _| {});
        bench.connect();
        let notify = PlanNotify { handling: Some(1), plans: Plans::Single(module_plan()) };
        let mut buffer = [0; 512];
        let packet = quecota_core::wire::frame::PacketId::new(900).unwrap();
        let length = Downlink::PlanNotify(notify).emit_frame(packet, &mut buffer).unwrap();
        assert!(bench.agent.on_message(&mut bench.world, "q/1/d/x/ota", &buffer[..length]));
        for _ in 0..40 {
            let wait = bench.agent.poll(&mut bench.world).0;
            bench.world.now += wait.clamp(1, 500);
        }
        assert_eq!(state(&bench), 2);
    }

    #[test]
    fn a_10703_of_a_module_has_no_text_and_reads_nothing() {
        let mut bench = bench(64 * 1024, confirming);
        bench.start_upgrade(module_plan());
        let told = bench.take_ota();
        assert!(told.iter().filter(|(code, _)| *code > 10700).all(|(_, text)| text.is_empty()));
        let read = bench.agent.ota_read(&mut bench.world, 0, &mut [0; 16]);
        assert_eq!(read, Err(CallError::State));
    }

    #[test]
    fn each_event_of_an_upgrade_is_there_only_after_the_state_changed() {
        let mut bench = Bench::new(64 * 1024);
        bench.application(|agent, world, event| {
            let state = agent.ota_progress().state;
            match event.code {
                10700 => assert_eq!(state, 1),
                10703 if event.value != EventValue::None => assert_eq!(state, 8),
                10704 => assert_eq!(state, 9),
                10705 => assert_eq!(state, 0),
                _ => {}
            }
            upgrading(agent, world, event);
        });
        bench.start_upgrade(plan());
        bench.agent.set_mcu_version(&mut bench.world, "MCU", "2").unwrap();
        bench.run();
        assert_eq!(bench.take_codes().last(), Some(&10705));
    }
}

#[test]
fn every_row_of_the_page_names_a_test_that_exists() {
    page::check("docs/compatibility.md", 60);
}

#[test]
fn a_name_that_is_no_test_is_not_taken_for_one() {
    use page::exists;
    assert!(exists("testing/platform/tests/agent.rs", "malformed_packets_move_nothing"));
    assert!(exists("tests/drop_in.c", "the_setters_rules"));
    assert!(!exists("testing/platform/tests/agent.rs", "malformed_packets"));
    assert!(!exists("testing/platform/tests/agent.rs", "module_plan"), "no test, though a function");
    assert!(!exists("testing/platform/tests/nowhere.rs", "anything"));
    assert!(!exists("tests/drop_in.c", "Ql_iotInit"), "called, not defined");
}
