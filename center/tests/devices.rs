//! The MQTT endpoint: the real center, and a device that was written from the protocol's facts alone (`reference_device`).

mod own_postgres;
mod support;

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use own_postgres::Postgres;
use reference_device::mqtt::{Acks, Mqtt, Qos, Trouble, connect, packet, publish};
use reference_device::ttlv::{self, Value, number, text};
use reference_device::{FieldDevice, SessionEncryption, TIMEOUT, command, credential, download};
use serde_json::Value as Json;
use support::{Center, eventually};
use tempfile::TempDir;

const PK: &str = "p1abcd";
const PS: &str = "MTIzNDU2Nzg5MGFi";
const DK: &str = "860000000000001";
/// Long enough to see that nothing comes.
const MOMENT: Duration = Duration::from_millis(500);

/// A center with one product, one MCU component, and a log that can be read.
struct Bench {
    center: Center,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::with(&[])
    }

    fn with(arguments: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        let center = start(folder.path(), arguments);
        let bench = Self { center, folder };
        bench.center.says(&["product", "create", "--key", PK, "--name", "Lamps", "--secret", PS]);
        bench.center.says(&["component", "add", PK, "MCU", "--type", "mcu"]);
        bench
    }

    fn device(&self) -> FieldDevice {
        self.device_with_key(DK)
    }

    fn device_with_key(&self, key: &str) -> FieldDevice {
        let mut device = FieldDevice::new(self.center.mqtt, PK, PS, key);
        device.set_version("MCU", "1");
        device
    }

    /// Writes to the database behind the center's back.
    fn damage(&self, sql: &str) {
        use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}", self.folder.path().join("center.db").display());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut side = AnyConnection::connect(&url).await.unwrap();
            side.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
            side.close().await.unwrap();
        });
    }

    /// What the center knows about the device.
    fn shown(&self, key: &str) -> Json {
        self.center.json(&["device", "show", PK, key])
    }

    fn mcu_version(&self, key: &str) -> Option<String> {
        self.shown(key)["mcu_versions"]["MCU"].as_str().map(str::to_owned)
    }

    /// A plan that brings `image` as version 2 to every device with version 1; its id.
    fn plan(&self, image: &[u8]) -> String {
        let file = self.folder.path().join("mcu.bin");
        std::fs::write(&file, image).unwrap();
        let file = file.display().to_string();
        let words =
            ["package", "add", "--product", PK, "--component", "MCU", "--name", "two", "--target", "2"];
        let package = self.center.id(&[&words[..], &[&file]].concat());
        let choice = format!("MCU={package}");
        let plan =
            self.center.id(&["plan", "create", "--name", "to two", "--product", PK, "--component", &choice]);
        self.center.says(&["plan", "activate", &plan]);
        plan
    }

    /// The log lines of the device's upgrades.
    fn upgrade_log(&self, key: &str) -> Vec<Json> {
        let upgrades = self.center.json(&["device", "upgrades", PK, key]);
        let upgrades = upgrades["items"].as_array().or(upgrades.as_array()).unwrap().clone();
        upgrades.iter().flat_map(|upgrade| upgrade["log"].as_array().unwrap().clone()).collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(log_file(self.folder.path())).unwrap()
    }

    /// Waits for a line of the center's log that holds all of `words`.
    fn expect_log(&self, words: &[&str]) {
        eventually(&format!("a log line with {words:?}"), || {
            self.log().lines().any(|line| words.iter().all(|word| line.contains(word))).then_some(())
        });
    }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("center.log")
}

fn start(folder: &Path, arguments: &[&str]) -> Center {
    Center::start_with(folder, |command: &mut Command| {
        let log = File::options().create(true).append(true).open(log_file(folder)).unwrap();
        command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]).args(arguments).stderr(log);
    })
}

