//! Why devices are where they are: the same evaluation as the engine's, without doing anything.

use super::evaluation::{Candidate, Evaluation, PlanOffer, evaluate};
use super::{Engine, Result};
use crate::clock::Millis;
use crate::rules::device_status::{Asks, DeviceStatus, StatusInput};
use crate::rules::plan::{List, Push};
use crate::rules::progress::Presence;
use crate::rules::trigger::Trigger;
use crate::rules::{DeviceKey, ProductKey};
use crate::store::{Device, DeviceId, Plan, PlanId, Reader};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// Where one device stands in one plan.
#[derive(Debug)]
pub struct Why {
    /// The plan.
    pub plan: Plan,
    /// Where the device stands.
    pub status: DeviceStatus,
    /// Why the last attempt failed or was refused, as far as the center and the device know.
    pub last_attempt: Option<String>,
}

/// How many of a plan's devices stand where.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct BlockedDevices {
    /// The time that it holds for.
    pub now: Millis,
    /// Who is counted.
    pub population: Population,
    /// How many these are.
    pub devices: i64,
    /// How many of them were looked at; if these are not all, the numbers below are estimates from them.
    pub examined: i64,
    /// The most frequent one first.
    pub conditions: Vec<BlockedBy>,
}

/// Whose devices a plan's are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Population {
    /// Every device of the product.
    Product,
    /// The whitelist's keys.
    Whitelist,
}

/// The devices of which one thing is true.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct BlockedBy {
    /// It, in one word.
    pub condition: &'static str,
    /// How many.
    pub devices: i64,
    /// One of them.
    pub example: DeviceKey,
    /// It, with that one's values.
    pub text: String,
    /// The status of that one; none: it has never connected.
    #[serde(skip)]
    pub status: Option<DeviceStatus>,
}

/// What a look at one device of a plan found.
#[derive(Debug, Clone)]
struct Look {
    condition: &'static str,
    text: String,
    status: Option<DeviceStatus>,
}

/// Devices that a look at a plan judges at most in each of its parts, so that it costs the same for any product.
const SAMPLE: i64 = 500;

impl Engine {
    /// For each active plan of the product, where the device stands and why; the newest activation first.
    pub async fn why(&self, product: &ProductKey, key: &DeviceKey) -> Result<(Device, Vec<Why>)> {
        let now = self.clock.now();
        let mut store = self.store.read().await?;
        let device = store.device(product, key).await?;
        let versions = store.device_versions(device.id).await?;
        let mut evaluated = Vec::new();
        for plan in store.active_plans(product).await? {
            let trigger = occasion(plan.settings.push);
            let offer = PlanOffer::of(&mut store, plan, now).await?;
            let evaluation = evaluate(&mut store, &offer, &device, &versions, trigger, now).await?;
            evaluated.push((offer.plan, evaluation));
        }
        // The first plan that nothing holds back is the one that the engine offers.
        let mut first = None;
        let mut reasons = Vec::with_capacity(evaluated.len());
        for (plan, evaluation) in evaluated {
            let is_free = evaluation.verdict.is_ok() && plan.settings.push == Push::Actively;
            let ahead = evaluation.busy_with.or(first);
            let id = plan.id;
            let last_attempt = evaluation.upgrade.as_deref().and_then(|upgrade| upgrade.reason.clone());
            let status = status(&plan, evaluation, ahead, now);
            if is_free {
                first = first.or(Some(id));
            }
            reasons.push(Why { plan, status, last_attempt });
        }
        Ok((device, reasons))
    }

    /// How many devices of the plan are held back by which condition. A product's devices are judged in two samples,
    /// online and offline, each scaled to its exact count; a whitelist's by its first keys.
    pub async fn blocked(&self, id: PlanId) -> Result<BlockedDevices> {
        let now = self.clock.now();
        let mut store = self.store.read().await?;
        let plan = store.plan(id).await?;
        let product = plan.settings.product.clone();
        let offer = PlanOffer::of(&mut store, plan, now).await?;
        let mut tally = Tally::default();
        let population = if store.has_list(id, List::White).await? {
            let keys = store.listed(id, List::White, "", 2 * SAMPLE).await?;
            let devices = store.devices_with_keys(&product, &keys).await?;
            let ids: Vec<_> = devices.iter().map(|(_, id)| *id).collect();
            let mut part = looks(&mut store, &offer, &ids, now).await?;
            let known: HashSet<_> = devices.into_iter().map(|(key, _)| key).collect();
            let unknown = Look {
                condition: "never_connected",
                text: "no device with this key has ever connected".to_owned(),
                status: None,
            };
            part.extend(
                keys.into_iter().filter(|key| !known.contains(key)).map(|key| (key, unknown.clone())),
            );
            tally.add(store.count_listed(id, List::White).await?, part);
            Population::Whitelist
        } else {
            for presence in [Presence::Online, Presence::Offline] {
                let ids = store.device_ids_by_slot(&product, presence, SAMPLE).await?;
                let part = looks(&mut store, &offer, &ids, now).await?;
                tally.add(store.count_devices(&product, presence).await?, part);
            }
            Population::Product
        };
        Ok(tally.finish(now, population))
    }
}

