//! Counts that take long are remembered for a while: a page of a plan with a million devices must not wait for them, and not
//! become most of what the database does.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::api::error::ApiError;

/// A count that took no longer is made anew each time.
const CHEAP: Duration = Duration::from_millis(30);
/// Longest wait of a page for a count that nothing is remembered of.
const WAIT: Duration = Duration::from_millis(150);
/// A count that is not cheap is good for so many times as long as it took.
const LIFE: u32 = 20;
/// Counts that are remembered at most.
const COUNTS_MAX: usize = 1_000;

/// What was counted, by key. Clones are the same memory.
pub struct Memo<K, V>(Arc<Mutex<HashMap<K, Entry<V>>>>);

struct Entry<V> {
    value: Option<Arc<V>>,
    counted: Instant,
    cost: Duration,
    /// A count that is under way, and tells when it has ended.
    running: Option<watch::Receiver<()>>,
}

impl<K, V> Clone for Memo<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone + Send + 'static, V: Send + Sync + 'static> Memo<K, V> {
    fn entries(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        // A panic elsewhere cannot leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `count` gives, now or not long ago; none: it takes longer than a page can wait, and will be there later.
    pub async fn get<F>(&self, key: K, count: F) -> Option<Arc<V>>
    where
        F: Future<Output = Result<V, ApiError>> + Send + 'static,
    {
        let mut running = {
            let mut entries = self.entries();
            if entries.len() >= COUNTS_MAX {
                entries.retain(|_, entry| entry.running.is_some());
            }
            let now = Instant::now();
            let entry = entries.entry(key.clone()).or_insert_with(|| Entry {
                value: None,
                counted: now,
                cost: Duration::ZERO,
                running: None,
            });
            let is_fresh = entry.cost > CHEAP && now - entry.counted < entry.cost * LIFE;
            if is_fresh && let Some(value) = &entry.value {
                return Some(Arc::clone(value));
            }
            match &entry.running {
                Some(running) => running.clone(),
                None => {
                    let (ended, running) = watch::channel(());
                    entry.running = Some(running.clone());
                    let memo = self.clone();
                    let key = key.clone();
                    tokio::spawn(async move {
                        let begun = Instant::now();
                        let counted = count.await;
                        memo.put(&key, begun, counted);
                        drop(ended);
                    });
                    running
                }
            }
        };
        let is_slow =
            self.entries().get(&key).is_some_and(|entry| entry.value.is_some() && entry.cost > CHEAP);
        // An old count is shown at once, and the new one when somebody looks again.
        if !is_slow {
            let _ = timeout(WAIT, running.changed()).await;
        }
        self.entries().get(&key).and_then(|entry| entry.value.clone())
    }

    fn put(&self, key: &K, begun: Instant, counted: Result<V, ApiError>) {
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(key) else { return };
        entry.running = None;
        match counted {
            Ok(value) => {
                entry.value = Some(Arc::new(value));
                entry.counted = Instant::now();
                entry.cost = begun.elapsed();
            }
            // The page says what is wrong by its own queries; what was counted before stays.
            Err(error) => tracing::debug!(error = error.message(), "a count for a page failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn count(memo: &Memo<u8, u32>, runs: &Arc<AtomicU32>, cost: Duration) -> Option<u32> {
        let runs = Arc::clone(runs);
        let counted = memo.get(1, async move {
            tokio::time::sleep(cost).await;
            Ok(runs.fetch_add(1, Ordering::SeqCst) + 1)
        });
        counted.await.map(|value| *value)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_cheap_is_always_new_and_what_is_dear_is_remembered() {
        let (memo, runs) = (Memo::default(), Arc::new(AtomicU32::new(0)));
        assert_eq!(count(&memo, &runs, Duration::from_millis(5)).await, Some(1));
        assert_eq!(count(&memo, &runs, Duration::from_millis(5)).await, Some(2));
        let dear = Duration::from_secs(1);
        let (memo, runs) = (Memo::default(), Arc::new(AtomicU32::new(0)));
        assert_eq!(count(&memo, &runs, dear).await, None, "no page waits a second");
        tokio::time::sleep(dear).await;
        assert_eq!(count(&memo, &runs, dear).await, Some(1));
        tokio::time::sleep(dear * LIFE).await;
        assert_eq!(count(&memo, &runs, dear).await, Some(1), "shown while it is counted anew");
        tokio::time::sleep(dear * 2).await;
        assert_eq!(count(&memo, &runs, dear).await, Some(2));
    }
}
