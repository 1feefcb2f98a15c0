//! Reports that wait.

use super::*;

#[test]
fn what_happened_offline_is_reported_in_order_after_a_reboot() {
    let mut harness = resting_in(8, plan());
    harness.reachable = false;
    harness.lose_link();
    harness.agent.ota_read(&mut harness.world, 0, &mut [0; 16]).unwrap();
    harness.agent.ota_action(&mut harness.world, 3).unwrap();
    let mut harness = harness.reboot();
    harness.reachable = false;
    harness.connect();
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    harness.run();
    let mut harness = harness.reboot();
    harness.connect();
    assert_eq!(harness.statuses(), [9, 11]);
    let mut harness = harness.reboot();
    harness.connect();
    assert_eq!(harness.statuses(), [0u8; 0], "each once");
}

#[test]
fn an_upgrade_that_ends_offline_in_many_pieces_loses_no_step() {
    // Forty pieces: more reports than the queue holds, of which the later ones say what the earlier ones did.
    let mut harness = Harness::new(4096);
    harness.file = test_platform::harness::file(40 * 4096);
    upgrading(&mut harness);
    harness.connect();
    harness.offer(plan());
    assert_eq!(harness.statuses(), [1, 2]);
    harness.acknowledges = false;
    harness.give_url(plan());
    assert_eq!(state(&harness), 9);
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    let mut harness = harness.reboot();
    harness.connect();
    let statuses = harness.statuses();
    assert!(statuses.len() <= 16, "{statuses:?}");
    assert_eq!(statuses[statuses.len() - 5..], [4, 5, 8, 9, 11]);
    assert!(!harness.logged("a status report is lost"));
}
