//! Deduplication of a device's QoS 2 packets (QUECTHING.md 4.1, "resend").
//!
//! A vendor device sends the same PUBLISH, without DUP, until PUBCOMP arrives: before PUBREC, between PUBREC and PUBREL,
//! and crossing our PUBCOMP. So an id is remembered for a while after PUBREL too, together with a digest of the packet:
//! the same id with other bytes is a new packet.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU16;
use std::time::Duration;

use tokio::time::Instant;

/// Packets remembered per session. A device has one in flight; the rest is for those released in the last seconds.
const REMEMBERED: usize = 64;

/// What to do with a QoS 2 PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Not seen: it is handled to its commit, then [`Qos2Dedup::handled`] and PUBREC follow.
    New(Digest),
    /// Handled before: PUBREC only.
    Repeat,
}

/// Identity of a packet beside its id; within one connection and 20 s, 64 bits are enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digest(u64);

impl Digest {
    fn of(topic: &str, payload: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        topic.hash(&mut hasher);
        payload.hash(&mut hasher);
        Self(hasher.finish())
    }
}

#[derive(Debug)]
struct Handled {
    id: NonZeroU16,
    digest: Digest,
    /// None until PUBREL; then the entry is forgotten at that time.
    until: Option<Instant>,
}

/// The QoS 2 packets of one connection.
#[derive(Debug)]
pub(super) struct Qos2Dedup {
    handled: VecDeque<Handled>,
    keep: Duration,
}

impl Qos2Dedup {
    /// Remembers a released packet for `keep`.
    pub fn new(keep: Duration) -> Self {
        Self { handled: VecDeque::new(), keep }
    }

    /// A QoS 2 PUBLISH came in.
    pub fn arrive(&mut self, id: NonZeroU16, topic: &str, payload: &[u8], now: Instant) -> Arrival {
        self.handled.retain(|entry| entry.until.is_none_or(|until| now < until));
        let digest = Digest::of(topic, payload);
        match self.handled.iter_mut().find(|entry| entry.id == id && entry.digest == digest) {
            Some(entry) => {
                // Its PUBREC opens the exchange again: the next PUBREL starts the time anew.
                entry.until = None;
                Arrival::Repeat
            }
            None => Arrival::New(digest),
        }
    }

    /// A new packet was handled to its commit.
    pub fn handled(&mut self, id: NonZeroU16, digest: Digest) {
        // Whatever had this id before is over: the device has given it to another packet.
        self.handled.retain(|entry| entry.id != id);
        if self.handled.len() >= REMEMBERED {
            self.handled.pop_front();
        }
        self.handled.push_back(Handled { id, digest, until: None });
    }

    /// PUBREL came in. An id that is not known is answered by PUBCOMP as well.
    pub fn release(&mut self, id: NonZeroU16, now: Instant) {
        if let Some(entry) = self.handled.iter_mut().find(|entry| entry.id == id) {
            entry.until = now.checked_add(self.keep);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: Duration = Duration::from_secs(20);

    fn id(n: u16) -> NonZeroU16 {
        NonZeroU16::new(n).expect("not 0")
    }

    fn take(qos2_dedup: &mut Qos2Dedup, n: u16, payload: &[u8], now: Instant) -> bool {
        match qos2_dedup.arrive(id(n), "t", payload, now) {
            Arrival::New(digest) => {
                qos2_dedup.handled(id(n), digest);
                true
            }
            Arrival::Repeat => false,
        }
    }

    #[test]
    fn a_repeat_counts_once_before_and_after_release() {
        let mut qos2_dedup = Qos2Dedup::new(KEEP);
        let now = Instant::now();
        assert!(take(&mut qos2_dedup, 7, b"status 5", now));
        assert!(!take(&mut qos2_dedup, 7, b"status 5", now));
        qos2_dedup.release(id(7), now);
        assert!(!take(&mut qos2_dedup, 7, b"status 5", now + Duration::from_secs(19)));
        qos2_dedup.release(id(7), now + Duration::from_secs(19));
        assert!(!take(&mut qos2_dedup, 7, b"status 5", now + Duration::from_secs(38)));
    }

    #[test]
    fn an_id_used_for_other_bytes_is_a_new_packet() {
        let mut qos2_dedup = Qos2Dedup::new(KEEP);
        let now = Instant::now();
        assert!(take(&mut qos2_dedup, 7, b"status 5", now));
        assert!(take(&mut qos2_dedup, 7, b"status 8", now));
        qos2_dedup.release(id(7), now);
        assert!(take(&mut qos2_dedup, 7, b"status 9", now));
    }

    #[test]
    fn a_released_id_is_forgotten_after_its_time() {
        let mut qos2_dedup = Qos2Dedup::new(KEEP);
        let now = Instant::now();
        assert!(take(&mut qos2_dedup, 7, b"status 5", now));
        qos2_dedup.release(id(7), now);
        assert!(take(&mut qos2_dedup, 7, b"status 5", now + KEEP));
    }

    #[test]
    fn memory_is_bounded_when_a_device_never_releases() {
        let mut qos2_dedup = Qos2Dedup::new(KEEP);
        let now = Instant::now();
        for n in 1..=1000 {
            assert!(take(&mut qos2_dedup, n, b"x", now));
        }
        assert_eq!(qos2_dedup.handled.len(), REMEMBERED);
        assert!(!take(&mut qos2_dedup, 1000, b"x", now));
    }
}
