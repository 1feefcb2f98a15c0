//! Devices: identity, connection, and what they reported.

use std::collections::HashMap;

use serde::Serialize;
use sqlx::any::AnyRow;

use super::{Columns, PAGE_MAX, Page, Reader, Result, StoreError, Topic, Writer};
use crate::clock::Millis;
use crate::rules::connections::PastConnections;
use crate::rules::consent::AutoConfirm;
use crate::rules::device::{DeviceFacts, Knowledge, ReportedVersion};
use crate::rules::module_version::ModuleVersion;
use crate::rules::names::client_id;
use crate::rules::progress::Presence;
use crate::rules::readings::StatusAsk;
use crate::rules::takeover::Takeovers;
use crate::rules::{DeviceId, DeviceKey, DeviceSecret, ProductKey};
use crate::seal::{Place, Sealed};

/// A value that a device reported, and when on its present connection; `at` is none for a value of an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Reading {
    /// The value.
    pub value: i64,
    /// When it came on this connection.
    pub at: Option<Millis>,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Device {
    /// Number.
    pub id: DeviceId,
    /// Product key.
    pub product: ProductKey,
    /// Device key.
    pub key: DeviceKey,
    /// MQTT client id.
    pub client_id: String,
    /// Device secret, sealed: [`Reader::device_secret`] opens it.
    #[serde(skip)]
    pub secret: Sealed,
    /// Fixed place in a spread push, 0..=9999.
    #[serde(skip)]
    pub push_slot: i64,
    /// First connect, or entry by the operator.
    pub created: Millis,
    /// Last word from it.
    pub last_seen: Option<Millis>,
    /// When an operator forbade it to connect; none: it may.
    pub forbidden: Option<Millis>,
    /// The address that it connected from last.
    pub peer: Option<String>,
    /// The address of the connection that this one took over.
    #[serde(skip)]
    pub peer_before: Option<String>,
    /// Its connections before the last one.
    #[serde(skip)]
    pub past_connections: PastConnections,
    /// How often its connections were taken over.
    #[serde(skip)]
    pub takeovers: Takeovers,
    /// Owner of its connection now; none: offline.
    pub session: Option<String>,
    /// The center that holds its connection now.
    pub center: Option<String>,
    /// Since when it is online.
    pub online_since: Option<Millis>,
    /// Since when it is offline.
    pub offline_since: Option<Millis>,
    /// Module model.
    pub model: Option<String>,
    /// Module version.
    #[serde(flatten)]
    pub module: ModuleVersion,
    /// When it reported its versions on this connection.
    pub versions_at: Option<Millis>,
    /// SDK version (info id 11).
    pub sdk_version: Option<String>,
    /// Battery, %.
    pub battery: Option<Reading>,
    /// Voltage, V, as reported.
    pub voltage: Option<String>,
    /// RSSI, dBm.
    pub signal: Option<i64>,
    /// RSRP, dBm.
    pub rsrp: Option<Reading>,
    /// Free space, bytes.
    pub free_space: Option<i64>,
    /// Whether its end user has agreed to every plan in manual mode.
    pub auto_confirm: AutoConfirm,
    /// How far the question for battery and signal is on this connection.
    #[serde(skip)]
    pub asked_status: Option<StatusAsk>,
    /// The last committed uplink of this connection.
    #[serde(skip)]
    pub last_uplink: Option<String>,
}

impl Device {
    /// Whether it has a connection.
    pub fn presence(&self) -> Presence {
        if self.session.is_some() { Presence::Online } else { Presence::Offline }
    }

    /// What the rules need to know of it, with the versions of its MCU components.
    pub fn facts<'a>(&'a self, mcu_versions: &'a [ReportedVersion]) -> DeviceFacts<'a> {
        let fresh = |reading: Option<Reading>| {
            reading.filter(|reading| reading.at.is_some()).map(|reading| reading.value)
        };
        DeviceFacts {
            product: &self.product,
            key: &self.key,
            presence: self.presence(),
            online_since: self.online_since,
            versions: if self.versions_at.is_some() { Knowledge::Fresh } else { Knowledge::Stale },
            module_version: self.module.shown.is_some().then_some(&self.module),
            mcu_versions,
            sdk_version: self.sdk_version.as_deref(),
            battery: fresh(self.battery),
            rsrp: fresh(self.rsrp),
        }
    }
}

// Queries of the scheduler and of every connect: a test shows that each has its index.
pub(super) const DEVICES_BY_CLIENT_ID: &str =
    "SELECT * FROM devices WHERE client_id IN (SELECT value FROM json_each($1))";
