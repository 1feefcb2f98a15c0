//! REST under `/api/v1`, for those who have access. One file per use case.
//!
//! One tree of paths: what is named within its product (components, devices and all that belongs to one device) is below
//! `/products/{pk}`, and so are the lists of packages and plans and the requests that create them. What has a number of
//! its own in the center (a package, a plan, a verification) is addressed by that number alone.

mod access;
mod audited;
mod component;
mod csv;
mod device;
pub mod error;
pub(crate) mod events;
mod extract;
mod guard;
mod health;
mod metrics;
mod package;
mod page;
mod plan;
mod problem;
mod product;
mod routes;
pub(crate) mod shared;
mod suggest;
mod user;
mod verification;
mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use axum::http::{Method, StatusCode, Uri};
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
pub use self::package::limits::UploadLimits;
pub use self::routes::{Requires, Route};

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
    streams: Streams,
    disk: Option<Disk>,
    destinations: Destinations,
    turns: Turns,
    uploads: UploadLimits,
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
            streams: Streams::default(),
            disk: None,
            destinations: Destinations::default(),
            turns: Turns::default(),
            uploads: UploadLimits::default(),
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

    /// Everything under `/api`, `/metrics`, `/health` and `/ready`.
    pub fn router(self) -> Router {
        self.routed().0
    }

    /// The same, and the list of the routes.
    pub fn routed(self) -> (Router, Vec<Route>) {
        let (v1, mut listed) = self.v1().done();
        let (top, others) = self.top().done();
        listed.extend(others);
        let v1 = v1.method_not_allowed_fallback(wrong_method).fallback(nowhere);
        (top.nest("/api/v1", v1).with_state(self), listed)
    }

    /// What stands beside `/api`.
    fn top(&self) -> Routes {
        Routes::of(self, BodyLimit::Bytes(0))
            .get("/metrics", Everywhere(Viewer), "Figures for Prometheus", metrics::metrics)
            .get(
                "/health",
                Requires::Nothing(
                    "a monitor has no token, and it shows nothing but whether the center works",
                ),
                "Whether the center can do its work",
                health::health,
            )
            .get(
                "/ready",
                Requires::Nothing(
                    "a balancer has no token, and it shows what stands against giving work to the center",
                ),
                "Whether a balancer is to send devices and requests to this center",
                health::ready,
            )
    }

    fn v1(&self) -> Routes {
        let routes = Routes::of(self, BodyLimit::Bytes(BODY_MAX));
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
            .post("/session", signs_in, "Sign in with a password", access::session::begin)
            .get("/session", Anywhere(Viewer), "Who asks", access::session::show)
            .delete(
                "/session",
                Requires::Nothing("it ends the session of the cookie that it shows"),
                "Sign out",
                access::session::end,
            )
            .post("/session/password", signs_in, "Change the own password", access::session::change_password)
            .get("/accounts", Everywhere(Administrator), "List the accounts", access::account::list)
            .post("/accounts", Everywhere(Administrator), "Make an account", access::account::create)
            .get("/accounts/{account}", Everywhere(Administrator), "Show an account", access::account::show)
            .patch(
                "/accounts/{account}",
                Everywhere(Administrator),
                "Change an account's role and products",
                access::account::edit,
            )
            .delete(
                "/accounts/{account}",
                Everywhere(Administrator),
                "Delete an account",
                access::account::delete,
            )
            .post(
                "/accounts/{account}/password",
                Everywhere(Administrator),
                "Give an account another one-time password",
                access::account::reset_password,
            )
            .get("/tokens", Anywhere(Viewer), "List the tokens", access::token::list)
            .post("/tokens", Anywhere(Viewer), "Make a token", access::token::create)
            .get("/tokens/{token}", Anywhere(Viewer), "Show a token", access::token::show)
            .get("/audit", Everywhere(Administrator), "Read the audit log", access::audit::list)
            .delete("/tokens/{token}", Anywhere(Viewer), "Revoke a token", access::token::delete)
    }

    fn products(routes: Routes) -> Routes {
        routes
            .get("/products", Anywhere(Viewer), "List the products", product::list::list)
            .post("/products", Everywhere(Operator), "Create a product", product::create::create)
            .get("/products/{pk}", Product(Viewer), "Show a product", product::show::show)
            .patch("/products/{pk}", Product(Operator), "Change a product", product::edit::edit)
            .post(
                "/products/{pk}/secret",
                Product(Operator),
                "Replace a product's secret",
                product::rotate_secret::rotate,
            )
            .get("/products/{pk}/components", Product(Viewer), "List the components", component::list)
            .post("/products/{pk}/components", Product(Operator), "Add a component", component::add)
            .patch(
                "/products/{pk}/components/{component}",
                Product(Operator),
                "Change a component's type",
                component::edit,
            )
            .delete(
                "/products/{pk}/components/{component}",
                Product(Operator),
                "Delete a component",
                component::delete,
            )
    }

    fn devices(routes: Routes) -> Routes {
        routes
            .get("/products/{pk}/devices", Product(Viewer), "Search the devices", device::list::list)
            .get("/products/{pk}/devices.csv", Product(Viewer), "Devices as CSV", device::list::export)
            .get("/products/{pk}/devices/{dk}", Product(Viewer), "Show a device", device::show::show)
            .delete(
                "/products/{pk}/devices/{dk}",
                Product(Operator),
                "Delete a device",
                device::access::delete,
            )
            .post(
                "/products/{pk}/devices/{dk}/forbid",
                Product(Operator),
                "Forbid a device to connect",
                device::access::forbid,
            )
            .post(
                "/products/{pk}/devices/{dk}/allow",
                Product(Operator),
                "Allow a device to connect again",
                device::access::allow,
            )
            .get("/products/{pk}/devices/{dk}/log", Product(Viewer), "The log of a device", device::log::log)
            .get(
                "/products/{pk}/devices/{dk}/upgrades",
                Product(Viewer),
                "List the upgrades of a device",
                device::upgrades::upgrades,
            )
            .get(
                "/products/{pk}/devices/{dk}/why",
                Product(Viewer),
                "Say why a device is not upgrading",
                device::why::why,
            )
            // Read line by line, with a limit per line.
            .limit(BodyLimit::ByHandler)
            .post(
                "/products/{pk}/devices",
                Product(Operator),
                "Enter devices from CSV",
                device::import::import,
            )
            .limit(BodyLimit::Bytes(BODY_MAX))
    }

    /// What the application of a device's end user needs.
    fn end_users(routes: Routes) -> Routes {
        routes
            .get(
                "/products/{pk}/devices/{dk}/auto-confirm",
                Device(Viewer),
                "Whether plans in manual mode count as confirmed",
                user::auto_confirm::show,
            )
            .put(
                "/products/{pk}/devices/{dk}/auto-confirm",
                Device(Operator),
                "Set whether plans in manual mode count as confirmed",
                user::auto_confirm::set,
            )
            .get(
                "/products/{pk}/devices/{dk}/upgrade-plan",
                Device(Viewer),
                "The plans of a device as its end user sees them",
                user::plan::plan,
            )
            .get(
                "/products/{pk}/devices/{dk}/upgrade-plan/events",
                Device(Viewer),
                "The progress of a device in a plan, as events",
                user::events::events,
            )
            .post(
                "/products/{pk}/devices/{dk}/upgrade-plan/{action}",
                Device(Operator),
                "Confirm, appoint, cancel or retry as the end user",
                user::action::action,
            )
    }

    fn packages(routes: Routes) -> Routes {
        routes
            .get("/packages", Anywhere(Viewer), "List the version packages", package::list::of_all)
            .get("/packages/{package}", Package(Viewer), "Show a version package", package::show::show)
            .delete(
                "/packages/{package}",
                Package(Operator),
                "Delete a version package",
                package::delete::delete,
            )
            .get(
                "/packages/{package}/files/{file}",
                Package(Viewer),
                "Download a file of a version package",
                package::download::download,
            )
            .get(
                "/packages/{package}/verifications",
                Package(Viewer),
                "List the verifications of a version package",
                verification::list::list,
            )
            .post(
                "/packages/{package}/verifications",
                Package(Operator),
                "Verify a version package on one device",
                verification::start::start,
            )
            .get(
                "/verifications/{verification}",
                Verification(Viewer),
                "Show a verification",
                verification::show::show,
            )
            .get(
                "/products/{pk}/packages",
                Product(Viewer),
                "List the version packages of a product",
                package::list::of_product,
            )
            // An upload has limits per file and field.
            .limit(BodyLimit::ByHandler)
            .post(
                "/products/{pk}/packages",
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
            .get("/webhooks", required, "List the webhooks", webhook::list)
            .post("/webhooks", required, "Make a webhook", webhook::create)
            .get("/webhooks/{webhook}", required, "Show a webhook", webhook::show)
            .patch("/webhooks/{webhook}", required, "Change a webhook, or switch it on or off", webhook::edit)
            .delete("/webhooks/{webhook}", required, "Delete a webhook", webhook::delete)
            .post(
                "/webhooks/{webhook}/secret",
                required,
                "Give a webhook another secret",
                webhook::renew_secret,
            )
            .post(
                "/webhooks/{webhook}/test",
                required,
                "Send a message to try a webhook",
                webhook::delivery::test,
            )
            .post(
                "/webhooks/{webhook}/replay",
                required,
                "Send every failed message of a webhook again",
                webhook::delivery::replay_failed,
            )
            .get(
                "/webhooks/{webhook}/deliveries",
                required,
                "List the messages to a webhook, the newest first",
                webhook::delivery::list,
            )
            .get(
                "/webhooks/{webhook}/deliveries/{delivery}",
                required,
                "Show a message to a webhook",
                webhook::delivery::show,
            )
            .post(
                "/webhooks/{webhook}/deliveries/{delivery}/replay",
                required,
                "Send a message again",
                webhook::delivery::replay,
            )
    }

    fn plans(routes: Routes) -> Routes {
        let mut routes = routes
            .get("/plans", Anywhere(Viewer), "List the upgrade plans", plan::list::of_all)
            .get("/plans/{plan}/devices", Plan(Viewer), "List the devices of a plan", plan::devices::list)
            .get("/plans/{plan}/devices.csv", Plan(Viewer), "Devices of a plan as CSV", plan::devices::export)
            .get("/plans/{plan}/devices/{dk}", Plan(Viewer), "Show a device in a plan", plan::devices::show)
            .get("/plans/{plan}/reasons", Plan(Viewer), "Count the reasons in a plan", plan::devices::reasons)
            .get("/plans/{plan}/blocked", Plan(Viewer), "Count what blocks devices", plan::blocked::blocked)
            .get("/plans/{plan}/dry-run", Plan(Viewer), "Try a plan without effect", plan::dry_run::dry_run)
            .get(
                "/plans/{plan}/events",
                Plan(Viewer),
                "The progress of a plan, as events",
                plan::events::events,
            )
            .post("/plans/{plan}/clone", Plan(Operator), "Copy a plan", plan::copy::copy)
            .post("/plans/{plan}/activate", Plan(Operator), "Activate a plan", plan::activate::activate)
            .post("/plans/{plan}/retry", Plan(Operator), "Retry devices of a plan", plan::retry::retry)
            .post("/plans/{plan}/skip", Plan(Operator), "Skip devices of a plan", plan::retry::skip)
            .get(
                "/products/{pk}/plans",
                Product(Viewer),
                "List the upgrade plans of a product",
                plan::list::of_product,
            )
            .get("/plans/{plan}", Plan(Viewer), "Show a plan", plan::show::show)
            .delete("/plans/{plan}", Plan(Operator), "Delete a plan", plan::delete::delete);
        for (path, summary, change) in plan::state::Change::PATHS {
            let handler = move |api, plan| plan::state::change(api, plan, change);
            routes = routes.post(path, Plan(Operator), summary, handler);
        }
        // Requests whose body may hold a plan's device lists.
        routes = routes
            .limit(BodyLimit::Bytes(LISTS_MAX))
            .post("/products/{pk}/plans", Product(Operator), "Save a plan", plan::create::create)
            .patch("/plans/{plan}", Plan(Operator), "Change a plan", plan::edit::edit);
        for (path, [show, replace, clear], list) in plan::lists::PATHS {
            routes = routes
                .get(path, Plan(Viewer), show, move |api, plan, part| {
                    plan::lists::show(api, plan, part, list)
                })
                .put(path, Plan(Operator), replace, move |api, plan, csv| {
                    plan::lists::replace(api, plan, csv, list)
                })
                .delete(path, Plan(Operator), clear, move |api, plan| plan::lists::clear(api, plan, list));
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

async fn wrong_method(caller: Result<Caller, AccessError>, method: Method, uri: Uri) -> ApiError {
    if let Err(error) = caller {
        return error.into();
    }
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", message)
}
