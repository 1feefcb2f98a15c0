//! Plans of several components (id 28): one question each, one answer for all, then one component after the other.

use quecota_core::agent::Failure;
use quecota_core::wire::message::{
    ComponentKind, Content, Downlink, FirmwareInfo, Plan, PlanNotify, Plans, Records,
};
use sim::bench::{Bench, Serve, URL, plan};

/// A device whose application confirms, and says that it updates once the whole image is there.
fn bench() -> Bench {
    let mut bench = Bench::new(64 * 1024);
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