pub(super) const DEVICES_BY_SLOT: &str =
    "SELECT * FROM devices WHERE pk = $1 AND online = $2 ORDER BY push_slot LIMIT $3";
pub(super) const DEVICE_IDS_BY_SLOT: &str =
    "SELECT id FROM devices WHERE pk = $1 AND online = $2 ORDER BY push_slot LIMIT $3";
pub(super) const DEVICES_WITH_KEYS: &str =
    "SELECT dk, id FROM devices WHERE pk = $1 AND dk IN (SELECT value FROM json_each($2))";
pub(super) const COUNT_ONLINE: &str = "SELECT COUNT(*) AS devices FROM devices WHERE pk = $1 AND online = 1";
pub(super) const COUNT_ALL: &str =
    "SELECT CAST(COALESCE(SUM(devices), 0) AS BIGINT) AS devices FROM device_counts WHERE pk = $1";
pub(super) const DEVICES: &str = "SELECT * FROM devices WHERE pk = $1 AND id > $2 ORDER BY id LIMIT $3";

pub(super) fn device(row: &AnyRow) -> Result<Device> {
    let time = |column| row.maybe_int(column).map(|at| at.map(Millis));
    let reading = |column, at| -> Result<Option<Reading>> {
        let at = time(at)?;
        Ok(row.maybe_int(column)?.map(|value| Reading { value, at }))
    };
    Ok(Device {
        id: DeviceId(row.int("id")?),
        product: row.word("pk")?,
        key: row.word("dk")?,
        client_id: row.text("client_id")?,
        secret: Sealed { key: row.text("seal")?, text: row.text("secret")? },
        push_slot: row.int("push_slot")?,
        created: Millis(row.int("created_at")?),
        last_seen: time("last_seen")?,
        forbidden: time("forbidden_at")?,
        peer: row.maybe_text("peer")?,
        peer_before: row.maybe_text("peer_before")?,
        past_connections: row.maybe_word("past_connections")?.unwrap_or_default(),
        takeovers: Takeovers {
            times: row.int("takeovers")?,
            since: time("takeovers_since")?,
            before: row.int("takeovers_before")?,
        },
        session: row.maybe_text("session")?,
        center: row.maybe_text("center")?,
        online_since: time("online_since")?,
        offline_since: time("offline_since")?,
        model: row.maybe_text("model")?,
        module: ModuleVersion {
            shown: row.maybe_text("module_version")?,
            firmware: row.maybe_text("firmware_version")?,
            suffix: row.maybe_text("module_suffix")?,
        },
        versions_at: time("versions_at")?,
        sdk_version: row.maybe_text("sdk_version")?,
        battery: reading("battery", "battery_at")?,
        voltage: row.maybe_text("voltage")?,
        signal: row.maybe_int("signal")?,
        rsrp: reading("rsrp", "rsrp_at")?,
        free_space: row.maybe_int("free_space")?,
        auto_confirm: row.word("auto_confirm")?,
        asked_status: row.maybe_word("asked_status")?,
        last_uplink: row.maybe_text("last_uplink")?,
    })
}

impl Reader {
    /// The devices that connect with one of these client ids, by it.
    pub async fn devices_by_client_id(&mut self, client_ids: &[&str]) -> Result<HashMap<String, Device>> {
        let list = serde_json::json!(client_ids).to_string();
        let rows = sqlx::query(DEVICES_BY_CLIENT_ID).bind(list).fetch_all(self.connection()).await?;
        rows.iter().map(|row| device(row).map(|device| (device.client_id.clone(), device))).collect()
    }

    /// The device, if there is one.
    pub async fn find_device(&mut self, product: &ProductKey, key: &DeviceKey) -> Result<Option<Device>> {
        let row = sqlx::query("SELECT * FROM devices WHERE pk = $1 AND dk = $2")
            .bind(product.as_str())
            .bind(key.as_str())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(device).transpose()
    }

    /// The device, or [`StoreError::NotFound`].
    pub async fn device(&mut self, product: &ProductKey, key: &DeviceKey) -> Result<Device> {
        self.find_device(product, key)
            .await?
            .ok_or_else(|| StoreError::missing("device", format!("{key} of product {product}")))
    }

    /// The device with this number, or [`StoreError::NotFound`].
    pub async fn device_by_id(&mut self, id: DeviceId) -> Result<Device> {
        let row = sqlx::query("SELECT * FROM devices WHERE id = $1")
            .bind(id.0)
            .fetch_optional(self.connection())
            .await?;
        device(&row.ok_or_else(|| StoreError::missing("device", id.0))?)
    }

