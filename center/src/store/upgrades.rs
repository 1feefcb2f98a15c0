//! Upgrades of devices and their components.

use std::collections::HashMap;

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::{Columns, Reader, Result, StoreError, Topic, Writer};
use crate::clock::Millis;
use crate::rules::progress::{Figures, UpgradeState};
use crate::rules::upgrade::{ComponentUpgrade, Upgrade};
use crate::rules::{ComponentNo, DeviceId, PackageId, PlanId, UpgradeId};

// Queries of the scheduler and of every connect: a test shows that each has its index.
pub(super) const COMPONENTS: &str = "SELECT * FROM component_upgrades WHERE upgrade_id IN \
             (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY upgrade_id, position";
pub(super) const UPGRADES: &str =
    "SELECT * FROM upgrades WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY id";
pub(super) const OPEN_UPGRADES: &str =
    "SELECT * FROM upgrades WHERE device_id = $1 AND ended_at IS NULL ORDER BY id";
pub(super) const FIND_UPGRADE: &str = "SELECT * FROM upgrades WHERE plan_id = $1 AND device_id = $2";
pub(super) const PLAN_FIGURES: &str =
    "SELECT state, COUNT(*) AS devices FROM upgrades WHERE plan_id = $1 GROUP BY state";
pub(super) const PLAN_UPGRADES_IN: &str =
    "SELECT * FROM upgrades WHERE plan_id = $1 AND state = $2 AND id > $3 ORDER BY id LIMIT $4";
pub(super) const ALL_IN_FLIGHT: &str =
    "SELECT COUNT(*) AS devices FROM upgrades WHERE outstanding = 1 AND state >= ''";
pub(super) fn upgrade(row: &impl Columns) -> Result<Upgrade> {
    let time = |column| row.maybe_int(column).map(|at| at.map(Millis));
    Ok(Upgrade {
        id: UpgradeId(row.int("id")?),
        plan: row.maybe_int("plan_id")?.map(PlanId),
        device: DeviceId(row.int("device_id")?),
        state: row.word("state")?,
        reason: row.maybe_text("reason")?,
        created: Millis(row.int("created_at")?),
        confirmed: time("confirmed_at")?,
        next_offer: time("next_offer_at")?,
        cancelled: time("cancelled_at")?,
        ended: time("ended_at")?,
        deadline: time("deadline_at")?,
        components: Vec::new(),
    })
}

pub(super) fn component(row: &impl Columns) -> Result<ComponentUpgrade> {
    Ok(ComponentUpgrade {
        component: row.word("component")?,
        kind: row.word("kind")?,
        package: PackageId(row.int("package_id")?),
        source: row.maybe_text("source")?,
        target: row.word("target")?,
        state: row.word("state")?,
        reason: row.maybe_text("reason")?,
        failures: row.number("failures")?,
        fetched: row.number("fetched")?,
        fetched_before: row.number("fetched_before")?,
        wants_sha256: row.int("wants_sha256")? != 0,
        proving: row.int("proving")? != 0,
        lease_until: row.maybe_int("lease_until")?.map(Millis),
        updated: Millis(row.int("updated_at")?),
    })
}

/// The package that an upgrade without a plan verifies.
fn verifies(upgrade: &Upgrade) -> Option<PackageId> {
    upgrade.components.first().filter(|_| upgrade.plan.is_none()).map(|component| component.package)
}

pub(super) fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

impl Reader {
    /// The upgrades of these rows, with their components.
    pub(super) async fn whole_upgrades(&mut self, rows: Vec<AnyRow>) -> Result<Vec<Upgrade>> {
        let mut upgrades = rows.iter().map(upgrade).collect::<Result<Vec<_>>>()?;
        if upgrades.is_empty() {
            return Ok(upgrades);
        }
        let ids: Vec<i64> = upgrades.iter().map(|upgrade| upgrade.id.0).collect();
        let rows = sqlx::query(COMPONENTS).bind(serde_json::json!(ids).to_string());
        let rows = rows.fetch_all(self.connection()).await?;
        let mut components: HashMap<i64, Vec<ComponentUpgrade>> = HashMap::new();
        for row in &rows {
            components.entry(row.int("upgrade_id")?).or_default().push(component(row)?);
        }
        for upgrade in &mut upgrades {
            upgrade.components = components.remove(&upgrade.id.0).unwrap_or_default();
        }
        Ok(upgrades)
    }

