//! `GET /plans/{plan}/dry-run`.

use axum::Json;
use axum::extract::{Path, State};

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::number;
use crate::engine::DryRun;
use crate::store::PlanId;

/// What activating the plan now would do; nothing is changed.
pub async fn dry_run(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<DryRun>, ApiError> {
    let id = PlanId(number("upgrade plan", &id)?);
    Ok(Json(api.engine.dry_run(id).await?))
}
