//! The upgrade plans.

use axum::extract::{RawQuery, State};
use maud::html;

use crate::rules::ProductKey;
use crate::web::Console;
use crate::web::form::Fields;
use crate::web::layout::{Answer, Page, Place};
use crate::web::memo::Waits;
use crate::web::parts::{bar, empty, maybe, next_page, plan_state, rate, table};
use crate::web::view::{View, number};

/// Plans of a page.
const ROWS: i64 = 50;

/// `GET /plans`.
pub async fn list(State(console): State<Console>, view: View, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let product = fields.given("product").map(ProductKey::new).transpose()?;
    let mut store = console.read().await?;
    let mut products = store.products().await?;
    products.retain(|product| view.reaches(&product.key));
    let after = fields.get("after").parse().unwrap_or(0);
    let page = store.plans(product.as_ref(), after, ROWS).await?;
    drop(store);
    let deadline = Waits::Page.deadline();
    let plans = page.rows.into_iter().filter(|plan| view.reaches(&plan.settings.product));
    // All of them are counted at the same time.
    let asked: Vec<_> = plans.map(|plan| (console.ask_figures(&plan), plan)).collect();
    let mut rows = Vec::with_capacity(asked.len());
    for (figures, plan) in asked {
        rows.push((plan, figures.by(deadline).await));
    }
    let query = product.as_ref().map(|product| format!("?product={product}")).unwrap_or_default();
    let add = html! {
        @if view.may_operate() { a.button.main href={ "/plans/new" (query) } { (view.t("Create an Upgrade Plan")) } }
    };
    let content = html! {
        @if products.len() > 1 {
            form.search method="get" action="/plans" {
                div.field {
                    label for="product" { (view.t("Product")) }
                    select #product name="product" data-submit {
                        option value="" { (view.t("any")) }
                        @for each in &products {
                            option value=(each.key) selected[Some(&each.key) == product.as_ref()] { (each.name) " (" (each.key) ")" }
                        }
                    }
                }
                button { (view.t("Search")) }
            }
        }
        @if rows.is_empty() {
            (empty(
                view.t("No upgrade plans yet"),
                view.t("A plan says which devices get which version packages, when, and how hard to try. It is saved first; devices hear of it once it is activated."),
                add.clone(),
            ))
        } @else {
            (table(
                view.t("Upgrade Plans"),
                &[
                    view.t("Plan Name"),
                    view.t("State"),
                    view.t("Progress"),
                    view.t("Success rate"),
                    view.t("Devices"),
                    view.t("Components"),
                    view.t("Created"),
                ],
                html! {
                    @for (plan, counted) in &rows {
                        tr {
                            th scope="row" { a href={ "/plans/" (plan.id.0) } { (plan.settings.name) } " " span.muted { "#" (plan.id.0) } }
                            td { (plan_state(&view, plan.state)) }
                            @match counted {
                                Some(counted) => {
                                    td.meter { (bar(&view, counted)) }
                                    td.number { (rate(counted.figures.success_rate())) }
                                    td.number { (number(counted.population)) }
                                }
                                None => {
                                    td.muted { (view.t("Many devices: they are being counted.")) }
                                    td.number { (maybe(None)) }
                                    td.number { (maybe(None)) }
                                }
                            }
                            td { @for (index, selected) in plan.settings.components.iter().enumerate() { @if index > 0 { ", " } (selected.component) } }
                            td { (view.time(plan.created)) }
                        }
                    }
                },
            ))
            (next_page(&view, &format!("/plans{query}"), page.next.map(|next| next.to_string()).as_deref()))
        }
    };
    let actions = if rows.is_empty() {
        html! {}
    } else {
        add
    };
    Ok(Page::new(&view, Place::Plans, view.t("Upgrade Plans")).actions(actions).show(content))
}
