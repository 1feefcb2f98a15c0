//! MQTT 3.1.1 as a vendor device speaks it (QUECTHING.md 4.1), packet by packet.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::TIMEOUT;

/// What went wrong, as far as a device can tell.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The other side closed the connection.
    #[error("the center closed the connection")]
    Closed,
    /// CONNACK with this code.
    #[error("the center refused the connection: CONNACK {0}")]
    Refused(u8),
    /// Something did not come in time.
    #[error("{0}")]
    Timeout(String),
    /// Something else came than the protocol says.
    #[error("{0}")]
    Malformed(String),
}

/// Quality of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qos {
    /// No acknowledgement.
    Zero = 0,
    /// PUBACK.
    One = 1,
    /// PUBREC, PUBREL, PUBCOMP.
    Two = 2,
}

/// When downlink messages are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// As they come.
    AtOnce,
    /// The test sends them.
    Held,
}

/// One packet: the first byte and what follows the length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Type and flags.
    pub head: u8,
    /// Without the length.
    pub body: Vec<u8>,
}

/// Bytes that came, as packets.
#[derive(Debug, Default)]
pub struct Input(Vec<u8>);

impl Input {
    /// Where the next bytes go.
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// The next packet, once it is whole.
    pub fn packet(&mut self) -> Result<Option<Packet>, Trouble> {
        let mut length = 0;
        for digits in 0..4 {
            let Some(byte) = self.0.get(1 + digits) else { return Ok(None) };
            length |= usize::from(byte & 0x7F) << (7 * digits);
            if byte & 0x80 == 0 {
                let start = 2 + digits;
                if self.0.len() < start + length {
                    return Ok(None);
                }
                let head = self.0[0];
                let body = self.0[start..start + length].to_vec();
                self.0.drain(..start + length);
                return Ok(Some(Packet { head, body }));
            }
        }
        Err(Trouble::Malformed("a packet length of more than four bytes".into()))
    }
}

/// A downlink message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its packet id, unless its QoS is 0: it wants a PUBACK.
    pub id: Option<u16>,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// A packet that nobody waits for: a message, or an acknowledgement that was repeated.
pub fn message(packet: &Packet) -> Result<Option<Message>, Trouble> {
    match packet.head {
        0x30..=0x3F => {
            if packet.head & 0b110 == 0b100 {
                // It would lose its byte stream over the PUBREL (QUECTHING.md 3.6 #14).
                return Err(Trouble::Malformed("a QoS 2 message came down".into()));
            }
            let short = |at: usize| u16::from_be_bytes([packet.body[at], packet.body[at + 1]]);
            let length = usize::from(short(0));
            let topic = String::from_utf8(packet.body[2..2 + length].to_vec()).expect("a topic");
            let start = 2 + length;
            let (id, start) = match packet.head & 0b110 {
                0 => (None, start),
                _ => (Some(short(start)), start + 2),
            };
            Ok(Some(Message { topic, id, payload: packet.body[start..].to_vec() }))
        }
        // PINGRESP, and acknowledgements that were repeated.
        0xD0 | 0x40 | 0x50 | 0x70 => Ok(None),
        other => Err(Trouble::Malformed(format!("a packet {other:#04x} came"))),
    }
}

/// What a CONNACK says: code 0, or the code as an error.
pub fn connack(packet: &Packet) -> Result<(), Trouble> {
    match packet.body[..] {
        [0, 0] => Ok(()),
        [0, code] => Err(Trouble::Refused(code)),
        _ => Err(Trouble::Malformed(format!("CONNACK {:02x?}", packet.body))),
    }
}

/// A connection.
pub struct Mqtt {
    stream: TcpStream,
    input: Input,
    messages: VecDeque<(String, Vec<u8>)>,
    next_id: u16,
    /// When downlink messages are acknowledged.
    pub acks: Acks,
    /// Ids of downlink messages not acknowledged yet, with [`Acks::Held`].
    pub unacknowledged: Vec<u16>,
}

/// Head, length and body as bytes.
pub fn packet(head: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![head];
    let mut length = body.len();
    loop {
        let digit = (length % 128) as u8;
        length /= 128;
        out.push(if length > 0 { digit | 0x80 } else { digit });
        if length == 0 {
            break;
        }
    }
    out.extend(body);
    out
}

fn field(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}

/// CONNECT, clean session; without a user name the flags are 0x42.
pub fn connect(level: u8, client: &str, user: Option<&str>, password: &str, keep_alive: u16) -> Vec<u8> {
    let mut body = Vec::new();
    field(&mut body, b"MQTT");
    body.push(level);
    body.push(if user.is_some() { 0xC2 } else { 0x42 });
    body.extend(keep_alive.to_be_bytes());
    field(&mut body, client.as_bytes());
    if let Some(user) = user {
        field(&mut body, user.as_bytes());
    }
    field(&mut body, password.as_bytes());
    packet(0x10, &body)
}

/// SUBSCRIBE of one filter.
pub fn subscribe(filter: &str, qos: Qos, id: u16) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    field(&mut body, filter.as_bytes());
    body.push(qos as u8);
    packet(0x82, &body)
}

/// PUBLISH without DUP; `id` is left out for QoS 0.
pub fn publish(topic: &str, qos: Qos, id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    field(&mut body, topic.as_bytes());
    if qos != Qos::Zero {
        body.extend(id.to_be_bytes());
    }
    body.extend(payload);
    packet(0x30 | (qos as u8) << 1, &body)
}

