//! The MQTT handshake: from the first byte of a connection to its CONNECT.

use std::time::Duration;

use bytes::BytesMut;
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::MQTT_LEVEL_311;
use rmqtt_codec::v3::{Codec, Connect, ConnectAck, ConnectAckReason, Packet};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_util::codec::{Decoder, Encoder};

use super::session::read_step;

/// Bytes of a CONNECT packet: a client id of 50 and a password of about 200 are the longest known (QUECTHING.md 4.2).
const CONNECT_LIMIT: u32 = 1024;
/// Bytes of any later packet.
const PACKET_LIMIT: u32 = 16 * 1024;
/// Limits on the bytes that are read from a refused device.
const DRAIN: Duration = Duration::from_secs(1);
const DRAINED: usize = 16 * 1024;
/// Type and flags of CONNECT.
const CONNECT_BYTE: u8 = 0x10;

/// Why no CONNECT came.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("no whole CONNECT within {0:?}")]
    Late(Duration),
    #[error("closed before CONNECT")]
    Closed,
    #[error("the first byte is 0x{0:02x}, not the 0x10 of CONNECT")]
    NotMqtt(u8),
    #[error("MQTT level is not 4 (3.1.1)")]
    Level,
    #[error("malformed CONNECT: {0}")]
    Malformed(DecodeError),
    #[error("malformed CONNECT: there are bytes behind its last field")]
    Trailing,
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// A CONNECT, and what the session needs to go on.
#[derive(Debug)]
pub(super) struct Handshake {
    /// As the device sent it.
    pub connect: Connect,
    /// Set up for the packets that follow.
    pub codec: Codec,
    /// What followed CONNECT already.
    pub rest: BytesMut,
}

/// Reads CONNECT within `limit`. A level that is not 4 is answered by CONNACK 1; nothing else is answered.
///
/// # Errors
/// [`HandshakeError`]; the caller closes the connection.
pub(super) async fn accept(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    limit: Duration,
) -> Result<Handshake, HandshakeError> {
    match timeout(limit, read_connect(stream)).await {
        Ok(Ok(handshake)) if handshake.connect.protocol.level() != MQTT_LEVEL_311 => {
            refuse_level(stream, limit).await
        }
        Ok(Err(HandshakeError::Malformed(DecodeError::UnsupportedProtocolLevel))) => {
            refuse_level(stream, limit).await
        }
        Ok(outcome) => outcome,
        Err(_) => Err(HandshakeError::Late(limit)),
    }
}

async fn refuse_level<T>(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    limit: Duration,
) -> Result<T, HandshakeError> {
    refuse(stream, ConnectAckReason::UnacceptableProtocolVersion, limit).await?;
    Err(HandshakeError::Level)
}

async fn read_connect(stream: &mut (impl AsyncRead + Unpin)) -> Result<Handshake, HandshakeError> {
    let mut codec = Codec::new(CONNECT_LIMIT);
    let mut input = BytesMut::new();
    let mut first = true;
    loop {
        if read_step(stream, &mut input).await? == 0 {
            return Err(HandshakeError::Closed);
        }
        if std::mem::take(&mut first)
            && let Some(&byte) = input.first()
            && byte != CONNECT_BYTE
        {
            return Err(HandshakeError::NotMqtt(byte));
        }
        let before = input.clone();
        if let Some((packet, _)) = codec.decode(&mut input).map_err(HandshakeError::Malformed)? {
            let whole = before.get(..before.len().saturating_sub(input.len())).unwrap_or_default();
            if !ends_with_its_last_field(whole) {
                return Err(HandshakeError::Trailing);
            }
            let Packet::Connect(connect) = packet else {
                // The first byte says CONNECT, so the codec makes nothing else of it.
                return Err(HandshakeError::Malformed(DecodeError::MalformedPacket));
            };
            // No text has a NUL in it (MQTT 3.1.1, 1.5.3-2).
            if connect.client_id.contains('\0') {
                return Err(HandshakeError::Malformed(DecodeError::MalformedPacket));
            }
            codec.set_max_size(PACKET_LIMIT);
            return Ok(Handshake { connect: *connect, codec, rest: input });
        }
    }
}

/// Whether nothing follows the last field of a whole CONNECT; the codec does not look.
fn ends_with_its_last_field(packet: &[u8]) -> bool {
    fn after_field(bytes: &[u8]) -> Option<&[u8]> {
        let (length, bytes) = bytes.split_first_chunk()?;
        bytes.get(usize::from(u16::from_be_bytes(*length))..)
    }
    let length_bytes = packet.iter().skip(1).take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let header = packet.get(1 + length_bytes..).and_then(after_field);
    // Level, flags, keep-alive.
    let Some([_, flags, _, _, fields @ ..]) = header else { return false };
    // Client id, will topic and message, user name, password.
    let count = 1 + 2 * (flags >> 2 & 1) + (flags >> 7) + (flags >> 6 & 1);
    let rest = (0..count).try_fold(fields, |fields, _| after_field(fields));
    rest.is_some_and(<[u8]>::is_empty)
}

/// The CONNACK that carries `code`.
pub(super) fn connack(code: ConnectAckReason) -> Packet {
    Packet::ConnectAck(ConnectAck { return_code: code, session_present: false })
}

