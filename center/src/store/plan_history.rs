//! When a plan's devices were offered it, confirmed and ended: counted in parts of its time.

use super::{Columns, Reader, Result};
use crate::clock::Millis;
use crate::rules::PlanId;
use crate::rules::progress::UpgradeState;

// A test shows that it has its index.
pub(super) const HISTORY: &str = "SELECT (created_at - $2) / $3 AS offered, (confirmed_at - $2) / $3 AS confirmed, \
             (ended_at - $2) / $3 AS ended, state, COUNT(*) AS devices FROM upgrades WHERE plan_id = $1 \
             AND id % $4 = 0 GROUP BY 1, 2, 3, 4";

/// Devices that are looked at for the history of a plan, about; of more than these one in so many stands for all.
pub const SAMPLE: u64 = 20_000;

/// Devices by the part of the plan's time in which something happened to them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlanHistory {
    /// Length of a part.
    pub part: Millis,
    /// One device in so many was looked at and counts for so many; 1: all of them.
    pub one_in: i64,
    /// First offer.
    pub offered: Vec<i64>,
    /// First confirmation.
    pub confirmed: Vec<i64>,
    /// End as upgraded.
    pub upgraded: Vec<i64>,
    /// End as failed.
    pub failed: Vec<i64>,
}

impl Reader {
    /// The plan's history from `from` until `until` in so many parts. The plan was offered to about `devices`, which decides
    /// whether all are looked at.
    pub async fn plan_history(
        &mut self,
        plan: PlanId,
        (from, until): (Millis, Millis),
        parts: i64,
        devices: u64,
    ) -> Result<PlanHistory> {
        let one_in = i64::try_from(devices.div_ceil(SAMPLE)).unwrap_or(i64::MAX).max(1);
        let count = usize::try_from(parts).unwrap_or(1).max(1);
        let part = Millis(((until - from).0 / parts.max(1)).max(1) + 1);
        let none = || vec![0; count];
        let mut history = PlanHistory {
            part,
            one_in,
            offered: none(),
            confirmed: none(),
            upgraded: none(),
            failed: none(),
        };
        let query = sqlx::query(HISTORY).bind(plan.0).bind(from.0).bind(part.0).bind(one_in);
        for row in query.fetch_all(self.connection()).await? {
            let devices = row.int("devices")? * one_in;
            let state: UpgradeState = row.word("state")?;
            let ended = match state {
                UpgradeState::Upgraded => Some(&mut history.upgraded),
                UpgradeState::Failed => Some(&mut history.failed),
                _ => None,
            };
            let columns = [
                (Some(&mut history.offered), "offered"),
                (Some(&mut history.confirmed), "confirmed"),
                (ended, "ended"),
            ];
            for (counts, column) in columns {
                let (Some(counts), Some(at)) = (counts, row.maybe_int(column)?) else { continue };
                // A device may end after the plan is over: it counts in the last part.
                let at = usize::try_from(at.max(0)).unwrap_or(count).min(count - 1);
                if let Some(counted) = counts.get_mut(at) {
                    *counted += devices;
                }
            }
        }
        Ok(history)
    }
}
