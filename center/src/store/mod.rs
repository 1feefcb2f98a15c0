//! SQL: the same queries on SQLite and PostgreSQL.
//!
//! [`Store::read`] gives a connection that can only look; [`Store::write`] gives a transaction that counts from its
//! `commit` on. Both have every query as a method. SQLite has one writer and four readers, PostgreSQL a pool of eight.

mod answers;
mod changes;
mod devices;
mod packages;
mod plans;
mod products;
mod search;
mod secrets;
mod snapshot;
mod upgrades;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::DerefMut;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use sqlx::any::{AnyPoolOptions, AnyRow};
use sqlx::pool::{PoolConnection, PoolConnectionMetadata};
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Connection, Executor, Row, Transaction};

use crate::metrics::{Count, Metrics};
use crate::seal::{Keyring, SealError};

pub use crate::rules::upgrade::{ComponentUpgrade, Upgrade};
pub use crate::rules::{DeviceId, PackageId, PlanId, UpgradeId};
pub use answers::UserConsent;
pub use changes::{Changes, Topic, Watch};
pub(crate) use devices::PUSH_SLOTS;
pub use devices::{Device, Reading, ReportedVersion, WasOwner};
pub use packages::{Digests, NewPackage, Package, PackageFile, PackageKind, PlanWithPackage};
pub use plans::{Mark, Plan};
pub use products::{Component, Product};
pub use search::{DeviceFilter, Found, PlanDevice, ReasonCount, Span, UpgradeFilter};
pub use secrets::Resealed;
pub use snapshot::snapshot;
pub use upgrades::{LogEntry, NewLogEntry};

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such thing.
    #[error("{what} {id:?} does not exist")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// By which name or number.
        id: String,
    },
    /// It contradicts what is there.
    #[error("{what} {id:?}: {reason}")]
    Conflict {
        /// What was to be written.
        what: &'static str,
        /// Its name or number.
        id: String,
        /// What stands against it, and what would be right.
        reason: String,
    },
    /// Trouble of the moment: the database is away, full, locked or overloaded. Trying again may help; a device must not
    /// take it for a refusal (DECISIONS.md "CONNACK").
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database cannot be used as it is.
    #[error("the database cannot be used: {0}")]
    Unusable(String),
    /// A secret cannot be opened.
    #[error(transparent)]
    Sealed(#[from] SealError),
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(self, StoreError::Unavailable(_))
    }

    pub(crate) fn missing(what: &'static str, id: impl Display) -> Self {
        StoreError::NotFound { what, id: id.to_string() }
    }

    pub(crate) fn conflict(what: &'static str, id: impl Display, reason: impl Into<String>) -> Self {
        StoreError::Conflict { what, id: id.to_string(), reason: reason.into() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            // A value that this version does not know: another version wrote it, or the file is damaged.
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
                StoreError::Unusable(error.to_string())
            }
            error => StoreError::Unavailable(error),
        }
    }
}

/// Result of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Which database stands behind a [`Store`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Sqlite,
    Postgres,
}

/// The center's memory.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Backend,
    keys: Keyring,
    readers: AnyPool,
    writers: AnyPool,
    changes: Changes,
    metrics: Metrics,
}

/// Connections that read at the same time from SQLite.
const SQLITE_READERS: u32 = 4;
/// Connections to PostgreSQL.
const POSTGRES_CONNECTIONS: u32 = 8;
/// Longest wait for a connection; then the database counts as not available.
const ACQUIRE_DEADLINE: Duration = Duration::from_secs(5);

impl Store {
    /// The SQLite file, made if it is not there. Every commit is on the disk when it returns (synchronous FULL).
    /// `keys` seal the secrets in it, and must open those that are there.
    pub async fn sqlite(file: &Path, keys: Keyring) -> Result<Self> {
        let path = file.to_str().filter(|path| !path.contains(['?', '#', '%'])).ok_or_else(|| {
            StoreError::Unusable(format!("{}: the path must be UTF-8 without ? # and %", file.display()))
        })?;
        let url = format!("sqlite://{path}?mode=rwc");
        let pool = |connections| sqlite_pool(connections).before_acquire(drop_stuck).connect_lazy(&url);
        let (readers, writers) = (pool(SQLITE_READERS)?, pool(1)?);
        let store = Store {
            backend: Backend::Sqlite,
            keys,
            readers,
            writers,
            changes: Changes::default(),
            metrics: Metrics::default(),
        };
        store.migrate().await?;
        store.check_keys().await?;
        Ok(store)
    }

