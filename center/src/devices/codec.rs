//! Frames of devices to the engine's messages, and back.

use quecota_core::limits;
use quecota_core::wire::NoRoom;
use quecota_core::wire::frame::{Command, Frame};
use quecota_core::wire::message::{
    self as wire, Capabilities, Content, InfoValues, McuList, MessageError, PlanNotify, PlanRequest, Plans,
    Provision, Records, Signature, StatusValues,
};
use quecota_core::wire::topic::Leaf;

use crate::engine::{
    Downlink, FirmwareInfo, Info, OfferedComponent, Packet, Readings, Reason, StatusEvent, Subject, Uplink,
    Versions,
};
use crate::rules::{ComponentKind, ComponentNo};
use crate::store::ReportedVersion;

/// Longest text of a device that is stored, in characters.
pub(super) const TEXT_MAX: usize = 256;
/// Longest payload that goes down, bytes: a list of 20 plans with the longest names and versions takes 4 KB, five files
/// with the longest URLs 6 KB.
const PAYLOAD_MAX: usize = 8 * 1024;

/// Fields of one message that are left out at most; with more of them it is no message.
const IGNORED_MAX: usize = 16;
/// An id that no message has.
const NO_ID: u16 = 0x1FFF;

/// Decodes a frame; none for notices and for business data, on which the engine does not act. A field that cannot be read
/// costs itself only, unless the message is nothing without it.
pub fn decode(frame: &Frame<'_>) -> Option<Packet> {
    let mut payload = frame.payload.to_vec();
    let mut ignored = Vec::new();
    let uplink = loop {
        let error = match parse(frame.command, &payload)? {
            Ok(uplink) => break uplink,
            Err(error) => error,
        };
        let hidden = ignored.len() < IGNORED_MAX
            && error.offset().is_some_and(|offset| hide(&mut payload, offset).is_some());
        if hidden {
            ignored.push(error.in_words(&payload).to_string());
        } else {
            // The first field that was wrong is what is missing now.
            let reason = ignored.drain(..).next().unwrap_or_else(|| error.in_words(&payload).to_string());
            break Uplink::Malformed { command: frame.command.0, reason };
        }
    };
    Some(Packet { identity: identity(frame), ignored, uplink })
}

/// Gives the data point at `offset` an id that is read by nobody; its type, and so its length, stays. None: it has it already.
fn hide(payload: &mut [u8], offset: usize) -> Option<()> {
    let tag = payload.get_mut(offset..)?.first_chunk_mut::<2>()?;
    let before = u16::from_be_bytes(*tag);
    let after = NO_ID << 3 | before & 7;
    *tag = after.to_be_bytes();
    (before != after).then_some(())
}

fn parse(command: Command, payload: &[u8]) -> Option<Result<Uplink, MessageError>> {
    Some(match command {
        Command::PLAN_REQUEST => {
            PlanRequest::parse(payload).map(|request| Uplink::PlanRequest(versions(&request.versions)))
        }
        Command::STATUS_EVENT => wire::StatusEvent::parse(payload).map(status_event),
        Command::INFO_ANSWER | Command::INFO_REPORT => InfoValues::parse(payload).map(info),
        Command::STATUS_ANSWER => StatusValues::parse(payload).map(readings).map(Uplink::StatusAnswer),
        Command::STATUS_REPORT => StatusValues::parse(payload).map(readings).map(Uplink::StatusReport),
        _ => return None,
    })
}

fn identity(frame: &Frame<'_>) -> String {
    let (packet, command, length) = (frame.packet.get(), frame.command.0, frame.payload.len());
    format!("{packet}:{command:04x}:{length}:{:08x}", crc32fast::hash(frame.payload))
}

fn status_event(event: wire::StatusEvent<'_>) -> Uplink {
    Uplink::StatusEvent(StatusEvent {
        status: event.status,
        component: subject(event.component),
        wants_sha256: event.signature == Some(Signature::Sha256),
        versions: versions(&event.versions),
        reason: event
            .extension
            .reason
            .map(|reason| Reason { number: reason.number, text: storable(reason.text) }),
        received: event.extension.progress.map(|progress| progress.received),
    })
}

