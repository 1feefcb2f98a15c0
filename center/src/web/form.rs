//! Forms: what they bring, and that they come from one of our own pages.

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts, Multipart, Request};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use http_body_util::Limited;

use super::layout::Wrong;
use super::pages::sign_in;
use super::view::{Anyone, View};
use super::{Console, STRANGERS_FORM_MAX};
use crate::access::{AccessError, Role};
use crate::api::error::ApiError;

/// Fields that a form has at most; those behind them are left out.
const FIELDS_MAX: usize = 10_000;

/// The fields of a form, in their order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The fields of a query or of a form's body.
    pub fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().take(FIELDS_MAX).collect())
    }

    /// Fields that were read one by one.
    pub fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// A field without the blanks around it; empty if it is not there.
    pub fn get(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// A field as it was typed.
    pub fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// A field that may be left empty.
    pub fn given(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|value| !value.is_empty())
    }

    /// Every value of a field that may be there several times.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.trim())
    }

    /// Every field.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The same without a field.
    pub fn without(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(found, _)| found != name).cloned().collect())
    }

    /// As a form's body has them.
    pub fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// The same with another value for a field.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(found, _)| found == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
}

/// Whether a form was sent by a page of this center, as browsers tell.
pub fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://"));
    origin.is_some_and(|(_, host)| Some(host) == text(header::HOST))
}

/// An action: a form that somebody sent who is signed in, from one of our pages, and may act.
pub struct Act {
    /// Whose page it came from.
    pub view: View,
    /// What it brings.
    pub fields: Fields,
}

/// Whether a form is the viewer's own, and the viewer may send it.
pub fn check(view: &View, csrf: &str, needed: Role) -> Result<(), ApiError> {
    let signed = view.signed.as_ref().ok_or(AccessError::SessionOver)?;
    signed.check_csrf(csrf)?;
    Ok(signed.principal.require(needed)?)
}

impl FromRequest<Console> for Act {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Console) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let is_ours = is_ours(&parts.headers);
        let Ok(Anyone(view)) = Anyone::from_request_parts(&mut parts, console).await;
        let refused = |error: ApiError| Wrong::from(error).into_response();
        // Who has not signed in brings no lists of devices.
        let body = match &view.signed {
            Some(_) => body,
            None => Body::new(Limited::new(body, STRANGERS_FORM_MAX)),
        };
        let fields = read(Request::from_parts(parts, body), console).await.map_err(refused)?;
        match &view.signed {
            // Nothing that was entered is lost: it is sent once more after the sign-in.
            None if is_ours => return Err(sign_in::page(&view, &view.path, None, &fields)),
            None => return Err(refused(AccessError::SessionOver.into())),
            Some(signed) if signed.must_change_password => {
                return Err(refused(AccessError::MustChangePassword.into()));
            }
            Some(signed) => {
                signed.principal.require(Role::Operator).map_err(|error| refused(error.into()))?;
                match signed.check_csrf(fields.raw("csrf")) {
                    Ok(()) => {}
                    // Somebody has signed in again beside a form that they had begun.
                    Err(error) if is_ours => {
                        let mut page = sign_in::once_more(&view, &view.path, &fields.without("csrf"));
                        *page.status_mut() = error.status();
                        return Err(page);
                    }
                    Err(error) => return Err(refused(error.into())),
                }
            }
        }
        Ok(Act { view, fields })
    }
}

/// The fields of a form; of one with files each file is a field of its text, and one that was not chosen is none.
async fn read(request: Request, console: &Console) -> Result<Fields, ApiError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("multipart/form-data")) {
        return Ok(Fields::parse(&Bytes::from_request(request, console).await?));
    }
    let mut form = Multipart::from_request(request, console).await?;
    let mut pairs = Vec::new();
    while let Some(field) = form.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        let is_no_file = field.file_name().is_some_and(str::is_empty);
        // What is no text shows itself as a bad line of the list.
        let value = String::from_utf8_lossy(&field.bytes().await?).into_owned();
        if !is_no_file {
            pairs.push((name, value));
        }
    }
    Ok(Fields::from_pairs(pairs))
}

/// Back to a page after an action: reloading it does not act again. `said` is shown there once, by its name.
pub fn done(path: &str, said: &str) -> Response {
    let mark = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{mark}said={said}")).into_response()
}
