//! Devices that are entered before their first connect.

use rand::Rng;
use rand::distr::Alphanumeric;

use super::transaction::transact;
use super::{Engine, Result};
use crate::rules::{DeviceKey, DeviceSecret, NameError, ProductKey};

/// Characters of a secret that the center makes.
const SECRET: usize = 32;

/// A secret for a device that has none: letters and digits, because devices handle secrets as text.
pub fn new_secret() -> std::result::Result<DeviceSecret, NameError> {
    DeviceSecret::new(rand::rng().sample_iter(Alphanumeric).take(SECRET).map(char::from).collect::<String>())
}

impl Engine {
    /// Enters devices, each with the secret for its first connect, and returns how many are new: one that is there keeps
    /// its own secret.
    pub async fn import_devices(
        &self,
        product: &ProductKey,
        devices: &[(DeviceKey, DeviceSecret)],
    ) -> Result<u64> {
        transact!(self, |store| Ok(store.import_devices(product, devices, self.clock.now()).await?))
    }
}
