//! Secrets of products and devices: opened for who needs them, and brought under the key in use.

use sqlx::Executor;
use sqlx::any::AnyRow;

use super::url_keys::NEXT_URL_KEY_SEAL;
use super::webhooks::NEXT_WEBHOOK_SEAL;
use super::{Backend, Columns, Device, Product, Reader, Result, Store, StoreError, Writer};
use crate::rules::{DeviceSecret, ProductSecret};
use crate::seal::{Place, Sealed};

/// Rows that are sealed in one transaction.
const BATCH: i64 = 500;

/// How many secrets were brought under the key in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// They stood in the clear.
    pub plain: u64,
    /// They were sealed with a key of before.
    pub former: u64,
}

// Which keys there are, one look for each; and rows under another key than $1: every one below or above it, in one order for
// all centers that seal at the same time.
pub(super) const NEXT_PRODUCT_KEY: &str = "SELECT MIN(seal) AS seal FROM products WHERE seal > $1";
pub(super) const NEXT_DEVICE_KEY: &str = "SELECT MIN(seal) AS seal FROM devices WHERE seal > $1";
pub(super) const PRODUCTS_BELOW: &str =
    "SELECT pk, '' AS dk, secret, seal FROM products WHERE seal < $1 ORDER BY seal, pk LIMIT $2";
pub(super) const PRODUCTS_ABOVE: &str =
    "SELECT pk, '' AS dk, secret, seal FROM products WHERE seal > $1 ORDER BY seal, pk LIMIT $2";
pub(super) const DEVICES_BELOW: &str =
    "SELECT pk, dk, secret, seal FROM devices WHERE seal < $1 ORDER BY seal, id LIMIT $2";
pub(super) const DEVICES_ABOVE: &str =
    "SELECT pk, dk, secret, seal FROM devices WHERE seal > $1 ORDER BY seal, id LIMIT $2";

pub(super) const NEXT_REPLACED_KEY: &str = "SELECT MIN(seal) AS seal FROM product_secrets WHERE seal > $1";
pub(super) const REPLACED_BELOW: &str = "SELECT pk, CAST(id AS TEXT) AS dk, secret, seal FROM product_secrets WHERE seal < $1 \
             ORDER BY seal, id LIMIT $2";
pub(super) const REPLACED_ABOVE: &str = "SELECT pk, CAST(id AS TEXT) AS dk, secret, seal FROM product_secrets WHERE seal > $1 \
             ORDER BY seal, id LIMIT $2";

const SEAL_PRODUCT: &str =
    "UPDATE products SET secret = $1, seal = $2 WHERE pk = $4 AND seal = $3 AND $5 = ''";
const SEAL_DEVICE: &str = "UPDATE devices SET secret = $1, seal = $2 WHERE pk = $4 AND seal = $3 AND dk = $5";
const SEAL_REPLACED: &str = "UPDATE product_secrets SET secret = $1, seal = $2 \
                             WHERE pk = $4 AND seal = $3 AND id = CAST($5 AS BIGINT)";

impl Reader {
    /// The product's secret in the clear, for the protocol.
    pub fn product_secret(&self, product: &Product) -> Result<ProductSecret> {
        let secret = self.keys.open(Place::Product(product.key.as_str()), &product.secret)?;
        ProductSecret::new(secret).map_err(|error| StoreError::Unusable(error.to_string()))
    }

    /// The device's secret in the clear, for the protocol.
    pub fn device_secret(&self, device: &Device) -> Result<DeviceSecret> {
        let place = Place::Device(device.product.as_str(), device.key.as_str());
        let secret = self.keys.open(place, &device.secret)?;
        DeviceSecret::new(secret).map_err(|error| StoreError::Unusable(error.to_string()))
    }
}

