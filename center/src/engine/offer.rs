//! Offers: which plan a device is told of now, and the messages that tell it.

use serde::Serialize;
use serde_json::json;

use super::device_transaction::DeviceTransaction;
use super::evaluation::{Case, Evaluation, judge};
use super::plan_locks::PlanLock;
use super::{Downlink, EngineError, Firmware, FirmwareFile, FirmwareInfo, OfferedComponent, Result};
use crate::clock::Millis;
use crate::metrics::Count;
use crate::rules::block_reason::BlockReason;
use crate::rules::limits::{Load, has_room};
use crate::rules::plan::Mode;
use crate::rules::readings::StatusAsk;
use crate::rules::trigger::Trigger;
use crate::rules::upgrade::{Input, Offered, Phase};
use crate::store::{Plan, PlanId, Upgrade, UpgradeId};

/// Time that a device has to answer the question for battery and signal. SDK 2.9 never answers.
const STATUS_ANSWER: Millis = Millis::seconds(5);

/// What holds plans back, as the log has it.
#[derive(Serialize)]
#[serde(untagged)]
enum HeldBack {
    One { plan: PlanId, reason: String },
    Alike { plans: Vec<PlanId>, reason: String },
    Several { held: Vec<HeldBack> },
}

/// Plans that a device is not offered, by reason.
#[derive(Default)]
struct Held {
    by_reason: Vec<(BlockReason, Vec<PlanId>)>,
    /// The upgrade of the last one.
    upgrade: Option<UpgradeId>,
}

impl Held {
    fn add(&mut self, plan: PlanId, reason: BlockReason, upgrade: Option<&Upgrade>) {
        self.upgrade = upgrade.map(|upgrade| upgrade.id);
        match self.by_reason.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, plans)) => plans.push(plan),
            None => self.by_reason.push((reason, vec![plan])),
        }
    }

    /// The upgrade that it is about; none: it is about several.
    fn upgrade(&self) -> Option<UpgradeId> {
        let is_one = self.by_reason.iter().map(|(_, plans)| plans.len()).sum::<usize>() == 1;
        self.upgrade.filter(|_| is_one)
    }

    /// None: nothing is held back.
    fn told(self) -> Option<HeldBack> {
        let told = |(reason, plans): (BlockReason, Vec<PlanId>)| match plans[..] {
            [plan] => HeldBack::One { plan, reason: reason.to_string() },
            _ => HeldBack::Alike { plans, reason: reason.to_string() },
        };
        let mut all: Vec<_> = self.by_reason.into_iter().map(told).collect();
        if all.len() > 1 { Some(HeldBack::Several { held: all }) } else { all.pop() }
    }
}

