//! Version packages of the real center: uploads with their rules, and downloads as devices make them.

mod small_disk;
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use quecota_center::clock::Millis;
use quecota_center::config::DataFolder;
use quecota_center::packages::format::FILE_SIZE_MAX;
use quecota_center::packages::object_store::Objects;
use quecota_center::packages::signature::{PublicUrl, Signer, Token, UrlKey};
use quecota_center::rules::progress::{ComponentState, UpgradeState};
use quecota_center::rules::{ComponentKind, ComponentNo, DeviceKey, DeviceSecret, ProductKey, Version};
use quecota_center::store::{ComponentUpgrade, PackageId, Store, Upgrade, UpgradeId};
use serde_json::Value;
use small_disk::SmallDisk;
use support::{Center, Process, eventually};
use tempfile::TempDir;
use ureq::unversioned::multipart::{Form, Part};

const PRODUCT: &str = "p1test";

/// A center with a product that has an MCU and a module component.
struct Bench {
    center: Center,
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::in_folder(TempDir::new().unwrap())
    }

    fn in_folder(folder: TempDir) -> Self {
        // The disk is full when it is, not some hundred megabytes before.
        let center = Center::start_with(&folder.path().join("center"), |command| {
            command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0", "--upload-reserve", "0"]);
        });
        center.says(&["product", "create", "--key", PRODUCT, "--name", "Test"]);
        center.says(&["component", "add", PRODUCT, "STM32", "--type", "mcu"]);
        center.says(&["component", "add", PRODUCT, "MODULE", "--type", "module"]);
        Self { center, folder }
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// Sends a form as any client could; status and JSON.
    fn upload(&self, form: Form<'_>) -> (u16, Value) {
        upload(self.center.http, &self.center.data, form)
    }

    /// The most memory that the center has had in use so far, in KB.
    fn peak(&mut self) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.center.process.child().id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What the object store has: relative paths.
    fn objects(&self) -> Vec<String> {
        objects(&self.center.data)
    }
}

fn upload(http: SocketAddr, data: &Path, form: Form<'_>) -> (u16, Value) {
    let token = DataFolder::existing(data).known_token().unwrap();
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(120)))
        .build()
        .into();
    let mut answer = agent
        .post(format!("http://{http}/api/v1/products/{PRODUCT}/packages"))
        .header("Authorization", format!("Bearer {token}"))
        .send(form)
        .unwrap();
    (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
}

fn objects(data: &Path) -> Vec<String> {
    let root = data.join("objects");
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().strip_prefix(&root).unwrap().display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// The fields of a good package for the MCU.
fn fields<'a>() -> BTreeMap<&'a str, String> {
    let fields = [("component", "STM32"), ("name", "two"), ("target", "2_0_0")];
    fields.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}

fn form<'a>(fields: &'a BTreeMap<&'a str, String>, files: &'a [(&'a str, &'a [u8])]) -> Form<'a> {
    let form = fields.iter().fold(Form::new(), |form, (name, value)| form.text(name, value));
    files.iter().fold(form, |form, (name, content)| form.part("file", Part::bytes(content).file_name(name)))
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

