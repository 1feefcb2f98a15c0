//! `GET /plans/{plan}/devices`, `/plans/{plan}/devices.csv`, `/plans/{plan}/reasons` and `/plans/{plan}/devices/{device}`.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use crate::api::answer::Csv;
use crate::api::device::upgrades::Logged;
use crate::api::error::ApiError;
use crate::api::extract::{Asked, AskedWhole, Named};
use crate::api::page::{After, Answer, Number, Part};
use crate::api::upgrade_log::LINES;
use crate::api::{Api, csv};
use crate::clock::Millis;
use crate::rules::DeviceKey;
use crate::rules::plan::{PlanState, TERMINATED_UNREACHED};
use crate::rules::progress::UpgradeState;
use crate::store::{PlanDevice, PlanId, ReasonCount, ReasonPlace, StoreError, Upgrade, UpgradeFilter};

/// Which devices of a plan are looked for, and what part of the list.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The `next` of the page before; empty: from the beginning on.
    #[schemars(with = "Option<After<Number>>")]
    after: Option<String>,
    /// Items of a page at most.
    #[schemars(with = "Option<i64>", range(min = 1, max = 1000))]
    limit: Option<String>,
    /// State of the device's upgrade.
    #[schemars(with = "Option<UpgradeState>")]
    state: Option<String>,
    /// Why it failed or waits, word for word as in the list.
    reason: Option<String>,
}

impl Wanted {
    fn filter(&self) -> Result<UpgradeFilter, ApiError> {
        let state = self.state.as_deref().map(str::parse).transpose()?;
        Ok(UpgradeFilter { state, reason: self.reason.clone() })
    }
}

/// A device of a plan, with its components.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "PlanDevice")]
pub struct Listed {
    device_key: DeviceKey,
    #[serde(flatten)]
    upgrade: Upgrade,
}

/// The same with everything that was said about it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "PlanDeviceDetails")]
pub struct Detailed {
    device_key: DeviceKey,
    #[serde(flatten)]
    upgrade: Logged,
}

/// A page of the devices that the plan was offered to.
pub async fn list(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Answer<Listed>>, ApiError> {
    let filter = wanted.filter()?;
    let part = Part::of(wanted.after, wanted.limit);
    let mut store = api.engine.store().read().await?;
    store.plan(id).await?;
    let page = store.plan_device_page(id, &filter, part.after()?, part.limit()?).await?;
    Ok(Json(Answer::of(page, |PlanDevice { key, upgrade }| Listed { device_key: key, upgrade })))
}

/// A page of how many devices are in which state for which reason, the most frequent first. While devices go on, a count
/// may change from one page to the next.
pub async fn reasons(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    Asked(part): Asked<Part<ReasonPlace>>,
) -> Result<Json<Answer<ReasonCount>>, ApiError> {
    let (after, limit) = (part.after()?, part.limit()?);
    let mut store = api.engine.store().read().await?;
    store.plan(id).await?;
    let found = store.plan_reasons(id, after.as_ref(), limit.saturating_add(1)).await?;
    Ok(Json(Answer::cut(found.into_iter(), limit, |count| count.place().to_string())))
}

/// One device of the plan: its components with the full log.
pub async fn show(
    State(api): State<Api>,
    Named((id, key)): Named<(PlanId, DeviceKey)>,
) -> Result<Json<Detailed>, ApiError> {
    let mut store = api.engine.store().read().await?;
    let plan = store.plan(id).await?;
    let device = store.device(&plan.settings.product, &key).await?;
    let upgrade = store.find_upgrade(id, device.id).await?.ok_or_else(|| {
        let reason = match plan.state {
            PlanState::Terminated => TERMINATED_UNREACHED.to_owned(),
            state if state.is_over() => format!("it was not offered the plan, which is {state}"),
            _ => "it was not offered the plan yet; `why` says what holds it back".to_owned(),
        };
        StoreError::NotFound { what: "device upgrade", id: format!("of {key} in plan {}: {reason}", id.0) }
    })?;
    Ok(Json(Detailed { device_key: key, upgrade: Logged::of(&mut store, upgrade, LINES).await? }))
}

const HEADING: [&str; 14] = [
    "device key",
    "state",
    "reason",
    "offered",
    "confirmed",
    "ended",
    "component",
    "source",
    "target",
    "component state",
    "component reason",
    "failures",
    "bytes fetched",
    "updated",
];

/// Rows that are read at a time.
const CSV_PAGE: i64 = 500;

/// All devices of the plan that match, as CSV: a row for each component.
pub async fn export(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    AskedWhole(wanted): AskedWhole<Wanted>,
) -> Result<Csv, ApiError> {
    export_csv(api, id, wanted.filter()?).await.map(Csv)
}

/// The same for a filter.
pub(crate) async fn export_csv(api: Api, id: PlanId, filter: UpgradeFilter) -> Result<Response, ApiError> {
    api.engine.store().read().await?.plan(id).await?;
    csv::answer(&HEADING, &format!("plan-{}", id.0), move |place| {
        let (api, filter) = (api.clone(), filter.clone());
        Box::pin(async move {
            let after = Part::of(place, None).after()?;
            let mut store = api.engine.store().read().await?;
            let page = store.plan_device_page(id, &filter, after, CSV_PAGE).await?;
            let rows = page.rows.iter().flat_map(lines).collect();
            Ok((rows, page.next.map(|next| next.to_string())))
        })
    })
    .await
}

fn lines(device: &PlanDevice) -> Vec<String> {
    let PlanDevice { key, upgrade } = device;
    let time = |at: Option<Millis>| at.map(|at| at.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let line = |part: &crate::store::ComponentUpgrade| {
        csv::row([
            key.to_string(),
            upgrade.state.to_string(),
            text(&upgrade.reason),
            time(Some(upgrade.created)),
            time(upgrade.confirmed),
            time(upgrade.ended),
            part.component.to_string(),
            text(&part.source),
            part.target.to_string(),
            part.state.to_string(),
            text(&part.reason),
            part.failures.to_string(),
            part.fetched.to_string(),
            time(Some(part.updated)),
        ])
    };
    upgrade.components.iter().map(line).collect()
}
