//! End to end: the examples of `c-examples`, built by CMake against `libquecota.a`, upgraded by plans of the real center.

mod s3_server;
mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use s3_server::S3;
use support::{Center, Process, eventually, free_port};

const PRODUCT: &str = "p1test";
const SECRET: &str = "dGVzdC1zZWNyZXQtMDAx";
const DEVICE: &str = "860000000000042";

/// An example on the library's platform for Linux, as CMake built it.
fn example(name: &str) -> PathBuf {
    let folder = std::env::var_os("QUECOTA_EXAMPLES");
    let folder = folder
        .expect("QUECOTA_EXAMPLES names the folder of the built c-examples; `cargo xtask test` sets it");
    PathBuf::from(folder).join(name)
}

/// An example on a platform of its own, as CMake built it.
fn port_example(name: &str) -> PathBuf {
    let folder = std::env::var_os("QUECOTA_PORT_EXAMPLES");
    let folder = folder
        .expect("QUECOTA_PORT_EXAMPLES names the folder of the built c-examples; `cargo xtask test` sets it");
    PathBuf::from(folder).join(name)
}

/// Bytes that repeat nowhere, the same in every run.
fn image(length: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| byte()).collect()
}

/// A product with these components, each `(name, kind, its image of version 2_0_0)`, and an active plan for all of them.
fn activate_plan(center: &Center, folder: &Path, components: &[(&str, &str, &[u8])]) -> String {
    center.says(&["product", "create", "--key", PRODUCT, "--name", "Diffuser", "--secret", SECRET]);
    let mut words: Vec<String> =
        ["plan", "create", "--name", "to two", "--product", PRODUCT, "--retries", "0"]
            .map(str::to_owned)
            .into();
    for (name, kind, image) in components {
        center.says(&["component", "add", PRODUCT, name, "--type", kind]);
        let file = folder.join(format!("{name}.bin"));
        fs::write(&file, image).unwrap();
        let file = file.to_str().unwrap();
        let package = center.id(&[
            "package",
            "add",
            "--product",
            PRODUCT,
            "--component",
            name,
            "--name",
            name,
            "--target",
            "2_0_0",
            file,
        ]);
        words.extend(["--component".to_owned(), format!("{name}={package}")]);
    }
    let plan = center.id(&words.iter().map(String::as_str).collect::<Vec<_>>());
    center.says(&["plan", "activate", &plan]);
    plan
}

/// What the center says of the device, once its upgrade is over.
fn is_upgraded(center: &Center) -> bool {
    let shown = center.json(&["device", "upgrades", PRODUCT, DEVICE]);
    shown["items"][0]["state"] == "upgraded"
}

/// The lines of a running example.
struct Said {
    lines: std::sync::mpsc::Receiver<String>,
    all: Vec<String>,
}

impl Said {
    fn by(device: &mut Process) -> Said {
        let (send, lines) = std::sync::mpsc::channel();
        let output = BufReader::new(device.child().stdout.take().unwrap());
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Said { lines, all: Vec::new() }
    }

    /// Waits for a line that begins so.
    fn until(&mut self, begin: &str) {
        loop {
            match self.lines.recv_timeout(support::TIMEOUT) {
                Ok(line) => {
                    let found = line.starts_with(begin);
                    self.all.push(line);
                    if found {
                        return;
                    }
                }
                Err(error) => panic!("no line begins with `{begin}`: {error}; {:#?}", self.all),
            }
        }
    }

    /// What is said until the end.
    fn rest(mut self) -> Vec<String> {
        self.all.extend(self.lines.iter());
        self.all
    }
}

/// The example with its platform over libmosquitto and libcurl.
fn custom_transport(folder: &Path, server: &str, more: &[&str]) -> Process {
    Process::start(port_example("custom_transport"), |command| {
        command.args(["--server", server, "--product-key", PRODUCT, "--product-secret", SECRET]);
        command.args(["--device-key", DEVICE, "--once", "--request-every", "1", "--staging", "65536"]);
        command.arg("--flash").arg(folder.join("flash.bin")).arg("--folder").arg(folder.join("device"));
        command.args(more).stdout(Stdio::piped());
    })
}

/// The first run is killed while it reads pieces, the second ends the upgrade.
fn killed_and_upgraded(center: &Center, folder: &Path, image: &[u8], server: &str, more: &[&str]) {
    let mut device = custom_transport(folder, server, more);
    let mut said = Said::by(&mut device);
    for _ in 0..5 {
        said.until("10703 piece");
    }
    device.kill();
    assert!(!folder.join("flash.bin").exists(), "it was upgraded before it was killed");

    let mut device = custom_transport(folder, server, more);
    let lines = Said::by(&mut device);
    assert!(device.finish().success(), "{:#?}", lines.rest());
    let lines = lines.rest();
    let first = lines.iter().find(|line| line.starts_with("10703")).expect("a piece");
    assert!(!first.contains(" start=0 "), "the killed download goes on where it was: {first}");
    assert!(
        fs::read(folder.join("flash.bin")).unwrap() == image,
        "the flash holds other bytes than the package"
    );
    eventually("the device upgrade upgraded", || is_upgraded(center).then_some(()));
}

