//! Plans that are over: what becomes of their devices is decided for all of them at once, by one row, and written into their
//! own rows in batches.

use std::sync::LazyLock;

use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::device_sets::table;
use super::push::{PART_COLUMNS, part_rows};
use super::{Backend, Columns, PushedPart, Reader, Result, Topic, Writer};
use crate::clock::Millis;
use crate::rules::progress::UpgradeState;
use crate::rules::{DeviceId, PlanId, ProductKey, UpgradeId};

/// How far the end of a plan is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanEnding {
    /// The plan.
    pub plan: PlanId,
    /// What becomes of upgrades that no device has confirmed.
    pub state: UpgradeState,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Millis,
    /// Upgrades up to this number are written; none: all are.
    pub written_to: Option<UpgradeId>,
    /// Devices up to this number are counted.
    pub counted_to: DeviceId,
    /// The last device that is to be counted.
    pub count_until: DeviceId,
}

impl PlanEnding {
    /// Whether nothing is left to be done.
    pub fn is_done(&self) -> bool {
        self.written_to.is_none() && self.counted_to >= self.count_until
    }
}

/// Upgrades that the end of their plan ends, in a plan that is over: nobody has confirmed them, or they wait for another
/// attempt.
const IS_ENDED: &str = "ended_at IS NULL AND (confirmed_at IS NULL OR outstanding = 0)";
/// Those in states that open upgrades have.
// A test shows that each has its index.
pub(super) const ENDED_BY_PLAN: &str = "SELECT state, reason, CASE WHEN confirmed_at IS NULL THEN 0 ELSE 1 END AS confirmed, \
             COUNT(*) AS devices FROM upgrades WHERE plan_id = $1 AND state IN ('not_upgraded', 'upgrading') \
             AND ended_at IS NULL AND (confirmed_at IS NULL OR outstanding = 0) GROUP BY state, reason, confirmed";
pub(super) const NEXT_PART: &str = "SELECT MAX(id) AS last, COUNT(*) AS devices FROM \
             (SELECT id FROM upgrades WHERE plan_id = $1 AND id > $2 ORDER BY id LIMIT $3) AS part";
pub(super) const NEXT_DEVICES: &str = "SELECT MAX(id) AS last, COUNT(*) AS devices FROM \
             (SELECT id FROM devices WHERE pk = $1 AND id > $2 AND id <= $3 ORDER BY id LIMIT $4) AS part";

/// Devices of a range that the parts (`$1`, a JSON array) of a plan are for and that have no row in it: who is registered,
/// stands in its lists, and has not told of a version that leaves the plan nothing to do.
pub(super) fn unreached(backend: Backend) -> &'static str {
    static SQLITE: LazyLock<String> = LazyLock::new(|| build_unreached(Backend::Sqlite));
    static POSTGRES: LazyLock<String> = LazyLock::new(|| build_unreached(Backend::Postgres));
    match backend {
        Backend::Sqlite => &SQLITE,
        Backend::Postgres => &POSTGRES,
    }
}

fn build_unreached(backend: Backend) -> String {
    format!(
        "WITH part AS MATERIALIZED (SELECT * FROM {parts}) \
         SELECT COUNT(*) AS devices FROM devices WHERE pk = $2 AND id > $3 AND id <= $4 \
         AND NOT EXISTS (SELECT 1 FROM upgrades WHERE upgrades.plan_id = $5 AND upgrades.device_id = devices.id) \
         AND EXISTS (SELECT 1 FROM part WHERE CASE part.kind WHEN 'module' \
           THEN devices.module_version IS NULL OR (devices.module_version <> part.target \
             AND COALESCE(devices.firmware_version, '') <> part.target \
             AND (part.source IS NULL OR devices.module_version = part.source \
               OR devices.firmware_version = part.source)) \
           ELSE NOT EXISTS (SELECT 1 FROM device_versions AS mcu WHERE mcu.device_id = devices.id \
             AND mcu.component = part.component \
             AND (mcu.version = part.target OR mcu.version <> part.source)) END \
         AND (part.black = 0 OR NOT EXISTS (SELECT 1 FROM plan_devices \
           WHERE plan_id = part.plan AND list = 'black' AND dk = devices.dk)) \
         AND (part.white = 0 OR EXISTS (SELECT 1 FROM plan_devices \
           WHERE plan_id = part.plan AND list = 'white' AND dk = devices.dk)))",
        parts = table(backend, &PART_COLUMNS),
    )
}

