//! Evaluates a plan for a device: loads the facts of both from the store and asks the rules.

use std::collections::HashSet;

use super::Result;
use crate::clock::Millis;
use crate::rules::applicability::ComponentFacts;
use crate::rules::block_reason::{BlockReason, Verifying};
use crate::rules::consent::{Answer, consent};
use crate::rules::eligibility::{self, EligibilityInput, Membership};
use crate::rules::limits::Load;
use crate::rules::plan::{List, Mode};
use crate::rules::readings::lacks_status;
use crate::rules::trigger::Trigger;
use crate::rules::{ComponentKind, ComponentNo, DeviceKey, Version};
use crate::store::{
    Device, DeviceId, DeviceRecord, PackageId, Plan, PlanId, Reader, ReportedVersion, Upgrade,
};

/// What of a plan is the same for every device.
pub(super) struct PlanOffer {
    pub(super) plan: Plan,
    bringing: Bringing,
    load: Load,
}

/// What a plan brings to the components of any device.
#[derive(Debug)]
pub(super) struct Bringing {
    /// None where the component or its package is gone: never of a plan that is offered.
    components: Vec<Option<Brought>>,
    /// Newer plans that take its place for a component.
    pub(super) superseded: Vec<(ComponentNo, PlanId)>,
}

/// What the plan brings to one component.
#[derive(Debug)]
pub(super) struct Brought {
    pub(super) kind: ComponentKind,
    pub(super) source: Option<Version>,
    pub(super) target: Version,
}

impl Bringing {
    pub(super) async fn of(store: &mut Reader, plan: &Plan) -> Result<Self> {
        let mut components = Vec::with_capacity(plan.settings.components.len());
        for selected in &plan.settings.components {
            let component = store.find_component(&plan.settings.product, &selected.component).await?;
            let package = store.find_package(PackageId(selected.package)).await?;
            components.push(component.zip(package).map(|(component, package)| Brought {
                kind: component.kind,
                source: package.content.kind.source().cloned(),
                target: package.content.target,
            }));
        }
        Ok(Self { components, superseded: store.superseded_by(plan.id).await? })
    }

    /// What it brings to each of the plan's components.
    pub(super) fn brought<'a>(
        &'a self,
        plan: &'a Plan,
    ) -> impl Iterator<Item = (&'a ComponentNo, &'a Brought)> {
        let components = plan.settings.components.iter().zip(&self.components);
        components.filter_map(|(selected, brought)| Some((&selected.component, brought.as_ref()?)))
    }
}

impl PlanOffer {
    pub(super) async fn of(store: &mut Reader, plan: Plan, now: Millis) -> Result<Self> {
        let bringing = Bringing::of(store, &plan).await?;
        let load = store.load(&plan, now).await?;
        Ok(Self { plan, bringing, load })
    }
}

/// What of a device matters for one plan.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) membership: Membership,
    /// Newer plans that take the plan's place for a component, and that the device belongs to.
    pub(super) superseding: Vec<PlanId>,
    /// Boxed, as most have none and each step of an evaluation moves it.
    pub(super) upgrade: Option<Box<Upgrade>>,
    pub(super) answer: Option<Answer>,
    /// The device's upgrades that are not at their end.
    pub(super) open: Vec<Upgrade>,
}

impl Case {
    async fn of(store: &mut Reader, offer: &PlanOffer, device: &Device) -> Result<Self> {
        let plan = &offer.plan;
        let mut superseding = Vec::new();
        for (_, newer) in &offer.bringing.superseded {
            if membership(store, *newer, &device.key).await? == Membership::Included {
                superseding.push(*newer);
            }
        }
        Ok(Self {
            membership: membership(store, plan.id, &device.key).await?,
            superseding,
            upgrade: store.find_upgrade(plan.id, device.id).await?.map(Box::new),
            answer: match plan.settings.mode {
                Mode::Manual => store.find_answer(plan.id, device.id).await?.map(|said| said.answer),
                Mode::Silent => None,
            },
            open: store.open_upgrades(device.id).await?,
        })
    }
}

/// What the rules decide about a plan and a device.
pub(super) struct Evaluation {
    pub(super) verdict: std::result::Result<Vec<usize>, BlockReason>,
    pub(super) membership: Membership,
    pub(super) components: Vec<ComponentFacts>,
    pub(super) upgrade: Option<Box<Upgrade>>,
    pub(super) lacks_status: bool,
    /// Another plan whose upgrade has the device busy, also with an offer that was not answered yet.
    pub(super) busy_with: Option<PlanId>,
}

/// A device, its versions and what of it matters for one plan.
pub(super) struct Candidate {
    pub(super) device: Device,
    pub(super) versions: Vec<ReportedVersion>,
    case: Case,
}

/// Devices that are read at a time.
const READ: usize = 500;

