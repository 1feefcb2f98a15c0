//! What an operator does to upgrade plans.

use super::endings::end_devices;
use super::transaction::{Transaction, transact};
use super::webhooks::announce_plan;
use super::{Engine, EngineError, Result};
use crate::rules::plan::{
    ActivationFault, FirstPush, List, PackageFound, PlanEvent, PlanSettings, PlanState, Supersede,
    activation_faults, next_state,
};
use crate::rules::{DeviceKey, NameError, Title};
use crate::store::{PackageId, Plan, PlanChange, PlanId, Reader, StoreError};

impl Engine {
    /// Saves a new plan. Every field that breaks its rule is named at once.
    pub async fn create_plan(
        &self,
        settings: &PlanSettings,
        whitelist: &[DeviceKey],
        blacklist: &[DeviceKey],
    ) -> Result<Plan> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(EngineError::Plan(faults));
        }
        let mut store = self.begin().await?;
        let plan = store.create_plan(settings, self.clock.now()).await?;
        store.list_devices(plan.id, List::White, whitelist).await?;
        store.list_devices(plan.id, List::Black, blacklist).await?;
        store.commit().await?;
        Ok(plan)
    }

    /// Saves a copy of a plan in any state under another name: every field and both lists.
    pub async fn clone_plan(&self, id: PlanId, name: Title) -> Result<Plan> {
        let mut store = self.begin().await?;
        let mut settings = store.plan(id).await?.settings;
        settings.name = name;
        let plan = store.create_plan(&settings, self.clock.now()).await?;
        store.copy_lists(id, plan.id).await?;
        store.commit().await?;
        Ok(plan)
    }

    /// Changes a plan that is Saved; a list that is given replaces the one before. Every field that breaks its rule is
    /// named at once.
    pub async fn edit_plan(
        &self,
        id: PlanId,
        settings: &PlanSettings,
        whitelist: Option<&[DeviceKey]>,
        blacklist: Option<&[DeviceKey]>,
    ) -> Result<Plan> {
        let mut store = self.begin().await?;
        let plan = store.lock_plan(id).await?;
        saved(&plan, "edited")?;
        let mut faults = settings.faults();
        if plan.settings.product != settings.product {
            let value = settings.product.to_string();
            let rule = "the product of a saved plan cannot be changed; create another plan";
            faults.push(NameError { what: "product", value, rule });
        }
        if !faults.is_empty() {
            return Err(EngineError::Plan(faults));
        }
        let plan = store.edit_plan(id, settings).await?;
        for (list, keys) in [(List::White, whitelist), (List::Black, blacklist)] {
            if let Some(keys) = keys {
                store.clear_list(id, list).await?;
                store.list_devices(id, list, keys).await?;
            }
        }
        store.commit().await?;
        Ok(plan)
    }

    /// Replaces a list of a plan that is Saved; gives the number of different keys in it.
    pub async fn replace_list(&self, id: PlanId, list: List, keys: &[DeviceKey]) -> Result<i64> {
        let mut store = self.begin().await?;
        let plan = store.lock_plan(id).await?;
        saved(&plan, "edited")?;
        store.clear_list(id, list).await?;
        store.list_devices(id, list, keys).await?;
        let devices = store.count_listed(id, list).await?;
        store.commit().await?;
        Ok(devices)
    }

    /// Deletes a plan that is Saved.
    pub async fn delete_plan(&self, id: PlanId) -> Result<()> {
        let mut store = self.begin().await?;
        let plan = store.lock_plan(id).await?;
        saved(&plan, "deleted")?;
        store.delete_plan(id).await?;
        store.commit().await?;
        Ok(())
    }

    /// Activates a Saved plan, or says every reason why not. From here on it is frozen.
    pub async fn activate(&self, id: PlanId, supersede: Supersede) -> Result<Plan> {
        let plan = transact!(self, |store| self.activate_in(store, id, supersede).await)?;
        if plan.settings.first_push == FirstPush::AtOnce {
            self.wake.due();
        }
        Ok(plan)
    }

    async fn activate_in(&self, store: &mut Transaction, id: PlanId, supersede: Supersede) -> Result<Plan> {
        let now = self.clock.now();
        // Two activations at one moment would not see each other as overlapping.
        let product = store.plan(id).await?.settings.product;
        store.lock_product(&product).await?;
        let mut plan = store.lock_plan(id).await?;
        for selected in &plan.settings.components {
            store.hold_package(PackageId(selected.package)).await?;
        }
        let packages = packages_of(store, &plan).await?;
        let overlaps = store.overlaps(id).await?;
        let faults = activation_faults(&plan.settings, plan.state, &packages, &overlaps, supersede, now);
        if !faults.is_empty() {
            return Err(EngineError::Activation(faults));
        }
        plan.state = next_state(plan.state, PlanEvent::Activate, None)?;
        plan.activated = Some(now);
        store.save_plan_state(&plan).await?;
        let change = PlanChange { event: PlanEvent::Activate, reason: None, at: now };
        store.add_plan_change(id, &change).await?;
        announce_plan(store, &plan, PlanEvent::Activate, now).await?;
        for overlap in overlaps {
            store.supersede(PlanId(overlap.plan), &overlap.component, id).await?;
        }
        Ok(plan)
    }

    /// Every reason why the plan would not be activated now, as it is and without taking the place of others.
    pub async fn activation_faults(&self, plan: &Plan) -> Result<Vec<ActivationFault>> {
        let mut store = self.store.read().await?;
        let packages = packages_of(&mut store, plan).await?;
        let overlaps = store.overlaps(plan.id).await?;
        let now = self.clock.now();
        Ok(activation_faults(&plan.settings, plan.state, &packages, &overlaps, Supersede::Refuse, now))
    }

    /// Offers the plan to nobody new; devices that were offered it go on.
    pub async fn suspend(&self, id: PlanId) -> Result<Plan> {
        self.change_plan(id, PlanEvent::Suspend).await
    }

    /// Goes on after a suspension.
    pub async fn resume(&self, id: PlanId) -> Result<Plan> {
        self.change_plan(id, PlanEvent::Resume).await
    }

    /// Stops the plan for good: devices that have not confirmed fail, the others finish.
    pub async fn terminate(&self, id: PlanId) -> Result<Plan> {
        self.change_plan(id, PlanEvent::Terminate).await
    }

    async fn change_plan(&self, id: PlanId, event: PlanEvent) -> Result<Plan> {
        transact!(self, |store| {
            let mut plan = store.lock_plan(id).await?;
            self.apply_plan_event(store, &mut plan, event).await?;
            Ok(plan)
        })
    }

    /// One step in the plan's life, with its effect on devices.
    pub(super) async fn apply_plan_event(
        &self,
        store: &mut Transaction,
        plan: &mut Plan,
        event: PlanEvent,
    ) -> Result<()> {
        let now = self.clock.now();
        let next = next_state(plan.state, event, plan.suspended_from)?;
        match event {
            PlanEvent::Suspend | PlanEvent::Halt => plan.suspended_from = Some(plan.state),
            PlanEvent::Resume => {
                plan.suspended_from = None;
                plan.halted = None;
                // The operator has seen the failures: only new ones stop the plan again.
                store.forget_finished(plan.id).await?;
            }
            // A device that was offered the plan before has confirmed: it resumes as Upgrading.
            PlanEvent::DeviceStarts if plan.state == PlanState::Suspended => {
                plan.suspended_from = Some(PlanState::Upgrading);
            }
            _ => {}
        }
        plan.state = next;
        if next.is_over() {
            plan.over = Some(now);
        }
        store.save_plan_state(plan).await?;
        if event != PlanEvent::DeviceStarts {
            let reason = plan.halted.clone().filter(|_| event == PlanEvent::Halt);
            store.add_plan_change(plan.id, &PlanChange { event, reason, at: now }).await?;
        }
        announce_plan(store, plan, event, now).await?;
        end_devices(store, plan, event, now).await
    }
}

/// Whether the plan may still be `done` so to: from its activation on it is frozen.
fn saved(plan: &Plan, done: &str) -> Result<()> {
    if plan.state == PlanState::Saved {
        return Ok(());
    }
    let reason = format!("it is {}; only a saved plan is {done}", plan.state);
    Err(StoreError::conflict("upgrade plan", plan.id.0, reason).into())
}

/// What activation finds for each component of the plan.
pub(super) async fn packages_of(store: &mut Reader, plan: &Plan) -> Result<Vec<PackageFound>> {
    let mut found = Vec::with_capacity(plan.settings.components.len());
    for selected in &plan.settings.components {
        let package = selected.package;
        let id = PackageId(package);
        found.push(match store.find_package(id).await?.map(|package| package.content) {
            None => PackageFound::Gone { package },
            Some(content)
                if content.product == plan.settings.product && content.component == selected.component =>
            {
                PackageFound::Fits { target: content.target, verified: store.verified(id).await? }
            }
            Some(content) => PackageFound::OtherComponent {
                package,
                product: content.product,
                component: content.component,
            },
        });
    }
    Ok(found)
}
