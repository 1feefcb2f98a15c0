//! The byte vectors of QUECTHING.md, made by an independent encoder, in both directions.

use quecota_core::wire::{
    credential::{self, Nonce, Password, Session, SessionCipher},
    frame::{Command, Frame, FrameError, PacketId},
    message::{
        ComponentKind, Content, Downlink, FirmwareInfo, Ids, InfoValues, OtaStatus, Plan, PlanNotify,
        PlanRequest, Plans, Provision, Records, StatusEvent, StatusExtension, StatusValues, Uplink, Versions,
    },
    ttlv::{Fault, List, Number, Part, TtlvError, Value, Writer},
};
use serde_json::Value as Json;

/// Whether messages with lists of plans or files are read.
const HAS_LISTS: bool = cfg!(feature = "lists");

/// The vectors under `name`; each test counts what it took, so that none is passed over.
fn vectors(name: &str) -> Vec<Json> {
    let all: Json = serde_json::from_str(include_str!("quecthing-vectors.json")).unwrap();
    all[name].as_array().unwrap().clone()
}

fn text<'j>(vector: &'j Json, key: &str) -> &'j str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key} of {vector}"))
}

fn bytes(vector: &Json, key: &str) -> Vec<u8> {
    hex::decode(text(vector, key)).unwrap()
}

fn number(vector: &Json, key: &str) -> u16 {
    vector[key].as_u64().unwrap().try_into().unwrap()
}

/// What `emit` writes.
fn emitted<E: std::fmt::Debug>(emit: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Vec<u8> {
    let mut out = vec![0; 1024];
    let length = emit(&mut out).unwrap();
    out.truncate(length);
    out
}

#[test]
fn every_frame_is_read_and_written() {
    let vectors = vectors("frames");
    assert_eq!(vectors.len(), 19);
    for vector in vectors {
        let (mut raw, payload) = (bytes(&vector, "bytes"), bytes(&vector, "payload"));
        let frame = Frame {
            packet: PacketId::new(number(&vector, "packet_id")).unwrap(),
            command: Command(number(&vector, "command")),
            payload: &payload,
        };
        assert_eq!(emitted(|out| frame.emit(out)), raw, "{}", text(&vector, "name"));
        assert_eq!(Frame::parse(&mut raw), Ok(frame), "{}", text(&vector, "name"));
    }
}

#[test]
fn every_malformed_frame_is_refused_by_name() {
    let right = |name: &str| match name {
        "empty" => FrameError::Cut { have: 0, needed: 9 },
        "short header" => FrameError::Cut { have: 4, needed: 9 },
        "wrong magic" => FrameError::Magic { found: [0xAB, 0xAA] },
        "bad sum" => FrameError::Sum { announced: 0x16, computed: 0x17 },
        "length past the end" => FrameError::Cut { have: 9, needed: 10 },
        "packet id 0" => FrameError::PacketId { id: 0 },
        "packet id FFFF" => FrameError::PacketId { id: 0xFFFF },
        "length below 5" => FrameError::Length { length: 4 },
        other => panic!("no test for {other}"),
    };
    let vectors = vectors("malformed_frames");
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let name = text(&vector, "name");
        assert_eq!(Frame::parse(&mut bytes(&vector, "bytes")), Err(right(name)), "{name}");
    }
}

/// Writes the items of a vector.
fn write(writer: &mut Writer<'_>, items: &Json) {
    for item in items.as_array().unwrap() {
        let (id, value) = (item[0].as_u64().unwrap().try_into().unwrap(), &item[1]);
        match value {
            Json::Bool(value) => _ = writer.bool(id, *value),
            Json::Number(value) => _ = writer.number(id, exact(&value.to_string())),
            Json::Object(object) => {
                let (kind, inner) = object.iter().next().unwrap();
                match kind.as_str() {
                    "decimal" => _ = writer.number(id, exact(inner.as_str().unwrap())),
                    "text" => _ = writer.text(id, inner.as_str().unwrap()),
                    "hex" => _ = writer.bytes(id, &hex::decode(inner.as_str().unwrap()).unwrap()),
                    "items" => {
                        writer.open(id);
                        write(writer, inner);
                        writer.close();
                    }
                    other => panic!("no test for {other}"),
                }
            }
            other => panic!("no test for {other}"),
        }
    }
}

fn exact(number: &str) -> Number {
    number.parse().unwrap()
}

