//! `POST /products/{pk}/plans`.

use axum::extract::State;
use serde_json::Value;

use super::Drafted;
use super::body::PlanBody;
use super::request::{Given, check_end, check_name, check_packages, sample};
use crate::api::Api;
use crate::api::answer::Created;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::rules::ProductKey;

/// Saves a plan; nothing reaches a device before it is activated.
pub async fn create(
    State(api): State<Api>,
    Named(product): Named<ProductKey>,
    given: PlanBody<Given>,
) -> Result<Created<Drafted>, ApiError> {
    api.engine.store().read().await?.product(&product).await?;
    let PlanBody { mut fields, whitelist, blacklist, .. } = given;
    belongs_to(&mut fields, &product)?;
    let new = Given::of(&fields, &sample())?;
    check_name(new.settings.name.as_str())?;
    check_end(&new.settings, api.engine.clock().now())?;
    check_packages(&mut api.engine.store().read().await?, &new.settings).await?;
    let (whitelist, blacklist) = (whitelist.unwrap_or_default(), blacklist.unwrap_or_default());
    let plan = api
        .engine
        .create_plan(&new.settings, &whitelist, &blacklist)
        .await
        .map_err(ApiError::naming_the_missing)?;
    Ok(Created(Drafted::of(&api, plan).await?))
}

/// The path names the product; a body that names one too, as a plan's own answer does, must name the same.
fn belongs_to(given: &mut Value, product: &ProductKey) -> Result<(), ApiError> {
    let Some(fields) = given.as_object_mut() else { return Ok(()) };
    match fields.insert("product".to_owned(), Value::from(product.as_str())) {
        Some(other) if other != product.as_str() => {
            let shown = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            let rule = format!(
                "the plan is created in product {product}, which the path names: leave the field out"
            );
            Err(ApiError::invalid("other_product", "product", &shown, rule))
        }
        _ => Ok(()),
    }
}
