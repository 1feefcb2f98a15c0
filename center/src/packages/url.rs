//! What the engine asks for: the URL that a device is given for a file.

use crate::rules::ComponentNo;
use crate::store::{PackageFile, PackageId, UpgradeId};

/// The file that a device is to fetch.
#[derive(Debug, Clone, Copy)]
pub struct Firmware<'a> {
    /// The upgrade that it belongs to; the URL is valid until this upgrade ends.
    pub upgrade: UpgradeId,
    /// The component.
    pub component: &'a ComponentNo,
    /// The version package.
    pub package: PackageId,
    /// Number of the file in the package, from 0.
    pub file_index: usize,
    /// The file.
    pub file: &'a PackageFile,
}

/// Where devices fetch firmware.
pub trait FirmwareUrls: Send + Sync {
    /// A signed URL of at most 1024 bytes.
    fn firmware_url(&self, firmware: &Firmware<'_>) -> String;
}
