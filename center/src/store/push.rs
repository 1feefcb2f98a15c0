//! A push at a 10-minute mark: how far it is, and the devices that it may have something for.

use std::sync::LazyLock;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::device_sets::{Kind, table};
use super::{Backend, Columns, Reader, Result, Writer};
use crate::clock::Millis;
use crate::rules::{ComponentKind, ComponentNo, DeviceId, PlanId, ProductKey, Version};

/// A center's push at a 10-minute mark, spread over some time by the devices' slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// The mark; none before the first one.
    pub at: Option<Millis>,
    /// Its offers are spread over this span.
    pub spread: Millis,
    /// Slots below this one are done.
    pub done: i64,
}

/// What a plan brings to one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedPart {
    /// The plan.
    pub plan: PlanId,
    /// The component.
    pub component: ComponentNo,
    /// Module or MCU firmware.
    pub kind: ComponentKind,
    /// What a delta package needs; none: a full package.
    pub source: Option<Version>,
    /// What the package brings.
    pub target: Version,
    /// Whether the plan has a whitelist.
    pub has_whitelist: bool,
    /// Whether it has a blacklist.
    pub has_blacklist: bool,
    /// Whether the end user confirms first.
    pub is_manual: bool,
}

/// Which devices a center looks at in a push.
#[derive(Debug, Clone, Copy)]
pub struct PushedTo<'a> {
    /// The product's devices,
    pub product: &'a ProductKey,
    /// that this center holds,
    pub center: &'a str,
    /// with a slot from this one on
    pub from: i64,
    /// and below this one,
    pub until: i64,
    /// at most so many.
    pub limit: i64,
}

pub(super) const PART_COLUMNS: [(&str, Kind); 8] = [
    ("plan", Kind::Int),
    ("component", Kind::Text),
    ("kind", Kind::Text),
    ("source", Kind::Text),
    ("target", Kind::Text),
    ("white", Kind::Int),
    ("black", Kind::Int),
    ("manual", Kind::Int),
];

/// Devices of some slots that a push may have something for, in the order of their slots: those that have not told their
/// versions, those with a firmware verification, and those that one of the parts (`$1`, a JSON array) applies to and whose
/// upgrade does not stand against it. The rules decide about each; what is left out here they would leave alone.
pub(super) fn pushed_to(backend: Backend) -> &'static str {
    static SQLITE: LazyLock<String> = LazyLock::new(|| build_pushed_to(Backend::Sqlite));
    static POSTGRES: LazyLock<String> = LazyLock::new(|| build_pushed_to(Backend::Postgres));
    match backend {
        Backend::Sqlite => &SQLITE,
        Backend::Postgres => &POSTGRES,
    }
}

fn build_pushed_to(backend: Backend) -> String {
    format!(
        "WITH part AS MATERIALIZED (SELECT * FROM {parts}) \
         SELECT id, push_slot FROM devices WHERE pk = $2 AND online = 1 AND push_slot >= $3 AND push_slot < $4 \
         AND center = $5 AND (versions_at IS NULL \
         OR EXISTS (SELECT 1 FROM upgrades WHERE device_id = devices.id AND ended_at IS NULL AND plan_id IS NULL) \
         OR EXISTS (SELECT 1 FROM part WHERE CASE part.kind WHEN 'module' \
           THEN devices.module_version <> part.target \
             AND COALESCE(devices.firmware_version, '') <> part.target \
             AND (part.source IS NULL OR devices.module_version = part.source \
               OR devices.firmware_version = part.source) \
           ELSE EXISTS (SELECT 1 FROM device_versions AS mcu WHERE mcu.device_id = devices.id \
             AND mcu.component = part.component AND mcu.version <> part.target \
             AND (part.source IS NULL OR mcu.version = part.source)) END \
         AND NOT EXISTS (SELECT 1 FROM upgrades WHERE upgrades.plan_id = part.plan AND upgrades.device_id = devices.id \
           AND (ended_at IS NOT NULL OR outstanding = 1 OR next_offer_at > $6)) \
         AND (part.manual = 0 OR devices.auto_confirm <> 'off' OR EXISTS (SELECT 1 FROM plan_answers \
           WHERE plan_id = part.plan AND device_id = devices.id)) \
         AND (part.black = 0 OR NOT EXISTS (SELECT 1 FROM plan_devices \
           WHERE plan_id = part.plan AND list = 'black' AND dk = devices.dk)) \
         AND (part.white = 0 OR EXISTS (SELECT 1 FROM plan_devices \
           WHERE plan_id = part.plan AND list = 'white' AND dk = devices.dk)))) \
         ORDER BY push_slot LIMIT $7",
        parts = table(backend, &PART_COLUMNS),
    )
}

fn numbers(plans: &[PlanId]) -> String {
    json!(plans.iter().map(|plan| plan.0).collect::<Vec<_>>()).to_string()
}

/// The parts as rows of a JSON array, with [`PART_COLUMNS`].
pub(super) fn part_rows(parts: &[PushedPart]) -> Vec<Value> {
    let row = |part: &PushedPart| {
        json!({
            "plan": part.plan.0, "component": part.component, "kind": part.kind.as_str(),
            "source": part.source, "target": part.target,
            "white": i64::from(part.has_whitelist), "black": i64::from(part.has_blacklist),
            "manual": i64::from(part.is_manual),
        })
    };
    parts.iter().map(row).collect()
}

impl Reader {
    /// The devices that a push of these parts may have something for at `now`, each with its slot, in the order of slots.
    pub async fn pushed_to(
        &mut self,
        to: PushedTo<'_>,
        parts: &[PushedPart],
        now: Millis,
    ) -> Result<Vec<(DeviceId, i64)>> {
        let rows = sqlx::query(AssertSqlSafe(pushed_to(self.backend)))
            .bind(Value::Array(part_rows(parts)).to_string())
            .bind(to.product.as_str())
            .bind(to.from)
            .bind(to.until)
            .bind(to.center)
            .bind(now.0)
            .bind(to.limit)
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(|row| Ok((DeviceId(row.int("id")?), row.int("push_slot")?))).collect()
    }
}

impl Writer {
    /// Stores how far a center's push of these plans is.
    pub async fn save_plan_marks(&mut self, plans: &[PlanId], center: &str, mark: Mark) -> Result<()> {
        sqlx::query(
            "INSERT INTO plan_marks (plan_id, center, at, spread, done) \
             SELECT CAST(value AS BIGINT), $2, $3, $4, $5 FROM json_each($1) WHERE true \
             ON CONFLICT (plan_id, center) DO UPDATE SET at = excluded.at, spread = excluded.spread, done = excluded.done",
        )
        .bind(numbers(plans))
        .bind(center)
        .bind(mark.at.unwrap_or_default().0)
        .bind(mark.spread.0)
        .bind(mark.done)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
