//! `cargo xtask bench`: what a download costs beside its digests.

use crate::process::{Outcome, cargo, fail, output, root, run as run_command};
use crate::{board_bench, setup};
use std::process::Command;

/// Of the image.
const MEGABYTES: u64 = 10;
const MEGABYTE: u64 = 1024 * 1024;
/// The whole pipeline costs at most so much more than its digests.
const RATIO: f64 = 1.10;

/// Counts instructions by callgrind, and prints them with the machine.
pub fn run() -> Outcome {
    setup::packages(&[setup::BENCH])?;
    run_command(&mut cargo(&["build", "--locked", "--release", "--package", "bench"]))?;
    println!("{}", machine());
    println!(
        "a {MEGABYTES} MB image from memory to memory flash: 4 KB blocks, 256-byte pages, 4096 bytes at a time\n"
    );
    println!("{:<26} {:>12} {:>12} {:>7}", "instructions per byte", "pipeline", "digests", "ratio");
    let mut worst: f64 = 0.0;
    let mut flash = String::new();
    for (name, digests) in [("MD5, CRC-32", &[][..]), ("MD5, CRC-32, SHA-256", &["sha256"][..])] {
        let large = Run::of(MEGABYTES * MEGABYTE, digests)?;
        // The start of the program, and the session, fall out.
        let small = Run::of(MEGABYTE, digests)?;
        let bytes = ((MEGABYTES - 1) * MEGABYTE) as f64;
        let pipeline = large.pipeline.saturating_sub(small.pipeline) as f64 / bytes;
        let alone = large.digests.saturating_sub(small.digests) as f64 / bytes;
        let ratio = pipeline / alone;
        println!("{name:<26} {pipeline:>12.2} {alone:>12.2} {ratio:>7.3}");
        worst = worst.max(ratio);
        flash = large.flash;
    }
    println!("\n{:<26} {:>12} {:>12} {:>12}", "per MB", "erases", "writes", "bytes");
    for line in flash.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [area, numbers @ ..] = &words[..] else { continue };
        let per_megabyte = |text: &&str| {
            text.parse().map_or(String::new(), |all: f64| format!("{:.1}", all / MEGABYTES as f64))
        };
        let numbers: Vec<_> =
            numbers.iter().map(per_megabyte).map(|number| format!("{number:>12}")).collect();
        println!("{area:<26} {}", numbers.join(" "));
    }
    if worst > RATIO {
        return fail(format!("the pipeline costs {worst:.3} times its digests; the target is {RATIO:.2}"));
    }
    board_bench::run()
}

/// One size with one set of digests.
struct Run {
    pipeline: u64,
    digests: u64,
    flash: String,
}

impl Run {
    fn of(bytes: u64, wanted: &[&str]) -> Outcome<Run> {
        let bytes = bytes.to_string();
        let (digests, sums) = instructions(&[&["digests", &bytes], wanted].concat())?;
        let sums: Vec<&str> = sums.split_whitespace().collect();
        let (pipeline, flash) = instructions(&[&["pipeline", &bytes], &sums[..]].concat())?;
        let (file, _) = instructions(&["file", &bytes])?;
        Ok(Run { pipeline: pipeline.saturating_sub(file), digests: digests.saturating_sub(file), flash })
    }
}

/// How many it takes, and what it prints.
fn instructions(arguments: &[&str]) -> Outcome<(u64, String)> {
    let profile = root().join("target/callgrind.out");
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", profile.display()));
    command.arg(root().join("target/release/bench")).args(arguments);
    let printed = output(&mut command)?;
    let text =
        std::fs::read_to_string(&profile).map_err(|error| format!("{}: {error}", profile.display()))?;
    let total =
        text.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")));
    match total.and_then(|total| total.trim().parse().ok()) {
        Some(total) => Ok((total, printed)),
        None => fail(format!("{} holds no total", profile.display())),
    }
}

/// Where the figures are from.
fn machine() -> String {
    let said = |program: &str, arguments: &[&str]| {
        output(Command::new(program).args(arguments)).map_or(String::new(), |said| said.trim().to_owned())
    };
    let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    format!(
        "{}, {}, {}",
        model.map_or("processor unknown", |(_, model)| model),
        said("rustc", &["--version"]),
        said("valgrind", &["--version"])
    )
}
