//! Faults in what network and server bring to the agent.

use quecota_core::platform::{FetchEnd, FetchHead, Link, TransportEvent};

use super::random::Random;
use super::text::{Fault, Faults, Struck};

/// A message that is kept for later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Whole topic.
    pub topic: String,
    /// Whole payload.
    pub payload: Vec<u8>,
}

impl Message {
    /// As an event of the transport.
    pub fn event(&self) -> TransportEvent<'_> {
        TransportEvent::Message { topic: &self.topic, payload: &self.payload }
    }
}

/// Gets what passes: how many milliseconds after the event before it, and what.
pub type Deliver<'d> = &'d mut dyn FnMut(u32, TransportEvent<'_>);

/// Stands between the transport and the agent. Of the bytes of a slow body the parts of a millisecond are kept, so that
/// its speed is right for chunks of any size.
#[derive(Debug)]
pub struct Incoming {
    faults: Faults,
    random: Random,
    /// A message that is to come after the next.
    held: Option<Message>,
    /// Nothing more of this fetch comes.
    silent: bool,
    /// Bytes times 1000 that were not waited for yet.
    owed: u64,
    struck: Struck,
}

impl Incoming {
    /// Passes on what comes, with `faults`.
    pub fn new(faults: Faults) -> Self {
        // Another random stream than the platform's, from the same seed.
        let random = Random::new(faults.seed ^ 0x5bd1_e995_9d1b_4a6f);
        Incoming { faults, random, held: None, silent: false, owed: 0, struck: |_| {} }
    }

    /// Calls `struck` for each fault that strikes.
    pub fn telling(mut self, struck: Struck) -> Self {
        self.struck = struck;
        self
    }

    fn happens(&mut self, fault: Fault) -> bool {
        let happens = self.random.happens(self.faults.chance(fault));
        if happens {
            (self.struck)(fault);
        }
        happens
    }

    /// Delivers what becomes of `event`: itself, others, or nothing.
    pub fn pass(&mut self, event: TransportEvent<'_>, deliver: Deliver<'_>) {
        use TransportEvent::{FetchData, FetchEnd as End, FetchHead as Head, Link, Message, Sent};
        match event {
            Link(self::Link::Lost | self::Link::Refused(_)) => {
                self.held = None;
                deliver(0, event);
            }
            Link(_) | Message { .. } | Sent { .. } if self.happens(Fault::DropLink) => {
                self.held = None;
                deliver(0, Link(self::Link::Lost));
            }
            Link(_) => deliver(0, event),
            Sent { .. } => {
                if !self.happens(Fault::LoseAck) {
                    deliver(0, event);
                }
                self.release(deliver);
            }
            Message { topic, payload } => self.message(topic, payload, deliver),
            Head(head) => {
                self.silent = false;
                deliver(0, Head(self.head(head)));
            }
            FetchData(data) => self.data(data, deliver),
            End(_) if self.silent => {}
            End(end) => {
                if end == FetchEnd::Complete && self.happens(Fault::Long) {
                    deliver(0, FetchData(&[0x5A]));
                }
                deliver(0, event);
            }
        }
    }

    /// Whether a message waits for the next.
    pub fn holds_back(&self) -> bool {
        self.held.is_some()
    }

    /// Delivers the message that was held back, when nothing else comes any more.
    pub fn release(&mut self, deliver: Deliver<'_>) {
        if let Some(message) = self.held.take() {
            deliver(0, message.event());
        }
    }

    fn message(&mut self, topic: &str, payload: &[u8], deliver: Deliver<'_>) {
        if self.held.is_none() && self.happens(Fault::Reorder) {
            self.held = Some(Message { topic: topic.into(), payload: payload.into() });
            return;
        }
        deliver(0, TransportEvent::Message { topic, payload });
        if self.happens(Fault::Duplicate) {
            deliver(0, TransportEvent::Message { topic, payload });
        }
        self.release(deliver);
    }

    fn head(&mut self, head: FetchHead) -> FetchHead {
        let FetchHead { first, length, total, .. } = head;
        if self.happens(Fault::Status) {
            FetchHead { status: 503, length: Some(0), ..FetchHead::default() }
        } else if self.happens(Fault::WrongRange) {
            match self.random.below(4) {
                0 => FetchHead { status: 200, length: total, total, ..FetchHead::default() },
                1 => FetchHead { first: first.wrapping_add(1), ..head },
                2 => FetchHead { length: length.map(|length| length.wrapping_sub(1)), ..head },
                _ => FetchHead { total: total.map(|total| total.wrapping_add(1)), ..head },
            }
        } else {
            head
        }
    }

    fn data(&mut self, data: &[u8], deliver: Deliver<'_>) {
        if self.silent {
            return;
        }
        if self.happens(Fault::Stall) {
            self.silent = true;
            return;
        }
        let delay = self.delay(data.len());
        if self.happens(Fault::Short) {
            self.silent = true;
            let length = self.random.below(data.len() as u64) as usize;
            if length > 0 {
                deliver(delay, TransportEvent::FetchData(&data[..length]));
            }
            let delay = if length > 0 { 0 } else { delay };
            return deliver(delay, TransportEvent::FetchEnd(FetchEnd::Failed));
        }
        let mut data = data.to_vec();
        let corrupt = self.faults.chance(Fault::Corrupt);
        for byte in &mut data {
            if self.random.happens(corrupt) {
                *byte ^= 1 << self.random.below(8);
                (self.struck)(Fault::Corrupt);
            }
        }
        deliver(delay, TransportEvent::FetchData(&data));
    }

    fn delay(&mut self, bytes: usize) -> u32 {
        let Some(speed) = self.faults.slow else { return 0 };
        self.owed += bytes as u64 * 1000;
        let speed = u64::from(speed);
        let delay = self.owed / speed;
        self.owed -= delay * speed;
        u32::try_from(delay).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quecota_core::platform::SendId;

    fn message(payload: &[u8]) -> TransportEvent<'_> {
        TransportEvent::Message { topic: "t", payload }
    }

    fn passes(text: &str) -> Incoming {
        Incoming::new(text.parse().unwrap())
    }

    /// What becomes of `event`, in words.
    fn passed(incoming: &mut Incoming, event: TransportEvent<'_>) -> Vec<String> {
        let mut all = Vec::new();
        incoming.pass(event, &mut |_, event| all.push(format!("{event:?}")));
        all
    }

    fn released(incoming: &mut Incoming) -> Vec<String> {
        let mut all = Vec::new();
        incoming.release(&mut |_, event| all.push(format!("{event:?}")));
        all
    }

    fn words<const N: usize>(events: [TransportEvent<'_>; N]) -> Vec<String> {
        events.map(|event| format!("{event:?}")).into()
    }

    #[test]
    fn without_faults_everything_passes_as_it_is() {
        let mut incoming = passes("");
        let sent = TransportEvent::Sent { id: SendId(3), delivered: true };
        for event in [message(&[1]), sent, TransportEvent::FetchData(&[1; 100])] {
            assert_eq!(passed(&mut incoming, event), words([event]));
        }
    }

    #[test]
    fn packets_come_twice_or_in_another_order() {
        let one = message(&[1]);
        assert_eq!(passed(&mut passes("duplicate=100%"), one), words([one, one]));
        let mut incoming = passes("reorder=100%");
        assert_eq!(passed(&mut incoming, one), words([]));
        assert_eq!(passed(&mut incoming, message(&[2])), words([message(&[2]), one]));
        assert_eq!(passed(&mut incoming, message(&[3])), words([]));
        assert_eq!(released(&mut incoming), words([message(&[3])]));
        assert_eq!(passed(&mut incoming, message(&[4])), words([]));
        let lost = TransportEvent::Link(Link::Lost);
        assert_eq!(passed(&mut incoming, lost), words([lost]));
        assert_eq!(released(&mut incoming), words([]), "what the broken connection held back is gone");
    }

    #[test]
    fn a_slow_body_takes_its_time_in_chunks_of_any_size() {
        for chunk in [1, 7, 1000] {
            let mut incoming = passes("slow=3kB/s");
            let (chunks, mut waited) = (21_000 / chunk, 0);
            for _ in 0..chunks {
                let data = vec![0; chunk];
                incoming.pass(TransportEvent::FetchData(&data), &mut |delay, _| waited += delay);
            }
            assert!((6_990..=7_000).contains(&waited), "{waited} ms for 21000 bytes in {chunk}s");
        }
    }

    #[test]
    fn a_stalled_fetch_is_silent_until_the_next_one_begins() {
        let head = FetchHead { status: 206, length: Some(9), total: Some(9), ..FetchHead::default() };
        let head = TransportEvent::FetchHead(head);
        let mut incoming = passes("stall=100%");
        assert_eq!(passed(&mut incoming, head), words([head]));
        assert_eq!(passed(&mut incoming, TransportEvent::FetchData(&[1])), words([]));
        assert_eq!(passed(&mut incoming, TransportEvent::FetchEnd(FetchEnd::Complete)), words([]));
        assert_eq!(passed(&mut incoming, head), words([head]));
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let run = |text| {
            let mut incoming = passes(text);
            let data = TransportEvent::FetchData(&[0; 64]);
            (0..200).map(|_| passed(&mut incoming, data)).collect::<Vec<_>>()
        };
        let text = "corrupt=0.5%,short=3%";
        assert_eq!(run(text), run(text));
        assert_ne!(run(text), run("corrupt=0.5%,short=3%,seed=1"));
    }
}
