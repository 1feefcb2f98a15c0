//! The session with Developer Center: credentials, connection, encryption and what waits to be reported. Sans-I/O:
//! inputs are link changes, packets and time; outputs are [`Action`]s that the agent carries out.

mod report;
mod session;

pub use report::Reports;
pub use session::{Action, Session, SessionEvent, codes};

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
#[allow(missing_docs)] // the names are the vendor's
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
