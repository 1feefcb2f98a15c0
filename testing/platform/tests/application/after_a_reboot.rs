//! What an MCU reports after a restart.

use super::*;

#[test]
fn an_mcu_application_is_told_again_that_the_update_runs() {
    let mut harness = resting_in(9, plan()).reboot();
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "1").unwrap();
    harness.run();
    assert_eq!((state(&harness), harness.take_codes()), (9, vec![10704]));
    harness.connect();
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    harness.run();
    assert_eq!((harness.take_codes(), harness.statuses()), (vec![10705], vec![11]));
}

#[test]
fn an_upgrade_goes_on_without_a_question_where_the_application_wants_none() {
    for wanted in [2, 4, 5, 8] {
        let mut harness = resting_in(wanted, plan()).reboot();
        harness.agent.set_resume(Resume::AtOnce);
        upgrading(&mut harness);
        harness.connect();
        assert_eq!((state(&harness), harness.statuses()), (2, vec![2]), "from {wanted}");
        harness.give_url(plan());
        assert_eq!((state(&harness), harness.take_codes()[0]), (9, 10701), "from {wanted}");
    }
    let mut harness = resting_in(1, plan()).reboot();
    harness.agent.set_resume(Resume::AtOnce);
    harness.connect();
    assert_eq!(state(&harness), 0, "nobody had confirmed it");
}

#[test]
fn one_whose_mcu_is_done_already_is_told_of_the_success_alone() {
    let mut harness = resting_in(9, plan()).reboot();
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    harness.run();
    assert_eq!(harness.take_codes(), [10705]);
}

#[test]
fn an_mcu_that_reports_the_target_while_the_plan_waits_for_its_answer_is_done() {
    for wanted in [2, 4, 5, 8] {
        // Twice: nobody answered the first time.
        let mut harness = resting_in(wanted, plan()).reboot();
        harness.run();
        let mut harness = harness.reboot();
        harness.run();
        assert_eq!((state(&harness), harness.take_codes()), (1, vec![10700]), "from {wanted}");
        harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
        harness.connect();
        assert_eq!((state(&harness), harness.take_codes(), harness.statuses()), (0, vec![10705], vec![11]));
        assert!(harness.ranges.is_empty());
    }
    let mut harness = resting_in(1, plan());
    harness.agent.set_mcu_version(&mut harness.world, "MCU", "2").unwrap();
    harness.run();
    assert_eq!(state(&harness), 1, "a plan that is only offered is the platform's to take back");
}
