//! What is due because time has passed: deadlines, leases, offers, rechecks. The scheduler asks each second.

use super::{Columns, Reader, Result, Writer};
use crate::clock::Millis;
use crate::rules::DeviceId;

// A test shows that each has its index.
pub(super) const DEADLINES_OVER: &str = "SELECT DISTINCT device_id FROM upgrades \
             WHERE deadline_at IS NOT NULL AND ended_at IS NULL AND deadline_at <= $1 LIMIT $2";
pub(super) const LEASES_OVER: &str = "SELECT DISTINCT upgrades.device_id AS device_id FROM component_upgrades \
             JOIN upgrades ON upgrades.id = component_upgrades.upgrade_id \
             WHERE component_upgrades.lease_until IS NOT NULL AND component_upgrades.lease_until <= $1 LIMIT $2";
pub(super) const OFFERS_DUE: &str = "SELECT DISTINCT upgrades.device_id AS device_id FROM upgrades \
             JOIN devices ON devices.id = upgrades.device_id \
             WHERE upgrades.next_offer_at IS NOT NULL AND upgrades.next_offer_at <= $1 AND devices.online = 1 LIMIT $2";
pub(super) const RECHECKS_DUE: &str = "SELECT id FROM devices WHERE online = 1 AND recheck_at IS NOT NULL AND recheck_at <= $1 \
             ORDER BY recheck_at LIMIT $2";
pub(super) const EXTEND_LEASES: &str =
    "UPDATE component_upgrades SET lease_until = $1 WHERE lease_until IS NOT NULL AND lease_until < $1";
pub(super) const EXTEND_DEADLINES: &str = "UPDATE upgrades SET deadline_at = $1 \
             WHERE deadline_at IS NOT NULL AND ended_at IS NULL AND deadline_at < $1";

impl Reader {
    /// Devices whose firmware verification should have ended by `now`, at most `limit`.
    pub async fn deadlines_over(&mut self, now: Millis, limit: i64) -> Result<Vec<DeviceId>> {
        let rows = sqlx::query(DEADLINES_OVER).bind(now.0).bind(limit).fetch_all(self.connection()).await?;
        rows.iter().map(|row| Ok(DeviceId(row.int("device_id")?))).collect()
    }

    /// Devices with a lease that has run out at `now`, at most `limit`.
    pub async fn leases_over(&mut self, now: Millis, limit: i64) -> Result<Vec<DeviceId>> {
        let rows = sqlx::query(LEASES_OVER).bind(now.0).bind(limit).fetch_all(self.connection()).await?;
        rows.iter().map(|row| Ok(DeviceId(row.int("device_id")?))).collect()
    }

    /// Online devices with an upgrade that is to be offered again at `now`, at most `limit`.
    pub async fn offers_due(&mut self, now: Millis, limit: i64) -> Result<Vec<DeviceId>> {
        let rows = sqlx::query(OFFERS_DUE).bind(now.0).bind(limit).fetch_all(self.connection()).await?;
        rows.iter().map(|row| Ok(DeviceId(row.int("device_id")?))).collect()
    }

    /// Online devices that are to be checked again at `now`, at most `limit`.
    pub async fn rechecks_due(&mut self, now: Millis, limit: i64) -> Result<Vec<DeviceId>> {
        let rows = sqlx::query(RECHECKS_DUE).bind(now.0).bind(limit).fetch_all(self.connection()).await?;
        rows.iter().map(|row| Ok(DeviceId(row.int("id")?))).collect()
    }
}

impl Writer {
    /// No lease and no verification's deadline ends before `until`.
    pub async fn extend_leases(&mut self, until: Millis) -> Result<()> {
        for query in [EXTEND_LEASES, EXTEND_DEADLINES] {
            sqlx::query(query).bind(until.0).execute(self.connection()).await?;
        }
        Ok(())
    }

    /// When the device is to be checked again for a plan that is due; none: at the marks only.
    pub async fn set_recheck_at(&mut self, device: DeviceId, at: Option<Millis>) -> Result<()> {
        sqlx::query("UPDATE devices SET recheck_at = $2 WHERE id = $1")
            .bind(device.0)
            .bind(at.map(|at| at.0))
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