    /// A page of the product's devices, oldest first; `after` is the number of the last one seen, 0 at the beginning.
    pub async fn devices(&mut self, product: &ProductKey, after: i64, limit: i64) -> Result<Page<Device>> {
        let limit = limit.clamp(1, PAGE_MAX);
        let rows = sqlx::query(DEVICES)
            .bind(product.as_str())
            .bind(after)
            .bind(limit + 1)
            .fetch_all(self.connection())
            .await?;
        let rows = rows.iter().map(device).collect::<Result<Vec<_>>>()?;
        Ok(Page::of(rows, limit, |device| device.id.0))
    }

    /// The MCU versions that the device reported last, by component.
    pub async fn device_versions(&mut self, id: DeviceId) -> Result<Vec<ReportedVersion>> {
        let rows = sqlx::query(
            "SELECT component, version FROM device_versions WHERE device_id = $1 ORDER BY component",
        )
        .bind(id.0)
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ReportedVersion { component: row.word("component")?, version: row.text("version")? })
            })
            .collect()
    }

    /// The MCU versions of many devices, by component, in one query.
    pub async fn versions_of(
        &mut self,
        devices: &[Device],
    ) -> Result<HashMap<DeviceId, Vec<ReportedVersion>>> {
        let ids: Vec<i64> = devices.iter().map(|device| device.id.0).collect();
        let rows = sqlx::query(
            "SELECT device_id, component, version FROM device_versions WHERE device_id IN \
             (SELECT CAST(value AS BIGINT) FROM json_each($1)) ORDER BY component",
        )
        .bind(serde_json::json!(ids).to_string())
        .fetch_all(self.connection())
        .await?;
        let mut versions: HashMap<DeviceId, Vec<ReportedVersion>> = HashMap::new();
        for row in &rows {
            let reported =
                ReportedVersion { component: row.word("component")?, version: row.text("version")? };
            versions.entry(DeviceId(row.int("device_id")?)).or_default().push(reported);
        }
        Ok(versions)
    }

    /// Devices of a product that are online, or those that are not, at most `limit`, in the order of their push slots:
    /// a digest of their keys, so the first ones are a fair sample.
    pub async fn devices_by_slot(
        &mut self,
        product: &ProductKey,
        presence: Presence,
        limit: i64,
    ) -> Result<Vec<Device>> {
        let rows = sqlx::query(DEVICES_BY_SLOT)
            .bind(product.as_str())
            .bind(i64::from(presence == Presence::Online))
            .bind(limit)
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(device).collect()
    }

    /// The numbers of these devices.
    pub async fn device_ids_by_slot(
        &mut self,
        product: &ProductKey,
        presence: Presence,
        limit: i64,
    ) -> Result<Vec<DeviceId>> {
        let rows = sqlx::query(DEVICE_IDS_BY_SLOT)
            .bind(product.as_str())
            .bind(i64::from(presence == Presence::Online))
            .bind(limit)
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(|row| Ok(DeviceId(row.int("id")?))).collect()
    }

    /// The devices that these keys name, with their numbers.
    pub async fn devices_with_keys(
        &mut self,
        product: &ProductKey,
        keys: &[DeviceKey],
    ) -> Result<Vec<(DeviceKey, DeviceId)>> {
        let keys = serde_json::json!(keys).to_string();
        let query = sqlx::query(DEVICES_WITH_KEYS).bind(product.as_str()).bind(keys);
        let rows = query.fetch_all(self.connection()).await?;
        rows.iter().map(|row| Ok((row.word("dk")?, DeviceId(row.int("id")?)))).collect()
    }

    /// How many devices of the product are online, or are not.
    pub async fn count_devices(&mut self, product: &ProductKey, presence: Presence) -> Result<i64> {
        let query = sqlx::query(COUNT_ONLINE).bind(product.as_str());
        let online = query.fetch_one(self.connection()).await?.int("devices")?;
        Ok(match presence {
            Presence::Online => online,
            // Most of a fleet may be: they are not counted one by one.
            Presence::Offline => (self.count_all_devices(product).await? - online).max(0),
        })
    }

    /// How many devices the product has.
    pub async fn count_all_devices(&mut self, product: &ProductKey) -> Result<i64> {
        let query = sqlx::query(COUNT_ALL).bind(product.as_str());
        query.fetch_one(self.connection()).await?.int("devices")
    }

    /// Product key and device key, as they are stored.
    pub async fn device_name(&mut self, id: DeviceId) -> Result<(String, String)> {
        let row = sqlx::query("SELECT pk, dk FROM devices WHERE id = $1")
            .bind(id.0)
            .fetch_optional(self.connection())
            .await?;
        let row = row.ok_or_else(|| StoreError::missing("device", id.0))?;
        Ok((row.text("pk")?, row.text("dk")?))
    }
}

