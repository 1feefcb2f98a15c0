//! What holds for every value and every byte: what is emitted is parsed as it was, and nothing panics.

use std::sync::LazyLock;

use proptest::{collection::vec, option, prelude::*, sample::Index};
use quecota_core::{
    limits,
    wire::{
        NoRoom,
        credential::{self, Nonce, Password, Session, SessionCipher},
        event::{PieceEvent, PlanEvent, StartEvent},
        frame::{Command, Frame, PacketId},
        message::{
            Capabilities, ComponentKind, Content, Dns, Downlink, Downloaded, FirmwareInfo, Ids, InfoValues,
            Location, Notice, OtaStatus, PackageFile, Plan, PlanNotify, PlanRequest, Plans, Provision,
            Reason, Reauthenticate, Records, Signature, StatusEvent, StatusExtension, StatusValues, Uplink,
            Versions, Wanted,
        },
        topic::{self, Leaf, Topic},
        ttlv::{List, Number, Sign, Value, Writer},
    },
};

/// What an image may do without, and then neither writes nor reads.
const HAS_LISTS: bool = cfg!(feature = "lists");
const HAS_EXTENSIONS: bool = cfg!(feature = "extensions");

// Values ---------------------------------------------------------------------------------------------------------

fn packet() -> impl Strategy<Value = PacketId> {
    prop_oneof![(1..=0xFFFEu16).boxed(), Just(0xAAAA).boxed(), Just(0x55AA).boxed()]
        .prop_map(|id| PacketId::new(id).unwrap())
}

/// Bytes that need stuffing more often than chance would have it.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => any::<u8>(), 2 => Just(0xAA), 1 => Just(0x55)];
    vec(byte, 0..300)
}

/// A text of `least` to `most` bytes, some of them of characters that take several.
fn text(least: usize, most: usize) -> impl Strategy<Value = String> {
    let character = prop_oneof![8 => proptest::char::range(' ', '~'), 1 => any::<char>()];
    vec(character, least..=most).prop_map(move |characters| {
        let mut text = String::new();
        for character in characters {
            if text.len() + character.len_utf8() <= most {
                text.push(character);
            }
        }
        if text.len() < least { "x".repeat(least) } else { text }
    })
}

/// A text without the characters that its format gives a meaning.
fn plain(least: usize, most: usize) -> impl Strategy<Value = String> {
    proptest::string::string_regex(&format!("[ -~&&[^\";]]{{{least},{most}}}")).unwrap()
}

fn number() -> impl Strategy<Value = Number> {
    let magnitude = prop_oneof![any::<u64>(), 0..1000u64, Just(u64::MAX), Just(1 << 63)];
    (any::<bool>(), magnitude, 0..=15u8).prop_map(|(minus, magnitude, decimals)| {
        Number::new(if minus { Sign::Minus } else { Sign::Plus }, magnitude, decimals).unwrap()
    })
}

/// A list that owns its values.
#[derive(Debug, Clone, PartialEq)]
enum Tree {
    Bool(bool),
    Number(Number),
    Bytes(Vec<u8>),
    List(Vec<(u16, Tree)>),
}

fn tree() -> impl Strategy<Value = Tree> + Clone {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Tree::Bool),
        number().prop_map(Tree::Number),
        vec(any::<u8>(), 0..20).prop_map(Tree::Bytes),
    ];
    // The outermost list is one level more.
    leaf.prop_recursive(limits::TTLV_DEPTH as u32 - 1, 40, 5, |inner| list_of(inner).prop_map(Tree::List))
}

fn list_of(inner: impl Strategy<Value = Tree> + Clone) -> impl Strategy<Value = Vec<(u16, Tree)>> {
    prop_oneof![
        vec((1..=8191u16, inner.clone()), 0..5),
        vec(inner, 0..5).prop_map(|elements| elements.into_iter().map(|element| (0, element)).collect()),
    ]
}

fn list() -> impl Strategy<Value = Vec<(u16, Tree)>> {
    list_of(tree())
}

