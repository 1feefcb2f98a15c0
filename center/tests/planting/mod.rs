//! Plants a bug and runs a test of this program again: it must find it.

use std::process::Command;

/// Fails unless `test` fails in a process with `bug`, and says one of `words`.
pub fn is_caught(bug: &str, test: &str, words: &[&str]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--include-ignored"])
        .env("QUECOTA_PLANT", bug)
        // What a test that fails on purpose counted is nobody's figure.
        .env_remove("QUECOTA_FIGURES")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{bug} was not caught by {test}:\n{said}");
    let found = said.lines().find(|line| words.iter().any(|word| line.contains(word)));
    let found = found.unwrap_or_else(|| panic!("{bug}: {test} failed for another reason:\n{said}"));
    println!("{bug}: caught by {test}: {}", found.trim());
}
