//! One transaction over many devices: what is known of them is read at once and kept here, what changes is kept here too and
//! written before the commit, by one statement a table.
//!
//! Whatever is not kept here goes to the transaction itself ([`WorkingSet::direct`] writes first what is kept).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::catalog::{Catalog, Lists, RunningPlan};
use super::evaluation::Bringing;
use super::plan_locks::{PlanLock, PlanLocks};
use super::transaction::Transaction;
use super::{Engine, EngineError, Result};
use crate::clock::Millis;
use crate::metrics::Count;
use crate::rules::eligibility::Membership;
use crate::rules::plan::List;
use crate::rules::{ComponentNo, DeviceKey};
use crate::store::{
    AddedLine, Announcement, Device, DeviceChange, DeviceId, LastLine, NewLogEntry, Package, PackageId, Plan,
    PlanId, ReportedVersion, StoreError, Upgrade, UpgradeId,
};

/// Time within which it is not written again that a device was heard, if it said nothing new.
pub(super) const HEARD_WITHIN: Millis = Millis::minutes(1);
/// Numbers of upgrades that are taken at a time, at most.
const NUMBERS: usize = 32;

/// A device of the set.
struct Known {
    /// As it is in the database.
    stored: Device,
    versions: Vec<ReportedVersion>,
    catalog: Arc<Catalog>,
    upgrades: Vec<UpgradeId>,
    last_line: Last,
}

/// The last line of a device's log.
enum Last {
    None,
    Stored(LastLine),
    /// The place of the line among those to be added.
    Added(usize),
    /// It has been written, and its number is not known here.
    Unknown,
}

/// By numbers that the database gives: nobody chooses them, so the hash needs no defence.
type Numbered<K, V> = std::collections::HashMap<K, V, RandomState>;

/// See the head of the file.
pub(super) struct WorkingSet {
    transaction: Transaction,
    known: Numbered<DeviceId, Known>,
    failed: Numbered<DeviceId, StoreError>,
    /// Plans that are locked or were changed here.
    plans: Numbered<PlanId, Arc<Plan>>,
    /// Upgrades as they are now.
    upgrades: Numbered<UpgradeId, Upgrade>,
    /// Those that were changed, as they are in the database; none: they are not there yet.
    changed: BTreeMap<UpgradeId, Option<Upgrade>>,
    /// Numbers for the next ones that are added.
    numbers: Vec<UpgradeId>,
    announcements: Vec<Announcement>,
    devices: Vec<(Device, DeviceChange)>,
    /// Versions of components that were not reported before, and components that are not reported any more.
    versions: Vec<(DeviceId, ReportedVersion)>,
    gone: Vec<(DeviceId, ComponentNo)>,
    lines: Vec<AddedLine>,
    /// Lines that were repeated.
    repeated: BTreeMap<i64, (DeviceId, Millis, i64)>,
    lists: Option<HashSet<(DeviceId, PlanId, bool)>>,
    /// Whether other processes may write to the database meanwhile.
    is_shared: bool,
}

impl Engine {
    /// Begins a transaction over these devices, with these plans locked. With `if_free`, devices that another transaction
    /// has are left out.
    pub(super) async fn working_set(
        &self,
        ids: &[DeviceId],
        if_free: bool,
        locks: &PlanLocks,
    ) -> Result<WorkingSet> {
        let mut set = WorkingSet {
            transaction: self.begin().await?,
            known: Numbered::with_capacity_and_hasher(ids.len(), RandomState::default()),
            failed: Numbered::default(),
            plans: Numbered::default(),
            upgrades: Numbered::default(),
            changed: BTreeMap::new(),
            numbers: Vec::new(),
            announcements: Vec::new(),
            devices: Vec::new(),
            versions: Vec::new(),
            gone: Vec::new(),
            lines: Vec::new(),
            repeated: BTreeMap::new(),
            lists: None,
            is_shared: self.is_shared(),
        };
        let locked = set.transaction.lock_devices(ids, if_free).await?;
        if set.is_shared {
            for (plan, lock) in locks.iter() {
                let plan = set.lock_row(plan, lock).await?;
                set.plans.insert(plan.id, plan);
            }
        }
        for (id, record) in set.transaction.device_records(&locked).await? {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    set.failed.insert(id, error);
                    continue;
                }
            };
            let catalog = self.catalog(&mut set.transaction, &record.device.product, &record.plans).await?;
            let known = Known {
                stored: record.device,
                versions: record.versions,
                catalog,
                upgrades: record.upgrades.iter().map(|upgrade| upgrade.id).collect(),
                last_line: record.last_line.map_or(Last::None, Last::Stored),
            };
            set.known.insert(id, known);
            set.upgrades.extend(record.upgrades.into_iter().map(|upgrade| (upgrade.id, upgrade)));
        }
        Ok(set)
    }
}

