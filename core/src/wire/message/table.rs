//! A message is a table: its data points with their limits, and where each goes. One reader and one writer serve all.

use super::{ComponentKind, MessageError, OtaStatus, Reauthenticate, Signature, Wanted};
use crate::limits;
use crate::wire::hex;
use crate::wire::message::Capabilities;
use crate::wire::ttlv::{Element, Kind, List, Number, Sign, Writer};

/// A data point of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its id on the wire.
    pub id: u16,
    /// Bytes of a text, at most.
    pub(super) most: u16,
    /// The smallest number, 0 or 1, where there are none below zero.
    pub(super) least: u8,
    rule: Rule,
    /// What it is called. Firmware formats no error, so its image has no names.
    #[cfg(not(target_os = "none"))]
    pub name: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// It may be absent.
    Optional,
    /// It must be there, and not be empty.
    Needed,
    /// Somebody else may use the id: what is wrong then reads as absent.
    Ours,
}

/// A data point that may be absent.
#[cfg_attr(target_os = "none", allow(unused_variables))]
pub(super) const fn field(id: u16, name: &'static str) -> Field {
    Field {
        id,
        most: u16::MAX,
        least: 0,
        rule: Rule::Optional,
        #[cfg(not(target_os = "none"))]
        name,
    }
}

impl Field {
    pub(super) const fn needed(self) -> Field {
        Field { rule: Rule::Needed, ..self }
    }

    pub(super) const fn ours(self) -> Field {
        Field { rule: Rule::Ours, ..self }
    }

    pub(super) const fn at_most(self, most: usize) -> Field {
        assert!(most <= u16::MAX as usize);
        Field { most: most as u16, ..self }
    }

    pub(super) const fn positive(self) -> Field {
        Field { least: 1, ..self }
    }
}

/// What is wrong with a data point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It must be there and is not, or is empty.
    Missing,
    /// It is of another type than this.
    Kind(Kind),
    /// A number with decimals where only whole ones have a meaning.
    NotWhole,
    /// A number that is too small or too large.
    OutOfRange(Range),
    /// A number without a meaning, like status 7.
    Unknown,
    /// A text that is too long.
    TooLong,
    /// A text that is not UTF-8.
    NotText,
    /// A digest that is not as many hex digits (at most, of a CRC).
    NotHex(u8),
    /// Not as many bytes.
    Size(u8),
    /// An array with no element, or with more than these.
    Count(u8),
}

/// Whole numbers that data points have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Up to 16 bits.
    U16,
    /// Up to 32 bits.
    U32,
    /// Up to 63 bits.
    U63,
    /// 32 bits with a sign.
    I32,
}

impl Range {
    /// The largest.
    pub(super) const fn most(self) -> i64 {
        match self {
            Range::U16 => u16::MAX as i64,
            Range::U32 => u32::MAX as i64,
            Range::U63 => i64::MAX,
            Range::I32 => i32::MAX as i64,
        }
    }

    /// The smallest, for this data point.
    pub(super) fn least(self, field: &Field) -> i64 {
        if self == Range::I32 { i32::MIN.into() } else { field.least.into() }
    }
}

