//! Upgrade Monitoring: one plan, its devices by state and reason, and what an operator does to it.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};

use super::history;
use super::plans::population;
use crate::api::error::ApiError;
use crate::api::shared::plan_devices_csv;
use crate::engine::{BlockedDevices, Chosen, Order, Ordered};
use crate::rules::plan::{Mode, OutsidePeriod, PlanState, Push, Supersede, TERMINATED_UNREACHED};
use crate::rules::progress::{Figures, UpgradeState};
use crate::rules::{DeviceKey, Remark, Title};
use crate::store::{
    Package, PackageId, Plan, PlanDevice, PlanHistory, PlanId, ReasonCount, Topic, UpgradeFilter,
};
use crate::web::Console;
use crate::web::explain::{self, reason};
use crate::web::form::{Act, Fields, done};
use crate::web::layout::{Answer, Page, Place};
use crate::web::live::{self, Parts};
use crate::web::parts::{
    bar, component_state, fetched, field, legend, maybe, next_page, plan_state, rate, table, unreached,
    upgrade_state, upgrade_word,
};
use crate::web::view::{View, number};

/// Devices of a page.
const ROWS: i64 = 50;

/// A plan that the viewer's account reaches to.
pub(super) async fn reached(console: &Console, view: &View, given: &str) -> Result<PlanId, ApiError> {
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

/// What takes long to count where there are many devices.
pub struct Counts {
    reasons: Vec<ReasonCount>,
    blocked: Option<BlockedDevices>,
    history: PlanHistory,
}

impl Counts {
    async fn of(console: Console, plan: Plan) -> Result<Self, ApiError> {
        let (id, now) = (plan.id, console.engine().clock().now());
        let mut store = console.read().await?;
        let mut reasons = store.plan_reasons(id).await?;
        let never = i64::try_from(store.plan_unreached(id).await?).unwrap_or(i64::MAX);
        if never > 0 {
            let reason = Some(TERMINATED_UNREACHED.to_owned());
            reasons.push(ReasonCount { state: UpgradeState::Failed, reason, devices: never });
        }
        let history = match plan.activated {
            Some(from) => {
                let until = plan.over.unwrap_or(now).max(from);
                store.plan_history(id, from, until, history::PARTS).await?
            }
            None => PlanHistory::default(),
        };
        drop(store);
        let blocked = if is_active(plan.state) { Some(console.engine().blocked(id).await?) } else { None };
        Ok(Self { reasons, blocked, history })
    }
}

fn is_active(state: PlanState) -> bool {
    matches!(state, PlanState::Activated | PlanState::Upgrading | PlanState::Suspended)
}

/// What the page shows.
struct Monitoring {
    plan: Plan,
    packages: Vec<Option<Package>>,
    figures: Figures,
    population: u64,
    /// None: they are being counted.
    counts: Option<Arc<Counts>>,
    devices: Vec<PlanDevice>,
    next: Option<i64>,
    superseded_by: Vec<(String, PlanId)>,
}

impl Monitoring {
    async fn of(console: &Console, id: PlanId, wanted: &Wanted) -> Result<Self, ApiError> {
        let mut store = console.read().await?;
        let plan = store.plan(id).await?;
        let figures = store.plan_figures(id).await?;
        let population = population(&mut store, &plan).await?;
        let page = store.plan_device_page(id, &wanted.filter(), wanted.after, ROWS).await?;
        let mut packages = Vec::new();
        for selected in &plan.settings.components {
            packages.push(store.find_package(PackageId(selected.package)).await?);
        }
        let superseded = store.superseded_by(id).await?;
        let superseded_by =
            superseded.into_iter().map(|(component, plan)| (component.to_string(), plan)).collect();
        drop(store);
        let counts = console.plans.get(id, Counts::of(console.clone(), plan.clone())).await;
        let (devices, next) = (page.rows, page.next);
        Ok(Self { plan, packages, figures, population, counts, devices, next, superseded_by })
    }

    fn path(&self) -> String {
        format!("/plans/{}", self.plan.id.0)
    }

    fn unreached(&self) -> u64 {
        unreached(&self.figures, self.population)
    }

    fn size_of(&self, component: &crate::rules::ComponentNo) -> Option<u64> {
        let packages = self.packages.iter().flatten();
        let package = packages.into_iter().find(|package| package.content.component == *component)?;
        Some(package.content.files.iter().map(|file| file.size).sum())
    }

    fn parts(&self, view: &View, wanted: &Wanted) -> Parts {
        vec![
            ("state", plan_state(view, self.plan.state)),
            ("figures", self.summary(view)),
            ("history", self.chart(view)),
            ("waiting", self.waiting(view)),
            ("reasons", self.by_reason(view, wanted)),
            ("devices", self.list(view, wanted)),
        ]
    }

    fn chart(&self, view: &View) -> Markup {
        match &self.counts {
            Some(counts) => history::chart(view, &self.plan, &counts.history),
            None => {
                html! { p.muted { (view.t("Many devices: history and reasons are being counted, and show here in a moment.")) } }
            }
        }
    }

    fn summary(&self, view: &View) -> Markup {
        let plan = &self.plan;
        html! {
            @if let Some(why) = &plan.halted {
                p.note { b { (view.t("The plan suspended itself:")) } " " (why) ". " (view.t("Resume it when the cause is mended; devices are counted anew from then on.")) }
            }
            @for (component, by) in &self.superseded_by {
                p.note { (view.f("For component {0} a newer plan takes the place of this one:", &[component])) " " a href={ "/plans/" (by.0) } { "#" (by.0) } }
            }
            @if plan.state != PlanState::Saved {
                (bar(view, &self.figures, self.unreached()))
                (legend(view, &self.figures, self.unreached()))
                p { (view.t("Success rate")) " " b { (rate(self.figures.success_rate())) } " " span.muted { (view.t("of those that have finished")) } }
            }
        }
    }

    /// Why devices have not been offered the plan, and what they wait for.
    fn waiting(&self, view: &View) -> Markup {
        let Some(blocked) = self.counts.as_ref().and_then(|counts| counts.blocked.as_ref()) else {
            return html! {};
        };
        let shown = blocked.conditions.iter().filter(|blocked| blocked.condition != "finished");
        let shown: Vec<_> = shown.collect();
        html! {
            section {
                h2 { (view.t("Where its devices stand, and why they wait")) }
                @if shown.is_empty() { p.muted { (view.t("No device waits for this plan.")) } }
                @else {
                    @if blocked.examined < blocked.devices { p.muted { (view.f("An estimate: {0} of {1} devices were looked at.", &[&number(blocked.examined), &number(blocked.devices)])) } }
                    (table(view.t("Where its devices stand, and why they wait"), &[view.t("Devices"), view.t("Condition"), view.t("For example")], html! {
                        @for each in shown {
                            tr {
                                td.number { (number(each.devices)) }
                                th scope="row" { (explain::condition(view, each.condition)) }
                                td {
                                    a.mono href={ "/products/" (self.plan.settings.product) "/devices/" (each.example) } { (each.example) }
                                    @if view.lang == crate::web::view::Lang::En { span.muted { ": " (each.text) } }
                                }
                            }
                        }
                    }))
                }
            }
        }
    }

    fn by_reason(&self, view: &View, wanted: &Wanted) -> Markup {
        let reasons = self.counts.as_ref().map_or(&[][..], |counts| counts.reasons.as_slice());
        if reasons.is_empty() {
            return html! {};
        }
        html! {
            section {
                h2 { (view.t("By state and reason")) }
                ul.filters {
                    @if !wanted.is_all() { li { a href=(self.path()) { (view.t("Show all devices")) } } }
                    @for count in reasons {
                        @let each = Wanted { state: Some(count.state), reason: count.reason.clone(), after: 0 };
                        @let is_chosen = wanted.state == each.state && wanted.reason == each.reason;
                        li {
                            a href={ (self.path()) "?" (each.query()) "#devices" } aria-current=[is_chosen.then_some("true")] {
                                (upgrade_state(view, count.state)) " "
                                @if let Some(text) = &count.reason { (reason(view, text)) " " }
                                b { (number(count.devices)) }
                            }
                        }
                    }
                }
            }
        }
    }

    fn is_active(&self) -> bool {
        is_active(self.plan.state)
    }

    fn list(&self, view: &View, wanted: &Wanted) -> Markup {
        if self.devices.is_empty() {
            let text = match self.plan.state {
                PlanState::Saved => return html! {},
                _ if !wanted.is_all() => view.t("No device of the plan is in this state for this reason now."),
                _ => view.t("No device was offered the plan yet. Devices are offered it when they come online, at the next 10-minute mark, or when they ask."),
            };
            return html! { p.muted { (text) } };
        }
        let may_order = view.may_operate() && self.is_active();
        let mut heads = vec![
            view.t("Device"),
            view.t("State"),
            view.t("Components"),
            view.t("Attempts"),
            view.t("Reason"),
            view.t("Last change"),
        ];
        if may_order {
            heads.insert(0, view.t("Choose"));
        }
        let rows = html! {
            @for PlanDevice { key, upgrade } in &self.devices {
                tr {
                    @if may_order { td { input type="checkbox" name="device" value=(key) data-keep aria-label={ (view.t("Choose")) " " (key) }; } }
                    th.mono scope="row" { a href={ (self.path()) "/devices/" (key) } { (key) } }
                    td { (upgrade_state(view, upgrade.state)) }
                    td {
                        @for part in &upgrade.components {
                            div.part {
                                b { (part.component) } " " (component_state(view, part.state)) " "
                                @if part.state.is_in_flight() && part.fetched > 0 { (fetched(view, part.fetched, self.size_of(&part.component))) }
                                @else { span.muted.mono { (part.source.as_deref().unwrap_or("?")) " \u{2192} " (part.target) } }
                            }
                        }
                    }
                    td.number { (upgrade.components.iter().map(|part| part.failures).max().unwrap_or(0)) " / " (u32::from(self.plan.settings.strategy.retries) + 1) }
                    td { @match &upgrade.reason { Some(text) => (reason(view, text)), None => (maybe(None)) } }
                    td { (view.maybe_time(upgrade.components.iter().map(|part| part.updated).max())) }
                }
            }
        };
        let list = table(view.t("Devices"), &heads, rows);
        html! {
            @if may_order {
                form method="post" action={ (self.path()) "/order" } {
                    (view.csrf())
                    @if let Some(state) = wanted.state { input type="hidden" name="state" value=(state); }
                    @if let Some(reason) = &wanted.reason { input type="hidden" name="reason" value=(reason); }
                    (list)
                    div.actions {
                        button name="action" value="retry" { (view.t("Try the chosen ones again")) }
                        button name="action" value="skip" { (view.t("Leave the chosen ones out")) }
                        label.inline for="because" { (view.t("because")) }
                        input.inline #because name="because" maxlength="200" placeholder=(view.t("in repair"));
                        @if wanted.state == Some(UpgradeState::Failed) {
                            button.main name="action" value="retry_all" { (view.t("Try all of this list again")) }
                        }
                    }
                }
            } @else { (list) }
            div.actions {
                (next_page(view, &format!("{}?{}", self.path(), wanted.query()), self.next.map(|next| next.to_string()).as_deref()))
                a href={ (self.path()) "/devices.csv?" (wanted.query()) } download { (view.t("Download as CSV")) }
            }
        }
    }

    fn settings(&self, view: &View) -> Markup {
        let settings = &self.plan.settings;
        let strategy = &settings.strategy;
        let zone = &settings.time_zone;
        html! {
            dl.facts {
                dt { (view.t("Product")) } dd { a href={ "/products/" (settings.product) } { (settings.product) } }
                dt { (view.t("Components")) }
                dd {
                    ol.order { @for (selected, package) in settings.components.iter().zip(&self.packages) {
                        li { (selected.component) " \u{2192} "
                            @match package {
                                Some(package) => { a href={ "/packages/" (package.id.0) } { (package.content.name) } " " span.mono { (package.content.target) } }
                                None => span.bad { (view.f("version package {0} is gone", &[&selected.package])) }
                            }
                        }
                    } }
                    @if settings.components.is_empty() { (view.t("none selected")) }
                }
                dt { (view.t("Upgrade Mode")) } dd {
                    @match settings.mode { Mode::Silent => (view.t("Silent Upgrade")), Mode::Manual => (view.t("Manual Upgrade")) } ", "
                    @match settings.push { Push::Actively => (view.t("Push actively")), Push::OnRequest => (view.t("On request only")) }
                }
                dt { (view.t("Time Zone")) } dd { (zone.name()) }
                dt { (view.t("Push period")) } dd {
                    @match settings.push_period { Some(period) => (period), None => (view.t("all day")) }
                    @if settings.push_period.is_some() && settings.outside_period == OutsidePeriod::Answer { ", " (view.t("requests outside it are answered")) }
                }
                dt { (view.t("Planned Time")) } dd {
                    @match settings.start { Some(at) => (view.time_in(zone, at)), None => (view.t("at once")) } " \u{2013} "
                    @match settings.end { Some(at) => (view.time_in(zone, at)), None => (view.t("no end")) }
                }
                dt { (view.t("Number of retries")) } dd { (strategy.retries) }
                @if let Some(rsrp) = strategy.min_rsrp { dt { (view.t("Lowest RSRP, dBm")) } dd { (rsrp) } }
                @if let Some(battery) = strategy.min_battery { dt { (view.t("Minimum battery, %")) } dd { (battery) } }
                @if let Some(first) = strategy.first_devices { dt { (view.t("First so many devices, then the rest")) } dd { (number(first)) } }
                @if let Some(halt) = strategy.halt { dt { (view.t("Suspends itself")) } dd { (view.f("when more than {0} % of at least {1} finished devices failed", &[&halt.percent, &halt.after])) } }
                @if let Some(limit) = strategy.max_in_flight { dt { (view.t("At work at the same time")) } dd { (number(limit)) } }
                @if let Some(limit) = strategy.max_per_minute { dt { (view.t("Starts a minute")) } dd { (number(limit)) } }
                @for (tag, text) in &settings.texts { dt { (view.t("Upgrade text")) " (" (tag) ")" } dd lang=(tag) { (text) } }
                dt { (view.t("Created")) } dd { (view.time(self.plan.created)) }
                @if let Some(at) = self.plan.activated { dt { (view.t("Activated")) } dd { (view.time(at)) } }
                @if let Some(at) = self.plan.over { dt { (view.t("Ended")) } dd { (view.time(at)) } }
            }
        }
    }

    fn buttons(&self, view: &View) -> Markup {
        if !view.may_operate() {
            return html! {};
        }
        let path = self.path();
        let post = |to: &str, word: &'static str, class: &str| {
            html! { form method="post" action={ (path) "/" (to) } { (view.csrf()) button class=(class) { (view.t(word)) } } }
        };
        html! {
            @match self.plan.state {
                PlanState::Saved => {
                    a.button.main href={ (path) "/activate" } { (view.t("Activate Plan")) }
                    a.button href={ (path) "/edit" } { (view.t("Edit")) }
                }
                PlanState::Activated | PlanState::Upgrading => (post("suspend", "Suspend", "")),
                PlanState::Suspended => (post("resume", "Resume", "main")),
                PlanState::Terminated | PlanState::Ended => {}
            }
            @if self.is_active() { a.button.danger href={ (path) "/terminate" } { (view.t("Terminate")) } }
            a.button href={ (path) "/clone" } { (view.t("Clone")) }
            @if self.plan.state == PlanState::Saved { (post("delete", "Delete", "danger")) }
        }
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
                div.wrong role="alert" {
                    @if error.reasons().is_empty() { p { (error.message()) } }
                    @else { ul { @for reason in error.reasons() { li { (reason) } } } }
                }
            }
            @if let Some(ordered) = ordered { (outcome(view, ordered)) }
            @if seen.plan.state == PlanState::Saved {
                p.note { (view.t("The plan is saved: it can be edited, and no device knows of it. Activate it to offer it to devices; from then on it is frozen.")) }
            }
            div.board {
                div {
                    div #figures { (part("figures")) }
                    div #history { (part("history")) }
                    div #waiting { (part("waiting")) }
                    div #reasons { (part("reasons")) }
                }
                section { h2 { (view.t("Settings")) } (seen.settings(view)) }
            }
            @if seen.plan.state != PlanState::Saved {
                section {
                    h2 { (view.t("Devices that were offered it")) @if let Some(state) = wanted.state { ": " (view.t(upgrade_word(state))) } }
                    div #devices { (part("devices")) }
                }
            }
        })
}

