//! A request with an `Idempotency-Key` whose center is killed before its end: whoever sends it again is told so within a
//! minute, and a new key carries it out.

mod own_postgres;
mod support;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use own_postgres::Postgres;
use serde_json::{Value, json};
use support::{Center, eventually};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const PORTS: [&str; 4] = ["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"];

/// An upload, and where it breaks off.
const UPLOAD: &str = "--x\r\ncontent-disposition: form-data; name=\"component\"\r\n\r\nSTM32\r\n\
    --x\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\nfirst\r\n\
    --x\r\ncontent-disposition: form-data; name=\"target\"\r\n\r\n2_0_0\r\n\
    --x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"fw.bin\"\r\n\r\nfirmware\r\n--x--\r\n";
const BREAKS: usize = 60;

/// `POST`; its status and answer.
fn post(center: &Center, path: &str, media: &str, key: &str, body: &str) -> (u16, Value) {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let request = agent.post(format!("http://{}/api/v1/{path}", center.http));
    let request = request.header("Authorization", format!("Bearer {TOKEN}")).header("Content-Type", media);
    let mut answer = request.header("Idempotency-Key", key).send(body).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}")))
}

fn upload(center: &Center, key: &str) -> (u16, Value) {
    post(center, "products/p1/packages", "multipart/form-data; boundary=x", key, UPLOAD)
}

fn start(data: &Path, database: Option<&str>) -> Center {
    fs::create_dir_all(data).unwrap();
    fs::write(data.join("token"), TOKEN).unwrap();
    Center::start_with(data, |command| {
        command.args(PORTS).env("QUECOTA_TOKEN", TOKEN);
        if let Some(url) = database {
            let packages = data.parent().unwrap().join("packages");
            command.args(["--database", url, "--packages"]).arg(packages);
            command.args(["--center-id", data.file_name().unwrap().to_str().unwrap()]);
            command.env("QUECOTA_SEAL_KEY", "5e".repeat(32));
        }
    })
}

fn product(center: &Center) {
    let media = "application/json";
    let new = json!({ "key": "p1", "name": "Pump" }).to_string();
    assert_eq!(post(center, "products", media, "1", &new).0, 201);
    let new = json!({ "id": "STM32", "type": "mcu" }).to_string();
    assert_eq!(post(center, "products/p1/components", media, "2", &new).0, 201);
}

/// Begins the upload with this key and keeps it open: a second one with the key learns that it is under way.
fn begin(center: &Center, key: &str) -> TcpStream {
    let mut stream = TcpStream::connect(center.http).unwrap();
    let head = format!(
        "POST /api/v1/products/p1/packages HTTP/1.1\r\nhost: center\r\nauthorization: Bearer {TOKEN}\r\n\
         idempotency-key: {key}\r\ncontent-type: multipart/form-data; boundary=x\r\ncontent-length: {}\r\n\r\n",
        UPLOAD.len()
    );
    stream.write_all((head + &UPLOAD[..BREAKS]).as_bytes()).unwrap();
    // The first one may not have come in yet; then this one would be it, and end well.
    std::thread::sleep(Duration::from_secs(1));
    let (status, told) = upload(center, key);
    assert_eq!((status, &told["code"]), (409, &json!("in_progress")), "{told}");
    stream
}

fn is_cut_off((status, told): (u16, Value)) {
    assert_eq!((status, &told["code"]), (409, &json!("cut_off")), "{told}");
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("broke off before its end"), "{told}");
    assert!(told["next"].as_str().unwrap().contains("new Idempotency-Key"), "{told}");
}

#[test]
fn after_a_kill_the_same_center_says_so_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("center");
    let center = start(&data, None);
    product(&center);
    let stream = begin(&center, "a");
    center.process.kill();
    drop(stream);
    let center = start(&data, None);
    is_cut_off(upload(&center, "a"));
    assert_eq!(upload(&center, "b").0, 201);
    // An answer that was kept is given by the next run, too.
    let (status, told) = post(&center, "products", "application/json", "1", r#"{"key":"p1","name":"Pump"}"#);
    assert_eq!((status, &told["key"]), (201, &json!("p1")), "{told}");
}

#[test]
fn after_a_kill_another_center_says_so_within_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let cluster = Postgres::start();
    let url = cluster.url();
    let [first, second] = ["a", "b"].map(|id| start(&folder.path().join(id), Some(&url)));
    product(&first);
    let stream = begin(&first, "a");
    let (_, told) = upload(&second, "a");
    assert_eq!(told["code"], "in_progress", "{told}");
    first.process.kill();
    drop(stream);
    let killed = Instant::now();
    let answer = eventually("the other center's word", || {
        let answer = upload(&second, "a");
        (answer.1["code"] != "in_progress").then_some(answer)
    });
    println!("told after {:.1} s", killed.elapsed().as_secs_f64());
    is_cut_off(answer);
    assert_eq!(upload(&second, "b").0, 201);
}

#[test]
fn who_goes_away_in_the_middle_may_send_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let center = start(&folder.path().join("center"), None);
    product(&center);
    drop(begin(&center, "a"));
    let (status, made) = eventually("the end of what broke off", || {
        let answer = upload(&center, "a");
        (answer.1["code"] != "in_progress").then_some(answer)
    });
    assert_eq!(status, 201, "{made}");
    assert_eq!(upload(&center, "a").1, made);
}

#[test]
fn a_request_whose_handler_panics_is_not_under_way_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let center = Center::start_with(&folder.path().join("center"), |command| {
        command.args(PORTS).env("QUECOTA_TOKEN", TOKEN).env("QUECOTA_PLANT", "panicking-handler");
    });
    let media = "application/json";
    assert_eq!(post(&center, "products", media, "1", r#"{"key":"p1","name":"Pump"}"#).0, 201);
    let again = || post(&center, "products/p1/components", media, "2", r#"{"id":"STM32","type":"mcu"}"#);
    let (status, told) = again();
    assert_eq!((status, &told["code"]), (500, &json!("internal")), "{told}");
    let answer = eventually("the end of what panicked", || {
        let answer = again();
        (answer.1["code"] != "in_progress").then_some(answer)
    });
    is_cut_off(answer);
    // The center goes on, and so does what it has kept.
    assert_eq!(post(&center, "products", media, "1", r#"{"key":"p1","name":"Pump"}"#).0, 201);
}
