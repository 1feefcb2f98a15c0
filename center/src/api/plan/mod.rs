//! Upgrade plans.

pub mod activate;
pub mod create;
pub mod held;
pub mod list;
pub mod show;

use serde::Serialize;

use super::Api;
use super::error::ApiError;
use crate::rules::progress::Figures;
use crate::store::{Plan, PlanId};

/// A plan with its figures.
#[derive(Debug, Serialize)]
pub struct Counted {
    #[serde(flatten)]
    plan: Plan,
    devices: Figures,
    /// 0.0 to 1.0; null while no device has finished.
    success_rate: Option<f64>,
    /// Newer plans that take its place.
    superseded_by: Vec<Superseded>,
}

/// A newer plan takes the place of an older one for a component.
#[derive(Debug, Serialize)]
struct Superseded {
    component: crate::rules::ComponentNo,
    plan: PlanId,
}

impl Counted {
    async fn of(api: &Api, plan: Plan) -> Result<Self, ApiError> {
        let mut store = api.engine.store().read().await?;
        let devices = store.plan_figures(plan.id).await?;
        let superseded_by = store.superseded_by(plan.id).await?;
        let superseded_by =
            superseded_by.into_iter().map(|(component, plan)| Superseded { component, plan }).collect();
        Ok(Self { success_rate: devices.success_rate(), devices, superseded_by, plan })
    }
}
