//! An application as those of the vendor's SDK are (tests/application.c), built against either header from one source and
//! served by a center: every event and every value, on the device's side and on the center's.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use md5::{Digest, Md5};
use reference_device::frame::Frame;
use reference_device::ttlv::{Value, emit, number, parse, text};
use support::{Center, Process, TIMEOUT, eventually};

const PRODUCT: &str = "p1test";
const SECRET: &str = "dGVzdC1zZWNyZXQtMDAx";
const DEVICE: &str = "860000000000042";
/// More than one piece, and not a whole number of them.
const IMAGES: [(&str, usize); 2] = [("MCU1", 100_001), ("MCU2", 70_000)];
const STAGING: usize = 64 * 1024;

/// The application, as CMake built it against a header.
fn program(header: &str) -> PathBuf {
    let folder = std::env::var_os("QUECOTA_C_TESTS");
    let folder = folder.expect("QUECOTA_C_TESTS names the folder of the C tests; `cargo xtask test` sets it");
    Path::new(&folder).join(format!("application_{header}"))
}

fn image(length: usize) -> Vec<u8> {
    let mut state = length as u64;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// What the device said: topic behind `q/2/d/CLIENT/`, QoS and frame.
type Said = (String, u8, Frame);

/// The line between the device and the center. It hears what the device says, and speaks to it as a data platform beside the
/// center would.
struct DataPlatform {
    address: SocketAddr,
    said: Receiver<Said>,
    down: Arc<Mutex<Option<(TcpStream, String)>>>,
}

impl DataPlatform {
    fn start(center: SocketAddr) -> DataPlatform {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (saying, said) = channel();
        let down = Arc::new(Mutex::new(None));
        let place = down.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(center) else { continue };
                let (up_from, up_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (saying, place) = (saying.clone(), place.clone());
                let down_to = client.try_clone().unwrap();
                std::thread::spawn(move || up(up_from, up_to, &client, &saying, &place));
                std::thread::spawn(move || relay(server, down_to));
            }
        });
        DataPlatform { address, said, down }
    }

    /// Publishes a frame to the device, QoS 0.
    fn send(&self, packet: u16, command: u16, payload: Vec<u8>) {
        let frame = Frame { packet, command, payload }.emit();
        let down = self.down.lock().unwrap();
        let (stream, prefix) = down.as_ref().expect("the device has subscribed");
        let topic = format!("{prefix}bus");
        let mut packet = vec![0x30];
        let mut rest = 2 + topic.len() + frame.len();
        while rest >= 0x80 {
            packet.push((rest % 0x80) as u8 | 0x80);
            rest /= 0x80;
        }
        packet.push(rest as u8);
        packet.extend((topic.len() as u16).to_be_bytes());
        packet.extend(topic.as_bytes());
        packet.extend(frame);
        (&*stream).write_all(&packet).unwrap();
    }
}

