//! `cargo xtask bench center`: what one center does on this machine, row by row, beside the load that asks for it.
//!
//! Nothing is typed: each row is measured in the run that writes docs/figures.md. A row that fails costs itself only, and
//! says why in its place.

mod center;
mod chart;
mod downloads;
mod fleets;
mod load;
mod marks;
mod messages;
mod page;
mod plan;
mod profile;
mod storm;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::process::{Outcome, cargo, fail, output, root, run as run_command};
use crate::setup;
use center::Used;
pub use center::{Center, IMAGE, PRODUCT, SECRET};
pub use fleets::fill;
pub use load::program as fleet_program;

/// A part of the bench: its name on the command line, what it measures, and the function.
type Part = (&'static str, &'static str, fn(&mut Bench) -> Outcome);

const PARTS: &[Part] = &[
    ("binary", "the program as installed", binary),
    ("messages", "what 200 devices say, over SQLite", messages::sqlite),
    ("disk", "the same on a disk with 5 ms a sync", messages::slow_disk),
    ("postgres", "the same over PostgreSQL", messages::postgres),
    ("downloads", "firmware, beside nginx", downloads::measure),
    ("plan", "a plan of 10 000 devices, over MQTT and HTTP", plan::measure),
    ("marks", "10-minute marks and a plan at once, 10 000 online", marks::measure),
    ("storm", "18 000 sessions: connect, drop, a kill, memory", storm::measure),
    ("sizes", "cost against the size of the fleet: 10 k, 100 k, 1 M", fleets::measure),
];

/// What a figure is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    /// So many, or more.
    AtLeast(f64, &'static str),
    /// So many, or fewer.
    AtMost(f64, &'static str),
    /// Nothing: it is shown beside others.
    None,
}

impl Target {
    fn words(self) -> String {
        let number = |bound: f64| if bound < 10.0 { format!("{bound}") } else { format!("{bound:.0}") };
        match self {
            Target::AtLeast(bound, unit) => format!("{}{unit} or more", number(bound)),
            Target::AtMost(bound, unit) => format!("{}{unit} or less", number(bound)),
            Target::None => String::new(),
        }
    }

    fn is_met(self, value: f64) -> Option<bool> {
        match self {
            Target::AtLeast(bound, _) => Some(value >= bound),
            Target::AtMost(bound, _) => Some(value <= bound),
            Target::None => None,
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, Default)]
struct Measured {
    /// The figure itself, in the unit of its target.
    value: f64,
    figure: String,
    /// How many times it was done; what the processes used is for each of them.
    count: f64,
    used: Option<Used>,
    /// Shares of one processor: the center's and its load's.
    shares: Option<(f64, f64)>,
    latency: String,
}

impl Measured {
    fn new(value: f64, figure: impl Into<String>) -> Measured {
        Measured { value, figure: figure.into(), ..Measured::default() }
    }

    fn milliseconds(value: f64) -> Measured {
        Measured::new(value, format!("{value:.1} ms"))
    }

    fn seconds(value: f64) -> Measured {
        Measured::new(value, format!("{value:.2} s"))
    }
}

/// A row of the table.
#[derive(Debug, Clone)]
struct Row {
    /// The part that measures it.
    part: &'static str,
    name: String,
    target: Target,
    outcome: Outcome<Measured>,
}

/// A figure that is taken at each size of the fleet.
#[derive(Debug, Clone)]
struct Sized {
    name: &'static str,
    /// Devices, and milliseconds.
    points: Vec<(u64, f64)>,
}

/// A run.
struct Bench {
    folder: PathBuf,
    /// Small sizes and short times: to see that everything runs.
    quick: bool,
    part: &'static str,
    rows: Vec<Row>,
    sized: Vec<Sized>,
    begun: Instant,
}

impl Bench {
    /// Measures one row, and shows it. What fails is in its place.
    fn row(
        &mut self,
        name: impl Into<String>,
        target: Target,
        measure: impl FnOnce() -> Outcome<Measured>,
    ) -> Option<Measured> {
        let row = Row { part: self.part, name: name.into(), target, outcome: measure() };
        println!("  {:>5.0} s  {}", self.begun.elapsed().as_secs_f64(), row.line());
        self.rows.push(row.clone());
        row.outcome.ok()
    }

    /// One of two sizes.
    fn size(&self, whole: u64, quick: u64) -> u64 {
        if self.quick { quick } else { whole }
    }

    fn span(&self) -> Duration {
        Duration::from_secs(if self.quick { 2 } else { 8 })
    }
}

impl Row {
    fn is_met(&self) -> Option<bool> {
        self.outcome.as_ref().ok().and_then(|measured| self.target.is_met(measured.value))
    }

    fn line(&self) -> String {
        let said = match &self.outcome {
            Ok(measured) => measured.figure.clone(),
            Err(why) => format!("FAILED: {}", short(why)),
        };
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "",
        };
        format!("{}: {said}  [{}] {verdict}", self.name, self.target.words())
    }
}

/// What went wrong in one line: a command, and what it said.
fn short(why: &str) -> String {
    let lines: Vec<&str> = why.lines().take(3).map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("; ").replace(&root().display().to_string(), "")
}

/// Measures what `words` name, prints it, and writes docs/figures.md if it was everything.
pub fn run(words: &[&str]) -> Outcome {
    let (mut quick, mut parts, mut profiled) = (false, None, None);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        match *word {
            "--quick" => quick = true,
            "--rows" => {
                parts = Some(chosen(rest.next().ok_or("--rows needs names, as in --rows messages,plan")?)?)
            }
            "--profile" => profiled = Some(rest.next().ok_or("--profile needs the name of one part")?),
            other => return fail(format!("{other}: there are --quick, --rows NAME,... and --profile NAME")),
        }
    }
    if let Some(part) = profiled {
        return profile::run(part, quick);
    }
    let whole = parts.is_none() && !quick;
    let parts = parts.unwrap_or_else(|| PARTS.iter().collect());
    setup::packages(&[setup::BENCH, setup::BENCH_CENTER])?;
    build("release")?;
    let mut bench = Bench::new(quick)?;
    // As it is before the load of the bench itself.
    let heading = page::heading(quick)?;
    for (name, what, measure) in parts {
        println!("{name}: {what}");
        bench.part = name;
        if let Err(why) = measure(&mut bench) {
            bench.row(*what, Target::None, || Err(why));
        }
    }
    let text = page::page(&heading, &bench);
    println!("\n{text}");
    // What is missed, with how to look into it.
    for row in bench.rows.iter().filter(|row| row.is_met() == Some(false)) {
        println!(
            "missed: {}; where its time goes: cargo xtask bench center --profile {}",
            row.name, row.part
        );
    }
    let into = if whole { root().join("docs") } else { bench.folder.clone() };
    let write = |name: &str, text: &str| {
        let file = into.join(name);
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))
    };
    write("figures.md", &text)?;
    if !bench.sized.is_empty() {
        write("figures.svg", &chart::chart(&bench.sized))?;
    }
    println!("written: {}/figures.md", into.display());
    let failed = bench.rows.iter().filter(|row| row.outcome.is_err()).count();
    if failed == 0 { Ok(()) } else { fail(format!("{failed} rows could not be measured")) }
}

