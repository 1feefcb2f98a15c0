//! The log of devices and their upgrades.

use serde::Serialize;
use sqlx::any::AnyRow;

use super::{Columns, PAGE_MAX, Page, Reader, Result, StoreError, Topic, Writer};
use crate::clock::Millis;
use crate::rules::{ComponentNo, DeviceId, UpgradeId};

/// A line of an upgrade's log.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct LogEntry {
    /// Number, in the order of writing.
    pub id: i64,
    /// The device.
    pub device: DeviceId,
    /// The upgrade; none for what belongs to no upgrade.
    pub upgrade: Option<UpgradeId>,
    /// The component, where one is meant.
    pub component: Option<ComponentNo>,
    /// What it is: `offer`, `status`, `decision`, `error` ...
    pub kind: String,
    /// Its values.
    pub value: serde_json::Value,
    /// When it happened first.
    pub at: Millis,
    /// When it was repeated last.
    pub last_at: Millis,
    /// How often.
    pub times: i64,
}

/// What becomes a line of the log.
#[derive(Debug, Clone)]
pub struct NewLogEntry {
    /// The device.
    pub device: DeviceId,
    /// The upgrade, if any.
    pub upgrade: Option<UpgradeId>,
    /// The component, if any.
    pub component: Option<ComponentNo>,
    /// What it is.
    pub kind: &'static str,
    /// Its values, as JSON.
    pub value: String,
}

// A test shows that each has its index.
pub(super) const LOG_AFTER: &str =
    "SELECT * FROM upgrade_log WHERE upgrade_id = $1 AND id > $2 ORDER BY id LIMIT $3";
pub(super) const LAST_LINES: &str =
    "SELECT * FROM upgrade_log WHERE upgrade_id = $1 ORDER BY id DESC LIMIT $2";
pub(super) const PRUNE_LOG: &str = "DELETE FROM upgrade_log WHERE id IN (SELECT upgrade_log.id FROM upgrade_log \
             WHERE upgrade_log.last_at < $1 AND NOT EXISTS (SELECT 1 FROM upgrades \
             WHERE upgrades.id = upgrade_log.upgrade_id AND upgrades.ended_at IS NULL) ORDER BY last_at LIMIT $2)";
pub(super) const LAST_LINE: &str = "SELECT COALESCE(MAX(id), 0) AS id FROM upgrade_log WHERE upgrade_id = $1";
pub(super) const REPEAT_LOG: &str = "UPDATE upgrade_log SET last_at = $6, times = times + 1 \
             WHERE id = (SELECT MAX(id) FROM upgrade_log WHERE device_id = $1) \
             AND COALESCE(upgrade_id, 0) = $2 AND COALESCE(component, '') = $3 AND kind = $4 AND value = $5";
/// Lines of a device among which a summary is looked for, and how long one summary lasts: a device's log has one of its kind
/// among so many lines.
const SUMMARY_WITHIN: i64 = 100;
const SUMMARY_LASTS: Millis = Millis::hours(24);
pub(super) const SUMMARY: &str = "SELECT MAX(id) AS id FROM (SELECT id, kind, at FROM upgrade_log WHERE device_id = $1 \
             ORDER BY id DESC LIMIT $2) AS recent WHERE kind = $3 AND at > $4";
pub(super) const ADD_TO_SUMMARY: &str =
    "UPDATE upgrade_log SET value = $2, last_at = $3, times = times + $4 WHERE id = $1";
pub(super) const DEVICE_LOG_BEFORE: &str =
    "SELECT * FROM upgrade_log WHERE device_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3";

fn log_entry(row: &AnyRow) -> Result<LogEntry> {
    Ok(LogEntry {
        id: row.int("id")?,
        device: DeviceId(row.int("device_id")?),
        upgrade: row.maybe_int("upgrade_id")?.map(UpgradeId),
        component: row.maybe_word("component")?,
        kind: row.text("kind")?,
        value: serde_json::from_str(&row.text("value")?)
            .map_err(|error| StoreError::Unusable(format!("column value: {error}")))?,
        at: Millis(row.int("at")?),
        last_at: Millis(row.int("last_at")?),
        times: row.int("times")?,
    })
}

impl Reader {
    /// The last lines of the upgrade's log, at most `limit`, oldest first; `next` is the first of them if there are older ones.
    pub async fn upgrade_log(&mut self, id: UpgradeId, limit: i64) -> Result<Page<LogEntry>> {
        let limit = limit.clamp(1, PAGE_MAX);
        let rows = sqlx::query(LAST_LINES).bind(id.0).bind(limit + 1).fetch_all(self.connection()).await?;
        let lines = rows.iter().map(log_entry).collect::<Result<Vec<_>>>()?;
        let mut page = Page::of(lines, limit, |line| line.id);
        page.rows.reverse();
        Ok(page)
    }

