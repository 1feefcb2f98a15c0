//! Upgrade plans.

pub mod activate;
pub mod blocked;
pub mod copy;
pub mod create;
pub mod delete;
pub mod devices;
pub mod dry_run;
pub mod edit;
pub mod events;
pub mod list;
pub mod lists;
mod request;
pub mod retry;
pub mod show;
pub mod state;

use serde::Serialize;

use super::Api;
use super::error::ApiError;
use crate::rules::plan::List;
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
    /// Device keys in its lists.
    listed: Listed,
    /// Newer plans that take its place.
    superseded_by: Vec<Superseded>,
}

/// How many device keys are in a plan's lists.
#[derive(Debug, Serialize)]
struct Listed {
    whitelist: i64,
    blacklist: i64,
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
        let listed = Listed {
            whitelist: store.count_listed(plan.id, List::White).await?,
            blacklist: store.count_listed(plan.id, List::Black).await?,
        };
        let superseded_by = store.superseded_by(plan.id).await?;
        let superseded_by =
            superseded_by.into_iter().map(|(component, plan)| Superseded { component, plan }).collect();
        Ok(Self { success_rate: devices.success_rate(), devices, listed, superseded_by, plan })
    }
}
