//! The timers of QUECTHING.md 3.2, milliseconds, and ours where the vendor has none.

use crate::clock::Deadline;

/// Confirmed, no URL yet: QUECTHING.md 3.2 "wait URL". Counts from when the platform could know of the answer.
pub const WAIT_URL: u32 = 30_000;
/// Request made, no head yet: QUECTHING.md 3.2 "wait HTTP headers", plus what the vendor's blocking connect takes
/// before that timer starts.
pub const WAIT_HEAD: u32 = CONNECT_ALLOWANCE + 5_000;
/// Name lookup, TCP and TLS handshake on a slow cellular link.
pub const CONNECT_ALLOWANCE: u32 = 10_000;
/// QUECTHING.md 3.2 "downloading heartbeat".
pub const HEARTBEAT: u32 = 5_000;
/// QUECTHING.md 3.2 "HTTP stall": not before this long after the request,
pub const STALL_SINCE_REQUEST: u32 = 10_000;
/// nor before this long after the last byte.
pub const STALL_SINCE_BYTE: u32 = 5_000;
/// In all, what a fetch may take from its head on: this, and its bytes at [`OVERALL_RATE`]. Ours: a server or a proxy
/// that sends a byte now and then stalls for no [`STALL_SINCE_BYTE`], and would hold the device for ever.
pub const OVERALL: u32 = 10 * 60_000;
/// Bytes per second. NB-IoT at the edge of its cell is slower for minutes, not for a whole piece; one that is goes on
/// from the last byte, and such an end is no failure that counts.
pub const OVERALL_RATE: u32 = 64;
/// QUECTHING.md 3.2 "MCU read"; each read starts it again.
pub const MCU_READ: u32 = 60_000;
/// QUECTHING.md 3.2 "update delay (module)".
pub const APPLY_DELAY: u32 = 5_000;
/// QUECTHING.md 3.2 "update wait (MCU)".
pub const MCU_UPDATE: u32 = 20 * 60_000;
/// After a start whether a module upgrade succeeded is decided at the first subscribe, or without a link after this long.
pub const MODULE_VERDICT: u32 = 60_000;
/// An application may hold a verified module image back from apply for this long. A platform may give a module that is
/// "updating" an hour, and its reboot takes some of that.
pub const APPLY_HOLD: u32 = 45 * 60_000;
/// In all, what an application may put [`MCU_READ`] off by for one piece: below the hour that a platform may give a
/// downloaded piece.
pub const READ_MORE: u32 = 50 * 60_000;
/// In all, what an application may put [`MCU_UPDATE`] off by: with it, two hours. A platform may have given up before;
/// the version that is reported then still counts.
pub const MCU_UPDATE_MORE: u32 = 100 * 60_000;
/// After a failed download the plan is asked for again, first after this long; each further failure without a new byte,
/// and each time that the plan did not come, doubles it ([`crate::clock::backoff`]),
pub const RETRY_FIRST: u32 = 2_000;
/// up to the pace at which platforms push by themselves (QUECTHING.md 4.10).
pub const RETRY_MOST: u32 = 10 * 60_000;
/// A plan that did not come back after a failed download is gone.
pub const GIVE_UP: u32 = 24 * 60 * 60_000;
/// Failures in a row without a new byte, of one plan: one more ends the upgrade. QUECTHING.md 3.2 "download failures"
/// has 5. The pauses between so many add up to more than an hour, so that no outage of an hour ends an upgrade.
pub const DOWNLOAD_FAILURES: u8 = 14;
/// The same where it is not the server or the way to it ([`Failure::is_of_device`](super::Failure::is_of_device)): time does not help.
pub const DEVICE_FAILURES: u8 = 5;
/// Status 429 or 503 with Retry-After: so much of it is waited for. Seconds.
pub const RETRY_AFTER_MOST: u32 = 60 * 60;

/// What a fetch of so many bytes may take: [`OVERALL`] and [`OVERALL_RATE`], at most as long as a plan may be away.
pub const fn overall(bytes: u32) -> u32 {
    let wait = (bytes / OVERALL_RATE).saturating_mul(1000).saturating_add(OVERALL);
    if wait < GIVE_UP { wait } else { GIVE_UP }
}

