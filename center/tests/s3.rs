//! Packages on an S3-compatible store, a real server of which runs beside the test: two centers share it, an upload comes in
//! by parts, a download goes out by ranges.

mod balancer;
mod cluster;
mod own_postgres;
mod support;

use std::process::Stdio;
use std::time::Duration;

use cluster::{Cluster, TOKEN};
use support::{Process, eventually};
use ureq::unversioned::multipart::{Form, Part};

const BUCKET: &str = "firmware";

/// The server, and its address.
struct S3 {
    _process: Process,
    address: String,
}

impl S3 {
    fn start() -> S3 {
        let server = std::env::var("QUECOTA_TEST_S3").expect(
            "QUECOTA_TEST_S3 is not set: run `cargo xtask test`, which installs an S3 server for the tests, or set it to \
             the path of `moto_server` (PyPI: moto[s3], flask, flask-cors)",
        );
        let port = support::free_port();
        let process = Process::start(&server, |command| {
            command.args(["--host", "127.0.0.1", "--port", &port.to_string()]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
        });
        let s3 = S3 { _process: process, address: format!("http://127.0.0.1:{port}") };
        eventually("the S3 server", || ureq::get(&s3.address).call().ok());
        ureq::put(format!("{}/{BUCKET}", s3.address)).send_empty().unwrap();
        s3
    }

    /// What the bucket answers to a question.
    fn ask(&self, question: &str) -> String {
        let mut answer = ureq::get(format!("{}/{BUCKET}?{question}", self.address)).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    }

    fn contents(&self) -> usize {
        self.ask("list-type=2").matches("<Key>centers/sha256/").count()
    }

    fn everything(&self) -> usize {
        self.ask("list-type=2").matches("<Key>").count()
    }
}

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
    let environment = [
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ENDPOINT", s3.address.clone()),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
    ];
    cluster.packages_at(&format!("s3://{BUCKET}/centers"), &environment);
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
