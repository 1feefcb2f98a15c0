//! Why a connection ended.

use std::time::Duration;

use bytestring::ByteString;
use rmqtt_codec::error::{DecodeError, EncodeError};

use crate::devices::send_queue::CloseReason;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(in crate::devices) enum SessionEnd {
    /// A vendor device ends by closing its socket (QUECTHING.md 4.1), others by DISCONNECT.
    #[error("the device closed the connection")]
    Closed,
    #[error("no whole packet for {0:?}, 1.5 times its keep-alive")]
    Silent(Duration),
    #[error("the same client id connected again, or is forbidden")]
    TakenOver,
    #[error("the center is stopping")]
    ShuttingDown,
    #[error("the center was cut off from the others, or from the database")]
    CutOff,
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

impl From<CloseReason> for SessionEnd {
    fn from(reason: CloseReason) -> Self {
        match reason {
            CloseReason::TakenOver => SessionEnd::TakenOver,
            CloseReason::ShuttingDown => SessionEnd::ShuttingDown,
            CloseReason::CutOff => SessionEnd::CutOff,
        }
    }
}
