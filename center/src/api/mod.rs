//! REST under `/api/v1`, for those who have access. One file per use case.
//!
//! One tree of paths: what is named within its product (components, devices and all that belongs to one device) is below
//! `/products/{pk}`, and so are the lists of packages and plans and the requests that create them. What has a number of
//! its own in the center (a package, a plan, a verification) is addressed by that number alone.

mod access;
mod answer;
mod audited;
mod component;
mod condition;
mod csv;
mod device;
pub mod error;
pub(crate) mod events;
mod extract;
mod guard;
mod health;
mod idempotency;
mod metrics;
mod openapi;
mod package;
mod page;
mod plan;
mod problem;
mod product;
mod routes;
pub(crate) mod shared;
mod suggest;
mod upgrade_log;
mod user;
mod verification;
mod webhook;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::FromRef;
use axum::http::{Method, StatusCode, Uri};
use bytes::Bytes;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::audited::Things;
use self::error::ApiError;
use self::events::Streams;
use self::plan::body::Turns;
use self::routes::Requires::{Anywhere, Device, Everywhere, Package, Plan, Product, Verification};
use self::routes::{BodyLimit, Routes};
use crate::access::Role::{Administrator, Operator, Viewer};
use crate::access::{Access, AccessError, Caller};
use crate::disk::Disk;
use crate::engine::Engine;
use crate::packages::object_store::Objects;
use crate::webhooks::Destinations;

pub(crate) use self::audited::of_pages as audit_pages;
pub use self::condition::FIGURES;
pub use self::package::limits::UploadLimits;
pub use self::routes::{Requires, Route};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// What most routes stand below.
const ROOT: &str = "/api/v1";

/// Most bytes of a request that is neither an upload nor a plan with its lists.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// Most bytes of a plan with its lists: a million device keys each.
const LISTS_MAX: usize = 80 * 1024 * 1024;

/// What the use cases work on.
#[derive(Clone)]
pub struct Api {
    engine: Engine,
    objects: Objects,
    access: Access,
    things: Things,
    /// Held while contents get their names and their package its row, so that a package that fails never takes
    /// away a content that another one has just begun to share.
    naming: Arc<Mutex<()>>,
    /// Held while a change is made on condition.
    conditional: Arc<Mutex<()>>,
    streams: Streams,
    disk: Option<Disk>,
    destinations: Destinations,
    turns: Turns,
    uploads: UploadLimits,
    /// OpenAPI; there when the routes are.
    description: Arc<OnceLock<Bytes>>,
}

impl Api {
    /// The API over an engine and the packages' files, for those who have access.
    #[must_use]
    pub fn new(engine: Engine, objects: Objects, access: Access) -> Self {
        Self {
            engine,
            objects,
            access,
            things: Things::default(),
            naming: Arc::default(),
            conditional: Arc::default(),
            streams: Streams::default(),
            disk: None,
            destinations: Destinations::default(),
            turns: Turns::default(),
            uploads: UploadLimits::default(),
            description: Arc::default(),
        }
    }

    /// Streams of events end with `stop`: they would hold up the end of the process.
    #[must_use]
    pub fn until(mut self, stop: CancellationToken) -> Self {
        self.streams.stop = stop;
        self
    }

    /// The engine, for the pages.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The streams of events, of all callers.
    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Health and readiness look at this disk.
    #[must_use]
    pub fn watching(self, disk: Disk) -> Self {
        Self { disk: Some(disk), ..self }
    }

    /// Uploads are refused beyond these limits.
    #[must_use]
    pub fn limiting_uploads(self, uploads: UploadLimits) -> Self {
        Self { uploads, ..self }
    }

    /// Webhooks may lead there.
    #[must_use]
    pub fn telling(self, destinations: Destinations) -> Self {
        Self { destinations, ..self }
    }

    /// The description of the API, as it is served: OpenAPI 3.1.
    #[must_use]
    pub fn description(routes: &[Route]) -> serde_json::Value {
        openapi::document(routes)
    }

    /// Everything under `/api`, `/metrics`, `/health` and `/ready`.
    pub fn router(self) -> Router {
        self.routed().0
    }

    /// The same, and the list of the routes.
    pub fn routed(self) -> (Router, Vec<Route>) {
        let (v1, mut listed) = self.v1().done();
        let (top, others) = self.top().done();
        listed.extend(others);
        let described = serde_json::to_vec(&openapi::document(&listed)).unwrap_or_default();
        // Each API is put together once.
        let _ = self.description.set(described.into());
        let open: BTreeSet<&'static str> =
            listed.iter().filter(|route| route.requires.role().is_none()).map(|route| route.path).collect();
        let wrong_method = move |caller: Result<Caller, AccessError>, method: Method, uri: Uri| {
            let is_open = open.contains(uri.path());
            async move { wrong_method(is_open, caller, method, &uri) }
        };
        let v1 = v1.method_not_allowed_fallback(wrong_method).fallback(nowhere);
        (top.nest(ROOT, v1).merge(openapi::page()).with_state(self), listed)
    }

