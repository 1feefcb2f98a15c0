//! `GET /packages/{package}`.

use axum::Json;
use axum::extract::{Path, State};

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::number;
use crate::store::{Package, PackageId};

/// A package with its files and their digests.
pub async fn show(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Package>, ApiError> {
    let id = PackageId(number("version package", &id)?);
    Ok(Json(api.engine.store().read().await?.package(id).await?))
}
