//! Firmware verification of packages.

pub mod list;
pub mod show;
pub mod start;

use serde::Serialize;

use crate::api::error::ApiError;
use crate::clock::Millis;
use crate::rules::progress::ComponentState;
use crate::rules::verification::VerificationState;
use crate::rules::{ComponentNo, DeviceKey, Version};
use crate::store::{PackageId, Reader, Upgrade, UpgradeId};

/// The verification of a package on one device.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "FirmwareVerification")]
pub struct Verification {
    id: UpgradeId,
    package: Option<PackageId>,
    device: DeviceKey,
    component: Option<ComponentNo>,
    source: Option<String>,
    target: Option<Version>,
    state: VerificationState,
    /// How far the component is in the conversation with the device.
    component_state: Option<ComponentState>,
    /// Why it failed or waits.
    reason: Option<String>,
    fetched: u64,
    created: Millis,
    confirmed: Option<Millis>,
    /// It ends by then.
    deadline: Option<Millis>,
    ended: Option<Millis>,
}

impl Verification {
    pub(super) async fn of(store: &mut Reader, upgrade: Upgrade) -> Result<Self, ApiError> {
        let device = store.device_by_id(upgrade.device).await?.key;
        let state = VerificationState::of(upgrade.phase());
        let Upgrade { id, reason, created, confirmed, deadline, ended, components, .. } = upgrade;
        let component = components.into_iter().next();
        Ok(Self {
            id,
            package: component.as_ref().map(|component| component.package),
            device,
            source: component.as_ref().and_then(|component| component.source.clone()),
            target: component.as_ref().map(|component| component.target.clone()),
            state,
            component_state: component.as_ref().map(|component| component.state),
            fetched: component.as_ref().map_or(0, |component| component.fetched),
            component: component.map(|component| component.component),
            reason,
            created,
            confirmed,
            deadline,
            ended,
        })
    }
}
