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
pub use report::{InfoValues, StatusValues, Wanted};
pub use request::{McuList, PlanRequest, Versions};
pub use status::{OtaStatus, Signature, StatusEvent};

use super::{
    NoRoom, hex,
    ttlv::{List, Number, TtlvError, Value, WriteError, Writer},
};

/// A data point of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its id on the wire.
    pub id: u16,
    /// What it is called. Firmware formats no error, so its image has no names.
    #[cfg(not(target_os = "none"))]
    pub name: &'static str,
}

impl Field {
    #[cfg(not(target_os = "none"))]
    fn name(&self) -> &'static str {
        self.name
    }

    #[cfg(target_os = "none")]
    fn name(&self) -> &'static str {
        ""
    }
}

impl core::fmt::Display for Field {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} (id {})", self.name(), self.id)
    }
}

#[cfg_attr(target_os = "none", allow(unused_variables))]
const fn field(id: u16, name: &'static str) -> Field {
    Field {
        id,
        #[cfg(not(target_os = "none"))]
        name,
    }
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

/// Reads the data points of one list. The first that is wrong is kept and told by [`Fields::finish`], so the fields of a
/// message are read one after the other, as a [`Writer`] writes them.
pub struct Fields<'a> {
    list: List<'a>,
    error: Option<MessageError>,
}

impl<'a> Fields<'a> {
    fn of(list: List<'a>) -> Self {
        Fields { list, error: None }
    }

    fn parse(payload: &'a [u8]) -> Self {
        match List::parse(payload) {
            Ok(list) => Fields::of(list),
            Err(error) => Fields { list: List::EMPTY, error: Some(error.into()) },
        }
    }

    /// The message, if all that was read of it is right.
    fn finish<T>(self, message: T) -> Result<T, MessageError> {
        match self.error {
            None => Ok(message),
            Some(error) => Err(error),
        }
    }

    #[inline(never)]
    fn refuse(&mut self, error: MessageError) {
        self.error.get_or_insert(error);
    }

    fn missing(&mut self, field: &Field) {
        self.refuse(MessageError::Missing { field: *field, offset: self.list.offset() });
    }

    /// What was read of a data point that must be there; its default when it is not.
    fn needed<T: Default>(&mut self, field: &Field, value: Option<T>) -> T {
        if value.is_none() {
            self.missing(field);
        }
        value.unwrap_or_default()
    }

    /// Where the data point is, and its value if that is one of `wanted`.
    #[inline(never)]
    fn value(&mut self, field: &Field, wanted: Kind) -> Option<(usize, Value<'a>)> {
        let (offset, value) = self.list.locate(field.id)?;
        let kind = match value {
            Value::Bool(_) => Kind::Bool,
            Value::Number(_) => Kind::Number,
            Value::Bytes(_) => Kind::Bytes,
            Value::List(_) => Kind::List,
        };
        if kind == wanted {
            return Some((offset, value));
        }
        self.refuse(MessageError::Kind { field: *field, offset, wanted });
        None
    }

    fn bytes(&mut self, field: &Field) -> Option<(usize, &'a [u8])> {
        match self.value(field, Kind::Bytes)? {
            (offset, Value::Bytes(bytes)) => Some((offset, bytes)),
            _ => None,
        }
    }

