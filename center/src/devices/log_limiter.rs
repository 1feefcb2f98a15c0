//! A limit on the log lines that unauthenticated peers can cause.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines allowed per window.
const LINES: u32 = 50;
const WINDOW: Duration = Duration::from_secs(10);

/// Counts the lines of a window and those that were left out of the one before.
#[derive(Debug)]
pub(super) struct LogLimiter(Mutex<Window>);

#[derive(Debug)]
struct Window {
    begun: Instant,
    lines: u32,
}

impl LogLimiter {
    /// A limiter that has counted no line.
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(Window { begun: now, lines: 0 }))
    }

    /// Whether one more line may be written; if so, how many were left out before it, told once per window.
    pub fn admit(&self, now: Instant) -> Option<u32> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out = 0;
        if now.saturating_duration_since(window.begun) >= WINDOW {
            left_out = window.lines.saturating_sub(LINES);
            *window = Window { begun: now, lines: 0 };
        }
        window.lines = window.lines.saturating_add(1);
        (window.lines <= LINES).then_some(left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_and_counted() {
        let begun = Instant::now();
        let log_limiter = LogLimiter::new(begun);
        let written = (0..1000).filter(|_| log_limiter.admit(begun).is_some()).count();
        assert_eq!(written, 50);
        assert_eq!(log_limiter.admit(begun + WINDOW), Some(950));
        assert_eq!(log_limiter.admit(begun + WINDOW), Some(0));
    }
}
