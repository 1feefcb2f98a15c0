//! Whether a device may connect: forbid it, allow it again, delete it; and what speaks for two devices with one key.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use maud::{Markup, html};

use crate::api::error::ApiError;
use crate::engine::TakenOver;
use crate::rules::{DeviceKey, ProductKey};
use crate::store::Device;
use crate::web::Console;
use crate::web::form::{Act, done};
use crate::web::layout::{Answer, Page, Place};
use crate::web::parts::{field, post_button};
use crate::web::refusal;
use crate::web::view::{View, number};

/// The address of a device's page.
pub(super) fn path(device: &Device) -> String {
    format!("/products/{}/devices/{}", device.product, device.key)
}

/// What stands above everything else of a device that is forbidden, or that is perhaps two.
pub(super) fn note(view: &View, device: &Device) -> Markup {
    html! {
        @if let Some(since) = device.forbidden {
            p.note { b { (view.t("Forbidden:")) } " " (view.t("the center refuses its connections since")) " " (view.time(since)) "." }
        }
        @if let Some(taken) = TakenOver::of(device, view.now) {
            p.note {
                b { (view.t("Two devices with one key?")) } " "
                (view.f("{0} connections took over one another.", &[&number(taken.times)])) " "
                @if !taken.addresses.is_empty() { (view.t("They came from")) " " span.mono { (taken.addresses.join(", ")) } "." }
            }
        }
    }
}

/// The part of the page with the buttons, for those who may press them.
pub(super) fn section(view: &View, device: &Device) -> Markup {
    if !view.may_operate() {
        return html! {};
    }
    let path = path(device);
    html! {
        section {
            h2 { (view.t("Access")) }
            p.muted {
                @if device.forbidden.is_some() { (view.t("A device that is allowed again connects as before.")) }
                @else { (view.t("A forbidden device is cut off at once and refused until it is allowed again.")) }
            }
            div.actions {
                @if device.forbidden.is_some() { (post_button(view, &format!("{path}/allow"), "", "Allow it again", "")) }
                @else { (post_button(view, &format!("{path}/forbid"), "danger", "Forbid the device", "")) }
                a.button.danger href={ (path) "/delete" } { (view.t("Delete the device")) }
            }
        }
    }
}

async fn set(console: &Console, view: &View, product: String, key: String, is_forbidden: bool) -> Answer {
    let (product, key) = (ProductKey::new(product)?, DeviceKey::new(key)?);
    view.check_reach(&product)?;
    let device = console.engine().forbid_device(&product, &key, is_forbidden).await?;
    Ok(done(&path(&device), if is_forbidden { "forbidden" } else { "allowed" }))
}

/// `POST /products/{pk}/devices/{dk}/forbid`.
pub async fn forbid(
    State(console): State<Console>,
    Path((product, key)): Path<(String, String)>,
    Act { view, .. }: Act,
) -> Answer {
    set(&console, &view, product, key, true).await
}

/// `POST /products/{pk}/devices/{dk}/allow`.
pub async fn allow(
    State(console): State<Console>,
    Path((product, key)): Path<(String, String)>,
    Act { view, .. }: Act,
) -> Answer {
    set(&console, &view, product, key, false).await
}

fn deletion(view: &View, device: &Device, wrong: Option<(StatusCode, String)>) -> axum::response::Response {
    let path = path(device);
    let (status, wrong) = wrong.map_or((StatusCode::OK, None), |(status, text)| (status, Some(text)));
    Page::new(view, Place::Devices, view.t("Delete the device"))
        .below(view.t("Devices"), format!("/devices?product={}", device.product))
        .below(device.key.to_string(), path.clone())
        .status(status)
        .show(html! {
            form.card method="post" action={ (path) "/delete" } {
                (view.csrf())
                p { (view.t("The device goes with its upgrades and its log. If it connects again it is a new one; to keep it out, forbid it instead.")) }
                (field(&view.f("Type the device's key, {0}, to confirm", &[&device.key]), "confirm", "", wrong, html! {
                    input #confirm name="confirm" required autocomplete="off" spellcheck="false";
                }))
                div.actions {
                    button.danger { (view.t("Delete for good")) }
                    a.button href=(path) { (view.t("Not now")) }
                }
            }
        })
}

/// `GET /products/{pk}/devices/{dk}/delete`.
pub async fn ask_delete(
    State(console): State<Console>,
    view: View,
    Path((product, key)): Path<(String, String)>,
) -> Answer {
    let (product, key) = (ProductKey::new(product)?, DeviceKey::new(key)?);
    view.check_reach(&product)?;
    let device = console.read().await?.device(&product, &key).await?;
    Ok(deletion(&view, &device, None))
}

/// `POST /products/{pk}/devices/{dk}/delete`.
pub async fn delete(
    State(console): State<Console>,
    Path((product, key)): Path<(String, String)>,
    Act { view, fields }: Act,
) -> Answer {
    let (product, key) = (ProductKey::new(product)?, DeviceKey::new(key)?);
    view.check_reach(&product)?;
    let device = console.read().await?.device(&product, &key).await?;
    if fields.get("confirm") != key.as_str() {
        let wrong = view.t("That is not the device's key; nothing was done.").to_owned();
        return Ok(deletion(&view, &device, Some((StatusCode::UNPROCESSABLE_ENTITY, wrong))));
    }
    match console.engine().delete_device(&product, &key).await {
        Ok(()) => Ok(done(&format!("/devices?product={product}"), "deleted")),
        Err(error) => {
            let error = ApiError::from(error);
            Ok(deletion(&view, &device, Some((error.status(), refusal::told(&view, &error)))))
        }
    }
}
