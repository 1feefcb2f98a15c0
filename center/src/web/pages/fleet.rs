//! The fleet: what goes on now, and what needs a decision.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use maud::{Markup, html};

use super::first_steps::FirstSteps;
use crate::api::error::ApiError;
use crate::clock::Millis;
use crate::engine::TakenOver;
use crate::rules::device_status::DeviceStatus;
use crate::rules::plan::PlanState;
use crate::rules::{DeviceKey, PackageId, takeover};
use crate::store::{Device, Plan, Product, Topic};
use crate::web::Console;
use crate::web::counts::{self, DAYS, DeviceCounts, Failures, PlanCounts, PlanFigures, Versions};
use crate::web::explain::{self, reason};
use crate::web::layout::{Answer, Page, Place};
use crate::web::live::{self, Parts};
use crate::web::memo::Waits;
use crate::web::parts::{bar, legend, plan_state, rate};
use crate::web::view::{View, number};

/// Failure reasons that it names.
const REASONS: usize = 6;
/// Plans of which it says why their devices wait; of the others their own pages do.
const EXPLAINED: usize = 5;
/// Reasons to wait that it names of a plan.
const WAITS: usize = 3;
/// Things of one kind that it names among the decisions.
const NAMED: i64 = 5;

/// A plan that is active.
struct Running {
    plan: Plan,
    /// None: they are being counted.
    figures: Option<Arc<PlanFigures>>,
    /// Why its devices wait; none: it is being counted, or stands on the plan's page alone.
    counts: Option<Arc<PlanCounts>>,
}

/// A product with what its devices run.
struct InField {
    product: Product,
    /// None: they are being counted.
    counts: Option<Arc<DeviceCounts>>,
    /// None: they are being counted.
    versions: Option<Arc<Versions>>,
}

impl InField {
    /// All devices; 0 while they are being counted.
    fn devices(&self) -> i64 {
        self.counts.as_ref().map_or(0, |counts| counts.devices)
    }
}

struct Fleet {
    running: Vec<Running>,
    products: Vec<InField>,
    /// None: they are being counted, or are not for the viewer.
    failures: Option<Arc<Failures>>,
    failed_verifications: Vec<(i64, PackageId, DeviceKey)>,
    /// Devices that are perhaps two with one key.
    doubles: Vec<(Device, TakenOver)>,
    first_steps: FirstSteps,
}

