//! Version packages.

pub mod delete;
pub mod download;
pub mod limits;
pub mod list;
pub mod show;
pub mod upload;

use serde::Serialize;

use super::error::ApiError;
use super::verification::Verification;
use crate::engine::twin_warning;
use crate::rules::plan::Verified;
use crate::store::{Package, PlanWithPackage, Reader};

/// A package with what its firmware verifications say.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "PackageWithVerification")]
pub struct Proved {
    #[serde(flatten)]
    package: Package,
    /// The last verification that passed or failed decides.
    verified: Verified,
    /// The one that began last.
    last_verification: Option<Verification>,
}

/// A package with its verifications and the plans that have it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "PackageDetails")]
pub struct Detailed {
    #[serde(flatten)]
    proved: Proved,
    /// The newest 100.
    plans: Vec<PlanWithPackage>,
    /// What the operator may not have meant: other packages for the same version with other bytes.
    warnings: Vec<String>,
}

impl Detailed {
    async fn of(store: &mut Reader, package: Package) -> Result<Self, ApiError> {
        let plans = store.plans_with_package(package.id).await?;
        let warnings = store.twins_of(&package).await?.iter().map(twin_warning).collect();
        Ok(Self { proved: Proved::of(store, package).await?, plans, warnings })
    }
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
