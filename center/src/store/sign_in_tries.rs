//! Wrong passwords of late, for every center of the database.

use super::{Columns, Reader, Result, Writer};
use crate::clock::Millis;

/// Wrong tries from one origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignInTries {
    /// How many in a row.
    pub wrong: u32,
    /// The last one.
    pub last: Millis,
    /// Until when the origin has to wait.
    pub until: Millis,
}

// A test shows that it has its index.
pub(super) const OLDEST_KEPT: &str =
    "SELECT last_at FROM sign_in_tries WHERE last_at > 0 ORDER BY last_at DESC LIMIT 1 OFFSET $1";

impl Reader {
    /// The wrong tries from an origin, if there are any.
    pub async fn sign_in_tries(&mut self, origin: &str) -> Result<Option<SignInTries>> {
        let query = sqlx::query("SELECT * FROM sign_in_tries WHERE origin = $1").bind(origin);
        let Some(row) = query.fetch_optional(self.connection()).await? else { return Ok(None) };
        Ok(Some(SignInTries {
            wrong: row.number("wrong")?,
            last: Millis(row.int("last_at")?),
            until: Millis(row.int("until_at")?),
        }))
    }
}

impl Writer {
    /// Until the end of the transaction nobody else counts tries.
    pub async fn lock_sign_in_tries(&mut self) -> Result<()> {
        self.lock_table("sign_in_tries").await
    }

    /// Stores the tries from an origin.
    pub async fn save_sign_in_tries(&mut self, origin: &str, tries: SignInTries) -> Result<()> {
        sqlx::query(
            "INSERT INTO sign_in_tries (origin, wrong, last_at, until_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (origin) DO UPDATE SET wrong = excluded.wrong, last_at = excluded.last_at, \
             until_at = excluded.until_at",
        )
        .bind(origin)
        .bind(i64::from(tries.wrong))
        .bind(tries.last.0)
        .bind(tries.until.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Forgets the tries from an origin.
    pub async fn forget_sign_in_tries(&mut self, origin: &str) -> Result<()> {
        sqlx::query("DELETE FROM sign_in_tries WHERE origin = $1")
            .bind(origin)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Forgets tries before `before`, and the oldest ones beyond `most`.
    pub async fn prune_sign_in_tries(&mut self, before: Millis, most: i64) -> Result<()> {
        let oldest = sqlx::query(OLDEST_KEPT).bind(most).fetch_optional(self.connection()).await?;
        let oldest = oldest.map_or(Ok(0), |row| row.int("last_at"))?;
        sqlx::query("DELETE FROM sign_in_tries WHERE last_at < $1 OR last_at <= $2")
            .bind(before.0)
            .bind(oldest)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
