//! What happens because time has passed: deadlines, leases, ends of plans, retries, rechecks, 10-minute marks.
//!
//! Each device and each plan is handled for itself. One that fails for good, because a row of it cannot be used, is logged,
//! counted and set aside for some minutes; the others go on. Trouble of the moment is tried again with the next tick.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::json;

use super::device_transaction::IfLocked;
use super::sets::{Done, Event, SET};
use super::transaction::transact;
use super::{Downlink, Engine, EngineError, Result};
use crate::clock::Millis;
use crate::metrics::Subject;
use crate::rules::ProductKey;
use crate::rules::plan::{PlanEvent, Push};
use crate::rules::progress::Presence;
use crate::rules::window::MARK_MINUTES;
use crate::store::{DeviceId, Mark, NewLogEntry, PUSH_SLOTS, Plan, PlanId};

/// Devices of one kind that one tick looks at, at most; the next tick goes on.
const BATCH: i64 = 500;
/// Offers a second that a mark's push aims at, so that few devices are offered at once and many are spread.
const PUSH_RATE: i64 = 50;
/// Time until what failed for good is tried again.
const SET_ASIDE: Millis = Millis::minutes(10);
/// Temporary failures in one tick after which the database counts as away: the rest waits for the next tick.
const INTERRUPTIONS: u32 = 3;

/// What a tick did.
#[derive(Debug, Default)]
pub struct Ticked {
    /// To be sent to devices now.
    pub messages: Vec<(DeviceId, Downlink)>,
    /// Devices and plans that failed, for good or for the moment.
    pub failed: u32,
}

/// What a device is looked at for.
#[derive(Debug, Clone, Copy)]
enum Due {
    /// A firmware verification should have ended.
    Deadline,
    /// A lease has run out.
    Lease,
    /// An upgrade is to be offered again.
    Offer,
    /// The end user of the device, or an appointed window, asks for a look.
    Recheck,
}

impl Due {
    fn event(self) -> Event {
        match self {
            Due::Deadline => Event::Deadline,
            Due::Lease => Event::Lease,
            Due::Offer => Event::Offer,
            Due::Recheck => Event::Recheck,
        }
    }
}

/// What may fail by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Item {
    Device(DeviceId),
    Plan(PlanId),
}

impl Item {
    fn subject(self) -> Subject {
        match self {
            Item::Device(_) => Subject::Device,
            Item::Plan(_) => Subject::Plan,
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::Device(id) => write!(f, "device number {}", id.0),
            Item::Plan(id) => write!(f, "plan {}", id.0),
        }
    }
}

/// Devices and plans that failed for good, each with the time of its next try. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub(super) struct SetAside(Arc<Mutex<HashMap<Item, Millis>>>);

impl SetAside {
    fn items(&self) -> MutexGuard<'_, HashMap<Item, Millis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops the items whose time is over, and says how many are left.
    fn prune(&self, now: Millis) -> i64 {
        let mut items = self.items();
        items.retain(|_, until| *until > now);
        i64::try_from(items.len()).unwrap_or(i64::MAX)
    }

    fn holds(&self, item: Item) -> bool {
        self.items().contains_key(&item)
    }

    /// Whether the item is new in the list.
    fn add(&self, item: Item, until: Millis) -> bool {
        self.items().insert(item, until).is_none()
    }
}

impl Engine {
    /// Time has passed: call it about once a second.
    ///
    /// # Errors
    /// The database is away, and nothing is to be sent; what is left is due at the next tick as well.
    pub async fn tick(&self) -> Result<Ticked> {
        let now = self.clock.now();
        let mut tick = Tick { engine: self, now, done: Ticked::default(), interruptions: 0 };
        let ran = tick.run().await;
        *self.tick_error.lock().unwrap_or_else(PoisonError::into_inner) =
            ran.as_ref().err().map(ToString::to_string);
        if ran.is_ok() {
            *self.ticked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        match ran {
            Err(error) if tick.done.messages.is_empty() => Err(error),
            // What is committed is sent.
            Err(error) => {
                tracing::warn!("a tick ended early: {error}");
                Ok(tick.done)
            }
            Ok(()) => Ok(tick.done),
        }
    }

    /// A device or plan cannot be handled, and trying again soon would not help: the error is logged and counted once, and
    /// ticks leave the item out for some minutes.
    pub(super) async fn set_aside(&self, item: Item, error: &EngineError) {
        let now = self.clock.now();
        if !self.set_aside.add(item, now + SET_ASIDE) {
            return;
        }
        self.metrics.set_aside(item.subject());
        let minutes = SET_ASIDE.0 / 60_000;
        match item {
            Item::Plan(id) => {
                tracing::error!(plan = id.0, %error, "the plan cannot be used; tried again in {minutes} minutes");
            }
            Item::Device(id) => {
                let device = self.name_of(id).await;
                tracing::error!(device, %error, "the device cannot be handled; tried again in {minutes} minutes");
                self.log_failure(id, error).await;
            }
        }
    }

    /// Product and device key, for the log of the process.
    async fn name_of(&self, device: DeviceId) -> String {
        let named = async { self.store.read().await?.device_name(device).await };
        match named.await {
            Ok((product, key)) => format!("{product}/{key}"),
            Err(_) => format!("number {}", device.0),
        }
    }

    /// A line in the device's log, as far as that can be written.
    pub(super) async fn log_failure(&self, device: DeviceId, error: &EngineError) {
        let value = json!({ "text": error.to_string() });
        let entry = NewLogEntry { device, upgrade: None, component: None, kind: "error", value };
        let written = async {
            let mut store = self.begin().await?;
            store.log(entry, self.clock.now()).await?;
            store.commit().await
        };
        if let Err(error) = written.await {
            tracing::debug!(device = device.0, %error, "the failure is not in the device's log");
        }
    }

    async fn end_plan(&self, id: PlanId) -> Result<()> {
        transact!(self, |store| {
            let mut plan = store.lock_plan(id).await?;
            if plan.state.is_over() {
                return Ok(());
            }
            self.apply_plan_event(store, &mut plan, PlanEvent::EndTime).await
        })
    }
}

/// One tick.
struct Tick<'e> {
    engine: &'e Engine,
    now: Millis,
    done: Ticked,
    /// Failures of the moment.
    interruptions: u32,
}

