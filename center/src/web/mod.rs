//! The console: pages for operators and end users, rendered here over the same use cases as the API.
//!
//! Everything but the live updates works without scripts: links are GET, actions are forms that POST and answer with a
//! redirect. A page asks the store and the engine; it never decides by itself what may be done.

mod assets;
mod counts;
mod explain;
mod form;
mod layout;
mod live;
mod memo;
mod pages;
mod parts;
mod refusal;
mod running;
mod texts;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef};
use axum::http::Uri;
use axum::middleware;
use axum::routing::{get, post};

use crate::access::Access;
use crate::api::error::ApiError;
use crate::api::{Api, audit_pages};
use crate::engine::Engine;
use crate::rules::ProductKey;
use crate::store::{PlanId, Reader, StoreError};

pub use self::running::{Running, without_secrets};

use self::layout::Wrong;
use self::memo::Memo;
use self::view::View;

/// Most bytes of a form; a plan's lists of devices may be pasted into one.
const FORM_MAX: usize = 80 * 1024 * 1024;

/// The same before a sign-in: a form that is kept over it has up to 1 MB.
const STRANGERS_FORM_MAX: usize = 4 * 1024 * 1024;

/// What the pages work on.
#[derive(Clone)]
pub struct Console {
    api: Api,
    running: Arc<Running>,
    /// A plan's devices by state.
    figures: Memo<PlanId, counts::PlanFigures>,
    /// What takes longer to count of a plan.
    plans: Memo<PlanId, counts::PlanCounts>,
    /// A product's devices.
    devices: Memo<ProductKey, counts::DeviceCounts>,
    /// The versions that they report.
    versions: Memo<ProductKey, counts::Versions>,
    /// The failures of the last days.
    failures: Memo<(), counts::Failures>,
}

impl FromRef<Console> for Access {
    fn from_ref(console: &Console) -> Access {
        Access::from_ref(&console.api)
    }
}

