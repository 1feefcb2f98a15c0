//! The connections of a database.
//!
//! sqlx has each connection that comes back tested by a task of its own, while the next one waits for it: some hand-overs
//! between threads for each read. SQLite is in this process, so a connection whose work ended well goes to the next one as
//! it is.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, Database, SqlStr};
use sqlx_core::transaction::TransactionManager;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::ACQUIRE_DEADLINE;

type Transactions = <Any as Database>::TransactionManager;

/// Connections. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    tested: AnyPool,
    /// None: all of them are tested when they come back.
    untested: Option<Arc<Untested>>,
}

/// Connections whose work ended well, for the next ones.
#[derive(Debug)]
struct Untested {
    /// As many as there are connections.
    places: Arc<Semaphore>,
    free: Mutex<Vec<PoolConnection<Any>>>,
}

impl Untested {
    fn free(&self) -> MutexGuard<'_, Vec<PoolConnection<Any>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// Connections over a network, which are tested when they come back.
    pub(super) fn remote(tested: AnyPool) -> Self {
        Pool { tested, untested: None }
    }

    /// Connections to a file.
    pub(super) fn local(tested: AnyPool) -> Self {
        let connections = usize::try_from(tested.options().get_max_connections()).unwrap_or(usize::MAX);
        let places = Arc::new(Semaphore::new(connections));
        Pool { tested, untested: Some(Arc::new(Untested { places, free: Mutex::default() })) }
    }

    /// The connections themselves.
    pub(super) fn tested(&self) -> &AnyPool {
        &self.tested
    }

    /// A connection, once one is free.
    pub(super) async fn acquire(&self) -> sqlx::Result<Lent> {
        let Some(untested) = &self.untested else {
            return Ok(Lent { connection: Some(self.tested.acquire().await?), home: None, is_well: false });
        };
        let place = timeout(ACQUIRE_DEADLINE, Arc::clone(&untested.places).acquire_owned()).await;
        let place = place.map_err(|_| sqlx::Error::PoolTimedOut)?.map_err(|_| sqlx::Error::PoolClosed)?;
        let free = untested.free().pop();
        let connection = match free {
            Some(free) => free,
            None => self.tested.acquire().await?,
        };
        let home = Some((Arc::clone(untested), place));
        Ok(Lent { connection: Some(connection), home, is_well: false })
    }

    /// A transaction that `statement` begins.
    pub(super) async fn begin(&self, statement: SqlStr) -> sqlx::Result<Transaction> {
        let mut transaction = Transaction { lent: self.acquire().await?, is_open: true };
        Transactions::begin(&mut transaction.lent, Some(statement)).await?;
        Ok(transaction)
    }

    /// Closes all of them, as they come back.
    pub(super) async fn close(&self) {
        if let Some(untested) = &self.untested {
            untested.places.close();
            untested.free().clear();
        }
        self.tested.close().await;
    }
}

/// A connection until this is dropped.
pub(super) struct Lent {
    /// Taken when this is dropped, and not before.
    connection: Option<PoolConnection<Any>>,
    home: Option<(Arc<Untested>, OwnedSemaphorePermit)>,
    is_well: bool,
}

impl Lent {
    /// Nothing is under way on it any more: the next one may have it without a test.
    pub(super) fn done(mut self) {
        self.is_well = true;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some((untested, _place)) = self.home.take().filter(|_| self.is_well) else { return };
        let mut free = untested.free();
        if !untested.places.is_closed() {
            free.extend(self.connection.take());
        }
    }
}

impl Deref for Lent {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        self.connection.as_ref().expect("a connection is lent until it is given back")
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        self.connection.as_mut().expect("a connection is lent until it is given back")
    }
}

/// A transaction; dropped without [`Transaction::commit`] it is rolled back.
pub(super) struct Transaction {
    lent: Lent,
    is_open: bool,
}

