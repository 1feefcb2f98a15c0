//! Products.

pub mod create;
pub mod edit;
pub mod list;
pub mod show;

use serde::Serialize;

use crate::rules::ProductSecret;
use crate::store::{Component, Product};

/// A product that was just made, with the secret that goes into its devices: it is shown here and never again.
#[derive(Debug, Serialize)]
pub struct Fresh {
    #[serde(flatten)]
    product: Product,
    secret: ProductSecret,
    /// None yet.
    components: [Component; 0],
}

/// A product with its components.
#[derive(Debug, Serialize)]
pub struct Whole {
    #[serde(flatten)]
    product: Product,
    components: Vec<Component>,
}
