//! The registry of connected devices, and the way down to each of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytestring::ByteString;
use quecota_core::text::TooLong;
use quecota_core::wire::NoRoom;
use quecota_core::wire::credential::SessionCipher;
use quecota_core::wire::frame::{Frame, HEADER, PacketId};
use quecota_core::wire::topic;

use crate::engine::{Downlink, SessionId, TookOver};
use crate::store::DeviceId;

use super::codec::{self, Payload};
use super::send_queue::{CloseReason, Publication, SendQueue};

/// Messages that wait for one device, at most. A plan of 20 components makes 20; a device with more does not read.
const QUEUE: usize = 32;
const CIPHER_BLOCK: usize = 16;

/// Why a message was not queued.
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

/// The way down to one connected device.
pub(super) struct Connection {
    device: DeviceId,
    client_id: String,
    /// The engine's name for it, once the device has subscribed.
    pub session: OnceLock<SessionId>,
    /// What its session sends.
    pub send_queue: SendQueue,
    sender: Mutex<FrameSender>,
}

/// Numbering and cipher of the center's frames; locked from the number to the queue, so that they leave in order.
struct FrameSender {
    packet: PacketId,
    /// Boxed: its keys are half a kilobyte, and most sessions have none.
    cipher: Option<Box<SessionCipher>>,
}

impl Connection {
    /// The connection of `client_id`, not encrypted.
    pub fn new(device: DeviceId, client_id: impl Into<String>) -> Self {
        let sender = FrameSender { packet: PacketId::FIRST, cipher: None };
        Self {
            device,
            client_id: client_id.into(),
            session: OnceLock::new(),
            send_queue: SendQueue::new(QUEUE),
            sender: Mutex::new(sender),
        }
    }

    /// The device's client id.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Queues a message on `q/1/d/<clientId>/<leaf>`.
    ///
    /// # Errors
    /// [`NotSent`] if the device's queue is full or the message is too long.
    pub fn send_payload(&self, message: &Payload) -> Result<(), NotSent> {
        self.send_with(&mut self.sender(), message)
    }

    /// Encodes and queues a message of the engine.
    ///
    /// # Errors
    /// As [`Connection::send_payload`].
    pub fn send(&self, message: &Downlink) -> Result<(), NotSent> {
        self.send_payload(&codec::encode(message)?)
    }

    /// Queues a message in the clear and encrypts all that follow: for the 0x00B4 that carries the key (QUECTHING.md 4.2).
    ///
    /// # Errors
    /// As [`Connection::send_payload`]; then the connection stays unencrypted.
    pub fn send_then_encrypt(&self, message: &Payload, cipher: SessionCipher) -> Result<(), NotSent> {
        let mut sender = self.sender();
        sender.cipher = None;
        self.send_with(&mut sender, message)?;
        sender.cipher = Some(Box::new(cipher));
        Ok(())
    }

    fn send_with(&self, sender: &mut FrameSender, message: &Payload) -> Result<(), NotSent> {
        let frame = Frame { packet: sender.packet, command: message.command, payload: &message.bytes };
        // Each byte may be stuffed, and the cipher pads to its block.
        let mut bytes = vec![0; 2 * (HEADER + message.bytes.len()) + CIPHER_BLOCK];
        let mut length = frame.emit(&mut bytes)?;
        if let Some(cipher) = &sender.cipher {
            length = cipher.encrypt(&mut bytes, length)?;
        }
        bytes.truncate(length);
        let topic = ByteString::from(topic::downlink(&self.client_id, message.leaf)?.as_str());
        self.send_queue.push(Publication { topic, payload: bytes.into() }).map_err(|_| NotSent::Full)?;
        sender.packet = sender.packet.next();
        Ok(())
    }

