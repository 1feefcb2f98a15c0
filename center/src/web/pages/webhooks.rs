//! Webhooks and the messages to them, for administrators.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use maud::{Markup, html};

use super::accounts::check;
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::shared::{GivenWebhook, make_webhook};
use crate::engine::WebhookChanges;
use crate::rules::webhook::{DeliveryState, WebhookEvent};
use crate::rules::{DeliveryId, WebhookId};
use crate::store::{Delivery, Product, Webhook};
use crate::web::Console;
use crate::web::form::{Act, Fields, done};
use crate::web::layout::{Answer, Page, Place};
use crate::web::parts::{badge, empty, field, folded_form, identifier, maybe, once, post_button, table};
use crate::web::refusal;
use crate::web::view::View;

/// Messages of a page.
const ROWS: i64 = 50;

/// `GET /webhooks`.
pub async fn list(State(console): State<Console>, view: View) -> Answer {
    check(&view)?;
    page(&console, &view, &Fields::default(), None, None).await
}

async fn page(
    console: &Console,
    view: &View,
    fields: &Fields,
    error: Option<&ApiError>,
    secret: Option<Markup>,
) -> Answer {
    let mut store = console.read().await?;
    let (webhooks, products) = (store.webhooks().await?, store.products().await?);
    drop(store);
    let intro = view.t("A webhook is told by HTTP what happens to plans and devices.");
    let response = Page::new(view, Place::Accounts, view.t("Webhooks"))
        .below(view.t("Accounts and Tokens"), "/accounts")
        .status(error.map_or(StatusCode::OK, ApiError::status))
        .show(html! {
            @if let Some(secret) = secret { (secret) }
            @if webhooks.is_empty() { (empty(view.t("There is no webhook yet"), intro, html! {})) }
            @else { p.muted { (intro) } (rows(view, &webhooks)) }
            (folded_form(view, "Add a webhook", error.is_some(), "/webhooks", form(view, &products, fields, error)))
        });
    Ok(response)
}

fn rows(view: &View, webhooks: &[Webhook]) -> Markup {
    let heads = [view.t("What it is for"), "URL", view.t("Product"), view.t("Events"), view.t("State")];
    table(
        view.t("Webhooks"),
        &heads,
        html! {
            @for webhook in webhooks {
                tr {
                    th scope="row" { a href={ "/webhooks/" (webhook.id.0) } { (webhook.name) } }
                    td.mono { (webhook.url) }
                    td { (product(view, webhook)) }
                    td { (events(view, webhook)) }
                    td { (state(view, webhook)) }
                }
            }
        },
    )
}

fn product(view: &View, webhook: &Webhook) -> Markup {
    html! { @match &webhook.product { Some(key) => span.version.mono { (key) }, None => (view.t("every product")) } }
}

fn events(view: &View, webhook: &Webhook) -> Markup {
    html! {
        @match &webhook.events {
            None => (view.t("all")),
            Some(events) => @for event in events { span.version.mono { (event) } " " },
        }
    }
}

fn state(view: &View, webhook: &Webhook) -> Markup {
    html! {
        @if webhook.enabled { (badge(view, "good", "On")) } @else { (badge(view, "held", "Switched off")) }
        @if let Some(why) = &webhook.stopped { " " span.muted { (why) } }
    }
}

fn form(view: &View, products: &[Product], fields: &Fields, error: Option<&ApiError>) -> Markup {
    let wrong = |name: &str| {
        let found = error.filter(|error| error.field() == Some(name));
        found.map(|error| refusal::told(view, error))
    };
    let elsewhere =
        error.filter(|error| !error.field().is_some_and(|field| ["token name", "url"].contains(&field)));
    html! {
            @if let Some(error) = elsewhere { p.fault role="alert" { (refusal::told(view, error)) } }
            (field(view.t("What it is for"), "name", view.t("Letters, digits and - _ . @ + :"), wrong("token name"), identifier("name", 64, fields.get("name"))))
            (field("URL", "url", view.t("Where messages are posted: https:// and a public address."), wrong("url"), html! {
                input #url type="url" name="url" required maxlength="1024" autocomplete="off" value=(fields.get("url"));
            }))
            (field(view.t("Product"), "product", "", None, html! {
                select #product name="product" {
                    option value="" { (view.t("every product")) }
                    @for product in products {
                        option value=(product.key) selected[fields.get("product") == product.key.as_str()] { (product.name) }
                    }
                }
            }))
            fieldset {
                legend { (view.t("Events")) }
                p.hint { (view.t("None chosen: all of them.")) }
                @for event in WebhookEvent::ALL.iter().filter(|event| **event != WebhookEvent::Test) {
                    label.choice {
                        input type="checkbox" name="event" value=(event) checked[fields.all("event").any(|chosen| chosen == event.as_str())];
                        span.mono { (event) }
                    }
                }
            }
            button.main { (view.t("Add the webhook")) }
    }
}

