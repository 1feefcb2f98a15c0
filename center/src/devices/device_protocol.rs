//! The protocol of one connected device over MQTT: frames to and from the engine, device secret and session key.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use quecota_core::limits;
use quecota_core::wire::credential::{Session, SessionCipher};
use quecota_core::wire::frame::{Frame, FrameError};
use quecota_core::wire::message::{self as wire, Provision};

use crate::engine::{Downlink, Engine, EngineError, SessionId, TookOver, Uplink};
use crate::planted::Bug;
use crate::store::StoreError;

use super::business_data;
use super::codec::{self, Payload};
use super::credentials::{Admitted, AuthMethod, random_text};
use super::log_limiter::LogLimiter;
use super::registry::Connection;
use super::session::{MessageHandler, SessionEnd};

/// How the device's frames may come: both ways until the first good encrypted one. Ciphers are boxed: their keys are half a
/// kilobyte, and most sessions have none.
#[derive(Default)]
enum UplinkCipher {
    /// The session has no key.
    #[default]
    Plain,
    /// The device has a key, and has not shown yet that it uses it.
    Either(Box<SessionCipher>),
    /// It has: a plain frame is not from it any more.
    Encrypted(Box<SessionCipher>),
}

/// Why bytes from a device are no frame.
#[derive(Debug, thiserror::Error)]
enum DecryptError {
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0} bytes that the session key does not open")]
    Sealed(usize),
}

/// The protocol of one connection.
pub(super) struct DeviceProtocol<'a> {
    engine: &'a Engine,
    log_limiter: &'a LogLimiter,
    connection: Arc<Connection>,
    admitted: Admitted,
    peer: IpAddr,
    took_over: TookOver,
    cipher: UplinkCipher,
    session: Option<SessionId>,
}

impl<'a> DeviceProtocol<'a> {
    /// The protocol of an admitted device over its connection.
    pub fn new(
        engine: &'a Engine,
        log_limiter: &'a LogLimiter,
        connection: Arc<Connection>,
        admitted: Admitted,
        peer: IpAddr,
        took_over: TookOver,
    ) -> Self {
        Self {
            engine,
            log_limiter,
            connection,
            admitted,
            peer,
            took_over,
            cipher: UplinkCipher::Plain,
            session: None,
        }
    }

    /// The device's client id.
    pub fn client(&self) -> &str {
        self.connection.client_id()
    }

    /// The engine's id of the connection, if the device came online.
    pub fn into_session(self) -> Option<SessionId> {
        self.session
    }

    /// Gives the device its secret and its session key, as far as it needs them (QUECTHING.md 4.2).
    fn provision(&mut self) -> Result<(), SessionEnd> {
        let bootstrap = self.admitted.auth_method == AuthMethod::Bootstrap;
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
            .map_err(|error| SessionEnd::Failed(error.to_string()))?;
        match key {
            None => self.connection.send_payload(&message),
            Some(key) => {
                self.cipher = UplinkCipher::Either(Box::new(SessionCipher::new(&key)));
                self.connection.send_then_encrypt(&message, SessionCipher::new(&key))
            }
        }
        .map_err(|error| SessionEnd::Failed(error.to_string()))
    }

    /// Gives the device its product's secret of now, if it came with one of before. It comes again with that.
    async fn hand_over_secret(&mut self) {
        let Some(secret) = self.admitted.new_product_secret.take() else { return };
        let provision = Provision { product_secret: secret.as_str(), ..Provision::default() };
        let message = Payload::of(&wire::Downlink::Provision(provision));
        let sent = match (message, self.engine.hands_over_secret(self.admitted.device).await) {
            (_, Ok(false)) => return,
            (Ok(message), Ok(true)) => {
                self.connection.send_payload(&message).map_err(|error| error.to_string())
            }
            (Err(error), _) => Err(error.to_string()),
            (_, Err(error)) => Err(error.to_string()),
        };
        let device = self.connection.client_id();
        match sent {
            Ok(()) => {
                tracing::info!(%device, "came with a product secret of before, and is given the one of now")
            }
            Err(error) => tracing::warn!(%device, %error, "is not given the product's new secret yet"),
        }
    }