impl Writer {
    /// The device, made with `secret` if it is new; one that is there keeps its own secret.
    pub async fn enter_device(
        &mut self,
        product: &ProductKey,
        key: &DeviceKey,
        secret: &DeviceSecret,
        now: Millis,
    ) -> Result<Device> {
        let client_id = client_id(product, key);
        // Any fixed spread over the slots serves; a digest of the name gives one without a random source.
        let push_slot = i64::from(crc32fast::hash(client_id.as_bytes()) % PUSH_SLOTS);
        let sealed = self.keys.seal(Place::Device(product.as_str(), key.as_str()), secret.as_str())?;
        let row = sqlx::query(
            "INSERT INTO devices (pk, dk, client_id, secret, push_slot, created_at, seal) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT (pk, dk) DO UPDATE SET client_id = excluded.client_id RETURNING *",
        )
        .bind(product.as_str())
        .bind(key.as_str())
        .bind(client_id)
        .bind(sealed.text)
        .bind(push_slot)
        .bind(now.0)
        .bind(sealed.key)
        .fetch_one(self.connection())
        .await?;
        device(&row)
    }

    /// Takes up to `wanted` of the `most` places that a product has for new devices in one minute; gives how many.
    pub async fn take_new_devices(
        &mut self,
        product: &ProductKey,
        minute: i64,
        wanted: i64,
        most: i64,
    ) -> Result<i64> {
        let row = sqlx::query(
            "INSERT INTO new_devices (pk, minute, taken) VALUES ($1, $2, $3) ON CONFLICT (pk) DO UPDATE SET \
             taken = CASE WHEN new_devices.minute = excluded.minute THEN new_devices.taken ELSE 0 END + excluded.taken, \
             minute = excluded.minute RETURNING taken",
        )
        .bind(product.as_str())
        .bind(minute)
        .bind(wanted)
        .fetch_one(self.connection())
        .await?;
        let over = (row.int("taken")? - most).max(0);
        Ok((wanted - over).max(0))
    }

