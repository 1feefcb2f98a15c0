//! `cargo xtask test`: all stages, or the ones named.

use crate::postgres::Cluster;
use crate::process::{Folder, Outcome, cargo, fail, root, run as run_command};
use crate::{browser, cross, deny, firmware, setup};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// A named part of the tests.
type Stage = (&'static str, fn() -> Outcome);

const STAGES: &[Stage] =
    &[("form", form), ("c", c), ("rust", rust), ("browser", browser::test), ("firmware", firmware::check)];
/// With `--long`, or by their names: hours, not minutes.
const LONG: &[Stage] = &[
    ("long", long),
    ("armv7", cross::arm_linux),
    ("targets", cross::bare_metal),
    ("powerpc", cross::big_endian),
    ("sanitized", cross::sanitized),
];

/// Lives of the center that its simulation plays with `--long`.
const CENTER_SEEDS: &str = "5000";

/// Names the folder of schemathesis.
const SCHEMATHESIS: &str = "QUECOTA_TEST_SCHEMATHESIS";

/// Names the file in which tests leave a line about what they counted.
const FIGURES: &str = "QUECOTA_FIGURES";

/// Runs the stages and says how long each took. `--long` adds what takes hours.
pub fn run(words: &[&str]) -> Outcome {
    let (flags, names): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| **word == "--long");
    let known: Vec<_> = STAGES.iter().chain(LONG).map(|(name, _)| *name).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(*name)) {
        return fail(format!("`{unknown}` is no stage; there are: {}", known.join(", ")));
    }
    let mut wanted = names;
    let rest: [&[Stage]; 2] =
        [if wanted.is_empty() { STAGES } else { &[] }, if flags.is_empty() { &[] } else { LONG }];
    wanted.extend(rest.into_iter().flatten().map(|(name, _)| *name));
    setup::packages(&[setup::DEMO, setup::FIRMWARE, setup::TARGETS, setup::BOARD, setup::TEST])?;
    let mut times = Vec::new();
    let mut failed = Vec::new();
    for (name, stage) in STAGES.iter().chain(LONG).filter(|(name, _)| wanted.contains(name)) {
        println!("\n=== {name} ===");
        let start = Instant::now();
        let result = stage();
        times.push((*name, start.elapsed(), result.is_ok()));
        if let Err(why) = result {
            eprintln!("{name}: {why}");
            failed.push(*name);
        }
    }
    summary(&times);
    if failed.is_empty() { Ok(()) } else { fail(format!("failed: {}", failed.join(", "))) }
}

fn summary(times: &[(&str, Duration, bool)]) {
    println!("\n{:<10} {:>7}", "stage", "seconds");
    for (name, time, passed) in times {
        println!("{name:<10} {:>7.1}  {}", time.as_secs_f64(), if *passed { "passed" } else { "FAILED" });
    }
    let passed = times.iter().filter(|(_, _, passed)| *passed).count();
    println!("stages: {passed} passed, {} failed", times.len() - passed);
}