impl Tick<'_> {
    async fn run(&mut self) -> Result<()> {
        let plans = self.engine.store.read().await?.running_plans().await?;
        self.devices(Due::Deadline).await?;
        self.devices(Due::Lease).await?;
        let mut running = Vec::with_capacity(plans.len());
        for (id, plan) in plans {
            if self.engine.set_aside.holds(Item::Plan(id)) {
                continue;
            }
            match self.settle(Item::Plan(id), plan.map_err(EngineError::from)).await? {
                Some(plan) if plan.settings.end.is_some_and(|end| end <= self.now) => {
                    let ended = self.engine.end_plan(id).await;
                    self.settle(Item::Plan(id), ended).await?;
                }
                Some(plan) => running.push(plan),
                None => {}
            }
        }
        self.devices(Due::Offer).await?;
        self.devices(Due::Recheck).await?;
        self.engine.waiting.keep(&running.iter().map(|plan| plan.id).collect());
        for plan in &running {
            if plan.state.offers() {
                let filled = self.fill_places(plan.id).await;
                self.settle(Item::Plan(plan.id), filled).await?;
            }
        }
        let mut walks: Vec<Walk> = Vec::new();
        for plan in &running {
            if plan.state.offers() && plan.settings.push == Push::Actively {
                let walk = self.walk_of(plan).await;
                let Some(Some(walk)) = self.settle(Item::Plan(plan.id), walk).await? else { continue };
                match walks.iter_mut().find(|other| other.joins(&walk)) {
                    Some(other) => other.plans.extend(walk.plans),
                    None => walks.push(walk),
                }
            }
        }
        for walk in walks {
            let Some(first) = walk.plans.first().copied() else { continue };
            let pushed = self.push(walk).await;
            self.settle(Item::Plan(first), pushed).await?;
        }
        Ok(())
    }

    /// The devices for which something of one kind is due.
    async fn devices(&mut self, due: Due) -> Result<()> {
        // What is set aside stays due: it must not take the places of the others.
        let limit = BATCH + self.engine.set_aside.prune(self.now);
        let center = &*self.engine.owner;
        let mut store = self.engine.store.read().await?;
        let devices = match due {
            Due::Deadline => store.deadlines_over(center, self.now, limit).await?,
            Due::Lease => store.leases_over(center, self.now, limit).await?,
            Due::Offer => store.offers_due(center, self.now, limit).await?,
            Due::Recheck => store.rechecks_due(center, self.now, limit).await?,
        };
        drop(store);
        let events: Vec<_> = devices
            .into_iter()
            .filter(|device| !self.engine.set_aside.holds(Item::Device(*device)))
            .map(|device| (device, due.event()))
            .collect();
        for set in events.chunks(SET) {
            self.happen(set).await?;
        }
        Ok(())
    }

    /// A set of devices for which something is due; gives for each the plans that had no room for it, if it was handled.
    async fn happen(&mut self, set: &[(DeviceId, Event)]) -> Result<Vec<Option<Vec<PlanId>>>> {
        let outcomes = self.engine.happen(set, IfLocked::Pass).await;
        let mut handled = Vec::with_capacity(set.len());
        for ((device, _), outcome) in set.iter().zip(outcomes) {
            let done = self.settle(Item::Device(*device), outcome).await?;
            handled.push(done.map(|Done { messages, full }| {
                self.send(*device, messages);
                full
            }));
        }
        Ok(handled)
    }

    fn send(&mut self, device: DeviceId, messages: Vec<Downlink>) {
        self.done.messages.extend(messages.into_iter().map(|message| (device, message)));
    }

    /// Takes note of a failure, so that the next item has its turn. The error comes back if the database seems to be away.
    async fn settle<T>(&mut self, item: Item, outcome: Result<T>) -> Result<Option<T>> {
        let error = match outcome {
            Ok(done) => return Ok(Some(done)),
            // It stays due.
            Err(EngineError::Busy(_)) => return Ok(None),
            Err(error) => error,
        };
        self.done.failed += 1;
        if !error.is_temporary() {
            self.engine.set_aside(item, &error).await;
            return Ok(None);
        }
        self.interruptions += 1;
        if self.interruptions >= INTERRUPTIONS {
            return Err(error);
        }
        tracing::warn!(%item, %error, "put off to the next tick");
        Ok(None)
    }

    /// Offers the plan to devices that wait for a place in it, as long as there is one.
    async fn fill_places(&mut self, plan: PlanId) -> Result<()> {
        for _ in 0..BATCH {
            let Some(device) = self.engine.waiting.first(plan) else { break };
            let offered = self.offer_place(device, plan).await;
            if self.settle(Item::Device(device), offered).await? == Some(Room::Full) {
                break;
            }
            self.engine.waiting.remove(plan, device);
        }
        Ok(())
    }

    async fn offer_place(&mut self, device: DeviceId, plan: PlanId) -> Result<Room> {
        let done = self.engine.happen(&[(device, Event::Room)], IfLocked::Wait).await;
        let Some(done) = done.into_iter().next() else { return Ok(Room::Full) };
        let Done { messages, full } = done?;
        self.send(device, messages);
        Ok(if full.contains(&plan) { Room::Full } else { Room::Left })
    }

    /// The part of the plan's push that is due by now, if any is.
    async fn walk_of(&self, plan: &Plan) -> Result<Option<Walk>> {
        let now = self.now;
        let store = &self.engine.store;
        let last = plan.settings.time_zone.last_mark(now);
        // A plan that was activated after the last mark waits for the next one.
        if plan.activated.is_none_or(|activated| activated > last) {
            return Ok(None);
        }
        let saved = store.read().await?.plan_mark(plan.id, &self.engine.owner).await?;
        let mut mark = saved;
        if mark.at != Some(last) {
            let online = store.read().await?.count_devices(&plan.settings.product, Presence::Online).await?;
            let spread = (online / PUSH_RATE).min(MARK_MINUTES * 60 - 1);
            mark = Mark { at: Some(last), spread: Millis::seconds(spread), done: 0 };
        }
        let slots = i64::from(PUSH_SLOTS);
        let elapsed = (now - last).0;
        let due = if mark.spread.0 == 0 { slots } else { (elapsed * slots / mark.spread.0).min(slots) };
        if saved == mark && mark.done >= due {
            return Ok(None);
        }
        let product = plan.settings.product.clone();
        let limited = plan.settings.strategy.has_limits();
        Ok(Some(Walk { plans: vec![plan.id], product, mark, due, limited }))
    }

    async fn push(&mut self, walk: Walk) -> Result<()> {
        let Walk { plans, product, mut mark, due, limited } = walk;
        let store = &self.engine.store;
        let center = &*self.engine.owner;
        let devices = store.read().await?.online_in_slots(&product, mark.done, due, BATCH, center).await?;
        let whole = i64::try_from(devices.len()).unwrap_or(i64::MAX) < BATCH;
        // A full batch ends inside a slot perhaps: that slot is looked at again, and who was offered is left out by then.
        let next = devices.last().map_or(due, |(_, slot)| *slot);
        let stuck = next == mark.done;
        let mut full_at = None;
        let devices: Vec<_> = devices
            .into_iter()
            .filter(|(device, _)| !self.engine.set_aside.holds(Item::Device(*device)))
            .collect();
        // Beyond the first device without a place nobody is looked at for one.
        for set in devices.chunks(if limited { 1 } else { SET }) {
            let events: Vec<_> = set.iter().map(|(device, _)| (*device, Event::Mark)).collect();
            let handled = self.happen(&events).await?;
            let is_full = |full: &Option<Vec<PlanId>>| {
                limited && full.iter().flatten().any(|full| plans.contains(full))
            };
            if let Some(at) = handled.iter().position(is_full) {
                full_at = set.get(at).map(|(_, slot)| *slot);
                break;
            }
        }
        mark.done = match (whole, stuck) {
            // The push goes on from here when the plan's limits have room again.
            _ if full_at.is_some() => full_at.unwrap_or(mark.done),
            (true, _) => due,
            (false, true) => next + 1,
            (false, false) => next,
        };
        let mut store = self.engine.begin().await?;
        for plan in plans {
            store.save_plan_mark(plan, center, mark).await?;
        }
        store.commit().await
    }
}

/// A part of a push: the devices of a product in some slots. A device is evaluated for every plan when it is visited, so
/// plans that are at the same place take one walk together.
#[derive(Debug)]
struct Walk {
    plans: Vec<PlanId>,
    product: ProductKey,
    mark: Mark,
    due: i64,
    /// The one plan has limits, at which the walk ends.
    limited: bool,
}

impl Walk {
    fn joins(&self, other: &Walk) -> bool {
        let place = |walk: &Walk| (walk.mark, walk.due);
        !self.limited && !other.limited && self.product == other.product && place(self) == place(other)
    }
}

/// Whether a plan's limits let more devices start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Left,
    Full,
}
