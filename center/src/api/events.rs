//! Streams of server-sent events: what all of them have in common.
//!
//! A stream looks at the store when something was committed that it is about, and, since other centers may write to the
//! same database, now and then by itself. It tells only what it has not told before.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::error::ApiError;
use crate::store::Watch;

/// Streams at the same time, of all callers together.
const STREAMS: usize = 1_000;
/// Silence after which a comment shows that the stream is alive.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Longest time between two looks while something happens.
const GAP_MAX: Duration = Duration::from_secs(30);
/// After the end of a connection, when a browser connects again.
const RECONNECT: Duration = Duration::from_secs(3);

/// The streams of one center.
#[derive(Clone)]
pub(crate) struct Streams {
    free: Arc<Semaphore>,
    /// Ends them all.
    pub(crate) stop: CancellationToken,
}

impl Default for Streams {
    fn default() -> Self {
        Self::limited(STREAMS)
    }
}

impl Streams {
    fn limited(count: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(count)), stop: CancellationToken::new() }
    }

    /// A place for one more stream; it is free again when the stream ends.
    pub(crate) fn enter(&self) -> Result<Place, ApiError> {
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            let message = format!("{STREAMS} streams of events are open, which is the most; try again later");
            ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", message)
        })?;
        Ok(Place { _permit: permit, stop: self.stop.clone() })
    }
}

/// A stream's place among the others.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    stop: CancellationToken,
}

/// What a look at the store brought.
pub(crate) enum Seen {
    /// Perhaps something new, and more may come.
    Open(Vec<Event>),
    /// The last of it.
    Ended(Vec<Event>),
}

/// What a stream tells of.
pub(crate) trait Subject: Send + 'static {
    /// Shortest time between two looks, however much happens.
    const GAP: Duration;

    /// Looks, and gives what the caller has not been told yet.
    fn look(&mut self) -> impl Future<Output = Result<Seen, ApiError>> + Send;
}

/// A stream about `subject`, looked at whenever one of `watches` changes and after `look_again`.
pub(crate) fn answer<S: Subject>(
    place: Place,
    subject: S,
    watches: [Watch; 2],
    look_again: Duration,
) -> Response {
    let stream = Stream { place, subject, watches, look_again, pending: Vec::new(), phase: Phase::Look };
    let events = stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events).keep_alive(keep_alive).into_response();
    // A proxy that gathers the answer before it passes it on would keep it to itself.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Nothing is left to tell: with this answer a browser does not connect again.
pub(crate) fn nothing_left() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// What the caller has seen before its connection ended.
pub(crate) fn last_seen(headers: &HeaderMap) -> Option<&str> {
    headers.get("last-event-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty())
}

/// An event of this kind; `id` is what [`last_seen`] gives back.
pub(crate) fn event(kind: &str, id: &str, data: &impl Serialize) -> Result<Event, ApiError> {
    let data = serde_json::to_string(data)?;
    Ok(Event::default().event(kind).id(id).retry(RECONNECT).data(data))
}

struct Stream<S> {
    place: Place,
    subject: S,
    watches: [Watch; 2],
    look_again: Duration,
    /// Told one by one, the last one first in line.
    pending: Vec<Event>,
    phase: Phase,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Look at once.
    Look,
    /// Wait for a change, and then until this time at least.
    Wait(Instant),
    /// Nothing more comes.
    End,
}

impl<S: Subject> Stream<S> {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop() {
                return Some(event);
            }
            let goes_on = match self.phase {
                Phase::End => false,
                Phase::Wait(until) => self.wait(until).await,
                Phase::Look => true,
            };
            if !goes_on {
                return None;
            }
            let begun = Instant::now();
            let seen = self.subject.look().await;
            // A look that takes long must not become most of what the database does.
            let gap = S::GAP.max(begun.elapsed() * 10).min(GAP_MAX);
            self.phase = Phase::Wait(begun + gap);
            match seen {
                Ok(Seen::Open(events)) => self.pending = events,
                Ok(Seen::Ended(events)) => {
                    self.pending = events;
                    self.phase = Phase::End;
                }
                Err(error) if error.is_temporary() => {}
                // The caller connects again and is told what is wrong by the status.
                Err(_) => return None,
            }
            self.pending.reverse();
        }
    }

    /// Waits for the next look; says whether there is one.
    async fn wait(&mut self, until: Instant) -> bool {
        let [first, second] = &mut self.watches;
        tokio::select! {
            () = self.place.stop.cancelled() => return false,
            () = first.changed() => {}
            () = second.changed() => {}
            () = sleep(self.look_again) => {}
        }
        tokio::select! {
            () = self.place.stop.cancelled() => false,
            () = sleep_until(until) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_streams_than_there_are_places() {
        let streams = Streams::limited(2);
        let (first, _second) = (streams.enter().unwrap(), streams.enter().unwrap());
        let refused = streams.enter().err().unwrap().into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        assert!(streams.enter().is_ok());
    }
}
