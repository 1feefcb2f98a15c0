//! Version Package Management: the packages, a new one, one in detail.

use axum::extract::{Multipart, Path, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect};
use maud::{Markup, html};

use super::devices::product_choice;
use super::product::kind_word;
use crate::access::Role;
use crate::api::error::ApiError;
use crate::api::shared::{add_package, delete_package, form_text, package_file};
use crate::packages::format::{FILE_SIZE_MAX, FILES_MAX};
use crate::rules::names::FILE_FORMATS;
use crate::rules::progress::Presence;
use crate::rules::verification::VerificationState;
use crate::rules::{DeviceKey, PackageId, ProductKey};
use crate::store::{Component, Package, PackageKind, Product};
use crate::web::Console;
use crate::web::form::{Act, Fields, check, done};
use crate::web::layout::{Answer, Page, Place};
use crate::web::parts::{
    empty, field, maybe, next_page, plan_state, post_button, table, verification_state, verified,
};
use crate::web::refusal;
use crate::web::view::{Anyone, View, bytes, number};

/// Packages of a page.
const ROWS: i64 = 50;
/// Devices that are suggested for a verification.
const SUGGESTIONS: i64 = 50;

/// `GET /packages`.
pub async fn list(State(console): State<Console>, view: View, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let product = fields.given("product").map(ProductKey::new).transpose()?;
    let wanted = fields.get("search").to_lowercase();
    let mut store = console.read().await?;
    let mut products = store.products().await?;
    products.retain(|product| view.reaches(&product.key));
    let (mut after, mut rows) = (fields.get("after").parse().unwrap_or(0), Vec::new());
    let next = loop {
        let page = store.packages(product.as_ref(), after, ROWS).await?;
        for package in page.rows {
            let content = &package.content;
            if !view.reaches(&content.product) {
                continue;
            }
            let texts = [
                content.name.as_str(),
                content.target.as_str(),
                content.component.as_str(),
                content.remark.as_str(),
            ];
            if wanted.is_empty() || texts.iter().any(|text| text.to_lowercase().contains(&wanted)) {
                let verified = store.verified(package.id).await?;
                rows.push((package, verified));
            }
        }
        match page.next {
            Some(next) if i64::try_from(rows.len()).unwrap_or(ROWS) < ROWS => after = next,
            next => break next,
        }
    };
    let query = product.as_ref().map(|product| format!("?product={product}")).unwrap_or_default();
    let add = html! {
        @if view.may_operate() && !products.is_empty() { a.button.main href={ "/packages/new" (query) } { (view.t("Add a Version Package")) } }
        @if products.is_empty() && view.may_operate() { a.button.main href="/products/new" { (view.t("Create a Product")) } }
    };
    let content = html! {
        @if !products.is_empty() {
            form.search method="get" action="/packages" role="search" {
                div.field {
                    label for="product" { (view.t("Product")) }
                    select #product name="product" data-submit {
                        option value="" { (view.t("any")) }
                        @for each in &products {
                            option value=(each.key) selected[Some(&each.key) == product.as_ref()] { (each.name) " (" (each.key) ")" }
                        }
                    }
                }
                div.field {
                    label for="search" { (view.t("Search words")) }
                    input #search type="search" name="search" placeholder=(view.t("name, version, component or remark")) value=(fields.get("search"));
                }
                button { (view.t("Search")) }
            }
        }
        @if rows.is_empty() && !wanted.is_empty() {
            (empty(view.t("No version package matches"), view.t("Try a shorter word."), html! { a.button href={ "/packages" (query) } { (view.t("Show all version packages")) } }))
        } @else if rows.is_empty() {
            (empty(
                view.t("No version packages yet"),
                view.t("A version package is the file or files that take a component to another version. A full package fits on every version; a delta package on one."),
                add.clone(),
            ))
        } @else {
            (table(
                view.t("Version Packages"),
                &[
                    view.t("Version Package Name"),
                    view.t("Component"),
                    view.t("Version Package Type"),
                    view.t("Source Version"),
                    view.t("Target Version"),
                    view.t("Size"),
                    view.t("Firmware Verification"),
                    view.t("Created"),
                ],
                html! {
                    @for (package, result) in &rows {
                        @let content = &package.content;
                        tr {
                            th scope="row" { a href={ "/packages/" (package.id.0) } { (content.name) } " " span.muted { "#" (package.id.0) } }
                            td.mono { (content.component) }
                            td { (view.t(type_word(&content.kind))) }
                            td.mono { (maybe(content.kind.source().map(|source| source.as_str()))) }
                            td.mono { (content.target) }
                            td.number { (bytes(size(package))) }
                            td { (verified(&view, *result)) }
                            td { (view.time(package.created)) }
                        }
                    }
                },
            ))
            (next_page(&view, &search_path(&fields), next.map(|next| next.to_string()).as_deref()))
        }
    };
    let actions = if rows.is_empty() {
        html! {}
    } else {
        add
    };
    Ok(Page::new(&view, Place::Packages, view.t("Version Packages")).actions(actions).show(content))
}

