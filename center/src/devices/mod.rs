//! The devices' link: the MQTT 3.1.1 endpoint, credentials, sessions, and frames to and from the engine.
//!
//! One task per connection: [`handshake`] reads CONNECT, [`credentials`] decides, [`session`] runs MQTT, [`talk`] turns
//! messages into frames and back. A [`seat`] is the way down to a connected device. State of a connection lives as long as
//! the connection; what must last is in the store before it is acknowledged.

pub mod codec;
mod credentials;
mod handshake;
mod inbox;
mod outbox;
mod seat;
mod session;
mod talk;
mod throttle;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rmqtt_codec::v3::ConnectAckReason;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::{Downlink, Engine, SessionId};
use crate::store::DeviceId;

pub(crate) use credentials::new_secret;
use credentials::{Admitted, NotAdmitted};
use handshake::Greeting;
use outbox::Kick;
use seat::{Seat, Seats};
use session::{Session, Topics};
use talk::Talk;
use throttle::Throttle;

pub use session::Timing;

/// Connections at the same time, those before CONNECT included. More are closed unheard: a device tries again.
const CONNECTIONS: u32 = 100_000;
/// How often the engine is told that time passes.
const TICK: Duration = Duration::from_secs(1);
/// After an accept that failed, most likely because no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For all sessions to end when the center stops.
const FAREWELL: Duration = Duration::from_secs(4);

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It waits for its turn on the device's connection.
    Queued,
    /// The device has no connection to this center.
    Offline,
    /// The device does not take what waits for it already, or the message is too long; the log has it.
    Refused,
}

/// The devices' link of one center.
pub struct Link {
    engine: Engine,
    timing: Timing,
    seats: Seats,
    throttle: Throttle,
    connections: Arc<Semaphore>,
    /// Connections that have ended while the store was away: the engine is told when it is back.
    departed: Mutex<Vec<(DeviceId, SessionId)>>,
}

impl Link {
    /// A link without connections, for the engine's devices.
    pub fn new(engine: Engine) -> Arc<Self> {
        Self::with_timing(engine, Timing::default())
    }

    /// As [`Link::new`], with other times.
    pub fn with_timing(engine: Engine, timing: Timing) -> Arc<Self> {
        Arc::new(Self {
            engine,
            timing,
            seats: Seats::default(),
            throttle: Throttle::new(Instant::now()),
            connections: Arc::new(Semaphore::new(CONNECTIONS as usize)),
            departed: Mutex::default(),
        })
    }

