//! One MQTT connection in a thread of its own. Reconnecting is the agent's business.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use quecota_core::agent::Link;
use quecota_core::platform::{Connect, Delivery, Level, Qos, Refused, SendId, TransportEvent};
use rumqttc::mqttbytes::v4;
use rumqttc::{
    Event, MqttState, Outgoing, Packet, PingReq, PubAck, PubRec, Publish, QoS, Request as MqttRequest,
    StateError, Subscribe, SubscribeReasonCode,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::broker::{Address, Broker, BrokerError, PacketError, PacketReader, PacketWriter};
use super::log::Log;
use super::signal;
use super::sink::{EventSink, Generation};
use super::trust::Trust;

/// Limits of a connection's steps. The vendor's device gives up after three tries 5 s apart (QUECTHING.md 4.1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// For name, TCP, TLS and CONNACK, over all addresses of the name; each has its share.
    pub connect: Duration,
    /// For SUBACK, PUBACK, PUBREC, PUBCOMP and PINGRESP; a connection without one for longer is lost.
    pub ack: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts { connect: Duration::from_secs(15), ack: Duration::from_secs(20) }
    }
}

/// Pause before a message that the agent had no room for is offered again.
const OFFER_AGAIN: Duration = Duration::from_millis(20);
/// Messages that wait for room at most. A broker sends few at a time and waits for their acknowledgements.
const REFUSED_MAX: usize = 64;
/// Messages and requests on their way to the connection's thread.
const REQUESTS: usize = 64;
/// Publishes that wait for their acks at most; then requests wait.
const INFLIGHT: u16 = 100;

/// Everything a connection needs beside its address.
#[derive(Clone)]
pub(super) struct Dialer {
    /// Receives what the connection brings.
    pub sink: Arc<dyn EventSink>,
    /// Certificate authorities for `mqtts`.
    pub trust: Arc<Trust>,
    /// Receives what went wrong.
    pub log: Log,
    /// Limits of its steps.
    pub timeouts: Timeouts,
}

/// A connection. Dropping it closes TCP without DISCONNECT, as QuecThing devices do (QUECTHING.md 4.1).
pub(super) struct Connection {
    requests: mpsc::Sender<Request>,
}

enum Request {
    Subscribe(String),
    Publish { topic: String, payload: Vec<u8>, qos: QoS, id: SendId },
}

impl Connection {
    /// Asks for a subscription with QoS 1.
    pub fn subscribe(&self, filter: &str) -> Result<(), Refused> {
        self.request(Request::Subscribe(filter.to_owned()))
    }

    /// Sends.
    pub fn publish(&self, topic: &str, payload: &[u8], qos: Qos, id: SendId) -> Result<(), Refused> {
        let qos = match qos {
            Qos::AtMostOnce => QoS::AtMostOnce,
            Qos::AtLeastOnce => QoS::AtLeastOnce,
            Qos::ExactlyOnce => QoS::ExactlyOnce,
        };
        self.request(Request::Publish { topic: topic.to_owned(), payload: payload.to_vec(), qos, id })
    }

    fn request(&self, request: Request) -> Result<(), Refused> {
        self.requests.try_send(request).map_err(|_| Refused)
    }
}

