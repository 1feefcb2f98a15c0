//! What changed of many devices, by one statement a table.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::log::NewLogEntry;
use super::upgrades::signed;
use super::{Backend, Columns, Device, Reading, Result, Topic, Writer};
use crate::clock::Millis;
use crate::rules::device::ReportedVersion;
use crate::rules::upgrade::{ComponentUpgrade, Upgrade};
use crate::rules::{ComponentNo, DeviceId, PackageId, UpgradeId};

/// A line to be added.
#[derive(Debug, Clone)]
pub struct AddedLine {
    /// The line.
    pub entry: NewLogEntry,
    /// When it came first and last, and how often.
    pub at: Millis,
    /// See `at`.
    pub last_at: Millis,
    /// See `at`.
    pub times: i64,
}

/// What of a device has changed, and is to be written: what stands in an index is written into that, changed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct DeviceChange {
    /// When it was heard last, or what it said.
    pub heard: bool,
    /// What it reported, but for what devices are searched by.
    pub reported: bool,
    /// What it reported that devices are searched by.
    pub searched: bool,
    /// Its connection.
    pub connection: bool,
}

impl DeviceChange {
    /// What is different in two states of a device.
    pub fn between(before: &Device, after: &Device) -> Self {
        // What is left out is never changed by what a device says. Named one by one, so that a new field has its place.
        macro_rules! differs {
            ($($field:ident),+) => { $(before.$field != after.$field)||+ };
        }
        let Device {
            id: _,
            product: _,
            key: _,
            client_id: _,
            secret: _,
            push_slot: _,
            created: _,
            forbidden: _,
            auto_confirm: _,
            last_seen: _,
            last_uplink: _,
            peer: _,
            peer_before: _,
            past_connections: _,
            takeovers: _,
            session: _,
            center: _,
            online_since: _,
            offline_since: _,
            model: _,
            module: _,
            versions_at: _,
            sdk_version: _,
            battery: _,
            voltage: _,
            signal: _,
            rsrp: _,
            free_space: _,
            asked_status: _,
        } = after;
        let value = |reading: Option<Reading>| reading.map(|reading| reading.value);
        let at = |reading: Option<Reading>| reading.and_then(|reading| reading.at);
        Self {
            heard: differs!(last_seen, last_uplink),
            reported: differs!(model, versions_at, sdk_version, voltage, signal, free_space, asked_status)
                || at(before.battery) != at(after.battery)
                || at(before.rsrp) != at(after.rsrp)
                || before.module.firmware != after.module.firmware
                || before.module.suffix != after.module.suffix,
            searched: value(before.battery) != value(after.battery)
                || value(before.rsrp) != value(after.rsrp)
                || before.module.shown != after.module.shown,
            connection: differs!(
                session,
                center,
                online_since,
                offline_since,
                peer,
                peer_before,
                past_connections,
                takeovers
            ),
        }
    }

    /// What is different after both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            heard: self.heard || other.heard,
            reported: self.reported || other.reported,
            searched: self.searched || other.searched,
            connection: self.connection || other.connection,
        }
    }

    fn columns(self) -> Vec<(&'static str, Kind)> {
        let groups: [(bool, &[_]); 4] = [
            (true, &HEARD),
            (self.reported, &REPORTED),
            (self.searched, &SEARCHED),
            (self.connection, &CONNECTION),
        ];
        groups
            .iter()
            .filter(|(is_changed, _)| *is_changed)
            .flat_map(|(_, columns)| *columns)
            .copied()
            .collect()
    }
}

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Text,
}

use Kind::{Int, Text};

/// Columns of a device that change, by [`DeviceChange`]. These go with every change.
const HEARD: [(&str, Kind); 2] = [("last_seen", Int), ("last_uplink", Text)];
const REPORTED: [(&str, Kind); 11] = [
    ("model", Text),
    ("versions_at", Int),
    ("sdk_version", Text),
    ("battery_at", Int),
    ("voltage", Text),
    ("signal", Int),
    ("rsrp_at", Int),
    ("free_space", Int),
    ("asked_status", Text),
    ("firmware_version", Text),
    ("module_suffix", Text),
];
const SEARCHED: [(&str, Kind); 3] = [("module_version", Text), ("battery", Int), ("rsrp", Int)];
const CONNECTION: [(&str, Kind); 10] = [
    ("online_since", Int),
    ("session", Text),
    ("online", Int),
    ("offline_since", Int),
    ("peer", Text),
    ("peer_before", Text),
    ("takeovers", Int),
    ("takeovers_since", Int),
    ("takeovers_before", Int),
    ("past_connections", Text),
];

const UPGRADE_COLUMNS: [(&str, Kind); 7] = [
    ("state", Text),
    ("reason", Text),
    ("confirmed_at", Int),
    ("next_offer_at", Int),
    ("ended_at", Int),
    ("outstanding", Int),
    ("cancelled_at", Int),
];