#[test]
fn every_broken_rule_of_an_upload_is_named_with_its_value() {
    let bench = Bench::new();
    let long_remark = "r".repeat(201);
    let good: (&str, &[u8]) = ("fw.bin", b"firmware");
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [(&'a str, &'a [u8])], u16, &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        // changed fields, files, status, field, a part of the message
        (&[], &[("fw.exe", b"x")], 422, "file name", "\"fw.exe\""),
        (&[], &[("firmware", b"x")], 422, "file name", ".tar.gz"),
        (&[], &[("fw.bin", b"")], 422, "file", "\"fw.bin\": the file is empty"),
        (&[], &[], 422, "file", "none was sent"),
        (&[], &[good, good], 422, "file", "exactly one file"),
        (&[("component", "MODULE")], &[good, good, good, good, good, good], 422, "file", "at most 5 files"),
        (&[("remark", long_remark.as_str())], &[good], 422, "remark", "at most 200 characters"),
        (&[("target", "")], &[good], 422, "version", "1 to 64"),
        (&[("target", "2;0")], &[good], 422, "target", "\"2;0\""),
        (&[("source", "2_0_0")], &[good], 422, "source", "\"2_0_0\""),
        (&[("name", "")], &[good], 422, "name", "1 to 100"),
        (&[("product", "p9")], &[good], 422, "field", "\"product\""),
        (&[("component", "GD32")], &[good], 422, "component", "GD32 of product p1test"),
        (&[("vendor", "x")], &[good], 422, "field", "\"vendor\""),
        (&[("-name", "")], &[good], 422, "name", "must be given"),
    ];
    for (changes, files, status, field, words) in cases {
        let mut fields = fields();
        for (name, value) in *changes {
            match name.strip_prefix('-') {
                Some(name) => fields.remove(name),
                None => fields.insert(name, (*value).to_owned()),
            };
        }
        let (answered, body) = bench.upload(form(&fields, files));
        let error = &body;
        assert_eq!(answered, *status, "{words}: {body}");
        assert_eq!(error["field"], *field, "{body}");
        assert!(error["detail"].as_str().unwrap().contains(words), "{words}: {body}");
        assert!(error["rule"].is_string(), "{body}");
    }
    eventually("an empty object store", || bench.objects().is_empty().then_some(()));
    assert_eq!(bench.center.json(&["package", "list"])["items"], serde_json::json!([]));
}

#[test]
fn a_remark_of_200_characters_and_five_files_for_a_module_are_taken() {
    let bench = Bench::new();
    let mut fields = fields();
    fields.insert("component", "MODULE".to_owned());
    fields.insert("remark", "ü".repeat(200));
    fields.insert("source", "1_0_0".to_owned());
    let files: [(&str, &[u8]); 5] =
        [("a.bin", b"a"), ("b.tar.gz", b"b"), ("c.BIN_1", b"c"), ("d.s19", b"d"), ("e.py", b"e")];
    let (status, package) = bench.upload(form(&fields, &files));
    assert_eq!(status, 201, "{package}");
    assert_eq!((&package["type"], &package["source"]), (&"delta".into(), &"1_0_0".into()));
    let names: Vec<_> = package["files"].as_array().unwrap().iter().map(|file| &file["name"]).collect();
    assert_eq!(names, ["a.bin", "b.tar.gz", "c.BIN_1", "d.s19", "e.py"]);
    assert_eq!(package["files"][0]["md5"], "0cc175b9c0f1b6a831c399e269772661");
    assert_eq!(package["files"][0]["crc32"], "e8b7be43");
}

#[test]
fn the_largest_file_streams_through_little_memory_and_one_byte_more_is_refused() {
    let mut bench = Bench::new();
    // Most of it is the program itself, which a build without optimization makes large.
    let before = bench.peak();
    let fields = fields();
    let mut zeros = std::io::repeat(0).take(FILE_SIZE_MAX + 1);
    let form = |zeros| form(&fields, &[]).part("file", Part::reader(zeros).file_name("zeros.bin"));
    let (status, body) = bench.upload(form(&mut zeros));
    assert_eq!(status, 413, "{body}");
    let message = body["detail"].as_str().unwrap();
    assert!(message.contains("zeros.bin") && message.contains("104857600"), "{message}");
    eventually("an empty object store", || bench.objects().is_empty().then_some(()));

    let mut zeros = std::io::repeat(0).take(FILE_SIZE_MAX);
    let (status, package) = bench.upload(form(&mut zeros));
    assert_eq!(status, 201, "{package}");
    assert_eq!(package["files"][0]["size"], FILE_SIZE_MAX);
    assert_eq!(package["files"][0]["md5"], "2f282b84e7e608d5852449ed940bfc51");

    let back = bench.folder.path().join("back.bin");
    bench.center.says(&["package", "download", "1", "--to", back.to_str().unwrap()]);
    assert_eq!(fs::metadata(back).unwrap().len(), FILE_SIZE_MAX);

    let more = bench.peak() - before;
    assert!(more < 48 * 1024, "the center took {more} kB more at its peak");
}

