//! `POST`, `GET` and `DELETE /session`, and `POST /session/password`: signing in and out.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::{Deserialize, Serialize};

use super::Who;
use crate::access::{AccessError, Caller, Principal, Session};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Body;
use crate::peer::Peer;

/// What somebody signs in with.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    account: String,
    password: String,
}

/// A password and the one that takes its place.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    account: String,
    password: String,
    /// Not the one before, not the account's name, not one character again and again; at most 256 bytes.
    #[schemars(length(min = 10))]
    new: String,
}

/// A session that has begun; its cookie is in the answer's `Set-Cookie`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "Session")]
pub struct Begun {
    #[serde(flatten)]
    who: Who,
    /// For the header `X-CSRF-Token` of every request that changes something.
    csrf: String,
    /// The password is a one-time one: only `POST /session/password` goes.
    must_change_password: bool,
}

/// The session is over.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[schemars(rename = "SessionEnded")]
pub struct Ended {
    ended: bool,
}

type WithCookie = ([(HeaderName, HeaderValue); 2], Json<Begun>);

fn begun(session: Session, peer: Peer) -> WithCookie {
    let headers = [
        (header::SET_COOKIE, session.cookie(peer.secure)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let (csrf, must_change_password) = (session.csrf, session.must_change_password);
    (headers, Json(Begun { who: session.principal.into(), csrf, must_change_password }))
}

/// Signs in with a password.
pub async fn begin(
    State(api): State<Api>,
    peer: Peer,
    Body(given): Body<SignIn>,
) -> Result<WithCookie, ApiError> {
    let session = api.access.sign_in(&given.account, &given.password, peer.address).await?;
    Ok(begun(session, peer))
}

/// Changes the own password; ends all sessions of the account and begins a new one.
pub async fn change_password(
    State(api): State<Api>,
    peer: Peer,
    Body(given): Body<Change>,
) -> Result<WithCookie, ApiError> {
    let changed =
        api.access.change_password(&given.account, &given.password, &given.new, peer.address).await?;
    Ok(begun(changed, peer))
}

/// Who asks.
pub async fn show(caller: Result<Principal, AccessError>) -> Result<Json<Who>, ApiError> {
    Ok(Json(caller?.into()))
}

/// Signs out: the cookie counts no more.
pub async fn end(
    State(api): State<Api>,
    peer: Peer,
    caller: Result<Caller, AccessError>,
    session: Result<Session, AccessError>,
    headers: HeaderMap,
) -> Result<([(HeaderName, HeaderValue); 1], Json<Ended>), ApiError> {
    let session = session?;
    match caller {
        // Whoever has still to change their password may leave.
        Err(AccessError::MustChangePassword) => {
            let shown = headers.get("x-csrf-token").and_then(|value| value.to_str().ok());
            session.check_csrf(shown.unwrap_or_default())?;
        }
        caller => drop(caller?),
    }
    api.access.sign_out(session.secret()).await?;
    Ok(([(header::SET_COOKIE, Session::no_cookie(peer.secure))], Json(Ended { ended: true })))
}
