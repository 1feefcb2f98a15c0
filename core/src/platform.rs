//! What firmware provides: transport, storage and system services.
//!
//! Every call returns at once or within the time of a flash operation: what takes longer is started here and
//! answered later through the `on_*` calls of [`crate::agent::Agent`]. A platform must never answer from inside one
//! of these calls. Where calls may come from several threads, the caller of the agent holds one lock around it.

pub use crate::wire::http::Encoding;
use crate::wire::http::Head;

/// Everything together; implemented for any type that has the three parts.
pub trait Platform: Transport + Storage + System {}
impl<T: Transport + Storage + System> Platform for T {}

/// The platform cannot start what was asked for now. The agent tries again by its own timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the platform refused to start the operation")]
pub struct Refused;

/// Quality of service of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Qos {
    /// At most once.
    AtMostOnce = 0,
    /// At least once.
    AtLeastOnce = 1,
    /// Exactly once.
    ExactlyOnce = 2,
}

/// One MQTT connection (QUECTHING.md 4.1). Borrowed for the call only.
#[derive(Debug, Clone, Copy)]
pub struct Connect<'a> {
    /// `mqtt://host:port` or `mqtts://host:port`.
    pub url: &'a str,
    /// `qd` + product key + device key.
    pub client_id: &'a str,
    /// Empty: no user name, as QuecThing devices connect.
    pub user_name: &'a str,
    /// Credentials of QUECTHING.md 4.2.
    pub password: &'a str,
    /// Seconds.
    pub keep_alive: u16,
}

/// Names one publish between [`Transport::publish`] and `Agent::on_sent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendId(pub u16);

/// Bytes `start .. start + length` of a URL. `length` is never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u32,
    /// Bytes wanted.
    pub length: u32,
}

/// Where a fetch goes: a URL with a NUL behind it, so that a port in C takes it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchUrl<'a>(&'a str);

impl<'a> FetchUrl<'a> {
    /// Of a text that ends with a NUL; `None` for another.
    pub fn of(with_nul: &'a str) -> Option<Self> {
        (with_nul.as_bytes().last() == Some(&0)).then_some(FetchUrl(with_nul))
    }

    /// The URL.
    pub fn as_str(self) -> &'a str {
        self.0.get(..self.0.len().saturating_sub(1)).unwrap_or_default()
    }

    /// With the NUL behind it.
    pub fn with_nul(self) -> &'a str {
        self.0
    }
}

/// MQTT and HTTP. One connection and one fetch at a time.
pub trait Transport {
    /// Starts to connect; answered by `Agent::on_link`. Whatever connection was there is closed first.
    fn connect(&mut self, to: &Connect<'_>) -> Result<(), Refused>;
    /// Closes the connection; no answer is needed.
    fn disconnect(&mut self);
    /// Subscribes with QoS 1; answered by `Agent::on_link(Link::Subscribed)`.
    fn subscribe(&mut self, filter: &str) -> Result<(), Refused>;
    /// Sends; answered by `Agent::on_sent` once the peer has it (QoS 0: once it is handed on). The agent has one
    /// publish under way at a time.
    fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos, id: SendId) -> Result<(), Refused>;
    /// Starts `GET url` with `Range`; answered by `Agent::on_fetch_begin`, `_data`..., `_end`.
    fn fetch(&mut self, url: FetchUrl<'_>, range: Range) -> Result<(), Refused>;
    /// Gives the fetch up. Answers that are under way may still come and are ignored by the agent, until the next
    /// `fetch`: from then on only its own answers may come.
    fn fetch_cancel(&mut self);
}

/// What the transport brings; [`crate::agent::Agent::on_transport`] takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportEvent<'a> {
    /// The MQTT connection changed.
    Link(Link),
    /// A message came.
    Message {
        /// Whole topic.
        topic: &'a str,
        /// Whole payload.
        payload: &'a [u8],
    },
    /// A publish ended.
    Sent {
        /// The id that [`Transport::publish`] got.
        id: SendId,
        /// Whether the peer has it.
        delivered: bool,
    },
    /// Status line and headers of the HTTP answer came.
    FetchHead(FetchHead),
    /// The next bytes of the body, in portions of any size.
    FetchData(&'a [u8]),
    /// The fetch is over, also when it could not begin.
    FetchEnd(FetchEnd),
}

/// What became of a [`TransportEvent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Delivery {
    /// The agent took it.
    Taken,
    /// The receive buffer has no room for the message: offer it again after a poll, and do not acknowledge it before.
    NoRoom,
    /// Nothing more of this fetch is wanted: drop it.
    Stop,
}

