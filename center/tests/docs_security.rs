//! docs/security.md, followed as a new user would: its commands are run in their order, from an empty folder to a center
//! over TLS with two accounts.

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use support::{Process, eventually, free_port};

#[test]
fn the_page_leads_from_an_empty_folder_to_a_center_over_tls_with_two_accounts() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
    let page = std::fs::read_to_string(page).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_quecota-center")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    // The page's ports may be taken on this machine.
    let (https, mqtts) = (free_port().to_string(), free_port().to_string());
    let mut center = None;
    let mut once = String::new();
    let mut printed = String::new();
    for block in page.split("```sh\n").skip(1) {
        let commands = block.split("```").next().unwrap();
        let commands = commands.replace("8443", &https).replace("8883", &mqtts);
        let jo = printed.split("account:            jo").nth(1).unwrap_or_default();
        let jo = jo.split("one-time password:").nth(1).unwrap_or_default().split_whitespace().next();
        let commands = commands.replace("JO-ONE-TIME-PASSWORD", jo.unwrap_or_default());
        let commands = commands.replace("ONE-TIME-PASSWORD", &once);
        if commands.starts_with("quecota-center serve") {
            let words: Vec<&str> = commands.split_whitespace().skip(1).collect();
            let mut process = Process::start(env!("CARGO_BIN_EXE_quecota-center"), |command| {
                command.args(words).current_dir(folder.path()).stdout(Stdio::piped());
            });
            let lines = BufReader::new(process.child().stdout.take().unwrap()).lines().map(Result::unwrap);
            let said: Vec<String> = lines.take(3).collect();
            assert_eq!(
                said[..2],
                [format!("mqtts: mqtts://127.0.0.1:{mqtts}"), format!("https: https://127.0.0.1:{https}")]
            );
            once = said[2].strip_prefix("sign in: account admin, one-time password ").unwrap().to_owned();
            center = Some(process);
            continue;
        }
        let mut shell = Command::new("sh");
        shell.args(["-e", "-c", &commands]).current_dir(folder.path()).stdin(Stdio::null());
        for name in ["QUECOTA_TOKEN", "QUECOTA_SERVER", "QUECOTA_CENTER", "QUECOTA_CA"] {
            shell.env_remove(name);
        }
        let output =
            shell.env("PATH", &path).env("XDG_CONFIG_HOME", folder.path().join("config")).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{commands}\n{error}");
        printed += &String::from_utf8(output.stdout).unwrap();
    }
    for shown in [
        "as admin (administrator)",
        "as jo (operator)",
        "one-time password",
        "lines, each holds",
        "POST /accounts",
    ] {
        assert!(printed.contains(shown), "{shown:?} is not in\n{printed}");
    }
    let has_file = |name: &str| folder.path().join(name).exists();
    assert!(!printed.contains(&once) && !has_file("once") && !has_file("mine"));
    let mut center = center.expect("the page starts a center");
    assert!(Command::new("kill").arg(center.child().id().to_string()).status().unwrap().success());
    eventually("the end of the center", || center.child().try_wait().unwrap());
}
