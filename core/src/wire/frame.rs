//! The frame around every message (QUECTHING.md 4.3).
//!
//! ```text
//! AA AA | LEN (2) | SUM (1) | PID (2) | CMD (2) | payload
//! ```
//!
//! LEN and SUM are those of the bare frame. On the wire a 0x55 is stuffed in after each 0xAA that could be taken for
//! a frame's begin, so a frame in its buffer exists in two forms, *bare* and *stuffed*.

use super::NoRoom;

/// Bytes before the payload of a bare frame.
pub const HEADER: usize = 9;
/// Longest payload: LEN counts it and the five bytes before it.
pub const PAYLOAD_MAX: usize = 0xFFFF - AFTER_LENGTH;

/// SUM, PID and CMD.
const AFTER_LENGTH: usize = 5;
/// Where LEN's count begins.
const LENGTH_END: usize = HEADER - AFTER_LENGTH;
const MARK: u8 = 0xAA;
const STUFFING: u8 = 0x55;

/// Number of a packet, 1..=0xFFFE. Each sender counts alone; an answer repeats its request's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PacketId(u16);

impl PacketId {
    /// Where a sender begins to count.
    pub const FIRST: PacketId = PacketId(1);

    /// `None` for 0 and 0xFFFF.
    pub const fn new(id: u16) -> Option<PacketId> {
        if id == 0 || id == 0xFFFF { None } else { Some(PacketId(id)) }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The one after it; 0xFFFE is followed by 1.
    pub const fn next(self) -> PacketId {
        if self.0 >= 0xFFFE { PacketId::FIRST } else { PacketId(self.0.wrapping_add(1)) }
    }
}

/// What a frame is about. Any number may be on the wire; those with a name are of QUECTHING.md 4.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Command(pub u16);

macro_rules! commands {
    ($($name:ident = $number:literal: $about:literal;)*) => {
        impl Command {
            $(#[doc = $about] pub const $name: Command = Command($number);)*
        }
    };
}

commands! {
    DATA_ASK = 0x0011: "Down: data points that the platform wants to know.";
    DATA_ANSWER = 0x0012: "Up: their values.";
    DATA_WRITE = 0x0013: "Down: data points that the platform sets.";
    DATA_REPORT = 0x0014: "Up: data points that the device reports.";
    PASS_DOWN = 0x0023: "Down: bytes for the application.";
    PASS_UP = 0x0024: "Up: bytes from the application.";
    STATUS_ASK = 0x0031: "Down: status ids wanted.";
    STATUS_ANSWER = 0x0032: "Up: their values.";
    STATUS_REPORT = 0x0034: "Up: status without being asked.";
    INFO_ASK = 0x0041: "Down: info ids wanted.";
    INFO_ANSWER = 0x0042: "Up: their values.";
    INFO_REPORT = 0x0044: "Up: info without being asked.";
    NOTICE_DOWN = 0x00A3: "Down: error notice.";
    NOTICE_UP = 0x00A4: "Up: error notice.";
    PROVISION = 0x00B4: "Down: device secret, session key, server ...";
    PLAN_NOTIFY = 0x0111: "Down: upgrade plan.";
    FIRMWARE_INFO = 0x0113: "Down: URL and digests of the firmware.";
    STATUS_EVENT = 0x0114: "Up: where an upgrade stands.";
    PLAN_REQUEST = 0x0115: "Up: is there a plan?";
    LOCATION_REPORT = 0x0122: "Up: position from outside the module, as NMEA sentences.";
}

/// One frame; `payload` is bare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its number.
    pub packet: PacketId,
    /// What it is about.
    pub command: Command,
    /// What it says.
    pub payload: &'a [u8],
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Fewer bytes than the header has or LEN announces.
    #[error("the frame ends after {have} of {needed} bytes")]
    Cut {
        /// Bare bytes that are there.
        have: usize,
        /// Bare bytes that were to be there.
        needed: usize,
    },
    /// It does not begin as a frame.
    #[error("a frame begins with aa aa, this with {:02x} {:02x}", found[0], found[1])]
    Magic {
        /// The first two bytes.
        found: [u8; 2],
    },
    /// LEN does not even count the header.
    #[error("the length at byte 2 is {length}; at least 5 is right")]
    Length {
        /// LEN.
        length: u16,
    },
    /// Bytes were changed on the way.
    #[error("the sum at byte 4 is {announced:#04x}, the bytes after it sum up to {computed:#04x}")]
    Sum {
        /// SUM.
        announced: u8,
        /// What the bytes give.
        computed: u8,
    },
    /// Not a packet id.
    #[error("the packet id at byte 5 is {id:#06x}; 0x0001 to 0xfffe are right")]
    PacketId {
        /// PID.
        id: u16,
    },
}

impl<'a> Frame<'a> {
    /// Reads the first frame of a message and unstuffs it in place; bytes after it are ignored, as the vendor's
    /// parsers do. After an error `raw` is as it was.
    pub fn parse(raw: &'a mut [u8]) -> Result<Frame<'a>, FrameError> {
        let scan = Scan::of(raw, None);
        let (kept, header) = match (scan.header(), scan.seam) {
            // Vendor encoders do not stuff between a command ending in AA and its payload. Where the regular reading
            // fails, that one may hold.
            (Err(error), Some(_)) => (scan.seam, Scan::of(raw, scan.seam).header().map_err(|_| error)?),
            (header, _) => (None, header?),
        };
        let cut = FrameError::Cut { have: raw.len(), needed: header.bare };
        unstuff(raw, kept);
        let payload = raw.get(HEADER..header.bare).ok_or(cut)?;
        Ok(Frame { packet: header.packet, command: header.command, payload })
    }

    /// Writes the stuffed frame; gives its length. `payload` may have [`PAYLOAD_MAX`] bytes.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let bare = HEADER.saturating_add(self.payload.len());
        let room = out.len();
        let place = out.get_mut(HEADER..bare).ok_or(NoRoom { needed: bare, room })?;
        super::copy(place, self.payload);
        seal(out, self.packet, self.command, self.payload.len())
    }
}

/// Makes the stuffed frame in place from a payload that stands at [`HEADER`] of `buffer`; gives its length.
/// After an error the buffer's content is void.
pub fn seal(buffer: &mut [u8], packet: PacketId, command: Command, payload: usize) -> Result<usize, NoRoom> {
    let length = match u16::try_from(payload.saturating_add(AFTER_LENGTH)) {
        Ok(length) => length.to_be_bytes(),
        Err(_) => return Err(NoRoom { needed: payload, room: PAYLOAD_MAX }),
    };
    let (id, command) = (packet.0.to_be_bytes(), command.0.to_be_bytes());
    let room = buffer.len();
    let bare = HEADER.saturating_add(payload);
    let frame = buffer.get_mut(..bare).ok_or(NoRoom { needed: bare, room })?;
    let header = [MARK, MARK, length[0], length[1], 0, id[0], id[1], command[0], command[1]];
    super::copy(frame, &header);
    let sum = frame.iter().skip(AFTER_LENGTH).fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if let Some(place) = frame.get_mut(LENGTH_END) {
        *place = sum;
    }
    let mut marks = 0usize;
    let mut next = MARK;
    for byte in frame.iter().skip(1).rev() {
        marks = marks.saturating_add(is_stuffed(*byte, next).into());
        next = *byte;
    }
    let stuffed = bare.saturating_add(marks);
    let whole = buffer.get_mut(..stuffed).ok_or(NoRoom { needed: stuffed, room })?;
    stuff(whole, bare);
    Ok(stuffed)
}

/// Whether `byte`, behind the frame's first, takes a stuffing byte before `next`; the last one does as before a mark.
fn is_stuffed(byte: u8, next: u8) -> bool {
    byte == MARK && matches!(next, MARK | STUFFING)
}

/// Spreads the `bare` bytes at the begin of `whole` over all of it, from the back so that nothing is overwritten.
fn stuff(whole: &mut [u8], bare: usize) {
    let (mut from, mut to, mut next) = (bare, whole.len(), MARK);
    // Equal: no stuffing is left to insert before here.
    while to > from {
        from = from.saturating_sub(1);
        let Some(byte) = whole.get(from).copied() else { break };
        if from > 0 && is_stuffed(byte, next) {
            to = to.saturating_sub(1);
            put(whole, to, STUFFING);
        }
        to = to.saturating_sub(1);
        put(whole, to, byte);
        next = byte;
    }
}

/// Takes the stuffing out of `raw`; `kept` is the place of a 0x55 that is none. What is behind the frame moves too.
fn unstuff(raw: &mut [u8], kept: Option<usize>) {
    let mut to = 0usize;
    let mut previous = 0;
    for at in 0..raw.len() {
        let Some(byte) = raw.get(at).copied() else { break };
        if !is_stuffing(at, previous, byte, kept) {
            put(raw, to, byte);
            to = to.wrapping_add(1);
        }
        previous = byte;
    }
}

/// Whether the raw `byte` at `at` is stuffing.
fn is_stuffing(at: usize, previous: u8, byte: u8, kept: Option<usize>) -> bool {
    at >= 2 && previous == MARK && byte == STUFFING && kept != Some(at)
}

fn put(buffer: &mut [u8], at: usize, byte: u8) {
    if let Some(place) = buffer.get_mut(at) {
        *place = byte;
    }
}

/// What is told by the bare bytes of a raw frame.
struct Scan {
    header: [u8; HEADER],
    /// Bare bytes, of the first frame alone.
    have: usize,
    /// What the bytes that SUM counts give.
    sum: u8,
    /// The place of the raw byte after a command that ends in AA.
    seam: Option<usize>,
}

/// A frame's header, checked.
struct Header {
    packet: PacketId,
    command: Command,
    /// Length of the bare frame.
    bare: usize,
}

impl Scan {
    /// Reads without changing anything; see [`unstuff`].
    #[inline(never)]
    fn of(raw: &[u8], kept: Option<usize>) -> Scan {
        let mut scan = Scan { header: [0; HEADER], have: 0, sum: 0, seam: None };
        let (mut previous, mut end) = (0, HEADER);
        for (at, byte) in raw.iter().copied().enumerate() {
            if scan.have == end {
                break;
            }
            let before = core::mem::replace(&mut previous, byte);
            if is_stuffing(at, before, byte, kept) {
                continue;
            }
            put(&mut scan.header, scan.have, byte);
            if scan.have > LENGTH_END {
                scan.sum = scan.sum.wrapping_add(byte);
            }
            scan.have = scan.have.wrapping_add(1);
            if scan.have == HEADER {
                scan.seam = at.checked_add(1).filter(|_| byte == MARK);
                end = scan.length().1.max(HEADER);
            }
        }
        scan
    }

