//! Each change that a route makes goes into the audit log, with the thing as it was before and as it is after: what `GET`
//! answers at the same path, or at the nearest one above it that is no list.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Extensions, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};

use super::Api;
use super::error::ApiError;
use super::routes::Route;
use crate::access::{Audited, Caller, Principal};
use crate::peer::Peer;

/// Most bytes of an answer that is looked into.
const LOOKED_INTO: u64 = 1024 * 1024;

/// The things that changes are about, to be looked at without a guard before them. Known when all routes are; from then on
/// the API holds itself, until the process ends.
#[derive(Clone, Default)]
pub(super) struct Things(Arc<OnceLock<Known>>);

struct Known {
    look: TowerToHyperService<Router>,
    paths: BTreeSet<&'static str>,
    /// Paths of things that may be changed on condition.
    conditional: BTreeSet<&'static str>,
}

/// The routes of things: those of `GET` that do not list what has a route of its own.
fn of_things(routes: &[Route]) -> BTreeSet<&'static str> {
    let lists: BTreeSet<&str> = routes
        .iter()
        .filter_map(|route| route.path.rsplit_once('/'))
        .filter(|(_, last)| last.starts_with('{') && *last != "{action}")
        .map(|(above, _)| above)
        .collect();
    let shown = routes.iter().filter(|route| route.method == Method::GET).map(|route| route.path);
    shown.filter(|path| !lists.contains(path)).collect()
}

/// The route of the thing that a request to `route` is about: itself, or the nearest one above it.
fn nearest(things: &BTreeSet<&'static str>, route: &str) -> Option<&'static str> {
    let mut route = route;
    loop {
        match things.get(route) {
            Some(found) => return Some(found),
            None => route = route.rsplit_once('/')?.0,
        }
    }
}

/// The things that can be changed, of those that are no lists.
pub(super) fn conditional(routes: &[Route]) -> BTreeSet<&'static str> {
    let things = of_things(routes);
    let changes = routes.iter().filter(|route| !route.method.is_safe() && route.requires.role().is_some());
    let changed = changes.filter_map(|route| nearest(&things, route.path));
    changed.filter(|path| path.ends_with('}') || path.ends_with("/auto-confirm")).collect()
}

/// Whether a change by this route can be made on condition.
pub(super) fn is_conditional(routes: &[Route], route: &Route) -> bool {
    let thing = nearest(&of_things(routes), route.path);
    thing.is_some_and(|thing| conditional(routes).contains(thing))
}

impl Things {
    /// `look` answers the `GET` requests of `routes` to everybody.
    pub(super) fn are(&self, look: Router, routes: &[Route]) {
        let (paths, conditional) = (of_things(routes), conditional(routes));
        // Each API is put together once.
        let _ = self.0.set(Known { look: TowerToHyperService::new(look), paths, conditional });
    }

    /// Whether this route shows a thing that may be changed on condition.
    pub(super) fn is_conditional(&self, route: &str) -> bool {
        self.0.get().is_some_and(|known| known.conditional.contains(route))
    }

    /// Route and path of the thing that a change of the route `route` at `path` is about, if it may be made on condition.
    pub(super) fn conditional(&self, route: &str, path: &str) -> Option<(&'static str, String)> {
        let thing = nearest(&self.0.get()?.paths, route)?;
        if self.is_conditional(thing) { Some((thing, self.path(route, path)?)) } else { None }
    }

    /// The path of the thing that a request to `path`, of the route `route`, is about.
    fn path(&self, route: &str, path: &str) -> Option<String> {
        let known = self.0.get()?;
        let (mut route, mut path) = (route, path);
        while !known.paths.contains(route) {
            (route, path) = (route.rsplit_once('/')?.0, path.rsplit_once('/')?.0);
        }
        Some(path.to_owned())
    }

