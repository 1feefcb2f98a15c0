//! What is due because time has passed: deadlines, leases, offers, rechecks. The scheduler asks each second.
//!
//! Each center asks for the devices that it holds; those that nobody holds are everybody's.

use super::{Columns, Reader, Result, Writer};
use crate::clock::Millis;
use crate::rules::DeviceId;

// A test shows that each has its index.
pub(super) const DEADLINES_OVER: &str = "SELECT DISTINCT device_id FROM upgrades \
             JOIN devices ON devices.id = upgrades.device_id \
             WHERE deadline_at IS NOT NULL AND ended_at IS NULL AND deadline_at <= $1 \
             AND (devices.center IS NULL OR devices.center = $3) LIMIT $2";
pub(super) const LEASES_OVER: &str = "SELECT DISTINCT upgrades.device_id AS device_id FROM component_upgrades \
             JOIN upgrades ON upgrades.id = component_upgrades.upgrade_id \
             JOIN devices ON devices.id = upgrades.device_id \
             WHERE component_upgrades.lease_until IS NOT NULL AND component_upgrades.lease_until <= $1 \
             AND NOT EXISTS (SELECT 1 FROM plan_endings WHERE ending = upgrades.plan_id) \
             AND (devices.center IS NULL OR devices.center = $3) LIMIT $2";
/// Led by the time: CROSS JOIN keeps SQLite to this order.
pub(super) const OFFERS_DUE: &str = "SELECT DISTINCT upgrades.device_id AS device_id FROM upgrades \
             CROSS JOIN devices WHERE devices.id = upgrades.device_id AND upgrades.next_offer_at > $4 AND upgrades.next_offer_at <= $1 AND devices.center = $3 \
             AND NOT EXISTS (SELECT 1 FROM plan_endings WHERE ending = upgrades.plan_id) LIMIT $2";
/// Led by the devices of the center: what is due for others, or for devices that are offline, costs nothing.
pub(super) const OFFERS_OVERDUE: &str = "SELECT DISTINCT upgrades.device_id AS device_id FROM devices \
             CROSS JOIN upgrades WHERE devices.center = $3 AND upgrades.device_id = devices.id AND upgrades.ended_at IS NULL \
             AND upgrades.next_offer_at IS NOT NULL AND upgrades.next_offer_at <= $1 \
             AND NOT EXISTS (SELECT 1 FROM plan_endings WHERE ending = upgrades.plan_id) LIMIT $2";
pub(super) const RECHECKS_DUE: &str = "SELECT id FROM devices WHERE online = 1 AND recheck_at IS NOT NULL AND recheck_at <= $1 \
             AND center = $3 ORDER BY recheck_at LIMIT $2";
pub(super) const EXTEND_LEASES: &str =
    "UPDATE component_upgrades SET lease_until = $1 WHERE lease_until IS NOT NULL AND lease_until < $1";
pub(super) const EXTEND_DEADLINES: &str = "UPDATE upgrades SET deadline_at = $1 \
             WHERE deadline_at IS NOT NULL AND ended_at IS NULL AND deadline_at < $1";
pub(super) const EXTEND_OWN_LEASES: &str = "UPDATE component_upgrades SET lease_until = $1 \
             WHERE lease_until IS NOT NULL AND lease_until < $1 AND upgrade_id IN (SELECT upgrades.id FROM devices \
             JOIN upgrades ON upgrades.device_id = devices.id WHERE devices.center = $2 AND upgrades.ended_at IS NULL)";
pub(super) const EXTEND_OWN_DEADLINES: &str = "UPDATE upgrades SET deadline_at = $1 \
             WHERE deadline_at IS NOT NULL AND ended_at IS NULL AND deadline_at < $1 \
             AND device_id IN (SELECT id FROM devices WHERE center = $2)";

