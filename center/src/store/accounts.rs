//! Accounts: people who sign in.

use sqlx::any::AnyRow;

use super::{Columns, Reader, Result, StoreError, Writer, is_duplicate};
use crate::clock::Millis;
use crate::rules::access::{ProductScope, Role};
use crate::rules::{AccountName, ProductKey};

/// A person's account.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// What they sign in with.
    pub name: AccountName,
    /// Argon2id in PHC form; none: by OpenID Connect alone.
    pub password: Option<String>,
    /// What they may do.
    pub role: Role,
    /// With which products.
    pub products: ProductScope,
    /// The password is a one-time one: nothing else goes before it is changed.
    pub must_change: bool,
    /// Who they are at the OpenID Connect provider.
    pub subject: Option<String>,
    /// Since when.
    pub created: Millis,
    /// When they signed in last.
    pub signed_in: Option<Millis>,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

/// An account to be.
pub struct NewAccount<'a> {
    /// What they sign in with.
    pub name: &'a AccountName,
    /// Argon2id in PHC form.
    pub password: Option<&'a str>,
    /// What they may do.
    pub role: Role,
    /// With which products.
    pub products: &'a ProductScope,
    /// The password is a one-time one.
    pub must_change: bool,
    /// Who they are at the OpenID Connect provider.
    pub subject: Option<&'a str>,
}

pub(super) fn account(row: &AnyRow) -> Result<Account> {
    Ok(Account {
        name: row.word("name")?,
        password: row.maybe_text("password")?,
        role: row.word("role")?,
        products: scope(row)?,
        must_change: row.int("must_change")? != 0,
        subject: row.maybe_text("subject")?,
        created: Millis(row.int("created_at")?),
        signed_in: row.maybe_int("signed_in_at")?.map(Millis),
    })
}

/// The column `products`.
pub(super) fn scope(row: &AnyRow) -> Result<ProductScope> {
    let Some(text) = row.maybe_text("products")? else { return Ok(ProductScope::All) };
    serde_json::from_str(&text).map_err(|error| StoreError::Unusable(format!("column products: {error}")))
}

/// What the column `products` holds.
pub(super) fn scope_text(scope: &ProductScope) -> Option<String> {
    match scope {
        ProductScope::All => None,
        ProductScope::Only(products) => {
            let products: Vec<&str> = products.iter().map(ProductKey::as_str).collect();
            Some(serde_json::Value::from(products).to_string())
        }
    }
}

const INSERT: &str = "INSERT INTO accounts (name, password, role, products, must_change, subject, created_at) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7)";

impl Reader {
    /// Whether there is an account at all.
    pub async fn has_accounts(&mut self) -> Result<bool> {
        let row = sqlx::query("SELECT name FROM accounts LIMIT 1").fetch_optional(self.connection()).await?;
        Ok(row.is_some())
    }

    /// The account, if there is one.
    pub async fn find_account(&mut self, name: &AccountName) -> Result<Option<Account>> {
        let row = sqlx::query("SELECT * FROM accounts WHERE name = $1")
            .bind(name.as_str())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// The account of somebody at the OpenID Connect provider, if there is one.
    pub async fn account_of_subject(&mut self, subject: &str) -> Result<Option<Account>> {
        let row = sqlx::query("SELECT * FROM accounts WHERE subject = $1")
            .bind(subject)
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// The account, or [`StoreError::NotFound`].
    pub async fn account(&mut self, name: &AccountName) -> Result<Account> {
        self.find_account(name).await?.ok_or_else(|| StoreError::missing("account", name))
    }

    /// Up to `limit` accounts behind the name `after`, by name.
    pub async fn accounts(&mut self, after: &str, limit: i64) -> Result<Vec<Account>> {
        let rows = sqlx::query("SELECT * FROM accounts WHERE name > $1 ORDER BY name LIMIT $2")
            .bind(after)
            .bind(limit)
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(account).collect()
    }
}

impl Writer {
    /// Adds an account. [`StoreError::Conflict`] if the name is taken.
    pub async fn create_account(&mut self, new: &NewAccount<'_>, now: Millis) -> Result<Account> {
        match self.insert_account(new, now).await {
            Err(error) if is_duplicate(&error) => {
                let reason = "there is an account with this name already, or it is the same person's";
                Err(StoreError::conflict("account", new.name, reason))
            }
            done => {
                done?;
                self.account(new.name).await
            }
        }
    }

    /// Adds the first account of all; says whether it is the first.
    pub async fn create_first_account(&mut self, new: &NewAccount<'_>, now: Millis) -> Result<bool> {
        // Two centers may start on one new database.
        self.lock_table("accounts").await?;
        if self.has_accounts().await? {
            return Ok(false);
        }
        self.insert_account(new, now).await?;
        Ok(true)
    }

    async fn insert_account(
        &mut self,
        new: &NewAccount<'_>,
        now: Millis,
    ) -> std::result::Result<(), sqlx::Error> {
        sqlx::query(INSERT)
            .bind(new.name.as_str())
            .bind(new.password)
            .bind(new.role.as_str())
            .bind(scope_text(new.products))
            .bind(i64::from(new.must_change))
            .bind(new.subject)
            .bind(now.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Stores another role and scope. [`StoreError::Conflict`] if no administrator of every product would be left.
    pub async fn edit_account(
        &mut self,
        name: &AccountName,
        role: Role,
        products: &ProductScope,
    ) -> Result<Account> {
        self.lock_table("accounts").await?;
        self.account(name).await?;
        sqlx::query("UPDATE accounts SET role = $2, products = $3 WHERE name = $1")
            .bind(name.as_str())
            .bind(role.as_str())
            .bind(scope_text(products))
            .execute(self.connection())
            .await?;
        self.check_administrator_left(name).await?;
        self.account(name).await
    }

    /// Stores another password and ends every session of the account.
    pub async fn set_password(
        &mut self,
        name: &AccountName,
        password: &str,
        must_change: bool,
    ) -> Result<()> {
        self.account(name).await?;
        sqlx::query("UPDATE accounts SET password = $2, must_change = $3 WHERE name = $1")
            .bind(name.as_str())
            .bind(password)
            .bind(i64::from(must_change))
            .execute(self.connection())
            .await?;
        self.end_sessions_of(name).await
    }

    /// Deletes an account and its sessions. [`StoreError::Conflict`] if no administrator would be left.
    pub async fn delete_account(&mut self, name: &AccountName) -> Result<()> {
        self.lock_table("accounts").await?;
        self.account(name).await?;
        self.end_sessions_of(name).await?;
        sqlx::query("DELETE FROM accounts WHERE name = $1")
            .bind(name.as_str())
            .execute(self.connection())
            .await?;
        self.check_administrator_left(name).await
    }

    /// Notes that somebody signed in.
    pub async fn signed_in(&mut self, name: &AccountName, now: Millis) -> Result<()> {
        sqlx::query("UPDATE accounts SET signed_in_at = $2 WHERE name = $1")
            .bind(name.as_str())
            .bind(now.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    async fn check_administrator_left(&mut self, changed: &AccountName) -> Result<()> {
        let left = sqlx::query("SELECT name FROM accounts WHERE role = $1 AND products IS NULL LIMIT 1")
            .bind(Role::Administrator.as_str())
            .fetch_optional(self.connection())
            .await?;
        if left.is_some() {
            return Ok(());
        }
        let reason = "it is the last administrator of every product; make another one first";
        Err(StoreError::conflict("account", changed, reason))
    }
}
