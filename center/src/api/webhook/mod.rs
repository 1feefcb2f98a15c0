//! `/webhooks`: who is told by HTTP what happens.

pub mod delivery;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Deserializer, Serialize};

use super::Api;
use super::answer::{Created, Deleted};
use super::error::ApiError;
use super::extract::{Asked, Body, Named};
use super::page::{Answer, Part};
use crate::access::{AccessError, Principal};
use crate::clock::Millis;
use crate::engine::WebhookChanges;
use crate::rules::webhook::{WebhookEvent, WebhookSecret};
use crate::rules::{ProductKey, TokenName, WebhookId};
use crate::store::{NewWebhook, Webhook};

/// A webhook, without its secret.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Webhook")]
pub struct Shown {
    id: WebhookId,
    name: TokenName,
    url: String,
    /// What it is told; null: everything.
    events: Option<Vec<WebhookEvent>>,
    /// Product key; null: every product.
    product: Option<ProductKey>,
    enabled: bool,
    /// Why the center itself has switched it off.
    stopped: Option<String>,
    made_by: String,
    created: Millis,
}

impl From<Webhook> for Shown {
    fn from(webhook: Webhook) -> Self {
        Self {
            id: webhook.id,
            name: webhook.name,
            url: webhook.url,
            events: webhook.events,
            product: webhook.product,
            enabled: webhook.enabled,
            stopped: webhook.stopped,
            made_by: webhook.made_by,
            created: webhook.created,
        }
    }
}

/// A webhook with its secret: it is shown here and never again.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "WebhookWithSecret")]
pub struct Fresh {
    #[serde(flatten)]
    webhook: Shown,
    secret: String,
}

/// A new webhook.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct New {
    #[schemars(with = "TokenName")]
    pub(crate) name: String,
    /// `http` goes to the networks of `--webhook-network` alone.
    #[schemars(length(max = 1024), regex(pattern = "^https?://[!-~]+$"))]
    pub(crate) url: String,
    /// What it is told; everything if not given.
    #[schemars(with = "Option<Vec<WebhookEvent>>", length(min = 1))]
    pub(crate) events: Option<Vec<String>>,
    /// Product key; every product if not given.
    #[schemars(with = "Option<ProductKey>")]
    pub(crate) product: Option<String>,
}

/// What changes.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Changes {
    #[schemars(with = "Option<TokenName>")]
    name: Option<String>,
    #[schemars(length(max = 1024), regex(pattern = "^https?://[!-~]+$"))]
    url: Option<String>,
    /// What it is told; null: everything.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Vec<WebhookEvent>>", length(min = 1))]
    events: Option<Option<Vec<String>>>,
    /// Product key; null: every product.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<ProductKey>")]
    product: Option<Option<String>>,
    enabled: Option<bool>,
}

/// A field that is null is not the same as one that is not there.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

fn events(given: Option<Vec<String>>) -> Result<Option<Vec<WebhookEvent>>, ApiError> {
    let Some(given) = given else { return Ok(None) };
    let mut events = given.iter().map(|event| event.parse()).collect::<Result<Vec<WebhookEvent>, _>>()?;
    if events.is_empty() {
        let rule = "at least one; leave the field out for everything, or switch the webhook off";
        return Err(ApiError::invalid("missing", "events", "", rule));
    }
    events.sort_unstable();
    events.dedup();
    Ok(Some(events))
}

async fn product(api: &Api, given: Option<String>) -> Result<Option<ProductKey>, ApiError> {
    let Some(given) = given else { return Ok(None) };
    let key = ProductKey::new(given)?;
    api.engine.store().read().await?.product(&key).await.map_err(ApiError::naming_the_missing)?;
    Ok(Some(key))
}

/// A page of the webhooks.
pub async fn list(State(api): State<Api>, Asked(part): Asked<Part>) -> Result<Json<Answer<Shown>>, ApiError> {
    let (after, limit) = (part.after()?, part.limit()?);
    let webhooks = api.engine.store().read().await?.webhooks().await?;
    let rest = webhooks.into_iter().filter(|webhook| webhook.id.0 > after).map(Shown::from);
    Ok(Json(Answer::cut(rest, limit, |webhook| webhook.id.0.to_string())))
}

/// A webhook.
pub async fn show(State(api): State<Api>, Named(id): Named<WebhookId>) -> Result<Json<Shown>, ApiError> {
    Ok(Json(api.engine.store().read().await?.webhook(id).await?.into()))
}

/// Makes a webhook. This answer alone shows its secret.
pub async fn create(
    State(api): State<Api>,
    maker: Result<Principal, AccessError>,
    Body(new): Body<New>,
) -> Result<Created<Fresh>, ApiError> {
    let (webhook, secret) = make(&api, &maker?.to_string(), new).await?;
    Ok(Created(Fresh { webhook: webhook.into(), secret: secret.shown_once().to_owned() }))
}

/// Makes a webhook; gives it with its secret.
pub(crate) async fn make(api: &Api, maker: &str, new: New) -> Result<(Webhook, WebhookSecret), ApiError> {
    let name = TokenName::new(new.name)?;
    api.destinations.check(&new.url)?;
    let (events, secret) = (events(new.events)?, WebhookSecret::of(&rand::random()));
    let product = product(api, new.product).await?;
    let new = NewWebhook {
        name: &name,
        url: &new.url,
        events: events.as_deref(),
        product: product.as_ref(),
        secret: &secret,
        made_by: maker,
    };
    let webhook = api.engine.create_webhook(&new).await?;
    Ok((webhook, secret))
}

/// Changes a webhook. One that is switched on again sends what waited.
pub async fn edit(
    State(api): State<Api>,
    Named(id): Named<WebhookId>,
    Body(changes): Body<Changes>,
) -> Result<Json<Shown>, ApiError> {
    let mut change =
        WebhookChanges { url: changes.url, enabled: changes.enabled, ..WebhookChanges::default() };
    change.name = changes.name.map(TokenName::new).transpose()?;
    if let Some(url) = &change.url {
        api.destinations.check(url)?;
    }
    change.events = changes.events.map(events).transpose()?;
    if let Some(given) = changes.product {
        change.product = Some(product(&api, given).await?);
    }
    let webhook = api.engine.edit_webhook(id, &change).await?;
    Ok(Json(webhook.into()))
}

/// Gives a webhook another secret, which this answer alone shows. The one of before signs beside it for a day.
pub async fn renew_secret(
    State(api): State<Api>,
    Named(id): Named<WebhookId>,
) -> Result<Json<Fresh>, ApiError> {
    let (webhook, secret) = api.engine.renew_webhook_secret(id).await?;
    Ok(Json(Fresh { webhook: webhook.into(), secret: secret.shown_once().to_owned() }))
}

/// Deletes a webhook with its messages.
pub async fn delete(
    State(api): State<Api>,
    Named(id): Named<WebhookId>,
) -> Result<Json<Deleted<WebhookId>>, ApiError> {
    api.engine.delete_webhook(id).await?;
    Ok(Json(Deleted { deleted: id }))
}
