//! Live pages: a stream of server-sent events with the parts of a page that have changed, rendered as the page renders them.

use std::collections::HashMap;
use std::pin::Pin;
use std::time::Duration;

use axum::extract::FromRef;
use axum::response::Response;
use maud::Markup;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Console;
use super::layout::{Answer, Wrong};
use super::view::View;
use crate::access::{Access, Session};
use crate::api::error::ApiError;
use crate::api::events::{Seen, Subject, answer, event};
use crate::store::Topic;

/// The parts of a page, each with the id of its element.
pub type Parts = Vec<(&'static str, Markup)>;

type Rendering = Pin<Box<dyn Future<Output = Result<Parts, ApiError>> + Send>>;

/// A page that is looked at again and again.
struct Watched<F> {
    access: Access,
    /// Whose page it is: the stream ends with their session, or when they may do other things than before.
    signed: Option<Session>,
    render: F,
    told: HashMap<&'static str, [u8; 32]>,
    count: u64,
}

impl<F: Fn() -> Rendering + Send + 'static> Subject for Watched<F> {
    const GAP: Duration = Duration::from_millis(500);

    async fn look(&mut self) -> Result<Seen, ApiError> {
        let mut events = Vec::new();
        if !is_still_theirs(self.access.clone(), self.signed.clone()).await? {
            return Ok(Seen::Ended(events));
        }
        for (id, part) in (self.render)().await? {
            let html = part.into_string();
            let digest: [u8; 32] = Sha256::digest(html.as_bytes()).into();
            if self.told.insert(id, digest) == Some(digest) {
                continue;
            }
            self.count += 1;
            events.push(event("part", &self.count.to_string(), &json!({ "id": id, "html": html }))?);
        }
        Ok(Seen::Open(events))
    }
}

/// Whether the session goes on, and its account may do what it could before.
async fn is_still_theirs(access: Access, before: Option<Session>) -> Result<bool, ApiError> {
    let Some(before) = before else { return Ok(false) };
    let now = access.watched_session(before.secret()).await?;
    Ok(now.is_some_and(|now| now.principal == before.principal))
}

/// The stream of a page whose parts `render` makes; it looks when one of `topics` changes.
pub fn stream<F>(console: &Console, view: &View, topics: [Topic; 2], render: F) -> Answer
where
    F: Fn() -> Rendering + Send + 'static,
{
    let place = console.api.streams().enter().map_err(Wrong::from)?;
    let store = console.engine().store();
    let watches = topics.map(|topic| store.watch(topic));
    // Times on a page move on by themselves; "in 3 min" must not stand for an hour.
    let look_again = store.look_again().min(Duration::from_secs(15));
    let (access, signed) = (Access::from_ref(console), view.signed.clone());
    let watched = Watched { access, signed, render, told: HashMap::new(), count: 0 };
    let response: Response = answer(place, watched, watches, look_again);
    Ok(response)
}
