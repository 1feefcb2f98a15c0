//! TTLV: the list of tagged values in a frame's payload (QUECTHING.md 4.4).
//!
//! A tag is an id (0..=8191) and a type. Struct and array are one type: a list whose elements have ids, or a list
//! whose elements all have id 0. [`List::parse`] checks a whole tree once; everything after that cannot fail.

mod number;
mod writer;

pub use number::{DECIMALS_MAX, Number, NumberError, Sign};
pub use writer::{WriteError, Writer};

use crate::limits::TTLV_DEPTH;
use crate::wire::{NoRoom, emit_bytes};

/// Largest id; 0 is that of array elements.
pub const ID_MAX: u16 = 8191;

const TYPE_BITS: u32 = 3;
const TYPE_FALSE: u16 = 0;
const TYPE_TRUE: u16 = 1;
const TYPE_NUMBER: u16 = 2;
const TYPE_BYTES: u16 = 3;
const TYPE_LIST: u16 = 4;

/// A value with its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// 0..=8191; 0 in an array.
    pub id: u16,
    /// What it says.
    pub value: Value<'a>,
}

/// What an item says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// False or true.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Bytes; texts are bytes on the wire.
    Bytes(&'a [u8]),
    /// A struct or an array.
    List(List<'a>),
}

/// The types of values.
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

/// Why bytes are no TTLV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fault} at byte {offset}")]
pub struct TtlvError {
    /// From the begin of what was parsed, up to the longest payload.
    pub offset: u16,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Not all of this part is there.
    #[error("the list ends inside {0}")]
    Cut(Part),
    /// A type whose length nobody knows: 5, 6 or 7.
    #[error("the type {0} is reserved and 0 to 4 are right, of the tag")]
    Reserved(u8),
    /// Id 0 (array element) and another id (struct member) in one list.
    #[error("array elements (id 0) are mixed with struct members by the tag")]
    Mixed,
    /// Structs within structs, more than [`TTLV_DEPTH`].
    #[error("structs are nested more than {TTLV_DEPTH} deep by the tag")]
    TooDeep,
}

/// A part of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Id and type.
    Tag,
    /// Flags or magnitude of a number.
    Number,
    /// Length of a text.
    Length,
    /// The text.
    Text,
    /// Element count of a struct.
    Count,
}

impl core::fmt::Display for Part {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Part::Tag => "a tag",
            Part::Number => "a number",
            Part::Length => "a text's length",
            Part::Text => "a text",
            Part::Count => "a struct's element count",
        })
    }
}

/// A list that is well-formed to its last byte.
#[derive(Clone, Copy)]
pub struct List<'a> {
    bytes: &'a [u8],
    /// Offset of `bytes` in the outermost list.
    offset: u16,
}

impl<'a> List<'a> {
    /// The list without elements.
    pub const EMPTY: List<'static> = List { bytes: &[], offset: 0 };

    /// Checks all of `bytes`, which may be kept no longer than they live.
    pub fn parse(bytes: &'a [u8]) -> Result<List<'a>, TtlvError> {
        walk(bytes).map(|_| List::of_checked(bytes))
    }

    /// The list of bytes that [`List::parse`] has accepted.
    pub(crate) fn of_checked(bytes: &'a [u8]) -> List<'a> {
        List { bytes, offset: 0 }
    }

    /// The elements in their order.
    pub fn iter(&self) -> Items<'a> {
        Items::of(self.bytes, self.offset)
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The encoded elements.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Writes the encoded elements; gives their length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        emit_bytes(self.bytes, out)
    }

    /// Offset of the first element in the outermost list.
    pub fn offset(&self) -> u16 {
        self.offset
    }

    /// The first element with this id, as it stands.
    pub(super) fn element(&self, id: u16) -> Option<Element<'a>> {
        let mut items = self.iter();
        loop {
            let element = items.element()?;
            if element.id() == id {
                return Some(element);
            }
        }
    }

    fn of_kind(&self, id: u16, kind: Kind) -> Option<Element<'a>> {
        self.element(id).filter(|element| element.kind() == kind)
    }

    /// The first element with this id.
    pub fn find(&self, id: u16) -> Option<Value<'a>> {
        self.element(id).map(|element| element.value())
    }

    /// The text with this id; an empty one reads as absent, as in the vendor's parsers.
    pub fn text(&self, id: u16) -> Option<&'a str> {
        let text = self.bytes(id).filter(|bytes| !bytes.is_empty())?;
        core::str::from_utf8(text).ok()
    }

    /// The number with this id.
    pub fn number(&self, id: u16) -> Option<Number> {
        self.of_kind(id, Kind::Number).map(|element| element.number())
    }

    /// The bytes with this id.
    pub fn bytes(&self, id: u16) -> Option<&'a [u8]> {
        self.of_kind(id, Kind::Bytes).map(|element| element.body)
    }

    /// The bool with this id.
    pub fn bool(&self, id: u16) -> Option<bool> {
        self.of_kind(id, Kind::Bool).map(|element| element.is_true())
    }

    /// The struct or array with this id.
    pub fn list(&self, id: u16) -> Option<List<'a>> {
        self.of_kind(id, Kind::List).map(|element| element.list())
    }
}

