//! Version packages.

pub mod list;
pub mod show;
pub mod upload;

use serde::Serialize;

use super::error::ApiError;
use super::verification::Verification;
use crate::rules::verification::Verified;
use crate::store::{Package, Reader};

/// A package with what its firmware verifications say.
#[derive(Debug, Serialize)]
pub struct Proved {
    #[serde(flatten)]
    package: Package,
    /// The last verification that passed or failed decides.
    verified: Verified,
    /// The one that began last.
    last_verification: Option<Verification>,
}

impl Proved {
    async fn of(store: &mut Reader, package: Package) -> Result<Self, ApiError> {
        let verified = store.verified(package.id).await?;
        let last_verification = match store.last_verification(package.id).await? {
            Some(upgrade) => Some(Verification::of(store, upgrade).await?),
            None => None,
        };
        Ok(Self { package, verified, last_verification })
    }
}