fn write(writer: &mut Writer<'_>, items: &[(u16, Tree)]) {
    for (id, item) in items {
        match item {
            Tree::Bool(value) => _ = writer.bool(*id, *value),
            Tree::Number(value) => _ = writer.number(*id, *value),
            Tree::Bytes(value) => _ = writer.bytes(*id, value),
            Tree::List(value) => {
                writer.open(*id);
                write(writer, value);
                writer.close();
            }
        }
    }
}

fn written(items: &[(u16, Tree)]) -> Vec<u8> {
    let mut out = vec![0; 16 * 1024];
    let mut writer = Writer::new(&mut out);
    write(&mut writer, items);
    let length = writer.finish().unwrap();
    out.truncate(length);
    out
}

fn read(list: List<'_>) -> Vec<(u16, Tree)> {
    list.iter()
        .map(|item| {
            let value = match item.value {
                Value::Bool(value) => Tree::Bool(value),
                Value::Number(value) => Tree::Number(value),
                Value::Bytes(value) => Tree::Bytes(value.to_vec()),
                Value::List(value) => Tree::List(read(value)),
            };
            (item.id, value)
        })
        .collect()
}

// Messages -------------------------------------------------------------------------------------------------------

fn kind() -> impl Strategy<Value = ComponentKind> {
    prop_oneof![Just(ComponentKind::Module), Just(ComponentKind::Mcu)]
}

type OwnedPlan = (String, String, String, ComponentKind, u32, u32, i32);

fn plan() -> impl Strategy<Value = OwnedPlan> {
    (text(1, 32), text(0, 64), text(1, 64), kind(), any::<u32>(), any::<u32>(), any::<i32>())
}

fn borrowed((component, source, target, kind, battery, space, signal): &OwnedPlan) -> Plan<'_> {
    Plan { component, source, target, kind: *kind, battery: *battery, space: *space, signal: *signal }
}

/// What is emitted is parsed as it was; every smaller buffer is refused with what is needed.
fn down(message: Downlink<'_>) -> Result<(), TestCaseError> {
    let mut out = vec![0; 16 * 1024];
    let length = message.emit_frame(PacketId::FIRST, &mut out).unwrap();
    small_buffers(length, |out| message.emit_frame(PacketId::FIRST, out))?;
    let frame = Frame::parse(&mut out[..length]).unwrap();
    prop_assert_eq!(Downlink::parse(&frame), Ok(message));
    prop_assert_eq!(frame.command, message.command());
    Ok(())
}

/// The same for the other direction.
fn up(message: Uplink<'_>) -> Result<(), TestCaseError> {
    let mut out = vec![0; 16 * 1024];
    let length = message.emit_frame(PacketId::FIRST, &mut out).unwrap();
    small_buffers(length, |out| message.emit_frame(PacketId::FIRST, out))?;
    let frame = Frame::parse(&mut out[..length]).unwrap();
    prop_assert_eq!(Uplink::parse(&frame), Ok(message));
    prop_assert_eq!(frame.command, message.command());
    Ok(())
}

