//! The audit log, which is only added to, and the changes under way.

use serde_json::Value;
use sqlx::any::AnyRow;

use super::{Columns, Page, Reader, Result, StoreError, Writer};
use crate::clock::Millis;
use crate::rules::audit::{AuditLine, BEGINNING, Change};

/// Outcome of a change whose end nobody saw.
const UNKNOWN: &str = "unknown: the center stopped before the end";

fn json(row: &AnyRow, column: &'static str) -> Result<Option<Value>> {
    let parse = |text: String| {
        serde_json::from_str(&text).map_err(|error| StoreError::Unusable(format!("column {column}: {error}")))
    };
    row.maybe_text(column)?.map(parse).transpose()
}

fn change(row: &AnyRow, outcome: String, after: Option<Value>) -> Result<Change> {
    Ok(Change {
        at: Millis(row.int("at")?),
        actor: row.text("actor")?,
        address: row.text("address")?,
        action: row.text("action")?,
        target: row.text("target")?,
        outcome,
        before: json(row, "before_text")?,
        after,
    })
}

fn line(row: &AnyRow) -> Result<AuditLine> {
    let change = change(row, row.text("outcome")?, json(row, "after_text")?)?;
    Ok(AuditLine { id: row.int("id")?, change, digest: row.text("digest")? })
}

impl Reader {
    /// A page of the audit log behind the line `after`, oldest first.
    pub async fn audit_log(&mut self, after: i64, limit: i64) -> Result<Page<AuditLine>> {
        self.audit_page("SELECT * FROM audit_log WHERE id > $1 ORDER BY id LIMIT $2", after, limit).await
    }

    /// A page of the audit log before the line `before`, newest first.
    pub async fn audit_log_back(&mut self, before: i64, limit: i64) -> Result<Page<AuditLine>> {
        self.audit_page("SELECT * FROM audit_log WHERE id < $1 ORDER BY id DESC LIMIT $2", before, limit)
            .await
    }

    async fn audit_page(&mut self, query: &'static str, from: i64, limit: i64) -> Result<Page<AuditLine>> {
        let rows =
            sqlx::query(query).bind(from).bind(limit.saturating_add(1)).fetch_all(self.connection()).await?;
        let lines = rows.iter().map(line).collect::<Result<_>>()?;
        Ok(Page::of(lines, limit, |line| line.id))
    }
}

impl Writer {
    /// Notes a change that begins; gives its number. `center` is the one that makes it.
    pub async fn begin_audit(&mut self, center: &str, change: &Change) -> Result<i64> {
        let row = sqlx::query(
            "INSERT INTO audit_pending (center, at, actor, address, action, target, before_text) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
        )
        .bind(center)
        .bind(change.at.0)
        .bind(change.actor.as_str())
        .bind(change.address.as_str())
        .bind(change.action.as_str())
        .bind(change.target.as_str())
        .bind(change.before.as_ref().map(Value::to_string))
        .fetch_one(self.connection())
        .await?;
        row.int("id")
    }

    /// Writes the line of a change that has ended, in place of the note `pending` of its begin.
    pub async fn end_audit(&mut self, pending: i64, change: Change) -> Result<AuditLine> {
        self.lock_table("audit_log").await?;
        sqlx::query("DELETE FROM audit_pending WHERE id = $1")
            .bind(pending)
            .execute(self.connection())
            .await?;
        let last = sqlx::query("SELECT id, digest FROM audit_log ORDER BY id DESC LIMIT 1")
            .fetch_optional(self.connection())
            .await?;
        let (id, digest) = match last {
            Some(row) => (row.int("id")?, row.text("digest")?),
            None => (0, BEGINNING.to_owned()),
        };
        let line = AuditLine::after(id, &digest, change);
        sqlx::query(
            "INSERT INTO audit_log (id, at, actor, address, action, target, outcome, before_text, after_text, digest) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(line.id)
        .bind(line.change.at.0)
        .bind(line.change.actor.as_str())
        .bind(line.change.address.as_str())
        .bind(line.change.action.as_str())
        .bind(line.change.target.as_str())
        .bind(line.change.outcome.as_str())
        .bind(line.change.before.as_ref().map(Value::to_string))
        .bind(line.change.after.as_ref().map(Value::to_string))
        .bind(line.digest.as_str())
        .execute(self.connection())
        .await?;
        Ok(line)
    }

    /// Writes the lines of changes whose end nobody saw: those that `center`, which has just started, had begun, and those
    /// of any center that began before `before`.
    pub async fn end_lost_audits(&mut self, center: &str, before: Millis) -> Result<u64> {
        let rows = sqlx::query("SELECT * FROM audit_pending WHERE center = $1 OR at < $2 ORDER BY id")
            .bind(center)
            .bind(before.0)
            .fetch_all(self.connection())
            .await?;
        let mut lost = 0;
        for row in &rows {
            self.end_audit(row.int("id")?, change(row, UNKNOWN.to_owned(), None)?).await?;
            lost += 1;
        }
        Ok(lost)
    }
}
