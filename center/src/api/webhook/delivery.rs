//! `/webhooks/{webhook}/deliveries`: what was sent to a webhook, what became of it, and sending it again.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::access::{AccessError, Principal};
use crate::api::Api;
use crate::api::answer::Created;
use crate::api::error::ApiError;
use crate::api::extract::{Asked, Named};
use crate::api::page::{After, Answer, Number, Part};
use crate::clock::Millis;
use crate::rules::webhook::{DeliveryState, WebhookEvent};
use crate::rules::{DeliveryId, WebhookId};
use crate::store::Delivery;

/// A message to a webhook.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Delivery")]
pub struct Shown {
    id: DeliveryId,
    webhook: WebhookId,
    /// The header `webhook-id`.
    message: String,
    event: WebhookEvent,
    state: DeliveryState,
    attempts: i64,
    created: Millis,
    /// When it is tried next; null: not any more.
    next_attempt: Option<Millis>,
    /// When it was delivered or given up.
    ended: Option<Millis>,
    /// What became of each attempt: when, how long it took, and the status or why there was none.
    #[schemars(with = "Vec<Map<String, Value>>")]
    log: Vec<Value>,
}

/// A message with what is sent.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "DeliveryWithBody")]
pub struct WithBody {
    #[serde(flatten)]
    delivery: Shown,
    #[schemars(with = "Map<String, Value>")]
    body: Value,
}

impl From<Delivery> for Shown {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            webhook: delivery.webhook,
            message: delivery.message,
            event: delivery.event,
            state: delivery.state,
            attempts: delivery.attempts,
            created: delivery.created,
            next_attempt: (delivery.state == DeliveryState::Waiting).then_some(delivery.due),
            ended: delivery.ended,
            log: delivery.log,
        }
    }
}

/// Which messages.
#[derive(Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// The `next` of the page before; empty: from the beginning on.
    #[schemars(with = "Option<After<Number>>")]
    after: Option<String>,
    /// Items of a page at most.
    #[schemars(with = "Option<i64>", range(min = 1, max = 1000))]
    limit: Option<String>,
    /// All if not given.
    #[schemars(with = "Option<DeliveryState>")]
    state: Option<String>,
}

/// A page of a webhook's messages, newest first.
pub async fn list(
    State(api): State<Api>,
    Named(id): Named<WebhookId>,
    Asked(wanted): Asked<Wanted>,
) -> Result<Json<Answer<Shown>>, ApiError> {
    let part = Part::of(wanted.after, wanted.limit);
    let (after, limit) = (part.after()?, part.limit()?);
    let state = wanted.state.map(|state| state.parse()).transpose()?;
    let mut store = api.engine.store().read().await?;
    store.webhook(id).await?;
    let page = store.deliveries(id, state, if after > 0 { after } else { i64::MAX }, limit).await?;
    Ok(Json(Answer::of(page, Shown::from)))
}

/// A message, with what is sent.
pub async fn show(
    State(api): State<Api>,
    Named((webhook, id)): Named<(WebhookId, DeliveryId)>,
) -> Result<Json<WithBody>, ApiError> {
    let delivery = api.engine.store().read().await?.delivery(webhook, id).await?;
    let body = serde_json::from_str(&delivery.body).unwrap_or_else(|_| Value::from(delivery.body.clone()));
    Ok(Json(WithBody { delivery: delivery.into(), body }))
}

/// Sends a message that says who tries the webhook.
pub async fn test(
    State(api): State<Api>,
    caller: Result<Principal, AccessError>,
    Named(id): Named<WebhookId>,
) -> Result<Created<Shown>, ApiError> {
    let delivery = api.engine.test_webhook(id, &caller?.to_string()).await?;
    Ok(Created(delivery.into()))
}

/// Sends a message again, in whatever state it is: another delivery of the same message.
pub async fn replay(
    State(api): State<Api>,
    Named((webhook, id)): Named<(WebhookId, DeliveryId)>,
) -> Result<Created<Shown>, ApiError> {
    let again = api.engine.replay_delivery(webhook, id).await?;
    Ok(Created(again.into()))
}

/// How many messages are sent again.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Replayed {
    replayed: u64,
}

/// Sends every failed message of a webhook again.
pub async fn replay_failed(
    State(api): State<Api>,
    Named(id): Named<WebhookId>,
) -> Result<Json<Replayed>, ApiError> {
    let replayed = api.engine.replay_failed_deliveries(id).await?;
    Ok(Json(Replayed { replayed }))
}