impl Writer {
    /// Brings up to [`BATCH`] rows of one kind under the key in use, and counts them.
    async fn seal_some(&mut self, find: &'static str, update: &'static str) -> Result<Resealed> {
        let current = self.keys.current().to_owned();
        let find = self.locked(find);
        let rows = sqlx::query(find).bind(current.as_str()).bind(BATCH).fetch_all(self.connection()).await?;
        let mut done = Resealed::default();
        for row in &rows {
            let (pk, dk, before) = owner(row)?;
            let place = if update == SEAL_DEVICE { Place::Device(&pk, &dk) } else { Place::Product(&pk) };
            let secret = self.keys.open(place, &before)?;
            let sealed = self.keys.seal(place, &secret)?;
            sqlx::query(update)
                .bind(sealed.text)
                .bind(sealed.key)
                .bind(before.key.as_str())
                .bind(pk.as_str())
                .bind(dk.as_str())
                .execute(self.connection())
                .await?;
            *if before.key.is_empty() { &mut done.plain } else { &mut done.former } += 1;
        }
        Ok(done)
    }
}

fn owner(row: &AnyRow) -> Result<(String, String, Sealed)> {
    Ok((row.text("pk")?, row.text("dk")?, Sealed { key: row.text("seal")?, text: row.text("secret")? }))
}

impl Store {
    /// Seals what a browser keeps while somebody signs in elsewhere: every center of the database opens it.
    pub fn seal_sign_in(&self, text: &str) -> Result<String> {
        let sealed = self.keys.seal(Place::SignIn, text)?;
        let text = sealed.text.replace('+', "-").replace('/', "_");
        Ok(format!("{}.{text}", sealed.key))
    }

    /// Opens it; none: no center of the database has sealed it.
    pub fn open_sign_in(&self, sealed: &str) -> Option<String> {
        let (key, text) = sealed.split_once('.').filter(|(key, _)| !key.is_empty())?;
        let text = text.replace('-', "+").replace('_', "/");
        self.keys.open(Place::SignIn, &Sealed { key: key.to_owned(), text }).ok()
    }

    /// Refuses a database with secrets that none of our keys opens.
    pub(super) async fn check_keys(&self) -> Result<()> {
        let mut reader = self.read().await?;
        for query in
            [NEXT_PRODUCT_KEY, NEXT_DEVICE_KEY, NEXT_REPLACED_KEY, NEXT_URL_KEY_SEAL, NEXT_WEBHOOK_SEAL]
        {
            let mut id = String::new();
            loop {
                let row = sqlx::query(query).bind(id.as_str()).fetch_one(reader.connection()).await?;
                let Some(next) = row.maybe_text("seal")? else { break };
                if !self.keys.knows(&next) {
                    return Err(self.keys.unknown(&next).into());
                }
                id = next;
            }
        }
        Ok(())
    }

    /// Brings every secret under the key in use: those that an older version stored in the clear, and those under a key
    /// of before. In batches, so devices may connect meanwhile; what a crash leaves is done at the next start.
    pub async fn seal_all(&self) -> Result<Resealed> {
        let mut all = Resealed::default();
        let mut writer = self.write().await?;
        all.former += writer.seal_url_keys().await?;
        all.former += writer.seal_webhooks().await?;
        writer.commit().await?;
        for (find, update) in [
            (PRODUCTS_BELOW, SEAL_PRODUCT),
            (PRODUCTS_ABOVE, SEAL_PRODUCT),
            (DEVICES_BELOW, SEAL_DEVICE),
            (DEVICES_ABOVE, SEAL_DEVICE),
            (REPLACED_BELOW, SEAL_REPLACED),
            (REPLACED_ABOVE, SEAL_REPLACED),
        ] {
            loop {
                let mut writer = self.write().await?;
                let some = writer.seal_some(find, update).await?;
                writer.commit().await?;
                if some == Resealed::default() {
                    break;
                }
                all.plain += some.plain;
                all.former += some.former;
            }
        }
        if all.plain > 0 && self.backend == Backend::Sqlite {
            self.forget_overwritten().await?;
        }
        Ok(all)
    }

    /// SQLite keeps what was overwritten in its free pages and its log: both are written anew without it.
    async fn forget_overwritten(&self) -> Result<()> {
        let mut connection = self.writers.acquire().await?;
        connection.execute("VACUUM").await?;
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        Ok(())
    }
}
