//! What an upgrade is about: the image, its pieces, and the limits that a plan names.

use crate::digest::Announced;
use crate::limits;
use crate::text::Text;
use crate::wire::message::ComponentKind;

/// What is upgraded to what. The offer names it; size and digests come with the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Component number.
    pub component: Text<{ limits::COMPONENT }>,
    /// Kind of the component.
    pub kind: ComponentKind,
    /// Target version.
    pub target: Text<{ limits::VERSION }>,
    /// Bytes; 0 before the URL came.
    pub size: u32,
    /// Digests of the whole file.
    pub announced: Announced,
}

impl Image {
    /// Of no component.
    pub const NONE: Image = Image {
        component: Text::new(),
        kind: ComponentKind::Module,
        target: Text::new(),
        size: 0,
        announced: Announced { md5: None, crc32: None, sha256: None },
    };

    /// Whether it is this version of this component, whatever its bytes.
    pub fn is(&self, kind: ComponentKind, component: &str, target: &str) -> bool {
        self.kind == kind && self.component.as_str() == component && self.target.as_str() == target
    }
}

/// The limits that a plan names; for the application, which checks them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanRequirements {
    /// Per cent.
    pub battery: u32,
    /// dBm.
    pub signal: i32,
    /// Bytes.
    pub space: u32,
}

/// A stretch of the file that is staged as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Piece {
    /// Offset of its first byte in the file.
    pub start: u32,
    /// Bytes.
    pub length: u32,
}