#[test]
fn the_field_device_speaks_as_the_worked_examples_of_the_protocol() {
    use reference_device::frame::Frame;
    use reference_device::ttlv::{Value, emit, number, parse, text};
    use reference_device::{SessionEncryption, credential};

    let frames = [
        (
            3,
            0x0115,
            emit(&[(25, text("FWV1")), (26, text("MCU:1"))]),
            "aaaa001634000301150 0cb00044657563100d300054d43553a31",
        ),
        (
            2,
            0x0111,
            emit(&[
                (4, text("MCU")),
                (5, text("1")),
                (6, text("2")),
                (7, number(1)),
                (8, number(30)),
                (9, number(698_000)),
                (10, number(-113)),
            ]),
            "aaaa00284c00020111002300034d4355002b0001310033000132003a00010042001e004a020aa69000528071",
        ),
        (3, 0x0024, vec![0xAA, 0xAA, 0x55], "aaaa0008d000030024aa55aa5555"),
        (2, 0x0024, vec![0x01, 0xAA], "aaaa0007d10002002401aa55"),
        (0xAAAA, 0x0024, vec![0], "aaaa000678aa55aa002400"),
    ];
    for (packet, command, payload, bytes) in frames {
        let frame = Frame { packet, command, payload };
        let bytes = hex::decode(bytes.replace(' ', "")).unwrap();
        assert_eq!(hex::encode(frame.emit()), hex::encode(&bytes));
        assert_eq!(Frame::parse(&bytes).unwrap(), frame);
    }
    let decimals = Value::Number { negative: true, decimals: 2, magnitude: 5 };
    let array = Value::List(vec![(0, number(1)), (0, number(2))]);
    let items = vec![(2, decimals), (5, array), (7, Value::Bool(true))];
    assert_eq!(hex::encode(emit(&items)), "0012900 5002c0002000200010002000200 39".replace(' ', ""));
    assert_eq!(parse(&emit(&items)).unwrap(), items);

    let (ps, random) = ("MTIzNDU2Nzg5MGFi", "A1b2C3d4E5f6G7h8");
    assert_eq!(
        credential::bootstrap(SessionEncryption::Off, "p1abcd", ps, "860000000000001", random),
        "0;0000;p1abcd;mU/x+XxOzNBV3x0t/V17K4VWm6+fi8ams4MG/fFNjQ7Fd5CHyxeCCKc2q1k9JIdR3Gmp9K0Re0+SJXzlRwF3/KaXjLytAyT76T+YCfMfKPQ="
    );
    let secret = "0123456789abcdef0123456789abcdef";
    assert_eq!(
        credential::login(SessionEncryption::Off, secret, ps, random),
        "1;0000;A1b2C3d4E5f6G7h8;aEiJfjC5QeZIK/eacO58kJt67XjodmUnnYKi13cnN6g="
    );
    let frame = hex::decode("aaaa00051500010114").unwrap();
    let sealed = credential::encrypt_with(*b"0123456789abcdef", *b"fedcba9876543210", &frame);
    assert_eq!(hex::encode(sealed), "4e05b9e8647802c126a6089de75cc33e");
    let sealed = credential::encrypt("0123456789abcdef", &frame);
    assert_eq!(credential::decrypt("0123456789abcdef", &sealed).unwrap(), frame);
}

