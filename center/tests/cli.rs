//! The command line, as an operator uses it: the center's process and its client commands.

mod support;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use support::Center;
use tempfile::TempDir;

fn start() -> (Center, TempDir) {
    let folder = TempDir::new().unwrap();
    (Center::start(&folder.path().join("center")), folder)
}

fn fails(output: &Output, words: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("quecota-center: ") && error.contains(words), "{words:?} is not in {error:?}");
    assert_eq!(error.trim_end().lines().count(), 1, "{error}");
    assert_eq!(output.stdout, b"", "nothing that a program could take for an answer");
}

#[test]
fn the_walk_from_a_product_to_an_active_plan() {
    let (center, folder) = start();
    let said = center.says(&[
        "product",
        "create",
        "--key",
        "p1abcd",
        "--name",
        "Pump",
        "--secret",
        "MTIzNDU2Nzg5MGFi",
    ]);
    assert_eq!(said, "key:     p1abcd\nsecret:  MTIzNDU2Nzg5MGFi\n");
    assert_eq!(center.says(&["component", "add", "p1abcd", "STM32", "--type", "mcu"]), "STM32 (mcu)\n");

    let file = folder.path().join("fw.bin");
    fs::write(&file, b"123456789").unwrap();
    let add = [
        "package",
        "add",
        "--product",
        "p1abcd",
        "--component",
        "STM32",
        "--name",
        "two",
        "--target",
        "2_0_0",
    ];
    let more = ["--source", "1_0_0", "--remark", "new", file.to_str().unwrap()];
    assert_eq!(center.says(&[&add[..], &more[..]].concat()), "1\n");
    let said = center.says(&["package", "show", "1"]);
    for line in [
        "type:       delta",
        "source:     1_0_0",
        "remark:     new",
        "size:    9",
        "md5:     25f9e794323b453885f5181f1b624d0b",
        "crc32:   cbf43926",
    ] {
        assert!(said.lines().any(|said| said == line), "{line:?} is not in\n{said}");
    }

    let create = ["plan", "create", "--name", "Autumn", "--product", "p1abcd", "--component", "STM32=1"];
    assert_eq!(center.says(&[&create[..], &["--time-zone", "Europe/Berlin"]].concat()), "1\n");
    assert_eq!(center.says(&["plan", "activate", "1"]), "activated\n");
    let said = center.says(&["plan", "show", "1"]);
    assert!(said.contains("state:      activated") && said.contains("Europe/Berlin"), "{said}");
    assert_eq!(center.json(&["plan", "show", "1"])["state"], "activated");

    let create = ["plan", "create", "--name", "Winter", "--product", "p1abcd", "--component", "STM32=1"];
    assert_eq!(center.says(&create), "2\n");
    fails(&center.run(&["plan", "activate", "2"]), "supersedes");
    assert_eq!(center.says(&["plan", "activate", "2", "--supersede"]), "activated\n");

    let lists: [(&[&str], &str); 3] = [
        (&["product", "list"], "p1abcd  Pump  2"),
        (
            &["package", "list", "--product", "p1abcd"],
            "1   p1abcd   STM32      two   1_0_0   2_0_0   9      2",
        ),
        (&["plan", "list"], "1   Autumn  p1abcd   activated  2"),
    ];
    for (words, line) in lists {
        let said = center.says(words);
        assert!(said.lines().nth(1).unwrap().starts_with(line), "{said}");
    }
    assert_eq!(center.says(&["device", "list", "--product", "p1abcd"]).lines().count(), 1);
    assert_eq!(center.json(&["device", "list", "--product", "p1abcd"])["items"], serde_json::json!([]));
}

#[test]
fn every_error_is_one_line_with_the_value_and_the_rule() {
    let (center, folder) = start();
    center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
    center.says(&["component", "add", "p1abcd", "STM32", "--type", "mcu"]);
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, empty, wrong) = (file("fw.bin", b"x"), file("empty.bin", b""), file("fw.exe", b"x"));
    // A sparse file: 100 MB and a byte that take no room.
    let large = file("large.bin", b"");
    fs::File::options().write(true).open(&large).unwrap().set_len(100 * 1024 * 1024 + 1).unwrap();
    let remark = "r".repeat(201);
    let add = |more: &[&str]| {
        let words = [
            "package",
            "add",
            "--product",
            "p1abcd",
            "--component",
            "STM32",
            "--name",
            "two",
            "--target",
            "2",
        ];
        center.run(&[&words[..], more].concat())
    };
    fails(&add(&[&wrong]), "\"fw.exe\"");
    fails(&add(&[&empty]), "file empty.bin: the file is empty");
    fails(&add(&[&large]), "large.bin: a file has at most 104857600 bytes");
    fails(&add(&["--remark", &remark, &good]), "at most 200 characters");
    fails(&add(&[&good, &good]), "exactly one file");
    fails(&add(&["/nowhere/fw.bin"]), "/nowhere/fw.bin");
    fails(&add(&[folder.path().to_str().unwrap()]), "file name");

    let plan = |component: &str| {
        center.run(&["plan", "create", "--name", "a", "--product", "p1abcd", "--component", component])
    };
    fails(&plan("STM32=9"), "there is no version package 9");
    fails(&center.run(&["plan", "activate", "9"]), "there is no upgrade plan 9");
    fails(&center.run(&["product", "show", "p9"]), "there is no product p9");
    fails(&center.run(&["device", "show", "p1abcd", "8600"]), "there is no device 8600");
    let usage = plan("STM32");
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&usage.stderr).contains("ID=PACKAGE_ID"));
}

