//! `GET /products/{product}/devices/{device}/upgrades`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::{Answer, Asked, ListQuery};
use crate::rules::{ComponentNo, DeviceKey, ProductKey};
use crate::store::{LogEntry, Upgrade};

/// An upgrade of a device with everything that was said about it.
#[derive(Debug, Serialize)]
pub struct Logged {
    #[serde(flatten)]
    upgrade: Upgrade,
    /// Bytes of each component's package, by component; `fetched` counts up to it.
    sizes: BTreeMap<ComponentNo, u64>,
    log: Vec<LogEntry>,
}

/// The upgrades of a device, oldest first.
pub async fn upgrades(
    State(api): State<Api>,
    Path((product, device)): Path<(String, String)>,
    query: ListQuery,
) -> Result<Json<Answer<Logged>>, ApiError> {
    let asked = Asked::of(query)?;
    let (after, limit) = (asked.after()?, asked.limit()?);
    let (product, device) = (ProductKey::new(product)?, DeviceKey::new(device)?);
    let mut store = api.engine.store().read().await?;
    let device = store.device(&product, &device).await?;
    let upgrades = store.device_upgrades(device.id).await?.into_iter().filter(|upgrade| upgrade.id.0 > after);
    let page = Answer::cut(upgrades, limit, |upgrade| upgrade.id.0.to_string());
    let mut items = Vec::new();
    for upgrade in page.items {
        let log = store.upgrade_log(upgrade.id).await?;
        let mut sizes = BTreeMap::new();
        for component in &upgrade.components {
            let files = store.package(component.package).await?.content.files;
            sizes.insert(component.component.clone(), files.iter().map(|file| file.size).sum());
        }
        items.push(Logged { upgrade, sizes, log });
    }
    Ok(Json(Answer { items, next: page.next }))
}
