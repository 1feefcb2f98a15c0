//! Upgrade plans.

use std::collections::BTreeMap;

use serde::Serialize;
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

use super::{Columns, PAGE_MAX, Page, Reader, Result, StoreError, Topic, Writer, is_duplicate};
use crate::clock::Millis;
use crate::rules::plan::{Halt, Overlap, PlanComponent, PlanSettings, PlanState, Strategy};
use crate::rules::upgrade::PlanFacts;
use crate::rules::window::{PushPeriod, TimeOfDay, Zone};
use crate::rules::{ComponentNo, PlanId, ProductKey};

/// An upgrade plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Plan {
    /// Number.
    pub id: PlanId,
    /// What the operator entered.
    #[serde(flatten)]
    pub settings: PlanSettings,
    /// Where it is in its life.
    pub state: PlanState,
    /// Where it resumes to when it is suspended.
    #[serde(skip)]
    pub suspended_from: Option<PlanState>,
    /// Since when.
    pub created: Millis,
    /// When it was activated.
    pub activated: Option<Millis>,
    /// When it was terminated or ended.
    pub over: Option<Millis>,
    /// Why it suspended itself, by its strategy.
    pub halted: Option<String>,
}

impl Plan {
    /// What the rules need to know of it for an upgrade.
    pub fn facts(&self) -> PlanFacts<'_> {
        PlanFacts { state: self.state, suspended_from: self.suspended_from, settings: &self.settings }
    }
}

// Queries of the scheduler and of every connect: a test shows that each has its index.
pub(super) const OFFERED_PLANS: &str = "SELECT * FROM plans WHERE pk = $1 AND state IN ('activated', 'upgrading') \
             ORDER BY activated_at DESC, id DESC";
pub(super) const ACTIVE_PLANS: &str = "SELECT * FROM plans WHERE pk = $1 AND state IN ('activated', 'upgrading', 'suspended') \
             ORDER BY activated_at DESC, id DESC";
pub(super) const RUNNING_PLANS: &str =
    "SELECT * FROM plans WHERE state IN ('activated', 'upgrading', 'suspended') ORDER BY state, id";
pub(super) const PLAN_COMPONENTS: &str = "SELECT * FROM plan_components WHERE plan_id IN \
             (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY plan_id, position";
pub(super) const OVERLAPS: &str = "SELECT plans.id AS id, plans.name AS name, theirs.component AS component \
             FROM plans AS own JOIN plan_components AS ours ON ours.plan_id = own.id \
             JOIN plans ON plans.pk = own.pk AND plans.state IN ('activated', 'upgrading', 'suspended') \
             JOIN plan_components AS theirs ON theirs.plan_id = plans.id AND theirs.component = ours.component \
             WHERE own.id = $1 AND plans.id <> own.id ORDER BY plans.id, theirs.position";
fn plan(row: &AnyRow) -> Result<Plan> {
    let time = |column| row.maybe_int(column).map(|at| at.map(Millis));
    let time_of_day = |column| -> Result<Option<TimeOfDay>> {
        Ok(row.maybe_int(column)?.and_then(TimeOfDay::from_minutes))
    };
    let push_period = match (time_of_day("period_from")?, time_of_day("period_until")?) {
        (Some(from), Some(until)) => Some(PushPeriod { from, until }),
        _ => None,
    };
    let halt = match (row.maybe_number("halt_percent")?, row.maybe_number("halt_after")?) {
        (Some(percent), Some(after)) => Some(Halt { percent, after }),
        _ => None,
    };
    let texts = serde_json::from_str(&row.text("texts")?)
        .map_err(|error| StoreError::Unusable(format!("column texts: {error}")))?;
    Ok(Plan {
        id: PlanId(row.int("id")?),
        settings: PlanSettings {
            name: row.word("name")?,
            product: row.word("pk")?,
            components: Vec::new(),
            time_zone: Zone::stored(&row.text("time_zone")?),
            push_period,
            start: time("start_at")?,
            end: time("end_at")?,
            mode: row.word("mode")?,
            push: row.word("push")?,
            first_push: row.word("first_push")?,
            outside_period: row.word("outside_period")?,
            verification: row.word("verification")?,
            strategy: Strategy {
                retries: row.number("retries")?,
                refusal_delay: row.number("refusal_delay")?,
                min_rsrp: row.maybe_number("min_rsrp")?,
                min_battery: row.maybe_number("min_battery")?,
                first_devices: row.maybe_number("first_devices")?,
                halt,
                max_in_flight: row.maybe_number("max_in_flight")?,
                max_per_minute: row.maybe_number("max_per_minute")?,
            },
            texts,
        },
        state: row.word("state")?,
        suspended_from: row.maybe_word("suspended_from")?,
        created: Millis(row.int("created_at")?),
        activated: time("activated_at")?,
        over: time("over_at")?,
        halted: row.maybe_text("halted")?,
    })
}

