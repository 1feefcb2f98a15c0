//! The devices of a product, with a search.

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use maud::{Markup, html};

use crate::api::error::ApiError;
use crate::rules::progress::Presence;
use crate::rules::{ComponentKind, ComponentNo, ProductKey};
use crate::store::{Device, DeviceFilter, Product, Reader, ReportedVersion, Span};
use crate::web::Console;
use crate::web::form::Fields;
use crate::web::layout::{Answer, Page, Place};
use crate::web::parts::{empty, maybe, next_page, presence, table};
use crate::web::refusal;
use crate::web::view::View;

/// Devices of a page.
const ROWS: i64 = 50;

/// Fields of the search.
const SEARCH: [&str; 7] = ["product", "key", "component", "version", "online", "battery_max", "rsrp_max"];

/// The search as a query again, without the place in the list.
fn query(fields: &Fields) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in SEARCH {
        if let Some(value) = fields.given(name) {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

async fn filter(store: &mut Reader, product: &ProductKey, fields: &Fields) -> Result<DeviceFilter, ApiError> {
    let mut component = None;
    if let Some(name) = fields.given("component") {
        let found = store.component(product, &ComponentNo::new(name)?).await?;
        component = (found.kind == ComponentKind::Mcu).then_some(found.no);
    }
    let most = |name: &str| {
        let Some(given) = fields.given(name) else { return Ok(Span { from: None, until: None }) };
        let until = given.parse().map_err(|_| ApiError::invalid("invalid", name, given, "a whole number"))?;
        Ok::<_, ApiError>(Span { from: None, until: Some(until) })
    };
    Ok(DeviceFilter {
        key: fields.given("key").map(str::to_owned),
        component,
        version: fields.given("version").map(str::to_owned),
        presence: match fields.get("online") {
            "yes" => Some(Presence::Online),
            "no" => Some(Presence::Offline),
            _ => None,
        },
        battery: most("battery_max")?,
        rsrp: most("rsrp_max")?,
        seen: Span { from: None, until: None },
    })
}

/// A choice among the products; changing it loads the page anew.
pub(super) fn product_choice(view: &View, products: &[Product], chosen: Option<&ProductKey>) -> Markup {
    html! {
        div.field {
            label for="product" { (view.t("Product")) }
            select #product name="product" data-submit {
                @for product in products {
                    option value=(product.key) selected[Some(&product.key) == chosen] { (product.name) " (" (product.key) ")" }
                }
            }
        }
    }
}

/// `GET /devices`.
pub async fn list(State(console): State<Console>, view: View, RawQuery(given): RawQuery) -> Answer {
    let fields = Fields::parse(given.unwrap_or_default().as_bytes());
    let mut store = console.read().await?;
    let mut products = store.products().await?;
    products.retain(|product| view.reaches(&product.key));
    let page = Page::new(&view, Place::Devices, view.t("Devices"));
    let chosen = fields.given("product").map(ProductKey::new).transpose()?;
    let Some(product) = chosen.or_else(|| products.first().map(|product| product.key.clone())) else {
        let text = view.t("Devices belong to a product. Create a product first; its devices then create themselves when they connect.");
        let action = html! { @if view.may_operate() { a.button.main href="/products/new" { (view.t("Create a Product")) } } };
        return Ok(page.show(empty(view.t("No devices yet"), text, action)));
    };
    view.check_reach(&product)?;
    store.product(&product).await?;
    let components = store.components(&product).await?;
    let mut wrong = None;
    let mut found = (Vec::new(), None);
    match filter(&mut store, &product, &fields).await {
        Ok(filter) => {
            let page = store.search_devices(&product, &filter, fields.given("after"), ROWS).await?;
            found = (page.rows, page.next);
        }
        Err(error) => wrong = Some(error),
    }
    let (devices, next) = found;
    let mut versions = store.versions_of(&devices).await?;
    let rows: Vec<(Device, Vec<ReportedVersion>)> = devices
        .into_iter()
        .map(|device| {
            let versions = versions.remove(&device.id).unwrap_or_default();
            (device, versions)
        })
        .collect();
    let is_search = SEARCH.iter().skip(1).any(|name| fields.given(name).is_some());
    let search = html! {
        form.search method="get" action="/devices" role="search" {
            (product_choice(&view, &products, Some(&product)))
            div.field {
                label for="key" { (view.t("Device key begins with")) }
                input #key name="key" value=(fields.get("key")) autocomplete="off" spellcheck="false";
            }
            div.field {
                label for="component" { (view.t("Component")) }
                select #component name="component" {
                    option value="" { (view.t("any")) }
                    @for component in &components {
                        option value=(component.no) selected[fields.get("component") == component.no.as_str()] { (component.no) }
                    }
                }
            }
            div.field {
                label for="version" { (view.t("Version")) }
                input #version name="version" value=(fields.get("version")) autocomplete="off" spellcheck="false";
            }
            div.field {
                label for="online" { (view.t("Connection")) }
                select #online name="online" {
                    option value="" { (view.t("any")) }
                    option value="yes" selected[fields.get("online") == "yes"] { (view.t("Online")) }
                    option value="no" selected[fields.get("online") == "no"] { (view.t("Offline")) }
                }
            }
            div.field.short {
                label for="battery_max" { (view.t("Battery up to, %")) }
                input #battery_max name="battery_max" inputmode="numeric" value=(fields.get("battery_max"));
            }
            button { (view.t("Search")) }
        }
    };
    let content = html! {
        (search)
        @if let Some(error) = &wrong { p.fault role="alert" { (refusal::told(&view, error)) } }
        @else if rows.is_empty() && is_search {
            (empty(view.t("No device matches"), view.t("All conditions of the search must hold. Take one away."), html! {
                a.button href={ "/devices?product=" (product) } { (view.t("Show all devices")) }
            }))
        } @else if rows.is_empty() {
            (empty(view.t("No devices yet"), view.t("Devices create themselves when they first connect: they need the center's MQTT address, the product key and the product secret."), html! {}))
        } @else {
            (table(
                view.t("Devices"),
                &[
                    view.t("Device key"),
                    view.t("Connection"),
                    view.t("Versions"),
                    view.t("Battery"),
                    view.t("Signal (RSRP)"),
                    view.t("Last seen"),
                ],
                html! {
                    @for (device, versions) in &rows {
                        tr {
                            th.mono scope="row" { a href={ "/products/" (device.product) "/devices/" (device.key) } { (device.key) } }
                            td { (presence(&view, device)) }
                            td { (reported(&view, device, versions)) }
                            td.number { @match device.battery { Some(battery) => { (battery.value) " %" } None => (maybe(None)) } }
                            td.number { @match device.rsrp { Some(rsrp) => { (rsrp.value) " dBm" } None => (maybe(None)) } }
                            td { (view.maybe_time(device.last_seen)) }
                        }
                    }
                },
            ))
            (next_page(&view, &format!("/devices?{}", { let mut fields = fields.clone(); fields.set("product", product.as_str()); query(&fields) }), next.as_deref()))
        }
    };
    let status = if wrong.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(page.status(status).show(content))
}

/// The versions that a device reports, in short.
pub(super) fn reported(view: &View, device: &Device, versions: &[ReportedVersion]) -> Markup {
    html! {
        @if let Some(version) = &device.module.shown { span.version { (view.t("module")) " " b { (version) } } " " }
        @for reported in versions { span.version { (reported.component) " " b { (reported.version) } } " " }
        @if device.module.shown.is_none() && versions.is_empty() { (maybe(None)) }
    }
}
