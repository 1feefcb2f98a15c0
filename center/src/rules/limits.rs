//! Limits of a plan's strategy: how many devices at a time, and when a plan stops by itself.

use super::block_reason::BlockReason;
use super::plan::{Halt, Strategy};
use super::upgrade::Phase;
use crate::clock::Millis;

/// How much of its limits a plan uses now; what has no limit is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Devices that were offered the plan and may still answer, or are at work.
    pub in_flight: u32,
    /// The starts of the last minute use the limit up; until then.
    pub full_until: Option<Millis>,
    /// Devices that are Upgraded or Failed.
    pub finished: u32,
    /// Devices that were offered the plan, or have started, and have not finished.
    pub engaged: u32,
}

/// The span that starts are counted over.
pub const START_SPAN: Millis = Millis::minutes(1);

impl Strategy {
    /// Whether starting a device needs a count of others.
    pub fn has_limits(&self) -> bool {
        self.first_devices.is_some() || self.max_in_flight.is_some() || self.max_per_minute.is_some()
    }
}

/// Whether a device in this phase may start. One that is in flight takes no second place, and one that has started before
/// is one of the first devices already.
pub fn has_room(strategy: &Strategy, load: &Load, phase: Phase) -> Result<(), BlockReason> {
    if phase.is_in_flight() {
        return Ok(());
    }
    if let Some(first) = strategy.first_devices
        && !matches!(phase, Phase::RetryPending | Phase::NextPending)
        && load.finished < first
        && load.finished.saturating_add(load.engaged) >= first
    {
        return Err(BlockReason::FirstDevices { first, finished: load.finished });
    }
    if let Some(limit) = strategy.max_in_flight
        && load.in_flight >= limit
    {
        return Err(BlockReason::InFlight { limit });
    }
    if let (Some(limit), Some(until)) = (strategy.max_per_minute, load.full_until) {
        return Err(BlockReason::PerMinute { limit, until });
    }
    Ok(())
}

/// Whether a plan stops by itself: more than its share of at least so many finished devices failed.
fn halts(halt: Halt, finished: u32, failed: u32) -> bool {
    finished >= halt.after && u64::from(failed) * 100 > u64::from(halt.percent) * u64::from(finished)
}

/// Why a plan stops by itself, if it does, after `finished` devices of which `failed` failed.
pub fn halt_reason(halt: Halt, finished: u32, failed: u32) -> Option<String> {
    let percent = halt.percent;
    halts(halt, finished, failed)
        .then(|| format!("{failed} of {finished} finished devices failed, more than {percent} %"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_halts_above_its_share_and_not_before_enough_have_finished() {
        let halt = Halt { percent: 30, after: 10 };
        assert!(!halts(halt, 9, 9));
        assert!(!halts(halt, 10, 3), "30 % is not more than 30 %");
        assert!(halts(halt, 10, 4));
        assert!(halts(Halt { percent: 0, after: 1 }, 1, 1));
        assert!(!halts(Halt { percent: 0, after: 1 }, 1, 0));
        assert!(halts(Halt { percent: 99, after: 1 }, u32::MAX, u32::MAX));
    }

    #[test]
    fn the_rest_waits_until_the_first_have_finished() {
        let strategy = Strategy { first_devices: Some(2), ..Strategy::default() };
        let load = |finished, engaged| Load { finished, engaged, ..Load::default() };
        assert_eq!(has_room(&strategy, &load(0, 1), Phase::NotOffered), Ok(()));
        let blocked = Err(BlockReason::FirstDevices { first: 2, finished: 1 });
        assert_eq!(has_room(&strategy, &load(1, 1), Phase::NotOffered), blocked);
        assert_eq!(has_room(&strategy, &load(1, 1), Phase::RetryPending), Ok(()), "its own retry");
        assert_eq!(has_room(&strategy, &load(2, 9), Phase::NotOffered), Ok(()));
    }

    #[test]
    fn a_device_in_flight_takes_no_second_place() {
        let strategy = Strategy { max_in_flight: Some(1), max_per_minute: Some(1), ..Strategy::default() };
        let load = Load { in_flight: 1, full_until: Some(Millis(9)), ..Load::default() };
        assert_eq!(has_room(&strategy, &load, Phase::AtWork), Ok(()));
        assert_eq!(has_room(&strategy, &load, Phase::RetryPending), Err(BlockReason::InFlight { limit: 1 }));
        let load = Load { in_flight: 0, ..load };
        let blocked = BlockReason::PerMinute { limit: 1, until: Millis(9) };
        assert_eq!(has_room(&strategy, &load, Phase::NotOffered), Err(blocked));
    }
}
