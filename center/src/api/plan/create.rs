//! `POST /plans`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde_json::Value;

use super::Counted;
use super::given::{Given, check_packages, sample};
use crate::api::Api;
use crate::api::error::ApiError;

/// Saves a plan; nothing reaches a device before it is activated.
pub async fn create(
    State(api): State<Api>,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<(StatusCode, Json<Counted>), ApiError> {
    let Json(given) = body?;
    let new = Given::of(&given, &sample())?;
    check_packages(&mut api.engine.store().read().await?, &new.settings).await?;
    let (whitelist, blacklist) = (new.whitelist.unwrap_or_default(), new.blacklist.unwrap_or_default());
    let plan = api
        .engine
        .create_plan(&new.settings, &whitelist, &blacklist)
        .await
        .map_err(ApiError::naming_the_missing)?;
    Ok((StatusCode::CREATED, Json(Counted::of(&api, plan).await?)))
}
