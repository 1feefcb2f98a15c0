//! `GET /plans`.

use axum::Json;
use axum::extract::State;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::{Answer, Asked, ListQuery};
use crate::store::Plan;

/// A page of the plans, oldest first.
pub async fn list(State(api): State<Api>, query: ListQuery) -> Result<Json<Answer<Plan>>, ApiError> {
    let asked = Asked::of(query)?;
    let page = api.engine.store().read().await?.plans(asked.after()?, asked.limit()?).await?;
    Ok(Json(Answer::of(page, |plan| plan)))
}
