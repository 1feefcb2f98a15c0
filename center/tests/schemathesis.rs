//! The served API against its own description: schemathesis makes requests of every operation, good and bad, as each role and
//! as nobody, and every answer must be one that is described. On both databases.

mod own_postgres;
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use own_postgres::Postgres;
use support::Center;

/// Requests of each operation that are made by chance; `QUECOTA_API_EXAMPLES` says another number.
const EXAMPLES: &str = "2";

fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("QUECOTA_TEST_API_TOOLS").expect(
        "QUECOTA_TEST_API_TOOLS is not set: run `cargo xtask test`, which installs schemathesis and openapi-python-client from \
         PyPI, or set it to the folder of their programs",
    );
    Path::new(&folder).join(name)
}

/// Two products with devices, packages and plans, and a token for each caller.
fn furnish(center: &Center) -> Vec<(&'static str, String)> {
    let firmware = center.data.join("fw.bin");
    fs::write(&firmware, "firmware").unwrap();
    let devices = center.data.join("devices.csv");
    fs::write(&devices, "d1\nd2\n").unwrap();
    for product in ["p1", "p2"] {
        center.says(&["product", "create", "--key", product, "--name", product]);
        center.says(&["component", "add", product, "STM32", "--type", "mcu"]);
        center.says(&["device", "import", "--product", product, devices.to_str().unwrap()]);
        let words = ["package", "add", "--product", product, "--component", "STM32", "--name", product];
        let package = center.id(&[&words[..], &["--target", "2_0_0", firmware.to_str().unwrap()]].concat());
        let component = format!("STM32={package}");
        let words = ["plan", "create", "--product", product, "--component", &component, "--name"];
        for name in ["first", "second"] {
            center.says(&[&words[..], &[&format!("{product} {name}")]].concat());
        }
    }
    center.says(&["account", "create", "somebody", "--role", "viewer"]);
    let token = |words: &[&str]| {
        let made = center.says(&[&["token", "create"], words].concat());
        made.split_whitespace().last().unwrap().to_owned()
    };
    vec![
        ("nobody", String::new()),
        ("end user", token(&["app", "--device", "p1/d1"])),
        ("viewer", token(&["viewer", "--role", "viewer"])),
        ("operator", token(&["operator", "--role", "operator"])),
        // Nothing that an administrator does takes the token of the data folder away.
        ("administrator", fs::read_to_string(center.data.join("token")).unwrap().trim().to_owned()),
    ]
}

/// Runs schemathesis as each caller; the callers whose run found something, with what it says.
fn run(center: &Center, database: &str) -> Vec<String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis");
    let examples = std::env::var("QUECOTA_API_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    let mut found = Vec::new();
    for (caller, token) in furnish(center) {
        let begun = Instant::now();
        let base = format!("http://{}", center.http);
        let mut command = Command::new(program("schemathesis"));
        command.current_dir(&center.data).arg("--config-file").arg(tests.join("schemathesis.toml"));
        command.arg("run").arg(format!("{base}/api/v1/openapi.json")).args(["--url", &base]);
        command.args(["--checks", "all", "--max-examples", &examples, "--seed", "1", "--no-shrink"]);
        command.args(["--phases", "examples,coverage,fuzzing", "--suppress-health-check", "all"]);
        // A stream of events does not end by itself; its own tests read it.
        command.args(["--exclude-path-regex", "/events$", "--request-timeout", "60", "--warnings", "off"]);
        if !token.is_empty() {
            command.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        command.env("PYTHONPATH", &tests).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("SCHEMATHESIS_HOOKS", "checks").env("QUECOTA_CALLER", caller);
        let output = command.env("NO_COLOR", "1").stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let seconds = begun.elapsed().as_secs_f64();
        let line = said.lines().rfind(|line| line.contains("generated")).unwrap_or_default().trim();
        println!("{database}, {caller}: {line} in {seconds:.1} s");
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            found.push(format!("=== {database}, {caller}\n{said}{error}"));
        }
    }
    found
}

#[test]
fn every_answer_is_a_described_one_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let center = Center::start(&folder.path().join("center"));
    let found = run(&center, "SQLite");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_answer_is_a_described_one_on_postgresql() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Postgres::start();
    let center = Center::start_with(&folder.path().join("center"), |command| {
        command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--database", &postgres.url()]);
        command.env("QUECOTA_SEAL_KEY", "5a".repeat(32));
    });
    let found = run(&center, "PostgreSQL");
    assert!(found.is_empty(), "{}", found.join("\n"));
}
