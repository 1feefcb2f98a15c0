//! Pieces that many pages are made of.

use std::collections::BTreeSet;

use maud::{Markup, PreEscaped, html};

use super::counts::PlanFigures;
use super::view::{View, number};
use crate::rules::plan::{PlanState, Verified};
use crate::rules::progress::{ComponentState, Presence, UpgradeState};
use crate::rules::verification::VerificationState;
use crate::store::Device;

/// A state as a word with a colour; the word is enough.
pub fn badge(view: &View, kind: &str, word: &'static str) -> Markup {
    html! { span class={ "badge is-" (kind) } { (view.t(word)) } }
}

/// The name of a device's state.
pub fn upgrade_word(state: UpgradeState) -> &'static str {
    match state {
        UpgradeState::NotRequired => "No Update Required",
        UpgradeState::NotUpgraded => "Not Upgraded",
        UpgradeState::Upgrading => "Upgrading",
        UpgradeState::Upgraded => "Upgraded",
        UpgradeState::Failed => "Upgrade Failed",
    }
}

fn upgrade_kind(state: UpgradeState) -> &'static str {
    match state {
        UpgradeState::NotRequired => "idle",
        UpgradeState::NotUpgraded => "waiting",
        UpgradeState::Upgrading => "busy",
        UpgradeState::Upgraded => "good",
        UpgradeState::Failed => "bad",
    }
}

/// The state of a device in a plan.
pub fn upgrade_state(view: &View, state: UpgradeState) -> Markup {
    badge(view, upgrade_kind(state), upgrade_word(state))
}

/// The name of a component's state.
pub fn component_word(state: ComponentState) -> &'static str {
    match state {
        ComponentState::PlanNotReceived => "Plan Not Received",
        ComponentState::PlanReceived => "Plan Received",
        ComponentState::Confirmed => "Upgrade Confirmed",
        ComponentState::Refused => "Refused",
        ComponentState::ReadyToDownload => "Ready to Download",
        ComponentState::Downloading => "Downloading",
        ComponentState::Downloaded => "Downloaded",
        ComponentState::DownloadFailed => "Download Failed",
        ComponentState::Upgrading => "Upgrading",
        ComponentState::Succeeded => "Upgrade Succeeded",
        ComponentState::Failed => "Upgrade Failed",
        ComponentState::NotRequired => "No Update Required",
    }
}

/// The state of a component in the conversation with its device.
pub fn component_state(view: &View, state: ComponentState) -> Markup {
    let kind = match state {
        ComponentState::Succeeded => "good",
        ComponentState::NotRequired => "idle",
        ComponentState::PlanNotReceived | ComponentState::PlanReceived | ComponentState::Refused => "waiting",
        state if state.has_failed() => "bad",
        _ => "busy",
    };
    badge(view, kind, component_word(state))
}

/// The state of a plan.
pub fn plan_state(view: &View, state: PlanState) -> Markup {
    let (kind, word) = match state {
        PlanState::Saved => ("idle", "Saved"),
        PlanState::Activated => ("waiting", "Activated"),
        PlanState::Upgrading => ("busy", "Upgrading"),
        PlanState::Suspended => ("held", "Suspended"),
        PlanState::Terminated => ("bad", "Terminated"),
        PlanState::Ended => ("idle", "Ended"),
    };
    badge(view, kind, word)
}

/// The state of a firmware verification.
pub fn verification_state(view: &View, state: VerificationState) -> Markup {
    let (kind, word) = match state {
        VerificationState::Waiting => ("waiting", "Waiting"),
        VerificationState::Running => ("busy", "Running"),
        VerificationState::Passed => ("good", "Passed"),
        VerificationState::Failed => ("bad", "Failed"),
        VerificationState::NotRequired => ("idle", "No Update Required"),
    };
    badge(view, kind, word)
}

/// What a package's verifications say.
pub fn verified(view: &View, verified: Verified) -> Markup {
    let (kind, word) = match verified {
        Verified::Passed => ("good", "Passed"),
        Verified::Failed => ("bad", "Failed"),
        Verified::Never => ("idle", "Never verified"),
    };
    badge(view, kind, word)
}

/// Whether a device can be reached.
pub fn presence(view: &View, device: &Device) -> Markup {
    match device.presence() {
        Presence::Online => badge(view, "good", "Online"),
        Presence::Offline => badge(view, "idle", "Offline"),
    }
}

