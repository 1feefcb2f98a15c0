//! Device Details: versions, battery, signal, where it stands in every plan and why, and what its end user may do.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::civil;
use maud::{Markup, html};

use super::{device_access, log};
use crate::api::error::ApiError;
use crate::engine::{Chosen, Order, UserCommand, UserPlan, Why};
use crate::rules::consent::{Answer as Consent, Appointment, AutoConfirm};
use crate::rules::plan::{Mode, PlanSettings};
use crate::rules::progress::{Presence, UpgradeState};
use crate::rules::upgrade::UserAction;
use crate::rules::verification::VerificationState;
use crate::rules::window::Zone;
use crate::rules::{DeviceKey, ProductKey};
use crate::store::{Device, LogEntry, PlanId, ReportedVersion, Topic, Upgrade};
use crate::web::Console;
use crate::web::explain::{self, reason};
use crate::web::form::{Act, Fields, done};
use crate::web::layout::{Answer, Page, Place};
use crate::web::live::{self, Parts};
use crate::web::parts::{
    component_state, fetched, maybe, plan_state, presence, table, upgrade_state, verification_state,
};
use crate::web::refusal;
use crate::web::view::{View, bytes};

/// Lines of the log that the page shows.
const LINES: i64 = 50;
/// Upgrades that the page shows, the newest.
const UPGRADES: i64 = 20;

/// What the page shows.
struct Details {
    device: Device,
    versions: Vec<ReportedVersion>,
    product: String,
    reasons: Vec<Why>,
    user_plans: Vec<UserPlan>,
    upgrades: Vec<(Upgrade, Option<String>)>,
    log: Vec<LogEntry>,
    not_understood: Option<String>,
}

impl Details {
    async fn of(console: &Console, product: &ProductKey, key: &DeviceKey) -> Result<Self, ApiError> {
        let engine = console.engine();
        let (device, reasons) = engine.why(product, key).await?;
        let (_, user_plans) = engine.user_plans(product, key).await?;
        let not_understood = engine.not_understood(&device).await?;
        let mut store = engine.store().read().await?;
        let versions = store.device_versions(device.id).await?;
        let product = store.product(product).await?.name.to_string();
        let mut upgrades = Vec::new();
        for upgrade in store.last_device_upgrades(device.id, UPGRADES).await? {
            let name = match upgrade.plan {
                Some(plan) => Some(store.plan(plan).await?.settings.name.to_string()),
                None => None,
            };
            upgrades.push((upgrade, name));
        }
        let mut log = store.device_log(device.id, LINES).await?;
        log.reverse();
        Ok(Self { device, versions, product, reasons, user_plans, upgrades, log, not_understood })
    }

    fn path(&self) -> String {
        device_access::path(&self.device)
    }

    fn parts(&self, view: &View) -> Parts {
        vec![
            ("facts", self.facts(view)),
            ("why", self.why(view)),
            ("upgrades", self.history(view)),
            ("connections", self.connections(view)),
            ("log", log::lines(view, &self.log)),
        ]
    }