impl Mqtt {
    /// A TCP connection, before CONNECT.
    pub fn open(server: SocketAddr) -> Result<Self, Trouble> {
        let stream = TcpStream::connect_timeout(&server, TIMEOUT)
            .map_err(|error| Trouble::Malformed(format!("cannot reach {server}: {error}")))?;
        stream.set_nodelay(true).expect("TCP_NODELAY");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a write timeout");
        Ok(Self {
            stream,
            input: Input::default(),
            messages: VecDeque::new(),
            next_id: 0,
            acks: Acks::AtOnce,
            unacknowledged: Vec::new(),
        })
    }

    /// Bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        self.stream.write_all(bytes).map_err(trouble)
    }

    /// The next packet of any kind.
    pub fn next_packet(&mut self, wait: Duration) -> Result<Packet, Trouble> {
        let end = Instant::now() + wait;
        loop {
            if let Some(packet) = self.input.packet()? {
                return Ok(packet);
            }
            let left = end
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero())
                .ok_or_else(|| Trouble::Timeout(format!("no packet within {wait:?}")))?;
            self.stream.set_read_timeout(Some(left)).expect("a read timeout");
            let mut step = [0; 4096];
            match self.stream.read(&mut step) {
                Ok(0) => return Err(Trouble::Closed),
                Ok(count) => self.input.bytes().extend(&step[..count]),
                // A read with a timeout is not taken up again after a signal.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(trouble(error)),
            }
        }
    }

    /// The next packet with this head; downlink messages on the way are kept.
    pub fn expect(&mut self, head: u8, wait: Duration) -> Result<Packet, Trouble> {
        let end = Instant::now() + wait;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let packet = self.next_packet(left)?;
            if packet.head == head {
                return Ok(packet);
            }
            self.take(packet)?;
        }
    }

    /// A packet that nobody waits for.
    fn take(&mut self, packet: Packet) -> Result<(), Trouble> {
        let Some(Message { topic, id, payload }) = message(&packet)? else { return Ok(()) };
        match (id, self.acks) {
            (Some(id), Acks::AtOnce) => self.acknowledge(id)?,
            (Some(id), Acks::Held) => self.unacknowledged.push(id),
            (None, _) => {}
        }
        self.messages.push_back((topic, payload));
        Ok(())
    }

    /// PUBACK.
    pub fn acknowledge(&mut self, id: u16) -> Result<(), Trouble> {
        self.send(&packet(0x40, &id.to_be_bytes()))
    }

    /// CONNACK with code 0, or the code as an error.
    pub fn expect_connack(&mut self) -> Result<(), Trouble> {
        connack(&self.expect(0x20, TIMEOUT)?)
    }

    /// SUBSCRIBE and its SUBACK, which must grant `qos`.
    pub fn subscribe(&mut self, filter: &str, qos: Qos) -> Result<(), Trouble> {
        let id = self.take_id();
        self.send(&subscribe(filter, qos, id))?;
        let answer = self.expect(0x90, TIMEOUT)?;
        let granted = [&id.to_be_bytes()[..], &[qos as u8]].concat();
        if answer.body != granted {
            return Err(Trouble::Malformed(format!("SUBACK {:02x?}", answer.body)));
        }
        Ok(())
    }

    /// The next packet id.
    pub fn take_id(&mut self) -> u16 {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.next_id
    }

    /// The whole exchange of one message.
    pub fn publish(&mut self, topic: &str, qos: Qos, payload: &[u8]) -> Result<(), Trouble> {
        let id = if qos == Qos::Zero { 0 } else { self.take_id() };
        self.send(&publish(topic, qos, id, payload))?;
        match qos {
            Qos::Zero => Ok(()),
            Qos::One => self.expect_id(0x40, id),
            Qos::Two => {
                self.expect_id(0x50, id)?;
                self.send(&packet(0x62, &id.to_be_bytes()))?;
                self.expect_id(0x70, id)
            }
        }
    }

    /// Waits for an acknowledgement of kind `head` for `id`; those of other ids may come before it.
    pub fn expect_id(&mut self, head: u8, id: u16) -> Result<(), Trouble> {
        let end = Instant::now() + TIMEOUT;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            if self.expect(head, left)?.body == id.to_be_bytes() {
                return Ok(());
            }
        }
        Err(Trouble::Timeout(format!("no {head:#04x} for {id}")))
    }

    /// The next downlink message: topic and payload.
    pub fn next_message(&mut self, wait: Duration) -> Result<(String, Vec<u8>), Trouble> {
        let end = Instant::now() + wait;
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(message);
            }
            let left = end.saturating_duration_since(Instant::now());
            let packet = self.next_packet(left)?;
            self.take(packet)?;
        }
    }

    /// PINGREQ and its answer.
    pub fn ping(&mut self) -> Result<(), Trouble> {
        self.send(&packet(0xC0, &[]))?;
        self.expect(0xD0, TIMEOUT).map(|_| ())
    }

    /// Waits for the other side to close; whatever comes before that is an error.
    pub fn expect_close(&mut self, wait: Duration) -> Result<(), Trouble> {
        match self.next_packet(wait) {
            Err(Trouble::Closed) => Ok(()),
            Ok(packet) => Err(Trouble::Malformed(format!("{packet:02x?} came instead of a close"))),
            Err(other) => Err(other),
        }
    }
}

fn trouble(error: std::io::Error) -> Trouble {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Trouble::Closed,
        _ => Trouble::Malformed(format!("socket: {error}")),
    }
}
