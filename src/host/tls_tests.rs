//! Certificates are verified: of `https` and of `mqtts`, by name and by authority.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use quecota_core::agent::{FetchEnd, Link};
use quecota_core::platform::{Connect, Level, Range};
use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::fetch::{self, Fetcher};
use super::log::Log;
use super::mqtt::{self, Dialer};
use super::sink::recording::{Received, Recorder};
use super::sink::{EventSink, GenerationCounter};
use super::trust::Trust;

/// A server that accepts one connection with a certificate of its own making.
struct TlsServer {
    port: u16,
    folder: tempfile::TempDir,
    thread: JoinHandle<()>,
}

fn params(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

type Stream = StreamOwned<ServerConnection, TcpStream>;

impl TlsServer {
    fn start(names: &[&str], serve: impl FnOnce(Stream) + Send + 'static) -> Self {
        Self::with("127.0.0.1:0", params(names), serve)
    }

    /// With an authority's certificate as its own, as `openssl req -x509` makes it.
    fn with_authority(names: &[&str], not_after: i32, serve: impl FnOnce(Stream) + Send + 'static) -> Self {
        let mut params = params(names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = date_time_ymd(not_after, 1, 1);
        Self::with("127.0.0.1:0", params, serve)
    }

    fn with(bind: &str, params: CertificateParams, serve: impl FnOnce(Stream) + Send + 'static) -> Self {
        let signing_key = KeyPair::generate().unwrap();
        let made = CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key };
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), made.cert.pem()).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        let listener = TcpListener::bind(bind).unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            serve(StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream));
        });
        TlsServer { port, folder, thread }
    }

    fn trusting(&self) -> Arc<Trust> {
        Arc::new(Trust::new(Some(self.folder.path().join("ca.pem"))))
    }
}

/// Takes one request and answers it; a client that does not trust us ends the handshake instead.
fn https(mut stream: Stream) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return,
        }
    }
    let answer =
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\nContent-Length: 5\r\n\r\nhello";
    stream.write_all(answer.as_bytes()).unwrap();
    stream.conn.send_close_notify();
    let _ = stream.flush();
}

fn mqtts(mut stream: Stream) {
    let mut connect = [0; 16];
    if stream.read(&mut connect).is_ok_and(|n| n > 0 && connect[0] == 0x10) {
        stream.write_all(&[0x20, 2, 0, 0]).unwrap();
        // Until the client closes.
        while stream.read(&mut connect).is_ok_and(|n| n > 0) {}
    }
}

fn fetched(url: &str, trust: Arc<Trust>) -> (Vec<u8>, FetchEnd) {
    let sink = Arc::new(Recorder::default());
    let fetcher = Fetcher {
        sink: Arc::clone(&sink) as Arc<dyn EventSink>,
        trust,
        log: Log::new(Level::Error),
        timeouts: fetch::Timeouts::default(),
    };
    let _fetch =
        fetcher.start(url, Range { start: 0, length: 5 }, GenerationCounter::default().next()).unwrap();
    let (_, body, end) = sink.fetched();
    (body, end)
}

fn connected(url: &str, trust: Arc<Trust>) -> Received {
    let sink = Arc::new(Recorder::default());
    let dialer = Dialer {
        sink: Arc::clone(&sink) as Arc<dyn EventSink>,
        trust,
        log: Log::new(Level::Error),
        timeouts: mqtt::Timeouts::default(),
    };
    let to = Connect { url, client_id: "c", user_name: "", password: "p", keep_alive: 60 };
    let connection = dialer.connect(&to, GenerationCounter::default().next()).unwrap();
    let told = sink.next();
    drop(connection);
    told
}

#[test]
fn https_of_a_trusted_authority_is_read() {
    let server = TlsServer::start(&["localhost"], https);
    let url = format!("https://localhost:{}/fw.bin", server.port);
    assert_eq!(fetched(&url, server.trusting()), (b"hello".to_vec(), FetchEnd::Complete));
    server.thread.join().unwrap();
}

