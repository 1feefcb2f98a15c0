//! 0x00B4: secrets and addresses that the platform hands out (QUECTHING.md 4.2).

use super::{
    Capabilities, Field, MessageError, Wanted, Wrong, extension, field, payload,
    table::{Outcome, table},
};
use crate::limits;
use crate::wire::ttlv::{Kind, List, Writer};

/// 0x00B4. What is not in it is empty or `None`. It is never encrypted when it carries a session key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Provision<'a> {
    /// Another server.
    pub dns: Option<Dns<'a>>,
    /// The device's secret, after its bootstrap; at most 32 bytes.
    pub device_secret: &'a str,
    /// For the session cipher, when the device asked for it.
    pub session_key: Option<[u8; limits::SESSION_KEY]>,
    /// Another product key.
    pub product_key: &'a str,
    /// Another product secret.
    pub product_secret: &'a str,
    /// Whether the device is to come again.
    pub reauthenticate: Reauthenticate,
    /// Another device secret.
    pub new_device_secret: &'a str,
    /// For the end user's application.
    pub bind_code: &'a [u8],
    /// For the end user's application, from 2.10.6 on.
    pub bind_secret: &'a [u8],
    /// What a quecota platform wants to hear; for quecota devices only.
    pub capabilities: Option<Capabilities>,
}

/// Another server. A device keeps it once it has worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dns<'a> {
    /// Host name; empty when there is none.
    pub domain: &'a str,
    /// Address; empty when there is none.
    pub ip: &'a str,
    /// Port, 1..=65535.
    pub port: Option<u16>,
}

/// Whether a device is to disconnect and authenticate again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reauthenticate {
    /// Not asked for.
    #[default]
    No,
    /// At once.
    Yes,
}

impl<'a> Provision<'a> {
    /// Whether a device must disconnect and come again with what it was given.
    pub fn reconnects(&self) -> bool {
        self.dns.is_some()
            || self.reauthenticate == Reauthenticate::Yes
            || !(self.product_key.is_empty()
                && self.product_secret.is_empty()
                && self.new_device_secret.is_empty())
    }
}

const SERVER: Field = field(1, "server");

table! { Dns<'a>:
    domain: field(2, "server domain").at_most(limits::SERVER_URL),
    ip: field(3, "server ip").at_most(limits::SERVER_URL),
    port: field(4, "server port").positive(),
}

payload!(Provision<'a>);
table! { Provision<'a>:
    device_secret: field(5, "device secret").at_most(limits::DEVICE_SECRET),
    session_key: field(6, "session key"),
    product_key: field(7, "product key").at_most(limits::PRODUCT_KEY),
    product_secret: field(8, "product secret").at_most(limits::PRODUCT_SECRET),
    reauthenticate: field(9, "re-authenticate"),
    new_device_secret: field(10, "new device secret").at_most(limits::DEVICE_SECRET),
    bind_code: field(11, "bind code"),
    bind_secret: field(15, "bind secret"),
    capabilities: field(extension::FIRST_ID, "capabilities").ours(),
    ;
    fn read(&mut self, list: List<'a>) -> Outcome {
        if let Some(server) = list.element(SERVER.id) {
            if server.kind() != Kind::List {
                let (wrong, offset) = (Wrong::Kind(Kind::List), server.offset);
                return Err(MessageError::Field { wrong, field: &SERVER, offset });
            }
            self.dns.insert(Dns::default()).read(server.list())?;
        }
        self.read_points(list)
    }

    fn write(&mut self, wanted: Wanted, writer: &mut Writer<'_>) {
        if let Some(dns) = &mut self.dns {
            writer.open(SERVER.id);
            dns.write(wanted, writer);
            writer.close();
        }
        self.write_points(wanted, writer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn all_of_it_at_once_is_read_as_written() {
        let provision = Provision {
            dns: Some(Dns { domain: "iot.example.org", ip: "192.0.2.1", port: Some(1883) }),
            device_secret: "0123456789abcdef0123456789abcdef",
            session_key: Some(*b"0123456789abcdef"),
            product_key: "p1abcd",
            product_secret: "MTIzNDU2Nzg5MGFi",
            reauthenticate: Reauthenticate::Yes,
            new_device_secret: "fedcba",
            bind_code: b"bind",
            bind_secret: &[0xFF, 0],
            capabilities: cfg!(feature = "extensions").then_some(Capabilities(u32::MAX)),
        };
        let mut out = [0; 256];
        let length = provision.emit(&mut out).unwrap();
        assert_eq!(Provision::parse(out.get(..length).unwrap()), Ok(provision));
        assert!(provision.reconnects());
    }

    #[test]
    fn a_secret_and_a_key_keep_the_device_on_its_connection() {
        let provision = Provision {
            device_secret: "secret",
            session_key: Some(*b"0123456789abcdef"),
            ..Provision::default()
        };
        assert!(!provision.reconnects());
        assert_eq!(Provision::parse(&[]), Ok(Provision::default()));
    }

    #[test]
    fn a_session_key_has_16_bytes() {
        let payload = b"\x00\x33\x00\x03abc";
        let words = Provision::parse(payload).unwrap_err().in_words(payload).to_string();
        assert_eq!(words, "session key (id 6) at byte 0 has 3 bytes; 16 are right");
    }
}
