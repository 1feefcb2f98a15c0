//! The products, and a new one.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use base64ct::{Base64, Encoding};
use maud::{Markup, html};

use crate::api::error::ApiError;
use crate::rules::{Admission, NameError, ProductKey, ProductSecret, Title};
use crate::store::Product;
use crate::web::Console;
use crate::web::form::{Act, Fields};
use crate::web::layout::{Answer, Page, Place};
use crate::web::memo::Waits;
use crate::web::parts::{empty, field, identifier, maybe, table};
use crate::web::refusal;
use crate::web::view::{View, number};

/// `GET /products`.
pub async fn list(State(console): State<Console>, view: View) -> Answer {
    let mut store = console.read().await?;
    let mut products = store.products().await?;
    products.retain(|product| view.reaches(&product.key));
    let deadline = Waits::Page.deadline();
    let mut asked = Vec::with_capacity(products.len());
    for product in products {
        let counts = console.ask_devices(&product.key);
        asked.push((store.components(&product.key).await?, product, counts));
    }
    drop(store);
    let mut rows = Vec::with_capacity(asked.len());
    for (components, product, counts) in asked {
        rows.push((product, components, counts.by(deadline).await));
    }
    let add = html! {
        @if view.may_operate() && view.reaches_all() { a.button.main href="/products/new" { (view.t("Create a Product")) } }
    };
    let content = if rows.is_empty() {
        let text = view.t("A product is a class of devices with one key and secret. Devices log in with both; then create components, version packages and upgrade plans for it.");
        empty(view.t("No products yet"), text, add.clone())
    } else {
        table(
            view.t("Products"),
            &[
                view.t("Product"),
                view.t("Product key"),
                view.t("Components"),
                view.t("Devices"),
                view.t("Online"),
                view.t("Created"),
            ],
            html! {
                @for (product, components, counts) in &rows {
                    tr {
                        th scope="row" { a href={ "/products/" (product.key) } { (product.name) } }
                        td.mono { (product.key) }
                        td {
                            @for (index, component) in components.iter().enumerate() {
                                @if index > 0 { ", " } (component.no)
                            }
                            @if components.is_empty() { span.muted { (view.t("none yet")) } }
                        }
                        td.number { a href={ "/devices?product=" (product.key) } {
                            @match counts { Some(counts) => (number(counts.devices)), None => (view.t("being counted")) }
                        } }
                        td.number { @match counts { Some(counts) => (number(counts.online)), None => (maybe(None)) } }
                        td { (view.time(product.created)) }
                    }
                }
            },
        )
    };
    let actions = if rows.is_empty() {
        html! {}
    } else {
        add
    };
    Ok(Page::new(&view, Place::Products, view.t("Products")).actions(actions).show(content))
}

/// Which devices a product takes, as a choice.
pub(super) fn admission(view: &View, chosen: Admission) -> Markup {
    let choices = [
        (Admission::Anyone, "Every device that proves the product secret"),
        (Admission::KnownOnly, "Only devices that were entered before"),
    ];
    html! {
        fieldset {
            legend { (view.t("Which devices it takes")) }
            @for (value, text) in choices {
                label.choice {
                    input type="radio" name="admission" value=(value) checked[value == chosen];
                    (view.t(text))
                }
            }
        }
    }
}

fn form(view: &View, fields: &Fields, error: Option<&ApiError>) -> Response {
    let wrong = |name: &str| {
        error.filter(|error| error.field() == Some(name)).map(|error| refusal::told(view, error))
    };
    let other = error.filter(|error| {
        ![Some("product key"), Some("name"), Some("product secret"), Some("product")].contains(&error.field())
    });
    let status = error.map_or(StatusCode::OK, ApiError::status);
    Page::new(view, Place::Products, view.t("Create a Product")).below(view.t("Products"), "/products").status(status).show(
        html! {
            form.card method="post" action="/products/new" {
                (view.csrf())
                @if let Some(error) = other { p.fault role="alert" { (refusal::told(view, error)) } }
                (field(view.t("Name"), "name", "", wrong("name"), html! {
                    input #name name="name" required maxlength="100" value=(fields.get("name"));
                }))
                (field(
                    view.t("Product key"),
                    "key",
                    view.t("Devices log in with it: 1 to 32 letters, digits and - _ . :"),
                    wrong("product key").or(wrong("product")),
                    identifier("key", 32, fields.get("key")),
                ))
                (field(
                    view.t("Product secret"),
                    "secret",
                    view.t("Leave it empty and the center makes one. It is shown once, on the next page."),
                    wrong("product secret"),
                    html! { input #secret name="secret" maxlength="32" autocomplete="off" spellcheck="false" value=(fields.get("secret")); },
                ))
                (admission(view, fields.get("admission").parse().unwrap_or(Admission::Anyone)))
                button.main { (view.t("Create")) }
            }
        },
    )
}

/// `GET /products/new`.
pub async fn new(view: View) -> Response {
    form(&view, &Fields::default(), None)
}

/// `POST /products/new`.
pub async fn create(State(console): State<Console>, Act { view, fields }: Act) -> Answer {
    view.check_reach_all()?;
    match made(&console, &fields).await {
        Ok((product, secret)) => Ok(created(&view, &product, &secret)),
        Err(error) => Ok(form(&view, &fields, Some(&error))),
    }
}

async fn made(console: &Console, fields: &Fields) -> Result<(Product, ProductSecret), ApiError> {
    ApiError::check_seen("name", fields.raw("name"))?;
    let (key, name) = (ProductKey::new(fields.get("key"))?, Title::new(fields.get("name"))?);
    let admission = fields.given("admission").map_or(Ok(Admission::Anyone), str::parse)?;
    let secret = match fields.given("secret") {
        Some(secret) => ProductSecret::new(secret)?,
        None => new_secret()?,
    };
    let product = console.engine().create_product(&key, &secret, &name, admission).await?;
    Ok((product, secret))
}

/// A secret of 16 characters, as the vendor's have: its first 16 bytes are a cipher key.
pub(super) fn new_secret() -> Result<ProductSecret, NameError> {
    ProductSecret::new(Base64::encode_string(&rand::random::<[u8; 12]>()))
}

/// The one page that shows the secret: it is no redirect, because the secret is nowhere to be read again.
fn created(view: &View, product: &Product, secret: &ProductSecret) -> Response {
    Page::new(view, Place::Products, product.name.to_string())
        .below(view.t("Products"), "/products")
        .show(html! {
            div.card role="status" {
                h2 { (view.t("The product is there. Write its secret down now")) }
                p { (view.t("Put both into the devices' production. The secret is not shown again.")) }
                dl.facts {
                    dt { (view.t("Product key")) } dd.mono { (product.key) }
                    dt { (view.t("Product secret")) } dd.mono { (secret.as_str()) }
                }
                p { a.button.main href={ "/products/" (product.key) } { (view.t("I have it: add components")) } }
            }
        })
}
