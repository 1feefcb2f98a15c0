//! What an operator does to single devices of a plan: another try, or leaving them out.

use serde::Serialize;
use serde_json::json;

use super::device_transaction::DeviceTransaction;
use super::evaluation::Evaluation;
use super::{Engine, Result};
use crate::metrics::Count;
use crate::rules::eligibility::{BlockReason, ComponentFacts, Trigger};
use crate::rules::operator::{self, NotDone, Where};
use crate::rules::progress::{ComponentState, Presence, UpgradeState, lease};
use crate::rules::{ComponentKind, DeviceKey};
use crate::store::{DeviceId, PackageId, Plan, PlanId, StoreError, Upgrade};

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
#[derive(Debug, Serialize)]
pub struct Ordered {
    /// Devices for which it was done.
    pub done: u64,
    /// Devices that stay as they are, and why.
    pub not_done: Vec<Left>,
    /// There is more: the `after` of the next part.
    pub next: Option<String>,
}

/// A device that stays as it is.
#[derive(Debug, Serialize)]
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
        let mut transaction = self.transaction(device).await?;
        let plan = transaction.store.lock_plan(plan).await?;
        let done = match operator::is_active(plan.state) {
            Err(error) => Err(error),
            Ok(()) => match order {
                Order::Retry => transaction.try_again(plan).await?,
                Order::Skip { reason } => transaction.leave_out(plan, reason).await?,
            },
        };
        match done {
            Ok(()) => {
                transaction.finish().await?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err((transaction.device.key.clone(), error))),
        }
    }
}

impl Ordered {
    fn leave(&mut self, device: DeviceKey, error: &NotDone) {
        self.not_done.push(Left { device, reason: error.to_string() });
    }
}

impl DeviceTransaction<'_> {
    /// Another try of a device, with all attempts again. The next tick offers it, or its next connect.
    async fn try_again(&mut self, plan: Plan) -> Result<std::result::Result<(), NotDone>> {
        let id = plan.id;
        let Evaluation { facts, upgrade, .. } = self.evaluate(plan, Trigger::Retry).await?;
        let open: Vec<ComponentFacts> = facts
            .into_iter()
            .filter(|facts| {
                let succeeded = |upgrade: &Upgrade| {
                    let component = upgrade.components.iter().find(|part| part.component == facts.component);
                    component.is_some_and(|part| part.state == ComponentState::Succeeded)
                };
                !upgrade.as_ref().is_some_and(succeeded)
            })
            .collect();
        let place = upgrade.as_ref().map_or(Where::Nowhere, place_of);
        if let Err(error) = operator::retry(place, &open) {
            return Ok(Err(error));
        }
        let Some(mut upgrade) = upgrade else { return Ok(Err(NotDone::NeverOffered)) };
        if upgrade.ended.is_some() && upgrade.cancelled.is_none() && upgrade.state == UpgradeState::Failed {
            self.store.uncount_failed(id).await?;
        }
        self.reopen(&mut upgrade).await?;
        // A device of which a part is done is upgrading: it has a day to come back, as after any failure.
        if upgrade.confirmed.is_some()
            && let Some(current) = upgrade.current()
            && let Some(component) = upgrade.components.get_mut(current)
        {
            component.state = ComponentState::Failed;
            let span = lease(component.state, ComponentKind::Mcu, Presence::Offline);
            component.lease_until = span.map(|span| self.now + span);
        }
        upgrade.next_offer = Some(self.now);
        upgrade.reason = Some("the operator tries it again".to_owned());
        self.save(&mut upgrade).await?;
        self.log(Some(&upgrade), None, "decision", json!({ "text": "the operator tries it again" })).await?;
        Ok(Ok(()))
    }

    /// Leaves a device out of the plan, one that was never offered too.
    async fn leave_out(&mut self, plan: Plan, why: &str) -> Result<std::result::Result<(), NotDone>> {
        let (id, selected) = (plan.id, plan.settings.components.clone());
        let Evaluation { verdict, facts, kinds, upgrade, .. } = self.evaluate(plan, Trigger::Retry).await?;
        let place = upgrade.as_ref().map_or(Where::Nowhere, place_of);
        if let Err(error) = operator::skip(place) {
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
        let mut upgrade = match upgrade {
            Some(upgrade) => upgrade,
            None => {
                let mut components = Vec::with_capacity(facts.len());
                for ((facts, kind), selected) in facts.into_iter().zip(kinds).zip(&selected) {
                    components.push(self.component(facts, kind, PackageId(selected.package), true, None));
                }
                let new = Upgrade::new(Some(id), self.device.id, self.now, components);
                self.store.create_upgrade(new).await?
            }
        };
        if upgrade.ended.is_some() && upgrade.cancelled.is_none() && upgrade.state == UpgradeState::Failed {
            self.store.uncount_failed(id).await?;
        }
        for component in &mut upgrade.components {
            component.lease_until = None;
        }
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let reason = format!("left out by the operator{why}");
        upgrade.next_offer = None;
        if upgrade.ended.is_none() {
            self.store.count(Count::Ended {
                state: UpgradeState::NotUpgraded,
                class: "left_out",
                devices: 1,
            });
        }
        upgrade.ended = Some(self.now);
        upgrade.reason = Some(reason.clone());
        // Not the roll-up of its components: they keep what they had come to.
        upgrade.state = UpgradeState::NotUpgraded;
        self.store.save_upgrade(&upgrade).await?;
        self.log(Some(&upgrade), None, "decision", json!({ "text": reason })).await?;
        Ok(Ok(()))
    }
}

fn place_of(upgrade: &Upgrade) -> Where {
    let current = upgrade.current().and_then(|current| upgrade.components.get(current));
    let failed = current
        .is_some_and(|part| matches!(part.state, ComponentState::Failed | ComponentState::DownloadFailed));
    match upgrade.ended {
        Some(_) => Where::Ended(upgrade.state),
        None if failed => Where::WaitsForRetry,
        None if upgrade.confirmed.is_some() => Where::AtWork,
        None => Where::Unconfirmed,
    }
}
