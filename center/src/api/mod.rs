//! REST under `/api/v1`, behind a bearer token. One file per use case.

pub mod bearer;
mod component;
mod csv;
mod device;
pub mod error;
mod events;
mod metrics;
mod package;
mod page;
mod plan;
mod product;
mod user;
mod verification;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::routing::{get, patch, post};
use axum::{Json, Router, middleware};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::bearer::Token;
use self::error::ApiError;
use self::events::Streams;
use crate::engine::Engine;
use crate::packages::depot::Depot;
use crate::store::PackageId;

/// Most bytes of a request that is neither an upload nor a plan with its lists.
const BODY_MAX: usize = 8 * 1024 * 1024;

/// Most bytes of a plan with its lists: a million device keys each.
const LISTS_MAX: usize = 80 * 1024 * 1024;

/// What the use cases work on.
#[derive(Clone)]
pub struct Api {
    engine: Engine,
    depot: Depot,
    /// Held while contents get their names and their package its row, so that a package that fails never takes
    /// away a content that another one has just begun to share.
    naming: Arc<Mutex<()>>,
    streams: Streams,
}

impl Api {
    /// The API over an engine and the packages' files.
    #[must_use]
    pub fn new(engine: Engine, depot: Depot) -> Self {
        Self { engine, depot, naming: Arc::default(), streams: Streams::default() }
    }

    /// Streams of events end with `stop`: they would hold up the end of the process.
    #[must_use]
    pub fn until(mut self, stop: CancellationToken) -> Self {
        self.streams.stop = stop;
        self
    }

    /// Everything under `/api`, `/metrics`, and `/health`.
    pub fn router(self, token: Token) -> Router {
        let metrics_token = token.clone();
        let v1 = Router::new()
            .route("/products", get(product::list::list).post(product::create::create))
            .route("/products/{product}", get(product::show::show).patch(product::edit::edit))
            .route("/products/{product}/components", post(component::add::add))
            .route(
                "/products/{product}/components/{component}",
                patch(component::edit::edit).delete(component::edit::delete),
            )
            .route("/products/{product}/devices", get(device::list::list))
            .route("/products/{product}/devices.csv", get(device::list::export))
            .route(
                "/products/{product}/devices/import",
                // It is read line by line, and has its limits there.
                post(device::import::import).layer(DefaultBodyLimit::disable()),
            )
            .route("/products/{product}/devices/{device}", get(device::show::show))
            .route("/products/{product}/devices/{device}/log", get(device::log::log))
            .route("/products/{product}/devices/{device}/upgrades", get(device::upgrades::upgrades))
            .route("/devices/{product}/{device}/why", get(device::why::why))
            .route("/devices/{product}/{device}/upgrade-plan", get(user::plan::plan))
            .route("/devices/{product}/{device}/upgrade-plan/events", get(user::events::events))
            .route("/devices/{product}/{device}/upgrade-plan/confirm", post(user::word::confirm))
            .route("/devices/{product}/{device}/upgrade-plan/appoint", post(user::word::appoint))
            .route("/devices/{product}/{device}/upgrade-plan/cancel", post(user::word::cancel))
            .route("/devices/{product}/{device}/upgrade-plan/retry", post(user::word::retry))
            .route(
                "/devices/{product}/{device}/auto-confirm",
                get(user::auto_confirm::show).put(user::auto_confirm::set),
            )
            .route(
                "/packages",
                // An upload has its own limits, per file.
                get(package::list::list)
                    .merge(post(package::upload::upload).layer(DefaultBodyLimit::disable())),
            )
            .route("/packages/{package}", get(package::show::show).delete(package::delete::delete))
            .route("/packages/{package}/files/{file}", get(package::download::download))
            .route(
                "/packages/{package}/verifications",
                get(verification::list::list).post(verification::start::start),
            )
            .route("/verifications/{verification}", get(verification::show::show))
            .merge(Self::plans_with_lists().layer(DefaultBodyLimit::max(LISTS_MAX)))
            .route("/plans/{plan}/held", get(plan::held::held))
            .route("/plans/{plan}/devices", get(plan::devices::list))
            .route("/plans/{plan}/devices.csv", get(plan::devices::export))
            .route("/plans/{plan}/devices/{device}", get(plan::devices::show))
            .route("/plans/{plan}/reasons", get(plan::devices::reasons))
            .route("/plans/{plan}/events", get(plan::events::events))
            .route("/plans/{plan}/dry-run", get(plan::dry_run::dry_run))
            .route("/plans/{plan}/retry", post(plan::order::retry))
            .route("/plans/{plan}/skip", post(plan::order::skip))
            .route("/plans/{plan}/clone", post(plan::copy::copy))
            .route("/plans/{plan}/activate", post(plan::activate::activate))
            .route("/plans/{plan}/suspend", post(plan::life::suspend))
            .route("/plans/{plan}/resume", post(plan::life::resume))
            .route("/plans/{plan}/terminate", post(plan::life::terminate))
            .method_not_allowed_fallback(wrong_method)
            .fallback(nowhere)
            .layer(DefaultBodyLimit::max(BODY_MAX))
            .layer(middleware::from_fn_with_state(token, bearer::require));
        let metrics =
            get(metrics::metrics).layer(middleware::from_fn_with_state(metrics_token, bearer::require));
        Router::new()
            .nest("/api/v1", v1)
            .route("/metrics", metrics)
            .route("/health", get(health))
            .with_state(self)
    }

    fn plans_with_lists() -> Router<Self> {
        Router::new()
            .route("/plans", get(plan::list::list).post(plan::create::create))
            .route(
                "/plans/{plan}",
                get(plan::show::show).patch(plan::edit::edit).delete(plan::delete::delete),
            )
            .route("/plans/{plan}/whitelist", get(plan::lists::white).put(plan::lists::put_white))
            .route("/plans/{plan}/blacklist", get(plan::lists::black).put(plan::lists::put_black))
    }
}

/// Whether the center can do its work: its database answers.
async fn health(State(api): State<Api>) -> Result<Json<Value>, ApiError> {
    api.engine.store().read().await?.find_package(PackageId(0)).await?;
    Ok(Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })))
}

async fn nowhere(uri: Uri) -> ApiError {
    ApiError::missing("path", uri.path())
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    let message = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", message)
}
