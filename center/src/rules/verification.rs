//! Firmware verification: one device gets one package outside any plan, before many do (DEVELOPER-CENTER.md "Things").

use super::progress::UpgradeState;
use super::upgrade::Phase;

words! {
    /// Where a firmware verification is.
    VerificationState, "verification state" {
        /// The device has not confirmed yet: it is offline, busy, or has not answered.
        Waiting = "waiting",
        /// The device has confirmed.
        Running = "running",
        /// The device reports the target version.
        Passed = "passed",
        /// It failed, was refused, or took longer than it may.
        Failed = "failed",
        /// The device had the target version before: nothing was proved.
        NotRequired = "no_update_required",
    }
}

impl VerificationState {
    /// The state of a verification whose upgrade is in `phase`.
    pub fn of(phase: Phase) -> Self {
        match phase {
            Phase::NotOffered | Phase::Waiting | Phase::Offered => VerificationState::Waiting,
            Phase::AtWork | Phase::NextOffered | Phase::NextPending | Phase::RetryPending => {
                VerificationState::Running
            }
            Phase::Ended(UpgradeState::Upgraded) => VerificationState::Passed,
            Phase::Ended(UpgradeState::NotRequired) => VerificationState::NotRequired,
            Phase::Ended(_) => VerificationState::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_device_at_the_target_passes() {
        for state in UpgradeState::ALL {
            let passed = VerificationState::of(Phase::Ended(*state)) == VerificationState::Passed;
            assert_eq!(passed, *state == UpgradeState::Upgraded, "{state}");
        }
        assert_eq!(VerificationState::of(Phase::Offered), VerificationState::Waiting);
        assert_eq!(VerificationState::of(Phase::AtWork), VerificationState::Running);
    }
}
