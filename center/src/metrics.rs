//! Figures of one process for Prometheus. No figure names a device: a fleet of millions would be millions of series.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::open_files;
use crate::rules::progress::UpgradeState;
use crate::store::Observer;

/// One label; its values are words of ours, never a device's text.
type One = [(&'static str, &'static str); 1];
/// Two labels.
type Two = [(&'static str, &'static str); 2];

/// Limits of the latency histograms, in seconds.
const LATENCIES: [f64; 11] = [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];

/// The figures of one center. Clones count into the same ones.
#[derive(Clone)]
pub struct Metrics(Arc<Figures>);

struct Figures {
    registry: Registry,
    connections: Gauge,
    connects: Family<One, Counter>,
    messages: Family<One, Counter>,
    offers: Counter,
    statuses: Family<One, Counter>,
    failures: Family<One, Counter>,
    ended: Family<Two, Counter>,
    in_flight: Gauge,
    downloads: Family<One, Counter>,
    tokens_refused: Counter,
    webhooks: Family<One, Counter>,
    download_bytes: Counter,
    store_wait: Histogram,
    store_write: Histogram,
    contention: Counter,
    ticks: Histogram,
    tick_lag: Gauge<f64, AtomicU64>,
    forgotten: Counter,
    set_aside: Family<One, Counter>,
    messages_failed: Counter,
    log_lost: Gauge,
    lost_lines: OnceLock<Box<dyn Fn() -> u64 + Send + Sync>>,
    business: Family<One, Counter>,
    centers: Gauge,
    centers_lost: Counter,
    taken_over: Counter,
    wakeups: Counter,
    takeovers: Counter,
    store_log: Gauge,
    open_files: Gauge,
    open_files_limit: Gauge,
    names: Vec<&'static str>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("quecota");
        let latency = || Histogram::new(LATENCIES);
        let mut figures = Figures {
            registry: Registry::default(),
            connections: Gauge::default(),
            connects: Family::default(),
            messages: Family::default(),
            offers: Counter::default(),
            statuses: Family::default(),
            failures: Family::default(),
            ended: Family::default(),
            in_flight: Gauge::default(),
            downloads: Family::default(),
            tokens_refused: Counter::default(),
            webhooks: Family::default(),
            download_bytes: Counter::default(),
            store_wait: latency(),
            store_write: latency(),
            contention: Counter::default(),
            ticks: latency(),
            tick_lag: Gauge::default(),
            forgotten: Counter::default(),
            set_aside: Family::default(),
            messages_failed: Counter::default(),
            log_lost: Gauge::default(),
            lost_lines: OnceLock::new(),
            business: Family::default(),
            centers: Gauge::default(),
            centers_lost: Counter::default(),
            taken_over: Counter::default(),
            wakeups: Counter::default(),
            takeovers: Counter::default(),
            store_log: Gauge::default(),
            open_files: Gauge::default(),
            open_files_limit: Gauge::default(),
            names: vec!["build"],
        };
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program that runs", build);
        macro_rules! register {
            ($($field:ident, $name:literal, $help:literal;)+) => {
                $(
                    registry.register($name, $help, figures.$field.clone());
                    figures.names.push($name);
                )+
            };
        }
        register! {
            connections, "connections", "Devices connected to this process";
            connects, "connects", "Devices that asked to connect, by what became of it";
            messages, "messages", "Messages from devices (in) and to them (out)";
            offers, "offers", "Plans offered to devices";
            statuses, "statuses", "Upgrade statuses reported by devices, by status";
            failures, "attempt_failures", "Failed attempts at a component, by class of the reason";
            ended, "upgrades_ended", "Device upgrades that ended, by result and class of the reason";
            in_flight, "upgrades_in_flight", "Device upgrades that were offered or are at work, of all centers of the database";
            tokens_refused, "tokens_refused", "Requests to the API with a wrong, expired or revoked token";
            webhooks, "webhook_attempts", "Attempts to tell a webhook, by what became of it; given_up and dropped count messages";
            downloads, "download_requests", "Requests for package files, by HTTP status";
            download_bytes, "download_bytes", "Bytes of package files sent";
            store_wait, "store_wait_seconds", "Time that a query waited for a connection to the database";
            store_write, "store_write_seconds", "Time from the begin of a transaction to its commit";
            contention, "store_retries", "Transactions begun anew because the database ended them for the sake of others";
            ticks, "tick_seconds", "Time that a tick of the scheduler took";
            tick_lag, "tick_lag_seconds", "How late the last tick began";
            forgotten, "log_lines_forgotten", "Log lines deleted because of their age";
            set_aside, "set_aside", "Devices and plans that cannot be handled, most likely for an unusable row, and are tried again later";
            business, "business_messages", "Business data from devices, by kind: acknowledged, and shown in the device's log";
            centers, "centers", "Centers that are alive on the database, as this one sees it; 0: it is alone on its own";
            centers_lost, "centers_lost", "Centers that fell silent, whose connections this one has ended";
            taken_over, "connections_taken_over", "Connections closed here because the device connected to another center, or is forbidden";
            takeovers, "takeovers", "Connections that took over one of the same device that still stood; many of one device: two have its key";
            wakeups, "wakeups", "Notifications of other centers that something is due here";
            store_log, "store_log_bytes", "Bytes of SQLite's write-ahead log; 0: the database is PostgreSQL, or nothing was written yet";
            open_files, "open_files", "Files and connections that this process has open";
            open_files_limit, "open_files_limit", "Files and connections that this process may have open";
            messages_failed, "messages_failed", "Messages from devices that were acknowledged and cannot be handled";
            log_lost, "process_log_lines_lost", "Lines of the process's own log that nobody took in time, since the start";
        }
        figures.registry = registry;
        Self(Arc::new(figures))
    }
}