    /// Number of the last line of the upgrade's log; 0: it has none.
    pub async fn last_line(&mut self, id: UpgradeId) -> Result<i64> {
        let row = sqlx::query(LAST_LINE).bind(id.0).fetch_one(self.connection()).await?;
        row.int("id")
    }

    /// The upgrade's log after line number `after`, at most `limit` lines, oldest first.
    pub async fn upgrade_log_after(
        &mut self,
        id: UpgradeId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<LogEntry>> {
        let rows =
            sqlx::query(LOG_AFTER).bind(id.0).bind(after).bind(limit).fetch_all(self.connection()).await?;
        rows.iter().map(log_entry).collect()
    }

    /// The last `limit` lines of the device's log, with those of its upgrades, oldest first.
    pub async fn device_log(&mut self, device: DeviceId, limit: i64) -> Result<Vec<LogEntry>> {
        let rows = sqlx::query("SELECT * FROM upgrade_log WHERE device_id = $1 ORDER BY id DESC LIMIT $2")
            .bind(device.0)
            .bind(limit)
            .fetch_all(self.connection())
            .await?;
        rows.iter().rev().map(log_entry).collect()
    }

    /// A page of everything that was said about a device, newest first; `before` is the number of the last line seen.
    pub async fn device_log_page(
        &mut self,
        device: DeviceId,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Page<LogEntry>> {
        let limit = limit.clamp(1, PAGE_MAX);
        let rows = sqlx::query(DEVICE_LOG_BEFORE)
            .bind(device.0)
            .bind(before.unwrap_or(i64::MAX))
            .bind(limit + 1)
            .fetch_all(self.connection())
            .await?;
        let rows = rows.iter().map(log_entry).collect::<Result<Vec<_>>>()?;
        Ok(Page::of(rows, limit, |line| line.id))
    }
}

impl Writer {
    /// Writes a line; a repetition of the device's last line counts it up instead.
    pub async fn log(&mut self, entry: NewLogEntry, now: Millis) -> Result<()> {
        self.touch(Topic::Device(entry.device));
        let repeated = sqlx::query(REPEAT_LOG)
            .bind(entry.device.0)
            .bind(entry.upgrade.map_or(0, |upgrade| upgrade.0))
            .bind(entry.component.as_ref().map_or("", ComponentNo::as_str))
            .bind(entry.kind)
            .bind(entry.value.as_str())
            .bind(now.0)
            .execute(self.connection())
            .await?;
        if repeated.rows_affected() > 0 {
            return Ok(());
        }
        self.insert_log(entry, 1, now, now).await
    }

    /// Adds to the device's line of this kind, which has the latest value, when it came first and last, and how often; a
    /// line lasts a day. Nothing happens when the device is gone.
    pub async fn log_summary(
        &mut self,
        entry: NewLogEntry,
        times: i64,
        first: Millis,
        last: Millis,
    ) -> Result<()> {
        let line = sqlx::query(SUMMARY)
            .bind(entry.device.0)
            .bind(SUMMARY_WITHIN)
            .bind(entry.kind)
            .bind((first - SUMMARY_LASTS).0)
            .fetch_one(self.connection())
            .await?
            .maybe_int("id")?;
        if let Some(line) = line {
            self.touch(Topic::Device(entry.device));
            sqlx::query(ADD_TO_SUMMARY)
                .bind(line)
                .bind(entry.value.as_str())
                .bind(last.0)
                .bind(times)
                .execute(self.connection())
                .await?;
            return Ok(());
        }
        let exists = sqlx::query("SELECT id FROM devices WHERE id = $1").bind(entry.device.0);
        if exists.fetch_optional(self.connection()).await?.is_none() {
            return Ok(());
        }
        self.touch(Topic::Device(entry.device));
        self.insert_log(entry, times, first, last).await
    }

    async fn insert_log(
        &mut self,
        entry: NewLogEntry,
        times: i64,
        first: Millis,
        last: Millis,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO upgrade_log (device_id, upgrade_id, component, kind, value, at, last_at, times) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(entry.device.0)
        .bind(entry.upgrade.map(|upgrade| upgrade.0))
        .bind(entry.component.as_ref().map(ComponentNo::as_str))
        .bind(entry.kind)
        .bind(entry.value.as_str())
        .bind(first.0)
        .bind(last.0)
        .bind(times)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Deletes up to `limit` lines of the log that were last repeated before `until`, the oldest first, and says how many.
    /// An upgrade that is not at its end keeps all of its lines.
    pub async fn prune_log(&mut self, until: Millis, limit: i64) -> Result<u64> {
        let done = sqlx::query(PRUNE_LOG).bind(until.0).bind(limit).execute(self.connection()).await?;
        Ok(done.rows_affected())
    }
}
