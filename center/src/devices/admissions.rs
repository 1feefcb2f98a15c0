//! The queue of CONNECTs that wait for their decision: decided in sets, in the order of coming, at the pace of the database.
//!
//! A storm waits here instead of at the database, and nobody in it is sent away for coming early. Who hangs up meanwhile is
//! passed over.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use rmqtt_codec::v3::Connect;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::credentials::{self, AdmissionError, Admitted};
use super::new_devices::NewDevices;
use crate::clock::Clock;
use crate::store::{Store, StoreError};

/// CONNECTs of one set, at most.
const SET: usize = 200;

type Decided = Result<Admitted, AdmissionError>;

/// The queue. Clones are the same.
#[derive(Clone)]
pub(super) struct Admissions(Arc<Shared>);

struct Shared {
    store: Store,
    clock: Clock,
    new_devices: NewDevices,
    /// For one set.
    limit: Duration,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    connects: VecDeque<(Connect, oneshot::Sender<Decided>)>,
    /// Whether a task works the queue off.
    is_served: bool,
}

impl Admissions {
    /// An empty queue; a set is to be decided within `limit`.
    pub(super) fn new(store: Store, clock: Clock, new_devices: NewDevices, limit: Duration) -> Self {
        Self(Arc::new(Shared { store, clock, new_devices, limit, waiting: Mutex::default() }))
    }

    /// Waits for the decision. Dropped, the CONNECT counts as withdrawn.
    pub(super) async fn decide(&self, connect: Connect) -> Decided {
        let (answer, answered) = oneshot::channel();
        let begins = {
            let mut waiting = self.0.waiting();
            waiting.connects.push_back((connect, answer));
            !std::mem::replace(&mut waiting.is_served, true)
        };
        if begins {
            let shared = Arc::clone(&self.0);
            tokio::spawn(async move {
                while let Some((connects, answers)) = shared.next() {
                    let set = AssertUnwindSafe(shared.decide(&connects));
                    // Without an answer the connection closes.
                    for (answer, decided) in
                        answers.into_iter().zip(set.catch_unwind().await.unwrap_or_default())
                    {
                        let _ = answer.send(decided);
                    }
                }
            });
        }
        answered.await.unwrap_or(Err(AdmissionError::Interrupted))
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next set; none: nobody waits, and the caller ends.
    fn next(&self) -> Option<(Vec<Connect>, Vec<oneshot::Sender<Decided>>)> {
        let mut waiting = self.waiting();
        let mut set = (Vec::new(), Vec::new());
        while set.0.len() < SET
            && let Some((connect, answer)) = waiting.connects.pop_front()
        {
            if !answer.is_closed() {
                set.0.push(connect);
                set.1.push(answer);
            }
        }
        if waiting.connects.is_empty() {
            // A storm's queue is not kept.
            waiting.connects = VecDeque::new();
        }
        waiting.is_served = !set.0.is_empty();
        waiting.is_served.then_some(set)
    }

    /// A set that fails is decided again one by one, unless the database is away.
    async fn decide(&self, connects: &[Connect]) -> Vec<Decided> {
        let error = match self.admit(connects).await {
            Ok(decided) => return decided,
            Err(error) => error,
        };
        let is_of_all = match &error {
            AdmissionError::Store(error) => error.is_temporary() && !error.is_contention(),
            _ => true,
        };
        if !is_of_all {
            let mut decided = Vec::with_capacity(connects.len());
            for connect in connects.chunks(1) {
                match self.admit(connect).await {
                    Ok(one) => decided.extend(one),
                    Err(error) => decided.push(Err(error)),
                }
            }
            return decided;
        }
        match error {
            AdmissionError::Store(error) => {
                let error: Arc<StoreError> = Arc::new(error);
                connects.iter().map(|_| Err(AdmissionError::OfSet(Arc::clone(&error)))).collect()
            }
            _ => connects.iter().map(|_| Err(AdmissionError::Late(self.limit))).collect(),
        }
    }

    async fn admit(&self, connects: &[Connect]) -> Result<Vec<Decided>, AdmissionError> {
        let admitted = credentials::admit(&self.store, &self.new_devices, connects, self.clock.now());
        match timeout(self.limit, admitted).await {
            Ok(decided) => Ok(decided?),
            Err(_) => Err(AdmissionError::Late(self.limit)),
        }
    }
}

#[cfg(test)]
mod tests {
    use quecota_core::wire::credential::{Nonce, Session, bootstrap};

    use super::*;
    use crate::rules::{Admission, ProductKey, ProductSecret, Title};

    const PK: &str = "p1abcd";
    const PS: &str = "MTIzNDU2Nzg5MGFi";

    async fn queue() -> (Admissions, Store) {
        let store = Store::in_memory().await.unwrap();
        let mut writer = store.write().await.unwrap();
        let (key, secret) = (ProductKey::new(PK).unwrap(), ProductSecret::new(PS).unwrap());
        let (name, clock) = (Title::new("Lamps").unwrap(), Clock::system());
        writer.create_product(&key, &secret, &name, Admission::Anyone, clock.now()).await.unwrap();
        writer.commit().await.unwrap();
        let new_devices = NewDevices::limited(super::super::NEW_DEVICES);
        (Admissions::new(store.clone(), clock, new_devices, Duration::from_secs(60)), store)
    }

    fn connect(number: usize) -> Connect {
        let key = format!("86{number:013}");
        let password = bootstrap(PK, PS, &key, Nonce::of([7; Nonce::LEN]), Session::Plain).unwrap();
        let password = Some(bytes::Bytes::from(password.as_bytes().to_vec()));
        Connect { password, ..Connect::default() }.client_id(format!("qd{PK}{key}"))
    }

    #[tokio::test]
    async fn a_storm_is_decided_in_its_order_and_nobody_is_refused() {
        const STORM: usize = 700;
        let (admissions, store) = queue().await;
        // All of them wait for the database.
        let busy = store.write().await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..STORM)
            .map(|number| {
                let (admissions, order) = (admissions.clone(), Arc::clone(&order));
                tokio::spawn(async move {
                    let admitted = admissions.decide(connect(number)).await;
                    order.lock().unwrap().push(number);
                    admitted.map(|admitted| admitted.client_id)
                })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(busy);
        for (number, admitted) in waiting.into_iter().enumerate() {
            assert_eq!(admitted.await.unwrap().unwrap(), format!("qd{PK}86{number:013}"));
        }
        assert!(order.lock().unwrap().is_sorted(), "{order:?}");
    }

    #[tokio::test]
    async fn who_hangs_up_is_passed_over_and_takes_nobody_along() {
        let (admissions, store) = queue().await;
        let busy = store.write().await.unwrap();
        let first = tokio::spawn({
            let admissions = admissions.clone();
            async move { admissions.decide(connect(1)).await }
        });
        tokio::task::yield_now().await;
        let gone = tokio::spawn({
            let admissions = admissions.clone();
            async move { admissions.decide(connect(2)).await }
        });
        tokio::task::yield_now().await;
        gone.abort();
        assert!(gone.await.is_err());
        drop(busy);
        first.await.unwrap().unwrap();
        admissions.decide(connect(3)).await.unwrap();
        let known = [1, 2, 3].map(|number| format!("qd{PK}86{number:013}"));
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        assert_eq!(store.read().await.unwrap().devices_by_client_id(&known).await.unwrap().len(), 2);
    }
}
