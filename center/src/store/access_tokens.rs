//! Bearer tokens of programs and of end users. Only their digest is here.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;

use super::accounts::{scope, scope_text};
use super::{Columns, Page, Reader, Result, StoreError, Writer, is_duplicate};
use crate::clock::Millis;
use crate::rules::TokenName;
use crate::rules::access::{DeviceName, ProductScope, Role};

/// What a token allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// The API, in a role.
    Role {
        /// What it may do.
        role: Role,
        /// With which products.
        products: ProductScope,
    },
    /// The end-user part of the API, for these devices alone.
    EndUser(BTreeSet<DeviceName>),
}

/// A token, without the secret itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub name: TokenName,
    /// What it allows.
    pub grant: Grant,
    /// Who made it.
    pub made_by: String,
    /// Since when.
    pub created: Millis,
    /// Until when; none: until it is revoked.
    pub expires: Option<Millis>,
    /// Last use, but for the last minute.
    pub used: Option<Millis>,
}

/// A token to be.
pub struct NewToken<'a> {
    /// SHA-256 of the secret, in hexadecimal digits.
    pub digest: &'a str,
    /// What it is for.
    pub name: &'a TokenName,
    /// What it allows.
    pub grant: &'a Grant,
    /// Who makes it.
    pub made_by: &'a str,
    /// Until when.
    pub expires: Option<Millis>,
}

fn token(row: &AnyRow) -> Result<AccessToken> {
    let grant = match row.maybe_word("role")? {
        Some(role) => Grant::Role { role, products: scope(row)? },
        None => {
            let devices = row.maybe_text("devices")?.unwrap_or_default();
            let devices = serde_json::from_str(&devices)
                .map_err(|error| StoreError::Unusable(format!("column devices: {error}")))?;
            Grant::EndUser(devices)
        }
    };
    Ok(AccessToken {
        id: row.int("id")?,
        name: row.word("name")?,
        grant,
        made_by: row.text("made_by")?,
        created: Millis(row.int("created_at")?),
        expires: row.maybe_int("expires_at")?.map(Millis),
        used: row.maybe_int("used_at")?.map(Millis),
    })
}

impl Reader {
    /// The token whose secret has this digest.
    pub async fn token_of(&mut self, digest: &str) -> Result<Option<AccessToken>> {
        let row = sqlx::query("SELECT * FROM api_tokens WHERE digest = $1")
            .bind(digest)
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(token).transpose()
    }

    /// The token with this number, or [`StoreError::NotFound`].
    pub async fn access_token(&mut self, id: i64) -> Result<AccessToken> {
        let row = sqlx::query("SELECT * FROM api_tokens WHERE id = $1")
            .bind(id)
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(token).transpose()?.ok_or_else(|| StoreError::missing("token", id))
    }

    /// A page of the tokens behind the number `after`.
    pub async fn access_tokens(&mut self, after: i64, limit: i64) -> Result<Page<AccessToken>> {
        let rows = sqlx::query("SELECT * FROM api_tokens WHERE id > $1 ORDER BY id LIMIT $2")
            .bind(after)
            .bind(limit.saturating_add(1))
            .fetch_all(self.connection())
            .await?;
        let tokens = rows.iter().map(token).collect::<Result<_>>()?;
        Ok(Page::of(tokens, limit, |token| token.id))
    }
}

impl Writer {
    /// The tokens that somebody made.
    pub async fn tokens_made_by(&mut self, maker: &str) -> Result<Vec<AccessToken>> {
        let rows = sqlx::query("SELECT * FROM api_tokens WHERE made_by = $1")
            .bind(maker)
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(token).collect()
    }

    /// Adds a token. [`StoreError::Conflict`] if a token of a role has the name already.
    pub async fn create_token(&mut self, new: &NewToken<'_>, now: Millis) -> Result<AccessToken> {
        let (role, products, devices) = match new.grant {
            Grant::Role { role, products } => (Some(role.as_str()), scope_text(products), None),
            Grant::EndUser(devices) => {
                let devices: Vec<String> = devices.iter().map(ToString::to_string).collect();
                (None, None, Some(serde_json::Value::from(devices).to_string()))
            }
        };
        let row = sqlx::query(
            "INSERT INTO api_tokens (digest, name, role, products, devices, made_by, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING *",
        )
        .bind(new.digest)
        .bind(new.name.as_str())
        .bind(role)
        .bind(products)
        .bind(devices)
        .bind(new.made_by)
        .bind(now.0)
        .bind(new.expires.map(|at| at.0))
        .fetch_one(self.connection())
        .await;
        match row {
            Ok(row) => token(&row),
            Err(error) if is_duplicate(&error) => {
                Err(StoreError::conflict("token", new.name, "there is a token with this name already"))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes a token: it counts no more. Gives what it was.
    pub async fn delete_token(&mut self, id: i64) -> Result<AccessToken> {
        let token = self.access_token(id).await?;
        sqlx::query("DELETE FROM api_tokens WHERE id = $1").bind(id).execute(self.connection()).await?;
        Ok(token)
    }

    /// The token is in use.
    pub async fn use_token(&mut self, id: i64, now: Millis) -> Result<()> {
        sqlx::query("UPDATE api_tokens SET used_at = $2 WHERE id = $1 AND (used_at IS NULL OR used_at < $2)")
            .bind(id)
            .bind(now.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Forgets tokens that expired before `before`.
    pub async fn forget_tokens(&mut self, before: Millis) -> Result<()> {
        sqlx::query("DELETE FROM api_tokens WHERE expires_at < $1")
            .bind(before.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