#[test]
fn https_of_an_unknown_authority_is_refused() {
    let server = TlsServer::start(&["localhost"], https);
    let other = TlsServer::start(&["localhost"], |_| {});
    let url = format!("https://localhost:{}/fw.bin", server.port);
    assert_eq!(fetched(&url, other.trusting()), (Vec::new(), FetchEnd::Failed));
    server.thread.join().unwrap();
    drop(TcpStream::connect(("127.0.0.1", other.port)));
    other.thread.join().unwrap();
}

#[test]
fn https_under_another_name_is_refused() {
    let server = TlsServer::start(&["firmware.example"], https);
    let url = format!("https://localhost:{}/fw.bin", server.port);
    assert_eq!(fetched(&url, server.trusting()), (Vec::new(), FetchEnd::Failed));
    server.thread.join().unwrap();
}

#[test]
fn mqtts_of_a_trusted_authority_connects() {
    let server = TlsServer::start(&["localhost"], mqtts);
    let url = format!("mqtts://localhost:{}", server.port);
    assert_eq!(connected(&url, server.trusting()), Received::Link(Link::Connected));
    server.thread.join().unwrap();
}

#[test]
fn mqtts_under_another_name_is_refused() {
    let server = TlsServer::start(&["broker.example"], mqtts);
    let url = format!("mqtts://localhost:{}", server.port);
    assert_eq!(connected(&url, server.trusting()), Received::Link(Link::Lost));
    server.thread.join().unwrap();
}

#[test]
fn an_ipv6_address_connects_by_mqtts() {
    let server = TlsServer::with("[::1]:0", params(&["::1"]), mqtts);
    let url = format!("mqtts://[::1]:{}", server.port);
    assert_eq!(connected(&url, server.trusting()), Received::Link(Link::Connected));
    server.thread.join().unwrap();
}

#[test]
fn a_self_signed_authority_that_the_server_presents_itself_is_trusted_when_it_is_the_ca_file() {
    let server = TlsServer::with_authority(&["localhost"], 4000, mqtts);
    let url = format!("mqtts://localhost:{}", server.port);
    assert_eq!(connected(&url, server.trusting()), Received::Link(Link::Connected));
    server.thread.join().unwrap();
    let server = TlsServer::with_authority(&["localhost"], 4000, https);
    let url = format!("https://localhost:{}/fw.bin", server.port);
    assert_eq!(fetched(&url, server.trusting()), (b"hello".to_vec(), FetchEnd::Complete));
    server.thread.join().unwrap();
}

#[test]
fn a_self_signed_authority_under_another_name_or_out_of_date_or_unknown_is_refused() {
    let refused = |server: TlsServer, trust| {
        let url = format!("mqtts://localhost:{}", server.port);
        assert_eq!(connected(&url, trust), Received::Link(Link::Lost));
        server.thread.join().unwrap();
    };
    let other_name = TlsServer::with_authority(&["broker.example"], 4000, mqtts);
    let trust = other_name.trusting();
    refused(other_name, trust);
    let expired = TlsServer::with_authority(&["localhost"], 2020, mqtts);
    let trust = expired.trusting();
    refused(expired, trust);
    let unknown = TlsServer::with_authority(&["localhost"], 4000, mqtts);
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(unknown.folder.path().join("ca.pem"), other.cert.pem()).unwrap();
    let trust = unknown.trusting();
    refused(unknown, trust);
}

#[test]
fn a_ca_file_that_comes_late_counts_at_the_next_connection() {
    let server = TlsServer::start(&["localhost"], mqtts);
    let file = server.folder.path().join("ca.pem");
    let certificate = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let trust = server.trusting();
    trust.rustls().unwrap_err();
    std::fs::write(&file, certificate).unwrap();
    let url = format!("mqtts://localhost:{}", server.port);
    assert_eq!(connected(&url, trust), Received::Link(Link::Connected));
    server.thread.join().unwrap();
}
