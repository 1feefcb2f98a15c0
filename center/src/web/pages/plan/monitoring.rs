//! What Upgrade Monitoring shows of a plan, part by part.

use std::sync::Arc;

use maud::{Markup, html};

use super::Wanted;
use crate::api::error::ApiError;
use crate::rules::device_status::DeviceStatus;
use crate::rules::plan::{Mode, PlanState};
use crate::rules::progress::UpgradeState;
use crate::store::{Package, PackageId, Plan, PlanDevice, PlanId};
use crate::web::Console;
use crate::web::counts::{self, PlanCounts, PlanFigures};
use crate::web::explain::{self, reason};
use crate::web::live::Parts;
use crate::web::memo::Waits;
use crate::web::pages::history;
use crate::web::parts::{
    bar, component_state, fetched, legend, maybe, next_page, plan_state, post_button, rate, table,
    upgrade_state,
};
use crate::web::view::{View, number};

/// Devices of a page.
const ROWS: i64 = 50;

/// What the page shows.
pub struct Monitoring {
    pub plan: Plan,
    pub packages: Vec<Option<Package>>,
    /// None: they are being counted.
    figures: Option<Arc<PlanFigures>>,
    /// None: they are being counted.
    counts: Option<Arc<PlanCounts>>,
    devices: Vec<PlanDevice>,
    next: Option<i64>,
    superseded_by: Vec<(String, PlanId)>,
}

impl Monitoring {
    pub async fn of(console: &Console, id: PlanId, wanted: &Wanted, waits: Waits) -> Result<Self, ApiError> {
        let deadline = waits.deadline();
        let mut store = console.read().await?;
        let plan = store.plan(id).await?;
        // They run beside what is read here.
        let (figures, counts) = (console.ask_figures(&plan), console.ask_plan(&plan));
        let page = store.plan_device_page(id, &wanted.filter(), wanted.after, ROWS).await?;
        let mut packages = Vec::new();
        for selected in &plan.settings.components {
            packages.push(store.find_package(PackageId(selected.package)).await?);
        }
        let superseded = store.superseded_by(id).await?;
        let superseded_by =
            superseded.into_iter().map(|(component, plan)| (component.to_string(), plan)).collect();
        drop(store);
        let (figures, counts) = (figures.by(deadline).await, counts.by(deadline).await);
        let (devices, next) = (page.rows, page.next);
        Ok(Self { plan, packages, figures, counts, devices, next, superseded_by })
    }

    pub fn path(&self) -> String {
        format!("/plans/{}", self.plan.id.0)
    }

    /// Devices on the plan's lists, once they are counted.
    pub fn listed(&self) -> Option<[u64; 2]> {
        self.figures.as_ref().map(|counted| counted.listed)
    }

    fn size_of(&self, component: &crate::rules::ComponentNo) -> Option<u64> {
        let packages = self.packages.iter().flatten();
        let package = packages.into_iter().find(|package| package.content.component == *component)?;
        Some(package.content.files.iter().map(|file| file.size).sum())
    }

    pub fn parts(&self, view: &View, wanted: &Wanted) -> Parts {
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
            Some(counts) => history::chart(view, &self.plan, &counts.history, &counts.changes),
            None => {
                html! { p.muted { (view.t("Many devices: history and reasons are being counted, and show here in a moment.")) } }
            }
        }
    }

    fn summary(&self, view: &View) -> Markup {
        let plan = &self.plan;
        html! {
            @if let Some(why) = &plan.halted {
                p.note { b { (view.t("The plan suspended itself:")) } " " (reason(view, why)) ". " (view.t("Resume it when the cause is mended; devices are counted anew from then on.")) }
            }
            @for (component, by) in &self.superseded_by {
                p.note { (view.f("For component {0} a newer plan takes the place of this one:", &[component])) " " a href={ "/plans/" (by.0) } { "#" (by.0) } }
            }
            (explain::plan(view, plan))
            @match &self.figures {
                _ if plan.state == PlanState::Saved => {}
                Some(counted) => {
                    (bar(view, counted))
                    (legend(view, counted))
                    p { (view.t("Success rate")) " " b { (rate(counted.figures.success_rate())) } " " span.muted { (view.t("of those that have finished")) } }
                }
                None => p.muted { (view.t("Many devices: they are being counted.")) }
            }
        }
    }

    /// Why devices have not been offered the plan, and what they wait for.
    fn waiting(&self, view: &View) -> Markup {
        let Some(blocked) = self.counts.as_ref().and_then(|counts| counts.blocked.as_ref()) else {
            return html! {};
        };
        let zone = &self.plan.settings.time_zone;
        let shown = blocked.conditions.iter().filter(|blocked| blocked.condition != "finished");
        let shown: Vec<_> = shown.collect();
        html! {
            section {
                h2 { (view.t("Where its devices stand, and why they wait")) }
                @if shown.is_empty() { p.muted { (view.t("No device waits for this plan.")) } }
                @else {
                    @if blocked.examined < blocked.devices { p.muted { (view.f("An estimate: {0} of {1} devices were looked at.", &[&number(blocked.examined), &number(blocked.devices)])) } }
                    (table(view.t("Where its devices stand, and why they wait"), &[view.t("Condition"), view.t("Devices"), view.t("May change"), view.t("For example")], html! {
                        @for each in shown {
                            tr {
                                th scope="row" { (explain::condition(view, each.condition)) }
                                td.number { (number(each.devices)) }
                                td { @match each.status.as_ref().and_then(DeviceStatus::may_change) {
                                    Some(at) => { (view.time_in(zone, at)) ", " (view.away(at)) }
                                    None => span.muted { (view.t("by an event")) },
                                } }
                                td {
                                    a.mono href={ "/products/" (self.plan.settings.product) "/devices/" (each.example) } { (each.example) }
                                    @if let Some(status) = &each.status { span.muted { ": " (explain::sentence(view, status, zone)) } }
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
        counts::is_active(self.plan.state)
    }

    fn list(&self, view: &View, wanted: &Wanted) -> Markup {
        if self.devices.is_empty() {
            let text = match self.plan.state {
                PlanState::Saved => return html! {},
                _ if !wanted.is_all() => view.t("No device of the plan is in this state for this reason now."),
                _ if self.plan.settings.mode == Mode::Manual => view.t("A device is offered it once its end user has confirmed."),
                _ => view.t("No device was offered the plan yet. Devices are offered it when they come online, at the next 10-minute mark, or when they ask."),
            };
            return html! { p.muted { (text) } };
        }
        let may_order = view.may_operate() && self.is_active();
        let mut heads = vec![
            view.t("Device"),
            view.t("State"),
            view.t("Components"),
            view.t("Failed attempts"),
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

    pub fn buttons(&self, view: &View) -> Markup {
        if !view.may_operate() {
            return html! {};
        }
        let path = self.path();
        let post = |to: &str, word: &'static str, class: &str| {
            post_button(view, &format!("{path}/{to}"), class, word, "")
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
