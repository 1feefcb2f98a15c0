//! `GET /products`.

use axum::Json;
use axum::extract::State;

use crate::access::{AccessError, Principal};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Asked;
use crate::api::page::{Answer, Key, Part};
use crate::store::Product;

/// A page of the products in the caller's reach, by key; without their secrets.
pub async fn list(
    State(api): State<Api>,
    caller: Result<Principal, AccessError>,
    Asked(part): Asked<Part<Key>>,
) -> Result<Json<Answer<Product>>, ApiError> {
    let reach = caller?.products;
    let limit = part.limit()?;
    let products = api.engine.store().read().await?.products().await?;
    let products = products.into_iter().filter(|product| reach.allows(&product.key));
    let rest = products.filter(|product| product.key.as_str() > part.after());
    Ok(Json(Answer::cut(rest, limit, |product| product.key.to_string())))
}
