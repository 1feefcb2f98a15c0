//! 0x0122: where the device is, in the NMEA sentences of its own receiver.

use super::{Field, MessageError, field, finish, table};
use crate::wire::{
    NoRoom, parts,
    ttlv::{List, Writer},
};

const NMEA: Field = field(2, "NMEA sentences").needed();

/// 0x0122. Equal when the sentences are.
#[derive(Debug, Clone, Copy)]
pub struct Location<'a>(Source<'a>);

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Given(&'a [&'a str]),
    /// Each followed by a semicolon.
    Parsed(&'a str),
}

impl<'a> Location<'a> {
    /// To be emitted: `$GNRMC,...` and so on, without semicolons.
    pub const fn of(sentences: &'a [&'a str]) -> Location<'a> {
        Location(Source::Given(sentences))
    }

    /// Reads the payload.
    pub fn parse(payload: &'a [u8]) -> Result<Location<'a>, MessageError> {
        let mut text = "";
        table::read(List::parse(payload)?, &[NMEA], &mut [(&mut text).into()])?;
        Ok(Location(Source::Parsed(text)))
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        writer.joined(NMEA.id, self.sentences().flat_map(|sentence| [sentence, ";"]));
        finish(&mut writer)
    }

    /// The sentences in order.
    pub fn sentences(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        let (given, parsed): (&[&str], &str) = match self.0 {
            Source::Given(sentences) => (sentences, ""),
            Source::Parsed(text) => (&[], text),
        };
        given.iter().copied().chain(parts(parsed, b';')).filter(|sentence| !sentence.is_empty())
    }
}

impl PartialEq for Location<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.sentences().eq(other.sentences())
    }
}

impl Eq for Location<'_> {}

#[cfg(test)]
mod tests {
    use super::super::Wrong;
    use super::*;

    #[test]
    fn each_sentence_is_followed_by_a_semicolon() {
        let location = Location::of(&["$GNRMC,1*2F", "$GNGGA,2*30"]);
        let mut out = [0; 32];
        let length = location.emit(&mut out).unwrap();
        assert_eq!(out.get(..length), Some(&b"\x00\x13\x00\x18$GNRMC,1*2F;$GNGGA,2*30;"[..]));
        assert_eq!(Location::parse(out.get(..length).unwrap()), Ok(location));
    }

    #[test]
    fn a_location_without_sentences_is_missed() {
        assert_eq!(Location::parse(&[]).unwrap_err().field(), Some((2, Wrong::Missing)));
    }
}
