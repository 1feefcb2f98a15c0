//! Why a device is not offered a plan: the condition with its values, when it may change, and what changes it.

use std::fmt;

use serde::Serialize;

use super::plan::PlanState;
use super::progress::UpgradeState;
use super::window::{PushPeriod, Zone};
use super::{ComponentNo, ProductKey, Version};
use crate::clock::Millis;

/// Why an upgrade waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// The device refused.
    Refusal,
    /// An attempt failed.
    Failure,
}

/// A firmware verification that is not at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Verifying {
    /// Its number.
    pub verification: i64,
    /// The package.
    pub package: i64,
    /// Its end at the latest.
    pub until: Millis,
}

/// The condition that blocks a device, with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum BlockReason {
    /// The plan is for another product.
    OtherProduct {
        /// The plan's product.
        product: ProductKey,
    },
    /// It is blacklisted.
    Blacklisted,
    /// It is not whitelisted.
    NotWhitelisted,
    /// The device is at its end in this plan.
    Finished {
        /// How.
        state: UpgradeState,
        /// Why.
        reason: Option<String>,
    },
    /// The plan is not offered in this state.
    PlanState {
        /// Its state.
        state: PlanState,
        /// Why it suspended itself.
        halted: Option<String>,
    },
    /// The plan's time zone is none of this program's.
    ZoneUnknown {
        /// Its name.
        zone: Zone,
    },
    /// Only a request is answered.
    OnRequestOnly,
    /// The planned time has not come.
    BeforeStart {
        /// It comes.
        start: Millis,
    },
    /// The planned time has passed.
    AfterEnd {
        /// It passed.
        end: Millis,
    },
    /// Outside the push period.
    OutsidePeriod {
        /// It opens next.
        opens: Millis,
        /// In this zone's wall clock.
        zone: Zone,
        /// The period.
        period: PushPeriod,
    },
    /// It is offline.
    Offline,
    /// It has not reported its versions on this connection.
    VersionsUnknown,
    /// Every component has its target version.
    AtTarget,
    /// It does not report this component.
    ComponentUnknown {
        /// The component.
        component: ComponentNo,
    },
    /// A delta package does not fit.
    SourceDiffers {
        /// The component.
        component: ComponentNo,
        /// What the device has.
        reported: String,
        /// What the package needs.
        source: Version,
    },
    /// A newer plan takes this one's place.
    Superseded {
        /// The component.
        component: ComponentNo,
        /// The newer plan.
        by: i64,
    },
    /// No attempt is left.
    RetriesUsed {
        /// Failed attempts.
        failures: u32,
        /// Retries of the plan.
        retries: u8,
    },
    /// A delay has to pass first.
    Waiting {
        /// For what.
        wait: Wait,
        /// Until then.
        until: Millis,
    },
    /// Another upgrade is in flight on the device.
    OtherUpgrade {
        /// Its number.
        upgrade: i64,
    },
    /// A firmware verification has the device for itself.
    Verification(Verifying),
    /// The end user has not confirmed.
    AwaitingUser {
        /// The window that was appointed last has closed unused, or before the upgrade was done.
        missed: Option<Millis>,
    },
    /// The end user appointed a time.
    Appointed {
        /// It begins.
        from: Millis,
        /// It ends.
        until: Millis,
    },
    /// The battery is too low.
    Battery {
        /// Reported, %.
        reported: i64,
        /// Needed, %.
        needed: u8,
    },
    /// The first devices have not finished.
    FirstDevices {
        /// So many are first.
        first: u32,
        /// So many of them have finished.
        finished: u32,
    },
    /// Too many are in flight.
    InFlight {
        /// So many may be.
        limit: u32,
    },
    /// Too many started in the last minute.
    PerMinute {
        /// So many may.
        limit: u32,
        /// Then the next one may.
        until: Millis,
    },
    /// The signal is too weak.
    Rsrp {
        /// Reported, dBm.
        reported: i64,
        /// Needed, dBm.
        needed: i16,
    },
}

impl BlockReason {
    /// When this condition may be over by itself; none: only by an event.
    pub fn may_change(&self) -> Option<Millis> {
        match self {
            BlockReason::BeforeStart { start } => Some(*start),
            BlockReason::OutsidePeriod { opens, .. } => Some(*opens),
            BlockReason::Waiting { until, .. } => Some(*until),
            BlockReason::Appointed { from, .. } => Some(*from),
            BlockReason::PerMinute { until, .. } => Some(*until),
            BlockReason::Verification(Verifying { until, .. }) => Some(*until),
            _ => None,
        }
    }

    /// Whether only the end user's consent, or the appointed time, ends it.
    pub fn is_for_user(&self) -> bool {
        matches!(self, BlockReason::AwaitingUser { .. } | BlockReason::Appointed { .. })
    }

