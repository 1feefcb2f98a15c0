//! Who waits for a change hears of it once it is committed.
//!
//! This is a shortcut of one process, never the truth: what another center on the same database commits is found by
//! looking again now and then ([`super::Store::look_again`]).

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use super::{DeviceId, PlanId};

/// What may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Upgrades of a device, their bytes, or what its end user said.
    Device(DeviceId),
    /// A plan's state.
    Plan(PlanId),
    /// The number of a plan's devices in any state.
    Figures(PlanId),
    /// Anything of the two above, of any plan, or which devices are online.
    Fleet,
    /// Webhooks, and new messages to them.
    Webhooks,
}

/// Where changes are told. Clones are the same place.
#[derive(Debug, Clone, Default)]
pub struct Changes(Arc<Mutex<HashMap<Topic, watch::Sender<()>>>>);

impl Changes {
    /// Waits for changes of `topic` from now on.
    pub fn watch(&self, topic: Topic) -> Watch {
        let receiver = self.watched().entry(topic).or_default().subscribe();
        Watch { changes: self.clone(), topic, receiver }
    }

    /// Wakes who waits for one of `topics`.
    pub(super) fn tell(&self, topics: &BTreeSet<Topic>) {
        let watched = self.watched();
        if watched.is_empty() {
            return;
        }
        for sender in topics.iter().filter_map(|topic| watched.get(topic)) {
            sender.send_replace(());
        }
        let is_of_fleet = |topic: &Topic| matches!(topic, Topic::Plan(_) | Topic::Figures(_));
        if let Some(sender) = watched.get(&Topic::Fleet)
            && topics.iter().any(is_of_fleet)
        {
            sender.send_replace(());
        }
    }

    /// A panic elsewhere cannot leave the map half changed, so its poison is of no concern.
    fn watched(&self) -> MutexGuard<'_, HashMap<Topic, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The commits of this process.
#[derive(Debug, Default)]
pub(super) struct Commits {
    count: AtomicU64,
    more: Notify,
}

impl Commits {
    pub(super) fn one_more(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.more.notify_waiters();
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }

    pub(super) async fn until_more_than(&self, count: u64) {
        loop {
            let mut more = pin!(self.more.notified());
            more.as_mut().enable();
            if self.count() > count {
                return;
            }
            more.await;
        }
    }
}

/// Somebody who waits for changes of one topic; many changes meanwhile are one.
#[derive(Debug)]
pub struct Watch {
    changes: Changes,
    topic: Topic,
    receiver: watch::Receiver<()>,
}

impl Watch {
    /// Returns when something was committed since the last call.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The sender lives as long as a watch does; without it nothing more would be told.
            std::future::pending::<()>().await;
        }
    }
}

impl Watch {
    /// Whether something was committed since it was made, or since the last [`Watch::changed`].
    pub fn has_changed(&self) -> bool {
        // Without its sender it would hear of nothing.
        self.receiver.has_changed().unwrap_or(true)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.changes.watched();
        // This receiver is still counted.
        if watched.get(&self.topic).is_some_and(|sender| sender.receiver_count() <= 1) {
            watched.remove(&self.topic);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn only_who_waits_for_a_topic_is_woken_and_once_for_many_changes() {
        let changes = Changes::default();
        let (one, two) = (Topic::Device(DeviceId(1)), Topic::Device(DeviceId(2)));
        let (mut first, mut second) = (changes.watch(one), changes.watch(two));
        changes.tell(&BTreeSet::from([one]));
        changes.tell(&BTreeSet::from([one, Topic::Plan(PlanId(1))]));
        assert_eq!(first.changed().now_or_never(), Some(()));
        assert_eq!(first.changed().now_or_never(), None);
        assert_eq!(second.changed().now_or_never(), None);
    }

    #[tokio::test]
    async fn a_commit_before_the_wait_is_not_missed() {
        let commits = Commits::default();
        assert_eq!(commits.until_more_than(0).now_or_never(), None);
        let mut waits = pin!(commits.until_more_than(0));
        assert_eq!(futures_util::poll!(waits.as_mut()), std::task::Poll::Pending);
        commits.one_more();
        waits.await;
        commits.until_more_than(0).await;
        assert_eq!(commits.until_more_than(commits.count()).now_or_never(), None);
    }

    #[test]
    fn what_nobody_waits_for_is_forgotten() {
        let changes = Changes::default();
        let topic = Topic::Figures(PlanId(1));
        let (first, second) = (changes.watch(topic), changes.watch(topic));
        drop(first);
        assert_eq!(changes.watched().len(), 1);
        drop(second);
        assert_eq!(changes.watched().len(), 0);
    }
}
