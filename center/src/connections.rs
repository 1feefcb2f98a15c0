//! A bound on the connections that come from one address, so that nobody takes the places of all others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
    of_address: HashMap<IpAddr, usize>,
}

/// One open connection; its place is free again when this is dropped.
#[derive(Debug)]
pub struct Place {
    connections: Connections,
    address: IpAddr,
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
        let address = address.to_canonical();
        let files = match &self.files {
            Some((files, each)) => Some(Arc::clone(files).try_acquire_many_owned(*each).ok()?),
            None => None,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.all >= self.most {
            return None;
        }
        let count = open.of_address.entry(address).or_default();
        if *count >= self.most_of_address {
            return None;
        }
        *count += 1;
        open.all += 1;
        Some(Place { connections: self.clone(), address, _files: files })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        if let Entry::Occupied(mut count) = open.of_address.entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
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
        drop((second, third, others));
        assert!(connections.open.lock().unwrap().of_address.is_empty(), "nothing is kept of who left");
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
