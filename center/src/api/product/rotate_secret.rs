//! `POST /products/{pk}/secret`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::{Fresh, given_or_made};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Body, Named};
use crate::clock::Millis;
use crate::rules::{ProductKey, ProductSecret};

/// What takes the place of the product's secret.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Made if it is not given.
    #[schemars(with = "Option<ProductSecret>")]
    secret: Option<String>,
    /// Until when new devices may still come with the secret of before; not at all if it is not given.
    bootstrap_until: Option<Millis>,
}

/// Gives a product another secret. This answer alone shows it. Devices with a secret of their own are given it when they
/// come next.
pub async fn rotate(
    State(api): State<Api>,
    Named(key): Named<ProductKey>,
    Body(rotation): Body<Rotation>,
) -> Result<Json<Fresh>, ApiError> {
    let secret = given_or_made(rotation.secret)?;
    let (product, components) = api.engine.rotate_secret(&key, &secret, rotation.bootstrap_until).await?;
    Ok(Json(Fresh { product, secret, components }))
}
