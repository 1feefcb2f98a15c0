//! What is known of many devices, by one read.

use std::sync::{Arc, LazyLock};

use serde_json::json;
use sqlx::any::AnyRow;

use super::devices::device;
use super::row::Aliased;
use super::upgrades::{push_component, upgrade};
use super::{Backend, Columns, Device, Reader, Result, StoreError, Writer};
use crate::rules::device::ReportedVersion;
use crate::rules::plan::List;
use crate::rules::upgrade::Upgrade;
use crate::rules::{DeviceId, PlanId, UpgradeId};

/// Separates a component from its version, and a pair from the next: no text of a device holds control characters.
const UNIT: char = '\u{1f}';
const RECORD: char = '\u{1e}';

/// A running plan, with the number of its changes.
pub type PlanVersion = (PlanId, i64);

/// What the center knows of a device when something happens to it.
#[derive(Debug, Clone)]
pub struct DeviceRecord {
    /// The device.
    pub device: Device,
    /// Versions of its MCU components, by component.
    pub versions: Vec<ReportedVersion>,
    /// Its upgrades that are open or of a running plan, oldest first.
    pub upgrades: Vec<Upgrade>,
    /// The last line of its log.
    pub last_line: Option<LastLine>,
    /// The plans of its product that are activated and not over, by number.
    pub plans: Arc<[PlanVersion]>,
}

/// The last line of a device's log, against which a repetition is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastLine {
    /// Number.
    pub id: i64,
    /// The upgrade.
    pub upgrade: Option<UpgradeId>,
    /// The component.
    pub component: Option<String>,
    /// What it is.
    pub kind: String,
    /// Its values as they are stored.
    pub value: String,
}

/// What the columns of an upgrade and its components are called in [`records`].
const OF_UPGRADE: &str = "u_";
const OF_COMPONENT: &str = "c_";
const UPGRADE_FIELDS: [&str; 12] = [
    "id",
    "plan_id",
    "device_id",
    "state",
    "reason",
    "created_at",
    "confirmed_at",
    "next_offer_at",
    "cancelled_at",
    "ended_at",
    "deadline_at",
    "outstanding",
];
const ENDING_FIELDS: [&str; 3] = ["end_state", "end_reason", "end_at"];
const COMPONENT_FIELDS: [&str; 14] = [
    "component",
    "kind",
    "package_id",
    "source",
    "target",
    "state",
    "reason",
    "failures",
    "fetched",
    "fetched_before",
    "wants_sha256",
    "proving",
    "lease_until",
    "updated_at",
];

/// The devices of a JSON array of numbers, a row for each component of each of their upgrades.
pub(super) fn records(backend: Backend) -> &'static str {
    static SQLITE: LazyLock<String> = LazyLock::new(|| build_records(Backend::Sqlite));
    static POSTGRES: LazyLock<String> = LazyLock::new(|| build_records(Backend::Postgres));
    match backend {
        Backend::Sqlite => &SQLITE,
        Backend::Postgres => &POSTGRES,
    }
}