    /// Enters devices that are not known yet, each with its secret, and says how many that were.
    pub async fn import_devices(
        &mut self,
        product: &ProductKey,
        devices: &[(DeviceKey, DeviceSecret)],
        now: Millis,
    ) -> Result<u64> {
        // In one order: two imports of the same devices must not wait for each other.
        let mut devices: Vec<_> = devices.iter().collect();
        devices.sort_by(|(left, _), (right, _)| left.cmp(right));
        let mut rows = Vec::with_capacity(devices.len());
        for (key, secret) in devices {
            let client_id = client_id(product, key);
            let sealed = self.keys.seal(Place::Device(product.as_str(), key.as_str()), secret.as_str())?;
            let slot = crc32fast::hash(client_id.as_bytes()) % PUSH_SLOTS;
            rows.push(serde_json::json!({
                "dk": key, "client": client_id, "secret": sealed.text, "seal": sealed.key, "slot": slot,
            }));
        }
        let done = sqlx::query(
            "INSERT INTO devices (pk, dk, client_id, secret, seal, push_slot, created_at) \
             SELECT $1, json_extract(value, '$.dk'), json_extract(value, '$.client'), json_extract(value, '$.secret'), \
             json_extract(value, '$.seal'), CAST(json_extract(value, '$.slot') AS BIGINT), $2 \
             FROM json_each($3) WHERE true ON CONFLICT (pk, dk) DO NOTHING",
        )
        .bind(product.as_str())
        .bind(now.0)
        .bind(serde_json::Value::Array(rows).to_string())
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected())
    }

    /// The device, locked until the end of the transaction.
    pub async fn lock_device(&mut self, id: DeviceId) -> Result<Device> {
        let query = self.locked("SELECT * FROM devices WHERE id = $1");
        let row = sqlx::query(query).bind(id.0).fetch_optional(self.connection()).await?;
        device(&row.ok_or_else(|| StoreError::missing("device", id.0))?)
    }

    /// A new connection from `peer` owns the device; what it reported before is not of this connection.
    pub async fn set_online(
        &mut self,
        id: DeviceId,
        session: &str,
        peer: Option<&str>,
        takeovers: Takeovers,
        now: Millis,
    ) -> Result<()> {
        self.touch(Topic::Fleet);
        self.touch(Topic::Device(id));
        sqlx::query(
            "UPDATE devices SET session = $2, online = 1, online_since = $3, offline_since = NULL, last_seen = $3, \
             versions_at = NULL, battery_at = NULL, rsrp_at = NULL, asked_status = NULL, last_uplink = NULL, \
             peer_before = peer, peer = $4, takeovers = $5, takeovers_since = $6, takeovers_before = $7 WHERE id = $1",
        )
        .bind(id.0)
        .bind(session)
        .bind(now.0)
        .bind(peer)
        .bind(takeovers.times)
        .bind(takeovers.since.map(|since| since.0))
        .bind(takeovers.before)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// The connection has ended; says whether it still owned the device (a newer one may have taken over).
    pub async fn set_offline(&mut self, id: DeviceId, session: &str, now: Millis) -> Result<WasOwner> {
        self.touch(Topic::Fleet);
        self.touch(Topic::Device(id));
        let done = sqlx::query(
            "UPDATE devices SET session = NULL, online = 0, offline_since = $3 WHERE id = $1 AND session = $2",
        )
        .bind(id.0)
        .bind(session)
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(if done.rows_affected() > 0 { WasOwner::Yes } else { WasOwner::No })
    }

    /// The device may not connect from `since` on; none: it may again.
    pub async fn set_forbidden(&mut self, id: DeviceId, since: Option<Millis>) -> Result<()> {
        self.touch(Topic::Device(id));
        sqlx::query("UPDATE devices SET forbidden_at = $2 WHERE id = $1")
            .bind(id.0)
            .bind(since.map(|since| since.0))
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Deletes the device with its upgrades and all that was said about it.
    pub async fn delete_device(&mut self, id: DeviceId) -> Result<()> {
        self.touch(Topic::Fleet);
        self.touch(Topic::Device(id));
        for query in [
            "DELETE FROM component_upgrades WHERE upgrade_id IN (SELECT id FROM upgrades WHERE device_id = $1)",
            "DELETE FROM upgrade_log WHERE device_id = $1",
            "DELETE FROM upgrades WHERE device_id = $1",
            "DELETE FROM plan_starts WHERE device_id = $1",
            "DELETE FROM plan_answers WHERE device_id = $1",
            "DELETE FROM taken_over WHERE device_id = $1",
            "DELETE FROM device_versions WHERE device_id = $1",
            "DELETE FROM devices WHERE id = $1",
        ] {
            sqlx::query(query).bind(id.0).execute(self.connection()).await?;
        }
        Ok(())
    }

    /// Stores what the device reported, and that it was seen. The identity and the connection stay as they are.
    pub async fn save_device(&mut self, device: &Device) -> Result<()> {
        sqlx::query(
            "UPDATE devices SET last_seen = $2, model = $3, module_version = $4, versions_at = $5, sdk_version = $6, \
             battery = $7, battery_at = $8, voltage = $9, signal = $10, rsrp = $11, rsrp_at = $12, free_space = $13, \
             asked_status = $14, last_uplink = $15, firmware_version = $16, module_suffix = $17 WHERE id = $1",
        )
        .bind(device.id.0)
        .bind(device.last_seen.map(|at| at.0))
        .bind(device.model.as_deref())
        .bind(device.module.shown.as_deref())
        .bind(device.versions_at.map(|at| at.0))
        .bind(device.sdk_version.as_deref())
        .bind(device.battery.map(|battery| battery.value))
        .bind(device.battery.and_then(|battery| battery.at).map(|at| at.0))
        .bind(device.voltage.as_deref())
        .bind(device.signal)
        .bind(device.rsrp.map(|rsrp| rsrp.value))
        .bind(device.rsrp.and_then(|rsrp| rsrp.at).map(|at| at.0))
        .bind(device.free_space)
        .bind(device.asked_status.map(|ask| ask.to_string()))
        .bind(device.last_uplink.as_deref())
        .bind(device.module.firmware.as_deref())
        .bind(device.module.suffix.as_deref())
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

/// Places in a spread push.
pub(crate) const PUSH_SLOTS: u32 = 10_000;

/// Whether a session owned its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WasOwner {
    /// It did.
    Yes,
    /// Another one does, or none.
    No,
}
