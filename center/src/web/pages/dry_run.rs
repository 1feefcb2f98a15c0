//! What a plan would do if it were activated now.

use maud::{Markup, html};

use crate::engine::DryRun;
use crate::rules::device_status::DeviceStatus;
use crate::rules::forecast::Outcome;
use crate::rules::window::Zone;
use crate::web::explain;
use crate::web::refusal;
use crate::web::view::{View, number};

fn outcome_word(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::Offered => ("good", "Offered now"),
        Outcome::WhenOnline => ("busy", "Offered when they connect"),
        Outcome::Blocked => ("waiting", "Held back"),
        Outcome::NotRequired => ("idle", "No Update Required"),
        Outcome::Excluded => ("rest", "Excluded"),
    }
}

/// The numbers with their reasons.
pub fn panel(view: &View, run: &DryRun, zone: &Zone) -> Markup {
    let sum = |outcomes: &[Outcome]| -> i64 {
        run.outcomes
            .iter()
            .filter(|forecast| outcomes.contains(&forecast.outcome))
            .map(|forecast| forecast.devices)
            .sum()
    };
    let (now, later) = (sum(&[Outcome::Offered]), sum(&[Outcome::WhenOnline]));
    html! {
        p.lead { b { (number(now)) } " " (view.t(if now == 1 { "device is offered it now" } else { "devices are offered it now" })) ", " b { (number(later)) } " " (view.t("when they connect")) }
        p.muted {
            (view.f("of {0} devices", &[&number(run.devices)]))
            @if run.examined < run.devices { "; " (view.f("an estimate from {0} of them", &[&number(run.examined)])) }
        }
        @if run.devices == 0 { p { (view.t("There are no devices yet; those that join later are offered it too.")) } }
        ul.outcomes {
            @for forecast in &run.outcomes {
                @let (kind, word) = outcome_word(forecast.outcome);
                li {
                    span class={ "dot is-" (kind) } aria-hidden="true" {}
                    b { (number(forecast.devices)) } " " (view.t(word))
                    @if forecast.condition != "due" {
                        ": " (explain::condition(view, forecast.condition))
                        span.muted.example {
                            (view.t("for example")) " " span.mono { (forecast.example) }
                            ": " @match &forecast.blocked {
                                Some(blocked) => (explain::sentence(view, &DeviceStatus::Blocked(blocked.clone()), zone)),
                                None => (refusal::sentence(view, &forecast.text)),
                            }
                        }
                    }
                }
            }
        }
        @if !run.refused.is_empty() {
            div.note { p { b { (view.t("It cannot be activated yet:")) } } ul { @for reason in &run.refused { li { (refusal::sentence(view, reason)) } } } }
        }
        @if !run.supersedes.is_empty() {
            div.note { p { b { (view.t("It takes the place of:")) } } ul { @for other in &run.supersedes { li { (refusal::sentence(view, other)) } } } }
        }
        @if !run.downgrades.is_empty() {
            div.note { p { b { (view.t("It takes devices back to an older version:")) } } ul { @for text in &run.downgrades { li { (refusal::sentence(view, text)) } } } }
        }
        p.muted { (view.f("By the clock of {0}: {1}", &[&zone.name(), &zone.clock(run.now, "%Y-%m-%d %H:%M")])) }
    }
}
