//! Manual mode: what the end user of a device sees of its plans, and what the user's actions do.

use std::sync::Arc;

use serde_json::json;

use super::device_transaction::{DeviceTransaction, with_device};
use super::evaluation::{Evaluation, PlanOffer, evaluate};
use super::plan_locks::PlanLock;
use super::why::{occasion, status};
use super::{Engine, Result};
use crate::clock::Millis;
use crate::rules::applicability::{ComponentFacts, Need, is_needed};
use crate::rules::consent::{Answer, Appointment, AutoConfirm};
use crate::rules::device_status::DeviceStatus;
use crate::rules::manual::{ActionRefused, UserContext};
use crate::rules::plan::Mode;
use crate::rules::trigger::Trigger;
use crate::rules::upgrade::UserAction;
use crate::rules::upgrade::{ComponentUpgrade, Input, Offered, Phase};
use crate::rules::{DeviceKey, ProductKey};
use crate::store::{
    Device, DeviceId, Plan, PlanId, Reader, ReportedVersion, StoreError, Upgrade, UserConsent,
};

/// A plan as the end user of a device sees it.
#[derive(Debug)]
pub struct UserPlan {
    /// The plan.
    pub plan: Plan,
    /// What it brings.
    pub components: Vec<Brings>,
    /// The user's last consent.
    pub said: Option<UserConsent>,
    /// How far it is; none: the device was never offered it.
    pub upgrade: Option<Upgrade>,
    /// The status of the device.
    pub status: DeviceStatus,
    /// What the user may do now.
    pub actions: Vec<UserAction>,
}

/// What a plan brings to a component.
#[derive(Debug)]
pub struct Brings {
    /// The component with the version that the device reported, and the target.
    pub facts: ComponentFacts,
    /// Bytes of the version package.
    pub bytes: u64,
}

/// An action of the end user, with its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserCommand {
    /// Upgrade as soon as possible.
    Confirm,
    /// Upgrade inside this window.
    Appoint(Appointment),
    /// Do not upgrade.
    Cancel,
    /// Try again.
    Retry,
}

impl UserCommand {
    fn action(self) -> UserAction {
        match self {
            UserCommand::Confirm => UserAction::Confirm,
            UserCommand::Appoint(_) => UserAction::Appoint,
            UserCommand::Cancel => UserAction::Cancel,
            UserCommand::Retry => UserAction::Retry,
        }
    }
}

fn context<'j>(plan: &'j Plan, evaluation: &'j Evaluation, now: Millis) -> UserContext<'j> {
    UserContext {
        plan: plan.id.0,
        settings: &plan.settings,
        state: plan.state,
        membership: evaluation.membership,
        components: &evaluation.components,
        upgrade: evaluation.upgrade.as_deref(),
        now,
    }
}

/// Whether a plan brings a device anything, or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concerned {
    Yes,
    No,
}

/// An end user may only act on plans of the device's product.
fn of_product(plan: &Plan, device: &Device) -> Result<()> {
    if plan.settings.product == device.product {
        return Ok(());
    }
    Err(StoreError::NotFound { what: "upgrade plan of this device", id: plan.id.0.to_string() }.into())
}

async fn see(
    store: &mut Reader,
    device: &Device,
    versions: &[ReportedVersion],
    plan: Plan,
    now: Millis,
) -> Result<(UserPlan, Concerned)> {
    let offer = PlanOffer::of(store, plan, now).await?;
    let trigger = occasion(offer.plan.settings.push);
    let evaluation = evaluate(store, &offer, device, versions, trigger, now).await?;
    let plan = offer.plan;
    let context = context(&plan, &evaluation, now);
    let brings = evaluation.upgrade.is_some() || context.concerns().is_ok();
    let concerned = if brings { Concerned::Yes } else { Concerned::No };
    let actions = context.actions();
    let mut components = Vec::with_capacity(evaluation.components.len());
    for facts in &evaluation.components {
        let files = store.package(facts.package).await?.content.files;
        let bytes = files.iter().map(|file| file.size).sum();
        components.push(Brings { facts: facts.clone(), bytes });
    }
    let said = store.find_answer(plan.id, device.id).await?;
    let upgrade = evaluation.upgrade.as_deref().cloned();
    let ahead = evaluation.busy_with;
    let status = status(&plan, evaluation, ahead, now);
    Ok((UserPlan { plan, components, said, upgrade, status, actions }, concerned))
}

impl Engine {
    /// The plans that are active and concern the device, or that it is at work for; the newest activation first.
    pub async fn user_plans(&self, product: &ProductKey, key: &DeviceKey) -> Result<(Device, Vec<UserPlan>)> {
        let now = self.clock.now();
        let mut store = self.store.read().await?;
        let device = store.device(product, key).await?;
        let versions = store.device_versions(device.id).await?;
        let mut plans = store.active_plans(product).await?;
        // A device that has confirmed goes on after the plan is over.
        for upgrade in store.open_upgrades(device.id).await? {
            if let Some(id) = upgrade.plan.filter(|id| plans.iter().all(|plan| plan.id != *id)) {
                plans.push(store.plan(id).await?);
            }
        }
        let mut seen = Vec::with_capacity(plans.len());
        for plan in plans {
            let (plan, concerned) = see(&mut store, &device, &versions, plan, now).await?;
            if concerned == Concerned::Yes {
                seen.push(plan);
            }
        }
        Ok((device, seen))
    }

    /// One plan of the device's product, whatever its state, as the end user of the device sees it.
    pub async fn user_plan(&self, device: DeviceId, plan: PlanId) -> Result<UserPlan> {
        let now = self.clock.now();
        let mut store = self.store.read().await?;
        let device = store.device_by_id(device).await?;
        let versions = store.device_versions(device.id).await?;
        let plan = store.plan(plan).await?;
        of_product(&plan, &device)?;
        let (seen, _) = see(&mut store, &device, &versions, plan, now).await?;
        Ok(seen)
    }

