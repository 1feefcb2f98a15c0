//! What is known of a device.

use serde::Serialize;

use super::module_version::ModuleVersion;
use super::progress::Presence;
use super::{ComponentKind, ComponentNo, DeviceKey, ProductKey};
use crate::clock::Millis;

/// Version of an MCU component, as its device reported it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct ReportedVersion {
    /// The component.
    pub component: ComponentNo,
    /// Its version: the device's own text.
    pub version: String,
}

/// Whether a report of the device is fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// It came on this connection.
    Fresh,
    /// Not on this connection.
    Stale,
}

/// What is known of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFacts<'a> {
    /// Its product.
    pub product: &'a ProductKey,
    /// Its key.
    pub key: &'a DeviceKey,
    /// Whether it can be reached.
    pub presence: Presence,
    /// Since when it has its connection; none: it is offline.
    pub online_since: Option<Millis>,
    /// Whether it reported its versions on this connection.
    pub versions: Knowledge,
    /// Version of its module.
    pub module_version: Option<&'a ModuleVersion>,
    /// Versions of its MCU components.
    pub mcu_versions: &'a [ReportedVersion],
    /// Version of its SDK (info id 11).
    pub sdk_version: Option<&'a str>,
    /// Battery, %, if reported on this connection.
    pub battery: Option<i64>,
    /// RSRP, dBm, if reported on this connection.
    pub rsrp: Option<i64>,
}

impl DeviceFacts<'_> {
    /// What the device reports as the version of a component, to be compared with `others`: a module's version has two forms.
    pub fn reported(&self, component: &ComponentNo, kind: ComponentKind, others: &[&str]) -> Option<&str> {
        match kind {
            ComponentKind::Module => self.module_version?.as_in(others),
            ComponentKind::Mcu => {
                let found = self.mcu_versions.iter().find(|reported| reported.component == *component);
                found.map(|reported| reported.version.as_str())
            }
        }
    }
}
