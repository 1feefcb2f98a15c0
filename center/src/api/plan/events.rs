//! `GET /plans/{plan}/events`: a plan's figures, as they change.

use std::time::Duration;

use axum::extract::State;
use serde::Serialize;

use crate::api::Api;
use crate::api::answer::EventStream;
use crate::api::error::ApiError;
use crate::api::events::{self, Seen, Subject, answer, last_seen, nothing_left};
use crate::api::extract::{LastEventId, Named};
use crate::rules::plan::PlanState;
use crate::rules::progress::Figures;
use crate::store::{PlanId, Topic};

/// Data of the events `figures` and `end`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
struct Told {
    plan: PlanId,
    state: PlanState,
    /// Why it suspended itself.
    halted: Option<String>,
    devices: Figures,
    /// 0.0 to 1.0; null while no device has finished.
    success_rate: Option<f64>,
}

/// The figures of one plan.
struct Counts {
    api: Api,
    plan: PlanId,
    /// The id of what was told last.
    told: Option<String>,
}

impl Counts {
    async fn now(&self) -> Result<Told, ApiError> {
        let mut store = self.api.engine.store().read().await?;
        let plan = store.plan(self.plan).await?;
        let devices = store.plan_figures(self.plan).await?;
        let success_rate = devices.success_rate();
        Ok(Told { plan: plan.id, state: plan.state, halted: plan.halted, devices, success_rate })
    }
}

/// Where the figures stand, as the id of an event: the same figures have the same id, in every center.
fn id(told: &Told) -> String {
    let Figures { not_required, not_upgraded, upgrading, upgraded, failed } = told.devices;
    format!("{}-{not_required}-{not_upgraded}-{upgrading}-{upgraded}-{failed}", told.state)
}

/// Whether the plan is over and its last device has finished.
fn is_final(told: &Told) -> bool {
    told.state.is_over() && told.devices.upgrading == 0
}

impl Subject for Counts {
    const GAP: Duration = Duration::from_millis(500);

    async fn look(&mut self) -> Result<Seen, ApiError> {
        let told = self.now().await?;
        let id = id(&told);
        if is_final(&told) {
            return Ok(Seen::Ended(vec![events::event("end", &id, &told)?]));
        }
        if self.told.as_deref() == Some(id.as_str()) {
            return Ok(Seen::Open(Vec::new()));
        }
        let event = events::event("figures", &id, &told)?;
        self.told = Some(id);
        Ok(Seen::Open(vec![event]))
    }
}

/// The figures now, again after each change of them, and `end` when the plan is over and its last device has finished.
pub async fn events(
    State(api): State<Api>,
    Named(plan): Named<PlanId>,
    LastEventId(headers): LastEventId,
) -> Result<EventStream, ApiError> {
    let place = api.streams.enter()?;
    let store = api.engine.store();
    // Watched before the first look, so that no change falls between.
    let watches = [store.watch(Topic::Plan(plan)), store.watch(Topic::Figures(plan))];
    let look_again = store.look_again();
    let told = last_seen(&headers).map(str::to_owned);
    let counts = Counts { api: api.clone(), plan, told };
    let now = counts.now().await?;
    if is_final(&now) && counts.told == Some(self::id(&now)) {
        return Ok(EventStream(nothing_left()));
    }
    Ok(EventStream(answer(place, counts, watches, look_again)))
}
