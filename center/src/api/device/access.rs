//! `DELETE /products/{pk}/devices/{dk}`, and `POST .../forbid` and `.../allow`.

use axum::Json;
use axum::extract::State;

use super::Described;
use crate::api::Api;
use crate::api::answer::Deleted;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::rules::{DeviceKey, ProductKey};

/// Deletes a device that is not connected, with its upgrades and its log. It enters itself again if it connects again.
pub async fn delete(
    State(api): State<Api>,
    Named((product, device)): Named<(ProductKey, DeviceKey)>,
) -> Result<Json<Deleted<DeviceKey>>, ApiError> {
    api.engine.delete_device(&product, &device).await?;
    Ok(Json(Deleted { deleted: device }))
}

/// Forbids a device to connect (CONNACK 5), and closes its connection.
pub async fn forbid(
    State(api): State<Api>,
    Named(name): Named<(ProductKey, DeviceKey)>,
) -> Result<Json<Described>, ApiError> {
    set_forbidden(&api, name, true).await
}

/// Allows it again.
pub async fn allow(
    State(api): State<Api>,
    Named(name): Named<(ProductKey, DeviceKey)>,
) -> Result<Json<Described>, ApiError> {
    set_forbidden(&api, name, false).await
}

async fn set_forbidden(
    api: &Api,
    (product, key): (ProductKey, DeviceKey),
    is_forbidden: bool,
) -> Result<Json<Described>, ApiError> {
    let device = api.engine.forbid_device(&product, &key, is_forbidden).await?;
    let versions = api.engine.store().read().await?.device_versions(device.id).await?;
    Ok(Json(Described::new(device, versions)))
}