impl Candidate {
    /// The same as [`Case::of`] for many devices, by few reads. They are in the order of their numbers, and who is gone
    /// meanwhile is left out.
    pub(super) async fn all(
        store: &mut Reader,
        offer: &PlanOffer,
        devices: &[DeviceId],
    ) -> Result<Vec<Candidate>> {
        let plan = &offer.plan;
        let mut plans: Vec<PlanId> = offer.bringing.superseded.iter().map(|(_, newer)| *newer).collect();
        plans.push(plan.id);
        let mut has = HashSet::new();
        for id in &plans {
            for list in [List::White, List::Black] {
                if store.has_list(*id, list).await? {
                    has.insert((*id, list));
                }
            }
        }
        let mut candidates = Vec::with_capacity(devices.len());
        for ids in devices.chunks(READ) {
            let listed: HashSet<_> = if has.is_empty() {
                HashSet::new()
            } else {
                store.lists_with(ids, &plans).await?.into_iter().collect()
            };
            for (id, record) in store.device_records(ids).await? {
                let DeviceRecord { device, versions, upgrades, .. } = record?;
                let is_included = |plan: PlanId| {
                    if listed.contains(&(id, plan, List::Black)) {
                        return Membership::Blacklisted;
                    }
                    if has.contains(&(plan, List::White)) && !listed.contains(&(id, plan, List::White)) {
                        return Membership::NotWhitelisted;
                    }
                    Membership::Included
                };
                let newer = offer.bringing.superseded.iter().map(|(_, newer)| *newer);
                let superseding = newer.filter(|newer| is_included(*newer) == Membership::Included).collect();
                let membership = is_included(plan.id);
                let of_plan = upgrades.iter().find(|upgrade| upgrade.plan == Some(plan.id));
                let mut upgrade = of_plan.cloned().map(Box::new);
                if upgrade.is_none() && plan.state.is_over() {
                    upgrade = store.find_upgrade(plan.id, id).await?.map(Box::new);
                }
                let answer = match plan.settings.mode {
                    Mode::Manual => store.find_answer(plan.id, id).await?.map(|said| said.answer),
                    Mode::Silent => None,
                };
                let open = upgrades.into_iter().filter(|upgrade| upgrade.ended.is_none()).collect();
                let case = Case { membership, superseding, upgrade, answer, open };
                candidates.push(Candidate { device, versions, case });
            }
        }
        Ok(candidates)
    }

    /// Asks the rules.
    pub(super) fn evaluate(&self, offer: &PlanOffer, trigger: Trigger, now: Millis) -> Evaluation {
        let Candidate { device, versions, case } = self;
        judge(&offer.plan, &offer.bringing, offer.load, case.clone(), device, versions, trigger, now)
    }
}

/// Loads the facts and asks the rules; nothing is written.
pub(super) async fn evaluate(
    store: &mut Reader,
    offer: &PlanOffer,
    device: &Device,
    versions: &[ReportedVersion],
    trigger: Trigger,
    now: Millis,
) -> Result<Evaluation> {
    let case = Case::of(store, offer, device).await?;
    Ok(judge(&offer.plan, &offer.bringing, offer.load, case, device, versions, trigger, now))
}

/// Asks the rules.
#[expect(clippy::too_many_arguments, reason = "each is a fact of its own")]
pub(super) fn judge(
    plan: &Plan,
    bringing: &Bringing,
    load: Load,
    case: Case,
    device: &Device,
    versions: &[ReportedVersion],
    trigger: Trigger,
    now: Millis,
) -> Evaluation {
    let Case { membership, superseding, upgrade, answer, open } = case;
    let known = device.facts(versions);
    let mut components = Vec::with_capacity(bringing.components.len());
    for (selected, brought) in plan.settings.components.iter().zip(&bringing.components) {
        let Some(brought) = brought else { continue };
        let newer = bringing.superseded.iter().rev();
        let superseded_by = newer
            .filter(|(component, newer)| *component == selected.component && superseding.contains(newer))
            .map(|(_, newer)| newer.0)
            .next();
        let source = brought.source.as_ref().unwrap_or(&brought.target);
        let forms = [brought.target.as_str(), source.as_str()];
        components.push(ComponentFacts {
            component: selected.component.clone(),
            kind: brought.kind,
            package: PackageId(selected.package),
            reported: known.reported(&selected.component, brought.kind, &forms).map(str::to_owned),
            source: brought.source.clone(),
            target: brought.target.clone(),
            superseded_by,
        });
    }
    let others = || open.iter().filter(|other| other.plan != Some(plan.id));
    let other_upgrade =
        others().find(|other| other.plan.is_some() && other.is_in_progress()).map(|other| other.id.0);
    let verification = others().find(|other| other.plan.is_none()).and_then(verifying);
    let busy_with = others().find(|other| other.is_outstanding()).and_then(|other| other.plan);
    let lacks_status = lacks_status(&plan.settings.strategy, &known);
    let verdict = eligibility::offer(&EligibilityInput {
        settings: &plan.settings,
        state: plan.state,
        halted: plan.halted.as_deref(),
        load,
        components: &components,
        device: known,
        membership,
        upgrade: upgrade.as_deref(),
        other_upgrade,
        verification,
        consent: consent(answer, device.auto_confirm, now),
        trigger,
        now,
    });
    Evaluation { verdict, membership, components, upgrade, lacks_status, busy_with }
}

pub(super) async fn membership(store: &mut Reader, plan: PlanId, key: &DeviceKey) -> Result<Membership> {
    if store.is_listed(plan, List::Black, key).await? {
        return Ok(Membership::Blacklisted);
    }
    if store.is_listed(plan, List::White, key).await? || !store.has_list(plan, List::White).await? {
        return Ok(Membership::Included);
    }
    Ok(Membership::NotWhitelisted)
}

/// The firmware verification that an open upgrade without a plan is.
fn verifying(upgrade: &Upgrade) -> Option<Verifying> {
    let package = upgrade.components.first()?.package.0;
    Some(Verifying { verification: upgrade.id.0, package, until: upgrade.deadline? })
}