/// Changes of the MQTT connection (QUECTHING.md 4.1).
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FetchHead {
    /// HTTP status.
    pub status: u16,
    /// First byte of the body within the file (Content-Range; 0 when there is none).
    pub first: u32,
    /// Body length, when the answer tells it.
    pub length: Option<u32>,
    /// The whole file's size, when the answer tells it.
    pub total: Option<u32>,
    /// Seconds after which the server wants to be asked again (Retry-After), when the answer tells it.
    pub retry_after: Option<u32>,
    /// What the body is (Content-Encoding).
    pub encoding: Encoding,
}

impl From<&Head> for FetchHead {
    /// Of the library's own parser.
    fn from(head: &Head) -> Self {
        // Another status than 206 speaks of the whole file.
        let (first, length, total) = match (head.status, head.range) {
            (206, Some(range)) => (range.first, Some(range.length()), range.total),
            (206, None) => (0, head.length, None),
            _ => (0, head.length, head.length),
        };
        FetchHead {
            status: head.status,
            first,
            length,
            total,
            retry_after: head.retry_after,
            encoding: head.encoding,
        }
    }
}

/// How a fetch ended, as the transport saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchEnd {
    /// The body is complete.
    Complete,
    /// Connect, TLS or read failure, or closed early.
    Failed,
}

/// Which storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Area {
    /// The staged image (or piece of one).
    Image = 0,
    /// Progress and configuration; see `docs/journal.md`.
    Journal = 1,
}

/// How an area behaves. Constant while the agent lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes in all; a multiple of `erase`.
    pub size: u32,
    /// Smallest unit that can be erased; a power of two, at least 16.
    pub erase: u32,
    /// Smallest unit that can be written: 1, 4, 8 ... 256; writes start and end on its multiples.
    pub program: u32,
    /// What an erased byte reads as: 0xFF or 0x00.
    pub erased: u8,
}

/// The shape of an area is not one that flash can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GeometryError {
    /// Not a power of two, or outside 1..=256.
    #[error("program size {0}; it must be a power of two from 1 to 256")]
    Program(u32),
    /// Not a power of two, below 16, or below the program size.
    #[error("erase size {0}; it must be a power of two, at least 16 and the program size")]
    Erase(u32),
    /// No multiple of the erase size, or nothing.
    #[error("area of {0} bytes; it must be a multiple of the erase size and not 0")]
    Size(u32),
    /// Flash erases to all ones or all zeros.
    #[error("erased value {0:#04x}; it must be 0xff or 0x00")]
    Erased(u8),
}

impl Geometry {
    /// Of no area.
    pub const NONE: Geometry = Geometry { size: 0, erase: 0, program: 0, erased: 0 };

    /// Largest program size that is served.
    pub const PROGRAM_MAX: usize = 256;

    /// Checks the rules of each field, so that nothing behind this has to.
    pub fn check(&self) -> Result<(), GeometryError> {
        if !self.program.is_power_of_two() || self.program as usize > Self::PROGRAM_MAX {
            return Err(GeometryError::Program(self.program));
        }
        if !self.erase.is_power_of_two() || self.erase < 16 || self.erase < self.program {
            return Err(GeometryError::Erase(self.erase));
        }
        if self.size == 0 || floor_to(self.size, self.erase) != self.size {
            return Err(GeometryError::Size(self.size));
        }
        match self.erased {
            0x00 | 0xFF => Ok(()),
            other => Err(GeometryError::Erased(other)),
        }
    }
}

/// The multiple of `unit` (a power of two) at or below `value`.
pub const fn floor_to(value: u32, unit: u32) -> u32 {
    value & !unit.wrapping_sub(1)
}

/// The multiple of `unit` (a power of two) at or above `value`; wraps beyond 4 GB.
pub const fn ceil_to(value: u32, unit: u32) -> u32 {
    floor_to(value.wrapping_add(unit.wrapping_sub(1)), unit)
}

/// Storage did not do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// Outside the area, or not aligned.
    #[error("outside the storage area or not aligned to its units")]
    Range,
    /// No room left (a file on a full disk).
    #[error("no room left in storage")]
    Full,
    /// The device failed.
    #[error("storage failed")]
    Failed,
}

