//! `GET`, `PUT` and `DELETE /plans/{plan}/whitelist` and `/plans/{plan}/blacklist`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Asked, CsvText, Named};
use crate::api::page::{Answer, Key, Part};
use crate::rules::DeviceKey;
use crate::rules::device_list::device_keys;
use crate::rules::plan::List;
use crate::store::PlanId;

/// Each list with its path, and what `GET`, `PUT` and `DELETE` do with it.
pub const PATHS: [(&str, [&str; 3], List); 2] = [
    (
        "/plans/{plan}/whitelist",
        ["List the whitelist of a plan", "Replace the whitelist of a plan", "Clear the whitelist of a plan"],
        List::White,
    ),
    (
        "/plans/{plan}/blacklist",
        ["List the blacklist of a plan", "Replace the blacklist of a plan", "Clear the blacklist of a plan"],
        List::Black,
    ),
];

/// A list as it is now.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ListLength")]
pub struct Length {
    /// Device keys in it.
    devices: i64,
}

/// A page of a list, in the order of keys.
pub async fn show(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    Asked(part): Asked<Part<Key>>,
    list: List,
) -> Result<Json<Answer<DeviceKey>>, ApiError> {
    let limit = part.limit()?;
    let mut store = api.engine.store().read().await?;
    store.plan(id).await?;
    let items = store.listed(id, list, part.after(), limit).await?;
    let full = i64::try_from(items.len()).unwrap_or(i64::MAX) >= limit;
    let mut next = None;
    if full && let Some(last) = items.last().map(ToString::to_string) {
        next = (!store.listed(id, list, &last, 1).await?.is_empty()).then_some(last);
    }
    Ok(Json(Answer { items, next }))
}

/// Replaces a list by the device keys of a CSV file.
pub async fn replace(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    CsvText(csv): CsvText,
    list: List,
) -> Result<Json<Length>, ApiError> {
    let keys = device_keys(&csv)
        .map_err(|fault| ApiError::invalid("invalid", &format!("{list}list"), "", fault.to_string()))?;
    if keys.is_empty() {
        return Err(empty(list));
    }
    let devices = api.engine.replace_list(id, list, &keys).await?;
    Ok(Json(Length { devices }))
}

/// Empties a list: without a whitelist the plan is for every device of its product.
pub async fn clear(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    list: List,
) -> Result<Json<Length>, ApiError> {
    let devices = api.engine.replace_list(id, list, &[]).await?;
    Ok(Json(Length { devices }))
}

/// A list without any key: more likely a mistake than a wish.
pub(super) fn empty(list: List) -> ApiError {
    let without = match list {
        List::White => "without a whitelist the plan is for every device",
        List::Black => "without a blacklist no device is left out",
    };
    let rule = format!(
        "no device key in it; {without}: leave it out, or clear it by null or DELETE (`none` on the command line)"
    );
    ApiError::invalid("empty_list", &format!("{list}list"), "", rule)
}
