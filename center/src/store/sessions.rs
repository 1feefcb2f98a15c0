//! Browsers that signed in. Only the digest of their cookie is here.

use super::accounts::account;
use super::{Account, Columns, Reader, Result, Writer};
use crate::clock::Millis;
use crate::rules::AccountName;

/// A session and whose it is.
#[derive(Debug, Clone)]
pub struct StoredSession {
    /// Whose.
    pub account: Account,
    /// When they signed in.
    pub begun: Millis,
    /// Last request, but for the last minute.
    pub seen: Millis,
}

const FIND: &str = "SELECT accounts.*, sessions.created_at AS begun_at, sessions.seen_at AS seen_at \
                    FROM sessions JOIN accounts ON accounts.name = sessions.account WHERE sessions.digest = $1";

impl Reader {
    /// The session whose cookie has this digest.
    pub async fn find_session(&mut self, digest: &str) -> Result<Option<StoredSession>> {
        let row = sqlx::query(FIND).bind(digest).fetch_optional(self.connection()).await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(StoredSession {
            account: account(&row)?,
            begun: Millis(row.int("begun_at")?),
            seen: Millis(row.int("seen_at")?),
        }))
    }
}

impl Writer {
    /// Begins a session.
    pub async fn begin_session(
        &mut self,
        digest: &str,
        account: &AccountName,
        address: &str,
        now: Millis,
    ) -> Result<()> {
        sqlx::query(
            "INSERT INTO sessions (digest, account, address, created_at, seen_at) VALUES ($1, $2, $3, $4, $4)",
        )
        .bind(digest)
        .bind(account.as_str())
        .bind(address)
        .bind(now.0)
        .execute(self.connection())
        .await?;
        self.signed_in(account, now).await
    }

    /// The session is in use.
    pub async fn see_session(&mut self, digest: &str, now: Millis) -> Result<()> {
        sqlx::query("UPDATE sessions SET seen_at = $2 WHERE digest = $1 AND seen_at < $2")
            .bind(digest)
            .bind(now.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Ends a session.
    pub async fn end_session(&mut self, digest: &str) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE digest = $1").bind(digest).execute(self.connection()).await?;
        Ok(())
    }

    /// Ends every session of an account.
    pub async fn end_sessions_of(&mut self, account: &AccountName) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE account = $1")
            .bind(account.as_str())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Forgets sessions that nobody used since `before`; they have no effect any more.
    pub async fn forget_sessions(&mut self, before: Millis) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE seen_at < $1")
            .bind(before.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
