//! Upgrade Monitoring: one plan, its devices by state and reason, and what an operator does to it.

pub mod life;
mod monitoring;
pub mod orders;
mod settings;

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::html;

use self::monitoring::Monitoring;
use crate::api::error::ApiError;
use crate::api::shared::plan_devices_csv;
use crate::engine::Ordered;
use crate::rules::plan::PlanState;
use crate::rules::progress::UpgradeState;
use crate::store::{PlanId, Topic, UpgradeFilter};
use crate::web::Console;
use crate::web::form::Fields;
use crate::web::layout::{Answer, Page, Place};
use crate::web::live;
use crate::web::memo::Waits;
use crate::web::parts::upgrade_word;
use crate::web::refusal;
use crate::web::view::View;

/// A plan that the viewer's account reaches to.
pub(in crate::web) async fn reached(console: &Console, view: &View, given: &str) -> Result<PlanId, ApiError> {
    let missing = || ApiError::missing("upgrade plan", given);
    let id = given.parse().map(PlanId).map_err(|_| missing())?;
    let product = console.read().await?.plan(id).await?.settings.product;
    // A number out of reach is answered as one that there is not.
    if view.reaches(&product) { Ok(id) } else { Err(missing()) }
}

/// Which devices the list shows.
#[derive(Debug, Clone, Default)]
struct Wanted {
    state: Option<UpgradeState>,
    reason: Option<String>,
    after: i64,
}

impl Wanted {
    fn of(fields: &Fields) -> Self {
        Self {
            state: fields.get("state").parse().ok(),
            reason: fields.given("reason").map(str::to_owned),
            after: fields.get("after").parse().unwrap_or(0),
        }
    }

    fn filter(&self) -> UpgradeFilter {
        UpgradeFilter { state: self.state, reason: self.reason.clone() }
    }

    fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if let Some(state) = self.state {
            query.append_pair("state", state.as_str());
        }
        if let Some(reason) = &self.reason {
            query.append_pair("reason", reason);
        }
        query.finish()
    }

    fn is_all(&self) -> bool {
        self.state.is_none() && self.reason.is_none()
    }
}

fn page(
    view: &View,
    seen: &Monitoring,
    wanted: &Wanted,
    error: Option<&ApiError>,
    ordered: Option<&Ordered>,
) -> Response {
    let parts = seen.parts(view, wanted);
    let part = |id: &'static str| {
        parts.iter().find(|(found, _)| *found == id).map(|(_, part)| part.clone()).unwrap_or_default()
    };
    let live = format!("{}/live?{}&after={}", seen.path(), wanted.query(), wanted.after);
    Page::new(view, Place::Plans, seen.plan.settings.name.to_string())
        .below(view.t("Upgrade Plans"), "/plans")
        .beside(html! { span.muted { "#" (seen.plan.id.0) } " " span #state { (part("state")) } })
        .actions(seen.buttons(view))
        .status(error.map_or(StatusCode::OK, ApiError::status))
        .live(live)
        .show(html! {
            @if let Some(error) = error {
                (refusal::block(view, error))
            }
            @if let Some(ordered) = ordered { (orders::outcome(view, ordered)) }
            @if seen.plan.state == PlanState::Saved {
                p.note { (view.t("The plan is saved: it can be edited, and no device knows of it. Activate it to offer it to devices; from then on it is frozen.")) }
            }
            @let settings = settings::list(view, &seen.plan, &seen.packages, seen.listed());
            @if seen.plan.state == PlanState::Saved {
                section { h2 { (view.t("Settings")) } (settings) }
            } @else {
            div.board {
                div {
                    div #figures { (part("figures")) }
                    div #history { (part("history")) }
                    div #waiting { (part("waiting")) }
                    div #reasons { (part("reasons")) }
                }
                section { h2 { (view.t("Settings")) } (settings) }
            }
                section {
                    h2 { (view.t("Devices that were offered it")) @if let Some(state) = wanted.state { ": " (view.t(upgrade_word(state))) } }
                    div #devices { (part("devices")) }
                }
            }
        })
}

/// `GET /plans/{plan}`.
pub async fn show(
    State(console): State<Console>,
    view: View,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let wanted = Wanted::of(&Fields::parse(query.unwrap_or_default().as_bytes()));
    let seen = Monitoring::of(&console, reached(&console, &view, &id).await?, &wanted, Waits::Page).await?;
    Ok(page(&view, &seen, &wanted, None, None))
}

/// `GET /plans/{plan}/live`.
pub async fn live(
    State(console): State<Console>,
    view: View,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    let wanted = Wanted::of(&Fields::parse(query.unwrap_or_default().as_bytes()));
    let viewer = view.clone();
    let shared = Arc::new((console.clone(), view, wanted));
    live::stream(&console, &viewer, [Topic::Plan(id), Topic::Figures(id)], move || {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let (console, view, wanted) = &*shared;
            let view = view.anew(console);
            Ok(Monitoring::of(console, id, wanted, Waits::Stream).await?.parts(&view, wanted))
        })
    })
}

/// `GET /plans/{plan}/devices.csv`.
pub async fn csv(
    State(console): State<Console>,
    view: View,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let wanted = Wanted::of(&Fields::parse(query.unwrap_or_default().as_bytes()));
    Ok(plan_devices_csv(console.api.clone(), reached(&console, &view, &id).await?, wanted.filter()).await?)
}

async fn failed(console: &Console, view: &View, id: PlanId, error: &ApiError) -> Answer {
    let wanted = Wanted::default();
    let seen = Monitoring::of(console, id, &wanted, Waits::Page).await?;
    Ok(page(view, &seen, &wanted, Some(error), None))
}