/// What became of an order for devices.
fn outcome(view: &View, ordered: &Ordered) -> Markup {
    html! {
        div.said role="status" {
            p { (view.f("Done for {0} devices.", &[&ordered.done])) }
            @if !ordered.not_done.is_empty() {
                p { (view.f("Nothing was done for {0}:", &[&ordered.not_done.len()])) }
                ul { @for left in ordered.not_done.iter().take(20) { li { span.mono { (left.device) } ": " (left.reason) } } }
            }
            @if ordered.next.is_some() { p { (view.t("There are more in this list: do it again for the next part.")) } }
        }
    }
}

/// `GET /plans/{plan}`.
pub async fn show(
    State(console): State<Console>,
    view: View,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let wanted = Wanted::of(&Fields::parse(query.unwrap_or_default().as_bytes()));
    let seen = Monitoring::of(&console, reached(&console, &view, &id).await?, &wanted).await?;
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
            Ok(Monitoring::of(console, id, wanted).await?.parts(&view, wanted))
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
    let seen = Monitoring::of(console, id, &wanted).await?;
    Ok(page(view, &seen, &wanted, Some(error), None))
}

/// `POST /plans/{plan}/order`: another try, or leaving out, for one or many devices.
pub async fn order(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    match given_order(&console, id, &fields).await {
        Ok(ordered) => {
            // Shown here and not after a redirect: it names devices. Doing it again would do no harm.
            let wanted = Wanted::of(&fields);
            let seen = Monitoring::of(&console, id, &wanted).await?;
            Ok(page(&view, &seen, &wanted, None, Some(&ordered)))
        }
        Err(error) => failed(&console, &view, id, &error).await,
    }
}