impl Dialer {
    /// Starts to connect; its events belong to `generation`.
    pub fn connect(&self, to: &Connect<'_>, generation: Generation) -> Result<Connection, Refused> {
        let refused = |why: &str| {
            self.log.line(Level::Error, &format!("cannot connect to {}: {why}", to.url));
            Refused
        };
        let address = Address::parse(to.url).map_err(|e| refused(&e.to_string()))?;
        let tls = match address.tls {
            true => Some(self.trust.rustls().map_err(|e| refused(&e.to_string()))?),
            false => None,
        };
        let mut connect = v4::Connect::new(to.client_id);
        connect.clean_session = true;
        connect.keep_alive = to.keep_alive;
        // An empty user name is left out of CONNECT: flags 0x42, as QuecThing devices send.
        connect.set_login(to.user_name, to.password);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| refused(&e.to_string()))?;
        let (requests, inbox) = mpsc::channel(REQUESTS);
        let broker = Broker { address, tls, connect };
        let session = Session {
            dialer: self.clone(),
            url: to.url.to_owned(),
            generation,
            keep_alive: Duration::from_secs(u64::from(to.keep_alive)),
            state: MqttState::new(INFLIGHT, true),
            unsent: VecDeque::new(),
            sent: Vec::new(),
            refused: VecDeque::new(),
            awaited: 0,
            deadline: None,
            ping_at: None,
        };
        signal::spawn("quecota-mqtt", move || {
            runtime.block_on(session.run(broker, inbox));
            // A name lookup may still be under way in a helper thread; it is not waited for.
            runtime.shutdown_background();
        })
        .map_err(|e| refused(&e.to_string()))?;
        Ok(Connection { requests })
    }
}

/// One connection from CONNECT to its end.
struct Session {
    dialer: Dialer,
    url: String,
    generation: Generation,
    keep_alive: Duration,
    /// Packet ids, and what waits for acks.
    state: MqttState,
    /// Publishes handed to `state` that have no packet id yet, in order.
    unsent: VecDeque<SendId>,
    /// Publishes that wait for PUBACK or PUBCOMP, by packet id.
    sent: Vec<(u16, SendId)>,
    /// Messages that the agent had no room for, oldest first; later ones queue behind them.
    refused: VecDeque<Publish>,
    /// Acks that are expected and have not come.
    awaited: u32,
    /// When the ack timeout ends; `None` while no ack is expected.
    deadline: Option<Instant>,
    /// When the next PINGREQ goes; `None` without keep-alive.
    ping_at: Option<Instant>,
}

/// How a session ended.
enum Ending {
    /// The agent wants nothing more of it.
    Unwanted,
    /// CONNACK with this code.
    Refused(u8),
    /// Everything else.
    Lost(String),
}

impl From<BrokerError> for Ending {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::Refused(code) => Ending::Refused(code),
            other => Ending::Lost(other.to_string()),
        }
    }
}

impl From<PacketError> for Ending {
    fn from(error: PacketError) -> Self {
        Ending::Lost(error.to_string())
    }
}

impl From<StateError> for Ending {
    fn from(error: StateError) -> Self {
        Ending::Lost(error.to_string())
    }
}

impl Session {
    async fn run(mut self, broker: Broker, inbox: mpsc::Receiver<Request>) {
        let Err(ending) = self.live(broker, inbox).await;
        let link = match ending {
            Ending::Unwanted => return,
            Ending::Refused(code) => {
                self.dialer.log.line(Level::Warn, &format!("{} answered CONNACK {code}", self.url));
                Link::Refused(code)
            }
            Ending::Lost(why) => {
                self.dialer.log.line(Level::Warn, &format!("connection to {}: {why}", self.url));
                Link::Lost
            }
        };
        let open: Vec<SendId> = self.unsent.drain(..).chain(self.sent.drain(..).map(|(_, id)| id)).collect();
        for id in open {
            if self.tell(TransportEvent::Sent { id, delivered: false }) == Delivery::Stop {
                return;
            }
        }
        // Nothing follows, so the reply is of no use.
        let _ = self.tell(TransportEvent::Link(link));
    }

    async fn live(
        &mut self,
        broker: Broker,
        mut inbox: mpsc::Receiver<Request>,
    ) -> Result<Infallible, Ending> {
        let mut early = Vec::new();
        let connected = broker.connect(self.dialer.timeouts.connect);
        let mut connected = pin!(connected);
        let (mut reader, mut writer) = loop {
            tokio::select! {
                connected = &mut connected => break connected?,
                request = inbox.recv() => early.push(request.ok_or(Ending::Unwanted)?),
            }
        };
        self.ping_at = self.next_ping();
        go_on(self.tell(TransportEvent::Link(Link::Connected)))?;
        for request in early {
            self.request(&mut writer, request)?;
        }
        loop {
            self.happened(&mut writer)?;
            self.step(&mut reader, &mut writer, &mut inbox).await?;
        }
    }

