//! Products.

pub mod create;
pub mod list;
pub mod show;

use serde::Serialize;

use crate::rules::ProductSecret;
use crate::store::{Component, Product};

/// A product with all that an operator may see of it: the secret too, for it goes into the devices.
#[derive(Debug, Serialize)]
pub struct Whole {
    #[serde(flatten)]
    product: Product,
    secret: ProductSecret,
    components: Vec<Component>,
}

impl Whole {
    fn new(product: Product, components: Vec<Component>) -> Self {
        Self { secret: product.secret.clone(), product, components }
    }
}
