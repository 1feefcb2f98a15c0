//! What activating a plan now would do, by the evaluation that decides about its offers; nothing is written.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::evaluation::{Candidate, PlanOffer};
use super::packages::twin_warning;
use super::plans::packages_of;
use super::why::{Population, occasion, scaled};
use super::{Engine, EngineError, Result};
use crate::clock::Millis;
use crate::rules::applicability::needed;
use crate::rules::block_reason::BlockReason;
use crate::rules::forecast::{Outcome, forecast, is_later};
use crate::rules::plan::{List, PlanSettings, PlanState, Strategy, Supersede, activation_faults};
use crate::rules::progress::Presence;
use crate::rules::{ComponentNo, DeviceKey, Title};
use crate::store::{Device, PackageId, Plan, PlanId, Reader};

/// What activating a plan now would do.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct DryRun {
    /// The time that it holds for.
    pub now: Millis,
    /// Where the plan is: of one that is active already, the rest says what it does now.
    pub state: PlanState,
    /// Why it would not be activated; the rest is as if it were.
    pub refused: Vec<String>,
    /// Plans whose place it takes, which the activation must agree to.
    pub supersedes: Vec<String>,
    /// Full packages that take devices back to an older version.
    pub downgrades: Vec<String>,
    /// Who is counted.
    pub population: Population,
    /// How many these are.
    pub devices: i64,
    /// How many of them were looked at; if these are not all, the numbers below are estimates from them.
    pub examined: i64,
    /// The most frequent one first.
    pub outcomes: Vec<Forecast>,
}

/// Devices with the same outcome for the same reason.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Forecast {
    /// What would happen to them.
    pub outcome: Outcome,
    /// The condition in one word.
    pub condition: &'static str,
    /// How many.
    pub devices: i64,
    /// One of them.
    pub example: DeviceKey,
    /// The condition, with that one's values.
    pub text: String,
    /// What holds that one back; none: nothing, or no rule.
    #[serde(skip)]
    pub blocked: Option<BlockReason>,
}

/// Devices that a dry run evaluates at most in each part, online and offline, and keys of a whitelist: the cost is the same
/// for any product.
const SAMPLE: i64 = 2_000;
/// The same for the warnings of an activation, which nobody waits for as for a dry run.
const WARNING_SAMPLE: i64 = 100;
/// The same beside a form, again and again: SQLite has one writer.
const PREVIEW_SAMPLE: i64 = 100;

impl Engine {
    /// What activating the plan now would do. Devices are evaluated as [`Engine::blocked`] does: all of them, or two samples that
    /// are scaled to the exact counts.
    pub async fn dry_run(&self, id: PlanId) -> Result<DryRun> {
        let mut store = self.store.read().await?;
        let plan = store.plan(id).await?;
        dry_run_in(&mut store, plan, SAMPLE, self.clock.now()).await
    }

    /// The same for a plan that is not saved, of which fewer devices are evaluated. It is written and not committed.
    pub async fn preview(
        &self,
        settings: &PlanSettings,
        whitelist: &[DeviceKey],
        blacklist: &[DeviceKey],
    ) -> Result<DryRun> {
        let faults = settings.faults();
        if !faults.is_empty() {
            return Err(EngineError::Plan(faults));
        }
        // Its name may be that of the saved plan that is being edited, or not chosen yet.
        let unnamed = Title::new(format!("preview {:016x}", rand::random::<u64>()))
            .map_err(|fault| EngineError::Plan(vec![fault]))?;
        let settings = PlanSettings { name: unnamed, ..settings.clone() };
        let now = self.clock.now();
        let mut store = self.begin().await?;
        let plan = store.create_plan(&settings, now).await?;
        store.list_devices(plan.id, List::White, whitelist).await?;
        store.list_devices(plan.id, List::Black, blacklist).await?;
        dry_run_in(&mut store, plan, PREVIEW_SAMPLE, now).await
    }

    /// What the operator may not have meant in a plan that is to be activated: full packages that take devices back, as far as
    /// a small sample of the devices shows, and packages whose version others have with other bytes.
    pub async fn activation_warnings(&self, id: PlanId) -> Result<Vec<String>> {
        let mut store = self.store.read().await?;
        let plan = store.plan(id).await?;
        let components = plan.settings.components.clone();
        let (tally, _) =
            Tally::of(&mut store, plan, WARNING_SAMPLE, Counted::AsSeen, self.clock.now()).await?;
        let mut warnings = tally.downgrades();
        for component in components {
            let package = store.package(PackageId(component.package)).await?;
            warnings.extend(store.twins_of(&package).await?.iter().map(twin_warning));
        }
        Ok(warnings)
    }
}

