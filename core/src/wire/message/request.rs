//! 0x0115: is there an upgrade plan for these versions?

use super::{MessageError, field, payload, table};
use crate::wire::{Parts, parts};

/// The versions that a device has; empty where they are not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Versions<'a> {
    /// Of the module's firmware, with the application's suffix.
    pub module: &'a str,
    /// Of the MCU components, `a:1;b:2`.
    pub mcu: &'a str,
}

impl<'a> Versions<'a> {
    /// The MCU components one by one.
    pub fn components(&self) -> McuList<'a> {
        McuList::of(self.mcu)
    }
}

/// Components and versions of a text `a:1;b:2`. An entry without a component or a version is left out.
#[derive(Debug, Clone)]
pub struct McuList<'a>(Parts<'a>);

impl<'a> McuList<'a> {
    /// Of the whole text.
    pub fn of(text: &'a str) -> McuList<'a> {
        McuList(parts(text, b';'))
    }
}

impl<'a> Iterator for McuList<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        self.0.find_map(|entry| {
            let component = parts(entry, b':').next()?;
            // The version is all that follows: colons have no meaning in it.
            let version = entry.get(component.len()..)?.strip_prefix(':')?;
            (!component.is_empty() && !version.is_empty()).then_some((component, version))
        })
    }
}

/// 0x0115.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanRequest<'a> {
    /// The versions that the device has.
    pub versions: Versions<'a>,
}

payload!(PlanRequest<'a>);
table! { PlanRequest<'a>:
    versions.module: field(25, "module version"),
    versions.mcu: field(26, "MCU list"),
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn an_mcu_list_is_read_entry_by_entry() {
        let list: Vec<_> = McuList::of("MCU:1;STM32:1_0:0;;bare;:2;x:").collect();
        assert_eq!(list, [("MCU", "1"), ("STM32", "1_0:0")]);
    }

    #[test]
    fn a_device_without_mcu_sends_its_module_version_only() {
        let request = PlanRequest { versions: Versions { module: "FWV1", mcu: "" } };
        let mut out = [0; 16];
        let length = request.emit(&mut out).unwrap();
        assert_eq!(out.get(..length), Some(&b"\x00\xcb\x00\x04FWV1"[..]));
        assert_eq!(PlanRequest::parse(out.get(..length).unwrap()), Ok(request));
    }
}
