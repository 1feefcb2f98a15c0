//! Several centers on one database. Each says once a second that it is alive; the connections of one that falls silent are
//! ended by another one, so that their devices count as offline until they come back somewhere.
//!
//! What is due for a device is done by the center that holds its connection, and by whoever comes first if nobody does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::device_transaction::IfLocked;
use super::sets::{Event, SET};
use super::tick::Item;
use super::{Engine, EngineError, Result, SessionId};
use crate::clock::{Jump, Millis};
use crate::planted::Bug;
use crate::store::{CenterRow, DeviceId, Holder, Reader, Sessions};

/// A center that said nothing for so long has stopped, or cannot reach the database.
pub const SILENCE: Millis = Millis::seconds(10);
/// How long the connections of a center without a row are left alone: it may be of a version that has none, and alive.
const UNKNOWN_SILENCE: Millis = Millis::hours(1);
/// Time in which a living center is heard for certain.
const HEARD: Duration = Duration::from_millis(1_500);
/// Time for devices to come back after all centers were away.
const RESTART_GRACE: Millis = Millis::minutes(5);
/// Connections of devices without an open upgrade that are ended in one statement: devices that come back meanwhile wait for it.
const IDLE_SESSIONS: i64 = 1_000;
/// Connections of devices with an open upgrade that are looked up at a time.
const SESSIONS: i64 = 500;

/// What became of a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// The others know.
    Counted,
    /// It came too late: the connections of this center count as ended. It begins anew, without any.
    Lost,
    /// Another process has started under the same center id.
    Replaced,
}

/// Wakes the loops of a scheduler. Clones wake the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wake(Arc<WakeSignals>);

#[derive(Debug, Default)]
struct WakeSignals {
    due: Notify,
    alive: Notify,
    /// Offers of this center's devices may be due that the last looks have passed.
    overdue: AtomicBool,
}

impl Wake {
    /// Something is due for a device of this center.
    pub(crate) fn due(&self) {
        self.overdue();
        self.0.due.notify_one();
    }

    /// A tick has left something for the next one, which comes at once.
    pub(crate) fn again(&self) {
        self.0.due.notify_one();
    }

    /// The next tick looks for every offer that is due for a device of this center, also for those that were due before.
    pub(crate) fn overdue(&self) {
        self.0.overdue.store(true, Ordering::SeqCst);
    }

    /// Whether that was asked for since the last call.
    pub(crate) fn take_overdue(&self) -> bool {
        self.0.overdue.swap(false, Ordering::SeqCst)
    }

    /// Something may be due, or a connection taken over.
    pub(crate) fn all(&self) {
        self.due();
        self.0.alive.notify_one();
    }

    /// Returns when something became due since the last call.
    pub(crate) async fn until_due(&self) {
        self.0.due.notified().await;
    }

    /// Returns when a connection may have been taken over since the last call.
    pub(crate) async fn until_taken_over(&self) {
        self.0.alive.notified().await;
    }
}

fn lives(center: &CenterRow) -> bool {
    !center.run.is_empty() && center.silent < SILENCE
}

impl Engine {
    /// The id of this center among those that share the database.
    pub fn center(&self) -> &str {
        &self.owner
    }

    /// Tells this process from an earlier or another one under the same center id.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Whether the process with this run may still be at work: it is this one, or another center that is alive. Of an empty
    /// run, which is of a version that does not say, nobody knows.
    ///
    /// # Errors
    /// The database is away.
    pub async fn is_running(&self, run: &str, store: &mut Reader) -> Result<bool> {
        if run.is_empty() || run == &*self.run {
            return Ok(true);
        }
        // A database of one center alone.
        if !self.is_shared() {
            return Ok(false);
        }
        Ok(store.centers().await?.iter().any(|center| center.run == run && lives(center)))
    }

    /// Whether other centers may work on the same database.
    pub fn is_shared(&self) -> bool {
        self.store.is_shared()
    }

