//! The caller's receive buffer as a queue of whole messages; the oldest stands at its start and is read in place.

use core::ops::Range;

use crate::wire::frame::{Command, Frame, FrameError, HEADER, PacketId};

/// Two bytes of length before each message.
const PREFIX: usize = 2;

pub(super) struct Inbox<'b> {
    buffer: &'b mut [u8],
    used: usize,
    /// The first message is unstuffed already (which may be done only once) and is this.
    opened: Option<Opened>,
    /// The first message is a plan, and of its list this one is the next whose 10700 is to be emitted.
    next_plan: Option<usize>,
    /// The first message waits for an answer before it to leave.
    is_deferred: bool,
    /// The first message is for the application.
    held: Held,
    /// Plan and firmware packets of this connection that were handled: MQTT may bring them twice.
    handled: [Option<(PacketId, Command)>; 4],
}

/// Whether the first message is the application's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    No,
    /// Its event waits. What the application gets begins here and has this many bytes.
    Waiting(usize, usize),
    /// The application has the event.
    HandedOver(usize, usize),
}

/// A frame whose payload stands in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) packet: PacketId,
    pub(super) command: Command,
    payload: usize,
}

/// What became of a message that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Queued,
    /// Not now.
    NoRoom,
    /// Longer than the buffer, so never.
    TooLong,
}

/// Moves the bytes at `from` to `place`, which is not behind their start; of a range that ends outside the buffer, those
/// inside. Unlike `copy_within` it has no panic that the compiler must keep.
pub(super) fn move_down(buffer: &mut [u8], from: Range<usize>, place: usize) {
    for (offset, at) in from.enumerate() {
        let Some(byte) = buffer.get(at).copied() else { return };
        if let Some(to) = buffer.get_mut(place.saturating_add(offset)) {
            *to = byte;
        }
    }
}

impl<'b> Inbox<'b> {
    pub(super) fn new(buffer: &'b mut [u8]) -> Self {
        Inbox {
            buffer,
            used: 0,
            opened: None,
            next_plan: None,
            is_deferred: false,
            held: Held::No,
            handled: [None; 4],
        }
    }

    pub(super) fn push(&mut self, message: &[u8]) -> Taken {
        let needed = PREFIX.saturating_add(message.len());
        let Ok(length) = u16::try_from(message.len()) else { return Taken::TooLong };
        if needed > self.buffer.len() {
            return Taken::TooLong;
        }
        let Some(place) = self.buffer.get_mut(self.used..self.used.saturating_add(needed)) else {
            return Taken::NoRoom;
        };
        for (place, byte) in place.iter_mut().zip(length.to_be_bytes().iter().chain(message)) {
            *place = *byte;
        }
        self.used = self.used.saturating_add(needed);
        Taken::Queued
    }

    /// Forgets everything: the connection it came from is gone. A message that the application has stays with it.
    pub(super) fn clear(&mut self) {
        if self.held == Held::No {
            self.used = 0;
            self.opened = None;
        } else {
            self.used = self.first_length().map_or(0, |length| PREFIX.saturating_add(length));
        }
        self.next_plan = None;
        self.is_deferred = false;
        self.handled = [None; 4];
    }

    /// Whether a message is there that can be handled now.
    pub(super) fn is_readable(&self) -> bool {
        self.used > 0 && !self.is_deferred && self.held == Held::No
    }

    /// Keeps the first message, which was opened, for the application: its payload with a NUL behind it and, where
    /// `with_packet`, its packet id before it, all at an even address. There is room for that where the header was.
    pub(super) fn hold(&mut self, with_packet: bool) {
        const PACKET: usize = 2;
        let Some(opened) = self.opened else { return };
        let from = PREFIX + HEADER;
        let before = if with_packet { PACKET } else { 0 };
        let start = (1..=2)
            .map(|back| (PREFIX + HEADER - PACKET).saturating_sub(back))
            .find(|start| (self.buffer.as_ptr().addr() ^ start) & 1 == 0)
            .unwrap_or(0);
        let place = start.saturating_add(before);
        move_down(self.buffer, from..from.saturating_add(opened.payload), place);
        let packet = opened.packet.get().to_be_bytes();
        for (to, byte) in self.buffer.iter_mut().skip(start).zip(packet.iter().take(before)) {
            *to = *byte;
        }
        if let Some(nul) = self.buffer.get_mut(place.saturating_add(opened.payload)) {
            *nul = 0;
        }
        self.held = Held::Waiting(start, before.saturating_add(opened.payload));
    }

    /// The application has the event of the held message.
    pub(super) fn hand_over(&mut self) {
        if let Held::Waiting(start, length) = self.held {
            self.held = Held::HandedOver(start, length);
        }
    }

