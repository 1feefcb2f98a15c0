//! `GET /products/{pk}/packages` and `GET /packages`.

use axum::Json;
use axum::extract::State;

use super::Proved;
use crate::access::{AccessError, Principal, ProductScope};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Asked, Named};
use crate::api::page::{Answer, Gathered, Part};
use crate::rules::ProductKey;

/// A page of the packages of a product, oldest first.
pub async fn of_product(
    State(api): State<Api>,
    Named(product): Named<ProductKey>,
    Asked(part): Asked<Part>,
) -> Result<Json<Answer<Proved>>, ApiError> {
    api.engine.store().read().await?.product(&product).await?;
    page(&api, Some(&product), &ProductScope::All, &part).await
}

/// A page of the packages of all products in the caller's reach, oldest first.
pub async fn of_all(
    State(api): State<Api>,
    caller: Result<Principal, AccessError>,
    Asked(part): Asked<Part>,
) -> Result<Json<Answer<Proved>>, ApiError> {
    page(&api, None, &caller?.products, &part).await
}

async fn page(
    api: &Api,
    product: Option<&ProductKey>,
    reach: &ProductScope,
    part: &Part,
) -> Result<Json<Answer<Proved>>, ApiError> {
    let mut store = api.engine.store().read().await?;
    let limit = part.limit()?;
    let (mut found, mut after) = (Gathered::up_to(limit), Some(part.after()?));
    while let Some(from) = after {
        let page = store.packages(product, from, limit).await?;
        after = found.take(page, |package| reach.allows(&package.content.product), |package| package.id.0);
    }
    let page = Answer::of(found.page(), |package| package);
    let mut items = Vec::with_capacity(page.items.len());
    for package in page.items {
        items.push(Proved::of(&mut store, package).await?);
    }
    Ok(Json(Answer { items, next: page.next }))
}