    /// Waits for the first of: a packet, a request, room for what goes out, a refused message's next offer, a deadline.
    async fn step(
        &mut self,
        reader: &mut PacketReader,
        writer: &mut PacketWriter,
        inbox: &mut mpsc::Receiver<Request>,
    ) -> Result<(), Ending> {
        let offer = (!self.refused.is_empty()).then(|| Instant::now() + OFFER_AGAIN);
        let takes_requests = self.state.inflight() < INFLIGHT && self.state.collision.is_none();
        tokio::select! {
            packet = reader.next() => match packet? {
                Packet::Disconnect => Err(Ending::Lost("the broker sent DISCONNECT".to_owned())),
                packet => match self.state.handle_incoming_packet(packet)? {
                    Some(answer) => Ok(writer.put(&answer)?),
                    None => Ok(()),
                },
            },
            drained = writer.drain(), if !writer.is_empty() => Ok(drained?),
            request = inbox.recv(), if takes_requests => match request {
                None => Err(Ending::Unwanted),
                Some(request) => self.request(writer, request),
            },
            () = at(offer) => self.offer_again(writer),
            () = at(self.ping_at) => {
                self.ping_at = self.next_ping();
                self.send(writer, MqttRequest::PingReq(PingReq))
            }
            () = at(self.deadline) => {
                Err(Ending::Lost(format!("no answer within {:?}", self.dialer.timeouts.ack)))
            }
        }
    }

    fn request(&mut self, writer: &mut PacketWriter, request: Request) -> Result<(), Ending> {
        match request {
            Request::Subscribe(filter) => {
                self.send(writer, MqttRequest::Subscribe(Subscribe::new(filter, QoS::AtLeastOnce)))?;
                self.expect_ack();
            }
            Request::Publish { topic, payload, qos, id } => {
                self.unsent.push_back(id);
                self.send(writer, MqttRequest::Publish(Publish::new(topic, qos, payload)))?;
                if qos != QoS::AtMostOnce {
                    self.expect_ack();
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, writer: &mut PacketWriter, request: MqttRequest) -> Result<(), Ending> {
        if let Some(packet) = self.state.handle_outgoing_packet(request)? {
            writer.put(&packet)?;
        }
        Ok(())
    }

    /// Takes what `state` has noted of the packets that came and went.
    fn happened(&mut self, writer: &mut PacketWriter) -> Result<(), Ending> {
        while let Some(event) = self.state.events.pop_front() {
            self.event(writer, event)?;
        }
        Ok(())
    }

    fn event(&mut self, writer: &mut PacketWriter, event: Event) -> Result<(), Ending> {
        match event {
            Event::Outgoing(Outgoing::Publish(packet)) => match (self.unsent.pop_front(), packet) {
                (Some(id), 0) => return self.sent(id),
                (Some(id), packet) => self.sent.push((packet, id)),
                (None, _) => {}
            },
            Event::Outgoing(Outgoing::PingReq) => self.expect_ack(),
            Event::Incoming(Packet::PingResp) => self.ack_received(),
            Event::Incoming(Packet::PubRec(_)) => self.deadline = Some(self.due()),
            Event::Incoming(Packet::PubAck(ack)) => return self.acknowledged(ack.pkid),
            Event::Incoming(Packet::PubComp(comp)) => return self.acknowledged(comp.pkid),
            Event::Incoming(Packet::SubAck(ack)) => {
                self.ack_received();
                let granted =
                    ack.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_)));
                let link = if granted { Link::Subscribed } else { Link::SubscribeRefused };
                return go_on(self.tell(TransportEvent::Link(link)));
            }
            Event::Incoming(Packet::Publish(message)) => {
                // Order matters: nothing may overtake a message that waits.
                self.refused.push_back(message);
                if self.refused.len() > REFUSED_MAX {
                    return Err(Ending::Lost("the broker sends more than the device can take".to_owned()));
                }
                return self.offer_again(writer);
            }
            _ => {}
        }
        Ok(())
    }

