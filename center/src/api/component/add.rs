//! `POST /products/{product}/components`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::rules::{ComponentNo, ProductKey};
use crate::store::Component;

/// A new component.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct New {
    /// Identifier, as devices report it.
    id: String,
    /// `module` or `mcu`.
    #[serde(rename = "type")]
    kind: String,
}

/// Adds a component to a product.
pub async fn add(
    State(api): State<Api>,
    Path(product): Path<String>,
    body: Result<Json<New>, JsonRejection>,
) -> Result<(StatusCode, Json<Component>), ApiError> {
    let Json(new) = body?;
    let product = ProductKey::new(product)?;
    let id = ComponentNo::new(new.id)?;
    let kind = new.kind.parse()?;
    let component = api.engine.create_component(&product, &id, kind).await?;
    Ok((StatusCode::CREATED, Json(component)))
}
