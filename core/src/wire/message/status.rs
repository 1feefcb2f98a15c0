//! 0x0114: where an upgrade stands (QUECTHING.md 3.1).

use super::{
    ComponentKind, Field, Fields, MessageError, StatusExtension, Versions, WriteFields, field, finish,
    plan::{COMPONENT, KIND},
};
use crate::{
    limits,
    wire::{NoRoom, ttlv::Writer},
};

const STATUS: Field = field(13, "status");
const STATUS_TEXT: Field = field(14, "status text");
const SIGNATURE: Field = field(19, "wanted signature");

/// Where an upgrade stands; the number is that of data point 13.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum OtaStatus {
    /// Nothing to do; never reported.
    NoPlan = 0,
    /// A plan came.
    PlanReceived = 1,
    /// Confirmed; waits for the URL.
    Confirmed = 2,
    /// Refused.
    Refused = 3,
    /// The URL came, the download begins.
    DownloadStart = 4,
    /// The download goes on.
    Downloading = 5,
    /// The download failed.
    DownloadError = 6,
    /// A piece (MCU) or the file (module) is there.
    Downloaded = 8,
    /// It is being taken over.
    Updating = 9,
    /// The target version runs.
    UpdateSuccess = 11,
    /// The upgrade failed.
    UpdateError = 12,
}

impl OtaStatus {
    /// Every status, by number.
    pub const ALL: [OtaStatus; 11] = [
        OtaStatus::NoPlan,
        OtaStatus::PlanReceived,
        OtaStatus::Confirmed,
        OtaStatus::Refused,
        OtaStatus::DownloadStart,
        OtaStatus::Downloading,
        OtaStatus::DownloadError,
        OtaStatus::Downloaded,
        OtaStatus::Updating,
        OtaStatus::UpdateSuccess,
        OtaStatus::UpdateError,
    ];

    /// The status with this number; 7 and 10 are none.
    pub fn from_number(number: u64) -> Option<OtaStatus> {
        OtaStatus::ALL.into_iter().find(|status| u64::from(status.number()) == number)
    }

    /// Data point 13.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Data point 14, as vendor devices spell it.
    pub const fn text(self) -> &'static str {
        match self {
            OtaStatus::NoPlan => "NOPLAN",
            OtaStatus::PlanReceived => "REVICEPLAN",
            OtaStatus::Confirmed => "SUBMITOTA",
            OtaStatus::Refused => "REFUSEDOTA",
            OtaStatus::DownloadStart => "DOWNLOADSTART",
            OtaStatus::Downloading => "DOWNLOADING",
            OtaStatus::DownloadError => "DOWNLOADERROR",
            OtaStatus::Downloaded => "DOWNLOADSUCCESS",
            OtaStatus::Updating => "UPDATING",
            OtaStatus::UpdateSuccess => "UPDATESUCCESS",
            OtaStatus::UpdateError => "UPDATEERROR",
        }
    }
}

/// A digest beyond MD5 that a device wants to have announced (id 19 of status 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// `sha256`.
    Sha256,
}

/// 0x0114.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl<'a> StatusEvent<'a> {
    /// Reads the payload.
    pub fn parse(payload: &'a [u8]) -> Result<StatusEvent<'a>, MessageError> {
        let mut fields = Fields::parse(payload);
        if fields.number(&STATUS).is_none() {
            fields.missing(&STATUS);
        }
        let event = StatusEvent {
            status: fields.meaning(&STATUS, OtaStatus::from_number).unwrap_or(OtaStatus::NoPlan),
            signature: fields
                .text(&SIGNATURE, usize::MAX)
                .eq_ignore_ascii_case("sha256")
                .then_some(Signature::Sha256),
            kind: ComponentKind::read(&mut fields),
            component: fields.text(&COMPONENT, limits::COMPONENT),
            versions: Versions::read(&mut fields),
            extension: StatusExtension::read(&fields),
        };
        fields.finish(event)
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        writer
            .number(STATUS.id, self.status.number())
            .text(STATUS_TEXT.id, self.status.text())
            .number(KIND.id, self.kind.number())
            .text_unless_empty(COMPONENT, self.component);
        if let Some(Signature::Sha256) = self.signature {
            writer.text(SIGNATURE.id, "sha256");
        }
        self.versions.write(&mut writer);
        self.extension.write(&mut writer);
        finish(&mut writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_numbers_have_the_gaps_of_the_vendor() {
        assert_eq!(OtaStatus::from_number(8), Some(OtaStatus::Downloaded));
        for gap in [7, 10, 13, u64::MAX] {
            assert_eq!(OtaStatus::from_number(gap), None);
        }
        let error = StatusEvent::parse(b"\x00\x6a\x00\x07").unwrap_err();
        assert_eq!(error, MessageError::Unknown { field: STATUS, offset: 0, value: 7u8.into() });
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
