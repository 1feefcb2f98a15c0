//! A plan's devices over time, as a picture.

use maud::{Markup, html};

use crate::clock::Millis;
use crate::rules::plan::PlanEvent;
use crate::store::{Plan, PlanChange, PlanHistory};
use crate::web::counts::HISTORY_PARTS;
use crate::web::explain::reason;
use crate::web::view::{View, number};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 150.0;

/// What a change is called, and what kind of mark it has.
fn change(event: PlanEvent) -> (&'static str, &'static str) {
    match event {
        PlanEvent::Activate => ("idle", "Activated"),
        PlanEvent::Suspend => ("held", "Suspended"),
        PlanEvent::Halt => ("held", "Suspended itself"),
        PlanEvent::Resume => ("good", "Resumed"),
        PlanEvent::Terminate => ("bad", "Terminated"),
        PlanEvent::EndTime => ("idle", "Ended"),
        PlanEvent::DeviceStarts => ("busy", "Upgrading"),
    }
}

/// Curves of devices that were offered the plan, have confirmed, are upgraded and have failed, with a mark for each change of
/// the plan.
pub fn chart(view: &View, plan: &Plan, history: &PlanHistory, changes: &[PlanChange]) -> Markup {
    let Some(from) = plan.activated else { return html! {} };
    let curves = [
        ("waiting", "Offered", sums(&history.offered)),
        ("busy", "Confirmed", sums(&history.confirmed)),
        ("good", "Upgraded", sums(&history.upgraded)),
        ("bad", "Upgrade Failed", sums(&history.failed)),
    ];
    let most = curves.iter().filter_map(|(.., sums)| sums.last()).copied().max().unwrap_or(0);
    if most == 0 {
        return html! { @if changes.len() > 1 { section { h2 { (view.t("What happened to the plan")) } (list(view, changes)) } } };
    }
    let span = history.part.0 * HISTORY_PARTS;
    let until = from + Millis(span);
    // The activation is where the picture begins.
    let marks = changes.iter().filter(|each| each.event != PlanEvent::Activate);
    let marks = marks.map(|each| {
        let share = ((each.at - from).0 as f64 / span.max(1) as f64).clamp(0.0, 1.0);
        (change(each.event).0, format!("{:.1}", share * WIDTH))
    });
    let words: Vec<String> = curves
        .iter()
        .map(|(_, word, sums)| format!("{} {}", view.t(word), number(sums.last().copied().unwrap_or(0))))
        .collect();
    html! {
        section {
            h2 { (view.t("Devices over time")) }
            figure.history {
                div.span { span { b { (number(most)) } " " (view.t(if most == 1 { "device" } else { "devices" })) } }
                svg viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + 6.0)) preserveAspectRatio="none" role="img" aria-label=(words.join(", ")) {
                    @for quarter in 0..=4 {
                        @let y = HEIGHT * f64::from(quarter) / 4.0 + 3.0;
                        line.grid x1="0" x2=(WIDTH) y1=(format!("{y:.1}")) y2=(format!("{y:.1}")) {}
                    }
                    @for (kind, x) in marks {
                        line class={ "change is-" (kind) } x1=(x) x2=(x) y1="0" y2=(HEIGHT + 6.0) {}
                    }
                    @for (kind, _, sums) in &curves {
                        polyline class={ "curve is-" (kind) } points=(points(sums, most)) {}
                    }
                }
                figcaption {
                    div.span { span { (view.second(from)) } span { (view.second(until)) } }
                    ul.legend { @for (kind, word, sums) in &curves {
                        li { span class={ "dot is-" (kind) } aria-hidden="true" {} (view.t(word)) " " b { (number(sums.last().copied().unwrap_or(0))) } }
                    } }
                    @if history.one_in > 1 { p.hint { (view.f("Drawn from one device in {0}.", &[&history.one_in])) } }
                    @if changes.len() > 1 { (list(view, changes)) }
                }
            }
        }
    }
}

/// The changes as words, with their times.
fn list(view: &View, changes: &[PlanChange]) -> Markup {
    html! {
        ul.changes aria-label=(view.t("What happened to the plan")) {
            @for each in changes {
                @let (kind, word) = change(each.event);
                li {
                    span class={ "stroke is-" (kind) } aria-hidden="true" {}
                    span.muted { (view.time(each.at)) } " " b { (view.t(word)) }
                    @if let Some(why) = &each.reason { span { ": " (reason(view, why)) } }
                }
            }
        }
    }
}

/// How many up to each part.
fn sums(counts: &[i64]) -> Vec<i64> {
    counts
        .iter()
        .scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        })
        .collect()
}

fn points(sums: &[i64], most: i64) -> String {
    let last = sums.len().saturating_sub(1).max(1) as f64;
    let point = |(index, sum): (usize, &i64)| {
        let (x, y) = (index as f64 / last * WIDTH, HEIGHT - *sum as f64 / most as f64 * HEIGHT + 3.0);
        format!("{x:.1},{y:.1}")
    };
    sums.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
}