    /// A database that lives as long as this value, with a key of its own: for tests. It has one connection, so hold one
    /// at a time.
    pub async fn in_memory() -> Result<Self> {
        let pool = sqlite_pool(1).idle_timeout(None).max_lifetime(None).connect("sqlite::memory:").await?;
        let (readers, changes, keys) = (pool.clone(), Changes::default(), Keyring::made());
        let store = Store {
            backend: Backend::Sqlite,
            keys,
            readers,
            writers: pool,
            changes,
            metrics: Metrics::default(),
        };
        store.migrate().await?;
        Ok(store)
    }

    /// The database at `url`: `sqlite://FILE` or `postgres://...`. `keys` seal the secrets in it, and must open those
    /// that are there.
    pub async fn connect(url: &str, keys: Keyring) -> Result<Self> {
        if let Some(file) = url.strip_prefix("sqlite://") {
            return Self::sqlite(Path::new(file), keys).await;
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            // The URL may hold a password: only its scheme is shown.
            let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
            return Err(StoreError::Unusable(format!(
                "the database URL begins with {scheme:?}; postgres:// and sqlite:// are known"
            )));
        }
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(POSTGRES_CONNECTIONS)
            .acquire_timeout(ACQUIRE_DEADLINE)
            .test_before_acquire(false)
            .connect(url)
            .await?;
        let (readers, changes) = (pool.clone(), Changes::default());
        let store = Store {
            backend: Backend::Postgres,
            keys,
            readers,
            writers: pool,
            changes,
            metrics: Metrics::default(),
        };
        store.migrate().await?;
        store.check_keys().await?;
        Ok(store)
    }

    async fn migrate(&self) -> Result<()> {
        let migrator = match self.backend {
            Backend::Sqlite => sqlx::migrate!("migrations/sqlite"),
            Backend::Postgres => sqlx::migrate!("migrations/postgres"),
        };
        migrator.run(&self.writers).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => StoreError::from(error),
            error => StoreError::Unusable(error.to_string()),
        })
    }

    /// A connection to look with.
    pub async fn read(&self) -> Result<Reader> {
        let begun = Instant::now();
        let connection = self.readers.acquire().await?;
        self.metrics.store_wait(begun.elapsed());
        Ok(self.queries(connection, begun))
    }

    /// A transaction; dropped without [`Writer::commit`] it leaves nothing behind.
    pub async fn write(&self) -> Result<Writer> {
        let begun = Instant::now();
        let connection = match self.backend {
            // A deferred BEGIN would fail at its first write when another process writes.
            Backend::Sqlite => self.writers.begin_with("BEGIN IMMEDIATE").await?,
            Backend::Postgres => self.writers.begin().await?,
        };
        self.metrics.store_wait(begun.elapsed());
        Ok(self.queries(connection, begun))
    }

    fn queries<C>(&self, connection: C, begun: Instant) -> Queries<C> {
        let (changes, touched, counts) = (self.changes.clone(), BTreeSet::new(), Vec::new());
        Queries {
            backend: self.backend,
            keys: self.keys.clone(),
            metrics: self.metrics.clone(),
            begun,
            connection,
            changes,
            touched,
            counts,
        }
    }

    /// Waits for what this process commits about `topic`.
    pub fn watch(&self, topic: Topic) -> Watch {
        self.changes.watch(topic)
    }

    /// After how long who waits for a change looks by himself: other centers may write to PostgreSQL, nobody else to the
    /// SQLite file.
    pub fn look_again(&self) -> Duration {
        match self.backend {
            Backend::Sqlite => Duration::from_secs(30),
            Backend::Postgres => Duration::from_secs(3),
        }
    }

    /// The figures of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Closes every connection; what was committed stays.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

