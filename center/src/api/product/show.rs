//! `GET /products/{pk}`.

use axum::Json;
use axum::extract::State;

use super::Whole;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::rules::ProductKey;

/// A product with its components.
pub async fn show(State(api): State<Api>, Named(key): Named<ProductKey>) -> Result<Json<Whole>, ApiError> {
    let mut store = api.engine.store().read().await?;
    let product = store.product(&key).await?;
    let components = store.components(&key).await?;
    Ok(Json(Whole { product, components }))
}
