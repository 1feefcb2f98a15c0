//! TLS on both ports, who is believed about whom, what strangers may take, and that the log tells no secret.

mod support;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Center, Process, eventually};
use tempfile::TempDir;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// A certificate of its own authority for the loopback; gives the PEM.
fn certificate(folder: &Path) -> String {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.pem()
}

fn agent(pem: &str) -> ureq::Agent {
    let roots = RootCerts::new_with_certs(&[Certificate::from_pem(pem.as_bytes()).unwrap()]);
    let tls = TlsConfig::builder().root_certs(roots).build();
    let config = ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false);
    config.timeout_global(Some(Duration::from_secs(20))).build().into()
}

/// A center whose lines on standard output are given with it.
fn serve(data: &Path, more: &[&str], log: Option<PathBuf>) -> (Process, Vec<String>) {
    let mut process = Process::start(env!("CARGO_BIN_EXE_quecota-center"), |command| {
        command.arg("serve").arg("--data").arg(data).args(more).stdout(Stdio::piped());
        if let Some(log) = log {
            command.stderr(File::create(log).unwrap());
        }
    });
    let lines = BufReader::new(process.child().stdout.take().unwrap()).lines().map(Result::unwrap);
    let first_start = lines.take(3).collect();
    (process, first_start)
}

fn after<'a>(lines: &'a [String], prefix: &str) -> &'a str {
    let found = lines.iter().find_map(|line| line.strip_prefix(prefix));
    found.unwrap_or_else(|| panic!("no {prefix:?} in {lines:?}"))
}

#[test]
fn both_ports_speak_tls_alone_and_take_a_new_certificate_without_a_restart() {
    let folder = TempDir::new().unwrap();
    let first = certificate(folder.path());
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let closed = ["--http", "none", "--mqtt", "none", "--https", "127.0.0.1:0", "--mqtts", "127.0.0.1:0"];
    let options = [&closed[..], &["--tls-cert", cert, "--tls-key", key]].concat();
    let (mut center, lines) = serve(&folder.path().join("data"), &options, None);
    let https = after(&lines, "https: ").to_owned();
    let mqtts: SocketAddr = after(&lines, "mqtts: mqtts://").parse().unwrap();
    let once = after(&lines, "sign in: account admin, one-time password ");

    let client = agent(&first);
    assert_eq!(client.get(format!("{https}/health")).call().unwrap().status(), 200);
    let signed_in = client
        .post(format!("{https}/api/v1/session"))
        .send_json(json!({ "account": "admin", "password": once }))
        .unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.ends_with("; Secure"), "{cookie}");
    let plain = format!("http://{}/health", https.strip_prefix("https://").unwrap());
    assert!(client.get(plain).call().is_err(), "no plain HTTP there");

    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(first.as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let socket = TcpStream::connect(mqtts).unwrap();
    socket.set_read_timeout(Some(support::TIMEOUT)).unwrap();
    let mut device = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket);
    // A CONNECT of MQTT 3.1 (level 3): the endpoint answers that it wants level 4.
    device.write_all(b"\x10\x11\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x03dev").unwrap();
    let mut answer = [0; 4];
    device.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 1]);

    let second = certificate(folder.path());
    let pid = center.child().id().to_string();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    eventually("the new certificate", || {
        agent(&second).get(format!("{https}/health")).call().ok().filter(|answer| answer.status() == 200)
    });
    assert!(agent(&first).get(format!("{https}/health")).call().is_err(), "the old one is gone");

    // A key that does not fit changes nothing.
    fs::write(key, "no key").unwrap();
    assert!(std::process::Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    assert_eq!(agent(&second).get(format!("{https}/health")).call().unwrap().status(), 200);
}

