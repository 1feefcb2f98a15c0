//! The HTTP/1.1 endpoint: serves a router the way the devices' parsers need it.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequestParts, Request};
use axum::http::header::EXPECT;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// A request's head, and so the silence between two requests of one connection, may take this long.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// A peer that takes no byte for this long is gone.
const STALL_DEADLINE: Duration = Duration::from_secs(60);
/// Running answers may go on for this long after the order to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(3);
/// The rest of a refused request is read for this long, so that the refusal is seen and not a reset connection.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// The rest of a refused request is read up to this many bytes: a package of five files, each at its limit.
const DRAIN_MAX: u64 = 512 * 1024 * 1024;

/// Who is at the other end of the connection that a request came by. A handler may ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Nobody on the way can read what is said.
    pub secure: bool,
}

impl Peer {
    /// Nobody says who it is.
    pub const UNKNOWN: Peer = Peer { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), secure: false };
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Peer::UNKNOWN))
    }
}

/// Serves `router` on `listener` until `stop`, then lets running answers end within three seconds.
///
/// Header names go out in title case: devices compare them to the letter (QUECTHING.md 4.7).
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.title_case_headers(true).timer(TokioTimer::new()).header_read_timeout(HEAD_DEADLINE);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a peer gone before it was taken: others still want to be served.
                warn!(%error, "no connection taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        if let Err(error) = prepare(&stream) {
            debug!(%error, "connection without its options");
        }
        let peer = Peer { address: address.ip().to_canonical(), secure: false };
        let router = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            router.call(request)
        });
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(STOP_DEADLINE, graceful.shutdown()).await.is_err() {
        debug!("stopped with answers still running");
    }
}

/// The system itself ends a connection whose peer acknowledges nothing, so no answer waits for ever.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_keepalive(true)?;
    socket.set_tcp_user_timeout(Some(STALL_DEADLINE))
}

/// Middleware: after an error answer to a request whose body is still coming, reads (and forgets) the rest.
///
/// Without it the connection closes while the client still sends, and most clients then show a broken pipe
/// instead of the reason.
pub async fn hear_out(request: Request, next: Next) -> Result<Response, Infallible> {
    let waits_for_leave = request.headers().contains_key(EXPECT);
    let (parts, body) = request.into_parts();
    let body = Lent(Arc::new(Mutex::new(Lending { body, begun: false })));
    let response = next.run(Request::from_parts(parts, Body::new(body.clone()))).await;
    let refused = response.status().is_client_error() || response.status().is_server_error();
    // A client that waits for "100 Continue" has sent nothing yet, and need not.
    if refused && (body.begun() || !waits_for_leave) && !body.is_end_stream() {
        // A client slower than this sees its connection closed, as it would have without us.
        let _ = tokio::time::timeout(DRAIN_DEADLINE, body.drain()).await;
    }
    Ok(response)
}

/// A request's body, lent to the handler.
#[derive(Clone)]
struct Lent(Arc<Mutex<Lending>>);

struct Lending {
    body: Body,
    begun: bool,
}

impl Lent {
    fn with<T>(&self, use_it: impl FnOnce(&mut Lending) -> T) -> T {
        // The lock is never held across a panic that could leave a body half-polled.
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn begun(&self) -> bool {
        self.with(|lending| lending.begun)
    }

    async fn drain(mut self) {
        let mut seen = 0;
        while let Some(Ok(frame)) = self.frame().await {
            seen += frame.data_ref().map_or(0, |data| data.len() as u64);
            if seen > DRAIN_MAX {
                break;
            }
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.with(|lending| {
            lending.begun = true;
            Pin::new(&mut lending.body).poll_frame(context)
        })
    }

    fn is_end_stream(&self) -> bool {
        self.with(|lending| lending.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|lending| lending.body.size_hint())
    }
}
