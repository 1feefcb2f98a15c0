//! `GET /products/{product}/devices/{device}`.

use axum::Json;
use axum::extract::{Path, State};

use super::Described;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::rules::{DeviceKey, ProductKey};

/// A device.
pub async fn show(
    State(api): State<Api>,
    Path((product, device)): Path<(String, String)>,
) -> Result<Json<Described>, ApiError> {
    let (product, device) = (ProductKey::new(product)?, DeviceKey::new(device)?);
    let mut store = api.engine.store().read().await?;
    let device = store.device(&product, &device).await?;
    let versions = store.device_versions(device.id).await?;
    Ok(Json(Described::new(device, versions)))
}
