//! `GET` with a range, in a thread of its own. The socket and TLS are here; the request and the reading of answers are
//! those of ports with sockets only ([`Download`]), so that both take the same servers.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quecota_core::agent::FetchEnd;
use quecota_core::platform::{Delivery, Level, Range, Refused, TransportEvent};
use quecota_core::wire::download::{self, Step};
use quecota_core::wire::http::{HttpError, Scheme, Url, redacted};
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use rustls::{ClientConnection, StreamOwned};

use super::log::Log;
use super::signal;
use super::sink::{EventSink, Generation};
use super::trust::{Trust, TrustError};

/// How long each step of a fetch may take. The agent has tighter timers of its own (QUECTHING.md 3.2); these end the
/// thread when the agent no longer looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// TCP, over all addresses of the host; each has its share. The system's resolver, before that, has its own.
    pub connect: Duration,
    /// From the open connection to the last header: handshake of TLS, request, interim answers.
    pub head: Duration,
    /// Between two pieces of the body.
    pub read: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let head = Duration::from_secs(15);
        Timeouts { connect: Duration::from_secs(10), head, read: head }
    }
}

/// Longest URL, also of a redirect.
const URL: usize = 8 * 1024;
/// Room for every request: its URL and the fixed headers.
const REQUEST: usize = URL + 512;
/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

type Download = download::Download<URL>;

/// Everything a fetch needs beside its URL.
#[derive(Clone)]
pub(super) struct Fetcher {
    /// Receives what the fetch brings.
    pub sink: Arc<dyn EventSink>,
    /// Certificate authorities for `https`.
    pub trust: Arc<Trust>,
    /// Receives what went wrong.
    pub log: Log,
    /// How long a step may take.
    pub timeouts: Timeouts,
}

/// A fetch under way. Dropping it, after its generation has ended, closes its socket and so ends its thread.
pub(super) struct Fetch {
    hop: Hop,
}

/// The socket of the present hop; `None` between hops.
type Hop = Arc<Mutex<Option<TcpStream>>>;