#[test]
fn a_new_device_gets_a_secret_and_comes_back_with_it() {
    let bench = Bench::new();
    let mut device = bench.device();
    device.come_online().unwrap();
    let secret = device.flash.device_secret.clone().unwrap();
    assert_eq!(secret.len(), 32);
    assert!(secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(device.session_key(), None);
    device.report_after_connect().unwrap();
    let shown = bench.shown(DK);
    assert_eq!(shown["online"], true);
    assert_eq!(shown["module_version"], "EC200UCNAAR03A11M08");
    assert_eq!(shown["mcu_versions"]["MCU"], "1");

    device.goodbye();
    eventually("the device is offline", || (bench.shown(DK)["online"] == false).then_some(()));
    device.come_online().unwrap();
    assert_eq!(bench.shown(DK)["online"], true);
    device.expect_no_frame(command::PROVISION, MOMENT).unwrap();
}

#[test]
fn a_device_that_lost_its_secret_gets_the_same_again_and_the_log_says_so() {
    let bench = Bench::new();
    let mut device = bench.device();
    device.come_online().unwrap();
    let secret = device.flash.device_secret.take();
    device.come_online().unwrap();
    assert_eq!(device.flash.device_secret, secret);
    bench.expect_log(&["Bootstrap", &device.client_id()]);
}

#[test]
fn a_user_name_is_of_no_meaning() {
    let bench = Bench::new();
    let mut device = bench.device();
    device.user_name = Some("anybody".into());
    device.come_online().unwrap();
    device.user_name = Some(String::new());
    device.come_online().unwrap();
    device.user_name = None;
    device.come_online().unwrap();
}

#[test]
fn a_session_is_encrypted_in_both_directions_when_the_device_asks_for_it() {
    let bench = Bench::new();
    let mut device = bench.device();
    device.encryption = SessionEncryption::On;
    // Bootstrap brings secret and key in one message, login the key alone.
    for entrance in ["bootstrap", "login"] {
        device.come_online().unwrap();
        assert_eq!(device.session_key().map(str::len), Some(16), "{entrance}");
        device.report_after_connect().unwrap();
        assert_eq!(bench.mcu_version(DK).as_deref(), Some("1"));
    }
    let first = device.session_key().map(str::to_owned);
    device.come_online().unwrap();
    assert_ne!(device.session_key().map(str::to_owned), first, "a key is of one connection");
    // `expect_plans` fails for a frame in the clear.
    device.report_after_connect().unwrap();
    bench.plan(b"the new firmware");
    device.request_plan().unwrap();
    assert_eq!(device.expect_plans().unwrap()[0].target, "2");
}

#[test]
fn plain_frames_are_taken_until_the_first_encrypted_one() {
    let bench = Bench::new();
    let mut device = bench.device();
    device.encryption = SessionEncryption::On;
    device.come_online().unwrap();
    let key = device.session_key().unwrap().to_owned();
    let mut report = |version: &str, encrypted: bool| {
        let info = [(2, text("FW")), (3, text(&format!("MCU:{version}")))];
        let packet = device.next_packet();
        let payload = ttlv::emit(&info);
        let frame = reference_device::frame::Frame { packet, command: command::INFO_REPORT, payload }.emit();
        let bytes = if encrypted { credential::encrypt(&key, &frame) } else { frame };
        device.publish("sys", Qos::One, &bytes).unwrap();
        bench.mcu_version(DK).unwrap()
    };
    assert_eq!(report("plain", false), "plain");
    assert_eq!(report("sealed", true), "sealed");
    assert_eq!(report("forged", false), "sealed");
    assert_eq!(report("again", true), "again");
}

#[test]
fn a_wrong_signature_is_answered_by_connack_4() {
    let bench = Bench::new();
    let mut device = bench.device();
    device.come_online().unwrap();
    let random = "A1b2C3d4E5f6G7h8";
    let off = SessionEncryption::Off;
    let wrong_device_secret = credential::login(off, "0123456789abcdef0123456789abcdef", PS, random);
    let secret = device.flash.device_secret.clone().unwrap();
    let wrong_product_secret = credential::login(off, &secret, "another-product-secret", random);
    let wrong_bootstrap = credential::bootstrap(off, PK, "another-product-secret", DK, random);
    for password in [wrong_device_secret, wrong_product_secret, wrong_bootstrap] {
        assert_eq!(device.connect_with(&password), Err(Trouble::Refused(4)), "{password}");
    }
    bench.expect_log(&["wrong signature", &device.client_id()]);
    device.come_online().unwrap();
}

#[test]
fn a_device_that_was_never_given_a_secret_here_is_sent_back_to_bootstrap() {
    let bench = Bench::new();
    let mut device = bench.device_with_key("860000000000009");
    device.flash.device_secret = Some("0123456789abcdef0123456789abcdef".into());
    assert_eq!(device.come_online(), Err(Trouble::Refused(4)));
    device.flash.device_secret = None;
    device.come_online().unwrap();
}

#[test]
fn an_unknown_product_is_closed_without_a_word_and_named_in_the_log() {
    let bench = Bench::new();
    let mut device = FieldDevice::new(bench.center.mqtt, "p9unknown", PS, DK);
    assert_eq!(device.connect(), Err(Trouble::Closed));
    bench.expect_log(&["unknown product", "p9unknown"]);
    device.flash.device_secret = Some("0123456789abcdef0123456789abcdef".into());
    assert_eq!(device.connect(), Err(Trouble::Closed));
    bench.expect_log(&["qdp9unknown"]);
}

#[test]
fn what_is_no_password_of_the_protocol_is_closed_without_a_word() {
    let bench = Bench::new();
    let mut device = bench.device();
    device.come_online().unwrap();
    let of_another = {
        let mut other = bench.device_with_key("860000000000002");
        other.password()
    };
    for password in ["", "secret", "1;0000", "7;0000;A1b2C3d4E5f6G7h8;AAAA", "1;0002;a;b", &of_another] {
        assert_eq!(device.connect_with(password), Err(Trouble::Closed), "{password:?}");
    }
}

#[test]
fn a_second_connection_of_the_same_client_id_closes_the_older_one() {
    let bench = Bench::new();
    let mut older = bench.device();
    older.come_online().unwrap();
    let mut newer = bench.device();
    newer.flash.device_secret = older.flash.device_secret.clone();
    newer.come_online().unwrap();
    older.link().unwrap().expect_close(TIMEOUT).unwrap();
    // The end of the older one does not take the newer one offline.
    std::thread::sleep(MOMENT);
    assert_eq!(bench.shown(DK)["online"], true);
    newer.report_after_connect().unwrap();
}

#[test]
fn malformed_frames_and_data_are_dropped_and_do_no_harm() {
    let bench = Bench::new();
    let mut device = bench.device();
    device.come_online().unwrap();
    let hex = |digits: &str| hex::decode(digits).unwrap();
    let mut garbage = vec![
        hex(""),
        hex("aa"),
        hex("aaaa0005"),
        hex("abaa00051600010115"),
        hex("aaaa00051500010115"),
        hex("aaaa00061600010115"),
        hex("aaaa00051600000115"),
        hex("aaaa0004160001"),
        vec![0xAA; 5000],
        vec![0; 16_000],
    ];
    // Whole frames of what is no TTLV, or TTLV of what makes no sense.
    for command in
        [command::STATUS_EVENT, command::PLAN_REQUEST, command::INFO_REPORT, command::STATUS_REPORT, 0x7777]
    {
        for payload in
            ["ff", "000b", "000bffff41", "0012", "001207", "0017", "0004ffff", "006a0063", "0073ffff"]
        {
            garbage.push(device.seal(command, &hex(payload)));
        }
        let nested = (0..200).fold(number(1), |inner, _| Value::List(vec![(1, inner)]));
        garbage.push(device.seal(command, &ttlv::emit(&[(28, nested)])));
    }
    for bytes in &garbage {
        for qos in [Qos::Zero, Qos::One, Qos::Two] {
            device.publish("ota", qos, bytes).unwrap();
        }
    }
    device.publish("nonsense/leaf", Qos::One, b"?").unwrap();
    device.report_after_connect().unwrap();
    assert_eq!(bench.mcu_version(DK).as_deref(), Some("1"));
    bench.expect_log(&["dropped a message", "sum"]);
    assert!(!bench.log().contains("panicked"), "{}", bench.log());
}

#[test]
fn malformed_mqtt_ends_one_connection_only() {
    let bench = Bench::new();
    let mut steady = bench.device_with_key("860000000000007");
    steady.come_online().unwrap();
    let mut device = bench.device();
    device.come_online().unwrap();
    let topic = format!("q/2/d/{}/ota", device.client_id());
    let oversized = publish(&topic, Qos::One, 1, &[0; 17_000]);
    let foreign = publish("q/2/d/qdp1abcd860000000000007/ota", Qos::One, 1, b"?");
    let second_connect = connect(4, &device.client_id(), None, "secret", 60);
    let streams = [
        oversized,
        foreign,
        second_connect,
        vec![0xF0, 0],
        vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF],
        packet(0x36, b"\0\x01t"),
        packet(0x82, &[0, 1]),
        packet(0x40, &[0, 0]),
    ];
    for bytes in streams {
        device.come_online().unwrap();
        let link = device.link().unwrap();
        link.send(&bytes).unwrap();
        let close = link.expect_close(TIMEOUT);
        assert_eq!(close, Ok(()), "{:02x?}", &bytes[..bytes.len().min(16)]);
    }
    device.come_online().unwrap();
    steady.link().unwrap().ping().unwrap();
}

