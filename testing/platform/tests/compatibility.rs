//! Rows of docs/compatibility.md that the agent's other tests do not show, and the page itself: a test that it names
//! must be there.

#[allow(dead_code)] // each test file uses its own part
mod page;

use std::cell::RefCell;
use std::rc::Rc;

use quecota_core::agent::{Agent, CallError, Event, EventValue, Failure, Mode};
use quecota_core::platform::{Applied, Range};
use quecota_core::wire::message::{
    ComponentKind, Content, Downlink, FirmwareInfo, PackageFile, Plan, PlanNotify, Plans, Records,
    StatusEvent,
};
use test_platform::harness::{Harness, Serve, URL, md5_of, plan};
use test_platform::mock_platform::{Asked, MockPlatform};

/// What the application does with an OTA event.
type Script = fn(&mut Agent<'static>, &mut MockPlatform, &Event);

fn confirming(agent: &mut Agent<'static>, world: &mut MockPlatform, event: &Event) {
    if event.code == 10700 {
        agent.ota_action(world, 1).unwrap();
    }
}

/// Confirms, and goes through the pieces without a look at them.
fn upgrading(agent: &mut Agent<'static>, world: &mut MockPlatform, event: &Event) {
    confirming(agent, world, event);
    if event.code == 10703 && agent.ota_action(world, 2).is_err() {
        let _ = agent.ota_action(world, 3); // a module's 10703 asks for nothing
    }
}

/// As [`upgrading`], for a list: one answer is for all of it.
fn upgrading_or_confirmed(agent: &mut Agent<'static>, world: &mut MockPlatform, event: &Event) {
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

fn harness(image: u32, script: Script) -> Harness {
    let mut harness = Harness::new(image);
    harness.application(script);
    harness
}

fn module_plan() -> Plan<'static> {
    Plan { component: "app", source: "FWV1", target: "FWV2", kind: ComponentKind::Module, ..plan() }
}

fn state(harness: &Harness) -> u8 {
    harness.agent.ota_progress().state
}

fn failure(harness: &Harness) -> Option<Failure> {
    harness.agent.ota_progress().failure
}

/// A device that rests in this state of an MCU upgrade. `None`: no state of an upgrade.
fn resting_in(wanted: u8) -> Option<Harness> {
    let mut harness = harness(64 * 1024, if wanted == 9 { upgrading } else { confirming });
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
    match wanted {
        1 => harness.application(|_, _, _| {}),
        4 => harness.serve.push_back(Serve::Silence),
        5 => harness.serve.push_back(Serve::Stall(9_000)),
        6 => harness.serve.push_back(Serve::Short(9_000)),
        2 | 8 | 9 => {}
        _ => return None,
    }
    harness.connect();
    harness.offer(plan());
    if wanted > 2 {
        harness.give_url(plan());
    }
    assert_eq!(state(&harness), wanted);
    Some(harness)
}

mod transitions {
    use super::*;

    #[test]
    fn confirming_twice_is_right_and_said_once() {
        let mut harness = resting_in(2).unwrap();
        assert_eq!(harness.agent.ota_action(&mut harness.world, 1), Ok(()));
        harness.run();
        assert_eq!(harness.statuses(), [1, 2]);
        harness.pass(29_999);
        assert_eq!(state(&harness), 2);
        harness.pass(1);
        assert_eq!(state(&harness), 0, "nor does it give the platform more time");
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
                let mut harness = resting_in(resting).unwrap();
                let before = harness.statuses();
                let refused = harness.agent.ota_action(&mut harness.world, action);
                assert!(
                    matches!(refused, Err(CallError::State | CallError::Value)),
                    "action {action} in {resting}"
                );
                harness.run();
                assert_eq!((state(&harness), harness.statuses()), (resting, before), "action {action}");
            }
        }
    }

    #[test]
    fn a_plan_in_mid_upgrade_changes_nothing() {
        for resting in [2, 4, 5, 8, 9] {
            let mut harness = resting_in(resting).unwrap();
            harness.take_codes();
            let before = harness.statuses();
            harness.offer(plan());
            harness.offer(Plan { component: "OTHER", target: "7", ..plan() });
            assert_eq!((state(&harness), harness.statuses()), (resting, before));
            assert_eq!(harness.take_codes(), [0i32; 0], "in {resting}");
        }
    }

    /// QUECTHING.md 3.6 #1: there the second packet takes the confirmation back, and the URL is ignored.
    #[test]
    fn a_plan_sent_again_after_the_confirmation_does_not_stop_the_upgrade() {
        let mut harness = resting_in(2).unwrap();
        harness.offer(plan());
        harness.give_url(plan());
        assert_eq!(state(&harness), 8);
        assert_eq!(harness.take_codes(), [10700, 10701, 10702, 10703]);
    }

    #[test]
    fn firmware_information_counts_only_between_confirmation_and_download() {
        for resting in [1, 4, 5, 6, 8, 9] {
            let mut harness = resting_in(resting).unwrap();
            let (fetches, before) = (harness.ranges.len(), harness.statuses());
            harness.give_url(plan());
            assert_eq!((state(&harness), harness.statuses()), (resting, before));
            assert_eq!(harness.ranges.len(), fetches, "in {resting}");
        }
    }

    #[test]
    fn a_url_that_comes_after_its_upgrade_ended_starts_nothing() {
        for end in 0..3 {
            let mut harness = resting_in(2).unwrap();
            match end {
                0 => harness.pass(30_000), // no URL in time
                1 => harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap(),
                _ => harness.send(&several_files("MCU")),
            }
            harness.run();
            assert_eq!(state(&harness), 0);
            harness.give_url(plan());
            assert_eq!((state(&harness), harness.ranges.len()), (0, 0), "end {end}");
        }
    }

    #[test]
    fn a_component_of_a_list_that_fails_is_reported_by_its_own_name_and_the_next_one_goes_on() {
        let mut harness = harness(64 * 1024, upgrading_or_confirmed);
        harness.connect();
        let plans = ["A", "B", "C"].map(|component| Plan { component, ..plan() });
        let notify = PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) };
        harness.send(&Downlink::PlanNotify(notify));
        harness.give_url(plans[0]);
        harness.agent.set_mcu_version(&mut harness.world, "A", "2").unwrap();
        harness.run();
        harness.send(&several_files("B"));
        assert_eq!(harness.packets.last().unwrap().status, Some((12, "B".into())));
        harness.give_url(plans[2]);
        harness.agent.set_mcu_version(&mut harness.world, "C", "2").unwrap();
        harness.run();
        assert_eq!(harness.packets.last().unwrap().status, Some((11, "C".into())));
    }

    #[test]
    fn a_version_decides_the_upgrade_in_every_state_from_confirmed_to_updating() {
        for resting in [2, 4, 5, 6, 8, 9] {
            for (version, code, status) in [("2", 10705, 11), ("3", 10706, 12)] {
                let mut harness = resting_in(resting).unwrap();
                harness.agent.set_mcu_version(&mut harness.world, "MCU", version).unwrap();
                harness.run();
                assert_eq!(state(&harness), 0, "{version} in {resting}");
                assert_eq!(harness.take_codes().last(), Some(&code));
                let last = harness.packets.last().unwrap();
                let event = StatusEvent::parse(&last.payload).unwrap();
                assert_eq!((event.status.number(), event.versions.module), (status, "FWV1"));
                assert_eq!(event.versions.mcu, format!("MCU:{version}"));
                let (told, said) = (harness.events.len(), harness.packets.len());
                harness.pass(30 * 60_000);
                let reported = harness.statuses();
                assert_eq!((harness.events.len(), reported.last()), (told, Some(&status)), "nothing follows");
                assert_eq!(harness.packets.len(), said);
            }
        }
    }

    #[test]
    fn the_version_it_had_before_is_no_word_about_the_upgrade_in_any_state() {
        for resting in [1, 2, 4, 5, 6, 8, 9] {
            let mut harness = resting_in(resting).unwrap();
            let before = harness.statuses();
            harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
            harness.agent.set_mcu_version(&mut harness.world, "OTHER", "2").unwrap();
            harness.run();
            assert_eq!((state(&harness), harness.statuses()), (resting, before));
        }
    }

    #[test]
    fn a_module_image_with_wrong_bytes_is_given_back_and_never_applied() {
        let mut harness = harness(64 * 1024, confirming);
        harness.serve.push_back(Serve::Corrupt);
        harness.start_upgrade(module_plan());
        assert_eq!((state(&harness), failure(&harness)), (6, Some(Failure::WrongDigest)));
        assert_eq!(harness.take_codes(), [10700, 10701, 10702], "no 10703");
        harness.world.now += 6_000;
        harness.agent.poll(&mut harness.world);
        assert!(!harness.world.asked.contains(&Asked::Apply(50_000)));
        harness.offer(module_plan());
        harness.give_url(module_plan());
        assert_eq!(state(&harness), 9);
        assert_eq!(harness.ranges.last(), Some(&Range { start: 0, length: 50_000 }));
    }

    #[test]
    fn a_sha256_that_does_not_match_fails_though_the_md5_does() {
        let mut harness = harness(64 * 1024, upgrading);
        harness.connect();
        harness.offer(plan());
        let content = Content::File {
            url: URL,
            size: 50_000,
            md5: md5_of(&harness.file),
            crc: crc32fast::hash(&harness.file),
            sha256: Some([7; 32]),
        };
        let Plan { component, source, target, kind, .. } = plan();
        harness.send(&Downlink::FirmwareInfo(FirmwareInfo { component, source, target, kind, content }));
        assert_eq!((state(&harness), failure(&harness)), (6, Some(Failure::WrongDigest)));
        assert_eq!(harness.take_codes(), [10700, 10701, 10702]);
    }

    /// The polynomial of the announced CRC is a guess, so it does not stand against a digest that matches.
    #[test]
    fn a_crc_that_does_not_match_is_a_log_line_beside_an_md5_that_does() {
        let mut harness = harness(64 * 1024, upgrading);
        harness.connect();
        harness.offer(plan());
        let content =
            Content::File { url: URL, size: 50_000, md5: md5_of(&harness.file), crc: 1, sha256: None };
        let Plan { component, source, target, kind, .. } = plan();
        harness.send(&Downlink::FirmwareInfo(FirmwareInfo { component, source, target, kind, content }));
        assert_eq!(state(&harness), 9);
        assert!(harness.logged("polynomial is a guess"));
    }

    #[test]
    fn after_an_end_the_next_plan_begins_with_nothing_of_the_last() {
        for version in ["2", "3"] {
            let mut harness = resting_in(9).unwrap();
            harness.agent.set_mcu_version(&mut harness.world, "MCU", version).unwrap();
            harness.run();
            let progress = harness.agent.ota_progress();
            assert_eq!((progress.state, progress.received, progress.size), (0, 0, 0));
            harness.take_codes();
            harness.ranges.clear();
            let next = Plan { source: version, target: "4", ..plan() };
            harness.offer(next);
            harness.give_url(next);
            assert_eq!(harness.take_codes(), [10700, 10701, 10702, 10703, 10704]);
            assert_eq!(harness.ranges, [Range { start: 0, length: 50_000 }]);
        }
    }

    #[test]
    fn failures_of_one_plan_do_not_count_for_the_next() {
        let mut harness = harness(64 * 1024, confirming);
        harness.connect();
        for target in ["2", "3"] {
            let plan = Plan { target, ..plan() };
            harness.serve.extend([Serve::Status(500); 5]);
            for _ in 0..5 {
                harness.offer(plan);
                harness.give_url(plan);
                assert_eq!(state(&harness), 6, "version {target}");
            }
        }
    }

    #[test]
    fn a_refused_list_is_refused_as_a_whole() {
        let mut harness = harness(64 * 1024, |agent, world, event| {
            if event.code == 10700 {
                let _ = agent.ota_action(world, 0);
            }
        });
        harness.connect();
        let plans = ["A", "B"].map(|component| Plan { component, ..plan() });
        harness.send(&Downlink::PlanNotify(PlanNotify {
            handling: None,
            plans: Plans::List(Records::of(&plans)),
        }));
        assert_eq!(harness.statuses(), [1, 3]);
        let told = harness.take_ota();
        assert_eq!(told.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [10700, 10700, 10707]);
        assert_eq!(told[2].1, "#0", "2.9 says 0 for both answers");
        harness.give_url(plans[0]);
        assert!(harness.ranges.is_empty());
    }

    #[test]
    fn a_download_tells_how_far_it_is_and_so_does_its_end() {
        let harness = resting_in(5).unwrap();
        let progress = harness.agent.ota_progress();
        assert_eq!((progress.received, progress.size, progress.failure), (9_000, 50_000, None));
        let harness = resting_in(6).unwrap();
        let progress = harness.agent.ota_progress();
        assert_eq!((progress.received, progress.failure), (9_000, Some(Failure::Short)));
        let harness = resting_in(8).unwrap();
        assert_eq!(harness.agent.ota_progress().received, 50_000);
    }

    #[test]
    fn a_download_goes_on_while_the_link_to_the_platform_is_lost() {
        let mut harness = resting_in(5).unwrap();
        harness.reachable = false;
        harness.lose_link();
        for chunk in harness.file.clone()[9_000..].chunks(1_000) {
            harness.pass(500);
            let _ = harness.agent.on_fetch_data(&mut harness.world, chunk);
        }
        harness.agent.on_fetch_end(&mut harness.world, quecota_core::agent::FetchEnd::Complete);
        harness.run();
        assert_eq!(state(&harness), 8);
        assert_eq!(harness.take_codes().last(), Some(&10703));
    }
}

