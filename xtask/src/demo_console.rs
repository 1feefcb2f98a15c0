//! `cargo xtask demo --console`: a center with a small living fleet in all states, to look at its pages until Ctrl-C.

use crate::demo::{Center, PRODUCT, SECRET, random_image};
use crate::process::{Background, Heard, Outcome, cargo, root, run as run_command};
use crate::setup;
use std::path::Path;
use std::time::Duration;

/// Devices that behave alike: the first one's key, how many, the version that they have, and their script.
struct Group {
    key: &'static str,
    count: u32,
    version: &'static str,
    script: &'static str,
}

const fn group(key: &'static str, count: u32, version: &'static str, script: &'static str) -> Group {
    Group { key, count, version, script }
}

/// Two hundred and some devices. Those of the last group have no place in the plan's limit until others have finished.
const FLEET: &[Group] = &[
    group("861000000000000", 90, "1_0_0", "offer upgrade"),
    group("861100000000000", 30, "1_0_0", "offer upgrade slow 4000"),
    group("861200000000000", 8, "1_0_0", "offer fail 12 at upgrading"),
    group("861300000000000", 8, "1_0_0", "offer fail 6 at downloading\noffer upgrade"),
    group("861400000000000", 12, "1_0_0", "offer refuse"),
    group("861500000000000", 6, "1_0_0", "offer hang at downloading"),
    group("861600000000000", 10, "1_0_0", "battery 12\noffer upgrade"),
    group("861700000000000", 20, "2_0_0", "offer upgrade"),
    group("861800000000000", 6, "1_0_0", "offer leave at downloading"),
    group("861900000000000", 40, "1_0_0", "offer upgrade"),
];

/// Builds, starts the center and its devices, says where the console is, and stays.
pub fn run() -> Outcome {
    setup::packages(&[setup::DEMO])?;
    println!("build the center and the devices");
    let packages = ["build", "--locked", "--package", "quecota-center", "--package", "reference-device"];
    run_command(&mut cargo(&packages))?;
    // Ctrl-C ends us without a word, so the folder is not one that has to be removed at the end.
    let folder = root().join("target/console-demo");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let center = Center::start(&folder, None)?;
    let sign_in = center.announced("sign in:")?;
    center.product()?;
    let image = folder.join("stm32-2_0_0.bin");
    random_image(&image)?;
    center.plan(&image, "2")?;
    center.say(&[
        "plan",
        "create",
        "--name",
        "Night window",
        "--product",
        PRODUCT,
        "--component",
        "STM32=1",
        "--time-zone",
        "Europe/Berlin",
        "--push-period",
        "01:00-04:30",
        "--first-devices",
        "50",
        "--halt",
        "5/20",
    ])?;
    println!("\nthe devices come online");
    let mut devices = Vec::new();
    for group in FLEET {
        devices.push(start(&folder, &center.mqtt, group)?);
    }
    println!("\nthe console: {}\nsign in: {sign_in}\nCtrl-C ends it", center.http());
    // Whatever the devices say is of no use here, and must not pile up.
    while center.is_running(Duration::from_secs(1)) {
        for device in &devices {
            while let Heard::Line(_) = device.heard(Duration::ZERO) {}
        }
    }
    Ok(())
}

fn start(folder: &Path, mqtt: &str, group: &Group) -> Outcome<Background> {
    let script = folder.join(format!("{}.script", group.key));
    let text = format!("component STM32 {}\n{}\n", group.version, group.script);
    std::fs::write(&script, text).map_err(|error| format!("{}: {error}", script.display()))?;
    Background::start(&root().join("target/debug/reference-device"), "KILL", |command| {
        command.args(["--server", mqtt, "--product-key", PRODUCT, "--product-secret", SECRET]);
        command.args(["--device-key", group.key, "--devices", &group.count.to_string()]);
        command.args(["--within", "86400", "--script"]).arg(&script);
    })
}
