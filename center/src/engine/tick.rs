//! What happens because time has passed: leases, retries, ends of plans, 10-minute marks.

use super::device_transaction::DeviceTransaction;
use super::{Downlink, Engine, Result};
use crate::clock::Millis;
use crate::rules::plan::{PlanEvent, Push};
use crate::rules::progress::Presence;
use crate::rules::trigger::Trigger;
use crate::rules::window::MARK_MINUTES;
use crate::store::{DeviceId, Mark, PUSH_SLOTS, Plan, PlanId};

/// Devices of one kind that one tick looks at, at most; the next tick goes on.
const BATCH: i64 = 500;
/// Offers a second that a mark's push aims at, so that few devices are offered at once and many are spread.
const PUSH_RATE: i64 = 50;

impl Engine {
    pub(super) async fn tick_once(&self, messages: &mut Vec<(DeviceId, Downlink)>) -> Result<()> {
        let now = self.clock.now();
        let (over, deadlines, plans) = {
            let mut store = self.store.read().await?;
            let deadlines = store.deadlines_over(now, BATCH).await?;
            (store.leases_over(now, BATCH).await?, deadlines, store.running_plans().await?)
        };
        for device in deadlines {
            let mut transaction = self.transaction(device).await?;
            transaction.end_late_verifications().await?;
            collect(messages, transaction).await?;
        }
        for device in over {
            let mut transaction = self.transaction(device).await?;
            transaction.end_leases().await?;
            collect(messages, transaction).await?;
        }
        for plan in &plans {
            if plan.settings.end.is_some_and(|end| end <= now) {
                self.end_plan(plan.id).await?;
            }
        }
        let due = self.store.read().await?.offers_due(now, BATCH).await?;
        for device in due {
            let mut transaction = self.transaction(device).await?;
            transaction.offer(Trigger::Retry).await?;
            transaction.postpone_due_offers().await?;
            collect(messages, transaction).await?;
        }
        let due = self.store.read().await?.rechecks_due(now, BATCH).await?;
        for device in due {
            let mut transaction = self.transaction(device).await?;
            transaction.recheck().await?;
            collect(messages, transaction).await?;
        }
        for plan in plans {
            if plan.state.offers() && plan.settings.push == Push::Actively {
                self.push(plan, messages).await?;
            }
        }
        Ok(())
    }

    async fn end_plan(&self, id: PlanId) -> Result<()> {
        let mut store = self.begin().await?;
        let mut plan = store.lock_plan(id).await?;
        if plan.state.is_over() {
            return Ok(());
        }
        self.apply_plan_event(&mut store, &mut plan, PlanEvent::EndTime).await?;
        store.commit().await
    }

    /// The part of a mark's push that is due by now.
    async fn push(&self, plan: Plan, messages: &mut Vec<(DeviceId, Downlink)>) -> Result<()> {
        let now = self.clock.now();
        let last = plan.settings.time_zone.last_mark(now);
        let mut mark = plan.mark;
        // A plan that was activated after the last mark waits for the next one.
        if plan.activated.is_none_or(|activated| activated > last) {
            return Ok(());
        }
        if mark.at != Some(last) {
            let online =
                self.store.read().await?.count_devices(&plan.settings.product, Presence::Online).await?;
            let spread = (online / PUSH_RATE).min(MARK_MINUTES * 60 - 1);
            mark = Mark { at: Some(last), spread: Millis::seconds(spread), done: 0 };
        }
        let slots = i64::from(PUSH_SLOTS);
        let elapsed = (now - last).0;
        let due = if mark.spread.0 == 0 { slots } else { (elapsed * slots / mark.spread.0).min(slots) };
        if plan.mark == mark && mark.done >= due {
            return Ok(());
        }
        let devices =
            self.store.read().await?.online_in_slots(&plan.settings.product, mark.done, due, BATCH).await?;
        let whole = i64::try_from(devices.len()).unwrap_or(i64::MAX) < BATCH;
        // A full batch ends inside a slot perhaps: that slot is looked at again, and who was offered is left out by then.
        let next = devices.last().map_or(due, |device| device.push_slot);
        let stuck = next == mark.done;
        let mut full_at = None;
        for device in devices {
            let mut transaction = self.transaction(device.id).await?;
            transaction.offer_at_mark().await?;
            let is_full = transaction.full.contains(&plan.id);
            collect(messages, transaction).await?;
            if is_full {
                full_at = Some(device.push_slot);
                break;
            }
        }
        mark.done = match (whole, stuck) {
            // The push goes on from here when the plan's limits have room again.
            _ if full_at.is_some() => full_at.unwrap_or(mark.done),
            (true, _) => due,
            (false, true) => next + 1,
            (false, false) => next,
        };
        let mut store = self.begin().await?;
        store.save_plan_mark(plan.id, mark).await?;
        store.commit().await
    }
}

impl DeviceTransaction<'_> {
    /// A device that has not reported its versions on this connection is asked; the answer brings the offer.
    async fn offer_at_mark(&mut self) -> Result<()> {
        if self.device.versions_at.is_none() {
            self.ask_versions();
            return Ok(());
        }
        self.offer(Trigger::Mark).await
    }
}

async fn collect(messages: &mut Vec<(DeviceId, Downlink)>, transaction: DeviceTransaction<'_>) -> Result<()> {
    let device = transaction.device.id;
    messages.extend(transaction.finish().await?.into_iter().map(|message| (device, message)));
    Ok(())
}
