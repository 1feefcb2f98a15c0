//! `GET /plans/{plan}/dry-run`.

use axum::Json;
use axum::extract::State;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::engine::DryRun;
use crate::store::PlanId;

/// What activating the plan now would do; nothing is changed.
pub async fn dry_run(State(api): State<Api>, Named(id): Named<PlanId>) -> Result<Json<DryRun>, ApiError> {
    Ok(Json(api.engine.dry_run(id).await?))
}