impl Reader {
    async fn with_components(&mut self, mut plan: Plan) -> Result<Plan> {
        if let Some((_, components)) = self.components_of(&[plan.id]).await?.pop_first() {
            plan.settings.components = components?;
        }
        Ok(plan)
    }

    /// The components of these plans, each plan's with what cannot be read of them.
    async fn components_of(
        &mut self,
        plans: &[PlanId],
    ) -> Result<BTreeMap<PlanId, Result<Vec<PlanComponent>>>> {
        let ids: Vec<_> = plans.iter().map(|plan| plan.0).collect();
        let rows = sqlx::query(PLAN_COMPONENTS)
            .bind(serde_json::json!(ids).to_string())
            .fetch_all(self.connection())
            .await?;
        let mut components: BTreeMap<PlanId, Result<Vec<PlanComponent>>> = BTreeMap::new();
        let component = |row: &AnyRow| {
            Ok(PlanComponent { component: row.word("component")?, package: row.int("package_id")? })
        };
        for row in &rows {
            let of_plan = components.entry(PlanId(row.int("plan_id")?)).or_insert_with(|| Ok(Vec::new()));
            match (component(row), of_plan) {
                (Ok(component), Ok(known)) => known.push(component),
                (Err(error), of_plan) => *of_plan = Err(error),
                (Ok(_), Err(_)) => {}
            }
        }
        Ok(components)
    }

    async fn all_with_components(&mut self, rows: &[AnyRow]) -> Result<Vec<Plan>> {
        self.each_with_components(rows).await?.into_iter().map(|(_, plan)| plan).collect()
    }

    /// As `all_with_components`; a plan that cannot be used does not hide the others.
    async fn each_with_components(&mut self, rows: &[AnyRow]) -> Result<Vec<(PlanId, Result<Plan>)>> {
        let ids = rows.iter().map(|row| row.int("id").map(PlanId)).collect::<Result<Vec<_>>>()?;
        let mut components = if ids.is_empty() { BTreeMap::new() } else { self.components_of(&ids).await? };
        let whole = |(row, id): (&AnyRow, PlanId)| {
            let read = plan(row).and_then(|mut plan| {
                plan.settings.components = components.remove(&id).unwrap_or_else(|| Ok(Vec::new()))?;
                Ok(plan)
            });
            (id, read)
        };
        Ok(rows.iter().zip(ids.iter().copied()).map(whole).collect())
    }

    /// The plan, or [`StoreError::NotFound`].
    pub async fn plan(&mut self, id: PlanId) -> Result<Plan> {
        let row = sqlx::query("SELECT * FROM plans WHERE id = $1")
            .bind(id.0)
            .fetch_optional(self.connection())
            .await?;
        let row = row.ok_or_else(|| StoreError::missing("upgrade plan", id.0))?;
        self.with_components(plan(&row)?).await
    }

    /// The plan of a name.
    pub async fn plan_named(&mut self, name: &str) -> Result<Option<Plan>> {
        let query = sqlx::query("SELECT * FROM plans WHERE name = $1").bind(name);
        match query.fetch_optional(self.connection()).await? {
            Some(row) => Ok(Some(self.with_components(plan(&row)?).await?)),
            None => Ok(None),
        }
    }

    /// A page of the plans of a product, or of all, oldest first; `after` is the last number seen, 0 at the beginning.
    pub async fn plans(
        &mut self,
        product: Option<&ProductKey>,
        after: i64,
        limit: i64,
    ) -> Result<Page<Plan>> {
        let limit = limit.clamp(1, PAGE_MAX);
        let rows = match product {
            Some(product) => {
                sqlx::query("SELECT * FROM plans WHERE pk = $1 AND id > $2 ORDER BY id LIMIT $3")
                    .bind(product.as_str())
                    .bind(after)
                    .bind(limit + 1)
                    .fetch_all(self.connection())
                    .await?
            }
            None => {
                sqlx::query("SELECT * FROM plans WHERE id > $1 ORDER BY id LIMIT $2")
                    .bind(after)
                    .bind(limit + 1)
                    .fetch_all(self.connection())
                    .await?
            }
        };
        let plans = self.all_with_components(&rows).await?;
        Ok(Page::of(plans, limit, |plan| plan.id.0))
    }

    /// The product's plans that are offered now, newest activation first.
    pub async fn offered_plans(&mut self, product: &ProductKey) -> Result<Vec<(PlanId, Result<Plan>)>> {
        let rows = sqlx::query(OFFERED_PLANS).bind(product.as_str()).fetch_all(self.connection()).await?;
        self.each_with_components(&rows).await
    }