/// Devices by state, in the order of the bar and its legend.
fn shares(counted: &PlanFigures) -> [(&'static str, &'static str, u64); 6] {
    let figures = &counted.figures;
    [
        ("good", "Upgraded", figures.upgraded),
        ("busy", "Upgrading", figures.upgrading),
        ("bad", "Upgrade Failed", figures.failed),
        ("waiting", "Not Upgraded", figures.not_upgraded),
        ("idle", "No Update Required", figures.not_required),
        ("rest", "Not reached yet", counted.unreached()),
    ]
}

/// A bar of a plan's devices by state; its words stand in the legend, or are read out.
pub fn bar(view: &View, counted: &PlanFigures) -> Markup {
    let shares = shares(counted);
    let whole: u64 = shares.iter().map(|(.., count)| count).sum();
    let words = shares.iter().filter(|(.., count)| *count > 0);
    let words: Vec<String> =
        words.map(|(_, word, count)| format!("{} {}", view.t(word), number(*count))).collect();
    let label = if words.is_empty() { view.t("No devices yet").to_owned() } else { words.join(", ") };
    let mut at = 0.0;
    let seen = shares.iter().filter(|(kind, _, count)| *count > 0 && *kind != "rest");
    let stretches: Vec<(&str, f64, f64)> = seen
        .map(|(kind, _, count)| {
            // At least so wide that one device among a million is seen.
            let width = (*count as f64 / whole.max(1) as f64 * 1000.0).max(4.0);
            at += width;
            (*kind, at - width, width)
        })
        .collect();
    html! {
        svg.bar viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" aria-label=(label) {
            rect.fill-rest x="0" y="0" width="1000" height="10" {}
            @for (kind, x, width) in stretches {
                rect class={ "fill-" (kind) } x=(format!("{x:.1}")) y="0" width=(format!("{width:.1}")) height="10" {}
            }
        }
    }
}

/// The words to a bar, each with its number.
pub fn legend(view: &View, counted: &PlanFigures) -> Markup {
    html! {
        ul.legend {
            @for (kind, word, count) in shares(counted).iter().filter(|(kind, _, count)| *count > 0 || *kind != "rest") {
                li {
                    span class={ "dot is-" (kind) } aria-hidden="true" {}
                    span { (view.t(word)) } " " b { (number(*count)) }
                }
            }
        }
    }
}

/// A success rate in percent.
pub fn rate(rate: Option<f64>) -> Markup {
    match rate {
        Some(rate) => {
            // Never rounded up to all.
            let percent = (rate * 1_000.0).floor() / 10.0;
            html! { (format!("{percent:.1}")) " %" }
        }
        None => html! { span.none { "\u{2013}" } },
    }
}

/// How many bytes of an image a device has fetched.
pub fn fetched(view: &View, fetched: u64, whole: Option<u64>) -> Markup {
    let Some(whole) = whole.filter(|whole| *whole > 0) else {
        return html! { (super::view::bytes(fetched)) };
    };
    let percent = (u128::from(fetched.min(whole)) * 100 / u128::from(whole)).to_string();
    html! {
        progress value=(fetched.min(whole)) max=(whole) aria-label=(view.t("Bytes fetched")) { (percent) " %" }
        " " span.small { (percent) "\u{a0}% " span.muted { (super::view::bytes(fetched)) " / " (super::view::bytes(whole)) } }
    }
}

/// A text that may not be there.
pub fn maybe(text: Option<&str>) -> Markup {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => html! { (text) },
        None => html! { span.none { "\u{2013}" } },
    }
}

/// What stands where there is nothing yet: what it is, and the next step.
pub fn empty(title: &str, text: &str, action: Markup) -> Markup {
    html! { div.empty { h2 { (title) } p { (text) } (action) } }
}

/// A table that scrolls by itself where it is too wide; on a narrow screen its rows are cards.
pub fn table(label: &str, heads: &[&str], rows: Markup) -> Markup {
    let (rows, numbers) = headed(heads, rows);
    html! {
        div.table role="region" aria-label=(label) tabindex="0" {
            table {
                thead { tr { @for (column, head) in heads.iter().enumerate() { th .number[numbers.contains(&column)] scope="col" { (head) } } } }
                tbody { (rows) }
            }
        }
    }
}

