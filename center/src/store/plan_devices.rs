//! The devices that a plan was offered to: in pages, each led by an index, and by reason.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::select::{Bind, Select};
use super::upgrades::{push_component, upgrade};
use super::{Columns, PAGE_MAX, Page, PlanId, Reader, Result, Upgrade};
use crate::rules::DeviceKey;
use crate::rules::plan::TERMINATED_UNREACHED;
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

/// An upgrade that the end of its plan has ended, and whose row does not say so yet.
const IS_ENDED: &str =
    "end_at IS NOT NULL AND ended_at IS NULL AND (confirmed_at IS NULL OR outstanding = 0)";

impl UpgradeFilter {
    /// `is_ending`: the rows of the plan's upgrades do not all say yet that it is over.
    fn select(&self, plan: PlanId, after: i64, limit: i64, is_ending: bool) -> Select {
        let text = "SELECT upgrades.*, plan_endings.*, devices.dk AS dk FROM upgrades \
                    JOIN devices ON devices.id = upgrades.device_id \
                    LEFT JOIN plan_endings ON ending = upgrades.plan_id WHERE ";
        let mut select = Select { text: text.to_owned(), binds: Vec::new() };
        select.put("upgrades.plan_id = ?", Bind::Number(plan.0));
        if let Some(reason) = &self.reason {
            let decided = format!("CASE WHEN {IS_ENDED} THEN end_reason ELSE upgrades.reason END = ?");
            let condition = if is_ending { &decided } else { "upgrades.reason = ?" };
            select.and(condition, Bind::Text(reason.clone()));
        }
        if let Some(state) = self.state {
            let decided = format!(
                "CASE WHEN {IS_ENDED} THEN CASE WHEN confirmed_at IS NULL THEN end_state ELSE 'upgrade_failed' END \
                 ELSE upgrades.state END = ?"
            );
            let condition = match (is_ending, &self.reason) {
                (true, _) => &decided,
                (false, Some(_)) => "upgrades.state || '' = ?",
                (false, None) => "upgrades.state = ?",
            };
            select.and(condition, Bind::Text(state.as_str().to_owned()));
        }
        select.and("upgrades.id > ?", Bind::Number(after));
        select.put(" ORDER BY upgrades.id LIMIT ?", Bind::Number(limit));
        select
    }
}

/// States and reasons of a plan that are looked at.
const REASONS: i64 = 10_000;
pub(super) const PLAN_REASONS: &str = "SELECT state, reason, CAST(SUM(devices) AS BIGINT) AS devices FROM upgrade_counts \
             WHERE plan_id = $1 GROUP BY state, reason HAVING SUM(devices) <> 0 ORDER BY devices DESC, state, reason LIMIT $2";

/// The place of a [`ReasonCount`] among those of its plan: the most frequent first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReasonPlace {
    devices: Reverse<i64>,
    state: String,
    reason: String,
}

impl ReasonCount {
    /// Its place.
    #[must_use]
    pub fn place(&self) -> ReasonPlace {
        ReasonPlace {
            devices: Reverse(self.devices),
            state: self.state.as_str().to_owned(),
            reason: self.reason.clone().unwrap_or_default(),
        }
    }
}

impl fmt::Display for ReasonPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.devices.0, self.state, self.reason)
    }
}

impl FromStr for ReasonPlace {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let mut parts = text.splitn(3, ' ');
        let devices = parts.next().and_then(|number| number.parse().ok()).ok_or(())?;
        let state = parts.next().filter(|state| state.parse::<UpgradeState>().is_ok()).ok_or(())?;
        let reason = parts.next().ok_or(())?;
        Ok(Self { devices: Reverse(devices), state: state.to_owned(), reason: reason.to_owned() })
    }
}

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
        let is_ending = match filter {
            UpgradeFilter { state: None, reason: None } => false,
            _ => self.plan_ending(plan).await?.is_some(),
        };
        let rows = self.rows(filter.select(plan, after, limit + 1, is_ending)).await?;
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
                push_component(&mut device.upgrade, *row)?;
                parts.next();
            }
        }
        Ok(page)
    }

    /// The most frequent states and reasons among the plan's devices, at most `limit`, after a place; with those that its
    /// termination found without an offer.
    pub async fn plan_reasons(
        &mut self,
        plan: PlanId,
        after: Option<&ReasonPlace>,
        limit: i64,
    ) -> Result<Vec<ReasonCount>> {
        let rows = sqlx::query(PLAN_REASONS).bind(plan.0).bind(REASONS).fetch_all(self.connection()).await?;
        let mut counts: BTreeMap<(&'static str, Option<String>), (UpgradeState, i64)> = BTreeMap::new();
        let mut add = |state: UpgradeState, reason: Option<String>, devices| {
            counts.entry((state.as_str(), reason)).or_insert((state, 0)).1 += devices;
        };
        for row in &rows {
            let reason = Some(row.text("reason")?).filter(|reason| !reason.is_empty());
            add(row.word("state")?, reason, row.int("devices")?);
        }
        if let Some(ending) = self.plan_ending(plan).await? {
            for ended in self.ended_by_plan(&ending).await? {
                add(ended.state, ended.reason, -ended.devices);
                add(ended.becomes, Some(ending.reason.clone()), ended.devices);
            }
        }
        let unreached = i64::try_from(self.plan_unreached(plan).await?).unwrap_or(i64::MAX);
        add(UpgradeState::Failed, Some(TERMINATED_UNREACHED.into()), unreached);
        let counts = counts.into_iter().filter(|(_, (_, devices))| *devices > 0);
        let counts = counts.map(|((_, reason), (state, devices))| ReasonCount { state, reason, devices });
        let mut counts: Vec<_> =
            counts.filter(|count| after.is_none_or(|after| count.place() > *after)).collect();
        counts.sort_by_cached_key(ReasonCount::place);
        counts.truncate(usize::try_from(limit).unwrap_or(0));
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
        is_led_by(filter.select(PlanId(1), 7, 11, false), "upgrades_page").await;
        filter.state = Some(UpgradeState::Failed);
        is_led_by(filter.select(PlanId(1), 7, 11, false), "upgrades_plan").await;
        filter.reason = Some("status 12".into());
        is_led_by(filter.select(PlanId(1), 7, 11, false), "upgrades_reason").await;
        is_led_by(filter.select(PlanId(1), 7, 11, true), "upgrades_page").await;
    }
}
