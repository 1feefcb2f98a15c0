//! `GET /health` and `GET /ready`: whether the center works, and whether it is to be given work.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::error::ApiError;
use crate::store::PackageId;

/// A tick is due each second, or each fifth where it is quiet; without one for so long nothing is done in time.
const TICK_LATE: Duration = Duration::from_secs(15);

/// The center works.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Health {
    /// `ok`.
    status: &'static str,
    /// Of the program.
    version: &'static str,
}

/// The center takes work.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ready {
    /// `ready`.
    status: &'static str,
    /// Its name among the centers.
    center: String,
}

/// Whether the center can do its work: its database answers, what is due is done, and its disk has room.
pub async fn health(State(api): State<Api>) -> Result<Json<Health>, ApiError> {
    api.engine.store().read().await?.find_package(PackageId(0)).await?;
    if let Some(error) = api.engine.tick_error() {
        let message = format!("what is due is not done, the last tick failed: {error}");
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "tick", message));
    }
    if let Some(error) = api.disk.as_ref().and_then(|disk| disk.check().err()) {
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "disk", error.to_string()));
    }
    Ok(Json(Health { status: "ok", version: env!("CARGO_PKG_VERSION") }))
}

/// Whether a balancer is to send devices and requests here; 503 with everything that stands against it.
pub async fn ready(State(api): State<Api>) -> Result<Json<Ready>, ApiError> {
    let mut against: Vec<String> = Vec::new();
    if api.streams.stop.is_cancelled() {
        against.push("stopping: the devices are sent away".to_owned());
    }
    if let Err(error) = api.engine.store().check_migrations().await {
        against.push(format!("database: {error}"));
    }
    match (api.engine.tick_error(), api.engine.ticked()) {
        (Some(error), _) => against.push(format!("tick: {error}")),
        (None, None) => against.push("tick: there was none yet".to_owned()),
        (None, Some(ago)) if ago > TICK_LATE => against.push(format!("tick: the last one was {ago:?} ago")),
        _ => {}
    }
    if let Some(error) = api.disk.as_ref().and_then(|disk| disk.check().err()) {
        against.push(format!("disk: {error}"));
    }
    if let Err(error) = api.objects.check().await {
        against.push(format!("packages: {error}"));
    }
    if api.engine.is_shared() && api.engine.heard_since().is_none() {
        against.push("centers: the others do not hear this one".to_owned());
    }
    if against.is_empty() {
        return Ok(Json(Ready { status: "ready", center: api.engine.center().to_string() }));
    }
    let message = format!("not ready: {}", against.join("; "));
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message))
}
