//! `GET /metrics`: figures for Prometheus, behind the same token as the API. Devices share the port, and how a fleet does
//! is nobody's business but the operator's.

use axum::extract::State;

use super::Api;
use super::answer::Metrics;
use super::error::ApiError;

/// The figures now.
pub async fn metrics(State(api): State<Api>) -> Result<Metrics, ApiError> {
    let in_flight = api.engine.store().read().await?.count_in_flight().await?;
    let text = api.engine.metrics().text(in_flight).map_err(|error| ApiError::internal(&error))?;
    Ok(Metrics(text))
}