impl WorkingSet {
    /// The transaction, after all that is kept here was written.
    pub(super) async fn direct(&mut self) -> Result<&mut Transaction> {
        self.write().await?;
        Ok(&mut self.transaction)
    }

    /// The transaction, for what concerns nothing that is kept here.
    pub(super) fn beside(&mut self) -> &mut Transaction {
        &mut self.transaction
    }

    /// The device as it was read, with the versions of its MCU components; none: it is not there, or was left out.
    pub(super) fn device(&mut self, id: DeviceId) -> Result<Option<(Device, Vec<ReportedVersion>)>> {
        if let Some(error) = self.failed.remove(&id) {
            return Err(error.into());
        }
        Ok(self.known.get(&id).map(|known| (known.stored.clone(), known.versions.clone())))
    }

    /// The device is to be stored so, as far as it has changed.
    pub(super) fn save_device(&mut self, device: Device) {
        let Some(known) = self.known.get_mut(&device.id) else { return };
        let Some(change) = change(&known.stored, &device) else { return };
        known.stored = device.clone();
        self.devices.push((device, change));
    }

    /// The device reports exactly these components now.
    pub(super) fn save_versions(&mut self, id: DeviceId, reported: &[ReportedVersion]) {
        let Some(known) = self.known.get_mut(&id) else { return };
        let before = std::mem::replace(&mut known.versions, reported.to_vec());
        let is_new = |now: &&ReportedVersion| !before.contains(now);
        self.versions.extend(reported.iter().filter(is_new).map(|now| (id, now.clone())));
        let is_gone = |component: &ComponentNo| !reported.iter().any(|now| now.component == *component);
        let components = before.iter().map(|then| &then.component);
        self.gone.extend(components.filter(|component| is_gone(component)).map(|gone| (id, gone.clone())));
    }

    pub(super) fn count(&mut self, count: Count) {
        self.transaction.count(count);
    }

    /// Writes what is kept and commits.
    pub(super) async fn commit(mut self) -> Result<()> {
        self.write().await?;
        self.transaction.commit().await
    }

    async fn write(&mut self) -> Result<()> {
        let store = &mut self.transaction;
        // A device that changed twice is written as it is now.
        let mut latest: BTreeMap<DeviceId, (DeviceChange, &Device)> = BTreeMap::new();
        for (device, change) in &self.devices {
            let known = latest.entry(device.id).or_insert((*change, device));
            *known = (known.0.and(*change), device);
        }
        let mut alike: BTreeMap<DeviceChange, Vec<&Device>> = BTreeMap::new();
        for (change, device) in latest.into_values() {
            alike.entry(change).or_default().push(device);
        }
        for (change, devices) in alike {
            store.save_devices(&devices, change).await?;
        }
        self.devices.clear();
        store.save_versions(&std::mem::take(&mut self.versions), &std::mem::take(&mut self.gone)).await?;
        let changed = std::mem::take(&mut self.changed);
        // Others may be added by themselves now: these numbers may be theirs.
        self.numbers.clear();
        let (mut added, mut components, mut upgrades) = (Vec::new(), Vec::new(), Vec::new());
        for (id, stored) in &changed {
            let Some(upgrade) = self.upgrades.get(id) else { continue };
            let Some(stored) = stored else {
                added.push(upgrade);
                continue;
            };
            if upgrade.components.len() != stored.components.len() {
                return Err(
                    StoreError::conflict("device upgrade", id.0, "its components have changed").into()
                );
            }
            let pairs = (0i64..).zip(upgrade.components.iter().zip(&stored.components));
            let differing = pairs.filter(|(_, (now, then))| now != then);
            components.extend(differing.map(|(position, (now, _))| (*id, position, now)));
            if !same_head(upgrade, stored) {
                upgrades.push(upgrade);
            }
            store.touch_upgrade(upgrade);
        }
        // Components before their upgrade, as when a plan ends: two transactions must not wait for each other.
        store.add_upgrades(&added).await?;
        store.save_components(&components).await?;
        store.save_upgrades(&upgrades).await?;
        let repeated: Vec<_> = std::mem::take(&mut self.repeated)
            .into_iter()
            .map(|(id, (device, last_at, times))| (id, device, last_at, times))
            .collect();
        store.announce_all(&std::mem::take(&mut self.announcements)).await?;
        store.repeat_lines(&repeated).await?;
        let lines = std::mem::take(&mut self.lines);
        store.add_lines(&lines).await?;
        if !lines.is_empty() {
            for line in &lines {
                if let Some(known) = self.known.get_mut(&line.entry.device) {
                    known.last_line = Last::Unknown;
                }
            }
        }
        Ok(())
    }

