//! `GET /audit`: who changed what.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Asked;
use crate::api::page::{After, Answer, Number, Part};
use crate::rules::audit::AuditLine;

/// Which part of the log, and from which end.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The `next` of the page before; empty: from the beginning on.
    #[schemars(with = "Option<After<Number>>")]
    after: Option<String>,
    /// Items of a page at most.
    #[schemars(with = "Option<i64>", range(min = 1, max = 1000))]
    limit: Option<String>,
    /// The newest lines first.
    newest: Option<bool>,
}

/// A page of the audit log.
pub async fn list(
    State(api): State<Api>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Answer<AuditLine>>, ApiError> {
    let part = Part::of(wanted.after, wanted.limit);
    let (after, limit) = (part.after()?, part.limit()?);
    let mut store = api.engine.store().read().await?;
    let page = if wanted.newest.unwrap_or_default() {
        store.audit_log_back(if after > 0 { after } else { i64::MAX }, limit).await?
    } else {
        store.audit_log(after, limit).await?
    };
    Ok(Json(Answer::of(page, |line| line)))
}