    /// The product's plans that are activated and not over, suspended ones too, newest activation first.
    pub async fn active_plans(&mut self, product: &ProductKey) -> Result<Vec<Plan>> {
        let rows = sqlx::query(ACTIVE_PLANS).bind(product.as_str()).fetch_all(self.connection()).await?;
        self.all_with_components(&rows).await
    }

    /// The same, each with what cannot be read of it.
    pub async fn running_plans_of(&mut self, product: &ProductKey) -> Result<Vec<(PlanId, Result<Plan>)>> {
        let rows = sqlx::query(ACTIVE_PLANS).bind(product.as_str()).fetch_all(self.connection()).await?;
        self.each_with_components(&rows).await
    }

    /// The same plans, each with the number of its changes.
    pub async fn plan_versions(&mut self, product: &ProductKey) -> Result<Vec<(PlanId, i64)>> {
        let rows = sqlx::query(ACTIVE_PLANS).bind(product.as_str()).fetch_all(self.connection()).await?;
        rows.iter().map(|row| Ok((PlanId(row.int("id")?), row.int("version")?))).collect()
    }

    /// Every plan that is activated and not over.
    pub async fn running_plans(&mut self) -> Result<Vec<(PlanId, Result<Plan>)>> {
        let rows = sqlx::query(RUNNING_PLANS).fetch_all(self.connection()).await?;
        self.each_with_components(&rows).await
    }

    /// Plans of the product that are active, other than `id`, and have one of its components.
    pub async fn overlaps(&mut self, id: PlanId) -> Result<Vec<Overlap>> {
        let rows = sqlx::query(OVERLAPS).bind(id.0).fetch_all(self.connection()).await?;
        rows.iter()
            .map(|row| {
                Ok(Overlap {
                    plan: row.int("id")?,
                    name: row.word("name")?,
                    component: row.word("component")?,
                })
            })
            .collect()
    }

    /// For each component of the plan: the newer plans that take its place.
    pub async fn superseded_by(&mut self, id: PlanId) -> Result<Vec<(ComponentNo, PlanId)>> {
        let rows =
            sqlx::query("SELECT component, newer FROM plan_supersedes WHERE older = $1 ORDER BY newer")
                .bind(id.0)
                .fetch_all(self.connection())
                .await?;
        rows.iter().map(|row| Ok((row.word("component")?, PlanId(row.int("newer")?)))).collect()
    }
}

type Statement<'q> = Query<'q, Any, AnyArguments>;

/// The settings of a saved plan as `$1` to `$23`.
fn bound<'q>(query: Statement<'q>, settings: &'q PlanSettings) -> Statement<'q> {
    let strategy = &settings.strategy;
    query
        .bind(settings.product.as_str())
        .bind(settings.name.as_str())
        .bind(PlanState::Saved.as_str())
        .bind(settings.mode.as_str())
        .bind(settings.time_zone.name())
        .bind(settings.push.as_str())
        .bind(settings.outside_period.as_str())
        .bind(settings.push_period.map(|period| period.from.minutes()))
        .bind(settings.push_period.map(|period| period.until.minutes()))
        .bind(settings.start.map(|at| at.0))
        .bind(settings.end.map(|at| at.0))
        .bind(i64::from(strategy.retries))
        .bind(i64::from(strategy.refusal_delay))
        .bind(strategy.min_battery.map(i64::from))
        .bind(strategy.min_rsrp.map(i64::from))
        .bind(strategy.first_devices.map(i64::from))
        .bind(strategy.halt.map(|halt| i64::from(halt.percent)))
        .bind(strategy.halt.map(|halt| i64::from(halt.after)))
        .bind(strategy.max_in_flight.map(i64::from))
        .bind(strategy.max_per_minute.map(i64::from))
        .bind(serde_json::json!(settings.texts).to_string())
        .bind(settings.verification.as_str())
        .bind(settings.first_push.as_str())
}

fn name_taken(error: sqlx::Error, settings: &PlanSettings) -> StoreError {
    if is_duplicate(&error) {
        return StoreError::conflict(
            "upgrade plan",
            &settings.name,
            "there is a plan with this name already",
        );
    }
    error.into()
}

