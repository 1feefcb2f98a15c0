//! Pushes: at each 10-minute mark, and for a plan that is pushed at once as soon as it begins, the devices that are online and
//! may have something to be offered are looked at.
//!
//! Plans of a product that are at the same place take one walk together, and a walk visits nobody for whom none of its plans
//! has anything: a plan in which nothing is due costs a look at an index.

use std::collections::HashMap;
use std::sync::Arc;

use super::Result;
use super::sets::Event;
use super::tick::{BATCH, Item, Tick};
use crate::clock::Millis;
use crate::rules::ProductKey;
use crate::rules::eligibility::is_offered;
use crate::rules::plan::{FirstPush, Push};
use crate::rules::progress::Presence;
use crate::rules::trigger::Trigger;
use crate::rules::window::MARK_MINUTES;
use crate::store::{DeviceId, Mark, PUSH_SLOTS, Plan, PlanId, PushedPart, PushedTo};

/// Offers a second that a mark's push aims at, so that few devices are offered at once and many are spread.
const PUSH_RATE: i64 = 50;
/// A long push takes a step in so much time, so that a commit serves many devices; a shorter one at least so many steps.
const STEP: Millis = Millis::seconds(5);
const STEPS: i64 = 20;
/// Devices of one set, at most: they stand in no order in the database, so fewer sets write the same pages less often.
const PUSHED: usize = 500;

/// A part of a push: the devices of a product in some slots. A device is evaluated for every plan when it is visited, so
/// plans that are at the same place take one walk together.
#[derive(Debug)]
struct Walk {
    plans: Vec<PlanId>,
    product: ProductKey,
    mark: Mark,
    due: i64,
    /// The one plan has limits, at which the walk ends.
    limited: bool,
}

impl Walk {
    fn joins(&self, other: &Walk) -> bool {
        let place = |walk: &Walk| (walk.mark, walk.due);
        !self.limited && !other.limited && self.product == other.product && place(self) == place(other)
    }
}

/// The slots of a push that are due `elapsed` after its mark.
fn slots_due(elapsed: Millis, spread: Millis) -> i64 {
    let slots = i64::from(PUSH_SLOTS);
    if elapsed >= spread {
        return slots;
    }
    let step = (spread.0 / STEPS).min(STEP.0);
    let elapsed = if step > 1_000 { elapsed.0 - elapsed.0 % step } else { elapsed.0 };
    (elapsed * slots / spread.0).min(slots)
}

/// When the plan's push of now began, if it has begun: at the last mark, or where the plan is pushed at once as it began.
fn begun(plan: &Plan, now: Millis) -> Option<(Millis, FirstPush)> {
    let (activated, last) = (plan.activated?, plan.settings.time_zone.last_mark(now));
    let first = plan.settings.start.map_or(activated, |start| start.max(activated));
    if plan.settings.first_push == FirstPush::AtOnce && last < first && first <= now {
        return Some((first, FirstPush::AtOnce));
    }
    // A plan that was activated after the last mark waits for the next one.
    (activated <= last).then_some((last, FirstPush::Mark))
}

