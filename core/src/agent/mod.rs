//! One device: drives [`crate::ota`] and [`crate::cloud`] over a [`Platform`], one step at a time.
//!
//! The agent owns no thread, socket, clock or file. Firmware calls [`Agent::poll`] again and again, hands in what
//! its network brings through the `on_*` calls, and takes events out with [`Agent::next_event`], which are there
//! only after the state has changed; so an action called on an event is always accepted as the state allows.
#![allow(unused_variables)]

use crate::limits;
use crate::platform::{Platform, SendId};
use crate::text::Text;

/// What the link did (QUECTHING.md 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// CONNACK 0.
    Connected,
    /// CONNACK with this code, 1..=5.
    Refused(u8),
    /// SUBACK that grants the filter.
    Subscribed,
    /// SUBACK that refuses it.
    SubscribeRefused,
    /// No network, no host, TLS trouble, or the connection closed.
    Lost,
}

/// The head of an HTTP answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchHead {
    /// HTTP status.
    pub status: u16,
    /// First byte of the body within the file (Content-Range; 0 when there is none).
    pub first: u32,
    /// Body length, when the answer tells it.
    pub length: Option<u32>,
    /// The whole file's size, when the answer tells it.
    pub total: Option<u32>,
}

/// How a fetch ended, as the transport saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchEnd {
    /// The body is complete.
    Complete,
    /// Connect, TLS or read failure, or closed early.
    Failed,
}

/// Whether the transport is to go on with a fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Flow {
    /// Give me the next bytes.
    Continue,
    /// Drop this fetch; nothing more of it is wanted.
    Stop,
}

/// Connection mode as the application sets it (`QIot_connMode_e`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Stay away.
    Idle = 0,
    /// Connect and stay connected.
    Request = 1,
}

/// `QIot_state_e`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum WorkState {
    Uninitialized = 0,
    Initialized = 1,
    Authenticating = 2,
    Authenticated = 3,
    AuthenticateFailed = 4,
    Connecting = 5,
    Connected = 6,
    ConnectFailed = 7,
    Subscribed = 8,
    SubscribeFailed = 9,
    Disconnecting = 10,
    Disconnected = 11,
    DisconnectFailed = 12,
}

/// The vendor SDK generation whose event conventions the application expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `Ql_iotApi.h`: UNAUTH 9, 10707 as a number.
    #[default]
    V2_9,
    /// `ql_api_qthsdk.h`: UNAUTH 10, 10707 as text.
    V2_10,
}

/// One event for the application: `(event, code, value)` of QUECTHING.md 1.4 and 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// `QIOT_ATEVENT_TYPE_*`.
    pub event: u32,
    /// `QIOT_OTA_*`, `QIOT_AUTH_*` ...
    pub code: i32,
    /// What comes with it.
    pub value: EventValue,
}

/// The value of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one event is on the stack at a time, and there is no heap
pub enum EventValue {
    /// NULL, 0.
    None,
    /// A text of QUECTHING.md 2.
    Text(Text<{ limits::EVENT_TEXT }>),
    /// A 32-bit number (10707 of the 2.9 dialect).
    Number(u32),
}

/// Why an application's call had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The connection mode must be idle for this.
    #[error("only while the connection mode is idle")]
    NotIdle,
    /// Empty, too long, or not of the right form.
    #[error("the value is empty, too long or not of the right form")]
    Value,
    /// No session with the platform.
    #[error("not connected to the platform")]
    Offline,
    /// The OTA state does not allow it.
    #[error("not allowed in the present OTA state")]
    State,
    /// Product key, secret or server are not set.
    #[error("product key, product secret or server is not set")]
    Incomplete,
    /// Outside the piece that is staged.
    #[error("outside the staged piece")]
    Range,
    /// Storage failed, or gave other bytes than were written.
    #[error("storage failed, or gave other bytes than were written")]
    Storage,
}

/// Milliseconds until the next poll is due; 0: at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(pub u32);

/// One device.
pub struct Agent<'b> {
    receive: &'b mut [u8],
}

/// Life and clock.
impl<'b> Agent<'b> {
    /// `receive` holds whole messages until they are handled: at least [`limits::RECEIVE_BUFFER_MIN`] bytes.
    pub fn new(receive: &'b mut [u8]) -> Self {
        Agent { receive }
    }

    /// Loads the journal and prepares what an earlier run left (`Ql_iotInit`). Once, before anything else.
    pub fn start(&mut self, platform: &mut dyn Platform) {
        todo!()
    }

    /// One step: timers, one message, one report. Say when the next is due.
    pub fn poll(&mut self, platform: &mut dyn Platform) -> Wait {
        todo!()
    }

    /// The next event, oldest first. Deliver it with no lock held, then ask again.
    pub fn next_event(&mut self) -> Option<Event> {
        todo!()
    }
}

