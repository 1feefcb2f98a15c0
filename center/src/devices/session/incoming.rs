//! Packets of the device: PUBLISH to its commit and acknowledgement, SUBSCRIBE, and the rest.

use std::num::NonZeroU16;
use std::time::Duration;

use bytes::Bytes;
use bytestring::ByteString;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v3::{Packet, SubscribeReturnCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

use super::{MessageHandler, Session, SessionEnd};
use crate::devices::qos2_dedup::Arrival;

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Session<'_, S> {
    pub(super) async fn accept(
        &mut self,
        packet: Packet,
        handler: &mut impl MessageHandler,
    ) -> Result<(), SessionEnd> {
        match packet {
            Packet::Publish(publish) => self.accept_publish(*publish, handler).await,
            Packet::PublishRelease { packet_id } => {
                self.qos2_dedup.release(packet_id, Instant::now());
                self.put(Packet::PublishComplete { packet_id })
            }
            Packet::PublishAck { packet_id } => {
                // Acknowledgements come in any order, and twice after a resend.
                self.in_flight.retain(|message| message.id != packet_id);
                Ok(())
            }
            Packet::Subscribe { packet_id, topic_filters } => {
                self.accept_subscribe(packet_id, &topic_filters, handler).await
            }
            Packet::Unsubscribe { packet_id, topic_filters } => {
                if topic_filters.iter().any(|filter| self.topics.is_filter(filter)) {
                    self.granted = None;
                }
                self.put(Packet::UnsubscribeAck { packet_id })
            }
            Packet::PingRequest => self.put(Packet::PingResponse),
            Packet::Disconnect => Err(SessionEnd::Closed),
            Packet::Connect(_) => Err(SessionEnd::Unexpected("a second CONNECT")),
            Packet::ConnectAck(_) => Err(SessionEnd::Unexpected("CONNACK")),
            // No QoS 2 goes down (QUECTHING.md 3.6 #14), so nothing of its exchange can come up.
            Packet::PublishReceived { .. } => Err(SessionEnd::Unexpected("PUBREC")),
            Packet::PublishComplete { .. } => Err(SessionEnd::Unexpected("PUBCOMP")),
            Packet::SubscribeAck { .. } => Err(SessionEnd::Unexpected("SUBACK")),
            Packet::UnsubscribeAck { .. } => Err(SessionEnd::Unexpected("UNSUBACK")),
            Packet::PingResponse => Err(SessionEnd::Unexpected("PINGRESP")),
        }
    }

    async fn accept_publish(
        &mut self,
        publish: Publish,
        handler: &mut impl MessageHandler,
    ) -> Result<(), SessionEnd> {
        // A topic to publish to has no wildcard and no NUL (MQTT 3.1.1, 3.3.2-2 and 1.5.3-2).
        let is_topic = !publish.topic.contains(['+', '#', '\0']);
        let leaf = self.topics.leaf(&publish.topic).filter(|_| is_topic);
        let Some(leaf) = leaf else { return Err(SessionEnd::ForeignTopic(publish.topic)) };
        let limit = self.timing.commit;
        let Some(id) = publish.packet_id else {
            return deliver(limit, leaf, publish.payload, handler).await;
        };
        if publish.qos == QoS::AtLeastOnce {
            deliver(limit, leaf, publish.payload, handler).await?;
            return self.put(Packet::PublishAck { packet_id: id });
        }
        if let Arrival::New(digest) =
            self.qos2_dedup.arrive(id, &publish.topic, &publish.payload, Instant::now())
        {
            deliver(limit, leaf, publish.payload, handler).await?;
            self.qos2_dedup.handled(id, digest);
        }
        self.put(Packet::PublishReceived { packet_id: id })
    }

    async fn accept_subscribe(
        &mut self,
        packet_id: NonZeroU16,
        filters: &[(ByteString, QoS)],
        handler: &mut impl MessageHandler,
    ) -> Result<(), SessionEnd> {
        let mut own = None;
        let status = filters
            .iter()
            .map(|(filter, wanted)| {
                if self.topics.is_filter(filter) {
                    // Never QoS 2 down: a vendor device loses its byte stream over PUBREL (QUECTHING.md 3.6 #14).
                    let granted = wanted.less_value(QoS::AtLeastOnce);
                    own = Some(granted);
                    SubscribeReturnCode::Success(granted)
                } else {
                    SubscribeReturnCode::Failure
                }
            })
            .collect();
        self.put(Packet::SubscribeAck { packet_id, status })?;
        let Some(granted) = own else { return Ok(()) };
        let first = self.granted.replace(granted).is_none();
        if !first {
            // A SUBSCRIBE that is repeated before its SUBACK arrived is not a second coming online.
            return Ok(());
        }
        let limit = self.timing.commit;
        timeout(limit, handler.subscribed()).await.unwrap_or(Err(SessionEnd::CommitStalled(limit)))
    }
}

/// Not a method: the codec in `&self` would make the future impossible to move between threads.
async fn deliver(
    limit: Duration,
    leaf: &str,
    payload: Bytes,
    handler: &mut impl MessageHandler,
) -> Result<(), SessionEnd> {
    timeout(limit, handler.received(leaf, payload)).await.unwrap_or(Err(SessionEnd::CommitStalled(limit)))
}
