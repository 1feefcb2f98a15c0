//! A center behind a balancer: whose address it sees, whether it is ready, and how it sends its devices away.

mod balancer;
mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use balancer::Balancer;
use reference_device::{DeviceRunner, Until};
use serde_json::Value;
use support::{Center, eventually};

const PK: &str = "p1balance";
const PS: &str = "MTIzNDU2Nzg5MGFi";

/// A center that logs into `log` of the folder.
fn center(folder: &Path, options: &[&str]) -> Center {
    let log = fs::File::create(folder.join("log")).unwrap();
    Center::start_with(&folder.join("center"), |command| {
        command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]).args(options).stderr(log);
    })
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("log")).unwrap()
}

/// Status and body of a GET without a token.
fn get(address: std::net::SocketAddr, path: &str) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent.get(format!("http://{address}{path}")).call().unwrap();
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
}

/// The header of version 1 for even numbers, of version 2 for odd ones.
fn header(number: usize) -> Vec<u8> {
    let last = u8::try_from(number % 200).unwrap() + 1;
    if number.is_multiple_of(2) {
        return format!("PROXY TCP4 192.0.2.{last} 10.0.0.1 5001 1883\r\n").into_bytes();
    }
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C".to_vec();
    header.extend([192, 0, 2, last, 10, 0, 0, 1, 0x13, 0x89, 0x07, 0x5B]);
    header
}

#[test]
fn a_named_balancer_says_for_whom_it_connects_and_nobody_else_does() {
    let folder = tempfile::tempdir().unwrap();
    let center = center(folder.path(), &["--proxy-from", "127.0.0.1"]);
    let (mqtt, http) = (Balancer::saying(header), Balancer::saying(header));
    mqtt.serve(&[center.mqtt]);
    http.serve(&[center.http]);
    for _ in 0..2 {
        assert_eq!(get(http.address(), "/health").0, 200);
    }
    // Past the balancer, and so without its header.
    let mut direct = TcpStream::connect(center.http).unwrap();
    direct.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    direct.write_all(b"GET /health HTTP/1.1\r\nHost: center\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // Closed, by an end or a reset.
    let _ = direct.read_to_end(&mut answer);
    assert_eq!(answer, b"");

    let by_way = Command::new(env!("CARGO_BIN_EXE_quecota-center"))
        .args(["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS])
        .args(["--server", &format!("http://{}", http.address()), "--data"])
        .arg(&center.data)
        .output()
        .unwrap();
    assert!(by_way.status.success(), "{}", String::from_utf8_lossy(&by_way.stderr));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..2 {
            let key = format!("86000000000000{number}");
            let script = "component MCU 1".parse().unwrap();
            let mut runner = DeviceRunner::new(mqtt.address(), PK, PS, &key, script);
            let stop = &stop;
            scope.spawn(move || {
                runner.run(&Until { deadline: Instant::now() + support::TIMEOUT, stop, upgrades: None })
            });
        }
        eventually("both addresses in the log", || {
            let log = log(folder.path());
            let seen = |address: &str| {
                log.lines().any(|line| line.contains("device connected") && line.contains(address))
            };
            (seen("192.0.2.1:5001") && seen("192.0.2.2:5001")).then_some(())
        });
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_center_that_stops_sends_its_devices_away_one_after_the_other() {
    const DEVICES: usize = 20;
    let folder = tempfile::tempdir().unwrap();
    let mut center = center(folder.path(), &["--drain", "3"]);
    eventually("it is ready", || (get(center.http, "/ready").0 == 200).then_some(()));
    center.says(&["product", "create", "--key", PK, "--name", "Fleet", "--secret", PS]);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..DEVICES {
            let key = format!("8600000000000{number:02}");
            let script = "component MCU 1".parse().unwrap();
            let mut runner = DeviceRunner::new(center.mqtt, PK, PS, &key, script);
            let stop = &stop;
            scope.spawn(move || {
                runner.run(&Until { deadline: Instant::now() + support::TIMEOUT, stop, upgrades: None })
            });
        }
        eventually("every device", || {
            let online = center.json(&["device", "list", "--product", PK, "--online"]);
            (online["items"].as_array().unwrap().len() == DEVICES).then_some(())
        });
        let pid = center.process.child().id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let (status, body) = eventually("it says that it stops", || {
            let (status, body) = get(center.http, "/ready");
            (status != 200).then_some((status, body))
        });
        assert_eq!(status, 503);
        assert!(body["detail"].as_str().unwrap().contains("stopping"), "{body}");
        assert!(center.process.finish().success());
        stop.store(true, Ordering::Relaxed);
    });
    // 2026-03-01T10:00:00.123456Z  INFO ...
    let ended: Vec<f64> = log(folder.path())
        .lines()
        .filter(|line| line.contains("device disconnected: the center is stopping"))
        .map(|line| {
            let at: jiff::Timestamp = line.split_whitespace().next().unwrap().parse().unwrap();
            at.as_microsecond() as f64 / 1e6
        })
        .collect();
    let (first, last) = (ended.first().copied().unwrap(), ended.last().copied().unwrap());
    println!("{} devices were sent away within {:.1} s", ended.len(), last - first);
    assert_eq!(ended.len(), DEVICES);
    // Three seconds are asked for: not all at once is what matters.
    assert!(last - first > 1.0, "{ended:?}");
}

#[test]
fn a_full_disk_is_named_by_health_by_readiness_and_by_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let little = center(folder.path(), &["--min-free", "1000000000"]);
    eventually("a first tick", || {
        let (status, body) = get(little.http, "/ready");
        let message = body["detail"].as_str().unwrap_or_default().to_owned();
        assert_eq!(status, 503, "{body}");
        (message.contains("disk") && !message.contains("tick")).then_some(())
    });
    let (status, body) = get(little.http, "/health");
    assert_eq!((status, &body["code"]), (503, &Value::from("disk")), "{body}");
    little.process.kill();
    let again = center(folder.path(), &[]);
    assert_eq!(get(again.http, "/health").0, 200);
    again.process.kill();

    let small = folder.path().join("small");
    fs::create_dir(&small).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(&small).output();
    // Where nobody may mount, the threshold above stands for this.
    if !mount.is_ok_and(|mount| mount.status.success()) {
        return;
    }
    let started = Command::new(env!("CARGO_BIN_EXE_quecota-center"))
        .args(["serve", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--data"])
        .arg(&small)
        .output();
    let _ = Command::new("umount").arg("--lazy").arg(&small).status();
    let said = String::from_utf8(started.unwrap().stderr).unwrap();
    assert!(said.contains("the disk of") && said.contains("free some space"), "{said}");
}
