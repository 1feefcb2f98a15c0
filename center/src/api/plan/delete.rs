//! `DELETE /plans/{plan}`.

use axum::Json;
use axum::extract::State;

use crate::api::Api;
use crate::api::answer::Deleted;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::store::PlanId;

/// Deletes a plan that is Saved.
pub async fn delete(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
) -> Result<Json<Deleted<PlanId>>, ApiError> {
    api.engine.delete_plan(id).await?;
    Ok(Json(Deleted { deleted: id }))
}