async fn given_order(console: &Console, id: PlanId, fields: &Fields) -> Result<Ordered, ApiError> {
    let chosen = if fields.get("action") == "retry_all" {
        let state = fields.given("state").map_or(Ok(UpgradeState::Failed), str::parse)?;
        Chosen::Filter { state, reason: fields.given("reason").map(str::to_owned), after: 0 }
    } else {
        let keys = fields.all("device").map(DeviceKey::new).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(ApiError::invalid("missing", "device", "", "choose one or more devices of the list"));
        }
        Chosen::Keys(keys)
    };
    let order = match fields.get("action") {
        "skip" => Order::Skip { reason: Remark::new(fields.get("because"))?.into() },
        _ => Order::Retry,
    };
    Ok(console.engine().order(id, chosen, &order).await?)
}

/// `POST /plans/{plan}/suspend`.
pub async fn suspend(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, .. }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    match console.engine().suspend(id).await {
        Ok(_) => Ok(done(&format!("/plans/{}", id.0), "suspended")),
        Err(error) => failed(&console, &view, id, &error.into()).await,
    }
}

/// `POST /plans/{plan}/resume`.
pub async fn resume(State(console): State<Console>, Path(id): Path<String>, Act { view, .. }: Act) -> Answer {
    let id = reached(&console, &view, &id).await?;
    match console.engine().resume(id).await {
        Ok(_) => Ok(done(&format!("/plans/{}", id.0), "resumed")),
        Err(error) => failed(&console, &view, id, &error.into()).await,
    }
}

