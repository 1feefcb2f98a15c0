//! The end of a plan: it is over at once, whatever the number of its devices. One row decides all of its upgrades that nobody
//! has confirmed; their own rows, and the count of the devices that were never offered the plan, follow in short transactions.

use std::time::{Duration, Instant};

use super::evaluation::Bringing;
use super::transaction::{Transaction, transact};
use super::{Engine, Result};
use crate::clock::Millis;
use crate::metrics::Count;
use crate::rules::plan::{ENDED, List, PlanEvent, TERMINATED};
use crate::rules::progress::UpgradeState;
use crate::store::{DeviceId, Plan, PlanEnding, PlanId, PushedPart, UpgradeId};

/// Upgrades that one transaction writes, and devices that it counts: few, as devices that report wait for it.
const UPGRADES: i64 = 250;
const DEVICES: i64 = 1_000;
/// Longest time of one tick for this.
const TIME: Duration = Duration::from_millis(300);

/// The plan is over by this event: what follows for its devices, and the first part of it written.
pub(super) async fn end_devices(
    store: &mut Transaction,
    plan: &Plan,
    event: PlanEvent,
    now: Millis,
) -> Result<()> {
    let (state, reason, count_until) = match event {
        PlanEvent::Terminate => {
            (UpgradeState::Failed, TERMINATED, store.last_device(&plan.settings.product).await?)
        }
        PlanEvent::EndTime => (UpgradeState::NotUpgraded, ENDED, DeviceId(0)),
        _ => return Ok(()),
    };
    let mut ending = PlanEnding {
        plan: plan.id,
        state,
        reason: reason.to_owned(),
        at: now,
        written_to: Some(UpgradeId(0)),
        counted_to: DeviceId(0),
        count_until,
    };
    go_on(store, plan, &mut ending).await?;
    if !ending.is_done() {
        store.save_plan_ending(&ending).await?;
    }
    Ok(())
}

/// A part of it: upgrades first, then devices.
async fn go_on(store: &mut Transaction, plan: &Plan, ending: &mut PlanEnding) -> Result<()> {
    if ending.written_to.is_some() {
        let (unconfirmed, waiting) = store.write_ends(ending, UPGRADES).await?;
        let class = "plan_over";
        store.count(Count::Ended { state: ending.state, class, devices: unconfirmed });
        store.count(Count::Ended { state: UpgradeState::Failed, class, devices: waiting });
    }
    if ending.written_to.is_none() && ending.counted_to < ending.count_until {
        let parts = parts(store, plan).await?;
        store.count_unreached(ending, &plan.settings.product, &parts, DEVICES).await?;
    }
    Ok(())
}

/// Whom the plan was for.
async fn parts(store: &mut Transaction, plan: &Plan) -> Result<Vec<PushedPart>> {
    let has_whitelist = store.has_list(plan.id, List::White).await?;
    let has_blacklist = store.has_list(plan.id, List::Black).await?;
    let bringing = Bringing::of(store, plan).await?;
    let parts = bringing.brought(plan).map(|(component, brought)| PushedPart {
        plan: plan.id,
        component: component.clone(),
        kind: brought.kind,
        source: brought.source.clone(),
        target: brought.target.clone(),
        has_whitelist,
        has_blacklist,
        is_manual: false,
    });
    Ok(parts.collect())
}

impl Engine {
    /// Writes the end of the plan on, as far as there is time for it in one tick; the next one comes at once.
    pub(super) async fn write_endings(&self, plan: PlanId) -> Result<()> {
        let begun = Instant::now();
        while self.write_ending(plan).await? && begun.elapsed() < TIME {}
        self.wake.again();
        Ok(())
    }

    /// A part of the plan's end; says whether more is left.
    async fn write_ending(&self, id: PlanId) -> Result<bool> {
        transact!(self, |store| {
            let plan = store.lock_plan(id).await?;
            // Another center may have been quicker.
            let Some(mut ending) = store.plan_ending(id).await? else { return Ok(false) };
            go_on(store, &plan, &mut ending).await?;
            store.save_plan_ending(&ending).await?;
            Ok(!ending.is_done())
        })
    }
}
