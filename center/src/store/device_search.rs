//! The operator's search for devices of a product: in pages, each led by an index.

use super::devices::device;
use super::select::{Bind, Select, Span};
use super::{Device, PAGE_MAX, Reader, Result};
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

/// What leads a search, and so the order of its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Id,
    Key,
    McuVersion,
    Number(&'static str),
    ModuleVersion,
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
        let rows = self.rows(filter.select(product, after, limit + 1)).await?;
        let mut rows = rows.iter().map(device).collect::<Result<Vec<_>>>()?;
        let limit = usize::try_from(limit).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|last| place(filter.order(), last));
        Ok(Found { rows, next })
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
}
