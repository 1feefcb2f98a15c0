//! `POST /packages/{package}/verifications`.

use axum::extract::State;
use serde::Deserialize;

use super::Verification;
use crate::api::Api;
use crate::api::answer::Created;
use crate::api::error::ApiError;
use crate::api::extract::{Body, Named};
use crate::rules::{ComponentNo, DeviceKey};
use crate::store::PackageId;

/// What to verify the package on.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct On {
    /// Key of a device of the package's product.
    #[schemars(with = "DeviceKey")]
    device: String,
    /// The component that is meant, if the caller wants it checked.
    #[schemars(with = "Option<ComponentNo>")]
    component: Option<String>,
}

/// Begins the verification of a package on one device, outside any plan.
pub async fn start(
    State(api): State<Api>,
    Named(id): Named<PackageId>,
    Body(on): Body<On>,
) -> Result<Created<Verification>, ApiError> {
    let key = DeviceKey::new(on.device)?;
    let package = api.engine.store().read().await?.package(id).await?.content;
    if let Some(component) = on.component.map(ComponentNo::new).transpose()?
        && component != package.component
    {
        let rule = format!("version package {} is for component {}", id.0, package.component);
        return Err(ApiError::invalid("other_component", "component", component.as_str(), rule));
    }
    let upgrade = api.engine.verify(id, &key).await.map_err(ApiError::naming_the_missing)?;
    let mut store = api.engine.store().read().await?;
    Ok(Created(Verification::of(&mut store, upgrade).await?))
}
