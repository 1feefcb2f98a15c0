//! Upgrade plans.

pub mod activate;
pub mod blocked;
pub mod body;
pub mod copy;
pub mod create;
pub mod delete;
pub mod devices;
pub mod dry_run;
pub mod edit;
pub mod events;
pub mod list;
pub mod lists;
pub mod request;
pub mod retry;
pub mod show;
pub mod state;

use serde::Serialize;

use super::Api;
use super::error::ApiError;
use crate::engine::Population;
use crate::rules::progress::Figures;
use crate::store::{Plan, PlanId, Reader};

/// A plan with its figures.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "PlanWithFigures")]
pub struct Counted {
    #[serde(flatten)]
    plan: Plan,
    devices: Figures,
    /// 0.0 to 1.0; null while no device has finished.
    success_rate: Option<f64>,
    /// Who it is for.
    population: Meant,
    /// The plan is over, and its devices that were never offered it are still being counted.
    counting: bool,
    /// Device keys in its lists.
    listed: Listed,
    /// Newer plans that take its place.
    superseded_by: Vec<Superseded>,
}

/// Whose devices a plan is for, and how many they are now.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "PlanPopulation")]
struct Meant {
    of: Population,
    devices: i64,
}

/// How many device keys are in a plan's lists.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "PlanListLengths")]
struct Listed {
    whitelist: i64,
    blacklist: i64,
}

/// A newer plan takes the place of an older one for a component.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Superseded {
    component: crate::rules::ComponentNo,
    plan: PlanId,
}

/// A plan that was saved, with what keeps it from being activated as it is.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "PlanDraft")]
pub struct Drafted {
    #[serde(flatten)]
    plan: Counted,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Drafted {
    async fn of(api: &Api, plan: Plan) -> Result<Self, ApiError> {
        let faults = api.engine.activation_faults(&plan).await?;
        let warnings = faults.iter().map(ToString::to_string).collect();
        Ok(Self { plan: Counted::of(api, plan).await?, warnings })
    }
}

impl Counted {
    async fn of(api: &Api, plan: Plan) -> Result<Self, ApiError> {
        let mut store = api.engine.store().read().await?;
        let counted = Self::as_in(&mut store, plan).await?;
        store.done();
        Ok(counted)
    }

    async fn as_in(store: &mut Reader, plan: Plan) -> Result<Self, ApiError> {
        let totals = store.plan_totals(plan.id, &plan.settings.product).await?;
        let listed = Listed { whitelist: totals.whitelist, blacklist: totals.blacklist };
        let population = if listed.whitelist > 0 {
            Meant { of: Population::Whitelist, devices: listed.whitelist }
        } else {
            Meant { of: Population::Product, devices: totals.product }
        };
        let superseded_by = totals.superseded_by.into_iter();
        Ok(Self {
            success_rate: totals.figures.success_rate(),
            devices: totals.figures,
            counting: totals.is_ending,
            population,
            listed,
            superseded_by: superseded_by.map(|(component, plan)| Superseded { component, plan }).collect(),
            plan,
        })
    }
}
