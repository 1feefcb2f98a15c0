//! MCUs that need more time.

use super::*;

const MINUTE: u32 = 60_000;

#[test]
fn a_slow_mcu_has_the_time_that_it_asks_for_to_read() {
    let mut harness = resting_in(8, plan());
    harness.agent.need_time(&mut harness.world, 10 * MINUTE).unwrap();
    harness.pass(5 * MINUTE);
    // A read gives 60 s, and takes nothing away.
    harness.agent.ota_read(&mut harness.world, 0, &mut [0; 16]).unwrap();
    harness.pass(5 * MINUTE - 1);
    assert_eq!(state(&harness), 8);
    harness.pass(1);
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NotRead)));
}

#[test]
fn what_is_asked_for_is_bounded_for_each_piece() {
    let mut harness = resting_in(8, plan());
    for _ in 0..5 {
        harness.agent.need_time(&mut harness.world, 10 * MINUTE).unwrap();
        harness.pass(10 * MINUTE - 1);
    }
    assert_eq!(harness.agent.need_time(&mut harness.world, 1), Err(CallError::Range));
    assert!(harness.logged("more time than it can have"));
    harness.pass(1);
    assert_eq!((state(&harness), failure(&harness)), (0, Some(Failure::NotRead)));

    let mut harness = Harness::new(20 * 1024);
    confirming(&mut harness);
    harness.start_upgrade(plan());
    harness.agent.need_time(&mut harness.world, 50 * MINUTE).unwrap();
    harness.agent.ota_action(&mut harness.world, 2).unwrap();
    harness.run();
    harness.agent.need_time(&mut harness.world, 50 * MINUTE).expect("another piece");
}

#[test]
fn a_slow_update_has_two_hours_in_all() {
    let mut harness = resting_in(9, plan());
    assert_eq!(harness.agent.need_time(&mut harness.world, 100 * MINUTE + 1), Err(CallError::Range));
    harness.agent.need_time(&mut harness.world, 5 * MINUTE).expect("less than is left");
    harness.pass(20 * MINUTE - 1);
    assert_eq!(state(&harness), 9, "what was left stays");
    harness.agent.need_time(&mut harness.world, 95 * MINUTE).unwrap();
    harness.pass(95 * MINUTE - 1);
    assert_eq!(state(&harness), 9);
    assert_eq!(harness.agent.need_time(&mut harness.world, MINUTE), Err(CallError::Range));
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    harness.run();
    assert_eq!((state(&harness), harness.take_codes()), (0, vec![10705]));
}

#[test]
fn nobody_needs_time_where_nobody_waits() {
    for wanted in [1, 2, 4, 5, 6] {
        let mut harness = resting_in(wanted, plan());
        assert_eq!(harness.agent.need_time(&mut harness.world, 1), Err(CallError::State), "in {wanted}");
    }
    let mut harness = Harness::new(64 * 1024);
    confirming(&mut harness);
    harness.start_upgrade(module_plan());
    assert_eq!(harness.agent.need_time(&mut harness.world, 1), Err(CallError::State), "a module");
}
