//! What an operator does to single devices of a plan: another try, or leaving them out.

use std::sync::Arc;

use serde::Serialize;

use super::device_transaction::{DeviceTransaction, with_device};
use super::evaluation::Evaluation;
use super::plan_locks::PlanLock;
use super::{Engine, Result};
use crate::rules::DeviceKey;
use crate::rules::applicability::ComponentFacts;
use crate::rules::block_reason::BlockReason;
use crate::rules::operator::{self, NotDone};
use crate::rules::progress::{ComponentState, UpgradeState};
use crate::rules::trigger::Trigger;
use crate::rules::upgrade::{ComponentUpgrade, Input, Offered, Phase};
use crate::store::{DeviceId, Plan, PlanId, StoreError, Upgrade};

/// What is done to devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Another try: at once if the device is online, else when it connects; with all attempts of the plan again.
    Retry,
    /// The device is left out.
    Skip {
        /// Why, in the operator's words; may be empty.
        reason: String,
    },
}

/// Which devices are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    /// These.
    Keys(Vec<DeviceKey>),
    /// Those of the plan in a state, a part at a time.
    Filter {
        /// The state.
        state: UpgradeState,
        /// Only those whose reason has this text in it.
        reason: Option<String>,
        /// The `next` of the part before; 0: the first part.
        after: i64,
    },
}

/// What became of an order.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Ordered {
    /// Devices for which it was done.
    pub done: u64,
    /// Devices that stay as they are, and why.
    pub not_done: Vec<Left>,
    /// There is more: the `after` of the next part.
    pub next: Option<String>,
}

/// A device that stays as it is.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Left {
    /// The device.
    pub device: DeviceKey,
    /// Why.
    pub reason: String,
}

/// Upgrades that one part of a filtered order looks at.
const PART: i64 = 1_000;

impl Engine {
    /// Gives an order about devices of an active plan, each in a transaction of its own. [`StoreError::Conflict`] if the
    /// plan is not active.
    pub async fn order(&self, id: PlanId, chosen: Chosen, order: &Order) -> Result<Ordered> {
        let mut store = self.store.read().await?;
        let plan = store.plan(id).await?;
        if let Err(error) = operator::is_active(plan.state) {
            return Err(StoreError::conflict("upgrade plan", id.0, error.to_string()).into());
        }
        let mut ordered = Ordered { done: 0, not_done: Vec::new(), next: None };
        let mut devices = Vec::new();
        match chosen {
            Chosen::Keys(keys) => {
                for key in keys {
                    match store.find_device(&plan.settings.product, &key).await? {
                        Some(device) => devices.push(device.id),
                        None => ordered.leave(key, &NotDone::Unknown),
                    }
                }
            }
            Chosen::Filter { state, reason, after } => {
                let part = store.plan_upgrades_in(id, state, after, PART).await?;
                if i64::try_from(part.len()).unwrap_or(i64::MAX) >= PART {
                    ordered.next = part.last().map(|upgrade| upgrade.id.0.to_string());
                }
                let fits = |upgrade: &&Upgrade| {
                    let wanted = reason.as_deref().unwrap_or_default();
                    upgrade.reason.as_deref().unwrap_or_default().contains(wanted)
                };
                devices.extend(part.iter().filter(fits).map(|upgrade| upgrade.device));
            }
        }
        drop(store);
        for device in devices {
            match self.order_one(id, device, order).await? {
                Ok(()) => ordered.done += 1,
                Err((key, error)) => ordered.leave(key, &error),
            }
        }
        Ok(ordered)
    }

    async fn order_one(
        &self,
        plan: PlanId,
        device: DeviceId,
        order: &Order,
    ) -> Result<std::result::Result<(), (DeviceKey, NotDone)>> {
        let done = with_device!(self, device, |transaction| {
            let plan = transaction.lock_plan(plan, PlanLock::Exclusive).await?;
            let done = match operator::is_active(plan.state) {
                Err(error) => Err(error),
                Ok(()) => match order {
                    Order::Retry => transaction.try_again(plan).await?,
                    Order::Skip { reason } => transaction.leave_out(plan, reason).await?,
                },
            };
            Ok(done.map_err(|error| (transaction.device.key.clone(), error)))
        });
        Ok(done?.0)
    }
}

impl Ordered {
    fn leave(&mut self, device: DeviceKey, error: &NotDone) {
        self.not_done.push(Left { device, reason: error.to_string() });
    }
}

impl DeviceTransaction<'_> {
    /// Another try of a device, with all attempts again. The next tick offers it, or its next connect.
    async fn try_again(&mut self, mut plan: Arc<Plan>) -> Result<std::result::Result<(), NotDone>> {
        let Evaluation { components, upgrade, .. } = self.evaluate(&plan, Trigger::Retry).await?;
        let succeeded = |facts: &ComponentFacts| {
            let parts = upgrade.iter().flat_map(|upgrade| &upgrade.components);
            let mut parts = parts.filter(|part| part.component == facts.component);
            parts.any(|part| part.state == ComponentState::Succeeded)
        };
        let open: Vec<_> = components.into_iter().filter(|facts| !succeeded(facts)).collect();
        if let Err(error) = operator::retry(Phase::of(upgrade.as_deref()), &open) {
            return Ok(Err(error));
        }
        let Some(mut upgrade) = upgrade else { return Ok(Err(NotDone::NeverOffered)) };
        self.apply(&mut upgrade, Some(&mut plan), Input::OperatorRetry).await?;
        self.becomes_due();
        Ok(Ok(()))
    }

    /// Leaves a device out of the plan, also one that was never offered it.
    async fn leave_out(
        &mut self,
        mut plan: Arc<Plan>,
        why: &str,
    ) -> Result<std::result::Result<(), NotDone>> {
        let Evaluation { verdict, components, upgrade, .. } = self.evaluate(&plan, Trigger::Retry).await?;
        if let Err(error) = operator::skip(Phase::of(upgrade.as_deref())) {
            return Ok(Err(error));
        }
        if let (
            None,
            Err(
                blocked @ (BlockReason::Blacklisted
                | BlockReason::NotWhitelisted
                | BlockReason::OtherProduct { .. }),
            ),
        ) = (&upgrade, verdict)
        {
            return Ok(Err(NotDone::NotOfPlan(blocked)));
        }
        let mut upgrade = upgrade.unwrap_or_else(|| {
            let components = components.into_iter();
            let components =
                components.map(|facts| ComponentUpgrade::new(facts, Offered::Yes, None, self.now));
            Box::new(Upgrade::new(Some(plan.id), self.device.id, self.now, components.collect()))
        });
        self.apply(&mut upgrade, Some(&mut plan), Input::Skip(why.to_owned())).await?;
        Ok(Ok(()))
    }
}