    /// What stands beside `/api`.
    fn top(&self) -> Routes {
        Routes::of(self, "", BodyLimit::Bytes(0))
            .add((GET, "/metrics"), Everywhere(Viewer), "Figures for Prometheus", metrics::metrics)
            .add(
                (GET, "/health"),
                Requires::Nothing(
                    "a monitor has no token, and it shows nothing but whether the center works",
                ),
                "Whether the center can do its work",
                health::health,
            )
            .add(
                (GET, "/ready"),
                Requires::Nothing(
                    "a balancer has no token, and it shows what stands against giving work to the center",
                ),
                "Whether a balancer is to send devices and requests to this center",
                health::ready,
            )
    }

    fn v1(&self) -> Routes {
        let routes = Routes::of(self, ROOT, BodyLimit::Bytes(BODY_MAX));
        let routes = routes.add(
            (GET, "/openapi.json"),
            Requires::Nothing("it says what the program's source says"),
            "Describe the API",
            openapi::describe,
        );
        let routes = Self::sessions_and_accounts(routes);
        let routes = Self::products(routes);
        let routes = Self::devices(routes);
        let routes = Self::end_users(routes);
        let routes = Self::packages(routes);
        let routes = Self::webhooks(routes);
        Self::plans(routes)
    }

    fn sessions_and_accounts(routes: Routes) -> Routes {
        let signs_in = Requires::Nothing("it proves itself by its password");
        routes
            .add((POST, "/session"), signs_in, "Sign in with a password", access::session::begin)
            .add((GET, "/session"), Anywhere(Viewer), "Who asks", access::session::show)
            .add(
                (DELETE, "/session"),
                Requires::Nothing("it ends the session of the cookie that it shows"),
                "Sign out",
                access::session::end,
            )
            .add(
                (POST, "/session/password"),
                signs_in,
                "Change the own password",
                access::session::change_password,
            )
            .add((GET, "/accounts"), Everywhere(Administrator), "List the accounts", access::account::list)
            .add((POST, "/accounts"), Everywhere(Administrator), "Make an account", access::account::create)
            .add(
                (GET, "/accounts/{account}"),
                Everywhere(Administrator),
                "Show an account",
                access::account::show,
            )
            .add(
                (PATCH, "/accounts/{account}"),
                Everywhere(Administrator),
                "Change an account's role and products",
                access::account::edit,
            )
            .add(
                (DELETE, "/accounts/{account}"),
                Everywhere(Administrator),
                "Delete an account",
                access::account::delete,
            )
            .add(
                (POST, "/accounts/{account}/password"),
                Everywhere(Administrator),
                "Give an account another one-time password",
                access::account::reset_password,
            )
            .add((GET, "/tokens"), Anywhere(Viewer), "List the tokens", access::token::list)
            .add((POST, "/tokens"), Anywhere(Viewer), "Make a token", access::token::create)
            .add((GET, "/tokens/{token}"), Anywhere(Viewer), "Show a token", access::token::show)
            .add((GET, "/audit"), Everywhere(Administrator), "Read the audit log", access::audit::list)
            .add((DELETE, "/tokens/{token}"), Anywhere(Viewer), "Revoke a token", access::token::delete)
    }

    fn products(routes: Routes) -> Routes {
        routes
            .add((GET, "/products"), Anywhere(Viewer), "List the products", product::list::list)
            .add((POST, "/products"), Everywhere(Operator), "Create a product", product::create::create)
            .add((GET, "/products/{pk}"), Product(Viewer), "Show a product", product::show::show)
            .add((PATCH, "/products/{pk}"), Product(Operator), "Change a product", product::edit::edit)
            .add(
                (POST, "/products/{pk}/secret"),
                Product(Operator),
                "Replace a product's secret",
                product::rotate_secret::rotate,
            )
            .add((GET, "/products/{pk}/components"), Product(Viewer), "List the components", component::list)
            .add((POST, "/products/{pk}/components"), Product(Operator), "Add a component", component::add)
            .add(
                (PATCH, "/products/{pk}/components/{component}"),
                Product(Operator),
                "Change a component's type",
                component::edit,
            )
            .add(
                (DELETE, "/products/{pk}/components/{component}"),
                Product(Operator),
                "Delete a component",
                component::delete,
            )
    }