impl Transaction {
    pub(super) async fn commit(mut self) -> sqlx::Result<()> {
        Transactions::commit(&mut self.lent).await?;
        self.is_open = false;
        self.lent.is_well = true;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.is_open {
            Transactions::start_rollback(&mut self.lent);
        }
    }
}

impl Deref for Transaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.lent
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.lent
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use sqlx::any::AnyPoolOptions;
    use sqlx::{Executor, Row, SqlSafeStr};

    use super::*;

    async fn pool(folder: &tempfile::TempDir) -> Pool {
        pool_with(folder, AnyPoolOptions::new()).await
    }

    async fn pool_with(folder: &tempfile::TempDir, options: AnyPoolOptions) -> Pool {
        sqlx::any::install_default_drivers();
        let file = folder.path().join("pool.db");
        let url = format!("sqlite://{}?mode=rwc", file.display());
        let pool = Pool::local(options.max_connections(1).connect_lazy(&url).unwrap());
        let mut connection = pool.acquire().await.unwrap();
        connection.execute("CREATE TABLE words (word TEXT)").await.unwrap();
        connection.done();
        pool
    }

    async fn words(pool: &Pool) -> i64 {
        let mut connection = pool.acquire().await.unwrap();
        let row = connection.fetch_one("SELECT COUNT(*) FROM words").await.unwrap();
        connection.done();
        row.get(0)
    }

    #[tokio::test]
    async fn what_was_committed_stays_and_the_rest_is_rolled_back() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(&folder).await;
        for ends_well in [true, false, true, false] {
            let mut transaction = pool.begin("BEGIN IMMEDIATE".into_sql_str()).await.unwrap();
            transaction.execute("INSERT INTO words VALUES ('one')").await.unwrap();
            if ends_well {
                transaction.commit().await.unwrap();
            }
        }
        assert_eq!(words(&pool).await, 2);
    }

    #[tokio::test]
    async fn a_question_that_nobody_waits_for_any_more_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(&folder).await;
        let mut connection = pool.acquire().await.unwrap();
        let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000000) SELECT MAX(i) FROM n";
        let asked = timeout(Duration::from_millis(1), connection.fetch_one(long)).await;
        assert!(asked.is_err(), "it was to take longer");
        drop(connection);
        assert_eq!(words(&pool).await, 0);
    }

    #[tokio::test]
    async fn only_a_connection_whose_work_did_not_end_is_tested() {
        let folder = tempfile::tempdir().unwrap();
        let tests = Arc::new(AtomicUsize::new(0));
        let options = AnyPoolOptions::new().after_release({
            let tests = Arc::clone(&tests);
            move |_, _| {
                tests.fetch_add(1, Ordering::SeqCst);
                Box::pin(async { Ok(true) })
            }
        });
        let pool = pool_with(&folder, options).await;
        for _ in 0..3 {
            assert_eq!(words(&pool).await, 0);
            pool.begin("BEGIN IMMEDIATE".into_sql_str()).await.unwrap().commit().await.unwrap();
        }
        assert_eq!(tests.load(Ordering::SeqCst), 0);
        drop(pool.acquire().await.unwrap());
        // The place is free before the test is over; the one connection is not.
        assert_eq!(words(&pool).await, 0);
        assert_eq!(tests.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_pool_closes_once_what_is_lent_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(&folder).await;
        let lent = pool.acquire().await.unwrap();
        let closing = tokio::spawn({
            let pool = pool.clone();
            async move { pool.close().await }
        });
        while !pool.tested().is_closed() {
            tokio::task::yield_now().await;
        }
        lent.done();
        timeout(ACQUIRE_DEADLINE, closing).await.expect("it closes").unwrap();
        assert!(matches!(pool.acquire().await, Err(sqlx::Error::PoolClosed)));
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_the_deadline() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(&folder).await;
        let _lent = pool.acquire().await.unwrap();
        tokio::time::pause();
        assert!(matches!(pool.acquire().await, Err(sqlx::Error::PoolTimedOut)));
    }
}