    /// The thing as it is now; none: it is not there.
    pub(super) async fn now(&self, path: &str, extensions: &Extensions) -> Option<Value> {
        let mut request = Request::builder().uri(path).body(Body::empty()).ok()?;
        request.extensions_mut().clone_from(extensions);
        let answer = self.0.get()?.look.call(request).await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        let bytes = to_bytes(answer.into_body(), usize::try_from(LOOKED_INTO).ok()?).await.ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// Forms that change nothing, or that the access room notes itself.
const UNNOTED: [&str; 5] = ["/sign-in", "/sign-out", "/password", "/language", "/plans/preview"];

/// Middleware of the pages: what a form changes goes into the same log.
pub(crate) async fn of_pages(
    State(api): State<Api>,
    route: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Some(route) = route.filter(|route| !UNNOTED.contains(&route.as_str())) else {
        return Ok(next.run(request).await);
    };
    if request.method().is_safe() {
        return Ok(next.run(request).await);
    }
    // Who has no session, or a form that is not ours, is refused by the page itself.
    match api.access.caller(&Method::GET, request.headers()).await {
        Ok(Caller::Staff(principal)) => {
            let action = format!("{} {} (page)", request.method(), route.as_str());
            let route = route.as_str().to_owned();
            run(&api, &action, &route, &principal, request, next).await
        }
        _ => Ok(next.run(request).await),
    }
}

/// Runs a changing request of somebody to a path of `route` and writes what became of it.
pub(super) async fn run(
    api: &Api,
    action: &str,
    route: &str,
    principal: &Principal,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let peer = request.extensions().get().copied().unwrap_or(Peer::UNKNOWN);
    let path = request.uri().path().to_owned();
    let thing = api.things.path(route, &path);
    let mut extensions = Extensions::new();
    extensions.insert(Caller::Staff(principal.clone()));
    let before = match &thing {
        Some(thing) => api.things.now(thing, &extensions).await,
        None => None,
    };
    let audited = api.access.audit(&principal.to_string(), peer.address, action, &path, before).await?;
    let response = next.run(request).await;
    let (response, answer) = look_into(response).await?;
    let after = match &thing {
        Some(thing) if is_done(response.status()) => api.things.now(thing, &extensions).await,
        _ => None,
    };
    // A page that made something leads to it.
    let location = response.headers().get(header::LOCATION).and_then(|at| at.to_str().ok());
    let answer = answer.or_else(|| location.map(|at| json!({ "at": at })));
    write(audited, response.status(), answer, after).await;
    Ok(response)
}

fn is_done(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

async fn write(audited: Audited, status: StatusCode, answer: Option<Value>, after: Option<Value>) {
    let refusal = answer.as_ref().and_then(|answer| answer.get("code")?.as_str());
    let outcome = match refusal {
        Some(code) => format!("{} {code}", status.as_u16()),
        None => status.as_u16().to_string(),
    };
    let after = match after {
        // What was made, or done, is in the answer alone.
        Some(after) if status == StatusCode::CREATED || audited.is_unchanged(&after) => answer,
        None if is_done(status) => answer,
        after => after,
    };
    if let Err(error) = audited.ended(&outcome, after).await {
        tracing::error!(%error, "a change has no line in the audit log yet; the next start writes it");
    }
}

/// The response, and what it says if that is JSON of some reasonable length.
pub(super) async fn look_into(response: Response) -> Result<(Response, Option<Value>), ApiError> {
    let is_short = response.body().size_hint().upper().is_some_and(|bytes| bytes <= LOOKED_INTO);
    if !is_short {
        return Ok((response, None));
    }
    let (parts, body) = response.into_parts();
    let most = usize::try_from(LOOKED_INTO).unwrap_or(usize::MAX);
    let bytes = to_bytes(body, most).await.map_err(|error| ApiError::internal(&error))?;
    let answer = serde_json::from_slice(&bytes).ok();
    Ok((Response::from_parts(parts, Body::from(bytes)), answer))
}
