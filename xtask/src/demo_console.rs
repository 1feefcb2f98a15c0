//! `cargo xtask demo --console`: a center with a small living fleet in all states, to look at its pages until Ctrl-C.

use crate::demo::{Center, PRODUCT, SECRET, random_image};
use crate::process::{Background, Heard, Outcome, cargo, fail, root, run as run_command};
use crate::setup;
use std::path::Path;
use std::time::{Duration, Instant};

/// The second product: its end users confirm, and what goes wrong with it stops its plan.
const KETTLE: &str = "p2kettle";
const KETTLE_SECRET: &str = "ZGVtby1zZWNyZXQtMDAy";
/// A device that two have the key of.
const DOUBLE: &str = "862000000000000";
/// Longest wait for what the demo needs before it goes on.
const DEADLINE: Duration = Duration::from_secs(120);
/// Seconds that devices stay for which then leave, and all others.
const SHORT: u32 = 20;
const LONG: u32 = 7 * 86_400;

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

/// Two hundred and some devices. The plan has a limit: it takes those of the last group minutes to find a place.
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
    group("861900000000000", 40, "1_0_0", "offer upgrade slow 20000"),
];

/// The second product's: most wait for their end users, and those that need none fail.
const KETTLES: &[Group] = &[
    group("863100000000000", 20, "1_0_0", "offer upgrade"),
    group("863200000000000", 8, "1_0_0", "offer fail 12 at upgrading"),
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
    let image = folder.join("stm32-2_0_0.bin");
    random_image(&image)?;
    let image = image.display().to_string();
    plans(&center, &image)?;

    println!("\nthe devices come online");
    let mut devices = Vec::new();
    for group in FLEET {
        devices.push(start(&folder, &center, PRODUCT, SECRET, group, LONG)?);
    }
    for group in KETTLES {
        devices.push(start(&folder, &center, KETTLE, KETTLE_SECRET, group, LONG)?);
    }
    // They were here, and are not any more.
    let gone = group("861950000000000", 12, "1_0_0", "offer upgrade slow 2000");
    devices.push(start(&folder, &center, PRODUCT, SECRET, &gone, SHORT)?);
    for _ in 0..2 {
        devices.push(start(&folder, &center, PRODUCT, SECRET, &group(DOUBLE, 1, "2_0_0", ""), LONG)?);
    }
    verify(&center, &image)?;
    println!("\nthe console: {}\nsign in: {sign_in}\nCtrl-C ends it", center.http());
    // Whatever the devices say is of no use here, and must not pile up.
    while center.is_running(Duration::from_secs(1)) {
        for device in &devices {
            while let Heard::Line(_) = device.heard(Duration::ZERO) {}
        }
    }
    fail("the center has ended")
}

/// Two products with a package each, and plans in all states.
fn plans(center: &Center, image: &str) -> Outcome {
    center.product()?;
    center.say(&["product", "create", "--key", KETTLE, "--name", "Kettle", "--secret", KETTLE_SECRET])?;
    center.say(&["component", "add", KETTLE, "STM32", "--type", "mcu"])?;
    let package = |product: &str, name: &str| {
        let words = ["package", "add", "--product", product, "--component", "STM32", "--name", name];
        center.id(&[&words[..], &["--target", "2_0_0", image]].concat())
    };
    let (diffuser, kettle) = (package(PRODUCT, "diffuser-2")?, package(KETTLE, "kettle-2")?);
    let plan = |name: &str, product: &str, package: &str, more: &[&str]| {
        let component = format!("STM32={package}");
        let words = ["plan", "create", "--name", name, "--product", product, "--component", &component];
        center.id(&[&words[..], more].concat())
    };
    let limits = ["--min-battery", "20", "--max-in-flight", "60", "--retries", "1"];
    let autumn =
        plan("Autumn", PRODUCT, &diffuser, &[&limits[..], &["--time-zone", "Asia/Shanghai"]].concat())?;
    center.say(&["plan", "activate", &autumn])?;
    let night = ["--time-zone", "Europe/Berlin", "--push-period", "01:00-04:30", "--first-devices", "50"];
    plan("Night window", PRODUCT, &diffuser, &[&night[..], &["--halt", "5/20"]].concat())?;
    let texts = ["--mode", "manual", "--text", "en=It takes three minutes.", "--text", "zh=大约需要三分钟。"];
    // Whoever is on both plans gets the newer one.
    let all = plan("With the end user", KETTLE, &kettle, &texts)?;
    center.say(&["plan", "activate", &all])?;
    let failing: Vec<String> = (0..8).map(|number| format!("86320000000000{number}")).collect();
    let stops = ["--retries", "0", "--halt", "20/5", "--whitelist", &failing.join(",")];
    let first = plan("Try on a few", KETTLE, &kettle, &stops)?;
    center.say(&["plan", "activate", &first, "--supersede"])?;
    Ok(())
}

/// A firmware verification that fails, once its device has finished the plan.
fn verify(center: &Center, image: &str) -> Outcome {
    let words = ["package", "add", "--product", PRODUCT, "--component", "STM32", "--name", "diffuser-3 beta"];
    let package = center.id(&[&words[..], &["--target", "3_0_0", image]].concat())?;
    let began = Instant::now();
    while center.quiet(&["package", "verify", &package, "--device", "861200000000000"]).is_err() {
        if began.elapsed() > DEADLINE {
            return fail(format!("no device could verify package {package} within {DEADLINE:?}"));
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}

/// Starts devices that stay for so many seconds.
fn start(
    folder: &Path,
    center: &Center,
    product: &str,
    secret: &str,
    group: &Group,
    seconds: u32,
) -> Outcome<Background> {
    let script = folder.join(format!("{}.script", group.key));
    let text = format!("component STM32 {}\n{}\n", group.version, group.script);
    std::fs::write(&script, text).map_err(|error| format!("{}: {error}", script.display()))?;
    Background::start(&root().join("target/debug/reference-device"), "KILL", |command| {
        command.args(["--server", &center.mqtt, "--product-key", product, "--product-secret", secret]);
        command.args(["--device-key", group.key, "--devices", &group.count.to_string()]);
        command.args(["--within", &seconds.to_string(), "--script"]).arg(&script);
    })
}
