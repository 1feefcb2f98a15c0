//! Deadlines and retries of a connection.

use std::time::Duration;

/// Deadlines and retries of a connection. The defaults are what the center runs with; tests shorten them.
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
