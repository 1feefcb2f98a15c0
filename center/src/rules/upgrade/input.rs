//! What an upgrade is changed by: what happens, and the plan that it belongs to.

use crate::rules::applicability::ComponentFacts;
use crate::rules::block_reason::BlockReason;
use crate::rules::component_fsm::OtaStatus;
use crate::rules::plan::{PlanSettings, PlanState};
use crate::rules::trigger::Trigger;

/// What happens to an upgrade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The device reports a status of one component.
    Status(StatusReport),
    /// The device has reported versions, which are in its facts.
    Versions {
        /// Position of the component whose status 11 came in the same packet: its version must be the target now.
        proof: Option<usize>,
    },
    /// The device has reported a version of before, after an upgrade that succeeded.
    Reversion,
    /// The lease of a component may have run out.
    LeaseCheck,
    /// The device has connected or disconnected: its leases follow.
    PresenceChange,
    /// The deadline of a firmware verification has passed.
    DeadlinePassed,
    /// The plan is offered.
    Offer {
        /// Every component of the plan, in order, and whether it is offered.
        components: Vec<(ComponentFacts, Offered)>,
        /// Why now.
        trigger: Trigger,
    },
    /// The package of a firmware verification is offered.
    OfferVerification,
    /// The device asks for its plan while it is at work, or while the offer of its next component stands.
    Request {
        /// What blocks another offer of the plan for good, or until an operator acts.
        blocked: Option<BlockReason>,
    },
    /// The same offer is sent again.
    OfferAgain,
    /// An offer that was not answered gives way to another upgrade's.
    Withdraw,
    /// The offer is due, and was not made.
    OfferPostponed {
        /// What blocks it; none: the device is asked for its status first, or another plan comes first.
        blocked: Option<BlockReason>,
        /// Whether the device has been asked for its status and has not answered.
        status: StatusQuery,
    },
    /// The firmware verification would prove nothing.
    VerificationBlocked(BlockReason),
    /// The end user cancels.
    Cancel,
    /// The end user tries again.
    UserRetry,
    /// The operator tries again.
    OperatorRetry,
    /// The operator leaves the device out, with a reason in the operator's words, which may be empty.
    Skip(String),
}

/// A status of one component, as the device reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    /// Position of the component in the upgrade.
    pub position: usize,
    /// The status.
    pub status: OtaStatus,
    /// Whether the device wants the SHA-256 of the firmware (status 2).
    pub wants_sha256: bool,
    /// Why, as a quecota device says it.
    pub reason: Option<String>,
}

/// Whether a component of a plan is part of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offered {
    /// It is.
    Yes,
    /// It is done, or its package does not fit.
    No,
}

/// Whether an answer about battery and signal is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusQuery {
    /// The device was asked and has not answered.
    Pending,
    /// It was not asked, or has answered.
    None,
}

/// The plan of an upgrade.
#[derive(Debug, Clone, Copy)]
pub struct PlanFacts<'a> {
    /// Where it is in its life cycle.
    pub state: PlanState,
    /// Where it resumes to when it is suspended.
    pub suspended_from: Option<PlanState>,
    /// What the operator entered.
    pub settings: &'a PlanSettings,
}

words! {
    /// What the end user does.
    UserAction, "action" {
        /// Upgrade as soon as possible.
        Confirm = "confirm",
        /// Upgrade inside a window.
        Appoint = "appoint",
        /// Do not upgrade.
        Cancel = "cancel",
        /// Try again after a failure.
        Retry = "retry",
    }
}