#[test]
fn before_connect_nothing_else_and_no_more_than_a_kilobyte_is_read() {
    let bench = Bench::new();
    let long = "x".repeat(1100);
    let streams = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        publish("t", Qos::Zero, 0, b"?"),
        // Only its head is sent: it must not be waited for.
        connect(4, &long, None, "secret", 60)[..4].to_vec(),
        packet(0x10, b"\0\x04MQXX\x04\x42\0\x3c\0\0"),
    ];
    for bytes in streams {
        let mut link = Mqtt::open(bench.center.mqtt).unwrap();
        link.send(&bytes).unwrap();
        assert_eq!(link.expect_close(Duration::from_secs(5)), Ok(()), "{:02x?}", &bytes[..4]);
    }
    // Another version of MQTT costs a device nothing: it is told.
    let mut link = Mqtt::open(bench.center.mqtt).unwrap();
    link.send(&connect(5, "qdp1abcd1", None, "secret", 60)).unwrap();
    assert_eq!(link.expect_connack(), Err(Trouble::Refused(1)));
}

#[test]
fn a_slow_connect_is_closed_by_its_deadline() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (server, stop) = runtime.block_on(endpoint_in_process(Duration::from_millis(300)));
    let begun = std::time::Instant::now();
    let mut link = Mqtt::open(server).unwrap();
    link.send(&connect(4, "qdp1abcd1", None, "secret", 60)[..20]).unwrap();
    link.expect_close(TIMEOUT).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
    stop.cancel();
}

