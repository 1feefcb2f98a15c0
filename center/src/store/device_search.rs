//! The operator's search for devices of a product: in pages, each led by an index.

use super::devices::device;
use super::select::{Bind, Select, Span};
use super::{Backend, Columns, Device, PAGE_MAX, Reader, Result, StoreError};
use crate::clock::Millis;
use crate::rules::progress::Presence;
use crate::rules::{ComponentNo, ProductKey};

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

/// A device as it stands in an export: texts, empty where nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedDevice {
    /// Its key.
    pub key: String,
    /// Whether it is online.
    pub online: bool,
    /// Last word, registration and end of the last connection.
    pub last_seen: Option<Millis>,
    /// See `last_seen`.
    pub created: Option<Millis>,
    /// See `last_seen`.
    pub offline_since: Option<Millis>,
    /// Versions of its MCU components, by component.
    pub mcu_versions: Vec<(String, String)>,
    /// Model, module version, SDK version, battery, voltage, RSRP, signal and free space.
    pub values: [String; 8],
}

/// Fields of an exported device: its place in the order is the first one.
const EXPORTED: [&str; 13] = [
    "dk",
    "online",
    "last_seen",
    "created_at",
    "offline_since",
    "model",
    "module_version",
    "sdk_version",
    "battery",
    "voltage",
    "rsrp",
    "signal",
    "free_space",
];
/// What separates fields, devices, and components from their versions and from each other: no text of a device holds control
/// characters.
const FIELD: char = '\u{1f}';
const DEVICE: char = '\u{1e}';
const COMPONENT: char = '\u{1d}';
const VERSION: char = '\u{1c}';

/// What leads a search, and so the order of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Id,
    Key,
    McuVersion,
    Number(&'static str),
    ModuleVersion,
}

impl Order {
    const ALL: [Order; 8] = [
        Order::Key,
        Order::McuVersion,
        Order::ModuleVersion,
        Order::Number("battery"),
        Order::Number("rsrp"),
        Order::Number("last_seen"),
        Order::Number("push_slot"),
        Order::Id,
    ];

    /// Its name in the place of a page.
    fn name(self) -> &'static str {
        match self {
            Order::Id => "id",
            Order::Key => "key",
            Order::McuVersion => "mcu",
            Order::ModuleVersion => "module",
            Order::Number(column) => column,
        }
    }

    /// The order of a page, and its place in it; none: a place of a version that had one order for each search.
    fn of(after: &str) -> Option<(Order, &str)> {
        // No device key has a '~'.
        let (name, place) = after.split_once('~')?;
        Order::ALL.into_iter().find(|order| order.name() == name).map(|order| (order, place))
    }
}

/// Devices that are counted at most to tell which filter keeps most of them out.
const PROBED: i64 = 2_000;

impl DeviceFilter {
    /// What may lead; the first one does where nothing tells which is better.
    fn orders(&self) -> Vec<Order> {
        let has_version = self.version.is_some();
        let can_lead = |order: &Order| match order {
            Order::Key => self.key.is_some(),
            Order::McuVersion => has_version && self.component.is_some(),
            Order::ModuleVersion => has_version && self.component.is_none(),
            Order::Number("battery") => self.battery.is_given(),
            Order::Number("rsrp") => self.rsrp.is_given(),
            Order::Number("last_seen") => self.seen.is_given(),
            Order::Number(_) => self.presence.is_some(),
            Order::Id => false,
        };
        let orders: Vec<_> = Order::ALL.into_iter().filter(can_lead).collect();
        if orders.is_empty() { vec![Order::Id] } else { orders }
    }

    /// The same with that filter alone which leads in this order.
    fn alone(&self, order: Order) -> DeviceFilter {
        let none = DeviceFilter::default();
        let this = self.clone();
        match order {
            Order::Key => DeviceFilter { key: this.key, ..none },
            Order::McuVersion | Order::ModuleVersion => {
                DeviceFilter { component: this.component, version: this.version, ..none }
            }
            Order::Number("battery") => DeviceFilter { battery: this.battery, ..none },
            Order::Number("rsrp") => DeviceFilter { rsrp: this.rsrp, ..none },
            Order::Number("last_seen") => DeviceFilter { seen: this.seen, ..none },
            Order::Number(_) => DeviceFilter { presence: this.presence, ..none },
            Order::Id => none,
        }
    }