    /// Sends a message to a device, if it is connected here. Nothing is promised: what must arrive has a lease.
    pub fn send(&self, device: DeviceId, message: &Downlink) -> Delivery {
        let Some(seat) = self.seats.find(device) else { return Delivery::Offline };
        match seat.tell(message) {
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

    /// How many devices are connected here.
    pub fn connected(&self) -> usize {
        self.seats.count()
    }

    /// Serves devices on `listener` and tells the engine that time passes, until `shutdown`; then ends every session.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, shutdown: CancellationToken) {
        tokio::join!(self.accept_all(&listener, &shutdown), self.pass_time(&shutdown));
        drop(listener);
        self.seats.kick_all(Kick::ShuttingDown);
        // Connections before CONNECT hear of it too: they end with the process, after those that have a session.
        if timeout(FAREWELL, self.connections.acquire_many(CONNECTIONS)).await.is_err() {
            tracing::warn!(connected = self.connected(), "sessions did not end within {FAREWELL:?}");
        }
    }

    async fn accept_all(self: &Arc<Self>, listener: &TcpListener, shutdown: &CancellationToken) {
        loop {
            let accepted = tokio::select! {
                () = shutdown.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    self.note(|left_out| tracing::warn!(%error, left_out, "cannot accept a connection"));
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
                self.note(
                    |left_out| tracing::warn!(%peer, left_out, "closed: {CONNECTIONS} connections are open"),
                );
                continue;
            };
            let link = Arc::clone(self);
            let shutdown = shutdown.clone();
            tokio::spawn(async move {
                link.attend(stream, peer, &shutdown).await;
                drop(permit);
            });
        }
    }

    /// One connection, from its first byte to its end.
    async fn attend(&self, mut stream: TcpStream, peer: SocketAddr, shutdown: &CancellationToken) {
        // Frames are small and each waits for an answer: they must not wait for each other.
        let _ = stream.set_nodelay(true);
        let greeted = tokio::select! {
            () = shutdown.cancelled() => return,
            greeted = Box::pin(handshake::greet(&mut stream, self.timing.connect)) => greeted,
        };
        let greeting = match greeted {
            Ok(greeting) => greeting,
            Err(reason) => {
                self.note(|left_out| tracing::info!(%peer, left_out, "not a device: {reason}"));
                return;
            }
        };
        let now = self.engine.clock().now();
        // Boxed, as all that is over before the long rest of a session.
        let admission = Box::pin(credentials::admit(self.engine.store(), &greeting.connect, now));
        match timeout(self.timing.admission, admission).await {
            Ok(Ok(admitted)) => self.converse(stream, peer, greeting, admitted, shutdown).await,
            Ok(Err(reason)) => {
                Box::pin(self.refuse(stream, peer, &greeting.connect.client_id, &reason)).await
            }
            Err(_) => {
                let client = &*greeting.connect.client_id;
                self.note(|left_out| {
                    tracing::warn!(client, %peer, left_out, "closed: not decided within {:?}", self.timing.admission);
                });
            }
        }
    }

    async fn refuse(&self, mut stream: TcpStream, peer: SocketAddr, client: &str, reason: &NotAdmitted) {
        self.engine.metrics().connect(if reason.answer().is_some() { "refused" } else { "closed" });
        let answer = reason.answer();
        let code = answer.map(u8::from);
        self.note(
            |left_out| tracing::warn!(client, %peer, connack = code, left_out, "not admitted: {reason}"),
        );
        if let Some(code) = answer {
            // The device may be gone already.
            let _ = handshake::answer(&mut stream, code, self.timing.write).await;
        }
    }

    /// The session of an admitted device.
    async fn converse(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        greeting: Greeting,
        admitted: Admitted,
        shutdown: &CancellationToken,
    ) {
        let Greeting { connect, codec, rest } = greeting;
        let metrics = self.engine.metrics();
        metrics.connect(match admitted.entrance {
            credentials::Entrance::Bootstrap => "bootstrap",
            credentials::Entrance::Login => "login",
        });
        let _connected = metrics.connection();
        let device = admitted.device;
        let client = admitted.client_id.clone();
        tracing::info!(client, %peer, entrance = ?admitted.entrance, session = ?admitted.session, "device connected");

        let seat = Arc::new(Seat::new(device, &client));
        self.seats.take(&seat);
        if shutdown.is_cancelled() {
            // It may have come too late for the kick of all seats.
            seat.outbox.kick(Kick::ShuttingDown);
        }
        let mut talk = Talk::new(&self.engine, &self.throttle, Arc::clone(&seat), admitted);
        let topics = Topics::of(&client);
        let mut session =
            Session::new(stream, codec, rest, &seat.outbox, &self.timing, topics, connect.keep_alive);
        let end = match session.greet(handshake::connack(ConnectAckReason::ConnectionAccepted)).await {
            Ok(()) => session.run(&mut talk).await,
            Err(end) => end,
        };
        // The socket closes before the store is asked: a device must not wait for that.
        drop(session);
        self.seats.leave(&seat);
        tracing::info!(client, %peer, "device disconnected: {end}");
        if let Some(session) = talk.into_session() {
            Box::pin(self.depart(device, session)).await;
        }
    }

    /// Tells the engine that a connection has ended, now or when the store is back.
    async fn depart(&self, device: DeviceId, session: SessionId) {
        match timeout(self.timing.commit, Box::pin(self.engine.offline(device, &session))).await {
            Ok(Ok(())) => {}
            outcome => {
                if let Ok(Err(error)) = outcome {
                    self.note(|left_out| tracing::warn!(device = device.0, %error, left_out, "not noted as offline yet"));
                }
                self.departed.lock().unwrap_or_else(PoisonError::into_inner).push((device, session));
            }
        }
    }

    /// Ticks the engine and sends what it has to say.
    async fn pass_time(&self, shutdown: &CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                () = shutdown.cancelled() => return,
                due = ticks.tick() => due,
            };
            let begun = Instant::now();
            let ticked = self.engine.tick().await;
            let lag = begun.saturating_duration_since(due);
            self.engine.metrics().tick(lag, begun.elapsed());
            match ticked {
                Ok(messages) => {
                    for (device, message) in messages {
                        self.send(device, &message);
                    }
                    self.retry_departures().await;
                }
                Err(error) => {
                    self.note(|left_out| tracing::warn!(%error, left_out, "the engine's tick failed"))
                }
            }
        }
    }

    async fn retry_departures(&self) {
        let departed = std::mem::take(&mut *self.departed.lock().unwrap_or_else(PoisonError::into_inner));
        for (device, session) in departed {
            self.depart(device, session).await;
        }
    }

    /// Writes a line about what a stranger may cause as often as he likes, unless there were too many lately.
    fn note(&self, write: impl FnOnce(u32)) {
        if let Some(left_out) = self.throttle.line(Instant::now()) {
            write(left_out);
        }
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
    async fn an_idle_session_takes_less_than_four_kilobytes() {
        let store = Store::in_memory().await.unwrap();
        let link = Link::new(Engine::new(store, Clock::system(), Arc::new(NoUrls)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (peer, shutdown) = (stream.local_addr().unwrap(), CancellationToken::new());
        let bytes = size_of_val(&link.attend(stream, peer, &shutdown));
        assert!(bytes < 4096, "{bytes} bytes");
    }
}
