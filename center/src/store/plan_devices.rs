//! The devices that a plan was offered to: in pages, each led by an index, and by reason.

use super::select::{Bind, Select};
use super::upgrades::{component, upgrade};
use super::{Columns, PAGE_MAX, Page, PlanId, Reader, Result, Upgrade};
use crate::rules::DeviceKey;
use crate::rules::progress::UpgradeState;

/// Which devices of a plan are looked for, among those that it was offered to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpgradeFilter {
    /// State of the device's upgrade.
    pub state: Option<UpgradeState>,
    /// Why it failed or waits, word for word.
    pub reason: Option<String>,
}

/// A device of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanDevice {
    /// Its key.
    pub key: DeviceKey,
    /// Its upgrade.
    pub upgrade: Upgrade,
}

/// How many devices of a plan are where, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct ReasonCount {
    /// State of the upgrades.
    pub state: UpgradeState,
    /// Why they failed or wait.
    pub reason: Option<String>,
    /// How many.
    pub devices: i64,
}

impl UpgradeFilter {
    fn select(&self, plan: PlanId, after: i64, limit: i64) -> Select {
        let text = "SELECT upgrades.*, devices.dk AS dk FROM upgrades \
                    JOIN devices ON devices.id = upgrades.device_id WHERE ";
        let mut select = Select { text: text.to_owned(), binds: Vec::new() };
        select.put("upgrades.plan_id = ?", Bind::Number(plan.0));
        if let Some(reason) = &self.reason {
            select.and("upgrades.reason = ?", Bind::Text(reason.clone()));
        }
        if let Some(state) = self.state {
            let condition =
                if self.reason.is_some() { "upgrades.state || '' = ?" } else { "upgrades.state = ?" };
            select.and(condition, Bind::Text(state.as_str().to_owned()));
        }
        select.and("upgrades.id > ?", Bind::Number(after));
        select.put(" ORDER BY upgrades.id LIMIT ?", Bind::Number(limit));
        select
    }
}

/// Reasons that a plan's summary names at most.
const REASONS: i64 = 100;
// By reason alone, which is the order of its index; the states of a reason are columns, so that nothing is sorted.
pub(super) const PLAN_REASONS: &str = "SELECT reason, COUNT(*) AS devices, \
             COUNT(*) FILTER (WHERE state = 'no_update_required') AS no_update_required, \
             COUNT(*) FILTER (WHERE state = 'not_upgraded') AS not_upgraded, \
             COUNT(*) FILTER (WHERE state = 'upgrading') AS upgrading, \
             COUNT(*) FILTER (WHERE state = 'upgraded') AS upgraded, \
             COUNT(*) FILTER (WHERE state = 'upgrade_failed') AS upgrade_failed \
             FROM upgrades WHERE plan_id = $1 GROUP BY reason ORDER BY devices DESC, reason LIMIT $2";

impl Reader {
    /// A page of the devices that the plan was offered to, in the order of their first offers.
    pub async fn plan_device_page(
        &mut self,
        plan: PlanId,
        filter: &UpgradeFilter,
        after: i64,
        limit: i64,
    ) -> Result<Page<PlanDevice>> {
        let limit = limit.clamp(1, PAGE_MAX);
        let rows = self.rows(filter.select(plan, after, limit + 1)).await?;
        let mut devices = Vec::with_capacity(rows.len());
        for row in &rows {
            devices.push(PlanDevice { key: row.word("dk")?, upgrade: upgrade(row)? });
        }
        let mut page = Page::of(devices, limit, |device| device.upgrade.id.0);
        let ids: Vec<i64> = page.rows.iter().map(|device| device.upgrade.id.0).collect();
        let rows = sqlx::query(
            "SELECT * FROM component_upgrades WHERE upgrade_id IN \
             (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY upgrade_id, position",
        )
        .bind(serde_json::json!(ids).to_string())
        .fetch_all(self.connection())
        .await?;
        let mut parts = rows.iter().peekable();
        for device in &mut page.rows {
            // Both lists are in the order of upgrade numbers.
            while let Some(row) = parts.peek() {
                if row.int("upgrade_id")? != device.upgrade.id.0 {
                    break;
                }
                device.upgrade.components.push(component(*row)?);
                parts.next();
            }
        }
        Ok(page)
    }

    /// The most frequent states and reasons among the plan's devices.
    pub async fn plan_reasons(&mut self, plan: PlanId) -> Result<Vec<ReasonCount>> {
        let rows = sqlx::query(PLAN_REASONS).bind(plan.0).bind(REASONS).fetch_all(self.connection()).await?;
        let mut counts = Vec::new();
        for row in &rows {
            for state in UpgradeState::ALL {
                let devices = row.int(state.as_str())?;
                if devices > 0 {
                    counts.push(ReasonCount { state: *state, reason: row.maybe_text("reason")?, devices });
                }
            }
        }
        // Of equal counts the order is the same each time.
        counts.sort_by(|a, b| {
            (b.devices, a.state.as_str(), &a.reason).cmp(&(a.devices, b.state.as_str(), &b.reason))
        });
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::select::tests::is_led_by;

    #[tokio::test]
    async fn every_list_of_a_plan_is_led_by_an_index_and_needs_no_sort() {
        let mut filter = UpgradeFilter::default();
        is_led_by(filter.select(PlanId(1), 7, 11), "upgrades_page").await;
        filter.state = Some(UpgradeState::Failed);
        is_led_by(filter.select(PlanId(1), 7, 11), "upgrades_plan").await;
        filter.reason = Some("status 12".into());
        is_led_by(filter.select(PlanId(1), 7, 11), "upgrades_reason").await;
    }
}
