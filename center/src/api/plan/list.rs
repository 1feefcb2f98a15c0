//! `GET /products/{pk}/plans` and `GET /plans`.

use axum::Json;
use axum::extract::State;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Asked, Named};
use crate::api::page::{Answer, Part};
use crate::rules::ProductKey;
use crate::store::Plan;

/// A page of the plans of a product, oldest first.
pub async fn of_product(
    State(api): State<Api>,
    Named(product): Named<ProductKey>,
    Asked(part): Asked<Part>,
) -> Result<Json<Answer<Plan>>, ApiError> {
    api.engine.store().read().await?.product(&product).await?;
    page(&api, Some(&product), &part).await
}

/// A page of the plans of all products, oldest first.
pub async fn of_all(
    State(api): State<Api>,
    Asked(part): Asked<Part>,
) -> Result<Json<Answer<Plan>>, ApiError> {
    page(&api, None, &part).await
}

async fn page(api: &Api, product: Option<&ProductKey>, part: &Part) -> Result<Json<Answer<Plan>>, ApiError> {
    let page = api.engine.store().read().await?.plans(product, part.after()?, part.limit()?).await?;
    Ok(Json(Answer::of(page, |plan| plan)))
}
