//! One MQTT 3.1.1 connection after its CONNECT was accepted: acknowledgements, resends, deadlines.
//!
//! It knows nothing of frames: what a device says goes to a [`Dialogue`], what it is told comes from an [`Outbox`].
//! State lives as long as the connection (clean session), so the layers above take a repeated message as the same one.

use std::future::{Future, poll_fn};
use std::mem::MaybeUninit;
use std::num::NonZeroU16;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::ready;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::FutureExt;
use rmqtt_codec::error::{DecodeError, EncodeError};
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v3::{Codec, Packet, SubscribeReturnCode};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::codec::{Decoder, Encoder};

use super::inbox::{Arrival, Inbox};
use super::outbox::{Kick, Outbox, Publication};

/// Publication messages sent and not yet acknowledged: a device has little memory for more.
const IN_FLIGHT: usize = 4;
/// Bytes taken from the socket at once; on the stack, so an idle session holds none.
const READ_STEP: usize = 4096;

/// Times and sizes of a session. The defaults are what the center runs with; tests shorten them.
#[derive(Debug, Clone)]
pub struct Timing {
    /// From the TCP connection to a whole CONNECT.
    pub connect: Duration,
    /// From CONNECT to the decision about it: the database is asked here.
    pub admission: Duration,
    /// From an uplink message to its commit.
    pub commit: Duration,
    /// For a write to leave our socket buffer.
    pub write: Duration,
    /// A downlink message is sent again this long after it was last sent.
    pub resend: Duration,
    /// After so many resends without PUBACK the connection is dead.
    pub resends: u32,
    /// How long a QoS 2 packet is remembered after its PUBREL.
    pub remember: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            admission: Duration::from_secs(10),
            commit: Duration::from_secs(10),
            write: Duration::from_secs(10),
            resend: Duration::from_secs(10),
            resends: 3,
            remember: Duration::from_secs(20),
        }
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// The goodbye of a vendor device is a closed socket (QUECTHING.md 4.1); others send DISCONNECT.
    #[error("the device closed the connection")]
    Goodbye,
    #[error("no whole packet for {0:?}, 1.5 times its keep-alive")]
    Silent(Duration),
    #[error("the same client id connected again")]
    TakenOver,
    #[error("the center is stopping")]
    ShuttingDown,
    #[error("malformed MQTT: {0}")]
    Malformed(#[from] DecodeError),
    #[error("{0} is not a packet that a device sends here")]
    Unexpected(&'static str),
    #[error("published on {0:?}, which is not its own uplink")]
    ForeignTopic(ByteString),
    #[error("a message was sent {0} times without PUBACK")]
    Unacknowledged(u32),
    #[error("a write took longer than {0:?}")]
    WriteStalled(Duration),
    #[error("a message was not committed within {0:?}")]
    CommitStalled(Duration),
    #[error("could not handle the device's message: {0}")]
    Failed(String),
    #[error("a bug of the center; its message is above")]
    Panicked,
    #[error("cannot encode a packet: {0}")]
    Encode(#[from] EncodeError),
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
}

impl From<Kick> for End {
    fn from(kick: Kick) -> Self {
        match kick {
            Kick::TakenOver => End::TakenOver,
            Kick::ShuttingDown => End::ShuttingDown,
        }
    }
}

/// The layer above: what a device says means something there. An error ends the connection *without* an acknowledgement,
/// so that the device says it again after it has connected anew.
pub(super) trait Dialogue: Send {
    /// The device has its own filter now and was told so.
    fn subscribed(&mut self) -> impl Future<Output = Result<(), End>> + Send;
    /// A message came on the device's own uplink; returns after its commit.
    fn received(&mut self, leaf: &str, payload: Bytes) -> impl Future<Output = Result<(), End>> + Send;
}

/// The topics of one device (QUECTHING.md 4.1).
#[derive(Debug, Clone)]
pub(super) struct Topics {
    uplink: String,
    filter: String,
}

impl Topics {
    /// The topics of `client_id`.
    pub fn of(client_id: &str) -> Self {
        Self { uplink: format!("q/2/d/{client_id}/"), filter: format!("q/1/d/{client_id}/+") }
    }
}

#[derive(Debug)]
struct InFlight {
    id: NonZeroU16,
    message: Publication,
    due: Instant,
    sent: u32,
}

/// One connection. `S` is its socket.
pub(super) struct Session<'a, S> {
    stream: S,
    codec: Codec,
    input: BytesMut,
    output: BytesMut,
    outbox: &'a Outbox,
    timing: &'a Timing,
    topics: Topics,
    /// None: no limit (keep-alive 0).
    silence: Option<Duration>,
    heard: Instant,
    inbox: Inbox,
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
        outbox: &'a Outbox,
        timing: &'a Timing,
        topics: Topics,
        keep_alive: u16,
    ) -> Self {
        Self {
            stream,
            codec,
            input,
            output: BytesMut::new(),
            outbox,
            timing,
            topics,
            silence: (keep_alive > 0).then(|| Duration::from_millis(u64::from(keep_alive) * 1500)),
            heard: Instant::now(),
            inbox: Inbox::new(timing.remember),
            granted: None,
            in_flight: Vec::new(),
            next_id: NonZeroU16::MIN,
        }
    }

    /// Puts a packet before everything else: CONNACK.
    ///
    /// # Errors
    /// [`End`] if it cannot be written in time.
    pub async fn greet(&mut self, packet: Packet) -> Result<(), End> {
        self.codec.encode(packet, &mut self.output)?;
        self.flush().await
    }

    /// Runs the connection to its end. A panic of the layers above ends this session and no other.
    pub async fn run(&mut self, dialogue: &mut impl Dialogue) -> End {
        let end = AssertUnwindSafe(self.steps(dialogue)).catch_unwind().await.unwrap_or(End::Panicked);
        // What is already encoded may still go out, if the socket takes it at once: an acknowledgement that was
        // earned should not be lost to the packet after it.
        let _ = timeout(Duration::from_millis(100), self.flush()).await;
        end
    }

    async fn steps(&mut self, dialogue: &mut impl Dialogue) -> End {
        loop {
            if let Err(end) = self.step(dialogue).await {
                return end;
            }
        }
    }

    async fn step(&mut self, dialogue: &mut impl Dialogue) -> Result<(), End> {
        while let Some((packet, _)) = self.codec.decode(&mut self.input)? {
            // Boxed: an idle session does not keep the room for a packet that it handles for a moment.
            Box::pin(self.accept(packet, dialogue)).await?;
            // The time that we took for it is not the device's silence.
            self.heard = Instant::now();
            if let Some(kick) = self.outbox.kicked() {
                return Err(kick.into());
            }
        }
        if self.input.is_empty() {
            // An idle session holds no buffer.
            self.input = BytesMut::new();
        }
        self.send_queued()?;
        self.flush().await?;
        self.wait().await
    }

    /// Returns when there may be something to do.
    async fn wait(&mut self) -> Result<(), End> {
        let silent = self.silence.and_then(|limit| self.heard.checked_add(limit));
        let resend = self.in_flight.iter().map(|message| message.due).min();
        let due = [silent, resend].into_iter().flatten().min();
        let timed_out = tokio::select! {
            biased;
            () = self.outbox.changed() => false,
            count = read_step(&mut self.stream, &mut self.input) => {
                if count? == 0 {
                    return Err(End::Goodbye);
                }
                false
            }
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => true,
        };
        if let Some(kick) = self.outbox.kicked() {
            return Err(kick.into());
        }
        if !timed_out {
            return Ok(());
        }
        let now = Instant::now();
        match (self.silence, silent) {
            (Some(limit), Some(at)) if now >= at => Err(End::Silent(limit)),
            _ => self.resend(now),
        }
    }

    async fn accept(&mut self, packet: Packet, dialogue: &mut impl Dialogue) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => self.accept_publish(*publish, dialogue).await,
            Packet::PublishRelease { packet_id } => {
                self.inbox.release(packet_id, Instant::now());
                self.put(Packet::PublishComplete { packet_id })
            }
            Packet::PublishAck { packet_id } => {
                // Acknowledgements come in any order, and twice after a resend.
                self.in_flight.retain(|message| message.id != packet_id);
                Ok(())
            }
            Packet::Subscribe { packet_id, topic_filters } => {
                self.accept_subscribe(packet_id, &topic_filters, dialogue).await
            }
            Packet::Unsubscribe { packet_id, topic_filters } => {
                if topic_filters.iter().any(|filter| **filter == *self.topics.filter) {
                    self.granted = None;
                }
                self.put(Packet::UnsubscribeAck { packet_id })
            }
            Packet::PingRequest => self.put(Packet::PingResponse),
            Packet::Disconnect => Err(End::Goodbye),
            Packet::Connect(_) => Err(End::Unexpected("a second CONNECT")),
            Packet::ConnectAck(_) => Err(End::Unexpected("CONNACK")),
            // No QoS 2 goes down (QUECTHING.md 3.6 #14), so nothing of its exchange can come up.
            Packet::PublishReceived { .. } => Err(End::Unexpected("PUBREC")),
            Packet::PublishComplete { .. } => Err(End::Unexpected("PUBCOMP")),
            Packet::SubscribeAck { .. } => Err(End::Unexpected("SUBACK")),
            Packet::UnsubscribeAck { .. } => Err(End::Unexpected("UNSUBACK")),
            Packet::PingResponse => Err(End::Unexpected("PINGRESP")),
        }
    }

    async fn accept_publish(&mut self, publish: Publish, dialogue: &mut impl Dialogue) -> Result<(), End> {
        let Some(leaf) = publish.topic.strip_prefix(self.topics.uplink.as_str()) else {
            return Err(End::ForeignTopic(publish.topic));
        };
        let limit = self.timing.commit;
        let Some(id) = publish.packet_id else {
            return hand_over(limit, leaf, publish.payload, dialogue).await;
        };
        if publish.qos == QoS::AtLeastOnce {
            hand_over(limit, leaf, publish.payload, dialogue).await?;
            return self.put(Packet::PublishAck { packet_id: id });
        }
        if let Arrival::New(digest) = self.inbox.arrive(id, &publish.topic, &publish.payload, Instant::now())
        {
            hand_over(limit, leaf, publish.payload, dialogue).await?;
            self.inbox.handled(id, digest);
        }
        self.put(Packet::PublishReceived { packet_id: id })
    }

    async fn accept_subscribe(
        &mut self,
        packet_id: NonZeroU16,
        filters: &[(ByteString, QoS)],
        dialogue: &mut impl Dialogue,
    ) -> Result<(), End> {
        let mut own = None;
        let status = filters
            .iter()
            .map(|(filter, wanted)| {
                if **filter == *self.topics.filter {
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
        timeout(limit, dialogue.subscribed()).await.unwrap_or(Err(End::CommitStalled(limit)))
    }

    /// Sends what is queued as far as the device's acknowledgements allow.
    fn send_queued(&mut self) -> Result<(), End> {
        let Some(qos) = self.granted else { return Ok(()) };
        while self.in_flight.len() < IN_FLIGHT {
            let Some(message) = self.outbox.pop() else { break };
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

    fn resend(&mut self, now: Instant) -> Result<(), End> {
        for message in &mut self.in_flight {
            if now < message.due {
                continue;
            }
            if message.sent > self.timing.resends {
                return Err(End::Unacknowledged(message.sent));
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

    fn put(&mut self, packet: Packet) -> Result<(), End> {
        Ok(self.codec.encode(packet, &mut self.output)?)
    }

    async fn flush(&mut self) -> Result<(), End> {
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
            Err(_) => return Err(End::WriteStalled(self.timing.write)),
        }
        self.output = BytesMut::new();
        Ok(())
    }
}

/// Not a method: the codec in `&self` would make the future impossible to move between threads.
async fn hand_over(
    limit: Duration,
    leaf: &str,
    payload: Bytes,
    dialogue: &mut impl Dialogue,
) -> Result<(), End> {
    timeout(limit, dialogue.received(leaf, payload)).await.unwrap_or(Err(End::CommitStalled(limit)))
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
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;

    /// Writes down what it hears; fails or hangs when it is told to.
    #[derive(Clone, Default)]
    struct Notes {
        heard: Arc<Mutex<Vec<String>>>,
        fail: bool,
        hang: bool,
        panic: bool,
    }

    impl Dialogue for Notes {
        async fn subscribed(&mut self) -> Result<(), End> {
            self.heard.lock().unwrap().push("subscribed".into());
            Ok(())
        }

        async fn received(&mut self, leaf: &str, payload: Bytes) -> Result<(), End> {
            assert!(!self.panic, "a bug, on purpose");
            if self.hang {
                std::future::pending::<()>().await;
            }
            if self.fail {
                return Err(End::Failed("database away".into()));
            }
            self.heard.lock().unwrap().push(format!("{leaf} {}", String::from_utf8_lossy(&payload)));
            Ok(())
        }
    }

    struct Bench {
        device: DuplexStream,
        outbox: Arc<Outbox>,
        notes: Notes,
        session: JoinHandle<String>,
    }

    impl Bench {
        fn new(keep_alive: u16) -> Self {
            Self::with(keep_alive, Notes::default())
        }

        fn with(keep_alive: u16, notes: Notes) -> Self {
            let (device, stream) = duplex(64 * 1024);
            let outbox = Arc::new(Outbox::new(8));
            let (queue, mut dialogue) = (Arc::clone(&outbox), notes.clone());
            let session = tokio::spawn(async move {
                let timing = Timing::default();
                let codec = Codec::new(16 * 1024);
                let topics = Topics::of("qdP1D1");
                let mut session =
                    Session::new(stream, codec, BytesMut::new(), &queue, &timing, topics, keep_alive);
                session.run(&mut dialogue).await.to_string()
            });
            Self { device, outbox, notes, session }
        }

        async fn send(&mut self, bytes: &[u8]) {
            self.device.write_all(bytes).await.unwrap();
        }

        async fn expect(&mut self, bytes: &[u8]) {
            let mut got = vec![0; bytes.len()];
            timeout(Duration::from_secs(1), self.device.read_exact(&mut got))
                .await
                .unwrap_or_else(|_| panic!("nothing came instead of {bytes:02x?}"))
                .unwrap();
            assert_eq!(got, bytes);
        }

        async fn expect_silence(&mut self, time: Duration) {
            let mut got = [0; 64];
            let came = timeout(time, self.device.read(&mut got)).await;
            assert!(came.is_err(), "came: {:02x?}", &got[..came.unwrap().unwrap()]);
        }

        async fn subscribe(&mut self) {
            let filter = b"q/1/d/qdP1D1/+";
            self.send(&[&[0x82, 19, 0, 1, 0, 14][..], filter, &[1]].concat()).await;
            self.expect(&[0x90, 3, 0, 1, 1]).await;
        }

        fn heard(&self) -> Vec<String> {
            self.notes.heard.lock().unwrap().clone()
        }

        async fn end(self) -> String {
            timeout(Duration::from_secs(600), self.session).await.expect("the session ends").unwrap()
        }
    }

    fn up(flags: u8, id: u16, payload: &str) -> Vec<u8> {
        publish_on(b"q/2/d/qdP1D1/ota", flags, id, payload)
    }

    fn publish_on(topic: &[u8], flags: u8, id: u16, payload: &str) -> Vec<u8> {
        let with_id = flags & 0b110 != 0;
        let length = 2 + topic.len() + if with_id { 2 } else { 0 } + payload.len();
        let mut bytes = vec![0x30 | flags, u8::try_from(length).unwrap()];
        bytes.extend(u16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic);
        if with_id {
            bytes.extend(id.to_be_bytes());
        }
        bytes.extend(payload.as_bytes());
        bytes
    }

    fn down(n: u8) -> Publication {
        Publication { topic: "d".into(), payload: Bytes::copy_from_slice(&[n]) }
    }

    fn sent(n: u8, id: u8, dup: u8) -> [u8; 8] {
        [0x32 | dup << 3, 6, 0, 1, b'd', 0, id, n]
    }

    #[tokio::test(start_paused = true)]
    async fn a_qos_2_packet_sent_three_times_is_handled_once() {
        let mut bench = Bench::new(60);
        for _ in 0..3 {
            bench.send(&up(0b100, 5, "status 2")).await;
            bench.expect(&[0x50, 2, 0, 5]).await;
        }
        for _ in 0..2 {
            bench.send(&[0x62, 2, 0, 5]).await;
            bench.expect(&[0x70, 2, 0, 5]).await;
        }
        // One more crosses our PUBCOMP.
        bench.send(&up(0b100, 5, "status 2")).await;
        bench.expect(&[0x50, 2, 0, 5]).await;
        assert_eq!(bench.heard(), ["ota status 2"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_message_that_was_not_committed_is_not_acknowledged() {
        for flags in [0b010, 0b100] {
            let mut bench = Bench::with(60, Notes { fail: true, ..Notes::default() });
            bench.send(&up(flags, 5, "status 2")).await;
            let mut rest = Vec::new();
            bench.device.read_to_end(&mut rest).await.unwrap();
            assert_eq!(rest, b"");
            assert_eq!(bench.end().await, "could not handle the device's message: database away");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_commit_that_hangs_ends_the_session() {
        let mut bench = Bench::with(60, Notes { hang: true, ..Notes::default() });
        bench.send(&up(0b100, 5, "status 2")).await;
        assert_eq!(bench.end().await, "a message was not committed within 10s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_ends_the_session_without_an_acknowledgement() {
        let mut bench = Bench::with(60, Notes { panic: true, ..Notes::default() });
        bench.send(&[&up(0b100, 5, "status 2")[..], &[0xC0, 0]].concat()).await;
        let mut rest = Vec::new();
        bench.device.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
        assert_eq!(bench.end().await, "a bug of the center; its message is above");
    }

    #[tokio::test(start_paused = true)]
    async fn at_most_four_are_in_flight_and_acknowledgements_come_in_any_order() {
        let mut bench = Bench::new(60);
        bench.subscribe().await;
        for n in 1..=6 {
            bench.outbox.push(down(n)).unwrap();
        }
        for n in 1..=4 {
            bench.expect(&sent(n, n, 0)).await;
        }
        bench.expect_silence(Duration::from_secs(1)).await;
        bench.send(&[0x40, 2, 0, 3]).await;
        bench.expect(&sent(5, 5, 0)).await;
        bench.send(&[0x40, 2, 0, 3, 0x40, 2, 0, 1]).await;
        bench.expect(&sent(6, 6, 0)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_acknowledged_is_sent_again_and_then_the_connection_is_dead() {
        let mut bench = Bench::new(600);
        bench.subscribe().await;
        bench.outbox.push(down(9)).unwrap();
        bench.expect(&sent(9, 1, 0)).await;
        for _ in 0..3 {
            bench.expect_silence(Duration::from_millis(9_900)).await;
            bench.expect(&sent(9, 1, 1)).await;
        }
        assert_eq!(bench.end().await, "a message was sent 4 times without PUBACK");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_goes_down_before_subscribe() {
        let mut bench = Bench::new(60);
        bench.outbox.push(down(1)).unwrap();
        bench.expect_silence(Duration::from_secs(20)).await;
        bench.subscribe().await;
        bench.expect(&sent(1, 1, 0)).await;
        assert_eq!(bench.heard(), ["subscribed"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_subscribe_is_answered_and_counts_once() {
        let mut bench = Bench::new(60);
        bench.subscribe().await;
        bench.subscribe().await;
        assert_eq!(bench.heard(), ["subscribed"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_foreign_filter_is_refused_and_a_foreign_uplink_ends_the_session() {
        let mut bench = Bench::new(60);
        bench.send(&[&[0x82, 19, 0, 1, 0, 14][..], b"q/1/d/qdP1D2/+", &[1]].concat()).await;
        bench.expect(&[0x90, 3, 0, 1, 0x80]).await;
        bench.send(&publish_on(b"q/2/d/qdP1D2/ota", 0b010, 1, "x")).await;
        let end = bench.end().await;
        assert!(end.contains("q/2/d/qdP1D2/ota"), "{end}");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_whole_packets() {
        let mut bench = Bench::new(20);
        let begun = Instant::now();
        bench.expect_silence(Duration::from_secs(29)).await;
        bench.send(&[0xC0, 0]).await;
        bench.expect(&[0xD0, 0]).await;
        bench.expect_silence(Duration::from_secs(20)).await;
        // Half a packet is no sign of life.
        bench.send(&[0xC0]).await;
        assert_eq!(bench.end().await, "no whole packet for 30s, 1.5 times its keep-alive");
        assert_eq!(begun.elapsed().as_secs(), 59);
    }

    #[tokio::test(start_paused = true)]
    async fn a_take_over_and_a_stop_end_the_session_at_once() {
        let bench = Bench::new(60);
        bench.outbox.kick(Kick::TakenOver);
        assert_eq!(bench.end().await, "the same client id connected again");
        let bench = Bench::new(60);
        bench.outbox.kick(Kick::ShuttingDown);
        assert_eq!(bench.end().await, "the center is stopping");
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_reads_nothing_does_not_hold_the_session() {
        let mut bench = Bench::new(600);
        bench.subscribe().await;
        for _ in 0..4 {
            let payload = Bytes::from(vec![0; 20_000]);
            bench.outbox.push(Publication { topic: "d".into(), payload }).unwrap();
        }
        assert_eq!(bench.session.await.unwrap(), "a write took longer than 10s");
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_device_sends_ends_the_session() {
        let cases: [&[u8]; 7] = [
            &[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 0],
            &[0x20, 2, 0, 0],
            &[0x50, 2, 0, 1],
            &[0xF0, 0],
            &[0x62, 2, 0, 0],
            &[0x30, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0x30, 0x80, 0x80, 0x02],
        ];
        for bytes in cases {
            let mut bench = Bench::new(60);
            bench.send(bytes).await;
            let end = bench.end().await;
            assert!(
                end.starts_with("malformed MQTT") || end.contains("is not a packet"),
                "{bytes:02x?}: {end}"
            );
        }
    }
}