impl PartialEq for List<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for List<'_> {}

impl core::fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_map().entries(self.iter().map(|item| (item.id, item.value))).finish()
    }
}

impl<'a> IntoIterator for List<'a> {
    type Item = Item<'a>;
    type IntoIter = Items<'a>;

    fn into_iter(self) -> Items<'a> {
        self.iter()
    }
}

/// An element as it stands in its list.
pub(super) struct Element<'a> {
    tag: u16,
    /// Offset of its tag in the outermost list.
    pub(super) offset: u16,
    /// Flags and magnitude of a number, a text, the elements of a list; of one that is being checked their count.
    pub(super) body: &'a [u8],
}

impl<'a> Element<'a> {
    pub(super) fn id(&self) -> u16 {
        self.tag >> TYPE_BITS
    }

    pub(super) fn kind(&self) -> Kind {
        match self.tag & 7 {
            TYPE_FALSE | TYPE_TRUE => Kind::Bool,
            TYPE_NUMBER => Kind::Number,
            TYPE_BYTES => Kind::Bytes,
            _ => Kind::List,
        }
    }

    /// Elements of a list that is being checked.
    pub(super) fn count(&self) -> u16 {
        be_u16(self.body)
    }

    pub(super) fn is_true(&self) -> bool {
        self.tag & 7 == TYPE_TRUE
    }

    /// Of a number.
    pub(super) fn number(&self) -> Number {
        let (flags, magnitude) = self.body.split_first().unwrap_or((&0, &[]));
        let magnitude = magnitude.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        Number::canonical(flags & 0x80 != 0, magnitude, flags >> 3 & DECIMALS_MAX)
    }

    /// Of a struct or an array.
    pub(super) fn list(&self) -> List<'a> {
        // Behind the tag and the count.
        List { bytes: self.body, offset: self.offset.saturating_add(4) }
    }

    fn value(&self) -> Value<'a> {
        match self.kind() {
            Kind::Bool => Value::Bool(self.is_true()),
            Kind::Number => Value::Number(self.number()),
            Kind::Bytes => Value::Bytes(self.body),
            Kind::List => Value::List(self.list()),
        }
    }
}

/// The elements of a list.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    rest: &'a [u8],
    offset: u16,
    /// What is wrong when the next part is not all there.
    error: TtlvError,
}

impl<'a> Items<'a> {
    fn of(bytes: &'a [u8], offset: u16) -> Self {
        Items { rest: bytes, offset, error: TtlvError { offset, fault: Fault::Mixed } }
    }

    fn take(&mut self, count: usize, part: Part) -> Option<&'a [u8]> {
        self.error = TtlvError { offset: self.offset, fault: Fault::Cut(part) };
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        // 65535 at most.
        self.offset = self.offset.saturating_add(count as u16);
        Some(taken)
    }

    fn number(&mut self, part: Part) -> Option<u16> {
        self.take(2, part).map(be_u16)
    }

    /// The next element, of a list only its count. `None`: `error` says why.
    #[inline(never)]
    fn head(&mut self) -> Option<Element<'a>> {
        let offset = self.offset;
        let tag = self.number(Part::Tag)?;
        let body = match tag & 7 {
            TYPE_FALSE | TYPE_TRUE => &[],
            TYPE_NUMBER => {
                let body = self.rest;
                let flags = self.take(1, Part::Number)?.first()?;
                let size = usize::from(flags & 7).saturating_add(1);
                self.take(size, Part::Number)?;
                body.get(..size.saturating_add(1))?
            }
            TYPE_BYTES => {
                let length = self.number(Part::Length)?;
                self.take(length.into(), Part::Text)?
            }
            TYPE_LIST => self.take(2, Part::Count)?,
            kind => {
                // Three bits.
                self.error = TtlvError { offset, fault: Fault::Reserved(kind as u8) };
                return None;
            }
        };
        Some(Element { tag, offset, body })
    }

    /// The next element, whole. The list was checked: only its end is `None`.
    #[inline(never)]
    pub(super) fn element(&mut self) -> Option<Element<'a>> {
        let mut element = self.head()?;
        if element.kind() == Kind::List {
            let body = self.rest;
            let mut left = usize::from(element.count());
            while left > 0 {
                let inner = self.head()?;
                left = left.wrapping_sub(1);
                if inner.kind() == Kind::List {
                    left = left.saturating_add(inner.count().into());
                }
            }
            element.body = body.get(..body.len().saturating_sub(self.rest.len()))?;
        }
        Some(element)
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        self.element().map(|element| Item { id: element.id(), value: element.value() })
    }
}

/// The element at `offset` of a payload, as far as it can be read.
pub(super) fn element_at(payload: &[u8], offset: u16) -> Option<Element<'_>> {
    Items::of(payload.get(offset.into()..)?, offset).head()
}

