//! Time: what is due is looked for once a second, or later where nothing can be due before, and the messages that follow go
//! out over a [`DeviceLink`].
//!
//! Where several centers share a database, each does what is due for the devices that it holds. Another center's
//! notification only makes that sooner. Once a second this one says that it is alive.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::clock::{ClockWatch, Millis};
use crate::engine::centers::{Beat, SILENCE};
use crate::engine::{Downlink, Engine, Quiet, SessionId};
use crate::store::DeviceId;

/// Time between two ticks.
const TICK: Duration = Duration::from_secs(1);
/// Where nothing is due, the next tick comes after as many times that time at the latest: the clock may be set meanwhile.
const QUIET_TICKS: u32 = 5;
/// Least time from one tick to the next: many things that become due at once are one tick's work.
const TICK_PAUSE: Duration = Duration::from_millis(50);
/// Time between two signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// Longest wait for a sign of life to be taken.
const BEAT_DEADLINE: Duration = Duration::from_secs(5);
/// Without a sign of life for so long the devices are sent away: another center may be able to serve them.
const CUT_OFF: Duration = Duration::from_secs(60);
/// How often silent centers are looked for, and centers that nobody knows.
const ROLL_CALL: Duration = Duration::from_secs(2);
const UNKNOWN_CENTERS: Duration = Duration::from_secs(60);
/// Pause before notifications are asked for again.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// Time between two failed ticks that the log names: a database may be away for hours.
const FAILURE_NAMED: Duration = Duration::from_secs(60);
/// How often old log lines are looked for, and the pause between two batches of them.
const PRUNE: Duration = Duration::from_secs(60);
const PRUNE_PAUSE: Duration = Duration::from_millis(200);
/// How often the database's own log is looked at.
const TEND: Duration = Duration::from_secs(10);

/// The way to the devices that are connected to this process.
pub trait DeviceLink: Send + Sync {
    /// Sends a message to a device, if it is connected here. Nothing is promised: what must arrive has a lease.
    fn send(&self, device: DeviceId, message: &Downlink) -> Delivery;

    /// Closes the connection `session` of a device, if it is the one here: the device has another one elsewhere.
    fn close(&self, device: DeviceId, session: &SessionId);

    /// Closes every connection: they count as ended already, or nothing can be done for them here.
    fn close_all(&self);
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
    tick: Duration,
}

impl Scheduler {
    /// A scheduler that sends over `link`, and deletes log lines older than `keep_log`; none: they are kept for ever.
    pub fn new(engine: Engine, link: Arc<dyn DeviceLink>, keep_log: Option<Millis>) -> Self {
        Scheduler { engine, link, keep_log, tick: TICK }
    }

    /// The same with another time between two ticks.
    #[must_use]
    pub fn ticking_every(self, tick: Duration) -> Self {
        Scheduler { tick, ..self }
    }

    /// Runs until `shutdown`, or until another process has started under the id of this center.
    pub async fn run(self, shutdown: CancellationToken) {
        let work = async {
            tokio::join!(
                self.end_earlier_sessions(&shutdown),
                self.tick(&shutdown),
                self.write_business(&shutdown),
                self.prune_log(&shutdown),
                self.tend_database_log(&shutdown)
            )
        };
        if !self.engine.is_shared() {
            tokio::select! {
                _ = work => {}
                () = self.close_forbidden() => {}
            }
            return;
        }
        tokio::select! {
            _ = work => {}
            () = self.stay_alive(&shutdown) => {}
            () = self.listen() => {}
            () = self.call_roll() => {}
        }
    }

