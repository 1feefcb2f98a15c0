//! `GET /products/{pk}/devices/{dk}/log`.

use axum::Json;
use axum::extract::State;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Asked, Named};
use crate::api::page::{Answer, Part};
use crate::rules::{DeviceKey, ProductKey};
use crate::store::LogEntry;

/// Everything that was said about a device, in its upgrades and beside them, newest first.
pub async fn log(
    State(api): State<Api>,
    Named((product, device)): Named<(ProductKey, DeviceKey)>,
    Asked(part): Asked<Part>,
) -> Result<Json<Answer<LogEntry>>, ApiError> {
    let (after, limit) = (part.after()?, part.limit()?);
    let mut store = api.engine.store().read().await?;
    let device = store.device(&product, &device).await?;
    let page = store.device_log_page(device.id, (after > 0).then_some(after), limit).await?;
    Ok(Json(Answer::of(page, |line| line)))
}