    /// Whether the plan's package never fits the device again, as far as the center can tell.
    pub fn is_final(&self) -> bool {
        matches!(self, BlockReason::Superseded { .. } | BlockReason::SourceDiffers { .. })
    }

    /// Whether the plan is not offered any more, for good or until an operator acts: a device that begins anew is free.
    pub fn withdraws(&self) -> bool {
        use BlockReason::{AfterEnd, PlanState, Superseded};
        matches!(self, PlanState { .. } | AfterEnd { .. } | Superseded { .. })
    }

    /// Whether the plan's limits alone block it: the end of another device, or time, lets this one start.
    pub fn is_limit(&self) -> bool {
        matches!(
            self,
            BlockReason::FirstDevices { .. } | BlockReason::InFlight { .. } | BlockReason::PerMinute { .. }
        )
    }
}

impl fmt::Display for BlockReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockReason::OtherProduct { product } => write!(f, "the plan is for product {product}"),
            BlockReason::Blacklisted => f.write_str("the plan's blacklist holds the device"),
            BlockReason::NotWhitelisted => f.write_str("the plan's whitelist does not hold the device"),
            BlockReason::Finished { state, reason } => {
                write!(f, "the device is at its end in this plan: {state}")?;
                reason.as_ref().map_or(Ok(()), |reason| write!(f, " ({reason})"))
            }
            BlockReason::PlanState { state, halted: None } => write!(f, "the plan is {state}"),
            BlockReason::PlanState { state, halted: Some(why) } => {
                write!(f, "the plan is {state} by itself: {why}")
            }
            BlockReason::FirstDevices { first, finished } => {
                write!(f, "the first {first} devices come first; {finished} of them have finished")
            }
            BlockReason::InFlight { limit } => write!(f, "{limit} devices are in flight, the plan's limit"),
            BlockReason::PerMinute { limit, until } => {
                write!(
                    f,
                    "{limit} devices started in the last minute, the plan's limit; the next one at {until}"
                )
            }
            BlockReason::ZoneUnknown { zone } => {
                write!(f, "the plan's time zone {zone} is not known to this version of the center")
            }
            BlockReason::OnRequestOnly => f.write_str("the plan is offered on the device's request only"),
            BlockReason::BeforeStart { start } => write!(f, "the planned time begins at {start}"),
            BlockReason::AfterEnd { end } => write!(f, "the planned time ended at {end}"),
            BlockReason::OutsidePeriod { opens, zone, period } => {
                write!(f, "the push period {period} {zone} opens at {opens}")
            }
            BlockReason::Offline => f.write_str("the device is offline"),
            BlockReason::VersionsUnknown => {
                f.write_str("the device has not reported its versions on this connection")
            }
            BlockReason::AtTarget => f.write_str("every component has its target version"),
            BlockReason::ComponentUnknown { component } => {
                write!(f, "the device reports no version of component {component}")
            }
            BlockReason::SourceDiffers { component, reported, source } => {
                write!(f, "component {component} has version {reported}; the delta package needs {source}")
            }
            BlockReason::Superseded { component, by } => {
                write!(f, "component {component} is superseded by plan {by}")
            }
            BlockReason::RetriesUsed { failures, retries } => {
                write!(f, "{failures} attempts failed; the plan allows {retries} retries")
            }
            BlockReason::Waiting { wait: Wait::Refusal, until } => {
                write!(f, "refused; offered again at {until}")
            }
            BlockReason::Waiting { wait: Wait::Failure, until } => {
                write!(f, "failed; offered again at {until}")
            }
            BlockReason::OtherUpgrade { upgrade } => write!(f, "device upgrade {upgrade} is in flight"),
            BlockReason::Verification(Verifying { verification, package, until }) => write!(
                f,
                "firmware verification {verification} of version package {package} has the device, until {until} at \
                 the latest"
            ),
            BlockReason::AwaitingUser { missed: None } => f.write_str("waits for the user's confirmation"),
            BlockReason::AwaitingUser { missed: Some(until) } => {
                write!(f, "waits for the user's confirmation: the appointed window closed at {until}")
            }
            BlockReason::Appointed { from, until } => write!(f, "appointed for {from}, until {until}"),
            BlockReason::Battery { reported, needed } => write!(f, "battery {reported} % < {needed} %"),
            BlockReason::Rsrp { reported, needed } => write!(f, "RSRP {reported} dBm < {needed} dBm"),
        }
    }
}