impl Tick<'_> {
    /// What is due of the pushes of these plans.
    pub(super) async fn push_plans(
        &mut self,
        running: &[Arc<Plan>],
        marks: &HashMap<PlanId, Mark>,
    ) -> Result<()> {
        let is_pushed = |plan: &&Arc<Plan>| plan.state.offers() && plan.settings.push == Push::Actively;
        let pushed: Vec<_> = running.iter().filter(is_pushed).collect();
        let mut walks: Vec<Walk> = Vec::new();
        let mut online = HashMap::new();
        for plan in pushed {
            self.becomes_due(Some(plan.settings.time_zone.next_mark(self.now)));
            let saved = marks.get(&plan.id).copied().unwrap_or_default();
            let walk = self.walk_of(plan, saved, &mut online).await;
            let Some(Some(walk)) = self.settle(Item::Plan(plan.id), walk).await? else { continue };
            self.goes_on = true;
            match walks.iter_mut().find(|other| other.joins(&walk)) {
                Some(other) => other.plans.extend(walk.plans),
                None => walks.push(walk),
            }
        }
        for walk in walks {
            let Some(first) = walk.plans.first().copied() else { continue };
            let pushed = self.push(walk).await;
            self.settle(Item::Plan(first), pushed).await?;
        }
        Ok(())
    }

    /// The part of the plan's push that is due by now, if any is. `saved` is how far it was, `online` keeps how many
    /// devices of a product are online.
    async fn walk_of(
        &mut self,
        plan: &Plan,
        saved: Mark,
        online: &mut HashMap<ProductKey, i64>,
    ) -> Result<Option<Walk>> {
        let Some((at, first)) = begun(plan, self.now) else { return Ok(None) };
        let product = plan.settings.product.clone();
        let mut mark = saved;
        if mark.at != Some(at) {
            let devices = match (first, online.get(&product)) {
                (FirstPush::AtOnce, _) => 0,
                (FirstPush::Mark, Some(devices)) => *devices,
                (FirstPush::Mark, None) => {
                    let mut store = self.engine.store.read().await?;
                    let devices = store.count_devices(&product, Presence::Online).await?;
                    online.insert(product.clone(), devices);
                    devices
                }
            };
            let spread = (devices / PUSH_RATE).min(MARK_MINUTES * 60 - 1);
            mark = Mark { at: Some(at), spread: Millis::seconds(spread), done: 0 };
        }
        let due = slots_due(self.now - at, mark.spread);
        if mark.done < i64::from(PUSH_SLOTS) {
            // Its next part is due without anything that would say so.
            self.goes_on = true;
        }
        if saved == mark && mark.done >= due {
            return Ok(None);
        }
        let limited = plan.settings.strategy.has_limits();
        Ok(Some(Walk { plans: vec![plan.id], product, mark, due, limited }))
    }

    async fn push(&mut self, walk: Walk) -> Result<()> {
        let Walk { plans, product, mut mark, due, limited } = walk;
        let devices = self.visited(&plans, &product, mark.done, due).await?;
        let whole = i64::try_from(devices.len()).unwrap_or(i64::MAX) < BATCH;
        // A full batch ends inside a slot perhaps: that slot is looked at again, and who was offered is left out by then.
        let next = devices.last().map_or(due, |(_, slot)| *slot);
        let stuck = next == mark.done;
        let mut full_at = None;
        let devices: Vec<_> = devices
            .into_iter()
            .filter(|(device, _)| !self.engine.set_aside.holds(Item::Device(*device)))
            .collect();
        // Beyond the first device without a place nobody is looked at for one.
        for set in devices.chunks(if limited { 1 } else { PUSHED }) {
            let events: Vec<_> = set.iter().map(|(device, _)| (*device, Event::Mark)).collect();
            let handled = self.happen(&events).await?;
            let is_full = |full: &Option<Vec<PlanId>>| {
                limited && full.iter().flatten().any(|full| plans.contains(full))
            };
            if let Some(at) = handled.iter().position(is_full) {
                full_at = set.get(at).map(|(_, slot)| *slot);
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
        let mut store = self.engine.begin().await?;
        store.save_plan_marks(&plans, &self.engine.owner, mark).await?;
        store.commit().await?;
        if !whole && full_at.is_none() {
            // More is due already.
            self.engine.wake.again();
        }
        Ok(())
    }

    /// The devices in these slots that may have something from one of the plans, as far as one tick looks at them.
    async fn visited(
        &self,
        plans: &[PlanId],
        product: &ProductKey,
        from: i64,
        until: i64,
    ) -> Result<Vec<(DeviceId, i64)>> {
        if from >= until {
            return Ok(Vec::new());
        }
        let mut store = self.engine.store.read().await?;
        let mut versions = store.plan_versions(product).await?;
        versions.sort_unstable();
        let catalog = self.engine.catalog(&mut store, product, &versions).await?;
        let mut parts: Vec<PushedPart> = Vec::new();
        for running in plans.iter().filter_map(|id| catalog.plan(*id)) {
            let Plan { settings, state, halted, .. } = &*running.plan;
            // A plan that is outside its push period has nothing for anybody now.
            if is_offered(settings, *state, halted.as_deref(), Trigger::Mark, self.now).is_ok() {
                parts.extend(catalog.parts(running));
            }
        }
        let to = PushedTo { product, center: &self.engine.owner, from, until, limit: BATCH };
        Ok(store.pushed_to(to, &parts, self.now).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_comes_to_its_end_in_steps() {
        let slots = i64::from(PUSH_SLOTS);
        assert_eq!(slots_due(Millis(0), Millis(0)), slots);
        let spread = Millis::seconds(2);
        let each_half: Vec<_> = (0..5).map(|half| slots_due(Millis(half * 500), spread)).collect();
        assert_eq!(each_half, [0, 2_500, 5_000, 7_500, 10_000]);
        // 10 000 devices: each step is as good as 250 of them.
        let spread = Millis::seconds(200);
        let steps: Vec<_> = (0..=200).map(|second| slots_due(Millis::seconds(second), spread)).collect();
        let different: std::collections::BTreeSet<_> = steps.iter().copied().collect();
        assert!(steps.is_sorted() && steps.last() == Some(&slots));
        assert_eq!(
            different.into_iter().collect::<Vec<_>>(),
            (0..=40).map(|step| step * 250).collect::<Vec<_>>()
        );
    }
}
