//! Why a payload is refused: a few bytes on the way, and words where somebody reads them.

use core::fmt::{Display, Formatter, Result};

use super::{Field, Wrong};
use crate::wire::ttlv::{TtlvError, element_at};

/// Why a payload is not the message that its command announces. Offsets count from the payload's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageError {
    /// Not TTLV at all.
    Ttlv(TtlvError),
    /// A data point.
    Field {
        /// What is wrong with it.
        wrong: Wrong,
        /// Which.
        field: &'static Field,
        /// Its tag; of one that is missing the begin of the list that was to hold it.
        offset: u16,
    },
    /// A list of ids that ends within one.
    OddIds,
    /// No message of this direction.
    Command {
        /// The frame's command.
        command: u16,
    },
}

// It goes through the registers of a processor of 32 bits.
const _: () = assert!(size_of::<core::result::Result<(), MessageError>>() <= 2 * size_of::<usize>());

impl From<TtlvError> for MessageError {
    fn from(error: TtlvError) -> Self {
        MessageError::Ttlv(error)
    }
}

impl MessageError {
    /// The data point that is wrong, by its id, and what is.
    pub fn field(&self) -> Option<(u16, Wrong)> {
        match self {
            MessageError::Field { wrong, field, .. } => Some((field.id, *wrong)),
            _ => None,
        }
    }

    /// Offset of the data point that is wrong, where it is one that is there.
    pub fn offset(&self) -> Option<usize> {
        match *self {
            MessageError::Field { wrong, offset, .. } if wrong != Wrong::Missing => Some(offset.into()),
            _ => None,
        }
    }

    /// What was there and what would be right; `payload` is the one that was refused.
    pub fn in_words<'e>(&'e self, payload: &'e [u8]) -> impl Display + 'e {
        Words { error: self, payload }
    }
}

struct Words<'e> {
    error: &'e MessageError,
    payload: &'e [u8],
}

impl Display for Words<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let length = self.payload.len();
        match *self.error {
            MessageError::Ttlv(error) => error.fmt(f),
            MessageError::Field { wrong, field, offset } => self.field(wrong, field, offset, f),
            MessageError::OddIds => {
                write!(f, "a list of ids has {length} bytes; two for each id are right")
            }
            MessageError::Command { command } => {
                write!(f, "command {command:#06x} is no message of this direction")
            }
        }
    }
}

impl Words<'_> {
    fn field(&self, wrong: Wrong, field: &Field, offset: u16, f: &mut Formatter<'_>) -> Result {
        #[cfg(not(target_os = "none"))]
        f.write_str(field.name)?;
        write!(f, " (id {}) ", field.id)?;
        if wrong == Wrong::Missing {
            return write!(f, "is missing in the list at byte {offset}");
        }
        write!(f, "at byte {offset} ")?;
        let Some(element) = element_at(self.payload, offset) else { return f.write_str("is wrong") };
        let (number, length) = (element.number(), element.body.len());
        match wrong {
            Wrong::Missing => Ok(()),
            Wrong::Kind(wanted) => write!(f, "must be {wanted}"),
            Wrong::NotWhole => write!(f, "is {number}; only a whole number is right"),
            Wrong::OutOfRange(range) => {
                write!(f, "is {number}; {} to {} are right", range.least(field), range.most())
            }
            Wrong::Unknown => write!(f, "is {number}, which has no meaning"),
            Wrong::TooLong => write!(f, "has {length} bytes; at most {} are right", field.most),
            Wrong::NotText => f.write_str("is not UTF-8 text"),
            Wrong::NotHex(digits) => write!(f, "has {length} bytes that are not {digits} hex digits"),
            Wrong::Size(right) => write!(f, "has {length} bytes; {right} are right"),
            Wrong::Count(max) => write!(f, "has {} elements; 1 to {max} are right", element.count()),
        }
    }
}
