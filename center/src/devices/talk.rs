//! What one connected device and the engine say to each other: frames in and out, secrets and session key.

use std::sync::Arc;

use bytes::Bytes;
use quecota_core::limits;
use quecota_core::wire::credential::{Session, SessionCipher};
use quecota_core::wire::frame::{Frame, FrameError};
use quecota_core::wire::message::{self as wire, Provision};

use crate::engine::{Downlink, Engine, SessionId, Uplink};

use super::codec::{self, Payload};
use super::credentials::{Admitted, Entrance, random_text};
use super::seat::Seat;
use super::session::{Dialogue, End};
use super::throttle::Throttle;

/// How the device's frames may come (DECISIONS.md "plain or encrypted").
#[derive(Default)]
enum UplinkCipher {
    /// The session has no key.
    #[default]
    Plain,
    /// The device has a key, and has not shown yet that it uses it.
    Either(SessionCipher),
    /// It has: a plain frame is not from it any more.
    Encrypted(SessionCipher),
}

/// Why bytes from a device are no frame.
#[derive(Debug, thiserror::Error)]
enum Garbage {
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0} bytes that the session key does not open")]
    Sealed(usize),
}

/// One device's side of the link.
pub(super) struct Talk<'a> {
    engine: &'a Engine,
    throttle: &'a Throttle,
    seat: Arc<Seat>,
    admitted: Admitted,
    cipher: UplinkCipher,
    session: Option<SessionId>,
}

impl<'a> Talk<'a> {
    /// The talk with `admitted`, who sits on `seat`.
    pub fn new(engine: &'a Engine, throttle: &'a Throttle, seat: Arc<Seat>, admitted: Admitted) -> Self {
        Self { engine, throttle, seat, admitted, cipher: UplinkCipher::Plain, session: None }
    }

    /// The engine's name for the connection, if the device came online with it.
    pub fn into_session(self) -> Option<SessionId> {
        self.session
    }

    /// Gives the device its secret and its session key, as far as it needs them (QUECTHING.md 4.2).
    fn provision(&mut self) -> Result<(), End> {
        let bootstrap = self.admitted.entrance == Entrance::Bootstrap;
        let encrypted = self.admitted.session == Session::Encrypted;
        if !bootstrap && !encrypted {
            return Ok(());
        }
        let key = encrypted.then(session_key);
        let provision = Provision {
            device_secret: if bootstrap { self.admitted.secret.as_str() } else { "" },
            session_key: key,
            ..Provision::default()
        };
        let message = Payload::of(&wire::Downlink::Provision(provision))
            .map_err(|error| End::Failed(error.to_string()))?;
        match key {
            None => self.seat.say(&message),
            Some(key) => {
                self.cipher = UplinkCipher::Either(SessionCipher::new(&key));
                self.seat.say_then_encrypt(&message, SessionCipher::new(&key))
            }
        }
        .map_err(|error| End::Failed(error.to_string()))
    }

    fn say_all(&self, messages: &[Downlink]) {
        for message in messages {
            self.engine.metrics().message_out();
            if let Err(error) = self.seat.tell(message) {
                // What the engine offered has a lease: unanswered, it is offered again.
                tracing::warn!(device = %self.admitted.client_id, %error, "message not sent");
            }
        }
    }

    /// Takes the cipher off. The bytes that are left may still be no frame.
    fn open(&mut self, payload: &[u8]) -> Result<Vec<u8>, Garbage> {
        let mut bytes = payload.to_vec();
        match &self.cipher {
            UplinkCipher::Plain => Ok(bytes),
            UplinkCipher::Either(cipher) => {
                if Frame::parse(&mut bytes.clone()).is_ok() {
                    return Ok(bytes);
                }
                decrypt(cipher, &mut bytes)?;
                Frame::parse(&mut bytes.clone())?;
                if let UplinkCipher::Either(cipher) = std::mem::take(&mut self.cipher) {
                    self.cipher = UplinkCipher::Encrypted(cipher);
                }
                Ok(bytes)
            }
            UplinkCipher::Encrypted(cipher) => {
                decrypt(cipher, &mut bytes)?;
                Ok(bytes)
            }
        }
    }

    /// A vendor device drops bad frames without a word; so do we, except for the log.
    fn complain(&self, leaf: &str, payload: &[u8], reason: &dyn std::fmt::Display) {
        let Some(left_out) = self.throttle.line(tokio::time::Instant::now()) else { return };
        let device = self.admitted.client_id.as_str();
        let shown = hex::encode(payload.get(..payload.len().min(SHOWN)).unwrap_or_default());
        tracing::warn!(
            device,
            leaf,
            bytes = payload.len(),
            begin = shown,
            left_out,
            "dropped a message: {reason}"
        );
    }
}

/// Bytes of a bad message that the log shows.
const SHOWN: usize = 32;

fn decrypt(cipher: &SessionCipher, bytes: &mut Vec<u8>) -> Result<(), Garbage> {
    let sealed = bytes.len();
    let length = cipher.decrypt(bytes).map_err(|_| Garbage::Sealed(sealed))?.len();
    bytes.truncate(length);
    Ok(())
}

/// 16 letters and digits: vendor code handles the key as text, and reads past the end of one that holds a zero.
fn session_key() -> [u8; limits::SESSION_KEY] {
    let mut key = [b'0'; limits::SESSION_KEY];
    for (place, letter) in key.iter_mut().zip(random_text(limits::SESSION_KEY).bytes()) {
        *place = letter;
    }
    key
}

impl Dialogue for Talk<'_> {
    async fn subscribed(&mut self) -> Result<(), End> {
        self.provision()?;
        let connected =
            self.engine.online(self.admitted.device).await.map_err(|error| End::Failed(error.to_string()))?;
        self.session = Some(connected.session);
        self.say_all(&connected.messages);
        Ok(())
    }

    async fn received(&mut self, leaf: &str, payload: Bytes) -> Result<(), End> {
        self.engine.metrics().message_in();
        let mut bytes = match self.open(&payload) {
            Ok(bytes) => bytes,
            Err(garbage) => {
                self.complain(leaf, &payload, &garbage);
                return Ok(());
            }
        };
        let frame = match Frame::parse(&mut bytes) {
            Ok(frame) => frame,
            Err(error) => {
                self.complain(leaf, &payload, &error);
                return Ok(());
            }
        };
        let Some(packet) = codec::decode(&frame) else { return Ok(()) };
        if let Uplink::Malformed { command, reason } = &packet.uplink {
            self.complain(leaf, &payload, &format_args!("command {command:#06x}: {reason}"));
        }
        let messages = Box::pin(self.engine.received(self.admitted.device, packet))
            .await
            .map_err(|error| End::Failed(error.to_string()))?;
        self.say_all(&messages);
        Ok(())
    }
}
