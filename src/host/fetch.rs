//! `GET` with a range, in a thread of its own.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quecota_core::agent::{FetchEnd, FetchHead};
use quecota_core::platform::{Delivery, Level, Range, Refused, TransportEvent};
use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION};
use ureq::http::{HeaderMap, HeaderName, Uri};

use super::log::Log;
use super::signal;
use super::sink::{EventSink, Generation};
use super::trust::{Trust, TrustError};

/// How long each step of a fetch may take. The agent has tighter timers of its own (QUECTHING.md 3.2); these end the
/// thread when the agent no longer looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// Name, TCP and TLS.
    pub connect: Duration,
    /// From the request to the last header.
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

/// Redirects followed; firmware servers need none (QUECTHING.md 4.7).
const REDIRECTS: u32 = 3;
/// Body bytes handed over at once.
const CHUNK: usize = 16 * 1024;

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

/// The HTTP client of the present hop; `None` between hops.
type Hop = Arc<Mutex<Option<ureq::Agent>>>;

impl Drop for Fetch {
    fn drop(&mut self) {
        if let Some(agent) = self.hop.lock().unwrap_or_else(PoisonError::into_inner).take() {
            agent.shutdown();
        }
    }
}

/// Why a fetch brought no, or not all of the, bytes.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Http(#[from] ureq::Error),
    #[error("{0}")]
    Body(#[from] std::io::Error),
    #[error("{0}")]
    Trust(#[from] TrustError),
    #[error("the redirect to {0:?} is not followed: {1}")]
    Redirect(String, &'static str),
    #[error("the answer's {0} {1:?} makes no sense")]
    Header(HeaderName, String),
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
            let shown = url.split('?').next().unwrap_or_default();
            self.log.line(Level::Error, &format!("cannot fetch {shown}: {why}"));
            Refused
        };
        let uri: Uri = url.parse().map_err(|_| refused("not a URL"))?;
        if scheme(&uri).is_none() || uri.host().is_none() {
            return Err(refused("must be http://host/... or https://host/..."));
        }
        let last = range.start.checked_add(range.length).and_then(|end| end.checked_sub(1));
        let last = last.filter(|last| *last >= range.start).ok_or_else(|| refused("no such range"))?;
        let bytes = format!("bytes={}-{last}", range.start);
        let hop = Hop::default();
        let (fetcher, thread_hop) = (self.clone(), Arc::clone(&hop));
        signal::spawn("quecota-fetch", move || fetcher.run(uri, &bytes, &generation, &thread_hop))
            .map_err(|e| refused(&e.to_string()))?;
        Ok(Fetch { hop })
    }

    fn run(&self, uri: Uri, range: &str, generation: &Generation, hop: &Hop) {
        // Without the query, which may hold a signature that opens the firmware to whoever reads the log.
        let url = format!(
            "{}://{}{}",
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |authority| authority.as_str()),
            uri.path()
        );
        let end = match self.get(uri, range, generation, hop) {
            Ok(Outcome::Unwanted) => return,
            Ok(Outcome::Complete) => FetchEnd::Complete,
            // The agent itself closed the socket.
            Err(_) if !generation.valid() => return,
            Err(e) => {
                self.log.line(Level::Warn, &format!("fetch of {url}, {range}: {e}"));
                FetchEnd::Failed
            }
        };
        // Nothing follows the end, so that its reply decides nothing.
        let _ = self.sink.deliver(generation, TransportEvent::FetchEnd(end));
    }

    fn get(
        &self,
        mut uri: Uri,
        range: &str,
        generation: &Generation,
        hop: &Hop,
    ) -> Result<Outcome, FetchError> {
        let mut redirects = 0;
        let response = loop {
            let agent = self.agent(&uri)?;
            {
                let mut hop = hop.lock().unwrap_or_else(PoisonError::into_inner);
                if !generation.valid() {
                    return Ok(Outcome::Unwanted);
                }
                *hop = Some(agent.clone());
            }
            let response = agent.get(uri.clone()).header("Range", range).call()?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                break response;
            }
            redirects += 1;
            uri = redirect(&uri, response.headers(), redirects)?;
        };

        let head = head(response.status().as_u16(), response.headers())?;
        if self.sink.deliver(generation, TransportEvent::FetchHead(head)) == Delivery::Stop {
            return Ok(Outcome::Unwanted);
        }
        let mut body = response.into_body().into_reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = body.read(&mut chunk)?;
            match chunk.get(..length) {
                None | Some([]) => return Ok(Outcome::Complete),
                Some(data) => {
                    if self.sink.deliver(generation, TransportEvent::FetchData(data)) == Delivery::Stop {
                        return Ok(Outcome::Unwanted);
                    }
                }
            }
        }
    }

    /// A client for one request. It has its own connection, so that closing it harms no other fetch.
    fn agent(&self, uri: &Uri) -> Result<ureq::Agent, TrustError> {
        let mut config = ureq::Agent::config_builder()
            .user_agent(concat!("quecota/", env!("CARGO_PKG_VERSION")))
            // MQTT goes direct, so HTTP does: a proxy for one of the two would only confuse.
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_idle_connections(0)
            .timeout_resolve(Some(self.timeouts.connect))
            .timeout_connect(Some(self.timeouts.connect))
            .timeout_send_request(Some(self.timeouts.head))
            .timeout_recv_response(Some(self.timeouts.head))
            .timeout_per_read(Some(self.timeouts.read))
            .timeout_per_write(Some(self.timeouts.read));
        if scheme(uri) == Some(Scheme::Https) {
            config = config.tls_config(self.trust.ureq()?);
        }
        Ok(config.build().new_agent())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

fn scheme(uri: &Uri) -> Option<Scheme> {
    match uri.scheme_str() {
        Some("http") => Some(Scheme::Http),
        Some("https") => Some(Scheme::Https),
        _ => None,
    }
}

/// Where an answer of 3xx sends us: the same scheme or up to `https`, never down.
fn redirect(from: &Uri, headers: &HeaderMap, count: u32) -> Result<Uri, FetchError> {
    let location = text(headers, &LOCATION)?.unwrap_or_default();
    let refused = |why| FetchError::Redirect(location.to_owned(), why);
    if count > REDIRECTS {
        return Err(refused("too many of them"));
    }
    let (scheme_text, authority) =
        (from.scheme_str().unwrap_or_default(), from.authority().map_or("", |a| a.as_str()));
    let absolute = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme_text}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme_text}://{authority}{location}")
    } else {
        return Err(refused("it must be a whole URL or an absolute path"));
    };
    let to: Uri = absolute.parse().map_err(|_| refused("it is not a URL"))?;
    match (scheme(from), scheme(&to)) {
        (_, Some(Scheme::Https)) | (Some(Scheme::Http), Some(Scheme::Http)) => Ok(to),
        (Some(Scheme::Https), Some(Scheme::Http)) => Err(refused("it leaves https")),
        _ => Err(refused("it must be http or https")),
    }
}

