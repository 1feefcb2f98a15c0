//! Holding module firmware back from apply.

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
