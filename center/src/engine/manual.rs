//! Manual mode: what the end user of a device sees of its plans, and what his word does.

use std::ops::DerefMut;

use serde_json::json;
use sqlx::AnyConnection;

use super::judgement::{Judgement, Offering, judge};
use super::turn::Turn;
use super::why::{occasion, standing};
use super::{Engine, Result};
use crate::clock::Millis;
use crate::rules::eligibility::{self, ComponentFacts, Need, Trigger};
use crate::rules::explanation::Standing;
use crate::rules::manual::{Answer, Appointment, Attempt, AutoConfirm, CANCELLED, Deed, NotTaken, Situation};
use crate::rules::plan::Mode;
use crate::rules::progress::ComponentState;
use crate::rules::{ComponentKind, DeviceKey, ProductKey};
use crate::store::{
    Device, DeviceId, PackageId, Plan, PlanId, Queries, ReportedVersion, Said, StoreError, Upgrade,
};

/// A plan as the end user of a device sees it.
#[derive(Debug)]
pub struct UserPlan {
    /// The plan.
    pub plan: Plan,
    /// What it brings.
    pub components: Vec<Brings>,
    /// What the user said last.
    pub said: Option<Said>,
    /// How far it is; none: the device was never offered it.
    pub upgrade: Option<Upgrade>,
    /// Where the device stands.
    pub standing: Standing,
    /// What the user may do now.
    pub deeds: Vec<Deed>,
}

/// What a plan brings to a component.
#[derive(Debug)]
pub struct Brings {
    /// The component with the version that the device reported, and the target.
    pub facts: ComponentFacts,
    /// Module or MCU firmware.
    pub kind: ComponentKind,
    /// Bytes of the version package.
    pub bytes: u64,
}

/// The end user's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Upgrade as soon as possible.
    Confirm,
    /// Upgrade inside this window.
    Appoint(Appointment),
    /// Do not upgrade.
    Cancel,
    /// Try again.
    Retry,
}

impl Word {
    fn deed(self) -> Deed {
        match self {
            Word::Confirm => Deed::Confirm,
            Word::Appoint(_) => Deed::Appoint,
            Word::Cancel => Deed::Cancel,
            Word::Retry => Deed::Retry,
        }
    }
}

/// How far the plan is on the device.
fn attempt(upgrade: Option<&Upgrade>) -> Attempt {
    let Some(upgrade) = upgrade else { return Attempt::Idle };
    if upgrade.ended.is_some() {
        return Attempt::Ended { state: upgrade.state, reason: upgrade.reason.clone() };
    }
    let current = upgrade.current().and_then(|current| upgrade.components.get(current));
    match current.filter(|current| upgrade.is_at_work() && current.state.is_in_flight()) {
        Some(current) => Attempt::AtWork { component: current.component.clone(), state: current.state },
        None => Attempt::Idle,
    }
}

fn situation<'j>(plan: &'j Plan, judgement: &'j Judgement, now: Millis) -> Situation<'j> {
    Situation {
        plan: plan.id.0,
        settings: &plan.settings,
        state: plan.state,
        membership: judgement.membership,
        components: &judgement.facts,
        attempt: attempt(judgement.upgrade.as_ref()),
        now,
    }
}

/// Whether a plan brings a device anything, or did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concerned {
    Yes,
    No,
}

/// Only plans of the device's own product are any business of its user.
fn of_product(plan: &Plan, device: &Device) -> Result<()> {
    if plan.settings.product == device.product {
        return Ok(());
    }
    Err(StoreError::NotFound { what: "upgrade plan of this device", id: plan.id.0.to_string() }.into())
}