fn chosen(names: &str) -> Outcome<Vec<&'static Part>> {
    let known: Vec<&str> = PARTS.iter().map(|(name, ..)| *name).collect();
    let find = |name: &str| {
        let found = PARTS.iter().find(|(known, ..)| *known == name);
        found.ok_or(format!("`{name}` is no row of the bench; there are: {}", known.join(", ")))
    };
    names.split(',').map(|name| find(name.trim())).collect()
}

/// Builds the center and the simulator.
pub fn build(profile: &str) -> Outcome {
    let build = ["build", "--locked", "--profile", profile, "--package"];
    run_command(&mut cargo(&[&build[..], &["quecota-center"]].concat()))?;
    run_command(&mut cargo(&[&build[..], &["reference-device", "--bin", "fleet"]].concat()))
}

impl Bench {
    fn new(quick: bool) -> Outcome<Bench> {
        let folder = root().join("target/bench-center");
        let failed = |error| format!("{}: {error}", folder.display());
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(failed)?;
        }
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let (rows, sized) = (Vec::new(), Vec::new());
        Ok(Bench { folder, quick, part: "", rows, sized, begun: Instant::now() })
    }
}

/// The program as it is installed: `cargo install` builds the same profile.
fn binary(bench: &mut Bench) -> Outcome {
    bench.row("binary as installed", Target::AtMost(20.0, " MB"), || {
        let file = center::program();
        let bytes = std::fs::metadata(&file).map_err(|error| format!("{}: {error}", file.display()))?.len();
        let megabytes = bytes as f64 / 1e6;
        Ok(Measured::new(megabytes, format!("{megabytes:.1} MB")))
    });
    Ok(())
}

/// The compiler's version.
fn rustc() -> Outcome<String> {
    Ok(output(std::process::Command::new("rustc").arg("--version"))?.trim().to_owned())
}
