//! Evaluates a plan for a device: loads the facts of both from the store and asks the rules.

use super::Result;
use crate::clock::Millis;
use crate::rules::applicability::ComponentFacts;
use crate::rules::block_reason::{BlockReason, Verifying};
use crate::rules::consent::consent;
use crate::rules::eligibility::{self, EligibilityInput, Membership};
use crate::rules::limits::Load;
use crate::rules::plan::{List, Mode};
use crate::rules::readings::lacks_status;
use crate::rules::trigger::Trigger;
use crate::rules::{ComponentKind, ComponentNo, DeviceKey, Version};
use crate::store::{Device, PackageId, Plan, PlanId, Reader, ReportedVersion, Upgrade};

/// What of a plan is the same for every device.
pub(super) struct PlanOffer {
    pub(super) plan: Plan,
    /// None where the component or its package is gone: never of a plan that is offered.
    components: Vec<Option<Brought>>,
    superseded: Vec<(ComponentNo, PlanId)>,
    load: Load,
}

/// What the plan brings to one component.
struct Brought {
    kind: ComponentKind,
    source: Option<Version>,
    target: Version,
}

impl PlanOffer {
    pub(super) async fn of(store: &mut Reader, plan: Plan, now: Millis) -> Result<Self> {
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
        let superseded = store.superseded_by(plan.id).await?;
        let load = store.load(&plan, now).await?;
        Ok(Self { plan, components, superseded, load })
    }
}

/// What the rules decide about a plan and a device.
pub(super) struct Evaluation {
    pub(super) verdict: std::result::Result<Vec<usize>, BlockReason>,
    pub(super) membership: Membership,
    pub(super) components: Vec<ComponentFacts>,
    pub(super) upgrade: Option<Upgrade>,
    pub(super) lacks_status: bool,
    /// Another plan whose upgrade has the device busy, also with an offer that was not answered yet.
    pub(super) busy_with: Option<PlanId>,
}

/// Asks the rules; nothing is written.
pub(super) async fn evaluate(
    store: &mut Reader,
    offer: &PlanOffer,
    device: &Device,
    versions: &[ReportedVersion],
    trigger: Trigger,
    now: Millis,
) -> Result<Evaluation> {
    let plan = &offer.plan;
    let known = device.facts(versions);
    let mut components = Vec::with_capacity(offer.components.len());
    for (selected, brought) in plan.settings.components.iter().zip(&offer.components) {
        let Some(brought) = brought else { continue };
        let mut superseded_by = None;
        for (component, newer) in &offer.superseded {
            if *component == selected.component
                && membership(store, *newer, &device.key).await? == Membership::Included
            {
                superseded_by = Some(newer.0);
            }
        }
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
    let membership = membership(store, plan.id, &device.key).await?;
    let upgrade = store.find_upgrade(plan.id, device.id).await?;
    let answer = match plan.settings.mode {
        Mode::Manual => store.find_answer(plan.id, device.id).await?.map(|said| said.answer),
        Mode::Silent => None,
    };
    let others = store.open_upgrades(device.id).await?;
    let others = || others.iter().filter(|other| other.plan != Some(plan.id));
    let other_upgrade =
        others().find(|other| other.plan.is_some() && other.is_in_progress()).map(|other| other.id.0);
    let verification = others().find(|other| other.plan.is_none()).and_then(verifying);
    let busy_with = others().find(|other| other.is_outstanding()).and_then(|other| other.plan);
    let lacks_status = lacks_status(&plan.settings.strategy, &known);
    let verdict = eligibility::offer(&EligibilityInput {
        settings: &plan.settings,
        state: plan.state,
        halted: plan.halted.as_deref(),
        load: offer.load,
        components: &components,
        device: known,
        membership,
        upgrade: upgrade.as_ref(),
        other_upgrade,
        verification,
        consent: consent(answer, device.auto_confirm, now),
        trigger,
        now,
    });
    Ok(Evaluation { verdict, membership, components, upgrade, lacks_status, busy_with })
}

async fn membership(store: &mut Reader, plan: PlanId, key: &DeviceKey) -> Result<Membership> {
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
