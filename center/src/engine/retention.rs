//! How long the log is kept.

use super::transaction::transact;
use super::{Engine, Result};
use crate::clock::Millis;
use crate::metrics::Count;

/// Lines that are deleted in one transaction: devices wait for it.
const BATCH: i64 = 1_000;

impl Engine {
    /// Deletes lines of upgrades' and devices' logs that were last repeated before `until`, up to 1000 of them, and returns
    /// how many; 0: none is left.
    pub async fn prune_log(&self, until: Millis) -> Result<u64> {
        transact!(self, |store| {
            let lines = store.prune_log(until, BATCH).await?;
            store.count(Count::Forgotten(lines));
            Ok(lines)
        })
    }
}
