//! The firmware of c-examples/bare-metal on boards that QEMU simulates: it upgrades itself by a plan of a real center, while the
//! board loses its power.
//!
//! A power cut is SIGKILL for QEMU. The board's flash is a file, which outlives it.

use crate::demo::{Center, DEVICE, PRODUCT, SECRET, read, step};
use crate::process::{Background, Folder, Heard, Outcome, cargo, fail, root, run as run_command};
use crate::toolchain::Toolchain;
use crate::{bare_metal_page, setup};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// A board that QEMU has.
struct Board {
    /// QEMU's name of it, and the folder below c-examples/bare-metal.
    name: &'static str,
    core: &'static str,
    /// `cmake/toolchain-NAME.cmake`.
    toolchain: &'static str,
}

const BOARDS: &[Board] = &[
    Board { name: "mps2-an385", core: "Cortex-M3", toolchain: "thumbv7m" },
    Board { name: "mps2-an505", core: "Cortex-M33", toolchain: "thumbv8m.main" },
];

/// Power cuts of `demo --board`, on each board.
const CUTS: usize = 10;
/// An upgrade takes some seconds, and each cut adds as many.
const DEADLINE: Duration = Duration::from_secs(300);
/// How often the center is asked what it knows, while the board says nothing.
const TICK: Duration = Duration::from_secs(1);
/// Longest pause between a line of the firmware and a cut: as long as it takes from one line to the next but one.
const LATER_MAX: u64 = 800_000;

/// Lines of the firmware after which a cut may fall, in the order in which they come.
const STEPS: [&str; 7] = ["firmware", "10700", "10701", "10702", "10704", "apply", "loader"];

/// `cargo xtask demo --board`.
pub fn demo(seed: Option<u64>) -> Outcome {
    setup::packages(&[setup::DEMO, setup::FIRMWARE, setup::BOARD])?;
    run_command(&mut cargo(&["build", "--locked", "--package", "quecota-center"]))?;
    let seed = seed.unwrap_or_else(any_seed);
    println!("  seed {seed}; the same moments again: cargo xtask demo --board --seed {seed}");
    upgrades(CUTS, seed)
}

/// The page, and one power cut on each board; a part of `cargo xtask test firmware`.
pub fn check() -> Outcome {
    run_command(&mut cargo(&["build", "--locked", "--package", "quecota-center"]))?;
    bare_metal_page::follow()?;
    let seed = any_seed();
    println!("one power cut on each board, seed {seed}");
    upgrades(1, seed)
}

/// The stack of each part of a whole upgrade on a Cortex-M3, in bytes, by name.
pub fn painted() -> Outcome<BTreeMap<String, u32>> {
    run_command(&mut cargo(&["build", "--locked", "--package", "quecota-center"]))?;
    let board = &BOARDS[0];
    let built = board.build()?;
    let mut upgrade = Upgrade::begin(board, &built)?;
    upgrade.end()?;
    upgrade.compare(0)
}

fn any_seed() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().subsec_nanos().into()
}

fn upgrades(cuts: usize, seed: u64) -> Outcome {
    for board in BOARDS {
        step(&format!("{} ({}) in QEMU upgrades itself, with {cuts} power cuts", board.name, board.core));
        let built = board.build()?;
        Upgrade::begin(board, &built)?.run(cuts, seed)?;
    }
    Ok(())
}

impl Board {
    /// Loader and firmware by CMake; an image in which a panic can be reached does not link.
    fn build(&self) -> Outcome<PathBuf> {
        let options = [&format!("-DBOARD={}", self.name), "-DQUECOTA_FEATURES=full,firmware-gate"];
        Toolchain::named(self.toolchain)?.cmake(
            &root().join("c-examples/bare-metal"),
            &format!("board-{}", self.name),
            &options,
        )
    }
}

/// What the firmware says.
enum Line {
    Text(String),
    /// Nothing for so long.
    Nothing,
    /// It has ended.
    End,
}

