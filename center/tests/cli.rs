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
    assert!(said.contains("state:      Activated") && said.contains("Europe/Berlin"), "{said}");
    assert_eq!(center.json(&["plan", "show", "1"])["state"], "activated");

    let create = ["plan", "create", "--name", "Winter", "--product", "p1abcd", "--component", "STM32=1"];
    assert_eq!(center.says(&create), "2\n");
    fails(&center.run(&["plan", "activate", "2"]), "activate this one with --supersede (over REST");
    assert_eq!(center.says(&["plan", "activate", "2", "--supersede"]), "activated\n");

    let lists: [(&[&str], &str); 3] = [
        (&["product", "list"], "p1abcd  Pump  2"),
        (
            &["package", "list", "--product", "p1abcd"],
            "1   p1abcd   STM32      two   1_0_0   2_0_0   9      never     2",
        ),
        (&["plan", "list"], "1   Autumn  p1abcd   Activated  2"),
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
    fails(&add(&[folder.path().to_str().unwrap()]), "it is a folder; give the files in it");

    let plan = |component: &str| {
        center.run(&["plan", "create", "--name", "a", "--product", "p1abcd", "--component", component])
    };
    fails(&plan("STM32=9"), "there is no version package 9");
    fails(&center.run(&["plan", "activate", "9"]), "there is no upgrade plan 9");
    fails(&center.run(&["product", "show", "p9"]), "there is no product p9");
    fails(&center.run(&["device", "show", "p1abcd", "8600"]), "there is no device 8600");
    let usage = plan("STM32");
    assert_eq!(usage.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&usage.stderr).contains("ID=PACKAGE"));
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
    let (center, folder) = start();
    fn all(folder: &Path, found: &mut Vec<(std::path::PathBuf, u32, bool)>) {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        found.push((folder.to_owned(), mode(folder), true));
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { all(&path, found) } else { found.push((path.clone(), mode(&path), false)) }
        }
    }
    let image = folder.path().join("fw.bin");
    fs::write(&image, b"firmware").unwrap();
    center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
    center.says(&["component", "add", "p1abcd", "STM32", "--type", "mcu"]);
    let add =
        ["package", "add", "--product", "p1abcd", "--component", "STM32", "--name", "two", "--target", "2"];
    center.says(&[&add[..], &[image.to_str().unwrap()]].concat());
    let mut found = Vec::new();
    all(&center.data, &mut found);
    assert!(found.len() > 6, "{found:?}");
    for (path, mode, is_folder) in found {
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
        assert_eq!(mode & 0o100 != 0, is_folder, "{}: {mode:o}", path.display());
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

#[test]
fn every_field_of_a_plan_is_entered_changed_and_shown() {
    let (center, folder) = start();
    center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
    center.says(&["component", "add", "p1abcd", "STM32", "--type", "mcu"]);
    let file = folder.path().join("fw.bin");
    fs::write(&file, b"x").unwrap();
    let add = "package add --product p1abcd --component STM32 --name two --target 2";
    let add: Vec<&str> = add.split(' ').chain([file.to_str().unwrap()]).collect();
    center.says(&add);
    let csv = folder.path().join("devices.csv");
    fs::write(&csv, "dk\n8602\n8603\n").unwrap();

    let fields = "plan create --name Autumn --product p1abcd --component STM32=1 --time-zone Asia/Shanghai \
                  --whitelist 8600,8601 --blacklist 8603 --push-period 22:00-04:00 --start 2126-03-01T02:00 \
                  --end 2126-04-01T00:00Z --mode manual --push on_request --first-push at_once --outside-period answer --retries 1 \
                  --refusal-delay 30 --min-rsrp -110 --min-battery 30 --first-devices 10 --halt 20/5 \
                  --max-in-flight 50 --max-per-minute 60 --text zh=更新 --text en=Update --whitelist-file";
    let create: Vec<&str> = fields.split_whitespace().chain([csv.to_str().unwrap()]).collect();
    assert_eq!(center.says(&create), "1\n");
    let plan = center.json(&["plan", "show", "1"]);
    for (field, value) in [
        ("/push_period/from", serde_json::json!("22:00")),
        ("/start", serde_json::json!(4_927_975_200_000i64)),
        ("/end", serde_json::json!(4_930_675_200_000i64)),
        ("/mode", serde_json::json!("manual")),
        ("/push", serde_json::json!("on_request")),
        ("/first_push", serde_json::json!("at_once")),
        ("/outside_period", serde_json::json!("answer")),
        ("/strategy/retries", serde_json::json!(1)),
        ("/strategy/min_rsrp", serde_json::json!(-110)),
        ("/strategy/halt", serde_json::json!({ "percent": 20, "after": 5 })),
        ("/strategy/max_in_flight", serde_json::json!(50)),
        ("/texts/en", serde_json::json!("Update")),
        ("/listed", serde_json::json!({ "whitelist": 4, "blacklist": 1 })),
    ] {
        assert_eq!(plan.pointer(field), Some(&value), "{field} in {plan:#}");
    }
    let said = center.says(&["plan", "show", "1"]);
    for words in ["22:00-04:00", "-110", "when more than 20 % of 5 or more", "4 devices", "en: Update"] {
        assert!(said.contains(words), "{words} is not in\n{said}");
    }

    let edit = |more: &[&str]| center.run(&[&["plan", "edit", "1"], more].concat());
    let changed =
        ["--mode", "silent", "--push-period", "none", "--whitelist", "none", "--min-battery", "none"];
    assert!(edit(&changed).status.success());
    let plan = center.json(&["plan", "show", "1"]);
    assert_eq!(
        (&plan["push_period"], &plan["strategy"]["min_battery"]),
        (&serde_json::Value::Null, &serde_json::Value::Null)
    );
    assert_eq!(
        (&plan["listed"]["whitelist"], &plan["strategy"]["retries"]),
        (&serde_json::json!(0), &serde_json::json!(1))
    );

    fails(&edit(&["--retries", "11"]), "number of retries \"11\": 0 to 10");
    fails(&edit(&["--push-period", "22:00"]), "22:00-04:00");
    fails(&edit(&["--push-period", "22:00-24:00"]), "00:00 to 23:59");
    fails(&edit(&["--start", "2126-03-01T02:00"]), "--time-zone");
    fails(&edit(&["--start", "tomorrow", "--time-zone", "UTC"]), "start \"tomorrow\"");
    fails(&edit(&["--whitelist", "86 00"]), "86 00");
    fs::write(&csv, "8600\n86 01\n").unwrap();
    fails(&edit(&["--blacklist-file", csv.to_str().unwrap()]), "devices.csv: line 2: device key \"86 01\"");
    fails(&edit(&["--blacklist-file", "/nowhere.csv"]), "/nowhere.csv");

    assert_eq!(center.says(&["plan", "activate", "1"]), "activated\n");
    fails(&edit(&["--retries", "2"]), "only a saved plan is edited");
    fails(&center.run(&["plan", "delete", "1"]), "only a saved plan is deleted");
    assert_eq!(center.says(&["plan", "suspend", "1"]), "suspended\n");
    assert_eq!(center.says(&["plan", "resume", "1"]), "activated\n");
    assert_eq!(center.says(&["plan", "terminate", "1"]), "terminated\n");
    fails(&center.run(&["plan", "resume", "1"]), "does not take \"resume\"");
    let create = ["plan", "create", "--name", "Spare", "--product", "p1abcd", "--component", "STM32=1"];
    assert_eq!(center.says(&create), "2\n");
    assert_eq!(center.says(&["plan", "delete", "2"]), "deleted\n");
    fails(&center.run(&["plan", "show", "2"]), "there is no upgrade plan 2");
}

#[test]
fn secrets_are_sealed_with_the_key_of_the_folder_or_with_a_new_one() {
    let (center, folder) = start();
    center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
    let data = center.data.clone();
    let key_file = data.join("seal.key");
    assert_eq!(fs::metadata(&key_file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = fs::read_to_string(&key_file).unwrap();
    let quecota = |words: &[&str]| {
        let program = env!("CARGO_BIN_EXE_quecota-center");
        Command::new(program).args(words).arg("--data").arg(&data).stdin(Stdio::null()).output().unwrap()
    };
    fails(&quecota(&["rotate-key"]), "in use by another quecota-center");
    center.process.kill();

    let serve = ["serve", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"];
    let wrong = folder.path().join("wrong.key");
    fs::write(&wrong, "5a".repeat(32)).unwrap();
    fails(
        &quecota(&[&serve[..], &["--seal-key-file", wrong.to_str().unwrap()]].concat()),
        "secrets in the database are sealed with key",
    );
    fs::rename(&key_file, folder.path().join("away")).unwrap();
    fails(&quecota(&serve), "give the key that belongs to this database");
    assert!(!key_file.exists(), "a lost key is not replaced by one that opens nothing");
    fails(&quecota(&["rotate-key"]), "holds no seal.key");
    fs::rename(folder.path().join("away"), &key_file).unwrap();

    let output = quecota(&["rotate-key"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.starts_with("2 secrets sealed with key "), "{said}");
    let second = fs::read_to_string(&key_file).unwrap();
    assert!(second != first && second.len() == 65, "one other key");
    let again = Center::start(&data);
    assert_eq!(again.json(&["product", "show", "p1abcd"])["name"], "Pump");
    let postgres = Command::new(env!("CARGO_BIN_EXE_quecota-center"))
        .args([&serve[..], &["--database", "postgres://u@127.0.0.1:1/d", "--data"]].concat())
        .arg(folder.path().join("other"))
        .output()
        .unwrap();
    fails(&postgres, "QUECOTA_SEAL_KEY");
}

#[test]
fn figures_and_logs_are_there_for_programs() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let center = Center::start_with(&folder.path().join("center"), |command| {
        let ports = ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"];
        command.args(ports).args(["--log-format", "json", "--keep-log", "30"]);
        command.stderr(fs::File::create(&log).unwrap());
    });
    center.says(&["product", "create", "--key", "p1abcd", "--name", "P", "--secret", "MTIzNDU2Nzg5MGFi"]);
    let said = fs::read_to_string(&log).unwrap();
    let lines: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    assert!(lines.iter().any(|line| line["message"] == "ready" && line["level"] == "INFO"), "{said}");
    assert!(!said.contains("MTIzNDU2Nzg5MGFi"));

    let token = fs::read_to_string(center.data.join("token")).unwrap();
    let ask = |bearer: &str| {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://{}/metrics", center.http);
        let mut answer = agent.get(url).header("Authorization", format!("Bearer {bearer}")).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    assert_eq!(ask("wrong").0, 401, "how a fleet does is the operator's business");
    let (status, text) = ask(&token);
    assert_eq!(status, 200);
    for name in ["quecota_build_info{version=", "quecota_connections 0", "quecota_store_write_seconds_count"]
    {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
}

#[test]
fn devices_are_imported_searched_and_exported() {
    let (center, folder) = start();
    let create = ["product", "create", "--key", "p1abcd", "--name", "Pump", "--admission", "known-only"];
    center.says(&create);
    let file = folder.path().join("devices.csv");
    let mut rows = String::from("\u{feff}Device Key;batch\r\n");
    for number in 0..2_500 {
        rows.push_str(&format!("86{number:04};7\r\n"));
    }
    rows.push_str("86 01;7\r\n\r\n860000;again\r\n=bad;");
    fs::write(&file, &rows).unwrap();
    let import = ["device", "import", "--product", "p1abcd", file.to_str().unwrap()];
    let report = center.json(&import);
    let figures = ["lines", "added", "known", "bad"].map(|field| report[field].as_i64().unwrap());
    assert_eq!(figures, [2_501, 2_500, 1, 2], "{report}");
    let lines: Vec<_> = report["bad_lines"].as_array().unwrap().iter().map(|line| &line["line"]).collect();
    assert_eq!(lines, [2_502, 2_505]);
    let said = center.says(&import);
    assert!(said.starts_with("0 devices entered, 2501 known before, 2 lines left out\n"), "{said}");
    assert!(said.contains("2502  86 01  1 to 32 of the letters"), "{said}");

    let list = ["device", "list", "--product", "p1abcd"];
    let with = |more: &[&str]| center.json(&[&list[..], more].concat())["items"].as_array().unwrap().len();
    assert_eq!(with(&[]), 2_500);
    assert_eq!(with(&["--key", "8612"]), 100);
    assert_eq!(with(&["--online"]), 0);
    assert_eq!(with(&["--key", "8612", "--offline"]), 100);
    assert_eq!(with(&["--battery", "..20", "--rsrp", "-140..-100"]), 0);
    fails(&center.run(&[&list[..], &["--component", "STM32"]].concat()), "STM32");
    let csv = center.says(&["device", "export", "--product", "p1abcd", "--key", "8612"]);
    assert_eq!(csv.lines().count(), 101);
    assert!(csv.starts_with("device key,online,") && csv.contains("\r\n861299,no,"), "{csv}");
    assert_eq!(center.says(&["device", "export", "--product", "p1abcd"]).lines().count(), 2_501);
    fails(&center.run(&["device", "export", "--product", "p9"]), "there is no product p9");

    let said = center.says(&["product", "edit", "p1abcd", "--admission", "anyone", "--name", "Lamp"]);
    assert!(said.contains("admission:  anyone") && said.contains("Lamp"), "{said}");
    assert_eq!(center.says(&["device", "log", "p1abcd", "860000"]).lines().count(), 1);
}

/// Most memory that the center has taken, in kB.
fn peak(center: &mut Center) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", center.process.child().id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[ignore = "long: a million devices take minutes, in `cargo xtask test --long`"]
fn a_million_devices_are_imported_through_as_little_memory_as_a_few() {
    let (mut center, folder) = start();
    center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
    let file = folder.path().join("devices.csv");
    let mut import = |from: u32, until: u32| {
        let rows: String = (from..until).map(|number| format!("86{number:013}\n")).collect();
        fs::write(&file, rows).unwrap();
        let begun = Instant::now();
        let report = center.json(&["device", "import", "--product", "p1abcd", file.to_str().unwrap()]);
        assert_eq!(report["added"], until - from, "{report}");
        (peak(&mut center), begun.elapsed())
    };
    let (few, _) = import(0, 50_000);
    let (many, took) = import(50_000, 1_000_000);
    println!("950000 devices in {:.0} s; peak {few} kB after 50000, {many} kB after all", took.as_secs_f64());
    assert!(many < few + 16 * 1024, "{few} kB after 50000 devices, {many} kB after a million");
}

#[test]
fn a_backup_taken_while_serving_is_restored_in_mid_upgrade() {
    let (center, folder) = start();
    center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
    center.says(&["component", "add", "p1abcd", "STM32", "--type", "mcu"]);
    let image = folder.path().join("fw.bin");
    fs::write(&image, vec![7; 300_000]).unwrap();
    let add = ["package", "add", "--product", "p1abcd", "--component", "STM32", "--name", "two"];
    center.says(&[&add[..], &["--target", "2", image.to_str().unwrap()]].concat());
    let create = ["plan", "create", "--name", "Autumn", "--product", "p1abcd", "--component", "STM32=1"];
    center.says(&create);
    center.says(&["plan", "activate", "1"]);
    under_way(&center.data);

    let (backup, restored) = (folder.path().join("backup"), folder.path().join("restored"));
    let to = backup.to_str().unwrap();
    let said = center.says(&["backup", to]);
    assert!(said.starts_with("4 files, ") && said.contains("seal.key"), "{said}");
    fails(&center.run(&["backup", to]), "is not empty");
    let postgres = ["backup", "--database", "postgres://u@h/d", to];
    fails(&center.run(&postgres), "pg_dump");
    fails(&center.run(&["restore", to]), "is not empty");
    center.process.kill();

    let restore = |from: &Path, data: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quecota-center"));
        command.arg("restore").arg(from).arg("--data").arg(data).output().unwrap()
    };
    fails(&restore(folder.path(), &restored), "holds no backup.json");
    let database = fs::read(backup.join("center.db")).unwrap();
    fs::write(backup.join("center.db"), [&database[..], b"x"].concat()).unwrap();
    fails(&restore(&backup, &restored), "the backup is damaged: center.db");
    assert!(!restored.exists(), "nothing is made of a damaged one");
    fs::write(backup.join("center.db"), &database).unwrap();
    let output = restore(&backup, &restored);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let again = Center::start(&restored);
    let upgrade = &again.json(&["device", "upgrades", "p1abcd", "860001"])["items"][0];
    assert_eq!(upgrade["components"][0]["state"], "downloading", "{upgrade}");
    assert_eq!(again.json(&["plan", "show", "1"])["devices"]["upgrading"], 1);
    assert_eq!(url_keys(&center.data), url_keys(&restored), "URLs that devices hold stay valid");
}

/// The keys of download URLs in the database of a folder.
#[tokio::main(flavor = "current_thread")]
async fn url_keys(data: &Path) -> Vec<[u8; 32]> {
    use quecota_center::clock::Millis;
    use quecota_center::config::DataFolder;
    use quecota_center::store::Store;

    let keys = DataFolder::existing(data).seal_keys().unwrap().unwrap();
    let store = Store::sqlite(&data.join("center.db"), keys).await.unwrap();
    let keys = store.url_keys(None, Millis(1)).await.unwrap();
    store.close().await;
    keys
}

/// A device downloads plan 1's package 1.
#[tokio::main(flavor = "current_thread")]
async fn under_way(data: &Path) {
    use quecota_center::clock::Millis;
    use quecota_center::rules::progress::{ComponentState, UpgradeState};
    use quecota_center::rules::{ComponentKind, ComponentNo, DeviceKey, DeviceSecret, ProductKey, Version};
    use quecota_center::store::{ComponentUpgrade, PackageId, PlanId, Store, Upgrade, UpgradeId};

    let keys = quecota_center::config::DataFolder::existing(data).seal_keys().unwrap().unwrap();
    let store = Store::sqlite(&data.join("center.db"), keys).await.unwrap();
    let mut writer = store.write().await.unwrap();
    let (product, key) = (ProductKey::new("p1abcd").unwrap(), DeviceKey::new("860001").unwrap());
    let secret = DeviceSecret::new("0123456789abcdef").unwrap();
    let now = quecota_center::clock::Clock::system().now();
    let device = writer.enter_device(&product, &key, &secret, now).await.unwrap();
    let upgrade = Upgrade {
        id: UpgradeId(0),
        plan: Some(PlanId(1)),
        device: device.id,
        state: UpgradeState::Upgrading,
        reason: None,
        created: now,
        confirmed: Some(now),
        next_offer: None,
        cancelled: None,
        ended: None,
        deadline: None,
        components: vec![ComponentUpgrade {
            component: ComponentNo::new("STM32").unwrap(),
            kind: ComponentKind::Mcu,
            package: PackageId(1),
            source: Some("1_0_0".into()),
            target: Version::new("2").unwrap(),
            state: ComponentState::Downloading,
            reason: None,
            failures: 0,
            fetched: 0,
            fetched_before: 0,
            wants_sha256: false,
            proving: false,
            lease_until: Some(now + Millis::minutes(10)),
            updated: now,
        }],
    };
    writer.create_upgrade(upgrade).await.unwrap();
    writer.commit().await.unwrap();
    store.close().await;
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("man");
    let program = env!("CARGO_BIN_EXE_quecota-center");
    let output = Command::new(program).args(["man", "--to"]).arg(&to).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page =
        |name: &str| fs::read_to_string(to.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(page("quecota-center.1").contains("quecota\\-center\\-plan(1)"));
    assert!(page("quecota-center-plan-create.1").contains("\\-\\-time\\-zone"));
    let listed = String::from_utf8(Command::new(program).arg("--help").output().unwrap().stdout).unwrap();
    let commands = listed.lines().skip_while(|line| !line.starts_with("Commands")).skip(1);
    for name in commands.map_while(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        page(&format!("quecota-center-{name}.1"));
    }
}

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let program = env!("CARGO_BIN_EXE_quecota-center");
        let output = Command::new(program).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && script.contains("rotate-key"), "{shell}");
    }
}

#[test]
fn a_plan_is_applied_from_a_file_and_watched() {
    let (center, folder) = start();
    center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
    center.says(&["component", "add", "p1abcd", "STM32", "--type", "mcu"]);
    let image = folder.path().join("fw.bin");
    fs::write(&image, b"firmware").unwrap();
    let add = ["package", "add", "--product", "p1abcd", "--component", "STM32", "--name", "two"];
    center.says(&[&add[..], &["--target", "2", image.to_str().unwrap()]].concat());
    let file = folder.path().join("plan.yaml");
    let path = file.to_str().unwrap();
    fs::write(folder.path().join("keys.csv"), "860001\n860002\n").unwrap();
    let text = "name: Autumn\nproduct: p1abcd\ntime_zone: Europe/Berlin\ncomponents:\n  STM32: two\n\
                push_period: 22:00-04:00\nstart: 2026-03-01T02:00\nwhitelist_file: keys.csv\n\
                strategy:\n  retries: 3\n  halt: 20/10\n";
    fs::write(&file, text).unwrap();
    let check = center.says(&["plan", "apply", path, "--check"]);
    assert_eq!(check, "plan \"Autumn\" is new\n");
    assert_eq!(center.says(&["plan", "list"]).lines().count(), 1, "nothing was made");
    assert_eq!(center.says(&["plan", "apply", path]), "plan \"Autumn\" is new\nplan 1: saved\n");
    let plan = center.json(&["plan", "show", "1"]);
    assert_eq!(
        (&plan["strategy"]["retries"], &plan["listed"]["whitelist"]),
        (&3.into(), &2.into()),
        "{plan}"
    );
    assert_eq!(center.says(&["plan", "apply", path]), "plan \"Autumn\" is as the file says\nplan 1: saved\n");
    fs::write(&file, text.replace("retries: 3", "retries: 1")).unwrap();
    assert_eq!(center.says(&["plan", "apply", path]), "strategy.retries: 3 -> 1\nplan 1: saved\n");
    let said = center.says(&["plan", "apply", path, "--activate"]);
    assert_eq!(said, "plan \"Autumn\" is as the file says\nplan 1: activated\n");
    fs::write(&file, text).unwrap();
    fails(
        &center.run(&["plan", "apply", path]),
        "cannot change any more; the file differs in strategy.retries",
    );
    fs::write(&file, text.replace("two", "three")).unwrap();
    fails(&center.run(&["plan", "apply", path]), "no package of STM32");
    fs::write(&file, "name: [").unwrap();
    fails(&center.run(&["plan", "apply", path]), "plan.yaml");

    center.says(&["plan", "terminate", "1"]);
    let said = center.says(&["plan", "watch", "1"]);
    assert_eq!(said, "Autumn: Terminated: no device yet\n");
    assert_eq!(center.json(&["plan", "watch", "1"])["state"], "terminated");
    fails(&center.run(&["plan", "watch", "9"]), "9");
}

#[test]
fn an_empty_whitelist_is_refused_and_never_every_device() {
    let (center, folder) = start();
    center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
    center.says(&["component", "add", "p1abcd", "STM32", "--type", "mcu"]);
    let image = folder.path().join("fw.bin");
    fs::write(&image, b"x").unwrap();
    let add = ["package", "add", "--product", "p1abcd", "--component", "STM32", "--name", "two"];
    center.says(&[&add[..], &["--target", "2", image.to_str().unwrap()]].concat());
    let create = ["plan", "create", "--name", "Autumn", "--product", "p1abcd", "--component", "STM32=1"];
    let file = folder.path().join("keys.csv");
    let file = file.to_str().unwrap();
    for text in ["", "dk\n", "\n \n\n"] {
        fs::write(file, text).unwrap();
        let refused =
            "no device key in it; without a whitelist the plan is for every device: leave the option out";
        fails(&center.run(&[&create[..], &["--whitelist-file", file]].concat()), refused);
    }
    assert_eq!(center.says(&["plan", "list"]).lines().count(), 1, "nothing was made");

    center.says(&[&create[..], &["--whitelist", "8600,8601"]].concat());
    fails(&center.run(&["plan", "edit", "1", "--whitelist-file", file]), "no device key in it");
    fails(&center.run(&["plan", "edit", "1", "--whitelist", file]), &format!("--whitelist-file {file}?"));
    fails(&center.run(&["plan", "edit", "1", "--whitelist", "none,8600"]), "stands alone");
    let said = center.says(&["plan", "show", "1"]);
    assert!(said.contains("2 devices of the whitelist"), "{said}");
    center.says(&["plan", "edit", "1", "--whitelist", "none"]);
    let said = center.says(&["plan", "show", "1"]);
    assert!(said.contains("every device of product p1abcd, 0 now"), "{said}");
}