impl Fleet {
    async fn of(console: &Console, view: &View, waits: Waits) -> Result<Self, ApiError> {
        let (now, deadline) = (view.now, waits.deadline());
        let mut store = console.read().await?;
        // Everything is counted at the same time, beside what is read here.
        let mut asked = Vec::new();
        for product in store.products().await? {
            if view.reaches(&product.key) {
                asked.push((console.ask_devices(&product.key), console.ask_versions(&product.key), product));
            }
        }
        let mut active = Vec::new();
        for (_, plan) in store.running_plans().await? {
            // One that cannot be used stands in the process log, and hides no other.
            let Ok(plan) = plan else { continue };
            if view.reaches(&plan.settings.product) {
                let counts = (active.len() < EXPLAINED).then(|| console.ask_plan(&plan));
                active.push((console.ask_figures(&plan), counts, plan));
            }
        }
        // They are counted over all products: not for those who may not see all of them.
        let failures = view.reaches_all().then(|| console.ask_failures());
        let mut failed_verifications = Vec::new();
        for id in store.failed_verifications(now - Millis::hours(24 * DAYS), NAMED).await? {
            let upgrade = store.upgrade(id).await?;
            let Some(package) = upgrade.components.first().map(|component| component.package) else {
                continue;
            };
            let device = store.device_by_id(upgrade.device).await?;
            if !view.reaches(&device.product) {
                continue;
            }
            let key = device.key;
            failed_verifications.push((id.0, package, key));
        }
        let mut doubles = Vec::new();
        for device in store.devices_taken_over(now - takeover::NAMED_FOR, NAMED).await? {
            if let Some(taken) = TakenOver::of(&device, now).filter(|_| view.reaches(&device.product)) {
                doubles.push((device, taken));
            }
        }
        let plans = store.plans(None, 0, 1_000).await?.rows;
        let plans: Vec<_> = plans.into_iter().filter(|plan| view.reaches(&plan.settings.product)).collect();
        let has_run = plans.iter().any(|plan| plan.state != PlanState::Saved);
        let saved = plans.into_iter().find(|plan| plan.state == PlanState::Saved);
        let has_package = !store.packages(None, 0, 1).await?.rows.is_empty();
        let mut has_component = false;
        for (_, _, product) in &asked {
            has_component = has_component || !store.components(&product.key).await?.is_empty();
        }
        drop(store);
        let mut products = Vec::with_capacity(asked.len());
        for (counts, versions, product) in asked {
            let (counts, versions) = (counts.by(deadline).await, versions.by(deadline).await);
            products.push(InField { product, counts, versions });
        }
        let mut running = Vec::with_capacity(active.len());
        for (figures, counts, plan) in active {
            let figures = figures.by(deadline).await;
            let counts = match counts {
                Some(asked) => asked.by(deadline).await,
                None => None,
            };
            running.push(Running { plan, figures, counts });
        }
        let failures = match failures {
            Some(asked) => asked.by(deadline).await,
            None => None,
        };
        let has_device = products.iter().any(|field| field.devices() > 0);
        let product = products.first().map(|field| field.product.clone());
        let first_steps = FirstSteps { product, has_component, has_package, has_device, saved, has_run };
        Ok(Self { running, products, failures, failed_verifications, doubles, first_steps })
    }

    fn parts(&self, view: &View) -> Parts {
        vec![
            ("decisions", self.decisions(view)),
            ("running", self.running(view)),
            ("field", self.in_field(view)),
            ("failures", self.failures(view)),
        ]
    }

    /// What waits for a person.
    fn decisions(&self, view: &View) -> Markup {
        let halted = self.running.iter().filter(|running| running.plan.state == PlanState::Suspended);
        let mut cards: Vec<Markup> = halted
            .map(|running| {
                let plan = &running.plan;
                html! {
                    (plan_state(view, plan.state)) " "
                    a href={ "/plans/" (plan.id.0) } { (plan.settings.name) } " "
                    @match &plan.halted {
                        Some(why) => { (view.t("suspended itself:")) " " (reason(view, why)) }
                        None => (view.t("is suspended: resume or terminate it."))
                    }
                }
            })
            .collect();
        cards.extend(self.failed_verifications.iter().map(|(id, package, device)| {
            html! {
                span.badge.is-bad { (view.t("Failed")) } " "
                a href={ "/verifications/" (id) } { (view.f("Firmware verification {0}", &[id])) } " "
                (view.f("of version package {0} on device {1}", &[&package.0, device]))
            }
        }));
        cards.extend(self.doubles.iter().map(|(device, taken)| {
            html! {
                span.badge.is-held { (view.t("Two devices with one key?")) } " "
                a.mono href={ "/products/" (device.product) "/devices/" (device.key) } { (device.key) } ": "
                (view.f("{0} connections took over one another.", &[&number(taken.times)])) " "
                (view.t("Give one of them a key of its own, or forbid this one."))
            }
        }));
        if let Some(failures) = &self.failures {
            let fallen = failures.counts.iter().filter(|count| counts::fell_back(count).is_some());
            let fallen: i64 = fallen.map(|count| count.devices).sum();
            if fallen > 0 {
                cards.push(html! {
                    span.badge.is-bad { (view.t("Fell back")) } " "
                    (view.f("{0} devices reported an older version after they had succeeded", &[&number(fallen)])) ": "
                    @for (index, (plan, key)) in failures.fallen.iter().enumerate() {
                        @if index > 0 { ", " }
                        a.mono href={ "/plans/" (plan.0) "/devices/" (key) } { (key) }
                    }
                });
            }
        }
        html! {
            @if !cards.is_empty() {
                section.decisions aria-labelledby="decisions-head" {
                    h2 #decisions-head { (view.t("Needs a decision")) }
                    ul { @for card in &cards { li { (card) } } }
                }
            }
        }
    }

