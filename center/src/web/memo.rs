//! Counts that take long are remembered for a while: a page of a plan with a million devices must not wait for them, and not
//! become most of what the database does.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::api::error::ApiError;

/// A count that took no longer is made anew each time, and so is one of few rows however long it took.
const CHEAP: Duration = Duration::from_millis(30);
/// Rows that are few: what takes long with so many is a busy machine.
const FEW: u64 = 10_000;
/// Longest wait of a page for the counts that nothing is remembered of, all of them together.
const WAIT_OF_PAGE: Duration = Duration::from_millis(150);
/// Longest wait of a live stream, which nobody waits for.
const WAIT_OF_STREAM: Duration = Duration::from_secs(20);
/// A count that is not cheap is good for so many times as long as it took.
const LIFE: u32 = 20;
/// Counts that are remembered at most.
const COUNTS_MAX: usize = 1_000;

/// What a count gives.
pub trait Counted: Send + Sync + 'static {
    /// Rows that were counted, about.
    fn rows(&self) -> u64;
}

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

impl<K: Eq + Hash + Clone + Send + 'static, V: Counted> Memo<K, V> {
    fn entries(&self) -> MutexGuard<'_, HashMap<K, Entry<V>>> {
        // A panic elsewhere cannot leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to count, unless what was counted not long ago will do. Counts that were asked for one after the other run at
    /// the same time.
    pub fn ask<F>(&self, key: K, count: F) -> Asked<K, V>
    where
        F: Future<Output = Result<V, ApiError>> + Send + 'static,
    {
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
        let is_slow = entry.cost > CHEAP && entry.value.as_ref().is_none_or(|value| value.rows() > FEW);
        // An old count is shown at once, and the new one when somebody looks again.
        let old = entry.value.clone().filter(|_| is_slow);
        let is_fresh = old.is_some() && now - entry.counted < entry.cost * LIFE;
        let running = match &entry.running {
            Some(running) => Some(running.clone()),
            None if is_fresh => None,
            None => {
                let (ended, running) = watch::channel(());
                entry.running = Some(running.clone());
                let (memo, key) = (self.clone(), key.clone());
                tokio::spawn(async move {
                    let begun = Instant::now();
                    let counted = count.await;
                    memo.put(&key, begun, counted);
                    drop(ended);
                });
                Some(running)
            }
        };
        Asked { memo: self.clone(), key, old, running: running.filter(|_| !is_slow || entry.value.is_none()) }
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

/// A count that was asked for.
pub struct Asked<K, V> {
    memo: Memo<K, V>,
    key: K,
    /// What is shown though it may be old.
    old: Option<Arc<V>>,
    /// The count that is worth a wait.
    running: Option<watch::Receiver<()>>,
}

impl<K: Eq + Hash + Clone + Send + 'static, V: Counted> Asked<K, V> {
    /// What was counted; none: it takes longer than can be waited for, and will be there later.
    pub async fn by(self, deadline: Instant) -> Option<Arc<V>> {
        if let Some(mut running) = self.running {
            let _ = timeout_at(deadline, running.changed()).await;
        }
        self.old.or_else(|| self.memo.entries().get(&self.key).and_then(|entry| entry.value.clone()))
    }
}

/// Who waits for counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// A person who opens a page.
    Page,
    /// A live stream, which fills in what the page lacks.
    Stream,
}

impl Waits {
    /// Until when, from now on.
    pub fn deadline(self) -> Instant {
        let wait = match self {
            Waits::Page => WAIT_OF_PAGE,
            Waits::Stream => WAIT_OF_STREAM,
        };
        Instant::now() + wait
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// What stands for a count of many rows.
    impl Counted for u32 {
        fn rows(&self) -> u64 {
            1_000_000
        }
    }

    async fn count(memo: &Memo<u8, u32>, runs: &Arc<AtomicU32>, cost: Duration) -> Option<u32> {
        let runs = Arc::clone(runs);
        let counted = memo.ask(1, async move {
            tokio::time::sleep(cost).await;
            Ok(runs.fetch_add(1, Ordering::SeqCst) + 1)
        });
        counted.by(Waits::Page.deadline()).await.map(|value| *value)
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

    #[tokio::test(start_paused = true)]
    async fn a_page_with_many_counts_waits_once_and_a_stream_to_the_end() {
        let (memo, begun) = (Memo::<u32, u32>::default(), Instant::now());
        let slow = |value: u32| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok(value)
        };
        let (deadline, mut shown) = (Waits::Page.deadline(), 0);
        let asked: Vec<_> = (0..10).map(|key| memo.ask(key, slow(key))).collect();
        for each in asked {
            shown += usize::from(each.by(deadline).await.is_some());
        }
        assert_eq!((shown, begun.elapsed()), (0, WAIT_OF_PAGE));
        let asked: Vec<_> = (0..10).map(|key| memo.ask(key, slow(key))).collect();
        for each in asked {
            shown += usize::from(each.by(Waits::Stream.deadline()).await.is_some());
        }
        assert_eq!(
            (shown, begun.elapsed()),
            (10, Duration::from_secs(1)),
            "all of them ran at the same time"
        );
    }
}
