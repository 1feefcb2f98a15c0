//! Sets of devices: what happens to many devices at the same moment is one transaction.
//!
//! What devices say waits in a queue while the set before it is committed; all that has gathered by then is the next set. So
//! a commit serves as many messages as come while one takes, and a single message waits for nobody. Each caller gets its
//! answer after the commit of its set. A set that fails is done again one by one: the failure of a device is its own.

use std::collections::{HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::device_transaction::{DeviceTransaction, IfLocked};
use super::plan_locks::PlanLocks;
use super::transaction::Attempts;
use super::{Downlink, Engine, EngineError, Packet, Result, SessionId, TookOver};
use crate::planted::Bug;
use crate::rules::trigger::Trigger;
use crate::store::{DeviceId, PlanId, StoreError};

/// Devices of one set, at most.
pub(super) const SET: usize = 200;
/// Sets at the same time: SQLite has one writer; on PostgreSQL one set is decided while another is committed.
const SETS_SQLITE: usize = 1;
const SETS_POSTGRES: usize = 3;

/// How late a set is committed where a test wants it to be acknowledged before.
const COMMIT_LATE: Duration = Duration::from_millis(50);

/// What happens to a device.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// It has subscribed on this connection, which may have taken over another one.
    Online {
        /// The connection.
        session: SessionId,
        /// The address that it comes from.
        peer: Option<String>,
        /// Whether it took over a connection here.
        took_over: TookOver,
    },
    /// This connection has ended.
    Offline(SessionId),
    /// It said something.
    Message(Packet),
    /// A firmware verification should have ended.
    Deadline,
    /// A lease has run out.
    Lease,
    /// An upgrade is to be offered again.
    Offer,
    /// The end user of the device, or an appointed window, asks for a look.
    Recheck,
    /// A 10-minute mark's push.
    Mark,
    /// A plan that it waits for may have room.
    Room,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// To be sent to the device.
    pub(super) messages: Vec<Downlink>,
    /// Plans that would be offered to the device if their limits had room.
    pub(super) full: Vec<PlanId>,
}

type Answer = oneshot::Sender<Result<Done>>;

/// What waits for its set. Clones are the same queue.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<(DeviceId, Event, Answer)>,
    /// Devices of the sets that are at work.
    busy: HashSet<DeviceId>,
    sets: usize,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next set, each device once: what happens to a device keeps its order. None: there is nothing to do, and the
    /// caller ends.
    fn next(&self) -> Option<Vec<(DeviceId, Event, Answer)>> {
        let mut waiting = self.waiting();
        let (mut set, mut later) = (Vec::new(), VecDeque::new());
        // A device that must wait makes its later events wait too.
        let mut passed = HashSet::new();
        while let Some((device, event, answer)) = waiting.events.pop_front() {
            if set.len() >= SET {
                waiting.events.push_front((device, event, answer));
                break;
            }
            if passed.contains(&device) || !waiting.busy.insert(device) {
                passed.insert(device);
                later.push_back((device, event, answer));
            } else {
                set.push((device, event, answer));
            }
        }
        while let Some(event) = later.pop_back() {
            waiting.events.push_front(event);
        }
        if waiting.events.is_empty() {
            // A storm's queue is not kept.
            waiting.events = VecDeque::new();
        }
        if set.is_empty() {
            waiting.sets -= 1;
            return None;
        }
        Some(set)
    }

    fn end<'d>(&self, devices: impl Iterator<Item = &'d DeviceId>) {
        let mut waiting = self.waiting();
        for device in devices {
            waiting.busy.remove(device);
        }
    }
}

impl Engine {
    /// What happens to a device, in the next set; returns after its commit. It happens also if the caller does not wait.
    pub(super) async fn happens(&self, device: DeviceId, event: Event) -> Result<Done> {
        let (answer, answered) = oneshot::channel();
        let limit = if self.is_shared() { SETS_POSTGRES } else { SETS_SQLITE };
        let begins = {
            let mut waiting = self.queue.waiting();
            waiting.events.push_back((device, event, answer));
            let begins = waiting.sets < limit;
            waiting.sets += usize::from(begins);
            begins
        };
        if begins {
            let engine = self.clone();
            tokio::spawn(async move {
                while let Some(set) = engine.queue.next() {
                    engine.work_off(set).await;
                }
            });
        }
        answered.await.unwrap_or(Err(EngineError::Interrupted))
    }

    async fn work_off(&self, set: Vec<(DeviceId, Event, Answer)>) {
        let (mut events, mut answers) = (Vec::with_capacity(set.len()), Vec::with_capacity(set.len()));
        for (device, event, answer) in set {
            events.push((device, event));
            answers.push(answer);
        }
        let done = self.happen(&events, IfLocked::Wait).await;
        self.queue.end(events.iter().map(|(device, _)| device));
        for (answer, done) in answers.into_iter().zip(done) {
            // A connection that has ended does not wait for its answer.
            let _ = answer.send(done);
        }
    }

