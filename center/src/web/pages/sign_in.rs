//! Signing in and out, and the language switch.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

use crate::access::single_sign_on::{Return, no_sign_in_cookie, sign_in_cookie};
use crate::access::{Access, AccessError, Session};
use crate::peer::Peer;
use crate::web::form::{Fields, is_ours};
use crate::web::layout::{Page, Place};
use crate::web::parts::field;
use crate::web::refusal;
use crate::web::view::{Anyone, LANGUAGE_COOKIE, View};

/// A path of this center, whatever a link says; everything else leads home.
pub(super) fn local(then: &str) -> &str {
    let is_local = then.starts_with('/') && !then.starts_with("//") && !then.contains(['\\', '\r', '\n']);
    if is_local { then } else { "/" }
}

/// What is wrong, in the page's language.
pub(super) fn told(view: &View, error: &AccessError) -> String {
    match error {
        AccessError::WrongPassword => view.t("Name or password are wrong.").to_owned(),
        AccessError::TooManyTries { seconds } => {
            view.f("Too many wrong tries from this address: wait {0} s and try again.", &[seconds])
        }
        AccessError::WeakPassword(rule) => refusal::rule(view, rule),
        other => other.to_string(),
    }
}

/// Most bytes of a form that is kept over a sign-in.
const KEPT_MAX: usize = 1024 * 1024;

/// The sign-in page. `kept` is a form that was sent to `then` when the session was over.
pub(in crate::web) fn page(
    view: &View,
    then: &str,
    wrong: Option<(StatusCode, &str, &str)>,
    kept: &Fields,
) -> Response {
    let is_kept = !kept.pairs().is_empty();
    let status = match wrong {
        Some((status, ..)) => status,
        None if is_kept => StatusCode::UNAUTHORIZED,
        None => StatusCode::OK,
    };
    let name = wrong.map_or("", |(_, _, name)| name);
    Page::new(view, Place::None, view.t("Sign in")).status(status).show(html! {
        form.card.narrow method="post" action="/sign-in" {
            input type="hidden" name="then" value=(local(then));
            @if is_kept {
                input type="hidden" name="kept" value=(kept.without("csrf").encode());
                p.note { (view.t("Your session is over. Sign in again; what you entered is kept.")) }
            }
            @if let Some((_, wrong, _)) = wrong { p.fault role="alert" { (wrong) } }
            (field(view.t("Account"), "name", "", None, html! {
                input #name name="name" required autocomplete="username" autocapitalize="none" spellcheck="false" value=(name);
            }))
            (field(view.t("Password"), "password", view.t("The first account is admin; the center prints its one-time password at its first start."), None, html! {
                input #password type="password" name="password" required autocomplete="current-password" aria-describedby="password-hint";
            }))
            button.main { (view.t("Sign in")) }
            @if view.has_single_sign_on {
                a.button href=(format!("/sign-in/provider?{}", to(then))) { (view.t("Sign in with single sign-on")) }
            }
        }
    })
}

fn to(then: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("then", local(then)).finish()
}

/// `GET /sign-in/provider?then=/`: off to the OpenID Connect provider.
pub async fn depart(
    State(access): State<Access>,
    Anyone(view): Anyone,
    peer: Peer,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let then = local(fields.get("then"));
    match access.begin_single_sign_on(then, peer.secure).await {
        Ok(departure) => with(Redirect::to(&departure.url).into_response(), departure.cookie),
        Err(error) => page(&view, then, Some((error.status(), &told(&view, &error), "")), &Fields::default()),
    }
}

/// `GET /sign-in/callback?code=...&state=...`: back from the provider.
pub async fn arrive(
    State(access): State<Access>,
    Anyone(view): Anyone,
    peer: Peer,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let field = |name| fields.raw(name).to_owned();
    let returned = Return { code: field("code"), state: field("state"), error: field("error") };
    let answer = match access.end_single_sign_on(sign_in_cookie(&headers), &returned, peer.address).await {
        Ok((session, then)) => with(Redirect::to(local(&then)).into_response(), session.cookie(peer.secure)),
        Err(error) => page(&view, "/", Some((error.status(), &told(&view, &error), "")), &Fields::default()),
    };
    with(answer, no_sign_in_cookie(peer.secure))
}

