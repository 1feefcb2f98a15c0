//! Answers to requests that may be sent again.

use super::{Columns, Result, Store, Writer};
use crate::clock::Millis;

/// Stands for the run of a center where a request broke off: no run has this name.
const BROKEN_OFF: &str = "broken off";

/// A request that was sent before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// What was asked, as its digest.
    pub fingerprint: String,
    /// When.
    pub created: Millis,
    /// The run of the center that carries it out; empty: it is of a version that does not say. One that is none: it broke off.
    pub run: String,
    /// Status and sealed answer; none: there is none yet.
    pub answer: Option<(i64, String)>,
}

impl Writer {
    /// Notes that a request begins; gives what is known of it if it began before.
    pub async fn begin_request(
        &mut self,
        digest: &str,
        fingerprint: &str,
        run: &str,
        now: Millis,
    ) -> Result<Option<KeptAnswer>> {
        let done = sqlx::query(
            "INSERT INTO kept_answers (digest, fingerprint, created_at, run) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (digest) DO NOTHING",
        )
        .bind(digest)
        .bind(fingerprint)
        .bind(now.0)
        .bind(run)
        .execute(self.connection())
        .await?;
        if done.rows_affected() > 0 {
            return Ok(None);
        }
        let row = sqlx::query("SELECT * FROM kept_answers WHERE digest = $1")
            .bind(digest)
            .fetch_one(self.connection())
            .await?;
        let answer = match row.maybe_int("status")? {
            Some(status) => Some((status, row.text("answer")?)),
            None => None,
        };
        Ok(Some(KeptAnswer {
            fingerprint: row.text("fingerprint")?,
            created: Millis(row.int("created_at")?),
            run: row.maybe_text("run")?.unwrap_or_default(),
            answer,
        }))
    }

    /// Keeps the answer of a request that has begun.
    pub async fn keep_answer(&mut self, digest: &str, status: i64, answer: &str) -> Result<()> {
        sqlx::query("UPDATE kept_answers SET status = $2, answer = $3 WHERE digest = $1")
            .bind(digest)
            .bind(status)
            .bind(answer)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Notes that nobody works any more on a request that has no answer.
    pub async fn break_off_request(&mut self, digest: &str) -> Result<()> {
        sqlx::query("UPDATE kept_answers SET run = $2 WHERE digest = $1 AND status IS NULL")
            .bind(digest)
            .bind(BROKEN_OFF)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Forgets a request that had no effect.
    pub async fn forget_request(&mut self, digest: &str) -> Result<()> {
        sqlx::query("DELETE FROM kept_answers WHERE digest = $1")
            .bind(digest)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Forgets requests from before a time.
    pub async fn forget_requests(&mut self, before: Millis) -> Result<()> {
        sqlx::query("DELETE FROM kept_answers WHERE created_at < $1")
            .bind(before.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl Store {
    /// Until the value is dropped, no other center makes a change on condition. Inside one process the caller takes care of
    /// that.
    pub async fn lock_conditional_changes(&self) -> Result<Option<Writer>> {
        self.lock_all("conditional_changes").await
    }
}