    fn running(&self, view: &View) -> Markup {
        if self.running.is_empty() {
            return html! { h2 { (view.t("Next step")) } (self.first_steps.show(view)) };
        }
        html! {
            h2 { (view.t("Running plans")) }
            @for running in &self.running {
                @let plan = &running.plan;
                article.running {
                    h3 { a href={ "/plans/" (plan.id.0) } { (plan.settings.name) } " " (plan_state(view, plan.state)) }
                    @match &running.figures {
                        Some(counted) => { (bar(view, counted)) (legend(view, counted)) }
                        None => p.muted { (view.t("Many devices: they are being counted.")) }
                    }
                    (explain::plan(view, plan))
                    (waits(view, running))
                    p.muted {
                        (view.t("Success rate")) " " b { (rate(running.figures.as_ref().and_then(|counted| counted.figures.success_rate()))) }
                        @if let Some(end) = plan.settings.end { " \u{b7} " (view.t("ends")) " " (view.away(end)) }
                        @else if let Some(at) = plan.activated { " \u{b7} " (view.t("activated")) " " (view.away(at)) }
                    }
                }
            }
        }
    }

    fn in_field(&self, view: &View) -> Markup {
        html! {
            @for field in &self.products {
                article.product {
                    h3 { a href={ "/products/" (field.product.key) } { (field.product.name) } }
                    p {
                        @match &field.counts {
                            Some(counts) => {
                                a href={ "/devices?product=" (field.product.key) } { b { (number(counts.devices)) } " " (view.t(if counts.devices == 1 { "device" } else { "devices" })) } ", "
                                a href={ "/devices?online=yes&product=" (field.product.key) } { b { (number(counts.online)) } " " (view.t("online")) }
                            }
                            None => span.muted { (view.t("Many devices: they are being counted.")) }
                        }
                    }
                    @if field.versions.is_none() { p.muted { (view.t("Many devices: versions are being counted.")) } }
                    @for (component, counts) in field.versions.iter().flat_map(|versions| &versions.0) {
                        table.versions {
                            caption { (component) }
                            tbody {
                                @for count in counts {
                                    tr {
                                        th.mono scope="row" { (count.version) }
                                        td.meter { (share(count.devices, field.devices())) }
                                        td.number { (number(count.devices)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn failures(&self, view: &View) -> Markup {
        let mut reasons: BTreeMap<&str, [i64; DAYS as usize]> = BTreeMap::new();
        for count in self.failures.iter().flat_map(|failures| &failures.counts) {
            let days = reasons.entry(count.reason.as_deref().unwrap_or("")).or_default();
            if let Some(day) =
                usize::try_from(count.part).ok().and_then(|part| days.get_mut(part.min(DAYS as usize - 1)))
            {
                *day += count.devices;
            }
        }
        let mut reasons: Vec<_> =
            reasons.into_iter().map(|(reason, days)| (reason, days, days.iter().sum::<i64>())).collect();
        reasons.sort_by_key(|(_, _, sum)| std::cmp::Reverse(*sum));
        let most = reasons.iter().flat_map(|(_, days, _)| days).copied().max().unwrap_or(1).max(1);
        html! {
            @if reasons.is_empty() {
                p.muted { (view.t("No upgrade failed in the last seven days.")) }
            } @else {
                table.failures {
                    thead { tr { th scope="col" { (view.t("Reason")) } th scope="col" { (view.t("Last seven days")) } th.number scope="col" { (view.t("Devices")) } } }
                    tbody {
                        @for (text, days, sum) in reasons.iter().take(REASONS) {
                            tr {
                                th scope="row" { @if text.is_empty() { (view.t("no reason")) } @else { (reason(view, text)) } }
                                td { (spark(view, days, most)) }
                                td.number { (number(*sum)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Why most of a plan's devices wait, and until when.
fn waits(view: &View, running: &Running) -> Markup {
    // A suspended plan is among the decisions: until then all wait for that.
    let is_offered = running.plan.state != PlanState::Suspended;
    let counts = running.counts.as_ref().filter(|_| is_offered);
    let blocked = counts.and_then(|counts| counts.blocked.as_ref());
    // They wait for nothing.
    let is_wait = |condition: &str| !["finished", "under_way", "at_target"].contains(&condition);
    let conditions = blocked.iter().flat_map(|blocked| &blocked.conditions);
    let waits: Vec<_> = conditions.filter(|each| is_wait(each.condition)).take(WAITS).collect();
    let zone = &running.plan.settings.time_zone;
    html! {
        @if !waits.is_empty() {
            ul.waits aria-label=(view.t("Why devices wait")) {
                @for each in waits {
                    li {
                        b { (number(each.devices)) }
                        span {
                            (explain::condition(view, each.condition)) " "
                            @match each.status.as_ref().and_then(DeviceStatus::may_change) {
                                Some(at) => span.muted { (view.time_in(zone, at)) ", " (view.away(at)) },
                                None => span.muted { (view.t("by an event")) },
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A share as a small bar; its number stands beside it.
fn share(count: i64, whole: i64) -> Markup {
    let width = count as f64 / whole.max(1) as f64 * 100.0;
    html! {
        svg.share viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" {
            rect.fill-rest width="100" height="6" {}
            rect.fill-accent width=(format!("{:.1}", width.clamp(1.0, 100.0))) height="6" {}
        }
    }
}

/// Numbers of days as small columns.
fn spark(view: &View, days: &[i64], most: i64) -> Markup {
    let words: Vec<String> = days.iter().map(|count| number(*count)).collect();
    html! {
        svg.spark viewBox=(format!("0 0 {} 20", days.len() * 10)) role="img" aria-label=(view.f("by day, oldest first: {0}", &[&words.join(", ")])) {
            @for (index, count) in days.iter().enumerate() {
                @let height = if *count == 0 { 1.0 } else { (*count as f64 / most as f64 * 20.0).max(2.0) };
                rect class=(if *count == 0 { "fill-rest" } else { "fill-bad" }) x=(index * 10 + 1) width="8"
                    y=(format!("{:.1}", 20.0 - height)) height=(format!("{height:.1}")) {}
            }
        }
    }
}

/// `GET /`.
pub async fn show(State(console): State<Console>, view: View) -> Answer {
    let fleet = Fleet::of(&console, &view, Waits::Page).await?;
    let mut parts = fleet.parts(&view).into_iter().map(|(_, part)| part);
    let mut next = || parts.next().unwrap_or_default();
    let (decisions, running, field, failures) = (next(), next(), next(), next());
    let content = html! {
        div #decisions { (decisions) }
        div.board {
            section #running { (running) }
            div {
                @if !fleet.products.is_empty() {
                    section { h2 { (view.t("In the field")) } div #field { (field) } }
                    @if view.reaches_all() { section { h2 { (view.t("Failures")) } div #failures { (failures) } } }
                }
            }
        }
    };
    Ok(Page::new(&view, Place::Fleet, view.t("Fleet")).live("/live").show(content))
}

/// `GET /live`.
pub async fn live(State(console): State<Console>, view: View) -> Answer {
    let viewer = view.clone();
    let shared = Arc::new((console.clone(), view));
    live::stream(&console, &viewer, [Topic::Fleet, Topic::Fleet], move || {
        let shared = Arc::clone(&shared);
        Box::pin(async move {
            let (console, view) = &*shared;
            let view = view.anew(console);
            Ok(Fleet::of(console, &view, Waits::Stream).await?.parts(&view))
        })
    })
}
