//! `cargo xtask demo`: the main job, on a local center, with a C application.

use crate::process::{Background, Folder, Heard, Outcome, cargo, fail, output, root, run as run_command};
use crate::throttled_proxy::ThrottledProxy;
use crate::{incidents, setup, test};
use std::collections::BTreeMap;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

const IMAGE: usize = 1024 * 1024;
const STAGING: usize = 64 * 1024;
/// Longest time in which a device prints nothing.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The same with injected faults, for which it waits until its timeouts.
pub const SILENCE_MAX_WITH_FAULTS: Duration = Duration::from_secs(180);
/// How often it is looked what happens besides.
const TICK: Duration = Duration::from_millis(50);
/// By then an upgrade is over, in any world.
const DEADLINE: Duration = Duration::from_secs(600);
pub const PRODUCT: &str = "p1demo";
pub const SECRET: &str = "ZGVtby1zZWNyZXQtMDAx";
pub const DEVICE: &str = "860000000000001";

/// A bad day in the field, for `--faults` with no text. Flash that fails is not among it: a plan without retries takes that
/// as the end of the device, as the center's `why` says.
pub const FAULTS: &str = "drop-link=4%,duplicate=10%,reorder=10%,lose-ack=1%,refuse=5%,status=5%,wrong-range=5%,\
                          short=3%,long=3%,stall=1%,slow=300kB/s";

/// Builds, starts a center, makes a plan, lets the C example upgrade itself by it, and checks every byte. With `faults`
/// as `QUECOTA_FAULTS` takes them, if there are any, and then with the [`incidents`] as well.
pub fn run(faults: Option<&str>) -> Outcome {
    setup::packages(&[setup::DEMO])?;
    step("build the center, libquecota.a and the C example");
    run_command(&mut cargo(&["build", "--locked", "--package", "quecota-center"]))?;
    let built = if faults.is_some() { test::c_build_with_faults() } else { test::c_build() };
    let example = built?.join("sota");
    let faults = faults.map(with_seed);

    let start = Instant::now();
    let folder = Folder::new("demo")?;
    step("start a center");
    let proxy = faults.as_ref().map(|_| ThrottledProxy::start()).transpose()?;
    let center = Center::start(folder.path(), proxy.as_ref())?;
    println!("  {}  {}", center.http, center.mqtt);

    step("the device: a C application with an MCU behind it, whose flash is a file");
    center.product()?;
    let flash = folder.path().join("mcu-flash.bin");
    let configure = |command: &mut Command| {
        command.args(["--server", &center.mqtt, "--product-key", PRODUCT, "--product-secret", SECRET]);
        command.args(["--component", "STM32", "--version", "1_0_0", "--once", "--request-every", "2"]);
        command.arg("--flash").arg(&flash);
        command.env("QUECOTA_DIR", folder.path().join("device")).env("QUECOTA_DEVICE_KEY", DEVICE);
        let staging = if faults.is_some() { incidents::STAGING } else { STAGING };
        command.env("QUECOTA_STAGING", staging.to_string());
        if let Some(faults) = &faults {
            // Of the troubles that follow from a fault, only errors: each fault says by itself that it struck.
            command.env("QUECOTA_FAULTS", faults).env("QUECOTA_LOG", "error");
        }
    };
    let mut device = match &faults {
        None => Background::start(&example, "KILL", configure)?,
        Some(faults) => {
            println!("  in a bad world: {faults}");
            println!("  the same chances again: cargo xtask demo --faults {faults}");
            Background::start_with_errors(&example, "KILL", configure)?
        }
    };
    let mut shown = Shown::new(if faults.is_some() { SILENCE_MAX_WITH_FAULTS } else { SILENCE_MAX });
    shown.follow(&device, &mut |line| Ok(line.is_some_and(|line| line.starts_with("request"))))?;
    if !shown.seen("request") {
        return fail(format!("the device ended before it asked for a plan; its last words: {}", shown.said));
    }
    center.say(&["device", "list", "--product", PRODUCT])?;

    step("add a version package and activate an upgrade plan");
    let image = folder.path().join("stm32-2_0_0.bin");
    random_image(&image)?;
    let plan = center.plan(&image, if proxy.is_some() { incidents::RETRIES } else { "2" })?;

    if let Some(proxy) = &proxy {
        device.kill()?;
        let data = folder.path().join("device");
        let happened = incidents::happen(&example, &configure, &data, proxy, &mut shown);
        if happened.is_err() {
            shown.faults();
            center.say(&["why", PRODUCT, DEVICE])?;
        }
        device = happened?;
    }
    step("the device asks for a plan, and upgrades its MCU");
    let followed = shown.follow(&device, &mut |_| Ok(false));
    if proxy.is_some() {
        shown.faults();
    }
    if followed.is_err() {
        center.say(&["why", PRODUCT, DEVICE])?;
    }
    followed?;
    if let Some(failure) = &shown.failure {
        return fail(format!("the upgrade failed: {failure}"));
    }
    device.finish()?;
    shown.every_step()?;

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
    println!(
        "\nthe same on pages: `quecota-center serve` has its console at its http address; to look at one with a fleet"
    );
    println!("  cargo xtask demo --console");
    Ok(())
}

