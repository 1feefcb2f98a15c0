//! The order of locks: a transaction locks its device first, then plans by their numbers, and writes upgrades of locked
//! plans only. So no two transactions wait for each other.

use std::collections::BTreeMap;

use crate::store::PlanId;

/// How a plan is locked until the end of the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PlanLock {
    /// Against a change of its state.
    Shared,
    /// Against everything: its limits, its halt and its first confirmation need an exact count.
    Exclusive,
}

/// The plans that one transaction has locked, or locks as it begins.
#[derive(Debug, Clone, Default)]
pub(super) struct PlanLocks(BTreeMap<PlanId, PlanLock>);

impl PlanLocks {
    /// Whether the plan is locked, so or more strictly.
    pub(super) fn cover(&self, plan: PlanId, lock: PlanLock) -> bool {
        self.0.get(&plan).is_some_and(|locked| *locked >= lock)
    }

    /// Whether the plan may be locked now: no later plan is, and not the plan itself.
    pub(super) fn allow(&self, plan: PlanId) -> bool {
        self.0.last_key_value().is_none_or(|(last, _)| *last < plan)
    }

    pub(super) fn add(&mut self, plan: PlanId, lock: PlanLock) {
        let locked = self.0.entry(plan).or_insert(lock);
        *locked = lock.max(*locked);
    }

    /// In the order of locking.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PlanId, PlanLock)> {
        self.0.iter().map(|(plan, lock)| (*plan, *lock))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_locked_in_the_order_of_their_numbers_and_never_more_strictly_later() {
        let mut locks = PlanLocks::default();
        assert!(locks.allow(PlanId(3)));
        locks.add(PlanId(3), PlanLock::Shared);
        assert!(locks.cover(PlanId(3), PlanLock::Shared) && !locks.cover(PlanId(3), PlanLock::Exclusive));
        assert!(!locks.allow(PlanId(2)) && !locks.allow(PlanId(3)) && locks.allow(PlanId(4)));
        locks.add(PlanId(1), PlanLock::Exclusive);
        locks.add(PlanId(3), PlanLock::Exclusive);
        locks.add(PlanId(3), PlanLock::Shared);
        let order: Vec<_> = locks.iter().collect();
        assert_eq!(order, [(PlanId(1), PlanLock::Exclusive), (PlanId(3), PlanLock::Exclusive)]);
    }
}
