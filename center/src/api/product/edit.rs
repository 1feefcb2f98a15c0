//! `PATCH /products/{product}`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use serde::Deserialize;

use super::Whole;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::rules::{ProductKey, Title};

/// What may change; the key and the secret are in the devices.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    name: Option<String>,
    /// Which devices it takes at their first connect.
    admission: Option<String>,
}

/// Changes the fields that are given.
pub async fn edit(
    State(api): State<Api>,
    Path(key): Path<String>,
    body: Result<Json<Changes>, JsonRejection>,
) -> Result<Json<Whole>, ApiError> {
    let Json(changes) = body?;
    let key = ProductKey::new(key)?;
    let name = changes.name.map(Title::new).transpose()?;
    let admission = changes.admission.map(|admission| admission.parse()).transpose()?;
    let (product, components) = api.engine.edit_product(&key, name, admission).await?;
    Ok(Json(Whole { product, components }))
}
