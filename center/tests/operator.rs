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
    assert_has(
        &bench.refused(&["plan", "edit", "1", "--verification", "maybe"]),
        &["verification \"maybe\""],
    );
    center.says(&["plan", "edit", "1", "--verification", "optional"]);
    assert_eq!(center.says(&["plan", "activate", "1"]), "activated\n");
    let said = center.says(&["why", "p1abcd", "d1"]);
    assert_has(&said, &["plan 1 (Autumn, activated): the device is offline"]);
}
