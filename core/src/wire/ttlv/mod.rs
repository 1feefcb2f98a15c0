//! TTLV: the list of tagged values in a frame's payload (QUECTHING.md 4.4).
//!
//! A tag is an id (0..=8191) and a type. Struct and array are one type: a list whose elements have ids, or a list
//! whose elements all have id 0. [`List::parse`] checks a whole tree once; everything after that cannot fail.

mod number;
mod writer;

pub use number::{DECIMALS_MAX, Number, NumberError, Sign};
pub use writer::{WriteError, Writer};

use crate::limits::TTLV_DEPTH;

/// Largest id; 0 is that of array elements.
pub const ID_MAX: u16 = 8191;

const TYPE_BITS: u32 = 3;
const TYPE_FALSE: u8 = 0;
const TYPE_TRUE: u8 = 1;
const TYPE_NUMBER: u8 = 2;
const TYPE_BYTES: u8 = 3;
const TYPE_LIST: u8 = 4;

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

/// Why bytes are no TTLV. Offsets count from the begin of what was parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TtlvError {
    /// It ends too early.
    #[error("the list ends inside {part} at byte {offset}")]
    Cut {
        /// Where that part begins.
        offset: usize,
        /// What is not all there.
        part: Part,
    },
    /// A type whose length nobody knows.
    #[error("the tag at byte {offset} has the reserved type {kind}; 0 to 4 are right")]
    Reserved {
        /// Where the tag begins.
        offset: usize,
        /// 5, 6 or 7.
        kind: u8,
    },
    /// Id 0 (array element) and another id (struct member) in one list.
    #[error("the tag at byte {offset} mixes array elements (id 0) with struct members")]
    Mixed {
        /// Where the tag begins that differs from those before it.
        offset: usize,
    },
    /// Structs within structs, too many.
    #[error("the struct at byte {offset} is nested more than {max} deep")]
    TooDeep {
        /// Where its tag begins.
        offset: usize,
        /// How deep is right.
        max: usize,
    },
}

impl TtlvError {
    /// Where the fault is.
    pub fn offset(&self) -> usize {
        match *self {
            TtlvError::Cut { offset, .. }
            | TtlvError::Reserved { offset, .. }
            | TtlvError::Mixed { offset }
            | TtlvError::TooDeep { offset, .. } => offset,
        }
    }
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
    offset: usize,
    len: usize,
}

impl<'a> List<'a> {
    /// The list without elements.
    pub const EMPTY: List<'static> = List { bytes: &[], offset: 0, len: 0 };

    /// Checks all of `bytes`, which may be kept no longer than they live.
    pub fn parse(bytes: &'a [u8]) -> Result<List<'a>, TtlvError> {
        let mut levels = [Level::default(); TTLV_DEPTH + 1];
        let mut depth = 0usize;
        let mut rest = bytes;
        let mut len = 0usize;
        loop {
            while depth > 0 && levels.get(depth).is_some_and(|level| level.left == 0) {
                depth = depth.wrapping_sub(1);
            }
            if rest.is_empty() && depth == 0 {
                return Ok(List { bytes, offset: 0, len });
            }
            let offset = bytes.len().saturating_sub(rest.len());
            let (after, id, head) = head(rest).map_err(|fault| fault.within(bytes, offset))?;
            let Some(level) = levels.get_mut(depth) else {
                return Err(TtlvError::TooDeep { offset, max: TTLV_DEPTH });
            };
            if level.array.is_some_and(|array| array != (id == 0)) {
                return Err(TtlvError::Mixed { offset });
            }
            level.array = Some(id == 0);
            level.left = level.left.saturating_sub(1);
            if depth == 0 {
                len = len.saturating_add(1);
            }
            if let Head::List { count } = head {
                depth = depth.saturating_add(1);
                match levels.get_mut(depth) {
                    Some(level) => *level = Level { left: count, array: None },
                    None => return Err(TtlvError::TooDeep { offset, max: TTLV_DEPTH }),
                }
            }
            rest = after;
        }
    }

    /// The elements in their order.
    pub fn iter(&self) -> Items<'a> {
        Items { rest: self.bytes, offset: self.offset, left: self.len }
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The encoded elements.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Offset of the first element in the outermost list.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The first element with this id.
    pub fn find(&self, id: u16) -> Option<Value<'a>> {
        self.locate(id).map(|(_, value)| value)
    }

    /// The same with the offset of its tag in the outermost list.
    pub fn locate(&self, id: u16) -> Option<(usize, Value<'a>)> {
        let mut items = self.iter();
        loop {
            let offset = items.offset;
            let item = items.next()?;
            if item.id == id {
                return Some((offset, item.value));
            }
        }
    }