impl Console {
    /// The console over the API's use cases, for those who have an account.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self {
            api,
            running: Arc::default(),
            figures: Memo::default(),
            plans: Memo::default(),
            devices: Memo::default(),
            versions: Memo::default(),
            failures: Memo::default(),
        }
    }

    /// The same with what its page of settings shows.
    #[must_use]
    pub fn running_with(mut self, running: Running) -> Self {
        self.running = Arc::new(running);
        self
    }

    fn engine(&self) -> &Engine {
        self.api.engine()
    }

    async fn read(&self) -> Result<Reader, StoreError> {
        self.engine().store().read().await
    }

    /// Every page.
    pub fn router(self) -> Router {
        let audited = middleware::from_fn_with_state(self.api.clone(), audit_pages);
        let explained = middleware::from_fn_with_state(self.clone(), layout::finish);
        Router::new()
            .merge(Self::entrance())
            .merge(Self::things())
            .merge(Self::packages())
            .merge(Self::plans())
            .fallback(nowhere)
            .layer(DefaultBodyLimit::max(FORM_MAX))
            .layer(audited)
            .layer(explained)
            .route("/assets/{version}/{name}", get(assets::asset))
            .with_state(self)
    }

    /// What can be done without having signed in, and the first page.
    fn entrance() -> Router<Self> {
        // Whoever has not signed in brings no lists of devices.
        let small = || DefaultBodyLimit::max(STRANGERS_FORM_MAX);
        let sign_in = get(pages::sign_in::show).post(pages::sign_in::enter).layer(small());
        let password = get(pages::password::show).post(pages::password::change).layer(small());
        Router::new()
            .route("/", get(pages::fleet::show))
            .route("/live", get(pages::fleet::live))
            .route("/sign-in", sign_in)
            .route("/sign-in/provider", get(pages::sign_in::depart))
            .route("/sign-in/callback", get(pages::sign_in::arrive))
            .route("/sign-out", post(pages::sign_in::leave).layer(small()))
            .route("/password", password)
            .route("/language", get(pages::sign_in::language))
    }

    fn things() -> Router<Self> {
        use pages::{accounts, device_access, webhooks};
        Router::new()
            .route("/accounts", get(accounts::list).post(accounts::create))
            .route("/accounts/{account}/role", post(accounts::role))
            .route("/accounts/{account}/reset", post(accounts::reset))
            .route("/accounts/{account}/delete", post(accounts::delete))
            .route("/audit", get(pages::audit::show))
            .route("/settings", get(pages::settings::show))
            .route("/webhooks", get(webhooks::list).post(webhooks::create))
            .route("/webhooks/{webhook}", get(webhooks::show))
            .route("/webhooks/{webhook}/test", post(webhooks::test))
            .route("/webhooks/{webhook}/enabled", post(webhooks::enabled))
            .route("/webhooks/{webhook}/secret", post(webhooks::secret))
            .route("/webhooks/{webhook}/delete", post(webhooks::delete))
            .route("/webhooks/{webhook}/deliveries/{delivery}/replay", post(webhooks::replay))
            .route("/tokens", post(accounts::make_token))
            .route("/tokens/{token}/revoke", post(accounts::revoke))
            .route("/products", get(pages::products::list))
            .route("/products/new", get(pages::products::new).post(pages::products::create))
            .route("/products/{pk}", get(pages::product::show).post(pages::product::edit))
            .route("/products/{pk}/components", post(pages::product::add_component))
            .route("/products/{pk}/components/{component}/delete", post(pages::product::delete_component))
            .route("/devices", get(pages::devices::list))
            .route("/products/{pk}/devices/{dk}", get(pages::device::show).post(pages::device::act))
            .route("/products/{pk}/devices/{dk}/live", get(pages::device::live))
            .route("/products/{pk}/devices/{dk}/forbid", post(device_access::forbid))
            .route("/products/{pk}/devices/{dk}/allow", post(device_access::allow))
            .route(
                "/products/{pk}/devices/{dk}/delete",
                get(device_access::ask_delete).post(device_access::delete),
            )
            .route("/products/{pk}/secret", post(pages::product::replace_secret))
    }

    fn packages() -> Router<Self> {
        let upload = post(pages::packages::create).layer(DefaultBodyLimit::disable());
        Router::new()
            .route("/packages", get(pages::packages::list))
            .route("/packages/new", get(pages::packages::new))
            .route("/packages/new/{pk}", upload)
            .route("/packages/{package}", get(pages::packages::show))
            .route("/packages/{package}/files/{file}", get(pages::packages::file))
            .route("/packages/{package}/verify", post(pages::packages::verify))
            .route("/packages/{package}/delete", post(pages::packages::delete))
    }

    fn plans() -> Router<Self> {
        use pages::plan::{life, orders};
        use pages::{plan, plan_device, plan_form};
        Router::new()
            .route("/plans", get(pages::plans::list))
            .route("/plans/new", get(plan_form::new).post(plan_form::create))
            .route("/plans/preview", post(plan_form::preview))
            .route("/plans/{plan}", get(plan::show))
            .route("/plans/{plan}/live", get(plan::live))
            .route("/plans/{plan}/edit", get(plan_form::edit).post(plan_form::save))
            .route("/plans/{plan}/activate", get(life::ask_activate).post(life::activate))
            .route("/plans/{plan}/terminate", get(life::ask_terminate).post(life::terminate))
            .route("/plans/{plan}/clone", get(life::ask_clone).post(life::clone))
            .route("/plans/{plan}/suspend", post(life::suspend))
            .route("/plans/{plan}/resume", post(life::resume))
            .route("/plans/{plan}/delete", post(life::delete))
            .route("/plans/{plan}/order", post(orders::order))
            .route("/plans/{plan}/devices.csv", get(plan::csv))
            .route("/plans/{plan}/devices/{dk}", get(plan_device::show))
            .route("/plans/{plan}/devices/{dk}/live", get(plan_device::live))
            .route("/verifications", get(plan_device::verifications))
            .route("/verifications/{verification}", get(plan_device::verification))
            .route("/verifications/{verification}/live", get(plan_device::verification_live))
    }
}

async fn nowhere(_: View, uri: Uri) -> Wrong {
    Wrong::from(ApiError::missing("page", uri.path()))
}
