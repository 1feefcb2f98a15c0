//! What frames say, as typed values: one file per family, `parse` beside `emit` (QUECTHING.md 4.5).
//!
//! Texts that a message does not have are empty, because an empty text reads as absent on the wire. Ids that a
//! message does not know are ignored, so that extensions (from 8000 up, [`StatusExtension`]) pass by.

mod direction;
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

pub use direction::{Downlink, Uplink};
pub use extension::{Capabilities, Downloaded, FIRST_ID, Reason, SDK_PREFIX, StatusExtension};
pub use firmware::{Content, FirmwareInfo, PackageFile};
pub use ids::Ids;
pub use location::Location;
pub use notice::Notice;
pub use plan::{ComponentKind, Plan, PlanNotify, Plans};
pub use provision::{Dns, Provision, Reauthenticate};
pub use records::{Record, Records, RecordsIter};
pub use report::{InfoValues, StatusValues};
pub use request::{McuList, PlanRequest, Versions};
pub use status::{OtaStatus, Signature, StatusEvent};

use super::{
    NoRoom,
    ttlv::{List, Number, TtlvError, Value, WriteError, Writer},
};

/// A data point of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its id on the wire.
    pub id: u16,
    /// What it is called.
    pub name: &'static str,
}

impl core::fmt::Display for Field {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} (id {})", self.name, self.id)
    }
}

const fn field(id: u16, name: &'static str) -> Field {
    Field { id, name }
}

/// The type that a data point was to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// A number.
    Number,
    /// A text or bytes.
    Bytes,
    /// A struct or an array.
    List,
}

impl core::fmt::Display for Kind {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Kind::Bool => "a bool",
            Kind::Number => "a number",
            Kind::Bytes => "a text",
            Kind::List => "a struct or an array",
        })
    }
}

/// Why a payload is not the message that its command announces. Offsets count from the payload's first byte, to the
/// tag of the data point that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not TTLV at all.
    #[error(transparent)]
    Ttlv(#[from] TtlvError),
    /// A data point that must be there is not, or is empty.
    #[error("{field} is missing in the list at byte {offset}")]
    Missing {
        /// Which.
        field: Field,
        /// Begin of the list that was to hold it.
        offset: usize,
    },
    /// A data point of another type.
    #[error("{field} at byte {offset} must be {wanted}")]
    Kind {
        /// Which.
        field: Field,
        /// Where.
        offset: usize,
        /// What is right.
        wanted: Kind,
    },
    /// A number with decimals where only whole ones have a meaning.
    #[error("{field} at byte {offset} is {value}; only a whole number is right")]
    NotWhole {
        /// Which.
        field: Field,
        /// Where.
        offset: usize,
        /// What was there.
        value: Number,
    },
    /// A number that is too small or too large.
    #[error("{field} at byte {offset} is {value}; {min} to {max} are right")]
    OutOfRange {
        /// Which.
        field: Field,
        /// Where.
        offset: usize,
        /// What was there.
        value: Number,
        /// The smallest that is right.
        min: i64,
        /// The largest that is right.
        max: i64,
    },
    /// A number without a meaning, like status 7.
    #[error("{field} at byte {offset} is {value}, which has no meaning")]
    Unknown {
        /// Which.
        field: Field,
        /// Where.
        offset: usize,
        /// What was there.
        value: Number,
    },
    /// A text that is too long.
    #[error("{field} at byte {offset} has {length} bytes; at most {max} are right")]
    TooLong {
        /// Which.
        field: Field,
        /// Where.
        offset: usize,
        /// Bytes that it has.
        length: usize,
        /// Bytes that are right.
        max: usize,
    },
    /// A text that is not UTF-8.
    #[error("{field} at byte {offset} is not UTF-8 text")]
    NotText {
        /// Which.
        field: Field,
        /// Where.
        offset: usize,
    },
    /// A digest that is not hex text, or of another length.
    #[error("{field} at byte {offset} has {length} bytes that are not {digits} hex digits")]
    NotHex {
        /// Which.
        field: Field,
        /// Where.
        offset: usize,
        /// Bytes that it has.
        length: usize,
        /// Hex digits that are right (at most, for a CRC).
        digits: usize,
    },
    /// Bytes that are not as many as they must be.
    #[error("{field} at byte {offset} has {length} bytes; {right} are right")]
    Size {
        /// Which.
        field: Field,
        /// Where.
        offset: usize,
        /// Bytes that it has.
        length: usize,
        /// Bytes that are right.
        right: usize,
    },
    /// A list of ids that ends within one.
    #[error("a list of ids has {length} bytes; two for each id are right")]
    OddIds {
        /// Bytes that it has.
        length: usize,
    },
    /// No message of this direction.
    #[error("command {command:#06x} is no message of this direction")]
    Command {
        /// The frame's command.
        command: u16,
    },
    /// An array with no element or too many.
    #[error("{field} at byte {offset} has {count} elements; 1 to {max} are right")]
    Count {
        /// Which.
        field: Field,
        /// Where.
        offset: usize,
        /// How many there are.
        count: usize,
        /// How many are right.
        max: usize,
    },
}