/// One MQTT packet with its head.
fn packet(from: &mut impl Read) -> Option<Vec<u8>> {
    let mut packet = vec![0; 1];
    from.read_exact(&mut packet).ok()?;
    let (mut length, mut shift) = (0usize, 0);
    loop {
        let mut byte = [0];
        from.read_exact(&mut byte).ok()?;
        packet.push(byte[0]);
        length |= usize::from(byte[0] & 0x7F) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let head = packet.len();
    packet.resize(head + length, 0);
    from.read_exact(&mut packet[head..]).ok()?;
    Some(packet)
}

/// The text with its length in front, and what follows.
fn short_text(bytes: &[u8]) -> (String, &[u8]) {
    let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    (String::from_utf8(bytes[2..2 + length].to_vec()).unwrap(), &bytes[2 + length..])
}

fn up(
    mut from: TcpStream,
    mut to: TcpStream,
    client: &TcpStream,
    saying: &Sender<Said>,
    down: &Mutex<Option<(TcpStream, String)>>,
) {
    while let Some(packet) = packet(&mut from) {
        let head = 1 + packet[1..].iter().position(|byte| *byte < 0x80).unwrap() + 1;
        let (first, body) = (packet[0], &packet[head..]);
        match first >> 4 {
            // SUBSCRIBE: q/1/d/CLIENT/+
            8 => {
                let (filter, _) = short_text(&body[2..]);
                let prefix = filter.trim_end_matches('+').to_owned();
                *down.lock().unwrap() = Some((client.try_clone().unwrap(), prefix));
            }
            // PUBLISH
            3 => {
                let (topic, rest) = short_text(body);
                let qos = first >> 1 & 3;
                let payload = if qos > 0 { &rest[2..] } else { rest };
                let leaf = topic.rsplit('/').next().unwrap().to_owned();
                // The test may be over.
                let _ = saying.send((leaf, qos, Frame::parse(payload).unwrap()));
            }
            _ => {}
        }
        if to.write_all(&packet).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Whole packets, so that one of the data platform comes between two.
fn relay(mut from: TcpStream, mut to: TcpStream) {
    while let Some(packet) = packet(&mut from) {
        if to.write_all(&packet).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

/// A center with an active plan for both MCUs.
fn center_with_plan(folder: &Path) -> (Center, String) {
    let center = Center::start(&folder.join("center"));
    center.says(&["product", "create", "--key", PRODUCT, "--name", "Pump", "--secret", SECRET]);
    let mut create = vec!["plan".to_owned(), "create".into(), "--name".into(), "both".into()];
    create.extend(["--product".to_owned(), PRODUCT.into()]);
    for (component, length) in IMAGES {
        center.says(&["component", "add", PRODUCT, component, "--type", "mcu"]);
        let file = folder.join(format!("new-{component}.bin"));
        std::fs::write(&file, image(length)).unwrap();
        let add = ["package", "add", "--product", PRODUCT, "--component", component, "--name", component];
        let id = center.id(&[&add[..], &["--target", "2_0", file.to_str().unwrap()]].concat());
        create.extend(["--component".to_owned(), format!("{component}={id}")]);
    }
    let plan = center.id(&create.iter().map(String::as_str).collect::<Vec<_>>());
    center.says(&["plan", "activate", &plan]);
    (center, plan)
}

/// What the application prints.
struct Lines {
    from: Receiver<String>,
    all: Vec<String>,
}

impl Lines {
    /// Waits until `count` lines begin so.
    fn wait_for(&mut self, begin: &str, count: usize) {
        while self.of(&[begin]).len() < count {
            match self.from.recv_timeout(TIMEOUT) {
                Ok(line) => self.all.push(line),
                Err(_) => panic!("fewer than {count} lines {begin:?}: {:#?}", self.all),
            }
        }
    }

    /// The lines that begin with one of these words, in order; heartbeats once.
    fn of(&self, words: &[&str]) -> Vec<&str> {
        let lines = self.all.iter().map(|line| line.trim_end());
        let mut lines: Vec<_> =
            lines.filter(|line| words.iter().any(|word| line.starts_with(word))).collect();
        lines.dedup_by(|a, b| a == b && *a == "ota 10702");
        lines
    }
}

fn decimal(negative: bool, magnitude: u64, decimals: u8) -> Value {
    Value::Number { negative, decimals, magnitude }
}

/// What the application reports when it is online.
fn reported() -> Vec<(u16, Value)> {
    let position = vec![(1, number(3)), (2, Value::List(vec![(1, Value::Bool(false))]))];
    vec![
        (1, Value::Bool(true)),
        (2, decimal(false, 235, 1)),
        (3, text("pump")),
        (4, number(-41)),
        (5, Value::List(position)),
        (6, Value::List(vec![(0, number(10)), (0, number(20))])),
        (7, Value::Bytes(vec![0, 0xFF])),
    ]
}

/// What the data platform sets: beyond 32 bits, below zero, with decimals, in a tree.
fn set() -> Vec<(u16, Value)> {
    vec![
        (1, Value::Bool(false)),
        (2, decimal(true, 25, 2)),
        (3, text("n\u{e4}")),
        (4, number(-9_007_199_254_740_993)),
        (5, Value::List(vec![(1, Value::List(vec![(0, number(1)), (0, number(-2))]))])),
        (7, Value::Bytes(vec![0, 0xFE])),
    ]
}

fn upgrade_lines(flag: &str) -> Vec<String> {
    let lines = |(component, length): (&str, usize)| {
        let bytes = image(length);
        let (md5, crc) = (hex::encode(Md5::digest(&bytes)), crc32fast::hash(&bytes));
        vec![
            format!("ota 10701 \"{component}\",{length},\"{md5}\",{crc}"),
            "ota 10702".into(),
            format!("ota 10703 \"{component}\",{length},0,{STAGING}"),
            "ota 10702".into(),
            format!("ota 10703 \"{component}\",{length},{STAGING},{}", length - STAGING),
            format!("version {component} 1"),
            "ota 10704".into(),
            "ota 10705".into(),
        ]
    };
    let plans =
        IMAGES.map(|(component, size)| format!("ota 10700 \"{component}\",\"1_0\",\"2_0\",0,0,{size}"));
    let mut all = plans.to_vec();
    all.extend(["confirm 1".to_owned(), format!("ota 10707 {flag}")]);
    all.extend(IMAGES.into_iter().flat_map(lines));
    all
}

#[test]
fn an_application_of_sdk_2_9_does_all_it_does_with_the_vendors_library() {
    is_served("Ql_iotApi", "number 0");
}

#[test]
fn the_same_source_does_it_with_the_header_of_later_sdks() {
    is_served("ql_api_qthsdk", "text 1");
}

/// `flag` is the value of 10707, in which the dialects differ.
fn is_served(header: &str, flag: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (center, plan) = center_with_plan(folder.path());
    let platform = DataPlatform::start(center.mqtt);
    let mut device = Process::start(program(header), |command| {
        command.arg(format!("mqtt://{}", platform.address)).args([PRODUCT, SECRET]).arg(folder.path());
        command.env("QUECOTA_DIR", folder.path().join("device")).env("QUECOTA_DEVICE_KEY", DEVICE);
        command.env("QUECOTA_STAGING", STAGING.to_string()).env("QUECOTA_MODULE_VERSION", "FWV1");
        command.env("QUECOTA_BATTERY", "80").env("QUECOTA_SIGNAL", "-71");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
    });
    let printed = BufReader::new(device.child().stdout.take().unwrap()).lines();
    let (to, from) = channel();
    std::thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| to.send(line)));
    let mut lines = Lines { from, all: Vec::new() };

    lines.wait_for("ota 10705", 2);
    lines.wait_for("sent", 9);
    platform.send(7, 0x0013, emit(&set()));
    lines.wait_for("received 10210", 1);
    platform.send(8, 0x0011, vec![0, 1, 0, 3, 0, 4]);
    platform.send(9, 0x0023, b"over".to_vec());
    lines.wait_for("sent", 12);
    on_the_device(&lines, &platform, flag);
    for (component, length) in IMAGES {
        let flash = std::fs::read(folder.path().join(format!("{component}.bin"))).unwrap();
        assert!(flash == image(length), "{component} has other bytes than its package");
    }
    on_the_center(&center, &plan);
    drop(device.child().stdin.take());
    assert!(device.finish().success());
}

fn on_the_device(lines: &Lines, platform: &DataPlatform, flag: &str) {
    let online = ["event 1 10200 0 state 8", "event 2 10200 0 state 8", "event 3 10200 0 state 8"];
    assert_eq!(lines.of(&["event"]), online);
    assert_eq!(lines.of(&["report", "pass"]), ["report 1", "pass 1"].repeat(3));
    // There is no position receiver on this platform.
    assert_eq!(
        lines.of(&["status", "info", "outside", "inside"]),
        ["status 1", "info 1", "outside 1", "inside 0"]
    );
    assert_eq!(lines.of(&["ota", "confirm", "version"]), upgrade_lines(flag));
    assert_eq!(
        lines.of(&["received", "value", "asked", "bytes"]),
        [
            "received 10210 0",
            "value 0 1 bool 0",
            "value 0 2 float -0.25",
            "value 0 3 bytes 6E C3 A4",
            "value 0 4 int -9007199254740993",
            "value 0 5 struct",
            "value 1 1 struct",
            "value 2 0 int 1",
            "value 2 0 int -2",
            "value 0 7 bytes 00 FE",
            "received 10211 3",
            "asked 1 3 4",
            "received 10200 4",
            "bytes over",
        ]
    );

    // What the library says by itself comes first; then what the application said, in its order.
    let said: Vec<Said> = platform.said.try_iter().collect();
    let kept = |(_, _, frame): &&Said| !matches!(frame.command, 0x0114 | 0x0115);
    let mut said = said.iter().filter(kept).skip(2);
    let mut next = |leaf: &str, qos: u8, command: u16| {
        let (its_leaf, its_qos, frame) = said.next().expect("one more packet");
        assert_eq!((its_leaf.as_str(), *its_qos, frame.command), (leaf, qos, command));
        frame
    };
    let mut packets = Vec::new();
    for qos in 0..=2 {
        let frame = next("bus", qos, 0x0014);
        assert_eq!(parse(&frame.payload).unwrap(), reported());
        packets.push(("10210", frame.packet));
        let frame = next("bus", qos, 0x0024);
        assert_eq!(frame.payload, b"hello");
        packets.push(("10200", frame.packet));
    }
    let frame = next("sys", 1, 0x0034);
    let status = [(1, number(80)), (3, number(-71)), (4, number(STAGING as i64))];
    assert_eq!(parse(&frame.payload).unwrap(), status);
    packets.push(("10230", frame.packet));
    let frame = next("sys", 1, 0x0044);
    let info = parse(&frame.payload).unwrap();
    assert_eq!(info[..2], [(1, text("quecota-host")), (2, text("FWV1_A1"))]);
    let Value::Bytes(versions) = &info[2].1 else { panic!("{info:?}") };
    // It tells what holds when it goes out, which may be after an upgrade of this very moment.
    let versions = String::from_utf8(versions.clone()).unwrap();
    assert!(versions.starts_with("MCU1:") && versions.contains(";MCU2:"), "{versions}");
    packets.push(("10240", frame.packet));
    let frame = next("bus", 1, 0x0122);
    let sentences = "$GNGGA,093124.00,3149.33,N;$GNRMC,093124.00,A;";
    assert_eq!(parse(&frame.payload).unwrap(), [(2, text(sentences))]);
    packets.push(("10220", frame.packet));
    let frame = next("bus", 2, 0x0014);
    assert_eq!(parse(&frame.payload).unwrap(), set());
    packets.push(("10210", frame.packet));
    let frame = next("bus", 1, 0x0012);
    let answer = [(1, Value::Bool(false)), (3, text("n\u{e4}")), (4, number(-9_007_199_254_740_993))];
    assert_eq!((frame.packet, parse(&frame.payload).unwrap()), (8, answer.to_vec()), "the question's packet");
    packets.push(("10210", frame.packet));
    let frame = next("bus", 1, 0x0024);
    assert_eq!(frame.payload, b"over");
    packets.push(("10200", frame.packet));
    assert!(said.next().is_none());
    // Later SDKs tell which packet arrived.
    let shown = |packet: u16| if flag.starts_with("text") { packet } else { 0 };
    let sent: Vec<_> =
        packets.iter().map(|(code, packet)| format!("sent {code} {}", shown(*packet))).collect();
    assert_eq!(lines.of(&["sent"]), sent);
}

fn on_the_center(center: &Center, plan: &str) {
    let lines = eventually("every message in the device's log", || {
        let log = center.json(&["device", "log", PRODUCT, DEVICE]);
        let lines = log["items"].as_array().unwrap().iter();
        let lines = lines.filter(|line| !line["value"]["data"].is_null());
        let mut lines: Vec<_> = lines
            .map(|line| {
                let data = line["value"]["data"].as_str().unwrap().to_owned();
                assert!(line["at"].as_i64() <= line["last_at"].as_i64());
                (line["kind"].as_str().unwrap().to_owned(), line["times"].as_i64().unwrap(), data)
            })
            .collect();
        lines.sort();
        (lines.iter().map(|(_, times, _)| times).sum::<i64>() == 10).then_some(lines)
    });
    let line = |kind: &str, times, data: &str| (kind.to_owned(), times, data.to_owned());
    assert_eq!(
        lines,
        [
            line("data answer", 1, "1=false 3=\"n\u{e4}\" 4=-9007199254740993"),
            line("data passed through", 4, "\"over\""),
            line("data report", 4, "1=false 2=-0.25 3=\"n\u{e4}\" 4=-9007199254740993 5={1=[1 -2]} 7=0x00FE"),
            line("location", 1, "2=\"$GNGGA,093124.00,3149.33,N;$GNRMC,093124.00,A;\""),
        ]
    );
    let token = std::fs::read_to_string(center.data.join("token")).unwrap();
    let url = format!("http://{}/metrics", center.http);
    let mut figures = ureq::get(url).header("Authorization", format!("Bearer {token}")).call().unwrap();
    let figures = figures.body_mut().read_to_string().unwrap();
    for (kind, count) in [("report", 4), ("answer", 1), ("pass", 4), ("location", 1)] {
        let line = format!("quecota_business_messages_total{{kind=\"{kind}\"}} {count}\n");
        assert!(figures.contains(&line), "{line} is not in\n{figures}");
    }

    let device = center.json(&["device", "show", PRODUCT, DEVICE]);
    let shown = |name: &str| match &device[name]["value"] {
        serde_json::Value::Null => device[name].clone(),
        value => value.clone(),
    };
    assert_eq!(
        (shown("battery"), shown("signal"), shown("free_space")),
        (80.into(), (-71).into(), STAGING.into()),
        "{device}"
    );
    assert_eq!(
        (shown("model"), shown("module_version")),
        ("quecota-host".into(), "FWV1_A1".into()),
        "{device}"
    );
    let versions = center.says(&["device", "show", PRODUCT, DEVICE]);
    for component in ["MCU1", "MCU2"] {
        let line = versions.lines().find(|line| line.starts_with(component)).expect(component);
        assert!(line.ends_with("2_0"), "{line}");
    }
    let upgrades = center.json(&["device", "upgrades", PRODUCT, DEVICE]);
    assert_eq!(upgrades["items"][0]["state"], "upgraded", "{upgrades}");
    let figures = center.json(&["plan", "show", plan]);
    assert_eq!((&figures["devices"]["upgraded"], &figures["devices"]["failed"]), (&1.into(), &0.into()));
}