    /// The statement for a page. A column that does not lead stands in an expression, so that no index of it is taken.
    fn select(
        &self,
        columns: &str,
        product: &ProductKey,
        order: Order,
        place: Option<&str>,
        limit: i64,
    ) -> Select {
        let from = match order {
            Order::McuVersion => "device_versions JOIN devices ON devices.id = device_versions.device_id",
            _ => "devices",
        };
        let text = format!("SELECT {columns} FROM {from} WHERE ");
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
        select.page(order, place, limit);
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
    let place = match order {
        Order::Key => device.key.to_string(),
        Order::Id | Order::McuVersion | Order::ModuleVersion => device.id.0.to_string(),
        Order::Number("battery") => number(device.battery.map(|battery| battery.value)),
        Order::Number("rsrp") => number(device.rsrp.map(|rsrp| rsrp.value)),
        Order::Number("push_slot") => number(Some(device.push_slot)),
        Order::Number(_) => number(device.last_seen.map(|at| at.0)),
    };
    format!("{}~{place}", order.name())
}

/// The same as an expression.
fn place_column(order: Order) -> String {
    match order {
        Order::Key => "devices.dk".to_owned(),
        Order::Id | Order::McuVersion | Order::ModuleVersion => "devices.id || ''".to_owned(),
        Order::Number(column) => format!("devices.{column} || '_' || devices.id"),
    }
}

/// The columns of an exported device as one text.
fn exported_columns(backend: Backend, order: Order) -> String {
    let (concat, character) = match backend {
        Backend::Sqlite => ("group_concat", "char"),
        Backend::Postgres => ("string_agg", "chr"),
    };
    let fields: Vec<_> =
        EXPORTED.iter().map(|field| format!("COALESCE(devices.{field} || '', '')")).collect();
    let separator = format!(" || {character}({}) || ", u32::from(FIELD));
    let versions = format!(
        "COALESCE((SELECT {concat}(component || {character}({version}) || version, {character}({component})) \
         FROM device_versions AS mcu WHERE mcu.device_id = devices.id), '')",
        version = u32::from(VERSION),
        component = u32::from(COMPONENT),
    );
    let place = place_column(order);
    format!("{place}{separator}{}{separator}{versions} AS line", fields.join(&separator))
}

fn exported(line: &str) -> Option<(&str, ExportedDevice)> {
    let mut fields = line.split(FIELD);
    let place = fields.next()?;
    let key = fields.next()?.to_owned();
    let online = fields.next()? != "0";
    let mut time = || Some(fields.next()?.parse().ok().map(Millis));
    let (last_seen, created, offline_since) = (time()?, time()?, time()?);
    let mut values: [String; 8] = Default::default();
    for value in &mut values {
        *value = fields.next()?.to_owned();
    }
    let versions = fields.next()?.split(COMPONENT).filter_map(|pair| pair.split_once(VERSION));
    let mut mcu_versions: Vec<_> =
        versions.map(|(component, version)| (component.to_owned(), version.to_owned())).collect();
    mcu_versions.sort_unstable();
    let device = ExportedDevice { key, online, last_seen, created, offline_since, mcu_versions, values };
    Some((place, device))
}

impl Reader {
    /// A page of the product's devices that the filter lets through; `after` is the `next` of the page before.
    pub async fn search_devices(
        &mut self,
        product: &ProductKey,
        filter: &DeviceFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<Found> {
        let limit = limit.clamp(1, PAGE_MAX);
        let (order, from) = self.order_of(product, filter, after).await?;
        let rows = self.rows(filter.select("devices.*", product, order, from, limit + 1)).await?;
        let mut rows = rows.iter().map(device).collect::<Result<Vec<_>>>()?;
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| place(order, last));
        Ok(Found { rows, next })
    }

    /// The same for an export: up to `limit` devices by one text, for a row of its own costs more than what is in it.
    pub async fn export_devices(
        &mut self,
        product: &ProductKey,
        filter: &DeviceFilter,
        after: Option<&str>,
        limit: i64,
    ) -> Result<(Vec<ExportedDevice>, Option<String>)> {
        let (order, from) = self.order_of(product, filter, after).await?;
        let mut select = filter.select(&exported_columns(self.backend, order), product, order, from, limit);
        let (concat, character) = match self.backend {
            Backend::Sqlite => ("group_concat", "char"),
            Backend::Postgres => ("string_agg", "chr"),
        };
        let separator = u32::from(DEVICE);
        select.text =
            format!("SELECT {concat}(line, {character}({separator})) AS page FROM ({}) AS part", select.text);
        let rows = self.rows(select).await?;
        let text = rows.first().map_or(Ok(None), |row| row.maybe_text("page"))?.unwrap_or_default();
        let lines: Vec<&str> = text.split(DEVICE).filter(|line| !line.is_empty()).collect();
        let unusable = |line: &str| StoreError::Unusable(format!("a device of an export: {line:?}"));
        let mut devices = Vec::with_capacity(lines.len());
        let mut last = None;
        for line in &lines {
            let (place, device) = exported(line).ok_or_else(|| unusable(line))?;
            devices.push(device);
            last = Some(place);
        }
        let is_full = i64::try_from(devices.len()).unwrap_or(i64::MAX) >= limit;
        let next = last.filter(|_| is_full).map(|place| format!("{}~{place}", order.name()));
        Ok((devices, next))
    }

    /// What leads the search, and the place where the page begins. The first page decides: the filter leads that fewest devices
    /// meet, as far as a short look at the index of each tells.
    async fn order_of<'a>(
        &mut self,
        product: &ProductKey,
        filter: &DeviceFilter,
        after: Option<&'a str>,
    ) -> Result<(Order, Option<&'a str>)> {
        let after = after.filter(|after| !after.is_empty());
        let orders = filter.orders();
        if let Some((order, place)) = after.and_then(Order::of)
            && orders.contains(&order)
        {
            return Ok((order, Some(place)));
        }
        let mut best = orders.first().copied().unwrap_or(Order::Id);
        if after.is_some() || orders.len() < 2 {
            return Ok((best, after));
        }
        let mut fewest = i64::MAX;
        for order in orders {
            let mut select = filter.alone(order).select("1 AS one", product, order, None, PROBED);
            select.text = format!("SELECT COUNT(*) AS devices FROM ({}) AS part", select.text);
            let devices = self.rows(select).await?.first().map_or(Ok(0), |row| row.int("devices"))?;
            if devices < fewest {
                (fewest, best) = (devices, order);
            }
        }
        Ok((best, after))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::select::tests::is_led_by;

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
            // Whichever leads, and alone when it is looked at whether it should.
            let order = filter.orders()[0];
            for place in [None, Some(after)] {
                is_led_by(filter.select("devices.*", &product, order, place, 11), index).await;
                let columns = exported_columns(Backend::Sqlite, order);
                is_led_by(filter.select(&columns, &product, order, place, 11), index).await;
            }
            is_led_by(filter.alone(order).select("1", &product, order, None, 11), index).await;
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
}
