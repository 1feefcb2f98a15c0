//! The way to a broker: its addresses, TCP, TLS and CONNECT, and then MQTT packets.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::tokio_rustls::TlsConnector;
use rumqttc::{ConnectReturnCode, Packet, mqttbytes};
use rustls::ClientConfig;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

/// Longest packet. The agent drops what its buffer cannot hold; a smaller limit here would drop the connection.
const PACKET_MAX: usize = 1024 * 1024;

/// Where a broker is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// A name or an address, without the brackets of IPv6.
    pub host: String,
    pub port: u16,
    pub tls: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("must be mqtt://host:port or mqtts://host:port")]
pub(super) struct NotAnAddress;

impl Address {
    pub fn parse(url: &str) -> Result<Self, NotAnAddress> {
        let (scheme, rest) = url.split_once("://").ok_or(NotAnAddress)?;
        let (tls, usual_port) = match scheme {
            "mqtt" => (false, 1883),
            "mqtts" => (true, 8883),
            _ => return Err(NotAnAddress),
        };
        // The last colon is the port's, unless it stands inside the brackets of an IPv6 address.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| NotAnAddress)?),
            _ => (rest, usual_port),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let bad = host.is_empty() || port == 0 || host.contains(['/', '@', ' ', '[', ']']);
        if bad { Err(NotAnAddress) } else { Ok(Address { host: host.to_owned(), port, tls }) }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokerError {
    #[error("the name has no address")]
    NoAddress,
    #[error("cannot look the name up: {0}")]
    Lookup(io::Error),
    #[error("{address}: {source}")]
    Tcp { address: SocketAddr, source: io::Error },
    #[error("{0}: no CONNACK in time")]
    Silent(SocketAddr),
    #[error("the name cannot be that of a certificate: {0}")]
    Name(#[from] InvalidDnsNameError),
    #[error("{0}")]
    Packet(#[from] PacketError),
    #[error("answered with another packet than CONNACK")]
    NoConnack,
    /// CONNACK with this code, 1..=5.
    #[error("answered CONNACK {0}")]
    Refused(u8),
}

/// Reading or writing packets failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum PacketError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("closed by the broker")]
    Closed,
    #[error("not MQTT: {0:?}")]
    Malformed(mqttbytes::Error),
}

/// What a connection is made with.
pub(super) struct Broker {
    pub address: Address,
    /// Where the address has TLS.
    pub tls: Option<Arc<ClientConfig>>,
    pub connect: mqttbytes::v4::Connect,
}

impl Broker {
    /// Looks the name up and tries its addresses within `limit`, one after another: each has its share of the time, so
    /// that a dead one leaves some to the next. A CONNACK that refuses counts for all of them.
    pub async fn connect(&self, limit: Duration) -> Result<(PacketReader, PacketWriter), BrokerError> {
        let deadline = Instant::now() + limit;
        let name = (self.address.host.as_str(), self.address.port);
        let addresses = match timeout_at(deadline, lookup_host(name)).await {
            Ok(found) => found.map_err(BrokerError::Lookup)?.collect::<Vec<_>>(),
            Err(late) => return Err(BrokerError::Lookup(late.into())),
        };
        self.first_of(&addresses, deadline).await
    }

    async fn first_of(
        &self,
        addresses: &[SocketAddr],
        deadline: Instant,
    ) -> Result<(PacketReader, PacketWriter), BrokerError> {
        let mut failed = BrokerError::NoAddress;
        for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
            let share = deadline.saturating_duration_since(Instant::now()) / left as u32;
            failed = match timeout(share, self.open(*address)).await {
                Ok(Err(other @ BrokerError::Refused(_))) => return Err(other),
                Ok(Err(other)) => other,
                Ok(Ok(connected)) => return Ok(connected),
                Err(_) => BrokerError::Silent(*address),
            };
        }
        Err(failed)
    }

    async fn open(&self, address: SocketAddr) -> Result<(PacketReader, PacketWriter), BrokerError> {
        let tcp = |source| BrokerError::Tcp { address, source };
        let socket = TcpStream::connect(address).await.map_err(tcp)?;
        socket.set_nodelay(true).map_err(tcp)?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(socket),
            Some(config) => {
                let name = ServerName::try_from(self.address.host.clone())?;
                let connector = TlsConnector::from(Arc::clone(config));
                Box::new(connector.connect(name, socket).await.map_err(tcp)?)
            }
        };
        let (reader, writer) = tokio::io::split(stream);
        let mut reader = PacketReader { half: reader, bytes: BytesMut::new() };
        let mut writer = PacketWriter { half: writer, bytes: BytesMut::new(), is_flushed: true };
        writer.put(&Packet::Connect(self.connect.clone()))?;
        writer.drain().await?;
        match reader.next().await? {
            Packet::ConnAck(ack) => match ack.code {
                ConnectReturnCode::Success => Ok((reader, writer)),
                ConnectReturnCode::RefusedProtocolVersion => Err(BrokerError::Refused(1)),
                ConnectReturnCode::BadClientId => Err(BrokerError::Refused(2)),
                ConnectReturnCode::ServiceUnavailable => Err(BrokerError::Refused(3)),
                ConnectReturnCode::BadUserNamePassword => Err(BrokerError::Refused(4)),
                ConnectReturnCode::NotAuthorized => Err(BrokerError::Refused(5)),
            },
            _ => Err(BrokerError::NoConnack),
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The packets that come.
pub(super) struct PacketReader {
    half: ReadHalf<Box<dyn Stream>>,
    bytes: BytesMut,
}

impl PacketReader {
    /// The next packet. Loses nothing when it is dropped half-way.
    pub async fn next(&mut self) -> Result<Packet, PacketError> {
        loop {
            match Packet::read(&mut self.bytes, PACKET_MAX) {
                Ok(packet) => return Ok(packet),
                Err(mqttbytes::Error::InsufficientBytes(_)) => {}
                Err(e) => return Err(PacketError::Malformed(e)),
            }
            if self.half.read_buf(&mut self.bytes).await? == 0 {
                return Err(PacketError::Closed);
            }
        }
    }
}

/// The packets that go.
pub(super) struct PacketWriter {
    half: WriteHalf<Box<dyn Stream>>,
    bytes: BytesMut,
    is_flushed: bool,
}

impl PacketWriter {
    /// Puts a packet behind those that wait; [`Self::drain`] sends them.
    pub fn put(&mut self, packet: &Packet) -> Result<(), PacketError> {
        packet.write(&mut self.bytes, PACKET_MAX).map_err(PacketError::Malformed)?;
        self.is_flushed = false;
        Ok(())
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.is_flushed
    }

    /// Sends what waits. Sends nothing twice when it is dropped half-way and called again.
    pub async fn drain(&mut self) -> Result<(), PacketError> {
        while !self.bytes.is_empty() {
            self.half.write_buf(&mut self.bytes).await?;
        }
        self.half.flush().await?;
        self.is_flushed = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A listener that takes connections and never answers, and one that answers a CONNECT with `connack`.
    fn silent_and_answering(connack: u8) -> (TcpListener, TcpListener) {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let answering = TcpListener::bind("127.0.0.1:0").unwrap();
        let listener = answering.try_clone().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut connect = [0; 64];
            let _ = stream.read(&mut connect).unwrap();
            stream.write_all(&[0x20, 2, 0, connack]).unwrap();
            // Until the client closes.
            let _ = stream.read(&mut connect);
        });
        (silent, answering)
    }

    fn first_of(addresses: &[SocketAddr], limit: Duration) -> Result<(), BrokerError> {
        let broker = Broker {
            address: Address { host: "broker.example".to_owned(), port: 1, tls: false },
            tls: None,
            connect: mqttbytes::v4::Connect::new("c"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let deadline = runtime.block_on(async { Instant::now() }) + limit;
        runtime.block_on(broker.first_of(addresses, deadline)).map(|_| ())
    }

    #[test]
    fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        let (silent, answering) = silent_and_answering(0);
        let addresses = [silent.local_addr().unwrap(), answering.local_addr().unwrap()];
        first_of(&addresses, Duration::from_secs(2)).unwrap();
    }

    #[test]
    fn an_address_that_refuses_tcp_is_followed_by_the_next() {
        let (closed, answering) = silent_and_answering(0);
        let addresses = [closed.local_addr().unwrap(), answering.local_addr().unwrap()];
        drop(closed);
        first_of(&addresses, Duration::from_secs(2)).unwrap();
    }

    #[test]
    fn a_refusal_by_connack_is_not_tried_at_another_address() {
        let (silent, answering) = silent_and_answering(4);
        let addresses = [answering.local_addr().unwrap(), silent.local_addr().unwrap()];
        let refused = first_of(&addresses, Duration::from_secs(20));
        assert!(matches!(refused, Err(BrokerError::Refused(4))), "{refused:?}");
    }

    #[test]
    fn addresses_are_parsed_or_refused() {
        let parsed = |url| Address::parse(url).map(|a| (a.host, a.port, a.tls)).ok();
        assert_eq!(parsed("mqtt://h.example:1884"), Some(("h.example".to_owned(), 1884, false)));
        assert_eq!(parsed("mqtts://h.example"), Some(("h.example".to_owned(), 8883, true)));
        assert_eq!(parsed("mqtt://[::1]:99"), Some(("::1".to_owned(), 99, false)));
        assert_eq!(parsed("mqtt://[::1]"), Some(("::1".to_owned(), 1883, false)));
        for bad in ["h.example:1883", "http://h:1", "mqtt://", "mqtt://h:0", "mqtt://h:65536", "mqtt://u@h/x"]
        {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
