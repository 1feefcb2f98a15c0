//! Sends the messages that the store has for webhooks. Several centers share the work: a message that one of them has taken
//! is passed over by the others, and taken again if nobody says in time what became of it.

mod destination;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::clock::{Clock, Millis};
use crate::metrics::Metrics;
use crate::rules::WebhookId;
use crate::rules::webhook::{DeliveryState, WebhookSecret, pause};
use crate::store::{Delivery, Store, StoreError, Topic, Webhook};

pub use destination::{DestinationError, Destinations};

use destination::Clients;

/// How often messages that are due are looked for.
const LOOK: Duration = Duration::from_secs(1);
/// How often old messages are deleted.
const PRUNE: Duration = Duration::from_secs(60);
/// Messages that are kept of each webhook, and how long those are that have ended.
pub const KEPT: i64 = 10_000;
const KEPT_FOR: Millis = Millis::hours(24 * 30);
/// Messages that one center sends to one webhook at the same time: a slow receiver holds up nobody else.
const AT_ONCE: usize = 8;
/// Longest time of one attempt.
const ATTEMPT: Duration = Duration::from_secs(15);
/// A message whose attempt nobody has ended after this long is taken again.
const LOST_AFTER: Millis = Millis::seconds(60);

/// What became of one attempt.
enum Outcome {
    /// The receiver answered with this status.
    Answered(u16),
    /// There was no answer, and why.
    Unanswered(String),
}

/// Sends messages to webhooks. Clones are the same sender.
#[derive(Clone)]
pub struct Sender(Arc<Inner>);

struct Inner {
    store: Store,
    clock: Clock,
    metrics: Metrics,
    destinations: Destinations,
    /// Webhooks that this process is sending to.
    busy: Mutex<HashSet<WebhookId>>,
}

impl Sender {
    /// A sender of what `store` has, to these destinations.
    #[must_use]
    pub fn new(store: Store, clock: Clock, metrics: Metrics, destinations: Destinations) -> Self {
        Self(Arc::new(Inner { store, clock, metrics, destinations, busy: Mutex::default() }))
    }

    /// Sends what becomes due, until `stop`. Attempts that are under way then are not waited for: they are made again.
    pub async fn run(self, stop: CancellationToken) {
        let clients = match self.0.destinations.clients(ATTEMPT) {
            Ok(clients) => clients,
            Err(error) => {
                warn!(%error, "nothing is sent to webhooks");
                stop.cancelled().await;
                return;
            }
        };
        let mut written = self.0.store.watch(Topic::Webhooks);
        let mut pause = LOOK;
        let mut pruned = Instant::now();
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
                // What comes at the same time goes together.
                () = written.changed(), if pause > LOOK => pause = LOOK,
            }
            while tasks.try_join_next().is_some() {}
            match self.0.waiting().await {
                Ok(webhooks) => {
                    // Where no message waits, nothing becomes due before one is written.
                    pause = if webhooks.is_empty() { self.0.store.look_again() } else { LOOK };
                    for (webhook, _) in webhooks.into_iter().filter(|(_, is_due)| *is_due) {
                        if let Some(turn) = self.turn(webhook.id) {
                            tasks.spawn(send_due(self.0.clone(), clients.clone(), webhook, turn));
                        }
                    }
                }
                Err(error) => debug!(%error, "messages to webhooks wait for the database"),
            }
            if pruned.elapsed() >= PRUNE {
                pruned = Instant::now();
                if let Err(error) = self.0.prune().await {
                    warn!(%error, "old messages to webhooks stay for now");
                }
            }
        }
    }

    /// The right to send to a webhook; none: this process is at it.
    fn turn(&self, webhook: WebhookId) -> Option<Turn> {
        let mut busy = self.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.insert(webhook).then(|| Turn { inner: self.0.clone(), webhook })
    }
}

/// Ends when it is dropped.
struct Turn {
    inner: Arc<Inner>,
    webhook: WebhookId,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.inner.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.webhook);
    }
}

/// Sends the messages of one webhook until none is due.
async fn send_due(inner: Arc<Inner>, clients: Clients, webhook: Webhook, _turn: Turn) {
    loop {
        match inner.send_some(&clients, &webhook).await {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) => {
                debug!(webhook = webhook.id.0, %error, "messages are sent later");
                return;
            }
        }
    }
}

impl Inner {
    async fn waiting(&self) -> Result<Vec<(Webhook, bool)>, StoreError> {
        let mut store = self.store.read().await?;
        let waiting = store.webhooks_waiting(self.clock.now()).await?;
        store.done();
        Ok(waiting)
    }