/// Closes a connection that is still in a transaction. After a COMMIT that failed (disk full) SQLite has rolled back by
/// itself, the driver's own ROLLBACK then fails, and from there on it refuses every BEGIN on that connection.
fn drop_stuck(
    connection: &mut AnyConnection,
    _: PoolConnectionMetadata,
) -> Pin<Box<dyn Future<Output = sqlx::Result<bool>> + Send + '_>> {
    Box::pin(async move {
        if connection.is_in_transaction() {
            // A rollback may be under way: the answer to a ping comes after it.
            connection.ping().await?;
        }
        Ok(!connection.is_in_transaction())
    })
}

fn sqlite_pool(connections: u32) -> AnyPoolOptions {
    sqlx::any::install_default_drivers();
    AnyPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_DEADLINE)
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection
                    .execute(
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; \
                         PRAGMA foreign_keys = ON;",
                    )
                    .await?;
                Ok(())
            })
        })
}

/// Every query, over a connection that may read, and over a transaction that may also write.
pub struct Queries<C> {
    backend: Backend,
    keys: Keyring,
    metrics: Metrics,
    /// When it was asked for.
    begun: Instant,
    connection: C,
    changes: Changes,
    /// What this transaction changes, for those who wait for it.
    touched: BTreeSet<Topic>,
    /// What it counts.
    counts: Vec<Count>,
}

/// May read.
pub type Reader = Queries<PoolConnection<Any>>;
/// May read and write.
pub type Writer = Queries<Transaction<'static, Any>>;

impl Writer {
    /// From here on it counts.
    pub async fn commit(self) -> Result<()> {
        self.connection.commit().await?;
        self.metrics.store_write(self.begun.elapsed());
        for count in self.counts {
            self.metrics.committed(count);
        }
        self.changes.tell(&self.touched);
        Ok(())
    }

    /// Counts it with the commit.
    pub(crate) fn count(&mut self, count: Count) {
        self.counts.push(count);
    }

    /// Who waits for `topic` hears of it after the commit.
    fn touch(&mut self, topic: Topic) {
        self.touched.insert(topic);
    }

