//! Lets nobody in who may not.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::error::ApiError;
use crate::access::{Access, AccessError, Caller, Role};

/// Middleware: lets a request pass whose caller may read, or change when the method changes something.
pub(super) async fn by_method(
    State(access): State<Access>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let caller = access.caller(request.method(), request.headers()).await?;
    match &caller {
        Caller::Staff(principal) => {
            principal.require(if request.method().is_safe() { Role::Viewer } else { Role::Operator })?;
            principal.require_all_products()?;
        }
        Caller::EndUser(_) => return Err(AccessError::EndUser.into()),
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}
