//! Products.

pub mod create;
pub mod edit;
pub mod list;
pub mod rotate_secret;
pub mod show;

use base64ct::{Base64, Encoding};
use serde::Serialize;

use crate::rules::{NameError, ProductSecret};
use crate::store::{Component, Product};

/// A product with the secret that was just made for it and goes into its devices: it is shown here and never again.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ProductWithSecret")]
pub struct Fresh {
    #[serde(flatten)]
    product: Product,
    secret: ProductSecret,
    components: Vec<Component>,
}

/// A product with its components.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "ProductWithComponents")]
pub struct Whole {
    #[serde(flatten)]
    product: Product,
    components: Vec<Component>,
}

/// The secret that is given, or one that is made. 16 characters, as the vendor's secrets have: the first 16 bytes are a
/// cipher key (QUECTHING.md 4.2).
fn given_or_made(secret: Option<String>) -> Result<ProductSecret, NameError> {
    let made = || Base64::encode_string(&rand::random::<[u8; 12]>());
    ProductSecret::new(secret.unwrap_or_else(made))
}