    /// Hands messages over as long as the agent has room. Each is acknowledged once it was taken: what a crash
    /// leaves unacknowledged the broker has still to deliver.
    fn offer_again(&mut self, writer: &mut PacketWriter) -> Result<(), Ending> {
        while let Some(message) = self.refused.front() {
            match self.tell(TransportEvent::Message { topic: &message.topic, payload: &message.payload }) {
                Delivery::Stop => return Err(Ending::Unwanted),
                Delivery::NoRoom => return Ok(()),
                Delivery::Taken => {
                    let (qos, id) = (message.qos, message.pkid);
                    self.refused.pop_front();
                    match qos {
                        QoS::AtMostOnce => {}
                        QoS::AtLeastOnce => self.send(writer, MqttRequest::PubAck(PubAck::new(id)))?,
                        QoS::ExactlyOnce => self.send(writer, MqttRequest::PubRec(PubRec::new(id)))?,
                    }
                }
            }
        }
        Ok(())
    }

    fn acknowledged(&mut self, packet: u16) -> Result<(), Ending> {
        self.ack_received();
        let Some(at) = self.sent.iter().position(|(id, _)| *id == packet) else { return Ok(()) };
        let (_, id) = self.sent.swap_remove(at);
        self.sent(id)
    }

    fn sent(&self, id: SendId) -> Result<(), Ending> {
        go_on(self.tell(TransportEvent::Sent { id, delivered: true }))
    }

    fn tell(&self, event: TransportEvent<'_>) -> Delivery {
        self.dialer.sink.deliver(&self.generation, event)
    }

    fn next_ping(&self) -> Option<Instant> {
        (!self.keep_alive.is_zero()).then(|| Instant::now() + self.keep_alive)
    }

    /// Counts an expected ack and restarts the ack timeout.
    fn expect_ack(&mut self) {
        self.awaited = self.awaited.saturating_add(1);
        self.deadline = Some(self.due());
    }

    /// When the ack timeout ends if it starts now.
    fn due(&self) -> Instant {
        Instant::now() + self.dialer.timeouts.ack
    }

    /// Counts an ack that came and restarts the timeout while others are expected.
    fn ack_received(&mut self) {
        self.awaited = self.awaited.saturating_sub(1);
        self.deadline = (self.awaited > 0).then(|| self.due());
    }
}

fn go_on(delivery: Delivery) -> Result<(), Ending> {
    if delivery == Delivery::Stop { Err(Ending::Unwanted) } else { Ok(()) }
}

