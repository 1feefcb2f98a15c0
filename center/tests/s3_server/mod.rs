//! A real S3 server beside the test: moto, whose path `cargo xtask test` gives.
#![allow(dead_code)] // each test file uses its own part

use std::process::Stdio;

use crate::support::{self, Process, eventually};

const BUCKET: &str = "firmware";

/// The server, and its address.
pub struct S3 {
    _process: Process,
    pub address: String,
}

impl S3 {
    pub fn start() -> S3 {
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

    /// The place for packages, as a center is told it.
    pub fn place(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// What a center needs in its environment to reach the server.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT", self.address.clone()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    /// What the bucket answers to a question.
    pub fn ask(&self, question: &str) -> String {
        let mut answer = ureq::get(format!("{}/{BUCKET}?{question}", self.address)).call().unwrap();
        answer.body_mut().read_to_string().unwrap()
    }

    pub fn contents(&self) -> usize {
        self.ask("list-type=2").matches("<Key>centers/sha256/").count()
    }

    pub fn everything(&self) -> usize {
        self.ask("list-type=2").matches("<Key>").count()
    }
}