#[test]
fn a_platform_over_libmosquitto_and_libcurl_is_upgraded_though_it_is_killed() {
    let program = fs::read(port_example("custom_transport")).unwrap();
    assert!(
        !program.windows(7).any(|bytes| bytes == b"rumqttc"),
        "the library's own platform is linked, so nothing is shown"
    );
    let folder = tempfile::tempdir().unwrap();
    let image = image(1024 * 1024);
    let center = Center::start(&folder.path().join("center"));
    activate_plan(&center, folder.path(), &[("STM32", "mcu", &image)]);
    killed_and_upgraded(&center, folder.path(), &image, &format!("mqtt://{}", center.mqtt), &[]);
}

#[test]
fn the_same_with_tls_trusts_its_ca_file_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(1024 * 1024);
    let certificate = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (cert, key) =
        (file("cert.pem", certificate.cert.pem()), file("key.pem", certificate.signing_key.serialize_pem()));
    let (mqtts, https) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let center = Center::start_with(&folder.path().join("center"), |command| {
        command.args([
            "--mqtt",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--mqtts",
            &mqtts,
            "--https",
            &https,
        ]);
        command.args(["--tls-cert", &cert, "--tls-key", &key, "--public-url", &format!("https://{https}")]);
    });
    activate_plan(&center, folder.path(), &[("STM32", "mcu", &image)]);
    let server = format!("mqtts://{mqtts}");

    let mut stranger = custom_transport(folder.path(), &server, &[]);
    let mut said = Said::by(&mut stranger);
    // Authentication or connection failed, whichever the library calls it; never subscribed.
    said.until("event ");
    stranger.kill();
    assert!(!said.rest().iter().any(|line| line.starts_with("event 3,10200")));
    let known = center.run(&["device", "upgrades", PRODUCT, DEVICE]).status.success();
    assert!(!known, "a certificate that nobody vouches for was trusted");

    killed_and_upgraded(&center, folder.path(), &image, &server, &["--ca-file", &cert]);
}

/// Runs an example on the library's platform to its end, which must be a success; what it said.
fn run(folder: &Path, name: &str, arguments: &[&str]) -> Vec<String> {
    let mut device = Process::start(example(name), |command| {
        command.args(arguments).stdout(Stdio::piped());
        command.env("QUECOTA_DIR", folder.join("device")).env("QUECOTA_DEVICE_KEY", DEVICE);
        command.env("QUECOTA_STAGING", "65536");
    });
    let said = Said::by(&mut device);
    let status = device.finish();
    let lines = said.rest();
    assert!(status.success(), "{lines:#?}");
    lines
}

#[test]
fn the_minimal_example_writes_the_image_that_was_uploaded() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(300_000);
    let center = Center::start(&folder.path().join("center"));
    activate_plan(&center, folder.path(), &[("STM32", "mcu", &image)]);
    let flash = folder.path().join("flash.bin");
    let server = format!("mqtt://{}", center.mqtt);
    let lines = run(folder.path(), "minimal", &[&server, PRODUCT, SECRET, flash.to_str().unwrap()]);
    assert_eq!(lines.last().map(String::as_str), Some("upgraded"), "{lines:#?}");
    assert!(fs::read(&flash).unwrap() == image, "the flash holds other bytes than the package");
    eventually("the device upgrade upgraded", || is_upgraded(&center).then_some(()));
}

/// The platform of Linux and one with libcurl, at a store that signs with temporary credentials.
#[test]
fn both_platforms_follow_the_center_to_the_store_by_a_long_address() {
    let s3 = S3::start();
    let image = image(300_000);
    let examples: [fn(&Path, &Center); 2] = [
        |folder, center| {
            let server = format!("mqtt://{}", center.mqtt);
            let flash = folder.join("flash.bin");
            run(folder, "minimal", &[&server, PRODUCT, SECRET, flash.to_str().unwrap()]);
        },
        |folder, center| {
            let mut device = custom_transport(folder, &format!("mqtt://{}", center.mqtt), &[]);
            let said = Said::by(&mut device);
            assert!(device.finish().success(), "{:#?}", said.rest());
        },
    ];
    for example in examples {
        let folder = tempfile::tempdir().unwrap();
        let center = Center::start_with(&folder.path().join("center"), |command| {
            command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--presigned"]);
            command.args(["--packages", &s3.place("examples")]).envs(s3.environment());
            // 1344 characters in the URL.
            command.env("AWS_SESSION_TOKEN", "token/+=".repeat(96));
        });
        activate_plan(&center, folder.path(), &[("STM32", "mcu", &image)]);
        example(folder.path(), &center);
        assert!(fs::read(folder.path().join("flash.bin")).unwrap() == image, "other bytes than the package");
        eventually("the device upgrade upgraded", || is_upgraded(&center).then_some(()));
        // The center has sent none of the bytes.
        let token = fs::read_to_string(center.data.join("token")).unwrap();
        let asked = ureq::get(format!("http://{}/metrics", center.http))
            .header("Authorization", format!("Bearer {}", token.trim()));
        let figures = asked.call().unwrap().body_mut().read_to_string().unwrap();
        let figure = |name: &str| {
            let line = figures.lines().find_map(|line| line.strip_prefix(name));
            line.map_or(0, |figure| figure.trim().parse::<u64>().unwrap())
        };
        assert_eq!(figure("quecota_download_bytes_total "), 0);
        assert!(figure("quecota_download_requests_total{status=\"307\"} ") >= 5, "{figures}");
    }
}

