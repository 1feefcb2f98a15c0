//! A client that a public generator made of the API's description drives one whole upgrade of a device.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use reference_device::{DeviceRunner, Until};
use support::{Center, Process, TIMEOUT};

#[test]
fn a_generated_client_drives_an_upgrade_from_the_product_to_the_last_byte() {
    let tools = std::env::var_os("QUECOTA_TEST_API_TOOLS").expect(
        "QUECOTA_TEST_API_TOOLS is not set: run `cargo xtask test`, which installs openapi-python-client",
    );
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut generator = Command::new(Path::new(&tools).join("openapi-python-client"));
    generator.args(["generate", "--meta", "none", "--path"]).arg(root.join("../docs/openapi.json"));
    // It warns of the bodies that it cannot send: CSV files.
    generator.arg("--output-path").arg(folder.path().join("quecota_client"));
    let generated = generator.env("PATH", &tools).current_dir(folder.path()).output().unwrap();
    let said = [generated.stdout, generated.stderr].concat();
    assert!(generated.status.success(), "{}", String::from_utf8_lossy(&said));

    let center = Center::start(&folder.path().join("center"));
    let token = fs::read_to_string(center.data.join("token")).unwrap();
    let firmware = folder.path().join("mcu.bin");
    fs::write(&firmware, (0..200_000_u32).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect::<Vec<u8>>())
        .unwrap();
    let secret = "MTIzNDU2Nzg5MGFi";
    let mut script = Process::start(Path::new(&tools).join("python"), |command| {
        command.arg(root.join("tests/python_client/upgrade.py")).arg(format!("http://{}", center.http));
        command.args([token.trim(), secret]).arg(&firmware);
        command.env("PYTHONPATH", folder.path()).env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::piped());
    });
    let mut lines = BufReader::new(script.child().stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.next().as_deref(), Some("ready"));
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let steps = "component MCU 1".parse().unwrap();
        let mut device = DeviceRunner::new(center.mqtt, "p1python", secret, "860000000000077", steps);
        let stop = &stop;
        scope.spawn(move || {
            device.run(&Until { deadline: Instant::now() + TIMEOUT * 5, stop, upgrades: None })
        });
        let said = lines.next();
        stop.store(true, Ordering::Relaxed);
        assert_eq!(said.as_deref(), Some("upgraded 2"));
    });
    assert!(script.finish().success());
}
