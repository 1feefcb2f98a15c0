//! Giving an upgrade up.

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