impl Metrics {
    /// A connection of a device begins; it ends when the value is dropped.
    #[must_use]
    pub fn connection(&self) -> Connected {
        self.0.connections.inc();
        Connected(self.0.connections.clone())
    }

    /// A device asked to connect, or said nothing until its place was needed.
    pub fn connect(&self, outcome: &'static str) {
        self.0.connects.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A transaction is begun anew.
    pub(crate) fn contention(&self) {
        self.0.contention.inc();
    }

    /// A message came from a device.
    pub fn message_in(&self) {
        self.0.messages.get_or_create(&[("direction", "in")]).inc();
    }

    /// A request showed a token that is none of ours.
    pub fn token_refused(&self) {
        self.0.tokens_refused.inc();
    }

    /// An attempt to tell a webhook ended so.
    pub(crate) fn webhook(&self, outcome: &'static str) {
        self.0.webhooks.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// So many messages to webhooks were dropped because too many waited.
    pub(crate) fn webhooks_dropped(&self, messages: u64) {
        self.0.webhooks.get_or_create(&[("outcome", "dropped")]).inc_by(messages);
    }

    /// Business data came from a device, of this kind.
    pub fn business(&self, kind: &'static str) {
        self.0.business.get_or_create(&[("kind", kind)]).inc();
    }

    /// A message goes to a device.
    pub fn message_out(&self) {
        self.0.messages.get_or_create(&[("direction", "out")]).inc();
    }

    /// What a transaction did was committed.
    pub(crate) fn committed(&self, count: Count) {
        match count {
            Count::Offer => {
                self.0.offers.inc();
            }
            Count::Status(status) => {
                self.0.statuses.get_or_create(&[("status", status)]).inc();
            }
            Count::Failure(class) => {
                self.0.failures.get_or_create(&[("reason", class)]).inc();
            }
            Count::Ended { devices: 0, .. } => {}
            Count::Ended { state, class, devices } => {
                self.0.ended.get_or_create(&[("result", state.as_str()), ("reason", class)]).inc_by(devices);
            }
            Count::Takeover => {
                self.0.takeovers.inc();
            }
            Count::Forgotten(lines) => {
                self.0.forgotten.inc_by(lines);
            }
        }
    }

    /// A request for a package file was answered with this status.
    pub fn download(&self, status: u16) {
        let status = match status {
            200 => "200",
            206 => "206",
            307 => "307",
            403 => "403",
            404 => "404",
            416 => "416",
            503 => "503",
            _ => "other",
        };
        self.0.downloads.get_or_create(&[("status", status)]).inc();
    }

    /// Bytes of package files were sent.
    pub fn downloaded(&self, bytes: u64) {
        self.0.download_bytes.inc_by(bytes);
    }

    /// A tick began this late and took this long.
    pub fn tick(&self, lag: Duration, took: Duration) {
        self.0.tick_lag.set(lag.as_secs_f64());
        self.0.ticks.observe(took.as_secs_f64());
    }

    /// A device or plan cannot be handled, and is left alone for some time.
    pub(crate) fn set_aside(&self, subject: Subject) {
        let what = match subject {
            Subject::Device => "device",
            Subject::Plan => "plan",
        };
        self.0.set_aside.get_or_create(&[("what", what)]).inc();
    }

    /// So many centers are alive on the database.
    pub(crate) fn centers(&self, alive: usize) {
        self.0.centers.set(i64::try_from(alive).unwrap_or(i64::MAX));
    }

    /// The connections of a center that fell silent were ended.
    pub(crate) fn center_lost(&self) {
        self.0.centers_lost.inc();
    }

    /// A connection is closed because its device connected to another center.
    pub(crate) fn taken_over(&self) {
        self.0.taken_over.inc();
    }

    /// Another center said that something is due here.
    pub(crate) fn wakeup(&self) {
        self.0.wakeups.inc();
    }

    /// A message is acknowledged although it cannot be handled.
    pub(crate) fn message_failed(&self) {
        self.0.messages_failed.inc();
    }

    /// Where the number of lines is asked for that the process's log has lost; the first one given counts.
    pub fn lost_lines_of(&self, lost: impl Fn() -> u64 + Send + Sync + 'static) {
        // The log of a process is set up once.
        let _ = self.0.lost_lines.set(Box::new(lost));
    }

    /// The write-ahead log of the database has so many bytes.
    pub(crate) fn store_log(&self, bytes: u64) {
        self.0.store_log.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// The name of every figure, without `quecota_` and without what the text format adds to its end.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.0.names
    }

    /// Everything in the OpenMetrics text format; `in_flight` as the database counts it now.
    ///
    /// # Errors
    /// The text cannot be written, which no figure of ours causes.
    pub fn text(&self, in_flight: i64) -> Result<String, fmt::Error> {
        self.0.in_flight.set(in_flight);
        let lost = self.0.lost_lines.get().map_or(0, |lost| lost());
        self.0.log_lost.set(i64::try_from(lost).unwrap_or(i64::MAX));
        self.0.open_files.set(open_files::open().and_then(|open| i64::try_from(open).ok()).unwrap_or(0));
        self.0.open_files_limit.set(i64::try_from(open_files::limit()).unwrap_or(i64::MAX));
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

impl Observer for Metrics {
    fn waited(&self, time: Duration) {
        self.0.store_wait.observe(time.as_secs_f64());
    }

    fn committed(&self, time: Duration) {
        self.0.store_write.observe(time.as_secs_f64());
    }
}

/// What may be set aside.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject {
    Device,
    Plan,
}

/// What a transaction does, counted when it is committed: one that is rolled back did nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
    /// A plan was offered.
    Offer,
    /// A device reported a status, named as on the wire.
    Status(&'static str),
    /// An attempt failed.
    Failure(&'static str),
    /// Device upgrades came to their end.
    Ended {
        /// In this state.
        state: UpgradeState,
        /// Why, in one word.
        class: &'static str,
        /// How many.
        devices: u64,
    },
    /// A connection took over another one of its device.
    Takeover,
    /// Lines of the log were deleted.
    Forgotten(u64),
}

/// A device is connected as long as this lives.
#[derive(Debug)]
pub struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_holds_what_was_counted() {
        let metrics = Metrics::default();
        let first = metrics.connection();
        let second = metrics.connection();
        drop(first);
        metrics.committed(Count::Status("DOWNLOADING"));
        metrics.committed(Count::Status("DOWNLOADING"));
        for (state, class, devices) in
            [(UpgradeState::Failed, "silence", 3), (UpgradeState::Upgraded, "none", 0)]
        {
            metrics.committed(Count::Ended { state, class, devices });
        }
        metrics.download(418);
        let text = metrics.text(7).unwrap();
        for line in [
            "quecota_connections 1",
            "quecota_statuses_total{status=\"DOWNLOADING\"} 2",
            "quecota_upgrades_ended_total{result=\"upgrade_failed\",reason=\"silence\"} 3",
            "quecota_download_requests_total{status=\"other\"} 1",
            "quecota_upgrades_in_flight 7",
            concat!("quecota_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(text.lines().any(|said| said == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("result=\"upgraded\"") && text.ends_with("# EOF\n"));
        drop(second);
    }
}
