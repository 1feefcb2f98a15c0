//! Connections that have not sent their CONNECT yet.
//!
//! As long as there is a place for everybody nobody is in need of theirs: a fleet behind one address may come back at once.
//! When all places are taken, who has said nothing for some time gives way to the next one, and of the address first that
//! has most of them: nobody takes the places of all others by saying nothing. Who closes and comes again is never old: of
//! many behind one address the oldest gives way whatever its age.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// A device sends its CONNECT at once: after so long a connection may be told to leave.
const SILENT: Duration = Duration::from_secs(2);
/// Beyond so many of one address any of them may.
const MANY: usize = 1000;

/// The connections before their CONNECT. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// By the order in which they came.
    of_address: HashMap<IpAddr, BTreeMap<u64, Known>>,
    last: u64,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    leave: Arc<Notify>,
}

/// A connection, until this is dropped.
#[derive(Debug)]
pub(super) struct Stranger {
    strangers: Strangers,
    address: IpAddr,
    number: u64,
    leave: Arc<Notify>,
}

impl Strangers {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more from this address.
    pub(super) fn add(&self, address: IpAddr) -> Stranger {
        let (address, leave) = (address.to_canonical(), Arc::new(Notify::new()));
        let mut waiting = self.waiting();
        waiting.last += 1;
        let number = waiting.last;
        let known = Known { since: Instant::now(), leave: Arc::clone(&leave) };
        waiting.of_address.entry(address).or_default().insert(number, known);
        Stranger { strangers: self.clone(), address, number, leave }
    }

    /// Tells one of them to leave; says whether there is one that has to.
    pub(super) fn make_room(&self) -> bool {
        let mut waiting = self.waiting();
        let gives_way = |of_address: &&mut BTreeMap<u64, Known>| {
            let mut ages = of_address.values().map(|known| known.since.elapsed());
            of_address.len() > MANY || ages.next().is_some_and(|age| age >= SILENT)
        };
        let most = waiting.of_address.values_mut().filter(gives_way).max_by_key(|known| known.len());
        let Some(oldest) = most.and_then(|known| known.first_entry()) else { return false };
        oldest.remove().leave.notify_one();
        true
    }
}

impl Stranger {
    /// Returns when its place is needed.
    pub(super) async fn told_to_leave(&self) {
        self.leave.notified().await;
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut waiting = self.strangers.waiting();
        if let Some(known) = waiting.of_address.get_mut(&self.address) {
            known.remove(&self.number);
            if known.is_empty() {
                waiting.of_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn from(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn left(stranger: &Stranger) -> bool {
        stranger.told_to_leave().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_of_the_address_with_most_gives_way() {
        let strangers = Strangers::default();
        let alone = strangers.add(from(1));
        let first = strangers.add(from(2));
        let second = strangers.add("::ffff:10.0.0.2".parse().unwrap());
        assert!(!strangers.make_room(), "each of them may be about to send its CONNECT");
        tokio::time::advance(SILENT).await;
        let third = strangers.add(from(2));
        assert!(strangers.make_room() && left(&first) && !left(&second) && !left(&third) && !left(&alone));
        assert!(strangers.make_room() && left(&second) && !left(&third) && !left(&alone));
        drop((first, second, third));
        assert!(strangers.make_room() && left(&alone));
        assert!(!strangers.make_room());
        drop(alone);
        assert!(strangers.waiting().of_address.is_empty(), "nothing is kept of who left");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_whose_connections_are_all_new_does_not_keep_older_ones_of_others() {
        let strangers = Strangers::default();
        let old = strangers.add(from(1));
        tokio::time::advance(SILENT).await;
        let young = [strangers.add(from(2)), strangers.add(from(2))];
        assert!(strangers.make_room() && left(&old) && !left(&young[0]));
        assert!(!strangers.make_room());
    }

    #[tokio::test(start_paused = true)]
    async fn of_many_behind_one_address_the_oldest_gives_way_whatever_its_age() {
        let strangers = Strangers::default();
        let of_another = strangers.add(from(1));
        let mut cycled: Vec<Stranger> = (0..MANY).map(|_| strangers.add(from(2))).collect();
        assert!(!strangers.make_room(), "a fleet of so many may come back at once");
        cycled.push(strangers.add(from(2)));
        assert!(strangers.make_room() && left(&cycled[0]) && !left(&cycled[1]) && !left(&of_another));
        assert!(!strangers.make_room());
    }
}