/// A component that was written later than now was written before the clock was put back.
const PULL_BACK: [&str; 4] = [
    "UPDATE upgrades SET next_offer_at = next_offer_at - $1, deadline_at = deadline_at - $1 WHERE ended_at IS NULL \
     AND id IN (SELECT upgrade_id FROM component_upgrades WHERE updated_at > $2) \
     AND device_id IN (SELECT id FROM devices WHERE center IS NULL OR center = $3)",
    "UPDATE component_upgrades SET lease_until = lease_until - $1, updated_at = $2 WHERE updated_at > $2 \
     AND upgrade_id IN (SELECT upgrades.id FROM upgrades JOIN devices ON devices.id = upgrades.device_id \
     WHERE upgrades.ended_at IS NULL AND (devices.center IS NULL OR devices.center = $3))",
    // An appointed window stays where its user has put it.
    "UPDATE devices SET recheck_at = $2 WHERE center = $3 AND asked_status IS NOT NULL AND recheck_at > $2 AND $1 > 0",
    "DELETE FROM plan_marks WHERE center = $3 AND at > $2 AND $1 > 0",
];

impl Reader {
    /// Devices whose firmware verification should have ended by `now`, of those that `center` or nobody holds, at most `limit`.
    pub async fn deadlines_over(&mut self, center: &str, now: Millis, limit: i64) -> Result<Vec<DeviceId>> {
        let rows = sqlx::query(DEADLINES_OVER)
            .bind(now.0)
            .bind(limit)
            .bind(center)
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(|row| Ok(DeviceId(row.int("device_id")?))).collect()
    }

    /// Devices with a lease that has run out at `now`, of those that `center` or nobody holds, at most `limit`.
    pub async fn leases_over(&mut self, center: &str, now: Millis, limit: i64) -> Result<Vec<DeviceId>> {
        let rows = sqlx::query(LEASES_OVER)
            .bind(now.0)
            .bind(limit)
            .bind(center)
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(|row| Ok(DeviceId(row.int("device_id")?))).collect()
    }

    /// Devices held by `center` with an upgrade that is to be offered again at `now`, at most `limit`: those for which that came
    /// after `since`, or all of them.
    pub async fn offers_due(
        &mut self,
        center: &str,
        since: Option<Millis>,
        now: Millis,
        limit: i64,
    ) -> Result<Vec<DeviceId>> {
        let query = sqlx::query(if since.is_some() { OFFERS_DUE } else { OFFERS_OVERDUE });
        let query = query.bind(now.0).bind(limit).bind(center);
        let query = match since {
            Some(since) => query.bind(since.0),
            None => query,
        };
        let rows = query.fetch_all(self.connection()).await?;
        rows.iter().map(|row| Ok(DeviceId(row.int("device_id")?))).collect()
    }

    /// Devices held by `center` that are to be checked again at `now`, at most `limit`.
    pub async fn rechecks_due(&mut self, center: &str, now: Millis, limit: i64) -> Result<Vec<DeviceId>> {
        let rows = sqlx::query(RECHECKS_DUE)
            .bind(now.0)
            .bind(limit)
            .bind(center)
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(|row| Ok(DeviceId(row.int("id")?))).collect()
    }
}

impl Writer {
    /// No lease and no verification's deadline of a device that `center` holds ends before `until`.
    pub async fn extend_leases_of(&mut self, center: &str, until: Millis) -> Result<()> {
        for query in [EXTEND_OWN_LEASES, EXTEND_OWN_DEADLINES] {
            sqlx::query(query).bind(until.0).bind(center).execute(self.connection()).await?;
        }
        Ok(())
    }

    /// No lease and no verification's deadline ends before `until`.
    pub async fn extend_leases(&mut self, until: Millis) -> Result<()> {
        for query in [EXTEND_LEASES, EXTEND_DEADLINES] {
            sqlx::query(query).bind(until.0).execute(self.connection()).await?;
        }
        Ok(())
    }

    /// The clock was put back by `span` to `now`: what was written before that, about devices that `center` or nobody holds,
    /// comes as long after `now` as it was to come.
    pub async fn pull_back(&mut self, center: &str, now: Millis, span: Millis) -> Result<()> {
        for query in PULL_BACK {
            sqlx::query(query).bind(span.0).bind(now.0).bind(center).execute(self.connection()).await?;
        }
        Ok(())
    }

    /// The same for what is of all centers, where there is one: starts that limit further ones, and the order of plans.
    pub async fn pull_back_plans(&mut self, now: Millis) -> Result<()> {
        for query in [
            "DELETE FROM plan_starts WHERE at > $1",
            "UPDATE plans SET activated_at = $1 WHERE activated_at > $1",
        ] {
            sqlx::query(query).bind(now.0).execute(self.connection()).await?;
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