#[test]
fn the_same_content_is_stored_once() {
    let bench = Bench::new();
    let content = image(300_000);
    let path = bench.file("fw.bin", &content);
    let other = bench.file("other.bin", &content);
    for (name, file) in [("one", &path), ("two", &path), ("three", &other)] {
        let arguments = ["package", "add", "--product", PRODUCT, "--component", "STM32", "--target", "2_0_0"];
        bench.center.says(&[&arguments[..], &["--name", name, file.to_str().unwrap()]].concat());
    }
    let objects = bench.objects();
    assert_eq!(objects.len(), 1, "{objects:?}");
    let package = bench.center.json(&["package", "show", "2"]);
    assert!(objects[0].ends_with(package["files"][0]["sha256"].as_str().unwrap()));
}

#[test]
fn an_upload_that_is_cut_off_leaves_nothing() {
    let bench = Bench::new();
    let token = DataFolder::existing(&bench.center.data).known_token().unwrap();
    let mut socket = TcpStream::connect(bench.center.http).unwrap();
    let mut head = format!(
        "POST /api/v1/products/{PRODUCT}/packages HTTP/1.1\r\nHost: center\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: multipart/form-data; boundary=edge\r\nContent-Length: 90000000\r\n\r\n\
         --edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"fw.bin\"\r\n\r\n"
    )
    .into_bytes();
    head.extend(image(6 * 1024 * 1024));
    socket.write_all(&head).unwrap();
    let begun = eventually("a file under way", || {
        let objects = bench.objects();
        (!objects.is_empty()).then_some(objects)
    });
    assert!(begun[0].starts_with("incoming/"), "{begun:?}");
    drop(socket);
    eventually("an empty object store", || bench.objects().is_empty().then_some(()));
}

#[test]
fn an_upload_that_a_kill_cut_off_is_gone_after_the_next_start() {
    let mut bench = Bench::new();
    let incoming = bench.center.data.join("objects/incoming");
    bench.center.process.child().kill().unwrap();
    bench.center.process.finish();
    fs::create_dir_all(&incoming).unwrap();
    fs::write(incoming.join("0123#1"), b"half").unwrap();
    let data = bench.center.data.clone();
    let again = Center::start(&data);
    assert_eq!(objects(&again.data), Vec::<String>::new());
}

/// A center under a limit of file sizes: its disk is "full" at a few megabytes.
fn start_under_a_limit(folder: &Path) -> (Process, SocketAddr) {
    let script = folder.join("center.sh");
    let program = env!("CARGO_BIN_EXE_quecota-center");
    fs::write(&script, format!("trap '' XFSZ\nulimit -f 4096\nexec {program} \"$@\"\n")).unwrap();
    let mut process = Process::start("/bin/sh", |command| {
        command.arg(&script).arg("serve").arg("--data").arg(folder.join("center"));
        command.args(["--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"]).stdout(Stdio::piped());
    });
    let lines = BufReader::new(process.child().stdout.take().unwrap()).lines();
    let http =
        lines.map_while(Result::ok).find_map(|line| Some(line.strip_prefix("http: http://")?.to_owned()));
    (process, http.unwrap().parse().unwrap())
}

#[test]
fn a_full_disk_is_said_and_leaves_nothing_half_written() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("center");
    let (_process, http) = start_under_a_limit(folder.path());
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quecota-center"));
        command.args(words).arg("--server").arg(format!("http://{http}")).arg("--data").arg(&data);
        command.output().unwrap()
    };
    assert!(run(&["product", "create", "--key", PRODUCT, "--name", "Test"]).status.success());
    assert!(run(&["component", "add", PRODUCT, "STM32", "--type", "mcu"]).status.success());

    let large = image(12 * 1024 * 1024);
    let (status, body) = upload(http, &data, form(&fields(), &[("large.bin", &large)]));
    assert_eq!(status, 507, "{body}");
    assert_eq!(body["code"], "disk_full");
    assert!(body["detail"].as_str().unwrap().contains("disk is full"), "{body}");
    assert_eq!(objects(&data), Vec::<String>::new());

    // What fits is still taken.
    let (status, body) = upload(http, &data, form(&fields(), &[("small.bin", b"firmware")]));
    assert_eq!(status, 201, "{body}");
    assert_eq!(objects(&data).len(), 1);
}

