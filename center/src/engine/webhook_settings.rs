//! What an operator does to webhooks and their messages.

use serde_json::json;

use super::transaction::transact;
use super::{Engine, Result};
use crate::rules::webhook::{WebhookEvent, WebhookSecret, body};
use crate::rules::{DeliveryId, ProductKey, TokenName, WebhookId};
use crate::store::{Delivery, NewWebhook, StoreError, Webhook};

/// Webhooks of a center at most.
const WEBHOOKS_MAX: i64 = 100;

/// What changes of a webhook.
#[derive(Debug, Default)]
pub struct WebhookChanges {
    /// Its name, for people.
    pub name: Option<TokenName>,
    /// Where it is told.
    pub url: Option<String>,
    /// What it is told; `Some(None)`: everything.
    pub events: Option<Option<Vec<WebhookEvent>>>,
    /// `Some(None)`: every product.
    pub product: Option<Option<ProductKey>>,
    /// Whether anything is sent; either way it forgets why the center itself has switched it off.
    pub enabled: Option<bool>,
}

impl Engine {
    /// Adds a webhook. [`StoreError::Conflict`] if its name is taken, or there are too many.
    pub async fn create_webhook(&self, new: &NewWebhook<'_>) -> Result<Webhook> {
        transact!(self, |store| Ok(store.create_webhook(new, WEBHOOKS_MAX, self.clock.now()).await?))
    }

    /// Changes the fields that are given. One that is switched on again sends what waited.
    pub async fn edit_webhook(&self, id: WebhookId, changes: &WebhookChanges) -> Result<Webhook> {
        transact!(self, |store| {
            let mut webhook = store.webhook(id).await?;
            if let Some(name) = &changes.name {
                webhook.name = name.clone();
            }
            if let Some(url) = &changes.url {
                webhook.url.clone_from(url);
            }
            if let Some(events) = &changes.events {
                webhook.events.clone_from(events);
            }
            if let Some(product) = &changes.product {
                webhook.product.clone_from(product);
            }
            if let Some(enabled) = changes.enabled {
                webhook.enabled = enabled;
                webhook.stopped = None;
            }
            store.save_webhook(&webhook).await?;
            Ok(webhook)
        })
    }

    /// Gives a webhook another secret; the one of before signs beside it for a day.
    pub async fn renew_webhook_secret(&self, id: WebhookId) -> Result<(Webhook, WebhookSecret)> {
        transact!(self, |store| {
            let webhook = store.webhook(id).await?;
            let former = store.webhook_secret(&webhook)?;
            let secret = former.renewed(&rand::random(), self.clock.now());
            store.set_webhook_secret(id, &secret).await?;
            Ok((webhook, secret))
        })
    }

    /// Deletes a webhook with its messages.
    pub async fn delete_webhook(&self, id: WebhookId) -> Result<()> {
        transact!(self, |store| Ok(store.delete_webhook(id).await?))
    }

    /// Sends a message that says who tries the webhook.
    pub async fn test_webhook(&self, id: WebhookId, by: &str) -> Result<Delivery> {
        let (now, event) = (self.clock.now(), WebhookEvent::Test);
        let body = body(event, now, &json!({ "by": by }));
        transact!(self, |store| {
            check_enabled(&store.webhook(id).await?)?;
            Ok(store.send_to(id, event, None, &body, now).await?)
        })
    }

    /// Sends a message again, in whatever state it is: another delivery of the same message.
    pub async fn replay_delivery(&self, id: WebhookId, delivery: DeliveryId) -> Result<Delivery> {
        transact!(self, |store| {
            check_enabled(&store.webhook(id).await?)?;
            let first = store.delivery(id, delivery).await?;
            let now = self.clock.now();
            Ok(store.send_to(id, first.event, Some(&first.message), &first.body, now).await?)
        })
    }

    /// Sends every failed message of a webhook again; how many.
    pub async fn replay_failed_deliveries(&self, id: WebhookId) -> Result<u64> {
        transact!(self, |store| {
            check_enabled(&store.webhook(id).await?)?;
            Ok(store.replay_failed(id, self.clock.now()).await?)
        })
    }
}

/// Nothing is sent to a webhook that is switched off.
fn check_enabled(webhook: &Webhook) -> Result<()> {
    if webhook.enabled {
        return Ok(());
    }
    Err(StoreError::conflict("webhook", webhook.id.0, "it is switched off: switch it on first").into())
}
