//! Arrays of structs: given as a slice where they are emitted, read from the payload where they were parsed.

use super::{Field, Fields, MessageError, Wanted, Wrong, table::HAS_BOTH_ENDS};
use crate::wire::ttlv::{Items, Kind, List, Writer};

/// Whether there are any; else a message with one is refused.
pub(super) const HAS_LISTS: bool = cfg!(feature = "lists");

/// At least one record, in order. Equal when the records are.
#[derive(Clone, Copy)]
pub struct Records<'a, T>(Source<'a, T>);

#[derive(Clone, Copy)]
enum Source<'a, T> {
    Given(&'a [T]),
    /// Every element is a list that a record is read from.
    Parsed(List<'a>),
}

impl<'a, T: Fields<'a>> Records<'a, T> {
    /// To be emitted. An empty or overlong slice is refused by the peer that parses it.
    pub fn of(records: &'a [T]) -> Self {
        Records(Source::Given(records))
    }

    /// The records in order.
    pub fn iter(&self) -> RecordsIter<'a, T> {
        match self.0 {
            Source::Given(records) if HAS_BOTH_ENDS => RecordsIter::Given(records.iter()),
            Source::Given(_) => RecordsIter::Alone(None),
            Source::Parsed(list) => RecordsIter::Parsed(list.iter()),
        }
    }

    /// Reads an array of at most `max`; one bad record refuses it whole. `None` when it is not there.
    pub(super) fn read(
        list: List<'a>,
        field: &'static Field,
        max: usize,
    ) -> Result<Option<Self>, MessageError> {
        let Some(records) = structs(list, field, max)?.filter(|_| HAS_LISTS) else { return Ok(None) };
        let mut items = records.iter();
        while let Some(record) = items.element() {
            T::default().read(record.list())?;
        }
        Ok(Some(Records(Source::Parsed(records))))
    }

    pub(super) fn write(&self, field: &Field, writer: &mut Writer<'_>) {
        writer.open(field.id);
        for mut record in self.iter() {
            writer.open(0);
            record.write(Wanted::EVERYTHING, writer);
            writer.close();
        }
        writer.close();
    }
}

/// An array of 1 to `max` structs.
#[inline(never)]
fn structs<'a>(list: List<'a>, field: &'static Field, max: usize) -> Result<Option<List<'a>>, MessageError> {
    let Some(array) = list.element(field.id) else { return Ok(None) };
    let wrong = |wrong| Err(MessageError::Field { wrong, field, offset: array.offset });
    if array.kind() != Kind::List {
        return wrong(Wrong::Kind(Kind::List));
    }
    let max = if HAS_LISTS { max } else { 0 };
    let mut count = 0usize;
    let mut items = array.list().iter();
    while let Some(record) = items.element() {
        count = count.saturating_add(1);
        if record.kind() != Kind::List {
            return wrong(Wrong::Kind(Kind::List));
        }
    }
    if (1..=max).contains(&count) { Ok(Some(array.list())) } else { wrong(Wrong::Count(max as u8)) }
}

impl<'a, T: Fields<'a> + PartialEq> PartialEq for Records<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Fields<'a> + Eq> Eq for Records<'a, T> {}

impl<'a, T: Fields<'a> + core::fmt::Debug> core::fmt::Debug for Records<'a, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Iterates over [`Records`].
#[derive(Debug, Clone)]
pub enum RecordsIter<'a, T> {
    /// Over one that stands alone.
    Alone(Option<T>),
    /// Over a slice.
    Given(core::slice::Iter<'a, T>),
    /// Over a parsed array.
    Parsed(Items<'a>),
}

impl<'a, T: Fields<'a>> Iterator for RecordsIter<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            RecordsIter::Alone(record) => record.take(),
            RecordsIter::Given(records) if HAS_BOTH_ENDS => records.next().copied(),
            RecordsIter::Parsed(items) if HAS_LISTS => {
                let mut record = T::default();
                // `Records::read` has tried it.
                let _ = record.read(items.element()?.list());
                Some(record)
            }
            _ => None,
        }
    }
}
