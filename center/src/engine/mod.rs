//! Applies the rules to the store: what a device hears when it connects, asks, reports, and when time passes.
//!
//! Everything that matters is in the store before a call returns, so a restart continues where it was, and a message that
//! is acknowledged after the call has been counted.

mod business;
mod catalog;
pub mod centers;
mod database_log;
mod device_access;
mod device_transaction;
mod dry_run;
mod endings;
mod evaluation;
mod import;
mod kept_answers;
mod manual;
mod message;
mod offer;
mod operator;
mod packages;
mod plan_locks;
mod plans;
mod products;
mod push;
mod reports;
mod retention;
mod sets;
mod tick;
mod transaction;
mod verification;
mod waiting;
mod webhook_settings;
mod webhooks;
mod why;
mod working_set;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use business::Business;
use catalog::Catalogs;
use sets::{Event, Queue};
use waiting::Waiting;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::rules::NameError;
use crate::rules::manual::ActionRefused;
use crate::rules::plan::{ActivationFault, NoTransition};
use crate::store::{DeviceId, PlanId, Store, StoreError};

use centers::Wake;
use tick::{OffersSeen, SetAside};

pub use crate::packages::url::{Firmware, FirmwareUrls};
pub use device_access::{TakenOver, TookOver};
pub use dry_run::{DryRun, Forecast};
pub use import::new_secret;
pub use manual::{Brings, UserCommand, UserPlan};
pub use message::{
    BusinessData, BusinessKind, Downlink, FirmwareFile, FirmwareInfo, Info, OfferedComponent, Packet,
    Readings, Reason, StatusEvent, Subject, Uplink, Versions,
};
pub use operator::{Chosen, Left, Order, Ordered};
pub use packages::twin_warning;
pub use tick::{Quiet, Ticked};
pub use webhook_settings::WebhookChanges;
pub use why::{BlockedBy, BlockedDevices, Population, Why};

/// Names one connection of one device: a later connection of the same device has another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionId(String);

#[cfg(test)]
impl SessionId {
    /// One that no engine has made.
    pub(crate) fn made() -> Self {
        SessionId("made".to_owned())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What [`Engine::online`] gives back.
#[derive(Debug)]
pub struct Connected {
    /// To be given to [`Engine::offline`].
    pub session: SessionId,
    /// To be sent to the device now.
    pub messages: Vec<Downlink>,
}

/// Why the engine did not do it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store did not; [`EngineError::is_temporary`] tells trouble of the moment.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan cannot be saved: every reason.
    #[error("the upgrade plan cannot be saved: {}", list(.0))]
    Plan(Vec<NameError>),
    /// The plan cannot be activated: every reason.
    #[error("the upgrade plan cannot be activated: {}", list(.0))]
    Activation(Vec<ActivationFault>),
    /// The plan's life does not have this step.
    #[error(transparent)]
    Transition(#[from] NoTransition),
    /// The transaction met a plan too late to lock it. The engine begins it again with that lock, so nobody sees this.
    #[error("plan {} was locked too late", .0.0)]
    LateLock(PlanId),
    /// Another transaction has the device now; what is due for it stays due.
    #[error("device number {} is in another transaction", .0.0)]
    Busy(DeviceId),
    /// The transaction of several devices failed as a whole.
    #[error(transparent)]
    OfSet(Arc<EngineError>),
    /// The work ended early, by a fault of the program: the device says it again.
    #[error("the center could not finish this; it is a fault of the program, please report it")]
    Interrupted,
    /// Another process is alive under the center id of this one.
    #[error(
        "another quecota-center runs as center {0:?} on this database: give each its own --center-id, or a data folder of its own"
    )]
    CenterIdInUse(String),
    /// An operator forbade the device to connect while it did.
    #[error("the device is forbidden to connect")]
    Forbidden,
    /// The end user's word is not taken.
    #[error(transparent)]
    ActionRefused(#[from] ActionRefused),
}

impl EngineError {
    /// Whether the same call may succeed later: the device must then not get an acknowledgement.
    pub fn is_temporary(&self) -> bool {
        match self {
            EngineError::Store(error) => error.is_temporary(),
            EngineError::LateLock(_) | EngineError::Busy(_) | EngineError::Interrupted => true,
            EngineError::OfSet(error) => error.is_temporary(),
            _ => false,
        }
    }

