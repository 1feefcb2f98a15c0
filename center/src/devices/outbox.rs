//! What waits to be sent to one device, and the word that its connection is to end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use bytestring::ByteString;
use tokio::sync::Notify;

/// One downlink message: a whole frame, as it goes into a PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Publication {
    /// `q/1/d/<clientId>/<leaf>`.
    pub topic: ByteString,
    /// The frame, encrypted if the session is.
    pub payload: Bytes,
}

/// Why the center ends a connection by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kick {
    /// The same client id connected again.
    TakenOver = 1,
    /// The center is stopping.
    ShuttingDown = 2,
}

/// The queue is full: the caller tries again later or lets its lease run out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The bounded queue of one session. A `VecDeque` and a `Notify` cost tens of bytes when idle, a channel two kilobytes.
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Mutex<VecDeque<Publication>>,
    capacity: usize,
    changed: Notify,
    kicked: AtomicU8,
}

impl Outbox {
    /// An empty queue for at most `capacity` messages.
    pub fn new(capacity: usize) -> Self {
        Self {
            queue: Mutex::new(VecDeque::new()),
            capacity,
            changed: Notify::new(),
            kicked: AtomicU8::new(0),
        }
    }

    /// Queues one message and wakes the session.
    ///
    /// # Errors
    /// [`Full`] if `capacity` messages wait already.
    pub fn push(&self, message: Publication) -> Result<(), Full> {
        let mut queue = self.queue();
        if queue.len() >= self.capacity {
            return Err(Full);
        }
        queue.push_back(message);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// The oldest message.
    pub fn pop(&self) -> Option<Publication> {
        let mut queue = self.queue();
        let message = queue.pop_front();
        // An idle session gives the memory of a burst back.
        if queue.is_empty() && queue.capacity() > 8 {
            queue.shrink_to_fit();
        }
        message
    }

    /// Ends the connection at its next step; the first reason stays.
    pub fn kick(&self, reason: Kick) {
        let _ = self.kicked.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
        self.changed.notify_one();
    }

    /// Whether, and why, the connection is to end.
    pub fn kicked(&self) -> Option<Kick> {
        match self.kicked.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Kick::TakenOver),
            _ => Some(Kick::ShuttingDown),
        }
    }

    /// Returns when a message was queued or the session was kicked since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A panic elsewhere cannot leave a queue half changed, so its poison is of no concern.
    fn queue(&self) -> MutexGuard<'_, VecDeque<Publication>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: u8) -> Publication {
        Publication { topic: "t".into(), payload: Bytes::copy_from_slice(&[n]) }
    }

    #[test]
    fn a_full_queue_refuses_and_keeps_its_order() {
        let outbox = Outbox::new(2);
        assert_eq!(outbox.push(message(1)), Ok(()));
        assert_eq!(outbox.push(message(2)), Ok(()));
        assert_eq!(outbox.push(message(3)), Err(Full));
        assert_eq!(outbox.pop(), Some(message(1)));
        assert_eq!(outbox.push(message(4)), Ok(()));
        assert_eq!(outbox.pop(), Some(message(2)));
        assert_eq!(outbox.pop(), Some(message(4)));
        assert_eq!(outbox.pop(), None);
    }

    #[test]
    fn the_first_reason_of_a_kick_stays() {
        let outbox = Outbox::new(1);
        assert_eq!(outbox.kicked(), None);
        outbox.kick(Kick::TakenOver);
        outbox.kick(Kick::ShuttingDown);
        assert_eq!(outbox.kicked(), Some(Kick::TakenOver));
    }
}
