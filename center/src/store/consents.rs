//! What the end users of devices answered to plans in manual mode.

use serde::Serialize;
use sqlx::any::AnyRow;

use super::{Columns, DeviceId, PlanId, Reader, Result, StoreError, Topic, Writer};
use crate::clock::Millis;
use crate::rules::consent::{Answer, Appointment, AutoConfirm};

/// An end user's last word to a plan for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct UserConsent {
    /// What they said.
    pub answer: Answer,
    /// When.
    pub at: Millis,
}

// Queries of the scheduler and of every offer: a test shows that each has its index.
pub(super) const FIND_ANSWER: &str = "SELECT * FROM plan_answers WHERE plan_id = $1 AND device_id = $2";
pub(super) const NEXT_OPENING: &str = "SELECT opens_at FROM plan_answers WHERE device_id = $1 AND opens_at IS NOT NULL AND opens_at > $2 \
             ORDER BY opens_at LIMIT 1";
fn said(row: &AnyRow) -> Result<UserConsent> {
    let time = |column| row.maybe_int(column).map(|at| at.map(Millis));
    let answer = match (row.text("answer")?.as_str(), time("opens_at")?, time("closes_at")?) {
        ("confirmed", ..) => Answer::Confirmed,
        ("appointed", Some(from), Some(until)) => Answer::Appointed(Appointment { from, until }),
        (other, ..) => {
            return Err(StoreError::Unusable(format!(
                "column answer: {other:?} is not known, or its window is missing"
            )));
        }
    };
    Ok(UserConsent { answer, at: Millis(row.int("said_at")?) })
}

impl Reader {
    /// What the device's end user said last to the plan, if anything.
    pub async fn find_answer(&mut self, plan: PlanId, device: DeviceId) -> Result<Option<UserConsent>> {
        let row =
            sqlx::query(FIND_ANSWER).bind(plan.0).bind(device.0).fetch_optional(self.connection()).await?;
        row.as_ref().map(said).transpose()
    }

    /// When the next appointed window of the device opens after `now`.
    pub async fn next_opening(&mut self, device: DeviceId, now: Millis) -> Result<Option<Millis>> {
        let row =
            sqlx::query(NEXT_OPENING).bind(device.0).bind(now.0).fetch_optional(self.connection()).await?;
        row.map(|row| Ok(Millis(row.int("opens_at")?))).transpose()
    }
}

impl Writer {
    /// Stores the end user's word, in the place of an earlier one.
    pub async fn set_answer(
        &mut self,
        plan: PlanId,
        device: DeviceId,
        answer: Answer,
        now: Millis,
    ) -> Result<()> {
        self.touch(Topic::Device(device));
        let (word, window) = match answer {
            Answer::Confirmed => ("confirmed", None),
            Answer::Appointed(window) => ("appointed", Some(window)),
        };
        sqlx::query(
            "INSERT INTO plan_answers (plan_id, device_id, answer, opens_at, closes_at, said_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (plan_id, device_id) DO UPDATE SET \
             answer = excluded.answer, opens_at = excluded.opens_at, closes_at = excluded.closes_at, \
             said_at = excluded.said_at",
        )
        .bind(plan.0)
        .bind(device.0)
        .bind(word)
        .bind(window.map(|window| window.from.0))
        .bind(window.map(|window| window.until.0))
        .bind(now.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// The end user's word does not count any more.
    pub async fn forget_answer(&mut self, plan: PlanId, device: DeviceId) -> Result<()> {
        self.touch(Topic::Device(device));
        sqlx::query("DELETE FROM plan_answers WHERE plan_id = $1 AND device_id = $2")
            .bind(plan.0)
            .bind(device.0)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Stores whether plans in manual mode count as confirmed for the device.
    pub async fn set_auto_confirm(&mut self, device: DeviceId, auto: AutoConfirm) -> Result<()> {
        self.touch(Topic::Device(device));
        sqlx::query("UPDATE devices SET auto_confirm = $2 WHERE id = $1")
            .bind(device.0)
            .bind(auto.as_str())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
