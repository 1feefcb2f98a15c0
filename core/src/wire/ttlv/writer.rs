//! Writing a list.

use super::{
    ID_MAX, List, Number, TYPE_BITS, TYPE_BYTES, TYPE_FALSE, TYPE_LIST, TYPE_NUMBER, TYPE_TRUE, Value,
};
use crate::{limits::TTLV_DEPTH, wire::NoRoom};

/// Writes a list into the caller's buffer. A fault is kept and told by [`Writer::finish`], so calls can be chained.
///
/// ```
/// # use quecota_core::wire::ttlv::Writer;
/// let mut out = [0; 32];
/// let length = Writer::new(&mut out).text(4, "MCU").number(7, 1u8).finish()?;
/// assert_eq!(&out[..length], b"\x00\x23\x00\x03MCU\x00\x3a\x00\x01");
/// # Ok::<(), quecota_core::wire::ttlv::WriteError>(())
/// ```
#[derive(Debug)]
pub struct Writer<'b> {
    out: &'b mut [u8],
    /// May run past the end of `out`: then it counts what is needed.
    at: usize,
    fault: Option<WriteError>,
    depth: usize,
    levels: [Level; TTLV_DEPTH + 1],
}

/// A list that is being written.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    count_at: usize,
    count: u16,
    array: bool,
}

/// Why a list cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// The buffer is too small, or a text exceeds 65535 bytes.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// Not an id.
    #[error("id {id}; 0 to 8191 are right")]
    Id {
        /// What was given.
        id: u16,
    },
    /// Id 0 (array element) and another id (struct member) in one list.
    #[error("array elements (id 0) and struct members in one list")]
    Mixed,
    /// Structs opened within structs.
    #[error("structs are nested more than {max} deep")]
    TooDeep {
        /// How deep is right.
        max: usize,
    },
    /// More elements than a count can tell.
    #[error("more than 65535 elements in one struct")]
    TooMany,
    /// `close` without `open`, or the reverse.
    #[error("a struct was opened and not closed, or closed and not opened")]
    Unbalanced,
}

impl<'b> Writer<'b> {
    /// Begins a list.
    pub fn new(out: &'b mut [u8]) -> Writer<'b> {
        Writer { out, at: 0, fault: None, depth: 0, levels: [Level::default(); TTLV_DEPTH + 1] }
    }

    /// Adds a bool.
    pub fn bool(&mut self, id: u16, value: bool) -> &mut Self {
        self.tag(id, if value { TYPE_TRUE } else { TYPE_FALSE })
    }

    /// Adds a number.
    pub fn number(&mut self, id: u16, value: impl Into<Number>) -> &mut Self {
        self.any_number(id, value.into())
    }

    /// Once in the image, not once for each type.
    #[inline(never)]
    fn any_number(&mut self, id: u16, number: Number) -> &mut Self {
        self.tag(id, TYPE_NUMBER);
        let magnitude = number.magnitude().to_be_bytes();
        let leading = magnitude.iter().take(7).take_while(|byte| **byte == 0).count();
        let sign = if number.sign() == super::Sign::Minus { 0x80 } else { 0 };
        // Eight bytes at most, so the size takes three bits.
        let size = 7usize.saturating_sub(leading) as u8;
        self.put(&[sign | number.decimals() << 3 | size]);
        self.put(magnitude.get(leading..).unwrap_or_default())
    }

    /// Adds a text.
    pub fn text(&mut self, id: u16, value: &str) -> &mut Self {
        self.bytes(id, value.as_bytes())
    }

    /// Adds bytes, 65535 at most.
    pub fn bytes(&mut self, id: u16, value: &[u8]) -> &mut Self {
        self.tag(id, TYPE_BYTES);
        let Ok(length) = u16::try_from(value.len()) else {
            return self.fail(NoRoom { needed: value.len(), room: u16::MAX.into() }.into());
        };
        self.put(&length.to_be_bytes());
        self.put(value)
    }

    /// Adds a text in parts, 65535 bytes at most.
    pub fn joined<'p>(&mut self, id: u16, parts: impl Iterator<Item = &'p str> + Clone) -> &mut Self {
        self.tag(id, TYPE_BYTES);
        let length = parts.clone().fold(0usize, |sum, part| sum.saturating_add(part.len()));
        let Ok(length) = u16::try_from(length) else {
            return self.fail(NoRoom { needed: length, room: u16::MAX.into() }.into());
        };
        self.put(&length.to_be_bytes());
        for part in parts {
            self.put(part.as_bytes());
        }
        self
    }

    /// Begins a struct, or an array when its elements have id 0.
    pub fn open(&mut self, id: u16) -> &mut Self {
        self.tag(id, TYPE_LIST);
        let count_at = self.at;
        self.put(&[0, 0]);
        self.depth = self.depth.saturating_add(1);
        match self.levels.get_mut(self.depth) {
            Some(level) => *level = Level { count_at, ..Level::default() },
            None => return self.fail(WriteError::TooDeep { max: TTLV_DEPTH }),
        }
        self
    }

    /// Ends it.
    pub fn close(&mut self) -> &mut Self {
        let Some(outer) = self.depth.checked_sub(1) else { return self.fail(WriteError::Unbalanced) };
        if let Some(level) = self.levels.get(self.depth).copied() {
            let places = self.out.iter_mut().skip(level.count_at);
            for (place, byte) in places.zip(level.count.to_be_bytes()) {
                *place = byte;
            }
        }
        self.depth = outer;
        self
    }