/// The endpoint alone, in this process, with another deadline for CONNECT.
async fn endpoint_in_process(limit: Duration) -> (SocketAddr, tokio_util::sync::CancellationToken) {
    use quecota_center::devices::{MqttEndpoint, Timing};
    use quecota_center::engine::{Engine, Firmware, FirmwareUrls};

    struct NoUrls;
    impl FirmwareUrls for NoUrls {
        fn firmware_url(&self, _: &Firmware<'_>) -> String {
            String::new()
        }
    }
    let store = quecota_center::store::Store::in_memory().await.unwrap();
    let engine = Engine::new(store, quecota_center::clock::Clock::system(), std::sync::Arc::new(NoUrls));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let stop = tokio_util::sync::CancellationToken::new();
    let endpoint = MqttEndpoint::with_timing(engine, Timing { connect: limit, ..Timing::default() });
    tokio::spawn(endpoint.serve(listener, stop.clone()));
    (server, stop)
}

#[test]
fn a_qos_2_packet_sent_three_times_counts_once() {
    let bench = Bench::new();
    bench.plan(b"the new firmware");
    let mut device = bench.device();
    device.come_online().unwrap();
    device.report_after_connect().unwrap();
    let plan = device.expect_plans().unwrap().remove(0);
    let topic = format!("q/2/d/{}/ota", device.client_id());
    let refusal = device.status_event(3, plan.kind, &plan.component, false);
    let frame = device.seal(command::STATUS_EVENT, &refusal);
    let link = device.link().unwrap();
    let id = link.take_id();
    let message = publish(&topic, Qos::Two, id, &frame);
    // Twice before PUBREC is read, once between PUBREC and PUBREL; none says DUP.
    link.send(&[&message[..], &message].concat()).unwrap();
    link.expect_id(0x50, id).unwrap();
    link.send(&message).unwrap();
    link.expect_id(0x50, id).unwrap();
    link.send(&packet(0x62, &id.to_be_bytes())).unwrap();
    link.expect_id(0x70, id).unwrap();
    // And one that crossed our PUBCOMP.
    link.send(&message).unwrap();
    link.expect_id(0x50, id).unwrap();
    link.send(&packet(0x62, &id.to_be_bytes())).unwrap();
    link.expect_id(0x70, id).unwrap();
    assert_eq!(times_of_status(&bench, 3), 1, "{:#?}", bench.upgrade_log(DK));
}

