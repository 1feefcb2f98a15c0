//! What a handler may ask for.

use axum::extract::{FromRef, FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;

use super::principal::cookie_of;
use super::{Access, AccessError, Caller, Principal, Session, Use};

impl<S: Send + Sync> FromRequestParts<S> for Caller
where
    Access: FromRef<S>,
{
    type Rejection = AccessError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AccessError> {
        // Found out already, by the guard of the route.
        if let Some(caller) = parts.extensions.get::<Caller>() {
            return Ok(caller.clone());
        }
        Access::from_ref(state).caller(&parts.method, &parts.headers).await
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Principal
where
    Access: FromRef<S>,
{
    type Rejection = AccessError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AccessError> {
        match Caller::from_request_parts(parts, state).await? {
            Caller::Staff(principal) => Ok(principal),
            Caller::EndUser(_) => Err(AccessError::EndUser),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Session
where
    Access: FromRef<S>,
{
    type Rejection = AccessError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AccessError> {
        let Some(cookie) = cookie_of(&parts.headers) else { return Err(AccessError::SessionOver) };
        let (access, by) = (Access::from_ref(state), Use::of(&parts.headers));
        access.session_used(cookie, by).await?.ok_or(AccessError::SessionOver)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Session
where
    Access: FromRef<S>,
{
    type Rejection = AccessError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, AccessError> {
        match <Session as FromRequestParts<S>>::from_request_parts(parts, state).await {
            Ok(session) => Ok(Some(session)),
            Err(AccessError::SessionOver) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