impl DeviceTransaction<'_> {
    /// Offers the device what it is due, if anything.
    pub(super) async fn offer(&mut self, trigger: Trigger) -> Result<()> {
        let open = self.store.open_upgrades(self.device.id);
        let plan_works = open.iter().any(|upgrade| upgrade.plan.is_some() && upgrade.is_in_progress());
        if let Some(verification) = open.iter().find(|upgrade| upgrade.plan.is_none() && !plan_works) {
            return self.offer_verification(verification.clone(), trigger).await;
        }
        if let Some(mut upgrade) = open.into_iter().find(Upgrade::is_outstanding) {
            match (upgrade.phase(), trigger) {
                (Phase::AtWork | Phase::NextOffered, Trigger::Request) => {
                    let blocked = match upgrade.plan {
                        Some(id) => {
                            let plan = self.store.plan(self.device.id, id).await?;
                            self.evaluate(&plan, trigger).await?.verdict.err()
                        }
                        None => None,
                    };
                    let blocked = blocked.filter(BlockReason::withdraws);
                    self.apply_locked(&mut upgrade, Input::Request { blocked }).await?;
                    // The device is free, for another attempt or another plan, if its attempt ended.
                    if upgrade.is_outstanding() {
                        return Ok(());
                    }
                }
                (Phase::NextOffered, Trigger::Online) => {
                    return self.apply_locked(&mut upgrade, Input::OfferAgain).await;
                }
                (Phase::AtWork | Phase::NextOffered, _) => return Ok(()),
                (_, Trigger::Mark | Trigger::Retry | Trigger::Consent) => return Ok(()),
                // The offer was not answered: the device may be offered a newer plan.
                (_, Trigger::Request | Trigger::Online) => {}
            }
        }
        let mut held = Held::default();
        for plan in self.store.offered_plans(self.device.id) {
            let id = plan.id;
            let evaluation = self.evaluate(&plan, trigger).await?;
            match evaluation.verdict {
                // A device that asks is not kept waiting: it knows its limits itself.
                Ok(_)
                    if evaluation.lacks_status
                        && self.device.asked_status.is_none()
                        && trigger != Trigger::Request =>
                {
                    return self.ask_status(trigger).await;
                }
                Ok(_) => {
                    self.log_held(std::mem::take(&mut held)).await?;
                    if self.start(id, evaluation, trigger).await? {
                        return Ok(());
                    }
                }
                Err(blocked) if blocked.is_limit() && trigger != Trigger::Request => self.full.push(id),
                // Only a request is logged: every mark would fill the log.
                Err(blocked) if trigger == Trigger::Request => {
                    if blocked.is_limit() {
                        self.full.push(id);
                    }
                    held.add(id, blocked, evaluation.upgrade.as_deref());
                }
                Err(_) => {}
            }
        }
        self.log_held(held).await
    }

    /// What held plans back: one line, whatever their number.
    async fn log_held(&mut self, held: Held) -> Result<()> {
        let upgrade = held.upgrade();
        match held.told() {
            Some(told) => self.log_about(upgrade, None, "held", told).await,
            None => Ok(()),
        }
    }

    /// Evaluates the plan for the device.
    pub(super) async fn evaluate(&mut self, plan: &Plan, trigger: Trigger) -> Result<Evaluation> {
        let id = self.device.id;
        let (brings, membership, superseding, upgrade) =
            self.store.standing(id, &self.device.key, plan).await?;
        let answer = match plan.settings.mode {
            Mode::Manual => {
                Box::pin(self.store.beside().find_answer(plan.id, id)).await?.map(|said| said.answer)
            }
            Mode::Silent => None,
        };
        let load = if plan.settings.strategy.has_limits() {
            Box::pin(self.load(plan)).await?
        } else {
            Load::default()
        };
        let open = self.store.open_upgrades(id);
        let case = Case { membership, superseding, upgrade, answer, open };
        // What the catalog has of a plan it has for good.
        let Some(bringing) = brings.get() else { return Err(EngineError::Interrupted) };
        Ok(judge(plan, bringing, load, case, &self.device, &self.versions, trigger, self.now))
    }

    async fn load(&mut self, plan: &Plan) -> Result<Load> {
        Ok(self.store.direct().await?.load(plan, self.now).await?)
    }

    /// Writes the offer down and sends it, if the plan still offers: then says `true`.
    async fn start(&mut self, plan: PlanId, evaluation: Evaluation, trigger: Trigger) -> Result<bool> {
        let Evaluation { verdict: Ok(positions), components, upgrade, .. } = evaluation else {
            return Ok(false);
        };
        let plan = self.store.plan(self.device.id, plan).await?;
        let is_limited = plan.settings.strategy.has_limits();
        let is_counted = is_limited || plan.settings.strategy.halt.is_some();
        let lock = if is_counted { PlanLock::Exclusive } else { PlanLock::Shared };
        let mut plan = self.lock_plan(plan.id, lock).await?;
        if !plan.state.offers() {
            return Ok(false);
        }
        if is_limited {
            let phase = Phase::of(upgrade.as_deref());
            let load = self.store.direct().await?.load(&plan, self.now).await?;
            if has_room(&plan.settings.strategy, &load, phase).is_err() {
                self.full.push(plan.id);
                return Ok(false);
            }
            if !phase.is_in_flight() && plan.settings.strategy.max_per_minute.is_some() {
                self.store.beside().count_start(plan.id, self.device.id, self.now).await?;
            }
        }
        self.withdraw_others(Some(plan.id)).await?;
        let offered = |position| if positions.contains(&position) { Offered::Yes } else { Offered::No };
        let components = components.into_iter().enumerate();
        let components = components.map(|(position, facts)| (facts, offered(position))).collect();
        let mut upgrade = upgrade
            .unwrap_or_else(|| Box::new(Upgrade::new(Some(plan.id), self.device.id, self.now, Vec::new())));
        self.apply(&mut upgrade, Some(&mut plan), Input::Offer { components, trigger }).await?;
        Ok(true)
    }

    /// Withdraws every other offer that was not answered, for the one of `plan` or of a verification.
    pub(super) async fn withdraw_others(&mut self, plan: Option<PlanId>) -> Result<()> {
        for mut other in self.store.open_upgrades(self.device.id) {
            if other.plan != plan {
                self.apply_locked(&mut other, Input::Withdraw).await?;
            }
        }
        Ok(())
    }

    /// Offers components of the upgrade, in the order of their upgrade.
    pub(super) async fn send_offer(
        &mut self,
        upgrade: &Upgrade,
        plan: Option<&Plan>,
        positions: &[usize],
        why: &str,
    ) -> Result<()> {
        let strategy = plan.map(|plan| plan.settings.strategy);
        let mut offered = Vec::new();
        for component in positions.iter().filter_map(|position| upgrade.components.get(*position)) {
            let package = self.store.package(self.device.id, component.package).await?;
            offered.push(OfferedComponent {
                component: component.component.clone(),
                source: component.source.clone(),
                target: component.target.clone(),
                kind: component.kind,
                min_battery: strategy.and_then(|strategy| strategy.min_battery),
                space: package.content.files.iter().map(|file| file.size).sum(),
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

    /// Sends the firmware of one component.
    pub(super) async fn send_firmware(&mut self, upgrade: &Upgrade, position: usize) -> Result<()> {
        let Some(component) = upgrade.components.get(position) else { return Ok(()) };
        let package = self.store.package(self.device.id, component.package).await?;
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

    /// Asks for what the plan's conditions need. The answer, or its absence after some seconds, brings the offer that
    /// `trigger` would have brought.
    async fn ask_status(&mut self, trigger: Trigger) -> Result<()> {
        self.device.asked_status = Some(StatusAsk::Waiting(trigger));
        self.messages.push(Downlink::AskStatus);
        Ok(self.store.beside().set_recheck_at(self.device.id, Some(self.now + STATUS_ANSWER)).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_that_are_held_back_for_the_same_reason_are_told_together() {
        let (offline, busy) = (BlockReason::Offline, BlockReason::Blacklisted);
        let [first, second] = [&offline, &busy].map(ToString::to_string);
        let told = |reasons: &[&BlockReason]| {
            let mut held = Held::default();
            for (plan, reason) in (1..).zip(reasons) {
                held.add(PlanId(plan), (*reason).clone(), None);
            }
            serde_json::to_value(held.told()).unwrap()
        };
        assert_eq!(told(&[]), json!(null));
        assert_eq!(told(&[&offline]), json!({ "plan": 1, "reason": first }));
        assert_eq!(told(&[&offline, &offline]), json!({ "plans": [1, 2], "reason": first }));
        let groups = json!([{ "plans": [1, 3], "reason": first }, { "plan": 2, "reason": second }]);
        assert_eq!(told(&[&offline, &busy, &offline]), json!({ "held": groups }));
    }
}
