//! `GET /products/{pk}/devices/{dk}/upgrade-plan/events`: the progress of a device in a plan.

use std::time::Duration;

use axum::extract::State;
use serde::Deserialize;

use super::{Progress, check_theirs};
use crate::access::{AccessError, Caller};
use crate::api::Api;
use crate::api::answer::EventStream;
use crate::api::error::ApiError;
use crate::api::events::{Seen, Subject, answer, event, last_seen, nothing_left};
use crate::api::extract::{Asked, LastEventId, Named};
use crate::engine::UserPlan;
use crate::rules::{DeviceKey, ProductKey};
use crate::store::{DeviceId, PlanId, Topic, Upgrade};

/// Lines of the log that are told at a time; the rest follows at once.
const LINES: i64 = 100;

/// Which plan; without it, the one that has the device busy, or the newest that concerns it.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    plan: Option<i64>,
}

/// One device in one plan.
struct Story {
    api: Api,
    device: DeviceId,
    plan: PlanId,
    /// Number of the last line of the log that was told; none: lines from now on are told.
    line: Option<i64>,
    /// What was told last of the progress, but for its sentence, which changes with the time.
    told: Option<String>,
}

/// Nothing more happens: the device is at its end in the plan, or the plan was over before it was offered.
fn is_final(seen: &UserPlan) -> bool {
    match &seen.upgrade {
        Some(upgrade) => upgrade.ended.is_some(),
        None => seen.plan.state.is_over(),
    }
}

impl Story {
    async fn last_line(&self, upgrade: Option<&Upgrade>) -> Result<i64, ApiError> {
        match upgrade {
            Some(upgrade) => Ok(self.api.engine.store().read().await?.last_line(upgrade.id).await?),
            None => Ok(0),
        }
    }
}

impl Subject for Story {
    const GAP: Duration = Duration::from_millis(250);

    async fn look(&mut self) -> Result<Seen, ApiError> {
        let seen = self.api.engine.user_plan(self.device, self.plan).await?;
        let mut line = match self.line {
            Some(line) => line,
            None => self.last_line(seen.upgrade.as_ref()).await?,
        };
        let mut events = Vec::new();
        if let Some(upgrade) = &seen.upgrade {
            loop {
                let lines =
                    self.api.engine.store().read().await?.upgrade_log_after(upgrade.id, line, LINES).await?;
                let Some(last) = lines.last() else { break };
                line = last.id;
                for line in &lines {
                    events.push(event("step", &line.id.to_string(), line)?);
                }
            }
        }
        self.line = Some(line);
        let progress = Progress::of(&seen, self.api.engine.clock().now());
        if is_final(&seen) {
            events.push(event("end", &line.to_string(), &progress)?);
            return Ok(Seen::Ended(events));
        }
        let told = serde_json::to_string(&Progress { text: String::new(), ..progress.clone() })?;
        if self.told.as_ref() != Some(&told) {
            events.push(event("progress", &line.to_string(), &progress)?);
            self.told = Some(told);
        }
        Ok(Seen::Open(events))
    }
}

/// `progress` now and after each change, `step` for each new line of the log, and `end`. After a broken connection the
/// lines since `Last-Event-ID` come first.
pub async fn events(
    State(api): State<Api>,
    caller: Result<Caller, AccessError>,
    Named((product, key)): Named<(ProductKey, DeviceKey)>,
    Asked(Which { plan }): Asked<Which>,
    LastEventId(headers): LastEventId,
) -> Result<EventStream, ApiError> {
    check_theirs(&api, caller, &product, &key, plan).await?;
    let device = api.engine.store().read().await?.device(&product, &key).await?.id;
    let plan = match plan {
        Some(plan) => PlanId(plan),
        None => newest(&api, &product, &key).await?,
    };
    let place = api.streams.enter()?;
    let store = api.engine.store();
    // Watched before the first look, so that no change falls between.
    let watches = [store.watch(Topic::Device(device)), store.watch(Topic::Plan(plan))];
    let look_again = store.look_again();
    // An id that is none of ours tells nothing.
    let line = last_seen(&headers).and_then(|id| id.parse().ok());
    let story = Story { api: api.clone(), device, plan, line, told: None };
    let seen = api.engine.user_plan(device, plan).await?;
    if let Some(line) = line
        && is_final(&seen)
        && story.last_line(seen.upgrade.as_ref()).await? <= line
    {
        return Ok(EventStream(nothing_left()));
    }
    Ok(EventStream(answer(place, story, watches, look_again)))
}

async fn newest(api: &Api, product: &ProductKey, key: &DeviceKey) -> Result<PlanId, ApiError> {
    let (device, plans) = api.engine.user_plans(product, key).await?;
    let busy = |seen: &&UserPlan| seen.upgrade.as_ref().is_some_and(Upgrade::is_outstanding);
    let found = plans.iter().find(busy).or(plans.first());
    found
        .map(|seen| seen.plan.id)
        .ok_or_else(|| ApiError::missing("upgrade plan that concerns device", device.key.as_str()))
}