#[test]
fn a_client_without_its_center_or_token_says_what_to_do() {
    let (center, folder) = start();
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quecota-center"));
        command
            .args(words)
            .env_remove("QUECOTA_TOKEN")
            .env_remove("QUECOTA_SERVER")
            .current_dir(folder.path());
        command.output().unwrap()
    };
    let server = format!("http://{}", center.http);
    fails(&run(&["product", "list", "--server", &server]), "no token: give --token");
    fails(&run(&["product", "list", "--server", &server, "--token", "wrong"]), "the token is wrong");
    let nobody = format!("http://127.0.0.1:{}", support::free_port());
    fails(
        &run(&["product", "list", "--server", &nobody, "--token", "t"]),
        "is `quecota-center serve` running there?",
    );
    fails(&run(&["product", "list", "--server", "localhost:1", "--token", "t"]), "must begin with http://");
    // Something that is no center.
    let mqtt = format!("http://{}", center.mqtt);
    fails(&run(&["product", "list", "--server", &mqtt, "--token", "t"]), "cannot reach the center");
}

fn serve(data: &Path, more: &[&str]) -> Output {
    let mut command = Command::new("timeout");
    command.args(["20", env!("CARGO_BIN_EXE_quecota-center"), "serve", "--log", "error", "--data"]).arg(data);
    command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"].iter().filter(|_| more.is_empty()));
    command.args(more).env_remove("QUECOTA_TOKEN").stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn a_center_that_cannot_start_says_why_in_one_line() {
    let (center, folder) = start();
    let data = folder.path().join("other");
    let (http, mqtt) = (center.http.to_string(), center.mqtt.to_string());
    let free = "127.0.0.1:0";
    fails(&serve(&center.data, &[]), "is in use by another quecota-center");
    fails(
        &serve(&data, &["--http", &http, "--mqtt", free]),
        &format!("--http {http}: Address already in use"),
    );
    fails(
        &serve(&data, &["--http", free, "--mqtt", &mqtt]),
        &format!("--mqtt {mqtt}: Address already in use"),
    );
    fails(&serve(&data, &["--http", "0.0.0.0:0", "--mqtt", free]), "--public-url");
    for (url, words) in [("http://localhost", "'.'"), ("http://a.b/s://c", "s://"), ("a.b", "http://")] {
        let output = serve(&data, &["--http", free, "--mqtt", free, "--public-url", url]);
        fails(&output, words);
        fails(&output, url);
    }
    fails(
        &serve(&data, &["--http", free, "--mqtt", free, "--database", "mysql://u:secret@h/d"]),
        "\"mysql\"",
    );
    fails(&serve(&data, &["--http", free, "--mqtt", free, "--token", "short"]), "16 or more");
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    fails(&serve(&file.join("data"), &[]), "file/data");
    let proc = Path::new("/proc/quecota");
    fails(&serve(proc, &[]), "/proc/quecota");
}

#[test]
fn secrets_of_the_folder_are_their_owners_alone() {
    let (center, _folder) = start();
    for name in ["token", "url.key"] {
        let mode = fs::metadata(center.data.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_stopped_center_ends_cleanly_and_keeps_everything() {
    for signal in ["TERM", "INT"] {
        let (mut center, _folder) = start();
        center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
        // A connection that is open, and one with half a request, hold nothing up.
        let _idle = std::net::TcpStream::connect(center.http).unwrap();
        let mut half = std::net::TcpStream::connect(center.http).unwrap();
        half.write_all(b"GET /health HTTP/1.1\r\nHost:").unwrap();
        let _device = std::net::TcpStream::connect(center.mqtt).unwrap();
        let token = fs::read(center.data.join("token")).unwrap();

        let begun = Instant::now();
        let id = center.process.child().id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
        assert_eq!(center.process.finish().code(), Some(0), "{signal}");
        assert!(begun.elapsed() < Duration::from_secs(6), "{signal}: {:?}", begun.elapsed());

        let again = Center::start(&center.data);
        assert_eq!(fs::read(again.data.join("token")).unwrap(), token);
        assert_eq!(again.json(&["product", "show", "p1abcd"])["name"], "Pump");
    }
}