/// `POST /plans/{plan}/delete`.
pub async fn delete(State(console): State<Console>, Path(id): Path<String>, Act { view, .. }: Act) -> Answer {
    let id = reached(&console, &view, &id).await?;
    match console.engine().delete_plan(id).await {
        Ok(()) => Ok(done("/plans", "deleted")),
        Err(error) => failed(&console, &view, id, &error.into()).await,
    }
}

fn step<'v>(view: &'v View, plan: &Plan, title: &'static str) -> Page<'v> {
    Page::new(view, Place::Plans, view.t(title))
        .below(view.t("Upgrade Plans"), "/plans")
        .below(plan.settings.name.to_string(), format!("/plans/{}", plan.id.0))
}

async fn activation(console: &Console, view: &View, id: PlanId, error: Option<&ApiError>) -> Answer {
    let plan = console.read().await?.plan(id).await?;
    let run = console.engine().dry_run(id).await?;
    let path = format!("/plans/{}", id.0);
    Ok(step(view, &plan, "Activate the plan").status(error.map_or(StatusCode::OK, ApiError::status)).show(html! {
        @if let Some(error) = error {
            div.wrong role="alert" { @if error.reasons().is_empty() { p { (error.message()) } } @else { ul { @for reason in error.reasons() { li { (reason) } } } } }
        }
        div.card {
            h2 { (view.f("What activating {0} does now", &[&plan.settings.name])) }
            (super::dry_run::panel(view, &run, &plan.settings.time_zone))
            form method="post" action={ (path) "/activate" } {
                (view.csrf())
                @if !run.supersedes.is_empty() {
                    label.choice { input type="checkbox" name="supersede" value="agreed" required; (view.t("It takes the place of the plans named above")) }
                }
                p.muted { (view.t("From then on the plan is frozen: it cannot be edited or deleted, only suspended or terminated.")) }
                div.actions {
                    button.main disabled[!run.refused.is_empty()] { (view.t("Activate Plan")) }
                    a.button href=(path) { (view.t("Not now")) }
                }
            }
        }
    }))
}

