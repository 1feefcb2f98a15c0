//! `cargo xtask`: the project's commands, by the standard library alone, so that they start at once on a machine that has
//! nothing yet.

mod bare_metal_page;
mod bench;
mod bench_center;
mod bench_console;
mod board;
mod board_bench;
mod browser;
#[path = "../../testing/fuzz/src/corpus.rs"]
mod corpus;
mod cross;
mod cut_power;
mod demo;
mod demo_console;
mod demo_scale;
mod deny;
mod firmware;
mod fleet_rows;
#[path = "../../testing/free_port.rs"]
mod free_port;
mod fuzz;
mod image;
mod incidents;
mod machine;
mod postgres;
mod process;
mod setup;
mod simulate;
mod size;
mod stack;
mod test;
mod throttled_proxy;
mod toolchain;

use process::{Outcome, fail};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask demo      a C application is upgraded by a plan of a local center, step by step
cargo xtask demo --board [--seed N]   a Cortex-M3 and a Cortex-M33 in QEMU upgrade themselves and lose their power ten times
cargo xtask demo --console   a center with a small living fleet, to look at its pages until Ctrl-C
cargo xtask demo --cut-power [--seed N]   the same, killed at 20 random moments of the upgrade; then with a full disk, a
                      damaged image and a server that is away for two minutes
cargo xtask demo --faults [TEXT]   the same in a bad world, and with those three; TEXT such as
                      drop-link=2%,stall=1%,slow=20kB/s,seed=7
cargo xtask demo --scale   two centers behind haproxy on one PostgreSQL; one is killed in the middle of a plan
cargo xtask test      every test: form, Rust, C, servers, bare metal (installs what is missing)
                      --long adds hours of power cuts and faults, and other machines; names of stages (form, c, rust, browser,
                      firmware; long, armv7, targets, powerpc, sanitized) run these alone
cargo xtask screenshots   pictures of the console's main pages, into docs/console
cargo xtask screenshots all   pictures of every page in both languages, light and dark, wide and narrow, into target/screenshots
cargo xtask bench     instructions per byte of a download, beside its digests alone; erases and writes; instructions of
                      single steps on a Cortex-M3 in QEMU (--board: these alone)
cargo xtask bench console   how soon the console's pages are there, with a plan of a million devices
cargo xtask bench center   what a center does on this machine, beside its load and beside nginx, into docs/figures.md: about
                      eight minutes after the build. --quick: small sizes; --rows NAME,...: some of it;
                      --profile NAME: where the time goes, at whole sizes too
cargo xtask simulate [--devices N] [--seed N]   a center and a simulated fleet of two thousand devices, with a live picture of it
cargo xtask fuzz [target] [--minutes N]   fuzz targets guided by coverage, ten minutes each
cargo xtask deny      licences, sources and known faults of what the programs are built from
cargo xtask size      flash, RAM and stack of libquecota.a on a Cortex-M4, beside what they are to be; with names of rows
                      (native, application, lite, core, device, init, linux ...) these alone, which is quicker;
                      --all: with each feature alone and with none, and on every other target; --write: into
                      docs/sizes.md
cargo xtask headers   writes the C headers in include/ from the sources
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match command(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

fn command(words: &[&str]) -> Outcome {
    match words {
        ["demo"] => demo::run(None),
        ["demo", "--board"] => board::demo(None),
        ["demo", "--board", "--seed", seed] => board::demo(Some(whole_number(seed)?)),
        ["demo", "--console"] => demo_console::run(),
        ["demo", "--faults"] => demo::run(Some(demo::FAULTS)),
        ["demo", "--faults", text] => demo::run(Some(text)),
        ["demo", "--scale"] => demo_scale::run(),
        ["demo", "--cut-power"] => cut_power::run(None),
        ["demo", "--cut-power", "--seed", seed] => cut_power::run(Some(whole_number(seed)?)),
        ["test", stages @ ..] => test::run(stages),
        ["fuzz", words @ ..] => fuzz::run(words),
        ["screenshots"] => browser::screenshots(),
        ["screenshots", "all"] => browser::all_screenshots(),
        ["bench"] => bench::run(),
        ["bench", "--board"] => board_bench::run(),
        ["bench", "center", words @ ..] => bench_center::run(words),
        ["bench", "console"] => bench_console::run(),
        ["simulate", words @ ..] => simulate::run(words),
        ["deny"] => deny::check(),
        ["size", words @ ..] => {
            setup::packages(&[setup::DEMO, setup::FIRMWARE, setup::BOARD, setup::LONG])?;
            match words {
                ["--all"] | ["--all", "--write"] => size::all(words.len() > 1),
                rows => size::print(rows),
            }
        }
        // build.rs makes them.
        ["headers"] => process::run(
            process::cargo(&["check", "--locked", "--package", "quecota"]).env("QUECOTA_HEADERS", "write"),
        ),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => fail(format!("`{}` is no command; there are:\n{HELP}", words.join(" "))),
    }
}

fn whole_number(seed: &str) -> Outcome<u64> {
    seed.parse().map_err(|_| format!("--seed {seed}: must be a whole number, as a run prints it"))
}
