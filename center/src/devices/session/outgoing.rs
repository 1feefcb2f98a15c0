//! Messages to the device, in flight until PUBACK, and every write.

use std::num::NonZeroU16;

use bytes::{Buf, BytesMut};
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v3::Packet;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tokio_util::codec::Encoder;

use super::{Session, SessionEnd};
use crate::devices::send_queue::Publication;

/// Downlink messages sent and not yet acknowledged, at most: a device has little memory for more.
const IN_FLIGHT: usize = 4;

/// A message that was sent and not acknowledged.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) id: NonZeroU16,
    message: Publication,
    /// When it is sent again.
    pub(super) due: Instant,
    /// How often it was sent.
    sent: u32,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<'_, S> {
    /// Sends what is queued as far as the device's acknowledgements allow.
    pub(super) fn send_queued(&mut self) -> Result<(), SessionEnd> {
        let Some(qos) = self.granted else { return Ok(()) };
        while self.in_flight.len() < IN_FLIGHT {
            let Some(message) = self.send_queue.pop() else { break };
            if qos == QoS::AtMostOnce {
                self.put(publish(&message, QoS::AtMostOnce, None, false))?;
                continue;
            }
            let id = self.take_id();
            self.put(publish(&message, QoS::AtLeastOnce, Some(id), false))?;
            let due = Instant::now() + self.timing.resend;
            self.in_flight.push(InFlight { id, message, due, sent: 1 });
        }
        Ok(())
    }

    pub(super) fn resend(&mut self, now: Instant) -> Result<(), SessionEnd> {
        for message in &mut self.in_flight {
            if now < message.due {
                continue;
            }
            if message.sent > self.timing.resends {
                return Err(SessionEnd::Unacknowledged(message.sent));
            }
            message.sent += 1;
            message.due = now + self.timing.resend;
            let again = publish(&message.message, QoS::AtLeastOnce, Some(message.id), true);
            self.codec.encode(again, &mut self.output)?;
        }
        Ok(())
    }

    /// The next packet id that is not in flight; there are always some.
    fn take_id(&mut self) -> NonZeroU16 {
        loop {
            let id = self.next_id;
            self.next_id = id.checked_add(1).unwrap_or(NonZeroU16::MIN);
            if self.in_flight.iter().all(|message| message.id != id) {
                return id;
            }
        }
    }

    pub(super) fn put(&mut self, packet: Packet) -> Result<(), SessionEnd> {
        Ok(self.codec.encode(packet, &mut self.output)?)
    }

    pub(super) async fn flush(&mut self) -> Result<(), SessionEnd> {
        if self.output.is_empty() {
            return Ok(());
        }
        let writing = async {
            while self.output.has_remaining() {
                // Cut off between two writes, the rest stays in `output`.
                self.stream.write_buf(&mut self.output).await?;
            }
            self.stream.flush().await
        };
        match timeout(self.timing.write, writing).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(SessionEnd::WriteStalled(self.timing.write)),
        }
        self.output = BytesMut::new();
        Ok(())
    }
}

fn publish(message: &Publication, qos: QoS, packet_id: Option<NonZeroU16>, dup: bool) -> Packet {
    Packet::Publish(Box::new(Publish {
        dup,
        retain: false,
        qos,
        topic: message.topic.clone(),
        packet_id,
        payload: message.payload.clone(),
        properties: None,
    }))
}
