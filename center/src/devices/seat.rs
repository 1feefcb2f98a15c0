//! The seats: who is connected, and the way down to each of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytestring::ByteString;
use quecota_core::text::TooLong;
use quecota_core::wire::NoRoom;
use quecota_core::wire::credential::SessionCipher;
use quecota_core::wire::frame::{Frame, HEADER, PacketId};
use quecota_core::wire::topic;

use crate::engine::Downlink;
use crate::store::DeviceId;

use super::codec::{self, Payload};
use super::outbox::{Kick, Outbox, Publication};

/// Messages that wait for one device. A plan of 20 components makes 20 at most; more means that it does not listen.
const QUEUE: usize = 32;
const CIPHER_BLOCK: usize = 16;

/// Why a message did not get on its way.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotSent {
    #[error("{QUEUE} messages wait for the device already")]
    Full,
    #[error("{} bytes, and {} are the most", .0.needed, .0.room)]
    NoRoom(NoRoom),
    #[error("the topic for it would be too long")]
    Topic(#[from] TooLong),
}

impl From<NoRoom> for NotSent {
    fn from(error: NoRoom) -> Self {
        NotSent::NoRoom(error)
    }
}

/// Where a connected device sits: what waits for it and how it is spoken to.
pub(super) struct Seat {
    device: DeviceId,
    client_id: String,
    /// What the session sends.
    pub outbox: Outbox,
    voice: Mutex<Voice>,
}

/// Numbering and cipher of the center's frames; locked from the number to the queue, so that they leave in order.
struct Voice {
    packet: PacketId,
    cipher: Option<SessionCipher>,
}

impl Seat {
    /// The seat of `client_id`, which speaks in the clear.
    pub fn new(device: DeviceId, client_id: &str) -> Self {
        let voice = Voice { packet: PacketId::FIRST, cipher: None };
        Self { device, client_id: client_id.into(), outbox: Outbox::new(QUEUE), voice: Mutex::new(voice) }
    }

    /// Queues a message on `q/1/d/<clientId>/<leaf>`.
    ///
    /// # Errors
    /// [`NotSent`] if the device's queue is full or the message is too long.
    pub fn say(&self, message: &Payload) -> Result<(), NotSent> {
        self.say_with(&mut self.voice(), message)
    }

    /// Encodes and queues a message of the engine.
    ///
    /// # Errors
    /// As [`Seat::say`].
    pub fn tell(&self, message: &Downlink) -> Result<(), NotSent> {
        self.say(&codec::encode(message)?)
    }

    /// Queues a message in the clear and encrypts all that follow: the 0x00B4 that brings the key (QUECTHING.md 4.2).
    ///
    /// # Errors
    /// As [`Seat::say`]; then the seat speaks in the clear.
    pub fn say_then_encrypt(&self, message: &Payload, cipher: SessionCipher) -> Result<(), NotSent> {
        let mut voice = self.voice();
        voice.cipher = None;
        self.say_with(&mut voice, message)?;
        voice.cipher = Some(cipher);
        Ok(())
    }

    fn say_with(&self, voice: &mut Voice, message: &Payload) -> Result<(), NotSent> {
        let frame = Frame { packet: voice.packet, command: message.command, payload: &message.bytes };
        // Each byte may be stuffed, and the cipher pads to its block.
        let mut bytes = vec![0; 2 * (HEADER + message.bytes.len()) + CIPHER_BLOCK];
        let mut length = frame.emit(&mut bytes)?;
        if let Some(cipher) = &voice.cipher {
            length = cipher.encrypt(&mut bytes, length)?;
        }
        bytes.truncate(length);
        let topic = ByteString::from(topic::downlink(&self.client_id, message.leaf)?.as_str());
        self.outbox.push(Publication { topic, payload: bytes.into() }).map_err(|_| NotSent::Full)?;
        voice.packet = voice.packet.next();
        Ok(())
    }