/// What the plan would be offered at: its own occasion, which is the one to explain.
pub(super) fn occasion(push: Push) -> Trigger {
    match push {
        Push::Actively => Trigger::Mark,
        Push::OnRequest => Trigger::Request,
    }
}

pub(super) fn status(
    plan: &Plan,
    evaluation: Evaluation,
    ahead: Option<PlanId>,
    now: Millis,
) -> DeviceStatus {
    let at_work = evaluation.upgrade.filter(|upgrade| upgrade.is_outstanding()).and_then(|mut upgrade| {
        let current = upgrade.current()?;
        let component = upgrade.components.swap_remove(current);
        Some((component.component, component.state, component.lease_until))
    });
    DeviceStatus::of(StatusInput {
        at_work,
        blocked: evaluation.verdict.err(),
        ahead: ahead.map(|plan| plan.0),
        asks: if evaluation.lacks_status { Asks::First } else { Asks::Nothing },
        push: plan.settings.push,
        zone: &plan.settings.time_zone,
        now,
    })
}

/// The condition of each device, and the sentence for it.
async fn looks(
    store: &mut Reader,
    offer: &PlanOffer,
    devices: &[DeviceId],
    now: Millis,
) -> Result<Vec<(DeviceKey, Look)>> {
    let plan = &offer.plan;
    let candidates = Candidate::all(store, offer, devices).await?;
    let look = |candidate: Candidate| {
        let evaluation = candidate.evaluate(offer, occasion(plan.settings.push), now);
        let ahead = evaluation.busy_with;
        let status = status(plan, evaluation, ahead, now);
        let look = Look {
            condition: status.condition(),
            text: status.told(&plan.settings.time_zone, now),
            status: Some(status),
        };
        (candidate.device.key, look)
    };
    Ok(candidates.into_iter().map(look).collect())
}

/// Devices by condition, while they are counted.
#[derive(Default)]
struct Tally {
    devices: i64,
    examined: i64,
    conditions: BTreeMap<&'static str, BlockedBy>,
}

impl Tally {
    /// A part of the devices, `whole` of them, of which `looked_at` were evaluated.
    fn add(&mut self, whole: i64, looked_at: Vec<(DeviceKey, Look)>) {
        let examined = i64::try_from(looked_at.len()).unwrap_or(i64::MAX);
        let mut counts: BTreeMap<&'static str, i64> = BTreeMap::new();
        for (key, Look { condition, text, status }) in looked_at {
            *counts.entry(condition).or_default() += 1;
            self.conditions.entry(condition).or_insert(BlockedBy {
                condition,
                devices: 0,
                example: key,
                text,
                status,
            });
        }
        // A device may have come or gone between the count and the look.
        let whole = whole.max(examined);
        for (condition, count) in counts {
            if let Some(blocked) = self.conditions.get_mut(condition) {
                blocked.devices += scaled(count, whole, examined);
            }
        }
        self.devices += whole;
        self.examined += examined;
    }

    fn finish(self, now: Millis, population: Population) -> BlockedDevices {
        let Tally { devices, examined, conditions } = self;
        let mut conditions: Vec<BlockedBy> = conditions.into_values().collect();
        conditions.sort_by_key(|blocked| std::cmp::Reverse(blocked.devices));
        BlockedDevices { now, population, devices, examined, conditions }
    }
}

/// `count` of `examined`, as a share of `whole`, rounded.
pub(super) fn scaled(count: i64, whole: i64, examined: i64) -> i64 {
    let examined = i128::from(examined.max(1));
    let share = (i128::from(count) * i128::from(whole) + examined / 2) / examined;
    i64::try_from(share).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_scaled_to_the_whole_and_a_full_look_is_exact() {
        let part = |count: usize, condition: &'static str| {
            let key = DeviceKey::new("d1").unwrap();
            vec![(key, Look { condition, text: String::new(), status: None }); count]
        };
        let mut tally = Tally::default();
        tally.add(10_000, [part(30, "offline"), part(20, "battery")].concat());
        tally.add(3, part(3, "battery"));
        let blocked = tally.finish(Millis(0), Population::Product);
        assert_eq!((blocked.devices, blocked.examined), (10_003, 53));
        let counts: Vec<_> =
            blocked.conditions.iter().map(|blocked| (blocked.condition, blocked.devices)).collect();
        assert_eq!(counts, [("offline", 6_000), ("battery", 4_003)]);
    }
}
