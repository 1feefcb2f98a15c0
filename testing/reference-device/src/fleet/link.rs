//! The connection of a simulated device: the packets of [`crate::mqtt`], on one thread for thousands.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};

use crate::mqtt::{Input, Message, Packet, Qos, Trouble, connack, message, packet, publish, subscribe};

/// The vendor sends a PUBLISH again after so long, so often (QUECTHING.md 4.1).
const RESEND: Duration = Duration::from_secs(2);
const RESENDS: u32 = 3;
/// How long it waits for CONNACK and SUBACK, with its three resends.
const CONNECT: Duration = Duration::from_secs(20);
/// How long bytes may take into the socket.
const WRITE: Duration = Duration::from_secs(10);

/// A connection.
pub struct Link {
    stream: TcpStream,
    input: Input,
    messages: VecDeque<(String, Vec<u8>)>,
    next_id: u16,
}

async fn connected(server: SocketAddr, from: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let Some(from) = from else { return TcpStream::connect(server).await };
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(server).await
}

impl Link {
    /// A TCP connection, from an address of its own or one that the system chooses, over which CONNECT and SUBSCRIBE went
    /// well.
    pub async fn open(
        server: SocketAddr,
        from: Option<IpAddr>,
        connect: &[u8],
        filter: &str,
    ) -> Result<Link, Trouble> {
        let opened = timeout(CONNECT, connected(server, from)).await;
        let stream = opened
            .map_err(|_| Trouble::Timeout(format!("no connection within {CONNECT:?}")))?
            .map_err(|error| Trouble::Malformed(format!("cannot reach {server}: {error}")))?;
        stream.set_nodelay(true).map_err(trouble)?;
        let mut link = Link { stream, input: Input::default(), messages: VecDeque::new(), next_id: 0 };
        link.send(connect).await?;
        let end = Instant::now() + CONNECT;
        connack(&link.expect(0x20, end).await?)?;
        let id = link.take_id();
        link.send(&subscribe(filter, Qos::One, id)).await?;
        let answer = link.expect(0x90, end).await?;
        if answer.body != [&id.to_be_bytes()[..], &[1]].concat() {
            return Err(Trouble::Malformed(format!("SUBACK {:02x?}", answer.body)));
        }
        Ok(link)
    }

    /// Bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Trouble> {
        let written = timeout(WRITE, self.stream.write_all(bytes)).await;
        written
            .map_err(|_| Trouble::Timeout(format!("nothing could be sent for {WRITE:?}")))?
            .map_err(trouble)
    }

    fn take_id(&mut self) -> u16 {
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.next_id
    }

    async fn packet(&mut self, end: Instant) -> Result<Packet, Trouble> {
        loop {
            if let Some(packet) = self.input.packet()? {
                return Ok(packet);
            }
            let read = timeout_at(end, self.stream.read_buf(self.input.bytes())).await;
            match read.map_err(|_| Trouble::Timeout("no packet in time".into()))? {
                Ok(0) => return Err(Trouble::Closed),
                Ok(_) => {}
                Err(error) => return Err(trouble(error)),
            }
        }
    }

    async fn take(&mut self, packet: &Packet) -> Result<(), Trouble> {
        let Some(Message { topic, id, payload }) = message(packet)? else { return Ok(()) };
        if let Some(id) = id {
            self.send(&self::packet(0x40, &id.to_be_bytes())).await?;
        }
        self.messages.push_back((topic, payload));
        Ok(())
    }

    /// The next packet with this head; downlink messages on the way are kept.
    async fn expect(&mut self, head: u8, end: Instant) -> Result<Packet, Trouble> {
        loop {
            let packet = self.packet(end).await?;
            if packet.head == head {
                return Ok(packet);
            }
            self.take(&packet).await?;
        }
    }

    async fn expect_id(&mut self, head: u8, id: u16, end: Instant) -> Result<(), Trouble> {
        while self.expect(head, end).await?.body != id.to_be_bytes() {}
        Ok(())
    }

    /// Sends `bytes` until it is answered with `head` and this id, as often as the vendor does.
    async fn exchange(&mut self, bytes: &[u8], head: u8, id: u16) -> Result<(), Trouble> {
        for _ in 0..=RESENDS {
            self.send(bytes).await?;
            match self.expect_id(head, id, Instant::now() + RESEND).await {
                Err(Trouble::Timeout(_)) => {}
                other => return other,
            }
        }
        Err(Trouble::Timeout(format!("no {head:#04x} for {id} after {RESENDS} more tries")))
    }

    /// The whole exchange of one message.
    pub async fn publish(&mut self, topic: &str, qos: Qos, payload: &[u8]) -> Result<(), Trouble> {
        let id = if qos == Qos::Zero { 0 } else { self.take_id() };
        let message = publish(topic, qos, id, payload);
        match qos {
            Qos::Zero => self.send(&message).await,
            Qos::One => self.exchange(&message, 0x40, id).await,
            Qos::Two => {
                self.exchange(&message, 0x50, id).await?;
                self.exchange(&packet(0x62, &id.to_be_bytes()), 0x70, id).await
            }
        }
    }

    /// The next downlink message until `end`; none came: none. May be dropped at any await.
    pub async fn message(&mut self, end: Instant) -> Result<Option<(String, Vec<u8>)>, Trouble> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(Some(message));
            }
            match self.packet(end).await {
                Ok(packet) => self.take(&packet).await?,
                Err(Trouble::Timeout(_)) => return Ok(None),
                Err(other) => return Err(other),
            }
        }
    }

    /// PINGREQ.
    pub async fn ping(&mut self) -> Result<(), Trouble> {
        self.send(&packet(0xC0, &[])).await
    }
}

fn trouble(error: Error) -> Trouble {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => Trouble::Closed,
        _ => Trouble::Malformed(format!("socket: {error}")),
    }
}
