//! Time as the device has it: milliseconds that wrap at 2^32.

/// A moment at most 2^31 ms (24 days) away, so that before and after are known across the wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline(u32);

impl Deadline {
    /// The moment `wait` milliseconds after `now`.
    pub const fn after(now: u32, wait: u32) -> Self {
        Deadline(now.wrapping_add(wait))
    }

    /// Whether it has come.
    pub const fn due(self, now: u32) -> bool {
        now.wrapping_sub(self.0) < 1 << 31
    }

    /// Milliseconds until it comes; 0 once it has.
    pub const fn left(self, now: u32) -> u32 {
        if self.due(now) { 0 } else { self.0.wrapping_sub(now) }
    }

    /// The later of two.
    pub const fn or_later(self, other: Deadline) -> Self {
        if self.due(other.0) { other } else { self }
    }
}

/// Jitter at least, milliseconds.
const JITTER: u32 = 2_000;

/// The wait before something that failed is tried again: `first`, doubled so many times, up to `most`, and then up to a
/// quarter more by chance (or 2 s, if that is more), so that a fleet does not come back as one. Milliseconds.
pub fn backoff(first: u32, doublings: u32, most: u32, random: u32) -> u32 {
    let wait = first.saturating_mul(1 << doublings.min(31)).min(most);
    wait.saturating_add(random.checked_rem((wait / 4).max(JITTER)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_are_spread_over_a_quarter() {
        assert_eq!(
            [0, 1, 8, 9, 40].map(|doublings| backoff(2_000, doublings, 600_000, 0)),
            [2_000, 4_000, 512_000, 600_000, 600_000]
        );
        for random in [0, 1, 1_999, 2_000, 149_999, 150_000, u32::MAX] {
            assert!((2_000..4_000).contains(&backoff(2_000, 0, 600_000, random)), "{random}");
            assert!((600_000..750_000).contains(&backoff(2_000, 9, 600_000, random)), "{random}");
        }
        assert_eq!(backoff(u32::MAX, 1, u32::MAX, u32::MAX), u32::MAX);
    }

    #[test]
    fn a_deadline_across_the_wrap_is_due_when_its_time_has_passed() {
        let deadline = Deadline::after(u32::MAX - 10, 30);
        assert!(!deadline.due(u32::MAX - 10));
        assert!(!deadline.due(18));
        assert_eq!(deadline.left(u32::MAX), 20);
        assert!(deadline.due(19));
        assert_eq!(deadline.left(25), 0);
        assert_eq!(deadline.or_later(Deadline::after(u32::MAX, 0)), deadline);
    }
}
