//! Firmware verification: one device gets one package outside any plan, before many do (DEVELOPER-CENTER.md "Things").

use super::progress::UpgradeState;
use crate::clock::Millis;

/// Time that a verification has from its beginning to its end, the wait for an offline device included.
pub const VERIFICATION_TIME: Millis = Millis::minutes(60);

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

/// Whether a verification is at its end, and whether its device has confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not confirmed.
    Open,
    /// Confirmed.
    Confirmed,
    /// At its end.
    Ended,
}

impl VerificationState {
    /// The state of a verification whose upgrade is in `state`.
    pub fn of(state: UpgradeState, stage: Stage) -> Self {
        match (stage, state) {
            (Stage::Open, _) => VerificationState::Waiting,
            (Stage::Confirmed, _) => VerificationState::Running,
            (Stage::Ended, UpgradeState::Upgraded) => VerificationState::Passed,
            (Stage::Ended, UpgradeState::NotRequired) => VerificationState::NotRequired,
            (Stage::Ended, _) => VerificationState::Failed,
        }
    }
}

words! {
    /// What the verifications of a package say about it: the last one that ended decides.
    Verified, "verification result" {
        /// It passed.
        Passed = "passed",
        /// It failed.
        Failed = "failed",
        /// None has passed or failed yet.
        Never = "never",
    }
}

impl Verified {
    /// What a package with this result has done, to be read after its name.
    pub fn told(self) -> &'static str {
        match self {
            Verified::Passed => "passed its last firmware verification",
            Verified::Failed => "failed its last firmware verification",
            Verified::Never => "has passed no firmware verification",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_device_at_the_target_passes() {
        for state in UpgradeState::ALL {
            assert_eq!(VerificationState::of(*state, Stage::Open), VerificationState::Waiting);
            assert_eq!(VerificationState::of(*state, Stage::Confirmed), VerificationState::Running);
            let passed = VerificationState::of(*state, Stage::Ended) == VerificationState::Passed;
            assert_eq!(passed, *state == UpgradeState::Upgraded, "{state}");
        }
    }
}
