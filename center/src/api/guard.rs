//! Lets nobody in who may not: what a route requires is checked before its handler sees the request.

use axum::extract::{RawPathParams, Request, State};
use axum::http::{Extensions, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Api;
use super::error::ApiError;
use super::idempotency::{self, Begun};
use super::routes::{BodyLimit, Requires};
use super::{audited, condition, suggest};
use crate::access::{AccessError, Caller, Principal, Role};
use crate::peer::Peer;
use crate::planted::Bug;
use crate::rules::{DeviceKey, ProductKey};
use crate::store::{PackageId, PlanId, UpgradeId};

/// What stands before one route.
#[derive(Clone)]
pub(super) struct Guard {
    pub(super) api: Api,
    pub(super) path: &'static str,
    pub(super) requires: Requires,
    pub(super) limit: BodyLimit,
}

/// Middleware of one route: lets a request pass whose caller has what the route requires. What those who run the center
/// change goes into the audit log; what an end user does is in the log of their device.
pub(super) async fn check(
    State(guard): State<Guard>,
    names: RawPathParams,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Some(role) = guard.requires.role() else { return Ok(next.run(request).await) };
    let caller = guard.api.access.caller(request.method(), request.headers()).await;
    if let Err(AccessError::WrongToken) = &caller {
        let peer = request.extensions().get().copied().unwrap_or(Peer::UNKNOWN);
        guard.api.access.refused(peer.address);
        guard.api.engine.metrics().token_refused();
    }
    let caller = caller?;
    match &caller {
        Caller::Staff(principal) => guard.check_staff(principal, role, &names).await?,
        Caller::EndUser(user) => {
            let owns = match guard.requires {
                Requires::Device(_) => user.owns(&product(&names)?, &DeviceKey::new(name(&names, "dk")?)?),
                _ => false,
            };
            if !owns {
                return Err(AccessError::EndUser.into());
            }
        }
    }
    request.extensions_mut().insert(caller.clone());
    if request.method().is_safe() {
        let headers = request.headers().clone();
        let mut answer = next.run(request).await;
        if guard.api.things.is_conditional(guard.path) {
            answer = condition::tagged(guard.path, &headers, answer).await?;
        }
        if Bug::UndescribedAnswer.is_planted() && guard.path == "/products/{pk}" {
            *answer.status_mut() = StatusCode::IM_A_TEAPOT;
        }
        return match &caller {
            Caller::Staff(principal) => Ok(suggest::added(&guard.api, principal, &names, answer).await),
            Caller::EndUser(_) => Ok(answer),
        };
    }
    // It goes on to its end if the caller goes away meanwhile: what became of it is noted, and kept for whoever asks again.
    let change = tokio::spawn(async move { guard.change(&caller, &names, request, next).await });
    change.await.map_err(|error| ApiError::internal(&error))?
}

impl Guard {
    /// Runs a request that changes something.
    async fn change(
        &self,
        caller: &Caller,
        names: &RawPathParams,
        request: Request,
        next: Next,
    ) -> Result<Response, ApiError> {
        let thing = self.api.things.conditional(self.path, request.uri().path());
        let mut known = Extensions::new();
        known.insert(caller.clone());
        // Held until the change is made.
        let _held = condition::check(&self.api, request.headers(), thing, &known).await?;
        let begun = if request.method() == Method::POST {
            idempotency::begin(&self.api, &caller.to_string(), self.limit, request).await?
        } else {
            Begun::New(request, None)
        };
        let (request, once) = match begun {
            Begun::New(request, once) => (request, once),
            Begun::Known(answer) => return Ok(answer),
        };
        if Bug::PanickingHandler.is_planted() && self.path == "/products/{pk}/components" {
            panic!("a handler panics, as it was planted");
        }
        let answer = match caller {
            Caller::Staff(principal) => {
                let action = format!("{} {}", request.method(), self.path);
                let run = audited::run(&self.api, &action, self.path, principal, request, next).await;
                suggest::added(&self.api, principal, names, run.into_response()).await
            }
            Caller::EndUser(_) => next.run(request).await,
        };
        match once {
            Some(once) => once.end(answer).await,
            None => Ok(answer),
        }
    }

    async fn check_staff(
        &self,
        principal: &Principal,
        role: Role,
        names: &RawPathParams,
    ) -> Result<(), ApiError> {
        if !Bug::UncheckedRole.is_planted() {
            principal.require(role)?;
        }
        // Whoever reaches to every product need not wait for the question whose it is.
        if principal.products.is_all() {
            return Ok(());
        }
        match self.requires {
            Requires::Nothing(_) | Requires::Anywhere(_) => Ok(()),
            Requires::Everywhere(_) => Ok(principal.require_all_products()?),
            Requires::Product(_) | Requires::Device(_) => Ok(principal.require_product(&product(names)?)?),
            // A number out of reach is answered as one that there is not.
            Requires::Plan(_) => {
                let (id, missing) = numbered(names, "plan", "upgrade plan")?;
                let plan = self.api.engine.store().read().await?.plan(PlanId(id)).await?;
                in_reach(principal, &plan.settings.product, missing)
            }
            Requires::Package(_) => {
                let (id, missing) = numbered(names, "package", "version package")?;
                let package = self.api.engine.store().read().await?.package(PackageId(id)).await?;
                in_reach(principal, &package.content.product, missing)
            }
            Requires::Verification(_) => {
                let (id, missing) = numbered(names, "verification", "firmware verification")?;
                let mut store = self.api.engine.store().read().await?;
                let Ok(upgrade) = store.upgrade(UpgradeId(id)).await else { return Err(missing) };
                let device = store.device_by_id(upgrade.device).await?;
                in_reach(principal, &device.product, missing)
            }
        }
    }
}

fn in_reach(principal: &Principal, product: &ProductKey, missing: ApiError) -> Result<(), ApiError> {
    if principal.products.allows(product) { Ok(()) } else { Err(missing) }
}

/// A name of the path. A route whose requirement needs one that its path does not have is refused for everybody, which
/// the test of all routes sees.
fn name<'a>(names: &'a RawPathParams, wanted: &str) -> Result<&'a str, ApiError> {
    let found = names.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    let wrong = || {
        let message = format!("the route has no {{{wanted}}} in its path");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    };
    found.ok_or_else(wrong)
}

fn product(names: &RawPathParams) -> Result<ProductKey, ApiError> {
    Ok(ProductKey::new(name(names, "pk")?)?)
}

fn numbered(names: &RawPathParams, wanted: &str, thing: &str) -> Result<(i64, ApiError), ApiError> {
    let given = name(names, wanted)?;
    let id = given.parse().map_err(|_| ApiError::missing(thing, given))?;
    Ok((id, ApiError::missing(thing, given)))
}