/// The same rows, each cell with the head of its column, which the style sheet shows in a card; and the columns of numbers.
fn headed(heads: &[&str], rows: Markup) -> (Markup, BTreeSet<usize>) {
    let rows = rows.into_string();
    let mut marked = String::with_capacity(rows.len() * 2);
    let mut columns = heads.iter().enumerate();
    let mut numbers = BTreeSet::new();
    // In a text or an attribute this sign is escaped.
    for (index, piece) in rows.split('<').enumerate() {
        if index > 0 {
            marked.push('<');
        }
        let is_cell = piece.starts_with("td") || piece.starts_with("th");
        if piece.starts_with("tr") {
            columns = heads.iter().enumerate();
        }
        match is_cell.then(|| columns.next()).flatten() {
            Some((column, head)) => {
                let (tag, rest) = piece.split_at(2);
                if rest.starts_with(" class=\"number\"") {
                    numbers.insert(column);
                }
                marked.push_str(tag);
                marked.push_str(" data-head=\"");
                marked.push_str(&html! { (head) }.into_string());
                marked.push('"');
                marked.push_str(rest);
            }
            None => marked.push_str(piece),
        }
    }
    (PreEscaped(marked), numbers)
}

/// The link to the next page of a list.
pub fn next_page(view: &View, path: &str, next: Option<&str>) -> Markup {
    html! {
        @if let Some(next) = next {
            @let mark = if path.contains('?') { '&' } else { '?' };
            @let after: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
            p.pager { a.button href=(format!("{path}{mark}after={after}")) { (view.t("Next page")) } }
        }
    }
}

/// A labelled field of a form, with what is wrong with it.
pub fn field(label: &str, name: &str, hint: &str, wrong: Option<String>, input: Markup) -> Markup {
    html! {
        div.field .is-wrong[wrong.is_some()] {
            label for=(name) { (label) }
            (input)
            @if !hint.is_empty() { p.hint id={ (name) "-hint" } { (hint) } }
            @if let Some(wrong) = wrong { p.fault id={ (name) "-fault" } role="alert" { (wrong) } }
        }
    }
}

/// A form of one button; `of` names what it is about for those who do not see where it stands.
pub fn post_button(view: &View, to: &str, class: &str, word: &'static str, of: &str) -> Markup {
    html! {
        form.inline-form method="post" action=(to) {
            (view.csrf())
            button class=(class) { (view.t(word)) @if !of.is_empty() { span.hidden { " " (of) } } }
        }
    }
}

/// What nobody can read again, such as a secret that was just made.
pub fn once(view: &View, title: &'static str, name: &str, secret: &str) -> Markup {
    html! {
        div.said role="status" {
            p { b { (view.t(title)) } " " (view.t("It is shown here and never again.")) }
            dl.facts { dt { (name) } dd.mono { (secret) } }
        }
    }
}

/// A form that is unfolded to be used, or because something is wrong with it.
pub fn folded_form(view: &View, summary: &'static str, is_open: bool, to: &str, content: Markup) -> Markup {
    html! {
        details open[is_open] {
            summary { (view.t(summary)) }
            form.card method="post" action=(to) { (view.csrf()) (content) }
        }
    }
}

/// The input of a name that programs use: nothing completes or corrects it.
pub fn identifier(name: &str, longest: u32, value: &str) -> Markup {
    html! {
        input id=(name) name=(name) required maxlength=(longest) autocomplete="off" autocapitalize="none" spellcheck="false" value=(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cell_has_the_head_of_its_column_and_columns_of_numbers_are_known() {
        let rows = html! {
            @for name in ["a <td> in a text", "b"] {
                tr { th scope="row" { (name) } td { span title="<th>" { "x" } } td.number { "1" } }
            }
        };
        let (rows, numbers) = headed(&["Name", "\"Said\"", "Count"], rows);
        let row = |name: &str| {
            format!(
                "<tr><th data-head=\"Name\" scope=\"row\">{name}</th><td data-head=\"&quot;Said&quot;\">\
                 <span title=\"&lt;th&gt;\">x</span></td><td data-head=\"Count\" class=\"number\">1</td></tr>"
            )
        };
        assert_eq!(rows.into_string(), row("a &lt;td&gt; in a text") + &row("b"));
        assert_eq!(numbers, BTreeSet::from([2]));
    }
}
