//! Applies the rules to the store: what a device hears when it connects, asks, reports, and when time passes.
//!
//! Everything that matters is in the store before a call returns, so a restart continues where it was, and a message that
//! is acknowledged after the call has been counted.

mod business;
pub mod centers;
mod database_log;
mod device_access;
mod device_transaction;
mod dry_run;
mod evaluation;
mod import;
mod manual;
mod message;
mod offer;
mod operator;
mod packages;
mod plan_locks;
mod plans;
mod products;
mod reports;
mod retention;
mod tick;
mod transaction;
mod verification;
mod waiting;
mod why;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use business::Business;
use device_transaction::with_device;

use waiting::Waiting;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::rules::NameError;
use crate::rules::manual::ActionRefused;
use crate::rules::plan::{ActivationFault, NoTransition};
use crate::store::{DeviceId, PlanId, Store, StoreError, WasOwner};

use centers::Wake;
use tick::SetAside;

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
pub use tick::Ticked;
pub use why::{BlockedBy, BlockedDevices, Population, Why};

/// Names one connection of one device: a later connection of the same device has another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionId(String);

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
            EngineError::LateLock(_) | EngineError::Busy(_) => true,
            _ => false,
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
    tick_error: Arc<Mutex<Option<String>>>,
    ticked: Arc<Mutex<Option<Instant>>>,
    heard_since: Arc<Mutex<Option<Instant>>>,
    waiting: Waiting,
    business: Business,
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
            tick_error: Arc::default(),
            ticked: Arc::default(),
            heard_since: Arc::default(),
            waiting: Waiting::default(),
            business: Business::default(),
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
        let session = SessionId(format!("{}/{:016x}", self.owner, rand::random::<u64>()));
        let ((), messages) = with_device!(self, device, |transaction| {
            let before = &transaction.device;
            if before.forbidden.is_some() {
                return Err(EngineError::Forbidden);
            }
            if let (Some(center), Some(older)) = (&before.center, &before.session)
                && *center != *self.owner
            {
                transaction.store.take_over(center, device, older).await?;
            }
            // The one that was closed here for this one may have said already that it is gone.
            let took_over = before.session.is_some() || took_over == TookOver::Yes;
            let takeovers = match took_over {
                true => before.takeovers.and_one_more(transaction.now),
                false => before.takeovers,
            };
            transaction
                .store
                .set_online(device, &session.0, peer.as_deref(), takeovers, transaction.now)
                .await?;
            transaction.device = transaction.store.device_by_id(device).await?;
            if took_over {
                transaction.takes_over().await?;
            }
            transaction.follow_presence().await
        })?;
        Ok(Connected { session, messages })
    }

    /// The connection has ended. Nothing happens if a newer one has taken the device over.
    pub async fn offline(&self, device: DeviceId, session: &SessionId) -> Result<()> {
        with_device!(self, device, |transaction| {
            if transaction.store.set_offline(device, &session.0, transaction.now).await? == WasOwner::Yes {
                transaction.device = transaction.store.device_by_id(device).await?;
                transaction.follow_presence().await?;
            }
            Ok(())
        })?;
        Ok(())
    }

    /// A message of the device. Returns after the commit, with the messages to send to it now. The same packet again counts
    /// once.
    ///
    /// # Errors
    /// One that [`EngineError::is_temporary`] must not be acknowledged. Any other must be: the device's log has it, and the
    /// same packet would fail again.
    pub async fn received(&self, device: DeviceId, packet: Packet) -> Result<Vec<Downlink>> {
        let taken = self.take(device, packet).await;
        if let Err(error) = &taken
            && !error.is_temporary()
        {
            self.metrics.message_failed();
            self.log_failure(device, error).await;
        }
        taken
    }
}

/// An owner id for a process that is given none, or the id of a run.
fn random_id() -> Arc<str> {
    format!("{:016x}", rand::random::<u64>()).into()
}
