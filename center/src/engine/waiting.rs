//! Devices that wait for a place in a plan with limits. They are offered it as soon as there is one, in the order in which
//! they came. The list lives as long as the process: after a restart every device connects anew.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::{DeviceId, PlanId};

/// Devices that wait, by plan. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<HashMap<PlanId, Queue>>>);

#[derive(Debug, Default)]
struct Queue {
    order: VecDeque<DeviceId>,
    known: HashSet<DeviceId>,
}

impl Waiting {
    fn plans(&self) -> MutexGuard<'_, HashMap<PlanId, Queue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The device waits for the plan; one that waits already keeps its place.
    pub(super) fn add(&self, plan: PlanId, device: DeviceId) {
        let mut plans = self.plans();
        let queue = plans.entry(plan).or_default();
        if queue.known.insert(device) {
            queue.order.push_back(device);
        }
    }

    /// The device that has waited longest.
    pub(super) fn first(&self, plan: PlanId) -> Option<DeviceId> {
        self.plans().get(&plan)?.order.front().copied()
    }

    /// The device waits no longer.
    pub(super) fn remove(&self, plan: PlanId, device: DeviceId) {
        let mut plans = self.plans();
        let Some(queue) = plans.get_mut(&plan) else { return };
        if queue.known.remove(&device) {
            queue.order.retain(|other| *other != device);
        }
    }

    /// Forgets the plans that are not among `running`.
    pub(super) fn keep(&self, running: &HashSet<PlanId>) {
        self.plans().retain(|plan, _| running.contains(plan));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_wait_in_the_order_in_which_they_came() {
        let (waiting, plan) = (Waiting::default(), PlanId(1));
        for device in [2, 1, 2, 3] {
            waiting.add(plan, DeviceId(device));
        }
        assert_eq!(waiting.first(plan), Some(DeviceId(2)));
        waiting.remove(plan, DeviceId(1));
        waiting.remove(plan, DeviceId(2));
        assert_eq!(waiting.first(plan), Some(DeviceId(3)));
        waiting.keep(&HashSet::new());
        assert_eq!(waiting.first(plan), None);
    }
}
