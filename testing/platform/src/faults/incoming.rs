//! Faults in what network and server bring to the agent.

use quecota_core::agent::{FetchEnd, FetchHead, Link};
use quecota_core::platform::SendId;

use super::random::Random;
use super::text::{Fault, Faults, Struck};

/// One `on_*` call of the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// `on_link`
    Link(Link),
    /// `on_message`: topic and payload.
    Message(String, Vec<u8>),
    /// `on_sent`: which publish, and whether the peer has it.
    Sent(SendId, bool),
    /// `on_fetch_begin`
    FetchBegin(FetchHead),
    /// `on_fetch_data`
    FetchData(Vec<u8>),
    /// `on_fetch_end`
    FetchEnd(FetchEnd),
}

/// What becomes of one piece of news.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Passed {
    /// Milliseconds before it comes.
    pub delay: u32,
    /// What the agent is to be told, in this order; perhaps nothing.
    pub news: Vec<News>,
}

/// Stands before the `on_*` calls. Of the bytes of a slow body the parts of a millisecond are kept, so that its speed is
/// right for chunks of any size.
#[derive(Debug)]
pub struct Incoming {
    faults: Faults,
    random: Random,
    /// A packet that is to come after the next.
    held: Option<News>,
    /// Nothing more of this fetch comes.
    silent: bool,
    /// Bytes times 1000 that were not waited for yet.
    owed: u64,
    struck: Struck,
}

impl Incoming {
    /// Passes on what comes, with `faults`.
    pub fn new(faults: Faults) -> Self {
        // Another stream of chance than the platform's, of the same seed.
        let random = Random::new(faults.seed ^ 0x5bd1_e995_9d1b_4a6f);
        Incoming { faults, random, held: None, silent: false, owed: 0, struck: |_| {} }
    }

    /// Each fault that strikes is told to `struck` as well.
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

    /// What the agent is told of `news`.
    pub fn pass(&mut self, news: News) -> Passed {
        match news {
            News::Link(Link::Lost | Link::Refused(_)) => {
                self.held = None;
                Passed { delay: 0, news: vec![news] }
            }
            News::Link(_) | News::Message(..) | News::Sent(..) if self.happens(Fault::DropLink) => {
                self.held = None;
                Passed { delay: 0, news: vec![News::Link(Link::Lost)] }
            }
            News::Link(_) => Passed { delay: 0, news: vec![news] },
            News::Sent(..) if self.happens(Fault::LoseAck) => Passed { delay: 0, news: self.release() },
            News::Sent(..) => {
                let mut passed = vec![news];
                passed.extend(self.release());
                Passed { delay: 0, news: passed }
            }
            News::Message(..) => Passed { delay: 0, news: self.message(news) },
            News::FetchBegin(head) => {
                self.silent = false;
                Passed { delay: 0, news: self.head(head) }
            }
            News::FetchData(data) => self.data(data),
            News::FetchEnd(_) if self.silent => Passed::default(),
            News::FetchEnd(FetchEnd::Complete) if self.happens(Fault::Long) => {
                Passed { delay: 0, news: vec![News::FetchData(vec![0x5A]), news] }
            }
            News::FetchEnd(_) => Passed { delay: 0, news: vec![news] },
        }
    }

    /// The packet that was held back, when nothing else comes any more.
    pub fn release(&mut self) -> Vec<News> {
        self.held.take().into_iter().collect()
    }

    fn message(&mut self, news: News) -> Vec<News> {
        if self.held.is_none() && self.happens(Fault::Reorder) {
            self.held = Some(news);
            return Vec::new();
        }
        let mut passed = vec![news.clone()];
        if self.happens(Fault::Duplicate) {
            passed.push(news);
        }
        passed.extend(self.release());
        passed
    }

    fn head(&mut self, head: FetchHead) -> Vec<News> {
        let FetchHead { first, length, total, .. } = head;
        let other = if self.happens(Fault::Status) {
            FetchHead { status: 503, first: 0, length: Some(0), total: None }
        } else if self.happens(Fault::WrongRange) {
            match self.random.below(4) {
                0 => FetchHead { status: 200, first: 0, length: total, total },
                1 => FetchHead { first: first.wrapping_add(1), ..head },
                2 => FetchHead { length: length.map(|length| length.wrapping_sub(1)), ..head },
                _ => FetchHead { total: total.map(|total| total.wrapping_add(1)), ..head },
            }
        } else {
            head
        };
        vec![News::FetchBegin(other)]
    }

