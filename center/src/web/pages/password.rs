//! The viewer's own password.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

use super::sign_in::{local, told, with};
use crate::access::{Access, AccessError};
use crate::peer::Peer;
use crate::web::form::Fields;
use crate::web::layout::{Answer, Page, Place};
use crate::web::parts::field;
use crate::web::view::{Anyone, View};

fn page(view: &View, then: &str, wrong: Option<(StatusCode, &str)>) -> Response {
    let must = view.signed.as_ref().is_some_and(|signed| signed.must_change_password);
    let status = wrong.map_or(StatusCode::OK, |(status, _)| status);
    let secret = |name: &'static str, kind: &'static str| {
        html! { input id=(name) type="password" name=(name) required autocomplete=(kind); }
    };
    Page::new(view, Place::None, view.t("Change the password")).status(status).show(html! {
        form.card.narrow method="post" action="/password" {
            (view.csrf())
            input type="hidden" name="then" value=(local(then));
            @if must { p { (view.t("This password is for once. Choose one of your own; then you go on to the pages.")) } }
            @if let Some((_, wrong)) = wrong { p.fault role="alert" { (wrong) } }
            (field(view.t("Present password"), "current", "", None, secret("current", "current-password")))
            (field(view.t("New password"), "new", view.t("10 characters or more."), None, secret("new", "new-password")))
            (field(view.t("New password again"), "again", "", None, secret("again", "new-password")))
            button.main { (view.t("Change the password")) }
        }
    })
}

/// `GET /password`.
pub async fn show(Anyone(view): Anyone, RawQuery(query): RawQuery) -> Response {
    if view.signed.is_none() {
        return Redirect::to("/sign-in").into_response();
    }
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    page(&view, fields.get("then"), None)
}

/// `POST /password`: ends all sessions of the account but this one.
pub async fn change(State(access): State<Access>, Anyone(view): Anyone, peer: Peer, body: Bytes) -> Answer {
    let fields = Fields::parse(&body);
    let signed = view.signed.as_ref().ok_or(AccessError::SessionOver)?;
    signed.check_csrf(fields.raw("csrf"))?;
    let then = local(fields.get("then"));
    if fields.raw("new") != fields.raw("again") {
        let wrong = view.t("The new password was not typed the same way twice.");
        return Ok(page(&view, then, Some((StatusCode::UNPROCESSABLE_ENTITY, wrong))));
    }
    let (current, new) = (fields.raw("current"), fields.raw("new"));
    match access.change_password(&signed.principal.name, current, new, peer.address).await {
        Ok(session) => Ok(with(Redirect::to(then).into_response(), session.cookie(peer.secure))),
        Err(error) => Ok(page(&view, then, Some((error.status(), &told(&view, &error))))),
    }
}
