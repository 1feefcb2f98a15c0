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
use crate::rules::plan::PlanEvent;
use crate::store::{DeviceId, NewLogEntry, Plan, PlanId, PlanVersion, Reader};

/// Devices of one kind that one tick looks at, at most; the next tick goes on.
pub(super) const BATCH: i64 = 500;
/// Plans that are looked at for one whose end is to be written on.
const ENDINGS: i64 = 10;
/// Time between two looks at all devices for offers that are due.
const WHOLE_LOOK: Millis = Millis::seconds(30);
/// What another center has written with its clock, or commits late, is looked at for so long.
const OVERLAP: Millis = Millis::seconds(5);
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
    /// Nothing is due before; none: the next tick is to come as usual.
    pub quiet: Option<Quiet>,
}

/// A time in which nothing becomes due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    /// Its end,
    pub until: Millis,
    /// as long as the store has committed no more often than so.
    pub commits: u64,
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

    pub(super) fn holds(&self, item: Item) -> bool {
        self.items().contains_key(&item)
    }

    /// Whether the item is new in the list.
    fn add(&self, item: Item, until: Millis) -> bool {
        self.items().insert(item, until).is_none()
    }
}

/// How far the offers that are due were looked through: those that are due for devices of nobody here are passed once, and
/// not at every tick. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct OffersSeen(Arc<Mutex<Option<Seen>>>);

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// The last look.
    at: Millis,
    /// The last one at all of this center's devices.
    whole: Millis,
}

impl OffersSeen {
    /// Offers that became due from this time on are looked at now; none: all of this center's devices are.
    fn since(&self, now: Millis, is_asked: bool) -> Option<Millis> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The first look, or the clock was put back.
        let last = seen.filter(|seen| seen.at <= now && now < seen.whole + WHOLE_LOOK && !is_asked);
        *seen = Some(Seen { at: now, whole: last.map_or(now, |last| last.whole) });
        last.map(|last| last.at - OVERLAP)
    }
}

/// The running plans as they were read last, until one of them changes. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Running(Arc<Mutex<ReadPlans>>);

#[derive(Debug, Default)]
struct ReadPlans {
    versions: Vec<PlanVersion>,
    plans: Vec<Arc<Plan>>,
}

impl Running {
    /// Every running plan; they have these versions as `store` sees them.
    async fn plans(
        &self,
        store: &mut Reader,
        versions: &[PlanVersion],
    ) -> Result<Vec<(PlanId, Result<Arc<Plan>>)>> {
        {
            let known = self.known();
            if known.versions == versions {
                return Ok(known.plans.iter().map(|plan| (plan.id, Ok(Arc::clone(plan)))).collect());
            }
        }
        let read = store.running_plans().await?;
        let plans: Vec<_> =
            read.into_iter().map(|(id, plan)| (id, plan.map(Arc::new).map_err(EngineError::from))).collect();
        let usable: Vec<_> = plans.iter().filter_map(|(_, plan)| plan.as_ref().ok().cloned()).collect();
        if usable.len() == versions.len() {
            *self.known() = ReadPlans { versions: versions.to_vec(), plans: usable };
        }
        Ok(plans)
    }

