//! What uploads may take: a product's share, and not the room that upgrades need.

use axum::http::StatusCode;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::disk::Disk;
use crate::rules::ProductKey;

/// Bytes of a file after which the limits are looked at again.
const LOOK: u64 = 4 * 1024 * 1024;

/// What uploads may take.
#[derive(Debug, Clone, Default)]
pub struct UploadLimits {
    /// The disk of the packages, with the reserve that uploads leave; none: there is no such disk here.
    pub reserve: Option<Disk>,
    /// Bytes of all packages of one product; none: any number.
    pub quota: Option<u64>,
}

/// What one upload may still take.
pub(super) struct Allowance<'a> {
    limits: &'a UploadLimits,
    /// Bytes of the product's packages before it.
    before: u64,
    taken: u64,
    looked: u64,
}

impl Api {
    /// What an upload to the product may take, if anything.
    pub(super) async fn allowance(&self, product: &ProductKey) -> Result<Allowance<'_>, ApiError> {
        let before = self.engine.store().read().await?.package_bytes(product).await?;
        let allowance = Allowance { limits: &self.uploads, before, taken: 0, looked: 0 };
        allowance.check()?;
        Ok(allowance)
    }
}

impl Allowance<'_> {
    /// So many bytes more.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), ApiError> {
        self.taken = self.taken.saturating_add(bytes as u64);
        if self.limits.quota.is_some_and(|quota| self.before.saturating_add(self.taken) > quota) {
            return Err(self.over_quota());
        }
        if self.taken >= self.looked.saturating_add(LOOK) {
            self.looked = self.taken;
            self.check()?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ApiError> {
        if self.limits.quota.is_some_and(|quota| self.before >= quota) {
            return Err(self.over_quota());
        }
        // A disk that cannot be asked says so when it is written to.
        match self.limits.reserve.as_ref().map(Disk::check) {
            Some(Err(error)) => {
                let message =
                    format!("{error}, or delete packages; upgrades go on, uploads are refused until then");
                Err(ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "disk_reserve", message))
            }
            _ => Ok(()),
        }
    }

    fn over_quota(&self) -> ApiError {
        let quota = self.limits.quota.unwrap_or_default();
        let message = format!(
            "the packages of this product have {} bytes, and {quota} are the most with this one: delete packages that no \
             plan needs, or whoever runs the center raises --product-quota",
            self.before
        );
        ApiError::new(StatusCode::INSUFFICIENT_STORAGE, "quota", message)
    }
}