/// What the transport brings.
impl Agent<'_> {
    /// The connection changed.
    pub fn on_link(&mut self, platform: &mut dyn Platform, link: Link) {
        todo!()
    }

    /// A message on a topic; copied into the receive buffer and handled by the next poll. `false`: no room now,
    /// offer it again after a poll (do not acknowledge it). A message that can never fit is dropped with a log line.
    pub fn on_message(&mut self, platform: &mut dyn Platform, topic: &str, payload: &[u8]) -> bool {
        todo!()
    }

    /// A publish reached the peer (or did not).
    pub fn on_sent(&mut self, platform: &mut dyn Platform, id: SendId, delivered: bool) {
        todo!()
    }

    /// Status line and headers of a fetch came.
    pub fn on_fetch_begin(&mut self, platform: &mut dyn Platform, head: FetchHead) -> Flow {
        todo!()
    }

    /// The next bytes of the body; written to storage before this returns.
    pub fn on_fetch_data(&mut self, platform: &mut dyn Platform, data: &[u8]) -> Flow {
        todo!()
    }

    /// The fetch is over; also when it never began.
    pub fn on_fetch_end(&mut self, platform: &mut dyn Platform, end: FetchEnd) {
        todo!()
    }
}

/// Configuration, as `Ql_iotConfig*` (QUECTHING.md 1.2). Kept in the journal where that page says "persisted".
impl Agent<'_> {
    /// The event conventions; V2_9 unless told.
    pub fn set_dialect(&mut self, dialect: Dialect) {
        todo!()
    }
    /// Idle only; a change clears the device secret.
    pub fn set_product(
        &mut self,
        platform: &mut dyn Platform,
        key: &str,
        secret: &str,
    ) -> Result<(), CallError> {
        todo!()
    }
    /// Idle only; `mqtt://host:port`, `mqtts://...` or `host:port`; a change clears the device secret.
    pub fn set_server(&mut self, platform: &mut dyn Platform, url: &str) -> Result<(), CallError> {
        todo!()
    }
    /// Idle only. Empty key: back to the hardware id. Empty secret: bootstrap will fetch one.
    pub fn set_device(
        &mut self,
        platform: &mut dyn Platform,
        key: &str,
        secret: &str,
    ) -> Result<(), CallError> {
        todo!()
    }
    /// MQTT user name; empty (the default) sends none.
    pub fn set_user_name(&mut self, name: &str) -> Result<(), CallError> {
        todo!()
    }
    /// Keep-alive in seconds, 1..=65535; idle only.
    pub fn set_lifetime(&mut self, seconds: u16) -> Result<(), CallError> {
        todo!()
    }
    /// Payload encryption; idle only.
    pub fn set_session_encryption(&mut self, wanted: bool) -> Result<(), CallError> {
        todo!()
    }
    /// Text appended to the module's version; `None` or empty: none.
    pub fn set_app_version(&mut self, version: Option<&str>) -> Result<(), CallError> {
        todo!()
    }
    /// The version of an MCU component; empty deletes it. Decides whether a running upgrade succeeded.
    pub fn set_mcu_version(
        &mut self,
        platform: &mut dyn Platform,
        component: &str,
        version: &str,
    ) -> Result<(), CallError> {
        todo!()
    }
    /// The version of one MCU component.
    pub fn mcu_version(&self, component: &str) -> Option<&str> {
        todo!()
    }
    /// All of them, `a:1;b:2`.
    pub fn mcu_list(&self) -> &str {
        todo!()
    }
    /// Connects or disconnects. The same mode again does nothing.
    pub fn set_mode(&mut self, platform: &mut dyn Platform, mode: Mode) -> Result<(), CallError> {
        todo!()
    }
    /// The mode that was set.
    pub fn mode(&self) -> Mode {
        todo!()
    }
    /// Where the session stands.
    pub fn work_state(&self) -> WorkState {
        todo!()
    }
}

/// What was configured, for `Ql_iotConfigGet*`. Empty where nothing is known.
impl Agent<'_> {
    /// Product key and secret.
    pub fn product(&self) -> (&str, &str) {
        todo!()
    }
    /// The platform's address in force: one that the platform gave wins over the application's.
    pub fn server(&self) -> &str {
        todo!()
    }
    /// Device key in force (the hardware id where none was set) and device secret.
    pub fn device(&self) -> (&str, &str) {
        todo!()
    }
    /// Keep-alive in seconds as it was set.
    pub fn lifetime(&self) -> u16 {
        todo!()
    }
    /// Whether payload encryption is wanted.
    pub fn session_encryption(&self) -> bool {
        todo!()
    }
    /// Module version with the application's behind it, as it is reported.
    pub fn software_version(&self) -> &str {
        todo!()
    }
}

/// OTA, as `Ql_iotCmdOta*`.
impl Agent<'_> {
    /// Asks the platform for a plan (0x0115). Mode 1 also asks for SHA-256.
    pub fn request_plan(&mut self, platform: &mut dyn Platform, mode: u32) -> Result<(), CallError> {
        todo!()
    }
    /// 0 refuse, 1 confirm, 2 next piece, 3 the MCU is updating (QUECTHING.md 3.3).
    pub fn ota_action(&mut self, platform: &mut dyn Platform, action: u8) -> Result<(), CallError> {
        todo!()
    }
    /// Reads the staged piece; `offset` counts from the start of the whole file. Returns the bytes read, at least 1.
    pub fn read(
        &mut self,
        platform: &mut dyn Platform,
        offset: u32,
        out: &mut [u8],
    ) -> Result<usize, CallError> {
        todo!()
    }
    /// The state as reported in data point 13 (QUECTHING.md 3.1), and how far the download is.
    pub fn ota_progress(&self) -> Progress {
        todo!()
    }
}

/// How far an upgrade is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Data point 13: 0..=12.
    pub state: u8,
    /// Bytes of the file that are downloaded.
    pub received: u32,
    /// Bytes of the file in all; 0 before it is known.
    pub size: u32,
}
