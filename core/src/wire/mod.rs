//! The wire protocol as a pure codec: bytes in, borrowed values out, and back (QUECTHING.md 2 and 4).
//!
//! [`frame`] is the envelope, [`ttlv`] the data inside it, [`message`] what the data says, [`credential`] the MQTT
//! password and the session cipher, [`topic`] where it goes, [`event`] what an application is told, [`http`] how a
//! firmware download answers. Nothing here
//! allocates or panics: parsing borrows from the input, emitting writes into the caller's buffer.

pub mod credential;
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
