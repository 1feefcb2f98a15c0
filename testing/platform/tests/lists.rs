//! Plans of several components (id 28): one question each, one answer for all, then one component after the other.

use quecota_core::agent::Failure;
use quecota_core::wire::message::{
    ComponentKind, Content, Downlink, FirmwareInfo, Plan, PlanNotify, Plans, Records,
};
use test_platform::flash::{Cut, How, Torn};
use test_platform::harness::{Harness, Serve, URL, plan};

/// A device whose application confirms, and says that it updates once the whole image is there.
fn harness() -> Harness {
    begin(Harness::new(64 * 1024))
}

/// After the power came on.
fn begin(mut harness: Harness) -> Harness {
    harness.application(|agent, world, event| match event.code {
        10700 => _ = agent.ota_action(world, 1),
        10703 => agent.ota_action(world, 3).unwrap(),
        _ => {}
    });
    harness.connect();
    harness
}

fn offer(harness: &mut Harness, names: &[&'static str]) {
    let plans: Vec<Plan<'_>> = names.iter().map(|component| Plan { component, ..plan() }).collect();
    harness
        .send(&Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) }));
}

fn upgrade(harness: &mut Harness, component: &'static str) {
    harness.give_url(Plan { component, ..plan() });
    harness.agent.set_mcu_version(&mut harness.world, component, "2").unwrap();
    harness.run();
}

/// The last status, and of which component.
fn last(harness: &Harness) -> (u8, &str) {
    let status = harness.packets.iter().filter_map(|packet| packet.status.as_ref()).next_back().unwrap();
    (status.0, &status.1)
}

const NAMES: [&str; 21] =
    ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U"];

#[test]
fn twenty_components_are_upgraded_by_one_answer_and_twenty_one_move_nothing() {
    let mut harness = harness();
    offer(&mut harness, &NAMES);
    assert_eq!((harness.statuses(), harness.take_codes()), (vec![], vec![]));
    assert!(harness.logged("a malformed upgrade plan was dropped"));
    offer(&mut harness, &NAMES[..20]);
    assert_eq!(harness.statuses(), [1, 2], "one answer");
    for name in &NAMES[..20] {
        upgrade(&mut harness, name);
        assert_eq!(last(&harness), (11, *name));
    }
    harness.packets.clear();
    upgrade(&mut harness, "A");
    assert_eq!(harness.statuses(), [] as [u8; 0], "no more than was confirmed");
}

#[test]
fn components_come_in_the_order_of_their_urls() {
    let mut harness = harness();
    offer(&mut harness, &["A", "B", "C"]);
    for name in ["C", "A", "B"] {
        upgrade(&mut harness, name);
        assert_eq!(last(&harness), (11, name));
    }
}

#[test]
fn a_component_whose_information_is_not_usable_fails_alone() {
    let mut harness = harness();
    offer(&mut harness, &["A", "B", "C"]);
    upgrade(&mut harness, "A");
    // A list of files is for modules only.
    let file = quecota_core::wire::message::PackageFile { index: 0, url: URL, size: 1, md5: [0; 16] };
    harness.send(&Downlink::FirmwareInfo(FirmwareInfo {
        component: "B",
        source: "1",
        target: "2",
        kind: ComponentKind::Mcu,
        content: Content::Files(Records::of(&[file])),
    }));
    assert_eq!(last(&harness), (12, "B"));
    assert_eq!(harness.agent.ota_progress().failure, Some(Failure::BadInfo));
    upgrade(&mut harness, "C");
    assert_eq!(last(&harness), (11, "C"));
}

#[test]
fn the_failure_of_the_first_does_not_cost_the_others() {
    let mut harness = harness();
    offer(&mut harness, &["A", "B"]);
    harness.give_url(Plan { component: "A", ..plan() });
    harness.agent.set_mcu_version(&mut harness.world, "A", "9").unwrap();
    harness.run();
    assert_eq!(last(&harness), (12, "A"));
    upgrade(&mut harness, "B");
    assert_eq!(last(&harness), (11, "B"));
}

#[test]
fn an_interrupted_component_of_a_list_goes_on_when_the_list_comes_again() {
    let mut harness = harness();
    offer(&mut harness, &["A", "B"]);
    upgrade(&mut harness, "A");
    harness.serve.push_back(Serve::Short(20_000));
    harness.give_url(Plan { component: "B", ..plan() });
    assert_eq!(last(&harness), (6, "B"));
    harness.take_codes();
    harness.ranges.clear();
    harness.pass(4_000);
    offer(&mut harness, &["B"]);
    assert_eq!(last(&harness), (2, "B"));
    upgrade(&mut harness, "B");
    assert_eq!((last(&harness), harness.ranges[0].start), ((11, "B"), 20_000));
    assert!(!harness.take_codes().contains(&10700), "it was confirmed");
}

