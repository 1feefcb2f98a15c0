//! Component Details: one device of a plan, with its log; and one firmware verification, which is the same without a plan.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use maud::{Markup, html};

use super::log;
use super::plan::reached;
use crate::api::error::ApiError;
use crate::rules::progress::{ComponentState, UpgradeState};
use crate::rules::verification::VerificationState;
use crate::rules::{DeviceKey, UpgradeId};
use crate::store::{Device, LogEntry, Package, Plan, StoreError, Topic, Upgrade};
use crate::web::Console;
use crate::web::explain::{self, reason};
use crate::web::form::Fields;
use crate::web::layout::{Answer, Page, Place};
use crate::web::live::{self, Parts};
use crate::web::parts::{
    component_state, empty, fetched, maybe, next_page, table, upgrade_state, verification_state, verified,
};
use crate::web::view::View;

/// An upgrade with all that belongs to it.
struct Details {
    upgrade: Upgrade,
    device: Device,
    plan: Option<Plan>,
    packages: Vec<Option<Package>>,
    log: Vec<LogEntry>,
    /// Why it waits, if the plan is active.
    why: Option<Markup>,
}

impl Details {
    async fn of(console: &Console, view: &View, id: UpgradeId) -> Result<Self, ApiError> {
        let mut store = console.read().await?;
        let upgrade = store.upgrade(id).await?;
        let device = store.device_by_id(upgrade.device).await?;
        let plan = match upgrade.plan {
            Some(plan) => Some(store.plan(plan).await?),
            None => None,
        };
        let mut packages = Vec::new();
        for part in &upgrade.components {
            packages.push(store.find_package(part.package).await?);
        }
        let log = store.upgrade_log(id, LINES).await?.rows;
        drop(store);
        let mut why = None;
        if let Some(plan) = &plan
            && upgrade.ended.is_none()
        {
            let (_, reasons) = console.engine().why(&device.product, &device.key).await?;
            why = reasons.iter().find(|why| why.plan.id == plan.id).map(|why| explain::of_plan(view, why));
        }
        Ok(Self { upgrade, device, plan, packages, log, why })
    }

    fn size(&self, index: usize) -> Option<u64> {
        let package = self.packages.get(index)?.as_ref()?;
        Some(package.content.files.iter().map(|file| file.size).sum())
    }

    fn parts(&self, view: &View) -> Parts {
        vec![
            ("state", self.state(view)),
            ("facts", self.facts(view)),
            ("steps", self.steps(view)),
            ("components", self.components(view)),
            ("log", log::lines(view, &self.log)),
        ]
    }

    fn state(&self, view: &View) -> Markup {
        match &self.plan {
            Some(_) => upgrade_state(view, self.upgrade.state),
            None => verification_state(view, VerificationState::of(self.upgrade.phase())),
        }
    }

    fn facts(&self, view: &View) -> Markup {
        let device = format!("/products/{}/devices/{}", self.device.product, self.device.key);
        html! {
            dl.facts.columns {
                div { dt { (view.t("Device")) } dd.mono { a href=(device) { (self.device.key) } } }
                @if self.plan.is_none() && let Some(Some(package)) = self.packages.first() {
                    div { dt { (view.t("Version Package Name")) } dd { a href={ "/packages/" (package.id.0) } { (package.content.name) } } }
                }
                div { dt { (view.t("Offered")) } dd { (view.time(self.upgrade.created)) } }
                div { dt { (view.t("Confirmed")) } dd { (view.maybe_time(self.upgrade.confirmed)) } }
                div { dt { (view.t("Ended")) } dd { (view.maybe_time(self.upgrade.ended)) } }
            }
        }
    }