    /// A panic in here leaves at worst a number that was used and not sent.
    fn sender(&self) -> MutexGuard<'_, FrameSender> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All connections of this center, one per device.
#[derive(Default)]
pub(super) struct Registry(Mutex<HashMap<DeviceId, Arc<Connection>>>);

impl Registry {
    /// Adds a connection and closes an older one of the same device; says whether there was one.
    pub fn add(&self, connection: &Arc<Connection>) -> TookOver {
        match self.connections().insert(connection.device, Arc::clone(connection)) {
            Some(older) => {
                older.send_queue.close(CloseReason::TakenOver);
                TookOver::Yes
            }
            None => TookOver::No,
        }
    }

    /// Removes the connection, unless a newer one of the device has replaced it.
    pub fn remove(&self, connection: &Arc<Connection>) {
        let mut connections = self.connections();
        if connections.get(&connection.device).is_some_and(|current| Arc::ptr_eq(current, connection)) {
            connections.remove(&connection.device);
        }
    }

    /// The connection of a device.
    pub fn find(&self, device: DeviceId) -> Option<Arc<Connection>> {
        self.connections().get(&device).cloned()
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.connections().values().cloned().collect()
    }

    /// How many devices are connected.
    pub fn count(&self) -> usize {
        self.connections().len()
    }

    /// Closes all.
    pub fn close_all(&self, reason: CloseReason) {
        for connection in self.connections().values() {
            connection.send_queue.close(reason);
        }
    }

    /// A panic elsewhere cannot leave the map half changed.
    fn connections(&self) -> MutexGuard<'_, HashMap<DeviceId, Arc<Connection>>> {
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
        let connection = Connection::new(DeviceId(1), "qdP1D1");
        for expected in 1..=3 {
            connection.send_payload(&message(&[0xAA, 0x55])).unwrap();
            let sent = connection.send_queue.pop().unwrap();
            assert_eq!(sent.topic, "q/1/d/qdP1D1/ota");
            let mut bytes = sent.payload.to_vec();
            let frame = Frame::parse(&mut bytes).unwrap();
            assert_eq!((frame.packet.get(), frame.payload), (expected, &[0xAA, 0x55][..]));
        }
    }

    #[test]
    fn the_key_goes_in_the_clear_and_all_after_it_encrypted() {
        let connection = Connection::new(DeviceId(1), "qdP1D1");
        connection.send_then_encrypt(&message(b"key"), SessionCipher::new(KEY)).unwrap();
        assert!(Frame::parse(&mut connection.send_queue.pop().unwrap().payload.to_vec()).is_ok());
        connection.send_payload(&message(&[0xAA; 100])).unwrap();
        let mut sealed = connection.send_queue.pop().unwrap().payload.to_vec();
        assert!(Frame::parse(&mut sealed.clone()).is_err());
        let plain = SessionCipher::new(KEY).decrypt(&mut sealed).unwrap();
        assert_eq!(Frame::parse(plain).unwrap().payload, [0xAA; 100]);
    }

    #[test]
    fn one_message_too_many_is_refused() {
        let connection = Connection::new(DeviceId(1), "qdP1D1");
        for _ in 0..QUEUE {
            connection.send_payload(&message(&[0xAA; 8 * 1024])).unwrap();
        }
        assert_eq!(connection.send_payload(&message(b"?")), Err(NotSent::Full));
    }

    #[test]
    fn a_newer_connection_closes_the_older_and_stays_when_the_older_is_removed() {
        let registry = Registry::default();
        let older = Arc::new(Connection::new(DeviceId(1), "qdP1D1"));
        let newer = Arc::new(Connection::new(DeviceId(1), "qdP1D1"));
        assert_eq!(registry.add(&older), TookOver::No);
        assert_eq!(registry.add(&newer), TookOver::Yes);
        assert_eq!(
            (older.send_queue.close_reason(), newer.send_queue.close_reason()),
            (Some(CloseReason::TakenOver), None)
        );
        registry.remove(&older);
        assert!(Arc::ptr_eq(&registry.find(DeviceId(1)).unwrap(), &newer));
        registry.remove(&newer);
        assert_eq!(registry.count(), 0);
    }
}
