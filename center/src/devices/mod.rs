//! The MQTT 3.1.1 endpoint for devices: credentials, sessions, and frames to and from the engine.
//!
//! One task per connection: [`handshake`] reads CONNECT, [`credentials`] decides about it, [`session`] runs MQTT,
//! [`device_protocol`] opens frames and gives what [`codec`] decodes to the engine. The [`registry`] has the way down to each
//! connected device. State of a connection lives as long as the connection; what must last is in the store before it is
//! acknowledged.

mod admissions;
mod business_data;
pub mod codec;
mod credentials;
mod device_protocol;
mod ended_sessions;
mod handshake;
mod log_limiter;
mod new_devices;
mod qos2_dedup;
mod registry;
mod send_queue;
mod session;
mod strangers;
mod timing;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::join_all;
use rmqtt_codec::v3::ConnectAckReason;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::coop::unconstrained;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::engine::{Downlink, Engine, SessionId};
use crate::open_files;
use crate::proxy_protocol::Balancers;
use crate::scheduler::{Delivery, DeviceLink};
use crate::store::DeviceId;
use crate::tls::Tls;

use admissions::Admissions;
use credentials::{AdmissionError, Admitted};
use device_protocol::DeviceProtocol;
use ended_sessions::{Ended, EndedSessions};
use handshake::Handshake;
use log_limiter::LogLimiter;
use new_devices::NewDevices;
use registry::{Connection, Registry};
use send_queue::CloseReason;
use session::{Session, Topics};
use strangers::{Stranger, Strangers};

pub use new_devices::NEW_DEVICES;
pub use timing::Timing;

/// Connections that are accepted before anything else goes on: the system keeps some thousands for us, and makes the devices
/// behind them wait for seconds.
const ACCEPTS: usize = 1_000;
/// Bytes that a device may send before its CONNECT is answered.
const EARLY: usize = 4096;
/// Silence after which the system asks whether the peer is still there: a device may set no keep-alive of its own.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(120);
/// How long a place is waited for when all are taken: devices that come back may be here before the center has seen that
/// their old connections are closed. From then on who said nothing has to make room, until a place is free by itself.
const PATIENCE: Duration = Duration::from_secs(1);
/// Who has to make room does so at once.
const ROOM: Duration = Duration::from_millis(100);
/// Pause after a failed accept: most likely no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for all sessions to end when the center stops.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(4);

/// A connection's place, and its open file.
type Permit = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// The MQTT endpoint of one center.
pub struct MqttEndpoint {
    engine: Engine,
    timing: Timing,
    registry: Registry,
    log_limiter: LogLimiter,
    /// Places for connections at the same time, those before CONNECT included. Further ones are closed at once; the device
    /// tries again.
    connections: Arc<Semaphore>,
    most: usize,
    /// The open files that connections of HTTP take from, too.
    files: Option<Arc<Semaphore>>,
    strangers: Strangers,
    admissions: Admissions,
    balancers: Balancers,
    /// The sessions end spread over this time when the center stops.
    drain: Duration,
    ended: EndedSessions,
}

impl MqttEndpoint {
    /// An endpoint without connections, for the engine's devices.
    pub fn new(engine: Engine) -> Arc<Self> {
        Self::with_timing(engine, Timing::default())
    }

    /// As [`MqttEndpoint::new`], behind these balancers, and with sessions that end spread over `drain` when the center
    /// stops: the devices connect elsewhere, and not all at once.
    /// A product takes `new_devices` for the first time in one minute, and there are up to `most` connections at a time,
    /// each of which takes one of these files.
    pub fn behind(
        engine: Engine,
        balancers: Balancers,
        drain: Duration,
        new_devices: u32,
        (most, files): (usize, Arc<Semaphore>),
    ) -> Arc<Self> {
        let endpoint = Self::unshared(engine, Timing::default(), new_devices, most);
        Arc::new(Self { balancers, drain, files: Some(files), ..endpoint })
    }

    /// As [`MqttEndpoint::new`], with other times.
    pub fn with_timing(engine: Engine, timing: Timing) -> Arc<Self> {
        Arc::new(Self::unshared(engine, timing, NEW_DEVICES, open_files::DEVICES))
    }

    fn unshared(engine: Engine, timing: Timing, new_devices: u32, most: usize) -> Self {
        let (store, clock) = (engine.store().clone(), engine.clock().clone());
        let new_devices = NewDevices::limited(new_devices);
        Self {
            admissions: Admissions::new(store, clock, new_devices, timing.admission),
            engine,
            timing,
            registry: Registry::default(),
            log_limiter: LogLimiter::new(Instant::now()),
            connections: Arc::new(Semaphore::new(most)),
            most,
            files: None,
            strangers: Strangers::default(),
            balancers: Balancers::default(),
            drain: Duration::ZERO,
            ended: EndedSessions::default(),
        }
    }