    /// The text with this id; an empty one reads as absent, as in the vendor's parsers.
    pub fn text(&self, id: u16) -> Option<&'a str> {
        match self.find(id)? {
            Value::Bytes(bytes) if !bytes.is_empty() => core::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The number with this id.
    pub fn number(&self, id: u16) -> Option<Number> {
        match self.find(id)? {
            Value::Number(number) => Some(number),
            _ => None,
        }
    }

    /// The bytes with this id.
    pub fn bytes(&self, id: u16) -> Option<&'a [u8]> {
        match self.find(id)? {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The bool with this id.
    pub fn bool(&self, id: u16) -> Option<bool> {
        match self.find(id)? {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// The struct or array with this id.
    pub fn list(&self, id: u16) -> Option<List<'a>> {
        match self.find(id)? {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// How many lists are nested within this one, at the deepest place.
    fn height(&self) -> usize {
        let mut levels = [0usize; TTLV_DEPTH + 1];
        let (mut depth, mut highest) = (0usize, 0usize);
        let mut rest = self.bytes;
        while let Ok((after, _, head)) = head(rest) {
            while depth > 0 && levels.get(depth).is_none_or(|left| *left == 0) {
                depth = depth.wrapping_sub(1);
            }
            if let Some(left) = levels.get_mut(depth) {
                *left = left.saturating_sub(1);
            }
            if let Head::List { count } = head {
                depth = depth.saturating_add(1);
                highest = highest.max(depth);
                if let Some(left) = levels.get_mut(depth) {
                    *left = count;
                }
            }
            rest = after;
        }
        highest
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

/// The elements of a list.
#[derive(Debug, Clone)]
pub struct Items<'a> {
    rest: &'a [u8],
    offset: usize,
    left: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        self.left = self.left.checked_sub(1)?;
        // The list was checked: neither this nor `skip` fails.
        let (inner, id, head) = head(self.rest).ok()?;
        let (value, after) = match head {
            Head::Bool(value) => (Value::Bool(value), inner),
            Head::Number(value) => (Value::Number(value), inner),
            Head::Bytes(value) => (Value::Bytes(value), inner),
            Head::List { count } => {
                let after = skip(inner, count)?;
                let bytes = inner.get(..inner.len().checked_sub(after.len())?)?;
                let before = self.rest.len().saturating_sub(inner.len());
                let offset = self.offset.saturating_add(before);
                (Value::List(List { bytes, offset, len: count }), after)
            }
        };
        self.offset = self.offset.saturating_add(self.rest.len().saturating_sub(after.len()));
        self.rest = after;
        Some(Item { id, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

/// A list that is being checked.
#[derive(Clone, Copy, Default)]
struct Level {
    left: usize,
    array: Option<bool>,
}

/// A value without what is nested in it.
enum Head<'a> {
    Bool(bool),
    Number(Number),
    Bytes(&'a [u8]),
    List { count: usize },
}

/// What is wrong with an item, and how many bytes of the input are left there.
enum Fault {
    Cut(Part, usize),
    Reserved(u8),
}

impl Fault {
    fn within(self, bytes: &[u8], tag: usize) -> TtlvError {
        match self {
            Fault::Cut(part, left) => TtlvError::Cut { offset: bytes.len().saturating_sub(left), part },
            Fault::Reserved(kind) => TtlvError::Reserved { offset: tag, kind },
        }
    }
}

/// Reads a tag and its value, not what is nested in it.
fn head(input: &[u8]) -> Result<(&[u8], u16, Head<'_>), Fault> {
    let (tag, rest) = be_u16(input, Part::Tag)?;
    // Three bits.
    let kind = (tag & 7) as u8;
    let (head, rest) = match kind {
        TYPE_FALSE => (Head::Bool(false), rest),
        TYPE_TRUE => (Head::Bool(true), rest),
        TYPE_NUMBER => {
            let (flags, rest) = split(rest, 1, Part::Number)?;
            let flags = flags.first().copied().unwrap_or_default();
            let size = usize::from(flags & 7).saturating_add(1);
            let (magnitude, rest) = split(rest, size, Part::Number)?;
            let magnitude = magnitude.iter().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
            (Head::Number(Number::canonical(flags & 0x80 != 0, magnitude, flags >> 3 & DECIMALS_MAX)), rest)
        }
        TYPE_BYTES => {
            let (length, rest) = be_u16(rest, Part::Length)?;
            let (bytes, rest) = split(rest, length.into(), Part::Text)?;
            (Head::Bytes(bytes), rest)
        }
        TYPE_LIST => {
            let (count, rest) = be_u16(rest, Part::Count)?;
            (Head::List { count: count.into() }, rest)
        }
        kind => return Err(Fault::Reserved(kind)),
    };
    Ok((rest, tag >> TYPE_BITS, head))
}

/// The first `count` bytes, which are of this part, and what follows them.
#[inline(never)]
fn split(input: &[u8], count: usize, part: Part) -> Result<(&[u8], &[u8]), Fault> {
    input.split_at_checked(count).ok_or(Fault::Cut(part, input.len()))
}

fn be_u16(input: &[u8], part: Part) -> Result<(u16, &[u8]), Fault> {
    let (bytes, rest) = split(input, 2, part)?;
    Ok((bytes.iter().fold(0, |sum, byte| sum << 8 | u16::from(*byte)), rest))
}

/// What follows `count` elements and all that is nested in them.
fn skip(mut rest: &[u8], count: usize) -> Option<&[u8]> {
    let mut left = count;
    while left > 0 {
        let (after, _, head) = head(rest).ok()?;
        left = left.wrapping_sub(1);
        if let Head::List { count } = head {
            left = left.saturating_add(count);
        }
        rest = after;
    }
    Some(rest)
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
        assert_eq!(list.locate(4), Some((20 - 1, Value::Bytes(b"b"))));
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
        assert_eq!(List::parse(bytes), Err(TtlvError::Mixed { offset: 6 }));
        assert_eq!(List::parse(b"\x00\x09\x00\x01"), Err(TtlvError::Mixed { offset: 2 }));
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
        assert_eq!(list.height(), TTLV_DEPTH);
        for _ in 0..TTLV_DEPTH {
            list = list.list(1).unwrap();
        }
        assert!(list.is_empty());
        let error = List::parse(&nested(TTLV_DEPTH + 1)).unwrap_err();
        assert_eq!(error, TtlvError::TooDeep { offset: 4 * TTLV_DEPTH, max: TTLV_DEPTH });
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