    /// Makes two creations of the same kind wait for each other; SQLite's single writer does so by itself.
    async fn lock_table(&mut self, table: &'static str) -> Result<()> {
        if self.backend == Backend::Postgres {
            // The name is one of ours, never a user's.
            let lock = AssertSqlSafe(format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"));
            sqlx::query(lock).execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    /// Appends a row lock of one owner, for PostgreSQL: SQLite's single writer needs none.
    fn locked(&self, query: &'static str) -> AssertSqlSafe<String> {
        let lock = if self.backend == Backend::Postgres { " FOR UPDATE" } else { "" };
        AssertSqlSafe(format!("{query}{lock}"))
    }

    /// Appends a row lock that many may have at the same time.
    fn held(&self, query: &'static str) -> AssertSqlSafe<String> {
        let lock = if self.backend == Backend::Postgres { " FOR SHARE" } else { "" };
        AssertSqlSafe(format!("{query}{lock}"))
    }
}

impl<C: DerefMut<Target = AnyConnection> + Send> Queries<C> {
    fn connection(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

/// One page of a list, by keyset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Give it as `after` to get the next page; none: this is the last one.
    pub next: Option<i64>,
}

/// Rows of a page at most.
pub const PAGE_MAX: i64 = 1_000;

impl<T> Page<T> {
    /// Cuts `rows`, read with one more than `limit`, to a page.
    fn of(mut rows: Vec<T>, limit: i64, id: impl Fn(&T) -> i64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = if more { rows.last().map(id) } else { None };
        Page { rows, next }
    }
}

/// How a row is read: columns by name, into types that hold their rules.
trait Columns {
    fn int(&self, column: &'static str) -> Result<i64>;
    fn maybe_int(&self, column: &'static str) -> Result<Option<i64>>;
    fn text(&self, column: &'static str) -> Result<String>;
    fn maybe_text(&self, column: &'static str) -> Result<Option<String>>;

    /// A text that obeys the rule of its type.
    fn word<T: std::str::FromStr<Err: Display>>(&self, column: &'static str) -> Result<T> {
        let text = self.text(column)?;
        text.parse().map_err(|error| StoreError::Unusable(format!("column {column}: {error}")))
    }

    fn maybe_word<T: std::str::FromStr<Err: Display>>(&self, column: &'static str) -> Result<Option<T>> {
        self.maybe_text(column)?
            .map(|text| {
                text.parse().map_err(|error| StoreError::Unusable(format!("column {column}: {error}")))
            })
            .transpose()
    }

    /// A whole number in the range of its type.
    fn number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        let value = self.int(column)?;
        T::try_from(value)
            .map_err(|_| StoreError::Unusable(format!("column {column}: {value} is out of its range")))
    }

    fn maybe_number<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>> {
        self.maybe_int(column)?
            .map(|value| {
                T::try_from(value).map_err(|_| {
                    StoreError::Unusable(format!("column {column}: {value} is out of its range"))
                })
            })
            .transpose()
    }
}

impl Columns for AnyRow {
    fn int(&self, column: &'static str) -> Result<i64> {
        Ok(self.try_get(column)?)
    }

    fn maybe_int(&self, column: &'static str) -> Result<Option<i64>> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: &'static str) -> Result<String> {
        Ok(self.try_get(column)?)
    }

    fn maybe_text(&self, column: &'static str) -> Result<Option<String>> {
        Ok(self.try_get(column)?)
    }
}

/// Whether the error says that a key is there already.
fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plans of SQLite; PostgreSQL has the same indexes.
    #[tokio::test]
    async fn every_query_of_the_scheduler_has_its_index() {
        let store = Store::in_memory().await.unwrap();
        let mut reader = store.read().await.unwrap();
        let queries = [
            devices::DEVICE_BY_CLIENT_ID,
            devices::ONLINE_IN_SLOTS,
            devices::COUNT_DEVICES,
            devices::DEVICES_BY_SLOT,
            devices::DEVICES,
            devices::SESSIONS_OF,
            answers::FIND_ANSWER,
            answers::NEXT_OPENING,
            answers::LOOKS_DUE,
            packages::WORKING,
            packages::PLANS_WITH,
            plans::OFFERED_PLANS,
            plans::ACTIVE_PLANS,
            plans::IN_FLIGHT,
            plans::UNANSWERED,
            plans::LAST_STARTS,
            plans::FINISHED,
            plans::STARTED,
            plans::RUNNING_PLANS,
            plans::OVERLAPS,
            plans::IS_LISTED,
            upgrades::OPEN_UPGRADES,
            upgrades::FIND_UPGRADE,
            upgrades::PLAN_FIGURES,
            upgrades::LEASES_OVER,
            upgrades::OFFERS_DUE,
            upgrades::EXTEND_LEASES,
            upgrades::PLAN_UPGRADES_IN,
            upgrades::VERIFICATIONS,
            upgrades::LAST_VERIFICATION,
            upgrades::VERDICT,
            upgrades::RUNNING_VERIFICATION,
            upgrades::DEADLINES_OVER,
            upgrades::EXTEND_DEADLINES,
            upgrades::REPEAT_LOG,
            upgrades::ALL_IN_FLIGHT,
            upgrades::FORGET_LOG,
            search::PLAN_REASONS,
            search::DEVICE_LOG_BEFORE,
            secrets::NEXT_PRODUCT_KEY,
            secrets::NEXT_DEVICE_KEY,
            secrets::PRODUCTS_BELOW,
            secrets::PRODUCTS_ABOVE,
            secrets::DEVICES_BELOW,
            secrets::DEVICES_ABOVE,
            upgrades::LOG_AFTER,
            upgrades::LAST_LINE,
        ];
        for query in queries {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
            let rows = sqlx::query(explain).fetch_all(reader.connection()).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
            assert!(!steps.iter().any(|step| step.starts_with("SCAN")), "{query}\n{steps:#?}");
            assert!(steps.iter().any(|step| step.starts_with("SEARCH")), "{query}\n{steps:#?}");
        }
    }
}