fn shown_once(view: &View, webhook: &Webhook, secret: &str) -> Markup {
    once(view, "The webhook's secret.", webhook.name.as_str(), secret)
}

fn api(console: &Console) -> &Api {
    &console.api
}

/// `POST /webhooks`. Its answer shows the secret, so it is no redirect.
pub async fn create(State(console): State<Console>, Act { view, fields }: Act) -> Answer {
    check(&view)?;
    let events: Vec<String> = fields.all("event").map(str::to_owned).collect();
    let given = GivenWebhook {
        name: fields.get("name").to_owned(),
        url: fields.get("url").to_owned(),
        events: Some(events).filter(|events| !events.is_empty()),
        product: fields.given("product").map(str::to_owned),
    };
    let maker = view.signed.as_ref().map(|signed| signed.principal.to_string()).unwrap_or_default();
    match make_webhook(api(&console), &maker, given).await {
        Ok((webhook, secret)) => {
            let shown = shown_once(&view, &webhook, secret.shown_once());
            page(&console, &view, &Fields::default(), None, Some(shown)).await
        }
        Err(error) => page(&console, &view, &fields, Some(&error), None).await,
    }
}

/// `GET /webhooks/{webhook}`.
pub async fn show(State(console): State<Console>, Path(id): Path<i64>, view: View) -> Answer {
    check(&view)?;
    one(&console, &view, WebhookId(id), None, None).await
}

async fn one(
    console: &Console,
    view: &View,
    id: WebhookId,
    error: Option<&ApiError>,
    secret: Option<&str>,
) -> Answer {
    let mut store = console.read().await?;
    let webhook = store.webhook(id).await?;
    let deliveries = store.deliveries(id, None, i64::MAX, ROWS).await?.rows;
    drop(store);
    let path = format!("/webhooks/{}", id.0);
    let (word, enabled) =
        if webhook.enabled { (view.t("Switch off"), "no") } else { (view.t("Switch on"), "yes") };
    let response = Page::new(view, Place::Accounts, webhook.name.to_string())
        .below(view.t("Accounts and Tokens"), "/accounts")
        .below(view.t("Webhooks"), "/webhooks")
        .status(error.map_or(StatusCode::OK, ApiError::status))
        .show(html! {
            @if let Some(secret) = secret { (shown_once(view, &webhook, secret)) }
            @if let Some(error) = error { p.fault role="alert" { (refusal::told(view, error)) } }
            dl.facts {
                dt { "URL" } dd.mono { (webhook.url) }
                dt { (view.t("Product")) } dd { (product(view, &webhook)) }
                dt { (view.t("Events")) } dd { (events(view, &webhook)) }
                dt { (view.t("State")) } dd { (state(view, &webhook)) }
                dt { (view.t("Made by")) } dd { (webhook.made_by) }
                dt { (view.t("Created")) } dd { (view.time(webhook.created)) }
            }
            div.actions {
                (post_button(view, &format!("{path}/test"), "", "Send a message to try it", ""))
                form method="post" action={ (path) "/enabled" } {
                    (view.csrf())
                    input type="hidden" name="enabled" value=(enabled);
                    button { (word) }
                }
                (post_button(view, &format!("{path}/secret"), "", "New secret", ""))
                (post_button(view, &format!("{path}/delete"), "danger", "Delete", ""))
            }
            section {
                h2 { (view.t("Messages")) }
                @if deliveries.is_empty() { p.muted { (view.t("Nothing was sent yet.")) } }
                @else { (messages(view, &path, &deliveries)) }
            }
        });
    Ok(response)
}