mod reboots {
    use super::*;

    fn quiet_after(harness: Harness) {
        let mut harness = harness.reboot();
        harness.run();
        assert_eq!((state(&harness), harness.take_codes()), (0, vec![]));
        harness.connect();
        harness.pass(30 * 60_000);
        assert_eq!((harness.take_codes(), harness.statuses()), (vec![], vec![]));
    }

    #[test]
    fn a_start_without_an_upgrade_says_nothing() {
        let mut harness = harness(64 * 1024, confirming);
        harness.connect();
        quiet_after(harness);
    }

    #[test]
    fn an_end_that_was_told_and_reported_is_not_told_again_after_a_reboot() {
        for version in ["2", "3"] {
            let mut harness = resting_in(9).unwrap();
            harness.agent.set_mcu_version(&mut harness.world, "MCU", version).unwrap();
            harness.run();
            quiet_after(harness);
        }
        let mut harness = resting_in(1).unwrap();
        harness.agent.ota_action(&mut harness.world, 0).unwrap();
        harness.run();
        quiet_after(harness);
    }

    #[test]
    fn an_upgrade_that_a_reboot_interrupted_is_offered_again_from_every_state() {
        for resting in [2, 4, 5, 8] {
            let mut harness = resting_in(resting).unwrap().reboot();
            harness.application(upgrading);
            harness.connect();
            assert_eq!(harness.statuses(), [2], "from {resting}: no 6, no 12");
            harness.give_url(plan());
            let codes: &[i32] = match resting {
                8 => &[10700, 10701, 10703, 10704], // nothing is missing, so nothing is fetched
                _ => &[10700, 10701, 10702, 10703, 10704],
            };
            assert_eq!(harness.take_codes(), codes, "from {resting}");
            assert_eq!(state(&harness), 9);
        }
    }