#[test]
fn a_reboot_between_two_components_costs_nothing_and_lets_no_more_in() {
    let mut harness = harness();
    offer(&mut harness, &["A", "B", "C"]);
    for name in ["B", "A", "C"] {
        upgrade(&mut harness, name);
        assert_eq!(last(&harness), (11, name));
        harness = begin(harness.reboot());
        assert_eq!((harness.statuses(), harness.take_codes()), (vec![], vec![]), "nothing is said again");
    }
    upgrade(&mut harness, "A");
    assert_eq!(harness.statuses(), [] as [u8; 0], "no more than was confirmed");
}

#[test]
fn a_reboot_in_each_component_costs_the_others_nothing() {
    let mut harness = harness();
    offer(&mut harness, &["A", "B", "C"]);
    for name in ["A", "B", "C"] {
        harness.serve.push_back(Serve::Silence);
        harness.give_url(Plan { component: name, ..plan() });
        assert_eq!(last(&harness), (4, name));
        harness = begin(harness.reboot());
        assert_eq!(last(&harness).0, 2, "offered again and confirmed");
        upgrade(&mut harness, name);
        assert_eq!(last(&harness), (11, name));
    }
    harness.packets.clear();
    upgrade(&mut harness, "A");
    assert_eq!(harness.statuses(), [] as [u8; 0], "no more than was confirmed");
}

#[test]
fn the_components_after_one_that_failed_are_upgraded_after_a_reboot_too() {
    let mut harness = harness();
    offer(&mut harness, &["A", "B"]);
    harness.give_url(Plan { component: "A", ..plan() });
    harness.agent.set_mcu_version(&mut harness.world, "A", "9").unwrap();
    harness.run();
    assert_eq!(last(&harness), (12, "A"));
    harness = begin(harness.reboot());
    upgrade(&mut harness, "B");
    assert_eq!(last(&harness), (11, "B"));
}

#[test]
fn a_refusal_or_a_cancellation_after_a_reboot_is_for_the_whole_list() {
    for is_between in [false, true] {
        let mut harness = harness();
        offer(&mut harness, &["A", "B"]);
        if is_between {
            upgrade(&mut harness, "A");
            harness = begin(harness.reboot());
            harness.agent.cancel(&mut harness.world).unwrap();
        } else {
            harness.serve.push_back(Serve::Short(20_000));
            harness.give_url(Plan { component: "A", ..plan() });
            harness.pass(4_000);
            offer(&mut harness, &["A", "B"]);
            harness = harness.reboot();
            harness.application(|agent, world, _| _ = agent.ota_action(world, 0));
            harness.connect();
            assert_eq!(last(&harness).0, 3);
        }
        for _ in 0..2 {
            harness = begin(harness.reboot());
            upgrade(&mut harness, "B");
            assert_eq!(harness.statuses(), [] as [u8; 0], "between: {is_between}");
        }
    }
}

/// The device when the version of the first of two components, which is in 9, is about to be told.
fn at_the_end_of_the_first() -> Harness {
    let mut harness = harness();
    offer(&mut harness, &["A", "B"]);
    harness.give_url(Plan { component: "A", ..plan() });
    assert_eq!(last(&harness), (9, "A"));
    harness
}

#[test]
fn power_that_goes_while_a_component_ends_costs_neither_it_nor_the_next() {
    let mut harness = at_the_end_of_the_first();
    let first = harness.world.flash.counters().operations;
    harness.agent.set_mcu_version(&mut harness.world, "A", "2").unwrap();
    let end = harness.world.flash.counters().operations;
    assert!(end > first, "the end is saved");
    let hows = [How::Before, How::During { bytes: 9, torn: Torn::Unseen }, How::After];
    for (operation, how) in (first..end).flat_map(|operation| hows.map(|how| (operation, how))) {
        let mut harness = at_the_end_of_the_first();
        harness.world.flash.cut_at(Cut { operation, how });
        let _ = harness.agent.set_mcu_version(&mut harness.world, "A", "2");
        assert!(harness.world.flash.is_off(), "{operation}, {how:?}");
        harness = begin(harness.reboot());
        // An MCU tells its version at each start.
        harness.agent.set_mcu_version(&mut harness.world, "A", "2").unwrap();
        harness.run();
        assert_eq!(last(&harness), (11, "A"), "{operation}, {how:?}");
        upgrade(&mut harness, "B");
        assert_eq!(last(&harness), (11, "B"), "{operation}, {how:?}");
        upgrade(&mut harness, "B");
        assert_eq!(last(&harness), (11, "B"), "{operation}, {how:?}: no more than was confirmed");
    }
}

#[test]
fn a_module_in_a_list_restarts_into_its_new_version_and_the_rest_follows() {
    let module = Plan { component: "M", kind: ComponentKind::Module, ..plan() };
    let mut harness = harness();
    let plans = [module, Plan { component: "B", ..plan() }];
    harness
        .send(&Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) }));
    harness.give_url(module);
    harness.pass(5_000);
    assert_eq!(last(&harness), (9, "M"));
    harness.world.module_version = "2".into();
    harness = begin(harness.reboot());
    assert_eq!(last(&harness), (11, "M"));
    upgrade(&mut harness, "B");
    assert_eq!(last(&harness), (11, "B"));
}
