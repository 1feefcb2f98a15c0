//! Where the time of a part of the bench goes: the center with names and lines, sampled while the part runs.
//!
//! By `perf` where there is one that may look; else a debugger stops the process some hundred times.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::center::with_symbols;
use super::{Bench, Outcome, build, chosen};
use crate::process::{fail, output};
use crate::setup;

/// How many functions are shown.
const HOTTEST: usize = 25;
/// Beginnings of the names of the center's threads.
const THREADS: [&str; 3] = ["quecota", "tokio", "sqlx"];
/// Time between two looks of the debugger.
const PAUSE: Duration = Duration::from_millis(200);

pub fn run(name: &str, quick: bool) -> Outcome {
    let parts = chosen(name)?;
    let [(name, what, measure)] = parts[..] else { return fail("--profile takes one part") };
    setup::packages(&[setup::BENCH, setup::BENCH_CENTER])?;
    build("symbols")?;
    with_symbols();
    println!("{name}: {what}");
    let mut bench = Bench::new(quick)?;
    bench.part = name;
    let samples = bench.folder.join("perf.data");
    let stop = AtomicBool::new(false);
    let (done, stacks) = std::thread::scope(|scope| {
        let sampling = scope.spawn(|| sample(&samples, &stop));
        let done = measure(&mut bench);
        stop.store(true, Ordering::Relaxed);
        (done, sampling.join().unwrap_or_else(|_| fail("the sampler panicked")))
    });
    println!("\nthe hottest functions of the center, by samples:");
    for line in stacks? {
        println!("  {line}");
    }
    done
}

/// Samples every center that runs, until `stop`.
fn sample(file: &std::path::Path, stop: &AtomicBool) -> Outcome<Vec<String>> {
    let perf = Command::new("perf")
        .args(["record", "--quiet", "--all-cpus", "--freq", "499", "--output"])
        .arg(file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Ok(mut perf) = perf {
        std::thread::sleep(Duration::from_millis(500));
        if matches!(perf.try_wait(), Ok(None)) {
            while !stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(100));
            }
            output(Command::new("kill").args(["-s", "INT", &perf.id().to_string()]))?;
            perf.wait().map_err(|error| format!("perf: {error}"))?;
            return report(file);
        }
    }
    println!("  perf may not look here: a debugger does");
    debugger(stop)
}

/// The functions of the center's threads, by their samples.
fn report(file: &std::path::Path) -> Outcome<Vec<String>> {
    let words =
        ["report", "--stdio", "--no-children", "--percent-limit", "0.3", "--sort", "comm,symbol", "--input"];
    let said = output(Command::new("perf").args(words).arg(file).stderr(Stdio::null()))?;
    let is_center = |line: &&str| {
        let comm = line.split_whitespace().nth(1).unwrap_or_default();
        THREADS.iter().any(|thread| comm.starts_with(thread))
    };
    let trimmed =
        |line: &str| line.split_whitespace().filter(|word| *word != "-").collect::<Vec<_>>().join(" ");
    Ok(said.lines().filter(is_center).take(HOTTEST).map(trimmed).collect())
}

/// The functions at the top of each thread's stack that does not wait, counted.
fn debugger(stop: &AtomicBool) -> Outcome<Vec<String>> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) && begun.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(PAUSE);
        let Ok(ids) = output(Command::new("pgrep").args(["--newest", "--full", "quecota-center serve"]))
        else {
            continue;
        };
        let id = ids.trim();
        let mut gdb = Command::new("gdb");
        gdb.args(["--batch", "--nx", "--pid", id, "--eval-command", "thread apply all backtrace 6"]);
        // A process that ends meanwhile has no stacks.
        let Ok(said) = output(gdb.stderr(Stdio::null())) else { continue };
        for stack in said.split("\nThread ").skip(1) {
            let functions: Vec<&str> = stack.lines().filter_map(function).take(3).collect();
            let waits = ["epoll_wait", "futex", "pthread_cond", "syscall", "nanosleep"];
            if functions.first().is_some_and(|top| !waits.iter().any(|wait| top.contains(wait))) {
                *counts.entry(functions.join(" < ")).or_default() += 1;
            }
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(counts.into_iter().take(HOTTEST).map(|(stack, count)| format!("{count:>5} {stack}")).collect())
}

/// The function of a line of a backtrace.
fn function(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix('#')?.split_once(char::is_whitespace)?.1.trim_start();
    let name = rest.split_once(" in ").map_or(rest, |(_, name)| name);
    name.split([' ', '(']).next()
}
