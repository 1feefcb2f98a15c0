//! `GET /plans/{plan}/held`.

use axum::Json;
use axum::extract::{Path, State};

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::number;
use crate::engine::BlockedDevices;
use crate::store::PlanId;

/// How many devices are held back by which condition.
pub async fn held(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<BlockedDevices>, ApiError> {
    let id = PlanId(number("upgrade plan", &id)?);
    Ok(Json(api.engine.blocked(id).await?))
}
