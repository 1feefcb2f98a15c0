//! What two hundred devices say, each again as soon as it is acknowledged.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::center::{Center, IMAGE};
use super::load::{Talk, talk};
use super::{Bench, Measured, Target};
use crate::postgres::Cluster;
use crate::process::{Outcome, run};

const DEVICES: u64 = 200;
/// First devices of those that are offered a plan: they are not asked for anything else.
const OFFERED: u64 = 10_000;
const SHIM: &str = include_str!("shim.c");
const RATE: &str = " a second";

impl Bench {
    /// A row of messages; the 99th percentile is given besides.
    fn messages(
        &mut self,
        center: &Center,
        name: &str,
        (message, first): (&'static str, u64),
        rate: Option<u32>,
        target: Target,
    ) -> Option<(Measured, f64)> {
        let span = self.span();
        let mut slowest = 0.0;
        let measured = self.row(name, target, || {
            let (measured, most) =
                talk(&center.served, &Talk { message, devices: DEVICES, first, span, rate })?;
            slowest = most;
            // At a rate that is given the latency is the figure.
            Ok(match rate {
                None => measured,
                Some(_) => Measured {
                    value: most,
                    figure: format!("p99 {most:.1} ms, {}", measured.figure),
                    ..measured
                },
            })
        })?;
        Some((measured, slowest))
    }

    /// The rows of the 99th percentile, of bytes written and of context switches, beside the one that they come from.
    fn beside(&mut self, of: Option<(Measured, f64)>) {
        let Some((measured, slowest)) = of else { return };
        self.row("  their p99", Target::AtMost(50.0, " ms"), || Ok(Measured::milliseconds(slowest)));
        let Some(used) = measured.used else { return };
        let written = used.written / measured.count / 1e3;
        let words = format!("{written:.1} KB");
        self.row("  written for each", Target::AtMost(4.0, " KB"), || Ok(Measured::new(written, words)));
        let switches = used.switches / measured.count;
        let words = format!("{switches:.1}");
        self.row("  context switches for each", Target::AtMost(10.0, ""), || {
            Ok(Measured::new(switches, words))
        });
    }
}

/// Everything that devices say, over SQLite.
pub fn sqlite(bench: &mut Bench) -> Outcome {
    let folder = bench.folder.clone();
    let center = Center::start(&folder.join("messages"))?;
    let choices = center.product(&folder, &["MCU", "OTHER"], "2", IMAGE)?;
    let (mcu, other) = (&choices[0], &choices[1]);
    bench.messages(&center, "battery reports", ("battery", 0), None, Target::AtLeast(5_000.0, RATE));
    bench.messages(&center, "version reports", ("version", 0), None, Target::AtLeast(5_000.0, RATE));
    bench.messages(&center, "requests, no plan", ("request", 0), None, Target::AtLeast(3_300.0, RATE));
    bench.messages(
        &center,
        "requests at half the target",
        ("request", 0),
        Some(1_650),
        Target::AtMost(10.0, " ms p99"),
    );
    // Nothing of these plans is for the devices: they have no such component.
    let mut with_one = None;
    for plans in 1..=10 {
        center.active(&format!("other {plans}"), other, &[])?;
        let name = format!("requests with nothing new, {plans} active plans");
        match plans {
            1 => {
                let row =
                    bench.messages(&center, &name, ("request", 0), None, Target::AtLeast(3_300.0, RATE));
                with_one = row.map(|(measured, _)| measured.value);
            }
            5 | 10 => {
                // Nine tenths of it: two runs differ by less.
                let target = with_one.map_or(Target::None, |one| Target::AtLeast(one * 0.9, RATE));
                bench.messages(&center, &name, ("request", 0), None, target);
            }
            _ => {}
        }
    }
    center.active("all", mcu, &[])?;
    let status =
        bench.messages(&center, "status reports", ("status", OFFERED), None, Target::AtLeast(3_300.0, RATE));
    bench.beside(status);
    center.stop();
    Ok(())
}

/// The shim that makes the disk slow, or moves the clock: see its head.
pub fn shim(folder: &Path) -> Outcome<PathBuf> {
    let (source, library) = (folder.join("shim.c"), folder.join("shim.so"));
    std::fs::write(&source, SHIM).map_err(|error| format!("{}: {error}", source.display()))?;
    let mut compile = Command::new("cc");
    run(compile
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"])
        .arg(&library)
        .arg(&source)
        .arg("-ldl"))?;
    Ok(library)
}

/// Reports on a disk that takes 5 ms for each sync.
pub fn slow_disk(bench: &mut Bench) -> Outcome {
    let folder = bench.folder.clone();
    let shim = shim(&folder)?;
    let center = Center::start_with(&folder.join("disk"), |command| {
        command.env("LD_PRELOAD", shim).env("QUECOTA_BENCH_SYNC_US", "5000");
    })?;
    let choices = center.product(&folder, &["MCU"], "2", IMAGE)?;
    bench.messages(
        &center,
        "battery reports, 5 ms a sync",
        ("battery", 0),
        None,
        Target::AtLeast(2_000.0, RATE),
    );
    center.active("all", &choices[0], &[])?;
    let first = ("status", OFFERED);
    bench.messages(&center, "status reports, 5 ms a sync", first, None, Target::AtLeast(2_000.0, RATE));
    center.stop();
    Ok(())
}

/// The same rows over PostgreSQL, which shares the processors with the center and the load.
pub fn postgres(bench: &mut Bench) -> Outcome {
    let folder = bench.folder.clone();
    let cluster = Cluster::start()?;
    let center = Center::start_with(&folder.join("postgres"), |command| {
        command
            .args(["--center-id", "bench", "--database", cluster.url(), "--packages"])
            .arg(folder.join("packages"));
        command.env("QUECOTA_SEAL_KEY", "5c".repeat(32));
    })?;
    let choices = center.product(&folder, &["MCU", "OTHER"], "2", IMAGE)?;
    let (mcu, other) = (&choices[0], &choices[1]);
    bench.messages(
        &center,
        "PostgreSQL: battery reports",
        ("battery", 0),
        None,
        Target::AtLeast(6_000.0, RATE),
    );
    bench.messages(
        &center,
        "PostgreSQL: version reports",
        ("version", 0),
        None,
        Target::AtLeast(6_000.0, RATE),
    );
    center.active("other", other, &[])?;
    let name = "PostgreSQL: requests with nothing new";
    bench.messages(&center, name, ("request", 0), None, Target::AtLeast(3_300.0, RATE));
    center.active("all", mcu, &[])?;
    let name = "PostgreSQL: status reports";
    bench.messages(&center, name, ("status", OFFERED), None, Target::AtLeast(3_300.0, RATE));
    center.stop();
    Ok(())
}
