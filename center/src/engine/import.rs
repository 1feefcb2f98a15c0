//! Devices that are entered before their first connect.

use super::{Engine, Result};
use crate::rules::{DeviceKey, DeviceSecret, ProductKey};

impl Engine {
    /// Enters devices, each with the secret for its first connect, and returns how many are new: one that is there keeps
    /// its own secret.
    pub async fn import_devices(
        &self,
        product: &ProductKey,
        devices: &[(DeviceKey, DeviceSecret)],
    ) -> Result<u64> {
        let mut store = self.begin().await?;
        let added = store.import_devices(product, devices, self.clock.now()).await?;
        store.commit().await?;
        Ok(added)
    }
}
