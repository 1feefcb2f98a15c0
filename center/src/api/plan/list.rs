//! `GET /products/{pk}/plans` and `GET /plans`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

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

/// Which plans of all products are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Only the plan of this name: names are unique.
    name: Option<String>,
    after: Option<String>,
    limit: Option<String>,
}

/// A page of the plans of all products, oldest first; or the plan of a name.
pub async fn of_all(
    State(api): State<Api>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Answer<Plan>>, ApiError> {
    if let Some(name) = wanted.name {
        let plan = api.engine.store().read().await?.plan_named(&name).await?;
        return Ok(Json(Answer { items: plan.into_iter().collect(), next: None }));
    }
    page(&api, None, &Part::of(wanted.after, wanted.limit)).await
}

async fn page(api: &Api, product: Option<&ProductKey>, part: &Part) -> Result<Json<Answer<Plan>>, ApiError> {
    let page = api.engine.store().read().await?.plans(product, part.after()?, part.limit()?).await?;
    Ok(Json(Answer::of(page, |plan| plan)))
}