    /// A panic in here leaves at worst a number that was used and not sent.
    fn voice(&self) -> MutexGuard<'_, Voice> {
        self.voice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All seats of this center.
#[derive(Default)]
pub(super) struct Seats(Mutex<HashMap<DeviceId, Arc<Seat>>>);

impl Seats {
    /// Seats a device; the older connection of the same device is told to go.
    pub fn take(&self, seat: &Arc<Seat>) {
        let older = self.seats().insert(seat.device, Arc::clone(seat));
        if let Some(older) = older {
            older.outbox.kick(Kick::TakenOver);
        }
    }

    /// The seat is free, unless another connection has taken it.
    pub fn leave(&self, seat: &Arc<Seat>) {
        let mut seats = self.seats();
        if seats.get(&seat.device).is_some_and(|taken| Arc::ptr_eq(taken, seat)) {
            seats.remove(&seat.device);
        }
    }

    /// Who sits there.
    pub fn find(&self, device: DeviceId) -> Option<Arc<Seat>> {
        self.seats().get(&device).cloned()
    }

    /// How many are seated.
    pub fn count(&self) -> usize {
        self.seats().len()
    }

    /// Tells all to go.
    pub fn kick_all(&self, reason: Kick) {
        for seat in self.seats().values() {
            seat.outbox.kick(reason);
        }
    }

    /// A panic elsewhere cannot leave the map half changed.
    fn seats(&self) -> MutexGuard<'_, HashMap<DeviceId, Arc<Seat>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use quecota_core::wire::frame::Command;
    use quecota_core::wire::topic::Leaf;

    use super::*;

    const KEY: &[u8; 16] = b"0123456789abcdef";

    fn message(bytes: &[u8]) -> Payload {
        Payload { command: Command::PLAN_NOTIFY, leaf: Leaf::Ota, bytes: bytes.to_vec() }
    }

    #[test]
    fn messages_are_counted_and_go_out_on_the_devices_own_topic() {
        let seat = Seat::new(DeviceId(1), "qdP1D1");
        for expected in 1..=3 {
            seat.say(&message(&[0xAA, 0x55])).unwrap();
            let sent = seat.outbox.pop().unwrap();
            assert_eq!(sent.topic, "q/1/d/qdP1D1/ota");
            let mut bytes = sent.payload.to_vec();
            let frame = Frame::parse(&mut bytes).unwrap();
            assert_eq!((frame.packet.get(), frame.payload), (expected, &[0xAA, 0x55][..]));
        }
    }

    #[test]
    fn the_key_goes_in_the_clear_and_all_after_it_encrypted() {
        let seat = Seat::new(DeviceId(1), "qdP1D1");
        seat.say_then_encrypt(&message(b"key"), SessionCipher::new(KEY)).unwrap();
        assert!(Frame::parse(&mut seat.outbox.pop().unwrap().payload.to_vec()).is_ok());
        seat.say(&message(&[0xAA; 100])).unwrap();
        let mut sealed = seat.outbox.pop().unwrap().payload.to_vec();
        assert!(Frame::parse(&mut sealed.clone()).is_err());
        let plain = SessionCipher::new(KEY).decrypt(&mut sealed).unwrap();
        assert_eq!(Frame::parse(plain).unwrap().payload, [0xAA; 100]);
    }

    #[test]
    fn one_message_too_many_is_refused() {
        let seat = Seat::new(DeviceId(1), "qdP1D1");
        for _ in 0..QUEUE {
            seat.say(&message(&[0xAA; 8 * 1024])).unwrap();
        }
        assert_eq!(seat.say(&message(b"?")), Err(NotSent::Full));
    }

    #[test]
    fn a_newer_seat_kicks_the_older_and_stays_when_the_older_leaves() {
        let seats = Seats::default();
        let older = Arc::new(Seat::new(DeviceId(1), "qdP1D1"));
        let newer = Arc::new(Seat::new(DeviceId(1), "qdP1D1"));
        seats.take(&older);
        seats.take(&newer);
        assert_eq!((older.outbox.kicked(), newer.outbox.kicked()), (Some(Kick::TakenOver), None));
        seats.leave(&older);
        assert!(Arc::ptr_eq(&seats.find(DeviceId(1)).unwrap(), &newer));
        seats.leave(&newer);
        assert_eq!(seats.count(), 0);
    }
}
