//! What was done to a plan, and what it did by itself, with the time of each.

use super::{Columns, Reader, Result, Writer};
use crate::clock::Millis;
use crate::rules::PlanId;
use crate::rules::plan::PlanEvent;

// A test shows that it has its index.
pub(super) const PLAN_CHANGES: &str =
    "SELECT event, reason, at FROM plan_changes WHERE plan_id = $1 ORDER BY id LIMIT $2";

/// Changes of a plan that are given at most, from the first on.
const CHANGES_MAX: i64 = 500;

/// One change in a plan's life.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct PlanChange {
    /// What happened.
    pub event: PlanEvent,
    /// Why the plan did it by itself.
    pub reason: Option<String>,
    /// When.
    pub at: Millis,
}

impl Reader {
    /// The plan's changes since its activation, in their order.
    pub async fn plan_changes(&mut self, plan: PlanId) -> Result<Vec<PlanChange>> {
        let rows =
            sqlx::query(PLAN_CHANGES).bind(plan.0).bind(CHANGES_MAX).fetch_all(self.connection()).await?;
        rows.iter()
            .map(|row| {
                Ok(PlanChange {
                    event: row.word("event")?,
                    reason: row.maybe_text("reason")?,
                    at: Millis(row.int("at")?),
                })
            })
            .collect()
    }
}

impl Writer {
    /// Notes a change of the plan.
    pub async fn add_plan_change(&mut self, plan: PlanId, change: &PlanChange) -> Result<()> {
        sqlx::query("INSERT INTO plan_changes (plan_id, event, reason, at) VALUES ($1, $2, $3, $4)")
            .bind(plan.0)
            .bind(change.event.as_str())
            .bind(change.reason.as_deref())
            .bind(change.at.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
