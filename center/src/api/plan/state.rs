//! `POST /plans/{plan}/suspend`, `/resume` and `/terminate`.

use axum::Json;
use axum::extract::State;

use super::Counted;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::store::PlanId;

/// A change of an active plan's state.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    /// The plan is offered to no further device; devices that have confirmed finish.
    Suspend,
    /// A suspended plan is offered again.
    Resume,
    /// The plan ends for good; devices that have not confirmed fail.
    Terminate,
}

impl Change {
    /// Each change with its path and what it does.
    pub const PATHS: [(&str, &str, Change); 3] = [
        ("/plans/{plan}/suspend", "Suspend a plan", Change::Suspend),
        ("/plans/{plan}/resume", "Resume a plan", Change::Resume),
        ("/plans/{plan}/terminate", "Terminate a plan", Change::Terminate),
    ];
}

/// Changes the state of a plan.
pub async fn change(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    change: Change,
) -> Result<Json<Counted>, ApiError> {
    let plan = match change {
        Change::Suspend => api.engine.suspend(id).await?,
        Change::Resume => api.engine.resume(id).await?,
        Change::Terminate => api.engine.terminate(id).await?,
    };
    Ok(Json(Counted::of(&api, plan).await?))
}