    /// Each event's outcome, in their order; each device stands in the set once.
    pub(super) async fn happen(
        &self,
        events: &[(DeviceId, Event)],
        if_locked: IfLocked,
    ) -> Vec<Result<Done>> {
        match self.try_set(events, if_locked).await {
            Ok(done) => done,
            Err(error) if events.len() <= 1 => vec![Err(error)],
            // The database is away: no one of them would fare better.
            Err(error) if error.is_temporary() && !error.is_own() => {
                let error = Arc::new(error);
                events.iter().map(|_| Err(EngineError::OfSet(Arc::clone(&error)))).collect()
            }
            Err(error) => {
                tracing::debug!(%error, devices = events.len(), "a set is done again one by one");
                let mut done = Vec::with_capacity(events.len());
                for event in events.chunks(1) {
                    match self.try_set(event, if_locked).await {
                        Ok(one) => done.extend(one),
                        Err(error) => done.push(Err(error)),
                    }
                }
                done
            }
        }
    }

    /// All of them in one transaction, or none.
    async fn try_set(&self, events: &[(DeviceId, Event)], if_locked: IfLocked) -> Result<Vec<Result<Done>>> {
        let mut attempts = Attempts::default();
        let mut locks = PlanLocks::default();
        loop {
            let tried = AssertUnwindSafe(self.run_set(events, if_locked, &mut locks)).catch_unwind().await;
            match tried.unwrap_or(Err(EngineError::Interrupted)) {
                Err(error) if self.may_retry(&mut attempts, &error).await => {}
                outcome => return outcome,
            }
        }
    }

    async fn run_set(
        &self,
        events: &[(DeviceId, Event)],
        if_locked: IfLocked,
        locks: &mut PlanLocks,
    ) -> Result<Vec<Result<Done>>> {
        let ids: Vec<_> = events.iter().map(|(device, _)| *device).collect();
        let if_free = if_locked == IfLocked::Pass;
        let mut store = self.working_set(&ids, if_free, locks).await?;
        let mut done = Vec::with_capacity(events.len());
        let (mut wakes, mut is_due, mut is_overdue) = (HashSet::new(), false, false);
        for (device, event) in events {
            let Some(found) = store.device(*device).transpose() else {
                done.push(Err(if if_free {
                    EngineError::Busy(*device)
                } else {
                    StoreError::missing("device", device.0).into()
                }));
                continue;
            };
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    done.push(Err(error));
                    continue;
                }
            };
            let mut transaction = DeviceTransaction::over(self, store, found, locks.clone());
            let happened = transaction.happen(event.clone()).await;
            let ended = transaction.end(happened, locks)?;
            store = ended.store;
            is_due |= ended.is_due;
            is_overdue |= ended.is_overdue;
            wakes.extend(ended.wakes);
            done.push(Ok(Done { messages: ended.messages, full: ended.full }));
        }
        for center in wakes {
            store.beside().wake(&center).await?;
        }
        if Bug::AcknowledgeSetFirst.is_planted() {
            tokio::spawn(async move {
                tokio::time::sleep(COMMIT_LATE).await;
                store.commit().await
            });
        } else {
            store.commit().await?;
        }
        if is_due {
            self.wake.due();
        }
        if is_overdue {
            self.wake.overdue();
        }
        for ((device, _), done) in events.iter().zip(&done) {
            for plan in done.iter().flat_map(|done| &done.full) {
                self.waiting.add(*plan, *device);
            }
        }
        Ok(done)
    }
}

impl DeviceTransaction<'_> {
    async fn happen(&mut self, event: Event) -> Result<()> {
        if let Some(session) = self.device.session.clone().filter(|session| self.engine.is_earlier(session)) {
            self.go_offline(&SessionId(session)).await?;
        }
        match event {
            Event::Online { session, peer, took_over } => self.come_online(session, peer, took_over).await,
            Event::Offline(session) => self.go_offline(&session).await,
            Event::Message(packet) => self.take(packet).await,
            Event::Deadline => self.end_late_verifications().await,
            Event::Lease => self.end_leases().await,
            Event::Offer => {
                self.offer(Trigger::Retry).await?;
                self.postpone_due_offers().await
            }
            Event::Recheck => self.recheck().await,
            // A device that has not told its versions on this connection is asked; its answer brings the offer.
            Event::Mark if self.device.versions_at.is_none() => {
                self.ask_versions();
                Ok(())
            }
            Event::Mark => self.offer(Trigger::Mark).await,
            Event::Room => self.offer(Trigger::Retry).await,
        }
    }
}