    /// Whether the trouble of the moment may be of one device alone, among several in a transaction.
    fn is_own(&self) -> bool {
        match self {
            EngineError::Store(error) => error.is_contention(),
            _ => true,
        }
    }
}

fn list<T: ToString>(reasons: &[T]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Result of the engine.
pub type Result<T> = std::result::Result<T, EngineError>;

/// The center's brain. Cheap to clone; clones are the same engine.
#[derive(Clone)]
pub struct Engine {
    store: Store,
    clock: Clock,
    urls: Arc<dyn FirmwareUrls>,
    owner: Arc<str>,
    /// Tells this process from an earlier or another one with the same owner id.
    run: Arc<str>,
    wake: Wake,
    metrics: Metrics,
    set_aside: SetAside,
    offers_seen: OffersSeen,
    running: tick::Running,
    tick_error: Arc<Mutex<Option<String>>>,
    ticked: Arc<Mutex<Option<Instant>>>,
    heard_since: Arc<Mutex<Option<Instant>>>,
    waiting: Waiting,
    business: Business,
    catalogs: Catalogs,
    queue: Queue,
}

impl Engine {
    /// An engine over `store`, for one process.
    pub fn new(store: Store, clock: Clock, urls: Arc<dyn FirmwareUrls>) -> Self {
        let metrics = Metrics::default();
        let store = store.observed_by(Arc::new(metrics.clone()));
        Engine {
            store,
            clock,
            urls,
            owner: random_id(),
            run: random_id(),
            wake: Wake::default(),
            metrics,
            set_aside: SetAside::default(),
            offers_seen: OffersSeen::default(),
            running: tick::Running::default(),
            tick_error: Arc::default(),
            ticked: Arc::default(),
            heard_since: Arc::default(),
            waiting: Waiting::default(),
            business: Business::default(),
            catalogs: Catalogs::default(),
            queue: Queue::default(),
        }
    }

    /// Why the last tick did not do all of its work; none: it did.
    pub fn tick_error(&self) -> Option<String> {
        self.tick_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long ago the last tick ended that did all of its work; none: there was none yet.
    pub fn ticked(&self) -> Option<Duration> {
        self.ticked.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// The store, for what needs no rules.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The figures of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The clock that the engine lives by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The same engine with another owner id, which names its process in a database that several centers share. The same
    /// process has the same one after a restart.
    #[must_use]
    pub fn owned_by(self, owner: &str) -> Self {
        Engine { owner: owner.into(), ..self }
    }

    /// A device has subscribed: it can be reached now. Call it once per connection, after SUBACK; the offer usually comes
    /// as the answer to the device's version report.
    pub async fn online(&self, device: DeviceId) -> Result<Connected> {
        self.online_from(device, None, TookOver::No).await
    }

    /// The same, with the address that the device connects from, and whether it took over a connection here.
    ///
    /// # Errors
    /// [`EngineError::Forbidden`] if an operator forbade it meanwhile.
    pub async fn online_from(
        &self,
        device: DeviceId,
        peer: Option<IpAddr>,
        took_over: TookOver,
    ) -> Result<Connected> {
        let peer = peer.map(|peer| peer.to_string());
        let session = self.new_session();
        let event = Event::Online { session: session.clone(), peer, took_over };
        let done = self.happens(device, event).await?;
        Ok(Connected { session, messages: done.messages })
    }

    /// The connection has ended. Nothing happens if a newer one has taken the device over.
    pub async fn offline(&self, device: DeviceId, session: &SessionId) -> Result<()> {
        self.happens(device, Event::Offline(session.clone())).await.map(drop)
    }

    /// A message of the device. Returns after the commit, with the messages to send to it now. The same packet again counts
    /// once.
    ///
    /// # Errors
    /// One that [`EngineError::is_temporary`] must not be acknowledged. Any other must be: the device's log has it, and the
    /// same packet would fail again.
    pub async fn received(&self, device: DeviceId, packet: Packet) -> Result<Vec<Downlink>> {
        let taken = self.happens(device, Event::Message(packet)).await;
        if let Err(error) = &taken
            && !error.is_temporary()
        {
            self.metrics.message_failed();
            self.log_failure(device, error).await;
        }
        taken.map(|done| done.messages)
    }
}

/// An owner id for a process that is given none, or the id of a run.
fn random_id() -> Arc<str> {
    format!("{:016x}", rand::random::<u64>()).into()
}
