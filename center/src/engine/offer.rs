//! Offers: which plan a device is told of now, and the messages that tell it.

use serde_json::json;

use super::device_transaction::DeviceTransaction;
use super::evaluation::{Evaluation, PlanOffer, evaluate, place};
use super::{Downlink, Firmware, FirmwareFile, FirmwareInfo, OfferedComponent, Result};
use crate::metrics::Count;
use crate::rules::ComponentKind;
use crate::rules::eligibility::{self, ComponentFacts, StatusAsk, Trigger};
use crate::rules::limits::{Place, has_room};
use crate::rules::progress::ComponentState;
use crate::store::{ComponentUpgrade, PackageId, Plan, PlanId, Upgrade};

impl DeviceTransaction<'_> {
    /// Offers the device what it is due, if anything.
    pub(super) async fn offer(&mut self, trigger: Trigger) -> Result<()> {
        let open = self.store.open_upgrades(self.device.id).await?;
        let plan_works = open.iter().any(|upgrade| upgrade.plan.is_some() && upgrade.is_at_work());
        if let Some(verification) = open.iter().find(|upgrade| upgrade.plan.is_none() && !plan_works) {
            return self.offer_verification(verification.clone(), trigger).await;
        }
        if let Some(mut upgrade) = open.into_iter().find(Upgrade::is_outstanding) {
            let offered =
                upgrade.current().and_then(|index| upgrade.components.get(index)).is_some_and(|current| {
                    matches!(current.state, ComponentState::PlanNotReceived | ComponentState::PlanReceived)
                });
            match (upgrade.is_at_work(), trigger) {
                // It asks, so it is not at work any more for what its user cancelled.
                (true, Trigger::Request) if upgrade.cancelled.is_some() => {
                    self.end_cancelled(&mut upgrade).await?;
                    self.save(&mut upgrade).await?;
                }
                (true, Trigger::Request) => return self.offer_again(upgrade).await,
                (true, Trigger::Online) if offered => return self.offer_again(upgrade).await,
                (true, _) | (false, Trigger::Mark | Trigger::Retry | Trigger::Consent) => return Ok(()),
                // Nobody has answered yet: the device may be told again, perhaps of something newer.
                (false, Trigger::Request | Trigger::Online) => {}
            }
        }
        for plan in self.store.offered_plans(&self.device.product).await? {
            let id = plan.id;
            let evaluation = self.evaluate(plan, trigger).await?;
            match &evaluation.verdict {
                Ok(_) if evaluation.lacks_status && self.device.asked_status.is_none() => {
                    self.ask_status(trigger);
                    return Ok(());
                }
                Ok(_) => {
                    if self.start(id, evaluation, trigger).await? {
                        return Ok(());
                    }
                }
                Err(blocked) if blocked.is_limit() && trigger != Trigger::Request => self.full.push(id),
                // Only a request is a question; the rest would fill the log with every mark.
                Err(blocked) if trigger == Trigger::Request => {
                    let value = json!({ "plan": id, "reason": blocked.to_string() });
                    self.log(evaluation.upgrade.as_ref(), None, "held", value).await?;
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// What the rules say about this plan and this device.
    pub(super) async fn evaluate(&mut self, plan: Plan, trigger: Trigger) -> Result<Evaluation> {
        let offer = PlanOffer::of(&mut self.store, plan, self.now).await?;
        evaluate(&mut self.store, &offer, &self.device, &self.versions, trigger, self.now).await
    }

    /// Writes the offer down and sends it, if the plan still offers: then says `true`.
    async fn start(&mut self, plan: PlanId, evaluation: Evaluation, trigger: Trigger) -> Result<bool> {
        let Evaluation { verdict: Ok(positions), facts, kinds, upgrade, .. } = evaluation else {
            return Ok(false);
        };
        let plan = self.store.plan(plan).await?;
        let is_limited = plan.settings.strategy.has_limits();
        // Who counts others must be the only one to start now.
        let plan = if is_limited || plan.settings.strategy.halt.is_some() {
            self.store.lock_plan(plan.id).await?
        } else {
            self.store.hold_plan(plan.id).await?
        };
        if !plan.state.offers() {
            return Ok(false);
        }
        if is_limited {
            let place = upgrade.as_ref().map_or(Place::New, place);
            let load = self.store.load(&plan, self.now).await?;
            if has_room(&plan.settings.strategy, &load, place).is_err() {
                self.full.push(plan.id);
                return Ok(false);
            }
            if place != Place::InFlight && plan.settings.strategy.max_per_minute.is_some() {
                self.store.count_start(plan.id, self.device.id, self.now).await?;
            }
        }
        self.withdraw_others(Some(plan.id)).await?;
        let mut components = Vec::with_capacity(facts.len());
        for (position, (facts, kind)) in facts.into_iter().zip(kinds).enumerate() {
            let before = upgrade.as_ref().and_then(|upgrade| upgrade.components.get(position));
            let package = plan.settings.components.get(position).map_or(0, |selected| selected.package);
            let offered = positions.contains(&position);
            components.push(self.component(facts, kind, PackageId(package), offered, before));
        }
        let mut upgrade =
            upgrade.unwrap_or_else(|| Upgrade::new(Some(plan.id), self.device.id, self.now, Vec::new()));
        upgrade.components = components;
        self.begin_anew(&mut upgrade);
        upgrade.next_offer = None;
        upgrade.reason = None;
        if let Some(current) = upgrade.current() {
            self.renew(&mut upgrade, current);
        }
        if upgrade.is_new() {
            upgrade = self.store.create_upgrade(upgrade).await?;
        } else {
            self.save(&mut upgrade).await?;
        }
        self.send_offer(&upgrade, trigger.as_str()).await?;
        Ok(true)
    }

    /// An older offer that nobody has answered gives way to the one of `plan`, or to a verification.
    pub(super) async fn withdraw_others(&mut self, plan: Option<PlanId>) -> Result<()> {
        for mut other in self.store.open_upgrades(self.device.id).await? {
            if other.plan != plan && other.is_outstanding() {
                for component in &mut other.components {
                    component.lease_until = None;
                }
                self.store.save_upgrade(&other).await?;
            }
        }
        Ok(())
    }

    pub(super) fn component(
        &self,
        facts: ComponentFacts,
        kind: ComponentKind,
        package: PackageId,
        offered: bool,
        before: Option<&ComponentUpgrade>,
    ) -> ComponentUpgrade {
        let reason = match eligibility::is_needed(&facts) {
            Err(blocked) if !offered => Some(blocked.to_string()),
            _ => None,
        };
        let state = match before {
            _ if offered => ComponentState::PlanNotReceived,
            Some(before) if before.state.is_done() => before.state,
            _ => ComponentState::NotRequired,
        };
        ComponentUpgrade {
            component: facts.component,
            kind,
            package,
            source: facts.reported,
            target: facts.target,
            state,
            reason,
            failures: before.map_or(0, |before| before.failures),
            fetched: before.map_or(0, |before| before.fetched),
            fetched_before: before.map_or(0, |before| before.fetched_before),
            wants_sha256: false,
            proving: false,
            lease_until: None,
            updated: self.now,
        }
    }

    /// The device asks in the middle: it hears the same offer again, and its answer decides what becomes of the attempt.
    pub(super) async fn offer_again(&mut self, mut upgrade: Upgrade) -> Result<()> {
        if let Some(current) = upgrade.current()
            && upgrade.components.get(current).is_some_and(|component| !component.state.is_in_flight())
        {
            self.renew(&mut upgrade, current);
            self.store.save_upgrade(&upgrade).await?;
        }
        self.send_offer(&upgrade, "again").await
    }

    /// Offers what is not done of the upgrade, in the order of its components.
    pub(super) async fn send_offer(&mut self, upgrade: &Upgrade, why: &str) -> Result<()> {
        let strategy = match upgrade.plan {
            Some(plan) => Some(self.store.plan(plan).await?.settings.strategy),
            None => None,
        };
        let mut offered = Vec::new();
        for component in upgrade.components.iter().filter(|component| !component.state.is_done()) {
            let files = self.store.package(component.package).await?.content.files;
            offered.push(OfferedComponent {
                component: component.component.clone(),
                source: component.source.clone(),
                target: component.target.clone(),
                kind: component.kind,
                min_battery: strategy.and_then(|strategy| strategy.min_battery),
                space: files.iter().map(|file| file.size).sum(),
                min_rsrp: strategy.and_then(|strategy| strategy.min_rsrp),
            });
        }
        if offered.is_empty() {
            return Ok(());
        }
        self.store.count(Count::Offer);
        let components: Vec<_> = offered
            .iter()
            .map(|offered| {
                let source = offered.source.as_deref().unwrap_or("");
                json!({ "component": offered.component, "source": source, "target": offered.target })
            })
            .collect();
        self.messages.push(Downlink::Offer(offered));
        self.log(Some(upgrade), None, "offer", json!({ "why": why, "components": components })).await
    }

    /// Sends the firmware of the component whose turn it is.
    pub(super) async fn send_firmware(&mut self, upgrade: &mut Upgrade) -> Result<()> {
        let Some(current) = upgrade.current() else { return Ok(()) };
        self.renew(upgrade, current);
        let Some(component) = upgrade.components.get(current) else { return Ok(()) };
        let package = self.store.package(component.package).await?;
        let files = &package.content.files;
        let info = FirmwareInfo {
            component: component.component.clone(),
            source: component.source.clone(),
            target: component.target.clone(),
            kind: component.kind,
            files: files
                .iter()
                .enumerate()
                .map(|(file_index, file)| FirmwareFile {
                    url: self.engine.urls.firmware_url(&Firmware {
                        upgrade: upgrade.id,
                        component: &component.component,
                        package: package.id,
                        file_index,
                        file,
                    }),
                    size: file.size,
                    digests: file.digests,
                })
                .collect(),
            with_sha256: component.wants_sha256,
        };
        self.messages.push(Downlink::Firmware(info));
        let files: Vec<_> = files
            .iter()
            .map(|file| json!({ "name": file.name, "size": file.size, "md5": hex::encode(file.digests.md5) }))
            .collect();
        let name = component.component.clone();
        self.log(Some(upgrade), Some(&name), "firmware", json!({ "package": package.id, "files": files }))
            .await
    }

    /// Asks for the versions of the module and of the MCU components.
    pub(super) fn ask_versions(&mut self) {
        self.messages.push(Downlink::AskVersions);
    }

    /// Asks for what the plan's conditions need; the answer brings the offer that `trigger` would have brought.
    fn ask_status(&mut self, trigger: Trigger) {
        self.device.asked_status = Some(StatusAsk::Waiting(trigger));
        self.messages.push(Downlink::AskStatus);
    }
}