    fn facts(&self, view: &View) -> Markup {
        let device = &self.device;
        let reading = |reading: Option<crate::store::Reading>, unit: &str| {
            html! {
                @match reading {
                    Some(reading) => {
                        (reading.value) " " (unit)
                        @if reading.at.is_none() { " " span.muted { (view.t("(of an earlier connection)")) } }
                    }
                    None => (maybe(None))
                }
            }
        };
        html! {
            (device_access::note(view, device))
            dl.facts.columns {
                div { dt { (view.t("Connection")) } dd {
                    (presence(view, device)) " "
                    @match (device.presence(), device.online_since, device.offline_since) {
                        (Presence::Online, Some(since), _) => span.muted { (view.f("since {0}", &[&view.span(view.now - since)])) },
                        (Presence::Offline, _, Some(since)) => span.muted { (view.f("since {0}", &[&view.span(view.now - since)])) },
                        _ => {}
                    }
                } }
                div { dt { (view.t("Last seen")) } dd { (view.maybe_time(device.last_seen)) } }
                div { dt { (view.t("Module version")) } dd.mono { (maybe(device.module.shown.as_deref())) } }
                @for reported in &self.versions {
                    div { dt { (reported.component) } dd.mono { (reported.version) } }
                }
                div { dt { (view.t("Battery")) } dd { (reading(device.battery, "%")) } }
                div { dt { (view.t("Signal (RSRP)")) } dd { (reading(device.rsrp, "dBm")) } }
                div { dt { (view.t("Voltage")) } dd { (maybe(device.voltage.as_deref())) @if device.voltage.is_some() { " V" } } }
                div { dt { (view.t("Free space")) } dd {
                    @match device.free_space.and_then(|space| u64::try_from(space).ok()) { Some(space) => (bytes(space)), None => (maybe(None)) }
                } }
                div { dt { (view.t("Model")) } dd { (maybe(device.model.as_deref())) } }
                div { dt { (view.t("SDK version")) } dd { (maybe(device.sdk_version.as_deref())) } }
                div { dt { (view.t("First connect")) } dd { (view.time(device.created)) } }
            }
            @if let Some(field) = &self.not_understood {
                p.note { (view.t("Part of what the device reported on this connection was not understood:")) " " span.mono { (field) } }
            }
        }
    }

    /// Where it stands in each plan, with what may be done there.
    fn why(&self, view: &View) -> Markup {
        let verification = self
            .upgrades
            .iter()
            .map(|(upgrade, _)| upgrade)
            .find(|upgrade| upgrade.plan.is_none() && upgrade.ended.is_none());
        html! {
            @if let Some(upgrade) = verification {
                article.standing {
                    h3 { a href={ "/verifications/" (upgrade.id.0) } { (view.f("Firmware verification {0}", &[&upgrade.id.0])) } " " (verification_state(view, VerificationState::of(upgrade.phase()))) }
                    p.why { (view.t("A firmware verification has the device for itself; plans wait for its end.")) }
                    @if let Some(until) = upgrade.deadline {
                        dl.facts { dt { (view.t("At the latest")) } dd { (view.time(until)) ", " b { (view.away(until)) } } }
                    }
                }
            }
            @for why in &self.reasons {
                @let plan = &why.plan;
                @let user = self.user_plans.iter().find(|seen| seen.plan.id == plan.id);
                article.standing {
                    h3 { a href={ "/plans/" (plan.id.0) } { (plan.settings.name) } " " (plan_state(view, plan.state)) }
                    (explain::of_plan(view, why))
                    @if let Some(seen) = user { (self.actions(view, seen)) }
                }
            }
            @if self.reasons.is_empty() && verification.is_none() {
                p.muted { (view.t("No plan of its product is active, so nothing is to be upgraded.")) }
                @if view.may_operate() {
                    p { a.button href={ "/plans/new?product=" (self.device.product) } { (view.t("Create an Upgrade Plan")) } }
                }
            }
        }
    }

