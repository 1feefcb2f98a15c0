//! `GET /packages/{package}`.

use axum::Json;
use axum::extract::{Path, State};

use super::Detailed;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::number;
use crate::store::PackageId;

/// A package with its files, their digests, the result of its verification, and the plans that have it.
pub async fn show(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Detailed>, ApiError> {
    let id = PackageId(number("version package", &id)?);
    let mut store = api.engine.store().read().await?;
    let package = store.package(id).await?;
    Ok(Json(Detailed::of(&mut store, package).await?))
}
