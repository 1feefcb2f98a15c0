//! What the application of a device's end user needs (DEVELOPER-CENTER.md "End user"): the device's plans with their texts
//! in their language, their answers to them, and their progress.

pub mod action;
pub mod auto_confirm;
pub mod events;
pub mod plan;

use serde::Serialize;

use super::Api;
use super::error::ApiError;
use crate::access::{AccessError, Caller};
use crate::clock::Millis;
use crate::engine::UserPlan;
use crate::rules::consent::{Answer, Appointment};
use crate::rules::language::Wanted;
use crate::rules::plan::{Mode, PlanState};
use crate::rules::progress::{ComponentState, UpgradeState};
use crate::rules::upgrade::UserAction;
use crate::rules::window::{PushPeriod, Zone};
use crate::rules::{ComponentKind, ComponentNo, DeviceKey, ProductKey, Title, Version};
use crate::store::{PlanId, UpgradeId};

/// A plan as the end user sees it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "UserPlan")]
pub struct Shown {
    plan: PlanId,
    name: Title,
    mode: Mode,
    state: PlanState,
    time_zone: Zone,
    start: Option<Millis>,
    end: Option<Millis>,
    push_period: Option<PushPeriod>,
    /// The upgrade text in the language that suits them best; null: the plan has none.
    text: Option<Text>,
    components: Vec<Component>,
    /// What they said last; null: nothing.
    said: Option<SaidShown>,
    /// What they may do now.
    actions: Vec<UserAction>,
    progress: Progress,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "UserPlanText")]
struct Text {
    language: String,
    text: String,
}

/// What the plan brings to a component.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "UserPlanComponent")]
struct Component {
    component: ComponentNo,
    #[serde(rename = "type")]
    kind: ComponentKind,
    /// As the device reported it last.
    version: Option<String>,
    target: Version,
    bytes: u64,
}

#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "UserAnswer")]
struct SaidShown {
    /// `confirm` or `appoint`.
    action: UserAction,
    at: Millis,
    /// The appointed window.
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<Appointment>,
}

/// How far a plan is on a device; also the data of the events `progress` and `end`.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
#[schemars(rename = "UserProgress")]
pub struct Progress {
    plan: PlanId,
    /// Null: the device was never offered the plan.
    upgrade: Option<UpgradeId>,
    state: UpgradeState,
    /// Why it failed or waits.
    reason: Option<String>,
    /// The component whose turn it is, or the last one.
    component: Option<ComponentNo>,
    component_state: Option<ComponentState>,
    target: Option<Version>,
    /// Bytes of it that the device has fetched, and how many it has.
    fetched: Option<u64>,
    bytes: Option<u64>,
    cancelled: Option<Millis>,
    ended: Option<Millis>,
    /// What the device waits for, in one word and in a sentence, as `why` has it.
    condition: &'static str,
    text: String,
    may_change: Option<Millis>,
}

/// An end user sees the plans that concern their device; others of the product are to them as if they were not there.
async fn check_theirs(
    api: &Api,
    caller: Result<Caller, AccessError>,
    product: &ProductKey,
    key: &DeviceKey,
    plan: Option<i64>,
) -> Result<(), ApiError> {
    let (Caller::EndUser(_), Some(plan)) = (caller?, plan) else { return Ok(()) };
    let (device, plans) = api.engine.user_plans(product, key).await?;
    if plans.iter().any(|seen| seen.plan.id.0 == plan) {
        return Ok(());
    }
    let had = api.engine.store().read().await?.find_upgrade(PlanId(plan), device.id).await?;
    had.map(drop).ok_or_else(|| ApiError::missing("upgrade plan", &plan.to_string()))
}

impl Progress {
    fn of(seen: &UserPlan, now: Millis) -> Self {
        let upgrade = seen.upgrade.as_ref();
        let at = upgrade.and_then(|upgrade| {
            let index = upgrade.current().unwrap_or(upgrade.components.len().saturating_sub(1));
            Some((upgrade.components.get(index)?, seen.components.get(index).map(|brings| brings.bytes)))
        });
        // Who runs it has all of it, also what another server sent, or what is not counted yet.
        let fetched = at.map(|(component, bytes)| match (component.state, bytes) {
            (ComponentState::Succeeded, Some(bytes)) => bytes,
            _ => component.fetched,
        });
        Self {
            plan: seen.plan.id,
            upgrade: upgrade.map(|upgrade| upgrade.id),
            state: upgrade.map_or(UpgradeState::NotUpgraded, |upgrade| upgrade.state),
            reason: upgrade.and_then(|upgrade| upgrade.reason.clone()),
            component: at.map(|(component, _)| component.component.clone()),
            component_state: at.map(|(component, _)| component.state),
            target: at.map(|(component, _)| component.target.clone()),
            fetched,
            bytes: at.and_then(|(_, bytes)| bytes),
            cancelled: upgrade.and_then(|upgrade| upgrade.cancelled),
            ended: upgrade.and_then(|upgrade| upgrade.ended),
            condition: seen.status.condition(),
            text: seen.status.told(&seen.plan.settings.time_zone, now),
            may_change: seen.status.may_change(),
        }
    }
}

impl Shown {
    fn of(seen: UserPlan, wanted: &Wanted, now: Millis) -> Self {
        let progress = Progress::of(&seen, now);
        let settings = seen.plan.settings;
        let text = wanted.choose(&settings.texts);
        let said = seen.said.map(|said| match said.answer {
            Answer::Confirmed => SaidShown { action: UserAction::Confirm, at: said.at, window: None },
            Answer::Appointed(window) => {
                SaidShown { action: UserAction::Appoint, at: said.at, window: Some(window) }
            }
        });
        Self {
            plan: seen.plan.id,
            text: text.map(|(language, text)| Text { language: language.to_owned(), text: text.to_owned() }),
            name: settings.name,
            mode: settings.mode,
            state: seen.plan.state,
            time_zone: settings.time_zone,
            start: settings.start,
            end: settings.end,
            push_period: settings.push_period,
            components: seen
                .components
                .into_iter()
                .map(|brings| Component {
                    component: brings.facts.component,
                    kind: brings.facts.kind,
                    version: brings.facts.reported,
                    target: brings.facts.target,
                    bytes: brings.bytes,
                })
                .collect(),
            said,
            actions: seen.actions,
            progress,
        }
    }
}
