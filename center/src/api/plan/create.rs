//! `POST /plans`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde::Deserialize;

use super::Counted;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::rules::DeviceKey;
use crate::rules::plan::PlanSettings;
use crate::store::PackageId;

/// A new plan.
#[derive(Debug, Deserialize)]
pub struct New {
    #[serde(flatten)]
    settings: PlanSettings,
    #[serde(default)]
    whitelist: Vec<DeviceKey>,
    #[serde(default)]
    blacklist: Vec<DeviceKey>,
}

/// Saves a plan; nothing reaches a device before it is activated.
pub async fn create(
    State(api): State<Api>,
    body: Result<Json<New>, JsonRejection>,
) -> Result<(StatusCode, Json<Counted>), ApiError> {
    let Json(new) = body?;
    let mut store = api.engine.store().read().await?;
    for selected in &new.settings.components {
        // A package may go later, which activation finds out; one that never was is a mistake of now.
        if store.find_package(PackageId(selected.package)).await?.is_none() {
            let value = format!("{}={}", selected.component, selected.package);
            let rule = format!(
                "there is no version package {}; `package list` shows those there are",
                selected.package
            );
            return Err(ApiError::invalid("package_missing", "components", &value, rule));
        }
    }
    drop(store);
    let plan = api
        .engine
        .create_plan(&new.settings, &new.whitelist, &new.blacklist)
        .await
        .map_err(ApiError::naming_the_missing)?;
    Ok((StatusCode::CREATED, Json(Counted::of(&api, plan).await?)))
}
