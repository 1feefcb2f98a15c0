//! `GET` and `PUT /products/{pk}/devices/{dk}/auto-confirm`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Body, Named};
use crate::rules::consent::AutoConfirm;
use crate::rules::{DeviceKey, ProductKey};

/// The setting of a device.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "AutoConfirmSetting")]
pub struct Setting {
    auto_confirm: AutoConfirm,
}

/// What it is to be.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Given {
    #[schemars(with = "AutoConfirm")]
    auto_confirm: String,
}

/// Whether plans in manual mode count as confirmed for the device.
pub async fn show(
    State(api): State<Api>,
    Named((product, key)): Named<(ProductKey, DeviceKey)>,
) -> Result<Json<Setting>, ApiError> {
    let device = api.engine.store().read().await?.device(&product, &key).await?;
    Ok(Json(Setting { auto_confirm: device.auto_confirm }))
}

/// Changes it.
pub async fn set(
    State(api): State<Api>,
    Named((product, key)): Named<(ProductKey, DeviceKey)>,
    Body(given): Body<Given>,
) -> Result<Json<Setting>, ApiError> {
    let auto_confirm = given.auto_confirm.parse()?;
    api.engine.set_auto_confirm(&product, &key, auto_confirm).await?;
    Ok(Json(Setting { auto_confirm }))
}
