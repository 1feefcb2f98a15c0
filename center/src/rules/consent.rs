//! What the end user of a device has agreed to, in manual mode.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

words! {
    /// Whether the end user has agreed, once for all, to every plan in manual mode for the device.
    AutoConfirm, "auto-confirm" {
        /// Plans are offered as if they had been confirmed.
        On = "on",
        /// Each plan is confirmed by itself.
        Off = "off",
    }
}

/// A window that the end user appointed, from (inclusive) until (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Appointment {
    /// It opens.
    pub from: Millis,
    /// It closes: from then on nothing is offered; a device that has confirmed inside finishes.
    pub until: Millis,
}

/// What the end user said last to a plan for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Now.
    Confirmed,
    /// Inside this window.
    Appointed(Appointment),
}

/// What the user's answer and the device's setting come to.
pub fn consent(answer: Option<Answer>, auto: AutoConfirm, now: Millis) -> Consent {
    match (answer, auto) {
        (Some(Answer::Confirmed), _) | (None, AutoConfirm::On) => Consent::Given,
        // An appointment stands until it is over, whatever is agreed once for all.
        (Some(Answer::Appointed(window)), AutoConfirm::On) if now >= window.until => Consent::Given,
        (Some(Answer::Appointed(Appointment { from, until })), _) => Consent::Appointed { from, until },
        (None, AutoConfirm::Off) => Consent::Awaited,
    }
}

/// What the end user said (manual mode).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Nothing yet.
    Awaited,
    /// Now.
    Given,
    /// Inside this window.
    Appointed {
        /// It opens.
        from: Millis,
        /// It closes.
        until: Millis,
    },
}
