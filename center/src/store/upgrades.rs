//! Upgrades of devices and their components.

use std::collections::HashMap;

use sqlx::any::AnyRow;

use super::{Backend, Columns, PAGE_MAX, Page, Reader, Result, StoreError, Topic, Writer};
use crate::clock::Millis;
use crate::rules::progress::{Figures, UpgradeState};
use crate::rules::upgrade::{ComponentUpgrade, Upgrade};
use crate::rules::{ComponentNo, DeviceId, PackageId, PlanId, UpgradeId};

// Queries of the scheduler and of every connect: a test shows that each has its index.
pub(super) const COMPONENTS: &str = "SELECT * FROM component_upgrades WHERE upgrade_id IN \
             (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY upgrade_id, position";
pub(super) const UPGRADES: &str = "SELECT * FROM upgrades LEFT JOIN plan_endings ON ending = plan_id WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY id";
pub(super) const OPEN_UPGRADES: &str = "SELECT * FROM upgrades LEFT JOIN plan_endings ON ending = plan_id WHERE device_id = $1 AND ended_at IS NULL ORDER BY id";
pub(super) const FIND_UPGRADE: &str =
    "SELECT * FROM upgrades LEFT JOIN plan_endings ON ending = plan_id WHERE plan_id = $1 AND device_id = $2";
pub(super) const PLAN_FIGURES: &str = "SELECT state, CAST(SUM(devices) AS BIGINT) AS devices FROM upgrade_counts WHERE plan_id = $1 GROUP BY state";
pub(super) const PLAN_UPGRADES_IN: &str = "SELECT * FROM upgrades LEFT JOIN plan_endings ON ending = plan_id WHERE plan_id = $1 AND state = $2 AND id > $3 ORDER BY id LIMIT $4";
pub(super) const DEVICE_UPGRADES: &str = "SELECT * FROM upgrades LEFT JOIN plan_endings ON ending = plan_id WHERE device_id = $1 AND id > $2 ORDER BY id LIMIT $3";
pub(super) const LAST_DEVICE_UPGRADES: &str = "SELECT * FROM upgrades LEFT JOIN plan_endings ON ending = plan_id WHERE device_id = $1 ORDER BY id DESC LIMIT $2";
pub(super) const ALL_IN_FLIGHT: &str =
    "SELECT COUNT(*) AS devices FROM upgrades WHERE outstanding = 1 AND state >= ''";
pub(super) fn upgrade(row: &impl Columns) -> Result<Upgrade> {
    let time = |column| row.maybe_int(column).map(|at| at.map(Millis));
    let mut upgrade = Upgrade {
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
    };
    // The plan is over, and this row does not say so yet.
    if let Some(at) = time("end_at")?
        && upgrade.ended.is_none()
        && (upgrade.confirmed.is_none() || row.int("outstanding")? == 0)
    {
        upgrade.state =
            if upgrade.confirmed.is_none() { row.word("end_state")? } else { UpgradeState::Failed };
        upgrade.reason = row.maybe_text("end_reason")?;
        upgrade.next_offer = None;
        upgrade.ended = Some(at);
    }
    Ok(upgrade)
}

/// The upgrade gets one more of its components.
pub(super) fn push_component(upgrade: &mut Upgrade, row: &impl Columns) -> Result<()> {
    let mut component = component(row)?;
    if upgrade.ended.is_some() {
        component.lease_until = None;
    }
    upgrade.components.push(component);
    Ok(())
}

