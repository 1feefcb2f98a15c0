use super::*;

#[test]
fn a_module_image_is_verified_applied_after_5_s_and_judged_after_the_reboot() {
    for (version, code, status) in [("FWV2", 10705, 11), ("FWV1", 10706, 12)] {
        let mut harness = Harness::new(64 * 1024);
        confirm(&mut harness);
        harness.start_upgrade(module_plan());
        assert_eq!(harness.take_codes(), [10700, 10701, 10702, 10703, 10704]);
        assert_eq!(harness.statuses(), [1, 2, 4, 5, 8, 9]);
        assert_eq!(harness.world.flash.bytes(Area::Image)[..50_000], harness.file);
        harness.pass(4_999);
        assert!(!harness.world.asked.contains(&Asked::Apply(50_000)));
        harness.world.now += 1;
        harness.agent.poll(&mut harness.world);
        assert!(harness.world.asked.contains(&Asked::Apply(50_000)));

        harness.world.module_version = version.into();
        let mut harness = harness.reboot();
        harness.run();
        assert_eq!(state(&harness), 9);
        harness.connect();
        assert_eq!(harness.take_codes(), [code]);
        assert_eq!(harness.statuses(), [status]);
        assert_eq!(state(&harness), 0);
    }
}

#[test]
fn a_module_is_judged_60_s_after_a_start_without_a_link() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.start_upgrade(module_plan());
    harness.pass(5_000);
    harness.world.module_version = "FWV".into();
    let mut harness = harness.reboot();
    harness.pass(59_000);
    assert_eq!(state(&harness), 9);
    harness.agent.set_app_version(Some("2")).unwrap();
    harness.pass(1_001);
    assert_eq!(harness.take_codes(), [10705], "the application's suffix counts");
    let mut harness = harness.reboot();
    harness.connect();
    assert_eq!(harness.statuses(), [11], "the report waited through another reboot");
}

#[test]
fn a_module_image_that_does_not_fit_fails_before_the_first_byte() {
    let mut harness = Harness::new(20 * 1024);
    confirm(&mut harness);
    harness.start_upgrade(module_plan());
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NoRoom)));
    assert!(harness.ranges.is_empty());
    assert_eq!(harness.statuses(), [1, 2, 12]);
    assert_eq!(harness.take_codes(), [10700, 10706]);
}

#[test]
fn an_image_that_apply_refuses_or_never_boots_is_a_failure() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.world.applied = Applied::Refused;
    harness.start_upgrade(module_plan());
    harness.pass(5_000);
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::ApplyRefused)));

    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.start_upgrade(module_plan());
    harness.pass(5_000 + 59_999);
    assert_eq!(state(&harness), 9);
    harness.pass(1);
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NoVersion)));
}

#[test]
fn power_lost_before_apply_does_not_lose_the_verified_image() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.start_upgrade(module_plan());
    harness.pass(2_000);
    let mut harness = harness.reboot();
    confirm(&mut harness);
    harness.connect();
    assert_eq!(harness.take_codes(), [10700]);
    harness.give_url(module_plan());
    assert!(harness.ranges.is_empty(), "nothing is fetched again");
    harness.world.now += 5_000;
    harness.agent.poll(&mut harness.world);
    assert!(harness.world.asked.contains(&Asked::Apply(50_000)));
}
