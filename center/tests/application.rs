//! An application as those of the vendor's SDK are (tests/application.c), built against either header from one source and
//! served by a center: every event and every value, on the device's side and on the center's.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

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

#[test]
fn explore() {
    for header in ["Ql_iotApi", "ql_api_qthsdk"] {
        let folder = tempfile::tempdir().unwrap();
        let center = Center::start(&folder.path().join("center"));
        center.says(&["product", "create", "--key", PRODUCT, "--name", "Pump", "--secret", SECRET]);
        let mut create = vec!["plan".to_owned(), "create".into(), "--name".into(), "both".into()];
        create.extend(["--product".to_owned(), PRODUCT.into()]);
        for (component, length) in IMAGES {
            center.says(&["component", "add", PRODUCT, component, "--type", "mcu"]);
            let file = folder.path().join(format!("new-{component}.bin"));
            std::fs::write(&file, image(length)).unwrap();
            let file = file.to_str().unwrap();
            let id = center.id(&[
                "package", "add", "--product", PRODUCT, "--component", component, "--name", component, "--target",
                "2_0", file,
            ]);
            create.extend(["--component".to_owned(), format!("{component}={id}")]);
        }
        let plan = center.id(&create.iter().map(String::as_str).collect::<Vec<_>>());
        center.says(&["plan", "activate", &plan]);
        let platform = DataPlatform::start(center.mqtt);
        let mut device = Process::start(program(header), |command| {
            command.arg(format!("mqtt://{}", platform.address)).args([PRODUCT, SECRET]).arg(folder.path());
            command.env("QUECOTA_DIR", folder.path().join("device")).env("QUECOTA_DEVICE_KEY", DEVICE);
            command.env("QUECOTA_STAGING", STAGING.to_string()).env("QUECOTA_MODULE_VERSION", "FWV1");
            command.env("QUECOTA_BATTERY", "80").env("QUECOTA_SIGNAL", "-71").env("QUECOTA_LOG", "info");
            command.stdin(Stdio::piped()).stdout(Stdio::piped());
        });
        let lines = BufReader::new(device.child().stdout.take().unwrap()).lines();
        let (to, from) = channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| to.send(line)));
        let mut ups = 0;
        while ups < 2 {
            let line = from.recv_timeout(TIMEOUT).unwrap();
            println!("{line}");
            if line.starts_with("ota 10705") { ups += 1 }
        }
        platform.send(7, 0x0013, emit(&[(1, Value::Bool(false))]));
        platform.send(8, 0x0011, vec![0, 1, 0, 3]);
        platform.send(9, 0x0023, b"over".to_vec());
        std::thread::sleep(std::time::Duration::from_secs(4));
        while let Ok(line) = from.try_recv() {
            println!("{line}");
        }
        while let Ok((leaf, qos, frame)) = platform.said.try_recv() {
            println!("{leaf} {qos} {} {:#06x} {:?}", frame.packet, frame.command, parse(&frame.payload));
        }
        println!("{}", center.says(&["device", "log", PRODUCT, DEVICE]));
        println!("{}", center.says(&["device", "show", PRODUCT, DEVICE]));
    }
    panic!();
}