    /// The five steps from the offer to the end, of the component whose turn it is.
    fn steps(&self, view: &View) -> Markup {
        let upgrade = &self.upgrade;
        let index = upgrade.current().unwrap_or(upgrade.components.len().saturating_sub(1));
        let Some(part) = upgrade.components.get(index) else { return html! {} };
        let at = match part.state {
            ComponentState::PlanNotReceived | ComponentState::Refused | ComponentState::NotRequired => 0,
            ComponentState::PlanReceived => 1,
            ComponentState::Confirmed | ComponentState::ReadyToDownload => 2,
            ComponentState::Downloading | ComponentState::DownloadFailed => 3,
            ComponentState::Downloaded | ComponentState::Upgrading | ComponentState::Failed => 4,
            ComponentState::Succeeded => 5,
        };
        let has_failed =
            part.state.has_failed() || (upgrade.ended.is_some() && upgrade.state == UpgradeState::Failed);
        let names = [
            "Offered to the device",
            "Device confirms",
            "Gets the address",
            "Downloads",
            "Upgrades and reports its version",
        ];
        html! {
            ol.steps {
                @for (number, name) in names.iter().enumerate() {
                    @let (kind, word) = match number {
                        _ if number < at => ("done", "done"),
                        _ if number == at && has_failed => ("failed", "failed"),
                        _ if number == at && upgrade.ended.is_none() => ("now", "now"),
                        _ => ("later", ""),
                    };
                    li class={ "is-" (kind) } aria-current=[(kind == "now").then_some("step")] {
                        span.step { (view.t(name)) }
                        @if !word.is_empty() { span.word { (view.t(word)) } }
                        @if number == 3 && at >= 3 { (fetched(view, part.fetched, self.size(index))) }
                    }
                }
            }
            @if let Some(text) = &upgrade.reason { p.why { (reason(view, text)) } }
            @if let Some(why) = &self.why { div.standing { (why) } }
            @if let (Some(until), None) = (upgrade.deadline, upgrade.ended) {
                p { (view.t("It ends by")) " " (view.time(until)) ", " b { (view.away(until)) } }
            }
            @if let (Some(until), None) = (part.lease_until, upgrade.ended) {
                p.muted { (view.t("The device must be heard of by")) " " (view.time(until)) ", " (view.away(until)) }
            }
        }
    }

    fn components(&self, view: &View) -> Markup {
        let heads = [
            view.t("Component"),
            view.t("State"),
            view.t("Versions"),
            view.t("Bytes fetched"),
            view.t("Failed attempts"),
            view.t("Reason"),
            view.t("Last change"),
        ];
        table(
            view.t("Components"),
            &heads,
            html! {
                @for (index, part) in self.upgrade.components.iter().enumerate() {
                    tr {
                        th scope="row" { (part.component) }
                        td { (component_state(view, part.state)) }
                        td.mono { (part.source.as_deref().unwrap_or("?")) " \u{2192} " a href={ "/packages/" (part.package.0) } { (part.target) } }
                        td { (fetched(view, part.fetched, self.size(index))) }
                        td.number { (part.failures) }
                        td { @match &part.reason { Some(text) => (reason(view, text)), None => (maybe(None)) } }
                        td { (view.time(part.updated)) }
                    }
                }
            },
        )
    }

    fn page(&self, view: &View, live: &str) -> Response {
        let parts = self.parts(view);
        let part = |id: &'static str| {
            parts.iter().find(|(found, _)| *found == id).map(|(_, part)| part.clone()).unwrap_or_default()
        };
        let page = match &self.plan {
            Some(plan) => Page::new(view, Place::Plans, self.device.key.to_string())
                .below(view.t("Upgrade Plans"), "/plans")
                .below(plan.settings.name.to_string(), format!("/plans/{}", plan.id.0)),
            None => Page::new(
                view,
                Place::Verifications,
                view.f("Firmware verification {0}", &[&self.upgrade.id.0]),
            )
            .below(view.t("Firmware Verification"), "/verifications"),
        };
        page.beside(html! { span #state { (part("state")) } }).live(live).show(html! {
            div #facts { (part("facts")) }
            div #steps { (part("steps")) }
            section { h2 { (view.t("Components")) } div #components { (part("components")) } }
            section { h2 { (view.t("Log")) } div #log { (part("log")) } }
        })
    }
}

async fn of_plan(console: &Console, view: &View, plan: &str, key: &str) -> Result<UpgradeId, ApiError> {
    let (id, key) = (reached(console, view, plan).await?, DeviceKey::new(key)?);
    let mut store = console.read().await?;
    let plan = store.plan(id).await?;
    let device = store.device(&plan.settings.product, &key).await?;
    let found = store.find_upgrade(id, device.id).await?;
    let upgrade = found.ok_or_else(|| StoreError::NotFound {
        what: "device upgrade",
        id: format!("of {key} in plan {}: it was not offered the plan; its own page says why", id.0),
    })?;
    Ok(upgrade.id)
}

/// `GET /plans/{plan}/devices/{dk}`.
pub async fn show(
    State(console): State<Console>,
    view: View,
    Path((plan, key)): Path<(String, String)>,
) -> Answer {
    let upgrade = of_plan(&console, &view, &plan, &key).await?;
    let details = Details::of(&console, &view, upgrade).await?;
    Ok(details.page(&view, &format!("/plans/{plan}/devices/{key}/live")))
}

/// `GET /plans/{plan}/devices/{dk}/live`.
pub async fn live(
    State(console): State<Console>,
    view: View,
    Path((plan, key)): Path<(String, String)>,
) -> Answer {
    let upgrade = of_plan(&console, &view, &plan, &key).await?;
    followed(&console, view, upgrade).await
}

async fn followed(console: &Console, view: View, id: UpgradeId) -> Answer {
    let upgrade = console.read().await?.upgrade(id).await?;
    let topics =
        [Topic::Device(upgrade.device), upgrade.plan.map_or(Topic::Device(upgrade.device), Topic::Plan)];
    let viewer = view.clone();
    let shared = Arc::new((console.clone(), view));
    live::stream(console, &viewer, topics, move || {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let (console, view) = &*shared;
            let view = view.anew(console);
            Ok(Details::of(console, &view, id).await?.parts(&view))
        })
    })
}

