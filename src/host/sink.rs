//! The way of transport events from the I/O threads to the agent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use quecota_core::platform::{Delivery, TransportEvent};

/// Delivers transport events to the agent. Called by I/O threads, never from inside a platform call.
pub(super) trait EventSink: Send + Sync {
    /// Locks the agent, drops the event (`Stop`) if `generation` is not the present one, else hands it to the agent and
    /// wakes its poll.
    fn deliver(&self, generation: &Generation, event: TransportEvent<'_>) -> Delivery;
}

/// Counts connections, or fetches: events of any but the latest one are dropped.
#[derive(Debug, Default)]
pub(super) struct GenerationCounter {
    current: Arc<AtomicU32>,
}

impl GenerationCounter {
    /// Begins the next generation, which ends the one before. Called with the agent locked.
    pub fn next(&self) -> Generation {
        let number = self.current.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        Generation { current: Arc::clone(&self.current), number }
    }

    /// Ends the present generation. Called with the agent locked.
    pub fn close(&self) {
        self.current.fetch_add(1, Ordering::AcqRel);
    }
}

/// One connection or fetch. It ends once the agent has asked for another or for none, so that what an old one still brings
/// is not taken for an event of the new one.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    current: Arc<AtomicU32>,
    number: u32,
}

impl Generation {
    /// Whether it is the present one. Certain only while the agent is locked.
    pub fn valid(&self) -> bool {
        self.current.load(Ordering::Acquire) == self.number
    }
}

#[cfg(test)]
pub(super) mod recording {
    //! A sink for tests, which keeps what is delivered.

    use super::*;
    use quecota_core::platform::{FetchEnd, FetchHead, Link, SendId};
    use std::collections::VecDeque;
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    /// An owned [`TransportEvent`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Received {
        Link(Link),
        Message(String, Vec<u8>),
        Sent(SendId, bool),
        FetchHead(FetchHead),
        FetchData(Vec<u8>),
        FetchEnd(FetchEnd),
    }

    #[derive(Default)]
    struct State {
        received: VecDeque<Received>,
        replies: VecDeque<Delivery>,
    }

    /// Keeps events, and replies as it was set to, else `Taken`.
    #[derive(Default)]
    pub struct Recorder {
        state: Mutex<State>,
        came: Condvar,
    }

    impl Recorder {
        /// The replies to the next events.
        pub fn reply(&self, replies: impl IntoIterator<Item = Delivery>) {
            self.state.lock().unwrap().replies.extend(replies);
        }

        /// The next event; none within 20 s fails the test.
        pub fn next(&self) -> Received {
            self.within(Duration::from_secs(20)).expect("an event within 20 s")
        }

        /// The next event if one comes in time.
        pub fn within(&self, limit: Duration) -> Option<Received> {
            let state = self.state.lock().unwrap();
            let (mut state, _) =
                self.came.wait_timeout_while(state, limit, |state| state.received.is_empty()).unwrap();
            state.received.pop_front()
        }

        /// Everything of one fetch: head, body, end.
        pub fn fetched(&self) -> (Option<FetchHead>, Vec<u8>, FetchEnd) {
            let (mut head, mut body) = (None, Vec::new());
            loop {
                match self.next() {
                    Received::FetchHead(h) => assert!(head.replace(h).is_none(), "two heads"),
                    Received::FetchData(data) => body.extend(data),
                    Received::FetchEnd(end) => return (head, body, end),
                    other => panic!("not of a fetch: {other:?}"),
                }
            }
        }
    }

    impl EventSink for Recorder {
        fn deliver(&self, generation: &Generation, event: TransportEvent<'_>) -> Delivery {
            let mut state = self.state.lock().unwrap();
            if !generation.valid() {
                return Delivery::Stop;
            }
            state.received.push_back(match event {
                TransportEvent::Link(link) => Received::Link(link),
                TransportEvent::Message { topic, payload } => {
                    Received::Message(topic.to_owned(), payload.to_vec())
                }
                TransportEvent::Sent { id, delivered } => Received::Sent(id, delivered),
                TransportEvent::FetchHead(head) => Received::FetchHead(head),
                TransportEvent::FetchData(data) => Received::FetchData(data.to_vec()),
                TransportEvent::FetchEnd(end) => Received::FetchEnd(end),
            });
            self.came.notify_all();
            state.replies.pop_front().unwrap_or(Delivery::Taken)
        }
    }
}
