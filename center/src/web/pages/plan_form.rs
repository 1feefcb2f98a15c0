//! Create an Upgrade Plan, and edit a saved one: the form in the seeds' order, beside it what it would do.

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use serde_json::json;

use super::dry_run;
use super::plan::reached;
use super::plan_fields::{self, Lists, day, filled, given, lists};
use crate::api::error::ApiError;
use crate::api::shared::{GivenPlan, check_end, check_name, check_packages, sample};
use crate::rules::plan::{PlanSettings, PlanState};
use crate::rules::{ComponentNo, DeviceKey, PackageId, ProductKey};
use crate::store::{Component, Package, PlanId, Product};
use crate::web::Console;
use crate::web::form::{Act, Fields, done};
use crate::web::layout::{Answer, Page, Place};
use crate::web::parts::{empty, field, table};
use crate::web::refusal;
use crate::web::view::View;

/// The plan that a form is about.
enum About {
    /// A new one.
    New,
    /// A saved one.
    Saved(PlanId),
}

/// What a form chooses from.
struct Choices {
    product: Product,
    components: Vec<(Component, Vec<Package>)>,
}

impl Choices {
    async fn of(console: &Console, product: &ProductKey) -> Result<Self, ApiError> {
        let mut store = console.read().await?;
        let product = store.product(product).await?;
        let mut packages = Vec::new();
        let mut after = 0;
        loop {
            let page = store.packages(Some(&product.key), after, 1_000).await?;
            packages.extend(page.rows);
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        // The newest first: it is most often the one.
        packages.reverse();
        let components = store.components(&product.key).await?.into_iter().map(|component| {
            let fitting = packages.iter().filter(|package| package.content.component == component.no);
            let fitting = fitting.cloned().collect();
            (component, fitting)
        });
        Ok(Self { components: components.collect(), product })
    }
}

/// `GET /plans/new`.
pub async fn new(State(console): State<Console>, view: View, RawQuery(query): RawQuery) -> Answer {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let mut products = console.read().await?.products().await?;
    products.retain(|product| view.reaches(&product.key));
    let chosen = query.given("product").map(ProductKey::new).transpose()?;
    let only = products.first().filter(|_| products.len() == 1).map(|product| product.key.clone());
    let Some(product) = chosen.or(only) else { return Ok(which_product(&view, &products)) };
    view.check_reach(&product)?;
    let choices = Choices::of(&console, &product).await?;
    let mut fields = plan_fields::fresh(&view);
    if let Some(id) = query.given("package").and_then(|id| id.parse().ok()).map(PackageId)
        && let Some(package) = console.read().await?.find_package(id).await?
    {
        fields.set(&format!("package.{}", package.content.component), id.0.to_string());
    }
    Ok(page(&view, &About::New, &choices, &fields, None, None))
}

fn which_product(view: &View, products: &[Product]) -> Response {
    let page = Page::new(view, Place::Plans, view.t("Create an Upgrade Plan"))
        .below(view.t("Upgrade Plans"), "/plans");
    if products.is_empty() {
        let text = view.t("A plan is for the devices of a product. Create a product first.");
        let action = html! { @if view.may_operate() { a.button.main href="/products/new" { (view.t("Create a Product")) } } };
        return page.show(empty(view.t("No products yet"), text, action));
    }
    page.show(html! {
        div.card {
            h2 { (view.t("Product to Be Upgraded")) }
            ul.plain {
                @for product in products {
                    li { a href={ "/plans/new?product=" (product.key) } { (product.name) } " " span.muted.mono { (product.key) } }
                }
            }
        }
    })
}

/// `GET /plans/{plan}/edit`.
pub async fn edit(State(console): State<Console>, view: View, Path(id): Path<String>) -> Answer {
    let id = reached(&console, &view, &id).await?;
    let mut store = console.read().await?;
    let plan = store.plan(id).await?;
    let lists = Lists::of(&mut store, id).await?;
    drop(store);
    let choices = Choices::of(&console, &plan.settings.product).await?;
    let fields = filled(&plan.settings, &lists);
    let error = (plan.state != PlanState::Saved).then(|| {
        ApiError::new(
            StatusCode::CONFLICT,
            "plan_state",
            view.t("Only a saved plan can be edited. Clone it to change it."),
        )
    });
    Ok(page(&view, &About::Saved(id), &choices, &fields, error.as_ref(), None))
}

/// What a form describes, as far as it can be read.
async fn read(
    console: &Console,
    product: &ProductKey,
    fields: &Fields,
    names: CheckNames,
) -> Result<(PlanSettings, Vec<DeviceKey>, Vec<DeviceKey>), ApiError> {
    let mut value = given(fields)?;
    value["product"] = json!(product);
    if names == CheckNames::No && fields.given("name").is_none() {
        value["name"] = json!("-");
    }
    let (whitelist, blacklist) = lists(fields)?;
    let read = GivenPlan::of(&value, &sample())?;
    if names == CheckNames::Yes {
        check_name(read.settings.name.as_str())?;
    }
    check_end(&read.settings, console.engine().clock().now())?;
    check_packages(&mut console.read().await?, &read.settings).await?;
    Ok((read.settings, whitelist, blacklist))
}

/// Whether the form needs a name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CheckNames {
    Yes,
    No,
}