fn search_path(fields: &Fields) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in ["product", "search"] {
        if let Some(value) = fields.given(name) {
            query.append_pair(name, value);
        }
    }
    format!("/packages?{}", query.finish())
}

fn type_word(kind: &PackageKind) -> &'static str {
    match kind {
        PackageKind::Full => "Full Package",
        PackageKind::Delta { .. } => "Delta Package",
    }
}

fn size(package: &Package) -> u64 {
    package.content.files.iter().map(|file| file.size).sum()
}

/// `GET /packages/new`.
pub async fn new(State(console): State<Console>, view: View, RawQuery(query): RawQuery) -> Answer {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    form(&console, &view, &fields, None).await
}

async fn form(console: &Console, view: &View, fields: &Fields, error: Option<&ApiError>) -> Answer {
    let mut store = console.read().await?;
    let mut products = store.products().await?;
    products.retain(|product| view.reaches(&product.key));
    let chosen = fields.given("product").map(ProductKey::new).transpose()?;
    let product =
        chosen.and_then(|key| products.iter().find(|product| product.key == key)).or(products.first());
    let page = Page::new(view, Place::Packages, view.t("Add a Version Package"))
        .below(view.t("Version Packages"), "/packages")
        .status(error.map_or(StatusCode::OK, ApiError::status))
        .script("upload.js");
    let Some(product) = product else {
        let text = view.t("A version package is for a component of a product. Create a product first.");
        return Ok(page.show(empty(
            view.t("No products yet"),
            text,
            html! { a.button.main href="/products/new" { (view.t("Create a Product")) } },
        )));
    };
    let components = store.components(&product.key).await?;
    Ok(page.show(html! {
        @if products.len() > 1 {
            form.search method="get" action="/packages/new" {
                (product_choice(view, &products, Some(&product.key)))
                button { (view.t("Choose")) }
            }
        }
        @if components.is_empty() {
            (empty(
                view.t("This product has no component yet"),
                view.t("A version package is for a component: the module, or an MCU behind it."),
                html! { a.button.main href={ "/products/" (product.key) } { (view.t("Add a component")) } },
            ))
        } @else { (upload_form(view, product, &components, fields, error)) }
    }))
}