    /// How many devices are connected here.
    pub fn connected(&self) -> usize {
        self.registry.count()
    }

    /// Serves devices on `listener` until `shutdown`; then ends every session, spread over the time of the drain.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        self.serve_ports(vec![(listener, None)], shutdown).await;
    }

    /// Serves devices on several listeners, some of them over TLS, until `shutdown`; then ends every session, spread over
    /// the time of the drain.
    pub async fn serve_ports(
        self: Arc<Self>,
        ports: Vec<(TcpListener, Option<Tls>)>,
        shutdown: CancellationToken,
    ) {
        let accepting = ports
            .iter()
            .map(|(listener, tls)| unconstrained(self.accept_all(listener, tls.as_ref(), &shutdown)));
        tokio::join!(join_all(accepting), self.report_ended(&shutdown));
        drop(ports);
        self.drain().await;
        self.registry.close_all(CloseReason::ShuttingDown);
        // Includes connections before CONNECT, which `shutdown` ends.
        let all = u32::try_from(self.most).unwrap_or(u32::MAX);
        if timeout(SHUTDOWN_LIMIT, self.connections.acquire_many(all)).await.is_err() {
            tracing::warn!(connected = self.connected(), "sessions did not end within {SHUTDOWN_LIMIT:?}");
        }
    }

    /// A place for a connection, once there is one.
    async fn place(&self) -> Permit {
        let place = async |places: &Arc<Semaphore>| match Arc::clone(places).acquire_owned().await {
            Ok(place) => place,
            // They are never closed.
            Err(_) => pending().await,
        };
        let connection = place(&self.connections).await;
        match &self.files {
            Some(files) => (connection, Some(place(files).await)),
            None => (connection, None),
        }
    }

    /// Closes the sessions one after the other, spread evenly over the time of the drain.
    async fn drain(&self) {
        let connections = self.registry.all();
        if self.drain.is_zero() || connections.is_empty() {
            return;
        }
        tracing::info!(connected = connections.len(), "sending the devices away over {:?}", self.drain);
        let begun = Instant::now();
        let count = u32::try_from(connections.len()).unwrap_or(u32::MAX);
        for (number, connection) in (0..).zip(connections) {
            tokio::time::sleep_until(begun + self.drain.mul_f64(f64::from(number) / f64::from(count))).await;
            connection.send_queue.close(CloseReason::ShuttingDown);
        }
    }

    async fn accept_all(
        self: &Arc<Self>,
        listener: &TcpListener,
        tls: Option<&Tls>,
        shutdown: &CancellationToken,
    ) {
        let mut full_since: Option<Instant> = None;
        for number in 1usize.. {
            if number.is_multiple_of(ACCEPTS) {
                yield_now().await;
            }
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.log_limited(
                        |left_out| tracing::warn!(%error, left_out, "cannot accept a connection"),
                    );
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let since = *full_since.get_or_insert_with(Instant::now);
            let mut permit = timeout_at(since + PATIENCE, self.place()).await;
            if permit.is_err() && self.strangers.make_room() {
                permit = timeout(ROOM, self.place()).await;
            } else {
                full_since = full_since.filter(|_| permit.is_err());
            }
            let Ok(permit) = permit else {
                let (open, most) = (self.most - self.connections.available_permits(), self.most);
                self.log_limited(|left_out| {
                    tracing::warn!(
                        %peer,
                        left_out,
                        "closed: {open} connections of devices are open, of at most {most} while nothing is downloaded"
                    );
                });
                continue;
            };
            if let Err(error) = prepare(&stream) {
                tracing::debug!(%peer, %error, "connection without its options");
            }
            let met = Arc::clone(self).meet(stream, peer, tls.cloned(), permit, shutdown.clone());
            tokio::spawn(met);
        }
    }

    /// A connection before its first byte. What follows is a task of its own: an idle session has no room for how it began.
    async fn meet(
        self: Arc<Self>,
        mut stream: TcpStream,
        peer: SocketAddr,
        tls: Option<Tls>,
        permit: Permit,
        shutdown: CancellationToken,
    ) {
        let client = tokio::select! {
            () = shutdown.cancelled() => return,
            client = Box::pin(self.balancers.client(&mut stream, peer)) => client,
        };
        let peer = match client {
            Ok(client) => client,
            Err(reason) => {
                self.log_limited(|left_out| tracing::warn!(%peer, left_out, "closed: {reason}"));
                return;
            }
        };
        let stranger = self.strangers.add(peer.ip());
        let Some(tls) = tls else {
            tokio::spawn(self.handle_connection(stream, peer, (stranger, permit), shutdown));
            return;
        };
        match self.if_it_stays(&stranger, peer, Box::pin(tls.accept(stream))).await {
            None => {}
            Some(Ok(stream)) => {
                tokio::spawn(self.handle_connection(stream, peer, (stranger, permit), shutdown));
            }
            Some(Err(error)) => {
                self.log_limited(|left_out| tracing::info!(%peer, left_out, "no TLS: {error}"));
            }
        }
    }

    /// Waits for what a connection does before its CONNECT; none: it is over, for its place is needed.
    async fn if_it_stays<T>(
        &self,
        stranger: &Stranger,
        peer: SocketAddr,
        does: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            () = stranger.told_to_leave() => {
                self.engine.metrics().connect("made_room");
                self.log_limited(|left_out| {
                    tracing::warn!(%peer, left_out, "closed: it has sent no CONNECT yet, and all {} places are taken", self.most);
                });
                None
            }
            done = does => Some(done),
        }
    }

    /// One connection, from its first byte to its end; it is a stranger until its CONNECT.
    async fn handle_connection<S: AsyncRead + AsyncWrite + Unpin + Send>(
        self: Arc<Self>,
        mut stream: S,
        peer: SocketAddr,
        (stranger, _place): (Stranger, Permit),
        shutdown: CancellationToken,
    ) {
        // Boxed: its state is freed before the session, which lasts.
        let admitted = Box::pin(self.admit(&mut stream, peer, stranger, &shutdown)).await;
        let Some((Handshake { connect, codec, rest }, mut admitted)) = admitted else { return };
        let keep_alive = connect.keep_alive;
        // It holds on to the bytes that it was read from.
        drop(connect);
        let device = admitted.device;
        let connection = Arc::new(Connection::new(device, std::mem::take(&mut admitted.client_id)));
        let client = connection.client_id();
        let topics = match Topics::of(client) {
            Ok(topics) => topics,
            Err(error) => {
                tracing::error!(client, "no topic for this client id: {error}");
                return;
            }
        };
        let metrics = self.engine.metrics();
        metrics.connect(match admitted.auth_method {
            credentials::AuthMethod::Bootstrap => "bootstrap",
            credentials::AuthMethod::Login => "login",
        });
        let _connected = metrics.connection();
        tracing::info!(client, %peer, entrance = ?admitted.auth_method, session = ?admitted.session, "device connected");

        let took_over = self.registry.add(&connection);
        if shutdown.is_cancelled() {
            // Added after `close_all`, perhaps.
            connection.send_queue.close(CloseReason::ShuttingDown);
        }
        let (limiter, way_down) = (&self.log_limiter, Arc::clone(&connection));
        let mut protocol =
            DeviceProtocol::new(&self.engine, limiter, way_down, admitted, peer.ip(), took_over);
        let mut session =
            Session::new(stream, codec, rest, &connection.send_queue, &self.timing, topics, keep_alive);
        let end = match session.send_first(handshake::connack(ConnectAckReason::ConnectionAccepted)).await {
            Ok(()) => session.run(&mut protocol).await,
            Err(end) => end,
        };
        self.registry.remove(&connection);
        tracing::info!(client = protocol.client(), %peer, "device disconnected: {end}");
        // A center that stops ends all of them in the store at once. Nobody else waits for the store here: the socket
        // closes, and its place is free.
        if let Some(session) = protocol.into_session().filter(|_| !shutdown.is_cancelled()) {
            self.ended.add((device, session));
        }
    }

    /// From the first byte to the decision; none: the connection is over.
    async fn admit<S: AsyncRead + AsyncWrite + Unpin + Send>(
        &self,
        stream: &mut S,
        peer: SocketAddr,
        stranger: Stranger,
        shutdown: &CancellationToken,
    ) -> Option<(Handshake, Admitted)> {
        let accepted = handshake::accept(stream, self.timing.connect);
        let handshake = tokio::select! {
            () = shutdown.cancelled() => return None,
            handshake = self.if_it_stays(&stranger, peer, accepted) => handshake?,
        };
        drop(stranger);
        let mut handshake = match handshake {
            Ok(handshake) => handshake,
            Err(reason) => {
                self.log_limited(|left_out| tracing::info!(%peer, left_out, "not a device: {reason}"));
                return None;
            }
        };
        let admitted = tokio::select! {
            biased;
            () = shutdown.cancelled() => return None,
            admitted = self.admissions.decide(handshake.connect.clone()) => admitted,
            () = hung_up(stream, &mut handshake.rest) => {
                tracing::debug!(client = &*handshake.connect.client_id, %peer, "gone before it was decided about");
                return None;
            }
        };
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.refuse(stream, peer, &handshake.connect.client_id, &reason).await;
                return None;
            }
        };
        if let Some(pause) = admitted.pause {
            tokio::select! {
                () = shutdown.cancelled() => return None,
                () = sleep(pause) => {}
            }
        }
        Some((handshake, admitted))
    }

    async fn refuse(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin + Send),
        peer: SocketAddr,
        client: &str,
        reason: &AdmissionError,
    ) {
        self.engine.metrics().connect(if reason.answer().is_some() { "refused" } else { "closed" });
        let answer = reason.answer();
        let code = answer.map(u8::from);
        self.log_limited(
            |left_out| tracing::warn!(client, %peer, connack = code, left_out, "not admitted: {reason}"),
        );
        if let Some(code) = answer {
            // The device may be gone already.
            let _ = handshake::refuse(stream, code, self.timing.write).await;
        }
    }

    /// Tells the engine of connections that have ended.
    async fn report_ended(&self, shutdown: &CancellationToken) {
        tokio::select! {
            // The next start takes every connection of this run as ended.
            () = shutdown.cancelled() => {}
            () = self.ended.report(|ended| self.report_offline(ended)) => {}
        }
    }

    /// Tells the engine that a connection has ended; gives back what could not be told now.
    async fn report_offline(&self, (device, session): Ended) -> Option<Ended> {
        match timeout(self.timing.commit, Box::pin(self.engine.offline(device, &session))).await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => self.log_limited(
                |left_out| tracing::warn!(device = device.0, %error, left_out, "not noted as offline yet"),
            ),
            Err(_) => {}
        }
        Some((device, session))
    }

    /// Writes a log line that an unauthenticated peer can cause, within the limit of [`LogLimiter`].
    fn log_limited(&self, write: impl FnOnce(u32)) {
        if let Some(left_out) = self.log_limiter.admit(Instant::now()) {
            write(left_out);
        }
    }
}

