//! `POST /plans/{plan}/clone`.

use axum::extract::State;
use serde::Deserialize;

use super::Counted;
use super::request::check_name;
use crate::api::Api;
use crate::api::answer::Created;
use crate::api::error::ApiError;
use crate::api::extract::{Body, Named};
use crate::rules::Title;
use crate::store::PlanId;

/// What is different in the copy.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// Its name, unique.
    #[schemars(with = "Title")]
    name: String,
}

/// Saves a copy of a plan, in whatever state that is, with its lists.
pub async fn copy(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    Body(copy): Body<Copy>,
) -> Result<Created<Counted>, ApiError> {
    check_name(&copy.name)?;
    let plan = api.engine.clone_plan(id, Title::new(copy.name)?).await?;
    Ok(Created(Counted::of(&api, plan).await?))
}