fn upload_form(
    view: &View,
    product: &Product,
    components: &[Component],
    fields: &Fields,
    error: Option<&ApiError>,
) -> Markup {
    let wrong = |names: &[&str]| {
        error
            .filter(|error| error.field().is_some_and(|field| names.contains(&field)))
            .map(|error| refusal::told(view, error))
    };
    let known = ["component", "name", "target", "source", "remark", "file", "version"];
    let other = error.filter(|error| error.field().is_none_or(|field| !known.contains(&field)));
    let is_delta = fields.get("kind") == "delta";
    html! {
        form.card method="post" enctype="multipart/form-data" action={ "/packages/new/" (product.key) } data-upload
            data-size-max=(FILE_SIZE_MAX) data-files-max=(FILES_MAX) data-formats=(FILE_FORMATS.join(" "))
            data-too-large=(view.t("{0} is larger than 100 MB.")) data-too-many=(view.t("At most 5 files."))
            data-empty=(view.t("{0} is empty.")) data-format=(view.t("{0} has none of the formats below."))
            data-sending=(view.t("{0} % sent")) data-storing=(view.t("Sent; the center stores it\u{2026}"))
            data-signed-out=(view.t("Your session is over. Sign in again; what you entered is kept.")) data-sign-in=(view.t("Sign in"))
            data-broken=(view.t("The connection broke. Nothing was kept; send it again.")) {
            (view.csrf())
            @if let Some(error) = other { p.fault role="alert" { (refusal::told(view, error)) } }
            (field(view.t("Version Package Name"), "name", "", wrong(&["name"]), html! {
                input #name name="name" required maxlength="100" value=(fields.get("name"));
            }))
            (field(view.t("Component"), "component", "", wrong(&["component"]), html! {
                select #component name="component" {
                    @for component in components {
                        option value=(component.no) selected[fields.get("component") == component.no.as_str()] { (component.no) " \u{2013} " (view.t(kind_word(component.kind))) }
                    }
                }
            }))
            fieldset {
                legend { (view.t("Version Package Type")) }
                label.choice { input type="radio" name="kind" value="full" checked[!is_delta]; (view.t("Full Package")) " " span.muted { (view.t("fits on every version")) } }
                label.choice { input #kind-delta type="radio" name="kind" value="delta" checked[is_delta]; (view.t("Delta Package")) " " span.muted { (view.t("fits on one source version only")) } }
            }
            div.delta {
                (field(view.t("Source Version"), "source", view.t("Needed for a delta package, as the devices report it."), wrong(&["source"]), html! {
                    input #source name="source" maxlength="64" autocomplete="off" spellcheck="false" value=(fields.get("source"));
                }))
            }
            (field(view.t("Target Version"), "target", view.t("As the devices will report it after the upgrade."), wrong(&["target", "version"]), html! {
                input #target name="target" required maxlength="64" autocomplete="off" spellcheck="false" value=(fields.get("target"));
            }))
            (field(view.t("Remark"), "remark", view.t("At most 200 characters."), wrong(&["remark"]), html! {
                textarea #remark name="remark" maxlength="200" rows="2" { (fields.get("remark")) }
            }))
            // What comes before this field is text; what comes after it are files.
            input type="hidden" name="files";
            div.field.drop .is-wrong[wrong(&["file"]).is_some()] data-drop {
                label for="file" { (view.t("Select Upgrade Package")) }
                input #file type="file" name="file" multiple required accept=(FILE_FORMATS.join(",")) aria-describedby="file-hint file-fault";
                p.hint #file-hint { (view.t("1 to 5 files (one for an MCU), each at most 100 MB:")) " " (FILE_FORMATS.join(" ")) }
                p.fault #file-fault role="alert" { @if let Some(wrong) = wrong(&["file"]) { (wrong) } }
            }
            p.progress hidden { progress max="100" value="0" aria-label=(view.t("Upload")) {} " " span role="status" {} }
            button.main { (view.t("Add the package")) }
        }
    }
}

/// Fields of the form before its files, at most.
const TEXTS_MAX: usize = 20;

/// `POST /packages/new/{pk}`: the texts of the form first, then its files.
pub async fn create(
    State(console): State<Console>,
    Anyone(view): Anyone,
    Path(product): Path<String>,
    mut form_data: Multipart,
) -> Answer {
    let product = ProductKey::new(product)?;
    let mut texts = Vec::new();
    while let Some(field) = form_data.next_field().await.map_err(ApiError::from)? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "files" || texts.len() >= TEXTS_MAX {
            break;
        }
        let value = form_text(&name, field).await?;
        texts.push((name, value));
    }
    let mut fields = Fields::from_pairs(texts);
    let Some(_) = view.signed.as_ref().filter(|signed| !signed.must_change_password) else {
        // The texts are in the form again after the sign-in; files are what a browser does not choose by itself.
        fields.set("product", product.as_str());
        let then = format!("/packages/new?{}", fields.without("csrf").encode());
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("then", &then).finish();
        return Ok(Redirect::to(&format!("/sign-in?{query}")).into_response());
    };
    view.check_reach(&product)?;
    check(&view, fields.raw("csrf"), Role::Operator)?;
    match added(&console, &product, &fields, form_data).await {
        Ok(package) => Ok(done(&format!("/packages/{}", package.id.0), "added")),
        Err(error) => {
            fields.set("product", product.as_str());
            form(&console, &view, &fields, Some(&error)).await
        }
    }
}

