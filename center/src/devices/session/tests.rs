//! Sessions over a socket in memory, byte by byte.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::devices::send_queue::{CloseReason, Publication};

/// Writes down what it hears; fails or hangs when it is told to.
#[derive(Clone, Default)]
struct Notes {
    heard: Arc<Mutex<Vec<String>>>,
    fail: bool,
    hang: bool,
    panic: bool,
}

impl MessageHandler for Notes {
    async fn subscribed(&mut self) -> Result<(), SessionEnd> {
        self.heard.lock().unwrap().push("subscribed".into());
        Ok(())
    }

    async fn received(&mut self, leaf: &str, payload: Bytes) -> Result<(), SessionEnd> {
        assert!(!self.panic, "a bug, on purpose");
        if self.hang {
            std::future::pending::<()>().await;
        }
        if self.fail {
            return Err(SessionEnd::Failed("database away".into()));
        }
        self.heard.lock().unwrap().push(format!("{leaf} {}", String::from_utf8_lossy(&payload)));
        Ok(())
    }
}

struct Bench {
    device: DuplexStream,
    send_queue: Arc<SendQueue>,
    notes: Notes,
    session: JoinHandle<String>,
}

impl Bench {
    fn new(keep_alive: u16) -> Self {
        Self::with(keep_alive, Notes::default())
    }

    fn with(keep_alive: u16, notes: Notes) -> Self {
        let (device, stream) = duplex(64 * 1024);
        let send_queue = Arc::new(SendQueue::new(8));
        let (queue, mut handler) = (Arc::clone(&send_queue), notes.clone());
        let session = tokio::spawn(async move {
            let timing = Timing::default();
            let codec = Codec::new(16 * 1024);
            let topics = Topics::of("qdP1D1").unwrap();
            let mut session =
                Session::new(stream, codec, BytesMut::new(), &queue, &timing, topics, keep_alive);
            session.run(&mut handler).await.to_string()
        });
        Self { device, send_queue, notes, session }
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
        bench.send_queue.push(down(n)).unwrap();
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
    bench.send_queue.push(down(9)).unwrap();
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
    bench.send_queue.push(down(1)).unwrap();
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
async fn a_topic_with_a_wildcard_or_nul_ends_the_session() {
    for topic in [&b"q/2/d/qdP1D1/#"[..], b"q/2/d/qdP1D1/+", b"q/2/d/qdP1D1/ota\0"] {
        let mut bench = Bench::new(60);
        bench.send(&publish_on(topic, 0b010, 1, "x")).await;
        let end = bench.end().await;
        assert!(end.contains("q/2/d/qdP1D1/"), "{end}");
    }
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
    bench.send_queue.close(CloseReason::TakenOver);
    assert_eq!(bench.end().await, "the same client id connected again, or is forbidden");
    let bench = Bench::new(60);
    bench.send_queue.close(CloseReason::ShuttingDown);
    assert_eq!(bench.end().await, "the center is stopping");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_reads_nothing_does_not_hold_the_session() {
    let mut bench = Bench::new(600);
    bench.subscribe().await;
    for _ in 0..4 {
        let payload = Bytes::from(vec![0; 20_000]);
        bench.send_queue.push(Publication { topic: "d".into(), payload }).unwrap();
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
        assert!(end.starts_with("malformed MQTT") || end.contains("is not a packet"), "{bytes:02x?}: {end}");
    }
}
