//! One MQTT 3.1.1 connection after its CONNECT was accepted: acknowledgements, resends, deadlines.
//!
//! It knows nothing of frames: what a device sends goes to a [`MessageHandler`], what goes down comes from a [`SendQueue`].
//! State lives as long as the connection (clean session), so the layers above take a repeated message as the same one.

mod end;
mod incoming;
mod outgoing;

use std::future::{Future, poll_fn};
use std::mem::MaybeUninit;
use std::num::NonZeroU16;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::ready;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use quecota_core::text::TooLong;
use quecota_core::wire::topic;
use rmqtt_codec::types::QoS;
use rmqtt_codec::v3::{Codec, Packet};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::{Decoder, Encoder};

pub(super) use end::SessionEnd;
use outgoing::InFlight;

use super::Timing;
use super::qos2_dedup::Qos2Dedup;
use super::send_queue::SendQueue;

/// Bytes taken from the socket at once; on the stack, so an idle session holds none.
const READ_STEP: usize = 4096;

/// The layer above. An error ends the connection *without* an acknowledgement, so that the device sends the message again
/// after it has connected anew.
pub(super) trait MessageHandler: Send {
    /// The device has subscribed to its own topics, and SUBACK is queued.
    fn subscribed(&mut self) -> impl Future<Output = Result<(), SessionEnd>> + Send;
    /// A message came on the device's own uplink; returns after its commit.
    fn received(&mut self, leaf: &str, payload: Bytes)
    -> impl Future<Output = Result<(), SessionEnd>> + Send;
}

/// The topics of one device (QUECTHING.md 4.1). They are made when they are asked for: an idle session keeps none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Topics<'a> {
    client_id: &'a str,
}

impl<'a> Topics<'a> {
    /// The topics of `client_id`.
    ///
    /// # Errors
    /// [`TooLong`] for a client id that no product and device key make.
    pub fn of(client_id: &'a str) -> Result<Self, TooLong> {
        topic::up_prefix(client_id)?;
        topic::down_filter(client_id)?;
        Ok(Self { client_id })
    }

    /// The last level of a topic that the device may publish to.
    fn leaf<'t>(&self, topic: &'t str) -> Option<&'t str> {
        topic.strip_prefix(topic::up_prefix(self.client_id).ok()?.as_str())
    }

    /// Whether this is what the device may subscribe to.
    fn is_filter(&self, filter: &str) -> bool {
        topic::down_filter(self.client_id).is_ok_and(|own| own.as_str() == filter)
    }
}

/// One connection. `S` is its socket.
pub(super) struct Session<'a, S> {
    stream: S,
    codec: Codec,
    input: BytesMut,
    output: BytesMut,
    send_queue: &'a SendQueue,
    timing: &'a Timing,
    topics: Topics<'a>,
    /// None: no limit (keep-alive 0).
    silence: Option<Duration>,
    heard: Instant,
    qos2_dedup: Qos2Dedup,
    granted: Option<QoS>,
    in_flight: Vec<InFlight>,
    next_id: NonZeroU16,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin + Send> Session<'a, S> {
    /// A session over `stream`, whose bytes after CONNECT are in `input`; `keep_alive` in seconds as in CONNECT.
    pub fn new(
        stream: S,
        codec: Codec,
        input: BytesMut,
        send_queue: &'a SendQueue,
        timing: &'a Timing,
        topics: Topics<'a>,
        keep_alive: u16,
    ) -> Self {
        Self {
            stream,
            codec,
            input,
            output: BytesMut::new(),
            send_queue,
            timing,
            topics,
            silence: (keep_alive > 0).then(|| Duration::from_millis(u64::from(keep_alive) * 1500)),
            heard: Instant::now(),
            qos2_dedup: Qos2Dedup::new(timing.remember),
            granted: None,
            in_flight: Vec::new(),
            next_id: NonZeroU16::MIN,
        }
    }

    /// Sends a packet before everything else: CONNACK.
    ///
    /// # Errors
    /// [`SessionEnd`] if it cannot be written in time.
    pub async fn send_first(&mut self, packet: Packet) -> Result<(), SessionEnd> {
        self.codec.encode(packet, &mut self.output)?;
        self.flush().await
    }

    /// Runs the connection to its end. A panic of the handler ends this session and no other.
    pub async fn run(&mut self, handler: &mut impl MessageHandler) -> SessionEnd {
        let end = AssertUnwindSafe(self.steps(handler)).catch_unwind().await.unwrap_or(SessionEnd::Panicked);
        // What is encoded already is still sent if the socket takes it at once: an acknowledgement of a committed message
        // must not be lost to a bad packet after it.
        let _ = timeout(Duration::from_millis(100), self.flush()).await;
        end
    }

    async fn steps(&mut self, handler: &mut impl MessageHandler) -> SessionEnd {
        loop {
            if let Err(end) = self.step(handler).await {
                return end;
            }
        }
    }

    async fn step(&mut self, handler: &mut impl MessageHandler) -> Result<(), SessionEnd> {
        while let Some((packet, _)) = self.codec.decode(&mut self.input)? {
            // Boxed: an idle session keeps no room for the handling of a packet.
            Box::pin(self.accept(packet, handler)).await?;
            // The time that handling took does not count as the device's silence.
            self.heard = Instant::now();
            if let Some(reason) = self.send_queue.close_reason() {
                return Err(reason.into());
            }
        }
        if self.input.is_empty() {
            // An idle session holds no buffer.
            self.input = BytesMut::new();
        }
        if self.in_flight.is_empty() {
            self.in_flight = Vec::new();
        }
        self.send_queued()?;
        self.flush().await?;
        self.wait().await
    }

    /// Returns when there may be something to do.
    async fn wait(&mut self) -> Result<(), SessionEnd> {
        let silent = self.silence.and_then(|limit| self.heard.checked_add(limit));
        let resend = self.in_flight.iter().map(|message| message.due).min();
        let due = [silent, resend].into_iter().flatten().min();
        let timed_out = tokio::select! {
            biased;
            () = self.send_queue.changed() => false,
            count = read_step(&mut self.stream, &mut self.input) => {
                if count? == 0 {
                    return Err(SessionEnd::Closed);
                }
                false
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => true,
        };
        if let Some(reason) = self.send_queue.close_reason() {
            return Err(reason.into());
        }
        if !timed_out {
            return Ok(());
        }
        let now = Instant::now();
        match (self.silence, silent) {
            (Some(limit), Some(at)) if now >= at => Err(SessionEnd::Silent(limit)),
            _ => self.resend(now),
        }
    }
}

/// Reads at most [`READ_STEP`] bytes to the end of `input`; 0 is the end of the stream. Safe to drop at any time.
pub(super) async fn read_step(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
) -> std::io::Result<usize> {
    poll_fn(|context| {
        let mut space = [const { MaybeUninit::uninit() }; READ_STEP];
        let mut step = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut step))?;
        input.extend_from_slice(step.filled());
        std::task::Poll::Ready(Ok(step.filled().len()))
    })
    .await
}

#[cfg(test)]
mod tests;