#[test]
fn a_message_that_cannot_be_handled_is_acknowledged_and_the_device_stays_connected() {
    let bench = Bench::new();
    bench.plan(b"the new firmware");
    let mut device = bench.device();
    device.come_online().unwrap();
    device.report_after_connect().unwrap();
    let plan = device.expect_plans().unwrap().remove(0);
    bench.damage("UPDATE component_upgrades SET state = 'somewhere'");
    let topic = format!("q/2/d/{}/ota", device.client_id());
    let refusal = device.status_event(3, plan.kind, &plan.component, false);
    for _ in 0..2 {
        let frame = device.seal(command::STATUS_EVENT, &refusal);
        let link = device.link().unwrap();
        let id = link.take_id();
        link.send(&publish(&topic, Qos::Two, id, &frame)).unwrap();
        link.expect_id(0x50, id).unwrap();
        link.send(&packet(0x62, &id.to_be_bytes())).unwrap();
        link.expect_id(0x70, id).unwrap();
    }
    let log = std::fs::read_to_string(log_file(bench.folder.path())).unwrap();
    assert!(log.contains("column state"), "{log}");
}

/// How often the log has status `state` of the device.
fn times_of_status(bench: &Bench, state: i64) -> i64 {
    bench
        .upgrade_log(DK)
        .iter()
        .filter(|line| line["kind"] == "status" && line["value"]["status"] == state)
        .map(|line| line["times"].as_i64().unwrap())
        .sum()
}

#[test]
fn acknowledgements_come_in_any_order() {
    let bench = Bench::new();
    bench.plan(b"the new firmware");
    let mut device = bench.device();
    device.come_online().unwrap();
    device.link().unwrap().acks = Acks::Held;
    device.report_after_connect().unwrap();
    device.request_plan().unwrap();
    device.expect_plans().unwrap();
    let link = device.link().unwrap();
    let mut held = std::mem::take(&mut link.unacknowledged);
    held.reverse();
    for id in held {
        link.acknowledge(id).unwrap();
        link.acknowledge(id).unwrap();
    }
    link.acknowledge(60_000).unwrap();
    link.ping().unwrap();
}

#[test]
fn a_stopped_database_closes_connections_without_connack_and_acknowledges_nothing() {
    let mut postgres = Postgres::start();
    let bench = Bench::with(&["--database", &postgres.url(), "--seal-key", &"5a".repeat(32)]);
    let mut online = ["860000000000011", "860000000000012"].map(|key| bench.device_with_key(key));
    for device in &mut online {
        device.come_online().unwrap();
        device.report_after_connect().unwrap();
    }
    let mut strange = bench.device_with_key("860000000000002");

    postgres.stop();
    assert_eq!(strange.connect(), Err(Trouble::Closed), "a bootstrap");
    let mut again = bench.device_with_key("860000000000011");
    again.flash.device_secret = online[0].flash.device_secret.clone();
    assert_eq!(again.connect(), Err(Trouble::Closed), "a login");
    for (device, qos) in online.iter_mut().zip([Qos::One, Qos::Two]) {
        assert_eq!(device.report_with(qos), Err(Trouble::Closed), "{qos:?}");
    }

    assert!(postgres.resume());
    eventually("the center works again", || again.come_online().ok());
    again.set_version("MCU", "3");
    again.report_after_connect().unwrap();
    assert_eq!(bench.mcu_version("860000000000011").as_deref(), Some("3"));
    strange.come_online().unwrap();
}