    /// LEN, and the length of the bare frame that it announces.
    fn length(&self) -> (u16, usize) {
        let length = u16::from_be_bytes([self.header[2], self.header[3]]);
        (length, LENGTH_END.saturating_add(length.into()))
    }

    fn header(&self) -> Result<Header, FrameError> {
        let [first, second, _, _, announced, id @ .., _, _] = self.header;
        let [.., high, low] = self.header;
        let (have, computed, (length, needed)) = (self.have, self.sum, self.length());
        let id = u16::from_be_bytes(id);
        match PacketId::new(id) {
            _ if have >= 2 && (first, second) != (MARK, MARK) => {
                Err(FrameError::Magic { found: [first, second] })
            }
            _ if have < LENGTH_END => Err(FrameError::Cut { have, needed: HEADER }),
            _ if usize::from(length) < AFTER_LENGTH => Err(FrameError::Length { length }),
            _ if have < needed => Err(FrameError::Cut { have, needed }),
            _ if announced != computed => Err(FrameError::Sum { announced, computed }),
            None => Err(FrameError::PacketId { id }),
            Some(packet) => {
                Ok(Header { packet, command: Command(u16::from_be_bytes([high, low])), bare: needed })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{vec, vec::Vec};

    fn emitted(frame: &Frame<'_>) -> Vec<u8> {
        let mut out = [0; 64];
        let length = frame.emit(&mut out).unwrap();
        out.get(..length).unwrap().to_vec()
    }

    fn frame(id: u16, command: u16, payload: &[u8]) -> Frame<'_> {
        Frame { packet: PacketId::new(id).unwrap(), command: Command(command), payload }
    }

    #[test]
    fn packet_ids_count_from_one_to_fffe() {
        assert_eq!(PacketId::new(0), None);
        assert_eq!(PacketId::new(0xFFFF), None);
        assert_eq!(PacketId::FIRST.next().get(), 2);
        assert_eq!(PacketId::new(0xFFFE).unwrap().next(), PacketId::FIRST);
    }

    #[test]
    fn the_length_field_is_stuffed_as_well() {
        // LEN 0x55AA: the second mark of the magic is followed by 55.
        let payload = vec![1; 0x55AA - 5];
        let mut out = vec![0; 0x6000];
        let length = frame(1, 0x24, &payload).emit(&mut out).unwrap();
        assert_eq!(out.get(..6).unwrap(), [0xAA, 0xAA, 0x55, 0x55, 0xAA, out[5]]);
        let parsed = Frame::parse(out.get_mut(..length).unwrap()).unwrap();
        assert_eq!(parsed.payload, payload);
    }

    #[test]
    fn bytes_after_the_first_frame_are_ignored() {
        let mut raw = emitted(&frame(2, 0x24, &[1, 0xAA]));
        raw.extend_from_slice(&[0xAA, 0xAA, 0, 5, 0x35, 0, 4, 0, 0x31]);
        assert_eq!(Frame::parse(&mut raw).unwrap(), frame(2, 0x24, &[1, 0xAA]));
    }

    #[test]
    fn a_last_mark_without_its_stuffing_byte_is_read() {
        let mut raw = emitted(&frame(2, 0x24, &[1, 0xAA]));
        assert_eq!(raw.pop(), Some(0x55));
        assert_eq!(Frame::parse(&mut raw).unwrap(), frame(2, 0x24, &[1, 0xAA]));
    }

    #[test]
    fn a_seam_that_a_vendor_left_unstuffed_is_read() {
        for payload in [[0x55, 1], [0xAA, 1], [0x55, 0x55]] {
            let ours = frame(1, 0x70AA, &payload);
            let mut vendors = emitted(&ours);
            assert_eq!(vendors.remove(HEADER), 0x55);
            assert_eq!(Frame::parse(&mut vendors).unwrap(), ours);
            assert_eq!(Frame::parse(&mut emitted(&ours)).unwrap(), ours);
        }
    }

    #[test]
    fn a_refused_message_is_left_as_it_was() {
        let mut raw = [0xAA, 0xAA, 0, 8, 0xD1, 0, 3, 0, 0x24, 0xAA, 0x55, 0xAA, 0x55, 0x55];
        let before = raw;
        let error = Frame::parse(&mut raw).unwrap_err();
        assert_eq!(error, FrameError::Sum { announced: 0xD1, computed: 0xD0 });
        assert_eq!(raw, before);
    }

    #[test]
    fn a_buffer_that_is_too_small_is_named_with_what_is_needed() {
        let payload = [0xAA, 0xAA];
        for room in 0..13 {
            let error = frame(1, 0x24, &payload).emit(vec![0; room].as_mut()).unwrap_err();
            assert_eq!(error.room, room);
            assert!(error.needed > room && error.needed <= 13);
        }
        assert_eq!(frame(1, 0x24, &payload).emit(&mut [0; 13]), Ok(13));
        let long = vec![0; PAYLOAD_MAX + 1];
        let error = frame(1, 0x24, &long).emit(&mut vec![0; 70_000]).unwrap_err();
        assert_eq!(error, NoRoom { needed: PAYLOAD_MAX + 1, room: PAYLOAD_MAX });
    }
}
