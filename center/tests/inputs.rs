//! What operators enter by mistake: each is refused in words that name the value and what would be right.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use support::Center;
use tempfile::TempDir;

const CREATE: [&str; 6] = ["plan", "create", "--product", "p1abcd", "--component", "STM32=1"];

/// A center with a product, its component and package 1.
struct Bench {
    center: Center,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let center = Center::start(&folder.path().join("center"));
        center.says(&["product", "create", "--key", "p1abcd", "--name", "Pump"]);
        center.says(&["component", "add", "p1abcd", "STM32", "--type", "mcu"]);
        let bench = Self { center, folder };
        assert_eq!(bench.center.says(&bench.add("two", "2_0_0", &[])), "1\n");
        bench
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path: PathBuf = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn add<'a>(&self, name: &'a str, target: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let file = self.file("fw.bin", "firmware").leak();
        let add = ["package", "add", "--product", "p1abcd", "--component", "STM32", "--name", name];
        [&add[..], &["--target", target], more, &[file]].concat()
    }

    fn says(&self, words: &[&str]) -> String {
        self.center.says(words)
    }

    /// The command fails with one line that has all of `words`.
    fn refuses(&self, command: &[&str], words: &[&str]) {
        refused(&self.center.run(command), words, &format!("{command:?}"));
    }
}

fn refused(output: &Output, words: &[&str], command: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_ne!(output.status.code(), Some(0), "{command} succeeded");
    assert_eq!(output.stdout, b"", "{command}");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error:?} of {command}");
    }
    for leak in ["{\"", "variant", "invalid type", "valid UTF-8", "failed to parse", "os error"] {
        assert!(!error.contains(leak), "{leak:?} leaks in {error:?} of {command}");
    }
}

#[test]
fn an_empty_value_of_an_option_is_refused_by_its_name() {
    let bench = Bench::new();
    bench.refuses(&bench.add("three", "3", &["--source", ""]), &["--source: the value is empty"]);
    assert_eq!(bench.says(&["package", "list"]).lines().count(), 2, "no full package was made of it");
    bench.refuses(
        &[&CREATE[..], &["--name", "A", "--whitelist", ""]].concat(),
        &["--whitelist: the value is empty"],
    );
    bench.refuses(&["plan", "show", ""], &["ID: the value is empty"]);
    bench.refuses(&["product", "list", "--server="], &["--server: the value is empty"]);
}