async fn verification_id(console: &Console, view: &View, given: &str) -> Result<UpgradeId, ApiError> {
    let missing = || ApiError::missing("firmware verification", given);
    let id = given.parse().map(UpgradeId).map_err(|_| missing())?;
    let mut store = console.read().await?;
    let upgrade = store.upgrade(id).await?;
    if upgrade.plan.is_some() {
        return Err(missing());
    }
    if !view.reaches(&store.device_by_id(upgrade.device).await?.product) {
        return Err(missing());
    }
    Ok(id)
}

/// `GET /verifications/{verification}`.
pub async fn verification(State(console): State<Console>, view: View, Path(id): Path<String>) -> Answer {
    let id = verification_id(&console, &view, &id).await?;
    let details = Details::of(&console, &view, id).await?;
    Ok(details.page(&view, &format!("/verifications/{}/live", id.0)))
}

/// `GET /verifications/{verification}/live`.
pub async fn verification_live(State(console): State<Console>, view: View, Path(id): Path<String>) -> Answer {
    let id = verification_id(&console, &view, &id).await?;
    followed(&console, view, id).await
}

/// Packages of a page.
const ROWS: i64 = 50;
/// Lines of the log that the page of a device shows, the newest.
const LINES: i64 = 1_000;

/// `GET /verifications`: what each package's last verification says.
pub async fn verifications(State(console): State<Console>, view: View, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let mut store = console.read().await?;
    let page = store.packages(None, fields.get("after").parse().unwrap_or(0), ROWS).await?;
    let mut rows = Vec::new();
    for package in page.rows {
        if !view.reaches(&package.content.product) {
            continue;
        }
        let result = store.verified(package.id).await?;
        let last = match store.last_verification(package.id).await? {
            Some(upgrade) => {
                let key = store.device_by_id(upgrade.device).await?.key;
                Some((upgrade, key))
            }
            None => None,
        };
        rows.push((package, result, last));
    }
    let intro = view.t("Try a version package on one device before it goes to many. It is offered at once, outside any plan, and has 60 minutes.");
    let content = if rows.is_empty() {
        empty(
            view.t("No version packages yet"),
            intro,
            html! { a.button href="/packages" { (view.t("Version Packages")) } },
        )
    } else {
        let heads = [
            view.t("Version Package Name"),
            view.t("Component"),
            view.t("Target Version"),
            view.t("Result"),
            view.t("Last verification"),
            view.t("Device"),
            view.t("Begun"),
        ];
        html! {
            p.muted { (intro) " " (view.t("Open a package to verify it.")) }
            (table(view.t("Firmware Verification"), &heads, html! {
                @for (package, result, last) in &rows {
                    tr {
                        th scope="row" { a href={ "/packages/" (package.id.0) } { (package.content.name) } " " span.muted { "#" (package.id.0) } }
                        td { (package.content.component) }
                        td.mono { (package.content.target) }
                        td { (verified(&view, *result)) }
                        @match last {
                            Some((upgrade, key)) => {
                                td { a href={ "/verifications/" (upgrade.id.0) } { "#" (upgrade.id.0) } " " (verification_state(&view, VerificationState::of(upgrade.phase()))) }
                                td.mono { (key) }
                                td { (view.time(upgrade.created)) }
                            }
                            None => { td { (maybe(None)) } td { (maybe(None)) } td { (maybe(None)) } }
                        }
                    }
                }
            }))
            (next_page(&view, "/verifications", page.next.map(|next| next.to_string()).as_deref()))
        }
    };
    Ok(Page::new(&view, Place::Verifications, view.t("Firmware Verification")).show(content))
}
