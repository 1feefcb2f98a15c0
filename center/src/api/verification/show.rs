//! `GET /verifications/{verification}`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Verification;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::api::upgrade_log::{LINES, UpgradeLog};
use crate::store::UpgradeId;

/// A verification with everything that was said about it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "FirmwareVerificationDetails")]
pub struct Detailed {
    #[serde(flatten)]
    verification: Verification,
    #[serde(flatten)]
    log: UpgradeLog,
}

/// The details of a verification.
pub async fn show(State(api): State<Api>, Named(id): Named<UpgradeId>) -> Result<Json<Detailed>, ApiError> {
    let mut store = api.engine.store().read().await?;
    let upgrade = store.upgrade(id).await.ok().filter(|upgrade| upgrade.plan.is_none());
    let upgrade = upgrade.ok_or_else(|| ApiError::missing("firmware verification", &id.0.to_string()))?;
    let verification = Verification::of(&mut store, upgrade).await?;
    Ok(Json(Detailed { verification, log: UpgradeLog::of(&mut store, id, LINES).await? }))
}
