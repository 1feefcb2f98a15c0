//! End to end: the C example, built by CMake against `libquecota.a`, upgraded by plans of the real center.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use support::{Center, Process, eventually, free_port};

const PRODUCT: &str = "p1test";
const SECRET: &str = "dGVzdC1zZWNyZXQtMDAx";
const DEVICE: &str = "860000000000042";

/// The C example, as CMake built it.
fn example() -> PathBuf {
    let folder = std::env::var_os("QUECOTA_EXAMPLES");
    let folder = folder
        .expect("QUECOTA_EXAMPLES names the folder of the built c-examples; `cargo xtask test` sets it");
    PathBuf::from(folder).join("sota")
}

/// Bytes that repeat nowhere, the same in every run.
fn image(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// An active plan that brings STM32 to 2_0_0; its id.
fn activate_plan(center: &Center, image: &Path) -> String {
    center.says(&["product", "create", "--key", PRODUCT, "--name", "Diffuser", "--secret", SECRET]);
    center.says(&["component", "add", PRODUCT, "STM32", "--type", "mcu"]);
    let image = image.to_str().unwrap();
    let package = center.id(&[
        "package",
        "add",
        "--product",
        PRODUCT,
        "--component",
        "STM32",
        "--name",
        "two",
        "--target",
        "2_0_0",
        image,
    ]);
    let component = format!("STM32={package}");
    let plan =
        center.id(&["plan", "create", "--name", "to two", "--product", PRODUCT, "--component", &component]);
    center.says(&["plan", "activate", &plan]);
    plan
}

/// The application on its device.
fn device(folder: &Path, mqtt: SocketAddr, staging: usize) -> Process {
    Process::start(example(), |command| {
        command.args([
            "--server",
            &format!("mqtt://{mqtt}"),
            "--product-key",
            PRODUCT,
            "--product-secret",
            SECRET,
        ]);
        command.args(["--component", "STM32", "--version", "1_0_0", "--once", "--request-every", "1"]);
        command.arg("--flash").arg(folder.join("flash.bin"));
        command.env("QUECOTA_DIR", folder.join("device")).env("QUECOTA_DEVICE_KEY", DEVICE);
        command.env("QUECOTA_STAGING", staging.to_string()).stdout(Stdio::piped());
    })
}

/// The lines that the application prints, to its end.
fn lines(device: &mut Process) -> impl Iterator<Item = String> {
    BufReader::new(device.child().stdout.take().unwrap()).lines().map_while(Result::ok)
}

/// The OTA events among the lines, repeated ones once.
fn events(lines: &[String]) -> Vec<u32> {
    let codes = lines.iter().filter_map(|line| line.split_whitespace().next()?.parse().ok());
    let mut events: Vec<u32> = codes.filter(|code| (10700..10800).contains(code)).collect();
    events.dedup();
    events
}

fn assert_upgraded(center: &Center, folder: &Path, image: &[u8], plan: &str) {
    assert!(
        std::fs::read(folder.join("flash.bin")).unwrap() == image,
        "the flash holds other bytes than the package"
    );
    let upgraded = eventually("the device upgrade upgraded", || {
        let shown = center.json(&["device", "upgrades", PRODUCT, DEVICE]);
        let upgrade = shown["items"][0].clone();
        (upgrade["state"] == "upgraded").then_some(upgrade)
    });
    assert_eq!(upgraded["plan"].to_string(), plan);
    let shown = center.json(&["plan", "show", plan]);
    assert_eq!(
        (&shown["devices"]["upgraded"], &shown["devices"]["failed"]),
        (&1.into(), &0.into()),
        "{shown}"
    );
    let listed = center.json(&["plan", "devices", plan, "--state", "upgraded"]);
    assert_eq!(listed["items"][0]["device_key"], DEVICE);
    assert_eq!(listed["items"][0]["components"][0]["state"], "upgrade_succeeded", "{listed}");
    let csv = center.says(&["plan", "devices", plan, "--csv"]);
    assert!(csv.lines().count() == 2 && csv.contains(",upgraded,"), "{csv}");
    let detailed = center.json(&["plan", "device", plan, DEVICE]);
    assert_eq!(detailed["log"].as_array().map(Vec::is_empty), Some(false), "{detailed}");
    assert_eq!(center.json(&["plan", "reasons", plan])["items"][0]["devices"], 1);
    assert!(!center.says(&["device", "log", PRODUCT, DEVICE]).is_empty());
}

#[test]
fn the_c_example_is_upgraded_piece_by_piece_with_every_event_of_the_seeds() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(1024 * 1024);
    let package = folder.path().join("stm32.bin");
    std::fs::write(&package, &image).unwrap();
    let center = Center::start(&folder.path().join("center"));
    let plan = activate_plan(&center, &package);

    let mut device = device(folder.path(), center.mqtt, 64 * 1024);
    let lines: Vec<String> = lines(&mut device).collect();
    assert!(device.finish().success(), "{lines:#?}");

    let events = events(&lines);
    assert_eq!(events.first(), Some(&10700), "{lines:#?}");
    assert_eq!(events.get(1), Some(&10701), "{lines:#?}");
    assert!(events.ends_with(&[10703, 10704, 10705]), "{lines:#?}");
    let pieces = lines.iter().filter(|line| line.starts_with("10703")).count();
    assert_eq!(pieces, 16, "a piece each 64 KB: {lines:#?}");
    assert_upgraded(&center, folder.path(), &image, &plan);
}