    /// A text of at most `max` bytes; `None` when it is not there at all.
    #[inline(never)]
    fn text_or_none(&mut self, field: &Field, max: usize) -> Option<&'a str> {
        let (offset, bytes) = self.bytes(field)?;
        if bytes.len() > max {
            self.refuse(MessageError::TooLong { field: *field, offset, length: bytes.len(), max });
            return None;
        }
        let text = core::str::from_utf8(bytes).ok();
        if text.is_none() {
            self.refuse(MessageError::NotText { field: *field, offset });
        }
        text
    }

    /// A text of at most `max` bytes; empty when it is not there.
    fn text(&mut self, field: &Field, max: usize) -> &'a str {
        self.text_or_none(field, max).unwrap_or_default()
    }

    /// A text of 1 to `max` bytes.
    fn needed_text(&mut self, field: &Field, max: usize) -> &'a str {
        let text = self.text(field, max);
        if text.is_empty() {
            self.missing(field);
        }
        text
    }

    fn bool(&mut self, field: &Field) -> bool {
        matches!(self.value(field, Kind::Bool), Some((_, Value::Bool(true))))
    }

    fn number(&mut self, field: &Field) -> Option<(usize, Number)> {
        match self.value(field, Kind::Number)? {
            (offset, Value::Number(number)) => Some((offset, number)),
            _ => None,
        }
    }

    /// A number that stands for something, and is needed or else stands for its default.
    fn meaning<T>(&mut self, field: &Field, of: impl FnOnce(u64) -> Option<T>) -> Option<T> {
        let (offset, value) = self.number(field)?;
        let meaning = value.to_u64().and_then(of);
        if meaning.is_none() {
            self.refuse(MessageError::Unknown { field: *field, offset, value });
        }
        meaning
    }

    /// A whole number from `min` to the largest of its type.
    fn whole<T: Whole>(&mut self, field: &Field, min: i64) -> Option<T> {
        self.whole_within(field, min, T::MAX).map(T::of)
    }

    /// A whole number from `min` to `max`. Once in the image, not once for each type.
    #[inline(never)]
    fn whole_within(&mut self, field: &Field, min: i64, max: i64) -> Option<i64> {
        let (offset, value) = self.number(field)?;
        let field = *field;
        if value.decimals() != 0 {
            self.refuse(MessageError::NotWhole { field, offset, value });
            return None;
        }
        let fits = value.to_i64().filter(|value| (min..=max).contains(value));
        if fits.is_none() {
            self.refuse(MessageError::OutOfRange { field, offset, value, min, max });
        }
        fits
    }

    /// Hex digits of a digest of `N` bytes; `None` when it is not there.
    fn digest<const N: usize>(&mut self, field: &Field) -> Option<[u8; N]> {
        let mut digest = [0; N];
        self.hex(field, &mut digest).then_some(digest)
    }

    /// Hex digits of as many bytes as `digest` has. Whether they are there.
    #[inline(never)]
    fn hex(&mut self, field: &Field, digest: &mut [u8]) -> bool {
        let Some((offset, bytes)) = self.bytes(field).filter(|(_, bytes)| !bytes.is_empty()) else {
            return false;
        };
        let is_hex = hex::decode(bytes, digest);
        if !is_hex {
            let digits = digest.len().saturating_mul(2);
            self.refuse(MessageError::NotHex { field: *field, offset, length: bytes.len(), digits });
        }
        is_hex
    }

    fn list(&mut self, field: &Field) -> Option<(usize, List<'a>)> {
        match self.value(field, Kind::List)? {
            (offset, Value::List(list)) => Some((offset, list)),
            _ => None,
        }
    }
}

/// Whole numbers that data points have.
trait Whole {
    const MAX: i64;
    /// A number that is in range.
    fn of(number: i64) -> Self;
}

macro_rules! whole {
    ($($integer:ty = $max:expr),*) => {$(
        impl Whole for $integer {
            const MAX: i64 = $max;
            fn of(number: i64) -> Self {
                number as $integer
            }
        }
    )*};
}
whole!(u16 = u16::MAX as i64, u32 = u32::MAX as i64, u64 = i64::MAX, i32 = i32::MAX as i64);

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
        let mut fields = Fields::parse(out.get(..length).unwrap());
        let size = fields.whole::<u32>(&field(2, "size"), 1);
        let error = fields.finish(size).unwrap_err();
        assert_eq!(std::format!("{error}"), "size (id 2) at byte 0 is 2.5; only a whole number is right");
    }

    #[test]
    fn a_number_out_of_range_is_named_with_its_range() {
        let mut out = [0; 16];
        let length = Writer::new(&mut out).number(2, u64::MAX).finish().unwrap();
        let mut fields = Fields::parse(out.get(..length).unwrap());
        let size = fields.whole::<u32>(&field(2, "size"), 1);
        let error = fields.finish(size).unwrap_err();
        assert_eq!(
            std::format!("{error}"),
            "size (id 2) at byte 0 is 18446744073709551615; 1 to 4294967295 are right"
        );
    }
}