fn small_buffers(
    length: usize,
    emit: impl Fn(&mut [u8]) -> Result<usize, NoRoom>,
) -> Result<(), TestCaseError> {
    for room in [0, 1, 8, 9, length / 2, length - 1] {
        let room = room.min(length - 1);
        let error = emit(&mut vec![0; room]).unwrap_err();
        prop_assert_eq!(error.room, room);
        prop_assert!(error.needed > room && error.needed <= length);
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_frame_is_parsed_as_emitted(packet in packet(), command: u16, payload in payload(), behind in payload()) {
        let frame = Frame { packet, command: Command(command), payload: &payload };
        let mut out = vec![0; 1024];
        let length = frame.emit(&mut out).unwrap();
        prop_assert!(length <= 9 + payload.len() * 2 + 8);
        out.truncate(length);
        small_buffers(length, |out| frame.emit(out))?;
        // No frame begins within it.
        prop_assert!(!out[1..].windows(2).any(|pair| pair == [0xAA, 0xAA]));
        out.extend_from_slice(&behind);
        prop_assert_eq!(Frame::parse(&mut out), Ok(frame));
    }

    #[test]
    fn a_truncated_frame_is_an_error(packet in packet(), command: u16, payload in payload()) {
        // Before a payload of AA 55, a command that ends in AA reads two ways, since the vendor leaves it unstuffed;
        // no such command exists (QUECTHING.md 4.3).
        prop_assume!(command & 0xFF != 0xAA);
        let frame = Frame { packet, command: Command(command), payload: &payload };
        let mut out = vec![0; 1024];
        let length = frame.emit(&mut out).unwrap();
        for cut in 0..length {
            let mut raw = out[..cut].to_vec();
            if let Ok(parsed) = Frame::parse(&mut raw) {
                // Only a stuffing byte may be missing: at the very end, or at a seam that a vendor leaves unstuffed.
                prop_assert_eq!(parsed, frame, "cut at {}", cut);
                prop_assert_eq!(cut + 1, length);
            }
        }
    }

    #[test]
    fn a_number_is_parsed_as_printed_and_as_emitted(number in number()) {
        prop_assert_eq!(number.to_string().parse(), Ok(number));
        let items = [(1, Tree::Number(number))];
        prop_assert_eq!(read(List::parse(&written(&items)).unwrap()), items);
    }

    #[test]
    fn integers_are_exact(signed: i64, unsigned: u64) {
        prop_assert_eq!(Number::from(signed).to_i64(), Some(signed));
        prop_assert_eq!(Number::from(unsigned).to_u64(), Some(unsigned));
    }

    #[test]
    fn a_float_with_few_digits_comes_back(digits in -999_999_999_999i64..=999_999_999_999, decimals in 0..=12u8) {
        let float = digits as f64 / 10f64.powi(decimals.into());
        let sign = if digits < 0 { Sign::Minus } else { Sign::Plus };
        let number = Number::from_f64(float).unwrap();
        prop_assert_eq!(Some(number), Number::new(sign, digits.unsigned_abs(), decimals));
        prop_assert_eq!(number.to_f64(), float);
    }

    #[test]
    fn a_tree_is_parsed_as_written(items in list()) {
        let bytes = written(&items);
        let list = List::parse(&bytes).unwrap();
        prop_assert_eq!(read(list), items.clone());
        let mut out = vec![0; bytes.len()];
        let mut writer = Writer::new(&mut out);
        for item in list {
            writer.value(item.id, item.value);
        }
        prop_assert_eq!(writer.finish(), Ok(bytes.len()));
        prop_assert_eq!(out, bytes);
    }

    #[test]
    fn a_truncated_tree_is_an_error(items in list_of(Just(Tree::Bool(true)).boxed()), inner in tree()) {
        // One struct around all of it: its count makes every cut visible.
        let mut items: Vec<_> = items.into_iter().map(|(_, item)| (1, item)).collect();
        items.push((2, inner));
        let bytes = written(&[(3, Tree::List(items))]);
        for cut in 1..bytes.len() {
            prop_assert!(List::parse(&bytes[..cut]).is_err(), "cut at {}", cut);
        }
    }

    #[test]
    fn a_plan_is_parsed_as_emitted(plan in plan(), more in vec(plan(), 1..=20), handling in option::of(any::<u32>())) {
        down(Downlink::PlanNotify(PlanNotify { handling, plans: Plans::Single(borrowed(&plan)) }))?;
        if HAS_LISTS {
            let more: Vec<_> = more.iter().map(borrowed).collect();
            down(Downlink::PlanNotify(PlanNotify { handling, plans: Plans::List(Records::of(&more)) }))?;
        }
    }

    #[test]
    fn a_firmware_info_is_parsed_as_emitted(
        plan in plan(),
        url in text(1, limits::FIRMWARE_URL.min(1024)),
        size in 1..=u32::MAX,
        md5: [u8; 16],
        crc: u32,
        sha256 in option::of(any::<[u8; 32]>()),
        indexes in vec(any::<u32>(), 1..=5),
    ) {
        let (component, source, target, kind, ..) = &plan;
        let content = Content::File { url: &url, size, md5, crc, sha256 };
        let info = FirmwareInfo { component, source, target, kind: *kind, content };
        down(Downlink::FirmwareInfo(info))?;
        if HAS_LISTS {
            let files: Vec<_> =
                indexes.into_iter().map(|index| PackageFile { index, url: &url, size, md5 }).collect();
            let content = Content::Files(Records::of(&files));
            down(Downlink::FirmwareInfo(FirmwareInfo { content, ..info }))?;
        }
    }

    #[test]
    fn a_provision_is_parsed_as_emitted(
        domain in text(0, 64),
        port in option::of(1..=u16::MAX),
        secrets in (text(0, 32), text(0, 32), text(0, 32), text(0, 32)),
        session_key in option::of(any::<[u8; 16]>()),
        again: bool,
        capabilities in option::of(any::<u32>()),
        bind in payload(),
    ) {
        let dns = (!domain.is_empty()).then_some(Dns { domain: &domain, ip: "", port });
        down(Downlink::Provision(Provision {
            dns,
            device_secret: &secrets.0,
            session_key,
            product_key: &secrets.1,
            product_secret: &secrets.2,
            reauthenticate: if again { Reauthenticate::Yes } else { Reauthenticate::No },
            new_device_secret: &secrets.3,
            bind_code: &bind,
            bind_secret: &bind,
            capabilities: capabilities.filter(|_| HAS_EXTENSIONS).map(Capabilities),
        }))?;
    }

    #[test]
    fn a_notice_is_parsed_as_emitted(
        code: u32,
        packet in option::of(any::<u16>()),
        product_key in text(0, 32),
        device_key in text(0, 32),
    ) {
        let notice = Notice { code, packet, product_key: &product_key, device_key: &device_key };
        down(Downlink::Notice(notice))?;
        up(Uplink::Notice(notice))?;
    }

    #[test]
    fn asks_and_business_data_are_parsed_as_emitted(
        ids in vec(any::<u16>(), 0..40),
        items in list(),
        bytes in payload(),
        sentences in vec(plain(1, 80), 1..8),
    ) {
        let ids = Ids::of(&ids);
        down(Downlink::StatusAsk(ids))?;
        down(Downlink::InfoAsk(ids))?;
        down(Downlink::DataAsk(ids))?;
        let written = written(&items);
        let list = List::parse(&written).unwrap();
        down(Downlink::DataWrite(list))?;
        up(Uplink::DataAnswer(list))?;
        up(Uplink::DataReport(list))?;
        down(Downlink::Pass(&bytes))?;
        up(Uplink::Pass(&bytes))?;
        let sentences: Vec<_> = sentences.iter().map(String::as_str).collect();
        up(Uplink::Location(Location::of(&sentences)))?;
    }

    #[test]
    fn a_request_and_a_status_event_are_parsed_as_emitted(
        module in text(0, 80),
        mcu in text(0, 511),
        status in prop::sample::select(OtaStatus::ALL.to_vec()),
        kind in kind(),
        component in text(0, 32),
        wants: bool,
        reason in option::of((any::<u16>(), text(0, 128))),
        progress in option::of((any::<u32>(), any::<u32>())),
    ) {
        let versions = Versions { module: &module, mcu: &mcu };
        up(Uplink::PlanRequest(PlanRequest { versions }))?;
        let signature = wants.then_some(Signature::Sha256);
        let extension = StatusExtension {
            reason: reason.as_ref().filter(|_| HAS_EXTENSIONS).map(|(number, text)| Reason { number: *number, text }),
            progress: progress.filter(|_| HAS_EXTENSIONS).map(|(received, size)| Downloaded { received, size }),
        };
        let component = &component;
        up(Uplink::StatusEvent(StatusEvent { status, kind, component, signature, versions, extension }))?;
    }

    #[test]
    fn status_values_are_parsed_as_emitted(
        whole in (option::of(any::<i32>()), option::of(any::<i32>()), option::of(any::<i32>())),
        more in (option::of(any::<i32>()), option::of(any::<i32>())),
        voltage in option::of(number()),
        flash_free in option::of(0..=i64::MAX as u64),
        wanted in vec(0..10u16, 0..8),
    ) {
        let values = StatusValues {
            battery: whole.0,
            voltage,
            signal: whole.1,
            flash_free,
            rsrp: whole.2,
            rsrq: more.0,
            snr: more.1,
        };
        up(Uplink::StatusReport(values))?;
        let told = Wanted::from(Ids::of(&wanted));
        let mut out = [0; 128];
        let length = values.emit_wanted(told, &mut out).unwrap();
        let some = StatusValues {
            battery: values.battery.filter(|_| told.has(1)),
            voltage: values.voltage.filter(|_| told.has(2)),
            signal: values.signal.filter(|_| told.has(3)),
            flash_free: values.flash_free.filter(|_| told.has(4)),
            rsrp: values.rsrp.filter(|_| told.has(5)),
            rsrq: values.rsrq.filter(|_| told.has(6)),
            snr: values.snr.filter(|_| told.has(7)),
        };
        prop_assert_eq!(StatusValues::parse(&out[..length]), Ok(some));
    }

    #[test]
    fn info_values_are_parsed_as_emitted(
        texts in vec(text(0, 40), 9),
        mcu_list in option::of(text(0, 511)),
        cell in option::of(0..=i64::MAX as u64),
        codes in (option::of(any::<u32>()), option::of(any::<u32>()), option::of(any::<u32>())),
        wanted in vec(0..20u16, 0..16),
    ) {
        let values = InfoValues {
            module_model: &texts[0],
            module_version: &texts[1],
            mcu_list: mcu_list.as_deref(),
            cell,
            iccid: &texts[2],
            mcc: codes.0,
            mnc: codes.1,
            lac: codes.2,
            phone: &texts[3],
            sim: &texts[4],
            sdk_version: &texts[5],
            locators: &texts[6],
            data_protocol: &texts[7],
            communication_protocol: &texts[8],
        };
        up(Uplink::InfoReport(values))?;
        let told = Wanted::from(Ids::of(&wanted));
        let mut out = [0; 2048];
        let length = values.emit_wanted(told, &mut out).unwrap();
        let text = |id, text| if told.has(id) { text } else { "" };
        let some = InfoValues {
            module_model: text(1, values.module_model),
            module_version: text(2, values.module_version),
            mcu_list: values.mcu_list.filter(|_| told.has(3)),
            cell: values.cell.filter(|_| told.has(4)),
            iccid: text(5, values.iccid),
            mcc: values.mcc.filter(|_| told.has(6)),
            mnc: values.mnc.filter(|_| told.has(7)),
            lac: values.lac.filter(|_| told.has(8)),
            phone: text(9, values.phone),
            sim: text(10, values.sim),
            sdk_version: text(11, values.sdk_version),
            locators: text(12, values.locators),
            data_protocol: text(13, values.data_protocol),
            communication_protocol: text(14, values.communication_protocol),
        };
        prop_assert_eq!(InfoValues::parse(&out[..length]), Ok(some));
    }

    #[test]
    fn extensions_pass_by(plan in plan(), extensions in vec((8000..=8191u16, tree()), 1..4), behind: bool) {
        let notify = PlanNotify { handling: None, plans: Plans::Single(borrowed(&plan)) };
        let mut known = vec![0; 1024];
        let length = notify.emit(&mut known).unwrap();
        known.truncate(length);
        let extended = written(&extensions);
        let payload = if behind { [known, extended].concat() } else { [extended, known].concat() };
        prop_assert_eq!(PlanNotify::parse(&payload), Ok(notify));
    }

    #[test]
    fn passwords_are_parsed_and_verified_as_made(
        product_key in plain(1, 32),
        product_secret in plain(16, 32),
        device_key in plain(1, 32),
        device_secret in plain(1, 32),
        random: [u8; 16],
        encrypted: bool,
        other in plain(16, 32),
    ) {
        let (nonce, session) = (Nonce::of(random), if encrypted { Session::Encrypted } else { Session::Plain });
        let password = credential::bootstrap(&product_key, &product_secret, &device_key, nonce, session).unwrap();
        let Ok(Password::Bootstrap(parsed)) = Password::parse(&password) else { panic!("{password:?}") };
        prop_assert_eq!(parsed.product_key, product_key);
        prop_assert_eq!(parsed.session, session);
        prop_assert_eq!(&*parsed.open(&product_secret).unwrap(), device_key);
        prop_assert!(other == product_secret || parsed.open(&other).is_err());
        let password = credential::login(&product_secret, &device_secret, nonce, session).unwrap();
        let Ok(Password::Login(parsed)) = Password::parse(&password) else { panic!("{password:?}") };
        prop_assert_eq!(parsed.session, session);
        prop_assert_eq!(parsed.verify(&product_secret, &device_secret), Ok(()));
        prop_assert!(other == device_secret || parsed.verify(&product_secret, &other).is_err());
    }

    #[test]
    fn a_session_message_comes_back(key: [u8; 16], message in payload()) {
        let cipher = SessionCipher::new(&key);
        let mut out = message.clone();
        out.resize(message.len() + 16, 0);
        let length = cipher.encrypt(&mut out, message.len()).unwrap();
        prop_assert_eq!(cipher.decrypt(&mut out[..length]).unwrap(), message);
    }

    #[test]
    fn event_texts_are_parsed_as_printed(
        component in plain(0, 32),
        source in plain(0, 64),
        target in plain(0, 64),
        numbers: [u32; 3],
        signal: i32,
        md5: [u8; 16],
        sha256 in option::of(any::<[u8; 32]>()),
    ) {
        let (component, [battery, space, crc]) = (component.as_str(), numbers);
        let event = PlanEvent { component, source: &source, target: &target, battery, signal, space };
        let text = event.text().unwrap();
        prop_assert_eq!(PlanEvent::parse(&text), Ok(event));
        let event = StartEvent { component, size: space, md5, crc, sha256 };
        let text = event.text().unwrap();
        prop_assert_eq!(StartEvent::parse(&text), Ok(event));
        let event = PieceEvent { component, total: space, start: crc, length: battery };
        let text = event.text().unwrap();
        prop_assert_eq!(PieceEvent::parse(&text), Ok(event));
    }

    #[test]
    fn topics_are_parsed_as_made(product_key in "[0-9A-Za-z]{1,32}", device_key in "[0-9A-Za-z]{1,32}") {
        let id = topic::client_id(&product_key, &device_key).unwrap();
        for leaf in [Leaf::Sys, Leaf::Bus, Leaf::Ota] {
            for topic in [topic::uplink(&id, leaf).unwrap(), topic::downlink(&id, leaf).unwrap()] {
                let parsed = Topic::parse(&topic).unwrap();
                prop_assert_eq!((parsed.client_id, parsed.leaf, parsed.peer), (&*id, Some(leaf), None));
            }
        }
    }
}

// Nothing panics -------------------------------------------------------------------------------------------------

const COMMANDS: [Command; 20] = [
    Command::DATA_ASK,
    Command::DATA_ANSWER,
    Command::DATA_WRITE,
    Command::DATA_REPORT,
    Command::PASS_DOWN,
    Command::PASS_UP,
    Command::STATUS_ASK,
    Command::STATUS_ANSWER,
    Command::STATUS_REPORT,
    Command::INFO_ASK,
    Command::INFO_ANSWER,
    Command::INFO_REPORT,
    Command::NOTICE_DOWN,
    Command::NOTICE_UP,
    Command::PROVISION,
    Command::PLAN_NOTIFY,
    Command::FIRMWARE_INFO,
    Command::STATUS_EVENT,
    Command::PLAN_REQUEST,
    Command::LOCATION_REPORT,
];

/// Reads `payload` as every message, walks what is accepted, and prints what is refused.
fn read_all(payload: &[u8]) {
    if let Ok(list) = List::parse(payload) {
        _ = format!("{:?}", read(list));
    }
    for command in COMMANDS {
        let frame = Frame { packet: PacketId::FIRST, command, payload };
        match Downlink::parse(&frame) {
            Ok(message) => {
                let mut out = vec![0; payload.len() * 4 + 1024];
                let length = message.emit(&mut out).unwrap();
                let again = Frame { payload: &out[..length], ..frame };
                assert_eq!(Downlink::parse(&again), Ok(message));
            }
            Err(error) => assert!(!format!("{}{:?}", error.in_words(payload), error.offset()).is_empty()),
        }
        match Uplink::parse(&frame) {
            Ok(message) => {
                let mut out = vec![0; payload.len() * 4 + 1024];
                let length = message.emit(&mut out).unwrap();
                let again = Frame { payload: &out[..length], ..frame };
                assert_eq!(Uplink::parse(&again), Ok(message));
            }
            Err(error) => assert!(!error.in_words(payload).to_string().is_empty()),
        }
    }
}

/// Frames of every kind, from the vectors.
static VALID_FRAMES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let all: serde_json::Value = serde_json::from_str(include_str!("quecthing-vectors.json")).unwrap();
    let frames = all["frames"].as_array().unwrap();
    frames.iter().map(|frame| hex::decode(frame["bytes"].as_str().unwrap()).unwrap()).collect()
});

