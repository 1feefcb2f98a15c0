//! `GET /packages/{package}/verifications`.

use axum::Json;
use axum::extract::{Path, State};

use super::Verification;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::{Answer, Asked, ListQuery, number};
use crate::store::PackageId;

/// A page of the package's verifications, oldest first.
pub async fn list(
    State(api): State<Api>,
    Path(id): Path<String>,
    query: ListQuery,
) -> Result<Json<Answer<Verification>>, ApiError> {
    let id = PackageId(number("version package", &id)?);
    let asked = Asked::of(query)?;
    let (after, limit) = (asked.after()?, asked.limit()?);
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