    fn devices(routes: Routes) -> Routes {
        routes
            .add((GET, "/products/{pk}/devices"), Product(Viewer), "Search the devices", device::list::list)
            .add((GET, "/products/{pk}/devices.csv"), Product(Viewer), "Devices as CSV", device::list::export)
            .add((GET, "/products/{pk}/devices/{dk}"), Product(Viewer), "Show a device", device::show::show)
            .add(
                (DELETE, "/products/{pk}/devices/{dk}"),
                Product(Operator),
                "Delete a device",
                device::access::delete,
            )
            .add(
                (POST, "/products/{pk}/devices/{dk}/forbid"),
                Product(Operator),
                "Forbid a device to connect",
                device::access::forbid,
            )
            .add(
                (POST, "/products/{pk}/devices/{dk}/allow"),
                Product(Operator),
                "Allow a device to connect again",
                device::access::allow,
            )
            .add(
                (GET, "/products/{pk}/devices/{dk}/log"),
                Product(Viewer),
                "The log of a device",
                device::log::log,
            )
            .add(
                (GET, "/products/{pk}/devices/{dk}/upgrades"),
                Product(Viewer),
                "List the upgrades of a device",
                device::upgrades::upgrades,
            )
            .add(
                (GET, "/products/{pk}/devices/{dk}/why"),
                Product(Viewer),
                "Say why a device is not upgrading",
                device::why::why,
            )
            // Read line by line, with a limit per line.
            .limit(BodyLimit::ByHandler)
            .add(
                (POST, "/products/{pk}/devices"),
                Product(Operator),
                "Enter devices from CSV",
                device::import::import,
            )
            .limit(BodyLimit::Bytes(BODY_MAX))
    }

    /// What the application of a device's end user needs.
    fn end_users(routes: Routes) -> Routes {
        routes
            .add(
                (GET, "/products/{pk}/devices/{dk}/auto-confirm"),
                Device(Viewer),
                "Whether plans in manual mode count as confirmed",
                user::auto_confirm::show,
            )
            .add(
                (PUT, "/products/{pk}/devices/{dk}/auto-confirm"),
                Device(Operator),
                "Set whether plans in manual mode count as confirmed",
                user::auto_confirm::set,
            )
            .add(
                (GET, "/products/{pk}/devices/{dk}/upgrade-plan"),
                Device(Viewer),
                "The plans of a device as its end user sees them",
                user::plan::plan,
            )
            .add(
                (GET, "/products/{pk}/devices/{dk}/upgrade-plan/events"),
                Device(Viewer),
                "The progress of a device in a plan, as events",
                user::events::events,
            )
            .add(
                (POST, "/products/{pk}/devices/{dk}/upgrade-plan/{action}"),
                Device(Operator),
                "Confirm, appoint, cancel or retry as the end user",
                user::action::action,
            )
    }

    fn packages(routes: Routes) -> Routes {
        routes
            .add((GET, "/packages"), Anywhere(Viewer), "List the version packages", package::list::of_all)
            .add((GET, "/packages/{package}"), Package(Viewer), "Show a version package", package::show::show)
            .add(
                (DELETE, "/packages/{package}"),
                Package(Operator),
                "Delete a version package",
                package::delete::delete,
            )
            .add(
                (GET, "/packages/{package}/files/{file}"),
                Package(Viewer),
                "Download a file of a version package",
                package::download::download,
            )
            .add(
                (GET, "/packages/{package}/verifications"),
                Package(Viewer),
                "List the verifications of a version package",
                verification::list::list,
            )
            .add(
                (POST, "/packages/{package}/verifications"),
                Package(Operator),
                "Verify a version package on one device",
                verification::start::start,
            )
            .add(
                (GET, "/verifications/{verification}"),
                Verification(Viewer),
                "Show a verification",
                verification::show::show,
            )
            .add(
                (GET, "/products/{pk}/packages"),
                Product(Viewer),
                "List the version packages of a product",
                package::list::of_product,
            )
            // An upload has limits per file and field.
            .limit(BodyLimit::ByHandler)
            .add(
                (POST, "/products/{pk}/packages"),
                Product(Operator),
                "Upload a version package",
                package::upload::upload,
            )
            .limit(BodyLimit::Bytes(BODY_MAX))
    }

    /// They send what belongs to any product to anywhere.
    fn webhooks(routes: Routes) -> Routes {
        let required = Everywhere(Administrator);
        routes
            .add((GET, "/webhooks"), required, "List the webhooks", webhook::list)
            .add((POST, "/webhooks"), required, "Make a webhook", webhook::create)
            .add((GET, "/webhooks/{webhook}"), required, "Show a webhook", webhook::show)
            .add(
                (PATCH, "/webhooks/{webhook}"),
                required,
                "Change a webhook, or switch it on or off",
                webhook::edit,
            )
            .add((DELETE, "/webhooks/{webhook}"), required, "Delete a webhook", webhook::delete)
            .add(
                (POST, "/webhooks/{webhook}/secret"),
                required,
                "Give a webhook another secret",
                webhook::renew_secret,
            )
            .add(
                (POST, "/webhooks/{webhook}/test"),
                required,
                "Send a message to try a webhook",
                webhook::delivery::test,
            )
            .add(
                (POST, "/webhooks/{webhook}/replay"),
                required,
                "Send every failed message of a webhook again",
                webhook::delivery::replay_failed,
            )
            .add(
                (GET, "/webhooks/{webhook}/deliveries"),
                required,
                "List the messages to a webhook, the newest first",
                webhook::delivery::list,
            )
            .add(
                (GET, "/webhooks/{webhook}/deliveries/{delivery}"),
                required,
                "Show a message to a webhook",
                webhook::delivery::show,
            )
            .add(
                (POST, "/webhooks/{webhook}/deliveries/{delivery}/replay"),
                required,
                "Send a message again",
                webhook::delivery::replay,
            )
    }

