//! 0x00A3 and 0x00A4: something went wrong.

use super::{Field, Fields, MessageError, WriteFields, field, finish};
use crate::{
    limits,
    wire::{NoRoom, ttlv::Writer},
};

const CODE: Field = field(1, "code");
const PACKET: Field = field(2, "packet id");
const PRODUCT_KEY: Field = field(3, "product key");
const DEVICE_KEY: Field = field(4, "device key");

/// 0x00A3 (from the platform) and 0x00A4 (from the device).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice<'a> {
    /// Down: an event code, 10422..=10432 of them end the connection. Up: one of the constants below.
    pub code: u32,
    /// The packet that it is about.
    pub packet: Option<u16>,
    /// The device that it is about; empty for the receiver or sender itself.
    pub product_key: &'a str,
    /// The same.
    pub device_key: &'a str,
}

impl<'a> Notice<'a> {
    /// Up: not this protocol.
    pub const PROTOCOL: u32 = 1;
    /// Up: wrong length.
    pub const LENGTH: u32 = 2;
    /// Up: wrong sum.
    pub const SUM: u32 = 3;
    /// Up: unknown command.
    pub const COMMAND: u32 = 4;
    /// Up: the payload is not what its command says.
    pub const FORMAT: u32 = 5;

    /// A notice about a packet.
    pub const fn about(packet: u16, code: u32) -> Notice<'static> {
        Notice { code, packet: Some(packet), product_key: "", device_key: "" }
    }

    /// Reads the payload.
    pub fn parse(payload: &'a [u8]) -> Result<Notice<'a>, MessageError> {
        let mut fields = Fields::parse(payload);
        let code = fields.whole(&CODE, 0);
        let notice = Notice {
            code: fields.needed(&CODE, code),
            packet: fields.whole(&PACKET, 0),
            product_key: fields.text(&PRODUCT_KEY, limits::PRODUCT_KEY),
            device_key: fields.text(&DEVICE_KEY, limits::DEVICE_KEY),
        };
        fields.finish(notice)
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        writer.number(CODE.id, self.code);
        if let Some(packet) = self.packet {
            writer.number(PACKET.id, packet);
        }
        writer
            .text_unless_empty(PRODUCT_KEY, self.product_key)
            .text_unless_empty(DEVICE_KEY, self.device_key);
        finish(&mut writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_read_as_written() {
        let own = Notice::about(7, Notice::FORMAT);
        let others = Notice { code: 10440, packet: None, product_key: "p1abcd", device_key: "86" };
        for notice in [own, others] {
            let mut out = [0; 64];
            let length = notice.emit(&mut out).unwrap();
            assert_eq!(Notice::parse(out.get(..length).unwrap()), Ok(notice));
        }
        assert_eq!(Notice::parse(&[]), Err(MessageError::Missing { field: CODE, offset: 0 }));
    }
}
