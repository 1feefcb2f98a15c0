//! What the dependencies are: licences, sources, and what is known against them.

use crate::process::{Outcome, root, run};
use crate::setup;
use std::process::Command;

/// Licences and sources always; advisories where their database can be reached.
pub fn check() -> Outcome {
    let programs = setup::checkers()?;
    let program = |name: &str| {
        let mut command = Command::new(programs.join(name));
        command.current_dir(root());
        command
    };
    let deny = |words: &[&str]| {
        let mut command = program("cargo-deny");
        // What is not fatal is nobody's to read in every run.
        command.args(["--locked", "--log-level", "error"]).args(words);
        command
    };
    run(deny(&["check", "--hide-inclusion-graph"])
        .args(["--allow", "warnings"])
        .args(["bans", "licenses", "sources"]))?;
    if run(&mut deny(&["fetch", "db"])).is_err() {
        println!("advisories: not checked, their database cannot be reached");
        return Ok(());
    }
    run(&mut deny(&["check", "advisories"]))?;
    // The same database by another program, with the same exceptions.
    run(program("cargo-audit").args(["audit", "--quiet", "--ignore", "RUSTSEC-2023-0071"]))
}