fn subject(component: &str) -> Subject {
    match ComponentNo::new(component) {
        _ if component.is_empty() => Subject::Unnamed,
        Ok(component) => Subject::Component(component),
        Err(_) => Subject::Invalid(storable(component)),
    }
}

fn info(info: InfoValues<'_>) -> Uplink {
    Uplink::Info(Info {
        model: told(info.module_model),
        sdk_version: told(info.sdk_version),
        versions: Versions {
            module: told(info.module_version),
            firmware: None,
            mcu: info.mcu_list.map(mcu_versions),
        },
    })
}

fn readings(values: StatusValues) -> Readings {
    Readings {
        battery: values.battery.map(i64::from),
        voltage: values.voltage.map(|volts| volts.text().as_str().to_owned()),
        signal: values.signal.map(i64::from),
        free_space: values.flash_free.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        rsrp: values.rsrp.map(i64::from),
    }
}

/// Versions of a request or a status, where an empty list is none.
fn versions(versions: &wire::Versions<'_>) -> Versions {
    let list = Some(versions.mcu).filter(|list| !list.is_empty());
    Versions { module: None, firmware: told(versions.module), mcu: list.map(mcu_versions) }
}

fn mcu_versions(list: &str) -> Vec<ReportedVersion> {
    let mut versions: Vec<_> = McuList::of(list)
        .filter_map(|(component, version)| {
            // A name that breaks the rule cannot be in a plan, so its version is of no use.
            let component = ComponentNo::new(component).ok()?;
            Some(ReportedVersion { component, version: storable(version) })
        })
        .collect();
    versions.sort_by(|a, b| a.component.cmp(&b.component));
    versions.dedup_by(|a, b| a.component == b.component);
    versions
}

fn told(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| storable(text))
}

/// A device's text as it may be stored: PostgreSQL takes no NUL, and a version has no line break.
fn storable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(TEXT_MAX).collect()
}

/// A message to a device, not yet in a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// Command of its frame.
    pub command: Command,
    /// Last level of its topic.
    pub leaf: Leaf,
    /// Bare bytes.
    pub bytes: Vec<u8>,
}

impl Payload {
    /// Emits the message.
    ///
    /// # Errors
    /// [`NoRoom`] beyond [`PAYLOAD_MAX`] bytes.
    pub(super) fn of(message: &wire::Downlink<'_>) -> Result<Payload, NoRoom> {
        let mut bytes = vec![0; PAYLOAD_MAX];
        let length = message.emit(&mut bytes)?;
        bytes.truncate(length);
        Ok(Payload { command: message.command(), leaf: message.leaf(), bytes })
    }
}

/// Encodes a message of the engine.
///
/// # Errors
/// [`NoRoom`] beyond 8 KB, which only URLs over their limit of 1024 bytes can reach.
pub fn encode(message: &Downlink) -> Result<Payload, NoRoom> {
    match message {
        Downlink::Offer(components) => offer(components),
        Downlink::Firmware(info) => firmware(info),
        Downlink::AskVersions => Payload::of(&wire::Downlink::InfoAsk(InfoValues::VERSIONS)),
        Downlink::AskStatus => Payload::of(&wire::Downlink::StatusAsk(StatusValues::CONDITIONS)),
        Downlink::Capabilities => {
            let capabilities = Some(Capabilities::ALL);
            Payload::of(&wire::Downlink::Provision(Provision { capabilities, ..Provision::default() }))
        }
    }
}

/// One component stands alone, several in a list: devices answer the two forms differently.
fn offer(components: &[OfferedComponent]) -> Result<Payload, NoRoom> {
    let plans: Vec<_> = components
        .iter()
        .map(|offered| wire::Plan {
            component: offered.component.as_str(),
            source: source(&offered.source),
            target: offered.target.as_str(),
            kind: kind(offered.kind),
            battery: offered.min_battery.map_or(0, u32::from),
            space: saturated(offered.space),
            signal: offered.min_rsrp.map_or(0, i32::from),
        })
        .collect();
    let plans = match plans.as_slice() {
        [single] => Plans::Single(*single),
        several => Plans::List(Records::of(several)),
    };
    Payload::of(&wire::Downlink::PlanNotify(PlanNotify { handling: None, plans }))
}