/// `GET /plans/{plan}/activate`: what it would do.
pub async fn ask_activate(State(console): State<Console>, view: View, Path(id): Path<String>) -> Answer {
    activation(&console, &view, reached(&console, &view, &id).await?, None).await
}

/// `POST /plans/{plan}/activate`.
pub async fn activate(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    let agreed = if fields.get("supersede") == "agreed" { Supersede::Agreed } else { Supersede::Refuse };
    match console.engine().activate(id, agreed).await {
        Ok(_) => Ok(done(&format!("/plans/{}", id.0), "activated")),
        Err(error) => activation(&console, &view, id, Some(&error.into())).await,
    }
}

async fn termination(console: &Console, view: &View, id: PlanId, wrong: Option<&str>) -> Answer {
    let mut store = console.read().await?;
    let plan = store.plan(id).await?;
    let figures = store.plan_figures(id).await?;
    let rest = unreached(&figures, population(&mut store, &plan).await?);
    let path = format!("/plans/{}", id.0);
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(step(view, &plan, "Terminate the plan").status(status).show(html! {
        form.card method="post" action={ (path) "/terminate" } {
            (view.csrf())
            p { (view.f("Terminating is final. {0} devices that have not confirmed fail; {1} that are being upgraded finish.", &[&number(figures.not_upgraded + rest), &number(figures.upgrading)])) }
            (field(&view.f("Type the plan's name, {0}, to confirm", &[&plan.settings.name]), "confirm", "", wrong, html! {
                input #confirm name="confirm" required autocomplete="off" spellcheck="false";
            }))
            div.actions {
                button.danger { (view.t("Terminate for good")) }
                a.button href=(path) { (view.t("Not now")) }
            }
        }
    }))
}

