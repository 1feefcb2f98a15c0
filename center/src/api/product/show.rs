//! `GET /products/{product}`.

use axum::Json;
use axum::extract::{Path, State};

use super::Whole;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::rules::ProductKey;

/// A product with its components.
pub async fn show(State(api): State<Api>, Path(key): Path<String>) -> Result<Json<Whole>, ApiError> {
    let key = ProductKey::new(key)?;
    let mut store = api.engine.store().read().await?;
    let product = store.product(&key).await?;
    let components = store.components(&key).await?;
    Ok(Json(Whole { product, components }))
}