    fn actions(&self, view: &View, seen: &UserPlan) -> Markup {
        let settings = &seen.plan.settings;
        let plan = seen.plan.id.0;
        let may = |action| seen.actions.contains(&action);
        let button = |action: UserAction, text: &'static str, class: &str| {
            html! {
                form method="post" action=(self.path()) {
                    (view.csrf())
                    input type="hidden" name="plan" value=(plan);
                    button class=(class) name="action" value=(action) { (text) }
                }
            }
        };
        let said = seen.said.as_ref().map(|said| match said.answer {
            Consent::Confirmed => view.f("Confirmed {0}.", &[&view.away(said.at)]),
            Consent::Appointed(window) => {
                let zone = &settings.time_zone;
                let clock = |at| zone.clock(at, "%Y-%m-%d %H:%M");
                view.f(
                    "Appointed from {0} until {1}, {2}.",
                    &[&clock(window.from), &clock(window.until), &zone.name()],
                )
            }
        });
        let has_failed = seen.upgrade.as_ref().is_some_and(|upgrade| upgrade.state == UpgradeState::Failed);
        html! {
            @if settings.mode == Mode::Manual {
                @if let Some((tag, text)) = shown_text(view, settings) { blockquote lang=(tag) { (text) } }
                @if let Some(said) = said { p.muted { (view.t("End user:")) " " (said) } }
            }
            @if view.may_operate() {
                div.actions {
                    @if may(UserAction::Confirm) { (button(UserAction::Confirm, view.t("Confirm the upgrade"), "main")) }
                    @if may(UserAction::Retry) { (button(UserAction::Retry, view.t("Try again"), "main")) }
                    @if may(UserAction::Cancel) { (button(UserAction::Cancel, view.t("Cancel the upgrade"), "danger")) }
                    @if has_failed && settings.mode == Mode::Silent {
                        form method="post" action=(self.path()) {
                            (view.csrf())
                            input type="hidden" name="plan" value=(plan);
                            button.main name="action" value="operator_retry" { (view.t("Try again")) }
                        }
                    }
                }
                @if may(UserAction::Appoint) {
                    details {
                        summary { (view.t("Appoint a time")) }
                        (self.appoint(view, plan, &settings.time_zone, &Fields::default(), None))
                    }
                }
            }
        }
    }

    fn appoint(&self, view: &View, plan: i64, zone: &Zone, fields: &Fields, wrong: Option<&str>) -> Markup {
        let clock = |minutes| zone.clock(view.now + crate::clock::Millis::minutes(minutes), "%Y-%m-%dT%H:%M");
        let (from, until) = (clock(5), clock(125));
        html! {
            form.row method="post" action=(self.path()) {
                (view.csrf())
                input type="hidden" name="plan" value=(plan);
                div.field {
                    label for={ "from-" (plan) } { (view.f("From ({0})", &[&zone.name()])) }
                    input id={ "from-" (plan) } type="datetime-local" name="from" required value=(fields.given("from").unwrap_or(&from));
                }
                div.field {
                    label for={ "until-" (plan) } { (view.t("Until")) }
                    input id={ "until-" (plan) } type="datetime-local" name="until" required value=(fields.given("until").unwrap_or(&until));
                    p.hint { (view.t("At least one hour, inside the planned time.")) }
                }
                button name="action" value="appoint" { (view.t("Appoint")) }
                @if let Some(wrong) = wrong { p.fault role="alert" { (wrong) } }
            }
        }
    }

    fn history(&self, view: &View) -> Markup {
        if self.upgrades.is_empty() {
            return html! { p.muted { (view.t("The device was not offered an upgrade yet.")) } };
        }
        let heads = [
            view.t("Plan"),
            view.t("State"),
            view.t("Components"),
            view.t("Reason"),
            view.t("Offered"),
            view.t("Ended"),
        ];
        table(
            view.t("Upgrade history"),
            &heads,
            html! {
                @for (upgrade, name) in &self.upgrades {
                    tr {
                        th scope="row" {
                            @match (upgrade.plan, name) {
                                (Some(plan), Some(name)) => a href={ "/plans/" (plan.0) "/devices/" (self.device.key) } { (name) },
                                _ => a href={ "/verifications/" (upgrade.id.0) } { (view.f("Firmware verification {0}", &[&upgrade.id.0])) },
                            }
                        }
                        td { (upgrade_state(view, upgrade.state)) }
                        td {
                            @for part in &upgrade.components {
                                div.part {
                                    b { (part.component) } " " span.mono { (part.source.as_deref().unwrap_or("?")) " \u{2192} " (part.target) } " "
                                    (component_state(view, part.state))
                                    @if part.state.is_in_flight() { " " (fetched(view, part.fetched, None)) }
                                }
                            }
                        }
                        td { @match &upgrade.reason { Some(text) => (reason(view, text)), None => (maybe(None)) } }
                        td { (view.time(upgrade.created)) }
                        td { (view.maybe_time(upgrade.ended)) }
                    }
                }
            },
        )
    }

    /// When the device was online, the newest connection first.
    fn connections(&self, view: &View) -> Markup {
        let device = &self.device;
        let past = device.past_connections.iter().rev().map(|past| (past.from, Some(past.until)));
        let last = device.online_since.map(|since| (since, device.offline_since));
        let connections: Vec<_> = last.into_iter().chain(past).collect();
        if connections.is_empty() {
            return html! { p.muted { (view.t("The device has not connected yet.")) } };
        }
        table(
            view.t("Online history"),
            &[view.t("Online from"), view.t("Until"), view.t("For how long")],
            html! {
                @for (from, until) in connections {
                    tr {
                        th scope="row" { (view.second(from)) }
                        td { @match until { Some(until) => (view.second(until)), None => (presence(view, device)) } }
                        td.number { (view.span(until.unwrap_or(view.now) - from)) }
                    }
                }
            },
        )
    }

    fn auto_confirm(&self, view: &View) -> Markup {
        let is_on = self.device.auto_confirm == AutoConfirm::On;
        html! {
            section {
                h2 { (view.t("Auto-confirm")) }
                p { @if is_on {
                    (view.t("On: plans in manual mode count as confirmed for this device."))
                } @else {
                    (view.t("Off: the end user confirms each plan in manual mode."))
                } }
                @if view.may_operate() {
                    form method="post" action=(self.path()) {
                        (view.csrf())
                        input type="hidden" name="auto_confirm" value=(if is_on { "off" } else { "on" });
                        button name="action" value="auto_confirm" {
                            @if is_on { (view.t("Turn auto-confirm off")) } @else { (view.t("Turn auto-confirm on")) }
                        }
                    }
                }
            }
        }
    }
}