fn ending(row: &AnyRow) -> Result<PlanEnding> {
    Ok(PlanEnding {
        plan: PlanId(row.int("ending")?),
        state: row.word("end_state")?,
        reason: row.text("end_reason")?,
        at: Millis(row.int("end_at")?),
        written_to: row.maybe_int("written_to")?.map(UpgradeId),
        counted_to: DeviceId(row.int("counted_to")?),
        count_until: DeviceId(row.int("count_until")?),
    })
}

/// Upgrades that the end of their plan has ended and whose rows do not say so yet.
pub(super) struct EndedByPlan {
    pub(super) state: UpgradeState,
    pub(super) reason: Option<String>,
    pub(super) becomes: UpgradeState,
    pub(super) devices: i64,
}

impl Reader {
    /// Plans whose end is still being written, at most `limit`.
    pub async fn plan_endings(&mut self, limit: i64) -> Result<Vec<PlanId>> {
        let query = sqlx::query("SELECT ending FROM plan_endings ORDER BY ending LIMIT $1").bind(limit);
        let rows = query.fetch_all(self.connection()).await?;
        rows.iter().map(|row| row.int("ending").map(PlanId)).collect()
    }

    /// How far the end of the plan is written; none: there is nothing left to be done.
    pub async fn plan_ending(&mut self, plan: PlanId) -> Result<Option<PlanEnding>> {
        let query = sqlx::query("SELECT * FROM plan_endings WHERE ending = $1").bind(plan.0);
        query.fetch_optional(self.connection()).await?.as_ref().map(ending).transpose()
    }

    /// See [`EndedByPlan`].
    pub(super) async fn ended_by_plan(&mut self, ending: &PlanEnding) -> Result<Vec<EndedByPlan>> {
        if ending.written_to.is_none() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(ENDED_BY_PLAN).bind(ending.plan.0).fetch_all(self.connection()).await?;
        rows.iter()
            .map(|row| {
                let confirmed = row.int("confirmed")? != 0;
                Ok(EndedByPlan {
                    state: row.word("state")?,
                    reason: row.maybe_text("reason")?,
                    becomes: if confirmed { UpgradeState::Failed } else { ending.state },
                    devices: row.int("devices")?,
                })
            })
            .collect()
    }

    /// The last device of the product; 0: it has none.
    pub async fn last_device(&mut self, product: &ProductKey) -> Result<DeviceId> {
        let query = sqlx::query("SELECT MAX(id) AS last FROM devices WHERE pk = $1").bind(product.as_str());
        let row = query.fetch_one(self.connection()).await?;
        Ok(DeviceId(row.maybe_int("last")?.unwrap_or(0)))
    }
}

impl Writer {
    /// Writes the end of the plan into up to `limit` of its upgrades. Returns how many ended as never confirmed, and how many
    /// that waited for another attempt failed.
    pub async fn write_ends(&mut self, ending: &mut PlanEnding, limit: i64) -> Result<(u64, u64)> {
        let Some(from) = ending.written_to else { return Ok((0, 0)) };
        let query = sqlx::query(NEXT_PART).bind(ending.plan.0).bind(from.0).bind(limit);
        let row = query.fetch_one(self.connection()).await?;
        let (last, upgrades) = (row.maybe_int("last")?, row.int("devices")?);
        ending.written_to = last.filter(|_| upgrades >= limit).map(UpgradeId);
        let Some(last) = last else { return Ok((0, 0)) };
        self.touch(Topic::Figures(ending.plan));
        // Components before their upgrade, as everywhere: two transactions must not wait for each other. They keep their
        // states: these say how the last attempt failed.
        let leases = format!(
            "UPDATE component_upgrades SET lease_until = NULL, updated_at = $4 WHERE lease_until IS NOT NULL AND \
             upgrade_id IN (SELECT id FROM upgrades WHERE plan_id = $1 AND id > $2 AND id <= $3 AND {IS_ENDED})"
        );
        sqlx::query(AssertSqlSafe(leases))
            .bind(ending.plan.0)
            .bind(from.0)
            .bind(last)
            .bind(ending.at.0)
            .execute(self.connection())
            .await?;
        let mut ended = [0, 0];
        let unconfirmed = (ending.state, "confirmed_at IS NULL");
        let waiting = (UpgradeState::Failed, "confirmed_at IS NOT NULL AND outstanding = 0");
        for (count, (state, which)) in ended.iter_mut().zip([unconfirmed, waiting]) {
            let ends = format!(
                "UPDATE upgrades SET state = $4, reason = $5, next_offer_at = NULL, ended_at = $6, outstanding = 0 \
                 WHERE plan_id = $1 AND id > $2 AND id <= $3 AND ended_at IS NULL AND {which}"
            );
            let done = sqlx::query(AssertSqlSafe(ends))
                .bind(ending.plan.0)
                .bind(from.0)
                .bind(last)
                .bind(state.as_str())
                .bind(ending.reason.as_str())
                .bind(ending.at.0)
                .execute(self.connection())
                .await?;
            *count = done.rows_affected();
        }
        Ok(ended.into())
    }