    /// The upgrade, or [`StoreError::NotFound`].
    pub async fn upgrade(&mut self, id: UpgradeId) -> Result<Upgrade> {
        let rows = sqlx::query("SELECT * FROM upgrades WHERE id = $1")
            .bind(id.0)
            .fetch_all(self.connection())
            .await?;
        self.whole_upgrades(rows).await?.pop().ok_or_else(|| StoreError::missing("device upgrade", id.0))
    }

    /// These upgrades, as far as they are there.
    pub async fn upgrades(&mut self, ids: &[UpgradeId]) -> Result<Vec<Upgrade>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids = serde_json::json!(ids.iter().map(|id| id.0).collect::<Vec<_>>()).to_string();
        let rows = sqlx::query(UPGRADES).bind(ids).fetch_all(self.connection()).await?;
        self.whole_upgrades(rows).await
    }

    /// The upgrade of a device by a plan, if it was offered once.
    pub async fn find_upgrade(&mut self, plan: PlanId, device: DeviceId) -> Result<Option<Upgrade>> {
        let rows = sqlx::query(FIND_UPGRADE).bind(plan.0).bind(device.0).fetch_all(self.connection()).await?;
        Ok(self.whole_upgrades(rows).await?.pop())
    }

    /// The device's upgrades that are not at their end.
    pub async fn open_upgrades(&mut self, device: DeviceId) -> Result<Vec<Upgrade>> {
        let rows = sqlx::query(OPEN_UPGRADES).bind(device.0).fetch_all(self.connection()).await?;
        self.whole_upgrades(rows).await
    }

    /// All upgrades of a device, oldest first.
    pub async fn device_upgrades(&mut self, device: DeviceId) -> Result<Vec<Upgrade>> {
        let rows = sqlx::query("SELECT * FROM upgrades WHERE device_id = $1 ORDER BY id")
            .bind(device.0)
            .fetch_all(self.connection())
            .await?;
        self.whole_upgrades(rows).await
    }

    /// Upgrades of a plan after number `after`, at most `limit`, oldest first.
    pub async fn plan_upgrades(&mut self, plan: PlanId, after: i64, limit: i64) -> Result<Vec<Upgrade>> {
        let rows = sqlx::query("SELECT * FROM upgrades WHERE plan_id = $1 AND id > $2 ORDER BY id LIMIT $3")
            .bind(plan.0)
            .bind(after)
            .bind(limit)
            .fetch_all(self.connection())
            .await?;
        self.whole_upgrades(rows).await
    }

    /// Upgrades of a plan that are in `state`, after number `after`, at most `limit`, oldest first.
    pub async fn plan_upgrades_in(
        &mut self,
        plan: PlanId,
        state: UpgradeState,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Upgrade>> {
        let rows = sqlx::query(PLAN_UPGRADES_IN)
            .bind(plan.0)
            .bind(state.as_str())
            .bind(after)
            .bind(limit)
            .fetch_all(self.connection())
            .await?;
        self.whole_upgrades(rows).await
    }

    /// Devices that the plan was offered to, by state. Those that its termination found without an offer have failed too.
    pub async fn plan_figures(&mut self, plan: PlanId) -> Result<Figures> {
        let rows = sqlx::query(PLAN_FIGURES).bind(plan.0).fetch_all(self.connection()).await?;
        let mut figures = Figures::default();
        for row in rows {
            figures.add(row.word("state")?, row.number("devices")?);
        }
        figures.add(UpgradeState::Failed, self.plan_unreached(plan).await?);
        Ok(figures)
    }

    /// How many upgrades have their device busy.
    pub async fn count_in_flight(&mut self) -> Result<i64> {
        sqlx::query(ALL_IN_FLIGHT).fetch_one(self.connection()).await?.int("devices")
    }
}

impl Writer {
    /// Those who wait for changes of the upgrade are woken after the commit.
    pub fn touch_upgrade(&mut self, upgrade: &Upgrade) {
        self.touch(Topic::Device(upgrade.device));
        if let Some(plan) = upgrade.plan {
            self.touch(Topic::Figures(plan));
        }
    }

    /// Adds the upgrade of a device, with its components; the number given in `upgrade` is not used.
    pub async fn create_upgrade(&mut self, mut upgrade: Upgrade) -> Result<Upgrade> {
        upgrade.id = self.add_upgrade(&upgrade).await?;
        self.add_components(&[&upgrade]).await?;
        Ok(upgrade)
    }

