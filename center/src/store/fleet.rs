//! The fleet as a whole: what the console's first page counts.

use super::devices::{Device, device};
use super::{Columns, Reader, Result};
use crate::clock::Millis;
use crate::rules::takeover;
use crate::rules::{ComponentNo, ProductKey, UpgradeId};

// A test shows that each has its index.
pub(super) const FAILURES: &str = "SELECT reason, (ended_at - $1) / $2 AS part, COUNT(*) AS devices FROM upgrades \
             WHERE state = 'upgrade_failed' AND ended_at >= $1 GROUP BY reason, part ORDER BY devices DESC LIMIT 1000";
pub(super) const MODULE_VERSIONS: &str = "SELECT module_version AS version, COUNT(*) AS devices FROM devices \
             WHERE pk = $1 AND module_version IS NOT NULL GROUP BY module_version ORDER BY devices DESC LIMIT $2";
pub(super) const MCU_VERSIONS: &str = "SELECT reported.version AS version, COUNT(*) AS devices FROM device_versions AS reported \
             JOIN devices ON devices.id = reported.device_id \
             WHERE reported.component = $3 AND devices.pk = $1 GROUP BY reported.version ORDER BY devices DESC LIMIT $2";
pub(super) const FAILED_VERIFICATIONS: &str = "SELECT id FROM upgrades WHERE verifies IS NOT NULL AND id > 0 \
             AND state = 'upgrade_failed' AND ended_at >= $1 ORDER BY ended_at DESC LIMIT $2";

pub(super) const FAILED_FOR: &str = "SELECT id FROM upgrades \
             WHERE state = 'upgrade_failed' AND ended_at >= $1 AND reason = $2 ORDER BY ended_at DESC LIMIT $3";
pub(super) const TAKEN_OVER: &str = "SELECT * FROM devices WHERE (takeovers >= 5 OR takeovers_before >= 5) AND takeovers_since > $1 \
             ORDER BY takeovers_since DESC LIMIT $2";
// The index holds these devices alone.
const _: () = assert!(takeover::MANY == 5);

/// Devices that failed for a reason, in one part of a span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailureCount {
    /// Why.
    pub reason: Option<String>,
    /// Number of the part, from 0.
    pub part: i64,
    /// How many.
    pub devices: i64,
}

/// Devices that report a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionCount {
    /// The version: the devices' own text.
    pub version: String,
    /// How many.
    pub devices: i64,
}

impl Reader {
    /// Failed upgrades since `from`, by reason and part of the time, each part `span` long.
    pub async fn failures_since(&mut self, from: Millis, span: Millis) -> Result<Vec<FailureCount>> {
        let rows =
            sqlx::query(FAILURES).bind(from.0).bind(span.0.max(1)).fetch_all(self.connection()).await?;
        rows.iter()
            .map(|row| {
                Ok(FailureCount {
                    reason: row.maybe_text("reason")?,
                    part: row.int("part")?,
                    devices: row.int("devices")?,
                })
            })
            .collect()
    }

    /// The most frequent versions that a product's devices report of a component; without one, of the module.
    pub async fn versions_in_field(
        &mut self,
        product: &ProductKey,
        component: Option<&ComponentNo>,
        limit: i64,
    ) -> Result<Vec<VersionCount>> {
        let query = match component {
            Some(component) => {
                sqlx::query(MCU_VERSIONS).bind(product.as_str()).bind(limit).bind(component.as_str())
            }
            None => sqlx::query(MODULE_VERSIONS).bind(product.as_str()).bind(limit),
        };
        let rows = query.fetch_all(self.connection()).await?;
        rows.iter()
            .map(|row| Ok(VersionCount { version: row.text("version")?, devices: row.int("devices")? }))
            .collect()
    }

    /// Firmware verifications that failed since `from`, the last one first.
    pub async fn failed_verifications(&mut self, from: Millis, limit: i64) -> Result<Vec<UpgradeId>> {
        let rows =
            sqlx::query(FAILED_VERIFICATIONS).bind(from.0).bind(limit).fetch_all(self.connection()).await?;
        rows.iter().map(|row| row.int("id").map(UpgradeId)).collect()
    }

    /// Upgrades that failed for this reason since `from`, the newest first.
    pub async fn failed_for(&mut self, reason: &str, from: Millis, limit: i64) -> Result<Vec<UpgradeId>> {
        let query = sqlx::query(FAILED_FOR).bind(from.0).bind(reason).bind(limit);
        let rows = query.fetch_all(self.connection()).await?;
        rows.iter().map(|row| row.int("id").map(UpgradeId)).collect()
    }

    /// Devices of whose connections many have taken over one another since `from`, the newest first.
    pub async fn devices_taken_over(&mut self, from: Millis, limit: i64) -> Result<Vec<Device>> {
        let rows = sqlx::query(TAKEN_OVER).bind(from.0).bind(limit).fetch_all(self.connection()).await?;
        rows.iter().map(device).collect()
    }
}
