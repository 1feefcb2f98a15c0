//! `/products/{pk}/components`: the components of a product.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use super::Api;
use super::answer::{Created, Deleted};
use super::error::ApiError;
use super::extract::{Asked, Body, Named};
use super::page::{Answer, Key, Part};
use crate::rules::{ComponentKind, ComponentNo, ProductKey};
use crate::store::Component;

/// A new component.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    /// Identifier, as devices report it.
    #[schemars(with = "ComponentNo")]
    id: String,
    /// `module` or `mcu`.
    #[serde(rename = "type")]
    #[schemars(with = "ComponentKind")]
    kind: String,
}

/// What may change; the identifier is in the devices' firmware.
#[derive(Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Changes {
    /// `module` or `mcu`.
    #[serde(rename = "type")]
    #[schemars(with = "ComponentKind")]
    kind: String,
}

/// `GET /products/{pk}/components`: a page of them, by identifier.
pub(super) async fn list(
    State(api): State<Api>,
    Named(product): Named<ProductKey>,
    Asked(part): Asked<Part<Key>>,
) -> Result<Json<Answer<Component>>, ApiError> {
    let limit = part.limit()?;
    let mut store = api.engine.store().read().await?;
    store.product(&product).await?;
    let components = store.components(&product).await?.into_iter();
    let rest = components.filter(|component| component.no.as_str() > part.after());
    Ok(Json(Answer::cut(rest, limit, |component| component.no.to_string())))
}

/// `POST /products/{pk}/components`: adds a component to a product.
pub(super) async fn add(
    State(api): State<Api>,
    Named(product): Named<ProductKey>,
    Body(new): Body<New>,
) -> Result<Created<Component>, ApiError> {
    ApiError::check_seen("component", &new.id)?;
    let component =
        api.engine.create_component(&product, &ComponentNo::new(new.id)?, new.kind.parse()?).await?;
    Ok(Created(component))
}

/// `PATCH /products/{pk}/components/{component}`: changes the type of a component that no package or plan is for.
pub(super) async fn edit(
    State(api): State<Api>,
    Named((product, id)): Named<(ProductKey, ComponentNo)>,
    Body(changes): Body<Changes>,
) -> Result<Json<Component>, ApiError> {
    Ok(Json(api.engine.edit_component(&product, &id, changes.kind.parse()?).await?))
}

/// `DELETE /products/{pk}/components/{component}`: deletes a component that no package or plan is for.
pub(super) async fn delete(
    State(api): State<Api>,
    Named((product, id)): Named<(ProductKey, ComponentNo)>,
) -> Result<Json<Deleted<ComponentNo>>, ApiError> {
    api.engine.delete_component(&product, &id).await?;
    Ok(Json(Deleted { deleted: id }))
}
