//! `PATCH /products/{pk}`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::Whole;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Body, Named};
use crate::rules::{ProductKey, Title};

/// What may change; the key and the secret are in the devices.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    #[schemars(with = "Option<Title>")]
    name: Option<String>,
    /// Which devices it takes at their first connect.
    #[schemars(with = "Option<crate::rules::Admission>")]
    admission: Option<String>,
}

/// Changes the fields that are given.
pub async fn edit(
    State(api): State<Api>,
    Named(key): Named<ProductKey>,
    Body(changes): Body<Changes>,
) -> Result<Json<Whole>, ApiError> {
    let name = changes.name.map(Title::new).transpose()?;
    let admission = changes.admission.map(|admission| admission.parse()).transpose()?;
    let (product, components) = api.engine.edit_product(&key, name, admission).await?;
    Ok(Json(Whole { product, components }))
}
