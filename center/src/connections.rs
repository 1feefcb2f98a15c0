//! A bound on the connections that come from one address, so that nobody takes the places of all others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The connections that are open, by the address they come from. Clones share the count.
#[derive(Debug, Clone)]
pub struct Connections {
    most: usize,
    most_of_address: usize,
    open: Arc<Mutex<Open>>,
    /// The open files that other connections take from, too, and how many each of these takes.
    files: Option<(Arc<Semaphore>, u32)>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    of_address: HashMap<IpAddr, Arc<Semaphore>>,
}

/// One open connection; its place is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    connections: Connections,
    address: IpAddr,
    /// None: it does not count for its address.
    of_address: Option<OwnedSemaphorePermit>,
    _files: Option<OwnedSemaphorePermit>,
}

impl Connections {
    /// Up to `most` in all, up to `most_of_address` from one address.
    #[must_use]
    pub fn limited(most: usize, most_of_address: usize) -> Self {
        Self { most, most_of_address, open: Arc::default(), files: None }
    }

    /// Each connection takes so many of these files as long as it is open.
    #[must_use]
    pub fn taking(self, files: Arc<Semaphore>, each: u32) -> Self {
        Self { files: Some((files, each)), ..self }
    }

    /// A place for one more connection; none: there is none left for this address, or for anybody.
    #[must_use]
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        let mut place = self.enter_anyway(address)?;
        place.of_address = Some(self.of_address(place.address).try_acquire_owned().ok()?);
        Some(place)
    }

    /// As [`Connections::enter`], whatever this address has already; it does not count for it.
    fn enter_anyway(&self, address: IpAddr) -> Option<Place> {
        let address = address.to_canonical();
        let files = match &self.files {
            Some((files, each)) => Some(Arc::clone(files).try_acquire_many_owned(*each).ok()?),
            None => None,
        };
        let mut open = self.open();
        if open.all >= self.most {
            return None;
        }
        open.all += 1;
        Some(Place { connections: self.clone(), address, of_address: None, _files: files })
    }

    /// As [`Connections::enter`]; while most places are free, one of this address is waited for, in the order of coming and
    /// up to `limit`.
    pub async fn wait(&self, address: IpAddr, limit: Duration) -> Option<Place> {
        if self.open().all >= self.most / 2 {
            return self.enter(address);
        }
        let mut place = self.enter_anyway(address)?;
        let free = timeout(limit, self.of_address(place.address).acquire_owned()).await;
        place.of_address = Some(free.ok()?.ok()?);
        Some(place)
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn of_address(&self, address: IpAddr) -> Arc<Semaphore> {
        let free = || Arc::new(Semaphore::new(self.most_of_address));
        Arc::clone(self.open().of_address.entry(address).or_insert_with(free))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open();
        open.all = open.all.saturating_sub(1);
        drop(self.of_address.take());
        if let Entry::Occupied(of_address) = open.of_address.entry(self.address)
            && Arc::strong_count(of_address.get()) == 1
        {
            of_address.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_takes_no_place_of_another() {
        let connections = Connections::limited(5, 2);
        let (a, b): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let first = connections.enter(a).unwrap();
        let second = connections.enter("::ffff:10.0.0.1".parse().unwrap()).unwrap();
        assert!(connections.enter(a).is_none());
        let others = [connections.enter(b).unwrap(), connections.enter(b).unwrap()];
        drop(first);
        let third = connections.enter(a).unwrap();
        assert!(connections.enter("10.0.0.3".parse().unwrap()).is_some());
        let fourth = connections.enter_anyway(a).unwrap();
        assert!(connections.enter_anyway(b).is_none(), "there is no place for anybody");
        drop((second, third, others, fourth));
        assert!(connections.open().of_address.is_empty(), "nothing is kept of who left");
    }

    #[tokio::test(start_paused = true)]
    async fn while_most_places_are_free_one_of_the_address_is_waited_for() {
        const LIMIT: Duration = Duration::from_secs(10);
        let connections = Connections::limited(8, 1);
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let first = connections.wait(address, LIMIT).await.unwrap();
        let second = tokio::spawn({
            let connections = connections.clone();
            async move { connections.wait(address, LIMIT).await }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        let second = second.await.unwrap().unwrap();
        let begun = tokio::time::Instant::now();
        assert!(connections.wait(address, LIMIT).await.is_none());
        assert_eq!(begun.elapsed(), LIMIT);
        let others: Vec<_> =
            (2..5).map(|n| connections.enter(IpAddr::from([10, 0, 0, n])).unwrap()).collect();
        assert!(connections.wait(address, LIMIT).await.is_none());
        assert_eq!(begun.elapsed(), LIMIT, "half of the places are taken");
        drop((second, others));
        assert!(connections.open().of_address.is_empty(), "nothing is kept of who left");
    }

    #[test]
    fn connections_of_two_kinds_take_from_the_same_files() {
        let files = Arc::new(Semaphore::new(5));
        let connections = Connections::limited(9, 9).taking(Arc::clone(&files), 2);
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let held = [connections.enter(address).unwrap(), connections.enter(address).unwrap()];
        assert!(connections.enter(address).is_none());
        drop(held);
        let others = Arc::clone(&files).try_acquire_many_owned(4).unwrap();
        assert!(connections.enter(address).is_none());
        drop(others);
        assert!(connections.enter(address).is_some());
        assert_eq!(files.available_permits(), 5);
    }
}
