//! What quecota tells a platform beyond QuecThing, byte by byte on the wire, and to whom it does not.

use quecota_core::agent::Failure;
use quecota_core::wire::frame::Command;
use quecota_core::wire::message::{
    Capabilities, Downlink, Downloaded, FIRST_ID, Provision, Reason, StatusEvent,
};
use quecota_core::wire::ttlv::List;
use test_platform::harness::{Harness, Packet, Serve, plan};

/// A device whose application confirms every plan.
fn harness() -> Harness {
    let mut harness = Harness::new(16 * 4096);
    harness.application(|agent, world, event| {
        if event.code == 10700 {
            agent.ota_action(world, 1).unwrap();
        }
    });
    harness
}

fn announce(harness: &mut Harness, capabilities: Capabilities) {
    let capabilities = Some(capabilities);
    harness.send(&Downlink::Provision(Provision { capabilities, ..Provision::default() }));
}

/// Ids from 8000 up of everything that the platform got.
fn ours(harness: &Harness) -> Vec<u16> {
    let with_ttlv = |packet: &&Packet| List::parse(&packet.payload).is_ok();
    let ids = harness.packets.iter().filter(with_ttlv).flat_map(|packet| {
        List::parse(&packet.payload).unwrap().iter().map(|item| item.id).collect::<Vec<_>>()
    });
    ids.filter(|id| *id >= FIRST_ID).collect()
}

/// Status, reason and progress of each status event.
fn statuses(harness: &Harness) -> Vec<(u8, Option<Reason<'_>>, Option<Downloaded>)> {
    let events = harness.packets.iter().filter(|packet| packet.status.is_some());
    events
        .map(|packet| {
            let StatusEvent { status, extension, .. } = StatusEvent::parse(&packet.payload).unwrap();
            (status.number(), extension.reason, extension.progress)
        })
        .collect()
}

/// Every way to fail in a download, and the way to its end.
fn fail_in_every_way(harness: &mut Harness) {
    let faults = [
        Serve::Status(404),
        Serve::ElsewhereBy(1),
        Serve::Short(10),
        Serve::Long(1),
        Serve::Corrupt,
        Serve::Failure,
    ];
    for fault in faults {
        harness.serve.push_back(fault);
        harness.offer(plan());
        harness.give_url(plan());
        harness.pass(20_000);
    }
    harness.offer(plan());
    harness.give_url(plan());
    harness.pass(120_000);
}

#[test]
fn a_vendors_platform_never_gets_an_id_of_ours() {
    let mut harness = harness();
    harness.start_upgrade(plan());
    fail_in_every_way(&mut harness);
    let statuses = harness.statuses();
    assert!(statuses.contains(&5) && statuses.contains(&6) && statuses.contains(&12), "{statuses:?}");
    assert_eq!(ours(&harness), [] as [u16; 0]);
}

#[test]
fn a_platform_that_announced_itself_hears_why_and_how_far() {
    let mut harness = harness();
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
    harness.connect();
    announce(&mut harness, Capabilities::ALL);
    harness.serve.push_back(Serve::Short(20_000));
    harness.offer(plan());
    harness.give_url(plan());
    let words = Failure::Short.text();
    let short = Reason { number: Failure::Short as u16, text: words };
    let size = 50_000;
    let at = |received| Some(Downloaded { received, size });
    assert_eq!(
        statuses(&harness),
        [(1, None, None), (2, None, None), (4, None, None), (5, None, at(0)), (6, Some(short), at(20_000))]
    );
    harness.packets.clear();
    harness.serve.push_back(Serve::Stall(10_000));
    harness.offer_again(plan());
    harness.give_url(plan());
    harness.pass(6_000);
    let (status, reason, progress) = *statuses(&harness).last().unwrap();
    assert_eq!((status, reason, progress), (5, None, at(30_000)), "a heartbeat tells how far it is");
}

#[test]
fn what_was_not_asked_for_is_not_told() {
    let mut harness = harness();
    harness.connect();
    announce(&mut harness, Capabilities::PROGRESS);
    fail_in_every_way(&mut harness);
    let ids = ours(&harness);
    assert!(ids.contains(&8003) && ids.contains(&8004), "{ids:?}");
    assert!(!ids.contains(&8001) && !ids.contains(&8002), "{ids:?}");
}

#[test]
fn each_connection_is_announced_anew() {
    let mut harness = harness();
    harness.connect();
    announce(&mut harness, Capabilities::ALL);
    harness.lose_link();
    harness.pass(120_000);
    assert_eq!(harness.commands().last(), Some(&Command::STATUS_REPORT.0), "it is back");
    fail_in_every_way(&mut harness);
    assert_eq!(ours(&harness), [] as [u16; 0]);
}

#[test]
fn a_failure_offline_is_told_with_its_reason_after_a_reboot() {
    let mut harness = harness();
    harness.serve.push_back(Serve::Stall(20_000));
    harness.start_upgrade(plan());
    harness.reachable = false;
    harness.lose_link();
    harness.pass(30_000);
    let mut harness = harness.reboot();
    // As our center does: it knows the device by its info report, and says so before that is acknowledged.
    harness.announces = Some(Capabilities::ALL);
    harness.connect();
    let stalled = Reason { number: Failure::Stalled as u16, text: Failure::Stalled.text() };
    let at = Downloaded { received: 20_000, size: 50_000 };
    assert_eq!(statuses(&harness).last(), Some(&(6, Some(stalled), Some(at))));
}