/// One board with its center.
struct Upgrade<'b> {
    board: &'b Board,
    built: &'b Path,
    folder: Folder,
    center: Center,
    plan: String,
    /// The far end of the serial port, and its TCP port.
    _bridge: Background,
    port: String,
    /// The greatest figure of each kind that the firmware has printed.
    stacks: BTreeMap<String, u32>,
    start: Instant,
}

impl<'b> Upgrade<'b> {
    fn begin(board: &'b Board, built: &'b Path) -> Outcome<Upgrade<'b>> {
        let folder = Folder::new(board.name)?;
        let center = Center::start(folder.path(), None)?;
        center.say(&["product", "create", "--key", PRODUCT, "--name", "Diffuser", "--secret", SECRET])?;
        center.say(&["component", "add", PRODUCT, "MODULE", "--type", "module"])?;
        let image = built.join("firmware-2_0_0.bin").display().to_string();
        let package = ["package", "add", "--product", PRODUCT, "--component", "MODULE", "--name", "two"];
        center.say(&[&package[..], &["--target", "2_0_0", &image]].concat())?;
        let plan = ["plan", "create", "--name", "Autumn", "--product", PRODUCT, "--component", "MODULE=two"];
        let plan = center.id(&plan)?;
        center.say(&["plan", "activate", &plan])?;
        let bridge = Background::start(Path::new("python3"), "KILL", |command| {
            command.arg(root().join("c-examples/bare-metal/bridge.py"));
        })?;
        let port = bridge.announced("port:", Duration::from_secs(20))?;
        let first = built.join("firmware-1_0_0.bin");
        let flash = folder.path().join("flash.bin");
        std::fs::copy(&first, &flash).map_err(|error| format!("{}: {error}", first.display()))?;
        let (stacks, start) = (BTreeMap::new(), Instant::now());
        Ok(Upgrade { board, built, folder, center, plan, _bridge: bridge, port, stacks, start })
    }

    fn run(mut self, cuts: usize, seed: u64) -> Outcome {
        let mut done = 0;
        for (step, later) in moments(cuts, seed) {
            if !self.cut(step, later)? {
                break;
            }
            done += 1;
        }
        if done == 0 {
            return fail(format!("{} ended before its power was cut", self.board.name));
        }
        self.end()?;
        self.compare(done).map(drop)
    }

    /// Lets the board finish its upgrade. When the last cut fell behind the end of it, the firmware knows of none, and goes on.
    fn end(&mut self) -> Outcome {
        let last = self.power_on()?;
        loop {
            match self.line(&last, TICK)? {
                Line::Text(line) => println!("  {line}"),
                Line::End => return last.finish(),
                Line::Nothing if self.center.upgraded(&self.plan)?.is_some() => return last.kill(),
                Line::Nothing => {}
            }
        }
    }

    /// Lets the board run until a moment; whether it had not ended before.
    fn cut(&mut self, awaited: usize, later: Duration) -> Outcome<bool> {
        let running = self.power_on()?;
        loop {
            match self.line(&running, TICK)? {
                // A later step, where an earlier cut fell behind the awaited one.
                Line::Text(line) if STEPS.iter().skip(awaited).any(|step| line.starts_with(step)) => {
                    println!("  {line}");
                    self.go_on(&running, later)?;
                    running.kill()?;
                    println!("  cut: {:>3} ms after \"{line}\"", later.as_millis());
                    return Ok(true);
                }
                Line::Text(line) => println!("  {line}"),
                Line::End => return running.finish().map(|()| false),
                // An earlier cut fell behind the last step.
                Line::Nothing if self.center.upgraded(&self.plan)?.is_some() => {
                    return running.kill().map(|()| false);
                }
                Line::Nothing => {}
            }
        }
    }

    fn go_on(&mut self, board: &Background, time: Duration) -> Outcome {
        let start = Instant::now();
        while let Some(rest) = time.checked_sub(start.elapsed()).filter(|rest| !rest.is_zero()) {
            match self.line(board, rest)? {
                Line::Text(line) => println!("  {line}"),
                Line::Nothing => {}
                Line::End => break,
            }
        }
        Ok(())
    }

    fn power_on(&self) -> Outcome<Background> {
        let settings = [self.flash().display().to_string(), self.center.mqtt.clone()];
        let settings = settings.iter().map(String::as_str).chain([PRODUCT, SECRET, DEVICE]);
        let mut semihosting = "enable=on,target=native,chardev=console".to_owned();
        for word in settings {
            semihosting.push_str(",arg=");
            semihosting.push_str(word);
        }
        Background::start(Path::new("qemu-system-arm"), "KILL", |command| {
            command.args(["-M", self.board.name, "-display", "none", "-monitor", "none"]);
            command.args(["-chardev", "stdio,id=console", "-semihosting-config", &semihosting]);
            command.args(["-serial", &format!("tcp:127.0.0.1:{},nodelay=on", self.port)]);
            command.arg("-kernel").arg(self.built.join("loader.elf"));
        })
    }

    /// The next line that is no figure, within this time.
    fn line(&mut self, board: &Background, time: Duration) -> Outcome<Line> {
        loop {
            if self.start.elapsed() > DEADLINE {
                self.center.say(&["why", PRODUCT, DEVICE])?;
                return fail(format!("{} is not upgraded after {DEADLINE:?}", self.board.name));
            }
            let line = match board.heard(time) {
                Heard::Line(line) => line,
                Heard::End => return Ok(Line::End),
                Heard::Nothing => return Ok(Line::Nothing),
            };
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["stack", of, bytes] => {
                    let bytes: u32 = bytes.parse().map_err(|_| format!("`{line}` is no figure"))?;
                    let deepest = self.stacks.entry(of.to_owned()).or_default();
                    *deepest = bytes.max(*deepest);
                }
                ["10706", ..] | ["fault"] => return fail(format!("{}: {line}", self.board.name)),
                _ => return Ok(Line::Text(line)),
            }
        }
    }

    fn flash(&self) -> PathBuf {
        self.folder.path().join("flash.bin")
    }

    /// What the board runs, against what was uploaded; what the center says; the figures, which it gives.
    fn compare(self, cuts: usize) -> Outcome<BTreeMap<String, u32>> {
        let (uploaded, flash) = (read(&self.built.join("firmware-2_0_0.bin"))?, read(&self.flash())?);
        if !flash.starts_with(&uploaded) {
            return fail(format!("{} has another firmware than the package", self.board.name));
        }
        let said = self.center.upgraded(&self.plan)?.ok_or("the center does not say Upgraded")?;
        println!("  {said}");
        println!(
            "  {} bytes, identical, after {cuts} power cuts; {:.1} s",
            uploaded.len(),
            self.start.elapsed().as_secs_f64()
        );
        println!("  stack in bytes, painted, over the whole upgrade (with the port's own functions):");
        for of in ["init", "start", "poll", "interrupts"] {
            match self.stacks.get(of) {
                Some(bytes) => println!("    {of:<12}{bytes:>6}"),
                None => return fail(format!("{} printed no stack of {of}", self.board.name)),
            }
        }
        self.center.stop();
        Ok(self.stacks)
    }
}

/// When the power is cut: so long after a line of [`STEPS`] or a later one. The first cuts come early in an upgrade, the last ones
/// late.
fn moments(cuts: usize, seed: u64) -> Vec<(usize, Duration)> {
    let mut state = seed;
    let mut random = move |below: u64| {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    };
    let mut steps: Vec<usize> = (0..cuts).map(|_| random(STEPS.len() as u64) as usize).collect();
    steps.sort_unstable();
    steps.into_iter().map(|step| (step, Duration::from_micros(random(LATER_MAX)))).collect()
}
