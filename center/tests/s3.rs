//! Packages on an S3-compatible store, a real server of which runs beside the test: two centers share it, an upload comes in
//! by parts, a download goes out by ranges.

mod balancer;
mod cluster;
mod conversation;
mod own_postgres;
mod s3_server;
mod support;

use std::time::Duration;

use cluster::{Cluster, TOKEN};
use quecota_center::access::Access;
use quecota_center::api::Api;
use quecota_center::clock::Clock;
use quecota_center::packages::object_store::Objects;
use quecota_center::rules::{FileName, Remark, Title, Version};
use quecota_center::store::{NewPackage, PackageFile, PackageKind};
use reference_device::{FieldDevice, Sdk};
use s3_server::S3;
use support::eventually;
use ureq::unversioned::multipart::{Form, Part};

/// Bytes of a file of the package as an operator downloads it.
fn download(center: &support::Center, package: &str, range: Option<&str>) -> Vec<u8> {
    let request = ureq::get(format!("http://{}/api/v1/packages/{package}/files/0", center.http))
        .header("Authorization", format!("Bearer {TOKEN}"));
    let request = match range {
        Some(range) => request.header("Range", range),
        None => request,
    };
    let mut answer = request.call().unwrap();
    answer.body_mut().with_config().limit(64 * 1024 * 1024).read_to_vec().unwrap()
}

