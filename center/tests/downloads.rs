//! Downloads of one device, range after range over one connection: the bytes, what they cost the database, and when they end.

mod conversation;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use conversation::*;
use quecota_center::connections::Connections;
use quecota_center::http::{self, Port};
use quecota_center::packages::download::Downloads;
use quecota_center::packages::object_store::Objects;
use quecota_center::packages::progress::ProgressQueue;
use quecota_center::packages::signature::{PublicUrl, Signer, Token, UrlKey, UrlKeys};
use quecota_center::peer::Proxies;
use quecota_center::proxy_protocol::Balancers;
use quecota_center::rules::plan::Push;
use quecota_center::store::*;
use quecota_core::wire::message::OtaStatus::*;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Bytes of the package of [`Center::package`].
const SIZE: usize = 1_000_000;

struct Bench {
    center: Center,
    content: Vec<u8>,
    upgrade: Upgrade,
    address: SocketAddr,
    path: String,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
    _folder: TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let center = Center::new().await;
        let plan = center.plan(&["STM32"], |plan| plan.push = Push::OnRequest).await;
        let mut device = center.connected().await;
        assert_offers(&device.request("STM32:1").await, &["STM32"]);
        firmware(&device.status(Confirmed).await);
        let upgrade = center.upgrade(plan).await;

        let folder = TempDir::new().unwrap();
        let objects = Objects::in_folder(folder.path(), Duration::ZERO).unwrap();
        let content: Vec<u8> = (0..SIZE).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect();
        let name = hex::encode([9; 32]);
        let shelf = folder.path().join("sha256").join(&name[..2]);
        std::fs::create_dir_all(&shelf).unwrap();
        std::fs::write(shelf.join(name), &content).unwrap();

