//! `/tokens`: what programs, and the applications of end users, show.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use super::scope;
use crate::access::{AccessError, DeviceName, Principal, ProductScope, Role};
use crate::api::Api;
use crate::api::answer::{Created, Deleted};
use crate::api::error::ApiError;
use crate::api::extract::{Asked, Body, Named};
use crate::api::page::{Answer, Gathered, Part};
use crate::clock::Millis;
use crate::rules::{ProductKey, TokenName};
use crate::store::{AccessToken, Grant};

/// Devices of one end user's token at most.
const DEVICES_MAX: usize = 1_000;
/// Longest life of a token, in days.
const DAYS_MAX: i64 = 3_650;

/// A token, without its secret.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Token")]
pub struct Shown {
    id: i64,
    name: TokenName,
    /// Null: an end user's token.
    role: Option<Role>,
    /// Product keys; null: every product, or an end user's token.
    products: ProductScope,
    /// Of an end user's token: its devices, as `product/device`.
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<BTreeSet<DeviceName>>,
    made_by: String,
    created: Millis,
    /// Null: when it is revoked.
    expires: Option<Millis>,
    /// Last use, to a minute.
    used: Option<Millis>,
}

impl From<AccessToken> for Shown {
    fn from(token: AccessToken) -> Self {
        let (role, products, devices) = match token.grant {
            Grant::Role { role, products } => (Some(role), products, None),
            Grant::EndUser(devices) => (None, ProductScope::All, Some(devices)),
        };
        Self {
            id: token.id,
            name: token.name,
            role,
            products,
            devices,
            made_by: token.made_by,
            created: token.created,
            expires: token.expires,
            used: token.used,
        }
    }
}

/// A token with its secret: it is shown here and never again.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "TokenWithSecret")]
pub struct Fresh {
    #[serde(flatten)]
    token: Shown,
    secret: String,
}

/// A new token: of a role, or of an end user's devices.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schemars(with = "TokenName")]
    name: String,
    /// Of a program: not more than the maker's own.
    #[schemars(with = "Option<Role>")]
    role: Option<String>,
    /// Of a program: product keys; the maker's own if it is not given.
    #[schemars(with = "Option<Vec<ProductKey>>")]
    products: Option<Vec<String>>,
    /// Of an end user: their devices, each as `product/device`.
    #[schemars(with = "Option<Vec<DeviceName>>", length(min = 1, max = 1000))]
    devices: Option<Vec<String>>,
    /// Days until it expires, 1 to 3650; never if it is not given.
    #[schemars(range(min = 1, max = 3650))]
    days: Option<i64>,
}

/// Makes a token. This answer alone shows its secret.
pub async fn create(
    State(api): State<Api>,
    maker: Result<Principal, AccessError>,
    Body(new): Body<New>,
) -> Result<Created<Fresh>, ApiError> {
    let maker = maker?;
    let name = TokenName::new(new.name)?;
    let days = new.days.map(|days| {
        let fits = (1..=DAYS_MAX).contains(&days);
        let wrong = || ApiError::invalid("invalid", "days", &days.to_string(), "a number from 1 to 3650");
        fits.then(|| Millis::hours(24 * days)).ok_or_else(wrong)
    });
    let expires = days.transpose()?.map(|span| api.engine.clock().now() + span);
    let grant = match (new.role, new.devices) {
        (Some(role), None) => {
            let role: Role = role.parse()?;
            maker.require(role)?;
            let products = match new.products {
                Some(products) => scope(&mut api.engine.store().read().await?, Some(products)).await?,
                None => maker.products.clone(),
            };
            if let (false, ProductScope::Only(products)) = (maker.products.is_all(), &products) {
                products.iter().try_for_each(|product| maker.require_product(product))?;
            }
            Grant::Role { role, products }
        }
        (None, Some(devices)) => {
            maker.require(Role::Operator)?;
            if new.products.is_some() {
                let rule = "an end user's token is for its devices alone: leave the products out";
                return Err(ApiError::invalid("unknown_field", "products", "", rule));
            }
            Grant::EndUser(owned(&api, &maker, devices).await?)
        }
        (role, _) => {
            let rule = "a token has a `role` (of a program) or `devices` (of an end user), one of both";
            let field = if role.is_some() { "devices" } else { "role" };
            return Err(ApiError::invalid("missing", field, "", rule));
        }
    };
    let (secret, token) = api.access.create_token(&name, &grant, &maker.to_string(), expires).await?;
    let secret = secret.shown_once().to_owned();
    Ok(Created(Fresh { token: token.into(), secret }))
}

/// The devices of an end user: they are there, and in the maker's reach.
async fn owned(api: &Api, maker: &Principal, given: Vec<String>) -> Result<BTreeSet<DeviceName>, ApiError> {
    if given.is_empty() || given.len() > DEVICES_MAX {
        let rule = format!("1 to {DEVICES_MAX} devices, each as product/device");
        return Err(ApiError::invalid("invalid", "devices", &given.len().to_string(), rule));
    }
    let mut devices = BTreeSet::new();
    let mut store = api.engine.store().read().await?;
    for device in given {
        let name = DeviceName::try_from(device)?;
        maker.require_product(&name.product)?;
        store.device(&name.product, &name.device).await.map_err(ApiError::naming_the_missing)?;
        devices.insert(name);
    }
    Ok(devices)
}

/// A page of the tokens: an administrator sees all, everybody else their own.
pub async fn list(
    State(api): State<Api>,
    caller: Result<Principal, AccessError>,
    Asked(part): Asked<Part>,
) -> Result<Json<Answer<Shown>>, ApiError> {
    let caller = caller?;
    let limit = part.limit()?;
    let mut store = api.engine.store().read().await?;
    let (mut found, mut after) = (Gathered::up_to(limit), Some(part.after()?));
    while let Some(from) = after {
        let page = store.access_tokens(from, limit).await?;
        after = found.take(page, |token| is_manager_of(&caller, token), |token| token.id);
    }
    Ok(Json(Answer::of(found.page(), Shown::from)))
}

/// A token.
pub async fn show(
    State(api): State<Api>,
    caller: Result<Principal, AccessError>,
    Named(id): Named<i64>,
) -> Result<Json<Shown>, ApiError> {
    Ok(Json(managed(&api, &caller?, id).await?.into()))
}

/// The token, for those who may see it.
async fn managed(api: &Api, caller: &Principal, id: i64) -> Result<AccessToken, ApiError> {
    let token = api.engine.store().read().await?.access_token(id).await?;
    if is_manager_of(caller, &token) { Ok(token) } else { Err(ApiError::missing("token", &id.to_string())) }
}

/// Revokes a token: it counts no more.
pub async fn delete(
    State(api): State<Api>,
    caller: Result<Principal, AccessError>,
    Named(id): Named<i64>,
) -> Result<Json<Deleted<i64>>, ApiError> {
    managed(&api, &caller?, id).await?;
    api.access.revoke(id).await?;
    Ok(Json(Deleted { deleted: id }))
}

fn is_manager_of(caller: &Principal, token: &AccessToken) -> bool {
    let is_administrator = caller.role == Role::Administrator && caller.products.is_all();
    is_administrator || token.made_by == caller.to_string()
}