    fn data(&mut self, mut data: Vec<u8>) -> Passed {
        if self.silent {
            return Passed::default();
        }
        if self.happens(Fault::Stall) {
            self.silent = true;
            return Passed::default();
        }
        let delay = self.delay(data.len());
        if self.happens(Fault::Short) {
            self.silent = true;
            data.truncate(self.random.below(data.len() as u64) as usize);
            let end = News::FetchEnd(FetchEnd::Failed);
            let news = if data.is_empty() { vec![end] } else { vec![News::FetchData(data), end] };
            return Passed { delay, news };
        }
        let corrupt = self.faults.chance(Fault::Corrupt);
        for byte in &mut data {
            if self.random.happens(corrupt) {
                *byte ^= 1 << self.random.below(8);
                (self.struck)(Fault::Corrupt);
            }
        }
        Passed { delay, news: vec![News::FetchData(data)] }
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

    fn message(byte: u8) -> News {
        News::Message("t".into(), vec![byte])
    }

    fn passes(text: &str) -> Incoming {
        Incoming::new(text.parse().unwrap())
    }

    #[test]
    fn without_faults_everything_passes_as_it_is() {
        let mut incoming = passes("");
        for news in [message(1), News::Sent(SendId(3), true), News::FetchData(vec![1; 100])] {
            assert_eq!(incoming.pass(news.clone()), Passed { delay: 0, news: vec![news] });
        }
    }

    #[test]
    fn packets_come_twice_or_in_another_order() {
        assert_eq!(passes("duplicate=100%").pass(message(1)).news, [message(1), message(1)]);
        let mut incoming = passes("reorder=100%");
        assert_eq!(incoming.pass(message(1)).news, []);
        assert_eq!(incoming.pass(message(2)).news, [message(2), message(1)]);
        assert_eq!(incoming.pass(message(3)).news, []);
        assert_eq!(incoming.release(), [message(3)]);
        assert_eq!(incoming.pass(message(4)).news, []);
        assert_eq!(incoming.pass(News::Link(Link::Lost)).news, [News::Link(Link::Lost)]);
        assert_eq!(incoming.release(), [], "what the broken connection held back is gone");
    }

    #[test]
    fn a_slow_body_takes_its_time_in_chunks_of_any_size() {
        for chunk in [1, 7, 1000] {
            let mut incoming = passes("slow=3kB/s");
            let chunks = 21_000 / chunk;
            let waited: u32 = (0..chunks).map(|_| incoming.pass(News::FetchData(vec![0; chunk])).delay).sum();
            assert!((6_990..=7_000).contains(&waited), "{waited} ms for 21000 bytes in {chunk}s");
        }
    }

    #[test]
    fn a_stalled_fetch_is_silent_until_the_next_one_begins() {
        let head = FetchHead { status: 206, first: 0, length: Some(9), total: Some(9) };
        let mut incoming = passes("stall=100%");
        assert_eq!(incoming.pass(News::FetchBegin(head)).news, [News::FetchBegin(head)]);
        assert_eq!(incoming.pass(News::FetchData(vec![1])).news, []);
        assert_eq!(incoming.pass(News::FetchEnd(FetchEnd::Complete)).news, []);
        assert_eq!(incoming.pass(News::FetchBegin(head)).news, [News::FetchBegin(head)]);
    }

    #[test]
    fn the_same_seed_gives_the_same_faults() {
        let run = |text| {
            let mut incoming = passes(text);
            (0..200).map(|_| incoming.pass(News::FetchData(vec![0; 64])).news).collect::<Vec<_>>()
        };
        let text = "corrupt=0.5%,short=3%";
        assert_eq!(run(text), run(text));
        assert_ne!(run(text), run("corrupt=0.5%,short=3%,seed=1"));
    }
}
