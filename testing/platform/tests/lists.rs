//! Plans of several components (id 28): one question each, one answer for all, then one component after the other.

use quecota_core::agent::Failure;
use quecota_core::wire::message::{
    ComponentKind, Content, Downlink, FirmwareInfo, Plan, PlanNotify, Plans, Records,
};
use test_platform::bench::{Bench, Serve, URL, plan};
use test_platform::flash::{Cut, How, Torn};

/// A device whose application confirms, and says that it updates once the whole image is there.
fn bench() -> Bench {
    begin(Bench::new(64 * 1024))
}

/// After the power came on.
fn begin(mut bench: Bench) -> Bench {
    bench.application(|agent, world, event| match event.code {
        10700 => _ = agent.ota_action(world, 1),
        10703 => agent.ota_action(world, 3).unwrap(),
        _ => {}
    });
    bench.connect();
    bench
}

fn offer(bench: &mut Bench, names: &[&'static str]) {
    let plans: Vec<Plan<'_>> = names.iter().map(|component| Plan { component, ..plan() }).collect();
    bench.send(&Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) }));
}

fn upgrade(bench: &mut Bench, component: &'static str) {
    bench.give_url(Plan { component, ..plan() });
    bench.agent.set_mcu_version(&mut bench.world, component, "2").unwrap();
    bench.run();
}

/// The last status, and of which component.
fn last(bench: &Bench) -> (u8, &str) {
    let status = bench.packets.iter().filter_map(|packet| packet.status.as_ref()).next_back().unwrap();
    (status.0, &status.1)
}

const NAMES: [&str; 21] =
    ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L", "M", "N", "O", "P", "Q", "R", "S", "T", "U"];

#[test]
fn twenty_components_are_upgraded_by_one_answer_and_twenty_one_move_nothing() {
    let mut bench = bench();
    offer(&mut bench, &NAMES);
    assert_eq!((bench.statuses(), bench.take_codes()), (vec![], vec![]));
    assert!(bench.logged("a malformed upgrade plan was dropped"));
    offer(&mut bench, &NAMES[..20]);
    assert_eq!(bench.statuses(), [1, 2], "one answer");
    for name in &NAMES[..20] {
        upgrade(&mut bench, name);
        assert_eq!(last(&bench), (11, *name));
    }
    bench.packets.clear();
    upgrade(&mut bench, "A");
    assert_eq!(bench.statuses(), [] as [u8; 0], "no more than was confirmed");
}

#[test]
fn components_come_in_the_order_of_their_urls() {
    let mut bench = bench();
    offer(&mut bench, &["A", "B", "C"]);
    for name in ["C", "A", "B"] {
        upgrade(&mut bench, name);
        assert_eq!(last(&bench), (11, name));
    }
}

#[test]
fn a_component_whose_information_is_not_usable_fails_alone() {
    let mut bench = bench();
    offer(&mut bench, &["A", "B", "C"]);
    upgrade(&mut bench, "A");
    // A list of files is for modules only.
    let file = quecota_core::wire::message::PackageFile { index: 0, url: URL, size: 1, md5: [0; 16] };
    bench.send(&Downlink::FirmwareInfo(FirmwareInfo {
        component: "B",
        source: "1",
        target: "2",
        kind: ComponentKind::Mcu,
        content: Content::Files(Records::of(&[file])),
    }));
    assert_eq!(last(&bench), (12, "B"));
    assert_eq!(bench.agent.ota_progress().failure, Some(Failure::BadInfo));
    upgrade(&mut bench, "C");
    assert_eq!(last(&bench), (11, "C"));
}

#[test]
fn the_failure_of_the_first_does_not_cost_the_others() {
    let mut bench = bench();
    offer(&mut bench, &["A", "B"]);
    bench.give_url(Plan { component: "A", ..plan() });
    bench.agent.set_mcu_version(&mut bench.world, "A", "9").unwrap();
    bench.run();
    assert_eq!(last(&bench), (12, "A"));
    upgrade(&mut bench, "B");
    assert_eq!(last(&bench), (11, "B"));
}

#[test]
fn an_interrupted_component_of_a_list_goes_on_when_the_list_comes_again() {
    let mut bench = bench();
    offer(&mut bench, &["A", "B"]);
    upgrade(&mut bench, "A");
    bench.serve.push_back(Serve::Short(20_000));
    bench.give_url(Plan { component: "B", ..plan() });
    assert_eq!(last(&bench), (6, "B"));
    bench.take_codes();
    bench.ranges.clear();
    offer(&mut bench, &["B"]);
    assert_eq!(last(&bench), (2, "B"));
    upgrade(&mut bench, "B");
    assert_eq!((last(&bench), bench.ranges[0].start), ((11, "B"), 20_000));
    assert!(!bench.take_codes().contains(&10700), "it was confirmed");
}

