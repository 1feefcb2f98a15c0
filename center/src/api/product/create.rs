//! `POST /products`.

use axum::extract::State;
use serde::Deserialize;

use super::{Fresh, given_or_made};
use crate::api::Api;
use crate::api::answer::Created;
use crate::api::error::ApiError;
use crate::api::extract::Body;
use crate::rules::{Admission, ProductKey, ProductSecret, Title};

/// A new product.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schemars(with = "ProductKey")]
    key: String,
    #[schemars(with = "Title")]
    name: String,
    /// Made if it is not given.
    #[schemars(with = "Option<ProductSecret>")]
    secret: Option<String>,
    /// Which devices it takes at their first connect; every one if it is not given.
    #[schemars(with = "Option<Admission>")]
    admission: Option<String>,
}

/// Creates a product. This answer alone shows its secret.
pub async fn create(State(api): State<Api>, Body(new): Body<New>) -> Result<Created<Fresh>, ApiError> {
    ApiError::check_seen("name", &new.name)?;
    let (key, name) = (ProductKey::new(new.key)?, Title::new(new.name)?);
    let admission = new.admission.map_or(Ok(Admission::Anyone), |admission| admission.parse())?;
    let secret = given_or_made(new.secret)?;
    let product = api.engine.create_product(&key, &secret, &name, admission).await?;
    Ok(Created(Fresh { product, secret, components: Vec::new() }))
}