    /// Drops the message that the application has had.
    pub(super) fn release(&mut self) {
        if let Held::HandedOver(..) = self.held {
            self.held = Held::No;
            self.pop();
        }
    }

    /// What the application has; empty if it has no message.
    pub(super) fn received(&mut self) -> &mut [u8] {
        match self.held {
            Held::HandedOver(start, length) => {
                self.buffer.get_mut(start..start.saturating_add(length)).unwrap_or_default()
            }
            _ => &mut [],
        }
    }

    /// The first message is left for a later poll.
    pub(super) fn defer(&mut self, is_deferred: bool) {
        self.is_deferred = is_deferred;
    }

    /// The plan of the first message whose 10700 is the next to be emitted.
    pub(super) fn next_plan(&self) -> Option<usize> {
        self.next_plan
    }

    /// Keeps the first message until the plans from `next` on are emitted; `None`: all are.
    pub(super) fn set_next_plan(&mut self, next: Option<usize>) {
        self.next_plan = next;
    }

    /// Remembers plan and firmware packets; a second one of the same connection with the same id is the same packet.
    pub(super) fn is_new(&mut self, opened: Opened) -> bool {
        let name = (opened.packet, opened.command);
        if self.handled.contains(&Some(name)) {
            return false;
        }
        let [a, b, c, _] = self.handled;
        self.handled = [Some(name), a, b, c];
        true
    }

    fn first_length(&self) -> Option<usize> {
        if self.used == 0 {
            return None;
        }
        let length = self.buffer.first_chunk::<PREFIX>()?;
        Some(usize::from(u16::from_be_bytes(*length)))
    }

    /// The first message, once it is a frame: decrypted by `decrypt` (which gives the length), unstuffed. `None`:
    /// there is no message.
    pub(super) fn open(
        &mut self,
        decrypt: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> Option<Result<Opened, FrameError>> {
        if let Some(opened) = self.opened {
            return Some(Ok(opened));
        }
        let length = self.first_length()?;
        let raw = self.buffer.get_mut(PREFIX..PREFIX.saturating_add(length))?;
        let plain = decrypt(raw).and_then(|length| raw.get_mut(..length)).unwrap_or_default();
        let opened = Frame::parse(plain).map(|frame| Opened {
            packet: frame.packet,
            command: frame.command,
            payload: frame.payload.len(),
        });
        self.opened = opened.ok();
        Some(opened)
    }

    /// The payload of the first message, which was opened.
    pub(super) fn payload(&self) -> &[u8] {
        let start = PREFIX + HEADER;
        self.opened
            .and_then(|opened| self.buffer.get(start..start.saturating_add(opened.payload)))
            .unwrap_or_default()
    }

    /// Drops the first message.
    pub(super) fn pop(&mut self) {
        let Some(length) = self.first_length() else { return };
        let gone = PREFIX.saturating_add(length);
        for from in gone..self.used {
            let byte = self.buffer.get(from).copied().unwrap_or_default();
            if let Some(place) = self.buffer.get_mut(from.saturating_sub(gone)) {
                *place = byte;
            }
        }
        self.used = self.used.saturating_sub(gone);
        self.opened = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(packet: u16, payload: &[u8]) -> std::vec::Vec<u8> {
        let mut out = [0; 200];
        let packet = PacketId::new(packet).unwrap();
        let length = Frame { packet, command: Command::PASS_DOWN, payload }.emit(&mut out).unwrap();
        out[..length].to_vec()
    }

    #[test]
    fn messages_come_out_whole_and_in_order_and_are_unstuffed_once() {
        let mut buffer = [0; 64];
        let mut inbox = Inbox::new(&mut buffer);
        let tricky = [0xAA, 0x55, 0x55, 0xAA];
        assert_eq!(inbox.push(&frame(1, &tricky)), Taken::Queued);
        assert_eq!(inbox.push(&frame(2, b"two")), Taken::Queued);
        assert_eq!(inbox.push(&frame(3, &[7; 30])), Taken::NoRoom);
        assert_eq!(inbox.push(&[0; 63]), Taken::TooLong);
        for _ in 0..2 {
            assert_eq!(inbox.open(|raw| Some(raw.len())).unwrap().unwrap().packet.get(), 1);
            assert_eq!(inbox.payload(), tricky);
        }
        inbox.pop();
        assert_eq!(inbox.push(&frame(3, &[7; 30])), Taken::Queued);
        assert_eq!(inbox.open(|raw| Some(raw.len())).unwrap().unwrap().packet.get(), 2);
        assert_eq!(inbox.payload(), b"two");
        inbox.pop();
        assert_eq!(inbox.open(|raw| Some(raw.len())).unwrap().unwrap().packet.get(), 3);
        inbox.pop();
        assert!(!inbox.is_readable() && inbox.open(|raw| Some(raw.len())).is_none());
    }
}
