//! Who may use the center: sessions, accounts and tokens.

pub mod account;
pub mod audit;
pub mod session;
pub mod token;

use std::collections::BTreeSet;

use serde::Serialize;

use super::error::ApiError;
use crate::access::{Principal, ProductScope, Role, Sort};
use crate::rules::ProductKey;
use crate::store::Reader;

/// Somebody who may use the API.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Caller")]
pub struct Who {
    /// Name of the account or token.
    name: String,
    /// `account`, `token` or `token_file`.
    sort: &'static str,
    role: Role,
    /// Product keys; null: every product.
    products: ProductScope,
}

impl From<Principal> for Who {
    fn from(principal: Principal) -> Self {
        let sort = match principal.sort {
            Sort::Account => "account",
            Sort::Token => "token",
            Sort::TokenFile => "token_file",
        };
        Self { name: principal.name, sort, role: principal.role, products: principal.products }
    }
}

/// The products of a request; each must be there. Null: every product.
async fn scope(store: &mut Reader, given: Option<Vec<String>>) -> Result<ProductScope, ApiError> {
    let Some(given) = given else { return Ok(ProductScope::All) };
    let mut products = BTreeSet::new();
    for product in given {
        let key = ProductKey::new(product)?;
        store.product(&key).await.map_err(ApiError::naming_the_missing)?;
        products.insert(key);
    }
    Ok(ProductScope::Only(products))
}