/// Refuses a CONNECT by `code` and waits a moment for the device to close: bytes that we leave unread would reset the
/// connection, and the answer could be lost with it.
///
/// # Errors
/// The socket's, also when it does not take the answer within `limit`.
pub(super) async fn refuse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    code: ConnectAckReason,
    limit: Duration,
) -> std::io::Result<()> {
    let mut output = BytesMut::new();
    Codec::default().encode(connack(code), &mut output).map_err(std::io::Error::other)?;
    let writing = async {
        stream.write_all(&output).await?;
        stream.shutdown().await
    };
    timeout(limit, writing).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))?;
    let reading = async {
        let mut rest = BytesMut::new();
        while rest.len() < DRAINED && read_step(stream, &mut rest).await? > 0 {}
        Ok(())
    };
    timeout(DRAIN, reading).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn connect(level: u8, flags: u8, fields: &[&str]) -> Vec<u8> {
        let mut body = b"\x00\x04MQTT".to_vec();
        body.extend([level, flags, 0, 60]);
        for field in fields {
            body.extend(u16::try_from(field.len()).unwrap().to_be_bytes());
            body.extend(field.as_bytes());
        }
        let mut packet = vec![0x10];
        let mut length = body.len();
        while length > 127 {
            packet.push((length % 128) as u8 | 0x80);
            length /= 128;
        }
        packet.push(length as u8);
        packet.extend(body);
        packet
    }

    /// What `accept` makes of `bytes`, and what it answers. The device keeps its side open.
    async fn accepted(bytes: &[u8]) -> (Result<Handshake, HandshakeError>, Vec<u8>) {
        let (mut device, mut stream) = duplex(4096);
        device.write_all(bytes).await.unwrap();
        let outcome = accept(&mut stream, LIMIT).await;
        drop(stream);
        let mut answer = Vec::new();
        device.read_to_end(&mut answer).await.unwrap();
        (outcome, answer)
    }

    #[tokio::test(start_paused = true)]
    async fn a_password_without_user_name_is_accepted_and_one_with_it_too() {
        let (outcome, _) = accepted(&connect(4, 0x42, &["qdP1D1", "secret"])).await;
        let handshake = outcome.unwrap();
        assert_eq!(handshake.connect.password.unwrap(), "secret");
        assert_eq!(handshake.connect.username, None);
        let (outcome, _) = accepted(&connect(4, 0xC2, &["qdP1D1", "name", "secret"])).await;
        assert_eq!(outcome.unwrap().connect.password.unwrap(), "secret");
    }

    #[tokio::test(start_paused = true)]
    async fn another_level_is_answered_by_connack_1() {
        for level in [3, 5, 6] {
            let (outcome, answer) = accepted(&connect(level, 0x42, &["qdP1D1", "secret"])).await;
            assert!(matches!(outcome, Err(HandshakeError::Level)), "{outcome:?}");
            assert_eq!(answer, [0x20, 2, 0, 1]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connect_that_does_not_come_is_waited_for_ten_seconds() {
        for bytes in [&b""[..], b"\x10", b"\x10\x20\x00\x04MQ"] {
            let begun = tokio::time::Instant::now();
            let (outcome, answer) = accepted(bytes).await;
            assert!(matches!(outcome, Err(HandshakeError::Late(_))), "{outcome:?}");
            assert_eq!((begun.elapsed().as_secs(), answer), (10, vec![]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_connect_is_closed_at_its_first_byte() {
        for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"\x30", b"\x16\x03\x01"] {
            let begun = tokio::time::Instant::now();
            let (outcome, answer) = accepted(bytes).await;
            assert!(matches!(outcome, Err(HandshakeError::NotMqtt(_))), "{outcome:?}");
            assert_eq!((begun.elapsed().as_secs(), answer), (0, vec![]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_oversized_connect_is_closed_before_it_is_read() {
        let (outcome, answer) = accepted(&connect(4, 0x42, &["qdP1D1", &"x".repeat(1100)])[..5]).await;
        assert!(matches!(outcome, Err(HandshakeError::Malformed(_))), "{outcome:?}");
        assert_eq!(answer, b"");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_behind_the_password_close_the_connection_without_an_answer() {
        let longer = |flags, fields: &[&str], more: &[u8]| {
            let mut packet = connect(4, flags, fields);
            packet.extend(more);
            packet[1] += u8::try_from(more.len()).unwrap();
            packet
        };
        for more in [&b"x"[..], b"\0", b"\0\x01x"] {
            for (flags, fields) in [(0x42, &["qdP1D1", "secret"][..]), (0xC2, &["qdP1D1", "name", "secret"])]
            {
                let (outcome, answer) = accepted(&longer(flags, fields, more)).await;
                assert!(matches!(outcome, Err(HandshakeError::Trailing)), "{outcome:?}");
                assert_eq!(answer, b"");
            }
        }
        for (flags, fields) in [(0x02, &["qdP1D1"][..]), (0x46, &["qdP1D1", "topic", "will", "secret"])] {
            accepted(&connect(4, flags, fields)).await.0.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_id_with_nul_closes_the_connection_without_an_answer() {
        let (outcome, answer) = accepted(&connect(4, 0x42, &["qdP1\0D1", "secret"])).await;
        assert!(matches!(outcome, Err(HandshakeError::Malformed(_))), "{outcome:?}");
        assert_eq!(answer, b"");
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_connect_is_kept() {
        let mut bytes = connect(4, 0x42, &["qdP1D1", "secret"]);
        bytes.extend([0xC0, 0]);
        let handshake = accepted(&bytes).await.0.unwrap();
        assert_eq!(&handshake.rest[..], [0xC0, 0]);
    }
}