async fn dry_run_in(store: &mut Reader, plan: Plan, sample: i64, now: Millis) -> Result<DryRun> {
    let id = plan.id;
    let (state, strategy) = (plan.state, plan.settings.strategy);
    let (mut refused, mut supersedes) = (Vec::new(), Vec::new());
    if !state.offers() {
        let packages = packages_of(store, &plan).await?;
        let overlaps = store.overlaps(id).await?;
        let faults = activation_faults(&plan.settings, state, &packages, &overlaps, Supersede::Agreed, now);
        refused.extend(faults.iter().map(ToString::to_string));
        supersedes.extend(
            overlaps.iter().map(|other| {
                format!("plan {} ({}), for component {}", other.plan, other.name, other.component)
            }),
        );
    }
    let (mut tally, population) = Tally::of(store, plan, sample, Counted::Exactly, now).await?;
    if state == PlanState::Saved {
        tally.limit(&strategy);
    }
    let downgrades = tally.downgrades();
    let mut outcomes: Vec<Forecast> = tally.outcomes.into_values().collect();
    outcomes.sort_by_key(|forecast| std::cmp::Reverse(forecast.devices));
    Ok(DryRun {
        now,
        state,
        refused,
        supersedes,
        downgrades,
        population,
        devices: tally.devices,
        examined: tally.examined,
        outcomes,
    })
}

/// How a part of the devices is counted that is looked at in a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Exactly,
    /// Only whether these are all.
    AsSeen,
}

fn as_seen(seen: usize, sample: i64) -> i64 {
    let seen = i64::try_from(seen).unwrap_or(i64::MAX);
    seen.saturating_add(i64::from(seen >= sample))
}

/// One device, evaluated.
struct Seen {
    outcome: Outcome,
    condition: &'static str,
    key: DeviceKey,
    text: String,
    blocked: Option<BlockReason>,
}

/// A component's devices that a full package takes back.
struct TakenBack {
    devices: u64,
    example: DeviceKey,
    reported: String,
    target: String,
}

/// Devices by outcome, while they are counted.
struct Tally {
    now: Millis,
    zone: crate::rules::window::Zone,
    devices: i64,
    examined: i64,
    outcomes: BTreeMap<(Outcome, &'static str), Forecast>,
    taken_back: BTreeMap<ComponentNo, TakenBack>,
}

impl Default for Tally {
    fn default() -> Self {
        Tally {
            now: Millis(0),
            zone: crate::rules::window::Zone::utc(),
            devices: 0,
            examined: 0,
            outcomes: BTreeMap::new(),
            taken_back: BTreeMap::new(),
        }
    }
}

impl Tally {
    /// Evaluates up to `sample` keys of the plan's whitelist, or as many devices of its product that are online and that are
    /// not, as if a saved plan were active.
    async fn of(
        store: &mut Reader,
        mut plan: Plan,
        sample: i64,
        counted: Counted,
        now: Millis,
    ) -> Result<(Self, Population)> {
        if plan.state == PlanState::Saved {
            plan.state = PlanState::Activated;
            plan.activated = Some(now);
        }
        let (id, product, zone) = (plan.id, plan.settings.product.clone(), plan.settings.time_zone.clone());
        let offer = PlanOffer::of(store, plan, now).await?;
        let mut tally = Tally { now, zone, ..Tally::default() };
        if !store.has_list(id, List::White).await? {
            for presence in [Presence::Online, Presence::Offline] {
                let devices = store.device_ids_by_slot(&product, presence, sample).await?;
                let mut seen = Vec::with_capacity(devices.len());
                for candidate in Candidate::all(store, &offer, &devices).await? {
                    seen.push(tally.look(&offer, candidate));
                }
                let whole = match counted {
                    Counted::Exactly => store.count_devices(&product, presence).await?,
                    Counted::AsSeen => as_seen(seen.len(), sample),
                };
                tally.add(whole, seen);
            }
            return Ok((tally, Population::Product));
        }
        let keys = store.first_listed(id, List::White, sample).await?;
        let whole = match counted {
            Counted::Exactly => store.count_listed(id, List::White).await?,
            Counted::AsSeen => as_seen(keys.len(), sample),
        };
        let devices = store.devices_with_keys(&product, &keys).await?;
        let ids: Vec<_> = devices.iter().map(|(_, id)| *id).collect();
        let mut seen = Vec::with_capacity(keys.len());
        for candidate in Candidate::all(store, &offer, &ids).await? {
            seen.push(tally.look(&offer, candidate));
        }
        let known: HashSet<_> = devices.into_iter().map(|(key, _)| key).collect();
        seen.extend(keys.into_iter().filter(|key| !known.contains(key)).map(|key| Seen {
            outcome: Outcome::Blocked,
            condition: "never_connected",
            key,
            text: "no device with this key has ever connected".to_owned(),
            blocked: None,
        }));
        tally.add(whole, seen);
        Ok((tally, Population::Whitelist))
    }

