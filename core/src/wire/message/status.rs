//! 0x0114: where an upgrade stands (QUECTHING.md 3.1).

use super::{
    ComponentKind, MessageError, StatusExtension, Versions, Wanted, field, payload,
    table::{Outcome, table},
};
use crate::limits;
use crate::wire::ttlv::{List, Writer};

/// The number of each status, and data point 14, as vendor devices spell it.
macro_rules! statuses {
    ($($(#[$about:meta])* $status:ident = $number:literal, $text:literal;)*) => {
        /// Where an upgrade stands; the number is that of data point 13.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        #[repr(u8)]
        pub enum OtaStatus {
            $($(#[$about])* $status = $number,)*
        }

        impl OtaStatus {
            /// Every status, by number.
            pub const ALL: [OtaStatus; 11] = [$(OtaStatus::$status),*];

            /// Data point 14.
            pub const fn text(self) -> &'static str {
                match self {
                    $(OtaStatus::$status => $text,)*
                }
            }
        }
    };
}

statuses! {
    /// Nothing to do; never reported.
    #[default]
    NoPlan = 0, "NOPLAN";
    /// A plan came.
    PlanReceived = 1, "REVICEPLAN";
    /// Confirmed; waits for the URL.
    Confirmed = 2, "SUBMITOTA";
    /// Refused.
    Refused = 3, "REFUSEDOTA";
    /// The URL came, the download begins.
    DownloadStart = 4, "DOWNLOADSTART";
    /// The download goes on.
    Downloading = 5, "DOWNLOADING";
    /// The download failed.
    DownloadError = 6, "DOWNLOADERROR";
    /// A piece (MCU) or the file (module) is there.
    Downloaded = 8, "DOWNLOADSUCCESS";
    /// It is being taken over.
    Updating = 9, "UPDATING";
    /// The target version runs.
    UpdateSuccess = 11, "UPDATESUCCESS";
    /// The upgrade failed.
    UpdateError = 12, "UPDATEERROR";
}

impl OtaStatus {
    /// The status with this number; 7 and 10 are none.
    pub fn from_number(number: u32) -> Option<OtaStatus> {
        OtaStatus::ALL.into_iter().find(|status| u32::from(status.number()) == number)
    }

    /// Data point 13.
    pub const fn number(self) -> u8 {
        self as u8
    }
}

/// A digest beyond MD5 that a device wants to have announced (id 19 of status 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// `sha256`.
    Sha256,
}

/// 0x0114.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusEvent<'a> {
    /// Where it stands. The text of data point 14 follows from it and is not read.
    pub status: OtaStatus,
    /// Whose firmware.
    pub kind: ComponentKind,
    /// Which component; empty when a vendor device could not read its plan.
    pub component: &'a str,
    /// With status 2: what the platform is to announce.
    pub signature: Option<Signature>,
    /// With status 11 and 12: what the device has now.
    pub versions: Versions<'a>,
    /// What vendors do not know.
    pub extension: StatusExtension<'a>,
}

payload!(StatusEvent<'a>);
table! { StatusEvent<'a>:
    status: field(13, "status").needed(),
    kind: field(7, "component type"),
    component: field(4, "component").at_most(limits::COMPONENT),
    signature: field(19, "wanted signature"),
    versions.module: field(25, "module version"),
    versions.mcu: field(26, "MCU list"),
    ;
    fn read(&mut self, list: List<'a>) -> Outcome {
        self.extension = StatusExtension::read(list);
        self.read_points(list)
    }

    fn write(&mut self, wanted: Wanted, writer: &mut Writer<'_>) {
        self.write_points(wanted, writer);
        self.extension.write(wanted, writer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn status_numbers_have_the_gaps_of_the_vendor() {
        assert_eq!(OtaStatus::from_number(8), Some(OtaStatus::Downloaded));
        for gap in [7, 10, 13, u32::MAX] {
            assert_eq!(OtaStatus::from_number(gap), None);
        }
        let payload = b"\x00\x6a\x00\x07";
        let words = StatusEvent::parse(payload).unwrap_err().in_words(payload).to_string();
        assert_eq!(words, "status (id 13) at byte 0 is 7, which has no meaning");
    }

    #[test]
    fn a_confirmation_can_ask_for_sha256() {
        let event = StatusEvent {
            status: OtaStatus::Confirmed,
            kind: ComponentKind::Mcu,
            component: "MCU",
            signature: Some(Signature::Sha256),
            versions: Versions::default(),
            extension: StatusExtension::default(),
        };
        let mut out = [0; 64];
        let length = event.emit(&mut out).unwrap();
        assert_eq!(StatusEvent::parse(out.get(..length).unwrap()), Ok(event));
    }

    #[test]
    fn a_report_without_a_component_is_read() {
        let event = StatusEvent::parse(b"\x00\x6a\x00\x01\x00\x3a\x00\x00\x00\x23\x00\x00").unwrap();
        assert_eq!((event.status, event.component), (OtaStatus::PlanReceived, ""));
    }
}
