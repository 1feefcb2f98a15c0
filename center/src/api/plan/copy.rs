//! `POST /plans/{plan}/clone`.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

use super::Counted;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::number;
use crate::rules::Title;
use crate::store::PlanId;

/// What is different in the copy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// Its name, unique.
    name: String,
}

/// Saves a copy of a plan, in whatever state that is, with its lists.
pub async fn copy(
    State(api): State<Api>,
    Path(id): Path<String>,
    body: Result<Json<Copy>, JsonRejection>,
) -> Result<(StatusCode, Json<Counted>), ApiError> {
    let id = PlanId(number("upgrade plan", &id)?);
    let Json(copy) = body?;
    let plan = api.engine.clone_plan(id, Title::new(copy.name)?).await?;
    Ok((StatusCode::CREATED, Json(Counted::of(&api, plan).await?)))
}