impl MessageError {
    /// What is wrong, for logs where nothing formats; [`Self::field`] says with which data point.
    pub fn reason(&self) -> &'static str {
        match self {
            MessageError::Ttlv(_) => "not TTLV",
            MessageError::Missing { .. } => "missing",
            MessageError::Kind { .. } => "of another type",
            MessageError::NotWhole { .. } => "not a whole number",
            MessageError::OutOfRange { .. } => "out of range",
            MessageError::Unknown { .. } => "without a meaning",
            MessageError::TooLong { .. } => "too long",
            MessageError::NotText { .. } => "not UTF-8",
            MessageError::NotHex { .. } => "not hex of the right length",
            MessageError::Size { .. } => "of the wrong length",
            MessageError::Count { .. } => "with no element or too many",
            MessageError::OddIds { .. } => "half an id",
            MessageError::Command { .. } => "no message of this direction",
        }
    }

    /// The data point that is wrong, when it is one.
    pub fn field(&self) -> Option<Field> {
        match *self {
            MessageError::Missing { field, .. }
            | MessageError::Kind { field, .. }
            | MessageError::NotWhole { field, .. }
            | MessageError::OutOfRange { field, .. }
            | MessageError::Unknown { field, .. }
            | MessageError::TooLong { field, .. }
            | MessageError::NotText { field, .. }
            | MessageError::NotHex { field, .. }
            | MessageError::Size { field, .. }
            | MessageError::Count { field, .. } => Some(field),
            MessageError::Ttlv(_) | MessageError::OddIds { .. } | MessageError::Command { .. } => None,
        }
    }
}

impl MessageError {
    /// Offset of the data point that is wrong, where it is one that is there.
    pub fn offset(&self) -> Option<usize> {
        use MessageError::*;
        match *self {
            Kind { offset, .. }
            | NotWhole { offset, .. }
            | OutOfRange { offset, .. }
            | Unknown { offset, .. }
            | TooLong { offset, .. }
            | NotText { offset, .. }
            | NotHex { offset, .. }
            | Size { offset, .. }
            | Count { offset, .. } => Some(offset),
            _ => None,
        }
    }
}

/// Reads the data points of one list, with the errors that name them.
#[derive(Clone, Copy)]
struct Fields<'a>(List<'a>);

