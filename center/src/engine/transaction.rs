//! A transaction of the store with the figures that count when it is committed.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::{Engine, EngineError, Result};
use crate::metrics::{Count, Metrics};
use crate::store::Writer;

/// How often a transaction is begun that the database ends for the sake of others.
const ATTEMPTS: u32 = 8;
/// Longest pause before the second attempt; before each further one it is longer by as much.
const PAUSE: Duration = Duration::from_millis(20);
/// How often a transaction is begun that meets a plan too late to lock it: as many plans as it may touch.
const LATE_LOCKS: u32 = 64;

/// The attempts of one transaction.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    contended: u32,
    late_locks: u32,
}

/// A transaction; dropped without [`Transaction::commit`] it leaves nothing behind and counts nothing.
pub(super) struct Transaction {
    writer: Writer,
    metrics: Metrics,
    counts: Vec<Count>,
}

impl Engine {
    pub(super) async fn begin(&self) -> Result<Transaction> {
        let (writer, metrics) = (self.store.write().await?, self.metrics.clone());
        Ok(Transaction { writer, metrics, counts: Vec::new() })
    }
}

/// Does the work in one transaction, and commits it; the work is done anew if the database ends the transaction for the sake
/// of another one. A macro, because an async closure that borrows gives a future that is not `Send` for the compiler.
macro_rules! transact {
    ($engine:expr, |$store:ident| $work:expr) => {{
        let mut attempts = $crate::engine::transaction::Attempts::default();
        loop {
            let mut transaction = $engine.begin().await?;
            let $store = &mut transaction;
            let done: $crate::engine::Result<_> = async { $work }.await;
            let outcome = match done {
                Ok(done) => transaction.commit().await.map(|()| done),
                Err(error) => {
                    drop(transaction);
                    Err(error)
                }
            };
            match outcome {
                Err(error) if $engine.may_retry(&mut attempts, &error).await => {}
                outcome => break outcome,
            }
        }
    }};
}
pub(super) use transact;

impl Engine {
    /// Whether the transaction that ended with `error` is done anew; waits until then.
    pub(super) async fn may_retry(&self, attempts: &mut Attempts, error: &EngineError) -> bool {
        match error {
            EngineError::LateLock(_) => {
                attempts.late_locks += 1;
                attempts.late_locks < LATE_LOCKS
            }
            EngineError::Store(store) if store.is_contention() => {
                attempts.contended += 1;
                if attempts.contended >= ATTEMPTS {
                    return false;
                }
                self.metrics.contention();
                tracing::debug!(%error, attempt = attempts.contended, "the transaction begins anew");
                // Those that met must not meet again.
                let pause = PAUSE * attempts.contended;
                tokio::time::sleep(pause.mul_f64(rand::random())).await;
                true
            }
            _ => false,
        }
    }
}

impl Transaction {
    /// Adds to a figure once the transaction is committed.
    pub(super) fn count(&mut self, count: Count) {
        self.counts.push(count);
    }

    pub(super) async fn commit(self) -> Result<()> {
        self.writer.commit().await?;
        for count in self.counts {
            self.metrics.committed(count);
        }
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        &self.writer
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Writer {
        &mut self.writer
    }
}
