//! What an operator may do to single devices of an active plan: another try, or leaving them out
//! (DEVELOPER-CENTER.md "Retry by the operator").

use super::applicability::{ComponentFacts, needed};
use super::block_reason::BlockReason;
use super::plan::PlanState;
use super::progress::UpgradeState;
use super::upgrade::Phase;

/// Why a device stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// The plan offers nothing (any more).
    #[error("the plan is {0}; only in an active one are devices tried again or left out")]
    Plan(PlanState),
    /// The product does not have it.
    #[error("the product has no such device")]
    Unknown,
    /// It is none of the plan's devices.
    #[error("{0}")]
    NotOfPlan(BlockReason),
    /// It was never offered the plan.
    #[error("the plan was not offered to it yet")]
    NeverOffered,
    /// It did not fail.
    #[error("it is {0}; only a device that failed or was left out is tried again")]
    NotFailed(&'static str),
    /// Another try would not do anything.
    #[error("{0}")]
    Blocked(BlockReason),
    /// It has confirmed, and a device cannot be called back.
    #[error("it has confirmed and is at work; it cannot be called back")]
    AtWork,
    /// There is nothing to leave it out of.
    #[error("it is {0} already")]
    Finished(UpgradeState),
}

/// Whether an operator may retry or skip devices of a plan in this state.
pub fn is_active(state: PlanState) -> Result<(), NotDone> {
    match state {
        PlanState::Activated | PlanState::Upgrading | PlanState::Suspended => Ok(()),
        state => Err(NotDone::Plan(state)),
    }
}

/// Whether a device is tried again: it was left out, or it failed and its version is still one that a package fits on: the
/// source of a delta package, or any but the target of a full one. `open`: the components that did not succeed.
pub fn retry(phase: Phase, open: &[ComponentFacts]) -> Result<(), NotDone> {
    match phase {
        Phase::NotOffered => return Err(NotDone::NeverOffered),
        // A device that was left out is one of the plan's devices again.
        Phase::Ended(UpgradeState::NotUpgraded) => return Ok(()),
        Phase::Ended(UpgradeState::Failed) | Phase::RetryPending => {}
        Phase::Ended(state) => return Err(NotDone::NotFailed(state.as_str())),
        Phase::Waiting | Phase::Offered => return Err(NotDone::NotFailed("offered or has refused")),
        Phase::AtWork | Phase::NextOffered | Phase::NextPending => return Err(NotDone::NotFailed("at work")),
    }
    needed(open).map(|_| ()).map_err(NotDone::Blocked)
}

/// Whether a device can be left out: it has not confirmed, or it failed.
pub fn skip(phase: Phase) -> Result<(), NotDone> {
    match phase {
        Phase::NotOffered | Phase::Waiting | Phase::Offered | Phase::RetryPending => Ok(()),
        Phase::Ended(UpgradeState::Failed) => Ok(()),
        Phase::Ended(state) => Err(NotDone::Finished(state)),
        Phase::AtWork | Phase::NextOffered | Phase::NextPending => Err(NotDone::AtWork),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::samples;

    fn facts(reported: &str, source: Option<&str>) -> [ComponentFacts; 1] {
        [samples::facts("STM32", Some(reported), source, "2")]
    }

    #[test]
    fn a_failed_device_is_tried_again_while_its_package_still_fits() {
        let failed = Phase::Ended(UpgradeState::Failed);
        assert_eq!(retry(failed, &facts("1", None)), Ok(()));
        assert_eq!(retry(failed, &facts("0", None)), Ok(()), "a full package fits on any other version");
        assert_eq!(retry(failed, &facts("1", Some("1"))), Ok(()));
        assert_eq!(retry(failed, &facts("2", None)), Err(NotDone::Blocked(BlockReason::AtTarget)));
        let other = retry(failed, &facts("0", Some("1"))).unwrap_err();
        assert!(other.to_string().contains("the delta package needs 1"), "{other}");
    }

    #[test]
    fn only_what_failed_or_was_left_out_is_tried_again() {
        let again = |phase| retry(phase, &facts("1", None)).is_ok();
        assert!(again(Phase::RetryPending) && again(Phase::Ended(UpgradeState::Failed)));
        assert_eq!(retry(Phase::Ended(UpgradeState::NotUpgraded), &facts("2", None)), Ok(()), "as any other");
        for phase in [
            Phase::NotOffered,
            Phase::Offered,
            Phase::AtWork,
            Phase::Ended(UpgradeState::Upgraded),
            Phase::Ended(UpgradeState::NotRequired),
        ] {
            assert!(!again(phase), "{phase:?}");
        }
    }

    #[test]
    fn only_what_is_not_at_work_and_not_finished_is_left_out() {
        for phase in
            [Phase::NotOffered, Phase::Offered, Phase::RetryPending, Phase::Ended(UpgradeState::Failed)]
        {
            assert_eq!(skip(phase), Ok(()));
        }
        assert_eq!(skip(Phase::AtWork), Err(NotDone::AtWork));
        for state in [UpgradeState::Upgraded, UpgradeState::NotUpgraded, UpgradeState::NotRequired] {
            assert_eq!(skip(Phase::Ended(state)), Err(NotDone::Finished(state)));
        }
    }

    #[test]
    fn a_plan_that_is_not_active_takes_no_word_about_its_devices() {
        for state in PlanState::ALL {
            let active = !state.is_over() && *state != PlanState::Saved;
            assert_eq!(is_active(*state).is_ok(), active, "{state}");
        }
    }
}