async fn added(
    console: &Console,
    product: &ProductKey,
    fields: &Fields,
    files: Multipart,
) -> Result<Package, ApiError> {
    console.read().await?.product(product).await?;
    let is_delta = fields.get("kind") == "delta";
    if is_delta && fields.given("source").is_none() {
        let rule = "a delta package needs the version that it fits on";
        return Err(ApiError::invalid("missing", "source", "", rule));
    }
    let is_read = |name: &str| !["csrf", "kind"].contains(&name) && (is_delta || name != "source");
    let read = fields.pairs().iter().filter(|(name, _)| is_read(name)).cloned().collect();
    add_package(&console.api, product.clone(), read, files).await
}

/// A package that the viewer's account reaches to.
async fn reached(console: &Console, view: &View, given: &str) -> Result<PackageId, ApiError> {
    let missing = || ApiError::missing("version package", given);
    let id = given.parse().map(PackageId).map_err(|_| missing())?;
    let product = console.read().await?.package(id).await?.content.product;
    if view.reaches(&product) { Ok(id) } else { Err(missing()) }
}

/// `GET /packages/{package}`.
pub async fn show(State(console): State<Console>, view: View, Path(id): Path<String>) -> Answer {
    details(&console, &view, reached(&console, &view, &id).await?, None).await
}

async fn details(
    console: &Console,
    view: &View,
    id: PackageId,
    error: Option<(&ApiError, &Fields)>,
) -> Answer {
    let mut store = console.read().await?;
    let package = store.package(id).await?;
    let plans = store.plans_with_package(id).await?;
    let result = store.verified(id).await?;
    let mut runs = Vec::new();
    for upgrade in store.verifications(id, 0, 1_000).await?.into_iter().rev().take(20) {
        let device = store.device_by_id(upgrade.device).await?.key;
        runs.push((upgrade, device));
    }
    let content = &package.content;
    let product = store.product(&content.product).await?;
    let online = store.devices_by_slot(&content.product, Presence::Online, SUGGESTIONS).await?;
    let mut online: Vec<_> = online.into_iter().map(|device| device.key).collect();
    online.sort_unstable();
    let wrong = error.map(|(error, _)| refusal::told(view, error));
    let (at_verify, at_top) = if error.is_some_and(|(_, fields)| fields.given("device").is_some()) {
        (wrong, None)
    } else {
        (None, wrong)
    };
    let base = format!("/packages/{}", id.0);
    Ok(Page::new(view, Place::Packages, content.name.to_string())
        .below(view.t("Version Packages"), "/packages")
        .beside(html! { span.muted { "#" (id.0) } " " (verified(view, result)) })
        .status(error.map_or(StatusCode::OK, |(error, _)| error.status()))
        .actions(html! {
            @if view.may_operate() {
                a.button.main href={ "/plans/new?product=" (content.product) "&package=" (id.0) } { (view.t("Create an Upgrade Plan")) }
            }
        })
        .show(html! {
            @if let Some(wrong) = at_top { div.wrong role="alert" { p { (wrong) } } }
            dl.facts.columns {
                div { dt { (view.t("Product")) } dd { a href={ "/products/" (product.key) } { (product.name) } } }
                div { dt { (view.t("Component")) } dd { (content.component) } }
                div { dt { (view.t("Version Package Type")) } dd { (view.t(type_word(&content.kind))) } }
                div { dt { (view.t("Source Version")) } dd.mono { (maybe(content.kind.source().map(|source| source.as_str()))) } }
                div { dt { (view.t("Target Version")) } dd.mono { (content.target) } }
                div { dt { (view.t("Created")) } dd { (view.time(package.created)) } }
                div.broad { dt { (view.t("Remark")) } dd { (maybe(Some(content.remark.as_str()))) } }
            }
            section {
                h2 { (view.t("Files")) }
                (table(view.t("Files"), &[view.t("File"), view.t("Size"), view.t("Digests")], html! {
                    @for (index, file) in content.files.iter().enumerate() {
                        tr {
                            th scope="row" { a href={ (base) "/files/" (index) } download { (file.name) } }
                            td.number { (number(file.size)) " B" }
                            td { dl.digests {
                                dt { "MD5" } dd.mono { (hex::encode(file.digests.md5)) }
                                dt { "CRC-32" } dd.mono { (format!("{:08x}", file.digests.crc32)) }
                                dt { "SHA-256" } dd.mono { (hex::encode(file.digests.sha256)) }
                            } }
                        }
                    }
                }))
            }
            section {
                h2 { (view.t("Firmware Verification")) }
                p.muted { (view.t("Try the package on one device before it goes to many: outside any plan, 60 minutes at most.")) }
                @if view.may_operate() {
                    form.row method="post" action={ (base) "/verify" } {
                        (view.csrf())
                        (field(view.t("Device key"), "device", view.t("Devices that are online are suggested."), at_verify, html! {
                            input #device name="device" required maxlength="32" autocomplete="off" spellcheck="false" list="online"
                                value=(error.map_or("", |(_, fields)| fields.get("device")));
                            datalist #online { @for key in &online { option value=(key) {} } }
                        }))
                        button { (view.t("Verify on this device")) }
                    }
                }
                @if !runs.is_empty() {
                    (table(view.t("Firmware Verification"), &["#", view.t("Device"), view.t("State"), view.t("Begun"), view.t("Ended")], html! {
                        @for (upgrade, device) in &runs { (run(view, upgrade, device)) }
                    }))
                }
            }
            section {
                h2 { (view.t("Where it is used")) }
                @if plans.is_empty() { p.muted { (view.t("No plan has this package.")) } }
                @else { ul.plain { @for plan in &plans { li { a href={ "/plans/" (plan.id.0) } { (plan.name) } " " (plan_state(view, plan.state)) } } } }
            }
            @if view.may_operate() {
                section {
                    h2 { (view.t("Delete")) }
                    p.muted { (view.t("A package is deleted unless a plan that is not over, a device that is at work or a verification has it.")) }
                    (post_button(view, &format!("{base}/delete"), "danger", "Delete the package", ""))
                }
            }
        }))
}