#[test]
fn a_center_that_stops_closes_without_a_word_and_its_devices_come_back() {
    let mut bench = Bench::new();
    let mut device = bench.device();
    device.come_online().unwrap();
    let id = bench.center.process.child().id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    device.link().unwrap().expect_close(TIMEOUT).unwrap();
    assert!(bench.center.process.finish().success());
    bench.center = start(bench.folder.path(), &[]);
    device.server = bench.center.mqtt;
    device.come_online().unwrap();
    assert_eq!(bench.shown(DK)["online"], true);
}

#[test]
fn a_whole_upgrade_of_a_vendor_device_in_pieces() {
    for encryption in [SessionEncryption::Off, SessionEncryption::On] {
        let bench = Bench::new();
        let image: Vec<u8> = (0..100_000u32).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
        let mut device = bench.device();
        device.encryption = encryption;
        device.come_online().unwrap();
        device.report_after_connect().unwrap();
        let plan = bench.plan(&image);
        device.request_plan().unwrap();
        let offered = device.expect_plans().unwrap();
        assert_eq!(offered.len(), 1);
        let offer = &offered[0];
        assert_eq!((&*offer.component, &*offer.source, &*offer.target, offer.kind), ("MCU", "1", "2", 1));
        assert!(device.upgrade_mcu(offer, 16 * 1024).unwrap() == image);
        let shown = bench.center.json(&["plan", "show", &plan]);
        assert_eq!(shown["devices"]["upgraded"], 1, "{shown:#}");
        assert_eq!(bench.mcu_version(DK).as_deref(), Some("2"));
    }
}

#[test]
fn downloads_answer_a_vendor_device_in_the_one_spelling_it_knows() {
    let bench = Bench::new();
    let image: Vec<u8> = (0..5000u32).map(|at| at as u8).collect();
    let mut device = bench.device();
    device.come_online().unwrap();
    device.report_after_connect().unwrap();
    bench.plan(&image);
    device.request_plan().unwrap();
    let offer = device.expect_plans().unwrap().remove(0);
    device.report_state(1, offer.kind, &offer.component).unwrap();
    device.confirm_with_sha256(offer.kind, &offer.component).unwrap();
    let firmware = device.expect_firmware().unwrap();
    assert_eq!(firmware.size, 5000);
    assert_eq!(firmware.md5, download::md5(&image));
    assert_eq!(firmware.crc, crc32fast::hash(&image));
    assert_eq!(firmware.sha256, Some(download::sha256(&image)));
    assert_eq!(download::fetch(&firmware.url, 0, 4999).unwrap(), image);
    assert_eq!(download::fetch(&firmware.url, 4999, 4999).unwrap(), image[4999..]);
    let (head, body) = download::answer(&firmware.url, 100, 299).unwrap();
    assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
    assert!(head.contains("\r\nContent-Range: bytes 100-299/5000\r\n"), "{head}");
    assert_eq!(body, image[100..300]);
    // One character of the signature, which stands before the file's name, is another one.
    let (rest, name) = firmware.url.rsplit_once('/').unwrap();
    let (rest, signature) = rest.rsplit_once('/').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    let forged = format!("{rest}/{first}{}/{name}", &signature[1..]);
    let (head, _) = download::answer(&forged, 0, 99).unwrap();
    assert!(head.starts_with("HTTP/1.1 4"), "{head}");
}
