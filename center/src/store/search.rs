//! The operator's looks at many devices: search, import, and the lists of a plan. All in pages, each led by an index.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use std::collections::HashMap;

use super::devices::device;
use super::upgrades::{component, log_entry, upgrade};
use super::{
    Columns, Device, DeviceId, LogEntry, PAGE_MAX, PUSH_SLOTS, Page, PlanId, Reader, ReportedVersion, Result,
    Upgrade, Writer,
};
use crate::clock::Millis;
use crate::rules::names::client_id;
use crate::rules::progress::{Presence, UpgradeState};
use crate::rules::{ComponentNo, DeviceKey, DeviceSecret, ProductKey};
use crate::seal::Place;

/// A range of values, both ends included; an end that is none is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Lowest value.
    pub from: Option<i64>,
    /// Highest value.
    pub until: Option<i64>,
}

impl Span {
    fn is_given(self) -> bool {
        self.from.is_some() || self.until.is_some()
    }
}

/// Which devices of a product are looked for; the default is all of them. A device that never reported a value is in no
/// range of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceFilter {
    /// What the device key begins with.
    pub key: Option<String>,
    /// An MCU component that the device has reported.
    pub component: Option<ComponentNo>,
    /// Version of that component; without a component, of the module.
    pub version: Option<String>,
    /// Online or not.
    pub presence: Option<Presence>,
    /// Battery, %.
    pub battery: Span,
    /// RSRP, dBm.
    pub rsrp: Span,
    /// Last word from the device, Unix milliseconds.
    pub seen: Span,
}

/// A page of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The devices.
    pub rows: Vec<Device>,
    /// Give it as `after` to get the next page of the same search; none: this is the last one.
    pub next: Option<String>,
}

