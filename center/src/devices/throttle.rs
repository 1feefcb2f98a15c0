//! A bound on what strangers can write into the log.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lines allowed per window.
const LINES: u32 = 50;
const WINDOW: Duration = Duration::from_secs(10);

/// Counts the lines of one window and says how many were left out of the one before.
#[derive(Debug)]
pub(super) struct Throttle(Mutex<Window>);

#[derive(Debug)]
struct Window {
    begun: Instant,
    lines: u32,
}

impl Throttle {
    /// Nothing was written yet.
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(Window { begun: now, lines: 0 }))
    }

    /// Whether one more line may be written; with it the number of those that were not, to be named once.
    pub fn line(&self, now: Instant) -> Option<u32> {
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
        let throttle = Throttle::new(begun);
        let written = (0..1000).filter(|_| throttle.line(begun).is_some()).count();
        assert_eq!(written, 50);
        assert_eq!(throttle.line(begun + WINDOW), Some(950));
        assert_eq!(throttle.line(begun + WINDOW), Some(0));
    }
}