#[test]
fn centers_share_their_packages_on_an_s3_store() {
    let s3 = S3::start();
    let mut cluster = Cluster::idle();
    cluster.packages_at(&s3.place("centers"), &s3.environment());
    for id in ["a", "b"] {
        cluster.start_center(id);
    }
    cluster.product();
    // Three parts of 5 MiB, the last one smaller.
    let image: Vec<u8> = (0..11_000_000_usize).map(|at| (at.wrapping_mul(at) >> 9) as u8).collect();
    let file = cluster.folder.path().join("large.bin");
    std::fs::write(&file, &image).unwrap();
    let words = ["package", "add", "--product", cluster::PK, "--component", "MCU", "--name"];
    let file = file.display().to_string();
    let package = cluster.centers["a"].id(&[&words[..], &["large", "--target", "9", &file]].concat());
    assert_eq!((s3.contents(), s3.everything()), (1, 1));
    let other = &cluster.centers["b"];
    assert!(download(other, &package, None) == image);
    assert_eq!(download(other, &package, Some("bytes=5242870-5242889")), image[5_242_870..5_242_890]);

    // The same content is kept once, and goes with the last package that has it.
    let again = other.id(&[&words[..], &["again", "--target", "10", &file]].concat());
    assert_eq!((s3.contents(), s3.everything()), (1, 1));
    other.says(&["package", "delete", &package]);
    assert_eq!(s3.contents(), 1);
    cluster.centers["a"].says(&["package", "delete", &again]);
    assert_eq!(s3.everything(), 0);

    // An upload that is refused after its parts came in leaves nothing.
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let form = Form::new()
        .part("component", Part::text("MCU"))
        .part("file", Part::bytes(&image).file_name("large.bin"))
        .part("target", Part::text("a,b"))
        .part("name", Part::text("refused"));
    let answer = agent
        .post(format!("http://{}/api/v1/products/{}/packages", other.http, cluster::PK))
        .header("Authorization", format!("Bearer {TOKEN}"))
        .send(form)
        .unwrap();
    assert_eq!(answer.status(), 422);
    eventually("its parts go", || (s3.ask("uploads").matches("<UploadId>").count() == 0).then_some(()));
    assert_eq!(s3.everything(), 0);

    // Devices upgrade by it, whichever center answers.
    let plan = cluster.plan("a", "2", &[]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut runners: Vec<_> =
        (0..4).map(|number| cluster.device(number, "component MCU 1\nask every 1000 ms")).collect();
    std::thread::scope(|scope| {
        let _stops = cluster::Stops(&stop);
        for runner in &mut runners {
            let stop = &stop;
            scope.spawn(move || {
                let deadline = std::time::Instant::now() + Duration::from_secs(60);
                runner.run(&reference_device::Until { deadline, stop, upgrades: None })
            });
        }
        eventually("four devices", || (cluster.upgraded(&plan) == 4).then_some(()));
    });
    assert!(runners.iter().all(|runner| cluster::runs(runner, "2") == 1));
}

#[test]
fn a_place_that_is_none_stops_the_start_with_what_would_be_right() {
    for (place, words) in
        [("s3://nowhere/x", "the store does not answer"), ("ftp://host/x", "it is a folder, or s3://BUCKET")]
    {
        let folder = tempfile::tempdir().unwrap();
        let started = std::process::Command::new(env!("CARGO_BIN_EXE_quecota-center"))
            .args(["serve", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--packages", place, "--data"])
            .arg(folder.path())
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ENDPOINT", format!("http://127.0.0.1:{}", support::free_port()))
            .env("AWS_ALLOW_HTTP", "true")
            .output()
            .unwrap();
        let said = String::from_utf8(started.stderr).unwrap();
        assert!(!started.status.success() && said.contains(place) && said.contains(words), "{said}");
    }
}

#[test]
fn a_quecota_device_is_sent_to_the_store_and_a_vendor_device_is_not() {
    let s3 = S3::start();
    let mut cluster = Cluster::idle();
    cluster.packages_at(&s3.place("centers"), &s3.environment());
    cluster.arguments = vec!["--presigned"];
    cluster.start_center("a");
    cluster.product();
    let center = &cluster.centers["a"];
    let plan = cluster.plan("a", "2", &[]);
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    let mut urls = Vec::new();
    for (number, sdk) in [(1, Sdk::Quecota), (2, Sdk::V2_9_0)] {
        let mut device = FieldDevice::new(center.mqtt, cluster::PK, cluster::PS, &cluster::key(number));
        device.sdk = sdk;
        device.set_version("MCU", "1");
        device.come_online().unwrap();
        device.report_after_connect().unwrap();
        let offer = device.expect_plans().unwrap();
        device.report_state(1, offer[0].kind, "MCU").unwrap();
        device.report_state(2, offer[0].kind, "MCU").unwrap();
        let firmware = device.expect_firmware().unwrap();
        assert!(firmware.url.starts_with(&format!("http://{}", cluster.http.address())), "{}", firmware.url);
        let answer = agent.get(&firmware.url).header("Range", "bytes=100-199").call().unwrap();
        let told = answer.headers().get("location").map(|at| at.to_str().unwrap().to_owned());
        urls.push((answer.status().as_u16(), told, firmware.url, device));
    }
    let ours = urls.remove(0);
    let (status, location, ..) = &ours;
    let location = location.as_deref().unwrap();
    assert!(
        *status == 307 && location.starts_with(&s3.address) && location.contains("X-Amz-Signature"),
        "{location}"
    );
    let mut direct = agent.get(location).header("Range", "bytes=100-199").call().unwrap();
    assert_eq!(direct.status(), 206);
    let bytes = direct.body_mut().read_to_vec().unwrap();
    let (vendor_status, nowhere, vendor_url, _) = &urls[0];
    assert_eq!((*vendor_status, nowhere), (206, &None));
    let mut through = agent.get(vendor_url).header("Range", "bytes=100-199").call().unwrap();
    assert_eq!(through.body_mut().read_to_vec().unwrap(), bytes);
    // Of the one the center knows where it began, of the other one how far it came.
    for (fetched, sdk) in [(100, "quecota"), (200, "2.9.0")] {
        eventually(&format!("the progress of {sdk}"), || {
            let known = format!("component_upgrades WHERE fetched = {fetched}");
            (cluster.count(&known) == 1).then_some(())
        });
    }

    // As any URL of the center, it ends with its upgrade.
    drop(urls);
    center.says(&["plan", "terminate", &plan]);
    let (_, _, url, mut device) = ours;
    device.report_state(12, 1, "MCU").unwrap();
    eventually("the upgrade is over", || (agent.get(&url).call().unwrap().status() == 404).then_some(()));
}

#[test]
fn presigned_urls_need_a_store_that_answers() {
    let folder = tempfile::tempdir().unwrap();
    let started = std::process::Command::new(env!("CARGO_BIN_EXE_quecota-center"))
        .args(["serve", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--presigned", "--packages"])
        .arg(folder.path().join("objects"))
        .arg("--data")
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8(started.stderr).unwrap();
    assert!(!started.status.success() && said.contains("only an S3 store"), "{said}");

    // Nobody follows from TLS to a store without, or to a longer URL than the library holds.
    let s3 = S3::start();
    for (option, more, why) in [
        ("https://ota.example.org", "", "at an http:// address, and devices do not follow there"),
        ("http://ota.example.org", "long", "devices follow one of at most 2048"),
    ] {
        let mut center = std::process::Command::new("timeout");
        center.args(["20", env!("CARGO_BIN_EXE_quecota-center"), "serve", "--http", "127.0.0.1:0"]);
        center.args(["--mqtt", "127.0.0.1:0", "--presigned", "--packages"]);
        center.arg(s3.place("refused")).args(["--public-url", option, "--data"]).arg(folder.path());
        center.envs(s3.environment());
        if !more.is_empty() {
            center.env("AWS_SESSION_TOKEN", more.repeat(500));
        }
        let said = String::from_utf8(center.output().unwrap().stderr).unwrap();
        assert!(said.contains(why), "{said}");
    }
}

/// The client of the store is told by the environment, so the test runs itself with one.
#[test]
fn contents_that_no_package_has_are_collected_from_the_store() {
    const NAME: &str = "contents_that_no_package_has_are_collected_from_the_store";
    if std::env::var_os("AWS_ENDPOINT").is_none() {
        let s3 = S3::start();
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", NAME, "--nocapture"]).envs(s3.environment());
        again.env("QUECOTA_TEST_PLACE", s3.place("garbage"));
        let output = again.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(s3.ask("list-type=2").matches("<Key>").count(), 1);
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(collect(&std::env::var("QUECOTA_TEST_PLACE").unwrap()));
}

async fn collect(place: &str) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let objects = Objects::at(place, Duration::ZERO).await.unwrap();
    let center = conversation::Center::new().await;
    let mut contents = Vec::new();
    for bytes in [b"of a package".as_slice(), b"of nobody"] {
        let mut incoming = objects.receive().await.unwrap();
        incoming.write(bytes).await.unwrap();
        let staged = incoming.finish().await.unwrap();
        contents.push(staged.digests);
        objects.keep(staged).await.unwrap();
    }
    let kept = objects.older_than(Duration::ZERO).await.unwrap();
    let (_, object) = kept.iter().find(|(sha256, _)| *sha256 == contents[0].sha256).unwrap().clone();
    let mut writer = center.engine.store().write().await.unwrap();
    let package = NewPackage {
        product: conversation::pk(),
        component: conversation::no("STM32"),
        name: Title::new("two").unwrap(),
        kind: PackageKind::Full,
        target: Version::new("2").unwrap(),
        remark: Remark::new("").unwrap(),
        files: vec![PackageFile {
            name: FileName::new("a.bin").unwrap(),
            size: 12,
            digests: contents[0],
            object,
        }],
    };
    writer.create_package(package, conversation::NOON).await.unwrap();
    writer.commit().await.unwrap();
    let access = Access::new(center.engine.store().clone(), Clock::system(), "a", Some(TOKEN));
    let api = Api::new(center.engine.clone(), objects.clone(), access);
    api.collect_garbage(Duration::from_secs(3600)).await.unwrap();
    assert_eq!(
        objects.older_than(Duration::ZERO).await.unwrap().len(),
        2,
        "they may be an upload's that goes on"
    );
    api.collect_garbage(Duration::ZERO).await.unwrap();
    let left = objects.older_than(Duration::ZERO).await.unwrap();
    assert_eq!(left.iter().map(|(sha256, _)| *sha256).collect::<Vec<_>>(), [contents[0].sha256]);
}
