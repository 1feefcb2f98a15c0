//! Settings: what the center runs with. They are given at its start, so the page shows them and changes none.

use axum::extract::State;
use maud::{Markup, html};

use super::accounts::check;
use crate::packages::format::{FILE_SIZE_MAX, FILES_MAX};
use crate::rules::device_list::LIST_MAX;
use crate::web::Console;
use crate::web::layout::{Answer, Page, Place};
use crate::web::view::{View, bytes, number};

/// `GET /settings`.
pub async fn show(State(console): State<Console>, view: View) -> Answer {
    check(&view)?;
    let running = &console.running;
    let database = console.read().await?.database_facts().await?;
    let none = || html! { span.none { (view.t("none")) } };
    let many = |values: &[String]| {
        html! { @if values.is_empty() { (none()) } @else { @for value in values { div.mono { (value) } } } }
    };
    let row = |name: &'static str, option: &'static str, value: Markup| {
        html! { dt { (view.t(name)) } dd { (value) @if !option.is_empty() { span.option { (option) } } } }
    };
    let group = |name: &'static str, rows: Markup| {
        html! { section { h2 { (view.t(name)) } dl.facts.settings { (rows) } } }
    };
    Ok(Page::new(&view, Place::Settings, view.t("Settings")).show(html! {
        p.muted { (view.t("The center was started with these; a start with other options, which stand beside them, changes them.")) }
        (group("Ways to the center", html! {
            (row("Public URL, where devices download", "--public-url", html! { span.mono { (running.public_url) } }))
            (row("Ports", "--http --mqtt --https --mqtts", many(&running.ports)))
            (row("Certificate for TLS", "--tls-cert --tls-key", html! { @match &running.certificate { Some(file) => span.mono { (file) }, None => (none()) } }))
            (row("Trusted proxies", "--trusted-proxy", many(&running.trusted_proxies)))
            (row("Balancers with the PROXY protocol", "--proxy-from", many(&running.balancers)))
            (row("Connections of one address", "--connections-per-address", html! { (number(running.connections_per_address)) }))
            (row("Token of the start", "--token --no-token-file", html! { @if running.has_token { (view.t("lets in as an administrator")) } @else { (none()) } }))
        }))
        (group("What it keeps, and where", html! {
            (row("Data folder", "--data", html! { span.mono { (running.data) } }))
            (row("Database", "--database", html! { span.mono { (running.database) } " " span.muted { (database.program) } }))
            (row("Files of version packages", "--packages", html! { span.mono { (running.packages) } }))
            (row("Log of devices and upgrades", "--keep-log", html! { @if running.keep_log == 0 { (view.t("kept for ever")) } @else { (view.f("kept for {0} days", &[&running.keep_log])) } }))
            (row("Free room that the disk must have", "--min-free", html! { (bytes(running.min_free.saturating_mul(1_000_000))) }))
        }))
        (group("This center", html! {
            (row("Version", "", html! { "quecota-center " (env!("CARGO_PKG_VERSION")) }))
            (row("Version of the database's tables", "", html! { (database.tables) }))
            (row("Name among several centers", "--center-id", html! { span.mono { (running.center) } }))
            (row("Devices are sent away at a stop within", "--drain", html! { (running.drain.as_secs()) " s" }))
            (row("Clock", "", html! { (view.second(view.now)) " " (view.zone.name()) }))
        }))
        (group("Limits", html! {
            (row("Files of a version package", "", html! { (number(FILES_MAX)) ", " (view.f("each at most {0} MB", &[&(FILE_SIZE_MAX / (1024 * 1024))])) }))
            (row("Devices in a whitelist or blacklist", "", html! { (number(LIST_MAX)) }))
        }))
    }))
}
