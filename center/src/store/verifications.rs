//! Firmware verifications: upgrades of one device without a plan.

use super::{Columns, Reader, Result};
use crate::rules::plan::Verified;
use crate::rules::progress::UpgradeState;
use crate::rules::upgrade::Upgrade;
use crate::rules::{PackageId, UpgradeId};

// A test shows that each has its index.
pub(super) const VERIFICATIONS: &str = "SELECT * FROM upgrades LEFT JOIN plan_endings ON ending = plan_id WHERE verifies = $1 AND id > $2 ORDER BY id LIMIT $3";
pub(super) const LAST_VERIFICATION: &str = "SELECT * FROM upgrades LEFT JOIN plan_endings ON ending = plan_id WHERE verifies = $1 ORDER BY id DESC LIMIT 1";
pub(super) const VERDICT: &str = "SELECT state FROM upgrades WHERE verifies = $1 AND ended_at IS NOT NULL \
             AND state IN ('upgraded', 'upgrade_failed') ORDER BY ended_at DESC, id DESC LIMIT 1";
pub(super) const RUNNING_VERIFICATION: &str =
    "SELECT id FROM upgrades WHERE verifies = $1 AND ended_at IS NULL ORDER BY id LIMIT 1";

impl Reader {
    /// Firmware verifications of the package after number `after`, at most `limit`, oldest first.
    pub async fn verifications(
        &mut self,
        package: PackageId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<Upgrade>> {
        let rows = sqlx::query(VERIFICATIONS)
            .bind(package.0)
            .bind(after)
            .bind(limit)
            .fetch_all(self.connection())
            .await?;
        self.whole_upgrades(rows).await
    }

    /// The firmware verification of the package that began last.
    pub async fn last_verification(&mut self, package: PackageId) -> Result<Option<Upgrade>> {
        let rows = sqlx::query(LAST_VERIFICATION).bind(package.0).fetch_all(self.connection()).await?;
        Ok(self.whole_upgrades(rows).await?.pop())
    }

    /// What the package's verifications say: the last one that passed or failed decides.
    pub async fn verified(&mut self, package: PackageId) -> Result<Verified> {
        let row = sqlx::query(VERDICT).bind(package.0).fetch_optional(self.connection()).await?;
        let state = row.map(|row| row.word::<UpgradeState>("state")).transpose()?;
        Ok(match state {
            Some(UpgradeState::Upgraded) => Verified::Passed,
            Some(_) => Verified::Failed,
            None => Verified::Never,
        })
    }

    /// A firmware verification of the package that is not at its end.
    pub async fn running_verification(&mut self, package: PackageId) -> Result<Option<UpgradeId>> {
        let row = sqlx::query(RUNNING_VERIFICATION).bind(package.0).fetch_optional(self.connection()).await?;
        row.map(|row| row.int("id").map(UpgradeId)).transpose()
    }
}
