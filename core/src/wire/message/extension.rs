//! What quecota adds to QuecThing's packets: ids from 8000 up, which neither vendor devices nor vendor platforms know.
//!
//! | id | where | what |
//! | --- | --- | --- |
//! | 8000 | 0x00B4 down | [`Capabilities`]: what the platform wants to hear, as a sum of their bits |
//! | 8001 | 0x0114 with 3, 6, 12 | why: the number of the reason |
//! | 8002 | 0x0114 with 3, 6, 12 | the same in words |
//! | 8003 | 0x0114 with 5, 6, 8 | bytes of the image that the device has |
//! | 8004 | 0x0114 with 5, 6, 8 | bytes of the image in all |
//!
//! A device says in info id 11 that it is one of ours ([`SDK_PREFIX`]). Only then does our platform send 8000, and only
//! after that, and until the connection ends, does the device send the others. So nobody gets an id that it did not ask
//! for.

use super::{Fields, Wanted, field, table};
use crate::limits;
use crate::wire::ttlv::{List, Writer};

/// How info id 11 of our devices begins; "major.minor" follows.
pub const SDK_PREFIX: &str = "quecota/";

/// The first id that is ours.
pub const FIRST_ID: u16 = 8000;

/// What a platform wants to hear beyond QuecThing. Bits without a name are kept and mean nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(pub u32);

impl Capabilities {
    /// Nothing: a vendor's platform.
    pub const NONE: Capabilities = Capabilities(0);
    /// Why something failed or was refused: ids 8001 and 8002.
    pub const REASONS: Capabilities = Capabilities(1);
    /// How far a download is: ids 8003 and 8004.
    pub const PROGRESS: Capabilities = Capabilities(2);
    /// All that this version knows.
    pub const ALL: Capabilities = Capabilities(Self::REASONS.0 | Self::PROGRESS.0);

    /// Whether all of `wanted` is in it.
    pub const fn has(self, wanted: Capabilities) -> bool {
        self.0 & wanted.0 == wanted.0
    }
}

/// Why something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reason<'a> {
    /// A number that stays the same for the same reason; those of our devices are [`crate::ota::Failure`]'s.
    pub number: u16,
    /// In words; may be empty.
    pub text: &'a str,
}

/// How far a download is, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Downloaded {
    /// What the device has of the image.
    pub received: u32,
    /// The image.
    pub size: u32,
}

/// What a status event says beyond QuecThing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusExtension<'a> {
    /// Why; with 3, 6 and 12.
    pub reason: Option<Reason<'a>>,
    /// How far; with 5, 6 and 8.
    pub progress: Option<Downloaded>,
}

impl<'a> StatusExtension<'a> {
    /// Only what the peer wants to hear.
    #[must_use]
    pub fn only(self, wanted: Capabilities) -> Self {
        StatusExtension {
            reason: self.reason.filter(|_| wanted.has(Capabilities::REASONS)),
            progress: self.progress.filter(|_| wanted.has(Capabilities::PROGRESS)),
        }
    }

    pub(super) fn read(list: List<'a>) -> Self {
        let mut points = Points::default();
        // What is wrong with one of ours reads as absent.
        let _ = points.read(list);
        StatusExtension {
            reason: points.number.map(|number| Reason { number, text: points.text }),
            progress: points.received.zip(points.size).map(|(received, size)| Downloaded { received, size }),
        }
    }

    pub(super) fn write(&self, wanted: Wanted, writer: &mut Writer<'_>) {
        if !cfg!(feature = "extensions") {
            return;
        }
        let mut points = Points {
            number: self.reason.map(|reason| reason.number),
            text: self.reason.map_or("", |reason| reason.text),
            received: self.progress.map(|progress| progress.received),
            size: self.progress.map(|progress| progress.size),
        };
        points.write(wanted, writer);
    }
}

/// The same as data points.
#[derive(Clone, Copy, Default)]
struct Points<'a> {
    number: Option<u16>,
    text: &'a str,
    received: Option<u32>,
    size: Option<u32>,
}

table! { Points<'a>:
    number: field(8001, "reason").ours(),
    text: field(8002, "reason in words").ours().at_most(limits::REASON_TEXT),
    received: field(8003, "bytes received").ours(),
    size: field(8004, "bytes in all").ours(),
}

#[cfg(test)]
mod tests {
    use super::super::{ComponentKind, OtaStatus, Provision, StatusEvent, Versions};
    use super::*;
    use crate::wire::ttlv::List;

    const FAILED: StatusEvent<'_> = StatusEvent {
        status: OtaStatus::DownloadError,
        kind: ComponentKind::Mcu,
        component: "MCU",
        signature: None,
        versions: Versions { module: "", mcu: "" },
        extension: StatusExtension {
            reason: Some(Reason { number: 5, text: "status 404" }),
            progress: Some(Downloaded { received: 20_000, size: 50_000 }),
        },
    };

    /// Ids of the event that are ours.
    fn ours(event: &StatusEvent<'_>) -> std::vec::Vec<u16> {
        let mut out = [0; 128];
        let length = event.emit(&mut out).unwrap();
        let extension = if cfg!(feature = "extensions") { event.extension } else { Default::default() };
        assert_eq!(StatusEvent::parse(out.get(..length).unwrap()), Ok(StatusEvent { extension, ..*event }));
        let list = List::parse(out.get(..length).unwrap()).unwrap();
        list.iter().map(|item| item.id).filter(|id| *id >= FIRST_ID).collect()
    }

    #[test]
    fn a_peer_gets_what_it_wants_to_hear_and_nothing_else() {
        let of = |wanted| ours(&StatusEvent { extension: FAILED.extension.only(wanted), ..FAILED });
        assert!(of(Capabilities::NONE).is_empty());
        if !cfg!(feature = "extensions") {
            assert!(of(Capabilities::ALL).is_empty(), "not in this image");
            return;
        }
        assert_eq!(of(Capabilities::REASONS), [8001, 8002]);
        assert_eq!(of(Capabilities::PROGRESS), [8003, 8004]);
        assert_eq!(of(Capabilities::ALL), [8001, 8002, 8003, 8004]);
        assert_eq!(of(Capabilities(u32::MAX)), [8001, 8002, 8003, 8004], "of a later version");
    }

    #[test]
    fn somebody_elses_use_of_the_ids_costs_no_packet() {
        let mut out = [0; 64];
        let mut writer = Writer::new(&mut out);
        writer
            .number(13, 6u8)
            .text(8001, "theirs")
            .number(8002, 1u8)
            .number(8003, 70_000u32)
            .open(8004)
            .close();
        let length = writer.finish().unwrap();
        let event = StatusEvent::parse(out.get(..length).unwrap()).unwrap();
        assert_eq!((event.status, event.extension), (OtaStatus::DownloadError, StatusExtension::default()));
        let length = Writer::new(&mut out).text(5, "secret").text(8000, "theirs").finish().unwrap();
        let provision = Provision::parse(out.get(..length).unwrap()).unwrap();
        assert_eq!((provision.device_secret, provision.capabilities), ("secret", None));
    }

    #[test]
    #[cfg(feature = "extensions")]
    fn capabilities_come_alone_in_a_provisioning_packet_that_reconnects_nobody() {
        let provision = Provision { capabilities: Some(Capabilities::ALL), ..Provision::default() };
        let mut out = [0; 16];
        let length = provision.emit(&mut out).unwrap();
        assert_eq!(out.get(..length).unwrap(), b"\xfa\x02\x00\x03");
        assert_eq!(Provision::parse(out.get(..length).unwrap()), Ok(provision));
        assert!(!provision.reconnects());
    }
}
