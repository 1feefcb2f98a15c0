//! `GET /packages/{package}/verifications`.

use axum::Json;
use axum::extract::State;

use super::Verification;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Asked, Named};
use crate::api::page::{Answer, Part};
use crate::store::PackageId;

/// A page of the package's verifications, oldest first.
pub async fn list(
    State(api): State<Api>,
    Named(id): Named<PackageId>,
    Asked(part): Asked<Part>,
) -> Result<Json<Answer<Verification>>, ApiError> {
    let (after, limit) = (part.after()?, part.limit()?);
    let mut store = api.engine.store().read().await?;
    store.package(id).await?;
    let found = store.verifications(id, after, limit.saturating_add(1)).await?;
    let page = Answer::cut(found.into_iter(), limit, |upgrade| upgrade.id.0.to_string());
    let mut items = Vec::with_capacity(page.items.len());
    for upgrade in page.items {
        items.push(Verification::of(&mut store, upgrade).await?);
    }
    Ok(Json(Answer { items, next: page.next }))
}