    /// Since when the other centers have heard this one without a gap; none: they do not hear it now, or there are none.
    pub fn heard_since(&self) -> Option<Instant> {
        *self.heard_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_heard_since(&self, since: Option<Instant>) {
        *self.heard_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    pub(crate) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// The process starts. Call it once, before devices come. Leases that ran out while nobody worked get some minutes more:
    /// the devices could not tell.
    ///
    /// Connections that an earlier run left behind keep their rows: they do not carry the name of this run, and end when
    /// something happens to their device, or by [`Engine::end_earlier_sessions`].
    ///
    /// # Errors
    /// [`EngineError::CenterIdInUse`] if another process is alive under the same center id.
    pub async fn start(&self) -> Result<()> {
        let alone = !self.is_shared() || self.join().await?;
        let until = self.clock.now() + RESTART_GRACE;
        let mut store = self.begin().await?;
        if alone {
            store.extend_leases(until).await?;
        } else {
            store.extend_leases_of(&self.owner, until).await?;
        }
        store.commit().await
    }

    /// Ends the connections that earlier runs left behind, set by set, while this one works.
    pub async fn end_earlier_sessions(&self) -> Result<()> {
        self.end_sessions(self.store.held_by(&self.owner), Sessions::NotOf(&self.run)).await
    }

    /// A new connection's name: the center, its run, and a number.
    pub(super) fn new_session(&self) -> SessionId {
        SessionId(format!("{}/{}/{:016x}", self.owner, self.run, rand::random::<u64>()))
    }

    /// Whether a connection is of an earlier run of this center.
    pub(super) fn is_earlier(&self, session: &str) -> bool {
        let mut parts = session.split('/');
        let owner = parts.next();
        (owner == Some(&*self.owner) || !self.is_shared()) && parts.next() != Some(&*self.run)
    }

    /// Time did not pass as it should: leases of devices that could not be heard get some minutes more, as after a restart,
    /// and what was to happen does not wait for a clock that was put back.
    pub async fn jumped(&self, jump: Jump) -> Result<()> {
        self.wake.overdue();
        let now = self.clock.now();
        let mut store = self.begin().await?;
        match jump {
            Jump::Forward(span) => {
                tracing::warn!("{} s went by at once: leases get some minutes more", span.0 / 1_000);
                store.extend_leases_of(&self.owner, now + RESTART_GRACE).await?;
            }
            Jump::Back(span) => {
                tracing::warn!("the clock was put back by {} s: what is due follows it", span.0 / 1_000);
                store.pull_back(&self.owner, now, span).await?;
                if !self.is_shared() {
                    store.pull_back_plans(now).await?;
                }
            }
        }
        store.commit().await
    }

    /// Becomes one of the centers; says whether there is no other one.
    async fn join(&self) -> Result<bool> {
        let twin = |centers: &[CenterRow]| centers.iter().find(|center| center.id == *self.owner).cloned();
        let before = twin(&self.store.read().await?.centers().await?);
        if let Some(before) = before.filter(lives) {
            tokio::time::sleep(HEARD).await;
            let now = twin(&self.store.read().await?.centers().await?);
            if now.is_some_and(|now| now.run == before.run && now.beat != before.beat) {
                return Err(EngineError::CenterIdInUse(self.owner.to_string()));
            }
        }
        let mut store = self.begin().await?;
        store.register_center(&self.owner, &self.run, env!("CARGO_PKG_VERSION")).await?;
        let centers = store.centers().await?;
        store.commit().await?;
        Ok(!centers.iter().any(|center| center.id != *self.owner && lives(center)))
    }

    /// The process stops, after its last connection: its devices are offline, and the other centers know that it is gone.
    pub async fn leave(&self) -> Result<()> {
        self.end_sessions(Holder::Center(&self.owner), Sessions::All).await?;
        if self.is_shared() {
            let mut store = self.begin().await?;
            store.remove_center(&self.owner, Some(&self.run)).await?;
            store.commit().await?;
        }
        Ok(())
    }

    /// This center is alive: call it once a second.
    ///
    /// # Errors
    /// The database is away.
    pub async fn beat(&self) -> Result<Beat> {
        let mut store = self.store.write_alive().await?;
        if store.beat(&self.owner, &self.run).await? {
            let centers = store.centers().await?;
            store.commit().await?;
            self.metrics.centers(centers.iter().filter(|center| lives(center)).count());
            return Ok(Beat::Counted);
        }
        let is_taken = store.centers().await?.iter().any(|center| center.id == *self.owner);
        if is_taken {
            return Ok(Beat::Replaced);
        }
        store.register_center(&self.owner, &self.run, env!("CARGO_PKG_VERSION")).await?;
        store.commit().await?;
        Ok(Beat::Lost)
    }

    /// Connections of this center whose devices have connected to another one since: they are to be closed.
    pub async fn taken_over(&self) -> Result<Vec<(DeviceId, SessionId)>> {
        let mut store = self.begin().await?;
        let taken = store.taken_over(&self.owner).await?;
        store.commit().await?;
        Ok(taken.into_iter().map(|(device, session)| (device, SessionId(session))).collect())
    }

    /// Ends the connections of centers that have been silent for too long, and of those that nobody knows. Two centers
    /// share the work. Only a center that was itself heard all the time may call this: else it was perhaps the database
    /// that was away.
    pub async fn end_silent_centers(&self) -> Result<()> {
        for center in self.store.read().await?.centers().await? {
            let span = if center.run.is_empty() { UNKNOWN_SILENCE } else { SILENCE };
            if center.id == *self.owner || center.silent < span || Bug::LostLease.is_planted() {
                continue;
            }
            // Its row is locked meanwhile: if it comes back, it waits, and then learns that its connections are gone.
            let mut store = self.begin().await?;
            if !store.lock_silent_center(&center.id, span).await? {
                continue;
            }
            let (id, silent) = (&center.id, center.silent.0 / 1_000);
            tracing::warn!(
                center = id,
                "silent for {silent} s: its devices are offline until they come back elsewhere"
            );
            self.end_sessions(Holder::Center(&center.id), Sessions::All).await?;
            store.remove_center(&center.id, None).await?;
            store.commit().await?;
            self.metrics.center_lost();
        }
        Ok(())
    }

    /// Notes centers that nobody knows although connections stand in their names, so that they can become silent.
    pub async fn note_unknown_centers(&self) -> Result<()> {
        let unknown = self.store.read().await?.unknown_centers().await?;
        for id in unknown {
            let mut store = self.begin().await?;
            store.note_center(&id).await?;
            store.commit().await?;
        }
        Ok(())
    }

    /// These connections of `holder` are gone.
    async fn end_sessions(&self, holder: Holder<'_>, which: Sessions<'_>) -> Result<()> {
        loop {
            let mut store = self.begin().await?;
            let cleared = store.clear_sessions(holder, which, self.clock.now(), IDLE_SESSIONS).await?;
            store.commit().await?;
            if cleared == 0 {
                break;
            }
        }
        // Leases follow the connection of the others.
        loop {
            let sessions = self.store.read().await?.sessions_of(holder, which, SESSIONS).await?;
            if sessions.is_empty() {
                return Ok(());
            }
            let event = |session: &String| Event::Offline(SessionId(session.clone()));
            let events: Vec<_> = sessions.iter().map(|(device, session)| (*device, event(session))).collect();
            let mut outcomes = Vec::with_capacity(events.len());
            for set in events.chunks(SET) {
                outcomes.extend(self.happen(set, IfLocked::Wait).await);
            }
            for ((device, session), outcome) in sessions.into_iter().zip(outcomes) {
                match outcome {
                    Err(error) if !error.is_temporary() => {
                        self.set_aside(Item::Device(device), &error).await;
                        // Its leases stay as they are; the connection is gone all the same.
                        let mut store = self.begin().await?;
                        store.set_offline(device, &session, self.clock.now()).await?;
                        store.commit().await?;
                    }
                    outcome => drop(outcome?),
                }
            }
        }
    }
}
