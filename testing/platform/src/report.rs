//! What long tests counted, for the reader of a run: on stderr at once, and once more in the summary that
//! `cargo xtask test` prints at its end.

use std::fmt::Arguments;
use std::fs::OpenOptions;
use std::io::Write;

/// The file that the summary is made of.
pub const FILE: &str = "QUECOTA_FIGURES";

/// One line. Past the test harness, which keeps what a passing test prints.
pub fn line(text: Arguments<'_>) {
    let line = format!("{text}\n");
    // A closed stderr, or no file, is no reason to fail.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(path) = std::env::var_os(FILE) {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