    /// A line of a device's log; a repetition of the last one counts it up instead.
    pub(super) async fn log(&mut self, entry: NewLogEntry, now: Millis) -> Result<()> {
        let Some(known) = self.known.get_mut(&entry.device) else {
            return Ok(self.direct().await?.log(entry, now).await?);
        };
        match &known.last_line {
            Last::Unknown => return Ok(self.direct().await?.log(entry, now).await?),
            Last::Stored(last)
                if last.upgrade == entry.upgrade
                    && last.component.as_deref() == entry.component.as_ref().map(ComponentNo::as_str)
                    && last.kind == entry.kind
                    && last.value == entry.value =>
            {
                let repeated = self.repeated.entry(last.id).or_insert((entry.device, now, 0));
                repeated.1 = now;
                repeated.2 += 1;
                return Ok(());
            }
            Last::Added(place) => {
                if let Some(last) = self.lines.get_mut(*place)
                    && last.entry.upgrade == entry.upgrade
                    && last.entry.component == entry.component
                    && last.entry.kind == entry.kind
                    && last.entry.value == entry.value
                {
                    last.last_at = now;
                    last.times += 1;
                    return Ok(());
                }
            }
            Last::Stored(_) | Last::None => {}
        }
        known.last_line = Last::Added(self.lines.len());
        self.lines.push(AddedLine { entry, at: now, last_at: now, times: 1 });
        Ok(())
    }

    /// The device's upgrades that are not at their end, oldest first.
    pub(super) fn open_upgrades(&self, device: DeviceId) -> Vec<Upgrade> {
        self.known_upgrades(device).filter(|upgrade| upgrade.ended.is_none()).cloned().collect()
    }

    /// The device's upgrades that are open or of a running plan, oldest first.
    pub(super) fn known_upgrades(&self, device: DeviceId) -> impl Iterator<Item = &Upgrade> {
        let ids = self.known.get(&device).map_or(&[][..], |known| &known.upgrades);
        ids.iter().filter_map(|id| self.upgrades.get(id))
    }

    pub(super) async fn upgrade(&mut self, id: UpgradeId) -> Result<Upgrade> {
        match self.upgrades.get(&id) {
            Some(upgrade) => Ok(upgrade.clone()),
            None => Ok(self.direct().await?.upgrade(id).await?),
        }
    }

    async fn find_upgrade(&mut self, plan: PlanId, device: DeviceId) -> Result<Option<Upgrade>> {
        let Some(known) = self.known.get(&device) else {
            return Box::pin(self.read_upgrade(plan, device)).await;
        };
        let mut upgrades = known.upgrades.iter().filter_map(|id| self.upgrades.get(id));
        if let Some(upgrade) = upgrades.find(|upgrade| upgrade.plan == Some(plan)) {
            return Ok(Some(upgrade.clone()));
        }
        if known.catalog.plan(plan).is_some() {
            return Ok(None);
        }
        Box::pin(self.read_upgrade(plan, device)).await
    }

    async fn read_upgrade(&mut self, plan: PlanId, device: DeviceId) -> Result<Option<Upgrade>> {
        Ok(self.direct().await?.find_upgrade(plan, device).await?)
    }

    pub(super) async fn device_upgrades(&mut self, device: DeviceId) -> Result<Vec<Upgrade>> {
        Ok(self.direct().await?.device_upgrades(device).await?)
    }