impl Drop for Fetch {
    fn drop(&mut self) {
        if let Some(socket) = self.hop.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Fails when the server has closed it already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Why a fetch brought no, or not all of the, bytes. No message quotes a URL, which may hold secrets.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Http(#[from] HttpError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Trust(#[from] TrustError),
    #[error("the host name cannot be that of a certificate: {0}")]
    Name(#[from] InvalidDnsNameError),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the host has no address")]
    NoAddress,
}

/// What became of a fetch that met no error.
enum Outcome {
    Complete,
    /// The agent wants no more of it, or has forgotten it: nothing is to be answered.
    Unwanted,
}

impl Fetcher {
    /// Starts a fetch; its events belong to `generation`.
    pub fn start(&self, url: &str, range: Range, generation: Generation) -> Result<Fetch, Refused> {
        let refused = |why: &str| {
            self.log.line(Level::Error, &format!("cannot fetch {}: {why}", redacted(url)));
            Refused
        };
        let download = Download::new(url, range.start, range.length).map_err(|e| refused(&e.to_string()))?;
        let hop = Hop::default();
        let (fetcher, thread_hop) = (self.clone(), Arc::clone(&hop));
        signal::spawn("quecota-fetch", move || fetcher.run(download, range, &generation, &thread_hop))
            .map_err(|e| refused(&e.to_string()))?;
        Ok(Fetch { hop })
    }

    fn run(&self, mut download: Download, range: Range, generation: &Generation, hop: &Hop) {
        let mut asked = String::new();
        let ended = self.get(&mut download, &mut asked, generation, hop);
        // Its socket closes here and not with the next fetch.
        hop.lock().unwrap_or_else(PoisonError::into_inner).take();
        let end = match ended {
            Ok(Outcome::Unwanted) => return,
            Ok(Outcome::Complete) => FetchEnd::Complete,
            // The agent itself closed the socket.
            Err(_) if !generation.valid() => return,
            Err(e) => {
                self.log.line(Level::Warn, &failure(&asked, range, &e));
                FetchEnd::Failed
            }
        };
        // Nothing follows the end, so that its reply decides nothing.
        let _ = self.sink.deliver(generation, TransportEvent::FetchEnd(end));
    }

    /// `asked` is whom the last request went to, for the log.
    fn get(
        &self,
        download: &mut Download,
        asked: &mut String,
        generation: &Generation,
        hop: &Hop,
    ) -> Result<Outcome, FetchError> {
        let mut request = [0; REQUEST];
        loop {
            *asked = redacted(download.url_text()).to_string();
            let url = download.url()?;
            let socket = self.connect(&url)?;
            {
                let mut hop = hop.lock().unwrap_or_else(PoisonError::into_inner);
                if !generation.valid() {
                    return Ok(Outcome::Unwanted);
                }
                *hop = Some(socket.try_clone()?);
            }
            let mut stream = self.stream(&url, socket)?;
            stream.socket_mut().limit = Limit::Until(Instant::now() + self.timeouts.head);
            let length = download.request(&mut request)?;
            stream.write_all(request.get(..length).unwrap_or_default())?;
            stream.flush()?;
            if let Some(outcome) = self.answer(download, &mut stream, generation)? {
                return Ok(outcome);
            }
        }
    }

    /// Tries each address of the host, each in its share of the time.
    fn connect(&self, url: &Url<'_>) -> Result<TcpStream, FetchError> {
        let addresses: Vec<SocketAddr> = (url.host, url.port).to_socket_addrs()?.collect();
        let deadline = Instant::now() + self.timeouts.connect;
        let mut last = FetchError::NoAddress;
        for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
            let share = deadline.saturating_duration_since(Instant::now()) / left as u32;
            match TcpStream::connect_timeout(address, share.max(Duration::from_millis(1))) {
                Ok(socket) => return Ok(socket),
                Err(e) => last = e.into(),
            }
        }
        Err(last)
    }

    /// The handshake of TLS comes with the first write.
    fn stream(&self, url: &Url<'_>, socket: TcpStream) -> Result<Stream, FetchError> {
        socket.set_nodelay(true)?; // a request is small and is to leave at once
        let socket = LimitedSocket { socket, limit: Limit::Each(self.timeouts.head) };
        Ok(match url.scheme {
            Scheme::Plain => Stream::Plain(socket),
            Scheme::Tls => {
                let name = ServerName::try_from(url.host.to_owned())?;
                let connection = ClientConnection::new(self.trust.rustls()?, name)?;
                Stream::Tls(Box::new(StreamOwned::new(connection, socket)))
            }
        })
    }

    /// Reads one answer; `None`: it is a redirect.
    fn answer(
        &self,
        download: &mut Download,
        stream: &mut Stream,
        generation: &Generation,
    ) -> Result<Option<Outcome>, FetchError> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = match stream.read(&mut chunk) {
                Ok(length) => length,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                // TLS without close_notify. The length of the body, or the digests, say whether it is whole.
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => 0,
                Err(e) => return Err(e.into()),
            };
            if length == 0 {
                download.closed()?;
                return Ok(Some(Outcome::Complete));
            }
            let mut rest = chunk.get(..length).unwrap_or_default();
            loop {
                let (used, step) = download.read(rest)?;
                rest = rest.get(used..).unwrap_or_default();
                let event = match step {
                    Step::More => break,
                    Step::Redirected => return Ok(None),
                    Step::End(_) => return Ok(Some(Outcome::Complete)),
                    Step::Head(head) => {
                        stream.socket_mut().limit = Limit::Each(self.timeouts.read);
                        TransportEvent::FetchHead((&head).into())
                    }
                    Step::Body(body) => TransportEvent::FetchData(body),
                };
                if self.sink.deliver(generation, event) == Delivery::Stop {
                    return Ok(Some(Outcome::Unwanted));
                }
            }
        }
    }
}

/// The log line of a fetch that failed.
fn failure(asked: &str, range: Range, error: &FetchError) -> String {
    let Range { start, length } = range;
    format!("fetch of {length} bytes from {start} of {asked}: {error}")
}

/// How long a socket may wait for its peer.
#[derive(Debug, Clone, Copy)]
enum Limit {
    /// All reads and writes together: a peer that sends a byte now and then is given up as well.
    Until(Instant),
    /// Each read and write.
    Each(Duration),
}

/// A socket whose reads and writes end in time with [`ErrorKind::TimedOut`].
struct LimitedSocket {
    socket: TcpStream,
    limit: Limit,
}

impl LimitedSocket {
    fn timeout(&self) -> io::Result<Option<Duration>> {
        match self.limit {
            Limit::Each(wait) => Ok(Some(wait)),
            Limit::Until(deadline) => match deadline.saturating_duration_since(Instant::now()) {
                Duration::ZERO => Err(silent()),
                wait => Ok(Some(wait)),
            },
        }
    }
}

