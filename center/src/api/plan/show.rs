//! `GET /plans/{plan}`.

use axum::Json;
use axum::extract::{Path, State};

use super::Counted;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::number;
use crate::store::PlanId;

/// A plan with its figures.
pub async fn show(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Counted>, ApiError> {
    let id = PlanId(number("upgrade plan", &id)?);
    let plan = api.engine.store().read().await?.plan(id).await?;
    Ok(Json(Counted::of(&api, plan).await?))
}