/// Returns when the peer has closed its side; what it sends meanwhile goes to `input`, up to a limit.
async fn hung_up(stream: &mut (impl AsyncRead + Unpin), input: &mut BytesMut) {
    while input.len() < EARLY {
        match session::read_step(stream, input).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    pending().await
}

/// Frames are small and each waits for an answer: they must not wait for each other. A peer that is gone for good is found
/// out by the system.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let keep_alive = TcpKeepalive::new().with_time(TCP_KEEP_ALIVE).with_interval(Duration::from_secs(30));
    SockRef::from(stream).set_tcp_keepalive(&keep_alive)
}

impl DeviceLink for MqttEndpoint {
    fn send(&self, device: DeviceId, message: &Downlink) -> Delivery {
        let Some(connection) = self.registry.find(device) else { return Delivery::Offline };
        match connection.send(message) {
            Ok(()) => {
                self.engine.metrics().message_out();
                Delivery::Queued
            }
            Err(error) => {
                tracing::warn!(device = device.0, message = message.name(), %error, "message not sent");
                Delivery::Refused
            }
        }
    }

    fn close(&self, device: DeviceId, session: &SessionId) {
        if let Some(connection) = self.registry.find(device)
            && connection.session.get() == Some(session)
        {
            connection.send_queue.close(CloseReason::TakenOver);
        }
    }

    fn close_all(&self) {
        self.registry.close_all(CloseReason::CutOff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::engine::{Firmware, FirmwareUrls};
    use crate::store::Store;

    struct NoUrls;

    impl FirmwareUrls for NoUrls {
        fn firmware_url(&self, _: &Firmware<'_>) -> String {
            String::new()
        }
    }

    #[tokio::test]
    async fn the_task_of_an_idle_session_is_small() {
        let store = Store::in_memory().await.unwrap();
        let endpoint = MqttEndpoint::new(Engine::new(store, Clock::system(), Arc::new(NoUrls)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (peer, shutdown) = (stream.local_addr().unwrap(), CancellationToken::new());
        let permit = (Arc::clone(&endpoint.connections).try_acquire_owned().unwrap(), None);
        let places = (endpoint.strangers.add(peer.ip()), permit);
        let bytes = size_of_val(&endpoint.handle_connection(stream, peer, places, shutdown));
        // With what tokio keeps of a task it is to fit into 2 KB.
        assert!(bytes <= 1920, "{bytes} bytes");
    }
}
