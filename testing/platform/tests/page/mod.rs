//! Pages that say what the program does, row by row, each with the tests that show it: a name that is no test, or a row
//! without one, fails.

use std::path::{Path, PathBuf};

/// The repository: every crate with such a page lies one folder below it.
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("Cargo.lock").exists()).unwrap_or(package).to_path_buf()
}

/// A `#[test]` of Rust, a test inside `proptest!`, a function of a C test, or a test of CMake.
pub fn exists(file: &str, name: &str) -> bool {
    let Ok(source) = std::fs::read_to_string(root().join(file)) else { return false };
    let lines: Vec<&str> = source.lines().collect();
    lines.iter().enumerate().any(|(at, line)| {
        if file.ends_with("CMakeLists.txt") {
            let line = line.trim_start();
            line.starts_with(&format!("add_test(NAME {name}")) || line.starts_with(&format!("c_test({name} "))
        } else if file.ends_with(".c") || file.ends_with(".cpp") {
            line.contains(&format!(" {name}(")) && !line.starts_with(' ') && !line.ends_with(';')
        } else {
            let mut attributes = lines[..at].iter().rev().take_while(|line| line.trim().starts_with("#["));
            line.contains(&format!("fn {name}("))
                && attributes.any(|line| line.contains("test]") || line.contains("test("))
        }
    })
}

/// Every row of a table whose last column is headed "shown by" names tests that exist, and there are `least` such rows.
pub fn check(page: &str, least: usize) {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let (mut rows, mut names) = (0, 0);
    let mut wrong = Vec::new();
    let mut shows_tests = false;
    for line in text.lines() {
        let named: Vec<(&str, &str)> =
            line.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect();
        names += named.len();
        let missing = named.iter().filter(|(file, name)| !exists(file, name));
        wrong.extend(missing.map(|(file, name)| format!("{file}::{name} does not exist")));
        if !line.starts_with('|') || line.ends_with("shown by |") {
            shows_tests = line.ends_with("shown by |");
        } else if shows_tests && !line.starts_with("| ---") {
            rows += 1;
            let shown_by = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
            if !shown_by.contains("::") {
                wrong.push(format!("no test is named in: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{page}:\n{}", wrong.join("\n"));
    assert!(rows > least && names > rows, "{rows} rows, {names} tests: is it the page?");
    println!("{page}: {rows} rows name {names} tests");
}

/// Compares the table between two marks of the page with the one made from the code, or writes it there with `RENEW_DOCS=1`.
pub fn check_table(page: &str, mark: &str, made: &str) {
    let path = root().join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let (above, rest) = text.split_once(&format!("<!-- {mark} -->\n")).expect("the mark above the table");
    let (table, below) = rest.split_once(&format!("<!-- end of {mark} -->")).expect("the mark below it");
    if table != made && std::env::var_os("RENEW_DOCS").is_some() {
        let renewed = format!("{above}<!-- {mark} -->\n{made}<!-- end of {mark} -->{below}");
        std::fs::write(&path, renewed).unwrap();
        return;
    }
    assert!(table == made, "{page}: RENEW_DOCS=1 renews the table; the code says\n{made}");
}
