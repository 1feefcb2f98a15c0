//! Webhooks, and the messages to them. A message is written in the transaction of what it tells, so none is lost.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use super::device_sets::{Kind, table};
use super::{Backend, Columns, Page, Reader, Result, StoreError, Topic, Writer, is_duplicate};
use crate::clock::Millis;
use crate::rules::webhook::{DeliveryState, WebhookEvent, WebhookSecret, body};
use crate::rules::{DeliveryId, ProductKey, TokenName, WebhookId};
use crate::seal::{Place, Sealed};

/// Who is told what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its number.
    pub id: WebhookId,
    /// What it is for.
    pub name: TokenName,
    /// Where it is told.
    pub url: String,
    /// What; none: everything.
    pub events: Option<Vec<WebhookEvent>>,
    /// Of which product; none: of every one.
    pub product: Option<ProductKey>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Why the center itself has switched it off.
    pub stopped: Option<String>,
    /// Who made it.
    pub made_by: String,
    /// Since when.
    pub created: Millis,
    secret: Sealed,
}

/// A webhook to be.
pub struct NewWebhook<'a> {
    /// What it is for.
    pub name: &'a TokenName,
    /// Where it is told.
    pub url: &'a str,
    /// What; none: everything.
    pub events: Option<&'a [WebhookEvent]>,
    /// Of which product; none: of every one.
    pub product: Option<&'a ProductKey>,
    /// What messages are signed with.
    pub secret: &'a WebhookSecret,
    /// Who makes it.
    pub made_by: &'a str,
}

/// What webhooks are told.
#[derive(Debug, Clone, PartialEq)]
pub struct Announcement {
    /// What has happened.
    pub event: WebhookEvent,
    /// Whose it is.
    pub product: String,
    /// About it.
    pub data: Value,
    /// When it happened.
    pub at: Millis,
}

/// A message to a webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its number.
    pub id: DeliveryId,
    /// To whom.
    pub webhook: WebhookId,
    /// Name of the event: the same in each delivery and each attempt of it.
    pub message: String,
    /// What it tells.
    pub event: WebhookEvent,
    /// The JSON that is sent.
    pub body: String,
    /// How far it is.
    pub state: DeliveryState,
    /// Attempts that have begun.
    pub attempts: i64,
    /// When it is tried next; of one that is not waiting: when it was tried last.
    pub due: Millis,
    /// Since when.
    pub created: Millis,
    /// When it was delivered or given up.
    pub ended: Option<Millis>,
    /// What became of each attempt.
    pub log: Vec<Value>,
}

pub(super) const NEXT_WEBHOOK_SEAL: &str = "SELECT MIN(seal) AS seal FROM webhooks WHERE seal > $1";
// A test shows that each has its index.
pub(super) const DELIVERIES: &str = "SELECT * FROM webhook_deliveries WHERE webhook_id = $1 AND id < $2 \
                                     ORDER BY id DESC LIMIT $3";
pub(super) const DELIVERIES_IN: &str = "SELECT * FROM webhook_deliveries WHERE webhook_id = $1 AND id < $2 AND state = $4 \
                                        ORDER BY id DESC LIMIT $3";
pub(super) const SURPLUS: &str =
    "SELECT id FROM webhook_deliveries WHERE webhook_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2";

fn webhook(row: &AnyRow) -> Result<Webhook> {
    let events = row.maybe_text("events")?.map(|words| {
        let words = words.split(',').filter(|word| !word.is_empty());
        words.map(str::parse).collect::<std::result::Result<Vec<_>, _>>()
    });
    Ok(Webhook {
        id: WebhookId(row.int("id")?),
        name: row.word("name")?,
        url: row.text("url")?,
        events: events
            .transpose()
            .map_err(|error| StoreError::Unusable(format!("column events: {error}")))?,
        product: row.maybe_word("product")?,
        enabled: row.int("enabled")? != 0,
        stopped: row.maybe_text("stopped")?,
        made_by: row.text("made_by")?,
        created: Millis(row.int("created_at")?),
        secret: Sealed { key: row.text("seal")?, text: row.text("secret")? },
    })
}

fn delivery(row: &AnyRow) -> Result<Delivery> {
    Ok(Delivery {
        id: DeliveryId(row.int("id")?),
        webhook: WebhookId(row.int("webhook_id")?),
        message: row.text("message")?,
        event: row.word("event")?,
        body: row.text("body")?,
        state: row.word("state")?,
        attempts: row.int("attempts")?,
        due: Millis(row.int("due_at")?),
        created: Millis(row.int("created_at")?),
        ended: row.maybe_int("ended_at")?.map(Millis),
        log: serde_json::from_str(&row.text("log")?)
            .map_err(|error| StoreError::Unusable(format!("column log: {error}")))?,
    })
}

