//! `cargo xtask simulate`: a center of the release build and a simulated fleet of thousands, with a live picture of how far its
//! devices are.

use std::process::Command;

use crate::bench_center::{self, Center, IMAGE, PRODUCT, SECRET};
use crate::process::{Folder, Outcome, fail, run as run_command};
use crate::setup;

/// A fleet as there are in the field: SDKs, versions, batteries, and devices of which some refuse or fail.
const FLEET: &str = include_str!("fleet.txt");
const WORDS: &str = "--devices N, --seed N, --within SECONDS, --fleet FILE";

pub fn run(words: &[&str]) -> Outcome {
    let (mut devices, mut within, mut more) = ("2000", "600", Vec::new());
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let value = rest.next().ok_or(format!("{word} needs a value; there are: {WORDS}"))?;
        match *word {
            "--devices" => devices = value,
            "--within" => within = value,
            "--seed" | "--fleet" => more.extend([*word, *value]),
            other => return fail(format!("{other}: there are {WORDS}")),
        }
    }
    setup::packages(&[setup::DEMO])?;
    bench_center::build("release")?;
    let folder = Folder::new("simulate")?;
    let fleet = folder.path().join("fleet.txt");
    std::fs::write(&fleet, FLEET).map_err(|error| format!("{}: {error}", fleet.display()))?;
    let fleet = fleet.display().to_string();
    if !more.contains(&"--fleet") {
        more.extend(["--fleet", &fleet]);
    }
    let center = Center::start(&folder.path().join("center"))?;
    let choices = center.product(folder.path(), &["MCU"], "2", IMAGE)?;
    let plan = center.active("to version 2", &choices[0], &[])?;
    let mut command = Command::new(bench_center::fleet_program());
    command.args([
        "run",
        "--server",
        &center.served.mqtt,
        "--product-key",
        PRODUCT,
        "--product-secret",
        SECRET,
    ]);
    command.args(["--devices", devices, "--within", within, "--calm", "20"]).args(more);
    let ended = run_command(&mut command);
    println!("\nwhat the center says:");
    print!("{}", center.run(&["plan", "show", &plan])?);
    center.stop();
    ended
}
