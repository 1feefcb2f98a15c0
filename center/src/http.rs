//! The HTTP/1.1 endpoint: serves a router the way the devices' parsers need it.

use std::convert::Infallible;
use std::io::{self, Cursor};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use http_body_util::BodyExt;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::connections::Connections;
use crate::packages::download::Downloads;
use crate::peer::{Peer, Proxies};
use crate::proxy_protocol::Balancers;
use crate::tls::Tls;

/// A request's head, and so the silence between two requests of one connection, may take this long.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// Bytes of a request's head.
const HEAD_MAX: usize = 16 * 1024;
/// A connection of an address that has as many as it may have waits for one of them to end this long.
const PLACE_DEADLINE: Duration = Duration::from_secs(10);
/// A body of which no byte comes for this long breaks off.
const BODY_SILENCE: Duration = Duration::from_secs(60);
/// A peer that takes no byte for this long is gone.
const STALL_DEADLINE: Duration = Duration::from_secs(60);
/// Running answers may go on for this long after the order to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(3);
/// The rest of a refused request is read for this long, so that the refusal is seen and not a reset connection.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);
/// The rest of a refused request is read up to this many bytes: a package of five files, each at its limit.
const DRAIN_MAX: u64 = 512 * 1024 * 1024;

/// What the connections of a port go by.
#[derive(Debug, Clone)]
pub struct Port {
    /// TLS; none: in the clear.
    pub tls: Option<Tls>,
    /// Who says for whom they ask.
    pub proxies: Proxies,
    /// Who says for whom they connect.
    pub balancers: Balancers,
    /// The connections of all HTTP ports.
    pub connections: Connections,
    /// Answers requests for files before hyper sees them, in the clear.
    pub downloads: Downloads,
}

/// Serves `router` on `listener` at `port` until `stop`, then lets running answers end within three seconds.
///
/// Header names go out in title case: devices compare them to the letter (QUECTHING.md 4.7).
pub async fn serve(listener: TcpListener, port: Port, router: Router, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .title_case_headers(true)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(HEAD_MAX);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (mut stream, address) = match accepted {
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
        let (port, router, builder, stop) = (port.clone(), router.clone(), builder.clone(), stop.clone());
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            let address = match port.balancers.client(&mut stream, address).await {
                Ok(client) => client.ip().to_canonical(),
                Err(error) => {
                    debug!(%address, "no connection: {error}");
                    return;
                }
            };
            // Behind a proxy there is everybody.
            let _place = if port.proxies.has(address) {
                None
            } else {
                let place = tokio::select! {
                    () = stop.cancelled() => return,
                    place = port.connections.wait(address, PLACE_DEADLINE) => place,
                };
                if place.is_none() {
                    debug!(%address, "closed: too many connections from there, or in all");
                    return;
                }
                place
            };
            let peer = Peer { address, secure: port.tls.is_some() };
            let service = asked_by(peer, port.proxies, router);
            let ended = match port.tls {
                None => {
                    // The watcher counts this connection from here on.
                    let files = port.downloads.answer_files(&mut stream, HEAD_DEADLINE, HEAD_MAX, &stop);
                    let read = match files.await {
                        Ok(Some(read)) => read,
                        Ok(None) => return,
                        Err(error) => {
                            debug!(%address, %error, "connection ended");
                            return;
                        }
                    };
                    let (rest, out) = stream.into_split();
                    let stream = tokio::io::join(Cursor::new(read).chain(rest), out);
                    watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await
                }
                Some(tls) => match tls.accept(stream).await {
                    Ok(stream) => {
                        watcher.watch(builder.serve_connection(TokioIo::new(stream), service)).await
                    }
                    Err(error) => {
                        debug!(%address, %error, "no TLS");
                        return;
                    }
                },
            };
            if let Err(error) = ended {
                debug!(%error, "connection ended");
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(STOP_DEADLINE, graceful.shutdown()).await.is_err() {
        debug!("stopped with answers still running");
    }
}

/// The service of one connection: each request knows who asks.
fn asked_by(
    peer: Peer,
    proxies: Proxies,
    router: Router,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> {
    let router = TowerToHyperService::new(router);
    service_fn(move |mut request: Request<Incoming>| {
        let peer = proxies.speak_for(peer, request.headers());
        request.extensions_mut().insert(peer);
        router.call(request)
    })
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
    let body =
        Lent(Arc::new(Mutex::new(Lending { body, begun: false, silence: Box::pin(sleep(BODY_SILENCE)) })));
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
    /// Ends when no byte came for too long.
    silence: Pin<Box<Sleep>>,
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
            if !lending.begun {
                lending.begun = true;
                lending.silence.as_mut().reset(Instant::now() + BODY_SILENCE);
            }
            match Pin::new(&mut lending.body).poll_frame(context) {
                Poll::Pending if lending.silence.as_mut().poll(context).is_ready() => {
                    let late = format!("no byte of the body came for {} s", BODY_SILENCE.as_secs());
                    Poll::Ready(Some(Err(axum::Error::new(io::Error::new(io::ErrorKind::TimedOut, late)))))
                }
                Poll::Pending => Poll::Pending,
                ready => {
                    lending.silence.as_mut().reset(Instant::now() + BODY_SILENCE);
                    ready
                }
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.with(|lending| lending.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.with(|lending| lending.body.size_hint())
    }
}