/// What the agent checks the body against.
fn head(status: u16, headers: &HeaderMap) -> Result<FetchHead, FetchError> {
    let length = match text(headers, &CONTENT_LENGTH)? {
        None => None,
        Some(value) => Some(value.trim().parse().map_err(|_| nonsense(&CONTENT_LENGTH, value))?),
    };
    if status != 206 {
        return Ok(FetchHead { status, length, total: length, ..FetchHead::default() });
    }
    let Some(value) = text(headers, &CONTENT_RANGE)? else {
        return Ok(FetchHead { status, length, ..FetchHead::default() });
    };
    let range = content_range(value).ok_or_else(|| nonsense(&CONTENT_RANGE, value))?;
    if length.is_some_and(|length| length != range.length) {
        return Err(nonsense(&CONTENT_RANGE, value));
    }
    Ok(FetchHead {
        status,
        first: range.first,
        length: Some(range.length),
        total: range.total,
        ..FetchHead::default()
    })
}

#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    first: u32,
    length: u32,
    total: Option<u32>,
}

/// `bytes 0-1023/4096` or `bytes 0-1023/*` (RFC 9110, 14.4).
fn content_range(value: &str) -> Option<ContentRange> {
    let (unit, rest) = value.trim().split_once(' ')?;
    let (range, total) = rest.trim_start().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
    let length = last.checked_sub(first)?.checked_add(1)?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    let inside = total.is_none_or(|total: u32| last < total);
    (unit.eq_ignore_ascii_case("bytes") && inside).then_some(ContentRange { first, length, total })
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, FetchError> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(nonsense(name, &String::from_utf8_lossy(value.as_bytes()))),
    }
}

