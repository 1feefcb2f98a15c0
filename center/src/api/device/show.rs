//! `GET /products/{pk}/devices/{dk}`.

use axum::Json;
use axum::extract::State;

use super::Described;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::rules::{DeviceKey, ProductKey};

/// A device.
pub async fn show(
    State(api): State<Api>,
    Named((product, device)): Named<(ProductKey, DeviceKey)>,
) -> Result<Json<Described>, ApiError> {
    let mut store = api.engine.store().read().await?;
    let device = store.device(&product, &device).await?;
    let versions = store.device_versions(device.id).await?;
    Ok(Json(Described::new(device, versions)))
}
