//! Products and their components.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use super::{Columns, Reader, Result, StoreError, Writer, is_duplicate};
use crate::clock::Millis;
use crate::rules::{Admission, ComponentKind, ComponentNo, ProductKey, ProductSecret, Title};
use crate::seal::{Place, Sealed};

/// A product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Product {
    /// Product key.
    pub key: ProductKey,
    /// Product secret, sealed: [`Reader::product_secret`] opens it.
    #[serde(skip)]
    pub secret: Sealed,
    /// Its name.
    pub name: Title,
    /// Which devices it takes.
    pub admission: Admission,
    /// Since when.
    pub created: Millis,
}

/// A component of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Component {
    /// Product key.
    pub product: ProductKey,
    /// Identifier, unique in the product.
    #[serde(rename = "id")]
    pub no: ComponentNo,
    /// Module or MCU firmware.
    #[serde(rename = "type")]
    pub kind: ComponentKind,
    /// Since when.
    pub created: Millis,
}

fn product(row: &AnyRow) -> Result<Product> {
    Ok(Product {
        key: row.word("pk")?,
        secret: Sealed { key: row.text("seal")?, text: row.text("secret")? },
        name: row.word("name")?,
        admission: row.word("admission")?,
        created: Millis(row.int("created_at")?),
    })
}

fn component(row: &AnyRow) -> Result<Component> {
    Ok(Component {
        product: row.word("pk")?,
        no: row.word("no")?,
        kind: row.word("kind")?,
        created: Millis(row.int("created_at")?),
    })
}

impl Reader {
    /// The product, if there is one.
    pub async fn find_product(&mut self, key: &ProductKey) -> Result<Option<Product>> {
        let row = sqlx::query("SELECT * FROM products WHERE pk = $1")
            .bind(key.as_str())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(product).transpose()
    }

    /// The product, or [`StoreError::NotFound`].
    pub async fn product(&mut self, key: &ProductKey) -> Result<Product> {
        self.find_product(key).await?.ok_or_else(|| StoreError::missing("product", key))
    }

    /// All products, by key.
    pub async fn products(&mut self) -> Result<Vec<Product>> {
        let rows = sqlx::query("SELECT * FROM products ORDER BY pk").fetch_all(self.connection()).await?;
        rows.iter().map(product).collect()
    }

    /// The product's component, if there is one.
    pub async fn find_component(&mut self, key: &ProductKey, no: &ComponentNo) -> Result<Option<Component>> {
        let row = sqlx::query("SELECT * FROM components WHERE pk = $1 AND no = $2")
            .bind(key.as_str())
            .bind(no.as_str())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(component).transpose()
    }

    /// The product's component, or [`StoreError::NotFound`].
    pub async fn component(&mut self, key: &ProductKey, no: &ComponentNo) -> Result<Component> {
        self.find_component(key, no)
            .await?
            .ok_or_else(|| StoreError::missing("component", format!("{no} of product {key}")))
    }

    /// The product's components, by identifier.
    pub async fn components(&mut self, key: &ProductKey) -> Result<Vec<Component>> {
        let rows = sqlx::query("SELECT * FROM components WHERE pk = $1 ORDER BY no")
            .bind(key.as_str())
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(component).collect()
    }
}

impl Writer {
    /// Locks the product until the end of the transaction, against others that lock it so.
    pub async fn lock_product(&mut self, key: &ProductKey) -> Result<()> {
        let query = self.locked("SELECT pk FROM products WHERE pk = $1");
        let row = sqlx::query(query).bind(key.as_str()).fetch_optional(self.connection()).await?;
        row.map(drop).ok_or_else(|| StoreError::missing("product", key))
    }

    /// Adds a product. [`StoreError::Conflict`] if the key is taken, or if it and another begin alike so that client ids
    /// (product key and device key without a border, QUECTHING.md 4.1) could belong to both.
    pub async fn create_product(
        &mut self,
        key: &ProductKey,
        secret: &ProductSecret,
        name: &Title,
        admission: Admission,
        now: Millis,
    ) -> Result<Product> {
        self.lock_table("products").await?;
        if self.find_product(key).await?.is_some() {
            return Err(StoreError::conflict("product", key, "there is a product with this key already"));
        }
        // As no key is the beginning of another, only the neighbours in the order of keys can be.
        let neighbours = [
            "SELECT pk FROM products WHERE pk < $1 ORDER BY pk DESC LIMIT 1",
            "SELECT pk FROM products WHERE pk > $1 ORDER BY pk LIMIT 1",
        ];
        for query in neighbours {
            let row = sqlx::query(query).bind(key.as_str()).fetch_optional(self.connection()).await?;
            let Some(other) = row.map(|row| row.text("pk")).transpose()? else { continue };
            if key.as_str().starts_with(&other) || other.starts_with(key.as_str()) {
                let reason = format!(
                    "it and product key {other:?} begin alike; a key must not be the beginning of another one"
                );
                return Err(StoreError::conflict("product", key, reason));
            }
        }
        let sealed = self.keys.seal(Place::Product(key.as_str()), secret.as_str())?;
        let row = sqlx::query(
            "INSERT INTO products (pk, secret, name, admission, created_at, seal) VALUES ($1, $2, $3, $4, $5, $6) \
             RETURNING *",
        )
        .bind(key.as_str())
        .bind(sealed.text)
        .bind(name.as_str())
        .bind(admission.as_str())
        .bind(now.0)
        .bind(sealed.key)
        .fetch_one(self.connection())
        .await?;
        product(&row)
    }

