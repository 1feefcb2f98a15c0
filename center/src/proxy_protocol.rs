//! The PROXY protocol, versions 1 and 2: a balancer says for whom it connects. Only balancers that were named are believed:
//! anybody else could write any address.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ppp::{HeaderResult, v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// A balancer sends the header at once.
const DEADLINE: Duration = Duration::from_secs(5);
/// Longest header of version 1, its end of line included.
const V1_MAX: usize = 107;
/// Bytes after which both versions can be told apart; neither has a shorter header.
const START: usize = 12;
/// Bytes of a header of version 2 before its addresses.
const V2_FIXED: usize = 16;
/// Longest addresses and extensions of version 2 that are read.
const V2_MAX: usize = 1024;

/// The balancers whose word is taken for the address of their clients. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Balancers(Arc<[IpAddr]>);

/// Why a connection of a balancer is closed.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// No header in time.
    #[error("the balancer sent no PROXY header within {DEADLINE:?}")]
    Late,
    /// Not a header.
    #[error(
        "the balancer sent no PROXY header (version 1 or 2): {0}; let it send one, or do not name it in --proxy-from"
    )]
    Header(String),
    /// The connection broke.
    #[error("the balancer's connection broke: {0}")]
    Socket(#[from] io::Error),
}

impl Balancers {
    /// These addresses.
    #[must_use]
    pub fn new(addresses: &[IpAddr]) -> Self {
        Self(addresses.iter().map(IpAddr::to_canonical).collect())
    }

    /// Whether the connection comes from one of the balancers.
    #[must_use]
    pub fn know(&self, peer: SocketAddr) -> bool {
        self.0.contains(&peer.ip().to_canonical())
    }

    /// Who is at the other end: the peer itself, or the one for whom a known balancer connects. Takes the header off the
    /// stream and nothing behind it. A balancer that looks whether we are alive speaks for itself.
    ///
    /// # Errors
    /// A known balancer sends no header.
    pub async fn client(
        &self,
        stream: &mut (impl AsyncRead + Unpin),
        peer: SocketAddr,
    ) -> Result<SocketAddr, ProxyError> {
        if !self.know(peer) {
            return Ok(peer);
        }
        let named = timeout(DEADLINE, header(stream)).await.map_err(|_| ProxyError::Late)??;
        Ok(named.unwrap_or(peer))
    }
}