/// `faults` with a seed of their own, if they have none.
fn with_seed(faults: &str) -> String {
    if faults.split(',').any(|part| part.trim().starts_with("seed=")) {
        return faults.to_owned();
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{faults},seed={}", now.subsec_nanos())
}

pub fn step(what: &str) {
    if std::io::stdout().is_terminal() {
        println!("\n\x1b[1m{what}\x1b[0m");
    } else {
        println!("\n{what}");
    }
}

/// What the device has printed so far.
pub struct Shown {
    words: Vec<String>,
    /// Its last line.
    said: String,
    /// Its errors.
    errors: Vec<String>,
    /// How often each fault struck.
    struck: BTreeMap<String, u32>,
    /// The line of an upgrade that failed.
    pub failure: Option<String>,
    /// How long it may say nothing.
    patience: Duration,
}

impl Shown {
    /// Nothing yet, of a device that may say nothing for so long.
    pub fn new(patience: Duration) -> Self {
        let (words, said, errors, struck) = Default::default();
        Shown { words, said, errors, struck, failure: None, patience }
    }

    /// Shows what the device prints, until it ends, or `is_done` with a line, or between two lines with none.
    pub fn follow(
        &mut self,
        device: &Background,
        is_done: &mut dyn FnMut(Option<&str>) -> Outcome<bool>,
    ) -> Outcome {
        let terminal = std::io::stdout().is_terminal();
        let (start, mut last) = (Instant::now(), Instant::now());
        loop {
            let line = match device.heard(TICK) {
                Heard::Line(line) => line,
                Heard::End => return Ok(()),
                Heard::Nothing if last.elapsed() > self.patience => {
                    return fail(format!("the device said nothing for {:?}", self.patience));
                }
                Heard::Nothing => {
                    if is_done(None)? {
                        return Ok(());
                    }
                    continue;
                }
            };
            last = Instant::now();
            if start.elapsed() > DEADLINE {
                return fail(format!(
                    "the upgrade is not over after {DEADLINE:?}; the device's last words: {line}"
                ));
            }
            if let Some((_, fault)) = line.split_once(" quecota: fault ") {
                *self.struck.entry(fault.to_owned()).or_default() += 1;
                if terminal && self.words.last().is_some_and(|before| before == "10703") {
                    println!();
                    self.words.push("fault".to_owned());
                }
                println!("    fault: {fault}");
                continue;
            }
            if line.starts_with("10706") {
                self.failure = Some(line.clone());
            }
            if line.contains(" error quecota: ") {
                self.errors.push(line.clone());
            }
            let word = line.split_whitespace().next().unwrap_or("").to_owned();
            match bar(&line) {
                // Pieces come by the dozen: a terminal shows them as one line that grows.
                Some(bar) if terminal => print!("\r  {word} piece {bar}"),
                _ if terminal && word == "10702" && self.seen("10703") => continue,
                _ if terminal && self.words.last().is_some_and(|before| before == "10703") => {
                    println!("\n  {line}");
                }
                _ => println!("  {line}"),
            }
            std::io::stdout().flush().map_err(|error| format!("the terminal: {error}"))?;
            self.said.clone_from(&line);
            self.words.push(word);
            if is_done(Some(&line))? {
                return Ok(());
            }
        }
    }

    /// Whether one of its errors has this in it.
    pub fn heard(&self, part: &str) -> bool {
        self.errors.iter().any(|error| error.contains(part))
    }

    /// Which faults struck, and how often.
    fn faults(&self) {
        println!("\n  {:<12} {:>6}", "fault", "struck");
        for (fault, count) in &self.struck {
            println!("  {fault:<12} {count:>6}");
        }
        println!("  {:<12} {:>6}", "in all", self.struck.values().sum::<u32>());
    }

    fn seen(&self, word: &str) -> bool {
        self.words.iter().any(|seen| seen == word)
    }

    /// Every step of the process in the QuecThing documentation was there.
    fn every_step(&self) -> Outcome {
        let steps = ["request", "10700", "10701", "10702", "10703", "10704", "10705"];
        match steps.iter().find(|step| !self.seen(step)) {
            Some(step) => fail(format!("the device never showed \"{step}\"")),
            None => Ok(()),
        }
    }
}

/// A picture of how far the MCU's image is, from the line of a piece.
fn bar(line: &str) -> Option<String> {
    let number =
        |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse::<usize>().ok());
    if !line.starts_with("10703") {
        return None;
    }
    let (size, done) = (number("size=")?, number("start=")? + number("length=")?);
    let filled = done * 40 / size.max(1);
    Some(format!(
        "[{}{}] {done} of {size} bytes",
        "#".repeat(filled),
        ".".repeat(40_usize.saturating_sub(filled))
    ))
}

