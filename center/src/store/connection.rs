//! A connection that reads, and a transaction that reads and writes. The queries of both stand beside their tables.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sqlx::{AnyConnection, AssertSqlSafe, SqlSafeStr};

use super::pool::{Lent, Pool, Transaction};
use super::{Backend, Changes, Commits, Observer, Result, Store, StoreError, Topic};
use crate::seal::Keyring;

/// May read. Has every reading query as a method.
pub struct Reader {
    pub(super) backend: Backend,
    pub(super) keys: Keyring,
    connection: Source,
    statements: Arc<AtomicU64>,
}

/// Where the queries of a reader go.
enum Source {
    Connection(Lent),
    Transaction(Transaction),
}

impl Reader {
    /// For one statement.
    pub(super) fn connection(&mut self) -> &mut AnyConnection {
        self.statements.fetch_add(1, Ordering::Relaxed);
        match &mut self.connection {
            Source::Connection(connection) => connection,
            Source::Transaction(transaction) => transaction,
        }
    }

    /// Everything that was asked for has been answered: gives the connection back for the next one to have at once. Where
    /// this is dropped instead, the connection is looked at first.
    pub fn done(self) {
        match self.connection {
            Source::Connection(connection) => connection.done(),
            // Of a writer: it is rolled back.
            Source::Transaction(_) => {}
        }
    }
}

/// May read and write; dropped without [`Writer::commit`] it leaves nothing behind.
pub struct Writer {
    reader: Reader,
    /// When it was asked for.
    begun: Instant,
    observer: Option<Arc<dyn Observer>>,
    commits: Arc<Commits>,
    changes: Changes,
    /// What this transaction changes, for those who wait for it.
    touched: BTreeSet<Topic>,
}

impl Deref for Writer {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl DerefMut for Writer {
    fn deref_mut(&mut self) -> &mut Reader {
        &mut self.reader
    }
}

impl Store {
    /// A connection to read with.
    pub async fn read(&self) -> Result<Reader> {
        let begun = Instant::now();
        let connection = self.readers.acquire().await.map_err(StoreError::unavailable)?;
        self.waited(begun);
        Ok(self.reader(Source::Connection(connection)))
    }

    /// A transaction.
    pub async fn write(&self) -> Result<Writer> {
        let begun = Instant::now();
        let transaction = self.begin(&self.writers).await?;
        self.waited(begun);
        Ok(self.writer(transaction, begun))
    }

    /// Until the value is dropped, no other center gives contents of packages their names or takes them away. Inside one
    /// process the caller takes care of that.
    pub async fn lock_naming(&self) -> Result<Option<Writer>> {
        self.lock_all("package_files_naming").await
    }

    /// Holds a lock of all centers; none: there is one center, and the caller takes care.
    pub(super) async fn lock_all(&self, table: &'static str) -> Result<Option<Writer>> {
        if self.backend == Backend::Sqlite {
            return Ok(None);
        }
        let mut writer = self.write().await?;
        writer.outlast().await?;
        writer.lock_table(table).await?;
        Ok(Some(writer))
    }

    /// A transaction that waits for no other one of this process: to say that the center is alive.
    pub async fn write_alive(&self) -> Result<Writer> {
        Ok(self.writer(self.begin(&self.beats).await?, Instant::now()))
    }

    async fn begin(&self, connections: &Pool) -> Result<Transaction> {
        let statement = match self.backend {
            // A deferred BEGIN would fail at its first write when another process writes.
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN",
        };
        connections.begin(statement.into_sql_str()).await.map_err(StoreError::unavailable)
    }

    fn writer(&self, transaction: Transaction, begun: Instant) -> Writer {
        Writer {
            reader: self.reader(Source::Transaction(transaction)),
            begun,
            observer: self.observer.clone(),
            commits: Arc::clone(&self.commits),
            changes: self.changes.clone(),
            touched: BTreeSet::new(),
        }
    }

    fn reader(&self, connection: Source) -> Reader {
        let (keys, statements) = (self.keys.clone(), Arc::clone(&self.statements));
        Reader { backend: self.backend, keys, connection, statements }
    }

    fn waited(&self, begun: Instant) {
        if let Some(observer) = &self.observer {
            observer.waited(begun.elapsed());
        }
    }
}

impl Writer {
    /// Makes what was written count: it is on the disk when this returns, and those who wait for it are woken.
    pub async fn commit(self) -> Result<()> {
        match self.reader.connection {
            Source::Transaction(transaction) => {
                transaction.commit().await.map_err(StoreError::unavailable)?
            }
            // A writer is made over a transaction only.
            Source::Connection(_) => {}
        }
        if let Some(observer) = &self.observer {
            observer.committed(self.begun.elapsed());
        }
        self.commits.one_more();
        self.changes.tell(&self.touched);
        Ok(())
    }

    /// Those who wait for `topic` are woken after the commit.
    pub(super) fn touch(&mut self, topic: Topic) {
        self.touched.insert(topic);
    }

    /// This transaction may be idle for some minutes, while others work under its lock.
    pub(super) async fn outlast(&mut self) -> Result<()> {
        if self.backend == Backend::Postgres {
            sqlx::query("SET LOCAL idle_in_transaction_session_timeout = '10min'")
                .execute(self.connection())
                .await?;
        }
        Ok(())
    }

    /// Makes two creations of the same kind wait for each other; SQLite's single writer does so by itself.
    pub(super) async fn lock_table(&mut self, table: &'static str) -> Result<()> {
        if self.backend == Backend::Postgres {
            // The name is one of ours, never a user's.
            let lock = AssertSqlSafe(format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"));
            sqlx::query(lock).execute(self.connection()).await?;
        }
        Ok(())
    }

    /// Appends an exclusive row lock, for PostgreSQL: SQLite's single writer needs none. New rows may refer to the locked
    /// one: a foreign key does not wait for it.
    pub(super) fn locked(&self, query: &'static str) -> AssertSqlSafe<String> {
        let lock = if self.backend == Backend::Postgres { " FOR NO KEY UPDATE" } else { "" };
        AssertSqlSafe(format!("{query}{lock}"))
    }

    /// The same lock, which passes over a row that another transaction has locked.
    pub(super) fn locked_if_free(&self, query: &'static str) -> AssertSqlSafe<String> {
        let lock = if self.backend == Backend::Postgres { " FOR NO KEY UPDATE SKIP LOCKED" } else { "" };
        AssertSqlSafe(format!("{query}{lock}"))
    }

    /// Appends a row lock under which nothing new can refer to the row, which is to be deleted.
    pub(super) fn locked_for_deletion(&self, query: &'static str) -> AssertSqlSafe<String> {
        let lock = if self.backend == Backend::Postgres { " FOR UPDATE" } else { "" };
        AssertSqlSafe(format!("{query}{lock}"))
    }

    /// Appends a row lock that many may have at the same time.
    pub(super) fn held(&self, query: &'static str) -> AssertSqlSafe<String> {
        let lock = if self.backend == Backend::Postgres { " FOR SHARE" } else { "" };
        AssertSqlSafe(format!("{query}{lock}"))
    }
}
