//! What is due because time has passed: deadlines, leases, offers, rechecks. The scheduler asks each second, or when
//! the next of it is due.
//!
//! Each center asks for the devices that it holds; those that nobody holds are everybody's.

use std::collections::HashMap;
use std::sync::LazyLock;

use sqlx::AssertSqlSafe;

use super::{Columns, Mark, PlanVersion, Reader, Result, Writer};
use crate::clock::Millis;
use crate::rules::{DeviceId, PlanId};

/// What there is to do for a center, as one statement says it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outlook {
    /// The plans that are activated and not over, by number.
    pub plans: Vec<PlanVersion>,
    /// How far the center's pushes of these plans are; a plan that it has not pushed yet is left out.
    pub marks: HashMap<PlanId, Mark>,
    /// See [`Reader::deadlines_over`].
    pub deadlines: bool,
    /// See [`Reader::leases_over`].
    pub leases: bool,
    /// See [`Reader::offers_due`].
    pub offers: bool,
    /// See [`Reader::rechecks_due`].
    pub rechecks: bool,
    /// See [`Reader::plan_endings`].
    pub endings: bool,
    /// When something becomes due that is not yet, for a device of any center; none: never, as it is now.
    pub next: Option<Millis>,
}

impl Outlook {
    /// Whether anything is due.
    pub fn is_any_due(&self) -> bool {
        self.deadlines || self.leases || self.offers || self.rechecks || self.endings
    }
}

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
/// When something of each kind becomes due that is not yet.
const NEXT: [&str; 4] = [
    "SELECT MIN(deadline_at) FROM upgrades WHERE deadline_at IS NOT NULL AND ended_at IS NULL AND deadline_at > $1",
    "SELECT MIN(lease_until) FROM component_upgrades WHERE lease_until IS NOT NULL AND lease_until > $1",
    "SELECT MIN(next_offer_at) FROM upgrades WHERE next_offer_at IS NOT NULL AND next_offer_at > $1",
    "SELECT MIN(recheck_at) FROM devices WHERE online = 1 AND recheck_at IS NOT NULL AND recheck_at > $1",
];

/// What there is to do, a line each; offers among those that became due lately, or among all of the center's devices.
pub(super) fn outlook(lately: bool) -> &'static str {
    static LATELY: LazyLock<String> = LazyLock::new(|| build_outlook(OFFERS_DUE));
    static ALL: LazyLock<String> = LazyLock::new(|| build_outlook(OFFERS_OVERDUE));
    if lately { &LATELY } else { &ALL }
}

fn build_outlook(offers: &str) -> String {
    let mut statement =
        "SELECT 'plan' AS what, plans.id AS id, version, plan_marks.at AS at, spread, done FROM plans \
         LEFT JOIN plan_marks ON plan_marks.plan_id = plans.id AND plan_marks.center = $3 \
         WHERE state IN ('activated', 'upgrading', 'suspended')"
            .to_owned();
    for (what, due) in [
        ("deadlines", DEADLINES_OVER),
        ("leases", LEASES_OVER),
        ("offers", offers),
        ("rechecks", RECHECKS_DUE),
        ("endings", "SELECT 1 FROM plan_endings"),
    ] {
        statement += &format!(" UNION ALL SELECT '{what}', 0, 0, NULL, NULL, NULL WHERE EXISTS ({due})");
    }
    for next in NEXT {
        statement += &format!(" UNION ALL SELECT 'next', 0, 0, ({next}), NULL, NULL");
    }
    statement
}

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
    /// What there is to do for `center` at `now`; see [`Reader::offers_due`] for `since`.
    pub async fn outlook(&mut self, center: &str, since: Option<Millis>, now: Millis) -> Result<Outlook> {
        let query = sqlx::query(AssertSqlSafe(outlook(since.is_some()))).bind(now.0).bind(1i64).bind(center);
        let query = match since {
            Some(since) => query.bind(since.0),
            None => query,
        };
        let mut outlook = Outlook::default();
        for row in query.fetch_all(self.connection()).await? {
            match row.text("what")?.as_str() {
                "deadlines" => outlook.deadlines = true,
                "leases" => outlook.leases = true,
                "offers" => outlook.offers = true,
                "rechecks" => outlook.rechecks = true,
                "endings" => outlook.endings = true,
                "next" => {
                    let next = row.maybe_int("at")?.map(Millis);
                    outlook.next = outlook.next.into_iter().chain(next).min();
                }
                _ => {
                    let plan = PlanId(row.int("id")?);
                    outlook.plans.push((plan, row.int("version")?));
                    if let Some(at) = row.maybe_int("at")? {
                        let (spread, done) = (Millis(row.int("spread")?), row.int("done")?);
                        outlook.marks.insert(plan, Mark { at: Some(Millis(at)), spread, done });
                    }
                }
            }
        }
        outlook.plans.sort_unstable();
        Ok(outlook)
    }

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