impl Writer {
    /// Adds a plan in state Saved. The settings must have no faults, and the product its components.
    pub async fn create_plan(&mut self, settings: &PlanSettings, now: Millis) -> Result<Plan> {
        self.product(&settings.product).await?;
        let inserted = bound(sqlx::query(
            "INSERT INTO plans (pk, name, state, mode, time_zone, push, outside_period, period_from, period_until, \
             start_at, end_at, retries, refusal_delay, min_battery, min_rsrp, first_devices, halt_percent, halt_after, \
             max_in_flight, max_per_minute, texts, verification, first_push, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24) \
             RETURNING *"), settings)
        .bind(now.0)
        .fetch_one(self.connection())
        .await;
        let row = inserted.map_err(|error| name_taken(error, settings))?;
        let id = PlanId(row.int("id")?);
        self.select_components(id, settings).await?;
        self.plan(id).await
    }

    /// Stores other settings; the caller has checked that the plan is Saved and keeps its product.
    pub async fn edit_plan(&mut self, id: PlanId, settings: &PlanSettings) -> Result<Plan> {
        bound(
            sqlx::query(
                "UPDATE plans SET name = $2, mode = $4, time_zone = $5, push = $6, outside_period = $7, \
                 period_from = $8, period_until = $9, start_at = $10, end_at = $11, retries = $12, refusal_delay = $13, \
                 min_battery = $14, min_rsrp = $15, first_devices = $16, halt_percent = $17, halt_after = $18, \
                 max_in_flight = $19, max_per_minute = $20, texts = $21, verification = $22, first_push = $23 \
                 WHERE pk = $1 AND state = $3 AND id = $24",
            ),
            settings,
        )
        .bind(id.0)
        .execute(self.connection())
        .await
        .map_err(|error| name_taken(error, settings))?;
        sqlx::query("DELETE FROM plan_components WHERE plan_id = $1")
            .bind(id.0)
            .execute(self.connection())
            .await?;
        self.select_components(id, settings).await?;
        self.plan(id).await
    }

    async fn select_components(&mut self, id: PlanId, settings: &PlanSettings) -> Result<()> {
        for (position, selected) in (0i64..).zip(&settings.components) {
            self.component(&settings.product, &selected.component).await?;
            sqlx::query(
                "INSERT INTO plan_components (plan_id, position, component, package_id) VALUES ($1, $2, $3, $4)",
            )
            .bind(id.0)
            .bind(position)
            .bind(selected.component.as_str())
            .bind(selected.package)
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }

    /// Deletes a plan; the caller has checked that it is Saved, so no device knows of it.
    pub async fn delete_plan(&mut self, id: PlanId) -> Result<()> {
        self.touch(Topic::Plan(id));
        let tables = [
            "DELETE FROM plan_components WHERE plan_id = $1",
            "DELETE FROM plan_devices WHERE plan_id = $1",
            "DELETE FROM plans WHERE id = $1",
        ];
        for table in tables {
            sqlx::query(table).bind(id.0).execute(self.connection()).await?;
        }
        Ok(())
    }

    /// The plan, locked until the end of the transaction.
    pub async fn lock_plan(&mut self, id: PlanId) -> Result<Plan> {
        let query = self.locked("SELECT * FROM plans WHERE id = $1");
        let row = sqlx::query(query).bind(id.0).fetch_optional(self.connection()).await?;
        let row = row.ok_or_else(|| StoreError::missing("upgrade plan", id.0))?;
        self.with_components(plan(&row)?).await
    }

    /// The plan, held against changes of its state until the end of the transaction; others may hold it too.
    pub async fn hold_plan(&mut self, id: PlanId) -> Result<Plan> {
        let query = self.held("SELECT * FROM plans WHERE id = $1");
        let row = sqlx::query(query).bind(id.0).fetch_optional(self.connection()).await?;
        let row = row.ok_or_else(|| StoreError::missing("upgrade plan", id.0))?;
        self.with_components(plan(&row)?).await
    }

    /// Stores where the plan is in its life.
    pub async fn save_plan_state(&mut self, plan: &Plan) -> Result<()> {
        self.touch(Topic::Plan(plan.id));
        sqlx::query(
            "UPDATE plans SET state = $2, suspended_from = $3, activated_at = $4, over_at = $5, \
             halted = $6 WHERE id = $1",
        )
        .bind(plan.id.0)
        .bind(plan.state.as_str())
        .bind(plan.suspended_from.map(PlanState::as_str))
        .bind(plan.activated.map(|at| at.0))
        .bind(plan.over.map(|at| at.0))
        .bind(plan.halted.as_deref())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// From now on `newer` takes the place of `older` for this component.
    pub async fn supersede(&mut self, older: PlanId, component: &ComponentNo, newer: PlanId) -> Result<()> {
        sqlx::query(
            "INSERT INTO plan_supersedes (older, component, newer) VALUES ($1, $2, $3) \
             ON CONFLICT (older, component, newer) DO NOTHING",
        )
        .bind(older.0)
        .bind(component.as_str())
        .bind(newer.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