fn firmware(info: &FirmwareInfo) -> Result<Payload, NoRoom> {
    let list: Vec<_> = (0..)
        .zip(&info.files)
        .map(|(index, file)| wire::PackageFile {
            index,
            url: &file.url,
            size: saturated(file.size),
            md5: file.digests.md5,
        })
        .collect();
    let content = match info.files.as_slice() {
        [file] => Content::File {
            url: &file.url,
            size: saturated(file.size),
            md5: file.digests.md5,
            crc: file.digests.crc32,
            sha256: info.with_sha256.then_some(file.digests.sha256),
        },
        _ => Content::Files(Records::of(&list)),
    };
    Payload::of(&wire::Downlink::FirmwareInfo(wire::FirmwareInfo {
        component: info.component.as_str(),
        source: source(&info.source),
        target: info.target.as_str(),
        kind: kind(info.kind),
        content,
    }))
}

/// A device may report a longer version than the field holds.
fn source(version: &Option<String>) -> &str {
    version.as_deref().filter(|version| version.len() <= limits::VERSION).unwrap_or("")
}

fn saturated(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn kind(kind: ComponentKind) -> wire::ComponentKind {
    match kind {
        ComponentKind::Module => wire::ComponentKind::Module,
        ComponentKind::Mcu => wire::ComponentKind::Mcu,
    }
}

#[cfg(test)]
mod tests {
    use quecota_core::wire::frame::PacketId;

    use super::*;
    use crate::engine::FirmwareFile;
    use crate::rules::Version;
    use crate::store::Digests;

    fn decoded(command: Command, payload: &[u8]) -> Option<Packet> {
        decode(&Frame { packet: PacketId::FIRST, command, payload })
    }

    fn info(mcu: &str) -> Uplink {
        let mut payload = [0; 256];
        let info = InfoValues { module_version: "FW\n1", mcu_list: Some(mcu), ..InfoValues::default() };
        let length = info.emit(&mut payload).unwrap();
        decoded(Command::INFO_REPORT, payload.get(..length).unwrap()).unwrap().uplink
    }

    fn offered(component: &str, source: &str) -> OfferedComponent {
        OfferedComponent {
            component: ComponentNo::new(component).unwrap(),
            source: Some(source.into()),
            target: Version::new("2").unwrap(),
            kind: ComponentKind::Mcu,
            min_battery: Some(30),
            space: u64::MAX,
            min_rsrp: Some(-100),
        }
    }

    fn one_file(url: &str) -> Downlink {
        let digests = Digests { md5: [1; 16], crc32: 2, sha256: [3; 32] };
        Downlink::Firmware(FirmwareInfo {
            component: ComponentNo::new("app").unwrap(),
            source: None,
            target: Version::new("2").unwrap(),
            kind: ComponentKind::Module,
            files: vec![FirmwareFile { url: url.into(), size: 5, digests }],
            with_sha256: false,
        })
    }

    #[test]
    fn what_the_engine_does_not_act_on_is_not_decoded() {
        for command in [Command::DATA_REPORT, Command::NOTICE_UP, Command::LOCATION_REPORT, Command(0x7000)] {
            assert_eq!(decoded(command, b"\xFF"), None);
        }
    }

    #[test]
    fn a_field_of_another_type_costs_itself_only() {
        let mut payload = vec![0; 256];
        let mut writer = quecota_core::wire::ttlv::Writer::new(&mut payload);
        let length =
            writer.text(2, "FW1").text(3, "STM32:1").number(12, 7u32).number(11, 9u32).finish().unwrap();
        let packet = decoded(Command::INFO_REPORT, &payload[..length]).unwrap();
        let Uplink::Info(info) = packet.uplink else { panic!("{packet:?}") };
        assert_eq!((info.versions.module.as_deref(), info.sdk_version), (Some("FW1"), None));
        assert_eq!(info.versions.mcu.unwrap().len(), 1);
        assert_eq!(packet.ignored.len(), 2, "{:?}", packet.ignored);
        assert!(
            packet.ignored.iter().any(|line| line.contains("(id 12)") && line.ends_with("must be a text"))
        );
    }

    #[test]
    fn a_status_without_a_status_is_none_and_the_reason_is_the_field_that_was_wrong() {
        let mut payload = vec![0; 64];
        let length = quecota_core::wire::ttlv::Writer::new(&mut payload).text(13, "9").finish().unwrap();
        let packet = decoded(Command::STATUS_EVENT, &payload[..length]).unwrap();
        let Uplink::Malformed { reason, .. } = packet.uplink else { panic!("{packet:?}") };
        assert!(reason.contains("must be a number"), "{reason}");
    }

    #[test]
    fn a_packet_that_cannot_be_read_says_which_and_why() {
        let packet = decoded(Command::PLAN_REQUEST, b"\xFF\xFF\xFF").unwrap();
        let Uplink::Malformed { command: 0x0115, reason } = packet.uplink else { panic!("{packet:?}") };
        assert!(!reason.is_empty());
    }

    #[test]
    fn versions_are_ordered_and_storable_and_a_bad_name_is_left_out() {
        let reported = |component: &str, version: &str| ReportedVersion {
            component: ComponentNo::new(component).unwrap(),
            version: version.into(),
        };
        let too_long = "x".repeat(limits::COMPONENT + 1);
        let Uplink::Info(info) = info(&format!("b:2;a:\u{1}1;b:3;{too_long}:4")) else { panic!() };
        assert_eq!(info.versions.module.as_deref(), Some("FW1"));
        assert_eq!(info.versions.mcu, Some(vec![reported("a", "1"), reported("b", "2")]));
        assert_eq!((info.model, info.sdk_version), (None, None));
    }

    #[test]
    fn an_empty_mcu_list_clears_the_versions_in_a_report_and_is_none_in_a_request() {
        let Uplink::Info(info) = info("") else { panic!() };
        assert_eq!(info.versions.mcu, Some(vec![]));
        let packet = decoded(Command::PLAN_REQUEST, b"\x00\xd3\x00\x00").unwrap();
        assert_eq!(packet.uplink, Uplink::PlanRequest(Versions::default()));
    }

    #[test]
    fn the_identity_differs_by_packet_id_command_and_payload() {
        let of = |id, command, payload: &[u8]| {
            identity(&Frame { packet: PacketId::new(id).unwrap(), command, payload })
        };
        let first = of(1, Command::STATUS_EVENT, b"a");
        assert_eq!(first, of(1, Command::STATUS_EVENT, b"a"));
        for other in [
            of(2, Command::STATUS_EVENT, b"a"),
            of(1, Command::PLAN_REQUEST, b"a"),
            of(1, Command::STATUS_EVENT, b"b"),
        ] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn one_component_stands_alone_and_several_are_a_list() {
        let single = encode(&Downlink::Offer(vec![offered("a", "1")])).unwrap();
        let notify = PlanNotify::parse(&single.bytes).unwrap();
        let Plans::Single(plan) = notify.plans else { panic!("{notify:?}") };
        assert_eq!((plan.source, plan.battery, plan.space, plan.signal), ("1", 30, u32::MAX, -100));
        let several =
            encode(&Downlink::Offer(vec![offered("a", "1"), offered("b", &"x".repeat(65))])).unwrap();
        let notify = PlanNotify::parse(&several.bytes).unwrap();
        let Plans::List(plans) = notify.plans else { panic!("{notify:?}") };
        assert_eq!(plans.iter().map(|plan| plan.source).collect::<Vec<_>>(), ["1", ""]);
    }

    #[test]
    fn a_question_is_a_bare_list_of_ids() {
        let ask = |message| encode(&message).map(|payload| (payload.command, payload.leaf, payload.bytes));
        assert_eq!(ask(Downlink::AskVersions), Ok((Command::INFO_ASK, Leaf::Sys, vec![0, 2, 0, 3])));
        assert_eq!(ask(Downlink::AskStatus), Ok((Command::STATUS_ASK, Leaf::Sys, vec![0, 1, 0, 4, 0, 5])));
    }

    #[test]
    fn a_message_that_is_too_long_is_refused() {
        assert!(encode(&one_file(&"h".repeat(1024))).is_ok());
        assert!(encode(&one_file(&"h".repeat(PAYLOAD_MAX))).is_err());
    }
}
