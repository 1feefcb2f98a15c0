//! A product with its components.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::html;

use super::products::{admission, new_secret};
use crate::api::error::ApiError;
use crate::clock::Millis;
use crate::rules::{ComponentKind, ComponentNo, ProductKey, ProductSecret, Title};
use crate::web::Console;
use crate::web::form::{Act, Fields, done};
use crate::web::layout::{Answer, Page, Place};
use crate::web::memo::Waits;
use crate::web::parts::{field, folded_form, identifier, once, post_button, table};
use crate::web::refusal;
use crate::web::view::{View, number};

/// The name of a component's type.
pub fn kind_word(kind: ComponentKind) -> &'static str {
    match kind {
        ComponentKind::Module => "Module firmware (FOTA)",
        ComponentKind::Mcu => "MCU firmware (SOTA)",
    }
}

/// `GET /products/{pk}`.
pub async fn show(State(console): State<Console>, view: View, Path(key): Path<String>) -> Answer {
    let key = ProductKey::new(key)?;
    view.check_reach(&key)?;
    page(&console, &view, &key, &Fields::default(), None, None).await
}

async fn page(
    console: &Console,
    view: &View,
    key: &ProductKey,
    fields: &Fields,
    error: Option<&ApiError>,
    fresh: Option<&ProductSecret>,
) -> Answer {
    let mut store = console.read().await?;
    let product = store.product(key).await?;
    let components = store.components(key).await?;
    drop(store);
    let counts = console.ask_devices(key).by(Waits::Page.deadline()).await;
    let wrong = error.map(|error| refusal::told(view, error));
    let (mut in_settings, mut in_components, mut in_secret, mut on_top) = (None, None, None, None);
    let place = match ["id", "days", "name"].map(|name| fields.given(name).is_some()) {
        [true, ..] => &mut in_components,
        [_, true, _] => &mut in_secret,
        [.., true] => &mut in_settings,
        _ => &mut on_top,
    };
    *place = wrong;
    let status = error.map_or(StatusCode::OK, ApiError::status);
    let base = format!("/products/{key}");
    let response: Response = Page::new(view, Place::Products, product.name.to_string())
        .below(view.t("Products"), "/products")
        .status(status)
        .actions(html! {
            a.button href={ "/devices?product=" (key) } { (view.t("Devices")) }
            a.button href={ "/packages?product=" (key) } { (view.t("Version Packages")) }
            a.button href={ "/plans?product=" (key) } { (view.t("Upgrade Plans")) }
        })
        .show(html! {
            @if let Some(wrong) = on_top { div.wrong role="alert" { p { (wrong) } } }
            dl.facts.wide {
                dt { (view.t("Product key")) } dd.mono { (product.key) }
                dt { (view.t("Devices")) } dd {
                    @match &counts {
                        Some(counts) => { (number(counts.devices)) ", " (view.f("{0} online", &[&number(counts.online)])) }
                        None => (view.t("Many devices: they are being counted.")),
                    }
                }
                dt { (view.t("Devices connect to")) } dd {
                    @for port in console.running.ports.iter().filter(|port| port.starts_with("mqtt")) { span.mono { (port) } " " }
                    span.muted { (view.t("with the product's key and secret")) }
                }
                dt { (view.t("Created")) } dd { (view.time(product.created)) }
            }
            section {
                h2 { (view.t("Components")) }
                @if components.is_empty() {
                    p.muted { (view.t("A component is a part with a version of its own: the module, or an MCU behind it. Add the first one to upload version packages for it.")) }
                } @else {
                    (table(view.t("Components"), &[view.t("Component"), view.t("Component Type"), view.t("Created"), view.t("Action")], html! {
                        @for component in &components {
                            tr {
                                th scope="row" { (component.no) }
                                td { (view.t(kind_word(component.kind))) }
                                td { (view.time(component.created)) }
                                td {
                                    @if view.may_operate() {
                                        a href={ "/packages/new?product=" (key) "&component=" (component.no) } { (view.t("Add a Version Package")) span.hidden { " " (component.no) } } " "
                                        (post_button(view, &format!("{base}/components/{}/delete", component.no), "link danger", "Delete", component.no.as_str()))
                                    }
                                }
                            }
                        }
                    }))
                }
                @if view.may_operate() {
                    form.row method="post" action={ (base) "/components" } {
                        (view.csrf())
                        (field(view.t("Component"), "id", view.t("As the devices report it, such as STM32."), in_components, identifier("id", 32, fields.get("id"))))
                        (field(view.t("Component Type"), "type", "", None, html! {
                            select #type name="type" {
                                @for kind in ComponentKind::ALL.iter().rev() {
                                    option value=(kind) selected[fields.get("type") == kind.as_str()] { (view.t(kind_word(*kind))) }
                                }
                            }
                        }))
                        button { (view.t("Add the component")) }
                    }
                }
            }
            @if view.may_operate() {
                section {
                    h2 { (view.t("Product secret")) }
                    @match fresh {
                        Some(secret) => (once(view, "The new secret.", view.t("Product secret"), secret.as_str())),
                        None => (folded_form(view, "Replace the secret", in_secret.is_some(), &format!("{base}/secret"), html! {
                                p { (view.t("A new secret takes the place of the product's. Devices that have a secret of their own go on; new ones need the new one.")) }
                                (field(view.t("Days that new devices may still come with the old one"), "days", view.t("0 to 365; 0: not at all."), in_secret, html! {
                                    input #days type="number" name="days" min="0" max="365" required value=(fields.given("days").unwrap_or("30"));
                                }))
                                button { (view.t("Replace the secret")) }
                        })),
                    }
                }
                section {
                    h2 { (view.t("Settings")) }
                    form.card method="post" action=(base) {
                        (view.csrf())
                        (field(view.t("Name"), "name", "", in_settings, html! {
                            input #name name="name" required maxlength="100" value=(fields.given("name").unwrap_or(product.name.as_str()));
                        }))
                        (admission(view, product.admission))
                        button { (view.t("Save")) }
                    }
                }
            }
        });
    Ok(response)
}

