//! A plan's devices over time, as a picture.

use maud::{Markup, html};

use crate::clock::Millis;
use crate::store::{Plan, PlanHistory};
use crate::web::view::{View, number};

/// Parts of the time that are drawn.
pub const PARTS: i64 = 60;

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 150.0;

/// Curves of devices that were offered the plan, have confirmed, are upgraded and have failed.
pub fn chart(view: &View, plan: &Plan, history: &PlanHistory) -> Markup {
    let Some(from) = plan.activated else { return html! {} };
    let curves = [
        ("waiting", "Offered", sums(&history.offered)),
        ("busy", "Confirmed", sums(&history.confirmed)),
        ("good", "Upgraded", sums(&history.upgraded)),
        ("bad", "Upgrade Failed", sums(&history.failed)),
    ];
    let most = curves.iter().filter_map(|(.., sums)| sums.last()).copied().max().unwrap_or(0);
    if most == 0 {
        return html! {};
    }
    let until = from + Millis(history.part.0 * PARTS);
    let words: Vec<String> = curves
        .iter()
        .map(|(_, word, sums)| format!("{} {}", view.t(word), number(sums.last().copied().unwrap_or(0))))
        .collect();
    html! {
        section {
            h2 { (view.t("Devices over time")) }
            figure.history {
                svg viewBox=(format!("0 0 {WIDTH} {}", HEIGHT + 6.0)) preserveAspectRatio="none" role="img" aria-label=(words.join(", ")) {
                    @for quarter in 0..=4 {
                        @let y = HEIGHT * f64::from(quarter) / 4.0 + 3.0;
                        line.grid x1="0" x2=(WIDTH) y1=(format!("{y:.1}")) y2=(format!("{y:.1}")) {}
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
