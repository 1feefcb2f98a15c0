//! What all pages have around them, and how an error becomes a page.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};

use super::Console;
use super::assets;
use super::refusal;
use super::texts;
use super::view::{Anyone, Lang, View};
use crate::access::AccessError;
use crate::api::error::ApiError;
use crate::engine::EngineError;
use crate::rules::NameError;
use crate::store::StoreError;

/// Scripts, styles and pictures come from here alone, and nothing is inline.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// An error on its way to becoming a page.
#[derive(Debug)]
pub struct Wrong(ApiError);

impl From<ApiError> for Wrong {
    fn from(error: ApiError) -> Self {
        Self(error)
    }
}

impl From<AccessError> for Wrong {
    fn from(error: AccessError) -> Self {
        Self(error.into())
    }
}

impl From<StoreError> for Wrong {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl From<EngineError> for Wrong {
    fn from(error: EngineError) -> Self {
        Self(error.into())
    }
}

impl From<NameError> for Wrong {
    fn from(error: NameError) -> Self {
        Self(error.into())
    }
}

/// What an error says, for the page around it.
#[derive(Debug, Clone)]
struct Said(Arc<ApiError>);

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let mut response = self.0.status().into_response();
        response.extensions_mut().insert(Said(Arc::new(self.0)));
        response
    }
}

/// What a handler of a page gives.
pub type Answer = Result<Response, Wrong>;

/// A place that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The fleet.
    Fleet,
    /// Products and components.
    Products,
    /// Devices.
    Devices,
    /// Version packages.
    Packages,
    /// Firmware verification.
    Verifications,
    /// Upgrade plans.
    Plans,
    /// Accounts and tokens.
    Accounts,
    /// What the center runs with.
    Settings,
    /// None of them.
    None,
}

const PLACES: &[(Place, &str, &str)] = &[
    (Place::Fleet, "/", "Fleet"),
    (Place::Products, "/products", "Products"),
    (Place::Devices, "/devices", "Devices"),
    (Place::Packages, "/packages", "Version Packages"),
    (Place::Verifications, "/verifications", "Firmware Verification"),
    (Place::Plans, "/plans", "Upgrade Plans"),
    (Place::Accounts, "/accounts", "Accounts"),
    (Place::Settings, "/settings", "Settings"),
];

/// Places that others are not led to.
const FOR_ADMINISTRATORS: &[Place] = &[Place::Accounts, Place::Settings];

/// A page.
pub struct Page<'v> {
    view: &'v View,
    place: Place,
    title: String,
    /// Pages above it, with their addresses.
    above: Vec<(String, String)>,
    /// What the title is followed by: a state, say.
    beside: Markup,
    actions: Markup,
    live: Option<String>,
    scripts: Vec<&'static str>,
    status: StatusCode,
}

impl<'v> Page<'v> {
    /// A page with a title.
    pub fn new(view: &'v View, place: Place, title: impl Into<String>) -> Self {
        let (title, nothing) = (title.into(), || html! {});
        Self {
            view,
            place,
            title,
            above: Vec::new(),
            beside: nothing(),
            actions: nothing(),
            live: None,
            scripts: Vec::new(),
            status: StatusCode::OK,
        }
    }

    /// A page above it.
    pub fn below(mut self, title: impl Into<String>, path: impl Into<String>) -> Self {
        self.above.push((title.into(), path.into()));
        self
    }

    /// What stands beside the title.
    pub fn beside(mut self, beside: Markup) -> Self {
        self.beside = beside;
        self
    }

    /// Buttons of the whole page.
    pub fn actions(mut self, actions: Markup) -> Self {
        self.actions = actions;
        self
    }

    /// The stream of events that keeps its parts up to date.
    pub fn live(mut self, path: impl Into<String>) -> Self {
        self.live = Some(path.into());
        self
    }

    /// A script beside the common one.
    pub fn script(mut self, name: &'static str) -> Self {
        self.scripts.push(name);
        self
    }