/// Formatting, which room uses which, lints, rustdoc's too, the C headers, which build.rs compares with the sources, and what
/// the dependencies are.
fn form() -> Outcome {
    run_cargo(&["fmt", "--all", "--check"])?;
    run_cargo(&["test", "--quiet", "--locked", "--package", "xtask"])?;
    run_cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    let mut docs =
        cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--locked", "--quiet"]);
    // Private items are documented too, so links to them lead somewhere.
    run_command(docs.env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links"))?;
    deny::check()
}

/// The library and the examples by CMake, and the C tests.
fn c() -> Outcome {
    let build = c_build()?;
    run_command(Command::new("ctest").current_dir(build).args(["--output-on-failure", "--timeout", "120"]))
}

/// Every Rust test; those end to end use the C examples, a broker and PostgreSQL.
fn rust() -> Outcome {
    let built = c_build()?;
    let port_examples = c_build_without_host()?;
    let cluster = Cluster::start()?;
    let s3_server = setup::s3_server()?;
    let oidc_provider = setup::oidc_provider()?;
    let api_tools = setup::api_tools()?;
    let figures = Folder::new("figures")?;
    let counted = figures.path().join("counted");
    let mut tests = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    tests.env("QUECOTA_TEST_POSTGRES", cluster.url()).env(FIGURES, &counted);
    tests.env("QUECOTA_TEST_S3", s3_server).env("QUECOTA_TEST_OIDC", oidc_provider);
    tests.env("QUECOTA_TEST_API_TOOLS", api_tools).env(SCHEMATHESIS, setup::schemathesis()?);
    tests.env("QUECOTA_EXAMPLES", &built).env("QUECOTA_PORT_EXAMPLES", port_examples);
    tests.env("QUECOTA_C_TESTS", built.join("tests"));
    let outcome = run_command(&mut tests);
    show(&counted);
    outcome.and(core_alone())
}

/// Core as an image has it that does without every feature, which is other code in places: SHA-256 for passwords alone, no lists.
fn core_alone() -> Outcome {
    println!("core without its features:");
    run_cargo(&["test", "--package", "quecota-core", "--no-default-features", "--locked", "--no-fail-fast"])
}

/// The simulator's and the center's tests that take too long for every day, each named as it starts; more lives of the center
/// than every day has time for.
fn long() -> Outcome {
    println!("every test that is marked \"long\"; each says what it does as it ends");
    let figures = Folder::new("figures")?;
    let counted = figures.path().join("counted");
    let packages =
        ["test", "--package", "test-platform", "--package", "quecota-center", "--locked", "--no-fail-fast"];
    let mut tests = cargo(&packages);
    tests
        .env("QUECOTA_TEST_S3", setup::s3_server()?)
        .env(SCHEMATHESIS, setup::schemathesis()?)
        .env(FIGURES, &counted);
    let outcome = run_command(tests.args(["--", "--ignored", "--nocapture"]));
    show(&counted);
    let mut lives = cargo(&["test", "--package", "quecota-center", "--locked", "--test", "simulation"]);
    lives.args(["--", "--nocapture"]).env("QUECOTA_SEEDS", CENTER_SEEDS);
    outcome.and(run_command(&mut lives))
}

/// What the tests counted, sorted so that what belongs together stands together.
fn show(counted: &Path) {
    // No test that counts has run, or it failed and said why.
    let Ok(text) = std::fs::read_to_string(counted) else { return };
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    println!("\nwhat the tests counted");
    for line in lines {
        println!("  {line}");
    }
}

/// Builds what `CMakeLists.txt` describes; gives the folder.
pub fn c_build() -> Outcome<PathBuf> {
    c_build_with("cmake", &[])
}

/// The same with a library that heeds `QUECOTA_FAULTS`, in a folder of its own.
pub fn c_build_with_faults() -> Outcome<PathBuf> {
    // Not optimized: a bad world is where overflow checks and assertions may find something.
    c_build_with(
        "cmake-faults",
        &["-DQUECOTA_FEATURES=host,faults", "-DQUECOTA_PROFILE=dev", "-DQUECOTA_TESTS=OFF"],
    )
}

/// The examples that bring a platform of their own, with a library that has none.
fn c_build_without_host() -> Outcome<PathBuf> {
    c_build_with("cmake-port", &["-DQUECOTA_FEATURES=", "-DQUECOTA_TESTS=OFF"])
}

/// The same with further options, in a folder of its own.
pub fn c_build_with(folder: &str, options: &[&str]) -> Outcome<PathBuf> {
    let build = root().join("target").join(folder);
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(root()).arg("-B").arg(&build).args(["-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]);
    configure.args(options);
    run_command(configure.stdout(std::process::Stdio::null()))?;
    run_command(Command::new("cmake").arg("--build").arg(&build))?;
    Ok(build)
}

fn run_cargo(arguments: &[&str]) -> Outcome {
    run_command(&mut cargo(arguments))
}
