//! Business data: what the application sends beside upgrades, and what the platform sends to it.
//!
//! Messages of the application wait in a buffer that it provides, bare and in order; upgrades go first. What the platform
//! sends stays in the receive buffer until the application has had it.

use super::Agent;
use super::inbox::move_down;
use super::outbox::Value;
use crate::limits;
use crate::platform::{Level, Platform, Qos};
use crate::wire::frame::{Command, HEADER, PacketId};
use crate::wire::message::Ids;
use crate::wire::ttlv::List;

/// Event "a message was sent, or not".
const SEND: u8 = 4;
/// Event "a message came".
const RECEIVE: u8 = 5;
const RECEIVED_BYTES: u16 = 10200;
const RECEIVED_VALUES: u16 = 10210;
const ASKED_FOR_VALUES: u16 = 10211;
/// What is added to the code of a message that was sent when it was not.
const NOT_SENT: u16 = 100;

/// Whether business messages are in the image at all.
pub(super) const IN_IMAGE: bool = cfg!(feature = "business");

/// Before each payload: its length, the command, the packet id and the QoS.
const HEAD: usize = 7;
/// What encryption and stuffing of the header add to a frame, at most.
const AROUND: usize = HEADER + 5 + 16;

/// A message of the application.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// One of those that an application sends: 0x0012, 0x0014, 0x0024, 0x0034, 0x0044, 0x0122.
    pub command: Command,
    /// Of an answer: the packet that it answers.
    pub answers: Option<PacketId>,
    /// How it is sent.
    pub qos: Qos,
    /// Bare. Of 0x0034 and 0x0044 the ids, two bytes each: the values are those of the moment in which it goes out.
    pub payload: &'a [u8],
}

/// Why a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No session with the platform.
    #[error("not connected to the platform")]
    Offline,
    /// Its frame would exceed [`limits::SEND_BUFFER`].
    #[error("the message is longer than a frame may be (2 KB)")]
    TooLong,
    /// Too much waits already.
    #[error("the messages that wait fill the buffer; wait for the events of those")]
    Full,
}

impl SendError {
    /// For logs where nothing formats.
    pub fn text(self) -> &'static str {
        match self {
            SendError::Offline => "not connected to the platform",
            SendError::TooLong => "the message is longer than a frame may be (2 KB)",
            SendError::Full => "the messages that wait fill the buffer; wait for the events of those",
        }
    }
}

/// What waits first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) command: Command,
    pub(super) packet: PacketId,
    pub(super) qos: Qos,
}

/// Messages of the application, oldest first.
pub(super) struct Messages<'b> {
    buffer: &'b mut [u8],
    used: usize,
}

impl<'b> Messages<'b> {
    pub(super) const fn new() -> Self {
        Messages { buffer: &mut [], used: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        !IN_IMAGE || self.used == 0
    }

    fn push(&mut self, packet: PacketId, message: &Outgoing<'_>) -> bool {
        let Ok(length) = u16::try_from(message.payload.len()) else { return false };
        let end = self.used.saturating_add(HEAD).saturating_add(message.payload.len());
        let Some(place) = self.buffer.get_mut(self.used..end) else { return false };
        let [a, b] = length.to_be_bytes();
        let [c, d] = message.command.0.to_be_bytes();
        let [e, f] = packet.get().to_be_bytes();
        let head = [a, b, c, d, e, f, message.qos as u8];
        for (place, byte) in place.iter_mut().zip(head.iter().chain(message.payload)) {
            *place = *byte;
        }
        self.used = end;
        true
    }

    /// The first message and its payload.
    pub(super) fn first(&self) -> Option<(Head, &[u8])> {
        if !IN_IMAGE {
            return None;
        }
        let waiting = self.buffer.get(..self.used)?;
        let ([a, b, c, d, e, f, qos], rest) = waiting.split_first_chunk::<HEAD>()?;
        let payload = rest.get(..usize::from(u16::from_be_bytes([*a, *b])))?;
        let qos = match qos {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            _ => Qos::ExactlyOnce,
        };
        let packet = PacketId::new(u16::from_be_bytes([*e, *f])).unwrap_or(PacketId::FIRST);
        Some((Head { command: Command(u16::from_be_bytes([*c, *d])), packet, qos }, payload))
    }

    pub(super) fn pop(&mut self) {
        let Some((_, payload)) = self.first() else { return };
        let gone = HEAD.saturating_add(payload.len());
        move_down(self.buffer, gone..self.used, 0);
        self.used = self.used.saturating_sub(gone);
    }
}

/// The code of the SEND event of a message that arrived.
fn sent_code(command: Command) -> u16 {
    match command {
        Command::DATA_REPORT | Command::DATA_ANSWER => 10210,
        Command::LOCATION_REPORT => 10220,
        Command::STATUS_REPORT => 10230,
        Command::INFO_REPORT => 10240,
        _ => 10200,
    }
}

impl<'b> Agent<'b> {
    /// Where messages of the application wait; without it none is accepted. A second call changes nothing.
    pub fn set_message_buffer(&mut self, buffer: &'b mut [u8]) {
        if self.messages.buffer.is_empty() {
            self.messages.buffer = buffer;
        }
    }