#[test]
fn a_disk_that_is_really_full_frees_its_room_again() {
    let folder = TempDir::new().unwrap();
    // Where nobody may mount, the test above stands for this one.
    let Some(_disk) = SmallDisk::mount(&folder.path().join("center"), "16m") else { return };
    let bench = Bench::in_folder(folder);
    let large = image(20 * 1024 * 1024);
    for _ in 0..2 {
        let (status, body) = bench.upload(form(&fields(), &[("large.bin", &large)]));
        assert_eq!(status, 507, "{body}");
        assert_eq!(bench.objects(), Vec::<String>::new());
    }
    // No room for the database either: an honest answer, and all is well once there is room again.
    let fill = bench.center.data.join("fill");
    let mut zeros = fs::File::create(&fill).unwrap();
    while zeros.write_all(&[0; 4096]).is_ok() {}
    let refused = (0..1000).find_map(|number| {
        let key = format!("p{number}x");
        let output = bench.center.run(&["product", "create", "--key", &key, "--name", "x"]);
        (!output.status.success()).then_some(output.stderr)
    });
    let refused = String::from_utf8(refused.unwrap()).unwrap();
    assert!(refused.contains("disk is full"), "{refused}");
    drop(zeros);
    fs::remove_file(&fill).unwrap();
    let (status, body) = bench.upload(form(&fields(), &[("fits.bin", &large[..4 * 1024 * 1024])]));
    assert_eq!(status, 201, "{body}");
}

/// A file that a device upgrade needs, with the URL that its device would be given.
struct Offered {
    bench: Bench,
    content: Vec<u8>,
    store: Store,
    upgrade: Upgrade,
    url: String,
}

async fn offered() -> Offered {
    let bench = Bench::new();
    let content = image(300_001);
    let path = bench.file("fw.bin", &content);
    let file = path.to_str().unwrap();
    let arguments = ["package", "add", "--product", PRODUCT, "--component", "STM32", "--target", "2_0_0"];
    bench.center.says(&[&arguments[..], &["--name", "two", file]].concat());

    // As the engine writes it when a device confirms.
    let keys = DataFolder::existing(&bench.center.data).seal_keys().unwrap().unwrap();
    let store = Store::sqlite(&bench.center.data.join("center.db"), keys).await.unwrap();
    let mut writer = store.write().await.unwrap();
    let product = ProductKey::new(PRODUCT).unwrap();
    let (key, secret) = (DeviceKey::new("860000000000001").unwrap(), DeviceSecret::new("0123").unwrap());
    let device = writer.enter_device(&product, &key, &secret, Millis(1)).await.unwrap();
    let component = ComponentUpgrade {
        component: ComponentNo::new("STM32").unwrap(),
        kind: ComponentKind::Mcu,
        package: PackageId(1),
        source: Some("1_0_0".to_owned()),
        target: Version::new("2_0_0").unwrap(),
        state: ComponentState::Confirmed,
        reason: None,
        failures: 0,
        fetched: 0,
        fetched_before: 0,
        wants_sha256: false,
        proving: false,
        lease_until: None,
        updated: Millis(1),
    };
    let upgrade = Upgrade {
        id: UpgradeId(0),
        plan: None,
        device: device.id,
        state: UpgradeState::Upgrading,
        reason: None,
        created: Millis(1),
        confirmed: Some(Millis(1)),
        next_offer: None,
        cancelled: None,
        ended: None,
        deadline: None,
        components: vec![component],
    };
    let upgrade = writer.create_upgrade(upgrade).await.unwrap();
    writer.commit().await.unwrap();

    let public = PublicUrl::parse(&format!("http://{}", bench.center.http)).unwrap();
    let key = UrlKey::new(store.url_keys(None, Millis(1)).await.unwrap()[0]);
    let token = Token { upgrade: upgrade.id, package: PackageId(1), file_index: 0 };
    let url = Signer::new(public, key).url(token, "fw.bin");
    Offered { bench, content, store, upgrade, url }
}

