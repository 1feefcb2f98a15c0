//! `GET /products/{pk}/devices/{dk}/upgrade-plan`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use serde::{Deserialize, Serialize};

use super::Shown;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{AcceptLanguage, Asked, Named};
use crate::clock::Millis;
use crate::rules::consent::AutoConfirm;
use crate::rules::language::Wanted;
use crate::rules::progress::Presence;
use crate::rules::{DeviceKey, ProductKey};

/// `?language=`; without it, the header `Accept-Language` says.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InLanguage {
    /// A language tag, such as en, zh or pt-BR.
    #[schemars(regex(pattern = "^([0-9A-Za-z]{1,8}(-[0-9A-Za-z]{1,8})*|\\*)$"))]
    language: Option<String>,
}

impl InLanguage {
    pub(super) fn wanted(&self, headers: &HeaderMap) -> Result<Wanted, ApiError> {
        if let Some(language) = &self.language {
            return Ok(Wanted::only(language)?);
        }
        let accepted = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Ok(accepted.map(Wanted::accepted).unwrap_or_default())
    }
}

/// A device with the plans that concern it, the newest activation first.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "UserPlans")]
pub struct Plans {
    product: ProductKey,
    device: DeviceKey,
    online: bool,
    auto_confirm: AutoConfirm,
    now: Millis,
    plans: Vec<Shown>,
}

/// The plans of a device as its end user sees them.
pub async fn plan(
    State(api): State<Api>,
    Named((product, key)): Named<(ProductKey, DeviceKey)>,
    Asked(language): Asked<InLanguage>,
    AcceptLanguage(headers): AcceptLanguage,
) -> Result<([(HeaderName, &'static str); 1], Json<Plans>), ApiError> {
    let wanted = language.wanted(&headers)?;
    let now = api.engine.clock().now();
    let (device, plans) = api.engine.user_plans(&product, &key).await?;
    let plans = Plans {
        online: device.presence() == Presence::Online,
        auto_confirm: device.auto_confirm,
        now,
        plans: plans.into_iter().map(|seen| Shown::of(seen, &wanted, now)).collect(),
        product: device.product,
        device: device.key,
    };
    Ok(([(header::VARY, "Accept-Language")], Json(plans)))
}
