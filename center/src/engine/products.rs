//! What an operator does to products and their components.

use super::{Engine, Result};
use crate::clock::Millis;
use crate::rules::{Admission, ComponentKind, ComponentNo, ProductKey, ProductSecret, Title};
use crate::store::{Component, Product};

impl Engine {
    /// Adds a product. [`crate::store::StoreError::Conflict`] if its key is taken, or begins like another one.
    pub async fn create_product(
        &self,
        key: &ProductKey,
        secret: &ProductSecret,
        name: &Title,
        admission: Admission,
    ) -> Result<Product> {
        let mut store = self.begin().await?;
        let product = store.create_product(key, secret, name, admission, self.clock.now()).await?;
        store.commit().await?;
        Ok(product)
    }

    /// Changes the fields that are given, and returns the product with its components.
    pub async fn edit_product(
        &self,
        key: &ProductKey,
        name: Option<Title>,
        admission: Option<Admission>,
    ) -> Result<(Product, Vec<Component>)> {
        let mut store = self.begin().await?;
        let before = store.product(key).await?;
        let (name, admission) = (name.unwrap_or(before.name), admission.unwrap_or(before.admission));
        let product = store.edit_product(key, &name, admission).await?;
        let components = store.components(key).await?;
        store.commit().await?;
        Ok((product, components))
    }

    /// Gives the product another secret. Devices that have the one of before are given this one when they come; those that
    /// have no secret of their own yet come with the one of before until `bootstrap_until`.
    pub async fn rotate_secret(
        &self,
        key: &ProductKey,
        secret: &ProductSecret,
        bootstrap_until: Option<Millis>,
    ) -> Result<(Product, Vec<Component>)> {
        let now = self.clock.now();
        let mut store = self.begin().await?;
        let product = store.rotate_secret(key, secret, bootstrap_until.unwrap_or(now), now).await?;
        let components = store.components(key).await?;
        store.commit().await?;
        Ok((product, components))
    }

    /// Adds a component to a product.
    pub async fn create_component(
        &self,
        product: &ProductKey,
        no: &ComponentNo,
        kind: ComponentKind,
    ) -> Result<Component> {
        let mut store = self.begin().await?;
        let component = store.create_component(product, no, kind, self.clock.now()).await?;
        store.commit().await?;
        Ok(component)
    }

    /// Changes the type of a component. [`crate::store::StoreError::Conflict`] while a package or a plan that is not over
    /// has it.
    pub async fn edit_component(
        &self,
        product: &ProductKey,
        no: &ComponentNo,
        kind: ComponentKind,
    ) -> Result<Component> {
        let mut store = self.begin().await?;
        let component = store.edit_component(product, no, kind).await?;
        store.commit().await?;
        Ok(component)
    }

    /// Deletes a component, on the same condition.
    pub async fn delete_component(&self, product: &ProductKey, no: &ComponentNo) -> Result<()> {
        let mut store = self.begin().await?;
        store.delete_component(product, no).await?;
        store.commit().await
    }
}