    fn plans(routes: Routes) -> Routes {
        let mut routes = routes
            .add((GET, "/plans"), Anywhere(Viewer), "List the upgrade plans", plan::list::of_all)
            .add(
                (GET, "/plans/{plan}/devices"),
                Plan(Viewer),
                "List the devices of a plan",
                plan::devices::list,
            )
            .add(
                (GET, "/plans/{plan}/devices.csv"),
                Plan(Viewer),
                "Devices of a plan as CSV",
                plan::devices::export,
            )
            .add(
                (GET, "/plans/{plan}/devices/{dk}"),
                Plan(Viewer),
                "Show a device in a plan",
                plan::devices::show,
            )
            .add(
                (GET, "/plans/{plan}/reasons"),
                Plan(Viewer),
                "Count the reasons in a plan",
                plan::devices::reasons,
            )
            .add(
                (GET, "/plans/{plan}/blocked"),
                Plan(Viewer),
                "Count what blocks devices",
                plan::blocked::blocked,
            )
            .add(
                (GET, "/plans/{plan}/dry-run"),
                Plan(Viewer),
                "Try a plan without effect",
                plan::dry_run::dry_run,
            )
            .add(
                (GET, "/plans/{plan}/events"),
                Plan(Viewer),
                "The progress of a plan, as events",
                plan::events::events,
            )
            .add((POST, "/plans/{plan}/clone"), Plan(Operator), "Copy a plan", plan::copy::copy)
            .add(
                (POST, "/plans/{plan}/activate"),
                Plan(Operator),
                "Activate a plan",
                plan::activate::activate,
            )
            .add((POST, "/plans/{plan}/retry"), Plan(Operator), "Retry devices of a plan", plan::retry::retry)
            .add((POST, "/plans/{plan}/skip"), Plan(Operator), "Skip devices of a plan", plan::retry::skip)
            .add(
                (GET, "/products/{pk}/plans"),
                Product(Viewer),
                "List the upgrade plans of a product",
                plan::list::of_product,
            )
            .add((GET, "/plans/{plan}"), Plan(Viewer), "Show a plan", plan::show::show)
            .add((DELETE, "/plans/{plan}"), Plan(Operator), "Delete a plan", plan::delete::delete);
        for (path, summary, change) in plan::state::Change::PATHS {
            let handler = move |api, plan| plan::state::change(api, plan, change);
            routes = routes.add((POST, path), Plan(Operator), summary, handler);
        }
        // Requests whose body may hold a plan's device lists.
        routes = routes
            .limit(BodyLimit::Bytes(LISTS_MAX))
            .add((POST, "/products/{pk}/plans"), Product(Operator), "Save a plan", plan::create::create)
            .add((PATCH, "/plans/{plan}"), Plan(Operator), "Change a plan", plan::edit::edit);
        for (path, [show, replace, clear], list) in plan::lists::PATHS {
            routes = routes
                .add((GET, path), Plan(Viewer), show, move |api, plan, part| {
                    plan::lists::show(api, plan, part, list)
                })
                .add((PUT, path), Plan(Operator), replace, move |api, plan, csv| {
                    plan::lists::replace(api, plan, csv, list)
                })
                .add((DELETE, path), Plan(Operator), clear, move |api, plan| {
                    plan::lists::clear(api, plan, list)
                });
        }
        routes
    }
}

impl FromRef<Api> for Access {
    fn from_ref(api: &Api) -> Access {
        api.access.clone()
    }
}

/// Strangers are not told which paths there are.
async fn nowhere(caller: Result<Caller, AccessError>, uri: Uri) -> ApiError {
    match caller {
        Ok(_) => ApiError::missing("path", uri.path()),
        Err(error) => error.into(),
    }
}

/// Who asks for a path that is open to everybody need not sign in to learn that it does not take a method.
fn wrong_method(is_open: bool, caller: Result<Caller, AccessError>, method: Method, uri: &Uri) -> ApiError {
    if let Some(error) = caller.err().filter(|_| !is_open) {
        return error.into();
    }
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", message)
}
