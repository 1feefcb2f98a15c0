//! Devices, as they described themselves.

pub mod access;
pub mod import;
pub mod list;
pub mod log;
pub mod show;
pub mod upgrades;
pub mod why;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::rules::ComponentNo;
use crate::rules::progress::Presence;
use crate::store::{Device, ReportedVersion};

/// A device with the versions of its MCUs.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "DeviceWithVersions")]
pub struct Described {
    #[serde(flatten)]
    device: Device,
    online: bool,
    mcu_versions: BTreeMap<ComponentNo, String>,
}

impl Described {
    fn new(device: Device, versions: Vec<ReportedVersion>) -> Self {
        let online = device.presence() == Presence::Online;
        let mcu_versions =
            versions.into_iter().map(|reported| (reported.component, reported.version)).collect();
        Self { device, online, mcu_versions }
    }
}
