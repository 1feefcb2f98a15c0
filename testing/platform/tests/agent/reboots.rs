use super::*;

#[test]
fn a_reboot_in_mid_download_goes_on_from_the_last_mark() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.push_back(Serve::Stall(40_000));
    harness.start_upgrade(plan());
    assert_eq!(state(&harness), 5);
    let mut harness = harness.reboot();
    let flash = upgrade(&mut harness);
    harness.connect();
    assert_eq!(harness.take_ota()[0], (10700, "\"MCU\",\"1\",\"2\",30,-113,698000".into()));
    assert_eq!(harness.statuses(), [2], "no 6 for a loss that is resumed");
    harness.give_url(plan());
    assert_eq!(harness.ranges, [Range { start: 32_768, length: 50_000 - 32_768 }]);
    assert_eq!(harness.take_codes(), [10701, 10702, 10703, 10704]);
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
    assert!(harness.world.flash.violations().is_empty());
}

#[test]
fn the_platform_s_plan_after_a_reboot_does_not_cost_the_staged_bytes() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.push_back(Serve::Stall(40_000));
    harness.start_upgrade(plan());
    let mut harness = harness.reboot();
    harness.connect();
    let flash = upgrade(&mut harness);
    harness.offer(plan());
    harness.give_url(plan());
    assert_eq!(harness.ranges[0].start, 32_768);
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn a_reboot_between_pieces_starts_the_image_over() {
    let mut harness = Harness::new(20 * 1024);
    upgrade(&mut harness);
    harness.serve.extend([Serve::Well, Serve::Stall(1_000)]);
    harness.start_upgrade(plan());
    let mut harness = harness.reboot();
    let flash = upgrade(&mut harness);
    harness.connect();
    harness.give_url(plan());
    assert_eq!(harness.ranges[0], Range { start: 0, length: 20_480 });
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn other_bytes_after_a_reboot_start_the_image_over() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.push_back(Serve::Stall(40_000));
    harness.start_upgrade(plan());
    let mut harness = harness.reboot();
    let flash = upgrade(&mut harness);
    harness.file[0] ^= 1;
    harness.connect();
    harness.give_url(plan());
    assert_eq!(harness.ranges[0].start, 0);
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn an_mcu_that_reboots_the_module_ends_its_upgrade_after_the_start() {
    for (version, codes) in [("1", &[10704][..]), ("2", &[10705]), ("3", &[10706])] {
        let mut harness = Harness::new(64 * 1024);
        upgrade(&mut harness);
        harness.start_upgrade(plan());
        let mut harness = harness.reboot();
        harness.agent.set_mcu_version(&mut harness.world, "MCU", version).unwrap();
        harness.run();
        assert_eq!(harness.take_codes(), codes, "version {version}");
    }
}

#[test]
fn a_failed_download_asks_for_its_plan_after_a_reboot() {
    let mut harness = Harness::new(64 * 1024);
    confirm(&mut harness);
    harness.serve.push_back(Serve::Short(40_000));
    harness.start_upgrade(plan());
    let mut harness = harness.reboot();
    let flash = upgrade(&mut harness);
    harness.connect();
    assert_eq!(state(&harness), 6);
    assert!(harness.commands().contains(&0x0115));
    harness.offer(plan());
    harness.give_url(plan());
    assert_eq!(harness.ranges[0].start, 32_768);
    assert_eq!((state(&harness), &*flash.borrow()), (9, &harness.file));
}

#[test]
fn a_plan_nobody_answered_is_gone_after_a_reboot() {
    let mut harness = Harness::new(64 * 1024);
    harness.connect();
    harness.offer(plan());
    let mut harness = harness.reboot();
    harness.connect();
    assert_eq!((state(&harness), harness.take_codes()), (0, vec![]));
}

#[test]
fn configuration_survives() {
    let mut harness = Harness::new(64 * 1024);
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
    harness.agent.set_mcu_version(&mut harness.world, "B", "7").unwrap();
    harness.connect();
    let harness = harness.reboot();
    assert_eq!(harness.agent.mcu_list(), "MCU:1;B:7");
    assert_eq!(harness.agent.device(), ("860000000000001", DEVICE_SECRET));
    assert_eq!(harness.agent.server(), "mqtt://iot.example.com:1883");
}