impl Offered {
    async fn knows_that_all_was_fetched(&self) {
        let deadline = std::time::Instant::now() + support::TIMEOUT;
        loop {
            let upgrade = self.store.read().await.unwrap().upgrade(self.upgrade.id).await.unwrap();
            if upgrade.components[0].fetched == self.content.len() as u64 {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{} bytes", upgrade.components[0].fetched);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn path(&self) -> &str {
        self.url.strip_prefix(&format!("http://{}", self.bench.center.http)).unwrap()
    }

    /// One request on a connection of its own; status, header lines and body.
    fn ask(&self, method: &str, path: &str, headers: &[&str]) -> (u16, Vec<String>, Vec<u8>) {
        let mut socket = connect(self.bench.center.http);
        ask(&mut socket, self.bench.center.http, method, path, headers)
    }
}

fn connect(http: SocketAddr) -> BufReader<TcpStream> {
    let socket = TcpStream::connect(http).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    BufReader::new(socket)
}

/// A request as the vendor's SDK writes it (QUECTHING.md 4.7), and its answer as the SDK reads it: names and blanks to
/// the letter.
fn ask(
    socket: &mut BufReader<TcpStream>,
    http: SocketAddr,
    method: &str,
    path: &str,
    headers: &[&str],
) -> (u16, Vec<String>, Vec<u8>) {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost:{http}\r\nAccept-Ranges: bytes\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    socket.get_mut().write_all(request.as_bytes()).unwrap();
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).unwrap();
        match line.trim_end_matches("\r\n") {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let status = lines.remove(0);
    let status: u16 = status.strip_prefix("HTTP/1.1 ").unwrap().get(..3).unwrap().parse().unwrap();
    let length = header(&lines, "Content-Length: ").expect("an exact length, spelled as devices spell it");
    let length = if method == "HEAD" { 0 } else { length.parse().unwrap() };
    let mut body = vec![0; length];
    socket.read_exact(&mut body).unwrap();
    (status, lines, body)
}

fn header<'a>(lines: &'a [String], start: &str) -> Option<&'a str> {
    lines.iter().find_map(|line| line.strip_prefix(start))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_gets_exactly_the_bytes_that_it_asks_for() {
    let offered = offered().await;
    let size = offered.content.len();
    let path = offered.path();

    let (status, lines, body) = offered.ask("GET", path, &[]);
    assert_eq!(status, 200);
    assert_eq!(header(&lines, "Content-Length: "), Some("300001"));
    assert!(body == offered.content);
    for unwanted in ["Transfer-Encoding", "transfer-encoding", "Location", "content-length"] {
        assert_eq!(header(&lines, unwanted), None, "{lines:?}");
    }

    let last = size - 1;
    for (asked, first, end) in [
        ("0-0".to_owned(), 0, 1),
        (format!("0-{last}"), 0, size),
        (format!("{last}-{last}"), last, size),
        (format!("{last}-{}", last + 5), last, size),
        ("65536-131071".to_owned(), 65_536, 131_072),
        ("8191-8192".to_owned(), 8_191, 8_193),
        ("123456-".to_owned(), 123_456, size),
        ("-7".to_owned(), size - 7, size),
    ] {
        let (status, lines, body) = offered.ask("GET", path, &[&format!("Range: bytes={asked}")]);
        assert_eq!(status, 206, "{asked}");
        assert!(body == offered.content[first..end], "{asked}");
        let range = format!("bytes {first}-{}/{size}", end - 1);
        assert_eq!(header(&lines, "Content-Range: "), Some(range.as_str()), "{asked}");
    }

    let (status, lines, body) = offered.ask("HEAD", path, &[]);
    assert_eq!((status, body.len()), (200, 0));
    assert_eq!(header(&lines, "Content-Length: "), Some("300001"));

    for asked in [format!("{size}-"), format!("{size}-{}", size + 10), "-0".to_owned()] {
        let (status, lines, _) = offered.ask("GET", path, &[&format!("Range: bytes={asked}")]);
        assert_eq!(status, 416, "{asked}");
        assert_eq!(header(&lines, "Content-Range: "), Some("bytes */300001"));
    }

    let (status, ..) = offered.ask("POST", path, &["Content-Length: 0"]);
    assert_eq!(status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_come_over_one_connection_and_the_store_knows_how_far_the_device_is() {
    let offered = offered().await;
    let http = offered.bench.center.http;
    let mut socket = connect(http);
    let mut whole = Vec::new();
    while whole.len() < offered.content.len() {
        let range = format!("Range: bytes={}-{}", whole.len(), whole.len() + 65_535);
        let (status, _, body) = ask(&mut socket, http, "GET", offered.path(), &[&range]);
        assert_eq!(status, 206);
        whole.extend(body);
    }
    assert!(whole == offered.content);
    offered.knows_that_all_was_fetched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_of_a_download_waits_for_a_database_that_is_busy() {
    let offered = offered().await;
    let busy = offered.store.write().await.unwrap();
    assert_eq!(offered.ask("GET", offered.path(), &[]).0, 200);
    // Longer than the center's own wait for its turn.
    tokio::time::sleep(Duration::from_secs(6)).await;
    drop(busy);
    offered.knows_that_all_was_fetched().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_good_only_as_it_was_signed() {
    let offered = offered().await;
    let path = offered.path();
    let parts: Vec<&str> = path.split('/').collect();
    let [_, f, token, signature, name] = parts.as_slice() else { panic!("{path}") };
    assert_eq!((*f, *token, *name), ("f", "1-1-0", "fw.bin"));

    let mut flipped = signature.to_string().into_bytes();
    flipped[0] = if flipped[0] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let foreign = UrlKey::new([1; 32]).sign(token);
    for wrong in [
        format!("/f/{token}/{flipped}/{name}"),
        format!("/f/{token}/{foreign}/{name}"),
        format!("/f/{token}/-/{name}"),
        format!("/f/1-1-1/{signature}/{name}"),
        format!("/f/2-1-0/{signature}/{name}"),
    ] {
        assert_eq!(offered.ask("GET", &wrong, &[]).0, 403, "{wrong}");
    }

    // Signed by this center, but for nothing that is there.
    let key = UrlKey::new(offered.store.url_keys(None, Millis(1)).await.unwrap()[0]);
    for token in ["9-1-0", "1-9-0", "1-1-5", "nonsense"] {
        let path = format!("/f/{token}/{}/{name}", key.sign(token));
        assert_eq!(offered.ask("GET", &path, &[]).0, 404, "{token}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_is_good_until_its_upgrade_is_over() {
    let mut offered = offered().await;
    assert_eq!(offered.ask("GET", offered.path(), &[]).0, 200);
    offered.upgrade.ended = Some(Millis(2));
    let mut writer = offered.store.write().await.unwrap();
    writer.save_upgrade(&offered.upgrade).await.unwrap();
    writer.commit().await.unwrap();
    assert_eq!(offered.ask("GET", offered.path(), &[]).0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_vanished_from_the_disk_is_not_found() {
    let offered = offered().await;
    let package = offered.store.read().await.unwrap().package(PackageId(1)).await.unwrap();
    let objects =
        Objects::in_folder(&offered.bench.center.data.join("objects"), Duration::from_secs(3600)).unwrap();
    objects.remove(&package.content.files[0].digests.sha256).await.unwrap();
    assert_eq!(offered.ask("GET", offered.path(), &[]).0, 404);
}
