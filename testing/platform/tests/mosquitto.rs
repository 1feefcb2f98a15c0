//! The library against a broker that is not ours: `mosquitto`, with a scripted platform behind it.
//!
//! The device is `c-examples/sota`, a C program that links `libquecota.a`; the environment variable QUECOTA_EXAMPLES names
//! it. Mosquitto refuses a password without a user name, so QUECOTA_USER_NAME is set.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use quecota_core::wire::frame::{Frame, PacketId};
use quecota_core::wire::message::{
    ComponentKind, Content, Downlink, FirmwareInfo, Plan, PlanNotify, Plans, Provision, Uplink,
};
use quecota_core::wire::topic;
use rumqttc::{Client, Connection, Event, MqttOptions, Packet, Publish, QoS};
use test_platform::http::{Server, ServerBehavior};

#[path = "../../free_port.rs"]
mod free_port;
use free_port::free_port;

const PRODUCT_KEY: &str = "p1mosq";
const PRODUCT_SECRET: &str = "MTIzNDU2Nzg5MGFi";
const DEVICE_KEY: &str = "860000000000077";
const DEVICE_SECRET: &str = "0123456789abcdef0123456789abcdef";
const COMPONENT: &str = "STM32";
const STAGING: usize = 64 * 1024;
/// For everything that has to happen in a test: between six downloads that fail there are pauses of a minute or more.
const PATIENCE: Duration = Duration::from_secs(150);

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Mosquitto on a free port.
fn broker(folder: &Path) -> (Running, SocketAddr) {
    let program = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/usr/bin/mosquitto"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap_or("mosquitto");
    // Another process may take the port before the broker has it: then another one.
    for _ in 0..5 {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = folder.join("mosquitto.conf");
        let text =
            format!("listener {} 127.0.0.1\nallow_anonymous true\npersistence false\n", address.port());
        fs::write(&config, text).unwrap();
        let log = fs::File::create(folder.join("mosquitto.log")).unwrap();
        let child = Command::new(program)
            .arg("-c")
            .arg(&config)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("mosquitto runs (apt-get install mosquitto)");
        let mut broker = Running(child);
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until && broker.0.try_wait().unwrap().is_none() {
            if TcpStream::connect(address).is_ok() {
                return (broker, address);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    panic!("mosquitto does not start: {}", fs::read_to_string(folder.join("mosquitto.log")).unwrap());
}

/// What the platform offers.
struct Upgrade {
    source: &'static str,
    target: &'static str,
    url: String,
    image: Vec<u8>,
}

/// A platform that follows a script: a secret for a device that says nothing, the plan when it is asked for one, the
/// URL once it is confirmed.
struct Platform {
    client: Client,
    connection: Connection,
    client_id: String,
    packet: PacketId,
    heard: bool,
    statuses: Vec<u8>,
    versions: String,
}

impl Platform {
    fn connect(broker: SocketAddr) -> Self {
        let mut options = MqttOptions::new("platform", broker.ip().to_string(), broker.port());
        options.set_credentials("platform", "any");
        let (client, connection) = Client::new(options, 32);
        client.subscribe("q/2/d/+/+", QoS::ExactlyOnce).unwrap();
        Platform {
            client,
            connection,
            client_id: topic::client_id(PRODUCT_KEY, DEVICE_KEY).unwrap().as_str().to_owned(),
            packet: PacketId::FIRST,
            heard: false,
            statuses: Vec::new(),
            versions: String::new(),
        }
    }

    fn send(&mut self, message: &Downlink<'_>) {
        let mut frame = [0; 1024];
        let length = message.emit_frame(self.packet, &mut frame).unwrap();
        self.packet = self.packet.next();
        let topic = topic::downlink(&self.client_id, message.leaf()).unwrap();
        self.client.publish(topic.as_str(), QoS::AtLeastOnce, false, &frame[..length]).unwrap();
    }

    /// Plays until the device program ends, by itself or because `kill` says so.
    fn play(&mut self, upgrade: &Upgrade, device: &mut Running, kill: impl Fn() -> bool) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        let mut next_secret = Instant::now();
        while Instant::now() < until {
            if let Some(status) = device.0.try_wait().unwrap() {
                return status;
            }
            if kill() {
                device.0.kill().unwrap();
            }
            // Mosquitto cannot tell us who subscribed, and keeps nothing for who has not yet: so again and again.
            if !self.heard && Instant::now() >= next_secret {
                self.send(&Downlink::Provision(Provision {
                    device_secret: DEVICE_SECRET,
                    ..Provision::default()
                }));
                next_secret = Instant::now() + Duration::from_millis(300);
            }
            match self.connection.recv_timeout(Duration::from_millis(50)) {
                Ok(Ok(Event::Incoming(Packet::Publish(message)))) => self.message(&message, upgrade),
                Ok(Ok(_)) | Err(rumqttc::RecvTimeoutError::Timeout) => {}
                other => panic!("the platform's connection: {other:?}"),
            }
        }
        panic!("the device does not end within {PATIENCE:?}; statuses so far: {:?}", self.statuses);
    }

    fn message(&mut self, message: &Publish, upgrade: &Upgrade) {
        self.heard = true;
        let mut raw = message.payload.to_vec();
        let frame = Frame::parse(&mut raw).unwrap();
        let uplink = Uplink::parse(&frame).unwrap();
        assert_eq!(message.topic, topic::uplink(&self.client_id, uplink.leaf()).unwrap().as_str());
        match uplink {
            Uplink::PlanRequest(request) => {
                assert_eq!(message.qos, QoS::ExactlyOnce);
                self.versions = request.versions.mcu.to_owned();
                self.send(&Downlink::PlanNotify(PlanNotify {
                    handling: None,
                    plans: Plans::Single(Plan {
                        component: COMPONENT,
                        source: upgrade.source,
                        target: upgrade.target,
                        kind: ComponentKind::Mcu,
                        battery: 30,
                        space: upgrade.image.len() as u32,
                        signal: -113,
                    }),
                }));
            }
            Uplink::StatusEvent(event) => {
                assert_eq!(message.qos, QoS::ExactlyOnce);
                assert_eq!((event.component, event.kind), (COMPONENT, ComponentKind::Mcu));
                let status = event.status.number();
                self.statuses.push(status);
                if status == 2 {
                    self.send(&Downlink::FirmwareInfo(FirmwareInfo {
                        component: COMPONENT,
                        source: upgrade.source,
                        target: upgrade.target,
                        kind: ComponentKind::Mcu,
                        content: Content::File {
                            url: &upgrade.url,
                            size: upgrade.image.len() as u32,
                            md5: Md5::digest(&upgrade.image).into(),
                            crc: crc32fast::hash(&upgrade.image),
                            sha256: None,
                        },
                    }));
                }
                if matches!(status, 11 | 12) {
                    self.versions = event.versions.mcu.to_owned();
                }
            }
            _ => {}
        }
    }

    /// Statuses in the order in which they came; heartbeats of a download (5 and 5) count once.
    fn statuses(&mut self) -> Vec<u8> {
        let mut statuses = std::mem::take(&mut self.statuses);
        statuses.dedup_by(|later, earlier| *later == 5 && *earlier == 5);
        statuses
    }
}

/// The scene of one test: a folder, a broker, a firmware server.
struct Scene {
    folder: tempfile::TempDir,
    _broker: Running,
    address: SocketAddr,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (broker, address) = broker(folder.path());
        Scene { folder, _broker: broker, address, server: Server::start().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn upgrade(&self, source: &'static str, target: &'static str, size: usize) -> Upgrade {
        let image: Vec<u8> = (0..size).map(|i| (i / 256 * 31 + i * 7 + target.len()) as u8).collect();
        let path = format!("/{target}.bin");
        self.server.put(&path, image.clone());
        Upgrade { source, target, url: self.server.url(&path), image }
    }

    fn device(&self) -> Running {
        let program = std::env::var_os("QUECOTA_EXAMPLES")
            .expect("QUECOTA_EXAMPLES names the folder of the built c-examples; `cargo xtask test` sets it");
        let output = fs::OpenOptions::new().create(true).append(true).open(self.path("output")).unwrap();
        let child = Command::new(Path::new(&program).join("sota"))
            .arg("--server")
            .arg(format!("mqtt://{}", self.address))
            .args(["--product-key", PRODUCT_KEY, "--product-secret", PRODUCT_SECRET])
            .args(["--component", COMPONENT, "--version", "1_0_0", "--request-every", "1", "--once"])
            .arg("--flash")
            .arg(self.path("flash"))
            .env("QUECOTA_DIR", self.path("device"))
            .env("QUECOTA_DEVICE_KEY", DEVICE_KEY)
            .env("QUECOTA_STAGING", STAGING.to_string())
            .env("QUECOTA_USER_NAME", "field")
            .env("QUECOTA_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        Running(child)
    }

    /// What the device program printed, for messages of failed tests.
    fn output(&self) -> String {
        fs::read_to_string(self.path("output")).unwrap_or_default()
    }

    fn run(&self, platform: &mut Platform, upgrade: &Upgrade) -> ExitStatus {
        self.run_unless(platform, upgrade, || false)
    }

    fn run_unless(&self, platform: &mut Platform, upgrade: &Upgrade, kill: impl Fn() -> bool) -> ExitStatus {
        let mut device = self.device();
        let play = || platform.play(upgrade, &mut device, kill);
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(play));
        played.unwrap_or_else(|_| panic!("see above; the device printed:\n{}", self.output()))
    }
}

fn statuses_of_success(pieces: usize) -> Vec<u8> {
    [vec![1, 2], [4, 5, 8].repeat(pieces), vec![9, 11]].concat()
}

#[test]
fn the_c_example_is_upgraded_twice_through_mosquitto() {
    let scene = Scene::new();
    let mut platform = Platform::connect(scene.address);

    // Bootstrap, and an image of four pieces.
    let first = scene.upgrade("1_0_0", "2_0_0", 3 * STAGING + 3392);
    let status = scene.run(&mut platform, &first);
    assert!(status.success(), "{status}\n{}", scene.output());
    assert_eq!(platform.statuses(), statuses_of_success(4), "{}", scene.output());
    assert_eq!(platform.versions, "STM32:2_0_0");
    assert!(fs::read(scene.path("flash")).unwrap() == first.image, "the flash differs from the image");
    assert_eq!(scene.server.body_bytes(), first.image.len() as u64, "bytes were fetched twice");

    // Login with the secret that was stored, the version that was reported, and an image of one piece.
    let second = scene.upgrade("2_0_0", "3_0_0", 1000);
    platform.heard = true;
    let status = scene.run(&mut platform, &second);
    assert!(status.success(), "{status}\n{}", scene.output());
    assert_eq!(platform.statuses(), statuses_of_success(1), "{}", scene.output());
    assert!(fs::read(scene.path("flash")).unwrap() == second.image, "the flash differs from the image");
    assert_eq!(fs::read_to_string(scene.path("flash.version")).unwrap(), "3_0_0\n");
}

#[test]
fn a_url_that_answers_404_leaves_the_flash_alone_and_is_reported() {
    let scene = Scene::new();
    fs::write(scene.path("flash"), b"what runs").unwrap();
    let mut platform = Platform::connect(scene.address);
    let upgrade = scene.upgrade("1_0_0", "2_0_0", 1000);
    scene.server.behave(ServerBehavior { status: Some(404), ..ServerBehavior::default() });
    // It asks for the file for more than an hour before it gives up (docs/outages.md): the second time is enough here.
    let killed = scene.run_unless(&mut platform, &upgrade, || scene.server.seen().len() >= 2);
    assert_eq!(killed.code(), None, "{}", scene.output());
    let statuses = platform.statuses();
    assert!(statuses.starts_with(&[1, 2, 4]) && statuses.contains(&6), "{statuses:?}\n{}", scene.output());
    assert_eq!(fs::read(scene.path("flash")).unwrap(), b"what runs");
}

#[test]
fn a_device_killed_in_mid_download_ends_with_the_same_bytes() {
    let scene = Scene::new();
    let mut platform = Platform::connect(scene.address);
    let upgrade = scene.upgrade("1_0_0", "2_0_0", 5 * STAGING + 77);
    scene.server.behave(ServerBehavior {
        pace: Some((8192, Duration::from_millis(10))),
        ..ServerBehavior::default()
    });
    let half = upgrade.image.len() as u64 / 2;
    let killed = scene.run_unless(&mut platform, &upgrade, || scene.server.body_bytes() > half);
    assert_eq!(killed.code(), None, "{}", scene.output());
    assert!(!scene.path("flash").exists(), "a half image was activated");

    scene.server.behave(ServerBehavior::default());
    let status = scene.run(&mut platform, &upgrade);
    assert!(status.success(), "{status}\n{}", scene.output());
    assert!(fs::read(scene.path("flash")).unwrap() == upgrade.image, "the flash differs from the image");
    assert_eq!(fs::read_to_string(scene.path("flash.version")).unwrap(), "2_0_0\n");
    assert_eq!(platform.statuses().last(), Some(&11), "{}", scene.output());
}
