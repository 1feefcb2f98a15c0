//! 0x00A3 and 0x00A4: something went wrong.

use super::{MessageError, field, payload, table};
use crate::limits;

/// 0x00A3 (from the platform) and 0x00A4 (from the device).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
}

payload!(Notice<'a>);
table! { Notice<'a>:
    code: field(1, "code").needed(),
    packet: field(2, "packet id"),
    product_key: field(3, "product key").at_most(limits::PRODUCT_KEY),
    device_key: field(4, "device key").at_most(limits::DEVICE_KEY),
}

#[cfg(test)]
mod tests {
    use super::super::Wrong;
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
        assert_eq!(Notice::parse(&[]).unwrap_err().field(), Some((1, Wrong::Missing)));
    }
}
