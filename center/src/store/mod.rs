//! SQL: the same queries on SQLite and PostgreSQL.
//!
//! [`Store::read`] gives a connection that can only look; [`Store::write`] gives a transaction that counts from its
//! `commit` on. Both have every query as a method. SQLite has one writer and four readers, PostgreSQL a pool of eight.

mod access_tokens;
mod accounts;
mod audit;
mod centers;
mod changes;
mod connection;
mod consents;
mod database_facts;
mod device_records;
mod device_search;
mod device_sets;
mod devices;
mod due;
mod error;
mod fleet;
mod kept_answers;
mod log;
mod packages;
mod page;
mod plan_changes;
mod plan_counts;
mod plan_devices;
mod plan_endings;
mod plan_history;
mod plan_lists;
mod plans;
mod pool;
mod product_secrets;
mod products;
mod push;
mod row;
mod secrets;
mod select;
mod sessions;
mod sign_in_tries;
mod snapshot;
mod upgrades;
mod url_keys;
mod verifications;
mod wakeups;
mod webhooks;
mod write_ahead_log;

use std::fmt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::{AnyConnection, Connection, Executor};

use crate::planted::Bug;
use crate::seal::Keyring;

pub use crate::rules::device::ReportedVersion;
pub use crate::rules::upgrade::{ComponentUpgrade, Upgrade};
pub use crate::rules::{DeviceId, PackageId, PlanId, UpgradeId};
pub use access_tokens::{AccessToken, Grant, NewToken};
pub use accounts::{Account, NewAccount};
pub use centers::{CenterRow, Holder, Sessions};
pub use changes::{Changes, Topic, Watch};
pub use connection::{Reader, Writer};
pub use consents::UserConsent;
pub use database_facts::DatabaseFacts;
pub use device_records::{DeviceRecord, LastLine, PlanVersion};
pub use device_search::{DeviceFilter, ExportedDevice, Found};
pub use device_sets::{AddedLine, DeviceChange};
pub(crate) use devices::PUSH_SLOTS;
pub use devices::{Device, Reading, WasOwner};
pub use due::Outlook;
pub use error::{DatabaseError, Result, StoreError};
pub use fleet::{FailureCount, VersionCount};
pub use kept_answers::KeptAnswer;
pub use log::{LogEntry, NewLogEntry};
pub use packages::{Digests, NewPackage, Package, PackageFile, PackageKind, PlanWithPackage};
pub use page::{PAGE_MAX, Page};
pub use plan_changes::PlanChange;
pub use plan_counts::PlanTotals;
pub use plan_devices::{PlanDevice, ReasonCount, ReasonPlace, UpgradeFilter};
pub use plan_endings::PlanEnding;
pub use plan_history::PlanHistory;
pub use plans::Plan;
pub use product_secrets::ReplacedSecret;
pub use products::{Component, Product};
pub use push::{Mark, PushedPart, PushedTo};
pub use secrets::Resealed;
pub use select::Span;
pub use sessions::StoredSession;
pub use sign_in_tries::SignInTries;
pub use snapshot::snapshot;
pub use wakeups::Wakeups;
pub use webhooks::{Announcement, Delivery, NewWebhook, Webhook};

use changes::Commits;
use error::{is_duplicate, is_outdated};
use pool::Pool;
use row::Columns;
use wakeups::NotifyUrl;

/// Which database stands behind a [`Store`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Sqlite,
    Postgres,
}

/// The center's database. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    backend: Backend,
    keys: Keyring,
    readers: Pool,
    writers: Pool,
    /// A connection of its own for what must never wait for the others.
    beats: Pool,
    notify_url: Option<NotifyUrl>,
    /// SQLite's write-ahead log.
    log_file: Option<PathBuf>,
    commits: Arc<Commits>,
    changes: Changes,
    observer: Option<Arc<dyn Observer>>,
    statements: Arc<AtomicU64>,
}