fn events_text(events: Option<&[WebhookEvent]>) -> Option<String> {
    let words = |events: &[WebhookEvent]| events.iter().map(|event| format!("{event},")).collect::<String>();
    events.map(|events| format!(",{}", words(events)))
}

fn new_message() -> String {
    format!("msg_{:032x}", rand::random::<u128>())
}

impl Reader {
    /// Every webhook; there are few.
    pub async fn webhooks(&mut self) -> Result<Vec<Webhook>> {
        let rows = sqlx::query("SELECT * FROM webhooks ORDER BY id").fetch_all(self.connection()).await?;
        rows.iter().map(webhook).collect()
    }

    /// The webhook, or [`StoreError::NotFound`].
    pub async fn webhook(&mut self, id: WebhookId) -> Result<Webhook> {
        let query = sqlx::query("SELECT * FROM webhooks WHERE id = $1").bind(id.0);
        let row = query.fetch_optional(self.connection()).await?;
        row.as_ref().map(webhook).transpose()?.ok_or_else(|| StoreError::missing("webhook", id.0))
    }

    /// What the webhook's messages are signed with.
    pub fn webhook_secret(&self, webhook: &Webhook) -> Result<WebhookSecret> {
        let text = self.keys.open(Place::Webhook(webhook.id.0), &webhook.secret)?;
        let wrong = |error| StoreError::Unusable(format!("the secret of webhook {}: {error}", webhook.id.0));
        serde_json::from_str(&text).map_err(wrong)
    }

    /// The webhooks for which a message waits, each with whether one is due.
    pub async fn webhooks_waiting(&mut self, now: Millis) -> Result<Vec<(Webhook, bool)>> {
        let rows = sqlx::query(
            "SELECT webhooks.*, CASE WHEN EXISTS (SELECT 1 FROM webhook_deliveries WHERE webhook_id = webhooks.id \
             AND state = 'waiting' AND due_at <= $1) THEN 1 ELSE 0 END AS is_due FROM webhooks WHERE enabled = 1 \
             AND EXISTS (SELECT 1 FROM webhook_deliveries WHERE webhook_id = webhooks.id AND state = 'waiting') ORDER BY id",
        )
        .bind(now.0)
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| Ok((webhook(row)?, row.int("is_due")? != 0))).collect()
    }

    /// The message of this webhook, or [`StoreError::NotFound`].
    pub async fn delivery(&mut self, webhook: WebhookId, id: DeliveryId) -> Result<Delivery> {
        let row = sqlx::query("SELECT * FROM webhook_deliveries WHERE id = $1 AND webhook_id = $2")
            .bind(id.0)
            .bind(webhook.0)
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(delivery).transpose()?.ok_or_else(|| StoreError::missing("webhook delivery", id.0))
    }

    /// A page of a webhook's messages before the number `before`, newest first.
    pub async fn deliveries(
        &mut self,
        webhook: WebhookId,
        state: Option<DeliveryState>,
        before: i64,
        limit: i64,
    ) -> Result<Page<Delivery>> {
        let query = sqlx::query(if state.is_some() { DELIVERIES_IN } else { DELIVERIES });
        let query = query.bind(webhook.0).bind(before).bind(limit.saturating_add(1));
        let query = match state {
            Some(state) => query.bind(state.as_str()),
            None => query,
        };
        let rows = query.fetch_all(self.connection()).await?;
        let rows = rows.iter().map(delivery).collect::<Result<_>>()?;
        Ok(Page::of(rows, limit, |delivery| delivery.id.0))
    }
}

impl Writer {
    /// Adds a webhook, if there are fewer than `most`.
    pub async fn create_webhook(&mut self, new: &NewWebhook<'_>, most: i64, now: Millis) -> Result<Webhook> {
        self.touch(Topic::Webhooks);
        self.lock_table("webhooks").await?;
        let row = sqlx::query("SELECT COUNT(*) AS count FROM webhooks").fetch_one(self.connection()).await?;
        if row.int("count")? >= most {
            let reason = format!("there are {most} webhooks already, which is the most; delete one first");
            return Err(StoreError::conflict("webhook", new.name, reason));
        }
        let row = sqlx::query(
            "INSERT INTO webhooks (name, url, events, product, secret, seal, enabled, made_by, created_at) \
             VALUES ($1, $2, $3, $4, '', $5, 1, $6, $7) RETURNING id",
        )
        .bind(new.name.as_str())
        .bind(new.url)
        .bind(events_text(new.events))
        .bind(new.product.map(ProductKey::as_str))
        .bind(self.keys.current().to_owned())
        .bind(new.made_by)
        .bind(now.0)
        .fetch_one(self.connection())
        .await
        .map_err(|error| name_taken(error, new.name))?;
        // The seal is bound to the number.
        let id = WebhookId(row.int("id")?);
        self.set_webhook_secret(id, new.secret).await?;
        self.webhook(id).await
    }

