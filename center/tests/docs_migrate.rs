//! docs/migrate.md, "In ten minutes", followed as a new user would: its application is compiled with its command, against either
//! header, and run against a center, whose commands are the page's. Then it is started as docs/host.md has it.

mod support;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::channel;

use support::{Center, Process, TIMEOUT, eventually};

/// The fenced blocks of the section, each with its language.
fn blocks(page: &str) -> Vec<(String, String)> {
    let section = page.split("\n## ").find(|section| section.starts_with("In ten minutes")).unwrap();
    let parts: Vec<&str> = section.split("```").collect();
    let fenced = parts.chunks(2).filter_map(|pair| pair.get(1)?.split_once('\n'));
    fenced.map(|(language, text)| (language.to_owned(), text.trim_end().to_owned())).collect()
}

/// Folder of the library that the C stage built.
fn built() -> PathBuf {
    let tests = std::env::var_os("QUECOTA_C_TESTS");
    let tests = tests.expect("QUECOTA_C_TESTS names the folder of the C tests; `cargo xtask test` sets it");
    Path::new(&tests).parent().unwrap().to_owned()
}

fn succeeded(command: &str, output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_application_of_the_vendors_sdk_is_online_in_ten_minutes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let page = std::fs::read_to_string(root.join("docs/migrate.md")).unwrap();
    let blocks = blocks(&page);
    let languages: Vec<&str> = blocks.iter().map(|(language, _)| language.as_str()).collect();
    assert_eq!(languages, ["c", "sh", "sh", "sh", "sh", "text", "sh", "text"]);
    let texts: Vec<&str> = blocks.iter().map(|(_, text)| text.as_str()).collect();
    let [source, build, compile, create, start, started, show, shown] = texts.as_slice() else { panic!() };

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // The clone, as its two commands leave it; they are the C stage's.
    assert_eq!(
        *build,
        "sudo apt-get install -y gcc make cmake\n\
         cmake -S quecota -B quecota/build -DQUECOTA_TESTS=OFF\ncmake --build quecota/build"
    );
    std::fs::create_dir_all(at("quecota")).unwrap();
    std::os::unix::fs::symlink(root.join("include"), at("quecota/include")).unwrap();
    std::os::unix::fs::symlink(built(), at("quecota/build")).unwrap();

    let center = Center::start(&at("center"));
    let program = Path::new(env!("CARGO_BIN_EXE_quecota-center")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let token = std::fs::read_to_string(center.data.join("token")).unwrap();
    let run = |commands: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", commands]).current_dir(folder.path()).stdin(Stdio::null());
        shell.env("PATH", &path).env("QUECOTA_TOKEN", &token);
        shell.env("QUECOTA_SERVER", format!("http://{}", center.http)).output().unwrap()
    };
    for header in ["ql_api_qthsdk.h", "Ql_iotApi.h"] {
        std::fs::write(at("application.c"), source.replace("Ql_iotApi.h", header)).unwrap();
        succeeded(compile, &run(compile));
    }
    succeeded(create, &run(create));

    // The page's ports may be taken on this machine.
    let start = start.replace("127.0.0.1:1883", &center.mqtt.to_string());
    let device = started_by(&start, folder.path(), started);
    eventually("what the page shows of the device", || {
        let output = run(show);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let has =
            |wanted: &str| said.lines().any(|line| line.split_whitespace().eq(wanted.split_whitespace()));
        shown.lines().all(has).then_some(())
    });
    ends(device);

    // Of the other page only the folder is this machine's own, and the application's server.
    let page = std::fs::read_to_string(root.join("docs/host.md")).unwrap();
    let start = page.split("```sh\n").nth(1).and_then(|block| block.split("```").next()).unwrap().trim_end();
    let data = at("lib/pump");
    let start = start.replace("/var/lib/pump", data.to_str().unwrap());
    let start = format!("QUECOTA_DEFAULT_SERVER=mqtt://{} {start}", center.mqtt);
    // Another folder, so the device has no secret yet and authenticates again.
    ends(started_by(&start, folder.path(), started));
    assert!(data.join("journal").exists(), "QUECOTA_DIR of docs/host.md is the device's folder");
}

/// The process of a page's command, which has printed what the page shows.
fn started_by(command: &str, folder: &Path, shown: &str) -> Process {
    let mut device = Process::start("sh", |shell| {
        shell.args(["-c", &format!("exec env {command}")]).current_dir(folder);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
    });
    let printed = BufReader::new(device.child().stdout.take().unwrap()).lines();
    let (to, lines) = channel();
    std::thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| to.send(line)));
    for line in shown.lines() {
        assert_eq!(lines.recv_timeout(TIMEOUT).as_deref(), Ok(line), "{command}");
    }
    device
}

fn ends(mut device: Process) {
    drop(device.child().stdin.take());
    assert!(device.finish().success());
}
