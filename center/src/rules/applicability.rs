//! Whether a version package applies to a component of a device, by the version that the device reports.

use super::block_reason::BlockReason;
use super::{ComponentKind, ComponentNo, PackageId, Version};

/// A component of a plan, seen from one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentFacts {
    /// The component.
    pub component: ComponentNo,
    /// Module or MCU firmware.
    pub kind: ComponentKind,
    /// The version package.
    pub package: PackageId,
    /// What the device reports for it.
    pub reported: Option<String>,
    /// What a delta package needs; none: a full package.
    pub source: Option<Version>,
    /// What the package brings.
    pub target: Version,
    /// The newer plan that takes this one's place for this device and component.
    pub superseded_by: Option<i64>,
}

/// Positions of the components that can be upgraded, or why none can.
pub(crate) fn needed(components: &[ComponentFacts]) -> Result<Vec<usize>, BlockReason> {
    let mut first_held = None;
    let mut needed = Vec::new();
    for (position, facts) in components.iter().enumerate() {
        match is_needed(facts) {
            Ok(Need::Upgrade) => needed.push(position),
            Ok(Need::None) => {}
            Err(blocked) => first_held = first_held.or(Some(blocked)),
        }
    }
    if needed.is_empty() { Err(first_held.unwrap_or(BlockReason::AtTarget)) } else { Ok(needed) }
}

/// Whether a component is to be upgraded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// It is.
    Upgrade,
    /// It has its target version.
    None,
}

/// Whether the component is to be upgraded, or what stands against it.
pub fn is_needed(facts: &ComponentFacts) -> Result<Need, BlockReason> {
    let component = || facts.component.clone();
    let Some(reported) = &facts.reported else {
        return Err(BlockReason::ComponentUnknown { component: component() });
    };
    if reported == facts.target.as_str() {
        return Ok(Need::None);
    }
    if let Some(by) = facts.superseded_by {
        return Err(BlockReason::Superseded { component: component(), by });
    }
    match &facts.source {
        Some(source) if source.as_str() != reported => Err(BlockReason::SourceDiffers {
            component: component(),
            reported: reported.clone(),
            source: source.clone(),
        }),
        _ => Ok(Need::Upgrade),
    }
}