/// Sleeps until `instant`; for ever without one.
async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sink::GenerationCounter;
    use crate::host::sink::recording::{Received, Recorder};
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    /// A broker's end of one connection, byte by byte.
    struct Peer(TcpStream);

    impl Peer {
        fn accept(listener: &TcpListener) -> Self {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            Peer(stream)
        }

        /// First byte and body of the next packet.
        fn packet(&mut self) -> (u8, Vec<u8>) {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            let first = byte[0];
            let (mut length, mut shift) = (0, 0);
            loop {
                self.0.read_exact(&mut byte).unwrap();
                length |= usize::from(byte[0] & 0x7F) << shift;
                shift += 7;
                if byte[0] & 0x80 == 0 {
                    break;
                }
            }
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).unwrap();
            (first, body)
        }

        fn send(&mut self, bytes: &[u8]) {
            self.0.write_all(bytes).unwrap();
        }

        /// Nothing more comes but the end.
        fn is_closed(&mut self) -> bool {
            matches!(self.0.read(&mut [0; 16]), Ok(0))
        }
    }

    struct Scene {
        listener: TcpListener,
        sink: Arc<Recorder>,
        gate: GenerationCounter,
        dialer: Dialer,
    }

    impl Scene {
        fn new() -> Self {
            let sink = Arc::new(Recorder::default());
            let dialer = Dialer {
                sink: Arc::clone(&sink) as Arc<dyn EventSink>,
                trust: Arc::new(Trust::new(None)),
                log: Log::new(Level::Error),
                timeouts: Timeouts::default(),
            };
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            Scene { listener, sink, gate: GenerationCounter::default(), dialer }
        }

        fn connect(&self, user_name: &str) -> Connection {
            let url = format!("mqtt://{}", self.listener.local_addr().unwrap());
            let to = Connect {
                url: &url,
                client_id: "qdp1abcd860000000000001",
                user_name,
                password: "secret",
                keep_alive: 120,
            };
            self.dialer.connect(&to, self.gate.next()).unwrap()
        }

        fn connected(&self) -> (Connection, Peer) {
            let connection = self.connect("");
            let mut peer = Peer::accept(&self.listener);
            assert_eq!(peer.packet().0, 0x10);
            peer.send(&[0x20, 2, 0, 0]);
            assert_eq!(self.sink.next(), Received::Link(Link::Connected));
            (connection, peer)
        }
    }

    #[test]
    fn connect_without_user_name_sends_flags_42() {
        let scene = Scene::new();
        let _connection = scene.connect("");
        let (first, body) = Peer::accept(&scene.listener).packet();
        assert_eq!(first, 0x10);
        assert_eq!(body[..10], [0, 4, b'M', b'Q', b'T', b'T', 4, 0x42, 0, 120]);
        assert_eq!(body[10..], *b"\0\x17qdp1abcd860000000000001\0\x06secret");
    }

    #[test]
    fn connect_with_user_name_sends_flags_c2() {
        let scene = Scene::new();
        let _connection = scene.connect("me");
        let (_, body) = Peer::accept(&scene.listener).packet();
        assert_eq!(body[7], 0xC2);
        assert!(body.ends_with(b"\0\x02me\0\x06secret"));
    }

    #[test]
    fn each_connack_code_is_told() {
        for code in 1..=5 {
            let scene = Scene::new();
            let _connection = scene.connect("");
            let mut peer = Peer::accept(&scene.listener);
            peer.packet();
            peer.send(&[0x20, 2, 0, code]);
            assert_eq!(scene.sink.next(), Received::Link(Link::Refused(code)));
            assert!(peer.is_closed());
        }
    }

    #[test]
    fn a_port_without_listener_is_a_lost_link() {
        let scene = Scene::new();
        let url = format!("mqtt://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        let to = Connect { url: &url, client_id: "c", user_name: "", password: "p", keep_alive: 21 };
        let _connection = scene.dialer.connect(&to, scene.gate.next()).unwrap();
        assert_eq!(scene.sink.next(), Received::Link(Link::Lost));
    }

    #[test]
    fn the_connection_is_not_made_again_by_itself() {
        let scene = Scene::new();
        let (_connection, peer) = scene.connected();
        drop(peer);
        assert_eq!(scene.sink.next(), Received::Link(Link::Lost));
        scene.listener.set_nonblocking(true).unwrap();
        assert_eq!(scene.sink.within(Duration::from_millis(300)), None);
        assert!(scene.listener.accept().is_err());
    }

    #[test]
    fn a_subscription_is_told_as_granted_or_refused() {
        for (code, link) in [(1, Link::Subscribed), (0x80, Link::SubscribeRefused)] {
            let scene = Scene::new();
            let (connection, mut peer) = scene.connected();
            connection.subscribe("q/1/d/x/+").unwrap();
            let (first, body) = peer.packet();
            assert_eq!((first, &body[2..]), (0x82, &b"\0\x09q/1/d/x/+\x01"[..]));
            peer.send(&[0x90, 3, body[0], body[1], code]);
            assert_eq!(scene.sink.next(), Received::Link(link));
        }
    }

    #[test]
    fn qos_2_counts_as_sent_only_at_pubcomp() {
        let scene = Scene::new();
        let (connection, mut peer) = scene.connected();
        connection.publish("q/2/d/x/ota", b"frame", Qos::ExactlyOnce, SendId(7)).unwrap();
        let (first, body) = peer.packet();
        assert_eq!(first, 0x34);
        let id = [body[13], body[14]];
        peer.send(&[0x50, 2, id[0], id[1]]);
        assert_eq!(peer.packet(), (0x62, id.to_vec()));
        assert_eq!(scene.sink.within(Duration::from_millis(100)), None);
        peer.send(&[0x70, 2, id[0], id[1]]);
        assert_eq!(scene.sink.next(), Received::Sent(SendId(7), true));
    }

    #[test]
    fn a_publish_that_the_link_loses_is_told_before_the_loss() {
        let scene = Scene::new();
        let (connection, mut peer) = scene.connected();
        connection.publish("t", b"frame", Qos::AtLeastOnce, SendId(9)).unwrap();
        peer.packet();
        drop(peer);
        assert_eq!(scene.sink.next(), Received::Sent(SendId(9), false));
        assert_eq!(scene.sink.next(), Received::Link(Link::Lost));
    }

    #[test]
    fn a_broker_that_never_answers_connect_is_given_up() {
        let mut scene = Scene::new();
        scene.dialer.timeouts.connect = Duration::from_millis(200);
        let _connection = scene.connect("");
        let mut peer = Peer::accept(&scene.listener);
        peer.packet();
        assert_eq!(scene.sink.next(), Received::Link(Link::Lost));
        assert!(peer.is_closed());
    }

    #[test]
    fn a_broker_that_never_acknowledges_is_given_up() {
        let mut scene = Scene::new();
        scene.dialer.timeouts.ack = Duration::from_millis(200);
        let (connection, mut peer) = scene.connected();
        connection.publish("t", b"frame", Qos::ExactlyOnce, SendId(3)).unwrap();
        peer.packet();
        assert_eq!(scene.sink.next(), Received::Sent(SendId(3), false));
        assert_eq!(scene.sink.next(), Received::Link(Link::Lost));
        assert!(peer.is_closed());
    }

    #[test]
    fn a_message_is_acknowledged_only_once_the_agent_took_it_and_none_overtakes_it() {
        let scene = Scene::new();
        let (connection, mut peer) = scene.connected();
        scene.sink.reply([Delivery::NoRoom, Delivery::NoRoom, Delivery::NoRoom]);
        peer.send(b"\x32\x06\x00\x01t\x00\x05A");
        peer.send(b"\x32\x06\x00\x01t\x00\x06B");
        // Meanwhile the connection goes on working.
        connection.publish("t", b"x", Qos::AtMostOnce, SendId(1)).unwrap();
        assert_eq!(peer.packet().0, 0x30);
        assert_eq!(peer.packet(), (0x40, vec![0, 5]));
        assert_eq!(peer.packet(), (0x40, vec![0, 6]));
        let mut order = Vec::new();
        while order.last() != Some(&b"B".to_vec()) {
            if let Received::Message(_, payload) = scene.sink.next() {
                order.push(payload);
            }
        }
        order.dedup();
        assert_eq!(order, [b"A", b"B"]);
    }

    #[test]
    fn what_an_old_connection_brings_is_never_told() {
        let scene = Scene::new();
        let (connection, mut peer) = scene.connected();
        scene.gate.close();
        peer.send(b"\x30\x04\x00\x01tA");
        assert_eq!(scene.sink.within(Duration::from_millis(200)), None);
        drop(connection);
        assert!(peer.is_closed());
        assert_eq!(scene.sink.within(Duration::from_millis(100)), None);
    }

    #[test]
    fn dropping_the_connection_closes_tcp_without_disconnect() {
        let scene = Scene::new();
        let (connection, mut peer) = scene.connected();
        drop(connection);
        assert!(peer.is_closed());
    }

    #[test]
    fn a_message_of_64_kib_arrives_whole() {
        let scene = Scene::new();
        let (_connection, mut peer) = scene.connected();
        let payload = vec![0xA5; 65536];
        peer.send(&[0x30, 0x83, 0x80, 0x04, 0, 1, b't']);
        peer.send(&payload);
        assert_eq!(scene.sink.next(), Received::Message("t".to_owned(), payload));
    }
}
