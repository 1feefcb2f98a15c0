//! REST under `/api/v1`, for those who have access. One file per use case.
//!
//! One tree of paths: what is named within its product (components, devices and all that belongs to one device) is below
//! `/products/{pk}`, and so are the lists of packages and plans and the requests that create them. What has a number of
//! its own in the center (a package, a plan, a verification) is addressed by that number alone.

mod component;
mod csv;
mod device;
pub mod error;
mod events;
mod extract;
mod guard;
mod metrics;
mod package;
mod page;
mod plan;
mod product;
mod user;
mod verification;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, FromRef, State};
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{get, patch, post};
use axum::{Json, Router, middleware};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::error::ApiError;
use self::events::Streams;
use crate::access::Access;
use crate::engine::Engine;
use crate::packages::object_store::Objects;
use crate::store::PackageId;

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
    /// Held while contents get their names and their package its row, so that a package that fails never takes
    /// away a content that another one has just begun to share.
    naming: Arc<Mutex<()>>,
    streams: Streams,
}

impl Api {
    /// The API over an engine and the packages' files, for those who have access.
    #[must_use]
    pub fn new(engine: Engine, objects: Objects, access: Access) -> Self {
        Self { engine, objects, access, naming: Arc::default(), streams: Streams::default() }
    }

    /// Streams of events end with `stop`: they would hold up the end of the process.
    #[must_use]
    pub fn until(mut self, stop: CancellationToken) -> Self {
        self.streams.stop = stop;
        self
    }

    /// Everything under `/api`, `/metrics`, and `/health`.
    pub fn router(self) -> Router {
        let guard = middleware::from_fn_with_state(self.access.clone(), guard::by_method);
        let v1 = Router::new()
            .merge(Self::products())
            .merge(Self::devices())
            .merge(Self::packages())
            .merge(Self::plans())
            .merge(Self::device_lists().layer(DefaultBodyLimit::max(LISTS_MAX)))
            .method_not_allowed_fallback(wrong_method)
            .fallback(nowhere)
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .layer(guard.clone());
        Router::new()
            .nest("/api/v1", v1)
            .route("/metrics", get(metrics::metrics).layer(guard))
            .route("/health", get(health))
            .with_state(self)
    }

    fn products() -> Router<Self> {
        Router::new()
            .route("/products", get(product::list::list).post(product::create::create))
            .route("/products/{pk}", get(product::show::show).patch(product::edit::edit))
            .route("/products/{pk}/components", get(component::list).post(component::add))
            .route("/products/{pk}/components/{component}", patch(component::edit).delete(component::delete))
    }

    /// A device, and what belongs to it; the end user of a device needs nothing else.
    fn devices() -> Router<Self> {
        // Read line by line, with a limit per line.
        let import = post(device::import::import).layer(DefaultBodyLimit::disable());
        Router::new()
            .route("/products/{pk}/devices", get(device::list::list).merge(import))
            .route("/products/{pk}/devices.csv", get(device::list::export))
            .route("/products/{pk}/devices/{dk}", get(device::show::show))
            .route("/products/{pk}/devices/{dk}/log", get(device::log::log))
            .route("/products/{pk}/devices/{dk}/upgrades", get(device::upgrades::upgrades))
            .route("/products/{pk}/devices/{dk}/why", get(device::why::why))
            .route(
                "/products/{pk}/devices/{dk}/auto-confirm",
                get(user::auto_confirm::show).put(user::auto_confirm::set),
            )
            .route("/products/{pk}/devices/{dk}/upgrade-plan", get(user::plan::plan))
            .route("/products/{pk}/devices/{dk}/upgrade-plan/events", get(user::events::events))
            .route("/products/{pk}/devices/{dk}/upgrade-plan/{action}", post(user::action::action))
    }

    fn packages() -> Router<Self> {
        // An upload has limits per file and field.
        let upload = post(package::upload::upload).layer(DefaultBodyLimit::disable());
        Router::new()
            .route("/products/{pk}/packages", get(package::list::of_product).merge(upload))
            .route("/packages", get(package::list::of_all))
            .route("/packages/{package}", get(package::show::show).delete(package::delete::delete))
            .route("/packages/{package}/files/{file}", get(package::download::download))
            .route(
                "/packages/{package}/verifications",
                get(verification::list::list).post(verification::start::start),
            )
            .route("/verifications/{verification}", get(verification::show::show))
    }

    fn plans() -> Router<Self> {
        let mut plans = Router::new()
            .route("/plans", get(plan::list::of_all))
            .route("/plans/{plan}/devices", get(plan::devices::list))
            .route("/plans/{plan}/devices.csv", get(plan::devices::export))
            .route("/plans/{plan}/devices/{dk}", get(plan::devices::show))
            .route("/plans/{plan}/reasons", get(plan::devices::reasons))
            .route("/plans/{plan}/blocked", get(plan::blocked::blocked))
            .route("/plans/{plan}/dry-run", get(plan::dry_run::dry_run))
            .route("/plans/{plan}/events", get(plan::events::events))
            .route("/plans/{plan}/clone", post(plan::copy::copy))
            .route("/plans/{plan}/activate", post(plan::activate::activate))
            .route("/plans/{plan}/retry", post(plan::retry::retry))
            .route("/plans/{plan}/skip", post(plan::retry::skip));
        for (path, change) in plan::state::Change::PATHS {
            plans = plans.route(path, post(move |api, plan| plan::state::change(api, plan, change)));
        }
        plans
    }

    /// Requests whose body may hold a plan's device lists.
    fn device_lists() -> Router<Self> {
        let mut plans = Router::new()
            .route("/products/{pk}/plans", get(plan::list::of_product).post(plan::create::create))
            .route(
                "/plans/{plan}",
                get(plan::show::show).patch(plan::edit::edit).delete(plan::delete::delete),
            );
        for (path, list) in plan::lists::PATHS {
            let show = get(move |api, plan, part| plan::lists::show(api, plan, part, list));
            let replace = move |api, plan, csv| plan::lists::replace(api, plan, csv, list);
            let clear = move |api, plan| plan::lists::clear(api, plan, list);
            plans = plans.route(path, show.put(replace).delete(clear));
        }
        plans
    }
}

impl FromRef<Api> for Access {
    fn from_ref(api: &Api) -> Access {
        api.access.clone()
    }
}

/// Whether the center can do its work: its database answers, and what is due is done.
async fn health(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    api.engine.store().read().await?.find_package(PackageId(0)).await?;
    if let Some(error) = api.engine.tick_error() {
        let message = format!("what is due is not done, the last tick failed: {error}");
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "tick", message));
    }
    Ok(Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })))
}

async fn nowhere(uri: Uri) -> ApiError {
    ApiError::missing("path", uri.path())
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", message)
}
