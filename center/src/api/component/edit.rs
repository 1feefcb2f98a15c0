//! `PATCH` and `DELETE /products/{product}/components/{component}`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::error::ApiError;
use crate::rules::{ComponentNo, ProductKey};
use crate::store::Component;

/// What changes; the identifier is what devices report and never does.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// `module` or `mcu`.
    #[serde(rename = "type")]
    kind: String,
}

/// Changes the type of a component that nothing is for yet.
pub async fn edit(
    State(api): State<Api>,
    Path((product, id)): Path<(String, String)>,
    body: Result<Json<Changes>, JsonRejection>,
) -> Result<Json<Component>, ApiError> {
    let Json(changes) = body?;
    let (product, id) = (ProductKey::new(product)?, ComponentNo::new(id)?);
    let component = api.engine.edit_component(&product, &id, changes.kind.parse()?).await?;
    Ok(Json(component))
}

/// Deletes a component that nothing is for.
pub async fn delete(
    State(api): State<Api>,
    Path((product, id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (product, id) = (ProductKey::new(product)?, ComponentNo::new(id)?);
    api.engine.delete_component(&product, &id).await?;
    Ok(Json(json!({ "deleted": id })))
}
