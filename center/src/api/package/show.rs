//! `GET /packages/{package}`.

use axum::Json;
use axum::extract::State;

use super::Detailed;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::store::PackageId;

/// A package with its files, their digests, the result of its verification, and the plans that have it.
pub async fn show(State(api): State<Api>, Named(id): Named<PackageId>) -> Result<Json<Detailed>, ApiError> {
    let mut store = api.engine.store().read().await?;
    let package = store.package(id).await?;
    Ok(Json(Detailed::of(&mut store, package).await?))
}
