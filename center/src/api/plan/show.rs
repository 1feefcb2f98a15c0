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
    let mut store = api.engine.store().read().await?;
    let plan = store.plan(id).await?;
    let counted = Counted::as_in(&mut store, plan).await?;
    store.done();
    Ok(Json(counted))
}