    /// The status of a page that shows what is wrong with a form.
    pub fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The page with its content.
    pub fn show(self, content: Markup) -> Response {
        let Self { view, place, title, above, beside, actions, live, scripts, status } = self;
        let said = said(view);
        let body = html! {
            a.skip href="#main" { (view.t("Skip to the content")) }
            header.top {
                a.brand href="/" { span.mark aria-hidden="true" { "q" } "quecota" }
                @if let Some(signed) = &view.signed {
                    nav.places aria-label=(view.t("Main")) {
                        @for (to, path, name) in PLACES.iter().filter(|(to, ..)| !FOR_ADMINISTRATORS.contains(to) || view.may_administrate()) {
                            a href=(path) aria-current=[(*to == place).then_some("page")] { (view.t(name)) }
                        }
                    }
                    div.person {
                        a.who href="/password" title=(view.t("Change the password")) { (signed.principal.name) }
                        form method="post" action="/sign-out" {
                            (view.csrf())
                            button.link { (view.t("Sign out")) }
                        }
                    }
                }
                (switch(view))
            }
            main #main tabindex="-1" data-live=[live] {
                @if !above.is_empty() {
                    nav.above aria-label=(view.t("Above this page")) {
                        @for (title, path) in &above { a href=(path) { (title) } span aria-hidden="true" { "/" } }
                    }
                }
                div.head {
                    h1 { (title) }
                    (beside)
                    div.actions { (actions) }
                }
                @if let Some(said) = said { p.said role="status" { (said) } }
                (content)
            }
            footer.foot {
                span { (view.f("Times are in {0}.", &[&view.zone.name()])) }
                span.off hidden { (view.t("Live updates are interrupted; connecting again\u{2026}")) }
                span { "quecota-center " (env!("CARGO_PKG_VERSION")) }
            }
        };
        (status, Html(document(view, &title, &scripts, body).into_string())).into_response()
    }
}

fn document(view: &View, title: &str, scripts: &[&str], body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang=(view.lang.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " \u{b7} quecota" }
                link rel="stylesheet" href=(assets::address("console.css"));
                link rel="icon" type="image/svg+xml" href=(assets::address("icon.svg"));
                script type="module" src=(assets::address("console.js")) {}
                @for name in scripts { script type="module" src=(assets::address(name)) {} }
            }
            body { (body) }
        }
    }
}

/// The language switch: a link to this page in the other language.
fn switch(view: &View) -> Markup {
    let (other, name) = match view.lang {
        Lang::En => (Lang::Zh, "\u{4e2d}\u{6587}"),
        Lang::Zh => (Lang::En, "English"),
    };
    let then: String = form_urlencoded::byte_serialize(view.path.as_bytes()).collect();
    html! {
        a.switch href=(format!("/language?to={}&then={then}", other.tag())) lang=(other.tag()) hreflang=(other.tag()) {
            (name)
        }
    }
}

/// What was just done, if an action has led here.
fn said(view: &View) -> Option<&'static str> {
    let query = view.path.split_once('?')?.1;
    let (_, said) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "said")?;
    texts::SAID.iter().find(|(name, _)| *name == said).map(|(_, text)| view.t(text))
}

/// Middleware: an error becomes a page in the viewer's language, and every answer gets its headers.
pub async fn finish(State(console): State<Console>, request: Request, next: Next) -> Response {
    let (mut head, ()) = axum::http::Request::new(()).into_parts();
    (head.uri, head.headers) = (request.uri().clone(), request.headers().clone());
    let mut response = next.run(request).await;
    if let Some(said) = response.extensions_mut().remove::<Said>() {
        let Ok(Anyone(view)) = Anyone::from_request_parts(&mut head, &console).await;
        response = explained(&view, &said.0);
    }
    let headers = response.headers_mut();
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::VARY, "Cookie, Accept-Language"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages are the viewer's own; what is on them changes.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn explained(view: &View, error: &ApiError) -> Response {
    let status = error.status();
    let title = match status {
        StatusCode::NOT_FOUND => view.t("Not found"),
        StatusCode::FORBIDDEN => view.t("Not allowed"),
        StatusCode::SERVICE_UNAVAILABLE => view.t("Not available now"),
        _ if status.is_client_error() => view.t("That does not work"),
        _ => view.t("Something went wrong"),
    };
    Page::new(view, Place::None, title).status(status).show(html! {
        (refusal::block(view, error))
        p { a.button href="/" { (view.t("To the fleet")) } }
    })
}
