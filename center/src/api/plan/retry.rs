//! `POST /plans/{plan}/retry` and `/plans/{plan}/skip`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Body, Named, object};
use crate::api::page::{After, Number, Part};
use crate::engine::{Chosen, Order, Ordered};
use crate::rules::progress::UpgradeState;
use crate::rules::{DeviceKey, Remark};
use crate::store::PlanId;

/// Most device keys of one request.
const KEYS_MAX: usize = 10_000;

/// Which devices: either their keys, or a filter.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Which {
    #[schemars(with = "Option<Vec<DeviceKey>>", length(max = 10000))]
    devices: Option<Vec<String>>,
    #[serde(default, deserialize_with = "object")]
    filter: Option<Filter>,
}

/// The same, and why.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WhichAndWhy {
    #[schemars(with = "Option<Vec<DeviceKey>>", length(max = 10000))]
    devices: Option<Vec<String>>,
    #[serde(default, deserialize_with = "object")]
    filter: Option<Filter>,
    /// Why they are left out, at most 200 characters.
    #[schemars(with = "Option<Remark>")]
    reason: Option<String>,
}

/// Devices of the plan by what became of them.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Failed ones, if it is not given.
    #[schemars(with = "Option<UpgradeState>")]
    state: Option<String>,
    /// A text that their reason has in it.
    reason: Option<String>,
    /// The `next` of the answer before.
    #[schemars(with = "Option<After<Number>>")]
    after: Option<String>,
}

/// Tries devices of an active plan again.
pub async fn retry(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    Body(which): Body<Which>,
) -> Result<Json<Ordered>, ApiError> {
    order(&api, id, which, &Order::Retry).await
}

/// Leaves devices of an active plan out.
pub async fn skip(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    Body(WhichAndWhy { devices, filter, reason }): Body<WhichAndWhy>,
) -> Result<Json<Ordered>, ApiError> {
    let reason = Remark::new(reason.unwrap_or_default())?;
    order(&api, id, Which { devices, filter }, &Order::Skip { reason: reason.into() }).await
}

async fn order(api: &Api, id: PlanId, which: Which, order: &Order) -> Result<Json<Ordered>, ApiError> {
    let chosen = match (which.devices, which.filter) {
        (Some(devices), None) if devices.len() <= KEYS_MAX => {
            Chosen::Keys(devices.into_iter().map(DeviceKey::new).collect::<Result<_, _>>()?)
        }
        (Some(devices), None) => {
            let rule = format!("at most {KEYS_MAX} device keys in one request");
            return Err(ApiError::invalid("too_many", "devices", &devices.len().to_string(), rule));
        }
        (None, Some(Filter { state, reason, after })) => Chosen::Filter {
            state: state.map_or(Ok(UpgradeState::Failed), |state| state.parse())?,
            reason,
            after: Part::of(after, None).after()?,
        },
        _ => {
            let rule =
                "say which: either `devices`, a list of device keys, or `filter`, with `state` and `reason`";
            return Err(ApiError::invalid("missing", "devices", "", rule));
        }
    };
    Ok(Json(api.engine.order(id, chosen, order).await?))
}