    #[test]
    fn an_mcu_gets_its_20_minutes_again_after_a_reboot() {
        let mut harness = resting_in(9).unwrap();
        harness.pass(19 * 60_000);
        let mut harness = harness.reboot();
        harness.pass(20 * 60_000 - 1);
        assert_eq!(state(&harness), 9);
        harness.pass(1);
        assert_eq!((state(&harness), harness.take_codes()), (0, vec![10704, 10706]));
    }

    #[test]
    fn a_module_that_came_to_the_target_by_itself_is_done() {
        for wait in [Serve::Silence, Serve::Stall(9_000), Serve::Well] {
            let mut harness = harness(64 * 1024, confirming);
            harness.serve.push_back(wait);
            harness.start_upgrade(module_plan());
            harness.world.module_version = "FWV2".into();
            let mut harness = harness.reboot();
            harness.application(confirming);
            harness.connect();
            assert_eq!(harness.take_codes(), [10705], "{wait:?}");
            assert_eq!((harness.statuses(), state(&harness)), (vec![11], 0));
        }
    }

    /// The application's part of the version is set after the start, and an event needs someone to take it.
    #[test]
    fn what_a_reboot_found_is_told_once_there_is_someone_to_hear_it() {
        let mut harness = harness(64 * 1024, confirming);
        harness.start_upgrade(module_plan());
        harness.pass(5_000);
        harness.world.module_version = "FW".into();
        let mut harness = harness.reboot();
        assert!(harness.agent.next_event().is_none(), "not inside the start");
        harness.agent.set_app_version(Some("V2")).unwrap();
        let heard = Rc::new(RefCell::new(Vec::new()));
        let notes = heard.clone();
        harness.application(move |_, _, event| notes.borrow_mut().push(event.code));
        harness.connect();
        assert!(heard.borrow().ends_with(&[10705]), "{:?}", heard.borrow());
    }