/// `POST /products/{pk}`: other settings.
pub async fn edit(
    State(console): State<Console>,
    Path(key): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let key = ProductKey::new(key)?;
    view.check_reach(&key)?;
    let edited = async {
        ApiError::check_seen("name", fields.raw("name"))?;
        let admission = fields.given("admission").map(str::parse).transpose()?;
        console.engine().edit_product(&key, Some(Title::new(fields.get("name"))?), admission).await?;
        Ok::<_, ApiError>(())
    };
    match edited.await {
        Ok(()) => Ok(done(&format!("/products/{key}"), "saved")),
        Err(error) => page(&console, &view, &key, &fields, Some(&error), None).await,
    }
}

/// `POST /products/{pk}/components`.
pub async fn add_component(
    State(console): State<Console>,
    Path(key): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let key = ProductKey::new(key)?;
    view.check_reach(&key)?;
    let added = async {
        ApiError::check_seen("component", fields.raw("id"))?;
        let (no, kind) = (ComponentNo::new(fields.get("id"))?, fields.get("type").parse()?);
        console.engine().create_component(&key, &no, kind).await?;
        Ok::<_, ApiError>(())
    };
    match added.await {
        Ok(()) => Ok(done(&format!("/products/{key}"), "added")),
        Err(error) => page(&console, &view, &key, &fields, Some(&error), None).await,
    }
}

/// `POST /products/{pk}/components/{component}/delete`.
pub async fn delete_component(
    State(console): State<Console>,
    Path((key, component)): Path<(String, String)>,
    Act { view, .. }: Act,
) -> Answer {
    let key = ProductKey::new(key)?;
    view.check_reach(&key)?;
    let component = ComponentNo::new(component)?;
    match console.engine().delete_component(&key, &component).await {
        Ok(()) => Ok(done(&format!("/products/{key}"), "deleted")),
        Err(error) => page(&console, &view, &key, &Fields::default(), Some(&error.into()), None).await,
    }
}

/// `POST /products/{pk}/secret`. Its answer shows the new secret, so it is no redirect.
pub async fn replace_secret(
    State(console): State<Console>,
    Path(key): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let key = ProductKey::new(key)?;
    view.check_reach(&key)?;
    let replaced = async {
        let given = fields.get("days");
        let days = given.parse::<i64>().ok().filter(|days| (0..=365).contains(days));
        let days =
            days.ok_or_else(|| ApiError::invalid("invalid", "days", given, "a number from 0 to 365"))?;
        let until = (days > 0).then(|| view.now + Millis::hours(24 * days));
        let secret = new_secret()?;
        console.engine().rotate_secret(&key, &secret, until).await?;
        Ok::<_, ApiError>(secret)
    };
    match replaced.await {
        Ok(secret) => page(&console, &view, &key, &Fields::default(), None, Some(&secret)).await,
        Err(error) => page(&console, &view, &key, &fields, Some(&error), None).await,
    }
}