/// Two areas with flash semantics: a byte is written once between two erases.
pub trait Storage {
    /// The shape of `area`.
    fn geometry(&self, area: Area) -> Geometry;
    /// Fills `buffer` from `offset`; no alignment is needed.
    fn read(&mut self, area: Area, offset: u32, buffer: &mut [u8]) -> Result<(), StorageError>;
    /// Writes `data` at `offset`; both multiples of `program`, the bytes erased before.
    fn write(&mut self, area: Area, offset: u32, data: &[u8]) -> Result<(), StorageError>;
    /// Erases; both multiples of `erase`.
    fn erase(&mut self, area: Area, offset: u32, length: u32) -> Result<(), StorageError>;
    /// Everything written before is there after a power cut once this returns.
    fn sync(&mut self, area: Area) -> Result<(), StorageError>;
    /// Nothing that `area` holds is needed any more: a file may give its blocks back. It may read as anything until it
    /// is erased.
    fn discard(&mut self, area: Area) {
        let _ = area;
    }
}

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Something is lost or refused.
    Error = 1,
    /// Something is odd but handled.
    Warn = 2,
    /// The course of things.
    Info = 3,
    /// Detail.
    Debug = 4,
}

/// What the platform did with a module image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It will reboot into the new firmware within this many milliseconds.
    Within(u32),
    /// It refuses the image.
    Refused,
}

/// A file of a module package, staged and verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StagedFile {
    /// Its place in the package, as the platform numbers it.
    pub index: u32,
    /// Its first byte in the image area; the start of an erase block.
    pub offset: u32,
    /// Bytes.
    pub size: u32,
    /// MD5, as announced and verified.
    pub md5: [u8; 16],
}

/// What a port can take over as module firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// One file, by [`System::apply`].
    OneFile,
    /// Packages of several files as well, by [`System::apply_files`].
    Packages,
}

/// The device around the agent.
pub trait System {
    /// Milliseconds of a clock that never stops; wraps at 2^32.
    fn millis(&mut self) -> u32;
    /// Fills `out` with random bytes, good enough for nonces.
    fn random(&mut self, out: &mut [u8]);
    /// One line, without line end.
    fn log(&mut self, level: Level, line: &str);
    /// Per cent, when known.
    fn battery(&mut self) -> Option<u8>;
    /// Supply voltage in millivolts, when known.
    fn voltage(&mut self) -> Option<u16> {
        None
    }
    /// RSSI in dBm, when known.
    fn signal(&mut self) -> Option<i16>;
    /// RSRP in dBm, when known.
    fn rsrp(&mut self) -> Option<i16> {
        None
    }
    /// Kinds of NMEA sentences that the position receiver gives, with commas between, such as `GGA,RMC`; empty: there is
    /// no receiver. Copied at once.
    fn position_kinds(&mut self) -> &str {
        ""
    }
    /// Writes the last sentence of a kind to `out`; gives its length, 0: there is none now.
    fn position(&mut self, _kind: &str, _out: &mut [u8]) -> usize {
        0
    }
    /// Bytes that the device reports as free for firmware, when it differs from the image area.
    fn free_space(&mut self) -> Option<u32> {
        None
    }
    /// Bytes that module firmware may have, when that is less than [`System::free_space`]: taking it over may need room of
    /// its own.
    fn module_space(&mut self) -> Option<u32> {
        self.free_space()
    }
    /// The hardware id (IMEI or MAC), 1..=16 letters and digits. Copied at once.
    fn device_key(&mut self) -> &str;
    /// The module's model. Copied at once.
    fn module_model(&mut self) -> &str;
    /// The module firmware's version, at most 64 bytes. Copied at once.
    fn module_version(&mut self) -> &str;
    /// Module firmware `0..size` of the image area is verified: take it over.
    fn apply(&mut self, size: u32) -> Applied;
    /// Whether [`System::apply_files`] is there. A package is refused before its download where it is not.
    fn takes(&mut self) -> Takes {
        Takes::OneFile
    }
    /// Every file of a module package, 2..=5 of them in the order of the list, is verified: take them over.
    fn apply_files(&mut self, files: &[StagedFile]) -> Applied {
        let _ = files;
        Applied::Refused
    }
}
