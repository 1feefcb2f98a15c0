//! The way from an empty center to the first upgrade: what is done, and the next step.

use maud::{Markup, html};

use crate::store::{Plan, Product};
use crate::web::parts::empty;
use crate::web::view::View;

/// What is there already.
pub struct FirstSteps {
    /// The first product.
    pub product: Option<Product>,
    /// Whether a product has a component.
    pub has_component: bool,
    /// Whether there is a version package.
    pub has_package: bool,
    /// Whether a device has connected.
    pub has_device: bool,
    /// The first plan that is saved and not active.
    pub saved: Option<Plan>,
    /// Whether a plan has been active before.
    pub has_run: bool,
}

impl FirstSteps {
    /// The steps, and what to do next; of a center that has had its first plan only what to do next.
    pub fn show(&self, view: &View) -> Markup {
        html! {
            @if !self.has_run { (self.strip(view)) }
            (self.next(view))
        }
    }

    fn strip(&self, view: &View) -> Markup {
        let steps = [
            ("Product", self.product.is_some()),
            ("Component", self.has_component),
            ("Version package", self.has_package),
            ("A device connects", self.has_device),
            ("Upgrade plan", false),
        ];
        let now = steps.iter().position(|(_, is_done)| !is_done);
        html! {
            ol.steps {
                @for (number, (name, is_done)) in steps.iter().enumerate() {
                    @let (kind, word) = match *is_done {
                        true => ("done", "done"),
                        false if now == Some(number) => ("now", "next"),
                        false => ("later", ""),
                    };
                    li class={ "is-" (kind) } aria-current=[(kind == "now").then_some("step")] {
                        span.step { (view.t(name)) }
                        @if !word.is_empty() { span.word { (view.t(word)) } }
                    }
                }
            }
        }
    }

    fn next(&self, view: &View) -> Markup {
        let to = |path: &str, text: &'static str| {
            html! { @if view.may_operate() { a.button.main href=(path) { (view.t(text)) } } }
        };
        let Some(product) = &self.product else {
            return empty(
                view.t("Start with a product"),
                view.t("Then components, a version package, and an upgrade plan that brings it to the devices. This page shows the next step until the first plan runs."),
                to("/products/new", "Create a Product"),
            );
        };
        if !self.has_component {
            return empty(
                view.t("Add a component"),
                view.t("A part with a version of its own: the module, or an MCU behind it. Version packages are for components."),
                to(&format!("/products/{}", product.key), "Open the product"),
            );
        }
        if !self.has_package {
            return empty(
                view.t("Add a version package"),
                view.t("The firmware that devices are to get, with the version that it brings."),
                to("/packages/new", "Add a Version Package"),
            );
        }
        if let Some(plan) = &self.saved {
            return empty(
                view.t("No plan is active"),
                &view
                    .f("Plan {0} is saved; devices hear of it once it is activated.", &[&plan.settings.name]),
                html! { a.button.main href={ "/plans/" (plan.id.0) } { (view.t("Open the plan")) } },
            );
        }
        let text = if self.has_device {
            view.t("All is quiet. Create an upgrade plan to bring a version package to many devices.")
        } else {
            view.t("No device has connected yet, and no plan is there. A plan may be created before: devices that join later get it too.")
        };
        empty(view.t("No plan is active"), text, to("/plans/new", "Create an Upgrade Plan"))
    }
}
