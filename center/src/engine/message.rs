//! What devices and the engine say to each other. `devices` decodes and encodes it: the engine knows no wire format.

use crate::rules::component_fsm::OtaStatus;
use crate::rules::{ComponentKind, ComponentNo, Version};
use crate::store::{Digests, ReportedVersion};

/// One message of a device, decoded. Its texts hold no control characters and at most 256 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Packet id, command, length and digest of the payload: equal to the one before for a packet that is sent again.
    pub identity: String,
    /// Fields that could not be read, each with its id and what would be right; the message is without them.
    pub ignored: Vec<String>,
    /// What it says.
    pub uplink: Uplink,
}

/// What a device says, as far as the engine acts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Uplink {
    /// 0x0115: is there an upgrade plan for these versions?
    PlanRequest(Versions),
    /// 0x0114.
    StatusEvent(StatusEvent),
    /// 0x0042 and 0x0044.
    Info(Info),
    /// 0x0032: the answer to [`Downlink::AskStatus`].
    StatusAnswer(Readings),
    /// 0x0034.
    StatusReport(Readings),
    /// A packet of one of these kinds that cannot be decoded.
    Malformed {
        /// Its command.
        command: u16,
        /// What is wrong with it, and where.
        reason: String,
    },
}

/// Versions that a packet carries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Versions {
    /// Of the module, with the suffix of its application; none: not in the packet.
    pub module: Option<String>,
    /// Of the module's firmware alone; none: not in the packet.
    pub firmware: Option<String>,
    /// Of the MCU components, ordered by component, each once; none: not in the packet, empty: the device has no MCU.
    pub mcu: Option<Vec<ReportedVersion>>,
}

impl Versions {
    /// Whether the packet carries any.
    pub fn is_told(&self) -> bool {
        self.module.is_some() || self.firmware.is_some() || self.mcu.is_some()
    }
}

/// Where a component's upgrade stands, as the device says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusEvent {
    /// The status.
    pub status: OtaStatus,
    /// The component that it is about.
    pub component: Subject,
    /// Whether the device wants SHA-256 digests announced (with status 2).
    pub wants_sha256: bool,
    /// What the device has now (with 11 and 12).
    pub versions: Versions,
    /// Id 8001 and 8002, which mean this on quecota devices only.
    pub reason: Option<Reason>,
    /// Id 8003: bytes of the image that the device has; on quecota devices only.
    pub received: Option<u32>,
}

/// The component that a status names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// None: a vendor device could not read the name in its plan (QUECTHING.md 3.3).
    Unnamed,
    /// This one.
    Component(ComponentNo),
    /// A text that cannot be a component's name.
    Invalid(String),
}

/// Why a quecota device failed or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Number of the reason.
    pub number: u16,
    /// In words; may be empty.
    pub text: String,
}

/// What a device says about itself; none: not in the packet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Info {
    /// Module model.
    pub model: Option<String>,
    /// SDK version.
    pub sdk_version: Option<String>,
    /// Versions of its firmware.
    pub versions: Versions,
}

/// What a device measures; none: not in the packet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readings {
    /// Per cent.
    pub battery: Option<i64>,
    /// Volts, as a decimal number.
    pub voltage: Option<String>,
    /// RSSI, dBm.
    pub signal: Option<i64>,
    /// Free flash, bytes.
    pub free_space: Option<i64>,
    /// RSRP, dBm.
    pub rsrp: Option<i64>,
}

/// Business data of a device: what its application exchanges with a platform, which this center does not evaluate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusinessData {
    /// Which command it came by.
    pub kind: BusinessKind,
    /// Length of its payload.
    pub bytes: usize,
    /// Its begin, in a form for people; no control characters.
    pub text: String,
}

/// What business data is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BusinessKind {
    /// 0x0014: values of the thing model.
    Report,
    /// 0x0012: values that a platform asked for.
    Answer,
    /// 0x0024: bytes that pass through.
    Pass,
    /// 0x0122: NMEA sentences.
    Location,
}

impl BusinessKind {
    /// In the figures.
    pub const fn name(self) -> &'static str {
        match self {
            BusinessKind::Report => "report",
            BusinessKind::Answer => "answer",
            BusinessKind::Pass => "pass",
            BusinessKind::Location => "location",
        }
    }

    /// In the device's log.
    pub const fn line(self) -> &'static str {
        match self {
            BusinessKind::Report => "data report",
            BusinessKind::Answer => "data answer",
            BusinessKind::Pass => "data passed through",
            BusinessKind::Location => "location",
        }
    }
}

/// A message to a device. It goes out with QoS 1; an answer that must come has a lease in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Downlink {
    /// 0x0111: an upgrade plan, its components in the order of their upgrade; at least one.
    Offer(Vec<OfferedComponent>),
    /// 0x0113: where one component's firmware is.
    Firmware(FirmwareInfo),
    /// 0x0041: which versions do the module and the MCU components have?
    AskVersions,
    /// 0x0031: battery, free space and RSRP, for the limits of a plan.
    AskStatus,
    /// 0x00B4 to a quecota device: what this center wants to hear beyond QuecThing.
    Capabilities,
}

impl Downlink {
    /// What it is, in a word, for logs: the message itself holds signed URLs.
    pub const fn name(&self) -> &'static str {
        match self {
            Downlink::Offer(_) => "offer",
            Downlink::Firmware(_) => "firmware",
            Downlink::AskVersions => "ask for versions",
            Downlink::AskStatus => "ask for status",
            Downlink::Capabilities => "capabilities",
        }
    }
}

/// One component of an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedComponent {
    /// The component.
    pub component: ComponentNo,
    /// Version that the device reports; one that the field cannot hold is left out.
    pub source: Option<String>,
    /// Version that it gets.
    pub target: Version,
    /// Module or MCU firmware.
    pub kind: ComponentKind,
    /// Lowest battery charge for the upgrade, per cent.
    pub min_battery: Option<u8>,
    /// Space that the firmware takes, bytes.
    pub space: u64,
    /// Weakest RSRP for the upgrade, dBm.
    pub min_rsrp: Option<i16>,
}

/// The firmware of one component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareInfo {
    /// The component.
    pub component: ComponentNo,
    /// Version that the device reports; one that the field cannot hold is left out.
    pub source: Option<String>,
    /// Version that it gets.
    pub target: Version,
    /// Module or MCU firmware.
    pub kind: ComponentKind,
    /// Its files in order.
    pub files: Vec<FirmwareFile>,
    /// Whether the SHA-256 of a single file is announced.
    pub with_sha256: bool,
}

/// One file of a [`FirmwareInfo`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareFile {
    /// Where the device fetches it.
    pub url: String,
    /// Bytes.
    pub size: u64,
    /// Digests of its content.
    pub digests: Digests,
}