pub fn random_image(path: &Path) -> Outcome {
    let mut bytes = vec![0; IMAGE];
    let filled = std::fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes));
    filled
        .and_then(|()| std::fs::File::create(path)?.write_all(&bytes))
        .map_err(|error| format!("{}: {error}", path.display()))
}

pub fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

pub struct Center {
    server: Background,
    program: PathBuf,
    data: PathBuf,
    http: String,
    pub mqtt: String,
}

impl Center {
    /// Starts a center; with a proxy, devices fetch its files through that.
    pub fn start(folder: &Path, proxy: Option<&ThrottledProxy>) -> Outcome<Center> {
        let program = root().join("target/debug/quecota-center");
        let data = folder.join("center");
        let server = Background::start(&program, "TERM", |command| {
            command
                .args(["serve", "--log", "warn", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--data"])
                .arg(&data);
            if let Some(proxy) = proxy {
                command.arg("--public-url").arg(format!("http://{}", proxy.address()));
            }
        })?;
        let deadline = Duration::from_secs(20);
        let mqtt = server.announced("mqtt:", deadline)?;
        let http = server.announced("http:", deadline)?;
        if let Some(proxy) = proxy {
            let address = http.trim_start_matches("http://").trim_end_matches('/').parse();
            proxy.set_upstream(address.map_err(|_| format!("the center is at {http}, which is no address"))?);
        }
        Ok(Center { server, program, data, http, mqtt })
    }

    /// Where its API and its console are.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// The rest of the next line that it prints and that begins with `start`.
    pub fn announced(&self, start: &str) -> Outcome<String> {
        self.server.announced(start, Duration::from_secs(20))
    }

    /// Whether it has not ended after this time.
    pub fn is_running(&self, wait: Duration) -> bool {
        !matches!(self.server.heard(wait), Heard::End)
    }

    /// A product with one component, as an operator would make them.
    pub fn product(&self) -> Outcome {
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
        Ok(())
    }

    /// A version package and an active plan with it, which allows so many retries; gives the plan's id.
    pub fn plan(&self, image: &Path, retries: &str) -> Outcome<String> {
        let image = image.display().to_string();
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
            "--retries",
            retries,
        ])?;
        self.say(&["plan", "activate", &plan])?;
        Ok(plan)
    }

    /// The center's words for the demo's device, once it is upgraded by the plan.
    pub fn upgraded(&self, plan: &str) -> Outcome<Option<String>> {
        let shown = output(&mut self.command(&["device", "upgrades", PRODUCT, DEVICE]))?;
        let wanted = format!("of plan {plan}: Upgraded");
        Ok(shown.lines().find(|line| line.contains(&wanted)).map(|line| line.trim().to_owned()))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words).env("QUECOTA_SERVER", &self.http).arg("--data").arg(&self.data);
        command
    }

    /// The last word that a command of the center prints.
    pub fn id(&self, words: &[&str]) -> Outcome<String> {
        let said = self.say(words)?;
        said.split_whitespace()
            .last()
            .map(str::to_owned)
            .ok_or(format!("`{}` printed no id", words.join(" ")))
    }

    /// Runs a command of the center, showing it and its answer.
    pub fn say(&self, words: &[&str]) -> Outcome<String> {
        println!("  $ quecota-center {}", words.join(" "));
        let said = output(&mut self.command(words))?;
        for line in said.lines() {
            println!("    {line}");
        }
        Ok(said)
    }

    /// The same without showing it: it is tried until it works.
    pub fn quiet(&self, words: &[&str]) -> Outcome<String> {
        output(&mut self.command(words))
    }

    pub fn stop(self) {
        self.server.stop("TERM");
    }
}