impl<'a> Fields<'a> {
    fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        Ok(Fields(List::parse(payload)?))
    }

    fn missing(&self, field: Field) -> MessageError {
        MessageError::Missing { field, offset: self.0.offset() }
    }

    fn bytes(&self, field: Field) -> Result<Option<(usize, &'a [u8])>, MessageError> {
        match self.0.locate(field.id) {
            None => Ok(None),
            Some((offset, Value::Bytes(bytes))) => Ok(Some((offset, bytes))),
            Some((offset, _)) => Err(MessageError::Kind { field, offset, wanted: Kind::Bytes }),
        }
    }

    /// A text of at most `max` bytes; `None` when it is not there at all.
    fn text_or_none(&self, field: Field, max: usize) -> Result<Option<&'a str>, MessageError> {
        let Some((offset, bytes)) = self.bytes(field)? else { return Ok(None) };
        if bytes.len() > max {
            return Err(MessageError::TooLong { field, offset, length: bytes.len(), max });
        }
        core::str::from_utf8(bytes).map(Some).map_err(|_| MessageError::NotText { field, offset })
    }

    /// A text of at most `max` bytes; empty when it is not there.
    fn text(&self, field: Field, max: usize) -> Result<&'a str, MessageError> {
        Ok(self.text_or_none(field, max)?.unwrap_or_default())
    }

    /// A text of 1 to `max` bytes.
    fn needed_text(&self, field: Field, max: usize) -> Result<&'a str, MessageError> {
        match self.text(field, max)? {
            "" => Err(self.missing(field)),
            text => Ok(text),
        }
    }

    fn number(&self, field: Field) -> Result<Option<(usize, Number)>, MessageError> {
        match self.0.locate(field.id) {
            None => Ok(None),
            Some((offset, Value::Number(number))) => Ok(Some((offset, number))),
            Some((offset, _)) => Err(MessageError::Kind { field, offset, wanted: Kind::Number }),
        }
    }

    /// A whole number from `min` to the largest of its type.
    fn whole<T: Whole>(&self, field: Field, min: i64) -> Result<Option<T>, MessageError> {
        Ok(self.whole_within(field, min, T::MAX)?.and_then(|value| T::try_from(value).ok()))
    }

    /// A whole number from `min` to `max`. Once in the image, not once for each type.
    #[inline(never)]
    fn whole_within(&self, field: Field, min: i64, max: i64) -> Result<Option<i64>, MessageError> {
        let Some((offset, value)) = self.number(field)? else { return Ok(None) };
        if value.decimals() != 0 {
            return Err(MessageError::NotWhole { field, offset, value });
        }
        let fits = value.to_i64().filter(|value| (min..=max).contains(value));
        fits.map(Some).ok_or(MessageError::OutOfRange { field, offset, value, min, max })
    }

    /// Hex digits of a digest of `N` bytes; `None` when it is not there.
    fn digest<const N: usize>(&self, field: Field) -> Result<Option<[u8; N]>, MessageError> {
        let Some((offset, bytes)) = self.bytes(field)?.filter(|(_, bytes)| !bytes.is_empty()) else {
            return Ok(None);
        };
        let digest = core::str::from_utf8(bytes).ok().and_then(super::hex::parse);
        let digits = N.saturating_mul(2);
        digest.map(Some).ok_or(MessageError::NotHex { field, offset, length: bytes.len(), digits })
    }

    fn list(&self, field: Field) -> Result<Option<(usize, List<'a>)>, MessageError> {
        match self.0.locate(field.id) {
            None => Ok(None),
            Some((offset, Value::List(list))) => Ok(Some((offset, list))),
            Some((offset, _)) => Err(MessageError::Kind { field, offset, wanted: Kind::List }),
        }
    }
}

/// Whole numbers that data points have.
trait Whole: TryFrom<i64> {
    const MAX: i64;
}

impl Whole for u16 {
    const MAX: i64 = u16::MAX as i64;
}
impl Whole for u32 {
    const MAX: i64 = u32::MAX as i64;
}
impl Whole for u64 {
    const MAX: i64 = i64::MAX;
}
impl Whole for i32 {
    const MAX: i64 = i32::MAX as i64;
}

/// Writes data points, leaving out empty texts.
trait WriteFields {
    fn text_unless_empty(&mut self, field: Field, text: &str) -> &mut Self;
}

impl WriteFields for Writer<'_> {
    fn text_unless_empty(&mut self, field: Field, text: &str) -> &mut Self {
        if text.is_empty() { self } else { self.text(field.id, text) }
    }
}

/// The end of every `emit`.
fn finish(writer: &mut Writer<'_>) -> Result<usize, NoRoom> {
    writer.finish().map_err(|error| match error {
        WriteError::NoRoom(no_room) => no_room,
        // Ids and nesting of messages are constants; only a list of 65536 records gets here.
        _ => NoRoom { needed: usize::MAX, room: u16::MAX.into() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_with_decimals_is_refused_as_not_whole() {
        let mut out = [0; 16];
        let length = Writer::new(&mut out).number(2, "2.5".parse::<Number>().unwrap()).finish().unwrap();
        let fields = Fields::parse(out.get(..length).unwrap()).unwrap();
        let error = fields.whole::<u32>(field(2, "size"), 1).unwrap_err();
        assert_eq!(std::format!("{error}"), "size (id 2) at byte 0 is 2.5; only a whole number is right");
    }

    #[test]
    fn a_number_out_of_range_is_named_with_its_range() {
        let mut out = [0; 16];
        let length = Writer::new(&mut out).number(2, u64::MAX).finish().unwrap();
        let fields = Fields::parse(out.get(..length).unwrap()).unwrap();
        let error = fields.whole::<u32>(field(2, "size"), 1).unwrap_err();
        assert_eq!(
            std::format!("{error}"),
            "size (id 2) at byte 0 is 18446744073709551615; 1 to 4294967295 are right"
        );
    }
}