async fn product_of(console: &Console, about: &About, fields: &Fields) -> Result<ProductKey, ApiError> {
    match about {
        About::New => Ok(ProductKey::new(fields.get("product"))?),
        About::Saved(id) => Ok(console.read().await?.plan(*id).await?.settings.product),
    }
}

async fn submitted(console: &Console, view: &View, about: About, fields: &Fields) -> Answer {
    let fields = &plan_fields::with_files(fields);
    let product = product_of(console, &about, fields).await?;
    view.check_reach(&product)?;
    if fields.get("action") == "preview" {
        let choices = Choices::of(console, &product).await?;
        let panel = preview_panel(console, view, &product, fields).await;
        return Ok(page(view, &about, &choices, fields, None, Some(panel)));
    }
    let saved = async {
        let (settings, whitelist, blacklist) = read(console, &product, fields, CheckNames::Yes).await?;
        let engine = console.engine();
        let plan = match &about {
            About::New => engine.create_plan(&settings, &whitelist, &blacklist).await,
            About::Saved(id) => engine.edit_plan(*id, &settings, Some(&whitelist), Some(&blacklist)).await,
        };
        plan.map_err(ApiError::naming_the_missing)
    };
    match saved.await {
        Ok(plan) => Ok(done(&format!("/plans/{}", plan.id.0), "saved")),
        Err(error) => {
            let choices = Choices::of(console, &product).await?;
            Ok(page(view, &about, &choices, fields, Some(&error), None))
        }
    }
}

/// `POST /plans/new`.
pub async fn create(State(console): State<Console>, Act { view, fields }: Act) -> Answer {
    submitted(&console, &view, About::New, &fields).await
}

/// `POST /plans/{plan}/edit`.
pub async fn save(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    submitted(&console, &view, About::Saved(reached(&console, &view, &id).await?), &fields).await
}

/// `POST /plans/preview`: the panel alone, for the script beside the form.
pub async fn preview(State(console): State<Console>, Act { view, fields }: Act) -> Answer {
    let product = ProductKey::new(fields.get("product"))?;
    view.check_reach(&product)?;
    let panel = preview_panel(&console, &view, &product, &fields).await;
    Ok(Html(panel.into_string()).into_response())
}

async fn preview_panel(console: &Console, view: &View, product: &ProductKey, fields: &Fields) -> Markup {
    let run = async {
        let (settings, whitelist, blacklist) = read(console, product, fields, CheckNames::No).await?;
        let run = console.engine().preview(&settings, &whitelist, &blacklist).await?;
        Ok::<_, ApiError>((run, settings.time_zone))
    };
    match run.await {
        Ok((run, zone)) => dry_run::panel(view, &run, &zone),
        Err(error) => {
            html! { p.fault { (refusal::told(view, &error)) } @for reason in refusal::reasons(view, &error) { p.fault { (reason) } } }
        }
    }
}

