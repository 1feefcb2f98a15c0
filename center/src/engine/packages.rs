//! What an operator does to version packages; their files are the caller's.

use super::{Engine, Result};
use crate::rules::PackageId;
use crate::store::{NewPackage, Package};

/// What a person is told of a package for the same version with other bytes.
pub fn twin_warning(twin: &Package) -> String {
    let Package { id, content, .. } = twin;
    format!(
        "package {} ({}) has other bytes for {} {}: a device that has one counts as having the other",
        id.0, content.name, content.component, content.target
    )
}

impl Engine {
    /// Adds a version package, whose files must be in the object store.
    pub async fn create_package(&self, new: NewPackage) -> Result<Package> {
        let mut store = self.begin().await?;
        let package = store.create_package(new, self.clock.now()).await?;
        store.commit().await?;
        Ok(package)
    }

    /// Deletes a version package, and returns it so that its files can follow. [`crate::store::StoreError::Conflict`] while
    /// it is in use.
    pub async fn delete_package(&self, id: PackageId) -> Result<Package> {
        let mut store = self.begin().await?;
        let package = store.delete_package(id).await?;
        store.commit().await?;
        Ok(package)
    }
}
