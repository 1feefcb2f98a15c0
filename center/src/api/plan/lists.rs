//! `GET` and `PUT /plans/{plan}/whitelist` and `/plans/{plan}/blacklist`.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::{Answer, Asked, ListQuery, number};
use crate::rules::DeviceKey;
use crate::rules::device_list::device_keys;
use crate::rules::plan::List;
use crate::store::PlanId;

/// A page of the whitelist, in the order of keys.
pub async fn white(
    State(api): State<Api>,
    Path(id): Path<String>,
    query: ListQuery,
) -> Result<Json<Answer<DeviceKey>>, ApiError> {
    page(&api, &id, List::White, query).await
}

/// A page of the blacklist, in the order of keys.
pub async fn black(
    State(api): State<Api>,
    Path(id): Path<String>,
    query: ListQuery,
) -> Result<Json<Answer<DeviceKey>>, ApiError> {
    page(&api, &id, List::Black, query).await
}

/// Replaces the whitelist by a CSV file.
pub async fn put_white(
    State(api): State<Api>,
    Path(id): Path<String>,
    body: String,
) -> Result<Json<Value>, ApiError> {
    replace(&api, &id, List::White, &body).await
}

/// Replaces the blacklist by a CSV file.
pub async fn put_black(
    State(api): State<Api>,
    Path(id): Path<String>,
    body: String,
) -> Result<Json<Value>, ApiError> {
    replace(&api, &id, List::Black, &body).await
}

async fn page(
    api: &Api,
    id: &str,
    list: List,
    query: ListQuery,
) -> Result<Json<Answer<DeviceKey>>, ApiError> {
    let id = PlanId(number("upgrade plan", id)?);
    let asked = Asked::of(query)?;
    let limit = asked.limit()?;
    let mut store = api.engine.store().read().await?;
    store.plan(id).await?;
    let mut keys = store.listed(id, list, asked.after_key(), limit).await?;
    let full = i64::try_from(keys.len()).unwrap_or(i64::MAX) >= limit;
    let mut next = None;
    if full && let Some(last) = keys.last().map(ToString::to_string) {
        next = (!store.listed(id, list, &last, 1).await?.is_empty()).then_some(last);
    }
    Ok(Json(Answer { items: std::mem::take(&mut keys), next }))
}

async fn replace(api: &Api, id: &str, list: List, csv: &str) -> Result<Json<Value>, ApiError> {
    let id = PlanId(number("upgrade plan", id)?);
    let keys = device_keys(csv)
        .map_err(|fault| ApiError::invalid("invalid", &format!("{list}list"), "", fault.to_string()))?;
    let devices = api.engine.replace_list(id, list, &keys).await?;
    Ok(Json(json!({ "devices": devices })))
}
