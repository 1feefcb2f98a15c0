//! Sessions that have ended and that the store does not know of yet.
//!
//! A session leaves nothing behind but this note. When thousands end at once and their devices come back, the new sessions
//! have the memory of the old ones.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::engine::SessionId;
use crate::store::DeviceId;

/// Reports under way at the same time: more than one set of the engine takes, so that the next one is there by its end.
const REPORTS: usize = 500;
/// Pause before what could not be reported is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A session that has ended.
pub(super) type Ended = (DeviceId, SessionId);

/// Ended sessions, until they are reported.
#[derive(Debug, Default)]
pub(super) struct EndedSessions {
    waiting: Mutex<VecDeque<Ended>>,
    added: Notify,
}

impl EndedSessions {
    fn waiting(&self) -> MutexGuard<'_, VecDeque<Ended>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more, which is reported as soon as its turn comes.
    pub(super) fn add(&self, ended: Ended) {
        self.waiting().push_back(ended);
        self.added.notify_one();
    }

    /// Has each of them reported, for ever; `report` gives back what is to be tried again.
    pub(super) async fn report<F: Future<Output = Option<Ended>>>(&self, report: impl Fn(Ended) -> F) {
        let mut under_way = FuturesUnordered::new();
        let mut failed = Vec::new();
        let mut again = Instant::now();
        loop {
            while under_way.len() < REPORTS
                && let Some(ended) = self.next()
            {
                under_way.push(report(ended));
            }
            tokio::select! {
                () = self.added.notified(), if under_way.len() < REPORTS => {}
                Some(reported) = under_way.next() => {
                    if failed.is_empty() {
                        again = Instant::now() + PAUSE;
                    }
                    failed.extend(reported);
                }
                () = sleep_until(again), if !failed.is_empty() => self.waiting().extend(failed.drain(..)),
            }
        }
    }

    fn next(&self) -> Option<Ended> {
        let mut waiting = self.waiting();
        let next = waiting.pop_front();
        if waiting.is_empty() {
            // A storm's room is not kept.
            waiting.shrink_to_fit();
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::future::pending;

    use tokio::time::{sleep, timeout};

    use super::*;

    fn ended(number: i64) -> Ended {
        (DeviceId(number), SessionId::made())
    }

    /// How often each was reported within `span`; `fails` says which reports fail, by device and number of tries before.
    async fn reported(
        sessions: &EndedSessions,
        span: Duration,
        fails: impl Fn(DeviceId, usize) -> bool,
    ) -> BTreeMap<DeviceId, usize> {
        let tries = Mutex::new(BTreeMap::new());
        let report = async |ended: Ended| {
            sleep(Duration::from_millis(1)).await;
            let mut tries = tries.lock().unwrap();
            let before = tries.entry(ended.0).or_insert(0);
            *before += 1;
            fails(ended.0, *before - 1).then_some(ended)
        };
        assert!(timeout(span, sessions.report(report)).await.is_err(), "it goes on for ever");
        tries.into_inner().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn each_is_reported_once_however_many_end_together() {
        let sessions = EndedSessions::default();
        (0..3 * REPORTS as i64 + 1).for_each(|number| sessions.add(ended(number)));
        let reported = reported(&sessions, Duration::from_millis(20), |_, _| false).await;
        assert_eq!(reported.len(), 3 * REPORTS + 1);
        assert!(reported.values().all(|times| *times == 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_after_a_pause_and_is_in_nobodys_way() {
        let sessions = EndedSessions::default();
        (0..2 * REPORTS as i64).for_each(|number| sessions.add(ended(number)));
        let good = DeviceId(2 * REPORTS as i64);
        sessions.add((good, ended(0).1));
        let fails = |device, before| device != good && before == 0;
        let at_first = reported(&sessions, PAUSE / 2, fails).await;
        assert_eq!((at_first.len(), at_first[&good]), (2 * REPORTS + 1, 1));
        assert!(at_first.values().all(|times| *times == 1), "before the pause is over nothing comes again");

        (0..2).for_each(|number| sessions.add(ended(number)));
        let fails = |device, before| device == DeviceId(1) && before < 2;
        let reported = reported(&sessions, 3 * PAUSE, fails).await;
        assert_eq!((reported[&DeviceId(0)], reported[&DeviceId(1)]), (1, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_long_does_not_keep_others() {
        let sessions = EndedSessions::default();
        (0..2 * REPORTS as i64).for_each(|number| sessions.add(ended(number)));
        let reported = Mutex::new(0);
        let report = async |ended: Ended| {
            if ended.0 == DeviceId(0) {
                pending::<()>().await;
            }
            *reported.lock().unwrap() += 1;
            None
        };
        assert!(timeout(PAUSE, sessions.report(report)).await.is_err());
        assert_eq!(reported.into_inner().unwrap(), 2 * REPORTS - 1);
    }
}
