//! Business data of devices: acknowledged, counted, and shown in the device's log. This center has no other use for it.
//!
//! A fleet may send it by the second. So it is gathered in memory, a line for each device and kind, and written once a
//! second ([`Engine::write_business`]); a process that dies loses at most that. In the log a device has one line of each kind
//! a day: the latest content, when it came first and last, and how often.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tokio::sync::Notify;

use super::message::{BusinessData, BusinessKind};
use super::transaction::transact;
use super::{Engine, Result};
use crate::clock::Millis;
use crate::store::{DeviceId, NewLogEntry};

/// Lines that wait to be written, at most. What comes beyond is in the figures alone.
const WAITING_MAX: usize = 10_000;
/// Lines that one transaction writes.
const BATCH: usize = 200;

/// What came of one kind from one device since the last writing.
#[derive(Debug, Clone)]
struct Gathered {
    /// The latest.
    data: BusinessData,
    times: i64,
    first: Millis,
    last: Millis,
}

/// What is to be written. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Business {
    waiting: Arc<Mutex<HashMap<(DeviceId, BusinessKind), Gathered>>>,
    has_some: Arc<Notify>,
}

impl Business {
    fn add(&self, device: DeviceId, data: BusinessData, now: Millis) {
        self.has_some.notify_one();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (device, data.kind);
        if let Some(gathered) = waiting.get_mut(&key) {
            gathered.data = data;
            gathered.times = gathered.times.saturating_add(1);
            gathered.last = now;
        } else if waiting.len() < WAITING_MAX {
            waiting.insert(key, Gathered { data, times: 1, first: now, last: now });
        }
    }

    fn take(&self) -> Vec<(DeviceId, Gathered)> {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut taken: Vec<_> =
            waiting.into_iter().map(|((device, _), gathered)| (device, gathered)).collect();
        // Several centers write over the same database: in one order, so that they do not wait for each other in a circle.
        taken.sort_by_key(|(device, gathered)| (*device, gathered.data.kind));
        taken
    }
}

impl Engine {
    /// A device sent business data; nothing follows from it.
    pub fn business(&self, device: DeviceId, data: BusinessData) {
        self.metrics.business(data.kind.name());
        self.business.add(device, data, self.clock.now());
    }

    /// Returns when something is to be written.
    pub async fn until_business(&self) {
        self.business.has_some.notified().await;
    }

    /// Writes what has come since the last call into the devices' logs: call it a second after something came.
    ///
    /// # Errors
    /// The database did not take it; what was gathered is not kept.
    pub async fn write_business(&self) -> Result<()> {
        for batch in self.business.take().chunks(BATCH) {
            transact!(self, |store| {
                for (device, Gathered { data, times, first, last }) in batch {
                    let entry = NewLogEntry {
                        device: *device,
                        upgrade: None,
                        component: None,
                        kind: data.kind.line(),
                        value: json!({ "bytes": data.bytes, "data": data.text }).to_string(),
                    };
                    store.log_summary(entry, *times, *first, *last).await?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
