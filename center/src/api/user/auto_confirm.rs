//! `GET` and `PUT /devices/{product}/{device}/auto-confirm`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::api::error::ApiError;
use crate::rules::manual::AutoConfirm;
use crate::rules::{DeviceKey, ProductKey};

/// The setting of a device.
#[derive(Debug, Serialize)]
pub struct Setting {
    auto_confirm: AutoConfirm,
}

/// What it is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    auto_confirm: String,
}

/// Whether plans in manual mode count as confirmed for the device.
pub async fn show(
    State(api): State<Api>,
    Path((product, device)): Path<(String, String)>,
) -> Result<Json<Setting>, ApiError> {
    let (product, key) = (ProductKey::new(product)?, DeviceKey::new(device)?);
    let device = api.engine.store().read().await?.device(&product, &key).await?;
    Ok(Json(Setting { auto_confirm: device.auto_confirm }))
}

/// Changes it.
pub async fn set(
    State(api): State<Api>,
    Path((product, device)): Path<(String, String)>,
    body: Result<Json<Given>, JsonRejection>,
) -> Result<Json<Setting>, ApiError> {
    let Json(given) = body?;
    let auto_confirm = given.auto_confirm.parse()?;
    let (product, key) = (ProductKey::new(product)?, DeviceKey::new(device)?);
    api.engine.set_auto_confirm(&product, &key, auto_confirm).await?;
    Ok(Json(Setting { auto_confirm }))
}