    /// Adds an upgrade; gives it with its number.
    pub(super) async fn create_upgrade(&mut self, mut upgrade: Upgrade) -> Result<Upgrade> {
        if self.numbers.is_empty() {
            // Most of a set are offered the plan, or few of it are.
            let wanted = self.known.len().clamp(1, NUMBERS);
            self.numbers = match self.added_last() {
                // Those that were added before have the numbers up to this one, and are not in the database yet.
                Some(last) if !self.is_shared => {
                    let wanted = i64::try_from(wanted).unwrap_or(1);
                    (1..=wanted).map(|number| UpgradeId(last.0 + number)).collect()
                }
                _ => self.transaction.next_upgrades(wanted).await?,
            };
            self.numbers.reverse();
        }
        upgrade.id = self.numbers.pop().ok_or(EngineError::Interrupted)?;
        self.changed.insert(upgrade.id, None);
        if let Some(known) = self.known.get_mut(&upgrade.device) {
            known.upgrades.push(upgrade.id);
        }
        self.upgrades.insert(upgrade.id, upgrade.clone());
        Ok(upgrade)
    }

    fn added_last(&self) -> Option<UpgradeId> {
        self.changed.iter().rev().find(|(_, stored)| stored.is_none()).map(|(id, _)| *id)
    }

    /// The upgrade `before` is to be stored so.
    pub(super) fn save_upgrade(&mut self, before: Upgrade, upgrade: &Upgrade) {
        self.changed.entry(upgrade.id).or_insert(Some(before));
        self.upgrades.insert(upgrade.id, upgrade.clone());
    }

    /// Webhooks are to be told.
    pub(super) fn announce(&mut self, announcement: Announcement) {
        self.announcements.push(announcement);
    }

    /// The device has so many bytes of its image; less than before changes nothing.
    pub(super) async fn raise_fetched(&mut self, id: UpgradeId, no: &ComponentNo, bytes: u64) -> Result<()> {
        self.direct().await?.raise_fetched(id, no, bytes).await?;
        let parts = self.upgrades.get_mut(&id).map(|upgrade| &mut upgrade.components);
        if let Some(part) = parts.and_then(|parts| parts.iter_mut().find(|part| part.component == *no)) {
            part.fetched = part.fetched.max(bytes);
        }
        Ok(())
    }

    fn running(&self, device: DeviceId, plan: PlanId) -> Option<&RunningPlan> {
        self.known.get(&device)?.catalog.plan(plan)
    }

    /// The plan, as this transaction sees it.
    pub(super) async fn plan(&mut self, device: DeviceId, id: PlanId) -> Result<Arc<Plan>> {
        if let Some(plan) = self.plans.get(&id) {
            return Ok(Arc::clone(plan));
        }
        if let Some(running) = self.running(device, id) {
            return Ok(Arc::clone(&running.plan));
        }
        Ok(Arc::new(self.transaction.plan(id).await?))
    }

    /// The plans of the device's product that are offered now, newest activation first.
    pub(super) fn offered_plans(&self, device: DeviceId) -> Vec<Arc<Plan>> {
        let Some(known) = self.known.get(&device) else { return Vec::new() };
        let plans = known.catalog.plans.iter().map(|running| &running.plan);
        let now = plans.map(|plan| self.plans.get(&plan.id).unwrap_or(plan));
        now.filter(|plan| plan.state.offers()).cloned().collect()
    }

    async fn lock_row(&mut self, id: PlanId, lock: PlanLock) -> Result<Arc<Plan>> {
        Ok(Arc::new(match lock {
            PlanLock::Shared => self.transaction.hold_plan(id).await?,
            PlanLock::Exclusive => self.transaction.lock_plan(id).await?,
        }))
    }

    /// Locks the plan until the end of the transaction; its upgrades are read anew, for the plan may have ended them.
    pub(super) async fn lock_plan(&mut self, id: PlanId, lock: PlanLock) -> Result<Arc<Plan>> {
        let plan = self.lock_row(id, lock).await?;
        self.plans.insert(id, Arc::clone(&plan));
        // Those that were changed here were locked by that.
        let stale: Vec<_> = self
            .upgrades
            .values()
            .filter(|upgrade| upgrade.plan == Some(id) && !self.changed.contains_key(&upgrade.id))
            .map(|upgrade| upgrade.id)
            .collect();
        for upgrade in self.transaction.upgrades(&stale).await? {
            self.upgrades.insert(upgrade.id, upgrade);
        }
        Ok(plan)
    }

    /// The plan was changed by this transaction.
    pub(super) fn changed_plan(&mut self, plan: &Arc<Plan>) {
        self.plans.insert(plan.id, Arc::clone(plan));
    }

    pub(super) async fn package(&mut self, device: DeviceId, id: PackageId) -> Result<Arc<Package>> {
        if let Some(package) = self.known.get(&device).and_then(|known| known.catalog.package(id)) {
            return Ok(Arc::clone(package));
        }
        Ok(Arc::new(self.transaction.package(id).await?))
    }

