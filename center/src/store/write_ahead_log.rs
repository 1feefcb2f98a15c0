//! SQLite's write-ahead log: whatever reads for a long time keeps it from being written back, and it stays as long as it was.

use sqlx::Executor;

use super::{Result, Store, StoreError};

impl Store {
    /// How many bytes the write-ahead log has on the disk; none: the database has none of ours.
    pub fn log_bytes(&self) -> Option<u64> {
        let file = self.log_file.as_ref()?;
        // It comes with the first write.
        Some(std::fs::metadata(file).map_or(0, |about| about.len()))
    }

    /// Writes the log back into the database and gives its room on the disk back, unless somebody is reading what is only in
    /// there. Nobody is waited for.
    pub async fn truncate_log(&self) -> Result<()> {
        let mut connection = self.writers.acquire().await.map_err(StoreError::unavailable)?;
        let truncated = connection.execute("PRAGMA busy_timeout = 0; PRAGMA wal_checkpoint(TRUNCATE);").await;
        connection.execute("PRAGMA busy_timeout = 5000").await?;
        truncated?;
        Ok(())
    }
}