fn page(
    view: &View,
    about: &About,
    choices: &Choices,
    fields: &Fields,
    error: Option<&ApiError>,
    panel: Option<Markup>,
) -> Response {
    let (title, action) = match about {
        About::New => (view.t("Create an Upgrade Plan"), "/plans/new".to_owned()),
        About::Saved(id) => (view.t("Edit the Upgrade Plan"), format!("/plans/{}/edit", id.0)),
    };
    let known = error.and_then(ApiError::field).is_some_and(|field| FIELDS.contains(&field));
    let page = Page::new(view, Place::Plans, title).below(view.t("Upgrade Plans"), "/plans");
    let page = match about {
        About::New => page,
        About::Saved(id) => page.below(fields.get("name"), format!("/plans/{}", id.0)),
    };
    page.status(error.map_or(StatusCode::OK, ApiError::status)).script("plan-form.js").show(html! {
        div.beside {
            form.plan method="post" enctype="multipart/form-data" action=(action) data-plan data-preview="/plans/preview" {
                (view.csrf())
                input type="hidden" name="product" value=(choices.product.key);
                @if let Some(error) = error {
                    @if known { div.wrong role="alert" { p { (view.t("One field is not right; it is marked below.")) } } }
                    @else { (refusal::block(view, error)) }
                }
                (sections(view, choices, fields, error))
                div.actions.end {
                    button.main name="action" value="save" { (view.t("Save")) }
                    button name="action" value="preview" { (view.t("Show what it would do")) }
                    span.muted { (view.t("Saving reaches no device; activating does.")) }
                }
            }
            aside.preview aria-labelledby="preview-head" {
                h2 #preview-head { (view.t("What it would do now")) }
                div #preview aria-live="polite" {
                    @match panel {
                        Some(panel) => (panel),
                        None => p.muted { (view.t("Choose a version for a component, and here stands how many devices would get it and why others would not.")) },
                    }
                }
            }
        }
    })
}

/// Fields that can be marked.
const FIELDS: &[&str] = &[
    "name",
    "whitelist",
    "blacklist",
    "time_zone",
    "push_period",
    "start",
    "end",
    "mode",
    "texts",
    "components",
    "strategy.retries",
    "number of retries",
    "delay after a refusal",
    "strategy.refusal_delay",
    "lowest RSRP",
    "strategy.min_rsrp",
    "minimum battery",
    "strategy.min_battery",
    "planned end",
    "push period",
    "time zone",
    "first devices",
    "devices in flight",
    "offers a minute",
    "failure rate that halts",
    "upgrade plan",
    "finished devices before a halt",
    "strategy.halt",
    "strategy.first_devices",
    "strategy.max_in_flight",
    "strategy.max_per_minute",
    "components",
];