    fn look(&mut self, offer: &PlanOffer, mut candidate: Candidate) -> Seen {
        let trigger = occasion(offer.plan.settings.push);
        let today = candidate.evaluate(offer, trigger, self.now);
        let at_work = today.upgrade.as_ref().is_some_and(|upgrade| upgrade.is_outstanding());
        // The same device, connected, with what it reported last.
        candidate.device.session.get_or_insert_default();
        candidate.device.versions_at.get_or_insert(self.now);
        let connected = candidate.evaluate(offer, trigger, self.now);
        let device = candidate.device;
        let (outcome, blocked) = forecast(
            today.verdict.map(|_| ()),
            connected.verdict.map(|_| ()),
            needed(&connected.components).map(|_| ()),
        );
        if matches!(outcome, Outcome::Offered | Outcome::WhenOnline) {
            self.compare(&device, &connected.components);
        }
        let key = device.key;
        if at_work {
            let text = "it was offered the plan already, or is at work".to_owned();
            return Seen { outcome: Outcome::Blocked, condition: "under_way", key, text, blocked: None };
        }
        let (condition, text) = match (outcome, &blocked) {
            (_, Some(blocked)) => (blocked.condition(), blocked.told(&self.zone, self.now)),
            (_, None) => ("due", "nothing holds it back".to_owned()),
        };
        Seen { outcome, condition, key, text, blocked }
    }

    fn compare(&mut self, device: &Device, facts: &[crate::rules::applicability::ComponentFacts]) {
        for facts in facts.iter().filter(|facts| facts.source.is_none()) {
            let Some(reported) = &facts.reported else { continue };
            if is_later(reported, facts.target.as_str()) {
                let taken = self.taken_back.entry(facts.component.clone()).or_insert_with(|| TakenBack {
                    devices: 0,
                    example: device.key.clone(),
                    reported: reported.clone(),
                    target: facts.target.to_string(),
                });
                taken.devices += 1;
            }
        }
    }

    /// A part of the devices, `whole` of them, of which `seen` were evaluated.
    fn add(&mut self, whole: i64, seen: Vec<Seen>) {
        let examined = i64::try_from(seen.len()).unwrap_or(i64::MAX);
        let whole = whole.max(examined);
        let mut counts: BTreeMap<(Outcome, &'static str), i64> = BTreeMap::new();
        for Seen { outcome, condition, key, text, blocked } in seen {
            *counts.entry((outcome, condition)).or_default() += 1;
            self.outcomes.entry((outcome, condition)).or_insert(Forecast {
                outcome,
                condition,
                devices: 0,
                example: key,
                text,
                blocked,
            });
        }
        for (place, count) in counts {
            if let Some(forecast) = self.outcomes.get_mut(&place) {
                forecast.devices += scaled(count, whole, examined);
            }
        }
        self.devices += whole;
        self.examined += examined;
    }

    /// The plan's limits let only so many start at once.
    fn limit(&mut self, strategy: &Strategy) {
        let limits = [
            (strategy.first_devices, "first_devices"),
            (strategy.max_in_flight, "in_flight_limit"),
            (strategy.max_per_minute, "per_minute_limit"),
        ];
        let tightest = limits.into_iter().filter_map(|(limit, name)| Some((i64::from(limit?), name))).min();
        let (Some((limit, condition)), Some(offered)) =
            (tightest, self.outcomes.get_mut(&(Outcome::Offered, "due")))
        else {
            return;
        };
        let rest = offered.devices - limit;
        if rest > 0 {
            offered.devices = limit;
            let example = offered.example.clone();
            let text = format!("{limit} devices may start at once, by the plan's limits");
            let outcome = Outcome::Blocked;
            let forecast = Forecast { outcome, condition, devices: rest, example, text, blocked: None };
            self.outcomes.insert((Outcome::Blocked, condition), forecast);
        }
    }

    fn downgrades(&self) -> Vec<String> {
        let told = |(component, taken): (&ComponentNo, &TakenBack)| {
            let TakenBack { devices, example, reported, target } = taken;
            let of = if self.examined < self.devices {
                format!("{devices} of the {} devices looked at report", self.examined)
            } else {
                format!("{devices} devices report")
            };
            format!(
                "component {component}: {of} a later version than {target} (for example {example}: {reported}); \
                 the full package takes them back"
            )
        };
        self.taken_back.iter().map(told).collect()
    }
}
