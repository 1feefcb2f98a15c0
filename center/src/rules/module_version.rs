//! The version of a module, which devices tell in two forms: info reports (0x0044 id 2) with the suffix that the application
//! set, status events and requests (0x0114 and 0x0115 id 25) without (QUECTHING.md 4.9). A package may have either as its target.

use serde::Serialize;

/// What a device told of its module's version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, schemars::JsonSchema)]
pub struct ModuleVersion {
    /// The last one told, with the suffix as far as it is known of this firmware.
    #[serde(rename = "module_version")]
    pub shown: Option<String>,
    /// The firmware alone; none: not told yet.
    #[serde(rename = "firmware_version")]
    pub firmware: Option<String>,
    /// The suffix; none: not known. After another version was told it is the one of before.
    #[serde(rename = "module_suffix")]
    pub suffix: Option<String>,
}

impl ModuleVersion {
    /// The device told the version with its suffix.
    pub fn told_whole(&mut self, version: String) {
        match self.firmware.as_deref().and_then(|firmware| version.strip_prefix(firmware)) {
            Some(suffix) => self.suffix = Some(suffix.to_owned()),
            None => self.firmware = None,
        }
        self.shown = Some(version);
    }

    /// The device told the version of the firmware alone.
    pub fn told_firmware(&mut self, version: String) {
        if self.firmware.as_ref() == Some(&version) {
            return;
        }
        let suffix = self.shown.as_deref().and_then(|shown| shown.strip_prefix(version.as_str()));
        match suffix.filter(|_| self.firmware.is_none()) {
            Some(suffix) => self.suffix = Some(suffix.to_owned()),
            None => self.shown = Some(version.clone()),
        }
        self.firmware = Some(version);
    }

    /// The version in the form of one of `others`, to be compared with them; none: it is not known in that form yet.
    pub fn as_in(&self, others: &[&str]) -> Option<&str> {
        let (shown, firmware) = (self.shown.as_deref()?, self.firmware.as_deref());
        if let Some(alike) = others
            .iter()
            .find_map(|other| [Some(shown), firmware].into_iter().flatten().find(|own| own == other))
        {
            return Some(alike);
        }
        // After another firmware, the application that had a suffix has told one form only: the other one may be it.
        let has_suffix = self.suffix.as_deref().is_some_and(|suffix| !suffix.is_empty());
        let may_be = |other: &&str| match firmware {
            Some(firmware) => firmware == shown && other.starts_with(firmware),
            None => shown.starts_with(*other),
        };
        if has_suffix && others.iter().any(may_be) { None } else { Some(shown) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(whole: &str, firmware: &str) -> ModuleVersion {
        let mut version = ModuleVersion::default();
        version.told_whole(whole.to_owned());
        version.told_firmware(firmware.to_owned());
        version
    }

    #[test]
    fn a_target_is_met_in_either_form() {
        let version = told("FW2_A1", "FW2");
        assert_eq!(version.shown.as_deref(), Some("FW2_A1"));
        for target in ["FW2", "FW2_A1"] {
            assert_eq!(version.as_in(&[target]), Some(target));
        }
        assert_eq!(version.as_in(&["FW3"]), Some("FW2_A1"));
        assert_eq!(version.as_in(&["FW3", "FW2"]), Some("FW2"), "the source of a delta");
        // The other way round, and a device without a suffix.
        let mut version = ModuleVersion::default();
        version.told_firmware("FW2".to_owned());
        assert_eq!(version.as_in(&["FW2_A1"]), Some("FW2"), "nothing says that it has a suffix");
        version.told_whole("FW2_A1".to_owned());
        assert_eq!(version.as_in(&["FW2_A1"]), Some("FW2_A1"));
        assert_eq!(told("1", "1").as_in(&["1_0_1"]), Some("1"));
    }

    #[test]
    fn a_suffix_that_is_not_told_of_the_new_firmware_yet_is_waited_for() {
        let mut version = told("FW1_A1", "FW1");
        version.told_firmware("FW2".to_owned());
        assert_eq!(version.as_in(&["FW2"]), Some("FW2"));
        assert_eq!(version.as_in(&["FW2_A1"]), None, "it may be");
        assert_eq!(version.as_in(&["FW3_A1"]), Some("FW2"), "it is not");
        version.told_whole("FW2_A2".to_owned());
        assert_eq!(version.as_in(&["FW2_A1"]), Some("FW2_A2"));
        assert_eq!(version.as_in(&["FW2"]), Some("FW2"));
        // An application that lost its suffix, and one whose firmware was changed by other means.
        version.told_whole("FW2".to_owned());
        assert_eq!((version.suffix.as_deref(), version.as_in(&["FW2_A1"])), (Some(""), Some("FW2")));
        version.told_whole("FW9_A1".to_owned());
        assert_eq!((version.firmware.as_deref(), version.as_in(&["FW2"])), (None, Some("FW9_A1")));
    }

    #[test]
    fn a_firmware_that_is_not_told_without_the_suffix_yet_is_waited_for() {
        let mut version = told("FW1_A1", "FW1");
        version.told_whole("FW2_A2".to_owned());
        assert_eq!(version.as_in(&["FW2", "FW1"]), None, "it may be");
        assert_eq!(version.as_in(&["FW3", "FW1"]), Some("FW2_A2"), "it is not");
        assert_eq!(version.as_in(&["FW2_A2"]), Some("FW2_A2"));
        version.told_firmware("FW2".to_owned());
        assert_eq!(version.as_in(&["FW2", "FW1"]), Some("FW2"));
        assert_eq!((version.shown.as_deref(), version.suffix.as_deref()), (Some("FW2_A2"), Some("_A2")));
    }
}
