//! Forms: what they bring, and that they come from one of our own pages.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Redirect, Response};

use super::Console;
use super::layout::Wrong;
use super::view::View;
use crate::access::{AccessError, Role};
use crate::api::error::ApiError;

/// The fields of a form, in their order.
#[derive(Debug, Clone, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The fields of a query or of a form's body.
    pub fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
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

    /// The same with another value for a field.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        match self.0.iter_mut().find(|(found, _)| found == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }
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
        let view =
            <View as axum::extract::FromRequestParts<Console>>::from_request_parts(&mut parts, console)
                .await?;
        let refused = |error: ApiError| Wrong::from(error).into_response();
        let body = Bytes::from_request(Request::from_parts(parts, body), console)
            .await
            .map_err(|rejection| refused(rejection.into()))?;
        let fields = Fields::parse(&body);
        check(&view, fields.raw("csrf"), Role::Operator).map_err(refused)?;
        Ok(Act { view, fields })
    }
}

/// Back to a page after an action: reloading it does not act again. `said` is shown there once, by its name.
pub fn done(path: &str, said: &str) -> Response {
    let mark = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{mark}said={said}")).into_response()
}
