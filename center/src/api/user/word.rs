//! `POST /devices/{product}/{device}/upgrade-plan/confirm`, `/appoint`, `/cancel` and `/retry`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;

use super::Shown;
use super::plan::InLanguage;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::clock::Millis;
use crate::engine::UserCommand;
use crate::rules::language::Wanted;
use crate::rules::manual::Appointment;
use crate::rules::{DeviceKey, ProductKey};
use crate::store::PlanId;

/// To which plan; without it, the one plan that takes the word. An empty body means the same as `{}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct To {
    plan: Option<i64>,
}

/// An appointment: Unix milliseconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct In {
    plan: Option<i64>,
    from: Millis,
    until: Millis,
}

type Whose = Path<(String, String)>;
type Language = Result<Query<InLanguage>, QueryRejection>;

/// Upgrade as soon as possible.
pub async fn confirm(
    State(api): State<Api>,
    whose: Whose,
    language: Language,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Shown>, ApiError> {
    let (to, wanted) = (to(&body)?, language?.0.wanted(&headers)?);
    say(&api, whose, to, UserCommand::Confirm, &wanted).await
}

/// Upgrade inside a window.
pub async fn appoint(
    State(api): State<Api>,
    whose: Whose,
    language: Language,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Shown>, ApiError> {
    let wanted = language?.0.wanted(&headers)?;
    let In { plan, from, until } = serde_json::from_slice(&body)?;
    say(&api, whose, plan.map(PlanId), UserCommand::Appoint(Appointment { from, until }), &wanted).await
}

/// Do not upgrade.
pub async fn cancel(
    State(api): State<Api>,
    whose: Whose,
    language: Language,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Shown>, ApiError> {
    let (to, wanted) = (to(&body)?, language?.0.wanted(&headers)?);
    say(&api, whose, to, UserCommand::Cancel, &wanted).await
}

/// Try again after a failure.
pub async fn retry(
    State(api): State<Api>,
    whose: Whose,
    language: Language,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Shown>, ApiError> {
    let (to, wanted) = (to(&body)?, language?.0.wanted(&headers)?);
    say(&api, whose, to, UserCommand::Retry, &wanted).await
}

fn to(body: &[u8]) -> Result<Option<PlanId>, ApiError> {
    let To { plan } = if body.is_empty() { To::default() } else { serde_json::from_slice(body)? };
    Ok(plan.map(PlanId))
}

async fn say(
    api: &Api,
    Path((product, device)): Whose,
    plan: Option<PlanId>,
    word: UserCommand,
    wanted: &Wanted,
) -> Result<Json<Shown>, ApiError> {
    let (product, key) = (ProductKey::new(product)?, DeviceKey::new(device)?);
    let plan = api.engine.apply_user_command(&product, &key, plan, word).await?;
    let device = api.engine.store().read().await?.device(&product, &key).await?.id;
    let seen = api.engine.user_plan(device, plan).await?;
    Ok(Json(Shown::of(seen, wanted, api.engine.clock().now())))
}