    /// Counts, among up to `limit` further devices, those that the plan was for and was never offered to.
    pub async fn count_unreached(
        &mut self,
        ending: &mut PlanEnding,
        product: &ProductKey,
        parts: &[PushedPart],
        limit: i64,
    ) -> Result<()> {
        if ending.counted_to >= ending.count_until {
            return Ok(());
        }
        let (from, until) = (ending.counted_to, ending.count_until);
        let query = sqlx::query(NEXT_DEVICES).bind(product.as_str()).bind(from.0).bind(until.0).bind(limit);
        let row = query.fetch_one(self.connection()).await?;
        let last =
            row.maybe_int("last")?.filter(|_| row.int("devices").is_ok_and(|devices| devices >= limit));
        ending.counted_to = last.map_or(until, DeviceId);
        let row = sqlx::query(AssertSqlSafe(unreached(self.backend)))
            .bind(Value::Array(part_rows(parts)).to_string())
            .bind(product.as_str())
            .bind(from.0)
            .bind(ending.counted_to.0)
            .bind(ending.plan.0)
            .fetch_one(self.connection())
            .await?;
        let devices = row.int("devices")?;
        self.touch(Topic::Figures(ending.plan));
        sqlx::query("UPDATE plans SET unreached = unreached + $2 WHERE id = $1")
            .bind(ending.plan.0)
            .bind(devices)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Stores how far the end of the plan is written.
    pub async fn save_plan_ending(&mut self, ending: &PlanEnding) -> Result<()> {
        if ending.is_done() {
            let query = sqlx::query("DELETE FROM plan_endings WHERE ending = $1").bind(ending.plan.0);
            query.execute(self.connection()).await?;
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO plan_endings (ending, end_state, end_reason, end_at, written_to, counted_to, count_until) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (ending) DO UPDATE SET \
             written_to = excluded.written_to, counted_to = excluded.counted_to",
        )
        .bind(ending.plan.0)
        .bind(ending.state.as_str())
        .bind(ending.reason.as_str())
        .bind(ending.at.0)
        .bind(ending.written_to.map(|id| id.0))
        .bind(ending.counted_to.0)
        .bind(ending.count_until.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Rows of counts that belong together become one. SQLite has no others.
    pub async fn merge_counts(&mut self) -> Result<()> {
        if self.backend == Backend::Sqlite {
            return Ok(());
        }
        for (table, keys) in [("upgrade_counts", "plan_id, state, reason"), ("device_counts", "pk")] {
            // Another center may be at it: what it has is left to it.
            let merge = format!(
                "WITH gone AS (DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT {table}.ctid FROM {table} \
                 JOIN (SELECT {keys} FROM {table} GROUP BY {keys} HAVING COUNT(*) > 1) AS several USING ({keys}) \
                 LIMIT 50000 FOR UPDATE OF {table} SKIP LOCKED)) RETURNING {keys}, devices) \
                 INSERT INTO {table} ({keys}, devices) SELECT {keys}, SUM(devices) FROM gone GROUP BY {keys} \
                 HAVING SUM(devices) <> 0"
            );
            sqlx::query(AssertSqlSafe(merge)).execute(self.connection()).await?;
        }
        Ok(())
    }
}