#[test]
fn a_certificate_whose_files_change_is_taken_without_a_word_to_the_center() {
    let folder = TempDir::new().unwrap();
    let first = certificate(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let ports = ["--http", "none", "--mqtt", "127.0.0.1:0", "--https", "127.0.0.1:0"];
    let (cert, key) = (at("cert.pem"), at("key.pem"));
    let options = [&ports[..], &["--tls-cert", &cert, "--tls-key", &key]].concat();
    let log = folder.path().join("log");
    let (_center, lines) = serve(&folder.path().join("data"), &options, Some(log.clone()));
    let health = format!("{}/health", after(&lines, "https: "));
    let serves = |pem: &str| agent(pem).get(&health).call().is_ok();
    assert!(serves(&first));

    // A renewal that is half written: the certificate is there, its key is not.
    let old_key = fs::read(&key).unwrap();
    let second = certificate(folder.path());
    let fresh_key = fs::read(&key).unwrap();
    fs::write(&key, old_key).unwrap();
    eventually("a pair that does not fit is noticed", || {
        fs::read_to_string(&log).unwrap().contains("the certificate of before stays in use").then_some(())
    });
    assert!(serves(&first) && !serves(&second));

    fs::write(&key, fresh_key).unwrap();
    eventually("the new certificate", || serves(&second).then_some(()));
    assert!(!serves(&first), "the old one is gone");
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_at_the_start() {
    let folder = TempDir::new().unwrap();
    certificate(folder.path());
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let key = fs::read(at("key.pem")).unwrap();
    certificate(folder.path());
    fs::write(at("other.pem"), &key).unwrap();
    let start = |more: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_quecota-center"));
        let output = command.args(["serve", "--data", &at("data")]).args(more).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let tls = ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--https", "127.0.0.1:0"];
    for (cert, key, words) in [
        ("none.pem", "key.pem", "--tls-cert"),
        ("key.pem", "key.pem", "holds no `BEGIN CERTIFICATE`"),
        ("cert.pem", "cert.pem", "holds no `BEGIN PRIVATE KEY`"),
        ("cert.pem", "other.pem", "with --tls-key"),
    ] {
        let error = start(&[&tls[..], &["--tls-cert", &at(cert), "--tls-key", &at(key)]].concat());
        assert!(error.contains(words) && !error.contains("MIG"), "{error}");
    }
    assert!(start(&["--https", "127.0.0.1:0"]).contains("--tls-cert"));
    assert!(start(&["--http", "none"]).contains("nobody could reach the center"));
}

#[test]
fn a_named_proxy_alone_says_who_asks_and_strangers_have_bounds() {
    let folder = TempDir::new().unwrap();
    let ask = |center: &Center, name: &str| {
        let token = fs::read_to_string(center.data.join("token")).unwrap();
        let client: ureq::Agent = ureq::Agent::config_builder().build().into();
        let url = |path: &str| format!("http://{}/api/v1/{path}", center.http);
        let bearer = format!("Bearer {}", token.trim());
        let made = client.post(url("products")).header("authorization", &bearer);
        let made = made.header("x-forwarded-for", "203.0.113.7");
        made.send_json(json!({ "key": name, "name": name })).unwrap();
        let log = client.get(url("audit?newest=true&limit=1")).header("authorization", &bearer).call();
        let log: Value = log.unwrap().body_mut().read_json().unwrap();
        log["items"][0]["address"].as_str().unwrap().to_owned()
    };
    let behind = Center::start_with(&folder.path().join("a"), |command| {
        command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--trusted-proxy", "127.0.0.0/8"]);
    });
    assert_eq!(ask(&behind, "p1"), "203.0.113.7");
    let bare = Center::start_with(&folder.path().join("b"), |command| {
        let ports = ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"];
        command.args(ports).args(["--connections-per-address", "3"]);
    });
    assert_eq!(ask(&bare, "p1"), "127.0.0.1", "anybody can write the header");

    let connect = || {
        let stream = TcpStream::connect(bare.http).unwrap();
        stream.set_read_timeout(Some(support::TIMEOUT)).unwrap();
        stream
    };
    let mut held: Vec<_> = (0..8).map(|_| connect()).collect();
    let is_closed = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        match stream.read(&mut [0; 1]) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    };
    // They wait for the first three for a while.
    let mut closed = || held.iter_mut().filter_map(|stream| is_closed(stream).then_some(())).count();
    let closed = eventually("more than three are closed", || Some(closed()).filter(|closed| *closed >= 5));
    // One place may have been that of a connection of before.
    assert!(closed <= 6, "{closed} of 8 are closed, 3 may be open");
    drop(held);
    eventually("a place that is served", || {
        let mut stream = connect();
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    });
    let mut long = eventually("a free place", || {
        let mut stream = connect();
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\nx-long: ").ok()?;
        Some(stream)
    });
    // The center may close before it has read all of it.
    let _ = long.write_all(&[b'x'; 64 * 1024]);
    let mut answer = Vec::new();
    let _ = long.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[test]
fn no_secret_is_in_the_log_or_in_an_error() {
    let folder = TempDir::new().unwrap();
    let log = folder.path().join("log");
    let ports = ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--log", "trace"];
    let (mut center, lines) = serve(&folder.path().join("data"), &ports, Some(log.clone()));
    let http = after(&lines, "http: ");
    let once = after(&lines, "sign in: account admin, one-time password ").to_owned();
    let client: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut told = String::new();
    let mut secrets = vec![once.clone(), "planted-password".to_owned(), "plantedproductsecret".to_owned()];
    let url = |path: &str| format!("{http}/api/v1/{path}");
    let wrong = json!({ "account": "admin", "password": "planted-password" });
    told += &client.post(url("session")).send_json(wrong).unwrap().body_mut().read_to_string().unwrap();
    let change = json!({ "account": "admin", "password": once, "new": "planted-password" });
    let begun = client.post(url("session/password")).send_json(change).unwrap();
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let begun: Value = begun.into_body().read_json().unwrap();
    let csrf = begun["csrf"].as_str().unwrap();
    secrets.extend([cookie.split('=').nth(1).unwrap().to_owned(), csrf.to_owned()]);
    let post = |path: &str, body: Value| {
        let request = client.post(url(path)).header("cookie", &cookie).header("x-csrf-token", csrf);
        request.send_json(body).unwrap().into_body().read_json::<Value>().unwrap()
    };
    let made = post("tokens", json!({ "name": "ci", "role": "viewer" }));
    let token = made["secret"].as_str().unwrap().to_owned();
    let bearer = |token: &str| {
        let request = client.get(url("products")).header("authorization", format!("Bearer {token}"));
        request.call().unwrap().into_body().read_to_string().unwrap()
    };
    told += &bearer(&token);
    told += &bearer("planted-wrong-token");
    secrets.extend([token, "planted-wrong-token".to_owned()]);
    post("products", json!({ "key": "p1", "name": "p", "secret": "plantedproductsecret" }));
    told +=
        &post("products", json!({ "key": "p1", "name": "p", "secret": "plantedproductsecret" })).to_string();
    told += &post("products", json!({ "key": "p2", "name": "p", "secret": "planted" })).to_string();
    for name in ["token", "seal.key"] {
        secrets.push(fs::read_to_string(folder.path().join("data").join(name)).unwrap().trim().to_owned());
    }
    let pid = center.child().id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(center.finish().success());
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("sign-in refused") && log.len() > 10_000, "the log says much: {}", log.len());
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log");
        assert!(!told.contains(&secret), "{secret} is in {told}");
    }
}
