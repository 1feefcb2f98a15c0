//! The wire protocol as a pure codec: bytes in, borrowed values out, and back (QUECTHING.md 2 and 4).
//!
//! [`frame`] is the envelope, [`ttlv`] the data inside it, [`message`] what the data says, [`credential`] the MQTT
//! password and the session cipher, [`topic`] where it goes, [`event`] what an application is told, [`http`] how a
//! firmware download answers. Nothing here
//! allocates or panics: parsing borrows from the input, emitting writes into the caller's buffer.

mod bytes;

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
fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
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
    fn parts_are_those_that_str_split_gives() {
        for text in ["", ";", "a", "a;b", ";a;;é;", "a:1;b:2"] {
            assert_eq!(parts(text, b';').collect::<Vec<_>>(), text.split(';').collect::<Vec<_>>());
        }
    }
}
