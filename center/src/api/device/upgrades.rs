//! `GET /products/{pk}/devices/{dk}/upgrades`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Asked, Named};
use crate::api::page::{Answer, Part};
use crate::api::upgrade_log::{LINES_IN_LIST, UpgradeLog};
use crate::rules::{ComponentNo, DeviceKey, ProductKey};
use crate::store::{Page, Reader, Upgrade};

/// An upgrade of a device with everything that was said about it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "UpgradeWithLog")]
pub struct Logged {
    #[serde(flatten)]
    upgrade: Upgrade,
    /// Bytes of each component's package, by component; `fetched` counts up to it.
    sizes: BTreeMap<ComponentNo, u64>,
    #[serde(flatten)]
    log: UpgradeLog,
}

impl Logged {
    pub(in crate::api) async fn of(
        store: &mut Reader,
        upgrade: Upgrade,
        lines: i64,
    ) -> Result<Self, ApiError> {
        let log = UpgradeLog::of(store, upgrade.id, lines).await?;
        let mut sizes = BTreeMap::new();
        for component in &upgrade.components {
            // A package may be deleted once its plans are over; the log stays.
            if let Some(package) = store.find_package(component.package).await? {
                let size = package.content.files.iter().map(|file| file.size).sum();
                sizes.insert(component.component.clone(), size);
            }
        }
        Ok(Self { upgrade, sizes, log })
    }
}

/// The upgrades of a device, oldest first.
pub async fn upgrades(
    State(api): State<Api>,
    Named((product, device)): Named<(ProductKey, DeviceKey)>,
    Asked(part): Asked<Part>,
) -> Result<Json<Answer<Logged>>, ApiError> {
    let (after, limit) = (part.after()?, part.limit()?);
    let mut store = api.engine.store().read().await?;
    let device = store.device(&product, &device).await?;
    let page = store.device_upgrade_page(device.id, after, limit).await?;
    let mut rows = Vec::new();
    for upgrade in page.rows {
        rows.push(Logged::of(&mut store, upgrade, LINES_IN_LIST).await?);
    }
    Ok(Json(Answer::of(Page { rows, next: page.next }, |upgrade| upgrade)))
}