    /// Sends some messages at the same time; gives how many.
    async fn send_some(&self, clients: &Clients, webhook: &Webhook) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let mut writer = self.store.write().await?;
        // It may have been changed, or switched off by an answer, since the last messages.
        let webhook = match writer.webhook(webhook.id).await {
            Ok(webhook) if webhook.enabled => webhook,
            Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(0),
            Err(error) => return Err(error),
        };
        let secret = writer.webhook_secret(&webhook)?;
        let limit = i64::try_from(AT_ONCE).unwrap_or(1);
        let taken = writer.take_deliveries(webhook.id, now, now + LOST_AFTER, limit).await?;
        writer.commit().await?;
        let count = taken.len();
        let (webhook, secret) = (&webhook, &secret);
        let attempts = taken.into_iter().map(|delivery| self.attempt(clients, webhook, secret, delivery));
        let ended: Vec<_> = stream::iter(attempts).buffer_unordered(AT_ONCE).collect().await;
        ended.into_iter().collect::<Result<(), _>>()?;
        Ok(count)
    }

    async fn attempt(
        &self,
        clients: &Clients,
        webhook: &Webhook,
        secret: &WebhookSecret,
        mut delivery: Delivery,
    ) -> Result<(), StoreError> {
        let begun = self.clock.now();
        let clock = Instant::now();
        let outcome = self.post(clients, webhook, secret, &delivery, begun).await;
        let (now, took) = (self.clock.now(), clock.elapsed());
        let mut line =
            json!({ "at": begun, "milliseconds": u64::try_from(took.as_millis()).unwrap_or(u64::MAX) });
        match &outcome {
            Outcome::Answered(status) => line["status"] = json!(status),
            Outcome::Unanswered(error) => line["error"] = json!(error),
        }
        delivery.log.push(line);
        delivery.due = begun;
        let is_taken = matches!(outcome, Outcome::Answered(200..=299));
        match pause(delivery.attempts, rand::random()) {
            _ if is_taken => {
                delivery.state = DeliveryState::Delivered;
                delivery.ended = Some(now);
                self.metrics.webhook("delivered");
            }
            Some(pause) if !matches!(outcome, Outcome::Answered(410)) => {
                delivery.due = now + pause;
                self.metrics.webhook("attempt_failed");
            }
            _ => {
                delivery.state = DeliveryState::Failed;
                delivery.ended = Some(now);
                self.metrics.webhook("given_up");
            }
        }
        let mut writer = self.store.write().await?;
        writer.end_attempt(&delivery).await?;
        if matches!(outcome, Outcome::Answered(410)) {
            warn!(webhook = webhook.id.0, name = %webhook.name, "switched off: the receiver answers 410 Gone");
            let mut webhook = writer.webhook(webhook.id).await?;
            webhook.enabled = false;
            webhook.stopped = Some("the receiver answered 410 Gone".to_owned());
            writer.save_webhook(&webhook).await?;
        }
        writer.commit().await
    }

    async fn post(
        &self,
        clients: &Clients,
        webhook: &Webhook,
        secret: &WebhookSecret,
        delivery: &Delivery,
        now: Millis,
    ) -> Outcome {
        // The rule may have changed since the webhook was made.
        let url = match self.destinations.check(&webhook.url) {
            Ok(url) => url,
            Err(error) => return Outcome::Unanswered(error.to_string()),
        };
        let seconds = now.0 / 1_000;
        let signatures = secret.signatures(&delivery.message, seconds, &delivery.body, now);
        let request = clients
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", &delivery.message)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signatures)
            .body(delivery.body.clone());
        match request.send().await {
            // What the receiver says besides is nobody's business: the address may be an operator's guess.
            Ok(answer) => Outcome::Answered(answer.status().as_u16()),
            Err(error) => Outcome::Unanswered(destination::in_words(&error)),
        }
    }

    async fn prune(&self) -> Result<(), StoreError> {
        let webhooks = self.store.read().await?.webhooks().await?;
        for webhook in webhooks {
            let mut writer = self.store.write().await?;
            let before = self.clock.now() - KEPT_FOR;
            let dropped = writer.prune_deliveries(webhook.id, KEPT, before).await?;
            writer.commit().await?;
            if dropped > 0 {
                self.metrics.webhooks_dropped(dropped);
                warn!(
                    webhook = webhook.id.0,
                    dropped, "messages that were never delivered are dropped: more than {KEPT} wait"
                );
            }
        }
        Ok(())
    }
}