/// After a sign-in in the middle of a form: it is sent again by a button, so that nothing is done by itself.
pub(in crate::web) fn once_more(view: &View, then: &str, kept: &Fields) -> Response {
    let title = view.t("Your session was over; what you entered is still here");
    Page::new(view, Place::None, title).show(html! {
        form.card method="post" action=(then) {
            (view.csrf())
            @for (name, value) in kept.pairs() { input type="hidden" name=(name) value=(value); }
            p { (view.t("You are signed in again. Send the form once more, or leave it.")) }
            div.actions {
                button.main { (view.t("Send it again")) }
                a.button href="/" { (view.t("Not now")) }
            }
        }
    })
}

/// `GET /sign-in`.
pub async fn show(Anyone(view): Anyone, RawQuery(query): RawQuery) -> Response {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    if view.signed.is_some() {
        return Redirect::to(local(fields.get("then"))).into_response();
    }
    page(&view, fields.get("then"), None, &Fields::default())
}

/// `POST /sign-in`.
pub async fn enter(
    State(access): State<Access>,
    Anyone(view): Anyone,
    peer: Peer,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fields = Fields::parse(&body);
    let (name, then) = (fields.get("name"), local(fields.get("then")));
    let kept = fields.raw("kept");
    let kept = if kept.len() <= KEPT_MAX && is_ours(&headers) {
        Fields::parse(kept.as_bytes())
    } else {
        Fields::default()
    };
    match access.sign_in(name, fields.raw("password"), peer.address).await {
        Ok(session) if kept.pairs().is_empty() => {
            with(Redirect::to(then).into_response(), session.cookie(peer.secure))
        }
        Ok(session) => {
            let cookie = session.cookie(peer.secure);
            let view = View { signed: Some(session), ..view };
            with(once_more(&view, then, &kept), cookie)
        }
        Err(error) => {
            let wrong = told(&view, &error);
            page(&view, then, Some((error.status(), &wrong, name)), &kept)
        }
    }
}

/// `POST /sign-out`: also of somebody whose password is still a one-time one.
pub async fn leave(
    State(access): State<Access>,
    Anyone(view): Anyone,
    peer: Peer,
    body: Bytes,
) -> Result<Response, crate::web::layout::Wrong> {
    if let Some(signed) = &view.signed {
        signed.check_csrf(Fields::parse(&body).raw("csrf"))?;
        access.sign_out(signed.secret()).await?;
    }
    Ok(with(Redirect::to("/sign-in").into_response(), Session::no_cookie(peer.secure)))
}

/// `GET /language?to=zh&then=/`: the switch.
pub async fn language(RawQuery(query): RawQuery) -> Response {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let tag = if query.get("to") == "zh" { "zh" } else { "en" };
    let back = Redirect::to(local(query.get("then"))).into_response();
    match HeaderValue::from_str(&format!("{LANGUAGE_COOKIE}={tag}; Path=/; Max-Age=31536000; SameSite=Lax")) {
        Ok(cookie) => with(back, cookie),
        Err(_) => back,
    }
}

/// The answer with a cookie.
pub(super) fn with(mut response: Response, cookie: HeaderValue) -> Response {
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

#[cfg(test)]
mod tests {
    use super::local;

    #[test]
    fn a_link_leads_to_no_other_place() {
        assert_eq!(local("/plans/3?state=failed"), "/plans/3?state=failed");
        for other in ["//evil.example", "https://evil.example", "/\\evil.example", "", "plans"] {
            assert_eq!(local(other), "/", "{other}");
        }
    }
}