const NEW_UPGRADE_COLUMNS: [(&str, Kind); 13] = [
    ("id", Int),
    ("plan_id", Int),
    ("device_id", Int),
    ("created_at", Int),
    ("deadline_at", Int),
    ("verifies", Int),
    ("state", Text),
    ("reason", Text),
    ("confirmed_at", Int),
    ("next_offer_at", Int),
    ("ended_at", Int),
    ("outstanding", Int),
    ("cancelled_at", Int),
];

const COMPONENT_COLUMNS: [(&str, Kind); 9] = [
    ("source", Text),
    ("state", Text),
    ("reason", Text),
    ("failures", Int),
    ("fetched_before", Int),
    ("wants_sha256", Int),
    ("lease_until", Int),
    ("updated_at", Int),
    ("proving", Int),
];

const NEW_COMPONENT_COLUMNS: [(&str, Kind); 16] = [
    ("upgrade_id", Int),
    ("position", Int),
    ("component", Text),
    ("kind", Text),
    ("package_id", Int),
    ("source", Text),
    ("target", Text),
    ("state", Text),
    ("reason", Text),
    ("failures", Int),
    ("fetched", Int),
    ("fetched_before", Int),
    ("wants_sha256", Int),
    ("proving", Int),
    ("lease_until", Int),
    ("updated_at", Int),
];

const VERSION_COLUMNS: [(&str, Kind); 3] = [("device_id", Int), ("component", Text), ("version", Text)];

const LINE_COLUMNS: [(&str, Kind); 8] = [
    ("device_id", Int),
    ("upgrade_id", Int),
    ("component", Text),
    ("kind", Text),
    ("value", Text),
    ("at", Int),
    ("last_at", Int),
    ("times", Int),
];

/// A JSON array of objects, bound as `$1`, as a table `j` with these columns.
pub(super) fn table<'c>(backend: Backend, columns: impl IntoIterator<Item = &'c (&'c str, Kind)>) -> String {
    let columns = columns.into_iter();
    match backend {
        Backend::Sqlite => {
            let columns: Vec<_> =
                columns.map(|(name, _)| format!("json_extract(value, '$.{name}') AS {name}")).collect();
            format!("(SELECT {} FROM json_each($1)) AS j", columns.join(", "))
        }
        Backend::Postgres => {
            let kind = |kind: &Kind| if *kind == Int { "bigint" } else { "text" };
            let columns: Vec<_> = columns.map(|(name, of)| format!("{name} {}", kind(of))).collect();
            format!("jsonb_to_recordset(CAST($1 AS jsonb)) AS j({})", columns.join(", "))
        }
    }
}

/// `UPDATE name SET ...` of these columns in the rows that `keys` name.
fn update(backend: Backend, name: &str, keys: &[&'static str], columns: &[(&'static str, Kind)]) -> String {
    let set: Vec<_> = columns.iter().map(|(column, _)| format!("{column} = j.{column}")).collect();
    let found: Vec<_> = keys.iter().map(|key| format!("{name}.{key} = j.{key}")).collect();
    let all: Vec<_> = keys.iter().map(|key| (*key, Int)).chain(columns.iter().copied()).collect();
    format!(
        "UPDATE {name} SET {} FROM {} WHERE {}",
        set.join(", "),
        table(backend, &all),
        found.join(" AND ")
    )
}