fn nonsense(name: &HeaderName, value: &str) -> FetchError {
    FetchError::Header(name.clone(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::sink::GenerationCounter;
    use crate::host::sink::recording::{Received, Recorder};
    use std::time::Instant;
    use test_platform::http::{BodyManner, Case, Length, Manners, Ranges, Server};

    struct Scene {
        server: Server,
        file: Vec<u8>,
        sink: Arc<Recorder>,
        gate: GenerationCounter,
        fetcher: Fetcher,
    }

    impl Scene {
        fn new(manners: Manners) -> Self {
            let server = Server::start().unwrap();
            let file: Vec<u8> = (0..100_000u32).map(|i| (i * 7 % 251) as u8).collect();
            server.put("/fw.bin", file.clone());
            server.behave(manners);
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

    fn manners() -> Manners {
        Manners::default()
    }

    #[test]
    fn a_range_brings_its_head_its_bytes_and_its_end() {
        let scene = Scene::new(manners());
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
        let scene = Scene::new(Manners { case: Case::Lower, length: Length::Chunked, ..manners() });
        let (head, body, end) = scene.get(1, 99_999);
        assert_eq!(head.unwrap().length, Some(99_999));
        assert!(body == scene.file[1..]);
        assert_eq!(end, FetchEnd::Complete);
    }

    #[test]
    fn a_server_that_ignores_the_range_is_told_as_200_from_byte_0() {
        let scene = Scene::new(Manners { ranges: Ranges::Ignored, ..manners() });
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
        let scene = Scene::new(Manners { ranges: Ranges::Shifted(5), ..manners() });
        assert_eq!(scene.get(100, 50).0.unwrap().first, 105);
    }

    #[test]
    fn an_error_status_is_told_too() {
        let scene = Scene::new(Manners { status: Some(404), ..manners() });
        let (head, body, _) = scene.get(0, 10);
        assert_eq!((head.unwrap().status, body.len()), (404, 0));
    }

    #[test]
    fn a_body_that_ends_early_is_a_failure_with_the_bytes_that_came() {
        let scene = Scene::new(Manners { body: BodyManner::CloseAfter(12_345), ..manners() });
        let (_, body, end) = scene.get(0, 50_000);
        assert!(body == scene.file[..12_345]);
        assert_eq!(end, FetchEnd::Failed);
    }

    #[test]
    fn a_chunked_body_that_ends_early_is_a_failure() {
        let manners = Manners { body: BodyManner::CloseAfter(1000), length: Length::Chunked, ..manners() };
        assert_eq!(Scene::new(manners).get(0, 50_000).2, FetchEnd::Failed);
    }

    #[test]
    fn a_server_that_stalls_is_given_up_at_the_deadline() {
        let scene = Scene::new(Manners { body: BodyManner::StallAfter(1000), ..manners() });
        let begun = Instant::now();
        let (_, body, end) = scene.get(0, 50_000);
        assert_eq!((body.len(), end), (1000, FetchEnd::Failed));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_port_without_listener_is_a_failure_without_a_head() {
        let scene = Scene::new(manners());
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
        let scene = Scene::new(manners());
        scene.sink.reply([Delivery::Taken, Delivery::Stop]);
        let _fetch = scene.start(0, 100_000);
        assert!(matches!(scene.sink.next(), Received::FetchHead(_)));
        assert!(matches!(scene.sink.next(), Received::FetchData(_)));
        assert_eq!(scene.sink.within(Duration::from_millis(300)), None);
    }

    #[test]
    fn giving_a_fetch_up_closes_its_socket_at_once_and_nothing_more_is_told() {
        let mut scene = Scene::new(Manners { body: BodyManner::StallAfter(1000), ..manners() });
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
        let target = Scene::new(manners());
        let location = target.server.url("/fw.bin");
        let scene = Scene::new(Manners { redirect: Some(location), ..manners() });
        let (head, body, _) = scene.get(10, 10);
        assert_eq!((head.unwrap().status, &body[..]), (206, &scene.file[10..20]));

        let round = Scene::new(Manners { redirect: Some("/fw.bin".to_owned()), ..manners() });
        assert_eq!(round.get(0, 10), (None, Vec::new(), FetchEnd::Failed));
        assert_eq!(round.server.seen().len(), 1 + REDIRECTS as usize);
    }

    #[test]
    fn a_redirect_never_leaves_https_or_the_two_schemes() {
        let to = |from: &str, location: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(LOCATION, location.parse().unwrap());
            redirect(&from.parse().unwrap(), &headers, 1)
                .map(|uri| uri.to_string())
                .map_err(|e| e.to_string())
        };
        assert_eq!(to("http://a/x", "https://b/y?z"), Ok("https://b/y?z".to_owned()));
        assert_eq!(to("https://a:8/x", "/y"), Ok("https://a:8/y".to_owned()));
        assert_eq!(to("https://a/x", "//b/y"), Ok("https://b/y".to_owned()));
        assert!(to("https://a/x", "http://a/y").unwrap_err().contains("leaves https"));
        assert!(to("http://a/x", "ftp://a/y").unwrap_err().contains("must be http or https"));
        assert!(to("http://a/x", "y").unwrap_err().contains("absolute path"));
    }

    #[test]
    fn a_url_or_range_that_cannot_be_is_refused_at_once() {
        let scene = Scene::new(manners());
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
    fn content_ranges_that_contradict_themselves_are_refused() {
        let good = ContentRange { first: 0, length: 1024, total: Some(4096) };
        assert_eq!(content_range("bytes 0-1023/4096"), Some(good));
        assert_eq!(content_range("Bytes 5-5/*"), Some(ContentRange { first: 5, length: 1, total: None }));
        for bad in ["bytes */4096", "bytes 9-5/10", "bytes 0-9/9", "bytes 0-4294967295/*", "lines 0-1/2", ""]
        {
            assert_eq!(content_range(bad), None, "{bad}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_RANGE, "bytes 0-9/100".parse().unwrap());
        headers.insert(CONTENT_LENGTH, "11".parse().unwrap());
        assert!(head(206, &headers).is_err());
    }
}
