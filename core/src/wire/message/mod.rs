//! What frames say, as typed values: one file per family, each message with its table (QUECTHING.md 4.5).
//!
//! Texts that a message does not have are empty, because an empty text reads as absent on the wire. Ids that a
//! message does not know are ignored, so that extensions (from 8000 up, [`StatusExtension`]) pass by.

mod direction;
mod error;
mod extension;
mod firmware;
mod ids;
mod location;
mod notice;
mod plan;
mod provision;
mod records;
mod report;
mod request;
mod status;
mod table;

pub use direction::{Downlink, Uplink};
pub use error::MessageError;
pub use extension::{Capabilities, Downloaded, FIRST_ID, Reason, SDK_PREFIX, StatusExtension};
pub use firmware::{Content, FirmwareInfo, PackageFile};
pub use ids::Ids;
pub use location::Location;
pub use notice::Notice;
pub use plan::{ComponentKind, Plan, PlanNotify, Plans};
pub use provision::{Dns, Provision, Reauthenticate};
pub use records::{Records, RecordsIter};
pub use report::{InfoValues, StatusValues, Wanted};
pub use request::{McuList, PlanRequest, Versions};
pub use status::{OtaStatus, Signature, StatusEvent};
pub use table::{Field, Fields, Place, Range, Wrong};

use super::{
    NoRoom,
    ttlv::{WriteError, Writer},
};
use table::{field, payload, table};

/// The end of every `emit`.
fn finish(writer: &mut Writer<'_>) -> Result<usize, NoRoom> {
    writer.finish().map_err(|error| match error {
        WriteError::NoRoom(no_room) => no_room,
        // Ids and nesting of messages are constants; only a list of 65536 records gets here.
        _ => NoRoom { needed: usize::MAX, room: u16::MAX.into() },
    })
}
