//! `POST /plans/{plan}/activate`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Deserialize;

use super::Counted;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::number;
use crate::rules::plan::Supersede;
use crate::store::PlanId;

/// How a plan is activated; an empty body means the same as `{}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// `agreed`: it takes the place of active plans with the same components.
    supersede: Option<Supersede>,
}

/// Activates a plan, or says every reason why not.
pub async fn activate(
    State(api): State<Api>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Counted>, ApiError> {
    let id = PlanId(number("upgrade plan", &id)?);
    let how = if body.is_empty() { How::default() } else { serde_json::from_slice(&body)? };
    let plan = api.engine.activate(id, how.supersede.unwrap_or(Supersede::Refuse)).await?;
    Ok(Json(Counted::of(&api, plan).await?))
}