    /// Adds the upgrade of a device without its components, and gives its number.
    pub async fn add_upgrade(&mut self, upgrade: &Upgrade) -> Result<UpgradeId> {
        self.touch_upgrade(upgrade);
        let row = sqlx::query(
            "INSERT INTO upgrades (plan_id, device_id, state, reason, created_at, confirmed_at, next_offer_at, ended_at, \
             outstanding, deadline_at, verifies, cancelled_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) RETURNING id",
        )
        .bind(upgrade.plan.map(|plan| plan.0))
        .bind(upgrade.device.0)
        .bind(upgrade.state.as_str())
        .bind(upgrade.reason.as_deref())
        .bind(upgrade.created.0)
        .bind(upgrade.confirmed.map(|at| at.0))
        .bind(upgrade.next_offer.map(|at| at.0))
        .bind(upgrade.ended.map(|at| at.0))
        .bind(i64::from(upgrade.ended.is_none() && upgrade.is_outstanding()))
        .bind(upgrade.deadline.map(|at| at.0))
        .bind(verifies(upgrade).map(|package| package.0))
        .bind(upgrade.cancelled.map(|at| at.0))
        .fetch_one(self.connection())
        .await?;
        Ok(UpgradeId(row.int("id")?))
    }

    /// Stores where the upgrade and its components are; plan, device, deadline, packages and targets never change.
    pub async fn save_upgrade(&mut self, upgrade: &Upgrade) -> Result<()> {
        self.touch_upgrade(upgrade);
        // Components before their upgrade, as when a plan ends: two transactions must not wait for each other.
        let components: Vec<_> = (0i64..).zip(&upgrade.components).collect();
        let components: Vec<_> =
            components.iter().map(|(position, part)| (upgrade.id, *position, *part)).collect();
        self.save_components(&components).await?;
        self.save_upgrades(&[upgrade]).await
    }

    /// The device has fetched the component's image up to `bytes`; less than before changes nothing.
    pub async fn raise_fetched(&mut self, id: UpgradeId, component: &ComponentNo, bytes: u64) -> Result<()> {
        let raised = sqlx::query(
            "UPDATE component_upgrades SET fetched = $3 WHERE upgrade_id = $1 AND component = $2 AND fetched < $3 \
             RETURNING (SELECT device_id FROM upgrades WHERE id = upgrade_id) AS device_id",
        )
        .bind(id.0)
        .bind(component.as_str())
        .bind(signed(bytes))
        .fetch_optional(self.connection())
        .await?;
        if let Some(row) = raised {
            self.touch(Topic::Device(DeviceId(row.int("device_id")?)));
        }
        Ok(())
    }

    /// Ends every upgrade of the plan that waits for another attempt, as failed: there is none in a plan that is over.
    /// Returns how many.
    pub async fn end_waiting(&mut self, plan: PlanId, reason: &str, now: Millis) -> Result<u64> {
        self.touch(Topic::Figures(plan));
        // The components keep their states: they say how the last attempt failed.
        const WAITING: &str =
            "plan_id = $1 AND ended_at IS NULL AND confirmed_at IS NOT NULL AND outstanding = 0";
        let leases = AssertSqlSafe(format!(
            "UPDATE component_upgrades SET lease_until = NULL, updated_at = $2 WHERE lease_until IS NOT NULL AND \
             upgrade_id IN (SELECT id FROM upgrades WHERE {WAITING})"
        ));
        sqlx::query(leases).bind(plan.0).bind(now.0).execute(self.connection()).await?;
        let ends = AssertSqlSafe(format!(
            "UPDATE upgrades SET state = 'upgrade_failed', reason = $2, next_offer_at = NULL, ended_at = $3, \
             outstanding = 0 WHERE {WAITING}"
        ));
        let done = sqlx::query(ends).bind(plan.0).bind(reason).bind(now.0).execute(self.connection()).await?;
        Ok(done.rows_affected())
    }

    /// Ends every upgrade of the plan that no device has confirmed, in one statement. Returns how many.
    pub async fn end_unconfirmed(
        &mut self,
        plan: PlanId,
        state: UpgradeState,
        reason: &str,
        now: Millis,
    ) -> Result<u64> {
        self.touch(Topic::Figures(plan));
        sqlx::query(
            "UPDATE component_upgrades SET lease_until = NULL, updated_at = $2 WHERE lease_until IS NOT NULL AND \
             upgrade_id IN (SELECT id FROM upgrades WHERE plan_id = $1 AND ended_at IS NULL AND confirmed_at IS NULL)",
        )
        .bind(plan.0)
        .bind(now.0)
        .execute(self.connection())
        .await?;
        let done = sqlx::query(
            "UPDATE upgrades SET state = $2, reason = $3, next_offer_at = NULL, ended_at = $4, \
             outstanding = 0 WHERE plan_id = $1 AND ended_at IS NULL AND confirmed_at IS NULL",
        )
        .bind(plan.0)
        .bind(state.as_str())
        .bind(reason)
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected())
    }
}