    #[test]
    fn an_apply_that_refuses_is_told_with_its_reason_and_not_tried_after_a_reboot() {
        let mut harness = harness(64 * 1024, confirming);
        harness.world.applied = Applied::Refused;
        harness.start_upgrade(module_plan());
        harness.pass(5_000);
        assert_eq!(harness.take_codes().last(), Some(&10706));
        assert_eq!(failure(&harness), Some(Failure::ApplyRefused));
        quiet_after(harness);
    }
}

mod oddities {
    use super::*;

    #[test]
    fn a_plan_request_of_an_unknown_mode_is_refused_and_leaves_no_trace() {
        let mut harness = harness(64 * 1024, confirming);
        harness.connect();
        harness.packets.clear();
        for mode in [2, 3, u32::MAX] {
            assert_eq!(harness.agent.ota_request(mode), Err(CallError::Value));
        }
        harness.run();
        assert!(harness.packets.is_empty(), "nothing is sent");
        harness.offer(plan());
        let confirmation = StatusEvent::parse(&harness.packets.last().unwrap().payload).unwrap();
        assert_eq!(confirmation.signature, None, "nothing is stored");
    }

    #[test]
    fn the_same_mode_again_is_right_and_does_nothing() {
        let mut harness = harness(64 * 1024, confirming);
        assert_eq!(harness.agent.set_mode(&mut harness.world, Mode::Idle), Ok(()));
        harness.connect();
        harness.take_session();
        assert_eq!(harness.agent.set_mode(&mut harness.world, Mode::Request), Ok(()));
        harness.run();
        assert_eq!((harness.passwords.len(), harness.take_session()), (1, vec![]));
    }