fn run(view: &View, upgrade: &crate::store::Upgrade, device: &DeviceKey) -> Markup {
    html! {
        tr {
            th.id scope="row" { a href={ "/verifications/" (upgrade.id.0) } { (upgrade.id.0) } }
            td.mono { (device) }
            td { (verification_state(view, VerificationState::of(upgrade.phase()))) }
            td { (view.time(upgrade.created)) }
            td { (view.maybe_time(upgrade.ended)) }
        }
    }
}

/// `POST /packages/{package}/verify`.
pub async fn verify(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    let begun = async {
        let key = DeviceKey::new(fields.get("device"))?;
        Ok::<_, ApiError>(console.engine().verify(id, &key).await?)
    };
    match begun.await {
        Ok(upgrade) => Ok(done(&format!("/verifications/{}", upgrade.id.0), "begun")),
        Err(error) => details(&console, &view, id, Some((&error, &fields))).await,
    }
}

/// `POST /packages/{package}/delete`.
pub async fn delete(
    State(console): State<Console>,
    Path(id): Path<String>,
    Act { view, fields }: Act,
) -> Answer {
    let id = reached(&console, &view, &id).await?;
    match delete_package(&console.api, id).await {
        Ok(()) => Ok(done("/packages", "deleted")),
        Err(error) => details(&console, &view, id, Some((&error, &fields))).await,
    }
}

/// `GET /packages/{package}/files/{file}`.
pub async fn file(
    State(console): State<Console>,
    view: View,
    Path((id, file)): Path<(String, usize)>,
    method: Method,
    headers: HeaderMap,
) -> Answer {
    let package = reached(&console, &view, &id).await?;
    Ok(package_file(&console.api, package, file, &method, &headers).await?)
}
