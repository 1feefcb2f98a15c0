//! The way back from the I/O threads to the agent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use quecota_core::agent::{FetchEnd, FetchHead, Link};
use quecota_core::platform::SendId;

/// One `on_*` call of the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer<'a> {
    /// `on_link`
    Link(Link),
    /// `on_message`
    Message {
        /// Whole topic.
        topic: &'a str,
        /// Whole payload.
        payload: &'a [u8],
    },
    /// `on_sent`
    Sent {
        /// Which publish.
        id: SendId,
        /// Whether the peer has it.
        delivered: bool,
    },
    /// `on_fetch_begin`
    FetchBegin(FetchHead),
    /// `on_fetch_data`
    FetchData(&'a [u8]),
    /// `on_fetch_end`
    FetchEnd(FetchEnd),
}

/// What the agent made of an [`Answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Delivery {
    /// It took it.
    Taken,
    /// No room for the message now: offer it again after a poll.
    NoRoom,
    /// It wants nothing more of this connection or fetch.
    Stop,
}

/// Brings answers to the agent. Called by I/O threads, never from inside a platform call.
pub(super) trait EventSink: Send + Sync {
    /// Locks the agent, drops the answer (`Stop`) if `generation` is void, else calls the agent and wakes its thread.
    fn deliver(&self, generation: &Generation, answer: Answer<'_>) -> Delivery;
}

/// Issues tickets; a new one voids the one before.
#[derive(Debug, Default)]
pub(super) struct GenerationCounter {
    current: Arc<AtomicU32>,
}

impl GenerationCounter {
    /// Voids the generation that is out and issues the next. Called with the agent locked.
    pub fn next(&self) -> Generation {
        let number = self.current.fetch_add(1, Ordering::AcqRel).wrapping_add(1);
        Generation { current: Arc::clone(&self.current), number }
    }

    /// Voids the generation that is out. Called with the agent locked.
    pub fn close(&self) {
        self.current.fetch_add(1, Ordering::AcqRel);
    }
}

/// Belongs to one connection or fetch. Void once the agent has asked for another or for none, so that what an old
/// one still brings cannot be taken for news of the new one.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    current: Arc<AtomicU32>,
    number: u32,
}

impl Generation {
    /// Whether answers under it still count. Certain only while the agent is locked.
    pub fn valid(&self) -> bool {
        self.current.load(Ordering::Acquire) == self.number
    }
}

#[cfg(test)]
pub(super) mod recording {
    //! An sink for tests: keeps what it is told.

    use super::*;
    use std::collections::VecDeque;
    use std::sync::{Condvar, Mutex};
    use std::time::Duration;

    /// An owned [`Answer`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Received {
        Link(Link),
        Message(String, Vec<u8>),
        Sent(SendId, bool),
        FetchBegin(FetchHead),
        FetchData(Vec<u8>),
        FetchEnd(FetchEnd),
    }

    #[derive(Default)]
    struct State {
        told: VecDeque<Received>,
        replies: VecDeque<Delivery>,
    }

    /// Remembers answers and replies as told, else `Taken`.
    #[derive(Default)]
    pub struct Recorder {
        state: Mutex<State>,
        came: Condvar,
    }

    impl Recorder {
        /// The replies to the next answers.
        pub fn reply(&self, replies: impl IntoIterator<Item = Delivery>) {
            self.state.lock().unwrap().replies.extend(replies);
        }

        /// The next answer; none within 20 s fails the test.
        pub fn next(&self) -> Received {
            self.within(Duration::from_secs(20)).expect("an answer within 20 s")
        }

        /// The next answer if one comes in time.
        pub fn within(&self, limit: Duration) -> Option<Received> {
            let state = self.state.lock().unwrap();
            let (mut state, _) =
                self.came.wait_timeout_while(state, limit, |state| state.told.is_empty()).unwrap();
            state.told.pop_front()
        }

        /// Everything of one fetch: head, body, end.
        pub fn fetched(&self) -> (Option<FetchHead>, Vec<u8>, FetchEnd) {
            let (mut head, mut body) = (None, Vec::new());
            loop {
                match self.next() {
                    Received::FetchBegin(h) => assert!(head.replace(h).is_none(), "two heads"),
                    Received::FetchData(data) => body.extend(data),
                    Received::FetchEnd(end) => return (head, body, end),
                    other => panic!("not of a fetch: {other:?}"),
                }
            }
        }
    }

    impl EventSink for Recorder {
        fn deliver(&self, generation: &Generation, answer: Answer<'_>) -> Delivery {
            let mut state = self.state.lock().unwrap();
            if !generation.valid() {
                return Delivery::Stop;
            }
            state.told.push_back(match answer {
                Answer::Link(link) => Received::Link(link),
                Answer::Message { topic, payload } => Received::Message(topic.to_owned(), payload.to_vec()),
                Answer::Sent { id, delivered } => Received::Sent(id, delivered),
                Answer::FetchBegin(head) => Received::FetchBegin(head),
                Answer::FetchData(data) => Received::FetchData(data.to_vec()),
                Answer::FetchEnd(end) => Received::FetchEnd(end),
            });
            self.came.notify_all();
            state.replies.pop_front().unwrap_or(Delivery::Taken)
        }
    }
}
