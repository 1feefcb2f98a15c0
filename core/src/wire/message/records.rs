//! Arrays of structs: given as a slice where they are emitted, read from the payload where they were parsed.

use super::{Field, Fields, Kind, MessageError};
use crate::wire::ttlv::{Items, List, Value, Writer};

/// One struct of such an array.
pub trait Record<'a>: Copy {
    /// Reads its data points.
    fn read(fields: &mut Fields<'a>) -> Self;
    /// Writes its data points.
    fn write(&self, writer: &mut Writer<'_>);
}

/// At least one record, in order. Equal when the records are.
#[derive(Clone, Copy)]
pub struct Records<'a, T>(Source<'a, T>);

#[derive(Clone, Copy)]
enum Source<'a, T> {
    Given(&'a [T]),
    /// Every element is a list that `T::read` accepts.
    Parsed(List<'a>),
}

impl<'a, T: Record<'a>> Records<'a, T> {
    /// To be emitted. An empty or overlong slice is refused by the peer that parses it.
    pub fn of(records: &'a [T]) -> Self {
        Records(Source::Given(records))
    }

    /// The records in order.
    pub fn iter(&self) -> RecordsIter<'a, T> {
        match self.0 {
            Source::Given(records) => RecordsIter::Given(records.iter()),
            Source::Parsed(list) => RecordsIter::Parsed(list.iter()),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Given(records) => records.len(),
            Source::Parsed(list) => list.len(),
        }
    }

    /// Whether there is none, which only a slice can be.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the array; one bad record refuses it whole. `None` when it is not there.
    pub(super) fn read(fields: &mut Fields<'a>, field: &Field, max: usize) -> Option<Self> {
        let (offset, list) = fields.list(field)?;
        let (field, count) = (*field, list.len());
        if !cfg!(feature = "lists") {
            fields.refuse(MessageError::Count { field, offset, count, max: 0 });
            return None;
        }
        if count == 0 || count > max {
            fields.refuse(MessageError::Count { field, offset, count, max });
        }
        for item in list {
            let Value::List(record) = item.value else {
                fields.refuse(MessageError::Kind { field, offset, wanted: Kind::List });
                break;
            };
            let mut record = Fields::of(record);
            T::read(&mut record);
            if let Some(error) = record.error {
                fields.refuse(error);
            }
        }
        Some(Records(Source::Parsed(list)))
    }

    pub(super) fn write(&self, field: Field, writer: &mut Writer<'_>) {
        writer.open(field.id);
        for record in self.iter() {
            writer.open(0);
            record.write(writer);
            writer.close();
        }
        writer.close();
    }
}

impl<'a, T: Record<'a> + PartialEq> PartialEq for Records<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Record<'a> + Eq> Eq for Records<'a, T> {}

impl<'a, T: Record<'a> + core::fmt::Debug> core::fmt::Debug for Records<'a, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Iterates over [`Records`].
#[derive(Debug, Clone)]
pub enum RecordsIter<'a, T> {
    /// Over a slice.
    Given(core::slice::Iter<'a, T>),
    /// Over a parsed array.
    Parsed(Items<'a>),
}

impl<'a, T: Record<'a>> Iterator for RecordsIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            RecordsIter::Given(records) => records.next().copied(),
            RecordsIter::Parsed(items) => match items.next()?.value {
                // `Records::read` has tried it.
                Value::List(list) => Some(T::read(&mut Fields::of(list))),
                _ => None,
            },
        }
    }
}
