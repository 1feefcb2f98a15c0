//! Time: what is due is done once a second, and the messages that follow from it go out over a [`DeviceLink`].

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::clock::Millis;
use crate::engine::{Downlink, Engine};
use crate::store::DeviceId;

/// Time between two ticks.
const TICK: Duration = Duration::from_secs(1);
/// Time between two failed ticks that the log names: a database may be away for hours.
const FAILURE_NAMED: Duration = Duration::from_secs(60);
/// How often old log lines are looked for, and the pause between two batches of them.
const PRUNE: Duration = Duration::from_secs(60);
const PRUNE_PAUSE: Duration = Duration::from_millis(200);

/// The way to the devices that are connected to this process.
pub trait DeviceLink: Send + Sync {
    /// Sends a message to a device, if it is connected here. Nothing is promised: what must arrive has a lease.
    fn send(&self, device: DeviceId, message: &Downlink) -> Delivery;
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It is queued on the device's connection.
    Queued,
    /// The device has no connection to this process.
    Offline,
    /// The device's queue is full, or the message is too long; the log has it.
    Refused,
}

/// Drives the engine of one process.
pub struct Scheduler {
    engine: Engine,
    link: Arc<dyn DeviceLink>,
    keep_log: Option<Millis>,
}

impl Scheduler {
    /// A scheduler that sends over `link`, and deletes log lines older than `keep_log`; none: they are kept for ever.
    pub fn new(engine: Engine, link: Arc<dyn DeviceLink>, keep_log: Option<Millis>) -> Self {
        Scheduler { engine, link, keep_log }
    }

    /// Runs until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        tokio::join!(self.tick(&shutdown), self.write_business(&shutdown), self.prune_log(&shutdown));
    }

    async fn tick(&self, shutdown: &CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut named: Option<Instant> = None;
        loop {
            let due = tokio::select! {
                () = shutdown.cancelled() => return,
                due = ticks.tick() => due,
            };
            let begun = Instant::now();
            let ticked = self.engine.tick().await;
            self.engine.metrics().tick(begun.saturating_duration_since(due), begun.elapsed());
            match ticked {
                Ok(ticked) => {
                    for (device, message) in ticked.messages {
                        self.link.send(device, &message);
                    }
                }
                Err(error) if named.is_none_or(|named| named.elapsed() >= FAILURE_NAMED) => {
                    named = Some(Instant::now());
                    warn!(%error, "a tick failed; the next one does what is due");
                }
                Err(_) => {}
            }
        }
    }

    /// Writes business data into the devices' logs, a last time at the shutdown.
    async fn write_business(&self, shutdown: &CancellationToken) {
        let mut named: Option<Instant> = None;
        loop {
            let is_last = tokio::select! {
                () = shutdown.cancelled() => true,
                () = sleep(TICK) => false,
            };
            if let Err(error) = self.engine.write_business().await
                && named.is_none_or(|named| named.elapsed() >= FAILURE_NAMED)
            {
                named = Some(Instant::now());
                warn!(%error, "business data of devices is not in their logs");
            }
            if is_last {
                return;
            }
        }
    }

    /// Deletes old log lines, a batch at a time.
    async fn prune_log(&self, shutdown: &CancellationToken) {
        let Some(age) = self.keep_log else { return };
        let mut pause = PRUNE;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(pause) => {}
            }
            pause = PRUNE;
            match self.engine.prune_log(self.engine.clock().now() - age).await {
                Ok(0) => {}
                Ok(lines) => {
                    info!(lines, "deleted old lines of the log");
                    pause = PRUNE_PAUSE;
                }
                Err(error) => warn!(%error, "old lines of the log stay for now"),
            }
        }
    }
}
