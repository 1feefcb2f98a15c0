//! What an operator does beside plans' life cycle, with the real center: firmware verification, packages, single devices.

mod support;

use quecota_center::clock::Millis;
use quecota_center::config::DataFolder;
use quecota_center::rules::{DeviceKey, DeviceSecret, ProductKey};
use quecota_center::store::Store;
use serde_json::json;
use support::Center;
use tempfile::TempDir;

/// A center with product `p1abcd`, component `STM32` and package 1 for it.
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
        let bench = Bench { center, folder };
        bench.package("2_0_0", b"123456789");
        bench
    }

    /// Adds a package for `STM32`; gives its id.
    fn package(&self, target: &str, content: &[u8]) -> String {
        let file = self.folder.path().join("fw.bin");
        std::fs::write(&file, content).unwrap();
        let add = ["package", "add", "--product", "p1abcd", "--component", "STM32", "--name", "new"];
        self.center.id(&[&add[..], &["--target", target, file.to_str().unwrap()]].concat())
    }

    /// Devices as their first connect would leave them.
    fn enter(&self, keys: &[&str]) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let seal_keys = DataFolder::existing(&self.center.data).seal_keys().unwrap().unwrap();
            let store = Store::sqlite(&self.center.data.join("center.db"), seal_keys).await.unwrap();
            let mut writer = store.write().await.unwrap();
            let secret = DeviceSecret::new("0123456789abcdef").unwrap();
            for key in keys {
                let key = DeviceKey::new(*key).unwrap();
                let product = ProductKey::new("p1abcd").unwrap();
                writer.enter_device(&product, &key, &secret, Millis(1)).await.unwrap();
            }
            writer.commit().await.unwrap();
            store.close().await;
        });
    }

    /// A command that must be refused; what it said.
    #[track_caller]
    fn refused(&self, words: &[&str]) -> String {
        let output = self.center.run(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[track_caller]
fn assert_has(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in\n{said}");
    }
}

#[test]
fn a_package_is_verified_on_a_device_and_shows_it() {
    let bench = Bench::new();
    let center = &bench.center;
    let said = bench.refused(&["package", "verify", "1", "--device", "d1"]);
    assert_has(&said, &["there is no device d1 of product p1abcd"]);
    bench.enter(&["d1", "d2"]);
    let said = bench.refused(&["package", "verify", "1", "--device", "d1", "--component", "GD32"]);
    assert_has(&said, &["component \"GD32\"", "version package 1 is for component STM32"]);
    assert_eq!(center.says(&["package", "verify", "1", "--device", "d1", "--component", "STM32"]), "1\n");
    let said = bench.refused(&["package", "verify", "1", "--device", "d1"]);
    assert_has(&said, &["firmware verification 1 has this device"]);
    assert_eq!(center.says(&["package", "verify", "1", "--device", "d2"]), "2\n");

    let said = center.says(&["package", "verifications", "1"]);
    assert_has(&said, &["ID  DEVICE  STATE", "1   d1      Waiting", "2   d2      Waiting"]);
    let said = center.says(&["package", "verification", "1"]);
    assert_has(
        &said,
        &["device:     d1", "target:     2_0_0", "state:      Waiting", "firmware verification of"],
    );
    assert_has(&center.says(&["package", "show", "1"]), &["verified:   never, 2 is waiting"]);
    assert_has(&center.says(&["package", "list"]), &["never, 2 is waiting"]);
    let shown = center.json(&["package", "show", "1"]);
    assert_eq!((&shown["verified"], &shown["last_verification"]["device"]), (&json!("never"), &json!("d2")));
    assert_has(&center.says(&["why", "p1abcd", "d1"]), &["firmware verification 1 of package 1: waiting"]);
    assert_has(
        &center.says(&["device", "upgrades", "p1abcd", "d1"]),
        &["upgrade 1, a firmware verification"],
    );
    assert_has(&bench.refused(&["package", "verification", "9"]), &["there is no firmware verification 9"]);

    let create = ["plan", "create", "--name", "Autumn", "--product", "p1abcd", "--component", "STM32=1"];
    center.says(&[&create[..], &["--verification", "required"]].concat());
    assert_has(&center.says(&["plan", "show", "1"]), &["verified:   required"]);
    let said = bench.refused(&["plan", "activate", "1"]);
    assert_has(&said, &["component STM32: version package 1 has passed no firmware verification"]);
    let output = center.run(&["plan", "edit", "1", "--verification", "maybe"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_has(&said, &["'maybe'", "--verification", "optional, required"]);
    center.says(&["plan", "edit", "1", "--verification", "optional"]);
    assert_eq!(center.says(&["plan", "activate", "1"]), "activated\n");
    let said = center.says(&["why", "p1abcd", "d1"]);
    assert_has(&said, &["plan 1 (Autumn, activated): the device is offline"]);
}

#[test]
fn a_package_goes_only_when_nothing_uses_it_and_its_content_with_the_last_one() {
    let bench = Bench::new();
    let center = &bench.center;
    assert_eq!(bench.package("2_0_1", b"123456789"), "2", "the same content again");
    let objects = || count_files(&center.data.join("objects"));
    assert_eq!(objects(), 1);
    center.says(&["plan", "create", "--name", "Autumn", "--product", "p1abcd", "--component", "STM32=1"]);
    assert_has(&center.says(&["package", "show", "1"]), &["plan:       1 (Autumn, Saved)"]);
    let said = bench.refused(&["package", "delete", "1"]);
    assert_has(&said, &["upgrade plan \"Autumn\" uses it; delete or end the plan first"]);
    center.says(&["plan", "activate", "1"]);
    assert_has(&bench.refused(&["package", "delete", "1"]), &["\"Autumn\" uses it"]);
    center.says(&["plan", "terminate", "1"]);
    assert_eq!(center.says(&["package", "delete", "1"]), "deleted\n");
    assert_eq!(objects(), 1, "the other package has this content too");
    assert_has(&bench.refused(&["package", "show", "1"]), &["there is no version package 1"]);
    assert_has(&bench.refused(&["package", "delete", "1"]), &["there is no version package 1"]);
    assert_has(&center.says(&["plan", "show", "1"]), &["state:      Terminated", "STM32      1"]);
    assert_eq!(center.says(&["package", "delete", "2"]), "deleted\n");
    assert_eq!(objects(), 0);

    bench.enter(&["d1"]);
    assert_eq!(bench.package("2_0_2", b"another"), "3");
    center.says(&["package", "verify", "3", "--device", "d1"]);
    assert_has(&bench.refused(&["package", "delete", "3"]), &["firmware verification 1 uses it"]);
}

fn count_files(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.path().is_dir() { count_files(&entry.path()) } else { 1 }).sum()
}

#[test]
fn a_packages_file_is_downloaded_whole_and_overwrites_nothing() {
    let bench = Bench::new();
    let path = bench.folder.path().join("back.bin");
    let back = path.to_str().unwrap();
    let download = ["package", "download", "1", "--to", back];
    assert_eq!(bench.center.says(&download), format!("{back}\n"));
    assert_eq!(std::fs::read(&path).unwrap(), b"123456789");
    assert_has(&bench.refused(&download), &[back, "File exists"]);
    let said = bench.refused(&["package", "download", "1", "--file", "1"]);
    assert_has(&said, &["file 1: version package 1 has no such file; they count from 0"]);

    let token = std::fs::read_to_string(bench.center.data.join("token")).unwrap();
    let url = |path: &str| format!("http://{}/api/v1/packages/{path}", bench.center.http);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let get = |path: &str| agent.get(url(path)).header("Authorization", format!("Bearer {}", token.trim()));
    let mut part = get("1/files/0").header("Range", "bytes=3-5").call().unwrap();
    assert_eq!(
        (part.status().as_u16(), part.headers()["content-range"].to_str().unwrap()),
        (206, "bytes 3-5/9")
    );
    assert_eq!(part.headers()["content-disposition"], "attachment; filename=\"fw.bin\"");
    assert_eq!(part.body_mut().read_to_string().unwrap(), "456");
    for missing in ["1/files/1", "1/files/x", "9/files/0"] {
        assert_eq!(get(missing).call().unwrap().status(), 404, "{missing}");
    }

    // What is on the disk is not what was uploaded: nobody gets it as the package.
    let sha256 =
        bench.center.json(&["package", "show", "1"])["files"][0]["sha256"].as_str().unwrap().to_owned();
    let object = bench.center.data.join("objects/sha256").join(&sha256[..2]).join(&sha256);
    std::fs::write(&object, b"12345678X").unwrap();
    std::fs::remove_file(&path).unwrap();
    assert_has(&bench.refused(&download), &["its digest is not the package's"]);
    assert!(!path.exists(), "nothing of it was kept");
}

#[test]
fn every_file_format_of_the_table_is_taken() {
    let bench = Bench::new();
    for format in quecota_center::rules::names::FILE_FORMATS {
        let file = bench.folder.path().join(format!("fw{format}"));
        std::fs::write(&file, format).unwrap();
        let add = ["package", "add", "--product", "p1abcd", "--component", "STM32", "--name", "new"];
        bench.center.says(&[&add[..], &["--target", "3", file.to_str().unwrap()]].concat());
    }
    assert_eq!(bench.center.json(&["package", "list"])["items"].as_array().unwrap().len(), 13);
}

#[test]
fn a_plan_is_cloned_in_any_state_with_every_field_and_list() {
    let bench = Bench::new();
    let center = &bench.center;
    let create = ["plan", "create", "--name", "Autumn", "--product", "p1abcd", "--component", "STM32=1"];
    let fields =
        ["--whitelist", "d1,d2", "--blacklist", "d2", "--retries", "5", "--push-period", "22:00-04:00"];
    center.says(&[&create[..], &fields, &["--time-zone", "Asia/Kathmandu"]].concat());
    center.says(&["plan", "activate", "1"]);
    center.says(&["plan", "terminate", "1"]);
    assert_has(
        &bench.refused(&["plan", "clone", "1", "--name", "Autumn"]),
        &["a plan with this name already"],
    );
    assert_has(&bench.refused(&["plan", "clone", "9", "--name", "x"]), &["there is no upgrade plan 9"]);
    assert_eq!(center.says(&["plan", "clone", "1", "--name", "Winter"]), "2\n");
    let [mut old, mut new] = ["1", "2"].map(|id| center.json(&["plan", "show", id]));
    assert_eq!((&new["state"], &new["name"]), (&json!("saved"), &json!("Winter")));
    for plan in [&mut old, &mut new] {
        for own in ["id", "name", "state", "created", "activated", "over", "blocked"] {
            plan.as_object_mut().unwrap().remove(own);
        }
    }
    assert_eq!(new, old);
    assert_eq!(new["listed"], json!({ "whitelist": 2, "blacklist": 1 }));
}

#[test]
fn only_a_saved_plan_is_edited_or_deleted() {
    let bench = Bench::new();
    let center = &bench.center;
    center.says(&["plan", "create", "--name", "Autumn", "--product", "p1abcd", "--component", "STM32=1"]);
    center.says(&["plan", "edit", "1", "--name", "Fall"]);
    for (step, state) in [("activate", "activated"), ("suspend", "suspended"), ("terminate", "terminated")] {
        center.says(&["plan", step, "1"]);
        for words in [&["plan", "edit", "1", "--name", "Late"][..], &["plan", "delete", "1"]] {
            assert_has(&bench.refused(words), &[&format!("it is {state}; only a saved plan is")]);
        }
    }
    center.says(&["plan", "clone", "1", "--name", "Next"]);
    center.says(&["plan", "delete", "2"]);
    assert_has(&bench.refused(&["plan", "show", "2"]), &["there is no upgrade plan 2"]);
}

#[test]
fn products_and_components_are_changed_while_nothing_stands_on_them() {
    let bench = Bench::new();
    let center = &bench.center;
    let said = center.says(&["product", "edit", "p1abcd", "--name", "Pumps", "--admission", "known-only"]);
    assert_has(&said, &["Pumps", "known_only"]);
    assert_eq!(center.json(&["product", "show", "p1abcd"])["admission"], "known_only");
    assert_has(&bench.refused(&["product", "edit", "p9", "--name", "x"]), &["there is no product p9"]);

    center.says(&["component", "add", "p1abcd", "GD32", "--type", "module"]);
    assert_eq!(center.says(&["component", "edit", "p1abcd", "GD32", "--type", "mcu"]), "GD32 (mcu)\n");
    assert_eq!(center.says(&["component", "delete", "p1abcd", "GD32"]), "deleted\n");
    assert_has(&bench.refused(&["component", "delete", "p1abcd", "GD32"]), &["there is no component GD32"]);
    for words in [
        &["component", "delete", "p1abcd", "STM32"][..],
        &["component", "edit", "p1abcd", "STM32", "--type", "module"],
    ] {
        assert_has(&bench.refused(words), &["component \"STM32\"", "version package \"new\" is for it"]);
    }
    center.says(&["plan", "create", "--name", "Autumn", "--product", "p1abcd", "--component", "STM32=1"]);
    center.says(&["plan", "activate", "1"]);
    center.says(&["plan", "terminate", "1"]);
    center.says(&["package", "delete", "1"]);
    assert_eq!(center.says(&["component", "delete", "p1abcd", "STM32"]), "deleted\n");
    assert_has(&center.says(&["plan", "show", "1"]), &["Terminated"]);
}

#[test]
fn single_devices_are_ordered_and_a_dry_run_is_shown() {
    let bench = Bench::new();
    let center = &bench.center;
    bench.enter(&["d1", "d2"]);
    let create = ["plan", "create", "--name", "Autumn", "--product", "p1abcd", "--component", "STM32=1"];
    center.says(&[&create[..], &["--whitelist", "d1,d9", "--mode", "manual"]].concat());
    let said = center.says(&["plan", "dry-run", "1"]);
    let expected = [
        "not activated: manual mode needs the upgrade text in language \"zh\"",
        "Held     1        never_connected",
    ];
    assert_has(&said, &expected);
    assert_eq!(center.json(&["plan", "dry-run", "1"])["devices"], 2);
    let said = bench.refused(&["plan", "retry", "1", "--device", "d1"]);
    assert_has(&said, &["the plan is saved; only in an active one are devices tried again or left out"]);
    center.says(&["plan", "edit", "1", "--mode", "silent"]);
    assert_eq!(center.says(&["plan", "activate", "1"]), "activated\n");
    let said = bench.refused(&["plan", "retry", "1", "--device", "d1,d8"]);
    assert_has(
        &said,
        &["nothing was done: device d8: the product has no such device; device d1: the plan was not"],
    );
    let said = bench.refused(&["plan", "skip", "1", "--device", "d2"]);
    assert_has(&said, &["the plan's whitelist does not hold the device"]);
    let said = center.says(&["plan", "skip", "1", "--device", "d1,d8", "--because", "in repair"]);
    assert_has(
        &said,
        &["1 devices are left out", "NOT DONE  WHY", "d8        the product has no such device"],
    );
    assert_has(&center.says(&["why", "p1abcd", "d1"]), &["left out by the operator: in repair"]);
    let said = center.says(&["plan", "retry", "1", "--state", "not_upgraded", "--reason", "in repair"]);
    assert_eq!(said, "1 devices are tried again\n");
    assert_eq!(
        center.says(&["plan", "retry", "1", "--state", "upgrade_failed"]),
        "0 devices are tried again\n"
    );
    let said = bench.refused(&["plan", "retry", "1", "--state", "broken"]);
    assert_has(&said, &["device state \"broken\"", "upgrade_failed"]);
    assert_eq!(center.run(&["plan", "retry", "1"]).status.code(), Some(2), "which devices?");
}
