//! `GET /packages`.

use axum::Json;
use axum::extract::State;

use super::Proved;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::page::{Answer, Asked, ListQuery};
use crate::rules::ProductKey;

/// A page of the packages, of one product (`?product=PK`) or of all, oldest first.
pub async fn list(State(api): State<Api>, query: ListQuery) -> Result<Json<Answer<Proved>>, ApiError> {
    let asked = Asked::of(query)?;
    let product = asked.product.clone().map(ProductKey::new).transpose()?;
    let mut store = api.engine.store().read().await?;
    if let Some(product) = &product {
        store.product(product).await?;
    }
    let page = store.packages(product.as_ref(), asked.after()?, asked.limit()?).await?;
    let page = Answer::of(page, |package| package);
    let mut items = Vec::with_capacity(page.items.len());
    for package in page.items {
        items.push(Proved::of(&mut store, package).await?);
    }
    Ok(Json(Answer { items, next: page.next }))
}
