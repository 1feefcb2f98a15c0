//! `POST /plans/{plan}/activate`.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::Counted;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Named, OptionalBody};
use crate::rules::plan::Supersede;
use crate::store::PlanId;

/// How a plan is activated; an empty body means the same as `{}`.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// `agreed`: it takes the place of active plans with the same components.
    supersede: Option<Supersede>,
}

/// A plan that is active now.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ActivatedPlan")]
pub struct Activated {
    #[serde(flatten)]
    plan: Counted,
    /// What the operator may not have meant: full packages that take devices back, or that others have other bytes for.
    warnings: Vec<String>,
}

/// Activates a plan, or says every reason why not.
pub async fn activate(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    OptionalBody(how): OptionalBody<How>,
) -> Result<Json<Activated>, ApiError> {
    // Looked at before: afterwards devices are on their way.
    let warnings = api.engine.activation_warnings(id).await?;
    let plan = api.engine.activate(id, how.supersede.unwrap_or(Supersede::Refuse)).await?;
    Ok(Json(Activated { plan: Counted::of(&api, plan).await?, warnings }))
}
