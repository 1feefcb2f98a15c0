//! What is counted for a plan: the use of its limits, devices that finished since it was resumed, devices without an offer.

use super::{Columns, Plan, Reader, Result, Writer};
use crate::clock::Millis;
use crate::rules::limits::{Load, START_SPAN};
use crate::rules::plan::List;
use crate::rules::progress::{Figures, UpgradeState};
use crate::rules::{ComponentNo, DeviceId, PlanId, ProductKey};

/// What there is to say of a plan in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlanTotals {
    /// See [`Reader::plan_figures`].
    pub figures: Figures,
    /// Device keys in its whitelist.
    pub whitelist: i64,
    /// Device keys in its blacklist.
    pub blacklist: i64,
    /// Devices of its product.
    pub product: i64,
    /// For each component: the newer plans that take its place.
    pub superseded_by: Vec<(ComponentNo, PlanId)>,
    /// Whether it is over, and what becomes of its devices is still being written.
    pub is_ending: bool,
}

// A test shows that each has its index.
pub(super) const IN_FLIGHT: &str =
    "SELECT COUNT(*) AS devices FROM upgrades WHERE plan_id = $1 AND outstanding = 1";
pub(super) const UNANSWERED: &str = "SELECT COUNT(*) AS devices FROM upgrades WHERE plan_id = $1 AND state = 'not_upgraded' AND outstanding = 1";
pub(super) const LAST_STARTS: &str =
    "SELECT at FROM plan_starts WHERE plan_id = $1 AND at > $2 ORDER BY at DESC LIMIT $3";
pub(super) const FINISHED: &str = "SELECT id FROM upgrades WHERE plan_id = $1 AND state IN ('upgraded', 'upgrade_failed') AND cancelled_at IS NULL LIMIT $2";
pub(super) const STARTED: &str =
    "SELECT id FROM upgrades WHERE plan_id = $1 AND state = 'upgrading' LIMIT $2";
pub(super) const TOTALS: &str = "SELECT 'state' AS what, state AS word, CAST(SUM(devices) AS BIGINT) AS number \
             FROM upgrade_counts WHERE plan_id = $1 GROUP BY state \
             UNION ALL SELECT 'unreached', '', unreached FROM plans WHERE id = $1 \
             UNION ALL SELECT 'listed', list, COUNT(*) FROM plan_devices WHERE plan_id = $1 GROUP BY list \
             UNION ALL SELECT 'product', '', CAST(COALESCE(SUM(devices), 0) AS BIGINT) FROM device_counts WHERE pk = $2 \
             UNION ALL SELECT 'superseded', component, newer FROM plan_supersedes WHERE older = $1 \
             UNION ALL SELECT 'ending', '', 1 FROM plan_endings WHERE ending = $1";

impl Reader {
    /// The numbers of a plan of `product`, by one statement unless its end is being written.
    pub async fn plan_totals(&mut self, plan: PlanId, product: &ProductKey) -> Result<PlanTotals> {
        let query = sqlx::query(TOTALS).bind(plan.0).bind(product.as_str());
        let mut totals = PlanTotals::default();
        for row in query.fetch_all(self.connection()).await? {
            match row.text("what")?.as_str() {
                "state" => totals.figures.add(row.word("word")?, row.number("number")?),
                "unreached" => totals.figures.add(UpgradeState::Failed, row.number("number")?),
                "listed" if row.word::<List>("word")? == List::White => {
                    totals.whitelist = row.int("number")?
                }
                "listed" => totals.blacklist = row.int("number")?,
                "product" => totals.product = row.int("number")?,
                "superseded" => {
                    totals.superseded_by.push((row.word("word")?, PlanId(row.int("number")?)));
                }
                _ => totals.is_ending = true,
            }
        }
        totals.superseded_by.sort_by_key(|(_, newer)| *newer);
        if totals.is_ending {
            self.with_ended(plan, &mut totals.figures).await?;
        }
        Ok(totals)
    }

