//! What database it is.

use super::{Backend, Columns, Reader, Result};

/// The database, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseFacts {
    /// Its program and version: `SQLite 3.50.2`.
    pub program: String,
    /// The last migration of its tables.
    pub tables: i64,
}

impl Reader {
    /// What database it is.
    pub async fn database_facts(&mut self) -> Result<DatabaseFacts> {
        let (name, query) = match self.backend {
            Backend::Sqlite => ("SQLite", "SELECT sqlite_version() AS version"),
            Backend::Postgres => ("PostgreSQL", "SELECT current_setting('server_version') AS version"),
        };
        let version = sqlx::query(query).fetch_one(self.connection()).await?.text("version")?;
        let tables = sqlx::query("SELECT MAX(version) AS tables FROM _sqlx_migrations WHERE success = TRUE")
            .fetch_one(self.connection())
            .await?
            .int("tables")?;
        Ok(DatabaseFacts { program: format!("{name} {version}"), tables })
    }
}
