//! `GET /plans/{plan}`.

use axum::Json;
use axum::extract::State;

use super::Counted;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::store::PlanId;

/// A plan with its figures.
pub async fn show(State(api): State<Api>, Named(id): Named<PlanId>) -> Result<Json<Counted>, ApiError> {
    let plan = api.engine.store().read().await?.plan(id).await?;
    Ok(Json(Counted::of(&api, plan).await?))
}