fn messages(view: &View, path: &str, deliveries: &[Delivery]) -> Markup {
    let heads = [
        "#",
        view.t("When"),
        view.t("Event"),
        view.t("State"),
        view.t("Attempts"),
        view.t("Last answer"),
        view.t("Action"),
    ];
    table(
        view.t("Messages"),
        &heads,
        html! {
            @for delivery in deliveries {
                tr {
                    th.id scope="row" { (delivery.id.0) }
                    td { (view.second(delivery.created)) }
                    td.mono { (delivery.event) }
                    td {
                        @match delivery.state {
                            DeliveryState::Delivered => (badge(view, "good", "Delivered")),
                            DeliveryState::Failed => (badge(view, "bad", "Failed")),
                            DeliveryState::Waiting => { (badge(view, "waiting", "Waiting")) " " span.muted { (view.away(delivery.due)) } }
                        }
                    }
                    td.number { (delivery.attempts) }
                    td { (maybe(last(delivery).as_deref())) }
                    td {
                        (post_button(view, &format!("{path}/deliveries/{}/replay", delivery.id.0), "link", "Send again", &delivery.id.0.to_string()))
                    }
                }
            }
        },
    )
}

/// What became of the last attempt.
fn last(delivery: &Delivery) -> Option<String> {
    let line = delivery.log.last()?;
    let error = line["error"].as_str().map(str::to_owned);
    error.or_else(|| Some(line["status"].as_u64()?.to_string()))
}

/// `POST /webhooks/{webhook}/test`.
pub async fn test(State(console): State<Console>, Path(id): Path<i64>, Act { view, .. }: Act) -> Answer {
    check(&view)?;
    let by = view.signed.as_ref().map(|signed| signed.principal.to_string()).unwrap_or_default();
    match console.engine().test_webhook(WebhookId(id), &by).await.map_err(ApiError::from) {
        Ok(_) => Ok(done(&format!("/webhooks/{id}"), "begun")),
        Err(error) => one(&console, &view, WebhookId(id), Some(&error), None).await,
    }
}

/// `POST /webhooks/{webhook}/enabled`.
pub async fn enabled(
    State(console): State<Console>,
    Path(id): Path<i64>,
    Act { view, fields }: Act,
) -> Answer {
    check(&view)?;
    let enabled = Some(fields.get("enabled") == "yes");
    let change = WebhookChanges { enabled, ..WebhookChanges::default() };
    console.engine().edit_webhook(WebhookId(id), &change).await?;
    Ok(done(&format!("/webhooks/{id}"), "saved"))
}

/// `POST /webhooks/{webhook}/secret`. Its answer shows the secret, so it is no redirect.
pub async fn secret(State(console): State<Console>, Path(id): Path<i64>, Act { view, .. }: Act) -> Answer {
    check(&view)?;
    let (_, secret) = console.engine().renew_webhook_secret(WebhookId(id)).await?;
    one(&console, &view, WebhookId(id), None, Some(secret.shown_once())).await
}

/// `POST /webhooks/{webhook}/delete`.
pub async fn delete(State(console): State<Console>, Path(id): Path<i64>, Act { view, .. }: Act) -> Answer {
    check(&view)?;
    console.engine().delete_webhook(WebhookId(id)).await?;
    Ok(done("/webhooks", "deleted"))
}

/// `POST /webhooks/{webhook}/deliveries/{delivery}/replay`.
pub async fn replay(
    State(console): State<Console>,
    Path((id, delivery)): Path<(i64, i64)>,
    Act { view, .. }: Act,
) -> Answer {
    check(&view)?;
    let again = console.engine().replay_delivery(WebhookId(id), DeliveryId(delivery)).await;
    match again.map_err(ApiError::from) {
        Ok(_) => Ok(done(&format!("/webhooks/{id}"), "begun")),
        Err(error) => one(&console, &view, WebhookId(id), Some(&error), None).await,
    }
}
