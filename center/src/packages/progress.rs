//! How far devices are in their files, told to the store in sets: one statement for all answers that ended meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;
use tracing::{debug, error, warn};

use crate::metrics::Metrics;
use crate::rules::ComponentNo;
use crate::store::{Store, StoreError, UpgradeId};

/// How often it is tried to keep the progress of downloads, and the pause between two tries: some minutes in all.
const ATTEMPTS: u32 = 60;
const PAUSE: Duration = Duration::from_secs(1);
/// Between two sets. The first answer after a silence is written at once.
const GAP: Duration = Duration::from_millis(250);

/// What is to be told to the store. Clones are the same.
#[derive(Debug, Clone)]
pub struct ProgressQueue {
    store: Store,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    reached: HashMap<(UpgradeId, ComponentNo), u64>,
    /// Whether a task writes.
    is_written: bool,
}

impl ProgressQueue {
    /// A queue that writes to `store`.
    pub fn new(store: Store) -> Self {
        Self { store, waiting: Arc::default() }
    }

    /// The device has fetched the component's package up to `bytes`.
    fn raise(&self, upgrade: UpgradeId, component: ComponentNo, bytes: u64) {
        let Ok(runtime) = Handle::try_current() else { return };
        let mut waiting = self.waiting();
        let reached = waiting.reached.entry((upgrade, component)).or_default();
        *reached = bytes.max(*reached);
        if !std::mem::replace(&mut waiting.is_written, true) {
            let queue = self.clone();
            runtime.spawn(async move { queue.write_all().await });
        }
    }

    /// Writes what waits, at the end of the process.
    pub async fn flush(&self) {
        if let Err(error) = self.write_set().await {
            warn!(%error, "the progress of the last downloads was not kept");
        }
    }

    /// Writes set by set until nothing waits.
    async fn write_all(&self) {
        let mut attempts = 0;
        loop {
            match self.write_set().await {
                Ok(()) => {
                    attempts = 0;
                    sleep(GAP).await;
                }
                // Without it a failure may count that need not, and lists are wrong: it waits for its turn.
                Err(error) if error.is_temporary() && attempts < ATTEMPTS => {
                    debug!(%error, "the progress of downloads is kept later");
                    attempts += 1;
                    sleep(PAUSE).await;
                }
                Err(error) => {
                    attempts = 0;
                    let lost = std::mem::take(&mut self.waiting().reached).len();
                    error!(%error, lost, "the progress of downloads cannot be kept");
                }
            }
            let mut waiting = self.waiting();
            if waiting.reached.is_empty() {
                waiting.is_written = false;
                return;
            }
        }
    }

    async fn write_set(&self) -> Result<(), StoreError> {
        let set = std::mem::take(&mut self.waiting().reached);
        if set.is_empty() {
            return Ok(());
        }
        // In one order, so that two centers do not wait for each other in a circle.
        let mut rows: Vec<_> = set.iter().map(|((id, component), bytes)| (*id, component, *bytes)).collect();
        rows.sort_unstable_by_key(|(id, ..)| *id);
        let written = async {
            let mut store = self.store.write().await?;
            store.raise_all_fetched(&rows).await?;
            store.commit().await
        };
        let written = written.await;
        if written.is_err() {
            let mut waiting = self.waiting();
            for (key, bytes) in set {
                let reached = waiting.reached.entry(key).or_default();
                *reached = bytes.max(*reached);
            }
        }
        written
    }

    /// A panic elsewhere cannot leave the map half changed.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far one device is in the files of its component's package: told to the queue when its answer ends, whole or not.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) queue: ProgressQueue,
    pub(super) metrics: Metrics,
    pub(super) upgrade: UpgradeId,
    pub(super) component: ComponentNo,
    /// Bytes of the package up to where the answer is, files before this one included.
    pub(super) reached: u64,
    moved: Moved,
}

/// Whether the device is known to have come further.
#[derive(Debug, PartialEq, Eq)]
enum Moved {
    No,
    Yes,
}

impl Progress {
    pub(super) fn new(
        queue: ProgressQueue,
        metrics: Metrics,
        upgrade: UpgradeId,
        component: ComponentNo,
        reached: u64,
    ) -> Self {
        Self { queue, metrics, upgrade, component, reached, moved: Moved::No }
    }

    /// So many bytes were sent from here.
    pub(super) fn count(&mut self, bytes: u64) {
        self.metrics.downloaded(bytes);
        self.advance(bytes);
    }

    /// The device has so many bytes more, whoever sent them.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.reached = self.reached.saturating_add(bytes);
        self.moved = Moved::Yes;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.moved == Moved::Yes {
            self.queue.raise(self.upgrade, self.component.clone(), self.reached);
        }
    }
}