    /// Sends a message of the application, behind what waits already; a SEND event (4) says what became of it, with the
    /// packet id that is returned. Upgrades go first.
    pub fn send_message(&mut self, message: &Outgoing<'_>) -> Result<PacketId, SendError> {
        if !self.session.is_online() {
            return Err(SendError::Offline);
        }
        let stuffing = message.payload.iter().filter(|byte| **byte == 0xAA).count();
        let needed = message.payload.len().saturating_add(stuffing).saturating_add(AROUND);
        if needed > limits::SEND_BUFFER {
            return Err(SendError::TooLong);
        }
        let packet = match message.answers {
            Some(packet) => packet,
            None => self.uplink.next_packet(),
        };
        if self.messages.push(packet, message) { Ok(packet) } else { Err(SendError::Full) }
    }

    /// What became of a message. Older SDKs tell no packet id.
    pub(super) fn emit_sent(&mut self, platform: &mut dyn Platform, head: Head, delivered: bool) {
        let value = match self.events.dialect {
            super::Dialect::V2_9 => Value::None,
            super::Dialect::V2_10 => Value::Number(head.packet.get().into()),
        };
        let code = sent_code(head.command);
        let code = if delivered { code } else { code.saturating_add(NOT_SENT) };
        self.events.emit(platform, SEND, code, value);
    }

    /// Without a session what waits is not sent: one event for each, and each in a step of its own.
    pub(super) fn drop_waiting_message(&mut self, platform: &mut dyn Platform) {
        if self.session.is_online() || !self.events.has_room() {
            return;
        }
        if let Some((head, _)) = self.messages.first() {
            self.messages.pop();
            self.emit_sent(platform, head, false);
        }
    }

    /// 0x0011, 0x0013 and 0x0023. `false`: the message is not for the application, and not needed any more.
    pub(super) fn receive_message(
        &mut self,
        platform: &mut dyn Platform,
        command: Command,
        packet: PacketId,
    ) -> bool {
        let payload = self.inbox.payload();
        let code = match command {
            Command::DATA_WRITE if List::parse(payload).is_err() => {
                platform.log(Level::Warn, "values of the platform (0x0013) that are no TTLV were refused");
                self.uplink.complain(packet);
                return false;
            }
            Command::DATA_WRITE => RECEIVED_VALUES,
            Command::DATA_ASK if Ids::parse(payload).is_err() => {
                platform.log(Level::Warn, "a list of wanted ids (0x0011) that is none was dropped");
                return false;
            }
            Command::DATA_ASK => ASKED_FOR_VALUES,
            _ => RECEIVED_BYTES,
        };
        self.inbox.hold(code == ASKED_FOR_VALUES);
        self.events.emit(platform, RECEIVE, code, Value::Received);
        true
    }

    /// The value of an event with `EventValue::Received`, until the next event is taken or the next poll begins: the
    /// payload with a NUL behind it, which does not count. Of 10211 the payload's ids with the packet id before them, at
    /// an even address. The bytes stay where they are through every call but [`Agent::next_event`] and [`Agent::poll`].
    pub fn received(&mut self) -> &mut [u8] {
        self.inbox.received()
    }

    /// Status values (0x0034) as they go over the wire; gives their length.
    pub fn status_values(&self, platform: &mut dyn Platform, ids: Ids<'_>, out: &mut [u8]) -> Option<usize> {
        self.status(platform).emit_wanted(ids.into(), out).ok()
    }

    /// Info values (0x0044) as they go over the wire; gives their length.
    pub fn info_values(&self, platform: &mut dyn Platform, ids: Ids<'_>, out: &mut [u8]) -> Option<usize> {
        let model = super::uplink::model(platform);
        self.info(&model).emit_wanted(ids.into(), out).ok()
    }
}

#[cfg(all(test, feature = "business"))]
mod tests {
    use super::*;

    fn outgoing(payload: &[u8]) -> Outgoing<'_> {
        Outgoing { command: Command::PASS_UP, answers: None, qos: Qos::AtLeastOnce, payload }
    }

    #[test]
    fn messages_come_out_in_order_until_the_buffer_is_full() {
        let mut buffer = [0; 32];
        let mut messages = Messages { buffer: &mut buffer, used: 0 };
        let packet = PacketId::FIRST;
        assert!(messages.push(packet, &outgoing(b"one")) && messages.push(packet.next(), &outgoing(b"two")));
        assert!(!messages.push(packet, &outgoing(b"too long now")));
        let (head, payload) = messages.first().unwrap();
        assert_eq!((head.packet, head.qos, payload), (packet, Qos::AtLeastOnce, &b"one"[..]));
        messages.pop();
        assert!(messages.push(packet, &outgoing(b"three")));
        assert_eq!(messages.first().unwrap().1, b"two");
        messages.pop();
        assert_eq!(messages.first().unwrap().1, b"three");
        messages.pop();
        assert!(messages.is_empty() && messages.first().is_none());
    }
}