#[test]
fn one_plan_brings_each_of_two_components_its_own_image() {
    let folder = tempfile::tempdir().unwrap();
    let (display, sensor) = (image(200_000), image(90_001)[1..].to_vec());
    let center = Center::start(&folder.path().join("center"));
    activate_plan(&center, folder.path(), &[("display", "mcu", &display), ("sensor", "mcu", &sensor)]);
    let flash = folder.path().join("flash");
    let server = format!("mqtt://{}", center.mqtt);
    run(
        folder.path(),
        "multi_component",
        &[
            "--server",
            &server,
            "--product-key",
            PRODUCT,
            "--product-secret",
            SECRET,
            "--request-every",
            "1",
            "--flash",
            flash.to_str().unwrap(),
        ],
    );
    for (name, image) in [("display", display), ("sensor", sensor)] {
        let written = fs::read(folder.path().join(format!("flash.{name}"))).unwrap();
        assert!(written == image, "{name} holds other bytes than its package");
    }
    eventually("the device upgrade upgraded", || is_upgraded(&center).then_some(()));
}

/// The module's example, until its firmware says `version` or it ends; whether it ended well, and what it said.
fn fota(folder: &Path, server: &str) -> (bool, Vec<String>) {
    let mut module = Process::start(port_example("fota"), |command| {
        command.args(["--server", server, "--product-key", PRODUCT, "--product-secret", SECRET]);
        command.args(["--device-key", DEVICE, "--request-every", "1"]);
        command.arg("--folder").arg(folder.join("device")).stdout(Stdio::piped());
    });
    let said = Said::by(&mut module);
    let status = module.finish();
    (status.success(), said.rest())
}

#[test]
fn module_firmware_is_applied_and_runs_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let firmware = [b"2_0_0\n".to_vec(), image(200_000)].concat();
    let center = Center::start(&folder.path().join("center"));
    activate_plan(&center, folder.path(), &[("MODULE", "module", &firmware)]);
    let (well, lines) = fota(folder.path(), &format!("mqtt://{}", center.mqtt));
    assert!(well, "{lines:#?}");
    let boots: Vec<_> = lines.iter().filter(|line| line.starts_with("boot ")).collect();
    assert_eq!(boots, ["boot version=factory", "boot version=2_0_0"], "{lines:#?}");
    assert!(fs::read(folder.path().join("device/module.bin")).unwrap() == firmware);
    eventually("the device upgrade upgraded", || is_upgraded(&center).then_some(()));
}

#[test]
fn module_firmware_that_says_another_version_has_failed() {
    let folder = tempfile::tempdir().unwrap();
    let firmware = [b"1_9_9\n".to_vec(), image(20_000)].concat();
    let center = Center::start(&folder.path().join("center"));
    activate_plan(&center, folder.path(), &[("MODULE", "module", &firmware)]);
    let (well, lines) = fota(folder.path(), &format!("mqtt://{}", center.mqtt));
    assert!(!well, "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("10706 ")), "{lines:#?}");
    eventually("the device upgrade failed", || {
        let shown = center.json(&["device", "upgrades", PRODUCT, DEVICE]);
        (shown["items"][0]["state"] == "upgrade_failed").then_some(())
    });
}

#[test]
fn an_application_with_business_data_is_upgraded_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(300_000);
    let center = Center::start(&folder.path().join("center"));
    activate_plan(&center, folder.path(), &[("STM32", "mcu", &image)]);
    let flash = folder.path().join("flash.bin");
    let server = format!("mqtt://{}", center.mqtt);
    let lines = run(folder.path(), "business", &[&server, PRODUCT, SECRET, flash.to_str().unwrap()]);
    let number = |begin: &str| lines.iter().filter(|line| line.starts_with(begin)).count();
    // A message of the application is acknowledged for each piece, and the report before them.
    assert_eq!(number("event 7, code 10703"), 5, "{lines:#?}");
    assert!(number("event 4, code 10200") > 5 && number("event 4, code 10210") == 1, "{lines:#?}");
    assert!(fs::read(&flash).unwrap() == image, "the flash holds other bytes than the package");
    eventually("the device upgrade upgraded", || is_upgraded(&center).then_some(()));
    let log = eventually("the business data in the log", || {
        let log = center.says(&["device", "log", PRODUCT, DEVICE]);
        (log.contains("data report") && log.contains("data passed through")).then_some(log)
    });
    assert!(log.contains("piece"), "{log}");
}
