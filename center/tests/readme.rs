//! README.md, section "Run a center": its blocks run as they are pasted, in order.

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use reference_device::{DeviceRunner, Script, Until};
use support::{eventually, free_port};

/// The commands of a section, block by block.
fn blocks(page: &str, section: &str) -> Vec<String> {
    let (_, rest) = page.split_once(&format!("## {section}\n")).expect(section);
    let section = rest.split("\n## ").next().unwrap();
    let parts: Vec<&str> = section.split("```").collect();
    parts.chunks(2).filter_map(|pair| Some(pair.get(1)?.strip_prefix("sh\n")?.to_owned())).collect()
}

/// Product key and secret of the C application above.
fn product_of_the_application(page: &str) -> (String, String) {
    let (_, rest) = page.split_once("Ql_iotConfigSetProductinfo(").unwrap();
    let words: Vec<&str> = rest.split('"').collect();
    (words[1].to_owned(), words[3].to_owned())
}

/// Ends the center that the page started.
struct Ended(std::path::PathBuf);

impl Drop for Ended {
    fn drop(&mut self) {
        if let Ok(id) = fs::read_to_string(&self.0) {
            // It may have ended by itself.
            let _ = Command::new("kill").args(["-KILL", id.trim()]).status();
        }
    }
}

#[test]
fn the_center_of_the_page_is_pasted_and_serves_the_application_above_it() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (http, mqtt) = (free_port(), free_port());
    // What `cargo install` puts in the path is there already, and the page's ports may be taken on this machine.
    let program = env!("CARGO_BIN_EXE_quecota-center");
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let script = |name: &str, text: String| {
        use std::os::unix::fs::PermissionsExt;
        fs::write(bin.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let id = folder.path().join("id");
    script("cargo", "exit 0".into());
    script(
        "quecota-center",
        format!(
            "if [ \"$1\" = serve ]; then echo $$ > {}; exec {program} \"$@\" --http 127.0.0.1:{http} --mqtt 127.0.0.1:{mqtt}; fi\n\
             exec {program} \"$@\"",
            id.display()
        ),
    );
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run = |commands: &str| {
        let mut shell = Command::new("timeout");
        shell.args(["60", "sh", "-e", "-c", commands]).current_dir(folder.path()).stdin(Stdio::null());
        shell.env("PATH", &path).env("QUECOTA_SERVER", format!("http://127.0.0.1:{http}"));
        shell.env_remove("QUECOTA_TOKEN").output().unwrap()
    };
    let blocks = blocks(&page, "Run a center");
    let [first, second] = blocks.as_slice() else { panic!("{blocks:?}") };
    let _ended = Ended(id);
    let output = run(&first.replace(":8080", &format!(":{http}")));
    let (said, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.trim_end().ends_with("activated"), "{said}\n{error}");
    assert!(
        said.contains("for every device of the product, 0 now"),
        "who is meant, before the activation: {said}"
    );

    let (product, secret) = product_of_the_application(&page);
    let token = fs::read_to_string(folder.path().join("data/token")).unwrap();
    let second = format!("export QUECOTA_TOKEN={token}\n{second}");
    let device = "860000000000001";
    assert!(second.contains(device));
    let mut script = Script::default();
    script.components.push(("STM32".into(), "1_0_0".into()));
    let address = format!("127.0.0.1:{mqtt}").parse().unwrap();
    let mut runner = DeviceRunner::new(address, &product, &secret, device, script);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            let deadline = Instant::now() + Duration::from_secs(60);
            runner.run(&Until { deadline, stop, upgrades: Some(1) })
        });
        eventually("the device's upgrade", || {
            let output = run(&second);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.success() && said.contains("Upgraded")).then_some(())
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
