//! `DELETE /plans/{plan}`.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::number;
use crate::store::PlanId;

/// Deletes a plan that is Saved.
pub async fn delete(State(api): State<Api>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let id = PlanId(number("upgrade plan", &id)?);
    api.engine.delete_plan(id).await?;
    Ok(Json(json!({ "deleted": id })))
}
