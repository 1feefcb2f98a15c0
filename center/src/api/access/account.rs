//! `/accounts`: the people who may sign in.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};

use super::scope;
use crate::access::{ProductScope, Role};
use crate::api::Api;
use crate::api::answer::{Created, Deleted};
use crate::api::error::ApiError;
use crate::api::extract::{Asked, Body, Named};
use crate::api::page::{Answer, Key, Part};
use crate::clock::Millis;
use crate::rules::{AccountName, ProductKey};
use crate::store::Account;

/// An account, without its password.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Account")]
pub struct Shown {
    name: AccountName,
    role: Role,
    /// Product keys; null: every product.
    products: ProductScope,
    /// The password is a one-time one.
    must_change_password: bool,
    /// Signs in by OpenID Connect.
    single_sign_on: bool,
    created: Millis,
    signed_in: Option<Millis>,
}

impl From<Account> for Shown {
    fn from(account: Account) -> Self {
        Self {
            name: account.name,
            role: account.role,
            products: account.products,
            must_change_password: account.must_change,
            single_sign_on: account.subject.is_some(),
            created: account.created,
            signed_in: account.signed_in,
        }
    }
}

/// An account with its one-time password: it is shown here and never again.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "AccountWithPassword")]
pub struct Fresh {
    #[serde(flatten)]
    account: Shown,
    one_time_password: String,
}

/// A new account.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schemars(with = "AccountName")]
    name: String,
    #[schemars(with = "Role")]
    role: String,
    /// Product keys; every product if it is not given.
    #[schemars(with = "Option<Vec<ProductKey>>")]
    products: Option<Vec<String>>,
}

/// What changes.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    #[schemars(with = "Option<Role>")]
    role: Option<String>,
    /// Product keys; null: every product.
    #[schemars(with = "Option<Vec<ProductKey>>")]
    #[serde(default, deserialize_with = "given")]
    products: Option<Option<Vec<String>>>,
}

/// A field that is null is not the same as one that is not there.
fn given<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<Vec<String>>>, D::Error> {
    Option::deserialize(value).map(Some)
}

/// A page of the accounts, by name.
pub async fn list(
    State(api): State<Api>,
    Asked(part): Asked<Part<Key>>,
) -> Result<Json<Answer<Shown>>, ApiError> {
    let limit = part.limit()?;
    let more = limit.saturating_add(1);
    let accounts = api.engine.store().read().await?.accounts(part.after(), more).await?;
    let shown = accounts.into_iter().map(Shown::from);
    Ok(Json(Answer::cut(shown, limit, |account| account.name.to_string())))
}

/// An account.
pub async fn show(State(api): State<Api>, Named(name): Named<AccountName>) -> Result<Json<Shown>, ApiError> {
    Ok(Json(api.engine.store().read().await?.account(&name).await?.into()))
}

/// Makes an account. This answer alone shows its one-time password.
pub async fn create(State(api): State<Api>, Body(new): Body<New>) -> Result<Created<Fresh>, ApiError> {
    let (name, role) = (AccountName::new(new.name)?, new.role.parse()?);
    let products = scope(&mut api.engine.store().read().await?, new.products).await?;
    let (account, one_time_password) = api.access.create_account(&name, role, &products).await?;
    Ok(Created(Fresh { account: account.into(), one_time_password }))
}

/// Changes role and products. Tokens of the account that would allow more are revoked.
pub async fn edit(
    State(api): State<Api>,
    Named(name): Named<AccountName>,
    Body(changes): Body<Changes>,
) -> Result<Json<Shown>, ApiError> {
    let before = api.engine.store().read().await?.account(&name).await?;
    let role = changes.role.map_or(Ok(before.role), |role| role.parse())?;
    let products = match changes.products {
        Some(products) => scope(&mut api.engine.store().read().await?, products).await?,
        None => before.products,
    };
    Ok(Json(api.access.edit_account(&name, role, &products).await?.into()))
}

/// Gives the account another one-time password and ends its sessions.
pub async fn reset_password(
    State(api): State<Api>,
    Named(name): Named<AccountName>,
) -> Result<Json<Fresh>, ApiError> {
    let one_time_password = api.access.reset_password(&name).await?;
    let account = api.engine.store().read().await?.account(&name).await?.into();
    Ok(Json(Fresh { account, one_time_password }))
}

/// Deletes an account, its sessions and its tokens.
pub async fn delete(
    State(api): State<Api>,
    Named(name): Named<AccountName>,
) -> Result<Json<Deleted<AccountName>>, ApiError> {
    api.access.delete_account(&name).await?;
    Ok(Json(Deleted { deleted: name }))
}