fn page(view: &View, details: &Details, wrong: Option<(&ApiError, &Fields)>) -> Response {
    let device = &details.device;
    let mut parts = details.parts(view).into_iter().map(|(_, part)| part);
    let mut next = || parts.next().unwrap_or_default();
    Page::new(view, Place::Devices, device.key.to_string())
        .below(view.t("Products"), "/products")
        .below(details.product.clone(), format!("/products/{}", device.product))
        .below(view.t("Devices"), format!("/devices?product={}", device.product))
        .status(wrong.map_or(StatusCode::OK, |(error, _)| error.status()))
        .live(format!("{}/live", details.path()))
        .show(html! {
            @if let Some((error, fields)) = wrong {
                div.wrong role="alert" {
                    p { (refusal::told(view, error)) }
                    @if fields.get("action") == "appoint" && let Some(seen) = details.user_plans.iter().find(|seen| seen.plan.id.0.to_string() == fields.get("plan")) {
                        (details.appoint(view, seen.plan.id.0, &seen.plan.settings.time_zone, fields, None))
                    }
                }
            }
            div #facts { (next()) }
            section {
                h2 { (view.t("Why is it not upgrading?")) }
                div #why { (next()) }
            }
            section {
                h2 { (view.t("Upgrade history")) }
                div #upgrades { (next()) }
            }
            section {
                h2 { (view.t("Online history")) }
                div #connections { (next()) }
            }
            (details.auto_confirm(view))
            (device_access::section(view, &details.device))
            section {
                h2 { (view.t("Log")) }
                div #log { (next()) }
            }
        })
}

/// What the plan says to the end user, in the page's language if it has that.
fn shown_text<'s>(view: &View, settings: &'s PlanSettings) -> Option<(&'s str, &'s str)> {
    let texts = || settings.texts.iter().map(|(tag, text)| (tag.as_str(), text.as_str()));
    texts().find(|(tag, _)| *tag == view.lang.tag()).or_else(|| texts().next())
}

