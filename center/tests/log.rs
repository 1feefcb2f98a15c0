//! The log of a center whose standard error fails: a lost log is never a lost device.

mod support;

use std::fs::OpenOptions;
use std::io::{Read, Write, pipe};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Center, TIMEOUT};

/// A center that logs every request to `stderr`.
fn start(folder: &Path, stderr: Stdio) -> Center {
    Center::start_with(&folder.join("center"), |command| {
        command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--log", "trace"]).stderr(stderr);
    })
}

/// The answer to one request.
fn get(center: &Center, path: &str) -> String {
    let token = std::fs::read_to_string(center.data.join("token")).unwrap();
    let mut stream = TcpStream::connect(center.http).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: c\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Lines that the center says it has lost.
fn lost(center: &Center) -> u64 {
    let figures = get(center, "/metrics");
    let line = figures.lines().find_map(|line| line.strip_prefix("quecota_process_log_lines_lost "));
    line.unwrap_or_else(|| panic!("{figures}")).parse().unwrap()
}

/// A device may connect: MQTT's port takes connections and answers what is no MQTT by closing.
fn serves_devices(center: &Center) {
    let mut device = TcpStream::connect(center.mqtt).unwrap();
    device.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    device.write_all(b"no mqtt at all").unwrap();
    let closed = device.read(&mut [0; 16]);
    assert!(
        matches!(closed, Ok(0))
            || closed.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
    );
}

fn stop(mut center: Center) {
    let id = center.process.child().id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(center.process.finish().code(), Some(0));
}

#[test]
fn a_center_whose_log_nobody_can_take_serves_on_and_counts_the_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (name, stderr) in [("closed", Stdio::from(writer)), ("full", Stdio::from(full))] {
        let center = start(&folder.path().join(name), stderr);
        assert!(get(&center, "/health").contains("200 OK"), "{name}");
        serves_devices(&center);
        center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
        assert!(lost(&center) > 0, "{name}");
        stop(center);
    }
}

#[test]
fn a_reader_that_stands_still_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    // Never read: a pipe holds 64 KB.
    let (reader, writer) = pipe().unwrap();
    let center = start(folder.path(), writer.into());
    for _ in 0..200 {
        assert!(get(&center, "/health").contains("200 OK"));
    }
    serves_devices(&center);
    stop(center);
    drop(reader);
}