/// One change of one byte.
#[derive(Debug, Clone)]
enum Change {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
}

fn changed(mut bytes: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        match change {
            Change::Set(at, byte) if !bytes.is_empty() => *at.get_mut(&mut bytes) = *byte,
            Change::Insert(at, byte) => bytes.insert(at.index(bytes.len() + 1), *byte),
            Change::Remove(at) if !bytes.is_empty() => _ = bytes.remove(at.index(bytes.len())),
            _ => {}
        }
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        any::<Index>().prop_map(Change::Remove),
    ];
    vec(change, 1..4)
}

#[test]
fn every_valid_payload_is_read_as_every_message_cut_at_every_byte() {
    for mut bytes in VALID_FRAMES.clone() {
        let frame = Frame::parse(&mut bytes).unwrap();
        for cut in 0..=frame.payload.len() {
            read_all(&frame.payload[..cut]);
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200), text in any::<String>(), key: [u8; 16]) {
        read_all(&bytes);
        let mut raw = bytes.clone();
        let before = raw.clone();
        if let Err(error) = Frame::parse(&mut raw) {
            prop_assert!(!error.to_string().is_empty());
            prop_assert_eq!(raw, before);
        }
        _ = SessionCipher::new(&key).decrypt(&mut bytes.clone());
        _ = text.parse::<Number>();
        _ = Topic::parse(&text);
        _ = PlanEvent::parse(&text);
        _ = StartEvent::parse(&text);
        _ = PieceEvent::parse(&text);
        _ = Nonce::parse(&text);
        for password in [text.clone(), format!("0;0000;{text};{text}"), format!("1;0001;{text};{text}")] {
            match Password::parse(&password) {
                Ok(Password::Bootstrap(parsed)) => _ = parsed.open(&text),
                Ok(Password::Login(parsed)) => _ = parsed.verify(&text, &text),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }

    #[test]
    fn a_damaged_frame_is_read_or_refused(which: Index, changes in changes()) {
        let mut bytes = changed(which.get(&VALID_FRAMES).clone(), &changes);
        if let Ok(frame) = Frame::parse(&mut bytes) {
            read_all(frame.payload);
        }
    }

    #[test]
    fn a_damaged_payload_is_read_or_refused(which: Index, changes in changes()) {
        let mut bytes = which.get(&VALID_FRAMES).clone();
        let frame = Frame::parse(&mut bytes).unwrap();
        read_all(&changed(frame.payload.to_vec(), &changes));
    }

    #[test]
    fn a_damaged_tree_is_read_or_refused(items in list(), changes in changes()) {
        read_all(&changed(written(&items), &changes));
    }
}
