//! `GET /products/{pk}/devices` and `/products/{pk}/devices.csv`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::Described;
use crate::api::answer::Csv;
use crate::api::error::ApiError;
use crate::api::extract::{Asked, AskedWhole, Named};
use crate::api::page::{Answer, Part};
use crate::api::{Api, csv};
use crate::clock::Millis;
use crate::rules::progress::Presence;
use crate::rules::{ComponentKind, ComponentNo, ProductKey};
use crate::store::{DeviceFilter, ExportedDevice, Reader, Span};

/// Which devices are looked for, and what part of the list. Ranges hold both their ends; times are Unix milliseconds.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The `next` of the page before.
    after: Option<String>,
    /// Items of a page at most.
    #[schemars(with = "Option<i64>", range(min = 1, max = 1000))]
    limit: Option<String>,
    /// What the device key begins with.
    key: Option<String>,
    #[schemars(with = "Option<ComponentNo>")]
    component: Option<String>,
    /// Version of the component; without one, of the module.
    version: Option<String>,
    online: Option<bool>,
    battery_min: Option<i64>,
    battery_max: Option<i64>,
    rsrp_min: Option<i64>,
    rsrp_max: Option<i64>,
    seen_after: Option<i64>,
    seen_before: Option<i64>,
}

impl Wanted {
    async fn filter(&self, product: &ProductKey, store: &mut Reader) -> Result<DeviceFilter, ApiError> {
        let mut component = None;
        if let Some(name) = &self.component {
            let found = store.component(product, &ComponentNo::new(name.clone())?).await?;
            // The module's component is reported as the module's version.
            component = (found.kind == ComponentKind::Mcu).then_some(found.no);
        }
        Ok(DeviceFilter {
            key: self.key.clone().filter(|key| !key.is_empty()),
            component,
            version: self.version.clone(),
            presence: self.online.map(|online| if online { Presence::Online } else { Presence::Offline }),
            battery: Span { from: self.battery_min, until: self.battery_max },
            rsrp: Span { from: self.rsrp_min, until: self.rsrp_max },
            seen: Span { from: self.seen_after, until: self.seen_before },
        })
    }
}

/// Devices that match, from `after` on, with the versions of their MCUs.
async fn page(
    api: &Api,
    product: &ProductKey,
    filter: &DeviceFilter,
    after: Option<&str>,
    limit: i64,
) -> Result<(Vec<Described>, Option<String>), ApiError> {
    let mut store = api.engine.store().read().await?;
    let found = store.search_devices(product, filter, after, limit).await?;
    let mut versions = store.versions_of(&found.rows).await?;
    let described = found.rows.into_iter().map(|device| {
        let versions = versions.remove(&device.id).unwrap_or_default();
        Described::new(device, versions)
    });
    Ok((described.collect(), found.next))
}

/// The filter of a request; the product must be there.
async fn filter(api: &Api, product: &ProductKey, wanted: &Wanted) -> Result<DeviceFilter, ApiError> {
    let mut store = api.engine.store().read().await?;
    store.product(product).await?;
    wanted.filter(product, &mut store).await
}

/// A page of a product's devices. The order is that of the filter that leads: of key, version, battery, RSRP, last word and
/// online the one that fewest devices meet, as far as a short look tells; without any, that of the devices' first connects.
pub async fn list(
    State(api): State<Api>,
    Named(product): Named<ProductKey>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Answer<Described>>, ApiError> {
    let filter = filter(&api, &product, &wanted).await?;
    let limit = Part::of(None, wanted.limit).limit()?;
    let (items, next) = page(&api, &product, &filter, wanted.after.as_deref(), limit).await?;
    Ok(Json(Answer { items, next }))
}

const HEADING: [&str; 14] = [
    "device key",
    "online",
    "last seen",
    "created",
    "model",
    "module version",
    "mcu versions",
    "sdk version",
    "battery",
    "voltage",
    "rsrp",
    "signal",
    "free space",
    "offline since",
];

/// All devices that match, as CSV.
pub async fn export(
    State(api): State<Api>,
    Named(product): Named<ProductKey>,
    AskedWhole(wanted): AskedWhole<Wanted>,
) -> Result<Csv, ApiError> {
    let filter = filter(&api, &product, &wanted).await?;
    let name = product.to_string();
    csv::answer(&HEADING, &name, move |place| {
        let (api, product, filter) = (api.clone(), product.clone(), filter.clone());
        Box::pin(async move {
            let mut store = api.engine.store().read().await?;
            let (devices, next) = store.export_devices(&product, &filter, place.as_deref(), CSV_PAGE).await?;
            Ok((devices.iter().map(line).collect(), next))
        })
    })
    .await
    .map(Csv)
}

/// Rows that are read at a time.
const CSV_PAGE: i64 = 2_000;

fn line(device: &ExportedDevice) -> String {
    let time = |value: Option<Millis>| value.map(|at| at.to_string()).unwrap_or_default();
    let mcu: Vec<String> =
        device.mcu_versions.iter().map(|(component, version)| format!("{component}:{version}")).collect();
    let [model, module, sdk, battery, voltage, rsrp, signal, space] = device.values.clone();
    csv::row([
        device.key.clone(),
        if device.online { "yes" } else { "no" }.to_owned(),
        time(device.last_seen),
        time(device.created),
        model,
        module,
        mcu.join(";"),
        sdk,
        battery,
        voltage,
        rsrp,
        signal,
        space,
        time(device.offline_since),
    ])
}