#[test]
fn what_cannot_be_read_is_named_in_plain_words() {
    let bench = Bench::new();
    let create = |more: &[&'static str]| [&CREATE[..], &["--name", "A", "--time-zone", "UTC"], more].concat();
    bench.refuses(&create(&["--push-period", "22-4"]), &["push period \"22-4\"", "22:00-04:00"]);
    bench.refuses(&create(&["--mode", "manually"]), &["'manually'", "--mode", "silent, manual"]);
    bench.refuses(&create(&["--push", "now"]), &["'now'", "actively, on_request"]);
    let list = ["device", "list", "--product", "p1abcd", "--seen-before", "yesterday"];
    bench.refuses(&list, &["'yesterday'", "2026-03-01T02:00Z"]);
    let latin = bench.file("latin.csv", b"860001\n86\xfc\n");
    bench.refuses(
        &[&CREATE[..], &["--name", "A", "--whitelist-file", &latin]].concat(),
        &["latin.csv: line 2 is not UTF-8"],
    );
    let add =
        ["package", "add", "--product", "p1abcd", "--component", "STM32", "--name", "x", "--target", "3"];
    bench.refuses(&[&add[..], &["."]].concat(), &["it is a folder"]);
}

#[test]
fn a_plan_is_given_by_its_name_wherever_by_its_number() {
    let bench = Bench::new();
    bench.says(&[&CREATE[..5], &["STM32=two", "--name", "Autumn 2026"]].concat());
    assert_eq!(bench.says(&["plan", "activate", "Autumn 2026"]), "activated\n");
    assert!(bench.says(&["plan", "show", "Autumn 2026"]).contains("Activated"));
    assert_eq!(bench.says(&["plan", "suspend", "Autumn 2026"]), "suspended\n");
    bench.says(&["plan", "clone", "Autumn 2026", "--name", "Winter"]);
    assert_eq!(bench.says(&["plan", "delete", "Winter"]), "deleted\n");
    bench.refuses(&["plan", "activate", "Winter"], &["there is no upgrade plan \"Winter\""]);
    bench.refuses(&[&CREATE[..], &["--name", "2"]].concat(), &["name \"2\": a name is no number"]);
}

#[test]
fn a_package_whose_name_is_anothers_number_is_never_taken_silently() {
    let bench = Bench::new();
    assert_eq!(bench.says(&bench.add("1", "3_0_0", &[])), "2\n");
    let yaml = "name: Autumn\nproduct: p1abcd\ncomponents:\n  STM32: 1\n";
    let file = bench.file("plan.yaml", yaml);
    bench.refuses(
        &["plan", "apply", &file],
        &["STM32=1", "package 1 has this number", "package 2 of STM32 has it as its name"],
    );
    bench.file("plan.yaml", yaml.replace("STM32: 1", "STM32: 2"));
    bench.says(&["plan", "apply", &file]);
    bench.refuses(&[&CREATE[..5], &["STM32=three", "--name", "A"]].concat(), &["no package of STM32"]);
}

#[test]
fn a_version_with_other_bytes_is_warned_about_at_the_upload_and_at_the_activation() {
    let bench = Bench::new();
    let told = |output: Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    let warning = "package 1 (two) has other bytes for STM32 2_0_0";
    let same = told(bench.center.run(&bench.add("same", "2_0_0", &[])));
    assert!(!same.contains("warning"), "the same bytes: {same}");
    let file = bench.file("other.bin", "another firmware");
    let words = ["package", "add", "--product", "p1abcd", "--component", "STM32", "--name", "other"];
    let other = told(bench.center.run(&[&words[..], &["--target", "2_0_0", &file]].concat()));
    assert!(other.starts_with("3\n") && other.contains(warning), "{other}");
    let delta = told(bench.center.run(&bench.add("delta", "2_0_0", &["--source", "1_0_0"])));
    assert!(!delta.contains("warning"), "for another version: {delta}");
    bench.says(&["plan", "create", "--name", "A", "--product", "p1abcd", "--component", "STM32=3"]);
    let activated = told(bench.center.run(&["plan", "activate", "A"]));
    assert!(activated.contains(warning), "{activated}");
}

#[test]
fn a_product_has_one_module() {
    let bench = Bench::new();
    bench.says(&["component", "add", "p1abcd", "EC200U", "--type", "module"]);
    let words = ["\"EC200U\" is the module already", "a device has one"];
    bench.refuses(&["component", "add", "p1abcd", "BG95", "--type", "module"], &words);
    bench.says(&["component", "add", "p1abcd", "BG95", "--type", "mcu"]);
    bench.refuses(&["component", "edit", "p1abcd", "BG95", "--type", "module"], &words);
    bench.says(&["component", "edit", "p1abcd", "EC200U", "--type", "module"]);
}

#[test]
fn numbers_in_a_file_are_the_keys_that_stand_there() {
    let bench = Bench::new();
    let yaml = "name: Autumn\nproduct: p1abcd\ncomponents:\n  STM32: two\nwhitelist:\n  - 860000000000001\n  - 0860\n";
    let file = bench.file("plan.yaml", yaml);
    bench.says(&["plan", "apply", &file]);
    let agent = bench.center.json(&["plan", "show", "1"]);
    assert_eq!(agent["listed"]["whitelist"], 2);
    assert_eq!(bench.says(&["plan", "apply", &file]), "plan \"Autumn\" is as the file says\nplan 1: saved\n");
}

#[test]
fn a_file_of_devices_without_a_usable_line_is_an_error() {
    let bench = Bench::new();
    let import = |text: &str| {
        let file = bench.file("devices.csv", text);
        bench.center.run(&["device", "import", "--product", "p1abcd", &file])
    };
    refused(&import("8,60000000000001E+14;a\n"), &["line 1", "spreadsheet has shortened"], "import");
    refused(&import("8.6E14\n"), &["line 1", "spreadsheet has shortened"], "import");
    refused(&import("k1,k2,k3\n"), &["several device keys in one line"], "import");
    refused(&import("86 00\n86 01\n"), &["none of 2 lines"], "import");
    refused(&import(""), &["no device key in it"], "import");
    refused(&import("IMEI\n"), &["no device key in it"], "import");
    assert!(import("IMEI\n860000000000001\n").status.success());
    assert_eq!(
        bench.says(&["device", "list", "--product", "p1abcd"]).lines().count(),
        2,
        "a heading is no device"
    );
}

#[test]
fn devices_are_imported_from_a_pipe() {
    let bench = Bench::new();
    let program = env!("CARGO_BIN_EXE_quecota-center");
    for (name, command) in [
        ("-", "printf '8601\\n8602\\n' | \"$0\" device import --product p1abcd -"),
        ("/dev/stdin", "printf '8603\\n' | \"$0\" device import --product p1abcd /dev/stdin"),
        ("a FIFO", "mkfifo keys; printf '8604\\n' > keys & \"$0\" device import --product p1abcd keys"),
    ] {
        let mut shell = Command::new("timeout");
        shell
            .args(["60", "sh", "-c", command, program])
            .current_dir(bench.folder.path())
            .stdin(Stdio::null());
        shell.env("QUECOTA_SERVER", format!("http://{}", bench.center.http));
        shell.env("QUECOTA_TOKEN", fs::read_to_string(bench.center.data.join("token")).unwrap());
        let output = shell.output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(bench.says(&["device", "list", "--product", "p1abcd"]).lines().count(), 5);
}

#[test]
fn a_name_with_something_that_nobody_sees_is_refused_by_the_character() {
    let bench = Bench::new();
    bench.refuses(&bench.add("three", "2_0_0 ", &[]), &["target", "ends with a blank"]);
    bench.refuses(&bench.add("three", "2\u{a0}0", &[]), &["target", "U+00A0"]);
    bench.refuses(&bench.add("three", "3", &["--source", "\u{200b}2"]), &["source", "character 1 is U+200B"]);
    bench.refuses(
        &["component", "add", "p1abcd", "STM33 ", "--type", "mcu"],
        &["component", "ends with a blank"],
    );
    bench.refuses(&[&CREATE[..], &["--name", " "]].concat(), &["name", "blank"]);
    bench.refuses(&["product", "create", "--key", "p2", "--name", "\u{202e}x"], &["name", "U+202E"]);
}

#[test]
fn a_version_that_devices_cannot_parse_is_refused_at_the_package() {
    let bench = Bench::new();
    for (version, end) in [("2,0", "','"), ("2:0", "':'")] {
        bench.refuses(&bench.add("three", version, &[]), &["target", version, end]);
        bench.refuses(&bench.add("three", "3", &["--source", version]), &["source", version, end]);
    }
}

#[test]
fn a_text_is_changed_or_taken_away_and_the_others_stay() {
    let bench = Bench::new();
    bench.says(&[&CREATE[..], &["--name", "A", "--text", "en=One", "--text", "zh=A"]].concat());
    bench.says(&["plan", "edit", "A", "--text", "zh=B"]);
    let texts = || bench.center.json(&["plan", "show", "A"])["texts"].clone();
    assert_eq!(texts(), serde_json::json!({ "en": "One", "zh": "B" }));
    bench.says(&["plan", "edit", "A", "--text", "en=none"]);
    assert_eq!(texts(), serde_json::json!({ "zh": "B" }));
    // A file says all of them.
    let yaml = "name: A\nproduct: p1abcd\ncomponents:\n  STM32: two\ntexts:\n  en: Two\n";
    bench.says(&["plan", "apply", &bench.file("plan.yaml", yaml)]);
    assert_eq!(texts(), serde_json::json!({ "en": "Two" }));
}

#[test]
fn what_can_never_be_activated_is_refused_when_the_plan_is_made() {
    let bench = Bench::new();
    bench.says(&["component", "add", "p1abcd", "STM33", "--type", "mcu"]);
    bench.refuses(&[&CREATE[..5], &["STM33=1", "--name", "A"]].concat(), &["STM33=1", "for component STM32"]);
    let end = ["--name", "A", "--time-zone", "UTC", "--end", "2020-01-01T00:00Z"];
    bench.refuses(&[&CREATE[..], &end].concat(), &["end", "2020-01-01", "it has passed"]);
    // What may still become right is a warning.
    let output = bench.center.run(&[&CREATE[..], &["--name", "A", "--mode", "manual"]].concat());
    assert_eq!(output.stdout, b"1\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("warning: manual mode needs the upgrade text in language \"en\""), "{said}");
    bench.refuses(&["plan", "edit", "A", "--component", "STM33=1"], &["for component STM32"]);
}

#[test]
fn a_plan_says_who_it_is_for_before_it_is_activated() {
    let bench = Bench::new();
    let file = bench.file("devices.csv", "8601\n8602\n8603\n");
    bench.says(&["device", "import", "--product", "p1abcd", &file]);
    let noted = |command: &[&str]| {
        let output = bench.center.run(command);
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let all = "for every device of product p1abcd, 3 now";
    assert!(noted(&[&CREATE[..], &["--name", "All"]].concat()).contains(all));
    assert!(bench.says(&["plan", "show", "All"]).contains("every device of product p1abcd, 3 now"));
    assert!(bench.says(&["plan", "dry-run", "All"]).starts_with("for every device of the product, 3 now\n"));
    assert!(noted(&["plan", "activate", "All"]).contains(all));
    let some = noted(&[&CREATE[..], &["--name", "Some", "--whitelist", "8601,8602"]].concat());
    assert!(some.contains("for 2 devices of the whitelist"), "{some}");
    assert!(bench.says(&["plan", "dry-run", "Some"]).contains("for 2 devices of the whitelist\n"));
}

#[test]
fn a_plan_with_times_says_by_which_zones_clock() {
    let bench = Bench::new();
    for times in
        [["--push-period", "22:00-04:00"], ["--start", "2126-03-01T02:00Z"], ["--end", "2126-03-01T02:00Z"]]
    {
        bench.refuses(&[&CREATE[..], &["--name", "A"], &times[..]].concat(), &["time zone", "Europe/Berlin"]);
    }
    let yaml = "name: A\nproduct: p1abcd\ncomponents:\n  STM32: two\npush_period: 22:00-04:00\n";
    bench.refuses(&["plan", "apply", &bench.file("plan.yaml", yaml)], &["time_zone in a file"]);
    assert_eq!(bench.says(&[&CREATE[..], &["--name", "A"]].concat()), "1\n");
}

#[test]
fn a_host_that_vendor_devices_do_not_take_is_refused_at_the_start() {
    let folder = TempDir::new().unwrap();
    let serve = |url: &str| {
        let mut command = Command::new("timeout");
        command.args(["20", env!("CARGO_BIN_EXE_quecota-center"), "serve", "--log", "error", "--data"]);
        command.arg(folder.path()).args([
            "--http",
            "127.0.0.1:0",
            "--mqtt",
            "127.0.0.1:0",
            "--public-url",
            url,
        ]);
        command.env_remove("QUECOTA_TOKEN").stdin(Stdio::null()).output().unwrap()
    };
    for url in ["http://localhost:8080", "http://ab:80", "http://a.b:80"] {
        let output = serve(url);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{url}: {error}");
        assert!(error.contains(url) && error.contains("4 to 63 characters with a '.'"), "{error}");
        assert!(error.contains("--no-vendor-devices"), "{error}");
    }
    Center::start_with(folder.path(), |command| {
        command.args([
            "--http",
            "127.0.0.1:0",
            "--mqtt",
            "127.0.0.1:0",
            "--public-url",
            "http://localhost:8080",
        ]);
        command.arg("--no-vendor-devices");
    });
}

/// Every plan's zone becomes one that no program knows.
#[tokio::main(flavor = "current_thread")]
async fn lose_zones(database: PathBuf) {
    use sqlx::Connection;

    sqlx::any::install_default_drivers();
    let url = format!("sqlite://{}", database.display());
    let mut connection = sqlx::AnyConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE plans SET time_zone = 'Mars/Olympus'").execute(&mut connection).await.unwrap();
}

#[test]
fn a_plan_whose_zone_is_gone_is_held_and_all_else_goes_on() {
    let bench = Bench::new();
    bench.says(&["device", "import", "--product", "p1abcd", &bench.file("devices.csv", "8601\n")]);
    bench.says(&[&CREATE[..], &["--name", "Old"]].concat());
    bench.says(&["plan", "activate", "Old"]);
    bench.says(&[&CREATE[..], &["--name", "Saved"]].concat());
    lose_zones(bench.center.data.join("center.db"));

    assert_eq!(bench.says(&["plan", "list"]).lines().count(), 3);
    assert!(bench.says(&["plan", "show", "Old"]).contains("Mars/Olympus"));
    let why = bench.says(&["why", "p1abcd", "8601"]);
    assert!(why.contains("time zone Mars/Olympus is not known"), "{why}");
    bench.refuses(&["plan", "activate", "Saved", "--supersede"], &["time zone Mars/Olympus is not known"]);
    bench.says(&["plan", "edit", "Saved", "--time-zone", "US/Eastern"]);
    // Two ticks later the center is still well.
    std::thread::sleep(std::time::Duration::from_millis(2_200));
    let health = format!("http://{}/health", bench.center.http);
    assert_eq!(ureq::get(&health).call().unwrap().status(), 200);
    assert_eq!(bench.says(&["plan", "terminate", "Old"]), "terminated\n");
    assert_eq!(bench.says(&["plan", "activate", "Saved"]), "activated\n");
}