/// `GET /products/{pk}/devices/{dk}`.
pub async fn show(
    State(console): State<Console>,
    view: View,
    Path((product, key)): Path<(String, String)>,
) -> Answer {
    let (product, key) = (ProductKey::new(product)?, DeviceKey::new(key)?);
    view.check_reach(&product)?;
    let details = Details::of(&console, &product, &key).await?;
    Ok(page(&view, &details, None))
}

/// `GET /products/{pk}/devices/{dk}/live`.
pub async fn live(
    State(console): State<Console>,
    view: View,
    Path((product, key)): Path<(String, String)>,
) -> Answer {
    let (product, key) = (ProductKey::new(product)?, DeviceKey::new(key)?);
    view.check_reach(&product)?;
    let device = console.read().await?.device(&product, &key).await?.id;
    let viewer = view.clone();
    let shared = Arc::new((console.clone(), view, product, key));
    live::stream(&console, &viewer, [Topic::Device(device), Topic::Fleet], move || {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let (console, view, product, key) = &*shared;
            let details = Details::of(console, product, key).await?;
            Ok(details.parts(&view.anew(console)))
        })
    })
}

/// `POST /products/{pk}/devices/{dk}`: an action of the end user, or of the operator for them.
pub async fn act(
    State(console): State<Console>,
    Path((product, key)): Path<(String, String)>,
    Act { view, fields }: Act,
) -> Answer {
    let (product, key) = (ProductKey::new(product)?, DeviceKey::new(key)?);
    view.check_reach(&product)?;
    match acted(&console, &product, &key, &fields).await {
        Ok(said) => Ok(done(&format!("/products/{product}/devices/{key}"), said)),
        Err(error) => {
            let details = Details::of(&console, &product, &key).await?;
            Ok(page(&view, &details, Some((&error, &fields))))
        }
    }
}

async fn acted(
    console: &Console,
    product: &ProductKey,
    key: &DeviceKey,
    fields: &Fields,
) -> Result<&'static str, ApiError> {
    let engine = console.engine();
    let action = fields.get("action");
    if action == "auto_confirm" {
        engine.set_auto_confirm(product, key, fields.get("auto_confirm").parse()?).await?;
        return Ok("saved");
    }
    let number = fields.get("plan");
    let plan = number.parse().map(PlanId).map_err(|_| ApiError::missing("upgrade plan", number))?;
    if action == "operator_retry" {
        let ordered = engine.order(plan, Chosen::Keys(vec![key.clone()]), &Order::Retry).await?;
        return match ordered.not_done.first() {
            None => Ok("retried"),
            Some(left) => Err(ApiError::new(StatusCode::CONFLICT, "not_done", left.reason.clone())),
        };
    }
    let (command, said) = match action.parse()? {
        UserAction::Confirm => (UserCommand::Confirm, "confirmed"),
        UserAction::Cancel => (UserCommand::Cancel, "cancelled"),
        UserAction::Retry => (UserCommand::Retry, "retried"),
        UserAction::Appoint => {
            let settings = engine.store().read().await?.plan(plan).await?.settings;
            let at = |name: &str| moment(fields, name, &settings.time_zone);
            (UserCommand::Appoint(Appointment { from: at("from")?, until: at("until")? }), "appointed")
        }
    };
    engine.apply_user_command(product, key, Some(plan), command).await?;
    Ok(said)
}

/// A time that was typed by the clock of a zone.
pub(super) fn moment(fields: &Fields, name: &str, zone: &Zone) -> Result<crate::clock::Millis, ApiError> {
    let given = fields.get(name);
    let at = given.parse::<civil::DateTime>().ok().and_then(|wall| zone.at(wall));
    at.ok_or_else(|| ApiError::invalid("invalid", name, given, "a date and time, as in 2026-03-01T02:00"))
}