fn silent() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the server did not answer in time")
}

/// Linux reports the end of a socket's timeout as `WouldBlock`.
fn in_time(result: io::Result<usize>) -> io::Result<usize> {
    result.map_err(|e| if e.kind() == ErrorKind::WouldBlock { silent() } else { e })
}

impl Read for LimitedSocket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(self.timeout()?)?;
        in_time(self.socket.read(buffer))
    }
}

impl Write for LimitedSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(self.timeout()?)?;
        in_time(self.socket.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

enum Stream {
    Plain(LimitedSocket),
    Tls(Box<StreamOwned<ClientConnection, LimitedSocket>>),
}

impl Stream {
    fn socket_mut(&mut self) -> &mut LimitedSocket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &mut stream.sock,
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.read(buffer),
            Stream::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => socket.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(socket) => socket.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sink::GenerationCounter;
    use crate::host::sink::recording::{Received, Recorder};
    use quecota_core::agent::FetchHead;
    use std::net::TcpListener;
    use std::thread::JoinHandle;
    use std::time::Instant;
    use test_platform::answers::{self, Outcome};
    use test_platform::http::{BodyBehavior, Case, Length, Ranges, Server, ServerBehavior};

    struct Scene {
        server: Server,
        file: Vec<u8>,
        sink: Arc<Recorder>,
        gate: GenerationCounter,
        fetcher: Fetcher,
    }

    impl Scene {
        fn new(behavior: ServerBehavior) -> Self {
            let server = Server::start().unwrap();
            let file: Vec<u8> = (0..100_000u32).map(|i| (i * 7 % 251) as u8).collect();
            server.put("/fw.bin", file.clone());
            server.behave(behavior);
            let sink = Arc::new(Recorder::default());
            let brief = Duration::from_millis(400);
            let fetcher = Fetcher {
                sink: Arc::clone(&sink) as Arc<dyn EventSink>,
                trust: Arc::new(Trust::new(None)),
                log: Log::new(Level::Error),
                timeouts: Timeouts { connect: Duration::from_secs(5), head: brief, read: brief },
            };
            Scene { server, file, sink, gate: GenerationCounter::default(), fetcher }
        }

        fn start(&self, start: u32, length: u32) -> Fetch {
            let range = Range { start, length };
            self.fetcher.start(&self.server.url("/fw.bin"), range, self.gate.next()).unwrap()
        }

        fn get(&self, start: u32, length: u32) -> (Option<FetchHead>, Vec<u8>, FetchEnd) {
            let _fetch = self.start(start, length);
            self.sink.fetched()
        }
    }

    fn behavior() -> ServerBehavior {
        ServerBehavior::default()
    }

    #[test]
    fn a_range_brings_its_head_its_bytes_and_its_end() {
        let scene = Scene::new(behavior());
        let (head, body, end) = scene.get(20_000, 30_000);
        assert_eq!(
            head,
            Some(FetchHead {
                status: 206,
                first: 20_000,
                length: Some(30_000),
                total: Some(100_000),
                ..FetchHead::default()
            })
        );
        assert!(body == scene.file[20_000..50_000]);
        assert_eq!(end, FetchEnd::Complete);
        assert_eq!(scene.server.seen()[0].range.as_deref(), Some("bytes=20000-49999"));
    }

    #[test]
    fn lower_case_headers_and_chunked_bodies_are_read_as_well() {
        let scene = Scene::new(ServerBehavior { case: Case::Lower, length: Length::Chunked, ..behavior() });
        let (head, body, end) = scene.get(1, 99_999);
        assert_eq!(head.unwrap().length, Some(99_999));
        assert!(body == scene.file[1..]);
        assert_eq!(end, FetchEnd::Complete);
    }

    #[test]
    fn a_server_that_ignores_the_range_is_told_as_200_from_byte_0() {
        let scene = Scene::new(ServerBehavior { ranges: Ranges::Ignored, ..behavior() });
        let (head, _, _) = scene.get(20_000, 30_000);
        assert_eq!(
            head,
            Some(FetchHead {
                status: 200,
                length: Some(100_000),
                total: Some(100_000),
                ..FetchHead::default()
            })
        );
    }

    #[test]
    fn another_range_than_asked_for_is_told_as_it_is() {
        let scene = Scene::new(ServerBehavior { ranges: Ranges::Shifted(5), ..behavior() });
        assert_eq!(scene.get(100, 50).0.unwrap().first, 105);
    }

    #[test]
    fn an_error_status_is_told_too() {
        let scene = Scene::new(ServerBehavior { status: Some(404), ..behavior() });
        let (head, body, _) = scene.get(0, 10);
        assert_eq!((head.unwrap().status, body.len()), (404, 0));
    }

    #[test]
    fn a_body_that_ends_early_is_a_failure_with_the_bytes_that_came() {
        let scene = Scene::new(ServerBehavior { body: BodyBehavior::CloseAfter(12_345), ..behavior() });
        let (_, body, end) = scene.get(0, 50_000);
        assert!(body == scene.file[..12_345]);
        assert_eq!(end, FetchEnd::Failed);
    }

    #[test]
    fn a_chunked_body_that_ends_early_is_a_failure() {
        let behavior =
            ServerBehavior { body: BodyBehavior::CloseAfter(1000), length: Length::Chunked, ..behavior() };
        assert_eq!(Scene::new(behavior).get(0, 50_000).2, FetchEnd::Failed);
    }

    #[test]
    fn a_server_that_stalls_is_given_up_at_the_deadline() {
        let scene = Scene::new(ServerBehavior { body: BodyBehavior::StallAfter(1000), ..behavior() });
        let begun = Instant::now();
        let (_, body, end) = scene.get(0, 50_000);
        assert_eq!((body.len(), end), (1000, FetchEnd::Failed));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    /// Each byte comes in time, and the head never ends; of a TLS server it is the handshake that never does.
    #[test]
    fn a_head_that_comes_byte_by_byte_is_given_up_at_the_deadline() {
        for scheme in ["http", "https"] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("{scheme}://{}/fw.bin", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                // The start of an answer, and the header of a record of a handshake of 16 KB.
                let start: &[u8] =
                    if scheme == "http" { b"HTTP/1.1 206 P\r\nX: " } else { &[22, 3, 3, 64, 0] };
                let mut is_open = stream.write_all(start).is_ok();
                let given_up = Instant::now() + Duration::from_secs(20);
                while is_open && Instant::now() < given_up {
                    std::thread::sleep(Duration::from_millis(50));
                    is_open = stream.write_all(b"x").is_ok();
                }
                is_open
            });
            let mut scene = Scene::new(behavior());
            let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            let mut certificates = tempfile::NamedTempFile::new().unwrap();
            certificates.write_all(made.cert.pem().as_bytes()).unwrap();
            scene.fetcher.trust = Arc::new(Trust::new(Some(certificates.path().to_owned())));
            let range = Range { start: 0, length: 1 };
            let fetch = scene.fetcher.start(&url, range, scene.gate.next()).unwrap();
            assert_eq!(scene.sink.fetched(), (None, Vec::new(), FetchEnd::Failed), "{scheme}");
            drop(fetch);
            assert!(!server.join().unwrap(), "{scheme}: the connection stayed open");
        }
    }

    #[test]
    fn a_port_without_listener_is_a_failure_without_a_head() {
        let scene = Scene::new(behavior());
        let url = {
            let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            format!("http://{}/fw.bin", gone.local_addr().unwrap())
        };
        let range = Range { start: 0, length: 1 };
        let _fetch = scene.fetcher.start(&url, range, scene.gate.next()).unwrap();
        assert_eq!(scene.sink.fetched(), (None, Vec::new(), FetchEnd::Failed));
    }

    #[test]
    fn an_agent_that_wants_no_more_gets_no_more() {
        let scene = Scene::new(behavior());
        scene.sink.reply([Delivery::Taken, Delivery::Stop]);
        let _fetch = scene.start(0, 100_000);
        assert!(matches!(scene.sink.next(), Received::FetchHead(_)));
        assert!(matches!(scene.sink.next(), Received::FetchData(_)));
        assert_eq!(scene.sink.within(Duration::from_millis(300)), None);
    }

    #[test]
    fn giving_a_fetch_up_closes_its_socket_at_once_and_nothing_more_is_told() {
        let mut scene = Scene::new(ServerBehavior { body: BodyBehavior::StallAfter(1000), ..behavior() });
        scene.fetcher.timeouts.read = Duration::from_secs(60);
        let fetch = scene.start(0, 50_000);
        assert!(matches!(scene.sink.next(), Received::FetchHead(_)));
        assert!(matches!(scene.sink.next(), Received::FetchData(_)));
        scene.gate.close();
        drop(fetch);
        assert_eq!(scene.sink.within(Duration::from_millis(200)), None);
        // The thread has let go of the sink: only ours and the fetcher's are left.
        let deadline = Instant::now() + Duration::from_secs(5);
        while Arc::strong_count(&scene.sink) > 2 {
            assert!(Instant::now() < deadline, "the fetch's thread still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn redirects_are_followed_within_their_bound() {
        let target = Scene::new(behavior());
        let location = target.server.url("/fw.bin");
        let scene = Scene::new(ServerBehavior { redirect: Some(location), ..behavior() });
        let (head, body, _) = scene.get(10, 10);
        assert_eq!((head.unwrap().status, &body[..]), (206, &scene.file[10..20]));

        let round = Scene::new(ServerBehavior { redirect: Some("/fw.bin".to_owned()), ..behavior() });
        assert_eq!(round.get(0, 10), (None, Vec::new(), FetchEnd::Failed));
        assert_eq!(round.server.seen().len(), 1 + usize::from(download::REDIRECTS));
    }

    #[test]
    fn a_url_or_range_that_cannot_be_is_refused_at_once() {
        let scene = Scene::new(behavior());
        let refused = |url: &str, start, length| {
            let generation = scene.gate.next();
            scene.fetcher.start(url, Range { start, length }, generation).is_err()
        };
        assert!(refused("ftp://127.0.0.1/fw.bin", 0, 1));
        assert!(refused("/fw.bin", 0, 1));
        assert!(refused("http://127.0.0.1:1/fw.bin", u32::MAX, 2));
        assert!(refused("http://127.0.0.1:1/fw.bin", 0, 0));
    }

    #[test]
    fn a_log_line_has_the_host_and_the_path_and_no_secret() {
        let url = "http://user:secret@host:8080/f/1.bin?token=secret";
        let mut download = Download::new(url, 10, 5).unwrap();
        let asked = redacted(download.url_text()).to_string();
        let range = Range { start: 10, length: 5 };
        let to_nothing = b"HTTP/1.1 302 Found\r\nLocation: ftp://user:secret@b/y?secret\r\n\r\n";
        let error = FetchError::from(download.read(to_nothing).unwrap_err());
        assert_eq!(
            failure(&asked, range, &error),
            "fetch of 5 bytes from 10 of http://host:8080/f/1.bin: the redirect is to nothing that can be fetched"
        );
    }

    #[test]
    fn a_location_of_6_kb_is_followed() {
        let long = format!("/fw.bin?{}", "t".repeat(6 * 1024));
        let scene = Scene::new(ServerBehavior { redirect: Some(long.clone()), ..behavior() });
        assert_eq!(scene.get(0, 10), (None, Vec::new(), FetchEnd::Failed), "round and round");
        assert_eq!(scene.server.seen().last().unwrap().path, long);
    }

    /// Sends the answers of a case, one for each connection; gives the targets that were asked for.
    fn serve(listener: TcpListener, case: &'static answers::Case) -> JoinHandle<Vec<String>> {
        std::thread::spawn(move || {
            let authority = listener.local_addr().unwrap().to_string();
            let mut targets = Vec::new();
            for answer in case.answers {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                targets.push(answers::target(&read_head(&mut stream)));
                let bytes = answer.bytes(&authority);
                // A client that has seen enough may be gone.
                for part in bytes.chunks(bytes.len().div_ceil(3).max(1)) {
                    let _ = stream.write_all(part);
                }
                if !answer.closes() {
                    let _ = stream.read(&mut [0]);
                }
            }
            targets
        })
    }

    fn read_head(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    #[test]
    fn every_answer_of_the_table_is_taken_from_a_socket_as_the_table_says() {
        for case in answers::CASES {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let authority = listener.local_addr().unwrap().to_string();
            let scene = Scene::new(behavior());
            let server = serve(listener, case);
            let range = Range { start: answers::START, length: answers::LENGTH };
            let _fetch = scene.fetcher.start(&case.url(&authority), range, scene.gate.next()).unwrap();
            let (head, body, end) = scene.sink.fetched();
            let outcome = Outcome { targets: server.join().unwrap(), head, body, end };
            assert_eq!(outcome, case.outcome(), "{}", case.name);
        }
    }
}