fn build_records(backend: Backend) -> String {
    let aliases = |table: &str, prefix: &str, fields: &[&str]| {
        let aliased = fields.iter().map(|field| format!("{table}.{field} AS {prefix}{field}"));
        aliased.collect::<Vec<_>>().join(", ")
    };
    let (concat, character) = match backend {
        Backend::Sqlite => ("group_concat", "char"),
        Backend::Postgres => ("string_agg", "chr"),
    };
    let last_line = match backend {
        Backend::Sqlite => {
            "LEFT JOIN upgrade_log AS line ON line.id = \
             (SELECT MAX(id) FROM upgrade_log WHERE upgrade_log.device_id = devices.id)"
        }
        Backend::Postgres => {
            "LEFT JOIN LATERAL (SELECT * FROM upgrade_log WHERE upgrade_log.device_id = devices.id \
             ORDER BY id DESC LIMIT 1) AS line ON TRUE"
        }
    };
    format!(
        "WITH running AS MATERIALIZED (SELECT pk, {concat}(id || ':' || version, ',') AS plans FROM plans \
         WHERE state IN ('activated', 'upgrading', 'suspended') GROUP BY pk) \
         SELECT devices.*, running.plans AS plans, \
         (SELECT {concat}(component || {character}(31) || version, {character}(30)) FROM device_versions \
          WHERE device_id = devices.id) AS mcu, \
         line.id AS line_id, line.upgrade_id AS line_upgrade, line.component AS line_component, \
         line.kind AS line_kind, line.value AS line_value, {upgrade}, {ending}, {component} FROM devices \
         LEFT JOIN running ON running.pk = devices.pk {last_line} \
         LEFT JOIN upgrades AS u ON u.device_id = devices.id AND (u.ended_at IS NULL OR EXISTS \
         (SELECT 1 FROM plans WHERE plans.id = u.plan_id AND plans.state IN ('activated', 'upgrading', 'suspended'))) \
         LEFT JOIN plan_endings AS e ON e.ending = u.plan_id \
         LEFT JOIN component_upgrades AS c ON c.upgrade_id = u.id \
         WHERE devices.id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) \
         ORDER BY devices.id, u.id, c.position",
        upgrade = aliases("u", OF_UPGRADE, &UPGRADE_FIELDS),
        ending = aliases("e", OF_UPGRADE, &ENDING_FIELDS),
        component = aliases("c", OF_COMPONENT, &COMPONENT_FIELDS),
    )
}

/// Which lists of these plans name these devices.
pub(super) const LISTED: &str = "SELECT devices.id AS id, plan_devices.plan_id AS plan_id, plan_devices.list AS list FROM devices \
             JOIN plan_devices ON plan_devices.dk = devices.dk AND plan_devices.list IN ('white', 'black') \
             AND plan_devices.plan_id IN (SELECT CAST(value AS BIGINT) FROM json_each($2)) \
             WHERE devices.id IN (SELECT CAST(value AS BIGINT) FROM json_each($1))";

fn numbers(ids: &[DeviceId]) -> String {
    json!(ids.iter().map(|id| id.0).collect::<Vec<_>>()).to_string()
}

/// The running plans of a row; devices of one product, which follow each other, share them.
#[derive(Default)]
struct RunningPlans {
    text: String,
    plans: Arc<[PlanVersion]>,
}

impl RunningPlans {
    fn read(&mut self, text: Option<String>) -> Result<Arc<[PlanVersion]>> {
        let text = text.unwrap_or_default();
        if self.text != text {
            let mut plans = Vec::new();
            for pair in text.split(',').filter(|pair| !pair.is_empty()) {
                let numbers = pair
                    .split_once(':')
                    .and_then(|(id, version)| Some((id.parse().ok()?, version.parse().ok()?)));
                let (id, version) = numbers.ok_or_else(|| unusable("plans", pair))?;
                plans.push((PlanId(id), version));
            }
            plans.sort_unstable();
            *self = RunningPlans { text, plans: plans.into() };
        }
        Ok(Arc::clone(&self.plans))
    }
}

fn unusable(column: &str, text: &str) -> StoreError {
    StoreError::Unusable(format!("column {column}: {text:?}"))
}

fn record(row: &AnyRow, running: &mut RunningPlans) -> Result<DeviceRecord> {
    let mut versions = Vec::new();
    for pair in row.maybe_text("mcu")?.iter().flat_map(|mcu| mcu.split(RECORD)) {
        let (component, version) = pair.split_once(UNIT).ok_or_else(|| unusable("mcu", pair))?;
        let component = component.parse().map_err(|_| unusable("component", component))?;
        versions.push(ReportedVersion { component, version: version.to_owned() });
    }
    versions.sort_by(|one, other| one.component.as_str().cmp(other.component.as_str()));
    let plans = running.read(row.maybe_text("plans")?)?;
    let last_line = match row.maybe_int("line_id")? {
        None => None,
        Some(id) => Some(LastLine {
            id,
            upgrade: row.maybe_int("line_upgrade")?.map(UpgradeId),
            component: row.maybe_text("line_component")?,
            kind: row.text("line_kind")?,
            value: row.text("line_value")?,
        }),
    };
    Ok(DeviceRecord { device: device(row)?, versions, upgrades: Vec::new(), last_line, plans })
}