/// `INSERT INTO name ...` of these columns, in the order of the array.
fn insert(backend: Backend, name: &str, columns: &[(&'static str, Kind)]) -> String {
    let names: Vec<_> = columns.iter().map(|(column, _)| *column).collect();
    let names = names.join(", ");
    let all: Vec<_> = columns.iter().copied().chain([("n", Int)]).collect();
    format!("INSERT INTO {name} ({names}) SELECT {names} FROM {} ORDER BY n", table(backend, &all))
}

impl Writer {
    async fn put(&mut self, statement: String, rows: Vec<Value>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let rows = Value::Array(rows).to_string();
        sqlx::query(AssertSqlSafe(statement)).bind(rows).execute(self.connection()).await?;
        Ok(())
    }

    /// Stores so much of these devices.
    pub async fn save_devices(&mut self, devices: &[&Device], change: DeviceChange) -> Result<()> {
        let columns = change.columns();
        let mut rows = Vec::with_capacity(devices.len());
        for device in devices {
            if change.connection {
                self.touch(Topic::Fleet);
                self.touch(Topic::Device(device.id));
            }
            let mut row = serde_json::Map::with_capacity(columns.len() + 1);
            row.insert("id".to_owned(), device.id.0.into());
            for (name, _) in &columns {
                row.insert((*name).to_owned(), value_of(device, name));
            }
            rows.push(Value::Object(row));
        }
        self.put(update(self.backend, "devices", &["id"], &columns), rows).await
    }

    /// Components of devices that report these versions now, and those that they report no more.
    pub async fn save_versions(
        &mut self,
        reported: &[(DeviceId, ReportedVersion)],
        gone: &[(DeviceId, ComponentNo)],
    ) -> Result<()> {
        let rows = gone.iter().map(|(id, component)| json!({ "device_id": id.0, "component": component }));
        let no_more = table(self.backend, &VERSION_COLUMNS[..2]);
        let statement = format!(
            "DELETE FROM device_versions WHERE (device_id, component) IN (SELECT device_id, component FROM {no_more})"
        );
        self.put(statement, rows.collect()).await?;
        let rows = reported.iter().map(|(id, ReportedVersion { component, version })| {
            json!({ "device_id": id.0, "component": component, "version": version })
        });
        // Without WHERE SQLite takes ON for that of a join.
        let statement = format!(
            "INSERT INTO device_versions (device_id, component, version) SELECT device_id, component, version FROM {} \
             WHERE TRUE ON CONFLICT (device_id, component) DO UPDATE SET version = excluded.version",
            table(self.backend, &VERSION_COLUMNS)
        );
        self.put(statement, rows.collect()).await
    }

    /// Adds upgrades with their numbers and components.
    pub async fn add_upgrades(&mut self, upgrades: &[&Upgrade]) -> Result<()> {
        for upgrade in upgrades {
            self.touch_upgrade(upgrade);
        }
        let rows = upgrades.iter().enumerate().map(|(n, upgrade)| {
            let mut row = head(upgrade);
            row["n"] = n.into();
            row["plan_id"] = upgrade.plan.map(|plan| plan.0).into();
            row["device_id"] = upgrade.device.0.into();
            row["created_at"] = upgrade.created.0.into();
            row["deadline_at"] = upgrade.deadline.map(|at| at.0).into();
            row["verifies"] = verifies(upgrade).map(|package| package.0).into();
            row
        });
        let rows = rows.collect();
        self.put(insert(self.backend, "upgrades", &NEW_UPGRADE_COLUMNS), rows).await?;
        self.add_components(upgrades).await
    }

    async fn add_components(&mut self, upgrades: &[&Upgrade]) -> Result<()> {
        let mut rows = Vec::new();
        for upgrade in upgrades {
            for (position, component) in (0i64..).zip(&upgrade.components) {
                let mut row = changing(upgrade.id, position, component);
                row["n"] = i64::try_from(rows.len()).unwrap_or(i64::MAX).into();
                row["component"] = component.component.as_str().into();
                row["kind"] = component.kind.as_str().into();
                row["package_id"] = component.package.0.into();
                row["target"] = component.target.as_str().into();
                row["fetched"] = signed(component.fetched).into();
                rows.push(row);
            }
        }
        self.put(insert(self.backend, "component_upgrades", &NEW_COMPONENT_COLUMNS), rows).await
    }

    /// Stores these components, each with its upgrade and position.
    pub async fn save_components(
        &mut self,
        components: &[(UpgradeId, i64, &ComponentUpgrade)],
    ) -> Result<()> {
        let rows = components.iter().map(|(id, position, component)| changing(*id, *position, component));
        let rows = rows.collect();
        let keys = ["upgrade_id", "position"];
        self.put(update(self.backend, "component_upgrades", &keys, &COMPONENT_COLUMNS), rows).await
    }

    /// Devices have fetched the images of these components up to so many bytes; less than before changes nothing.
    pub async fn raise_all_fetched(&mut self, reached: &[(UpgradeId, &ComponentNo, u64)]) -> Result<()> {
        let rows: Vec<_> = reached
            .iter()
            .map(|(id, component, bytes)| {
                json!({ "upgrade_id": id.0, "component": component.as_str(), "fetched": signed(*bytes) })
            })
            .collect();
        let reached = table(self.backend, &[("upgrade_id", Int), ("component", Text), ("fetched", Int)]);
        let statement = AssertSqlSafe(format!(
            "UPDATE component_upgrades SET fetched = j.fetched FROM {reached} \
             WHERE component_upgrades.upgrade_id = j.upgrade_id AND component_upgrades.component = j.component \
             AND component_upgrades.fetched < j.fetched \
             RETURNING (SELECT device_id FROM upgrades WHERE id = component_upgrades.upgrade_id) AS device_id"
        ));
        let rows = Value::Array(rows).to_string();
        let raised = sqlx::query(statement).bind(rows).fetch_all(self.connection()).await?;
        for row in raised {
            self.touch(Topic::Device(DeviceId(row.int("device_id")?)));
        }
        Ok(())
    }

    /// Stores these upgrades, without their components.
    pub async fn save_upgrades(&mut self, upgrades: &[&Upgrade]) -> Result<()> {
        let rows = upgrades.iter().map(|upgrade| head(upgrade)).collect();
        self.put(update(self.backend, "upgrades", &["id"], &UPGRADE_COLUMNS), rows).await
    }

    /// Adds lines to the logs of devices, in this order.
    pub async fn add_lines(&mut self, lines: &[AddedLine]) -> Result<()> {
        let mut rows = Vec::with_capacity(lines.len());
        for (n, line) in lines.iter().enumerate() {
            let AddedLine { entry, at, last_at, times } = line;
            self.touch(Topic::Device(entry.device));
            rows.push(json!({
                "n": n, "device_id": entry.device.0, "upgrade_id": entry.upgrade.map(|id| id.0),
                "component": entry.component.as_ref().map(|no| no.as_str()), "kind": entry.kind, "value": entry.value,
                "at": at.0, "last_at": last_at.0, "times": times,
            }));
        }
        self.put(insert(self.backend, "upgrade_log", &LINE_COLUMNS), rows).await
    }

    /// Lines that were repeated: number, device, last time, and how often.
    pub async fn repeat_lines(&mut self, lines: &[(i64, DeviceId, Millis, i64)]) -> Result<()> {
        let mut rows = Vec::with_capacity(lines.len());
        for (id, device, last_at, times) in lines {
            self.touch(Topic::Device(*device));
            rows.push(json!({ "id": id, "last_at": last_at.0, "added": times }));
        }
        let lines = table(self.backend, &[("id", Int), ("last_at", Int), ("added", Int)]);
        let statement = format!(
            "UPDATE upgrade_log SET last_at = j.last_at, times = times + j.added FROM {lines} WHERE upgrade_log.id = j.id"
        );
        self.put(statement, rows).await
    }
}

/// What changes of an upgrade without its components.
fn head(upgrade: &Upgrade) -> Value {
    let at = |at: Option<Millis>| at.map(|at| at.0);
    json!({
        "id": upgrade.id.0, "state": upgrade.state.as_str(), "reason": upgrade.reason,
        "confirmed_at": at(upgrade.confirmed), "next_offer_at": at(upgrade.next_offer),
        "ended_at": at(upgrade.ended), "cancelled_at": at(upgrade.cancelled),
        "outstanding": i64::from(upgrade.ended.is_none() && upgrade.is_outstanding()),
    })
}

/// The package that an upgrade without a plan verifies.
fn verifies(upgrade: &Upgrade) -> Option<PackageId> {
    upgrade.components.first().filter(|_| upgrade.plan.is_none()).map(|component| component.package)
}

fn changing(upgrade: UpgradeId, position: i64, component: &ComponentUpgrade) -> Value {
    json!({
        "upgrade_id": upgrade.0, "position": position, "source": component.source,
        "state": component.state.as_str(), "reason": component.reason, "failures": component.failures,
        "fetched_before": signed(component.fetched_before), "wants_sha256": i64::from(component.wants_sha256),
        "lease_until": component.lease_until.map(|at| at.0), "updated_at": component.updated.0,
        "proving": i64::from(component.proving),
    })
}

fn value_of(device: &Device, column: &str) -> Value {
    let at = |at: Option<Millis>| at.map(|at| at.0);
    match column {
        "last_seen" => at(device.last_seen).into(),
        "last_uplink" => device.last_uplink.as_deref().into(),
        "model" => device.model.as_deref().into(),
        "module_version" => device.module.shown.as_deref().into(),
        "versions_at" => at(device.versions_at).into(),
        "sdk_version" => device.sdk_version.as_deref().into(),
        "battery" => device.battery.map(|battery| battery.value).into(),
        "battery_at" => at(device.battery.and_then(|battery| battery.at)).into(),
        "voltage" => device.voltage.as_deref().into(),
        "signal" => device.signal.into(),
        "rsrp" => device.rsrp.map(|rsrp| rsrp.value).into(),
        "rsrp_at" => at(device.rsrp.and_then(|rsrp| rsrp.at)).into(),
        "free_space" => device.free_space.into(),
        "asked_status" => device.asked_status.map(|ask| ask.to_string()).into(),
        "online_since" => at(device.online_since).into(),
        "session" => device.session.as_deref().into(),
        "online" => i64::from(device.session.is_some()).into(),
        "offline_since" => at(device.offline_since).into(),
        "firmware_version" => device.module.firmware.as_deref().into(),
        "module_suffix" => device.module.suffix.as_deref().into(),
        "peer" => device.peer.as_deref().into(),
        "peer_before" => device.peer_before.as_deref().into(),
        "takeovers" => device.takeovers.times.into(),
        "takeovers_since" => at(device.takeovers.since).into(),
        "takeovers_before" => device.takeovers.before.into(),
        "past_connections" => device.past_connections.to_string().into(),
        _ => Value::Null,
    }
}
