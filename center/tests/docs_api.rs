//! docs/api.md: its commands are run, and print what the page shows.

mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::Center;

#[test]
fn the_page_does_what_it_says() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/api.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let center = Center::start(&folder.path().join("quecota-data"));
    let mut said = String::new();
    let mut ran = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (kind, lines) = block.split_once('\n').unwrap();
        if kind == "sh" {
            let mut shell = Command::new("sh");
            shell.args(["-e", "-c", lines]).current_dir(folder.path()).stdin(Stdio::null());
            let output = shell.env("QUECOTA_SERVER", format!("http://{}", center.http)).output().unwrap();
            assert!(output.status.success(), "{lines}: {}", String::from_utf8_lossy(&output.stderr));
            said = String::from_utf8(output.stdout).unwrap();
            ran += 1;
            continue;
        }
        for line in lines.lines() {
            assert!(said.contains(line), "docs/api.md: {line:?} is not in\n{said}");
        }
    }
    assert_eq!(ran, 5);
}