impl Reader {
    /// What is known of these devices, each with what cannot be read of it. One that is not there is left out.
    pub async fn device_records(
        &mut self,
        ids: &[DeviceId],
    ) -> Result<Vec<(DeviceId, Result<DeviceRecord>)>> {
        let query = sqlx::query(records(self.backend)).bind(numbers(ids));
        let rows = query.fetch_all(self.connection()).await?;
        let mut running = RunningPlans::default();
        let mut records: Vec<(DeviceId, Result<DeviceRecord>)> = Vec::with_capacity(ids.len());
        for row in &rows {
            let id = DeviceId(row.int("id")?);
            if records.last().is_none_or(|(last, _)| *last != id) {
                records.push((id, record(row, &mut running)));
            }
            let Some((_, record)) = records.last_mut() else { continue };
            if let Ok(known) = record
                && let Err(error) = add_upgrade(known, row)
            {
                *record = Err(error);
            }
        }
        Ok(records)
    }

    /// Which lists of `plans` name which of `devices`.
    pub async fn lists_with(
        &mut self,
        devices: &[DeviceId],
        plans: &[PlanId],
    ) -> Result<Vec<(DeviceId, PlanId, List)>> {
        let plans = json!(plans.iter().map(|id| id.0).collect::<Vec<_>>()).to_string();
        let rows =
            sqlx::query(LISTED).bind(numbers(devices)).bind(plans).fetch_all(self.connection()).await?;
        let list = |name: &str| [List::White, List::Black].into_iter().find(|list| list.as_str() == name);
        let read = |row: &AnyRow| -> Result<Option<(DeviceId, PlanId, List)>> {
            let (device, plan) = (DeviceId(row.int("id")?), PlanId(row.int("plan_id")?));
            Ok(list(&row.text("list")?).map(|list| (device, plan, list)))
        };
        rows.iter().filter_map(|row| read(row).transpose()).collect()
    }
}

/// Adds the upgrade and the component of a row of [`records`].
fn add_upgrade(known: &mut DeviceRecord, row: &AnyRow) -> Result<()> {
    let of_upgrade = Aliased { row, prefix: OF_UPGRADE };
    let Some(id) = of_upgrade.maybe_int("id")? else { return Ok(()) };
    if known.upgrades.last().is_none_or(|last| last.id.0 != id) {
        known.upgrades.push(upgrade(&of_upgrade)?);
    }
    let of_component = Aliased { row, prefix: OF_COMPONENT };
    if of_component.maybe_text("component")?.is_some()
        && let Some(last) = known.upgrades.last_mut()
    {
        push_component(last, &of_component)?;
    }
    Ok(())
}

impl Writer {
    /// Locks these devices until the end of the transaction, in the order of their numbers, and gives those that were
    /// locked: with `if_free`, those that another transaction has are left out.
    pub async fn lock_devices(&mut self, ids: &[DeviceId], if_free: bool) -> Result<Vec<DeviceId>> {
        const LOCK: &str = "SELECT id FROM devices WHERE id IN (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY id";
        if self.backend == Backend::Sqlite {
            return Ok(ids.to_vec());
        }
        let lock = if if_free { self.locked_if_free(LOCK) } else { self.locked(LOCK) };
        let rows = sqlx::query(lock).bind(numbers(ids)).fetch_all(self.connection()).await?;
        rows.iter().map(|row| Ok(DeviceId(row.int("id")?))).collect()
    }
}
