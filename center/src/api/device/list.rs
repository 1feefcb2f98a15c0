//! `GET /products/{product}/devices`.

use axum::Json;
use axum::extract::{Path, State};

use super::Described;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::{Answer, Asked, ListQuery};
use crate::rules::ProductKey;

/// A page of a product's devices, in the order of their first connects.
pub async fn list(
    State(api): State<Api>,
    Path(product): Path<String>,
    query: ListQuery,
) -> Result<Json<Answer<Described>>, ApiError> {
    let asked = Asked::of(query)?;
    let product = ProductKey::new(product)?;
    let mut store = api.engine.store().read().await?;
    store.product(&product).await?;
    let page = store.devices(&product, asked.after()?, asked.limit()?).await?;
    let mut versions = Vec::with_capacity(page.rows.len());
    for device in &page.rows {
        versions.push(store.device_versions(device.id).await?);
    }
    let mut versions = versions.into_iter();
    Ok(Json(Answer::of(page, |device| Described::new(device, versions.next().unwrap_or_default()))))
}
