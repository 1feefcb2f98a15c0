//! The wire protocol as a pure codec: bytes in, borrowed values out, and back (QUECTHING.md 2 and 4).
//!
//! [`frame`] is the envelope, [`ttlv`] the data inside it, [`message`] what the data says, [`credential`] the MQTT
//! password and the session cipher, [`topic`] where it goes, [`event`] what an application is told, [`http`] how a
//! firmware download answers. Nothing here
//! allocates or panics: parsing borrows from the input, emitting writes into the caller's buffer.

pub mod credential;
pub mod download;
pub mod event;
pub mod frame;
pub mod hex;
pub mod http;
pub mod message;
pub mod topic;
pub mod ttlv;

/// The caller's buffer, or a length field of the protocol, is too small for what is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{needed} bytes are to be written where {room} fit")]
pub struct NoRoom {
    /// Bytes that would be written, at least.
    pub needed: usize,
    /// Bytes that fit.
    pub room: usize,
}

/// Copies as much of `from` as `to` takes; unlike `copy_from_slice` it has no length to panic about.
pub(crate) fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

/// Writes `bytes`; gives their length.
fn emit_bytes(bytes: &[u8], out: &mut [u8]) -> Result<usize, NoRoom> {
    let room = out.len();
    copy(out.get_mut(..bytes.len()).ok_or(NoRoom { needed: bytes.len(), room })?, bytes);
    Ok(bytes.len())
}

/// A number of decimal digits alone, where `str::parse` would take a sign. More than 32 bits hold is as good as the most.
pub(crate) fn decimal(digits: &str) -> Option<u32> {
    let add = |number: u32, digit: u8| {
        let digit = digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit.into()))
    };
    digits.bytes().try_fold(0, add).filter(|_| !digits.is_empty())
}

/// A port in decimal, 1..=65535.
pub(crate) fn port(digits: &str) -> Option<u16> {
    decimal(digits).and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)
}

/// The parts of `text` between an ASCII separator. `str::split` would keep its search's panic in the image.
fn parts(text: &str, separator: u8) -> Parts<'_> {
    debug_assert!(separator.is_ascii());
    Parts { rest: Some(text), separator }
}

#[derive(Debug, Clone)]
struct Parts<'a> {
    rest: Option<&'a str>,
    separator: u8,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.take()?;
        let Some(at) = rest.as_bytes().iter().position(|byte| *byte == self.separator) else {
            return Some(rest);
        };
        let (part, tail) = rest.split_at_checked(at)?;
        self.rest = tail.get(1..);
        Some(part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn a_number_is_digits_alone_and_no_larger_than_the_largest() {
        for (text, number) in
            [("0", 0), ("007", 7), ("4294967295", u32::MAX), ("99999999999999999999", u32::MAX)]
        {
            assert_eq!(decimal(text), Some(number));
        }
        for wrong in ["", "+1", "-1", " 1", "1.5", "0x1"] {
            assert_eq!(decimal(wrong), None, "{wrong}");
        }
        assert_eq!([port("0"), port("1"), port("65535"), port("65536")], [None, Some(1), Some(65535), None]);
    }

    #[test]
    fn parts_are_those_that_str_split_gives() {
        for text in ["", ";", "a", "a;b", ";a;;é;", "a:1;b:2"] {
            assert_eq!(parts(text, b';').collect::<Vec<_>>(), text.split(';').collect::<Vec<_>>());
        }
    }
}