        let store = center.engine.store().clone();
        let downloads = Downloads {
            objects,
            keys: UrlKeys::new(&[[7; 32]]),
            store: store.clone(),
            progress: ProgressQueue::new(store),
            metrics: center.engine.metrics().clone(),
            presigned: false,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let port = Port {
            tls: None,
            proxies: Proxies::new(Vec::new()),
            balancers: Balancers::default(),
            connections: Connections::limited(10, 10),
            downloads: downloads.clone(),
        };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(http::serve(listener, port, downloads.router(), stop.clone()));
        let signer = Signer::new(PublicUrl::parse("http://127.0.0.1:1").unwrap(), UrlKey::new([7; 32]));
        let package = upgrade.components[0].package;
        let url = signer.url(Token { upgrade: upgrade.id, package, file_index: 0 }, "fw.bin");
        let path = url.strip_prefix("http://127.0.0.1:1").unwrap().to_owned();
        Bench { center, content, upgrade, address, path, stop, serving, _folder: folder }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Head and body of the answer on this connection.
    async fn ask(&self, stream: &mut TcpStream, method: &str, headers: &str) -> (String, Vec<u8>) {
        let request = format!("{method} {} HTTP/1.1\r\nHost:a.b:1\r\n{headers}\r\n", self.path);
        stream.write_all(request.as_bytes()).await.unwrap();
        answer(stream, method).await
    }

    async fn fetched(&self) -> u64 {
        let mut store = self.center.engine.store().read().await.unwrap();
        store.upgrade(self.upgrade.id).await.unwrap().components[0].fetched
    }
}

async fn answer(stream: &mut TcpStream, method: &str) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(Duration::from_secs(20), stream.read_u8()).await.unwrap();
        head.push(byte.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length = if method == "HEAD" { 0 } else { length.unwrap().parse().unwrap() };
    let mut body = vec![0; length];
    tokio::time::timeout(Duration::from_secs(20), stream.read_exact(&mut body)).await.unwrap().unwrap();
    (head, body)
}

#[tokio::test]
async fn ranges_over_one_connection_are_whole_and_cost_the_database_next_to_nothing() {
    const RANGE: usize = 5_000;
    let bench = Bench::new().await;
    let mut stream = bench.connect().await;
    let store = bench.center.engine.store();
    let before = store.statements();
    bench.ask(&mut stream, "GET", "Range: bytes=0-0\r\n").await;
    // Where the upgrade is, and perhaps already the set with the one byte.
    let look = store.statements() - before;
    let (before, begun) = (store.statements(), Instant::now());
    for first in (0..SIZE).step_by(RANGE) {
        let last = first + RANGE - 1;
        let (head, body) = bench
            .ask(&mut stream, "GET", &format!("Accept-Ranges: bytes\r\nRange: bytes={first}-{last}\r\n"))
            .await;
        assert!(head.starts_with("HTTP/1.1 206 Partial Content\r\nContent-Type: "), "{head}");
        assert!(head.contains(&format!("\r\nContent-Range: bytes {first}-{last}/{SIZE}\r\n")), "{head}");
        assert!(body == bench.content[first..=last], "bytes {first}-{last}");
    }
    let (took, elapsed) = (store.statements() - before, begun.elapsed());
    let looks = |span: Duration, every: u128| u64::try_from(span.as_millis() / every).unwrap();
    // Read for the first two ranges, after each set of bytes is written, and once a second.
    let (sets, seconds) = (looks(elapsed, 250) + 2, looks(elapsed, 1000));
    let most = look * (2 + sets + seconds) + sets;
    assert!(took <= most, "{took} statements for {} ranges in {elapsed:?}, {most} at most", SIZE / RANGE);

    let deadline = Instant::now() + Duration::from_secs(20);
    while bench.fetched().await != SIZE as u64 {
        assert!(Instant::now() < deadline, "the end of the download was not kept");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_url_ends_with_its_upgrade_in_the_middle_of_a_connection() {
    let bench = Bench::new().await;
    let mut stream = bench.connect().await;
    for _ in 0..3 {
        let (head, _) = bench.ask(&mut stream, "GET", "Range: bytes=0-99\r\n").await;
        assert!(head.starts_with("HTTP/1.1 206 "), "{head}");
    }
    let mut writer = bench.center.engine.store().write().await.unwrap();
    let ended = Upgrade { ended: Some(NOON), ..writer.upgrade(bench.upgrade.id).await.unwrap() };
    writer.save_upgrade(&ended).await.unwrap();
    writer.commit().await.unwrap();
    let (head, body) = bench.ask(&mut stream, "GET", "Range: bytes=0-99\r\n").await;
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    assert!(body.starts_with(b"the upgrade that this URL was made for is over"), "{body:?}");
}

#[tokio::test]
async fn both_servers_of_a_connection_answer_alike() {
    let bench = Bench::new().await;
    let (mut kernel, mut hyper) = (bench.connect().await, bench.connect().await);
    // From here on the connection is hyper's.
    let (head, _) = bench.ask(&mut hyper, "HEAD", "").await;
    assert!(head.contains(&format!("\r\nContent-Length: {SIZE}\r\n")), "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("Etag: ")).unwrap();
    for headers in [
        String::new(),
        "Range: bytes=0-0\r\n".to_owned(),
        "Range: bytes=-10\r\n".to_owned(),
        "Range: bytes=999999-\r\n".to_owned(),
        "Range: bytes=0-1,3-4\r\n".to_owned(),
        "Range: bytes=0-1\r\nRange: bytes=3-4\r\n".to_owned(),
        format!("Range: bytes=7-70007\r\nIf-Range: {tag}\r\n"),
        "Range: bytes=7-8\r\nIf-Range: \"other\"\r\n".to_owned(),
        "Range: bytes=1000000-\r\n".to_owned(),
    ] {
        let answers =
            [bench.ask(&mut kernel, "GET", &headers).await, bench.ask(&mut hyper, "GET", &headers).await];
        let fields = |head: &str| {
            let mut fields: Vec<_> =
                head.lines().filter(|line| !line.starts_with("Date: ")).map(str::to_owned).collect();
            fields.sort();
            fields
        };
        assert_eq!(fields(&answers[0].0), fields(&answers[1].0), "{headers}");
        assert!(answers[0].1 == answers[1].1, "{headers}");
    }
}

#[tokio::test]
async fn requests_that_come_together_are_answered_in_their_order() {
    let bench = Bench::new().await;
    let mut stream = bench.connect().await;
    let get = |range: &str| format!("GET {} HTTP/1.1\r\nRange: bytes={range}\r\n\r\n", bench.path);
    let head = format!("HEAD {} HTTP/1.1\r\n\r\n", bench.path);
    stream.write_all([get("0-9"), get("10-19"), head, get("20-29")].concat().as_bytes()).await.unwrap();
    for (method, wanted) in [("GET", 0..10), ("GET", 10..20), ("HEAD", 0..0), ("GET", 20..30)] {
        assert_eq!(answer(&mut stream, method).await.1, bench.content[wanted]);
    }
}

#[tokio::test]
async fn a_stop_waits_for_the_answer_under_way_and_ends_idle_connections() {
    let bench = Bench::new().await;
    let (mut busy, mut idle) = (bench.connect().await, bench.connect().await);
    bench.ask(&mut idle, "GET", "Range: bytes=0-9\r\n").await;
    let request = format!("GET {} HTTP/1.1\r\n\r\n", bench.path);
    busy.write_all(request.as_bytes()).await.unwrap();
    // The answer is under way.
    busy.read_u8().await.unwrap();
    bench.stop.cancel();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(20), busy.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.ends_with(&bench.content[SIZE - 1000..]), "{} bytes came", rest.len());
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    tokio::time::timeout(Duration::from_secs(20), bench.serving).await.unwrap().unwrap();
}