    fn send_all(&self, messages: &[Downlink]) {
        for message in messages {
            self.engine.metrics().message_out();
            if let Err(error) = self.connection.send(message) {
                // What the engine offered has a lease: unanswered, it is offered again.
                tracing::warn!(device = %self.connection.client_id(), %error, "message not sent");
            }
        }
    }

    /// Decrypts a payload if it is encrypted. The result may still be no frame.
    fn decrypt(&mut self, payload: &[u8]) -> Result<Vec<u8>, DecryptError> {
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

    /// A bad message is dropped, as vendor devices do, and logged.
    fn log_dropped(&self, leaf: &str, payload: &[u8], reason: &dyn std::fmt::Display) {
        let Some(left_out) = self.log_limiter.admit(tokio::time::Instant::now()) else { return };
        let device = self.connection.client_id();
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

fn decrypt(cipher: &SessionCipher, bytes: &mut Vec<u8>) -> Result<(), DecryptError> {
    let sealed = bytes.len();
    let length = cipher.decrypt(bytes).map_err(|_| DecryptError::Sealed(sealed))?.len();
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

impl MessageHandler for DeviceProtocol<'_> {
    async fn subscribed(&mut self) -> Result<(), SessionEnd> {
        self.provision()?;
        match self.engine.online_from(self.admitted.device, Some(self.peer), self.took_over).await {
            Ok(connected) => {
                // A device subscribes once per connection; of two subscriptions the second has the say.
                let _ = self.connection.session.set(connected.session.clone());
                self.session = Some(connected.session);
                self.send_all(&connected.messages);
                self.hand_over_secret().await;
                Ok(())
            }
            Err(error) if error.is_temporary() => Err(SessionEnd::Failed(error.to_string())),
            // Forbidden or deleted since it showed its password.
            Err(error @ (EngineError::Forbidden | EngineError::Store(StoreError::NotFound { .. }))) => {
                Err(SessionEnd::Failed(error.to_string()))
            }
            // A row of the device cannot be used: a closed connection would only bring it back.
            Err(error) => {
                tracing::error!(device = %self.connection.client_id(), %error, "connected, and not taken as online");
                Ok(())
            }
        }
    }

    async fn received(&mut self, leaf: &str, payload: Bytes) -> Result<(), SessionEnd> {
        self.engine.metrics().message_in();
        let mut bytes = match self.decrypt(&payload) {
            Ok(bytes) => bytes,
            Err(garbage) => {
                self.log_dropped(leaf, &payload, &garbage);
                return Ok(());
            }
        };
        let frame = match Frame::parse(&mut bytes) {
            Ok(frame) => frame,
            Err(error) => {
                self.log_dropped(leaf, &payload, &error);
                return Ok(());
            }
        };
        let Some(packet) = codec::decode(&frame) else {
            if let Some(data) = business_data::of(&frame) {
                self.engine.business(self.admitted.device, data);
            }
            return Ok(());
        };
        if let Uplink::Malformed { command, reason } = &packet.uplink {
            self.log_dropped(leaf, &payload, &format_args!("command {command:#06x}: {reason}"));
        }
        if Bug::AcknowledgeFirst.is_planted() {
            let (engine, device) = (self.engine.clone(), self.admitted.device);
            let connection = Arc::clone(&self.connection);
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                for message in engine.received(device, packet).await.unwrap_or_default() {
                    let _ = connection.send(&message);
                }
            });
            return Ok(());
        }
        match Box::pin(self.engine.received(self.admitted.device, packet)).await {
            Ok(messages) => {
                self.send_all(&messages);
                Ok(())
            }
            Err(error) if error.is_temporary() => Err(SessionEnd::Failed(error.to_string())),
            // It would fail again: it is acknowledged, and the device's log has it.
            Err(error) => {
                self.log_dropped(leaf, &payload, &error);
                Ok(())
            }
        }
    }
}