    fn known(&self) -> MutexGuard<'_, ReadPlans> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Time has passed: call it about once a second, and less often where it says that it is quiet.
    ///
    /// # Errors
    /// The database is away, and nothing is to be sent; what is left is due at the next tick as well.
    pub async fn tick(&self) -> Result<Ticked> {
        let now = self.clock.now();
        let mut tick = Tick {
            engine: self,
            now,
            done: Ticked::default(),
            interruptions: 0,
            since: None,
            goes_on: false,
            next: now + WHOLE_LOOK,
        };
        let ran = tick.run().await;
        if ran.is_err() {
            // It did not come to the offers, perhaps.
            self.wake.overdue();
        }
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
        let value = json!({ "text": error.to_string() }).to_string();
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
pub(super) struct Tick<'e> {
    pub(super) engine: &'e Engine,
    pub(super) now: Millis,
    done: Ticked,
    /// Failures of the moment.
    interruptions: u32,
    /// Offers that became due from this time on are looked for; none: all of this center's.
    since: Option<Millis>,
    /// Something was done, from which more may be due than the outlook knew, or something becomes due that nobody tells of.
    pub(super) goes_on: bool,
    /// Nothing becomes due before, as far as is known yet.
    next: Millis,
}

impl Tick<'_> {
    async fn run(&mut self) -> Result<()> {
        self.since = self.engine.offers_seen.since(self.now, self.engine.wake.take_overdue());
        let commits = self.engine.store.commits();
        let mut store = self.engine.store.read().await?;
        let outlook = store.outlook(&self.engine.owner, self.since, self.now).await?;
        let plans = self.engine.running.plans(&mut store, &outlook.plans).await?;
        // Most ticks end here: the connection needs no look.
        store.done();
        self.devices_if(outlook.deadlines, Due::Deadline).await?;
        self.devices_if(outlook.leases, Due::Lease).await?;
        let mut running = Vec::with_capacity(plans.len());
        for (id, plan) in plans {
            if self.engine.set_aside.holds(Item::Plan(id)) {
                continue;
            }
            match self.settle(Item::Plan(id), plan).await? {
                Some(plan) if plan.settings.end.is_some_and(|end| end <= self.now) => {
                    self.goes_on = true;
                    let ended = self.engine.end_plan(id).await;
                    self.settle(Item::Plan(id), ended).await?;
                }
                Some(plan) => running.push(plan),
                None => {}
            }
        }
        if outlook.endings || self.goes_on {
            self.endings().await?;
        }
        self.devices_if(outlook.offers, Due::Offer).await?;
        self.devices_if(outlook.rechecks, Due::Recheck).await?;
        self.engine.waiting.keep(&running.iter().map(|plan| plan.id).collect());
        for plan in &running {
            self.becomes_due(plan.settings.end);
            self.becomes_due(plan.settings.start);
            if plan.state.offers() {
                if self.engine.waiting.first(plan.id).is_some() {
                    self.goes_on = true;
                }
                let filled = self.fill_places(plan.id).await;
                self.settle(Item::Plan(plan.id), filled).await?;
            }
        }
        self.push_plans(&running, &outlook.marks).await?;
        self.becomes_due(outlook.next);
        // Another center's commits are not heard of here.
        let is_quiet =
            !self.engine.is_shared() && !self.goes_on && !outlook.is_any_due() && self.done.failed == 0;
        self.done.quiet = (is_quiet && self.next > self.now).then_some(Quiet { until: self.next, commits });
        Ok(())
    }

    /// Something is due at this time, if it is still to come.
    pub(super) fn becomes_due(&mut self, at: Option<Millis>) {
        if let Some(at) = at.filter(|at| *at > self.now) {
            self.next = self.next.min(at);
        }
    }

    async fn devices_if(&mut self, are_due: bool, due: Due) -> Result<()> {
        if are_due || self.goes_on { self.devices(due).await } else { Ok(()) }
    }

    /// The end of a plan is written on.
    async fn endings(&mut self) -> Result<()> {
        let plans = self.engine.store.read().await?.plan_endings(ENDINGS).await?;
        let usable = plans.into_iter().find(|plan| !self.engine.set_aside.holds(Item::Plan(*plan)));
        if let Some(plan) = usable {
            let written = self.engine.write_endings(plan).await;
            self.settle(Item::Plan(plan), written).await?;
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
            Due::Offer => store.offers_due(center, self.since, self.now, limit).await?,
            Due::Recheck => store.rechecks_due(center, self.now, limit).await?,
        };
        store.done();
        self.goes_on |= !devices.is_empty();
        if matches!(due, Due::Offer) && i64::try_from(devices.len()).unwrap_or(i64::MAX) >= limit {
            self.engine.wake.overdue();
        }
        let events: Vec<_> = devices
            .into_iter()
            .filter(|device| !self.engine.set_aside.holds(Item::Device(*device)))
            .map(|device| (device, due.event()))
            .collect();
        for set in events.chunks(SET) {
            let handled = self.happen(set).await;
            // What was not handled stays due.
            if matches!(due, Due::Offer)
                && !handled.as_ref().is_ok_and(|done| done.iter().all(Option::is_some))
            {
                self.engine.wake.overdue();
            }
            handled?;
        }
        Ok(())
    }

    /// A set of devices for which something is due; gives for each the plans that had no room for it, if it was handled.
    pub(super) async fn happen(&mut self, set: &[(DeviceId, Event)]) -> Result<Vec<Option<Vec<PlanId>>>> {
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
    pub(super) async fn settle<T>(&mut self, item: Item, outcome: Result<T>) -> Result<Option<T>> {
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
}

/// Whether a plan's limits let more devices start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Left,
    Full,
}
