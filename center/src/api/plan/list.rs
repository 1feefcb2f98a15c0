//! `GET /products/{pk}/plans` and `GET /plans`.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::access::{AccessError, Principal, ProductScope};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::{Asked, Named};
use crate::api::page::{After, Answer, Gathered, Number, Part};
use crate::rules::ProductKey;
use crate::store::Plan;

/// A page of the plans of a product, oldest first.
pub async fn of_product(
    State(api): State<Api>,
    Named(product): Named<ProductKey>,
    Asked(part): Asked<Part>,
) -> Result<Json<Answer<Plan>>, ApiError> {
    api.engine.store().read().await?.product(&product).await?;
    page(&api, Some(&product), &ProductScope::All, &part).await
}

/// Which plans of all products are asked for.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Only the plan of this name: names are unique.
    name: Option<String>,
    /// The `next` of the page before; empty: from the beginning on.
    #[schemars(with = "Option<After<Number>>")]
    after: Option<String>,
    /// Items of a page at most.
    #[schemars(with = "Option<i64>", range(min = 1, max = 1000))]
    limit: Option<String>,
}

/// A page of the plans of all products in the caller's reach, oldest first; or the plan of a name.
pub async fn of_all(
    State(api): State<Api>,
    caller: Result<Principal, AccessError>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Answer<Plan>>, ApiError> {
    let reach = caller?.products;
    let part = Part::of(wanted.after, wanted.limit);
    // Of one plan there is no other page, but what cannot be read is refused.
    let _ = (part.after()?, part.limit()?);
    if let Some(name) = wanted.name {
        let plan = api.engine.store().read().await?.plan_named(&name).await?;
        let plan = plan.filter(|plan| reach.allows(&plan.settings.product));
        return Ok(Json(Answer { items: plan.into_iter().collect(), next: None }));
    }
    page(&api, None, &reach, &part).await
}

async fn page(
    api: &Api,
    product: Option<&ProductKey>,
    reach: &ProductScope,
    part: &Part,
) -> Result<Json<Answer<Plan>>, ApiError> {
    let limit = part.limit()?;
    let mut store = api.engine.store().read().await?;
    let (mut found, mut after) = (Gathered::up_to(limit), Some(part.after()?));
    while let Some(from) = after {
        let page = store.plans(product, from, limit).await?;
        after = found.take(page, |plan| reach.allows(&plan.settings.product), |plan| plan.id.0);
    }
    Ok(Json(Answer::of(found.page(), |plan| plan)))
}