    /// Stores what of a webhook may change.
    pub async fn save_webhook(&mut self, webhook: &Webhook) -> Result<()> {
        self.touch(Topic::Webhooks);
        sqlx::query(
            "UPDATE webhooks SET name = $2, url = $3, events = $4, product = $5, enabled = $6, stopped = $7 WHERE id = $1",
        )
        .bind(webhook.id.0)
        .bind(webhook.name.as_str())
        .bind(webhook.url.as_str())
        .bind(events_text(webhook.events.as_deref()))
        .bind(webhook.product.as_ref().map(ProductKey::as_str))
        .bind(i64::from(webhook.enabled))
        .bind(webhook.stopped.as_deref())
        .execute(self.connection())
        .await
        .map_err(|error| name_taken(error, &webhook.name))?;
        Ok(())
    }

    /// Stores what a webhook's messages are signed with.
    pub async fn set_webhook_secret(&mut self, id: WebhookId, secret: &WebhookSecret) -> Result<()> {
        let text = serde_json::to_string(secret).map_err(|error| StoreError::Unusable(error.to_string()))?;
        let sealed = self.keys.seal(Place::Webhook(id.0), &text)?;
        sqlx::query("UPDATE webhooks SET secret = $2, seal = $3 WHERE id = $1")
            .bind(id.0)
            .bind(sealed.text)
            .bind(sealed.key)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Brings the secrets of webhooks under the seal key in use, and says how many that were.
    pub(super) async fn seal_webhooks(&mut self) -> Result<u64> {
        self.lock_table("webhooks").await?;
        let mut done = 0;
        for webhook in self.webhooks().await? {
            if webhook.secret.key != self.keys.current() {
                let secret = self.webhook_secret(&webhook)?;
                self.set_webhook_secret(webhook.id, &secret).await?;
                done += 1;
            }
        }
        Ok(done)
    }

    /// Deletes a webhook with its messages.
    pub async fn delete_webhook(&mut self, id: WebhookId) -> Result<()> {
        let lock = self.locked_for_deletion("SELECT id FROM webhooks WHERE id = $1");
        let found = sqlx::query(lock).bind(id.0).fetch_optional(self.connection()).await?;
        found.ok_or_else(|| StoreError::missing("webhook", id.0))?;
        for query in
            ["DELETE FROM webhook_deliveries WHERE webhook_id = $1", "DELETE FROM webhooks WHERE id = $1"]
        {
            sqlx::query(query).bind(id.0).execute(self.connection()).await?;
        }
        Ok(())
    }

    /// Whether anybody wants to be told of anything.
    pub async fn has_webhooks(&mut self) -> Result<bool> {
        let found = sqlx::query("SELECT id FROM webhooks WHERE enabled = 1 LIMIT 1");
        Ok(found.fetch_optional(self.connection()).await?.is_some())
    }

    /// Something has happened: a message to each webhook that wants to be told. `product` is whose it is.
    pub async fn announce(
        &mut self,
        event: WebhookEvent,
        product: &str,
        data: &Value,
        now: Millis,
    ) -> Result<()> {
        let (product, data) = (product.to_owned(), data.clone());
        self.announce_all(&[Announcement { event, product, data, at: now }]).await
    }

    /// The same for many things, by one statement.
    pub async fn announce_all(&mut self, announcements: &[Announcement]) -> Result<()> {
        if announcements.is_empty() {
            return Ok(());
        }
        self.touch(Topic::Webhooks);
        let rows: Vec<_> = announcements
            .iter()
            .enumerate()
            .map(|(n, Announcement { event, product, data, at })| {
                json!({
                    "n": n, "message": new_message(), "event": event.as_str(), "product": product,
                    "body": body(*event, *at, data), "at": at.0,
                })
            })
            .collect();
        let columns = [
            ("n", Kind::Int),
            ("message", Kind::Text),
            ("event", Kind::Text),
            ("product", Kind::Text),
            ("body", Kind::Text),
            ("at", Kind::Int),
        ];
        let statement = format!(
            "INSERT INTO webhook_deliveries (webhook_id, message, event, body, state, attempts, due_at, created_at, log) \
             SELECT webhooks.id, j.message, j.event, j.body, 'waiting', 0, j.at, j.at, '[]' FROM {} JOIN webhooks \
             ON enabled = 1 AND (webhooks.product IS NULL OR webhooks.product = j.product) \
             AND (events IS NULL OR events LIKE '%,' || j.event || ',%') ORDER BY j.n, webhooks.id",
            table(self.backend, &columns),
        );
        sqlx::query(AssertSqlSafe(statement))
            .bind(Value::Array(rows).to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// A message to one webhook, whatever it wants to be told. A replay has the name of the first message.
    pub async fn send_to(
        &mut self,
        webhook: WebhookId,
        event: WebhookEvent,
        message: Option<&str>,
        body: &str,
        now: Millis,
    ) -> Result<Delivery> {
        self.touch(Topic::Webhooks);
        let row = sqlx::query(
            "INSERT INTO webhook_deliveries (webhook_id, message, event, body, state, attempts, due_at, created_at, log) \
             VALUES ($1, $2, $3, $4, 'waiting', 0, $5, $5, '[]') RETURNING *",
        )
        .bind(webhook.0)
        .bind(message.map_or_else(new_message, str::to_owned))
        .bind(event.as_str())
        .bind(body)
        .bind(now.0)
        .fetch_one(self.connection())
        .await?;
        delivery(&row)
    }

    /// Sends every failed message of a webhook again; gives how many that were.
    pub async fn replay_failed(&mut self, webhook: WebhookId, now: Millis) -> Result<u64> {
        self.touch(Topic::Webhooks);
        let done = sqlx::query(
            "UPDATE webhook_deliveries SET state = 'waiting', attempts = 0, due_at = $2, ended_at = NULL \
             WHERE webhook_id = $1 AND state = 'failed'",
        )
        .bind(webhook.0)
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected())
    }

    /// Takes up to `limit` messages of a webhook that are due, for an attempt that ends before `until`: until then no other
    /// center takes them.
    pub async fn take_deliveries(
        &mut self,
        webhook: WebhookId,
        now: Millis,
        until: Millis,
        limit: i64,
    ) -> Result<Vec<Delivery>> {
        let skip = if self.backend == Backend::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
        let query = format!(
            "WITH picked AS MATERIALIZED (SELECT id FROM webhook_deliveries WHERE webhook_id = $1 AND state = 'waiting' \
             AND due_at <= $2 ORDER BY due_at, id LIMIT $4 {skip}) \
             UPDATE webhook_deliveries SET due_at = $3, attempts = attempts + 1 \
             WHERE id IN (SELECT id FROM picked) RETURNING *"
        );
        let rows = sqlx::query(AssertSqlSafe(query))
            .bind(webhook.0)
            .bind(now.0)
            .bind(until.0)
            .bind(limit)
            .fetch_all(self.connection())
            .await?;
        let mut taken = rows.iter().map(delivery).collect::<Result<Vec<_>>>()?;
        taken.sort_by_key(|delivery| delivery.id);
        Ok(taken)
    }

    /// Stores what became of an attempt, unless another center has begun a later one.
    pub async fn end_attempt(&mut self, delivery: &Delivery) -> Result<()> {
        sqlx::query(
            "UPDATE webhook_deliveries SET state = $3, due_at = $4, ended_at = $5, log = $6 \
             WHERE id = $1 AND attempts = $2 AND state = 'waiting'",
        )
        .bind(delivery.id.0)
        .bind(delivery.attempts)
        .bind(delivery.state.as_str())
        .bind(delivery.due.0)
        .bind(delivery.ended.map(|at| at.0))
        .bind(Value::from(delivery.log.clone()).to_string())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Deletes messages of a webhook beyond the newest `most`, and those that ended before `before`; gives how many of them
    /// were waiting still.
    pub async fn prune_deliveries(&mut self, webhook: WebhookId, most: i64, before: Millis) -> Result<u64> {
        let last = sqlx::query(SURPLUS).bind(webhook.0).bind(most).fetch_optional(self.connection()).await?;
        let last = last.map_or(Ok(0), |row| row.int("id"))?;
        let dropped = sqlx::query(
            "DELETE FROM webhook_deliveries WHERE webhook_id = $1 AND id <= $2 AND state = 'waiting'",
        )
        .bind(webhook.0)
        .bind(last)
        .execute(self.connection())
        .await?;
        sqlx::query(
            "DELETE FROM webhook_deliveries WHERE webhook_id = $1 AND state <> 'waiting' AND (id <= $2 OR ended_at < $3)",
        )
        .bind(webhook.0)
        .bind(last)
        .bind(before.0)
        .execute(self.connection())
        .await?;
        Ok(dropped.rows_affected())
    }
}

fn name_taken(error: sqlx::Error, name: &TokenName) -> StoreError {
    if is_duplicate(&error) {
        return StoreError::conflict("webhook", name, "there is a webhook with this name already");
    }
    error.into()
}
