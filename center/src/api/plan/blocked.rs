//! `GET /plans/{plan}/blocked`.

use axum::Json;
use axum::extract::State;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::engine::BlockedDevices;
use crate::store::PlanId;

/// How many devices are blocked by which condition.
pub async fn blocked(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
) -> Result<Json<BlockedDevices>, ApiError> {
    Ok(Json(api.engine.blocked(id).await?))
}