    /// How much of its limits the plan uses: exact, and the work is bounded by the limits themselves.
    pub async fn load(&mut self, plan: &Plan, now: Millis) -> Result<Load> {
        let strategy = &plan.settings.strategy;
        let mut load = Load::default();
        if strategy.max_in_flight.is_some() {
            let row = sqlx::query(IN_FLIGHT).bind(plan.id.0).fetch_one(self.connection()).await?;
            load.in_flight = row.number("devices")?;
        }
        if let Some(limit) = strategy.max_per_minute {
            let rows = sqlx::query(LAST_STARTS)
                .bind(plan.id.0)
                .bind((now - START_SPAN).0)
                .bind(i64::from(limit))
                .fetch_all(self.connection())
                .await?;
            if rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX)
                && let Some(oldest) = rows.last()
            {
                load.full_until = Some(Millis(oldest.int("at")?) + START_SPAN);
            }
        }
        if let Some(first) = strategy.first_devices {
            for (query, count) in [(FINISHED, &mut load.finished), (STARTED, &mut load.engaged)] {
                let rows = sqlx::query(query)
                    .bind(plan.id.0)
                    .bind(i64::from(first))
                    .fetch_all(self.connection())
                    .await?;
                *count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            }
            let row = sqlx::query(UNANSWERED).bind(plan.id.0).fetch_one(self.connection()).await?;
            load.engaged = load.engaged.saturating_add(row.number("devices")?);
        }
        Ok(load)
    }

    /// How many of its devices the plan had not been offered to when it was terminated.
    pub async fn plan_unreached(&mut self, id: PlanId) -> Result<u64> {
        let row = sqlx::query("SELECT unreached FROM plans WHERE id = $1")
            .bind(id.0)
            .fetch_optional(self.connection())
            .await?;
        row.map_or(Ok(0), |row| row.number("unreached"))
    }
}

impl Writer {
    /// A device starts now; starts of more than a minute ago are forgotten.
    pub async fn count_start(&mut self, id: PlanId, device: DeviceId, now: Millis) -> Result<()> {
        sqlx::query("DELETE FROM plan_starts WHERE plan_id = $1 AND at <= $2")
            .bind(id.0)
            .bind((now - START_SPAN).0)
            .execute(self.connection())
            .await?;
        sqlx::query("INSERT INTO plan_starts (plan_id, device_id, at) VALUES ($1, $2, $3)")
            .bind(id.0)
            .bind(device.0)
            .bind(now.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// One more device has finished; how many since the plan was activated or resumed, and how many of them failed.
    pub async fn count_finished(&mut self, id: PlanId, end: UpgradeState) -> Result<(u32, u32)> {
        let row = sqlx::query(
            "UPDATE plans SET halt_finished = halt_finished + 1, halt_failed = halt_failed + $2 WHERE id = $1 \
             RETURNING halt_finished, halt_failed",
        )
        .bind(id.0)
        .bind(i64::from(end == UpgradeState::Failed))
        .fetch_one(self.connection())
        .await?;
        Ok((row.number("halt_finished")?, row.number("halt_failed")?))
    }

    /// A device that had finished well has failed after all; the count as [`Writer::count_finished`] gives it.
    pub async fn count_reverted(&mut self, id: PlanId) -> Result<(u32, u32)> {
        // It may have finished before a resume, from which on devices are counted.
        let row = sqlx::query(
            "UPDATE plans SET halt_failed = halt_failed + 1, \
             halt_finished = CASE WHEN halt_finished > halt_failed THEN halt_finished ELSE halt_failed + 1 END \
             WHERE id = $1 RETURNING halt_finished, halt_failed",
        )
        .bind(id.0)
        .fetch_one(self.connection())
        .await?;
        Ok((row.number("halt_finished")?, row.number("halt_failed")?))
    }

    /// A device that had failed has another chance, or is left out: it does not count as failed any more.
    pub async fn uncount_failed(&mut self, id: PlanId) -> Result<()> {
        // Failures from before a resume are not in the count.
        sqlx::query(
            "UPDATE plans SET halt_finished = halt_finished - 1, halt_failed = halt_failed - 1 \
             WHERE id = $1 AND halt_failed > 0",
        )
        .bind(id.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Finished devices are counted from here on.
    pub async fn forget_finished(&mut self, id: PlanId) -> Result<()> {
        sqlx::query("UPDATE plans SET halt_finished = 0, halt_failed = 0 WHERE id = $1")
            .bind(id.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