    /// What the catalog has of a plan, and what is known of the device for it: membership, newer plans, upgrade.
    ///
    /// What is read by the way is boxed here and in what calls this: it is rare, and room for it in each evaluation would be
    /// moved with it.
    pub(super) async fn standing(
        &mut self,
        device: DeviceId,
        key: &DeviceKey,
        plan: &Plan,
    ) -> Result<(Brings, Membership, Vec<PlanId>, Option<Box<Upgrade>>)> {
        let catalog = self.known.get(&device).map(|known| Arc::clone(&known.catalog));
        let brings = match catalog {
            Some(catalog) if catalog.plan(plan.id).is_some() => Brings::Running(catalog, plan.id),
            _ => Brings::Read(Box::pin(Bringing::of(&mut self.transaction, plan)).await?),
        };
        let membership = self.membership(device, key, plan.id).await?;
        let mut superseding = Vec::new();
        // One is enough for a component.
        let mut components: Vec<&ComponentNo> = Vec::new();
        for (component, newer) in
            brings.get().into_iter().flat_map(|bringing| bringing.superseded.iter().rev())
        {
            if !components.contains(&component)
                && self.membership(device, key, *newer).await? == Membership::Included
            {
                superseding.push(*newer);
                components.push(component);
            }
        }
        let upgrade = self.find_upgrade(plan.id, device).await?.map(Box::new);
        Ok((brings, membership, superseding, upgrade))
    }

    async fn membership(&mut self, device: DeviceId, key: &DeviceKey, plan: PlanId) -> Result<Membership> {
        let has = self.known.get(&device).and_then(|known| known.catalog.lists(plan));
        let Some(Lists { white, black }) = has else {
            return Box::pin(super::evaluation::membership(&mut self.transaction, plan, key)).await;
        };
        if !black && !white {
            return Ok(Membership::Included);
        }
        if self.lists.is_none() {
            self.lists = Some(Box::pin(self.read_lists()).await?);
        }
        let lists = self.lists.as_ref();
        let is_listed = |white| lists.is_some_and(|lists| lists.contains(&(device, plan, white)));
        Ok(if is_listed(false) {
            Membership::Blacklisted
        } else if !white || is_listed(true) {
            Membership::Included
        } else {
            Membership::NotWhitelisted
        })
    }

    /// The lists that the devices of the set stand in.
    async fn read_lists(&mut self) -> Result<HashSet<(DeviceId, PlanId, bool)>> {
        let devices: Vec<_> = self.known.keys().copied().collect();
        let mut plans: Vec<_> = self.known.values().flat_map(|known| known.catalog.listing()).collect();
        plans.sort_unstable();
        plans.dedup();
        let listed = self.transaction.lists_with(&devices, &plans).await?;
        Ok(listed.into_iter().map(|(device, plan, list)| (device, plan, list == List::White)).collect())
    }
}

/// What a plan brings: from memory, or read for this once.
pub(super) enum Brings {
    Running(Arc<Catalog>, PlanId),
    Read(Bringing),
}

impl Brings {
    pub(super) fn get(&self) -> Option<&Bringing> {
        match self {
            Brings::Running(catalog, plan) => catalog.plan(*plan).map(|running| &running.bringing),
            Brings::Read(bringing) => Some(bringing),
        }
    }
}

/// Whether an upgrade is the same but for its components.
fn same_head(one: &Upgrade, other: &Upgrade) -> bool {
    let head = |upgrade: &Upgrade| {
        let outstanding = upgrade.ended.is_none() && upgrade.is_outstanding();
        let times = [upgrade.confirmed, upgrade.next_offer, upgrade.cancelled, upgrade.ended];
        (upgrade.state, upgrade.reason.clone(), times, outstanding)
    };
    head(one) == head(other)
}

/// What of a device has changed; none: nothing that must be written now.
fn change(stored: &Device, device: &Device) -> Option<DeviceChange> {
    let change = DeviceChange::between(stored, device);
    if change.reported || change.searched || change.connection {
        return Some(change);
    }
    let is_recent = match (stored.last_seen, device.last_seen) {
        (Some(before), Some(now)) => before <= now && now < before + HEARD_WITHIN,
        (before, now) => before == now,
    };
    (stored.last_uplink != device.last_uplink || !is_recent).then_some(change)
}
