//! Which devices may connect: forbidden ones, deleted ones, and those whose connections are taken over again and again.

use serde::Serialize;
use serde_json::json;

use super::device_transaction::{DeviceTransaction, with_device};
use super::transaction::transact;
use super::{Engine, Result};
use crate::clock::Millis;
use crate::metrics::Count;
use crate::rules::{DeviceKey, ProductKey};
use crate::store::{Device, DeviceId, StoreError};

/// Connections of a device that took over one another.
#[derive(Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct TakenOver {
    /// How often.
    pub times: i64,
    /// Since when that is counted.
    pub since: Option<Millis>,
    /// The addresses of the last two connections.
    pub addresses: Vec<String>,
}

/// Whether a new connection took over an older one of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TookOver {
    /// It did.
    Yes,
    /// There was none, or it is another center's.
    No,
}

impl TakenOver {
    /// Of a device; none: not often enough to mean anything.
    pub fn of(device: &Device, now: Millis) -> Option<Self> {
        let addresses = || {
            let mut both: Vec<String> = device.peer.iter().chain(&device.peer_before).cloned().collect();
            both.sort_unstable();
            both.dedup();
            both
        };
        let (times, since) = device.takeovers.sum();
        device.takeovers.are_many(now).then(|| TakenOver { times, since, addresses: addresses() })
    }
}

impl Engine {
    /// The device may not connect any more, and its connection is closed; or it may again. The device as it is now.
    pub async fn forbid_device(
        &self,
        product: &ProductKey,
        key: &DeviceKey,
        is_forbidden: bool,
    ) -> Result<Device> {
        let id = self.store.read().await?.device(product, key).await?.id;
        with_device!(self, id, |transaction| {
            let since = is_forbidden.then_some(transaction.now);
            if transaction.device.forbidden.is_some() == is_forbidden {
                return Ok(());
            }
            transaction.store.beside().set_forbidden(id, since).await?;
            let kind = if is_forbidden { "forbidden" } else { "allowed" };
            transaction.log(None, None, kind, serde_json::Value::Null).await?;
            let device = &transaction.device;
            if let (true, Some(center), Some(session)) = (is_forbidden, &device.center, &device.session) {
                transaction.store.beside().take_over(center, id, session).await?;
            }
            Ok(())
        })?;
        self.wake.all();
        Ok(self.store.read().await?.device_by_id(id).await?)
    }

    /// Deletes a device with its upgrades and its log. [`StoreError::Conflict`] while it is connected.
    pub async fn delete_device(&self, product: &ProductKey, key: &DeviceKey) -> Result<()> {
        let id = self.store.read().await?.device(product, key).await?.id;
        transact!(self, |store| {
            if store.lock_device(id).await?.session.is_some() {
                let reason =
                    "it is connected, and would enter itself again: forbid it first, or switch it off";
                return Err(StoreError::conflict("device", key, reason).into());
            }
            store.delete_device(id).await?;
            Ok(())
        })
    }

    /// Whether the device is to be given the product's secret of now, and that it is.
    pub(crate) async fn hands_over_secret(&self, device: DeviceId) -> Result<bool> {
        transact!(self, |store| Ok(store.note_secret_sent(device, self.clock.now()).await?))
    }
}

impl DeviceTransaction<'_> {
    /// The device's new connection has taken over one that still stood.
    pub(super) async fn takes_over(&mut self) -> Result<()> {
        self.store.count(Count::Takeover);
        if !self.device.takeovers.are_worth_a_line() {
            return Ok(());
        }
        let Some(TakenOver { times, since, addresses }) = TakenOver::of(&self.device, self.now) else {
            return Ok(());
        };
        tracing::warn!(
            product = %self.device.product,
            device = %self.device.key,
            times,
            addresses = addresses.join(" and "),
            "connection taken over again and again: two devices with one key?"
        );
        self.log(None, None, "taken over", json!({ "times": times, "since": since, "addresses": addresses }))
            .await
    }
}
