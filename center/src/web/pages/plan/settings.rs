//! A plan's settings, as a list.

use maud::{Markup, html};

use crate::rules::plan::{FirstPush, Mode, OutsidePeriod, Push};
use crate::store::{Package, Plan};
use crate::web::view::{View, number};

/// Every setting that a plan has, by the seeds' names.
pub(super) fn list(
    view: &View,
    plan: &Plan,
    packages: &[Option<Package>],
    listed: Option<[u64; 2]>,
) -> Markup {
    let settings = &plan.settings;
    let strategy = &settings.strategy;
    let zone = &settings.time_zone;
    html! {
        dl.facts {
            dt { (view.t("Product")) } dd { a href={ "/products/" (settings.product) } { (settings.product) } }
            dt { (view.t("Components")) }
            dd {
                ol.order { @for (selected, package) in settings.components.iter().zip(packages) {
                    li { (selected.component) " \u{2192} "
                        @match package {
                            Some(package) => { a href={ "/packages/" (package.id.0) } { (package.content.name) } " " span.mono { (package.content.target) } }
                            None => span.bad { (view.f("version package {0} is gone", &[&selected.package])) }
                        }
                    }
                } }
                @if settings.components.is_empty() { (view.t("none selected")) }
            }
            @if let Some([white, black]) = listed {
                dt { (view.t("Whitelist")) } dd { @if white > 0 { (view.f("{0} devices alone", &[&number(white)])) } @else { (view.t("every device of the product")) } }
                @if black > 0 { dt { (view.t("Blacklist")) } dd { (view.f("not {0} devices", &[&number(black)])) } }
            }
            dt { (view.t("Upgrade Mode")) } dd {
                @match settings.mode { Mode::Silent => (view.t("Silent Upgrade")), Mode::Manual => (view.t("Manual Upgrade")) } ", "
                @match settings.push { Push::Actively => (view.t("Push actively")), Push::OnRequest => (view.t("On request only")) }
                @if settings.first_push == FirstPush::AtOnce { ", " (view.t("to the devices online at once")) }
            }
            dt { (view.t("Time Zone")) } dd { (zone.name()) }
            dt { (view.t("Push period")) } dd {
                @match settings.push_period { Some(period) => (period), None => (view.t("all day")) }
                @if settings.push_period.is_some() && settings.outside_period == OutsidePeriod::Answer { ", " (view.t("requests outside it are answered")) }
            }
            dt { (view.t("Planned Time")) } dd {
                @match settings.start { Some(at) => (view.time_in(zone, at)), None => (view.t("at once")) } " \u{2013} "
                @match settings.end { Some(at) => (view.time_in(zone, at)), None => (view.t("no end")) }
            }
            dt { (view.t("Number of retries")) } dd { (strategy.retries) }
            dt { (view.t("After a refusal, min")) } dd { (strategy.refusal_delay) }
            @if let Some(rsrp) = strategy.min_rsrp { dt { (view.t("Lowest RSRP, dBm")) } dd { (rsrp) } }
            @if let Some(battery) = strategy.min_battery { dt { (view.t("Minimum battery, %")) } dd { (battery) } }
            @if let Some(first) = strategy.first_devices { dt { (view.t("First so many devices, then the rest")) } dd { (number(first)) } }
            @if let Some(halt) = strategy.halt { dt { (view.t("Suspends itself")) } dd { (view.f("when more than {0} % of at least {1} finished devices failed", &[&halt.percent, &halt.after])) } }
            @if let Some(limit) = strategy.max_in_flight { dt { (view.t("At work at the same time")) } dd { (number(limit)) } }
            @if let Some(limit) = strategy.max_per_minute { dt { (view.t("Starts a minute")) } dd { (number(limit)) } }
            @for (tag, text) in &settings.texts { dt { (view.t("Upgrade text")) " (" (tag) ")" } dd lang=(tag) { (text) } }
            dt { (view.t("Created")) } dd { (view.time(plan.created)) }
            @if let Some(at) = plan.activated { dt { (view.t("Activated")) } dd { (view.time(at)) } }
            @if let Some(at) = plan.over { dt { (view.t("Ended")) } dd { (view.time(at)) } }
        }
    }
}