#[test]
fn a_reboot_between_two_components_costs_nothing_and_lets_no_more_in() {
    let mut bench = bench();
    offer(&mut bench, &["A", "B", "C"]);
    for name in ["B", "A", "C"] {
        upgrade(&mut bench, name);
        assert_eq!(last(&bench), (11, name));
        bench = begin(bench.reboot());
        assert_eq!((bench.statuses(), bench.take_codes()), (vec![], vec![]), "nothing is said again");
    }
    upgrade(&mut bench, "A");
    assert_eq!(bench.statuses(), [] as [u8; 0], "no more than was confirmed");
}

#[test]
fn a_reboot_in_each_component_costs_the_others_nothing() {
    let mut bench = bench();
    offer(&mut bench, &["A", "B", "C"]);
    for name in ["A", "B", "C"] {
        bench.serve.push_back(Serve::Silence);
        bench.give_url(Plan { component: name, ..plan() });
        assert_eq!(last(&bench), (4, name));
        bench = begin(bench.reboot());
        assert_eq!(last(&bench).0, 2, "offered again and confirmed");
        upgrade(&mut bench, name);
        assert_eq!(last(&bench), (11, name));
    }
    bench.packets.clear();
    upgrade(&mut bench, "A");
    assert_eq!(bench.statuses(), [] as [u8; 0], "no more than was confirmed");
}

#[test]
fn the_components_after_one_that_failed_are_upgraded_after_a_reboot_too() {
    let mut bench = bench();
    offer(&mut bench, &["A", "B"]);
    bench.give_url(Plan { component: "A", ..plan() });
    bench.agent.set_mcu_version(&mut bench.world, "A", "9").unwrap();
    bench.run();
    assert_eq!(last(&bench), (12, "A"));
    bench = begin(bench.reboot());
    upgrade(&mut bench, "B");
    assert_eq!(last(&bench), (11, "B"));
}

#[test]
fn a_refusal_or_a_cancellation_after_a_reboot_is_for_the_whole_list() {
    for is_between in [false, true] {
        let mut bench = bench();
        offer(&mut bench, &["A", "B"]);
        if is_between {
            upgrade(&mut bench, "A");
            bench = begin(bench.reboot());
            bench.agent.cancel(&mut bench.world).unwrap();
        } else {
            bench.serve.push_back(Serve::Short(20_000));
            bench.give_url(Plan { component: "A", ..plan() });
            offer(&mut bench, &["A", "B"]);
            bench = bench.reboot();
            bench.application(|agent, world, _| _ = agent.ota_action(world, 0));
            bench.connect();
            assert_eq!(last(&bench).0, 3);
        }
        for _ in 0..2 {
            bench = begin(bench.reboot());
            upgrade(&mut bench, "B");
            assert_eq!(bench.statuses(), [] as [u8; 0], "between: {is_between}");
        }
    }
}

/// The device when the version of the first of two components, which is in 9, is about to be told.
fn at_the_end_of_the_first() -> Bench {
    let mut bench = bench();
    offer(&mut bench, &["A", "B"]);
    bench.give_url(Plan { component: "A", ..plan() });
    assert_eq!(last(&bench), (9, "A"));
    bench
}

#[test]
fn power_that_goes_while_a_component_ends_costs_neither_it_nor_the_next() {
    let mut bench = at_the_end_of_the_first();
    let first = bench.world.flash.counters().operations;
    bench.agent.set_mcu_version(&mut bench.world, "A", "2").unwrap();
    let end = bench.world.flash.counters().operations;
    assert!(end > first, "the end is saved");
    let hows = [How::Before, How::During { bytes: 9, torn: Torn::Unseen }, How::After];
    for (operation, how) in (first..end).flat_map(|operation| hows.map(|how| (operation, how))) {
        let mut bench = at_the_end_of_the_first();
        bench.world.flash.cut_at(Cut { operation, how });
        let _ = bench.agent.set_mcu_version(&mut bench.world, "A", "2");
        assert!(bench.world.flash.is_off(), "{operation}, {how:?}");
        bench = begin(bench.reboot());
        // An MCU tells its version at each start.
        bench.agent.set_mcu_version(&mut bench.world, "A", "2").unwrap();
        bench.run();
        assert_eq!(last(&bench), (11, "A"), "{operation}, {how:?}");
        upgrade(&mut bench, "B");
        assert_eq!(last(&bench), (11, "B"), "{operation}, {how:?}");
        upgrade(&mut bench, "B");
        assert_eq!(last(&bench), (11, "B"), "{operation}, {how:?}: no more than was confirmed");
    }
}

#[test]
fn a_module_in_a_list_restarts_into_its_new_version_and_the_rest_follows() {
    let module = Plan { component: "M", kind: ComponentKind::Module, ..plan() };
    let mut bench = bench();
    let plans = [module, Plan { component: "B", ..plan() }];
    bench.send(&Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::List(Records::of(&plans)) }));
    bench.give_url(module);
    bench.pass(5_000);
    assert_eq!(last(&bench), (9, "M"));
    bench.world.module_version = "2".into();
    bench = begin(bench.reboot());
    assert_eq!(last(&bench), (11, "M"));
    upgrade(&mut bench, "B");
    assert_eq!(last(&bench), (11, "B"));
}
