//! The console in a browser: its tests, and its pictures for the documentation.

use crate::process::{Outcome, cargo, root, run as run_command};
use crate::{setup, test};
use std::path::PathBuf;
use std::process::Command;

/// By then every test of the browser is over.
const DEADLINE_SECONDS: &str = "900";

/// What the scripts in `center/tests/browser` need: Chromium, Node.js, and their libraries from npm, as locked there.
fn prepare() -> Outcome<Command> {
    setup::packages(&[setup::BROWSER])?;
    let folder = folder();
    setup::npm(&folder, "playwright-core")?;
    let packages = ["build", "--locked", "--package", "quecota-center", "--package", "reference-device"];
    run_command(&mut cargo(&packages))?;
    // A device of the walk is a C application.
    let examples = test::c_build()?;
    let mut command = Command::new("timeout");
    command.args(["--kill-after", "10", DEADLINE_SECONDS, "node"]).current_dir(folder);
    command.env("QUECOTA_PROGRAMS", root().join("target/debug")).env("QUECOTA_EXAMPLES", examples);
    Ok(command)
}

fn folder() -> PathBuf {
    root().join("center/tests/browser")
}

/// Every test of the console. One file after the other: each has a center and a browser of its own.
pub fn test() -> Outcome {
    let mut command = prepare()?;
    let files = ["walk.test.mjs", "first_upgrade.test.mjs", "access.test.mjs", "every_page.test.mjs"];
    run_command(command.args(["--test", "--test-concurrency=1"]).args(files))
}

/// Pictures of the main pages, into `docs`.
pub fn screenshots() -> Outcome {
    let mut command = prepare()?;
    run_command(command.arg("screenshots.mjs").arg(root().join("docs/console")))
}

/// Pictures of every page in every view, to look at.
pub fn all_screenshots() -> Outcome {
    let folder = root().join("target/screenshots");
    let mut command = prepare()?;
    run_command(command.arg("screenshots.mjs").arg(&folder).arg("all"))
}