fn component(row: &impl Columns) -> Result<ComponentUpgrade> {
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
        let places = upgrades.iter().enumerate().map(|(place, upgrade)| (upgrade.id.0, place));
        let places: HashMap<i64, usize> = places.collect();
        for row in &rows {
            let place = places.get(&row.int("upgrade_id")?);
            if let Some(upgrade) = place.and_then(|place| upgrades.get_mut(*place)) {
                push_component(upgrade, row)?;
            }
        }
        Ok(upgrades)
    }

    /// The upgrade, or [`StoreError::NotFound`].
    pub async fn upgrade(&mut self, id: UpgradeId) -> Result<Upgrade> {
        let rows =
            sqlx::query("SELECT * FROM upgrades LEFT JOIN plan_endings ON ending = plan_id WHERE id = $1")
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
        let mut upgrades = self.whole_upgrades(rows).await?;
        upgrades.retain(|upgrade| upgrade.ended.is_none());
        Ok(upgrades)
    }

    /// All upgrades of a device, oldest first.
    pub async fn device_upgrades(&mut self, device: DeviceId) -> Result<Vec<Upgrade>> {
        let rows = sqlx::query("SELECT * FROM upgrades LEFT JOIN plan_endings ON ending = plan_id WHERE device_id = $1 ORDER BY id")
            .bind(device.0)
            .fetch_all(self.connection())
            .await?;
        self.whole_upgrades(rows).await
    }

    /// A page of a device's upgrades, oldest first; `after` is the number of the last one seen.
    pub async fn device_upgrade_page(
        &mut self,
        device: DeviceId,
        after: i64,
        limit: i64,
    ) -> Result<Page<Upgrade>> {
        let limit = limit.clamp(1, PAGE_MAX);
        let rows = sqlx::query(DEVICE_UPGRADES)
            .bind(device.0)
            .bind(after)
            .bind(limit + 1)
            .fetch_all(self.connection())
            .await?;
        Ok(Page::of(self.whole_upgrades(rows).await?, limit, |upgrade| upgrade.id.0))
    }

    /// The last upgrades of a device, at most `limit`, newest first.
    pub async fn last_device_upgrades(&mut self, device: DeviceId, limit: i64) -> Result<Vec<Upgrade>> {
        let rows =
            sqlx::query(LAST_DEVICE_UPGRADES).bind(device.0).bind(limit).fetch_all(self.connection()).await?;
        self.whole_upgrades(rows).await
    }

    /// Upgrades of a plan after number `after`, at most `limit`, oldest first.
    pub async fn plan_upgrades(&mut self, plan: PlanId, after: i64, limit: i64) -> Result<Vec<Upgrade>> {
        let rows = sqlx::query("SELECT * FROM upgrades LEFT JOIN plan_endings ON ending = plan_id WHERE plan_id = $1 AND id > $2 ORDER BY id LIMIT $3")
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
        self.with_ended(plan, &mut figures).await?;
        figures.add(UpgradeState::Failed, self.plan_unreached(plan).await?);
        Ok(figures)
    }

    /// Upgrades that the end of the plan has ended count so before their rows say it.
    pub(super) async fn with_ended(&mut self, plan: PlanId, figures: &mut Figures) -> Result<()> {
        let Some(ending) = self.plan_ending(plan).await? else { return Ok(()) };
        for ended in self.ended_by_plan(&ending).await? {
            let devices = u64::try_from(ended.devices).unwrap_or(0);
            figures.remove(ended.state, devices);
            figures.add(ended.becomes, devices);
        }
        Ok(())
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
        let numbers = self.next_upgrades(1).await?;
        upgrade.id = numbers.first().copied().unwrap_or(upgrade.id);
        self.add_upgrades(&[&upgrade]).await?;
        Ok(upgrade)
    }

    /// Numbers for so many upgrades that this transaction adds next. In SQLite, which has one writer, they are taken only
    /// once the upgrades are there.
    pub async fn next_upgrades(&mut self, count: usize) -> Result<Vec<UpgradeId>> {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        match self.backend {
            Backend::Sqlite => {
                let query = "SELECT seq FROM sqlite_sequence WHERE name = 'upgrades'";
                let row = sqlx::query(query).fetch_optional(self.connection()).await?;
                let last = row.map_or(Ok(0), |row| row.int("seq"))?;
                Ok((1..=count).map(|number| UpgradeId(last + number)).collect())
            }
            Backend::Postgres => {
                let query = "SELECT nextval(pg_get_serial_sequence('upgrades', 'id')) AS id FROM generate_series(1, $1)";
                let rows = sqlx::query(query).bind(count).fetch_all(self.connection()).await?;
                rows.iter().map(|row| row.int("id").map(UpgradeId)).collect()
            }
        }
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
        self.raise_all_fetched(&[(id, component, bytes)]).await
    }
}