/// Holds a parsed list to the items of a vector.
fn check(list: List<'_>, items: &Json, name: &str) {
    let items = items.as_array().unwrap();
    assert_eq!(list.len(), items.len(), "{name}");
    for (read, item) in list.iter().zip(items) {
        assert_eq!(u64::from(read.id), item[0].as_u64().unwrap(), "{name}");
        match (read.value, &item[1]) {
            (Value::Bool(read), Json::Bool(right)) => assert_eq!(read, *right, "{name}"),
            (Value::Number(read), Json::Number(right)) => {
                assert_eq!(read.to_string(), right.to_string(), "{name}");
            }
            (Value::Number(read), right) => assert_eq!(read.to_string(), text(right, "decimal"), "{name}"),
            (Value::Bytes(read), right) if right.get("hex").is_some() => {
                assert_eq!(hex::encode(read), text(right, "hex"), "{name}");
            }
            (Value::Bytes(read), right) => assert_eq!(read, text(right, "text").as_bytes(), "{name}"),
            (Value::List(read), right) => check(read, &right["items"], name),
            (read, right) => panic!("{name}: {read:?} instead of {right}"),
        }
    }
}

#[test]
fn every_list_is_read_and_written() {
    let vectors = vectors("ttlv");
    assert_eq!(vectors.len(), 14);
    for vector in vectors {
        let (name, raw) = (text(&vector, "name"), bytes(&vector, "bytes"));
        check(List::parse(&raw).unwrap(), &vector["items"], name);
        let written = emitted(|out| {
            let mut writer = Writer::new(out);
            write(&mut writer, &vector["items"]);
            writer.finish()
        });
        assert_eq!(hex::encode(written), text(&vector, "bytes"), "{name}");
    }
}

#[test]
fn every_malformed_list_is_refused_with_its_place() {
    let right = |name: &str| match name {
        "tag cut" => TtlvError { offset: 0, fault: Fault::Cut(Part::Tag) },
        "number without magnitude" => TtlvError { offset: 3, fault: Fault::Cut(Part::Number) },
        "number cut" => TtlvError { offset: 3, fault: Fault::Cut(Part::Number) },
        "text length past the end" => TtlvError { offset: 4, fault: Fault::Cut(Part::Text) },
        "struct count past the end" => TtlvError { offset: 6, fault: Fault::Cut(Part::Tag) },
        "reserved type 5" => TtlvError { offset: 0, fault: Fault::Reserved(5) },
        "reserved type 7" => TtlvError { offset: 0, fault: Fault::Reserved(7) },
        other => panic!("no test for {other}"),
    };
    let vectors = vectors("malformed_ttlv");
    assert_eq!(vectors.len(), 7);
    for vector in vectors {
        let name = text(&vector, "name");
        assert_eq!(List::parse(&bytes(&vector, "bytes")), Err(right(name)), "{name}");
    }
}

#[test]
fn every_password_is_made_and_verified() {
    let vectors = vectors("passwords");
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let nonce = Nonce::parse(text(&vector, "random")).unwrap();
        let wanted = vector["session"].as_bool().unwrap();
        let session = if wanted { Session::Encrypted } else { Session::Plain };
        let secret = text(&vector, "product_secret");
        let password = text(&vector, "password");
        let parsed = Password::parse(password).unwrap();
        assert_eq!(parsed.session(), session);
        match (parsed, text(&vector, "kind")) {
            (Password::Bootstrap(parsed), "bootstrap") => {
                let (key, device) = (text(&vector, "product_key"), text(&vector, "device_key"));
                let made = credential::bootstrap(key, secret, device, nonce, session).unwrap();
                assert_eq!(&*made, password);
                assert_eq!(parsed.product_key, key);
                assert_eq!(&*parsed.open(secret).unwrap(), device);
            }
            (Password::Login(parsed), "login") => {
                let device_secret = text(&vector, "device_secret");
                assert_eq!(&*credential::login(secret, device_secret, nonce, session).unwrap(), password);
                assert_eq!(parsed.random, nonce.as_str());
                assert_eq!(parsed.verify(secret, device_secret), Ok(()));
            }
            (parsed, kind) => panic!("{parsed:?} instead of {kind}"),
        }
    }
}

#[test]
fn every_session_message_is_encrypted_and_decrypted() {
    let vectors = vectors("session_cipher");
    assert_eq!(vectors.len(), 4);
    for vector in vectors {
        let cipher = SessionCipher::new(&bytes(&vector, "key").try_into().unwrap());
        let (plain, mut sealed) = (bytes(&vector, "plain"), bytes(&vector, "cipher"));
        let encrypted = emitted(|out| {
            out[..plain.len()].copy_from_slice(&plain);
            cipher.encrypt(out, plain.len())
        });
        assert_eq!(encrypted, sealed);
        assert_eq!(cipher.decrypt(&mut sealed).unwrap(), plain);
    }
}