    /// Stores another name and another rule for new devices.
    pub async fn edit_product(
        &mut self,
        key: &ProductKey,
        name: &Title,
        admission: Admission,
    ) -> Result<Product> {
        let row = sqlx::query("UPDATE products SET name = $2, admission = $3 WHERE pk = $1 RETURNING *")
            .bind(key.as_str())
            .bind(name.as_str())
            .bind(admission.as_str())
            .fetch_optional(self.connection())
            .await?;
        product(&row.ok_or_else(|| StoreError::missing("product", key))?)
    }

    /// Changes the type of a component. [`StoreError::Conflict`] while a package or a plan that is not over has it.
    pub async fn edit_component(
        &mut self,
        key: &ProductKey,
        no: &ComponentNo,
        kind: ComponentKind,
    ) -> Result<Component> {
        self.check_component_free(key, no).await?;
        self.check_one_module(key, no, kind).await?;
        sqlx::query("UPDATE components SET kind = $3 WHERE pk = $1 AND no = $2")
            .bind(key.as_str())
            .bind(no.as_str())
            .bind(kind.as_str())
            .execute(self.connection())
            .await?;
        self.component(key, no).await
    }

    /// Deletes a component. [`StoreError::Conflict`] while a package or a plan that is not over has it.
    pub async fn delete_component(&mut self, key: &ProductKey, no: &ComponentNo) -> Result<()> {
        self.check_component_free(key, no).await?;
        sqlx::query("DELETE FROM components WHERE pk = $1 AND no = $2")
            .bind(key.as_str())
            .bind(no.as_str())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// A device has one module, and tells one version of it.
    async fn check_one_module(
        &mut self,
        key: &ProductKey,
        no: &ComponentNo,
        kind: ComponentKind,
    ) -> Result<()> {
        if kind != ComponentKind::Module {
            return Ok(());
        }
        let others = self.components(key).await?;
        let module = others.iter().find(|other| other.kind == ComponentKind::Module && other.no != *no);
        match module {
            Some(module) => {
                let reason = format!(
                    "component {:?} is the module already, and a device has one; make this one an MCU's, or delete that one",
                    module.no.as_str()
                );
                Err(StoreError::conflict("component", no, reason))
            }
            None => Ok(()),
        }
    }

    async fn check_component_free(&mut self, key: &ProductKey, no: &ComponentNo) -> Result<()> {
        let lock = self.locked_for_deletion("SELECT no FROM components WHERE pk = $1 AND no = $2");
        sqlx::query(lock).bind(key.as_str()).bind(no.as_str()).fetch_optional(self.connection()).await?;
        self.component(key, no).await?;
        let users = [
            ("version package", "SELECT name FROM packages WHERE pk = $1 AND component = $2 LIMIT 1"),
            (
                "upgrade plan",
                "SELECT plans.name AS name FROM plans JOIN plan_components ON plan_components.plan_id = plans.id \
                 WHERE plans.pk = $1 AND plan_components.component = $2 \
                 AND plans.state NOT IN ('terminated', 'ended') LIMIT 1",
            ),
        ];
        for (what, query) in users {
            let row = sqlx::query(query)
                .bind(key.as_str())
                .bind(no.as_str())
                .fetch_optional(self.connection())
                .await?;
            if let Some(row) = row {
                let reason = format!("{what} {:?} is for it; delete or end that first", row.text("name")?);
                return Err(StoreError::conflict("component", no, reason));
            }
        }
        Ok(())
    }

    /// Adds a component to a product.
    pub async fn create_component(
        &mut self,
        key: &ProductKey,
        no: &ComponentNo,
        kind: ComponentKind,
        now: Millis,
    ) -> Result<Component> {
        self.lock_product(key).await?;
        self.check_one_module(key, no, kind).await?;
        let inserted = sqlx::query(
            "INSERT INTO components (pk, no, kind, created_at) VALUES ($1, $2, $3, $4) RETURNING *",
        )
        .bind(key.as_str())
        .bind(no.as_str())
        .bind(kind.as_str())
        .bind(now.0)
        .fetch_one(self.connection())
        .await;
        match inserted {
            Ok(row) => component(&row),
            Err(error) if is_duplicate(&error) => Err(StoreError::conflict(
                "component",
                no,
                format!("product {key} has this component already"),
            )),
            Err(error) => Err(error.into()),
        }
    }
}
