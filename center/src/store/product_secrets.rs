//! Secrets that a product had before: devices prove themselves by them until they have the one of now.

use super::{Columns, DeviceId, Product, Reader, Result, StoreError, Writer};
use crate::clock::Millis;
use crate::rules::{ProductKey, ProductSecret};
use crate::seal::{Place, Sealed};

/// A secret that was replaced.
#[derive(Debug, Clone)]
pub struct ReplacedSecret {
    /// The secret, in the clear.
    pub secret: ProductSecret,
    /// Until when devices without a secret of their own may still come with it.
    pub bootstrap_until: Millis,
}

// A test shows that it has its index.
pub(super) const REPLACED_SECRETS: &str =
    "SELECT secret, seal, bootstrap_until FROM product_secrets WHERE pk = $1 ORDER BY id DESC";

/// Time between two attempts to give one device the secret of now: it may be one that does not keep it.
const SENT_AGAIN: Millis = Millis::hours(24);

impl Reader {
    /// What the product's secret was before, the last one first.
    pub async fn replaced_secrets(&mut self, product: &ProductKey) -> Result<Vec<ReplacedSecret>> {
        let rows = sqlx::query(REPLACED_SECRETS).bind(product.as_str()).fetch_all(self.connection()).await?;
        rows.iter()
            .map(|row| {
                let sealed = Sealed { key: row.text("seal")?, text: row.text("secret")? };
                let secret = self.keys.open(Place::Product(product.as_str()), &sealed)?;
                let secret =
                    ProductSecret::new(secret).map_err(|error| StoreError::Unusable(error.to_string()))?;
                Ok(ReplacedSecret { secret, bootstrap_until: Millis(row.int("bootstrap_until")?) })
            })
            .collect()
    }
}

impl Writer {
    /// The product has another secret from now on. What it was stays known: devices come with it that do not know better,
    /// those without a secret of their own until `bootstrap_until`. [`StoreError::Conflict`] if it is that one already.
    pub async fn rotate_secret(
        &mut self,
        key: &ProductKey,
        secret: &ProductSecret,
        bootstrap_until: Millis,
        now: Millis,
    ) -> Result<Product> {
        self.lock_product(key).await?;
        let before = self.product(key).await?;
        if self.product_secret(&before)?.as_str() == secret.as_str() {
            let reason = "its secret is this one already; give another one, or none to have one made";
            return Err(StoreError::conflict("product", key, reason));
        }
        sqlx::query(
            "INSERT INTO product_secrets (pk, secret, seal, replaced_at, bootstrap_until) \
             SELECT pk, secret, seal, $2, $3 FROM products WHERE pk = $1",
        )
        .bind(key.as_str())
        .bind(now.0)
        .bind(bootstrap_until.0)
        .execute(self.connection())
        .await?;
        let sealed = self.keys.seal(Place::Product(key.as_str()), secret.as_str())?;
        sqlx::query("UPDATE products SET secret = $2, seal = $3 WHERE pk = $1")
            .bind(key.as_str())
            .bind(sealed.text)
            .bind(sealed.key)
            .execute(self.connection())
            .await?;
        self.product(key).await
    }

    /// Notes that the device is given the product's secret of now; says whether it is to be given it: it was not for a day,
    /// or not this one.
    pub async fn note_secret_sent(&mut self, id: DeviceId, now: Millis) -> Result<bool> {
        let done = sqlx::query(
            "UPDATE devices SET secret_sent_at = $2 WHERE id = $1 AND (secret_sent_at IS NULL OR secret_sent_at <= $3 \
             OR secret_sent_at <= (SELECT MAX(replaced_at) FROM product_secrets WHERE pk = devices.pk))",
        )
        .bind(id.0)
        .bind(now.0)
        .bind((now - SENT_AGAIN).0)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() > 0)
    }
}