    /// Says that this center is alive, and closes connections that other centers have taken over.
    async fn stay_alive(&self, shutdown: &CancellationToken) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        let mut cut_off = false;
        loop {
            tokio::select! {
                _ = beats.tick() => {}
                () = self.engine.wake().until_taken_over() => {}
            }
            match timeout(BEAT_DEADLINE, self.engine.beat()).await {
                Ok(Ok(Beat::Counted)) => {
                    // A process that stood still was not heard.
                    let gap = last.elapsed() >= BEAT_DEADLINE;
                    let since = self.engine.heard_since().filter(|_| !gap);
                    self.engine.set_heard_since(since.or_else(|| Some(std::time::Instant::now())));
                    (last, cut_off) = (Instant::now(), false);
                }
                Ok(Ok(Beat::Lost)) => {
                    warn!("this center was silent for too long: its devices have to connect anew");
                    self.link.close_all();
                    self.engine.set_heard_since(Some(std::time::Instant::now()));
                    (last, cut_off) = (Instant::now(), false);
                }
                Ok(Ok(Beat::Replaced)) => {
                    let center = self.engine.center();
                    error!(center, "another process has started under this center id; this one ends");
                    // During a shutdown there is no other part that could end first.
                    if shutdown.is_cancelled() {
                        std::future::pending::<()>().await;
                    }
                    return;
                }
                outcome => {
                    self.engine.set_heard_since(None);
                    if let Ok(Err(error)) = outcome {
                        tracing::debug!(%error, "no sign of life");
                    }
                    if last.elapsed() >= CUT_OFF && !cut_off {
                        warn!(
                            "no database for {CUT_OFF:?}: the devices are sent away, perhaps another center can serve them"
                        );
                        self.link.close_all();
                        cut_off = true;
                    }
                    continue;
                }
            }
            self.close_taken_over().await;
        }
    }

    /// Closes connections whose devices have another one elsewhere, or are forbidden.
    async fn close_taken_over(&self) {
        match timeout(BEAT_DEADLINE, self.engine.taken_over()).await {
            Ok(Ok(taken)) => {
                for (device, session) in taken {
                    self.engine.metrics().taken_over();
                    self.link.close(device, &session);
                }
            }
            // They stay in the list.
            Ok(Err(error)) => tracing::debug!(%error, "connections taken over are closed later"),
            Err(_) => {}
        }
    }

    /// The same, where no other center takes connections over.
    async fn close_forbidden(&self) {
        loop {
            self.close_taken_over().await;
            self.engine.wake().until_taken_over().await;
        }
    }

    /// Hears what other centers say is due here.
    async fn listen(&self) {
        loop {
            match self.engine.store().wakeups(self.engine.center()).await {
                Ok(Some(mut wakeups)) => {
                    // Something may have been said before we listened.
                    self.engine.wake().all();
                    while wakeups.next().await.is_ok() {
                        self.engine.metrics().wakeup();
                        self.engine.wake().all();
                    }
                }
                Ok(None) => return std::future::pending().await,
                Err(error) => tracing::debug!(%error, "no notifications for now; ticks find what is due"),
            }
            sleep(LISTEN_AGAIN).await;
        }
    }

    /// Ends the connections of centers that are silent.
    async fn call_roll(&self) {
        let mut noted: Option<Instant> = None;
        loop {
            sleep(ROLL_CALL).await;
            let span = Duration::from_millis(SILENCE.0.unsigned_abs());
            let since = self.engine.heard_since();
            if since.is_none_or(|since| since.elapsed() < span) {
                continue;
            }
            if let Err(error) = self.engine.end_silent_centers().await {
                warn!(%error, "the connections of a silent center are ended later");
            }
            if noted.is_none_or(|noted| noted.elapsed() >= UNKNOWN_CENTERS) {
                noted = Some(Instant::now());
                if let Err(error) = self.engine.note_unknown_centers().await {
                    tracing::debug!(%error, "unknown centers are noted later");
                }
            }
        }
    }

    /// Ends what earlier runs left behind.
    async fn end_earlier_sessions(&self, shutdown: &CancellationToken) {
        let ended = async {
            while let Err(error) = self.engine.end_earlier_sessions().await {
                warn!(%error, "connections of before the start are ended later");
                sleep(LISTEN_AGAIN).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = ended => {}
        }
    }

    async fn tick(&self, shutdown: &CancellationToken) {
        let mut named: Option<Instant> = None;
        let mut watch = ClockWatch::default();
        let (mut last, mut next) = (Instant::now(), Instant::now());
        let mut quiet: Option<Quiet> = None;
        loop {
            let due = tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep_until(next) => next,
                () = self.engine.wake().until_due() => {
                    let due = Instant::now();
                    sleep_until(last + TICK_PAUSE).await;
                    due
                }
                () = self.until_it_is_loud(quiet) => {
                    (quiet, next) = (None, last + self.tick);
                    continue;
                }
            };
            let begun = Instant::now();
            if let Some(jump) = watch.look(self.engine.clock().now(), begun.into_std())
                && let Err(error) = self.engine.jumped(jump).await
            {
                warn!(%error, ?jump, "leases could not follow the clock");
            }
            let ticked = self.engine.tick().await;
            self.engine.metrics().tick(begun.saturating_duration_since(due), begun.elapsed());
            quiet = ticked.as_ref().ok().and_then(|ticked| ticked.quiet);
            next = begun + quiet.map_or(self.tick, |quiet| self.pause(quiet));
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
            last = Instant::now();
        }
    }

    /// How long the next tick can wait.
    fn pause(&self, Quiet { until, .. }: Quiet) -> Duration {
        let left = u64::try_from((until - self.engine.clock().now()).0).unwrap_or_default();
        Duration::from_millis(left).clamp(self.tick, self.tick * QUIET_TICKS)
    }

    /// Returns when something was written since the quiet began, from which more may be due.
    async fn until_it_is_loud(&self, quiet: Option<Quiet>) {
        match quiet {
            Some(quiet) => self.engine.store().until_commit(quiet.commits).await,
            None => std::future::pending().await,
        }
    }

    /// Writes business data into the devices' logs, a last time at the shutdown.
    async fn write_business(&self, shutdown: &CancellationToken) {
        let mut named: Option<Instant> = None;
        loop {
            let is_last = tokio::select! {
                () = shutdown.cancelled() => true,
                () = async {
                    self.engine.until_business().await;
                    sleep(TICK).await;
                } => false,
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

    /// Keeps the database's own log short.
    async fn tend_database_log(&self, shutdown: &CancellationToken) {
        let mut named: Option<Instant> = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = sleep(TEND) => {}
            }
            match self.engine.tend_database_log().await {
                Ok(Some(bytes)) if named.is_none_or(|named| named.elapsed() >= FAILURE_NAMED) => {
                    named = Some(Instant::now());
                    warn!(
                        bytes,
                        "the database's write-ahead log is long: something reads the file for a long time"
                    );
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the database's write-ahead log stays for now"),
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