async fn header(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, ProxyError> {
    let mut bytes = vec![0; START];
    stream.read_exact(&mut bytes).await?;
    if bytes == v2::PROTOCOL_PREFIX {
        bytes.resize(V2_FIXED, 0);
        stream.read_exact(bytes.get_mut(START..).unwrap_or_default()).await?;
        let length = bytes.get(V2_FIXED - 2..).and_then(|length| length.try_into().ok());
        let length = usize::from(u16::from_be_bytes(length.unwrap_or_default()));
        if length > V2_MAX {
            return Err(ProxyError::Header(format!("{length} bytes of addresses, {V2_MAX} are the most")));
        }
        bytes.resize(V2_FIXED + length, 0);
        stream.read_exact(bytes.get_mut(V2_FIXED..).unwrap_or_default()).await?;
    } else if bytes.starts_with(b"PROXY ") {
        while !bytes.ends_with(b"\r\n") && bytes.len() < V1_MAX {
            bytes.push(stream.read_u8().await?);
        }
    } else {
        return Err(ProxyError::Header(format!("it begins with {}", bytes.escape_ascii())));
    }
    match HeaderResult::parse(&bytes) {
        HeaderResult::V1(Ok(header)) => Ok(match header.addresses {
            v1::Addresses::Tcp4(tcp) => Some((tcp.source_address, tcp.source_port).into()),
            v1::Addresses::Tcp6(tcp) => Some((tcp.source_address, tcp.source_port).into()),
            v1::Addresses::Unknown => None,
        }),
        HeaderResult::V2(Ok(header)) if header.command == v2::Command::Local => Ok(None),
        HeaderResult::V2(Ok(header)) => Ok(match header.addresses {
            v2::Addresses::IPv4(tcp) => Some((tcp.source_address, tcp.source_port).into()),
            v2::Addresses::IPv6(tcp) => Some((tcp.source_address, tcp.source_port).into()),
            _ => None,
        }),
        HeaderResult::V1(Err(error)) => Err(ProxyError::Header(error.to_string())),
        HeaderResult::V2(Err(error)) => Err(ProxyError::Header(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCER: &str = "10.0.0.9:4000";

    async fn said(bytes: &[u8]) -> Result<(String, Vec<u8>), String> {
        let balancers = Balancers::new(&["10.0.0.9".parse().unwrap()]);
        let mut stream = bytes;
        let client = balancers.client(&mut stream, BALANCER.parse().unwrap()).await;
        client.map(|client| (client.to_string(), stream.to_vec())).map_err(|error| error.to_string())
    }

    fn version_2(command: u8, family: u8, addresses: &[u8]) -> Vec<u8> {
        let length = u16::try_from(addresses.len()).unwrap().to_be_bytes();
        [v2::PROTOCOL_PREFIX, &[0x20 | command, family], &length, addresses, b"rest"].concat()
    }

    #[tokio::test]
    async fn both_versions_name_the_client_and_leave_what_follows() {
        let client = |name: &str| Ok((name.to_owned(), b"rest".to_vec()));
        assert_eq!(said(b"PROXY TCP4 192.0.2.7 10.0.0.1 5001 1883\r\nrest").await, client("192.0.2.7:5001"));
        assert_eq!(said(b"PROXY TCP6 2001:db8::7 ::1 5001 1883\r\nrest").await, client("[2001:db8::7]:5001"));
        assert_eq!(said(b"PROXY UNKNOWN\r\nrest").await, client(BALANCER));
        let addresses = [192, 0, 2, 7, 10, 0, 0, 1, 0x13, 0x89, 0x07, 0x5B];
        assert_eq!(said(&version_2(1, 0x11, &addresses)).await, client("192.0.2.7:5001"));
        let extended = [&addresses[..], &[4, 0, 1, 0]].concat();
        assert_eq!(said(&version_2(1, 0x11, &extended)).await, client("192.0.2.7:5001"));
        // A balancer that looks whether we are alive.
        assert_eq!(said(&version_2(0, 0, &[])).await, client(BALANCER));
    }

    #[tokio::test]
    async fn a_balancer_without_a_header_is_told_apart_and_a_stranger_is_not_believed() {
        let refused = said(b"\x10\x20\0\x04MQTT\x04\0\0\0").await.unwrap_err();
        assert!(refused.contains("\\x10 \\x00\\x04MQTT") && refused.contains("--proxy-from"), "{refused}");
        for wrong in [
            b"PROXY TCP4 nonsense 10.0.0.1 1 1\r\n".to_vec(),
            [b"PROXY ".to_vec(), vec![b'x'; 200]].concat(),
            version_2(1, 0x11, &[1, 2, 3]),
            [v2::PROTOCOL_PREFIX, &[0x21, 0x11, 0xFF, 0xFF]].concat(),
            b"PROXY TC".to_vec(),
        ] {
            assert!(said(&wrong).await.is_err(), "{}", wrong.escape_ascii());
        }
        let mut stream = &b"PROXY TCP4 192.0.2.7 10.0.0.1 5001 1883\r\n"[..];
        let stranger: SocketAddr = "10.0.0.8:4000".parse().unwrap();
        let balancers = Balancers::new(&["10.0.0.9".parse().unwrap()]);
        assert_eq!(balancers.client(&mut stream, stranger).await.unwrap(), stranger);
        assert!(stream.starts_with(b"PROXY"), "nothing of it is read");
    }
}
