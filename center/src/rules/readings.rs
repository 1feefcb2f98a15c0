//! Battery and signal: the limits of a plan, and the question for values that the device has not reported.

use std::fmt;
use std::str::FromStr;

use super::block_reason::BlockReason;
use super::device::DeviceFacts;
use super::names::NameError;
use super::plan::Strategy;
use super::trigger::Trigger;

/// Whether the values that the device has reported are above the limits of the plan.
pub fn is_strong_enough(strategy: &Strategy, device: &DeviceFacts<'_>) -> Result<(), BlockReason> {
    if let (Some(needed), Some(reported)) = (strategy.min_battery, device.battery)
        && reported < i64::from(needed)
    {
        return Err(BlockReason::Battery { reported, needed });
    }
    if let (Some(needed), Some(reported)) = (strategy.min_rsrp, device.rsrp)
        && reported < i64::from(needed)
    {
        return Err(BlockReason::Rsrp { reported, needed });
    }
    Ok(())
}

/// Whether the plan has a limit whose value the device has not reported on this connection: it is asked first.
pub fn lacks_status(strategy: &Strategy, device: &DeviceFacts<'_>) -> bool {
    (strategy.min_battery.is_some() && device.battery.is_none())
        || (strategy.min_rsrp.is_some() && device.rsrp.is_none())
}

/// How far the center's question for battery and signal is, on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusAsk {
    /// Asked; the plans are evaluated again with this trigger when the answer comes.
    Waiting(Trigger),
    /// Answered, as far as the device could.
    Answered,
}

impl fmt::Display for StatusAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatusAsk::Waiting(trigger) => trigger.fmt(f),
            StatusAsk::Answered => f.write_str("answered"),
        }
    }
}

impl FromStr for StatusAsk {
    type Err = NameError;

    fn from_str(word: &str) -> Result<Self, NameError> {
        if word == "answered" { Ok(StatusAsk::Answered) } else { word.parse().map(StatusAsk::Waiting) }
    }
}