    /// Adds a struct or array that was parsed.
    pub fn list(&mut self, id: u16, value: List<'_>) -> &mut Self {
        self.tag(id, TYPE_LIST);
        let Ok(count) = u16::try_from(value.len()) else { return self.fail(WriteError::TooMany) };
        if self.depth.saturating_add(super::walk(value.as_bytes()).unwrap_or(TTLV_DEPTH)).saturating_add(1)
            > TTLV_DEPTH
        {
            return self.fail(WriteError::TooDeep { max: TTLV_DEPTH });
        }
        self.put(&count.to_be_bytes());
        self.put(value.as_bytes())
    }

    /// Adds any value.
    pub fn value(&mut self, id: u16, value: Value<'_>) -> &mut Self {
        match value {
            Value::Bool(value) => self.bool(id, value),
            Value::Number(value) => self.number(id, value),
            Value::Bytes(value) => self.bytes(id, value),
            Value::List(value) => self.list(id, value),
        }
    }

    /// Ends the list; gives its length.
    pub fn finish(&mut self) -> Result<usize, WriteError> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.depth != 0 {
            return Err(WriteError::Unbalanced);
        }
        if self.at > self.out.len() {
            return Err(NoRoom { needed: self.at, room: self.out.len() }.into());
        }
        Ok(self.at)
    }

    fn tag(&mut self, id: u16, kind: u16) -> &mut Self {
        if id > ID_MAX {
            return self.fail(WriteError::Id { id });
        }
        let fault = match self.levels.get_mut(self.depth) {
            Some(level) if level.count > 0 && level.array != (id == 0) => Some(WriteError::Mixed),
            Some(level) if level.count == u16::MAX && self.depth > 0 => Some(WriteError::TooMany),
            Some(level) => {
                level.array = id == 0;
                level.count = level.count.saturating_add(1);
                None
            }
            // `open` has told it.
            None => None,
        };
        if let Some(fault) = fault {
            return self.fail(fault);
        }
        self.put(&(id << TYPE_BITS | kind).to_be_bytes())
    }

    fn put(&mut self, bytes: &[u8]) -> &mut Self {
        for byte in bytes {
            if let Some(place) = self.out.get_mut(self.at) {
                *place = *byte;
            }
            self.at = self.at.saturating_add(1);
        }
        self
    }

    fn fail(&mut self, fault: WriteError) -> &mut Self {
        self.fault.get_or_insert(fault);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn written(write: impl Fn(&mut Writer<'_>)) -> Result<Vec<u8>, WriteError> {
        let mut out = [0; 64];
        let mut writer = Writer::new(&mut out);
        write(&mut writer);
        let length = writer.finish()?;
        Ok(out.get(..length).unwrap().to_vec())
    }

    #[test]
    fn a_struct_knows_its_count_after_it_is_closed() {
        let bytes = written(|w| {
            w.open(3).bool(1, true).open(2).number(0, 1u8).number(0, 2u8).close().close();
        });
        assert_eq!(
            bytes.unwrap(),
            b"\x00\x1c\x00\x02\x00\x09\x00\x14\x00\x02\x00\x02\x00\x01\x00\x02\x00\x02"
        );
    }

    #[test]
    fn a_small_buffer_is_answered_with_the_size_that_is_needed() {
        for room in 0..7 {
            let error = Writer::new(vec![0; room].as_mut()).text(4, "MCU").finish().unwrap_err();
            assert_eq!(error, WriteError::NoRoom(NoRoom { needed: 7, room }));
        }
        assert_eq!(Writer::new(&mut [0; 7]).text(4, "MCU").finish(), Ok(7));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let fault = |write: fn(&mut Writer<'_>)| written(write).unwrap_err();
        assert_eq!(fault(|w| _ = w.bool(8192, true)), WriteError::Id { id: 8192 });
        assert_eq!(fault(|w| _ = w.bool(0, true).bool(1, true)), WriteError::Mixed);
        assert_eq!(fault(|w| _ = w.open(1)), WriteError::Unbalanced);
        assert_eq!(fault(|w| _ = w.open(1).close().close()), WriteError::Unbalanced);
        let deep = fault(|w| {
            for _ in 0..=TTLV_DEPTH {
                w.open(1);
            }
        });
        assert_eq!(deep, WriteError::TooDeep { max: TTLV_DEPTH });
        let long = fault(|w| _ = w.bytes(1, &[0; 65536]));
        assert_eq!(long, WriteError::NoRoom(NoRoom { needed: 65536, room: 65535 }));
    }

    #[test]
    fn a_parsed_tree_is_not_written_deeper_than_can_be_read() {
        let mut deepest = Vec::new();
        for _ in 1..TTLV_DEPTH {
            deepest.extend_from_slice(b"\x00\x0c\x00\x01");
        }
        deepest.extend_from_slice(b"\x00\x0c\x00\x00");
        let tree = List::parse(&deepest).unwrap();
        let inner = tree.list(1).unwrap();
        assert_eq!(written(|w| _ = w.list(1, inner)).unwrap(), deepest);
        assert_eq!(written(|w| _ = w.list(1, tree)), Err(WriteError::TooDeep { max: TTLV_DEPTH }));
        let opened = written(|w| _ = w.open(1).list(1, inner).close());
        assert_eq!(opened, Err(WriteError::TooDeep { max: TTLV_DEPTH }));
    }
}
