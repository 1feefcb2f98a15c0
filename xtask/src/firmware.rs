//! The bare-metal stage of the tests: the library on every target, without a heap and without a way to panic; its sizes; the boards.

use crate::process::{Outcome, run};
use crate::toolchain::Toolchain;
use crate::{board, size};
use std::process::Command;

/// Targets that are built every day; `thumbv7m` and `thumbv8m.main` run as boards in QEMU, too.
const BUILT: &[&str] = &["thumbv7em-hf", "thumbv8m.main", "armv7r", "riscv32imac"];

/// `cargo xtask test firmware`.
pub fn check() -> Outcome {
    size::check()?;
    by_cmake(&Toolchain::named("thumbv7em")?, &[])?;
    for name in BUILT {
        println!("no panic on {name}:");
        // A program in which a panic can be reached does not link.
        by_cmake(&Toolchain::named(name)?, &["-DQUECOTA_FEATURES=full,firmware-gate"])?;
    }
    board::check()
}

/// `tests/bare_metal` by a toolchain file of `cmake/`, as a user would.
fn by_cmake(toolchain: &Toolchain, options: &[&str]) -> Outcome {
    let source = crate::process::root().join("tests").join("bare_metal");
    let build = toolchain.cmake(&source, &format!("bare-metal-{}", toolchain.name), options)?;
    run(Command::new("ctest").current_dir(build).args(["--output-on-failure", "--no-tests=error"]))
}
