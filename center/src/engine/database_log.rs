//! The length of the database's own log.

use super::{Engine, Result};

/// From so many bytes on the log is written back when nobody reads it. SQLite alone keeps it at 4 MB, but for what was
/// written during a long read.
const LONG: u64 = 32 * 1024 * 1024;
/// So many bytes stand in the center's log.
const NAMED: u64 = 256 * 1024 * 1024;

impl Engine {
    /// Keeps the write-ahead log of SQLite short and PostgreSQL's rows of counts few, and counts the log's bytes. Says whether it is so long that somebody should know.
    pub async fn tend_database_log(&self) -> Result<Option<u64>> {
        if self.is_shared() {
            let mut store = self.begin().await?;
            store.merge_counts().await?;
            store.commit().await?;
        }
        let Some(before) = self.store.log_bytes() else { return Ok(None) };
        if before > LONG {
            self.store.truncate_log().await?;
        }
        let bytes = self.store.log_bytes().unwrap_or(0);
        self.metrics.store_log(bytes);
        Ok(Some(bytes).filter(|bytes| *bytes > NAMED))
    }
}
