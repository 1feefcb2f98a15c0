//! `GET /products/{product}/devices/{device}/log`.

use axum::Json;
use axum::extract::{Path, State};

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::{Answer, Asked, ListQuery};
use crate::rules::{DeviceKey, ProductKey};
use crate::store::LogEntry;

/// Everything that was said about a device, in its upgrades and beside them, newest first.
pub async fn log(
    State(api): State<Api>,
    Path((product, device)): Path<(String, String)>,
    query: ListQuery,
) -> Result<Json<Answer<LogEntry>>, ApiError> {
    let asked = Asked::of(query)?;
    let (after, limit) = (asked.after()?, asked.limit()?);
    let (product, device) = (ProductKey::new(product)?, DeviceKey::new(device)?);
    let mut store = api.engine.store().read().await?;
    let device = store.device(&product, &device).await?;
    let page = store.device_log_page(device.id, (after > 0).then_some(after), limit).await?;
    Ok(Json(Answer::of(page, |line| line)))
}
