//! A transaction of the store with the figures that count when it is committed.

use std::ops::{Deref, DerefMut};

use super::{Engine, Result};
use crate::metrics::{Count, Metrics};
use crate::store::Writer;

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