#[test]
fn a_center_killed_in_mid_download_and_started_again_ends_the_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(2 * 1024 * 1024);
    let package = folder.path().join("stm32.bin");
    std::fs::write(&package, &image).unwrap();

    // Firmware comes through a slow line, so that the kill falls into a body and not between two.
    let (mqtt, http) = (free_port(), free_port());
    let line = SlowLine::start(http, 512 * 1024);
    let public = format!("http://{}", line.address);
    let serve = |data: &Path| {
        Center::start_with(data, |command| {
            command.args(["--mqtt", &format!("127.0.0.1:{mqtt}"), "--http", &format!("127.0.0.1:{http}")]);
            command.args(["--public-url", &public]);
        })
    };
    let data = folder.path().join("center");
    let center = serve(&data);
    let plan = activate_plan(&center, &package);
    let mut device = device(folder.path(), center.mqtt, 64 * 1024 * 1024);
    eventually("half a megabyte through the line", || (line.carried() > 512 * 1024).then_some(()));
    let before = line.carried();
    assert!(before < image.len() as u64, "the download is over already");

    center.process.kill();
    std::thread::sleep(Duration::from_millis(500));
    let center = serve(&data);

    let lines: Vec<String> = lines(&mut device).collect();
    assert!(device.finish().success(), "{lines:#?}");
    assert_upgraded(&center, folder.path(), &image, &plan);
    let twice = line.carried().saturating_sub(image.len() as u64);
    assert!(twice < 256 * 1024, "{twice} bytes were fetched twice: the device started over");
}

/// A TCP relay on loopback that carries at most so many bytes a second towards the client.
struct SlowLine {
    address: SocketAddr,
    carried: Arc<AtomicU64>,
}

impl SlowLine {
    fn start(to: u16, bytes_a_second: u64) -> SlowLine {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let carried = Arc::new(AtomicU64::new(0));
        let count = carried.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let (mut up, mut up_to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut up, &mut up_to);
                    let _ = up_to.shutdown(Shutdown::Write);
                });
                let count = count.clone();
                std::thread::spawn(move || relay(server, client, bytes_a_second, &count));
            }
        });
        SlowLine { address, carried }
    }

    /// Bytes that went towards clients, heads included.
    fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }
}

fn relay(mut from: TcpStream, mut to: TcpStream, bytes_a_second: u64, carried: &AtomicU64) {
    let mut buffer = [0; 8 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
        carried.fetch_add(read as u64, Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs_f64(read as f64 / bytes_a_second as f64));
    }
    let _ = to.shutdown(Shutdown::Both);
}
