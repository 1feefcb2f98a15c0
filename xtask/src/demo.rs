//! `cargo xtask demo`: the main job, on a local center, with a C application.

use crate::process::{Background, Folder, Outcome, cargo, fail, output, root, run as run_command};
use crate::{setup, test};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const IMAGE: usize = 1024 * 1024;
const STAGING: usize = 64 * 1024;
const PRODUCT: &str = "p1demo";
const SECRET: &str = "ZGVtby1zZWNyZXQtMDAx";
const DEVICE: &str = "860000000000001";

/// Builds, starts a center, makes a plan, lets the C example upgrade itself by it, and checks every byte.
pub fn run() -> Outcome {
    setup::packages(&[setup::DEMO])?;
    step("build the center, libquecota.a and the C example");
    run_command(&mut cargo(&["build", "--locked", "--package", "quecota-center"]))?;
    let example = test::c_build()?.join("sota");

    let start = Instant::now();
    let folder = Folder::new("demo")?;
    step("start a center");
    let center = Center::start(folder.path())?;
    println!("  {}  {}", center.http, center.mqtt);

    step("add a version package and activate an upgrade plan");
    let image = folder.path().join("stm32-2_0_0.bin");
    random_image(&image)?;
    let plan = center.plan(&image)?;

    step("the device: a C application with an MCU behind it (its flash is a file)");
    let flash = folder.path().join("mcu-flash.bin");
    let device = Background::start(&example, "KILL", |command| {
        command.args(["--server", &center.mqtt, "--product-key", PRODUCT, "--product-secret", SECRET]);
        command.args(["--component", "STM32", "--version", "1_0_0", "--once", "--flash"]).arg(&flash);
        command.env("QUECOTA_DIR", folder.path().join("device")).env("QUECOTA_DEVICE_KEY", DEVICE);
        command.env("QUECOTA_STAGING", STAGING.to_string());
    })?;
    let events = follow(&device)?;
    device.finish()?;
    for code in 10700..=10705 {
        if !events.contains(&code.to_string()) {
            return fail(format!("the device never showed event {code}"));
        }
    }

    step("what the center saw");
    center.say(&["device", "upgrades", PRODUCT, DEVICE])?;
    center.say(&["plan", "show", &plan])?;

    step("compare the MCU's flash with the uploaded package");
    let (uploaded, written) = (read(&image)?, read(&flash)?);
    if uploaded != written {
        return fail(format!(
            "{} bytes uploaded, {} in the flash, and they differ",
            uploaded.len(),
            written.len()
        ));
    }
    println!("  {} bytes, identical; {:.1} s after the build", written.len(), start.elapsed().as_secs_f64());
    center.stop();
    Ok(())
}

fn step(what: &str) {
    if std::io::stdout().is_terminal() {
        println!("\n\x1b[1m{what}\x1b[0m");
    } else {
        println!("\n{what}");
    }
}

/// Shows what the device prints, and gives the event codes that its lines began with.
fn follow(device: &Background) -> Outcome<Vec<String>> {
    let mut codes = Vec::new();
    while let Some(line) = device.line(Duration::from_secs(60))? {
        println!("  {line}");
        codes.extend(line.split_whitespace().next().map(str::to_owned));
    }
    Ok(codes)
}

fn random_image(path: &Path) -> Outcome {
    let mut bytes = vec![0; IMAGE];
    let filled = std::fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    filled
        .and_then(|()| std::fs::File::create(path)?.write_all(&bytes))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

struct Center {
    server: Background,
    program: PathBuf,
    data: PathBuf,
    http: String,
    mqtt: String,
}

impl Center {
    fn start(folder: &Path) -> Outcome<Center> {
        let program = root().join("target/debug/quecota-center");
        let data = folder.join("center");
        let server = Background::start(&program, "TERM", |command| {
            command.args(["serve", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--data"]).arg(&data);
        })?;
        let deadline = Duration::from_secs(20);
        let mqtt = server.announced("mqtt:", deadline)?;
        let http = server.announced("http:", deadline)?;
        Ok(Center { server, program, data, http, mqtt })
    }

    /// Product, component, package and plan, as an operator would make them; gives the plan's id.
    fn plan(&self, image: &Path) -> Outcome<String> {
        let image = image.display().to_string();
        self.say(&[
            "product",
            "create",
            "--key",
            PRODUCT,
            "--name",
            "Smart Aromatherapy Diffuser",
            "--secret",
            SECRET,
        ])?;
        self.say(&["component", "add", PRODUCT, "STM32", "--type", "mcu"])?;
        let package = self.id(&[
            "package",
            "add",
            "--product",
            PRODUCT,
            "--component",
            "STM32",
            "--name",
            "diffuser-2",
            "--target",
            "2_0_0",
            &image,
        ])?;
        let component = format!("STM32={package}");
        let plan = self.id(&[
            "plan",
            "create",
            "--name",
            "Autumn",
            "--product",
            PRODUCT,
            "--component",
            &component,
        ])?;
        self.say(&["plan", "activate", &plan])?;
        Ok(plan)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).env("QUECOTA_SERVER", &self.http).arg("--data").arg(&self.data);
        command
    }

    fn id(&self, words: &[&str]) -> Outcome<String> {
        let said = self.say(words)?;
        said.split_whitespace()
            .last()
            .map(str::to_owned)
            .ok_or(format!("`{}` printed no id", words.join(" ")))
    }

    /// Runs a command of the center, showing it and its answer.
    fn say(&self, words: &[&str]) -> Outcome<String> {
        println!("  $ quecota-center {}", words.join(" "));
        let said = output(&mut self.command(words))?;
        for line in said.lines() {
            println!("    {line}");
        }
        Ok(said)
    }

    fn stop(self) {
        self.server.stop("TERM");
    }
}
