//! A copy of a SQLite database that is in use.

use std::path::Path;

use sqlx::{AnyConnection, Connection, Executor};

use super::{Columns, Result, StoreError};

/// Writes the database in `file` as it is at one instant to `into`, which must not be there, and says which contents of
/// the object store its packages have: their places, and their SHA-256 in hexadecimal digits. A center may serve meanwhile.
pub async fn snapshot(file: &Path, into: &Path) -> Result<Vec<(String, String)>> {
    sqlx::any::install_default_drivers();
    let target =
        into.to_str().ok_or_else(|| StoreError::Unusable(format!("{} is not UTF-8", into.display())))?;
    let mut connection = AnyConnection::connect(&format!("sqlite://{}?mode=rw", file.display())).await?;
    connection.execute("PRAGMA busy_timeout = 5000").await?;
    sqlx::query("VACUUM INTO $1").bind(target).execute(&mut connection).await?;
    connection.close().await?;
    let mut copy = AnyConnection::connect(&format!("sqlite://{target}?mode=rw")).await?;
    let rows = sqlx::query("SELECT DISTINCT object_key, sha256 FROM package_files ORDER BY object_key")
        .fetch_all(&mut copy)
        .await?;
    copy.close().await?;
    rows.iter().map(|row| Ok((row.text("object_key")?, row.text("sha256")?))).collect()
}
