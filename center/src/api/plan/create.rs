//! `POST /plans`.

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

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
    body: Result<Json<Value>, JsonRejection>,
) -> Result<(StatusCode, Json<Counted>), ApiError> {
    let Json(given) = body?;
    let wrong = |error: serde_json::Error| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", format!("the plan is not valid: {error}"))
    };
    let new = New::deserialize(&given).map_err(wrong)?;
    let taken = serde_json::to_value(&new.settings).map_err(wrong)?;
    if let Some(field) = unknown_field(&given, &taken, &["whitelist", "blacklist"]) {
        let rule = "a plan has no such field";
        return Err(ApiError::invalid("unknown_field", "field", &field, rule));
    }
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

/// The first field that was given and not taken: a misspelt one must not pass for one that was left out.
fn unknown_field(given: &Value, taken: &Value, beside: &[&str]) -> Option<String> {
    match (given, taken) {
        (Value::Object(given), Value::Object(taken)) => {
            given.iter().find_map(|(name, value)| match taken.get(name) {
                Some(taken) => unknown_field(value, taken, &[]).map(|inner| format!("{name}.{inner}")),
                None if beside.contains(&name.as_str()) => None,
                None => Some(name.clone()),
            })
        }
        (Value::Array(given), Value::Array(taken)) => {
            given.iter().zip(taken).find_map(|(given, taken)| unknown_field(given, taken, &[]))
        }
        _ => None,
    }
}