/// `GET /plans/{plan}/terminate`.
pub async fn ask_terminate(State(console): State<Console>, view: View, Path(id): Path<String>) -> Answer {
    termination(&console, &view, reached(&console, &view, &id).await?, None).await
}

/// `POST /plans/{plan}/terminate`.
pub async fn terminate(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    let plan = console.read().await?.plan(id).await?;
    if fields.get("confirm") != plan.settings.name.as_str().trim() {
        let wrong = view.t("That is not the plan's name; nothing was done.");
        return termination(&console, &view, id, Some(wrong)).await;
    }
    match console.engine().terminate(id).await {
        Ok(_) => Ok(done(&format!("/plans/{}", id.0), "terminated")),
        Err(error) => failed(&console, &view, id, &error.into()).await,
    }
}

fn cloning(view: &View, plan: &Plan, name: &str, error: Option<&ApiError>) -> Response {
    let path = format!("/plans/{}", plan.id.0);
    step(view, plan, "Clone the plan").status(error.map_or(StatusCode::OK, ApiError::status)).show(html! {
        form.card method="post" action={ (path) "/clone" } {
            (view.csrf())
            p { (view.t("The copy is saved with all settings and both lists; it can be edited before it is activated.")) }
            (field(view.t("Plan Name"), "name", "", error.map(ApiError::message), html! {
                input #name name="name" required maxlength="100" value=(name);
            }))
            div.actions { button.main { (view.t("Clone")) } a.button href=(path) { (view.t("Not now")) } }
        }
    })
}

/// `GET /plans/{plan}/clone`.
pub async fn ask_clone(State(console): State<Console>, view: View, Path(id): Path<String>) -> Answer {
    let plan = console.read().await?.plan(reached(&console, &view, &id).await?).await?;
    let name = view.f("{0} again", &[&plan.settings.name]);
    Ok(cloning(&view, &plan, &name, None))
}

/// `POST /plans/{plan}/clone`.
pub async fn clone(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    let copied = async {
        crate::api::shared::check_name(fields.get("name"))?;
        Ok::<_, ApiError>(console.engine().clone_plan(id, Title::new(fields.get("name"))?).await?)
    };
    match copied.await {
        Ok(plan) => Ok(done(&format!("/plans/{}", plan.id.0), "added")),
        Err(error) => {
            let plan = console.read().await?.plan(id).await?;
            Ok(cloning(&view, &plan, fields.get("name"), Some(&error)))
        }
    }
}