macro_rules! places {
    ($($(#[$about:meta])* $place:ident($value:ty),)*) => {
        /// Where a data point goes, and so what it must be.
        #[derive(Debug)]
        pub enum Place<'p, 'a> {
            $($(#[$about])* $place(&'p mut $value),)*
            /// As hex digits. Vendors read it with a C library, so a leading `0x` and missing zeros are right too.
            Crc(&'p mut u32),
        }

        $(impl<'p, 'a> From<&'p mut $value> for Place<'p, 'a> {
            fn from(value: &'p mut $value) -> Self {
                Place::$place(value)
            }
        })*
    };
}

places! {
    /// Empty when absent.
    Text(&'a str),
    /// A text that may be there and empty.
    MaybeText(Option<&'a str>),
    /// Empty when absent.
    Bytes(&'a [u8]),
    /// As bytes.
    SessionKey(Option<[u8; limits::SESSION_KEY]>),
    /// As hex digits.
    Md5([u8; 16]),
    /// As hex digits.
    Sha256(Option<[u8; 32]>),
    /// 0 when absent.
    U32(u32),
    /// 0 when absent.
    I32(i32),
    /// A whole number.
    MaybeU16(Option<u16>),
    /// A whole number.
    MaybeU32(Option<u32>),
    /// A whole number.
    MaybeU63(Option<u64>),
    /// A whole number.
    MaybeI32(Option<i32>),
    /// Any number.
    MaybeNumber(Option<Number>),
    /// The module's when absent.
    Component(ComponentKind),
    /// With its text behind it, which is not read.
    Status(OtaStatus),
    /// As a text. Another one reads as absent.
    Signature(Option<Signature>),
    /// As a bool.
    Reauthenticate(Reauthenticate),
    /// Of a platform of ours.
    Capabilities(Option<Capabilities>),
}

/// A firmware is one end: what devices alone send it does not read, and what they receive it does not write.
pub(super) const HAS_BOTH_ENDS: bool = cfg!(not(target_os = "none"));

/// Reads the data points of a table to their places. The places of those that are absent stay as they are.
#[inline(never)]
pub(super) fn read<'a>(list: List<'a>, table: &'static [Field], places: &mut [Place<'_, 'a>]) -> Outcome {
    for (field, place) in table.iter().zip(places) {
        let (offset, is_there) = match list.element(field.id) {
            Some(element) => (element.offset, place.read(field, &element)),
            None => (list.offset(), Ok(false)),
        };
        match (is_there, field.rule) {
            (Err(wrong), Rule::Optional | Rule::Needed) => {
                return Err(MessageError::Field { wrong, field, offset });
            }
            (Ok(false), Rule::Needed) => {
                return Err(MessageError::Field { wrong: Wrong::Missing, field, offset: list.offset() });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Writes those that are wanted, and are there.
#[inline(never)]
pub(super) fn write(
    writer: &mut Writer<'_>,
    wanted: Wanted,
    table: &'static [Field],
    places: &mut [Place<'_, '_>],
) {
    for (field, place) in table.iter().zip(places) {
        if wanted.has(field.id) {
            place.write(field.id, writer);
        }
    }
}

impl<'a> Place<'_, 'a> {
    fn kind(&self) -> Kind {
        match self {
            Place::Text(_) | Place::MaybeText(_) | Place::Bytes(_) | Place::SessionKey(_) => Kind::Bytes,
            Place::Md5(_) | Place::Sha256(_) | Place::Crc(_) | Place::Signature(_) => Kind::Bytes,
            Place::Reauthenticate(_) => Kind::Bool,
            _ => Kind::Number,
        }
    }

    fn range(&self) -> Range {
        match self {
            Place::I32(_) | Place::MaybeI32(_) => Range::I32,
            Place::MaybeU16(_) => Range::U16,
            Place::MaybeU63(_) => Range::U63,
            _ => Range::U32,
        }
    }

    /// Whether it is there, and not empty.
    fn read(&mut self, field: &Field, element: &Element<'a>) -> Result<bool, Wrong> {
        let kind = self.kind();
        if element.kind() != kind {
            return Err(Wrong::Kind(kind));
        }
        if kind == Kind::Number {
            return self.read_number(field, element.number());
        }
        let bytes = element.body;
        match self {
            Place::Text(place) => **place = text(field, bytes)?,
            Place::MaybeText(place) if HAS_BOTH_ENDS => **place = Some(text(field, bytes)?),
            Place::Bytes(place) => **place = bytes,
            Place::Signature(place) if HAS_BOTH_ENDS => {
                **place = text(field, bytes)?.eq_ignore_ascii_case(SHA256).then_some(Signature::Sha256);
            }
            Place::Reauthenticate(place) if element.is_true() => **place = Reauthenticate::Yes,
            _ if bytes.is_empty() => {}
            Place::SessionKey(place) => {
                **place = Some(bytes.try_into().map_err(|_| Wrong::Size(limits::SESSION_KEY as u8))?);
            }
            Place::Md5(place) => digest(bytes, *place)?,
            Place::Sha256(place) => digest(bytes, place.insert([0; 32]))?,
            Place::Crc(place) => **place = crc(bytes)?,
            _ => {}
        }
        Ok(!bytes.is_empty())
    }

    /// By 32 bits at a time.
    fn read_number(&mut self, field: &Field, number: Number) -> Result<bool, Wrong> {
        let (low, high) = (number.magnitude() as u32, (number.magnitude() >> 32) as u32);
        let is_negative = number.sign() == Sign::Minus;
        let is_whole = number.decimals() == 0;
        let is_small = is_whole && high == 0 && !is_negative && low >= field.least.into();
        let signed = if is_negative { low.wrapping_neg() } else { low } as i32;
        let is_signed = is_whole && high == 0 && (signed < 0) == is_negative;
        let fits = match self {
            Place::U32(place) => set(*place, low, is_small),
            Place::I32(place) => set(*place, signed, is_signed),
            Place::MaybeU16(place) => set(*place, Some(low as u16), is_small && low >> 16 == 0),
            Place::MaybeU32(place) => set(*place, Some(low), is_small),
            Place::Capabilities(place) if cfg!(feature = "extensions") => {
                set(*place, Some(Capabilities(low)), is_small)
            }
            Place::Component(place) => {
                let kind = ComponentKind::from_number(low).filter(|_| is_small);
                set(*place, kind.ok_or(Wrong::Unknown)?, true)
            }
            _ if !HAS_BOTH_ENDS => false,
            Place::MaybeI32(place) => set(*place, Some(signed), is_signed),
            Place::MaybeU63(place) => set(*place, number.to_u64(), number.to_i64() >= Some(0)),
            Place::MaybeNumber(place) => set(*place, Some(number), true),
            Place::Status(place) => {
                let status = OtaStatus::from_number(low).filter(|_| is_small);
                set(*place, status.ok_or(Wrong::Unknown)?, true)
            }
            _ => false,
        };
        match (fits, is_whole) {
            (true, _) => Ok(true),
            (false, true) => Err(Wrong::OutOfRange(self.range())),
            (false, false) => Err(Wrong::NotWhole),
        }
    }

    /// Texts that are empty and numbers that are none are left out.
    fn write(&self, id: u16, writer: &mut Writer<'_>) {
        if let Some(number) = self.number() {
            writer.number(id, number);
        }
        let digits;
        let bytes = match self {
            Place::Text(text) => text.as_bytes(),
            Place::MaybeText(Some(text)) => text.as_bytes(),
            Place::Signature(Some(Signature::Sha256)) => SHA256.as_bytes(),
            Place::Status(status) => {
                writer.text(STATUS_TEXT, status.text());
                return;
            }
            _ if !HAS_BOTH_ENDS => return,
            Place::Reauthenticate(Reauthenticate::Yes) => {
                writer.bool(id, true);
                return;
            }
            Place::Bytes(bytes) => bytes,
            Place::SessionKey(Some(key)) => key,
            Place::Crc(number) => {
                digits = hex::text(&number.to_be_bytes());
                digits.as_bytes()
            }
            _ => {
                digits = self.digest().map(hex::text).unwrap_or_default();
                digits.as_bytes()
            }
        };
        if !bytes.is_empty() || matches!(self, Place::MaybeText(Some(_))) {
            writer.bytes(id, bytes);
        }
    }

    /// One that is there.
    pub(in crate::wire) fn digest(&self) -> Option<&[u8]> {
        match self {
            Place::Md5(digest) => Some(*digest),
            Place::Sha256(Some(digest)) => Some(digest),
            _ => None,
        }
    }

    fn number(&self) -> Option<Number> {
        let unsigned = match self {
            Place::U32(number) => **number,
            Place::MaybeU16(number) => (**number)?.into(),
            Place::MaybeU32(number) => (**number)?,
            Place::Component(kind) => kind.number().into(),
            Place::Status(status) => status.number().into(),
            Place::Capabilities(capabilities) if HAS_BOTH_ENDS => (**capabilities)?.0,
            Place::I32(number) if HAS_BOTH_ENDS => return Some((**number).into()),
            Place::MaybeI32(number) => return number.map(Number::from),
            Place::MaybeU63(number) => return number.map(Number::from),
            Place::MaybeNumber(number) => return **number,
            _ => return None,
        };
        Some(unsigned.into())
    }
}

/// The signature that a device may want.
const SHA256: &str = "sha256";
/// The data point that follows the status and is not read.
const STATUS_TEXT: u16 = 14;
/// Hex digits of a CRC-32.
const CRC_DIGITS: u8 = 8;

fn set<T>(place: &mut T, value: T, fits: bool) -> bool {
    if fits {
        *place = value;
    }
    fits
}

fn text<'a>(field: &Field, bytes: &'a [u8]) -> Result<&'a str, Wrong> {
    if bytes.len() > usize::from(field.most) {
        return Err(Wrong::TooLong);
    }
    core::str::from_utf8(bytes).map_err(|_| Wrong::NotText)
}

fn digest(digits: &[u8], digest: &mut [u8]) -> Result<(), Wrong> {
    // 32 bytes at most.
    let right = Wrong::NotHex(digest.len().saturating_mul(2) as u8);
    if hex::decode(digits, digest) { Ok(()) } else { Err(right) }
}

fn crc(text: &[u8]) -> Result<u32, Wrong> {
    let digits = match text {
        [b'0', b'x' | b'X', digits @ ..] => digits,
        digits => digits,
    };
    let crc = digits.iter().try_fold(0u32, |crc, digit| Some(crc << 4 | u32::from(hex::value(*digit)?)));
    crc.filter(|_| (1..=CRC_DIGITS.into()).contains(&digits.len())).ok_or(Wrong::NotHex(CRC_DIGITS))
}

/// The data points of one list, to be read in place.
pub trait Fields<'a>: Copy + Default {
    /// Gives `act` its table and the places, in parts or at once.
    fn points(&mut self, act: impl FnMut(&'static [Field], &mut [Place<'_, 'a>]) -> Outcome) -> Outcome;

    /// Reads them; what is absent stays as it was.
    fn read(&mut self, list: List<'a>) -> Outcome {
        self.read_points(list)
    }

    /// Those of the table.
    fn read_points(&mut self, list: List<'a>) -> Outcome {
        self.points(|table, places| read(list, table, places))
    }

    /// Writes those that are wanted.
    fn write(&mut self, wanted: Wanted, writer: &mut Writer<'_>) {
        self.write_points(wanted, writer);
    }

    /// Those of the table.
    fn write_points(&mut self, wanted: Wanted, writer: &mut Writer<'_>) {
        // Writing does not fail here: the writer keeps what went wrong.
        let _ = self.points(|table, places| {
            write(writer, wanted, table, places);
            Ok(())
        });
    }
}

/// How it went.
pub type Outcome = Result<(), MessageError>;

/// The table of a struct: for each of its fields the data point. What stands behind a semicolon is done besides.
macro_rules! table {
    ($message:ty: $($($place:ident).+: $field:expr,)* $(; $($besides:item)*)?) => {
        impl<'a> $crate::wire::message::table::Fields<'a> for $message {
            fn points(
                &mut self,
                mut act: impl FnMut(
                    &'static [$crate::wire::message::Field],
                    &mut [$crate::wire::message::Place<'_, 'a>],
                ) -> $crate::wire::message::table::Outcome,
            ) -> $crate::wire::message::table::Outcome {
                act(const { &[$($field),*] }, &mut [$((&mut self.$($place).+).into()),*])
            }
            $($($besides)*)?
        }
    };
}

/// A message from and to its payload.
macro_rules! payload {
    ($message:ty) => {
        impl<'a> $message {
            /// Reads the payload.
            pub fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
                let mut message = Self::default();
                message.parse_in_place(payload)?;
                Ok(message)
            }

            /// The same, to where it is to stand; it holds nothing yet.
            pub fn parse_in_place(&mut self, payload: &'a [u8]) -> Result<(), MessageError> {
                let list = $crate::wire::ttlv::List::parse(payload)?;
                $crate::wire::message::table::Fields::read(self, list)
            }

            /// Writes the payload; gives its length.
            pub fn emit(self, out: &mut [u8]) -> Result<usize, $crate::wire::NoRoom> {
                self.emit_wanted($crate::wire::message::Wanted::EVERYTHING, out)
            }

            /// Writes a payload of those values that are wanted; gives its length.
            pub fn emit_wanted(
                mut self,
                wanted: $crate::wire::message::Wanted,
                out: &mut [u8],
            ) -> Result<usize, $crate::wire::NoRoom> {
                let mut writer = $crate::wire::ttlv::Writer::new(out);
                $crate::wire::message::table::Fields::write(&mut self, wanted, &mut writer);
                $crate::wire::message::finish(&mut writer)
            }
        }
    };
}

pub(super) use {payload, table};

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(number: Number) -> std::string::String {
        let mut out = [0; 16];
        let length = Writer::new(&mut out).number(2, number).finish().unwrap();
        let payload = out.get(..length).unwrap();
        let table = const { &[field(2, "size").needed().positive()] };
        let mut size = 0u32;
        let places = &mut [(&mut size).into()];
        let error = read(List::parse(payload).unwrap(), table, places).unwrap_err();
        std::format!("{}", error.in_words(payload))
    }

    #[test]
    fn a_size_with_decimals_is_refused_as_not_whole() {
        let words = refused("2.5".parse().unwrap());
        assert_eq!(words, "size (id 2) at byte 0 is 2.5; only a whole number is right");
    }

    #[test]
    fn a_number_out_of_range_is_named_with_its_range() {
        let words = refused(u64::MAX.into());
        assert_eq!(words, "size (id 2) at byte 0 is 18446744073709551615; 1 to 4294967295 are right");
    }
}
