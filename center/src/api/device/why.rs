//! `GET /products/{pk}/devices/{dk}/why`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::api::verification::Verification;
use crate::clock::Millis;
use crate::engine::{TakenOver, Why};
use crate::rules::device_status::DeviceStatus;
use crate::rules::plan::PlanState;
use crate::rules::progress::Presence;
use crate::rules::window::Zone;
use crate::rules::{DeviceKey, ProductKey, Title};
use crate::store::PlanId;

/// Where a device stands in every active plan of its product.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "DeviceExplanation")]
pub struct Explained {
    device: DeviceKey,
    product: ProductKey,
    online: bool,
    now: Millis,
    /// The firmware verification that has the device, if any.
    verification: Option<Verification>,
    /// What of its reports on this connection was not understood; null: all was.
    not_understood: Option<String>,
    /// Its connections were taken over so often lately that two devices may have its key; null: they were not.
    taken_over: Option<TakenOver>,
    /// When it was forbidden to connect; null: it may.
    forbidden: Option<Millis>,
    plans: Vec<Reason>,
}

/// Where it stands in one.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "PlanExplanation")]
struct Reason {
    plan: PlanId,
    name: Title,
    state: PlanState,
    time_zone: Zone,
    /// The condition in one word.
    condition: &'static str,
    /// Its values.
    values: Value,
    /// The sentence.
    text: String,
    /// When it may change by itself; null: only by an event.
    may_change: Option<Millis>,
    /// What changes it.
    changes_with: &'static str,
    /// Why the last attempt failed or was refused; null: there was none, or it goes on.
    last_attempt: Option<String>,
}

impl Reason {
    fn of(why: Why, now: Millis) -> Result<Self, serde_json::Error> {
        let Why { plan, status, last_attempt } = why;
        let values = match &status {
            DeviceStatus::Blocked(reason) => serde_json::to_value(reason)?,
            DeviceStatus::UnderWay { component, state, until } => {
                json!({ "component": component, "state": state, "until": until })
            }
            DeviceStatus::Behind { plan } => json!({ "plan": plan }),
            DeviceStatus::Due { at, .. } => json!({ "at": at }),
        };
        Ok(Self {
            plan: plan.id,
            state: plan.state,
            condition: status.condition(),
            values,
            text: status.told(&plan.settings.time_zone, now),
            may_change: status.may_change(),
            changes_with: status.changes_with(),
            last_attempt,
            name: plan.settings.name,
            time_zone: plan.settings.time_zone,
        })
    }
}

/// For each active plan, the condition that holds the device back, with its values.
pub async fn why(
    State(api): State<Api>,
    Named((product, key)): Named<(ProductKey, DeviceKey)>,
) -> Result<Json<Explained>, ApiError> {
    let now = api.engine.clock().now();
    let (device, reasons) = api.engine.why(&product, &key).await?;
    let online = device.presence() == Presence::Online;
    let plans = reasons.into_iter().map(|why| Reason::of(why, now)).collect::<Result<_, _>>()?;
    let not_understood = api.engine.not_understood(&device).await?;
    let mut store = api.engine.store().read().await?;
    let open = store.open_upgrades(device.id).await?.into_iter().find(|upgrade| upgrade.plan.is_none());
    let verification = match open {
        Some(upgrade) => Some(Verification::of(&mut store, upgrade).await?),
        None => None,
    };
    let (taken_over, forbidden) = (TakenOver::of(&device, now), device.forbidden);
    Ok(Json(Explained {
        device: device.key,
        product,
        online,
        now,
        verification,
        not_understood,
        taken_over,
        forbidden,
        plans,
    }))
}
