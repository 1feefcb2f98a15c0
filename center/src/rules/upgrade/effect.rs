//! What follows when an upgrade changes.

use serde_json::Value;

use crate::rules::ComponentNo;
use crate::rules::plan::PlanEvent;
use crate::rules::progress::UpgradeState;

/// What the engine does after an upgrade has changed, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Writes a line of the upgrade's log.
    Log {
        /// The component, where one is meant.
        component: Option<ComponentNo>,
        /// Kind of the line.
        kind: &'static str,
        /// Its values.
        value: Value,
    },
    /// Sends the offer of these components (0x0111).
    SendOffer {
        /// Their positions in the upgrade.
        positions: Vec<usize>,
        /// Why, for the log.
        why: &'static str,
    },
    /// Sends the firmware URL of this component (0x0113).
    SendFirmware {
        /// Its position in the upgrade.
        position: usize,
    },
    /// Asks the device for its versions (0x0041).
    AskVersions,
    /// Moves the plan along its life cycle.
    Plan(PlanEvent),
    /// Counts a failed attempt in the metrics.
    CountFailure {
        /// The failure in one word.
        class: &'static str,
    },
    /// Counts the end of the upgrade in the metrics.
    CountEnd {
        /// How it ended.
        state: UpgradeState,
        /// Why, in one word.
        class: &'static str,
    },
    /// Counts the device among the finished ones of its plan, which may have to halt.
    CountFinished,
    /// Counts a device that had finished well as failed, in a plan that may have to halt.
    CountReverted,
    /// Takes a failed device out of the failures that its plan counts.
    UncountFailed,
}
