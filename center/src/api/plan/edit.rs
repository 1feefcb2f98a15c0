//! `PATCH /plans/{plan}`.

use axum::Json;
use axum::extract::State;

use super::Drafted;
use super::body::PlanBody;
use super::request::{Changes, Given, check_end, check_name, check_packages, merge, sample};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::store::PlanId;

/// Changes the fields that are given, of a plan that is Saved; null takes an optional one away, and a list that is
/// given replaces the one before.
pub async fn edit(
    State(api): State<Api>,
    Named(id): Named<PlanId>,
    body: PlanBody<Changes>,
) -> Result<Json<Drafted>, ApiError> {
    let mut store = api.engine.store().read().await?;
    let settings = store.plan(id).await?.settings;
    let before = serde_json::to_value(&settings)?;
    let PlanBody { fields: changes, whitelist, blacklist, .. } = body;
    let given = Given::of(&merge(&before, &changes), &sample())?;
    if !changes["name"].is_null() {
        check_name(given.settings.name.as_str())?;
    }
    if !changes["end"].is_null() {
        check_end(&given.settings, api.engine.clock().now())?;
    }
    // Of another product the engine says that it cannot be changed.
    if given.settings.product == settings.product {
        check_packages(&mut store, &given.settings).await?;
    }
    drop(store);
    let plan = api.engine.edit_plan(id, &given.settings, whitelist.as_deref(), blacklist.as_deref()).await?;
    Ok(Json(Drafted::of(&api, plan).await?))
}