/// What a frame vector means, where it is a message; both directions of each are held to it.
enum Meaning<'a> {
    Down(Downlink<'a>),
    Up(Uplink<'a>),
    /// To test the frame, not what it says.
    FrameOnly,
}

#[test]
fn every_message_means_what_it_says() {
    let plan = Plan {
        component: "MCU",
        source: "1",
        target: "2",
        kind: ComponentKind::Mcu,
        battery: 30,
        space: 698_000,
        signal: -113,
    };
    let (app, stm32) = (
        Plan { component: "app", source: "", target: "APP_2", kind: ComponentKind::Module, ..plan },
        Plan { component: "STM32", source: "1_0_0", target: "2_0_0", ..plan },
    );
    let list = [
        Plan { battery: 20, space: 4096, signal: -100, ..app },
        Plan { battery: 20, space: 8192, signal: -100, ..stm32 },
    ];
    let report: Vec<u8> =
        hex::decode("000900120001001b000b68656c6c6f20776f726c6400240003000200010002000200020003").unwrap();
    let event = StatusEvent {
        status: OtaStatus::Confirmed,
        kind: ComponentKind::Mcu,
        component: "MCU",
        signature: None,
        versions: Versions::default(),
        extension: StatusExtension::default(),
    };
    let info = InfoValues {
        module_model: "EC200U",
        module_version: "FWV1",
        mcu_list: Some("STM32:1_0_0"),
        iccid: "89860000000000000000",
        sdk_version: "2.9.0",
        locators: "LBS",
        data_protocol: "1.3.0",
        communication_protocol: "3.0.0",
        ..InfoValues::default()
    };
    let ask = [1, 4, 5];
    let meaning = |name: &str| match name {
        "request with versions" => Meaning::Up(Uplink::PlanRequest(PlanRequest {
            versions: Versions { module: "FWV1", mcu: "MCU:1" },
        })),
        "request, module only" => Meaning::Up(Uplink::PlanRequest(PlanRequest {
            versions: Versions { module: "EC200UCNAAR03A11M08", mcu: "" },
        })),
        "plan, one MCU component" => {
            Meaning::Down(Downlink::PlanNotify(PlanNotify { handling: None, plans: Plans::Single(plan) }))
        }
        "plan, two components as a list" if !HAS_LISTS => Meaning::FrameOnly,
        "plan, two components as a list" => Meaning::Down(Downlink::PlanNotify(PlanNotify {
            handling: None,
            plans: Plans::List(Records::of(&list)),
        })),
        "firmware info" => Meaning::Down(Downlink::FirmwareInfo(FirmwareInfo {
            component: "STM32",
            source: "1_0_0",
            target: "2_0_0",
            kind: ComponentKind::Mcu,
            content: Content::File {
                url: "http://ota.example.org:8080/f/1?k=2",
                size: 27954,
                md5: hex::decode("95cb0c4a1e2d3f405162738495a6b7c8").unwrap().try_into().unwrap(),
                crc: 0xEFC5_A1B9,
                sha256: None,
            },
        })),
        "status 2" => Meaning::Up(Uplink::StatusEvent(event)),
        "status 11 with versions" => Meaning::Up(Uplink::StatusEvent(StatusEvent {
            status: OtaStatus::UpdateSuccess,
            component: "STM32",
            versions: Versions { module: "FWV1", mcu: "STM32:2_0_0" },
            ..event
        })),
        "status report" => Meaning::Up(Uplink::StatusReport(StatusValues {
            battery: Some(87),
            voltage: Some(exact("3.7")),
            signal: Some(-71),
            flash_free: Some(698_000),
            ..StatusValues::default()
        })),
        "info report" => Meaning::Up(Uplink::InfoReport(info)),
        "status asked for: battery, free flash, RSRP" => Meaning::Down(Downlink::StatusAsk(Ids::of(&ask))),
        "status answer" => Meaning::Up(Uplink::StatusAnswer(StatusValues {
            battery: Some(17),
            flash_free: Some(65536),
            rsrp: Some(-104),
            ..StatusValues::default()
        })),
        "thing-model report" => Meaning::Up(Uplink::DataReport(List::parse(&report).unwrap())),
        "device secret" => Meaning::Down(Downlink::Provision(Provision {
            device_secret: "0123456789abcdef0123456789abcdef",
            ..Provision::default()
        })),
        "empty payload" => Meaning::Down(Downlink::StatusAsk(Ids::of(&[]))),
        name if name.starts_with("stuffing") => Meaning::FrameOnly,
        other => panic!("no test for {other}"),
    };
    let mut meant = 0;
    for vector in vectors("frames") {
        let name = text(&vector, "name");
        let mut raw = bytes(&vector, "bytes");
        let whole = raw.clone();
        let frame = Frame::parse(&mut raw).unwrap();
        let (written, command) = match meaning(name) {
            Meaning::Down(right) => {
                assert_eq!(Downlink::parse(&frame), Ok(right), "{name}");
                (emitted(|out| right.emit_frame(frame.packet, out)), right.command())
            }
            Meaning::Up(right) => {
                assert_eq!(Uplink::parse(&frame), Ok(right), "{name}");
                (emitted(|out| right.emit_frame(frame.packet, out)), right.command())
            }
            Meaning::FrameOnly => continue,
        };
        assert_eq!(hex::encode(written), hex::encode(whole), "{name}");
        assert_eq!(command, frame.command, "{name}");
        meant += 1;
    }
    assert_eq!(meant, if HAS_LISTS { 14 } else { 13 });
}
