//! What a fleet counts while it lives, and the picture of it.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

/// How far a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Progress {
    /// It was offered nothing yet.
    Waiting,
    /// It has said that the plan came.
    Offered,
    /// It has confirmed the plan.
    Confirmed,
    /// It downloads.
    Downloading,
    /// It has the image, or applies it.
    Upgrading,
    /// It runs the target version, and has said so.
    Upgraded,
    /// It has reported that its last attempt failed.
    Failed,
    /// It has refused its last offer.
    Refused,
    /// It says nothing more of an offer.
    Silent,
    /// It is gone for good.
    Gone,
}

impl Progress {
    /// Every one, in order.
    pub const ALL: [Progress; 10] = [
        Progress::Waiting,
        Progress::Offered,
        Progress::Confirmed,
        Progress::Downloading,
        Progress::Upgrading,
        Progress::Upgraded,
        Progress::Failed,
        Progress::Refused,
        Progress::Silent,
        Progress::Gone,
    ];

    /// Whether the device is done with its offer.
    pub fn is_end(self) -> bool {
        self >= Progress::Upgraded
    }

    fn word(self) -> &'static str {
        match self {
            Progress::Waiting => "waiting",
            Progress::Offered => "offered",
            Progress::Confirmed => "confirmed",
            Progress::Downloading => "downloading",
            Progress::Upgrading => "upgrading",
            Progress::Upgraded => "upgraded",
            Progress::Failed => "failed",
            Progress::Refused => "refused",
            Progress::Silent => "silent",
            Progress::Gone => "gone",
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Counters of a fleet; all of them only grow, but the first two.
#[derive(Debug, Default)]
pub struct Counts {
    progress: [AtomicU64; Progress::ALL.len()],
    /// Devices that are online.
    pub online: AtomicU64,
    /// Connections that became sessions.
    pub connects: AtomicU64,
    /// Tries to connect that failed.
    pub refused: AtomicU64,
    /// Devices that failed to connect twice or more in a row.
    pub refused_twice: AtomicU64,
    /// Sessions that ended without the device's doing.
    pub lost: AtomicU64,
    /// Sessions that devices dropped themselves, as their chances said.
    pub dropped: AtomicU64,
    /// Messages that were acknowledged.
    pub messages: AtomicU64,
    /// Bytes of firmware.
    pub downloaded: AtomicU64,
    /// Offers, and when the first and the last one came, in milliseconds since 1970.
    pub offers: AtomicU64,
    first_offer: AtomicU64,
    last_offer: AtomicU64,
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Counts {
    /// So many devices, which wait.
    pub fn of(devices: u64) -> Counts {
        let counts = Counts::default();
        counts.slot(Progress::Waiting).store(devices, Relaxed);
        counts
    }

    fn slot(&self, progress: Progress) -> &AtomicU64 {
        &self.progress[progress as usize]
    }

    /// Devices that are so far.
    pub fn at(&self, progress: Progress) -> u64 {
        self.slot(progress).load(Relaxed)
    }

    pub(super) fn step(&self, from: Progress, to: Progress) {
        self.slot(from).fetch_sub(1, Relaxed);
        self.slot(to).fetch_add(1, Relaxed);
    }

    pub(super) fn offered(&self) {
        let now = now();
        self.offers.fetch_add(1, Relaxed);
        // Zero: there was none.
        let _ = self.first_offer.compare_exchange(0, now, Relaxed, Relaxed);
        self.last_offer.store(now, Relaxed);
    }

    /// Offers since the last call, and when the first and the last of them came.
    pub fn take_offers(&self) -> (u64, u64, u64) {
        (self.offers.swap(0, Relaxed), self.first_offer.swap(0, Relaxed), self.last_offer.load(Relaxed))
    }

    /// Devices that are done with their offers.
    pub fn ended(&self) -> u64 {
        Progress::ALL.into_iter().filter(|progress| progress.is_end()).map(|progress| self.at(progress)).sum()
    }
}

/// The picture: one line for connections, and one with a bar for each stage that devices are at.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const WIDTH: u64 = 40;
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        let all: u64 = Progress::ALL.into_iter().map(|progress| self.at(progress)).sum();
        writeln!(
            f,
            "online {} of {all}; connects {}, refused {}, lost {}, dropped {}; {} messages, {:.1} MB of firmware",
            read(&self.online),
            read(&self.connects),
            read(&self.refused),
            read(&self.lost),
            read(&self.dropped),
            read(&self.messages),
            read(&self.downloaded) as f64 / 1e6,
        )?;
        for progress in Progress::ALL {
            let count = self.at(progress);
            let bar = count * WIDTH / all.max(1) + u64::from(count > 0);
            writeln!(
                f,
                "  {:<12}{count:>7} {}",
                progress.word(),
                "#".repeat(usize::try_from(bar).unwrap_or(0))
            )?;
        }
        Ok(())
    }
}