/// A list that is being checked.
#[derive(Clone, Copy, Default)]
struct Level {
    left: u16,
    is_array: Option<bool>,
}

/// Checks a list to its last byte. How many lists are nested in it, at the deepest place.
fn walk(bytes: &[u8]) -> Result<usize, TtlvError> {
    let mut levels = [Level::default(); TTLV_DEPTH + 1];
    let (mut depth, mut height) = (0usize, 0);
    let mut items = Items::of(bytes, 0);
    loop {
        while depth > 0 && levels.get(depth).is_some_and(|level| level.left == 0) {
            depth = depth.wrapping_sub(1);
        }
        if items.rest.is_empty() && depth == 0 {
            return Ok(height);
        }
        let Some(element) = items.head() else { return Err(items.error) };
        let offset = element.offset;
        let Some(level) = levels.get_mut(depth) else {
            return Err(TtlvError { offset, fault: Fault::TooDeep });
        };
        let is_array = element.id() == 0;
        if level.is_array.is_some_and(|before| before != is_array) {
            return Err(TtlvError { offset, fault: Fault::Mixed });
        }
        *level = Level { left: level.left.saturating_sub(1), is_array: Some(is_array) };
        if element.kind() == Kind::List {
            depth = depth.saturating_add(1);
            height = height.max(depth);
            let Some(level) = levels.get_mut(depth) else {
                return Err(TtlvError { offset, fault: Fault::TooDeep });
            };
            *level = Level { left: element.count(), is_array: None };
        }
    }
}

fn be_u16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    #[test]
    fn a_tree_is_read_level_by_level() {
        // 3: {1: true, 2: [5, "a"]}, 4: "b"
        let bytes =
            b"\x00\x1c\x00\x02\x00\x09\x00\x14\x00\x02\x00\x02\x00\x05\x00\x03\x00\x01a\x00\x23\x00\x01b";
        let list = List::parse(bytes).unwrap();
        assert_eq!(list.len(), 2);
        let inner = list.list(3).unwrap();
        assert_eq!((inner.len(), inner.offset(), inner.bool(1)), (2, 4, Some(true)));
        let array: Vec<_> = inner.list(2).unwrap().iter().collect();
        assert_eq!(array[0], Item { id: 0, value: Value::Number(5u8.into()) });
        assert_eq!(array[1], Item { id: 0, value: Value::Bytes(b"a") });
        let last = list.element(4).unwrap();
        assert_eq!((last.offset, last.value()), (20 - 1, Value::Bytes(b"b")));
    }

    #[test]
    fn an_empty_text_reads_as_absent() {
        let list = List::parse(b"\x00\x23\x00\x00").unwrap();
        assert_eq!(list.text(4), None);
        assert_eq!(list.bytes(4), Some(&b""[..]));
    }

    #[test]
    fn long_and_scaled_numbers_read_as_their_value() {
        let list = List::parse(b"\x00\x12\x0b\x00\x00\x00\x14\x00\x1a\x80\x00").unwrap();
        assert_eq!(list.number(2), Some(2u8.into()));
        assert_eq!(list.number(3), Some(Number::ZERO));
    }

    #[test]
    fn an_array_with_a_named_element_is_refused() {
        let bytes = b"\x00\x2c\x00\x02\x00\x01\x00\x09";
        assert_eq!(List::parse(bytes), Err(TtlvError { offset: 6, fault: Fault::Mixed }));
        assert_eq!(List::parse(b"\x00\x09\x00\x01"), Err(TtlvError { offset: 2, fault: Fault::Mixed }));
    }

    #[test]
    fn nesting_has_an_end() {
        let nested = |depth: usize| {
            let mut bytes = vec![];
            for _ in 1..depth {
                bytes.extend_from_slice(b"\x00\x0c\x00\x01");
            }
            bytes.extend_from_slice(b"\x00\x0c\x00\x00");
            bytes
        };
        let deepest = nested(TTLV_DEPTH);
        let mut list = List::parse(&deepest).unwrap();
        assert_eq!(walk(&deepest), Ok(TTLV_DEPTH));
        for _ in 0..TTLV_DEPTH {
            list = list.list(1).unwrap();
        }
        assert!(list.is_empty());
        let error = List::parse(&nested(TTLV_DEPTH + 1)).unwrap_err();
        assert_eq!(error, TtlvError { offset: 4 * TTLV_DEPTH as u16, fault: Fault::TooDeep });
    }

    #[test]
    fn a_parsed_list_can_be_written_into_another() {
        let bytes = b"\x00\x1c\x00\x01\x00\x09";
        let list = List::parse(bytes).unwrap();
        let mut out = [0; 32];
        let length = Writer::new(&mut out).list(5, list).value(6, Value::Bool(true)).finish().unwrap();
        let again = List::parse(out.get(..length).unwrap()).unwrap();
        assert_eq!(again.list(5), Some(list));
        assert_eq!(again.bool(6), Some(true));
    }
}