/// What leads a search, and so the order of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Id,
    Key,
    McuVersion,
    Number(&'static str),
    ModuleVersion,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Bind {
    Number(i64),
    Text(String),
}

/// A statement that grows.
#[derive(Debug)]
struct Select {
    text: String,
    binds: Vec<Bind>,
}

impl Select {
    /// Appends ` AND condition`, in which `?` is the value.
    fn and(&mut self, condition: &str, value: Bind) {
        self.text.push_str(" AND ");
        self.put(condition, value);
    }

    fn put(&mut self, condition: &str, value: Bind) {
        self.binds.push(value);
        self.text.push_str(&condition.replacen('?', &format!("${}", self.binds.len()), 1));
    }

    fn within(&mut self, column: &str, span: Span) {
        if let Some(from) = span.from {
            self.and(&format!("{column} >= ?"), Bind::Number(from));
        }
        if let Some(until) = span.until {
            self.and(&format!("{column} <= ?"), Bind::Number(until));
        }
    }
}

impl DeviceFilter {
    /// The filter that keeps most devices out leads, as far as one can tell beforehand.
    fn order(&self) -> Order {
        match () {
            () if self.key.is_some() => Order::Key,
            () if self.version.is_some() && self.component.is_some() => Order::McuVersion,
            () if self.version.is_some() => Order::ModuleVersion,
            () if self.battery.is_given() => Order::Number("battery"),
            () if self.rsrp.is_given() => Order::Number("rsrp"),
            () if self.seen.is_given() => Order::Number("last_seen"),
            () if self.presence.is_some() => Order::Number("push_slot"),
            () => Order::Id,
        }
    }

    /// The statement for a page. A column that does not lead stands in an expression, so that no index of it is taken.
    fn select(&self, product: &ProductKey, after: Option<&str>, limit: i64) -> Select {
        let order = self.order();
        let from = match order {
            Order::McuVersion => "device_versions JOIN devices ON devices.id = device_versions.device_id",
            _ => "devices",
        };
        let text = format!("SELECT devices.* FROM {from} WHERE ");
        let mut select = Select { text, binds: Vec::new() };
        select.put("devices.pk = ?", Bind::Text(product.to_string()));
        if let Some(key) = &self.key {
            select.and("devices.dk >= ?", Bind::Text(key.clone()));
            // No device key has a '~', and every character of one comes before it.
            select.and("devices.dk < ?", Bind::Text(format!("{key}~")));
        }
        match (&self.component, &self.version) {
            (Some(component), Some(version)) if order == Order::McuVersion => {
                select.and("device_versions.component = ?", Bind::Text(component.to_string()));
                select.and("device_versions.version = ?", Bind::Text(version.clone()));
            }
            (Some(component), version) => {
                let reported = "EXISTS (SELECT 1 FROM device_versions AS reported \
                                WHERE reported.device_id = devices.id AND reported.component = ?";
                select.and(reported, Bind::Text(component.to_string()));
                if let Some(version) = version {
                    select.and("reported.version = ?", Bind::Text(version.clone()));
                }
                select.text.push(')');
            }
            (None, Some(version)) if order == Order::ModuleVersion => {
                select.and("devices.module_version = ?", Bind::Text(version.clone()));
            }
            (None, Some(version)) => {
                select.and("devices.module_version || '' = ?", Bind::Text(version.clone()));
            }
            (None, None) => {}
        }
        for (name, span) in [("battery", self.battery), ("rsrp", self.rsrp), ("last_seen", self.seen)] {
            let leads = order == Order::Number(name);
            select.within(&format!("devices.{name}{}", if leads { "" } else { " + 0" }), span);
        }
        if let Some(presence) = self.presence {
            let leads = order == Order::Number("push_slot");
            let column = if leads { "devices.online = ?" } else { "devices.online + 0 = ?" };
            select.and(column, Bind::Number(i64::from(presence == Presence::Online)));
        }
        select.page(order, after, limit);
        select
    }
}

impl Select {
    fn page(&mut self, order: Order, after: Option<&str>, limit: i64) {
        let place = after.filter(|after| !after.is_empty());
        let number = |text: &str| Bind::Number(text.parse().unwrap_or(i64::MAX));
        let columns = match order {
            Order::Key => {
                if let Some(key) = place {
                    self.and("devices.dk > ?", Bind::Text(key.to_owned()));
                }
                "devices.dk".to_owned()
            }
            Order::Id | Order::ModuleVersion => {
                if let Some(id) = place {
                    self.and("devices.id > ?", number(id));
                }
                "devices.id".to_owned()
            }
            Order::McuVersion => {
                if let Some(id) = place {
                    self.and("device_versions.device_id > ?", number(id));
                }
                "device_versions.device_id".to_owned()
            }
            Order::Number(column) => {
                let columns = format!("devices.{column}, devices.id");
                if let Some(place) = place {
                    let (value, id) = place.split_once('_').unwrap_or((place, ""));
                    self.and(&format!("({columns}) > (?"), number(value));
                    self.put(", ?)", number(id));
                }
                columns
            }
        };
        self.text.push_str(&format!(" ORDER BY {columns}"));
        self.put(" LIMIT ?", Bind::Number(limit));
    }
}

/// The place of a device in the order, as `after` takes it.
fn place(order: Order, device: &Device) -> String {
    let number = |value: Option<i64>| format!("{}_{}", value.unwrap_or_default(), device.id.0);
    match order {
        Order::Key => device.key.to_string(),
        Order::Id | Order::McuVersion | Order::ModuleVersion => device.id.0.to_string(),
        Order::Number("battery") => number(device.battery.map(|battery| battery.value)),
        Order::Number("rsrp") => number(device.rsrp.map(|rsrp| rsrp.value)),
        Order::Number("push_slot") => number(Some(device.push_slot)),
        Order::Number(_) => number(device.last_seen.map(|at| at.0)),
    }
}

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
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ReasonCount {
    /// State of the upgrades.
    pub state: UpgradeState,
    /// Why they failed or wait.
    pub reason: Option<String>,
    /// How many.
    pub devices: i64,
}

impl UpgradeFilter {
    fn select(&self, plan: PlanId, after: i64, limit: i64) -> Select {
        let text = "SELECT upgrades.*, devices.dk AS dk FROM upgrades \
                    JOIN devices ON devices.id = upgrades.device_id WHERE ";
        let mut select = Select { text: text.to_owned(), binds: Vec::new() };
        select.put("upgrades.plan_id = ?", Bind::Number(plan.0));
        if let Some(reason) = &self.reason {
            select.and("upgrades.reason = ?", Bind::Text(reason.clone()));
        }
        if let Some(state) = self.state {
            let condition =
                if self.reason.is_some() { "upgrades.state || '' = ?" } else { "upgrades.state = ?" };
            select.and(condition, Bind::Text(state.as_str().to_owned()));
        }
        select.and("upgrades.id > ?", Bind::Number(after));
        select.put(" ORDER BY upgrades.id LIMIT ?", Bind::Number(limit));
        select
    }
}

/// Reasons that a plan's summary names at most.
const REASONS: i64 = 100;
pub(super) const PLAN_REASONS: &str = "SELECT state, reason, COUNT(*) AS devices FROM upgrades WHERE plan_id = $1 \
             GROUP BY state, reason ORDER BY devices DESC, state, reason LIMIT $2";
pub(super) const DEVICE_LOG_BEFORE: &str =
    "SELECT * FROM upgrade_log WHERE device_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";

impl Reader {
    async fn rows(&mut self, select: Select) -> Result<Vec<AnyRow>> {
        let mut query = sqlx::query(AssertSqlSafe(select.text));
        for bind in select.binds {
            query = match bind {
                Bind::Number(number) => query.bind(number),
                Bind::Text(text) => query.bind(text),
            };
        }
        Ok(query.fetch_all(self.connection()).await?)
    }

    /// A page of the product's devices that the filter lets through; `after` is the `next` of the page before.
    pub async fn search_devices(
        &mut self,
        product: &ProductKey,
        filter: &DeviceFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Found> {
        let limit = limit.clamp(1, PAGE_MAX);
        let rows = self.rows(filter.select(product, after, limit + 1)).await?;
        let mut rows = rows.iter().map(device).collect::<Result<Vec<_>>>()?;
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| place(filter.order(), last));
        Ok(Found { rows, next })
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

    /// A page of the devices that the plan was offered to, in the order of their first offers.
    pub async fn plan_device_page(
        &mut self,
        plan: PlanId,
        filter: &UpgradeFilter,
        after: i64,
        limit: i64,
    ) -> Result<Page<PlanDevice>> {
        let limit = limit.clamp(1, PAGE_MAX);
        let rows = self.rows(filter.select(plan, after, limit + 1)).await?;
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
                device.upgrade.components.push(component(row)?);
                parts.next();
            }
        }
        Ok(page)
    }

    /// The most frequent states and reasons among the plan's devices.
    pub async fn plan_reasons(&mut self, plan: PlanId) -> Result<Vec<ReasonCount>> {
        let rows = sqlx::query(PLAN_REASONS).bind(plan.0).bind(REASONS).fetch_all(self.connection()).await?;
        rows.iter()
            .map(|row| {
                Ok(ReasonCount {
                    state: row.word("state")?,
                    reason: row.maybe_text("reason")?,
                    devices: row.int("devices")?,
                })
            })
            .collect()
    }

    /// A page of everything that was said about a device, newest first; `before` is the number of the last line seen.
    pub async fn device_log_page(
        &mut self,
        device: DeviceId,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Page<LogEntry>> {
        let limit = limit.clamp(1, PAGE_MAX);
        let rows = sqlx::query(DEVICE_LOG_BEFORE)
            .bind(device.0)
            .bind(before.unwrap_or(i64::MAX))
            .bind(limit + 1)
            .fetch_all(self.connection())
            .await?;
        let rows = rows.iter().map(log_entry).collect::<Result<Vec<_>>>()?;
        Ok(Page::of(rows, limit, |line| line.id))
    }
}

impl Writer {
    /// Enters devices that are not known yet, each with its secret, and says how many that were.
    pub async fn import_devices(
        &mut self,
        product: &ProductKey,
        devices: &[(DeviceKey, DeviceSecret)],
        now: Millis,
    ) -> Result<u64> {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// The steps that SQLite takes; PostgreSQL has the same indexes.
    async fn steps(select: Select) -> (String, Vec<String>) {
        let store = Store::in_memory().await.unwrap();
        let text = select.text.clone();
        let explain = Select { text: format!("EXPLAIN QUERY PLAN {text}"), binds: select.binds };
        let rows = store.read().await.unwrap().rows(explain).await.unwrap();
        (text, rows.iter().map(|row| row.text("detail").unwrap()).collect())
    }

    async fn is_led_by(select: Select, index: &str) {
        let (text, steps) = steps(select).await;
        assert!(steps[0].starts_with("SEARCH") && steps[0].contains(index), "{text}\n{steps:#?}");
        let rest = steps.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE"));
        assert!(!rest, "{text}\n{steps:#?}");
    }

    #[tokio::test]
    async fn every_search_is_led_by_an_index_and_needs_no_sort() {
        let product = ProductKey::new("p1").unwrap();
        let all = DeviceFilter {
            key: Some("86".into()),
            component: Some(ComponentNo::new("STM32").unwrap()),
            version: Some("1".into()),
            presence: Some(Presence::Online),
            battery: Span { from: Some(1), until: Some(20) },
            rsrp: Span { from: None, until: Some(-100) },
            seen: Span { from: Some(1), until: None },
        };
        // From all filters to none, the leading one taken away each time.
        let mut filter = all;
        let check = async |filter: &DeviceFilter, index: &str, after: &str| {
            is_led_by(filter.select(&product, None, 11), index).await;
            is_led_by(filter.select(&product, Some(after), 11), index).await;
        };
        check(&filter, "sqlite_autoindex_devices", "8600").await;
        filter.key = None;
        check(&filter, "device_versions_component", "7").await;
        let mut module = filter.clone();
        module.component = None;
        check(&module, "devices_module", "7").await;
        filter.version = None;
        check(&filter, "devices_battery", "7_7").await;
        filter.battery = Span::default();
        check(&filter, "devices_rsrp", "-7_7").await;
        filter.rsrp = Span::default();
        check(&filter, "devices_seen", "7_7").await;
        filter.seen = Span::default();
        check(&filter, "devices_push", "7_7").await;
        filter.presence = None;
        check(&filter, "devices_page", "7").await;
        filter.component = None;
        check(&filter, "devices_page", "7").await;
    }

    #[tokio::test]
    async fn every_list_of_a_plan_is_led_by_an_index_and_needs_no_sort() {
        let mut filter = UpgradeFilter::default();
        is_led_by(filter.select(PlanId(1), 7, 11), "upgrades_page").await;
        filter.state = Some(UpgradeState::Failed);
        is_led_by(filter.select(PlanId(1), 7, 11), "upgrades_plan").await;
        filter.reason = Some("status 12".into());
        is_led_by(filter.select(PlanId(1), 7, 11), "upgrades_reason").await;
    }
}
