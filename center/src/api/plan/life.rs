//! `POST /plans/{plan}/suspend`, `/resume` and `/terminate`.

use axum::Json;
use axum::extract::{Path, State};

use super::Counted;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::number;
use crate::store::PlanId;

/// Offers the plan to nobody new.
pub async fn suspend(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Counted>, ApiError> {
    let plan = api.engine.suspend(PlanId(number("upgrade plan", &id)?)).await?;
    Ok(Json(Counted::of(&api, plan).await?))
}

/// Goes on.
pub async fn resume(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Counted>, ApiError> {
    let plan = api.engine.resume(PlanId(number("upgrade plan", &id)?)).await?;
    Ok(Json(Counted::of(&api, plan).await?))
}

/// Stops it for good.
pub async fn terminate(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Counted>, ApiError> {
    let plan = api.engine.terminate(PlanId(number("upgrade plan", &id)?)).await?;
    Ok(Json(Counted::of(&api, plan).await?))
}
