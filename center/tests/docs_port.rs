//! docs/port.md, followed as a new user would: its commands are run, and its program is compiled as it stands there and
//! upgraded by a real center. Beside it the commands of c-examples/README.md.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use support::{Center, Process, eventually};

/// Product key and secret of the page.
const PRODUCT: &str = "p1demo";
const SECRET: &str = "ZGVtby1zZWNyZXQtMDAx";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The fenced blocks of a page in this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let page = fs::read_to_string(root().join(page)).unwrap();
    let parts: Vec<&str> = page.split("\n```").collect();
    parts
        .chunks(2)
        .filter_map(|pair| Some(pair.get(1)?.strip_prefix(&format!("{language}\n"))?.to_owned()))
        .collect()
}

/// Where CMake built the port.
fn built() -> PathBuf {
    let folder = std::env::var_os("QUECOTA_PORT_EXAMPLES");
    PathBuf::from(
        folder.expect(
            "QUECOTA_PORT_EXAMPLES names the folder of the built c-examples; `cargo xtask test` sets it",
        ),
    )
}

/// A center with an active plan for the page's product; the image in it.
fn center(folder: &Path) -> (Center, Vec<u8>) {
    // Longer than the image area, and no two pieces alike.
    let image: Vec<u8> = (0..200_000_u32).map(|i| (i ^ (i >> 8) ^ (i >> 13)) as u8).collect();
    let file = folder.join("stm32.bin");
    fs::write(&file, &image).unwrap();
    let center = Center::start(&folder.join("center"));
    center.says(&["product", "create", "--key", PRODUCT, "--name", "Diffuser", "--secret", SECRET]);
    center.says(&["component", "add", PRODUCT, "STM32", "--type", "mcu"]);
    let file = file.to_str().unwrap();
    let package = [
        "package",
        "add",
        "--product",
        PRODUCT,
        "--component",
        "STM32",
        "--name",
        "two",
        "--target",
        "2_0_0",
        file,
    ];
    center.says(&package);
    let plan = ["plan", "create", "--name", "Autumn", "--product", PRODUCT, "--component", "STM32=two"];
    let plan = center.id(&plan);
    center.says(&["plan", "activate", &plan]);
    (center, image)
}

fn is_upgraded(center: &Center, device: &str) {
    eventually("the device upgrade upgraded", || {
        let output = center.run(&["device", "upgrades", PRODUCT, device, "--json"]);
        // There is no such device until it has connected.
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).ok()?;
        (shown["items"][0]["state"] == "upgraded").then_some(())
    });
}

/// A folder of programs to be found first: what takes minutes is done already, with the options of the page or this fails.
fn built_before(folder: &Path, packages: &str, cmake: &str) -> PathBuf {
    let bin = folder.join("bin");
    fs::create_dir(&bin).unwrap();
    let script = |name: &str, text: String| {
        use std::os::unix::fs::PermissionsExt;
        fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    script("sudo", format!("test \"$1 $2\" = 'apt-get install' && dpkg-query -W {packages}"));
    script("cmake", format!("case \"$*\" in\n{cmake}\n*) exit 1;;\nesac"));
    bin
}

#[test]
fn the_commands_of_the_examples_build_each_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let linux = std::env::var("QUECOTA_EXAMPLES")
        .expect("QUECOTA_EXAMPLES names the folder of the built c-examples; `cargo xtask test` sets it");
    let all = |folder: &str, names: &str| {
        let tests: Vec<String> = names.split(' ').map(|name| format!("test -x {folder}/{name}")).collect();
        tests.join(" && ")
    };
    let bin = built_before(
        folder.path(),
        "cmake libmosquitto-dev libcurl4-openssl-dev",
        &format!(
            "'-S . -B build -G Ninja -DQUECOTA_TESTS=OFF') ln -s {linux} build;;\n\
             '-S . -B build-port -G Ninja -DQUECOTA_TESTS=OFF -DQUECOTA_FEATURES=') ln -s {} build-port;;\n\
             '--build build') {};;\n\
             '--build build-port') {};;",
            built().display(),
            all("build", "minimal sota multi_component business"),
            all("build-port", "custom_transport fota"),
        ),
    );
    let commands = blocks("c-examples/README.md", "sh").concat();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &commands]).current_dir(folder.path()).env("PATH", path);
    let output = shell.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("--server"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn the_commands_of_the_first_step_build_and_upgrade_the_port_on_the_desk() {
    let folder = tempfile::tempdir().unwrap();
    let (center, image) = center(folder.path());
    let built = built();
    let bin = built_before(
        folder.path(),
        "cmake libmosquitto-dev libcurl4-openssl-dev",
        &format!(
            "'-S quecota -B build -G Ninja -DQUECOTA_FEATURES= -DQUECOTA_TESTS=OFF') ln -s {} build;;\n\
             '--build build') test -x build/custom_transport;;",
            built.display()
        ),
    );
    let blocks = blocks("docs/port.md", "sh");
    let [build, run] = blocks.as_slice() else { panic!("{blocks:?}") };
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run = run.replace("127.0.0.1:1883", &center.mqtt.to_string());
    let mut shell = Command::new("timeout");
    shell.args(["60", "sh", "-e", "-c", &format!("{build}\n{run}")]).current_dir(folder.path());
    let output = shell.env("PATH", path).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("10705 updated"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        fs::read(folder.path().join("mcu.bin")).unwrap() == image,
        "the flash holds other bytes than the package"
    );
    is_upgraded(&center, "860000000000001");
}

#[test]
fn the_program_of_the_page_compiles_as_it_stands_there_and_is_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("port_page.c");
    fs::write(&source, blocks("docs/port.md", "c").join("\n\n")).unwrap();
    let program = folder.path().join("board");
    let board = root().join("center/tests/port_page");
    let built = built();
    let compiled = Command::new("cc")
        .args(["-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .arg("-I")
        .arg(root().join("include"))
        .arg("-I")
        .arg(root().join("c-examples"))
        .arg("-I")
        .arg(&board)
        .args([
            &source,
            &board.join("board.c"),
            &built.join("c-examples/libport.a"),
            &built.join("libquecota.a"),
        ])
        .args(["-lmosquitto", "-lcurl"])
        .output()
        .unwrap();
    assert!(compiled.status.success(), "docs/port.md: {}", String::from_utf8_lossy(&compiled.stderr));

    let (center, image) = center(folder.path());
    let imei = "860000000000077";
    let mut device = Process::start(&program, |command| {
        command.current_dir(folder.path()).stdout(Stdio::piped());
        command.env("SERVER", format!("mqtt://{}", center.mqtt)).env("IMEI", imei);
    });
    is_upgraded(&center, imei);
    let output = device.child().stdout.take().unwrap();
    device.kill();
    let lines: Vec<String> = BufReader::new(output).lines().map_while(Result::ok).collect();
    assert!(lines.iter().any(|line| line == "mcu restarted with 2_0_0"), "{lines:#?}");
    assert!(
        !lines.iter().any(|line| line.starts_with("storage:") || line.starts_with("quecota:")),
        "{lines:#?}"
    );
    assert!(
        fs::read(folder.path().join("mcu.bin")).unwrap() == image,
        "the flash holds other bytes than the package"
    );
}
