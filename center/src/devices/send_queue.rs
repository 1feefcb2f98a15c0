//! The bounded queue of messages to one device, and the request to close its connection.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use bytestring::ByteString;
use tokio::sync::Notify;

/// One message: a whole frame, as it goes into a PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Publication {
    /// `q/1/d/<clientId>/<leaf>`.
    pub topic: ByteString,
    /// The frame, encrypted if the session is.
    pub payload: Bytes,
}

/// Why the center closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum CloseReason {
    /// The same client id connected again.
    TakenOver = 1,
    /// The center is stopping.
    ShuttingDown = 2,
    /// The other centers took this one for stopped, or it cannot reach the database.
    CutOff = 3,
}

/// The queue is full: the caller tries again later or lets its lease run out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The bounded queue of one session. A `VecDeque` and a `Notify` cost tens of bytes when idle, a channel two kilobytes.
#[derive(Debug)]
pub(super) struct SendQueue {
    queue: Mutex<VecDeque<Publication>>,
    capacity: usize,
    changed: Notify,
    closed: AtomicU8,
}

impl SendQueue {
    /// An empty queue for at most `capacity` messages.
    pub fn new(capacity: usize) -> Self {
        Self {
            queue: Mutex::new(VecDeque::new()),
            capacity,
            changed: Notify::new(),
            closed: AtomicU8::new(0),
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
        // An idle session holds no memory for messages.
        if queue.is_empty() {
            *queue = VecDeque::new();
        }
        message
    }

    /// Asks the session to close at its next step; the first reason stays.
    pub fn close(&self, reason: CloseReason) {
        let _ = self.closed.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
        self.changed.notify_one();
    }

    /// Why the connection is to be closed; none: it is not.
    pub fn close_reason(&self) -> Option<CloseReason> {
        match self.closed.load(Ordering::Acquire) {
            0 => None,
            1 => Some(CloseReason::TakenOver),
            2 => Some(CloseReason::ShuttingDown),
            _ => Some(CloseReason::CutOff),
        }
    }

    /// Returns when a message was queued or the session was asked to close since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// A panic elsewhere cannot leave a queue half changed, so a poisoned lock is used all the same.
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
        let send_queue = SendQueue::new(2);
        assert_eq!(send_queue.push(message(1)), Ok(()));
        assert_eq!(send_queue.push(message(2)), Ok(()));
        assert_eq!(send_queue.push(message(3)), Err(Full));
        assert_eq!(send_queue.pop(), Some(message(1)));
        assert_eq!(send_queue.push(message(4)), Ok(()));
        assert_eq!(send_queue.pop(), Some(message(2)));
        assert_eq!(send_queue.pop(), Some(message(4)));
        assert_eq!(send_queue.pop(), None);
    }

    #[test]
    fn the_first_reason_to_close_stays() {
        let send_queue = SendQueue::new(1);
        assert_eq!(send_queue.close_reason(), None);
        send_queue.close(CloseReason::TakenOver);
        send_queue.close(CloseReason::ShuttingDown);
        assert_eq!(send_queue.close_reason(), Some(CloseReason::TakenOver));
    }
}