/// Which timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Timer {
    /// [`WAIT_URL`].
    Url = 0,
    /// [`WAIT_HEAD`].
    Head = 1,
    /// [`HEARTBEAT`].
    Heartbeat = 2,
    /// [`STALL_SINCE_REQUEST`] and [`STALL_SINCE_BYTE`].
    Stall = 3,
    /// [`MCU_READ`].
    Read = 4,
    /// [`APPLY_DELAY`].
    ApplyDelay = 5,
    /// As long as the platform's apply said.
    ModuleUpdate = 6,
    /// [`MCU_UPDATE`].
    McuUpdate = 7,
    /// [`RETRY_FIRST`], [`RETRY_MOST`].
    Retry = 8,
    /// [`GIVE_UP`].
    GiveUp = 9,
    /// [`MODULE_VERDICT`].
    Verdict = 10,
    /// [`APPLY_HOLD`].
    Hold = 11,
    /// [`overall`].
    Overall = 12,
}

impl Timer {
    /// Milliseconds that it runs; 0 of those that take as long as something else says.
    pub(super) fn wait(self) -> u32 {
        const WAITS: [u32; Timer::ALL.len()] = [
            WAIT_URL,
            WAIT_HEAD,
            HEARTBEAT,
            STALL_SINCE_REQUEST,
            MCU_READ,
            APPLY_DELAY,
            0,
            MCU_UPDATE,
            0,
            GIVE_UP,
            MODULE_VERDICT,
            APPLY_HOLD,
            0,
        ];
        WAITS.get(self as usize).copied().unwrap_or(0)
    }

    /// All of them, in the order in which they are looked at.
    pub const ALL: [Timer; 13] = [
        Timer::Url,
        Timer::Head,
        Timer::Heartbeat,
        Timer::Stall,
        Timer::Read,
        Timer::ApplyDelay,
        Timer::ModuleUpdate,
        Timer::McuUpdate,
        Timer::Retry,
        Timer::GiveUp,
        Timer::Verdict,
        Timer::Hold,
        Timer::Overall,
    ];
}

/// The running timers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timers([Option<Deadline>; Timer::ALL.len()]);

impl Timers {
    /// None runs.
    pub const fn new() -> Self {
        Timers([None; Timer::ALL.len()])
    }

    /// Starts `timer`, or starts it again.
    pub fn arm(&mut self, timer: Timer, at: Deadline) {
        if let Some(slot) = self.0.get_mut(timer as usize) {
            *slot = Some(at);
        }
    }

    /// Stops `timer`.
    pub fn stop(&mut self, timer: Timer) {
        if let Some(slot) = self.0.get_mut(timer as usize) {
            *slot = None;
        }
    }

    /// Stops all of them.
    pub fn clear(&mut self) {
        self.0 = [None; Timer::ALL.len()];
    }

    /// When `timer` is due, if it runs.
    pub fn get(&self, timer: Timer) -> Option<Deadline> {
        self.0.get(timer as usize).copied().flatten()
    }

    /// Takes the first timer that is due.
    pub fn take_due(&mut self, now: u32) -> Option<Timer> {
        let timer = Timer::ALL.into_iter().find(|timer| self.get(*timer).is_some_and(|at| at.due(now)))?;
        self.stop(timer);
        Some(timer)
    }

    /// Milliseconds until the next is due.
    pub fn left(&self, now: u32) -> Option<u32> {
        self.0.iter().flatten().map(|at| at.left(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::backoff;

    #[test]
    fn a_timer_stands_where_its_number_says() {
        for (at, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, at);
        }
        assert_eq!((Timer::Read.wait(), Timer::Hold.wait()), (MCU_READ, APPLY_HOLD));
    }

    #[test]
    fn the_pauses_between_failures_add_up_to_more_than_an_hour() {
        let pauses = (0..u32::from(DOWNLOAD_FAILURES)).map(|nth| backoff(RETRY_FIRST, nth, RETRY_MOST, 0));
        assert!(pauses.sum::<u32>() >= 67 * 60_000);
    }
}