async fn see<C>(
    store: &mut Queries<C>,
    device: &Device,
    versions: &[ReportedVersion],
    plan: Plan,
    now: Millis,
) -> Result<(UserPlan, Concerned)>
where
    C: DerefMut<Target = AnyConnection> + Send,
{
    let offering = Offering::of(store, plan, now).await?;
    let trigger = occasion(offering.plan.settings.push);
    let judgement = judge(store, &offering, device, versions, trigger, now).await?;
    let plan = offering.plan;
    let situation = situation(&plan, &judgement, now);
    let brings = judgement.upgrade.is_some() || situation.concerns().is_ok();
    let concerned = if brings { Concerned::Yes } else { Concerned::No };
    let deeds = situation.deeds();
    let mut components = Vec::with_capacity(judgement.facts.len());
    for ((facts, kind), selected) in
        judgement.facts.iter().zip(&judgement.kinds).zip(&plan.settings.components)
    {
        let files = store.package(PackageId(selected.package)).await?.content.files;
        let bytes = files.iter().map(|file| file.size).sum();
        components.push(Brings { facts: facts.clone(), kind: *kind, bytes });
    }
    let said = store.find_answer(plan.id, device.id).await?;
    let upgrade = judgement.upgrade.clone();
    let ahead = judgement.busy_with;
    let standing = standing(&plan, judgement, ahead, now);
    Ok((UserPlan { plan, components, said, upgrade, standing, deeds }, concerned))
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

    /// Takes the end user's word for a device: to `plan`, or to the one plan that takes it. Returns that plan. An offer
    /// that follows is made at the next tick.
    pub async fn take_word(
        &self,
        product: &ProductKey,
        key: &DeviceKey,
        plan: Option<PlanId>,
        word: Word,
    ) -> Result<PlanId> {
        let plan = match plan {
            Some(plan) => plan,
            None => self.meant(product, key, word.deed()).await?,
        };
        let device = self.store.read().await?.device(product, key).await?.id;
        let mut turn = self.turn(device).await?;
        turn.take_word(plan, word).await?;
        turn.finish().await?;
        Ok(plan)
    }

    /// The plan that is meant where none is named.
    async fn meant(&self, product: &ProductKey, key: &DeviceKey, deed: Deed) -> Result<PlanId> {
        let (_, plans) = self.user_plans(product, key).await?;
        let manual: Vec<_> = plans.iter().filter(|seen| seen.plan.settings.mode == Mode::Manual).collect();
        let mut takes = manual.iter().filter(|seen| seen.deeds.contains(&deed)).map(|seen| seen.plan.id);
        match (takes.next(), takes.next(), manual.as_slice()) {
            (Some(plan), None, _) => Ok(plan),
            (Some(_), Some(_), _) => {
                let takes = manual.iter().filter(|seen| seen.deeds.contains(&deed));
                Err(NotTaken::WhichPlan { plans: takes.map(|seen| seen.plan.id.0).collect() }.into())
            }
            // The one that there is says why not.
            (None, _, [only]) => Ok(only.plan.id),
            (None, ..) => Err(NotTaken::NoPlan.into()),
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
        let mut turn = self.turn(device).await?;
        if turn.device.auto_confirm != auto {
            turn.store.set_auto_confirm(device, auto).await?;
            turn.log(None, None, "user", json!({ "auto_confirm": auto })).await?;
            if auto == AutoConfirm::On {
                turn.store.set_look_at(device, Some(turn.now)).await?;
            }
        }
        turn.finish().await?;
        Ok(())
    }
}

impl Turn<'_> {
    async fn take_word(&mut self, id: PlanId, word: Word) -> Result<()> {
        let plan = self.store.hold_plan(id).await?;
        of_product(&plan, &self.device)?;
        let offering = Offering::of(&mut self.store, plan, self.now).await?;
        let trigger = Trigger::Consent;
        let judgement =
            judge(&mut self.store, &offering, &self.device, &self.versions, trigger, self.now).await?;
        let plan = offering.plan;
        let situation = situation(&plan, &judgement, self.now);
        match word {
            Word::Appoint(window) => situation.allows_window(window)?,
            word => situation.allows(word.deed())?,
        }
        let is_at_work = matches!(situation.attempt, Attempt::AtWork { .. });
        let value = match word {
            Word::Appoint(window) => json!({ "plan": id, "action": Deed::Appoint, "window": window }),
            word => json!({ "plan": id, "action": word.deed() }),
        };
        match word {
            Word::Confirm if is_at_work => return Ok(()),
            Word::Confirm => self.store.set_answer(id, self.device.id, Answer::Confirmed, self.now).await?,
            Word::Appoint(window) => {
                self.store.set_answer(id, self.device.id, Answer::Appointed(window), self.now).await?;
            }
            Word::Cancel => {
                self.store.forget_answer(id, self.device.id).await?;
                return self.cancel(&plan, judgement, value).await;
            }
            Word::Retry => {
                self.store.set_answer(id, self.device.id, Answer::Confirmed, self.now).await?;
                if let Some(mut upgrade) = judgement.upgrade {
                    self.log(Some(&upgrade), None, "user", value).await?;
                    self.reopen(&mut upgrade).await?;
                }
                return self.look_soon().await;
            }
        }
        self.log(judgement.upgrade.as_ref(), None, "user", value).await?;
        self.look_soon().await
    }

    /// The next tick looks whether the device is due a plan.
    async fn look_soon(&mut self) -> Result<()> {
        Ok(self.store.set_look_at(self.device.id, Some(self.now)).await?)
    }

    /// A look that the end user's word, or the opening of an appointed window, asked for.
    pub(super) async fn look(&mut self) -> Result<()> {
        let next = self.store.next_opening(self.device.id, self.now).await?;
        self.store.set_look_at(self.device.id, next).await?;
        self.offer(Trigger::Consent).await
    }

    async fn cancel(&mut self, plan: &Plan, judgement: Judgement, value: serde_json::Value) -> Result<()> {
        let Judgement { facts, kinds, upgrade, .. } = judgement;
        let mut upgrade = match upgrade {
            Some(upgrade) => upgrade,
            None => {
                let mut components = Vec::with_capacity(facts.len());
                for ((facts, kind), selected) in facts.into_iter().zip(kinds).zip(&plan.settings.components) {
                    let needed = eligibility::is_needed(&facts);
                    let offered = matches!(needed, Ok(Need::Upgrade));
                    components.push(self.component(facts, kind, PackageId(selected.package), offered, None));
                }
                let upgrade = Upgrade::new(Some(plan.id), self.device.id, self.now, components);
                self.store.create_upgrade(upgrade).await?
            }
        };
        upgrade.cancelled = Some(self.now);
        self.log(Some(&upgrade), None, "user", value).await?;
        if matches!(attempt(Some(&upgrade)), Attempt::AtWork { .. }) {
            // Nothing tells a device to stop: it gets no more bytes, and what it reports next decides.
            upgrade.reason = Some(CANCELLED.to_owned());
        } else {
            self.end_cancelled(&mut upgrade).await?;
        }
        self.save(&mut upgrade).await
    }

    /// The device has nothing more to do for an upgrade that its user cancelled.
    pub(super) async fn end_cancelled(&mut self, upgrade: &mut Upgrade) -> Result<()> {
        use ComponentState::{DownloadFailed, Failed};
        for component in upgrade.components.iter_mut().filter(|component| !component.state.is_done()) {
            if !matches!(component.state, DownloadFailed | Failed) {
                component.state = Failed;
                component.reason = Some(CANCELLED.to_owned());
                component.updated = self.now;
            }
            component.proving = false;
        }
        self.end_failed(upgrade, CANCELLED, "cancelled").await
    }

    /// An upgrade that has failed gets as many attempts as a new one. It is offered like one that nobody has answered.
    pub(super) async fn reopen(&mut self, upgrade: &mut Upgrade) -> Result<()> {
        self.all_open(upgrade, ComponentState::PlanNotReceived);
        for component in upgrade.components.iter_mut().filter(|component| !component.state.is_done()) {
            component.failures = 0;
            component.reason = None;
        }
        self.begin_anew(upgrade);
        upgrade.cancelled = None;
        upgrade.ended = None;
        self.active(upgrade);
        self.save(upgrade).await
    }
}
