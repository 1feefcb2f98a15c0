//! The keys that download URLs are signed with: of all centers of the database.

use super::{Columns, Reader, Result, Store, StoreError, Writer};
use crate::clock::Millis;
use crate::seal::{Place, Sealed};

/// Bytes of such a key.
const KEY: usize = 32;

pub(super) const NEXT_URL_KEY_SEAL: &str = "SELECT MIN(seal) AS seal FROM url_keys WHERE seal > $1";

impl Store {
    /// The keys, the one that signs first; it is made if there is none. `brought` is one that a center kept in its data
    /// folder: what it signed stays valid.
    pub async fn url_keys(&self, brought: Option<[u8; KEY]>, now: Millis) -> Result<Vec<[u8; KEY]>> {
        let mut writer = self.write().await?;
        // Of two centers that start at once, the second finds the key of the first.
        writer.lock_table("url_keys").await?;
        let mut keys = writer.opened_url_keys().await?;
        let new = match brought {
            Some(key) if !keys.contains(&key) => Some(key),
            None if keys.is_empty() => Some(rand::random()),
            _ => None,
        };
        if let Some(key) = new {
            writer.add_url_key(&key, now).await?;
            keys.push(key);
        }
        writer.commit().await?;
        Ok(keys)
    }
}

impl Reader {
    async fn opened_url_keys(&mut self) -> Result<Vec<[u8; KEY]>> {
        let rows =
            sqlx::query("SELECT secret, seal FROM url_keys ORDER BY id").fetch_all(self.connection()).await?;
        rows.iter()
            .map(|row| {
                let sealed = Sealed { key: row.text("seal")?, text: row.text("secret")? };
                let mut key = [0; KEY];
                hex::decode_to_slice(self.keys.open(Place::UrlKey, &sealed)?, &mut key)
                    .map_err(|error| StoreError::Unusable(format!("a key of download URLs: {error}")))?;
                Ok(key)
            })
            .collect()
    }
}

impl Writer {
    async fn add_url_key(&mut self, key: &[u8; KEY], now: Millis) -> Result<()> {
        let sealed = self.keys.seal(Place::UrlKey, &hex::encode(key))?;
        sqlx::query("INSERT INTO url_keys (secret, seal, created_at) VALUES ($1, $2, $3)")
            .bind(sealed.text)
            .bind(sealed.key)
            .bind(now.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Brings the keys of URLs under the seal key in use, and says how many that were.
    pub(super) async fn seal_url_keys(&mut self) -> Result<u64> {
        self.lock_table("url_keys").await?;
        let current = self.keys.current().to_owned();
        let rows = sqlx::query("SELECT id, secret, seal FROM url_keys WHERE seal <> $1 ORDER BY id")
            .bind(current)
            .fetch_all(self.connection())
            .await?;
        let mut done = 0;
        for row in &rows {
            let before = Sealed { key: row.text("seal")?, text: row.text("secret")? };
            let sealed = self.keys.seal(Place::UrlKey, &self.keys.open(Place::UrlKey, &before)?)?;
            sqlx::query("UPDATE url_keys SET secret = $1, seal = $2 WHERE id = $3")
                .bind(sealed.text)
                .bind(sealed.key)
                .bind(row.int("id")?)
                .execute(self.connection())
                .await?;
            done += 1;
        }
        Ok(done)
    }
}
