//! The audit log: who changed what, from where, and how it was before.

use axum::extract::{RawQuery, State};
use maud::{Markup, html};
use serde_json::Value;

use super::accounts::check;
use crate::rules::audit::AuditLine;
use crate::web::Console;
use crate::web::form::Fields;
use crate::web::layout::{Answer, Page, Place};
use crate::web::parts::{empty, next_page, table};
use crate::web::view::View;

/// Lines of a page.
const ROWS: i64 = 100;
/// Characters of a thing that a line shows.
const SHOWN: usize = 600;

/// `GET /audit`.
pub async fn show(State(console): State<Console>, view: View, RawQuery(query): RawQuery) -> Answer {
    check(&view)?;
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let before = fields.get("after").parse().unwrap_or(i64::MAX);
    let page = console.read().await?.audit_log_back(before, ROWS).await?;
    let intro = view.t("Each line holds the digest of the one before it: none can be changed or taken out unseen. `quecota-center audit verify` checks that.");
    let content = if page.rows.is_empty() {
        empty(view.t("Nothing was changed yet"), intro, html! {})
    } else {
        let heads = [
            "#",
            view.t("When"),
            view.t("Who"),
            view.t("From"),
            view.t("What"),
            view.t("Outcome"),
            view.t("Before and after"),
        ];
        html! {
            p.muted { (intro) }
            (table(view.t("Audit Log"), &heads, html! { @for line in &page.rows { (row(&view, line)) } }))
            (next_page(&view, "/audit", page.next.map(|next| next.to_string()).as_deref()))
        }
    };
    Ok(Page::new(&view, Place::Accounts, view.t("Audit Log"))
        .below(view.t("Accounts and Tokens"), "/accounts")
        .show(content))
}

fn row(view: &View, line: &AuditLine) -> Markup {
    let change = &line.change;
    html! {
        tr {
            th.id scope="row" { (line.id) }
            td { (view.second(change.at)) }
            td { (change.actor) }
            td.mono { (change.address) }
            td { span.mono { (change.action) } " " span.muted.mono { (change.target) } }
            td { (change.outcome) }
            td {
                @if change.before.is_some() || change.after.is_some() {
                    details {
                        summary { (view.t("Show")) span.hidden { " " (line.id) } }
                        @for (word, value) in [(view.t("Before"), &change.before), (view.t("After"), &change.after)] {
                            @if let Some(value) = value { p { b { (word) } " " span.mono { (short(value)) } } }
                        }
                    }
                }
            }
        }
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}\u{2026}", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