    /// Carries out the end user's action on `plan`, or on the one plan that allows it. Returns that plan. An offer
    /// that follows is made at the next tick.
    pub async fn apply_user_command(
        &self,
        product: &ProductKey,
        key: &DeviceKey,
        plan: Option<PlanId>,
        word: UserCommand,
    ) -> Result<PlanId> {
        let plan = match plan {
            Some(plan) => plan,
            None => self.meant(product, key, word.action()).await?,
        };
        let device = self.store.read().await?.device(product, key).await?.id;
        with_device!(self, device, |transaction| transaction.apply_user_command(plan, word).await)?;
        Ok(plan)
    }

    /// The plan that is meant where none is named.
    async fn meant(&self, product: &ProductKey, key: &DeviceKey, action: UserAction) -> Result<PlanId> {
        let (_, plans) = self.user_plans(product, key).await?;
        let manual: Vec<_> = plans.iter().filter(|seen| seen.plan.settings.mode == Mode::Manual).collect();
        let mut takes = manual.iter().filter(|seen| seen.actions.contains(&action)).map(|seen| seen.plan.id);
        match (takes.next(), takes.next(), manual.as_slice()) {
            (Some(plan), None, _) => Ok(plan),
            (Some(_), Some(_), _) => {
                let takes = manual.iter().filter(|seen| seen.actions.contains(&action));
                Err(ActionRefused::WhichPlan { plans: takes.map(|seen| seen.plan.id.0).collect() }.into())
            }
            // The one that there is says why not.
            (None, _, [only]) => Ok(only.plan.id),
            (None, ..) => Err(ActionRefused::NoPlan.into()),
        }
    }

    /// Stores whether plans in manual mode count as confirmed for the device, without asking each time.
    pub async fn set_auto_confirm(
        &self,
        product: &ProductKey,
        key: &DeviceKey,
        auto: AutoConfirm,
    ) -> Result<()> {
        let device = self.store.read().await?.device(product, key).await?.id;
        with_device!(self, device, |transaction| {
            if transaction.device.auto_confirm != auto {
                transaction.store.beside().set_auto_confirm(device, auto).await?;
                transaction.device.auto_confirm = auto;
                transaction.log(None, None, "user", json!({ "auto_confirm": auto })).await?;
                if auto == AutoConfirm::On {
                    transaction.recheck_soon().await?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }
}

impl DeviceTransaction<'_> {
    async fn apply_user_command(&mut self, id: PlanId, word: UserCommand) -> Result<()> {
        let plan = self.lock_plan(id, PlanLock::Shared).await?;
        of_product(&plan, &self.device)?;
        let mut plan = plan;
        let evaluation = self.evaluate(&plan, Trigger::Consent).await?;
        let context = context(&plan, &evaluation, self.now);
        match word {
            UserCommand::Appoint(window) => context.allows_window(window)?,
            word => context.allows(word.action())?,
        }
        let is_at_work = Phase::of(evaluation.upgrade.as_deref()) == Phase::AtWork;
        let (answer, value) = match word {
            UserCommand::Confirm if is_at_work => return Ok(()),
            UserCommand::Confirm => (Answer::Confirmed, json!({ "plan": id, "action": UserAction::Confirm })),
            UserCommand::Appoint(window) => {
                let value = json!({ "plan": id, "action": UserAction::Appoint, "window": window });
                (Answer::Appointed(window), value)
            }
            UserCommand::Cancel => {
                self.store.beside().forget_answer(id, self.device.id).await?;
                return self.cancel(plan, evaluation).await;
            }
            UserCommand::Retry => {
                self.store.beside().set_answer(id, self.device.id, Answer::Confirmed, self.now).await?;
                if let Some(mut upgrade) = evaluation.upgrade {
                    self.apply(&mut upgrade, Some(&mut plan), Input::UserRetry).await?;
                }
                return self.recheck_soon().await;
            }
        };
        self.store.beside().set_answer(id, self.device.id, answer, self.now).await?;
        self.log(evaluation.upgrade.as_deref(), None, "user", value).await?;
        self.recheck_soon().await
    }

    /// The next tick evaluates the device's plans.
    async fn recheck_soon(&mut self) -> Result<()> {
        self.becomes_due();
        Ok(self.store.beside().set_recheck_at(self.device.id, Some(self.now)).await?)
    }

    /// The evaluation that the end user's action, or the opening of an appointed window, asked for.
    pub(super) async fn recheck(&mut self) -> Result<()> {
        let next = self.store.beside().next_opening(self.device.id, self.now).await?;
        self.store.beside().set_recheck_at(self.device.id, next).await?;
        if let Some(trigger) = self.end_status_ask() {
            self.offer(trigger).await?;
        }
        self.offer(Trigger::Consent).await
    }

    async fn cancel(&mut self, mut plan: Arc<Plan>, evaluation: Evaluation) -> Result<()> {
        let Evaluation { components, upgrade, .. } = evaluation;
        let mut upgrade = upgrade.unwrap_or_else(|| {
            let components = components.into_iter().map(|facts| {
                let needed = matches!(is_needed(&facts), Ok(Need::Upgrade));
                let offered = if needed { Offered::Yes } else { Offered::No };
                ComponentUpgrade::new(facts, offered, None, self.now)
            });
            Box::new(Upgrade::new(Some(plan.id), self.device.id, self.now, components.collect()))
        });
        self.apply(&mut upgrade, Some(&mut plan), Input::Cancel).await
    }
}
