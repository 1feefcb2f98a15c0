//! `DELETE /packages/{package}`.

use axum::Json;
use axum::extract::State;
use tracing::info;

use crate::api::Api;
use crate::api::answer::Deleted;
use crate::api::error::ApiError;
use crate::api::extract::Named;
use crate::store::PackageId;

/// Deletes a package that nothing uses; a content goes with the last package that has it.
pub async fn delete(
    State(api): State<Api>,
    Named(id): Named<PackageId>,
) -> Result<Json<Deleted<PackageId>>, ApiError> {
    remove(&api, id).await?;
    Ok(Json(Deleted { deleted: id }))
}

/// Deletes the package and the contents that no other package has.
pub(crate) async fn remove(api: &Api, id: PackageId) -> Result<(), ApiError> {
    let _naming = api.lock_naming().await?;
    let package = api.engine.delete_package(id).await?;
    let contents = package.content.files.into_iter().map(|file| (file.digests.sha256, file.object));
    api.forget_unused(contents).await;
    info!(package = id.0, "package deleted");
    Ok(())
}
