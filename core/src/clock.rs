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

#[cfg(test)]
mod tests {
    use super::*;

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