    #[test]
    fn a_lifetime_of_20_s_or_less_is_21_on_the_wire() {
        for (lifetime, sent) in [(1, 21), (20, 21), (21, 21), (22, 22)] {
            let mut harness = harness(64 * 1024, confirming);
            harness.agent.set_lifetime(lifetime).unwrap();
            harness.agent.set_mode(&mut harness.world, Mode::Request).unwrap();
            harness.agent.poll(&mut harness.world);
            let connects: Vec<u16> = harness
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
    fn offer_handled(harness: &mut Harness, handling: u32, plan: Plan<'_>) {
        let plans = Plans::Single(plan);
        harness.send(&Downlink::PlanNotify(PlanNotify { handling: Some(handling), plans }));
    }

    #[test]
    fn a_module_plan_that_asks_nobody_is_told_and_confirmed_by_itself() {
        let mut harness = harness(64 * 1024, |_, _, _| {});
        harness.connect();
        offer_handled(&mut harness, 1, module_plan());
        assert_eq!((state(&harness), harness.take_codes()), (2, vec![10700]));
        assert_eq!(harness.statuses(), [1, 2]);
        harness.give_url(module_plan());
        assert_eq!(harness.statuses().last(), Some(&9));
    }

    #[test]
    fn an_application_that_answers_a_plan_that_asks_nobody_is_still_right() {
        let mut harness = harness(64 * 1024, confirming);
        harness.connect();
        offer_handled(&mut harness, 1, module_plan());
        assert_eq!(harness.statuses(), [1, 2], "once");
        let mut harness = self::harness(64 * 1024, |agent, world, event| {
            if event.code == 10700 {
                agent.ota_action(world, 0).expect("a refusal inside the event counts");
            }
        });
        harness.connect();
        offer_handled(&mut harness, 1, module_plan());
        harness.pass(60_000);
        assert_eq!(harness.statuses(), [1, 3]);
    }

    #[test]
    fn every_other_plan_waits_for_the_application_whatever_id_27_says() {
        let mcu = test_platform::harness::plan();
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
            let mut harness = harness(64 * 1024, |_, _, _| {});
            harness.connect();
            harness.send(&Downlink::PlanNotify(notify));
            harness.pass(60_000);
            assert_eq!(state(&harness), 1, "{notify:?}");
        }
    }

    #[test]
    fn a_plan_that_asks_nobody_goes_on_after_a_reboot_and_without_anyone_who_listens() {
        let mut harness = harness(64 * 1024, |_, _, _| {});
        harness.serve.push_back(Serve::Stall(20_000));
        harness.connect();
        offer_handled(&mut harness, 1, module_plan());
        harness.give_url(module_plan());
        let mut harness = harness.reboot();
        harness.connect();
        assert_eq!((state(&harness), harness.take_codes()), (2, vec![10700]));
        harness.give_url(module_plan());
        assert_eq!(harness.ranges[0].start, 16_384);
        // Nobody takes an event.
        let mut harness = self::harness(64 * 1024, |_, _, _| {});
        harness.connect();
        let notify = PlanNotify { handling: Some(1), plans: Plans::Single(module_plan()) };
        let mut buffer = [0; 512];
        let packet = quecota_core::wire::frame::PacketId::new(900).unwrap();
        let length = Downlink::PlanNotify(notify).emit_frame(packet, &mut buffer).unwrap();
        assert!(harness.agent.on_message(&mut harness.world, "q/1/d/x/ota", &buffer[..length]));
        for _ in 0..40 {
            let wait = harness.agent.poll(&mut harness.world).0;
            harness.world.now += wait.clamp(1, 500);
        }
        assert_eq!(state(&harness), 2);
    }

    #[test]
    fn a_10703_of_a_module_has_no_text_and_reads_nothing() {
        let mut harness = harness(64 * 1024, confirming);
        harness.start_upgrade(module_plan());
        let told = harness.take_ota();
        assert!(told.iter().filter(|(code, _)| *code > 10700).all(|(_, text)| text.is_empty()));
        let read = harness.agent.ota_read(&mut harness.world, 0, &mut [0; 16]);
        assert_eq!(read, Err(CallError::State));
    }

    #[test]
    fn each_event_of_an_upgrade_is_there_only_after_the_state_changed() {
        let mut harness = Harness::new(64 * 1024);
        harness.application(|agent, world, event| {
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
        harness.start_upgrade(plan());
        harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
        harness.run();
        assert_eq!(harness.take_codes().last(), Some(&10705));
    }
}

#[test]
fn every_row_of_the_page_names_a_test_that_exists() {
    page::check("docs/compatibility.md", 60);
}

#[test]
fn a_name_that_is_no_test_is_not_taken_for_one() {
    use page::exists;
    assert!(exists("testing/platform/tests/agent/packets.rs", "malformed_packets_move_nothing"));
    assert!(exists("tests/drop_in.c", "the_setters_rules"));
    assert!(!exists("testing/platform/tests/agent/main.rs", "malformed_packets"));
    assert!(!exists("testing/platform/tests/agent/main.rs", "module_plan"), "no test, though a function");
    assert!(!exists("testing/platform/tests/nowhere.rs", "anything"));
    assert!(!exists("tests/drop_in.c", "Ql_iotInit"), "called, not defined");
}
