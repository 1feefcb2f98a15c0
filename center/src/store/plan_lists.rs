//! Whitelists and blacklists of plans.

use super::{Columns, PAGE_MAX, Reader, Result, Writer};
use crate::rules::plan::List;
use crate::rules::{DeviceKey, PlanId};

// A test shows that it has its index.
pub(super) const IS_LISTED: &str = "SELECT dk FROM plan_devices WHERE plan_id = $1 AND list = $2 AND dk = $3";

impl Reader {
    /// How many devices stand in the plan's list.
    pub async fn count_listed(&mut self, id: PlanId, list: List) -> Result<i64> {
        let row =
            sqlx::query("SELECT COUNT(*) AS devices FROM plan_devices WHERE plan_id = $1 AND list = $2")
                .bind(id.0)
                .bind(list.as_str())
                .fetch_one(self.connection())
                .await?;
        row.int("devices")
    }

    /// Whether the plan's list has any device at all.
    pub async fn has_list(&mut self, id: PlanId, list: List) -> Result<bool> {
        let row = sqlx::query("SELECT dk FROM plan_devices WHERE plan_id = $1 AND list = $2 LIMIT 1")
            .bind(id.0)
            .bind(list.as_str())
            .fetch_optional(self.connection())
            .await?;
        Ok(row.is_some())
    }

    /// Whether the device stands in the plan's list.
    pub async fn is_listed(&mut self, id: PlanId, list: List, device: &DeviceKey) -> Result<bool> {
        let row = sqlx::query(IS_LISTED)
            .bind(id.0)
            .bind(list.as_str())
            .bind(device.as_str())
            .fetch_optional(self.connection())
            .await?;
        Ok(row.is_some())
    }

    /// The device keys in the plan's list after `after`, at most `limit`, in order.
    pub async fn listed(
        &mut self,
        id: PlanId,
        list: List,
        after: &str,
        limit: i64,
    ) -> Result<Vec<DeviceKey>> {
        let rows = sqlx::query(
            "SELECT dk FROM plan_devices WHERE plan_id = $1 AND list = $2 AND dk > $3 ORDER BY dk LIMIT $4",
        )
        .bind(id.0)
        .bind(list.as_str())
        .bind(after)
        .bind(limit.clamp(1, PAGE_MAX))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| row.word("dk")).collect()
    }

    /// The first device keys in the plan's list, at most `limit`, in order: pages of [`Reader::listed`] together.
    pub async fn first_listed(&mut self, id: PlanId, list: List, limit: i64) -> Result<Vec<DeviceKey>> {
        let mut keys: Vec<DeviceKey> = Vec::new();
        loop {
            let wanted = (limit - i64::try_from(keys.len()).unwrap_or(i64::MAX)).min(PAGE_MAX);
            if wanted <= 0 {
                return Ok(keys);
            }
            let after = keys.last().map_or("", DeviceKey::as_str).to_owned();
            let page = self.listed(id, list, &after, wanted).await?;
            let is_last = i64::try_from(page.len()).unwrap_or(i64::MAX) < wanted;
            keys.extend(page);
            if is_last {
                return Ok(keys);
            }
        }
    }
}

impl Writer {
    /// Takes every device out of one of the plan's lists.
    pub async fn clear_list(&mut self, id: PlanId, list: List) -> Result<()> {
        sqlx::query("DELETE FROM plan_devices WHERE plan_id = $1 AND list = $2")
            .bind(id.0)
            .bind(list.as_str())
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Puts devices into one of the plan's lists; one that is there already stays.
    pub async fn list_devices(&mut self, id: PlanId, list: List, devices: &[DeviceKey]) -> Result<()> {
        // One bind for many keys: a million keys are a thousand statements.
        for keys in devices.chunks(1_000) {
            let json = serde_json::json!(keys).to_string();
            sqlx::query(
                "INSERT INTO plan_devices (plan_id, list, dk) SELECT $1, $2, value FROM json_each($3) WHERE true \
                 ON CONFLICT (plan_id, list, dk) DO NOTHING",
            )
            .bind(id.0)
            .bind(list.as_str())
            .bind(json)
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }

    /// Puts the devices of both lists of one plan into those of another.
    pub async fn copy_lists(&mut self, from: PlanId, to: PlanId) -> Result<()> {
        sqlx::query(
            "INSERT INTO plan_devices (plan_id, list, dk) SELECT $2, list, dk FROM plan_devices WHERE plan_id = $1",
        )
        .bind(from.0)
        .bind(to.0)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