/// Is told how long the store takes.
pub trait Observer: fmt::Debug + Send + Sync {
    /// A reader or writer got its connection after this time.
    fn waited(&self, time: Duration);
    /// A transaction was committed this long after it was asked for.
    fn committed(&self, time: Duration);
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
        let (readers, writers) = (Pool::local(pool(SQLITE_READERS)?), Pool::local(pool(1)?));
        let store = Store {
            backend: Backend::Sqlite,
            keys,
            readers,
            beats: writers.clone(),
            writers,
            notify_url: None,
            log_file: Some(PathBuf::from(format!("{path}-wal"))),
            commits: Arc::default(),
            changes: Changes::default(),
            observer: None,
            statements: Arc::default(),
        };
        store.migrate().await?;
        store.check_keys().await?;
        Ok(store)
    }

    /// A database that lives as long as this value, with a key of its own: for tests. It has one connection, so hold one
    /// at a time.
    pub async fn in_memory() -> Result<Self> {
        let pool = sqlite_pool(1).idle_timeout(None).max_lifetime(None).connect("sqlite::memory:").await?;
        let pool = Pool::local(pool);
        let (readers, changes, keys) = (pool.clone(), Changes::default(), Keyring::made());
        let store = Store {
            backend: Backend::Sqlite,
            keys,
            readers,
            beats: pool.clone(),
            writers: pool,
            notify_url: None,
            log_file: None,
            commits: Arc::default(),
            changes,
            observer: None,
            statements: Arc::default(),
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
        let options = |connections| {
            AnyPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_DEADLINE)
                .test_before_acquire(false)
                // PostgreSQL refuses a prepared statement for ever once a newer center has given its table a column.
                .before_acquire(|_, connection| Box::pin(async move { Ok(!is_outdated(connection.age)) }))
                .after_connect(|connection, _| {
                    Box::pin(async move {
                        // A center that is cut off must not hold its locks until its connection is found to be dead.
                        connection.execute("SET idle_in_transaction_session_timeout = '10s'").await?;
                        Ok(())
                    })
                })
        };
        let pool = match options(POSTGRES_CONNECTIONS).connect(url).await {
            // A pool says only that it has waited.
            Err(sqlx::Error::PoolTimedOut) => {
                let alone = AnyConnection::connect(url).await;
                return Err(StoreError::unavailable(alone.err().unwrap_or(sqlx::Error::PoolTimedOut)));
            }
            pool => Pool::remote(pool?),
        };
        let store = Store {
            backend: Backend::Postgres,
            keys,
            readers: pool.clone(),
            writers: pool,
            beats: Pool::remote(options(1).connect_lazy(url)?),
            notify_url: Some(NotifyUrl(url.to_owned())),
            log_file: None,
            commits: Arc::default(),
            changes: Changes::default(),
            observer: None,
            statements: Arc::default(),
        };
        store.migrate().await?;
        store.check_keys().await?;
        Ok(store)
    }

    async fn migrate(&self) -> Result<()> {
        let migrator = match self.backend {
            Backend::Sqlite => sqlx::migrate!("migrations/sqlite"),
            Backend::Postgres => {
                let mut migrator = sqlx::migrate!("migrations/postgres");
                // A later version may have begun to work beside this one; its changes only add.
                migrator.set_ignore_missing(true);
                migrator
            }
        };
        migrator.run(self.writers.tested()).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => StoreError::from(error),
            error => StoreError::Unusable(error.to_string()),
        })
    }

    /// Whether the database has everything that this version needs.
    pub async fn check_migrations(&self) -> Result<()> {
        let migrator = match self.backend {
            Backend::Sqlite => sqlx::migrate!("migrations/sqlite"),
            Backend::Postgres => sqlx::migrate!("migrations/postgres"),
        };
        let mut reader = self.read().await?;
        let query = "SELECT version FROM _sqlx_migrations WHERE success = TRUE";
        let rows = sqlx::query(query).fetch_all(reader.connection()).await?;
        let done: Vec<i64> = rows.iter().map(|row| row.int("version")).collect::<Result<_>>()?;
        match migrator.iter().find(|migration| !done.contains(&migration.version)) {
            None => Ok(()),
            Some(missing) => Err(StoreError::Unusable(format!("migration {} is not done", missing.version))),
        }
    }

    /// Waits for what this process commits about `topic`.
    pub fn watch(&self, topic: Topic) -> Watch {
        self.changes.watch(topic)
    }

    /// How often this process has committed.
    pub fn commits(&self) -> u64 {
        self.commits.count()
    }

    /// Returns once this process has committed more often than that.
    pub async fn until_commit(&self, count: u64) {
        self.commits.until_more_than(count).await;
    }

    /// Longest time between two looks of a task that waits for a change: other centers may write to PostgreSQL, nobody else
    /// to the SQLite file.
    pub fn look_again(&self) -> Duration {
        match self.backend {
            Backend::Sqlite => Duration::from_secs(30),
            Backend::Postgres => Duration::from_secs(3),
        }
    }

    /// The same store, which tells `observer` how long it takes.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn Observer>) -> Self {
        Store { observer: Some(observer), ..self }
    }

    /// Statements that this store has sent to the database so far, without the begin and the end of transactions.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }

    /// Closes every connection; what was committed stays.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
        self.beats.close().await;
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
                // Written back at 16 MB instead of 4: pages that change often are written back less often.
                connection
                    .execute(
                        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000; \
                         PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 4000;",
                    )
                    .await?;
                if Bug::SynchronousOff.is_planted() {
                    connection.execute("PRAGMA synchronous = OFF").await?;
                }
                Ok(())
            })
        })
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;

    #[tokio::test]
    async fn a_postgresql_that_refuses_is_said_to_refuse() {
        let url = "postgres://quecota:hidden@127.0.0.1:1/quecota";
        let said = Store::connect(url, Keyring::made()).await.err().unwrap().to_string();
        assert!(said.contains("Connection refused") && !said.contains("hidden"), "{said}");
    }

    #[tokio::test]
    async fn sqlite_is_built_and_opened_as_it_is_measured() {
        let store = Store::in_memory().await.unwrap();
        let mut reader = store.read().await.unwrap();
        let rows = sqlx::query("PRAGMA compile_options").fetch_all(reader.connection()).await.unwrap();
        let options: Vec<String> = rows.iter().map(|row| row.text("compile_options").unwrap()).collect();
        let has = |wanted: &str| options.iter().any(|option| option.starts_with(wanted));
        // Of the flags in .cargo/config.toml: a counter that all connections share costs a tenth of their time.
        assert!(has("DEFAULT_MEMSTATUS=0"), "{options:?}");
        for without in ["ENABLE_MEMORY_MANAGEMENT", "ENABLE_FTS3", "ENABLE_FTS5", "ENABLE_RTREE"] {
            assert!(!has(without), "{options:?}");
        }
        let row = sqlx::query("PRAGMA wal_autocheckpoint").fetch_one(reader.connection()).await.unwrap();
        assert_eq!(row.int("wal_autocheckpoint").unwrap(), 4_000, "pages");
    }

    /// Plans of SQLite; PostgreSQL has the same indexes.
    #[tokio::test]
    async fn every_query_of_the_scheduler_has_its_index() {
        let store = Store::in_memory().await.unwrap();
        let mut reader = store.read().await.unwrap();
        let queries = [
            devices::DEVICES_BY_CLIENT_ID,
            push::pushed_to(Backend::Sqlite),
            due::outlook(true),
            due::outlook(false),
            devices::COUNT_ONLINE,
            devices::COUNT_ALL,
            devices::DEVICES_BY_SLOT,
            devices::DEVICE_IDS_BY_SLOT,
            devices::DEVICES_WITH_KEYS,
            devices::DEVICES,
            centers::SESSIONS_OF,
            centers::ALL_SESSIONS,
            centers::CLEAR_SESSIONS_OF,
            centers::CLEAR_ALL_SESSIONS,
            centers::TAKEN_OVER,
            consents::FIND_ANSWER,
            consents::NEXT_OPENING,
            due::RECHECKS_DUE,
            packages::WORKING,
            packages::PLANS_WITH,
            packages::SAME_TARGET,
            plans::OFFERED_PLANS,
            plans::ACTIVE_PLANS,
            plan_counts::IN_FLIGHT,
            plan_counts::UNANSWERED,
            plan_counts::LAST_STARTS,
            plan_counts::FINISHED,
            plan_counts::STARTED,
            plan_counts::TOTALS,
            plans::RUNNING_PLANS,
            plans::OVERLAPS,
            plans::PLAN_COMPONENTS,
            plan_lists::IS_LISTED,
            device_records::records(Backend::Sqlite),
            device_records::LISTED,
            upgrades::COMPONENTS,
            upgrades::UPGRADES,
            upgrades::OPEN_UPGRADES,
            upgrades::FIND_UPGRADE,
            upgrades::PLAN_FIGURES,
            due::LEASES_OVER,
            due::OFFERS_DUE,
            due::EXTEND_LEASES,
            due::EXTEND_OWN_LEASES,
            due::EXTEND_OWN_DEADLINES,
            upgrades::PLAN_UPGRADES_IN,
            verifications::VERIFICATIONS,
            verifications::LAST_VERIFICATION,
            verifications::VERDICT,
            verifications::RUNNING_VERIFICATION,
            due::DEADLINES_OVER,
            due::EXTEND_DEADLINES,
            log::REPEAT_LOG,
            log::SUMMARY,
            log::ADD_TO_SUMMARY,
            upgrades::ALL_IN_FLIGHT,
            log::PRUNE_LOG,
            plan_devices::PLAN_REASONS,
            plan_endings::ENDED_BY_PLAN,
            plan_endings::NEXT_PART,
            plan_endings::NEXT_DEVICES,
            plan_endings::unreached(Backend::Sqlite),
            due::OFFERS_OVERDUE,
            log::DEVICE_LOG_BEFORE,
            secrets::NEXT_PRODUCT_KEY,
            secrets::NEXT_DEVICE_KEY,
            secrets::PRODUCTS_BELOW,
            secrets::PRODUCTS_ABOVE,
            secrets::DEVICES_BELOW,
            secrets::DEVICES_ABOVE,
            secrets::NEXT_REPLACED_KEY,
            secrets::REPLACED_BELOW,
            secrets::REPLACED_ABOVE,
            product_secrets::REPLACED_SECRETS,
            log::LOG_AFTER,
            log::LAST_LINE,
            log::LAST_LINES,
            upgrades::DEVICE_UPGRADES,
            upgrades::LAST_DEVICE_UPGRADES,
            plan_changes::PLAN_CHANGES,
            plan_history::HISTORY,
            fleet::FAILURES,
            fleet::MODULE_VERSIONS,
            fleet::MCU_VERSIONS,
            fleet::FAILED_VERIFICATIONS,
            fleet::FAILED_FOR,
            fleet::TAKEN_OVER,
            webhooks::DELIVERIES,
            webhooks::DELIVERIES_IN,
            webhooks::SURPLUS,
            sign_in_tries::OLDEST_KEPT,
        ];
        for query in queries {
            let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
            let rows = sqlx::query(explain).fetch_all(reader.connection()).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
            // What is bound, the products with a running plan, the ends that are being written, and no table at all.
            let small =
                ["SCAN json_each", "SCAN running", "SCAN part", "SCAN plan_endings", "SCAN CONSTANT ROW"];
            let scans = |step: &String| {
                step.starts_with("SCAN") && !small.iter().any(|small| step.starts_with(small))
            };
            assert!(!steps.iter().any(scans), "{query}\n{steps:#?}");
            assert!(steps.iter().any(|step| step.starts_with("SEARCH")), "{query}\n{steps:#?}");
        }
    }
}
