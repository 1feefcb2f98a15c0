//! The frame (QUECTHING.md 4.3).

/// One frame, before stuffing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Packet id, 1..=0xFFFE.
    pub packet: u16,
    /// Command.
    pub command: u16,
    /// What it carries.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The bytes as they go out.
    pub fn emit(&self) -> Vec<u8> {
        let mut body = self.packet.to_be_bytes().to_vec();
        body.extend(self.command.to_be_bytes());
        body.extend(&self.payload);
        let mut plain = vec![0xAA, 0xAA];
        plain.extend((body.len() as u16 + 1).to_be_bytes());
        plain.push(body.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)));
        plain.extend(body);
        stuff(&plain)
    }

    /// The frame at the beginning of `raw`, or what is wrong with it.
    pub fn parse(raw: &[u8]) -> Result<Self, String> {
        let plain = unstuff(raw);
        let head = plain.get(..9).ok_or(format!("a frame of {} bytes", plain.len()))?;
        if head[..2] != [0xAA, 0xAA] {
            return Err(format!("magic {:02x}{:02x}", head[0], head[1]));
        }
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if length < 5 {
            return Err(format!("length {length}"));
        }
        let body = plain.get(5..4 + length).ok_or(format!("length {length} goes past the end"))?;
        let sum = body.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        if sum != head[4] {
            return Err(format!("sum {:02x} instead of {sum:02x}", head[4]));
        }
        let packet = u16::from_be_bytes([head[5], head[6]]);
        if packet == 0 || packet == 0xFFFF {
            return Err(format!("packet id {packet:#06x}"));
        }
        Ok(Self { packet, command: u16::from_be_bytes([head[7], head[8]]), payload: body[4..].to_vec() })
    }
}

fn stuff(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len());
    for (at, byte) in plain.iter().enumerate() {
        out.push(*byte);
        let next = plain.get(at + 1);
        if at >= 1 && *byte == 0xAA && matches!(next, None | Some(0xAA | 0x55)) {
            out.push(0x55);
        }
    }
    out
}

fn unstuff(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    for (at, byte) in raw.iter().enumerate() {
        let stuffed = at >= 2 && *byte == 0x55 && raw[at - 1] == 0xAA;
        if !stuffed {
            out.push(*byte);
        }
    }
    out
}