#[expect(clippy::too_many_lines, reason = "one form, in the order of its fields")]
fn sections(view: &View, choices: &Choices, fields: &Fields, error: Option<&ApiError>) -> Markup {
    let wrong = |names: &[&str]| {
        let is_of = |error: &&ApiError| error.field().is_some_and(|field| names.contains(&field));
        error.filter(is_of).map(|error| refusal::told(view, error))
    };
    let text = |name: &'static str, kind: &str| {
        html! { input id=(name) type=(kind) name=(name) value=(fields.get(name)) autocomplete="off"; }
    };
    let whole = |name: &'static str, least: i64, most: i64| {
        html! { input id=(name) type="number" name=(name) min=(least) max=(most) value=(fields.get(name)); }
    };
    let choice = |name: &'static str, value: &'static str, words: &'static str, hint: &'static str| {
        html! {
            label.choice {
                input type="radio" name=(name) value=(value) id={ (name) "-" (value) } checked[fields.get(name) == value];
                (view.t(words)) " " span.muted { (view.t(hint)) }
            }
        }
    };
    html! {
        fieldset.part-of-form {
            legend { h2 { (view.t("Basic information")) } }
            (field(view.t("Plan Name"), "name", "", wrong(&["name", "upgrade plan"]), html! {
                input #name name="name" required maxlength="100" value=(fields.get("name"));
            }))
            div.field { span.label { (view.t("Product to Be Upgraded")) } p { (choices.product.name) " " span.muted.mono { (choices.product.key) } } }
        }
        fieldset.part-of-form {
            legend { h2 { (view.t("Set Blacklist and Whitelist")) } }
            p.hint { (view.t("Without lists every device of the product is upgraded, also those that join later. The blacklist wins over the whitelist.")) }
            div.pair {
                (list(view, "whitelist", view.t("Whitelist: only these devices"), fields, wrong(&["whitelist"])))
                (list(view, "blacklist", view.t("Blacklist: not these devices"), fields, wrong(&["blacklist"])))
            }
        }
        fieldset.part-of-form {
            legend { h2 { (view.t("Time zone and push period")) } }
            div.row {
                (field(view.t("Time Zone"), "time_zone", view.t("Its clock governs push period and planned time."), wrong(&["time_zone", "time zone"]), html! {
                    input #time_zone name="time_zone" required list="zones" autocomplete="off" spellcheck="false" value=(fields.get("time_zone"));
                    datalist #zones { @for zone in plan_fields::ZONES { option value=(zone) {} } }
                }))
                (field(view.t("Push period from"), "period_from", "", wrong(&["push_period", "push period"]), text("period_from", "time")))
                (field(view.t("until"), "period_until", view.t("Empty: all day. It may cross midnight."), None, text("period_until", "time")))
            }
            (day(view, fields.get("period_from"), fields.get("period_until")))
            (choice("outside_period", "silent", "Requests of devices outside the period are not answered", ""))
            (choice("outside_period", "answer", "They are answered", ""))
        }
        fieldset.part-of-form {
            legend { h2 { (view.t("Upgrade Mode")) } }
            (choice("mode", "silent", "Silent Upgrade", "offered without asking"))
            (choice("mode", "manual", "Manual Upgrade", "nothing is offered until the end user confirms for the device; its texts stand at the end of this form"))
            (choice("push", "actively", "Push actively", "when a device comes online and at every 10-minute mark"))
            (choice("push", "on_request", "On request only", "only a device's own request is answered"))
            (choice("first_push", "mark", "First push at the next 10-minute mark", "offers are spread over some minutes"))
            (choice("first_push", "at_once", "First push at once", "the devices that are online are offered it within seconds of the activation"))
        }
        fieldset.part-of-form {
            legend { h2 { (view.t("Upgrade Strategy")) } }
            div.row {
                (field(view.t("Number of retries"), "retries", view.t("0 to 10, per component."), wrong(&["number of retries", "strategy.retries"]), whole("retries", 0, 10)))
                (field(view.t("Lowest RSRP, dBm"), "min_rsrp", view.t("-200 to 0; empty: any."), wrong(&["lowest RSRP", "strategy.min_rsrp"]), whole("min_rsrp", -200, 0)))
                (field(view.t("Minimum battery, %"), "min_battery", view.t("Empty: any."), wrong(&["minimum battery", "strategy.min_battery"]), whole("min_battery", 0, 100)))
                (field(view.t("After a refusal, min"), "refusal_delay", view.t("Then it is offered again: 10 to 1440."), wrong(&["delay after a refusal", "strategy.refusal_delay"]), whole("refusal_delay", 10, 1440)))
            }
            details open[plan_fields::is_staged(fields) || wrong(&["strategy.halt", "first devices", "devices in flight", "offers a minute", "failure rate that halts", "finished devices before a halt"]).is_some()] {
                summary { (view.t("First few, then all; stop by itself; limits")) }
                div.row {
                    (field(view.t("First so many devices, then the rest"), "first_devices", view.t("Empty: all at once."), wrong(&["first devices", "strategy.first_devices"]), whole("first_devices", 1, 1_000_000_000)))
                    (field(view.t("Suspend when more than, %"), "halt_percent", view.t("of the finished devices failed"), wrong(&["failure rate that halts", "strategy.halt"]), whole("halt_percent", 0, 99)))
                    (field(view.t("of at least so many finished"), "halt_after", "", wrong(&["finished devices before a halt"]), whole("halt_after", 1, 1_000_000_000)))
                    (field(view.t("At work at the same time"), "max_in_flight", view.t("Empty: no limit."), wrong(&["devices in flight", "strategy.max_in_flight"]), whole("max_in_flight", 1, 1_000_000_000)))
                    (field(view.t("Starts a minute"), "max_per_minute", view.t("Empty: no limit."), wrong(&["offers a minute", "strategy.max_per_minute"]), whole("max_per_minute", 1, 1_000_000_000)))
                }
            }
            label.choice { input type="checkbox" name="verification" value="required" checked[fields.get("verification") == "required"]; (view.t("Activate only if each package passed its last firmware verification")) }
        }
        fieldset.part-of-form {
            legend { h2 { (view.t("Planned Time")) } }
            div.row {
                (field(view.t("Start"), "start", view.t("By the clock of the time zone above; empty: at once."), wrong(&["start"]), text("start", "datetime-local")))
                (field(view.t("End"), "end", view.t("Empty: no end."), wrong(&["end", "planned end"]), text("end", "datetime-local")))
            }
        }
        fieldset.part-of-form {
            legend { h2 { (view.t("Select Component and Version")) } }
            @if let Some(wrong) = wrong(&["components"]) { p.fault role="alert" { (wrong) } }
            (components(view, choices, fields))
        }
        fieldset.part-of-form.texts {
            legend { h2 { (view.t("Upgrade text")) } }
            p.hint { (view.t("What the end user reads. Manual mode needs Chinese and English.")) }
            div.pair {
                (field(view.t("Chinese"), "text_zh", "", wrong(&["texts"]), html! { textarea #text_zh name="text_zh" rows="3" lang="zh" { (fields.get("text_zh")) } }))
                (field(view.t("English"), "text_en", "", None, html! { textarea #text_en name="text_en" rows="3" lang="en" { (fields.get("text_en")) } }))
            }
            @for number in 0..plan_fields::OTHER_TEXTS {
                @let (tag, text) = (format!("text_tag_{number}"), format!("text_other_{number}"));
                div.row {
                    div.field { label for=(tag) { (view.t("Other language")) } input id=(tag) name=(tag) maxlength="35" placeholder="pt-BR" value=(fields.get(&tag)); }
                    div.field.grow { label for=(text) { (view.t("Text")) } input id=(text) name=(text) value=(fields.get(&text)); }
                }
            }
        }
    }
}

fn list(view: &View, name: &'static str, label: &str, fields: &Fields, wrong: Option<String>) -> Markup {
    let hint =
        view.t("One device key a line, or a CSV file, which may be dropped here: its first column counts.");
    field(
        label,
        name,
        hint,
        wrong,
        html! {
            textarea id=(name) name=(name) rows="4" spellcheck="false" data-list aria-describedby={ (name) "-hint" } { (fields.get(name)) }
            input.pick type="file" name={ (name) "_file" } accept=".csv,.txt,text/csv,text/plain" data-list-file=(name) aria-label={ (label) ": " (view.t("CSV file")) };
        },
    )
}

/// The place of a component in the order; none of one that is not selected, while others are.
fn order_of(fields: &Fields, component: &ComponentNo, index: usize) -> String {
    let is_selected = fields.given(&format!("package.{component}")).is_some();
    let others = fields.pairs().iter().any(|(name, value)| name.starts_with("package.") && !value.is_empty());
    match fields.given(&format!("order.{component}")) {
        Some(order) => order.to_owned(),
        None if is_selected || !others => (index + 1).to_string(),
        None => String::new(),
    }
}

fn components(view: &View, choices: &Choices, fields: &Fields) -> Markup {
    if choices.components.is_empty() {
        return html! { p.muted { (view.t("The product has no component yet.")) " " a href={ "/products/" (choices.product.key) } { (view.t("Add a component")) } } };
    }
    table(
        view.t("Components"),
        &[view.t("Component"), view.t("Select Version"), view.t("Order")],
        html! {
                @for (index, (component, packages)) in choices.components.iter().enumerate() {
                    @let (package, order) = (format!("package.{}", component.no), format!("order.{}", component.no));
                    tr {
                        th scope="row" { (component.no) br; span.muted { (view.t(super::product::kind_word(component.kind))) } }
                        td {
                            select name=(package) aria-label={ (component.no) ": " (view.t("Select Version")) } {
                                option value="" { (view.t("Not Selected")) }
                                @for each in packages {
                                    option value=(each.id.0) selected[fields.get(&package) == each.id.0.to_string()] {
                                        (each.content.target) " \u{2013} " (each.content.name)
                                        @if let Some(source) = each.content.kind.source() { " (" (view.t("Delta Package")) ", " (source) ")" }
                                    }
                                }
                            }
                            @if packages.is_empty() { p.hint { a href={ "/packages/new?product=" (choices.product.key) } { (view.t("Add a Version Package")) } } }
                        }
                        td.order { input type="number" name=(order) min="1" max="20" aria-label={ (component.no) ": " (view.t("Order")) } value=(order_of(fields, &component.no, index)); }
                    }
            }
        },
    )
}
