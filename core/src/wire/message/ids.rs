//! 0x0011, 0x0031, 0x0041: a bare list of wanted ids, two bytes each and no TTLV.

use crate::wire::NoRoom;

use super::MessageError;

/// Ids in order, given or parsed. Equal when the ids are.
#[derive(Debug, Clone, Copy)]
pub struct Ids<'a>(Source<'a>);

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Given(&'a [u16]),
    Parsed(&'a [[u8; 2]]),
}

impl<'a> Ids<'a> {
    /// To be emitted.
    pub const fn of(ids: &'a [u16]) -> Ids<'a> {
        Ids(Source::Given(ids))
    }

    /// Reads the payload; there may be no id in it.
    pub fn parse(payload: &'a [u8]) -> Result<Ids<'a>, MessageError> {
        let (ids, rest) = payload.as_chunks();
        if rest.is_empty() { Ok(Ids(Source::Parsed(ids))) } else { Err(MessageError::OddIds) }
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let needed = self.iter().count().saturating_mul(2);
        let room = out.len();
        let out = out.get_mut(..needed).ok_or(NoRoom { needed, room })?;
        for (place, id) in out.as_chunks_mut().0.iter_mut().zip(self.iter()) {
            *place = id.to_be_bytes();
        }
        Ok(needed)
    }

    /// The ids in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + use<'a> {
        let (given, parsed): (&[u16], &[[u8; 2]]) = match self.0 {
            Source::Given(ids) => (ids, &[]),
            Source::Parsed(ids) => (&[], ids),
        };
        given.iter().copied().chain(parsed.iter().map(|id| u16::from_be_bytes(*id)))
    }
}

impl PartialEq for Ids<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Ids<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn ids_come_back_in_order() {
        let ids = Ids::of(&[1, 4, 0x1FFF]);
        let mut out = [0; 6];
        assert_eq!(ids.emit(&mut out), Ok(6));
        assert_eq!(Ids::parse(&out), Ok(ids));
        assert!(ids.iter().eq([1, 4, 0x1FFF]));
        assert_eq!(ids.emit(&mut [0; 5]), Err(NoRoom { needed: 6, room: 5 }));
        assert_eq!(Ids::parse(&[]), Ok(Ids::of(&[])));
    }

    #[test]
    fn half_an_id_is_refused() {
        let error = Ids::parse(&[0, 1, 0]).unwrap_err();
        assert_eq!(
            error.in_words(&[0, 1, 0]).to_string(),
            "a list of ids has 3 bytes; two for each id are right"
        );
    }
}
