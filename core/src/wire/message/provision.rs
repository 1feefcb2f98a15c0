//! 0x00B4: secrets and addresses that the platform hands out (QUECTHING.md 4.2).

use super::{Capabilities, Field, Fields, MessageError, WriteFields, field, finish};
use crate::{
    limits,
    wire::{NoRoom, ttlv::Writer},
};

const DNS: Field = field(1, "server");
const DOMAIN: Field = field(2, "server domain");
const IP: Field = field(3, "server ip");
const PORT: Field = field(4, "server port");
const DEVICE_SECRET: Field = field(5, "device secret");
const SESSION_KEY: Field = field(6, "session key");
const PRODUCT_KEY: Field = field(7, "product key");
const PRODUCT_SECRET: Field = field(8, "product secret");
const REAUTHENTICATE: Field = field(9, "re-authenticate");
const NEW_DEVICE_SECRET: Field = field(10, "new device secret");
const BIND_CODE: Field = field(11, "bind code");
const BIND_SECRET: Field = field(15, "bind secret");

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

    /// Reads the payload.
    pub fn parse(payload: &'a [u8]) -> Result<Provision<'a>, MessageError> {
        let mut fields = Fields::parse(payload);
        let provision = Provision {
            dns: Dns::read(&mut fields),
            device_secret: fields.text(&DEVICE_SECRET, limits::DEVICE_SECRET),
            session_key: read_key(&mut fields),
            product_key: fields.text(&PRODUCT_KEY, limits::PRODUCT_KEY),
            product_secret: fields.text(&PRODUCT_SECRET, limits::PRODUCT_SECRET),
            reauthenticate: match fields.bool(&REAUTHENTICATE) {
                false => Reauthenticate::No,
                true => Reauthenticate::Yes,
            },
            new_device_secret: fields.text(&NEW_DEVICE_SECRET, limits::DEVICE_SECRET),
            bind_code: fields.bytes(&BIND_CODE).map(|(_, bytes)| bytes).unwrap_or_default(),
            bind_secret: fields.bytes(&BIND_SECRET).map(|(_, bytes)| bytes).unwrap_or_default(),
            capabilities: Capabilities::read(&fields),
        };
        fields.finish(provision)
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        if let Some(dns) = &self.dns {
            writer.open(DNS.id).text_unless_empty(DOMAIN, dns.domain).text_unless_empty(IP, dns.ip);
            if let Some(port) = dns.port {
                writer.number(PORT.id, port);
            }
            writer.close();
        }
        writer.text_unless_empty(DEVICE_SECRET, self.device_secret);
        if let Some(key) = &self.session_key {
            writer.bytes(SESSION_KEY.id, key);
        }
        writer
            .text_unless_empty(PRODUCT_KEY, self.product_key)
            .text_unless_empty(PRODUCT_SECRET, self.product_secret);
        if self.reauthenticate == Reauthenticate::Yes {
            writer.bool(REAUTHENTICATE.id, true);
        }
        writer.text_unless_empty(NEW_DEVICE_SECRET, self.new_device_secret);
        for (field, bytes) in [(BIND_CODE, self.bind_code), (BIND_SECRET, self.bind_secret)] {
            if !bytes.is_empty() {
                writer.bytes(field.id, bytes);
            }
        }
        if let Some(capabilities) = self.capabilities {
            capabilities.write(&mut writer);
        }
        finish(&mut writer)
    }
}

impl<'a> Dns<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Dns<'a>> {
        let mut inner = Fields::of(fields.list(&DNS)?.1);
        let dns = Dns {
            domain: inner.text(&DOMAIN, limits::SERVER_URL),
            ip: inner.text(&IP, limits::SERVER_URL),
            port: inner.whole(&PORT, 1),
        };
        inner.finish(dns).map_err(|error| fields.refuse(error)).ok()
    }
}

fn read_key(fields: &mut Fields<'_>) -> Option<[u8; limits::SESSION_KEY]> {
    let (offset, bytes) = fields.bytes(&SESSION_KEY).filter(|(_, bytes)| !bytes.is_empty())?;
    let (length, right) = (bytes.len(), limits::SESSION_KEY);
    let size = |_| MessageError::Size { field: SESSION_KEY, offset, length, right };
    bytes.try_into().map_err(|error| fields.refuse(size(error))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            capabilities: Some(Capabilities(u32::MAX)),
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
        let error = Provision::parse(b"\x00\x33\x00\x03abc").unwrap_err();
        assert_eq!(error, MessageError::Size { field: SESSION_KEY, offset: 0, length: 3, right: 16 });
    }
}