impl BlockReason {
    /// One word for the condition, whatever its values.
    pub fn condition(&self) -> &'static str {
        match self {
            BlockReason::OtherProduct { .. } => "other_product",
            BlockReason::Blacklisted => "blacklisted",
            BlockReason::NotWhitelisted => "not_whitelisted",
            BlockReason::Finished { .. } => "finished",
            BlockReason::PlanState { .. } => "plan_state",
            BlockReason::ZoneUnknown { .. } => "zone_unknown",
            BlockReason::OnRequestOnly => "on_request_only",
            BlockReason::BeforeStart { .. } => "before_start",
            BlockReason::AfterEnd { .. } => "after_end",
            BlockReason::OutsidePeriod { .. } => "outside_push_period",
            BlockReason::Offline => "offline",
            BlockReason::VersionsUnknown => "versions_unknown",
            BlockReason::AtTarget => "at_target",
            BlockReason::ComponentUnknown { .. } => "component_unknown",
            BlockReason::SourceDiffers { .. } => "source_differs",
            BlockReason::Superseded { .. } => "superseded",
            BlockReason::RetriesUsed { .. } => "retries_used",
            BlockReason::Waiting { wait: Wait::Refusal, .. } => "refused",
            BlockReason::Waiting { wait: Wait::Failure, .. } => "failed_waiting",
            BlockReason::OtherUpgrade { .. } => "other_upgrade",
            BlockReason::Verification(_) => "verification",
            BlockReason::AwaitingUser { .. } => "awaiting_user",
            BlockReason::Appointed { .. } => "appointed",
            BlockReason::FirstDevices { .. } => "first_devices",
            BlockReason::InFlight { .. } => "in_flight_limit",
            BlockReason::PerMinute { .. } => "per_minute_limit",
            BlockReason::Battery { .. } => "battery",
            BlockReason::Rsrp { .. } => "rsrp",
        }
    }

    /// What ends the condition.
    pub fn changes_with(&self) -> &'static str {
        match self {
            BlockReason::OtherProduct { .. }
            | BlockReason::Blacklisted
            | BlockReason::NotWhitelisted
            | BlockReason::AfterEnd { .. }
            | BlockReason::Superseded { .. } => "nothing in this plan",
            BlockReason::Finished { .. } | BlockReason::RetriesUsed { .. } => {
                "nothing by itself: the device is final here"
            }
            BlockReason::PlanState { .. } => "the operator's resuming the plan",
            BlockReason::ZoneUnknown { .. } => {
                "a version of the center that knows the zone, or a clone with another one"
            }
            BlockReason::OnRequestOnly => "the device's request",
            BlockReason::BeforeStart { .. }
            | BlockReason::OutsidePeriod { .. }
            | BlockReason::Waiting { .. } => "time",
            BlockReason::Offline => "the device's connect",
            BlockReason::VersionsUnknown => {
                "the device's version report; it is asked at the next 10-minute mark"
            }
            BlockReason::AtTarget
            | BlockReason::ComponentUnknown { .. }
            | BlockReason::SourceDiffers { .. } => "another version reported by the device",
            BlockReason::OtherUpgrade { .. } => "the end of that upgrade",
            BlockReason::Verification(_) => "the end of the firmware verification",
            BlockReason::AwaitingUser { .. } => "the end user's confirmation or appointment",
            BlockReason::Appointed { .. } => "time, or the end user",
            BlockReason::FirstDevices { .. } => "the end of the first devices",
            BlockReason::InFlight { .. } => "the end of another device",
            BlockReason::PerMinute { .. } => "time",
            BlockReason::Battery { .. } | BlockReason::Rsrp { .. } => "a better value reported by the device",
        }
    }

    /// The sentence for people, with times in `zone` and the span until then.
    pub fn told(&self, zone: &Zone, now: Millis) -> String {
        match self {
            BlockReason::BeforeStart { start } => {
                format!("planned time begins at {}", zone.told(*start, now))
            }
            BlockReason::AfterEnd { end } => format!("planned time ended at {}", zone.told(*end, now)),
            BlockReason::OutsidePeriod { opens, .. } => {
                format!("push period opens at {}", zone.told(*opens, now))
            }
            BlockReason::Waiting { wait: Wait::Refusal, until } => {
                format!("the device refused; offered again at {}", zone.told(*until, now))
            }
            BlockReason::Waiting { wait: Wait::Failure, until } => {
                format!("an attempt failed; offered again at {}", zone.told(*until, now))
            }
            BlockReason::Verification(Verifying { verification, package, until }) => {
                let until = zone.told(*until, now);
                format!(
                    "firmware verification {verification} of version package {package} has the device, until {until} \
                     at the latest"
                )
            }
            BlockReason::AwaitingUser { missed: Some(until) } => format!(
                "waits for the user's confirmation: the appointed window closed at {}",
                zone.told(*until, now)
            ),
            BlockReason::Appointed { from, .. } => format!("appointed for {}", zone.told(*from, now)),
            BlockReason::PerMinute { limit, until } => {
                let next = zone.told(*until, now);
                format!(
                    "{limit} devices started in the last minute, the plan's limit; the next one at {next}"
                )
            }
            other => other.to_string(),
        }
    }
}
