//! "Did you mean": the name in the caller's reach that is nearest to one that there is not.

use axum::extract::RawPathParams;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::error::{ApiError, Missing};
use crate::access::{Principal, Role};
use crate::rules::ProductKey;
use crate::rules::names::nearest;

/// Names that are looked through.
const NAMES: i64 = 1_000;

/// The answer, with a suggestion if it says that something is not there.
pub(super) async fn added(
    api: &Api,
    principal: &Principal,
    names: &RawPathParams,
    mut answer: Response,
) -> Response {
    let Some(Missing(error)) = answer.extensions_mut().remove() else { return answer };
    let (Some(field), Some(value)) = (error.field(), error.value()) else { return answer };
    // Without a suggestion the refusal stands as it is.
    let Ok(known) = known(api, principal, names, field).await else { return answer };
    match nearest(value, known.iter().map(String::as_str)) {
        Some(name) => error.next(format!("did you mean {name}?")).into_response(),
        None => answer,
    }
}

/// The names of a kind of things that the caller may see.
async fn known(
    api: &Api,
    principal: &Principal,
    names: &RawPathParams,
    kind: &str,
) -> Result<Vec<String>, ApiError> {
    let mut store = api.engine.store().read().await?;
    let known = match kind {
        "product" => {
            let products = store.products().await?.into_iter().map(|product| product.key);
            products.filter(|key| principal.products.allows(key)).map(String::from).collect()
        }
        "component" => match names.into_iter().find(|(name, _)| *name == "pk") {
            Some((_, product)) => {
                let components = store.components(&ProductKey::new(product)?).await?;
                components.into_iter().map(|component| component.no.into()).collect()
            }
            None => Vec::new(),
        },
        "account" if principal.role == Role::Administrator && principal.products.is_all() => {
            store.accounts("", NAMES).await?.into_iter().map(|account| account.name.into()).collect()
        }
        _ => Vec::new(),
    };
    Ok(known)
}
